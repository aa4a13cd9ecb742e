//! What PostgreSQL's errors mean to a shared state.
//!
//! Its own words may quote keys or values, so none of them is passed on: only the SQLSTATE. Whatever may pass by itself
//! is exit 5, since running again is safe: the engine is made for a run that ends between any two commits.

use std::io::ErrorKind as Io;
use std::time::Duration;

use super::SharedPlace;
use crate::model::{Error, ErrorKind};

/// No answer within a limit.
pub(super) fn silent(place: &SharedPlace, limit: Duration) -> Error {
    Error::unreachable(
        "E-STATE-TIMEOUT",
        format!(
            "The state {place} did not answer within {} s. Look whether the server is overloaded or locked, and run again",
            limit.as_secs().max(1)
        ),
    )
}

/// A failure to connect.
pub(super) fn of_connecting(place: &SharedPlace, error: &sqlx::Error) -> Error {
    match error {
        // A certificate that does not verify breaks the handshake, which rustls hands on as data that is none.
        sqlx::Error::Io(cause) if cause.kind() != Io::InvalidData => Error::unreachable(
            "E-STATE-UNREACHABLE",
            format!(
                "The state {place} can't be reached ({}). Check the address, and whether the server runs; running again is safe",
                cause.kind()
            ),
        ),
        sqlx::Error::Tls(_) | sqlx::Error::Io(_) => Error::unreachable(
            "E-STATE-TLS",
            format!(
                "The state {place}: no verified TLS connection comes about: the server offers none, or its certificate is not of a known authority and this name. Name its authority with sslrootcert=FILE in `state:`"
            ),
        ),
        sqlx::Error::Database(database) => match database.code().unwrap_or_default().as_ref() {
            code @ ("28P01" | "28000" | "42501") => Error::unreachable(
                "E-STATE-LOGIN",
                format!(
                    "The state {place} refuses the login (SQLSTATE {code}). Check user and password in `state:`, and the server's pg_hba.conf"
                ),
            ),
            "3D000" => Error::config(
                "E-STATE-DATABASE",
                format!(
                    "The state {place}: there is no such database. Correct `state:`, or make it with CREATE DATABASE"
                ),
            ),
            code @ ("53300" | "57P03") => Error::unreachable(
                "E-STATE-UNREACHABLE",
                format!(
                    "The state {place} takes no connection now (SQLSTATE {code}). Run again later"
                ),
            ),
            _ => of(place, error),
        },
        _ => of(place, error),
    }
}

/// A failed statement.
pub(super) fn of(place: &SharedPlace, error: &sqlx::Error) -> Error {
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            return lost(place);
        }
        _ => String::new(),
    };
    let unreachable = |short, what: &str| {
        Error::unreachable(
            short,
            format!("The state {place}: {what} (SQLSTATE {code})"),
        )
    };
    match code.as_str() {
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => lost(place),
        _ if code.starts_with("08") => lost(place),
        "40001" | "40P01" | "55P03" => unreachable(
            "E-STATE-BUSY",
            "another program holds a lock on its tables, or collides with this one. Run again later",
        ),
        "57014" => unreachable(
            "E-STATE-TIMEOUT",
            "a statement took too long or was cancelled. Look whether the server is overloaded, and run again",
        ),
        "42501" => unreachable(
            "E-STATE-RIGHTS",
            "this user may not do what is needed. docs/operations.md has the GRANTs",
        ),
        "25006" => unreachable(
            "E-STATE-READONLY",
            "it can't be written to now: a standby, or a server that was told so. Name the primary in `state:`",
        ),
        "42P01" | "42703" | "3F000" => damaged(
            place,
            &format!("a table or column of it is gone (SQLSTATE {code})"),
        ),
        "53100" => Error::needs_person(
            "E-DISK",
            format!(
                "No room left on the server of the state {place}. Make room and run again; nothing that was recorded is lost"
            ),
        ),
        "XX001" | "XX002" => damaged(place, &format!("the server says so (SQLSTATE {code})")),
        "54000" => Error::unexpected(
            "E-STATE-KEY-LENGTH",
            format!(
                "The state {place} takes keys of up to 2,600 bytes, and a row's key or an id is longer. Use state: sqlite:DIRECTORY"
            ),
        ),
        _ => Error::unexpected(
            "E-STATE-SQL",
            format!("A statement on the state {place} failed (SQLSTATE {code})"),
        ),
    }
}

fn lost(place: &SharedPlace) -> Error {
    Error::unreachable(
        "E-STATE-CONNECTION",
        format!(
            "The connection to the state {place} broke. What was not committed is undone; running again is safe"
        ),
    )
}

/// A commit without an answer: it may stand or not. The next run finds out, as after a kill at this place.
pub(super) fn unknown(place: &SharedPlace, cause: Error) -> Error {
    if !matches!(cause.code(), "E-STATE-CONNECTION" | "E-STATE-TIMEOUT") {
        return cause;
    }
    Error::unreachable(
        "E-STATE-UNKNOWN",
        format!(
            "The connection to the state {place} broke during a commit, and nobody saw whether it was made. The next run finds out; running again is safe"
        ),
    )
}

/// A store that is not as it was written (`E-STATE-CORRUPT`, exit 7). `what` holds no key and no value.
pub(super) fn damaged(place: &SharedPlace, what: &str) -> Error {
    Error::needs_person(
        "E-STATE-CORRUPT",
        format!(
            "The state {place} is damaged: {what}. Nothing was changed. Restore the schema {} from a backup, or run `contactbridge reseed BRIDGE --relink`",
            place.schema()
        ),
    )
}

/// Somebody else took the lease over.
pub(super) fn overtaken(bridge: &str, holder: Option<String>) -> Error {
    let who = holder
        .map(|holder| format!(" ({holder})"))
        .unwrap_or_default();
    Error::new(
        ErrorKind::Busy,
        "E-FENCED",
        format!(
            "Bridge `{bridge}`: this run was silent for longer than its lease, and another one{who} has taken the bridge over; nothing more is written or sent"
        ),
    )
}

/// The lease could not be renewed in time: from here on, anybody may take it.
pub(super) fn expired(place: &SharedPlace, bridge: &str, lease: Duration) -> Error {
    Error::unreachable(
        "E-STATE-LEASE",
        format!(
            "Bridge `{bridge}`: the lease could not be renewed in {place} for {} s, so the pass ends. Look whether the server can be reached; running again is safe",
            lease.as_secs().max(1)
        ),
    )
}
