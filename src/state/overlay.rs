//! A store over another one that is only read: what a dry run would write stands in memory and is gone with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Batch, Durable, StateStore, Table};
use crate::model::Result;

type Writes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// See the module.
pub struct Overlay<'a, S> {
    below: &'a S,
    written: RefCell<Writes>,
}

impl<'a, S> Overlay<'a, S> {
    /// Nothing is written yet.
    pub fn new(below: &'a S) -> Self {
        Self {
            below,
            written: RefCell::default(),
        }
    }

    fn written(&self, table: Table, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.written.borrow().get(&(table, key.to_vec())).cloned()
    }
}

impl<S: StateStore> StateStore for Overlay<'_, S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.written(table, key) {
            Some(value) => Ok(value),
            None => self.below.get(table, key).await,
        }
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut found = self.below.get_many(table, keys).await?;
        for (value, key) in found.iter_mut().zip(keys) {
            if let Some(written) = self.written(table, key) {
                *value = written;
            }
        }
        Ok(found)
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = BTreeMap::new();
        let mut below_after = after.map(<[u8]>::to_vec);
        loop {
            let below = self
                .below
                .range(table, below_after.as_deref(), limit)
                .await?;
            let ended = below.len() < limit;
            let reach = below.last().map(|(key, _)| key.clone());
            found.extend(below);
            let first = after.map_or(Bound::Unbounded, |key| {
                Bound::Excluded((table, key.to_vec()))
            });
            let written = self.written.borrow();
            for ((_, key), value) in written
                .range((first, Bound::Unbounded))
                .skip_while(|((other, _), _)| *other < table)
                .take_while(|((other, _), _)| *other == table)
            {
                // Beyond what was read from below, more may lie in between.
                if !ended && reach.as_ref().is_some_and(|reach| key > reach) {
                    break;
                }
                match value {
                    Some(value) => found.insert(key.clone(), value.clone()),
                    None => found.remove(key),
                };
            }
            drop(written);
            if ended || found.len() >= limit {
                break;
            }
            below_after = reach;
        }
        Ok(found.into_iter().take(limit).collect())
    }

    fn commit(&self, batch: Batch) -> Durable {
        let mut written = self.written.borrow_mut();
        for (table, key, value) in batch.writes {
            written.insert((table, key), value);
        }
        Durable::Ready(Some(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MemoryStore;
    use super::*;

    proptest! {
        #[test]
        fn reads_as_if_it_were_one_store_and_leaves_the_one_below_alone(
            below in proptest::collection::vec((0u8..12, any::<bool>()), 0..20),
            above in proptest::collection::vec((0u8..12, any::<bool>()), 0..20),
            after in proptest::option::of(0u8..12), limit in 1usize..6,
        ) {
            let tables = [Table::Meta, Table::Link, Table::Settled2];
            let batch = |writes: &[(u8, bool)], value: &str| {
                let mut batch = Batch::new();
                for (key, put) in writes {
                    for table in tables {
                        if *put { batch.put(table, [*key], value) } else { batch.remove(table, [*key]) }
                    }
                }
                batch
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (store, model) = (MemoryStore::new(), MemoryStore::new());
                store.commit(batch(&below, "below")).await.unwrap();
                model.commit(batch(&below, "below")).await.unwrap();
                let untouched = store.range(Table::Link, None, 100).await.unwrap();
                let overlay = Overlay::new(&store);
                overlay.commit(batch(&above, "above")).await.unwrap();
                model.commit(batch(&above, "above")).await.unwrap();
                let after = after.map(|key| vec![key]);
                for table in tables {
                    let found = overlay.range(table, after.as_deref(), limit).await.unwrap();
                    assert_eq!(found, model.range(table, after.as_deref(), limit).await.unwrap());
                    let keys: Vec<Vec<u8>> = (0..12).map(|key| vec![key]).collect();
                    assert_eq!(overlay.get_many(table, &keys).await.unwrap(), model.get_many(table, &keys).await.unwrap());
                    assert_eq!(overlay.get(table, &[3]).await.unwrap(), model.get(table, &[3]).await.unwrap());
                }
                assert_eq!(store.range(Table::Link, None, 100).await.unwrap(), untouched);
            });
        }
    }
}
