//! The third-party application: the end of Data Sync that gives out tokens and takes messages (orce.md §3, §8).
//!
//! It checks the form of what it is sent more strictly than a real one would, and must not forgive the bridge anything
//! that the appendix does not show.

mod check;
mod handle;
mod http;
mod options;
mod service;

pub use check::Defect;
pub use handle::ThirdParty;
pub(super) use http::Shared;
pub use options::{Fault, Habits, Options, Rule, TokenAnswer, Welcome};
pub use service::{Accepted, Attempt};
