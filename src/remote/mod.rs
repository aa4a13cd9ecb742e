//! The remote side: one folder per kind of service, each behind [`Remote`].
//!
//! A remote decodes records into documents and writes documents; it must not know mappings, links or the state store,
//! and it must not decide anything about a record beyond what the wire says.

use crate::model::{Document, Error, RemoteId, RemoteItem, Result, Stamp, Vocabulary};

pub mod association_anywhere;
pub mod contactlist;
pub mod data_sync;
pub mod http;
mod queue;
mod redact;
pub mod xml;
mod zone;

pub use queue::{Purged, Queue, QueueReading, QueueStep, Queued, Scope};

/// What a look-up asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// The service's own id.
    Id(RemoteId),
    /// The caller's own key.
    External(String),
    /// The e-mail address.
    Email(String),
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record (perhaps one that is marked deleted), or one that can't be decoded.
    Item(Box<RemoteItem>),
    /// The service says that there is none. Its words for that may also cover other failures, so this alone
    /// proves no deletion (user contract, section 4).
    Nothing,
}

/// How an outgoing record is addressed. The service matches by the External ID when it is present, else by e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// By the External ID that stands in the document.
    External,
    /// By this e-mail address, which the service knows already (or, for a create, shall know).
    Email(String),
}

/// A whole record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The record, composed on a fresh look-up (or, for a create, on [`Remote::blank`]).
    pub document: Document,
    /// How the service shall find it.
    pub address: Address,
}

/// What became of a batch, as far as the answer tells. Whatever it says, only reading back proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The service answered that it took the batch.
    Accepted,
    /// The service answered with a fault: none, some or all of it may have landed.
    Refused {
        /// The fault's sentence, at most 120 printable characters, redacted.
        reason: String,
    },
    /// No answer, or one that can't be understood: it may have landed, or may still land.
    Unknown {
        /// What happened to the call.
        reason: String,
    },
}

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The service says that it did it.
    Done,
    /// The service says that it knows no such record.
    Unknown,
    /// The service refused, with its sentence.
    Refused(String),
}

/// One step of a scan.
#[derive(Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// Records in the service's order; the seam with the page before has been checked. One that was modified while the
    /// scan went on may come a second time, with a later stamp.
    Records(Vec<RemoteItem>),
    /// The set moved while it was read: everything is read again from the start. Records handed over before stay
    /// valid as records, but say nothing about absence.
    Restarted,
    /// The scan is complete.
    End(ScanEnd),
}

/// What a complete scan knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// The service's own time when the scan began (never our clock): the watermark never passes it. `None` when the
    /// service gave no `Date` header and no record.
    pub server_time: Option<Stamp>,
    /// The newest stamp among the records that were read.
    pub newest: Option<Stamp>,
    /// How many distinct records the last attempt read.
    pub count: u64,
}

/// A scan under way.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait RemoteScan {
    /// The next step. After [`ScanStep::End`] it must not be called again.
    ///
    /// Errors: `E-SCAN-UNSTABLE` after three attempts that did not hold, `E-PAGING`, and whatever a call gives.
    async fn next(&mut self) -> Result<ScanStep>;
}

/// A service that lists records by the time of their last change and can be written to.
///
/// Methods take `&self`: several calls may be in flight at once, as many as the settings allow.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait Remote {
    /// A scan of this service.
    type Scan: RemoteScan;

    /// What documents of this service look like.
    fn vocabulary(&self) -> &Vocabulary;

    /// Begins a stable scan of the records changed at or after `since`; `None` reads everything there is.
    ///
    /// As written here for a service that lists nothing: `E-INVARIANT`, for its queue is what is read.
    async fn scan(&self, since: Option<Stamp>) -> Result<Self::Scan> {
        let _ = since;
        Err(not_offered(self.vocabulary(), "lists no records"))
    }

    /// Looks one record up. Reads are retried within bounds; what remains is an error, never [`Found::Nothing`].
    async fn look_up(&self, by: &LookUp) -> Result<Found>;

    /// Sends a batch of whole records in one call. Never retried in here. An error means that nothing was sent.
    ///
    /// As written here for a service whose vocabulary is not writable: `E-INVARIANT`.
    async fn push(&self, batch: &[Outgoing]) -> Result<Pushed> {
        let _ = batch;
        Err(not_offered(self.vocabulary(), "can't be written to"))
    }

    /// Deletes by the service's own id. Never retried in here; an error means that the outcome is unknown.
    ///
    /// As written here for a service whose vocabulary is not writable: `E-INVARIANT`.
    async fn delete(&self, id: &RemoteId) -> Result<Deleted> {
        let _ = id;
        Err(not_offered(self.vocabulary(), "can't be written to"))
    }

    /// A document for a new record: every element that must not be left out, with its neutral value.
    /// As written here for a service whose vocabulary is not writable: a document without a name.
    fn blank(&self) -> Document {
        Document::new()
    }

    /// Calls made so far, retries included.
    fn requests(&self) -> u64;

    /// The service's present wall time by the newest `Date` header, advanced by what has passed since; `None` before the first answer.
    fn server_time(&self) -> Option<Stamp>;

    /// The service's clock minus ours, from the newest `Date` header.
    fn clock_difference(&self) -> Option<chrono::Duration>;

    /// The hidden hour: whether this wall time happens twice in the service's zone (autumn), so that it can't be ordered.
    fn is_ambiguous(&self, stamp: Stamp) -> bool;

    /// The instant of a stamp in the service's zone; the earlier one when ambiguous, shifted forward out of a gap.
    fn instant(&self, stamp: Stamp) -> chrono::DateTime<chrono::Utc>;

    /// The wall time of an instant in the service's zone.
    fn stamp(&self, instant: chrono::DateTime<chrono::Utc>) -> Stamp;
}

/// The scan of a service that has none: there is no value of it.
#[derive(Debug)]
pub enum NoScan {}

impl RemoteScan for NoScan {
    async fn next(&mut self) -> Result<ScanStep> {
        match *self {}
    }
}

/// An error for a caller that asks a service for what its kind does not have; whoever called should have known.
fn not_offered(vocabulary: &Vocabulary, what: &str) -> Error {
    Error::unexpected(
        "E-INVARIANT",
        format!(
            "{} {what}, and was asked to all the same; nothing was sent. This is a fault of the program: report it",
            vocabulary.kind
        ),
    )
}
