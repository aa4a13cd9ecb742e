//! ACGI Association Anywhere: a queue of the customers that changed, their details, and the purge that confirms them
//! (XML over HTTP; seeds 000 and 001, `association-anywhere.md`).
//!
//! From top to bottom: [`AssociationAnywhere`] is the engine's port; `queue` and `details` read answers over the wire,
//! `rows` and `decode` understand them; `schema` is what is known of a customer. It must not know links, bases or the
//! state: what was read is safe only once the engine has committed it.

mod charset;
mod client;
#[cfg(test)]
mod client_tests;
mod decode;
#[cfg(test)]
mod decode_tests;
mod details;
mod encode;
#[cfg(test)]
mod encode_tests;
mod options;
mod queue;
mod rows;
#[cfg(test)]
mod rows_tests;
mod schema;
mod shape;
mod tree;
mod verdict;
mod vocabulary;
pub mod wire;
#[cfg(test)]
mod wire_tests;

pub use client::AssociationAnywhere;
pub use decode::{Reading, decode_details};
pub use encode::{
    Asked, Login, REQUEST_MAX, chunks, encode_details, encode_force_enqueue, encode_purge,
    encode_queue, form,
};
pub use options::{Addresses, ClientOptions, RequestNames, Words};
pub use queue::QueueAnswer;
pub use rows::{QueueEnd, QueueReader, STEP};
pub use vocabulary::vocabulary;
