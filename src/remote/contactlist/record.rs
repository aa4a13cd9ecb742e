//! Records, cut out of an answer and decoded one by one, straight into documents.
//!
//! A record that can't be read is handed on as bad, with what stands there, and harms no other. A contact's own
//! `username` and `password` never leave this file, not even inside the slice of a bad record. It must not judge pages.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, NaiveDateTime};

use super::decode::Reading;
use super::feed::PAGE_SIZE;
use super::schema::{CONTACT, Field, Kind, NO_DATE};
use super::tokens::{Space, Start, Token, Tokens};
use crate::model::{BadRecord, Document, Node, RemoteId, RemoteItem, RemoteRecord, Result, Stamp};
use crate::remote::xml::{BOM, FORBIDDEN, OVERRIDE, forbidden, is_override};

/// Names longer than this are no names of a service.
const NAME_MAX: usize = 256;
/// Decodes records one by one, and remembers what is wrong with the one at hand.
pub(super) struct Records<'b> {
    body: &'b [u8],
    reading: Reading,
    problem: Option<(&'static str, Cow<'static, str>)>,
    /// Places of the record that must not be kept.
    private: Vec<Range<usize>>,
    /// The record held no element at all.
    pub(super) was_empty: bool,
    /// The text of the value at hand, kept for its room.
    text: String,
}

impl<'b> Records<'b> {
    /// Of the answer `body`.
    pub(super) fn new(body: &'b [u8], reading: &Reading) -> Self {
        Self {
            body: body.strip_prefix(BOM).unwrap_or(body),
            reading: *reading,
            problem: None,
            private: Vec::new(),
            was_empty: false,
            text: String::new(),
        }
    }

    /// The records of a result element.
    pub(super) fn list(&mut self, tokens: &mut Tokens<'_>) -> Result<Vec<RemoteItem>> {
        let mut items = Vec::with_capacity(PAGE_SIZE);
        loop {
            let begin = tokens.position();
            let Some(part) = tokens.child()? else {
                return Ok(items);
            };
            if !part.is("ContactRecord") || part.nil {
                tokens.skip()?;
                continue;
            }
            if items.len() == PAGE_SIZE {
                return Err(tokens.flaw(
                    "E-PAGING",
                    format!("the answer holds over {PAGE_SIZE} records"),
                ));
            }
            let item = self.record(tokens, begin)?;
            items.push(item);
        }
    }

    /// The record whose start was read last; its tag is searched from byte `from` on.
    pub(super) fn record(&mut self, tokens: &mut Tokens<'_>, from: usize) -> Result<RemoteItem> {
        self.problem = None;
        self.private.clear();
        let document = self.document(tokens, &CONTACT, true)?;
        self.was_empty = document.is_empty() && self.problem.is_none();
        let end = tokens.position();
        if end - from > self.reading.limits.record {
            self.spoil(
                "Q-SIZE",
                format!(
                    "the record is longer than {} bytes",
                    self.reading.limits.record
                ),
            );
        }
        let id = document.text("entityId").and_then(entity_id);
        if id.is_none() {
            self.spoil("Q-ID", "entityId is no whole number above 0");
        }
        let deleted = match document.text("deleted").map(boolean) {
            None => false,
            Some(Some(deleted)) => deleted,
            Some(None) => {
                self.spoil("Q-VALUE", "deleted is neither true nor false");
                false
            }
        };
        let stamp = match document.text("lastUpdateDate") {
            None => None,
            Some(text) => match self.stamp(text) {
                Some(stamp) => stamp,
                None => {
                    self.spoil("Q-DATE", "lastUpdateDate is not a date");
                    None
                }
            },
        };
        Ok(match (self.problem.take(), id) {
            (None, Some(id)) => RemoteItem::Record(RemoteRecord {
                id,
                stamp,
                deleted,
                document,
            }),
            (problem, id) => {
                let (code, reason) = problem.unwrap_or(("Q-ID", "no entityId".into()));
                RemoteItem::Bad(BadRecord {
                    id,
                    code,
                    reason: reason.into_owned(),
                    raw: self.slice(from..end),
                })
            }
        })
    }

    fn spoil(&mut self, code: &'static str, reason: impl Into<Cow<'static, str>>) {
        if self.problem.is_none() {
            self.problem = Some((code, reason.into()));
        }
    }

    /// The record as it came, without the contact's login, and no longer than a record may be.
    fn slice(&self, range: Range<usize>) -> Vec<u8> {
        let mut slice = Vec::with_capacity(range.len().min(self.reading.limits.record));
        let mut at = range.start;
        for private in &self.private {
            slice.extend_from_slice(self.body.get(at..private.start).unwrap_or_default());
            at = private.end;
        }
        slice.extend_from_slice(self.body.get(at..range.end).unwrap_or_default());
        slice.truncate(self.reading.limits.record);
        slice
    }

    /// A stamp in the site's wall time; `Some(None)` for the sentinel, `None` for what is no date.
    fn stamp(&self, text: &str) -> Option<Option<Stamp>> {
        let text = text.trim();
        if text == NO_DATE {
            return Some(None);
        }
        if let Ok(wall) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
            return Some(Some(Stamp(wall)));
        }
        let instant = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Some(Stamp(
            instant.with_timezone(&self.reading.zone).naive_local(),
        )))
    }

    /// The element that is open, up to its end, as a document of these fields.
    fn document(
        &mut self,
        tokens: &mut Tokens<'_>,
        fields: &'static [Field],
        is_contact: bool,
    ) -> Result<Document> {
        let mut document = Document::with_capacity(fields.len());
        let mut met = 0_u32;
        let mut next = 0;
        loop {
            let start = match tokens.next()? {
                Token::Start(start) => start,
                Token::End => return Ok(document),
                Token::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {
                    continue;
                }
                Token::Eof => return Ok(document),
                Token::Text(text) if forbidden(text).is_none() => {
                    self.spoil("Q-SHAPE", "text stands between the elements");
                    continue;
                }
                Token::Text(_) | Token::Char(_) | Token::Bad => {
                    self.spoil(
                        "Q-CHAR",
                        "characters that XML forbids stand between the elements",
                    );
                    continue;
                }
            };
            if start.space != Space::Service {
                // Another vocabulary's element says nothing here, and XmlSerializer passes over it too.
                tokens.skip()?;
                continue;
            }
            // Elements come in the order of the schema, so the search nearly always ends at its first step.
            let place = (next..fields.len()).chain(0..next).find(|place| {
                fields
                    .get(*place)
                    .is_some_and(|field| field.name == start.name)
            });
            let Some((place, field)) = place.and_then(|place| Some((place, fields.get(place)?)))
            else {
                let node = self.unknown(tokens, start)?;
                self.keep_unknown(&mut document, start.name, node);
                continue;
            };
            next = place + 1;
            if met & (1 << place) != 0 {
                self.spoil("Q-SHAPE", format!("{} stands there twice", field.name));
            }
            met |= 1 << place;
            if is_contact && matches!(field.name, "username" | "password") {
                let begin = tokens.position();
                tokens.skip()?;
                let end = self.before_end_tag(begin..tokens.position());
                self.private.push(begin..end);
                continue;
            }
            match field.kind {
                Kind::List(item, item_fields) => {
                    if start.nil {
                        // A null array; .NET leaves it out instead.
                        tokens.skip()?;
                    } else {
                        let items = self.items(tokens, item, item_fields)?;
                        document.push(field.name, Node::List(items));
                    }
                }
                _ => {
                    let text = self.scalar(tokens, field.name)?;
                    document.push(field.name, Node::Text(text));
                }
            }
        }
    }

    /// The items of a list; null items are passed over (`contactlist.md` §4).
    fn items(
        &mut self,
        tokens: &mut Tokens<'_>,
        item: &'static str,
        fields: &'static [Field],
    ) -> Result<Vec<Document>> {
        let mut items = Vec::new();
        loop {
            match tokens.next()? {
                Token::Start(start) if start.is(item) && !start.nil => {
                    items.push(self.document(tokens, fields, false)?);
                }
                Token::Start(_) => tokens.skip()?,
                Token::End | Token::Eof => return Ok(items),
                Token::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                Token::Text(_) | Token::Char(_) | Token::Bad => {
                    self.spoil("Q-SHAPE", "text stands between the items of a list");
                }
            }
        }
    }

    /// The text of a value, not trimmed.
    fn scalar(&mut self, tokens: &mut Tokens<'_>, name: &'static str) -> Result<String> {
        let limit = tokens.limits().text;
        self.text.clear();
        loop {
            match tokens.next()? {
                Token::Text(piece) => {
                    if let Some(what) = forbidden(piece) {
                        self.spoil("Q-CHAR", format!("{name} holds {what}"));
                    }
                    if self.text.len() + piece.len() > limit {
                        self.spoil("Q-CHAR", format!("{name} is longer than {limit} bytes"));
                    } else if piece.contains('\r') {
                        // What XML calls a line end, however it was written.
                        self.text
                            .push_str(&piece.replace("\r\n", "\n").replace('\r', "\n"));
                    } else {
                        self.text.push_str(piece);
                    }
                }
                Token::Char(piece) if is_override(piece) => {
                    self.spoil("Q-CHAR", format!("{name} holds {OVERRIDE}"));
                }
                Token::Char(piece) if self.text.len() < limit => self.text.push(piece),
                Token::Char(_) => {
                    self.spoil("Q-CHAR", format!("{name} is longer than {limit} bytes"));
                }
                Token::Bad => self.spoil("Q-CHAR", format!("{name} holds {FORBIDDEN}")),
                Token::Start(_) => {
                    self.spoil("Q-SHAPE", format!("{name} holds an element"));
                    tokens.skip()?;
                }
                Token::End | Token::Eof => return Ok(self.text.as_str().to_owned()),
            }
        }
    }

    /// An element that the description does not know: kept, so that it survives a record that is written whole.
    fn unknown(&mut self, tokens: &mut Tokens<'_>, start: Start<'_>) -> Result<Node> {
        let mut inner = Document::new();
        let mut text = String::new();
        if start.nil {
            tokens.skip()?;
            return Ok(Node::Text(text));
        }
        loop {
            match tokens.next()? {
                Token::Start(start) if start.space == Space::Service => {
                    let node = self.unknown(tokens, start)?;
                    self.keep_unknown(&mut inner, start.name, node);
                }
                Token::Start(_) => tokens.skip()?,
                Token::Text(piece) => {
                    if forbidden(piece).is_some() || text.len() + piece.len() > tokens.limits().text
                    {
                        self.spoil(
                            "Q-CHAR",
                            "an element that the service's description lacks can't be read",
                        );
                    } else {
                        text.push_str(piece);
                    }
                }
                Token::Char(piece) => text.push(piece),
                Token::Bad => self.spoil("Q-CHAR", format!("a value holds {FORBIDDEN}")),
                Token::End | Token::Eof if inner.is_empty() => return Ok(Node::Text(text)),
                Token::End | Token::Eof => return Ok(Node::Record(inner)),
            }
        }
    }

    fn keep_unknown(&mut self, document: &mut Document, name: &str, node: Node) {
        if name.len() > NAME_MAX || forbidden(name).is_some() {
            self.spoil("Q-CHAR", "an element's name can't be read");
        } else {
            document.push(name.to_owned(), node);
        }
    }

    /// The end of an element's content, when `range` is all behind its start tag.
    fn before_end_tag(&self, range: Range<usize>) -> usize {
        let inside = self.body.get(range.clone()).unwrap_or_default();
        match inside.iter().rposition(|byte| *byte == b'<') {
            Some(place) => range.start + place,
            // `<password />` has no content.
            None => range.start,
        }
    }
}

/// A boolean of XML Schema.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The id in its plain form: a positive whole number. -1 means "no contact" (`contactlist.md` §8).
fn entity_id(text: &str) -> Option<RemoteId> {
    let id: i64 = text.trim().parse().ok()?;
    (id > 0).then(|| RemoteId(id.to_string()))
}
