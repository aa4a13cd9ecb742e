//! The customer's database in SQLite.
//!
//! One connection, opened when it is first needed, and blocking calls: the engine keeps a bridge on one task. Reading never
//! makes a file, a table or a row; only `prepare` and what goes through a fence write.

mod binding;
mod children;
mod column;
mod connection;
mod feed;
mod find;
mod journal;
mod links;
mod prepare;
mod schema;
mod sink;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use self::binding::Binding;
use self::connection::{Manner, failure};
use super::dialect::Dialect;
use super::digest::RowDigester;
use super::problem::{Description, JournalState, Problem, refuse};
use super::{Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowChunk, RowOutcome, RowWrite};
use crate::model::{ChangeMethod, Digest, Error, Layout, LocalKey, RemoteId, Result, Vault};

/// How long a statement waits for another program's lock: longer than any sane transaction of theirs, shorter than cron's patience.
pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of the connection: the upper levels of the tables of some million rows fit in.
pub const DEFAULT_CACHE_KIB: u32 = 16 * 1024;
/// Changed keys that are handed over at a time; beyond it a scan is cheaper and needs no memory.
pub const DEFAULT_MAX_CHANGED_KEYS: usize = 100_000;
/// How far behind the newest time `changes: {column}` reads again: a program may take that long from writing down the time to
/// its commit. What is read again unchanged costs a comparison.
pub const DEFAULT_COLUMN_OVERLAP: Duration = Duration::from_secs(120);
/// Rows up to which `find` keeps an index in memory (about 32 bytes a row and field); beyond it each call reads the table.
pub const DEFAULT_FIND_INDEX_ROWS: u64 = 2_000_000;
/// Operation ids kept in `contactbridge_applied`: only the newest is ever asked for, the others are for a person who looks.
pub const DEFAULT_APPLIED_KEPT: u32 = 64;

/// Limits of a [`SqliteLocal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long a statement waits for another program's lock.
    pub busy_timeout: Duration,
    /// Page cache in KiB.
    pub cache_kib: u32,
    /// Changed keys that [`Local::changes`] hands over; beyond it answers `ScanNeeded`.
    pub max_changed_keys: usize,
    /// How far behind its position `changes: {column}` reads again; at least a second.
    pub column_overlap: Duration,
    /// Rows up to which [`Local::find`] keeps an index in memory.
    pub find_index_rows: u64,
    /// Operation ids kept in `contactbridge_applied`.
    pub applied_kept: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            busy_timeout: DEFAULT_BUSY_TIMEOUT,
            cache_kib: DEFAULT_CACHE_KIB,
            max_changed_keys: DEFAULT_MAX_CHANGED_KEYS,
            column_overlap: DEFAULT_COLUMN_OVERLAP,
            find_index_rows: DEFAULT_FIND_INDEX_ROWS,
            applied_kept: DEFAULT_APPLIED_KEPT,
        }
    }
}

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
    /// Transactions of this run, for their operation ids.
    operations: u64,
    finder: find::Finder,
    /// Statement texts by the columns they name; of one binding.
    texts: write::Texts,
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
        refuse(&names(&layout))?;
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
            operations: 0,
            texts: write::Texts::default(),
        })
    }

    /// What stands in the database and all that is wrong with it, for `check`. Fails only where the file can't be read.
    pub fn describe(&mut self) -> Result<Description> {
        let mut problems = Vec::new();
        let mut rows = None;
        let journal = self.journal_state()?;
        match self.database()? {
            None => problems.extend(self.missing_file()),
            Some(database) => {
                problems.clone_from(&database.problems);
                if database.conn.is_readonly("main").unwrap_or(false) {
                    problems.push(Problem::fatal(
                        "E-DB-READONLY",
                        format!("{} can't be written to by this user", self.path.display()),
                    ));
                }
            }
        }
        if !problems.iter().any(|problem| problem.fatal)
            && let Some(reader) = self.reader()?
        {
            let found = reader.count_live().and_then(|live| {
                let unnamed = reader.count_unnamed()?;
                Ok((live, unnamed))
            });
            let (live, unnamed) = found.map_err(|error| failure(&self.path, &error))?;
            rows = Some(live);
            if unnamed > 0 {
                problems.push(Problem::warning(
                    "W-DB-KEY-VALUE",
                    format!(
                        "{}: {unnamed} rows are passed over, because their key is neither an integer nor a text",
                        self.layout.table
                    ),
                ));
            }
        }
        Ok(Description {
            place: self.path.display().to_string(),
            table: self.layout.table.clone(),
            rows,
            journal,
            problems,
        })
    }

    /// The state of the journal's triggers; `None` where the mapping finds changes in another way.
    pub fn journal_state(&mut self) -> Result<Option<JournalState>> {
        if self.layout.changes != ChangeMethod::Journal {
            return Ok(None);
        }
        let (bridge, layout) = (self.bridge.clone(), self.layout.clone());
        let path = self.path.clone();
        match self.database()? {
            Some(database) => journal::state(&database.conn, &bridge, &layout)
                .map(Some)
                .map_err(|error| failure(&path, &error)),
            None => Ok(Some(JournalState::Missing)),
        }
    }

    /// Installs the triggers of `changes: journal` (and our tables) where they don't stand as they should; true when it did.
    pub fn install_journal(&mut self) -> Result<bool> {
        self.install_triggers()
    }

    /// Takes this bridge's triggers and its entries in the journal away; true when there was anything.
    pub fn remove_journal(&mut self) -> Result<bool> {
        let (bridge, layout, path) = (self.bridge.clone(), self.layout.clone(), self.path.clone());
        match self.database()? {
            Some(database) => journal::remove(&mut database.conn, &bridge, &layout)
                .map_err(|error| failure(&path, &error)),
            None => Ok(false),
        }
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
                binding::bind(&conn, &self.layout, self.may_miss())?,
            ))
        });
        let (version, bound) = bound.map_err(|error| failure(&self.path, &error))?;
        self.finder.forget();
        self.texts = write::Texts::default();
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

/// Names that no table and no column can have, and columns that are named twice.
fn names(layout: &Layout) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |table: &str, columns: Vec<&str>| {
        let reserved = table.to_ascii_lowercase();
        if table.is_empty() || table.contains('\0') {
            problems.push(Problem::fatal("E-MAP-TABLE", "A table without a name"));
        } else if reserved.starts_with("sqlite_") || reserved.starts_with("contactbridge_") {
            problems.push(Problem::fatal(
                "E-MAP-TABLE",
                format!("{table}: tables of that name belong to SQLite or to the bridge itself"),
            ));
        }
        for (at, column) in columns.iter().enumerate() {
            if column.is_empty() || column.contains('\0') {
                problems.push(Problem::fatal(
                    "E-MAP-COLUMN",
                    format!("{table}: a column without a name"),
                ));
            } else if columns[..at]
                .iter()
                .any(|other| other.eq_ignore_ascii_case(column))
            {
                problems.push(Problem::fatal(
                    "E-MAP-COLUMN",
                    format!("{table}.{column}: two rules write to it"),
                ));
            }
        }
    };
    let fields = layout.columns.iter().map(|column| column.name.as_str());
    let key = (layout.key_field.is_none()).then_some(layout.key.as_str());
    check(
        binding::table_name(&layout.table),
        key.into_iter()
            .chain(layout.deleted.as_deref())
            .chain(fields)
            .collect(),
    );
    for child in &layout.children {
        let fields = child.columns.iter().map(|column| column.name.as_str());
        check(
            binding::table_name(&child.table),
            std::iter::once(child.parent.as_str())
                .chain(fields)
                .collect(),
        );
    }
    problems
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
