//! T8 of docs/performance.md: durable links a second, 100 links a commit, for each store.
//!
//! A link is one key with all its facts (about 250 bytes) and one index entry. Beside it: reading pages of 100, and a scan in
//! the order of keys. `cargo bench --bench state [-- sled|sqlite|postgres] [sorted|shuffled] [1|8]`; STATE_BENCH_LINKS changes the
//! number of links, STATE_BENCH_COMMIT that of links a commit. STATE_BENCH_POSTGRES is the address of an empty database; without it,
//! PostgreSQL is left out.

// A bench measures with the machine's own clock.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

use contactbridge::config;
use contactbridge::state::{
    self, Batch, SharedPlace, StateLimits, StateLocation, StateStore, Table,
};

const LINKS_A_COMMIT: u64 = 100;
/// Links read at a time.
const PAGE: u64 = 100;

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let links = number("STATE_BENCH_LINKS", 100_000);
    let a_commit = number("STATE_BENCH_COMMIT", LINKS_A_COMMIT);
    let shared = std::env::var("STATE_BENCH_POSTGRES").ok();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    println!(
        "{links} links, {a_commit} a commit; every commit is durable before the next, or up to 8 are on their way"
    );
    println!(
        "{:<8} {:<9} {:>6} {:>12} {:>12} {:>12} {:>14} {:>10} {:>9}",
        "store",
        "order",
        "window",
        "links/s",
        "commits/s",
        "gets/s",
        "scan, keys/s",
        "reopen, s",
        "disk, MB"
    );
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for engine in ["sled", "sqlite", "postgres"] {
        if engine == "postgres" && shared.is_none() {
            continue;
        }
        for order in ["sorted", "shuffled"] {
            for window in [1, 8] {
                let names = [engine, order, &window.to_string()];
                if wanted.iter().all(|word| names.contains(&word.as_str())) {
                    let work = measure(engine, order, window, links, a_commit, shared.as_deref());
                    runtime.block_on(work);
                }
            }
        }
    }
}

fn id(order: &str, number: u64) -> u64 {
    match order {
        "sorted" => number,
        // Odd, so each number has its own place.
        _ => number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

fn facts(number: u64) -> Vec<u8> {
    let mut facts = Vec::with_capacity(256);
    while facts.len() < 250 {
        let mixed = (number ^ facts.len() as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        facts.extend_from_slice(&mixed.to_le_bytes());
    }
    facts
}

/// A schema of its own for each measurement.
fn place(address: &str, order: &str, window: usize) -> StateLocation {
    let address = format!(
        "{address}?schema=bench_{order}_{window}_{}",
        std::process::id()
    );
    match config::StateLocation::parse(&address, std::path::Path::new("/")) {
        Ok(config::StateLocation::Postgres(url)) => StateLocation::Postgres(SharedPlace::new(url)),
        other => panic!("{other:?} is no address of PostgreSQL"),
    }
}

async fn measure(
    engine: &str,
    order: &str,
    window: usize,
    links: u64,
    a_commit: u64,
    shared: Option<&str>,
) {
    let directory = tempfile::tempdir().expect("a directory");
    let location = match engine {
        "sled" => StateLocation::Sled(directory.path().into()),
        "postgres" => place(shared.expect("an address"), order, window),
        _ => StateLocation::Sqlite(directory.path().into()),
    };
    let limits = StateLimits::default();
    let now = chrono::Utc::now();
    let open = async || {
        state::open(&location, "members", [0; 8], &limits, now)
            .await
            .expect("a store")
            .0
    };

    let store = open().await;
    let begun = Instant::now();
    let mut waiting = std::collections::VecDeque::new();
    for commit in 0..links / a_commit {
        let mut batch = Batch::new();
        for entry in 0..a_commit {
            let number = commit * a_commit + entry;
            let key = id(order, number).to_be_bytes();
            batch.put(Table::Link, key, facts(number));
            batch.put(Table::ByLocal, number.to_be_bytes(), key);
        }
        waiting.push_back(store.commit(batch));
        if waiting.len() == window {
            waiting
                .pop_front()
                .expect("one waits")
                .await
                .expect("durable");
        }
    }
    for durable in waiting {
        durable.await.expect("durable");
    }
    let written = links as f64 / begun.elapsed().as_secs_f64();
    let commits = written / a_commit as f64;

    let begun = Instant::now();
    let pages = (links / PAGE).min(500);
    for page in 0..pages {
        let keys: Vec<Vec<u8>> = (0..PAGE)
            .map(|entry| (page * 7919 * PAGE + entry * 31) % links)
            .map(|number| id(order, number).to_be_bytes().to_vec())
            .collect();
        let found = store.get_many(Table::Link, &keys).await.expect("a page");
        assert!(found.iter().all(Option::is_some));
    }
    let gets = (pages * PAGE) as f64 / begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let mut scanned = 0u64;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store
            .range(Table::Link, after.as_deref(), 1000)
            .await
            .expect("a page");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        scanned += page.len() as u64;
    }
    assert_eq!(scanned, links / a_commit * a_commit);
    let scan = scanned as f64 / begun.elapsed().as_secs_f64();
    store.close().expect("a close");

    let begun = Instant::now();
    let store = open().await;
    let reopened = begun.elapsed().as_secs_f64();
    store.close().expect("a close");
    println!(
        "{engine:<8} {order:<9} {window:>6} {written:>12.0} {commits:>12.1} {gets:>12.0} {scan:>14.0} {reopened:>10.2} {:>9}",
        size(directory.path()) / 1_000_000
    );
}

fn size(path: &std::path::Path) -> u64 {
    let found = std::fs::symlink_metadata(path).expect("a file");
    if !found.is_dir() {
        return found.len();
    }
    std::fs::read_dir(path)
        .expect("a directory")
        .map(|entry| size(&entry.expect("an entry").path()))
        .sum()
}
