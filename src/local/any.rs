//! The customer's database, of whatever kind `database:` names.
//!
//! It only passes calls on.

use std::time::Duration;

use super::mysql::MySqlLocal;
use super::postgres::PostgresLocal;
use super::server::ServerOptions;
use super::{
    Children, Description, Fence, JournalState, LinkRow, Local, LocalChanges, LocalMeta, Row,
    RowChunk, RowOutcome, RowWrite, SqliteLocal, SqliteOptions,
};
use crate::config::DatabaseUrl;
use crate::model::{Digest, Layout, LocalKey, RemoteId, Result, Vault};

/// One bridge's view of the customer's database.
pub struct AnyLocal(Kind);

enum Kind {
    Sqlite(Box<SqliteLocal>),
    Postgres(Box<PostgresLocal>),
    MySql(Box<MySqlLocal>),
}

/// Passes a call on, of which `$sqlite`'s is awaited only where it says so.
macro_rules! each {
    ($any:expr, $side:ident => $call:expr) => {
        match &mut $any.0 {
            Kind::Sqlite($side) => $call.await,
            Kind::Postgres($side) => $call.await,
            Kind::MySql($side) => $call.await,
        }
    };
    ($any:expr, $side:ident => $blocking:expr, $call:expr) => {
        match &mut $any.0 {
            Kind::Sqlite($side) => $blocking,
            Kind::Postgres($side) => $call.await,
            Kind::MySql($side) => $call.await,
        }
    };
}

impl AnyLocal {
    /// Takes hold of the database for one bridge; connects to nothing yet. `lock_wait`: how long a statement waits for another
    /// program's lock. Errors (exit 2): `E-MAP-TABLE`, `E-MAP-COLUMN` for names that can't be; `E-DB-URL`, `E-DB-TLS` for an
    /// address that can't be used.
    pub fn open(
        url: &DatabaseUrl,
        bridge: &str,
        layout: Layout,
        vault: Vault,
        lock_wait: Duration,
    ) -> Result<Self> {
        let server = ServerOptions {
            lock_timeout: lock_wait,
            ..ServerOptions::default()
        };
        Ok(Self(match url {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteOptions {
                    busy_timeout: lock_wait,
                    ..SqliteOptions::default()
                };
                Kind::Sqlite(Box::new(SqliteLocal::open(
                    path, bridge, layout, vault, options,
                )?))
            }
            DatabaseUrl::Postgres(url) => Kind::Postgres(Box::new(PostgresLocal::open(
                url, bridge, layout, vault, server,
            )?)),
            DatabaseUrl::MySql(url) => Kind::MySql(Box::new(MySqlLocal::open(
                url, bridge, layout, vault, server,
            )?)),
        }))
    }

    /// What stands in the database and all that is wrong with it, for `check`. Fails only where it can't be asked.
    pub async fn describe(&mut self) -> Result<Description> {
        each!(self, side => side.describe(), side.describe())
    }

    /// Installs the triggers of `changes: journal` (and our tables) where they don't stand as they should; true when it did.
    pub async fn install_journal(&mut self) -> Result<bool> {
        each!(self, side => side.install_journal(), side.install_journal())
    }

    /// Takes this bridge's triggers and its entries in the journal away; true when there was anything.
    pub async fn remove_journal(&mut self) -> Result<bool> {
        each!(self, side => side.remove_journal(), side.remove_journal())
    }

    /// The state of the journal's triggers; `None` where the mapping finds changes in another way.
    pub async fn journal_state(&mut self) -> Result<Option<JournalState>> {
        each!(self, side => side.journal_state(), side.journal_state())
    }

    /// Ends the connection to a server in good order; the next call makes a new one.
    pub async fn close(&mut self) {
        match &mut self.0 {
            Kind::Sqlite(_) => {}
            Kind::Postgres(side) => side.close().await,
            Kind::MySql(side) => side.close().await,
        }
    }
}

impl Local for AnyLocal {
    async fn meta(&mut self) -> Result<Option<LocalMeta>> {
        each!(self, side => side.meta())
    }

    async fn prepare(&mut self) -> Result<()> {
        each!(self, side => side.prepare())
    }

    async fn exists(&mut self) -> Result<bool> {
        each!(self, side => side.exists())
    }

    async fn live_rows(&mut self) -> Result<u64> {
        each!(self, side => side.live_rows())
    }

    async fn changes(&mut self, position: Option<&str>) -> Result<LocalChanges> {
        each!(self, side => side.changes(position))
    }

    async fn position(&mut self) -> Result<Option<String>> {
        each!(self, side => side.position())
    }

    async fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> Result<RowChunk> {
        each!(self, side => side.scan(after, limit, choose))
    }

    async fn fetch(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<Row>>> {
        each!(self, side => side.fetch(keys))
    }

    async fn children(&mut self, keys: &[LocalKey]) -> Result<Vec<Children>> {
        each!(self, side => side.children(keys))
    }

    async fn find(&mut self, field: usize, values: &[String]) -> Result<Vec<Row>> {
        each!(self, side => side.find(field, values))
    }

    async fn links_by_remote(&mut self, ids: &[RemoteId]) -> Result<Vec<Option<LinkRow>>> {
        each!(self, side => side.links_by_remote(ids))
    }

    async fn links_by_key(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<LinkRow>>> {
        each!(self, side => side.links_by_key(keys))
    }

    async fn links(&mut self, after: Option<&LocalKey>, limit: usize) -> Result<Vec<LinkRow>> {
        each!(self, side => side.links(after, limit))
    }

    async fn apply(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Vec<RowOutcome>> {
        each!(self, side => side.apply(fence, writes))
    }

    async fn seal(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        each!(self, side => side.seal(fence, generation))
    }

    async fn adopt(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        each!(self, side => side.adopt(fence, generation))
    }
}
