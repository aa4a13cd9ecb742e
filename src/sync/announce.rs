//! Rows about to be written are announced, so that a killed run's own write is not taken for somebody's edit.
//!
//! A kill between the database's transaction and our commit leaves a row that shows the new value and a base that holds the
//! old one. As long as the contact still shows that value the two agree; once it is edited again, both sides would seem
//! changed. What was announced tells that the row is merely as we left it. A first load announces new rows for their child rows
//! alone, for which nothing else tells that they are the bridge's to take away: what the kill leaves of the rest is a first meeting
//! like any other.

use std::collections::HashSet;

use crate::local::{Local, RowWrite};
use crate::model::{Digest, LocalKey, RemoteId, Result, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    Base, FORMAT, Intent, IntentKind, Link, Memory, Side, dirty_local, dirty_remote, put_json,
    put_link,
};
use super::merge::Flow;
use super::run::{Action, Run, Task};
use super::view::{LocalView, local_view};

/// Links and rows read in one call while announcements are compared.
const PART: usize = 500;

fn announcement_key(id: &RemoteId) -> Vec<u8> {
    [b"p".as_slice(), id.0.as_bytes()].concat()
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Announces a write of a row; the key to remove with the commit that follows the write.
    pub(crate) fn announce(
        &self,
        run: &Run,
        task: &Task,
        write: &RowWrite,
        batch: &mut Batch,
    ) -> Option<Vec<u8>> {
        let (RowWrite::Insert { children, .. } | RowWrite::Update { children, .. }) = write else {
            return None;
        };
        let loads = run.first_load && matches!(write, RowWrite::Insert { .. });
        if loads && children.is_empty() {
            return None;
        }
        let remote = task.remote.as_ref()?;
        let mut parts = vec![None; remote.children.len()];
        for (set, view) in children
            .iter()
            .filter_map(|set| Some((set, remote.children[set.rule].as_ref()?)))
        {
            // With those that stood before: a kill may leave them standing.
            let keys = view.parts.iter().map(|(key, _)| key);
            parts[set.rule] = Some(keys.chain(&set.formerly).map(|key| key.0).collect());
        }
        // Until this write is made, the rows may still be those of an earlier run's.
        if let Some(before) = run.announced.get(&remote.id) {
            for (parts, before) in parts.iter_mut().zip(&before.parts) {
                if let Some(before) = before {
                    let all: &mut Vec<u64> = parts.get_or_insert_default();
                    all.extend(before);
                }
            }
        }
        let written = |field: usize| match &task.action {
            _ if loads => false,
            Action::Settle(merged) => matches!(
                merged.flows[field],
                Flow::ToLocal | Flow::Settled(Side::Remote) | Flow::Agree
            ),
            _ => run.fields[field].pulls(),
        };
        let sent: Vec<Option<Digest>> = (0..remote.digests.len())
            .map(|field| {
                let told = written(field) && remote.values[field].is_ok();
                told.then(|| remote.digests[field])
            })
            .collect();
        let key = announcement_key(&remote.id);
        let intent = Intent {
            format: FORMAT,
            kind: IntentKind::Row,
            // The database knows which row stands for the contact; a new one has no key yet.
            local: task
                .local
                .as_ref()
                .map_or(LocalKey::Int(0), |view| view.key.clone()),
            remote: Some(remote.id.clone()),
            identity: None,
            before: Vec::new(),
            local_after: Vec::new(),
            follows: Vec::new(),
            values: Vec::new(),
            parts,
            sent,
            mapping: run.facts.mapping,
            epoch: run.facts.epoch,
            at: self.world.now(),
            tries: 0,
        };
        put_json(batch, Table::Intent, key.clone(), &intent);
        Some(key)
    }

    /// The row was not written after all: what an earlier run had announced of it stands.
    pub(crate) fn stays_announced(&self, run: &Run, task: &Task, batch: &mut Batch) {
        if let Some(remote) = &task.remote
            && let Some(before) = run.announced.get(&remote.id)
        {
            put_json(batch, Table::Intent, announcement_key(&remote.id), before);
        }
    }

    /// Whether the database has recorded this pair, as it does together with what it is given of a first meeting.
    pub(crate) async fn is_recorded(&mut self, id: &RemoteId, local: &LocalKey) -> Result<bool> {
        let recorded = self.local.links_by_remote(std::slice::from_ref(id)).await?;
        Ok(recorded.iter().flatten().any(|row| row.key == *local))
    }

    /// Writes down that the row of a first meeting was not written after all. Once the recovery has recorded the pair itself, nothing
    /// would tell any more. What earlier runs had announced of its child rows stands.
    pub(crate) async fn void_row(&self, id: &RemoteId) -> Result<()> {
        let key = announcement_key(id);
        let announced: Option<Intent> = Memory::new(self.store).json(Table::Intent, &key).await?;
        let Some(mut intent) = announced else {
            return Ok(());
        };
        intent.sent.fill(None);
        let mut batch = Batch::new();
        put_json(&mut batch, Table::Intent, key, &intent);
        self.store.commit(batch).await
    }

    /// Rows that a killed run left written: bases of linked ones move, the others are kept in mind for when they are linked.
    pub(crate) async fn recover_rows(
        &mut self,
        run: &mut Run,
        announced: Vec<(RemoteId, Intent)>,
    ) -> Result<()> {
        for part in announced.chunks(PART) {
            let ids: Vec<RemoteId> = part.iter().map(|(id, _)| id.clone()).collect();
            let links = Memory::new(self.store).links(&ids).await?;
            let keys: Vec<LocalKey> = links
                .iter()
                .flatten()
                .map(|link| link.local.clone())
                .collect();
            let mut rows = self.local.fetch(&keys).await?.into_iter();
            let mut batch = Batch::new();
            for ((id, intent), link) in part.iter().zip(links) {
                let Some(link) = link else {
                    self.recover_row_alone(run, id, intent, &mut batch).await?;
                    continue;
                };
                let row = match rows.next().flatten() {
                    Some(row) if !row.marked => row,
                    gone => {
                        if gone.is_some() && intent.mapping == run.facts.mapping {
                            // It is only marked: its child rows are there.
                            let mut link = self.migrate(run, link);
                            claim_parts(&mut link, intent);
                            put_link(&mut batch, &link);
                        }
                        // The link still names a row that had gone: the announced one was made in its place, and is found later.
                        run.announced.insert(id.clone(), intent.clone());
                        continue;
                    }
                };
                batch.remove(Table::Intent, announcement_key(id));
                if intent.mapping == run.facts.mapping {
                    let mut link = self.migrate(run, link);
                    let view = local_view(self.vault, self.mapping, &row);
                    let is_landed = run
                        .met
                        .get(id)
                        .is_some_and(|before| has_landed(intent, before, &view));
                    move_to(&mut link, intent, &view, is_landed);
                    // Which time the contact had then is not known here; the next look at it tells.
                    run.dirty_remote.insert(id.clone());
                    batch.put(Table::Inbox, dirty_remote(id), Vec::new());
                    if link.row != view.row {
                        // The row as it was is agreed no more: one that a user sets back to it was edited.
                        link.row = Digest::default();
                        run.dirty_local.insert(view.key.clone());
                        batch.put(Table::Inbox, dirty_local(&view.key), Vec::new());
                    }
                    put_link(&mut batch, &link);
                }
            }
            self.store.commit(batch).await?;
        }
        Ok(())
    }

    /// An announced row without a link. Where its contact has gone meanwhile nothing else would show it: a journal leaves out what we
    /// wrote ourselves. Whatever contact it is linked to instead, its child rows are known by what was announced.
    async fn recover_row_alone(
        &mut self,
        run: &mut Run,
        id: &RemoteId,
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<()> {
        let ids = std::slice::from_ref(id);
        let recorded = self.local.links_by_remote(ids).await?.pop().flatten();
        if let Some(key) = recorded.map(|row| row.key) {
            let keys = std::slice::from_ref(&key);
            let link = Memory::new(self.store).links_by_local(keys).await?.pop();
            if let Some(link) = link.flatten() {
                let mut link = self.migrate(run, link);
                if intent.mapping == run.facts.mapping {
                    claim_parts(&mut link, intent);
                    put_link(batch, &link);
                    run.dirty_remote.insert(link.remote.clone());
                    batch.put(Table::Inbox, dirty_remote(&link.remote), Vec::new());
                }
                batch.remove(Table::Intent, announcement_key(id));
                return Ok(());
            }
            run.dirty_local.insert(key.clone());
            batch.put(Table::Inbox, dirty_local(&key), Vec::new());
            run.announced_rows.insert(key, id.clone());
        }
        run.announced.insert(id.clone(), intent.clone());
        Ok(())
    }

    /// The child rows of a row that is linked to a contact just made, while a killed run had written it for one that is no more.
    pub(crate) fn recall_parts_of_row(&self, run: &Run, link: &mut Link) {
        if let Some(intent) = run
            .announced_rows
            .get(&link.local)
            .and_then(|id| run.announced.get(id))
            .filter(|intent| intent.mapping == run.facts.mapping)
        {
            claim_parts(link, intent);
        }
    }

    /// A pair that is linked anew: what a killed run had written into its row is agreed.
    pub(crate) fn recall(&self, run: &Run, link: &mut Link, local: &LocalView) {
        if let Some(intent) = run.announced.get(&link.remote)
            && intent.mapping == run.facts.mapping
        {
            move_to(link, intent, local, false);
        }
    }

    /// At the end of a run everything that was announced before it is settled or void, but for records that could not be read
    /// or whose turn did not come, and for rows that still have no contact.
    pub(crate) async fn forget_announced(
        &mut self,
        run: &mut Run,
        batch: &mut Batch,
    ) -> Result<()> {
        let memory = Memory::new(self.store);
        let (keys, alone): (Vec<LocalKey>, Vec<RemoteId>) = run.announced_rows.drain().unzip();
        let links = memory.links_by_local(&keys).await?;
        let rows = self.local.fetch(&keys).await?;
        // A row that is only marked has its child rows still, and may be revived.
        let alone: HashSet<RemoteId> = alone
            .into_iter()
            .zip(links.into_iter().zip(rows))
            .filter(|(_, (link, row))| link.is_none() && row.is_some())
            .map(|(id, _)| id)
            .collect();
        let ids: Vec<RemoteId> = run.announced.drain().map(|(id, _)| id).collect();
        let entries = memory.entries(&ids).await?;
        for (id, entry) in ids.iter().zip(entries) {
            let waits = alone.contains(id) || entry.is_some_and(|entry| !entry.done);
            if !waits && !run.quarantine.contains_key(&dirty_remote(id)) {
                batch.remove(Table::Intent, announcement_key(id));
            }
        }
        Ok(())
    }
}

/// Whether a row that is recorded with its contact shows something that it was to be given and did not show before: then it was given
/// all of that. (The record alone may be of a state that was lost.)
fn has_landed(intent: &Intent, before: &[Option<Digest>], local: &LocalView) -> bool {
    let announced = intent.sent.iter().zip(before).zip(&local.digests);
    announced
        .filter_map(|((sent, before), shown)| Some((sent.as_ref()?, before.as_ref()?, shown)))
        .any(|(sent, before, shown)| sent == shown && sent != before)
}

/// Where the row shows what was announced, or is known to have been given it, both sides showed it then; its child rows are claimed.
fn move_to(link: &mut Link, intent: &Intent, local: &LocalView, is_landed: bool) {
    for (field, sent) in intent.sent.iter().enumerate() {
        if let Some(sent) = sent
            && (is_landed || local.digests[field] == *sent)
        {
            link.bases[field] = Some(Base {
                local: *sent,
                remote: *sent,
            });
        }
    }
    claim_parts(link, intent);
}

/// Child rows may have been made of the parts that were announced, and those are the bridge's to take away; what they show is not
/// known, so that the next look settles them.
fn claim_parts(link: &mut Link, intent: &Intent) {
    for (base, parts) in link.children.iter_mut().zip(&intent.parts) {
        let Some(parts) = parts else { continue };
        base.content = Digest::default();
        for part in parts.iter().copied().map(Digest) {
            if !base.keys.contains(&part) {
                base.keys.push(part);
            }
        }
    }
}
