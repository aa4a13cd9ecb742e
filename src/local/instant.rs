//! Times in the columns of other people's tables: ISO 8601 text, epoch numbers, Julian days.
//!
//! A text without offset is UTC (user contract, section 2). What can't be read is `None`: no time is ever guessed.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// A time as text: `YYYY-MM-DD`, with `T` or a space and `HH:MM[:SS[.fff]]`, with `Z`, `±HH:MM`, `±HHMM` or `±HH`; or an epoch number.
pub(super) fn from_text(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return from_int(number);
    }
    let date = NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    let rest = text[10..].trim_start_matches(['T', 't', ' ']);
    if rest.is_empty() {
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    }
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let time = time.trim_end();
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
        .ok()?;
    at(date.and_time(time), zone.trim_end())
}

fn at(naive: NaiveDateTime, zone: &str) -> Option<DateTime<Utc>> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Some(naive.and_utc());
    }
    let (sign, digits) = zone.split_at_checked(1)?;
    let digits = digits.replace(':', "");
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = match digits.get(2..)? {
        "" => 0,
        minutes if minutes.len() == 2 => minutes.parse().ok()?,
        _ => return None,
    };
    let east = (hours * 60 + minutes) * 60 * if sign == "-" { -1 } else { 1 };
    let zone = FixedOffset::east_opt(east)?;
    Some(naive.and_local_timezone(zone).single()?.with_timezone(&Utc))
}

/// An epoch number in seconds, milliseconds or microseconds, told apart by size: as seconds the smallest number of
/// milliseconds taken for one would be the year 5138.
pub(super) fn from_int(number: i64) -> Option<DateTime<Utc>> {
    match number.unsigned_abs() {
        0 => None,
        1..100_000_000_000 => DateTime::from_timestamp(number, 0),
        100_000_000_000..100_000_000_000_000 => DateTime::from_timestamp_millis(number),
        _ => DateTime::from_timestamp_micros(number),
    }
}

/// A fractional number: a Julian day (as SQLite's own functions have them, years 0 to 9999), else epoch seconds.
pub(super) fn from_real(number: f64) -> Option<DateTime<Utc>> {
    if !number.is_finite() {
        return None;
    }
    if (1_721_059.0..5_373_485.0).contains(&number) {
        let millis = ((number - 2_440_587.5) * 86_400_000.0).round();
        return DateTime::from_timestamp_millis(millis as i64);
    }
    if number.abs() < 100_000_000_000.0 {
        return DateTime::from_timestamp_millis((number * 1000.0).round() as i64);
    }
    from_int(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_way_of_writing_one_moment_reads_as_that_moment() {
        let expected = DateTime::from_timestamp(1_790_000_000, 0);
        for text in [
            "2026-09-21 14:13:20",
            "2026-09-21T14:13:20Z",
            "2026-09-21T14:13:20.000",
            "2026-09-21 16:13:20+02:00",
            "2026-09-21 16:13:20 +0200",
            "2026-09-21T08:13:20-06",
            "1790000000",
            "1790000000000",
        ] {
            assert_eq!(from_text(text), expected, "{text}");
        }
        assert_eq!(from_int(1_790_000_000), expected);
        assert_eq!(from_int(1_790_000_000_000_000), expected);
        assert_eq!(from_real(1_790_000_000.0), expected);
        assert_eq!(from_real(2_461_305.092_592_593), expected);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-09-21 25:00",
            "2026-09-21 10:00 +2",
            "2026-09-21 10:00:00+99:00",
            "ä026-09-21",
            "0",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(from_real(f64::NAN), None);
    }
}
