//! Shadow databases: the real binary against a simulated Association Anywhere. The oracle compares what the association
//! holds, in the simulator's own types, with rows and child rows; it knows nothing of the bridge's mapping but the columns.
//!
//! - `flow`: first fill, every reason, deletions, children, races
//! - `trouble`: services that fail, poisoned customers, guards, lost states
//! - `kill`: runs that die, at random and at each checkpoint
//! - `service`: under `contactbridge run`

pub mod flow;
pub mod kill;
mod service;
pub mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use contactbridge::simulator::association_anywhere::{
    AssociationAnywhereSimulator, Customer, Node, Operation, Options, Profile,
};

use crate::support::{Binary, Fresh, Ran, files, store};

/// A project with one bridge, `members`, from the starter that `init` writes.
pub struct Shadow {
    directory: tempfile::TempDir,
    pub binary: Binary,
    pub crm: AssociationAnywhereSimulator,
    /// Its database, where that is not a SQLite file.
    fresh: Option<Fresh>,
}

/// How a shadow is set up.
#[derive(Default)]
pub struct Setup {
    options: Options,
    remote: Vec<String>,
    limits: Vec<String>,
    state: Option<&'static str>,
}

impl Setup {
    pub fn people(count: u32) -> Self {
        Self {
            options: Options {
                people: count,
                profile: Profile::Plain,
                ..Options::default()
            },
            ..Self::default()
        }
    }

    fn crm(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// A further key of `remote:`.
    pub fn remote(mut self, line: &str) -> Self {
        self.remote.push(line.into());
        self
    }

    pub fn limit(mut self, line: &str) -> Self {
        self.limits.push(line.into());
        self
    }

    fn state(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self
    }

    pub fn build(self) -> Shadow {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let login = (self.options.username.clone(), self.options.password.clone());
        let crm = AssociationAnywhereSimulator::start(self.options).expect("a service on loopback");
        let binary = Binary::at(directory.path())
            .with("AA_VENDOR", &login.0)
            .with("AA_PASSWORD", &login.1);
        binary.line("init --kind association-anywhere").exits(0);
        let fresh = store::fresh();
        let lines = |spaces: usize, lines: &[String]| -> String {
            let line = |line: &String| format!("{:spaces$}{line}\n", "");
            lines.iter().map(line).collect()
        };
        let config = format!(
            "state: {}\nbridges:\n  members:\n    remote:\n      kind: association-anywhere\n      base: {}\n      username: ${{AA_VENDOR}}\n      \
             password: ${{AA_PASSWORD}}\n{}    database: \"{}\"\n    mapping: mappings/association-anywhere.yaml\n    limits:\n      \
             requests_per_second: unlimited\n      retry_wait_max: 10ms\n      free_disk: 0\n{}",
            self.state.unwrap_or("state"),
            crm.base(),
            lines(6, &self.remote),
            store::url(fresh.as_ref()),
            lines(6, &self.limits),
        );
        fs::write(directory.path().join("bridge.yaml"), config).expect("a file");
        Shadow {
            directory,
            binary,
            crm,
            fresh,
        }
    }
}

impl Shadow {
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn line(&self, line: &str) -> Ran {
        self.binary.line(line)
    }

    /// One `sync --format json`, which must end with this code; its report of the bridge.
    #[track_caller]
    fn sync(&self, code: i32) -> serde_json::Value {
        self.line("sync --format json").exits(code).json()["bridges"][0].clone()
    }

    /// A run that must find nothing and write nothing.
    #[track_caller]
    fn quiet(&self) {
        let before = self.dump();
        let report = self.sync(0);
        assert_eq!(
            (&report["pull"]["read"], &report["requests"]),
            (&0.into(), &1.into()),
            "{report:#}"
        );
        assert_eq!(self.dump(), before);
    }

    #[track_caller]
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        files::edit(&self.path(file), old, new);
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("customers.db")).expect("the database")
    }

    #[track_caller]
    fn sql(&self, statement: &str) {
        match &self.fresh {
            Some(fresh) => fresh.run(statement),
            None => self.database().execute_batch(statement).expect(statement),
        }
    }

    /// The rows of a query, each cell as text; NULL is empty.
    #[track_caller]
    fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match &self.fresh {
            Some(fresh) => store::rows(fresh, query, ""),
            None => files::rows(&self.database(), query, ""),
        }
    }

    #[track_caller]
    fn cell(&self, query: &str) -> String {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows[0][0].clone()
    }

    /// A cell of a customer's row.
    #[track_caller]
    fn of(&self, id: &str, column: &str) -> String {
        self.cell(&format!(
            "SELECT {column} FROM customers WHERE cust_id = '{id}'"
        ))
    }

    fn dump(&self) -> Vec<String> {
        let tables = self.rows(store::tables(self.fresh.as_ref()));
        let mut all = Vec::new();
        for table in tables.concat() {
            for row in self.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2")) {
                all.push(format!("{table}: {row:?}"));
            }
        }
        all
    }

    /// The ids asked for in each request for details since the log was cleared.
    pub fn asked(&self) -> Vec<Vec<String>> {
        let log = self.crm.log().into_iter();
        log.filter(|entry| entry.operation == Operation::Details)
            .map(|entry| entry.keys)
            .collect()
    }

    fn quarantined(&self) -> Vec<(String, String, String)> {
        let list = self.line("quarantine list --format json").exits(0).json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let list = list.as_array().expect("a list").iter();
        list.map(|entry| {
            (
                text(&entry["id"]),
                text(&entry["remote"]),
                text(&entry["code"]),
            )
        })
        .collect()
    }

    /// Every customer of the association equals its rows, nobody else has a living row, and the queue is empty.
    #[track_caller]
    fn assert_equal(&self, except: &[&str]) {
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for customer in self.crm.customers() {
            if !except.contains(&customer.id.as_str()) {
                expected.insert(customer.id.clone(), shown(&customer));
            }
        }
        let columns = COLUMNS.join(", ");
        let mut parts: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (table, fields) in CHILDREN {
            let fields = fields.map(|(column, _)| column).join(", ");
            let by_key = parts.entry(table).or_default();
            for mut part in self.rows(&format!("SELECT customer_id, {fields} FROM {table}")) {
                let key = part.remove(0);
                by_key.entry(key).or_default().push(part.join("|"));
            }
        }
        let mut found = BTreeMap::new();
        for mut row in self.rows(&format!(
            "SELECT cust_id, id, {columns} FROM customers WHERE deleted_at IS NULL"
        )) {
            let (id, key) = (row.remove(0), row.remove(0));
            for (table, _) in CHILDREN {
                row.push(told(parts[table].get(&key).cloned().unwrap_or_default()));
            }
            if !except.contains(&id.as_str()) {
                assert!(found.insert(id.clone(), row).is_none(), "{id} has two rows");
            }
        }
        for (id, row) in &expected {
            assert_eq!(found.get(id), Some(row), "{id}");
        }
        let extra: Vec<_> = found
            .keys()
            .filter(|id| !expected.contains_key(*id))
            .collect();
        assert!(extra.is_empty(), "{extra:?}");
        assert_eq!(self.crm.queue_len(), 0);
    }
}

const COLUMNS: [&str; 7] = [
    "cust_type",
    "login_id",
    "first_name",
    "last_name",
    "display_name",
    "email",
    "city",
];

type Fields = [(&'static str, &'static str); 3];

/// Child tables with three columns each, and the elements that they come from.
const CHILDREN: [(&str, Fields); 4] = [
    (
        "customer_addresses",
        [
            ("serno", "addressSerno"),
            ("city", "city"),
            ("postcode", "postalCode"),
        ],
    ),
    (
        "customer_phones",
        [
            ("serno", "phoneSerno"),
            ("kind", "phoneType"),
            ("number", "number"),
        ],
    ),
    (
        "customer_emails",
        [
            ("serno", "emailSerno"),
            ("kind", "emailType"),
            ("address", "address"),
        ],
    ),
    (
        "customer_jobs",
        [
            ("employer", "employerName"),
            ("title", "titleName"),
            ("employer", "employerName"),
        ],
    ),
];

fn told(mut parts: Vec<String>) -> String {
    parts.sort();
    parts.join("\n")
}

/// What the row of a customer must show.
fn shown(customer: &Customer) -> Vec<String> {
    let text = |node: Option<&str>| node.unwrap_or_default().to_owned();
    // The plain request leaves bad and former items out.
    let items = |section: &str| -> Vec<&Node> {
        let all = customer
            .section(section)
            .map_or(&[][..], |section| &section.children);
        let lives = |item: &&Node| {
            item.get("badAddress") != Some("true") && item.get("endDate").is_none_or(str::is_empty)
        };
        all.iter().filter(lives).collect()
    };
    let chosen = |section: &str, field: &str| {
        let items = items(section);
        let by = |flag: &str| {
            let item = items.iter().find(|item| item.get(flag) == Some("true"));
            item.and_then(|item| item.get(field))
        };
        text(
            by("preferred")
                .filter(|text| !text.is_empty())
                .or(by("best")),
        )
    };
    let mut row = vec![
        customer.cust_type.clone(),
        customer.login_id.clone(),
        text(customer.name.get("firstName")),
        text(customer.name.get("lastName")),
        text(customer.name.get("displayName")),
        chosen("emails", "address"),
        chosen("addresses", "city"),
    ];
    for ((_, fields), section) in CHILDREN
        .iter()
        .zip(["addresses", "phones", "emails", "jobs"])
    {
        let parts: BTreeSet<String> = items(section)
            .into_iter()
            .map(|item| {
                fields
                    .map(|(_, element)| item.get(element).unwrap_or_default())
                    .join("|")
            })
            .collect();
        row.push(told(parts.into_iter().collect()));
    }
    row
}
