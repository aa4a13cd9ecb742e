//! The sorted messages of one object as a service that queues what changed: the pass over them is that of any other queue.
//!
//! Each message is a whole record, so that several of one record count as the newest; what it leaves out stands as the one before had
//! it. A record's messages stay until it is applied, and longer where a person is asked: they are the only copy. Nothing is
//! decided here about a record.

use chrono::{DateTime, Utc};

use crate::model::{
    BadRecord, Document, Node, RemoteId, RemoteItem, RemoteRecord, Result, Stamp, Vault, Vocabulary,
};
use crate::remote::data_sync::{Meaning, Object};
use crate::remote::{
    Found, LookUp, NoScan, Purged, Queue, QueueReading, QueueStep, Queued, Remote, Scope,
};
use crate::state::{Batch, StateStore, Table};

use super::super::memory::{corrupt, dirty_remote};
use super::mail::{READ, SORTED, WAITING, of_record, parse_key, split, unseal};
use super::pages::page;

/// Keys looked at in one commit of a purge: two writes each.
const PURGE: usize = 400;

/// The inbox of one object.
pub struct Inbox<'a, S> {
    store: &'a S,
    vault: &'a Vault,
    vocabulary: Vocabulary,
    json_depth: u32,
}

impl<'a, S: StateStore> Inbox<'a, S> {
    /// The inbox of `object` in the store that holds its tables; `json_depth` bounds the nesting of a payload.
    pub fn new(store: &'a S, vault: &'a Vault, object: Object, json_depth: u32) -> Self {
        Self {
            store,
            vault,
            vocabulary: object.vocabulary(),
            json_depth,
        }
    }

    /// What the messages of one record come to.
    async fn standing(&self, id: &RemoteId) -> Result<Standing> {
        let mut standing = Standing::Unknown;
        for prefix in [WAITING, SORTED] {
            let first = of_record(prefix, id);
            let mut after: Option<Vec<u8>> = None;
            loop {
                let pairs = page(self.store, Table::Inbox, &first, after.as_deref(), READ).await?;
                let Some((last, _)) = pairs.last() else { break };
                after = Some(last.clone());
                for (key, value) in pairs {
                    let (_, at) = parse_key(&key)?;
                    let (_, sealed) = split(&value)?;
                    let message = unseal(self.vault, at, sealed)?;
                    standing = standing.then(message.meaning(self.json_depth));
                }
            }
        }
        Ok(standing)
    }

    async fn has_messages(&self, id: &RemoteId) -> Result<bool> {
        for prefix in [WAITING, SORTED] {
            let first = of_record(prefix, id);
            let pairs = page(self.store, Table::Inbox, &first, None, 1).await?;
            if !pairs.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which of these records wait: for a person, or for the next run.
    async fn waits(&self, ids: &[RemoteId]) -> Result<Vec<bool>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(dirty_remote).collect();
        let mut waits = vec![false; ids.len()];
        for table in [Table::Quarantine, Table::Review, Table::Inbox] {
            let found = self.store.get_many(table, &keys).await?;
            for (waits, found) in waits.iter_mut().zip(found) {
                *waits |= found.is_some();
            }
        }
        Ok(waits)
    }

    /// Goes over the messages under a prefix, up to number `until`: those of records that wait are laid aside, the others are dropped.
    async fn clear(&self, prefix: u8, until: u64) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        let mut batch = Batch::new();
        loop {
            let ours = page(self.store, Table::Inbox, &[prefix], after.as_deref(), READ).await?;
            let Some((last, _)) = ours.last() else { break };
            after = Some(last.clone());
            let parsed: Vec<(RemoteId, u64)> = ours
                .iter()
                .map(|(key, _)| parse_key(key))
                .collect::<Result<_>>()?;
            let ids: Vec<RemoteId> = parsed.iter().map(|(id, _)| id.clone()).collect();
            let waits = self.waits(&ids).await?;
            for (((key, value), (id, at)), waits) in ours.into_iter().zip(parsed).zip(waits) {
                if at > until || (waits && prefix == WAITING) {
                    continue;
                }
                if waits {
                    let aside = [of_record(WAITING, &id), at.to_be_bytes().to_vec()].concat();
                    batch.put(Table::Inbox, aside, value);
                }
                batch.remove(Table::Inbox, key);
            }
            if batch.writes.len() >= PURGE {
                self.store.commit(std::mem::take(&mut batch)).await?;
            }
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(())
    }

    /// Drops the messages of records that wait no more.
    pub(super) async fn clear_waiting(&self) -> Result<()> {
        self.clear(WAITING, u64::MAX).await
    }
}

/// How a record stands after some of its messages.
enum Standing {
    Unknown,
    Gone,
    Alive(RemoteId, Document),
    Bad(BadRecord),
}

impl Standing {
    fn then(self, next: Result<Meaning, BadRecord>) -> Self {
        match (self, next) {
            (_, Ok(Meaning::Deleted { .. })) => Self::Gone,
            (Self::Alive(_, before), Ok(Meaning::Record { id, document, .. })) => {
                Self::Alive(id, over(before, document))
            }
            (
                before,
                Ok(Meaning::Record {
                    id, mut document, ..
                }),
            ) => {
                // A deletion ends what was before it: what the new life leaves out is empty.
                if matches!(before, Self::Gone) {
                    document.make_whole();
                }
                Self::Alive(id, document)
            }
            (before, Ok(Meaning::Sample)) => before,
            (_, Err(bad)) => Self::Bad(bad),
        }
    }
}

/// A newer document over an older one: a name that is wholly absent says nothing (user contract, section 4), so the older one's stands.
fn over(older: Document, mut newer: Document) -> Document {
    if older.is_whole() {
        newer.make_whole();
    }
    for (name, old) in older.iter() {
        match (newer.get_mut(name), old) {
            (None, old) => newer.push(name.to_owned(), old.clone()),
            (Some(Node::Record(new)), Node::Record(old)) => {
                *new = over(old.clone(), std::mem::take(new));
            }
            (Some(_), _) => {}
        }
    }
    newer
}

impl<S: StateStore> Remote for Inbox<'_, S> {
    type Scan = NoScan;

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        let LookUp::Id(id) = by else {
            return Ok(Found::Nothing);
        };
        let item = item(id, self.standing(id).await?);
        Ok(item.map_or(Found::Nothing, |item| Found::Item(Box::new(item))))
    }

    fn requests(&self) -> u64 {
        0
    }

    fn server_time(&self) -> Option<Stamp> {
        None
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        None
    }

    fn is_ambiguous(&self, _: Stamp) -> bool {
        false
    }

    fn instant(&self, stamp: Stamp) -> DateTime<Utc> {
        stamp.0.and_utc()
    }

    fn stamp(&self, instant: DateTime<Utc>) -> Stamp {
        Stamp(instant.naive_utc())
    }
}

fn item(id: &RemoteId, standing: Standing) -> Option<RemoteItem> {
    match standing {
        Standing::Unknown | Standing::Gone => None,
        Standing::Alive(id, document) => Some(RemoteItem::Record(RemoteRecord {
            id,
            stamp: None,
            deleted: false,
            document,
        })),
        // It was understood when it was sorted; the bounds have become narrower since.
        Standing::Bad(bad) => Some(RemoteItem::Bad(BadRecord {
            id: Some(id.clone()),
            ..bad
        })),
    }
}

/// The inbox, read record by record.
pub struct InboxReading<'a, S> {
    store: &'a S,
    after: Option<Vec<u8>>,
    /// The record whose messages may go on in the next chunk.
    open: Option<Queued>,
    newest: Option<u64>,
}

impl<S: StateStore> QueueReading for InboxReading<'_, S> {
    async fn next(&mut self) -> Result<QueueStep> {
        let mut records = Vec::new();
        loop {
            let after = self.after.as_deref();
            let ours = page(self.store, Table::Inbox, &[SORTED], after, READ).await?;
            let Some((last, _)) = ours.last() else {
                records.extend(self.open.take());
                if !records.is_empty() {
                    return Ok(QueueStep::Records(records));
                }
                return Ok(QueueStep::End {
                    number: self.newest.map(|at| at.to_string()),
                    doubt: None,
                });
            };
            self.after = Some(last.clone());
            for (key, value) in ours {
                let (id, at) = parse_key(&key)?;
                let (deleted, _) = split(&value)?;
                self.newest = self.newest.max(Some(at));
                if self.open.as_ref().is_some_and(|open| open.id != id) {
                    records.extend(self.open.take());
                }
                self.open = Some(Queued {
                    id,
                    scope: Scope::Whole,
                    deleted,
                    // Messages are only added, and each has a number of its own.
                    mark: at,
                });
            }
            if !records.is_empty() {
                return Ok(QueueStep::Records(records));
            }
        }
    }
}

impl<'a, S: StateStore> Queue for Inbox<'a, S> {
    type Reading = InboxReading<'a, S>;

    async fn queue(&self) -> Result<Self::Reading> {
        Ok(InboxReading {
            store: self.store,
            after: None,
            open: None,
            newest: None,
        })
    }

    async fn details(&self, ids: &[RemoteId], _: &Scope) -> Result<Vec<RemoteItem>> {
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            items.extend(item(id, self.standing(id).await?));
        }
        Ok(items)
    }

    async fn purge(&self, number: &str) -> Result<Purged> {
        let until = number.parse().map_err(|_| corrupt())?;
        self.clear(SORTED, until).await?;
        Ok(Purged::Done)
    }

    fn is_own(&self) -> bool {
        true
    }

    async fn tellable(&self, ids: Vec<RemoteId>) -> Result<Vec<RemoteId>> {
        let mut tellable = Vec::new();
        for id in ids {
            if self.has_messages(&id).await? {
                tellable.push(id);
            }
        }
        Ok(tellable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.into())
    }

    #[test]
    fn a_newer_message_stands_over_an_older_one() {
        let mut name = Document::new();
        name.set("first", text("Ann"));
        name.set("last", text("Lee"));
        let mut older = Document::new();
        older.set("class", text("GOLD"));
        older.set("name", Node::Record(name));
        older.set("cards", Node::List(vec![Document::new()]));
        older.set("note", text("old"));
        let mut name = Document::new();
        name.set("last", text(""));
        let mut newer = Document::new();
        newer.set("name", Node::Record(name));
        newer.set("cards", Node::List(Vec::new()));
        newer.set("note", text("new"));

        let both = over(older, newer);
        assert_eq!(both.text("class"), Some("GOLD"));
        assert_eq!(both.text("note"), Some("new"));
        // Null and an empty list are empty; only what is wholly absent says nothing.
        assert_eq!(both.get("cards"), Some(&Node::List(Vec::new())));
        let Some(Node::Record(name)) = both.get("name") else {
            panic!()
        };
        assert_eq!(
            (name.text("first"), name.text("last")),
            (Some("Ann"), Some(""))
        );
    }

    #[test]
    fn a_deletion_ends_what_was_before_it() {
        let id = RemoteId("1".into());
        let record = |class: Option<&str>| {
            let mut document = Document::new();
            if let Some(class) = class {
                document.set("class", text(class));
            }
            Ok(Meaning::Record {
                object: Object::Customer,
                id: RemoteId("1".into()),
                change: crate::remote::data_sync::Change::Changed,
                document,
            })
        };
        let gone = Standing::Unknown
            .then(record(Some("GOLD")))
            .then(Ok(Meaning::Deleted { id: id.clone() }));
        assert!(item(&id, Standing::Unknown).is_none());
        let Some(RemoteItem::Record(back)) = item(&id, gone.then(record(None))) else {
            panic!()
        };
        assert!(back.document.is_empty() && back.document.is_whole());
        let again = Standing::Gone.then(record(None)).then(record(Some("GOLD")));
        assert!(matches!(again, Standing::Alive(_, document) if document.is_whole()));
        let first = Standing::Unknown.then(record(None));
        assert!(matches!(first, Standing::Alive(_, document) if !document.is_whole()));
        let deleted = Standing::Unknown.then(Ok(Meaning::Deleted { id: id.clone() }));
        assert!(item(&id, deleted).is_none());
    }
}
