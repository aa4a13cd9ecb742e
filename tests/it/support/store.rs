//! Which database the projects of a test have: a SQLite file, or one of their own on a server, and how tests ask either.

use std::cell::Cell;

use super::servers::{Fresh, Server};

thread_local! {
    /// Each test has a thread of its own.
    static SERVER: Cell<Option<Server>> = const { Cell::new(None) };
}

/// Plays a scenario whose projects have their databases on this server. Where it does not run, nothing is tried (and `CI=true` fails).
pub fn played_on(server: Server, scenario: fn()) {
    if Fresh::make(server).is_none() {
        return;
    }
    SERVER.set(Some(server));
    scenario();
}

/// The server that this test's projects have their databases on, if it is not SQLite.
pub fn server() -> Option<Server> {
    SERVER.get()
}

/// A new database on the server of this test.
pub fn fresh() -> Option<Fresh> {
    server().map(|server| Fresh::make(server).expect("it ran a moment ago"))
}

/// The clock of a customer's database.
pub fn now(fresh: Option<&Fresh>) -> &'static str {
    match fresh.map(|fresh| fresh.server) {
        None => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        Some(Server::Postgres) => "clock_timestamp()",
        Some(Server::MySql) => "UTC_TIMESTAMP(6)",
    }
}

/// A query for the names of all tables.
pub fn tables(fresh: Option<&Fresh>) -> &'static str {
    match fresh.map(|fresh| fresh.server) {
        None => "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
        Some(Server::Postgres) => {
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
        }
        Some(Server::MySql) => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1"
        }
    }
}

/// Runs a statement on a server; how many rows it changed.
#[track_caller]
pub fn changed(fresh: &Fresh, statement: &str) -> usize {
    let counts = ["UPDATE", "DELETE", "INSERT"]
        .iter()
        .any(|word| statement.trim_start().starts_with(word));
    if !counts {
        fresh.run(statement);
        return 0;
    }
    let rows = fresh.rows(&match fresh.server {
        Server::Postgres => {
            format!("WITH done AS ({statement} RETURNING 1) SELECT count(*) FROM done")
        }
        Server::MySql => format!("{statement}; SELECT ROW_COUNT()"),
    });
    let count = rows.concat().pop().flatten().expect("a count");
    count.parse().expect("a count")
}

/// The rows of a query on a server, each cell as text; NULL is `null`.
#[track_caller]
pub fn rows(fresh: &Fresh, query: &str, null: &str) -> Vec<Vec<String>> {
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| null.to_owned());
    let rows = fresh.rows(query).into_iter();
    rows.map(|row| row.into_iter().map(cell).collect())
        .collect()
}

/// A column of instants, as text in UTC.
pub fn instant(fresh: Option<&Fresh>, column: &str) -> String {
    match fresh.map(|fresh| fresh.server) {
        None => column.to_owned(),
        Some(Server::Postgres) => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        }
        Some(Server::MySql) => format!("date_format({column}, '%Y-%m-%dT%H:%i:%sZ')"),
    }
}

/// A column of flags, as 0 and 1.
pub fn flag(fresh: Option<&Fresh>, column: &str) -> String {
    match fresh.map(|fresh| fresh.server) {
        Some(Server::Postgres) => format!("{column}::int"),
        _ => column.to_owned(),
    }
}

/// What makes a column hold any text.
pub fn loosen(server: Server, table: &str, column: &str) -> String {
    match server {
        Server::Postgres => {
            format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE text")
        }
        Server::MySql => format!("ALTER TABLE {table} MODIFY {column} VARCHAR(200)"),
    }
}

/// What makes the database refuse rows in which a column has this value, and what lets them in again.
pub fn refusing(table: &str, column: &str, value: &str) -> [String; 2] {
    match server() {
        None => [
            format!(
                "CREATE TRIGGER refused BEFORE UPDATE ON {table} WHEN NEW.{column} = '{value}' BEGIN SELECT RAISE(ABORT, 'no'); END"
            ),
            "DROP TRIGGER refused".to_owned(),
        ],
        Some(_) => [
            format!("ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({column} <> '{value}')"),
            format!("ALTER TABLE {table} DROP CONSTRAINT refused"),
        ],
    }
}

/// What `database:` says.
pub fn url(fresh: Option<&Fresh>) -> String {
    fresh.map_or_else(|| "sqlite:customers.db".to_owned(), Fresh::url)
}
