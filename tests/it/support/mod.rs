//! What every module of this binary builds its scenes from.

mod binary;
mod project;

pub use binary::{Binary, Ran};
pub use project::{MAPPING, Project, Setup};
