//! The commands of the real binary: what they print, how they end, and what they leave alone.
//!
//! - `plain`: help, usage, and the commands that need no bridge
//! - `runs`: sync, plan, status, check and their exit codes
//! - `guards`: what stops a run, and what lets it pass
//! - `waiting`: review and quarantine
//! - `state`: lost, moved, held and interrupted; links and journal
//! - `kill`: kill -9 at every checkpoint
//! - `send_sample`: ORCE's sample message, and every way in which it fails
//! - `demo`: the Quick start of the README

mod demo;
mod guards;
mod kill;
mod plain;
mod runs;
mod send_sample;
pub mod state;
mod waiting;
