//! Where state lives, and which files belong to a bridge there.
//!
//! ```text
//! state: DIR            DIR/key   DIR/BRIDGE/{lock, marker, status.json, db/}
//! state: sqlite:DIR     DIR/key   DIR/BRIDGE.sqlite (and -wal, -shm), DIR/BRIDGE.sqlite.{lock, marker, status.json}
//! state: postgres://…   no files: rows in a schema, and a key that the user keeps
//! ```
//!
//! It names paths and touches no file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::SharedPlace;
use crate::model::{Error, Result};

/// The file of the state key inside a state directory, where the user gives no key.
const KEY_FILE: &str = "key";

/// `state:` of bridge.yaml.
#[derive(Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// A directory with one sled store per bridge.
    Sled(PathBuf),
    /// A directory with one SQLite file per bridge.
    Sqlite(PathBuf),
    /// A schema that machines share.
    Postgres(SharedPlace),
}

impl StateLocation {
    /// The state directory. A shared store has none, and whoever gets here with it forgot to ask.
    pub fn directory(&self) -> Result<&Path> {
        match self {
            Self::Sled(path) | Self::Sqlite(path) => Ok(path),
            Self::Postgres(place) => Err(Error::unexpected(
                "E-STATE-PATH",
                format!("The state {place} has no directory"),
            )),
        }
    }

    /// The place of a shared store.
    pub fn shared(&self) -> Option<&SharedPlace> {
        match self {
            Self::Postgres(place) => Some(place),
            Self::Sled(_) | Self::Sqlite(_) => None,
        }
    }

    /// Whether it can be used at all, as far as its text tells. Exit 2.
    pub fn check(&self) -> Result<()> {
        self.shared().map_or(Ok(()), SharedPlace::check)
    }

    /// The key file, used where bridge.yaml has no `state_key`. `E-STATE-KEY` (exit 2) for a shared store, which has none.
    pub fn key_file(&self) -> Result<PathBuf> {
        if self.shared().is_some() {
            return Err(Error::config(
                "E-STATE-KEY",
                "A state in PostgreSQL is sealed with a key that you keep: give `state_key` in bridge.yaml",
            ));
        }
        Ok(self.directory()?.join(KEY_FILE))
    }

    /// The file or directory that holds the data of `bridge`.
    pub(super) fn data(&self, bridge: &str) -> Result<PathBuf> {
        let directory = self.directory()?;
        match self {
            Self::Sled(_) if bridge == KEY_FILE => Err(Error::config(
                "E-STATE-NAME",
                "A bridge can't be called `key` here: the state directory keeps its key under that name. Rename the bridge, or use state: sqlite:DIRECTORY",
            )),
            Self::Sqlite(_) => Ok(directory.join(format!("{bridge}.sqlite"))),
            _ => Ok(directory.join(bridge)),
        }
    }

    /// A file that stands beside the data of `bridge`.
    pub(super) fn beside(&self, bridge: &str, name: &str) -> Result<PathBuf> {
        let mut data = self.data(bridge)?;
        if matches!(self, Self::Sqlite(_)) {
            data.as_mut_os_string().push(format!(".{name}"));
            Ok(data)
        } else {
            Ok(data.join(name))
        }
    }
}

/// As bridge.yaml writes it, without user and password of a shared store.
impl fmt::Display for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sled(path) => write!(f, "{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(place) => fmt::Display::fmt(place, f),
        }
    }
}

impl fmt::Debug for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_files() {
        let sled = StateLocation::Sled("/etc/bridge/state".into());
        assert_eq!(sled.to_string(), "/etc/bridge/state");
        assert_eq!(
            sled.beside("members", "lock").unwrap(),
            Path::new("/etc/bridge/state/members/lock")
        );
        let sqlite = StateLocation::Sqlite("/var/state".into());
        assert_eq!(
            sqlite.data("members").unwrap(),
            Path::new("/var/state/members.sqlite")
        );
        assert_eq!(
            sqlite.beside("members", "lock").unwrap(),
            Path::new("/var/state/members.sqlite.lock")
        );
        assert_eq!(sqlite.to_string(), "sqlite:/var/state");
        assert_eq!(sqlite.key_file().unwrap(), Path::new("/var/state/key"));
    }

    #[test]
    fn a_bridge_may_not_hide_the_key_file() {
        let sled = StateLocation::Sled("/s".into());
        assert_eq!(sled.data("key").unwrap_err().code(), "E-STATE-NAME");
        assert!(StateLocation::Sqlite("/s".into()).data("key").is_ok());
    }
}
