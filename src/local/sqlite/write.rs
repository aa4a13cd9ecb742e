//! One write: the row read again under the lock, then the row, its child rows and its link.
//!
//! What the database refuses about a row is an outcome; only what concerns the whole database is an error.

use std::collections::HashSet;

use rusqlite::{ErrorCode, ToSql};

use super::statement::{
    Texts, Trouble, insert_text, mark, names, on_row, refused, sets, storable, unmarked, writable,
};
use super::value::read_key;
use super::{DIALECT, Reader, links};
use crate::local::{ChildSet, LinkRow, Row, RowOutcome, RowWrite};
use crate::model::{Cell, Digest, LocalKey, RemoteId, Vault};

const LACKS_COLUMN: &str = "the table lacks a column of the mapping";

/// What writing needs, inside a transaction.
pub(super) struct Writer<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) vault: &'a Vault,
    pub(super) texts: &'a mut Texts,
    /// Keys of the mapped table that were written.
    pub(super) touched: HashSet<LocalKey>,
}

impl Writer<'_> {
    /// Whether a refusal of this write leaves nothing of it behind, because only its first changing statement can be refused.
    /// Then it needs no savepoint, which costs a copy of every page that the write touches.
    pub(super) fn is_whole(&self, write: &RowWrite) -> bool {
        let binding = self.reader.binding;
        !binding.foreign_triggers
            && match write {
                RowWrite::Insert { children, .. } => children.is_empty() && binding.integer_key(),
                RowWrite::Update {
                    cells,
                    children,
                    link,
                    ..
                } => {
                    let key = self.reader.layout.key_field;
                    children.is_empty()
                        && link.is_none()
                        && !cells.iter().any(|(at, _)| Some(*at) == key)
                }
                RowWrite::Delete { .. } => binding.deleted.is_some(),
                RowWrite::Link(_) => false,
                RowWrite::Unlink(_) => true,
            }
    }

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
        if let Some(external_id) = external_id {
            self.free_external(external_id, None)?;
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
        let key = self.insert_row(&used, values)?;
        self.touched.insert(key.clone());
        for set in children {
            self.settle_children(set, &key)?;
        }
        self.put_link(&key, external_id, Some(remote_id))?;
        self.written(&key)
    }

    /// Makes the row, and says which key it got.
    fn insert_row(&mut self, used: &[usize], values: Vec<&Cell>) -> Result<LocalKey, Trouble> {
        let (conn, binding) = (self.reader.conn, self.reader.binding);
        let integer = binding.integer_key();
        let text = self.texts.get("insert", 0, used, || {
            let key = DIALECT.name(&binding.key.name);
            let end = if integer {
                String::new()
            } else {
                format!(" RETURNING {key}")
            };
            insert_text(&binding.table, &names(&binding.fields, used), &end)
        });
        let mut statement = conn.prepare_cached(&text)?;
        let values = rusqlite::params_from_iter(values);
        if integer {
            return match statement.execute(values).map_err(on_row)? {
                0 => refused(
                    "E-FIELD-TRIGGER",
                    "a rule of the database passes the row over",
                ),
                _ => Ok(LocalKey::Int(conn.last_insert_rowid())),
            };
        }
        let mut rows = statement.query(values).map_err(on_row)?;
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
        if named {
            Ok(key)
        } else {
            refused(
                "E-FIELD-KEY",
                format!("nothing fills the key {}", binding.key.name),
            )
        }
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
        if let Some(holder) = by_remote.filter(|holder| holder.key != *key) {
            self.free(&holder.key, "remote id")?;
        }
        if let Some(external_id) = external_id {
            self.free_external(external_id, Some(key))?;
        }
        put().map_err(on_row)
    }

    /// Takes an External ID from the link of a row that is gone; refused where another living row has it.
    fn free_external(&mut self, external_id: &str, own: Option<&LocalKey>) -> Result<(), Trouble> {
        let (conn, bridge) = (self.reader.conn, self.reader.bridge);
        match links::one_by_external(conn, bridge, external_id)? {
            Some(holder) if Some(&holder.key) != own => self.free(&holder.key, "External ID"),
            _ => Ok(()),
        }
    }

    fn free(&mut self, holder: &LocalKey, what: &str) -> Result<(), Trouble> {
        if self.reader.digest(holder)?.is_some() {
            return refused(
                "E-LINK-TAKEN",
                format!("another row is linked with this {what} already"),
            );
        }
        links::remove(self.reader.conn, self.reader.bridge, holder)?;
        Ok(())
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
