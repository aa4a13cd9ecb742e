//! How the third-party application is set up, what it is like, and what may befall a request.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::simulator::clock::Clock;
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::rules;

/// What an OAuth2 provider gives out by default (orce.md §8).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
/// Twice the largest transaction that a test sends.
const DEFAULT_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// How a token is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TokenAnswer {
    /// As the standard has it.
    #[default]
    Full,
    /// Without `expires_in`.
    NoExpiry,
    /// `"expires_in":"3600"`
    TextExpiry,
    /// `"token_type":"bearer"`, and members that nobody has heard of.
    Lower,
}

/// Which credentials are welcome at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Welcome {
    /// In the header or in the form.
    #[default]
    Both,
    /// In the header alone.
    Basic,
    /// In the form alone.
    Body,
}

/// What this application is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Habits {
    /// Which credentials are welcome.
    pub credentials: Welcome,
    /// How a token is worded.
    pub token_answer: TokenAnswer,
    /// After so many messages a token is refused, whatever its answer said about its life.
    pub token_uses: Option<u64>,
    /// Whether a message of the wrong form is taken all the same; it is noted either way.
    pub lenient: bool,
}

/// Something that befalls one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status; nothing is kept.
    Status(u16),
    /// The message is kept; this status.
    StatusAfter(u16),
    /// The connection is cut; nothing is kept.
    LoseRequest,
    /// The message is kept; then the connection is cut.
    LoseAnswer,
    /// The request waits this long.
    Delay(Duration),
    /// A page with status 200; nothing is kept.
    Html,
    /// The message is kept; 200 with bytes that are no JSON and no text.
    Garbage,
    /// The message is kept; half of the answer comes, under the length of all of it, and the connection ends.
    WrongLength,
    /// The message is kept; so many bytes of white space come behind the answer.
    Oversize(usize),
    /// 302 to this address; nothing is kept.
    Redirect(String),
    /// 503 with this `Retry-After`; nothing is kept.
    Unavailable(String),
    /// The request's token is no longer good, before its time: 401; nothing is kept.
    Expire,
}

/// A fault of this application, and the requests that it befalls.
pub type Rule = rules::Rule<Operation, Fault>;

/// How the application is set up. The default takes any message of the right form.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; must be loopback. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// A certificate chain and its key, in PEM; nothing: plain http.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where messages are taken.
    pub path: String,
    /// Where tokens are given out.
    pub token_path: String,
    /// The client that may have one.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// How long a token is good.
    pub lifetime: Duration,
    /// The largest body that is read.
    pub body_bytes_max: usize,
    /// Where it takes its time from.
    pub clock: Clock,
    /// What tokens, and the chance in faults, follow from.
    pub seed: u64,
    /// What it is like.
    pub habits: Habits,
    /// What befalls requests.
    pub rules: Vec<Rule>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            path: "/datasync".to_owned(),
            token_path: "/oauth2/v1/token".to_owned(),
            client_id: "bridge-demo".to_owned(),
            client_secret: "s3cret:<&>%41".to_owned(),
            lifetime: DEFAULT_LIFETIME,
            body_bytes_max: DEFAULT_BODY_BYTES_MAX,
            clock: Clock::Real,
            seed: 1,
            habits: Habits::default(),
            rules: Vec::new(),
        }
    }
}
