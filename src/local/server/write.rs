//! One group of writes: the rows read again under a lock, then rows, child rows and links, each as one statement for many rows.
//!
//! What the database refuses about a row ends the group with [`Fault::Row`]: the caller takes it back and halves it, until the
//! row stands alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::Reader;
use super::backend::{Answer, Backend, Fault, Statement, filled_up, portions, rows};
use super::binding::Binding;
use super::links;
use super::shape::{ColumnShape, Family};
use crate::local::dialect::Dialect;
use crate::local::{ChildSet, LinkRow, Row, RowOutcome, RowWrite};
use crate::model::{Cell, LocalKey, Vault};

/// Parameters that a statement may have (MySQL takes 65,535, PostgreSQL few because they are arrays).
const PARAMS_MAX: usize = 60_000;
/// Rows of one UPDATE in MySQL, whose CASE is searched for each of them.
const CASES_MAX: usize = 64;

/// What writing needs, inside a transaction.
pub(super) struct Writer<'a, B> {
    pub(super) reader: Reader<'a, B>,
    pub(super) vault: &'a Vault,
    /// Keys of the mapped table that were written.
    pub(super) touched: HashSet<LocalKey>,
}

/// What a group came to.
#[derive(Default)]
pub(super) struct Step {
    pub(super) outcomes: Vec<(usize, RowOutcome)>,
    touched: Vec<LocalKey>,
}

impl Step {
    fn set(&mut self, at: usize, outcome: RowOutcome) {
        self.outcomes.push((at, outcome));
    }
}

pub(super) fn refused<T>(code: &'static str, reason: impl Into<String>) -> Answer<T> {
    Err(Fault::Row {
        code,
        reason: reason.into(),
    })
}

/// What a NOT NULL text column gets where the mapping has no value.
pub(super) fn storable<'c>(column: &ColumnShape, cell: &'c Cell) -> &'c Cell {
    static EMPTY: Cell = Cell::Text(String::new());
    if *cell == Cell::Null && column.not_null && column.family == Family::Text {
        &EMPTY
    } else {
        cell
    }
}

/// A row to make.
struct Fresh<'w> {
    at: usize,
    values: Vec<&'w Cell>,
    children: &'w [ChildSet],
    link: (Option<&'w str>, &'w crate::model::RemoteId),
}

/// A row to change, and where the link's and the children's work goes on.
struct Changed<'w> {
    at: usize,
    key: LocalKey,
    values: Vec<&'w Cell>,
    children: &'w [ChildSet],
    link: Option<&'w LinkRow>,
}

impl<B: Backend> Writer<'_, B> {
    /// Writes a group that is all of one kind.
    pub(super) async fn write(
        &mut self,
        writes: &[RowWrite],
        range: Range<usize>,
    ) -> Answer<Vec<(usize, RowOutcome)>> {
        let group = &writes[range.clone()];
        let step = match group.first() {
            Some(RowWrite::Insert { .. }) => self.inserts(group, range.start).await?,
            Some(RowWrite::Update { .. }) => self.updates(group, range.start).await?,
            Some(RowWrite::Delete { .. }) => self.deletes(group, range.start).await?,
            Some(RowWrite::Link(_)) => self.links(group, range.start).await?,
            Some(RowWrite::Unlink(_)) => self.unlinks(group, range.start).await?,
            None => Step::default(),
        };
        self.touched.extend(step.touched);
        Ok(step.outcomes)
    }

    async fn inserts(&mut self, group: &[RowWrite], start: usize) -> Answer<Step> {
        let mut step = Step::default();
        let mut ids = Vec::with_capacity(group.len());
        for write in group {
            if let RowWrite::Insert { remote_id, .. } = write {
                ids.push(remote_id.clone());
            }
        }
        let bridge = self.reader.bridge;
        let standing = links::by_remote(self.reader.backend, bridge, &ids).await?;
        let keys: Vec<LocalKey> = standing
            .iter()
            .flatten()
            .map(|link| link.key.clone())
            .collect();
        let found = self.rows_by_key(&keys, " FOR UPDATE").await?;
        let mut dead = Vec::new();
        let mut by_columns: BTreeMap<Vec<usize>, Vec<Fresh<'_>>> = BTreeMap::new();
        let mut external = Vec::new();
        for (at, (write, link)) in group.iter().zip(&standing).enumerate() {
            let RowWrite::Insert {
                cells,
                children,
                remote_id,
                external_id,
            } = write
            else {
                continue;
            };
            if let Some(link) = link {
                if let Some(row) = found.get(&link.key) {
                    step.set(start + at, RowOutcome::Exists(row.clone()));
                    continue;
                }
                dead.push(link.key.clone());
            }
            external.extend(external_id.as_deref());
            let (used, values) = self.filled(cells)?;
            by_columns.entry(used).or_default().push(Fresh {
                at: start + at,
                values,
                children,
                link: (external_id.as_deref(), remote_id),
            });
        }
        links::remove(self.reader.backend, bridge, &dead).await?;
        self.free_external(&external, None).await?;
        let (mut made, mut settled, mut put) = (Vec::new(), Vec::new(), Vec::new());
        for (used, fresh) in by_columns {
            let rows: Vec<&[&Cell]> = fresh.iter().map(|row| row.values.as_slice()).collect();
            let keys = self.insert_rows(&used, &rows).await?;
            for (fresh, key) in fresh.into_iter().zip(keys) {
                put.push(LinkRow {
                    key: key.clone(),
                    external_id: fresh.link.0.map(str::to_owned),
                    remote_id: Some(fresh.link.1.clone()),
                });
                settled.extend(fresh.children.iter().map(|set| (key.clone(), set)));
                made.push((fresh.at, key));
            }
        }
        self.settle_children(&settled).await?;
        links::put(self.reader.backend, bridge, &put).await?;
        self.written(&mut step, made).await?;
        Ok(step)
    }

    /// The fields that an insert fills, and with what.
    fn filled<'w>(&self, cells: &'w [Option<Cell>]) -> Answer<(Vec<usize>, Vec<&'w Cell>)> {
        let binding = self.reader.binding;
        let (mut used, mut values) = (Vec::new(), Vec::new());
        for (at, (cell, column)) in cells.iter().zip(&binding.fields).enumerate() {
            let Some(cell) = cell else { continue };
            let cell = storable(column, cell);
            // NULL for a column that takes none: its own default is the better guess, where it has one.
            if *cell == Cell::Null && column.not_null && (column.has_default || column.counts) {
                continue;
            }
            self.writable(column)?;
            used.push(at);
            values.push(cell);
        }
        Ok((used, values))
    }

    fn writable(&self, column: &ColumnShape) -> Answer<()> {
        if column.generated {
            return refused(
                "E-FIELD-GENERATED",
                format!(
                    "{}.{} is computed by the database",
                    self.reader.binding.shape.name, column.name
                ),
            );
        }
        Ok(())
    }

    /// Makes rows that fill the same fields, and says which keys they got, in order.
    async fn insert_rows(&mut self, used: &[usize], values: &[&[&Cell]]) -> Answer<Vec<LocalKey>> {
        let per_statement = (PARAMS_MAX / used.len().max(1)).max(1);
        let mut keys = Vec::with_capacity(values.len());
        // Without a single value the statement has no list of rows.
        let size = if used.is_empty() { 1 } else { per_statement };
        for part in portions(B::DIALECT, values, size) {
            let made = match B::DIALECT {
                Dialect::MySql => self.insert_mysql(used, part).await?,
                _ => self.insert_postgres(used, part).await?,
            };
            if made.len() != part.len() {
                return refused(
                    "E-FIELD-TRIGGER",
                    "a rule of the database passes the row over",
                );
            }
            keys.extend(made);
        }
        Ok(keys)
    }

    async fn insert_postgres(
        &mut self,
        used: &[usize],
        values: &[&[&Cell]],
    ) -> Answer<Vec<LocalKey>> {
        let binding = self.reader.binding;
        let columns = columns_of(binding, used);
        let key = binding.key.read(B::DIALECT);
        let statement = if used.is_empty() {
            self.reader.statement(format!(
                "INSERT INTO {} AS t DEFAULT VALUES RETURNING {key}",
                binding.table
            ))
        } else {
            insert_many(B::DIALECT, &binding.table, &columns, values)
                .sql(&format!(" RETURNING {key}"))
        };
        let made = rows(self.reader.backend, &statement).await?;
        let keys: Vec<LocalKey> = made
            .iter()
            .filter_map(|row| binding.key.key(row.first()?.as_deref()))
            .collect();
        Ok(keys)
    }

    async fn insert_mysql(&mut self, used: &[usize], values: &[&[&Cell]]) -> Answer<Vec<LocalKey>> {
        let binding = self.reader.binding;
        let columns = columns_of(binding, used);
        let statement = if used.is_empty() {
            self.reader
                .statement(format!("INSERT INTO {} () VALUES ()", binding.table))
        } else {
            insert_many(B::DIALECT, &binding.table, &columns, values)
        };
        let done = self.reader.backend.execute(&statement).await?;
        let place = columns
            .iter()
            .position(|column| column.name == binding.key.name);
        if let Some(place) = place {
            let keys = values.iter().map(|row| {
                let text = row
                    .get(place)
                    .and_then(|cell| binding.key.text_of(cell, B::DIALECT));
                binding.key.key(text.as_deref())
            });
            return Ok(keys.flatten().collect());
        }
        if !binding.key.counts || done.generated == 0 {
            return refused(
                "E-FIELD-KEY",
                format!(
                    "the database does not tell which {} it made",
                    binding.key.name
                ),
            );
        }
        // Rows of one INSERT … VALUES get numbers in a row, whatever others insert meanwhile.
        let step = self.reader.backend.generated_step().await?;
        let first = i64::try_from(done.generated).unwrap_or(i64::MAX);
        Ok((0..)
            .map(|at: i64| LocalKey::Int(first.saturating_add(at.saturating_mul(step))))
            .take(usize::try_from(done.rows).unwrap_or(0))
            .collect())
    }

    async fn updates(&mut self, group: &[RowWrite], start: usize) -> Answer<Step> {
        let mut step = Step::default();
        let keys = keys_of(group);
        let found = self.rows_by_key(&keys, " FOR UPDATE").await?;
        let mut by_columns: BTreeMap<(Vec<usize>, bool), Vec<Changed<'_>>> = BTreeMap::new();
        for (at, write) in group.iter().enumerate() {
            let RowWrite::Update {
                key,
                expect,
                cells,
                children,
                revive,
                link,
            } = write
            else {
                continue;
            };
            if found.get(key).is_none_or(|row| row.digest != *expect) {
                step.set(start + at, RowOutcome::Moved);
                continue;
            }
            let (mut used, mut values) = (Vec::new(), Vec::new());
            for (field, cell) in cells {
                let Some(column) = self.reader.binding.fields.get(*field) else {
                    return refused("E-FIELD-COLUMN", "the table lacks a column of the mapping");
                };
                self.writable(column)?;
                used.push(*field);
                values.push(storable(column, cell));
            }
            let revive = *revive && self.reader.binding.deleted.is_some();
            by_columns.entry((used, revive)).or_default().push(Changed {
                at: start + at,
                key: key.clone(),
                values,
                children,
                link: link.as_ref(),
            });
        }
        let (mut changed, mut settled, mut put) = (Vec::new(), Vec::new(), Vec::new());
        for ((used, revive), rows) in by_columns {
            let moved = self.update_rows(&used, revive, &rows).await?;
            for row in rows {
                let key = moved.clone().unwrap_or_else(|| row.key.clone());
                step.touched.push(row.key.clone());
                if key != row.key {
                    let bridge = self.reader.bridge;
                    links::rename(self.reader.backend, bridge, &row.key, &key).await?;
                    self.move_children(&row.key, &key).await?;
                }
                settled.extend(row.children.iter().map(|set| (key.clone(), set)));
                put.extend(row.link.map(|link| LinkRow {
                    key: key.clone(),
                    ..link.clone()
                }));
                changed.push((row.at, key));
            }
        }
        self.settle_children(&settled).await?;
        self.put_links(&put).await?;
        self.written(&mut step, changed).await?;
        Ok(step)
    }

    /// Sets the same fields of many rows. Where the key itself is set, which is done for one row alone, the new one.
    async fn update_rows(
        &mut self,
        used: &[usize],
        revive: bool,
        rows: &[Changed<'_>],
    ) -> Answer<Option<LocalKey>> {
        let dialect = B::DIALECT;
        let binding = self.reader.binding;
        let columns = columns_of(binding, used);
        let mut sets = Vec::new();
        if let Some(column) = binding.deleted.as_ref().filter(|_| revive) {
            sets.push(format!(
                "{} = {}",
                dialect.name(&column.name),
                column.unmarked()
            ));
        }
        if columns.is_empty() && sets.is_empty() {
            return Ok(None);
        }
        let key_name = format!("t.{}", dialect.name(&binding.key.name));
        let new_key = columns
            .iter()
            .position(|column| column.name == binding.key.name);
        if rows.len() == 1 || columns.is_empty() {
            let statement = self
                .reader
                .statement(format!("UPDATE {} AS t SET ", binding.table));
            let mut statement = statement.sql(&sets.join(", "));
            let values = rows.first().map(|row| row.values.as_slice());
            for (at, (column, cell)) in columns.iter().zip(values.unwrap_or_default()).enumerate() {
                let comma = if at > 0 || !sets.is_empty() { ", " } else { "" };
                statement = statement
                    .sql(&format!("{comma}{} = ", dialect.name(&column.name)))
                    .cell(column, cell);
            }
            let keys: Vec<LocalKey> = rows.iter().map(|row| row.key.clone()).collect();
            let statement = statement
                .sql(&format!(" WHERE {key_name}"))
                .among_keys(&binding.key, &keys);
            return self.change(statement, rows, new_key).await;
        }
        match dialect {
            Dialect::MySql => {
                for part in rows.chunks(CASES_MAX) {
                    let statement = cases(&self.reader, &columns, &sets, part);
                    self.change(statement, part, None).await?;
                }
            }
            _ => {
                let mut names = vec!["k".to_owned()];
                for (at, column) in columns.iter().enumerate() {
                    sets.push(format!(
                        "{} = u.c{at}{}",
                        dialect.name(&column.name),
                        column.cast
                    ));
                    names.push(format!("c{at}"));
                }
                let key_cast = if binding.key.is_integer() {
                    "::bigint"
                } else {
                    binding.key.cast.as_str()
                };
                let mut statement = self
                    .reader
                    .statement(format!(
                        "UPDATE {} AS t SET {} FROM unnest(",
                        binding.table,
                        sets.join(", ")
                    ))
                    .texts(rows.iter().map(|row| Some(row.key.to_string())).collect());
                for (at, column) in columns.iter().enumerate() {
                    let cells = rows.iter().map(|row| {
                        let cell = row.values.get(at)?;
                        column.text_of(cell, dialect)
                    });
                    statement = statement.sql(", ").texts(cells.collect());
                }
                let statement = statement.sql(&format!(
                    ") AS u ({}) WHERE {key_name} = u.k{key_cast}",
                    names.join(", ")
                ));
                self.change(statement, rows, None).await?;
            }
        }
        Ok(None)
    }

    /// Runs an UPDATE that has to reach all of these rows.
    async fn change(
        &mut self,
        statement: Statement,
        expected: &[Changed<'_>],
        new_key: Option<usize>,
    ) -> Answer<Option<LocalKey>> {
        let binding = self.reader.binding;
        let kept = || refused("E-FIELD-TRIGGER", "a trigger of the database keeps the row");
        if let (Some(place), [row]) = (new_key, expected) {
            if B::DIALECT == Dialect::MySql {
                let text = row
                    .values
                    .get(place)
                    .and_then(|cell| binding.key.text_of(cell, B::DIALECT));
                self.reader.backend.execute(&statement).await?;
                return match binding.key.key(text.as_deref()) {
                    Some(key) => Ok(Some(key)),
                    None => refused("E-FIELD-KEY", "the row would lose its key"),
                };
            }
            let statement = statement.sql(&format!(" RETURNING {}", binding.key.read(B::DIALECT)));
            let made = rows(self.reader.backend, &statement).await?;
            let Some(found) = made.first() else {
                return kept();
            };
            return match binding.key.key(found.first().and_then(Option::as_deref)) {
                Some(key) => Ok(Some(key)),
                None => refused("E-FIELD-KEY", "the row would lose its key"),
            };
        }
        let done = self.reader.backend.execute(&statement).await?;
        if done.rows != expected.len() as u64 {
            return kept();
        }
        Ok(None)
    }

    async fn deletes(&mut self, group: &[RowWrite], start: usize) -> Answer<Step> {
        let mut step = Step::default();
        let keys = keys_of(group);
        let found = self.rows_by_key(&keys, " FOR UPDATE").await?;
        let (mut doomed, mut unmarked) = (Vec::new(), Vec::new());
        for (at, write) in group.iter().enumerate() {
            let RowWrite::Delete { key, expect } = write else {
                continue;
            };
            match found.get(key) {
                Some(row) if row.digest == *expect => {
                    doomed.push((start + at, key.clone()));
                    if !row.marked {
                        unmarked.push(key.clone());
                    }
                }
                _ => step.set(start + at, RowOutcome::Moved),
            }
        }
        let binding = self.reader.binding;
        let kept = || refused("E-FIELD-TRIGGER", "a trigger of the database keeps the row");
        step.touched
            .extend(doomed.iter().map(|(_, key)| key.clone()));
        if let Some(column) = &binding.deleted {
            if !unmarked.is_empty() {
                let statement = self.reader.statement(format!(
                    "UPDATE {} AS t SET {} = {} WHERE t.{}",
                    binding.table,
                    B::DIALECT.name(&column.name),
                    column.mark(B::DIALECT),
                    B::DIALECT.name(&binding.key.name)
                ));
                let statement = statement.among_keys(&binding.key, &unmarked);
                let done = self.reader.backend.execute(&statement).await?;
                if done.rows != unmarked.len() as u64 {
                    return kept();
                }
            }
            self.written(&mut step, doomed).await?;
            return Ok(step);
        }
        if self.reader.layout.deleted.is_some() {
            // Never a real deletion where the mapping asked for a mark.
            return refused("E-FIELD-COLUMN", "the table lacks the column of the mark");
        }
        if doomed.is_empty() {
            return Ok(step);
        }
        let keys: Vec<LocalKey> = doomed.iter().map(|(_, key)| key.clone()).collect();
        self.delete_children(&keys).await?;
        let statement = self
            .reader
            .statement(format!(
                "DELETE FROM {} WHERE {}.{}",
                binding.table,
                binding.table,
                B::DIALECT.name(&binding.key.name)
            ))
            .among_keys(&binding.key, &keys);
        let done = self.reader.backend.execute(&statement).await?;
        if done.rows != keys.len() as u64 {
            return kept();
        }
        let bridge = self.reader.bridge;
        links::remove(self.reader.backend, bridge, &keys).await?;
        for (at, _) in doomed {
            step.set(at, RowOutcome::Written(None));
        }
        Ok(step)
    }

    async fn links(&mut self, group: &[RowWrite], start: usize) -> Answer<Step> {
        let mut step = Step::default();
        let found = self.rows_by_key(&keys_of(group), "").await?;
        let mut put = Vec::new();
        for (at, write) in group.iter().enumerate() {
            let RowWrite::Link(link) = write else {
                continue;
            };
            if found.contains_key(&link.key) {
                put.push(link.clone());
                step.set(start + at, RowOutcome::Written(None));
            } else {
                step.set(start + at, RowOutcome::Moved);
            }
        }
        self.put_links(&put).await?;
        Ok(step)
    }

    async fn unlinks(&mut self, group: &[RowWrite], start: usize) -> Answer<Step> {
        let bridge = self.reader.bridge;
        links::remove(self.reader.backend, bridge, &keys_of(group)).await?;
        let mut step = Step::default();
        for at in 0..group.len() {
            step.set(start + at, RowOutcome::Written(None));
        }
        Ok(step)
    }

    async fn rows_by_key(
        &mut self,
        keys: &[LocalKey],
        lock: &str,
    ) -> Answer<HashMap<LocalKey, Row>> {
        let rows = self.reader.fetch_locked(keys, lock).await?;
        Ok(rows
            .into_iter()
            .flatten()
            .map(|row| (row.key.clone(), row))
            .collect())
    }

    /// The rows as they stand now are what became of these writes.
    async fn written(&mut self, step: &mut Step, made: Vec<(usize, LocalKey)>) -> Answer<()> {
        let keys: Vec<LocalKey> = made.iter().map(|(_, key)| key.clone()).collect();
        let found = self.rows_by_key(&keys, "").await?;
        for (at, key) in made {
            let Some(row) = found.get(&key) else {
                return refused(
                    "E-FIELD-TRIGGER",
                    "a trigger of the database took the row away",
                );
            };
            step.set(at, RowOutcome::Written(Some(row.clone())));
            step.touched.push(key);
        }
        Ok(())
    }

    /// Writes links. One that another row holds is taken over only where that row is gone.
    async fn put_links(&mut self, put: &[LinkRow]) -> Answer<()> {
        if put.is_empty() {
            return Ok(());
        }
        let bridge = self.reader.bridge;
        let ids: Vec<_> = put
            .iter()
            .filter_map(|link| link.remote_id.clone())
            .collect();
        let standing = links::by_remote(self.reader.backend, bridge, &ids).await?;
        let own: HashMap<&str, &LocalKey> = put
            .iter()
            .filter_map(|link| Some((link.remote_id.as_ref()?.0.as_str(), &link.key)))
            .collect();
        let holders = standing.into_iter().flatten().filter(|holder| {
            let id = holder.remote_id.as_ref().map(|id| id.0.as_str());
            id.and_then(|id| own.get(id)) != Some(&&holder.key)
        });
        self.free(holders.map(|holder| holder.key).collect(), "remote id")
            .await?;
        let external: Vec<&str> = put
            .iter()
            .filter_map(|link| link.external_id.as_deref())
            .collect();
        self.free_external(&external, Some(put)).await?;
        links::put(self.reader.backend, bridge, put).await
    }

    /// Takes External IDs from the links of rows that are gone; refused where another living row has one.
    async fn free_external(&mut self, external: &[&str], own: Option<&[LinkRow]>) -> Answer<()> {
        if external.is_empty() {
            return Ok(());
        }
        let bridge = self.reader.bridge;
        let own: HashMap<&str, &LocalKey> = own
            .unwrap_or_default()
            .iter()
            .filter_map(|link| Some((link.external_id.as_deref()?, &link.key)))
            .collect();
        let holders = links::by_external(self.reader.backend, bridge, external).await?;
        let others = holders.into_iter().filter(|holder| {
            let id = holder.external_id.as_deref();
            id.and_then(|id| own.get(id)) != Some(&&holder.key)
        });
        self.free(others.map(|holder| holder.key).collect(), "External ID")
            .await
    }

    async fn free(&mut self, holders: Vec<LocalKey>, what: &str) -> Answer<()> {
        if holders.is_empty() {
            return Ok(());
        }
        if !self.rows_by_key(&holders, "").await?.is_empty() {
            return refused(
                "E-LINK-TAKEN",
                format!("another row is linked with this {what} already"),
            );
        }
        let bridge = self.reader.bridge;
        links::remove(self.reader.backend, bridge, &holders).await
    }
}

fn columns_of<'b>(binding: &'b Binding, used: &[usize]) -> Vec<&'b ColumnShape> {
    used.iter()
        .filter_map(|at| binding.fields.get(*at))
        .collect()
}

/// An INSERT of many rows; in PostgreSQL in the order of the values, with `t` for the table.
pub(super) fn insert_many(
    dialect: Dialect,
    table: &str,
    columns: &[&ColumnShape],
    values: &[&[&Cell]],
) -> Statement {
    let names: Vec<String> = columns
        .iter()
        .map(|column| dialect.name(&column.name))
        .collect();
    let names = names.join(", ");
    if dialect == Dialect::MySql {
        let mut statement =
            Statement::new(dialect, format!("INSERT INTO {table} ({names}) VALUES "));
        for (at, row) in values.iter().enumerate() {
            statement = statement.sql(if at > 0 { ", (" } else { "(" });
            for (at, (column, cell)) in columns.iter().zip(*row).enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                statement = statement.sql(comma).cell(column, cell);
            }
            statement = statement.sql(")");
        }
        return statement;
    }
    let aliases: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let selected: Vec<String> = columns
        .iter()
        .zip(&aliases)
        .map(|(column, alias)| format!("u.{alias}{}", column.cast))
        .collect();
    let mut statement = Statement::new(
        dialect,
        format!(
            "INSERT INTO {table} AS t ({names}) SELECT {} FROM unnest(",
            selected.join(", ")
        ),
    );
    for (at, column) in columns.iter().enumerate() {
        let cells = values.iter().map(|row| {
            let cell = row.get(at)?;
            column.text_of(cell, dialect)
        });
        let comma = if at > 0 { ", " } else { "" };
        statement = statement.sql(comma).texts(cells.collect());
    }
    statement.sql(&format!(
        ") WITH ORDINALITY AS u ({}, n) ORDER BY u.n",
        aliases.join(", ")
    ))
}

/// MySQL's UPDATE of many rows, each with values of its own.
fn cases<B: Backend>(
    reader: &Reader<'_, B>,
    columns: &[&ColumnShape],
    sets: &[String],
    rows: &[Changed<'_>],
) -> Statement {
    let binding = reader.binding;
    let key = format!("t.{}", B::DIALECT.name(&binding.key.name));
    let mut statement = reader
        .statement(format!("UPDATE {} AS t SET ", binding.table))
        .sql(&sets.join(", "));
    for (at, column) in columns.iter().enumerate() {
        let comma = if at > 0 || !sets.is_empty() { ", " } else { "" };
        statement = statement.sql(&format!(
            "{comma}{} = CASE {key}",
            B::DIALECT.name(&column.name)
        ));
        for row in filled_up(rows) {
            let cell = row.values.get(at).copied().unwrap_or(&Cell::Null);
            statement = statement
                .sql(" WHEN ")
                .key(&binding.key, &row.key)
                .sql(" THEN ")
                .cell(column, cell);
        }
        statement = statement.sql(" END");
    }
    let keys: Vec<LocalKey> = rows.iter().map(|row| row.key.clone()).collect();
    statement
        .sql(&format!(" WHERE {key}"))
        .among_keys(&binding.key, &keys)
}

fn keys_of(group: &[RowWrite]) -> Vec<LocalKey> {
    group
        .iter()
        .filter_map(|write| match write {
            RowWrite::Insert { .. } => None,
            RowWrite::Update { key, .. } | RowWrite::Delete { key, .. } => Some(key.clone()),
            RowWrite::Link(link) => Some(link.key.clone()),
            RowWrite::Unlink(key) => Some(key.clone()),
        })
        .collect()
}
