//! Writes rows and concludes tasks: one transaction in the database, then one commit in the state (reliability, section 2.7).
//!
//! The base of a field moves only to what a side showed after the write. What the merge decided is not reconsidered here,
//! except for a row that moved meanwhile: that is merged anew.

use crate::local::{ChildSet, LinkRow, Local, Row, RowOutcome, RowWrite};
use crate::model::{Canonical, Cell, Digest, Error, LocalKey, Result, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{Base, ChildBase, Link, Memory, dirty_remote, put_link};
use super::merge::{Flow, merge};
use super::plan::children_unchanged;
use super::push::credit;
use super::run::{Action, Hold, Pushing, Run, Task};
use super::view::{RemoteView, local_view, whole_view};

/// How often a row that moves under the plan is merged anew before it is left for the next run.
const MOVES_MAX: usize = 3;

/// The database has recorded this contact, or its External ID, for another row that is there.
pub(crate) const LINK_TAKEN: &str = "E-LINK-TAKEN";

/// So many commits may run behind the transactions of a first load.
const BEHIND_MAX: usize = 4;

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Settles tasks, as many rows to a transaction as the limits say.
    pub(crate) async fn settle(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let total = tasks.len() as u64;
        let mut done = 0;
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            self.check_signal()?;
            let chunk: Vec<Task> = tasks
                .by_ref()
                .take(self.rules.rows_per_transaction)
                .collect();
            done += chunk.len() as u64;
            let mut moved = self.settle_chunk(run, chunk).await?;
            for _ in 0..MOVES_MAX {
                if moved.is_empty() {
                    break;
                }
                let again = self.merge_anew(run, moved).await?;
                moved = self.settle_chunk(run, again).await?;
            }
            self.leave_for_next_run(run, moved).await?;
            self.watch
                .progress("writing the database", done, Some(total));
        }
        Ok(())
    }

    /// One transaction and one commit. Gives back the tasks whose row moved.
    async fn settle_chunk(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let (mut writes, mut waiting) = (Vec::new(), Vec::new());
        let (mut batch, mut losers) = (Batch::new(), Batch::new());
        for mut task in tasks {
            self.keep_losers(run, &task, super::Side::Remote, &mut losers);
            match self.row_write(run, &mut task).await? {
                Some(write) => {
                    writes.push(write);
                    waiting.push(task);
                }
                None => self.conclude(run, task, None, false, &mut batch).await?,
            }
        }
        let announced: Vec<_> = waiting
            .iter()
            .zip(&writes)
            .filter_map(|(task, write)| self.announce(run, task, write, &mut losers))
            .collect();
        announced
            .into_iter()
            .for_each(|key| batch.remove(Table::Intent, key));
        if !losers.is_empty() {
            // What is about to be written, and a value that loses by it, must be known before it is overwritten.
            self.store.commit(losers).await?;
        }
        let mut moved = Vec::new();
        if !writes.is_empty() {
            self.world.checkpoint("L.before").await?;
            let outcomes = self.local.apply(&run.fence, &writes).await?;
            self.world.checkpoint("L.after").await?;
            for ((mut task, write), outcome) in waiting.into_iter().zip(&writes).zip(outcomes) {
                if matches!(outcome, RowOutcome::Moved | RowOutcome::Refused { .. }) {
                    self.stays_announced(run, &task, &mut batch);
                }
                match outcome {
                    RowOutcome::Written(row) => {
                        run.wrote = true;
                        let only_link = matches!(write, RowWrite::Link(_) | RowWrite::Unlink(_));
                        self.conclude(run, task, row, !only_link, &mut batch)
                            .await?;
                    }
                    RowOutcome::Exists(row) => {
                        let mut task = self.as_pair(run, task, &row);
                        if row.marked {
                            self.recall_parts(run, &mut task).await?;
                        }
                        moved.push(task);
                    }
                    RowOutcome::Moved => moved.push(task),
                    RowOutcome::Refused { code, reason } if run.last_try => {
                        self.refuse(run, task, code, reason, &mut batch).await?
                    }
                    RowOutcome::Refused { code, .. } => {
                        task.unnamed = code == LINK_TAKEN;
                        run.refused.push(task);
                    }
                }
            }
        }
        self.commit(run, batch).await?;
        Ok(moved)
    }

    /// Commits; a first load lets a few commits run behind, because a kill in between is healed by reading again.
    async fn commit(&mut self, run: &mut Run, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let durable = self.store.commit(batch);
        if !run.first_load {
            durable.await?;
            return self.world.checkpoint("C8").await;
        }
        run.behind.push(durable);
        if run.behind.len() > BEHIND_MAX {
            run.behind.remove(0).await?;
        }
        self.world.checkpoint("C8.behind").await
    }

    /// What the task writes to the database, if anything.
    async fn row_write(&mut self, run: &Run, task: &mut Task) -> Result<Option<RowWrite>> {
        match &task.action {
            Action::Settle(merged) => {
                let (Some(link), Some(local)) = (&task.link, &task.local) else {
                    return Ok(None);
                };
                let fields: Vec<usize> = merged.to_local().collect();
                let children = match &task.remote {
                    Some(remote)
                        if self.rules.direction.pulls()
                            && !run.relink
                            && !children_unchanged(link, remote) =>
                    {
                        self.child_sets(link, remote)
                    }
                    _ => Vec::new(),
                };
                let link_row = task
                    .fresh
                    .then(|| self.link_row(run, local.key.clone(), link, task.named()));
                let (key, expect) = (local.key.clone(), local.row);
                let cells = match &task.remote {
                    Some(remote) => self.cells(&fields, remote, &mut task.holds),
                    None => Vec::new(),
                };
                if cells.is_empty() && children.is_empty() {
                    return Ok(link_row.map(RowWrite::Link));
                }
                Ok(Some(RowWrite::Update {
                    key,
                    expect,
                    cells,
                    children,
                    revive: false,
                    link: link_row,
                }))
            }
            Action::CreateLocal | Action::RestoreLocal => {
                let Some(remote) = &task.remote else {
                    return Err(Error::unexpected(
                        "E-INVARIANT",
                        "A row is to be made from a contact that was not read",
                    ));
                };
                if let Some(link) = &task.link
                    && let Some(row) = self
                        .local
                        .fetch(std::slice::from_ref(&link.local))
                        .await?
                        .pop()
                        .flatten()
                {
                    if !row.marked {
                        // Somebody took it back meanwhile, and may have edited it: the next run sees a pair.
                        task.extra
                            .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                        task.action = Action::Nothing;
                        return Ok(None);
                    }
                    let fields: Vec<usize> = (0..run.fields.len())
                        .filter(|&field| run.fields[field].pulls())
                        .collect();
                    let children = self.child_sets(link, remote);
                    let link_row = Some(self.link_row(run, row.key.clone(), link, task.named()));
                    let cells = self.cells(&fields, remote, &mut task.holds);
                    return Ok(Some(RowWrite::Update {
                        key: row.key,
                        expect: row.digest,
                        cells,
                        children,
                        revive: true,
                        link: link_row,
                    }));
                }
                let cells = self.new_row(run, remote, &mut task.holds);
                let bare = Link {
                    children: vec![ChildBase::default(); self.mapping.children.len()],
                    ..self.bare_link(run, remote)
                };
                Ok(Some(RowWrite::Insert {
                    cells,
                    children: self.child_sets(&bare, remote),
                    remote_id: remote.id.clone(),
                    external_id: task
                        .named()
                        .and_then(|remote| self.external_text(run, remote)),
                }))
            }
            Action::DeleteLocal => Ok(task.local.as_ref().map(|local| RowWrite::Delete {
                key: local.key.clone(),
                expect: local.row,
            })),
            _ => Ok(None),
        }
    }

    /// Cells for fields that go to the row; one that can't be written waits.
    fn cells(
        &self,
        fields: &[usize],
        remote: &RemoteView,
        holds: &mut Vec<Hold>,
    ) -> Vec<(usize, Cell)> {
        let mut cells = Vec::with_capacity(fields.len());
        for &field in fields {
            let Ok(value) = &remote.values[field] else {
                continue;
            };
            match self.mapping.to_cell(field, value) {
                Ok(cell) => cells.push((field, cell)),
                Err(problem) => holds.push(Hold {
                    code: problem.code,
                    reason: format!("{}: {}", self.mapping.fields[field].column, problem.reason),
                    fields: vec![field],
                }),
            }
        }
        cells
    }

    /// The cells of a new row: what the remote gives, else what the mapping generates or has as a default.
    fn new_row(&self, run: &Run, remote: &RemoteView, holds: &mut Vec<Hold>) -> Vec<Option<Cell>> {
        use crate::mapping::Role;
        let pulled: Vec<usize> = (0..run.fields.len())
            .filter(|&field| run.fields[field].pulls())
            .collect();
        let mut cells: Vec<Option<Cell>> = vec![None; run.fields.len()];
        for (field, cell) in self.cells(&pulled, remote, holds) {
            if let Ok(Some(_)) = &remote.values[field] {
                cells[field] = Some(cell);
            }
        }
        let fills = |field: usize| {
            let rule = &self.mapping.fields[field];
            cells[field].is_none() && (rule.generates || self.mapping.default_for(field).is_some())
        };
        if !(0..run.fields.len()).any(fills) {
            return cells;
        }
        let mut values: Vec<Canonical> = (0..run.fields.len())
            .map(|field| {
                cells[field]
                    .as_ref()
                    .and(remote.value(field))
                    .map(str::to_owned)
            })
            .collect();
        for field in 0..run.fields.len() {
            if values[field].is_some() || remote.values[field].is_err() {
                continue;
            }
            let rule = &self.mapping.fields[field];
            let mut random = [0; 16];
            // An External ID that only we know can't be put on a contact without making a second one (H-27), so none is made up here.
            let made = if rule.generates
                && !(rule.role == Role::ExternalId && run.fields[field].pushes())
            {
                self.world.random(&mut random);
                self.mapping.generate(field, &values, random)
            } else {
                None
            };
            let value = made.or_else(|| self.mapping.default_for(field));
            if value.is_some()
                && let Ok(cell) = self.mapping.to_cell(field, &value)
            {
                cells[field] = Some(cell);
                values[field] = value;
            }
        }
        cells
    }

    pub(crate) fn child_sets(&self, link: &Link, remote: &RemoteView) -> Vec<ChildSet> {
        let mut sets = Vec::new();
        for (rule, view) in remote.children.iter().enumerate() {
            let Some(view) = view else { continue };
            let base = link.children.get(rule);
            if base.is_some_and(|base| base.content == view.content)
                || (base.is_none_or(|base| base.keys.is_empty()) && view.parts.is_empty())
            {
                continue;
            }
            sets.push(ChildSet {
                rule,
                rows: view.parts.iter().map(|(_, cells)| cells.clone()).collect(),
                formerly: base.map(|base| base.keys.clone()).unwrap_or_default(),
            });
        }
        sets
    }

    pub(crate) fn link_row(
        &self,
        run: &Run,
        key: LocalKey,
        link: &Link,
        remote: Option<&RemoteView>,
    ) -> LinkRow {
        LinkRow {
            key,
            external_id: remote.and_then(|remote| self.external_text(run, remote)),
            remote_id: Some(link.remote.clone()),
        }
    }

    fn external_text(&self, run: &Run, remote: &RemoteView) -> Option<String> {
        run.identity
            .external_field
            .and_then(|field| remote.value(field))
            .map(str::to_owned)
    }

    /// An insert met the row of an earlier run that was killed: the two are a pair.
    fn as_pair(&self, run: &mut Run, mut task: Task, row: &Row) -> Task {
        if let Some(remote) = &task.remote {
            // The link may stand on the row that this one was made in the place of: left in the index, that row would look deleted.
            match &task.link {
                Some(old) if old.local != row.key => {
                    task.extra.remove(Table::ByLocal, old.local.to_bytes());
                    run.facts.links = run.facts.links.saturating_sub(u64::from(!row.marked));
                }
                Some(_) => {}
                None => run.facts.links += u64::from(row.marked),
            }
            let view = local_view(self.vault, self.mapping, row);
            if !row.marked {
                let link = Link {
                    met: true,
                    ..self.fresh_link(run, remote, &view)
                };
                let merged = merge(
                    &run.fields,
                    &link,
                    &view,
                    Some(remote),
                    self.circumstances(run, Some(&link), None, super::merge::Newer::Unknown, None),
                );
                task.action = Action::Settle(merged);
                task.link = Some(link);
            } else {
                task.link = Some(Link {
                    local: row.key.clone(),
                    ..self.bare_link(run, remote)
                });
                task.action = Action::RestoreLocal;
                // Its former life is over: what the new one says nothing of is empty.
                task.remote = Some(whole_view(self.vault, self.mapping, remote.clone()));
            }
            task.local = Some(view);
            task.fresh = true;
        }
        task
    }

    /// A row that is revived still has the child rows of its former life; those whose parts have vanished are to go.
    async fn recall_parts(&self, run: &Run, task: &mut Task) -> Result<()> {
        let Some(link) = &mut task.link else {
            return Ok(());
        };
        let ids = std::slice::from_ref(&link.remote);
        let tomb = Memory::new(self.store).tombs(ids).await?.pop().flatten();
        if let Some(tomb) = tomb.filter(|tomb| tomb.mapping == run.facts.mapping) {
            for (base, parts) in link.children.iter_mut().zip(tomb.parts) {
                base.keys = parts.into_iter().map(Digest).collect();
            }
        }
        // Its former life may be that of a run that was killed before it recorded anything.
        self.recall_parts_of_row(run, link);
        Ok(())
    }

    /// Rows that moved under the plan are read again and merged again.
    async fn merge_anew(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let keys: Vec<LocalKey> = tasks
            .iter()
            .filter_map(|task| task.local.as_ref().map(|view| view.key.clone()))
            .collect();
        let rows: std::collections::HashMap<LocalKey, Row> = self
            .local
            .fetch(&keys)
            .await?
            .into_iter()
            .flatten()
            .map(|row| (row.key.clone(), row))
            .collect();
        let mut again = Vec::new();
        for mut task in tasks {
            if task.action == Action::RestoreLocal {
                // Its write reads the row anew in any case.
                again.push(task);
                continue;
            }
            let row = task
                .local
                .as_ref()
                .and_then(|view| rows.get(&view.key))
                .filter(|row| !row.marked);
            match (row, task.link.clone()) {
                (Some(row), Some(mut link)) => {
                    let view = local_view(self.vault, self.mapping, row);
                    if matches!(task.action, Action::Settle(_)) {
                        // What was equal when both were read was agreed then; what the row shows now is an edit.
                        agree(&mut link, &task);
                        task.link = Some(link.clone());
                        let newer = self.newer(&link, task.remote.as_ref(), &view);
                        let mut merged = merge(
                            &run.fields,
                            &link,
                            &view,
                            task.remote.as_ref(),
                            self.circumstances(
                                run,
                                Some(&link),
                                task.remote.as_ref(),
                                newer,
                                task.take,
                            ),
                        );
                        // What the row shows anew and should be sent waits for the next run.
                        if merged.to_remote().next().is_some() {
                            task.extra
                                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                        }
                        for (field, flow) in merged.flows.iter_mut().enumerate() {
                            if matches!(flow, Flow::Settled(super::Side::Local)) {
                                *flow = Flow::Keep;
                                // Still a conflict for the next run, and no first meeting that would fill an emptied field.
                                link.met |= link.bases[field].is_none();
                            }
                        }
                        if task.link.as_ref() != Some(&link) && !task.fresh {
                            put_link(&mut task.extra, &link);
                        }
                        task.link = Some(link);
                        task.action = Action::Settle(merged);
                        task.local = Some(view);
                        again.push(task);
                    } else {
                        // The row was edited while its deletion was under way: the next run decides anew.
                        task.extra
                            .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                        task.action = Action::Nothing;
                        again.push(task);
                    }
                }
                _ => {
                    if let Some(link) = &task.link {
                        // What a push has proved stays known, or the contact would look like a stranger, or like edited, when the
                        // deletion of the row is carried over.
                        if task.pushed != Pushing::Idle {
                            let mut link = link.clone();
                            if let Some(remote) = &task.remote {
                                credit(&mut link, &task.follows, remote);
                            }
                            // What was to follow in the row was not written. Should the row come back, it is none that was seen, and
                            // shows of this what nobody agreed to.
                            (link.row, link.drifted) = (Digest::default(), true);
                            for (base, follow) in link.bases.iter_mut().zip(&task.follows) {
                                if let (Some(base), Some(follow)) = (base, follow) {
                                    base.local = Digest(!follow.0);
                                }
                            }
                            put_link(&mut task.extra, &link);
                            run.facts.links += u64::from(task.fresh);
                            task.fresh = false;
                        }
                        task.extra
                            .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                    }
                    task.action = Action::Nothing;
                    again.push(task);
                }
            }
        }
        Ok(again)
    }

    async fn leave_for_next_run(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let mut batch = Batch::new();
        for task in tasks {
            if let Some(id) = task
                .link
                .as_ref()
                .map(|link| &link.remote)
                .or(task.remote.as_ref().map(|view| &view.id))
            {
                batch.put(Table::Inbox, dirty_remote(id), run.mark());
            }
            run.pull.held += u64::from(task.from_remote);
            run.push.held += u64::from(task.from_local);
        }
        self.commit(run, batch).await
    }
}

/// Moves the bases of the fields in which both sides were seen to be equal.
fn agree(link: &mut Link, task: &Task) {
    let (Action::Settle(merged), Some(local), Some(remote)) =
        (&task.action, &task.local, &task.remote)
    else {
        return;
    };
    for (field, flow) in merged.flows.iter().enumerate() {
        if *flow == Flow::Agree {
            link.bases[field] = Some(Base {
                local: local.digests[field],
                remote: remote.digests[field],
            });
        }
    }
}
