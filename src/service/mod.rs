//! `contactbridge run`: keeps the schedules, owns the stores while it stays, answers commands and shows how it fares.
//!
//! - `turns`: when a turn comes; pure
//! - `keeper`: one bridge on a thread of its own: its store, its turns, what is asked of it; `askers`: who waits for a pass
//! - `hold`: taking a store and giving it back, the one place that knows for how long
//! - `control`: the socket at which commands of this machine are answered
//! - `board`, `metrics`, `pages`: what is seen from outside
//!
//! It must not know a record, a side or a command: a bridge is what [`Work`] says of it.

mod askers;
mod board;
pub mod control;
mod hold;
mod keeper;
mod metrics;
pub mod pages;
mod turns;
mod work;

/// The log of the service: its start and end, each pass, why a turn waits. It is shown unless `-q` is given.
pub const LOG: &str = "contactbridge::service";

pub use board::{Board, Phase, Standing};
pub use hold::Tenure;
pub use keeper::{Keeper, Kept};
pub use metrics::Metrics;
pub use turns::Turns;
pub use work::{Left, Passed, Work};
