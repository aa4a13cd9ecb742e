//! One write: the row read again under the lock, then the row, its child rows and its link.
//!
//! What the database refuses about a row is an outcome; only what concerns the whole database is an error.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{ErrorCode, ToSql};

use super::schema::{Affinity, ColumnShape};
use super::value::read_key;
use super::{DIALECT, Reader, links};
use crate::local::dialect::NOW_TEXT;
use crate::local::{ChildSet, LinkRow, Row, RowOutcome, RowWrite};
use crate::model::{Cell, Digest, LocalKey, RemoteId, Vault};

/// Texts of statements kept at a time. Mappings have few combinations of columns; more than this are made anew.
const MAX_TEXTS: usize = 256;

const LACKS_COLUMN: &str = "the table lacks a column of the mapping";

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

/// What writing needs, inside a transaction.
pub(super) struct Writer<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) vault: &'a Vault,
    pub(super) texts: &'a mut Texts,
    /// Keys of the mapped table that were written.
    pub(super) touched: HashSet<LocalKey>,
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

impl Writer<'_> {
    pub(super) fn write(&mut self, write: &RowWrite) -> Result<RowOutcome, Trouble> {
        match write {
            RowWrite::Insert {
                cells,
                children,
                remote_id,
                external_id,
            } => self.insert(cells, children, remote_id, external_id.as_deref()),
            RowWrite::Update {
                key,
                expect,
                cells,
                children,
                revive,
                link,
            } => self.update(key, *expect, cells, children, *revive, link.as_ref()),
            RowWrite::Delete { key, expect } => self.delete(key, *expect),
            RowWrite::Link(link) => {
                if self.reader.digest(&link.key)?.is_none() {
                    return Ok(RowOutcome::Moved);
                }
                self.put_link(
                    &link.key,
                    link.external_id.as_deref(),
                    link.remote_id.as_ref(),
                )?;
                Ok(RowOutcome::Written(None))
            }
            RowWrite::Unlink(key) => {
                links::remove(self.reader.conn, self.reader.bridge, key)?;
                Ok(RowOutcome::Written(None))
            }
        }
    }

    fn insert(
        &mut self,
        cells: &[Option<Cell>],
        children: &[ChildSet],
        remote_id: &RemoteId,
        external_id: Option<&str>,
    ) -> Result<RowOutcome, Trouble> {
        let (conn, bridge) = (self.reader.conn, self.reader.bridge);
        if let Some(link) = links::one_by_remote(conn, bridge, remote_id)? {
            if let Some(row) = self.current(&link.key)? {
                return Ok(RowOutcome::Exists(row));
            }
            links::remove(conn, bridge, &link.key)?;
        }
        let binding = self.reader.binding;
        let mut used = Vec::with_capacity(cells.len());
        let mut values: Vec<&Cell> = Vec::with_capacity(cells.len());
        for (at, (cell, column)) in cells.iter().zip(&binding.fields).enumerate() {
            let Some(cell) = cell else { continue };
            let Some(column) = column else {
                return refused("E-FIELD-COLUMN", LACKS_COLUMN);
            };
            let cell = storable(column, cell);
            // NULL for a column that takes none: its own default is the better guess, where it has one.
            if *cell == Cell::Null && column.not_null && column.has_default {
                continue;
            }
            writable(&binding.table, column)?;
            used.push(at);
            values.push(cell);
        }
        let text = self.texts.get("insert", 0, &used, || {
            insert_text(
                &binding.table,
                &names(&binding.fields, &used),
                &format!(" RETURNING {}", DIALECT.name(&binding.key.name)),
            )
        });
        let key = {
            let mut statement = conn.prepare_cached(&text)?;
            let mut rows = statement
                .query(rusqlite::params_from_iter(values))
                .map_err(on_row)?;
            let mut key = LocalKey::Int(0);
            let named = match rows.next().map_err(on_row)? {
                Some(row) => read_key(row.get_ref(0)?, &mut key),
                None => {
                    return refused(
                        "E-FIELD-TRIGGER",
                        "a rule of the database passes the row over",
                    );
                }
            };
            rows.next().map_err(on_row)?;
            if !named {
                return refused(
                    "E-FIELD-KEY",
                    format!("nothing fills the key {}", binding.key.name),
                );
            }
            key
        };
        self.touched.insert(key.clone());
        for set in children {
            self.settle_children(set, &key)?;
        }
        self.put_link(&key, external_id, Some(remote_id))?;
        self.written(&key)
    }

    fn update(
        &mut self,
        key: &LocalKey,
        expect: Digest,
        cells: &[(usize, Cell)],
        children: &[ChildSet],
        revive: bool,
        link: Option<&LinkRow>,
    ) -> Result<RowOutcome, Trouble> {
        match self.reader.digest(key)? {
            Some((digest, _)) if digest == expect => {}
            _ => return Ok(RowOutcome::Moved),
        }
        let binding = self.reader.binding;
        let mut used = Vec::with_capacity(cells.len());
        let mut values: Vec<&dyn ToSql> = Vec::with_capacity(cells.len() + 1);
        for (at, cell) in cells {
            let Some(Some(column)) = binding.fields.get(*at) else {
                return refused("E-FIELD-COLUMN", LACKS_COLUMN);
            };
            writable(&binding.table, column)?;
            used.push(*at);
            values.push(storable(column, cell));
        }
        let revive = binding.deleted.as_ref().filter(|_| revive);
        let mut now = key.clone();
        if !used.is_empty() || revive.is_some() {
            let kind = if revive.is_some() { "revive" } else { "update" };
            let text = self.texts.get(kind, 0, &used, || {
                let mut sets = sets(&names(&binding.fields, &used));
                sets.extend(revive.map(|column| {
                    format!("{} = {}", DIALECT.name(&column.name), unmarked(column))
                }));
                self.reader.update_text(&sets, used.len() + 1)
            });
            values.push(key);
            now = self.changed_key(&text, &values)?;
        }
        self.touched.insert(key.clone());
        if now != *key {
            self.touched.insert(now.clone());
            links::rename(self.reader.conn, self.reader.bridge, key, &now)?;
            self.move_children(key, &now)?;
        }
        for set in children {
            self.settle_children(set, &now)?;
        }
        if let Some(link) = link {
            self.put_link(&now, link.external_id.as_deref(), link.remote_id.as_ref())?;
        }
        self.written(&now)
    }

    fn delete(&mut self, key: &LocalKey, expect: Digest) -> Result<RowOutcome, Trouble> {
        let marked = match self.reader.digest(key)? {
            Some((digest, marked)) if digest == expect => marked,
            _ => return Ok(RowOutcome::Moved),
        };
        let binding = self.reader.binding;
        self.touched.insert(key.clone());
        if let Some(column) = &binding.deleted {
            if !marked {
                let set = format!("{} = {}", DIALECT.name(&column.name), mark(column));
                let text = self.reader.update_text(&[set], 1);
                self.changed_key(&text, &[key])?;
            }
            return self.written(key);
        }
        if self.reader.layout.deleted.is_some() {
            // Never a real deletion where the mapping asked for a mark.
            return refused("E-FIELD-COLUMN", "the table lacks the column of the mark");
        }
        self.delete_children(key)?;
        let conn = self.reader.conn;
        let deleted = conn
            .prepare_cached(&format!(
                "DELETE FROM {} WHERE {}",
                DIALECT.name(&binding.table),
                self.reader.key_is(1)
            ))?
            .execute([key])
            .map_err(on_row)?;
        if deleted == 0 {
            return refused("E-FIELD-TRIGGER", "a trigger of the database keeps the row");
        }
        links::remove(conn, self.reader.bridge, key)?;
        Ok(RowOutcome::Written(None))
    }

    /// Runs an UPDATE that returns the key, which a field of the mapping or a trigger may have changed.
    fn changed_key(&self, text: &str, values: &[&dyn ToSql]) -> Result<LocalKey, Trouble> {
        let mut statement = self.reader.conn.prepare_cached(text)?;
        let mut rows = statement.query(values).map_err(on_row)?;
        let mut key = LocalKey::Int(0);
        let named = match rows.next().map_err(on_row)? {
            Some(row) => read_key(row.get_ref(0)?, &mut key),
            None => return refused("E-FIELD-TRIGGER", "a trigger of the database keeps the row"),
        };
        rows.next().map_err(on_row)?;
        if named {
            Ok(key)
        } else {
            refused("E-FIELD-KEY", "the row would lose its key")
        }
    }

    /// The row as it stands now.
    fn current(&mut self, key: &LocalKey) -> Result<Option<Row>, Trouble> {
        let conn = self.reader.conn;
        let mut statement = conn.prepare_cached(&self.reader.binding.fetch)?;
        Ok(self.reader.row(&mut statement, key, true)?)
    }

    fn written(&mut self, key: &LocalKey) -> Result<RowOutcome, Trouble> {
        match self.current(key)? {
            Some(row) => Ok(RowOutcome::Written(Some(row))),
            None => refused(
                "E-FIELD-TRIGGER",
                "a trigger of the database took the row away",
            ),
        }
    }

    /// Writes a link. One that another row holds is taken over only where that row is gone.
    fn put_link(
        &mut self,
        key: &LocalKey,
        external_id: Option<&str>,
        remote_id: Option<&RemoteId>,
    ) -> Result<(), Trouble> {
        let (conn, bridge) = (self.reader.conn, self.reader.bridge);
        let put = || links::put(conn, bridge, key, external_id, remote_id);
        match put() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            done => return Ok(done?),
        }
        let by_remote = match remote_id {
            Some(id) => links::one_by_remote(conn, bridge, id)?,
            None => None,
        };
        let by_external = match external_id {
            Some(id) => links::one_by_external(conn, bridge, id)?,
            None => None,
        };
        for (holder, what) in [(by_remote, "remote id"), (by_external, "External ID")] {
            let Some(holder) = holder.filter(|holder| holder.key != *key) else {
                continue;
            };
            if self.reader.digest(&holder.key)?.is_some() {
                return refused(
                    "E-LINK-TAKEN",
                    format!("another row is linked with this {what} already"),
                );
            }
            links::remove(conn, bridge, &holder.key)?;
        }
        put().map_err(on_row)
    }
}

impl Reader<'_> {
    /// The condition that finds a row by its key, as parameter `at`.
    fn key_is(&self, at: usize) -> String {
        format!(
            "{}.{} COLLATE BINARY = ?{at}",
            DIALECT.name(&self.binding.table),
            DIALECT.name(&self.binding.key.name)
        )
    }

    fn update_text(&self, sets: &[String], key_at: usize) -> String {
        format!(
            "UPDATE {} SET {} WHERE {} RETURNING {}",
            DIALECT.name(&self.binding.table),
            sets.join(", "),
            self.key_is(key_at),
            DIALECT.name(&self.binding.key.name)
        )
    }
}

fn writable(table: &str, column: &ColumnShape) -> Result<(), Trouble> {
    if column.generated {
        return refused(
            "E-FIELD-GENERATED",
            format!("{table}.{} is computed by the database", column.name),
        );
    }
    Ok(())
}

/// The names of the used columns, quoted.
fn names(fields: &[Option<ColumnShape>], used: &[usize]) -> Vec<String> {
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
fn mark(column: &ColumnShape) -> &'static str {
    match column.affinity {
        _ if column.boolean => "1",
        Affinity::Integer => "CAST(strftime('%s', 'now') AS INTEGER)",
        _ => NOW_TEXT,
    }
}

fn unmarked(column: &ColumnShape) -> &'static str {
    match (column.not_null, column.affinity) {
        (false, _) => "NULL",
        (true, Affinity::Text) => "''",
        (true, _) => "0",
    }
}
