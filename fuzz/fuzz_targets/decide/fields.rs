//! Table F: what flows, field by field.

use crate::model::{ConflictPolicy, Direction};
use crate::pairs::{Field, Pair, Presence, Shown};
use crate::sync::memory::{Base, Side};
use crate::sync::merge::{Flow, Merged, Newer, merge};

pub fn check(pair: &Pair) {
    let seen = (pair.remote == Presence::Seen).then_some(&pair.contact);
    let rules = pair.rules();
    let merged = merge(&rules, &pair.link, &pair.row, seen, pair.circumstances);
    assert_eq!(
        merged,
        merge(&rules, &pair.link, &pair.row, seen, pair.circumstances)
    );
    assert_eq!(merged.flows.len(), pair.fields.len(), "one flow a field");
    for (at, (field, flow)) in pair.fields.iter().zip(&merged.flows).enumerate() {
        check_field(pair, field, *flow, seen.is_some());
        let (to_row, to_contact) = (takes(merged.to_local(), at), takes(merged.to_remote(), at));
        assert!(!(to_row && to_contact), "a field flows one way");
        // F13 and the directions: nothing flows to a side that the rule forbids.
        assert!(!to_row || field.rule.pulls(), "{flow:?} {field:?}");
        assert!(!to_contact || field.rule.pushes(), "{flow:?} {field:?}");
    }
    settles(pair, &merged);
}

fn takes(mut fields: impl Iterator<Item = usize>, at: usize) -> bool {
    fields.any(|field| field == at)
}

fn check_field(pair: &Pair, field: &Field, flow: Flow, seen: bool) {
    let told = || format!("{flow:?} {field:?} {:?}", pair.circumstances);
    // F14: what was not handed over is as if the contact were not read.
    let shows = seen && field.contact != Shown::Silent;
    if field.row == Shown::Bad {
        assert_eq!(flow, Flow::Unreadable(Side::Local));
        return;
    }
    if shows && field.contact == Shown::Bad {
        assert_eq!(flow, Flow::Unreadable(Side::Remote));
        return;
    }
    assert!(!matches!(flow, Flow::Unreadable(_)), "{}", told());
    if field.rule.idle {
        assert!(matches!(flow, Flow::Keep | Flow::Agree), "F13 {}", told());
        return;
    }
    let row = field.row.digest();
    let contact = if shows {
        Some(field.contact.digest())
    } else {
        field.base.map(|base| base.remote)
    };
    let row_changed = field.base.is_none_or(|base| base.local != row);
    let contact_changed = field.base.is_none_or(|base| Some(base.remote) != contact);
    let both_ways = field.rule.direction == Direction::Both;
    let rewound = pair.circumstances.rewound;
    // F15: the contact shows a change that may be none.
    let in_doubt = pair.circumstances.doubtful
        && both_ways
        && rewound.is_none()
        && field.base.is_some()
        && contact_changed
        && Some(row) != contact;
    match flow {
        Flow::Agree => assert_eq!(Some(row), contact, "F2 {}", told()),
        // A side that nobody knows is not written over, and equal sides are not written at all.
        Flow::ToLocal => assert!(shows && Some(row) != contact, "{}", told()),
        Flow::ToRemote => assert!(contact.is_some() && Some(row) != contact, "{}", told()),
        Flow::Settled(_) | Flow::Review | Flow::Doubt => {
            assert!(both_ways && shows && Some(row) != contact, "{}", told());
            assert!(contact_changed && (row_changed || in_doubt), "{}", told());
        }
        Flow::Drift => assert!(
            field.rule.direction == Direction::Pull && !shows,
            "{}",
            told()
        ),
        Flow::Keep | Flow::Unreadable(_) => {}
    }
    let empty = |shown: Shown| matches!(shown, Shown::Value(number) if number % 4 == 0);
    if both_ways && (rewound.is_none() || field.base.is_none()) {
        // An edit is never overwritten by a side that nobody changed.
        let filled = field.base.is_none();
        let first = !pair.circumstances.waiting;
        match flow {
            // While a conflict waits, an emptied side is somebody's edit.
            Flow::ToLocal if filled => assert!(first && empty(field.row), "F11 {}", told()),
            Flow::ToRemote if filled => assert!(first && empty(field.contact), "F11 {}", told()),
            Flow::ToLocal => assert!(!row_changed && contact_changed, "F4 {}", told()),
            Flow::ToRemote => assert!(row_changed && !contact_changed, "F3 {}", told()),
            Flow::Keep if !filled => assert!(!row_changed && !contact_changed, "F1 {}", told()),
            _ => {}
        }
    }
    if let (true, Some(side), Some(_)) = (both_ways, rewound, field.base) {
        // F12: into the restored side, and never out of it.
        let out = match side {
            Side::Local => Flow::ToRemote,
            Side::Remote => Flow::ToLocal,
        };
        assert!(
            flow != out && !matches!(flow, Flow::Settled(_) | Flow::Review | Flow::Doubt),
            "F12 {}",
            told()
        );
    }
    if in_doubt {
        let answered = pair.circumstances.take.map_or(Flow::Doubt, Flow::Settled);
        assert_eq!(flow, answered, "F15 {}", told());
    } else if matches!(flow, Flow::Settled(_) | Flow::Review | Flow::Doubt) {
        let newest = match pair.circumstances.newer {
            Newer::Known(side) => Some(side),
            Newer::Unknown => None,
        };
        let winner = pair.circumstances.take.or(match field.rule.policy {
            ConflictPolicy::Remote => Some(Side::Remote),
            ConflictPolicy::Local => Some(Side::Local),
            ConflictPolicy::Newest => newest,
            ConflictPolicy::Review => None,
        });
        assert_eq!(
            flow,
            winner.map_or(Flow::Review, Flow::Settled),
            "F5 to F8 {}",
            told()
        );
    }
}

/// After what was decided is done, nothing is left to do.
fn settles(pair: &Pair, merged: &Merged) {
    let (mut link, mut row, mut contact) =
        (pair.link.clone(), pair.row.clone(), pair.contact.clone());
    let seen = pair.remote == Presence::Seen;
    for (at, flow) in merged.flows.iter().enumerate() {
        let shows = seen && pair.fields[at].contact != Shown::Silent;
        match flow {
            Flow::ToLocal | Flow::Settled(Side::Remote) => {
                row.digests[at] = contact.digests[at];
                row.values[at] = contact.values[at].clone();
            }
            Flow::ToRemote | Flow::Settled(Side::Local) => {
                contact.digests[at] = row.digests[at];
                contact.values[at] = row.values[at].clone();
            }
            Flow::Agree if !shows => {}
            Flow::Agree => {}
            Flow::Keep | Flow::Review | Flow::Doubt | Flow::Unreadable(_) | Flow::Drift => continue,
        }
        let local = row.digests[at];
        let remote = match flow {
            // The contact is as the base has it.
            Flow::Agree if !shows => pair.fields[at].base.map_or(local, |base| base.remote),
            _ => contact.digests[at],
        };
        link.bases[at] = Some(Base { local, remote });
    }
    let again = merge(
        &pair.rules(),
        &link,
        &row,
        seen.then_some(&contact),
        pair.circumstances,
    );
    for (at, (first, second)) in merged.flows.iter().zip(&again.flows).enumerate() {
        let done = !matches!(
            first,
            Flow::Keep | Flow::Review | Flow::Doubt | Flow::Unreadable(_) | Flow::Drift
        );
        assert!(
            !done || *second == Flow::Keep,
            "{first:?} is followed by {second:?}: {:?} {:?}",
            pair.fields[at],
            pair.circumstances
        );
    }
}
