//! The mapping's layout laid over the tables that stand on a server: which column is which, what is missing, what can't work.

use super::backend::{Answer, Backend, Journal};
use super::shape::{ColumnShape, Family, Found, TableShape};
use crate::local::dialect::Dialect;
use crate::local::problem::{Problem, suggestion};
use crate::model::{ChangeMethod, ChildLayout, Layout};

/// The position of the first field in a row as [`Binding::columns`] reads it; before it stand the key, the mark and the time
/// of the last change.
pub(super) const FIRST_FIELD: usize = 3;

/// A mapped table as it stands.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) shape: TableShape,
    /// The table's name in a statement.
    pub(super) table: String,
    pub(super) key: ColumnShape,
    /// The fields' columns.
    pub(super) fields: Vec<ColumnShape>,
    /// The column of the mark of deletion, where the mapping has one and it stands.
    pub(super) deleted: Option<ColumnShape>,
    /// The column of the time of the last change, where the mapping names one.
    pub(super) changed: Option<ColumnShape>,
    /// The child tables; `None` for one that the next run will make.
    pub(super) children: Vec<Option<ChildBinding>>,
    /// Whether the journal's table stands.
    pub(super) journal_stands: bool,
    /// Everything that is read of a row, as SQL.
    pub(super) columns: String,
}

/// A child table as it stands.
#[derive(Debug)]
pub(super) struct ChildBinding {
    pub(super) table: String,
    pub(super) parent: ColumnShape,
    pub(super) columns: Vec<ColumnShape>,
}

/// What [`bind`] finds.
#[derive(Debug)]
pub(super) struct Bound {
    /// `None` while there is no table.
    pub(super) binding: Option<Binding>,
    pub(super) problems: Vec<Problem>,
}

/// The triggers that a layout needs on a table.
pub(super) fn journal(bridge: &str, layout: &Layout, shape: &TableShape) -> Journal {
    let name = |wanted: &str| {
        shape
            .column(wanted)
            .map_or_else(|| wanted.to_owned(), |column| column.name.clone())
    };
    let key = name(&layout.key);
    let mut columns: Vec<String> = layout
        .columns
        .iter()
        .map(|column| name(&column.name))
        .filter(|column| *column != key)
        .collect();
    columns.extend(layout.deleted.as_deref().map(name));
    Journal {
        bridge: bridge.to_owned(),
        source: layout.table.clone(),
        schema: shape.schema.clone(),
        table: shape.name.clone(),
        key,
        columns,
    }
}

/// Lays `layout` over the database; `may_miss`: tables and the column of the mark may be missing, because the next run makes them.
pub(super) async fn bind<B: Backend>(
    backend: &mut B,
    layout: &Layout,
    may_miss: bool,
) -> Answer<Bound> {
    let mut problems = Vec::new();
    let shape = table(backend, &layout.table, may_miss, &mut problems).await?;
    let mut children = Vec::with_capacity(layout.children.len());
    for child in &layout.children {
        let found = table(backend, &child.table, may_miss, &mut problems).await?;
        children.push(found.and_then(|shape| bind_child(B::DIALECT, child, shape, &mut problems)));
    }
    let Some(shape) = shape else {
        return Ok(Bound {
            binding: None,
            problems,
        });
    };
    check_key(B::DIALECT, layout, &shape, &mut problems);
    // A column that is gone from a table that is there would come back empty, and empty everybody's field in the CRM.
    let mut look = |name: &str| column(&shape, name, false, &mut problems);
    let fields: Option<Vec<_>> = layout
        .columns
        .iter()
        .map(|field| look(&field.name))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let changed = match &layout.changes {
        ChangeMethod::Column(name) => look(name),
        ChangeMethod::Scan | ChangeMethod::Journal => None,
    };
    let deleted = layout
        .deleted
        .as_deref()
        .and_then(|name| column(&shape, name, may_miss, &mut problems));
    let (Some(fields), Some(key)) = (fields, shape.column(&layout.key).cloned()) else {
        return Ok(Bound {
            binding: None,
            problems,
        });
    };
    check_columns(&shape, &key, &fields, &mut problems);
    let journal_stands = backend.stands("contactbridge_journal").await?;
    let dialect = B::DIALECT;
    let optional = |column: &Option<ColumnShape>| {
        column
            .as_ref()
            .map_or_else(|| "NULL".to_owned(), |column| column.read(dialect))
    };
    let mut columns = vec![key.read(dialect), optional(&deleted), optional(&changed)];
    columns.extend(fields.iter().map(|field| field.read(dialect)));
    Ok(Bound {
        binding: Some(Binding {
            table: shape.quoted(dialect),
            columns: columns.join(", "),
            shape,
            key,
            fields,
            deleted,
            changed,
            children,
            journal_stands,
        }),
        problems,
    })
}

async fn table<B: Backend>(
    backend: &mut B,
    wanted: &str,
    may_miss: bool,
    problems: &mut Vec<Problem>,
) -> Answer<Option<TableShape>> {
    Ok(match backend.find_table(wanted).await? {
        Found::Table(shape) => {
            if let Some(reason) = &shape.unfit {
                problems.push(Problem::fatal("E-DB-TABLE", format!("{wanted} {reason}")));
            }
            Some(shape)
        }
        Found::Other(kind) => {
            problems.push(Problem::fatal(
                "E-DB-VIEW",
                format!("{wanted} is {kind}. Its rows have no place of their own to write to: map the table behind it"),
            ));
            None
        }
        Found::Nothing if may_miss => None,
        Found::Nothing => {
            let known = backend.table_names().await?;
            let near = suggestion(wanted, known.iter().map(String::as_str));
            let near = if near.is_empty() { "." } else { near.as_str() };
            problems.push(Problem::fatal(
                "E-MAP-TABLE",
                format!("{wanted}: no such table that this user may see{near} Correct the mapping, or let it make what is missing with `create: true`"),
            ));
            None
        }
    })
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
    dialect: Dialect,
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
        parent: parent?,
        columns: columns.into_iter().collect::<Option<_>>()?,
        table: shape.quoted(dialect),
    })
}

fn check_key(dialect: Dialect, layout: &Layout, shape: &TableShape, problems: &mut Vec<Problem>) {
    // A key can't be added to a table that has rows, so `create` does not help here.
    let Some(key) = column(shape, &layout.key, false, problems) else {
        return;
    };
    let place = format!("{}.{}", shape.name, key.name);
    if !shape.is_unique(&key.name) || !key.not_null {
        problems.push(Problem::fatal(
            "E-DB-KEY",
            format!("{place} can't be the key: it must be the primary key on its own, or UNIQUE and NOT NULL, to name a row for good"),
        ));
    }
    if !matches!(key.family, Family::Integer | Family::Text | Family::Uuid) {
        problems.push(Problem::fatal(
            "E-DB-KEY",
            format!("{place} can't be the key: a whole number, a text or a uuid can be one, its type can't"),
        ));
    }
    // MySQL does not tell which value a default gave.
    let filled = key.counts || (key.has_default && dialect != Dialect::MySql);
    if layout.key_field.is_none() && !filled {
        problems.push(Problem::warning(
            "W-DB-KEY-EMPTY",
            format!("{place}: neither a field of the mapping nor the database fills the key, so no row can be made. Map a field to it"),
        ));
    }
}

fn check_columns(
    shape: &TableShape,
    key: &ColumnShape,
    fields: &[ColumnShape],
    problems: &mut Vec<Problem>,
) {
    for column in fields.iter().filter(|column| column.generated) {
        problems.push(Problem::warning(
            "W-MAP-GENERATED",
            format!(
                "{}.{} is computed by the database: it can be pushed, never written",
                shape.name, column.name
            ),
        ));
    }
    for column in &shape.columns {
        let filled = column.name == key.name
            || column.counts
            || fields.iter().any(|field| field.name == column.name);
        if column.not_null && !column.has_default && !column.generated && !filled {
            problems.push(Problem::warning(
                "W-DB-NOT-NULL",
                format!("{}.{} is NOT NULL without a default, and no field of the mapping fills it: no row can be made. Map it, or give it a default", shape.name, column.name),
            ));
        }
    }
}
