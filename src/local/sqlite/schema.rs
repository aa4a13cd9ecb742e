//! What stands in the database: tables, columns, keys, as SQLite itself describes them.
//!
//! It only looks. What the mapping makes of it is `binding`'s, and what is missing is made by `prepare`.

use rusqlite::{Connection, OptionalExtension};

/// How SQLite converts what is written to a column (datatype3.html, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared.is_empty() || declared == "ANY" {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct ColumnShape {
    /// Its name as the database writes it.
    pub(super) name: String,
    /// Its declared type says BOOL somewhere.
    pub(super) boolean: bool,
    pub(super) affinity: Affinity,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// Part of the primary key.
    pub(super) primary: bool,
    /// Computed by the database, so it can't be written.
    pub(super) generated: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct TableShape {
    /// Its name as the database writes it.
    pub(super) name: String,
    pub(super) columns: Vec<ColumnShape>,
    /// A name of the rowid that no column hides; `None` for WITHOUT ROWID tables.
    pub(super) rowid: Option<&'static str>,
    /// The column that is the rowid (INTEGER PRIMARY KEY).
    pub(super) rowid_column: Option<String>,
    /// The rowid is never used again (AUTOINCREMENT).
    pub(super) autoincrement: bool,
    /// Columns that are unique on their own, NULLs apart.
    pub(super) unique: Vec<String>,
    /// Some constraint of the table says ON CONFLICT REPLACE.
    pub(super) replaces: bool,
}

impl TableShape {
    /// The column of that name; SQLite compares names without ASCII case.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether a column is unique on its own.
    pub(super) fn is_unique(&self, name: &str) -> bool {
        self.unique
            .iter()
            .any(|unique| unique.eq_ignore_ascii_case(name))
    }
}

/// What stands under a table's name.
#[derive(Debug)]
pub(super) enum Found {
    Table(TableShape),
    /// A view, a virtual table or one that belongs to a virtual table: its kind in words.
    Other(&'static str),
    Nothing,
}

/// The names of the tables of people (neither SQLite's nor ours).
pub(super) fn table_names(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name NOT LIKE 'contactbridge\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Looks a table up.
pub(super) fn find(conn: &Connection, name: &str) -> rusqlite::Result<Found> {
    let found: Option<(String, String, bool)> = conn
        .query_row(
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    Ok(match found {
        None => Found::Nothing,
        Some((name, kind, without_rowid)) => match kind.as_str() {
            "table" => Found::Table(shape(conn, name, without_rowid)?),
            "view" => Found::Other("a view"),
            "virtual" => Found::Other("a virtual table"),
            _ => Found::Other("a part of a virtual table"),
        },
    })
}

fn shape(conn: &Connection, name: String, without_rowid: bool) -> rusqlite::Result<TableShape> {
    let columns = columns(conn, &name)?;
    let sql: String = conn.query_row(
        "SELECT upper(coalesce(sql, '')) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
        [&name],
        |row| row.get(0),
    )?;
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let rowid = ["_rowid_", "oid", "rowid"].into_iter().find(|alias| {
        !without_rowid
            && !columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(alias))
    });
    let mut unique: Vec<String> = conn
        .prepare(
            "SELECT max(i.name) FROM pragma_index_list(?1) AS l JOIN pragma_index_info(l.name) AS i \
             WHERE l.\"unique\" = 1 AND l.partial = 0 GROUP BY l.name HAVING count(*) = 1 AND max(i.cid) >= 0",
        )?
        .query_map([&name], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // An INTEGER PRIMARY KEY, and only that, is a primary key of one column without an index of its own.
    let mut primary = columns.iter().filter(|column| column.primary);
    let rowid_column = match (primary.next(), primary.next()) {
        (Some(column), None) if !unique.contains(&column.name) && !without_rowid => {
            Some(column.name.clone())
        }
        _ => None,
    };
    unique.extend(rowid_column.clone());
    Ok(TableShape {
        rowid,
        autoincrement: sql.contains("AUTOINCREMENT"),
        replaces: sql.contains("ON CONFLICT REPLACE"),
        rowid_column,
        unique,
        columns,
        name,
    })
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<ColumnShape>> {
    let mut statement = conn.prepare(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
    )?;
    statement
        .query_map([table], |row| {
            let declared: String = row.get(1)?;
            Ok(ColumnShape {
                name: row.get(0)?,
                boolean: declared.to_ascii_uppercase().contains("BOOL"),
                affinity: Affinity::of(&declared),
                not_null: row.get(2)?,
                has_default: row.get(3)?,
                primary: row.get::<_, i64>(4)? > 0,
                generated: row.get::<_, i64>(5)? >= 2,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sql: &str) -> TableShape {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(sql).unwrap();
        match find(&conn, "T").unwrap() {
            Found::Table(shape) => shape,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_recognised_in_every_way_of_declaring_them() {
        let generated = table("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
        assert_eq!(generated.rowid_column.as_deref(), Some("id"));
        assert!(generated.is_unique("ID") && !generated.autoincrement);
        assert!(table("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)").autoincrement);

        let natural = table("CREATE TABLE t (id TEXT PRIMARY KEY, rowid TEXT)");
        assert_eq!(natural.rowid_column, None);
        assert!(natural.is_unique("id"));
        assert_eq!(natural.rowid, Some("_rowid_"));

        let plain = table("CREATE TABLE t (id INT PRIMARY KEY) WITHOUT ROWID");
        assert_eq!((plain.rowid, plain.rowid_column.clone()), (None, None));
        assert!(plain.is_unique("id"));

        let index = table(
            "CREATE TABLE t (id TEXT NOT NULL, b, c); CREATE UNIQUE INDEX i ON t (id); CREATE UNIQUE INDEX j ON t (b, c)",
        );
        assert!(index.is_unique("id") && !index.is_unique("b") && !index.is_unique("c"));
        let partial = table(
            "CREATE TABLE t (id TEXT, b); CREATE UNIQUE INDEX i ON t (id) WHERE b = 1; CREATE UNIQUE INDEX j ON t (lower(b))",
        );
        assert!(!partial.is_unique("id") && !partial.is_unique("b"));
        assert!(!table("CREATE TABLE t (a, b, PRIMARY KEY (a, b))").is_unique("a"));
    }

    #[test]
    fn columns_tell_affinity_default_and_generation() {
        let shape = table(
            "CREATE TABLE t (a VARCHAR(20) NOT NULL DEFAULT 'x', b BOOLEAN, c, d AS (a || 'y'), e DOUBLE, f DATETIME, g BIGINT UNIQUE ON CONFLICT  REPLACE)",
        );
        let affinities: Vec<_> = shape.columns.iter().map(|column| column.affinity).collect();
        use Affinity::*;
        assert_eq!(
            affinities,
            [Text, Numeric, Blob, Blob, Real, Numeric, Integer]
        );
        assert!(shape.columns[0].not_null && shape.columns[0].has_default);
        assert!(shape.columns[1].boolean && !shape.columns[0].boolean);
        assert!(shape.columns[3].generated && !shape.columns[0].generated);
        assert!(shape.replaces);
    }

    #[test]
    fn views_and_virtual_tables_are_told_from_tables() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE people (a); CREATE VIEW v AS SELECT a FROM people; CREATE TABLE contactbridge_x (a)")
            .unwrap();
        assert!(matches!(find(&conn, "v").unwrap(), Found::Other("a view")));
        assert!(matches!(find(&conn, "none").unwrap(), Found::Nothing));
        assert_eq!(table_names(&conn).unwrap(), ["people"]);
    }
}
