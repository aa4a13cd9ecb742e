//! Reading rows: whole tables in the order of keys, and single rows by key.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Reader;
use super::backend::{Answer, Backend, Statement, first};
use super::binding::{Binding, FIRST_FIELD, journal};
use super::shape::{ColumnShape, Family, is_mark};
use crate::local::dialect::Dialect;
use crate::local::digest::RowDigester;
use crate::local::problem::JournalState;
use crate::local::{LocalChanges, Row, instant};
use crate::model::{ChangeMethod, Digest, LocalKey};

/// Keys that are asked for in one statement.
pub(super) const KEYS_MAX: usize = 1_000;

/// Rows of a scan, before anybody chose among them.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<LocalKey>,
}

/// Times of the last change, by key.
#[derive(Default)]
pub(super) struct Times(HashMap<String, DateTime<Utc>>);

impl Times {
    /// Gives the rows their times, where the journal knows any.
    pub(super) fn fill(&self, rows: &mut [Row]) {
        if self.0.is_empty() {
            return;
        }
        for row in rows {
            if let Some(time) = self.0.get(&row.key.to_string()) {
                row.changed_at = Some(*time);
            }
        }
    }
}

/// A row as [`Binding::columns`] reads it; `None` where its key can't name it.
pub(super) fn row_of(
    binding: &Binding,
    digester: &mut RowDigester,
    values: &[Option<&str>],
) -> Option<Row> {
    let key = binding.key.key(values.first().copied().flatten())?;
    let (digest, marked) = digest_of(binding, digester, values);
    let cells = binding
        .fields
        .iter()
        .zip(values.get(FIRST_FIELD..).unwrap_or_default());
    Some(Row {
        key,
        cells: cells.map(|(field, value)| field.cell(*value)).collect(),
        digest,
        changed_at: values
            .get(2)
            .copied()
            .flatten()
            .and_then(instant::from_text),
        marked,
    })
}

/// Digest and mark of a row.
fn digest_of(
    binding: &Binding,
    digester: &mut RowDigester,
    values: &[Option<&str>],
) -> (Digest, bool) {
    digester.start();
    for (field, value) in binding
        .fields
        .iter()
        .zip(values.get(FIRST_FIELD..).unwrap_or_default())
    {
        field.digest(*value, digester);
    }
    let marked = is_mark(values.get(1).copied().flatten());
    (digester.finish(marked), marked)
}

impl<B: Backend> Reader<'_, B> {
    /// A statement that begins with this text.
    pub(super) fn statement(&self, text: impl Into<String>) -> Statement {
        Statement::new(B::DIALECT, text)
    }

    /// A reader stands only where there is a table.
    pub(super) async fn is_there(&mut self) -> Answer<bool> {
        Ok(true)
    }

    pub(super) async fn count_live(&mut self) -> Answer<u64> {
        let binding = self.binding;
        let live = match &binding.deleted {
            Some(column) => format!(" WHERE NOT {}", column.is_mark_sql(B::DIALECT)),
            None => String::new(),
        };
        let count = match B::DIALECT {
            Dialect::MySql => "CAST(count(*) AS CHAR)",
            _ => "count(*)::text",
        };
        let statement = self.statement(format!("SELECT {count} FROM {} AS t{live}", binding.table));
        let count = first(self.backend, &statement).await?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    pub(super) async fn changes(&mut self, position: Option<&str>) -> Answer<LocalChanges> {
        match &self.layout.changes {
            ChangeMethod::Scan => Ok(LocalChanges::ScanNeeded),
            ChangeMethod::Journal => self.journal_changes(position).await,
            ChangeMethod::Column(_) => self.column_changes(position).await,
        }
    }

    pub(super) async fn position(&mut self) -> Answer<Option<String>> {
        match &self.layout.changes {
            ChangeMethod::Scan => Ok(None),
            ChangeMethod::Journal => {
                if self.journal_state().await? != JournalState::Installed {
                    return Ok(None);
                }
                let journal = journal(self.bridge, self.layout, &self.binding.shape);
                self.backend.journal_position(&journal).await.map(Some)
            }
            ChangeMethod::Column(_) => self.column_position().await,
        }
    }

    /// How the triggers stand, their memory included.
    pub(super) async fn journal_state(&mut self) -> Answer<JournalState> {
        let journal = journal(self.bridge, self.layout, &self.binding.shape);
        journal_state(self.backend, &journal, self.binding.journal_stands).await
    }

    async fn journal_changes(&mut self, position: Option<&str>) -> Answer<LocalChanges> {
        let Some(since) = position else {
            return Ok(LocalChanges::ScanNeeded);
        };
        if self.journal_state().await? != JournalState::Installed {
            return Ok(LocalChanges::ScanNeeded);
        }
        let journal = journal(self.bridge, self.layout, &self.binding.shape);
        self.backend.snapshot().await?;
        let noted = self
            .backend
            .journal_changes(&journal, since, self.options.max_changed_keys)
            .await?;
        self.backend.script("COMMIT").await?;
        let Some(noted) = noted else {
            return Ok(LocalChanges::ScanNeeded);
        };
        let key = &self.binding.key;
        let mut keys: Vec<_> = noted
            .keys
            .iter()
            .filter_map(|(text, millis)| {
                Some((
                    key.key(Some(text))?,
                    DateTime::from_timestamp_millis(*millis),
                ))
            })
            .collect();
        keys.sort();
        Ok(LocalChanges::Keys {
            keys,
            position: noted.position,
            deletions_included: true,
        })
    }

    pub(super) async fn scan(&mut self, after: Option<&LocalKey>, limit: usize) -> Answer<Chunk> {
        let binding = self.binding;
        let limit = limit.max(1);
        let order = binding.key.order(B::DIALECT);
        let mut chunk = Chunk::default();
        // Of keys of the other kind, all numbers stand before all texts.
        let after = match after {
            Some(key @ LocalKey::Text(_)) if !binding.key.takes_key(key) => return Ok(chunk),
            after => after.filter(|key| binding.key.takes_key(key)),
        };
        let mut statement = self.statement(format!(
            "SELECT {} FROM {} AS t",
            binding.columns, binding.table
        ));
        if let Some(key) = after {
            statement = beyond(
                statement.sql(&format!(" WHERE {order} > ")),
                &binding.key,
                key,
            );
        }
        let statement = statement
            .sql(&format!(" ORDER BY {order} LIMIT "))
            .int(i64::try_from(limit).unwrap_or(i64::MAX));
        let (digester, mut read, mut last) = (&mut *self.digester, 0, None);
        self.backend
            .each(&statement, &mut |values| {
                read += 1;
                if let Some(row) = row_of(binding, digester, values) {
                    last = Some(row.key.clone());
                    chunk.rows.push(row);
                }
            })
            .await?;
        // Rows that nothing can name (numbers beyond 64 bits) stand at the end of the order: a chunk of them alone is the last.
        if read == limit {
            chunk.next = last;
        }
        Ok(chunk)
    }

    pub(super) async fn fetch(&mut self, keys: &[LocalKey]) -> Answer<Vec<Option<Row>>> {
        let mut rows = self.fetch_locked(keys, "").await?;
        let mut found: Vec<Row> = rows.iter_mut().filter_map(Option::take).collect();
        let keys_found: Vec<LocalKey> = found.iter().map(|row| row.key.clone()).collect();
        if !found.is_empty() {
            self.journal_times(&keys_found).await?.fill(&mut found);
        }
        let by_key: HashMap<LocalKey, Row> = found
            .into_iter()
            .map(|row| (row.key.clone(), row))
            .collect();
        Ok(keys.iter().map(|key| by_key.get(key).cloned()).collect())
    }

    /// Rows by key, in the order asked for, with ` FOR UPDATE` or nothing at the end of the statement. The time of the last
    /// edit in the journal is left out.
    pub(super) async fn fetch_locked(
        &mut self,
        keys: &[LocalKey],
        lock: &str,
    ) -> Answer<Vec<Option<Row>>> {
        let binding = self.binding;
        let possible: Vec<LocalKey> = keys
            .iter()
            .filter(|key| binding.key.takes_key(key))
            .cloned()
            .collect();
        let mut found: HashMap<LocalKey, Row> = HashMap::with_capacity(possible.len());
        for part in possible.chunks(KEYS_MAX) {
            let key = format!("t.{}", B::DIALECT.name(&binding.key.name));
            let statement = self
                .statement(format!(
                    "SELECT {} FROM {} AS t WHERE {key}",
                    binding.columns, binding.table
                ))
                .among_keys(&binding.key, part)
                .sql(lock);
            let digester = &mut *self.digester;
            self.backend
                .each(&statement, &mut |values| {
                    if let Some(row) = row_of(binding, digester, values) {
                        found.insert(row.key.clone(), row);
                    }
                })
                .await?;
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// When the journal saw the last change of each key.
    pub(super) async fn journal_times(&mut self, keys: &[LocalKey]) -> Answer<Times> {
        let mut times = HashMap::new();
        if self.layout.changes != ChangeMethod::Journal || !self.binding.journal_stands {
            return Ok(Times(times));
        }
        for part in keys.chunks(KEYS_MAX) {
            let texts: Vec<String> = part.iter().map(ToString::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (key, millis) = match B::DIALECT {
                Dialect::MySql => (
                    "CONVERT(row_key USING utf8mb4)",
                    "CAST(max(changed_at) AS CHAR)",
                ),
                _ => ("row_key", "max(changed_at)::text"),
            };
            let statement = self
                .statement(format!(
                    "SELECT {key}, {millis} FROM contactbridge_journal WHERE bridge = "
                ))
                .text(self.bridge)
                .sql(" AND source = ")
                .text(&self.layout.table)
                .sql(" AND row_key")
                .among(&texts)
                .sql(" GROUP BY row_key");
            self.backend
                .each(&statement, &mut |row| {
                    if let [Some(key), Some(millis)] = row
                        && let Some(time) = millis
                            .parse()
                            .ok()
                            .and_then(DateTime::from_timestamp_millis)
                    {
                        times.insert((*key).to_owned(), time);
                    }
                })
                .await?;
        }
        Ok(Times(times))
    }
}

/// Adds a key to what it is compared with in the order of keys ([`ColumnShape::order`]).
fn beyond(statement: Statement, column: &ColumnShape, key: &LocalKey) -> Statement {
    match (statement.dialect, key) {
        (_, LocalKey::Int(_)) => statement.key(column, key),
        (Dialect::MySql, LocalKey::Text(text)) => {
            statement.sql("CAST(").text(text).sql(" AS BINARY)")
        }
        (_, LocalKey::Text(text)) if column.family == Family::Uuid => {
            statement.text(text).sql(&column.cast)
        }
        (_, LocalKey::Text(text)) => statement.text(text).sql(" COLLATE \"C\""),
    }
}

/// How the triggers stand; without their floor they remember nothing.
pub(super) async fn journal_state<B: Backend>(
    backend: &mut B,
    journal: &super::backend::Journal,
    stands: bool,
) -> Answer<JournalState> {
    if !stands {
        return Ok(JournalState::Missing);
    }
    let state = backend.triggers(journal).await?;
    if state == JournalState::Missing {
        return Ok(state);
    }
    let floor = Statement::new(
        B::DIALECT,
        "SELECT 'stands' FROM contactbridge_journal WHERE row_key IS NULL AND bridge = ",
    )
    .text(&journal.bridge)
    .sql(" AND source = ")
    .text(&journal.source)
    .sql(" LIMIT 1");
    Ok(match first(backend, &floor).await? {
        Some(_) => state,
        None => JournalState::Missing,
    })
}
