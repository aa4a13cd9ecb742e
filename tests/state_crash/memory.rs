//! What a store needs of memory does not grow with what was ever written to it.

use crate::model::Habits;
use crate::process::{Engine, Running};

/// The peak of a process that commits so many batches of 2,000 writes, in MB.
fn peak_mb(engine: Engine, commits: u64) -> Option<u64> {
    let directory = tempfile::tempdir().unwrap();
    let habits = Habits {
        seed: 21,
        writes: 2_000,
        keys: 20_000,
        window: 1,
        reopen: commits,
        large: false,
    };
    let mut writer = Running::start("fill", engine, directory.path(), &habits);
    let mut peak = None;
    while let Some(said) = writer.next() {
        if let Some(kib) = said.strip_prefix("peak ") {
            peak = Some(kib.parse::<u64>().expect("a number") / 1_000);
        }
    }
    writer.kill();
    peak
}

#[test]
fn what_large_commits_replace_is_freed() {
    for engine in [Engine::Sled, Engine::Sqlite] {
        let (Some(few), Some(many)) = (peak_mb(engine, 40), peak_mb(engine, 120)) else {
            eprintln!("SKIPPED: this system does not tell how much memory a process has");
            return;
        };
        println!("{engine:?}: {few} MB after 40 commits, {many} MB after 120");
        assert!(many * 2 < few * 3, "{engine:?}: {few} MB, then {many} MB");
    }
}
