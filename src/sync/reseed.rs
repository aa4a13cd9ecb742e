//! Setting a bridge back: a full resync that keeps the links, or a new state built from both sides.
//!
//! Neither touches a side: the next run does the work.

use crate::local::Local;
use crate::model::{Error, Result, Stamp, World};
use crate::state::{Batch, StateStore, Table};

use super::memory::{FORMAT, Facts, Memory, RANGE, put_facts};
use super::messages::is_message;

/// Sets the watermark back: to `to`, or to the beginning, which makes the next run a full read. Links and data stay.
///
/// `E-RESEED-LATER` (exit 2): a later watermark would skip what was not read.
pub async fn reseed<S: StateStore>(store: &S, to: Option<Stamp>) -> Result<()> {
    let Some(facts) = Memory::new(store).facts().await? else {
        return Ok(()); // Nothing was ever read: the first run is a full one anyway.
    };
    let facts = match (to, facts.watermark) {
        (Some(to), Some(watermark)) if to.0 > watermark => {
            let message = format!(
                "The watermark stands at {watermark}, before the date that was asked for; what lies between would never be read"
            );
            return Err(Error::config("E-RESEED-LATER", message));
        }
        (Some(to), _) => Facts {
            watermark: Some(to.0),
            ..facts
        },
        (None, _) => Facts {
            watermark: None,
            full_due: true,
            ..facts
        },
    };
    let mut batch = Batch::new();
    put_facts(&mut batch, &facts);
    store.commit(batch).await
}

/// Whether a re-link makes this entry anew. Not the engine's to forget are the store's own entries (its form, its key's
/// fingerprint) and messages: those that were answered with 200 are nowhere else.
fn is_rebuilt(table: Table, key: &[u8]) -> bool {
    match table {
        Table::Meta => key == b"facts",
        Table::Inbox | Table::Inbox2 => !is_message(key),
        Table::Outbox => false,
        _ => true,
    }
}

/// Empties a state and gives it a new identity; the run that follows links both sides again and creates nothing.
///
/// It may be killed anywhere and called again: until the new facts are durable, the old ones are refused by the database's own record.
pub async fn begin_relink<S: StateStore, L: Local, W: World>(
    store: &S,
    local: &mut L,
    world: &W,
) -> Result<()> {
    let old = Memory::new(store).facts().await.ok().flatten();
    let meta = local.meta().await?;
    // All of them, so that nothing of an old or damaged state is trusted.
    for table in Table::ALL {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = store.range(table, after.as_deref(), RANGE).await?;
            if pairs.is_empty() {
                break;
            }
            let mut batch = Batch::new();
            for (key, _) in pairs {
                after = Some(key.clone());
                if is_rebuilt(table, &key) {
                    batch.remove(table, key);
                }
            }
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
        }
    }
    let mut id = [0; 16];
    world.random(&mut id);
    // Generation and epoch go on rising from whichever side knows more, so that a stale run stays fenced.
    let generation = old
        .as_ref()
        .map_or(0, |facts| facts.generation)
        .max(meta.as_ref().map_or(0, |meta| meta.generation));
    let epoch = old
        .as_ref()
        .map_or(0, |facts| facts.epoch)
        .max(meta.as_ref().map_or(0, |meta| meta.epoch));
    let facts = Facts {
        format: FORMAT,
        store_id: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
        generation: generation + 1,
        epoch: epoch + 1,
        relink: true,
        full_due: true,
        ..Facts::default()
    };
    let mut batch = Batch::new();
    put_facts(&mut batch, &facts);
    store.commit(batch).await
}
