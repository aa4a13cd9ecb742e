//! Where state lives, and which files belong to a bridge there.
//!
//! ```text
//! state: DIR            DIR/key   DIR/BRIDGE/{lock, marker, status.json, db/}
//! state: sqlite:DIR     DIR/key   DIR/BRIDGE.sqlite (and -wal, -shm), DIR/BRIDGE.sqlite.{lock, marker, status.json}
//! ```
//!
//! It names paths and touches no file.

use std::fmt;
use std::path::{Path, PathBuf};

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
    /// A shared store; not in this version.
    Postgres(String),
}

impl StateLocation {
    /// Reads `DIR`, `sqlite:DIR` or `postgres://…`; a relative directory is taken from `base`.
    pub fn parse(text: &str, base: &Path) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(text.to_owned());
        }
        match text.strip_prefix("sqlite:") {
            Some(path) => Self::Sqlite(base.join(path)),
            None => Self::Sled(base.join(text)),
        }
    }

    /// The state directory. `E-STATE-POSTGRES` (exit 2) for a shared store.
    pub fn directory(&self) -> Result<&Path> {
        match self {
            Self::Sled(path) | Self::Sqlite(path) => Ok(path),
            Self::Postgres(_) => Err(Error::config(
                "E-STATE-POSTGRES",
                "state: postgres://… is not in this version. Give a directory, or sqlite:DIRECTORY",
            )),
        }
    }

    /// The key file, used where bridge.yaml has no `state_key`.
    pub fn key_file(&self) -> Result<PathBuf> {
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

/// As bridge.yaml writes it; the address of a shared store stays unsaid, since it may hold a password.
impl fmt::Display for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sled(path) => write!(f, "{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
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
    fn locations_read_as_the_configuration_writes_them() {
        let base = Path::new("/etc/bridge");
        let sled = StateLocation::parse("state", base);
        assert_eq!(sled, StateLocation::Sled("/etc/bridge/state".into()));
        assert_eq!(sled.to_string(), "/etc/bridge/state");
        assert_eq!(
            sled.beside("members", "lock").unwrap(),
            Path::new("/etc/bridge/state/members/lock")
        );
        let sqlite = StateLocation::parse("sqlite:/var/state", base);
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
    fn a_shared_store_is_refused_without_showing_its_password() {
        let shared = StateLocation::parse("postgres://bridge:secret@db/state", Path::new("/"));
        let error = shared.directory().unwrap_err();
        assert_eq!(error.code(), "E-STATE-POSTGRES");
        assert_eq!(error.kind(), crate::model::ErrorKind::Config);
        assert!(!format!("{error} {shared} {shared:?}").contains("secret"));
    }

    #[test]
    fn a_bridge_may_not_hide_the_key_file() {
        let sled = StateLocation::Sled("/s".into());
        assert_eq!(sled.data("key").unwrap_err().code(), "E-STATE-NAME");
        assert!(StateLocation::Sqlite("/s".into()).data("key").is_ok());
    }
}
