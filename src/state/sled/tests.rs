//! sled under the contract, and what is done about stores that are cut, damaged or replaced.

// Damage is done behind the store's back.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

use super::*;
use crate::model::ErrorKind as Kind;
use crate::state::contract;

const CACHE: u64 = 16 * 1024 * 1024;

fn open(directory: &Path) -> Result<SledStore> {
    let mut initial = Batch::new();
    initial.put(Table::Meta, "made", "1");
    SledStore::open(directory, CACHE, initial).map(|(store, _)| store)
}

fn put(number: u32) -> Batch {
    let mut batch = Batch::new();
    for entry in 0..20u32 {
        let key = (number * 20 + entry)
            .wrapping_mul(2_654_435_761)
            .to_be_bytes();
        batch.put(Table::Link, key, [number as u8; 200]);
    }
    batch
}

/// A store with some hundred commits, closed.
async fn filled(directory: &Path, commits: u32) {
    let store = open(directory).unwrap();
    for number in 0..commits {
        store.commit(put(number)).await.unwrap();
    }
    store.close().unwrap();
}

#[tokio::test]
async fn keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    contract::keeps_the_contract(
        async || open(directory.path()).unwrap(),
        async |store| store.close().unwrap(),
    )
    .await;
    let blobs = fs::read_dir(directory.path().join("db/blobs")).unwrap();
    assert_eq!(blobs.count(), 0, "values are split before sled makes blobs");
}

#[tokio::test]
async fn a_new_store_holds_what_it_begins_with_and_says_that_it_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let mut initial = Batch::new();
    initial.put(Table::Meta, "made", "first");
    let (store, created) = SledStore::open(directory.path(), CACHE, initial.clone()).unwrap();
    assert!(created);
    drop(store);
    let mut other = Batch::new();
    other.put(Table::Meta, "made", "second");
    let (store, created) = SledStore::open(directory.path(), CACHE, other).unwrap();
    assert!(!created);
    assert_eq!(
        store.get(Table::Meta, b"made").await.unwrap().unwrap(),
        b"first"
    );
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let error = open(directory.path()).err().unwrap();
    assert_eq!((error.code(), error.kind()), ("E-STATE-LOCKED", Kind::Busy));
    store.close().unwrap();
    open(directory.path()).unwrap();
}

#[tokio::test]
async fn commits_that_wait_share_a_flush_and_all_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let waiting: Vec<_> = (0..200).map(|number| store.commit(put(number))).collect();
    for durable in waiting {
        durable.await.unwrap();
    }
    store.close().unwrap();
    let store = open(directory.path()).unwrap();
    assert_eq!(
        store.range(Table::Link, None, 10_000).await.unwrap().len(),
        4000
    );
}

#[tokio::test]
async fn h62_a_damaged_value_is_an_error_and_not_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let mut batch = put(1);
    batch.put(Table::Review, "large", vec![7; 20_000]);
    batch.put(Table::Review, "short of a part", vec![8; 20_000]);
    batch.put(Table::Review, "small", "abc");
    store.commit(batch).await.unwrap();

    let damage = |place: Vec<u8>| {
        let mut bytes = store.db.get(&place).unwrap().unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        store.db.insert(place, bytes).unwrap();
    };
    damage(place(Table::Review, b"small"));
    damage(part_key(Table::Review, b"large", 2));
    store
        .db
        .remove(part_key(Table::Review, b"short of a part", 4))
        .unwrap();
    for key in ["small", "large", "short of a part"] {
        let error = store.get(Table::Review, key.as_bytes()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-STATE-CORRUPT", Kind::NeedsPerson)
        );
        assert!(error.message().contains("Review"));
        assert!(!error.message().contains(key));
    }
    assert!(store.range(Table::Review, None, 10).await.is_err());
    assert_eq!(store.range(Table::Link, None, 100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn h60_an_emptied_store_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 5).await;
    let data = directory.path().join("db");

    let log = fs::read(data.join("db")).unwrap();
    fs::write(data.join("db"), b"").unwrap();
    assert_eq!(
        open(directory.path()).err().unwrap().code(),
        "E-STATE-CORRUPT"
    );
    fs::write(data.join("db"), &log).unwrap();

    let settings = fs::read(data.join("conf")).unwrap();
    fs::write(data.join("conf"), b"").unwrap();
    assert_eq!(
        open(directory.path()).err().unwrap().code(),
        "E-STATE-CORRUPT"
    );
    fs::write(data.join("conf"), &settings).unwrap();

    fs::rename(&data, directory.path().join("away")).unwrap();
    assert_eq!(
        open(directory.path()).err().unwrap().code(),
        "E-STATE-CORRUPT"
    );
    fs::rename(directory.path().join("away"), &data).unwrap();
    open(directory.path()).unwrap();
}

#[tokio::test]
async fn h60_a_store_replaced_by_an_empty_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 5).await;
    let data = directory.path().join("db");
    fs::remove_dir_all(&data).unwrap();
    let plain = ::sled::Config::new().path(&data).open().unwrap();
    plain.insert("x", "y").unwrap();
    plain.flush().unwrap();
    drop(plain);
    let error = open(directory.path()).err().unwrap();
    assert_eq!(error.code(), "E-STATE-CORRUPT");
}

#[tokio::test]
async fn h61_an_older_copy_of_the_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 5).await;
    let data = directory.path().join("db");
    let copy = directory.path().join("copy");
    copy_all(&data, &copy);
    filled(directory.path(), 5).await;
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&copy, &data).unwrap();
    let error = open(directory.path()).err().unwrap();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-OLD", Kind::NeedsPerson)
    );
    // Refusing it must not make it look younger.
    assert_eq!(open(directory.path()).err().unwrap().code(), "E-STATE-OLD");
}

#[tokio::test]
async fn a_store_ahead_of_its_marker_was_cut_between_the_two_and_opens() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 3).await;
    let marker = fs::read(directory.path().join("marker")).unwrap();
    filled(directory.path(), 3).await;
    fs::write(directory.path().join("marker"), marker).unwrap();
    open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_first_open_that_was_cut_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 0).await;
    for _ in 0..2 {
        fs::remove_file(directory.path().join("marker")).unwrap();
        fs::write(directory.path().join("creating"), "").unwrap();
        // What sled left is put aside, and not deleted.
        let (store, created) = SledStore::open(directory.path(), CACHE, Batch::new()).unwrap();
        assert!(created);
        assert_eq!(store.get(Table::Meta, b"made").await.unwrap(), None);
        drop(store);
        assert!(directory.path().join("db.unfinished/db").exists());
        assert!(!directory.path().join("creating").exists());
    }
}

#[tokio::test]
async fn a_first_open_that_was_cut_at_its_last_step_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 3).await;
    fs::write(directory.path().join("creating"), "").unwrap();
    let store = open(directory.path()).unwrap();
    assert_eq!(store.range(Table::Link, None, 100).await.unwrap().len(), 60);
    assert!(!directory.path().join("creating").exists());
}

#[tokio::test]
async fn data_without_its_marker_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 1).await;
    fs::remove_file(directory.path().join("marker")).unwrap();
    for _ in 0..2 {
        assert_eq!(
            open(directory.path()).err().unwrap().code(),
            "E-STATE-CORRUPT"
        );
    }
    assert!(directory.path().join("db/db").exists());
}

#[tokio::test]
async fn a_snapshot_that_was_cut_while_written_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 5).await;
    let torn = directory.path().join("db/snap.0000000000001000.generating");
    fs::write(&torn, b"torn").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(!torn.exists());
    assert_eq!(
        store.range(Table::Link, None, 1000).await.unwrap().len(),
        100
    );
}

#[tokio::test]
async fn a_store_that_failed_once_refuses_everything_until_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.commit(put(1)).await.unwrap();
    // The place that each commit looks at after its flush is gone: nothing can be promised any more.
    let blobs = directory.path().join("db/blobs");
    fs::remove_dir(&blobs).unwrap();
    let error = store.commit(put(2)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-IO", Kind::NeedsPerson)
    );
    fs::create_dir(&blobs).unwrap();
    assert_eq!(store.commit(put(3)).await.unwrap_err().code(), "E-STATE-IO");
    assert!(store.get(Table::Meta, b"made").await.is_err());
    assert!(store.range(Table::Link, None, 1).await.is_err());
    assert_eq!(store.close().unwrap_err().code(), "E-STATE-IO");

    let store = open(directory.path()).unwrap();
    let found = store.range(Table::Link, None, 100).await.unwrap().len();
    assert!(
        [20, 40].contains(&found),
        "the second commit is whole or not there"
    );
}

#[tokio::test]
async fn sled_goes_through_the_barrier() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let before = barrier::calls();
    store.commit(put(1)).await.unwrap();
    assert!(before.is_none() || barrier::calls() > before);
}

#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 2).await;
    filled(directory.path(), 2).await;
    let mut waiting = vec![directory.path().to_owned()];
    let mut seen = 0;
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                waiting.push(path);
            } else {
                assert_eq!(mode, 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 3);
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
