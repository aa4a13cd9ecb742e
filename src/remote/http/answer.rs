//! An HTTP answer: its head, and its body piece by piece or whole, never more than its limit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::transport::no_answer;
use crate::model::{Error, Result};

/// An HTTP answer, read to its end.
#[derive(Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer and what its head says beside it.
#[derive(Clone)]
pub(in crate::remote) struct Received {
    pub reply: Reply,
    /// The service's time, not later than when it began to work on this call.
    pub begun: Option<DateTime<Utc>>,
    /// `Retry-After`, from now.
    pub retry_after: Option<Duration>,
}

/// An answer whose head was read.
pub(in crate::remote) struct Answer {
    pub(super) operation: String,
    pub(super) host: String,
    pub(super) response: Response,
    pub(super) max: u64,
    /// The key of the limit, for messages.
    pub(super) limit: &'static str,
    /// `Content-Length`.
    pub(super) promised: Option<u64>,
    pub(super) got: u64,
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) begun: Option<DateTime<Utc>>,
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    /// The status code.
    pub(in crate::remote) fn status(&self) -> u16 {
        self.status
    }

    /// `Content-Type`.
    pub(in crate::remote) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// `Retry-After`, from now.
    pub(in crate::remote) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The next piece of the body; `None` at its end.
    pub(in crate::remote) async fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        match self.response.chunk().await {
            Ok(Some(piece)) => {
                self.got += piece.len() as u64;
                if self.got > self.max {
                    return Err(self.too_long());
                }
                Ok(Some(piece.into()))
            }
            Ok(None) => Ok(None),
            Err(error) if error.is_timeout() => Err(no_answer(&self.operation, &self.host, error)),
            Err(error) => {
                let promised = self.promised;
                let of = promised.map_or(String::new(), |promised| format!(" of {promised}"));
                Err(Error::unreachable(
                    "E-BODY-TRUNCATED",
                    format!(
                        "{}: got {}{of} bytes, then the connection broke; nothing of it was applied",
                        self.operation, self.got
                    ),
                )
                .caused_by(error.without_url()))
            }
        }
    }

    /// The body to its end.
    pub(in crate::remote) async fn whole(mut self) -> Result<Received> {
        let promised = self.promised;
        let mut body = Vec::with_capacity(promised.and_then(|n| n.try_into().ok()).unwrap_or(0));
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Received {
            reply: Reply {
                status: self.status,
                content_type: self.content_type,
                body,
            },
            begun: self.begun,
            retry_after: self.retry_after,
        })
    }

    /// An error for a body that is promised too long, or turns out so.
    pub(super) fn too_long(&self) -> Error {
        Error::unreachable(
            "E-BODY-SIZE",
            format!(
                "{}: the answer is over {} bytes (limits.{}); nothing of it was applied",
                self.operation, self.max, self.limit
            ),
        )
    }
}

/// Seconds, or a date (RFC 9110); anything else counts as not said.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    Some((date - now).to_std().unwrap_or_default())
}
