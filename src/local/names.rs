//! Names that no table and no column of a mapping can have, whatever the database.

use super::problem::Problem;
use crate::model::Layout;

/// A table's name without its schema.
fn own_name(table: &str) -> &str {
    table.rsplit_once('.').map_or(table, |(_, name)| name)
}

/// Names that no table and no column can have, and columns that are named twice.
pub(super) fn check(layout: &Layout) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |table: &str, columns: Vec<&str>| {
        let reserved = table.to_ascii_lowercase();
        if table.is_empty() || table.contains('\0') {
            problems.push(Problem::fatal("E-MAP-TABLE", "A table without a name"));
        } else if reserved.starts_with("sqlite_") || reserved.starts_with("contactbridge_") {
            problems.push(Problem::fatal(
                "E-MAP-TABLE",
                format!(
                    "{table}: tables of that name belong to the database or to the bridge itself"
                ),
            ));
        }
        for (at, column) in columns.iter().enumerate() {
            if column.is_empty() || column.contains('\0') {
                problems.push(Problem::fatal(
                    "E-MAP-COLUMN",
                    format!("{table}: a column without a name"),
                ));
            } else if columns[..at]
                .iter()
                .any(|other| other.eq_ignore_ascii_case(column))
            {
                problems.push(Problem::fatal(
                    "E-MAP-COLUMN",
                    format!("{table}.{column}: two rules write to it"),
                ));
            }
        }
    };
    let fields = layout.columns.iter().map(|column| column.name.as_str());
    let key = (layout.key_field.is_none()).then_some(layout.key.as_str());
    check(
        own_name(&layout.table),
        key.into_iter()
            .chain(layout.deleted.as_deref())
            .chain(fields)
            .collect(),
    );
    for child in &layout.children {
        let fields = child.columns.iter().map(|column| column.name.as_str());
        check(
            own_name(&child.table),
            std::iter::once(child.parent.as_str())
                .chain(fields)
                .collect(),
        );
    }
    problems
}
