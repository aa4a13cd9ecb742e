//! SQL texts of SQLite alone.

use super::{Dialect, trigger_mark};
use crate::model::ColumnKind;

/// Dates are ISO 8601 text; a decimal as REAL would not come back as it went.
pub(super) fn column_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text | ColumnKind::Decimal | ColumnKind::Date | ColumnKind::DateTime => "TEXT",
        ColumnKind::Integer | ColumnKind::Bool => "INTEGER",
    }
}

// row_key has no affinity, so that a key comes back in the storage class of the mapped table, and integers sort before texts.
// The two partial indexes make a second row for one contact impossible even where everything else fails.
pub(super) const BOOKKEEPING_SQL: [(&str, &str); 7] = [
    (
        "contactbridge_meta",
        "\
-- Which state store this database was synchronised with, and how far.
CREATE TABLE IF NOT EXISTS contactbridge_meta (
  bridge TEXT NOT NULL PRIMARY KEY,
  store_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL
) WITHOUT ROWID",
    ),
    (
        "contactbridge_applied",
        "\
-- The newest transactions of the bridge: tells whether one whose answer was lost took place.
CREATE TABLE IF NOT EXISTS contactbridge_applied (
  bridge TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  operation INTEGER NOT NULL,
  applied_at TEXT NOT NULL,
  PRIMARY KEY (bridge, epoch, operation)
) WITHOUT ROWID",
    ),
    (
        "contactbridge_links",
        "\
-- Which row stands for which record of the remote.
CREATE TABLE IF NOT EXISTS contactbridge_links (
  bridge TEXT NOT NULL,
  row_key BLOB NOT NULL,
  external_id TEXT,
  remote_id TEXT,
  PRIMARY KEY (bridge, row_key)
) WITHOUT ROWID",
    ),
    (
        "contactbridge_links",
        "\
CREATE UNIQUE INDEX IF NOT EXISTS contactbridge_links_remote
  ON contactbridge_links (bridge, remote_id) WHERE remote_id IS NOT NULL",
    ),
    (
        "contactbridge_links",
        "\
CREATE UNIQUE INDEX IF NOT EXISTS contactbridge_links_external
  ON contactbridge_links (bridge, external_id) WHERE external_id IS NOT NULL",
    ),
    (
        "contactbridge_journal",
        "\
-- What the triggers of `changes: journal` note; changed_at is in milliseconds since 1970, UTC. The entry without a
-- row_key says up to which seq (floor) nothing is known.
CREATE TABLE IF NOT EXISTS contactbridge_journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  bridge TEXT NOT NULL,
  source TEXT NOT NULL,
  row_key BLOB,
  changed_at INTEGER NOT NULL,
  floor INTEGER
)",
    ),
    (
        "contactbridge_journal",
        "\
CREATE INDEX IF NOT EXISTS contactbridge_journal_row
  ON contactbridge_journal (bridge, source, row_key)",
    ),
];

/// The database's own clock, in milliseconds since 1970.
pub(in crate::local) const NOW_MILLIS: &str =
    "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";

/// The database's own clock, as ISO 8601 text in UTC.
pub(in crate::local) const NOW_TEXT: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

impl Dialect {
    /// Name and text of the three triggers that note changes of a table for one bridge. `columns` are those whose change
    /// matters, the key left out.
    ///
    /// They speak no newer SQL than SQLite 3.8, for they run in the customer's processes. Comparisons are bytewise whatever
    /// the column's collation, else a change of case alone would go unseen. Each text begins with a fingerprint of the rest,
    /// which tells triggers that somebody altered from triggers that were made for another mapping.
    pub(in crate::local) fn journal_triggers(
        self,
        bridge: &str,
        table: &str,
        key: &str,
        columns: &[&str],
    ) -> [(String, String); 3] {
        let key = self.name(key);
        let note = |row: &str, condition: &str| {
            format!(
                "INSERT INTO contactbridge_journal (bridge, source, row_key, changed_at) \
                 SELECT {}, {}, {row}.{key}, {NOW_MILLIS} WHERE {row}.{key} IS NOT NULL{condition};",
                self.text(bridge),
                self.text(table)
            )
        };
        let differs = std::iter::once(key.clone())
            .chain(columns.iter().map(|column| self.name(column)))
            .map(|name| format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY"))
            .collect::<Vec<_>>()
            .join(" OR ");
        let moved = format!(" AND OLD.{key} IS NOT NEW.{key} COLLATE BINARY");
        let bodies = [
            ("insert", String::new(), note("NEW", "")),
            (
                "update",
                format!(" WHEN {differs}"),
                note("NEW", "") + " " + &note("OLD", &moved),
            ),
            ("delete", String::new(), note("OLD", "")),
        ];
        bodies.map(|(event, when, body)| {
            let name = format!("{}{table}/{event}", self.trigger_prefix(bridge));
            let rest = format!(
                "AFTER {} ON {} FOR EACH ROW{when} BEGIN {body} END",
                event.to_uppercase(),
                self.name(table)
            );
            let text = format!(
                "CREATE TRIGGER {} /* contactbridge {} */ {rest}",
                self.name(&name),
                trigger_mark(&rest)
            );
            (name, text)
        })
    }
}
