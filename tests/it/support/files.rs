//! The files of a project, looked at and changed as another program would: the customer's SQLite file, and texts.

use std::path::Path;

use rusqlite::types::Value;

/// The rows of a query, each cell as text; NULL is `null`.
#[track_caller]
pub fn rows(connection: &rusqlite::Connection, query: &str, null: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare(query).expect(query);
    let width = statement.column_count();
    let cell = |value: Value| match value {
        Value::Null => null.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(bytes) => format!("{bytes:?}"),
    };
    let rows = statement
        .query_map([], |row| {
            (0..width).map(|at| Ok(cell(row.get(at)?))).collect()
        })
        .expect(query);
    rows.collect::<Result<_, _>>().expect(query)
}

/// Replaces a text that stands in a file.
#[track_caller]
pub fn edit(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).expect("the file");
    assert!(text.contains(old), "no {old:?} in\n{text}");
    std::fs::write(file, text.replace(old, new)).expect("the file");
}
