//! Our tables beside the customer's: meta, links, applied.
//!
//! Everything is keyed by bridge, so that several bridges share a database.

use std::collections::HashMap;

use super::backend::{Answer, Backend, Statement, first, portions, rows};
use super::feed::KEYS_MAX;
use crate::local::dialect::Dialect;
use crate::local::{Fence, LinkRow, LocalMeta};
use crate::model::{LocalKey, RemoteId};

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn number(text: Option<&String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn start<B: Backend>(text: impl Into<String>) -> Statement {
    Statement::new(B::DIALECT, text)
}

/// A number as text.
fn cast<B: Backend>(name: &str) -> String {
    match B::DIALECT {
        Dialect::MySql => format!("CAST({name} AS CHAR)"),
        _ => format!("({name})::text"),
    }
}

/// The bridge's row; `locked` keeps it from others until the transaction ends.
pub(super) async fn meta<B: Backend>(
    backend: &mut B,
    bridge: &str,
    locked: bool,
) -> Answer<Option<LocalMeta>> {
    let statement = start::<B>(format!(
        "SELECT store_id, {}, {} FROM contactbridge_meta WHERE bridge = ",
        cast::<B>("generation"),
        cast::<B>("epoch")
    ))
    .text(bridge)
    .sql(if locked { " FOR UPDATE" } else { "" });
    let found = rows(backend, &statement).await?;
    Ok(found.first().map(|row| LocalMeta {
        store_id: row.first().cloned().flatten().unwrap_or_default(),
        generation: number(row.get(1).and_then(Option::as_ref)),
        epoch: number(row.get(2).and_then(Option::as_ref)),
    }))
}

/// Writes the row of the bridge; generation stays where `None`.
pub(super) async fn put_meta<B: Backend>(
    backend: &mut B,
    bridge: &str,
    fence: &Fence,
    generation: Option<u64>,
    stands: bool,
) -> Answer<()> {
    let epoch = signed(fence.epoch);
    let statement = if stands {
        let statement = start::<B>("UPDATE contactbridge_meta SET store_id = ")
            .text(&fence.store_id)
            .sql(", epoch = ")
            .int(epoch);
        let statement = match generation {
            Some(generation) => statement.sql(", generation = ").int(signed(generation)),
            None => statement,
        };
        statement.sql(" WHERE bridge = ").text(bridge)
    } else {
        start::<B>("INSERT INTO contactbridge_meta (bridge, store_id, generation, epoch) VALUES (")
            .text(bridge)
            .sql(", ")
            .text(&fence.store_id)
            .sql(", ")
            .int(signed(generation.unwrap_or(0)))
            .sql(", ")
            .int(epoch)
            .sql(")")
    };
    backend.execute(&statement).await?;
    Ok(())
}

/// Notes a transaction under the next number of its epoch, and forgets all but the newest `kept`. The row of the bridge is
/// locked, so the number is nobody else's.
pub(super) async fn note_applied<B: Backend>(
    backend: &mut B,
    bridge: &str,
    epoch: u64,
    kept: u32,
) -> Answer<u64> {
    let newest = start::<B>(format!(
        "SELECT {} FROM contactbridge_applied WHERE bridge = ",
        cast::<B>("coalesce(max(operation), 0) + 1")
    ))
    .text(bridge)
    .sql(" AND epoch = ")
    .int(signed(epoch));
    let operation = number(first(backend, &newest).await?.as_ref());
    let now = match B::DIALECT {
        Dialect::MySql => "UTC_TIMESTAMP(3)",
        _ => "clock_timestamp()",
    };
    let note = start::<B>(
        "INSERT INTO contactbridge_applied (bridge, epoch, operation, applied_at) VALUES (",
    )
    .text(bridge)
    .sql(", ")
    .int(signed(epoch))
    .sql(", ")
    .int(signed(operation))
    .sql(&format!(", {now})"));
    backend.execute(&note).await?;
    let oldest = start::<B>(format!(
        "SELECT {}, {} FROM contactbridge_applied WHERE bridge = ",
        cast::<B>("epoch"),
        cast::<B>("operation")
    ))
    .text(bridge)
    .sql(" ORDER BY epoch DESC, operation DESC LIMIT 1 OFFSET ")
    .int(i64::from(kept.max(1)));
    if let Some(row) = rows(backend, &oldest).await?.first() {
        let (epoch, operation) = (
            number(row.first().and_then(Option::as_ref)),
            number(row.get(1).and_then(Option::as_ref)),
        );
        let forget = start::<B>("DELETE FROM contactbridge_applied WHERE bridge = ")
            .text(bridge)
            .sql(" AND (epoch < ")
            .int(signed(epoch))
            .sql(" OR (epoch = ")
            .int(signed(epoch))
            .sql(" AND operation <= ")
            .int(signed(operation))
            .sql("))");
        backend.execute(&forget).await?;
    }
    Ok(operation)
}

/// Whether a transaction took place.
pub(super) async fn was_applied<B: Backend>(
    backend: &mut B,
    bridge: &str,
    epoch: u64,
    operation: u64,
) -> Answer<bool> {
    let statement = start::<B>("SELECT 'applied' FROM contactbridge_applied WHERE bridge = ")
        .text(bridge)
        .sql(" AND epoch = ")
        .int(signed(epoch))
        .sql(" AND operation = ")
        .int(signed(operation));
    Ok(first(backend, &statement).await?.is_some())
}

/// A new store begins its epochs anew, so the operations of the old one must go.
pub(super) async fn forget_applied<B: Backend>(backend: &mut B, bridge: &str) -> Answer<()> {
    let statement = start::<B>("DELETE FROM contactbridge_applied WHERE bridge = ").text(bridge);
    backend.execute(&statement).await?;
    Ok(())
}

fn select<B: Backend>() -> Statement {
    start::<B>(format!(
        "SELECT {}, {}, external_id, remote_id FROM contactbridge_links WHERE bridge = ",
        match B::DIALECT {
            Dialect::MySql => "CONVERT(row_key USING utf8mb4)",
            _ => "row_key",
        },
        cast::<B>("key_number")
    ))
}

fn link(row: &[Option<String>]) -> Option<LinkRow> {
    let cell = |at: usize| row.get(at).cloned().flatten();
    Some(LinkRow {
        key: match cell(1) {
            Some(number) => LocalKey::Int(number.parse().ok()?),
            None => LocalKey::Text(cell(0)?),
        },
        external_id: cell(2),
        remote_id: cell(3).map(RemoteId),
    })
}

async fn found<B: Backend>(backend: &mut B, statement: &Statement) -> Answer<Vec<LinkRow>> {
    let rows = rows(backend, statement).await?;
    Ok(rows.iter().filter_map(|row| link(row)).collect())
}

/// Links by a column of texts.
async fn by_text<B: Backend>(
    backend: &mut B,
    bridge: &str,
    column: &str,
    texts: &[&str],
) -> Answer<Vec<LinkRow>> {
    let mut all = Vec::new();
    for part in texts.chunks(KEYS_MAX) {
        let statement = select::<B>()
            .text(bridge)
            .sql(&format!(" AND {column}"))
            .among(part);
        all.extend(found(backend, &statement).await?);
    }
    Ok(all)
}

pub(super) async fn by_remote<B: Backend>(
    backend: &mut B,
    bridge: &str,
    ids: &[RemoteId],
) -> Answer<Vec<Option<LinkRow>>> {
    let texts: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
    let all = by_text(backend, bridge, "remote_id", &texts).await?;
    let by_id: HashMap<&RemoteId, &LinkRow> = all
        .iter()
        .filter_map(|link| Some((link.remote_id.as_ref()?, link)))
        .collect();
    Ok(ids
        .iter()
        .map(|id| by_id.get(id).copied().cloned())
        .collect())
}

pub(super) async fn by_external<B: Backend>(
    backend: &mut B,
    bridge: &str,
    external_ids: &[&str],
) -> Answer<Vec<LinkRow>> {
    by_text(backend, bridge, "external_id", external_ids).await
}

pub(super) async fn by_key<B: Backend>(
    backend: &mut B,
    bridge: &str,
    keys: &[LocalKey],
) -> Answer<Vec<Option<LinkRow>>> {
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = by_text(backend, bridge, "row_key", &texts).await?;
    let by_key: HashMap<&LocalKey, &LinkRow> = all.iter().map(|link| (&link.key, link)).collect();
    Ok(keys
        .iter()
        .map(|key| by_key.get(key).copied().cloned())
        .collect())
}

/// In the order of keys: numbers before texts.
pub(super) async fn after<B: Backend>(
    backend: &mut B,
    bridge: &str,
    after: Option<&LocalKey>,
    limit: usize,
) -> Answer<Vec<LinkRow>> {
    let statement = select::<B>().text(bridge);
    let statement = match after {
        None => statement,
        Some(LocalKey::Int(number)) => statement
            .sql(" AND (key_number IS NULL OR key_number > ")
            .int(*number)
            .sql(")"),
        Some(LocalKey::Text(text)) => statement
            .sql(" AND key_number IS NULL AND row_key > ")
            .text(text),
    };
    let statement = statement
        // Qualified, or PostgreSQL would take the text that is selected for it.
        .sql(" ORDER BY contactbridge_links.key_number IS NULL, contactbridge_links.key_number, contactbridge_links.row_key LIMIT ")
        .int(signed(limit as u64));
    found(backend, &statement).await
}

/// Writes links whole, in the place of those of the same rows. A constraint fails where another row has such a remote id or External ID.
pub(super) async fn put<B: Backend>(
    backend: &mut B,
    bridge: &str,
    links: &[LinkRow],
) -> Answer<()> {
    let keys: Vec<LocalKey> = links.iter().map(|link| link.key.clone()).collect();
    remove(backend, bridge, &keys).await?;
    for part in portions(B::DIALECT, links, KEYS_MAX) {
        let number = |link: &LinkRow| match link.key {
            LocalKey::Int(number) => Some(number.to_string()),
            LocalKey::Text(_) => None,
        };
        let remote = |link: &LinkRow| link.remote_id.as_ref().map(|id| id.0.clone());
        let mut statement = start::<B>(
            "INSERT INTO contactbridge_links (bridge, row_key, key_number, external_id, remote_id) ",
        );
        if B::DIALECT == Dialect::MySql {
            statement = statement.sql("VALUES ");
            for (at, link) in part.iter().enumerate() {
                statement = statement
                    .sql(if at > 0 { ", (" } else { "(" })
                    .text(bridge)
                    .sql(", ")
                    .text(&link.key.to_string())
                    .sql(", ")
                    .optional(number(link).as_deref())
                    .sql(", ")
                    .optional(link.external_id.as_deref())
                    .sql(", ")
                    .optional(remote(link).as_deref())
                    .sql(")");
            }
        } else {
            statement = statement
                .sql("SELECT ")
                .text(bridge)
                .sql(", k, n::bigint, e, r FROM unnest(")
                .texts(part.iter().map(|link| Some(link.key.to_string())).collect())
                .sql(", ")
                .texts(part.iter().map(number).collect())
                .sql(", ")
                .texts(part.iter().map(|link| link.external_id.clone()).collect())
                .sql(", ")
                .texts(part.iter().map(remote).collect())
                .sql(") AS u (k, n, e, r)");
        }
        backend.execute(&statement).await?;
    }
    Ok(())
}

/// Takes links out.
pub(super) async fn remove<B: Backend>(
    backend: &mut B,
    bridge: &str,
    keys: &[LocalKey],
) -> Answer<()> {
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    for part in texts.chunks(KEYS_MAX) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        let statement = start::<B>("DELETE FROM contactbridge_links WHERE bridge = ")
            .text(bridge)
            .sql(" AND row_key")
            .among(&part);
        backend.execute(&statement).await?;
    }
    Ok(())
}

/// A row's key became another one.
pub(super) async fn rename<B: Backend>(
    backend: &mut B,
    bridge: &str,
    from: &LocalKey,
    to: &LocalKey,
) -> Answer<()> {
    let standing = by_key(backend, bridge, std::slice::from_ref(from)).await?;
    remove(backend, bridge, &[from.clone(), to.clone()]).await?;
    if let Some(Some(link)) = standing.into_iter().next() {
        let link = LinkRow {
            key: to.clone(),
            ..link
        };
        put(backend, bridge, &[link]).await?;
    }
    Ok(())
}
