//! How a database server is reached: for the customer's rows (`database:`) and for a shared state (`state:`) alike.
//!
//! The rules of trust stand here once. It opens no connection and knows no table.

mod address;
mod postgres;

pub(crate) use address::{Address, Tls, Way};
pub(crate) use postgres::options as postgres_options;
