//! Messages that were taken over and are not applied yet: kept as they arrived, then sorted by whose they are.
//!
//! Keeping is all that happens before a sender gets its 200 (hazards H-55, H-57); it looks at nothing. Sorting belongs to a run: it
//! passes over the sample, repetitions and (where asked for) what comes too late, puts what can't be understood into
//! quarantine, and files the rest under its record, in the order of arrival. Source: `orce.md` §3, §4, §7.
//!
//! Keys of the inbox, all before those of the journal: `b` what can't be understood, `c` the number of the newest arrival,
//! `d` digests of what was sorted, `e` the same in the order of arrival, `f` the newest uniqueId of each record, `g` messages of
//! records that wait for a person, `h` arrivals, `i` sorted messages.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::local::Local;
use crate::model::{BadRecord, RemoteId, Result, Vault, World};
use crate::remote::Remote;
use crate::remote::data_sync::{Meaning, Message, Object};
use crate::state::{Batch, Durable, StateStore, Table};

use super::super::Engine;
use super::super::memory::corrupt;
use super::super::run::Run;
use super::MessageRules;
use super::pages::{count, page};

/// The newest arrival's number.
const COUNTER: &[u8] = b"c";
const BAD: u8 = b'b';
const DIGEST: u8 = b'd';
const DIGEST_ORDER: u8 = b'e';
pub(super) const WAITING: u8 = b'g';
const ARRIVED: u8 = b'h';
pub(super) const SORTED: u8 = b'i';
const NEWEST: u8 = b'f';

/// A message may have 10 MB, so that few are read at a time.
pub(super) const READ: usize = 16;
/// Messages in one commit of sorting: each takes up to six writes.
const GROUP: usize = 150;
/// Bytes in one commit of sorting.
const GROUP_BYTES: usize = 4 << 20;

/// So many messages are known again when they are repeated. A sender repeats what it got no answer for, at once or at the
/// beginning of its next job; that many lie between the two only where it sent them to somebody else.
const DEFAULT_REMEMBERED: u64 = 100_000;

/// Takes messages into the inbox of a store, beside whatever run is under way. There must be one for each open store.
pub struct Keeper {
    newest: Mutex<u64>,
}

impl Keeper {
    /// Finds out where the inbox ends.
    pub async fn open<S: StateStore>(store: &S) -> Result<Self> {
        let newest = match store.get(Table::Inbox, COUNTER).await? {
            Some(bytes) => number(&bytes)?,
            None => 0,
        };
        Ok(Self {
            newest: Mutex::new(newest),
        })
    }

    /// Puts messages behind those that are there; they may be answered with 200 once the commit is durable.
    pub fn keep<S: StateStore, W: World>(
        &self,
        store: &S,
        vault: &Vault,
        world: &W,
        messages: &[Message],
    ) -> Durable {
        let mut batch = Batch::new();
        // Held until the commit is under way: commits stand in the order of their numbers.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            *newest += 1;
            let at = *newest;
            let mut nonce = [0; 24];
            world.random(&mut nonce);
            let sealed = vault.seal(nonce, &context(at), &message.to_bytes());
            batch.put(Table::Inbox, numbered(ARRIVED, at), sealed);
        }
        batch.put(Table::Inbox, COUNTER, newest.to_be_bytes());
        store.commit(batch)
    }
}

/// How many messages wait in the inbox of one object, those that were not sorted yet with the first.
pub async fn waiting<S: StateStore>(store: &S) -> Result<u64> {
    let arrived = count(store, Table::Inbox, &[ARRIVED], READ).await?;
    Ok(arrived + count(store, Table::Inbox, &[SORTED], READ).await?)
}

/// Whether a key of the inbox belongs to messages, whose only copy it may be.
pub(crate) fn is_message(key: &[u8]) -> bool {
    key.first()
        .is_some_and(|prefix| (BAD..=SORTED).contains(prefix))
}

/// What a message was sealed under: its number, which it keeps wherever it lies.
pub(super) fn context(at: u64) -> Vec<u8> {
    [&b"message"[..], &at.to_be_bytes()].concat()
}

pub(super) fn number(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes.try_into().map_err(|_| corrupt())?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn numbered(prefix: u8, at: u64) -> Vec<u8> {
    [&[prefix][..], &at.to_be_bytes()].concat()
}

/// The beginning of the keys of one record's messages; an id holds no control character.
pub(super) fn of_record(prefix: u8, id: &RemoteId) -> Vec<u8> {
    [&[prefix][..], id.0.as_bytes(), &[0]].concat()
}

/// Whose message stands under a key, and its number.
pub(super) fn parse_key(key: &[u8]) -> Result<(RemoteId, u64)> {
    let end = key.len().checked_sub(8).ok_or_else(corrupt)?;
    let (name, at) = key.split_at(end);
    let id = name.get(1..end.saturating_sub(1)).ok_or_else(corrupt)?;
    let id = std::str::from_utf8(id).map_err(|_| corrupt())?;
    Ok((RemoteId(id.to_owned()), number(at)?))
}

pub(super) fn unseal(vault: &Vault, at: u64, sealed: &[u8]) -> Result<Message> {
    Message::from_bytes(&vault.open(&context(at), sealed)?).ok_or_else(corrupt)
}

/// A sorted message: whether it deletes, then the sealed bytes.
pub(super) fn split(value: &[u8]) -> Result<(bool, &[u8])> {
    let (deletes, sealed) = value.split_first().ok_or_else(corrupt)?;
    Ok((*deletes == 1, sealed))
}

/// What sorting has gathered and not committed yet.
#[derive(Default)]
struct Sorting {
    batch: Batch,
    messages: usize,
    bytes: usize,
    seen: HashSet<Vec<u8>>,
    newest: HashMap<(Object, RemoteId), u128>,
    told: Told,
}

/// What was passed over, for the log.
#[derive(Default)]
struct Told {
    sorted: u64,
    samples: u64,
    repeated: u64,
    late: u64,
    unmapped: u64,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Sorts everything that has arrived. What arrives meanwhile is for the next run.
    pub(super) async fn sort_mail(&mut self, run: &mut Run, rules: &MessageRules) -> Result<()> {
        let mut sorting = Sorting::default();
        self.sort_again(run, rules, &mut sorting).await?;
        let mut after: Option<Vec<u8>> = None;
        let mut last = 0;
        // A sender that posts faster than this sorts would keep a run from ever applying anything.
        let until = match self.store.get(Table::Inbox, COUNTER).await? {
            Some(bytes) => number(&bytes)?,
            None => 0,
        };
        while last < until {
            self.check_signal()?;
            let arrived =
                page(self.store, Table::Inbox, &[ARRIVED], after.as_deref(), READ).await?;
            let Some((key, _)) = arrived.last() else {
                break;
            };
            after = Some(key.clone());
            for (key, sealed) in arrived {
                let at = number(&key[1..])?;
                last = at;
                sorting.messages += 1;
                sorting.bytes += sealed.len();
                let message = unseal(self.vault, at, &sealed)?;
                sorting.batch.remove(Table::Inbox, key);
                if self.is_news(at, &message, &mut sorting).await? {
                    self.file(run, rules, at, &message, sealed, &mut sorting)
                        .await?;
                }
            }
            if sorting.messages >= GROUP || sorting.bytes >= GROUP_BYTES {
                self.commit_sorted(run, &mut sorting).await?;
            }
        }
        self.commit_sorted(run, &mut sorting).await?;
        self.forget_digests(last).await?;
        sorting.told.log(self.bridge);
        Ok(())
    }

    /// What could not be understood and is to be tried again: a person has taken it out of quarantine.
    async fn sort_again(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        sorting: &mut Sorting,
    ) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let bad = page(self.store, Table::Inbox, &[BAD], after.as_deref(), READ).await?;
            let Some((key, _)) = bad.last() else {
                return self.commit_sorted(run, sorting).await;
            };
            after = Some(key.clone());
            for (key, value) in bad {
                if run.quarantine.contains_key(&key[1..]) {
                    continue;
                }
                let (at, sealed) = value.split_at_checked(8).ok_or_else(corrupt)?;
                let at = number(at)?;
                let message = unseal(self.vault, at, sealed)?;
                sorting.batch.remove(Table::Inbox, key);
                self.file(run, rules, at, &message, sealed.to_vec(), sorting)
                    .await?;
            }
        }
    }

    /// A repeated delivery (the same type, action, uniqueId and content) changes nothing (H-54).
    async fn is_news(&self, at: u64, message: &Message, sorting: &mut Sorting) -> Result<bool> {
        if message.is_sample() {
            sorting.told.samples += 1;
            return Ok(false);
        }
        let mut hasher = self.vault.hasher();
        hasher.update(b"message").update(&message.to_bytes());
        let digest = hasher.finalize().as_bytes()[..16].to_vec();
        let key = [&[DIGEST], &digest[..]].concat();
        let known = !sorting.seen.insert(key.clone())
            || self.store.get(Table::Inbox, &key).await?.is_some();
        if known {
            sorting.told.repeated += 1;
            return Ok(false);
        }
        sorting.batch.put(Table::Inbox, key, Vec::new());
        let order = numbered(DIGEST_ORDER, at);
        sorting.batch.put(Table::Inbox, order, digest);
        Ok(true)
    }

    /// Puts a message where its record's are, or into quarantine.
    async fn file(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        at: u64,
        message: &Message,
        sealed: Vec<u8>,
        sorting: &mut Sorting,
    ) -> Result<()> {
        let (object, id, deletes) = match message.meaning(rules.json_depth) {
            Ok(Meaning::Sample) => return Ok(()),
            Ok(Meaning::Record { object, id, .. }) => (object, id, false),
            Ok(Meaning::Deleted { id }) => (Object::Customer, id, true),
            Err(bad) => {
                self.hold_message(run, at, bad, &sealed, sorting);
                return Ok(());
            }
        };
        if object == Object::Transaction && !rules.transactions {
            sorting.told.unmapped += 1;
            return Ok(());
        }
        if rules.by_unique_id && self.is_late(object, &id, message, sorting).await? {
            sorting.told.late += 1;
            return Ok(());
        }
        let key = [of_record(SORTED, &id), at.to_be_bytes().to_vec()].concat();
        let value = [&[u8::from(deletes)][..], &sealed].concat();
        sorting.batch.put(inbox(object), key, value);
        sorting.told.sorted += 1;
        Ok(())
    }

    /// `order: unique-id`: older than the newest of its record. A uniqueId that is no number tells nothing.
    async fn is_late(
        &self,
        object: Object,
        id: &RemoteId,
        message: &Message,
        sorting: &mut Sorting,
    ) -> Result<bool> {
        let Some(number) = message.number() else {
            return Ok(false);
        };
        let key = [&[NEWEST], id.0.as_bytes()].concat();
        let of_record = (object, id.clone());
        let newest = match sorting.newest.get(&of_record) {
            Some(newest) => Some(*newest),
            None => match self.store.get(inbox(object), &key).await? {
                Some(bytes) => {
                    let bytes = bytes.try_into().map_err(|_| corrupt())?;
                    Some(u128::from_be_bytes(bytes))
                }
                None => None,
            },
        };
        if newest.is_some_and(|newest| number < newest) {
            return Ok(true);
        }
        sorting.newest.insert(of_record, number);
        let value = number.to_be_bytes();
        sorting.batch.put(inbox(object), key, value);
        Ok(false)
    }

    fn hold_message(
        &mut self,
        run: &mut Run,
        at: u64,
        bad: BadRecord,
        sealed: &[u8],
        sorting: &mut Sorting,
    ) {
        // Kept beside its quarantine, so that it can be tried again.
        let key = [&[BAD][..], &self.nameless_key(&bad.raw)].concat();
        let value = [&at.to_be_bytes()[..], sealed].concat();
        sorting.batch.put(Table::Inbox, key, value);
        self.hold_bad(run, bad);
    }

    async fn commit_sorted(&mut self, run: &mut Run, sorting: &mut Sorting) -> Result<()> {
        let mut batch = std::mem::take(&mut sorting.batch);
        batch.writes.append(&mut run.held_batch.writes);
        (sorting.messages, sorting.bytes) = (0, 0);
        sorting.seen.clear();
        sorting.newest.clear();
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await?;
        self.world.checkpoint("M.sorted").await
    }

    /// What lies too far back to be repeated is forgotten.
    async fn forget_digests(&self, last: u64) -> Result<()> {
        let bound = numbered(DIGEST_ORDER, last.saturating_sub(DEFAULT_REMEMBERED));
        loop {
            let pairs = page(self.store, Table::Inbox, &[DIGEST_ORDER], None, GROUP).await?;
            let mut batch = Batch::new();
            for (key, digest) in pairs {
                if key < bound {
                    batch.remove(Table::Inbox, [&[DIGEST], &digest[..]].concat());
                    batch.remove(Table::Inbox, key);
                }
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.store.commit(batch).await?;
        }
    }
}

/// The inbox of an object, as the first object's store names it.
fn inbox(object: Object) -> Table {
    match object {
        Object::Customer => Table::Inbox,
        Object::Transaction => Table::Inbox.second(),
    }
}

impl Told {
    fn log(&self, bridge: &str) {
        let Self {
            sorted,
            samples,
            repeated,
            late,
            unmapped,
        } = *self;
        if sorted + samples + repeated + late + unmapped > 0 {
            tracing::info!(
                bridge,
                sorted,
                samples,
                repeated,
                late,
                unmapped,
                "messages were sorted"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_whose_a_message_is() {
        for text in ["1", "90017", "Å-1"] {
            let id = RemoteId(text.into());
            let key = [of_record(SORTED, &id), 7u64.to_be_bytes().to_vec()].concat();
            assert_eq!(parse_key(&key).unwrap(), (id, 7));
        }
        assert!(parse_key(b"i").is_err());
        assert!(parse_key(&[b'i'; 8]).is_err());
        // One record's messages do not lie among those of another whose id begins alike.
        let of = |id: &str| of_record(SORTED, &RemoteId(id.into()));
        let longer = [of("12"), 0u64.to_be_bytes().to_vec()].concat();
        assert!(!longer.starts_with(&of("1")));
    }

    #[test]
    fn messages_are_told_from_what_a_relink_rebuilds() {
        for key in ["b1", "c", "d1", "e1", "f1", "g1", "h1", "i1"] {
            assert!(is_message(key.as_bytes()), "{key}");
        }
        for key in ["j1", "l1", "r1", ""] {
            assert!(!is_message(key.as_bytes()), "{key}");
        }
    }
}
