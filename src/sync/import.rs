//! Links that a person knows: written where the next run finds them before it looks at any match field.

use std::collections::HashSet;

use crate::local::{Fence, LinkRow, Local, RowOutcome, RowWrite};
use crate::model::{Error, RemoteId, Result};
use crate::state::{Batch, StateStore, Table};

use super::memory::{FORMAT, Facts, Link, Memory, dirty_local, dirty_remote, put_facts, put_link};

/// The version of no mapping: whoever reads such a link brings it into the shape of the mapping that is.
const NO_MAPPING: u16 = u16::MAX;

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
    store.commit(batch).await?;
    local.prepare().await?;
    let fence = Fence {
        store_id: facts.store_id.clone(),
        epoch: facts.epoch,
    };
    let writes: Vec<RowWrite> = links.iter().cloned().map(RowWrite::Link).collect();
    let outcomes = local.apply(&fence, &writes).await?;
    if !outcomes
        .iter()
        .all(|outcome| matches!(outcome, RowOutcome::Written(_)))
    {
        return Err(Error::unexpected(
            "E-LINKS-WRITE",
            "The database refused some of the links; `contactbridge links list` shows those that stand",
        ));
    }
    remember(store, facts, links).await
}

/// Links that have agreed on nothing yet. A kill before this leaves them in the database alone, where the next run finds them too.
async fn remember<S: StateStore>(store: &S, facts: Facts, links: Vec<LinkRow>) -> Result<()> {
    let ids: Vec<RemoteId> = links
        .iter()
        .filter_map(|row| row.remote_id.clone())
        .collect();
    let known = Memory::new(store).links(&ids).await?;
    let known: HashSet<RemoteId> = known
        .into_iter()
        .flatten()
        .map(|link| link.remote)
        .collect();
    let mut batch = Batch::new();
    let mut count = 0;
    for row in links {
        let Some(remote) = row.remote_id.filter(|id| !known.contains(id)) else {
            continue;
        };
        count += 1;
        for key in [dirty_remote(&remote), dirty_local(&row.key)] {
            // What waited was about newcomers; they are none any more.
            batch.remove(Table::Review, key.clone());
            batch.remove(Table::Quarantine, key.clone());
            batch.put(Table::Inbox, key, Vec::new());
        }
        batch.remove(Table::Stranger, remote.0.as_bytes());
        let link = Link {
            mapping: NO_MAPPING,
            ..Link::bare(remote, row.key)
        };
        put_link(&mut batch, &link);
    }
    put_facts(
        &mut batch,
        &Facts {
            links: facts.links + count,
            ..facts
        },
    );
    store.commit(batch).await
}
