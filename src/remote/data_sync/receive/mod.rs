//! The service that ORCE posts to: an endpoint for messages and, for our own clients, one for tokens.
//!
//! From top to bottom: [`Receiver`] accepts connections, `connection` serves one, `service` decides each answer, `own_tokens` or
//! `foreign_tokens` who the caller is, and [`Custody`] takes the messages over. It must not look into a payload, and keeps nothing.

mod connection;
mod custody;
mod failures;
mod foreign_tokens;
mod keys;
mod own_tokens;
mod server;
mod service;
mod tls;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::message::EnvelopeLimits;
use crate::config::{Limits, ReceiveSettings};
use crate::model::Result;

pub use custody::{
    Custody, DEFAULT_GROUP_BYTES, DEFAULT_GROUP_MESSAGES, DEFAULT_GROUP_WAITING, Gathered, Group,
    GroupLimits,
};
pub use own_tokens::TokenKey;
pub(super) use own_tokens::basic_header;
pub use server::Receiver;
pub use service::Received;

/// Reads certificate and key, as [`Receiver::bind`] will. `E-TLS-CERTIFICATE`, `E-TLS-KEY` (exit 2).
pub fn check_identity(settings: &ReceiveSettings) -> Result<()> {
    match &settings.tls {
        Some((certificate, key)) => tls::Identity::load(certificate, key).map(|_| ()),
        None => Ok(()),
    }
}

/// The bounds of receiving; the defaults are those of `limits:` in bridge.yaml.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveLimits {
    /// For a request's head, and for the TLS handshake.
    pub head_timeout: Duration,
    /// For a request's body.
    pub body_timeout: Duration,
    /// Bytes of a body.
    pub max_body: u64,
    /// Of the envelope.
    pub envelope: EnvelopeLimits,
    /// Connections at a time.
    pub connections: u32,
    /// Connections of one address at a time.
    pub connections_per_peer: u32,
    /// Failures of one address in a minute.
    pub auth_failures: u32,
    /// How long a token that we give out is valid.
    pub token_lifetime: Duration,
    /// How long past its expiry any token is accepted.
    pub token_grace: Duration,
    /// For the calls that fetch an issuer's keys.
    pub calls: crate::remote::contactlist::CallLimits,
}

impl ReceiveLimits {
    /// The limits of a bridge.
    pub fn from_settings(limits: &Limits) -> Self {
        Self {
            head_timeout: limits.head_timeout,
            body_timeout: limits.body_timeout,
            max_body: limits.max_body,
            envelope: super::envelope_limits(limits),
            connections: limits.connections,
            connections_per_peer: limits.connections_per_peer,
            auth_failures: limits.auth_failures,
            token_lifetime: limits.token_lifetime,
            token_grace: limits.token_grace,
            calls: super::call_limits(limits),
        }
    }
}

/// Why a caller is not let in. The words are for the log; the answer never says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// No bearer token came.
    Missing,
    /// One that does not hold, and why.
    Token(&'static str),
    /// Nobody can tell: the issuer's keys can't be had.
    NoKeys,
}

impl Denied {
    fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no bearer token",
            Self::Token(why) => why,
            Self::NoKeys => "the issuer's keys can't be had",
        }
    }
}
