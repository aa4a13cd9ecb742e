//! Finding changes by a column with the time of the last change.
//!
//! The position is the newest time seen, but never later than the database's clock: a row from the future would hide
//! everything after it. Reading goes back by an overlap, so ties and late commits are read again rather than lost. Rows whose
//! time can't be read count as changed each time. Deletions can't be seen this way.

use chrono::{DateTime, Utc};

use super::Reader;
use super::backend::{Answer, Backend, first};
use super::shape::Family;
use crate::local::dialect::Dialect;
use crate::local::{LocalChanges, instant};

/// Marks the positions of this way of finding changes.
const PREFIX: &str = "column:";

impl<B: Backend> Reader<'_, B> {
    /// The position from which changes would be found from now on.
    pub(super) async fn column_position(&mut self) -> Answer<Option<String>> {
        let mut newest = 0;
        self.each_time(None, |_, time| {
            if let Some(time) = time {
                newest = newest.max(time.timestamp_millis());
            }
        })
        .await?;
        self.capped(newest).await.map(Some)
    }

    /// The keys whose time is not older than the position, less the overlap.
    pub(super) async fn column_changes(&mut self, position: Option<&str>) -> Answer<LocalChanges> {
        let Some(since) = position
            .and_then(|position| position.strip_prefix(PREFIX))
            .and_then(|millis| millis.parse::<i64>().ok())
        else {
            return Ok(LocalChanges::ScanNeeded);
        };
        let overlap = i64::try_from(self.options.column_overlap.as_millis())
            .unwrap_or(i64::MAX)
            .max(1_000);
        let bound = since.saturating_sub(overlap);
        let limit = self.options.max_changed_keys;
        let (mut keys, mut newest, mut many) = (Vec::new(), since, false);
        let key_column = &self.binding.key;
        self.each_time(Some(bound), |key, time| {
            let millis = time.map(|time| time.timestamp_millis());
            newest = newest.max(millis.unwrap_or(0));
            if millis.is_none_or(|millis| millis >= bound)
                && let Some(key) = key_column.key(key)
            {
                many |= keys.len() >= limit;
                if !many {
                    keys.push((key, time));
                }
            }
        })
        .await?;
        if many {
            return Ok(LocalChanges::ScanNeeded);
        }
        keys.sort();
        Ok(LocalChanges::Keys {
            keys,
            position: self.capped(newest).await?,
            deletions_included: false,
        })
    }

    async fn capped(&mut self, newest: i64) -> Answer<String> {
        let clock = self.statement(match B::DIALECT {
            Dialect::MySql => "SELECT CAST(CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS CHAR)",
            _ => "SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint)::text",
        });
        let now = first(self.backend, &clock).await?;
        let now = now.and_then(|now| now.parse().ok()).unwrap_or(0);
        Ok(format!("{PREFIX}{}", newest.min(now)))
    }

    /// Key and time of every row, without order; where the column is a time to the database, only of those that are not older
    /// than `bound` (milliseconds since 1970) or have none.
    async fn each_time(
        &mut self,
        bound: Option<i64>,
        mut see: impl FnMut(Option<&str>, Option<DateTime<Utc>>),
    ) -> Answer<()> {
        let binding = self.binding;
        let Some(column) = &binding.changed else {
            return Ok(());
        };
        let mut statement = self.statement(format!(
            "SELECT {}, {} FROM {} AS t",
            binding.key.read(B::DIALECT),
            column.read(B::DIALECT),
            binding.table
        ));
        if let Some(bound) = bound.and_then(DateTime::from_timestamp_millis)
            && column.family == Family::Time
        {
            let name = format!("t.{}", B::DIALECT.name(&column.name));
            let text = bound.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
            statement = statement
                .sql(&format!(" WHERE {name} IS NULL OR {name} >= "))
                .text(&text)
                .sql(&column.cast);
        }
        self.backend
            .each(&statement, &mut |row| {
                if let [key, time] = row {
                    see(*key, time.and_then(instant::from_text));
                }
            })
            .await
    }
}
