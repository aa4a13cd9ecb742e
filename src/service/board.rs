//! Where every keeper writes how it fares, for the pages to read.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::work::Left;

/// What a keeper is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has just begun.
    Starting,
    /// Its store is open, and it waits for its turn.
    Waiting,
    /// A pass is under way since then.
    Passing(DateTime<Utc>),
    /// Another process holds the store: the sentence says who. It is tried again.
    Locked(String),
    /// The store can't be opened: the error.
    Failed(String),
    /// Its thread has ended: on request, or because an invariant broke.
    Ended,
}

impl Phase {
    /// Whether its store is open and its turns are kept.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Waiting | Self::Passing(_))
    }

    /// A word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Passing(_) => "passing",
            Self::Locked(_) => "locked",
            Self::Failed(_) => "failed",
            Self::Ended => "ended",
        }
    }
}

/// How one bridge fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub bridge: String,
    /// Its schedule, as bridge.yaml has it.
    pub schedule: Option<String>,
    /// What its keeper is doing.
    pub phase: Phase,
    /// Its next turn.
    pub next: Option<DateTime<Utc>>,
    /// What its last passes left behind.
    pub left: Left,
}

impl Standing {
    /// A bridge whose keeper has not begun.
    pub fn new(bridge: &str, schedule: Option<String>) -> Self {
        Self {
            bridge: bridge.to_owned(),
            schedule,
            phase: Phase::Starting,
            next: None,
            left: Left::default(),
        }
    }
}

/// How all bridges fare, in the order of the file.
#[derive(Debug)]
pub struct Board {
    standings: Mutex<Vec<Standing>>,
}

impl Board {
    /// A board with these bridges.
    pub fn new(standings: Vec<Standing>) -> Self {
        Self {
            standings: Mutex::new(standings),
        }
    }

    /// All of them, as they stand.
    pub fn read(&self) -> Vec<Standing> {
        let standings = self.standings.lock();
        standings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keeper of a bridge is no more.
    pub fn end(&self, bridge: &str) {
        self.write(bridge, |standing| standing.phase = Phase::Ended);
    }

    /// Changes what stands of a bridge.
    pub(super) fn write(&self, bridge: &str, change: impl FnOnce(&mut Standing)) {
        let standings = self.standings.lock();
        let mut standings = standings.unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = standings.iter_mut().find(|known| known.bridge == bridge) {
            change(standing);
        }
    }
}
