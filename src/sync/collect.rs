//! Reads both sides and keeps what changed: a scan of the remote, the changes of the database.
//!
//! It compares digests and sorts; what a change means is decided by the plan. Nothing is written here, except in a first
//! load, whose pages are applied as they come.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::local::{Local, LocalChanges};
use crate::model::{
    BadRecord, Digest, Error, LocalKey, RemoteId, RemoteItem, RemoteRecord, Result, Stamp, World,
};
use crate::remote::{Found, LookUp, Remote, RemoteScan, ScanStep};
use crate::state::{StateStore, Table};

use super::behind::Age;
use super::memory::{Link, Memory, RANGE, Side, dirty_local, dirty_remote};
use super::plan::{LocalState, RemoteState, remote_unchanged};
use super::report::Guard;
use super::run::Run;
use super::view::{LocalView, RemoteView, identity_digests, identity_of, local_view, remote_view};
use super::{Engine, Halt};

/// Rows of which only key and digest are looked at, in one call.
const HEADS: usize = 2_000;
/// Rows fetched whole in one call.
const FETCH: usize = 500;

/// A pair of which at least one side changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The link, in the shape of the current mapping.
    pub link: Link,
    /// How the contact stands.
    pub remote: RemoteState,
    /// How the row stands; `None`: not looked at yet.
    pub local: Option<LocalState>,
}

/// What was read.
#[derive(Default)]
pub struct Collected {
    /// Pairs by remote id; ordered, so that the plan is.
    pub pairs: BTreeMap<RemoteId, Changed>,
    /// Contacts without a link.
    pub new_remote: BTreeMap<RemoteId, RemoteView>,
    /// Rows without a link.
    pub new_local: BTreeMap<LocalKey, LocalView>,
    /// The rows that stood in links which were moved to another row, by the contact.
    pub moved: HashMap<RemoteId, LocalKey>,
    /// Records that can't be decoded.
    pub bad: Vec<BadRecord>,
    /// Records whose own time is older than what was agreed, and which differ (evidence of a restored backup).
    pub older: u64,
    /// Contacts that were shown as they were before they were last seen.
    pub behind: Vec<RemoteId>,
    /// Live rows that a complete scan of the database saw.
    pub live_rows: Option<u64>,
    /// Contacts counted as unchanged.
    pub unchanged_remote: u64,
    /// Rows counted as unchanged.
    pub unchanged_local: u64,
    /// The first contact that the scan has shown alive, whatever is known of it.
    pub alive: Option<RemoteId>,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn collect(&mut self, run: &mut Run) -> Result<Collected, Halt> {
        let mut collected = Collected::default();
        run.local_position = self.local.position().await?;
        self.collect_local(run, &mut collected).await?;
        let loaded = if run.first_load {
            self.prepare_first_load(run, &mut collected).await?
        } else {
            Vec::new()
        };
        if self.reads_remote(run) {
            self.collect_remote(run, &mut collected).await?;
        }
        // Whose contact has gone since is a new row like any other.
        self.sort_rows(run, loaded, &mut collected).await?;
        self.collect_dirty(run, &mut collected).await?;
        run.pull.unchanged += collected.unchanged_remote;
        run.push.unchanged += collected.unchanged_local;
        Ok(collected)
    }

    /// A first load makes rows of pages as they come. It can't while there are rows that a contact might be matched with; those that a
    /// killed first load left are none, because the database has recorded whose they are; those rows are given back.
    async fn prepare_first_load(
        &mut self,
        run: &mut Run,
        collected: &mut Collected,
    ) -> Result<Vec<LocalKey>> {
        let keys: Vec<LocalKey> = collected.new_local.keys().cloned().collect();
        for part in keys.chunks(FETCH) {
            let recorded = self.local.links_by_key(part).await?;
            if recorded
                .iter()
                .any(|row| row.as_ref().is_none_or(|row| row.remote_id.is_none()))
            {
                run.first_load = false;
                return Ok(Vec::new());
            }
        }
        collected.new_local.clear();
        let memory = Memory::new(self.store);
        let mut after = None;
        loop {
            let links = memory.links_after(after.as_ref(), RANGE).await?;
            let Some(last) = links.last() else {
                return Ok(keys);
            };
            after = Some(last.remote.clone());
            run.began_with_links = true;
            for external in links.iter().filter_map(|link| link.external) {
                run.externals.insert(external);
            }
        }
    }

    /// A bridge that only pushes reads the remote in a full read alone.
    fn reads_remote(&self, run: &Run) -> bool {
        run.full || run.since.is_some() || self.rules.direction.pulls()
    }

    /// A contact as it shows itself through the mapping.
    pub(crate) fn view(&self, run: &Run, record: &RemoteRecord) -> RemoteView {
        let (external, email) = identity_in(run, record);
        remote_view(self.vault, self.mapping, record, external, email)
    }

    /// Only what a contact is found by, where the rest of it may not matter.
    pub(crate) fn found_by(
        &self,
        run: &Run,
        record: &RemoteRecord,
    ) -> (Option<Digest>, Option<Digest>) {
        let (external, email) = identity_in(run, record);
        identity_digests(self.vault, external, email)
    }

    async fn collect_remote(
        &mut self,
        run: &mut Run,
        collected: &mut Collected,
    ) -> Result<(), Halt> {
        let since = if run.full { None } else { self.scan_since(run) };
        let mut scan = self.remote.scan(since).await?;
        let mut read = 0;
        loop {
            self.check_signal()?;
            match scan.next().await? {
                ScanStep::Records(items) => {
                    if read == 0 {
                        self.check_clock(run)?;
                    }
                    read += items.len() as u64;
                    self.watch.progress("reading the remote", read, None);
                    if run.first_load {
                        self.load_page(run, items, collected).await?;
                    } else {
                        self.sort_page(run, items, collected).await?;
                    }
                }
                ScanStep::Restarted => {
                    read = 0;
                    run.seen.clear();
                    run.began_with_links = true;
                    self.flush_load(run).await?;
                    collected.new_remote.clear();
                    for (id, changed) in &collected.pairs {
                        // A replica that lags may show them older the next time.
                        if let RemoteState::Seen(view) = &changed.remote {
                            run.saw(id, view.stamp);
                        }
                    }
                    if !run.first_load {
                        collected.pairs.retain(|_, changed| changed.local.is_some());
                        for changed in collected.pairs.values_mut() {
                            changed.remote = RemoteState::Unchanged;
                        }
                        collected.bad.clear();
                        collected.behind.clear();
                        collected.alive = None;
                        (collected.older, collected.unchanged_remote) = (0, 0);
                    }
                }
                ScanStep::End(end) => {
                    self.flush_load(run).await?;
                    run.known_until = end.server_time;
                    run.scan_end = Some(end);
                    return Ok(());
                }
            }
        }
    }

    /// Where an incremental scan begins: the watermark less the overlap, or what was asked for once.
    fn scan_since(&self, run: &Run) -> Option<Stamp> {
        if run.since.is_some() {
            return run.since;
        }
        let watermark = Stamp(run.facts.watermark?);
        let overlap =
            chrono::Duration::from_std(self.rules.overlap).unwrap_or(chrono::Duration::minutes(10));
        // Through UTC, so that the overlap is as long as it says across a change of the clocks (hazard H-08).
        Some(self.remote.stamp(self.remote.instant(watermark) - overlap))
    }

    /// H-06: the two clocks are only compared to find that one of them is wrong.
    fn check_clock(&self, run: &Run) -> Result<()> {
        let Some(difference) = self.remote.clock_difference() else {
            return Ok(());
        };
        let size = difference.abs().to_std().unwrap_or_default();
        if size >= self.rules.clock_refuse && !run.full {
            let message = format!(
                "The service's clock and this machine's differ by {} minutes; fix the clock",
                difference.num_minutes().abs()
            );
            return Err(Error::needs_person("E-CLOCK", message));
        }
        if size >= self.rules.clock_warn {
            tracing::warn!(
                bridge = self.bridge,
                minutes = difference.num_minutes(),
                "the service's clock and this machine's differ"
            );
        }
        Ok(())
    }

    pub(crate) async fn sort_page(
        &mut self,
        run: &mut Run,
        items: Vec<RemoteItem>,
        collected: &mut Collected,
    ) -> Result<()> {
        let (records, bad) = split(items);
        collected.bad.extend(bad);
        let ids: Vec<RemoteId> = records.iter().map(|record| record.id.clone()).collect();
        let memory = Memory::new(self.store);
        let links = memory.links(&ids).await?;
        let unlinked: Vec<RemoteId> = ids
            .iter()
            .zip(&links)
            .filter(|(_, link)| link.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        let tombs: HashMap<RemoteId, _> = unlinked
            .iter()
            .cloned()
            .zip(memory.tombs(&unlinked).await?)
            .collect();
        for (record, link) in records.iter().zip(links) {
            if run.full {
                run.seen.insert(&record.id);
            }
            let view = self.view(run, record);
            if !view.deleted && collected.alive.is_none() {
                collected.alive = Some(view.id.clone());
            }
            match link {
                Some(link) => {
                    let link = self.migrate(run, link);
                    self.sort_linked(run, link, view, collected);
                }
                None if view.deleted => {
                    collected.unchanged_remote += 1;
                    self.release_gone(run, &dirty_remote(&record.id));
                }
                None if !run.current
                    && tombs
                        .get(&record.id)
                        .and_then(Option::as_ref)
                        .is_some_and(|tomb| {
                            tomb.covers(
                                self.fields_mark(view.digests.iter().map(|digest| digest.0)),
                                view.stamp,
                            ) || self.is_just_buried(tomb, view.stamp)
                        }) =>
                {
                    collected.unchanged_remote += 1;
                }
                None => {
                    collected.new_remote.insert(view.id.clone(), view);
                }
            }
        }
        Ok(())
    }

    /// Sorts a contact that has a link: unchanged, changed, or dead.
    pub(crate) fn sort_linked(
        &self,
        run: &Run,
        link: Link,
        view: RemoteView,
        collected: &mut Collected,
    ) {
        let changed_locally = collected.pairs.contains_key(&view.id);
        let is_same = remote_unchanged(&link, &view);
        let unchanged = !view.deleted
            && is_same
            // Who was taken for dead and is there withdraws what was asked, or left alone, about that.
            && !run.is_dead(&link)
            // A full read replaces what the row shows of fields that only pull, also what is first seen now.
            && !(run.full && (link.drifted || changed_locally))
            && run.rewound.is_none()
            && !run.dirty_remote.contains(&view.id);
        let age = if unchanged {
            Age::Current
        } else {
            self.age(run, view.stamp, run.known(&link))
        };
        // Whom a person was asked about for that reason is news no more, unless the backup is accepted after all.
        let is_news = age == Age::WentBack
            && (run.accept.contains(&Guard::Rewound) || !self.is_doubted(run, &link));
        collected.older += u64::from(is_news);
        // What a replica shows that lags behind is no news; the next run looks again.
        let is_missed = run.missed.contains(&view.id);
        let is_behind = (age == Age::Behind || is_missed) && !view.deleted && !is_same;
        if is_behind {
            collected.behind.push(view.id.clone());
        }
        let unchanged = unchanged || is_behind;
        if unchanged && !changed_locally {
            collected.unchanged_remote += 1;
            return;
        }
        if unchanged {
            collected.unchanged_remote += 1;
        }
        let id = view.id.clone();
        let state = if view.deleted {
            RemoteState::Dead
        } else if unchanged {
            RemoteState::Unchanged
        } else {
            RemoteState::Seen(view)
        };
        collected
            .pairs
            .entry(id)
            .or_insert(Changed {
                link,
                remote: RemoteState::Unchanged,
                local: None,
            })
            .remote = state;
    }

    async fn collect_local(&mut self, run: &mut Run, collected: &mut Collected) -> Result<()> {
        if !self.local.exists().await? {
            return Ok(());
        }
        let complete = run.full || run.relink || run.facts.last_full.is_none();
        let position = if complete {
            None
        } else {
            run.facts.local_position.clone()
        };
        match self.local.changes(position.as_deref()).await? {
            LocalChanges::Keys {
                keys,
                position,
                deletions_included: true,
            } if !complete => {
                run.local_position = Some(position);
                self.sort_rows(
                    run,
                    keys.into_iter().map(|(key, _)| key).collect(),
                    collected,
                )
                .await
            }
            LocalChanges::ScanNeeded | LocalChanges::Keys { .. } => {
                self.scan_rows(run, collected).await
            }
        }
    }

    /// Compares all rows with the index; only what differs is read whole.
    async fn scan_rows(&mut self, run: &mut Run, collected: &mut Collected) -> Result<()> {
        let mut dirty = run.rows_asked_about();
        dirty.extend(run.dirty_local.iter().map(LocalKey::to_bytes));
        let compared = self.compare_rows(run, &dirty, false).await?;
        collected.live_rows = Some(compared.live);
        collected.unchanged_local += compared.unchanged;
        for part in compared.differing.chunks(FETCH) {
            self.sort_rows(run, part.to_vec(), collected).await?;
        }
        for part in compared.gone.chunks(FETCH) {
            self.sort_rows(run, part.to_vec(), collected).await?;
        }
        Ok(())
    }

    /// Compares keys and digests of all rows with the index, both in the order of keys. Those in `dirty` count as differing, and with
    /// `all` every living row does.
    pub(crate) async fn compare_rows(
        &mut self,
        run: &Run,
        dirty: &HashSet<Vec<u8>>,
        all: bool,
    ) -> Result<Compared> {
        let memory = Memory::new(self.store);
        let mut known = std::collections::VecDeque::new();
        let mut known_until: Option<Vec<u8>> = None;
        let mut known_ended = false;
        let mut after = None;
        let mut compared = Compared::default();
        let key_of = |key: &[u8]| LocalKey::from_bytes(key).ok_or_else(super::memory::corrupt);
        loop {
            let mut heads = Vec::with_capacity(HEADS);
            let chunk = self
                .local
                .scan(after.as_ref(), HEADS, &mut |key, digest, marked| {
                    heads.push((key.to_bytes(), digest, marked));
                    false
                })
                .await?;
            self.check_signal()?;
            let last_chunk = chunk.next.is_none();
            let reach = heads.last().map(|(key, _, _)| key.clone());
            while !known_ended
                && (last_chunk
                    || reach.as_ref().is_some_and(|reach| {
                        known_until.as_ref().is_none_or(|until| until < reach)
                    }))
            {
                let more = memory.rows_after(known_until.as_deref(), RANGE).await?;
                known_ended = more.len() < RANGE;
                known_until = more.last().map(|(key, _, _)| key.clone()).or(known_until);
                known.extend(more);
            }
            for (key, digest, marked) in heads {
                while known.front().is_some_and(|(known, _, _)| *known < key) {
                    if let Some((gone, _, _)) = known.pop_front() {
                        compared.gone.push(key_of(&gone)?);
                    }
                }
                let linked = known.front().is_some_and(|(known, _, _)| *known == key);
                let agreed = if linked {
                    known.pop_front().map(|(_, digest, _)| digest)
                } else {
                    None
                };
                compared.live += u64::from(!marked);
                let wanted = (all && !marked) || (!dirty.is_empty() && dirty.contains(&key));
                if agreed == Some(digest) && !marked && !wanted {
                    compared.unchanged += 1;
                } else if linked || !marked {
                    compared.differing.push(key_of(&key)?);
                }
            }
            self.watch
                .progress("reading the database", compared.live, Some(run.live_local));
            after = chunk.next;
            if after.is_none() {
                for (gone, _, _) in known.drain(..) {
                    compared.gone.push(key_of(&gone)?);
                }
                return Ok(compared);
            }
        }
    }

    /// Looks at rows one by one: linked or new, there or gone, as agreed or not.
    pub(crate) async fn sort_rows(
        &mut self,
        run: &mut Run,
        keys: Vec<LocalKey>,
        collected: &mut Collected,
    ) -> Result<()> {
        for part in keys.chunks(FETCH) {
            let rows = self.local.fetch(part).await?;
            let links = Memory::new(self.store).links_by_local(part).await?;
            for ((key, row), link) in part.iter().zip(rows).zip(links) {
                let dirty = run.dirty_local.contains(key);
                match (row.filter(|row| !row.marked), link) {
                    (Some(row), Some(link))
                        if row.digest == link.row
                            && !dirty
                            && link.gone != Some(Side::Local)
                            && !run.is_asked_about(&link.remote, Side::Local) =>
                    {
                        collected.unchanged_local += 1
                    }
                    (Some(row), Some(link)) => {
                        let view = local_view(self.vault, self.mapping, &row);
                        self.note_local(run, link, LocalState::Row(view), collected);
                    }
                    (Some(row), None) => {
                        collected
                            .new_local
                            .insert(key.clone(), local_view(self.vault, self.mapping, &row));
                    }
                    (None, Some(link)) => self.note_local(run, link, LocalState::Gone, collected),
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }

    fn note_local(&self, run: &Run, link: Link, state: LocalState, collected: &mut Collected) {
        let link = self.migrate(run, link);
        let id = link.remote.clone();
        collected
            .pairs
            .entry(id)
            .or_insert(Changed {
                link,
                remote: RemoteState::Unchanged,
                local: None,
            })
            .local = Some(state);
    }

    /// What an earlier run left to be looked at again.
    async fn collect_dirty(&mut self, run: &mut Run, collected: &mut Collected) -> Result<()> {
        let mut ids: Vec<RemoteId> = run.dirty_remote.iter().cloned().collect();
        ids.sort();
        for id in ids {
            let seen = collected
                .pairs
                .get(&id)
                .is_some_and(|changed| changed.remote != RemoteState::Unchanged)
                || collected.new_remote.contains_key(&id);
            if seen {
                continue;
            }
            match self.remote.look_up(&LookUp::Id(id.clone())).await? {
                Found::Item(item) => match *item {
                    RemoteItem::Record(record) => {
                        self.sort_page(run, vec![RemoteItem::Record(record)], collected)
                            .await?
                    }
                    RemoteItem::Bad(bad) => {
                        // Why it was to be looked at may stand nowhere else.
                        let mark = run.mark();
                        run.held_batch.put(Table::Inbox, dirty_remote(&id), mark);
                        collected.bad.push(bad);
                    }
                },
                // "Not found" alone proves nothing: the full read will tell.
                Found::Nothing => {
                    run.missed.insert(id.clone());
                    if let Some(link) = Memory::new(self.store)
                        .links(std::slice::from_ref(&id))
                        .await?
                        .pop()
                        .flatten()
                    {
                        let link = self.migrate(run, link);
                        collected.pairs.entry(id).or_insert(Changed {
                            link,
                            remote: RemoteState::Unchanged,
                            local: None,
                        });
                    }
                }
            }
        }
        if collected.live_rows.is_none() {
            let mut keys: Vec<LocalKey> = run.dirty_local.iter().cloned().collect();
            keys.sort();
            self.sort_rows(run, keys, collected).await?;
        }
        self.release_gone_rows(run, collected).await?;
        self.look_at_unagreed(run, collected).await?;
        self.fetch_rows_of_pairs(collected).await
    }

    /// A newcomer that is gone waits for nobody any more; a row that waited because of it is looked at anew.
    pub(crate) fn release_gone(&self, run: &mut Run, key: &[u8]) {
        if !run.dry {
            let reviewed = run.reviews.get(key).and_then(|review| review.local.clone());
            let held = run
                .quarantine
                .get(key)
                .and_then(|record| record.local.clone());
            for row in reviewed.into_iter().chain(held) {
                let mark = run.mark();
                run.held_batch.put(Table::Inbox, dirty_local(&row), mark);
                run.dirty_local.insert(row);
            }
            let mut batch = std::mem::take(&mut run.held_batch);
            self.release(run, key, &mut batch);
            let contact = key.strip_prefix(b"r").map(String::from_utf8_lossy);
            let contact = contact.map(|id| RemoteId(id.into_owned()));
            let row = key.strip_prefix(b"l").and_then(LocalKey::from_bytes);
            self.wake(run, contact.as_ref(), row.as_ref(), &mut batch);
            run.held_batch = batch;
        }
    }

    /// New rows that waited and have been deleted since; no feed tells of a row that was never linked.
    async fn release_gone_rows(&mut self, run: &mut Run, collected: &Collected) -> Result<()> {
        let mut keys: Vec<LocalKey> = run
            .reviews
            .keys()
            .chain(run.quarantine.keys())
            .filter_map(|key| key.strip_prefix(b"l").and_then(LocalKey::from_bytes))
            .filter(|key| !collected.new_local.contains_key(key))
            .collect();
        keys.sort();
        keys.dedup();
        for part in keys.chunks(FETCH) {
            for (key, row) in part.iter().zip(self.local.fetch(part).await?) {
                if row.is_none_or(|row| row.marked) {
                    self.release_gone(run, &dirty_local(key));
                }
            }
        }
        Ok(())
    }

    /// Where the two never agreed on a field, and where a person is asked which values came with a backup, "as the base has it" says
    /// nothing about the contact: it is looked at. (As long as the row of such a contact stays as it is, nothing is to be decided.)
    async fn look_at_unagreed(&mut self, run: &Run, collected: &mut Collected) -> Result<()> {
        let unagreed: Vec<RemoteId> = collected
            .pairs
            .iter()
            .filter(|(_, changed)| {
                changed.remote == RemoteState::Unchanged
                    && changed.link.gone.is_none()
                    && match changed.local {
                        Some(LocalState::Row(_)) => {
                            changed.link.bases.contains(&None)
                                || (self.is_doubted(run, &changed.link)
                                    && run.is_asked_about(&changed.link.remote, Side::Local))
                        }
                        Some(LocalState::Gone) => self.is_doubted(run, &changed.link),
                        None => false,
                    }
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in unagreed {
            let Found::Item(item) = self.remote.look_up(&LookUp::Id(id.clone())).await? else {
                continue;
            };
            let record = match *item {
                RemoteItem::Record(record) => record,
                RemoteItem::Bad(bad) => {
                    collected.bad.push(bad);
                    continue;
                }
            };
            let Some(changed) = collected.pairs.get_mut(&id).filter(|_| !record.deleted) else {
                continue;
            };
            if self.age(run, record.stamp, run.known(&changed.link)) == Age::Behind {
                collected.behind.push(id);
            } else {
                changed.remote = RemoteState::Seen(self.view(run, &record));
            }
        }
        Ok(())
    }

    /// Every pair that is planned is planned on the row as it stands now.
    pub(crate) async fn fetch_rows_of_pairs(&mut self, collected: &mut Collected) -> Result<()> {
        let missing: Vec<(RemoteId, LocalKey)> = collected
            .pairs
            .iter()
            .filter(|(_, changed)| changed.local.is_none())
            .map(|(id, changed)| (id.clone(), changed.link.local.clone()))
            .collect();
        for part in missing.chunks(FETCH) {
            let keys: Vec<LocalKey> = part.iter().map(|(_, key)| key.clone()).collect();
            for ((id, _), row) in part.iter().zip(self.local.fetch(&keys).await?) {
                let state = match row.filter(|row| !row.marked) {
                    Some(row) => LocalState::Row(local_view(self.vault, self.mapping, &row)),
                    None => LocalState::Gone,
                };
                if let Some(changed) = collected.pairs.get_mut(id) {
                    changed.local = Some(state);
                }
            }
        }
        Ok(())
    }
}

/// All rows against the index.
#[derive(Default)]
pub(crate) struct Compared {
    /// Rows that are not as the index has them, or not in it.
    pub(crate) differing: Vec<LocalKey>,
    /// Keys in the index without a row.
    pub(crate) gone: Vec<LocalKey>,
    /// Rows as the index has them.
    pub(crate) unchanged: u64,
    /// Rows that are not marked as deleted.
    pub(crate) live: u64,
}

fn identity_in<'r>(run: &Run, record: &'r RemoteRecord) -> (Option<&'r str>, Option<&'r str>) {
    let identity = &run.identity;
    identity_of(
        identity.external,
        identity.email.map(|name| (name, identity.mirror.as_ref())),
        &record.document,
    )
}

/// Parts records from what can't be decoded; of a record that a page shows twice the newest counts.
pub(crate) fn split(items: Vec<RemoteItem>) -> (Vec<RemoteRecord>, Vec<BadRecord>) {
    let (mut records, mut bad): (Vec<RemoteRecord>, Vec<BadRecord>) =
        (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        match item {
            RemoteItem::Record(record) => records.push(record),
            RemoteItem::Bad(record) => bad.push(record),
        }
    }
    (records, bad)
}
