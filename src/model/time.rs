//! Times of the services, and the port through which the engine reaches clock, sleep and randomness.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// A time on the *remote's own* clock, in the remote's own wall time (ContactList: the site's zone, without offset).
///
/// It is a type of its own so that it can't be compared with our clock by accident (hazards H-05, H-06, H-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(pub NaiveDateTime);

/// A signal that asks a run to stop at its next safe point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// The engine's only way to the clock, to sleep, to randomness and to the outside's wish to stop.
///
/// Production has one implementation; the deterministic simulator has another, in which a checkpoint may crash the
/// run, let users edit, or let time pass.
#[allow(async_fn_in_trait)] // The engine runs on one task; its futures need not be Send.
pub trait World {
    /// The machine's wall clock.
    fn now(&self) -> DateTime<Utc>;
    /// A clock that never steps back, for time-outs and leases.
    fn monotonic(&self) -> Duration;
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Fills `bytes` with randomness fit for keys and ids.
    fn random(&self, bytes: &mut [u8]);
    /// A numbered place in the order of commits (reliability C0…C9). Err ends the run as a kill would.
    async fn checkpoint(&self, name: &'static str) -> super::Result<()>;
    /// The signal that asked for a stop, if one did.
    fn interrupted(&self) -> Option<Signal>;
}
