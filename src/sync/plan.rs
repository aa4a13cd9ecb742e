//! What becomes of a pair: presence on both sides against the link (sync-semantics, table P).
//!
//! Pure and total: every combination has a step, and the same inputs give the same step.

use crate::model::{DeletePolicy, Direction};

use super::memory::{Link, Side};
use super::merge::{Circumstances, FieldRule, Merged, merge};
use super::view::{LocalView, RemoteView};

/// How the contact of a link stands.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteState {
    /// As the base has it: it was read and is the same, or was not in an incremental answer.
    Unchanged,
    /// Read, and not as the base has it (or read because something else needs it).
    Seen(RemoteView),
    /// Proved to be gone: marked as deleted, or absent from a full read and not found by a look-up.
    Dead,
}

/// How the row of a link stands.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalState {
    /// There.
    Row(LocalView),
    /// Deleted, or marked as deleted.
    Gone,
}

/// What to do about a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Both are there: field by field.
    Settle(Merged),
    /// The contact died, the row is as it was: the row goes (or is marked).
    DeleteLocal,
    /// The row is gone, the contact is as it was: the contact goes.
    DeleteRemote,
    /// A deletion on this side waits for a person.
    HoldDelete(Side),
    /// The row is gone, and what the contact shows may be older than that, or an edit: a person is asked.
    DoubtDelete,
    /// A deletion on this side is not carried over; the other record is left alone from now on.
    IgnoreDelete(Side),
    /// The row is gone, but the contact was edited: the edit wins.
    RestoreLocal,
    /// The contact died, but the row was edited: the edit wins.
    RestoreRemote,
    /// Gone on both sides.
    Bury,
}

/// What the presence table must know besides the pair.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    /// One per field.
    pub fields: &'a [FieldRule],
    /// The bridge's direction.
    pub direction: Direction,
    /// The bridge's policy on deletions.
    pub deletes: DeletePolicy,
    /// For the merge.
    pub circumstances: Circumstances,
}

/// Table P.
pub fn plan_pair(
    link: &Link,
    remote: &RemoteState,
    local: &LocalState,
    policies: Policies<'_>,
) -> Step {
    let restored = policies.circumstances.rewound;
    match (remote, local) {
        // P8: a deletion that was to be ignored stays ignored until the record is back.
        (RemoteState::Unchanged, LocalState::Row(_)) if link.gone == Some(Side::Remote) => {
            Step::Nothing
        }
        (RemoteState::Dead, LocalState::Row(_))
            if link.gone == Some(Side::Remote) && policies.circumstances.take.is_none() =>
        {
            Step::Nothing
        }
        (RemoteState::Unchanged | RemoteState::Seen(_), LocalState::Gone)
            if link.gone == Some(Side::Local) && policies.circumstances.take.is_none() =>
        {
            Step::Nothing
        }

        // P1: both there.
        (RemoteState::Unchanged, LocalState::Row(row)) => Step::Settle(merge(
            policies.fields,
            link,
            row,
            None,
            policies.circumstances,
        )),
        (RemoteState::Seen(contact), LocalState::Row(row)) => Step::Settle(merge(
            policies.fields,
            link,
            row,
            Some(contact),
            policies.circumstances,
        )),

        // P2: deleted in the CRM.
        (RemoteState::Dead, LocalState::Row(row)) => {
            let waiting = policies.circumstances.waiting;
            let edited = local_edited(policies.fields, link, row, waiting);
            match policies.direction {
                // P9: an accepted rewind is no deletion: the record flows back.
                _ if restored == Some(Side::Remote) && policies.direction.pushes() => {
                    Step::RestoreRemote
                }
                Direction::Push if edited || policies.circumstances.full => Step::RestoreRemote,
                Direction::Push => Step::Nothing,
                Direction::Both if edited => Step::RestoreRemote, // P5
                _ => carry(
                    policies,
                    Side::Remote,
                    Step::DeleteLocal,
                    Step::RestoreRemote,
                ),
            }
        }

        // P3: deleted in the database.
        (RemoteState::Unchanged | RemoteState::Seen(_), LocalState::Gone) => {
            let waiting = policies.circumstances.waiting;
            // F12: a contact that an accepted backup brought back counts as unchanged.
            let edited = restored != Some(Side::Remote)
                && matches!(remote, RemoteState::Seen(contact) if remote_edited(policies.fields, link, contact, waiting));
            let doubtful =
                policies.circumstances.doubtful && (edited || *remote == RemoteState::Unchanged);
            match policies.direction {
                _ if restored == Some(Side::Local) && policies.direction.pulls() => {
                    Step::RestoreLocal
                }
                Direction::Pull if edited || policies.circumstances.full => Step::RestoreLocal,
                Direction::Pull => Step::Nothing,
                Direction::Both if doubtful => doubt(policies), // P4 in doubt (F15)
                Direction::Both if edited => Step::RestoreLocal, // P4
                _ => carry(
                    policies,
                    Side::Local,
                    Step::DeleteRemote,
                    Step::RestoreLocal,
                ),
            }
        }

        // P6: gone on both sides.
        (RemoteState::Dead, LocalState::Gone) => Step::Bury,
    }
}

/// P4 in doubt: nothing tells an edit that wins from a backup that the deletion is later than. Only a person deletes the contact, or
/// makes the row anew.
fn doubt(policies: Policies<'_>) -> Step {
    let deletes = match policies.deletes {
        DeletePolicy::Ignore => DeletePolicy::Ignore,
        DeletePolicy::Apply | DeletePolicy::Review => DeletePolicy::Review,
    };
    let asked = Policies {
        deletes,
        ..policies
    };
    match carry(asked, Side::Local, Step::DeleteRemote, Step::RestoreLocal) {
        Step::HoldDelete(_) => Step::DoubtDelete,
        answered => answered,
    }
}

/// P7: a deletion on `dead` meets an unchanged record on the other side.
fn carry(policies: Policies<'_>, dead: Side, delete: Step, restore: Step) -> Step {
    let flows_back = match dead {
        Side::Local => policies.direction.pulls(),
        Side::Remote => policies.direction.pushes(),
    };
    match (policies.circumstances.take, policies.deletes) {
        (Some(side), _) if side == dead => delete,
        (Some(_), _) if flows_back => restore,
        // Where nothing flows to the source, whoever keeps the record keeps the target's alone.
        (Some(_), _) => Step::IgnoreDelete(dead),
        (None, DeletePolicy::Apply) => delete,
        (None, DeletePolicy::Review) => Step::HoldDelete(dead),
        (None, DeletePolicy::Ignore) => Step::IgnoreDelete(dead),
    }
}

/// Whether the row shows an edit that would flow to the remote. A value that never agreed counts (an empty one while a conflict is
/// `waiting`, one that flows one way where the record changed at all): nothing tells it from an edit, and in doubt a record lives.
pub fn local_edited(rules: &[FieldRule], link: &Link, row: &LocalView, waiting: bool) -> bool {
    rules.iter().enumerate().any(|(field, rule)| {
        rule.pushes()
            && row.values[field].is_ok()
            && link.bases.get(field).copied().flatten().map_or(
                (rule.pulls() && (waiting || row.value(field).is_some())) || row.row != link.row,
                |base| base.local != row.digests[field],
            )
    })
}

/// Whether the contact shows an edit that would flow to the database; see [`local_edited`].
pub fn remote_edited(
    rules: &[FieldRule],
    link: &Link,
    contact: &RemoteView,
    waiting: bool,
) -> bool {
    rules.iter().enumerate().any(|(field, rule)| {
        rule.pulls()
            && contact.values[field].is_ok()
            && link.bases.get(field).copied().flatten().map_or(
                (rule.pushes() && (waiting || contact.value(field).is_some()))
                    || contact.stamp != link.stamp,
                |base| base.remote != contact.digests[field],
            )
    })
}

/// Whether the contact is exactly as the base has it, child rules included.
pub fn remote_unchanged(link: &Link, contact: &RemoteView) -> bool {
    link.bases.len() == contact.digests.len()
        && link
            .bases
            .iter()
            .zip(&contact.digests)
            .zip(&contact.values)
            .all(|((base, digest), value)| match value {
                Ok(_) => base.is_some_and(|base| base.remote == *digest),
                // What can't be read is held in quarantine under the record's content; it is no change.
                Err(_) => true,
            })
        && link.children.len() == contact.children.len()
        && children_unchanged(link, contact)
}

/// Whether the parts of every child rule are as they were.
pub fn children_unchanged(link: &Link, contact: &RemoteView) -> bool {
    contact
        .children
        .iter()
        .enumerate()
        .all(|(rule, view)| match (view, link.children.get(rule)) {
            (Some(view), Some(base)) => view.content == base.content,
            (Some(_), None) => false,
            (None, _) => true,
        })
}

#[cfg(test)]
mod tests;
