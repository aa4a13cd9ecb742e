//! When a question is asked again: after what may pass, with pauses that grow, or as long as the service asks for; never
//! after refused credentials, and never for a write.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Surroundings;
use crate::config::Limits;
use crate::model::{Error, Result};

/// The pause before a second try; it doubles from there.
pub const DEFAULT_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How calls are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Tries of a read after the first.
    pub retries: u32,
    /// The longest pause between two of them.
    pub wait_max: Duration,
    /// The longest that one call waits because the service asks for it.
    pub retry_after_max: Duration,
    /// Refused credentials before nothing more is sent.
    pub auth_attempts: u32,
}

impl RetryLimits {
    /// The bounds that bridge.yaml asks for.
    pub fn from_settings(limits: &Limits) -> Self {
        Self {
            retries: limits.retries,
            wait_max: limits.retry_wait_max,
            retry_after_max: limits.retry_after_max,
            auth_attempts: limits.auth_attempts,
        }
    }
}

/// What came of one try.
pub(in crate::remote) enum Tried<T> {
    /// An answer, good or bad, that asking again would not change.
    Settled(Result<T>),
    /// A failure that may pass, and how long the service asks to wait.
    Passing(Error, Option<Duration>),
}

/// Tries `attempt` until it is settled, or as often as `limits` allow.
pub(in crate::remote) async fn repeat<T, F>(
    around: &dyn Surroundings,
    limits: &RetryLimits,
    operation: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Tried<T>>,
{
    let mut pauses = Pauses::default();
    loop {
        let (error, told) = match attempt().await {
            Tried::Settled(result) => return result,
            Tried::Passing(error, told) => (error, told),
        };
        match pauses.next(around, limits, told) {
            None => return Err(error),
            Some(pause) => {
                tracing::info!(
                    operation,
                    code = error.code(),
                    tries = pauses.tries,
                    "a call failed and is tried again"
                );
                around.pause(pause).await;
            }
        }
    }
}

/// The pauses of one question.
#[derive(Default)]
pub(in crate::remote) struct Pauses {
    tries: u32,
    waited_as_told: Duration,
}

impl Pauses {
    /// The pause before the next try; `None` when there is none.
    pub(in crate::remote) fn next(
        &mut self,
        around: &dyn Surroundings,
        limits: &RetryLimits,
        told: Option<Duration>,
    ) -> Option<Duration> {
        if self.tries >= limits.retries {
            return None;
        }
        self.tries += 1;
        let Some(told) = told else {
            return Some(self.jitter(around, limits));
        };
        self.waited_as_told += told;
        (self.waited_as_told <= limits.retry_after_max).then_some(told)
    }

    /// Any pause up to the double of the one before ("full jitter").
    fn jitter(&self, around: &dyn Surroundings, limits: &RetryLimits) -> Duration {
        let most = DEFAULT_RETRY_PAUSE
            .saturating_mul(2_u32.saturating_pow(self.tries - 1))
            .min(limits.wait_max);
        let mut bytes = [0; 4];
        around.random(&mut bytes);
        most.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }
}

/// How often the credentials were refused; after too often nothing more is sent, so that the account is not locked.
#[derive(Default)]
pub(in crate::remote) struct Refusals(AtomicU32);

impl Refusals {
    /// Whether nothing more may be sent.
    pub(in crate::remote) fn are_too_many(&self, limits: &RetryLimits) -> bool {
        self.0.load(Ordering::SeqCst) >= limits.auth_attempts
    }

    /// Counts one more; `error` with the count in it.
    pub(in crate::remote) fn count(&self, limits: &RetryLimits, error: &Error) -> Error {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Error::unreachable(
            error.code(),
            format!(
                "{} ({count} of {} tries)",
                error.message(),
                limits.auth_attempts
            ),
        )
    }
}

/// An error for an answer by which the service says that it can't answer now.
pub(in crate::remote) fn rate_error(operation: &str, status: u16) -> Error {
    let what = if status == 429 {
        "the service says that there are too many calls"
    } else {
        "the service says that it is not available"
    };
    Error::unreachable(
        if status == 429 {
            "E-RATE"
        } else {
            "E-UNAVAILABLE"
        },
        format!(
            "{operation}: {what} (status {status}). Run again later, or lower limits.requests_per_second"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    /// All randomness is this byte.
    struct Dice(u8);

    impl Surroundings for Dice {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }

        fn pause(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    proptest! {
        #[test]
        fn tries_pauses_and_waits_are_bounded(
            retries in 0u32..100, longest in 0u64..600, told_most in 0u64..600, dice: u8,
            told in proptest::collection::vec(proptest::option::of(0u64..u64::from(u32::MAX)), 101),
        ) {
            let limits = RetryLimits {
                retries,
                wait_max: Duration::from_secs(longest),
                retry_after_max: Duration::from_secs(told_most),
                auth_attempts: 3,
            };
            let (mut pauses, mut tries, mut as_told) = (Pauses::default(), 0, Duration::ZERO);
            for told in told {
                let told = told.map(Duration::from_secs);
                let Some(pause) = pauses.next(&Dice(dice), &limits, told) else { break };
                tries += 1;
                match told {
                    Some(told) => as_told += told,
                    None => prop_assert!(pause <= limits.wait_max, "{pause:?}"),
                }
            }
            prop_assert!(tries <= retries, "{tries} of {retries}");
            prop_assert!(as_told <= limits.retry_after_max, "{as_told:?}");
        }
    }
}
