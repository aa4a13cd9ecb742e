//! What every module of this binary builds its scenes from.

mod binary;
pub mod files;
mod foreign;
mod http;
mod project;
mod quiet;
#[path = "../../servers/fresh.rs"]
mod servers;
mod service;
pub mod store;

pub use binary::{Binary, Ran};
pub use foreign::{ForeignCrm, ForeignIssuer, metrics_of_other_make, zeep};
pub use http::{HttpAnswer, http};
pub use project::{MAPPING, Project, Setup};
pub use servers::{Fresh, Server};
pub use service::{Service, eventually};
