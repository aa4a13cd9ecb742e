//! What can be wrong with this CRM: faults that befall a request, and quirks that it has for good.
//!
//! How they are written on a command line is the business of `switch_text`; which requests they befall, of [`rules`].

use std::time::Duration;

use super::Operation;
use super::write::EmailShown;
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
    /// An HTML page with status 200, before the work.
    Html,
    /// A fault without a reason with status 200, before the work.
    FaultWith200,
    /// A fault without a reason, before the work.
    FaultBefore,
    /// The work is done, then a fault without a reason is answered.
    FaultAfter,
    /// The credentials are refused, before the work.
    Refused,
    /// The work is done; of the answer only so many bytes come, with a length to match. 0: half of them.
    Truncate(usize),
    /// The work is done; half of the answer comes, with the length of all of it, and the connection ends.
    WrongLength,
    /// The work is done; 200 without a body.
    EmptyBody,
    /// 307 to this address, before the work.
    Redirect(String),
    /// The answer of another operation, before the work.
    WrongOperation,
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

/// The order in which contacts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// By lastUpdateDate, then by id.
    #[default]
    Stamp,
    /// By id.
    Id,
    /// By lastUpdateDate; equal ones in another order at each call.
    Shuffled,
}

/// What `moreRecords` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MoreRecords {
    /// The truth.
    #[default]
    Honest,
    /// There are always more.
    AlwaysTrue,
    /// There are never more.
    AlwaysFalse,
}

/// How an empty list is answered (contactlist.md §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptyList {
    /// An empty result element.
    #[default]
    Element,
    /// No result element.
    Absent,
    /// A fault, "ERROR: No contacts found for this site."
    Fault,
}

/// What an absent string, or an array where it is present, does to an existing contact (contactlist.md §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingString {
    /// The string stays.
    #[default]
    Keeps,
    /// The string is cleared.
    Clears,
}

/// What an empty element does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptyString {
    /// It is kept as an empty string and shown as an empty element.
    #[default]
    Kept,
    /// The value is cleared and shown as absent.
    Absent,
    /// It is ignored.
    Ignored,
}

/// What a present array does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrays {
    /// It replaces everything.
    #[default]
    Replace,
    /// Its items replace those of the same type id, or are added.
    Merge,
}

/// What happens to a known e-mail address under an External ID that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KnownEmail {
    /// Another contact is made.
    #[default]
    Insert,
    /// The contact of that address is taken over and gets the new External ID.
    Adopt,
    /// The whole request is refused.
    Refuse,
}

/// What a deletion leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Deletion {
    /// The contact stays in the list with its flag and a new stamp.
    #[default]
    Flag,
    /// The contact is gone without a trace.
    Vanish,
}

/// How a look-up answers when there is no such contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NotFound {
    /// A fault, "ERROR: Contact record could not be retrieved."
    #[default]
    Fault,
    /// A response without its result.
    Absent,
}

/// What the service does to a text that it takes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// Only so many characters stay.
    Truncate(usize),
    /// Spaces at both ends go.
    Trim,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
    /// The element counts as not sent.
    Ignore,
}

/// The habits of the service. The default is the best reading of contactlist.md.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each is named and typed after what its type's documentation says.
pub struct Quirks {
    pub order: Order,
    /// Whether contacts changed exactly at lastUpdateDate are left out.
    pub exclusive_bound: bool,
    /// Whether recordStart is rounded down to a whole page.
    pub whole_pages: bool,
    pub more_records: MoreRecords,
    pub empty_list: EmptyList,
    /// The share of pushed elements that vanish without a word.
    pub drop_elements: f64,
    /// A batch that holds this text anywhere is refused.
    pub poison: Option<String>,
    /// Whether the elements before the poisoned one are stored nevertheless.
    pub poison_keeps_earlier: bool,
    /// By element name, wherever it stands in a contact.
    pub mangled: Vec<(String, Mangle)>,
    pub missing_string: MissingString,
    pub empty_string: EmptyString,
    pub arrays: Arrays,
    pub known_email: KnownEmail,
    pub deletion: Deletion,
    /// Whether a look-up of a contact that is marked deleted answers as if there were none.
    pub hide_deleted: bool,
    pub not_found: NotFound,
    /// How wrong the service's clock is, in seconds.
    pub clock_offset: i64,
    /// Up to how many seconds reads lag behind writes; 0: not at all.
    pub stale_reads: i64,
    pub email_shown: EmailShown,
    /// Whether stamps hold and show milliseconds.
    pub fractions: bool,
    /// Whether faults are worded as .NET words them, without the exception's name before them and the stack behind.
    pub plain_faults: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            order: Order::default(),
            exclusive_bound: false,
            whole_pages: false,
            more_records: MoreRecords::default(),
            empty_list: EmptyList::default(),
            drop_elements: 0.0,
            poison: None,
            poison_keeps_earlier: false,
            mangled: Vec::new(),
            missing_string: MissingString::default(),
            empty_string: EmptyString::default(),
            arrays: Arrays::default(),
            known_email: KnownEmail::default(),
            deletion: Deletion::default(),
            hide_deleted: false,
            not_found: NotFound::default(),
            clock_offset: 0,
            stale_reads: 0,
            email_shown: EmailShown::default(),
            fractions: false,
            plain_faults: false,
        }
    }
}

/// Faults and quirks together, as a simulator has them at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Switches {
    /// What befalls requests.
    pub rules: Vec<Rule>,
    /// What the service is like.
    pub quirks: Quirks,
}
