//! What `review` and `quarantine` have in common: ids across bridges, stores opened for a look, values shown to a person.

use serde::Serialize;

use super::bridge::{Bridge, Purpose};
use super::output::{clean_cell, table};
use super::world::RealWorld;
use super::{project, status};
use crate::config::Settings;
use crate::model::{Error, Result, Vault};
use crate::service::control::{self, Answer, Line, Question};
use crate::state::{AnyStore, StateLocation};
use crate::sync::{
    Decision, HeldValues, Quarantined, Review, discard, quarantine, resolve_review, retry, reviews,
    values_of,
};

/// The id under which a record is listed and asked for: its bridge, and its own id there.
pub fn id_of(bridge: &str, id: &str) -> String {
    format!("{bridge}:{id}")
}

/// Bridge and own id.
pub fn parts_of(id: &str) -> Result<(&str, &str)> {
    id.rsplit_once(':').ok_or_else(|| {
        Error::config(
            "E-USAGE",
            format!(
                "\"{}\" is no id: ids look like members:0123456789 and stand in the list",
                clean_cell(id)
            ),
        )
    })
}

/// A bridge whose store is asked what waits: opened here, or held by `contactbridge run`, which then answers the same.
pub struct Held<'s> {
    name: String,
    way: Way<'s>,
}

#[allow(clippy::large_enum_variant)] // There is one of it.
enum Way<'s> {
    Here(Bridge<'s>, AnyStore),
    Through(Line),
}

/// Opens one bridge of the project.
pub async fn open<'s>(settings: &'s Settings, name: &str) -> Result<Held<'s>> {
    let world = RealWorld::new();
    let bridge = Bridge::prepare(settings, settings.bridge(name)?, &world, Purpose::Look)?;
    let name = bridge.settings.name.clone();
    if let Some(line) = control::find(&bridge.location, &name).await? {
        let way = Way::Through(line);
        return Ok(Held { name, way });
    }
    let (store, _) = bridge.open_store().await?;
    let way = Way::Here(bridge, store);
    Ok(Held { name, way })
}

/// Opens these bridges, one after the other, and hands each to `look`; all of them where none is named.
pub async fn each<'s>(
    settings: &'s Settings,
    names: &[String],
    mut look: impl AsyncFnMut(&Held<'s>) -> Result<()>,
) -> Result<()> {
    for bridge in project::choose(settings, names)? {
        let held = open(settings, &bridge.name).await?;
        look(&held).await?;
        held.close()?;
    }
    Ok(())
}

/// What the store of a bridge answers, whoever holds it.
pub async fn answer(
    location: &StateLocation,
    bridge: &str,
    vault: &Vault,
    store: &AnyStore,
    question: Question,
) -> Result<Answer> {
    match question {
        Question::Reviews { settled } => Ok(Answer::Reviews(reviews(store, settled).await?)),
        Question::Quarantine => Ok(Answer::Quarantine(quarantine(store).await?)),
        Question::Values { id } => Ok(Answer::Values(values_of(store, vault, &id).await?)),
        Question::Resolve { id, decision } => {
            resolve_review(store, &id, decision).await?;
            Ok(Answer::Done)
        }
        Question::Retry { id } => {
            retry(store, &id).await?;
            Ok(Answer::Done)
        }
        Question::Discard { id } => {
            discard(store, &id).await?;
            Ok(Answer::Done)
        }
        Question::Recount => {
            let waiting = reviews(store, false).await?;
            let waiting = waiting
                .iter()
                .filter(|(_, review)| review.decision.is_none())
                .count();
            let stuck = quarantine(store).await?;
            let stuck = stuck.iter().filter(|(_, record)| !record.discarded).count();
            status::amend(location, bridge, waiting as u64, stuck as u64);
            Ok(Answer::Done)
        }
    }
}

impl Held<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn ask(&self, question: Question) -> Result<Answer> {
        match &self.way {
            Way::Here(bridge, store) => {
                answer(&bridge.location, &self.name, &bridge.vault, store, question).await
            }
            Way::Through(line) => line.ask(question).await,
        }
    }

    /// Reviews that wait, or were settled lately, with their own ids.
    pub async fn reviews(&self, settled: bool) -> Result<Vec<(String, Review)>> {
        match self.ask(Question::Reviews { settled }).await? {
            Answer::Reviews(found) => Ok(found),
            _ => Err(strange()),
        }
    }

    /// What is in quarantine, with its own ids.
    pub async fn quarantine(&self) -> Result<Vec<(String, Quarantined)>> {
        match self.ask(Question::Quarantine).await? {
            Answer::Quarantine(found) => Ok(found),
            _ => Err(strange()),
        }
    }

    /// Writes down what a person decided.
    pub async fn resolve(&self, id: &str, decision: Decision) -> Result<()> {
        let id = id.to_owned();
        self.ask(Question::Resolve { id, decision }).await.map(drop)
    }

    /// Has a record tried again, or leaves it alone.
    pub async fn change(&self, id: &str, again: bool) -> Result<()> {
        let id = id.to_owned();
        let question = if again {
            Question::Retry { id }
        } else {
            Question::Discard { id }
        };
        self.ask(question).await.map(drop)
    }

    /// Leaves the store.
    pub fn close(self) -> Result<()> {
        match self.way {
            Way::Here(_, store) => store.close(),
            Way::Through(_) => Ok(()),
        }
    }

    /// Corrects what `status` shows, and leaves the store.
    pub async fn leave(self) -> Result<()> {
        self.ask(Question::Recount).await?;
        self.close()
    }

    /// The values of a record, for a person's eyes.
    pub async fn values(&self, id: &str) -> Result<Vec<Value>> {
        let id = id.to_owned();
        let Answer::Values(HeldValues { fields, raw }) = self.ask(Question::Values { id }).await?
        else {
            return Err(strange());
        };
        let mut values: Vec<Value> = fields
            .into_iter()
            .map(|(column, local, remote)| Value {
                column: Some(column),
                local,
                remote,
            })
            .collect();
        values.extend(raw.map(|raw| Value {
            column: None,
            local: None,
            remote: Some(raw),
        }));
        Ok(values)
    }
}

fn strange() -> Error {
    Error::unexpected(
        "E-RUN-ANSWER",
        "`contactbridge run` answered something else than it was asked. Restart it",
    )
}

/// What both sides show of one column; the raw answer, without a column, where a record could not be decoded.
#[derive(Debug, Serialize)]
pub struct Value {
    column: Option<String>,
    local: Option<String>,
    remote: Option<String>,
}

/// Values for people.
pub fn values_text(values: &[Value]) -> String {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_else(|| "(empty)".to_owned());
    match values {
        [] => String::new(),
        [
            Value {
                column: None,
                remote: Some(raw),
                ..
            },
        ] => format!("As it came:\n{raw}"),
        values => table(
            ["COLUMN", "DATABASE", "CRM"],
            values.iter().map(|value| {
                [
                    value.column.clone().unwrap_or_else(|| "(raw)".to_owned()),
                    or_empty(&value.local),
                    or_empty(&value.remote),
                ]
            }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_their_bridge() {
        assert_eq!(
            parts_of(&id_of("members", "ab12")).unwrap(),
            ("members", "ab12")
        );
        assert_eq!(parts_of("ab12").unwrap_err().code(), "E-USAGE");
    }
}
