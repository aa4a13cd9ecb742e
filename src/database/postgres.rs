//! An address as PostgreSQL's client takes it.

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Address, Tls, Way};

/// The options of a connection: nothing is taken from a password file, and no statement is logged.
pub(crate) fn options(address: &Address) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .database(&address.database)
        .application_name("contactbridge")
        .disable_statement_logging();
    options = match &address.way {
        Way::Socket(directory) => options.socket(directory),
        Way::Host(host, port) => options.host(host).port(*port),
    };
    options = match &address.tls {
        Tls::Plain => options.ssl_mode(PgSslMode::Disable),
        Tls::Verified(authority) => {
            let options = options.ssl_mode(PgSslMode::VerifyFull);
            match authority {
                Some(file) => options.ssl_root_cert(file),
                None => options,
            }
        }
    };
    if let Some(user) = &address.user {
        options = options.username(user);
    }
    if let Some(password) = &address.password {
        options = options.password(password.expose());
    }
    options
}
