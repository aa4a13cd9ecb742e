//! The customer's database in MySQL 8 or MariaDB 10.6, or later.
//!
//! What it does alike with PostgreSQL is in `server`; here stand the connection, the catalogue, the meaning of its errors, and
//! a journal whose positions remember the gaps between numbers.

mod catalog;
mod connection;
mod fault;
mod journal;
mod position;
#[cfg(test)]
mod tests;

pub(super) use connection::MySql;

/// One bridge's view of a MySQL or MariaDB database.
pub(in crate::local) type MySqlLocal = super::server::ServerLocal<MySql>;
