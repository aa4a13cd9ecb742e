//! What every store must do, as one suite that each implementation runs.
//!
//! It goes through [`StateStore`] alone, so that it can't know how a store is made.

use super::{Batch, StateStore, Table};

/// Runs the whole suite. `open` opens the store (empty at first), `close` ends it; after it `open` must find everything again.
pub(super) async fn keeps_the_contract<S: StateStore>(
    open: impl AsyncFn() -> S,
    close: impl AsyncFn(S),
) {
    let store = open().await;
    starts_empty(&store).await;
    reads_back_what_was_written(&store).await;
    last_write_for_a_key_counts(&store).await;
    keeps_tables_apart(&store).await;
    ranges_are_in_key_order_strictly_after(&store).await;
    is_visible_before_it_is_durable(&store).await;
    takes_values_of_any_size(&store).await;
    replaces_large_values_by_small_ones_and_back(&store).await;
    takes_batches_of_thousands(&store).await;
    takes_awkward_keys(&store).await;
    takes_an_empty_batch(&store).await;
    finds_everything_after_a_reopen(store, open, close).await;
}

fn one(table: Table, key: &[u8], value: Option<&[u8]>) -> Batch {
    Batch {
        writes: vec![(table, key.to_vec(), value.map(<[u8]>::to_vec))],
    }
}

async fn clear(store: &impl StateStore, table: Table) {
    loop {
        let found = store.range(table, None, 1000).await.unwrap();
        if found.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        for (key, _) in found {
            batch.remove(table, key);
        }
        store.commit(batch).await.unwrap();
    }
}

async fn starts_empty(store: &impl StateStore) {
    for table in Table::ALL {
        if table != Table::Meta {
            assert_eq!(store.range(table, None, 10).await.unwrap(), []);
        }
        assert_eq!(store.get(table, b"nothing").await.unwrap(), None);
    }
}

async fn reads_back_what_was_written(store: &impl StateStore) {
    let mut batch = Batch::new();
    batch.put(Table::Link, "a", "1");
    batch.put(Table::Link, "b", "2");
    store.commit(batch).await.unwrap();
    assert_eq!(store.get(Table::Link, b"a").await.unwrap().unwrap(), b"1");
    let asked = [b"b".to_vec(), b"x".to_vec(), b"a".to_vec(), b"b".to_vec()];
    assert_eq!(
        store.get_many(Table::Link, &asked).await.unwrap(),
        [
            Some(b"2".to_vec()),
            None,
            Some(b"1".to_vec()),
            Some(b"2".to_vec())
        ]
    );
    store.commit(one(Table::Link, b"a", None)).await.unwrap();
    assert_eq!(store.get(Table::Link, b"a").await.unwrap(), None);
    store.commit(one(Table::Link, b"a", None)).await.unwrap();
    clear(store, Table::Link).await;
}

async fn last_write_for_a_key_counts(store: &impl StateStore) {
    let mut batch = Batch::new();
    batch.put(Table::Tomb, "put last", "old");
    batch.remove(Table::Tomb, "put last");
    batch.put(Table::Tomb, "put last", "new");
    batch.put(Table::Tomb, "removed last", "old");
    batch.remove(Table::Tomb, "removed last");
    batch.put(Table::Tomb, "large, then small", vec![1; 50_000]);
    batch.put(Table::Tomb, "large, then small", "small");
    store.commit(batch).await.unwrap();
    assert_eq!(
        store.range(Table::Tomb, None, 10).await.unwrap(),
        [
            (b"large, then small".to_vec(), b"small".to_vec()),
            (b"put last".to_vec(), b"new".to_vec()),
        ]
    );
    clear(store, Table::Tomb).await;
}

async fn keeps_tables_apart(store: &impl StateStore) {
    for table in Table::ALL {
        let mut batch = one(table, b"same key", Some(&[table as u8]));
        batch.put(table, [table as u8 + 1], "looks like the next table");
        store.commit(batch).await.unwrap();
    }
    for table in Table::ALL {
        assert_eq!(
            store.get(table, b"same key").await.unwrap().unwrap(),
            [table as u8]
        );
        let next = [table as u8 + 1];
        let found = store.range(table, None, 100).await.unwrap();
        assert_eq!(
            found.iter().filter(|(key, _)| key == b"same key").count(),
            1
        );
        assert_eq!(found.iter().filter(|(key, _)| key == &next).count(), 1);
    }
    for table in Table::ALL {
        let mut batch = one(table, b"same key", None);
        batch.remove(table, [table as u8 + 1]);
        store.commit(batch).await.unwrap();
    }
}

async fn ranges_are_in_key_order_strictly_after(store: &impl StateStore) {
    let mut batch = Batch::new();
    let keys: Vec<Vec<u8>> = (0u16..500)
        .map(|number| number.to_be_bytes().to_vec())
        .collect();
    for at in 0..500 {
        let key = &keys[(at * 77) % 500];
        batch.put(Table::ByLocal, key.clone(), key.repeat(3));
    }
    batch.put(Table::ByLocal, [0u8, 7, 0], "after 7, before 8");
    store.commit(batch).await.unwrap();

    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store
            .range(Table::ByLocal, after.as_deref(), 64)
            .await
            .unwrap();
        assert!(page.len() <= 64);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(found.len(), 501);
    assert!(found.is_sorted());
    assert_eq!(found[8], [0, 7, 0]);

    let between = store
        .range(Table::ByLocal, Some(&[0, 7, 0, 0]), 1)
        .await
        .unwrap();
    assert_eq!(between[0].0, [0, 8]);
    assert_eq!(
        store
            .range(Table::ByLocal, Some(&[0xff]), 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.range(Table::ByLocal, None, 0).await.unwrap(), []);
    clear(store, Table::ByLocal).await;
}

async fn is_visible_before_it_is_durable(store: &impl StateStore) {
    let mut waiting = Vec::new();
    for number in 0..20u8 {
        waiting.push(store.commit(one(Table::Intent, &[number], Some(&[number]))));
        assert_eq!(
            store.get(Table::Intent, &[number]).await.unwrap().unwrap(),
            [number]
        );
        assert_eq!(
            store.range(Table::Intent, None, 100).await.unwrap().len(),
            usize::from(number) + 1
        );
    }
    for durable in waiting {
        durable.await.unwrap();
    }
    // Dropping the way to durability cancels nothing.
    drop(store.commit(one(Table::Intent, b"dropped", Some(b"1"))));
    assert!(
        store
            .get(Table::Intent, b"dropped")
            .await
            .unwrap()
            .is_some()
    );
    clear(store, Table::Intent).await;
}

const SIZES: [usize; 10] = [0, 1, 250, 4090, 4096, 4097, 8192, 12_289, 150_000, 200_000];

fn patterned(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8).collect()
}

async fn takes_values_of_any_size(store: &impl StateStore) {
    for size in SIZES {
        let key = (size as u32).to_be_bytes();
        store
            .commit(one(Table::Quarantine, &key, Some(&patterned(size))))
            .await
            .unwrap();
        assert_eq!(
            store.get(Table::Quarantine, &key).await.unwrap().unwrap(),
            patterned(size)
        );
    }
    let found = store.range(Table::Quarantine, None, 100).await.unwrap();
    assert_eq!(found.len(), SIZES.len());
    for ((_, value), size) in found.iter().zip(SIZES) {
        assert_eq!(value.len(), size);
        assert_eq!(value, &patterned(size));
    }
    clear(store, Table::Quarantine).await;
    for size in SIZES {
        let key = (size as u32).to_be_bytes();
        assert_eq!(store.get(Table::Quarantine, &key).await.unwrap(), None);
    }
}

async fn replaces_large_values_by_small_ones_and_back(store: &impl StateStore) {
    for size in [100_000, 3, 50_000, 0, 120_000, 90_000, 4097] {
        store
            .commit(one(Table::Review, b"r", Some(&patterned(size))))
            .await
            .unwrap();
        assert_eq!(
            store.get(Table::Review, b"r").await.unwrap().unwrap(),
            patterned(size)
        );
        assert_eq!(
            store.range(Table::Review, None, 10).await.unwrap(),
            [(b"r".to_vec(), patterned(size))]
        );
    }
    clear(store, Table::Review).await;
}

async fn takes_batches_of_thousands(store: &impl StateStore) {
    let mut batch = Batch::new();
    for number in 0..5000u32 {
        let key = number.wrapping_mul(2_654_435_761).to_be_bytes();
        batch.put(Table::Link, key, [number as u8; 250]);
        batch.put(Table::ByLocal, number.to_be_bytes(), key);
    }
    store.commit(batch).await.unwrap();
    assert_eq!(
        store.range(Table::Link, None, 10_000).await.unwrap().len(),
        5000
    );
    assert_eq!(
        store
            .range(Table::ByLocal, None, 10_000)
            .await
            .unwrap()
            .len(),
        5000
    );
    clear(store, Table::Link).await;
    clear(store, Table::ByLocal).await;
}

async fn takes_awkward_keys(store: &impl StateStore) {
    let keys: [&[u8]; 7] = [
        &[],
        &[0],
        &[0, 0],
        &[0, 1],
        &[0xff],
        &[0xff, 0xff],
        &[0xff; 600],
    ];
    let mut batch = Batch::new();
    for key in keys {
        batch.put(Table::Stranger, key, key);
        // Of a size that a store may keep in parts: parts of one key must not be taken for those of another.
        batch.put(Table::Settled, key, [key, &patterned(9000)].concat());
    }
    store.commit(batch).await.unwrap();
    let found = store.range(Table::Stranger, None, 100).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|(key, _)| key.as_slice())
            .collect::<Vec<_>>(),
        keys
    );
    for key in keys {
        assert_eq!(store.get(Table::Stranger, key).await.unwrap().unwrap(), key);
        assert_eq!(
            store.get(Table::Settled, key).await.unwrap().unwrap(),
            [key, &patterned(9000)].concat()
        );
    }
    store.commit(one(Table::Settled, &[0], None)).await.unwrap();
    assert_eq!(
        store.get(Table::Settled, &[0, 0]).await.unwrap().unwrap(),
        [&[0, 0], patterned(9000).as_slice()].concat()
    );
    clear(store, Table::Stranger).await;
    clear(store, Table::Settled).await;
}

async fn takes_an_empty_batch(store: &impl StateStore) {
    store.commit(Batch::new()).await.unwrap();
}

async fn finds_everything_after_a_reopen<S: StateStore>(
    store: S,
    open: impl AsyncFn() -> S,
    close: impl AsyncFn(S),
) {
    let mut store = store;
    for round in 0..4u8 {
        let mut batch = Batch::new();
        for number in 0..200u8 {
            batch.put(Table::Outbox, [round, number], [number; 300]);
        }
        batch.put(Table::Inbox, [round], patterned(100_000));
        store.commit(batch).await.unwrap();
        close(store).await;
        store = open().await;
        assert_eq!(
            store.range(Table::Outbox, None, 5000).await.unwrap().len(),
            200 * (usize::from(round) + 1)
        );
        for known in 0..=round {
            assert_eq!(
                store.get(Table::Inbox, &[known]).await.unwrap().unwrap(),
                patterned(100_000)
            );
        }
    }
    close(store).await;
}
