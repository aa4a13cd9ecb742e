//! From what was read to the tasks of the run: absences, newcomers, pairs; then the brakes, and the plan as people read it.

use std::collections::HashMap;

use crate::local::Local;
use crate::model::{DeletePolicy, Direction, RemoteId, RemoteItem, Result, World};
use crate::remote::{Found, LookUp, Remote};
use crate::state::{StateStore, Table};

use super::behind::Age;
use super::collect::{Changed, Collected};
use super::guard::{DELETES_FLOOR, Load, check_emptied, check_load, check_site};
use super::memory::{
    Decision, Link, Memory, RANGE, ReviewKind, Side, Stranger, dirty_local, dirty_remote,
};
use super::merge::{Circumstances, Newer, newer};
use super::newcomers::move_link;
use super::plan::{LocalState, Policies, RemoteState, Step, children_unchanged, plan_pair};
use super::push::{IGNORED, MISSES_MAX};
use super::report::{Guard, PlanItem};
use super::run::{Action, Run, Task};
use super::view::{LocalView, RemoteView};
use super::{Engine, Halt};

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn plan(
        &mut self,
        run: &mut Run,
        mut collected: Collected,
    ) -> Result<Vec<Task>, Halt> {
        self.check_rewound(run, &collected).await?;
        if let Some(live) = collected.live_rows
            && !run.first_load
        {
            check_emptied("customer database", run.facts.links, live, &run.accept)?;
        }
        // A first load that goes on after a kill has rows already, and their contacts may have gone meanwhile.
        if run.full && (!run.first_load || run.live_local > 0) && run.scan_end.is_some() {
            self.find_absences(run, &mut collected).await?;
        }
        self.look_at_behind(run, &mut collected);
        // Before anything is planned that would wait for them.
        self.release_vanished(run).await?;
        self.watch.progress("planning", 0, None);
        let mut tasks = self.plan_newcomers(run, &mut collected).await?;
        for task in &mut tasks {
            self.plan_newcomer(run, task);
        }
        let echoes = self.rows_that_wait(run, &tasks);
        for (id, changed) in std::mem::take(&mut collected.pairs) {
            let mut task = self.plan_changed(run, changed);
            if task.action == Action::RestoreLocal && task.remote.is_none() {
                self.look_for_restore(run, &id, &mut task).await?;
            }
            if task.action == Action::RestoreRemote {
                self.wait_with_restore(run, &echoes, &mut task);
            }
            tasks.push(task);
        }
        self.hold_taken(run, &mut tasks).await?;
        for task in &mut tasks {
            let link = task.standing();
            if let Some(from) = link.and_then(|link| collected.moved.remove(&link.remote)) {
                move_link(task, &from);
            }
        }
        for bad in std::mem::take(&mut collected.bad) {
            self.hold_bad(run, bad);
        }
        Ok(tasks)
    }

    /// P9: the row comes back, although its contact is as the base has it and was not read for that reason.
    async fn look_for_restore(&self, run: &Run, id: &RemoteId, task: &mut Task) -> Result<()> {
        if let Found::Item(item) = self.remote.look_up(&LookUp::Id(id.clone())).await?
            && let RemoteItem::Record(record) = *item
            && !record.deleted
        {
            task.remote = Some(self.view(run, &record));
        } else {
            // The next full read tells what became of it.
            task.action = Action::Nothing;
        }
        Ok(())
    }

    /// H-40: a known contact that a full read did not show is looked up, and only "not found" makes it dead, in a run in which the
    /// same look-up finds a contact that is there.
    async fn find_absences(
        &mut self,
        run: &mut Run,
        collected: &mut Collected,
    ) -> Result<(), Halt> {
        let memory = Memory::new(self.store);
        let mut absent: Vec<Link> = Vec::new();
        let mut present = None;
        let (mut links, mut there) = (0u64, 0u64);
        let mut after = None;
        loop {
            let page = memory.links_after(after.as_ref(), RANGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.remote.clone());
            for link in page {
                if link.gone == Some(Side::Remote) {
                    continue;
                }
                links += 1;
                if run.seen.contains(&link.remote) {
                    there += 1;
                    present.get_or_insert_with(|| link.remote.clone());
                } else {
                    absent.push(self.migrate(run, link));
                }
            }
        }
        let count = run.scan_end.as_ref().map_or(0, |end| end.count);
        if run.rewound.is_none() {
            check_emptied(
                "CRM",
                run.facts.last_full_count.max(links),
                count,
                &run.accept,
            )?;
            // So few missing contacts are deletions like any others, however few there are in all. And who accepted that the site
            // lost most of them was told so already; what is accepted still meets `deletes`.
            if links - there > DELETES_FLOOR && !run.accept.contains(&Guard::Emptied) {
                check_site(self.site, links, there, &run.accept)?;
            }
            let deletes = absent.iter().filter(|link| link.gone.is_none()).count() as u64;
            if self.rules.direction.pulls() && self.rules.deletes == DeletePolicy::Apply {
                let load = Load {
                    live: run.live_local,
                    deletes,
                    updates: 0,
                };
                check_load(
                    "customer database (known contacts are missing from a full read)",
                    load,
                    self.rules.max_deletes,
                    self.rules.max_changes,
                    &run.accept,
                )?;
            }
        }
        if absent.is_empty() {
            return Ok(());
        }
        // Any contact that the scan has just shown will do.
        let present = present
            .or_else(|| collected.alive.clone())
            .or_else(|| collected.bad.iter().find_map(|bad| bad.id.clone()));
        let control = match present {
            Some(id) => match self.remote.look_up(&LookUp::Id(id.clone())).await? {
                Found::Item(item) => {
                    if let RemoteItem::Record(record) = *item {
                        run.saw(&record.id, record.stamp);
                    }
                    true
                }
                Found::Nothing => {
                    // It may have been deleted since the scan showed it.
                    collected.pairs.remove(&id);
                    collected.behind.push(id);
                    false
                }
            },
            // Everything is gone, and that was accepted: there is nothing left to prove the look-up by.
            None => run.accept.contains(&Guard::Emptied),
        };
        if !control {
            tracing::warn!(
                bridge = self.bridge,
                absent = absent.len(),
                "the look-up does not find a contact that is there; no absence is taken for a deletion"
            );
            return Ok(());
        }
        // None of those that are known, but others: a few may have been deleted, or be younger than a backup that was put back.
        run.went_back |= there == 0
            && links > 1
            && run.rewound.is_none()
            && !run.accept.contains(&Guard::Emptied);
        for link in absent {
            self.check_signal()?;
            let state = match self
                .remote
                .look_up(&LookUp::Id(link.remote.clone()))
                .await?
            {
                Found::Nothing if self.is_recent(run, &link) => {
                    collected.behind.push(link.remote);
                    run.full_next = true;
                    continue;
                }
                Found::Nothing => RemoteState::Dead,
                Found::Item(item) => match *item {
                    RemoteItem::Record(record) if record.deleted => RemoteState::Dead,
                    RemoteItem::Record(record) => RemoteState::Seen(self.view(run, &record)),
                    RemoteItem::Bad(bad) => {
                        collected.bad.push(bad);
                        continue;
                    }
                },
            };
            collected
                .pairs
                .entry(link.remote.clone())
                .or_insert(Changed {
                    link,
                    remote: RemoteState::Unchanged,
                    local: None,
                })
                .remote = state;
        }
        self.fetch_rows_of_pairs(collected).await?;
        Ok(())
    }

    /// Which side a person took when they were asked this: an answer counts for nothing else, such as a deletion that came after it.
    pub(crate) fn decision(&self, run: &Run, key: &[u8], kind: ReviewKind) -> Option<Side> {
        let review = run.reviews.get(key).filter(|review| review.kind == kind)?;
        match review.decision {
            Some(Decision::Take(side)) => Some(side),
            _ => None,
        }
    }

    /// Which of the two edits is the later one, by the records' own times.
    pub(crate) fn newer(
        &self,
        link: &Link,
        remote: Option<&RemoteView>,
        local: &LocalView,
    ) -> Newer {
        let stamp = remote.and_then(|remote| remote.stamp).filter(|stamp| {
            // A time that our own write made, or one that the zone shows twice, says nothing.
            let is_ours = link.own_stamp && link.stamp == Some(*stamp);
            !is_ours && !self.remote.is_ambiguous(*stamp)
        });
        let ahead = self.remote.clock_difference().unwrap_or_default();
        let tolerance = chrono::Duration::from_std(self.rules.conflict_tolerance)
            .unwrap_or(chrono::Duration::minutes(2));
        newer(
            stamp.map(|stamp| self.remote.instant(stamp)),
            local.changed_at,
            ahead,
            tolerance,
        )
    }

    pub(crate) fn circumstances(
        &self,
        run: &Run,
        link: Option<&Link>,
        remote: Option<&RemoteView>,
        newer: Newer,
        take: Option<Side>,
    ) -> Circumstances {
        let times = remote
            .map(|view| view.stamp)
            .zip(link.map(|link| link.stamp));
        let is_asked = link
            .is_some_and(|link| self.waits(run, &dirty_remote(&link.remote), ReviewKind::Conflict));
        let (rewound, doubtful) = match (run.rewound, times) {
            (Some(Side::Remote), _) if is_asked => (None, true),
            // Until it is answered: what was sent to the contact since has made it new again.
            (None, _) if link.is_some_and(|link| self.stays_in_doubt(run, link, remote)) => {
                (None, true)
            }
            // Restored, and edited since: nothing tells one from the other.
            (Some(Side::Remote), Some((seen, agreed))) if seen > agreed => (None, true),
            (None, Some((seen, agreed))) => (None, self.age(run, seen, agreed) == Age::WentBack),
            (rewound, _) => (rewound, false),
        };
        Circumstances {
            newer,
            full: run.full,
            rewound,
            doubtful,
            take,
            waiting: self.conflict_waits(run, link),
        }
    }

    /// Whether fields of this pair wait for a person, or were agreed once and forgotten in a kill: no first meeting any more.
    pub(crate) fn conflict_waits(&self, run: &Run, link: Option<&Link>) -> bool {
        link.is_some_and(|link| {
            link.met || self.waits(run, &dirty_remote(&link.remote), ReviewKind::Conflict)
        })
    }

    pub(crate) fn policies<'a>(&self, run: &'a Run, circumstances: Circumstances) -> Policies<'a> {
        Policies {
            fields: &run.fields,
            direction: self.rules.direction,
            deletes: self.rules.deletes,
            circumstances,
        }
    }

    fn plan_changed(&self, run: &Run, changed: Changed) -> Task {
        let Changed {
            link,
            remote,
            local,
        } = changed;
        let from_local = match &local {
            Some(LocalState::Row(view)) => {
                view.row != link.row || run.dirty_local.contains(&view.key)
            }
            Some(LocalState::Gone) => true,
            None => false,
        };
        let local = local.unwrap_or(LocalState::Gone);
        let both = remote != RemoteState::Dead && local != LocalState::Gone;
        let kind = if both {
            ReviewKind::Conflict
        } else {
            ReviewKind::Delete
        };
        let take = self.decision(run, &dirty_remote(&link.remote), kind);
        let action = self.action_on(run, &link, &remote, &local, take);
        let from_remote = remote != RemoteState::Unchanged;
        let remote = match remote {
            RemoteState::Seen(view) => Some(view),
            RemoteState::Unchanged | RemoteState::Dead => None,
        };
        let local = match local {
            LocalState::Row(view) => Some(view),
            LocalState::Gone => None,
        };
        let action = if run.relink {
            without_writes(action)
        } else {
            action
        };
        let mut task = Task::linked(link, remote, local, action);
        (task.from_remote, task.from_local, task.take) = (from_remote, from_local, take);
        if run.relink
            && let Some(local) = &task.local
        {
            // A re-link that a kill cut off had linked the two: what either shows since then is for the run after it.
            for key in [
                dirty_local(&local.key),
                dirty_remote(&task.standing().expect("a link").remote),
            ] {
                task.extra.put(Table::Inbox, key, run.mark());
            }
        }
        if self.left_alone(run, &task) {
            task.action = Action::Nothing;
        }
        task
    }

    /// What table P says of a pair that stands like this.
    fn action_on(
        &self,
        run: &Run,
        link: &Link,
        remote: &RemoteState,
        local: &LocalState,
        take: Option<Side>,
    ) -> Action {
        let newer = match (remote, local) {
            (RemoteState::Seen(contact), LocalState::Row(row)) => {
                self.newer(link, Some(contact), row)
            }
            _ => Newer::Unknown,
        };
        let shown = match remote {
            RemoteState::Seen(contact) => Some(contact),
            _ => None,
        };
        let circumstances = self.circumstances(run, Some(link), shown, newer, take);
        let policies = self.policies(run, circumstances);
        match plan_pair(link, remote, local, policies) {
            Step::Nothing => Action::Nothing,
            Step::Settle(merged) => Action::Settle(merged),
            // Whoever is missing beside records that went back in time may be younger than a backup.
            Step::DeleteLocal if take.is_none() && self.may_be_younger(run, link) => {
                Action::HoldDelete(Side::Remote)
            }
            Step::DeleteLocal => Action::DeleteLocal,
            Step::DeleteRemote => Action::DeleteRemote,
            Step::HoldDelete(side) => Action::HoldDelete(side),
            Step::DoubtDelete => Action::DoubtDelete,
            Step::IgnoreDelete(side) => Action::IgnoreDelete(side),
            Step::RestoreLocal => Action::RestoreLocal,
            Step::RestoreRemote => Action::RestoreRemote,
            Step::Bury => Action::Bury,
        }
    }

    /// The same once more, of a contact that is to be deleted and was just looked at.
    pub(crate) fn plan_deletion(
        &self,
        run: &Run,
        link: &Link,
        contact: &RemoteView,
        take: Option<Side>,
    ) -> Action {
        let seen = RemoteState::Seen(contact.clone());
        self.action_on(run, link, &seen, &LocalState::Gone, take)
    }

    /// A pair that was just found is settled as at a first meeting; a newcomer alone is made on the other side, where the bridge flows
    /// that way and the newcomer can be addressed.
    fn plan_newcomer(&self, run: &Run, task: &mut Task) {
        let direction = self.rules.direction;
        let take = task
            .link
            .as_ref()
            .and_then(|link| self.decision(run, &dirty_remote(&link.remote), ReviewKind::Conflict));
        task.take = take;
        match (&task.action, &task.link, &task.remote, &task.local) {
            (Action::Nothing, Some(link), Some(remote), Some(local)) => {
                let newer = self.newer(link, Some(remote), local);
                let merged = super::merge::merge(
                    &run.fields,
                    link,
                    local,
                    Some(remote),
                    self.circumstances(run, Some(link), Some(remote), newer, take),
                );
                task.action = if run.relink {
                    without_writes(Action::Settle(merged))
                } else {
                    Action::Settle(merged)
                };
            }
            (Action::CreateLocal, ..) if run.relink || direction == Direction::Push => {
                task.action = Action::Nothing
            }
            (Action::CreateRemote, ..) if run.relink || direction == Direction::Pull => {
                task.action = Action::Nothing
            }
            (Action::CreateRemote, _, _, Some(local)) => {
                if let Some((code, reason)) = self.unaddressable(run, local) {
                    task.action = Action::Hold(code, reason, Vec::new());
                } else if run
                    .tries
                    .get(&local.key)
                    .is_some_and(|&tries| tries >= MISSES_MAX)
                {
                    let reason = "The CRM took the new contact three times and never showed it; it is tried again when the row changes";
                    task.action = Action::Hold(IGNORED, reason.into(), Vec::new());
                }
            }
            _ => {}
        }
        if !matches!(task.action, Action::Hold(..)) && self.left_alone(run, task) {
            task.action = Action::Nothing;
        }
    }

    /// The brakes on what is planned, per side.
    pub(crate) async fn check_guards(&self, run: &Run, tasks: &[Task]) -> Result<(), Halt> {
        if run.first_load {
            return Ok(());
        }
        let (mut local, mut remote) = loads(tasks);
        local.live = run.live_local;
        remote.live = run.live_links.max(
            run.scan_end
                .as_ref()
                .filter(|_| run.full)
                .map_or(0, |end| end.count),
        );
        self.check_load(run, "customer database", local)?;
        self.check_load(run, "CRM", remote)
    }

    /// G1 and G2 for one side.
    pub(crate) fn check_load(&self, run: &Run, side: &str, load: Load) -> Result<(), Halt> {
        check_load(
            side,
            load,
            self.rules.max_deletes,
            self.rules.max_changes,
            &run.accept,
        )?;
        Ok(())
    }

    /// The plan as people and scripts read it: one item a record that would be written or held.
    pub(crate) fn describe(&self, tasks: &[Task]) -> Vec<PlanItem> {
        let columns = |fields: &mut dyn Iterator<Item = usize>| {
            fields
                .map(|field| self.mapping.fields[field].column.clone())
                .collect::<Vec<_>>()
        };
        let mut items = Vec::new();
        for task in tasks {
            let mut item = |action, side, fields, reason: Option<String>| {
                items.push(PlanItem {
                    action,
                    side,
                    local: task
                        .local
                        .as_ref()
                        .map(|view| view.key.to_string())
                        .or_else(|| task.link.as_ref().map(|link| link.local.to_string())),
                    remote: task
                        .remote
                        .as_ref()
                        .map(|view| view.id.to_string())
                        .or_else(|| task.link.as_ref().map(|link| link.remote.to_string())),
                    fields,
                    reason,
                });
            };
            match &task.action {
                Action::Nothing | Action::Bury => {}
                Action::Settle(merged) => {
                    let children = task
                        .remote
                        .as_ref()
                        .zip(task.link.as_ref())
                        .is_some_and(|(view, link)| !children_unchanged(link, view));
                    if task.fresh {
                        item("link", "both", Vec::new(), None);
                    }
                    if merged.to_local().next().is_some() || children {
                        item("update", "local", columns(&mut merged.to_local()), None);
                    }
                    if merged.to_remote().next().is_some() {
                        item("update", "remote", columns(&mut merged.to_remote()), None);
                    }
                    if merged.in_review().next().is_some() {
                        item(
                            "hold",
                            "both",
                            columns(&mut merged.in_review()),
                            Some("both sides changed it; a person decides".into()),
                        );
                    }
                    if merged.unreadable().next().is_some() {
                        item(
                            "hold",
                            "both",
                            columns(&mut merged.unreadable()),
                            Some("the value can't be read".into()),
                        );
                    }
                }
                Action::CreateLocal => item("create", "local", Vec::new(), None),
                Action::CreateRemote => item("create", "remote", Vec::new(), None),
                Action::DeleteLocal => item(
                    "delete",
                    "local",
                    Vec::new(),
                    Some("deleted in the CRM".into()),
                ),
                Action::DeleteRemote => item(
                    "delete",
                    "remote",
                    Vec::new(),
                    Some("deleted in the database".into()),
                ),
                Action::HoldDelete(side) => item(
                    "hold",
                    side_name(*side),
                    Vec::new(),
                    Some("a deletion that a person decides on".into()),
                ),
                Action::DoubtDelete => item(
                    "hold",
                    "local",
                    Vec::new(),
                    Some("deleted in the database, and the contact went back in time; a person decides".into()),
                ),
                Action::IgnoreDelete(side) => item(
                    "hold",
                    side_name(*side),
                    Vec::new(),
                    Some("a deletion that is ignored".into()),
                ),
                Action::RestoreLocal => item(
                    "create",
                    "local",
                    Vec::new(),
                    Some("deleted in the database, edited in the CRM: the edit wins".into()),
                ),
                Action::RestoreRemote => item(
                    "create",
                    "remote",
                    Vec::new(),
                    Some("deleted in the CRM, edited in the database: the edit wins".into()),
                ),
                Action::Hold(code, reason, _) => item(
                    "hold",
                    if task.remote.is_some() {
                        "remote"
                    } else {
                        "local"
                    },
                    Vec::new(),
                    Some(format!("{code} {reason}")),
                ),
            }
        }
        items
    }

    /// Newcomers that waited, that a full read did not show and that a look-up does not find are gone.
    pub(crate) async fn release_vanished(&self, run: &mut Run) -> Result<()> {
        if !run.has_shown_all() {
            return Ok(());
        }
        let waiting = run.reviews.iter().filter(|(_, review)| {
            review.kind == ReviewKind::Match && review.side == Some(Side::Remote)
        });
        let mut ids: Vec<RemoteId> = waiting
            .filter_map(|(_, review)| review.remote.clone())
            .filter(|id| !run.seen.contains(id))
            .collect();
        ids.sort();
        for id in ids {
            let found = self.remote.look_up(&LookUp::Id(id.clone())).await?;
            if found == Found::Nothing {
                self.release_gone(run, &dirty_remote(&id));
            }
        }
        Ok(())
    }

    /// Strangers that a full read did not show are forgotten.
    pub(crate) async fn vanished_strangers(&self, run: &Run) -> Result<Vec<Vec<u8>>> {
        if !run.has_shown_all() {
            return Ok(Vec::new());
        }
        let strangers: HashMap<Vec<u8>, Stranger> = Memory::new(self.store)
            .all(Table::Stranger)
            .await?
            .into_iter()
            .collect();
        Ok(strangers
            .into_keys()
            .filter(|key| {
                String::from_utf8(key.clone())
                    .is_ok_and(|id| !run.seen.contains(&crate::model::RemoteId(id)))
            })
            .collect())
    }

    /// Whether a review of this kind waits under `key`.
    pub(crate) fn waits(&self, run: &Run, key: &[u8], kind: ReviewKind) -> bool {
        run.reviews
            .get(key)
            .is_some_and(|review| review.kind == kind)
    }
}

/// What tasks would do to the database and to the CRM.
pub(crate) fn loads(tasks: &[Task]) -> (Load, Load) {
    let (mut local, mut remote) = (Load::default(), Load::default());
    for task in tasks {
        match &task.action {
            Action::DeleteLocal => local.deletes += 1,
            Action::DeleteRemote => remote.deletes += 1,
            // A first meeting is a first load: no limit applies to it.
            Action::Settle(merged) if !task.fresh => {
                local.updates += u64::from(merged.to_local().next().is_some());
                remote.updates += u64::from(merged.to_remote().next().is_some());
            }
            _ => {}
        }
    }
    (local, remote)
}

/// A re-link writes nothing on either side: only what is equal is agreed.
fn without_writes(action: Action) -> Action {
    use super::merge::Flow;
    match action {
        Action::Settle(mut merged) => {
            for flow in &mut merged.flows {
                if *flow != Flow::Agree {
                    *flow = Flow::Keep;
                }
            }
            Action::Settle(merged)
        }
        _ => Action::Nothing,
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Remote => "remote",
        Side::Local => "local",
    }
}
