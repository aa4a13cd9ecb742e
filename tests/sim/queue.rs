//! Lives of a bridge to a service that queues what changed: in the end every member that the service has equals its rows,
//! those that it lost are gone, and the queue is empty, whatever failed or died on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use contactbridge::mapping::Mapping;
use contactbridge::model::{DeletePolicy, Direction, LocalKey, Threshold, Vault};
use contactbridge::state::Table;
use contactbridge::sync::{
    Engine, Finished, Guard, Outcome, PurgeWhen, QueueRules, Rules, RunOptions,
};

use crate::chance::Chance;
use crate::database::SimLocal;
use crate::desk::{Rows, SimDesk, anchor, vocabulary};
use crate::one_way::{may_delete, open_reviews, somebody_decides};
use crate::oracle::{Side, shown};
use crate::settings::Settings;
use crate::store::SimStore;
use crate::universe::{Death, Shared, SimWorld, Universe, drive};

const MAPPING: &str = r#"table:
  name: customers
  key: id
  create: true
  changes: scanDELETED
fields:
  - { column: customer_no, remote: custId, match: true }
  - { column: first_name, remote: name.firstName }
  - { column: last_name, remote: name.lastName }
  - { column: full_name, template: "{{ name.firstName }} {{ name.lastName }}" }
  - { column: city, remote: "addresses[addressType=HOME].city" }
  - { column: email, remote: ["emails[emailSerno=0].address", "emails[emailSerno=1].address"] }
children:
  - table: customer_emails
    from: emails
    parent: customer_id
    key: [emailSerno]
    fields:
      - { column: serno, remote: emailSerno, type: integer }
      - { column: address, remote: address }
"#;

struct QueueLife {
    shared: Shared,
    mapping: Mapping,
    vault: Vault,
    rules: Rules,
    queue: QueueRules,
    /// Members whose deletion a person decided on, until they are back: whose side was taken.
    decided: BTreeMap<String, Side>,
    longest_run: u64,
}

impl QueueLife {
    fn new(seed: u64, faulty: bool) -> Self {
        let mut chance = Chance::new(seed ^ 0xdef0);
        let settings = Settings {
            soft_delete: chance.coin(),
            journal: false,
            rows_per_transaction: if chance.coin() { 2 } else { 1000 },
            ..Settings::plain()
        };
        let deleted = ["", "\n  deleted: deleted_at"][usize::from(settings.soft_delete)];
        let text = MAPPING.replace("DELETED", deleted);
        let mapping =
            Mapping::load("simulated.yaml", &text, &vocabulary()).expect("a good mapping");
        let mut rules = Rules {
            direction: Direction::Pull,
            ..settings.rules()
        };
        if chance.permille(300) {
            rules.max_changes = Threshold::Count(chance.below(4));
            rules.max_deletes = Threshold::Count(chance.below(2));
        }
        let mut universe = Universe::new(seed, settings, &mapping);
        let desk = &mut universe.desk;
        desk.open = true;
        desk.reasons = chance.coin();
        desk.rows = [Rows::Each, Rows::Renewed, Rows::Kept][chance.below(3) as usize];
        desk.fails = if faulty { chance.below(60) } else { 0 };
        // The contract names the policy for such a queue: nothing else is safe with it.
        let purge = if desk.rows == Rows::Kept || chance.coin() {
            PurgeWhen::Journalled
        } else {
            PurgeWhen::Processed
        };
        let queue = QueueRules {
            purge,
            reasons: desk.reasons,
            chunk: 2,
            part: [1, 3, 2000][chance.below(3) as usize],
        };
        rules.deletes = match chance.below(4) {
            0 | 1 => DeletePolicy::Apply,
            2 => DeletePolicy::Review,
            _ => DeletePolicy::Ignore,
        };
        universe.say(|| format!("SEED {seed} {queue:?} {rules:?}"));
        Self {
            shared: Rc::new(RefCell::new(universe)),
            mapping,
            vault: Vault::new(&[9; 32]),
            rules,
            queue,
            decided: BTreeMap::new(),
            longest_run: 0,
        }
    }

    fn run(&mut self, options: &RunOptions) -> Option<Finished> {
        self.shared.borrow_mut().say(|| "RUN".into());
        let remote = SimDesk::new(Rc::clone(&self.shared));
        let mut local = SimLocal {
            shared: Rc::clone(&self.shared),
            vault: self.vault.clone(),
        };
        let (store, world) = (
            SimStore(Rc::clone(&self.shared)),
            SimWorld(Rc::clone(&self.shared)),
        );
        let mut engine = Engine {
            bridge: "members",
            remote: &remote,
            local: &mut local,
            store: &store,
            world: &world,
            mapping: &self.mapping,
            vault: &self.vault,
            rules: &self.rules,
            site: "https://ams.example/prod",
            database: "sqlite:customers.db",
            watch: &(),
        };
        let (before, lived) = {
            let mut universe = self.shared.borrow_mut();
            universe.desk.died.clear();
            (universe.database.writes, universe.desk.shown())
        };
        crate::said::listen();
        let finished = drive(&self.shared, engine.run_queue(self.queue, options));
        let mut universe = self.shared.borrow_mut();
        let said = crate::said::check(finished.as_ref(), 1000);
        universe.desk.broken.extend(said);
        self.longest_run = self.longest_run.max(universe.points);
        universe.say_what_is_kept();
        let wrote = universe.database.writes - before;
        if let Some(finished) = &finished {
            let report = &finished.report;
            universe.say(|| format!("   {}", crate::life::brief(report)));
            if report.outcome == Outcome::Stopped && wrote > 0 {
                let line = format!("I9 a guard stopped a run that had written {wrote} rows");
                universe.desk.broken.push(line);
            }
        }
        check_doubles(&mut universe);
        drop(universe);
        self.check_policy();
        let ended_well = finished.as_ref().is_some_and(|finished| {
            finished.error.is_none() && finished.report.outcome != Outcome::Stopped
        });
        if ended_well {
            // Who is back is another case: the next deletion needs another answer.
            let died = &self.shared.borrow().desk.died;
            self.decided
                .retain(|id, _| died.contains(id) || !lived.contains(id));
        }
        finished
    }

    /// The bridge deletes rows as it is told to: all, those that a person decided on, or none.
    fn check_policy(&mut self) {
        let mut universe = self.shared.borrow_mut();
        let customer_no = universe.database.column("customer_no");
        for row in std::mem::take(&mut universe.rows_deleted) {
            let id = shown(&row.cells[customer_no]);
            if !may_delete(self.rules.deletes, &mut self.decided, &id, Side::Local) {
                let line = format!(
                    "member {id} was deleted under deletes: {:?}",
                    self.rules.deletes
                );
                universe.desk.broken.push(line);
            }
        }
    }

    /// A person looks at what waits, and decides on some of it.
    fn somebody_decides(&mut self) {
        for (review, side) in somebody_decides(&self.shared) {
            if let Some(id) = review.remote {
                self.decided.insert(id.0, side);
            }
        }
    }

    /// Who is gone and may have a row all the same; what waits for somebody must be what somebody has to decide.
    fn check_reviews(&self) -> BTreeSet<String> {
        let reviews = open_reviews(&self.shared);
        let mut universe = self.shared.borrow_mut();
        let mut may_stay: BTreeSet<String> = self
            .decided
            .iter()
            .filter(|(_, side)| **side == Side::Local)
            .map(|(id, _)| id.clone())
            .collect();
        for review in reviews {
            let id = review.remote.map(|id| id.0).unwrap_or_default();
            let decision = review.decision;
            if universe.desk.members.contains_key(&id) || decision.is_some() {
                let line = format!("member {id} waits for a decision that was made: {decision:?}");
                universe.desk.broken.push(line);
            }
            may_stay.insert(id);
        }
        may_stay
    }

    /// A run, and once more with what stopped it accepted.
    fn run_through(&mut self) -> Option<Finished> {
        let finished = self.run(&RunOptions::default())?;
        if finished.report.guard.is_none() {
            return Some(finished);
        }
        self.run(&RunOptions {
            accept: BTreeSet::from([Guard::Deletes, Guard::Changes]),
            ..RunOptions::default()
        })
    }
}

fn check_doubles(universe: &mut Universe) {
    let column = universe.database.column("last_name");
    let mut seen = BTreeSet::new();
    let living: Vec<String> = universe
        .database
        .living()
        .map(|(_, row)| shown(&row.cells[column]))
        .collect();
    for name in living {
        if !seen.insert(name.clone()) {
            universe.desk.broken.push(format!("I2 {name} has two rows"));
        }
    }
    let mut stored = universe.disk.visible.values();
    let canary = stored.any(|value| crate::oracle::holds_canary(value, 1000));
    if canary {
        universe
            .desk
            .broken
            .push("I10 a value stands readable".into());
    }
}

fn may_hold(universe: &Universe) -> bool {
    universe.desk.rows == Rows::Kept && universe.desk.reasons
}

/// Every member equals its row and child rows, and nobody else has a row but those who may.
fn check_equal(universe: &mut Universe, may_stay: impl Fn(&str) -> bool) {
    let mut broken = Vec::new();
    let database = &universe.database;
    let cell = |key: &LocalKey, column: &str| database.text(key, column).unwrap_or_default();
    let mut rows: BTreeSet<LocalKey> = database.living().map(|(key, _)| key.clone()).collect();
    for (id, member) in &universe.desk.members {
        let Some(key) = rows
            .iter()
            .find(|key| cell(key, "customer_no") == *id)
            .cloned()
        else {
            broken.push(format!("I5 member {id} has no row"));
            continue;
        };
        rows.remove(&key);
        let email = member.emails.get(&0).or(member.emails.get(&1)).cloned();
        let wanted = [
            ("first_name", member.first_name.clone()),
            ("full_name", format!("{} {}", member.first_name, anchor(id))),
            ("city", member.city.clone()),
            ("email", email.unwrap_or_default()),
        ];
        for (column, wanted) in wanted {
            let found = cell(&key, column);
            if found != wanted {
                broken.push(format!("I5 {id}.{column} is {found}, not {wanted}"));
            }
        }
        let children: BTreeSet<(String, String)> = database
            .children
            .iter()
            .filter(|(parent, _)| *parent == key)
            .map(|(_, cells)| (shown(&cells[0]), shown(&cells[1])))
            .collect();
        let emails: BTreeSet<(String, String)> = member
            .emails
            .iter()
            .map(|(serno, address)| (serno.to_string(), address.clone()))
            .collect();
        if children != emails {
            broken.push(format!(
                "I5 {id} has child rows {children:?}, not {emails:?}"
            ));
        }
    }
    rows.retain(|key| {
        let held = [b"r", cell(key, "customer_no").as_bytes()].concat();
        let held = universe
            .disk
            .durable
            .contains_key(&(Table::Quarantine, held));
        !(held && may_hold(universe) || may_stay(&cell(key, "customer_no")))
    });
    for key in rows {
        broken.push(format!("I5 row {key} stands for nobody"));
    }
    if !universe.desk.queue_is_empty() {
        broken.push("the queue is not empty".into());
    }
    universe.desk.broken.extend(broken);
}

#[derive(Clone, Copy, Debug)]
struct Play {
    busy: bool,
    faulty: bool,
    death: Option<Death>,
}

/// Plays a seed to its judgement: what is broken, the trace, the points of the longest run.
fn play(
    seed: u64,
    how: Play,
    prepare: impl FnOnce(&mut Universe),
) -> (Vec<String>, Vec<String>, u64) {
    let mut life = QueueLife::new(seed, how.faulty);
    let rounds = {
        let mut universe = life.shared.borrow_mut();
        prepare(&mut universe);
        for _ in 0..universe.chance.between(0, 8) {
            universe.a_member_joins();
        }
        universe.chance.between(2, 6)
    };
    for _ in 0..rounds {
        if life.rules.deletes == DeletePolicy::Review {
            life.somebody_decides();
        }
        {
            let mut universe = life.shared.borrow_mut();
            for _ in 0..universe.chance.below(6) {
                universe.somebody_acts_at_the_desk();
            }
            let busy = [0, 10, 40, 150][universe.chance.below(4) as usize];
            universe.busy = if how.busy { busy } else { 0 };
            universe.faulty = how.faulty;
            universe.death = match how.death {
                Some(death) => death,
                None if how.faulty && universe.chance.coin() => Death::Random(200),
                None => Death::Never,
            };
        }
        life.run_through();
        let mut universe = life.shared.borrow_mut();
        universe.busy = 0;
    }
    {
        let mut universe = life.shared.borrow_mut();
        (universe.busy, universe.faulty, universe.death) = (0, false, Death::Never);
        universe.say(|| "ALL IS QUIET".into());
        universe.desk.hidden.clear();
        let mended = std::mem::take(&mut universe.desk.poisoned);
        for id in mended {
            if !universe.desk.members.contains_key(&id) {
                continue;
            }
            universe.desk.enqueue(&id, "UPDATE", "CEN_CUST_MAST");
        }
    }
    for turn in 1..=3 {
        let finished = life.run_through().expect("nobody kills it");
        if let Some(error) = finished.error {
            let line = format!("run {turn} of a quiet world failed: {error}");
            life.shared.borrow_mut().desk.broken.push(line);
        }
    }
    let before = life.shared.borrow().database.writes;
    let finished = life.run(&RunOptions::default()).expect("nobody kills it");
    let waiting = life.check_reviews();
    let policy = life.rules.deletes;
    let mut universe = life.shared.borrow_mut();
    let ended_well = match finished.report.outcome {
        Outcome::Ok => true,
        // A deletion that lands between a reading and the purge is purged unread with the row that it joined: such a member
        // is held, and stays so.
        Outcome::Partial => may_hold(&universe) || !waiting.is_empty(),
        _ => false,
    };
    if universe.database.writes != before || !ended_well {
        let line = format!("I6 a quiet run: {}", crate::life::brief(&finished.report));
        universe.desk.broken.push(line);
    }
    check_equal(&mut universe, |id| match policy {
        DeletePolicy::Apply => false,
        DeletePolicy::Review => waiting.contains(id),
        DeletePolicy::Ignore => true,
    });
    let broken = std::mem::take(&mut universe.desk.broken);
    let trace = std::mem::take(&mut universe.trace);
    (broken, trace, life.longest_run)
}

fn all_hold(how: Play, usual: u64) {
    let failures = crate::broken_seeds(usual, |seed| {
        let (broken, trace, _) = play(seed, how, |_| ());
        (broken, trace)
    });
    let busy = if how.busy {
        "that fill meanwhile"
    } else {
        "that rest"
    };
    let faulty = if how.faulty {
        ", of a service that fails, and runs that die"
    } else {
        ""
    };
    let name = format!("queue-{}{}", how.busy, how.faulty);
    crate::evidence::keep_lives(&name, format!("{busy}{faulty}"), usual, &failures);
    crate::assert_none(&failures, &how);
}

#[test]
fn queues_that_rest_while_they_are_worked_off() {
    let how = Play {
        busy: false,
        faulty: false,
        death: None,
    };
    all_hold(how, 300);
}

#[test]
fn queues_that_fill_while_they_are_worked_off() {
    let how = Play {
        busy: true,
        faulty: false,
        death: None,
    };
    all_hold(how, 500);
}

#[test]
fn queues_of_a_service_that_fails_read_by_runs_that_die() {
    let how = Play {
        busy: true,
        faulty: true,
        death: None,
    };
    all_hold(how, 1000);
}

#[test]
fn h51_every_point_of_a_run_over_a_queue_may_be_the_last() {
    let mut failures = Vec::new();
    if let (Some(seed), Some(point)) = (crate::number("SIM_SEED"), crate::number("SIM_POINT")) {
        let how = Play {
            busy: true,
            faulty: false,
            death: Some(Death::At(point)),
        };
        let (broken, trace, _) = play(seed, how, |_| ());
        println!("{}", trace.join("\n"));
        assert_eq!(broken, Vec::<String>::new());
        return;
    }
    for seed in 0..6 {
        let how = |death| Play {
            busy: true,
            faulty: false,
            death: Some(death),
        };
        let (_, _, longest) = play(seed, how(Death::Never), |_| ());
        for point in 1..=longest {
            let (broken, ..) = play(seed, how(Death::At(point)), |_| ());
            if !broken.is_empty() {
                failures.push(format!("seed {seed} point {point}: {}", broken.join("; ")));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn h50_without_its_journal_changes_are_lost() {
    let how = Play {
        busy: true,
        faulty: true,
        death: None,
    };
    let lost = (0..200).any(|seed| {
        let (broken, ..) = play(seed, how, |universe| {
            universe.disk.forgets = vec![Table::Inbox]
        });
        broken.iter().any(|line| line.starts_with("I5"))
    });
    assert!(lost, "no seed noticed that the journal was not kept");
}
