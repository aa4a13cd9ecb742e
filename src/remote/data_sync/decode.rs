//! What a message means: a record as it is now, a customer that is gone, the sample, or nothing that can be understood.
//!
//! A customer's identity is `customerID` of the payload, a transaction's `retailTransactionId`; `uniqueId` is neither (`orce.md` §4).
//! Numbers keep their digits, null is an empty text, and a name that is not there stays absent. Whether a record is created or
//! changed makes no difference to what it holds: each message is the whole record (`orce.md` §2).

use std::borrow::Cow;

use crate::model::{BadRecord, Document, Name, Node, RemoteId};

use super::json::{self, Json};
use super::message::{Message, Payload};
use super::schema::{self, CUSTOMER, Field, ITEM, Kind, TRANSACTION};

/// The longest id; those that were seen have up to 23 digits.
const ID_MAX: usize = 128;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// `CUSTOMER`.
    Customer,
    /// `POSTRN`.
    Transaction,
}

/// What the sender says has happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `CUSTOMERCRE`, `POSTRNCRE`. It may exist here already, or have died and come back.
    Created,
    /// `CUSTOMERMOD`. It may not be known here yet.
    Changed,
}

/// What a message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The sample message: it has no effect.
    Sample,
    /// A record as it was when it was queued.
    Record {
        /// Of which kind.
        object: Object,
        /// Its identity.
        id: RemoteId,
        /// What happened to it.
        change: Change,
        /// All of it, in ORCE's words.
        document: Document,
    },
    /// A customer was deleted; it may never have been known here.
    Deleted {
        /// Its identity.
        id: RemoteId,
    },
}

impl Object {
    /// `type` on the wire.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Transaction => "POSTRN",
        }
    }

    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Self::Customer => CUSTOMER,
            Self::Transaction => TRANSACTION,
        }
    }

    /// The name of its identity.
    fn id_name(self) -> &'static str {
        match self {
            Self::Customer => "customerID",
            Self::Transaction => "retailTransactionId",
        }
    }
}

/// What can't be understood, to be kept for a person: `Q-ACTION` for a type or action that means nothing here, `Q-PAYLOAD` for a
/// payload. The reason holds no value of it.
fn bad(message: &Message, code: &'static str, reason: impl Into<String>) -> BadRecord {
    BadRecord {
        id: None,
        code,
        reason: reason.into(),
        raw: message.to_bytes(),
    }
}

impl Message {
    /// What the message means; `depth` bounds the nesting of its payload (`limits.json_depth`).
    ///
    /// Routing goes by `type` and `action` alone, which must agree.
    pub fn meaning(&self, depth: u32) -> Result<Meaning, BadRecord> {
        if self.is_sample() {
            return Ok(Meaning::Sample);
        }
        let (object, change) = match (self.kind.trim(), self.action.trim()) {
            ("CUSTOMER", "CUSTOMERCRE") => (Object::Customer, Some(Change::Created)),
            ("CUSTOMER", "CUSTOMERMOD") => (Object::Customer, Some(Change::Changed)),
            ("CUSTOMER", "CUSTOMERDEL") => (Object::Customer, None),
            ("POSTRN", "POSTRNCRE") => (Object::Transaction, Some(Change::Created)),
            (
                "CUSTOMER" | "POSTRN",
                "CUSTOMERCRE" | "CUSTOMERMOD" | "CUSTOMERDEL" | "POSTRNCRE",
            ) => {
                return Err(bad(
                    self,
                    "Q-ACTION",
                    "its type and its action contradict each other",
                ));
            }
            ("", _) | (_, "") => return Err(bad(self, "Q-ACTION", "it has no type, or no action")),
            _ => return Err(bad(self, "Q-ACTION", "its type or its action is not known")),
        };
        match change {
            Some(change) => self.record(object, change, depth),
            None => self
                .deleted_id(depth)
                .map(|id| Meaning::Deleted { id })
                .map_err(|reason| bad(self, "Q-PAYLOAD", reason)),
        }
    }

    fn record(&self, object: Object, change: Change, depth: u32) -> Result<Meaning, BadRecord> {
        let refuse = |reason: String| bad(self, "Q-PAYLOAD", reason);
        let entries = match self.json(depth).map_err(refuse)? {
            Json::Record(entries) => entries,
            _ => return Err(refuse("the payload is no JSON object".to_owned())),
        };
        let document =
            record(object.fields(), entries).map_err(|reason| refuse(reason.to_owned()))?;
        let name = object.id_name();
        let id = match document.text(name).map(checked_id) {
            Some(Some(id)) => id,
            Some(None) => return Err(refuse(format!("\"{name}\" is no id"))),
            None => return Err(refuse(format!("the payload has no \"{name}\""))),
        };
        Ok(Meaning::Record {
            object,
            id,
            change,
            document,
        })
    }

    /// The payload's JSON. A text within a text is read once more: some senders encode twice.
    fn json(&self, depth: u32) -> Result<Json, String> {
        let told = |fault: json::Fault| format!("the payload {}", fault.reason());
        let value = match &self.payload {
            Payload::Text(text) | Payload::Json(text) => json::read(text, depth).map_err(told)?,
            Payload::Missing => return Err("the payload is empty".to_owned()),
        };
        match value {
            Json::Text(text) if text.trim_start().starts_with('{') => {
                json::read(&text, depth).map_err(told)
            }
            value => Ok(value),
        }
    }

    /// The id in the payload of a deletion: bare, a JSON string or number, or in an object (`orce.md` §4: which is not known).
    fn deleted_id(&self, depth: u32) -> Result<RemoteId, String> {
        let text = match &self.payload {
            Payload::Missing => {
                return Err("a deletion without a customer's id; uniqueId is none".to_owned());
            }
            Payload::Text(text) | Payload::Json(text) => text.trim(),
        };
        let none = || "a deletion whose payload is no customer's id".to_owned();
        let id: Cow<'_, str> = if text.starts_with(['{', '[', '"']) {
            match self.json(depth)? {
                Json::Text(id) => id.into(),
                Json::Record(entries) => {
                    let id = entries
                        .into_iter()
                        .find(|(name, _)| name == "customerID" || name == "customerId");
                    match id {
                        Some((_, Json::Text(id) | Json::Number(id))) => id.into(),
                        _ => return Err(none()),
                    }
                }
                _ => return Err(none()),
            }
        } else if matches!(text, "null" | "true" | "false") {
            return Err(none());
        } else {
            text.into()
        };
        checked_id(&id).ok_or_else(none)
    }
}

/// An id is a short word; anything else in its place is no id but a mistake.
fn checked_id(text: &str) -> Option<RemoteId> {
    let text = text.trim();
    let good = !text.is_empty()
        && text.len() <= ID_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    good.then(|| RemoteId(text.to_owned()))
}

const TWICE: &str = "the payload has a name twice, in two spellings";
const NUMBER: &str = "the payload has a number with too large an exponent";

type Refusal = &'static str;

fn record(fields: &'static [Field], entries: Vec<(String, Json)>) -> Result<Document, Refusal> {
    let mut document = Document::with_capacity(entries.len());
    for (name, value) in entries {
        let field = schema::known(fields, &name);
        let node = match field {
            Some(field) => known(&field.kind, value)?,
            None => open(value)?,
        };
        let name = field.map_or(Name::Owned(name), |field| Name::Borrowed(field.name));
        if document.get(&name).is_some() {
            return Err(TWICE);
        }
        document.push(name, node);
    }
    Ok(document)
}

/// A value under a name that is known. One of another shape is kept as it stands, for the field that reads it to notice.
fn known(kind: &'static Kind, value: Json) -> Result<Node, Refusal> {
    match (kind, value) {
        (Kind::Record(fields), Json::Record(entries)) => Ok(Node::Record(record(fields, entries)?)),
        (Kind::List(fields), value) => list(value, |entries| record(fields, entries)),
        (Kind::Texts, Json::List(items)) if items.iter().all(is_scalar) => {
            let lines: Result<Vec<String>, Refusal> = items.into_iter().map(scalar).collect();
            Ok(Node::Text(lines?.join("\n")))
        }
        (Kind::Constant, Json::Text(text)) => Ok(Node::Text(constant(&text))),
        (_, value) => open(value),
    }
}

fn is_scalar(value: &Json) -> bool {
    !matches!(value, Json::List(_) | Json::Record(_))
}

fn open(value: Json) -> Result<Node, Refusal> {
    match value {
        Json::Record(entries) => Ok(Node::Record(record(&[], entries)?)),
        value @ Json::List(_) => list(value, |entries| record(&[], entries)),
        value => scalar(value).map(Node::Text),
    }
}

fn scalar(value: Json) -> Result<String, Refusal> {
    match value {
        Json::Text(text) => Ok(text),
        Json::Number(digits) => json::plain_number(&digits).ok_or(NUMBER),
        Json::Bool(yes) => Ok(if yes { "true" } else { "false" }.to_owned()),
        Json::Null | Json::List(_) | Json::Record(_) => Ok(String::new()),
    }
}

/// A list; null is an empty one, and a lone item one of one (`orce.md` §5, reader rules).
fn list(
    value: Json,
    of: impl Fn(Vec<(String, Json)>) -> Result<Document, Refusal>,
) -> Result<Node, Refusal> {
    let items = match value {
        Json::Null => Vec::new(),
        Json::List(items) => items,
        lone => vec![lone],
    };
    let mut documents = Vec::with_capacity(items.len());
    for item in items {
        documents.push(match item {
            Json::Null => continue,
            Json::Record(entries) => of(entries)?,
            other => {
                let mut document = Document::new();
                document.push(ITEM, open(other)?);
                document
            }
        });
    }
    Ok(Node::List(documents))
}

/// The name of a constant, however it is spelled: `First`, `FIRST2` and `FIRST_2` are met (`orce.md` §5).
fn constant(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c.is_ascii_digit() && out.ends_with(|before: char| before.is_ascii_alphabetic()) {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
