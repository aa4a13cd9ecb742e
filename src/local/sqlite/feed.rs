//! Reading rows: whole tables in the order of keys, and single rows by key.
//!
//! A scan computes digests straight from SQLite's memory; only rows that the caller chooses become values of ours.

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, ToSql, params};

use super::binding::{FIRST_FIELD, table_name};
use super::value::{cell, digest, is_mark, read_key};
use super::{Reader, column, journal};
use crate::local::{LocalChanges, Row, RowChunk};
use crate::model::{ChangeMethod, Digest, LocalKey};

impl Reader<'_> {
    /// The table's name as the journal has it.
    pub(super) fn source(&self) -> &str {
        table_name(&self.layout.table)
    }

    pub(super) fn count_live(&self) -> rusqlite::Result<u64> {
        self.conn
            .prepare_cached(&self.binding.count_live)?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    /// Rows whose key is neither an integer nor a text: nothing can name them.
    pub(super) fn count_unnamed(&self) -> rusqlite::Result<u64> {
        if self.binding.integer_key() {
            return Ok(0);
        }
        let dialect = super::DIALECT;
        self.conn
            .query_row(
                &format!(
                    "SELECT count(*) FROM {} AS t WHERE typeof(t.{}) NOT IN ('integer', 'text')",
                    dialect.name(&self.binding.table),
                    dialect.name(&self.binding.key.name)
                ),
                [],
                |row| row.get::<_, i64>(0),
            )
            .map(i64::unsigned_abs)
    }

    pub(super) fn changes(&mut self, position: Option<&str>) -> rusqlite::Result<LocalChanges> {
        match &self.layout.changes {
            ChangeMethod::Scan => Ok(LocalChanges::ScanNeeded),
            ChangeMethod::Journal => journal::changes(self, position),
            ChangeMethod::Column(_) => column::changes(self, position),
        }
    }

    pub(super) fn position(&mut self) -> rusqlite::Result<Option<String>> {
        match &self.layout.changes {
            ChangeMethod::Scan => Ok(None),
            ChangeMethod::Journal => journal::position(self),
            ChangeMethod::Column(_) => column::position(self),
        }
    }

    pub(super) fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> rusqlite::Result<RowChunk> {
        let mut chunk = RowChunk::default();
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        // A text key that is not UTF-8 can't be handed over, but it is where reading goes on.
        let mut unnamed: Option<Vec<u8>> = None;
        let mut key = LocalKey::Int(0);
        loop {
            let mut statement = self.conn.prepare_cached(match (&unnamed, after) {
                (None, None) => &self.binding.scan_first,
                _ => &self.binding.scan_next,
            })?;
            let mut rows = match (&unnamed, after) {
                (None, None) => statement.query([limit])?,
                (None, Some(after)) => statement.query(params![limit, after])?,
                (Some(bytes), _) => statement.query(params![limit, RawText(bytes)])?,
            };
            let (mut read, mut named) = (0, false);
            unnamed = None;
            while let Some(row) = rows.next()? {
                read += 1;
                named = read_key(row.get_ref(0)?, &mut key);
                if !named {
                    unnamed = row.get_ref(0)?.as_bytes().ok().map(<[u8]>::to_vec);
                    continue;
                }
                chunk.seen += 1;
                let (digest, marked) = digest_row(row, self.binding.fields.len(), self.digester)?;
                if choose(&key, digest, marked) {
                    chunk
                        .rows
                        .push(self.materialise(row, &key, digest, marked)?);
                }
            }
            if read < limit {
                return Ok(chunk);
            }
            if named {
                chunk.next = Some(key);
                return Ok(chunk);
            }
        }
    }

    pub(super) fn fetch(&mut self, keys: &[LocalKey]) -> rusqlite::Result<Vec<Option<Row>>> {
        let mut statement = self.conn.prepare_cached(&self.binding.fetch)?;
        keys.iter()
            .map(|key| self.row(&mut statement, key, false))
            .collect()
    }

    /// The row that `statement` (with the columns of the binding) finds for `parameter`. `after_own_write` leaves out the
    /// time of the last edit in the journal, which knows nothing of our writes.
    pub(super) fn row(
        &mut self,
        statement: &mut CachedStatement<'_>,
        parameter: &dyn ToSql,
        after_own_write: bool,
    ) -> rusqlite::Result<Option<Row>> {
        let mut rows = statement.query([parameter])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let mut key = LocalKey::Int(0);
        if !read_key(row.get_ref(0)?, &mut key) {
            return Ok(None);
        }
        let (digest, marked) = digest_row(row, self.binding.fields.len(), self.digester)?;
        if after_own_write {
            return self.bare_row(row, &key, digest, marked).map(Some);
        }
        self.materialise(row, &key, digest, marked).map(Some)
    }

    /// The digest of a row as it stands; `None` where there is none.
    pub(super) fn digest(&mut self, key: &LocalKey) -> rusqlite::Result<Option<(Digest, bool)>> {
        let mut statement = self.conn.prepare_cached(&self.binding.fetch)?;
        let mut rows = statement.query([key])?;
        match rows.next()? {
            Some(row) => digest_row(row, self.binding.fields.len(), self.digester).map(Some),
            None => Ok(None),
        }
    }

    fn materialise(
        &self,
        row: &rusqlite::Row<'_>,
        key: &LocalKey,
        digest: Digest,
        marked: bool,
    ) -> rusqlite::Result<Row> {
        let mut made = self.bare_row(row, key, digest, marked)?;
        if self.layout.changes == ChangeMethod::Journal && self.binding.journal_stands {
            made.changed_at = self
                .conn
                .prepare_cached(
                    "SELECT max(changed_at) FROM contactbridge_journal \
                     WHERE bridge = ?1 AND source = ?2 AND row_key = ?3",
                )?
                .query_row(params![self.bridge, self.source(), key], |row| {
                    row.get::<_, Option<i64>>(0)
                })?
                .and_then(chrono::DateTime::from_timestamp_millis);
        }
        Ok(made)
    }

    fn bare_row(
        &self,
        row: &rusqlite::Row<'_>,
        key: &LocalKey,
        digest: Digest,
        marked: bool,
    ) -> rusqlite::Result<Row> {
        let fields = FIRST_FIELD..FIRST_FIELD + self.binding.fields.len();
        Ok(Row {
            key: key.clone(),
            cells: fields
                .map(|at| row.get_ref(at).map(cell))
                .collect::<rusqlite::Result<_>>()?,
            digest,
            changed_at: column::instant(row.get_ref(2)?),
            marked,
        })
    }
}

/// Digest and mark of a row with the binding's columns.
fn digest_row(
    row: &rusqlite::Row<'_>,
    fields: usize,
    digester: &mut crate::local::digest::RowDigester,
) -> rusqlite::Result<(Digest, bool)> {
    digester.start();
    for at in FIRST_FIELD..FIRST_FIELD + fields {
        digest(row.get_ref(at)?, digester);
    }
    let marked = is_mark(row.get_ref(1)?);
    Ok((digester.finish(marked), marked))
}

/// Text of whatever bytes, as a parameter.
struct RawText<'a>(&'a [u8]);

impl ToSql for RawText<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(
            self.0,
        )))
    }
}
