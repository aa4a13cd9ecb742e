//! The way to a service: the request out, the answer in, under limits, at a bounded rate.
//!
//! TLS is verified without a way round it, redirects are not followed (the body holds the password), no proxy of the
//! environment is used, answers are asked for uncompressed, and no body is ever logged. Writes go over a connection of
//! their own each, so that none is lost to a connection that the server has just closed. It must not repeat anything:
//! that is for `repeat` and its callers to decide, for reads alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION,
};
use reqwest::{Client, RequestBuilder, Url};

use super::answer::{Answer, retry_after};
use super::tls::{check_address, client, tls_reason};
use super::{CallLimits, Pace, Received, Surroundings};
use crate::model::{Error, Result};

/// Whether a call may be made on a connection that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::remote) enum Purpose {
    Read,
    Write,
}

/// A request.
pub(in crate::remote) struct Post<'a> {
    /// The operation, for messages.
    pub operation: &'a str,
    /// Where to.
    pub url: &'a Url,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// Further headers.
    pub headers: &'a [(&'static str, String)],
    /// The body.
    pub body: String,
    /// Whether it reads or writes.
    pub purpose: Purpose,
    /// Bytes that the answer may have, and the key of that limit.
    pub max: (u64, &'static str),
    /// How many times as long as other calls it may take.
    pub patience: u32,
}

/// What a [`Transport`] is made from.
pub(in crate::remote) struct TransportOptions<'a> {
    /// The addresses that will be called, each with its key in bridge.yaml.
    pub addresses: &'a [(&'a str, &'a Url)],
    /// Certificate authorities in PEM beside those of the system.
    pub ca: Option<&'a [u8]>,
    /// Bounds of a call.
    pub limits: &'a CallLimits,
}

/// How long an unused connection is kept.
const KEEP_IDLE: Duration = Duration::from_secs(90);

/// The way to one service, which may have several addresses.
pub(in crate::remote) struct Transport {
    reader: Client,
    writer: Client,
    pace: Pace,
    around: Arc<dyn Surroundings>,
    total_timeout: Duration,
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

impl Transport {
    /// Refuses addresses that may not be called; opens no connection.
    pub(in crate::remote) fn new(
        options: &TransportOptions<'_>,
        around: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        for (key, address) in options.addresses {
            check_address(key, address)?;
        }
        let secure = options
            .addresses
            .iter()
            .any(|(_, address)| address.scheme() != "http");
        let limits = options.limits;
        Ok(Self {
            reader: client(limits, (32, KEEP_IDLE), options.ca, secure)?,
            writer: client(limits, (0, KEEP_IDLE), options.ca, secure)?,
            pace: Pace::new(limits, Arc::clone(&around)),
            around,
            total_timeout: limits.total_timeout,
            requests: AtomicU64::new(0),
            heard: Mutex::new(None),
        })
    }

    /// Calls made so far.
    pub(in crate::remote) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What the calls run in.
    pub(in crate::remote) fn around(&self) -> &dyn Surroundings {
        self.around.as_ref()
    }

    /// The service's present time.
    pub(in crate::remote) fn server_time(&self) -> Option<DateTime<Utc>> {
        let heard = (*self.heard.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = self.around.monotonic().saturating_sub(heard.at);
        heard
            .date
            .checked_add_signed(chrono::Duration::from_std(passed).ok()?)
    }

    /// The service's clock minus ours.
    pub(in crate::remote) fn clock_difference(&self) -> Option<chrono::Duration> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| heard.difference)
    }

    /// Sends a request once, and reads the answer to its end.
    pub(in crate::remote) async fn post(&self, post: Post<'_>) -> Result<Received> {
        self.open(post).await?.whole().await
    }

    /// Sends a request once, and reads the head of the answer.
    pub(in crate::remote) async fn open(&self, post: Post<'_>) -> Result<Answer> {
        let client = match post.purpose {
            Purpose::Read => &self.reader,
            Purpose::Write => &self.writer,
        };
        let mut request = client
            .post(post.url.clone())
            .header(ACCEPT_ENCODING, "identity")
            .header(CACHE_CONTROL, "no-cache")
            .header(CONTENT_TYPE, post.content_type)
            .body(post.body);
        if post.patience > 1 {
            request = request.timeout(self.total_timeout.saturating_mul(post.patience));
        }
        for (name, value) in post.headers {
            request = request.header(*name, value);
        }
        self.send(post.operation, post.url, request, post.max).await
    }

    /// Fetches what stands at an address.
    pub(in crate::remote) async fn get(
        &self,
        operation: &str,
        url: &Url,
        max: u64,
    ) -> Result<Received> {
        let request = self
            .reader
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        let answer = self
            .send(operation, url, request, (max, "max_response"))
            .await?;
        answer.whole().await
    }

    async fn send(
        &self,
        operation: &str,
        url: &Url,
        request: RequestBuilder,
        (max, limit): (u64, &'static str),
    ) -> Result<Answer> {
        self.pace.wait_for_turn().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let started = self.around.monotonic();
        let host = url.host_str().unwrap_or("the service");
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(operation, host, error))?;
        let status = response.status();
        let took = self.around.monotonic().saturating_sub(started);
        let date = self.hear(response.headers());
        let begun =
            date.and_then(|date| date.checked_sub_signed(chrono::Duration::from_std(took).ok()?));
        if status.is_redirection() {
            return Err(redirected(operation, url, response.headers()));
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
        let answer = Answer {
            operation: operation.to_owned(),
            host: host.to_owned(),
            max,
            limit,
            promised: response.content_length(),
            got: 0,
            status: status.as_u16(),
            content_type: response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            begun,
            retry_after: retry_after(
                response.headers(),
                date.unwrap_or_else(|| self.around.now()),
            ),
            response,
        };
        if answer.promised.is_some_and(|promised| promised > max) {
            return Err(answer.too_long());
        }
        Ok(answer)
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
}

fn redirected(operation: &str, from: &Url, headers: &HeaderMap) -> Error {
    let target = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "an unknown place".to_owned());
    Error::unreachable(
        "E-REDIRECT",
        format!(
            "{operation}: refused: {}://{} -> {target}; a redirect would carry the password there. Put the right address into bridge.yaml",
            from.scheme(),
            from.host_str().unwrap_or("the service"),
        ),
    )
}

/// Why there is no answer. The cause's own words may hold the address, never the body.
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
