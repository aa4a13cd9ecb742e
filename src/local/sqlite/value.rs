//! Values between SQLite and the model: keys, cells, marks.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::local::digest::RowDigester;
use crate::model::{Cell, LocalKey};

impl ToSql for LocalKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => ToSqlOutput::from(*value),
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
        })
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Puts a key into `place`, re-using its room; false for values that can't name a row (NULL, fractions, bytes, broken UTF-8).
pub(super) fn read_key(value: ValueRef<'_>, place: &mut LocalKey) -> bool {
    match value {
        ValueRef::Integer(number) => {
            *place = LocalKey::Int(number);
            true
        }
        ValueRef::Text(bytes) => {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return false;
            };
            match place {
                LocalKey::Text(room) => {
                    room.clear();
                    room.push_str(text);
                }
                LocalKey::Int(_) => *place = LocalKey::Text(text.to_owned()),
            }
            true
        }
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => false,
    }
}

/// A cell; text that is not UTF-8 becomes bytes, which no mapped type takes.
pub(super) fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

/// Adds a value to a row's digest.
pub(super) fn digest(value: ValueRef<'_>, digester: &mut RowDigester) {
    match value {
        ValueRef::Null => digester.null(),
        ValueRef::Integer(number) => digester.int(number),
        ValueRef::Real(number) => digester.real(number),
        ValueRef::Text(bytes) => digester.text(bytes),
        ValueRef::Blob(bytes) => digester.blob(bytes),
    }
}

/// Whether the value of a `deleted` column marks its row: everything does but NULL, the empty text and zero, so that a
/// column of 0 and 1 serves as well as one of times.
pub(super) fn is_mark(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Null => false,
        ValueRef::Integer(number) => number != 0,
        ValueRef::Real(number) => number != 0.0,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => !matches!(bytes, b"" | b"0" | b"0.0"),
    }
}

/// The same as SQL, for a column that is given quoted and qualified.
pub(super) fn is_mark_sql(column: &str) -> String {
    format!("({column} IS NOT NULL AND CAST({column} AS TEXT) NOT IN ('', '0', '0.0'))")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_mark_is_a_mark_in_rust_and_in_sql() {
        let conn = Connection::open_in_memory().unwrap();
        for (literal, marks) in [
            ("NULL", false),
            ("''", false),
            ("0", false),
            ("0.0", false),
            ("'0'", false),
            ("1", true),
            ("'2026-01-01'", true),
            ("x'01'", true),
            ("-1", true),
        ] {
            let sql = format!(
                "SELECT v, {} FROM (SELECT {literal} AS v)",
                is_mark_sql("v")
            );
            conn.query_row(&sql, [], |row| {
                assert_eq!(is_mark(row.get_ref(0)?), marks, "{literal}");
                assert_eq!(row.get::<_, bool>(1)?, marks, "{literal}");
                Ok(())
            })
            .unwrap();
        }
    }

    #[test]
    fn cells_come_back_as_they_went_and_broken_text_as_bytes() {
        let conn = Connection::open_in_memory().unwrap();
        for sent in [
            Cell::Null,
            Cell::Int(i64::MIN),
            Cell::Real(0.1),
            Cell::Text("Zoë \u{0} x".into()),
            Cell::Blob(vec![0, 255]),
        ] {
            let back = conn
                .query_row("SELECT ?1", [&sent], |row| Ok(cell(row.get_ref(0)?)))
                .unwrap();
            assert_eq!(back, sent);
        }
        conn.query_row("SELECT CAST(x'ff41' AS TEXT)", [], |row| {
            assert_eq!(cell(row.get_ref(0)?), Cell::Blob(vec![255, 0x41]));
            assert!(!read_key(row.get_ref(0)?, &mut LocalKey::Int(0)));
            Ok(())
        })
        .unwrap();
    }
}
