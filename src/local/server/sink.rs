//! Writing: one transaction a group of writes, behind the fence.
//!
//! The row of the bridge in `contactbridge_meta` is locked first, so of two runs one waits for the other. Inside, writes go in
//! groups with a savepoint each; a group that the database refuses is taken back and halved, until the culprit stands alone.
//! A transaction that a deadlock undid is done again. One whose COMMIT nobody answered is decided by its operation id.

use std::collections::HashSet;

use super::backend::{Answer, Backend, Fault};
use super::binding::journal;
use super::group::groups;
use super::write::Writer;
use super::{Connector, Reader, ServerLocal, links};
use crate::local::problem::refuse;
use crate::local::{Fence, RowOutcome, RowWrite};
use crate::model::{ChangeMethod, Error, ErrorKind, LocalKey, Result};

/// How often a transaction is begun: deadlocks come in small numbers, or something is wrong that trying does not mend.
const ROUNDS_MAX: usize = 5;

/// How a transaction went.
enum Attempt {
    Done(Vec<RowOutcome>),
    /// COMMIT was sent and not answered.
    Unsure {
        outcomes: Vec<RowOutcome>,
        operation: u64,
        error: Error,
    },
}

impl<B: Connector> ServerLocal<B> {
    pub(super) async fn apply_group(
        &mut self,
        fence: &Fence,
        writes: &[RowWrite],
    ) -> Result<Vec<RowOutcome>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        match self.transact(fence, writes).await? {
            Ok(outcomes) => Ok(outcomes),
            Err(refusal) if writes.len() == 1 => Ok(vec![refusal]),
            // A rule that the database checks at the end undid all of it: one by one, so that it hits only the row it is about.
            Err(_) => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for write in writes.chunks(1) {
                    match self.transact(fence, write).await? {
                        Ok(one) => outcomes.extend(one),
                        Err(refusal) => outcomes.push(refusal),
                    }
                }
                Ok(outcomes)
            }
        }
    }

    /// The outcomes, or the refusal of the row that undid all of it.
    async fn transact(
        &mut self,
        fence: &Fence,
        writes: &[RowWrite],
    ) -> Result<std::result::Result<Vec<RowOutcome>, RowOutcome>> {
        let mut round = 0;
        let mut lost = false;
        loop {
            round += 1;
            let fault = match self.attempt(fence, writes).await {
                Ok(Attempt::Done(outcomes)) => return Ok(Ok(outcomes)),
                Ok(Attempt::Unsure {
                    outcomes,
                    operation,
                    error,
                }) => {
                    self.forget();
                    return match self.took_place(fence, operation).await {
                        Ok(true) => Ok(Ok(outcomes)),
                        _ => Err(error),
                    };
                }
                Err(fault) => fault,
            };
            self.undo().await;
            match fault {
                // Nothing was committed, so beginning again on a new connection repeats nothing.
                Fault::Lost(_) if !lost => lost = true,
                Fault::Again(_) | Fault::Schema(_) if round < ROUNDS_MAX => {}
                Fault::Row { code, reason } => {
                    return Ok(Err(RowOutcome::Refused { code, reason }));
                }
                fault => return Err(fault.into_error()),
            }
        }
    }

    /// Takes an open transaction back, or ends its connection.
    async fn undo(&mut self) {
        if self.open
            && let Some(connection) = &mut self.connection
            && connection.script("ROLLBACK").await.is_ok()
        {
            self.open = false;
            // What was learnt may be what was wrong.
            self.binding = None;
            return;
        }
        self.forget();
    }

    async fn attempt(&mut self, fence: &Fence, writes: &[RowWrite]) -> Answer<Attempt> {
        self.connected().await?;
        refuse(&self.bind().await?)?;
        let (Some(backend), Some(binding)) = (&mut self.connection, &self.binding) else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        self.open = true;
        backend.begin().await?;
        let (enters, known) = check_fence(backend, &self.bridge, fence).await?;
        let journalled = self.layout.changes == ChangeMethod::Journal && binding.journal_stands;
        let mark = if journalled {
            backend.journal_mark().await?
        } else {
            0
        };
        let mut writer = Writer {
            reader: Reader {
                backend,
                binding,
                digester: &mut self.digester,
                bridge: &self.bridge,
                layout: &self.layout,
                options: &self.options,
            },
            vault: &self.vault,
            touched: HashSet::new(),
        };
        let outcomes = run(&mut writer, writes).await?;
        let touched: Vec<LocalKey> = writer.touched.into_iter().collect();
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        if !outcomes
            .iter()
            .any(|outcome| matches!(outcome, RowOutcome::Written(_)))
        {
            backend.script("ROLLBACK").await?;
            self.open = false;
            return Ok(Attempt::Done(outcomes));
        }
        if enters {
            links::put_meta(backend, &self.bridge, fence, None, known).await?;
        }
        if journalled && let Some(binding) = &self.binding {
            let journal = journal(&self.bridge, &self.layout, &binding.shape);
            backend.forget_own(&journal, mark, &touched).await?;
            if let Some(consumed) = &self.consumed {
                backend.prune(&journal, consumed).await?;
            }
        }
        let (epoch, kept) = (fence.epoch, self.options.applied_kept);
        let operation = links::note_applied(backend, &self.bridge, epoch, kept).await?;
        match backend.script("COMMIT").await {
            Ok(()) => {
                self.open = false;
                Ok(Attempt::Done(outcomes))
            }
            Err(Fault::Lost(error)) => Ok(Attempt::Unsure {
                outcomes,
                operation,
                error,
            }),
            Err(fault) => Err(fault),
        }
    }

    /// Whether a transaction took place whose COMMIT nobody answered. The lock on the row of the bridge waits for one that is
    /// still under way.
    async fn took_place(&mut self, fence: &Fence, operation: u64) -> Answer<bool> {
        self.connected().await?;
        let Some(backend) = &mut self.connection else {
            return Ok(false);
        };
        self.open = true;
        backend.begin().await?;
        links::meta(backend, &self.bridge, true).await?;
        let applied = links::was_applied(backend, &self.bridge, fence.epoch, operation).await?;
        backend.script("ROLLBACK").await?;
        self.open = false;
        Ok(applied)
    }

    /// `seal` and `adopt`.
    pub(super) async fn write_generation(
        &mut self,
        fence: &Fence,
        generation: u64,
        adopt: bool,
    ) -> Result<()> {
        let mut round = 0;
        loop {
            round += 1;
            match self.try_generation(fence, generation, adopt).await {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    self.undo().await;
                    match fault {
                        // Writing the same numbers again changes nothing.
                        Fault::Lost(_) | Fault::Again(_) | Fault::Schema(_)
                            if round < ROUNDS_MAX.min(3) => {}
                        fault => return Err(fault.into_error()),
                    }
                }
            }
        }
    }

    async fn try_generation(&mut self, fence: &Fence, generation: u64, adopt: bool) -> Answer<()> {
        self.connected().await?;
        refuse(&self.bind().await?)?;
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        self.open = true;
        backend.begin().await?;
        let known = if adopt {
            links::meta(backend, &self.bridge, true).await?.is_some()
        } else {
            check_fence(backend, &self.bridge, fence).await?.1
        };
        links::put_meta(backend, &self.bridge, fence, Some(generation), known).await?;
        if adopt {
            links::forget_applied(backend, &self.bridge).await?;
        }
        if self.layout.changes == ChangeMethod::Journal
            && let (Some(consumed), Some(binding)) = (&self.consumed, &self.binding)
            && binding.journal_stands
        {
            let journal = journal(&self.bridge, &self.layout, &binding.shape);
            backend.prune(&journal, consumed).await?;
        }
        backend.script("COMMIT").await?;
        self.open = false;
        Ok(())
    }
}

/// Whether this run's epoch has to be written, and whether the bridge has a row already; `E-FENCED` where another run has
/// overtaken this one.
async fn check_fence<B: Backend>(
    backend: &mut B,
    bridge: &str,
    fence: &Fence,
) -> Answer<(bool, bool)> {
    let overtaken = |how: &str| {
        Err(Fault::Failed(Error::new(
            ErrorKind::Busy,
            "E-FENCED",
            format!(
                "{how} has written to the database for this bridge meanwhile. Nothing was written; see `contactbridge status {bridge}`"
            ),
        )))
    };
    match links::meta(backend, bridge, true).await? {
        None => Ok((true, false)),
        Some(meta) if meta.store_id != fence.store_id => {
            overtaken("A run with another state store")
        }
        Some(meta) if meta.epoch > fence.epoch => overtaken("A later run"),
        Some(meta) => Ok((meta.epoch < fence.epoch, true)),
    }
}

/// Does the writes, group by group.
async fn run<B: Backend>(
    writer: &mut Writer<'_, B>,
    writes: &[RowWrite],
) -> Answer<Vec<RowOutcome>> {
    let mut outcomes = vec![RowOutcome::Moved; writes.len()];
    let mut waiting = groups(writes, writer.reader.layout.key_field);
    waiting.reverse();
    while let Some(range) = waiting.pop() {
        writer
            .reader
            .backend
            .script("SAVEPOINT contactbridge")
            .await?;
        match writer.write(writes, range.clone()).await {
            Ok(done) => {
                for (at, outcome) in done {
                    if let Some(place) = outcomes.get_mut(at) {
                        *place = outcome;
                    }
                }
            }
            Err(Fault::Row { code, reason }) => {
                writer
                    .reader
                    .backend
                    .script("ROLLBACK TO SAVEPOINT contactbridge")
                    .await?;
                if range.len() > 1 {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                } else if let Some(place) = outcomes.get_mut(range.start) {
                    *place = RowOutcome::Refused { code, reason };
                }
            }
            Err(fault) => return Err(fault),
        }
        writer
            .reader
            .backend
            .script("RELEASE SAVEPOINT contactbridge")
            .await?;
    }
    Ok(outcomes)
}
