//! Connecting to PostgreSQL, and running statements.

use std::future::Future;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::{catalog, fault, journal};
use crate::database::{Address, postgres_options};
use crate::local::dialect::Dialect;
use crate::local::problem::{JournalState, Problem};
use crate::local::server::backend::{
    Answer, Backend, Done, Fault, Journal, Noted, Param, Statement, first, rows,
};
use crate::local::server::shape::Found;
use crate::local::server::{Connector, ServerOptions};
use crate::model::LocalKey;

/// The oldest version that has what is needed (`xid8` and snapshots of it), as `server_version_num` counts.
const VERSION_MIN: u32 = 130_000;

/// A connection to PostgreSQL.
pub(in crate::local) struct Postgres {
    connection: PgConnection,
    shown: String,
    timeout: Duration,
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

impl Postgres {
    fn query<'q>(statement: &'q Statement) -> Query<'q, sqlx::Postgres, PgArguments> {
        let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
        for param in &statement.params {
            query = match param {
                Param::Int(number) => query.bind(*number),
                Param::Text(text) => query.bind(text.as_deref()),
                Param::Ints(numbers) => query.bind(numbers.as_slice()),
                Param::Texts(texts) => query.bind(texts.as_slice()),
            };
        }
        query
    }
}

impl Connector for Postgres {
    async fn connect(address: &Address, limits: &ServerOptions) -> Answer<Self> {
        let options = postgres_options(address);
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
        };
        made.script(&format!(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; \
             SET standard_conforming_strings = on; SET lock_timeout = {}; SET statement_timeout = {}",
            limits.lock_timeout.as_millis(),
            limits.statement_timeout.as_millis()
        ))
        .await?;
        Ok(made)
    }

    async fn unfit(&mut self) -> Answer<Option<Problem>> {
        let asked = Statement::new(
            Self::DIALECT,
            "SELECT current_setting('server_version_num'), current_setting('server_encoding'), pg_is_in_recovery()::text",
        );
        let found = rows(self, &asked).await?;
        let cell = |at: usize| {
            found
                .first()
                .and_then(|row| row.get(at).cloned().flatten())
                .unwrap_or_default()
        };
        let version: u32 = cell(0).parse().unwrap_or(0);
        let shown = &self.shown;
        Ok(if version < VERSION_MIN {
            Some(Problem::fatal(
                "E-DB-VERSION",
                format!(
                    "{shown} is PostgreSQL {}: version 13 or later is needed",
                    version / 10_000
                ),
            ))
        } else if cell(1) != "UTF8" {
            Some(Problem::fatal(
                "E-DB-ENCODING",
                format!(
                    "{shown} has the encoding {}: only UTF8 databases can hold every name, and keep the order that the bridge counts on",
                    cell(1)
                ),
            ))
        } else if cell(2) == "true" {
            Some(Problem::fatal(
                "E-DB-READONLY",
                format!(
                    "{shown} is a standby, which can't be written to. Name the primary in `database:`"
                ),
            ))
        } else {
            None
        })
    }
}

impl Backend for Postgres {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn each(
        &mut self,
        statement: &Statement,
        see: &mut dyn FnMut(&[Option<&str>]),
    ) -> Answer<()> {
        let Self {
            connection,
            shown,
            timeout,
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
            generated: 0,
        })
    }

    async fn script(&mut self, sql: &str) -> Answer<()> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        within(self.timeout, &self.shown, work).await.map(|_| ())
    }

    async fn begin(&mut self) -> Answer<()> {
        // What the schema checks at the end of a transaction is checked at each row, so that it is known which one is refused.
        self.script(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE",
        )
        .await
    }

    async fn snapshot(&mut self) -> Answer<()> {
        self.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
    }

    async fn lock_schema(&mut self) -> Answer<()> {
        self.script(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             SELECT pg_advisory_xact_lock(hashtextextended('contactbridge schema', 0))",
        )
        .await
    }

    async fn unlock_schema(&mut self) -> Answer<()> {
        self.script("COMMIT").await
    }

    async fn find_table(&mut self, wanted: &str) -> Answer<Found> {
        catalog::find_table(self, wanted).await
    }

    async fn stands(&mut self, table: &str) -> Answer<bool> {
        let asked = Statement::new(Self::DIALECT, "SELECT to_regclass(quote_ident(")
            .text(table)
            .sql("))::text");
        Ok(first(self, &asked).await?.is_some())
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

    async fn journal_position(&mut self, _: &Journal) -> Answer<String> {
        journal::position(self).await
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
        Ok(0)
    }

    async fn forget_own(&mut self, journal: &Journal, _: i64, keys: &[LocalKey]) -> Answer<()> {
        journal::forget_own(self, journal, keys).await
    }

    async fn prune(&mut self, journal: &Journal, consumed: &str) -> Answer<()> {
        journal::prune(self, journal, consumed).await
    }

    async fn generated_step(&mut self) -> Answer<i64> {
        Ok(1)
    }

    async fn close(self) {
        // The server notices the end of a connection by itself; this only spares its log a line.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}
