//! SQL texts of MySQL and MariaDB alone.

use super::{Dialect, trigger_mark};
use crate::model::ColumnKind;

/// What our tables end with: transactions, and every character.
pub(super) const TABLE_END: &str = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

/// A text that rows are looked up by needs a length, to be indexed, and compares exactly.
pub(super) fn column_type(kind: ColumnKind, keyed: bool) -> &'static str {
    match kind {
        ColumnKind::Text if keyed => "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ColumnKind::Text => "MEDIUMTEXT CHARACTER SET utf8mb4",
        ColumnKind::Integer => "BIGINT",
        ColumnKind::Decimal => "DECIMAL(50, 15)",
        ColumnKind::Bool => "TINYINT(1)",
        ColumnKind::Date => "DATE",
        ColumnKind::DateTime => "DATETIME(6)",
    }
}

// key_number is the key where it is a number, so that numbers stand in their own order; row_key is bytes, because every
// collation holds some texts for equal that are not. A unique index lets any number of NULLs in.
pub(super) const BOOKKEEPING_SQL: [(&str, &str); 4] = [
    (
        "contactbridge_meta",
        "\
-- Which state store this database was synchronised with, and how far.
CREATE TABLE IF NOT EXISTS contactbridge_meta (
  bridge VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  store_id VARCHAR(190) NOT NULL,
  generation BIGINT NOT NULL,
  epoch BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ),
    (
        "contactbridge_applied",
        "\
-- The newest transactions of the bridge: tells whether one whose answer was lost took place.
CREATE TABLE IF NOT EXISTS contactbridge_applied (
  bridge VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  epoch BIGINT NOT NULL,
  operation BIGINT NOT NULL,
  applied_at DATETIME(3) NOT NULL,
  PRIMARY KEY (bridge, epoch, operation)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ),
    (
        "contactbridge_links",
        "\
-- Which row stands for which record of the remote.
CREATE TABLE IF NOT EXISTS contactbridge_links (
  bridge VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  row_key VARBINARY(1020) NOT NULL,
  key_number BIGINT,
  external_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  remote_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  PRIMARY KEY (bridge, row_key),
  UNIQUE KEY contactbridge_links_remote (bridge, remote_id),
  UNIQUE KEY contactbridge_links_external (bridge, external_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ),
    (
        "contactbridge_journal",
        "\
-- What the triggers of `changes: journal` note; changed_at is in milliseconds since 1970, UTC. The entry without a
-- row_key says up to which seq (floor) nothing is known.
CREATE TABLE IF NOT EXISTS contactbridge_journal (
  seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  bridge VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  source VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  row_key VARBINARY(1020),
  changed_at BIGINT NOT NULL,
  writer BIGINT,
  floor BIGINT,
  KEY contactbridge_journal_row (bridge, source, row_key),
  KEY contactbridge_journal_writer (writer, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ),
];

/// The database's own clock, in milliseconds since 1970.
const NOW_MILLIS: &str = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";

impl Dialect {
    /// Event, name and body of the three triggers that note changes of a table for one bridge. `journal` is the quoted
    /// name of the table that they note to.
    ///
    /// Columns compare as bytes: a change of case alone counts, whatever collation the column has.
    pub(in crate::local) fn mysql_journal_triggers(
        bridge: &str,
        source: &str,
        journal: &str,
        key: &str,
        columns: &[&str],
    ) -> [(&'static str, String, String); 3] {
        let dialect = Self::MySql;
        let key = dialect.name(key);
        let note = |row: &str| {
            format!(
                "INSERT INTO {journal} (bridge, source, row_key, changed_at, writer) VALUES ({}, {}, \
                 CAST({row}.{key} AS CHAR CHARACTER SET utf8mb4), {NOW_MILLIS}, CONNECTION_ID());",
                dialect.text(bridge),
                dialect.text(source)
            )
        };
        let differs =
            |name: &str| format!("NOT (CAST(OLD.{name} AS BINARY) <=> CAST(NEW.{name} AS BINARY))");
        let any = std::iter::once(key.clone())
            .chain(columns.iter().map(|column| dialect.name(column)))
            .map(|name| differs(&name))
            .collect::<Vec<_>>()
            .join(" OR ");
        let update = format!(
            "IF {any} THEN {} IF {} THEN {} END IF; END IF;",
            note("NEW"),
            differs(&key),
            note("OLD")
        );
        let prefix = dialect.trigger_prefix(bridge);
        [
            ("INSERT", note("NEW")),
            ("UPDATE", update),
            ("DELETE", note("OLD")),
        ]
        .map(|(event, rest)| {
            let rest = format!("{rest} END");
            (
                event,
                dialect.bounded(&format!("{prefix}{source}/{}", event.to_lowercase())),
                format!("BEGIN /* contactbridge {} */ {rest}", trigger_mark(&rest)),
            )
        })
    }
}
