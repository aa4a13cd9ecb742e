//! How often calls are made (`requests_per_second`, `burst`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::{CallLimits, Surroundings};

type Limiter = RateLimiter<NotKeyed, InMemoryState, SteadyClock, NoOpMiddleware<Duration>>;

#[derive(Clone)]
struct SteadyClock(Arc<dyn Surroundings>);

impl Clock for SteadyClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// The pace of calls.
pub(in crate::remote) struct Pace {
    limiter: Option<Limiter>,
    around: Arc<dyn Surroundings>,
}

impl Pace {
    /// The pace of these limits.
    pub(in crate::remote) fn new(limits: &CallLimits, around: Arc<dyn Surroundings>) -> Self {
        let limiter = limits.requests_per_second.map(|rate| {
            let period = Duration::try_from_secs_f64(1.0 / rate.max(0.001))
                .unwrap_or(Duration::from_secs(1));
            let burst = NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
                .unwrap_or(Quota::per_second(NonZeroU32::MIN))
                .allow_burst(burst);
            RateLimiter::direct_with_clock(quota, SteadyClock(Arc::clone(&around)))
        });
        Self { limiter, around }
    }

    /// Comes back when the next call may be made.
    pub(in crate::remote) async fn wait_for_turn(&self) {
        let Some(limiter) = &self.limiter else {
            return;
        };
        while let Err(early) = limiter.check() {
            let wait = early.wait_time_from(self.around.monotonic());
            self.around.pause(wait).await;
        }
    }
}
