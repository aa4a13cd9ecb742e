//! One request to one address: the answer whole, under limits, or why there is none.
//!
//! The rules of trust are those of every remote (`remote::http`). Nothing is repeated here, and no body is ever logged.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION};
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::model::{Error, Result};
use crate::remote::http::{CallLimits, check_address, client, no_answer};

/// A connection serves the next message, but not one that comes later than this: servers close idle ones after five seconds and
/// more, and a message on a connection that is just being closed is one of which nobody knows whether it arrived.
const KEEP_IDLE: Duration = Duration::from_secs(2);

/// What is read of an answer whose status says everything, so that its connection can be used again.
const DRAIN_MAX: usize = 64 * 1024;

/// The way to one address.
pub(super) struct Http {
    client: Client,
    url: Url,
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer.
pub(super) struct NoAnswer {
    /// The request may have reached the other end.
    pub sent: bool,
    pub error: Error,
}

impl From<NoAnswer> for Error {
    fn from(none: NoAnswer) -> Self {
        none.error
    }
}

impl Http {
    /// A way to `url`, which `key` of bridge.yaml holds. `ca`: authorities in PEM beside those of the system.
    pub(super) fn new(key: &str, url: Url, ca: Option<&[u8]>, limits: &CallLimits) -> Result<Self> {
        check_address(key, &url)?;
        let secure = url.scheme() != "http";
        let client = client(limits, (1, KEEP_IDLE), ca, secure)?;
        Ok(Self { client, url })
    }

    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the address")
    }

    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(super) fn post(&self) -> RequestBuilder {
        self.client.post(self.url.clone())
    }

    /// Fetches what stands there, at most `max` bytes of it.
    pub(super) async fn get(&self, what: &str, max: u64) -> Result<Answer> {
        self.whole(what, self.client.get(self.url.clone()), max)
            .await
    }

    /// Sends a request once and reads the answer; `what` names it in an error. A redirect is an error.
    pub(super) async fn whole(
        &self,
        what: &str,
        request: RequestBuilder,
        max: u64,
    ) -> Result<Answer> {
        let mut response = self.begin(what, request).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(self.redirected(what, &response));
        }
        let packed = response
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
        let too_long = || {
            Error::unreachable(
                "E-BODY-SIZE",
                format!(
                    "{what}: the answer of {} is over {max} bytes, or compressed",
                    self.host()
                ),
            )
        };
        if packed || response.content_length().is_some_and(|length| length > max) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| no_answer(what, self.host(), error))?
        {
            if (body.len() + chunk.len()) as u64 > max {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: status.as_u16(),
            body,
        })
    }

    /// Sends a request once; the status of the answer is all that counts, and a redirect is a status like any other.
    pub(super) async fn status(
        &self,
        what: &str,
        request: RequestBuilder,
    ) -> Result<(u16, Option<Error>), NoAnswer> {
        let mut response = self.begin(what, request).await?;
        let status = response.status();
        let redirected = status
            .is_redirection()
            .then(|| self.redirected(what, &response));
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > DRAIN_MAX {
                break;
            }
        }
        Ok((status.as_u16(), redirected))
    }

    async fn begin(&self, what: &str, request: RequestBuilder) -> Result<Response, NoAnswer> {
        let request = request.header(ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|error| NoAnswer {
            // What fails while the connection opens (TLS is part of that) has sent nothing.
            sent: !error.is_connect() && !error.is_builder(),
            error: no_answer(what, self.host(), error),
        })
    }

    fn redirected(&self, what: &str, response: &Response) -> Error {
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| self.url.join(location).ok())
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_else(|| "an unknown place".to_owned());
        Error::unreachable(
            "E-REDIRECT",
            format!(
                "{what}: refused: {} -> {target}; a redirect is not followed. Put the right address into bridge.yaml",
                self.host()
            ),
        )
    }
}
