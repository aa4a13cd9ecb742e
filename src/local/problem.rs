//! What `check` says about a database: a description, and everything that stands in the way of the mapping.

use crate::model::{ErrorKind, Result};

/// Something about the database that the mapping can't work with, or that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code: `E-…` where a run would fail (exit 2), `W-…` where it goes on.
    pub code: &'static str,
    /// What, where, why and what to do, without any value of a record.
    pub message: String,
    /// Whether a run would fail.
    pub fatal: bool,
}

impl Problem {
    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fatal: true,
        }
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fatal: false,
        }
    }
}

/// One error for all the fatal ones, under the code of the first.
pub(super) fn refuse(problems: &[Problem]) -> Result<()> {
    let mut fatal = problems.iter().filter(|problem| problem.fatal);
    let Some(first) = fatal.next() else {
        return Ok(());
    };
    let mut message = first.message.clone();
    for problem in fatal {
        message += &format!("\n{} {}", problem.code, problem.message);
    }
    Err(crate::model::Error::new(
        ErrorKind::Config,
        first.code,
        message,
    ))
}

/// Whether the triggers of `changes: journal` stand as this mapping needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// All three stand, and their memory is whole.
    Installed,
    /// None is there, or not all of them.
    Missing,
    /// They are ours, but made for another mapping; the next run replaces them and reads everything.
    Stale,
    /// Somebody altered them; the next run replaces them and reads everything.
    Altered,
}

/// What stands in the database, for `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The database file.
    pub place: String,
    /// The mapped table.
    pub table: String,
    /// Its live rows; `None` while there is no table.
    pub rows: Option<u64>,
    /// The state of the triggers, under `changes: journal`.
    pub journal: Option<JournalState>,
    /// Everything that stands in the way, fatal or not.
    pub problems: Vec<Problem>,
}

/// `; did you mean "x"?` where a known name is near enough to be meant.
pub(super) fn suggestion<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> String {
    let wanted = wanted.to_lowercase();
    known
        .map(|name| (strsim::osa_distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= (wanted.chars().count() / 3).max(2))
        .min()
        .map(|(_, name)| format!("; did you mean \"{name}\"?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["email", "first_name"];
        let of = |wanted| suggestion(wanted, known.into_iter());
        assert_eq!(of("emial"), "; did you mean \"email\"?");
        assert_eq!(of("EMAIL_"), "; did you mean \"email\"?");
        assert_eq!(of("shoe_size"), "");
    }

    #[test]
    fn all_fatal_problems_are_told_at_once_and_warnings_stop_nothing() {
        let warning = Problem::warning("W-X", "mind");
        assert!(refuse(std::slice::from_ref(&warning)).is_ok());
        let error = refuse(&[
            warning,
            Problem::fatal("E-A", "first"),
            Problem::fatal("E-B", "second"),
        ])
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), "E-A first\nE-B second");
    }
}
