//! What waits for a person: writes it during a run, and lists, shows and settles it for the commands.
//!
//! Values stand in these records sealed; only [`values_of`] opens them, for `review show` and `quarantine show`.

use crate::local::Local;
use crate::model::{BadRecord, Error, RemoteId, Result, Vault, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    Decision, FORMAT, Facts, Memory, Quarantined, Review, ReviewKind, Side, Values, dirty_local,
    dirty_remote, put_facts, put_json,
};
use super::merge::{Flow, Merged};
use super::run::{Action, Hold, Run, Task};
use super::view::RemoteView;

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    fn nonce(&self) -> [u8; 24] {
        let mut nonce = [0; 24];
        self.world.random(&mut nonce);
        nonce
    }

    fn seal(&self, key: &[u8], values: &Values) -> Vec<u8> {
        let plain = serde_json::to_vec(values).expect("texts are always JSON");
        self.vault.seal(self.nonce(), key, &plain)
    }

    fn pair_values(&self, task: &Task, fields: &[usize]) -> Values {
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

    fn columns(&self, fields: &[usize]) -> Vec<String> {
        fields
            .iter()
            .map(|&field| self.mapping.fields[field].column.clone())
            .collect()
    }

    /// What the two sides showed, so that a question that was asked already is not asked anew.
    fn pair_content(&self, task: &Task) -> u64 {
        let mut hasher = self.vault.hasher();
        hasher.update(
            &task
                .remote
                .as_ref()
                .map_or(0, |view| view.content.0)
                .to_le_bytes(),
        );
        for digest in task.local.iter().flat_map(|view| &view.digests) {
            hasher.update(&digest.0.to_le_bytes());
        }
        Vault::finish(&hasher).0
    }

    /// Fields that both sides changed and a person decides on become a review; a review that is answered or void goes.
    pub(crate) fn note_review(
        &self,
        run: &mut Run,
        task: &Task,
        merged: &Merged,
        batch: &mut Batch,
    ) {
        let Some(link) = &task.link else { return };
        let key = dirty_remote(&link.remote);
        let fields: Vec<usize> = merged.in_review().collect();
        if fields.is_empty() {
            // A push of this task may still be on its way; what a person decided goes when the field is settled.
            let open = merged.conflicts().next().is_some();
            if !open
                && run.reviews.get(&key).is_some_and(|review| {
                    matches!(review.kind, ReviewKind::Conflict | ReviewKind::Delete) || task.fresh
                })
            {
                self.release_review(run, &key, batch);
            } else if open
                && task.holds.is_empty()
                && run
                    .reviews
                    .get(&key)
                    .is_some_and(|review| review.decision.is_some())
            {
                self.release_review(run, &key, batch);
            }
            return;
        }
        let sealed = self.seal(&key, &self.pair_values(task, &fields));
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Conflict,
            local: Some(link.local.clone()),
            remote: Some(link.remote.clone()),
            side: None,
            fields: self.columns(&fields),
            candidates: Vec::new(),
            code: "E-CONFLICT".into(),
            reason: "Both sides changed these fields to different values".into(),
            first_seen: self.world.now(),
            content: self.pair_content(task),
            sealed,
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
    }

    /// A deletion that a person decides on.
    fn review_delete(&self, run: &mut Run, task: &Task, side: Side, batch: &mut Batch) {
        let Some(link) = &task.link else { return };
        let key = dirty_remote(&link.remote);
        let fields: Vec<usize> = (0..self.mapping.fields.len()).collect();
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Delete,
            local: Some(link.local.clone()),
            remote: Some(link.remote.clone()),
            side: Some(side),
            fields: Vec::new(),
            candidates: Vec::new(),
            code: "E-DELETE-REVIEW".into(),
            reason: match side {
                Side::Remote => "Deleted in the CRM; `--take remote` deletes the row too, `--take local` keeps the person",
                Side::Local => "Deleted in the database; `--take local` deletes the contact too, `--take remote` keeps the person",
            }
            .into(),
            first_seen: self.world.now(),
            content: self.pair_content(task),
            sealed: self.seal(&key, &self.pair_values(task, &fields)),
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
    }

    fn put_review(&self, run: &mut Run, key: Vec<u8>, mut review: Review, batch: &mut Batch) {
        if let Some(known) = run.reviews.get(&key) {
            if known.content == review.content
                && known.kind == review.kind
                && known.code == review.code
                && known.decision.is_none()
            {
                return;
            }
            review.first_seen = known.first_seen;
        }
        put_json(batch, Table::Review, key.clone(), &review);
        run.reviews.insert(key, review);
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
            content: self.pair_content(task),
            sealed: self.seal(&key, &self.pair_values(task, &hold.fields)),
            discarded: false,
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

    /// A record that could not be decoded: sealed whole, and counted as held.
    pub(crate) fn hold_bad(&self, run: &mut Run, bad: BadRecord) {
        run.pull.held += 1;
        if run.dry {
            return;
        }
        let content = self.vault.digest("raw", &bad.raw).0;
        let key = match &bad.id {
            Some(id) => dirty_remote(id),
            None => [b"x".as_slice(), &content.to_be_bytes()].concat(),
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
        };
        let mut batch = Batch::new();
        self.put_quarantined(run, key, record, &mut batch);
        run.held_batch.writes.append(&mut batch.writes);
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
            if let Err(problem) = value {
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
            if let Some(link) = &task.link {
                self.release_quarantine(run, &dirty_remote(&link.remote), batch);
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
            Action::IgnoreDelete(side) => {
                if let Some(link) = &task.link
                    && link.gone != Some(side)
                {
                    super::memory::put_link(
                        batch,
                        &super::Link {
                            gone: Some(side),
                            ..link.clone()
                        },
                    );
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
        if held {
            (run.pull.held, run.push.held) = (run.pull.held + pull, run.push.held + push);
        } else {
            (run.pull.unchanged, run.push.unchanged) =
                (run.pull.unchanged + pull, run.push.unchanged + push);
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
            "E-MATCH-AMBIGUOUS" | "E-EXT-NOT-UNIQUE" | "E-EMAIL-TAKEN" | "E-DUP-EMAIL-LOCAL"
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
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Match,
            local: task.local.as_ref().map(|view| view.key.clone()),
            remote: task.remote.as_ref().map(|view| view.id.clone()),
            side: Some(side),
            fields: self.columns(&fields),
            candidates,
            code: code.into(),
            reason,
            first_seen: self.world.now(),
            content: self.pair_content(task),
            sealed: self.seal(&key, &self.pair_values(task, &fields)),
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
        Ok(())
    }

    /// Keeps the values that a policy decided against, before they are overwritten.
    pub(crate) fn keep_losers(&self, run: &Run, task: &Task, batch: &mut Batch) {
        let (Action::Settle(merged), Some(link), false) = (&task.action, &task.link, run.dry)
        else {
            return;
        };
        for (field, flow) in merged.flows.iter().enumerate() {
            let Flow::Settled(winner) = flow else {
                continue;
            };
            let now = self.world.now();
            let key = [
                &now.timestamp_micros().to_be_bytes()[..],
                link.remote.0.as_bytes(),
                &(field as u16).to_be_bytes(),
            ]
            .concat();
            let review = Review {
                format: FORMAT,
                kind: ReviewKind::Conflict,
                local: Some(link.local.clone()),
                remote: Some(link.remote.clone()),
                side: None,
                fields: self.columns(&[field]),
                candidates: Vec::new(),
                code: "E-CONFLICT".into(),
                reason: "Settled by policy; the losing value is kept".into(),
                first_seen: now,
                content: 0,
                sealed: self.seal(&key, &self.pair_values(task, &[field])),
                decision: task.take.map(Decision::Take),
                settled: Some((now, Some(*winner))),
            };
            put_json(batch, Table::Settled, key, &review);
        }
    }

    pub(crate) fn release(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        self.release_review(run, key, batch);
        self.release_quarantine(run, key, batch);
    }

    /// A newcomer's review of its match goes; a conflict of the new pair stays.
    pub(crate) fn release_match(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        if self.waits(run, key, ReviewKind::Match) {
            self.release_review(run, key, batch);
        }
    }

    fn release_review(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        if run.reviews.remove(key).is_some() {
            batch.remove(Table::Review, key);
        }
    }

    fn release_quarantine(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        if run.quarantine.remove(key).is_some() {
            batch.remove(Table::Quarantine, key);
        }
    }
}

fn child_holds(remote: &RemoteView) -> impl Iterator<Item = Hold> + '_ {
    remote.child_problems.iter().map(|(_, problem)| Hold {
        code: problem.code,
        reason: problem.reason.clone(),
        fields: Vec::new(),
    })
}

/// What `review show` and `quarantine show` print of a record's values: column, database, CRM; and the raw answer.
pub type HeldValues = Values;

/// What a person asks of the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineAction {
    /// Try again in the next run.
    Retry,
    /// Leave the record alone until it changes.
    Discard,
}

/// The id by which people name a held record: short, and the same in every run.
fn public_id(table: Table, key: &[u8]) -> String {
    let hash = blake3::hash(&[&[table as u8], key].concat());
    hash.to_hex()[..10].to_owned()
}

/// All reviews with their ids; `settled`: those that a policy or a person settled in the last days.
pub async fn reviews<S: StateStore>(store: &S, settled: bool) -> Result<Vec<(String, Review)>> {
    let table = if settled {
        Table::Settled
    } else {
        Table::Review
    };
    Ok(Memory::new(store)
        .all::<Review>(table)
        .await?
        .into_iter()
        .map(|(key, review)| (public_id(table, &key), review))
        .collect())
}

/// All quarantined records with their ids.
pub async fn quarantine<S: StateStore>(store: &S) -> Result<Vec<(String, Quarantined)>> {
    let all = Memory::new(store)
        .all::<Quarantined>(Table::Quarantine)
        .await?;
    Ok(all
        .into_iter()
        .map(|(key, record)| (public_id(Table::Quarantine, &key), record))
        .collect())
}

/// The values of a held record. `E-HELD-UNKNOWN` (exit 2) for an id that no list shows.
pub async fn values_of<S: StateStore>(store: &S, vault: &Vault, id: &str) -> Result<HeldValues> {
    let memory = Memory::new(store);
    for table in [Table::Review, Table::Settled] {
        for (key, review) in memory.all::<Review>(table).await? {
            if public_id(table, &key) == id {
                return open(vault, &key, &review.sealed);
            }
        }
    }
    for (key, record) in memory.all::<Quarantined>(Table::Quarantine).await? {
        if public_id(Table::Quarantine, &key) == id {
            return open(vault, &key, &record.sealed);
        }
    }
    Err(unknown(id))
}

/// Writes down what a person decided; the next run carries it out.
///
/// `E-REVIEW-DECISION` (exit 2) where the decision does not fit the question.
pub async fn resolve<S: StateStore>(store: &S, id: &str, decision: Decision) -> Result<()> {
    for (key, mut review) in Memory::new(store).all::<Review>(Table::Review).await? {
        if public_id(Table::Review, &key) != id {
            continue;
        }
        let fits = match (&decision, review.kind, review.side) {
            (Decision::Take(_), ReviewKind::Conflict | ReviewKind::Delete, _) => true,
            (Decision::Separate, ReviewKind::Match, _) => true,
            (Decision::Link(_), ReviewKind::Match, Some(Side::Local)) => true,
            _ => false,
        };
        if !fits {
            let what = match (review.kind, review.side) {
                (ReviewKind::Conflict | ReviewKind::Delete, _) => "--take remote or --take local",
                (ReviewKind::Match, Some(Side::Local)) => "--link REMOTE_ID or --separate",
                (ReviewKind::Match, _) => {
                    "--separate, or --link on the review of the row it belongs to"
                }
            };
            return Err(Error::config(
                "E-REVIEW-DECISION",
                format!("Review {id} takes {what}"),
            ));
        }
        let mut batch = Batch::new();
        if let Some(remote) = &review.remote {
            batch.put(Table::Inbox, dirty_remote(remote), Vec::new());
        }
        if let Decision::Link(remote) = &decision {
            batch.put(
                Table::Inbox,
                dirty_remote(&RemoteId(remote.clone())),
                Vec::new(),
            );
        }
        if let Some(local) = &review.local {
            batch.put(Table::Inbox, dirty_local(local), Vec::new());
        }
        review.decision = Some(decision);
        put_json(&mut batch, Table::Review, key, &review);
        return store.commit(batch).await;
    }
    Err(unknown(id))
}

/// Has a quarantined record tried again by the next run.
pub async fn retry<S: StateStore>(store: &S, id: &str) -> Result<()> {
    change_quarantine(store, id, QuarantineAction::Retry).await
}

/// Leaves a quarantined record alone until it changes.
pub async fn discard<S: StateStore>(store: &S, id: &str) -> Result<()> {
    change_quarantine(store, id, QuarantineAction::Discard).await
}

async fn change_quarantine<S: StateStore>(
    store: &S,
    id: &str,
    action: QuarantineAction,
) -> Result<()> {
    for (key, mut record) in Memory::new(store)
        .all::<Quarantined>(Table::Quarantine)
        .await?
    {
        if public_id(Table::Quarantine, &key) != id {
            continue;
        }
        let mut batch = Batch::new();
        match action {
            QuarantineAction::Discard => {
                record.discarded = true;
                put_json(&mut batch, Table::Quarantine, key, &record);
            }
            QuarantineAction::Retry => {
                batch.remove(Table::Quarantine, key);
                match (&record.remote, &record.local) {
                    (Some(remote), _) => batch.put(Table::Inbox, dirty_remote(remote), Vec::new()),
                    (None, Some(local)) => batch.put(Table::Inbox, dirty_local(local), Vec::new()),
                    // Without an id only a full read can meet it again.
                    (None, None) => {
                        if let Some(facts) = Memory::new(store).facts().await? {
                            put_facts(
                                &mut batch,
                                &Facts {
                                    full_due: true,
                                    ..facts
                                },
                            );
                        }
                    }
                }
            }
        }
        return store.commit(batch).await;
    }
    Err(unknown(id))
}

fn open(vault: &Vault, key: &[u8], sealed: &[u8]) -> Result<Values> {
    serde_json::from_slice(&vault.open(key, sealed)?).map_err(|_| super::memory::corrupt())
}

fn unknown(id: &str) -> Error {
    Error::config(
        "E-HELD-UNKNOWN",
        format!(
            "Nothing that waits has the id {id}; `review list` and `quarantine list` show the ids"
        ),
    )
}

/// Whether a discarded or given-up record shows itself unchanged.
pub(crate) fn is_left_alone(run: &Run, key: &[u8], content: impl Fn() -> u64) -> bool {
    run.quarantine.get(key).is_some_and(|record| {
        (record.discarded || record.code == "E-REMOTE-IGNORED") && record.content == content()
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
        is_left_alone(run, &key, || self.pair_content(task))
    }
}

/// A key for the settled table that sorts by time: everything before `cutoff` may go.
pub(crate) fn settled_cutoff(cutoff: chrono::DateTime<chrono::Utc>) -> [u8; 8] {
    cutoff.timestamp_micros().to_be_bytes()
}
