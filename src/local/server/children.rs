//! Child rows: repeated parts of a record as rows of their own table.
//!
//! A part and its row belong together by the part's key. Rows that equal their part are not written, rows of vanished parts go,
//! and rows that never stood for a part are left alone.

use std::collections::HashMap;

use super::Reader;
use super::backend::{Answer, Backend, Statement, portions};
use super::binding::ChildBinding;
use super::feed::KEYS_MAX;
use super::shape::ColumnShape;
use super::write::{Writer, insert_many, refused, storable};
use crate::local::dialect::Dialect;
use crate::local::{ChildSet, Children, in_key_order};
use crate::model::{Cell, Digest, LocalKey};

/// Child rows made in one statement.
const INSERT_MAX: usize = 1_000;

/// A row that stands there.
struct Standing {
    /// Its place in the table (PostgreSQL), which stays the same while we hold it.
    place: Option<String>,
    /// What was read of it, as read.
    read: Vec<Option<String>>,
    cells: Vec<Cell>,
    part: Digest,
    /// A part of the record is in it.
    claimed: bool,
}

impl<B: Backend> Writer<'_, B> {
    /// Makes the rows of these rules as their records have their parts.
    pub(super) async fn settle_children(&mut self, sets: &[(LocalKey, &ChildSet)]) -> Answer<()> {
        let rules = self.reader.binding.children.len();
        for rule in 0..rules {
            let of_rule: Vec<_> = sets
                .iter()
                .filter(|(_, set)| set.rule == rule)
                .map(|(parent, set)| (parent, *set))
                .collect();
            if !of_rule.is_empty() {
                self.settle_rule(rule, &of_rule).await?;
            }
        }
        if sets.iter().any(|(_, set)| set.rule >= rules) {
            return refused(
                "E-FIELD-COLUMN",
                "the database lacks a child table of the mapping",
            );
        }
        Ok(())
    }

    async fn settle_rule(&mut self, rule: usize, sets: &[(&LocalKey, &ChildSet)]) -> Answer<()> {
        let binding = self.reader.binding;
        let (Some(Some(child)), Some(layout)) = (
            binding.children.get(rule),
            self.reader.layout.children.get(rule),
        ) else {
            return refused(
                "E-FIELD-COLUMN",
                "the database lacks a child table of the mapping",
            );
        };
        let parents: Vec<LocalKey> = sets.iter().map(|(parent, _)| (*parent).clone()).collect();
        let mut all = self.standing(child, &layout.key, &parents).await?;
        let mut made: Vec<(Cell, &[Cell])> = Vec::new();
        for (parent, set) in sets {
            let standing = all.entry((*parent).clone()).or_default();
            let mut wanted = Vec::with_capacity(set.rows.len());
            for row in &set.rows {
                let part = self.part(&layout.key, row);
                wanted.push(part);
                let free = standing
                    .iter_mut()
                    .find(|there| !there.claimed && there.part == part);
                match free {
                    Some(there) => {
                        there.claimed = true;
                        self.update_child(child, parent, there, row).await?;
                    }
                    None => made.push((key_cell(parent), row)),
                }
            }
            for there in standing.iter().filter(|there| {
                !there.claimed
                    && set.formerly.contains(&there.part)
                    && !wanted.contains(&there.part)
            }) {
                let statement =
                    Statement::new(B::DIALECT, format!("DELETE FROM {} WHERE ", child.table));
                let statement = identity(statement, child, &child.table, parent, there);
                self.reader.backend.execute(&statement).await?;
            }
        }
        let mut columns = vec![&child.parent];
        columns.extend(&child.columns);
        for part in portions(B::DIALECT, &made, INSERT_MAX) {
            let rows: Vec<Vec<&Cell>> =
                part.iter()
                    .map(|(parent, row)| {
                        let cells = child.columns.iter().enumerate().map(|(at, column)| {
                            storable(column, row.get(at).unwrap_or(&Cell::Null))
                        });
                        std::iter::once(parent).chain(cells).collect()
                    })
                    .collect();
            let rows: Vec<&[&Cell]> = rows.iter().map(Vec::as_slice).collect();
            let statement = insert_many(B::DIALECT, &child.table, &columns, &rows);
            self.reader.backend.execute(&statement).await?;
        }
        Ok(())
    }

    /// Deletes all child rows of parents that are about to be deleted.
    pub(super) async fn delete_children(&mut self, parents: &[LocalKey]) -> Answer<()> {
        for child in self.reader.binding.children.iter().flatten() {
            let parents = possible(child, parents);
            for part in parents.chunks(KEYS_MAX) {
                let statement =
                    Statement::new(B::DIALECT, format!("DELETE FROM {} WHERE ", child.table))
                        .holds_key(&child.table, &child.parent, part);
                self.reader.backend.execute(&statement).await?;
            }
        }
        Ok(())
    }

    /// Lets the child rows follow a parent whose key changed.
    pub(super) async fn move_children(&mut self, from: &LocalKey, to: &LocalKey) -> Answer<()> {
        for child in self.reader.binding.children.iter().flatten() {
            let from = possible(child, std::slice::from_ref(from));
            if from.is_empty() {
                continue;
            }
            let statement = Statement::new(
                B::DIALECT,
                format!(
                    "UPDATE {} AS t SET {} = ",
                    child.table,
                    B::DIALECT.name(&child.parent.name)
                ),
            )
            .cell(&child.parent, &key_cell(to))
            .sql(" WHERE ")
            .holds_key("t", &child.parent, &from);
            self.reader.backend.execute(&statement).await?;
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

    async fn standing(
        &mut self,
        child: &ChildBinding,
        key: &[usize],
        parents: &[LocalKey],
    ) -> Answer<HashMap<LocalKey, Vec<Standing>>> {
        let place = match B::DIALECT {
            Dialect::MySql => "NULL",
            _ => "t.ctid::text",
        };
        let columns: Vec<String> = std::iter::once(&child.parent)
            .chain(&child.columns)
            .map(|column| column.read(B::DIALECT))
            .collect();
        let mut read = Vec::new();
        for part in possible(child, parents).chunks(KEYS_MAX) {
            let statement = Statement::new(
                B::DIALECT,
                format!(
                    "SELECT {place}, {} FROM {} AS t WHERE ",
                    columns.join(", "),
                    child.table
                ),
            )
            .holds_key("t", &child.parent, part)
            .sql(" FOR UPDATE");
            read.extend(super::backend::rows(self.reader.backend, &statement).await?);
        }
        let mut standing: HashMap<LocalKey, Vec<Standing>> = HashMap::new();
        for row in read {
            let mut values = row.into_iter();
            let place = values.next().flatten();
            let Some(parent) = child.parent.key(values.next().flatten().as_deref()) else {
                continue;
            };
            let read: Vec<Option<String>> = values.collect();
            let cells: Vec<Cell> = child
                .columns
                .iter()
                .zip(&read)
                .map(|(column, value)| column.cell(value.as_deref()))
                .collect();
            standing.entry(parent).or_default().push(Standing {
                place,
                part: self.part(key, &cells),
                read,
                cells,
                claimed: false,
            });
        }
        Ok(standing)
    }

    async fn update_child(
        &mut self,
        child: &ChildBinding,
        parent: &LocalKey,
        there: &Standing,
        row: &[Cell],
    ) -> Answer<()> {
        let mut statement = Statement::new(B::DIALECT, format!("UPDATE {} AS t SET ", child.table));
        let mut any = false;
        for (at, column) in child.columns.iter().enumerate() {
            let wanted = storable(column, row.get(at).unwrap_or(&Cell::Null));
            if there
                .cells
                .get(at)
                .is_some_and(|cell| column.same(wanted, cell))
            {
                continue;
            }
            let comma = if any { ", " } else { "" };
            statement = statement
                .sql(&format!("{comma}{} = ", B::DIALECT.name(&column.name)))
                .cell(column, wanted);
            any = true;
        }
        if any {
            let statement = identity(statement.sql(" WHERE "), child, "t", parent, there);
            self.reader.backend.execute(&statement).await?;
        }
        Ok(())
    }
}

impl<B: Backend> Reader<'_, B> {
    /// The child rows of each of these parents.
    pub(super) async fn children(&mut self, keys: &[LocalKey]) -> Answer<Vec<Children>> {
        let mut found = vec![vec![Vec::new(); self.layout.children.len()]; keys.len()];
        for (rule, child) in self.binding.children.iter().enumerate() {
            let (Some(child), Some(layout)) = (child, self.layout.children.get(rule)) else {
                continue;
            };
            let columns: Vec<String> = std::iter::once(&child.parent)
                .chain(&child.columns)
                .map(|column| column.read(B::DIALECT))
                .collect();
            let mut of_parent: HashMap<LocalKey, Vec<Vec<Cell>>> = HashMap::new();
            for part in possible(child, keys).chunks(KEYS_MAX) {
                let statement = Statement::new(
                    B::DIALECT,
                    format!(
                        "SELECT {} FROM {} AS t WHERE ",
                        columns.join(", "),
                        child.table
                    ),
                )
                .holds_key("t", &child.parent, part);
                for row in super::backend::rows(self.backend, &statement).await? {
                    let mut values = row.into_iter();
                    let Some(parent) = child.parent.key(values.next().flatten().as_deref()) else {
                        continue;
                    };
                    let cells = child
                        .columns
                        .iter()
                        .zip(values)
                        .map(|(column, value)| column.cell(value.as_deref()))
                        .collect();
                    of_parent.entry(parent).or_default().push(cells);
                }
            }
            for (key, children) in keys.iter().zip(&mut found) {
                children[rule] = of_parent.remove(key).unwrap_or_default();
                in_key_order(&mut children[rule], &layout.key);
            }
        }
        Ok(found)
    }
}

/// The keys that the parent's column can hold.
fn possible(child: &ChildBinding, parents: &[LocalKey]) -> Vec<LocalKey> {
    parents
        .iter()
        .filter(|key| child.parent.takes_key(key))
        .cloned()
        .collect()
}

fn key_cell(key: &LocalKey) -> Cell {
    match key {
        LocalKey::Int(number) => Cell::Int(*number),
        LocalKey::Text(text) => Cell::Text(text.clone()),
    }
}

/// The condition that finds one standing row again: its place, else everything that was read of it; of rows that are the
/// same in all of that, one is as good as the other.
fn identity(
    statement: Statement,
    child: &ChildBinding,
    table: &str,
    parent: &LocalKey,
    there: &Standing,
) -> Statement {
    if let Some(place) = &there.place {
        return statement
            .sql(&format!("{table}.ctid = "))
            .text(place)
            .sql("::tid");
    }
    let dialect = statement.dialect;
    let mut statement = statement.holds_key(table, &child.parent, std::slice::from_ref(parent));
    for (column, value) in child.columns.iter().zip(&there.read) {
        let read: &ColumnShape = column;
        statement = statement
            .sql(&format!(
                " AND CAST({} AS BINARY) <=> CAST(",
                read.read_of(table, dialect)
            ))
            .optional(value.as_deref())
            .sql(" AS BINARY)");
    }
    statement.sql(" LIMIT 1")
}
