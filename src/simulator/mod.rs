//! The services on loopback, with seeded people and switchable faults.
//!
//! A simulator must share no wire type and no XML code with [`crate::remote`], and must answer nobody but this machine.

mod answer;
mod chance;
mod clock;
mod line;
mod log;
mod names;
mod rules;
mod server;
mod signals;
mod switch_value;
mod tls;

pub mod association_anywhere;
pub mod contactlist;
pub mod data_sync;
