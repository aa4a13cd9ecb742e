//! The tables of a bridge's second object, behind the same contract: data-sync keeps customers and transactions in one store.
//!
//! It only renames tables; a batch of either object is durable together with whatever else it holds.

use super::{Batch, Durable, StateStore, Table};
use crate::model::Result;

/// A store as the second object sees it: under each table's name stands its second table.
pub struct Second<'a, S>(pub &'a S);

impl<S: StateStore> StateStore for Second<'_, S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(table.second(), key).await
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.0.get_many(table.second(), keys).await
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.0.range(table.second(), after, limit).await
    }

    fn commit(&self, mut batch: Batch) -> Durable {
        for (table, _, _) in &mut batch.writes {
            *table = table.second();
        }
        self.0.commit(batch)
    }

    fn overtook(&self) -> bool {
        self.0.overtook()
    }

    async fn fenced(&self) -> Result<()> {
        self.0.fenced().await
    }

    async fn still_held(&self) -> Result<()> {
        self.0.still_held().await
    }
}

/// A store as the first object of a bridge sees it.
pub struct First<'a, S> {
    /// The store.
    pub store: &'a S,
    /// A second object comes after it: whoever was overtaken is not fenced before that object's tables are fenced, too.
    pub of_two: bool,
}

impl<S: StateStore> StateStore for First<'_, S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.store.get_many(table, keys).await
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.store.range(table, after, limit).await
    }

    fn commit(&self, batch: Batch) -> Durable {
        self.store.commit(batch)
    }

    fn overtook(&self) -> bool {
        self.store.overtook()
    }

    async fn fenced(&self) -> Result<()> {
        if self.of_two {
            return Ok(());
        }
        self.store.fenced().await
    }

    async fn still_held(&self) -> Result<()> {
        self.store.still_held().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    #[tokio::test]
    async fn the_two_objects_share_nothing_but_the_outbox() {
        let store = MemoryStore::new();
        let second = Second(&store);
        for table in Table::ALL.into_iter().take(11) {
            let mut batch = Batch::new();
            batch.put(table, "key", "first");
            store.commit(batch).await.unwrap();
            let mut batch = Batch::new();
            batch.put(table, "key", "second");
            second.commit(batch).await.unwrap();
            let shared = table == Table::Outbox;
            let first = if shared { "second" } else { "first" };
            assert_eq!(
                store.get(table, b"key").await.unwrap().unwrap(),
                first.as_bytes()
            );
            assert_eq!(second.get(table, b"key").await.unwrap().unwrap(), b"second");
            assert_eq!(second.range(table, None, 9).await.unwrap().len(), 1);
            assert_eq!(table.second().second(), table.second());
        }
    }
}
