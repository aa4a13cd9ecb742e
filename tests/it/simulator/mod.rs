//! The simulated services, ContactList first, asked by hand over real HTTP.
//!
//! Nothing here uses the bridge's own client: these tests say what the simulator is, so that others may lean on it.

mod association_anywhere;
mod captures;
mod command;
mod data_sync;
mod faults;
mod operations;
mod site;
