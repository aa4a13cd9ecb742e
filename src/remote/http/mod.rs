//! Calls over HTTP as every kind of service needs them: the way there, the answer under limits, the rate, the clock that
//! the service shows, and when a question is asked again.
//!
//! It must not know what a body means: requests come encoded, and what an answer says is for the kind to judge.

mod answer;
mod pace;
mod repeat;
mod tls;
mod transport;

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use crate::config::Limits;
use crate::model::{Error, Result};

pub use answer::Reply;
pub(super) use answer::{Answer, Received};
pub(super) use pace::Pace;
pub use repeat::{DEFAULT_RETRY_PAUSE, RetryLimits};
pub(super) use repeat::{Pauses, Refusals, Tried, rate_error, repeat};
pub(super) use tls::{check_address, client, read_ca};
pub(super) use transport::{Post, Purpose, Transport, TransportOptions, no_answer};

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

impl CallLimits {
    /// The bounds that bridge.yaml asks for.
    pub fn from_settings(limits: &Limits) -> Self {
        Self {
            requests_per_second: limits.requests_per_second,
            burst: limits.burst,
            connect_timeout: limits.connect_timeout,
            idle_timeout: limits.idle_timeout,
            total_timeout: limits.total_timeout,
            max_response: limits.max_response,
        }
    }
}

/// Runs a call in a task of its own, which ends when nobody waits for it any more.
pub(super) async fn run<T: Send + 'static>(
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    struct EndWithCaller(tokio::task::AbortHandle);
    impl Drop for EndWithCaller {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let task = tokio::spawn(call);
    let _end = EndWithCaller(task.abort_handle());
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Error::unexpected("E-CALL", "A call ended unforeseen").caused_by(error)),
    }
}
