//! New contacts: an identity first, then an intent, then the send, then proof (hazards H-20, H-21, H-25).
//!
//! A create is tried again only under the same identity, and only after a look-up did not find it.

use std::collections::{HashMap, HashSet};

use crate::local::{LinkRow, Local, RowOutcome, RowWrite};
use crate::model::{Digest, LocalKey, RemoteId, RemoteItem, RemoteRecord, Result, World};
use crate::remote::{Address, LookUp, Outgoing, Remote, RemoteScan, ScanStep};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    Base, FORMAT, Intent, IntentKind, Link, Memory, SealedIdentity, dirty_local, dirty_remote,
};
use super::merge::{Flow, merge};
use super::resolve::{Landing, alike, landing};
use super::run::{Action, Hold, Pushing, Run, Task};
use super::view::{LocalView, RemoteView, field_digest, local_view};
use super::window::{Sending, WINDOW};

/// What a new contact is addressed by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reserved {
    External(String),
    Email(String),
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Why a new row can't become a contact: it has no identity, and none is made for it (H-26).
    pub(crate) fn unaddressable(
        &self,
        run: &Run,
        local: &LocalView,
    ) -> Option<(&'static str, String)> {
        let identity = &run.identity;
        let has = |field: Option<usize>| {
            field.is_some_and(|field| run.fields[field].pushes() && local.value(field).is_some())
        };
        let made = identity.external_field.is_some_and(|field| {
            run.fields[field].pushes() && self.mapping.fields[field].generates
        });
        let email = has(identity.email_field) && local.email.is_some();
        if has(identity.external_field) || made || email {
            return None;
        }
        let reason = "The row has neither External ID nor a valid e-mail address, so the CRM could never find it again; give it one of them";
        Some(("E-UNADDRESSABLE", reason.to_owned()))
    }

    pub(crate) async fn push_creates(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            let window: Vec<Task> = tasks.by_ref().take(WINDOW).collect();
            self.create_window(run, window).await?;
        }
        Ok(())
    }

    async fn create_window(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let tasks = self.without_taken(run, tasks).await?;
        let tasks = self.without_unread(run, tasks).await?;
        let tasks = self.still_as_planned(run, tasks).await?;
        let tasks = self.reserve(run, tasks).await?;
        let (mut sendings, mut held) = (Vec::new(), Vec::new());
        for (task, reserved) in tasks {
            match self.compose_new(run, task, reserved) {
                Ok(sending) => sendings.push(*sending),
                Err(task) => held.push(*task),
            }
        }
        for task in held {
            self.hold_push(run, task).await?;
        }
        self.deliver(run, &mut sendings, Batch::new()).await?;
        let mut settled: Vec<Task> = Vec::new();
        // After a merge two rows may find one contact.
        let mut found: HashMap<RemoteId, LocalKey> = HashMap::new();
        for sending in sendings {
            let of_window = sending.got.as_ref().and_then(|got| found.get(&got.id));
            let task = self.judge_new(run, sending, of_window.cloned()).await?;
            if let Some(link) = task.as_ref().and_then(|task| task.link.as_ref()) {
                found.insert(link.remote.clone(), link.local.clone());
            }
            settled.extend(task);
        }
        self.settle(run, settled).await
    }

    /// H-25: a contact that somebody made since the scan may have the External ID or the e-mail address of a new row. One list of what
    /// changed since then tells; such a row waits for the next run, which meets the contact.
    async fn without_taken(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let Some(since) = run.known_until else {
            return Ok(tasks);
        };
        run.known_until = self.remote.server_time().or(run.known_until);
        let since = self
            .remote
            .stamp(self.remote.instant(since) - chrono::Duration::seconds(2));
        let wanted: HashSet<Digest> = tasks
            .iter()
            .filter_map(|task| task.local.as_ref())
            .flat_map(|view| [view.external, view.email])
            .flatten()
            .collect();
        let mut taken: HashMap<Digest, Vec<RemoteId>> = HashMap::new();
        let mut scan = self.remote.scan(Some(since)).await?;
        loop {
            match scan.next().await? {
                ScanStep::Records(items) => {
                    for item in items {
                        let RemoteItem::Record(record) = item else {
                            run.unread = true;
                            continue;
                        };
                        if record.deleted {
                            continue;
                        }
                        let (external, email) = self.found_by(run, &record);
                        for digest in [external, email]
                            .into_iter()
                            .flatten()
                            .filter(|digest| wanted.contains(digest))
                        {
                            taken.entry(digest).or_default().push(record.id.clone());
                        }
                    }
                }
                ScanStep::Restarted => {}
                ScanStep::End(_) => break,
            }
        }
        let mut free = Vec::with_capacity(tasks.len());
        for mut task in tasks {
            let Some(local) = &task.local else { continue };
            // The contact that this row restores may still be listed.
            let own = task.link.as_ref().map(|link| &link.remote);
            let other = [local.external, local.email]
                .into_iter()
                .flatten()
                .filter_map(|digest| taken.get(&digest))
                .flatten()
                .any(|id| Some(id) != own);
            if other {
                look_again(run, &mut task);
                self.hold_push(run, task).await?;
            } else {
                free.push(task);
            }
        }
        Ok(free)
    }

    /// A row that was edited or deleted since it was planned waits for the next run: made now, its contact would bring a deleted
    /// person back.
    async fn still_as_planned(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let keys: Vec<LocalKey> = tasks
            .iter()
            .filter_map(|task| task.local.as_ref().map(|view| view.key.clone()))
            .collect();
        let rows = self.local.fetch(&keys).await?;
        let standing: HashMap<LocalKey, Digest> = rows
            .into_iter()
            .flatten()
            .filter(|row| !row.marked)
            .map(|row| (row.key, row.digest))
            .collect();
        let mut kept = Vec::with_capacity(tasks.len());
        for mut task in tasks {
            let Some(local) = &task.local else { continue };
            if standing.get(&local.key) == Some(&local.row) {
                kept.push(task);
            } else {
                look_again(run, &mut task);
                self.hold_push(run, task).await?;
            }
        }
        Ok(kept)
    }

    /// Identity before creation: what `generate` makes is written to the row, and every External ID is recorded beside it in the
    /// database, before anything is sent. A lost state can't lose it.
    async fn reserve(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<(Task, Reserved)>> {
        let (mut ready, mut writes, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for mut task in tasks {
            let Some(local) = task.local.clone() else {
                continue;
            };
            if let Some((code, reason)) = self.unaddressable(run, &local) {
                // A row whose contact died, and which could never be found again, waits for a person.
                task.holds.push(Hold {
                    code,
                    reason,
                    fields: Vec::new(),
                });
                self.hold_push(run, task).await?;
                continue;
            }
            let external = run
                .identity
                .external_field
                .filter(|&field| run.fields[field].pushes());
            let has = external
                .and_then(|field| local.value(field))
                .map(str::to_owned);
            let made = match (&has, external) {
                (None, Some(field)) if self.mapping.fields[field].generates => {
                    let mut random = [0; 16];
                    self.world.random(&mut random);
                    let row: Vec<_> = (0..run.fields.len())
                        .map(|field| local.value(field).map(str::to_owned))
                        .collect();
                    self.mapping
                        .generate(field, &row, random)
                        .map(|text| (field, text))
                }
                _ => None,
            };
            let link = |external: &str| LinkRow {
                key: local.key.clone(),
                external_id: Some(external.to_owned()),
                remote_id: None,
            };
            match (has, made) {
                (Some(external), _) => {
                    writes.push(RowWrite::Link(link(&external)));
                    waiting.push((task, Some(external)));
                }
                (None, Some((field, text))) => {
                    let Ok(cell) = self.mapping.to_cell(field, &Some(text.clone())) else {
                        continue;
                    };
                    writes.push(RowWrite::Update {
                        key: local.key.clone(),
                        expect: local.row,
                        cells: vec![(field, cell)],
                        children: Vec::new(),
                        revive: false,
                        link: Some(link(&text)),
                    });
                    waiting.push((task, Some(text)));
                }
                (None, None) => match run
                    .identity
                    .email_field
                    .and_then(|field| local.value(field))
                    .map(str::to_owned)
                {
                    Some(email) => ready.push((task, Reserved::Email(email))),
                    None => continue,
                },
            }
        }
        for start in (0..writes.len()).step_by(self.rules.rows_per_transaction.max(1)) {
            let end = (start + self.rules.rows_per_transaction.max(1)).min(writes.len());
            let outcomes = self.local.apply(&run.fence, &writes[start..end]).await?;
            run.wrote = true;
            for ((mut task, external), outcome) in waiting.drain(..end - start).zip(outcomes) {
                match (outcome, external) {
                    (RowOutcome::Written(row), Some(external)) => {
                        if let Some(row) = row {
                            task.local = Some(local_view(self.vault, self.mapping, &row));
                        }
                        ready.push((task, Reserved::External(external)));
                    }
                    (RowOutcome::Refused { code, reason }, _) => {
                        task.holds.push(Hold {
                            code,
                            reason,
                            fields: Vec::new(),
                        });
                        self.hold_push(run, task).await?;
                    }
                    // It moved: the next run sees it as it is then.
                    _ => {
                        look_again(run, &mut task);
                        self.hold_push(run, task).await?;
                    }
                }
            }
        }
        self.world.checkpoint("reserved").await?;
        Ok(ready)
    }

    fn compose_new(
        &self,
        run: &Run,
        mut task: Task,
        reserved: Reserved,
    ) -> Result<Box<Sending>, Box<Task>> {
        let Some(local) = task.local.clone() else {
            return Err(Box::new(task));
        };
        let mut document = self.remote.blank();
        let mut given = vec![false; run.fields.len()];
        for (field, given) in given.iter_mut().enumerate() {
            if !run.fields[field].pushes() || local.values[field].is_err() {
                continue;
            }
            let value = local
                .value(field)
                .map(str::to_owned)
                .or_else(|| self.mapping.default_for(field));
            if value.is_none() {
                continue;
            }
            match self.mapping.to_remote(field, &value, &mut document) {
                Ok(()) => *given = true,
                Err(problem) => task.holds.push(Hold {
                    code: problem.code,
                    reason: format!("{}: {}", self.mapping.fields[field].column, problem.reason),
                    fields: vec![field],
                }),
            }
        }
        let bare = RemoteRecord {
            id: crate::model::RemoteId(String::new()),
            stamp: None,
            deleted: false,
            document: document.clone(),
        };
        let expected = self.view(run, &bare);
        let (find, address) = match &reserved {
            Reserved::External(text) => (LookUp::External(text.clone()), Address::External),
            Reserved::Email(text) => (LookUp::Email(text.clone()), Address::Email(text.clone())),
        };
        let key = dirty_local(&local.key);
        let (external, text) = match &reserved {
            Reserved::External(text) => (true, text),
            Reserved::Email(text) => (false, text),
        };
        let sent: Vec<Option<Digest>> = expected
            .digests
            .iter()
            .zip(&given)
            .map(|(digest, &given)| given.then_some(*digest))
            .collect();
        let intent = Intent {
            format: FORMAT,
            kind: IntentKind::Create,
            local: local.key.clone(),
            remote: task.link.as_ref().map(|link| link.remote.clone()),
            identity: Some(SealedIdentity {
                external,
                sealed: self.vault.seal(self.nonce(), &key, text.as_bytes()),
            }),
            values: self.seal_sent(&key, &expected, &sent),
            sent,
            before: vec![None; run.fields.len()],
            follows: (0..given.len())
                .map(|field| {
                    (!run.fields[field].pushes() && expected.values[field].is_ok())
                        .then_some(expected.digests[field])
                })
                .collect(),
            local_after: local.digests.iter().map(|digest| Some(*digest)).collect(),
            parts: Vec::new(),
            mapping: run.facts.mapping,
            epoch: run.facts.epoch,
            at: self.world.now(),
            tries: run.tries.get(&local.key).copied().unwrap_or(0) + 1,
        };
        Ok(Box::new(Sending {
            task,
            outgoing: Outgoing { document, address },
            intent,
            key,
            find,
            expected,
            got: None,
            refused: None,
            unknown: false,
        }))
    }

    /// What reading back proves of a create. Found: linked. Not found: the intent stays, and the next run looks again. `of_window`: the
    /// row of the same window for which the same contact was found.
    async fn judge_new(
        &mut self,
        run: &mut Run,
        sending: Sending,
        of_window: Option<LocalKey>,
    ) -> Result<Option<Task>> {
        let Sending {
            mut task,
            intent,
            key,
            expected,
            got,
            refused,
            unknown,
            ..
        } = sending;
        let Some(local) = task.local.clone() else {
            return Ok(None);
        };
        let Some(got) = got else {
            if let Some(reason) = refused {
                task.extra.remove(Table::Intent, key);
                task.holds.push(Hold {
                    code: "E-REMOTE-REFUSED",
                    reason: format!("The CRM refused the new contact: {reason}"),
                    fields: Vec::new(),
                });
            } else {
                look_again(run, &mut task);
            }
            self.hold_push(run, task).await?;
            return Ok(None);
        };
        task.extra.remove(Table::Intent, key);
        task.follows.clone_from(&intent.follows);
        let of_another = match of_window {
            Some(key) => Some(key),
            None => self.link_of_another(&got, &local.key).await?,
        };
        if let Some(taken) = of_another {
            // The service took the new contact for one that belongs to another row.
            let reason = format!(
                "The CRM took the new contact for contact {}, which row {} is linked to; nothing more is sent",
                got.id, taken
            );
            task.holds.push(Hold {
                code: "E-EMAIL-TAKEN",
                reason,
                fields: Vec::new(),
            });
            self.hold_push(run, task).await?;
            return Ok(None);
        }
        let bases = self.bases_of_new(run, &intent, &local, Some(&expected), &got, unknown);
        let incomplete = (0..bases.len()).any(|field| {
            intent.sent[field].is_some()
                && bases[field].is_none_or(|base| base.local != local.digests[field])
        });
        let mut link = self.created_link(run, &got, &local, Some(bases));
        // Child rows stand for parts that no row was made of yet, but for those of the contact that this one stands in for.
        link.children = match &task.link {
            Some(old) => old.children.clone(),
            None => vec![Default::default(); self.mapping.children.len()],
        };
        self.recall_parts_of_row(run, &mut link);
        // Another value than was sent, and nobody knows whose: a side that is emptied from now on was emptied by somebody.
        link.met = (0..run.fields.len()).any(|field| {
            intent.sent[field].is_some()
                && link.bases[field].is_none()
                && got.value(field).is_some()
        });
        (link.stamp, link.own_stamp) = (got.stamp, true);
        let merged = merge(
            &run.fields,
            &link,
            &local,
            Some(&got),
            self.circumstances(run, None, None, super::merge::Newer::Unknown, None),
        );
        let mut merged = merged;
        for flow in &mut merged.flows {
            // Only what the remote alone decides flows back now; the rest is for the next run.
            if matches!(flow, Flow::Review | Flow::Doubt | Flow::Settled(_)) {
                *flow = Flow::Keep;
            }
        }
        if incomplete {
            task.extra
                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
        }
        if let Some(old) = task.link.take() {
            if old.remote != link.remote {
                self.retire(run, &old, &mut task.extra);
            } else {
                task.extra.remove(Table::Link, old.remote.0.as_bytes());
            }
            run.facts.links = run.facts.links.saturating_sub(1);
        }
        (task.action, task.fresh, task.pushed) = (Action::Settle(merged), true, Pushing::Created);
        (task.remote, task.link) = (Some(got), Some(link));
        Ok(Some(task))
    }

    /// The row that a contact is linked to already, if it is not this one.
    pub(crate) async fn link_of_another(
        &self,
        got: &RemoteView,
        key: &LocalKey,
    ) -> Result<Option<LocalKey>> {
        let link: Option<Link> = Memory::new(self.store)
            .links(std::slice::from_ref(&got.id))
            .await?
            .pop()
            .flatten();
        Ok(link.map(|link| link.local).filter(|local| local != key))
    }

    /// Whether the contact bears a time before the push, as one that another had made and that the push did not reach.
    fn stood_before(&self, intent: &Intent, got: &RemoteView) -> bool {
        let ahead = self.remote.clock_difference();
        got.stamp.zip(ahead).is_some_and(|(stamp, ahead)| {
            let at = self.remote.instant(stamp) - ahead;
            !self.remote.is_ambiguous(stamp) && at < intent.at - chrono::Duration::seconds(2)
        })
    }

    /// The bases of a contact that was just made: what landed is agreed; what the service dropped counts as not yet sent; what it
    /// shows instead of something else was never agreed. `later`: it was made by an earlier run, and not looked at since; or no answer came,
    /// so that it may have stood there before, and the push may have landed after somebody's edit.
    pub(crate) fn bases_of_new(
        &self,
        run: &Run,
        intent: &Intent,
        local: &LocalView,
        expected: Option<&RemoteView>,
        got: &RemoteView,
        later: bool,
    ) -> Vec<Option<Base>> {
        // What the service shows of a field that was not sent; anything else is somebody's edit, or a contact that it adopted.
        let neutral = self.view(
            run,
            &RemoteRecord {
                id: RemoteId(String::new()),
                stamp: None,
                deleted: false,
                document: self.remote.blank(),
            },
        );
        let resembles = |field: usize| {
            expected.is_some_and(|expected| {
                expected.values[field].is_ok() && alike(expected.value(field), got.value(field))
            })
        };
        let nothing =
            |field: usize| field_digest(self.vault, self.mapping.fields[field].fingerprint, &None);
        let sent = |field: usize| intent.sent.get(field).copied().flatten();
        // A contact that shows most of what was sent, beyond its identity, is the one that was made; what else it shows came after.
        // Any other is somebody else's with the same identity, and was never agreed on.
        let identities = [run.identity.external_field, run.identity.email_field];
        let (same, other): (Vec<usize>, Vec<usize>) = (0..run.fields.len())
            .filter(|field| !identities.contains(&Some(*field)))
            .filter(|&field| {
                sent(field)
                    .is_some_and(|sent| sent != nothing(field) && sent != neutral.digests[field])
            })
            .partition(|&field| sent(field) == Some(got.digests[field]) || resembles(field));
        let ours = !self.stood_before(intent, got) && same.len() > other.len();
        (0..run.fields.len())
            .map(|field| {
                if got.values[field].is_err() || local.values[field].is_err() {
                    return None;
                }
                let shown = got.digests[field];
                let sent_row = intent
                    .local_after
                    .get(field)
                    .copied()
                    .flatten()
                    .unwrap_or(local.digests[field]);
                match sent(field) {
                    Some(sent) => {
                        match landing(sent, None, shown, resembles(field)) {
                            Landing::Confirmed => Some(Base {
                                local: sent_row,
                                remote: shown,
                            }),
                            // Empty a moment later, the service dropped it; empty after a kill, somebody may have emptied it.
                            _ if got.value(field).is_none() && later => None,
                            _ if got.value(field).is_none() && ours => Some(Base {
                                local: nothing(field),
                                remote: shown,
                            }),
                            // Edited since, or what the service makes of it: only the contact changed. After a kill it may be one that
                            // stood there before.
                            _ if ours && !later => Some(Base {
                                local: sent_row,
                                remote: sent,
                            }),
                            _ => None,
                        }
                    }
                    None if local.value(field).is_none() && run.fields[field].pushes() => {
                        let unsent = if got.value(field).is_none() {
                            shown
                        } else {
                            neutral.digests[field]
                        };
                        Some(Base {
                            local: sent_row,
                            remote: unsent,
                        })
                    }
                    None => None,
                }
            })
            .collect()
    }
}

/// The next run looks at this row again; where it was to have its dead contact made anew, at that contact too, without which the row
/// would pass for an edit of a contact that is there.
pub(crate) fn look_again(run: &Run, task: &mut Task) {
    if let Some(local) = &task.local {
        task.extra
            .put(Table::Inbox, dirty_local(&local.key), run.mark());
    }
    if let Some(link) = &task.link {
        task.extra
            .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
    }
}
