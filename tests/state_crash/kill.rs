//! Killed at any moment, a store has every acknowledged commit, and every commit whole.

use std::path::Path;

use contactbridge::state::StateLocation;

use crate::fresh::{Fresh, Server};
use crate::model::{Dice, Habits, Replay};
use crate::process::{ADDRESS, Engine, Running, verify};

fn kill_rounds(engine: Engine, directory: &Path, seed: u64, rounds: u64) {
    let location: StateLocation = engine.at(directory);
    let mut dice = Dice(seed);
    let mut habits = Habits {
        seed,
        writes: 200,
        keys: 3000,
        window: 1,
        reopen: 0,
        large: true,
    };
    let mut replay = Replay::default();
    let mut durable = 0;
    for round in 0..rounds {
        habits.window = [1, 8, 1, 3][round as usize % 4];
        habits.reopen = [0, 0, 5][round as usize % 3];
        let mut writer = Running::start("write", engine, directory, &habits);
        // Some die while they open, most at work; the kill lands wherever the writer is by then.
        let wanted = if round % 5 == 4 { 0 } else { 1 + dice.roll(30) };
        if wanted == 0 {
            writer.next().unwrap();
        }
        let told = writer.acknowledged(wanted);
        assert!(
            wanted == 0 || told.is_some(),
            "round {round}: the writer ended"
        );
        writer.kill();
        durable = durable
            .max(told.unwrap_or(0))
            .max(writer.rest().unwrap_or(0));

        let commits = verify(&location, &habits, &mut replay)
            .unwrap_or_else(|reason| panic!("{engine:?}, seed {seed}, round {round}: {reason}"));
        assert!(
            commits >= durable,
            "{engine:?}, seed {seed}, round {round}: {durable} acknowledged, {commits} there"
        );
    }
    assert!(durable > rounds, "the writers got somewhere");
}

#[test]
fn h59_a_killed_writer_loses_nothing_that_was_acknowledged_in_sled() {
    let directory = tempfile::tempdir().unwrap();
    kill_rounds(Engine::Sled, directory.path(), 11, 15);
}

#[test]
fn h59_a_killed_writer_loses_nothing_that_was_acknowledged_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    kill_rounds(Engine::Sqlite, directory.path(), 12, 15);
}

/// The next opener waits for the dead one's lease; what the server was still at when it died is whole or never comes.
#[test]
fn h59_a_killed_writer_loses_nothing_that_was_acknowledged_in_postgres() {
    let Some(fresh) = Fresh::make(Server::Postgres) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(ADDRESS), fresh.url()).unwrap();
    kill_rounds(Engine::Postgres, directory.path(), 13, 9);
}
