//! The customer's database in SQLite.
//!
//! One connection, opened when it is first needed, and blocking calls: the engine keeps a bridge on one task. Reading never
//! makes a file, a table or a row; only `prepare` and what goes through a fence write.

mod binding;
mod children;
mod column;
mod connection;
mod describe;
mod feed;
mod find;
mod journal;
mod links;
mod options;
mod prepare;
mod schema;
mod sink;
mod statement;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use self::binding::Binding;
use self::connection::{Manner, failure};
use super::dialect::Dialect;
use super::digest::RowDigester;
use super::problem::{Problem, refuse};
use super::{
    Children, Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowChunk, RowOutcome, RowWrite,
};
use crate::model::{Digest, Error, Layout, LocalKey, RemoteId, Result, Vault};

pub use options::{
    DEFAULT_APPLIED_KEPT, DEFAULT_BUSY_TIMEOUT, DEFAULT_CACHE_KIB, DEFAULT_COLUMN_OVERLAP,
    DEFAULT_FIND_INDEX_ROWS, DEFAULT_MAX_CHANGED_KEYS, SqliteOptions,
};

/// One bridge's view of a SQLite file.
pub struct SqliteLocal {
    path: PathBuf,
    bridge: String,
    layout: Layout,
    vault: Vault,
    options: SqliteOptions,
    digester: RowDigester,
    database: Option<Database>,
    /// The position of the journal up to which everything is in custody: pruned with the next write.
    consumed: Option<i64>,
    /// Everything was made that the mapping names: what is missing from now on was taken away, and is no longer to be made.
    prepared: bool,
    finder: find::Finder,
    /// Statement texts by the columns they name; of one binding.
    texts: statement::Texts,
}

/// The open file.
struct Database {
    conn: Connection,
    /// `PRAGMA schema_version` that the binding was made at.
    version: i64,
    binding: Option<Binding>,
    problems: Vec<Problem>,
}

/// What reading needs, borrowed apart.
struct Reader<'a> {
    conn: &'a Connection,
    binding: &'a Binding,
    digester: &'a mut RowDigester,
    bridge: &'a str,
    layout: &'a Layout,
    options: &'a SqliteOptions,
}

impl SqliteLocal {
    /// Takes hold of the file for one bridge; opens nothing yet. `E-MAP-COLUMN` (exit 2) for names that can't be: empty ones, one
    /// column twice, tables of SQLite's or ours.
    pub fn open(
        path: impl Into<PathBuf>,
        bridge: impl Into<String>,
        layout: Layout,
        vault: Vault,
        options: SqliteOptions,
    ) -> Result<Self> {
        refuse(&super::names::check(&layout))?;
        Ok(Self {
            path: path.into(),
            bridge: bridge.into(),
            digester: RowDigester::new(&vault),
            finder: find::Finder::new(layout.columns.len()),
            layout,
            vault,
            options,
            database: None,
            consumed: None,
            prepared: false,
            texts: statement::Texts::default(),
        })
    }

    /// The open file with a binding as fresh as the schema; `None` while there is no file.
    fn database(&mut self) -> Result<Option<&mut Database>> {
        if self.database.is_none() {
            let Some(conn) = connection::open(&self.path, self.manner())? else {
                return Ok(None);
            };
            self.take(conn)?;
        }
        let stale = match &self.database {
            Some(database) => {
                version(&database.conn).map_err(|error| failure(&self.path, &error))?
                    != database.version
            }
            None => false,
        };
        if stale && let Some(Database { conn, .. }) = self.database.take() {
            self.take(conn)?;
        }
        Ok(self.database.as_mut())
    }

    /// Binds the layout to what `conn` shows.
    fn take(&mut self, conn: Connection) -> Result<()> {
        let bound = version(&conn).and_then(|version| {
            Ok((
                version,
                binding::bind(&conn, &self.bridge, &self.layout, self.may_miss())?,
            ))
        });
        let (version, bound) = bound.map_err(|error| failure(&self.path, &error))?;
        if let Some(binding) = &bound.binding {
            // Where only our own triggers stand, they need not fire here to have their notes taken out again. A trigger that is
            // added later changes the schema, which is bound anew under the lock before anything is written.
            conn.set_db_config(
                DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
                binding.foreign_triggers,
            )
            .map_err(|error| failure(&self.path, &error))?;
        }
        self.finder.forget();
        self.texts = statement::Texts::default();
        self.database = Some(Database {
            conn,
            version,
            binding: bound.binding,
            problems: bound.problems,
        });
        Ok(())
    }

    /// Whether what the mapping names may be missing, because the next run makes it.
    fn may_miss(&self) -> bool {
        self.layout.create && !self.prepared
    }

    fn manner(&self) -> Manner {
        Manner {
            busy_timeout: self.options.busy_timeout,
            cache_kib: self.options.cache_kib,
        }
    }

    /// Why there may be no file; nothing under `create: true`, where the first run makes it.
    fn missing_file(&self) -> Option<Problem> {
        (!self.may_miss()).then(|| {
            Problem::fatal(
                "E-DB-MISSING",
                format!(
                    "{}: no such file. Correct `database:`, or let the mapping make what is missing with `create: true`",
                    self.path.display()
                ),
            )
        })
    }

    /// What reading needs; `None` while there is no table and `create: true` will make it.
    fn reader(&mut self) -> Result<Option<Reader<'_>>> {
        if self.database()?.is_none() {
            refuse(self.missing_file().as_slice())?;
            return Ok(None);
        }
        let Some(database) = &self.database else {
            return Ok(None);
        };
        refuse(&database.problems)?;
        Ok(database.binding.as_ref().map(|binding| Reader {
            conn: &database.conn,
            binding,
            digester: &mut self.digester,
            bridge: &self.bridge,
            layout: &self.layout,
            options: &self.options,
        }))
    }

    /// Runs `ask` where there is a table, else answers `none`.
    fn read<T>(
        &mut self,
        none: T,
        ask: impl FnOnce(&mut Reader<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = self.path.clone();
        match self.reader()? {
            Some(mut reader) => ask(&mut reader).map_err(|error| failure(&path, &error)),
            None => Ok(none),
        }
    }

    /// Runs `ask` on one of our tables, else answers `none`.
    fn read_ours<T>(
        &mut self,
        table: &str,
        none: T,
        ask: impl FnOnce(&Connection, &str) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if self.database()?.is_none() {
            return Ok(none);
        }
        let Some(Database { conn, .. }) = &self.database else {
            return Ok(none);
        };
        let answer = || {
            if conn.table_exists(None, table)? {
                ask(conn, &self.bridge)
            } else {
                Ok(none)
            }
        };
        answer().map_err(|error| failure(&self.path, &error))
    }

    /// The file that it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA schema_version")?
        .query_row([], |row| row.get(0))
}

impl Local for SqliteLocal {
    async fn meta(&mut self) -> Result<Option<LocalMeta>> {
        self.read_ours("contactbridge_meta", None, links::meta)
    }

    async fn prepare(&mut self) -> Result<()> {
        self.make_what_is_missing()
    }

    async fn exists(&mut self) -> Result<bool> {
        let database = self.database()?;
        Ok(database.is_some_and(|database| database.binding.is_some()))
    }

    async fn live_rows(&mut self) -> Result<u64> {
        self.read(0, |reader| reader.count_live())
    }

    async fn changes(&mut self, position: Option<&str>) -> Result<LocalChanges> {
        let consumed = position.and_then(journal::parse_position);
        let changes = self.read(LocalChanges::ScanNeeded, |reader| reader.changes(position))?;
        if matches!(changes, LocalChanges::Keys { .. }) && consumed.is_some() {
            self.consumed = consumed;
        }
        Ok(changes)
    }

    async fn position(&mut self) -> Result<Option<String>> {
        self.read(None, |reader| reader.position())
    }

    async fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> Result<RowChunk> {
        self.read(RowChunk::default(), |reader| {
            reader.scan(after, limit, choose)
        })
    }

    async fn fetch(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<Row>>> {
        self.read(vec![None; keys.len()], |reader| reader.fetch(keys))
    }

    async fn children(&mut self, keys: &[LocalKey]) -> Result<Vec<Children>> {
        let none = vec![vec![Vec::new(); self.layout.children.len()]; keys.len()];
        self.read(none, |reader| reader.children(keys))
    }

    async fn find(&mut self, field: usize, values: &[String]) -> Result<Vec<Row>> {
        let mut finder = std::mem::take(&mut self.finder);
        let found = self.read(Vec::new(), |reader| finder.find(reader, field, values));
        self.finder = finder;
        found
    }

    async fn links_by_remote(&mut self, ids: &[RemoteId]) -> Result<Vec<Option<LinkRow>>> {
        self.read_ours(
            "contactbridge_links",
            vec![None; ids.len()],
            |conn, bridge| links::by_remote(conn, bridge, ids),
        )
    }

    async fn links_by_key(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<LinkRow>>> {
        self.read_ours(
            "contactbridge_links",
            vec![None; keys.len()],
            |conn, bridge| links::by_key(conn, bridge, keys),
        )
    }

    async fn links(&mut self, after: Option<&LocalKey>, limit: usize) -> Result<Vec<LinkRow>> {
        self.read_ours("contactbridge_links", Vec::new(), |conn, bridge| {
            links::after(conn, bridge, after, limit)
        })
    }

    async fn apply(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Vec<RowOutcome>> {
        self.apply_group(fence, writes)
    }

    async fn seal(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        self.write_generation(fence, generation, false)
    }

    async fn adopt(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        self.write_generation(fence, generation, true)
    }
}

/// The dialect of all texts here.
const DIALECT: Dialect = Dialect::Sqlite;

impl SqliteLocal {
    fn not_prepared(&self) -> Error {
        Error::unexpected(
            "E-DB-PREPARE",
            format!(
                "{} was written to before it was prepared",
                self.path.display()
            ),
        )
    }
}
