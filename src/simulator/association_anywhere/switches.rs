//! What can be wrong with this service: faults that befall a request, and quirks that it has for good.
//!
//! How they are written on a command line is the business of `switch_text`; which requests they befall, of [`rules`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::Operation;
use super::queue::Coalescing;
use super::write::{Charset, Names};
use crate::simulator::rules;

/// Something that befalls one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before any work.
    LoseRequest,
    /// The work is done, then the connection is cut without an answer.
    LoseAnswer,
    /// The connection is cut at once; the work is done this much later.
    Late(Duration),
    /// The request waits this long before the work.
    Delay(Duration),
    /// 503 with this `Retry-After` (any text; empty: no such header), before the work.
    Unavailable(String),
    /// 429 with this `Retry-After`, before the work.
    TooMany(String),
    /// An HTML page with this status, before the work.
    Status(u16),
    /// An HTML page with status 200, before the work.
    Html,
    /// The work is done; an HTML page with status 200.
    HtmlAfter,
    /// An error at the root that blames the credentials, before the work.
    Refused,
    /// An error at the root with this text, before the work.
    Error(String),
    /// The work is done; of the answer only so many bytes come, with a length to match. 0: half of them.
    Truncate(usize),
    /// The work is done; half of the answer comes, with the length of all of it, and the connection ends.
    WrongLength,
    /// The work is done; 200 without a body.
    EmptyBody,
    /// The work is done; so many bytes of white space come behind the answer.
    Oversize(u64),
    /// 307 to this address, before the work.
    Redirect(String),
    /// This answer, word for word, before the work.
    Answer {
        /// HTTP status.
        status: u16,
        /// Content type.
        content_type: String,
        /// Body.
        body: Vec<u8>,
    },
}

/// A fault of this service, and the requests that it befalls.
pub type Rule = rules::Rule<Operation, Fault>;

/// What a customer does to every answer that holds its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Poison {
    /// The whole answer is an error at the root.
    #[default]
    Error,
    /// The whole answer is the gateway's page, status 500.
    Page,
    /// Its XML is not well-formed.
    Malformed,
    /// A name of it holds a byte that the character set has no character for.
    Undecodable,
    /// Its biography is this many bytes long.
    Oversize(usize),
    /// There is an `error` inside its own custInfo, and nothing else but its id.
    Inside,
    /// It is left out, without a word.
    Absent,
}

/// What the queue says about the largest number (association-anywhere.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MaxQueueNum {
    /// The largest number of a row.
    #[default]
    Honest,
    /// The same as an attribute of the root.
    Attribute,
    /// Nothing.
    Missing,
    /// An empty element.
    Empty,
    /// A text that is no number.
    Text,
    /// One less than the smallest number of a row.
    Low,
    /// Far above every row: a purge of it would take what comes later.
    Ahead,
    /// 38 nines: the largest number that an Oracle database can hold.
    Absurd,
}

/// What an empty queue says about the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptyNumber {
    /// Nothing.
    #[default]
    Missing,
    /// An empty element.
    Empty,
    /// 0.
    Zero,
}

/// How the queue names customers and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shape {
    /// The canonical form of §5.
    #[default]
    Canonical,
    /// One `customer` an event, with `custId`, `action`, `reason`: what one client expects.
    Fallback,
    /// Ids are attributes of `customer`.
    Attributes,
}

/// What the reasons say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Triggers {
    /// The truth.
    #[default]
    Known,
    /// Actions and tables that nobody has heard of, but for the deletion of a customer.
    Unknown,
    /// Nothing: customers without triggers.
    Missing,
}

/// How a purge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PurgeAnswer {
    /// Status SUCCESS.
    #[default]
    Success,
    /// A root without a status.
    Bare,
    /// 200 without a body, the work done.
    Empty,
    /// An HTML page with 200, the work done.
    Html,
    /// Status FAILURE with an error; nothing was purged.
    Failure,
    /// Status SUCCESS; nothing was purged.
    Lie,
}

/// A label of the character set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Label {
    /// The set that is really used.
    #[default]
    Right,
    /// None.
    Missing,
    /// This one.
    Says(String),
}

/// The habits of the service. The default is the best reading of association-anywhere.md.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is named and typed after what its type's documentation says.
pub struct Quirks {
    pub rows: Coalescing,
    pub names: Names,
    pub shape: Shape,
    pub triggers: Triggers,
    pub max_queue_num: MaxQueueNum,
    pub empty_number: EmptyNumber,
    pub purge_answer: PurgeAnswer,
    pub charset: Charset,
    /// What the Content-Type header says about the character set.
    pub header_charset: Label,
    /// What the XML declaration says about it.
    pub xml_charset: Label,
    /// Whether answers in UTF-8 begin with a byte order mark.
    pub bom: bool,
    /// By customer id.
    pub poison: BTreeMap<String, Poison>,
    /// Whether deleted customers' details still answer.
    pub deleted_answer: bool,
    /// Whether sections that were not asked for are answered too.
    pub unasked_sections: bool,
    /// Whether answers go without `status`.
    pub no_status: bool,
    /// Whether a single request for an unknown customer is answered with an empty `custInfo` in place of an error.
    pub unknown_empty: bool,
    /// How many customers one request for details may name; 0: any number.
    pub bulk_max: usize,
    /// Whether force-enqueue takes one customer a request, and not everybody.
    pub force_one: bool,
    /// Whether each service takes only the credentials' elements of §3.
    pub strict_credentials: bool,
}

/// Faults and quirks together, as a simulator has them at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Switches {
    /// What befalls requests.
    pub rules: Vec<Rule>,
    /// What the service is like.
    pub quirks: Quirks,
}
