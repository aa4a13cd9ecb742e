//! Connecting to MySQL or MariaDB, and running statements.

use std::future::Future;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, Row};

use super::{catalog, fault, journal};
use crate::database::{Address, Tls, Way};
use crate::local::dialect::Dialect;
use crate::local::problem::{JournalState, Problem};
use crate::local::server::backend::{
    Answer, Backend, Done, Fault, Journal, Noted, Param, Statement, first,
};
use crate::local::server::shape::Found;
use crate::local::server::{Connector, ServerOptions};
use crate::model::LocalKey;

/// The oldest versions that are known to have what is needed.
const MYSQL_MIN: (u32, u32) = (8, 0);
const MARIADB_MIN: (u32, u32) = (10, 6);

/// Statements that stay prepared on a connection; a run needs some eight sizes of some twenty statements. The server has a limit for
/// all connections together (16,382 by default).
const STATEMENTS_MAX: usize = 256;

/// Name of the lock under which bridges change the schema, one after the other.
const SCHEMA_LOCK: &str = "contactbridge schema";

/// A connection to MySQL or MariaDB.
pub(in crate::local) struct MySql {
    connection: MySqlConnection,
    shown: String,
    timeout: Duration,
    lock_timeout: Duration,
}

/// Bound to everything that is waited for; its end is the connection's.
async fn within<T>(
    limit: Duration,
    shown: &str,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Answer<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| fault::of(shown, &error)),
        Err(_) => Err(Fault::Lost(fault::silent(shown, limit))),
    }
}

impl MySql {
    fn query<'q>(statement: &'q Statement) -> Query<'q, sqlx::MySql, MySqlArguments> {
        let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
        for param in &statement.params {
            query = match param {
                Param::Int(number) => query.bind(*number),
                Param::Text(text) => query.bind(text.as_deref()),
                // There are no arrays: `Statement` writes lists out for this dialect.
                Param::Ints(_) | Param::Texts(_) => query,
            };
        }
        query
    }
}

impl Connector for MySql {
    async fn connect(address: &Address, limits: &ServerOptions) -> Answer<Self> {
        let mut options = MySqlConnectOptions::new()
            .database(&address.database)
            .charset("utf8mb4")
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        options = match &address.way {
            Way::Socket(path) => options.socket(path),
            Way::Host(host, port) => options.host(host).port(*port),
        };
        options = match &address.tls {
            Tls::Plain => options.ssl_mode(MySqlSslMode::Disabled),
            Tls::Verified(authority) => {
                let options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
                match authority {
                    Some(file) => options.ssl_ca(file),
                    None => options,
                }
            }
        };
        if let Some(user) = &address.user {
            options = options.username(user);
        }
        if let Some(password) = &address.password {
            options = options.password(password.expose());
        }
        let shown = &address.shown;
        let connection = match tokio::time::timeout(limits.connect_timeout, options.connect()).await
        {
            Ok(made) => made.map_err(|error| fault::of_connecting(shown, &error))?,
            Err(_) => return Err(Fault::Lost(fault::silent(shown, limits.connect_timeout))),
        };
        let mut made = Self {
            connection,
            shown: shown.clone(),
            timeout: limits.statement_timeout,
            lock_timeout: limits.lock_timeout,
        };
        // Strict, so that nothing is cut or guessed; a number zero is a key like any other; READ COMMITTED, so that we lock rows
        // and never the gaps between them.
        let wait = limits.lock_timeout.as_secs().max(1);
        made.script(&format!(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', \
             time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}"
        ))
        .await?;
        made.script("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .await?;
        Ok(made)
    }

    async fn unfit(&mut self) -> Answer<Option<Problem>> {
        let asked = Statement::new(Self::DIALECT, "SELECT CAST(VERSION() AS CHAR)");
        let version = first(self, &asked).await?.unwrap_or_default();
        Ok((!is_new_enough(&version)).then(|| {
            Problem::fatal(
                "E-DB-VERSION",
                format!(
                    "{} is version {version}: MySQL 8.0, MariaDB 10.6 or later is needed",
                    self.shown
                ),
            )
        }))
    }
}

/// Reads `8.0.36`, `10.11.6-MariaDB-0+deb12u1`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version.to_ascii_lowercase().contains("mariadb") {
        found >= MARIADB_MIN
    } else {
        found >= MYSQL_MIN
    }
}

impl Backend for MySql {
    const DIALECT: Dialect = Dialect::MySql;

    async fn each(
        &mut self,
        statement: &Statement,
        see: &mut dyn FnMut(&[Option<&str>]),
    ) -> Answer<()> {
        let Self {
            connection,
            shown,
            timeout,
            ..
        } = self;
        let mut answer = Self::query(statement).fetch(connection);
        while let Some(row) = within(*timeout, shown, answer.try_next()).await? {
            let cells: sqlx::Result<Vec<Option<&str>>> =
                (0..row.len()).map(|at| row.try_get_unchecked(at)).collect();
            see(&cells.map_err(|error| fault::of(shown, &error))?);
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &Statement) -> Answer<Done> {
        let work = Self::query(statement).execute(&mut self.connection);
        let done = within(self.timeout, &self.shown, work).await?;
        Ok(Done {
            rows: done.rows_affected(),
            generated: done.last_insert_id(),
        })
    }

    async fn script(&mut self, sql: &str) -> Answer<()> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        within(self.timeout, &self.shown, work).await.map(|_| ())
    }

    async fn begin(&mut self) -> Answer<()> {
        self.script("START TRANSACTION").await
    }

    async fn snapshot(&mut self) -> Answer<()> {
        // The journal is read with a lock, which waits for whoever is writing to it.
        self.script("START TRANSACTION").await
    }

    async fn lock_schema(&mut self) -> Answer<()> {
        let wait = i64::try_from(self.lock_timeout.as_secs().max(1)).unwrap_or(i64::MAX);
        let asked = Statement::new(Self::DIALECT, "SELECT CAST(GET_LOCK(")
            .text(SCHEMA_LOCK)
            .sql(", ")
            .int(wait)
            .sql(") AS CHAR)");
        match first(self, &asked).await?.as_deref() {
            Some("1") => Ok(()),
            _ => Err(fault::locked(&self.shown)),
        }
    }

    async fn unlock_schema(&mut self) -> Answer<()> {
        let asked = Statement::new(Self::DIALECT, "SELECT CAST(RELEASE_LOCK(")
            .text(SCHEMA_LOCK)
            .sql(") AS CHAR)");
        first(self, &asked).await.map(|_| ())
    }

    async fn find_table(&mut self, wanted: &str) -> Answer<Found> {
        catalog::find_table(self, wanted).await
    }

    async fn stands(&mut self, table: &str) -> Answer<bool> {
        catalog::stands(self, table).await
    }

    async fn table_names(&mut self) -> Answer<Vec<String>> {
        catalog::table_names(self).await
    }

    async fn triggers(&mut self, journal: &Journal) -> Answer<JournalState> {
        journal::state(self, journal).await
    }

    async fn is_left_over(&mut self, bridge: &str) -> Answer<bool> {
        journal::is_left_over(self, bridge).await
    }

    async fn install(&mut self, journal: &Journal) -> Answer<()> {
        journal::install(self, journal).await
    }

    async fn uninstall(&mut self, journal: &Journal) -> Answer<bool> {
        journal::uninstall(self, journal).await
    }

    async fn put_floor(&mut self, journal: &Journal) -> Answer<()> {
        journal::put_floor(self, journal).await
    }

    async fn journal_position(&mut self, journal: &Journal) -> Answer<String> {
        journal::position(self, journal).await
    }

    async fn journal_changes(
        &mut self,
        journal: &Journal,
        since: &str,
        limit: usize,
    ) -> Answer<Option<Noted>> {
        journal::changes(self, journal, since, limit).await
    }

    async fn journal_mark(&mut self) -> Answer<i64> {
        journal::newest(self).await
    }

    async fn forget_own(&mut self, journal: &Journal, mark: i64, keys: &[LocalKey]) -> Answer<()> {
        journal::forget_own(self, journal, mark, keys).await
    }

    async fn prune(&mut self, journal: &Journal, consumed: &str) -> Answer<()> {
        journal::prune(self, journal, consumed).await
    }

    async fn generated_step(&mut self) -> Answer<i64> {
        let asked = Statement::new(
            Self::DIALECT,
            "SELECT CAST(@@SESSION.auto_increment_increment AS CHAR)",
        );
        let step = first(self, &asked).await?;
        Ok(step.and_then(|step| step.parse().ok()).unwrap_or(1))
    }

    async fn close(self) {
        // The server notices the end of a connection by itself; this only spares its log a line.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}

#[cfg(test)]
mod unit {
    use super::is_new_enough;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        for (version, enough) in [
            ("8.0.36", true),
            ("5.7.44-log", false),
            ("10.11.6-MariaDB-0+deb12u1", true),
            ("10.5.23-MariaDB", false),
            ("11.4.2-MariaDB", true),
            ("9.1.0", true),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
