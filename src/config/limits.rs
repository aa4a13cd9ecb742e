//! The limits of a bridge: every bound of the program, as a key of `limits:` with its default and its reason.
//!
//! One line here makes a limit's constant, field, key, check and schema entry, so that they can't drift apart. What a
//! limit means is enforced where it is used, never here.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::model::Threshold;

use super::reader::Value;
use super::schema::or_placeholder;
use super::units::{show_duration, show_size};

/// How a limit is written.
trait Form<T> {
    fn read(&self, value: &Value<'_>) -> Option<T>;
    fn schema(&self, default: &T) -> Map<String, Json>;
}

/// A whole number.
struct Whole(u32, u32);

/// A duration in milliseconds.
struct Time(u64, u64);

/// A size in bytes.
struct Size(u64, u64);

/// A count, or a percentage.
struct Share;

/// Calls per second, or `unlimited`.
struct Rate(f64, f64);

impl Form<u32> for Whole {
    fn read(&self, value: &Value<'_>) -> Option<u32> {
        let number = value.integer(self.0.into()..=self.1.into())?;
        u32::try_from(number).ok()
    }

    fn schema(&self, default: &u32) -> Map<String, Json> {
        fields(or_placeholder(
            json!({ "type": "integer", "minimum": self.0, "maximum": self.1, "default": default }),
        ))
    }
}

impl Form<Duration> for Time {
    fn read(&self, value: &Value<'_>) -> Option<Duration> {
        value.duration(Duration::from_millis(self.0)..=Duration::from_millis(self.1))
    }

    fn schema(&self, default: &Duration) -> Map<String, Json> {
        fields(or_placeholder(
            json!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "default": show_duration(*default) }),
        ))
    }
}

impl Form<u64> for Size {
    fn read(&self, value: &Value<'_>) -> Option<u64> {
        value.size(self.0..=self.1)
    }

    fn schema(&self, default: &u64) -> Map<String, Json> {
        fields(or_placeholder(
            json!({ "type": ["string", "integer"], "pattern": "^[0-9]+ *([KkMmGg][Ii]?)?[Bb]?$", "default": show_size(*default) }),
        ))
    }
}

impl Form<Threshold> for Share {
    fn read(&self, value: &Value<'_>) -> Option<Threshold> {
        let text = value.text()?;
        let Some(percent) = text.strip_suffix('%') else {
            let count = value.integer(0..=i64::from(u32::MAX))?;
            return u64::try_from(count).ok().map(Threshold::Count);
        };
        match percent.trim_end().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Some(Threshold::Percent(percent)),
            Ok(percent) if percent.is_finite() => {
                value.invalid(format!("{} is out of range (0% .. 100%)", value.shown()))
            }
            _ => value.invalid(format!(
                "{} is neither a count nor a percentage such as 10%",
                value.shown()
            )),
        }
    }

    fn schema(&self, default: &Threshold) -> Map<String, Json> {
        let default = match default {
            Threshold::Count(count) => json!(count),
            Threshold::Percent(percent) => json!(format!("{percent}%")),
        };
        fields(or_placeholder(
            json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)? *%$", "default": default }),
        ))
    }
}

impl Form<Option<f64>> for Rate {
    fn read(&self, value: &Value<'_>) -> Option<Option<f64>> {
        if value.is_scalar() && value.text()? == "unlimited" {
            return Some(None);
        }
        value.number(self.0..=self.1).map(Some)
    }

    fn schema(&self, default: &Option<f64>) -> Map<String, Json> {
        fields(json!({ "anyOf": [
                { "type": "number", "minimum": self.0, "maximum": self.1 },
                { "const": "unlimited" },
                { "$ref": "#/$defs/placeholder" },
            ], "default": default }))
    }
}

fn fields(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $name:ident, $default:expr, $form:expr;)+) => {
        $($(#[doc = $doc])+ pub const $name: $kind = $default;)+

        /// The limits of one bridge (`limits:`).
        #[derive(Clone, Debug, PartialEq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $key: $kind,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $name,)+ }
            }
        }

        /// The keys of `limits:`.
        pub const LIMIT_KEYS: &[&str] = &[$(stringify!($key)),+];

        impl Limits {
            /// Reads `limits:`; what is left out or wrong keeps its default.
            pub(super) fn read(value: &Value<'_>) -> Self {
                let mut limits = Self::default();
                if let Some(map) = value.map(LIMIT_KEYS) {
                    $(if let Some(read) = map.optional(stringify!($key)).and_then(|value| $form.read(&value)) {
                        limits.$key = read;
                    })+
                    limits.check(value);
                }
                limits
            }

            /// The schema of each key of `limits:`.
            pub(super) fn schema() -> Map<String, Json> {
                let mut properties = Map::new();
                $({
                    let mut entry = $form.schema(&$name);
                    entry.insert("description".to_owned(), concat!($($doc, "\n"),+).trim().replace("\n ", " ").into());
                    properties.insert(stringify!($key).to_owned(), Json::Object(entry));
                })+
                properties
            }
        }
    };
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

limits! {
    /// Deletions in one run, per side: a percentage of that side's live records, or a count; more stop the run (guard `deletes`).
    /// A tenth of the customers does not leave between two runs; a percentage never forbids fewer than 5.
    max_deletes: Threshold = DEFAULT_MAX_DELETES, Threshold::Percent(10.0), Share;
    /// Updates in one run, per side, likewise (guard `changes`); not applied to a first load. A mass edit is common, a
    /// change of nearly everything is usually a mistake; a percentage never forbids fewer than 50.
    max_changes: Threshold = DEFAULT_MAX_CHANGES, Threshold::Percent(80.0), Share;
    /// Calls to the remote per second, or `unlimited`. A shared service bears five without notice.
    requests_per_second: Option<f64> = DEFAULT_REQUESTS_PER_SECOND, Some(5.0), Rate(0.01, 1000.0);
    /// Calls that may be made at once after a pause, beyond the rate: two seconds' worth.
    burst: u32 = DEFAULT_BURST, 10, Whole(1, 1000);
    /// Pages, or look-ups, asked for at a time. Four hide the way there and back; more only wait for the rate.
    prefetch: u32 = DEFAULT_PREFETCH, 4, Whole(1, 32);
    /// Records in one call that writes. A refused batch is halved until the culprit stands alone.
    batch: u32 = DEFAULT_BATCH, 100, Whole(1, 1000);
    /// How far before the watermark a read begins: as long as the remote may take to show a change under its older time.
    overlap: Duration = DEFAULT_OVERLAP, Duration::from_millis(10 * MINUTE), Time(2 * SECOND, 7 * DAY);
    /// How long a call without an answer may still take effect; a create is not looked for, nor repeated, before.
    settle: Duration = DEFAULT_SETTLE, Duration::from_millis(60 * SECOND), Time(0, HOUR);
    /// Records by which neighbouring pages overlap, so that a set that moves while it is read is noticed. Five heal a
    /// shift of up to four records and cost a twentieth more pages.
    page_overlap: u32 = DEFAULT_PAGE_OVERLAP, 5, Whole(1, 50);
    /// How often a scan starts again because the set moved, before it is given up until the next run.
    scan_attempts: u32 = DEFAULT_SCAN_ATTEMPTS, 3, Whole(1, 20);
    /// How long a connection may take to open.
    connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT, Duration::from_millis(10 * SECOND), Time(100, 10 * MINUTE);
    /// How long an answer may pause.
    idle_timeout: Duration = DEFAULT_IDLE_TIMEOUT, Duration::from_millis(30 * SECOND), Time(100, HOUR);
    /// How long a whole call may take, however steadily it drips.
    total_timeout: Duration = DEFAULT_TOTAL_TIMEOUT, Duration::from_millis(120 * SECOND), Time(100, 6 * HOUR);
    /// The longest answer, after decompression. A page of 100 full contacts is below 1 MiB.
    max_response: u64 = DEFAULT_MAX_RESPONSE, 16 * MIB, Size(KIB, GIB);
    /// The longest answer of a queue, which is read while it arrives and never kept. Every customer of a large association
    /// with five reasons each is some 200 MiB.
    queue_bytes: u64 = DEFAULT_QUEUE_BYTES, GIB, Size(MIB, 64 * GIB);
    /// The longest text of one field.
    max_text: u64 = DEFAULT_MAX_TEXT, 64 * KIB, Size(256, 64 * MIB);
    /// The longest record as it stands in an answer.
    max_record: u64 = DEFAULT_MAX_RECORD, 256 * KIB, Size(KIB, 256 * MIB);
    /// The deepest nesting of an answer; ours need about ten levels.
    xml_depth: u32 = DEFAULT_XML_DEPTH, 32, Whole(8, 1000);
    /// Elements in one answer.
    xml_elements: u32 = DEFAULT_XML_ELEMENTS, 200_000, Whole(1_000, 50_000_000);
    /// Attributes of one element.
    xml_attributes: u32 = DEFAULT_XML_ATTRIBUTES, 32, Whole(4, 1000);
    /// How often a call that only reads is repeated after a failure that may pass. Writes are never repeated blindly.
    retries: u32 = DEFAULT_RETRIES, 6, Whole(0, 20);
    /// The longest pause between two tries; pauses begin at a second and double.
    retry_wait_max: Duration = DEFAULT_RETRY_WAIT_MAX, Duration::from_millis(60 * SECOND), Time(10, HOUR);
    /// The longest that a remote may ask us to wait (Retry-After); longer ends the run, to be tried later.
    retry_after_max: Duration = DEFAULT_RETRY_AFTER_MAX, Duration::from_millis(5 * MINUTE), Time(0, 6 * HOUR);
    /// Refused credentials in one run before it stops, so that the account is not locked.
    auth_attempts: u32 = DEFAULT_AUTH_ATTEMPTS, 3, Whole(1, 10);
    /// A difference between the remote's clock and ours that is reported.
    clock_warn: Duration = DEFAULT_CLOCK_WARN, Duration::from_millis(5 * MINUTE), Time(SECOND, DAY);
    /// A difference between the remote's clock and ours with which nothing is synchronised.
    clock_refuse: Duration = DEFAULT_CLOCK_REFUSE, Duration::from_millis(HOUR), Time(SECOND, 7 * DAY);
    /// Two edits of one field closer together than this are too near for `conflicts: newest`: a person is asked.
    conflict_tolerance: Duration = DEFAULT_CONFLICT_TOLERANCE, Duration::from_millis(2 * MINUTE), Time(0, DAY);
    /// How long the value that lost a conflict is kept.
    keep_settled: Duration = DEFAULT_KEEP_SETTLED, Duration::from_millis(30 * DAY), Time(HOUR, 3650 * DAY);
    /// Room that must be free where the state lies, before a run begins.
    free_disk: u64 = DEFAULT_FREE_DISK, 256_000_000, Size(0, 1024 * GIB);
    /// How long a state in PostgreSQL stays leased to a worker that has fallen silent; then another takes the bridge. It is renewed
    /// three times within it, so that a hiccup of the network or a failover of the server goes by.
    lease: Duration = DEFAULT_LEASE, Duration::from_millis(30 * SECOND), Time(SECOND, HOUR);
    /// Rows written in one transaction: enough to be fast, few enough to let others write in between.
    rows_per_transaction: u32 = DEFAULT_ROWS_PER_TRANSACTION, 1000, Whole(1, 100_000);
    /// How long to wait for a lock that another program holds on the database.
    lock_wait: Duration = DEFAULT_LOCK_WAIT, Duration::from_millis(30 * SECOND), Time(0, HOUR);
    /// The longest body that is received (data-sync); longer is answered with 413. A transaction of many lines has a few MB.
    max_body: u64 = DEFAULT_MAX_BODY, 10 * MIB, Size(KIB, GIB);
    /// Messages in one body that is received; ORCE sends one.
    max_messages: u32 = DEFAULT_MAX_MESSAGES, 500, Whole(1, 100_000);
    /// The deepest nesting of a body that is received, and of a payload; ours need about ten levels.
    json_depth: u32 = DEFAULT_JSON_DEPTH, 32, Whole(8, 100);
    /// How long the head of a request may take, and the handshake before it; slower is answered with 408.
    head_timeout: Duration = DEFAULT_HEAD_TIMEOUT, Duration::from_millis(5 * SECOND), Time(100, 10 * MINUTE);
    /// How long the body of a request may take; slower is answered with 408.
    body_timeout: Duration = DEFAULT_BODY_TIMEOUT, Duration::from_millis(15 * SECOND), Time(100, HOUR);
    /// Connections that are served at a time; further ones wait. ORCE posts one message after the other.
    connections: u32 = DEFAULT_CONNECTIONS, 64, Whole(1, 10_000);
    /// Connections of one address; further ones are closed. Behind a proxy all callers have its address.
    connections_per_peer: u32 = DEFAULT_CONNECTIONS_PER_PEER, 16, Whole(1, 10_000);
    /// Refused credentials of one address in a minute, after which its attempts to get a token are refused unseen until the
    /// minute is over. A program with the right secret never fails; ten leave room for a person who tries.
    auth_failures: u32 = DEFAULT_AUTH_FAILURES, 10, Whole(1, 10_000);
    /// How long a token that we give out is valid: longer than a Data Sync job runs.
    token_lifetime: Duration = DEFAULT_TOKEN_LIFETIME, Duration::from_millis(HOUR), Time(MINUTE, 7 * DAY);
    /// How long past its expiry a token is still accepted, for clocks that differ.
    token_grace: Duration = DEFAULT_TOKEN_GRACE, Duration::from_millis(MINUTE), Time(0, HOUR);
    /// Records in quarantine from which on every report says so loudly.
    quarantine_loud: u32 = DEFAULT_QUARANTINE_LOUD, 100, Whole(1, 10_000_000);
}

impl Limits {
    /// Limits that contradict each other; the more specific of a pair is named.
    fn check(&self, value: &Value<'_>) {
        let refuse = |key: &'static str, sentence: &str| {
            if let Some(value) = value.peek(key) {
                value.invalid::<()>(sentence);
            } else {
                value.invalid::<()>(format!("{key} {sentence}"));
            }
        };
        if self.clock_warn > self.clock_refuse {
            refuse("clock_warn", "is longer than clock_refuse");
        }
        if self.connections_per_peer > self.connections {
            refuse("connections_per_peer", "is more than connections");
        }
        if self.max_text > self.max_record {
            refuse("max_text", "is larger than max_record");
        }
        if self.max_record > self.max_response {
            refuse("max_record", "is larger than max_response");
        }
        if self.connect_timeout > self.total_timeout {
            refuse("connect_timeout", "is longer than total_timeout");
        }
        if self.idle_timeout > self.total_timeout {
            refuse("idle_timeout", "is longer than total_timeout");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Problems;
    use super::super::yaml::parse;
    use super::*;

    fn read(text: &str) -> (Limits, Vec<String>) {
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(text, &problems).unwrap();
        let limits = Limits::read(&Value::root(&node, &problems));
        (limits, problems.sentences())
    }

    #[test]
    fn every_default_passes_its_own_check() {
        let mut text = String::new();
        for (key, entry) in Limits::schema() {
            let default = &entry["default"];
            let default = default.as_str().map_or(default.to_string(), str::to_owned);
            text.push_str(&format!("{key}: {default}\n"));
        }
        let (limits, problems) = read(&text);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn a_limit_is_read_in_its_own_unit() {
        let (limits, problems) = read(
            "max_deletes: 12.5%\nmax_changes: 40\nrequests_per_second: unlimited\noverlap: 90s\nmax_text: 1MiB\nmax_record: 2MiB\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(limits.max_deletes, Threshold::Percent(12.5));
        assert_eq!(limits.max_changes, Threshold::Count(40));
        assert_eq!(limits.requests_per_second, None);
        assert_eq!(limits.overlap, Duration::from_secs(90));
        assert_eq!(limits.max_text, 1 << 20);
        assert_eq!(limits.prefetch, DEFAULT_PREFETCH);
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        let (_, problems) = read(
            "clock_warn: 2h\nmax_text: 1MiB\nmax_response: 2KiB\ntotal_timeout: 1s\nconnections: 8\n",
        );
        let words = [
            "max_record is larger than max_response",
            "connect_timeout is longer than total_timeout",
            "idle_timeout is longer than total_timeout",
            "clock_warn: is longer than clock_refuse",
            "connections_per_peer is more than connections",
            "max_text: is larger than max_record",
        ];
        assert_eq!(problems.len(), words.len(), "{problems:?}");
        for word in words {
            assert!(
                problems.iter().any(|p| p.contains(word)),
                "{word}: {problems:?}"
            );
        }
    }

    #[test]
    fn absurd_limits_are_out_of_range() {
        let (limits, problems) = read(
            "prefetch: -5\nrequests_per_second: 1e9\nmax_deletes: 101%\nmax_changes: x%\nmax_text: lots\noverlap: 1s\nbatch: [1]\nrequests_per_secnd: 1\n",
        );
        let words = [
            "E-CFG-VALUE prefetch: -5 is out of range (1 .. 32)",
            "requests_per_second: 1e9 is out of range (0.01 .. 1000)",
            "max_deletes: 101% is out of range (0% .. 100%)",
            "max_changes: x% is neither a count nor a percentage",
            "max_text: lots is not a size",
            "overlap: 1s is out of range (2s .. 7d)",
            "batch: a list found where a whole number is needed",
            "unknown key \"requests_per_secnd\"; did you mean \"requests_per_second\"?",
        ];
        assert_eq!(problems.len(), words.len(), "{problems:?}");
        for (problem, word) in problems.iter().zip(words) {
            assert!(problem.contains(word), "{problem}");
        }
        assert_eq!(limits, Limits::default());
    }
}
