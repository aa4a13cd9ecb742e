//! Files and directories of a store: private, synced, and with errors that say what to do.
//!
//! It knows nothing of what is in them. Directories are 0700 and files 0600 (user contract, section 5).

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::model::{Error, Result};

/// An error of the file system at `path`, while doing `what` ("write", "open").
pub(super) fn failed(what: &str, path: &Path, cause: io::Error) -> Error {
    let place = path.display();
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::needs_person(
            "E-DISK",
            format!("Can't {what} {place}: the disk is full. Make room and run again; nothing that was recorded is lost"),
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::needs_person(
            "E-DISK",
            format!("Can't {what} {place}: {}. Let this user read and write the state directory", plain(&cause)),
        ),
        _ => Error::needs_person(
            "E-STATE-IO",
            format!("Can't {what} {place}: {}. Check the disk and the path of `state`", plain(&cause)),
        ),
    }
    .caused_by(cause)
}

fn plain(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::NotFound => "not found",
        ErrorKind::NotADirectory => "a part of the path is not a directory",
        ErrorKind::IsADirectory => "it is a directory",
        _ => "the system refused",
    }
}

/// Makes `path` and what is missing above it, each 0700. A directory that stood there empty becomes 0700 too; one with
/// other things in it is left as it is, since it may be the user's own.
pub(super) fn private_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        let empty = fs::read_dir(path)
            .map_err(|cause| failed("read", path, cause))?
            .next()
            .is_none();
        if empty {
            close_to_others(path, 0o700);
        }
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| failed("make", path, cause))?;
    // Until the parents are synced, a power cut could take the directory away again.
    for parent in path.ancestors().skip(1).take(3) {
        if sync_directory(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Gives `path` the mode, where others may see it now. Who may not change it can still use it.
pub(super) fn close_to_others(path: &Path, mode: u32) {
    let open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if open {
        let _ = fs::set_permissions(path, Permissions::from_mode(mode));
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Options that make a file readable for its owner alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Puts `bytes` at `path` so that a reader, also after a power cut, finds the old file or the new one, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = private()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// The bytes of all files in and below `path`; what vanishes meanwhile counts as nothing.
pub(super) fn size(path: &Path) -> u64 {
    let Ok(found) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !found.is_dir() {
        return found.len();
    }
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("a/b");
        private_directory(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&directory.path().join("a")), 0o700);
        replace(&state.join("f"), b"one").unwrap();
        replace(&state.join("f"), b"two!").unwrap();
        assert_eq!(fs::read(state.join("f")).unwrap(), b"two!");
        assert_eq!(mode(&state.join("f")), 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        assert_eq!(size(directory.path()), 4);
    }

    #[test]
    fn an_empty_directory_becomes_private_and_a_used_one_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
        private_directory(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
        fs::write(state.join("bridge.yaml"), "").unwrap();
        private_directory(&state).unwrap();
        assert_eq!(mode(&state), 0o755);
    }

    #[test]
    fn errors_name_the_place_and_the_remedy() {
        let path = Path::new("/s/members");
        let full = failed("write", path, ErrorKind::StorageFull.into());
        assert_eq!(
            (full.code(), full.kind()),
            ("E-DISK", crate::model::ErrorKind::NeedsPerson)
        );
        let denied = failed("write", path, ErrorKind::ReadOnlyFilesystem.into());
        assert_eq!(denied.code(), "E-DISK");
        assert!(
            denied
                .message()
                .contains("/s/members: the file system is read-only")
        );
        assert_eq!(
            failed("open", path, ErrorKind::Other.into()).code(),
            "E-STATE-IO"
        );
    }
}
