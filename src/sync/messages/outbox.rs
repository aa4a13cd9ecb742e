//! Messages on their way out: pending ones, then those in progress, each sent once it is the oldest (seed 003, "Data Sync Job").
//!
//! A message is put here in the commit that records what it tells of, and taken out in the commit that records its 200. Its
//! uniqueId is its place: it rises, and is the same whenever the message is sent again. Both objects share one outbox.
//!
//! Keys: `n` the newest number, `p` pending, `q` in progress, `x` a customer's messages (so that a deletion can withdraw them).

use crate::model::{RemoteId, Result, Vault, World};
use crate::remote::data_sync::Message;
use crate::state::{Batch, StateStore, Table};

use super::super::memory::corrupt;
use super::mail::{context, number, numbered, of_record};
use super::pages::{count, page};

const COUNTER: &[u8] = b"n";
const PENDING: u8 = b'p';
const PROGRESS: u8 = b'q';
const CUSTOMER: u8 = b'x';
/// Keys looked at together.
const PAGE: usize = 100;
/// A commit holds little more than this.
const COMMIT_BYTES: usize = 4 << 20;

/// How many messages wait: pending, and in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Not taken up by a job yet.
    pub pending: u64,
    /// Taken up, the first of them perhaps sent without an answer.
    pub progress: u64,
}

/// The outbox of a store.
pub(super) struct Outbox<'a, S, W> {
    pub(super) store: &'a S,
    pub(super) vault: &'a Vault,
    pub(super) world: &'a W,
}

/// A message that is to be sent.
pub(super) struct Waiting {
    key: Vec<u8>,
    customer: Option<RemoteId>,
    pub(super) message: Message,
}

/// Hands out numbers and gathers what one commit puts into the outbox.
pub(super) struct Putting {
    newest: u64,
    pub(super) batch: Batch,
}

impl<S: StateStore, W: World> Outbox<'_, S, W> {
    /// Begins to put messages; nothing else may put any until it is committed.
    ///
    /// The first number is the time in milliseconds, so that numbers go on rising after a store was lost.
    pub(super) async fn begin(&self) -> Result<Putting> {
        let newest = match self.store.get(Table::Outbox, COUNTER).await? {
            Some(bytes) => number(&bytes)?,
            None => u64::try_from(self.world.now().timestamp_millis()).unwrap_or(0),
        };
        Ok(Putting {
            newest,
            batch: Batch::new(),
        })
    }

    /// Puts a message that is made with its number. `customer`: whose deletion withdraws it.
    pub(super) fn put<E>(
        &self,
        putting: &mut Putting,
        customer: Option<&RemoteId>,
        make: impl FnOnce(u64) -> Result<Message, E>,
    ) -> Result<(), E> {
        let at = putting.newest + 1;
        let message = make(at)?;
        putting.newest = at;
        let mut nonce = [0; 24];
        self.world.random(&mut nonce);
        let sealed = self.vault.seal(nonce, &context(at), &message.to_bytes());
        let name = customer.map_or(&b""[..], |id| id.0.as_bytes());
        let length = u16::try_from(name.len()).unwrap_or(0);
        let value = [&length.to_be_bytes(), name, &sealed].concat();
        let batch = &mut putting.batch;
        batch.put(Table::Outbox, numbered(PENDING, at), value);
        if let Some(id) = customer {
            batch.put(Table::Outbox, of_customer(id, at), Vec::new());
        }
        batch.put(Table::Outbox, COUNTER, at.to_be_bytes());
        Ok(())
    }

    /// Takes a customer's messages out that were not sent yet (seed 003, "Pending Queues").
    pub(super) async fn withdraw(&self, putting: &mut Putting, id: &RemoteId) -> Result<()> {
        let first = of_record(CUSTOMER, id);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = page(self.store, Table::Outbox, &first, after.as_deref(), PAGE).await?;
            let Some((last, _)) = pairs.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, _) in pairs {
                let at = number(&key[first.len()..])?;
                for prefix in [PENDING, PROGRESS] {
                    putting.batch.remove(Table::Outbox, numbered(prefix, at));
                }
                putting.batch.remove(Table::Outbox, key);
            }
        }
    }

    /// Moves the oldest pending messages, at most `count`, to progress; false when there are none.
    pub(super) async fn take_up(&self, count: usize) -> Result<bool> {
        let mut batch = Batch::new();
        let mut after: Option<Vec<u8>> = None;
        let mut bytes = 0;
        // One by one: a message may be large, and a commit is to stay small.
        for _ in 0..count.max(1) {
            if bytes > COMMIT_BYTES {
                break;
            }
            let pairs = page(self.store, Table::Outbox, &[PENDING], after.as_deref(), 1).await?;
            let Some((key, value)) = pairs.into_iter().next() else {
                break;
            };
            let at = number(&key[1..])?;
            bytes += value.len();
            after = Some(key.clone());
            batch.remove(Table::Outbox, key);
            batch.put(Table::Outbox, numbered(PROGRESS, at), value);
        }
        let any = !batch.is_empty();
        if any {
            self.store.commit(batch).await?;
            self.world.checkpoint("M.progress").await?;
        }
        Ok(any)
    }

    /// The oldest message in progress.
    pub(super) async fn first(&self) -> Result<Option<Waiting>> {
        let pairs = page(self.store, Table::Outbox, &[PROGRESS], None, 1).await?;
        let Some((key, value)) = pairs.into_iter().next() else {
            return Ok(None);
        };
        let at = number(&key[1..])?;
        let (length, rest) = value.split_at_checked(2).ok_or_else(corrupt)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (name, sealed) = rest.split_at_checked(length).ok_or_else(corrupt)?;
        let name = std::str::from_utf8(name).map_err(|_| corrupt())?;
        let bytes = self.vault.open(&context(at), sealed)?;
        Ok(Some(Waiting {
            customer: (!name.is_empty()).then(|| RemoteId(name.to_owned())),
            message: Message::from_bytes(&bytes).ok_or_else(corrupt)?,
            key,
        }))
    }

    /// Takes a message out that was answered with 200.
    pub(super) async fn done(&self, waiting: Waiting) -> Result<()> {
        let mut batch = Batch::new();
        if let Some(id) = &waiting.customer {
            let at = number(&waiting.key[1..])?;
            batch.remove(Table::Outbox, of_customer(id, at));
        }
        batch.remove(Table::Outbox, waiting.key);
        self.store.commit(batch).await?;
        self.world.checkpoint("M.sent").await
    }
}

/// How many messages wait to be sent.
pub async fn unsent<S: StateStore>(store: &S) -> Result<Unsent> {
    Ok(Unsent {
        pending: count(store, Table::Outbox, &[PENDING], PAGE).await?,
        progress: count(store, Table::Outbox, &[PROGRESS], PAGE).await?,
    })
}

fn of_customer(id: &RemoteId, at: u64) -> Vec<u8> {
    [of_record(CUSTOMER, id), at.to_be_bytes().to_vec()].concat()
}
