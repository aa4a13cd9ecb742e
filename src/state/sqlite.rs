//! The sturdier embedded store: one SQLite file per bridge, WAL, synchronous=FULL.
//!
//! SQLite makes commits durable by itself; what it does not notice (an emptied file, a lost `-wal`, an older copy of the file)
//! the [`Marker`] beside it does, and each value carries its own checksum. The module must not interpret values, and
//! never makes a new store in the place of a damaged one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use super::contain::contain;
use super::envelope::{self, Stored};
use super::fault::{Fault, damaged, damaged_value};
use super::marker::Marker;
use super::{Batch, Durable, StateStore, Table, files};
use crate::model::{Error, ErrorKind, Result};

/// The store's own key, in table 0: the number of the last commit.
const SEQUENCE: &[u8] = b"sequence";

/// Page cache; the rest of the file is in the system's.
const CACHE_KIB: i64 = 32 * 1024;

/// Pages of the write-ahead log before they are carried into the file: 16 MB. With keys in no order each commit touches as many
/// pages as it has links; the more of them meet in the log, the fewer are written twice.
const CHECKPOINT_PAGES: i64 = 4096;

/// One bridge's state in a SQLite file.
pub struct SqliteStore {
    file: PathBuf,
    inner: Mutex<Inner>,
    fault: Fault,
}

struct Inner {
    connection: Connection,
    marker: Marker,
    sequence: u64,
}

impl SqliteStore {
    /// Opens the store in `file`, whose directory exists and is locked by the caller. The second value says whether it
    /// is new; then it holds `initial`, durably.
    ///
    /// `E-STATE-CORRUPT` and `E-STATE-OLD` (exit 7) for a store that lost something, `E-DISK` for a full or forbidden disk.
    pub fn open(file: &Path, initial: Batch) -> Result<(Self, bool)> {
        let mut marker_path = OsString::from(file);
        marker_path.push(".marker");
        let marker_path = PathBuf::from(marker_path);
        let known = Marker::open(&marker_path)?;
        let length = fs::metadata(file).map_or(0, |found| found.len());
        if known.is_some() && length == 0 {
            return Err(damaged(file, "the file is missing or empty"));
        }
        files::private()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|made| made.sync_all())
            .and_then(|()| files::sync_directory(file.parent().unwrap_or(Path::new("."))))
            .map_err(|cause| files::failed("open", file, cause))?;

        let mut connection = ask(file, || connect(file))?;
        let found = ask(file, || find_sequence(&mut connection))?;
        let found = match found {
            Found::Nothing => None,
            Found::Sequence(sequence) => Some(sequence),
            Found::Damaged => return Err(damaged_value(file, 0)),
            Found::Foreign => {
                return Err(damaged(file, "it is a database, but not a state store"));
            }
        };
        if found.is_some() && !ask(file, || is_whole(&connection))? {
            return Err(damaged(file, "its pages do not fit together"));
        }
        let (sequence, marker, created) = match (known, found) {
            (Some(marker), found) => (marker.accept(found, file)?, marker, false),
            // The file was copied without its marker, or the first open was cut right before it.
            (None, Some(sequence)) => (
                sequence,
                Marker::create(&marker_path, sequence)?,
                sequence == 1,
            ),
            (None, None) => {
                ask(file, || create(&mut connection, &initial))?;
                (1, Marker::create(&marker_path, 1)?, true)
            }
        };
        let store = Self {
            file: file.to_owned(),
            inner: Mutex::new(Inner {
                connection,
                marker,
                sequence,
            }),
            fault: Fault::default(),
        };
        Ok((store, created))
    }

    /// Ends the store. Everything committed is durable already.
    pub fn close(self) -> Result<()> {
        self.fault.check()?;
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .marker
            .settle()
            .map_err(|cause| files::failed("write the marker of", &self.file, cause))
    }

    fn ask<T>(&self, work: impl FnOnce(&mut Inner) -> rusqlite::Result<T>) -> Result<T> {
        self.fault.check()?;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&self.file, || work(&mut inner)).map_err(|error| self.fault.note(error))
    }

    fn value(&self, table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
        match envelope::open(table as u8, key, stored) {
            Ok(Stored::Whole(value)) => Ok(value.to_vec()),
            _ => Err(damaged_value(&self.file, table as u8)),
        }
    }

    fn try_commit(&self, batch: Batch) -> Result<()> {
        self.ask(|inner| {
            let transaction = inner.connection.transaction()?;
            write(&transaction, &batch, inner.sequence + 1)?;
            transaction.commit()?;
            inner.sequence += 1;
            Ok(())
        })?;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = inner.sequence;
        inner.marker.advance(sequence).map_err(|cause| {
            self.fault
                .note(files::failed("write the marker of", &self.file, cause))
        })
    }
}

impl StateStore for SqliteStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.ask(|inner| {
            inner
                .connection
                .prepare_cached("SELECT value FROM entry WHERE tab = ?1 AND key = ?2")?
                .query_row(params![table as u8, key], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })?
        .map(|stored| self.value(table, key, &stored))
        .transpose()
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(table, key).await?);
        }
        Ok(found)
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let query = match after {
            Some(_) => {
                "SELECT key, value FROM entry WHERE tab = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
            }
            None => {
                "SELECT key, value FROM entry WHERE tab = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
            }
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let pairs = self.ask(|inner| {
            inner
                .connection
                .prepare_cached(query)?
                .query_map(
                    params![table as u8, after.unwrap_or_default(), limit],
                    |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)),
                )?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        pairs
            .into_iter()
            .map(|(key, stored)| {
                let value = self.value(table, &key, &stored)?;
                Ok((key, value))
            })
            .collect()
    }

    fn commit(&self, batch: Batch) -> Durable {
        Durable::Ready(Some(self.try_commit(batch)))
    }
}

fn ask<T>(file: &Path, work: impl FnOnce() -> rusqlite::Result<T>) -> Result<T> {
    let cause = match contain(work) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(cause)) => cause,
        Err(_) => return Err(damaged(file, "the engine stopped at it")),
    };
    let place = file.display();
    Err(match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            files::failed("write", file, std::io::ErrorKind::StorageFull.into())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            files::failed("write", file, std::io::ErrorKind::PermissionDenied.into())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::new(
            ErrorKind::Busy,
            "E-STATE-LOCKED",
            format!("Another process has the state store {place} open. Wait for it to end"),
        ),
        Some(ErrorCode::SystemIoFailure) => {
            files::failed("use", file, std::io::Error::other("an error of the disk"))
        }
        _ => damaged(file, "the engine reports a fault"),
    })
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    // One process owns the store: this keeps others out, and needs no -shm file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

enum Found {
    Nothing,
    Sequence(u64),
    Damaged,
    Foreign,
}

fn find_sequence(connection: &mut Connection) -> rusqlite::Result<Found> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Found::Nothing);
    }
    let ours: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'entry'",
        [],
        |row| row.get(0),
    )?;
    if ours == 0 {
        return Ok(Found::Foreign);
    }
    let stored = connection
        .query_row(
            "SELECT value FROM entry WHERE tab = 0 AND key = ?1",
            [SEQUENCE],
            |row| row.get::<_, Vec<u8>>(0),
        )
        .optional()?;
    Ok(match stored {
        None => Found::Damaged,
        Some(stored) => match envelope::number(0, SEQUENCE, &stored) {
            Ok(sequence) => Found::Sequence(sequence),
            Err(_) => Found::Damaged,
        },
    })
}

/// Whether every page is where it belongs and holds its keys in order. One that lies about that hides keys, and nothing else would
/// tell: what is not found was never there. (0.7 s for a million links. `quick_check` takes 0.5 s and does not look at the order.)
fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA integrity_check(1)", [], |row| {
        Ok(row.get_ref(0)?.as_str() == Ok("ok"))
    })
}

fn create(connection: &mut Connection, initial: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE entry (tab INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID",
    )?;
    write(&transaction, initial, 1)?;
    transaction.commit()
}

fn write(transaction: &Transaction<'_>, batch: &Batch, sequence: u64) -> rusqlite::Result<()> {
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO entry (tab, key, value) VALUES (?1, ?2, ?3)")?;
    let mut remove = transaction.prepare_cached("DELETE FROM entry WHERE tab = ?1 AND key = ?2")?;
    let mark = envelope::whole(0, SEQUENCE, &sequence.to_le_bytes());
    put.execute(params![0, SEQUENCE, mark])?;
    // Only the last write of a key counts, and in the order of keys each page is visited once.
    let mut last: HashMap<(Table, &[u8]), Option<&[u8]>> = HashMap::new();
    for (table, key, value) in &batch.writes {
        last.insert((*table, key), value.as_deref());
    }
    let mut ordered: Vec<_> = last.into_iter().collect();
    ordered.sort_unstable_by_key(|(place, _)| *place);
    for ((table, key), value) in ordered {
        match value {
            Some(value) => put.execute(params![
                table as u8,
                key,
                envelope::whole(table as u8, key, value)
            ])?,
            None => remove.execute(params![table as u8, key])?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    fn open(file: &Path) -> Result<SqliteStore> {
        let mut initial = Batch::new();
        initial.put(Table::Meta, "made", "1");
        SqliteStore::open(file, initial).map(|(store, _)| store)
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

    async fn filled(file: &Path, commits: u32) {
        let store = open(file).unwrap();
        for number in 0..commits {
            store.commit(put(number)).await.unwrap();
        }
        store.close().unwrap();
    }

    fn beside(file: &Path, suffix: &str) -> PathBuf {
        let mut path = OsString::from(file);
        path.push(suffix);
        path.into()
    }

    #[tokio::test]
    async fn h62_keys_that_a_page_hides_are_missed() {
        const PAGE: usize = 4096;
        /// The kind of a page that leads to others, and where its list of places begins.
        const INNER: u8 = 2;
        const PLACES: usize = 12;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        filled(&file, 40).await;
        let good = fs::read(&file).unwrap();
        let mut tried = 0;
        for page in (PAGE..good.len()).step_by(PAGE) {
            if good[page] != INNER {
                continue;
            }
            // The first key on it, which says where smaller ones are: its first letter. Before it stand a page, a length, and what the record
            // holds (three sizes and the number of the table).
            let place = usize::from(u16::from_be_bytes([
                good[page + PLACES],
                good[page + PLACES + 1],
            ]));
            let mut bad = good.clone();
            bad[page + place + 11] ^= 0x80;
            fs::write(&file, &bad).unwrap();
            let error = SqliteStore::open(&file, Batch::new())
                .err()
                .expect("it is refused");
            assert_eq!(error.code(), "E-STATE-CORRUPT");
            tried += 1;
        }
        assert!(tried > 0, "no page leads to others");
        fs::write(&file, &good).unwrap();
        open(&file).unwrap().close().unwrap();
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        contract::keeps_the_contract(
            async || open(&file).unwrap(),
            async |store| store.close().unwrap(),
        )
        .await;
    }

    #[tokio::test]
    async fn each_commit_is_synced_in_full() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("members.sqlite")).unwrap();
        let inner = store.inner.lock().unwrap();
        let mode: String = inner
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        let synchronous: i64 = inner
            .connection
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    }

    #[tokio::test]
    async fn files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("members.sqlite")).unwrap();
        store.commit(put(1)).await.unwrap();
        let mut seen = 0;
        for entry in fs::read_dir(directory.path()).unwrap() {
            let found = entry.unwrap().metadata().unwrap();
            assert_eq!(found.permissions().mode() & 0o777, 0o600);
            seen += 1;
        }
        assert_eq!(seen, 3, "the file, its -wal and its marker");
    }

    #[tokio::test]
    async fn a_second_opener_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        let store = open(&file).unwrap();
        let error = open(&file).err().unwrap();
        assert_eq!(error.code(), "E-STATE-LOCKED");
        assert_eq!(error.kind(), ErrorKind::Busy);
        store.close().unwrap();
        open(&file).unwrap();
    }

    #[tokio::test]
    async fn h62_a_damaged_value_is_an_error_and_not_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("members.sqlite")).unwrap();
        store.commit(put(1)).await.unwrap();
        let (key, _) = store.range(Table::Link, None, 1).await.unwrap().remove(0);
        store
            .ask(|inner| {
                inner.connection.execute(
                    "UPDATE entry SET value = substr(value, 1, 7) WHERE tab = ?1 AND key = ?2",
                    params![Table::Link as u8, key],
                )
            })
            .unwrap();
        let error = store.get(Table::Link, &key).await.unwrap_err();
        assert_eq!(error.code(), "E-STATE-CORRUPT");
        assert!(store.range(Table::Link, None, 5).await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_failed_once_refuses_everything_until_it_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        let store = open(&file).unwrap();
        store.commit(put(1)).await.unwrap();
        let limit_pages = |store: &SqliteStore, pages: i64| {
            let inner = store.inner.lock().unwrap();
            inner
                .connection
                .pragma_update(None, "max_page_count", pages)
                .unwrap();
        };
        limit_pages(&store, 1);
        let mut batch = put(2);
        batch.put(Table::Review, "large", vec![1; 100_000]);
        assert_eq!(store.commit(batch).await.unwrap_err().code(), "E-DISK");
        limit_pages(&store, 1_000_000);
        assert_eq!(store.commit(put(3)).await.unwrap_err().code(), "E-DISK");
        assert!(store.get(Table::Meta, b"made").await.is_err());
        assert_eq!(store.close().unwrap_err().code(), "E-DISK");

        let store = open(&file).unwrap();
        assert_eq!(store.range(Table::Link, None, 100).await.unwrap().len(), 20);
        store.commit(put(3)).await.unwrap();
    }

    #[tokio::test]
    async fn h60_a_store_that_is_gone_or_emptied_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        filled(&file, 3).await;
        let good = fs::read(&file).unwrap();

        fs::write(&file, b"").unwrap();
        assert_eq!(open(&file).err().unwrap().code(), "E-STATE-CORRUPT");
        fs::remove_file(&file).unwrap();
        assert_eq!(open(&file).err().unwrap().code(), "E-STATE-CORRUPT");
        assert!(!file.exists(), "nothing was made in its place");
        fs::write(&file, &good[..good.len() / 2]).unwrap();
        assert_eq!(open(&file).err().unwrap().code(), "E-STATE-CORRUPT");
        Connection::open(directory.path().join("other"))
            .unwrap()
            .execute_batch("CREATE TABLE customers (id)")
            .unwrap();
        fs::copy(directory.path().join("other"), &file).unwrap();
        assert_eq!(open(&file).err().unwrap().code(), "E-STATE-CORRUPT");

        fs::write(&file, &good).unwrap();
        open(&file).unwrap();
    }

    #[tokio::test]
    async fn h61_an_older_copy_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        filled(&file, 3).await;
        let older = fs::read(&file).unwrap();
        filled(&file, 3).await;
        fs::write(&file, older).unwrap();
        for _ in 0..2 {
            assert_eq!(open(&file).err().unwrap().code(), "E-STATE-OLD");
        }
    }

    #[tokio::test]
    async fn a_copy_without_its_marker_is_taken_on() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        filled(&file, 3).await;
        fs::remove_file(beside(&file, ".marker")).unwrap();
        let (store, created) = SqliteStore::open(&file, Batch::new()).unwrap();
        assert!(!created);
        assert_eq!(
            store.range(Table::Link, None, 1000).await.unwrap().len(),
            60
        );
        assert!(beside(&file, ".marker").exists());
    }

    #[tokio::test]
    async fn a_lost_write_ahead_log_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("members.sqlite");
        let store = open(&file).unwrap();
        for number in 0..3 {
            store.commit(put(number)).await.unwrap();
        }
        // As a kill leaves it, and then somebody tidies up.
        let copy = directory.path().join("copy.sqlite");
        fs::copy(&file, &copy).unwrap();
        fs::copy(beside(&file, ".marker"), beside(&copy, ".marker")).unwrap();
        let error = open(&copy).err().unwrap();
        assert!(
            ["E-STATE-OLD", "E-STATE-CORRUPT"].contains(&error.code()),
            "{error}"
        );
        fs::copy(beside(&file, "-wal"), beside(&copy, "-wal")).unwrap();
        open(&copy).unwrap();
    }
}
