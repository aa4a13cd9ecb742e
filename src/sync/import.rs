//! Links that a person knows: written where the next run finds them before it looks at any match field.

use crate::local::{Fence, LinkRow, Local, RowOutcome, RowWrite};
use crate::model::{Error, Result};
use crate::state::{Batch, StateStore, Table};

use super::memory::{FORMAT, Facts, Memory, dirty_local, dirty_remote, put_facts};

/// Takes links over into `contactbridge_links`, all of them or none. Nothing is agreed on by it: the next run looks at each
/// pair as at a first meeting. `store_id` names the store where it is new.
///
/// The caller has checked that both identities of each link exist and are not linked otherwise.
/// `E-STATE-LOST` (exit 7): the database knows this bridge, the store does not.
pub async fn import_links<L: Local, S: StateStore>(
    local: &mut L,
    store: &S,
    bridge: &str,
    store_id: String,
    links: Vec<LinkRow>,
) -> Result<()> {
    let known = Memory::new(store).facts().await?;
    if known.is_none() && local.meta().await?.is_some() {
        return Err(Error::needs_person(
            "E-STATE-LOST",
            format!(
                "The customer database knows bridge `{bridge}`, the state store is new. Run `contactbridge reseed {bridge} --relink` first"
            ),
        ));
    }
    let facts = known.unwrap_or_else(|| Facts {
        format: FORMAT,
        store_id,
        ..Facts::default()
    });
    // As a run does: the epoch rises before the first write, so that a run that was overtaken is fenced (hazard H-67).
    let facts = Facts {
        epoch: facts.epoch + 1,
        full_due: true,
        ..facts
    };
    let mut batch = Batch::new();
    put_facts(&mut batch, &facts);
    for link in &links {
        if let Some(id) = &link.remote_id {
            batch.put(Table::Inbox, dirty_remote(id), Vec::new());
        }
        batch.put(Table::Inbox, dirty_local(&link.key), Vec::new());
    }
    store.commit(batch).await?;
    local.prepare().await?;
    let fence = Fence {
        store_id: facts.store_id,
        epoch: facts.epoch,
    };
    let writes: Vec<RowWrite> = links.into_iter().map(RowWrite::Link).collect();
    let outcomes = local.apply(&fence, &writes).await?;
    if outcomes
        .iter()
        .all(|outcome| matches!(outcome, RowOutcome::Written(_)))
    {
        return Ok(());
    }
    Err(Error::unexpected(
        "E-LINKS-WRITE",
        "The database refused some of the links; `contactbridge links list` shows those that stand",
    ))
}
