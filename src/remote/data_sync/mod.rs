//! Both ends of Oracle Retail Customer Engagement's Data Sync: JSON over HTTP with OAuth2 (seed 003, `orce.md`).
//!
//! `receive` is the service that ORCE posts to, `send` what posts to a third-party application in ORCE's own format, and between
//! them stand the envelope (`message`), what a payload means (`decode`), how one is written (`encode`) and the words of both
//! objects (`vocabulary`). Nothing here keeps anything: what arrives is handed to [`receive::Custody`], what is sent comes from the
//! engine's queue, and when either happens is the engine's business.

mod decode;
#[cfg(test)]
mod decode_tests;
mod encode;
mod http;
mod json;
mod message;
pub mod receive;
mod schema;
pub mod send;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::path::Path;

use crate::config::Limits;
use crate::model::{Error, Result};
use crate::remote::contactlist::CallLimits;

pub use decode::{Change, Meaning, Object};
pub use message::{
    EnvelopeError, EnvelopeLimits, Message, Payload, SAMPLE_PAYLOAD, SAMPLE_UNIQUE_ID,
    read_envelope, write_envelope,
};

fn envelope_limits(limits: &Limits) -> EnvelopeLimits {
    EnvelopeLimits {
        max_messages: limits.max_messages as usize,
        json_depth: limits.json_depth,
    }
}

fn call_limits(limits: &Limits) -> CallLimits {
    CallLimits {
        requests_per_second: limits.requests_per_second,
        burst: limits.burst,
        connect_timeout: limits.connect_timeout,
        idle_timeout: limits.idle_timeout,
        total_timeout: limits.total_timeout,
        max_response: limits.max_response,
    }
}

/// The file of certificate authorities that a `ca:` names.
fn read_ca(key: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>> {
    path.map(|path| {
        std::fs::read(path).map_err(|error| {
            let (file, kind) = (path.display(), error.kind());
            Error::config("E-TLS", format!("{key} {file}: can't be read ({kind})"))
        })
    })
    .transpose()
}
