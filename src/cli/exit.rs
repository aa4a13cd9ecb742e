//! The exit codes of the user contract, section 3, and how errors and reports come to them.

use crate::model::{ErrorKind, Signal};
use crate::sync::Outcome;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Clean,
    /// 1: failed unexpectedly.
    Unexpected,
    /// 2: usage, configuration or mapping error; nothing was started.
    Config,
    /// 3: finished; some records are held for a person.
    Held,
    /// 4: stopped by a guard before anything was written.
    Guard,
    /// 5: a side could not be reached, or refused the credentials.
    Unreachable,
    /// 6: another run holds this bridge.
    Busy,
    /// 7: the state or the machine needs a person.
    NeedsPerson,
    /// 10: `plan --exit-code`, and there is something to do.
    Pending,
    /// 130 or 143: interrupted; what was done is recorded.
    Interrupted(Signal),
}

/// With several bridges the first of these that is present counts. An interrupt ends everything, so it comes before them;
/// a configuration error keeps all bridges from starting, so that it meets none of the others but 1.
const ORDER: [Exit; 10] = [
    Exit::Interrupted(Signal::Interrupt),
    Exit::Interrupted(Signal::Terminate),
    Exit::Unexpected,
    Exit::Config,
    Exit::NeedsPerson,
    Exit::Guard,
    Exit::Unreachable,
    Exit::Busy,
    Exit::Held,
    Exit::Pending,
];

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Unexpected => 1,
            Self::Config => 2,
            Self::Held => 3,
            Self::Guard => 4,
            Self::Unreachable => 5,
            Self::Busy => 6,
            Self::NeedsPerson => 7,
            Self::Pending => 10,
            Self::Interrupted(Signal::Interrupt) => 130,
            Self::Interrupted(Signal::Terminate) => 143,
        }
    }

    /// What an error ends with.
    pub fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unexpected => Self::Unexpected,
            ErrorKind::Config => Self::Config,
            ErrorKind::Guard => Self::Guard,
            ErrorKind::Unreachable => Self::Unreachable,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::NeedsPerson => Self::NeedsPerson,
            ErrorKind::Interrupted(signal) => Self::Interrupted(signal),
        }
    }

    /// What one bridge's pass ends with; `failure` is the kind of the error behind the report, where there is one.
    pub fn of_pass(outcome: Outcome, failure: Option<ErrorKind>) -> Self {
        match (outcome, failure) {
            (_, Some(kind)) => Self::of_kind(kind),
            (Outcome::Ok, None) => Self::Clean,
            (Outcome::Partial, None) => Self::Held,
            (Outcome::Stopped, None) => Self::Guard,
            (Outcome::Failed, None) => Self::Unexpected,
        }
    }

    /// What several of them end with together.
    pub fn of_all(exits: impl IntoIterator<Item = Self>) -> Self {
        exits
            .into_iter()
            .min_by_key(|exit| {
                ORDER
                    .iter()
                    .position(|known| known == exit)
                    .unwrap_or(ORDER.len())
            })
            .unwrap_or(Self::Clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes: Vec<u8> = [
            ErrorKind::Unexpected,
            ErrorKind::Config,
            ErrorKind::Guard,
            ErrorKind::Unreachable,
            ErrorKind::Busy,
            ErrorKind::NeedsPerson,
            ErrorKind::Interrupted(Signal::Interrupt),
            ErrorKind::Interrupted(Signal::Terminate),
        ]
        .into_iter()
        .map(|kind| Exit::of_kind(kind).code())
        .collect();
        assert_eq!(codes, [1, 2, 4, 5, 6, 7, 130, 143]);
        assert_eq!(
            (Exit::Clean.code(), Exit::Held.code(), Exit::Pending.code()),
            (0, 3, 10)
        );
    }

    #[test]
    fn of_several_bridges_the_first_of_1_7_4_5_6_3_counts() {
        let order = [1, 7, 4, 5, 6, 3, 0];
        let exits = [
            Exit::Unexpected,
            Exit::NeedsPerson,
            Exit::Guard,
            Exit::Unreachable,
            Exit::Busy,
            Exit::Held,
            Exit::Clean,
        ];
        for first in 0..exits.len() {
            let mut present = exits[first..].to_vec();
            assert_eq!(Exit::of_all(present.clone()).code(), order[first]);
            present.reverse();
            assert_eq!(Exit::of_all(present).code(), order[first]);
        }
        assert_eq!(Exit::of_all([]), Exit::Clean);
    }
}
