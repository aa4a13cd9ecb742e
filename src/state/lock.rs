//! The lock of a bridge's state: one run at a time, released by the system whatever ends the run.
//!
//! The file stays when the lock goes; only the lock on it counts, and what is in it names the holder.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};

use super::files;
use crate::model::{Error, Result};

/// [`holder`] takes the lock for an instant to see whether it is free; a run that meets just that tries again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
}

/// The line by which a holder says that it does not end by itself.
const STAYS: &str = "run";

/// Who holds a lock, as far as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// When it took the lock.
    pub since: Option<DateTime<Utc>>,
    /// It is `contactbridge run`, which does not end by itself.
    pub stays: bool,
    /// Its machine, for a state that machines share.
    pub host: Option<String>,
    /// When its lease runs out unless it is renewed, likewise. By the clock of the state's server, as `since` is.
    pub until: Option<DateTime<Utc>>,
}

impl Holder {
    /// Who it is, in brackets behind a word: its process, and for a state that machines share all that is known; empty where
    /// nothing is.
    pub fn who(&self) -> String {
        match (&self.host, self.pid) {
            (Some(_), _) => format!(" ({self})"),
            (None, Some(pid)) => format!(" (pid {pid})"),
            (None, None) => String::new(),
        }
    }

    /// Who it is, and what to do about it, as the end of a sentence about `bridge`.
    pub fn told(&self, bridge: &str, now: DateTime<Utc>) -> String {
        let who = match (self.pid, self.since) {
            _ if self.host.is_some() => self.who(),
            (Some(pid), Some(since)) => {
                let (since, now) = (since.with_timezone(&Local), now.with_timezone(&Local));
                let format = if since.date_naive() == now.date_naive() {
                    "%H:%M"
                } else {
                    "%Y-%m-%d %H:%M"
                };
                format!(" (pid {pid}, since {})", since.format(format))
            }
            _ => self.who(),
        };
        if self.stays {
            format!(
                "Bridge `{bridge}`: `contactbridge run`{who} holds the lock. Stop it, give this command, and start it again"
            )
        } else {
            format!("Bridge `{bridge}`: another run{who} holds the lock. Wait for it to end")
        }
    }
}

/// For messages, such as `host web2, pid 4711, since 2026-11-22T10:02:00Z, until 2026-11-22T10:02:30Z`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let said: Vec<String> = [
            self.host.as_ref().map(|host| format!("host {host}")),
            self.pid.map(|pid| format!("pid {pid}")),
            self.since.map(|at| format!("since {}", instant(at))),
            self.until.map(|at| format!("until {}", instant(at))),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&said.join(", "))
    }
}

impl StoreLock {
    /// Takes the lock at `path` for this process. `E-STATE-LOCKED` (exit 6) where another has it.
    pub(super) fn take(path: &Path, bridge: &str, now: DateTime<Utc>) -> Result<Self> {
        let mut file = files::private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|cause| files::failed("write", path, cause))?;
        let mut tries = 0;
        while let Err(refused) = file.try_lock() {
            match refused {
                TryLockError::Error(cause) => return Err(files::failed("lock", path, cause)),
                TryLockError::WouldBlock if tries < TRIES => {
                    tries += 1;
                    // A bounded wait in a synchronous open; the run has not begun, so there is no World yet.
                    #[allow(clippy::disallowed_methods)]
                    std::thread::sleep(PAUSE);
                }
                TryLockError::WouldBlock => return Err(held(&read(&mut file), bridge, now)),
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}\n{}\n", std::process::id(), now.to_rfc3339()))
            .map_err(|cause| files::failed("write", path, cause))?;
        Ok(Self { file })
    }

    /// Says in the file that this holder stays: whoever meets the lock need not wait for it.
    pub(super) fn say_that_it_stays(&self) -> std::io::Result<()> {
        writeln!(&self.file, "{STAYS}")
    }
}

/// Who holds the lock at `path`; `None` where nobody does.
pub(super) fn holder(path: &Path) -> Result<Option<Holder>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(files::failed("read", path, cause)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file))),
        Err(TryLockError::Error(cause)) => Err(files::failed("lock", path, cause)),
    }
}

fn read(file: &mut File) -> Holder {
    let mut text = String::new();
    // A holder that has not written yet, or something else in the file, only makes the message shorter.
    let _ = file.take(200).read_to_string(&mut text);
    let mut lines = text.lines();
    Holder {
        pid: lines.next().and_then(|line| line.parse().ok()),
        since: lines
            .next()
            .and_then(|line| DateTime::parse_from_rfc3339(line).ok())
            .map(|since| since.to_utc()),
        stays: lines.next() == Some(STAYS),
        host: None,
        until: None,
    }
}

fn held(holder: &Holder, bridge: &str, now: DateTime<Utc>) -> Error {
    Error::new(
        crate::model::ErrorKind::Busy,
        "E-STATE-LOCKED",
        holder.told(bridge, now),
    )
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::ErrorKind as Kind;

    #[test]
    fn h67_a_second_run_is_told_who_holds_the_lock_and_since_when() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let start: DateTime<Utc> = "2026-11-22T10:02:00Z".parse().unwrap();
        assert_eq!(holder(&path).unwrap(), None);
        let lock = StoreLock::take(&path, "members", start).unwrap();

        let pid = std::process::id();
        let soon = start + TimeDelta::seconds(30);
        let error = StoreLock::take(&path, "members", soon).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("E-STATE-LOCKED", Kind::Busy));
        let shown = start.with_timezone(&Local).format("%H:%M");
        assert!(
            error.message().contains(&format!(
                "another run (pid {pid}, since {shown}) holds the lock"
            )),
            "{error}"
        );
        let later = StoreLock::take(&path, "members", start + TimeDelta::days(3)).unwrap_err();
        assert!(later.message().contains("since 2026-11-2"), "{later}");
        assert_eq!(
            holder(&path).unwrap(),
            Some(Holder {
                pid: Some(pid),
                since: Some(start),
                stays: false,
                host: None,
                until: None,
            })
        );
        lock.say_that_it_stays().unwrap();
        assert!(holder(&path).unwrap().is_some_and(|holder| holder.stays));
        let error = StoreLock::take(&path, "members", soon).unwrap_err();
        assert!(
            error.message().contains("`contactbridge run` (pid"),
            "{error}"
        );
        assert!(error.message().contains("Stop it"), "{error}");

        drop(lock);
        assert_eq!(holder(&path).unwrap(), None);
        StoreLock::take(&path, "members", start).unwrap();
    }

    #[test]
    fn h67_of_many_that_race_for_the_lock_one_has_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let now = "2026-11-22T10:02:00Z".parse().unwrap();
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Ok(lock) = StoreLock::take(&path, "members", now) else {
                            continue;
                        };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }

    #[test]
    fn a_lock_file_with_something_else_in_it_locks_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::fs::write(&path, [0xff; 300]).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        let now = "2026-11-22T10:02:00Z".parse().unwrap();
        let error = StoreLock::take(&path, "members", now).unwrap_err();
        assert!(error.message().contains("another run holds the lock"));
    }
}
