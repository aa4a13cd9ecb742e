//! The embedded store: sled 0.34.7, used only in the way that survived the power cuts ("barrierx").
//!
//! What that takes, and why, stands in docs/adr/0006-sled-behind-a-barrier.md. In short: sled fsyncs before it calls
//! anything stable ([`super::barrier`]); half-made snapshots go before an open; a [`Marker`] tells a store that lost
//! something from one that is new; values are split at 4 KB, so that no page is large enough to be put into a file of
//! its own; every commit is a flush and an fdatasync more; and any error of sled ends its use until the next open.
//!
//! All tables are one sled tree whose keys begin with the table's number, because one tree's batches are atomic.
//! Commits are applied where they are made and are made durable on one thread, several at a time where they wait.
//! The module must not interpret values, and never makes a new store in the place of a damaged one.

mod fault;
mod keeper;
mod opening;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use self::fault::Shared;
use self::keeper::{Keeper, Waiting};
use super::envelope::{self, Stored};
use super::fault::damaged_value;
use super::marker::Marker;
use super::{Batch, Durable, StateStore, Table, barrier, files};
use crate::model::{Error, Result};

/// Sixteen items of this size share a page, and a page above 128 KB would go into a file that sled never syncs.
const PART: usize = 4096;

/// In bytes of the log; in memory the same pages take some four times as much. Of a million links most is read from the system's
/// cache with this, at nine tenths of the speed of 128 MB.
pub(super) const DEFAULT_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Writes for each look at the garbage of the epochs: one look frees some 500 pieces, and a write leaves up to two.
const WRITES_A_LOOK: usize = 250;

/// Commits that may wait for the disk before [`StateStore::commit`] waits too: each is applied already, so this bounds
/// what a kill loses of work, not memory.
const WAITING_MAX: usize = 1024;

/// The store's own key, before all tables: the number of the last commit.
const SEQUENCE: &[u8] = b"\0sequence";

/// Parts of values stand under the table's number plus this, key length, key, number of the part.
const PARTS: u8 = 0x80;

/// One bridge's state in sled.
pub struct SledStore {
    db: ::sled::Db,
    writer: Mutex<Writer>,
    shared: Arc<Shared>,
    /// Per table, whether any value may be in parts; where none is, a write need not look at what it replaces.
    parted: [AtomicBool; Table::ALL.len() + 1],
    thread: Option<JoinHandle<()>>,
}

struct Writer {
    sequence: u64,
    queue: Option<SyncSender<Waiting>>,
}

impl SledStore {
    /// Opens the store in `directory`, which exists and is locked by the caller. The second value says whether it is
    /// new; then it holds `initial`, durably.
    ///
    /// `E-STATE-CORRUPT` and `E-STATE-OLD` (exit 7) for a store that lost something, `E-DISK` for a full or forbidden disk.
    pub fn open(directory: &Path, cache_bytes: u64, initial: Batch) -> Result<(Self, bool)> {
        let data = directory.join("db");
        let marker_path = directory.join("marker");
        let known = Marker::open(&marker_path)?;
        opening::prepare(directory, &data, known.is_some())?;

        let db = opening::open_engine(directory, &data, cache_bytes)?;
        let shared = Arc::new(Shared::new(directory));
        let sequence = match &known {
            Some(marker) => marker.accept(opening::found_sequence(&shared, &db)?, directory)?,
            None => 0,
        };
        let mut store = Self {
            parted: find_parted(&shared, &db)?,
            writer: Mutex::new(Writer {
                sequence,
                queue: None,
            }),
            db,
            shared,
            thread: None,
        };

        // Each open writes a commit of its own: that shows that sled goes through the barrier before anything
        // depends on it, and that the disk takes writes.
        let created = known.is_none();
        let sequence = store.apply(if created { initial } else { Batch::new() })?;
        let calls = barrier::calls();
        store.shared.ask(|| store.db.flush())?;
        if calls.is_some() && barrier::calls() == calls {
            return Err(Error::unexpected(
                "E-STATE-BARRIER",
                "This build of contactbridge can't make sled durable (the barrier was not linked in). Use state: sqlite:DIRECTORY, or a build of the project's own",
            ));
        }
        opening::sync_everything(directory, &data)?;
        let marker = match known {
            Some(mut marker) => {
                marker
                    .advance(sequence)
                    .map_err(|cause| files::failed("write", &marker_path, cause))?;
                marker
            }
            None => {
                let marker = Marker::create(&marker_path, sequence)?;
                opening::end_creation(directory)?;
                marker
            }
        };
        store.start(&data, marker)?;
        Ok((store, created))
    }

    fn start(&mut self, data: &Path, marker: Marker) -> Result<()> {
        let log = File::open(data.join("db"))
            .map_err(|cause| files::failed("open", &data.join("db"), cause))?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let keeper = Keeper {
            db: self.db.clone(),
            log,
            blobs: data.join("blobs"),
            synced_blobs: HashSet::new(),
            marker,
            shared: Arc::clone(&self.shared),
        };
        let thread = std::thread::Builder::new()
            .name("state-durable".to_owned())
            .spawn(move || keeper.run(&receiver))
            .map_err(|cause| files::failed("start the thread of", data, cause))?;
        self.writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .queue = Some(sender);
        self.thread = Some(thread);
        Ok(())
    }

    /// Waits until everything that was committed is durable, and ends the store.
    pub fn close(mut self) -> Result<()> {
        self.finish();
        self.shared.fault.check()
    }

    fn finish(&mut self) {
        self.writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has failed the store already, or cost its waiters their answers.
            let _ = thread.join();
        }
    }

    /// Applies a batch and answers its number. It is visible then, and not yet durable.
    fn apply(&self, batch: Batch) -> Result<u64> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.apply_as(&mut writer, batch)
    }

    fn apply_as(&self, writer: &mut Writer, batch: Batch) -> Result<u64> {
        self.shared.fault.check()?;
        let sequence = writer.sequence + 1;
        let writes = batch.writes.len();
        let mut changes = ::sled::Batch::default();
        changes.insert(
            SEQUENCE,
            envelope::whole(0, SEQUENCE, &sequence.to_le_bytes()),
        );
        let simple = batch.writes.iter().all(|(table, _, value)| {
            !self.has_parts(*table) && value.as_ref().is_none_or(|value| value.len() <= PART)
        });
        if simple {
            for (table, key, value) in batch.writes {
                put(&mut changes, table, &key, value.as_deref());
            }
        } else {
            // Parts of a value that a later write of the same batch replaces must not stay behind.
            let mut last = HashMap::new();
            for (table, key, value) in batch.writes {
                last.insert((table, key), value);
            }
            for ((table, key), value) in last {
                self.put_with_parts(&mut changes, table, &key, value.as_deref())?;
            }
        }
        // This is where StateStore::commit ends.
        #[allow(clippy::disallowed_methods)]
        self.shared.ask(|| self.db.apply_batch(changes))?;
        free_replaced(writes);
        writer.sequence = sequence;
        Ok(sequence)
    }

    fn has_parts(&self, table: Table) -> bool {
        self.parted[table as usize].load(Ordering::Acquire)
    }

    fn put_with_parts(
        &self,
        changes: &mut ::sled::Batch,
        table: Table,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<()> {
        if self.has_parts(table) {
            for part in self.part_keys(table, key)? {
                changes.remove(part);
            }
        }
        match value {
            Some(value) if value.len() > PART => {
                self.parted[table as usize].store(true, Ordering::Release);
                for (number, part) in value.chunks(PART).enumerate() {
                    changes.insert(part_key(table, key, number as u32), part);
                }
                changes.insert(place(table, key), envelope::parted(table as u8, key, value));
            }
            _ => put(changes, table, key, value),
        }
        Ok(())
    }

    fn part_keys(&self, table: Table, key: &[u8]) -> Result<Vec<::sled::IVec>> {
        let prefix = part_prefix(table, key);
        self.shared
            .ask(|| self.db.scan_prefix(prefix).keys().collect())
    }

    /// The value that `stored` is, its parts put together.
    fn value(&self, table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
        let damaged = || damaged_value(&self.shared.directory, table as u8);
        match envelope::open(table as u8, key, stored) {
            Ok(Stored::Whole(value)) => Ok(value.to_vec()),
            Ok(Stored::Parted(_)) => {
                let prefix = part_prefix(table, key);
                let mut value = Vec::new();
                self.shared.ask(|| {
                    for part in self.db.scan_prefix(prefix).values() {
                        value.extend_from_slice(&part?);
                    }
                    Ok(())
                })?;
                if envelope::parts_fit(table as u8, key, stored, &value) {
                    Ok(value)
                } else {
                    Err(damaged())
                }
            }
            Err(_) => Err(damaged()),
        }
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.shared
            .ask(|| self.db.get(place(table, key)))?
            .map(|stored| self.value(table, key, &stored))
            .transpose()
    }
}

/// Frees what a batch has replaced. sled leaves old pages to the epochs of its threads, which free some when a thread enters one;
/// a batch is a single entry however large it is, so that batches of a thousand links left more garbage than was ever freed:
/// 2.2 GB in a first load of a million.
fn free_replaced(writes: usize) {
    // Nothing is freed before the epoch has moved on twice.
    for _ in 0..2 + writes / WRITES_A_LOOK {
        crossbeam_epoch::pin().flush();
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.finish();
    }
}

impl StateStore for SledStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(table, key)
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.read(table, key)).collect()
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = match after {
            Some(after) => Bound::Excluded(place(table, after)),
            None => Bound::Included(vec![table as u8]),
        };
        let end = Bound::Excluded(vec![table as u8 + 1]);
        let mut found = Vec::new();
        let pairs = self.shared.ask(|| {
            self.db
                .range::<Vec<u8>, _>((start, end))
                .take(limit)
                .collect::<::sled::Result<Vec<_>>>()
        })?;
        found.reserve(pairs.len());
        for (key, stored) in pairs {
            let key = &key[1..];
            found.push((key.to_vec(), self.value(table, key, &stored)?));
        }
        Ok(found)
    }

    fn commit(&self, batch: Batch) -> Durable {
        // The lock is held until the batch is in the queue: batches become durable in the order of their numbers.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = match self.apply_as(&mut writer, batch) {
            Ok(sequence) => sequence,
            Err(error) => return Durable::Ready(Some(Err(error))),
        };
        let (answer, receiver) = oneshot::channel();
        let sent = writer
            .queue
            .as_ref()
            .is_some_and(|queue| queue.send(Waiting { sequence, answer }).is_ok());
        if sent {
            Durable::Later(receiver)
        } else {
            let error = self.shared.fault.note(Error::needs_person(
                "E-STATE-COMMIT",
                "The thread that makes commits durable has ended. Run again: what was not durable is done again",
            ));
            Durable::Ready(Some(Err(error)))
        }
    }
}

fn place(table: Table, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(key.len() + 1);
    place.push(table as u8);
    place.extend_from_slice(key);
    place
}

fn part_prefix(table: Table, key: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(key.len() + 9);
    prefix.push(PARTS + table as u8);
    prefix.extend_from_slice(&(key.len() as u32).to_be_bytes());
    prefix.extend_from_slice(key);
    prefix
}

fn part_key(table: Table, key: &[u8], number: u32) -> Vec<u8> {
    let mut part = part_prefix(table, key);
    part.extend_from_slice(&number.to_be_bytes());
    part
}

fn put(changes: &mut ::sled::Batch, table: Table, key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => {
            changes.insert(place(table, key), envelope::whole(table as u8, key, value));
        }
        None => changes.remove(place(table, key)),
    }
}

fn find_parted(shared: &Shared, db: &::sled::Db) -> Result<[AtomicBool; Table::ALL.len() + 1]> {
    let found: [AtomicBool; Table::ALL.len() + 1] = Default::default();
    for table in Table::ALL {
        let first = shared.ask(|| db.scan_prefix([PARTS + table as u8]).next().transpose())?;
        found[table as usize].store(first.is_some(), Ordering::Release);
    }
    Ok(found)
}
