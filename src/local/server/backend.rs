//! What a kind of server has to offer, and the statements that are put to it.
//!
//! Values travel as text both ways, so that one piece of code serves every column type; each backend says how its types
//! become text and come back.

use super::shape::{ColumnShape, Found};
use crate::local::dialect::Dialect;
use crate::local::problem::JournalState;
use crate::model::{Cell, Error, LocalKey};

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::local) enum Param {
    Int(i64),
    Text(Option<String>),
    /// PostgreSQL only: arrays.
    Ints(Vec<i64>),
    Texts(Vec<Option<String>>),
}

/// A statement that grows with its parameters. It stays prepared on its connection, so the texts that come again must be few: MySQL's
/// lists, which are written out, have a power of two of entries, and what a list lacks is made up with its last entry.
///
/// (Taking back a prepared statement is a message without an answer. The driver leaves Nagle's algorithm on, and what is sent next
/// waits until the server gets round to acknowledging it: 40 ms a statement, measured.)
#[derive(Clone, Debug)]
pub(in crate::local) struct Statement {
    pub(in crate::local) dialect: Dialect,
    pub(in crate::local) text: String,
    pub(in crate::local) params: Vec<Param>,
}

/// The entries of a list in MySQL: as many as the next power of two, the last one again and again.
pub(in crate::local) fn filled_up<T>(entries: &[T]) -> impl Iterator<Item = &T> {
    let missing = entries.len().next_power_of_two() - entries.len();
    entries
        .iter()
        .chain(entries.last().into_iter().cycle().take(missing))
}

/// Parts of no more than `most` entries, one a statement; in MySQL, where an entry can't stand twice, a power of two each.
pub(in crate::local) fn portions<T>(
    dialect: Dialect,
    entries: &[T],
    most: usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut size = rest.len().min(most.max(1));
        if dialect == Dialect::MySql && size > 0 {
            size = 1 << size.ilog2();
        }
        let (part, after) = rest.split_at(size);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

impl Statement {
    pub(in crate::local) fn new(dialect: Dialect, text: impl Into<String>) -> Self {
        Self {
            dialect,
            text: text.into(),
            params: Vec::new(),
        }
    }

    /// Adds SQL.
    pub(in crate::local) fn sql(mut self, text: &str) -> Self {
        self.text += text;
        self
    }

    fn param(mut self, kind: &str, param: Param) -> Self {
        self.params.push(param);
        match self.dialect {
            Dialect::MySql => self.text.push('?'),
            _ => self.text += &format!("${}::{kind}", self.params.len()),
        }
        self
    }

    /// Adds a number.
    pub(in crate::local) fn int(self, value: i64) -> Self {
        self.param("bigint", Param::Int(value))
    }

    /// Adds a text.
    pub(in crate::local) fn text(self, value: &str) -> Self {
        self.param("text", Param::Text(Some(value.to_owned())))
    }

    /// Adds a text or NULL.
    pub(in crate::local) fn optional(self, value: Option<&str>) -> Self {
        self.param("text", Param::Text(value.map(str::to_owned)))
    }

    /// Adds a cell as its column takes it.
    pub(in crate::local) fn cell(self, column: &ColumnShape, cell: &Cell) -> Self {
        let text = column.text_of(cell, self.dialect);
        self.param("text", Param::Text(text)).sql(&column.cast)
    }

    /// Adds a key as its column takes it.
    pub(in crate::local) fn key(self, column: &ColumnShape, key: &LocalKey) -> Self {
        match key {
            LocalKey::Int(number) if column.is_integer() => self.int(*number),
            LocalKey::Int(number) => self.text(&number.to_string()).sql(&column.cast),
            LocalKey::Text(text) => self.text(text).sql(&column.cast),
        }
    }

    /// Adds ` IN (entries)` as MySQL has it; the entries must not be none.
    pub(in crate::local) fn listed<T>(self, entries: &[T], add: impl Fn(Self, &T) -> Self) -> Self {
        let mut statement = self.sql(" IN (");
        for (at, entry) in filled_up(entries).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            statement = add(statement.sql(comma), entry);
        }
        statement.sql(")")
    }

    /// Adds ` = ANY(keys)` or ` IN (keys)`. The keys, which must not be none, are those that the column can hold.
    pub(in crate::local) fn among_keys(self, column: &ColumnShape, keys: &[LocalKey]) -> Self {
        if self.dialect == Dialect::MySql {
            return self.listed(keys, |statement, key| statement.key(column, key));
        }
        if column.is_integer() {
            let ints = keys.iter().filter_map(|key| match key {
                LocalKey::Int(number) => Some(*number),
                LocalKey::Text(_) => None,
            });
            return self
                .sql(" = ANY(")
                .param("bigint[]", Param::Ints(ints.collect()))
                .sql(")");
        }
        let texts = keys.iter().map(|key| Some(key.to_string())).collect();
        let cast = if column.cast.is_empty() {
            String::new()
        } else {
            format!("{}[]", column.cast)
        };
        self.sql(" = ANY(")
            .param("text[]", Param::Texts(texts))
            .sql(&format!("{cast})"))
    }

    /// Adds the condition that the column of `table` (its name or alias) holds one of the keys, exactly.
    pub(in crate::local) fn holds_key(
        self,
        table: &str,
        column: &ColumnShape,
        keys: &[LocalKey],
    ) -> Self {
        let dialect = self.dialect;
        let name = format!("{table}.{}", dialect.name(&column.name));
        let statement = self.sql(&name).among_keys(column, keys);
        if !column.loose {
            return statement;
        }
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        statement
            .sql(&format!(" AND {}", column.order_of(table, dialect)))
            .among(&texts)
    }

    /// Adds ` = ANY(texts)` or ` IN (texts)`; the texts must not be none.
    pub(in crate::local) fn among(self, texts: &[&str]) -> Self {
        if self.dialect == Dialect::MySql {
            return self.listed(texts, |statement, text| statement.text(text));
        }
        let texts = texts.iter().map(|text| Some((*text).to_owned())).collect();
        self.sql(" = ANY(")
            .param("text[]", Param::Texts(texts))
            .sql(")")
    }

    /// Adds a column of texts for `unnest` (PostgreSQL).
    pub(in crate::local) fn texts(self, texts: Vec<Option<String>>) -> Self {
        self.param("text[]", Param::Texts(texts))
    }
}

/// What a statement did.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::local) struct Done {
    pub(in crate::local) rows: u64,
    /// The first number that the statement generated (MySQL).
    pub(in crate::local) generated: u64,
}

/// Why a statement did not go through. No message holds a value of a row.
#[derive(Debug)]
pub(in crate::local) enum Fault {
    /// The connection is gone; what was not committed is undone.
    Lost(Error),
    /// A deadlock, or a serialization failure: the transaction is undone and may be tried again.
    Again(Error),
    /// The database refuses this row.
    Row { code: &'static str, reason: String },
    /// The schema is not the one that the statement was made for.
    Schema(Error),
    /// Anything else that ends the run.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Fault {
    /// As the end of a run.
    pub(in crate::local) fn into_error(self) -> Error {
        match self {
            Self::Lost(error) | Self::Again(error) | Self::Schema(error) | Self::Failed(error) => {
                error
            }
            Self::Row { code, reason } => Error::unexpected(
                "E-DB-SQL",
                format!("A statement of the bridge's own was refused ({code}: {reason})"),
            ),
        }
    }
}

pub(in crate::local) type Answer<T> = std::result::Result<T, Fault>;

/// The triggers of one bridge on one table.
#[derive(Clone, Debug)]
pub(in crate::local) struct Journal {
    pub(in crate::local) bridge: String,
    /// The table as the mapping names it; entries stand under this name.
    pub(in crate::local) source: String,
    /// Schema and name of the table, unquoted.
    pub(in crate::local) schema: String,
    pub(in crate::local) table: String,
    pub(in crate::local) key: String,
    /// Columns whose change matters, the key left out.
    pub(in crate::local) columns: Vec<String>,
}

/// Keys noted since a position.
#[derive(Debug)]
pub(in crate::local) struct Noted {
    /// Each key as text, with the time of its last change in milliseconds since 1970.
    pub(in crate::local) keys: Vec<(String, i64)>,
    /// The position to go on from.
    pub(in crate::local) position: String,
}

/// One connection to a server, and what only this kind of server knows.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub(in crate::local) trait Backend: Sized {
    const DIALECT: Dialect;

    /// Runs a statement and shows each row of its answer, as texts.
    async fn each(
        &mut self,
        statement: &Statement,
        see: &mut dyn FnMut(&[Option<&str>]),
    ) -> Answer<()>;

    /// Runs a statement without an answer.
    async fn execute(&mut self, statement: &Statement) -> Answer<Done>;

    /// Runs SQL without parameters that can't be prepared.
    async fn script(&mut self, sql: &str) -> Answer<()>;

    /// Begins a transaction for writing, which sees what others have committed.
    async fn begin(&mut self) -> Answer<()>;

    /// Begins a transaction that sees one moment.
    async fn snapshot(&mut self) -> Answer<()>;

    /// Begins to change the schema, alone of all bridges: in a transaction where the server's DDL knows one.
    async fn lock_schema(&mut self) -> Answer<()>;

    /// Ends, for good, what [`Backend::lock_schema`] began.
    async fn unlock_schema(&mut self) -> Answer<()>;

    /// Looks a table up by the name that the mapping has for it.
    async fn find_table(&mut self, wanted: &str) -> Answer<Found>;

    /// Whether one of our tables stands.
    async fn stands(&mut self, table: &str) -> Answer<bool>;

    /// The names of all tables that a mapping may mean.
    async fn table_names(&mut self) -> Answer<Vec<String>>;

    /// How the triggers stand; the floor, without which they have no memory, is looked at by the caller.
    async fn triggers(&mut self, journal: &Journal) -> Answer<JournalState>;

    /// Whether triggers of the bridge stand, for whatever table.
    async fn is_left_over(&mut self, bridge: &str) -> Answer<bool>;

    /// Makes the triggers, in the place of those that stand.
    async fn install(&mut self, journal: &Journal) -> Answer<()>;

    /// Takes the triggers away; true where there were any.
    async fn uninstall(&mut self, journal: &Journal) -> Answer<bool>;

    /// Writes the entry that says from where on the memory reaches: from now on.
    async fn put_floor(&mut self, journal: &Journal) -> Answer<()>;

    /// The position from which changes are found from now on.
    async fn journal_position(&mut self, journal: &Journal) -> Answer<String>;

    /// The keys noted since a position, inside a transaction of [`Backend::snapshot`]; `None` where the memory does not reach back, or beyond `limit` keys.
    async fn journal_changes(
        &mut self,
        journal: &Journal,
        since: &str,
        limit: usize,
    ) -> Answer<Option<Noted>>;

    /// Inside a transaction, before its first write: what [`Backend::forget_own`] is told.
    async fn journal_mark(&mut self) -> Answer<i64>;

    /// Inside a transaction: takes out what it noted itself for the keys that it wrote.
    async fn forget_own(&mut self, journal: &Journal, mark: i64, keys: &[LocalKey]) -> Answer<()>;

    /// Inside a transaction: takes out what is in custody, and lifts the floor to it.
    async fn prune(&mut self, journal: &Journal, consumed: &str) -> Answer<()>;

    /// How far apart the numbers stand that one INSERT generates (MySQL).
    async fn generated_step(&mut self) -> Answer<i64>;

    /// Ends the connection in good order.
    async fn close(self);
}

/// All rows of an answer.
pub(in crate::local) async fn rows<B: Backend>(
    backend: &mut B,
    statement: &Statement,
) -> Answer<Vec<Vec<Option<String>>>> {
    let mut all = Vec::new();
    backend
        .each(statement, &mut |row| {
            all.push(row.iter().map(|cell| cell.map(str::to_owned)).collect());
        })
        .await?;
    Ok(all)
}

/// The first cell of an answer's first row.
pub(in crate::local) async fn first<B: Backend>(
    backend: &mut B,
    statement: &Statement,
) -> Answer<Option<String>> {
    let mut found: Option<Option<String>> = None;
    backend
        .each(statement, &mut |row| {
            if found.is_none() {
                found = Some(row.first().copied().flatten().map(str::to_owned));
            }
        })
        .await?;
    Ok(found.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_mysql_have_a_power_of_two_of_entries() {
        for (given, filled) in [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (500, 512)] {
            let entries: Vec<usize> = (0..given).collect();
            let all: Vec<usize> = filled_up(&entries).copied().collect();
            assert_eq!(all.len(), filled);
            assert_eq!(all[..given], entries);
            assert!(all[given..].iter().all(|entry| entry + 1 == given));
        }
        let keys: Vec<LocalKey> = (1..=3).map(LocalKey::Int).collect();
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let statement = Statement::new(Dialect::MySql, "k").among(&texts);
        assert_eq!(statement.text, "k IN (?, ?, ?, ?)");
        assert_eq!(statement.params.len(), 4);
    }

    #[test]
    fn portions_hold_each_entry_once() {
        let entries: Vec<u32> = (0..700).collect();
        for (dialect, most, sizes) in [
            (Dialect::MySql, 300, vec![256, 256, 128, 32, 16, 8, 4]),
            (Dialect::MySql, 0, vec![1; 700]),
            (Dialect::Postgres, 300, vec![300, 300, 100]),
        ] {
            let parts: Vec<&[u32]> = portions(dialect, &entries, most).collect();
            let found: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            assert_eq!(found, sizes);
            assert_eq!(parts.concat(), entries);
        }
        assert_eq!(portions(Dialect::MySql, &entries[..0], 9).count(), 0);
    }
}
