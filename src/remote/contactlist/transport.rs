//! One SOAP call over HTTP: the request out, the whole answer in, under limits, at a bounded rate.
//!
//! TLS is verified without a way round it, redirects are not followed (the body holds the password), no proxy of the
//! environment is used, answers are asked for uncompressed, and no body is ever logged. Writes go over a connection of
//! their own each, so that none is lost to a connection that the server has just closed. It must not repeat anything:
//! that is for `client` to decide, for reads alone.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use reqwest::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION,
    RETRY_AFTER,
};
use reqwest::{Client, Url};

use super::encode::SoapVersion;
use super::outcome::Reply;
use super::schema::NAMESPACE;
use crate::model::{Error, Result};

/// What the calls need of the world. They run on threads of their own, so this is the thread-safe face of
/// [`crate::model::World`], kept by the same implementation.
pub trait Surroundings: Send + Sync + 'static {
    /// The machine's wall clock.
    fn now(&self) -> DateTime<Utc>;
    /// A clock that never steps back.
    fn monotonic(&self) -> Duration;
    /// Fills `bytes` with randomness, for the jitter of pauses.
    fn random(&self, bytes: &mut [u8]);
    /// Waits.
    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The bounds of a call; the defaults are those of `limits:` in bridge.yaml.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallLimits {
    /// Calls per second, `None` for no bound.
    pub requests_per_second: Option<f64>,
    /// Calls at once after a pause.
    pub burst: u32,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub idle_timeout: Duration,
    /// For a whole call.
    pub total_timeout: Duration,
    /// Bytes of an answer.
    pub max_response: u64,
}

/// How long an unused connection is kept.
const KEEP_IDLE: Duration = Duration::from_secs(90);

/// An answer and what its head says beside it.
#[derive(Clone)]
pub(super) struct Received {
    pub reply: Reply,
    /// The service's time, not later than when it began to work on this call.
    pub begun: Option<DateTime<Utc>>,
    /// `Retry-After`, from now.
    pub retry_after: Option<Duration>,
}

/// Whether a call may be made on a connection that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

/// How often calls are made (`requests_per_second`, `burst`).
pub(in crate::remote) struct Pace {
    limiter: Option<Limiter>,
    around: Arc<dyn Surroundings>,
}

impl Pace {
    /// The pace of these limits.
    pub(in crate::remote) fn new(limits: &CallLimits, around: Arc<dyn Surroundings>) -> Self {
        let limiter = limits.requests_per_second.map(|rate| {
            let period = Duration::try_from_secs_f64(1.0 / rate.max(0.001))
                .unwrap_or(Duration::from_secs(1));
            let burst = NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
                .unwrap_or(Quota::per_second(NonZeroU32::MIN))
                .allow_burst(burst);
            RateLimiter::direct_with_clock(quota, SteadyClock(Arc::clone(&around)))
        });
        Self { limiter, around }
    }

    /// Comes back when the next call may be made.
    pub(in crate::remote) async fn wait_for_turn(&self) {
        let Some(limiter) = &self.limiter else {
            return;
        };
        while let Err(early) = limiter.check() {
            let wait = early.wait_time_from(self.around.monotonic());
            self.around.pause(wait).await;
        }
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, SteadyClock, NoOpMiddleware<Duration>>;

/// The way to one endpoint.
pub(super) struct Transport {
    reader: Client,
    writer: Client,
    endpoint: Url,
    version: SoapVersion,
    max_response: u64,
    pace: Pace,
    around: Arc<dyn Surroundings>,
    requests: AtomicU64,
    heard: Mutex<Option<Heard>>,
}

/// The newest `Date` header.
#[derive(Clone, Copy)]
struct Heard {
    date: DateTime<Utc>,
    at: Duration,
    difference: chrono::Duration,
}

#[derive(Clone)]
struct SteadyClock(Arc<dyn Surroundings>);

impl Clock for SteadyClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

impl Transport {
    /// A way to `endpoint`. `ca` holds certificate authorities in PEM beside those of the system.
    pub(super) fn new(
        endpoint: Url,
        version: SoapVersion,
        ca: Option<&[u8]>,
        limits: &CallLimits,
        around: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        check_endpoint("endpoint", &endpoint)?;
        Ok(Self {
            reader: http_client(&endpoint, ca, limits, (32, KEEP_IDLE))?,
            writer: http_client(&endpoint, ca, limits, (0, KEEP_IDLE))?,
            endpoint,
            version,
            max_response: limits.max_response,
            pace: Pace::new(limits, Arc::clone(&around)),
            around,
            requests: AtomicU64::new(0),
            heard: Mutex::new(None),
        })
    }

    /// Calls made so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What the calls run in.
    pub(super) fn around(&self) -> &Arc<dyn Surroundings> {
        &self.around
    }

    /// The service's present time.
    pub(super) fn server_time(&self) -> Option<DateTime<Utc>> {
        let heard = (*self.heard.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = self.around.monotonic().saturating_sub(heard.at);
        heard
            .date
            .checked_add_signed(chrono::Duration::from_std(passed).ok()?)
    }

    /// The service's clock minus ours.
    pub(super) fn clock_difference(&self) -> Option<chrono::Duration> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| heard.difference)
    }

    /// Sends `body`, a request of `operation`, once, and reads the answer to its end.
    pub(super) async fn post(
        &self,
        operation: &str,
        body: String,
        purpose: Purpose,
    ) -> Result<Received> {
        let client = match purpose {
            Purpose::Read => &self.reader,
            Purpose::Write => &self.writer,
        };
        let request = client
            .post(self.endpoint.clone())
            .header(ACCEPT_ENCODING, "identity")
            .header(CACHE_CONTROL, "no-cache")
            .body(body);
        let request = match self.version {
            SoapVersion::V11 => request
                .header(CONTENT_TYPE, "text/xml; charset=utf-8")
                .header("SOAPAction", format!("\"{NAMESPACE}/{operation}\"")),
            SoapVersion::V12 => request.header(
                CONTENT_TYPE,
                format!("application/soap+xml; charset=utf-8; action=\"{NAMESPACE}/{operation}\""),
            ),
        };
        self.send(operation, request, self.max_response).await
    }

    /// Fetches the service's description.
    pub(super) async fn description(&self, max: u64) -> Result<Received> {
        let mut url = self.endpoint.clone();
        url.set_query(Some("WSDL"));
        let request = self.reader.get(url).header(ACCEPT_ENCODING, "identity");
        self.send("?WSDL", request, max).await
    }

    async fn send(
        &self,
        operation: &str,
        request: reqwest::RequestBuilder,
        max: u64,
    ) -> Result<Received> {
        self.pace.wait_for_turn().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let started = self.around.monotonic();
        let mut response = request
            .send()
            .await
            .map_err(|error| self.no_answer(operation, error))?;
        let status = response.status();
        let took = self.around.monotonic().saturating_sub(started);
        let date = self.hear(response.headers());
        let begun =
            date.and_then(|date| date.checked_sub_signed(chrono::Duration::from_std(took).ok()?));
        if status.is_redirection() {
            return Err(self.redirected(operation, response.headers()));
        }
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(Error::unreachable(
                "E-BODY-RATIO",
                format!(
                    "{operation}: the answer is compressed, though it was asked not to be; nothing of it was read"
                ),
            ));
        }
        let retry_after = retry_after(
            response.headers(),
            date.unwrap_or_else(|| self.around.now()),
        );
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let promised = response.content_length();
        let too_long = || {
            Error::unreachable(
                "E-BODY-SIZE",
                format!(
                    "{operation}: the answer is over {max} bytes (limits.max_response); nothing of it was applied"
                ),
            )
        };
        if promised.is_some_and(|promised| promised > max) {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(promised.and_then(|n| n.try_into().ok()).unwrap_or(0));
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if (body.len() + chunk.len()) as u64 > max {
                        return Err(too_long());
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(self.no_answer(operation, error)),
                Err(error) => {
                    let of = promised.map_or(String::new(), |promised| format!(" of {promised}"));
                    return Err(Error::unreachable(
                        "E-BODY-TRUNCATED",
                        format!("{operation}: got {}{of} bytes, then the connection broke; nothing of it was applied", body.len()),
                    )
                    .caused_by(error.without_url()));
                }
            }
        }
        Ok(Received {
            reply: Reply {
                status: status.as_u16(),
                content_type,
                body,
            },
            begun,
            retry_after,
        })
    }

    /// Notes the service's clock.
    fn hear(&self, headers: &HeaderMap) -> Option<DateTime<Utc>> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let date = DateTime::parse_from_rfc2822(date).ok()?.to_utc();
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Heard {
            date,
            at: self.around.monotonic(),
            difference: date - self.around.now(),
        });
        Some(date)
    }

    fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or("the endpoint")
    }

    fn redirected(&self, operation: &str, headers: &HeaderMap) -> Error {
        let target = headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| self.endpoint.join(location).ok())
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_else(|| "an unknown place".to_owned());
        Error::unreachable(
            "E-REDIRECT",
            format!(
                "{operation}: refused: {}://{} -> {target}; a redirect would carry the password there. Put the right address into `endpoint`",
                self.endpoint.scheme(),
                self.host(),
            ),
        )
    }

    fn no_answer(&self, operation: &str, error: reqwest::Error) -> Error {
        no_answer(operation, self.host(), error)
    }
}

/// Why there is no answer from `host`. The cause's own words may hold the address, never the body.
pub(in crate::remote) fn no_answer(operation: &str, host: &str, error: reqwest::Error) -> Error {
    if let Some(reason) = tls_reason(&error) {
        return Error::unreachable("E-TLS", format!("{host}: {reason}"));
    }
    let (code, what) = if error.is_timeout() && error.is_connect() {
        ("E-CONNECT", "did not answer in time when it was called")
    } else if error.is_timeout() {
        ("E-TIMEOUT", "took too long to answer")
    } else if error.is_connect() {
        ("E-CONNECT", "can't be reached")
    } else {
        ("E-CONNECT", "broke the connection off")
    };
    Error::unreachable(code, format!("{operation}: {host} {what}")).caused_by(error.without_url())
}

/// A client for `endpoint` that keeps the rules of trust (user contract, section 5): TLS 1.2 or later, verified; no redirect, no
/// proxy of the environment, nothing sent twice by itself. `ca` holds authorities in PEM beside those of the system; so many
/// unused connections are kept open, for that long.
pub(in crate::remote) fn http_client(
    endpoint: &Url,
    ca: Option<&[u8]>,
    limits: &CallLimits,
    (idle_connections, idle_time): (usize, Duration),
) -> Result<Client> {
    // Another part of the program may have been first, with the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(idle_time)
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.idle_timeout)
        .timeout(limits.total_timeout)
        .tcp_nodelay(true);
    if endpoint.scheme() == "http" {
        // Nothing to verify on loopback; reading the system's certificates takes its time.
        builder = builder.tls_certs_only(Vec::new());
    } else if let Some(pem) = ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or_else(|| {
                Error::config("E-TLS", "The file of `ca` holds no certificate in PEM")
            })?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        Error::unreachable(
            "E-TLS",
            "TLS can't be set up: no certificate authorities of this system can be read, or `ca` holds a bad one",
        )
        .caused_by(error.without_url())
    })
}

/// Plain http is for loopback alone (user contract, section 5); credentials belong in their own keys.
pub(in crate::remote) fn check_endpoint(key: &str, endpoint: &Url) -> Result<()> {
    let refuse = |what: &str| Err(Error::config("E-CFG-URL", format!("{key}: {what}")));
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return refuse("credentials belong in username and password, not in the address");
    }
    let host = endpoint.host_str().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match endpoint.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => refuse("only https is accepted, and plain http to this machine itself"),
    }
}

/// Seconds, or a date (RFC 9110); anything else counts as not said.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    Some((date - now).to_std().unwrap_or_default())
}

/// What is wrong with the other side's certificate or TLS, if that is what went wrong.
fn tls_reason(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_sentence(tls));
    }
    // An I/O error passes over what it holds when it is asked for its source.
    let held = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .and_then(|held| tls_reason(held));
    held.or_else(|| error.source().and_then(tls_reason))
}

fn tls_sentence(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let day = |time: &rustls::pki_types::UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .map_or_else(String::new, |time| format!(" {}", time.format("%Y-%m-%d")))
    };
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired => "certificate expired".to_owned(),
            Bad::ExpiredContext { not_after, .. } => {
                format!("certificate expired{}", day(not_after))
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "certificate is not valid yet; is the clock of this machine right?".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "certificate is for another name".to_owned()
            }
            Bad::UnknownIssuer => {
                "certificate of an unknown authority, or self-signed; `ca: FILE` adds an authority"
                    .to_owned()
            }
            other => format!("certificate does not verify: {other}"),
        },
        other => format!("TLS failed: {other}"),
    }
}
