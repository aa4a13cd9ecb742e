//! `schedule:` of a bridge: an interval or a cron line. Only `run` follows it; every command checks it.
//!
//! It must not know the clock: whoever keeps the schedule asks [`CronLine::fits_day`] and [`CronLine::minutes_of_day`].

use std::fmt;
use std::time::Duration;

use chrono_tz::Tz;

use super::reader::Value;
use super::units::{parse_duration, show_duration};

/// When a bridge runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// `every 15m`.
    Every(Duration),
    /// `*/15 * * * *`: minute, hour, day of month, month, day of week.
    Cron(CronLine),
}

/// Names the zone of a cron line where it is not the site's: `CRON_TZ=Europe/Berlin 0 3 * * *`.
const ZONE_PREFIX: &str = "CRON_TZ=";

/// The five fields of a cron line, each as a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronLine {
    zone: Option<Tz>,
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_hour: bool,
    any_day: bool,
    any_weekday: bool,
}

fn has(set: u64, number: u32) -> bool {
    number < 64 && set >> number & 1 == 1
}

impl CronLine {
    /// Whether a day has turns. `month` and `day` start at 1, `weekday` at 0 for Sunday.
    ///
    /// As in cron, a restricted day of month and a restricted day of week widen each other.
    pub fn fits_day(&self, day: u32, month: u32, weekday: u32) -> bool {
        let (by_day, by_weekday) = (has(self.days, day), has(self.weekdays, weekday));
        let day_fits = match (self.any_day, self.any_weekday) {
            (false, false) => by_day || by_weekday,
            _ => by_day && by_weekday,
        };
        has(self.months, month) && day_fits
    }

    /// Hour and minute of each turn of a day that has some, in order.
    pub fn minutes_of_day(&self) -> impl Iterator<Item = (u32, u32)> {
        let (hours, minutes) = (self.hours, self.minutes);
        (0..24)
            .filter(move |hour| has(hours, *hour))
            .flat_map(move |hour| (0..60).map(move |minute| (hour, minute)))
            .filter(move |(_, minute)| has(minutes, *minute))
    }

    /// Whether it names hours of the clock, and not just a rhythm: what stands at a named hour happens once where the clock
    /// shows that hour twice.
    pub fn names_hours(&self) -> bool {
        !self.any_hour
    }

    /// The zone that the line itself names.
    pub fn zone(&self) -> Option<Tz> {
        self.zone
    }

    /// Reads a cron line, with or without its zone; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text;
        let (zone, text) = match text.strip_prefix(ZONE_PREFIX) {
            Some(rest) => {
                let (zone, rest) = rest.split_once(char::is_whitespace)?;
                (Some(zone.parse().ok()?), rest)
            }
            None => (None, text),
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return None;
        };
        let sunday_twice = field(weekday, 0, 7, WEEKDAYS)?;
        Some(Self {
            zone,
            text: whole.to_owned(),
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, MONTHS)?,
            weekdays: (sunday_twice | sunday_twice >> 7 & 1) & 0x7f,
            any_hour: hour.starts_with('*'),
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
        })
    }
}

/// As bridge.yaml has it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(every) => write!(f, "every {}", show_duration(*every)),
            Self::Cron(line) => f.write_str(&line.text),
        }
    }
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// `*`, `5`, `1-5`, `*/15`, `10-50/20`, and lists of them, as bits.
fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Option<u64> {
    let number = |text: &str| {
        let named = names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .and_then(|index| u32::try_from(index).ok());
        let number = match named {
            Some(index) => index + low,
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (low..=high).contains(&number).then_some(number)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        set = (from..=to)
            .step_by(usize::try_from(step).ok()?)
            .fold(set, |set, bit| set | 1 << bit);
    }
    Some(set)
}

/// Reads `schedule:`.
pub(super) fn schedule(value: &Value<'_>) -> Option<Schedule> {
    let text = value.filled_text()?.trim();
    let parsed = match text.strip_prefix("every ") {
        Some(interval) => parse_duration(interval.trim())
            .filter(|every| {
                (Duration::from_secs(1)..=Duration::from_secs(31_536_000)).contains(every)
            })
            .map(Schedule::Every),
        None => CronLine::parse(text).map(Schedule::Cron),
    };
    if parsed.is_none() {
        return value.invalid(format!(
            "{} is neither an interval such as \"every 15m\" nor a cron line such as \"*/15 * * * *\"",
            value.shown()
        ));
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl CronLine {
        fn matches(&self, minute: u32, hour: u32, day: u32, month: u32, weekday: u32) -> bool {
            self.fits_day(day, month, weekday)
                && self.minutes_of_day().any(|found| found == (hour, minute))
        }
    }

    #[test]
    fn a_cron_line_may_name_its_zone() {
        let line = CronLine::parse("CRON_TZ=Europe/Berlin 30 2 * * *").unwrap();
        assert_eq!(line.zone(), Some(chrono_tz::Europe::Berlin));
        assert!(line.names_hours() && line.matches(30, 2, 1, 1, 0));
        let every = CronLine::parse("*/5 */2 * * *").unwrap();
        assert!(every.zone().is_none() && !every.names_hours());
        assert!(CronLine::parse("CRON_TZ=Berlin 0 3 * * *").is_none());
        assert!(CronLine::parse("CRON_TZ=Europe/Berlin").is_none());
        let shown = |schedule: Schedule| schedule.to_string();
        assert_eq!(
            shown(Schedule::Cron(line)),
            "CRON_TZ=Europe/Berlin 30 2 * * *"
        );
        let every = |seconds| shown(Schedule::Every(Duration::from_secs(seconds)));
        assert_eq!(
            [every(90), every(900), every(7200), every(172_800)],
            ["every 90s", "every 15m", "every 2h", "every 2d"]
        );
    }

    #[test]
    fn a_cron_line_says_which_minutes_it_means() {
        let quarter = CronLine::parse("*/15 * * * *").unwrap();
        assert!(quarter.matches(45, 3, 1, 1, 0) && !quarter.matches(46, 3, 1, 1, 0));
        let office = CronLine::parse("0,30 8-17/3 * jan-Jun mon-fri").unwrap();
        assert!(office.matches(30, 14, 5, 6, 5));
        assert!(!office.matches(30, 15, 5, 6, 5) && !office.matches(30, 14, 5, 7, 5));
        assert!(!office.matches(30, 14, 5, 6, 0));
        let sunday = CronLine::parse("0 0 * * 7").unwrap();
        assert!(sunday.matches(0, 0, 9, 9, 0) && !sunday.matches(0, 0, 9, 9, 1));
        let either = CronLine::parse("0 0 13 * 5").unwrap();
        assert!(either.matches(0, 0, 13, 1, 1) && either.matches(0, 0, 1, 1, 5));
        assert!(!either.matches(0, 0, 12, 1, 1));
    }

    #[test]
    fn what_is_no_cron_line_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "-1 * * * *",
            "1,, * * * *",
            "+1 * * * *",
        ] {
            assert!(CronLine::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-0-9*/, a-z]{0,30}") {
            let _ = CronLine::parse(&text);
        }
    }
}
