//! T1 to T6 of docs/performance.md: the real binary against the simulator in another process.
//!
//! `cargo bench --bench end_to_end -- [t1 … t6 | t3-million]… [--state sled|sqlite] [--rounds N]`; without a name, all but
//! `t3-million`, which takes minutes. Each row of the table stands for one target, with what was measured beside it in the
//! same run; of several rounds the fastest counts, on each side.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark is there to read the clock"
)]

mod process;
mod project;
mod prototype;
mod scenario;
mod site;

use scenario::Bench;

const NAMES: [&str; 6] = ["t1", "t2", "t3", "t4", "t5", "t6"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(site::WORD) => return site::serve(&arguments[1..]),
        Some(prototype::WORD) => return prototype::run(&arguments[1..]),
        _ => {}
    }
    let mut bench = Bench::default();
    let mut chosen: Vec<&str> = Vec::new();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--rounds" => {
                let rounds = words.next().and_then(|count| count.parse().ok());
                bench.rounds = rounds.expect("--rounds N");
            }
            "--state" => {
                bench.states = match words.next() {
                    Some("sled") => vec!["sled"],
                    Some("sqlite") => vec!["sqlite"],
                    _ => panic!("--state sled, or --state sqlite"),
                }
            }
            name if NAMES.contains(&name) || name == "t3-million" => chosen.push(name),
            other => panic!("{other}: not one of {NAMES:?}, t3-million, --state and --rounds"),
        }
    }
    if chosen.is_empty() {
        chosen.extend(NAMES);
    }
    println!("| what | state | measured | target | ratio | load |");
    println!("|---|---|---|---|---|---|");
    for name in chosen {
        match name {
            "t1" => bench.first_load(),
            "t2" => bench.first_load_over_a_network(),
            "t3" => bench.memory(20_000, [64.0, 64.0]),
            "t3-million" => bench.memory(1_000_000, [200.0, 110.0]),
            "t4" => bench.nothing_changed(),
            "t5" => bench.changes_on_both_sides(),
            _ => bench.new_rows(),
        }
    }
}
