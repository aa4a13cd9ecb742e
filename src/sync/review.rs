//! Questions for a person: written during a run, and taken back when they are answered or void.

use crate::local::Local;
use crate::model::{LocalKey, RemoteId, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    Decision, FORMAT, Review, ReviewKind, Side, dirty_local, dirty_remote, put_json,
};
use super::merge::{Flow, Merged};
use super::run::{Action, Run, Task};

/// A contact that shows itself older than what is known of it.
pub(crate) const OLDER: &str = "E-CONTACT-OLDER";

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
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
        let is_back = task.local.is_some() && run.is_asked_about(&link.remote, Side::Local);
        if fields.is_empty() && task.remote.is_none() && task.take.is_none() && !is_back {
            // The contact was not seen: nothing is known of the question.
            return;
        }
        if fields.is_empty() {
            // A push of this task may still be on its way; what a person decided goes when the field is settled.
            let open = merged.conflicts().next().is_some();
            let is_over = run.reviews.get(&key).is_some_and(|review| {
                if open {
                    task.holds.is_empty() && review.decision.is_some()
                } else {
                    matches!(review.kind, ReviewKind::Conflict | ReviewKind::Delete) || task.fresh
                }
            });
            if is_over {
                self.release_review(run, &key, batch);
            }
            return;
        }
        let sealed = self.seal(&key, &self.pair_values(task, &fields));
        let (code, reason) = if merged.is_doubtful() {
            (
                OLDER,
                "The contact shows these values as in a backup that was put back: nothing tells whether they were entered anew",
            )
        } else {
            (
                "E-CONFLICT",
                "Both sides changed these fields to different values",
            )
        };
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Conflict,
            local: Some(link.local.clone()),
            remote: Some(link.remote.clone()),
            side: None,
            fields: self.columns(&fields),
            candidates: Vec::new(),
            code: code.into(),
            reason: reason.into(),
            first_seen: self.world.now(),
            content: self.pair_content(run, task),
            sealed,
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
    }

    /// A deletion that a person decides on.
    pub(crate) fn review_delete(&self, run: &mut Run, task: &Task, side: Side, batch: &mut Batch) {
        let reason = match side {
            Side::Remote if self.rules.direction.pushes() => {
                "Deleted in the CRM; `--take remote` deletes the row too, `--take local` keeps the person"
            }
            Side::Remote => {
                "Deleted in the CRM; `--take remote` deletes the row too, `--take local` leaves it as it is"
            }
            Side::Local if self.rules.direction.pulls() => {
                "Deleted in the database; `--take local` deletes the contact too, `--take remote` keeps the person"
            }
            Side::Local => {
                "Deleted in the database; `--take local` deletes the contact too, `--take remote` leaves it as it is"
            }
        };
        self.ask_about_deletion(run, task, side, ("E-DELETE-REVIEW", reason), batch);
    }

    /// A deletion of the row whose contact went back in time.
    pub(crate) fn review_doubtful_delete(&self, run: &mut Run, task: &Task, batch: &mut Batch) {
        let reason = "Deleted in the database, and the contact shows itself as in a backup that was put back: nothing tells whether it was edited after the deletion; `--take local` deletes the contact too, `--take remote` keeps the person";
        self.ask_about_deletion(run, task, Side::Local, (OLDER, reason), batch);
    }

    fn ask_about_deletion(
        &self,
        run: &mut Run,
        task: &Task,
        side: Side,
        (code, reason): (&str, &str),
        batch: &mut Batch,
    ) {
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
            code: code.into(),
            reason: reason.into(),
            first_seen: self.world.now(),
            content: self.pair_content(run, task),
            sealed: self.seal(&key, &self.pair_values(task, &fields)),
            decision: None,
            settled: None,
        };
        self.put_review(run, key, review, batch);
    }

    /// Newcomers that wait because of this record, which is not what it was: the next run looks at them again.
    pub(crate) fn wake(
        &self,
        run: &mut Run,
        contact: Option<&RemoteId>,
        row: Option<&LocalKey>,
        batch: &mut Batch,
    ) {
        // Asked for every contact of a first load, where nobody waits as a rule.
        if run.reviews.is_empty() {
            return;
        }
        let names = [
            contact.map(|id| format!("contact {id}")),
            row.map(|key| format!("row {key}")),
        ];
        let is_named = |candidate: &String| names.iter().flatten().any(|name| name == candidate);
        let waiting = run.reviews.values().filter(|review| {
            review.kind == ReviewKind::Match
                && review.decision.is_none()
                && review.candidates.iter().any(is_named)
        });
        let mut restores = false;
        for review in waiting {
            let key = match (review.side, &review.remote, &review.local) {
                (Some(Side::Remote), Some(id), _) => dirty_remote(id),
                (Some(Side::Local), dead, Some(key)) => {
                    restores |= dead.is_some();
                    dirty_local(key)
                }
                _ => continue,
            };
            batch.put(Table::Inbox, key, run.mark());
        }
        // That the contact of such a row is gone is proved by a full read alone.
        run.full_next |= restores;
    }

    pub(crate) fn put_review(
        &self,
        run: &mut Run,
        key: Vec<u8>,
        mut review: Review,
        batch: &mut Batch,
    ) {
        if let Some(known) = run.reviews.get(&key) {
            if known.content == review.content
                && known.fields == review.fields
                && known.kind == review.kind
                && known.code == review.code
                && known.candidates == review.candidates
                && known.decision.is_none()
            {
                return;
            }
            review.first_seen = known.first_seen;
        }
        put_json(batch, Table::Review, key.clone(), &review);
        run.reviews.insert(key, review);
    }

    /// Keeps the values that a policy decided against, before they are overwritten: the ones of the side other than `winner`,
    /// whose turn it is to be written. Each is kept once, although a record may be written on both sides.
    pub(crate) fn keep_losers(&self, run: &Run, task: &Task, winner: Side, batch: &mut Batch) {
        let (Action::Settle(merged), Some(link), false) = (&task.action, &task.link, run.dry)
        else {
            return;
        };
        for (field, flow) in merged.flows.iter().enumerate() {
            if *flow != Flow::Settled(winner) {
                continue;
            }
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
                settled: Some((now, Some(winner))),
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

    pub(crate) fn release_review(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        if run.reviews.remove(key).is_some() {
            batch.remove(Table::Review, key);
        }
    }

    pub(crate) fn release_quarantine(&self, run: &mut Run, key: &[u8], batch: &mut Batch) {
        if run.quarantine.remove(key).is_some() {
            batch.remove(Table::Quarantine, key);
        }
    }
}

/// A key for the settled table that sorts by time: everything before `cutoff` may go.
pub(crate) fn settled_cutoff(cutoff: chrono::DateTime<chrono::Utc>) -> [u8; 8] {
    cutoff.timestamp_micros().to_be_bytes()
}
