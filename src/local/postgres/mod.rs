//! The customer's database in PostgreSQL 13 or later.
//!
//! What it does alike with MySQL is in `server`; here stand the connection, the catalogue, the meaning of its errors, and a
//! journal whose positions are snapshots.

mod catalog;
mod connection;
mod fault;
mod journal;
mod snapshot;
#[cfg(test)]
mod tests;

pub(super) use connection::Postgres;

/// One bridge's view of a PostgreSQL database.
pub(in crate::local) type PostgresLocal = super::server::ServerLocal<Postgres>;
