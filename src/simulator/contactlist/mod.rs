//! ContactList on loopback: a CRM of its own over real HTTP, written from the wire's description and its recorded answers.
//!
//! It shares no wire type and no XML code with `crate::remote`: a wrong type would otherwise agree with itself. It never
//! prints what it holds or is sent; tests read it through [`ContactListSimulator`].

mod awkward;
mod chance;
mod clock;
mod command;
mod handle;
mod http;
mod line;
mod log;
mod operation;
mod options;
mod people;
mod person;
mod read;
mod rules;
mod seeded;
mod service;
mod switch_text;
mod switches;
mod update;
mod write;

pub use clock::Clock;
pub use command::{Introduction, ServeArgs, serve};
pub use handle::ContactListSimulator;
pub use log::{Entry, Outcome};
pub use operation::Operation;
pub use options::{Options, SoapVersions};
pub use people::People;
pub use person::{Address, Form, FormField, Parts, Person, Phone, Relationship, year_one};
pub use seeded::Profile;
pub use switch_text::NAMES;
pub use switches::{
    Arrays, Deletion, EmptyList, EmptyString, Fault, KnownEmail, Mangle, MissingString,
    MoreRecords, NotFound, Order, Quirks, Rule, Switches, When,
};
pub use write::{EmailShown, Soap};
