//! What goes wrong in sled, in our words.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::model::Result;
use crate::state::contain::contain;
use crate::state::fault::{Fault, damaged};
use crate::state::files;

/// What the store and its thread both look at.
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    pub(super) fault: Fault,
}

impl Shared {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            fault: Fault::default(),
        }
    }

    /// Runs work of sled's; an error or a panic of it ends the use of this store.
    pub(super) fn ask<T>(&self, work: impl FnOnce() -> ::sled::Result<T>) -> Result<T> {
        self.fault.check()?;
        ask(&self.directory, work).map_err(|error| self.fault.note(error))
    }
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
