//! What stands in a database on a server: tables, columns, keys, as its catalogue describes them.
//!
//! A backend fills these; what the mapping makes of them is `binding`'s.

use crate::local::dialect::Dialect;
use crate::local::digest::{RowDigester, plain};
use crate::local::instant;
use crate::model::{Cell, LocalKey};

/// What a column's values are to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) enum Family {
    Integer,
    /// A boolean: 0 and 1 in a cell.
    Boolean,
    Real,
    /// Text, and every type that is written and read as text.
    Text,
    Date,
    /// A date with a time: UTC where the column keeps no zone.
    Time,
    Uuid,
    /// Bytes, which no mapped type takes.
    Binary,
    /// Anything else: read as text, written as text, never a key.
    Other,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::local) struct ColumnShape {
    /// Its name.
    pub(in crate::local) name: String,
    pub(in crate::local) family: Family,
    /// What follows a text parameter to make it a value of the column: `::schema.type`, or nothing.
    pub(in crate::local) cast: String,
    pub(in crate::local) not_null: bool,
    pub(in crate::local) has_default: bool,
    /// Filled by the database with a number that never comes back.
    pub(in crate::local) counts: bool,
    /// Computed by the database, so it can't be written.
    pub(in crate::local) generated: bool,
    /// Texts that differ may be equal to it (a collation or a type that ignores case).
    pub(in crate::local) loose: bool,
}

impl ColumnShape {
    pub(in crate::local) fn is_integer(&self) -> bool {
        self.family == Family::Integer
    }

    /// The expression that reads it as text, for the table's alias `t`.
    pub(in crate::local) fn read(&self, dialect: Dialect) -> String {
        self.read_of("t", dialect)
    }

    /// The same for another alias, or the table's own name.
    pub(in crate::local) fn read_of(&self, table: &str, dialect: Dialect) -> String {
        let name = format!("{table}.{}", dialect.name(&self.name));
        match (dialect, self.family) {
            (Dialect::MySql, Family::Binary) => format!("HEX({name})"),
            // A bit field is a number only in a sum.
            (Dialect::MySql, _) => format!("CAST({name}{} AS CHAR)", self.cast),
            (_, Family::Boolean) => format!("{name}::int::text"),
            (_, Family::Binary) => format!("encode({name}, 'hex')"),
            _ => format!("{name}::text"),
        }
    }

    /// The expression by which keys are put in order and compared: numbers by value, texts by their bytes.
    pub(in crate::local) fn order(&self, dialect: Dialect) -> String {
        self.order_of("t", dialect)
    }

    /// The same for another alias, or the table's own name.
    pub(in crate::local) fn order_of(&self, table: &str, dialect: Dialect) -> String {
        let name = format!("{table}.{}", dialect.name(&self.name));
        match (dialect, self.family) {
            (_, Family::Integer) => name,
            (Dialect::MySql, _) => format!("CAST(CAST({name} AS CHAR) AS BINARY)"),
            // A uuid's order is that of its text.
            (_, Family::Uuid) => name,
            _ if self.cast.is_empty() => format!("{name} COLLATE \"C\""),
            _ => format!("{name}::text COLLATE \"C\""),
        }
    }

    /// The cell that a text from [`ColumnShape::read`] stands for.
    pub(in crate::local) fn cell(&self, value: Option<&str>) -> Cell {
        let Some(text) = value else {
            return Cell::Null;
        };
        match self.family {
            Family::Integer | Family::Boolean => text
                .parse()
                .map_or_else(|_| Cell::Text(text.to_owned()), Cell::Int),
            Family::Real => text
                .parse()
                .map_or_else(|_| Cell::Text(text.to_owned()), Cell::Real),
            Family::Binary => Cell::Blob(unhex(text)),
            Family::Time => Cell::Text(with_minutes(text)),
            Family::Text | Family::Date | Family::Uuid | Family::Other => {
                Cell::Text(text.to_owned())
            }
        }
    }

    /// Adds a text from [`ColumnShape::read`] to a row's digest.
    pub(in crate::local) fn digest(&self, value: Option<&str>, digester: &mut RowDigester) {
        match (value, self.family) {
            (None, _) => digester.null(),
            (Some(text), Family::Integer | Family::Boolean) => match text.parse() {
                Ok(number) => digester.int(number),
                Err(_) => digester.text(text.as_bytes()),
            },
            (Some(text), _) => digester.text(text.as_bytes()),
        }
    }

    /// The key that a text from [`ColumnShape::read`] stands for.
    pub(in crate::local) fn key(&self, value: Option<&str>) -> Option<LocalKey> {
        let text = value?;
        if self.is_integer() {
            return text.parse().ok().map(LocalKey::Int);
        }
        Some(LocalKey::Text(text.to_owned()))
    }

    /// Whether the column can hold this key at all.
    pub(in crate::local) fn takes_key(&self, key: &LocalKey) -> bool {
        match (self.family, key) {
            (Family::Integer, LocalKey::Int(_)) => true,
            (Family::Integer, LocalKey::Text(_)) | (Family::Uuid, LocalKey::Int(_)) => false,
            // The only form in which the database hands one over.
            (Family::Uuid, LocalKey::Text(text)) => {
                uuid::Uuid::parse_str(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == *text)
            }
            _ => true,
        }
    }

    /// What is sent for a cell; `None` for NULL.
    pub(in crate::local) fn text_of(&self, cell: &Cell, dialect: Dialect) -> Option<String> {
        match cell {
            Cell::Null => None,
            Cell::Int(number) => Some(number.to_string()),
            Cell::Real(number) => Some(number.to_string()),
            // MySQL reads no `Z`, and takes an offset only in some versions.
            Cell::Text(text) if dialect == Dialect::MySql && self.family == Family::Time => {
                Some(instant::from_text(text).map_or_else(
                    || text.clone(),
                    |time| time.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
                ))
            }
            Cell::Text(text) => Some(text.clone()),
            Cell::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    /// Whether writing one cell over the other would change nothing.
    pub(in crate::local) fn same(&self, wanted: &Cell, there: &Cell) -> bool {
        if plain(wanted) == plain(there) {
            return true;
        }
        let (Cell::Text(wanted), Cell::Text(there)) = (wanted, there) else {
            return false;
        };
        match self.family {
            Family::Time => {
                let time = instant::from_text(wanted);
                time.is_some() && time == instant::from_text(there)
            }
            // A decimal with a scale comes back with all of its places.
            Family::Other => {
                let number = |text: &str| {
                    let digits = text.trim_start_matches('-');
                    let is_number = !digits.is_empty()
                        && digits
                            .bytes()
                            .all(|byte| byte.is_ascii_digit() || byte == b'.');
                    is_number.then(|| match text.contains('.') {
                        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                        false => text.to_owned(),
                    })
                };
                number(wanted).is_some() && number(wanted) == number(there)
            }
            _ => false,
        }
    }

    /// The SQL that marks a row in this column: a time, but the bare fact where a boolean stands for it.
    pub(in crate::local) fn mark(&self, dialect: Dialect) -> &'static str {
        match (dialect, self.family) {
            (Dialect::MySql, Family::Boolean) => "1",
            (_, Family::Boolean) => "true",
            (Dialect::MySql, Family::Integer) => "UNIX_TIMESTAMP()",
            (_, Family::Integer) => "extract(epoch FROM clock_timestamp())::bigint",
            (Dialect::MySql, Family::Date | Family::Time) => "UTC_TIMESTAMP(6)",
            (_, Family::Date | Family::Time) => "clock_timestamp()",
            (Dialect::MySql, _) => {
                "CONCAT(DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.'), LPAD(MICROSECOND(UTC_TIMESTAMP(3)) DIV 1000, 3, '0'), 'Z')"
            }
            _ => {
                "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            }
        }
    }

    /// The SQL that takes the mark off.
    pub(in crate::local) fn unmarked(&self) -> &'static str {
        match (self.not_null, self.family) {
            (false, _) => "NULL",
            (true, Family::Boolean) => "false",
            (true, Family::Integer | Family::Real) => "0",
            (true, Family::Date | Family::Time) => "DEFAULT",
            (true, _) => "''",
        }
    }

    /// Whether the row is marked, as SQL.
    pub(in crate::local) fn is_mark_sql(&self, dialect: Dialect) -> String {
        let read = self.read(dialect);
        format!(
            "({read} IS NOT NULL AND {read} NOT IN ('', '0', '0.0') AND {read} NOT LIKE '0000-00-00%')"
        )
    }
}

/// The same as [`ColumnShape::is_mark_sql`], for the text that was read. A date of nothing is what MySQL has for none.
pub(in crate::local) fn is_mark(value: Option<&str>) -> bool {
    value.is_some_and(|text| !matches!(text, "" | "0" | "0.0") && !text.starts_with("0000-00-00"))
}

/// PostgreSQL writes the offset in whole hours; the minutes are added, which ISO 8601 asks for.
fn with_minutes(text: &str) -> String {
    let short = text
        .len()
        .checked_sub(3)
        .filter(|at| text.len() > 10 && text.is_char_boundary(*at))
        .is_some_and(|at| text[at..].starts_with(['+', '-']));
    if short {
        format!("{text}:00")
    } else {
        text.to_owned()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | pair.get(1).map_or(0, |low| digit(*low)))
        .collect()
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::local) struct TableShape {
    pub(in crate::local) schema: String,
    pub(in crate::local) name: String,
    pub(in crate::local) columns: Vec<ColumnShape>,
    /// Columns that are unique on their own, and at once.
    pub(in crate::local) unique: Vec<String>,
    /// Why rows can't be written to it safely, in words; nothing for most tables.
    pub(in crate::local) unfit: Option<String>,
}

impl TableShape {
    /// The column of that name. MySQL compares names without case; PostgreSQL does not, and there only one that no other differs
    /// from by case alone is taken for it.
    pub(in crate::local) fn column(&self, name: &str) -> Option<&ColumnShape> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact.or_else(|| {
            let mut near = self
                .columns
                .iter()
                .filter(|column| column.name.eq_ignore_ascii_case(name));
            near.next().filter(|_| near.next().is_none())
        })
    }

    /// Whether a column is unique on its own.
    pub(in crate::local) fn is_unique(&self, name: &str) -> bool {
        self.unique.iter().any(|unique| unique == name)
    }

    /// Its name in a statement.
    pub(in crate::local) fn quoted(&self, dialect: Dialect) -> String {
        format!(
            "{}.{}",
            dialect.name(&self.schema),
            dialect.name(&self.name)
        )
    }
}

/// What stands under a table's name.
#[derive(Debug)]
pub(in crate::local) enum Found {
    Table(TableShape),
    /// A view or the like: its kind in words.
    Other(&'static str),
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(family: Family) -> ColumnShape {
        ColumnShape {
            name: "c".into(),
            family,
            cast: String::new(),
            not_null: false,
            has_default: false,
            counts: false,
            generated: false,
            loose: false,
        }
    }

    #[test]
    fn texts_become_cells_as_their_column_has_them() {
        let cell = |family, text| column(family).cell(Some(text));
        assert_eq!(cell(Family::Integer, "-5"), Cell::Int(-5));
        assert_eq!(
            cell(Family::Integer, "18446744073709551615"),
            Cell::Text("18446744073709551615".into())
        );
        assert_eq!(cell(Family::Boolean, "1"), Cell::Int(1));
        assert_eq!(cell(Family::Binary, "00fF"), Cell::Blob(vec![0, 255]));
        assert_eq!(
            cell(Family::Time, "2026-01-02 03:04:05+00"),
            Cell::Text("2026-01-02 03:04:05+00:00".into())
        );
        assert_eq!(
            cell(Family::Time, "2026-01-02 03:04:05.5"),
            Cell::Text("2026-01-02 03:04:05.5".into())
        );
        assert_eq!(column(Family::Text).cell(None), Cell::Null);
    }

    #[test]
    fn a_key_that_no_row_can_have_is_never_asked_for() {
        let uuid = column(Family::Uuid);
        let key = |text: &str| LocalKey::Text(text.to_owned());
        assert!(uuid.takes_key(&key("0b9bd6c1-7a0c-4f7e-8d2f-0a1b2c3d4e5f")));
        assert!(!uuid.takes_key(&key("0B9BD6C1-7A0C-4F7E-8D2F-0A1B2C3D4E5F")));
        assert!(!uuid.takes_key(&key("x")) && !uuid.takes_key(&LocalKey::Int(1)));
        assert!(!column(Family::Integer).takes_key(&key("1")));
    }

    #[test]
    fn times_are_sent_to_mysql_as_it_reads_them() {
        let sent =
            |text: &str| column(Family::Time).text_of(&Cell::Text(text.into()), Dialect::MySql);
        assert_eq!(
            sent("2026-01-02T03:04:05.25+02:00").as_deref(),
            Some("2026-01-02 01:04:05.250000")
        );
        assert_eq!(sent("soon").as_deref(), Some("soon"));
    }

    #[test]
    fn dates_of_nothing_and_zeros_mark_no_row() {
        for (text, marks) in [
            (None, false),
            (Some(""), false),
            (Some("0"), false),
            (Some("0000-00-00 00:00:00"), false),
            (Some("1"), true),
            (Some("2026-01-01"), true),
        ] {
            assert_eq!(is_mark(text), marks, "{text:?}");
        }
    }
}
