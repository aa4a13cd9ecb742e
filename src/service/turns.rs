//! When a bridge's turn comes: from its schedule, its zone, its last pass and the time, by reckoning alone.
//!
//! It must not read a clock or wait. What folds and gaps of a zone do to a cron line stands in the table of the tests.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::config::{CronLine, Schedule};

/// A turn is put off by up to this part of the time between two turns, so that not everybody's bridges ask at the full hour.
const JITTER_PART: u32 = 10;
/// And by no more than this: a schedule is kept, not guessed.
const JITTER_MAX: Duration = Duration::from_secs(30);
/// A cron line that names no day in so many days names none: 29 February may stay away for eight years.
const DAYS_MAX: u64 = 366 * 9;
/// Turns that passed are counted up to here; more makes no difference.
const MISSED_MAX: u64 = 1_000;

/// What a look at the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is no turn: the bridge runs on request only.
    Never,
    /// It is this turn's time. `missed` turns before it passed unkept, and one pass makes up for all.
    Now {
        /// The turn; the next one is counted from it.
        turn: DateTime<Utc>,
        /// Turns before it that passed unkept.
        missed: u64,
    },
    /// Not before this.
    At(DateTime<Utc>),
}

/// The turns of one bridge.
#[derive(Clone, Debug)]
pub struct Turns {
    schedule: Option<Schedule>,
    zone: Tz,
}

impl Turns {
    /// The turns of a schedule; `zone` is the site's, for a cron line that names none.
    pub fn new(schedule: Option<Schedule>, zone: Tz) -> Self {
        let zone = match &schedule {
            Some(Schedule::Cron(line)) => line.zone().unwrap_or(zone),
            _ => zone,
        };
        Self { schedule, zone }
    }

    /// What to do at `now`, if `last` is the last turn that was kept, or when the last pass began.
    ///
    /// `chance` decides how far within its bound the turn is put off; it must stay the same until the turn was kept.
    pub fn next(&self, last: Option<DateTime<Utc>>, now: DateTime<Utc>, chance: u32) -> Next {
        // A last pass in the future was made before the clock was set back.
        let last = last.map(|last| last.min(now));
        let first = match (&self.schedule, last) {
            (None, _) => None,
            (Some(Schedule::Every(_)), None) => {
                return Next::Now {
                    turn: now,
                    missed: 0,
                };
            }
            (Some(_), last) => self.after(last.unwrap_or(now)),
        };
        let Some(first) = first else {
            return Next::Never;
        };
        let due = first + self.put_off(first, chance);
        if due > now {
            return Next::At(due);
        }
        let (turn, missed) = self.latest(first, now);
        Next::Now { turn, missed }
    }

    /// The first turn after an instant.
    pub fn after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.schedule.as_ref()? {
            Schedule::Every(every) => instant.checked_add_signed(TimeDelta::from_std(*every).ok()?),
            Schedule::Cron(line) => self.after_by_cron(line, instant),
        }
    }

    /// The last turn up to `now`, and how many lie from `first` to before it.
    fn latest(&self, first: DateTime<Utc>, now: DateTime<Utc>) -> (DateTime<Utc>, u64) {
        if let Some(Schedule::Every(every)) = &self.schedule
            && let Ok(every) = TimeDelta::from_std(*every)
            && every > TimeDelta::zero()
        {
            let missed = (now - first).num_milliseconds() / every.num_milliseconds().max(1);
            let turn = first + TimeDelta::milliseconds(missed * every.num_milliseconds());
            return (turn, u64::try_from(missed).unwrap_or(0));
        }
        let (mut turn, mut missed) = (first, 0);
        while missed < MISSED_MAX
            && let Some(later) = self.after(turn).filter(|later| *later <= now)
        {
            turn = later;
            missed += 1;
        }
        // After so many the exact turn does not matter any more: what counts is when the next one comes.
        (if missed < MISSED_MAX { turn } else { now }, missed)
    }

    fn put_off(&self, turn: DateTime<Utc>, chance: u32) -> TimeDelta {
        let between = self
            .after(turn)
            .and_then(|later| (later - turn).to_std().ok())
            .unwrap_or_default();
        let bound = (between / JITTER_PART).min(JITTER_MAX).as_millis();
        let millis = bound * u128::from(chance) / (u128::from(u32::MAX) + 1);
        TimeDelta::milliseconds(i64::try_from(millis).unwrap_or(0))
    }

    fn after_by_cron(&self, line: &CronLine, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = instant.with_timezone(&self.zone).date_naive();
        // A gap may carry a turn of yesterday into today.
        let yesterday = today.pred_opt().unwrap_or(today);
        (0..DAYS_MAX)
            .map_while(|days| yesterday.checked_add_days(Days::new(days)))
            .filter(|day| {
                let weekday = day.weekday().num_days_from_sunday();
                line.fits_day(day.day(), day.month(), weekday)
            })
            .find_map(|day| self.first_of_day(line, day, instant))
    }

    /// The first turn of a day after an instant. Where an hour happens twice, wall times do not come in order.
    fn first_of_day(
        &self,
        line: &CronLine,
        day: NaiveDate,
        after: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        line.minutes_of_day()
            .filter_map(|(hour, minute)| day.and_hms_opt(hour, minute, 0))
            .flat_map(|wall| self.instants(wall, line.names_hours()))
            .filter(|found| *found > after)
            .min()
    }

    /// When a wall time is: twice in autumn, unless `once` is asked for; in a gap as long after it as it stands in it.
    fn instants(&self, wall: NaiveDateTime, once: bool) -> Vec<DateTime<Utc>> {
        match self.zone.from_local_datetime(&wall) {
            chrono::LocalResult::Single(found) => vec![found.to_utc()],
            chrono::LocalResult::Ambiguous(first, _) if once => vec![first.to_utc()],
            chrono::LocalResult::Ambiguous(first, second) => vec![first.to_utc(), second.to_utc()],
            // The offset that held before the gap counts. Gaps last an hour, or a day at the date line.
            chrono::LocalResult::None => (1..=48)
                .find_map(|half_hours| {
                    let earlier = wall.checked_sub_signed(TimeDelta::minutes(30 * half_hours))?;
                    let found = self.zone.from_local_datetime(&earlier).latest()?;
                    Some(found.to_utc() + (wall - earlier))
                })
                .into_iter()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Australia, Europe};
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(line: &str, zone: Tz) -> Turns {
        Turns::new(Some(Schedule::Cron(CronLine::parse(line).unwrap())), zone)
    }

    fn every(seconds: u64) -> Turns {
        Turns::new(Some(Schedule::Every(Duration::from_secs(seconds))), Tz::UTC)
    }

    #[test]
    fn the_first_turn_after_an_instant() {
        let berlin = Europe::Berlin;
        for (line, zone, after, expected) in [
            (
                "*/15 * * * *",
                Tz::UTC,
                "2026-11-22T10:00:00Z",
                "2026-11-22T10:15:00Z",
            ),
            (
                "*/15 * * * *",
                Tz::UTC,
                "2026-11-22T09:59:59Z",
                "2026-11-22T10:00:00Z",
            ),
            (
                "0 3 * * *",
                Australia::Sydney,
                "2026-07-01T00:00:00Z",
                "2026-07-01T17:00:00Z",
            ),
            (
                "CRON_TZ=Europe/Berlin 0 3 * * *",
                Australia::Sydney,
                "2026-07-01T00:00:00Z",
                "2026-07-01T01:00:00Z",
            ),
            (
                "0 0 1 1 *",
                Tz::UTC,
                "2026-01-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "59 23 31 12 *",
                America::New_York,
                "2026-06-01T00:00:00Z",
                "2027-01-01T04:59:00Z",
            ),
            (
                "0 0 29 2 *",
                Tz::UTC,
                "2096-03-01T00:00:00Z",
                "2104-02-29T00:00:00Z",
            ),
            (
                "0 12 * * mon",
                Tz::UTC,
                "2026-11-22T00:00:00Z",
                "2026-11-23T12:00:00Z",
            ),
            // Spring: what stands in the gap happens an hour on, once, and what happens there anyway is not repeated.
            (
                "30 2 * * *",
                berlin,
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:30:00Z",
            ),
            (
                "0 2,3 * * *",
                berlin,
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "0 2,3 * * *",
                berlin,
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:00:00Z",
            ),
            (
                "*/30 * * * *",
                berlin,
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "*/30 * * * *",
                berlin,
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
            // A gap at midnight, and a whole day that a country left out.
            (
                "30 0 * * *",
                Tz::America__Asuncion,
                "2023-09-30T12:00:00Z",
                "2023-10-01T04:30:00Z",
            ),
            (
                "0 12 * * *",
                Tz::Pacific__Apia,
                "2011-12-29T23:00:00Z",
                "2011-12-30T22:00:00Z",
            ),
            // Autumn: a named hour happens once, a rhythm goes on through the hour that comes twice.
            (
                "30 2 * * *",
                berlin,
                "2026-10-24T12:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z",
            ),
            (
                "30 * * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
            ),
            (
                "*/30 * * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
            ),
            (
                "*/30 2 * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:00:00Z",
            ),
        ] {
            let found = cron(line, zone).after(at(after));
            assert_eq!(found, Some(at(expected)), "{line} in {zone} after {after}");
        }
        assert_eq!(
            cron("0 0 30 2 *", Tz::UTC).after(at("2026-01-01T00:00:00Z")),
            None
        );
    }

    #[test]
    fn what_a_look_at_the_clock_says() {
        let quarter = || cron("*/15 * * * *", Tz::UTC);
        let none = || Turns::new(None, Tz::UTC);
        let now = |turn: &str, missed| Next::Now {
            turn: at(turn),
            missed,
        };
        for (what, turns, last, time, expected) in [
            (
                "no schedule",
                none(),
                None,
                "2026-11-22T10:00:00Z",
                Next::Never,
            ),
            (
                "a line that names no day",
                cron("0 0 30 2 *", Tz::UTC),
                None,
                "2026-11-22T10:00:00Z",
                Next::Never,
            ),
            (
                "never run, cron waits for its turn",
                quarter(),
                None,
                "2026-11-22T10:01:00Z",
                Next::At(at("2026-11-22T10:15:00Z")),
            ),
            (
                "never run, an interval begins",
                every(900),
                None,
                "2026-11-22T10:01:00Z",
                now("2026-11-22T10:01:00Z", 0),
            ),
            (
                "the turn was kept",
                quarter(),
                Some("2026-11-22T10:00:02Z"),
                "2026-11-22T10:03:00Z",
                Next::At(at("2026-11-22T10:15:00Z")),
            ),
            (
                "the turn is there",
                quarter(),
                Some("2026-11-22T10:00:02Z"),
                "2026-11-22T10:15:00Z",
                now("2026-11-22T10:15:00Z", 0),
            ),
            (
                "a pass took long",
                quarter(),
                Some("2026-11-22T10:00:00Z"),
                "2026-11-22T10:20:00Z",
                now("2026-11-22T10:15:00Z", 0),
            ),
            (
                "a pass took very long",
                quarter(),
                Some("2026-11-22T10:00:00Z"),
                "2026-11-22T11:20:00Z",
                now("2026-11-22T11:15:00Z", 4),
            ),
            (
                "the machine slept for a weekend",
                cron("0 3 * * *", Tz::UTC),
                Some("2026-11-20T03:00:00Z"),
                "2026-11-23T07:00:00Z",
                now("2026-11-23T03:00:00Z", 2),
            ),
            (
                "years",
                quarter(),
                Some("2020-01-01T00:00:00Z"),
                "2026-11-23T07:07:07Z",
                now("2026-11-23T07:07:07Z", MISSED_MAX),
            ),
            (
                "an interval not over",
                every(900),
                Some("2026-11-22T10:00:00Z"),
                "2026-11-22T10:14:59Z",
                Next::At(at("2026-11-22T10:15:00Z")),
            ),
            (
                "an interval over",
                every(900),
                Some("2026-11-22T10:00:00Z"),
                "2026-11-22T10:15:01Z",
                now("2026-11-22T10:15:00Z", 0),
            ),
            (
                "intervals over keep their rhythm",
                every(900),
                Some("2026-11-22T10:00:00Z"),
                "2026-11-22T11:01:00Z",
                now("2026-11-22T11:00:00Z", 3),
            ),
            (
                "the clock was set back",
                every(900),
                Some("2026-11-25T10:00:00Z"),
                "2026-11-22T10:00:00Z",
                Next::At(at("2026-11-22T10:15:00Z")),
            ),
            (
                "the clock was set back under cron",
                quarter(),
                Some("2026-11-25T10:00:00Z"),
                "2026-11-22T10:01:00Z",
                Next::At(at("2026-11-22T10:15:00Z")),
            ),
        ] {
            assert_eq!(turns.next(last.map(at), at(time), 0), expected, "{what}");
        }
    }

    #[test]
    fn a_turn_is_put_off_within_its_bounds() {
        let last = Some(at("2026-11-22T10:00:00Z"));
        let now = at("2026-11-22T10:00:01Z");
        // A tenth of a minute; half a minute of a day; a tenth of a second.
        for (turns, turn, bound) in [
            (cron("* * * * *", Tz::UTC), "2026-11-22T10:01:00Z", 6_000),
            (cron("0 3 * * *", Tz::UTC), "2026-11-23T03:00:00Z", 30_000),
            (every(2), "2026-11-22T10:00:02Z", 200),
        ] {
            let off = |chance| match turns.next(last, now, chance) {
                Next::At(due) => (due - at(turn)).num_milliseconds(),
                other => panic!("{other:?}"),
            };
            assert_eq!((off(0), off(1 << 31)), (0, bound / 2));
            assert!((bound - 1..=bound).contains(&off(u32::MAX)), "{turn}");
            let due = at(turn) + TimeDelta::milliseconds(bound);
            assert_eq!(
                turns.next(last, due, u32::MAX),
                Next::Now {
                    turn: at(turn),
                    missed: 0
                }
            );
        }
    }

    proptest! {
        /// In every zone and at every time: turns rise, none is left out, and each is a minute that the line names (or a gap moved it).
        #[test]
        fn turns_rise_in_every_zone(zone in 0..chrono_tz::TZ_VARIANTS.len(), start in 0i64..2_500_000_000, line in prop::sample::select(vec!["*/20 * * * *", "30 2 * * *", "0 0 * * 0", "15 1,2,3 1 * *"])) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let turns = cron(line, zone);
            let mut last = DateTime::from_timestamp(start, 0).unwrap();
            for _ in 0..5 {
                let next = turns.after(last).unwrap();
                prop_assert!(next > last);
                // Nothing lies between: from a second before, the same turn is found.
                prop_assert_eq!(turns.after(next - TimeDelta::seconds(1)), Some(next));
                last = next;
            }
        }
    }
}
