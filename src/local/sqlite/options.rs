//! Limits of the SQLite side, each with a default that says why.

use std::time::Duration;

/// How long a statement waits for another program's lock: longer than any sane transaction of theirs, shorter than cron's patience.
pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of the connection: the upper levels of the tables of some million rows fit in.
pub const DEFAULT_CACHE_KIB: u32 = 16 * 1024;
/// Changed keys that are handed over at a time; beyond it a scan is cheaper and needs no memory.
pub const DEFAULT_MAX_CHANGED_KEYS: usize = 100_000;
/// How far behind the newest time `changes: {column}` reads again: a program may take that long from writing down the time to
/// its commit. What is read again unchanged costs a comparison.
pub const DEFAULT_COLUMN_OVERLAP: Duration = Duration::from_secs(120);
/// Rows up to which `find` keeps an index in memory (about 32 bytes a row and field); beyond it each call reads the table.
pub const DEFAULT_FIND_INDEX_ROWS: u64 = 2_000_000;
/// Operation ids kept in `contactbridge_applied`: only the newest is ever asked for, the others are for a person who looks.
pub const DEFAULT_APPLIED_KEPT: u32 = 64;

/// Limits of a [`SqliteLocal`](super::SqliteLocal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long a statement waits for another program's lock.
    pub busy_timeout: Duration,
    /// Page cache in KiB.
    pub cache_kib: u32,
    /// Changed keys that [`crate::local::Local::changes`] hands over; beyond it answers `ScanNeeded`.
    pub max_changed_keys: usize,
    /// How far behind its position `changes: {column}` reads again; at least a second.
    pub column_overlap: Duration,
    /// Rows up to which [`crate::local::Local::find`] keeps an index in memory.
    pub find_index_rows: u64,
    /// Operation ids kept in `contactbridge_applied`.
    pub applied_kept: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            busy_timeout: DEFAULT_BUSY_TIMEOUT,
            cache_kib: DEFAULT_CACHE_KIB,
            max_changed_keys: DEFAULT_MAX_CHANGED_KEYS,
            column_overlap: DEFAULT_COLUMN_OVERLAP,
            find_index_rows: DEFAULT_FIND_INDEX_ROWS,
            applied_kept: DEFAULT_APPLIED_KEPT,
        }
    }
}
