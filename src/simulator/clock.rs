//! The service's own clock: the machine's, or one that a test moves by hand; either may run wrong by an offset.

use chrono::{DateTime, Duration, NaiveDateTime, SubsecRound, Utc};
use chrono_tz::Tz;

/// What the service takes its time from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    Real,
    /// Stands at this instant until somebody moves it.
    Manual(DateTime<Utc>),
}

/// A clock, its error, and the zone in which the service writes its dates.
#[derive(Clone, Debug)]
pub(super) struct SiteClock {
    pub(super) source: Clock,
    pub(super) offset: Duration,
    pub(super) zone: Tz,
}

impl SiteClock {
    /// The present instant as this clock sees it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.true_now() + self.offset
    }

    /// The present instant without the clock's error.
    pub(super) fn true_now(&self) -> DateTime<Utc> {
        match self.source {
            // The simulator stands for a foreign machine, which has its own clock.
            #[allow(clippy::disallowed_methods)]
            Clock::Real => Utc::now(),
            Clock::Manual(instant) => instant,
        }
    }

    /// The stamp of a change made now: wall time of the site, whole milliseconds or whole seconds.
    pub(super) fn stamp(&self, fractions: bool) -> NaiveDateTime {
        let wall = self.now().with_timezone(&self.zone).naive_local();
        wall.trunc_subsecs(if fractions { 3 } else { 0 })
    }

    /// The `Date` header.
    pub(super) fn header(&self) -> String {
        self.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn stamps_are_wall_time_of_the_site_and_the_header_is_utc() {
        let instant = Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap();
        let mut clock = SiteClock {
            source: Clock::Manual(instant + Duration::milliseconds(678)),
            offset: Duration::zero(),
            zone: chrono_tz::Australia::Sydney,
        };
        assert_eq!(clock.stamp(false).to_string(), "2026-01-02 14:04:05");
        assert_eq!(clock.stamp(true).to_string(), "2026-01-02 14:04:05.678");
        clock.offset = Duration::hours(-2);
        assert_eq!(clock.header(), "Fri, 02 Jan 2026 01:04:05 GMT");
    }
}
