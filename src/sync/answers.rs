//! What waits for a person, as the commands see it: lists, values, answers.
//!
//! An answer is written down here and carried out by the next run. [`values_of`] alone opens what is sealed.

use crate::model::{Error, RemoteId, Result, Vault};
use crate::state::{Batch, Second, StateStore, Table};

use super::memory::{
    Decision, Facts, Memory, Quarantined, Review, ReviewKind, Side, Values, dirty_local,
    dirty_remote, put_facts, put_json,
};

/// What `review show` and `quarantine show` print of a record's values: column, database, CRM; and the raw answer.
pub type HeldValues = Values;

/// What a person asks of the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineAction {
    /// Try again in the next run.
    Retry,
    /// Leave the record alone until it changes.
    Discard,
}

/// The id by which people name a held record: short, and the same in every run.
fn public_id(table: Table, key: &[u8]) -> String {
    let hash = blake3::hash(&[&[table as u8], key].concat());
    hash.to_hex()[..10].to_owned()
}

/// Marks the ids of the second object's records (transactions).
const SECOND: &str = "t-";

/// All reviews with their ids; `settled`: those that a policy or a person settled in the last days.
pub async fn reviews<S: StateStore>(store: &S, settled: bool) -> Result<Vec<(String, Review)>> {
    let mut all = reviews_of(store, settled).await?;
    let second = reviews_of(&Second(store), settled).await?;
    all.extend(second.into_iter().map(of_second));
    Ok(all)
}

async fn reviews_of<S: StateStore>(store: &S, settled: bool) -> Result<Vec<(String, Review)>> {
    let table = if settled {
        Table::Settled
    } else {
        Table::Review
    };
    Ok(Memory::new(store)
        .all::<Review>(table)
        .await?
        .into_iter()
        .map(|(key, review)| (public_id(table, &key), review))
        .collect())
}

/// All quarantined records with their ids.
pub async fn quarantine<S: StateStore>(store: &S) -> Result<Vec<(String, Quarantined)>> {
    let mut all = quarantine_of(store).await?;
    let second = quarantine_of(&Second(store)).await?;
    all.extend(second.into_iter().map(of_second));
    Ok(all)
}

async fn quarantine_of<S: StateStore>(store: &S) -> Result<Vec<(String, Quarantined)>> {
    let all = Memory::new(store)
        .all::<Quarantined>(Table::Quarantine)
        .await?;
    Ok(all
        .into_iter()
        .map(|(key, record)| (public_id(Table::Quarantine, &key), record))
        .collect())
}

fn of_second<T>((id, record): (String, T)) -> (String, T) {
    (format!("{SECOND}{id}"), record)
}

/// The values of a held record. `E-HELD-UNKNOWN` (exit 2) for an id that no list shows.
pub async fn values_of<S: StateStore>(store: &S, vault: &Vault, id: &str) -> Result<HeldValues> {
    let found = match id.strip_prefix(SECOND) {
        None => find_values(store, vault, id).await?,
        Some(own) => find_values(&Second(store), vault, own).await?,
    };
    found.ok_or_else(|| unknown(id))
}

async fn find_values<S: StateStore>(
    store: &S,
    vault: &Vault,
    id: &str,
) -> Result<Option<HeldValues>> {
    let memory = Memory::new(store);
    for table in [Table::Review, Table::Settled] {
        for (key, review) in memory.all::<Review>(table).await? {
            if public_id(table, &key) == id {
                return open(vault, &key, &review.sealed).map(Some);
            }
        }
    }
    for (key, record) in memory.all::<Quarantined>(Table::Quarantine).await? {
        if public_id(Table::Quarantine, &key) == id {
            return open(vault, &key, &record.sealed).map(Some);
        }
    }
    Ok(None)
}

/// Writes down what a person decided; the next run carries it out.
///
/// `E-REVIEW-DECISION` (exit 2) where the decision does not fit the question.
pub async fn resolve<S: StateStore>(store: &S, id: &str, decision: Decision) -> Result<()> {
    let done = match id.strip_prefix(SECOND) {
        None => settle(store, id, decision).await?,
        Some(own) => settle(&Second(store), own, decision).await?,
    };
    if done { Ok(()) } else { Err(unknown(id)) }
}

/// Whether there is such a review.
async fn settle<S: StateStore>(store: &S, id: &str, decision: Decision) -> Result<bool> {
    for (key, mut review) in Memory::new(store).all::<Review>(Table::Review).await? {
        if public_id(Table::Review, &key) != id {
            continue;
        }
        let fits = matches!(
            (&decision, review.kind, review.side),
            (
                Decision::Take(_),
                ReviewKind::Conflict | ReviewKind::Delete,
                _
            ) | (Decision::Separate, ReviewKind::Match, _)
                | (Decision::Link(_), ReviewKind::Match, Some(Side::Local))
        );
        if !fits {
            let what = match (review.kind, review.side) {
                (ReviewKind::Conflict | ReviewKind::Delete, _) => "--take remote or --take local",
                (ReviewKind::Match, Some(Side::Local)) => "--link REMOTE_ID or --separate",
                (ReviewKind::Match, _) => {
                    "--separate, or --link on the review of the row it belongs to"
                }
            };
            return Err(Error::config(
                "E-REVIEW-DECISION",
                format!("Review {id} takes {what}"),
            ));
        }
        let mut batch = Batch::new();
        if let Some(remote) = &review.remote {
            batch.put(Table::Inbox, dirty_remote(remote), Vec::new());
        }
        if let Decision::Link(remote) = &decision {
            batch.put(
                Table::Inbox,
                dirty_remote(&RemoteId(remote.clone())),
                Vec::new(),
            );
        }
        if let Some(local) = &review.local {
            batch.put(Table::Inbox, dirty_local(local), Vec::new());
        }
        review.decision = Some(decision);
        put_json(&mut batch, Table::Review, key, &review);
        store.commit(batch).await?;
        return Ok(true);
    }
    Ok(false)
}

/// Has a quarantined record tried again by the next run.
pub async fn retry<S: StateStore>(store: &S, id: &str) -> Result<()> {
    change(store, id, QuarantineAction::Retry).await
}

/// Leaves a quarantined record alone until it changes.
pub async fn discard<S: StateStore>(store: &S, id: &str) -> Result<()> {
    change(store, id, QuarantineAction::Discard).await
}

async fn change<S: StateStore>(store: &S, id: &str, action: QuarantineAction) -> Result<()> {
    let done = match id.strip_prefix(SECOND) {
        None => change_quarantine(store, id, action).await?,
        Some(own) => change_quarantine(&Second(store), own, action).await?,
    };
    if done { Ok(()) } else { Err(unknown(id)) }
}

/// Whether there is such a record.
async fn change_quarantine<S: StateStore>(
    store: &S,
    id: &str,
    action: QuarantineAction,
) -> Result<bool> {
    for (key, mut record) in Memory::new(store)
        .all::<Quarantined>(Table::Quarantine)
        .await?
    {
        if public_id(Table::Quarantine, &key) != id {
            continue;
        }
        let mut batch = Batch::new();
        match action {
            QuarantineAction::Discard => {
                record.discarded = true;
                put_json(&mut batch, Table::Quarantine, key, &record);
            }
            QuarantineAction::Retry => {
                if record.deleted {
                    // What is to be tried is known from here alone.
                    record.discarded = false;
                    put_json(&mut batch, Table::Quarantine, key, &record);
                } else {
                    batch.remove(Table::Quarantine, key);
                }
                match (&record.remote, &record.local) {
                    (Some(remote), _) => batch.put(Table::Inbox, dirty_remote(remote), Vec::new()),
                    (None, Some(local)) => batch.put(Table::Inbox, dirty_local(local), Vec::new()),
                    // Without an id only a full read can meet it again.
                    (None, None) => {
                        if let Some(facts) = Memory::new(store).facts().await? {
                            put_facts(
                                &mut batch,
                                &Facts {
                                    full_due: true,
                                    ..facts
                                },
                            );
                        }
                    }
                }
            }
        }
        store.commit(batch).await?;
        return Ok(true);
    }
    Ok(false)
}

fn open(vault: &Vault, key: &[u8], sealed: &[u8]) -> Result<Values> {
    serde_json::from_slice(&vault.open(key, sealed)?).map_err(|_| super::memory::corrupt())
}

fn unknown(id: &str) -> Error {
    Error::config(
        "E-HELD-UNKNOWN",
        format!(
            "Nothing that waits has the id {id}; `review list` and `quarantine list` show the ids"
        ),
    )
}
