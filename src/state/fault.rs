//! The rule that a store which failed once is not used again until it is opened anew, and the words for damage.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::{Error, ErrorKind, Result};

/// Whether a store failed; everything after the first failure is refused with its kind, code and message.
#[derive(Debug, Default)]
pub(super) struct Fault {
    failed: AtomicBool,
    first: Mutex<Option<(ErrorKind, &'static str, String)>>,
}

impl Fault {
    /// The first failure, if there was one.
    pub(super) fn check(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, code, message) = first.clone().unwrap_or((
            ErrorKind::NeedsPerson,
            "E-STATE-COMMIT",
            "The state store failed".to_owned(),
        ));
        Err(Error::new(kind, code, message))
    }

    /// Notes a failure, and hands it on.
    pub(super) fn note(&self, error: Error) -> Error {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (error.kind(), error.code(), error.message().to_owned()));
        self.failed.store(true, Ordering::Release);
        error
    }
}

/// A store that is not as it was written (`E-STATE-CORRUPT`, exit 7). `what` holds no key and no value.
pub(super) fn damaged(place: &Path, what: &str) -> Error {
    damaged_at(&place.display(), &format!("{what} (file kept)"))
}

/// The same for a store that need not be a file.
pub(super) fn damaged_at(place: &dyn Display, what: &str) -> Error {
    Error::needs_person(
        "E-STATE-CORRUPT",
        format!(
            "The state store {place} is damaged: {what}. Put a good copy back, or run `contactbridge reseed BRIDGE --relink`"
        ),
    )
}

/// A value of a table without its checksum.
pub(super) fn damaged_value(place: &Path, table: u8) -> Error {
    let name = super::envelope::name(table);
    damaged(
        place,
        &format!("a value of the table {name} has not its checksum"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let fault = Fault::default();
        assert!(fault.check().is_ok());
        fault.note(Error::needs_person("E-DISK", "full"));
        fault.note(Error::needs_person("E-STATE-IO", "later"));
        let told = fault.check().unwrap_err();
        assert_eq!((told.code(), told.message()), ("E-DISK", "full"));
    }
}
