//! The strict pass over an answer: XML tokens, under limits.
//!
//! It takes no DOCTYPE, no processing instruction, no entity but the five and character references, and no second root.
//! Characters that XML forbids are handed on as [`Token::Bad`], since inside a record they spoil that record alone. It
//! must not interpret what it reads, namespaces included.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::{BytesStart, Event};

use super::character::{is_utf8, is_xml_char};
use crate::config::Limits;
use crate::model::{Error, Result};

/// Nesting of elements; the deepest records of ours have about ten levels.
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

impl AnswerLimits {
    /// The bounds that bridge.yaml asks for.
    pub fn from_settings(limits: &Limits) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            depth: limits.xml_depth as usize,
            elements: limits.xml_elements as usize,
            attributes: limits.xml_attributes as usize,
            text: size(limits.max_text),
            record: size(limits.max_record),
        }
    }
}

/// How a kind of service speaks of what is wrong with its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::remote) struct Manner {
    /// The code for what is no XML.
    pub not_xml: &'static str,
    /// The code for XML that is not what was asked for.
    pub shape: &'static str,
    /// What frames an answer, such as `envelope`.
    pub frame: &'static str,
    /// A declaration of another encoding is refused; else the text was decoded by it already.
    pub utf8_only: bool,
}

/// An element's start, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::remote) struct Tag<'a> {
    /// Its name, with its prefix.
    pub name: &'a str,
    /// Everything behind the name.
    pub attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// Its name without its prefix.
    pub(in crate::remote) fn local(&self) -> &'a str {
        self.name
            .rsplit_once(':')
            .map_or(self.name, |(_, name)| name)
    }
}

/// One piece of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::remote) enum Token<'a> {
    /// An element begins.
    Start(Tag<'a>),
    /// An element ends.
    End,
    /// Text as it stands, line ends not yet normalised; checked for forbidden characters by whoever keeps it.
    Text(&'a str),
    /// A character that was written as a reference.
    Char(char),
    /// Something that is no character of XML 1.0: a reference to U+0000, a lone `&`.
    Bad,
    /// The window ends here, the document does not.
    Pause,
    /// The document ends here, as it should.
    Eof,
}

/// How far a document was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    depth: usize,
    elements: usize,
    /// Texts, references and comments; a field may be one piece or thousands.
    pieces: usize,
    rooted: bool,
    /// The open elements, where the reader can't know them.
    open: Vec<String>,
    /// Bytes before this window.
    pub(super) before: usize,
}

/// The tokens of an answer; see the module.
pub(in crate::remote) struct Tokens<'a> {
    reader: Reader<&'a [u8]>,
    /// The operation, for messages.
    pub operation: &'a str,
    text: &'a str,
    limits: AnswerLimits,
    manner: Manner,
    standing: Standing,
    /// An empty element was told as its start, and its end is owed.
    owed_end: bool,
    /// The text is the whole answer, not a window of it.
    whole: bool,
}

impl<'a> Tokens<'a> {
    /// Reads `text`, the answer to `operation`.
    pub(in crate::remote) fn new(
        text: &'a str,
        operation: &'a str,
        limits: AnswerLimits,
        manner: Manner,
    ) -> Self {
        Self::at(text, operation, limits, manner, Standing::default(), true)
    }

    /// Reads a window of an answer, which was read as far as `standing` says.
    pub(super) fn at(
        text: &'a str,
        operation: &'a str,
        limits: AnswerLimits,
        manner: Manner,
        standing: Standing,
        whole: bool,
    ) -> Self {
        let mut reader = Reader::from_str(text);
        // A lone ampersand spoils its record, not its page.
        reader.config_mut().allow_dangling_amp = true;
        if !whole {
            // Its elements may have begun in another window; `standing` knows them.
            reader.config_mut().allow_unmatched_ends = true;
            reader.config_mut().check_end_names = false;
        }
        Self {
            reader,
            operation,
            text,
            limits,
            manner,
            standing,
            owed_end: false,
            whole,
        }
    }

    /// How far the document was read.
    pub(super) fn into_standing(mut self) -> Standing {
        self.standing.before += self.text.len();
        self.standing
    }

    /// The byte behind the token read last.
    pub(in crate::remote) fn position(&self) -> usize {
        self.reader.buffer_position() as usize
    }

    /// Elements that are open.
    pub(in crate::remote) fn depth(&self) -> usize {
        self.standing.depth
    }

    /// The limits in force.
    pub(in crate::remote) fn limits(&self) -> &AnswerLimits {
        &self.limits
    }

    /// An error of this answer.
    pub(in crate::remote) fn flaw(
        &self,
        code: &'static str,
        what: impl std::fmt::Display,
    ) -> Error {
        flaw(self.operation, code, what)
    }

    /// The code for what is no XML.
    pub(super) fn not_xml(&self) -> &'static str {
        self.manner.not_xml
    }

    /// The next token.
    pub(in crate::remote) fn next(&mut self) -> Result<Token<'a>> {
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
                self.standing.pieces += 1;
                if self.standing.pieces / PIECES_PER_ELEMENT > self.limits.elements {
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
                Event::End(end) => {
                    if !self.whole
                        && self.standing.open.last().map(String::as_str)
                            != Some(end.name().as_ref())
                    {
                        return Err(self.not_well_formed());
                    }
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
                Event::DocType(_) => return Err(self.doctype()),
                Event::PI(_) => {
                    return Err(self.flaw(
                        "E-XML-DTD",
                        "the answer holds a processing instruction, which is refused",
                    ));
                }
                Event::Eof if !self.whole => Token::Pause,
                Event::Eof if !self.is_complete() => return Err(self.truncated()),
                Event::Eof => Token::Eof,
            });
        }
    }

    /// Whether the root element was read to its end.
    fn is_complete(&self) -> bool {
        self.standing.is_complete()
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
                    if !is_name(reference) {
                        // A lone ampersand, and a semicolon somewhere behind it.
                        return Ok(Token::Bad);
                    }
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
            _ if !self.manner.utf8_only => Ok(()),
            Some(Ok(encoding)) if is_utf8(&encoding) => Ok(()),
            Some(_) => Err(self.flaw(
                self.manner.not_xml,
                "the answer declares an encoding other than UTF-8, which is not read",
            )),
        }
    }

    fn enter(&mut self, start: BytesStart<'_>) -> Result<Tag<'a>> {
        self.standing.depth += 1;
        self.standing.elements += 1;
        if self.standing.depth > self.limits.depth {
            return Err(self.flaw(
                "E-XML-DEPTH",
                format!("the answer nests over {} elements", self.limits.depth),
            ));
        }
        if self.standing.elements > self.limits.elements {
            return Err(self.flaw(
                "E-XML-COUNT",
                format!("the answer holds over {} elements", self.limits.elements),
            ));
        }
        if self.standing.depth == 1 {
            if self.standing.rooted {
                return Err(self.flaw(self.manner.shape, "the answer holds a second root element"));
            }
            self.standing.rooted = true;
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
        if !self.whole {
            self.standing.open.push(name.to_owned());
        }
        Ok(Tag { name, attributes })
    }

    fn leave(&mut self) {
        self.standing.open.pop();
        self.standing.depth = self.standing.depth.saturating_sub(1);
    }

    fn ill_formed(&self, error: &quick_xml::Error) -> Error {
        match error {
            // Its end may not have arrived, and need not be waited for.
            quick_xml::Error::Syntax(SyntaxError::UnclosedDoctype) => self.doctype(),
            // The parser sees these when the input ends inside markup.
            quick_xml::Error::Syntax(_)
            | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => self.truncated(),
            _ => self.not_well_formed(),
        }
    }

    fn doctype(&self) -> Error {
        self.flaw("E-XML-DTD", "the answer holds a DOCTYPE, which is refused")
    }

    /// The answer is no XML at the place read last.
    pub(in crate::remote) fn not_well_formed(&self) -> Error {
        // The parser's own words may hold a piece of the answer.
        self.flaw(
            self.manner.not_xml,
            format!(
                "the answer is not well-formed XML at byte {}",
                self.standing.before + self.position()
            ),
        )
    }

    /// The answer ends too early.
    pub(in crate::remote) fn truncated(&self) -> Error {
        truncated(
            self.operation,
            self.standing.before + self.text.len(),
            self.manner,
        )
    }
}

impl Standing {
    /// Whether the root element was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.depth == 0 && self.rooted
    }
}

/// Whether an entity can have this name (XML 1.0, production 5, not narrowed where it is lenient).
fn is_name(text: &str) -> bool {
    let starts = |c: char| c.is_alphabetic() || matches!(c, '_' | ':');
    text.starts_with(starts)
        && text
            .chars()
            .all(|c| starts(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{b7}'))
}

/// An answer to `operation` that ends too early, after `bytes`.
pub(super) fn truncated(operation: &str, bytes: usize, manner: Manner) -> Error {
    flaw(
        operation,
        "E-BODY-TRUNCATED",
        format!(
            "the answer breaks off after {bytes} bytes, before its {} is closed",
            manner.frame
        ),
    )
}

/// An error in the answer to `operation`.
pub(in crate::remote) fn flaw(
    operation: &str,
    code: &'static str,
    what: impl std::fmt::Display,
) -> Error {
    Error::unreachable(
        code,
        format!("{operation}: {what}; nothing of it was applied"),
    )
}
