//! The stories of `tests/scenarios`: each a folder of files that anybody can read, played with the real binary against a
//! simulated service and a SQLite file. How one is written stands in `tests/scenarios/README.md`.
//!
//! - `story`: what a story says
//! - `stage`: what it is played on; `contactlist`, `association`, `data_sync`: the kinds of bridge
//! - `database`: the customer's database as its users have it
//! - `checks`: what a run must have said of itself

mod association;
mod checks;
mod contactlist;
mod data_sync;
mod database;
mod stage;
mod story;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stage::Stage;
use story::{Files, Orders, Story, check_names, expected};

/// The exit code of a run that a guard stopped.
const STOPPED: i32 = 4;

fn play(folder: &Path) {
    let story = Story::read(folder);
    check_names(folder, story.runs.len());
    let shared = folder.parent().expect("a parent");
    let mut stage = stage::set_up(&story.set_up, folder, shared);
    for switch in story.set_up.all("crm") {
        stage.switch(switch).expect(switch);
    }
    stage.agree(folder);
    for (at, orders) in story.runs.iter().enumerate() {
        let files = Files::of(folder, at + 1);
        let title = match story.runs.len() {
            1 => story.title.clone(),
            _ => format!("{}: run {}", story.title, at + 1),
        };
        play_run(&mut *stage, orders, &files, &title);
    }
    let last = story.runs.last().expect("a run");
    let exit = last.number("exit").unwrap_or(0);
    if exit != STOPPED {
        stage.quiet(last.number("then").unwrap_or(exit));
    }
}

fn play_run(stage: &mut dyn Stage, orders: &Orders, files: &Files, title: &str) {
    stage.begin_run(orders);
    if orders.one("calm").is_some() {
        stage.calm();
    }
    for switch in orders.all("crm") {
        stage.switch(switch).expect(switch);
    }
    for statement in orders.all("sql") {
        stage.database().sql(statement);
    }
    // In this order, so that what a contact shows is the later edit.
    stage.database().act(&files.folder("before"));
    stage.act(&files.folder("before"));
    stage.ready(orders);
    let binary = stage.binary().clone();
    for line in orders.all("command") {
        checks::command(&binary, line);
    }
    let arguments = orders.one("arguments").unwrap_or_default();
    let exit = orders.number("exit").unwrap_or(0);
    let report = match orders.one("asleep") {
        None => stage::sync(&binary, arguments, exit),
        Some(point) => stage::sync_asleep(&binary, arguments, exit, point, || {
            stage.database().act(&files.folder("asleep"));
            stage.act(&files.folder("asleep"));
        }),
    };
    checks::check_report(title, orders, &report);
    checks::check_held(title, orders, &binary);
    let after = files.after();
    for table in stage.expects() {
        let is_told = after.iter().any(|(name, _)| name == table);
        assert!(is_told, "{title}: no after/{table}.csv");
    }
    for (name, path) in after {
        let (columns, rows) = expected(&path);
        let shown = match name.as_str() {
            "crm" => stage.shown(&columns),
            table => stage.database().shown(table, &columns),
        };
        assert_eq!(shown, rows, "{title}: {name}");
    }
    stage.check(orders, files, title);
}

/// The folders of the stories, in order.
fn folders() -> Vec<PathBuf> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut folders: Vec<PathBuf> = fs::read_dir(scenarios)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Plays every story whose folder begins with one of these letters.
fn play_all(letters: &[&str]) {
    let only = std::env::var("SCENARIO").ok();
    let mut failed = Vec::new();
    let mut played = 0;
    for folder in folders() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let wanted = letters.iter().any(|letter| name.starts_with(letter));
        if !wanted || only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        played += 1;
        if std::panic::catch_unwind(|| play(&folder)).is_err() {
            failed.push(name.into_owned());
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {played} failed: {failed:?}",
        failed.len()
    );
    assert!(
        played > 0 || only.is_some(),
        "no story begins with {letters:?}"
    );
}

#[test]
fn stories_of_fields() {
    play_all(&["f"]);
}

#[test]
fn stories_of_presence() {
    play_all(&["p"]);
}

#[test]
fn stories_of_newcomers() {
    play_all(&["c"]);
}

#[test]
fn stories_of_pushes_and_guards() {
    play_all(&["r", "g"]);
}

#[test]
fn stories_of_queues() {
    play_all(&["q"]);
}

#[test]
fn stories_of_messages() {
    play_all(&["m"]);
}

/// Every row of the tables: the name in the first cell of its line.
fn rows_of_the_tables() -> BTreeSet<String> {
    let tables = include_str!("../../../docs/sync-semantics.md");
    cells(tables).filter(|name| is_row(name)).collect()
}

/// The first cell of each line of the tables of a text.
fn cells(text: &str) -> impl Iterator<Item = String> {
    let cell = |line: &str| {
        line.strip_prefix("| ")?
            .split('|')
            .next()
            .map(str::to_owned)
    };
    text.lines()
        .filter_map(cell)
        .map(|cell| cell.trim().to_owned())
}

/// A capital and a number, such as F12.
fn is_row(name: &str) -> bool {
    let (letter, number) = name.split_at_checked(1).unwrap_or_default();
    letter.chars().all(|letter| letter.is_ascii_uppercase()) && number.parse::<u32>().is_ok()
}

/// What the title of a story tells of: the names before the two spaces.
fn rows_of(title: &str) -> Vec<String> {
    let (names, _) = title.split_once("  ").unwrap_or_default();
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_row_of_the_tables_has_a_story_or_a_test_of_another_kind() {
    let rows = rows_of_the_tables();
    assert!(rows.len() > 60, "{rows:?}");
    let told: BTreeSet<String> = folders()
        .iter()
        .flat_map(|folder| rows_of(&Story::read(folder).title))
        .collect();
    let readme = include_str!("../../scenarios/README.md");
    for line in readme.lines().filter(|line| line.contains("| `")) {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim_matches([' ', '`']))
            .collect();
        let [_, name, _, file, test, _] = cells[..] else {
            continue;
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(source).unwrap_or_else(|_| panic!("{name}: no {file}"));
        assert!(source.contains(&format!("fn {test}(")), "{name}: no {test}");
    }
    let elsewhere: BTreeSet<String> = cells(readme)
        .flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| is_row(name))
        .collect();
    let both: BTreeSet<String> = told.union(&elsewhere).cloned().collect();
    assert_eq!(rows, both, "the tables on the left");
    let twice: Vec<_> = told.intersection(&elsewhere).collect();
    assert!(twice.is_empty(), "told, and yet excused: {twice:?}");
}
