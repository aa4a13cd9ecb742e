//! How a simulator is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::simulator::clock::Clock;

use super::operation::Operation;
use super::seeded::Profile;
use super::switches::Switches;

/// A number as in the protocol's samples.
const DEFAULT_FIRST_NUMBER: u64 = 900_001;
/// What a PL/SQL gateway passes in one scalar argument (association-anywhere.md §1).
const DEFAULT_PARAMETER_BYTES_MAX: usize = 32 * 1024 - 1;

/// Which of the two queue services the site has; the other is answered with 404, as one that was not provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueueServices {
    /// Both.
    #[default]
    Both,
    /// The one with reasons.
    Reasons,
    /// The plain one.
    Plain,
}

impl QueueServices {
    pub(super) fn offer(self, operation: Operation) -> bool {
        match operation {
            Operation::Queue => self != QueueServices::Reasons,
            Operation::QueueWithReasons => self != QueueServices::Plain,
            _ => true,
        }
    }
}

/// How a simulator is set up. The default is an empty site with honest habits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; must be loopback. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// How many customers are grown.
    pub people: u32,
    /// What the customers, and the chance in faults, follow from.
    pub seed: u64,
    /// What kind of customers.
    pub profile: Profile,
    /// The path's first segment: the association's environment.
    pub environment: String,
    /// The vendor's user name.
    pub username: String,
    /// The vendor's password.
    pub password: String,
    /// Which queue services there are.
    pub queue: QueueServices,
    /// Whether everybody is in the queue at the beginning, as after the provider's one-time fill.
    pub queued: bool,
    /// The number of the queue's first row; an Oracle sequence may pass 2^53.
    pub first_number: u64,
    /// How long each request waits before the work.
    pub latency: Duration,
    /// Where the service takes its time from.
    pub clock: Clock,
    /// Faults and quirks at the start.
    pub switches: Switches,
    /// The largest parameter that the gateway passes, in bytes after decoding.
    pub parameter_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            people: 0,
            seed: 1,
            profile: Profile::Awkward,
            environment: "aademo".to_owned(),
            username: "bridge-demo".to_owned(),
            password: "s3cret<&>".to_owned(),
            queue: QueueServices::Both,
            queued: true,
            first_number: DEFAULT_FIRST_NUMBER,
            latency: Duration::ZERO,
            clock: Clock::Real,
            switches: Switches::default(),
            parameter_bytes_max: DEFAULT_PARAMETER_BYTES_MAX,
        }
    }
}
