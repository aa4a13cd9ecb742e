//! The pages of `run`: a dashboard, `/healthz`, `/readyz` and `/metrics`, on loopback, to be read and nothing else.
//!
//! - `answer`: from a request to an answer, and whom to answer at all; pure
//! - `dashboard`: the page for people; pure
//! - `listen`: connections, within their number and their time
//!
//! Nothing here writes anything, and no value of a record comes here.

mod answer;
mod dashboard;
mod listen;

pub use answer::Sources;
pub use dashboard::Table;
pub use listen::Pages;
