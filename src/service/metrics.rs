//! What Prometheus reads at `/metrics`: counters that the keepers raise, and gauges made of the board when they are asked for.
//!
//! Names of bridges, codes and numbers stand here, and nothing of a record.

use std::fmt;
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::board::Standing;
use crate::model::Error;
use crate::sync::{BridgeReport, Guard, Outcome};

/// A pass without news takes a fraction of a second, a first load hours.
const SECONDS: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 36_000.0,
];

type Labels = Vec<(&'static str, String)>;
type Numbers = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;
type Counts = Family<Labels, Counter>;

fn buckets() -> Histogram {
    Histogram::new(SECONDS)
}

/// The metrics of all bridges.
pub struct Metrics {
    registry: Registry,
    records: Counts,
    runs: Counts,
    duration: Family<Labels, Histogram, fn() -> Histogram>,
    conflicts: Counts,
    calls: Counts,
    stops: Counts,
    missed: Counts,
    last_success: Seconds,
    lag: Seconds,
    queue: Numbers,
    review: Numbers,
    quarantine: Numbers,
    ready: Numbers,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            records: Counts::default(),
            runs: Counts::default(),
            duration: Family::new_with_constructor(buckets),
            conflicts: Counts::default(),
            calls: Counts::default(),
            stops: Counts::default(),
            missed: Counts::default(),
            last_success: Seconds::default(),
            lag: Seconds::default(),
            queue: Numbers::default(),
            review: Numbers::default(),
            quarantine: Numbers::default(),
            ready: Numbers::default(),
        };
        let version = Numbers::default();
        version
            .get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())])
            .set(1);
        let registry = &mut metrics.registry;
        registry.register("bridge_build_info", "The program's version", version);
        registry.register(
            "bridge_records",
            "Records, by direction and by what was done on the other side",
            metrics.records.clone(),
        );
        registry.register(
            "bridge_runs",
            "Passes, by outcome: ok, partial (records wait), stopped (by a guard), failed",
            metrics.runs.clone(),
        );
        registry.register(
            "bridge_run_duration_seconds",
            "How long passes took",
            metrics.duration.clone(),
        );
        registry.register(
            "bridge_conflicts",
            "Fields that both sides changed",
            metrics.conflicts.clone(),
        );
        registry.register(
            "bridge_remote_calls",
            "Calls to the CRM",
            metrics.calls.clone(),
        );
        registry.register(
            "bridge_safety_stops",
            "Passes that a guard stopped, by guard",
            metrics.stops.clone(),
        );
        registry.register(
            "bridge_turns_missed",
            "Turns that passed unkept, because a pass took long or the machine slept",
            metrics.missed.clone(),
        );
        registry.register(
            "bridge_last_success_timestamp_seconds",
            "When the last good pass ended",
            metrics.last_success.clone(),
        );
        registry.register(
            "bridge_watermark_lag_seconds",
            "How far the watermark lies behind the clock",
            metrics.lag.clone(),
        );
        registry.register(
            "bridge_queue_depth",
            "Records that are queued and not worked off, and messages that are not sent",
            metrics.queue.clone(),
        );
        registry.register(
            "bridge_review_depth",
            "Records that wait in review",
            metrics.review.clone(),
        );
        registry.register(
            "bridge_quarantine_depth",
            "Records that wait in quarantine",
            metrics.quarantine.clone(),
        );
        registry.register(
            "bridge_ready",
            "Whether the bridge's store is open and its schedule is kept",
            metrics.ready.clone(),
        );
        metrics
    }
}

fn of(bridge: &str) -> Labels {
    vec![("bridge", bridge.to_owned())]
}

fn with(bridge: &str, name: &'static str, value: &str) -> Labels {
    vec![("bridge", bridge.to_owned()), (name, value.to_owned())]
}

/// The word of an outcome.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Partial => "partial",
        Outcome::Stopped => "stopped",
        Outcome::Failed => "failed",
    }
}

impl Metrics {
    /// Makes the counters of a bridge, so that they are there before they rise.
    pub fn expect(&self, bridge: &str) {
        for direction in ["pull", "push"] {
            for op in ["created", "updated", "deleted", "unchanged", "held"] {
                drop(self.records.get_or_create(&record(bridge, direction, op)));
            }
        }
        for word in ["ok", "partial", "stopped", "failed"] {
            drop(self.runs.get_or_create(&with(bridge, "outcome", word)));
        }
        for guard in Guard::ALL {
            drop(
                self.stops
                    .get_or_create(&with(bridge, "rail", guard.name())),
            );
        }
        for counts in [&self.conflicts, &self.calls, &self.missed] {
            drop(counts.get_or_create(&of(bridge)));
        }
        drop(self.duration.get_or_create(&of(bridge)));
    }

    /// Counts a pass.
    pub fn passed(&self, report: &BridgeReport, error: Option<&Error>) {
        let bridge = report.bridge.as_str();
        for (direction, counts) in [("pull", report.pull), ("push", report.push)] {
            for (op, count) in [
                ("created", counts.created),
                ("updated", counts.updated),
                ("deleted", counts.deleted),
                ("unchanged", counts.unchanged),
                ("held", counts.held),
            ] {
                self.records
                    .get_or_create(&record(bridge, direction, op))
                    .inc_by(count);
            }
        }
        let word = outcome(report.outcome);
        self.runs
            .get_or_create(&with(bridge, "outcome", word))
            .inc();
        self.conflicts
            .get_or_create(&of(bridge))
            .inc_by(report.conflicts);
        self.calls
            .get_or_create(&of(bridge))
            .inc_by(report.requests);
        if let Some(guard) = report.guard {
            self.stops
                .get_or_create(&with(bridge, "rail", guard.name()))
                .inc();
        }
        // What never came to run has no duration.
        if error.is_none() || report.seconds > 0.0 {
            self.duration
                .get_or_create(&of(bridge))
                .observe(report.seconds);
        }
    }

    /// Counts turns that passed unkept.
    pub fn missed(&self, bridge: &str, turns: u64) {
        self.missed.get_or_create(&of(bridge)).inc_by(turns);
    }

    /// All of them, in Prometheus' text format.
    pub fn render(&self, standings: &[Standing], now: DateTime<Utc>) -> Result<String, fmt::Error> {
        let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1000.0;
        for standing in standings {
            let (bridge, left) = (standing.bridge.as_str(), &standing.left);
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.ready
                .get_or_create(&of(bridge))
                .set(i64::from(standing.phase.is_ready()));
            self.review
                .get_or_create(&of(bridge))
                .set(number(left.review));
            self.quarantine
                .get_or_create(&of(bridge))
                .set(number(left.quarantined));
            for (queue, depth) in [("inbox", left.queue), ("outbox", left.unsent)] {
                if let Some(depth) = depth {
                    self.queue
                        .get_or_create(&with(bridge, "queue", queue))
                        .set(number(depth));
                }
            }
            if let Some(at) = left.last_good {
                self.last_success
                    .get_or_create(&of(bridge))
                    .set(seconds(at));
            }
            if let Some(watermark) = left.watermark {
                let lag = seconds(now) - seconds(watermark);
                self.lag.get_or_create(&of(bridge)).set(lag);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn record(bridge: &str, direction: &str, op: &str) -> Labels {
    vec![
        ("bridge", bridge.to_owned()),
        ("direction", direction.to_owned()),
        ("op", op.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Left, Phase};
    use crate::sync::Counts as Counted;

    #[test]
    fn passes_are_counted_and_the_board_is_shown() {
        let metrics = Metrics::default();
        metrics.expect("members");
        let pull = Counted {
            read: 7,
            created: 5,
            unchanged: 2,
            ..Counted::default()
        };
        let mut report = BridgeReport {
            bridge: "members".into(),
            outcome: Outcome::Ok,
            guard: None,
            pull,
            push: Counted::default(),
            conflicts: 3,
            review: 2,
            quarantined: 1,
            requests: 4,
            watermark: None,
            seconds: 0.4,
            error: None,
            failure: None,
        };
        metrics.passed(&report, None);
        report.outcome = Outcome::Stopped;
        report.guard = Some(Guard::Deletes);
        metrics.passed(&report, None);
        metrics.missed("members", 2);
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let mut standing = Standing::new("members", None);
        standing.phase = Phase::Waiting;
        standing.left = Left {
            last_good: Some(at("2026-11-22T10:00:00Z")),
            watermark: Some(at("2026-11-22T09:59:30Z")),
            review: 2,
            queue: Some(9),
            unsent: Some(4),
            ..Left::default()
        };
        let text = metrics
            .render(&[standing], at("2026-11-22T10:01:00Z"))
            .unwrap();
        for line in [
            "# TYPE bridge_records_total counter",
            r#"bridge_records_total{bridge="members",direction="pull",op="created"} 10"#,
            r#"bridge_runs_total{bridge="members",outcome="ok"} 1"#,
            r#"bridge_runs_total{bridge="members",outcome="failed"} 0"#,
            r#"bridge_conflicts_total{bridge="members"} 6"#,
            r#"bridge_remote_calls_total{bridge="members"} 8"#,
            r#"bridge_safety_stops_total{bridge="members",rail="deletes"} 1"#,
            r#"bridge_turns_missed_total{bridge="members"} 2"#,
            r#"bridge_run_duration_seconds_count{bridge="members"} 2"#,
            r#"bridge_watermark_lag_seconds{bridge="members"} 90.0"#,
            r#"bridge_queue_depth{bridge="members",queue="inbox"} 9"#,
            r#"bridge_queue_depth{bridge="members",queue="outbox"} 4"#,
            r#"bridge_review_depth{bridge="members"} 2"#,
            r#"bridge_quarantine_depth{bridge="members"} 0"#,
            r#"bridge_ready{bridge="members"} 1"#,
            r#"bridge_last_success_timestamp_seconds{bridge="members"} 1795341600.0"#,
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "no {line} in\n{text}"
            );
        }
    }
}
