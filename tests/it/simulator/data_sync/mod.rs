//! The simulated Data Sync, both ends: asked by hand, as a process, and before the bridge's own ends, which share no code
//! with them.

mod bridge;
mod command;
mod wire;
