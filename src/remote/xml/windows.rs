//! An answer that is still arriving, cut into windows that hold whole tokens: memory stays bounded however long it is.

use super::tokens::{AnswerLimits, Manner, Standing, Token, Tokens, truncated};
use crate::model::{Error, Result};

/// A tag, reference, comment or CDATA section longer than this, as a multiple of the longest text, is none of a service's.
const TOKEN_PER_TEXT: usize = 2;

/// Feeds a document piece by piece to whoever takes its tokens.
pub(in crate::remote) struct Windows {
    operation: String,
    limits: AnswerLimits,
    manner: Manner,
    standing: Standing,
    /// What arrived and is not read yet.
    rest: String,
}

impl Windows {
    /// For the answer to `operation`.
    pub(in crate::remote) fn new(operation: &str, limits: AnswerLimits, manner: Manner) -> Self {
        Self {
            operation: operation.to_owned(),
            limits,
            manner,
            standing: Standing::default(),
            rest: String::new(),
        }
    }

    /// Takes `text`, and hands every token that is complete to `take`, with the depth behind it. Text may come in several pieces.
    pub(in crate::remote) fn feed(
        &mut self,
        text: &str,
        mut take: impl FnMut(Token<'_>, usize) -> Result<()>,
    ) -> Result<()> {
        self.rest.push_str(text);
        let complete = complete(&self.rest);
        let longest = self.limits.text.saturating_mul(TOKEN_PER_TEXT);
        if self.rest.len() - complete > longest {
            return Err(super::flaw(
                &self.operation,
                "E-XML-COUNT",
                format!("a tag or reference of the answer is longer than {longest} bytes"),
            ));
        }
        let standing = std::mem::take(&mut self.standing);
        let mut tokens = Tokens::at(
            &self.rest[..complete],
            &self.operation,
            self.limits,
            self.manner,
            standing,
            false,
        );
        loop {
            match tokens.next()? {
                Token::Pause | Token::Eof => break,
                token => {
                    let depth = tokens.depth();
                    take(token, depth)?;
                }
            }
        }
        self.standing = tokens.into_standing();
        self.rest.drain(..complete);
        Ok(())
    }

    /// The answer arrived to its end; an error if that is not the end of the document.
    pub(in crate::remote) fn finish(&self) -> Result<()> {
        if self.standing.is_complete() && self.rest.trim().is_empty() {
            return Ok(());
        }
        Err(self.truncated())
    }

    /// The answer ends too early.
    pub(in crate::remote) fn truncated(&self) -> Error {
        let bytes = self.standing.before + self.rest.len();
        truncated(&self.operation, bytes, self.manner)
    }
}

/// How far `text` holds whole tokens.
fn complete(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(open) = rest.iter().position(|byte| *byte == b'<') else {
            // Text: whole unless a reference is cut at its end, or a lone ampersand of which only what follows can tell.
            return match rest.iter().rposition(|byte| *byte == b'&') {
                Some(place) if !rest[place..].contains(&b';') => at + place,
                _ => bytes.len(),
            };
        };
        let begin = at + open;
        match markup_end(&bytes[begin..]) {
            Some(length) => at = begin + length,
            None => return begin,
        }
    }
}

/// The length of the markup that `bytes` begins with; `None` while its end is missing.
fn markup_end(bytes: &[u8]) -> Option<usize> {
    let until = |start: usize, end: &[u8]| {
        let found = bytes
            .get(start..)?
            .windows(end.len())
            .position(|window| window == end)?;
        Some(start + found + end.len())
    };
    for (begin, end) in [
        (&b"<!--"[..], &b"-->"[..]),
        (b"<![CDATA[", b"]]>"),
        (b"<?", b"?>"),
    ] {
        if bytes.starts_with(begin) {
            return until(begin.len(), end);
        }
        // Which of them it is can't be told yet.
        if begin.starts_with(bytes) {
            return None;
        }
    }
    // A tag, whose values may hold `>`; a DOCTYPE ends up here too, and is refused by its first `>`.
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner {
        not_xml: "E-NOTXML",
        shape: "E-SHAPE",
        frame: "root",
        utf8_only: false,
    };

    fn read(pieces: &[&str]) -> Result<String> {
        let mut windows = Windows::new("test", AnswerLimits::default(), MANNER);
        let mut told = String::new();
        for piece in pieces {
            windows.feed(piece, |token, depth| {
                match token {
                    Token::Start(tag) => {
                        told.push_str(&format!("<{}{}>{depth}", tag.name, tag.attributes));
                    }
                    Token::End => told.push_str(&format!("</>{depth}")),
                    Token::Text(text) => told.push_str(text),
                    Token::Char(found) => told.push(found),
                    Token::Bad => told.push('!'),
                    Token::Pause | Token::Eof => {}
                }
                Ok(())
            })?;
        }
        windows.finish()?;
        Ok(told)
    }

    const DOCUMENT: &str = "<?xml version='1.0'?>\n<a x=\"1>2\"><!-- <b> --><b/>é&amp;&#x41;&\u{20}<![CDATA[<&>]]]]><c>t</c ></a>\n";

    #[test]
    fn a_document_reads_alike_wherever_it_is_cut() {
        let whole = read(&[DOCUMENT]).unwrap();
        assert_eq!(whole, "\n<a x=\"1>2\">1<b>2</>1é&A!<&>]]<c>2t</>1</>0\n");
        for (at, _) in DOCUMENT.char_indices() {
            let (one, other) = DOCUMENT.split_at(at);
            assert_eq!(read(&[one, other]).unwrap(), whole, "cut at {at}");
        }
        let mut bytes: Vec<String> = DOCUMENT.chars().map(String::from).collect();
        assert_eq!(
            read(&bytes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(),
            whole
        );
        bytes.truncate(bytes.len() - 2);
        let code = read(&bytes.iter().map(String::as_str).collect::<Vec<_>>())
            .unwrap_err()
            .code();
        assert_eq!(code, "E-BODY-TRUNCATED");
    }

    #[test]
    fn what_follows_a_lone_ampersand_belongs_to_it_wherever_it_is_cut() {
        let document = "<a>&and so on and on &amp; &so on <b/>&1; Ash & Son; &</a>";
        let whole = read(&[document]).unwrap();
        assert_eq!(whole, "<a>1!& !<b>2</>1! Ash ! !</>0");
        for length in 1..document.len() {
            let bytes = document.as_bytes().chunks(length);
            let pieces: Vec<&str> = bytes.map(|part| str::from_utf8(part).unwrap()).collect();
            assert_eq!(read(&pieces).unwrap(), whole, "pieces of {length}");
        }
    }

    #[test]
    fn what_no_answer_may_hold_is_refused_in_windows_too() {
        for (pieces, code) in [
            (
                &["<!DOCTYPE a [<!ENT", "ITY b \"c\">]><a/>"][..],
                "E-XML-DTD",
            ),
            (&["<a>&", "b;</a>"], "E-XML-DTD"),
            (&["<a><?p", "hp x?></a>"], "E-XML-DTD"),
            (&["<a><b></a>", "</b>"], "E-NOTXML"),
            (&["<a/>", "<b/>"], "E-SHAPE"),
            (&["</a>"], "E-NOTXML"),
            (&["<a></a"], "E-BODY-TRUNCATED"),
            (&[""], "E-BODY-TRUNCATED"),
        ] {
            assert_eq!(read(pieces).unwrap_err().code(), code, "{pieces:?}");
        }
        let long = format!("<a {}", "b".repeat(200_000));
        assert_eq!(read(&[&long]).unwrap_err().code(), "E-XML-COUNT");
        assert_eq!(
            read(&["<a>".repeat(33).as_str()]).unwrap_err().code(),
            "E-XML-DEPTH"
        );
    }
}
