//! Several `run` share many bridges, are killed, and one sleeps longer than its lease: every bridge converges, nobody stands twice,
//! and no bridge ever has two holders, by the log of the state's own server.

use std::collections::{BTreeMap, BTreeSet};

use contactbridge::simulator::contactlist::Deletion;
use rustix::process::Signal;

use super::{audit, lines};
use crate::support::{Binary, Fresh, Project, Server, Service, eventually};
use crate::two_way::{contacts, newcomer, plain, rows};

/// People at first: some are edited here, some there, and the others are deleted in the end.
const PEOPLE: u32 = 12;
const LOCAL: u32 = 3;
const REMOTE: u32 = 6;

/// Chance that is the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it fits")
    }
}

/// A bridge's two sides, and what people have made of them.
struct Sides {
    project: Project,
    cities: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
    living: BTreeSet<String>,
}

impl Sides {
    fn new(project: Project) -> Self {
        let living = (0..PEOPLE).map(|number| format!("M{number:06}")).collect();
        Self {
            project,
            cities: BTreeMap::new(),
            names: BTreeMap::new(),
            living,
        }
    }

    /// Something of everything on both sides.
    fn edit(&mut self, round: u32, chance: &mut Chance) {
        let (project, person) = (&self.project, |number: u32| format!("M{number:06}"));
        let here = person(u32::try_from(chance.below(LOCAL as usize)).expect("it fits"));
        let city = format!("City {round}");
        let changed = project.sql(&format!(
            "UPDATE customers SET city = '{city}' WHERE customer_no = '{here}'"
        ));
        assert_eq!(changed, 1);
        self.cities.insert(here, city);
        let there = chance.below((REMOTE - LOCAL) as usize);
        let there = person(LOCAL + u32::try_from(there).expect("it fits"));
        let name = format!("Name {round}");
        let id = project.contact(&there).entity_id;
        assert!(
            project
                .crm
                .edit(id, |person| person.first_name = Some(name.clone()))
        );
        self.names.insert(there, name);
        let (new_here, new_there) = (format!("L-{round}"), format!("R-{round}"));
        project.sql(&format!(
            "INSERT INTO customers (customer_no, email, first_name, opted_in) VALUES ('{new_here}', 'l{round}@example.org', 'Desk', '1')"
        ));
        let mail = format!("r{round}@example.org");
        project
            .crm
            .insert(newcomer(&new_there, &mail, "Crm", "Born"));
        self.living.extend([new_here, new_there]);
        let gone = person(REMOTE + round);
        if round < PEOPLE - REMOTE && self.living.remove(&gone) {
            if chance.below(2) == 0 {
                let deleted = project.sql(&format!(
                    "DELETE FROM customers WHERE customer_no = '{gone}'"
                ));
                assert_eq!(deleted, 1);
            } else {
                let id = project.contact(&gone).entity_id;
                assert!(project.crm.delete(id, Deletion::Flag));
            }
        }
    }

    /// Both sides show the same, and that is what people made of it.
    fn agree(&self) -> bool {
        if !self.project.path("customers.db").exists()
            || self.project.tables().iter().all(|name| name != "customers")
        {
            return false;
        }
        let (there, here) = (contacts(&self.project), rows(&self.project));
        let shown: Vec<&String> = here.iter().map(|row| &row[0]).collect();
        let wanted: Vec<&String> = {
            let mut all: Vec<_> = self.living.iter().collect();
            all.sort();
            all
        };
        there == here
            && shown == wanted
            && here.iter().all(|row| {
                self.cities.get(&row[0]).is_none_or(|city| *city == row[7])
                    && self.names.get(&row[0]).is_none_or(|name| *name == row[2])
            })
    }
}

/// Bridges, the state that they share, and the workers that keep them.
struct Farm {
    state: Fresh,
    sides: Vec<Sides>,
    binary: Binary,
    every_seconds: u32,
    workers: Vec<Service>,
    _directory: tempfile::TempDir,
}

impl Farm {
    /// So many bridges, each with a CRM and a database of its own; `None` where no server runs.
    fn new(bridges: u32, every_seconds: u32, lease: &str) -> Option<Self> {
        let state = Fresh::make(Server::Postgres)?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut text = format!("state: {}\nbridges:\n", lines(&state.url()));
        let mut sides = Vec::new();
        for number in 0..bridges {
            let project = plain(PEOPLE)
                .key(&format!("schedule: every {every_seconds}s"))
                .limit(&format!("lease: {lease}"))
                .build();
            let own = std::fs::read_to_string(project.path("bridge.yaml")).expect("the file");
            let (_, own) = own.split_once("bridges:\n").expect("bridges");
            let place = |name: &str| project.path(name).to_string_lossy().into_owned();
            text += &own
                .replace("  members:\n", &format!("  b{number:02}:\n"))
                .replace("customers.db", &place("customers.db"))
                .replace(
                    "mappings/contactlist.yaml",
                    &place("mappings/contactlist.yaml"),
                );
            sides.push(Sides::new(project));
        }
        std::fs::write(directory.path().join("bridge.yaml"), text).expect("a file");
        let options = contactbridge::simulator::contactlist::Options::default();
        let binary = Binary::at(directory.path())
            .with("CRM_USERNAME", &options.username)
            .with("CRM_PASSWORD", &options.password);
        state.run(&binary.line("schema --sql=postgres-state").exits(0).stdout);
        audit::begin(&state);
        Some(Self {
            state,
            sides,
            binary,
            every_seconds,
            workers: Vec::new(),
            _directory: directory,
        })
    }

    /// Brings the workers to this number.
    fn work_with(&mut self, workers: usize) {
        while self.workers.len() < workers {
            self.workers.push(Service::begin(&self.binary));
        }
    }

    fn cell(&self, sql: &str) -> String {
        let rows = self.state.rows(sql);
        rows.concat().pop().flatten().unwrap_or_default()
    }

    fn count(&self, sql: &str) -> u64 {
        self.cell(sql).parse().expect("a count")
    }

    fn passes(&self) -> u64 {
        self.count("SELECT count(*) FROM audit WHERE what = 'pass'")
    }

    fn wait_for_passes(&self, more: u64) {
        let wanted = self.passes() + more;
        eventually("passes", || self.passes() >= wanted);
    }

    /// A lease that this worker has now, by its random name.
    fn lease_of(&self, worker: usize) -> String {
        self.cell(&format!(
            "SELECT holder FROM contactbridge.bridge WHERE pid = {} AND until > clock_timestamp() LIMIT 1",
            self.workers[worker].pid()
        ))
    }

    /// Kills a worker in the middle of something, and starts another in its place.
    fn kill(&mut self, worker: usize) {
        eventually("a lease", || !self.lease_of(worker).is_empty());
        self.workers[worker].signal(Signal::KILL);
        self.workers[worker] = Service::begin(&self.binary);
    }

    /// Stops a worker while it holds a bridge, until another has taken that bridge over; then it goes on.
    fn oversleep(&self, worker: usize) {
        loop {
            // Going on, it needs time to take one.
            eventually("a lease", || !self.lease_of(worker).is_empty());
            self.workers[worker].signal(Signal::STOP);
            let lease = self.lease_of(worker);
            let gone =
                format!("SELECT count(*) FROM contactbridge.bridge WHERE holder = '{lease}'");
            if !lease.is_empty() {
                eventually("another holder", || self.count(&gone) == 0);
            }
            let taken = format!(
                "SELECT count(*) FROM audit WHERE what = 'take' AND old_holder = '{lease}'"
            );
            let overtaken = !lease.is_empty() && self.count(&taken) == 1;
            self.workers[worker].signal(Signal::CONT);
            if overtaken {
                return;
            }
        }
    }

    fn agree(&self) {
        for (number, sides) in self.sides.iter().enumerate() {
            eventually(
                &format!("bridge {number} is the same on both sides"),
                || sides.agree(),
            );
        }
    }

    /// Passes a second, by the server's clock.
    fn rate(&self, passes: u64) -> f64 {
        let from = self.count("SELECT coalesce(max(seq), 0) FROM audit");
        eventually("passes to measure", || {
            self.count(&format!(
                "SELECT count(*) FROM audit WHERE what = 'pass' AND seq > {from}"
            )) >= passes
        });
        let rate = self.cell(&format!(
            "SELECT count(*) / extract(epoch FROM max(at) - min(at)) FROM audit WHERE what = 'pass' AND seq > {from}"
        ));
        rate.parse().expect("a rate")
    }

    /// All workers are told to stop: each ends in order, and no lease is left behind.
    fn stop(&mut self) {
        let living: Vec<String> = self.workers.iter().map(|w| w.pid().to_string()).collect();
        let dead = format!(
            "SELECT count(*) FROM contactbridge.bridge WHERE holder IS NOT NULL AND pid NOT IN ({})",
            living.join(", ")
        );
        eventually("the dead are replaced", || self.count(&dead) == 0);
        for worker in &self.workers {
            worker.signal(Signal::TERM);
        }
        for mut worker in self.workers.drain(..) {
            assert_eq!(worker.ends(), Some(0), "{:#?}", worker.said());
            let unexpected = |line: &&String| line.starts_with("error") || line.contains("panic");
            let said: Vec<_> = worker.said().iter().filter(unexpected).collect();
            assert!(said.is_empty(), "{said:#?}");
        }
        let held = "SELECT count(*) FROM contactbridge.bridge WHERE holder IS NOT NULL";
        assert_eq!(self.count(held), 0);
    }

    /// Another pass of everything finds nothing to do.
    fn is_quiet(&self) {
        self.binary.line("sync --format json").exits(0);
        let report = self.binary.line("sync --format json").exits(0).json();
        let bridges = report["bridges"].as_array().expect("bridges");
        assert_eq!(bridges.len(), self.sides.len());
        for bridge in bridges {
            for way in ["pull", "push"] {
                for count in ["created", "updated", "deleted", "held"] {
                    assert_eq!(bridge[way][count], 0, "{bridge:#}");
                }
            }
        }
        assert!(self.sides.iter().all(Sides::agree));
    }
}

/// Edits on both sides while workers die and sleep; what the server says of it.
fn chaos(farm: &mut Farm, rounds: u32, seed: u64) -> audit::Verdict {
    let mut chance = Chance(seed);
    let workers = farm.workers.len();
    let share = farm.sides.len() as u64 / 2;
    for round in 0..rounds {
        for sides in &mut farm.sides {
            sides.edit(round, &mut chance);
        }
        let worker = chance.below(workers);
        if round == rounds / 2 {
            farm.oversleep(worker);
        } else {
            farm.kill(worker);
        }
        farm.wait_for_passes(share);
    }
    farm.agree();
    farm.stop();
    // Reckoned from the end of another worker's pass, whose age is told in whole milliseconds.
    let between = f64::from(farm.every_seconds) * 1000.0 - 5.0;
    let verdict = audit::judge(&farm.state, between);
    assert_eq!(verdict.violations, Vec::<String>::new());
    // A `sync` needs no turn.
    farm.is_quiet();
    let after = audit::judge(&farm.state, 0.0);
    assert_eq!(after.violations, Vec::<String>::new());
    assert!(verdict.takeovers > 0 && verdict.commits > 0, "{verdict:?}");
    verdict
}

#[test]
fn h67_workers_that_die_and_sleep_share_bridges_without_two_holders() {
    let Some(mut farm) = Farm::new(6, 1, "1s") else {
        return;
    };
    farm.work_with(2);
    // One dies in the first load already.
    farm.kill(0);
    farm.agree();
    let verdict = chaos(&mut farm, 5, 0x5eed_0001);
    println!("{verdict:?}");
}

#[test]
#[ignore = "torture: sixty bridges, four workers"]
fn h67_sixty_bridges_shared_by_four_workers() {
    // More turns than can be kept, so that the rates are those of the work.
    let Some(mut farm) = Farm::new(60, 1, "5s") else {
        return;
    };
    farm.work_with(1);
    farm.agree();
    let one = farm.rate(200);
    farm.work_with(4);
    farm.wait_for_passes(120);
    let four = farm.rate(200);
    let rounds = 8;
    println!("passes/s: one worker {one:.1}, four {four:.1}");
    let verdict = chaos(&mut farm, rounds, 0x5eed_0002);
    println!(
        "{} kills, 1 sleeper; {} takes, {} takeovers, {} commits, {} passes, {} violations",
        rounds - 1,
        verdict.takes,
        verdict.takeovers,
        verdict.commits,
        verdict.passes,
        verdict.violations.len()
    );
}
