//! One pass of a bridge to a service that queues what changed: journal what the queue names, read how it stands now, apply
//! it, confirm, and begin again until the queue is empty.
//!
//! The queue forgets what was confirmed, so nothing is confirmed before it is safe: applied, held, or at least journalled
//! (`purge: journalled`). What a change means is decided where every other bridge decides it. Source: seed 000,
//! `association-anywhere.md` §11; hazards H-50 to H-53; ADR 0008.

mod parts;
mod read;
mod standing;

use crate::local::Local;
use crate::model::{Error, Result, World};
use crate::remote::{Purged, Queue};
use crate::state::{Batch, StateStore};

use super::memory::{Memory, put_facts, remove_entry};
use super::run::Run;
use super::{Engine, Finished, Halt, RunOptions};
use read::Seen;

/// A service that is busy all day must not keep one run for ever; the rest waits for the next.
const ROUNDS_MAX: u32 = 1_000;

/// So often may a purge stay without effect before the run gives up; what was done stays done.
const PURGES_MAX: u32 = 3;

/// When a queue is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeWhen {
    /// Once everything that it named is applied or held.
    Processed,
    /// As soon as the names are safe in the state: for a queue that keeps one row per record.
    Journalled,
}

/// How a queue is worked off.
#[derive(Clone, Copy, Debug)]
pub struct QueueRules {
    /// When it is purged.
    pub purge: PurgeWhen,
    /// It says why each record is in it; else a record that the service does not know counts as deleted.
    pub reasons: bool,
    /// Records in one request for details: for fewer than that, no request of their own is made.
    pub chunk: usize,
    /// Records planned together.
    pub part: usize,
}

/// Records planned together: with their views and children they take a few megabytes.
pub const DEFAULT_PART: usize = 2_000;

/// Purges so far that seem to have had no effect.
#[derive(Default)]
struct Purging {
    futile: u32,
    last: Option<String>,
}

impl<R: Queue, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// One pass. It always gives a report; what went wrong stands in it.
    pub async fn run_queue(&mut self, rules: QueueRules, options: &RunOptions) -> Finished {
        let begun = self.begin();
        let mut run = Run::new(self, options);
        let halt = self.drain(&mut run, rules, options).await.err();
        self.end(run, halt, begun)
    }

    async fn drain(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
        options: &RunOptions,
    ) -> Result<(), Halt> {
        self.start(run).await?;
        self.prepare_queue(run);
        self.recover(run).await?;
        if options.dry {
            return self.plan_queue(run, rules).await;
        }
        self.journal_own(run).await?;
        if run.relink {
            self.work_off(run, rules).await?;
        } else {
            self.empty_queue(run, rules).await?;
        }
        self.finish_queue(run).await
    }

    /// Round by round until the queue shows nothing more.
    pub(in crate::sync) async fn empty_queue(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
    ) -> Result<(), Halt> {
        let mut purging = Purging::default();
        for round in 0..ROUNDS_MAX {
            self.check_signal()?;
            let seen = self.read_queue().await?;
            if !rules.reasons {
                self.distrust_done(run, &seen).await?;
            }
            self.keep_number(run, &seen).await?;
            if rules.purge == PurgeWhen::Journalled {
                self.purge(run, &seen, &mut purging).await?;
            }
            if round > 0 {
                run.live_local = self.local.live_rows().await?;
            }
            match self.work_off(run, rules).await {
                // More came while the run was at work than one run may do. A guard stops before anything is written, so the rest,
                // journalled as it is, is judged by itself in the next run.
                Err(Halt::Guard(stop)) if has_begun(run) => {
                    tracing::warn!(
                        bridge = self.bridge,
                        guard = stop.guard.name(),
                        "what the queue named meanwhile waits for the next run"
                    );
                    return Ok(());
                }
                other => other?,
            }
            if rules.purge == PurgeWhen::Processed && seen.number.is_some() && seen.records > 0 {
                // Once more, so that a record which changed while it was read is in the journal before it is confirmed.
                self.read_queue().await?;
                self.purge(run, &seen, &mut purging).await?;
            }
            seen.ensure_number()?;
            if seen.records == 0 {
                // Nothing that was done waits for a purge any more.
                return Ok(self.forget_done(run).await?);
            }
        }
        Ok(())
    }

    /// P: confirms what `seen` named, and forgets what was kept for that.
    async fn purge(&mut self, run: &mut Run, seen: &Seen, purging: &mut Purging) -> Result<()> {
        let Some(number) = seen.number.as_ref().filter(|_| seen.records > 0) else {
            return Ok(());
        };
        self.check_fence(run).await?;
        self.world.checkpoint("P.before").await?;
        let purged = self.remote.purge(number).await?;
        self.world.checkpoint("P.sent").await?;
        let repeated = purging.last.as_ref() == Some(number);
        match purged {
            Purged::Done => {
                purging.futile = if repeated { purging.futile + 1 } else { 0 };
                self.forget_done(run).await?;
            }
            // The next reading tells.
            Purged::Unknown { .. } => purging.futile += 1,
        }
        purging.last = Some(number.clone());
        if purging.futile >= PURGES_MAX {
            let reason = match purged {
                Purged::Unknown { reason } => reason,
                Purged::Done => "it said yes, and the queue still shows the same".to_owned(),
            };
            return Err(Error::unreachable(
                "E-PURGE",
                format!(
                    "The queue was purged {} times without effect ({reason}). What was read is applied; run again later",
                    purging.futile
                ),
            ));
        }
        Ok(())
    }

    /// What was done needs no entry once the queue has dropped it.
    async fn forget_done(&mut self, run: &mut Run) -> Result<()> {
        let (memory, mut after) = (Memory::new(self.store), None);
        loop {
            let entries = memory.entries_after(after.as_ref()).await?;
            let Some((last, _)) = entries.last() else {
                break;
            };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (id, _) in entries.iter().filter(|(_, entry)| entry.done) {
                remove_entry(&mut batch, id);
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?;
            }
        }
        if run.facts.queue.take().is_some() {
            let mut batch = Batch::new();
            put_facts(&mut batch, &run.facts);
            self.store.commit(batch).await?;
            self.world.checkpoint("P").await?;
        }
        Ok(())
    }

    /// C9 for a queue: what was journalled and is not worked off stays for the next run.
    pub(in crate::sync) async fn finish_queue(&mut self, run: &mut Run) -> Result<(), Halt> {
        run.facts.last_full.get_or_insert(self.world.now());
        // A re-link settles nothing: the next run reads all that was linked, as at a first meeting.
        run.facts.full_due = run.relink;
        run.facts.relink = false;
        self.finish(run).await?;
        Ok(())
    }
}

fn has_begun(run: &Run) -> bool {
    run.pull.created + run.pull.updated + run.pull.deleted > 0
}
