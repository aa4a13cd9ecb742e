//! Records and cells as the sides hand them to the engine.

use super::{Document, RemoteId, Stamp};

/// A value in canonical space, where the two sides are compared: `None` is NULL, empty or absent.
///
/// Texts are normalised as the field's rule says; integers have no leading zeros or plus sign; decimals no
/// trailing zeros; booleans are `1` and `0`; dates are `YYYY-MM-DD`; datetimes `YYYY-MM-DDTHH:MM:SS[.fff]Z` in UTC.
pub type Canonical = Option<String>;

/// A value of one SQL column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// An integer, and a boolean where the database has none.
    Int(i64),
    /// A floating point number.
    Real(f64),
    /// Text, and every type that the database hands over as text.
    Text(String),
    /// Bytes; no mapped type takes them, so they end as a problem of the field.
    Blob(Vec<u8>),
}

/// Why one field of one record can't be read or written. Holds no value of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// A stable code such as `Q-DATE`.
    pub code: &'static str,
    /// A sentence such as `not a date`.
    pub reason: String,
}

impl FieldProblem {
    const SILENT: &str = "silent";

    /// Stands for a field about which a record says nothing, because the part that holds it was not handed over (user
    /// contract, section 4). It is no fault: nothing is written for it, nothing is held, and what was agreed stands.
    pub fn silence() -> Self {
        Self {
            code: Self::SILENT,
            reason: "this part was not handed over".to_owned(),
        }
    }

    /// Whether this is [`FieldProblem::silence`].
    pub fn is_silence(&self) -> bool {
        self.code == Self::SILENT
    }
}

/// A record of the remote that could be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRecord {
    /// The service's own id.
    pub id: RemoteId,
    /// When the service last changed it, on the service's own clock; `None` where it does not say.
    pub stamp: Option<Stamp>,
    /// The service says that the record is deleted.
    pub deleted: bool,
    /// The record in the service's words.
    pub document: Document,
}

/// A record of the remote that could not be decoded; the others of its page are not harmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The id, where at least that could be read.
    pub id: Option<RemoteId>,
    /// A stable code such as `Q-CHAR`.
    pub code: &'static str,
    /// Why, without any value of the record.
    pub reason: String,
    /// The slice of the answer, to be sealed into quarantine; never logged.
    pub raw: Vec<u8>,
}

/// One item of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteItem {
    /// A record.
    Record(RemoteRecord),
    /// Something that should have been one.
    Bad(BadRecord),
}
