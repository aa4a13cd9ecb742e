//! Keys that begin alike, page by page: how the queues of messages are read.

use crate::model::Result;
use crate::state::{StateStore, Table};

/// The next pairs whose keys begin with `first`, after `after` (from the first on, where `None`); empty at their end.
///
/// `first` alone is never a key.
pub(super) async fn page<S: StateStore>(
    store: &S,
    table: Table,
    first: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = store
        .range(table, Some(after.unwrap_or(first)), limit)
        .await?;
    let end = pairs.iter().position(|(key, _)| !key.starts_with(first));
    pairs.truncate(end.unwrap_or(limit));
    Ok(pairs)
}

/// How many keys begin with `first`; `limit` of them are read at a time.
pub(super) async fn count<S: StateStore>(
    store: &S,
    table: Table,
    first: &[u8],
    limit: usize,
) -> Result<u64> {
    let (mut count, mut after) = (0, None);
    loop {
        let pairs = page(store, table, first, after.as_deref(), limit).await?;
        count += pairs.len() as u64;
        match pairs.into_iter().nth(limit - 1) {
            Some((last, _)) => after = Some(last),
            None => return Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Batch, MemoryStore};

    #[tokio::test]
    async fn keys_that_begin_otherwise_are_neither_shown_nor_counted() {
        let store = MemoryStore::new();
        let mut batch = Batch::new();
        for key in ["g9", "h1", "h2", "h3", "h4", "i1"] {
            batch.put(Table::Inbox, key, key);
        }
        store.commit(batch).await.unwrap();
        let keys = async |after: Option<&[u8]>, limit| {
            let pairs = page(&store, Table::Inbox, b"h", after, limit)
                .await
                .unwrap();
            let keys = pairs.into_iter().map(|(key, _)| key);
            keys.map(|key| String::from_utf8(key).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(None, 3).await, ["h1", "h2", "h3"]);
        assert_eq!(keys(Some(b"h3"), 3).await, ["h4"]);
        assert!(keys(Some(b"h4"), 3).await.is_empty());
        for limit in 1..6 {
            let of = async |first: &[u8]| count(&store, Table::Inbox, first, limit).await.unwrap();
            assert_eq!((of(b"h").await, of(b"i").await, of(b"j").await), (4, 1, 0));
        }
    }
}
