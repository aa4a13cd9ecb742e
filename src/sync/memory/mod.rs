//! What a bridge remembers, in types: the only reader and writer of the state store's bytes in the engine.
//!
//! It decides nothing. Every write goes into a [`Batch`] that the caller commits, so that facts which belong together
//! become durable together (reliability, section 2.8).

mod held;
mod journal;
mod link;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, LocalKey, RemoteId, Result};
use crate::state::{Batch, StateStore, Table};

pub use held::{
    Decision, Intent, IntentKind, Quarantined, Review, ReviewKind, SealedIdentity, Tomb, Values,
};
pub(crate) use journal::{Entry, put_entry, remove_entry};
pub use link::{Base, ChildBase, Link, Side};
pub(crate) use link::{corrupt, decode_by_local, encode_by_local};

/// The format number of the JSON records in here.
pub const FORMAT: u8 = 1;

/// How many pairs a range read asks for at a time: a bound on memory, large enough to hide the cost of a call.
pub(crate) const RANGE: usize = 2_000;

/// The single facts of a bridge, kept as one record so that they change together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Format number.
    pub format: u8,
    /// The id of this store; also stands in `contactbridge_meta`.
    pub store_id: String,
    /// Rises with each run that wrote to a side.
    pub generation: u64,
    /// Rises with each run.
    pub epoch: u64,
    /// Digest of endpoint and site.
    pub site: u64,
    /// Digest of the database's address.
    pub database: u64,
    /// The watermark, in the remote's own wall time.
    pub watermark: Option<NaiveDateTime>,
    /// The position up to which local changes are in custody.
    pub local_position: Option<String>,
    /// The current version of the mapping.
    pub mapping: u16,
    /// For each version of the mapping: the fingerprints of its fields and of its child rules.
    pub mappings: BTreeMap<u16, MappingShape>,
    /// When everything was last read and compared, by our clock.
    pub last_full: Option<DateTime<Utc>>,
    /// How many live records the remote had in the last full read.
    pub last_full_count: u64,
    /// The next run reads everything.
    pub full_due: bool,
    /// The next run links both sides again and creates nothing (`reseed --relink`).
    pub relink: bool,
    /// A restored backup of the remote was accepted, and no run has carried everything back yet.
    #[serde(default)]
    pub rewound: bool,
    /// When the last run ended well.
    pub last_good: Option<DateTime<Utc>>,
    /// What the remote's feed learned about its paging.
    pub habit: Option<String>,
    /// Live links, counted at the end of each run that wrote.
    pub links: u64,
    /// The number up to which the queue was journalled and not purged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// The shape that a version of the mapping gave to links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingShape {
    /// Fingerprint per field.
    pub fields: Vec<u64>,
    /// Fingerprint per child rule.
    pub children: Vec<u64>,
}

/// A remote record that is known but not linked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stranger {
    /// Digest of its mapped content when it was last looked at.
    pub content: u64,
    /// Digest of its External ID.
    pub external: Option<u64>,
    /// Digest of its e-mail key.
    pub email: Option<u64>,
    /// Per match field: digest of its canonical value, `None` where empty.
    pub matches: Vec<Option<u64>>,
}

/// Typed access to a store.
pub struct Memory<'a, S> {
    store: &'a S,
}

impl<'a, S: StateStore> Memory<'a, S> {
    /// Reads and writes `store`.
    pub fn new(store: &'a S) -> Self {
        Self { store }
    }

    /// The facts; `None` in a new store.
    pub async fn facts(&self) -> Result<Option<Facts>> {
        self.json(Table::Meta, b"facts").await
    }

    /// Links by remote id, in the order asked for.
    pub async fn links(&self, ids: &[RemoteId]) -> Result<Vec<Option<Link>>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.0.clone().into_bytes()).collect();
        let values = self.store.get_many(Table::Link, &keys).await?;
        keys.iter()
            .zip(values)
            .map(|(key, value)| value.map(|value| Link::decode(key, &value)).transpose())
            .collect()
    }

    /// Links by local key, in the order asked for.
    pub async fn links_by_local(&self, keys: &[LocalKey]) -> Result<Vec<Option<Link>>> {
        let bytes: Vec<Vec<u8>> = keys.iter().map(LocalKey::to_bytes).collect();
        let index = self.store.get_many(Table::ByLocal, &bytes).await?;
        let mut ids = Vec::new();
        let mut places = Vec::new();
        for (place, value) in index.into_iter().enumerate() {
            if let Some(value) = value {
                ids.push(decode_by_local(&value)?.1);
                places.push(place);
            }
        }
        let mut found = vec![None; keys.len()];
        for (place, link) in places.into_iter().zip(self.links(&ids).await?) {
            found[place] = link;
        }
        Ok(found)
    }

    /// The next links in the order of their remote ids' bytes.
    pub async fn links_after(&self, after: Option<&RemoteId>, limit: usize) -> Result<Vec<Link>> {
        let pairs = self
            .store
            .range(Table::Link, after.map(|id| id.0.as_bytes()), limit)
            .await?;
        pairs
            .iter()
            .map(|(key, value)| Link::decode(key, value))
            .collect()
    }

    /// The next local keys in order, with the digest of their row and their remote id.
    pub async fn rows_after(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Digest, RemoteId)>> {
        let pairs = self.store.range(Table::ByLocal, after, limit).await?;
        pairs
            .into_iter()
            .map(|(key, value)| decode_by_local(&value).map(|(row, id)| (key, row, id)))
            .collect()
    }

    /// Tombs by remote id, in the order asked for.
    pub async fn tombs(&self, ids: &[RemoteId]) -> Result<Vec<Option<Tomb>>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.0.clone().into_bytes()).collect();
        let values = self.store.get_many(Table::Tomb, &keys).await?;
        values
            .into_iter()
            .map(|value| value.map(|value| parse(&value)).transpose())
            .collect()
    }

    /// Strangers by remote id, in the order asked for.
    pub async fn strangers(&self, ids: &[RemoteId]) -> Result<Vec<Option<Stranger>>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.0.clone().into_bytes()).collect();
        let values = self.store.get_many(Table::Stranger, &keys).await?;
        values
            .into_iter()
            .map(|value| value.map(|value| parse(&value)).transpose())
            .collect()
    }

    /// One JSON record.
    pub async fn json<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        self.store
            .get(table, key)
            .await?
            .map(|bytes| parse(&bytes))
            .transpose()
    }

    /// All JSON records of a small table.
    pub async fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(Vec<u8>, T)>> {
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = self.store.range(table, after.as_deref(), RANGE).await?;
            let Some((last, _)) = pairs.last() else {
                return Ok(found);
            };
            after = Some(last.clone());
            for (key, value) in pairs {
                let value = parse(&value)?;
                found.push((key, value));
            }
        }
    }

    /// How many records a table holds.
    pub async fn count(&self, table: Table) -> Result<u64> {
        let mut count = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = self.store.range(table, after.as_deref(), RANGE).await?;
            let Some((last, _)) = pairs.last() else {
                return Ok(count);
            };
            count += pairs.len() as u64;
            after = Some(last.clone());
        }
    }

    /// The marks of the inbox after `after`, as pairs of key and value; the journal of a queue comes before them.
    pub(crate) async fn marks_after(
        &self,
        after: Option<&[u8]>,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let after = after.unwrap_or(journal::AFTER_JOURNAL);
        self.store.range(Table::Inbox, Some(after), RANGE).await
    }

    /// Keys of the records that the next run must look at whether or not they changed, as [`dirty_remote`] and [`dirty_local`] made them.
    pub async fn dirty(&self) -> Result<(Vec<RemoteId>, Vec<LocalKey>)> {
        let (mut remote, mut local) = (Vec::new(), Vec::new());
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = self.marks_after(after.as_deref()).await?;
            let Some((last, _)) = pairs.last() else {
                return Ok((remote, local));
            };
            after = Some(last.clone());
            for (key, _) in pairs {
                match key.split_first() {
                    Some((b'r', id)) => remote.push(RemoteId(
                        std::str::from_utf8(id).map_err(|_| corrupt())?.to_owned(),
                    )),
                    Some((b'l', key)) => local.push(LocalKey::from_bytes(key).ok_or_else(corrupt)?),
                    _ => return Err(corrupt()),
                }
            }
        }
    }
}

/// Puts the facts.
pub fn put_facts(batch: &mut Batch, facts: &Facts) {
    put_json(batch, Table::Meta, b"facts".to_vec(), facts);
}

/// Puts a link with its index entry, and takes what it makes superfluous (a stranger of its id, dirty marks).
pub fn put_link(batch: &mut Batch, link: &Link) {
    batch.put(Table::Link, link.remote.0.as_bytes(), link.encode());
    batch.put(
        Table::ByLocal,
        link.local.to_bytes(),
        encode_by_local(link.row, &link.remote),
    );
}

/// Puts a record of a JSON table.
pub fn put_json<T: Serialize>(batch: &mut Batch, table: Table, key: Vec<u8>, value: &T) {
    let bytes = serde_json::to_vec(value)
        .expect("records of the state have only string keys and finite numbers");
    batch.put(table, key, bytes);
}

/// The inbox key of a contact that must be looked at again.
pub fn dirty_remote(id: &RemoteId) -> Vec<u8> {
    [b"r", id.0.as_bytes()].concat()
}

/// The inbox key of a row that must be looked at again.
pub fn dirty_local(key: &LocalKey) -> Vec<u8> {
    [&b"l"[..], &key.to_bytes()].concat()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| corrupt())
}
