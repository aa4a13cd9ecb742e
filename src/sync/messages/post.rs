//! The job that sends: progress first, then what is pending, batch by batch; the first answer that is not 200 ends it and keeps its
//! place (seed 003, "Data Sync Job"; user contract, "Sending").
//!
//! It must not look into a message.

use std::future::Future;

use crate::local::Local;
use crate::model::{Error, ErrorKind, Result, Vault, World};
use crate::remote::data_sync::Message;
use crate::remote::data_sync::send::{SendFailure, Sender};
use crate::state::StateStore;

use super::super::memory::Memory;
use super::outbox::Outbox;

/// What sends a message. Ok: it was answered with exactly 200.
pub trait Post {
    /// Sends it once.
    fn post(&self, message: &Message) -> impl Future<Output = Result<(), SendFailure>>;

    /// Requests made so far.
    fn requests(&self) -> u64;
}

impl Post for Sender {
    async fn post(&self, message: &Message) -> Result<(), SendFailure> {
        Sender::post(self, message).await
    }

    fn requests(&self) -> u64 {
        Sender::requests(self)
    }
}

/// Sends everything in the outbox, `batch` messages from pending to progress at a time.
///
/// What remains after an error is sent by the next call, beginning with the same message. `E-FENCED` (exit 6) where another run
/// has overtaken this one; the errors of [`Sender::post`] (exit 5).
pub async fn send<S: StateStore, L: Local, W: World>(
    store: &S,
    vault: &Vault,
    world: &W,
    local: &mut L,
    post: &impl Post,
    batch: usize,
) -> Result<u64> {
    let outbox = Outbox {
        store,
        vault,
        world,
    };
    let mut sent = 0;
    loop {
        while let Some(waiting) = outbox.first().await? {
            if let Some(signal) = world.interrupted() {
                return Err(Error::new(
                    ErrorKind::Interrupted(signal),
                    "E-INTERRUPTED",
                    "Stopped on request; the messages that are left are sent by the next run",
                ));
            }
            ensure_not_overtaken(store, local).await?;
            world.checkpoint("M.post").await?;
            post.post(&waiting.message).await?;
            world.checkpoint("M.posted").await?;
            outbox.done(waiting).await?;
            sent += 1;
        }
        if !outbox.take_up(batch).await? {
            return Ok(sent);
        }
    }
}

/// H-67: whoever was overtaken sends nothing more.
async fn ensure_not_overtaken<S: StateStore, L: Local>(store: &S, local: &mut L) -> Result<()> {
    store.still_held().await?;
    let facts = Memory::new(store).facts().await?.unwrap_or_default();
    match local.meta().await? {
        Some(meta) if meta.store_id != facts.store_id || meta.epoch > facts.epoch => {
            Err(Error::new(
                ErrorKind::Busy,
                "E-FENCED",
                "Another run has overtaken this one; nothing more is sent",
            ))
        }
        _ => Ok(()),
    }
}
