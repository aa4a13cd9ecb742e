//! Moving a bridge's state from one store to another: copied, compared back, and only then left.
//!
//! At every moment a run can use exactly one of the two or none: while a file `arriving` (a column, in PostgreSQL) stands beside the
//! new store, that one is refused; once the old one says where it moved, it is refused. A kill is healed by the same command again.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::open::{self, ARRIVING, MOVED_KEY, OWN, Opening, Purpose};
use super::postgres::desk;
use super::{AnyStore, Batch, StateKey, StateLimits, StateLocation, StateStore, Table, files};
use crate::model::{Error, Result};

/// Pairs read and written at a time. With values of at most 200 KB that bounds memory to some tens of megabytes.
const PAGE: usize = 100;

/// `contactbridge state move BRIDGE --to STATE`.
pub struct Move<'a> {
    /// Where the state is.
    pub from: &'a StateLocation,
    /// Where it shall be.
    pub to: &'a StateLocation,
    /// The bridge.
    pub bridge: &'a str,
    /// That of the bridge's vault; the key stays the same.
    pub fingerprint: [u8; 8],
    /// Whether the key stands in the key file, which then moves along.
    pub key_file: bool,
    /// What the new store may need of the machine.
    pub limits: &'a StateLimits,
    /// For the locks.
    pub now: DateTime<Utc>,
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Keys that stand in the new store, all compared.
    pub keys: u64,
}

impl Move<'_> {
    /// Moves the state. `progress` is told how many keys are done, in two passes: copied, then compared.
    ///
    /// `E-STATE-SAME`, `E-STATE-NONE`, `E-STATE-EXISTS` (exit 2) where there is nothing to move or no place for it;
    /// `E-STATE-MOVED` (exit 7) where it has gone elsewhere; and everything that [`open::open`] answers.
    pub async fn run(&self, progress: &mut dyn FnMut(u64)) -> Result<Moved> {
        self.check_places()?;
        let old = self.open(self.from).await?;
        let is_arriving = self.is_arriving()?;
        if let Some(gone) = old.get(Table::Meta, MOVED_KEY).await? {
            // Killed after the old store was left: the new one was compared before, so only the last step is missing.
            if gone == self.to.to_string().as_bytes() && is_arriving {
                let keys = count(&old).await?;
                self.finish()?;
                return Ok(Moved { keys });
            }
            return Err(open::moved(self.bridge, &self.from, &gone));
        }
        if !is_arriving && open::exists(self.to, self.bridge)? {
            return Err(Error::config(
                "E-STATE-EXISTS",
                format!(
                    "Bridge `{}` has a state in {} already. Give another place for the new one",
                    self.bridge, self.to
                ),
            ));
        }

        self.announce()?;
        open::discard(self.to, self.bridge, self.now)?;
        if self.key_file {
            StateKey::carry(self.from, self.to)?;
        }
        let new = self.open(self.to).await?;
        let mut done = 0;
        for table in Table::ALL {
            copy(&old, &new, table, &mut done, progress).await?;
        }
        for table in Table::ALL {
            compare(&old, &new, table, &mut done, progress).await?;
        }
        new.close()?;

        let mut leave = Batch::new();
        leave.put(Table::Meta, MOVED_KEY, self.to.to_string());
        old.commit(leave).await?;
        old.close()?;
        self.finish()?;
        Ok(Moved { keys: done / 2 })
    }

    async fn open(&self, location: &StateLocation) -> Result<AnyStore> {
        let opening = Opening {
            purpose: Purpose::Move,
            bridge: self.bridge,
            fingerprint: self.fingerprint,
            limits: self.limits,
            now: self.now,
        };
        opening.open(location).await.map(|(store, _)| store)
    }

    fn check_places(&self) -> Result<()> {
        if self.key_file && self.to.shared().is_some() {
            return Err(Error::config(
                "E-STATE-KEY",
                format!(
                    "{} keeps no key file. Give the key as `state_key` in bridge.yaml first (`state_key: ${{file:{}}}`, or the file's content elsewhere), and run the move again",
                    self.to,
                    self.from.key_file()?.display()
                ),
            ));
        }
        if self.is_same()? {
            return Err(Error::config(
                "E-STATE-SAME",
                format!(
                    "The state of bridge `{}` is in {} already",
                    self.bridge, self.to
                ),
            ));
        }
        if !open::exists(self.from, self.bridge)? {
            return Err(Error::config(
                "E-STATE-NONE",
                format!(
                    "Bridge `{}` has no state in {} that could be moved. Write the new `state` into bridge.yaml",
                    self.bridge, self.from
                ),
            ));
        }
        Ok(())
    }

    fn is_same(&self) -> Result<bool> {
        if self.from.shared().is_some() || self.to.shared().is_some() {
            // However it is spelled: what a user is asked to write into bridge.yaml must not be what stands there.
            return Ok(self.from.to_string() == self.to.to_string());
        }
        let (from, to) = (self.from.data(self.bridge)?, self.to.data(self.bridge)?);
        Ok(from == to
            || matches!((fs::canonicalize(&from), fs::canonicalize(&to)), (Ok(from), Ok(to)) if from == to))
    }

    /// Whether a move to the new place has begun and not ended.
    fn is_arriving(&self) -> Result<bool> {
        match self.to.shared() {
            Some(place) => desk::is_arriving(place, self.bridge),
            None => Ok(self.to.beside(self.bridge, ARRIVING)?.exists()),
        }
    }

    /// From here on, what is at the new place is refused to runs.
    fn announce(&self) -> Result<()> {
        if let Some(place) = self.to.shared() {
            return desk::announce(place, self.bridge);
        }
        let arriving = &self.to.beside(self.bridge, ARRIVING)?;
        files::private_directory(self.to.directory()?)?;
        if let Some(own) = arriving.parent() {
            files::private_directory(own)?;
        }
        files::replace(
            arriving,
            b"A move of state to this place has not come to its end.\n",
        )
        .map_err(|cause| files::failed("write", arriving, cause))
    }

    /// From here on, the new store is the one.
    fn finish(&self) -> Result<()> {
        if let Some(place) = self.to.shared() {
            return desk::finish(place, self.bridge);
        }
        let arriving = &self.to.beside(self.bridge, ARRIVING)?;
        match fs::remove_file(arriving) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
            _ => File::open(arriving.parent().unwrap_or(Path::new(".")))
                .and_then(|place| place.sync_all()),
        }
        .map_err(|cause| files::failed("remove", arriving, cause))
    }
}

fn moves(table: Table, key: &[u8]) -> bool {
    table != Table::Meta || !key.starts_with(OWN)
}

type Pair = (Vec<u8>, Vec<u8>);

/// Walks through a table by pages.
struct Walk<'a> {
    store: &'a AnyStore,
    table: Table,
    after: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn new(store: &'a AnyStore, table: Table) -> Self {
        Self {
            store,
            table,
            after: None,
        }
    }

    /// The next pairs that move; empty at the end.
    async fn next(&mut self) -> Result<Vec<Pair>> {
        loop {
            let mut page = self
                .store
                .range(self.table, self.after.as_deref(), PAGE)
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(page);
            };
            self.after = Some(last.clone());
            page.retain(|(key, _)| moves(self.table, key));
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

async fn copy(
    old: &AnyStore,
    new: &AnyStore,
    table: Table,
    done: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut walk = Walk::new(old, table);
    loop {
        let page = walk.next().await?;
        if page.is_empty() {
            return Ok(());
        }
        *done += page.len() as u64;
        let mut batch = Batch::new();
        for (key, value) in page {
            batch.put(table, key, value);
        }
        new.commit(batch).await?;
        progress(*done);
    }
}

async fn compare(
    old: &AnyStore,
    new: &AnyStore,
    table: Table,
    done: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let (mut left, mut right) = (Walk::new(old, table), Walk::new(new, table));
    loop {
        let (page, copied) = (left.next().await?, right.next().await?);
        if page != copied {
            return Err(Error::unexpected(
                "E-STATE-MOVE",
                format!(
                    "The copy of the table {table:?} is not the same as the original, which is left as it was. Run the move again"
                ),
            ));
        }
        if page.is_empty() {
            return Ok(());
        }
        *done += page.len() as u64;
        progress(*done);
    }
}

async fn count(store: &AnyStore) -> Result<u64> {
    let mut keys = 0;
    for table in Table::ALL {
        let mut walk = Walk::new(store, table);
        loop {
            let page = walk.next().await?;
            if page.is_empty() {
                break;
            }
            keys += page.len() as u64;
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind as Kind;

    const KEY: [u8; 8] = *b"the key!";

    struct Places {
        _directory: tempfile::TempDir,
        sled: StateLocation,
        sqlite: StateLocation,
        limits: StateLimits,
    }

    impl Places {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self {
                sled: StateLocation::Sled(directory.path().join("state")),
                sqlite: StateLocation::Sqlite(directory.path().join("lite")),
                limits: StateLimits {
                    free_bytes_min: 0,
                    cache_bytes: 16 * 1024 * 1024,
                    ..StateLimits::default()
                },
                _directory: directory,
            }
        }

        fn both_ways(&self) -> [(&StateLocation, &StateLocation); 2] {
            [(&self.sled, &self.sqlite), (&self.sqlite, &self.sled)]
        }

        async fn open(&self, at: &StateLocation) -> Result<AnyStore> {
            open::open(at, "members", KEY, &self.limits, now())
                .await
                .map(|(store, _)| store)
        }

        async fn fill(&self, at: &StateLocation) {
            let store = self.open(at).await.unwrap();
            let mut batch = Batch::new();
            for table in Table::ALL {
                for number in 0..250u32 {
                    batch.put(table, number.to_be_bytes(), [table as u8; 40]);
                }
            }
            batch.put(Table::Quarantine, "large", vec![3; 180_000]);
            store.commit(batch).await.unwrap();
            store.close().unwrap();
        }

        fn plan<'a>(&'a self, from: &'a StateLocation, to: &'a StateLocation) -> Move<'a> {
            Move {
                from,
                to,
                bridge: "members",
                fingerprint: KEY,
                key_file: true,
                limits: &self.limits,
                now: now(),
            }
        }
    }

    const KEYS: u64 = 250 * Table::ALL.len() as u64 + 1;

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:02:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn everything_moves_with_the_key_and_the_old_store_is_refused() {
        for direction in 0..2 {
            let places = Places::new();
            let (from, to) = places.both_ways()[direction];
            let key = StateKey::find(from, None, false, &mut |bytes| bytes.fill(7)).unwrap();
            places.fill(from).await;
            let mut told = Vec::new();
            let moved = places
                .plan(from, to)
                .run(&mut |done| told.push(done))
                .await
                .unwrap();
            assert_eq!(moved.keys, KEYS);
            assert_eq!(told.last(), Some(&(2 * KEYS)));

            let error = places.open(from).await.err().unwrap();
            assert_eq!(
                (error.code(), error.kind()),
                ("E-STATE-MOVED", Kind::NeedsPerson)
            );
            assert!(error.message().contains(&to.to_string()), "{error}");
            let store = places.open(to).await.unwrap();
            assert_eq!(count(&store).await.unwrap(), KEYS);
            assert_eq!(
                store
                    .get(Table::Quarantine, b"large")
                    .await
                    .unwrap()
                    .unwrap(),
                vec![3; 180_000]
            );
            let carried = StateKey::find(to, None, false, &mut |_| panic!()).unwrap();
            assert_eq!(carried.vault().fingerprint(), key.vault().fingerprint());
            store.close().unwrap();

            // Once more is refused, and tells where it is.
            let again = places.plan(from, to).run(&mut |_| ()).await.unwrap_err();
            assert_eq!(again.code(), "E-STATE-MOVED");
        }
    }

    #[tokio::test]
    async fn a_move_that_was_killed_while_copying_starts_over() {
        for direction in 0..2 {
            let places = Places::new();
            let (from, to) = places.both_ways()[direction];
            places.fill(from).await;
            // The state that a kill leaves: announced, and something of another day copied.
            let plan = places.plan(from, to);
            plan.announce().unwrap();
            let half = plan.open(to).await.unwrap();
            let mut batch = Batch::new();
            batch.put(Table::Link, "of another day", "1");
            half.commit(batch).await.unwrap();
            half.close().unwrap();
            assert_eq!(
                places.open(to).await.err().unwrap().code(),
                "E-STATE-ARRIVING"
            );
            places.open(from).await.unwrap().close().unwrap();

            assert_eq!(plan.run(&mut |_| ()).await.unwrap().keys, KEYS);
            let store = places.open(to).await.unwrap();
            assert_eq!(
                store.get(Table::Link, b"of another day").await.unwrap(),
                None
            );
        }
    }

    #[tokio::test]
    async fn a_move_that_was_killed_after_the_old_store_was_left_is_finished() {
        for direction in 0..2 {
            let places = Places::new();
            let (from, to) = places.both_ways()[direction];
            places.fill(from).await;
            let plan = places.plan(from, to);
            plan.run(&mut |_| ()).await.unwrap();
            plan.announce().unwrap();
            assert_eq!(
                places.open(from).await.err().unwrap().code(),
                "E-STATE-MOVED"
            );
            assert_eq!(
                places.open(to).await.err().unwrap().code(),
                "E-STATE-ARRIVING"
            );

            assert_eq!(plan.run(&mut |_| ()).await.unwrap().keys, KEYS);
            places.open(to).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_can_not_be_moved_is_said_and_left_alone() {
        for direction in 0..2 {
            let places = Places::new();
            let (from, to) = places.both_ways()[direction];
            let plan = places.plan(from, to);
            let none = plan.run(&mut |_| ()).await.unwrap_err();
            assert_eq!((none.code(), none.kind()), ("E-STATE-NONE", Kind::Config));
            assert!(!from.directory().unwrap().exists());

            places.fill(from).await;
            let same = places.plan(from, from).run(&mut |_| ()).await.unwrap_err();
            assert_eq!((same.code(), same.kind()), ("E-STATE-SAME", Kind::Config));

            places.open(to).await.unwrap().close().unwrap();
            let there = plan.run(&mut |_| ()).await.unwrap_err();
            assert_eq!(
                (there.code(), there.kind()),
                ("E-STATE-EXISTS", Kind::Config)
            );

            let held = places.open(from).await.unwrap();
            let busy = plan.run(&mut |_| ()).await.unwrap_err();
            assert_eq!(busy.kind(), Kind::Busy);
            held.close().unwrap();
            places.open(from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_copy_that_differs_is_not_taken() {
        let places = Places::new();
        places.fill(&places.sled).await;
        places.fill(&places.sqlite).await;
        let old = places.open(&places.sled).await.unwrap();
        let new = places.open(&places.sqlite).await.unwrap();
        let mut done = 0;
        compare(&old, &new, Table::Link, &mut done, &mut |_| ())
            .await
            .unwrap();
        for (key, value) in [
            (249u32.to_be_bytes().to_vec(), Some(b"other".to_vec())),
            (249u32.to_be_bytes().to_vec(), None),
            (b"more".to_vec(), Some(b"1".to_vec())),
        ] {
            let mut batch = Batch::new();
            batch.writes.push((Table::Link, key, value));
            new.commit(batch).await.unwrap();
            let error = compare(&old, &new, Table::Link, &mut done, &mut |_| ()).await;
            assert_eq!(error.unwrap_err().code(), "E-STATE-MOVE");
        }
    }
}
