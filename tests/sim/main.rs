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
mod drawn;
mod evidence;
mod found;
mod life;
mod one_way;
mod oracle;
mod people;
mod post;
mod queue;
mod rare;
mod said;
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
    let first = number("SIM_FIRST").unwrap_or(0);
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => first..first + count,
        (None, None) => 0..usual,
    }
}

/// Plays seeds of one kind of life, each of which gives what it broke and its trace; what was broken, a line a seed.
fn broken_seeds(usual: u64, play: impl Fn(u64) -> (Vec<String>, Vec<String>)) -> Vec<String> {
    let mut failures = Vec::new();
    for seed in seeds(usual) {
        let (broken, trace) = play(seed);
        if !trace.is_empty() {
            println!("{}", trace.join("\n"));
        }
        if !broken.is_empty() {
            failures.push(format!("seed {seed}: {}", broken.join("; ")));
        }
    }
    failures
}

/// Fails with the first few of these.
#[track_caller]
fn assert_none(failures: &[String], how: &impl std::fmt::Debug) {
    assert!(
        failures.is_empty(),
        "{how:?}: {} failed (SIM_SEED=k replays one):\n{}",
        failures.len(),
        failures[..failures.len().min(12)].join("\n")
    );
}

/// Plays seeds, and fails with the first few that broke something.
fn play_all(how: Play, usual: u64) {
    let mut failures = Vec::new();
    let mut tally = evidence::Tally::default();
    let mut held = 0;
    let all = seeds(usual);
    let count = all.end - all.start;
    let began = std::time::Instant::now();
    let cpu = evidence::cpu_seconds();
    for seed in all {
        let played = match std::panic::catch_unwind(|| play(seed, how, None)) {
            Ok(played) => played,
            Err(_) => {
                failures.push(format!("seed {seed}: PANIC"));
                continue;
            }
        };
        tally.add(&played);
        held += played.held;
        if std::env::var_os("SIM_SEED").is_some() {
            println!("{}", played.trace.join("\n"));
        }
        if seed % 100 == 0 {
            tally.played_twice += 1;
            if play(seed, how, None).fingerprint() != played.fingerprint() {
                failures.push(format!("seed {seed} came to another end when played again"));
            }
        }
        if !played.broken.is_empty() {
            failures.push(format!(
                "seed {seed}: {}",
                played.broken.join("\n         ")
            ));
        }
    }
    tally.seconds = match (cpu, evidence::cpu_seconds()) {
        (Some(before), Some(after)) => after - before,
        _ => began.elapsed().as_secs_f64(),
    };
    let rate = count as f64 / tally.seconds;
    let kills = tally.faults.get("kill").copied().unwrap_or(0);
    println!(
        "{how:?}: {count} seeds, {} runs, {} points, {kills} kills, {held} waiting at the end, quiet after at most {} runs, {} failed, {rate:.0} seeds a second",
        tally.runs,
        tally.points,
        tally.runs_until_quiet,
        failures.len()
    );
    tally.violations = failures.len() as u64;
    evidence::keep(
        &format!("world-{}", format!("{how:?}").to_lowercase()),
        &tally,
    );
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed (`make simulate SEED=k WORLD={}` replays one):\n{}",
        failures.len(),
        format!("{how:?}").to_lowercase(),
        failures
            .iter()
            .take(number("SIM_SHOW").unwrap_or(12) as usize)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn calm_worlds_converge() {
    play_all(Play::Calm, 400);
}

#[test]
fn busy_worlds_converge() {
    play_all(Play::Busy, 500);
}

/// How many busy worlds are played to their points.
fn crash_seeds() -> u64 {
    number("SIM_CRASH_SEEDS").unwrap_or(2)
}

/// A run dies at each point, and one that comes after it dies too, at points that chance picks: what the first left behind is mended
/// in steps as well.
#[test]
fn a_run_that_recovers_may_be_the_last_too() {
    let points = number("SIM_POINT").zip(number("SIM_SECOND"));
    if let (Some(seed), Some((first, second))) = (number("SIM_SEED"), points) {
        let played = play(seed, Play::Busy, Some(Death::Twice(first, second)));
        println!("{}", played.trace.join("\n"));
        assert_eq!(played.broken, Vec::<String>::new());
        return;
    }
    let mut failures = Vec::new();
    let mut pairs = 0;
    // A sample is enough for every day; the evidence takes a larger one.
    let each = if number("SIM_CRASH_SEEDS").is_some() {
        5
    } else {
        1
    };
    for seed in 0..crash_seeds() {
        let longest = play(seed, Play::Busy, Some(Death::Never)).life.longest_run;
        let mut chance = chance::Chance::new(seed);
        for first in 1..=longest {
            for _ in 0..each {
                let second = chance.between(1, longest);
                let death = Death::Twice(first, second);
                let broken = play(seed, Play::Busy, Some(death)).broken;
                pairs += 1;
                if !broken.is_empty() {
                    failures.push(format!("seed {seed}, {death:?}: {}", broken.join("; ")));
                }
            }
        }
    }
    evidence::keep(
        "pairs",
        &evidence::Points {
            of: crash_seeds(),
            visited: pairs,
            failed: failures.len() as u64,
            ..evidence::Points::default()
        },
    );
    println!("{pairs} pairs of points visited");
    assert_none(&failures, &"pairs");
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
    let last = crash_seeds();
    for seed in 0..last {
        let whole = play(seed, Play::Busy, Some(Death::Never));
        let longest = whole.life.longest_run;
        for point in 1..=longest {
            visited += 1;
            let played = play(seed, Play::Busy, Some(Death::At(point)));
            places.extend(played.life.shared.borrow().killed_at.iter().copied());
            if !played.broken.is_empty() {
                failures.push(format!(
                    "seed {seed}, killed at point {point} of each run: {}",
                    played.broken.join("; ")
                ));
            }
        }
    }
    evidence::keep(
        "points",
        &evidence::Points {
            of: last,
            visited,
            failed: failures.len() as u64,
            killed_at: places.iter().map(|place| (*place).to_owned()).collect(),
        },
    );
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
    play_all(Play::Foul, 800);
}

#[test]
fn kin_worlds_converge() {
    play_all(Play::Kin, 600);
}

#[test]
fn rare_worlds_converge() {
    play_all(Play::Rare, 600);
}

#[test]
fn narrow_worlds_converge() {
    play_all(Play::Narrow, 500);
}
