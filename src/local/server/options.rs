//! Limits of a side on a server, each with a default that says why.

use std::time::Duration;

use crate::local::sqlite::{
    DEFAULT_APPLIED_KEPT, DEFAULT_BUSY_TIMEOUT, DEFAULT_COLUMN_OVERLAP, DEFAULT_MAX_CHANGED_KEYS,
};

/// How long connecting may take: a server that answers at all does so in milliseconds, one behind a slow link in seconds.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one statement may take: a scan of some million rows on a slow disk fits, a connection that died silently ends.
pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Limits of a side on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct ServerOptions {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long a statement waits for another program's lock.
    pub lock_timeout: Duration,
    /// Changed keys that [`crate::local::Local::changes`] hands over; beyond it answers `ScanNeeded`.
    pub max_changed_keys: usize,
    /// How far behind its position `changes: {column}` reads again; at least a second.
    pub column_overlap: Duration,
    /// Operation ids kept in `contactbridge_applied`.
    pub applied_kept: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            statement_timeout: DEFAULT_STATEMENT_TIMEOUT,
            lock_timeout: DEFAULT_BUSY_TIMEOUT,
            max_changed_keys: DEFAULT_MAX_CHANGED_KEYS,
            column_overlap: DEFAULT_COLUMN_OVERLAP,
            applied_kept: DEFAULT_APPLIED_KEPT,
        }
    }
}
