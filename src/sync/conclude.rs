//! Concludes tasks: what is remembered of a record after its row was written, and how it is counted.
//!
//! Nothing is written to a side here. A base moves only to what a side showed after the write.

use crate::local::{Local, Row};
use crate::model::{Error, LocalKey, RemoteId, Result, Vault, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{Base, ChildBase, Link, Tomb, dirty_local, dirty_remote, put_json, put_link};
use super::merge::Flow;
use super::plan::remote_unchanged;
use super::run::{Action, Pushing, Run, Task};
use super::view::{LocalView, RemoteView, local_view_beside};

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) fn bare_link(&self, run: &Run, remote: &RemoteView) -> Link {
        Link {
            stamp: remote.stamp,
            external: remote.external,
            email: remote.email,
            ..self.link_of(run, &remote.id)
        }
    }

    /// A link that knows nothing but whose it is.
    pub(crate) fn link_of(&self, run: &Run, id: &RemoteId) -> Link {
        Link {
            mapping: run.facts.mapping,
            bases: vec![None; run.fields.len()],
            children: vec![ChildBase::default(); self.mapping.children.len()],
            ..Link::bare(id.clone(), LocalKey::Int(0))
        }
    }

    /// Counts the task and puts what is to be remembered of it. `row` is the row after the write.
    pub(crate) async fn conclude(
        &mut self,
        run: &mut Run,
        task: Task,
        row: Option<Row>,
        wrote: bool,
        batch: &mut Batch,
    ) -> Result<()> {
        for (table, key, value) in task.extra.writes.iter().cloned() {
            batch.writes.push((table, key, value));
        }
        let after = row
            .as_ref()
            .filter(|row| !row.marked)
            .map(|row| local_view_beside(self.vault, self.mapping, row, task.remote.as_ref()));
        match task.action.clone() {
            Action::Settle(merged) => {
                let Some(link) = &task.link else {
                    return Ok(());
                };
                let link = self.settled_link(&task, link, after.as_ref(), wrote);
                self.hold_unreadable(&merged, &task, run, batch);
                self.note_review(run, &task, &merged, batch);
                if task.fresh || task.pushed != Pushing::Idle || task.link.as_ref() != Some(&link) {
                    put_link(batch, &link);
                }
                if let Some(old) = &task.replaces {
                    self.retire(run, old, batch);
                }
                let is_known_otherwise = task
                    .link
                    .as_ref()
                    .is_some_and(|old| (old.external, old.email) != (link.external, link.email));
                if task.fresh || is_known_otherwise {
                    self.wake(run, Some(&link.remote), Some(&link.local), batch);
                }
                if task.fresh {
                    run.facts.links += 1;
                    run.facts.links -= u64::from(task.replaces.is_some());
                    self.forget_newcomer(run, Some(&link), &task, batch);
                }
                if let (Some(before), Some(after)) = (&task.local, &after) {
                    // Somebody's trigger changed a field that was not written: that is an edit like any other.
                    let written: Vec<usize> = merged.to_local().collect();
                    if (0..before.digests.len()).any(|field| {
                        !written.contains(&field) && before.digests[field] != after.digests[field]
                    }) {
                        batch.put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                    }
                }
                count_settled(run, &task, wrote, merged.in_review().next().is_some());
            }
            Action::CreateLocal | Action::RestoreLocal => {
                let (Some(remote), Some(after)) = (&task.remote, &after) else {
                    return Err(Error::unexpected(
                        "E-INVARIANT",
                        "A row was made and could not be read again",
                    ));
                };
                let link = self.created_link(run, remote, after, None);
                put_link(batch, &link);
                if let Some(old) = &task.link {
                    if old.local != link.local {
                        batch.remove(Table::ByLocal, old.local.to_bytes());
                    }
                    // What was asked about the row that is gone is answered; a decision that stayed would answer for its next deletion.
                    self.release_review(run, &dirty_remote(&link.remote), batch);
                } else {
                    run.facts.links += 1;
                }
                self.hold_problems(run, &task, remote, batch);
                self.forget_newcomer(run, Some(&link), &task, batch);
                self.wake(run, Some(&link.remote), None, batch);
                run.pull.created += 1;
            }
            Action::DeleteLocal => {
                if let Some(link) = &task.link {
                    self.end_pair(run, link, batch);
                }
                run.pull.deleted += 1;
            }
            Action::Bury | Action::DeleteRemote => {
                if let Some(link) = &task.link {
                    self.end_pair(run, link, batch);
                }
                if task.action == Action::DeleteRemote {
                    run.push.deleted += 1;
                } else {
                    run.pull.unchanged += u64::from(task.from_remote);
                    run.push.unchanged += u64::from(task.from_local);
                }
            }
            other => self.conclude_unwritten(run, task, other, batch).await?,
        }
        Ok(())
    }

    /// The link after its row was written: bases move to what each side shows now.
    fn settled_link(
        &self,
        task: &Task,
        link: &Link,
        after: Option<&LocalView>,
        wrote: bool,
    ) -> Link {
        let Action::Settle(merged) = &task.action else {
            return link.clone();
        };
        let mut link = link.clone();
        let held: Vec<usize> = task
            .holds
            .iter()
            .flat_map(|hold| hold.fields.iter().copied())
            .collect();
        for (field, flow) in merged.flows.iter().enumerate() {
            let local = after
                .or(task.local.as_ref())
                .filter(|view| view.values[field].is_ok())
                .map(|view| view.digests[field]);
            let remote = match &task.remote {
                Some(view) if view.values[field].is_ok() => Some(view.digests[field]),
                Some(_) => None,
                None => link.bases[field].map(|base| base.remote),
            };
            let (Some(local), Some(remote)) = (local, remote) else {
                continue;
            };
            match flow {
                Flow::ToLocal | Flow::Settled(super::Side::Remote)
                    if wrote && !held.contains(&field) =>
                {
                    link.bases[field] = Some(Base { local, remote })
                }
                Flow::Agree => link.bases[field] = Some(Base { local, remote }),
                _ => {}
            }
        }
        // A row with something that never agreed and is still to be sent stays one that changed: were its contact deleted first,
        // the edit would be lost with it.
        let unsent = merged.flows.iter().enumerate().any(|(field, flow)| {
            link.bases[field].is_none()
                && matches!(
                    flow,
                    Flow::ToRemote | Flow::Settled(super::Side::Local) | Flow::Keep
                )
        });
        if let Some(view) = after.or(task.local.as_ref()).filter(|_| !unsent) {
            link.row = view.row;
        }
        if let Some(remote) = &task.remote {
            // One that went back is known by the time that it had, until the two agree.
            let went_back = remote.stamp < link.stamp && !remote_unchanged(&link, remote);
            if remote.stamp != link.stamp && !went_back {
                (link.stamp, link.own_stamp) = (remote.stamp, false);
            }
            (link.external, link.email, link.gone, link.drifted) =
                (remote.external, remote.email, None, false);
            if self.rules.direction.pulls() && (wrote || self.child_sets(&link, remote).is_empty())
            {
                self.note_children(&mut link, remote);
            }
        }
        link.drifted |= merged.drifts();
        link
    }

    fn note_children(&self, link: &mut Link, remote: &RemoteView) {
        for (rule, view) in remote.children.iter().enumerate() {
            if let (Some(view), Some(base)) = (view, link.children.get_mut(rule)) {
                *base = ChildBase {
                    content: view.content,
                    keys: view.parts.iter().map(|(key, _)| *key).collect(),
                };
            }
        }
    }

    /// The link of a record that was just made on one side: each field's base is what the two show.
    pub(crate) fn created_link(
        &self,
        run: &Run,
        remote: &RemoteView,
        local: &LocalView,
        bases: Option<Vec<Option<Base>>>,
    ) -> Link {
        let mut link = self.bare_link(run, remote);
        (link.local, link.row) = (local.key.clone(), local.row);
        link.bases = bases.unwrap_or_else(|| {
            (0..run.fields.len())
                .map(|field| {
                    let readable = local.values[field].is_ok() && remote.values[field].is_ok();
                    readable.then(|| Base {
                        local: local.digests[field],
                        remote: remote.digests[field],
                    })
                })
                .collect()
        });
        self.note_children(&mut link, remote);
        link
    }

    /// The row of this link has another contact now: what was asked about the old one is void.
    pub(crate) fn retire(&self, run: &mut Run, old: &Link, batch: &mut Batch) {
        batch.remove(Table::Link, old.remote.0.as_bytes());
        self.bury(old, batch);
        self.release(run, &dirty_remote(&old.remote), batch);
        self.wake(run, Some(&old.remote), None, batch);
    }

    /// The two are a pair no more: a tombstone remains, and nothing of it waits.
    pub(crate) fn end_pair(&self, run: &mut Run, link: &Link, batch: &mut Batch) {
        batch.remove(Table::ByLocal, link.local.to_bytes());
        self.retire(run, link, batch);
        run.facts.links = run.facts.links.saturating_sub(1);
    }

    fn bury(&self, link: &Link, batch: &mut Batch) {
        let tomb = Tomb {
            format: super::memory::FORMAT,
            local: link.local.clone(),
            content: self.fields_mark(
                link.bases
                    .iter()
                    .map(|base| base.map_or(0, |base| base.remote.0)),
            ),
            stamp: link.stamp.map(|stamp| stamp.0),
            at: self.world.now(),
            parts: link
                .children
                .iter()
                .map(|base| base.keys.iter().map(|key| key.0).collect())
                .collect(),
            mapping: link.mapping,
        };
        put_json(
            batch,
            Table::Tomb,
            link.remote.0.clone().into_bytes(),
            &tomb,
        );
    }

    /// A mark of what a contact showed of its fields, alike for a link's bases and for a view.
    pub(crate) fn fields_mark(&self, digests: impl Iterator<Item = u64>) -> u64 {
        let mut hasher = self.vault.hasher();
        for digest in digests {
            hasher.update(&digest.to_le_bytes());
        }
        Vault::finish(&hasher).0
    }

    /// A newcomer that found its place is no stranger any more, and waits for nobody.
    fn forget_newcomer(&self, run: &mut Run, link: Option<&Link>, task: &Task, batch: &mut Batch) {
        if run.first_load {
            return;
        }
        if let Some(link) = link {
            batch.remove(Table::Stranger, link.remote.0.as_bytes());
            batch.remove(Table::Tomb, link.remote.0.as_bytes());
            if task.holds.is_empty() {
                self.release_match(run, &dirty_remote(&link.remote), batch);
            }
            self.release(run, &dirty_local(&link.local), batch);
        }
    }
}

/// The counts of a settled pair.
fn count_settled(run: &mut Run, task: &Task, wrote: bool, in_review: bool) {
    let waits = in_review || !task.holds.is_empty();
    if task.from_remote {
        let counts = &mut run.pull;
        if wrote {
            counts.updated += 1;
        } else if waits {
            counts.held += 1;
        } else {
            counts.unchanged += 1;
        }
    }
    match task.pushed {
        Pushing::Created => run.push.created += 1,
        Pushing::Updated => run.push.updated += 1,
        Pushing::Held => run.push.held += 1,
        Pushing::Idle if task.from_local && waits => run.push.held += 1,
        Pushing::Idle if task.from_local => run.push.unchanged += 1,
        Pushing::Idle => {}
    }
}
