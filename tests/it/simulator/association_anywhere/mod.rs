//! The simulated Association Anywhere, asked by hand over real HTTP: nothing here uses the bridge's own client.

mod charset;
mod command;
mod details;
mod faults;
mod gateway;
mod queue;
mod races;
mod site;
