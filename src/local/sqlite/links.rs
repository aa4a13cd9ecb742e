//! Our tables beside the customer's: meta, links, applied.
//!
//! Everything is keyed by bridge, so that several bridges share a database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::read_key;
use crate::local::dialect::NOW_TEXT;
use crate::local::{Fence, LinkRow, LocalMeta};
use crate::model::{LocalKey, RemoteId};

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn meta(conn: &Connection, bridge: &str) -> rusqlite::Result<Option<LocalMeta>> {
    conn.prepare_cached(
        "SELECT store_id, generation, epoch FROM contactbridge_meta WHERE bridge = ?1",
    )?
    .query_row([bridge], |row| {
        Ok(LocalMeta {
            store_id: row.get(0)?,
            generation: number(row.get(1)?),
            epoch: number(row.get(2)?),
        })
    })
    .optional()
}

/// Writes the row of the bridge; generation stays where `None`.
pub(super) fn put_meta(
    conn: &Connection,
    bridge: &str,
    fence: &Fence,
    generation: Option<u64>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO contactbridge_meta (bridge, store_id, generation, epoch) VALUES (?1, ?2, coalesce(?3, 0), ?4) \
         ON CONFLICT (bridge) DO UPDATE SET store_id = ?2, generation = coalesce(?3, generation), epoch = ?4",
    )?
    .execute(params![
        bridge,
        fence.store_id,
        generation.map(signed),
        signed(fence.epoch)
    ])?;
    Ok(())
}

/// Notes a transaction under the next number of its epoch, and forgets all but the newest `kept`. The write lock is held, so
/// the number is nobody else's.
pub(super) fn note_applied(
    conn: &Connection,
    bridge: &str,
    epoch: u64,
    kept: u32,
) -> rusqlite::Result<u64> {
    let operation: i64 = conn
        .prepare_cached(
            "SELECT coalesce(max(operation), 0) + 1 FROM contactbridge_applied WHERE bridge = ?1 AND epoch = ?2",
        )?
        .query_row(params![bridge, signed(epoch)], |row| row.get(0))?;
    conn.prepare_cached(&format!(
        "INSERT INTO contactbridge_applied (bridge, epoch, operation, applied_at) VALUES (?1, ?2, ?3, {NOW_TEXT})"
    ))?
    .execute(params![bridge, signed(epoch), operation])?;
    conn.prepare_cached(
        "DELETE FROM contactbridge_applied WHERE bridge = ?1 AND (epoch, operation) <= \
         (SELECT epoch, operation FROM contactbridge_applied WHERE bridge = ?1 \
          ORDER BY epoch DESC, operation DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![bridge, kept.max(1)])?;
    Ok(number(operation))
}

/// Whether a transaction took place.
pub(super) fn was_applied(
    conn: &Connection,
    bridge: &str,
    epoch: u64,
    operation: u64,
) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM contactbridge_applied WHERE bridge = ?1 AND epoch = ?2 AND operation = ?3",
    )?
    .exists(params![bridge, signed(epoch), signed(operation)])
}

/// A new store begins its epochs anew, so the operations of the old one must go.
pub(super) fn forget_applied(conn: &Connection, bridge: &str) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM contactbridge_applied WHERE bridge = ?1",
        [bridge],
    )?;
    Ok(())
}

const COLUMNS: &str = "row_key, external_id, remote_id FROM contactbridge_links";

fn link(row: &Row<'_>) -> rusqlite::Result<Option<LinkRow>> {
    let mut key = LocalKey::Int(0);
    if !read_key(row.get_ref(0)?, &mut key) {
        return Ok(None);
    }
    Ok(Some(LinkRow {
        key,
        external_id: row.get(1)?,
        remote_id: row.get::<_, Option<String>>(2)?.map(RemoteId),
    }))
}

pub(super) fn by_remote(
    conn: &Connection,
    bridge: &str,
    ids: &[RemoteId],
) -> rusqlite::Result<Vec<Option<LinkRow>>> {
    ids.iter()
        .map(|id| one_by_remote(conn, bridge, id))
        .collect()
}

pub(super) fn one_by_remote(
    conn: &Connection,
    bridge: &str,
    id: &RemoteId,
) -> rusqlite::Result<Option<LinkRow>> {
    Ok(conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} WHERE bridge = ?1 AND remote_id = ?2"
        ))?
        .query_row([bridge, &id.0], link)
        .optional()?
        .flatten())
}

pub(super) fn one_by_external(
    conn: &Connection,
    bridge: &str,
    external_id: &str,
) -> rusqlite::Result<Option<LinkRow>> {
    Ok(conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} WHERE bridge = ?1 AND external_id = ?2"
        ))?
        .query_row([bridge, external_id], link)
        .optional()?
        .flatten())
}

pub(super) fn by_key(
    conn: &Connection,
    bridge: &str,
    keys: &[LocalKey],
) -> rusqlite::Result<Vec<Option<LinkRow>>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE bridge = ?1 AND row_key = ?2"
    ))?;
    keys.iter()
        .map(|key| {
            let found = statement.query_row(params![bridge, key], link).optional()?;
            Ok(found.flatten())
        })
        .collect()
}

/// In the order of keys: integers before texts, because row_key has no affinity and compares bytewise.
pub(super) fn after(
    conn: &Connection,
    bridge: &str,
    after: Option<&LocalKey>,
    limit: usize,
) -> rusqlite::Result<Vec<LinkRow>> {
    let limit = signed(limit as u64);
    let order = "ORDER BY row_key LIMIT ?2";
    let found: Vec<Option<LinkRow>> = match after {
        None => conn
            .prepare_cached(&format!("SELECT {COLUMNS} WHERE bridge = ?1 {order}"))?
            .query_map(params![bridge, limit], link)?
            .collect::<rusqlite::Result<_>>()?,
        Some(key) => conn
            .prepare_cached(&format!(
                "SELECT {COLUMNS} WHERE bridge = ?1 AND row_key > ?3 {order}"
            ))?
            .query_map(params![bridge, limit, key], link)?
            .collect::<rusqlite::Result<_>>()?,
    };
    Ok(found.into_iter().flatten().collect())
}

/// Writes a link whole. A constraint fails where another row has its remote id or External ID.
pub(super) fn put(
    conn: &Connection,
    bridge: &str,
    key: &LocalKey,
    external_id: Option<&str>,
    remote_id: Option<&RemoteId>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO contactbridge_links (bridge, row_key, external_id, remote_id) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (bridge, row_key) DO UPDATE SET external_id = ?3, remote_id = ?4",
    )?
    .execute(params![
        bridge,
        key,
        external_id,
        remote_id.map(|id| id.0.as_str())
    ])?;
    Ok(())
}

/// Takes a link out.
pub(super) fn remove(conn: &Connection, bridge: &str, key: &LocalKey) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM contactbridge_links WHERE bridge = ?1 AND row_key = ?2")?
        .execute(params![bridge, key])?;
    Ok(())
}

/// A row's key became another one.
pub(super) fn rename(
    conn: &Connection,
    bridge: &str,
    from: &LocalKey,
    to: &LocalKey,
) -> rusqlite::Result<()> {
    remove(conn, bridge, to)?;
    conn.prepare_cached(
        "UPDATE contactbridge_links SET row_key = ?3 WHERE bridge = ?1 AND row_key = ?2",
    )?
    .execute(params![bridge, from, to])?;
    Ok(())
}
