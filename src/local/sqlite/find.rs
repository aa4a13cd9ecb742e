//! Finding rows by the value of a field, in whatever way the row writes it.
//!
//! SQL can't compare as mappings normalise, so the first call for a field reads its column once and keeps a fold of each value
//! with the row's rowid. Our own writes are added; another program's commit makes it read again. Tables without a rowid, and
//! very large ones, are read at each call.

use std::collections::{BTreeSet, HashSet};

use super::value::{cell, read_key};
use super::{DIALECT, Reader};
use crate::local::Row;
use crate::local::fold::{fold, fold_cell};
use crate::model::LocalKey;

/// The indexes of the fields that were asked for.
#[derive(Default)]
pub(super) struct Finder {
    /// `PRAGMA data_version` that they stand for: another connection's commit changes it, our own don't.
    version: Option<i64>,
    fields: Vec<Option<BTreeSet<(u32, i64)>>>,
}

impl Finder {
    pub(super) fn new(fields: usize) -> Self {
        Self {
            version: None,
            fields: vec![None; fields],
        }
    }

    /// Forgets everything: the schema changed, or a transaction went another way than planned.
    pub(super) fn forget(&mut self) {
        self.version = None;
        self.fields.iter_mut().for_each(|field| *field = None);
    }

    /// Whether an own write must be told.
    pub(super) fn is_used(&self) -> bool {
        self.version.is_some()
    }

    /// Adds a row that we wrote; the folds of its former values stay and cost a comparison at most.
    pub(super) fn add(&mut self, kinds: &[crate::model::Column], rowid: i64, row: &Row) {
        for ((field, column), cell) in self.fields.iter_mut().zip(kinds).zip(&row.cells) {
            if let (Some(index), Some(folded)) = (field, fold_cell(column.kind, cell)) {
                index.insert((folded, rowid));
            }
        }
    }

    pub(super) fn find(
        &mut self,
        reader: &mut Reader<'_>,
        field: usize,
        values: &[String],
    ) -> rusqlite::Result<Vec<Row>> {
        let (Some(column), Some(Some(_))) = (
            reader.layout.columns.get(field),
            reader.binding.fields.get(field),
        ) else {
            return Ok(Vec::new());
        };
        let kind = column.kind;
        let wanted: HashSet<u32> = values.iter().map(|value| fold(kind, value)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // One snapshot, begun by the first read in it, so that the version is the one of the rows that are read.
        let snapshot = reader.conn.unchecked_transaction()?;
        let rows = i64::try_from(reader.options.find_index_rows).unwrap_or(i64::MAX);
        let small = reader.binding.rowid.is_some() && at_most(reader, rows)?;
        let found = if small {
            let version: i64 = reader
                .conn
                .query_row("PRAGMA data_version", [], |row| row.get(0))?;
            if self.version != Some(version) {
                self.forget();
                self.version = Some(version);
            }
            self.by_index(reader, field, &wanted)
        } else {
            by_reading(reader, field, &wanted)
        };
        snapshot.finish()?;
        found
    }

    fn by_index(
        &mut self,
        reader: &mut Reader<'_>,
        field: usize,
        wanted: &HashSet<u32>,
    ) -> rusqlite::Result<Vec<Row>> {
        let Some(slot) = self.fields.get_mut(field) else {
            return Ok(Vec::new());
        };
        if slot.is_none() {
            let mut index = Vec::new();
            each(reader, field, |folded, rowid, _| {
                if let Some(rowid) = rowid {
                    index.push((folded, rowid));
                }
            })?;
            *slot = Some(index.into_iter().collect());
        }
        let rowids: BTreeSet<i64> = slot
            .iter()
            .flat_map(|index| {
                wanted.iter().flat_map(|folded| {
                    index
                        .range((*folded, i64::MIN)..=(*folded, i64::MAX))
                        .map(|(_, rowid)| *rowid)
                })
            })
            .collect();
        let mut statement = reader.conn.prepare_cached(&reader.binding.fetch_rowid)?;
        let mut rows = Vec::with_capacity(rowids.len());
        for rowid in rowids {
            rows.extend(reader.row(&mut statement, &rowid, false)?);
        }
        Ok(rows)
    }
}

fn at_most(reader: &Reader<'_>, rows: i64) -> rusqlite::Result<bool> {
    // A count would read the whole table; the highest rowid is an upper bound in nearly every table there is.
    let sql = format!(
        "SELECT coalesce(max(t.{}), 0) FROM {} AS t",
        rowid_name(reader),
        DIALECT.name(&reader.binding.table)
    );
    let highest: i64 = reader
        .conn
        .prepare_cached(&sql)?
        .query_row([], |row| row.get(0))?;
    if highest <= rows {
        return Ok(true);
    }
    let sql = format!(
        "SELECT count(*) FROM {}",
        DIALECT.name(&reader.binding.table)
    );
    let count: i64 = reader
        .conn
        .prepare_cached(&sql)?
        .query_row([], |row| row.get(0))?;
    Ok(count <= rows)
}

fn rowid_name(reader: &Reader<'_>) -> &'static str {
    reader.binding.rowid.unwrap_or("NULL")
}

fn by_reading(
    reader: &mut Reader<'_>,
    field: usize,
    wanted: &HashSet<u32>,
) -> rusqlite::Result<Vec<Row>> {
    let mut keys = Vec::new();
    each(reader, field, |folded, _, key| {
        if wanted.contains(&folded) {
            keys.push(key.clone());
        }
    })?;
    keys.sort();
    Ok(reader.fetch(&keys)?.into_iter().flatten().collect())
}

/// Fold, rowid and key of every row that has a value in `field`.
fn each(
    reader: &Reader<'_>,
    field: usize,
    mut see: impl FnMut(u32, Option<i64>, &LocalKey),
) -> rusqlite::Result<()> {
    let Some(column) = reader.layout.columns.get(field) else {
        return Ok(());
    };
    let rowid = match reader.binding.rowid {
        Some(name) => format!("t.{name}"),
        None => "NULL".to_owned(),
    };
    let sql = format!(
        "SELECT t.{}, {rowid}, t.{} FROM {} AS t",
        DIALECT.name(&reader.binding.key.name),
        DIALECT.name(&column.name),
        DIALECT.name(&reader.binding.table)
    );
    let mut statement = reader.conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut key = LocalKey::Int(0);
    while let Some(row) = rows.next()? {
        if read_key(row.get_ref(0)?, &mut key)
            && let Some(folded) = fold_cell(column.kind, &cell(row.get_ref(2)?))
        {
            see(folded, row.get(1)?, &key);
        }
    }
    Ok(())
}
