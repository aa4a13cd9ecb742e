//! What must hold where a bridge flows one way, or does not carry deletions over by itself (user contract, section 4; table P).
//!
//! In a one-way bridge the source is never written to, and when all is quiet the target shows what the source shows; what users
//! did on the target is nobody's loss. Deletions are judged for every bridge: none under `deletes: ignore`, and under `review`
//! those alone that a person decided on.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use contactbridge::model::{DeletePolicy, Direction, LocalKey};
use contactbridge::sync::{Decision, Review, ReviewKind, resolve_review, reviews};

use crate::chance::Chance;
use crate::life::Life;
use crate::oracle::{FIELDS, Log, Side, Waiting, shown};
use crate::settings::Settings;
use crate::store::SimStore;
use crate::universe::{Death, Shared, Universe, drive};

impl Settings {
    /// A bridge that flows one way, or leaves deletions to a person or alone; in half of these worlds everything else goes wrong too.
    pub fn narrow(chance: &mut Chance) -> Self {
        let mut settings = if chance.coin() {
            Self::fair(chance)
        } else {
            Self::foul(chance)
        };
        settings.direction = match chance.below(3) {
            0 => Direction::Pull,
            1 => Direction::Push,
            _ => Direction::Both,
        };
        settings.delete_policy = match chance.below(3) {
            0 if settings.direction != Direction::Both => DeletePolicy::Apply,
            0 | 1 => DeletePolicy::Review,
            _ => DeletePolicy::Ignore,
        };
        // A number that is made up on the target is no part of what the source shows; the target is filled in a full read alone.
        settings.generate = false;
        settings.full_read = Some(std::time::Duration::from_secs(24 * 3600));
        settings
    }

    /// Where a one-way bridge takes everything from.
    pub fn source(&self) -> Option<Side> {
        match self.direction {
            Direction::Both => None,
            Direction::Pull => Some(Side::Remote),
            Direction::Push => Some(Side::Local),
        }
    }
}

impl Log {
    fn source(&self) -> Option<Side> {
        self.settings.as_ref().and_then(Settings::source)
    }

    /// Whether users' edits on this side must be kept.
    pub fn is_judged(&self) -> bool {
        self.source().is_none()
    }

    /// The bridge wrote to this side.
    pub fn check_direction(&mut self, side: Side, anchor: &str) {
        if self.source() == Some(side) {
            let line = format!("{anchor} was written to {side:?}, the source of a one-way bridge");
            self.broken.push(line);
        }
    }

    /// The bridge deleted a record from this side.
    pub fn check_policy(&mut self, side: Side, anchor: &str) {
        let policy = self
            .settings
            .as_ref()
            .map_or(DeletePolicy::Apply, |settings| settings.delete_policy);
        if !may_delete(policy, &mut self.decided, anchor, side) {
            let line = format!("{anchor} was deleted from {side:?} under deletes: {policy:?}");
            self.broken.push(line);
        }
        let dead = (side.other(), anchor.to_owned());
        if !self.is_judged() && !self.ever_deleted.contains(&dead) {
            let line =
                format!("{anchor} was deleted from {side:?}, and nobody deleted it at the source");
            self.broken.push(line);
        }
    }
}

/// Whether a record of `side` may be deleted: always, where a person took the other side (which answers once), or never.
pub fn may_delete(
    policy: DeletePolicy,
    decided: &mut BTreeMap<String, Side>,
    whose: &str,
    side: Side,
) -> bool {
    match policy {
        DeletePolicy::Apply => true,
        DeletePolicy::Review => decided.remove(whose) == Some(side.other()),
        DeletePolicy::Ignore => false,
    }
}

/// A person looks at the deletions and conflicts that wait, and decides on some of them; what was decided on, and whose side was
/// taken.
pub fn somebody_decides(shared: &Shared) -> Vec<(Review, Side)> {
    {
        let mut universe = shared.borrow_mut();
        (universe.dead, universe.busy, universe.death) = (false, 0, Death::Never);
    }
    let store = SimStore(Rc::clone(shared));
    let work = async {
        let mut decisions = Vec::new();
        for (id, review) in reviews(&store, false).await? {
            let side = {
                let chance = &mut shared.borrow_mut().chance;
                let waits = review.kind != ReviewKind::Match && review.decision.is_none();
                if !waits || chance.coin() {
                    continue;
                }
                if chance.coin() {
                    Side::Remote
                } else {
                    Side::Local
                }
            };
            let decision = Decision::Take(match side {
                Side::Remote => contactbridge::sync::Side::Remote,
                Side::Local => contactbridge::sync::Side::Local,
            });
            resolve_review(&store, &id, decision).await?;
            shared.borrow_mut().say(|| {
                let (kind, contact) = (review.kind, &review.remote);
                format!("   ~ a person takes {side:?}: {kind:?} of contact {contact:?}")
            });
            decisions.push((review, side));
        }
        Ok::<_, contactbridge::model::Error>(decisions)
    };
    drive(shared, work)
        .expect("nobody kills it")
        .expect("either side can be taken")
}

/// What waits for a person.
pub fn open_reviews(shared: &Shared) -> Vec<Review> {
    let store = SimStore(Rc::clone(shared));
    let listed = drive(shared, reviews(&store, false)).expect("nobody kills it");
    let listed = listed.expect("what waits can be listed");
    listed.into_iter().map(|(_, review)| review).collect()
}

impl Life {
    /// As [`somebody_decides`]; what is decided on a deletion may happen from then on.
    pub fn somebody_decides(&mut self) {
        for (review, side) in somebody_decides(&self.shared) {
            if review.kind == ReviewKind::Delete {
                let contact = review.remote.map(|id| id.0).unwrap_or_default();
                self.shared.borrow_mut().note_decision(&contact, side);
            }
        }
    }
}

impl Universe {
    fn note_decision(&mut self, contact: &str, side: Side) {
        let living = contact.parse().ok().and_then(|id: i64| {
            let person = self.crm.people.get(&id)?;
            Some(person.values["lastName"].clone())
        });
        let Some(anchor) = living.or_else(|| self.crm.graves.get(contact).cloned()) else {
            return;
        };
        self.log.decided.insert(anchor, side);
    }

    /// After users and faults have stopped: the target shows what the source shows.
    pub fn check_one_way(&mut self, source: Side, waiting: &Waiting) {
        if source == Side::Remote && self.crm.writes > 0 {
            let line = format!("{} requests wrote to the source", self.crm.writes);
            self.log.broken.push(line);
        }
        let anchors: BTreeSet<String> = self.log.anchors.iter().cloned().collect();
        let mut broken = Vec::new();
        for anchor in anchors.difference(&self.log.risen) {
            let contact = self.crm.living().find(|person| {
                person.values["lastName"] == *anchor && !self.log.echoes.contains(&person.id)
            });
            let last_name = self.database.column("last_name");
            let mut rows = self.database.living();
            let row = rows.find(|(_, row)| shown(&row.cells[last_name]) == *anchor);
            let (contact, row) = (
                contact.map(|person| person.id),
                row.map(|(key, _)| key.clone()),
            );
            let of_contact = contact.and_then(|id| waiting.remote.get(&id.to_string()));
            let of_row = row.as_ref().and_then(|key| waiting.local.get(key));
            let held: Vec<&String> = of_contact.into_iter().chain(of_row).flatten().collect();
            let is_held = of_contact.is_some() || of_row.is_some();
            match (contact, row) {
                (Some(id), Some(key)) => {
                    if !(is_held && held.is_empty()) {
                        broken.extend(self.differences(anchor, id, &key, &held));
                    }
                }
                (None, None) => {}
                (contact, _) => {
                    let (alone, gone) = match contact {
                        Some(_) => (Side::Remote, Side::Local),
                        None => (Side::Local, Side::Remote),
                    };
                    if let Some(why) = self.lacks(anchor, source, alone, gone)
                        && !is_held
                    {
                        broken.push(why);
                    }
                }
            }
        }
        self.log.broken.extend(broken);
    }

    /// What is wrong with a record that stands alone.
    fn lacks(&self, anchor: &str, source: Side, alone: Side, gone: Side) -> Option<String> {
        if alone == source {
            return Some(format!(
                "I5 {anchor} of the source has not reached {gone:?}"
            ));
        }
        // Whoever users made on the target, or had deleted at the source before the two met, stays there.
        let was_agreed = self
            .log
            .deletions
            .contains_key(&(source, anchor.to_owned()));
        match self.settings.delete_policy {
            DeletePolicy::Apply if was_agreed => {
                Some(format!("I5 {anchor} is gone at the source, and stays"))
            }
            // A person may have decided that it stays.
            DeletePolicy::Review
                if was_agreed && self.log.decided.get(anchor) != Some(&source.other()) =>
            {
                Some(format!(
                    "I5 {anchor} is gone at the source, and nobody is asked"
                ))
            }
            _ => None,
        }
    }

    fn differences(&self, anchor: &str, id: i64, key: &LocalKey, held: &[&String]) -> Vec<String> {
        let fields = FIELDS
            .iter()
            .filter(|(field, _)| !held.iter().any(|held| held == field));
        fields
            .filter_map(|(field, path)| {
                let (remote, local) = (self.remote_value(id, path), self.local_value(key, field));
                let differs = !self.log.alike(field, &remote, &local);
                differs.then(|| {
                    format!("I5 {anchor}.{field} differs: CRM {remote:?}, database {local:?} (contact {id}, row {key})")
                })
            })
            .collect()
    }
}
