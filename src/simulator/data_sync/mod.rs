//! Data Sync.
mod customer;
mod json;
mod ledger;
mod message;
mod queue;
mod transaction;
pub use customer::Customer;
pub use json::Json;
pub use ledger::{Effect, Ledger};
pub use message::{Action, DeleteForm, Form, Layout, Message, PayloadForm};
pub use queue::{Coalescing, Feed, Pending, Progress, QueueRules, Queues};
pub use transaction::Transaction;
