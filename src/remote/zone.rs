//! Wall times of a service's zone, and the instants that they stand for (hazard H-08).

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::Stamp;

/// Whether a wall time happens twice, so that it can't be ordered.
pub(super) fn is_ambiguous(zone: Tz, stamp: Stamp) -> bool {
    matches!(
        zone.from_local_datetime(&stamp.0),
        chrono::LocalResult::Ambiguous(..)
    )
}

/// The wall time of an instant.
pub(super) fn stamp(zone: Tz, instant: DateTime<Utc>) -> Stamp {
    Stamp(instant.with_timezone(&zone).naive_local())
}

/// The instant of a wall time: the earlier one of a repeated hour, shifted forward out of a skipped one.
pub(super) fn instant(zone: Tz, stamp: Stamp) -> DateTime<Utc> {
    let wall = stamp.0;
    if let Some(found) = zone.from_local_datetime(&wall).earliest() {
        return found.to_utc();
    }
    // In a gap, the offset that held before it counts. Gaps last an hour, and a day where a country changed sides of
    // the date line.
    let before = (1..=48).find_map(|hours| {
        let earlier = wall.checked_sub_signed(chrono::Duration::hours(hours))?;
        let found = zone.from_local_datetime(&earlier).latest()?;
        Some(found.to_utc() + (wall - earlier))
    });
    before.unwrap_or_else(|| wall.and_utc())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn h08_wall_times_of_folds_and_gaps_have_an_instant() {
        let wall = |y, m, d, h, min| {
            NaiveDate::from_ymd_opt(y, m, d)
                .unwrap()
                .and_hms_opt(h, min, 0)
                .unwrap()
        };
        let sydney = chrono_tz::Australia::Sydney;
        for (wall, expected) in [
            (wall(2026, 7, 1, 10, 0), "2026-07-01T00:00:00Z"),
            // Twice: the first one counts.
            (wall(2026, 4, 5, 2, 30), "2026-04-04T15:30:00Z"),
            // Skipped: an hour on.
            (wall(2026, 10, 4, 2, 30), "2026-10-03T16:30:00Z"),
        ] {
            assert_eq!(
                instant(sydney, Stamp(wall)),
                expected.parse::<DateTime<Utc>>().unwrap()
            );
        }
        // A whole day that a country left out.
        let apia = instant(chrono_tz::Pacific::Apia, Stamp(wall(2011, 12, 30, 12, 0)));
        assert_eq!(
            apia,
            "2011-12-30T22:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
    }
}
