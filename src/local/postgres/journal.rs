//! Finding changes by triggers that note each changed key in `contactbridge_journal`.
//!
//! A position is a snapshot: what was over then has been read, and everything else is read next time, however long its
//! transaction took. The triggers call one function that runs with the rights of its owner, so that whoever edits customers needs no
//! right to the journal; a mapping that changes changes the function, and needs no right to the table.

use super::connection::Postgres;
use super::snapshot::Snapshot;
use crate::local::dialect::Dialect;
use crate::local::problem::JournalState;
use crate::local::server::backend::{Answer, Backend, Journal, Noted, Statement, first, rows};
use crate::model::LocalKey;

const DIALECT: Dialect = Dialect::Postgres;

/// Marks the positions of this way of finding changes.
const PREFIX: &str = "journal:";

/// `pg_trigger.tgtype` of AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, and of AFTER TRUNCATE FOR EACH STATEMENT.
const TRIGGER_TYPES: [(&str, &str); 2] = [("29", ""), ("32", "/truncate")];

fn name(journal: &Journal) -> String {
    DIALECT.bounded(&format!(
        "{}{}",
        DIALECT.trigger_prefix(&journal.bridge),
        journal.source
    ))
}

fn trigger_name(journal: &Journal, end: &str) -> String {
    DIALECT.bounded(&format!(
        "{}{}{end}",
        DIALECT.trigger_prefix(&journal.bridge),
        journal.source
    ))
}

fn table(journal: &Journal) -> String {
    format!(
        "{}.{}",
        DIALECT.name(&journal.schema),
        DIALECT.name(&journal.table)
    )
}

fn source(journal: &Journal) -> String {
    let columns: Vec<&str> = journal.columns.iter().map(String::as_str).collect();
    Dialect::postgres_journal_source(&journal.bridge, &journal.source, &journal.key, &columns)
}

/// The schema in which the journal stands; the function stands there too.
async fn schema(server: &mut Postgres) -> Answer<String> {
    let asked = Statement::new(
        DIALECT,
        "SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass('contactbridge_journal')",
    );
    Ok(first(server, &asked).await?.unwrap_or_default())
}

/// Which of the triggers stand as they should.
async fn standing(server: &mut Postgres, journal: &Journal, schema: &str) -> Answer<Vec<String>> {
    let asked = Statement::new(
        DIALECT,
        "SELECT t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid \
         JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL \
         AND cardinality(t.tgattr::int2[]) = 0 AND t.tgtype::text || ' ' || t.tgname",
    )
    .among(
        &TRIGGER_TYPES
            .map(|(kind, end)| format!("{kind} {}", trigger_name(journal, end)))
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )
    .sql(" AND n.nspname = ")
    .text(schema)
    .sql(" AND p.proname = ")
    .text(&name(journal))
    .sql(" AND t.tgrelid = to_regclass(")
    .text(&table(journal))
    .sql(")");
    let found = rows(server, &asked).await?;
    Ok(found
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .collect())
}

/// How the triggers stand.
pub(super) async fn state(server: &mut Postgres, journal: &Journal) -> Answer<JournalState> {
    let schema = schema(server).await?;
    let asked = Statement::new(
        DIALECT,
        "SELECT p.prosrc FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace \
         WHERE p.prosecdef AND n.nspname = ",
    )
    .text(&schema)
    .sql(" AND p.proname = ")
    .text(&name(journal));
    let stands = first(server, &asked).await?;
    let Some(stands) = stands else {
        return Ok(JournalState::Missing);
    };
    if self::standing(server, journal, &schema).await?.len() < TRIGGER_TYPES.len() {
        return Ok(JournalState::Missing);
    }
    Ok(if stands == source(journal) {
        JournalState::Installed
    } else if DIALECT.is_own_trigger(&stands) {
        JournalState::Stale
    } else {
        JournalState::Altered
    })
}

pub(super) async fn is_left_over(server: &mut Postgres, bridge: &str) -> Answer<bool> {
    let prefix = DIALECT.trigger_prefix(bridge);
    let asked = Statement::new(
        DIALECT,
        "SELECT p.proname FROM pg_proc AS p JOIN pg_trigger AS t ON t.tgfoid = p.oid WHERE left(p.proname, length(",
    )
    .text(&prefix)
    .sql(")) = ")
    .text(&prefix)
    .sql(" LIMIT 1");
    Ok(first(server, &asked).await?.is_some())
}

pub(super) async fn install(server: &mut Postgres, journal: &Journal) -> Answer<()> {
    let schema = schema(server).await?;
    let function = format!("{}.{}", DIALECT.name(&schema), DIALECT.name(&name(journal)));
    server
        .script(&format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog, {}, pg_temp AS {}",
            DIALECT.name(&schema),
            DIALECT.text(&source(journal))
        ))
        .await?;
    let standing = standing(server, journal, &schema).await?;
    for (kind, end) in TRIGGER_TYPES {
        let name = trigger_name(journal, end);
        if standing.contains(&name) {
            continue;
        }
        let event = if kind == "32" {
            "TRUNCATE ON {} FOR EACH STATEMENT"
        } else {
            "INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW"
        };
        let (name, table) = (DIALECT.name(&name), table(journal));
        // Dropping one that somebody altered takes the table's owner; none is dropped that is not there.
        if trigger_stands(server, journal, end).await? {
            server
                .script(&format!("DROP TRIGGER {name} ON {table}"))
                .await?;
        }
        server
            .script(&format!(
                "CREATE TRIGGER {name} AFTER {} EXECUTE FUNCTION {function}()",
                event.replace("{}", &table)
            ))
            .await?;
    }
    Ok(())
}

async fn trigger_stands(server: &mut Postgres, journal: &Journal, end: &str) -> Answer<bool> {
    let asked = Statement::new(DIALECT, "SELECT tgname FROM pg_trigger WHERE tgname = ")
        .text(&trigger_name(journal, end))
        .sql(" AND tgrelid = to_regclass(")
        .text(&table(journal))
        .sql(")");
    Ok(first(server, &asked).await?.is_some())
}

/// The function goes, and takes its triggers along: that needs no right to the table.
pub(super) async fn uninstall(server: &mut Postgres, journal: &Journal) -> Answer<bool> {
    let schema = schema(server).await?;
    let asked = Statement::new(
        DIALECT,
        "SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = ",
    )
    .text(&schema)
    .sql(" AND p.proname = ")
    .text(&name(journal));
    if first(server, &asked).await?.is_none() {
        return Ok(false);
    }
    server
        .script(&format!(
            "DROP FUNCTION {}.{}() CASCADE",
            DIALECT.name(&schema),
            DIALECT.name(&name(journal))
        ))
        .await?;
    Ok(true)
}

/// A statement on the entries of one table of one bridge: ` WHERE …` is begun.
fn entries(text: &str, journal: &Journal) -> Statement {
    Statement::new(DIALECT, text)
        .sql(" WHERE bridge = ")
        .text(&journal.bridge)
        .sql(" AND source = ")
        .text(&journal.source)
}

pub(super) async fn put_floor(server: &mut Postgres, journal: &Journal) -> Answer<()> {
    server
        .execute(&entries("DELETE FROM contactbridge_journal", journal))
        .await?;
    let put = Statement::new(
        DIALECT,
        "INSERT INTO contactbridge_journal (bridge, source, row_key, changed_at, floor) VALUES (",
    )
    .text(&journal.bridge)
    .sql(", ")
    .text(&journal.source)
    .sql(", NULL, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_current_snapshot()::text)");
    server.execute(&put).await?;
    Ok(())
}

async fn current(server: &mut Postgres) -> Answer<String> {
    let asked = Statement::new(DIALECT, "SELECT pg_current_snapshot()::text");
    Ok(first(server, &asked).await?.unwrap_or_default())
}

pub(super) async fn position(server: &mut Postgres) -> Answer<String> {
    Ok(format!("{PREFIX}{}", current(server).await?))
}

async fn floor(server: &mut Postgres, journal: &Journal) -> Answer<Option<Snapshot>> {
    let asked = entries("SELECT floor FROM contactbridge_journal", journal)
        .sql(" AND row_key IS NULL ORDER BY seq DESC LIMIT 1");
    Ok(first(server, &asked)
        .await?
        .and_then(|text| Snapshot::parse(&text)))
}

/// The keys noted since a position. A position that the floor is not covered by, or of a time that the server has not come
/// to (it was restored, or is another one), means that the memory does not reach back.
pub(super) async fn changes(
    server: &mut Postgres,
    journal: &Journal,
    since: &str,
    limit: usize,
) -> Answer<Option<Noted>> {
    let Some((text, since)) = since
        .strip_prefix(PREFIX)
        .and_then(|text| Some((text, Snapshot::parse(text)?)))
    else {
        return Ok(None);
    };
    let now = current(server).await?;
    let reaches = Snapshot::parse(&now).is_some_and(|now| now.ceiling >= since.ceiling)
        && floor(server, journal)
            .await?
            .is_some_and(|floor| since.covers(&floor));
    if !reaches {
        return Ok(None);
    }
    let asked = entries(
        "SELECT row_key, max(changed_at)::text FROM contactbridge_journal",
        journal,
    )
    .sql(" AND row_key IS NOT NULL AND txid >= ")
    .text(&since.floor.to_string())
    .sql("::xid8 AND NOT pg_visible_in_snapshot(txid, ")
    .text(text)
    .sql("::pg_snapshot) GROUP BY row_key LIMIT ")
    .int(i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX));
    let found = rows(server, &asked).await?;
    if found.len() > limit {
        return Ok(None);
    }
    Ok(Some(Noted {
        keys: found
            .into_iter()
            .filter_map(|row| match row.as_slice() {
                [Some(key), Some(time)] => Some((key.clone(), time.parse().ok()?)),
                _ => None,
            })
            .collect(),
        position: format!("{PREFIX}{now}"),
    }))
}

/// What the triggers noted in this very transaction, for the keys that we wrote. What triggers of the customer did to other
/// rows meanwhile stays noted.
pub(super) async fn forget_own(
    server: &mut Postgres,
    journal: &Journal,
    keys: &[LocalKey],
) -> Answer<()> {
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let forget = entries("DELETE FROM contactbridge_journal", journal)
        .sql(" AND txid = pg_current_xact_id() AND row_key")
        .among(&texts);
    server.execute(&forget).await?;
    Ok(())
}

pub(super) async fn prune(server: &mut Postgres, journal: &Journal, consumed: &str) -> Answer<()> {
    let Some((text, consumed)) = consumed
        .strip_prefix(PREFIX)
        .and_then(|text| Some((text, Snapshot::parse(text)?)))
    else {
        return Ok(());
    };
    let lifts = floor(server, journal)
        .await?
        .is_some_and(|floor| floor != consumed && consumed.covers(&floor));
    if !lifts {
        return Ok(());
    }
    let forget = entries("DELETE FROM contactbridge_journal", journal)
        .sql(" AND row_key IS NOT NULL AND txid < ")
        .text(&consumed.ceiling.to_string())
        .sql("::xid8 AND pg_visible_in_snapshot(txid, ")
        .text(text)
        .sql("::pg_snapshot)");
    if server.execute(&forget).await?.rows == 0 {
        return Ok(());
    }
    let lift = Statement::new(DIALECT, "UPDATE contactbridge_journal SET floor = ")
        .text(text)
        .sql(" WHERE row_key IS NULL AND bridge = ")
        .text(&journal.bridge)
        .sql(" AND source = ")
        .text(&journal.source);
    server.execute(&lift).await?;
    Ok(())
}
