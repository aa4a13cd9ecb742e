//! Carries the plan out: rows first, then contacts, deletions last; and ends the run.

use std::collections::HashMap;

use crate::local::{Local, RowWrite};
use crate::model::{Direction, RemoteItem, Result, Stamp, World};
use crate::remote::{Deleted, LookUp, Remote};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::behind::Age;
use super::collect::{Collected, split};
use super::create::look_again;
use super::held::UNREADABLE;
use super::memory::{
    FORMAT, Intent, IntentKind, Link, Memory, RANGE, ReviewKind, Side, dirty_local, dirty_remote,
    put_facts, put_json,
};
use super::plan::remote_unchanged;
use super::run::{Action, Hold, Pushing, Run, Task};

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn apply(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        if !run.held_batch.is_empty() {
            let batch = std::mem::take(&mut run.held_batch);
            self.store.commit(batch).await?;
        }
        let (mut rows, mut updates, mut creates, mut deletes, mut dead) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            if let Action::Settle(merged) = &task.action {
                run.conflicts += merged.conflicts().count() as u64;
            }
            let goes = matches!(task.action, Action::DeleteLocal | Action::Bury);
            let link = task
                .replaces
                .as_ref()
                .or(task.link.as_ref().filter(|_| goes));
            run.dying.extend(link.map(|link| link.remote.clone()));
            match &task.action {
                Action::Settle(merged) if merged.to_remote().next().is_some() => updates.push(task),
                Action::CreateRemote | Action::RestoreRemote => creates.push(task),
                Action::DeleteRemote => deletes.push(task),
                // Deletions come after creates and updates, so that a merge in the CRM loses nobody (H-41).
                Action::DeleteLocal | Action::Bury => dead.push(task),
                _ => rows.push(task),
            }
        }
        self.settle(run, rows).await?;
        self.push_updates(run, updates).await?;
        self.push_creates(run, creates).await?;
        self.delete_contacts(run, deletes).await?;
        self.settle(run, dead).await?;
        run.last_try = true;
        let refused = std::mem::take(&mut run.refused);
        self.settle(run, refused).await
    }

    /// One page of a first load: made into rows at once. What is linked already and has changed meanwhile (the page was read twice, or a
    /// killed run loaded it) is planned like any other pair.
    pub(crate) async fn load_page(
        &mut self,
        run: &mut Run,
        items: Vec<RemoteItem>,
        collected: &mut Collected,
    ) -> Result<()> {
        let (records, bad) = split(items);
        for record in bad {
            self.hold_bad(run, record);
        }
        // What this run has not shown yet has no link, unless an earlier run left some.
        let known: Vec<_> = records
            .iter()
            .filter(|record| !run.seen.insert(&record.id) || run.began_with_links)
            .map(|record| record.id.clone())
            .collect();
        let links = Memory::new(self.store).links(&known).await?;
        let mut links: HashMap<_, _> = known.into_iter().zip(links).collect();
        for record in &records {
            let view = self.view(run, record);
            match links.remove(&record.id).flatten() {
                Some(link)
                    if !view.deleted
                        && remote_unchanged(&link, &view)
                        && !collected.pairs.contains_key(&record.id) => {}
                Some(link) => {
                    let link = self.migrate(run, link);
                    self.sort_linked(run, link, view, collected);
                }
                None if view.deleted => run.pull.unchanged += 1,
                // A person was asked by a run that did not end well; planned like any newcomer, it waits on.
                None if self.waits(run, &dirty_remote(&record.id), ReviewKind::Match) => {
                    collected.new_remote.insert(view.id.clone(), view);
                }
                None => {
                    let twice = view
                        .external
                        .is_some_and(|external| !run.externals.insert(external));
                    let action = if twice {
                        let reason = "Another contact has this External ID already. See `review show`, then `review resolve --separate`".to_owned();
                        Action::Hold("E-EXT-NOT-UNIQUE", reason, Vec::new())
                    } else {
                        Action::CreateLocal
                    };
                    run.loading.push(Task::newcomer(Some(view), None, action));
                }
            }
        }
        if run.loading.len() >= self.rules.rows_per_transaction {
            self.flush_load(run).await?;
        }
        Ok(())
    }

    /// Writes the contacts that were gathered: at the end of a first load, and before a scan that begins anew shows them again.
    pub(crate) async fn flush_load(&mut self, run: &mut Run) -> Result<()> {
        let tasks = std::mem::take(&mut run.loading);
        self.settle(run, tasks).await
    }

    /// Deletes contacts one by one: looked at afresh, announced, deleted, and proved to be gone.
    async fn delete_contacts(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let mut done = Vec::new();
        for mut task in tasks {
            self.check_signal()?;
            let Some(link) = task.link.clone() else {
                continue;
            };
            let by = LookUp::Id(link.remote.clone());
            let contact = match self.found(run, &by).await {
                Err(error) if error.code() == UNREADABLE => {
                    task.extra
                        .put(Table::Inbox, dirty_local(&link.local), run.mark());
                    task.holds.push(Hold {
                        code: UNREADABLE,
                        reason: error.message().into(),
                        fields: Vec::new(),
                    });
                    self.hold_push(run, task).await?;
                    continue;
                }
                contact => contact?,
            };
            // As planned, or not: it may have been edited since we looked (P4).
            if let Some(view) = contact {
                // As agreed or not: a replica that lags may not show yet what came after.
                if self.age(run, view.stamp, run.known(&link)) == Age::Behind {
                    look_again(run, &mut task);
                    self.hold_push(run, task).await?;
                    continue;
                }
                let action = self.plan_deletion(run, &link, &view, task.take);
                if action != Action::DeleteRemote {
                    (task.remote, task.from_remote, task.action) = (Some(view), true, action);
                    done.push(task);
                    continue;
                }
            }
            let mut batch = Batch::new();
            let key = dirty_remote(&link.remote);
            put_json(
                &mut batch,
                Table::Intent,
                key.clone(),
                &self.delete_intent(run, &link),
            );
            self.store.commit(batch).await?;
            self.world.checkpoint("C5").await?;
            self.check_fence(run).await?;
            run.wrote = true;
            let deleted = self.remote.delete(&link.remote).await?;
            self.world.checkpoint("send").await?;
            let gone = match self.found(run, &by).await {
                Err(error) if error.code() == UNREADABLE => false,
                contact => contact?.is_none(),
            };
            task.extra.remove(Table::Intent, key);
            match (gone, deleted) {
                (true, _) => {
                    self.local
                        .apply(&run.fence, &[RowWrite::Unlink(link.local.clone())])
                        .await?;
                    done.push(task);
                }
                (false, Deleted::Refused(reason)) => {
                    task.holds.push(Hold {
                        code: "E-DELETE-REFUSED",
                        reason: format!("The CRM refused to delete the contact: {reason}"),
                        fields: Vec::new(),
                    });
                    self.hold_push(run, task).await?;
                }
                (false, Deleted::Done | Deleted::Unknown) => {
                    task.extra
                        .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                    task.holds.push(Hold {
                        code: "E-DELETE-IGNORED",
                        reason: "The CRM still shows the contact after it was deleted".into(),
                        fields: Vec::new(),
                    });
                    self.hold_push(run, task).await?;
                }
            }
        }
        self.settle(run, done).await
    }

    /// Nothing could be sent for this task: what waits is written down.
    pub(crate) async fn hold_push(&mut self, run: &mut Run, mut task: Task) -> Result<()> {
        let mut batch = std::mem::take(&mut task.extra);
        for hold in &task.holds {
            self.quarantine_hold(run, Side::Local, &task, hold, &mut batch);
        }
        run.push.held += 1;
        run.pull.unchanged += u64::from(task.from_remote);
        task.pushed = Pushing::Held;
        self.store.commit(batch).await
    }

    fn delete_intent(&self, run: &Run, link: &Link) -> Intent {
        Intent {
            format: FORMAT,
            kind: IntentKind::Delete,
            local: link.local.clone(),
            remote: Some(link.remote.clone()),
            identity: None,
            sent: Vec::new(),
            before: Vec::new(),
            local_after: Vec::new(),
            follows: Vec::new(),
            values: Vec::new(),
            parts: Vec::new(),
            mapping: run.facts.mapping,
            epoch: run.facts.epoch,
            at: self.world.now(),
            tries: 0,
        }
    }

    /// H-67: another run may have overtaken this one since its last write, in a shared state or in the database.
    pub(crate) async fn check_fence(&mut self, run: &Run) -> Result<()> {
        self.store.still_held().await?;
        match self.local.meta().await? {
            Some(meta) if meta.store_id != run.fence.store_id || meta.epoch > run.fence.epoch => {
                Err(crate::model::Error::new(
                    crate::model::ErrorKind::Busy,
                    "E-FENCED",
                    "Another run has overtaken this one; nothing more is sent",
                ))
            }
            _ => Ok(()),
        }
    }

    /// C2 and C9: the watermark moves now that everything below it is applied, equal or held; then the run is recorded.
    pub(crate) async fn finish(&mut self, run: &mut Run) -> Result<()> {
        for durable in std::mem::take(&mut run.behind) {
            durable.await?;
        }
        let before = run.facts.clone();
        let mut batch = std::mem::take(&mut run.held_batch);
        for key in self.vanished_strangers(run).await? {
            batch.remove(Table::Stranger, key);
        }
        self.forget_announced(run, &mut batch).await?;
        self.forget_unfound(run, &mut batch).await?;
        self.drop_old_settled(&mut batch).await?;
        self.drop_old_marks(run, &mut batch).await?;
        let complete =
            run.full && (run.scan_end.is_some() || self.rules.direction == Direction::Push);
        if let Some(end) = run.scan_end.clone() {
            self.move_watermark(run, &end);
            if complete {
                run.facts.last_full_count = end.count;
            }
        }
        if complete && run.scan_end.is_some() {
            self.drop_nameless(run, &mut batch);
        }
        if complete {
            run.facts.last_full = Some(self.world.now());
            // A re-link settles nothing: the next run compares everything, as at a first meeting.
            run.facts.full_due = run.relink;
            run.facts.relink = false;
            run.facts.rewound = false;
        }
        run.facts.full_due |= run.full_next;
        if run.local_position.is_some() {
            run.facts.local_position.clone_from(&run.local_position);
        }
        run.facts.last_good = Some(self.world.now());
        let to_seal = run.wrote || run.relink || run.rewound.is_some();
        if to_seal {
            // A kill between the two halves of C9 left the database one generation behind; two of them would look like a
            // restored backup (H-64).
            let meta = self.local.meta().await?;
            if meta.is_some_and(|meta| meta.generation < run.facts.generation) {
                self.local.seal(&run.fence, run.facts.generation).await?;
            }
            run.facts.generation += 1;
        }
        put_facts(&mut batch, &run.facts);
        if let Err(error) = self.store.commit(batch).await {
            // What was not recorded is not reported either.
            run.facts = before;
            return Err(error);
        }
        self.world.checkpoint("C9.state").await?;
        if to_seal {
            self.local.seal(&run.fence, run.facts.generation).await?;
            self.world.checkpoint("C9.database").await?;
        }
        Ok(())
    }

    /// W' = min(newest stamp seen, server time at the start of the scan); it waits at the start of a repeated hour (H-04 to H-08).
    fn move_watermark(&self, run: &mut Run, end: &crate::remote::ScanEnd) {
        let old = run.facts.watermark;
        let Some(newest) = end.newest.or(old.map(Stamp)) else {
            return;
        };
        let Some(limit) = end.server_time else { return };
        // Reckoned between two `Date` headers, it has fractions that the service never gave.
        let limit = Stamp(chrono::SubsecRound::trunc_subsecs(limit.0, 0));
        let mut watermark = newest.min(limit);
        // Inside a repeated hour, and until the overlap after it, wall times can't be ordered: stay at the hour's beginning.
        let overlap =
            chrono::Duration::from_std(self.rules.overlap).unwrap_or(chrono::Duration::minutes(10));
        let mut probe = watermark;
        let reach = self.remote.instant(limit) - overlap - chrono::Duration::hours(2);
        while self.remote.is_ambiguous(probe) && self.remote.instant(probe) > reach {
            probe = Stamp(probe.0 - chrono::Duration::minutes(1));
        }
        watermark = watermark.min(probe);
        // A `--since` later than the watermark read less than the watermark promises: it stays where it is.
        let gap = run
            .since
            .is_some_and(|since| old.is_none_or(|old| since.0 > old));
        if gap {
            return;
        }
        // It falls only where it stood ahead of the service's own clock, or of a restored service.
        let ahead = run.full && old.is_some_and(|old| old > limit.0);
        if run.rewound == Some(Side::Remote) || ahead || old.is_none_or(|old| watermark.0 > old) {
            run.facts.watermark = Some(watermark.0);
        }
    }

    /// What earlier runs left to be looked at was looked at; what this run left is for the next.
    async fn drop_old_marks(&self, run: &Run, batch: &mut Batch) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = Memory::new(self.store)
                .marks_after(after.as_deref())
                .await?;
            let Some((last, _)) = pairs.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, value) in pairs {
                if value != run.mark() {
                    batch.remove(Table::Inbox, key);
                }
            }
        }
    }

    async fn drop_old_settled(&self, batch: &mut Batch) -> Result<()> {
        let keep = chrono::Duration::from_std(self.rules.keep_settled)
            .unwrap_or(chrono::Duration::days(30));
        let cutoff = super::review::settled_cutoff(self.world.now() - keep);
        for (key, _) in self.store.range(Table::Settled, None, RANGE).await? {
            if key[..] < cutoff[..] {
                batch.remove(Table::Settled, key);
            }
        }
        Ok(())
    }
}
