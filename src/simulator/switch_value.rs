//! What stands in a switch behind its name: `NAME[@OPERATION][=[PARAMETER/]WHEN]`, the same for every service.
//!
//! Which names there are is the service's business. Every error is one sentence.

use std::str::FromStr;
use std::time::Duration;

use super::rules::When;

/// A switch in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) operation: Option<&'a str>,
    pub(super) value: Option<&'a str>,
}

/// Takes a switch apart.
pub(super) fn parts(text: &str) -> Parts<'_> {
    let (head, value) = match text.split_once('=') {
        Some((head, value)) => (head, Some(value)),
        None => (text, None),
    };
    let (name, operation) = match head.split_once('@') {
        Some((name, operation)) => (name, Some(operation)),
        None => (head, None),
    };
    Parts {
        name,
        operation,
        value,
    }
}

/// A fault's parameter and when it strikes. The last slash divides them: an address has slashes of its own.
pub(super) fn parameter_and_when(value: Option<&str>) -> (&str, Option<&str>) {
    match value {
        None => ("", None),
        Some(value) => match value.rsplit_once('/') {
            Some((parameter, when)) if when_from(Some(when)).is_ok() => (parameter, Some(when)),
            _ => (value, None),
        },
    }
}

/// The parameter, or what stands for a missing one.
pub(super) fn or(parameter: &str, default: &str) -> String {
    if parameter.is_empty() {
        default.to_owned()
    } else {
        parameter.to_owned()
    }
}

/// When a fault strikes: a share (`0.05`), numbers (`#3`, `#2-4`), or nothing for always.
pub(super) fn when_from(value: Option<&str>) -> Result<When, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(When::Share(1.0));
    };
    if let Some(numbers) = value.strip_prefix('#') {
        let (from, to) = numbers.split_once('-').unwrap_or((numbers, numbers));
        return Ok(When::Numbers {
            from: number(from)?,
            to: number(to)?,
        });
    }
    share_from(value).map(When::Share)
}

/// A share from 0 to 1.
pub(super) fn share_from(value: &str) -> Result<f64, String> {
    let share = value
        .parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| {
        format!("\"{value}\" is neither a share from 0 to 1 nor a number such as #3")
    })
}

/// A number.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is not a number"))
}

/// `200ms`, `5s`, `2m`; nothing is the default.
pub(super) fn duration_from(text: &str, default: Duration) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(default);
    }
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let count: u64 = number(digits)?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count.saturating_mul(60))),
        _ => Err(format!(
            "\"{text}\" is not a duration; write 200ms, 5s or 2m"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_comes_apart_at_its_signs() {
        let whole = parts("delay@PURGE=200ms/0.1");
        assert_eq!(
            (whole.name, whole.operation, whole.value),
            ("delay", Some("PURGE"), Some("200ms/0.1"))
        );
        assert_eq!(parameter_and_when(whole.value), ("200ms", Some("0.1")));
        assert_eq!(
            parameter_and_when(Some("https://a.example/b/#2")),
            ("https://a.example/b", Some("#2"))
        );
        assert_eq!(
            parameter_and_when(Some("https://a.example/b")),
            ("https://a.example/b", None)
        );
        assert_eq!(parts("html").value, None);
    }
}
