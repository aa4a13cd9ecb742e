//! Tokens for sending: client credentials in, a bearer token out, kept until shortly before it expires.
//!
//! RFC 6749 §2.3.1 and §4.4; the form that Oracle's identity services document (`orce.md` §8): credentials in a Basic header, the
//! scope only where there is one. Nothing is tried twice here.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::super::http::Http;
use super::super::receive::basic_header;
use crate::config::Secret;
use crate::model::{Error, Result};
use crate::remote::contactlist::Surroundings;

/// The longest answer of a token endpoint.
const ANSWER_MAX: u64 = 64 * 1024;
/// The longest token that fits a header.
const TOKEN_MAX: usize = 12 * 1024;
/// How long before its expiry a token is renewed, at most; a tenth of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(60);
/// What is taken for the life of a token that does not say; RFC 6749 only recommends to.
const UNSAID: Duration = Duration::from_secs(300);

/// Where tokens come from.
pub(super) struct Tokens {
    http: Http,
    client_id: String,
    client_secret: Secret,
    scope: String,
    held: Mutex<Option<Held>>,
    around: Arc<dyn Surroundings>,
}

struct Held {
    token: Arc<Secret>,
    /// On the monotonic clock.
    until: Duration,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl Tokens {
    pub(super) fn new(
        http: Http,
        client_id: String,
        client_secret: Secret,
        scope: String,
        around: Arc<dyn Surroundings>,
    ) -> Self {
        Self {
            http,
            client_id,
            client_secret,
            scope,
            held: Mutex::default(),
            around,
        }
    }

    pub(super) fn host(&self) -> &str {
        self.http.host()
    }

    /// A token that is good for a while; `refused` is one that the other end did not take, and is not given again.
    pub(super) async fn token(&self, refused: Option<&Arc<Secret>>) -> Result<Arc<Secret>> {
        let mut held = self.held.lock().await;
        let now = self.around.monotonic();
        if let Some(known) = held.as_ref()
            && now < known.until
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, &known.token))
        {
            return Ok(Arc::clone(&known.token));
        }
        *held = None;
        let (token, life) = self.fetch().await?;
        let token = Arc::new(token);
        *held = Some(Held {
            token: Arc::clone(&token),
            until: now + life.saturating_sub(MARGIN.min(life / 10)),
        });
        Ok(token)
    }

    async fn fetch(&self) -> Result<(Secret, Duration)> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        let header = basic_header(&self.client_id, self.client_secret.expose());
        let request = self
            .http
            .post()
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, secret_header(&header)?)
            .body(form.finish());
        let answer = self.http.whole("token", request, ANSWER_MAX).await?;
        if answer.status != 200 {
            return Err(self.refused(answer.status, &answer.body));
        }
        let wrong = |what: &str| {
            Error::unreachable(
                "E-TOKEN",
                format!(
                    "token: the answer of {} {what}; look at send.token_url",
                    self.host()
                ),
            )
        };
        let given: Given = serde_json::from_slice(&answer.body)
            .map_err(|_| wrong("is no JSON with an access_token"))?;
        let token = Secret::new(given.access_token);
        let sendable = !token.is_empty()
            && token.expose().len() <= TOKEN_MAX
            && token.expose().bytes().all(|b| b.is_ascii_graphic());
        if !sendable {
            return Err(wrong("holds a token that no header can carry"));
        }
        if given
            .token_type
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer"))
        {
            return Err(wrong("holds a token that is no bearer token"));
        }
        let seconds = match &given.expires_in {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let life = seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(UNSAID);
        Ok((token, life))
    }

    fn refused(&self, status: u16, body: &[u8]) -> Error {
        // RFC 6749 §5.2: these words only, since an answer might repeat what was sent.
        const WORDS: [&str; 6] = [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
        ];
        let said = serde_json::from_slice::<Value>(body).ok();
        let said = said.as_ref().and_then(|body| body["error"].as_str());
        let word = WORDS.into_iter().find(|word| said == Some(*word));
        let words = word.map(|word| format!(", {word}")).unwrap_or_default();
        let host = self.host();
        let remedy = match (status, word) {
            (_, Some("invalid_scope")) => "look at send.scope",
            (401, _) | (_, Some("invalid_client" | "unauthorized_client")) => {
                "look at send.client_id and send.client_secret"
            }
            _ => "look at send.token_url; running again later is safe",
        };
        let code = if matches!(status, 400 | 401 | 403) {
            "E-AUTH"
        } else {
            "E-TOKEN"
        };
        Error::unreachable(
            code,
            format!("token: {host} gave no token (status {status}{words}); {remedy}"),
        )
    }
}

/// A header that no debug output shows.
pub(super) fn secret_header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::config(
            "E-AUTH",
            "The credentials hold characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}
