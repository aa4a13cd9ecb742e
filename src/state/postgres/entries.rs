//! What is remembered, as rows: reading by key and by order, and the one statement that writes.
//!
//! The fence stands inside the statement that writes: it locks the bridge's row against whoever would take the lease over, and
//! writes nothing where somebody already has.

use std::collections::HashMap;

use super::connection::{Link, ask};
use super::fault;
use super::lease::{self, Lease};
use crate::model::{Error, Result};
use crate::state::envelope::{self, Stored};
use crate::state::{Batch, Table};

/// Bytes of one statement. A larger batch is several statements in one transaction.
const STATEMENT_BYTES: usize = 8 * 1024 * 1024;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// One bridge's store among the rows of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) store: i64,
}

impl Entries {
    /// What the checksum of a value covers beside it: a row that stands in another store's place is noticed as well.
    fn place(self, key: &[u8]) -> Vec<u8> {
        let mut place = Vec::with_capacity(8 + key.len());
        place.extend_from_slice(&self.store.to_be_bytes());
        place.extend_from_slice(key);
        place
    }

    fn value(self, link: &Link, table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
        match envelope::open(table as u8, &self.place(key), stored) {
            Ok(Stored::Whole(value)) => Ok(value.to_vec()),
            _ => Err(fault::damaged(
                link.place(),
                &format!(
                    "a value of the table {} has not its checksum",
                    envelope::name(table as u8)
                ),
            )),
        }
    }

    /// The values of these keys, in the order asked for.
    pub(super) async fn get(
        self,
        link: &mut Link,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        // One step into the index a key. Left to itself, the planner reads the whole table where it has no statistics yet, as in a
        // first load.
        let look = format!(
            "SELECT w.key, e.value FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL \
             (SELECT value FROM {}.entry WHERE store = $1 AND tab = $2 AND key = w.key OFFSET 0) AS e",
            link.place().quoted()
        );
        let asked = ask(look)
            .bind(self.store)
            .bind(i16::from(table as u8))
            .bind(keys);
        let mut found = HashMap::new();
        for row in link.rows(asked).await? {
            let key: Vec<u8> = link.cell(&row, "key")?;
            let value = self.value(link, table, &key, link.cell(&row, "value")?)?;
            found.insert(key, value);
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// At most `limit` pairs in the order of keys, strictly after `after`.
    pub(super) async fn range(
        self,
        link: &mut Link,
        table: Table,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Pair>> {
        let from = if after.is_some() { ">" } else { ">=" };
        let look = format!(
            "SELECT key, value FROM {}.entry WHERE store = $1 AND tab = $2 AND key {from} $3 ORDER BY key LIMIT $4",
            link.place().quoted()
        );
        let asked = ask(look)
            .bind(self.store)
            .bind(i16::from(table as u8))
            .bind(after.unwrap_or_default())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let mut pairs = Vec::new();
        for row in link.rows(asked).await? {
            let key: Vec<u8> = link.cell(&row, "key")?;
            let value = self.value(link, table, &key, link.cell(&row, "value")?)?;
            pairs.push((key, value));
        }
        Ok(pairs)
    }

    /// Commits batches together, in their order. `E-FENCED` (exit 6), and nothing is written, where the lease is another's.
    pub(super) async fn commit(
        self,
        link: &mut Link,
        lease: &Lease,
        batches: &[Batch],
    ) -> Result<()> {
        let parts = self.parts(batches);
        let written = match parts.as_slice() {
            [] => return Ok(()),
            // Alone, a statement is a transaction: one round trip.
            [part] => part.write(link, lease, self.store).await,
            parts => {
                link.transaction(async |link| {
                    for part in parts {
                        part.write(link, lease, self.store).await?;
                    }
                    Ok(())
                })
                .await
            }
        };
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.code() == FENCED => Err(lease::lost(link, lease).await),
            Err(error) => Err(fault::unknown(link.place(), error)),
        }
    }

    /// The last write of each key, in statements of bounded size.
    fn parts(self, batches: &[Batch]) -> Vec<Part> {
        let mut last: HashMap<(Table, &[u8]), Option<&[u8]>> = HashMap::new();
        for (table, key, value) in batches.iter().flat_map(|batch| &batch.writes) {
            last.insert((*table, key), value.as_deref());
        }
        let mut ordered: Vec<_> = last.into_iter().collect();
        // In the order of keys each page of the index is visited once.
        ordered.sort_unstable_by_key(|(place, _)| *place);
        let mut parts: Vec<Part> = Vec::new();
        for ((table, key), value) in ordered {
            if parts.last().is_none_or(|part| part.bytes > STATEMENT_BYTES) {
                parts.push(Part::default());
            }
            if let Some(part) = parts.last_mut() {
                part.add(self, table, key, value);
            }
        }
        parts
    }
}

/// Only between a statement and its caller; whoever is told hears who has the lease.
const FENCED: &str = "E-FENCED";

/// What one statement writes.
#[derive(Default)]
struct Part {
    bytes: usize,
    gone_tables: Vec<i16>,
    gone_keys: Vec<Vec<u8>>,
    put_tables: Vec<i16>,
    put_keys: Vec<Vec<u8>>,
    put_values: Vec<Vec<u8>>,
}

impl Part {
    fn add(&mut self, entries: Entries, table: Table, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + 16;
        let number = i16::from(table as u8);
        match value {
            Some(value) => {
                let stored = envelope::whole(table as u8, &entries.place(key), value);
                self.bytes += stored.len();
                self.put_tables.push(number);
                self.put_keys.push(key.to_vec());
                self.put_values.push(stored);
            }
            None => {
                self.gone_tables.push(number);
                self.gone_keys.push(key.to_vec());
            }
        }
    }

    async fn write(&self, link: &mut Link, lease: &Lease, store: i64) -> Result<()> {
        let schema = link.place().quoted();
        // Taking over locks the row FOR UPDATE, which waits for this lock; renewing does not, so that it never waits for a commit.
        let write = format!(
            "WITH fence AS MATERIALIZED (
                SELECT true AS held FROM {schema}.bridge WHERE name = $1 AND epoch = $2 AND holder = $3 FOR KEY SHARE
            ), gone AS (
                DELETE FROM {schema}.entry AS e USING unnest($5::smallint[], $6::bytea[]) AS w(tab, key)
                WHERE e.store = $4 AND e.tab = w.tab AND e.key = w.key AND EXISTS (SELECT FROM fence)
            ), put AS (
                INSERT INTO {schema}.entry (store, tab, key, value)
                SELECT $4, w.tab, w.key, w.value FROM unnest($7::smallint[], $8::bytea[], $9::bytea[]) AS w(tab, key, value)
                WHERE EXISTS (SELECT FROM fence)
                ON CONFLICT (store, tab, key) DO UPDATE SET value = excluded.value
            ) SELECT held FROM fence"
        );
        let asked = ask(write)
            .bind(&lease.bridge)
            .bind(lease.epoch)
            .bind(&lease.token)
            .bind(store)
            .bind(self.gone_tables.as_slice())
            .bind(self.gone_keys.as_slice())
            .bind(self.put_tables.as_slice())
            .bind(self.put_keys.as_slice())
            .bind(self.put_values.as_slice());
        match link.first(asked).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(crate::model::ErrorKind::Busy, FENCED, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_batch_becomes_several_statements_and_loses_nothing() {
        let entries = Entries { store: 1 };
        let mut batch = Batch::new();
        for number in 0..100u8 {
            batch.put(Table::Inbox, [number], vec![number; 200_000]);
            batch.remove(Table::Tomb, [number]);
        }
        batch.put(Table::Inbox, [7], "short");
        let parts = entries.parts(&[batch, Batch::new()]);
        assert!((3..=5).contains(&parts.len()), "{}", parts.len());
        let puts: usize = parts.iter().map(|part| part.put_keys.len()).sum();
        let gone: usize = parts.iter().map(|part| part.gone_keys.len()).sum();
        assert_eq!((puts, gone), (100, 100));
        assert!(
            parts
                .iter()
                .all(|part| part.bytes < STATEMENT_BYTES + 210_000)
        );
        assert!(entries.parts(&[Batch::new()]).is_empty());
    }
}
