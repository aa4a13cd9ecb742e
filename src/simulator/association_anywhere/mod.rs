//! ACGI Association Anywhere on loopback: the five services of its customer synchronisation over real HTTP, written from
//! the protocol's description.
//!
//! It shares no wire type and no XML code with `crate::remote`: a wrong type would otherwise agree with itself. It never
//! prints what it holds or is sent; tests reach it through [`AssociationAnywhereSimulator`].

mod awkward;
mod command;
mod customer;
mod details;
mod handle;
mod http;
mod listing;
mod operation;
mod options;
mod queue;
mod read;
mod seeded;
mod service;
mod site;
mod switch_text;
mod switches;
mod write;

pub use crate::simulator::clock::Clock;
pub use crate::simulator::log::Outcome;
pub use crate::simulator::rules::When;
pub use command::{Introduction, ServeArgs, serve};
pub use customer::{Customer, Node};
pub use handle::AssociationAnywhereSimulator;
pub use operation::Operation;
pub use options::{Options, QueueServices};
pub use queue::{Coalescing, Row};
pub use seeded::Profile;
pub use service::Moment;
pub use site::Site;
pub use switch_text::NAMES;
pub use switches::{
    EmptyNumber, Fault, Label, MaxQueueNum, Poison, PurgeAnswer, Quirks, Rule, Shape, Switches,
    Triggers,
};
pub use write::{Charset, Names};

/// One request in the log.
pub type Entry = crate::simulator::log::Entry<Operation>;
