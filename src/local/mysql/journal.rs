//! Finding changes by triggers that note each changed key in `contactbridge_journal`.
//!
//! Entries are deleted by their numbers alone, found without a lock beforehand: a condition would have to lock what others are
//! writing, and whoever edits customers must never wait for us while we wait for him.

use std::collections::{BTreeMap, HashSet};

use super::connection::MySql;
use super::position::Position;
use crate::local::dialect::Dialect;
use crate::local::problem::JournalState;
use crate::local::server::backend::{Answer, Backend, Journal, Noted, Statement, first, rows};
use crate::model::LocalKey;

const DIALECT: Dialect = Dialect::MySql;

/// Entries deleted in one statement.
const DELETE_MAX: usize = 1_000;

fn table(journal: &Journal) -> String {
    format!(
        "{}.{}",
        DIALECT.name(&journal.schema),
        DIALECT.name(&journal.table)
    )
}

/// The triggers as they should be.
async fn wanted(
    server: &mut MySql,
    journal: &Journal,
) -> Answer<[(&'static str, String, String); 3]> {
    let asked = Statement::new(DIALECT, "SELECT CAST(DATABASE() AS CHAR)");
    let own = first(server, &asked).await?.unwrap_or_default();
    let columns: Vec<&str> = journal.columns.iter().map(String::as_str).collect();
    Ok(Dialect::mysql_journal_triggers(
        &journal.bridge,
        &journal.source,
        &format!("{}.contactbridge_journal", DIALECT.name(&own)),
        &journal.key,
        &columns,
    ))
}

/// How the triggers stand.
pub(super) async fn state(server: &mut MySql, journal: &Journal) -> Answer<JournalState> {
    let mut found = JournalState::Installed;
    for (event, name, body) in wanted(server, journal).await? {
        let asked = Statement::new(
            DIALECT,
            "SELECT CAST(ACTION_STATEMENT AS CHAR) FROM information_schema.TRIGGERS WHERE ACTION_TIMING = 'AFTER' \
             AND TRIGGER_SCHEMA = ",
        )
        .text(&journal.schema)
        .sql(" AND EVENT_OBJECT_TABLE = ")
        .text(&journal.table)
        .sql(" AND EVENT_MANIPULATION = ")
        .text(event)
        .sql(" AND TRIGGER_NAME = ")
        .text(&name);
        match first(server, &asked).await? {
            None => return Ok(JournalState::Missing),
            Some(stands) if stands == body => {}
            Some(stands) if DIALECT.is_own_trigger(&stands) => {
                if found == JournalState::Installed {
                    found = JournalState::Stale;
                }
            }
            Some(_) => found = JournalState::Altered,
        }
    }
    Ok(found)
}

pub(super) async fn is_left_over(server: &mut MySql, bridge: &str) -> Answer<bool> {
    let prefix = DIALECT.trigger_prefix(bridge);
    let asked = Statement::new(
        DIALECT,
        "SELECT CAST(TRIGGER_NAME AS CHAR) FROM information_schema.TRIGGERS WHERE LEFT(TRIGGER_NAME, CHAR_LENGTH(",
    )
    .text(&prefix)
    .sql(")) = ")
    .text(&prefix)
    .sql(" LIMIT 1");
    Ok(first(server, &asked).await?.is_some())
}

fn trigger(journal: &Journal, name: &str) -> String {
    format!("{}.{}", DIALECT.name(&journal.schema), DIALECT.name(name))
}

/// Makes the triggers; MySQL's DDL knows no transactions, so what a kill leaves half done is found missing next time.
pub(super) async fn install(server: &mut MySql, journal: &Journal) -> Answer<()> {
    for (event, name, body) in wanted(server, journal).await? {
        let trigger = trigger(journal, &name);
        server
            .script(&format!("DROP TRIGGER IF EXISTS {trigger}"))
            .await?;
        server
            .script(&format!(
                "CREATE TRIGGER {trigger} AFTER {event} ON {} FOR EACH ROW {body}",
                table(journal)
            ))
            .await?;
    }
    Ok(())
}

pub(super) async fn uninstall(server: &mut MySql, journal: &Journal) -> Answer<bool> {
    let mut there = false;
    for (_, name, _) in wanted(server, journal).await? {
        let asked = Statement::new(
            DIALECT,
            "SELECT 'stands' FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ",
        )
        .text(&journal.schema)
        .sql(" AND TRIGGER_NAME = ")
        .text(&name);
        if first(server, &asked).await?.is_some() {
            there = true;
            server
                .script(&format!("DROP TRIGGER {}", trigger(journal, &name)))
                .await?;
        }
    }
    Ok(there)
}

/// The numbers of entries of one table of one bridge, read without a lock; `more` ends the condition.
async fn numbers(
    server: &mut MySql,
    journal: &Journal,
    more: impl FnOnce(Statement) -> Statement,
) -> Answer<Vec<i64>> {
    let asked = Statement::new(
        DIALECT,
        "SELECT CAST(seq AS CHAR) FROM contactbridge_journal WHERE bridge = ",
    )
    .text(&journal.bridge)
    .sql(" AND source = ")
    .text(&journal.source);
    let found = rows(server, &more(asked)).await?;
    Ok(found.iter().filter_map(|row| number(row.first())).collect())
}

fn number(cell: Option<&Option<String>>) -> Option<i64> {
    cell?.as_deref()?.parse().ok()
}

async fn delete(server: &mut MySql, numbers: &[i64]) -> Answer<u64> {
    let mut gone = 0;
    for part in numbers.chunks(DELETE_MAX) {
        let forget = Statement::new(DIALECT, "DELETE FROM contactbridge_journal WHERE seq")
            .listed(part, |forget, number| forget.int(*number));
        gone += server.execute(&forget).await?.rows;
    }
    Ok(gone)
}

pub(super) async fn put_floor(server: &mut MySql, journal: &Journal) -> Answer<()> {
    let old = numbers(server, journal, |asked| asked).await?;
    delete(server, &old).await?;
    let put = Statement::new(
        DIALECT,
        "INSERT INTO contactbridge_journal (bridge, source, row_key, changed_at) VALUES (",
    )
    .text(&journal.bridge)
    .sql(", ")
    .text(&journal.source)
    .sql(", NULL, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))");
    let made = server.execute(&put).await?.generated;
    let made = i64::try_from(made).unwrap_or(i64::MAX);
    lift(server, journal, made).await
}

async fn lift(server: &mut MySql, journal: &Journal, floor: i64) -> Answer<()> {
    let entries = numbers(server, journal, |asked| asked.sql(" AND row_key IS NULL")).await?;
    for entry in entries {
        let lift = Statement::new(DIALECT, "UPDATE contactbridge_journal SET floor = ")
            .int(floor)
            .sql(" WHERE seq = ")
            .int(entry);
        server.execute(&lift).await?;
    }
    Ok(())
}

async fn floor(server: &mut MySql, journal: &Journal) -> Answer<Option<i64>> {
    let asked = Statement::new(
        DIALECT,
        "SELECT CAST(max(floor) AS CHAR) FROM contactbridge_journal WHERE row_key IS NULL AND bridge = ",
    )
    .text(&journal.bridge)
    .sql(" AND source = ")
    .text(&journal.source);
    Ok(number(Some(&first(server, &asked).await?)))
}

/// The newest number that is known to have been given.
pub(super) async fn newest(server: &mut MySql) -> Answer<i64> {
    let asked = Statement::new(
        DIALECT,
        "SELECT CAST(GREATEST(coalesce(max(seq), 0), coalesce(max(floor), 0)) AS CHAR) FROM contactbridge_journal",
    );
    Ok(number(Some(&first(server, &asked).await?)).unwrap_or(0))
}

/// An entry as it is read.
struct Entry {
    number: i64,
    /// Of the table and bridge that are asked about: key and time.
    own: Option<(String, i64)>,
}

/// Entries of all tables and bridges beyond a position, in order: their numbers are given to all of them in turn. Waits for
/// those that are not committed yet.
async fn entries(server: &mut MySql, journal: &Journal, since: &Position) -> Answer<Vec<Entry>> {
    let mut asked = Statement::new(
        DIALECT,
        "SELECT CAST(seq AS CHAR), bridge, source, CONVERT(row_key USING utf8mb4), CAST(changed_at AS CHAR) \
         FROM contactbridge_journal WHERE seq > ",
    )
    .int(since.newest);
    if !since.gaps.is_empty() {
        asked = asked
            .sql(" OR seq")
            .listed(&since.gaps, |asked, gap| asked.int(*gap));
    }
    let asked = asked.sql(" ORDER BY seq LOCK IN SHARE MODE");
    let mut found = Vec::new();
    server
        .each(&asked, &mut |row| {
            let [Some(seq), bridge, source, key, time] = row else {
                return;
            };
            let Ok(number) = seq.parse() else { return };
            let is_own = *bridge == Some(&journal.bridge) && *source == Some(&journal.source);
            let own = match (key, time.and_then(|time| time.parse().ok())) {
                (Some(key), Some(time)) if is_own => Some(((*key).to_owned(), time)),
                _ => None,
            };
            found.push(Entry { number, own });
        })
        .await?;
    Ok(found)
}

/// The whole journal is looked at, which is what was not pruned: so every entry of a transaction that is under way is waited for,
/// whatever its number.
pub(super) async fn position(server: &mut MySql, journal: &Journal) -> Answer<String> {
    server.begin().await?;
    let newest = newest(server).await?;
    let begin = Position::default();
    let found = entries(server, journal, &begin).await?;
    server.script("COMMIT").await?;
    let mut at = begin.after(found.iter().map(|entry| entry.number));
    at.newest = at.newest.max(newest);
    Ok(at.to_string())
}

/// The keys noted since a position. One below the floor, or beyond every number that was given (the database was restored, or
/// is another one), means that the memory does not reach back.
pub(super) async fn changes(
    server: &mut MySql,
    journal: &Journal,
    since: &str,
    limit: usize,
) -> Answer<Option<Noted>> {
    let Some(since) = Position::parse(since) else {
        return Ok(None);
    };
    let found = entries(server, journal, &since).await?;
    let newest = newest(server).await?;
    let reaches = floor(server, journal)
        .await?
        .is_some_and(|floor| since.newest >= floor && since.newest <= newest);
    if !reaches {
        return Ok(None);
    }
    let next = since.after(found.iter().map(|entry| entry.number));
    let mut keys: BTreeMap<String, i64> = BTreeMap::new();
    for (key, time) in found.into_iter().filter_map(|entry| entry.own) {
        let newest = keys.entry(key).or_insert(time);
        *newest = time.max(*newest);
        if keys.len() > limit {
            return Ok(None);
        }
    }
    Ok(Some(Noted {
        keys: keys.into_iter().collect(),
        position: next.to_string(),
    }))
}

/// What this connection noted in this very transaction, for the keys that we wrote. What triggers of the customer did to other
/// rows meanwhile stays noted.
pub(super) async fn forget_own(
    server: &mut MySql,
    journal: &Journal,
    mark: i64,
    keys: &[LocalKey],
) -> Answer<()> {
    let asked = Statement::new(
        DIALECT,
        "SELECT CAST(seq AS CHAR), CONVERT(row_key USING utf8mb4) FROM contactbridge_journal \
         WHERE writer = CONNECTION_ID() AND seq > ",
    )
    .int(mark)
    .sql(" AND bridge = ")
    .text(&journal.bridge)
    .sql(" AND source = ")
    .text(&journal.source);
    let written: HashSet<String> = keys.iter().map(ToString::to_string).collect();
    let found = rows(server, &asked).await?;
    let own: Vec<i64> = found
        .iter()
        .filter(|row| {
            row.get(1)
                .and_then(Option::as_deref)
                .is_some_and(|key| written.contains(key))
        })
        .filter_map(|row| number(row.first()))
        .collect();
    delete(server, &own).await?;
    Ok(())
}

pub(super) async fn prune(server: &mut MySql, journal: &Journal, consumed: &str) -> Answer<()> {
    let Some(consumed) = Position::parse(consumed) else {
        return Ok(());
    };
    if floor(server, journal)
        .await?
        .is_none_or(|floor| floor >= consumed.newest)
    {
        return Ok(());
    }
    let old = numbers(server, journal, |asked| {
        asked
            .sql(" AND row_key IS NOT NULL AND seq <= ")
            .int(consumed.newest)
    })
    .await?;
    // An entry that filled a gap has not been read yet.
    let old: Vec<i64> = old
        .into_iter()
        .filter(|number| consumed.gaps.binary_search(number).is_err())
        .collect();
    if delete(server, &old).await? > 0 {
        lift(server, journal, consumed.newest).await?;
    }
    Ok(())
}
