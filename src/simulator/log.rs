//! What was asked for, in the order in which it was served: for tests, never printed.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// How many requests are remembered; older ones are forgotten.
const ENTRIES_MAX: usize = 100_000;

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work was done and answered, or would have been answered but for a fault of the wire.
    Done,
    /// The service answered with a fault of its own.
    Refused,
    /// A switched fault kept it from being worked on (for now: a late one has a second entry when its turn comes).
    NotDone,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<O> {
    /// Counts from 0 and never jumps.
    pub number: u64,
    /// When, by the service's own clock.
    pub at: DateTime<Utc>,
    /// What was asked for.
    pub operation: O,
    /// Of whom or what, as the service's `Operation` says.
    pub keys: Vec<String>,
    /// How it went.
    pub outcome: Outcome,
}

/// The requests, oldest first.
#[derive(Debug)]
pub(super) struct Log<O> {
    entries: VecDeque<Entry<O>>,
    next: u64,
}

impl<O> Default for Log<O> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            next: 0,
        }
    }
}

impl<O: Clone> Log<O> {
    pub(super) fn add(
        &mut self,
        at: DateTime<Utc>,
        operation: O,
        keys: Vec<String>,
        outcome: Outcome,
    ) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            number: self.next,
            at,
            operation,
            keys,
            outcome,
        });
        self.next += 1;
    }

    pub(super) fn entries(&self) -> Vec<Entry<O>> {
        self.entries.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
