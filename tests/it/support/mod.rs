//! What every module of this binary builds its scenes from.

mod binary;
mod foreign;
mod http;
mod project;

pub use binary::{Binary, Ran};
pub use foreign::{ForeignCrm, zeep};
pub use http::{HttpAnswer, http};
pub use project::{MAPPING, Project, Setup};
