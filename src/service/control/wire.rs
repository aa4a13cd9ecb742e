//! What is said at the socket: a request, then its answers, each a JSON value on a line of its own.

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{Error, ErrorKind, Result, Signal, Stamp};
use crate::sync::{BridgeReport, Decision, Guard, HeldValues, Quarantined, Review, RunOptions};

/// Both ends must be of one version: what is said here changes without notice.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a store can be asked without a pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Reviews that wait, or were settled lately.
    Reviews {
        /// Those that were settled.
        settled: bool,
    },
    /// What is in quarantine.
    Quarantine,
    /// The values of a held record.
    Values {
        /// Its own id.
        id: String,
    },
    /// A person's decision.
    Resolve {
        /// The review's own id.
        id: String,
        /// What was decided.
        decision: Decision,
    },
    /// Try again in the next run.
    Retry {
        /// The record's own id.
        id: String,
    },
    /// Leave alone until it changes.
    Discard {
        /// The record's own id.
        id: String,
    },
    /// Count anew what waits, for `status`.
    Recount,
}

impl Question {
    /// Whether it changes the store: then it waits for a pass under way, which would not see the change.
    pub fn writes(&self) -> bool {
        match self {
            Self::Reviews { .. } | Self::Quarantine | Self::Values { .. } => false,
            Self::Resolve { .. } | Self::Retry { .. } | Self::Discard { .. } | Self::Recount => {
                true
            }
        }
    }
}

/// What a store answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Question::Reviews`].
    Reviews(Vec<(String, Review)>),
    /// To [`Question::Quarantine`].
    Quarantine(Vec<(String, Quarantined)>),
    /// To [`Question::Values`].
    Values(HeldValues),
    /// It is done.
    Done,
}

/// What a command says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: String,
    pub(super) bridge: String,
    pub(super) ask: Ask,
}

/// What it asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ask {
    /// Whether `run` holds this bridge.
    Held,
    /// A pass.
    Pass {
        accept: Vec<Guard>,
        since: Option<NaiveDateTime>,
    },
    /// An answer.
    Question(Question),
}

impl Ask {
    pub(super) fn pass(options: &RunOptions) -> Self {
        Self::Pass {
            accept: options.accept.iter().copied().collect(),
            since: options.since.map(|since| since.0),
        }
    }

    pub(super) fn options(accept: Vec<Guard>, since: Option<NaiveDateTime>) -> RunOptions {
        RunOptions {
            accept: accept.into_iter().collect(),
            since: since.map(Stamp),
            dry: false,
        }
    }
}

/// What `run` says back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// It does not hold this bridge.
    NotHeld,
    /// It holds it.
    Held,
    /// It does not answer this.
    Refused(Fault),
    /// The pass that was asked for begins.
    Begun,
    /// How far it is.
    Progress {
        stage: String,
        done: u64,
        total: Option<u64>,
    },
    /// It ended.
    Passed {
        report: Box<BridgeReport>,
        fault: Option<Fault>,
    },
    /// To a question.
    Answer(Answer),
}

/// An error on its way between the two ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    kind: String,
    code: String,
    message: String,
    causes: Vec<String>,
}

const KINDS: [(&str, ErrorKind); 8] = [
    ("unexpected", ErrorKind::Unexpected),
    ("config", ErrorKind::Config),
    ("guard", ErrorKind::Guard),
    ("unreachable", ErrorKind::Unreachable),
    ("busy", ErrorKind::Busy),
    ("person", ErrorKind::NeedsPerson),
    ("interrupt", ErrorKind::Interrupted(Signal::Interrupt)),
    ("terminate", ErrorKind::Interrupted(Signal::Terminate)),
];

impl Fault {
    /// An error, as it travels.
    pub fn of(error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let kind = KINDS.iter().find(|(_, kind)| *kind == error.kind());
        Self {
            kind: kind.map_or("unexpected", |(name, _)| name).to_owned(),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            causes,
        }
    }

    /// The error that it was.
    pub fn into_error(self) -> Error {
        let kind = KINDS.iter().find(|(name, _)| *name == self.kind);
        let kind = kind.map_or(ErrorKind::Unexpected, |(_, kind)| *kind);
        // A command meets one or two errors in its life.
        let code = Box::leak(self.code.into_boxed_str());
        let error = Error::new(kind, code, self.message);
        if self.causes.is_empty() {
            return error;
        }
        error.caused_by(self.causes.join(": "))
    }
}

/// What a keeper is told to do.
pub enum Order {
    /// A pass that begins from now on; whoever waits for it hears of it.
    Pass {
        /// What it may do.
        options: RunOptions,
        /// Who waits for it; nobody, where it was asked for in passing.
        reply: Option<Reply>,
    },
    /// A question.
    Question {
        /// What is asked.
        question: Question,
        /// Where the answer goes; `None`: the store is not held.
        reply: oneshot::Sender<Option<Result<Answer>>>,
    },
    /// Whether the store is held.
    Held(oneshot::Sender<bool>),
}

/// The way back to whoever waits for a pass.
pub struct Reply {
    /// What is told.
    pub told: mpsc::UnboundedSender<Told>,
    /// Turns true when whoever waits wants no more of it.
    pub stop: watch::Receiver<bool>,
}

/// What whoever waits for a pass is told.
#[derive(Debug)]
pub enum Told {
    /// The store is not held.
    NotHeld,
    /// The pass begins.
    Begun,
    /// How far it is.
    Progress {
        /// The stage.
        stage: &'static str,
        /// What is done.
        done: u64,
        /// Of how many.
        total: Option<u64>,
    },
    /// It ended.
    Passed {
        /// Its report.
        report: Box<BridgeReport>,
        /// The error behind it.
        fault: Option<Fault>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_it_left() {
        for (_, kind) in KINDS {
            let error = Error::new(kind, "E-X", "What, and why")
                .caused_by(Error::config("E-Y", "inner").caused_by("innermost"));
            let line = serde_json::to_string(&Fault::of(&error)).unwrap();
            let arrived = serde_json::from_str::<Fault>(&line).unwrap().into_error();
            assert_eq!((arrived.kind(), arrived.code()), (kind, "E-X"));
            assert_eq!(
                format!("{arrived:?}"),
                format!("{kind:?} E-X What, and why: E-Y inner: innermost")
            );
        }
    }

    #[test]
    fn a_request_for_a_pass_keeps_its_options() {
        let since = Stamp("2026-11-22T10:00:00.5".parse().unwrap());
        let options = RunOptions {
            accept: [Guard::Deletes, Guard::Rewound].into(),
            since: Some(since),
            dry: false,
        };
        let line = serde_json::to_string(&Ask::pass(&options)).unwrap();
        let Ask::Pass { accept, since: to } = serde_json::from_str(&line).unwrap() else {
            panic!("{line}");
        };
        let arrived = Ask::options(accept, to);
        assert_eq!(
            (arrived.accept, arrived.since),
            (options.accept, Some(since))
        );
    }
}
