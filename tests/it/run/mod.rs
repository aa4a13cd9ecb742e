//! The service that stays, as the real binary, beside a CRM on loopback and commands of the same user.
//!
//! - `turns`: schedules are kept, and stores that are not there yet are waited for
//! - `commands`: what is answered through the socket, and what is refused
//! - `signals`: stops, kills, and what they leave behind
//! - `pages`: dashboard, readiness, metrics

mod commands;
mod pages;
mod signals;
mod turns;

use contactbridge::simulator::contactlist::{Options, Profile};

use crate::support::{Project, Setup};

/// A project with a CRM without surprises.
fn setup() -> Setup {
    Setup::default()
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(20)
}

/// With pages, at a port that the system chooses.
fn with_pages(setup: Setup) -> Setup {
    setup.state("state\nhttp:\n  listen: 127.0.0.1:0")
}

/// Gives the project a second bridge, `others`, to the same CRM and a database of its own.
fn second_bridge(project: &Project) {
    let text = std::fs::read_to_string(project.path("bridge.yaml")).expect("the file");
    let (head, members) = text.split_once("bridges:\n").expect("bridges");
    let others = members
        .replace("  members:\n", "  others:\n")
        .replace("sqlite:customers.db", "sqlite:others.db");
    let text = format!("{head}bridges:\n{members}{others}");
    std::fs::write(project.path("bridge.yaml"), text).expect("the file");
}

/// What `status --format json` says of a bridge.
fn status(project: &Project, bridge: usize) -> serde_json::Value {
    project.line("status --format json").exits(0).json()[bridge].clone()
}
