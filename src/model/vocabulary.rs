//! What a kind of remote says about the documents it hands over: which paths exist, and how values are written.
//!
//! Mapping compiles against this, so that an unknown path or a clash of types is found when a mapping is loaded.

use chrono_tz::Tz;

/// How a scalar is written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Free text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// A number with a fraction, in its digits.
    Decimal,
    /// A date without a time, as `YYYY-MM-DD`.
    Date,
    /// A point in time or a date, written in the [`DateStyle`] of the vocabulary.
    DateTime,
}

/// The shape of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    Scalar(Scalar),
    /// A record with exactly these names, in the order of the wire.
    Record(Vec<(&'static str, Shape)>),
    /// A record with these names, in the order of the wire, and perhaps others, below which anything may stand.
    OpenRecord(Vec<(&'static str, Shape)>),
    /// Items of one shape.
    List(Box<Shape>),
    /// Known to exist, but not described: any path below is allowed, and its scalars are text.
    Open,
}

/// How a service writes dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateStyle {
    /// The zone of times without offset.
    pub zone: Tz,
    /// chrono formats that are tried in order when reading; the first is used for writing datetimes.
    pub formats: Vec<String>,
    /// What stands for "no date", such as `0001-01-01T00:00:00`; written where a value element may not be empty.
    pub sentinel: Option<&'static str>,
}

/// A path that stands for two places: read from the first that is not empty, written to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The path that mappings name, such as `emailAddress`.
    pub path: &'static str,
    /// The second place, such as `phoneNos[phoneNoTypeID=7].phoneNo`.
    pub other: &'static str,
}

/// What it means that a name is not in a document (user contract, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Records come whole: what is absent is empty.
    Empty,
    /// Records may come in sections: a name that is absent at the top says nothing, and what was asked for and is empty stands
    /// there empty.
    SilentSections,
    /// Any name that is absent says nothing, and null is empty.
    SilentNames,
}

/// Everything that mapping must know about a kind of remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// The kind, as `kind:` of bridge.yaml has it.
    pub kind: &'static str,
    /// The shape of a whole record.
    pub shape: Shape,
    /// How dates are written.
    pub dates: DateStyle,
    /// The path of the caller's own key (`externalId`), where the service has one.
    pub external_id: Option<&'static str>,
    /// The path of the e-mail address, where the service matches by it.
    pub email: Option<&'static str>,
    /// Paths that may be read but never written (`entityId`, `lastUpdateDate`, …).
    pub read_only: Vec<&'static str>,
    /// Paths that may not be mapped at all (`username`, `password`), unless for push.
    pub guarded: Vec<&'static str>,
    /// Paths that stand for two places.
    pub mirrors: Vec<Mirror>,
    /// Whether the service can be written to.
    pub writable: bool,
    /// What an absent name means.
    pub absence: Absence,
}
