//! From the bytes of an answer to text: byte order mark, then HTTP header, then XML declaration, then UTF-8; a `charset:`
//! of the configuration goes before them all (`association-anywhere.md` §10).
//!
//! What can't be decoded is never replaced by something that looks like text.

use std::borrow::Cow;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use crate::remote::xml::UNDECODABLE;

/// An XML declaration ends before this.
const DECLARATION_MAX: usize = 256;

/// Where the encoding of an answer is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels<'a> {
    /// `charset:` of the configuration.
    pub configured: Option<&'static Encoding>,
    /// `Content-Type` of the answer.
    pub content_type: Option<&'a str>,
}

/// The encoding of an answer that begins with `start`.
pub(super) fn encoding(labels: Labels<'_>, start: &[u8]) -> &'static Encoding {
    if let Some(configured) = labels.configured {
        return configured;
    }
    if let Some((marked, _)) = Encoding::for_bom(start) {
        return marked;
    }
    let named = labels.content_type.and_then(|content_type| {
        content_type.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| Encoding::for_label(value.as_bytes()))?
        })
    });
    named.or_else(|| declared(start)).unwrap_or(UTF_8)
}

/// The encoding that the XML declaration names. UTF-16 would have had its mark, or the declaration could not be read.
fn declared(start: &[u8]) -> Option<&'static Encoding> {
    let start = start.get(..DECLARATION_MAX).unwrap_or(start);
    let start = std::str::from_utf8(&start[..declaration(start)?]).ok()?;
    let (_, rest) = start.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = rest[1..].split(quote).next()?;
    Encoding::for_label(label.as_bytes()).map(Encoding::output_encoding)
}

/// The length of the XML declaration, where there is a whole one.
fn declaration(start: &[u8]) -> Option<usize> {
    if !start.starts_with(b"<?xml") {
        return None;
    }
    start.iter().position(|byte| *byte == b'>')
}

/// A whole answer as text, in which each sequence that can't be decoded is U+0001, which no XML may hold: it spoils the
/// record in which it stands. The second value: places in the text are places in the answer behind its mark.
pub(super) fn marked<'b>(labels: Labels<'_>, body: &'b [u8]) -> (Cow<'b, str>, bool) {
    let encoding = encoding(labels, body);
    if encoding == UTF_8 {
        return (crate::remote::xml::readable(body), true);
    }
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::with_capacity(body.len() * 2);
    let mut rest = body;
    loop {
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        rest = &rest[read..];
        match result {
            DecoderResult::InputEmpty => return (Cow::Owned(text), false),
            DecoderResult::OutputFull => text.reserve(rest.len().max(64) * 3),
            DecoderResult::Malformed(..) => {
                text.reserve(rest.len() + 64);
                text.push(UNDECODABLE);
            }
        }
    }
}

/// Decodes an answer while it arrives.
pub(super) struct Stream {
    configured: Option<&'static Encoding>,
    content_type: Option<String>,
    /// The start, until the encoding is known.
    start: Vec<u8>,
    decoder: Option<Decoder>,
}

/// Bytes that the encoding does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

impl Stream {
    /// Of an answer with this `Content-Type`.
    pub(super) fn new(configured: Option<&'static Encoding>, content_type: Option<&str>) -> Self {
        Self {
            configured,
            content_type: content_type.map(str::to_owned),
            start: Vec::new(),
            decoder: None,
        }
    }

    /// Appends what `bytes` mean to `text`; `last` when nothing follows.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        last: bool,
        text: &mut String,
    ) -> Result<(), Undecodable> {
        if self.decoder.is_none() {
            self.start.extend_from_slice(bytes);
            let is_enough = self.start.len() >= DECLARATION_MAX
                || (self.start.len() >= 5
                    && (!self.start.starts_with(b"<?xml") || declaration(&self.start).is_some()));
            if !is_enough && !last {
                return Ok(());
            }
            let labels = Labels {
                configured: self.configured,
                content_type: self.content_type.as_deref(),
            };
            let encoding = encoding(labels, &self.start);
            self.decoder = Some(encoding.new_decoder_with_bom_removal());
            let start = std::mem::take(&mut self.start);
            return self.decode(&start, last, text);
        }
        self.decode(bytes, last, text)
    }

    fn decode(&mut self, bytes: &[u8], last: bool, text: &mut String) -> Result<(), Undecodable> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        let mut rest = bytes;
        loop {
            text.reserve(rest.len() * 3 + 16);
            let (result, read) = decoder.decode_to_string_without_replacement(rest, text, last);
            rest = &rest[read..];
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => return Err(Undecodable),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(
        configured: Option<&'static Encoding>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<String, Undecodable> {
        let mut whole = String::new();
        Stream::new(configured, content_type).feed(body, true, &mut whole)?;
        for at in 0..=body.len() {
            let mut text = String::new();
            let mut stream = Stream::new(configured, content_type);
            stream.feed(&body[..at], false, &mut text)?;
            stream.feed(&body[at..], true, &mut text)?;
            assert_eq!(text, whole, "cut at {at}");
        }
        Ok(whole)
    }

    const LATIN: Option<&str> = Some("text/xml; charset=\"ISO-8859-1\"");

    #[test]
    fn mark_goes_before_header_before_declaration_before_utf_8() {
        let declared = b"<?xml version='1.0' encoding = 'windows-1252' ?><a>\x80</a>";
        for (content_type, body, end) in [
            (None, &b"\xef\xbb\xbf<a>\xc3\xa9</a>"[..], "<a>é</a>"),
            (LATIN, b"\xef\xbb\xbf<a>\xc3\xa9</a>", "<a>é</a>"),
            (LATIN, b"<a>\xe9</a>", "<a>é</a>"),
            (None, declared, "<a>€</a>"),
            (Some("text/xml"), declared, "<a>€</a>"),
            (None, b"<a>\xc3\xa9</a>", "<a>é</a>"),
            (None, b"\xff\xfe<\0a\0/\0>\0", "<a/>"),
            (
                Some("text/xml; charset=nonsense"),
                b"<a>\xc3\xa9</a>",
                "<a>é</a>",
            ),
        ] {
            let text = streamed(None, content_type, body).unwrap();
            assert!(
                text.ends_with(end) && !text.starts_with('\u{feff}'),
                "{text}"
            );
            let labels = Labels {
                configured: None,
                content_type,
            };
            let (text, _) = marked(labels, body);
            assert!(text.ends_with(end), "{text}");
        }
        // A header that lies, and a declaration that does.
        assert!(
            streamed(
                Some(UTF_8),
                LATIN,
                b"<?xml version='1.0' encoding='latin1'?><a>\xc3\xa9</a>"
            )
            .unwrap()
            .ends_with("<a>é</a>")
        );
    }

    #[test]
    fn what_cant_be_decoded_is_not_replaced() {
        assert_eq!(streamed(None, None, b"<a>\xe9</a>"), Err(Undecodable));
        assert_eq!(streamed(None, None, b"<a>\xc3"), Err(Undecodable));
        let (text, same) = marked(Labels::default(), b"<a>\xe9\xe9</a>");
        assert_eq!((text.as_ref(), same), ("<a>\u{1}\u{1}</a>", true));
        let labels = Labels {
            configured: Encoding::for_label(b"gbk"),
            content_type: None,
        };
        let (text, same) = marked(labels, b"<a>\xff</a>");
        assert_eq!((text.as_ref(), same), ("<a>\u{1}</a>", false));
    }
}
