//! Texts of writing statements, what they may fill a column with, and what their refusals mean.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::DIALECT;
use super::schema::{Affinity, ColumnShape};
use crate::local::dialect::NOW_TEXT;
use crate::model::Cell;

/// Texts of statements kept at a time. Mappings have few combinations of columns; more than this are made anew.
const MAX_TEXTS: usize = 256;

/// Why a write did not go through.
pub(super) enum Trouble {
    /// The database refuses this row.
    Refused { code: &'static str, reason: String },
    /// The database can't go on.
    Fatal(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fatal(error)
    }
}

pub(super) fn refused<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Refused {
        code,
        reason: reason.into(),
    })
}

/// An error of running (not of preparing) a statement on one row.
pub(super) fn on_row(error: rusqlite::Error) -> Trouble {
    const BY_TRIGGER: i32 = 1811; // SQLITE_CONSTRAINT_TRIGGER: RAISE in a trigger, whose words may hold values.
    let Some(inner) = error.sqlite_error() else {
        return Trouble::Fatal(error);
    };
    let (code, reason) = match (inner.code, &error) {
        // ON DELETE RESTRICT is a trigger inside SQLite.
        (ErrorCode::ConstraintViolation, rusqlite::Error::SqliteFailure(_, Some(words)))
            if words == "FOREIGN KEY constraint failed" =>
        {
            ("E-FIELD-CONSTRAINT", words.clone())
        }
        (ErrorCode::ConstraintViolation, _) if inner.extended_code == BY_TRIGGER => (
            "E-FIELD-TRIGGER",
            "a trigger of the database refuses the row".to_owned(),
        ),
        // SQLite names table and column, or the text of the constraint: nothing of the row.
        (ErrorCode::ConstraintViolation, rusqlite::Error::SqliteFailure(_, Some(words))) => {
            ("E-FIELD-CONSTRAINT", words.clone())
        }
        (ErrorCode::ConstraintViolation, _) => (
            "E-FIELD-CONSTRAINT",
            "a constraint of the database refuses the row".to_owned(),
        ),
        (ErrorCode::TypeMismatch, _) => (
            "E-FIELD-TYPE",
            "the key column takes integers only".to_owned(),
        ),
        (ErrorCode::TooBig, _) => (
            "E-FIELD-SIZE",
            "a value is larger than the database takes".to_owned(),
        ),
        (ErrorCode::Unknown, _) => (
            "E-FIELD-TRIGGER",
            "a trigger or an expression of the database fails on the row".to_owned(),
        ),
        _ => return Trouble::Fatal(error),
    };
    Trouble::Refused { code, reason }
}

/// Texts of INSERT and UPDATE statements by the columns they name.
#[derive(Default)]
pub(super) struct Texts(HashMap<(&'static str, usize, Vec<usize>), Arc<str>>);

impl Texts {
    pub(super) fn get(
        &mut self,
        kind: &'static str,
        table: usize,
        columns: &[usize],
        make: impl FnOnce() -> String,
    ) -> Arc<str> {
        if self.0.len() >= MAX_TEXTS {
            self.0.clear();
        }
        Arc::clone(
            self.0
                .entry((kind, table, columns.to_vec()))
                .or_insert_with(|| make().into()),
        )
    }
}

/// What a NOT NULL column gets where the mapping has no value.
pub(super) fn storable<'a>(column: &ColumnShape, cell: &'a Cell) -> &'a Cell {
    static EMPTY: Cell = Cell::Text(String::new());
    if *cell == Cell::Null && column.not_null && column.affinity == Affinity::Text {
        &EMPTY
    } else {
        cell
    }
}

pub(super) fn writable(table: &str, column: &ColumnShape) -> Result<(), Trouble> {
    if column.generated {
        return refused(
            "E-FIELD-GENERATED",
            format!("{table}.{} is computed by the database", column.name),
        );
    }
    Ok(())
}

/// The names of the used columns, quoted.
pub(super) fn names(fields: &[Option<ColumnShape>], used: &[usize]) -> Vec<String> {
    used.iter()
        .filter_map(|at| fields.get(*at)?.as_ref())
        .map(|column| DIALECT.name(&column.name))
        .collect()
}

/// `name = ?n` for each name, from the first parameter on.
pub(super) fn sets(names: &[String]) -> Vec<String> {
    names
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{name} = ?{}", at + 1))
        .collect()
}

pub(super) fn insert_text(table: &str, names: &[String], end: &str) -> String {
    let table = DIALECT.name(table);
    if names.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES{end}");
    }
    let places: Vec<String> = (1..=names.len()).map(|at| format!("?{at}")).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES ({}){end}",
        names.join(", "),
        places.join(", ")
    )
}

/// What marks a row in a column of that type: a time, but the bare fact where a boolean stands for it.
pub(super) fn mark(column: &ColumnShape) -> &'static str {
    match column.affinity {
        _ if column.boolean => "1",
        Affinity::Integer => "CAST(strftime('%s', 'now') AS INTEGER)",
        _ => NOW_TEXT,
    }
}

pub(super) fn unmarked(column: &ColumnShape) -> &'static str {
    match (column.not_null, column.affinity) {
        (false, _) => "NULL",
        (true, Affinity::Text) => "''",
        (true, _) => "0",
    }
}
