//! Finding changes by a column with the time of the last change.
//!
//! The position is the newest time seen, but never later than the database's clock: a row from the future would hide
//! everything after it. Reading goes back by an overlap, so ties and late commits are read again rather than lost. Rows whose
//! time can't be read count as changed each time. Deletions can't be seen this way.

use chrono::{DateTime, Utc};
use rusqlite::types::ValueRef;

use super::Reader;
use super::value::read_key;
use crate::local::dialect::NOW_MILLIS;
use crate::local::{LocalChanges, instant};
use crate::model::{ChangeMethod, LocalKey};

/// Marks the positions of this way of finding changes.
const PREFIX: &str = "column:";

/// The time that a value of the column stands for.
pub(super) fn instant(value: ValueRef<'_>) -> Option<DateTime<Utc>> {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => instant::from_int(number),
        ValueRef::Real(number) => instant::from_real(number),
        ValueRef::Text(bytes) => instant::from_text(std::str::from_utf8(bytes).ok()?),
    }
}

/// The position from which changes would be found from now on.
pub(super) fn position(reader: &mut Reader<'_>) -> rusqlite::Result<Option<String>> {
    let mut newest = 0;
    each(reader, |_, time| {
        if let Some(time) = time {
            newest = newest.max(time.timestamp_millis());
        }
        Ok(())
    })?;
    capped(reader, newest).map(Some)
}

/// The keys whose time is not older than the position, less the overlap.
pub(super) fn changes(
    reader: &mut Reader<'_>,
    position: Option<&str>,
) -> rusqlite::Result<LocalChanges> {
    let Some(since) = position
        .and_then(|position| position.strip_prefix(PREFIX))
        .and_then(|millis| millis.parse::<i64>().ok())
    else {
        return Ok(LocalChanges::ScanNeeded);
    };
    let overlap = i64::try_from(reader.options.column_overlap.as_millis())
        .unwrap_or(i64::MAX)
        .max(1_000);
    let bound = since.saturating_sub(overlap);
    let limit = reader.options.max_changed_keys;
    let (mut keys, mut newest, mut many) = (Vec::new(), since, false);
    let mut place = LocalKey::Int(0);
    each(reader, |key, time| {
        let millis = time.map(|time| time.timestamp_millis());
        newest = newest.max(millis.unwrap_or(0));
        if millis.is_none_or(|millis| millis >= bound) && read_key(key, &mut place) {
            many |= keys.len() >= limit;
            if !many {
                keys.push((place.clone(), time));
            }
        }
        Ok(())
    })?;
    if many {
        return Ok(LocalChanges::ScanNeeded);
    }
    keys.sort();
    Ok(LocalChanges::Keys {
        keys,
        position: capped(reader, newest)?,
        deletions_included: false,
    })
}

fn capped(reader: &Reader<'_>, newest: i64) -> rusqlite::Result<String> {
    let now: i64 = reader
        .conn
        .query_row(&format!("SELECT {NOW_MILLIS}"), [], |row| row.get(0))?;
    Ok(format!("{PREFIX}{}", newest.min(now)))
}

/// Every row's key and time, without order: the formats of times that people use have no order that SQL could search by.
fn each(
    reader: &Reader<'_>,
    mut see: impl FnMut(ValueRef<'_>, Option<DateTime<Utc>>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let ChangeMethod::Column(column) = &reader.layout.changes else {
        return Ok(());
    };
    let dialect = super::DIALECT;
    let sql = format!(
        "SELECT t.{}, t.{} FROM {} AS t",
        dialect.name(&reader.binding.key.name),
        dialect.name(column),
        dialect.name(&reader.binding.table)
    );
    let mut statement = reader.conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        see(row.get_ref(0)?, instant(row.get_ref(1)?))?;
    }
    Ok(())
}
