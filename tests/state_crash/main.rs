//! State stores under kills, power cuts and damage: what was acknowledged is there, whole, or the store says why not.
//!
//! The writer and the checker are this same binary, started again as a process of their own, so that they can be killed,
//! and so that an engine that panics or hangs harms nobody else.

mod damage;
mod disk;
#[path = "../servers/fresh.rs"]
mod fresh;
mod kill;
mod memory;
mod model;
mod power;
mod process;

/// The child: does what `STATE_CHILD` says, and nothing when it isn't set.
#[test]
#[ignore = "started by the other tests as a process of its own"]
fn child() {
    process::run_child();
}
