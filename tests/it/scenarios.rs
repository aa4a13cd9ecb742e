//! The stories of `tests/scenarios`: each a folder of files that anybody can read, played with the real binary against the
//! simulated CRM and a SQLite file. How one is written stands in `tests/scenarios/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use contactbridge::simulator::contactlist::{Deletion, Person, year_one};

use crate::support::{Project, Setup};

/// A record by column.
type Record = BTreeMap<String, String>;

/// The column by which a story names somebody.
const WHO: &str = "who";

/// The column by which an edit in the CRM was made so many minutes from now.
const MINUTES: &str = "minutes";

/// What `story.txt` says.
#[derive(Default)]
struct Story {
    title: String,
    orders: Vec<(String, String)>,
}

impl Story {
    fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("story.txt")).expect("story.txt");
        let (told, orders) = text.split_once("\n---\n").unwrap_or((&text, ""));
        Self {
            title: told.lines().next().unwrap_or_default().to_owned(),
            orders: orders
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| {
                    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
                    (word.to_owned(), rest.trim().to_owned())
                })
                .collect(),
        }
    }

    fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.orders
            .iter()
            .filter(move |(known, _)| known == word)
            .map(|(_, rest)| rest.as_str())
    }

    fn one<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        self.all(word).next()
    }

    fn exit(&self, word: &str) -> Option<i32> {
        self.one(word).map(|text| text.parse().expect("a number"))
    }
}

fn table(path: &Path) -> Option<Vec<Record>> {
    let text = fs::read(path).ok()?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(&text[..]);
    let header = reader.headers().expect("a header").clone();
    let rows = reader.records().map(|row| {
        let row = row.expect("as many cells as the header has");
        header
            .iter()
            .zip(row.iter())
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    });
    Some(rows.collect())
}

fn set(person: &mut Person, column: &str, cell: &str) {
    let text = Some(cell.to_owned()).filter(|text| !text.is_empty());
    match column {
        WHO | MINUTES => {}
        "externalId" => person.external_id = text,
        "emailAddress" => person.email_address = text,
        "firstName" => person.first_name = text,
        "lastName" => person.last_name = text,
        "dateOfBirth" => {
            person.date_of_birth = text.map_or_else(year_one, |text| {
                let day: chrono::NaiveDate = text.parse().expect("a date");
                day.and_hms_opt(0, 0, 0).expect("midnight")
            });
        }
        "MasterOptIn" => person.master_opt_in = cell == "yes",
        other => panic!("the CRM has no {other}"),
    }
}

fn get(person: &Person, column: &str) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match column {
        "externalId" => text(&person.external_id),
        "emailAddress" => text(&person.email_address),
        "firstName" => text(&person.first_name),
        "lastName" => text(&person.last_name),
        "dateOfBirth" if person.date_of_birth == year_one() => String::new(),
        "dateOfBirth" => person.date_of_birth.date().to_string(),
        "MasterOptIn" => if person.master_opt_in { "yes" } else { "no" }.into(),
        other => panic!("the CRM has no {other}"),
    }
}

fn quoted(cell: &str) -> String {
    if cell.is_empty() {
        "NULL".into()
    } else {
        format!("'{}'", cell.replace('\'', "''"))
    }
}

/// A story under way.
struct Play {
    project: Project,
    contacts: BTreeMap<String, i32>,
    rows: BTreeMap<String, String>,
    vanish: bool,
}

impl Play {
    fn begin(folder: &Path, story: &Story) -> Self {
        let shared = folder.parent().expect("a parent").join("mapping.yaml");
        let own = folder.join("mapping.yaml");
        let mapping = fs::read_to_string(&own)
            .or_else(|_| fs::read_to_string(&shared))
            .expect("a mapping");
        let mut setup = Setup::default().mapping(&mapping);
        for line in story.all("bridge") {
            setup = setup.key(line);
        }
        for line in story.all("limit") {
            setup = setup.limit(line);
        }
        let project = setup.build();
        for switch in story.all("crm") {
            project
                .crm
                .switch(switch)
                .expect("a switch of the simulator");
        }
        Self {
            project,
            contacts: BTreeMap::new(),
            rows: BTreeMap::new(),
            vanish: story.all("crm").any(|switch| switch == "deletion=vanish"),
        }
    }

    /// Everybody of `agreed.csv` is in the CRM, and the bridge makes the rows.
    fn agree(&mut self, people: &[Record]) {
        for record in people {
            self.insert_contact(record);
        }
        self.project.sync(0);
        for (who, id) in &self.contacts {
            let key = self.project.cell(&format!(
                "SELECT row_key FROM contactbridge_links WHERE remote_id = '{id}'"
            ));
            self.rows.insert(who.clone(), key);
        }
        self.project.quiet_sync(0);
    }

    fn insert_contact(&mut self, record: &Record) {
        let mut person = Person::new(0);
        for (column, cell) in record {
            set(&mut person, column, cell);
        }
        let id = self.project.crm.insert(person);
        self.contacts.insert(record[WHO].clone(), id);
    }

    /// The users of the CRM make it look like this.
    fn edit_crm(&mut self, wanted: &[Record]) {
        for record in wanted {
            let Some(&id) = self.contacts.get(&record[WHO]) else {
                self.insert_contact(record);
                continue;
            };
            let person = self.project.crm.person(id).expect("the contact");
            let differs = |column: &str, cell: &str| {
                ![WHO, MINUTES].contains(&column) && get(&person, column) != cell
            };
            if record.iter().any(|(column, cell)| differs(column, cell)) {
                self.project.crm.edit(id, |person| {
                    for (column, cell) in record {
                        set(person, column, cell);
                    }
                });
                self.restamp(id, record);
            }
        }
        let how = if self.vanish {
            Deletion::Vanish
        } else {
            Deletion::Flag
        };
        for (who, id) in &self.contacts {
            if !wanted.iter().any(|record| record[WHO] == *who) {
                assert!(self.project.crm.delete(*id, how), "{who}");
            }
        }
    }

    fn restamp(&self, id: i32, record: &Record) {
        let Some(minutes) = record.get(MINUTES).filter(|cell| !cell.is_empty()) else {
            return;
        };
        let by = chrono::Duration::minutes(minutes.parse().expect("minutes"));
        self.project
            .crm
            .edit_unstamped(id, |person| person.last_update_date += by);
    }

    /// The users of the database make it look like this.
    fn edit_database(&mut self, wanted: &[Record]) {
        for record in wanted {
            let cells: Vec<(&String, &String)> =
                record.iter().filter(|(column, _)| *column != WHO).collect();
            match self.rows.get(&record[WHO]) {
                Some(key) => {
                    for (column, cell) in cells {
                        let cell = quoted(cell);
                        self.project.sql(&format!(
                            "UPDATE customers SET {column} = {cell} WHERE id = {key} AND {column} IS NOT {cell}"
                        ));
                    }
                }
                None => {
                    let names: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
                    let values: Vec<String> = cells.iter().map(|(_, cell)| quoted(cell)).collect();
                    self.project.sql(&format!(
                        "INSERT INTO customers ({}) VALUES ({})",
                        names.join(", "),
                        values.join(", ")
                    ));
                    let key = self.project.cell("SELECT max(id) FROM customers");
                    self.rows.insert(record[WHO].clone(), key);
                }
            }
        }
        for (who, key) in &self.rows {
            if !wanted.iter().any(|record| record[WHO] == *who) {
                self.project
                    .sql(&format!("DELETE FROM customers WHERE id = {key}"));
            }
        }
    }

    /// What the CRM shows in these columns; who is new there has no name.
    fn shown_by_crm(&self, columns: &[String]) -> Vec<Vec<String>> {
        let name = |id: i32| {
            let known = self.contacts.iter().find(|(_, known)| **known == id);
            known.map_or("new".to_owned(), |(who, _)| who.clone())
        };
        let people = self.project.crm.people();
        let living = people.iter().filter(|person| !person.deleted);
        sorted(living.map(|person| {
            columns
                .iter()
                .map(|column| match column.as_str() {
                    WHO => name(person.entity_id),
                    column => get(person, column),
                })
                .collect()
        }))
    }

    fn shown_by_database(&self, columns: &[String]) -> Vec<Vec<String>> {
        let selected: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                WHO => "id".to_owned(),
                "deleted_at" => "iif(deleted_at IS NULL, '', 'marked')".to_owned(),
                column => format!("ifnull({column}, '')"),
            })
            .collect();
        let rows = self
            .project
            .rows(&format!("SELECT {} FROM customers", selected.join(", ")));
        sorted(rows.into_iter().map(|mut row| {
            if let Some(at) = columns.iter().position(|column| column == WHO) {
                let known = self.rows.iter().find(|(_, key)| **key == row[at]);
                row[at] = known.map_or("new".to_owned(), |(who, _)| who.clone());
            }
            row
        }))
    }
}

fn sorted(rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = rows.collect();
    rows.sort();
    rows
}

/// Columns and rows of an expectation, in the order of its columns.
fn expected(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
    let columns: Vec<String> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    let records = table(path).expect("a table");
    let rows = sorted(records.iter().map(|record| {
        columns
            .iter()
            .map(|column| record[column].clone())
            .collect()
    }));
    (columns, rows)
}

/// Every count that the story does not name must be 0, but for what was merely read or unchanged.
fn check_report(title: &str, story: &Story, report: &serde_json::Value) {
    let wanted: BTreeMap<&str, u64> = story
        .all("report")
        .map(|line| {
            let (name, count) = line.split_once(' ').expect("a name and a count");
            (name, count.trim().parse().expect("a count"))
        })
        .collect();
    let mut names = vec![
        "conflicts".to_owned(),
        "review".into(),
        "quarantined".into(),
    ];
    for way in ["pull", "push"] {
        for count in ["created", "updated", "deleted", "held"] {
            names.push(format!("{way}.{count}"));
        }
    }
    for name in wanted.keys() {
        assert!(
            names.iter().any(|known| known == name),
            "{title}: no {name}"
        );
    }
    for name in &names {
        let pointer = format!("/{}", name.replace('.', "/"));
        let count = report.pointer(&pointer).and_then(serde_json::Value::as_u64);
        let wanted = wanted.get(name.as_str()).copied().unwrap_or(0);
        assert_eq!(count, Some(wanted), "{title}: {name} in {report:#}");
    }
    if let Some(guard) = story.one("guard") {
        assert_eq!(report["guard"], guard, "{title}: {report:#}");
    }
}

fn check_held(title: &str, story: &Story, project: &Project) {
    for list in ["review", "quarantine"] {
        let mut codes: Vec<String> = project
            .line(&format!("{list} list --format json"))
            .exits(0)
            .json()
            .as_array()
            .expect("a list")
            .iter()
            .map(|held| held["code"].as_str().unwrap_or_default().to_owned())
            .collect();
        let mut wanted: Vec<String> = story.all(list).map(str::to_owned).collect();
        codes.sort();
        wanted.sort();
        assert_eq!(codes, wanted, "{title}: {list} list");
    }
}

fn play(folder: &Path) {
    let story = Story::read(folder);
    let title = &story.title;
    let mut play = Play::begin(folder, &story);
    match table(&folder.join("agreed.csv")) {
        Some(people) => play.agree(&people),
        // Two sides that have never met; the empty run makes the table.
        None => {
            play.project.sync(0);
        }
    }
    let backup = story
        .one("restored")
        .is_some()
        .then(|| play.project.crm.backup());
    if backup.is_some() {
        // A backup is older than any replica that merely lags behind.
        play.project.crm.advance(chrono::Duration::minutes(50));
    }
    // In this order, so that what a contact shows is the later edit.
    if let Some(rows) = table(&folder.join("before/database.csv")) {
        play.edit_database(&rows);
    }
    if let Some(contacts) = table(&folder.join("before/crm.csv")) {
        play.edit_crm(&contacts);
    }
    if let Some(backup) = backup {
        play.project.sync(0);
        play.project.crm.restore(backup);
    }
    for line in story.all("command") {
        play.project.line(line).exits(0);
    }
    let arguments = story.one("arguments").unwrap_or_default();
    let exit = story.exit("exit").unwrap_or(0);
    let ran = play
        .project
        .line(&format!("sync --format json {arguments}"))
        .exits(exit);
    check_report(title, &story, &ran.json()["bridges"][0]);
    check_held(title, &story, &play.project);
    let (columns, contacts) = expected(&folder.join("after/crm.csv"));
    assert_eq!(play.shown_by_crm(&columns), contacts, "{title}: the CRM");
    let (columns, rows) = expected(&folder.join("after/database.csv"));
    assert_eq!(
        play.shown_by_database(&columns),
        rows,
        "{title}: the database"
    );
    if exit != 4 {
        play.project.quiet_sync(story.exit("then").unwrap_or(exit));
    }
}

/// Every row of the tables: the name in the first cell of its line.
fn rows_of_the_tables() -> BTreeSet<String> {
    let tables = include_str!("../../docs/sync-semantics.md");
    cells(tables).filter(|name| is_row(name)).collect()
}

/// The first cell of each line of the tables of a text.
fn cells(text: &str) -> impl Iterator<Item = String> {
    let cell = |line: &str| {
        line.strip_prefix("| ")?
            .split('|')
            .next()
            .map(str::to_owned)
    };
    text.lines()
        .filter_map(cell)
        .map(|cell| cell.trim().to_owned())
}

/// A capital and a number, such as F12.
fn is_row(name: &str) -> bool {
    let (letter, number) = name.split_at_checked(1).unwrap_or_default();
    letter.chars().all(|letter| letter.is_ascii_uppercase()) && number.parse::<u32>().is_ok()
}

/// What the title of a story tells of: the names before the two spaces.
fn rows_of(title: &str) -> Vec<String> {
    let (names, _) = title.split_once("  ").unwrap_or_default();
    names.split(", ").map(str::to_owned).collect()
}

/// The folders of the stories, in order.
fn folders() -> Vec<PathBuf> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut folders: Vec<PathBuf> = fs::read_dir(scenarios)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Plays every story whose folder begins with one of these letters.
fn play_all(letters: &[&str]) {
    let only = std::env::var("SCENARIO").ok();
    let mut failed = Vec::new();
    let mut played = 0;
    for folder in folders() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let wanted = letters.iter().any(|letter| name.starts_with(letter));
        if !wanted || only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        played += 1;
        if std::panic::catch_unwind(|| play(&folder)).is_err() {
            failed.push(name.into_owned());
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {played} failed: {failed:?}",
        failed.len()
    );
    assert!(
        played > 0 || only.is_some(),
        "no story begins with {letters:?}"
    );
}

#[test]
fn stories_of_fields() {
    play_all(&["f"]);
}

#[test]
fn stories_of_presence() {
    play_all(&["p"]);
}

#[test]
fn stories_of_newcomers() {
    play_all(&["c"]);
}

#[test]
fn stories_of_pushes_and_guards() {
    play_all(&["r", "g"]);
}

#[test]
fn every_row_of_the_tables_has_a_story_or_a_test_of_another_kind() {
    let rows = rows_of_the_tables();
    assert!(rows.len() > 60, "{rows:?}");
    let told: BTreeSet<String> = folders()
        .iter()
        .flat_map(|folder| rows_of(&Story::read(folder).title))
        .collect();
    let readme = include_str!("../scenarios/README.md");
    for line in readme.lines().filter(|line| line.contains("| `")) {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim_matches([' ', '`']))
            .collect();
        let [_, name, _, file, test, _] = cells[..] else {
            continue;
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(source).unwrap_or_else(|_| panic!("{name}: no {file}"));
        assert!(source.contains(&format!("fn {test}(")), "{name}: no {test}");
    }
    let elsewhere: BTreeSet<String> = cells(readme)
        .flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| is_row(name))
        .collect();
    let both: BTreeSet<String> = told.union(&elsewhere).cloned().collect();
    assert_eq!(rows, both, "the tables on the left");
    let twice: Vec<_> = told.intersection(&elsewhere).collect();
    assert!(twice.is_empty(), "told, and yet excused: {twice:?}");
}
