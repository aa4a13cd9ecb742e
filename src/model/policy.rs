//! The policies of the configuration that the engine decides by (user contract, sections 1 and 4).

use serde::{Deserialize, Serialize};

/// Which way a bridge, or one field of it, flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the remote to the database only.
    Pull,
    /// From the database to the remote only.
    Push,
    /// Both ways.
    Both,
}

impl Direction {
    /// Whether values flow from the remote into the database.
    pub fn pulls(self) -> bool {
        self != Self::Push
    }

    /// Whether values flow from the database to the remote.
    pub fn pushes(self) -> bool {
        self != Self::Pull
    }
}

/// Who wins when both sides changed one field to different values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictPolicy {
    /// The later of the two records' own modification times; a person where the times can't tell.
    Newest,
    /// The remote's value.
    Remote,
    /// The database's value.
    Local,
    /// A person.
    Review,
}

/// What becomes of a deletion on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeletePolicy {
    /// It is carried to the other side.
    Apply,
    /// A person is asked.
    Review,
    /// The other side keeps its record; the pair is forgotten.
    Ignore,
}

/// A limit given as a count or as a percentage of a side's live records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// At most so many.
    Count(u64),
    /// At most so many per cent of the live records.
    Percent(f64),
}

impl Threshold {
    /// How many this allows of `live` records; a percentage never forbids fewer than `floor`.
    pub fn allows(self, live: u64, floor: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => ((live as f64 * percent / 100.0).floor() as u64).max(floor),
        }
    }
}
