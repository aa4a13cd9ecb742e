//! What a bridge is to its keeper: a store that is opened and closed, passes, and questions that its store answers.

use chrono::{DateTime, Utc};

use super::control::{Answer, Question};
use crate::model::{Error, Result, Signal, World};
use crate::sync::{BridgeReport, RunOptions, Watch};

/// What came of a pass.
pub struct Passed {
    /// Its report.
    pub report: BridgeReport,
    /// The error behind it, for the exit code.
    pub error: Option<Error>,
}

/// What a bridge's last passes left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// When the last pass ended.
    pub last_run: Option<DateTime<Utc>>,
    /// When the last good one ended.
    pub last_good: Option<DateTime<Utc>>,
    /// The instant of the watermark, for kinds that have one.
    pub watermark: Option<DateTime<Utc>>,
    /// What waits in review.
    pub review: u64,
    /// What waits in quarantine.
    pub quarantined: u64,
    /// What is queued and not worked off, for kinds that have a queue.
    pub queue: Option<u64>,
    /// What is queued to be sent, for bridges that send messages.
    pub unsent: Option<u64>,
}

/// One bridge. It lives on its keeper's thread; nothing of it needs to be `Send`.
#[allow(async_fn_in_trait)] // A keeper is one task.
pub trait Work: 'static {
    /// Its open store. Others on the keeper's thread may use it, too, also while a pass runs.
    type Store: 'static;
    /// Its clock.
    type World: World;

    /// Its clock.
    fn world(&self) -> &Self::World;

    /// Opens its store; kind `Busy` where another holds it.
    async fn open(&self) -> Result<Self::Store>;

    /// Closes its store.
    fn close(&self, store: Self::Store) -> Result<()>;

    /// One pass. What it left behind is written when it comes back.
    async fn pass(&self, store: &Self::Store, options: &RunOptions, watch: &dyn Watch) -> Passed;

    /// Asks a pass under way to stop at its next safe point, or takes that back for the next one.
    fn ask_to_stop(&self, signal: Option<Signal>);

    /// A pass that did not come to run, or was cut off: leaves behind what it failed of.
    fn failed(&self, error: Error) -> Passed;

    /// Answers a question from the store.
    async fn answer(&self, store: &Self::Store, question: Question) -> Result<Answer>;

    /// What the last passes left behind.
    fn left(&self) -> Left;
}
