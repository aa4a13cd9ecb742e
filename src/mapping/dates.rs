//! Dates and points in time: from a service's wall clock or a column's text to canonical text, and back.
//!
//! Nothing here reads a clock. A date is a calendar date: its time is dropped and it is never shifted between zones
//! (hazard H-48). A point in time without offset stands in the zone of its side: the site's zone on the remote, UTC in a
//! column. In the hour that autumn repeats the earlier instant is meant; a time in the hour that spring leaves out is
//! shifted forward by the gap (hazard H-08).

use std::fmt::Write as _;

use chrono::{
    Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike,
};
use chrono_tz::Tz;

use crate::model::{Canonical, DateStyle, FieldProblem};

/// Years that ISO 8601 text and `xsd:dateTime` write with four digits.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Longer texts are no dates; the bound keeps formats from working on a note of a megabyte.
const DATE_TEXT_MAX: usize = 64;

/// A point in time as a text gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parsed {
    wall: NaiveDateTime,
    /// Seconds east of UTC, where the text says.
    offset: Option<i32>,
}

pub(super) fn not_a_date() -> FieldProblem {
    FieldProblem {
        code: "Q-DATE",
        reason: "not a date".to_owned(),
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0u32, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

/// Reads `YYYY-MM-DD[(T| )HH:MM[:SS[.fraction]][Z|±HH[:]MM]]`.
fn parse_iso(text: &str) -> Option<Parsed> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(&bytes[..4])?).ok()?,
        digits(&bytes[5..7])?,
        digits(&bytes[8..10])?,
    )?;
    let Some((separator, rest)) = bytes[10..].split_first() else {
        return Some(Parsed {
            wall: date.and_time(NaiveTime::MIN),
            offset: None,
        });
    };
    if !matches!(separator, b'T' | b't' | b' ') || rest.len() < 5 || rest[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&rest[..2])?, digits(&rest[3..5])?);
    let mut rest = &rest[5..];
    let (mut second, mut nanos) = (0, 0);
    if let [b':', a, b, more @ ..] = rest {
        second = digits(&[*a, *b])?;
        rest = more;
        if let [b'.' | b',', more @ ..] = rest {
            let count = more.iter().take_while(|b| b.is_ascii_digit()).count();
            if count == 0 || count > 9 {
                return None;
            }
            // Seven digits are what the services write at most (contactlist.md §5); finer parts are cut off.
            nanos = digits(&more[..count.min(7)])? * 10u32.pow(9 - count.min(7) as u32);
            rest = &more[count..];
        }
    }
    let offset = match rest {
        [] => None,
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] | [sign @ (b'+' | b'-'), a, b, c, d] => {
            let minutes = digits(&[*a, *b])? * 60 + digits(&[*c, *d])?;
            if minutes > 14 * 60 || digits(&[*c, *d])? > 59 {
                return None;
            }
            let seconds = minutes as i32 * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => return None,
    };
    // xsd:dateTime writes the end of a day as 24:00:00.
    let (date, hour) = if (hour, minute, second, nanos) == (24, 0, 0, 0) {
        (date.succ_opt()?, 0)
    } else {
        (date, hour)
    };
    let wall = date.and_time(NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?);
    Some(Parsed { wall, offset })
}

fn parse_with(text: &str, formats: &[String]) -> Option<Parsed> {
    formats.iter().find_map(|format| {
        if let Ok(wall) = NaiveDateTime::parse_from_str(text, format) {
            // A format with an offset in it parses as a wall time too, which would lose the offset.
            let offset = chrono::DateTime::parse_from_str(text, format)
                .ok()
                .map(|time| time.offset().fix().local_minus_utc());
            return Some(Parsed { wall, offset });
        }
        let date = NaiveDate::parse_from_str(text, format).ok()?;
        Some(Parsed {
            wall: date.and_time(NaiveTime::MIN),
            offset: None,
        })
    })
}

fn parse(text: &str, formats: &[String]) -> Result<Parsed, FieldProblem> {
    let text = text.trim();
    if text.len() > DATE_TEXT_MAX {
        return Err(not_a_date());
    }
    parse_iso(text)
        .or_else(|| parse_with(text, formats))
        .filter(|parsed| {
            YEARS.contains(&parsed.wall.year()) && parsed.wall.nanosecond() < 1_000_000_000
        })
        .ok_or_else(not_a_date)
}

/// Whether a wall time is the service's way to say "no date".
fn is_sentinel(wall: NaiveDateTime, style: &DateStyle) -> bool {
    style
        .sentinel
        .and_then(parse_iso)
        .is_some_and(|sentinel| sentinel.wall.date() == wall.date())
}

fn date_text(date: NaiveDate) -> String {
    let mut out = String::with_capacity(10);
    push_date(&mut out, date);
    out
}

fn push_number(out: &mut String, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + (value / 10u32.pow(place) % 10) as u8));
    }
}

fn push_date(out: &mut String, date: NaiveDate) {
    push_number(out, date.year().unsigned_abs(), 4);
    out.push('-');
    push_number(out, date.month(), 2);
    out.push('-');
    push_number(out, date.day(), 2);
}

/// The canonical text of an instant in UTC; a fraction stands only where there is one, without trailing zeros.
fn instant_text(utc: NaiveDateTime) -> Result<String, FieldProblem> {
    if !YEARS.contains(&utc.year()) {
        return Err(FieldProblem {
            code: "Q-DATE",
            reason: "outside of the years 1 to 9999 once its zone is allowed for".to_owned(),
        });
    }
    let mut out = String::with_capacity(28);
    push_date(&mut out, utc.date());
    out.push('T');
    push_number(&mut out, utc.hour(), 2);
    out.push(':');
    push_number(&mut out, utc.minute(), 2);
    out.push(':');
    push_number(&mut out, utc.second(), 2);
    let fraction = utc.nanosecond() % 1_000_000_000 / 100;
    if fraction > 0 {
        out.push('.');
        push_number(&mut out, fraction, 7);
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('Z');
    Ok(out)
}

/// The instant of a wall time in `zone`, as UTC.
fn to_utc(wall: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    if let Some(time) = zone.from_local_datetime(&wall).earliest() {
        return Some(time.naive_utc());
    }
    // A gap: what the clock would have shown without it. The longest gap is the day that Samoa left out.
    (1..=60).find_map(|halves| {
        let before = wall.checked_sub_signed(TimeDelta::minutes(30 * halves))?;
        let known = zone.from_local_datetime(&before).latest()?;
        let offset = TimeDelta::seconds(i64::from(known.offset().fix().local_minus_utc()));
        wall.checked_sub_signed(offset)
    })
}

fn to_wall(utc: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    let offset = zone.offset_from_utc_datetime(&utc).fix();
    utc.checked_add_signed(TimeDelta::seconds(i64::from(offset.local_minus_utc())))
}

fn instant(parsed: Parsed, zone: Tz) -> Result<NaiveDateTime, FieldProblem> {
    match parsed.offset {
        Some(offset) => parsed
            .wall
            .checked_sub_signed(TimeDelta::seconds(i64::from(offset))),
        None => to_utc(parsed.wall, zone),
    }
    .ok_or_else(not_a_date)
}

/// A date as the remote writes it; its sentinel is no date.
pub(super) fn date_from_remote(text: &str, style: &DateStyle) -> Result<Canonical, FieldProblem> {
    let parsed = parse(text, &style.formats)?;
    Ok((!is_sentinel(parsed.wall, style)).then(|| date_text(parsed.wall.date())))
}

/// A point in time as the remote writes it; its sentinel is none, whatever its time of day.
///
/// For a field that is `pushed` it loses what the format for writing has no place for.
pub(super) fn datetime_from_remote(
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> Result<Canonical, FieldProblem> {
    let parsed = parse(text, &style.formats)?;
    if is_sentinel(parsed.wall, style) {
        return Ok(None);
    }
    let utc = shown(instant(parsed, style.zone)?, style, pushed)?;
    instant_text(utc).map(Some)
}

/// Fractions of a second go where a field is pushed in a format without them: else it would never equal its own echo.
fn shown(
    utc: NaiveDateTime,
    style: &DateStyle,
    pushed: bool,
) -> Result<NaiveDateTime, FieldProblem> {
    if pushed && !keeps_fractions(style) {
        return utc.with_nanosecond(0).ok_or_else(not_a_date);
    }
    Ok(utc)
}

/// Whether a text of the remote is its sentinel.
pub(super) fn is_sentinel_text(text: &str, style: &DateStyle) -> bool {
    parse(text, &style.formats).is_ok_and(|parsed| is_sentinel(parsed.wall, style))
}

/// A date as a column holds it. One that the remote would read as its sentinel is no date on either side.
pub(super) fn date_from_cell(text: &str, style: &DateStyle) -> Result<Canonical, FieldProblem> {
    let parsed = parse(text, &[])?;
    Ok((!is_sentinel(parsed.wall, style)).then(|| date_text(parsed.wall.date())))
}

/// A point in time as a column holds it.
///
/// For a field that is `pushed` it is brought to what the remote can show: its wall clock can't tell the two passes of a
/// repeated hour apart, and its format may have no fractions. Else such a value would never equal its own echo.
pub(super) fn datetime_from_cell(
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> Result<Canonical, FieldProblem> {
    let utc = instant(parse(text, &[])?, Tz::UTC)?;
    if !pushed {
        return instant_text(utc).map(Some);
    }
    let wall = to_wall(shown(utc, style, pushed)?, style.zone)
        .filter(|wall| YEARS.contains(&wall.year()))
        .ok_or_else(not_a_date)?;
    if is_sentinel(wall, style) {
        return Ok(None);
    }
    instant_text(to_utc(wall, style.zone).ok_or_else(not_a_date)?).map(Some)
}

/// Whether the format for writing has a place for fractions of a second.
pub(super) fn keeps_fractions(style: &DateStyle) -> bool {
    style.formats.first().is_some_and(|format| {
        ["%.", "%f", "%3f", "%6f", "%9f", "%+"]
            .iter()
            .any(|spec| format.contains(spec))
    })
}

/// A canonical date in the format for writing, at midnight where that has a time.
pub(super) fn date_to_remote(value: &str, style: &DateStyle) -> Result<String, FieldProblem> {
    write(parse(value, &[])?.wall, style)
}

/// A canonical instant in the format for writing, on the remote's wall clock.
pub(super) fn datetime_to_remote(value: &str, style: &DateStyle) -> Result<String, FieldProblem> {
    let utc = instant(parse(value, &[])?, Tz::UTC)?;
    let wall = to_wall(utc, style.zone).ok_or_else(not_a_date)?;
    write(wall, style)
}

fn write(wall: NaiveDateTime, style: &DateStyle) -> Result<String, FieldProblem> {
    if !YEARS.contains(&wall.year()) {
        return Err(not_a_date());
    }
    let mut out = String::with_capacity(28);
    match style.formats.first().map(String::as_str) {
        None | Some("%Y-%m-%dT%H:%M:%S" | "%Y-%m-%dT%H:%M:%S%.f") => {
            let text = instant_text(wall)?;
            out.push_str(text.trim_end_matches('Z'));
        }
        // One that shows the offset needs the instant; in a repeated hour that is the earlier one, as everywhere here.
        Some(format) if format.contains('z') => {
            let utc = to_utc(wall, style.zone).ok_or_else(not_a_date)?;
            let time = style.zone.from_utc_datetime(&utc).fixed_offset();
            write!(out, "{}", time.format(format)).map_err(|_| not_a_date())?;
        }
        // A format that chrono does not know ends as an error here, never as a panic.
        Some(format) => write!(out, "{}", wall.format(format)).map_err(|_| not_a_date())?,
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{Australia, Europe, Pacific, TZ_VARIANTS};
    use proptest::prelude::*;

    fn style(zone: Tz) -> DateStyle {
        DateStyle {
            zone,
            formats: vec!["%Y-%m-%dT%H:%M:%S%.f".into()],
            sentinel: Some("0001-01-01T00:00:00"),
        }
    }

    #[test]
    fn dates_of_the_remote_lose_their_time_and_are_never_shifted() {
        let sydney = style(Australia::Sydney);
        for (text, date) in [
            ("1951-02-11T00:00:00", Some("1951-02-11")),
            ("1951-02-11T23:59:59.9999999", Some("1951-02-11")),
            ("1951-02-11T23:59:59-11:00", Some("1951-02-11")),
            ("1951-02-11", Some("1951-02-11")),
            (" 1951-02-11T00:00:00 ", Some("1951-02-11")),
            ("2012-02-29T24:00:00", Some("2012-03-01")),
            ("0001-01-01T00:00:00", None),
            ("0001-01-01T00:00:00.0000000", None),
            ("0001-01-01", None),
            ("2099-12-31T00:00:00", Some("2099-12-31")),
            // The vendor's own example; it can mean one day only.
            ("2014-09-9T10:24:00", Some("2014-09-09")),
        ] {
            assert_eq!(
                date_from_remote(text, &sydney).unwrap().as_deref(),
                date,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_date_says_so() {
        let sydney = style(Australia::Sydney);
        for text in [
            "2014-13-01",
            "2014-02-30T00:00:00",
            "2014-09-09T25:00:00",
            "2014-09-09T24:00:01",
            "2014-09-09T23:59:60",
            "2014-09-09T10:24:00+15:00",
            "2014-09-09T10:24:00.",
            "0000-01-01",
            "12014-09-09",
            "soon",
            "12/31/9999 11:59:59 PM",
            "２０１４-09-09",
            "2014-09-09T10:2é",
        ] {
            for got in [
                date_from_remote(text, &sydney),
                datetime_from_remote(text, &sydney, true),
                date_from_cell(text, &sydney),
            ] {
                let problem = got.unwrap_err();
                assert_eq!(
                    (problem.code, problem.reason.as_str()),
                    ("Q-DATE", "not a date")
                );
            }
        }
    }

    #[test]
    fn instants_are_brought_to_utc() {
        let sydney = style(Australia::Sydney);
        for (text, utc) in [
            ("2026-01-10T00:00:00", "2026-01-09T13:00:00Z"),
            ("2026-07-10T00:00:00.5000000", "2026-07-09T14:00:00.5Z"),
            ("2026-07-10T00:00:00Z", "2026-07-10T00:00:00Z"),
            ("2026-07-10T00:00:00-05:30", "2026-07-10T05:30:00Z"),
            ("2026-07-10T00:00:00+0200", "2026-07-09T22:00:00Z"),
            // The repeated hour: the first pass, still in summer time.
            ("2026-04-05T02:30:00", "2026-04-04T15:30:00Z"),
            // The hour left out: shifted forward.
            ("2026-10-04T02:30:00", "2026-10-03T16:30:00Z"),
            (
                "2026-01-10T00:00:00.1234567",
                "2026-01-09T13:00:00.1234567Z",
            ),
        ] {
            assert_eq!(
                datetime_from_remote(text, &sydney, true)
                    .unwrap()
                    .as_deref(),
                Some(utc),
                "{text}"
            );
        }
        assert_eq!(
            datetime_from_remote("0001-01-01T00:00:00", &sydney, true),
            Ok(None)
        );
        // The day that Samoa left out.
        assert_eq!(
            datetime_from_remote("2011-12-30T12:00:00", &style(Pacific::Apia), true)
                .unwrap()
                .as_deref(),
            Some("2011-12-30T22:00:00Z")
        );
    }

    #[test]
    fn a_column_without_offset_is_utc_and_folds_as_the_remote_does() {
        let sydney = style(Australia::Sydney);
        for (text, utc) in [
            ("2026-01-10 00:00:00", "2026-01-10T00:00:00Z"),
            ("2026-01-10", "2026-01-10T00:00:00Z"),
            ("2026-01-10T00:00", "2026-01-10T00:00:00Z"),
            ("2026-01-10T10:00:00+10:00", "2026-01-10T00:00:00Z"),
            // The second pass of 02:30 can't be told from the first on the site's clock.
            ("2026-04-04T16:30:00Z", "2026-04-04T15:30:00Z"),
        ] {
            assert_eq!(
                datetime_from_cell(text, &sydney, true).unwrap().as_deref(),
                Some(utc),
                "{text}"
            );
        }
        let mut whole = sydney.clone();
        whole.formats = vec!["%Y-%m-%dT%H:%M:%S".into()];
        assert_eq!(
            datetime_from_cell("2026-01-10T00:00:00.25Z", &whole, true)
                .unwrap()
                .as_deref(),
            Some("2026-01-10T00:00:00Z")
        );
        assert_eq!(
            datetime_from_remote("2026-01-10T00:00:00.25Z", &whole, true)
                .unwrap()
                .as_deref(),
            Some("2026-01-10T00:00:00Z")
        );
        // A field that is only pulled loses nothing.
        assert_eq!(
            datetime_from_remote("2026-01-10T00:00:00.25Z", &whole, false)
                .unwrap()
                .as_deref(),
            Some("2026-01-10T00:00:00.25Z")
        );
        assert_eq!(
            datetime_from_cell("2026-04-04T16:30:00.5Z", &whole, false)
                .unwrap()
                .as_deref(),
            Some("2026-04-04T16:30:00.5Z")
        );
    }

    #[test]
    fn other_formats_are_tried_in_order_and_the_first_is_written() {
        let american = DateStyle {
            zone: Europe::London,
            formats: vec!["%m/%d/%Y".into(), "%m/%d/%Y %I:%M:%S %p".into()],
            sentinel: None,
        };
        let read = |text| date_from_remote(text, &american).unwrap();
        assert_eq!(read("12/31/1999").as_deref(), Some("1999-12-31"));
        assert_eq!(
            read("12/31/1999 11:59:59 PM").as_deref(),
            Some("1999-12-31")
        );
        assert_eq!(read("1999-12-31").as_deref(), Some("1999-12-31"));
        assert_eq!(
            date_to_remote("1999-12-31", &american).unwrap(),
            "12/31/1999"
        );
        let broken = DateStyle {
            formats: vec!["%Q%!".into()],
            ..american
        };
        assert_eq!(
            date_to_remote("1999-12-31", &broken).unwrap_err().code,
            "Q-DATE"
        );
        assert_eq!(date_from_remote("x", &broken).unwrap_err().code, "Q-DATE");
    }

    #[test]
    fn the_edges_of_the_calendar_are_problems_not_panics() {
        let west = style(chrono_tz::America::New_York);
        assert_eq!(
            datetime_from_cell("0001-01-01T01:00:00Z", &west, true)
                .unwrap_err()
                .code,
            "Q-DATE"
        );
        let east = style(Australia::Sydney);
        assert_eq!(
            datetime_to_remote("9999-12-31T23:00:00Z", &east)
                .unwrap_err()
                .code,
            "Q-DATE"
        );
        assert_eq!(date_from_cell("0001-01-01", &east), Ok(None));
        assert_eq!(
            datetime_from_remote("9999-12-31T00:00:00", &east, true)
                .unwrap()
                .as_deref(),
            Some("9999-12-30T13:00:00Z")
        );
    }

    #[test]
    fn a_format_with_an_offset_shows_it() {
        let mut style = style(Australia::Sydney);
        style.formats = vec!["%Y-%m-%dT%H:%M:%S%z".into()];
        for (utc, written) in [
            ("2026-01-09T13:00:00Z", "2026-01-10T00:00:00+1100"),
            ("2026-07-09T14:00:00Z", "2026-07-10T00:00:00+1000"),
        ] {
            assert_eq!(datetime_to_remote(utc, &style).unwrap(), written);
            let read = datetime_from_remote(written, &style, true).unwrap();
            assert_eq!(read.as_deref(), Some(utc));
        }
        assert_eq!(
            datetime_from_remote("2017-11-07T12:54:22+0530", &style, true)
                .unwrap()
                .as_deref(),
            Some("2017-11-07T07:24:22Z")
        );
    }

    proptest! {
        #[test]
        fn h08_every_wall_time_of_every_zone_has_an_instant_and_comes_back(
            zone in 0..TZ_VARIANTS.len(), seconds in 631_152_000i64..2_145_916_800,
        ) {
            let style = style(TZ_VARIANTS[zone]);
            let wall = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let text = wall.format("%Y-%m-%dT%H:%M:%S").to_string();
            let instant = datetime_from_remote(&text, &style, true).unwrap().unwrap();
            let written = datetime_to_remote(&instant, &style).unwrap();
            prop_assert_eq!(datetime_from_remote(&written, &style, true).unwrap().unwrap(), instant.clone());
            prop_assert_eq!(datetime_from_cell(&instant, &style, true).unwrap(), Some(instant));
        }

        #[test]
        fn h08_later_wall_times_are_later_instants_outside_of_gaps(
            zone in 0..TZ_VARIANTS.len(), seconds in 631_152_000i64..2_145_916_800, by in 1i64..10_000,
        ) {
            let style = style(TZ_VARIANTS[zone]);
            let walls = [seconds, seconds + by].map(|at| chrono::DateTime::from_timestamp(at, 0).unwrap().naive_utc());
            let exist = walls.iter().all(|wall| TZ_VARIANTS[zone].from_local_datetime(wall).earliest().is_some());
            let instants = walls.map(|wall| {
                let text = wall.format("%Y-%m-%dT%H:%M:%S").to_string();
                datetime_from_remote(&text, &style, true).unwrap().unwrap()
            });
            // The texts of instants sort as they do.
            prop_assert!(!exist || instants[0] < instants[1], "{:?}", instants);
        }

        #[test]
        fn any_instant_of_a_column_settles_at_once(
            zone in 0..TZ_VARIANTS.len(), seconds in -60_000_000_000i64..250_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let style = style(TZ_VARIANTS[zone]);
            let text = chrono::DateTime::from_timestamp(seconds, nanos).unwrap().to_rfc3339();
            if let Some(first) = datetime_from_cell(&text, &style, true).unwrap() {
                prop_assert_eq!(datetime_from_cell(&first, &style, true).unwrap(), Some(first.clone()));
                let written = datetime_to_remote(&first, &style).unwrap();
                prop_assert_eq!(datetime_from_remote(&written, &style, true).unwrap(), Some(first));
            }
        }

        #[test]
        fn any_text_is_a_date_or_a_problem(text in "\\PC{0,40}|[0-9TZ:.+ /-]{0,30}") {
            let style = style(Europe::Berlin);
            let _ = date_from_remote(&text, &style);
            let _ = datetime_from_remote(&text, &style, true);
            let _ = date_from_cell(&text, &style);
            let _ = datetime_from_cell(&text, &style, true);
        }
    }
}
