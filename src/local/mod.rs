//! The local side: tables of the customer's SQL database, and our three small tables beside them.
//!
//! It reads and writes rows as cells and keeps the bookkeeping in the same transactions. It must not know remote
//! documents, transforms or policies, and it decides nothing about a record but "is this row still as the plan saw it".

use chrono::{DateTime, Utc};

use crate::model::{Cell, Digest, LocalKey, RemoteId, Result};

mod any;
#[cfg(test)]
mod contract;
mod dialect;
mod digest;
mod fold;
mod instant;
mod mysql;
mod names;
mod postgres;
mod problem;
mod server;
mod sqlite;

pub use any::AnyLocal;
pub use dialect::{Dialect, bookkeeping_sql};
pub use problem::{Description, JournalState, Problem};
#[cfg(test)]
pub(crate) use server::tests::{Fresh, Server};
pub use server::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_STATEMENT_TIMEOUT};
pub use sqlite::{
    DEFAULT_APPLIED_KEPT, DEFAULT_BUSY_TIMEOUT, DEFAULT_CACHE_KIB, DEFAULT_COLUMN_OVERLAP,
    DEFAULT_FIND_INDEX_ROWS, DEFAULT_MAX_CHANGED_KEYS, SqliteLocal, SqliteOptions,
};

/// What [`Local::meta`] finds in `contactbridge_meta` for this bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMeta {
    /// The id of the state store that this database was synchronised with.
    pub store_id: String,
    /// Rises with each run that wrote anything.
    pub generation: u64,
    /// The epoch of the last run that wrote here.
    pub epoch: u64,
}

/// Which run is writing; every transaction fails with `E-FENCED` when another store or a newer epoch stands in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The id of our state store.
    pub store_id: String,
    /// The epoch of this run.
    pub epoch: u64,
}

/// A row of the mapped table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key.
    pub key: LocalKey,
    /// One cell per field of the mapping, in the mapping's order.
    pub cells: Vec<Cell>,
    /// A keyed digest of the cells and of the mark.
    pub digest: Digest,
    /// When the row was last changed, where the way of finding changes tells (journal, column).
    pub changed_at: Option<DateTime<Utc>>,
    /// The row is marked as deleted by the mapping's `deleted` column.
    pub marked: bool,
}

/// A chunk of a scan in the order of keys.
#[derive(Debug, Default, PartialEq)]
pub struct RowChunk {
    /// The rows that the caller's filter chose.
    pub rows: Vec<Row>,
    /// The key to go on after; `None` when the table is read to its end.
    pub next: Option<LocalKey>,
    /// How many rows were looked at.
    pub seen: u64,
}

/// What changed since a position.
#[derive(Debug, PartialEq, Eq)]
pub enum LocalChanges {
    /// This way of finding changes has no memory (`changes: scan`), or its memory does not reach back: scan everything.
    ScanNeeded,
    /// No other keys than these have changed, each with the time of its last change where known.
    Keys {
        /// The keys, without repetition, in their order; some may be unchanged, or gone where deletions are included.
        keys: Vec<(LocalKey, Option<DateTime<Utc>>)>,
        /// The position to commit once they are all in custody.
        position: String,
        /// Whether the keys of deleted rows are among them. `changes: {column}` can't see a deletion: the caller
        /// finds it by comparing the keys that it knows with a [`Local::scan`] that chooses nothing.
        deletions_included: bool,
    },
}

/// The rows of one child table that stand for the parts of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildSet {
    /// Which rule of the mapping's `children`.
    pub rule: usize,
    /// The parts, each with one cell per field of the rule.
    pub rows: Vec<Vec<Cell>>,
    /// Digests ([`crate::model::Vault::part_digest`]) of the key cells of the parts that stood there at the last agreement: those
    /// that are gone are deleted, while rows that never stood for a part stay untouched.
    pub formerly: Vec<Digest>,
}

/// The child rows of one parent: one list per rule of the mapping's `children`, each row with one cell per field of the rule, in
/// the order of the rule's key.
pub type Children = Vec<Vec<Vec<Cell>>>;

/// Puts child rows into the order of their key cells: numbers as numbers, and what is the same in all of them as it stood.
fn in_key_order(rows: &mut [Vec<Cell>], key: &[usize]) {
    fn rank(cell: Option<&Cell>) -> (u8, i64, &str) {
        match cell {
            None | Some(Cell::Null | Cell::Blob(_)) => (0, 0, ""),
            Some(Cell::Int(number)) => (1, *number, ""),
            Some(Cell::Real(number)) => (1, *number as i64, ""),
            Some(Cell::Text(text)) => (2, 0, text),
        }
    }
    let ranks = |row: &[Cell], other: &[Cell]| {
        key.iter()
            .map(|at| rank(row.get(*at)).cmp(&rank(other.get(*at))))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    };
    rows.sort_by(|row, other| ranks(row, other));
}

/// A row of `contactbridge_links`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// The row's key.
    pub key: LocalKey,
    /// The External ID that was reserved before the first send.
    pub external_id: Option<String>,
    /// The remote's id, once known.
    pub remote_id: Option<RemoteId>,
}

/// One write, done whole or not at all. Many of them share a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum RowWrite {
    /// A new row, with its link.
    Insert {
        /// One cell per field; `None` leaves the column to its default.
        cells: Vec<Option<Cell>>,
        /// Child rows.
        children: Vec<ChildSet>,
        /// The remote record that it stands for.
        remote_id: RemoteId,
        /// Its External ID, if it has one.
        external_id: Option<String>,
    },
    /// Changes columns of a row that must still have `expect` as its digest.
    Update {
        /// Which row.
        key: LocalKey,
        /// The digest that the plan was made on.
        expect: Digest,
        /// Field index and new cell.
        cells: Vec<(usize, Cell)>,
        /// Child tables to settle.
        children: Vec<ChildSet>,
        /// Takes the mark of deletion off.
        revive: bool,
        /// Written to `contactbridge_links` where given.
        link: Option<LinkRow>,
    },
    /// Deletes the row (child rows first) and its link, or marks it where the mapping has a `deleted` column (child rows and
    /// link stay).
    Delete {
        /// Which row.
        key: LocalKey,
        /// The digest that the plan was made on.
        expect: Digest,
    },
    /// Writes `contactbridge_links` alone, the whole row of it: a pair was found by match, or an External ID is reserved.
    /// Refused with `E-LINK-TAKEN` when another living row has that remote id or External ID.
    Link(LinkRow),
    /// Takes the row out of `contactbridge_links`.
    Unlink(LocalKey),
}

/// What became of one [`RowWrite`].
#[derive(Clone, Debug, PartialEq)]
pub enum RowOutcome {
    /// Done; the row as re-read inside the transaction (triggers of the database may have changed it), the marked row where a
    /// delete only marks. `None` for real deletes and for links.
    Written(Option<Row>),
    /// An insert was left out, because `contactbridge_links` has a row for this remote record already: a run was killed after
    /// its transaction, or somebody linked it meanwhile. This is the row, marked or not; plan the two as a pair.
    Exists(Row),
    /// The row is no longer as the plan saw it (or is gone): left out, to be planned again.
    Moved,
    /// The database refuses this row (a constraint); the others of the transaction are not harmed.
    Refused {
        /// A stable code such as `E-FIELD-CONSTRAINT`.
        code: &'static str,
        /// What was refused, naming constraint and column but no value.
        reason: String,
    },
}

/// The customer's database.
///
/// One transaction per [`Local::apply`]; somebody else's process may write to the same tables at any other moment.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait Local {
    /// Our row in `contactbridge_meta`; `None` when the table or the row is missing.
    async fn meta(&mut self) -> Result<Option<LocalMeta>>;

    /// Makes what is missing: bookkeeping tables always, mapped tables and columns under `create: true`, triggers for `changes: journal`.
    /// Writes nothing when all of it is there. Called by a run before its first read, never by `plan` or `check`.
    async fn prepare(&mut self) -> Result<()>;

    /// Whether the mapped table exists (it may not, before the first sync with `create: true`).
    async fn exists(&mut self) -> Result<bool>;

    /// How many rows live (not marked) in the mapped table.
    async fn live_rows(&mut self) -> Result<u64>;

    /// What changed since `position` (as an earlier call gave it; `None` at the very first).
    async fn changes(&mut self, position: Option<&str>) -> Result<LocalChanges>;

    /// The position from which [`Local::changes`] would find what happens from now on: taken *before* a scan. `None` under `changes: scan`.
    async fn position(&mut self) -> Result<Option<String>>;

    /// Reads on in the order of keys. `choose` is called for every row with its key and digest, in order; only the rows
    /// for which it answers true are handed over.
    async fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> Result<RowChunk>;

    /// Reads rows by key, in the order asked for; `None` where there is none.
    async fn fetch(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<Row>>>;

    /// The child rows of these parents, in the order asked for. An empty list per rule where there are none.
    async fn children(&mut self, keys: &[LocalKey]) -> Result<Vec<Children>>;

    /// All rows (marked ones too) whose column of `field` equals one of `values` under the field's normalisation as
    /// far as SQL can tell: a superset of the true matches is fine, a miss is not.
    async fn find(&mut self, field: usize, values: &[String]) -> Result<Vec<Row>>;

    /// Rows of `contactbridge_links` by remote id, in the order asked for.
    async fn links_by_remote(&mut self, ids: &[RemoteId]) -> Result<Vec<Option<LinkRow>>>;

    /// Rows of `contactbridge_links` by key, in the order asked for.
    async fn links_by_key(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<LinkRow>>>;

    /// All rows of `contactbridge_links` in the order of their keys' bytes, for a re-link.
    async fn links(&mut self, after: Option<&LocalKey>, limit: usize) -> Result<Vec<LinkRow>>;

    /// Applies a group in one transaction, behind the fence. The outcomes stand in the order of the writes.
    /// `E-FENCED` (exit 6): another run has overtaken this one; nothing was written.
    async fn apply(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Vec<RowOutcome>>;

    /// Records the generation at the end of a run that wrote something.
    async fn seal(&mut self, fence: &Fence, generation: u64) -> Result<()>;

    /// Takes this bridge's bookkeeping over for a new store (`reseed --relink`).
    async fn adopt(&mut self, fence: &Fence, generation: u64) -> Result<()>;
}
