//! Opening a bridge's state: directories, lock, room on the disk, schema and key, in front of every engine alike.
//!
//! What is refused here is refused before anything of the run is written. It must not know what the engine keeps.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::lock::{self, Holder, StoreLock};
use super::postgres::{DEFAULT_LEASE, PostgresStore, desk};
use super::sled::DEFAULT_CACHE_BYTES;
use super::{
    Batch, Durable, MemoryStore, SledStore, SqliteStore, StateLocation, StateStore, Table,
};
use super::{fault, files};
use crate::model::{Error, ErrorKind, Result};

/// The form of what is stored; a higher number is refused by older programs (H-75).
const SCHEMA: u32 = 1;

/// Keys of [`Table::Meta`] that belong to the store and not to the engine all begin so.
pub(super) const OWN: &[u8] = b"store.";
const SCHEMA_KEY: &[u8] = b"store.schema";
const FINGERPRINT_KEY: &[u8] = b"store.key";
/// Where the state went, once it was moved.
pub(super) const MOVED_KEY: &[u8] = b"store.moved";
/// The file beside a store whose move here has not come to its end.
pub(super) const ARRIVING: &str = "arriving";

/// A sync writes rows, links and the log of both before anything is given back; with less room a run may end half way.
pub const DEFAULT_FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// What a state may need of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Room that must be free on the disk of the state, and twice the store's size if that is more; 0: don't look.
    pub free_bytes_min: u64,
    /// sled's page cache. Below 128 MB its reads take more memory, not less.
    pub cache_bytes: u64,
    /// How long a shared state stays leased to a worker that has fallen silent.
    pub lease: Duration,
}

impl Default for StateLimits {
    fn default() -> Self {
        Self {
            free_bytes_min: DEFAULT_FREE_BYTES_MIN,
            cache_bytes: DEFAULT_CACHE_BYTES,
            lease: DEFAULT_LEASE,
        }
    }
}

/// The store that the configuration chose, with its lock.
#[allow(clippy::large_enum_variant)] // There is one of it.
pub enum AnyStore {
    /// Embedded, the default.
    Sled(SledStore, StoreLock),
    /// Embedded, in one SQLite file.
    Sqlite(SqliteStore, StoreLock),
    /// Shared with other machines, under a lease.
    Postgres(PostgresStore),
    /// Of this process alone.
    Memory(MemoryStore),
}

impl AnyStore {
    /// Says in the lock that this holder stays (`contactbridge run`), for whoever meets it.
    pub fn say_that_it_stays(&self) {
        if let Self::Sled(_, lock) | Self::Sqlite(_, lock) = self {
            // Without it the message of others is less helpful, and nothing else.
            let _ = lock.say_that_it_stays();
        }
    }

    /// Leaves what `status` shows, at the end of a pass over this store: `json` replaces what was left before, whole. Where
    /// another worker holds a shared bridge by now, nothing is left.
    pub fn leave_status(&self, location: &StateLocation, bridge: &str, json: &[u8]) -> Result<()> {
        match (self, location.shared()) {
            (Self::Postgres(store), Some(place)) => store.leave_status(place, bridge, json),
            _ => leave_status(location, bridge, json),
        }
    }

    /// Waits until everything that was committed is durable, ends the store and gives the lock back.
    pub fn close(self) -> Result<()> {
        match self {
            Self::Sled(store, _lock) => store.close(),
            Self::Sqlite(store, _lock) => store.close(),
            Self::Postgres(store) => store.close(),
            Self::Memory(_) => Ok(()),
        }
    }
}

impl StateStore for AnyStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Sled(store, _) => store.get(table, key).await,
            Self::Sqlite(store, _) => store.get(table, key).await,
            Self::Postgres(store) => store.get(table, key).await,
            Self::Memory(store) => store.get(table, key).await,
        }
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        match self {
            Self::Sled(store, _) => store.get_many(table, keys).await,
            Self::Sqlite(store, _) => store.get_many(table, keys).await,
            Self::Postgres(store) => store.get_many(table, keys).await,
            Self::Memory(store) => store.get_many(table, keys).await,
        }
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        match self {
            Self::Sled(store, _) => store.range(table, after, limit).await,
            Self::Sqlite(store, _) => store.range(table, after, limit).await,
            Self::Postgres(store) => store.range(table, after, limit).await,
            Self::Memory(store) => store.range(table, after, limit).await,
        }
    }

    fn commit(&self, batch: Batch) -> Durable {
        match self {
            Self::Sled(store, _) => store.commit(batch),
            Self::Sqlite(store, _) => store.commit(batch),
            Self::Postgres(store) => store.commit(batch),
            Self::Memory(store) => store.commit(batch),
        }
    }

    fn overtook(&self) -> bool {
        match self {
            Self::Postgres(store) => store.overtook(),
            Self::Sled(..) | Self::Sqlite(..) | Self::Memory(_) => false,
        }
    }

    async fn fenced(&self) -> Result<()> {
        match self {
            Self::Postgres(store) => store.fenced().await,
            Self::Sled(..) | Self::Sqlite(..) | Self::Memory(_) => Ok(()),
        }
    }

    async fn still_held(&self) -> Result<()> {
        match self {
            Self::Postgres(store) => store.still_held().await,
            Self::Sled(..) | Self::Sqlite(..) | Self::Memory(_) => Ok(()),
        }
    }
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For a run: a store that was moved, or has not arrived, is refused.
    Run,
    /// To move it, or to go on with a move.
    Move,
}

/// What an opener brings along.
pub(super) struct Opening<'a> {
    pub(super) purpose: Purpose,
    pub(super) bridge: &'a str,
    pub(super) fingerprint: [u8; 8],
    pub(super) limits: &'a StateLimits,
    pub(super) now: DateTime<Utc>,
}

/// Opens the state of `bridge`, making it where there is none. The second value says whether it is new.
///
/// Opening a shared state leases the bridge, and the store is the lease's guard: it renews it until it is closed. Whoever works on a
/// schedule opens it for a pass and closes it afterwards, so that another machine may have the next one.
///
/// `fingerprint` is that of the bridge's [`crate::model::Vault`]; `now` is shown to whoever meets the lock.
/// Errors: `E-STATE-LOCKED` (exit 6); `E-STATE-CORRUPT`, `E-STATE-OLD`, `E-STATE-NEWER`, `E-STATE-KEY`, `E-STATE-MOVED`,
/// `E-STATE-ARRIVING`, `E-DISK` (exit 7); `E-STATE-PATH`, `E-DB-URL` (exit 2); a shared state that can't be reached is exit 5.
pub async fn open(
    location: &StateLocation,
    bridge: &str,
    fingerprint: [u8; 8],
    limits: &StateLimits,
    now: DateTime<Utc>,
) -> Result<(AnyStore, bool)> {
    let opening = Opening {
        purpose: Purpose::Run,
        bridge,
        fingerprint,
        limits,
        now,
    };
    opening.open(location).await
}

impl Opening<'_> {
    /// As [`open`], for the purpose at hand.
    pub(super) async fn open(&self, location: &StateLocation) -> Result<(AnyStore, bool)> {
        if let StateLocation::Postgres(place) = location {
            let arriving = self.purpose == Purpose::Move;
            let lease = self.limits.lease;
            let (store, created) =
                PostgresStore::open(place, self.bridge, lease, self.initial(), arriving).await?;
            let store = AnyStore::Postgres(store);
            self.check_meta(&store, place).await?;
            return Ok((store, created));
        }
        let data = location.data(self.bridge)?;
        let lock = take_lock(location, self.bridge, self.now)?;
        let size = files::size(&engine_data(location, self.bridge)?);
        check_room(location.directory()?, size, self.limits.free_bytes_min)?;
        if self.purpose == Purpose::Run && location.beside(self.bridge, ARRIVING)?.exists() {
            return Err(Error::needs_person(
                "E-STATE-ARRIVING",
                format!(
                    "The move of bridge `{bridge}` to {location} has not come to its end. Put the old `state` back into bridge.yaml and run `contactbridge state move {bridge} --to {location}` again",
                    bridge = self.bridge
                ),
            ));
        }

        let initial = self.initial();
        let (store, created) = match location {
            StateLocation::Sqlite(_) => {
                files::close_to_others(&data, 0o600);
                let (store, created) = SqliteStore::open(&data, initial)?;
                (AnyStore::Sqlite(store, lock), created)
            }
            _ => {
                let (store, created) = SledStore::open(&data, self.limits.cache_bytes, initial)?;
                (AnyStore::Sled(store, lock), created)
            }
        };
        self.check_meta(&store, &data.display()).await?;
        Ok((store, created))
    }

    /// What a new store holds.
    fn initial(&self) -> Batch {
        let mut initial = Batch::new();
        initial.put(
            Table::Meta,
            SCHEMA_KEY,
            format!("{SCHEMA} {}", env!("CARGO_PKG_VERSION")),
        );
        initial.put(Table::Meta, FINGERPRINT_KEY, self.fingerprint);
        initial
    }

    async fn check_meta(&self, store: &AnyStore, place: &dyn Display) -> Result<()> {
        let bridge = self.bridge;
        let formless = || fault::damaged_at(place, "it does not say which form it has");
        let schema = store
            .get(Table::Meta, SCHEMA_KEY)
            .await?
            .and_then(|value| String::from_utf8(value).ok())
            .ok_or_else(formless)?;
        let (number, program) = schema
            .split_once(' ')
            .unwrap_or((&schema, "another version"));
        if number.parse::<u32>().map_err(|_| formless())? > SCHEMA {
            return Err(Error::needs_person(
                "E-STATE-NEWER",
                format!(
                    "The state store {place} was written by {program}, this is {}. Run the newer program",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
        if self.purpose == Purpose::Run
            && let Some(new) = store.get(Table::Meta, MOVED_KEY).await?
        {
            return Err(moved(bridge, place, &new));
        }
        if store.get(Table::Meta, FINGERPRINT_KEY).await?.as_deref() != Some(&self.fingerprint) {
            return Err(Error::needs_person(
                "E-STATE-KEY",
                format!(
                    "The state store {place} was made with another state key. Put the old `state_key` or key file back, or run `contactbridge reseed {bridge} --relink`"
                ),
            ));
        }
        Ok(())
    }
}

/// A store that was left for another.
pub(super) fn moved(bridge: &str, place: &dyn Display, new: &[u8]) -> Error {
    let new = String::from_utf8_lossy(new);
    Error::needs_person(
        "E-STATE-MOVED",
        format!(
            "The state of bridge `{bridge}` was moved from {place} to {new}. Write `state: {new}` into bridge.yaml"
        ),
    )
}

/// Whether there is a state of `bridge`, whole or not.
pub fn exists(location: &StateLocation, bridge: &str) -> Result<bool> {
    if let Some(place) = location.shared() {
        return desk::exists(place, bridge);
    }
    Ok(engine_data(location, bridge)?.exists() || location.beside(bridge, "marker")?.exists())
}

/// Who runs `bridge` now; `None` where nobody does.
pub fn holder(location: &StateLocation, bridge: &str) -> Result<Option<Holder>> {
    if let Some(place) = location.shared() {
        let seen = desk::see(place, &[bridge])?;
        return Ok(seen.into_iter().find_map(|seen| seen.holder));
    }
    lock::holder(&location.beside(bridge, "lock")?)
}

/// Puts the state of `bridge` aside, damaged or not, so that the next [`open`] makes a new one (`reseed --relink`).
/// Answers where it went; `None` where there was none.
pub fn set_aside(
    location: &StateLocation,
    bridge: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    if let Some(place) = location.shared() {
        return desk::set_aside(place, bridge);
    }
    let _lock = take_lock(location, bridge, now)?;
    if !exists(location, bridge)? {
        return Ok(None);
    }
    let stamp = now.format("%Y%m%dT%H%M%SZ");
    let mut aside = location.beside(bridge, &format!("aside-{stamp}"))?;
    let mut more = 1;
    while aside.exists() {
        more += 1;
        aside = location.beside(bridge, &format!("aside-{stamp}-{more}"))?;
    }
    files::private_directory(&aside)?;
    let moved = engine_files(location, bridge)?;
    for path in moved {
        if let (true, Some(name)) = (path.exists(), path.file_name()) {
            fs::rename(&path, aside.join(name))
                .map_err(|cause| files::failed("put aside", &path, cause))?;
        }
    }
    for directory in aside.ancestors().take(2) {
        files::sync_directory(directory)
            .map_err(|cause| files::failed("sync", directory, cause))?;
    }
    Ok(Some(aside.display().to_string()))
}

/// Removes what there is of a store that nobody relies on: one whose arrival was cut.
/// One in a shared state went already when the new arrival was announced.
pub(super) fn discard(location: &StateLocation, bridge: &str, now: DateTime<Utc>) -> Result<()> {
    if location.shared().is_some() {
        return Ok(());
    }
    let _lock = take_lock(location, bridge, now)?;
    for path in engine_files(location, bridge)? {
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(files::failed("remove", &path, cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Corrects what `status` shows of a bridge, without a pass.
pub fn amend_status(location: &StateLocation, bridge: &str, json: &[u8]) -> Result<()> {
    match location.shared() {
        Some(place) => desk::leave_status(place, bridge, json, false, None),
        None => leave_status(location, bridge, json),
    }
}

/// The same for a pass that did not come to hold its store.
pub fn leave_status(location: &StateLocation, bridge: &str, json: &[u8]) -> Result<()> {
    if let Some(place) = location.shared() {
        return desk::leave_status(place, bridge, json, true, None);
    }
    let path = location.beside(bridge, "status.json")?;
    if let Some(directory) = path.parent() {
        files::private_directory(directory)?;
    }
    files::replace(&path, json).map_err(|cause| files::failed("write", &path, cause))
}

/// What `status` needs to know of a bridge.
#[derive(Debug)]
pub struct Overview {
    /// Who holds it now.
    pub holder: Result<Option<Holder>>,
    /// What its last run left; `None` where there was none.
    pub status: Result<Option<Vec<u8>>>,
}

/// The overview of these bridges, in their order. A shared state is asked once for all of them, and it is an error where it can't be
/// (exit 5).
pub fn overview(location: &StateLocation, bridges: &[&str]) -> Result<Vec<Overview>> {
    if let Some(place) = location.shared() {
        let seen = desk::see(place, bridges)?.into_iter();
        return Ok(seen
            .map(|seen| Overview {
                holder: Ok(seen.holder),
                status: Ok(seen.status),
            })
            .collect());
    }
    Ok(bridges
        .iter()
        .map(|bridge| Overview {
            holder: holder(location, bridge),
            status: read_status(location, bridge),
        })
        .collect())
}

/// What a bridge's last pass left.
#[derive(Debug, Default)]
pub struct LastPass {
    /// For `status`; `None` where there was none.
    pub status: Option<Vec<u8>>,
    /// How long ago it ended, whichever machine made it: by one clock, the server's of a shared state. `None` where none was made, and
    /// for a state that no other machine works on.
    pub since: Option<Duration>,
}

/// What the last pass of `bridge` left; a shared state is asked for it once.
pub fn last_pass(location: &StateLocation, bridge: &str) -> Result<LastPass> {
    if let Some(place) = location.shared() {
        let seen = desk::see(place, &[bridge])?.pop();
        return Ok(seen.map_or_else(LastPass::default, |seen| LastPass {
            status: seen.status,
            since: seen.since,
        }));
    }
    let path = location.beside(bridge, "status.json")?;
    let status = match fs::read(&path) {
        Ok(json) => Some(json),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(cause) => return Err(files::failed("read", &path, cause)),
    };
    Ok(LastPass {
        status,
        since: None,
    })
}

/// What the last run left for `status`; `None` where there was none.
pub fn read_status(location: &StateLocation, bridge: &str) -> Result<Option<Vec<u8>>> {
    last_pass(location, bridge).map(|last| last.status)
}

/// Whether any bridge has a store at `location`.
pub(super) fn any_exists(location: &StateLocation) -> Result<bool> {
    let directory = location.directory()?;
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(files::failed("read", directory, cause)),
    };
    Ok(entries.flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|end| end == "sqlite") || path.join("marker").exists()
    }))
}

/// What the engine itself writes: a file, or sled's directory.
fn engine_data(location: &StateLocation, bridge: &str) -> Result<PathBuf> {
    match location {
        StateLocation::Sqlite(_) => location.data(bridge),
        _ => location.beside(bridge, "db"),
    }
}

/// All that an engine and its marker write. The marker is last: whoever moves the files in this order and is killed
/// leaves a store that is refused, and that the next try finishes.
fn engine_files(location: &StateLocation, bridge: &str) -> Result<Vec<PathBuf>> {
    let data = engine_data(location, bridge)?;
    let mut files = Vec::new();
    if let StateLocation::Sqlite(_) = location {
        for suffix in ["-wal", "-shm"] {
            let mut path = data.clone();
            path.as_mut_os_string().push(suffix);
            files.push(path);
        }
    }
    files.push(data);
    files.push(location.beside(bridge, "marker")?);
    Ok(files)
}

/// Takes the lock of `contactbridge run` itself, of which there is one at a state directory: the file `name` in it.
/// `E-RUN-LOCKED` (exit 6) where another has it.
pub fn take_seat(location: &StateLocation, name: &str, now: DateTime<Utc>) -> Result<StoreLock> {
    let directory = location.directory()?;
    ensure_no_file(directory)?;
    files::private_directory(directory)?;
    let path = directory.join(name);
    StoreLock::take(&path, name, now).map_err(|error| {
        if error.kind() != ErrorKind::Busy {
            return error;
        }
        let pid = lock::holder(&path).ok().flatten().and_then(|holder| holder.pid);
        let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        Error::new(
            ErrorKind::Busy,
            "E-RUN-LOCKED",
            format!(
                "Another `contactbridge run`{who} keeps the bridges whose state lies in {}. There can be one",
                directory.display()
            ),
        )
    })
}

fn ensure_no_file(directory: &Path) -> Result<()> {
    if directory.is_file() {
        return Err(Error::config(
            "E-STATE-PATH",
            format!(
                "state: {} is a file. Give a directory; each bridge gets its own file in it",
                directory.display()
            ),
        ));
    }
    Ok(())
}

fn take_lock(location: &StateLocation, bridge: &str, now: DateTime<Utc>) -> Result<StoreLock> {
    let directory = location.directory()?;
    ensure_no_file(directory)?;
    let path = location.beside(bridge, "lock")?;
    files::private_directory(directory)?;
    if let (StateLocation::Sled(_), Some(own)) = (location, path.parent()) {
        // This one is ours alone, whatever a backup made of its mode.
        files::private_directory(own)?;
        files::close_to_others(own, 0o700);
    }
    StoreLock::take(&path, bridge, now)
}

fn check_room(directory: &Path, size: u64, minimum: u64) -> Result<()> {
    let free = fs4::available_space(directory)
        .map_err(|cause| files::failed("look at the disk of", directory, cause))?;
    let needed = minimum.max(2 * size);
    if minimum == 0 || free >= needed {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes / (1024 * 1024);
    Err(Error::needs_person(
        "E-DISK",
        format!(
            "{} MB free, {} MB needed for the state in {}. Make room and run again",
            megabytes(free),
            megabytes(needed.next_multiple_of(1024 * 1024)),
            directory.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::contract;
    use super::*;
    use crate::model::ErrorKind as Kind;

    const KEY: [u8; 8] = *b"the key!";

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:02:00Z".parse().unwrap()
    }

    fn limits() -> StateLimits {
        StateLimits {
            free_bytes_min: 0,
            cache_bytes: 16 * 1024 * 1024,
            ..StateLimits::default()
        }
    }

    async fn try_open(location: &StateLocation) -> Result<(AnyStore, bool)> {
        open(location, "members", KEY, &limits(), now()).await
    }

    fn both(directory: &Path) -> [StateLocation; 2] {
        [
            StateLocation::Sled(directory.join("state")),
            StateLocation::Sqlite(directory.join("lite")),
        ]
    }

    async fn put_meta(store: &AnyStore, key: &[u8], value: &[u8]) {
        let mut batch = Batch::new();
        batch.put(Table::Meta, key, value);
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn every_kind_keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            contract::keeps_the_contract(
                async || try_open(&location).await.unwrap().0,
                async |store| store.close().unwrap(),
            )
            .await;
        }
    }

    #[tokio::test]
    async fn a_new_state_is_private_and_known_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            assert!(!exists(&location, "members").unwrap());
            assert!(!any_exists(&location).unwrap());
            let (store, created) = try_open(&location).await.unwrap();
            assert!(created);
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(location.directory().unwrap()), 0o700);
            assert_eq!(mode(&location.beside("members", "lock").unwrap()), 0o600);
            if let StateLocation::Sled(_) = location {
                assert_eq!(mode(&location.data("members").unwrap()), 0o700);
            }
            store.close().unwrap();
            assert!(exists(&location, "members").unwrap());
            assert!(any_exists(&location).unwrap());
            assert!(!exists(&location, "other").unwrap());
            assert!(!try_open(&location).await.unwrap().1);
        }
    }

    #[tokio::test]
    async fn a_state_that_a_backup_opened_to_others_is_closed_again() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            try_open(&location).await.unwrap().0.close().unwrap();
            let data = location.data("members").unwrap();
            fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
            try_open(&location).await.unwrap().0.close().unwrap();
            let mode = fs::metadata(&data).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if data.is_dir() { 0o700 } else { 0o600 });
        }
    }

    #[tokio::test]
    async fn h67_a_second_run_finds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            let (store, _) = try_open(&location).await.unwrap();
            let error = try_open(&location).await.err().unwrap();
            assert_eq!((error.code(), error.kind()), ("E-STATE-LOCKED", Kind::Busy));
            assert!(error.message().contains("holds the lock"), "{error}");
            assert_eq!(
                holder(&location, "members").unwrap().unwrap().pid,
                Some(std::process::id())
            );
            // Another bridge is another store.
            open(&location, "others", KEY, &limits(), now())
                .await
                .unwrap();
            drop(store);
            assert_eq!(holder(&location, "members").unwrap(), None);
            try_open(&location).await.unwrap();
        }
    }

    #[tokio::test]
    async fn another_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            try_open(&location).await.unwrap().0.close().unwrap();
            let error = open(&location, "members", *b"new key!", &limits(), now())
                .await
                .err()
                .unwrap();
            assert_eq!(
                (error.code(), error.kind()),
                ("E-STATE-KEY", Kind::NeedsPerson)
            );
            try_open(&location).await.unwrap();
        }
    }

    #[tokio::test]
    async fn h75_a_newer_form_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            let (store, _) = try_open(&location).await.unwrap();
            put_meta(&store, SCHEMA_KEY, b"2 2.3.0").await;
            store.close().unwrap();
            let error = try_open(&location).await.err().unwrap();
            assert_eq!(
                (error.code(), error.kind()),
                ("E-STATE-NEWER", Kind::NeedsPerson)
            );
            let told = format!("written by 2.3.0, this is {}", env!("CARGO_PKG_VERSION"));
            assert!(error.message().contains(&told), "{error}");
        }
    }

    #[tokio::test]
    async fn a_store_without_its_form_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            for value in [None, Some("x 1"), Some("")] {
                let (store, _) = try_open(&location).await.unwrap();
                let mut batch = Batch::new();
                batch.writes.push((
                    Table::Meta,
                    SCHEMA_KEY.to_vec(),
                    value.map(|value| value.as_bytes().to_vec()),
                ));
                store.commit(batch).await.unwrap();
                store.close().unwrap();
                assert_eq!(
                    try_open(&location).await.err().unwrap().code(),
                    "E-STATE-CORRUPT"
                );
                set_aside(&location, "members", now()).unwrap().unwrap();
            }
        }
    }

    #[tokio::test]
    async fn h68_too_little_room_is_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            let limits = StateLimits {
                free_bytes_min: u64::MAX / 4,
                ..limits()
            };
            let error = open(&location, "members", KEY, &limits, now())
                .await
                .err()
                .unwrap();
            assert_eq!((error.code(), error.kind()), ("E-DISK", Kind::NeedsPerson));
            assert!(error.message().contains(" MB needed"), "{error}");
            assert!(!exists(&location, "members").unwrap());
        }
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_directory_is_a_mistake_of_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            fs::write(location.directory().unwrap(), "").unwrap();
            let error = try_open(&location).await.err().unwrap();
            assert_eq!((error.code(), error.kind()), ("E-STATE-PATH", Kind::Config));
        }
    }

    #[tokio::test]
    async fn a_damaged_state_is_put_aside_whole_and_a_new_one_begins() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            assert_eq!(set_aside(&location, "members", now()).unwrap(), None);
            let (store, _) = try_open(&location).await.unwrap();
            put_meta(&store, b"generation", b"412").await;
            assert_eq!(
                set_aside(&location, "members", now()).unwrap_err().code(),
                "E-STATE-LOCKED"
            );
            store.close().unwrap();
            let first = set_aside(&location, "members", now()).unwrap().unwrap();
            assert!(!exists(&location, "members").unwrap());
            assert!(fs::read_dir(Path::new(&first)).unwrap().count() >= 2);

            let (store, created) = try_open(&location).await.unwrap();
            assert!(created);
            assert_eq!(store.get(Table::Meta, b"generation").await.unwrap(), None);
            store.close().unwrap();
            let second = set_aside(&location, "members", now()).unwrap().unwrap();
            assert_ne!(first, second);
        }
    }

    #[test]
    fn what_a_run_leaves_for_status_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        for location in both(directory.path()) {
            assert_eq!(read_status(&location, "members").unwrap(), None);
            leave_status(&location, "members", br#"{"run":"first, and longer"}"#).unwrap();
            leave_status(&location, "members", br#"{"run":"second"}"#).unwrap();
            assert_eq!(
                read_status(&location, "members").unwrap().unwrap(),
                br#"{"run":"second"}"#
            );
            assert!(!any_exists(&location).unwrap());
        }
    }
}
