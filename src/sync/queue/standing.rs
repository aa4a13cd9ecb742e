//! How records stand now: each is asked for as much of it as its reasons call for, and what does not answer is told apart.
//!
//! It reads from the service and writes nothing. Whether it is a record or the service that is out of order is decided here;
//! what a record's state means is not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::local::Local;
use crate::model::{BadRecord, Error, RemoteId, RemoteItem, Result, World};
use crate::remote::{Found, LookUp, Queue, Scope};
use crate::state::{Batch, StateStore, Table};

use super::super::Engine;
use super::super::memory::{Entry, Link, Memory, RANGE, dirty_remote};
use super::super::run::Run;
use super::{PurgeWhen, QueueRules};

/// So many unreadable records in a row, with none that can be read and none known to ask for, are a service out of order.
const CULPRITS_MAX: usize = 10;

/// Known records that are asked for to tell; one of them may have gone as well.
const WITNESSES: usize = 3;

/// How the records of a part stand.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) items: Vec<RemoteItem>,
    pub(super) dead: Vec<RemoteId>,
    /// Left alone without a request: what changed of them is not mapped.
    pub(super) passed: u64,
    pub(super) marks: Marks,
}

/// What is noted of records beside their rows, once those are written.
#[derive(Default)]
pub(super) struct Marks {
    /// Asked for again in the next run.
    pub(super) again: Vec<RemoteId>,
    /// Known to be gone: nothing is to be asked for any more.
    pub(super) settled: Vec<RemoteId>,
}

impl Marks {
    pub(super) fn extend(&mut self, other: Self) {
        self.again.extend(other.again);
        self.settled.extend(other.settled);
    }

    pub(super) fn settle(&self, batch: &mut Batch) {
        for id in &self.settled {
            batch.remove(Table::Inbox, dirty_remote(id));
        }
    }
}

impl<R: Queue, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Asks for the present state of records, each for as much of it as its reasons call for.
    pub(super) async fn standing(
        &mut self,
        run: &mut Run,
        rules: QueueRules,
        slice: &[(RemoteId, Entry)],
    ) -> Result<Standing> {
        let ids: Vec<RemoteId> = slice.iter().map(|(id, _)| id.clone()).collect();
        let links = Memory::new(self.store).links(&ids).await?;
        let read = self.mapping.remote_names();
        let mut standing = Standing::default();
        let mut scopes: BTreeMap<Option<BTreeSet<String>>, Vec<RemoteId>> = BTreeMap::new();
        for ((id, entry), link) in slice.iter().zip(&links) {
            if run.quarantine.contains_key(&dirty_remote(id)) {
                // What it is held for may be in a part that did not change, and it is to be settled if it is mended.
                run.dirty_remote.insert(id.clone());
            }
            let sections: Option<BTreeSet<String>> = entry
                .sections
                .as_ref()
                // What was purged before it was read may have had more reasons than those that were seen.
                .filter(|_| rules.purge == PurgeWhen::Processed && !entry.deleted)
                .filter(|_| self.may_come_in_part(run, id, link.as_ref()))
                .map(|sections| sections.intersection(&read).cloned().collect());
            if sections.as_ref().is_some_and(BTreeSet::is_empty) {
                standing.passed += 1;
            } else {
                scopes.entry(sections).or_default().push(id.clone());
            }
        }
        let mut answered: HashSet<RemoteId> = HashSet::new();
        let mut asked = Vec::new();
        for (scope, ids) in gathered(scopes, rules.chunk) {
            self.check_signal()?;
            for item in self.remote.details(&ids, &scope).await? {
                let id = match &item {
                    RemoteItem::Record(record) => Some(&record.id),
                    RemoteItem::Bad(bad) => bad.id.as_ref(),
                };
                answered.extend(id.cloned());
                standing.items.push(item);
            }
            asked.extend(ids);
        }
        self.world.checkpoint("Q.details").await?;
        let deleted: HashMap<&RemoteId, bool> = slice
            .iter()
            .map(|(id, entry)| (id, entry.deleted))
            .collect();
        let absent = asked.into_iter().filter(|id| !answered.contains(id));
        let (dead, missing): (Vec<_>, Vec<_>) =
            absent.partition(|id| !rules.reasons || deleted.get(id).copied().unwrap_or_default());
        self.ensure_in_order(run, &standing.items, &dead, &missing)
            .await?;
        standing.marks.settled.clone_from(&dead);
        standing.dead = dead;
        for id in missing {
            let discarded = run
                .quarantine
                .get(&dirty_remote(&id))
                .is_some_and(|record| record.discarded);
            if !discarded {
                standing.marks.again.push(id.clone());
            }
            standing.items.push(RemoteItem::Bad(BadRecord {
                id: Some(id),
                code: "Q-NO-DETAILS",
                reason: "The queue names it without saying that it was deleted, and the details service does not know it; it is asked for again in the next run".into(),
                raw: Vec::new(),
            }));
        }
        Ok(standing)
    }

    /// Only what was agreed in every field can do without the rest of its record.
    fn may_come_in_part(&self, run: &Run, id: &RemoteId, link: Option<&Link>) -> bool {
        link.is_some_and(|link| {
            link.mapping == run.facts.mapping
                && link.gone.is_none()
                && !link.bases.contains(&None)
                && !run.dirty_remote.contains(id)
        })
    }

    /// Where nothing could be read, one of the known records tells whether it is the records or the service.
    async fn ensure_in_order(
        &self,
        run: &Run,
        items: &[RemoteItem],
        dead: &[RemoteId],
        missing: &[RemoteId],
    ) -> Result<()> {
        let silent = items.len() + dead.len() + missing.len();
        let one_is_good = items
            .iter()
            .any(|item| matches!(item, RemoteItem::Record(_)));
        if silent == 0 || one_is_good || self.remote.is_own() {
            return Ok(());
        }
        let bad = items.iter().filter_map(|item| match item {
            RemoteItem::Bad(bad) => bad.id.as_ref(),
            RemoteItem::Record(_) => None,
        });
        let asked: HashSet<&RemoteId> = bad.chain(dead).chain(missing).collect();
        let witnesses = self.witnesses(run, &asked).await?;
        if witnesses.is_empty() && silent <= CULPRITS_MAX {
            return Ok(());
        }
        for id in witnesses {
            if let Found::Item(item) = self.remote.look_up(&LookUp::Id(id)).await?
                && matches!(*item, RemoteItem::Record(_))
            {
                return Ok(());
            }
        }
        Err(Error::unreachable(
            "E-DETAILS",
            format!(
                "None of {silent} records could be read, nor one that is known to be there; nothing was applied. Is the details service in order?"
            ),
        ))
    }

    /// Linked records of which nothing is known that could have changed them. Those whose deletion was left alone, or waits for a
    /// person, keep their link and would never answer.
    async fn witnesses(&self, run: &Run, asked: &HashSet<&RemoteId>) -> Result<Vec<RemoteId>> {
        let memory = Memory::new(self.store);
        let mut witnesses = Vec::new();
        let mut after = None;
        loop {
            let links = memory.links_after(after.as_ref(), RANGE).await?;
            let Some(last) = links.last() else {
                return Ok(witnesses);
            };
            after = Some(last.remote.clone());
            let living = links.into_iter().filter(|link| !run.is_dead(link));
            let ids: Vec<RemoteId> = living.map(|link| link.remote).collect();
            for (id, entry) in ids.iter().zip(memory.entries(&ids).await?) {
                let open = entry.is_some_and(|entry| !entry.done);
                let held = run.quarantine.contains_key(&dirty_remote(id));
                if !(open || held || asked.contains(id)) {
                    witnesses.push(id.clone());
                }
                if witnesses.len() == WITNESSES {
                    return Ok(witnesses);
                }
            }
        }
    }
}

/// Groups by what is to be asked for; groups that fill no request of their own are asked for together, for all that any of them needs.
fn gathered(
    scopes: BTreeMap<Option<BTreeSet<String>>, Vec<RemoteId>>,
    chunk: usize,
) -> Vec<(Scope, Vec<RemoteId>)> {
    let scope = |sections: Option<BTreeSet<String>>| match sections {
        None => Scope::Whole,
        Some(names) => Scope::Sections(names),
    };
    let mut groups = Vec::new();
    let mut small: Option<(Scope, Vec<RemoteId>)> = None;
    for (sections, ids) in scopes {
        let scope = scope(sections);
        if ids.len() >= chunk {
            groups.push((scope, ids));
            continue;
        }
        small = Some(match small {
            None => (scope, ids),
            Some((wider, mut all)) => {
                all.extend(ids);
                (wider.union(scope), all)
            }
        });
    }
    groups.extend(small);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_fill_no_request_are_asked_for_together() {
        let ids = |range: std::ops::Range<u32>| range.map(|n| RemoteId(n.to_string())).collect();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let scopes = BTreeMap::from([
            (Some(names(&["emails"])), ids(0..50)),
            (Some(names(&["phones"])), ids(50..52)),
            (Some(names(&["jobs"])), ids(52..55)),
        ]);
        let groups = gathered(scopes, 50);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0], (Scope::Sections(names(&["emails"])), ids(0..50)));
        assert_eq!(groups[1].0, Scope::Sections(names(&["jobs", "phones"])));
        assert_eq!(groups[1].1.len(), 5);

        let whole = BTreeMap::from([(None, ids(0..1)), (Some(names(&["jobs"])), ids(1..2))]);
        assert_eq!(gathered(whole, 50), [(Scope::Whole, ids(0..2))]);
    }
}
