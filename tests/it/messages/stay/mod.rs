//! The same bridges as they stand in production: `contactbridge run` as a process that is posted to over HTTP, posts over HTTP, and
//! is killed.
//!
//! - `retail`: whatever the simulated retail system posts becomes the right rows
//! - `storm`: kills in the middle of posts; what was answered with 200 is there
//! - `send`: jobs that fail and are killed, and two instances that send to each other
//! - `trust`: TLS, tokens, stores that are not there
//! - `truth`: what the rows must be, read from the mapping files and the retail system's own truth

mod relay;
mod retail;
mod send;
mod storm;
mod trust;
mod truth;

use std::net::SocketAddr;

use contactbridge::simulator::data_sync::Target;

use super::{RECEIVE, Shop};
use crate::support::Service;

/// A bridge that `run` keeps, and where it is posted to.
struct Running {
    service: Service,
    address: SocketAddr,
}

impl Running {
    /// Starts `run` for a bridge that receives.
    #[track_caller]
    fn start(shop: &Shop) -> Self {
        let mut service = Service::start(&shop.binary);
        let address = service
            .said()
            .iter()
            .find_map(|line| line.split_once("messages are taken at "))
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .expect("it listens")
            .parse()
            .expect("an address");
        Self { service, address }
    }

    /// Where a retail system posts to.
    fn target(&self) -> Target {
        target(&format!("http://{}", self.address))
    }

    /// Kills it, as a power cut would.
    fn kill(mut self) {
        self.service.signal(rustix::process::Signal::KILL);
        assert_eq!(self.service.ends(), None);
    }
}

fn target(base: &str) -> Target {
    Target {
        api_url: format!("{base}/datasync"),
        token_url: format!("{base}/oauth2/token"),
        client_id: "orce".to_owned(),
        client_secret: "secret".to_owned(),
        ca: None,
    }
}

/// Adds a limit to a project.
fn limit(shop: &Shop, line: &str) {
    shop.edit(
        "bridge.yaml",
        "      free_disk: 0\n",
        &format!("      free_disk: 0\n      {line}\n"),
    );
}

/// Numbers that look random and follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
