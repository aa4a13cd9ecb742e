//! The contract on SQLite, and what only SQLite can do to a bridge.

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::contract::{self, *};
use super::value::cell;
use super::*;
use crate::model::Cell;

/// A database file of its own.
struct File(TempDir);

fn file() -> File {
    File(tempfile::tempdir().unwrap())
}

impl File {
    fn path(&self) -> PathBuf {
        self.0.path().join("customers.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

impl Place for File {
    type Side = SqliteLocal;

    fn side(&self, bridge: &str, layout: Layout) -> SqliteLocal {
        let options = SqliteOptions {
            busy_timeout: Duration::ZERO,
            ..SqliteOptions::default()
        };
        SqliteLocal::open(self.path(), bridge, layout, vault(), options).unwrap()
    }

    fn other(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    fn ask(&self, sql: &str) -> Vec<Cell> {
        let conn = self.connect();
        let mut statement = conn.prepare(sql).unwrap();
        statement
            .query_map([], |row| Ok(cell(row.get_ref(0)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

contract::contract!(file());
