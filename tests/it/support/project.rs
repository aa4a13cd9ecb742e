//! A user's project in a temporary directory: bridge.yaml, a mapping, a CRM on loopback, and the customer's database
//! looked at from outside, with a connection of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contactbridge::simulator::contactlist::{ContactListSimulator, Options};

use super::files;
use super::servers::{Fresh, Server};
use super::store::{self, fresh};
use super::{Binary, Ran};

/// A mapping small enough to reason about: an External ID and an e-mail to match by, a name, a date, a flag.
pub const MAPPING: &str = "\
table:
  name: customers
  key: id
  create: true
fields:
  - { column: customer_no, remote: externalId, match: true }
  - { column: email, remote: emailAddress, match: true, normalize: email }
  - { column: first_name, remote: firstName }
  - { column: last_name, remote: lastName }
  - { column: born_on, remote: dateOfBirth, type: date }
  - { column: opted_in, remote: MasterOptIn, type: bool }
";

/// How a project is set up; [`Setup::build`] makes it.
pub struct Setup {
    options: Options,
    state: String,
    remote: Vec<String>,
    login: [String; 2],
    keys: Vec<String>,
    limits: Vec<String>,
    mapping: String,
    database: Option<Fresh>,
    address: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: Options::default(),
            state: "state".into(),
            remote: Vec::new(),
            login: [Options::default().username, Options::default().password],
            keys: Vec::new(),
            limits: vec![
                "requests_per_second: unlimited".into(),
                "settle: 0s".into(),
                "retry_wait_max: 10ms".into(),
                // Tests run on machines with whatever disk they have.
                "free_disk: 0".into(),
            ],
            mapping: MAPPING.into(),
            database: None,
            address: None,
        }
    }
}

impl Setup {
    /// So many seeded people in the CRM.
    pub fn people(mut self, count: u32) -> Self {
        self.options.people = count;
        self
    }

    /// The CRM is set up otherwise.
    pub fn crm(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// `state:` of bridge.yaml.
    pub fn state(mut self, state: &str) -> Self {
        self.state = state.into();
        self
    }

    /// A further key of the bridge's remote, such as `soap: 1.1`.
    pub fn remote(mut self, line: &str) -> Self {
        self.remote.push(line.into());
        self
    }

    /// Other credentials than the CRM's admin user's.
    pub fn login(mut self, username: &str, password: &str) -> Self {
        self.login = [username.into(), password.into()];
        self
    }

    /// A further key of the bridge, such as `conflicts: review`.
    pub fn key(mut self, line: &str) -> Self {
        self.keys.push(line.into());
        self
    }

    /// A further limit, such as `max_deletes: 1`.
    pub fn limit(mut self, line: &str) -> Self {
        self.limits.push(line.into());
        self
    }

    /// Another mapping than [`MAPPING`].
    pub fn mapping(mut self, text: &str) -> Self {
        self.mapping = text.into();
        self
    }

    /// A database of its own on this server, instead of a SQLite file; `None` where no such server runs.
    pub fn on(mut self, server: Server) -> Option<Self> {
        self.database = Some(Fresh::make(server)?);
        Some(self)
    }

    /// What the customer did to the database before.
    pub fn with_tables(self, sql: &str) -> Self {
        self.database.as_ref().expect("a server").run(sql);
        self
    }

    /// Another address of the same database, such as another user's.
    pub fn address(mut self, of: impl FnOnce(&Fresh) -> String) -> Self {
        self.address = Some(of(self.database.as_ref().expect("a server")));
        self
    }

    /// Makes the directory and starts the CRM.
    pub fn build(self) -> Project {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let database = self.database.or_else(fresh);
        let crm = ContactListSimulator::start(self.options.clone()).expect("a CRM on loopback");
        let indent = |spaces: usize, lines: &[String]| -> String {
            lines
                .iter()
                .map(|line| format!("{:spaces$}{line}\n", ""))
                .collect()
        };
        let config = format!(
            "state: {state}\nbridges:\n  members:\n    remote:\n      kind: contactlist\n      endpoint: {endpoint}\n      \
             site_id: {site}\n      username: ${{CRM_USERNAME}}\n      password: ${{CRM_PASSWORD}}\n      time_zone: {zone}\n{remote}    \
             database: \"{database}\"\n    mapping: mappings/contactlist.yaml\n{keys}    limits:\n{limits}",
            state = self.state,
            database = match (&self.address, &database) {
                (Some(address), _) => address.clone(),
                (None, Some(fresh)) => fresh.url(),
                (None, None) => "sqlite:customers.db".to_owned(),
            },
            endpoint = crm.url(),
            site = self.options.site_id,
            zone = self.options.zone,
            remote = indent(6, &self.remote),
            keys = indent(4, &self.keys),
            limits = indent(6, &self.limits),
        );
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("bridge.yaml", &config);
        write("mappings/contactlist.yaml", &self.mapping);
        let binary = Binary::at(directory.path())
            .with("CRM_USERNAME", &self.login[0])
            .with("CRM_PASSWORD", &self.login[1]);
        Project {
            directory,
            binary,
            crm,
            fresh: database,
        }
    }
}

/// A project with one bridge, `members`.
pub struct Project {
    directory: tempfile::TempDir,
    /// Runs the binary in it, with the CRM's credentials.
    pub binary: Binary,
    /// Its CRM.
    pub crm: ContactListSimulator,
    /// Its database, where that is not a SQLite file.
    pub fresh: Option<Fresh>,
}

impl Project {
    /// The file of this name in the project.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a line of arguments.
    pub fn line(&self, line: &str) -> Ran {
        self.binary.line(line)
    }

    /// One `sync --format json`, which must end with this code; its report of the bridge.
    #[track_caller]
    pub fn sync(&self, code: i32) -> serde_json::Value {
        self.line("sync --format json").exits(code).json()["bridges"][0].clone()
    }

    /// Changes a file by replacing a text that must be there.
    #[track_caller]
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        files::edit(&self.path(file), old, new);
    }

    /// The clock of the customer's database, as its programs write times.
    pub fn now(&self) -> &'static str {
        store::now(self.fresh.as_ref())
    }

    /// The names of all tables.
    pub fn tables(&self) -> Vec<String> {
        self.rows(store::tables(self.fresh.as_ref())).concat()
    }

    /// A connection to the customer's SQLite file, as another program would open it.
    pub fn database(&self) -> rusqlite::Connection {
        let connection =
            rusqlite::Connection::open(self.path("customers.db")).expect("the database");
        connection
            .busy_timeout(Duration::from_secs(10))
            .expect("a connection");
        connection
    }

    /// A copy of the customer's database.
    pub fn backup(&self) -> Vec<u8> {
        match &self.fresh {
            Some(fresh) => fresh.backup().into_bytes(),
            None => fs::read(self.path("customers.db")).expect("the database"),
        }
    }

    /// The customer's database as it was when this copy was made.
    pub fn restore(&self, backup: Vec<u8>) {
        match &self.fresh {
            Some(fresh) => fresh.restore(&String::from_utf8(backup).expect("SQL")),
            None => fs::write(self.path("customers.db"), backup).expect("the database"),
        }
    }

    /// Runs a statement in the customer's database; how many rows it changed.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> usize {
        match &self.fresh {
            Some(fresh) => store::changed(fresh, statement),
            None => self.database().execute(statement, []).expect(statement),
        }
    }

    /// The rows of a query, each cell as text; NULL is `-`.
    #[track_caller]
    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match &self.fresh {
            Some(fresh) => store::rows(fresh, query, "-"),
            None => files::rows(&self.database(), query, "-"),
        }
    }

    /// The only cell of a query.
    #[track_caller]
    pub fn cell(&self, query: &str) -> String {
        let rows = self.rows(query);
        assert_eq!(
            rows.iter().map(Vec::len).collect::<Vec<_>>(),
            [1],
            "{query}"
        );
        rows[0][0].clone()
    }
}
