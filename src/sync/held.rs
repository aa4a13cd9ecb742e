//! What waits for a person: writes it during a run, and lists, shows and settles it for the commands.
//!
//! Values stand in these records sealed; only [`values_of`](super::values_of) opens them, for `review show` and `quarantine show`.

use crate::local::Local;
use crate::model::{BadRecord, Error, Result, Vault, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    FORMAT, Intent, Link, Memory, Quarantined, Review, ReviewKind, Side, Values, dirty_local,
    dirty_remote, put_json, put_link,
};
use super::merge::{Flow, Merged};
use super::push::IGNORED;
use super::run::{Action, Hold, Pushing, Run, Task};
use super::view::{LocalView, RemoteView};

/// A record that is there, and that can't be decoded: nothing is known of it, and it is written to by nobody.
pub(crate) const UNREADABLE: &str = "E-LOOKUP";

/// The key of a record without an id begins with this; what follows is a digest of its bytes.
const NAMELESS: &[u8] = b"x";

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) fn nonce(&self) -> [u8; 24] {
        let mut nonce = [0; 24];
        self.world.random(&mut nonce);
        nonce
    }

    pub(crate) fn seal(&self, key: &[u8], values: &Values) -> Vec<u8> {
        let plain = serde_json::to_vec(values).expect("texts are always JSON");
        self.vault.seal(self.nonce(), key, &plain)
    }

    pub(crate) fn pair_values(&self, task: &Task, fields: &[usize]) -> Values {
        let value = |side: Option<Option<&str>>| side.flatten().map(str::to_owned);
        Values {
            fields: fields
                .iter()
                .map(|&field| {
                    let column = self.mapping.fields[field].column.clone();
                    (
                        column,
                        value(task.local.as_ref().map(|view| view.value(field))),
                        value(task.remote.as_ref().map(|view| view.value(field))),
                    )
                })
                .collect(),
            raw: None,
        }
    }

    pub(crate) fn columns(&self, fields: &[usize]) -> Vec<String> {
        fields
            .iter()
            .map(|&field| self.mapping.fields[field].column.clone())
            .collect()
    }

    /// What the two sides showed, so that a question that was asked already is not asked anew. Columns that only follow the
    /// remote are left out: our own pushes change them (a mapped lastUpdateDate), and that is no news.
    pub(crate) fn pair_content(&self, run: &Run, task: &Task) -> u64 {
        self.content_of(run, task.remote.as_ref(), task.local.as_ref())
    }

    /// See [`Self::pair_content`]; `None` for a side that is gone or was not read.
    pub(crate) fn content_of(
        &self,
        run: &Run,
        remote: Option<&RemoteView>,
        local: Option<&LocalView>,
    ) -> u64 {
        let mut hasher = self.vault.hasher();
        hasher.update(&remote.map_or(0, |view| view.content.0).to_le_bytes());
        for digest in local
            .iter()
            .flat_map(|view| view.digests.iter().zip(&run.fields))
            .filter(|(_, rule)| rule.direction.pushes())
            .map(|(digest, _)| digest)
        {
            hasher.update(&digest.0.to_le_bytes());
        }
        Vault::finish(&hasher).0
    }

    /// Quarantines what can't be applied of a record; leaves a record of the same thing as it is.
    pub(crate) fn quarantine_hold(
        &self,
        run: &mut Run,
        side: Side,
        task: &Task,
        hold: &Hold,
        batch: &mut Batch,
    ) {
        let remote = task
            .link
            .as_ref()
            .map(|link| &link.remote)
            .or(task.remote.as_ref().map(|view| &view.id));
        let local = task
            .local
            .as_ref()
            .map(|view| &view.key)
            .or(task.link.as_ref().map(|link| &link.local));
        let key = match (remote, local) {
            (Some(id), _) => dirty_remote(id),
            (None, Some(key)) => dirty_local(key),
            (None, None) => return,
        };
        let given_up = task.given_up.filter(|_| hold.code == IGNORED);
        let record = Quarantined {
            format: FORMAT,
            side,
            local: local.cloned(),
            remote: remote.cloned(),
            code: hold.code.into(),
            reason: hold.reason.clone(),
            fields: self.columns(&hold.fields),
            first_seen: self.world.now(),
            tries: 1,
            content: given_up.unwrap_or_else(|| self.pair_content(run, task)),
            sealed: self.seal(&key, &self.pair_values(task, &hold.fields)),
            discarded: false,
            deleted: task.action == Action::DeleteLocal,
        };
        self.put_quarantined(run, key, record, batch);
    }

    fn put_quarantined(
        &self,
        run: &mut Run,
        key: Vec<u8>,
        mut record: Quarantined,
        batch: &mut Batch,
    ) {
        if let Some(known) = run.quarantine.get(&key) {
            if known.content == record.content
                && known.code == record.code
                && known.fields == record.fields
            {
                return;
            }
            (record.first_seen, record.tries) = (known.first_seen, known.tries + 1);
        }
        put_json(batch, Table::Quarantine, key.clone(), &record);
        run.quarantine.insert(key, record);
    }

    fn raw_content(&self, raw: &[u8]) -> u64 {
        self.vault.digest("raw", raw).0
    }

    /// The key of the quarantine for a record of which nothing is known but its bytes.
    pub(crate) fn nameless_key(&self, raw: &[u8]) -> Vec<u8> {
        [NAMELESS, &self.raw_content(raw).to_be_bytes()].concat()
    }

    /// What a run sent before it was cut off can't be proved, for its contact can't be read.
    pub(crate) fn hold_unread_intent(
        &self,
        run: &mut Run,
        intent: &Intent,
        error: &Error,
        batch: &mut Batch,
    ) {
        let key = match &intent.remote {
            Some(id) => dirty_remote(id),
            None => dirty_local(&intent.local),
        };
        let record = Quarantined {
            format: FORMAT,
            side: Side::Remote,
            local: Some(intent.local.clone()),
            remote: intent.remote.clone(),
            code: error.code().into(),
            reason: error.message().into(),
            fields: Vec::new(),
            first_seen: self.world.now(),
            tries: 1,
            content: 0,
            sealed: self.seal(&key, &Values::default()),
            discarded: false,
            deleted: false,
        };
        run.push.held += 1;
        self.put_quarantined(run, key, record, batch);
    }

    /// Whether somebody is there whom nobody could read: who has which External ID and address is not known then.
    pub(crate) fn has_unread(&self, run: &Run) -> bool {
        let mut waiting = run.quarantine.values();
        run.unread
            || waiting.any(|record| record.code.starts_with("Q-") || record.code == UNREADABLE)
    }

    /// A record that could not be decoded: sealed whole, and counted as held.
    pub(crate) fn hold_bad(&self, run: &mut Run, bad: BadRecord) {
        run.pull.held += 1;
        if run.dry {
            return;
        }
        let content = self.raw_content(&bad.raw);
        let key = match &bad.id {
            Some(id) => {
                let key = dirty_remote(id);
                run.unreadable.insert(key.clone());
                key
            }
            None => {
                let key = self.nameless_key(&bad.raw);
                run.nameless.insert(key.clone());
                key
            }
        };
        let values = Values {
            fields: Vec::new(),
            raw: Some(String::from_utf8_lossy(&bad.raw).into_owned()),
        };
        let record = Quarantined {
            format: FORMAT,
            side: Side::Remote,
            local: None,
            remote: bad.id,
            code: bad.code.into(),
            reason: bad.reason,
            fields: Vec::new(),
            first_seen: self.world.now(),
            tries: 1,
            content,
            sealed: self.seal(&key, &values),
            discarded: false,
            deleted: false,
        };
        let mut batch = Batch::new();
        self.put_quarantined(run, key, record, &mut batch);
        run.held_batch.writes.append(&mut batch.writes);
    }

    /// Records without an id that a full read did not show again: mended or gone, nothing else could ever tell.
    pub(crate) fn drop_nameless(&self, run: &mut Run, batch: &mut Batch) {
        let gone: Vec<Vec<u8>> = run
            .quarantine
            .keys()
            .filter(|key| key.starts_with(NAMELESS) && !run.nameless.contains(*key))
            .cloned()
            .collect();
        for key in gone {
            self.release_quarantine(run, &key, batch);
        }
    }

    /// What can't be read of a pair, and what the task gathered on its way.
    pub(crate) fn hold_unreadable(
        &self,
        merged: &Merged,
        task: &Task,
        run: &mut Run,
        batch: &mut Batch,
    ) {
        let mut holds = task.holds.clone();
        for (field, flow) in merged.flows.iter().enumerate() {
            let Flow::Unreadable(side) = flow else {
                continue;
            };
            let problem = match side {
                Side::Local => task
                    .local
                    .as_ref()
                    .and_then(|view| view.values[field].as_ref().err()),
                Side::Remote => task
                    .remote
                    .as_ref()
                    .and_then(|view| view.values[field].as_ref().err()),
            };
            if let Some(problem) = problem {
                holds.push(Hold {
                    code: problem.code,
                    reason: format!("{}: {}", self.mapping.fields[field].column, problem.reason),
                    fields: vec![field],
                });
            }
        }
        if let Some(remote) = &task.remote {
            holds.extend(child_holds(remote));
        }
        self.put_holds(run, task, holds, batch);
    }

    /// What can't be read of a contact whose row was just made.
    pub(crate) fn hold_problems(
        &self,
        run: &mut Run,
        task: &Task,
        remote: &RemoteView,
        batch: &mut Batch,
    ) {
        let mut holds = task.holds.clone();
        for (field, value) in remote.values.iter().enumerate() {
            if let Err(problem) = value
                && !problem.is_silence()
            {
                holds.push(Hold {
                    code: problem.code,
                    reason: format!("{}: {}", self.mapping.fields[field].column, problem.reason),
                    fields: vec![field],
                });
            }
        }
        holds.extend(child_holds(remote));
        self.put_holds(run, task, holds, batch);
    }

    fn put_holds(&self, run: &mut Run, task: &Task, holds: Vec<Hold>, batch: &mut Batch) {
        let Some(first) = holds.first() else {
            let linked = task.link.as_ref().map(|link| &link.remote);
            // A newcomer that could not be read when it was new has no link.
            if let Some(id) = linked.or(task.remote.as_ref().map(|view| &view.id)) {
                let key = dirty_remote(id);
                // What was done about the row alone says nothing of a contact that can't be read.
                if task.remote.is_some() || !run.unreadable.contains(&key) {
                    self.release_quarantine(run, &key, batch);
                }
            }
            return;
        };
        let reasons: Vec<&str> = holds.iter().map(|hold| hold.reason.as_str()).collect();
        let hold = Hold {
            code: first.code,
            reason: reasons.join("; "),
            fields: holds
                .iter()
                .flat_map(|hold| hold.fields.iter().copied())
                .collect(),
        };
        let side = if task.from_remote {
            Side::Remote
        } else {
            Side::Local
        };
        self.quarantine_hold(run, side, task, &hold, batch);
    }

    /// The database refused the row.
    pub(crate) async fn refuse(
        &self,
        run: &mut Run,
        task: Task,
        code: &'static str,
        reason: String,
        batch: &mut Batch,
    ) -> Result<()> {
        let hold = Hold {
            code,
            reason,
            fields: Vec::new(),
        };
        self.quarantine_hold(run, Side::Remote, &task, &hold, batch);
        if let Some(remote) = &task.remote
            && task.link.is_none()
        {
            put_json(
                batch,
                Table::Stranger,
                remote.id.0.clone().into_bytes(),
                &self.stranger(remote),
            );
        }
        if let (Some(link), Some(remote)) = (&task.link, task.remote.as_ref())
            && !remote.deleted
            && !task.fresh
        {
            // Its keys are its own, whatever becomes of the row: nobody else is sent under them.
            put_link(
                batch,
                &Link {
                    external: remote.external,
                    email: remote.email,
                    ..link.clone()
                },
            );
        }
        if let (Some(link), Action::RestoreLocal) = (&task.link, &task.action) {
            // The row is gone and the edit that keeps its contact alive has not landed: unread, it would pass for a deletion.
            batch.put(Table::Inbox, dirty_remote(&link.remote), run.mark());
        }
        run.pull.held += u64::from(task.from_remote);
        run.push.held += u64::from(task.from_local);
        Ok(())
    }

    /// Tasks that write nothing on either side.
    pub(crate) async fn conclude_unwritten(
        &self,
        run: &mut Run,
        task: Task,
        action: Action,
        batch: &mut Batch,
    ) -> Result<()> {
        let mut held = false;
        match action {
            Action::HoldDelete(side) => {
                held = true;
                self.review_delete(run, &task, side, batch);
            }
            Action::DoubtDelete => {
                held = true;
                self.review_doubtful_delete(run, &task, batch);
            }
            Action::IgnoreDelete(side) => {
                if let Some(link) = &task.link {
                    if link.gone != Some(side) {
                        put_link(
                            batch,
                            &Link {
                                gone: Some(side),
                                ..link.clone()
                            },
                        );
                    }
                    // Nothing of the pair is looked at any more, so nothing of it waits.
                    self.release(run, &dirty_remote(&link.remote), batch);
                    self.wake(run, Some(&link.remote), None, batch);
                }
            }
            Action::Hold(code, reason, candidates) => {
                held = true;
                self.hold_newcomer(run, &task, code, reason, candidates, batch)
                    .await?;
            }
            _ => {
                if let Some(remote) = task.remote.as_ref().filter(|_| task.link.is_none()) {
                    self.put_stranger(remote, batch).await?;
                }
            }
        }
        let (pull, push) = (u64::from(task.from_remote), u64::from(task.from_local));
        let (into, from) = (&mut run.pull, &mut run.push);
        if held {
            into.held += pull;
        } else {
            into.unchanged += pull;
        }
        match task.pushed {
            // The row went away after its push: what the push did to the CRM was done all the same.
            Pushing::Created => from.created += 1,
            Pushing::Updated => from.updated += 1,
            Pushing::Held => from.held += 1,
            Pushing::Idle if held => from.held += push,
            Pushing::Idle => from.unchanged += push,
        }
        Ok(())
    }

    async fn put_stranger(&self, remote: &RemoteView, batch: &mut Batch) -> Result<()> {
        let stranger = self.stranger(remote);
        let known = Memory::new(self.store)
            .strangers(std::slice::from_ref(&remote.id))
            .await?
            .pop()
            .flatten();
        if known.as_ref() != Some(&stranger) {
            put_json(
                batch,
                Table::Stranger,
                remote.id.0.clone().into_bytes(),
                &stranger,
            );
        }
        Ok(())
    }

    async fn hold_newcomer(
        &self,
        run: &mut Run,
        task: &Task,
        code: &'static str,
        reason: String,
        candidates: Vec<String>,
        batch: &mut Batch,
    ) -> Result<()> {
        if let Some(remote) = &task.remote {
            self.put_stranger(remote, batch).await?;
        }
        if !matches!(
            code,
            "E-MATCH-AMBIGUOUS"
                | "E-EXT-NOT-UNIQUE"
                | "E-EMAIL-TAKEN"
                | "E-DUP-EMAIL-LOCAL"
                | super::echo::OWN_ECHO
        ) {
            let side = if task.remote.is_some() {
                Side::Remote
            } else {
                Side::Local
            };
            self.quarantine_hold(
                run,
                side,
                task,
                &Hold {
                    code,
                    reason,
                    fields: Vec::new(),
                },
                batch,
            );
            return Ok(());
        }
        let (key, side) = match (&task.remote, &task.local) {
            (Some(view), _) => (dirty_remote(&view.id), Side::Remote),
            (None, Some(view)) => (dirty_local(&view.key), Side::Local),
            (None, None) => return Ok(()),
        };
        let fields: Vec<usize> = self
            .mapping
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.matches)
            .map(|(at, _)| at)
            .collect();
        // A contact that may have been made for a row keeps that row waiting.
        let made_for = match (&task.remote, code) {
            (Some(remote), super::echo::OWN_ECHO) => self.row_of_echo(run, &remote.id, &candidates),
            _ => None,
        };
        // The row of a contact that is to be made anew names it, unless it waits for that one itself.
        let gone = task.link.as_ref().filter(|_| code != super::echo::OWN_ECHO);
        let gone = gone.map(|link| link.remote.clone());
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Match,
            local: task
                .local
                .as_ref()
                .map(|view| view.key.clone())
                .or(made_for),
            remote: task.remote.as_ref().map(|view| view.id.clone()).or(gone),
            side: Some(side),
            fields: self.columns(&fields),
            candidates,
            code: code.into(),
            reason,
            first_seen: self.world.now(),
            content: self.pair_content(run, task),
            sealed: self.seal(&key, &self.pair_values(task, &fields)),
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
        Ok(())
    }
}

fn child_holds(remote: &RemoteView) -> impl Iterator<Item = Hold> + '_ {
    remote.child_problems.iter().map(|(_, problem)| Hold {
        code: problem.code,
        reason: problem.reason.clone(),
        fields: Vec::new(),
    })
}

/// Whether a discarded or given-up record shows itself unchanged.
pub(crate) fn is_left_alone(run: &Run, key: &[u8], content: impl Fn() -> u64) -> bool {
    run.quarantine.get(key).is_some_and(|record| {
        (record.discarded || record.code == IGNORED) && record.content == content()
    })
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Whether the pair or newcomer was discarded, or given up, and has not changed since.
    pub(crate) fn left_alone(&self, run: &Run, task: &Task) -> bool {
        let key = match (
            task.link
                .as_ref()
                .map(|link| &link.remote)
                .or(task.remote.as_ref().map(|view| &view.id)),
            &task.local,
        ) {
            (Some(id), _) => dirty_remote(id),
            (None, Some(view)) => dirty_local(&view.key),
            (None, None) => return false,
        };
        is_left_alone(run, &key, || self.pair_content(run, task))
    }
}
