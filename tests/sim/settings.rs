//! What a world is like: everything that the service leaves open, and how the bridge is set up, drawn from the seed.

use std::time::Duration;

use chrono_tz::Tz;
use contactbridge::model::{ConflictPolicy, DeletePolicy, Direction, Threshold};
use contactbridge::sync::Rules;

use crate::chance::Chance;
use crate::rare::Rare;

/// In which order the service lists contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Stamp,
    Id,
    /// By stamp, and those of one second in another order at each call.
    ShuffledTies,
}

/// What the service does to one text on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Faithful,
    Trim,
    Upper,
    Cut(usize),
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub zone: Tz,
    // The service.
    pub order: Order,
    /// `>=` the asked time, else `>`.
    pub at_or_after: bool,
    /// An unknown External ID with a known e-mail adopts that contact, else inserts a second one.
    pub adopts: bool,
    /// A missing text clears the field, else keeps it.
    pub missing_clears: bool,
    /// Addresses that are sent replace all, else join by type.
    pub replaces_lists: bool,
    /// Deleted contacts are listed with a flag, else they are gone without a sign.
    pub deleted_flag: bool,
    pub page: usize,
    pub title_codec: Codec,
    pub city_codec: Codec,
    /// The service's clock minus ours, in seconds.
    pub clock_ahead: i64,
    // Faults, in so many of a thousand cases.
    pub lost_request: u64,
    pub lost_answer: u64,
    pub late: u64,
    pub drops_element: u64,
    pub refuses_batch: u64,
    pub read_fails: u64,
    /// A push takes up to so many seconds.
    pub slow: u64,
    /// A request that is carried out late does to whom it found when it came: two of them for one new contact make two.
    pub racy: bool,
    /// A list still shows a contact that has just vanished, in so many of a thousand calls.
    pub ghosts: u64,
    /// One contact gets a stamp far in the future.
    pub future: bool,
    /// What happens rarely.
    pub rare: Rare,
    // Mechanisms that are taken away at a port (ablations, no habits of any service).
    /// Read before push: look-ups answer with what the last list showed.
    pub stale: bool,
    /// Read back: what was pushed is shown as if it had landed.
    pub believes: bool,
    /// The seam check: each page begins with the end of the page before, whatever happened between.
    pub seamless: bool,
    /// Another machine runs the bridge while a run of this one stands still, in so many of a thousand rounds.
    pub overtaken: u64,
    /// The fence: the database tells nobody that another run has overtaken it.
    pub unfenced: bool,
    /// The watermark's cap: the service's time is far ahead.
    pub uncapped: bool,
    // The bridge.
    pub journal: bool,
    pub soft_delete: bool,
    pub generate: bool,
    pub with_times: bool,
    pub conflicts: ConflictPolicy,
    pub direction: Direction,
    pub delete_policy: DeletePolicy,
    pub full_read: Option<Duration>,
    pub batch: usize,
    pub rows_per_transaction: usize,
    pub overlap: Duration,
    // The users.
    pub people: u64,
    /// How far apart in time people act between runs, at most.
    pub pace: Duration,
    pub emails_change: bool,
    /// New people, and addresses that change, take an address that somebody has already, in so many of a thousand cases.
    pub families: u64,
    pub deletes: bool,
    /// A row that was marked as deleted is taken back, in so many of a thousand acts.
    pub undeletes: u64,
    pub edits: bool,
}

impl Settings {
    /// The friendliest world there is.
    pub fn plain() -> Self {
        Self {
            zone: chrono_tz::Australia::Sydney,
            order: Order::Stamp,
            at_or_after: true,
            adopts: true,
            missing_clears: false,
            replaces_lists: true,
            deleted_flag: true,
            page: 100,
            title_codec: Codec::Faithful,
            city_codec: Codec::Faithful,
            clock_ahead: 0,
            lost_request: 0,
            lost_answer: 0,
            late: 0,
            drops_element: 0,
            refuses_batch: 0,
            read_fails: 0,
            slow: 0,
            racy: false,
            ghosts: 0,
            future: false,
            rare: Rare::default(),
            stale: false,
            believes: false,
            seamless: false,
            overtaken: 0,
            unfenced: false,
            uncapped: false,
            journal: true,
            soft_delete: false,
            generate: false,
            with_times: false,
            conflicts: ConflictPolicy::Newest,
            direction: Direction::Both,
            delete_policy: DeletePolicy::Apply,
            full_read: Some(Duration::from_secs(24 * 3600)),
            batch: 100,
            rows_per_transaction: 1000,
            overlap: Duration::from_secs(600),
            people: 5,
            pace: Duration::from_secs(600),
            emails_change: false,
            families: 0,
            deletes: true,
            undeletes: 0,
            edits: true,
        }
    }

    /// A world without faults, but with any of the service's habits and any set-up of the bridge.
    pub fn fair(chance: &mut Chance) -> Self {
        let codec = |chance: &mut Chance| match chance.below(8) {
            0 => Codec::Trim,
            1 => Codec::Upper,
            2 => Codec::Cut(4),
            _ => Codec::Faithful,
        };
        let deleted_flag = chance.coin();
        let order = match chance.below(3) {
            0 => Order::Stamp,
            1 => Order::Id,
            _ => Order::ShuffledTies,
        };
        Self {
            order,
            at_or_after: chance.coin(),
            adopts: chance.coin(),
            missing_clears: chance.coin(),
            replaces_lists: chance.coin(),
            deleted_flag,
            // A list whose ties are shuffled at each call can't be read in many pages: it stops, as it should (H-03).
            page: if order != Order::ShuffledTies && chance.coin() {
                12
            } else {
                100
            },
            title_codec: codec(chance),
            city_codec: codec(chance),
            clock_ahead: chance.between(0, 120) as i64 - 60,
            journal: chance.coin(),
            soft_delete: chance.coin(),
            generate: chance.coin(),
            with_times: chance.permille(250),
            conflicts: match chance.below(4) {
                0 => ConflictPolicy::Remote,
                1 => ConflictPolicy::Local,
                2 => ConflictPolicy::Review,
                _ => ConflictPolicy::Newest,
            },
            full_read: if deleted_flag && chance.coin() {
                None
            } else {
                Some(Duration::from_secs(24 * 3600))
            },
            batch: if chance.coin() { 3 } else { 100 },
            rows_per_transaction: if chance.coin() { 2 } else { 1000 },
            people: chance.between(1, 10),
            pace: Duration::from_secs([20, 300, 3600, 40_000][chance.below(4) as usize]),
            emails_change: chance.permille(300),
            ..Self::plain()
        }
    }

    /// Any world, with faults.
    pub fn foul(chance: &mut Chance) -> Self {
        let mut rate = |high: u64| if chance.coin() { chance.below(high) } else { 0 };
        let (lost_request, lost_answer, late) = (rate(150), rate(150), rate(100));
        let (drops_element, refuses_batch, read_fails) = (rate(150), rate(100), rate(30));
        let fair = Self::fair(chance);
        let slow = if chance.permille(300) {
            chance.between(10, 100)
        } else {
            0
        };
        Self {
            lost_request,
            lost_answer,
            late,
            drops_element,
            refuses_batch,
            read_fails,
            slow,
            racy: chance.permille(300),
            ..fair
        }
    }

    /// People share addresses and take deletions back; in half of these worlds everything else goes wrong too.
    pub fn kin(chance: &mut Chance) -> Self {
        let settings = if chance.coin() {
            Self::fair(chance)
        } else {
            Self::foul(chance)
        };
        Self {
            families: chance.between(100, 600),
            emails_change: chance.coin(),
            people: chance.between(3, 10),
            undeletes: chance.below(100),
            delete_policy: match chance.below(4) {
                0 => DeletePolicy::Review,
                1 => DeletePolicy::Ignore,
                _ => DeletePolicy::Apply,
            },
            ..settings
        }
    }

    /// What happens rarely happens often; in half of these worlds everything else goes wrong too.
    pub fn rare(chance: &mut Chance) -> Self {
        let settings = if chance.coin() {
            Self::fair(chance)
        } else {
            Self::foul(chance)
        };
        let (rare, zone) = Rare::draw(chance);
        let full_read = match settings.full_read {
            None if rare.needs_full_reads() => Some(Duration::from_secs(24 * 3600)),
            full_read => full_read,
        };
        Self {
            rare,
            zone: zone.unwrap_or(settings.zone),
            full_read,
            people: chance.between(3, 12),
            ..settings
        }
    }

    pub fn rules(&self) -> Rules {
        Rules {
            direction: self.direction,
            conflicts: self.conflicts,
            deletes: self.delete_policy,
            full_read: self.full_read,
            max_deletes: Threshold::Count(10_000),
            max_changes: Threshold::Count(10_000),
            overlap: self.overlap,
            settle: Duration::from_secs(60),
            prefetch: 4,
            batch: self.batch,
            rows_per_transaction: self.rows_per_transaction,
            conflict_tolerance: Duration::from_secs(120),
            clock_warn: Duration::from_secs(300),
            clock_refuse: Duration::from_secs(3600),
            keep_settled: Duration::from_secs(30 * 24 * 3600),
        }
    }

    /// The mapping of every world, as a user would write it.
    pub fn mapping(&self) -> String {
        let deleted = if self.soft_delete {
            "\n  deleted: deleted_at"
        } else {
            ""
        };
        let changes = if self.journal { "journal" } else { "scan" };
        let generate = if self.generate {
            ", generate: uuid"
        } else {
            ""
        };
        let times = if self.with_times {
            "\n  - { column: crm_updated_at, remote: lastUpdateDate, type: datetime, direction: pull }\n  - { column: crm_id, remote: entityId, type: integer, direction: pull }"
        } else {
            ""
        };
        format!(
            r#"table:
  name: customers
  key: id
  create: true
  changes: {changes}{deleted}
fields:
  - {{ column: customer_no, remote: externalId, match: true{generate} }}
  - {{ column: email, remote: emailAddress, match: true, normalize: email }}
  - {{ column: first_name, remote: firstName }}
  - {{ column: last_name, remote: lastName }}
  - {{ column: full_name, template: "{{{{ firstName }}}} {{{{ lastName }}}}", direction: pull }}
  - {{ column: title, remote: contactTitle }}
  - {{ column: born_on, remote: dateOfBirth, type: date }}
  - {{ column: opted_in, remote: MasterOptIn, type: bool }}
  - {{ column: city, remote: "addresses[addressTypeID=1].city" }}{times}
children:
  - table: customer_addresses
    from: addresses
    parent: customer_id
    key: [addressTypeID]
    fields:
      - {{ column: kind, remote: addressTypeID, type: integer }}
      - {{ column: city, remote: city }}
"#
        )
    }
}
