//! What each request is answered: the status rules of the user contract ("Receiving") and reliability §4.7, to the letter.
//!
//! 200 only once [`Custody`] has the messages, and exactly 200. Who the caller is comes before anything is read of the body; what a
//! message means is not asked here. An answer holds nothing of a body or a token, a log only ids, counts and reasons.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};

use super::super::message::{EnvelopeError, Message, read_envelope};
use super::custody::Custody;
use super::failures::Failures;
use super::foreign_tokens::ForeignTokens;
use super::own_tokens::{Grant, OwnTokens, TokenRequest};
use super::{Denied, ReceiveLimits};
use crate::remote::contactlist::Surroundings;

/// What a sender is told to wait when its message could not be kept, in seconds (reliability §4.7).
const RETRY_SECONDS: u64 = 30;

/// The longest request for a token.
const TOKEN_REQUEST_MAX: usize = 8 * 1024;

/// Who may post.
pub(super) enum Gate {
    Own(OwnTokens),
    Foreign(ForeignTokens),
}

/// What was answered so far, for the metrics.
#[derive(Debug, Default)]
pub struct Received {
    /// Requests answered with 200 at the path of messages.
    pub accepted: AtomicU64,
    /// Messages in them that were handed into custody.
    pub messages: AtomicU64,
    /// Sample messages in them, which are not kept.
    pub samples: AtomicU64,
    /// Requests refused because of their credentials (401).
    pub denied: AtomicU64,
    /// Requests refused because of what they are (400, 404, 405, 408, 413).
    pub refused: AtomicU64,
    /// Requests whose messages could not be kept, or whose token nobody could verify for want of keys (503).
    pub unkept: AtomicU64,
}

pub(super) struct Service<C> {
    pub path: String,
    pub token_path: String,
    pub gate: Gate,
    pub custody: Arc<C>,
    pub limits: ReceiveLimits,
    pub failures: Failures,
    pub received: Arc<Received>,
    pub around: Arc<dyn Surroundings>,
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    if !body.is_empty() {
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
    }
    answer
}

impl<C: Custody> Service<C> {
    /// Answers one request of `peer`.
    pub(super) async fn answer<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path();
        let for_tokens = path == self.token_path && matches!(self.gate, Gate::Own(_));
        let answer = if path != self.path && !for_tokens {
            answer(StatusCode::NOT_FOUND, "")
        } else if request.method() != Method::POST {
            let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, "");
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            answer
        } else if let Gate::Own(tokens) = &self.gate
            && for_tokens
        {
            self.token(tokens, peer, request).await
        } else {
            self.messages(peer, request).await
        };
        let counter = match answer.status().as_u16() {
            200 if for_tokens => return answer,
            200 => &self.received.accepted,
            401 => &self.received.denied,
            503 => &self.received.unkept,
            _ => &self.received.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn messages<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.admit(&request).await {
            Ok(()) => {}
            Err(Denied::NoKeys) => return unavailable(),
            Err(denied) => return self.deny(peer, denied),
        }
        let max = usize::try_from(self.limits.max_body).unwrap_or(usize::MAX);
        let body = match self.body(request.into_body(), max).await {
            Ok(body) => body,
            Err(status) => return cut_off(status),
        };
        let mut messages = match read_envelope(&body, &self.limits.envelope) {
            Ok(messages) => messages,
            Err(EnvelopeError::TooMany) => {
                tracing::warn!(
                    code = "E-HOOK-ENVELOPE",
                    "a body with more than {} messages (limits.max_messages) was refused",
                    self.limits.envelope.max_messages
                );
                return answer(StatusCode::PAYLOAD_TOO_LARGE, "");
            }
            Err(EnvelopeError::Bad(reason)) => {
                tracing::warn!(
                    code = "E-HOOK-ENVELOPE",
                    bytes = body.len(),
                    "refused: {reason}"
                );
                return answer(StatusCode::BAD_REQUEST, "");
            }
        };
        drop(body);
        let count = messages.len();
        messages.retain(|message| !message.is_sample());
        let samples = (count - messages.len()) as u64;
        if samples > 0 {
            tracing::info!("the sample message arrived; nothing is kept of it");
        }
        let kept = messages.len() as u64;
        if !messages.is_empty()
            && let Err(error) = self.keep(messages).await
        {
            tracing::error!(
                code = error.code(),
                "messages were not taken over: {}",
                error.message()
            );
            return unavailable();
        }
        self.received.messages.fetch_add(kept, Ordering::Relaxed);
        self.received.samples.fetch_add(samples, Ordering::Relaxed);
        answer(StatusCode::OK, "{\"status\":\"OK\"}")
    }

    async fn keep(&self, messages: Vec<Message>) -> crate::model::Result<()> {
        self.custody.keep(messages).await
    }

    /// Whether the request carries a token that is valid.
    async fn admit<B>(&self, request: &Request<B>) -> Result<(), Denied> {
        let mut headers = request.headers().get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return Err(Denied::Missing);
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty())
            .ok_or(Denied::Missing)?;
        match &self.gate {
            Gate::Own(tokens) => tokens.verify(token).map(|_| ()),
            Gate::Foreign(tokens) => tokens.verify(token).await.map(|_| ()),
        }
    }

    fn deny(&self, peer: IpAddr, denied: Denied) -> Answer {
        if self.failures.note(peer, self.around.monotonic()) {
            tracing::warn!(code = "E-HOOK-AUTH", %peer, "hook auth failed: {}", denied.reason());
        }
        let mut answer = answer(StatusCode::UNAUTHORIZED, "");
        let bearer = match denied {
            Denied::Missing => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        };
        answer
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
        answer
    }

    /// The token endpoint.
    async fn token<B>(&self, tokens: &OwnTokens, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(wait) = self.failures.wait(peer, self.around.monotonic()) {
            let mut answer = bad_client();
            if let Ok(seconds) = HeaderValue::from_str(&(wait.as_secs() + 1).to_string()) {
                answer.headers_mut().insert(RETRY_AFTER, seconds);
            }
            return answer;
        }
        let (head, body) = request.into_parts();
        let body = match self.body(body, TOKEN_REQUEST_MAX).await {
            Ok(body) => body,
            Err(status) => return cut_off(status),
        };
        let authorization = head.headers.get(AUTHORIZATION);
        let grant = match authorization.map(|header| header.to_str()) {
            // Bytes that are no text are no credentials.
            Some(Err(_)) => Grant::BadClient,
            header => tokens.grant(&TokenRequest {
                authorization: header.and_then(Result::ok),
                query: head.uri.query().unwrap_or_default(),
                body: &body,
            }),
        };
        match grant {
            Grant::Given {
                token,
                expires_in,
                scope,
            } => {
                let mut given = serde_json::json!({
                    "access_token": token, "token_type": "Bearer", "expires_in": expires_in,
                });
                if let Some(scope) = scope {
                    given["scope"] = scope.into();
                }
                let mut answer = answer(StatusCode::OK, "{}");
                *answer.body_mut() = Full::new(Bytes::from(given.to_string()));
                answer
                    .headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer
            }
            Grant::BadRequest(word) => {
                let body = match word {
                    "invalid_request" => "{\"error\":\"invalid_request\"}",
                    _ => "{\"error\":\"unsupported_grant_type\"}",
                };
                answer(StatusCode::BAD_REQUEST, body)
            }
            Grant::BadClient => {
                if self.failures.note(peer, self.around.monotonic()) {
                    tracing::warn!(code = "E-HOOK-AUTH", %peer, "hook auth failed: unknown client or wrong secret at the token endpoint");
                }
                bad_client()
            }
        }
    }

    /// The whole body, of at most `max` bytes, within its deadline; else the status.
    async fn body<B>(&self, body: B, max: usize) -> Result<Bytes, StatusCode>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if body.size_hint().lower() > max as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let whole = Limited::new(body, max).collect();
        match tokio::time::timeout(self.limits.body_timeout, whole).await {
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        }
    }
}

/// An answer before the body was read to its end: what is left of it must not be taken for the next request.
fn cut_off(status: StatusCode) -> Answer {
    let mut answer = answer(status, "");
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn unavailable() -> Answer {
    let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, "");
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    answer
}

/// RFC 6749 §5.2.
fn bad_client() -> Answer {
    let mut answer = answer(StatusCode::UNAUTHORIZED, "{\"error\":\"invalid_client\"}");
    let basic = HeaderValue::from_static("Basic realm=\"contactbridge\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
    answer
}
