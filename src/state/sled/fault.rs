//! What goes wrong in sled, in our words, and the rule that a store which failed once is not used again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::{Error, Result};
use crate::state::contain::contain;
use crate::state::{envelope, files};

/// What the store and its thread both look at.
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    failed: AtomicBool,
    /// Code and message of the first failure; everything after it is refused with the same.
    failure: Mutex<Option<(&'static str, String)>>,
}

impl Shared {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn healthy(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, message) = failure
            .clone()
            .unwrap_or(("E-STATE-COMMIT", "The state store failed".to_owned()));
        Err(Error::needs_person(code, message))
    }

    pub(super) fn fail(&self, error: Error) -> Error {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (error.code(), error.message().to_owned()));
        self.failed.store(true, Ordering::Release);
        error
    }

    /// Runs work of sled's; an error or a panic of it ends the use of this store.
    pub(super) fn ask<T>(&self, work: impl FnOnce() -> ::sled::Result<T>) -> Result<T> {
        self.healthy()?;
        ask(&self.directory, work).map_err(|error| self.fail(error))
    }

    pub(super) fn damaged(&self, table: u8) -> Error {
        damaged(
            &self.directory,
            &format!(
                "a value of the table {} has not its checksum",
                envelope::name(table)
            ),
        )
    }
}

/// A store that is not as it was written.
pub(super) fn damaged(directory: &Path, what: &str) -> Error {
    Error::needs_person(
        "E-STATE-CORRUPT",
        format!(
            "The state store {} is damaged: {what} (file kept). Put a good copy back, or run `contactbridge reseed BRIDGE --relink`",
            directory.display()
        ),
    )
}

/// Runs work of sled's, and says in our words what went wrong.
pub(super) fn ask<T>(directory: &Path, work: impl FnOnce() -> ::sled::Result<T>) -> Result<T> {
    match contain(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Io(cause))) if means_the_machine(&cause) => {
            Err(files::failed("use", directory, cause))
        }
        // The engine's text may quote a page, so it is not carried on.
        Ok(Err(_)) => Err(damaged(directory, "the engine reports a fault")),
        Err(_) => Err(damaged(directory, "the engine stopped at it")),
    }
}

/// Tells a disk that is full or forbidden, or fails itself, from a file whose content makes no sense.
fn means_the_machine(cause: &std::io::Error) -> bool {
    cause.raw_os_error().is_some()
        || matches!(
            cause.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
        )
}
