//! The deterministic simulator: the real engine between a model of the CRM, a model of the database and a model of the
//! disk, with users on both sides, faults and kills (docs: `reliability`, chapter 3). One seed decides a whole world.
//!
//! `SIM_SEEDS=n` plays more of them, `SIM_SEED=k` plays one and prints what happened.

#![allow(missing_docs, clippy::disallowed_methods)]

mod chance;
mod crm;
mod database;
mod life;
mod oracle;
mod people;
mod settings;
mod store;
mod stories;
mod universe;

use life::{Play, play};

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..usual,
    }
}

/// Plays seeds, and fails with the first few that broke something.
fn play_all(how: Play, usual: u64) {
    let mut failures = Vec::new();
    let (mut runs, mut slow, mut held, mut kills, mut points) = (0, 0, 0, 0, 0);
    let all = seeds(usual);
    let count = all.end - all.start;
    for seed in all {
        let played = match std::panic::catch_unwind(|| play(seed, how, None)) {
            Ok(played) => played,
            Err(_) => {
                failures.push(format!("seed {seed}: PANIC"));
                continue;
            }
        };
        runs += played.life.runs;
        held += played.held;
        slow = slow.max(played.runs_until_quiet);
        let universe = played.life.shared.borrow();
        kills += universe.faults.get("kill").copied().unwrap_or(0);
        points += universe.all_points;
        if std::env::var_os("SIM_SEED").is_some() {
            println!("{}", played.trace.join("\n"));
        }
        if !played.broken.is_empty() {
            failures.push(format!(
                "seed {seed}: {}",
                played.broken.join("\n         ")
            ));
        }
    }
    println!(
        "{how:?}: {count} seeds, {runs} runs, {points} points, {kills} kills, {held} waiting at the end, quiet after at most {slow} runs, {} failed",
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed (SIM_SEED=k replays one):\n{}",
        failures.len(),
        failures
            .iter()
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn calm_worlds_converge() {
    play_all(Play::Calm, 300);
}

#[test]
fn busy_worlds_converge() {
    play_all(Play::Busy, 300);
}

#[test]
fn foul_worlds_converge() {
    play_all(Play::Foul, 4);
}
