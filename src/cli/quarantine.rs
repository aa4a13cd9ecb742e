//! `contactbridge quarantine list|show|retry|discard`: records that could not be applied.

use std::path::Path;

use chrono::SecondsFormat;
use serde::Serialize;

use super::args::QuarantineAction;
use super::exit::Exit;
use super::held::{self, Held, Value, id_of, parts_of, values_text};
use super::output::{Output, table};
use super::project;
use crate::config::Settings;
use crate::model::{Error, Result};
use crate::sync::{Quarantined, Side};

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    bridge: String,
    side: Side,
    local: Option<String>,
    remote: Option<String>,
    fields: Vec<String>,
    code: String,
    reason: String,
    first_seen: String,
    tries: u32,
    discarded: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    values: Vec<Value>,
}

/// Lists, shows, or decides what becomes of them.
pub async fn run(config: Option<&Path>, action: QuarantineAction, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    match action {
        QuarantineAction::List { bridges } => {
            let mut entries = Vec::new();
            held::each(&settings, &bridges, async |held: &Held<'_>| {
                let found = held.quarantine().await?;
                let entry = |(id, record): &(String, Quarantined)| entry(held.name(), id, record);
                entries.extend(found.iter().map(entry));
                Ok(())
            })
            .await?;
            output.report(&entries, |entries| list_text(entries))?;
        }
        QuarantineAction::Show { id } => {
            let (bridge, own) = parts_of(&id)?;
            let held = held::open(&settings, bridge).await?;
            let mut found = held.quarantine().await?.into_iter();
            let found = found.find(|(known, _)| known == own);
            let (_, record) = found.ok_or_else(|| unknown(&id))?;
            let shown = Shown {
                entry: entry(bridge, own, &record),
                values: held.values(own).await?,
            };
            held.close()?;
            output.report(&shown, show_text)?;
        }
        QuarantineAction::Retry { ids } => {
            change(&settings, &ids, true).await?;
            say(output, &ids, "retried", "tried again by the next sync")?;
        }
        QuarantineAction::Discard { ids } => {
            change(&settings, &ids, false).await?;
            say(output, &ids, "discarded", "left alone until it changes")?;
        }
    }
    Ok(Exit::Clean)
}

/// Every id must exist before the first is changed.
async fn change(settings: &Settings, ids: &[String], again: bool) -> Result<()> {
    for checking in [true, false] {
        for id in ids {
            let (bridge, own) = parts_of(id)?;
            let held = held::open(settings, bridge).await?;
            if checking {
                let found = held.quarantine().await?;
                if !found.iter().any(|(known, _)| known == own) {
                    return Err(unknown(id));
                }
                held.close()?;
                continue;
            }
            held.change(own, again).await?;
            held.leave().await?;
        }
    }
    Ok(())
}

fn say(output: Output, ids: &[String], key: &str, what: &str) -> Result<()> {
    output.report(&serde_json::json!({ key: ids }), |_| {
        ids.iter().map(|id| format!("{id}: {what}\n")).collect()
    })
}

fn unknown(id: &str) -> Error {
    Error::config(
        "E-HELD-UNKNOWN",
        format!(
            "There is no {id} in quarantine (any more); `contactbridge quarantine list` shows what is"
        ),
    )
}

fn entry(bridge: &str, id: &str, record: &Quarantined) -> Entry {
    Entry {
        id: id_of(bridge, id),
        bridge: bridge.to_owned(),
        side: record.side,
        local: record.local.as_ref().map(ToString::to_string),
        remote: record.remote.as_ref().map(ToString::to_string),
        fields: record.fields.clone(),
        code: record.code.clone(),
        reason: record.reason.clone(),
        first_seen: record.first_seen.to_rfc3339_opts(SecondsFormat::Secs, true),
        tries: record.tries,
        discarded: record.discarded,
    }
}

fn list_text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "Nothing is in quarantine.".to_owned();
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    table(
        ["ID", "ROW", "CONTACT", "TRIES", "SINCE", "WHY"],
        entries.iter().map(|entry| {
            [
                entry.id.clone(),
                or_none(&entry.local),
                or_none(&entry.remote),
                entry.tries.to_string(),
                entry.first_seen.clone(),
                if entry.discarded {
                    format!("discarded; {} {}", entry.code, entry.reason)
                } else {
                    format!("{} {}", entry.code, entry.reason)
                },
            ]
        }),
    )
}

fn show_text(shown: &Shown) -> String {
    let entry = &shown.entry;
    let mut text = format!("{}: {} {}\n", entry.id, entry.code, entry.reason);
    if let Some(row) = &entry.local {
        text.push_str(&format!("row {row}\n"));
    }
    if let Some(contact) = &entry.remote {
        text.push_str(&format!("contact {contact}\n"));
    }
    text.push_str(&format!(
        "tried {} times since {}\n\n",
        entry.tries, entry.first_seen
    ));
    text.push_str(&values_text(&shown.values));
    text
}
