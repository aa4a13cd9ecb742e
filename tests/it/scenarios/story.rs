//! What a story says: its orders, where the files of each run stand, and the tables in them.
//!
//! A table is CSV with a header, padded as it likes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that set a story up.
const SET_UP: [&str; 5] = ["kind", "bridge", "remote", "limit", "crm"];

/// Words about one run.
const OF_A_RUN: [&str; 19] = [
    "crm",
    "calm",
    "another",
    "sql",
    "restored",
    "command",
    "arguments",
    "asleep",
    "exit",
    "error",
    "report",
    "guard",
    "review",
    "quarantine",
    "queue",
    "asked",
    "purges",
    "unsent",
    "then",
];

/// Files that a story has but once.
const OF_A_STORY: [&str; 5] = [
    "story.txt",
    "mapping.yaml",
    "transaction.yaml",
    "agreed.csv",
    "agreed.txt",
];

/// Orders, each a word and what stands behind it.
#[derive(Clone, Default)]
pub struct Orders(Vec<(String, String)>);

impl Orders {
    /// What stands behind each order of this word.
    pub fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == word)
            .map(|(_, rest)| rest.as_str())
    }

    /// What stands behind the first order of this word.
    pub fn one<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        self.all(word).next()
    }

    /// The number behind this word.
    pub fn number<T: std::str::FromStr>(&self, word: &str) -> Option<T> {
        let read = |text: &str| text.parse().ok().unwrap_or_else(|| panic!("{word} {text}"));
        self.one(word).map(read)
    }

    fn only(&self, words: &[&str]) -> Self {
        let fits = |(word, _): &&(String, String)| words.contains(&word.as_str());
        Self(self.0.iter().filter(fits).cloned().collect())
    }
}

/// What `story.txt` says.
pub struct Story {
    pub title: String,
    pub set_up: Orders,
    pub runs: Vec<Orders>,
}

impl Story {
    pub fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("story.txt")).expect("story.txt");
        let (told, orders) = text.split_once("\n---\n").unwrap_or((&text, ""));
        let title = told.lines().next().unwrap_or_default().to_owned();
        let (mut set_up, mut runs) = (Orders::default(), Vec::new());
        for line in orders.lines().filter(|line| !line.trim().is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if word == "run" {
                runs.push(Orders::default());
                assert_eq!(rest.trim(), runs.len().to_string(), "{title}: {line}");
                continue;
            }
            let known = if runs.is_empty() {
                SET_UP.contains(&word) || OF_A_RUN.contains(&word)
            } else {
                OF_A_RUN.contains(&word)
            };
            assert!(known, "{title}: nobody knows {line:?} here");
            let orders = runs.last_mut().unwrap_or(&mut set_up);
            orders.0.push((word.to_owned(), rest.trim().to_owned()));
        }
        if runs.is_empty() {
            // A story of one run need not say so; its switches are set before anybody agrees.
            let of_a_run: Vec<&str> = OF_A_RUN.into_iter().filter(|word| *word != "crm").collect();
            runs.push(set_up.only(&of_a_run));
            set_up = set_up.only(&SET_UP);
        }
        let stray = set_up
            .0
            .iter()
            .find(|(word, _)| !SET_UP.contains(&word.as_str()));
        assert!(stray.is_none(), "{title}: before the first run: {stray:?}");
        Self {
            title,
            set_up,
            runs,
        }
    }
}

/// The files of one run. Those of the first stand in the story's folder, those of run N in its folder N.
pub struct Files {
    /// The newest run first.
    folders: Vec<PathBuf>,
}

impl Files {
    pub fn of(folder: &Path, run: usize) -> Self {
        let folders = (1..=run).rev().map(|number| match number {
            1 => folder.to_owned(),
            number => folder.join(number.to_string()),
        });
        Self {
            folders: folders.collect(),
        }
    }

    /// What happens in this run: `before`, or `asleep`.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folders[0].join(name)
    }

    /// The expectations by name; one that a run leaves out is that of the run before it.
    pub fn after(&self) -> Vec<(String, PathBuf)> {
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for folder in &self.folders {
            for (name, path) in tables_in(&folder.join("after")) {
                if !found.iter().any(|(known, _)| *known == name) {
                    found.push((name, path));
                }
            }
        }
        found
    }
}

/// Fails where a file of a story is one that nobody reads: it would tell nothing.
pub fn check_names(folder: &Path, runs: usize) {
    let known = |name: &str| {
        let of_a_run = match name.split_once('/') {
            Some((number, rest)) if (2..=runs).any(|run| run.to_string() == number) => rest,
            _ => name,
        };
        let is_table = of_a_run.ends_with(".csv");
        match of_a_run.split_once('/') {
            None => OF_A_STORY.contains(&name),
            Some(("before" | "asleep", file)) => is_table || file == "messages.txt",
            Some(("after", file)) => is_table || file == "told.txt",
            Some(_) => false,
        }
    };
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("a file of the story");
            let name = name.to_string_lossy();
            assert!(known(&name), "{}: nobody reads it", path.display());
        }
    }
}

/// The tables in a folder, by name.
pub fn tables_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default();
            (name.to_string_lossy().into_owned(), path.clone())
        })
        .collect();
    found.sort();
    found
}

/// A record by column.
pub type Record = BTreeMap<String, String>;

/// Rows in the order of their columns.
pub type Rows = Vec<Vec<String>>;

/// The column by which a story names somebody.
pub const WHO: &str = "who";

/// What it calls whoever a run makes.
pub const NEW: &str = "new";

/// The table in this file, if there is one.
pub fn table(path: &Path) -> Option<Vec<Record>> {
    let (columns, rows) = read(path)?;
    let record = |row: Vec<String>| columns.iter().cloned().zip(row).collect();
    Some(rows.into_iter().map(record).collect())
}

/// Columns and rows of an expectation, the rows in an order that does not matter.
pub fn expected(path: &Path) -> (Vec<String>, Rows) {
    let (columns, rows) = read(path).unwrap_or_else(|| panic!("no {}", path.display()));
    (columns, sorted(rows))
}

/// The same rows in an order by which they can be compared.
pub fn sorted(rows: impl IntoIterator<Item = Vec<String>>) -> Rows {
    let mut rows: Rows = rows.into_iter().collect();
    rows.sort();
    rows
}

fn read(path: &Path) -> Option<(Vec<String>, Rows)> {
    let text = fs::read(path).ok()?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(&text[..]);
    let header = reader.headers().expect("a header").clone();
    let rows = reader.records().flat_map(|row| {
        let row = row.expect("as many cells as the header has");
        spread(row.iter().map(str::to_owned).collect())
    });
    let rows = rows.collect();
    Some((header.iter().map(str::to_owned).collect(), rows))
}

/// A line of `p1..60` is sixty lines: the number stands in for each `#`.
fn spread(row: Vec<String>) -> Rows {
    let range = || {
        let (first, last) = row.first()?.split_once("..")?;
        let name = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let from: u32 = first[name.len()..].parse().ok()?;
        Some((name.to_owned(), from..=last.parse().ok()?))
    };
    let Some((name, numbers)) = range() else {
        return vec![row];
    };
    let line = |number: u32| {
        let number = number.to_string();
        let rest = row.iter().skip(1).map(|cell| cell.replace('#', &number));
        std::iter::once(format!("{name}{number}"))
            .chain(rest)
            .collect()
    };
    numbers.map(line).collect()
}
