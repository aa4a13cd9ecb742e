//! The tables of a shared state, made by the first run or by an administrator.

use super::connection::{Link, ask};
use super::{DEFAULT_SCHEMA, SharedPlace};
use crate::model::{Error, Result};

/// All that a shared state needs, for the schema of that (quoted) name.
///
/// `bridge`: who holds what, what `status` shows, and when the last pass ended. `store`: which of a bridge's stores counts. `entry`: what is remembered,
/// each value with its own checksum.
fn statements(schema: &str) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.bridge (
    name text COLLATE \"C\" PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    holder text,
    host text,
    pid bigint,
    since timestamptz,
    until timestamptz,
    overtaken boolean NOT NULL DEFAULT false,
    status bytea,
    passed timestamptz
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS {schema}.store (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bridge text COLLATE \"C\" NOT NULL,
    made boolean NOT NULL DEFAULT false,
    arriving boolean NOT NULL DEFAULT false,
    aside timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS store_of_bridge ON {schema}.store (bridge) WHERE aside IS NULL;
CREATE TABLE IF NOT EXISTS {schema}.entry (
    store bigint NOT NULL,
    tab smallint NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (store, tab, key)
);
"
    )
}

/// The SQL by which an administrator makes the usual schema.
pub fn shared_state_sql() -> String {
    statements(DEFAULT_SCHEMA)
}

/// Whether the tables stand.
pub(super) async fn stands(link: &mut Link) -> Result<bool> {
    let names =
        ["bridge", "store", "entry"].map(|table| format!("{}.{table}", link.place().quoted()));
    let row = link
        .one(
            ask(
                "SELECT count(to_regclass(name)) AS found FROM unnest($1::text[]) AS name"
                    .to_owned(),
            )
            .bind(names.to_vec()),
        )
        .await?;
    Ok(link.cell::<i64>(&row, "found")? == 3)
}

/// Makes what is missing. `E-STATE-RIGHTS` (exit 5) where this user may not.
pub(super) async fn ensure(link: &mut Link) -> Result<()> {
    if stands(link).await? {
        return Ok(());
    }
    let sql = statements(&link.place().quoted());
    let made = link
        .transaction(async |link| {
            // Two first runs at the same time would trip over each other inside the catalogue.
            link.script(
                "SELECT pg_advisory_xact_lock(hashtextextended('contactbridge state schema', 0))",
            )
            .await?;
            link.script(&sql).await
        })
        .await;
    made.map_err(|error| match error.code() {
        "E-STATE-RIGHTS" => may_not(link.place()),
        _ => error,
    })
}

fn may_not(place: &SharedPlace) -> Error {
    Error::unreachable(
        "E-STATE-RIGHTS",
        format!(
            "The state {place} has no tables of ours yet, and this user may not make the schema {}. An administrator makes it with what `contactbridge schema --sql=postgres-state` prints, and the GRANTs in docs/operations.md",
            place.schema()
        ),
    )
}
