//! Field by field against the last agreed state: what flows where (sync-semantics, table F).
//!
//! Pure: the same inputs give the same answer. It reads no clock, no store and no side, and it writes nothing.

use chrono::{DateTime, Duration, Utc};

use crate::model::{Canonical, ConflictPolicy, Direction, FieldProblem};

use super::memory::{Base, Link, Side};
use super::view::{LocalView, RemoteView};

/// How one field flows, after bridge and field settings have been joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// Which way.
    pub direction: Direction,
    /// Who wins.
    pub policy: ConflictPolicy,
    /// The field's own direction and the bridge's exclude each other (a template in a bridge that only pushes): nothing flows.
    pub idle: bool,
}

impl FieldRule {
    /// Whether values of this field flow into the database.
    pub fn pulls(self) -> bool {
        !self.idle && self.direction.pulls()
    }

    /// Whether values of this field flow to the remote.
    pub fn pushes(self) -> bool {
        !self.idle && self.direction.pushes()
    }
}

/// Which of two edits is the later one, by the records' own times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// This side's.
    Known(Side),
    /// The times can't tell.
    Unknown,
}

/// What the merge of one record must know besides the two views.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Which edit is the later one.
    pub newer: Newer,
    /// Everything is being compared, so a one-way field's source also wins against drift on its target.
    pub full: bool,
    /// This side is older than what was agreed and that was accepted: it counts as unchanged, and the other side flows into it.
    pub rewound: Option<Side>,
    /// A person's decision on what waited in review.
    pub take: Option<Side>,
    /// The contact shows a change that may be none: it went back in time, or was restored and edited since, or a person was asked
    /// about that and has not answered.
    pub doubtful: bool,
    /// A conflict of this pair waits for a person: what never agreed is no longer a first meeting, and an emptied or deleted
    /// side is somebody's edit.
    pub waiting: bool,
}

/// What a field's merge came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing to do; the base stands.
    Keep,
    /// Both sides show the same: the base moves, nothing is written.
    Agree,
    /// The remote's value goes to the row.
    ToLocal,
    /// The row's value goes to the remote.
    ToRemote,
    /// Both changed to different values, and this side wins; the other value is kept for 30 days.
    Settled(Side),
    /// Both changed to different values, and a person decides; neither side is touched.
    Review,
    /// The contact shows another value, and nothing tells whether anybody entered it; a person decides, and neither side is touched.
    Doubt,
    /// The value of this side can't be read; the field waits.
    Unreadable(Side),
    /// The row drifted from a field that only the remote may change; the next full read settles it.
    Drift,
}

/// What the merge of a record came to: one flow per field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// One per field.
    pub flows: Vec<Flow>,
}

impl Merged {
    /// The fields whose value goes to the row.
    pub fn to_local(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields(|flow| matches!(flow, Flow::ToLocal | Flow::Settled(Side::Remote)))
    }

    /// The fields whose value goes to the remote.
    pub fn to_remote(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields(|flow| matches!(flow, Flow::ToRemote | Flow::Settled(Side::Local)))
    }

    /// The fields that wait for a person.
    pub fn in_review(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields(|flow| matches!(flow, Flow::Review | Flow::Doubt))
    }

    /// The fields that both sides changed to different values, however that was settled.
    pub fn conflicts(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields(|flow| matches!(flow, Flow::Review | Flow::Doubt | Flow::Settled(_)))
    }

    /// The fields that can't be read.
    pub fn unreadable(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields(|flow| matches!(flow, Flow::Unreadable(_)))
    }

    /// Whether what waits for a person may be no edit at all.
    pub fn is_doubtful(&self) -> bool {
        self.flows.contains(&Flow::Doubt)
    }

    /// Whether a field drifted.
    pub fn drifts(&self) -> bool {
        self.flows.contains(&Flow::Drift)
    }

    fn fields(&self, wanted: impl Fn(Flow) -> bool + 'static) -> impl Iterator<Item = usize> + '_ {
        self.flows
            .iter()
            .enumerate()
            .filter(move |(_, flow)| wanted(**flow))
            .map(|(field, _)| field)
    }
}

/// Merges a pair. `remote` is `None` when the contact is known to be as the base has it.
pub fn merge(
    rules: &[FieldRule],
    link: &Link,
    local: &LocalView,
    remote: Option<&RemoteView>,
    circumstances: Circumstances,
) -> Merged {
    let flows = rules
        .iter()
        .enumerate()
        .map(|(field, rule)| {
            if local.values[field].is_err() {
                return Flow::Unreadable(Side::Local);
            }
            // F14: what was not handed over is as the base has it.
            let remote = remote.filter(|remote| !is_silent(&remote.values[field]));
            if remote.is_some_and(|remote| remote.values[field].is_err()) {
                return Flow::Unreadable(Side::Remote);
            }
            let base = link.bases.get(field).copied().flatten();
            let sight = Sight {
                local: local.digests[field],
                local_empty: local.value(field).is_none(),
                remote: remote.map(|remote| (remote.digests[field], remote.value(field).is_none())),
                base,
            };
            merge_field(*rule, sight, circumstances)
        })
        .collect();
    Merged { flows }
}

fn is_silent(value: &Result<Canonical, FieldProblem>) -> bool {
    value.as_ref().is_err_and(FieldProblem::is_silence)
}

/// What is seen of one field.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Digest of the row's value.
    pub local: crate::model::Digest,
    /// The row's value is empty.
    pub local_empty: bool,
    /// Digest of the contact's value and whether it is empty; `None`: as the base has it.
    pub remote: Option<(crate::model::Digest, bool)>,
    /// What both showed when they last agreed.
    pub base: Option<Base>,
}

/// Table F, row by row.
pub fn merge_field(rule: FieldRule, sight: Sight, circumstances: Circumstances) -> Flow {
    if rule.idle {
        // F13: the base follows what both show, so that the field never looks changed.
        let settled = sight.base.is_some_and(|base| {
            base.local == sight.local
                && sight.remote.is_none_or(|(remote, _)| remote == base.remote)
        });
        return if settled { Flow::Keep } else { Flow::Agree };
    }
    let Some(base) = sight.base else {
        return first_meeting(rule, sight, circumstances);
    };
    let (remote, remote_known) = sight
        .remote
        .map_or((base.remote, false), |(digest, _)| (digest, true));
    let equal = sight.local == remote;
    let local_changed = sight.local != base.local;
    let remote_changed = remote != base.remote;

    if let Some(side) = circumstances.rewound {
        // F12: a restored side counts as unchanged; what the other side shows flows into it.
        return match (side, equal, local_changed || remote_changed) {
            (_, true, true) => Flow::Agree,
            (_, _, false) => Flow::Keep,
            (Side::Remote, false, _) if rule.pushes() => Flow::ToRemote,
            (Side::Local, false, _) if rule.pulls() && remote_known => Flow::ToLocal,
            _ => Flow::Keep,
        };
    }
    match rule.direction {
        Direction::Both => match (local_changed, remote_changed) {
            (false, false) => Flow::Keep,    // F1: nobody touched it.
            _ if equal => Flow::Agree,       // F2: both came to the same value.
            (true, false) => Flow::ToRemote, // F3: edited in the database.
            (_, true) if circumstances.doubtful => ask(circumstances), // F15
            (false, true) => Flow::ToLocal,  // F4: edited in the CRM.
            (true, true) => conflict(rule, circumstances), // F5 to F8.
        },
        // F9: only the remote may change it; an edit of the row waits until the contact is seen.
        Direction::Pull => match (local_changed, remote_changed) {
            (false, false) => Flow::Keep,
            _ if equal => Flow::Agree,
            _ if remote_known => Flow::ToLocal,
            _ => Flow::Drift,
        },
        // F10: only the database may change it; an edit in the CRM waits for the row's next edit or a full read.
        Direction::Push => match (local_changed, remote_changed) {
            (false, false) => Flow::Keep,
            _ if equal => Flow::Agree,
            (true, _) => Flow::ToRemote,
            (false, true) if circumstances.full => Flow::ToRemote,
            (false, true) => Flow::Keep,
        },
    }
}

/// F11: the two sides never agreed on this field: a first meeting, or a field new to the mapping.
fn first_meeting(rule: FieldRule, sight: Sight, circumstances: Circumstances) -> Flow {
    let Some((remote, remote_empty)) = sight.remote else {
        return Flow::Keep;
    };
    if sight.local == remote {
        return Flow::Agree;
    }
    match (rule.direction, sight.local_empty, remote_empty) {
        (Direction::Pull, _, _) => Flow::ToLocal,
        (Direction::Push, _, _) => Flow::ToRemote,
        (Direction::Both, true, false) if !circumstances.waiting => Flow::ToLocal,
        (Direction::Both, false, true) if !circumstances.waiting => Flow::ToRemote,
        (Direction::Both, _, _) => conflict(rule, circumstances),
    }
}

fn conflict(rule: FieldRule, circumstances: Circumstances) -> Flow {
    match (circumstances.take, rule.policy, circumstances.newer) {
        (Some(side), _, _) => Flow::Settled(side), // F8: a person decided.
        (None, ConflictPolicy::Remote, _) => Flow::Settled(Side::Remote), // F5
        (None, ConflictPolicy::Local, _) => Flow::Settled(Side::Local), // F6
        (None, ConflictPolicy::Newest, Newer::Known(side)) => Flow::Settled(side), // F7
        (None, ConflictPolicy::Newest, Newer::Unknown) | (None, ConflictPolicy::Review, _) => {
            Flow::Review
        } // F8
    }
}

/// No policy decides what is perhaps no edit at all.
fn ask(circumstances: Circumstances) -> Flow {
    circumstances.take.map_or(Flow::Doubt, Flow::Settled)
}

/// Which of two edits is the later one. `remote` and `local` are the records' own times as instants; `remote_ahead` is how far
/// the service's clock runs ahead of ours; within `tolerance` the times can't tell.
pub fn newer(
    remote: Option<DateTime<Utc>>,
    local: Option<DateTime<Utc>>,
    remote_ahead: Duration,
    tolerance: Duration,
) -> Newer {
    let (Some(remote), Some(local)) = (remote, local) else {
        return Newer::Unknown;
    };
    let lead = (remote - remote_ahead) - local;
    if lead.abs() <= tolerance {
        Newer::Unknown
    } else if lead > Duration::zero() {
        Newer::Known(Side::Remote)
    } else {
        Newer::Known(Side::Local)
    }
}

#[cfg(test)]
pub(super) mod tests;
