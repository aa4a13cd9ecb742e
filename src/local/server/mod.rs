//! The customer's database on a server: everything that PostgreSQL and MySQL have in common.
//!
//! One connection, made when it is first needed and made again when it was lost; each transaction stands on its own. Reading
//! never makes a table or a row; only `prepare` and what goes through a fence write. What differs from one kind of server
//! to the next is behind [`backend::Backend`], and no statement here is written for one of them alone without asking.

pub(super) mod backend;
mod binding;
mod children;
mod column;
mod describe;
mod feed;
mod find;
mod group;
mod links;
mod options;
mod prepare;
pub(super) mod shape;
mod sink;
#[cfg(test)]
pub(super) mod tests;
mod write;

use self::backend::{Answer, Backend, Fault};
use self::binding::Binding;
use super::digest::RowDigester;
use super::problem::{Problem, refuse};
use super::{
    Children, Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowChunk, RowOutcome, RowWrite,
};
use crate::config::ServerUrl;
use crate::database::Address;
use crate::model::{Digest, Error, Layout, LocalKey, RemoteId, Result, Vault};

pub(in crate::local) use options::ServerOptions;
pub use options::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_STATEMENT_TIMEOUT};

/// What opens connections of one kind.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub(super) trait Connector: Backend {
    /// Connects, and sets the session up.
    async fn connect(address: &Address, options: &ServerOptions) -> Answer<Self>;

    /// What is wrong with the server itself (its version), if anything.
    async fn unfit(&mut self) -> Answer<Option<Problem>>;
}

/// One bridge's view of a database on a server.
pub(in crate::local) struct ServerLocal<B> {
    address: Address,
    bridge: String,
    layout: Layout,
    vault: Vault,
    options: ServerOptions,
    digester: RowDigester,
    connection: Option<B>,
    /// A transaction was begun and neither committed nor taken back: whoever finds this set ends the connection.
    open: bool,
    /// Kept only while it is whole: what is missing or wrong is looked at again each time.
    binding: Option<Binding>,
    /// The position of the journal up to which everything is in custody: pruned with the next write.
    consumed: Option<String>,
    /// Everything was made that the mapping names: what is missing from now on was taken away, and is no longer to be made.
    prepared: bool,
}

/// What reading needs, borrowed apart.
struct Reader<'a, B> {
    backend: &'a mut B,
    binding: &'a Binding,
    digester: &'a mut RowDigester,
    bridge: &'a str,
    layout: &'a Layout,
    options: &'a ServerOptions,
}

/// Runs `$ask` with a [`Reader`], else gives `$none` while there is no table; once more where the connection was lost or the
/// schema changed, for reading changes nothing.
macro_rules! read {
    ($self:ident, $none:expr, $reader:ident => $ask:expr) => {{
        let mut again = true;
        loop {
            let answer = match $self.reader().await {
                Ok(Some(mut $reader)) => $ask.await,
                Ok(None) => Ok($none),
                Err(fault) => Err(fault),
            };
            match $self.settled(answer, &mut again) {
                Some(result) => break result,
                None => continue,
            }
        }
    }};
}

/// Runs `$ask` on one of our tables, else gives `$none`.
macro_rules! read_ours {
    ($self:ident, $table:literal, $none:expr, ($backend:ident, $bridge:ident) => $ask:expr) => {{
        let mut again = true;
        loop {
            let answer = async {
                let ($backend, $bridge) = $self.connected().await?;
                if $backend.stands($table).await? {
                    $ask.await
                } else {
                    Ok($none)
                }
            }
            .await;
            match $self.settled(answer, &mut again) {
                Some(result) => break result,
                None => continue,
            }
        }
    }};
}

impl<B: Connector> ServerLocal<B> {
    /// Takes hold of the database for one bridge; connects to nothing yet. `E-MAP-COLUMN` (exit 2) for names that can't be: empty
    /// ones, one column twice, tables of ours; `E-DB-URL`, `E-DB-TLS` for an address that can't be used.
    pub fn open(
        url: &ServerUrl,
        bridge: impl Into<String>,
        layout: Layout,
        vault: Vault,
        options: ServerOptions,
    ) -> Result<Self> {
        refuse(&super::names::check(&layout))?;
        Ok(Self {
            address: Address::read(url, B::DIALECT)?,
            bridge: bridge.into(),
            digester: RowDigester::new(&vault),
            layout,
            vault,
            options,
            connection: None,
            open: false,
            binding: None,
            consumed: None,
            prepared: false,
        })
    }

    /// A connection between two transactions.
    async fn connected(&mut self) -> Answer<(&mut B, &str)> {
        if self.open {
            self.forget();
        }
        if self.connection.is_none() {
            let mut made = B::connect(&self.address, &self.options).await?;
            if let Some(problem) = made.unfit().await? {
                refuse(&[problem])?;
            }
            self.connection = Some(made);
        }
        let Self {
            connection: Some(connection),
            bridge,
            ..
        } = self
        else {
            return Err(Fault::Failed(Error::unexpected(
                "E-DB-PREPARE",
                "No connection to the database",
            )));
        };
        Ok((connection, bridge))
    }

    /// Gives the connection up, and what was learnt by it.
    fn forget(&mut self) {
        self.connection = None;
        self.open = false;
        self.binding = None;
    }

    /// The result of one attempt at reading; `None`: once more.
    fn settled<T>(&mut self, answer: Answer<T>, again: &mut bool) -> Option<Result<T>> {
        match answer {
            Ok(value) => Some(Ok(value)),
            Err(fault) => {
                // What is begun and not ended ends with the connection.
                let retry = match &fault {
                    Fault::Lost(_) | Fault::Schema(_) | Fault::Again(_) => std::mem::take(again),
                    Fault::Row { .. } | Fault::Failed(_) => false,
                };
                self.forget();
                (!retry).then(|| Err(fault.into_error()))
            }
        }
    }

    /// Whether what the mapping names may be missing, because the next run makes it.
    fn may_miss(&self) -> bool {
        self.layout.create && !self.prepared
    }

    /// Binds the layout to what stands, unless that is done; the problems of it.
    async fn bind(&mut self) -> Answer<Vec<Problem>> {
        if self.binding.is_some() && !self.open {
            return Ok(Vec::new());
        }
        let may_miss = self.may_miss();
        self.connected().await?;
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        let bound = binding::bind(backend, &self.layout, may_miss).await?;
        let whole = !bound.problems.iter().any(|problem| problem.fatal);
        if whole {
            self.binding = bound.binding;
        }
        Ok(bound.problems)
    }

    /// What reading needs; `None` while there is no table and `create: true` will make it.
    async fn reader(&mut self) -> Answer<Option<Reader<'_, B>>> {
        self.connected().await?;
        refuse(&self.bind().await?)?;
        let (Some(backend), Some(binding)) = (&mut self.connection, &self.binding) else {
            return Ok(None);
        };
        Ok(Some(Reader {
            backend,
            binding,
            digester: &mut self.digester,
            bridge: &self.bridge,
            layout: &self.layout,
            options: &self.options,
        }))
    }

    fn not_prepared(&self) -> Error {
        Error::unexpected(
            "E-DB-PREPARE",
            format!(
                "{} was written to before it was prepared",
                self.address.shown
            ),
        )
    }

    /// Ends the connection in good order; the next call makes a new one.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.open
        {
            connection.close().await;
        }
        self.forget();
    }
}

impl<B: Connector> Local for ServerLocal<B> {
    async fn meta(&mut self) -> Result<Option<LocalMeta>> {
        read_ours!(self, "contactbridge_meta", None, (backend, bridge) => links::meta(backend, bridge, false))
    }

    async fn prepare(&mut self) -> Result<()> {
        self.make_what_is_missing().await
    }

    async fn exists(&mut self) -> Result<bool> {
        read!(self, false, reader => reader.is_there())
    }

    async fn live_rows(&mut self) -> Result<u64> {
        read!(self, 0, reader => reader.count_live())
    }

    async fn changes(&mut self, position: Option<&str>) -> Result<LocalChanges> {
        let changes = read!(self, LocalChanges::ScanNeeded, reader => reader.changes(position))?;
        if matches!(changes, LocalChanges::Keys { .. }) {
            self.consumed = position.map(str::to_owned);
        }
        Ok(changes)
    }

    async fn position(&mut self) -> Result<Option<String>> {
        read!(self, None, reader => reader.position())
    }

    async fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> Result<RowChunk> {
        let read = read!(self, feed::Chunk::default(), reader => reader.scan(after, limit))?;
        let mut chunk = RowChunk {
            next: read.next,
            seen: read.rows.len() as u64,
            rows: Vec::new(),
        };
        chunk.rows.extend(
            read.rows
                .into_iter()
                .filter(|row| choose(&row.key, row.digest, row.marked)),
        );
        if !chunk.rows.is_empty() {
            let keys: Vec<LocalKey> = chunk.rows.iter().map(|row| row.key.clone()).collect();
            let times = read!(self, feed::Times::default(), reader => reader.journal_times(&keys))?;
            times.fill(&mut chunk.rows);
        }
        Ok(chunk)
    }

    async fn fetch(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<Row>>> {
        read!(self, vec![None; keys.len()], reader => reader.fetch(keys))
    }

    async fn children(&mut self, keys: &[LocalKey]) -> Result<Vec<Children>> {
        let none = vec![Vec::new(); self.layout.children.len()];
        read!(self, vec![none.clone(); keys.len()], reader => reader.children(keys))
    }

    async fn find(&mut self, field: usize, values: &[String]) -> Result<Vec<Row>> {
        read!(self, Vec::new(), reader => reader.find(field, values))
    }

    async fn links_by_remote(&mut self, ids: &[RemoteId]) -> Result<Vec<Option<LinkRow>>> {
        read_ours!(self, "contactbridge_links", vec![None; ids.len()],
            (backend, bridge) => links::by_remote(backend, bridge, ids))
    }

    async fn links_by_key(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<LinkRow>>> {
        read_ours!(self, "contactbridge_links", vec![None; keys.len()],
            (backend, bridge) => links::by_key(backend, bridge, keys))
    }

    async fn links(&mut self, after: Option<&LocalKey>, limit: usize) -> Result<Vec<LinkRow>> {
        read_ours!(self, "contactbridge_links", Vec::new(),
            (backend, bridge) => links::after(backend, bridge, after, limit))
    }

    async fn apply(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Vec<RowOutcome>> {
        self.apply_group(fence, writes).await
    }

    async fn seal(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        self.write_generation(fence, generation, false).await
    }

    async fn adopt(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        self.write_generation(fence, generation, true).await
    }
}
