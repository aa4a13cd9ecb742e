//! The services on loopback, with seeded people and switchable faults.
//!
//! A simulator must share no wire type and no XML code with [`crate::remote`], and must answer nobody but this machine.

pub mod contactlist;
