//! `contactbridge review list|show|resolve`: questions that a person answers, and what policies settled.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::args::{ReviewAction, Side as Chosen};
use super::exit::Exit;
use super::held::{self, Held, Value, id_of, parts_of, values_text};
use super::output::{Output, table};
use super::project;
use crate::model::{Error, Result};
use crate::sync::{Decision, Review, ReviewKind, Side};

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    bridge: String,
    kind: ReviewKind,
    side: Option<Side>,
    local: Option<String>,
    remote: Option<String>,
    fields: Vec<String>,
    candidates: Vec<String>,
    code: String,
    reason: String,
    first_seen: String,
    decision: Option<String>,
    settled: Option<String>,
    winner: Option<Side>,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    values: Vec<Value>,
}

/// Lists, shows or settles.
pub async fn run(config: Option<&Path>, action: ReviewAction, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    match action {
        ReviewAction::List { bridges, settled } => {
            let mut entries = Vec::new();
            held::each(&settings, &bridges, async |held: &Held<'_>| {
                let found = held.reviews(settled).await?;
                let entry = |(id, review): &(String, Review)| entry(held.name(), id, review);
                entries.extend(found.iter().map(entry));
                Ok(())
            })
            .await?;
            output.report(&entries, |entries| list_text(entries, settled))?;
        }
        ReviewAction::Show { id } => {
            let (bridge, own) = parts_of(&id)?;
            let held = held::open(&settings, bridge).await?;
            let mut found = None;
            for settled in [false, true] {
                let all = held.reviews(settled).await?;
                found = found.or(all.into_iter().find(|(known, _)| known == own));
            }
            let (_, review) = found.ok_or_else(|| unknown(&id))?;
            let shown = Shown {
                entry: entry(bridge, own, &review),
                values: held.values(own).await?,
            };
            held.close()?;
            output.report(&shown, show_text)?;
        }
        ReviewAction::Resolve {
            id,
            take,
            link,
            separate: _,
        } => {
            let (bridge, own) = parts_of(&id)?;
            let held = held::open(&settings, bridge).await?;
            let decision = match (take, link) {
                (Some(Chosen::Remote), _) => Decision::Take(Side::Remote),
                (Some(Chosen::Local), _) => Decision::Take(Side::Local),
                (None, Some(remote)) => Decision::Link(remote),
                (None, None) => Decision::Separate,
            };
            held.resolve(own, decision).await?;
            held.leave().await?;
            output.report(&serde_json::json!({ "id": id, "resolved": true }), |_| {
                format!("{id} is settled; the next `contactbridge sync {bridge}` carries it out")
            })?;
        }
    }
    Ok(Exit::Clean)
}

fn unknown(id: &str) -> Error {
    Error::config(
        "E-HELD-UNKNOWN",
        format!(
            "There is no review {id} (any more); `contactbridge review list` shows those that wait"
        ),
    )
}

fn entry(bridge: &str, id: &str, review: &Review) -> Entry {
    Entry {
        id: id_of(bridge, id),
        bridge: bridge.to_owned(),
        kind: review.kind,
        side: review.side,
        local: review.local.as_ref().map(ToString::to_string),
        remote: review.remote.as_ref().map(ToString::to_string),
        fields: review.fields.clone(),
        candidates: review.candidates.clone(),
        code: review.code.clone(),
        reason: review.reason.clone(),
        first_seen: time(review.first_seen),
        decision: review.decision.as_ref().map(decision_text),
        settled: review.settled.map(|(at, _)| time(at)),
        winner: review.settled.and_then(|(_, winner)| winner),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn decision_text(decision: &Decision) -> String {
    match decision {
        Decision::Take(Side::Remote) => "take remote".to_owned(),
        Decision::Take(Side::Local) => "take local".to_owned(),
        Decision::Link(id) => format!("link {id}"),
        Decision::Separate => "separate".to_owned(),
    }
}

fn list_text(entries: &[Entry], settled: bool) -> String {
    if entries.is_empty() {
        let what = if settled {
            "Nothing was settled lately."
        } else {
            "Nothing waits for review."
        };
        return what.to_owned();
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    table(
        ["ID", "ROW", "CONTACT", "FIELDS", "SINCE", "WHY"],
        entries.iter().map(|entry| {
            [
                entry.id.clone(),
                or_none(&entry.local),
                or_none(&entry.remote),
                entry.fields.join(", "),
                entry.first_seen.clone(),
                match &entry.decision {
                    Some(decision) if !settled => format!("decided: {decision}"),
                    _ => entry.reason.clone(),
                },
            ]
        }),
    )
}

fn show_text(shown: &Shown) -> String {
    let entry = &shown.entry;
    let mut text = format!("{}: {} ({})\n", entry.id, entry.reason, entry.code);
    if let Some(row) = &entry.local {
        text.push_str(&format!("row {row}\n"));
    }
    if let Some(contact) = &entry.remote {
        text.push_str(&format!("contact {contact}\n"));
    }
    if !entry.candidates.is_empty() {
        text.push_str(&format!(
            "others that answer to the same: {}\n",
            entry.candidates.join(", ")
        ));
    }
    if let Some(decision) = &entry.decision {
        text.push_str(&format!(
            "decided: {decision}; the next sync carries it out\n"
        ));
    }
    if let Some(winner) = entry.winner {
        let winner = if winner == Side::Remote {
            "CRM"
        } else {
            "database"
        };
        text.push_str(&format!("the {winner}'s value was taken\n"));
    }
    text.push('\n');
    text.push_str(&values_text(&shown.values));
    text
}
