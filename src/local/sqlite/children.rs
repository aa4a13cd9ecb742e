//! Child rows: repeated parts of a record as rows of their own table.
//!
//! A part and its row belong together by the part's key. Rows that equal their part are not written, rows of vanished parts go,
//! and rows that never stood for a part are left alone.

use rusqlite::{ToSql, params};

use super::binding::ChildBinding;
use super::statement::{Trouble, insert_text, on_row, refused, sets, storable};
use super::value::cell;
use super::write::Writer;
use super::{DIALECT, Reader};
use crate::local::digest::plain;
use crate::local::{ChildSet, Children, in_key_order};
use crate::model::{Cell, Digest, LocalKey};

/// A row that stands there.
struct Standing {
    rowid: Option<i64>,
    cells: Vec<Cell>,
    part: Digest,
    /// A part of the record is in it.
    claimed: bool,
}

impl Writer<'_> {
    /// Makes the rows of one rule as the record has its parts.
    pub(super) fn settle_children(
        &mut self,
        set: &ChildSet,
        parent: &LocalKey,
    ) -> Result<(), Trouble> {
        let binding = self.reader.binding;
        let (Some(Some(child)), Some(rule)) = (
            binding.children.get(set.rule),
            self.reader.layout.children.get(set.rule),
        ) else {
            return refused(
                "E-FIELD-COLUMN",
                "the database lacks a child table of the mapping",
            );
        };
        let mut standing = self.standing(child, &rule.key, parent)?;
        let mut wanted = Vec::with_capacity(set.rows.len());
        for row in &set.rows {
            let part = self.part(&rule.key, row);
            wanted.push(part);
            let free = standing
                .iter_mut()
                .find(|there| !there.claimed && there.part == part);
            match free {
                Some(there) => {
                    there.claimed = true;
                    self.update_child(set.rule, child, &rule.key, parent, there, row)?;
                }
                None => self.insert_child(set.rule, child, parent, row)?,
            }
        }
        for there in standing.iter().filter(|there| {
            !there.claimed && set.formerly.contains(&there.part) && !wanted.contains(&there.part)
        }) {
            let (place, values) = identity(child, &rule.key, parent, there, 1);
            let text = format!("DELETE FROM {} WHERE {place}", DIALECT.name(&child.table));
            self.reader
                .conn
                .prepare_cached(&text)?
                .execute(values.as_slice())
                .map_err(on_row)?;
        }
        Ok(())
    }

    /// Deletes all child rows of a parent that is about to be deleted.
    pub(super) fn delete_children(&mut self, parent: &LocalKey) -> Result<(), Trouble> {
        for child in self.reader.binding.children.iter().flatten() {
            let text = format!(
                "DELETE FROM {} WHERE {}",
                DIALECT.name(&child.table),
                parent_is(child, 1)
            );
            self.reader
                .conn
                .prepare_cached(&text)?
                .execute([parent])
                .map_err(on_row)?;
        }
        Ok(())
    }

    /// Lets the child rows follow a parent whose key changed.
    pub(super) fn move_children(&mut self, from: &LocalKey, to: &LocalKey) -> Result<(), Trouble> {
        for child in self.reader.binding.children.iter().flatten() {
            let text = format!(
                "UPDATE {} SET {} = ?2 WHERE {}",
                DIALECT.name(&child.table),
                DIALECT.name(&child.parent),
                parent_is(child, 1)
            );
            self.reader
                .conn
                .prepare_cached(&text)?
                .execute(params![from, to])
                .map_err(on_row)?;
        }
        Ok(())
    }

    /// The digest that tells a part from its siblings. A NOT NULL column shows the empty text for a part without a value.
    fn part(&self, key: &[usize], cells: &[Cell]) -> Digest {
        let cells: Vec<Cell> = key
            .iter()
            .map(|at| match cells.get(*at) {
                None => Cell::Null,
                Some(Cell::Text(text)) if text.is_empty() => Cell::Null,
                Some(cell) => cell.clone(),
            })
            .collect();
        self.vault.part_digest(&cells)
    }

    fn standing(
        &mut self,
        child: &ChildBinding,
        key: &[usize],
        parent: &LocalKey,
    ) -> Result<Vec<Standing>, Trouble> {
        let columns: Vec<String> = child
            .columns
            .iter()
            .map(|column| format!("t.{}", DIALECT.name(&column.name)))
            .collect();
        let rowid = child.rowid.map(|name| format!("t.{name}"));
        let text = format!(
            "SELECT {}, {} FROM {} AS t WHERE t.{} COLLATE BINARY = ?1{}",
            rowid.as_deref().unwrap_or("NULL"),
            columns.join(", "),
            DIALECT.name(&child.table),
            DIALECT.name(&child.parent),
            rowid
                .as_ref()
                .map_or(String::new(), |rowid| format!(" ORDER BY {rowid}"))
        );
        let mut statement = self.reader.conn.prepare_cached(&text)?;
        let mut rows = statement.query([parent])?;
        let mut standing = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (1..=child.columns.len())
                .map(|at| row.get_ref(at).map(cell))
                .collect::<rusqlite::Result<Vec<_>>>()?;
            standing.push(Standing {
                rowid: row.get(0)?,
                part: self.part(key, &cells),
                cells,
                claimed: false,
            });
        }
        Ok(standing)
    }

    fn insert_child(
        &mut self,
        rule: usize,
        child: &ChildBinding,
        parent: &LocalKey,
        row: &[Cell],
    ) -> Result<(), Trouble> {
        let text = self.texts.get("child", rule, &[], || {
            let mut names = vec![DIALECT.name(&child.parent)];
            names.extend(
                child
                    .columns
                    .iter()
                    .map(|column| DIALECT.name(&column.name)),
            );
            insert_text(&child.table, &names, "")
        });
        let mut values: Vec<&dyn ToSql> = vec![parent];
        for (at, column) in child.columns.iter().enumerate() {
            values.push(storable(column, row.get(at).unwrap_or(&Cell::Null)));
        }
        self.reader
            .conn
            .prepare_cached(&text)?
            .execute(values.as_slice())
            .map_err(on_row)?;
        Ok(())
    }

    fn update_child(
        &mut self,
        rule: usize,
        child: &ChildBinding,
        key: &[usize],
        parent: &LocalKey,
        there: &Standing,
        row: &[Cell],
    ) -> Result<(), Trouble> {
        let mut used = Vec::new();
        let mut values: Vec<&dyn ToSql> = Vec::new();
        for (at, column) in child.columns.iter().enumerate() {
            let wanted = storable(column, row.get(at).unwrap_or(&Cell::Null));
            if plain(wanted) != plain(&there.cells[at]) {
                used.push(at);
                values.push(wanted);
            }
        }
        if used.is_empty() {
            return Ok(());
        }
        let (place, identity) = identity(child, key, parent, there, used.len() + 1);
        values.extend(identity);
        let text = self.texts.get("child-update", rule, &used, || {
            let names: Vec<String> = used
                .iter()
                .filter_map(|at| child.columns.get(*at))
                .map(|column| DIALECT.name(&column.name))
                .collect();
            format!(
                "UPDATE {} SET {} WHERE {place}",
                DIALECT.name(&child.table),
                sets(&names).join(", ")
            )
        });
        self.reader
            .conn
            .prepare_cached(&text)?
            .execute(values.as_slice())
            .map_err(on_row)?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The child rows of each of these parents.
    pub(super) fn children(&mut self, keys: &[LocalKey]) -> rusqlite::Result<Vec<Children>> {
        let mut found = vec![vec![Vec::new(); self.layout.children.len()]; keys.len()];
        for (rule, child) in self.binding.children.iter().enumerate() {
            let (Some(child), Some(layout)) = (child, self.layout.children.get(rule)) else {
                continue;
            };
            let columns: Vec<String> = child
                .columns
                .iter()
                .map(|column| DIALECT.name(&column.name))
                .collect();
            let text = format!(
                "SELECT {} FROM {} WHERE {}{}",
                columns.join(", "),
                DIALECT.name(&child.table),
                parent_is(child, 1),
                child
                    .rowid
                    .map_or(String::new(), |rowid| format!(" ORDER BY {rowid}"))
            );
            let mut statement = self.conn.prepare_cached(&text)?;
            for (key, children) in keys.iter().zip(&mut found) {
                let mut rows = statement.query([key])?;
                while let Some(row) = rows.next()? {
                    let cells = (0..child.columns.len())
                        .map(|at| row.get_ref(at).map(cell))
                        .collect::<rusqlite::Result<Vec<_>>>()?;
                    children[rule].push(cells);
                }
                in_key_order(&mut children[rule], &layout.key);
            }
        }
        Ok(found)
    }
}

fn parent_is(child: &ChildBinding, at: usize) -> String {
    format!(
        "{}.{} COLLATE BINARY = ?{at}",
        DIALECT.name(&child.table),
        DIALECT.name(&child.parent)
    )
}

/// The condition that finds one standing row again, with parameters from `at` on: its rowid, else parent and key cells.
fn identity<'a>(
    child: &ChildBinding,
    key: &[usize],
    parent: &'a LocalKey,
    there: &'a Standing,
    at: usize,
) -> (String, Vec<&'a dyn ToSql>) {
    if let (Some(name), Some(rowid)) = (child.rowid, &there.rowid) {
        return (format!("{name} = ?{at}"), vec![rowid]);
    }
    let mut conditions = vec![parent_is(child, at)];
    let mut values: Vec<&dyn ToSql> = vec![parent];
    for index in key {
        if let (Some(column), Some(cell)) = (child.columns.get(*index), there.cells.get(*index)) {
            conditions.push(format!(
                "{}.{} COLLATE BINARY IS ?{}",
                DIALECT.name(&child.table),
                DIALECT.name(&column.name),
                at + values.len()
            ));
            values.push(cell);
        }
    }
    (conditions.join(" AND "), values)
}
