//! The child process: a writer that tells what is durable, and a checker that tells what it finds.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use contactbridge::model::ErrorKind;
use contactbridge::state::{self, AnyStore, SharedPlace, StateLimits, StateLocation, StateStore};

use crate::model::{Habits, Replay, cursor};

const KEY: [u8; 8] = *b"the key!";
const BRIDGE: &str = "members";
/// The file with the address of a shared state.
pub const ADDRESS: &str = "address";

/// Which store, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sled,
    Sqlite,
    /// On a server, whose address stands in the file [`ADDRESS`] of the directory.
    Postgres,
}

impl Engine {
    pub fn at(self, directory: &Path) -> StateLocation {
        match self {
            Self::Sled => StateLocation::Sled(directory.to_owned()),
            Self::Sqlite => StateLocation::Sqlite(directory.to_owned()),
            Self::Postgres => shared(&directory.join(ADDRESS)),
        }
    }
}

fn shared(file: &Path) -> StateLocation {
    let address = std::fs::read_to_string(file).expect("an address");
    match contactbridge::config::StateLocation::parse(&address, Path::new("/")) {
        Ok(contactbridge::config::StateLocation::Postgres(url)) => {
            StateLocation::Postgres(SharedPlace::new(url))
        }
        other => panic!("{other:?}"),
    }
}

/// Opens a store; one that a killed process has leased, as soon as its lease has run out.
pub fn open(location: &StateLocation) -> contactbridge::model::Result<AnyStore> {
    loop {
        match try_open(location) {
            Err(error) if error.kind() == ErrorKind::Busy && location.shared().is_some() => {}
            opened => return opened,
        }
    }
}

fn try_open(location: &StateLocation) -> contactbridge::model::Result<AnyStore> {
    let limits = StateLimits {
        free_bytes_min: 0,
        lease: Duration::from_secs(1),
        ..StateLimits::default()
    };
    let now = "2026-11-22T10:02:00Z".parse().expect("a date");
    runtime()
        .block_on(state::open(location, BRIDGE, KEY, &limits, now))
        .map(|(store, _)| store)
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

/// Opens and compares in this process. `Ok` answers the number of commits that are there, all of them whole.
pub fn verify(
    location: &StateLocation,
    habits: &Habits,
    replay: &mut Replay,
) -> Result<u64, String> {
    let store = open(location).map_err(|error| error.to_string())?;
    let commits = runtime().block_on(async {
        let commits = cursor(&store).await?;
        replay.advance(habits, commits);
        replay.compare(&store).await?;
        Ok::<_, String>(commits)
    })?;
    store.close().map_err(|error| error.to_string())?;
    Ok(commits)
}

/// A child at work.
pub struct Running {
    pub process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(task: &str, engine: Engine, directory: &Path, habits: &Habits) -> Self {
        let number = |value: u64| value.to_string();
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "child", "--ignored", "--nocapture", "--quiet"])
            .env("STATE_CHILD", task)
            .env("STATE_ENGINE", format!("{engine:?}"))
            .env("STATE_DIRECTORY", directory)
            .env("STATE_SEED", number(habits.seed))
            .env("STATE_WRITES", number(habits.writes))
            .env("STATE_KEYS", number(habits.keys))
            .env("STATE_WINDOW", number(habits.window as u64))
            .env("STATE_REOPEN", number(habits.reopen))
            .env("STATE_LARGE", number(u64::from(habits.large)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this binary starts again");
        let output = process.stdout.take().expect("a pipe");
        Self {
            process,
            lines: BufReader::new(output).lines(),
        }
    }

    /// What the child says next, until it ends.
    pub fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some(said) = line.split("child: ").nth(1) {
                return Some(said.to_owned());
            }
        }
    }

    /// Reads until `count` commits were acknowledged in this run; answers the last one.
    pub fn acknowledged(&mut self, count: u64) -> Option<u64> {
        let mut last = None;
        let mut seen = 0;
        while seen < count {
            let said = self.next()?;
            if let Some(number) = said.strip_prefix("durable ") {
                last = Some(number.parse().expect("a number"));
                seen += 1;
            }
        }
        last
    }

    /// What was said but not read; the child must be dead or stopped at a point where it says no more.
    pub fn rest(&mut self) -> Option<u64> {
        let mut last = None;
        while let Some(said) = self.next() {
            if let Some(number) = said.strip_prefix("durable ") {
                // The last line may be cut off by the kill; then nobody was told.
                last = number.parse().ok().or(last);
            }
        }
        last
    }

    /// Stops the child, and waits until each of its threads stands still.
    pub fn stop(&self) {
        let id = self.process.id().to_string();
        let status = Command::new("kill")
            .args(["-STOP", &id])
            .status()
            .expect("kill runs");
        assert!(status.success());
        let stands = |thread: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state follows the name, which stands in parentheses.
            let state = stat.rsplit(") ").next().unwrap_or("T");
            assert!(!state.starts_with('Z'), "the child died");
            state.starts_with('T') || state.is_empty()
        };
        for _ in 0..60_000 {
            let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("a live child");
            if threads.flatten().all(stands) {
                return;
            }
            #[allow(clippy::disallowed_methods)] // A thread in fsync stops when that returns.
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the child does not stop");
    }

    pub fn kill(&mut self) {
        // It may have ended already; then that is what the test finds.
        let _ = self.process.kill();
        self.process.wait().expect("a child that ended");
    }
}

fn setting(name: &str) -> u64 {
    std::env::var(name)
        .expect("set by the parent")
        .parse()
        .expect("a number")
}

/// What the ignored test does when it was started by [`Running::start`].
pub fn run_child() {
    let Ok(task) = std::env::var("STATE_CHILD") else {
        return;
    };
    let engine = match std::env::var("STATE_ENGINE").as_deref() {
        Ok("Sled") => Engine::Sled,
        Ok("Postgres") => Engine::Postgres,
        _ => Engine::Sqlite,
    };
    let directory = std::env::var_os("STATE_DIRECTORY").expect("set by the parent");
    let location = engine.at(Path::new(&directory));
    let habits = Habits {
        seed: setting("STATE_SEED"),
        writes: setting("STATE_WRITES"),
        keys: setting("STATE_KEYS"),
        window: setting("STATE_WINDOW") as usize,
        reopen: setting("STATE_REOPEN"),
        large: setting("STATE_LARGE") == 1,
    };
    println!("child: here");
    match task.as_str() {
        "write" => write_for_ever(&location, &habits),
        "fill" => fill(&location, &habits),
        "check" => {
            // An engine that hangs on damage is a failure of its own.
            let watchdog = std::thread::spawn(move || {
                match verify(&location, &habits, &mut Replay::default()) {
                    Ok(commits) => println!("child: whole {commits}"),
                    Err(reason) => println!("child: refused {reason}"),
                }
            });
            for _ in 0..600 {
                if watchdog.is_finished() {
                    return;
                }
                #[allow(clippy::disallowed_methods)] // A bound on a hang, not a pace.
                std::thread::sleep(Duration::from_millis(50));
            }
            println!("child: hangs");
            std::process::exit(1);
        }
        "append" => append_unsynced(Path::new(&directory)),
        other => panic!("no such task: {other}"),
    }
}

fn write_for_ever(location: &StateLocation, habits: &Habits) {
    let mut store = open(location).expect("the writer opens its store");
    println!("child: open");
    let runtime = runtime();
    runtime.block_on(async {
        let mut number = cursor(&store).await.expect("a cursor");
        let mut waiting = VecDeque::new();
        loop {
            number += 1;
            waiting.push_back((number, store.commit(habits.batch(number))));
            let reopen = habits.reopen > 0 && number % habits.reopen == 0;
            while waiting.len() >= habits.window.max(1) || (reopen && !waiting.is_empty()) {
                let (first, durable) = waiting.pop_front().expect("one waits");
                if let Err(error) = durable.await {
                    println!("child: failed {error}");
                    return;
                }
                println!("child: durable {first}");
            }
            if reopen {
                store.close().expect("a close");
                let location = location.clone();
                // `open` brings a runtime of its own, which may not nest in this one.
                store = std::thread::spawn(move || open(&location).expect("a reopen"))
                    .join()
                    .expect("an opener");
            }
        }
    });
}

/// Commits as many batches as `reopen` says, then dies without closing.
fn fill(location: &StateLocation, habits: &Habits) {
    let store = open(location).expect("the writer opens its store");
    runtime().block_on(async {
        for number in 1..=habits.reopen {
            store.commit(habits.batch(number)).await.expect("a commit");
            println!("child: durable {number}");
        }
    });
    if let Some(peak) = peak_kib() {
        println!("child: peak {peak}");
    }
    std::process::exit(0);
}

/// The most memory that this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The control of the power cut: acknowledges what it never synced.
fn append_unsynced(directory: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join("unsynced")).expect("a file");
    for number in 1u64.. {
        file.write_all(&[1; 1000]).expect("a write");
        println!("child: durable {number}");
    }
}
