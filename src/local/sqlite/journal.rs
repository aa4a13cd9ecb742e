//! Finding changes by triggers that note each changed key in `contactbridge_journal`.
//!
//! The position is the sequence number of the newest entry read, and sequence numbers are never used again. An entry without
//! a key holds the floor: what happened up to it was not noted, or is pruned. A position below the floor, or beyond the newest
//! number (a restored database), or triggers that don't stand as they should, mean that the memory does not reach back: scan.

use rusqlite::{Connection, OptionalExtension, params};

use super::Reader;
use super::binding::table_name;
use super::value::read_key;
use crate::local::LocalChanges;
use crate::local::dialect::NOW_MILLIS;
use crate::local::problem::JournalState;
use crate::model::{Layout, LocalKey};

/// Marks the positions of this way of finding changes.
const PREFIX: &str = "journal:";

/// The sequence number in a position of ours.
pub(super) fn parse_position(position: &str) -> Option<i64> {
    position.strip_prefix(PREFIX)?.parse().ok()
}

/// The newest sequence number ever given; 0 before the first.
pub(super) fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    Ok(conn
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'contactbridge_journal'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// The floor; `None` where no triggers were installed.
fn floor(conn: &Connection, bridge: &str, table: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT max(floor) FROM contactbridge_journal WHERE bridge = ?1 AND source = ?2 AND row_key IS NULL",
    )?
    .query_row([bridge, table], |row| row.get(0))
}

/// The triggers as they should be.
fn wanted(bridge: &str, layout: &Layout) -> [(String, String); 3] {
    let mut columns: Vec<&str> = layout
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| !name.eq_ignore_ascii_case(&layout.key))
        .collect();
    columns.extend(layout.deleted.as_deref());
    super::DIALECT.journal_triggers(bridge, table_name(&layout.table), &layout.key, &columns)
}

/// How the triggers stand.
pub(super) fn state(
    conn: &Connection,
    bridge: &str,
    layout: &Layout,
) -> rusqlite::Result<JournalState> {
    let mut found = JournalState::Installed;
    let mut statement =
        conn.prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1")?;
    for (name, text) in wanted(bridge, layout) {
        let stands: Option<String> = statement
            .query_row([&name], |row| row.get(0))
            .optional()?
            .flatten();
        match stands {
            None => return Ok(JournalState::Missing),
            Some(stands) if stands == text => {}
            Some(stands) if super::DIALECT.is_own_trigger(&stands) => {
                if found == JournalState::Installed {
                    found = JournalState::Stale;
                }
            }
            Some(_) => found = JournalState::Altered,
        }
    }
    let table = table_name(&layout.table);
    if !conn.table_exists(None, "contactbridge_journal")? || floor(conn, bridge, table)?.is_none() {
        return Ok(JournalState::Missing);
    }
    Ok(found)
}

/// Whether triggers of the bridge stand, for whatever table.
pub(super) fn is_left_over(conn: &Connection, bridge: &str) -> bool {
    conn.prepare(
        "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1",
    )
    .and_then(|mut statement| statement.exists([super::DIALECT.trigger_prefix(bridge)]))
    .unwrap_or(false)
}

/// Makes the triggers anew, inside the caller's transaction; the memory begins here.
pub(super) fn install(conn: &Connection, bridge: &str, layout: &Layout) -> rusqlite::Result<()> {
    let table = table_name(&layout.table);
    conn.execute(
        "DELETE FROM contactbridge_journal WHERE bridge = ?1 AND source = ?2",
        [bridge, table],
    )?;
    for (name, text) in wanted(bridge, layout) {
        conn.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS {}; {text}",
            super::DIALECT.name(&name)
        ))?;
    }
    conn.execute(
        &format!(
            "INSERT INTO contactbridge_journal (bridge, source, row_key, changed_at) VALUES (?1, ?2, NULL, {NOW_MILLIS})"
        ),
        [bridge, table],
    )?;
    conn.execute(
        "UPDATE contactbridge_journal SET floor = seq WHERE bridge = ?1 AND source = ?2 AND row_key IS NULL",
        [bridge, table],
    )?;
    Ok(())
}

/// Takes triggers and entries away; true when there were any.
pub(super) fn remove(
    conn: &mut Connection,
    bridge: &str,
    layout: &Layout,
) -> rusqlite::Result<bool> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut there = false;
    for (name, _) in wanted(bridge, layout) {
        there |= transaction
            .query_row(
                "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?1",
                [&name],
                |_| Ok(()),
            )
            .optional()?
            .is_some();
        transaction.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS {}",
            super::DIALECT.name(&name)
        ))?;
    }
    if transaction.table_exists(None, "contactbridge_journal")? {
        there |= transaction.execute(
            "DELETE FROM contactbridge_journal WHERE bridge = ?1 AND source = ?2",
            [bridge, table_name(&layout.table)],
        )? > 0;
    }
    transaction.commit()?;
    Ok(there)
}

/// Where reading would go on; `None` while no triggers stand.
pub(super) fn position(reader: &mut Reader<'_>) -> rusqlite::Result<Option<String>> {
    if state(reader.conn, reader.bridge, reader.layout)? != JournalState::Installed {
        return Ok(None);
    }
    Ok(Some(format!("{PREFIX}{}", newest(reader.conn)?)))
}

/// The keys noted since a position.
pub(super) fn changes(
    reader: &mut Reader<'_>,
    position: Option<&str>,
) -> rusqlite::Result<LocalChanges> {
    // One snapshot: an entry that is committed between two of these statements must not fall between them.
    let snapshot = reader.conn.unchecked_transaction()?;
    let (conn, bridge) = (reader.conn, reader.bridge);
    let source = table_name(&reader.layout.table);
    let Some(since) = position.and_then(parse_position) else {
        return Ok(LocalChanges::ScanNeeded);
    };
    if state(conn, bridge, reader.layout)? != JournalState::Installed
        || floor(conn, bridge, source)?.is_none_or(|floor| since < floor)
        || since > newest(conn)?
    {
        return Ok(LocalChanges::ScanNeeded);
    }
    let mut statement = conn.prepare_cached(
        "SELECT row_key, max(changed_at) FROM contactbridge_journal WHERE bridge = ?1 AND source = ?2 AND seq > ?3 \
         AND row_key IS NOT NULL GROUP BY row_key ORDER BY row_key LIMIT ?4",
    )?;
    let limit = reader.options.max_changed_keys;
    let asked = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![bridge, source, since, asked])?;
    let mut keys = Vec::new();
    let mut key = LocalKey::Int(0);
    while let Some(row) = rows.next()? {
        if keys.len() == limit {
            return Ok(LocalChanges::ScanNeeded);
        }
        if read_key(row.get_ref(0)?, &mut key) {
            let time = chrono::DateTime::from_timestamp_millis(row.get(1)?);
            keys.push((key.clone(), time));
        }
    }
    let position = format!("{PREFIX}{}", newest(conn)?);
    drop(rows);
    drop(statement);
    snapshot.finish()?;
    Ok(LocalChanges::Keys {
        keys,
        position,
        deletions_included: true,
    })
}

/// Inside a write transaction: takes out what it noted itself since `start`, for the keys that it wrote. What triggers of the
/// customer did to other rows meanwhile stays noted.
pub(super) fn forget_own(
    conn: &Connection,
    bridge: &str,
    source: &str,
    start: i64,
    written: &std::collections::HashSet<LocalKey>,
) -> rusqlite::Result<()> {
    if newest(conn)? == start {
        return Ok(());
    }
    let mut others = false;
    let mut own = Vec::new();
    {
        let mut statement = conn.prepare_cached(
            "SELECT seq, row_key FROM contactbridge_journal WHERE seq > ?1 AND bridge = ?2 AND source = ?3",
        )?;
        let mut rows = statement.query(params![start, bridge, source])?;
        let mut key = LocalKey::Int(0);
        while let Some(row) = rows.next()? {
            if read_key(row.get_ref(1)?, &mut key) && written.contains(&key) {
                own.push(row.get::<_, i64>(0)?);
            } else {
                others = true;
            }
        }
    }
    if !others {
        conn.prepare_cached(
            "DELETE FROM contactbridge_journal WHERE seq > ?1 AND bridge = ?2 AND source = ?3",
        )?
        .execute(params![start, bridge, source])?;
        return Ok(());
    }
    let mut statement = conn.prepare_cached("DELETE FROM contactbridge_journal WHERE seq = ?1")?;
    for seq in own {
        statement.execute([seq])?;
    }
    Ok(())
}

/// Inside a write transaction: takes out what is in custody, and lifts the floor to it.
pub(super) fn prune(
    conn: &Connection,
    bridge: &str,
    source: &str,
    consumed: i64,
) -> rusqlite::Result<()> {
    if floor(conn, bridge, source)?.is_none_or(|floor| floor >= consumed) {
        return Ok(());
    }
    let gone = conn
        .prepare_cached(
            "DELETE FROM contactbridge_journal WHERE seq <= ?1 AND bridge = ?2 AND source = ?3 AND row_key IS NOT NULL",
        )?
        .execute(params![consumed, bridge, source])?;
    if gone > 0 {
        conn.prepare_cached(
            "UPDATE contactbridge_journal SET floor = ?1 WHERE bridge = ?2 AND source = ?3 AND row_key IS NULL",
        )?
        .execute(params![consumed, bridge, source])?;
    }
    Ok(())
}
