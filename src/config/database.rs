//! Where rows and the state live: `database:` and `state:`.
//!
//! It must not open either; a path is only made relative to the file.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::Secret;
use super::address::Context;
use super::reader::Value;

/// The customer's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`: the path of the file.
    Sqlite(PathBuf),
    /// `postgres://…`.
    Postgres(ServerUrl),
    /// `mysql://…`.
    MySql(ServerUrl),
}

impl fmt::Display for DatabaseUrl {
    /// As the user wrote it, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) | Self::MySql(url) => f.write_str(&url.shown),
        }
    }
}

/// Where a bridge's state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateLocation {
    /// A directory with one embedded store per bridge in it.
    Directory(PathBuf),
    /// `sqlite:PATH`: the same, in SQLite files.
    Sqlite(PathBuf),
    /// `postgres://…`: shared between machines.
    Postgres(ServerUrl),
}

impl fmt::Display for StateLocation {
    /// As the user wrote it, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

/// The address of a database server. It may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    whole: Secret,
    shown: String,
    has_password: bool,
}

impl ServerUrl {
    /// The whole address, with its password: only for connecting.
    pub fn expose(&self) -> &str {
        self.whole.expose()
    }

    /// The address without user, password and options, for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Reads `database:`.
pub(super) fn database(context: &Context<'_>, value: &Value<'_>) -> Option<DatabaseUrl> {
    match database_in(value.filled_text()?, context.directory) {
        Ok(found) => {
            if let DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url) = &found
                && url.has_password
            {
                context.warn_if_plain(value);
            }
            Some(found)
        }
        Err(sentence) => value.invalid(sentence),
    }
}

/// Reads `state:`.
pub(super) fn state(context: &Context<'_>, value: &Value<'_>) -> Option<StateLocation> {
    match StateLocation::parse(value.filled_text()?, context.directory) {
        Ok(found) => {
            if matches!(&found, StateLocation::Postgres(url) if url.has_password) {
                context.warn_if_plain(value);
            }
            Some(found)
        }
        Err(sentence) => value.invalid(sentence),
    }
}

fn database_in(text: &str, directory: &Path) -> Result<DatabaseUrl, &'static str> {
    match text.split_once(':') {
        Some(("sqlite", path)) => sqlite_path(path, directory).map(DatabaseUrl::Sqlite),
        Some(("postgres" | "postgresql", _)) => server(text).map(DatabaseUrl::Postgres),
        Some(("mysql", _)) => server(text).map(DatabaseUrl::MySql),
        _ => Err("is not sqlite:PATH, postgres://… or mysql://…"),
    }
}

/// What `database:` with this text means, for tests of what connects to it.
#[cfg(test)]
pub(crate) fn database_for_tests(text: &str) -> DatabaseUrl {
    database_in(text, Path::new("/")).expect("an address of a database")
}

impl StateLocation {
    /// Reads what `state:` and `state move --to` take; a relative path starts from `directory`. The error is a
    /// sentence without subject, such as `is not a directory, …`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("sqlite", path)) => sqlite_path(path, directory).map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => server(text).map(Self::Postgres),
            Some((_, rest)) if rest.starts_with("//") => {
                Err("is not a directory, sqlite:PATH or postgres://…")
            }
            _ if text.trim().is_empty() || text.contains('\0') => {
                Err("is not a directory, sqlite:PATH or postgres://…")
            }
            _ => Ok(Self::Directory(directory.join(text))),
        }
    }
}

fn sqlite_path(path: &str, directory: &Path) -> Result<PathBuf, &'static str> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') || path.contains(['?', '\0']) {
        return Err("needs the path of a file after \"sqlite:\", and nothing else");
    }
    Ok(directory.join(path))
}

fn server(text: &str) -> Result<ServerUrl, &'static str> {
    let url = Url::parse(text).map_err(|_| {
        "is not an address such as postgres://user@host/database (special characters of a password are written as %40)"
    })?;
    // A server on this machine may be named by its socket: host=/DIRECTORY (PostgreSQL), socket=/PATH (MySQL).
    let socket = url
        .query_pairs()
        .find(|(name, value)| matches!(name.as_ref(), "host" | "socket") && value.starts_with('/'))
        .map(|(_, value)| value.into_owned());
    let host = match (url.host_str().unwrap_or_default(), &socket) {
        ("", Some(path)) => path.as_str(),
        (host, _) => host,
    };
    let name = url.path().trim_start_matches('/');
    if host.is_empty() || name.is_empty() {
        return Err(
            "needs a host and the name of a database, such as postgres://user@host/database",
        );
    }
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    Ok(ServerUrl {
        shown: format!("{}://{host}{port}/{name}", url.scheme()),
        has_password: url.password().is_some(),
        whole: Secret::new(text),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Problems;
    use super::super::yaml::parse;
    use super::*;

    fn read<T>(
        text: &str,
        reader: impl FnOnce(&Context<'_>, &Value<'_>) -> Option<T>,
    ) -> (Option<T>, usize, Vec<String>) {
        let context = Context {
            directory: Path::new("/project"),
            warnings: Default::default(),
        };
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(&format!("database: \"{text}\""), &problems).unwrap();
        let value = Value::root(&node, &problems).peek("database").unwrap();
        let found = reader(&context, &value);
        let warnings = context.warnings.borrow().len();
        (found, warnings, problems.sentences())
    }

    #[test]
    fn a_path_is_relative_to_the_file() {
        for (text, path) in [
            ("sqlite:customers.db", "/project/customers.db"),
            ("sqlite:/var/c.db", "/var/c.db"),
            ("sqlite:///var/c.db", "/var/c.db"),
            ("sqlite://c.db", "/project/c.db"),
        ] {
            assert_eq!(
                read(text, database).0,
                Some(DatabaseUrl::Sqlite(path.into())),
                "{text}"
            );
        }
        assert_eq!(
            read("state", state).0,
            Some(StateLocation::Directory("/project/state".into()))
        );
        assert_eq!(
            read("sqlite:state", state).0,
            Some(StateLocation::Sqlite("/project/state".into()))
        );
    }

    #[test]
    fn a_password_in_an_address_is_warned_of_and_never_shown() {
        let (found, warnings, _) =
            read("postgres://bridge:hunter2@db:5433/customers?x=1", database);
        let found = found.unwrap();
        assert_eq!(warnings, 1);
        assert_eq!(found.to_string(), "postgres://db:5433/customers");
        assert!(!format!("{found:?}").contains("hunter2"));
        let DatabaseUrl::Postgres(url) = found else {
            panic!("not postgres")
        };
        assert!(url.expose().contains("hunter2"));
        let (found, _, _) = read(
            "mysql:///customers?socket=/run/mysqld/mysqld.sock",
            database,
        );
        assert_eq!(
            found.unwrap().to_string(),
            "mysql:///run/mysqld/mysqld.sock/customers"
        );
        let (found, warnings, _) = read("postgres://bridge@db/state", state);
        assert!(matches!(found, Some(StateLocation::Postgres(_))) && warnings == 0);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for text in [
            "customers.db",
            "oracle://h/d",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:a.db?mode=ro",
            "postgres://",
            "postgres://host",
            "mysql:customers",
            "mysql:///customers?socket=relative",
        ] {
            let (found, _, problems) = read(text, database);
            assert!(found.is_none(), "{text}");
            assert!(
                problems[0].starts_with("E-CFG-VALUE database: "),
                "{problems:?}"
            );
        }
        assert!(read("redis://h/d", state).0.is_none());
        assert!(read("", state).0.is_none());
    }
}
