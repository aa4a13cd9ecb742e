//! Opening the customer's SQLite file, and what its failures mean to a run.
//!
//! No message holds a value of a record: SQLite's own words are passed on only where they speak of the schema.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::model::{Error, Result};

/// Pages in the write-ahead log before they are moved to the file: four times SQLite's default, or a first load would move
/// them with every third transaction.
const CHECKPOINT_PAGES: u32 = 4_000;

/// What holds for every connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) busy_timeout: Duration,
    pub(super) cache_kib: u32,
}

/// Opens an existing file. `Ok(None)` when there is none.
pub(super) fn open(path: &Path, manner: Manner) -> Result<Option<Connection>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Error::config(
            "E-DB-DIRECTORY",
            format!(
                "{} is a directory. `database: sqlite:FILE` names the database file itself",
                path.display()
            ),
        )),
        Ok(_) => connect(path, OpenFlags::empty(), manner).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unreachable(
            "E-DB-OPEN",
            format!(
                "{} can't be opened: {}. Check the path and who may read it",
                path.display(),
                error.kind()
            ),
        )),
    }
}

/// Opens the file, made if it is not there: a new one is in WAL mode, so that readers and our writes don't wait for each other.
/// A file that stands already keeps its journal mode, because other programs count on it.
pub(super) fn create(path: &Path, manner: Manner) -> Result<Connection> {
    if let Some(conn) = open(path, manner)? {
        return Ok(conn);
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        && !parent.is_dir()
    {
        return Err(Error::config(
            "E-DB-DIRECTORY",
            format!(
                "{} can't be made: {} is not a directory. Make it, or correct `database:`",
                path.display(),
                parent.display()
            ),
        ));
    }
    let conn = connect(path, OpenFlags::SQLITE_OPEN_CREATE, manner)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .map_err(|error| failure(path, &error))?;
    Ok(conn)
}

fn connect(path: &Path, flags: OpenFlags, manner: Manner) -> Result<Connection> {
    let prepare = || -> rusqlite::Result<Connection> {
        // No SQLITE_OPEN_URI: a path is a path, whatever characters it holds.
        let conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | flags,
        )?;
        conn.busy_timeout(manner.busy_timeout)?;
        conn.set_prepared_statement_cache_capacity(96);
        // Durable means durable, also against a power cut; and what the schema declares as a reference is one for us too.
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.pragma_update(None, "cache_size", -i64::from(manner.cache_kib))?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // The first read tells whether it is a database at all.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(conn)
    };
    prepare().map_err(|error| failure(path, &error))
}

/// The error of a run for an error of SQLite.
pub(super) fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    let at = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::unreachable(
            "E-DB-BUSY",
            format!(
                "{at} is locked by another program for longer than the busy time-out. Run again later, or look which program keeps it locked"
            ),
        ),
        Some(ErrorCode::NotADatabase) => Error::config(
            "E-DB-FORMAT",
            format!("{at} is not a SQLite database. Correct `database:` in bridge.yaml"),
        ),
        Some(ErrorCode::DatabaseCorrupt) => Error::needs_person(
            "E-DB-CORRUPT",
            format!(
                "{at} is damaged, SQLite says. Nothing was written; check it with `PRAGMA integrity_check` and restore it if need be"
            ),
        ),
        Some(ErrorCode::DiskFull) => Error::needs_person(
            "E-DB-FULL",
            format!(
                "No room left for {at}. What was not committed is undone; make room and run again"
            ),
        ),
        Some(ErrorCode::ReadOnly) => Error::unreachable(
            "E-DB-READONLY",
            format!(
                "{at} can't be written to. Give this user the right to write to the file and its directory"
            ),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Error::unreachable(
            "E-DB-OPEN",
            format!(
                "{at} can't be opened. Check the path, and who may read and write the file and its directory"
            ),
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
            Error::unreachable(
                "E-DB-IO",
                format!(
                    "Reading or writing {at} failed ({}). Check disk and file system",
                    number(error)
                ),
            )
        }
        _ => Error::unexpected(
            "E-DB-SQL",
            format!(
                "A statement on {at} failed ({}){}",
                number(error),
                words(error)
            ),
        ),
    }
}

/// SQLite's extended result code, which its documentation explains.
pub(super) fn number(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(inner) => format!("SQLite code {}", inner.extended_code),
        None => "rusqlite".to_owned(),
    }
}

/// SQLite's words where they can only speak of the schema; else nothing, for triggers may put values into them.
fn words(error: &rusqlite::Error) -> String {
    const OF_THE_SCHEMA: [&str; 7] = [
        "no such table",
        "no such column",
        "no such function",
        "no such module",
        "no such collation",
        "foreign key mismatch",
        "table ",
    ];
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => return String::new(),
    };
    if OF_THE_SCHEMA.iter().any(|start| text.starts_with(start)) {
        format!(": {text}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    const MANNER: Manner = Manner {
        busy_timeout: Duration::ZERO,
        cache_kib: 256,
    };

    fn refused(path: &Path) -> Error {
        match open(path, MANNER) {
            Ok(_) => panic!("{} was opened", path.display()),
            Err(error) => error,
        }
    }

    #[test]
    fn what_is_no_database_is_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let error = refused(dir.path());
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Config, "E-DB-DIRECTORY")
        );

        let file = dir.path().join("notes.txt");
        std::fs::write(&file, "Dear diary, ".repeat(100)).unwrap();
        let error = refused(&file);
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Config, "E-DB-FORMAT")
        );

        assert!(
            open(&dir.path().join("absent.db"), MANNER)
                .unwrap()
                .is_none()
        );
        assert!(!dir.path().join("absent.db").exists());
        let error = create(&dir.path().join("no/such/dir.db"), MANNER).unwrap_err();
        assert_eq!(error.code(), "E-DB-DIRECTORY");
    }

    #[test]
    fn a_locked_file_is_unreachable_and_safe_to_try_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let other = Connection::open(&file).unwrap();
        other
            .execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE")
            .unwrap();
        let error = refused(&file);
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unreachable, "E-DB-BUSY")
        );
    }

    #[test]
    fn a_new_file_is_wal_and_a_foreign_one_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |conn: &Connection| {
            conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        let ours = create(&dir.path().join("a?b.db"), MANNER).unwrap();
        assert_eq!(mode(&ours), "wal");
        assert!(dir.path().join("a?b.db").exists());

        let file = dir.path().join("theirs.db");
        Connection::open(&file)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        assert_eq!(mode(&create(&file, MANNER).unwrap()), "delete");
    }

    #[test]
    fn the_words_of_a_trigger_are_not_passed_on() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t (a); CREATE TRIGGER x BEFORE INSERT ON t BEGIN SELECT json(NEW.a); SELECT RAISE(ABORT, 'no secrets'); END",
        )
        .unwrap();
        let error = conn.execute("INSERT INTO t VALUES ('{}')", []).unwrap_err();
        assert!(!format!("{:?}", failure(Path::new("a"), &error)).contains("secrets"));
        let error = conn.execute("INSERT INTO gone VALUES (1)", []).unwrap_err();
        assert!(failure(Path::new("a"), &error).message().contains("gone"));
    }
}
