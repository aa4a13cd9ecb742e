//! How a simulator is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;

use crate::simulator::clock::Clock;

use super::seeded::Profile;
use super::switches::Switches;
use super::write::Soap;

/// The vendor's page size (contactlist.md §3).
const DEFAULT_PAGE_SIZE: usize = 100;
/// What ASP.NET takes when nobody says otherwise (contactlist.md §10).
const DEFAULT_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Up to here the XML of seeded people is kept ready: half a gigabyte. Beyond, it is written when it is asked for.
const DEFAULT_RENDERED_PEOPLE_MAX: usize = 200_000;

/// Which SOAP versions the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SoapVersions {
    /// Both.
    #[default]
    Both,
    /// One alone; the other is answered with 415.
    Only(Soap),
}

impl SoapVersions {
    pub(super) fn allow(self, soap: Soap) -> bool {
        self == SoapVersions::Both || self == SoapVersions::Only(soap)
    }
}

/// How a simulator is set up. The default is an empty site with honest habits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; must be loopback. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// How many people are seeded.
    pub people: u32,
    /// What the people, and the chance in faults, follow from.
    pub seed: u64,
    /// What kind of people.
    pub profile: Profile,
    /// The site's zone, in whose wall time its dates are.
    pub zone: Tz,
    /// The machine's zone, into whose wall time a date with an offset is turned (contactlist.md §5).
    pub server_zone: Tz,
    /// The site's number.
    pub site_id: i32,
    /// The admin user.
    pub username: String,
    /// The admin user's password.
    pub password: String,
    /// The site token: goes with an empty user name.
    pub token: String,
    /// Which SOAP versions are answered.
    pub soap: SoapVersions,
    /// Contacts a page.
    pub page_size: usize,
    /// How long each request waits before the work.
    pub latency: Duration,
    /// Where the service takes its time from.
    pub clock: Clock,
    /// Faults and quirks at the start.
    pub switches: Switches,
    /// The largest request that is read.
    pub request_bytes_max: usize,
    /// Up to how many seeded people keep their XML ready in memory.
    pub rendered_people_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            people: 0,
            seed: 1,
            profile: Profile::Awkward,
            zone: chrono_tz::Australia::Sydney,
            server_zone: chrono_tz::UTC,
            site_id: 12345,
            username: "sync@example.com".to_owned(),
            password: "s3cret<&>".to_owned(),
            token: "site-token-12345".to_owned(),
            soap: SoapVersions::Both,
            page_size: DEFAULT_PAGE_SIZE,
            latency: Duration::ZERO,
            clock: Clock::Real,
            switches: Switches::default(),
            request_bytes_max: DEFAULT_REQUEST_BYTES_MAX,
            rendered_people_max: DEFAULT_RENDERED_PEOPLE_MAX,
        }
    }
}
