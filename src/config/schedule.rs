//! `schedule:` of a bridge: an interval or a cron line. Only `run` follows it; every command checks it.
//!
//! It must not know the clock: whoever keeps the schedule asks [`CronLine::matches`].

use std::time::Duration;

use super::reader::Value;
use super::units::parse_duration;

/// When a bridge runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// `every 15m`.
    Every(Duration),
    /// `*/15 * * * *`: minute, hour, day of month, month, day of week.
    Cron(CronLine),
}

/// The five fields of a cron line, each as a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronLine {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

impl CronLine {
    /// Whether a minute belongs to the schedule. `month` and `day` start at 1, `weekday` at 0 for Sunday.
    ///
    /// As in cron, a restricted day of month and a restricted day of week widen each other.
    pub fn matches(&self, minute: u32, hour: u32, day: u32, month: u32, weekday: u32) -> bool {
        let has = |set: u64, number: u32| number < 64 && set >> number & 1 == 1;
        let (by_day, by_weekday) = (has(self.days, day), has(self.weekdays, weekday));
        let day_fits = match (self.any_day, self.any_weekday) {
            (false, false) => by_day || by_weekday,
            _ => by_day && by_weekday,
        };
        has(self.minutes, minute) && has(self.hours, hour) && has(self.months, month) && day_fits
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return None;
        };
        let sunday_twice = field(weekday, 0, 7, WEEKDAYS)?;
        Some(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, MONTHS)?,
            weekdays: (sunday_twice | sunday_twice >> 7 & 1) & 0x7f,
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
        })
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
