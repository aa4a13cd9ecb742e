//! The simulated ContactList, asked by hand over real HTTP.
//!
//! Nothing here uses the bridge's own client: these tests say what the simulator is, so that others may lean on it.

mod captures;
mod command;
mod faults;
mod operations;
mod site;
