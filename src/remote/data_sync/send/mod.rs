//! Posting messages to a third-party application in ORCE's own format, one a request, as a receiver of ORCE's expects them.
//!
//! Exactly 200 is success; a status, or no answer, is a failure of this message, and whoever keeps the queue ends the run with it.
//! Nothing is tried twice but after a 401, once, with a new token (user contract, "Sending"). It must not know the queue, and logs
//! no payload.

mod probe;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::http::{Http, NoAnswer};
use super::message::{Message, write_envelope};
use crate::config::{Limits, Secret, SendSettings};
use crate::model::{Error, Result};
use crate::remote::http::{CallLimits, Pace, Surroundings};

pub use probe::{Probe, ProbeStep, StepOutcome};
use tokens::{Tokens, secret_header};

/// What sending needs to know.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Where messages go: https, or loopback.
    pub api_url: Url,
    /// Where tokens come from: https, or loopback.
    pub token_url: Url,
    /// Our client id.
    pub client_id: String,
    /// Our client secret.
    pub client_secret: Secret,
    /// The scope to ask for; may be empty.
    pub scope: String,
    /// Certificate authorities in PEM beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// The bounds of a call, tokens included.
    pub limits: CallLimits,
}

impl SendOptions {
    /// The options of a bridge; reads the `ca:` file. `E-TLS` (exit 2) when it can't be read.
    pub fn from_settings(settings: &SendSettings, limits: &Limits) -> Result<Self> {
        Ok(Self {
            api_url: settings.api_url.clone(),
            token_url: settings.token_url.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            scope: settings.scope.clone(),
            ca: super::read_ca("send.ca", settings.ca.as_deref())?,
            limits: super::call_limits(limits),
        })
    }
}

/// How far a message that failed has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It was not sent: no token, or no connection.
    Nowhere,
    /// It was answered with this status, which is not 200.
    Answered(u16),
    /// Nobody knows: it was sent, and no answer came.
    Unknown,
}

/// Why a message does not count as sent. It is the first of the next run, with the same `uniqueId`.
#[derive(Debug)]
pub struct SendFailure {
    /// How far it has come.
    pub reached: Reached,
    /// What happened (exit 5, but for a mistake in the configuration).
    pub error: Error,
}

impl From<SendFailure> for Error {
    fn from(failure: SendFailure) -> Self {
        failure.error
    }
}

/// What posts messages.
pub struct Sender {
    api: Http,
    tokens: Tokens,
    pace: Pace,
    requests: AtomicU64,
}

impl Sender {
    /// A sender; nothing is called yet. `E-CFG-URL` or `E-TLS` (exit 2) for addresses or authorities that can't be used.
    pub fn new(options: SendOptions, around: Arc<dyn Surroundings>) -> Result<Self> {
        let limits = &options.limits;
        let ca = options.ca.as_deref();
        let http = |key, url| Http::new(key, url, ca, limits);
        Ok(Self {
            api: http("send.api_url", options.api_url)?,
            tokens: Tokens::new(
                http("send.token_url", options.token_url)?,
                options.client_id,
                options.client_secret,
                options.scope,
                Arc::clone(&around),
            ),
            pace: Pace::new(limits, around),
            requests: AtomicU64::new(0),
        })
    }

    /// Messages posted so far, repetitions after a 401 included; tokens are not counted.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Fetches a token, and posts nothing: tells whether `token_url` takes our client.
    pub async fn authenticate(&self) -> Result<()> {
        self.tokens.token(None).await.map(|_| ())
    }

    /// Posts one message. Ok means that exactly 200 was answered.
    pub async fn post(&self, message: &Message) -> Result<(), SendFailure> {
        let body = write_envelope(std::slice::from_ref(message));
        let nowhere = |error| SendFailure {
            reached: Reached::Nowhere,
            error,
        };
        let token = self.tokens.token(None).await.map_err(nowhere)?;
        match self.once(&token, body.clone()).await {
            // It may have expired early, or been taken back; a second refusal says something else.
            Err(failure) if failure.reached == Reached::Answered(401) => {
                let token = self.tokens.token(Some(&token)).await.map_err(nowhere)?;
                self.once(&token, body).await
            }
            outcome => outcome,
        }
    }

    async fn once(&self, token: &Secret, body: String) -> Result<(), SendFailure> {
        let bearer = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
        let bearer = secret_header(&bearer).map_err(|error| SendFailure {
            reached: Reached::Nowhere,
            error,
        })?;
        self.pace.wait_for_turn().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self
            .api
            .post()
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer)
            .body(body);
        match self.api.status("post", request).await {
            Ok((200, _)) => Ok(()),
            Ok((status, redirected)) => Err(SendFailure {
                reached: Reached::Answered(status),
                error: redirected.unwrap_or_else(|| self.refused(status)),
            }),
            Err(NoAnswer { sent, error }) => Err(SendFailure {
                reached: if sent {
                    Reached::Unknown
                } else {
                    Reached::Nowhere
                },
                error,
            }),
        }
    }

    fn refused(&self, status: u16) -> Error {
        let host = self.api.host();
        let (code, remedy) = match status {
            401 | 403 => (
                "E-AUTH",
                "it does not take our token; look at send.client_id, send.scope and what it allows them",
            ),
            404 | 405 => ("E-SEND-STATUS", "look at send.api_url"),
            _ => (
                "E-SEND-STATUS",
                "only 200 counts; the next run begins with the same message",
            ),
        };
        Error::unreachable(
            code,
            format!("post: {host} answered with status {status}: {remedy}"),
        )
    }
}
