//! The shared store: many bridges in one schema of a PostgreSQL database, and leases so that many machines can share the work.
//!
//! A bridge is leased by one worker at a time. Each lease has an epoch, and every commit checks it inside its own transaction: a
//! worker that was overtaken while it slept writes nothing more. The store keeps bytes; it must not interpret values, and
//! never makes a new store in the place of a damaged one.

mod connection;
pub(super) mod desk;
mod entries;
mod fault;
mod keeper;
mod lease;
mod place;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use lease::DEFAULT_LEASE;
pub use place::{DEFAULT_SCHEMA, SharedPlace};
pub use schema::shared_state_sql;

use keeper::{Opened, Request, Wanted};
use lease::Lease;

use super::fault::Fault;
use super::{Batch, Durable, StateStore, Table};
use crate::model::{Error, Result};

/// One bridge's state in a shared database, with its lease.
pub struct PostgresStore {
    /// `None` once it is closed.
    requests: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<Fault>,
    /// As it was taken; `None` before it is.
    lease: Option<Lease>,
}

impl PostgresStore {
    /// Takes the lease of `bridge` for `lease` at a time and opens its store, making it with `initial` where there is none. The
    /// second value says whether it is new. `arriving`: whether one whose move here has not come to its end will do.
    ///
    /// `E-STATE-LOCKED` (exit 6), which says who holds it; `E-STATE-UNREACHABLE` and its like (exit 5); `E-STATE-ARRIVING`,
    /// `E-STATE-CORRUPT` (exit 7).
    pub async fn open(
        place: &SharedPlace,
        bridge: &str,
        lease: Duration,
        initial: Batch,
        arriving: bool,
    ) -> Result<(Self, bool)> {
        place.check()?;
        let wanted = Wanted {
            place: place.clone(),
            bridge: bridge.to_owned(),
            lease,
            initial,
            arriving,
        };
        let fault = Arc::new(Fault::default());
        let noted = Arc::clone(&fault);
        let (requests, queue) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel();
        let runtime = desk::runtime()?;
        let thread = std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || runtime.block_on(keeper::run(wanted, noted, queue, tell)))
            .map_err(|cause| {
                Error::needs_person("E-RUNTIME", "The system gives no threads to work with")
                    .caused_by(cause)
            })?;
        // From here on, whatever happens, the thread is waited for.
        let mut store = Self {
            requests: Some(requests),
            thread: Some(thread),
            fault,
            lease: None,
        };
        let Opened { created, lease } = told.await.unwrap_or_else(|_| Err(ended()))?;
        store.lease = Some(lease);
        Ok((store, created))
    }

    /// Leaves what `status` shows at the end of a pass; nothing, where another worker has taken the bridge over since.
    pub(super) fn leave_status(
        &self,
        place: &SharedPlace,
        bridge: &str,
        json: &[u8],
    ) -> Result<()> {
        desk::leave_status(place, bridge, json, true, self.lease.as_ref())
    }

    /// Waits until everything is committed, gives the lease back and ends the store.
    pub fn close(mut self) -> Result<()> {
        self.end();
        self.fault.check()
    }

    fn end(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It has noted what it could not do; one that panicked has said so itself.
            let _ = thread.join();
        }
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T>>) -> Request) -> Result<T> {
        self.fault.check()?;
        let (answer, answered) = oneshot::channel();
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send(make(answer)).is_ok());
        if !sent {
            return Err(ended());
        }
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// A store that is dropped gives its lease back all the same, so that the next run need not wait for it to run out.
impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.end();
    }
}

fn ended() -> Error {
    Error::unexpected(
        "E-STATE-THREAD",
        "The thread that keeps the state ended before it answered. Run again: what was not durable is done again",
    )
}

impl StateStore for PostgresStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = vec![key.to_vec()];
        let mut found = self.ask(|answer| Request::Get(table, key, answer)).await?;
        Ok(found.pop().flatten())
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let keys = keys.to_vec();
        self.ask(|answer| Request::Get(table, keys, answer)).await
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let after = after.map(<[u8]>::to_vec);
        self.ask(|answer| Request::Range(table, after, limit, answer))
            .await
    }

    fn commit(&self, batch: Batch) -> Durable {
        if let Err(error) = self.fault.check() {
            return Durable::Ready(Some(Err(error)));
        }
        let (answer, answered) = oneshot::channel();
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send(Request::Commit(batch, answer)).is_ok());
        if sent {
            Durable::Later(answered)
        } else {
            Durable::Ready(Some(Err(ended())))
        }
    }

    fn overtook(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.overtook)
    }

    async fn fenced(&self) -> Result<()> {
        self.ask(Request::Fenced).await
    }

    async fn still_held(&self) -> Result<()> {
        self.ask(Request::StillHeld).await
    }
}
