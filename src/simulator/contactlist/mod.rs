//! ContactList on loopback: a CRM of its own over real HTTP, written from the wire's description and its recorded answers.
//!
//! It shares no wire type and no XML code with `crate::remote`: a wrong type would otherwise agree with itself. It never
//! prints what it holds or is sent; tests read it through [`ContactListSimulator`].

mod awkward;
mod command;
mod handle;
mod http;
mod operation;
mod options;
mod people;
mod person;
mod read;
mod seeded;
mod service;
mod switch_text;
mod switches;
mod update;
mod write;

pub use crate::simulator::clock::Clock;
pub use crate::simulator::log::Outcome;
pub use crate::simulator::rules::When;
pub use command::{Introduction, ServeArgs, serve};
pub use handle::ContactListSimulator;
pub use operation::Operation;
pub use options::{Options, SoapVersions};
pub use people::People;
pub use person::{Address, Form, FormField, Parts, Person, Phone, Relationship, year_one};
pub use seeded::Profile;
pub use switch_text::NAMES;
pub use switches::{
    Arrays, Deletion, EmptyList, EmptyString, Fault, KnownEmail, Mangle, MissingString,
    MoreRecords, NotFound, Order, Quirks, Rule, Switches,
};
pub use write::{EmailShown, Soap};

/// One request in the log.
pub type Entry = crate::simulator::log::Entry<Operation>;
