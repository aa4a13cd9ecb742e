//! What the errors of MySQL and MariaDB mean to a run.
//!
//! Their words quote values of a row, so none of them is passed on: only the number, and the name of the column, key or
//! constraint, which stands at the end of the words and in quotes of its own.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

use crate::local::server::backend::Fault;
use crate::model::{Error, ErrorKind};

/// No answer within a limit.
pub(super) fn silent(shown: &str, limit: Duration) -> Error {
    Error::unreachable(
        "E-DB-TIMEOUT",
        format!(
            "{shown} did not answer within {} s. Look whether it is overloaded or locked, and run again",
            limit.as_secs()
        ),
    )
}

/// Another program holds a lock.
pub(super) fn locked(shown: &str) -> Fault {
    Fault::Failed(Error::unreachable(
        "E-DB-BUSY",
        format!(
            "{shown}: another program holds a lock for longer than `lock_wait`. Run again later, or look which one it is"
        ),
    ))
}

/// A failure to connect.
pub(super) fn of_connecting(shown: &str, error: &sqlx::Error) -> Fault {
    let failed = |code, what: String| Fault::Failed(Error::unreachable(code, what));
    match error {
        // A certificate that does not verify breaks the handshake, which rustls hands on as data that is none.
        sqlx::Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
            Fault::Lost(Error::unreachable(
                "E-DB-UNREACHABLE",
                format!(
                    "{shown} can't be reached ({}). Check the address, and whether the server runs",
                    error.kind()
                ),
            ))
        }
        sqlx::Error::Tls(_) | sqlx::Error::Io(_) => failed(
            "E-DB-TLS",
            format!(
                "{shown}: no verified TLS connection comes about: the server offers none, or its certificate is not of a known authority and this name. Name its authority with sslrootcert=FILE in `database:`"
            ),
        ),
        sqlx::Error::Database(database) => {
            match database
                .try_downcast_ref::<MySqlDatabaseError>()
                .map(MySqlDatabaseError::number)
            {
                Some(number @ (1044 | 1045 | 1130 | 1698)) => failed(
                    "E-DB-LOGIN",
                    format!(
                        "{shown} refuses the login (error {number}). Check user and password in `database:`, and the hosts that the user may come from"
                    ),
                ),
                Some(1049) => Fault::Failed(Error::config(
                    "E-DB-MISSING",
                    format!(
                        "{shown}: there is no such database. Correct `database:`, or make it with CREATE DATABASE"
                    ),
                )),
                Some(number @ (1040 | 1203)) => failed(
                    "E-DB-BUSY",
                    format!("{shown} takes no connection now (error {number}). Run again later"),
                ),
                _ => of(shown, error),
            }
        }
        _ => of(shown, error),
    }
}

/// A failed statement.
pub(super) fn of(shown: &str, error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(database) => {
            match database.try_downcast_ref::<MySqlDatabaseError>() {
                Some(error) => of_server(
                    shown,
                    error.number(),
                    error.code().unwrap_or_default(),
                    error.message(),
                ),
                None => unforeseen(shown, "unknown"),
            }
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            Fault::Lost(lost(shown))
        }
        _ => unforeseen(shown, "of the client"),
    }
}

fn lost(shown: &str) -> Error {
    Error::unreachable(
        "E-DB-LOST",
        format!(
            "The connection to {shown} broke. What was not committed is undone; running again is safe"
        ),
    )
}

fn unforeseen(shown: &str, number: &str) -> Fault {
    Fault::Failed(Error::unexpected(
        "E-DB-SQL",
        format!("A statement on {shown} failed (error {number})"),
    ))
}

/// The name that follows the last `before` in an error's words. A value stands before it, so it can't be taken for the name
/// unless the name itself has such words in it.
fn name_after<'w>(words: &'w str, before: &str) -> Option<&'w str> {
    let rest = &words[words.rfind(before)? + before.len()..];
    let quote = rest
        .chars()
        .next()
        .filter(|quote| "'`\"".contains(*quote))?;
    let rest = &rest[1..];
    // A key comes as 'table.key', a column as `db`.`table`.`column`.
    let end = rest.rfind(quote)?;
    let name = &rest[..end];
    let last = name.rsplit(['.', '`']).next().unwrap_or(name);
    (!last.is_empty() && last.len() <= 64).then_some(last)
}

fn of_server(shown: &str, number: u16, state: &str, words: &str) -> Fault {
    let row = |short, what: &str, name: Option<&str>| Fault::Row {
        code: short,
        reason: match name {
            Some(name) => format!("{what}: {name} (error {number})"),
            None => format!("{what} (error {number})"),
        },
    };
    let failed = |kind, short, what: String| Fault::Failed(Error::new(kind, short, what));
    let column = || {
        name_after(
            words.split(" at row ").next().unwrap_or(words),
            "for column ",
        )
        .or_else(|| name_after(words.trim_end_matches(" cannot be null"), "Column "))
    };
    match number {
        1213 => Fault::Again(Error::unreachable(
            "E-DB-BUSY",
            format!(
                "{shown}: the transaction collided with others again and again. Run again later"
            ),
        )),
        1205 => locked(shown),
        1053 | 1317 | 1927 | 2006 | 2013 | 4031 => Fault::Lost(lost(shown)),
        1969 | 3024 => failed(
            ErrorKind::Unreachable,
            "E-DB-TIMEOUT",
            format!(
                "{shown}: a statement took too long. Look whether the server is overloaded, and run again"
            ),
        ),
        1062 | 1169 | 1586 => row(
            "E-FIELD-CONSTRAINT",
            "a unique key of the database refuses the row",
            name_after(words, "for key "),
        ),
        1048 | 1364 => row("E-FIELD-CONSTRAINT", "the column takes no NULL", column()),
        1216 | 1217 | 1451 | 1452 => row(
            "E-FIELD-CONSTRAINT",
            "a foreign key of the database refuses the row",
            name_after(
                words.split(" FOREIGN KEY").next().unwrap_or_default(),
                "CONSTRAINT ",
            ),
        ),
        3819 | 4025 => row(
            "E-FIELD-CONSTRAINT",
            "a check of the database refuses the row",
            name_after(
                words.split(" failed").next().unwrap_or_default(),
                "CONSTRAINT ",
            )
            .or_else(|| {
                name_after(
                    words.split(" is violated").next().unwrap_or_default(),
                    "constraint ",
                )
            }),
        ),
        1406 => row(
            "E-FIELD-SIZE",
            "a value is longer than its column",
            column(),
        ),
        1118 | 1153 | 1301 | 139 => row(
            "E-FIELD-SIZE",
            "a value is larger than the database takes",
            None,
        ),
        1264 | 1265 | 1292 | 1366 | 1367 | 1411 | 3140 => row(
            "E-FIELD-TYPE",
            "a value is not one that the column takes",
            column(),
        ),
        1906 | 3105 => row(
            "E-FIELD-GENERATED",
            "the column is computed by the database",
            None,
        ),
        1442 | 1644 | 1643 | 1645 => row(
            "E-FIELD-TRIGGER",
            "a trigger of the database refuses the row",
            None,
        ),
        1146 | 1054 => Fault::Schema(Error::config(
            "E-DB-SCHEMA",
            format!(
                "{shown}: a table or column is gone that was there before (error {number}). Run again when the tables stand"
            ),
        )),
        1412 | 1615 => Fault::Schema(Error::unreachable(
            "E-DB-SCHEMA",
            format!(
                "{shown}: another program keeps changing the tables. Run again when it has finished"
            ),
        )),
        1044 | 1142 | 1143 | 1227 | 1370 | 1419 => failed(
            ErrorKind::Unreachable,
            "E-DB-RIGHTS",
            format!(
                "{shown}: this user may not do what the bridge needs (error {number}). docs/operations.md has the GRANTs"
            ),
        ),
        1290 | 1792 | 1836 => failed(
            ErrorKind::Unreachable,
            "E-DB-READONLY",
            format!("{shown} can't be written to now (error {number})"),
        ),
        1021 | 1114 => failed(
            ErrorKind::NeedsPerson,
            "E-DB-FULL",
            format!(
                "No room left on the server of {shown}. What was not committed is undone; make room and run again"
            ),
        ),
        126 | 127 | 145 | 1034 | 1194 | 1877 => failed(
            ErrorKind::NeedsPerson,
            "E-DB-CORRUPT",
            format!(
                "{shown} is damaged, the server says (error {number}). Look into the server's log"
            ),
        ),
        // What a procedure or trigger of the customer signals.
        _ if state.starts_with("45") => row(
            "E-FIELD-TRIGGER",
            "a trigger of the database refuses the row",
            None,
        ),
        _ if state.starts_with("23") => row(
            "E-FIELD-CONSTRAINT",
            "a constraint of the database refuses the row",
            None,
        ),
        _ if state.starts_with("22") => row(
            "E-FIELD-TYPE",
            "a value is not one that the column takes",
            None,
        ),
        _ => unforeseen(shown, &number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_passed_on_and_values_never() {
        for (number, words, name) in [
            (
                1062,
                "Duplicate entry 'secret for key 'x'' for key 'one_email'",
                "one_email",
            ),
            (
                1062,
                "Duplicate entry 'secret' for key 'customers.PRIMARY'",
                "PRIMARY",
            ),
            (1048, "Column 'email' cannot be null", "email"),
            (1406, "Data too long for column 'name' at row 1", "name"),
            (
                1366,
                "Incorrect integer value: 'secret' for column `db`.`t`.`age` at row 1",
                "age",
            ),
            (
                1292,
                "Incorrect datetime value: 'secret' for column 'born_on' at row 1",
                "born_on",
            ),
            (
                1452,
                "Cannot add or update a child row: a foreign key constraint fails (`d`.`t`, CONSTRAINT `fk_tier` FOREIGN KEY (`tier`) REFERENCES `tiers` (`name`))",
                "fk_tier",
            ),
            (
                4025,
                "CONSTRAINT `adult` failed for `db`.`customers`",
                "adult",
            ),
            (3819, "Check constraint 'adult' is violated.", "adult"),
        ] {
            match of_server("mysql://db/x", number, "", words) {
                Fault::Row { reason, .. } => {
                    assert!(reason.contains(name), "{words}: {reason}");
                    assert!(!reason.contains("secret"), "{reason}");
                }
                other => panic!("{words}: {other:?}"),
            }
        }
        for number in [1, 1054, 1213, 1205, 1142, 2013] {
            let error = of_server("mysql://db/x", number, "HY000", "secret").into_error();
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
