//! A store in memory: for tests, for the deterministic simulator, and for `plan` over nothing.
//!
//! It behaves as the durable ones do, but for durability. It must not outlive the process, and takes no lock.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Durable, StateStore, Table};
use crate::model::Result;

type Key = (Table, Vec<u8>);
type Map = BTreeMap<Key, Arc<[u8]>>;

/// All tables in one ordered map. A clone is another handle on the same store; see [`MemoryStore::snapshot`] for a copy.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    map: Arc<Mutex<Arc<Map>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own with what this one holds now. Costs nothing until one of the two is written to.
    pub fn snapshot(&self) -> Self {
        Self {
            map: Arc::new(Mutex::new(self.current())),
        }
    }

    /// How many keys a table holds.
    pub fn count(&self, table: Table) -> usize {
        self.current()
            .keys()
            .filter(|(other, _)| *other == table)
            .count()
    }

    /// Whether both hold the same keys with the same values.
    pub fn same_as(&self, other: &Self) -> bool {
        self.current() == other.current()
    }

    fn current(&self) -> Arc<Map> {
        Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StateStore for MemoryStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self
            .current()
            .get(&(table, key.to_vec()))
            .map(|value| value.to_vec());
        Ok(value)
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let map = self.current();
        Ok(keys
            .iter()
            .map(|key| map.get(&(table, key.clone())).map(|value| value.to_vec()))
            .collect())
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = match after {
            Some(after) => Bound::Excluded((table, after.to_vec())),
            None => Bound::Included((table, Vec::new())),
        };
        Ok(self
            .current()
            .range((start, Bound::Unbounded))
            .take_while(|((other, _), _)| *other == table)
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.to_vec()))
            .collect())
    }

    fn commit(&self, batch: Batch) -> Durable {
        let mut held = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let map = Arc::make_mut(&mut *held);
        for (table, key, value) in batch.writes {
            match value {
                Some(value) => map.insert((table, key), value.into()),
                None => map.remove(&(table, key)),
            };
        }
        Durable::Ready(Some(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        let store = MemoryStore::new();
        contract::keeps_the_contract(async || store.clone(), async |_| ()).await;
    }

    #[tokio::test]
    async fn a_snapshot_does_not_see_later_writes() {
        let store = MemoryStore::new();
        let mut batch = Batch::new();
        batch.put(Table::Link, "a", "1");
        store.commit(batch).await.unwrap();
        let copy = store.snapshot();
        assert!(copy.same_as(&store));

        let mut batch = Batch::new();
        batch.remove(Table::Link, "a");
        batch.put(Table::Link, "b", "2");
        store.commit(batch).await.unwrap();

        assert_eq!(copy.get(Table::Link, b"a").await.unwrap().unwrap(), b"1");
        assert_eq!(copy.get(Table::Link, b"b").await.unwrap(), None);
        assert_eq!(store.get(Table::Link, b"a").await.unwrap(), None);
        assert_eq!(copy.count(Table::Link), 1);
        assert!(!copy.same_as(&store));
    }
}
