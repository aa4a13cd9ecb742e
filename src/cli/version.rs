//! `contactbridge version`.

use serde::Serialize;

use super::exit::Exit;
use super::output::Output;
use crate::model::Result;

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    kinds: [&'static str; 1],
    databases: [&'static str; 1],
}

/// Prints the version and what this build can talk to.
pub fn run(output: Output) -> Result<Exit> {
    let version = Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        kinds: ["contactlist"],
        databases: ["sqlite"],
    };
    output.report(&version, |v| format!("{} {}", v.name, v.version))?;
    Ok(Exit::Clean)
}
