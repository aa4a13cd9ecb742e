//! What `review` and `quarantine` have in common: ids across bridges, stores opened for a look, values shown to a person.

use serde::Serialize;

use super::bridge::{Bridge, Purpose};
use super::output::{clean_cell, table};
use super::world::RealWorld;
use super::{project, status};
use crate::config::Settings;
use crate::model::{Error, Result};
use crate::state::AnyStore;
use crate::sync::{HeldValues, quarantine, reviews, values_of};

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

/// A bridge with its store, opened to see or to settle what waits.
pub struct Held<'s> {
    /// The bridge.
    pub bridge: Bridge<'s>,
    /// Its store.
    pub store: AnyStore,
}

/// Opens one bridge of the project.
pub async fn open<'s>(settings: &'s Settings, name: &str) -> Result<Held<'s>> {
    let world = RealWorld::new();
    let bridge = Bridge::prepare(settings, settings.bridge(name)?, &world, Purpose::Look)?;
    let (store, _) = bridge.open_store().await?;
    Ok(Held { bridge, store })
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
        held.store.close()?;
    }
    Ok(())
}

impl Held<'_> {
    /// Corrects what `status` shows, and leaves the store.
    pub async fn leave(self) -> Result<()> {
        let waiting = reviews(&self.store, false)
            .await?
            .iter()
            .filter(|(_, review)| review.decision.is_none())
            .count();
        let stuck = quarantine(&self.store)
            .await?
            .iter()
            .filter(|(_, record)| !record.discarded)
            .count();
        status::amend(
            &self.bridge.location,
            &self.bridge.settings.name,
            waiting as u64,
            stuck as u64,
        );
        self.store.close()
    }

    /// The values of a record, for a person's eyes.
    pub async fn values(&self, id: &str) -> Result<Vec<Value>> {
        let HeldValues { fields, raw } = values_of(&self.store, &self.bridge.vault, id).await?;
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
