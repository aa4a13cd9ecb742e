//! Lives of a data-sync bridge: a retail system that posts whole records, a database with its users, an application that takes
//! messages; with answers that are lost, repetitions and kills. In the end all of them show the same, and nothing moves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use contactbridge::mapping::Mapping;
use contactbridge::model::{
    Cell, ConflictPolicy, DeletePolicy, Direction, Error, LocalKey, Result, Threshold, Vault,
};
use contactbridge::remote::data_sync::send::{Reached, SendFailure};
use contactbridge::remote::data_sync::{Message, Object, Payload};
use contactbridge::state::Table;
use contactbridge::sync::{
    Engine, Finished, Inbox, Keeper, MessageRules, Post, Rules, RunOptions, send,
};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::database::{DbRow, SimLocal};
use crate::one_way::{may_delete, open_reviews, somebody_decides};
use crate::oracle::{Side, shown};
use crate::settings::Settings;
use crate::store::SimStore;
use crate::universe::{Death, Shared, SimWorld, Universe, drive, turn};

const MAPPING: &str = r#"table:
  name: customers
  key: id
  create: true
  changes: CHANGESDELETED
fields:
  - { column: customer_no, remote: customerID, match: true }
  - { column: last_name, remote: customerClass }
  - { column: source, remote: source }
children:
  - table: customer_keys
    from: alternateKey
    parent: customer_id
    key: [alternateID]
    fields:
      - { column: alternate, remote: alternateID }
      - { column: kind, remote: typeCode }
"#;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Person {
    class: String,
    source: String,
    keys: BTreeMap<String, String>,
}

/// The other end: it posts what changes in it, takes what is posted to it, and tells of that as well, as the vendor's does.
#[derive(Default)]
struct Office {
    people: BTreeMap<String, Person>,
    unsent: VecDeque<Message>,
    sent: Vec<Message>,
    number: u64,
    /// It changes by itself, and posts.
    lives: bool,
    /// The numbers of what was posted to it.
    taken: Vec<u64>,
    /// Whom somebody there deleted since a run began.
    died: BTreeSet<String>,
    /// Whom the bridge had deleted there since a run began.
    deleted: Vec<String>,
    broken: Vec<String>,
}

impl Office {
    fn tell(&mut self, action: &str, payload: String) {
        self.number += 1;
        self.unsent.push_back(Message {
            kind: "CUSTOMER".into(),
            action: action.into(),
            unique_id: self.number.to_string(),
            payload: Payload::Text(payload),
        });
    }

    fn tell_of(&mut self, id: &str, action: &str, leave_out: bool) {
        let Some(person) = self.people.get(id) else {
            return self.tell("CUSTOMERDEL", id.to_owned());
        };
        let keys: Vec<Value> = person
            .keys
            .iter()
            .map(|(key, kind)| json!({"alternateID": key, "typeCode": kind}))
            .collect();
        let mut payload =
            json!({"customerID": id, "customerClass": person.class, "alternateKey": keys});
        if !leave_out {
            payload["source"] = json!(person.source);
        }
        self.tell(action, payload.to_string());
    }

    /// Somebody works there.
    fn act(&mut self, chance: &mut Chance) {
        let ids: Vec<String> = self.people.keys().cloned().collect();
        let value = format!("Zqx{}", chance.below(1000));
        let Some(id) = chance.pick(&ids).cloned().filter(|_| !chance.permille(200)) else {
            let id = format!("c{}", self.number + 1);
            let person = Person {
                class: value,
                ..Person::default()
            };
            self.people.insert(id.clone(), person);
            return self.tell_of(&id, "CUSTOMERCRE", false);
        };
        let person = self.people.get_mut(&id).expect("a known person");
        match chance.below(10) {
            0..4 => {
                person.class = value;
                // What it leaves out did not change with this.
                self.tell_of(&id, "CUSTOMERMOD", chance.coin());
            }
            4..6 => {
                person.source = value;
                self.tell_of(&id, "CUSTOMERMOD", false);
            }
            6..8 => {
                let key = format!("k{}", chance.below(3));
                if person.keys.remove(&key).is_none() {
                    person.keys.insert(key, value);
                }
                self.tell_of(&id, "CUSTOMERMOD", false);
            }
            8 => {
                self.people.remove(&id);
                self.died.insert(id.clone());
                self.unsent.retain(|message| !is_about(message, &id));
                self.tell_of(&id, "CUSTOMERDEL", false);
            }
            // A merge whose survivor keeps an id.
            _ => {
                self.died.insert(id.clone());
                self.tell("CUSTOMERDEL", id.clone());
                self.tell_of(&id, "CUSTOMERCRE", false);
            }
        }
    }

    /// Takes what is posted to it.
    fn take(&mut self, message: &Message) {
        let number: u64 = message.unique_id.parse().expect("a number");
        let last = self.taken.last().copied().unwrap_or(0);
        if number < last {
            self.broken.push(format!("{number} came after {last}"));
        }
        self.taken.push(number);
        let Payload::Text(payload) = &message.payload else {
            return self.broken.push("a payload that is no text".into());
        };
        let id = if message.action == "CUSTOMERDEL" {
            if self.people.remove(payload).is_some() {
                self.deleted.push(payload.clone());
            }
            payload.clone()
        } else {
            let value: Value = serde_json::from_str(payload).expect("JSON");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let keys = value["alternateKey"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let person = Person {
                class: text(&value["customerClass"]),
                source: text(&value["source"]),
                keys: keys
                    .iter()
                    .map(|key| (text(&key["alternateID"]), text(&key["typeCode"])))
                    .collect(),
            };
            let id = text(&value["customerID"]);
            self.people.insert(id.clone(), person);
            id
        };
        if self.lives {
            self.tell_of(&id, "CUSTOMERMOD", false);
        }
    }
}

fn told(message: &Message) -> String {
    let text = match &message.payload {
        Payload::Text(text) => text,
        _ => "",
    };
    format!("{} {} {text}", message.unique_id, message.action)
}

fn is_about(message: &Message, id: &str) -> bool {
    match &message.payload {
        Payload::Text(text) => text == id || text.contains(&format!("\"customerID\":\"{id}\"")),
        _ => false,
    }
}

/// Lets the pass go on: it waits for a commit whenever this is polled.
async fn step() {
    let mut stepped = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut stepped, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

type Desk = Rc<RefCell<Office>>;

/// What our messages are posted to.
struct Counter {
    shared: Shared,
    office: Desk,
}

impl Post for Counter {
    async fn post(&self, message: &Message) -> Result<(), SendFailure> {
        turn(&self.shared, "post").await;
        let fate = {
            let mut universe = self.shared.borrow_mut();
            if universe.faulty {
                universe.chance.below(20)
            } else {
                19
            }
        };
        let failure = |reached| SendFailure {
            reached,
            error: Error::unreachable("E-SIM", "the post failed"),
        };
        if fate == 0 {
            return Err(failure(Reached::Answered(500)));
        }
        let line = || format!("      posted by us: {}", told(message));
        self.shared.borrow_mut().say(line);
        self.office.borrow_mut().take(message);
        turn(&self.shared, "posted").await;
        if fate == 1 {
            return Err(failure(Reached::Unknown));
        }
        Ok(())
    }

    fn requests(&self) -> u64 {
        0
    }
}

struct PostLife {
    shared: Shared,
    office: Desk,
    mapping: Mapping,
    vault: Vault,
    rules: Rules,
    messages: MessageRules,
    /// Deletions that a person decided on, until they are carried out or the person is back: whose side was taken.
    decided: BTreeMap<String, Side>,
    /// Everybody whose row users deleted, or who was deleted in the office.
    ever_died: BTreeSet<String>,
    longest_run: u64,
}

impl PostLife {
    fn new(seed: u64, direction: Direction) -> Self {
        let mut chance = Chance::new(seed ^ 0xabc0);
        let settings = Settings {
            soft_delete: chance.coin(),
            journal: direction.pushes() && chance.coin(),
            rows_per_transaction: if chance.coin() { 2 } else { 1000 },
            ..Settings::plain()
        };
        let deleted = ["", "\n  deleted: deleted_at"][usize::from(settings.soft_delete)];
        let changes = ["scan", "journal"][usize::from(settings.journal)];
        let text = MAPPING
            .replace("CHANGES", changes)
            .replace("DELETED", deleted);
        let mapping = Mapping::load("post.yaml", &text, &Object::Customer.vocabulary())
            .expect("a good mapping");
        let rules = Rules {
            direction,
            conflicts: if chance.coin() {
                ConflictPolicy::Remote
            } else {
                ConflictPolicy::Local
            },
            max_changes: Threshold::Count(1000),
            max_deletes: Threshold::Count(1000),
            deletes: match chance.below(4) {
                0 | 1 => DeletePolicy::Apply,
                2 => DeletePolicy::Review,
                _ => DeletePolicy::Ignore,
            },
            ..settings.rules()
        };
        let mut universe = Universe::new(seed, settings, &mapping);
        universe.desk.open = true;
        universe.say(|| {
            format!(
                "SEED {seed} {direction:?} {:?} {:?}",
                rules.conflicts, rules.deletes
            )
        });
        let office = Office {
            lives: direction.pulls(),
            ..Office::default()
        };
        Self {
            shared: Rc::new(RefCell::new(universe)),
            office: Rc::new(RefCell::new(office)),
            mapping,
            vault: Vault::new(&[9; 32]),
            messages: MessageRules {
                object: Object::Customer,
                receives: direction.pulls(),
                sends: direction.pushes(),
                transactions: false,
                by_unique_id: false,
                json_depth: 16,
            },
            rules,
            decided: BTreeMap::new(),
            ever_died: BTreeSet::new(),
            longest_run: 0,
        }
    }

    /// A pass and the job that sends, while the retail system goes on posting.
    fn run(&mut self, busy: bool) -> Option<(Finished, Result<u64>)> {
        self.shared.borrow_mut().say(|| "RUN".into());
        self.ever_died.append(&mut self.office.borrow_mut().died);
        let lived = self.those_who_live();
        let told = self.office.borrow().unsent.is_empty();
        let store = SimStore(Rc::clone(&self.shared));
        let world = SimWorld(Rc::clone(&self.shared));
        let mut local = SimLocal {
            shared: Rc::clone(&self.shared),
            vault: self.vault.clone(),
        };
        let counter = Counter {
            shared: Rc::clone(&self.shared),
            office: Rc::clone(&self.office),
        };
        let pass = async {
            let inbox = Inbox::new(&store, &self.vault, Object::Customer, 16);
            let finished = Engine {
                bridge: "shop",
                remote: &inbox,
                local: &mut local,
                store: &store,
                world: &world,
                mapping: &self.mapping,
                vault: &self.vault,
                rules: &self.rules,
                site: "data-sync",
                database: "sqlite:customers.db",
                watch: &(),
            }
            .run_messages(&self.messages, &RunOptions::default())
            .await;
            let sent = match (&finished.error, self.messages.sends) {
                (None, true) => send(&store, &self.vault, &world, &mut local, &counter, 3).await,
                _ => Ok(0),
            };
            (finished, sent)
        };
        let post = self.post(&store, &world, busy);
        crate::said::listen();
        let done = drive(&self.shared, async {
            let (mut pass, mut post) = (pin!(pass), pin!(post));
            tokio::select! {
                biased;
                done = &mut pass => done,
                () = &mut post => pass.await,
            }
        });
        let said = crate::said::check(done.as_ref().map(|(finished, _)| finished), 1000);
        self.office.borrow_mut().broken.extend(said);
        let mut universe = self.shared.borrow_mut();
        self.longest_run = self.longest_run.max(universe.points);
        if let Some((finished, sent)) = &done {
            let line = crate::life::brief(&finished.report);
            universe.say(|| format!("   {line} {sent:?}"));
        }
        drop(universe);
        self.check_policy();
        let died = std::mem::take(&mut self.office.borrow_mut().died);
        let ended_well = done
            .as_ref()
            .is_some_and(|(finished, sent)| finished.error.is_none() && sent.is_ok());
        if told && ended_well {
            // Who is back is another case: the next deletion needs another answer.
            self.decided
                .retain(|id, _| died.contains(id) || !lived.contains(id));
        }
        self.ever_died.extend(died);
        done
    }

    /// Who stands on both sides.
    fn those_who_live(&self) -> BTreeSet<String> {
        let (universe, office) = (self.shared.borrow(), self.office.borrow());
        let database = &universe.database;
        let column = database.column("customer_no");
        let rows = database.living().map(|(_, row)| shown(&row.cells[column]));
        rows.filter(|id| office.people.contains_key(id)).collect()
    }

    /// The bridge deletes as it is told to: all, what a person decided on, or nothing.
    fn check_policy(&mut self) {
        let mut universe = self.shared.borrow_mut();
        let mut office = self.office.borrow_mut();
        let column = universe.database.column("customer_no");
        let rows = std::mem::take(&mut universe.rows_deleted);
        let rows = rows
            .iter()
            .map(|row| (shown(&row.cells[column]), Side::Local));
        let people = std::mem::take(&mut office.deleted);
        let people = people.into_iter().map(|id| (id, Side::Remote));
        for (id, side) in rows.chain(people) {
            if !may_delete(self.rules.deletes, &mut self.decided, &id, side) {
                let policy = self.rules.deletes;
                let line = format!("{id} was deleted from {side:?} under deletes: {policy:?}");
                office.broken.push(line);
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

    /// Who may stand on one side alone; what waits for somebody must be what somebody has to decide.
    fn check_reviews(&self) -> BTreeSet<String> {
        let both = self.those_who_live();
        let mut may_stay: BTreeSet<String> = match self.rules.deletes {
            DeletePolicy::Apply => BTreeSet::new(),
            DeletePolicy::Review => self.decided.keys().cloned().collect(),
            DeletePolicy::Ignore => self.ever_died.clone(),
        };
        for review in open_reviews(&self.shared) {
            let id = review.remote.map(|id| id.0).unwrap_or_default();
            let decision = review.decision;
            if both.contains(&id) || decision.is_some() {
                let line = format!("{id} waits for a decision that was made: {decision:?}");
                self.office.borrow_mut().broken.push(line);
            }
            may_stay.insert(id);
        }
        may_stay
    }

    /// The retail system's job, beside the pass: the oldest message until it is answered.
    async fn post(&self, store: &SimStore, world: &SimWorld, busy: bool) {
        let keeper = Keeper::open(store).await.expect("the inbox can be read");
        loop {
            step().await;
            turn(&self.shared, "job").await;
            let (message, fate) = {
                let mut universe = self.shared.borrow_mut();
                let mut office = self.office.borrow_mut();
                if busy && office.lives && universe.chance.permille(30) {
                    office.act(&mut universe.chance);
                }
                if busy && universe.chance.permille(700) {
                    continue;
                }
                let fate = if universe.faulty {
                    universe.chance.below(20)
                } else {
                    19
                };
                let again = office.sent.last().cloned().filter(|_| fate == 1);
                match again.or_else(|| office.unsent.front().cloned()) {
                    Some(message) => (message, fate),
                    None if busy => continue,
                    None => return,
                }
            };
            if keeper
                .keep(store, &self.vault, world, std::slice::from_ref(&message))
                .await
                .is_err()
            {
                return;
            }
            let line = || format!("      posted to us: {}", told(&message));
            self.shared.borrow_mut().say(line);
            // The answer may be lost: then it comes once more.
            let mut office = self.office.borrow_mut();
            if fate > 2 && office.unsent.front() == Some(&message) {
                office.unsent.pop_front();
                office.sent.push(message);
            }
        }
    }

    fn somebody_edits_a_row(&mut self) {
        let mut universe = self.shared.borrow_mut();
        let keys: Vec<LocalKey> = universe
            .database
            .living()
            .map(|(key, _)| key.clone())
            .collect();
        let value = format!("Zqx{}", universe.chance.below(1000));
        let (soft, journal) = (universe.settings.soft_delete, universe.settings.journal);
        // What was said of a row while its deletion was left alone is passed over, so nothing tells it once the row is back.
        if self.rules.deletes != DeletePolicy::Ignore && universe.chance.permille(50) {
            drop(universe);
            return self.somebody_takes_a_deletion_back();
        }
        let act = universe.chance.below(10);
        let key = universe.chance.pick(&keys).cloned();
        let number = universe.database.column("customer_no");
        let (class, source) = (
            universe.database.column("last_name"),
            universe.database.column("source"),
        );
        let key = match key.filter(|_| act > 1) {
            None => {
                let key = LocalKey::Int(universe.database.next);
                universe.database.next += 1;
                let mut cells = vec![Cell::Null; universe.database.layout.columns.len()];
                cells[number] = Cell::Text(format!("d{}", universe.database.next));
                cells[class] = Cell::Text(value);
                let row = DbRow {
                    cells,
                    marked: false,
                };
                universe.database.rows.insert(key.clone(), row);
                key
            }
            Some(key) => {
                let row = universe.database.rows.get_mut(&key).expect("a row");
                if act == 7 {
                    self.ever_died.insert(shown(&row.cells[number]));
                }
                match act {
                    2..5 => row.cells[class] = Cell::Text(value),
                    5..7 => row.cells[source] = Cell::Text(value),
                    7 if soft => row.marked = true,
                    7 => {
                        universe.database.rows.remove(&key);
                        universe
                            .database
                            .children
                            .retain(|(parent, _)| *parent != key);
                    }
                    // By a journal, a child's change is seen with its parent's alone.
                    _ if journal => row.cells[class] = Cell::Text(value),
                    _ => {
                        let cells = vec![Cell::Text(format!("k{act}")), Cell::Text(value)];
                        universe
                            .database
                            .children
                            .retain(|(parent, old)| *parent != key || old[0] != cells[0]);
                        universe.database.children.push((key.clone(), cells));
                    }
                }
                key
            }
        };
        let now = universe.now;
        universe.database.note(&key, now);
        universe.say(|| format!("      row {key} act {act}"));
    }

    /// A row that is only marked lives again as it was.
    fn somebody_takes_a_deletion_back(&mut self) {
        let mut universe = self.shared.borrow_mut();
        let marked = universe.database.marked_alone("customer_no");
        let Some(key) = universe.chance.pick(&marked).cloned() else {
            return;
        };
        let now = universe.now;
        universe.database.unmark(&key, now);
        universe.say(|| format!("      row {key} is taken back"));
    }

    fn check_equal(&self) -> Vec<String> {
        let may_stay = self.check_reviews();
        let universe = self.shared.borrow();
        let office = self.office.borrow();
        let mut broken = office.broken.clone();
        let database = &universe.database;
        let mut rows: BTreeMap<String, Person> = BTreeMap::new();
        for (key, row) in database.living() {
            let cell = |column: &str| shown(&row.cells[database.column(column)]);
            let keys = database.children.iter().filter(|(parent, _)| parent == key);
            let person = Person {
                class: cell("last_name"),
                source: cell("source"),
                keys: keys
                    .map(|(_, cells)| (shown(&cells[0]), shown(&cells[1])))
                    .collect(),
            };
            if rows.insert(cell("customer_no"), person).is_some() {
                broken.push(format!("I2 {} has two rows", cell("customer_no")));
            }
        }
        for id in office.people.keys().chain(rows.keys()) {
            let (there, here) = (office.people.get(id), rows.get(id));
            let is_alone = there.is_none() || here.is_none();
            if there != here && !(is_alone && may_stay.contains(id)) {
                broken.push(format!("I5 {id}: {there:?} there, {here:?} here"));
            }
        }
        let mut stored = universe.disk.visible.values();
        if stored.any(|value| crate::oracle::holds_canary(value, 1000)) {
            broken.push("I10 a value stands readable".into());
        }
        broken
    }
}

#[derive(Clone, Copy, Debug)]
struct Play {
    direction: Direction,
    faulty: bool,
    death: Option<Death>,
}

fn play(
    seed: u64,
    how: Play,
    prepare: impl FnOnce(&mut Universe),
) -> (Vec<String>, Vec<String>, u64) {
    let mut life = PostLife::new(seed, how.direction);
    prepare(&mut life.shared.borrow_mut());
    let rounds = life.shared.borrow_mut().chance.between(2, 6);
    for round in 0..rounds {
        if life.rules.deletes == DeletePolicy::Review {
            life.somebody_decides();
        }
        let acts = life.shared.borrow_mut().chance.below(6);
        for _ in 0..acts {
            if how.direction.pulls() {
                let mut universe = life.shared.borrow_mut();
                life.office.borrow_mut().act(&mut universe.chance);
            }
            // The tables are there once a pass has made them.
            if how.direction.pushes() && round > 0 {
                life.somebody_edits_a_row();
            }
        }
        {
            let mut universe = life.shared.borrow_mut();
            universe.faulty = how.faulty;
            universe.death = match how.death {
                Some(death) => death,
                None if how.faulty && universe.chance.coin() => Death::Random(200),
                None => Death::Never,
            };
        }
        life.run(true);
    }
    {
        let mut universe = life.shared.borrow_mut();
        (universe.faulty, universe.death) = (false, Death::Never);
        universe.say(|| "ALL IS QUIET".into());
    }
    let mut broken = Vec::new();
    // Everything that is on its way arrives, and is applied and told.
    let mut turn = 0;
    let mut left = 4;
    while left > 0 {
        turn += 1;
        let (finished, sent) = life.run(false).expect("nobody kills it");
        for error in finished.error.into_iter().chain(sent.err()) {
            broken.push(format!("run {turn} of a quiet world failed: {error}"));
        }
        if life.office.borrow().unsent.is_empty() || turn > 300 {
            left -= 1;
        }
    }
    let before = (
        life.shared.borrow().database.writes,
        life.office.borrow().taken.len(),
    );
    let (finished, _) = life.run(false).expect("nobody kills it");
    let after = (
        life.shared.borrow().database.writes,
        life.office.borrow().taken.len(),
    );
    let waits = match life.rules.deletes {
        DeletePolicy::Review => 0,
        _ => finished.report.review,
    };
    if before != after || waits + finished.report.quarantined > 0 {
        broken.push(format!(
            "I6 a quiet run: {}",
            crate::life::brief(&finished.report)
        ));
    }
    broken.extend(life.check_equal());
    let trace = std::mem::take(&mut life.shared.borrow_mut().trace);
    (broken, trace, life.longest_run)
}

fn all_hold(how: Play, usual: u64) {
    let failures = crate::broken_seeds(usual, |seed| {
        let (broken, trace, _) = play(seed, how, |_| ());
        (broken, trace)
    });
    let (name, told) = match how.direction {
        Direction::Pull => ("messages-pull", "received"),
        Direction::Push => ("messages-push", "sent"),
        Direction::Both => ("messages-both", "received and sent"),
    };
    crate::evidence::keep_lives(name, told.to_owned(), usual, &failures);
    crate::assert_none(&failures, &how);
}

fn how(direction: Direction) -> Play {
    Play {
        direction,
        faulty: true,
        death: None,
    }
}

#[test]
fn h54_h55_what_was_answered_with_200_ends_in_its_row() {
    all_hold(how(Direction::Pull), 500);
}

#[test]
fn rows_are_told_until_the_application_shows_them() {
    all_hold(how(Direction::Push), 500);
}

#[test]
fn both_ways_end_in_one_state() {
    all_hold(how(Direction::Both), 500);
}

#[test]
fn h55_every_point_of_a_pass_over_messages_may_be_the_last() {
    let how = |direction, death| Play {
        direction,
        faulty: false,
        death: Some(death),
    };
    if let (Some(seed), Some(point)) = (crate::number("SIM_SEED"), crate::number("SIM_POINT")) {
        for direction in [Direction::Pull, Direction::Push, Direction::Both] {
            let (broken, trace, _) = play(seed, how(direction, Death::At(point)), |_| ());
            println!("{}", trace.join("\n"));
            assert_eq!(broken, Vec::<String>::new());
        }
        return;
    }
    let mut failures = Vec::new();
    for direction in [Direction::Pull, Direction::Push, Direction::Both] {
        for seed in 0..2 {
            let how = |death| how(direction, death);
            let (_, _, longest) = play(seed, how(Death::Never), |_| ());
            for point in 1..=longest {
                let (broken, ..) = play(seed, how(Death::At(point)), |_| ());
                if !broken.is_empty() {
                    failures.push(format!(
                        "{direction:?} seed {seed} point {point}: {}",
                        broken.join("; ")
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn h55_without_its_inbox_or_outbox_changes_are_lost() {
    for (direction, table) in [
        (Direction::Pull, Table::Inbox),
        (Direction::Push, Table::Outbox),
    ] {
        let lost = (0..100).any(|seed| {
            let (broken, ..) = play(seed, how(direction), |universe| {
                universe.disk.forgets = vec![table];
            });
            broken.iter().any(|line| line.starts_with("I5"))
        });
        assert!(lost, "no seed noticed that {table:?} was not kept");
    }
}
