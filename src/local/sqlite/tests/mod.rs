//! The contract on SQLite, and what only SQLite can do to a bridge.

mod others;
mod rules;
mod shapes;

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::contract::{self, *};
use super::value::cell;
use super::*;

use crate::local::ChildSet;
use crate::local::problem::JournalState;
use crate::model::{Cell, ChangeMethod, ColumnKind, ErrorKind};

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

    fn now(&self) -> String {
        "strftime('%Y-%m-%d %H:%M:%f', 'now')".to_owned()
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

contract::contract!(Some(file()));

/// A layout for a table that the customer made.
fn theirs(key: &str, columns: &[&str]) -> Layout {
    Layout {
        key: key.to_owned(),
        create: false,
        columns: columns
            .iter()
            .map(|name| column(name, ColumnKind::Text))
            .collect(),
        children: Vec::new(),
        ..layout()
    }
}

/// An insert that fills the given fields.
fn fill(remote: &str, cells: &[&str]) -> RowWrite {
    RowWrite::Insert {
        cells: cells.iter().map(|cell| Some(text(cell))).collect(),
        children: Vec::new(),
        remote_id: RemoteId(remote.to_owned()),
        external_id: None,
    }
}

fn code(outcome: &RowOutcome) -> &'static str {
    match outcome {
        RowOutcome::Refused { code, reason } => {
            assert!(!reason.contains("secret"), "{reason}");
            code
        }
        RowOutcome::Written(_) => "written",
        RowOutcome::Moved => "moved",
        RowOutcome::Exists(_) => "exists",
    }
}

async fn codes(side: &mut SqliteLocal, writes: &[RowWrite]) -> Vec<&'static str> {
    let outcomes = side.apply(&fence(1), writes).await.unwrap();
    outcomes.iter().map(code).collect()
}

fn fatal(side: &mut SqliteLocal) -> Vec<&'static str> {
    let description = side.describe().unwrap();
    let fatal = description.problems.iter().filter(|found| found.fatal);
    fatal.map(|found| found.code).collect()
}

fn warnings(side: &mut SqliteLocal) -> Vec<&'static str> {
    let problems = side.describe().unwrap().problems;
    let warnings = problems.iter().filter(|found| !found.fatal);
    warnings.map(|found| found.code).collect()
}
