//! The socket at which `run` answers commands of the same user on the same machine.
//!
//! - `wire`: what is said there, one JSON value a line
//! - `place`: where the socket lies, and who may sit there
//! - `serve`: the end of `run`
//! - `ask`: the end of a command
//!
//! It is no interface for others: both ends are the same version of one program, or they part.

mod ask;
mod place;
mod serve;
mod wire;

pub use ask::{Asked, Line, PassNews, find};
pub use place::{Place, Seat};
pub use serve::{Desk, serve};
pub use wire::{Answer, Fault, Order, Question};
pub(super) use wire::{Reply, Told};
