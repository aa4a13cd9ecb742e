//! The retail system: the end of Data Sync that has the customers, queues their changes and posts them (orce.md §2, §9).
//!
//! It is an HTTP client and nothing else; it must not look at what a receiver makes of its messages.

mod books;
mod handle;
mod job;
mod link;
mod options;

pub use books::{Books, Survivor};
pub use handle::RetailSystem;
pub use job::{Failure, JobReport, Post};
pub use options::{Credentials, Fault, Habits, Options, Rule, Target, TokenUse};
