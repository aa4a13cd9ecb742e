//! Keeps a company's own customer database and its hosted CRM the same, person by person, in both directions.
//!
//! ```text
//! pull -> decode -> map -> correlate -> merge -> plan -> guard -> apply -> commit
//! ```
//!
//! The modules stand in the order of their dependencies: each may use those below it, never those above.

#![deny(unsafe_code)]

#[cfg(test)]
mod captured_log;
pub mod cli;
pub mod config;
mod database;
pub mod local;
pub mod mapping;
pub mod model;
pub mod remote;
pub mod service;
pub mod simulator;
pub mod state;
pub mod sync;
