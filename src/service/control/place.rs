//! Where the socket lies: in the state directory, under names that no bridge can have.
//!
//! The seat is a locked file, which the system frees whatever ends its holder; only who has it may bind the socket. So a
//! socket that a killed `run` left behind misleads nobody: nobody answers there, and the next `run` replaces it.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio::net::UnixListener;

use crate::model::{Error, Result};
use crate::state::{StateLocation, StoreLock};

/// A bridge's name begins with a letter or a digit.
const SEAT: &str = ".run.lock";
const SOCKET: &str = ".run.sock";

/// The longest path that a socket's address takes everywhere.
const PATH_MAX: usize = 100;

/// Where the socket of a project lies.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
}

impl Place {
    /// The place of a state that lies on this machine; `None` for a shared one.
    pub fn of(location: &StateLocation) -> Option<Self> {
        let directory = location.directory().ok()?.to_owned();
        Some(Self { directory })
    }

    /// A connection to the `run` that sits there; `None` where nobody does.
    pub(super) fn connect(&self) -> Result<Option<StdStream>> {
        let socket = self.directory.join(SOCKET);
        let connected = with_short_path(&socket, |path| StdStream::connect(path));
        match connected {
            Ok(stream) => Ok(Some(stream)),
            // Left behind, or never there: nobody answers.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // Whoever may not look into the directory can't use the state, either: the lock says what is wrong.
                Ok(None)
            }
            Err(error) => Err(failed(&socket, error)),
        }
    }
}

/// The place of `run` itself, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Seat {
    place: Place,
    _lock: StoreLock,
    bound: bool,
}

impl Seat {
    /// Takes the seat. `E-RUN-LOCKED` (exit 6) where another `run` has it.
    pub fn take(location: &StateLocation, now: DateTime<Utc>) -> Result<Option<Self>> {
        let Some(place) = Place::of(location) else {
            return Ok(None);
        };
        let lock = crate::state::take_seat(location, SEAT, now)?;
        Ok(Some(Self {
            place,
            _lock: lock,
            bound: false,
        }))
    }

    /// Listens at the socket, for this user alone, in the place of what a killed `run` may have left.
    pub(super) fn bind(&mut self) -> Result<UnixListener> {
        let socket = self.place.directory.join(SOCKET);
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed(&socket, error));
            }
            _ => {}
        }
        let listener = with_short_path(&socket, |path| UnixListener::bind(path))
            .map_err(|error| failed(&socket, error))?;
        self.bound = true;
        fs::set_permissions(&socket, Permissions::from_mode(0o600))
            .map_err(|error| failed(&socket, error))?;
        Ok(listener)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.bound {
            // One that stays misleads nobody.
            let _ = fs::remove_file(self.place.directory.join(SOCKET));
        }
    }
}

fn failed(socket: &Path, error: io::Error) -> Error {
    Error::needs_person(
        "E-RUN-SOCKET",
        format!(
            "The socket {} can't be used ({}). Let this user read and write the state directory",
            socket.display(),
            error.kind()
        ),
    )
    .caused_by(error)
}

/// Does something at a socket whose path may be longer than a socket's address: then it goes through the open directory.
fn with_short_path<T>(socket: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if socket.as_os_str().len() <= PATH_MAX {
        return act(socket);
    }
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return act(socket);
    };
    let open = File::open(directory)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    // Linux, and whatever else shows a process its open files there.
    act(&Path::new("/proc/self/fd")
        .join(number.to_string())
        .join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:02:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn one_sits_there_and_what_a_killed_one_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let location = StateLocation::Sled(directory.path().join("state"));
        let place = Place::of(&location).unwrap();
        assert!(place.connect().unwrap().is_none());
        let mut seat = Seat::take(&location, now()).unwrap().unwrap();
        let error = Seat::take(&location, now()).unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-RUN-LOCKED", crate::model::ErrorKind::Busy)
        );
        let listener = seat.bind().unwrap();
        assert!(place.connect().unwrap().is_some());
        let socket = directory.path().join("state").join(SOCKET);
        let mode = fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // As a kill leaves it: the file stays, and nobody listens.
        drop(listener);
        seat.bound = false;
        drop(seat);
        assert!(socket.exists());
        assert!(place.connect().unwrap().is_none());
        let mut seat = Seat::take(&location, now()).unwrap().unwrap();
        let _listener = seat.bind().unwrap();
        assert!(place.connect().unwrap().is_some());
        drop(seat);
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn a_long_path_does_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        let location = StateLocation::Sqlite(deep.join("state"));
        let mut seat = Seat::take(&location, now()).unwrap().unwrap();
        let _listener = seat.bind().unwrap();
        assert!(Place::of(&location).unwrap().connect().unwrap().is_some());
    }
}
