//! One customer of an answer as the tree that it is, before anything in it is interpreted.

use std::borrow::Cow;

use crate::model::Result;
use crate::remote::xml::{
    FORBIDDEN, OVERRIDE, Tag, Token, Tokens, UNDECODABLE, forbidden, is_override,
};

/// Names longer than this are no names of a service.
const NAME_MAX: usize = 128;

/// Why a customer can't be taken as it came: a stable code and a reason without any value.
pub(super) type Problem = (&'static str, Cow<'static, str>);

/// An element with everything in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its name without prefix, as written.
    pub name: String,
    /// Its attributes, by their names without prefix.
    pub attributes: Vec<(String, String)>,
    /// The elements in it.
    pub children: Vec<Element>,
    /// Its text, all pieces of it; empty where it is white space alone.
    pub text: String,
}

/// Reads the element that begins with `tag` to its end; the first thing that spoils it goes to `problem`.
pub(super) fn element(
    tokens: &mut Tokens<'_>,
    tag: Tag<'_>,
    problem: &mut Option<Problem>,
) -> Result<Element> {
    let mut element = Element {
        name: tag.local().to_owned(),
        attributes: tokens.attributes(&tag)?,
        ..Element::default()
    };
    if element.name.len() > NAME_MAX || forbidden(&element.name).is_some() {
        spoil(problem, "Q-CHAR", "an element's name can't be read");
        element.name = "unreadable".to_owned();
    }
    for (_, value) in &element.attributes {
        if let Some(what) = forbidden(value) {
            let shown = shown(&element.name);
            spoil(
                problem,
                "Q-CHAR",
                format!("an attribute of {shown} holds {what}"),
            );
        }
    }
    let limit = tokens.limits().text;
    loop {
        match tokens.next()? {
            Token::Start(tag) => {
                let child = self::element(tokens, tag, problem)?;
                element.children.push(child);
            }
            Token::Text(piece) => {
                if let Some(what) = forbidden(piece) {
                    let shown = shown(&element.name);
                    spoil(problem, "Q-CHAR", format!("{shown} holds {what}"));
                }
                if element.text.len() + piece.len() > limit {
                    too_long(&element.name, limit, problem);
                } else if piece.contains('\r') {
                    // What XML calls a line end, however it was written.
                    let piece = piece.replace("\r\n", "\n").replace('\r', "\n");
                    element.text.push_str(&piece);
                } else {
                    element.text.push_str(piece);
                }
            }
            Token::Char(found) if is_override(found) => {
                let shown = shown(&element.name);
                spoil(problem, "Q-CHAR", format!("{shown} holds {OVERRIDE}"));
                element.text.push(found);
            }
            Token::Char(found) if element.text.len() < limit => element.text.push(found),
            Token::Char(_) => too_long(&element.name, limit, problem),
            Token::Bad => {
                let shown = shown(&element.name);
                spoil(problem, "Q-CHAR", format!("{shown} holds {FORBIDDEN}"));
                // So that no part of a damaged id is taken for another customer's.
                element.text.push(UNDECODABLE);
            }
            Token::End | Token::Pause | Token::Eof => break,
        }
    }
    if element.text.trim().is_empty() {
        element.text.clear();
    }
    Ok(element)
}

fn too_long(name: &str, limit: usize, problem: &mut Option<Problem>) {
    let shown = shown(name);
    spoil(
        problem,
        "Q-CHAR",
        format!("{shown} is longer than {limit} bytes"),
    );
}

/// Notes what spoils a customer; the first finding counts.
pub(super) fn spoil(
    problem: &mut Option<Problem>,
    code: &'static str,
    reason: impl Into<Cow<'static, str>>,
) {
    problem.get_or_insert((code, reason.into()));
}

/// A name, as far as it can be one.
pub(super) fn shown(name: &str) -> String {
    let shown: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(64)
        .collect();
    if shown.is_empty() {
        return "an element".to_owned();
    }
    shown
}
