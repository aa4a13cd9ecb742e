//! The strict pass over an answer: XML tokens with resolved namespaces, under limits.
//!
//! It takes no DOCTYPE, no processing instruction, no entity but the five and character references, and no second root.
//! Characters that XML forbids are handed on as [`Token::Bad`], since inside a record they spoil that record alone. It
//! must not interpret what it reads.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::errors::IllFormedError;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesStart, Event};

use super::schema::NAMESPACE;
use crate::model::{Error, Result};

/// Nesting of elements; a contact's form field is the ninth level.
pub const DEFAULT_DEPTH_MAX: usize = 32;
/// Elements of one answer: 100 contacts have about 10,000.
pub const DEFAULT_ELEMENTS_MAX: usize = 200_000;
/// Attributes of one element; the envelope has three.
pub const DEFAULT_ATTRIBUTES_MAX: usize = 32;
/// Bytes of one field, far above any column of the service.
pub const DEFAULT_TEXT_MAX: usize = 64 * 1024;
/// Bytes of one record.
pub const DEFAULT_RECORD_MAX: usize = 256 * 1024;

/// Texts, references and comments of an answer, as a multiple of its bound on elements: notes full of escaped markup
/// have thousands of references a contact, and each piece costs as much as an element.
pub const PIECES_PER_ELEMENT: usize = 2;

/// The limits of an answer's content; see the `DEFAULT_*` constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Nesting of elements.
    pub depth: usize,
    /// Elements of one answer; of texts, references and comments there may be [`PIECES_PER_ELEMENT`] times as many.
    pub elements: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Bytes of one field.
    pub text: usize,
    /// Bytes of one record.
    pub record: usize,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self {
            depth: DEFAULT_DEPTH_MAX,
            elements: DEFAULT_ELEMENTS_MAX,
            attributes: DEFAULT_ATTRIBUTES_MAX,
            text: DEFAULT_TEXT_MAX,
            record: DEFAULT_RECORD_MAX,
        }
    }
}

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
    /// Text as it stands, line ends not yet normalised; checked for forbidden characters by whoever keeps it.
    Text(&'a str),
    /// A character that was written as a reference.
    Char(char),
    /// Something that is no character of XML 1.0: a reference to U+0000, a lone `&`.
    Bad,
    /// The document ends here, as it should.
    Eof,
}

/// The tokens of an answer; see the module.
pub(super) struct Tokens<'a> {
    reader: Reader<&'a [u8]>,
    /// The operation, for messages.
    pub(super) operation: &'a str,
    text: &'a str,
    limits: AnswerLimits,
    depth: usize,
    elements: usize,
    /// Texts, references and comments; a field may be one piece or thousands.
    pieces: usize,
    /// Declared prefixes with the depth of their element; the default namespace has the empty prefix.
    prefixes: Vec<(usize, &'a str, Space)>,
    default: Space,
    /// An empty element was told as its start, and its end is owed.
    owed_end: bool,
    rooted: bool,
}

impl<'a> Tokens<'a> {
    /// Reads `text`, the answer to `operation`.
    pub(super) fn new(text: &'a str, operation: &'a str, limits: AnswerLimits) -> Self {
        let mut reader = Reader::from_str(text);
        // A lone ampersand spoils its record, not its page.
        reader.config_mut().allow_dangling_amp = true;
        Self {
            reader,
            operation,
            text,
            limits,
            depth: 0,
            elements: 0,
            pieces: 0,
            prefixes: Vec::with_capacity(8),
            default: Space::Empty,
            owed_end: false,
            rooted: false,
        }
    }

    /// The byte behind the token read last.
    pub(super) fn position(&self) -> usize {
        self.reader.buffer_position() as usize
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> &AnswerLimits {
        &self.limits
    }

    /// An error of this answer.
    pub(super) fn flaw(&self, code: &'static str, what: impl std::fmt::Display) -> Error {
        flaw(self.operation, code, what)
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>> {
        if self.owed_end {
            self.owed_end = false;
            self.leave();
            return Ok(Token::End);
        }
        loop {
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.ill_formed(&error)),
            };
            if !matches!(event, Event::Start(_) | Event::Empty(_) | Event::End(_)) {
                self.pieces += 1;
                if self.pieces / PIECES_PER_ELEMENT > self.limits.elements {
                    return Err(self.flaw(
                        "E-XML-COUNT",
                        format!(
                            "the answer holds over {} texts and references",
                            self.limits.elements * PIECES_PER_ELEMENT
                        ),
                    ));
                }
            }
            return Ok(match event {
                Event::Start(start) => Token::Start(self.enter(start)?),
                Event::Empty(start) => {
                    self.owed_end = true;
                    Token::Start(self.enter(start)?)
                }
                Event::End(_) => {
                    self.leave();
                    Token::End
                }
                Event::Text(text) => match text.into_inner() {
                    Cow::Borrowed(text) if !text.contains('&') => Token::Text(text),
                    _ => Token::Bad,
                },
                Event::CData(text) => match text.into_inner() {
                    Cow::Borrowed(text) => Token::Text(text),
                    Cow::Owned(_) => Token::Bad,
                },
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Comment(_) => continue,
                Event::Decl(declaration) => {
                    self.check_declaration(&declaration)?;
                    continue;
                }
                Event::DocType(_) => {
                    return Err(
                        self.flaw("E-XML-DTD", "the answer holds a DOCTYPE, which is refused")
                    );
                }
                Event::PI(_) => {
                    return Err(self.flaw(
                        "E-XML-DTD",
                        "the answer holds a processing instruction, which is refused",
                    ));
                }
                Event::Eof if self.depth > 0 || !self.rooted => return Err(self.truncated()),
                Event::Eof => Token::Eof,
            });
        }
    }

    fn reference(&self, reference: &str) -> Result<Token<'a>> {
        let known = match reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "apos" => '\'',
            "quot" => '"',
            _ => {
                let Some(number) = reference.strip_prefix('#') else {
                    return Err(self.flaw(
                        "E-XML-DTD",
                        "the answer refers to an entity of its own, which is refused",
                    ));
                };
                let value = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                return Ok(match value.ok().and_then(char::from_u32) {
                    Some(found) if is_xml_char(found) => Token::Char(found),
                    _ => Token::Bad,
                });
            }
        };
        Ok(Token::Char(known))
    }

    fn check_declaration(&self, declaration: &quick_xml::events::BytesDecl<'_>) -> Result<()> {
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(encoding)) if is_utf8(&encoding) => Ok(()),
            Some(_) => Err(self.flaw(
                "E-SOAP-NOTXML",
                "the answer declares an encoding other than UTF-8, which is not read",
            )),
        }
    }

    fn enter(&mut self, start: BytesStart<'a>) -> Result<Start<'a>> {
        self.depth += 1;
        self.elements += 1;
        if self.depth > self.limits.depth {
            return Err(self.flaw(
                "E-XML-DEPTH",
                format!("the answer nests over {} elements", self.limits.depth),
            ));
        }
        if self.elements > self.limits.elements {
            return Err(self.flaw(
                "E-XML-COUNT",
                format!("the answer holds over {} elements", self.limits.elements),
            ));
        }
        if self.depth == 1 {
            if self.rooted {
                return Err(self.flaw("E-SOAP-SHAPE", "the answer holds a second root element"));
            }
            self.rooted = true;
        }
        // The event hides the answer's lifetime behind its own, so the tag is cut out by its place.
        let end = self.position();
        let markup = if self.owed_end { 2 } else { 1 };
        let tag = end
            .checked_sub(start.len() + markup)
            .and_then(|begin| self.text.get(begin..begin + start.len()))
            .ok_or_else(|| {
                Error::unexpected("E-XML", "A tag stands elsewhere than its reader says")
            })?;
        let (name, attributes) = tag.split_at(start.name().as_ref().len());
        let nil = if attributes.is_empty() {
            false
        } else {
            self.attributes(attributes)?
        };
        let (space, name) = match name.split_once(':') {
            None => (self.default, name),
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
            && depth == self.depth
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
        self.depth = self.depth.saturating_sub(1);
    }

    /// Takes up the declarations of a tag; whether it says `xsi:nil="true"`.
    fn attributes(&mut self, attributes: &'a str) -> Result<bool> {
        let mut nil = None;
        for (count, attribute) in Attributes::new(attributes, 0).enumerate() {
            if count >= self.limits.attributes {
                return Err(self.flaw(
                    "E-XML-COUNT",
                    format!(
                        "an element of the answer has over {} attributes",
                        self.limits.attributes
                    ),
                ));
            }
            let attribute = attribute.map_err(|_| self.not_well_formed())?;
            let Cow::Borrowed(value) = attribute.value else {
                return Err(self.not_well_formed());
            };
            let key = attribute.key.into_inner();
            if key == "xmlns" {
                self.default = Space::of(value);
                self.prefixes.push((self.depth, "", self.default));
            } else if let Some(prefix) = key.strip_prefix("xmlns:") {
                self.prefixes.push((self.depth, prefix, Space::of(value)));
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
            None => Err(self.not_well_formed()),
        }
    }

    fn ill_formed(&self, error: &quick_xml::Error) -> Error {
        match error {
            // The parser sees these when the input ends inside markup.
            quick_xml::Error::Syntax(_)
            | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => self.truncated(),
            _ => self.not_well_formed(),
        }
    }

    fn not_well_formed(&self) -> Error {
        // The parser's own words may hold a piece of the answer.
        self.flaw(
            "E-SOAP-NOTXML",
            format!(
                "the answer is not well-formed XML at byte {}",
                self.position()
            ),
        )
    }

    /// The answer ends too early.
    pub(super) fn truncated(&self) -> Error {
        self.flaw(
            "E-BODY-TRUNCATED",
            format!(
                "the answer breaks off after {} bytes, before its envelope is closed",
                self.text.len()
            ),
        )
    }

    /// Passes over the rest of the element whose start was read last.
    pub(super) fn skip(&mut self) -> Result<()> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
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
    /// Meant for faults and small values of the frame: what is no character is left out.
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
                Token::Char(_) | Token::Bad => {}
                Token::Eof => return Err(self.truncated()),
            }
        }
    }
}
/// An error in the answer to `operation`.
pub(super) fn flaw(operation: &str, code: &'static str, what: impl std::fmt::Display) -> Error {
    Error::unreachable(
        code,
        format!("{operation}: {what}; nothing of it was applied"),
    )
}

/// Whether XML 1.0 allows the character.
pub(super) fn is_xml_char(found: char) -> bool {
    !matches!(found, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether this is a name of UTF-8, or of a part of it.
pub(super) fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|known| encoding.trim().eq_ignore_ascii_case(known))
}
