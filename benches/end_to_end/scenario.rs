//! The scenarios: what is set up, what is measured, and the row that says how it compares.

use std::path::PathBuf;
use std::process::Command;

use super::process::{Taken, load, measure};
use super::project::{Project, Setup, Synced};
use super::prototype;
use super::site::Site;

const FIRST_LOAD: u32 = 20_000;
const LINKED: u32 = 100_000;
const CHANGED: u32 = 1_000;
const NEW_ROWS: u32 = 10_000;
const IN_FLIGHT: f64 = 8.0;

/// What is measured how often, with which stores.
pub struct Bench {
    pub rounds: usize,
    pub states: Vec<&'static str>,
    /// First loads at 0 ms by store, once known.
    loads: Vec<(&'static str, f64)>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            rounds: 3,
            states: vec!["sled", "sqlite"],
            loads: Vec::new(),
        }
    }
}

/// One row of the table. A ratio of at most 1 means that the target is met.
fn row(what: &str, state: &str, measured: &str, target: &str, ratio: f64) {
    let verdict = if ratio <= 1.0 { "" } else { " (missed)" };
    println!(
        "| {what} | {state} | {measured} | {target} | {ratio:.2}{verdict} | {} |",
        load()
    );
}

fn fastest(best: &mut Option<Taken>, taken: Taken) {
    if best.is_none_or(|best| taken.wall < best.wall) {
        *best = Some(taken);
    }
}

fn loaded(site: &Site, setup: Setup, people: u32) -> (Project, Synced) {
    let project = Project::new(site, setup);
    let synced = project.sync();
    assert_eq!(synced.count("pull.created"), u64::from(people));
    (project, synced)
}

impl Bench {
    fn setups(&self) -> Vec<Setup> {
        let changes = "scan";
        self.states
            .iter()
            .map(|&state| Setup { state, changes })
            .collect()
    }

    /// T1: against the prototype and the script, turn by turn.
    pub fn first_load(&mut self) {
        let site = Site::start(FIRST_LOAD, 0);
        let (mut bare, mut script) = (None, None);
        let mut best: Vec<Option<Taken>> = vec![None; self.states.len()];
        let python = python();
        for _ in 0..self.rounds {
            fastest(&mut bare, prototype_load(&site, FIRST_LOAD));
            for (setup, best) in self.setups().into_iter().zip(&mut best) {
                fastest(best, loaded(&site, setup, FIRST_LOAD).1.taken);
            }
            if let Some(python) = &python {
                fastest(&mut script, script_load(python, &site));
            }
        }
        let bare = bare.expect("a round");
        let figures = |taken: &Taken, people: u32| {
            format!(
                "{:.2} s, {:.0}/s, CPU {:.2} s, {:.0} MB",
                taken.wall,
                f64::from(people) / taken.wall,
                taken.cpu,
                taken.peak_mb
            )
        };
        println!(
            "| bare prototype | | {} | | | {} |",
            figures(&bare, FIRST_LOAD),
            load()
        );
        if let Some(script) = &script {
            println!(
                "| requests + lxml | | {} | | | {} |",
                figures(script, FIRST_LOAD),
                load()
            );
        }
        for (&state, best) in self.states.iter().zip(best) {
            let best = best.expect("a round");
            self.loads.push((state, best.wall));
            let measured = figures(&best, FIRST_LOAD);
            let what = "T1 first load, 20,000 at 0 ms";
            let target = format!("2.5 x prototype = {:.2} s", 2.5 * bare.wall);
            row(what, state, &measured, &target, best.wall / bare.wall / 2.5);
            if let Some(script) = &script {
                let target = format!("a third of requests + lxml = {:.2} s", script.wall / 3.0);
                row(
                    what,
                    state,
                    &measured,
                    &target,
                    best.wall * 3.0 / script.wall,
                );
            }
        }
    }

    /// T2: the same at 50 ms a request.
    pub fn first_load_over_a_network(&mut self) {
        let near = Site::start(FIRST_LOAD, 0);
        let far = Site::start(FIRST_LOAD, 50);
        for setup in self.setups() {
            let known = self.loads.iter().find(|(state, _)| *state == setup.state);
            let near = match known {
                Some((_, wall)) => *wall,
                None => loaded(&near, setup, FIRST_LOAD).1.taken.wall,
            };
            let (_, synced) = loaded(&far, setup, FIRST_LOAD);
            let requests = synced.count("requests");
            let target = 1.3 * (requests as f64 / IN_FLIGHT * 0.05) + near;
            let measured = format!("{:.2} s, {requests} requests", synced.taken.wall);
            row(
                "T2 first load, 20,000 at 50 ms",
                setup.state,
                &measured,
                &format!("1.3 x ({requests} / 8 x 50 ms) + {near:.2} s = {target:.2} s"),
                synced.taken.wall / target,
            );
        }
    }

    /// T3: the memory of a first load; one target per store, sled first.
    pub fn memory(&mut self, people: u32, targets: [f64; 2]) {
        let site = Site::start(people, 0);
        for setup in self.setups() {
            let target = targets[usize::from(setup.state == "sqlite")];
            let (_, synced) = loaded(&site, setup, people);
            row(
                &format!("T3 memory of a first load of {people}"),
                setup.state,
                &format!(
                    "{:.0} MB, {:.2} s, {:.0}/s",
                    synced.taken.peak_mb,
                    synced.taken.wall,
                    f64::from(people) / synced.taken.wall
                ),
                &format!("{target:.0} MB"),
                synced.taken.peak_mb / target,
            );
        }
    }

    /// T4: nothing changed.
    pub fn nothing_changed(&mut self) {
        let mut site = Site::start(LINKED, 0);
        for setup in self.setups() {
            for (changes, target) in [("scan", 1.5), ("journal", 0.5)] {
                let (project, _) = loaded(&site, Setup { changes, ..setup }, LINKED);
                let mut best = None;
                let mut calls = 0;
                site.requests();
                for _ in 0..self.rounds {
                    let synced = project.sync();
                    assert!(!synced.wrote(), "nothing had changed: {}", synced.report);
                    let requests = site.requests();
                    assert_eq!(requests.pushes, 0);
                    calls = calls.max(requests.lists + requests.look_ups);
                    fastest(&mut best, synced.taken);
                }
                let best = best.expect("a round");
                let what = format!("T4 nothing changed, 100,000 linked, {changes}");
                row(
                    &what,
                    setup.state,
                    &format!(
                        "{:.3} s, CPU {:.2} s, {:.0} MB",
                        best.wall, best.cpu, best.peak_mb
                    ),
                    &format!("{target} s"),
                    best.wall / target,
                );
                let ratio = calls as f64 / 2.0;
                row(
                    &what,
                    setup.state,
                    &format!("{calls} calls"),
                    "2 calls",
                    ratio,
                );
            }
        }
    }

    /// T5: other people changed on each side.
    pub fn changes_on_both_sides(&mut self) {
        for setup in self.setups() {
            for changes in ["scan", "journal"] {
                let mut site = Site::start(LINKED, 0);
                let (project, _) = loaded(&site, Setup { changes, ..setup }, LINKED);
                project.sync();
                let mut best = None;
                let mut most = 0;
                for round in 0..self.rounds as u32 {
                    let first = round * CHANGED;
                    site.edit(first, CHANGED);
                    let (from, to) = (LINKED - first - CHANGED, LINKED - first);
                    let edited = project
                        .connect()
                        .execute(
                            "UPDATE customers SET last_name = last_name || ' (new)' WHERE id > ?1 AND id <= ?2",
                            [from, to],
                        )
                        .expect("rows are edited");
                    assert_eq!(edited, CHANGED as usize);
                    site.requests();
                    let synced = project.sync();
                    let requests = site.requests();
                    assert_eq!(synced.count("push.updated"), u64::from(CHANGED));
                    assert_eq!(synced.count("pull.updated"), u64::from(CHANGED));
                    most = most.max(requests.lists + requests.look_ups + requests.pushes);
                    fastest(&mut best, synced.taken);
                }
                let best = best.expect("a round");
                let what = format!("T5 1,000 of 100,000 changed on each side, {changes}");
                row(
                    &what,
                    setup.state,
                    &format!(
                        "{:.2} s, CPU {:.2} s, {:.0} MB",
                        best.wall, best.cpu, best.peak_mb
                    ),
                    "1.5 s, calls included",
                    best.wall / 1.5,
                );
                let allowed = f64::from(CHANGED) + 100.0;
                let ratio = most as f64 / allowed;
                row(
                    &what,
                    setup.state,
                    &format!("{most} calls"),
                    &format!("{allowed:.0} calls"),
                    ratio,
                );
            }
        }
    }

    /// T6: new rows become contacts.
    pub fn new_rows(&mut self) {
        for setup in self.setups() {
            let mut best = None;
            let mut calls = 0;
            for _ in 0..self.rounds {
                let mut site = Site::start(0, 0);
                let project = Project::new(&site, setup);
                project.sync();
                insert_rows(&project);
                site.requests();
                let synced = project.sync();
                assert_eq!(synced.count("push.created"), u64::from(NEW_ROWS));
                let requests = site.requests();
                calls = requests.lists + requests.look_ups + requests.pushes;
                fastest(&mut best, synced.taken);
            }
            let best = best.expect("a round");
            let rate = f64::from(NEW_ROWS) / best.wall;
            row(
                "T6 push of 10,000 new rows",
                setup.state,
                &format!(
                    "{rate:.0}/s, {:.2} s, CPU {:.2} s, {:.0} MB, {calls} calls",
                    best.wall, best.cpu, best.peak_mb
                ),
                "3,000/s",
                3000.0 / rate,
            );
        }
    }
}

fn insert_rows(project: &Project) {
    let mut conn = project.connect();
    let transaction = conn.transaction().expect("a transaction");
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO customers (customer_no, email, title, first_name, last_name, born_on, customer_type, industry,
                 lead_source, rating, opted_in, home_phone, mobile, home_line_1, home_city, home_postcode, home_country,
                 company, notes) VALUES (?1, ?2, 'Ms', 'Zoë', ?3, '1971-02-03', 'Member', 'Health', 'Referral', 'Warm', 1,
                 ?4, ?5, ?6, 'Hobart', '7000', 'AU', ?7, ?8)",
            )
            .expect("the table is there");
        let note =
            "Prefers to be called in the morning; asked for the printed programme. ".repeat(6);
        for number in 0..NEW_ROWS {
            insert
                .execute(rusqlite::params![
                    format!("N{number:06}"),
                    format!("new.{number}@example.org"),
                    format!("van der Berg {number}"),
                    format!("+61 2 {number:08}"),
                    format!("+61 400 {number:06}"),
                    format!("{number} High Street"),
                    format!("Company {number}"),
                    note.trim_end(),
                ])
                .expect("a row");
        }
    }
    transaction.commit().expect("a transaction");
}

fn prototype_load(site: &Site, people: u32) -> Taken {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("prototype.db");
    let database = database.to_str().expect("a plain path");
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(prototype::arguments(site, database, people));
    let (taken, _, code) = measure(&mut command);
    assert_eq!(code, Some(0), "the prototype failed");
    taken
}

fn script_load(python: &PathBuf, site: &Site) -> Taken {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer.py"))
        .args([&site.endpoint, &site.site_id.to_string()])
        .args([&site.username, &site.password])
        .arg(directory.path().join("peer.db"));
    let (taken, stdout, code) = measure(&mut command);
    assert_eq!(code, Some(0), "peer.py failed: {stdout}");
    assert_eq!(stdout.trim(), FIRST_LOAD.to_string());
    taken
}

/// A Python with requests and lxml, made under target/ where there is none yet; `None` where that can't be done.
fn python() -> Option<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peer");
    let python = directory.join("bin/python");
    let has = |python: &PathBuf| {
        let imports = ["-c", "import requests, lxml.etree"];
        let mut command = Command::new(python);
        command.args(imports);
        command.output().is_ok_and(|output| output.status.success())
    };
    if !has(&python) {
        let quiet =
            |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&directory))
            && quiet(Command::new(&python).args(["-m", "pip", "install", "requests", "lxml"]));
        if !made {
            eprintln!("requests + lxml: not run, they can't be installed here");
            return None;
        }
    }
    Some(python)
}
