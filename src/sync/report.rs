//! What a run says about itself: the shapes that `sync --format json` prints (user contract, section 3).

use serde::{Deserialize, Serialize};

use crate::model::ErrorKind;

/// Counts of one direction. `read` is always the sum of the five others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records read on the side that this direction starts from.
    pub read: u64,
    /// Made on the other side.
    pub created: u64,
    /// Changed on the other side, or partly so while a field waits.
    pub updated: u64,
    /// Deleted on the other side.
    pub deleted: u64,
    /// Nothing had to be done.
    pub unchanged: u64,
    /// Wait for a person, or for the next run.
    pub held: u64,
}

/// How a pass of a bridge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Clean.
    Ok,
    /// Finished; some records wait for a person.
    Partial,
    /// Stopped by a guard before anything was written.
    Stopped,
    /// Failed; `error` says how.
    Failed,
}

/// The guards, by the names that the report shows and `--accept` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// More deletions than `max_deletes`.
    Deletes,
    /// More updates than `max_changes`.
    Changes,
    /// A side that had records answers a full read with none, or with far fewer.
    Emptied,
    /// The known contacts are not there: another site or another database.
    Site,
    /// A side is older than what was agreed.
    Rewound,
}

impl Guard {
    /// All guards, for usage messages.
    pub const ALL: [Self; 5] = [
        Self::Deletes,
        Self::Changes,
        Self::Emptied,
        Self::Site,
        Self::Rewound,
    ];

    /// The name in the report and for `--accept`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::Changes => "changes",
            Self::Emptied => "emptied",
            Self::Site => "site",
            Self::Rewound => "rewound",
        }
    }
}

/// One bridge's part of the document that `sync` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BridgeReport {
    /// The bridge's name.
    pub bridge: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The guard that stopped it.
    pub guard: Option<Guard>,
    /// From the remote into the database.
    pub pull: Counts,
    /// From the database to the remote.
    pub push: Counts,
    /// Fields that both sides changed to different values, and differing fields of a first meeting.
    pub conflicts: u64,
    /// Records that wait in review after this run.
    pub review: u64,
    /// Records that wait in quarantine after this run.
    pub quarantined: u64,
    /// Remote calls made.
    pub requests: u64,
    /// The watermark after this run, in the remote's own wall time; null for kinds that have none.
    pub watermark: Option<String>,
    /// Wall time of the pass.
    pub seconds: f64,
    /// What went wrong: code and message.
    pub error: Option<String>,
    /// The kind of `error`, from which the exit code follows; it is no part of the document.
    #[serde(skip)]
    pub failure: Option<ErrorKind>,
}

/// One line of a plan: what a run would do to one record. Field names only, never values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanItem {
    /// `create`, `update`, `delete`, `link` or `hold`.
    pub action: &'static str,
    /// The side that would be written: `local`, `remote`, or `both`; for `hold`, where the record is.
    pub side: &'static str,
    /// The row's key, where known.
    pub local: Option<String>,
    /// The contact's id, where known.
    pub remote: Option<String>,
    /// The columns concerned.
    pub fields: Vec<String>,
    /// Why, in a few words, where it is not plain.
    pub reason: Option<String>,
}
