//! `contactbridge status`: how each bridge fares, from what its last run left beside its store.
//!
//! It opens no store, so that it always answers, also beside a run; of a state in PostgreSQL it asks the server, which must be there.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::output::{Output, table};
use super::project;
use super::world::RealWorld;
use crate::config::{BridgeSettings, RemoteSettings, Settings};
use crate::model::{ErrorKind, Result, Stamp, World};
use crate::service;
use crate::service::pages::Table;
use crate::state::{self, AnyStore, Overview, StateLocation};
use crate::sync::{BridgeReport, Outcome};

/// What a run leaves for `status`. A key that an older version did not write is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Left {
    outcome: Option<String>,
    last_run: Option<DateTime<Utc>>,
    last_good: Option<DateTime<Utc>>,
    watermark: Option<String>,
    links: Option<u64>,
    queue: u64,
    unsent: u64,
    review: u64,
    quarantined: u64,
    error: Option<String>,
}

/// What the state of a bridge holds after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Linked pairs.
    pub links: u64,
    /// Records that the queue named, or messages that were taken over, that are not worked off.
    pub queue: u64,
    /// Messages that wait to be sent.
    pub unsent: u64,
}

/// Leaves what a run that has just ended has to say: of the store that it still holds, where it came to hold one. `kept` is `None`
/// where the run did not come to count it.
pub fn leave(
    location: &StateLocation,
    store: Option<&AnyStore>,
    report: &BridgeReport,
    kept: Option<Kept>,
    now: DateTime<Utc>,
) {
    // Whoever has taken a shared bridge over leaves what `status` shows.
    if report.failure == Some(ErrorKind::Busy) && location.shared().is_some() {
        return;
    }
    let before = match state::read_status(location, &report.bridge) {
        Ok(json) => json
            .and_then(|json| serde_json::from_slice::<Left>(&json).ok())
            .unwrap_or_default(),
        Err(error) => {
            tracing::debug!(bridge = report.bridge, code = error.code(), "no status");
            return warn_unwritten(&report.bridge);
        }
    };
    let is_good = matches!(report.outcome, Outcome::Ok | Outcome::Partial);
    let left = Left {
        outcome: Some(name(report.outcome).to_owned()),
        last_run: Some(now),
        last_good: if is_good { Some(now) } else { before.last_good },
        watermark: report.watermark.clone().or(before.watermark),
        links: kept.map(|kept| kept.links).or(before.links),
        queue: kept.map_or(before.queue, |kept| kept.queue),
        unsent: kept.map_or(before.unsent, |kept| kept.unsent),
        // A run that ended early did not count what waits.
        review: if is_good {
            report.review
        } else {
            before.review
        },
        quarantined: if is_good {
            report.quarantined
        } else {
            before.quarantined
        },
        error: report.error.clone(),
    };
    write(&report.bridge, &left, |json| match store {
        Some(store) => store.leave_status(location, &report.bridge, json),
        None => state::leave_status(location, &report.bridge, json),
    });
}

/// Corrects what waits for a person, after a person has settled some of it.
pub fn amend(location: &StateLocation, bridge: &str, review: u64, quarantined: u64) {
    if let Some(left) = read(location, bridge) {
        let left = Left {
            review,
            quarantined,
            ..left
        };
        write(bridge, &left, |json| {
            state::amend_status(location, bridge, json)
        });
    }
}

fn write(bridge: &str, left: &Left, leave: impl FnOnce(&[u8]) -> Result<()>) {
    let outcome = serde_json::to_vec(left)
        .map_err(|_| ())
        .and_then(|json| leave(&json).map_err(|_| ()));
    if outcome.is_err() {
        warn_unwritten(bridge);
    }
}

fn warn_unwritten(bridge: &str) {
    tracing::warn!(
        bridge,
        "what `status` shows could not be written; the run itself is not concerned"
    );
}

fn read(location: &StateLocation, bridge: &str) -> Option<Left> {
    let json = state::read_status(location, bridge).ok()??;
    serde_json::from_slice(&json).ok()
}

/// What the last run ended with, if it failed.
pub fn last_error(location: &StateLocation, bridge: &str) -> Option<String> {
    read(location, bridge)?.error
}

/// The word of the report for an outcome.
pub fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Partial => "partial",
        Outcome::Stopped => "stopped",
        Outcome::Failed => "failed",
    }
}

#[derive(Serialize)]
struct Lease {
    pid: Option<u32>,
    since: Option<String>,
    /// The machine, and when the lease runs out unless it is renewed: for a state that machines share.
    host: Option<String>,
    until: Option<String>,
}

#[derive(Serialize)]
struct Status {
    bridge: String,
    kind: &'static str,
    enabled: bool,
    outcome: Option<String>,
    last_run: Option<String>,
    last_good: Option<String>,
    age_seconds: Option<i64>,
    watermark: Option<String>,
    links: Option<u64>,
    review: u64,
    quarantined: u64,
    /// Messages and ids that wait, for kinds that have a queue.
    queue: Option<u64>,
    /// Messages that wait to be sent, for bridges that send some.
    unsent: Option<u64>,
    lease: Option<Lease>,
    error: Option<String>,
}

const HEADINGS: [&str; 9] = [
    "BRIDGE",
    "LAST GOOD RUN",
    "LAST RUN",
    "WATERMARK",
    "LINKS",
    "QUEUE",
    "REVIEW",
    "QUARANTINE",
    "HELD BY",
];

/// Prints the status of every bridge.
pub fn run(config: Option<&Path>, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    let all = statuses(&settings, RealWorld::new().now())?;
    output.report(&all, |all| table(HEADINGS, all.iter().map(row)))?;
    Ok(Exit::Clean)
}

fn statuses(settings: &Settings, now: DateTime<Utc>) -> Result<Vec<Status>> {
    let location = project::state_location(settings);
    location.check()?;
    let bridges = settings.bridges.iter();
    let names: Vec<&str> = bridges.clone().map(|bridge| bridge.name.as_str()).collect();
    let seen = state::overview(&location, &names)?;
    Ok(bridges
        .zip(seen)
        .map(|(bridge, seen)| status(bridge, seen, now))
        .collect())
}

/// The same for a page: a table, and the errors of last runs.
pub fn page(settings: &Settings, now: DateTime<Utc>) -> Table {
    let (all, trouble) = match statuses(settings, now) {
        Ok(all) => (all, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let errors = all
        .iter()
        .filter_map(|status| Some(format!("{}: {}", status.bridge, status.error.as_ref()?)));
    Table {
        headings: HEADINGS.to_vec(),
        rows: all.iter().map(|status| row(status).to_vec()).collect(),
        notes: errors.chain(trouble).collect(),
    }
}

/// What the last runs of a bridge left behind, for its keeper.
pub fn left_behind(
    location: &StateLocation,
    bridge: &BridgeSettings,
    now: DateTime<Utc>,
    instant: impl FnOnce(Stamp) -> Option<DateTime<Utc>>,
) -> service::Left {
    let last = state::last_pass(location, &bridge.name).unwrap_or_default();
    let left: Left = last
        .status
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    // Machines that share a state have clocks of their own; the state's server has one.
    let by_server = last
        .since
        .map(|since| now - chrono::Duration::from_std(since).unwrap_or_default());
    let watermark = left.watermark.and_then(|text| text.parse().ok());
    service::Left {
        last_run: by_server.or(left.last_run),
        last_good: left.last_good,
        watermark: watermark.and_then(|watermark| instant(Stamp(watermark))),
        review: left.review,
        quarantined: left.quarantined,
        queue: has_queue(bridge).then_some(left.queue),
        unsent: has_outbox(bridge).then_some(left.unsent),
    }
}

fn has_queue(bridge: &BridgeSettings) -> bool {
    !matches!(bridge.remote, RemoteSettings::ContactList(_))
}

fn has_outbox(bridge: &BridgeSettings) -> bool {
    matches!(&bridge.remote, RemoteSettings::DataSync(remote) if remote.send.is_some())
}

fn status(bridge: &BridgeSettings, seen: Overview, now: DateTime<Utc>) -> Status {
    let left: Left = seen
        .status
        .ok()
        .flatten()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    let holder = seen.holder.unwrap_or_else(|error| {
        super::logging::warn_of(&error);
        None
    });
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Status {
        bridge: bridge.name.clone(),
        kind: bridge.remote.kind(),
        enabled: bridge.enabled,
        outcome: left.outcome,
        last_run: left.last_run.map(text),
        age_seconds: left.last_good.map(|at| (now - at).num_seconds()),
        last_good: left.last_good.map(text),
        watermark: left.watermark,
        links: left.links,
        review: left.review,
        quarantined: left.quarantined,
        queue: has_queue(bridge).then_some(left.queue),
        unsent: has_outbox(bridge).then_some(left.unsent),
        lease: holder.map(|holder| Lease {
            pid: holder.pid,
            since: holder.since.map(text),
            host: holder.host,
            until: holder.until.map(text),
        }),
        error: left.error,
    }
}

fn row(status: &Status) -> [String; 9] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        if status.enabled {
            status.bridge.clone()
        } else {
            format!("{} (not enabled)", status.bridge)
        },
        status.age_seconds.map_or_else(
            || "never".to_owned(),
            |age| format!("{} ago", duration(age)),
        ),
        or_none(status.outcome.clone()),
        or_none(status.watermark.clone()),
        or_none(status.links.map(|links| links.to_string())),
        or_none(match (status.queue, status.unsent) {
            (Some(queue), Some(unsent)) => Some(format!("{queue} in, {unsent} out")),
            (queue, _) => queue.map(|queue| queue.to_string()),
        }),
        status.review.to_string(),
        status.quarantined.to_string(),
        status.lease.as_ref().map_or_else(
            || "-".to_owned(),
            |lease| {
                let process = lease
                    .pid
                    .map_or_else(|| "a run".to_owned(), |pid| format!("process {pid}"));
                match &lease.host {
                    Some(host) => format!("{process} on {host}"),
                    None => process,
                }
            },
        ),
    ]
}

/// Seconds as a person says them.
fn duration(seconds: i64) -> String {
    match seconds {
        ..0 => "0 s".to_owned(),
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Counts;

    fn report(outcome: Outcome) -> BridgeReport {
        BridgeReport {
            bridge: "members".into(),
            outcome,
            guard: None,
            pull: Counts::default(),
            push: Counts::default(),
            conflicts: 0,
            review: 2,
            quarantined: 1,
            requests: 3,
            watermark: Some("2026-11-22T10:00:00".into()),
            seconds: 0.1,
            error: None,
            failure: None,
        }
    }

    #[test]
    fn a_failed_run_does_not_hide_the_last_good_one() {
        let directory = tempfile::tempdir().unwrap();
        let location = StateLocation::Sled(directory.path().join("state"));
        let at = |minute: i64| DateTime::from_timestamp(1_790_000_000 + minute * 60, 0).unwrap();
        leave(
            &location,
            None,
            &report(Outcome::Partial),
            Some(Kept {
                links: 250,
                queue: 3,
                unsent: 0,
            }),
            at(0),
        );
        let mut failed = report(Outcome::Failed);
        (failed.watermark, failed.review, failed.quarantined) = (None, 0, 0);
        leave(&location, None, &failed, None, at(15));
        let left = read(&location, "members").unwrap();
        assert_eq!((left.last_good, left.last_run), (Some(at(0)), Some(at(15))));
        assert_eq!(
            (left.links, left.review, left.quarantined),
            (Some(250), 2, 1)
        );
        assert_eq!(left.watermark.as_deref(), Some("2026-11-22T10:00:00"));
        amend(&location, "members", 1, 0);
        let left = read(&location, "members").unwrap();
        assert_eq!(
            (left.review, left.quarantined, left.links),
            (1, 0, Some(250))
        );
    }

    #[test]
    fn ages_read_as_people_say_them() {
        let said: Vec<_> = [5, 119, 120, 7_200, 200_000].map(duration).into();
        assert_eq!(said, ["5 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
