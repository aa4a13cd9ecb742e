//! What comes before and right after sled's own open (design, recipe 1 to 4).
//!
//! It must not delete or replace data that somebody may rely on.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::SEQUENCE;
use super::fault::{Shared, ask};
use crate::model::{Error, Result};
use crate::state::contain::contain;
use crate::state::envelope;
use crate::state::fault::{damaged, damaged_value};
use crate::state::files;

/// sled's threads keep the file a moment after a store in this process is closed: 50 tries, 20 ms apart.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Stands beside the data from before they are made until their marker is there.
const CREATING: &str = "creating";

/// Puts the directory into a state that sled can open, or refuses it (design, recipe 1 and 2).
pub(super) fn prepare(directory: &Path, data: &Path, marked: bool) -> Result<()> {
    let creating = directory.join(CREATING);
    let length = |name: &str| fs::metadata(data.join(name)).map_or(0, |found| found.len());
    if marked {
        // sled would make a new store in the place of either.
        if length("db") == 0 {
            return Err(damaged(directory, "its log is missing or empty"));
        }
        if length("conf") <= 8 {
            return Err(damaged(directory, "its settings are missing or cut off"));
        }
        if creating.exists() {
            end_creation(directory)?;
        }
        return clean(data);
    }
    if data.exists() {
        if !creating.exists() {
            return Err(damaged(
                directory,
                "it holds data, but its marker is missing",
            ));
        }
        // Creation never finished, so nothing was acknowledged.
        let aside = directory.join("db.unfinished");
        let moved = match fs::remove_dir_all(&aside) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
            _ => fs::rename(data, &aside),
        };
        moved.map_err(|cause| files::failed("put aside", data, cause))?;
    }
    files::replace(&creating, b"This store is being made.\n")
        .map_err(|cause| files::failed("write", &creating, cause))
}

/// The marker is there: from now on the data count.
pub(super) fn end_creation(directory: &Path) -> Result<()> {
    let creating = directory.join(CREATING);
    fs::remove_file(&creating).map_err(|cause| files::failed("remove", &creating, cause))
}

fn clean(data: &Path) -> Result<()> {
    // sled never opens a store again in which a snapshot was cut while it was written.
    let Ok(entries) = fs::read_dir(data) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())
                .map_err(|cause| files::failed("remove", &entry.path(), cause))?;
        }
    }
    Ok(())
}

pub(super) fn open_engine(directory: &Path, data: &Path, cache_bytes: u64) -> Result<::sled::Db> {
    let config = ::sled::Config::new()
        .path(data)
        .cache_capacity(cache_bytes)
        .flush_every_ms(None);
    let mut tries = 0;
    loop {
        let opened = contain(|| config.open());
        let held = matches!(&opened, Ok(Err(::sled::Error::Io(cause)))
            if cause.to_string().contains("could not acquire lock"));
        if !held {
            return ask(directory, || match opened {
                Ok(opened) => opened,
                Err(_) => Err(::sled::Error::Corruption { at: None, bt: () }),
            });
        }
        tries += 1;
        if tries == LOCK_TRIES {
            return Err(Error::new(
                crate::model::ErrorKind::Busy,
                "E-STATE-LOCKED",
                format!(
                    "Another process has the state store {} open. Wait for it to end",
                    directory.display()
                ),
            ));
        }
        // A bounded wait in a synchronous open; the run has not begun, so there is no World yet.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// The number of the last commit; `None` where the store knows of none.
pub(super) fn found_sequence(shared: &Shared, db: &::sled::Db) -> Result<Option<u64>> {
    let Some(stored) = shared.ask(|| db.get(SEQUENCE))? else {
        return Ok(None);
    };
    match envelope::number(0, SEQUENCE, &stored) {
        Ok(sequence) => Ok(Some(sequence)),
        Err(_) => Err(damaged_value(&shared.directory, 0)),
    }
}

/// Syncs each file of the store, its directories and two parents, and makes them private (design, recipe 4).
pub(super) fn sync_everything(directory: &Path, data: &Path) -> Result<()> {
    let blobs = data.join("blobs");
    for place in [&blobs, data] {
        let entries = fs::read_dir(place).map_err(|cause| files::failed("read", place, cause))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if !path.is_file() {
                continue;
            }
            fs::set_permissions(&path, Permissions::from_mode(0o600))
                .and_then(|()| File::open(&path)?.sync_all())
                .map_err(|cause| files::failed("sync", &path, cause))?;
        }
        fs::set_permissions(place, Permissions::from_mode(0o700))
            .and_then(|()| files::sync_directory(place))
            .map_err(|cause| files::failed("sync", place, cause))?;
    }
    for place in directory.ancestors().take(2) {
        files::sync_directory(place).map_err(|cause| files::failed("sync", place, cause))?;
    }
    Ok(())
}
