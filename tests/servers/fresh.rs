// A database of its own for a test, on a server that tests/run.sh has started, looked at from outside through the server's own
// command line client. Included by the unit tests of src/local and by the integration tests; it knows nothing of the program.

// The two binaries that include it need different parts of it.
#![allow(dead_code)]

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postgres,
    MySql,
}

impl Server {
    /// The variable with the address of an administrator, such as `postgres://postgres@127.0.0.1:5433/postgres`.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CONTACTBRIDGE_TEST_POSTGRES",
            Self::MySql => "CONTACTBRIDGE_TEST_MYSQL",
        }
    }
}

/// A database that goes when this goes.
pub struct Fresh {
    pub server: Server,
    /// `user@host:port`, of the administrator.
    login: String,
    name: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Fresh {
    /// Makes a database; `None`, with a word of it, where no server runs. With CI=true one must run.
    pub fn make(server: Server) -> Option<Self> {
        let variable = server.variable();
        let Ok(url) = std::env::var(variable) else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "{variable} is not set, and CI=true leaves nothing out"
            );
            eprintln!("SKIPPED: {variable} is not set; tests/run.sh starts a server and sets it");
            return None;
        };
        let rest = url.split_once("://").expect("an address").1;
        let login = rest.rsplit_once('/').expect("a database").0.to_owned();
        let name = format!(
            "cb_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let made = Self {
            server,
            login,
            name,
        };
        made.administer(&made.creating());
        Some(made)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `database:` says.
    pub fn url(&self) -> String {
        self.url_of(&self.login)
    }

    /// The same for another `user:password`.
    pub fn url_as(&self, user: &str) -> String {
        let host = self.login.rsplit_once('@').expect("a user").1;
        self.url_of(&format!("{user}@{host}"))
    }

    fn url_of(&self, login: &str) -> String {
        let scheme = match self.server {
            Server::Postgres => "postgres",
            Server::MySql => "mysql",
        };
        format!("{scheme}://{login}/{}", self.name)
    }

    /// Host and port of the server.
    pub fn address(&self) -> (String, u16) {
        let address = self.login.rsplit_once('@').expect("a user").1;
        let (host, port) = address.split_once(':').expect("a port");
        (host.to_owned(), port.parse().expect("a port"))
    }

    /// Runs statements as another program would.
    #[track_caller]
    pub fn run(&self, sql: &str) {
        self.client(&self.name, sql);
    }

    /// Runs statements outside of the database, such as making a user.
    #[track_caller]
    pub fn administer(&self, sql: &str) {
        let own = match self.server {
            Server::Postgres => "postgres",
            Server::MySql => "mysql",
        };
        self.client(own, sql);
    }

    /// The rows of a query, each cell as the client shows it.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.client(&self.name, sql);
        match self.server {
            Server::Postgres => answer
                .split_terminator('\u{1e}')
                .map(|row| {
                    row.split('\u{1f}')
                        .map(|cell| (cell != "\u{1d}").then(|| cell.to_owned()))
                        .collect()
                })
                .collect(),
            Server::MySql => answer
                .lines()
                .map(|row| {
                    row.split('\t')
                        .map(|cell| (cell != "NULL").then(|| unescaped(cell)))
                        .collect()
                })
                .collect(),
        }
    }

    /// A copy of everything, by the server's own tool for backups.
    #[track_caller]
    pub fn backup(&self) -> String {
        let (host, port) = self.address();
        let user = self.login.split(['@', ':']).next().expect("a user");
        let port = port.to_string();
        let mut command = match self.server {
            Server::Postgres => {
                let mut command = Command::new("pg_dump");
                command.args(["--inserts", "-h", &host, "-p", &port, "-U", user]);
                command
            }
            Server::MySql => {
                let mut command = Command::new("mariadb-dump");
                command
                    .args([
                        "--no-defaults",
                        "--triggers",
                        "--default-character-set=utf8mb4",
                    ])
                    .args(["-h", &host, "-P", &port, "-u", user]);
                command
            }
        };
        let output = command
            .arg(&self.name)
            .output()
            .expect("a tool for backups");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        // Newer ones guard themselves with commands that the client knows in a file alone.
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The database as it was when this copy was made.
    #[track_caller]
    pub fn restore(&self, backup: &str) {
        self.administer(&self.dropping());
        self.administer(&self.creating());
        self.run(backup);
    }

    fn creating(&self) -> String {
        match self.server {
            Server::Postgres => format!(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'",
                self.name
            ),
            Server::MySql => format!("CREATE DATABASE {} CHARACTER SET utf8mb4", self.name),
        }
    }

    fn dropping(&self) -> String {
        match self.server {
            Server::Postgres => format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            Server::MySql => format!("DROP DATABASE IF EXISTS {}", self.name),
        }
    }

    #[track_caller]
    fn client(&self, database: &str, sql: &str) -> String {
        let (host, port) = self.address();
        let user = self.login.split(['@', ':']).next().expect("a user");
        let port = port.to_string();
        let mut command = match self.server {
            Server::Postgres => {
                let mut command = Command::new("psql");
                command
                    .args([
                        "-X",
                        "-q",
                        "-A",
                        "-t",
                        "-v",
                        "ON_ERROR_STOP=1",
                        "-P",
                        "null=\u{1d}",
                    ])
                    .args([
                        "-F", "\u{1f}", "-R", "\u{1e}", "-h", &host, "-p", &port, "-U", user,
                    ])
                    .args(["-d", database, "-c", sql])
                    .env(
                        "PGOPTIONS",
                        "-c client_min_messages=warning -c TimeZone=UTC",
                    );
                command
            }
            Server::MySql => {
                let mut command = Command::new("mariadb");
                command
                    .args(["--no-defaults", "--batch", "--skip-column-names"])
                    .args(["--default-character-set=utf8mb4", "-h", &host, "-P", &port, "-u", user])
                    .args(["--init-command=SET SESSION sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00'"])
                    .args([database, "-e", sql]);
                command
            }
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("the server's command line client");
        assert!(
            output.status.success(),
            "{sql}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut text = String::from_utf8(output.stdout).expect("UTF-8");
        // psql ends its answer with a newline of its own.
        if self.server == Server::Postgres && text.ends_with('\n') {
            text.pop();
        }
        text
    }
}

fn unescaped(cell: &str) -> String {
    let mut text = String::new();
    let mut letters = cell.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a failed test left is worth a look.
            return;
        }
        self.administer(&self.dropping());
    }
}
