//! What the simulator counts while it plays, kept as files where `EVIDENCE_DIR` says so, and made into docs/evidence.md by
//! `make evidence`. No number of that page is typed in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::life::Played;

/// What a number of plays came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub seeds: u64,
    pub runs: u64,
    pub calls: u64,
    pub points: u64,
    pub hours: u64,
    pub faults: BTreeMap<String, u64>,
    /// Edits in the CRM that a push overwrote, or a deletion took, within the round trip between look and write.
    pub windows: u64,
    /// Kinds of places where a run may die, that were passed.
    pub places: BTreeSet<String>,
    /// And those where one did.
    pub killed_at: BTreeSet<String>,
    pub held: BTreeMap<String, u64>,
    pub violations: u64,
    pub runs_until_quiet: u64,
    pub played_twice: u64,
    pub seconds: f64,
}

impl Tally {
    pub fn add(&mut self, played: &Played) {
        let universe = played.life.shared.borrow();
        self.seeds += 1;
        self.runs += played.life.runs;
        self.calls += universe.crm.requests;
        self.points += universe.all_points;
        self.hours += universe.monotonic.as_secs() / 3600;
        self.windows += universe.windows;
        for (kind, count) in &universe.faults {
            *self.faults.entry((*kind).to_owned()).or_default() += count;
        }
        self.places
            .extend(universe.places.keys().map(|place| (*place).to_owned()));
        self.killed_at
            .extend(universe.killed_at.iter().map(|place| (*place).to_owned()));
        for (code, count) in &played.codes {
            *self.held.entry(code.clone()).or_default() += count;
        }
        self.violations += u64::from(!played.broken.is_empty());
        self.runs_until_quiet = self.runs_until_quiet.max(played.runs_until_quiet);
    }
}

/// The seed that noticed a mechanism's absence.
#[derive(Debug, Serialize, Deserialize)]
pub struct Noticed {
    pub mechanism: String,
    pub seed: u64,
    pub first: String,
}

/// Kills at every point of runs, one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Points {
    pub of: u64,
    pub visited: u64,
    pub failed: u64,
    pub killed_at: BTreeSet<String>,
}

/// Lives of a bridge to a service of another kind than lists.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Lives {
    pub how: String,
    pub seeds: u64,
    pub failed: u64,
}

/// CPU time of this thread so far, where the system tells: the rate must not depend on who else is at work.
pub fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
}

fn directory() -> Option<PathBuf> {
    std::env::var_os("EVIDENCE_DIR").map(PathBuf::from)
}

/// Keeps what was counted, where somebody asked for it.
pub fn keep<T: Serialize>(name: &str, counted: &T) {
    let Some(directory) = directory() else { return };
    fs::create_dir_all(&directory).expect("a directory");
    let text = serde_json::to_string_pretty(counted).expect("JSON");
    fs::write(directory.join(format!("{name}.json")), text).expect("a file");
}

/// Keeps what the lives of one kind came to.
pub fn keep_lives(name: &str, how: String, usual: u64, failures: &[String]) {
    let range = crate::seeds(usual);
    let counted = Lives {
        how,
        seeds: range.end - range.start,
        failed: failures.len() as u64,
    };
    keep(name, &counted);
}

fn all<T: for<'de> Deserialize<'de>>(prefix: &str) -> Vec<(String, T)> {
    let directory = directory().expect("EVIDENCE_DIR");
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("what was counted")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.strip_prefix(prefix)?.to_owned();
            let text = fs::read_to_string(&path).ok()?;
            Some((name, serde_json::from_str(&text).ok()?))
        })
        .collect()
}

/// A file of one fact a line, `name<TAB>value…`, that a script has left.
fn lines(name: &str) -> Vec<Vec<String>> {
    let path = directory().expect("EVIDENCE_DIR").join(name);
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text + "\n"
}

fn short(text: &str) -> String {
    let line: String = text.chars().take(100).collect();
    line.replace('|', "/")
}

/// The page. Run by `make evidence`, after everything that is counted in it.
#[test]
#[ignore = "writes docs/evidence.md; `make evidence` runs it"]
fn write_docs_evidence() {
    let mut page = String::from(
        "# Evidence\n\nWritten by `make evidence`; every number here was counted by what was run, and none was typed in. What a row of a table means is told in \
         `docs/sync-semantics.md`, how the worlds are made in `tests/sim`.\n\n",
    );
    for fact in lines("facts.tsv") {
        page += &format!("- {}\n", fact.join(": "));
    }

    page += "\n## Simulated worlds\n\nOne number decides a world: the service's habits, the set-up of the bridge, faults, kills, what users do and when. At the end all \
             stops, and nothing may be lost, doubled or different, nor may the second run after that write anything.\n\n";
    let worlds: Vec<(String, Tally)> = all("world-");
    let row = |name: &str, of: &dyn Fn(&Tally) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(worlds.iter().map(|(_, tally)| of(tally)));
        cells
    };
    let mut head = vec![""];
    head.extend(worlds.iter().map(|(name, _)| name.as_str()));
    page += &table(
        &head,
        &[
            row("seeds", &|tally| tally.seeds.to_string()),
            row("of them with a violation", &|tally| {
                tally.violations.to_string()
            }),
            row("runs of the bridge", &|tally| tally.runs.to_string()),
            row("calls to the service", &|tally| tally.calls.to_string()),
            row("points at which a run could die", &|tally| {
                tally.points.to_string()
            }),
            row("simulated hours", &|tally| tally.hours.to_string()),
            row("runs until quiet, at most", &|tally| {
                tally.runs_until_quiet.to_string()
            }),
            row("seeds played twice, to the same end", &|tally| {
                tally.played_twice.to_string()
            }),
            row("edits lost in the unavoidable window", &|tally| {
                tally.windows.to_string()
            }),
            row("seeds a second and core", &|tally| {
                format!("{:.0}", tally.seeds as f64 / tally.seconds.max(0.001))
            }),
        ],
    );
    page += "The unavoidable window is the round trip between the look at a contact and the write of it: the service has no compare-and-swap, so an edit made there in just that moment \
             is overwritten (`docs/limitations.md`). The users of these worlds act while the bridge runs, as often as every seventh call.\n\n";
    let kinds: BTreeSet<&String> = worlds
        .iter()
        .flat_map(|(_, tally)| tally.faults.keys())
        .collect();
    let faults: Vec<Vec<String>> = kinds
        .iter()
        .map(|kind| {
            row(kind, &|tally| {
                tally.faults.get(*kind).copied().unwrap_or(0).to_string()
            })
        })
        .collect();
    page += "### Faults\n\n";
    page += &table(&head, &faults);
    let codes: BTreeSet<&String> = worlds
        .iter()
        .flat_map(|(_, tally)| tally.held.keys())
        .collect();
    let held: Vec<Vec<String>> = codes
        .iter()
        .map(|code| {
            row(code, &|tally| {
                tally.held.get(*code).copied().unwrap_or(0).to_string()
            })
        })
        .collect();
    page += "### What waited for a person in the end\n\n";
    page += &table(&head, &held);

    page += "## Kills at every point\n\n";
    for (_, points) in all::<Points>("points") {
        page += &format!(
            "{} busy worlds, each played once for every point of its longest run, which dies there every time: {} plays, {} with a violation.\n\n",
            points.of, points.visited, points.failed,
        );
        let mut died = points.killed_at;
        let mut passed = died.clone();
        for (_, tally) in &worlds {
            died.extend(tally.killed_at.iter().cloned());
            passed.extend(tally.places.iter().cloned());
        }
        let listed = |places: &mut dyn Iterator<Item = &String>| {
            places
                .map(|place| format!("`{place}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        page += &format!(
            "With the kills at random, runs died at {} of the {} kinds of points that any run passed: {}.",
            died.len(),
            passed.len(),
            listed(&mut died.iter())
        );
        let never = listed(&mut passed.difference(&died));
        if !never.is_empty() {
            page += &format!(" Never at: {never}.");
        }
        page += "\n\n";
    }
    for (_, pairs) in all::<Points>("pairs") {
        page += &format!(
            "The same worlds, with two runs that die: one at each point, and one of those that come after it at a point that chance picks, five for each: {} plays, {} with a violation.\n\n",
            pairs.visited, pairs.failed,
        );
    }
    page +=
        "## Queues\n\nThe same for a service that queues what changed (Association Anywhere).\n\n";
    let lives = |prefix: &str| -> Vec<Vec<String>> {
        all::<Lives>(prefix)
            .into_iter()
            .map(|(_, lives)| vec![lives.how, lives.seeds.to_string(), lives.failed.to_string()])
            .collect()
    };
    let head = ["worlds", "seeds", "with a violation"];
    page += &table(&head, &lives("queue-"));
    page += "## Messages\n\nThe same for an application that sends messages and takes them (Data Sync), by ways that lose, repeat and delay them, and passes that die.\n\n";
    page += &table(&head, &lives("messages-"));

    let noticed: Vec<(String, Noticed)> = all("without-");
    page += &format!(
        "## Mechanisms taken away\n\nEach was taken away at a port, the engine being the one that is shipped, and seeds were played until one broke that is clean with it: {} of {}.\n\n",
        noticed
            .iter()
            .filter(|(_, noticed)| !noticed.first.is_empty())
            .count(),
        noticed.len()
    );
    let rows: Vec<Vec<String>> = noticed
        .iter()
        .map(|(_, noticed)| {
            vec![
                noticed.mechanism.clone(),
                noticed.seed.to_string(),
                short(&noticed.first),
            ]
        })
        .collect();
    page += &table(&["without", "first seed that breaks", "how"], &rows);

    page +=
        "## Fuzzing\n\nEach input may take 50 ms of CPU time and 64 MB for each 64 kB of it.\n\n";
    let fuzzed = lines("fuzz.tsv");
    if fuzzed.is_empty() {
        page += "Not run (`make fuzz`).\n\n";
    } else {
        page += &table(&["target", "seconds", "inputs tried", "findings"], &fuzzed);
    }
    page += "## Kills of the real program\n\n";
    page += &table(&["test", "what it counted"], &lines("kills.tsv"));
    page += "## Bad inputs\n\n";
    page += &table(&["tests", "passed"], &lines("bad.tsv"));
    page += "## Mutation testing\n\n";
    let mutants = lines("mutants.tsv");
    if mutants.is_empty() {
        page += "Not run (`make mutants`).\n\n";
    } else {
        page += "What is left is explained one by one in `docs/mutants.md`.\n\n";
        let heads = [
            "file",
            "mutants",
            "caught",
            "timed out",
            "not compilable",
            "left",
        ];
        page += &table(&heads, &mutants);
    }
    page += include_str!("not_covered.md");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence.md");
    fs::write(path, page).expect("docs/evidence.md");
}
