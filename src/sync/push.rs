//! Edits of rows on their way to their contacts: composed on a fresh look-up, announced, sent, proved.
//!
//! A contact is never overwritten with anything but what was read of it a moment before (hazards H-28, H-31).

use std::collections::{HashMap, HashSet};

use crate::local::Local;
use crate::model::{Digest, RemoteId, RemoteItem, RemoteRecord, Result, Stamp, World};
use crate::remote::{Address, Found, LookUp, Outgoing, Remote};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::behind::Age;
use super::create::look_again;
use super::held::UNREADABLE;
use super::memory::{Base, FORMAT, Intent, IntentKind, Link, dirty_local, dirty_remote, put_link};
use super::merge::{Circumstances, Flow, Merged, merge};
use super::resolve::{Landing, alike, landing};
use super::review::OLDER;
use super::run::{Action, Hold, Pushing, Run, Task};
use super::view::{LocalView, RemoteView};
use super::window::{Sending, WINDOW, landed};

/// Pushes in a row without effect before a field is held.
pub(crate) const MISSES_MAX: u8 = 3;
/// The code of what is given up then, until the record changes.
pub(crate) const IGNORED: &str = "E-REMOTE-IGNORED";

/// Stands for "another value than this side's" where a value was decided on and could not be sent or written yet.
pub(crate) const UNSENT: Digest = Digest(0);

/// What the fresh look-up of a linked contact found.
enum Fresh {
    Record(RemoteRecord),
    Gone,
    /// Another contact answers to its External ID, with this time.
    Taken(RemoteId, Option<Stamp>),
    Unreadable,
    /// It is as it was before this bridge last saw it.
    Old(Age),
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn push_updates(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<()> {
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            let mut window: Vec<Task> = tasks.by_ref().take(WINDOW).collect();
            // Each turn counts as a miss, and the last of MISSES_MAX is settled one way or the other.
            while !window.is_empty() {
                window = self.push_window(run, window).await?;
            }
        }
        Ok(())
    }

    /// Pushes, and gives back what is to be sent once more at once (see [`Self::judge`]).
    async fn push_window(&mut self, run: &mut Run, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let fresh = self.look_afresh(run, &tasks).await?;
        let shared = self.shared_addresses(run, &fresh).await?;
        let (mut sendings, mut settled, mut losers) = (Vec::new(), Vec::new(), Batch::new());
        for fresh in &fresh {
            if let Fresh::Taken(id, stamp) = fresh {
                run.saw(id, *stamp);
            }
        }
        for (mut task, fresh) in tasks.into_iter().zip(fresh) {
            let Some(link) = task.link.clone() else {
                continue;
            };
            // Another look-up of this window may have shown it later than its own.
            let fresh = match fresh {
                Fresh::Record(record)
                    if self.age(run, record.stamp, run.known(&link)) != Age::Current =>
                {
                    Fresh::Old(Age::Behind)
                }
                fresh => fresh,
            };
            let is_again = task.pushed != Pushing::Idle;
            match fresh {
                Fresh::Record(record) => match self.compose(run, task, &link, record, &shared) {
                    Composed::Send(sending) => {
                        self.keep_losers(run, &sending.task, super::Side::Local, &mut losers);
                        sendings.push(*sending);
                    }
                    Composed::Settle(task) => settled.push(*task),
                },
                // What the first push has proved is settled; what became of the contact since is for the next run.
                _ if is_again => {
                    run.full_next |= matches!(fresh, Fresh::Gone);
                    task.extra
                        .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                    settled.push(task);
                }
                Fresh::Gone => {
                    // The full read will tell whether it is a deletion; until then the edit waits.
                    task.extra
                        .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
                    task.holds.push(Hold { code: "E-CONTACT-MISSING", reason: "The CRM does not find the contact; the next full read tells whether it was deleted".into(), fields: Vec::new() });
                    // Where it told so before, and the row waits for somebody, it would tell nothing new.
                    let waits = run.reviews.get(&dirty_local(&link.local));
                    run.full_next |= waits.is_none_or(|review| review.decision.is_some());
                    self.hold_push(run, task).await?;
                }
                Fresh::Taken(..) => {
                    task.holds.push(Hold {
                        code: "E-EXT-NOT-UNIQUE",
                        reason: "Another contact has the same External ID, so this one can't be addressed; make them differ in the CRM".into(),
                        fields: Vec::new(),
                    });
                    self.hold_push(run, task).await?;
                }
                Fresh::Old(age) => {
                    look_again(run, &mut task);
                    if age == Age::WentBack {
                        task.holds.push(Hold {
                            code: OLDER,
                            reason: "The contact stands as it did long before it was last seen, as after a restored backup; `contactbridge reseed` makes the next run compare everything".into(),
                            fields: Vec::new(),
                        });
                    }
                    self.hold_push(run, task).await?;
                }
                Fresh::Unreadable => {
                    look_again(run, &mut task);
                    task.holds.push(Hold {
                        code: UNREADABLE,
                        reason: "The contact was found but can't be read".into(),
                        fields: Vec::new(),
                    });
                    self.hold_push(run, task).await?;
                }
            }
        }
        self.deliver(run, &mut sendings, losers).await?;
        let mut again = Vec::new();
        for mut sending in sendings {
            self.look_for_echo(run, &mut sending).await?;
            match self.judge(run, sending) {
                Judgement::Settle(task) => settled.push(*task),
                Judgement::Again(task) => again.push(*task),
            }
        }
        self.settle(run, settled).await?;
        // Evidence before base, base before forgetting: the next announcement takes the place of the one that proved this.
        let mut proved = Batch::new();
        for link in again.iter().filter_map(|task| task.link.as_ref()) {
            put_link(&mut proved, link);
        }
        if !proved.is_empty() {
            self.store.commit(proved).await?;
            self.world.checkpoint("C8").await?;
        }
        Ok(again)
    }

    /// One look-up each, several in flight.
    async fn look_afresh(&self, run: &Run, tasks: &[Task]) -> Result<Vec<Fresh>> {
        use futures::{StreamExt, TryStreamExt, stream};
        let questions: Vec<Option<(LookUp, Link, Option<Stamp>)>> = tasks
            .iter()
            .map(|task| {
                let link = task.link.clone()?;
                let shown = task.remote.as_ref().and_then(|view| view.stamp);
                Some((self.question(run, task, &link), link, shown))
            })
            .collect();
        let engine = self;
        let remote = self.remote;
        stream::iter(questions)
            .map(|question| async move {
                let Some((question, link, shown)) = question else {
                    return Ok(Fresh::Gone);
                };
                if run.missed.contains(&link.remote) {
                    return Ok(Fresh::Gone);
                }
                let by_external = matches!(question, LookUp::External(_));
                let found = match remote.look_up(&question).await? {
                    Found::Item(item) => *item,
                    Found::Nothing if by_external => {
                        match remote.look_up(&LookUp::Id(link.remote.clone())).await? {
                            Found::Item(item) => *item,
                            Found::Nothing => return Ok(Fresh::Gone),
                        }
                    }
                    Found::Nothing => return Ok(Fresh::Gone),
                };
                Ok(match found {
                    RemoteItem::Record(record) if record.id != link.remote => {
                        Fresh::Taken(record.id, record.stamp)
                    }
                    RemoteItem::Record(record) if record.deleted => Fresh::Gone,
                    RemoteItem::Record(record) => {
                        match engine.age(run, record.stamp, shown.max(run.known(&link))) {
                            Age::Current => Fresh::Record(record),
                            age => Fresh::Old(age),
                        }
                    }
                    RemoteItem::Bad(_) => Fresh::Unreadable,
                })
            })
            .buffered(self.rules.prefetch.max(1))
            .try_collect()
            .await
    }

    /// What a restored contact shows as before the push, because that could not overwrite it yet, is no edit: its own value counts as
    /// agreed, the row's as one that is still to be sent.
    fn keep_restored_back(
        &self,
        run: &Run,
        task: &Task,
        held: &[usize],
        link: &mut Link,
        local: &LocalView,
        got: &RemoteView,
    ) {
        let Action::Settle(planned) = &task.action else {
            return;
        };
        for (field, rule) in run.fields.iter().enumerate() {
            let differs = got.values[field].is_ok() && got.digests[field] != local.digests[field];
            let composed_on = task.remote.as_ref().map(|view| view.digests[field]);
            if let Some(base) = &mut link.bases[field]
                && (planned.flows[field] == Flow::ToRemote || held.contains(&field))
                && rule.pushes()
                && rule.pulls()
                && differs
                && composed_on == Some(got.digests[field])
                && base.remote != got.digests[field]
            {
                (base.local, base.remote) = (UNSENT, got.digests[field]);
            }
        }
    }

    /// The e-mail addresses among these contacts that another known contact has too: they address nobody.
    async fn shared_addresses(&self, run: &Run, fresh: &[Fresh]) -> Result<HashSet<Digest>> {
        let mut wanted: HashMap<Digest, RemoteId> = HashMap::new();
        let mut shared = HashSet::new();
        for record in fresh.iter().filter_map(|fresh| {
            if let Fresh::Record(record) = fresh {
                Some(record)
            } else {
                None
            }
        }) {
            let view = self.view(run, record);
            if let (None, Some(email)) = (view.external, view.email)
                && wanted.insert(email, view.id).is_some()
            {
                shared.insert(email);
            }
        }
        if wanted.is_empty() {
            return Ok(shared);
        }
        shared.extend(self.holders(run, &wanted, &run.dying).await?.into_keys());
        Ok(shared)
    }

    /// Where the contact shows another address than the one that it was sent under, or is gone, the push may have made a second one.
    async fn look_for_echo(&self, run: &mut Run, sending: &mut Sending) -> Result<()> {
        let Some(sent) = self.sent_under(run, &sending.outgoing) else {
            return Ok(());
        };
        if !self.has_moved(&sent, sending.got.as_ref()) {
            return Ok(());
        }
        let Sending { task, intent, .. } = sending;
        let Some(meant) = &intent.remote else {
            return Ok(());
        };
        let is_found = match self
            .hold_echo(run, &sent, meant, intent, &mut task.extra)
            .await
        {
            Err(error) if error.code() == UNREADABLE => false,
            found => found?,
        };
        if !is_found && !landed(sending) {
            // It arrived somewhere, and nobody shows it yet: nothing is proved, and the next run looks again.
            sending.got = None;
        }
        Ok(())
    }

    /// By External ID where row and link agree on it: that proves in one call that it addresses this contact and no other.
    fn question(&self, run: &Run, task: &Task, link: &Link) -> LookUp {
        let external = run.identity.external_field.and_then(|field| {
            let local = task.local.as_ref()?;
            let agreed = link.bases[field].is_some_and(|base| {
                base.local == local.digests[field] && base.local == base.remote
            });
            local
                .value(field)
                .filter(|_| agreed && link.external.is_some())
                .map(str::to_owned)
        });
        external.map_or_else(|| LookUp::Id(link.remote.clone()), LookUp::External)
    }

    /// Merges again on the fresh contact and composes the whole record.
    fn compose(
        &self,
        run: &Run,
        mut task: Task,
        link: &Link,
        record: RemoteRecord,
        shared: &HashSet<Digest>,
    ) -> Composed {
        let Some(local) = task.local.clone() else {
            return Composed::Settle(Box::new(task));
        };
        // Sent once more: what can't be sent is found out again.
        task.holds.clear();
        let contact = self.view(run, &record);
        let newer = self.newer(link, Some(&contact), &local);
        let mut merged = merge(
            &run.fields,
            link,
            &local,
            Some(&contact),
            self.circumstances(run, Some(link), Some(&contact), newer, task.take),
        );
        let mut document = record.document;
        let identity = &run.identity;
        let address = match (contact.external, contact.email) {
            (Some(_), _) => Some(Address::External),
            (None, Some(email)) if !shared.contains(&email) => {
                email_text(identity, &document).map(Address::Email)
            }
            (None, _) => None,
        };
        let mut sent = vec![None; run.fields.len()];
        let wanted: Vec<usize> = merged.to_remote().collect();
        for field in wanted {
            let hold = self
                .refuse_field(run, field, &contact, address.as_ref())
                .or_else(|| {
                    let value = local.values[field].as_ref().ok()?;
                    self.mapping
                        .to_remote(field, value, &mut document)
                        .err()
                        .map(|problem| Hold {
                            code: problem.code,
                            reason: format!(
                                "{}: {}",
                                self.mapping.fields[field].column, problem.reason
                            ),
                            fields: vec![field],
                        })
                });
            match hold {
                Some(hold) => {
                    task.holds.push(hold);
                    merged.flows[field] = Flow::Keep;
                }
                None => sent[field] = Some(local.digests[field]),
            }
        }
        task.action = Action::Settle(merged);
        let (Some(address), true) = (address, sent.iter().any(Option::is_some)) else {
            task.remote = Some(contact);
            if task.pushed == Pushing::Idle && !task.holds.is_empty() {
                task.pushed = Pushing::Held;
            }
            return Composed::Settle(Box::new(task));
        };
        let expected = self.view(
            run,
            &RemoteRecord {
                id: record.id,
                stamp: record.stamp,
                deleted: false,
                document: document.clone(),
            },
        );
        for (field, sent) in sent.iter_mut().enumerate() {
            if sent.is_some() {
                // What the service will show if it takes the value as it is written on the wire.
                *sent = Some(expected.digests[field]);
            }
        }
        let key = dirty_remote(&link.remote);
        let outgoing = Outgoing { document, address };
        let intent = Intent {
            format: FORMAT,
            kind: IntentKind::Update,
            local: local.key.clone(),
            remote: Some(link.remote.clone()),
            identity: self
                .sent_under(run, &outgoing)
                .map(|sent| self.seal_address(&key, &sent)),
            before: contact.digests.iter().map(|digest| Some(*digest)).collect(),
            local_after: local.digests.iter().map(|digest| Some(*digest)).collect(),
            follows: (0..sent.len())
                .map(|field| {
                    let moved = expected.digests[field] != contact.digests[field];
                    (sent[field].is_none() && moved && expected.values[field].is_ok())
                        .then_some(expected.digests[field])
                        // Sent once more: what the push before moved, moves no more.
                        .or_else(|| task.follows.get(field).copied().flatten())
                })
                .collect(),
            values: self.seal_sent(&key, &expected, &sent),
            sent,
            parts: Vec::new(),
            mapping: run.facts.mapping,
            epoch: run.facts.epoch,
            at: self.world.now(),
            tries: link.misses,
        };
        task.remote = Some(contact);
        Composed::Send(Box::new(Sending {
            key,
            find: LookUp::Id(link.remote.clone()),
            task,
            outgoing,
            intent,
            expected,
            got: None,
            refused: None,
            unknown: false,
        }))
    }

    /// Fields that can't be sent without making a second contact (H-26, H-27).
    fn refuse_field(
        &self,
        run: &Run,
        field: usize,
        contact: &RemoteView,
        address: Option<&Address>,
    ) -> Option<Hold> {
        let column = &self.mapping.fields[field].column;
        let hold = |code, reason: &str| {
            Some(Hold {
                code,
                reason: format!("{column}: {reason}"),
                fields: vec![field],
            })
        };
        let identity = &run.identity;
        match address {
            None => hold(
                "E-UNADDRESSABLE",
                "the contact has neither an External ID nor an e-mail address of its own, so a push would make a second one; give it one in the CRM",
            ),
            _ if identity.external_field == Some(field) && contact.external.is_some() => hold(
                "E-EXT-CHANGE",
                "the CRM finds the contact by its External ID, so a changed one would make a second contact; change it in the CRM",
            ),
            Some(Address::Email(_)) if identity.external_field == Some(field) => hold(
                "E-EXT-NEW",
                "the contact is found by its e-mail alone, so a new External ID would make a second contact; enter it in the CRM",
            ),
            Some(Address::Email(_)) if identity.email_field == Some(field) => hold(
                "E-EMAIL-ADDRESS",
                "the contact is found by its e-mail alone, so a changed one would make a second contact; change it in the CRM",
            ),
            _ => None,
        }
    }

    /// Table R: what reading back proves, field by field; the task goes on to be settled on what the contact shows now.
    ///
    /// Where all that did not land is alike what the contact showed before, the service may have cut or re-cased the new value to the
    /// same as the old: sent again at once, that is known before the run ends (H-29).
    fn judge(&self, run: &mut Run, sending: Sending) -> Judgement {
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
        task.follows.clone_from(&intent.follows);
        let (Some(mut link), Some(local)) = (task.link.take(), task.local.clone()) else {
            return Judgement::Settle(Box::new(task));
        };
        let Some(got) = got else {
            // Nothing is proved: what was announced stays, and the next run looks again. It is no first meeting any more.
            if task.fresh {
                link.met = true;
                let met = self.bases_when_met(run, &intent);
                for (base, met) in link.bases.iter_mut().zip(met) {
                    *base = base.or(met);
                }
            }
            task.extra
                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
            task.pushed = Pushing::Held;
            task.action = Action::Settle(keep_all(run));
            task.remote = None;
            task.link = Some(link);
            return Judgement::Settle(Box::new(task));
        };
        // It was accepted, and has not reached the contact by its time: a replica may have answered that lags, and the next run tells.
        // Where no answer came, the look after `settle` has told already.
        let is_untouched = !unknown
            && got.stamp.is_some()
            && task
                .remote
                .as_ref()
                .is_some_and(|view| view.stamp == got.stamp);
        let mut proved = true;
        for (field, base) in link.bases.iter_mut().enumerate() {
            // What was equal when the contact was looked at was agreed then; what it shows now is an edit.
            if base.is_none() && intent.sent[field].is_none() {
                *base = equal_then(&intent, field);
            }
        }
        let mut judged = self.move_bases(&mut link, &intent, &local, &expected, &got);
        let newer = self.newer(&link, Some(&got), &local);
        // As it was when it was composed: the push itself made the contact new.
        let circumstances =
            self.circumstances(run, Some(&link), task.remote.as_ref(), newer, task.take);
        let merge = |circumstances| merge(&run.fields, &link, &local, Some(&got), circumstances);
        let mut merged = merge(circumstances);
        // Of a restored contact, what somebody has edited since the push is an edit, and neither is its time agreed: the rest of what
        // it shows would pass for new.
        let edited = match &task.remote {
            Some(then) if circumstances.rewound.is_some() => edited_since(&intent, then, &got),
            _ => Vec::new(),
        };
        if !edited.is_empty() {
            let plain = merge(Circumstances {
                rewound: None,
                ..circumstances
            });
            for &field in &edited {
                merged.flows[field] = plain.flows[field];
            }
        }
        for (field, sent) in intent.sent.iter().enumerate() {
            // What did not land, and what can't be told, is planned anew by the next run.
            if sent.is_some()
                && !matches!(merged.flows[field], Flow::Agree)
                && link.bases[field].is_none_or(|base| {
                    base.remote != got.digests[field] || base.local != local.digests[field]
                })
            {
                merged.flows[field] = Flow::Keep;
            }
        }
        let held: Vec<usize> = task
            .holds
            .iter()
            .flat_map(|hold| hold.fields.iter().copied())
            .collect();
        for &field in &held {
            merged.flows[field] = Flow::Keep;
        }
        if run.rewound == Some(super::Side::Remote) {
            self.keep_restored_back(run, &task, &held, &mut link, &local, &got);
        }
        if merged.to_remote().next().is_some() {
            // Edited in the CRM while the push was on its way, and the row's value wins: the next run sends it.
            task.extra
                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
        }
        let mut again = false;
        // What landed is settled, whatever the answer said: a service may do the work and stumble afterwards.
        if let Some(reason) = refused.filter(|_| !judged.missed.is_empty()) {
            task.holds.push(Hold {
                code: "E-REMOTE-REFUSED",
                reason: format!("The CRM refused the record: {reason}"),
                fields: judged.missed,
            });
        } else if !judged.missed.is_empty() {
            link.misses = link.misses.saturating_add(1);
            if link.misses >= MISSES_MAX {
                link.misses = 0;
                // Given up or not, it may have made a second contact, which a replica does not tell yet.
                proved = judged.landed || !is_untouched;
                // What the service showed before may be all that it ever makes of the value (cut, trimmed, re-cased): then
                // sending it for ever proves nothing, and the two are as alike as they will be (H-29).
                let (lossy, ignored): (Vec<usize>, Vec<usize>) =
                    judged.missed.into_iter().partition(|&field| {
                        got.values[field].is_ok() && alike(expected.value(field), got.value(field))
                    });
                judged.landed |= !lossy.is_empty();
                for field in lossy {
                    link.bases[field] = Some(Base {
                        local: intent.local_after[field].unwrap_or(local.digests[field]),
                        remote: got.digests[field],
                    });
                }
                if !ignored.is_empty() {
                    task.holds.push(Hold { code: IGNORED, reason: "The CRM answered and does not show what was sent, three times; it is tried again when the record changes".into(), fields: ignored });
                }
            } else if !task.fresh
                && judged.missed.iter().all(|&field| {
                    Some(got.digests[field]) == intent.before[field]
                        && got.values[field].is_ok()
                        && alike(expected.value(field), got.value(field))
                })
            {
                again = true;
            } else {
                proved = judged.landed || !is_untouched;
                task.extra
                    .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
            }
        } else {
            link.misses = 0;
            if edited.is_empty() {
                (link.stamp, link.own_stamp) = (got.stamp, true);
            }
        }
        if proved {
            task.extra.remove(Table::Intent, key);
        }
        task.pushed = if judged.landed || task.pushed == Pushing::Updated {
            Pushing::Updated
        } else {
            Pushing::Held
        };
        task.action = Action::Settle(merged);
        task.remote = Some(got);
        task.link = Some(link);
        if task.holds.iter().any(|hold| hold.code == IGNORED) {
            task.given_up = Some(self.pair_content(run, &task));
        }
        if again {
            Judgement::Again(Box::new(task))
        } else {
            Judgement::Settle(Box::new(task))
        }
    }

    /// Moves the bases of the fields whose push is proved.
    pub(crate) fn move_bases(
        &self,
        link: &mut Link,
        intent: &Intent,
        local: &LocalView,
        expected: &RemoteView,
        got: &RemoteView,
    ) -> Judged {
        let mut judged = Judged {
            landed: false,
            missed: Vec::new(),
        };
        for (field, sent) in intent.sent.iter().enumerate() {
            let Some(sent) = sent else { continue };
            let shown = got.digests[field];
            let alike = got.values[field].is_ok() && alike(expected.value(field), got.value(field));
            match landing(*sent, intent.before[field], shown, alike) {
                Landing::Confirmed => {
                    let sent_row = intent.local_after[field].unwrap_or(local.digests[field]);
                    link.bases[field] = Some(Base {
                        local: sent_row,
                        remote: shown,
                    });
                    judged.landed = true;
                }
                Landing::NotApplied | Landing::Undecidable => {
                    // The first meeting is over: who wins was decided on what the contact showed then. What it shows next is an
                    // edit, and the row's value is still to be sent.
                    if let (None, Some(before)) = (link.bases[field], intent.before[field]) {
                        link.bases[field] = Some(Base {
                            local: UNSENT,
                            remote: before,
                        });
                    }
                    judged.missed.push(field);
                }
            }
        }
        judged
    }
}

/// Where the row is gone, what a push changed in the contact besides what it sent must not look like an edit that would bring the
/// row back. (Where the row is there, it is still to receive it.)
pub(crate) fn credit(link: &mut Link, follows: &[Option<Digest>], got: &RemoteView) {
    for (field, follow) in follows.iter().enumerate() {
        if let Some(follow) = follow
            && got.values[field].is_ok()
            && got.digests[field] == *follow
        {
            let local = link.bases[field].map_or(*follow, |base| base.local);
            link.bases[field] = Some(Base {
                local,
                remote: *follow,
            });
        }
    }
}

/// The fields that the contact shows otherwise than when the push was composed, beside what that sent.
fn edited_since(intent: &Intent, then: &RemoteView, got: &RemoteView) -> Vec<usize> {
    let is_other = |&field: &usize| {
        intent.sent[field].is_none()
            && intent.follows[field].is_none()
            && then.digests[field] != got.digests[field]
    };
    (0..intent.sent.len()).filter(is_other).collect()
}

/// What both sides showed of a field before a push, where that was the same.
pub(crate) fn equal_then(intent: &Intent, field: usize) -> Option<Base> {
    let before = intent.before[field].filter(|before| *before != UNSENT)?;
    (intent.local_after[field] == Some(before)).then_some(Base {
        local: before,
        remote: before,
    })
}

/// What reading back came to.
pub(crate) struct Judged {
    /// At least one field landed.
    pub landed: bool,
    /// Fields that did not, or of which it can't be told.
    pub missed: Vec<usize>,
}

enum Judgement {
    Settle(Box<Task>),
    /// Nothing of it is settled yet: it is composed and sent once more.
    Again(Box<Task>),
}

enum Composed {
    Send(Box<Sending>),
    Settle(Box<Task>),
}

fn keep_all(run: &Run) -> Merged {
    Merged {
        flows: vec![Flow::Keep; run.fields.len()],
    }
}

fn email_text(
    identity: &super::run::Identity,
    document: &crate::model::Document,
) -> Option<String> {
    super::view::identity_of(
        None,
        identity.email.map(|name| (name, identity.mirror.as_ref())),
        document,
    )
    .1
    .map(str::to_owned)
}
