//! What a bridge remembers, behind [`StateStore`]: sled (embedded, the default), SQLite, PostgreSQL (shared), memory.
//!
//! A store keeps bytes under keys in named tables and commits batches whole and durably. It must not know what the
//! bytes mean. Each value carries its own checksum; a damaged one is an error, never a missing one.

mod barrier;
mod contain;
#[cfg(test)]
mod contract;
mod envelope;
mod fault;
mod files;
mod key;
mod location;
mod lock;
mod marker;
mod memory;
mod moving;
mod open;
mod overlay;
mod postgres;
mod second;
mod sled;
mod sqlite;

pub use key::StateKey;
pub use location::StateLocation;
pub use lock::{Holder, StoreLock};
pub use memory::MemoryStore;
pub use moving::{Move, Moved};
pub use open::{
    AnyStore, DEFAULT_FREE_BYTES_MIN, LastPass, Overview, StateLimits, amend_status, exists,
    holder, last_pass, leave_status, open, overview, read_status, set_aside, take_seat,
};
pub use overlay::Overlay;
pub use postgres::{DEFAULT_LEASE, DEFAULT_SCHEMA, PostgresStore, SharedPlace, shared_state_sql};
pub use second::{First, Second};
pub use sled::SledStore;
pub use sqlite::SqliteStore;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::model::{Error, Result};

/// The tables of a store. The number is part of the format on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Single facts: schema, store id, generation, epoch, watermarks, fingerprints, the last run.
    Meta = 1,
    /// Links, by remote id.
    Link = 2,
    /// Remote id and row digest, by the local key's bytes (order of keys).
    ByLocal = 3,
    /// Announced writes that are not proved yet.
    Intent = 4,
    /// Remote records and rows that died.
    Tomb = 5,
    /// What waits for a person: reviews.
    Review = 6,
    /// What can't be applied: quarantine.
    Quarantine = 7,
    /// Remote records that are known but not linked (held, or one-way): identity hashes for correlation.
    Stranger = 8,
    /// Journalled ids and sealed messages (queue and webhook kinds).
    Inbox = 9,
    /// Messages to be sent (data-sync).
    Outbox = 10,
    /// Settled conflicts, kept 30 days.
    Settled = 11,
    /// As [`Table::Meta`], for the second object of a bridge (the transactions of data-sync); see [`Second`].
    Meta2 = 12,
    /// As [`Table::Link`], for the second object.
    Link2 = 13,
    /// As [`Table::ByLocal`], for the second object.
    ByLocal2 = 14,
    /// As [`Table::Intent`], for the second object.
    Intent2 = 15,
    /// As [`Table::Tomb`], for the second object.
    Tomb2 = 16,
    /// As [`Table::Review`], for the second object.
    Review2 = 17,
    /// As [`Table::Quarantine`], for the second object.
    Quarantine2 = 18,
    /// As [`Table::Stranger`], for the second object.
    Stranger2 = 19,
    /// As [`Table::Inbox`], for the second object.
    Inbox2 = 20,
    /// As [`Table::Settled`], for the second object.
    Settled2 = 21,
}

impl Table {
    /// All tables, in the order of their numbers.
    pub const ALL: [Table; 21] = [
        Table::Meta,
        Table::Link,
        Table::ByLocal,
        Table::Intent,
        Table::Tomb,
        Table::Review,
        Table::Quarantine,
        Table::Stranger,
        Table::Inbox,
        Table::Outbox,
        Table::Settled,
        Table::Meta2,
        Table::Link2,
        Table::ByLocal2,
        Table::Intent2,
        Table::Tomb2,
        Table::Review2,
        Table::Quarantine2,
        Table::Stranger2,
        Table::Inbox2,
        Table::Settled2,
    ];

    /// The table that holds the same for the second object. The outbox is one for both: its messages leave in one order.
    pub fn second(self) -> Self {
        match self {
            Table::Meta | Table::Meta2 => Table::Meta2,
            Table::Link | Table::Link2 => Table::Link2,
            Table::ByLocal | Table::ByLocal2 => Table::ByLocal2,
            Table::Intent | Table::Intent2 => Table::Intent2,
            Table::Tomb | Table::Tomb2 => Table::Tomb2,
            Table::Review | Table::Review2 => Table::Review2,
            Table::Quarantine | Table::Quarantine2 => Table::Quarantine2,
            Table::Stranger | Table::Stranger2 => Table::Stranger2,
            Table::Inbox | Table::Inbox2 => Table::Inbox2,
            Table::Outbox => Table::Outbox,
            Table::Settled | Table::Settled2 => Table::Settled2,
        }
    }
}

/// Writes that become durable together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Table, key, and value to put or `None` to remove; for one key the last counts.
    pub writes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push((table, key.into(), Some(value.into())));
    }

    /// Removes a key.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.writes.push((table, key.into(), None));
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// The way to durability of a batch that was handed to [`StateStore::commit`].
///
/// The batch is visible to reads at once, and durable when this future answers Ok. Dropping it does not cancel it.
/// After an error the store refuses everything more until it is opened again.
pub enum Durable {
    /// Known already.
    Ready(Option<Result<()>>),
    /// A thread is at it.
    Later(tokio::sync::oneshot::Receiver<Result<()>>),
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self {
            Self::Ready(result) => Poll::Ready(result.take().unwrap_or_else(|| {
                Err(Error::unexpected(
                    "E-STATE-COMMIT",
                    "The outcome of a commit was asked for twice",
                ))
            })),
            Self::Later(receiver) => Pin::new(receiver).poll(context).map(|answer| {
                answer.unwrap_or_else(|_| {
                    Err(Error::unexpected(
                        "E-STATE-COMMIT",
                        "The thread that makes commits durable ended before it answered. Run again: what was not durable is done again",
                    ))
                })
            }),
        }
    }
}

/// Durable storage of one bridge, owned by one process at a time.
///
/// Opening takes the lock (`E-STATE-LOCKED`, exit 6, naming pid and start of the holder where known), checks the marker and the
/// schema, and never makes a new store in the place of a damaged one (`E-STATE-CORRUPT`, exit 7).
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait StateStore {
    /// The value of a key.
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The values of many keys, in the order asked for.
    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>>;

    /// At most `limit` pairs in the order of keys, strictly after `after` (from the first, where `None`).
    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Commits a batch: the only way to write. See [`Durable`].
    fn commit(&self, batch: Batch) -> Durable;

    /// Whether this opener took a shared store over from a holder that never gave it back, and that may still be at work. It can't
    /// commit any more; before anything is read, the caller keeps it from writing to the customer's database as well, and
    /// says so with [`StateStore::fenced`].
    fn overtook(&self) -> bool {
        false
    }

    /// The holder that was taken over can't write anywhere any more.
    async fn fenced(&self) -> Result<()> {
        Ok(())
    }

    /// Makes sure, right before something is sent, that a shared store is still this opener's, and that its lease has its whole
    /// length before it. `E-FENCED` (exit 6) where it is another's.
    async fn still_held(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_known_outcome_is_handed_over_once() {
        let mut durable = Durable::Ready(Some(Ok(())));
        assert!((&mut durable).await.is_ok());
        assert_eq!(durable.await.unwrap_err().code(), "E-STATE-COMMIT");
    }

    #[tokio::test]
    async fn a_thread_that_dies_is_an_error_and_not_a_success() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        drop(sender);
        let error = Durable::Later(receiver).await.unwrap_err();
        assert_eq!(error.code(), "E-STATE-COMMIT");
        assert_eq!(error.kind(), crate::model::ErrorKind::Unexpected);
    }

    #[test]
    fn the_table_numbers_are_part_of_the_format() {
        let numbers: Vec<u8> = Table::ALL.iter().map(|table| *table as u8).collect();
        assert_eq!(numbers, (1..=21).collect::<Vec<u8>>());
    }
}
