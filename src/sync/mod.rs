//! One pass of a bridge.

mod report;

pub use report::{BridgeReport, Counts, Guard, Outcome};
