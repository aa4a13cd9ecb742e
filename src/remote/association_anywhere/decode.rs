//! Answers that fit in memory: the customers of a details answer, cut out and decoded one by one, and the short answers
//! of purging and forcing.
//!
//! A customer that can't be read is handed on as bad, with what stands there, and harms no other. What damages the tags
//! fails the whole answer, which is then asked for in halves. It must not know which customers were asked for.

use encoding_rs::Encoding;

use super::charset::{Labels, marked};
use super::schema::{folded, same};
use super::shape::customer;
use super::tree::{Element, Problem, element, shown, spoil};
use super::verdict::{Asker, Verdict};
use crate::model::{BadRecord, Error, RemoteId, RemoteItem, RemoteRecord, Result};
use crate::remote::redact::redact;
use crate::remote::xml::{AnswerLimits, BOM, Manner, Token, Tokens, UNDECODABLE, flaw, forbidden};

/// How errors of these answers are called.
pub(super) const MANNER: Manner = Manner {
    not_xml: "E-AA-MALFORMED",
    shape: "E-AA-SHAPE",
    frame: "root element",
    utf8_only: false,
};

/// Ids longer than this are no ids of a service.
pub(super) const ID_MAX: usize = 256;

/// How answers are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Overrules what answers say of their character set.
    pub charset: Option<&'static Encoding>,
    /// The limits of an answer.
    pub limits: AnswerLimits,
}

/// What a details answer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DetailsAnswer {
    /// Its customers in their order.
    pub items: Vec<RemoteItem>,
    /// What it says of itself.
    pub verdict: Verdict,
    /// The root is itself the one customer.
    pub single: bool,
}

/// Decodes an answer to the details service. Documents hold what came and nothing else.
pub fn decode_details(
    body: &[u8],
    content_type: Option<&str>,
    reading: &Reading,
) -> Result<Vec<RemoteItem>> {
    let answer = details(body, content_type, reading, Asker::default())?;
    match answer.verdict.as_error("details", Asker::default()) {
        Some(error) => Err(error),
        None => Ok(answer.items),
    }
}

/// As [`decode_details`], with the answer's own verdict.
pub(super) fn details(
    body: &[u8],
    content_type: Option<&str>,
    reading: &Reading,
    asker: Asker<'_>,
) -> Result<DetailsAnswer> {
    let labels = Labels {
        configured: reading.charset,
        content_type,
    };
    let (text, is_same) = marked(labels, body);
    check_start("details", &text)?;
    let body = body.strip_prefix(BOM).unwrap_or(body);
    let mut customers = Customers {
        tokens: Tokens::new(&text, "details", reading.limits, MANNER),
        // Another encoding's places are not those of the bytes, so there the decoded text is kept.
        raw: if is_same { body } else { text.as_bytes() },
        asker,
    };
    customers.answer()
}

struct Customers<'t> {
    tokens: Tokens<'t>,
    raw: &'t [u8],
    asker: Asker<'t>,
}

impl Customers<'_> {
    fn answer(&mut self) -> Result<DetailsAnswer> {
        let mut answer = DetailsAnswer {
            items: Vec::new(),
            verdict: Verdict::default(),
            single: false,
        };
        let mut root = String::new();
        loop {
            let begin = self.tokens.position();
            match self.tokens.next()? {
                Token::Start(tag) if same(tag.local(), "custInfo") => {
                    answer.single = self.tokens.depth() == 1;
                    let (item, said) = self.customer(begin, tag)?;
                    if answer.single {
                        answer.verdict = said;
                        // A failure without a customer is no customer.
                        let is_failure = matches!(&item, RemoteItem::Bad(bad) if bad.id.is_none())
                            && answer.verdict.failure().is_some();
                        if is_failure {
                            continue;
                        }
                    }
                    answer.items.push(item);
                }
                Token::Start(tag) if self.tokens.depth() <= 2 && Verdict::is_word(tag.local()) => {
                    let is_root = self.tokens.depth() == 1;
                    let word = element(&mut self.tokens, tag, &mut None)?;
                    answer.verdict.note(&word.name, &said(&word));
                    if is_root {
                        continue;
                    }
                }
                Token::Text(text) => self.check_between(text)?,
                Token::Eof | Token::Pause => break,
                Token::Start(tag) if root.is_empty() => root = tag.local().to_owned(),
                Token::Start(_) | Token::End | Token::Char(_) | Token::Bad => {}
            }
        }
        // An answer that names nobody says that nobody is there, so it must be one of this service.
        let says_something =
            !answer.items.is_empty() || answer.verdict.success().is_some() || answer.single;
        if !says_something && !folded(&root).contains("cust") {
            return Err(wrong_root("details", &root));
        }
        Ok(answer)
    }

    /// Bytes that can't be decoded between customers: nobody knows whose they are.
    fn check_between(&self, text: &str) -> Result<()> {
        if text.contains(UNDECODABLE) {
            return Err(undecodable("details"));
        }
        Ok(())
    }

    fn customer(
        &mut self,
        begin: usize,
        tag: crate::remote::xml::Tag<'_>,
    ) -> Result<(RemoteItem, Verdict)> {
        let mut problem: Option<Problem> = None;
        let mut verdict = Verdict::default();
        let mut tree = element(&mut self.tokens, tag, &mut problem)?;
        let end = self.tokens.position();
        let limit = self.tokens.limits().record;
        if end - begin > limit {
            spoil(
                &mut problem,
                "Q-SIZE",
                format!("the customer is longer than {limit} bytes"),
            );
        }
        if !tree.text.is_empty() {
            spoil(&mut problem, "Q-SHAPE", "text stands between the elements");
        }
        tree.children.retain(|child| {
            let is_verdict = matches!(folded(&child.name).as_ref(), "error" | "errors");
            if is_verdict || same(&child.name, "status") {
                verdict.note(&child.name, &said(child));
            }
            !is_verdict
        });
        let id = id_of(&mut tree, &mut problem);
        if let Some(failure) = verdict.failure() {
            spoil(
                &mut problem,
                "Q-REMOTE",
                format!(
                    "the service says \"{}\"",
                    redact(failure, self.asker.secrets)
                ),
            );
        }
        let document = customer(tree, &mut problem);
        let item = match (problem, id) {
            (None, Some(id)) => RemoteItem::Record(RemoteRecord {
                id,
                stamp: None,
                deleted: false,
                document,
            }),
            (problem, id) => {
                let (code, reason) =
                    problem.unwrap_or(("Q-ID", "the customer has no custId".into()));
                RemoteItem::Bad(BadRecord {
                    id,
                    code,
                    reason: reason.into_owned(),
                    raw: self.raw.get(begin..end).unwrap_or_default().to_vec(),
                })
            }
        };
        Ok((item, verdict))
    }
}

/// The customer's id, which is put into the tree as it is used: without space around it.
fn id_of(tree: &mut Element, problem: &mut Option<Problem>) -> Option<RemoteId> {
    let mut found = None;
    for child in &mut tree.children {
        if same(&child.name, "custId") {
            child.text = child.text.trim().to_owned();
            found = Some(child.text.clone());
            break;
        }
    }
    if found.is_none() {
        for (name, value) in &mut tree.attributes {
            if same(name, "custId") {
                *value = value.trim().to_owned();
                found = Some(value.clone());
            }
        }
    }
    let id = found.filter(|id| is_id(id));
    if id.is_none() {
        spoil(
            problem,
            "Q-ID",
            "the customer has no custId that can be one",
        );
    }
    id.map(RemoteId)
}

/// Whether a text can be an id: opaque, but neither empty nor endless, and printable.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_MAX && forbidden(text).is_none()
}

/// The text of a word of the root, and of what is in it.
fn said(element: &Element) -> String {
    let mut text = element.text.clone();
    for inner in &element.children {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&said(inner));
    }
    if text.trim().is_empty() {
        for (_, value) in &element.attributes {
            text.push_str(value);
            text.push(' ');
        }
    }
    text
}

/// A short answer, as far as it says anything: `Err` when it is no XML, or says that it failed.
pub(super) fn confirmation(
    operation: &str,
    body: &[u8],
    content_type: Option<&str>,
    reading: &Reading,
) -> Result<Verdict> {
    let labels = Labels {
        configured: reading.charset,
        content_type,
    };
    let (text, _) = marked(labels, body);
    check_start(operation, &text)?;
    let mut tokens = Tokens::new(&text, operation, reading.limits, MANNER);
    let mut verdict = Verdict::default();
    loop {
        match tokens.next()? {
            Token::Start(tag) if tokens.depth() <= 2 && Verdict::is_word(tag.local()) => {
                let word = element(&mut tokens, tag, &mut None)?;
                verdict.note(&word.name, &said(&word));
            }
            Token::Eof | Token::Pause => return Ok(verdict),
            _ => {}
        }
    }
}

/// An error page is told from an answer before it is read as one.
pub(super) fn check_start(operation: &str, text: &str) -> Result<()> {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let begins = |word: &str| {
        start
            .get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if start.is_empty() {
        return Err(flaw(operation, "E-BODY-TRUNCATED", "the answer is empty"));
    }
    if begins("<html") || begins("<!doctype html") {
        return Err(flaw(
            operation,
            "E-AA-NOTXML",
            "got an HTML page, expected XML",
        ));
    }
    if !start.starts_with('<') {
        return Err(flaw(operation, "E-AA-NOTXML", "the answer is no XML"));
    }
    Ok(())
}

/// An error for bytes that the answer's encoding does not have.
pub(super) fn undecodable(operation: &str) -> Error {
    flaw(
        operation,
        "E-AA-CHARSET",
        "the answer holds bytes that its character set does not have; set `charset` where it is labelled wrongly",
    )
}

/// An error for an answer whose root is another one.
pub(super) fn wrong_root(operation: &str, root: &str) -> Error {
    flaw(
        operation,
        "E-AA-SHAPE",
        format!("got <{}>, which is no answer of this service", shown(root)),
    )
}
