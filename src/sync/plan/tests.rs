//! Table P, case by case, and its laws.

use super::*;
use crate::model::{ConflictPolicy, Digest, FieldProblem, LocalKey, RemoteId, Stamp};
use crate::sync::memory::{Base, ChildBase};
use crate::sync::merge::tests::{mirror, other};
use crate::sync::merge::{Flow, Newer};
use crate::sync::view::ChildView;
use proptest::prelude::*;

const RULES: [FieldRule; 1] = [FieldRule {
    idle: false,
    direction: Direction::Both,
    policy: ConflictPolicy::Newest,
}];

fn link() -> Link {
    Link {
        mapping: 1,
        bases: vec![Some(Base {
            local: Digest(1),
            remote: Digest(1),
        })],
        ..Link::bare(RemoteId("1".into()), LocalKey::Int(1))
    }
}

fn row(value: u64) -> LocalState {
    LocalState::Row(seen_row(value))
}

fn seen_row(value: u64) -> LocalView {
    LocalView {
        key: LocalKey::Int(1),
        values: vec![Ok(Some(value.to_string()))],
        digests: vec![Digest(value)],
        row: Digest(value),
        changed_at: None,
        marked: false,
        external: None,
        email: None,
    }
}

fn contact(value: u64) -> RemoteState {
    RemoteState::Seen(seen_contact(value))
}

fn seen_contact(value: u64) -> RemoteView {
    RemoteView {
        id: RemoteId("1".into()),
        stamp: None,
        deleted: false,
        values: vec![Ok(Some(value.to_string()))],
        digests: vec![Digest(value)],
        children: Vec::new(),
        child_problems: Vec::new(),
        external: None,
        email: None,
        content: Digest(value),
    }
}

fn policies(
    direction: Direction,
    deletes: DeletePolicy,
    full: bool,
    take: Option<Side>,
) -> Policies<'static> {
    Policies {
        fields: &RULES,
        direction,
        deletes,
        circumstances: Circumstances {
            newer: Newer::Unknown,
            full,
            rewound: None,
            doubtful: false,
            take,
            waiting: false,
        },
    }
}

fn mirrored(step: Step) -> Step {
    match step {
        Step::Settle(merged) => Step::Settle(Merged {
            flows: merged.flows.into_iter().map(mirror).collect(),
        }),
        Step::DeleteLocal => Step::DeleteRemote,
        Step::DeleteRemote => Step::DeleteLocal,
        Step::HoldDelete(side) => Step::HoldDelete(other(side)),
        Step::IgnoreDelete(side) => Step::IgnoreDelete(other(side)),
        Step::RestoreLocal => Step::RestoreRemote,
        Step::RestoreRemote => Step::RestoreLocal,
        same @ (Step::Nothing | Step::Bury) => same,
        Step::DoubtDelete => unreachable!("nothing is in doubt here"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn swapping_the_sides_swaps_the_step(
        local in proptest::option::of(0u64..4), remote in proptest::option::of(0u64..4), base in (0u64..4, 0u64..4),
        gone in 0usize..3, deletes in 0usize..3, policy in 0usize..4, take in 0usize..3, full: bool, waiting: bool,
    ) {
        use ConflictPolicy::{Local, Newest, Remote, Review};
        let side = |at: usize| [None, Some(Side::Local), Some(Side::Remote)][at];
        let flipped = |at: usize| side([0, 2, 1][at]);
        let deletes = [DeletePolicy::Apply, DeletePolicy::Review, DeletePolicy::Ignore][deletes];
        let step = |local: Option<u64>, remote: Option<u64>, base: (u64, u64), gone, take, policy| {
            let link = Link {
                gone,
                row: Digest(base.0),
                bases: vec![Some(Base { local: Digest(base.0), remote: Digest(base.1) })],
                ..link()
            };
            let fields = [FieldRule { policy, ..RULES[0] }];
            let policies = Policies {
                fields: &fields,
                direction: Direction::Both,
                deletes,
                circumstances: Circumstances { newer: Newer::Unknown, full, rewound: None, doubtful: false, take, waiting },
            };
            let remote = remote.map_or(RemoteState::Dead, contact);
            let local = local.map_or(LocalState::Gone, row);
            let planned = plan_pair(&link, &remote, &local, policies);
            assert_eq!(planned, plan_pair(&link, &remote, &local, policies), "the same twice");
            planned
        };
        let (here, there) = [(Local, Remote), (Remote, Local), (Newest, Newest), (Review, Review)][policy];
        let planned = step(local, remote, base, side(gone), side(take), here);
        let other = step(remote, local, (base.1, base.0), flipped(gone), flipped(take), there);
        prop_assert_eq!(mirrored(planned.clone()), other);
        // An edit is never lost to a deletion, whatever a person said before they could see it.
        if side(gone).is_none() {
            let edited = local.is_some_and(|local| local != base.0) || remote.is_some_and(|remote| remote != base.1);
            prop_assert!(!edited || !matches!(planned, Step::DeleteLocal | Step::DeleteRemote));
        }
    }
}

#[test]
fn table_p() {
    use DeletePolicy::{Apply, Ignore, Review};
    use Direction::{Both, Pull, Push};
    use RemoteState::{Dead, Unchanged};
    let gone = LocalState::Gone;
    let cases = [
        (
            Dead,
            row(1),
            Both,
            Apply,
            false,
            None,
            Step::DeleteLocal,
            "P2 deleted in the CRM",
        ),
        (
            Dead,
            row(2),
            Both,
            Apply,
            false,
            None,
            Step::RestoreRemote,
            "P5 deleted in the CRM, edited in the database",
        ),
        (
            Unchanged,
            gone.clone(),
            Both,
            Apply,
            false,
            None,
            Step::DeleteRemote,
            "P3 deleted in the database",
        ),
        (
            contact(1),
            gone.clone(),
            Both,
            Apply,
            false,
            None,
            Step::DeleteRemote,
            "P3 read and unchanged",
        ),
        (
            contact(2),
            gone.clone(),
            Both,
            Apply,
            false,
            None,
            Step::RestoreLocal,
            "P4 deleted in the database, edited in the CRM",
        ),
        (
            Dead,
            gone.clone(),
            Both,
            Apply,
            false,
            None,
            Step::Bury,
            "P6 gone on both",
        ),
        (
            Dead,
            row(1),
            Both,
            Review,
            false,
            None,
            Step::HoldDelete(Side::Remote),
            "P7 review",
        ),
        (
            Unchanged,
            gone.clone(),
            Both,
            Review,
            false,
            None,
            Step::HoldDelete(Side::Local),
            "P7 review",
        ),
        (
            Dead,
            row(1),
            Both,
            Review,
            false,
            Some(Side::Remote),
            Step::DeleteLocal,
            "P7 a person let it go",
        ),
        (
            Dead,
            row(1),
            Both,
            Review,
            false,
            Some(Side::Local),
            Step::RestoreRemote,
            "P7 a person keeps it",
        ),
        (
            Dead,
            row(1),
            Both,
            Ignore,
            false,
            None,
            Step::IgnoreDelete(Side::Remote),
            "P7 ignore",
        ),
        (
            Dead,
            row(2),
            Pull,
            Apply,
            false,
            None,
            Step::DeleteLocal,
            "one way: the source decides",
        ),
        (
            Unchanged,
            gone.clone(),
            Pull,
            Apply,
            false,
            None,
            Step::Nothing,
            "one way: the target is not read for changes",
        ),
        (
            Unchanged,
            gone.clone(),
            Pull,
            Apply,
            true,
            None,
            Step::RestoreLocal,
            "but in a full read the source wins",
        ),
        (
            Dead,
            row(1),
            Push,
            Apply,
            true,
            None,
            Step::RestoreRemote,
            "one way, the other way round",
        ),
        (
            Unchanged,
            gone,
            Push,
            Apply,
            false,
            None,
            Step::DeleteRemote,
            "one way: the source decides",
        ),
    ];
    for (remote, local, direction, deletes, full, take, step, story) in cases {
        assert_eq!(
            plan_pair(
                &link(),
                &remote,
                &local,
                policies(direction, deletes, full, take)
            ),
            step,
            "{story}"
        );
    }
}

#[test]
fn p8_an_ignored_deletion_stays_ignored() {
    let link = Link {
        gone: Some(Side::Remote),
        ..link()
    };
    let policies = policies(Direction::Both, DeletePolicy::Ignore, true, None);
    assert_eq!(
        plan_pair(&link, &RemoteState::Dead, &row(2), policies),
        Step::Nothing
    );
    assert!(
        matches!(
            plan_pair(&link, &contact(1), &row(1), policies),
            Step::Settle(_)
        ),
        "until the record is back"
    );
}

#[test]
fn p8_what_is_ignored_on_either_side_waits_for_the_record_or_a_person() {
    use Side::{Local, Remote};
    let settled = |value| match plan_pair(
        &link(),
        &RemoteState::Unchanged,
        &row(value),
        policies(Direction::Both, DeletePolicy::Ignore, false, None),
    ) {
        Step::Settle(merged) => merged.flows,
        other => panic!("{other:?}"),
    };
    assert_eq!(settled(1), [Flow::Keep]);
    assert_eq!(settled(2), [Flow::ToRemote]);
    let unchanged = RemoteState::Unchanged;
    let cases = [
        (Remote, unchanged.clone(), row(2), None, Step::Nothing),
        (
            Remote,
            RemoteState::Dead,
            row(1),
            Some(Remote),
            Step::DeleteLocal,
        ),
        (Local, contact(2), LocalState::Gone, None, Step::Nothing),
        (
            Local,
            unchanged,
            LocalState::Gone,
            Some(Local),
            Step::DeleteRemote,
        ),
    ];
    for (gone, remote, local, take, step) in cases {
        let link = Link {
            gone: Some(gone),
            ..link()
        };
        let policies = policies(Direction::Both, DeletePolicy::Ignore, true, take);
        assert_eq!(
            plan_pair(&link, &remote, &local, policies),
            step,
            "{gone:?} {take:?}"
        );
    }
}

#[test]
fn p9_a_restored_side_lost_nothing_and_a_target_is_filled_when_all_is_read() {
    use DeletePolicy::Apply;
    use Direction::{Both, Pull, Push};
    let (dead, gone) = (RemoteState::Dead, LocalState::Gone);
    let unchanged = RemoteState::Unchanged;
    let cases = [
        // (contact, row, direction, full, restored, step)
        (
            &dead,
            row(1),
            Both,
            false,
            Some(Side::Remote),
            Step::RestoreRemote,
        ),
        (
            &dead,
            row(1),
            Both,
            false,
            Some(Side::Local),
            Step::DeleteLocal,
        ),
        (
            &dead,
            row(1),
            Pull,
            false,
            Some(Side::Remote),
            Step::DeleteLocal,
        ),
        (
            &unchanged,
            gone.clone(),
            Both,
            false,
            Some(Side::Local),
            Step::RestoreLocal,
        ),
        (
            &unchanged,
            gone.clone(),
            Both,
            false,
            Some(Side::Remote),
            Step::DeleteRemote,
        ),
        // F12: what an accepted backup brought back is no edit that would win over the deletion.
        (
            &contact(2),
            gone.clone(),
            Both,
            false,
            Some(Side::Remote),
            Step::DeleteRemote,
        ),
        (
            &unchanged,
            gone.clone(),
            Push,
            false,
            Some(Side::Local),
            Step::DeleteRemote,
        ),
        (&dead, row(1), Push, false, None, Step::Nothing),
        (&dead, row(2), Push, false, None, Step::RestoreRemote),
        (&contact(2), gone, Pull, false, None, Step::RestoreLocal),
    ];
    // Each side's fields flow as the bridge does.
    for (remote, local, direction, full, rewound, step) in cases {
        let fields = [FieldRule {
            direction,
            ..RULES[0]
        }];
        let mut policies = policies(direction, Apply, full, None);
        policies.fields = &fields;
        policies.circumstances.rewound = rewound;
        assert_eq!(
            plan_pair(&link(), remote, &local, policies),
            step,
            "{remote:?} {local:?} {direction:?} {rewound:?}"
        );
    }
}

#[test]
fn p4_a_deletion_beside_a_contact_in_doubt_is_a_persons() {
    use DeletePolicy::{Apply, Ignore, Review};
    use Direction::{Both, Pull, Push};
    let (older, same, unread) = (contact(2), contact(1), RemoteState::Unchanged);
    let (take_local, take_remote) = (Some(Side::Local), Some(Side::Remote));
    let cases = [
        // (contact, direction, deletes, answer, step)
        (&older, Both, Apply, None, Step::DoubtDelete),
        (&older, Both, Review, None, Step::DoubtDelete),
        (&older, Both, Ignore, None, Step::IgnoreDelete(Side::Local)),
        (&unread, Both, Apply, None, Step::DoubtDelete),
        (&older, Both, Apply, take_local, Step::DeleteRemote),
        (&older, Both, Apply, take_remote, Step::RestoreLocal),
        (&unread, Both, Apply, take_local, Step::DeleteRemote),
        // Older, and yet as agreed: there is nothing that could be an edit.
        (&same, Both, Apply, None, Step::DeleteRemote),
        // One-way bridges have no edits to lose on their target.
        (&older, Push, Apply, None, Step::DeleteRemote),
        (&older, Pull, Apply, None, Step::RestoreLocal),
    ];
    for (remote, direction, deletes, take, step) in cases {
        let fields = [FieldRule {
            direction,
            ..RULES[0]
        }];
        let mut policies = policies(direction, deletes, false, take);
        policies.fields = &fields;
        policies.circumstances.doubtful = true;
        assert_eq!(
            plan_pair(&link(), remote, &LocalState::Gone, policies),
            step,
            "{remote:?} {direction:?} {deletes:?} {take:?}"
        );
    }
}

#[test]
fn p4_p5_an_edit_wins_whatever_a_person_decided_before_it() {
    use DeletePolicy::{Apply, Ignore, Review};
    let (dead, gone) = (RemoteState::Dead, LocalState::Gone);
    for deletes in [Apply, Review, Ignore] {
        for take in [None, Some(Side::Local), Some(Side::Remote)] {
            let policies = policies(Direction::Both, deletes, false, take);
            let step = plan_pair(&link(), &dead, &row(2), policies);
            assert_eq!(step, Step::RestoreRemote);
            let step = plan_pair(&link(), &contact(2), &gone, policies);
            assert_eq!(step, Step::RestoreLocal);
        }
    }
}

#[test]
fn p7_a_person_restores_nothing_on_the_source_of_a_one_way_bridge() {
    use DeletePolicy::{Apply, Ignore, Review};
    let (dead, gone) = (RemoteState::Dead, LocalState::Gone);
    let read = RemoteState::Unchanged;
    for deletes in [Apply, Review, Ignore] {
        for full in [false, true] {
            let step = |direction, remote: &RemoteState, local: &LocalState, take| {
                let fields = [FieldRule {
                    direction,
                    ..RULES[0]
                }];
                let policies = Policies {
                    fields: &fields,
                    ..policies(direction, deletes, full, Some(take))
                };
                plan_pair(&link(), remote, local, policies)
            };
            use Direction::{Both, Pull, Push};
            use Side::{Local, Remote};
            let row = row(1);
            assert_eq!(step(Both, &read, &gone, Remote), Step::RestoreLocal);
            assert_eq!(step(Push, &read, &gone, Remote), Step::IgnoreDelete(Local));
            assert_eq!(step(Push, &read, &gone, Local), Step::DeleteRemote);
            assert_eq!(step(Both, &dead, &row, Local), Step::RestoreRemote);
            assert_eq!(step(Pull, &dead, &row, Local), Step::IgnoreDelete(Remote));
            assert_eq!(step(Pull, &dead, &row, Remote), Step::DeleteLocal);
        }
    }
}

#[test]
fn a_field_that_never_agreed_counts_as_edited_by_its_value_by_a_conflict_or_by_the_record() {
    let never = Link {
        bases: vec![None],
        ..link()
    };
    let cases = [
        // (direction, a value, a conflict waits, the record changed, edited in the database, edited in the CRM)
        (Direction::Both, false, false, false, false, false),
        (Direction::Both, true, false, false, true, true),
        (Direction::Both, false, true, false, true, true),
        (Direction::Both, false, false, true, true, true),
        (Direction::Both, false, true, true, true, true),
        (Direction::Push, true, true, false, false, false),
        (Direction::Push, false, false, true, true, false),
        (Direction::Pull, true, true, false, false, false),
        (Direction::Pull, false, false, true, false, true),
    ];
    let stamp = chrono::DateTime::from_timestamp(60, 0).map(|at| Stamp(at.naive_utc()));
    for (direction, filled, waiting, changed, in_database, in_crm) in cases {
        let rules = [FieldRule {
            direction,
            ..RULES[0]
        }];
        let mut row = seen_row(0);
        let mut contact = seen_contact(0);
        if !filled {
            (row.values, contact.values) = (vec![Ok(None)], vec![Ok(None)]);
        }
        if changed {
            row.row = Digest(9);
            contact.stamp = stamp;
        }
        assert_eq!(
            (
                local_edited(&rules, &never, &row, waiting),
                remote_edited(&rules, &never, &contact, waiting)
            ),
            (in_database, in_crm),
            "{direction:?} {filled} {waiting} {changed}"
        );
    }
}

#[test]
fn a_contact_is_unchanged_when_each_field_and_each_child_rule_is() {
    let view = |content| {
        Some(ChildView {
            content: Digest(content),
            parts: Vec::new(),
        })
    };
    let linked = Link {
        children: vec![ChildBase {
            content: Digest(5),
            keys: Vec::new(),
        }],
        ..link()
    };
    let shown = |value, child| RemoteView {
        children: vec![child],
        ..seen_contact(value)
    };
    let unreadable = RemoteView {
        values: vec![Err(FieldProblem {
            code: "Q-DATE",
            reason: "not a date".into(),
        })],
        ..shown(2, view(5))
    };
    let never = Link {
        bases: vec![None],
        ..linked.clone()
    };
    let wider = Link {
        bases: vec![linked.bases[0]; 2],
        ..linked.clone()
    };
    let childless = link();
    let cases = [
        // (link, contact, all unchanged, children unchanged)
        (&linked, shown(1, view(5)), true, true),
        (&linked, shown(1, None), true, true),
        (&linked, unreadable, true, true),
        (&linked, shown(2, view(5)), false, true),
        (&linked, shown(1, view(6)), false, false),
        (&linked, seen_contact(1), false, true),
        (&childless, seen_contact(1), true, true),
        (&childless, seen_contact(2), false, true),
        (&childless, shown(1, view(5)), false, false),
        (&never, shown(1, view(5)), false, true),
        (&wider, shown(1, view(5)), false, true),
    ];
    for (link, contact, whole, children) in cases {
        assert_eq!(
            (
                remote_unchanged(link, &contact),
                children_unchanged(link, &contact)
            ),
            (whole, children),
            "{link:?} {contact:?}"
        );
    }
}
