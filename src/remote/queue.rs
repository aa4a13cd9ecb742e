//! A service that keeps a queue of the records that changed, and drops what was confirmed.
//!
//! The queue names records and perhaps reasons; what they look like now is asked for apart. Source: seeds 000 and 001,
//! `association-anywhere.md` §5 to §7. Nothing here remembers anything: what was read is safe only once the engine has
//! committed it.

use std::collections::BTreeSet;

use super::Remote;
use crate::model::{RemoteId, RemoteItem, Result};

/// How much of a record its reasons say has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything, or nothing is known of it.
    Whole,
    /// These sections alone (names as documents have them), beside what every answer holds.
    Sections(BTreeSet<String>),
}

impl Scope {
    /// What two readings together call for.
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sections(mut one), Self::Sections(other)) => {
                one.extend(other);
                Self::Sections(one)
            }
            _ => Self::Whole,
        }
    }
}

/// One record in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which record.
    pub id: RemoteId,
    /// What its reasons say has changed.
    pub scope: Scope,
    /// A reason says that the record was deleted.
    pub deleted: bool,
    /// A digest of everything the queue says of the record: equal in two readings means that nothing was added. Not secret, not
    /// keyed. Where a record comes again in a later step of one reading, the marks add up (wrapping).
    pub mark: u64,
}

/// One step of reading a queue.
#[derive(Debug, PartialEq, Eq)]
pub enum QueueStep {
    /// Records, in the service's order. A record may come again in a later step; its readings add up.
    Records(Vec<Queued>),
    /// The queue was read to its end.
    End {
        /// Up to which number everything that was handed over may be purged; `None` when the answer did not say, or
        /// said something that can't be one (`doubt` tells what).
        number: Option<String>,
        /// Why there is no number although the answer seemed to have one, or records and none.
        doubt: Option<String>,
    },
}

/// A queue that is being read.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait QueueReading {
    /// The next step. After [`QueueStep::End`] it must not be called again. An error (an answer that breaks off, or is no
    /// queue) leaves what was handed over valid as records that may have changed, and there is nothing to purge.
    async fn next(&mut self) -> Result<QueueStep>;
}

/// What became of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// The service says that it did it.
    Done,
    /// No answer, or one that says neither yes nor no: the next reading of the queue tells. The same number may be sent again.
    Unknown {
        /// What happened to the call.
        reason: String,
    },
}

/// A service that queues changed records. It is only read from (`Vocabulary::writable` is false) and lists nothing.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait Queue: Remote {
    /// A queue that is being read.
    type Reading: QueueReading;

    /// Begins to read the queue, from its start. Reading takes nothing out of it.
    async fn queue(&self) -> Result<Self::Reading>;

    /// The present state of these records, in any order, from as many requests as the settings call for. Requests that fail because of
    /// one record are halved until it stands alone; it comes as [`RemoteItem::Bad`] with its id. A record that a good
    /// answer left out was asked for once more alone, and if that left it out too, it is in no item. An error says nothing about any of them.
    async fn details(&self, ids: &[RemoteId], scope: &Scope) -> Result<Vec<RemoteItem>>;

    /// Whether the queue is kept by ourselves: then what it can't tell of is no sign of a service that is out of order.
    fn is_own(&self) -> bool {
        false
    }

    /// Those of these records whose present state can be asked for at all, in their order. A service knows all of its records;
    /// a queue of our own knows those that it has messages of.
    async fn tellable(&self, ids: Vec<RemoteId>) -> Result<Vec<RemoteId>> {
        Ok(ids)
    }

    /// Confirms everything up to `number`, as [`QueueStep::End`] gave it. Repeating it is harmless. A refusal is an error.
    async fn purge(&self, number: &str) -> Result<Purged>;
}
