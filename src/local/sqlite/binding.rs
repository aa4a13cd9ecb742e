//! The mapping's layout laid over the tables that stand in the database: which column is which, what is missing, what can't
//! work, and the statements that follow from it.

use rusqlite::Connection;

use super::DIALECT;
use super::schema::{self, ColumnShape, Found, TableShape};
use super::value::is_mark_sql;
use crate::local::problem::{Problem, suggestion};
use crate::model::{ChangeMethod, ChildLayout, Layout};

/// The position of the first field in a row as [`Binding`]'s statements read it; before it stand the key, the mark and the
/// time of the last change.
pub(super) const FIRST_FIELD: usize = 3;

/// A mapped table as it stands.
#[derive(Debug)]
pub(super) struct Binding {
    /// The table's name, unquoted.
    pub(super) table: String,
    /// The key column.
    pub(super) key: ColumnShape,
    /// The field's columns; `None` for one that the next run will make.
    pub(super) fields: Vec<Option<ColumnShape>>,
    /// The column of the mark of deletion, where the mapping has one and it stands.
    pub(super) deleted: Option<ColumnShape>,
    /// The child tables; `None` for one that the next run will make.
    pub(super) children: Vec<Option<ChildBinding>>,
    /// Whether the database has triggers beside those of this bridge: then a write may change more than it says.
    pub(super) foreign_triggers: bool,
    /// Whether the journal's table stands.
    pub(super) journal_stands: bool,
    /// Name of the rowid, where there is one that no column hides: then `find` can keep an index of it.
    pub(super) rowid: Option<&'static str>,
    /// Reads the first rows in the order of keys: `?1` how many.
    pub(super) scan_first: String,
    /// Reads on: `?1` how many, `?2` after which key.
    pub(super) scan_next: String,
    /// Reads the row of the key `?1`.
    pub(super) fetch: String,
    /// Reads the row of the rowid `?1`.
    pub(super) fetch_rowid: String,
    /// Counts the rows that live.
    pub(super) count_live: String,
}

/// A child table as it stands.
#[derive(Debug)]
pub(super) struct ChildBinding {
    pub(super) table: String,
    pub(super) parent: String,
    pub(super) columns: Vec<ColumnShape>,
    /// Name of the rowid; without one the key columns tell rows apart.
    pub(super) rowid: Option<&'static str>,
}

/// What [`bind`] finds.
#[derive(Debug)]
pub(super) struct Bound {
    /// `None` while there is no table.
    pub(super) binding: Option<Binding>,
    pub(super) problems: Vec<Problem>,
}

/// The table's name without the name of the database file in it, which in SQLite is always `main`.
pub(super) fn table_name(table: &str) -> &str {
    table.strip_prefix("main.").unwrap_or(table)
}

/// Lays `layout` over the database; `may_miss`: tables and the column of the mark may be missing, because the next run makes them.
pub(super) fn bind(
    conn: &Connection,
    bridge: &str,
    layout: &Layout,
    may_miss: bool,
) -> rusqlite::Result<Bound> {
    let mut problems = Vec::new();
    let shape = table(conn, &layout.table, may_miss, &mut problems)?;
    let mut children = Vec::with_capacity(layout.children.len());
    for child in &layout.children {
        children.push(
            table(conn, &child.table, may_miss, &mut problems)?
                .and_then(|shape| bind_child(child, shape, &mut problems)),
        );
    }
    let Some(shape) = shape else {
        return Ok(Bound {
            binding: None,
            problems,
        });
    };
    check_key(conn, layout, &shape, &mut problems)?;
    // A column that is gone from a table that is there would come back empty, and empty everybody's field in the CRM.
    let mut look = |name: &str| column(&shape, name, false, &mut problems);
    let fields: Vec<_> = layout
        .columns
        .iter()
        .map(|field| look(&field.name))
        .collect();
    let changed = match &layout.changes {
        ChangeMethod::Column(name) => look(name),
        ChangeMethod::Scan | ChangeMethod::Journal => None,
    };
    let deleted = layout
        .deleted
        .as_deref()
        .and_then(|name| column(&shape, name, may_miss, &mut problems));
    check_columns(layout, &shape, &fields, &mut problems);
    let foreign_triggers = conn
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) <> ?1")?
        .exists([DIALECT.trigger_prefix(bridge)])?;
    let binding = shape.column(&layout.key).cloned().map(|key| {
        let journal_stands = matches!(
            schema::find(conn, "contactbridge_journal"),
            Ok(Found::Table(_))
        );
        let mut binding = statements(&shape, key, fields, deleted, changed);
        binding.children = children;
        binding.journal_stands = journal_stands;
        binding.foreign_triggers = foreign_triggers;
        binding
    });
    Ok(Bound { binding, problems })
}

fn table(
    conn: &Connection,
    wanted: &str,
    may_miss: bool,
    problems: &mut Vec<Problem>,
) -> rusqlite::Result<Option<TableShape>> {
    let name = table_name(wanted);
    Ok(match schema::find(conn, name)? {
        Found::Table(shape) => Some(shape),
        Found::Other(kind) => {
            problems.push(Problem::fatal(
                "E-DB-VIEW",
                format!("{name} is {kind}. Its rows have no place of their own to write to: map the table behind it"),
            ));
            None
        }
        Found::Nothing if may_miss => None,
        Found::Nothing => {
            let known = schema::table_names(conn)?;
            problems.push(Problem::fatal(
                "E-MAP-TABLE",
                format!(
                    "{name}: no such table{} Correct the mapping, or let it make what is missing with `create: true`",
                    sentence(suggestion(name, known.iter().map(String::as_str)))
                ),
            ));
            None
        }
    })
}

/// Ends a clause that a suggestion may have ended already.
fn sentence(suggestion: String) -> String {
    if suggestion.is_empty() {
        ".".to_owned()
    } else {
        suggestion
    }
}

fn column(
    shape: &TableShape,
    wanted: &str,
    may_miss: bool,
    problems: &mut Vec<Problem>,
) -> Option<ColumnShape> {
    let found = shape.column(wanted).cloned();
    if found.is_none() && !may_miss {
        problems.push(Problem::fatal(
            "E-MAP-COLUMN",
            format!(
                "{}.{wanted}: no such column{}",
                shape.name,
                suggestion(
                    wanted,
                    shape.columns.iter().map(|column| column.name.as_str())
                )
            ),
        ));
    }
    found
}

fn bind_child(
    child: &ChildLayout,
    shape: TableShape,
    problems: &mut Vec<Problem>,
) -> Option<ChildBinding> {
    let parent = column(&shape, &child.parent, false, problems);
    let columns: Vec<_> = child
        .columns
        .iter()
        .map(|field| column(&shape, &field.name, false, problems))
        .collect();
    for column in columns.iter().flatten().filter(|column| column.generated) {
        problems.push(Problem::fatal(
            "E-MAP-GENERATED",
            format!(
                "{}.{} is computed by the database and can't be filled",
                shape.name, column.name
            ),
        ));
    }
    Some(ChildBinding {
        parent: parent?.name,
        columns: columns.into_iter().collect::<Option<_>>()?,
        table: shape.name,
        rowid: shape.rowid,
    })
}

fn check_key(
    conn: &Connection,
    layout: &Layout,
    shape: &TableShape,
    problems: &mut Vec<Problem>,
) -> rusqlite::Result<()> {
    // A key can't be added to a table that has rows, so `create` does not help here.
    let Some(key) = column(shape, &layout.key, false, problems) else {
        return Ok(());
    };
    let place = format!("{}.{}", shape.name, key.name);
    if !shape.is_unique(&key.name) || !(key.not_null || key.primary) {
        problems.push(Problem::fatal(
            "E-DB-KEY",
            format!("{place} can't be the key: it must be the primary key on its own, or UNIQUE and NOT NULL, to name a row for good"),
        ));
    }
    let is_rowid = shape.rowid_column.as_deref() == Some(&key.name);
    if !is_rowid {
        let encoding: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0))?;
        if encoding != "UTF-8" {
            problems.push(Problem::fatal(
                "E-DB-ENCODING",
                format!("{place}: a text key in a {encoding} database is not in this version, for it has another order there"),
            ));
        }
    }
    if layout.key_field.is_none() && !is_rowid && !key.has_default && !key.generated {
        problems.push(Problem::warning(
            "W-DB-KEY-EMPTY",
            format!("{place}: neither a field of the mapping nor the database fills the key, so no row can be made. Map a field to it"),
        ));
    }
    if layout.key_field.is_none() && is_rowid && !shape.autoincrement {
        problems.push(Problem::warning(
            "W-DB-KEY-REUSED",
            format!("{place} is not AUTOINCREMENT: SQLite gives the number of a deleted last row to the next new one, and a new person made so between two runs is taken for an edit of the old one"),
        ));
    }
    Ok(())
}

fn check_columns(
    layout: &Layout,
    shape: &TableShape,
    fields: &[Option<ColumnShape>],
    problems: &mut Vec<Problem>,
) {
    for column in fields.iter().flatten().filter(|column| column.generated) {
        problems.push(Problem::warning(
            "W-MAP-GENERATED",
            format!(
                "{}.{} is computed by the database: it can be pushed, never written",
                shape.name, column.name
            ),
        ));
    }
    for column in &shape.columns {
        let filled = fields
            .iter()
            .flatten()
            .any(|field| field.name == column.name)
            || column.name.eq_ignore_ascii_case(&layout.key);
        if column.not_null && !column.has_default && !column.generated && !filled {
            problems.push(Problem::warning(
                "W-DB-NOT-NULL",
                format!("{}.{} is NOT NULL without a default, and no field of the mapping fills it: no row can be made. Map it, or give it a default", shape.name, column.name),
            ));
        }
    }
    if shape.replaces {
        problems.push(Problem::warning(
            "W-DB-REPLACE",
            format!("{} has a constraint with ON CONFLICT REPLACE: writing a row may silently delete another one", shape.name),
        ));
    }
}

fn statements(
    shape: &TableShape,
    key: ColumnShape,
    fields: Vec<Option<ColumnShape>>,
    deleted: Option<ColumnShape>,
    changed: Option<ColumnShape>,
) -> Binding {
    // Every column is qualified: SQLite takes an unqualified quoted name that it does not know for a text.
    let dialect = DIALECT;
    let qualified = |column: &ColumnShape| format!("t.{}", dialect.name(&column.name));
    let optional =
        |column: &Option<ColumnShape>| column.as_ref().map_or_else(|| "NULL".to_owned(), qualified);
    let mut columns = vec![qualified(&key), optional(&deleted), optional(&changed)];
    columns.extend(fields.iter().map(optional));
    let from = format!("FROM {} AS t", dialect.name(&shape.name));
    let select = format!("SELECT {} {from}", columns.join(", "));
    // Keys compare bytewise, whatever the column's collation. The rowid needs no such word, and is found without it.
    let is_rowid = shape.rowid_column.as_deref() == Some(key.name.as_str());
    let name = qualified(&key);
    let (exact, nameable) = if is_rowid {
        (name.clone(), String::new())
    } else {
        (
            format!("{name} COLLATE BINARY"),
            format!("typeof({name}) IN ('integer', 'text')"),
        )
    };
    let and = |condition: &str| {
        if nameable.is_empty() {
            condition.to_owned()
        } else if condition.is_empty() {
            nameable.clone()
        } else {
            format!("{condition} AND {nameable}")
        }
    };
    let filter = |condition: String| {
        if condition.is_empty() {
            condition
        } else {
            format!(" WHERE {condition}")
        }
    };
    let order = format!(" ORDER BY {exact} LIMIT ?1");
    Binding {
        scan_first: format!("{select}{}{order}", filter(and(""))),
        scan_next: format!("{select}{}{order}", filter(and(&format!("{exact} > ?2")))),
        fetch: format!("{select} WHERE {exact} = ?1"),
        fetch_rowid: format!("{select} WHERE t.{} = ?1", shape.rowid.unwrap_or("rowid")),
        count_live: match &deleted {
            Some(column) => format!(
                "SELECT count(*) {from} WHERE NOT {}",
                is_mark_sql(&qualified(column))
            ),
            None => format!("SELECT count(*) {from}"),
        },
        rowid: shape.rowid,
        table: shape.name.clone(),
        key,
        fields,
        deleted,
        children: Vec::new(),
        foreign_triggers: false,
        journal_stands: false,
    }
}

impl Binding {
    /// Whether keys are integers for sure, so that no query needs to look for others.
    pub(super) fn integer_key(&self) -> bool {
        !self.scan_first.contains("typeof(")
    }
}
