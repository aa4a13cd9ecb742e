//! Table F, case by case, and its laws.

use super::*;
use crate::model::Digest;
use proptest::prelude::*;

const CALM: Circumstances = Circumstances {
    newer: Newer::Unknown,
    full: false,
    rewound: None,
    doubtful: false,
    take: None,
    waiting: false,
};

fn rule(direction: Direction, policy: ConflictPolicy) -> FieldRule {
    FieldRule {
        direction,
        policy,
        idle: false,
    }
}

/// Values are small numbers, 0 is empty; the base is (local, remote).
fn sight(local: u64, remote: Option<u64>, base: Option<(u64, u64)>) -> Sight {
    Sight {
        local: Digest(local),
        local_empty: local == 0,
        remote: remote.map(|remote| (Digest(remote), remote == 0)),
        base: base.map(|(local, remote)| Base {
            local: Digest(local),
            remote: Digest(remote),
        }),
    }
}

fn both(policy: ConflictPolicy, local: u64, remote: Option<u64>, base: Option<(u64, u64)>) -> Flow {
    merge_field(
        rule(Direction::Both, policy),
        sight(local, remote, base),
        CALM,
    )
}

#[test]
fn f14_what_was_not_handed_over_is_as_the_base_has_it() {
    use crate::model::{LocalKey, RemoteId};
    let silence: Result<Canonical, FieldProblem> = Err(FieldProblem::silence());
    let remote = RemoteView {
        id: RemoteId("1".into()),
        stamp: None,
        deleted: false,
        values: vec![silence.clone(), silence, Ok(Some("new".into()))],
        digests: vec![Digest(0), Digest(0), Digest(9)],
        children: Vec::new(),
        child_problems: Vec::new(),
        external: None,
        email: None,
        content: Digest(0),
    };
    let local = LocalView {
        key: LocalKey::Int(1),
        values: vec![Ok(Some("old".into())); 3],
        digests: vec![Digest(3); 3],
        row: Digest(1),
        changed_at: None,
        marked: false,
        external: None,
        email: None,
    };
    let agreed = Some(Base {
        local: Digest(3),
        remote: Digest(3),
    });
    let link = Link {
        row: local.row,
        mapping: 1,
        bases: vec![agreed, None, agreed],
        ..Link::bare(remote.id.clone(), local.key.clone())
    };
    let pull = rule(Direction::Pull, ConflictPolicy::Newest);
    let merged = merge(&[pull; 3], &link, &local, Some(&remote), CALM);
    assert_eq!(merged.flows, [Flow::Keep, Flow::Keep, Flow::ToLocal]);
}

#[test]
fn table_f_two_way() {
    use ConflictPolicy::{Local, Newest, Remote, Review};
    let cases = [
        // (policy, row, contact, base, flow, story)
        (
            Newest,
            1,
            Some(1),
            Some((1, 1)),
            Flow::Keep,
            "F1 nobody touched it",
        ),
        (
            Newest,
            1,
            None,
            Some((1, 1)),
            Flow::Keep,
            "F1 contact not read",
        ),
        (
            Newest,
            1,
            Some(2),
            Some((1, 2)),
            Flow::Keep,
            "F1 a lossy field stays as each side shows it",
        ),
        (
            Newest,
            3,
            Some(3),
            Some((1, 1)),
            Flow::Agree,
            "F2 same edit on both",
        ),
        (
            Newest,
            2,
            Some(2),
            Some((1, 2)),
            Flow::Agree,
            "F2 the row came to the contact's value",
        ),
        (
            Newest,
            3,
            None,
            Some((1, 1)),
            Flow::ToRemote,
            "F3 edited in the database",
        ),
        (
            Newest,
            0,
            Some(1),
            Some((1, 1)),
            Flow::ToRemote,
            "F3 cleared in the database",
        ),
        (
            Newest,
            1,
            Some(3),
            Some((1, 1)),
            Flow::ToLocal,
            "F4 edited in the CRM",
        ),
        (
            Newest,
            1,
            Some(0),
            Some((1, 1)),
            Flow::ToLocal,
            "F4 cleared in the CRM",
        ),
        (
            Remote,
            2,
            Some(3),
            Some((1, 1)),
            Flow::Settled(Side::Remote),
            "F5",
        ),
        (
            Local,
            2,
            Some(3),
            Some((1, 1)),
            Flow::Settled(Side::Local),
            "F6",
        ),
        (
            Newest,
            2,
            Some(3),
            Some((1, 1)),
            Flow::Review,
            "F7 the times can't tell",
        ),
        (Review, 2, Some(3), Some((1, 1)), Flow::Review, "F8"),
        (
            Review,
            2,
            Some(2),
            None,
            Flow::Agree,
            "F11 first meeting, equal",
        ),
        (
            Review,
            0,
            Some(2),
            None,
            Flow::ToLocal,
            "F11 first meeting, the row is empty",
        ),
        (
            Review,
            2,
            Some(0),
            None,
            Flow::ToRemote,
            "F11 first meeting, the contact is empty",
        ),
        (
            Local,
            2,
            Some(3),
            None,
            Flow::Settled(Side::Local),
            "F11 first meeting, differing",
        ),
        (
            Local,
            2,
            None,
            None,
            Flow::Keep,
            "F11 without the contact nothing can be said",
        ),
    ];
    for (policy, local, remote, base, flow, story) in cases {
        assert_eq!(both(policy, local, remote, base), flow, "{story}");
    }
}

#[test]
fn table_f_one_way() {
    let pull = rule(Direction::Pull, ConflictPolicy::Local);
    let push = rule(Direction::Push, ConflictPolicy::Remote);
    let full = Circumstances { full: true, ..CALM };
    let cases = [
        (
            pull,
            2,
            None,
            CALM,
            Flow::Drift,
            "F9 an edit of the row waits",
        ),
        (
            pull,
            2,
            Some(1),
            CALM,
            Flow::ToLocal,
            "F9 and the source wins when the contact is seen",
        ),
        (pull, 1, Some(3), CALM, Flow::ToLocal, "F9"),
        (
            push,
            1,
            Some(3),
            CALM,
            Flow::Keep,
            "F10 an edit in the CRM waits",
        ),
        (
            push,
            1,
            Some(3),
            full,
            Flow::ToRemote,
            "F10 the source wins in a full read",
        ),
        (
            push,
            2,
            Some(3),
            CALM,
            Flow::ToRemote,
            "F10 or when the row changes",
        ),
        (push, 2, None, CALM, Flow::ToRemote, "F10"),
    ];
    for (rule, local, remote, circumstances, flow, story) in cases {
        assert_eq!(
            merge_field(rule, sight(local, remote, Some((1, 1))), circumstances),
            flow,
            "{story}"
        );
    }
}

#[test]
fn f13_a_field_that_its_bridge_excludes_never_flows_and_never_looks_changed() {
    let idle = FieldRule {
        idle: true,
        ..rule(Direction::Push, ConflictPolicy::Newest)
    };
    assert_eq!(
        merge_field(idle, sight(1, Some(2), None), CALM),
        Flow::Agree
    );
    assert_eq!(
        merge_field(idle, sight(1, Some(2), Some((1, 2))), CALM),
        Flow::Keep
    );
    assert_eq!(
        merge_field(idle, sight(3, None, Some((1, 2))), CALM),
        Flow::Agree
    );
    assert!(!idle.pushes() && !idle.pulls());
}

#[test]
fn h63_a_restored_side_is_filled_by_the_other() {
    let restored = |side| Circumstances {
        rewound: Some(side),
        ..CALM
    };
    let rule = rule(Direction::Both, ConflictPolicy::Review);
    assert_eq!(
        merge_field(
            rule,
            sight(2, Some(1), Some((2, 2))),
            restored(Side::Remote)
        ),
        Flow::ToRemote
    );
    assert_eq!(
        merge_field(rule, sight(1, Some(2), Some((2, 2))), restored(Side::Local)),
        Flow::ToLocal
    );
    assert_eq!(
        merge_field(
            rule,
            sight(3, Some(1), Some((2, 2))),
            restored(Side::Remote)
        ),
        Flow::ToRemote
    );
    assert_eq!(
        merge_field(
            rule,
            sight(2, Some(3), Some((2, 3))),
            restored(Side::Remote)
        ),
        Flow::Keep,
        "lossy stays"
    );
}

#[test]
fn the_later_edit_wins_only_when_the_clocks_can_tell() {
    let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0);
    let tolerance = Duration::minutes(2);
    assert_eq!(
        newer(at(10), at(5), Duration::zero(), tolerance),
        Newer::Known(Side::Remote)
    );
    assert_eq!(
        newer(at(5), at(10), Duration::zero(), tolerance),
        Newer::Known(Side::Local)
    );
    assert_eq!(
        newer(at(10), at(8), Duration::zero(), tolerance),
        Newer::Unknown
    );
    assert_eq!(
        newer(at(20), at(10), Duration::minutes(15), tolerance),
        Newer::Known(Side::Local),
        "the service's clock is ahead"
    );
    assert_eq!(
        newer(None, at(10), Duration::zero(), tolerance),
        Newer::Unknown
    );
}

#[test]
fn f9_to_f12_a_field_flows_its_one_way_and_keeps_what_a_lossy_side_shows() {
    let pull = rule(Direction::Pull, ConflictPolicy::Local);
    let push = rule(Direction::Push, ConflictPolicy::Remote);
    let two_way = rule(Direction::Both, ConflictPolicy::Review);
    let waiting = Circumstances {
        waiting: true,
        ..CALM
    };
    let restored = |side| Circumstances {
        rewound: Some(side),
        ..CALM
    };
    let (remote, local) = (restored(Side::Remote), restored(Side::Local));
    let agreed = Some((2, 2));
    let cases = [
        (pull, 1, Some(2), Some((1, 2)), CALM, Flow::Keep),
        (push, 1, Some(2), Some((1, 2)), CALM, Flow::Keep),
        (pull, 3, Some(3), agreed, CALM, Flow::Agree),
        (push, 3, Some(3), agreed, CALM, Flow::Agree),
        // F11: the source wins, whichever side is empty.
        (pull, 2, Some(0), None, CALM, Flow::ToLocal),
        (push, 0, Some(2), None, CALM, Flow::ToRemote),
        // An emptied side is somebody's edit while a conflict waits.
        (two_way, 0, Some(2), None, CALM, Flow::ToLocal),
        (two_way, 0, Some(2), None, waiting, Flow::Review),
        (two_way, 2, Some(0), None, CALM, Flow::ToRemote),
        (two_way, 2, Some(0), None, waiting, Flow::Review),
        // F12: nothing flows against the direction, nor from what was not read.
        (two_way, 3, Some(3), agreed, remote, Flow::Agree),
        (two_way, 2, Some(2), agreed, remote, Flow::Keep),
        (two_way, 3, None, agreed, remote, Flow::ToRemote),
        (two_way, 3, None, agreed, local, Flow::Keep),
        (pull, 2, Some(1), agreed, remote, Flow::Keep),
        (pull, 1, Some(2), agreed, local, Flow::ToLocal),
        (push, 2, Some(1), agreed, remote, Flow::ToRemote),
        (push, 1, Some(2), agreed, local, Flow::Keep),
    ];
    for (rule, local, remote, base, circumstances, flow) in cases {
        let sight = sight(local, remote, base);
        let got = merge_field(rule, sight, circumstances);
        assert_eq!(got, flow, "{rule:?} {sight:?} {circumstances:?}");
    }
    let idle = FieldRule { idle: true, ..pull };
    assert_eq!(
        merge_field(idle, sight(1, Some(3), Some((1, 2))), CALM),
        Flow::Agree,
        "F13 the contact alone changed"
    );
}

#[test]
fn f7_and_f8_a_conflict_goes_by_the_person_then_the_policy_then_the_clock() {
    use ConflictPolicy::{Newest, Remote, Review};
    use Side::Local;
    let cases = [
        (Newest, Newer::Known(Local), None, Flow::Settled(Local)),
        (Newest, Newer::Unknown, None, Flow::Review),
        (Review, Newer::Known(Local), None, Flow::Review),
        (Remote, Newer::Unknown, Some(Local), Flow::Settled(Local)),
        (Review, Newer::Unknown, Some(Local), Flow::Settled(Local)),
    ];
    for (policy, newer, take, flow) in cases {
        let circumstances = Circumstances {
            newer,
            take,
            ..CALM
        };
        let sight = sight(2, Some(3), Some((1, 1)));
        let got = merge_field(rule(Direction::Both, policy), sight, circumstances);
        assert_eq!(got, flow, "{policy:?} {newer:?} {take:?}");
    }
}

#[test]
fn each_flow_is_counted_where_it_belongs() {
    let merged = Merged {
        flows: vec![
            Flow::Keep,
            Flow::Agree,
            Flow::ToLocal,
            Flow::ToRemote,
            Flow::Settled(Side::Remote),
            Flow::Settled(Side::Local),
            Flow::Review,
            Flow::Unreadable(Side::Remote),
            Flow::Unreadable(Side::Local),
            Flow::Doubt,
        ],
    };
    assert_eq!(merged.to_local().collect::<Vec<_>>(), [2, 4]);
    assert_eq!(merged.to_remote().collect::<Vec<_>>(), [3, 5]);
    assert_eq!(merged.in_review().collect::<Vec<_>>(), [6, 9]);
    assert_eq!(merged.conflicts().collect::<Vec<_>>(), [4, 5, 6, 9]);
    assert_eq!(merged.unreadable().collect::<Vec<_>>(), [7, 8]);
    assert!(!merged.drifts());
    assert!(merged.is_doubtful());
    let drifted = Merged {
        flows: vec![Flow::Keep, Flow::Drift],
    };
    assert!(drifted.drifts());
    assert!(!drifted.is_doubtful());
}

#[test]
fn a_field_flows_where_its_direction_says() {
    let cases = [
        (Direction::Both, true, true),
        (Direction::Pull, true, false),
        (Direction::Push, false, true),
    ];
    for (direction, pulls, pushes) in cases {
        let rule = rule(direction, ConflictPolicy::Newest);
        assert_eq!((rule.pulls(), rule.pushes()), (pulls, pushes));
    }
}

pub(in crate::sync) fn other(side: Side) -> Side {
    match side {
        Side::Local => Side::Remote,
        Side::Remote => Side::Local,
    }
}

/// The same with the sides swapped.
pub(in crate::sync) fn mirror(flow: Flow) -> Flow {
    match flow {
        Flow::ToLocal => Flow::ToRemote,
        Flow::ToRemote => Flow::ToLocal,
        Flow::Settled(side) => Flow::Settled(other(side)),
        Flow::Unreadable(side) => Flow::Unreadable(other(side)),
        same @ (Flow::Keep | Flow::Agree | Flow::Review | Flow::Doubt | Flow::Drift) => same,
    }
}

proptest! {
    #[test]
    fn sides_that_show_the_same_write_nothing_whatever_the_base(
        value in 0u64..4, base in proptest::option::of((0u64..4, 0u64..4)), policy in 0usize..4, direction in 0usize..3, full: bool,
    ) {
        let policy = [ConflictPolicy::Local, ConflictPolicy::Remote, ConflictPolicy::Newest, ConflictPolicy::Review][policy];
        let direction = [Direction::Both, Direction::Pull, Direction::Push][direction];
        let circumstances = Circumstances { full, ..CALM };
        let flow = |base| merge_field(rule(direction, policy), sight(value, Some(value), base), circumstances);
        prop_assert!(matches!(flow(base), Flow::Keep | Flow::Agree), "{:?}", flow(base));
        prop_assert_eq!(flow(Some((value, value))), Flow::Keep);
    }

    #[test]
    fn swapping_the_sides_swaps_the_flow(local in 0u64..4, remote in 0u64..4, base in proptest::option::of((0u64..4, 0u64..4)), policy in 0usize..4) {
        use ConflictPolicy::{Local, Newest, Remote, Review};
        let (here, there) = [(Local, Remote), (Remote, Local), (Newest, Newest), (Review, Review)][policy];
        let flow = both(here, local, Some(remote), base);
        let swapped = both(there, remote, Some(local), base.map(|(local, remote)| (remote, local)));
        prop_assert_eq!(mirror(flow), swapped);
    }

    #[test]
    fn after_what_was_decided_is_done_nothing_is_left_to_do(local in 0u64..4, remote in 0u64..4, base in proptest::option::of((0u64..4, 0u64..4)), side: bool) {
        let policy = if side { ConflictPolicy::Local } else { ConflictPolicy::Remote };
        let (local, remote) = match both(policy, local, Some(remote), base) {
            Flow::ToLocal | Flow::Settled(Side::Remote) => (remote, remote),
            Flow::ToRemote | Flow::Settled(Side::Local) => (local, local),
            _ => (local, remote),
        };
        prop_assert_eq!(both(policy, local, Some(remote), Some((local, remote))), Flow::Keep);
    }
}

#[test]
fn f15_a_contact_that_went_back_is_asked_about_whatever_the_policy() {
    use ConflictPolicy::{Local, Newest, Remote, Review};
    for policy in [Remote, Local, Newest, Review] {
        for local in [1, 3] {
            let flow = |take| {
                let doubtful = Circumstances {
                    doubtful: true,
                    take,
                    ..CALM
                };
                let seen = sight(local, Some(2), Some((1, 1)));
                merge_field(rule(Direction::Both, policy), seen, doubtful)
            };
            assert_eq!(flow(None), Flow::Doubt, "{policy:?}");
            for side in [Side::Local, Side::Remote] {
                assert_eq!(flow(Some(side)), Flow::Settled(side), "{policy:?}");
            }
        }
    }
}
