//! One pass of a bridge: the run reads top to bottom in [`Engine::pass`].
//!
//! The deciding half (merge, correlate, plan, guard, resolve) is pure. The doing half reaches the world only through its
//! ports: two sides, the state store, and [`World`] for clock, sleep and randomness. Nothing here knows SOAP, SQL or files.

mod announce;
mod answers;
mod apply;
mod behind;
mod collect;
mod conclude;
mod correlate;
mod create;
mod echo;
mod guard;
mod held;
mod import;
mod memory;
mod merge;
mod messages;
mod newcomers;
mod plan;
mod planning;
mod push;
mod queue;
mod recover;
mod report;
mod reseed;
mod resolve;
mod review;
mod run;
mod seen;
mod settle;
mod start;
mod taken;
mod view;
mod window;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::local::Local;
use crate::mapping::Mapping;
use crate::model::{
    ConflictPolicy, DeletePolicy, Direction, Error, ErrorKind, Result, Stamp, Threshold, Vault,
    World,
};
use crate::remote::Remote;
use crate::state::StateStore;

pub use answers::{
    HeldValues, QuarantineAction, discard, quarantine, resolve as resolve_review, retry, reviews,
    values_of,
};
pub use guard::Stop;
pub use import::import_links;
pub use memory::{
    Decision, Facts, Intent, Link, Memory, Quarantined, Review, ReviewKind, Side, put_facts,
    put_json, put_link,
};
pub use messages::{Inbox, Keeper, MessageRules, Post, Unsent, send, unsent, waiting};
pub use plan::{Policies, Step};
pub use queue::{DEFAULT_PART, PurgeWhen, QueueRules};
pub use report::{BridgeReport, Counts, Guard, Outcome, PlanItem};
pub use reseed::{begin_relink, reseed};
pub use run::Run;

/// The policies and limits of a bridge, as the engine needs them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which way the bridge flows.
    pub direction: Direction,
    /// Who wins a conflict.
    pub conflicts: ConflictPolicy,
    /// What becomes of deletions.
    pub deletes: DeletePolicy,
    /// How often everything is read; `None`: never after the first time.
    pub full_read: Option<Duration>,
    /// Deletions allowed per side and run.
    pub max_deletes: Threshold,
    /// Updates allowed per side and run.
    pub max_changes: Threshold,
    /// How far before the watermark a scan begins (hazard H-04).
    pub overlap: Duration,
    /// How long the remote may go on working on a request whose answer we did not get (hazard H-21).
    pub settle: Duration,
    /// Look-ups in flight.
    pub prefetch: usize,
    /// Contacts in one call.
    pub batch: usize,
    /// Rows in one transaction.
    pub rows_per_transaction: usize,
    /// Within this, two edits count as made at the same time.
    pub conflict_tolerance: Duration,
    /// A difference of the clocks from here on is warned of.
    pub clock_warn: Duration,
    /// A difference of the clocks from here on stops an incremental run.
    pub clock_refuse: Duration,
    /// How long a settled conflict is kept.
    pub keep_settled: Duration,
}

/// What one call of [`Engine::run`] is asked to do.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Guards that this run may pass.
    pub accept: BTreeSet<Guard>,
    /// Read from there, this once.
    pub since: Option<Stamp>,
    /// Only plan: nothing is written on either side or in the store.
    pub dry: bool,
}

/// Hears how far a run is, for a progress display.
pub trait Watch {
    /// A stage has done `done` of `total` (unknown: `None`) records.
    fn progress(&self, stage: &'static str, done: u64, total: Option<u64>);
}

impl Watch for () {
    fn progress(&self, _: &'static str, _: u64, _: Option<u64>) {}
}

/// One bridge, opened, with its ports.
pub struct Engine<'a, R, L, S, W> {
    /// The bridge's name.
    pub bridge: &'a str,
    /// The CRM.
    pub remote: &'a R,
    /// The database.
    pub local: &'a mut L,
    /// What is remembered.
    pub store: &'a S,
    /// Clock, sleep, randomness, signals.
    pub world: &'a W,
    /// The mapping.
    pub mapping: &'a Mapping,
    /// Digests and sealing.
    pub vault: &'a Vault,
    /// Policies and limits.
    pub rules: &'a Rules,
    /// What tells the site: endpoint and site id, as one text. Only its digest is kept.
    pub site: &'a str,
    /// What tells the database: its address as one text. Only its digest is kept.
    pub database: &'a str,
    /// Hears of progress.
    pub watch: &'a dyn Watch,
}

impl<L, S, W> Engine<'_, (), L, S, W> {
    /// The same bridge with its CRM, over this view of its store.
    pub fn over<'b, R: Remote, V: StateStore>(
        &'b mut self,
        remote: &'b R,
        store: &'b V,
    ) -> Engine<'b, R, L, V, W> {
        Engine {
            bridge: self.bridge,
            remote,
            local: self.local,
            store,
            world: self.world,
            mapping: self.mapping,
            vault: self.vault,
            rules: self.rules,
            site: self.site,
            database: self.database,
            watch: self.watch,
        }
    }
}

/// Why a pass ended before its end.
pub(crate) enum Halt {
    /// A guard stopped it.
    Guard(Stop),
    /// It failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Guard(stop)
    }
}

/// What stood on the clocks when a run began.
struct Begun {
    at: Duration,
    requests: u64,
}

/// What a run gives back.
pub struct Finished {
    /// The report, whatever happened.
    pub report: BridgeReport,
    /// The error behind `report.error`, for the exit code; a guard's stop is one of kind [`ErrorKind::Guard`].
    pub error: Option<Error>,
    /// What would be done, in a dry run.
    pub plan: Vec<PlanItem>,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// One pass. It always gives a report; what went wrong stands in it.
    pub async fn run(&mut self, options: &RunOptions) -> Finished {
        let begun = self.begin();
        let mut run = Run::new(self, options);
        let halt = self.pass(&mut run, options).await.err();
        self.end(run, halt, begun)
    }

    fn begin(&self) -> Begun {
        Begun {
            at: self.world.monotonic(),
            requests: self.remote.requests(),
        }
    }

    fn end(&self, mut run: Run, halt: Option<Halt>, begun: Begun) -> Finished {
        let error = match halt {
            None => None,
            Some(Halt::Failed(error)) => Some(error),
            Some(Halt::Guard(stop)) => {
                run.stopped_by = Some(stop.guard);
                Some(Error::new(
                    ErrorKind::Guard,
                    "E-GUARD",
                    format!(
                        "{}; `--accept {}` lets one run pass",
                        stop.reason,
                        stop.guard.name()
                    ),
                ))
            }
        };
        let seconds = (self.world.monotonic() - begun.at).as_secs_f64();
        let report = run.report(
            self.bridge,
            self.remote.requests() - begun.requests,
            seconds,
            error.as_ref(),
        );
        Finished {
            report,
            error,
            plan: run.plan,
        }
    }

    async fn pass(&mut self, run: &mut Run, options: &RunOptions) -> Result<(), Halt> {
        self.start(run).await?;
        self.recover(run).await?;
        let collected = self.collect(run).await?;
        let tasks = self.plan(run, collected).await?;
        if options.dry {
            // Before the guards: whoever is to accept what one of them would stop must see it.
            run.plan = self.describe(&tasks);
        }
        self.check_guards(run, &tasks).await?;
        if options.dry {
            return Ok(());
        }
        self.apply(run, tasks).await?;
        self.finish(run).await?;
        Ok(())
    }

    /// Ends the run at a safe point when a signal asked for it.
    pub(crate) fn check_signal(&self) -> Result<()> {
        match self.world.interrupted() {
            None => Ok(()),
            Some(signal) => Err(Error::new(
                ErrorKind::Interrupted(signal),
                "E-INTERRUPTED",
                "Stopped on request; what was done is recorded",
            )),
        }
    }
}
