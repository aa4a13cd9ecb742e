//! Single stories in the plainest world, each told to its end.

use std::time::Duration;

use contactbridge::model::ConflictPolicy;
use contactbridge::sync::{Outcome, RunOptions};

use crate::life::{Life, brief};
use crate::oracle::Side;
use crate::settings::Settings;

const SOON: Duration = Duration::from_secs(3600);

fn life(settings: Settings) -> Life {
    Life::new(1, settings)
}

/// Judges the world as it stands: quiet, alike, nothing lost.
fn judge(life: &mut Life) {
    life.wait(SOON);
    let before = life.writes();
    let report = life.good_run();
    assert_eq!(
        life.writes(),
        before,
        "a quiet run writes nothing: {}",
        brief(&report)
    );
    let waiting = life.waiting();
    let mut universe = life.shared.borrow_mut();
    universe.check_convergence(&waiting);
    assert_eq!(universe.log.broken, Vec::<String>::new());
}

fn made(life: &mut Life, side: Side) -> String {
    life.shared.borrow_mut().somebody_is_made(side)
}

#[test]
fn a_first_load_makes_rows_and_the_second_run_is_quiet() {
    let mut life = life(Settings::plain());
    for _ in 0..5 {
        made(&mut life, Side::Remote);
    }
    let report = life.good_run();
    assert_eq!(report.pull.created, 5, "{}", brief(&report));
    life.wait(SOON);
    let before = life.writes();
    let report = life.good_run();
    assert_eq!(
        (report.outcome, life.writes()),
        (Outcome::Ok, before),
        "{}",
        brief(&report)
    );
    judge(&mut life);
}

#[test]
fn rows_become_contacts() {
    for generate in [false, true] {
        let mut life = life(Settings {
            generate,
            ..Settings::plain()
        });
        for _ in 0..6 {
            made(&mut life, Side::Local);
        }
        let report = life.good_run();
        assert_eq!(
            report.push.created + report.push.held,
            6,
            "{}",
            brief(&report)
        );
        judge(&mut life);
    }
}

#[test]
fn edits_flow_each_way() {
    let mut life = life(Settings::plain());
    let anchors: Vec<String> = (0..4).map(|_| made(&mut life, Side::Remote)).collect();
    life.good_run();
    life.wait(SOON);
    let (row, contact) = (
        life.row_of(&anchors[0]).unwrap(),
        life.contact_of(&anchors[1]).unwrap(),
    );
    life.shared
        .borrow_mut()
        .edit_row(&row, "first_name", "Zqx900");
    life.shared
        .borrow_mut()
        .edit_contact(contact, "city", "Zqx901");
    let report = life.good_run();
    assert_eq!(
        (report.pull.updated, report.push.updated),
        (1, 1),
        "{}",
        brief(&report)
    );
    life.wait(SOON);
    // full_name follows what the push made of the contact.
    judge(&mut life);
}

#[test]
fn deletions_flow_each_way() {
    for (flag, soft) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut life = life(Settings {
            deleted_flag: flag,
            soft_delete: soft,
            ..Settings::plain()
        });
        let anchors: Vec<String> = (0..4).map(|_| made(&mut life, Side::Remote)).collect();
        life.good_run();
        life.wait(Duration::from_secs(25 * 3600));
        let (row, contact) = (
            life.row_of(&anchors[0]).unwrap(),
            life.contact_of(&anchors[1]).unwrap(),
        );
        life.shared.borrow_mut().user_deletes_row(&row);
        life.shared.borrow_mut().user_deletes_contact(contact);
        let report = life.good_run();
        assert_eq!(
            (report.pull.deleted, report.push.deleted),
            (1, 1),
            "flag {flag} soft {soft} {}",
            brief(&report)
        );
        judge(&mut life);
    }
}

#[test]
fn conflicts_are_settled_as_the_policy_says() {
    for (policy, wins) in [
        (ConflictPolicy::Remote, Some("Zqx901")),
        (ConflictPolicy::Local, Some("Zqx900")),
        (ConflictPolicy::Newest, Some("Zqx901")),
        (ConflictPolicy::Review, None),
    ] {
        let mut life = life(Settings {
            conflicts: policy,
            ..Settings::plain()
        });
        let anchor = made(&mut life, Side::Remote);
        life.good_run();
        life.wait(SOON);
        let (row, contact) = (
            life.row_of(&anchor).unwrap(),
            life.contact_of(&anchor).unwrap(),
        );
        life.shared
            .borrow_mut()
            .edit_row(&row, "first_name", "Zqx900");
        life.wait(SOON);
        life.shared
            .borrow_mut()
            .edit_contact(contact, "first_name", "Zqx901");
        let report = life.good_run();
        assert_eq!(report.conflicts, 1, "{policy:?} {}", brief(&report));
        if let Some(wins) = wins {
            let universe = life.shared.borrow();
            assert_eq!(
                universe.database.text(&row, "first_name").unwrap(),
                wins,
                "{policy:?}"
            );
            assert_eq!(
                universe.crm.people[&contact].values["firstName"], wins,
                "{policy:?}"
            );
        } else {
            assert_eq!(report.review, 1, "{}", brief(&report));
        }
        judge(&mut life);
    }
}

#[test]
fn a_dry_run_writes_nothing_anywhere() {
    let mut life = life(Settings::plain());
    made(&mut life, Side::Remote);
    made(&mut life, Side::Local);
    life.good_run();
    made(&mut life, Side::Remote);
    made(&mut life, Side::Local);
    let (before, disk) = (life.writes(), life.shared.borrow().disk.visible.clone());
    let finished = life
        .run(&RunOptions {
            dry: true,
            ..RunOptions::default()
        })
        .unwrap();
    assert_eq!(finished.plan.len(), 2);
    assert_eq!(life.writes(), before);
    assert!(life.shared.borrow().disk.visible == disk);
}
