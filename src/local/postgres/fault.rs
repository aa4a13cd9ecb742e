//! What PostgreSQL's errors mean to a run.
//!
//! Its own words may quote values of a row, so none of them is passed on: only the SQLSTATE and the names of table, column
//! and constraint, which the server sends apart.

use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

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
            let code = database.code().unwrap_or_default();
            match code.as_ref() {
                "28P01" | "28000" => failed(
                    "E-DB-LOGIN",
                    format!(
                        "{shown} refuses the login (SQLSTATE {code}). Check user and password in `database:`, and the server's pg_hba.conf"
                    ),
                ),
                "3D000" => Fault::Failed(Error::config(
                    "E-DB-MISSING",
                    format!(
                        "{shown}: there is no such database. Correct `database:`, or make it with CREATE DATABASE"
                    ),
                )),
                "42501" => failed(
                    "E-DB-LOGIN",
                    format!(
                        "{shown} does not let this user connect. GRANT CONNECT ON DATABASE to it"
                    ),
                ),
                "53300" | "57P03" => failed(
                    "E-DB-BUSY",
                    format!("{shown} takes no connection now (SQLSTATE {code}). Run again later"),
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
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => of_server(shown, error),
            None => unforeseen(shown, "unknown", ""),
        },
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            Fault::Lost(lost(shown))
        }
        _ => unforeseen(shown, "no SQLSTATE", ""),
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

fn unforeseen(shown: &str, code: &str, names: &str) -> Fault {
    Fault::Failed(Error::unexpected(
        "E-DB-SQL",
        format!("A statement on {shown} failed (SQLSTATE {code}{names})"),
    ))
}

/// The names that an error has beside its words.
fn names(error: &PgDatabaseError) -> String {
    let mut names = String::new();
    for (what, name) in [
        ("table", error.table()),
        ("column", error.column()),
        ("constraint", error.constraint()),
    ] {
        if let Some(name) = name {
            names += &format!(", {what} {name}");
        }
    }
    names
}

fn of_server(shown: &str, error: &PgDatabaseError) -> Fault {
    let code = error.code();
    let names = names(error);
    let row = |short, what: &str| Fault::Row {
        code: short,
        reason: format!("{what} (SQLSTATE {code}{names})"),
    };
    let failed = |kind, short, what: String| Fault::Failed(Error::new(kind, short, what));
    // An error inside a function is the doing of a trigger: it is about the row, whatever it is.
    let in_function = error
        .r#where()
        .is_some_and(|place| place.contains("PL/pgSQL function"));
    match code {
        "40001" | "40P01" => Fault::Again(Error::unreachable(
            "E-DB-BUSY",
            format!(
                "{shown}: the transaction collided with others again and again (SQLSTATE {code}). Run again later"
            ),
        )),
        "55P03" => failed(
            ErrorKind::Unreachable,
            "E-DB-BUSY",
            format!(
                "{shown}: another program holds a lock for longer than `lock_wait`. Run again later, or look which one it is"
            ),
        ),
        "57014" => failed(
            ErrorKind::Unreachable,
            "E-DB-TIMEOUT",
            format!(
                "{shown}: a statement took too long or was cancelled. Look whether the server is overloaded, and run again"
            ),
        ),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Fault::Lost(lost(shown)),
        _ if code.starts_with("08") => Fault::Lost(lost(shown)),
        "42501" if error.routine() == Some("ExecWithCheckOptions") => row(
            "E-FIELD-CONSTRAINT",
            "a row security policy of the database refuses the row",
        ),
        _ if code.starts_with("23") || code.starts_with("44") => row(
            "E-FIELD-CONSTRAINT",
            "a constraint of the database refuses the row",
        ),
        _ if in_function
            || code.starts_with("P0")
            || code.starts_with("38")
            || code.starts_with("39") =>
        {
            row(
                "E-FIELD-TRIGGER",
                "a trigger of the database refuses the row",
            )
        }
        _ if code.starts_with("22") || code == "42804" => {
            row("E-FIELD-TYPE", "a value is not one that the column takes")
        }
        "428C9" => row(
            "E-FIELD-GENERATED",
            "the column is computed by the database",
        ),
        _ if code.starts_with("54") => {
            row("E-FIELD-SIZE", "a value is larger than the database takes")
        }
        "42P01" | "42703" | "42704" => Fault::Schema(Error::config(
            "E-DB-SCHEMA",
            format!(
                "{shown}: a table or column is gone that was there before (SQLSTATE {code}{names}). Run again when the tables stand"
            ),
        )),
        "0A000" if error.routine() == Some("RevalidateCachedQuery") => {
            Fault::Schema(Error::unreachable(
                "E-DB-SCHEMA",
                format!(
                    "{shown}: another program keeps changing the tables. Run again when it has finished"
                ),
            ))
        }
        "42501" => failed(
            ErrorKind::Unreachable,
            "E-DB-RIGHTS",
            format!(
                "{shown}: this user may not do what the bridge needs (SQLSTATE {code}{names}). docs/operations.md has the GRANTs"
            ),
        ),
        "25006" => failed(
            ErrorKind::Unreachable,
            "E-DB-READONLY",
            format!("{shown} can't be written to now (SQLSTATE {code})"),
        ),
        "53100" => failed(
            ErrorKind::NeedsPerson,
            "E-DB-FULL",
            format!(
                "No room left on the server of {shown}. What was not committed is undone; make room and run again"
            ),
        ),
        "XX001" | "XX002" => failed(
            ErrorKind::NeedsPerson,
            "E-DB-CORRUPT",
            format!(
                "{shown} is damaged, the server says (SQLSTATE {code}). Nothing was written; look into the server's log"
            ),
        ),
        _ => unforeseen(shown, code, &names),
    }
}
