//! What every module of this binary builds its scenes from.

mod binary;
mod foreign;
mod http;
mod project;
mod quiet;
#[path = "../../servers/fresh.rs"]
mod servers;

pub use binary::{Binary, Ran};
pub use foreign::{ForeignCrm, ForeignIssuer, zeep};
pub use http::{HttpAnswer, http};
pub use project::{MAPPING, Project, Setup};
pub use servers::{Fresh, Server};
