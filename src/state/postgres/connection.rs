//! A connection to the database of a shared state: its session, and a bound to everything that is waited for.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::{SharedPlace, fault};
use crate::database::postgres_options;
use crate::model::{Error, Result};

/// A server that answers at all does so in milliseconds, one behind a slow link in seconds; who asks for the status waits as long.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A commit of some megabytes over a slow link fits; a connection that died silently ends.
pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// Locks on our tables are held for the moment of a commit; whoever holds one longer is an administrator at work.
pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The server takes back the transaction, and frees the locks, of a machine that went away in the middle of one.
const IDLE_TRANSACTION: Duration = Duration::from_secs(10);

/// The oldest version that has what is needed (`gen_random_uuid`), as `server_version_num` counts.
const VERSION_MIN: u32 = 130_000;

/// One connection.
pub(super) struct Link {
    connection: PgConnection,
    place: SharedPlace,
    timeout: Duration,
}

/// A statement of ours: its text, made of constants and a checked name.
pub(super) type Asked<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// A statement to bind parameters to; prepared once a connection.
pub(super) fn ask<'q>(text: String) -> Asked<'q> {
    sqlx::query(AssertSqlSafe(text))
}

impl Link {
    /// Connects and sets the session up. `limit` bounds each statement.
    pub(super) async fn open(place: &SharedPlace, limit: Duration) -> Result<Self> {
        let address = place.address()?;
        let options = postgres_options(&address);
        let connecting = tokio::time::timeout(DEFAULT_CONNECT_TIMEOUT, options.connect());
        let connection = match connecting.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(fault::of_connecting(place, &error)),
            Err(_) => return Err(fault::silent(place, DEFAULT_CONNECT_TIMEOUT)),
        };
        let mut link = Self {
            connection,
            place: place.clone(),
            timeout: limit,
        };
        // A commit that was answered must survive the server's machine, whatever its default is; a stricter default stays.
        link.script(&format!(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply'); \
             SET standard_conforming_strings = on; SET bytea_output = 'hex'; SET default_transaction_isolation = 'read committed'; \
             SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3",
            DEFAULT_LOCK_TIMEOUT.min(limit).as_millis(),
            limit.as_millis(),
            IDLE_TRANSACTION.as_millis(),
        ))
        .await?;
        link.check_server().await?;
        Ok(link)
    }

    async fn check_server(&mut self) -> Result<()> {
        let row = self
            .one(ask(
                "SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby"
                    .to_owned(),
            ))
            .await?;
        let version: i32 = self.cell(&row, "version")?;
        let place = &self.place;
        if u32::try_from(version).unwrap_or(0) < VERSION_MIN {
            return Err(Error::config(
                "E-STATE-VERSION",
                format!(
                    "The state {place} is PostgreSQL {}: version 13 or later is needed",
                    version / 10_000
                ),
            ));
        }
        if self.cell(&row, "standby")? {
            return Err(Error::unreachable(
                "E-STATE-READONLY",
                format!(
                    "The state {place} is a standby, which can't be written to. Name the primary in `state:`"
                ),
            ));
        }
        Ok(())
    }

    /// Where it leads.
    pub(super) fn place(&self) -> &SharedPlace {
        &self.place
    }

    /// The rows of a statement.
    pub(super) async fn rows(&mut self, asked: Asked<'_>) -> Result<Vec<PgRow>> {
        let work = asked.fetch_all(&mut self.connection);
        bounded(&self.place, self.timeout, work).await
    }

    /// The first row of a statement, if there is one.
    pub(super) async fn first(&mut self, asked: Asked<'_>) -> Result<Option<PgRow>> {
        Ok(self.rows(asked).await?.into_iter().next())
    }

    /// The one row of a statement that always has one.
    pub(super) async fn one(&mut self, asked: Asked<'_>) -> Result<PgRow> {
        let found = self.first(asked).await?;
        found.ok_or_else(|| fault::damaged(&self.place, "a row that must be there is missing"))
    }

    /// Runs a statement; how many rows it touched.
    pub(super) async fn execute(&mut self, asked: Asked<'_>) -> Result<u64> {
        let work = asked.execute(&mut self.connection);
        let done = bounded(&self.place, self.timeout, work).await?;
        Ok(done.rows_affected())
    }

    /// Runs statements without parameters, in one round trip.
    pub(super) async fn script(&mut self, sql: &str) -> Result<()> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        bounded(&self.place, self.timeout, work).await.map(|_| ())
    }

    /// A cell of a row of ours.
    pub(super) fn cell<'r, T>(&self, row: &'r PgRow, name: &str) -> Result<T>
    where
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        row.try_get(name).map_err(|_| {
            fault::damaged(
                &self.place,
                &format!("the column {name} of its tables is not as it was made"),
            )
        })
    }

    /// Runs `work` in a transaction that is taken back where it fails.
    pub(super) async fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.script("BEGIN").await?;
        match work(self).await {
            Ok(done) => {
                let committed = self.script("COMMIT").await;
                committed.map_err(|error| fault::unknown(&self.place, error))?;
                Ok(done)
            }
            Err(error) => {
                // Where this fails too, the server takes the transaction back by itself.
                let _ = self.script("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Says good-bye; the server notices the end of a connection by itself, this only spares its log a line.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}

async fn bounded<T>(
    place: &SharedPlace,
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(fault::of(place, &error)),
        Err(_) => Err(fault::silent(place, limit)),
    }
}
