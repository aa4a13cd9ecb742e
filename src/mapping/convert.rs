//! The types of columns: between a service's texts, canonical texts and cells.
//!
//! One function a direction, each total: what does not fit is a [`FieldProblem`], never a panic and never a guess.

use crate::model::{Canonical, Cell, ColumnKind, DateStyle, FieldProblem, Scalar};

use super::dates;

/// No number that a person enters is longer; the bound keeps a megabyte of digits out of a column.
const NUMBER_TEXT_MAX: usize = 80;

fn problem(code: &'static str, reason: &str) -> FieldProblem {
    FieldProblem {
        code,
        reason: reason.to_owned(),
    }
}

/// A text of the remote as a canonical value of `kind`.
pub(super) fn from_remote(
    kind: ColumnKind,
    scalar: Scalar,
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> Result<Canonical, FieldProblem> {
    if text.is_empty() {
        return Ok(None);
    }
    match kind {
        ColumnKind::Text if scalar == Scalar::DateTime && dates::is_sentinel_text(text, style) => {
            Ok(None)
        }
        ColumnKind::Text => Ok(Some(text.to_owned())),
        ColumnKind::Date => unless_blank(text, |text| dates::date_from_remote(text, style)),
        ColumnKind::DateTime => unless_blank(text, |text| {
            dates::datetime_from_remote(text, style, pushed)
        }),
        ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Bool => parse_plain(kind, text),
    }
}

/// A cell of a column as a canonical value of `kind`; `style` is how the remote shows dates, which matters
/// to them alone, and most where the field is `pushed`.
pub(super) fn from_cell(
    kind: ColumnKind,
    cell: &Cell,
    style: &DateStyle,
    pushed: bool,
) -> Result<Canonical, FieldProblem> {
    let text: std::borrow::Cow<'_, str> = match cell {
        Cell::Null => return Ok(None),
        Cell::Text(text) if text.is_empty() => return Ok(None),
        Cell::Text(text) => text.as_str().into(),
        Cell::Int(number) => number.to_string().into(),
        // The shortest digits that mean this number; never an exponent.
        Cell::Real(number) if number.is_finite() => number.to_string().into(),
        Cell::Real(_) => return Err(problem("Q-NUMBER", "not a finite number")),
        Cell::Blob(_) => {
            return Err(problem(
                "Q-TYPE",
                "bytes in the column, which no type takes",
            ));
        }
    };
    match kind {
        ColumnKind::Text => Ok(Some(text.into_owned())),
        ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Bool => parse_plain(kind, &text),
        ColumnKind::Date | ColumnKind::DateTime if !matches!(cell, Cell::Text(_)) => {
            Err(dates::not_a_date())
        }
        ColumnKind::Date => unless_blank(&text, |text| dates::date_from_cell(text, style)),
        ColumnKind::DateTime => {
            unless_blank(&text, |text| dates::datetime_from_cell(text, style, pushed))
        }
    }
}

/// A text, such as a column value of `values` or a `default`, as a canonical value of `kind`.
pub(super) fn from_text(
    kind: ColumnKind,
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> Result<Canonical, FieldProblem> {
    from_cell(kind, &Cell::Text(text.to_owned()), style, pushed)
}

fn unless_blank(
    text: &str,
    read: impl FnOnce(&str) -> Result<Canonical, FieldProblem>,
) -> Result<Canonical, FieldProblem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    read(text)
}

fn parse_plain(kind: ColumnKind, text: &str) -> Result<Canonical, FieldProblem> {
    unless_blank(text, |text| {
        let text = text.trim();
        match kind {
            ColumnKind::Integer => integer(text),
            ColumnKind::Decimal => decimal(text),
            _ => boolean(text),
        }
        .map(Some)
    })
}

fn integer(text: &str) -> Result<String, FieldProblem> {
    let wrong = || problem("Q-NUMBER", "not a whole number of at most 64 bits");
    let plain = decimal(text).map_err(|_| wrong())?;
    let number: i64 = plain.parse().map_err(|_| wrong())?;
    Ok(number.to_string())
}

fn decimal(text: &str) -> Result<String, FieldProblem> {
    let wrong = || problem("Q-NUMBER", "not a number");
    if text.len() > NUMBER_TEXT_MAX {
        return Err(wrong());
    }
    let (minus, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(wrong());
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let mut out = String::with_capacity(text.len() + 1);
    if minus && !(whole.is_empty() && fraction.is_empty()) {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(out)
}

fn boolean(text: &str) -> Result<String, FieldProblem> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "1", "yes", "y", "t"]) {
        Ok("1".to_owned())
    } else if is(&["false", "0", "no", "n", "f"]) {
        Ok("0".to_owned())
    } else {
        Err(problem("Q-BOOL", "neither true nor false"))
    }
}

/// A canonical value as the cell that is written to its column.
pub(super) fn to_cell(kind: ColumnKind, value: &Canonical) -> Cell {
    match (value, kind) {
        (None, _) => Cell::Null,
        (Some(text), ColumnKind::Integer | ColumnKind::Bool) => text
            .parse()
            .map_or_else(|_| Cell::Text(text.clone()), Cell::Int),
        (Some(text), _) => Cell::Text(text.clone()),
    }
}

/// A canonical value as the text that the remote reads.
///
/// Problems: a text that its value element can't hold, and a character that XML can't carry (`Q-CHAR`).
pub(super) fn to_remote(
    kind: ColumnKind,
    scalar: Scalar,
    value: &str,
    style: &DateStyle,
) -> Result<String, FieldProblem> {
    match (kind, scalar) {
        (ColumnKind::Date, _) if scalar != Scalar::DateTime => Ok(value.to_owned()),
        (ColumnKind::Date, _) => dates::date_to_remote(value, style),
        (ColumnKind::DateTime, _) => dates::datetime_to_remote(value, style),
        (ColumnKind::Bool, Scalar::Bool) => {
            Ok(if value == "1" { "true" } else { "false" }.to_owned())
        }
        (ColumnKind::Decimal, Scalar::Integer) => integer(value),
        (ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Bool, _) => Ok(value.to_owned()),
        (ColumnKind::Text, _) => checked_text(scalar, value, style),
    }
}

/// Holds a text against the value element that it goes to: one that does not fit would have the whole request refused.
pub(super) fn checked_text(
    scalar: Scalar,
    value: &str,
    style: &DateStyle,
) -> Result<String, FieldProblem> {
    match scalar {
        Scalar::Text if value.chars().all(is_xml) => Ok(value.to_owned()),
        Scalar::Text => Err(problem(
            "Q-CHAR",
            "a character that the service's messages can't carry",
        )),
        Scalar::Integer => integer(value.trim()),
        Scalar::Decimal => decimal(value.trim()),
        Scalar::Date => dates::date_from_remote(value, style)?.ok_or_else(dates::not_a_date),
        Scalar::Bool => Ok(if boolean(value.trim())? == "1" {
            "true".to_owned()
        } else {
            "false".to_owned()
        }),
        Scalar::DateTime => {
            dates::datetime_from_remote(value, style, true).map(|_| value.to_owned())
        }
    }
}

/// The characters of XML 1.0 (production 2).
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// What stands for "nothing" in a value of this kind; `Q-EMPTY` where the service has no word for it.
pub(super) fn nothing(scalar: Scalar, style: &DateStyle) -> Result<String, FieldProblem> {
    match scalar {
        Scalar::Text | Scalar::Decimal | Scalar::Date => Ok(String::new()),
        Scalar::DateTime => Ok(style.sentinel.unwrap_or_default().to_owned()),
        Scalar::Integer | Scalar::Bool => Err(problem(
            "Q-EMPTY",
            "the service has no empty value here; give the column a value",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [ColumnKind; 6] = [
        ColumnKind::Text,
        ColumnKind::Integer,
        ColumnKind::Decimal,
        ColumnKind::Bool,
        ColumnKind::Date,
        ColumnKind::DateTime,
    ];
    const SCALARS: [Scalar; 6] = [
        Scalar::Text,
        Scalar::Integer,
        Scalar::Bool,
        Scalar::Decimal,
        Scalar::Date,
        Scalar::DateTime,
    ];

    fn style() -> DateStyle {
        DateStyle {
            zone: chrono_tz::Australia::Sydney,
            formats: vec!["%Y-%m-%dT%H:%M:%S%.f".into()],
            sentinel: Some("0001-01-01T00:00:00"),
        }
    }

    fn cell(kind: ColumnKind, cell: Cell) -> Result<Canonical, &'static str> {
        from_cell(kind, &cell, &style(), true).map_err(|problem| problem.code)
    }

    fn some(text: &str) -> Result<Canonical, &'static str> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn cells_become_canonical() {
        use ColumnKind::*;
        let text = |text: &str| Cell::Text(text.to_owned());
        for (kind, found, expected) in [
            (Text, Cell::Null, Ok(None)),
            (Text, text(""), Ok(None)),
            (Text, text(" a "), some(" a ")),
            (Text, Cell::Int(-7), some("-7")),
            (Text, Cell::Real(0.1), some("0.1")),
            (Text, Cell::Real(5.0), some("5")),
            (Text, Cell::Real(f64::NAN), Err("Q-NUMBER")),
            (Text, Cell::Blob(vec![0]), Err("Q-TYPE")),
            (Integer, text(" +007 "), some("7")),
            (Integer, text("7.000"), some("7")),
            (Integer, text("-0"), some("0")),
            (Integer, text("7.5"), Err("Q-NUMBER")),
            (Integer, text("9223372036854775808"), Err("Q-NUMBER")),
            (Integer, Cell::Int(i64::MIN), some("-9223372036854775808")),
            (Integer, Cell::Real(3.0), some("3")),
            (Integer, text("  "), Ok(None)),
            (Integer, text("１"), Err("Q-NUMBER")),
            (Decimal, text("0012.3400"), some("12.34")),
            (Decimal, text("-.50"), some("-0.5")),
            (Decimal, text("-0.00"), some("0")),
            (
                Decimal,
                text("12345678901234567890.12345678901234567890"),
                some("12345678901234567890.1234567890123456789"),
            ),
            (Decimal, Cell::Real(0.1), some("0.1")),
            (Decimal, text("1e5"), Err("Q-NUMBER")),
            (Decimal, text("1,5"), Err("Q-NUMBER")),
            (Decimal, text("."), Err("Q-NUMBER")),
            (Decimal, text("-"), Err("Q-NUMBER")),
            (Bool, Cell::Int(1), some("1")),
            (Bool, Cell::Int(0), some("0")),
            (Bool, Cell::Int(2), Err("Q-BOOL")),
            (Bool, text("TRUE"), some("1")),
            (Bool, text("no"), some("0")),
            (Bool, text("maybe"), Err("Q-BOOL")),
            (Date, text("1951-02-11 10:00:00"), some("1951-02-11")),
            (Date, Cell::Int(19510211), Err("Q-DATE")),
            (DateTime, text("1951-02-11"), some("1951-02-11T00:00:00Z")),
        ] {
            assert_eq!(cell(kind, found.clone()), expected, "{kind:?} {found:?}");
        }
    }

    #[test]
    fn values_are_written_as_their_element_needs_them() {
        use ColumnKind::*;
        for (kind, scalar, value, written) in [
            (Text, Scalar::Text, "a\tb\nc", Ok("a\tb\nc")),
            (Text, Scalar::Text, "a\u{1}", Err("Q-CHAR")),
            (Text, Scalar::Text, "a\u{ffff}", Err("Q-CHAR")),
            (Text, Scalar::Integer, " 007", Ok("7")),
            (Text, Scalar::Integer, "x", Err("Q-NUMBER")),
            (Text, Scalar::Bool, "yes", Ok("true")),
            (Text, Scalar::Bool, "x", Err("Q-BOOL")),
            (Text, Scalar::DateTime, "x", Err("Q-DATE")),
            (Text, Scalar::Decimal, " 01.50", Ok("1.5")),
            (Text, Scalar::Decimal, "1,5", Err("Q-NUMBER")),
            (Text, Scalar::Date, "1951-02-11T10:00:00", Ok("1951-02-11")),
            (Text, Scalar::Date, "x", Err("Q-DATE")),
            (Decimal, Scalar::Decimal, "1.5", Ok("1.5")),
            (Date, Scalar::Date, "1951-02-11", Ok("1951-02-11")),
            (Bool, Scalar::Bool, "1", Ok("true")),
            (Bool, Scalar::Bool, "0", Ok("false")),
            (Bool, Scalar::Text, "1", Ok("1")),
            (
                Date,
                Scalar::DateTime,
                "1951-02-11",
                Ok("1951-02-11T00:00:00"),
            ),
            (Date, Scalar::Text, "1951-02-11", Ok("1951-02-11")),
            (
                DateTime,
                Scalar::DateTime,
                "2026-01-09T13:00:00Z",
                Ok("2026-01-10T00:00:00"),
            ),
            (Decimal, Scalar::Text, "1.5", Ok("1.5")),
            (Decimal, Scalar::Integer, "1.5", Err("Q-NUMBER")),
        ] {
            assert_eq!(
                to_remote(kind, scalar, value, &style()).map_err(|problem| problem.code),
                written.map(str::to_owned),
                "{kind:?} {scalar:?} {value:?}"
            );
        }
        assert_eq!(
            nothing(Scalar::DateTime, &style()).unwrap(),
            "0001-01-01T00:00:00"
        );
        assert_eq!(nothing(Scalar::Bool, &style()).unwrap_err().code, "Q-EMPTY");
    }

    proptest! {
        #[test]
        fn any_text_settles_in_one_step(
            text in "\\PC{0,20}|[0-9+.-]{0,12}|[0-9TZ: -]{0,25}|[a-z]{0,5}", kind in 0..6usize, scalar in 0..6usize,
        ) {
            let (kind, scalar, style) = (KINDS[kind], SCALARS[scalar], style());
            if let Ok(value) = from_remote(kind, scalar, &text, &style, true) {
                prop_assert_eq!(&from_cell(kind, &to_cell(kind, &value), &style, true), &Ok(value));
            }
            if let Ok(Some(value)) = from_text(kind, &text, &style, true) {
                prop_assert_eq!(from_text(kind, &value, &style, true), Ok(Some(value.clone())));
                let fits = kind != ColumnKind::Text
                    && (scalar == Scalar::Text
                        || (scalar, kind) == (Scalar::Decimal, ColumnKind::Decimal)
                        || (scalar, kind) == (Scalar::Date, ColumnKind::Date)
                        || (scalar == Scalar::DateTime && matches!(kind, ColumnKind::Date | ColumnKind::DateTime)));
                if fits && let Ok(written) = to_remote(kind, scalar, &value, &style) {
                    prop_assert_eq!(from_remote(kind, scalar, &written, &style, true), Ok(Some(value)));
                }
            }
        }
    }
}
