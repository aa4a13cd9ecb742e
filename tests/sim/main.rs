//! The deterministic simulator: the real engine between a model of the CRM, a model of the database and a model of the
//! disk, with users on both sides, faults and kills (docs: `reliability`, chapter 3). One seed decides a whole world.
//!
//! `make simulate SEEDS=n` plays more of them; `make simulate SEED=k WORLD=foul` plays one and prints what happened.

#![allow(missing_docs, clippy::disallowed_methods)]

mod ablations;
mod chance;
mod crm;
mod database;
mod desk;
mod found;
mod life;
mod oracle;
mod people;
mod post;
mod queue;
mod settings;
mod store;
mod stories;
mod universe;

use life::{Play, play};
use universe::Death;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
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
    let began = std::time::Instant::now();
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
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!(
        "{how:?}: {count} seeds, {runs} runs, {points} points, {kills} kills, {held} waiting at the end, quiet after at most {slow} runs, {} failed, {rate:.0} seeds a second",
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed (`make simulate SEED=k WORLD={}` replays one):\n{}",
        failures.len(),
        format!("{how:?}").to_lowercase(),
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
    play_all(Play::Calm, 600);
}

#[test]
fn busy_worlds_converge() {
    play_all(Play::Busy, 800);
}

/// Every point of a few busy worlds, one after the other: the run that passes it dies there.
#[test]
fn every_point_of_a_run_may_be_the_last() {
    if let (Some(seed), Some(point)) = (number("SIM_SEED"), number("SIM_POINT")) {
        let played = play(seed, Play::Busy, Some(Death::At(point)));
        println!("{}", played.trace.join("\n"));
        assert_eq!(played.broken, Vec::<String>::new());
        return;
    }
    let mut failures = Vec::new();
    let (mut visited, mut places) = (0, std::collections::BTreeSet::new());
    let last = std::env::var("SIM_CRASH_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    for seed in 0..last {
        let whole = play(seed, Play::Busy, Some(Death::Never));
        places.extend(whole.life.shared.borrow().places.keys().copied());
        let longest = whole.life.longest_run;
        for point in 1..=longest {
            visited += 1;
            let played = play(seed, Play::Busy, Some(Death::At(point)));
            if !played.broken.is_empty() {
                failures.push(format!(
                    "seed {seed}, killed at point {point} of each run: {}",
                    played.broken.join("; ")
                ));
            }
        }
    }
    println!(
        "{visited} points visited, of {} kinds: {places:?}",
        places.len()
    );
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn foul_worlds_converge() {
    play_all(Play::Foul, 1000);
}
