//! Positions in a journal whose numbers are given before their transactions commit. Pure.
//!
//! Reading with a lock waits for every entry that is written and not committed. What stays is the moment between the giving of a
//! number and the writing of its entry: a number that was missing below the newest one is remembered, and asked for once more.

use std::fmt;

/// Missing numbers that a position remembers, the newest ones: an entry is written microseconds after it got its number,
/// and most gaps are of transactions that were taken back and of entries that were pruned.
const GAPS_MAX: usize = 1_000;

/// Marks the positions of this way of finding changes.
const PREFIX: &str = "journal:";

/// `journal:NEWEST` or `journal:NEWEST:GAP,GAP,…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The newest number that was read.
    pub(super) newest: i64,
    /// Numbers below it that were not there.
    pub(super) gaps: Vec<i64>,
}

impl Position {
    /// Reads one; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        let (newest, gaps) = text.split_once(':').unwrap_or((text, ""));
        Some(Self {
            newest: newest.parse().ok().filter(|newest| *newest >= 0)?,
            gaps: gaps
                .split(',')
                .filter(|gap| !gap.is_empty())
                .map(|gap| gap.parse().ok())
                .collect::<Option<_>>()?,
        })
    }

    /// The position after reading the numbers `seen`, which rise, beyond this one.
    pub(super) fn after(&self, seen: impl Iterator<Item = i64>) -> Self {
        let mut next = Self {
            newest: self.newest,
            gaps: Vec::new(),
        };
        for number in seen.filter(|number| *number > self.newest) {
            let missing = next.newest + 1..number;
            let first = missing
                .end
                .saturating_sub(GAPS_MAX as i64)
                .max(missing.start);
            next.gaps.extend(first..missing.end);
            next.newest = number;
        }
        let surplus = next.gaps.len().saturating_sub(GAPS_MAX);
        next.gaps.drain(..surplus);
        next
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.newest)?;
        for (at, gap) in self.gaps.iter().enumerate() {
            write!(f, "{}{gap}", if at == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_missing_is_remembered_for_one_more_reading() {
        let begin = Position::parse("journal:10").unwrap();
        let next = begin.after([11, 14, 15].into_iter());
        assert_eq!(next.to_string(), "journal:15:12,13");
        assert_eq!(Position::parse(&next.to_string()), Some(next.clone()));
        // 12 has come to light, 13 never did.
        assert_eq!(next.after([12, 16].into_iter()).to_string(), "journal:16");
        assert_eq!(begin.after(std::iter::empty()), begin);
        let far = begin.after([1_000_000].into_iter());
        assert_eq!((far.gaps.len(), far.gaps[0]), (GAPS_MAX, 999_000));
    }

    #[test]
    fn what_is_no_position_is_none() {
        for text in [
            "",
            "journal:",
            "journal:x",
            "journal:1:x",
            "journal:-1",
            "column:5",
        ] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
