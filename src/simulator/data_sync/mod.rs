//! Oracle Retail Customer Engagement's Data Sync on loopback, both ends, written from the vendor's appendix.
//!
//! - [`RetailSystem`] has customers and transactions, queues their changes and posts them in a job: what a bridge with
//!   `receive:` hears. It is an HTTP client.
//! - [`ThirdParty`] gives out tokens and takes messages: what a bridge with `send:` posts to. It is an HTTP server.
//!
//! Each has faults that befall requests and habits for what the appendix leaves open, and keeps a truth of its own:
//! [`RetailSystem::customers`] is what a receiver has in the end, [`RetailSystem::delivered`] what it has now,
//! [`ThirdParty::ledger`] what a sender has told, [`ThirdParty::defects`] what it did wrong.
//!
//! They share no wire type and no reader with `crate::remote`: a wrong type would otherwise agree with itself. For the
//! same reason the two ends are also held against the appendix's printed bodies. Neither ever prints what it holds or is
//! sent; both work on threads of their own, so that a test may block, pause its runtime's time, or run the real binary.

mod command;
mod control;
mod customer;
mod json;
mod ledger;
mod message;
mod operation;
mod queue;
mod retail;
mod seeded;
mod switch_text;
#[cfg(test)]
mod tests;
mod third;
mod transaction;

pub use crate::simulator::clock::Clock;
pub use crate::simulator::rules::When;
pub use command::{Introduction, ServeArgs, serve};
pub use customer::Customer;
pub use json::Json;
pub use ledger::{Effect, Ledger};
pub use message::{Action, DeleteForm, Form, Layout, Message, PayloadForm};
pub use operation::Operation;
pub use queue::{Coalescing, Feed, Pending, Progress, QueueRules, Queues};
pub use retail::{
    Books, Credentials, Failure, Fault as RetailFault, Habits as RetailHabits, JobReport,
    Options as RetailOptions, Post, RetailSystem, Rule as RetailRule, Survivor, Target, TokenUse,
};
pub use seeded::Profile;
pub use switch_text::{RETAIL_NAMES, Switches, THIRD_NAMES};
pub use third::{
    Accepted, Attempt, Defect, Fault as ThirdFault, Habits as ThirdHabits, Options as ThirdOptions,
    Rule as ThirdRule, ThirdParty, TokenAnswer, Welcome,
};
pub use transaction::Transaction;
