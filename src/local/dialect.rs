//! The SQL texts that differ from one database to the next.
//!
//! Nothing here talks to a database. A further database adds a variant and its texts; what reads and writes rows is a
//! module of its own (`sqlite`).

use crate::model::{ChildLayout, Column, ColumnKind, Layout};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
}

/// Name and columns of each of our tables, for looking whether they stand as this version knows them.
pub(super) const BOOKKEEPING: [(&str, &[&str]); 4] = [
    (
        "contactbridge_meta",
        &["bridge", "store_id", "generation", "epoch"],
    ),
    (
        "contactbridge_applied",
        &["bridge", "epoch", "operation", "applied_at"],
    ),
    (
        "contactbridge_links",
        &["bridge", "row_key", "external_id", "remote_id"],
    ),
    (
        "contactbridge_journal",
        &["seq", "bridge", "source", "row_key", "changed_at", "floor"],
    ),
];

/// The statements that make our tables, for an administrator who lets nobody else make any (`contactbridge schema --sql`).
pub fn bookkeeping_sql(dialect: Dialect) -> String {
    match dialect {
        // row_key has no affinity, so that a key comes back in the storage class of the mapped table, and integers sort before texts.
        // The two partial indexes make a second row for one contact impossible even where everything else fails.
        Dialect::Sqlite => "\
-- Which state store this database was synchronised with, and how far.
CREATE TABLE IF NOT EXISTS contactbridge_meta (
  bridge TEXT NOT NULL PRIMARY KEY,
  store_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL
) WITHOUT ROWID;
-- The newest transactions of the bridge: tells whether one whose answer was lost took place.
CREATE TABLE IF NOT EXISTS contactbridge_applied (
  bridge TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  operation INTEGER NOT NULL,
  applied_at TEXT NOT NULL,
  PRIMARY KEY (bridge, epoch, operation)
) WITHOUT ROWID;
-- Which row stands for which record of the remote.
CREATE TABLE IF NOT EXISTS contactbridge_links (
  bridge TEXT NOT NULL,
  row_key BLOB NOT NULL,
  external_id TEXT,
  remote_id TEXT,
  PRIMARY KEY (bridge, row_key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS contactbridge_links_remote
  ON contactbridge_links (bridge, remote_id) WHERE remote_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS contactbridge_links_external
  ON contactbridge_links (bridge, external_id) WHERE external_id IS NOT NULL;
-- What the triggers of `changes: journal` note; changed_at is in milliseconds since 1970, UTC. The entry without a
-- row_key says up to which seq (floor) nothing is known.
CREATE TABLE IF NOT EXISTS contactbridge_journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  bridge TEXT NOT NULL,
  source TEXT NOT NULL,
  row_key BLOB,
  changed_at INTEGER NOT NULL,
  floor INTEGER
);
CREATE INDEX IF NOT EXISTS contactbridge_journal_row
  ON contactbridge_journal (bridge, source, row_key);
"
        .to_owned(),
    }
}

/// The database's own clock, in milliseconds since 1970.
pub(super) const NOW_MILLIS: &str =
    "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";

/// The database's own clock, as ISO 8601 text in UTC.
pub(super) const NOW_TEXT: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

impl Dialect {
    /// A quoted identifier. A name holds no NUL: the layout is checked before any SQL is made of it.
    pub(super) fn name(self, name: &str) -> String {
        match self {
            Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// A quoted text.
    pub(super) fn text(self, text: &str) -> String {
        match self {
            Self::Sqlite => format!("'{}'", text.replace('\'', "''")),
        }
    }

    fn column_type(self, kind: ColumnKind) -> &'static str {
        match (self, kind) {
            // Dates are ISO 8601 text; a decimal as REAL would not come back as it went.
            (
                Self::Sqlite,
                ColumnKind::Text | ColumnKind::Decimal | ColumnKind::Date | ColumnKind::DateTime,
            ) => "TEXT",
            (Self::Sqlite, ColumnKind::Integer | ColumnKind::Bool) => "INTEGER",
        }
    }

    fn column(self, column: &Column) -> String {
        format!(
            "{} {}",
            self.name(&column.name),
            self.column_type(column.kind)
        )
    }

    /// Makes the mapped table. A generated key never comes back after a deletion (AUTOINCREMENT): a re-used number would
    /// pass a new person off as the dead one.
    pub(super) fn create_table(self, table: &str, layout: &Layout) -> String {
        let mut columns = Vec::with_capacity(layout.columns.len() + 2);
        if layout.key_field.is_none() {
            columns.push(format!(
                "{} INTEGER PRIMARY KEY AUTOINCREMENT",
                self.name(&layout.key)
            ));
        }
        for (at, column) in layout.columns.iter().enumerate() {
            let key = if layout.key_field == Some(at) {
                " NOT NULL PRIMARY KEY"
            } else {
                ""
            };
            columns.push(self.column(column) + key);
        }
        columns.extend(layout.extra_columns().map(|name| self.extra_column(name)));
        format!(
            "CREATE TABLE {} (\n  {}\n)",
            self.name(table),
            columns.join(",\n  ")
        )
    }

    /// Definition of a column for a time, which no field fills.
    pub(super) fn extra_column(self, name: &str) -> String {
        format!("{} TEXT", self.name(name))
    }

    /// Adds a field's column.
    pub(super) fn add_column(self, table: &str, definition: &str) -> String {
        format!("ALTER TABLE {} ADD COLUMN {definition}", self.name(table))
    }

    /// Makes a child table. The parent's column has the type of the parent's key.
    pub(super) fn create_child(self, table: &str, child: &ChildLayout, key: ColumnKind) -> String {
        let mut columns = vec![format!(
            "{} {} NOT NULL",
            self.name(&child.parent),
            self.column_type(key)
        )];
        columns.extend(child.columns.iter().map(|column| self.column(column)));
        format!(
            "CREATE TABLE {} (\n  {}\n)",
            self.name(table),
            columns.join(",\n  ")
        )
    }

    /// Makes an index; `name` says what it is for.
    pub(super) fn create_index(self, name: &str, table: &str, column: &str) -> String {
        format!(
            "CREATE INDEX IF NOT EXISTS {} ON {} ({})",
            self.name(name),
            self.name(table),
            self.name(column)
        )
    }

    /// Name and text of the three triggers that note changes of a table for one bridge. `columns` are those whose change
    /// matters, the key left out.
    ///
    /// They speak no newer SQL than SQLite 3.8, for they run in the customer's processes. Comparisons are bytewise whatever
    /// the column's collation, else a change of case alone would go unseen. Each text begins with a fingerprint of the rest,
    /// which tells triggers that somebody altered from triggers that were made for another mapping.
    pub(super) fn journal_triggers(
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

    /// How the names of all triggers of a bridge begin.
    pub(super) fn trigger_prefix(self, bridge: &str) -> String {
        format!("contactbridge/{bridge}/")
    }

    /// Whether the text of a trigger is one that [`Dialect::journal_triggers`] made, for whatever mapping.
    pub(super) fn is_own_trigger(self, text: &str) -> bool {
        text.split_once("/* contactbridge ")
            .and_then(|(_, rest)| rest.split_once(" */ "))
            .is_some_and(|(mark, rest)| mark == trigger_mark(rest))
    }
}

/// No secret: it notices alterations, it does not withstand forgers.
fn trigger_mark(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

impl Layout {
    /// The columns that no field fills but that `create: true` makes: the mark of deletion, and the time of the last change.
    pub(super) fn extra_columns(&self) -> impl Iterator<Item = &str> {
        let changed = match &self.changes {
            crate::model::ChangeMethod::Column(name) => Some(name.as_str()),
            _ => None,
        };
        self.deleted
            .as_deref()
            .into_iter()
            .chain(changed)
            .filter(|name| {
                !name.eq_ignore_ascii_case(&self.key)
                    && !self
                        .columns
                        .iter()
                        .any(|column| column.name.eq_ignore_ascii_case(name))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted_whatever_they_hold() {
        assert_eq!(Dialect::Sqlite.name("a\"b c"), "\"a\"\"b c\"");
        assert_eq!(Dialect::Sqlite.text("O'Brien"), "'O''Brien'");
    }

    #[test]
    fn the_printed_statements_run_twice_and_make_what_is_looked_for() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        for _ in 0..2 {
            conn.execute_batch(&bookkeeping_sql(Dialect::Sqlite))
                .unwrap();
        }
        for (table, columns) in BOOKKEEPING {
            let found: Vec<String> = conn
                .prepare("SELECT name FROM pragma_table_info(?1)")
                .unwrap()
                .query_map([table], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(found, columns, "{table}");
        }
    }

    #[test]
    fn an_altered_trigger_is_told_from_one_for_another_mapping() {
        let dialect = Dialect::Sqlite;
        for (_, text) in dialect.journal_triggers("m", "customers", "id", &["email"]) {
            assert!(dialect.is_own_trigger(&text));
            assert!(!dialect.is_own_trigger(&text.replace("customers", "other")));
        }
        assert!(!dialect.is_own_trigger("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END"));
    }
}
