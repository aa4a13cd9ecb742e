//! XML tokens with resolved namespaces: the strict pass of [`crate::remote::xml`], as SOAP needs it.
//!
//! It must not interpret what it reads.

use std::borrow::Cow;

use quick_xml::events::attributes::Attributes;

use super::schema::NAMESPACE;
use crate::model::{Error, Result};
use crate::remote::xml;
use crate::remote::xml::{AnswerLimits, Manner};

/// How errors of these answers are called.
const SOAP: Manner = Manner {
    not_xml: "E-SOAP-NOTXML",
    shape: "E-SOAP-SHAPE",
    frame: "envelope",
    utf8_only: true,
};

pub(super) const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const SOAP_12: &str = "http://www.w3.org/2003/05/soap-envelope";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// A namespace, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// None at all.
    Empty,
    /// The service's.
    Service,
    /// SOAP 1.1.
    Soap11,
    /// SOAP 1.2.
    Soap12,
    /// XML Schema's instance attributes.
    Instance,
    /// Inclusion of other documents, which is refused.
    Inclusion,
    /// Any other.
    Other,
}

impl Space {
    fn of(uri: &str) -> Self {
        match uri {
            "" => Self::Empty,
            NAMESPACE => Self::Service,
            SOAP_11 => Self::Soap11,
            SOAP_12 => Self::Soap12,
            XSI => Self::Instance,
            XINCLUDE => Self::Inclusion,
            _ => Self::Other,
        }
    }

    /// Its name, for messages.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Service => NAMESPACE,
            Self::Soap11 => SOAP_11,
            Self::Soap12 => SOAP_12,
            Self::Instance => XSI,
            Self::Inclusion => XINCLUDE,
            Self::Other => "another namespace",
        }
    }
}

/// An element's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start<'a> {
    /// Its namespace.
    pub space: Space,
    /// Its local name.
    pub name: &'a str,
    /// It says `xsi:nil="true"`.
    pub nil: bool,
}

impl Start<'_> {
    /// Whether it is this element of the service.
    pub(super) fn is(&self, name: &str) -> bool {
        self.space == Space::Service && self.name == name
    }
}

/// One piece of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An element begins.
    Start(Start<'a>),
    /// An element ends.
    End,
    /// As [`xml::Token::Text`].
    Text(&'a str),
    /// As [`xml::Token::Char`].
    Char(char),
    /// As [`xml::Token::Bad`].
    Bad,
    /// The document ends here, as it should.
    Eof,
}

/// The tokens of an answer; see the module.
pub(super) struct Tokens<'a> {
    inner: xml::Tokens<'a>,
    /// The operation, for messages.
    pub(super) operation: &'a str,
    /// Declared prefixes with the depth of their element; the default namespace has the empty prefix.
    prefixes: Vec<(usize, &'a str, Space)>,
    default: Space,
}

impl<'a> Tokens<'a> {
    /// Reads `text`, the answer to `operation`.
    pub(super) fn new(text: &'a str, operation: &'a str, limits: AnswerLimits) -> Self {
        Self {
            inner: xml::Tokens::new(text, operation, limits, SOAP),
            operation,
            prefixes: Vec::with_capacity(8),
            default: Space::Empty,
        }
    }

    /// The byte behind the token read last.
    pub(super) fn position(&self) -> usize {
        self.inner.position()
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> &AnswerLimits {
        self.inner.limits()
    }

    /// An error of this answer.
    pub(super) fn flaw(&self, code: &'static str, what: impl std::fmt::Display) -> Error {
        self.inner.flaw(code, what)
    }

    /// The answer ends too early.
    pub(super) fn truncated(&self) -> Error {
        self.inner.truncated()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>> {
        Ok(match self.inner.next()? {
            xml::Token::Start(tag) => Token::Start(self.enter(tag)?),
            xml::Token::End => {
                self.leave();
                Token::End
            }
            xml::Token::Text(text) => Token::Text(text),
            xml::Token::Char(found) => Token::Char(found),
            xml::Token::Bad => Token::Bad,
            // Only windows pause, and this is the whole answer.
            xml::Token::Pause | xml::Token::Eof => Token::Eof,
        })
    }

    fn enter(&mut self, tag: xml::Tag<'a>) -> Result<Start<'a>> {
        let nil = if tag.attributes.is_empty() {
            false
        } else {
            self.attributes(tag.attributes)?
        };
        let (space, name) = match tag.name.split_once(':') {
            None => (self.default, tag.name),
            Some((prefix, local)) => (self.space_of(prefix)?, local),
        };
        if space == Space::Inclusion {
            return Err(self.flaw(
                "E-XML-DTD",
                "the answer includes another document, which is refused",
            ));
        }
        Ok(Start { space, name, nil })
    }

    fn leave(&mut self) {
        while let Some((depth, prefix, _)) = self.prefixes.last().copied()
            && depth > self.inner.depth()
        {
            self.prefixes.pop();
            if prefix.is_empty() {
                let outer = self
                    .prefixes
                    .iter()
                    .rev()
                    .find(|(_, known, _)| known.is_empty());
                self.default = outer.map_or(Space::Empty, |(_, _, space)| *space);
            }
        }
    }

    /// Takes up the declarations of a tag; whether it says `xsi:nil="true"`.
    fn attributes(&mut self, attributes: &'a str) -> Result<bool> {
        let mut nil = None;
        for (count, attribute) in Attributes::new(attributes, 0).enumerate() {
            if count >= self.limits().attributes {
                return Err(self.flaw(
                    "E-XML-COUNT",
                    format!(
                        "an element of the answer has over {} attributes",
                        self.limits().attributes
                    ),
                ));
            }
            let attribute = attribute.map_err(|_| self.inner.not_well_formed())?;
            let Cow::Borrowed(value) = attribute.value else {
                return Err(self.inner.not_well_formed());
            };
            let key = attribute.key.into_inner();
            if key == "xmlns" {
                self.default = Space::of(value);
                self.prefixes.push((self.inner.depth(), "", self.default));
            } else if let Some(prefix) = key.strip_prefix("xmlns:") {
                self.prefixes
                    .push((self.inner.depth(), prefix, Space::of(value)));
            } else if let Some((prefix, "nil")) = key.split_once(':') {
                nil = Some((prefix, matches!(value.trim(), "true" | "1")));
            }
        }
        // The prefix may be declared behind the attribute that uses it.
        Ok(match nil {
            Some((prefix, true)) => self.space_of(prefix)? == Space::Instance,
            _ => false,
        })
    }

    fn space_of(&self, prefix: &str) -> Result<Space> {
        match self
            .prefixes
            .iter()
            .rev()
            .find(|(_, known, _)| *known == prefix)
        {
            Some((_, _, space)) => Ok(*space),
            None if prefix == "xml" => Ok(Space::Other),
            None => Err(self.inner.not_well_formed()),
        }
    }

    /// Passes over the rest of the element whose start was read last.
    pub(super) fn skip(&mut self) -> Result<()> {
        let outside = self.inner.depth().saturating_sub(1);
        while self.inner.depth() > outside {
            self.next()?;
        }
        Ok(())
    }

    /// The next start inside the element that is open, or `None` at its end; text between elements is refused.
    pub(super) fn child(&mut self) -> Result<Option<Start<'a>>> {
        loop {
            match self.next()? {
                Token::Start(start) => return Ok(Some(start)),
                Token::End => return Ok(None),
                Token::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                Token::Eof => return Err(self.truncated()),
                Token::Text(_) | Token::Char(_) | Token::Bad => {
                    return Err(self.flaw(
                        "E-SOAP-SHAPE",
                        "the answer holds text where only elements belong",
                    ));
                }
            }
        }
    }

    /// The text of the element that is open, up to its end and to `limit` bytes; elements in it are passed over.
    /// Meant for faults and small values of the frame: what is no character leaves its mark, so that a damaged word is no other.
    pub(super) fn short_text(&mut self, limit: usize) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Token::Start(_) => self.skip()?,
                Token::End => return Ok(text),
                Token::Text(piece) => {
                    let room = piece.floor_char_boundary(limit.saturating_sub(text.len()));
                    text.push_str(&piece[..room]);
                }
                Token::Char(piece) if text.len() < limit => text.push(piece),
                Token::Bad if text.len() < limit => text.push(char::REPLACEMENT_CHARACTER),
                Token::Char(_) | Token::Bad => {}
                Token::Eof => return Err(self.truncated()),
            }
        }
    }
}
