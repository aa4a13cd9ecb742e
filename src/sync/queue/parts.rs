//! Works the journal off, part by part: how each record stands now, what that means, the brakes, the rows, and then its entry.
//!
//! A small journal is one part, and its guards see exactly what is planned. A large one is weighed first where it might
//! exceed a limit: counted part by part, with nothing kept but what turned out to be unchanged.

use std::collections::HashSet;

use crate::local::Local;
use crate::model::{DeletePolicy, Error, LocalKey, RemoteId, Result, World};
use crate::remote::Queue;
use crate::state::{Batch, StateStore, Table};

use super::super::collect::{Changed, Collected};
use super::super::guard::Load;
use super::super::memory::{
    Entry, Link, Memory, Side, dirty_local, dirty_remote, put_entry, put_facts, remove_entry,
};
use super::super::merge::Flow;
use super::super::plan::RemoteState;
use super::super::planning::loads;
use super::super::run::{Action, Run, Task};
use super::super::{Engine, Halt};
use super::standing::Marks;
use super::{PurgeWhen, QueueRules};

/// Records whose details are in memory as the service sent them.
const SLICE: usize = 500;
/// What a journal may do to the database at the most.
#[derive(Default)]
struct Reach {
    records: u64,
    linked: u64,
    deletions: u64,
}

type Part = Vec<(RemoteId, Entry)>;

impl<R: Queue, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Everything in the journal that is not done yet.
    pub(in crate::sync) async fn work_off(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
    ) -> Result<(), Halt> {
        let reach = self.reach().await?;
        let mut load = Load {
            live: run.live_local,
            ..Load::default()
        };
        let small = reach.records <= rules.part as u64;
        if !small && self.might_exceed(run, rules, &reach, load) {
            run.worked = (0, reach.records);
            self.weigh(run, rules, load).await?;
        }
        run.worked = (0, reach.records);
        // Deletions last, so that a merge in the CRM loses nobody (H-41). A small journal is planned as a whole, which sees to that.
        for deletions in [false, true] {
            let mut after = None;
            loop {
                let wanted = |entry: &Entry| small || entry.deleted == deletions;
                let part = self.next_part(rules, &mut after, wanted).await?;
                if part.is_empty() {
                    break;
                }
                self.work_part(run, rules, part, &mut load).await?;
            }
        }
        Ok(())
    }

    /// What a run would do, of whatever the queue names; nothing is written anywhere.
    pub(in crate::sync) async fn plan_queue(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
    ) -> Result<(), Halt> {
        let named = self.look_at_queue(run, rules.reasons).await?;
        let mut load = Load {
            live: run.live_local,
            ..Load::default()
        };
        let part: Part = named.into_iter().collect();
        run.worked = (0, part.len() as u64);
        let mut stop = None;
        for part in part.chunks(rules.part) {
            let rows = rows_to_look_at(run);
            let (tasks, _) = self.plan_part(run, rules, part, rows).await?;
            run.plan.extend(self.describe(&tasks));
            add(&mut load, &tasks);
            stop = self.check_load(run, "customer database", load).err();
        }
        // After the plan is whole: whoever is to accept what a guard would stop must see it.
        stop.map_or(Ok(()), Err)
    }

    async fn work_part(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
        part: Part,
        load: &mut Load,
    ) -> Result<(), Halt> {
        // Where rows are told of as well, they are looked at for that, once the queue is worked off.
        let rows = if self.rules.direction.pushes() {
            Vec::new()
        } else {
            rows_to_look_at(run)
        };
        let (mut tasks, marks) = self.plan_part(run, rules, &part, rows).await?;
        add(load, &tasks);
        self.check_load(run, "customer database", *load)?;
        if self.rules.direction.pushes() {
            self.put_off_sending(run, &mut tasks);
        }
        self.apply(run, tasks).await?;
        let mut batch = std::mem::take(&mut run.held_batch);
        for id in &marks.again {
            batch.put(Table::Inbox, dirty_remote(id), run.mark());
        }
        marks.settle(&mut batch);
        self.close(run, rules, part.iter(), &mut batch);
        put_facts(&mut batch, &run.facts);
        self.store.commit(batch).await?;
        self.world.checkpoint("Q.done").await?;
        Ok(())
    }

    /// A queue is only read from. What its records' rows have to tell is told afterwards, from the rows as they stand then: they
    /// are noted, durably, with what is written now.
    fn put_off_sending(&self, run: &mut Run, tasks: &mut [Task]) {
        let mut losers = Batch::new();
        for task in tasks {
            self.keep_losers(run, task, Side::Local, &mut losers);
            let sends = match &mut task.action {
                Action::Settle(merged) => {
                    let mut sends = false;
                    run.conflicts += merged
                        .flows
                        .iter()
                        .filter(|flow| **flow == Flow::Settled(Side::Local))
                        .count() as u64;
                    for (field, flow) in merged.flows.iter_mut().enumerate() {
                        if !matches!(flow, Flow::ToRemote | Flow::Settled(Side::Local)) {
                            continue;
                        }
                        *flow = Flow::Keep;
                        sends = true;
                        if let Some(link) = &mut task.link {
                            // Still an edit, and no first meeting that would fill an emptied field.
                            link.met |= link.bases[field].is_none();
                        }
                    }
                    sends
                }
                Action::RestoreRemote => {
                    // The row is told of as a new one.
                    if let Some(link) = task.link.take() {
                        self.end_pair(run, &link, &mut task.extra);
                    }
                    task.action = Action::Nothing;
                    true
                }
                Action::CreateRemote | Action::DeleteRemote => {
                    task.action = Action::Nothing;
                    true
                }
                _ => false,
            };
            let key = task
                .link
                .as_ref()
                .map(|link| &link.local)
                .or(task.local.as_ref().map(|view| &view.key));
            if let (true, Some(key)) = (sends, key) {
                task.extra.put(Table::Inbox, dirty_local(key), run.mark());
                run.dirty_local.insert(key.clone());
            }
        }
        run.held_batch.writes.append(&mut losers.writes);
    }

    /// Applied or held: an entry stays until the purge, where that comes after.
    fn close<'p>(
        &self,
        run: &Run,
        rules: QueueRules,
        part: impl Iterator<Item = &'p (RemoteId, Entry)>,
        batch: &mut Batch,
    ) {
        for (id, entry) in part {
            if rules.purge == PurgeWhen::Journalled || run.relink {
                remove_entry(batch, id);
            } else {
                let entry = Entry {
                    done: true,
                    ..entry.clone()
                };
                put_entry(batch, id, &entry);
            }
        }
    }

    /// From names to tasks; `rows` are looked at with them.
    async fn plan_part(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
        part: &[(RemoteId, Entry)],
        rows: Vec<LocalKey>,
    ) -> Result<(Vec<Task>, Marks)> {
        let mut collected = Collected::default();
        let mut marks = Marks::default();
        for slice in part.chunks(SLICE) {
            self.check_signal()?;
            let (done, total) = run.worked;
            self.watch
                .progress("reading what changed", done, Some(total));
            run.worked.0 += slice.len() as u64;
            let standing = self.standing(run, rules, slice).await?;
            collected.unchanged_remote += standing.passed;
            marks.extend(standing.marks);
            self.sort_page(run, standing.items, &mut collected).await?;
            self.sort_dead(run, standing.dead, &mut collected).await?;
        }
        self.sort_rows(run, rows, &mut collected).await?;
        self.fetch_rows_of_pairs(&mut collected).await?;
        run.pull.unchanged += collected.unchanged_remote;
        match self.plan(run, collected).await {
            Ok(tasks) => Ok((tasks, marks)),
            Err(Halt::Failed(error)) => Err(error),
            // The guards of a full read look at lists, which a queue has not.
            Err(Halt::Guard(stop)) => Err(Error::unexpected("E-INVARIANT", stop.reason)),
        }
    }

    async fn sort_dead(
        &mut self,
        run: &mut Run,
        dead: Vec<RemoteId>,
        collected: &mut Collected,
    ) -> Result<()> {
        let links = Memory::new(self.store).links(&dead).await?;
        for (id, link) in dead.into_iter().zip(links) {
            let link = match link {
                Some(link) => Some(self.migrate(run, link)),
                None => self.recorded_link(run, &id).await?,
            };
            if let Some(link) = link {
                let changed = collected.pairs.entry(id).or_insert(Changed {
                    link,
                    remote: RemoteState::Dead,
                    local: None,
                });
                changed.remote = RemoteState::Dead;
                continue;
            }
            collected.unchanged_remote += 1;
            if !run.dry {
                let mut batch = std::mem::take(&mut run.held_batch);
                self.release(run, &dirty_remote(&id), &mut batch);
                run.held_batch = batch;
            }
        }
        Ok(())
    }

    /// A row that a run made and was killed before it remembered that: the database has recorded whose it is.
    async fn recorded_link(&mut self, run: &mut Run, id: &RemoteId) -> Result<Option<Link>> {
        let ids = std::slice::from_ref(id);
        let Some(recorded) = self.local.links_by_remote(ids).await?.pop().flatten() else {
            return Ok(None);
        };
        let keys = std::slice::from_ref(&recorded.key);
        let Some(row) = self.local.fetch(keys).await?.pop().flatten() else {
            return Ok(None);
        };
        if row.marked {
            return Ok(None);
        }
        run.facts.links += 1;
        Ok(Some(Link {
            local: row.key,
            row: row.digest,
            ..self.link_of(run, id)
        }))
    }

    /// The next entries that are not done and wanted; fewer than a part only at the journal's end.
    async fn next_part(
        &self,
        rules: QueueRules,
        after: &mut Option<RemoteId>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Part> {
        let memory = Memory::new(self.store);
        let mut part = Vec::new();
        loop {
            let entries = memory.entries_after(after.as_ref()).await?;
            if entries.is_empty() {
                return Ok(part);
            }
            for (id, entry) in entries {
                if part.len() == rules.part {
                    return Ok(part);
                }
                *after = Some(id.clone());
                if !entry.done && wanted(&entry) {
                    part.push((id, entry));
                }
            }
        }
    }

    async fn reach(&self) -> Result<Reach> {
        let memory = Memory::new(self.store);
        let mut reach = Reach::default();
        let mut after = None;
        loop {
            let entries = memory.entries_after(after.as_ref()).await?;
            let Some((last, _)) = entries.last() else {
                return Ok(reach);
            };
            after = Some(last.clone());
            let open: Part = entries
                .into_iter()
                .filter(|(_, entry)| !entry.done)
                .collect();
            let ids: Vec<RemoteId> = open.iter().map(|(id, _)| id.clone()).collect();
            reach.records += open.len() as u64;
            for ((_, entry), link) in open.iter().zip(memory.links(&ids).await?) {
                reach.linked += u64::from(link.is_some());
                reach.deletions += u64::from(link.is_some() && entry.deleted);
            }
        }
    }

    fn might_exceed(&self, run: &Run, rules: QueueRules, reach: &Reach, load: Load) -> bool {
        let deletions = match (self.rules.deletes, rules.reasons) {
            (DeletePolicy::Review | DeletePolicy::Ignore, _) => 0,
            (DeletePolicy::Apply, true) => reach.deletions,
            (DeletePolicy::Apply, false) => reach.linked,
        };
        let most = Load {
            deletes: deletions,
            updates: reach.linked,
            ..load
        };
        !run.relink && self.check_load(run, "customer database", most).is_err()
    }

    /// Counts what a large journal would do, before the first of it is done. What turns out to be as it was is done with it.
    async fn weigh(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
        mut load: Load,
    ) -> Result<(), Halt> {
        let mut after = None;
        loop {
            let part = self.next_part(rules, &mut after, |_| true).await?;
            if part.is_empty() {
                break;
            }
            let counts = run.pull;
            let (tasks, marks) = self.plan_part(run, rules, &part, Vec::new()).await?;
            add(&mut load, &tasks);
            let to_do: HashSet<&RemoteId> = tasks
                .iter()
                .filter(|task| task.action != Action::Nothing)
                .filter_map(|task| {
                    let of_link = task.link.as_ref().map(|link| &link.remote);
                    of_link.or(task.remote.as_ref().map(|view| &view.id))
                })
                .chain(&marks.again)
                .collect();
            let unchanged: Vec<&(RemoteId, Entry)> = part
                .iter()
                .filter(|(id, _)| {
                    !to_do.contains(id) && !run.quarantine.contains_key(&dirty_remote(id))
                })
                .collect();
            // What is left is counted when it is done; what can't be read is held then.
            run.pull = counts;
            run.pull.unchanged += unchanged.len() as u64;
            let mut batch = std::mem::take(&mut run.held_batch);
            marks.settle(&mut batch);
            self.close(run, rules, unchanged.into_iter(), &mut batch);
            if !batch.is_empty() {
                self.store.commit(batch).await?;
                self.world.checkpoint("Q.weighed").await?;
            }
        }
        self.check_load(run, "customer database", load)
    }
}

/// Rows that an earlier run, or a person's decision, left to be looked at.
fn rows_to_look_at(run: &mut Run) -> Vec<LocalKey> {
    let mut rows: Vec<LocalKey> = std::mem::take(&mut run.dirty_local).into_iter().collect();
    rows.sort();
    rows
}

fn add(load: &mut Load, tasks: &[Task]) {
    let (local, _) = loads(tasks);
    load.deletes += local.deletes;
    load.updates += local.updates;
}
