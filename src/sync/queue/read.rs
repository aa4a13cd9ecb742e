//! Reads the queue into the journal, in the order that loses nothing: names are durable before anything else is done.

use std::collections::{BTreeMap, HashMap};

use crate::local::{LinkRow, Local};
use crate::model::{Error, LocalKey, RemoteId, Result, World};
use crate::remote::{Queue, QueueReading, QueueStep, Queued};
use crate::state::{Batch, StateStore};

use super::super::Engine;
use super::super::memory::{Entry, Link, Memory, RANGE, put_entry, put_facts, put_link};
use super::super::run::Run;

/// What one reading of a queue showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many records, those that stand there twice counted twice.
    pub(super) records: u64,
    /// Up to where it may be purged.
    pub(super) number: Option<String>,
    /// Why there is no number.
    doubt: Option<String>,
}

impl Seen {
    /// A queue that names records and gives no number for them can't be confirmed; what it named is applied all the same.
    pub(super) fn ensure_number(&self) -> Result<()> {
        if self.records == 0 || self.number.is_some() {
            return Ok(());
        }
        let doubt = self.doubt.as_deref().unwrap_or("it gave none");
        Err(Error::unreachable(
            "E-QUEUE-NUM",
            format!(
                "The queue named {} records without a number up to which it may be purged ({doubt}). They are applied; the queue was not purged",
                self.records
            ),
        ))
    }
}

impl<R: Queue, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// A queue has no list and no watermark: nothing of a full read applies to it.
    pub(in crate::sync) fn prepare_queue(&self, run: &mut Run) {
        run.full = false;
        run.current = true;
        // Rows are announced from the first on: what a kill leaves is not read again as a list would be.
        run.first_load = false;
    }

    /// What is to be read for reasons of ours: records that an earlier run left, all linked ones after a change of the mapping,
    /// and in a re-link all that the database has recorded.
    pub(in crate::sync) async fn journal_own(&mut self, run: &mut Run) -> Result<()> {
        let mut dirty: Vec<RemoteId> = run.dirty_remote.iter().cloned().collect();
        dirty.sort();
        for part in dirty.chunks(RANGE) {
            self.journal_whole(run, part.to_vec()).await?;
        }
        if run.relink {
            let mut after = None;
            loop {
                let rows = self.local.links(after.as_ref(), RANGE).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                let ids: Vec<RemoteId> = rows
                    .iter()
                    .filter_map(|row| row.remote_id.clone())
                    .collect();
                let tellable = self.journal_whole(run, ids).await?;
                if self.remote.is_own() {
                    self.recall_links(run, rows, &tellable).await?;
                }
            }
        } else if run.facts.full_due {
            let memory = Memory::new(self.store);
            let mut after = None;
            loop {
                let links = memory.links_after(after.as_ref(), RANGE).await?;
                let Some(last) = links.last() else { break };
                after = Some(last.remote.clone());
                let ids = links.into_iter().map(|link| link.remote).collect();
                self.journal_whole(run, ids).await?;
            }
            // From here on the journal stands for it; where rows are compared as well, that is still to be done.
            if !self.remote.is_own() {
                run.facts.full_due = false;
                let mut batch = Batch::new();
                put_facts(&mut batch, &run.facts);
                self.store.commit(batch).await?;
                self.world.checkpoint("Q.own").await?;
            }
        }
        Ok(())
    }

    /// Links of records that can't be asked for, as the database has recorded them. What the two showed at their last agreement is
    /// not known, so that what comes next is settled as between a pair that never agreed.
    async fn recall_links(
        &mut self,
        run: &mut Run,
        rows: Vec<LinkRow>,
        tellable: &[RemoteId],
    ) -> Result<()> {
        let keys: Vec<LocalKey> = rows.iter().map(|row| row.key.clone()).collect();
        let standing = self.local.fetch(&keys).await?;
        let mut batch = Batch::new();
        for (recorded, row) in rows.into_iter().zip(standing) {
            let (Some(id), Some(row)) = (recorded.remote_id, row) else {
                continue;
            };
            if row.marked || tellable.contains(&id) {
                continue;
            }
            let link = Link {
                local: row.key,
                row: row.digest,
                met: true,
                ..self.link_of(run, &id)
            };
            put_link(&mut batch, &link);
            run.facts.links += 1;
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
            self.world.checkpoint("Q.recalled").await?;
        }
        Ok(())
    }

    /// Journals those of these records that can be asked for, and says which they are.
    async fn journal_whole(&mut self, run: &Run, ids: Vec<RemoteId>) -> Result<Vec<RemoteId>> {
        let ids = self.remote.tellable(ids).await?;
        let known = Memory::new(self.store).entries(&ids).await?;
        let mut batch = Batch::new();
        for (id, known) in ids.iter().zip(known) {
            let open = known.filter(|known| !known.done);
            let entry = Entry {
                sections: None,
                deleted: open.as_ref().is_some_and(|open| open.deleted) || run.was_deleted(id),
                ..open.unwrap_or_else(Entry::whole)
            };
            put_entry(&mut batch, id, &entry);
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(ids)
    }

    /// Reads the queue to its end, journalling what it names.
    pub(super) async fn read_queue(&mut self) -> Result<Seen> {
        let mut reading = self.remote.queue().await?;
        let mut seen = Seen::default();
        loop {
            self.check_signal()?;
            match reading.next().await? {
                QueueStep::Records(records) => {
                    seen.records += records.len() as u64;
                    self.journal(&records).await?;
                    self.watch.progress("reading the queue", seen.records, None);
                }
                QueueStep::End { number, doubt } => {
                    (seen.number, seen.doubt) = (number, doubt);
                    break;
                }
            }
        }
        Ok(seen)
    }

    /// Keeps the number up to which the queue was journalled, after what it says about earlier work was heeded.
    pub(super) async fn keep_number(&mut self, run: &mut Run, seen: &Seen) -> Result<()> {
        if seen.number.is_none() || seen.number == run.facts.queue {
            return Ok(());
        }
        run.facts.queue.clone_from(&seen.number);
        let mut batch = Batch::new();
        put_facts(&mut batch, &run.facts);
        self.store.commit(batch).await?;
        self.world.checkpoint("Q.number").await
    }

    async fn journal(&mut self, records: &[Queued]) -> Result<()> {
        for part in records.chunks(RANGE) {
            let ids: Vec<RemoteId> = part.iter().map(|queued| queued.id.clone()).collect();
            let known = Memory::new(self.store).entries(&ids).await?;
            let mut known: HashMap<RemoteId, Entry> = ids
                .into_iter()
                .zip(known)
                .filter_map(|(id, entry)| Some((id, entry?)))
                .collect();
            let mut changed = BTreeMap::new();
            for queued in part {
                if let Some(entry) = Entry::read(known.get(&queued.id), queued) {
                    changed.insert(queued.id.clone(), entry.clone());
                    known.insert(queued.id.clone(), entry);
                }
            }
            if changed.is_empty() {
                continue;
            }
            let mut batch = Batch::new();
            for (id, entry) in &changed {
                put_entry(&mut batch, id, entry);
            }
            self.store.commit(batch).await?;
            self.world.checkpoint("Q.journal").await?;
        }
        Ok(())
    }

    /// Without reasons, a record that was done and changed again looks as it did before. While its queue shows the very number
    /// that it showed then, nothing was added; else everything in it is read anew.
    pub(super) async fn distrust_done(&mut self, run: &Run, seen: &Seen) -> Result<()> {
        if seen.number.is_some() && seen.number == run.facts.queue {
            return Ok(());
        }
        let (memory, mut after) = (Memory::new(self.store), None);
        loop {
            let entries = memory.entries_after(after.as_ref()).await?;
            let Some((last, _)) = entries.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (id, entry) in entries.into_iter().filter(|(_, entry)| entry.done) {
                let anew = Entry {
                    done: false,
                    ..entry
                };
                put_entry(&mut batch, &id, &anew);
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?;
            }
        }
    }

    /// For a dry run, which writes no journal: what the queue and an earlier journal name, by id.
    pub(super) async fn look_at_queue(
        &mut self,
        run: &Run,
        reasons: bool,
    ) -> Result<BTreeMap<RemoteId, Entry>> {
        let memory = Memory::new(self.store);
        let mut named = BTreeMap::new();
        let mut after = None;
        loop {
            let entries = memory.entries_after(after.as_ref()).await?;
            let Some((last, _)) = entries.last() else {
                break;
            };
            after = Some(last.clone());
            named.extend(entries.into_iter().map(|(id, mut entry)| {
                // Without reasons the queue can't tell whether what was done changed again.
                entry.done &= reasons;
                (id, entry)
            }));
        }
        if run.facts.full_due {
            let mut linked = None;
            loop {
                let links = memory.links_after(linked.as_ref(), RANGE).await?;
                let Some(last) = links.last() else { break };
                linked = Some(last.remote.clone());
                let ids = links.into_iter().map(|link| link.remote).collect();
                let tellable = self.remote.tellable(ids).await?;
                named.extend(tellable.into_iter().map(|id| (id, Entry::whole())));
            }
        }
        let dirty = run.dirty_remote.iter().cloned().collect();
        for id in self.remote.tellable(dirty).await? {
            named.insert(id, Entry::whole());
        }
        let mut reading = self.remote.queue().await?;
        while let QueueStep::Records(records) = reading.next().await? {
            self.check_signal()?;
            for queued in records {
                if let Some(entry) = Entry::read(named.get(&queued.id), &queued) {
                    named.insert(queued.id, entry);
                }
            }
        }
        named.retain(|_, entry| !entry.done);
        Ok(named)
    }
}
