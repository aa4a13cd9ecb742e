//! Single stories in the plainest world, each told to its end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use contactbridge::model::ConflictPolicy;
use contactbridge::sync::{Decision, Outcome, RunOptions, resolve_review, reviews};

use crate::life::{Life, brief};
use crate::oracle::Side;
use crate::settings::Settings;
use crate::store::SimStore;
use crate::universe::{Death, drive};

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

/// Somebody with this number, and an address that others have too.
fn sharing(number: &str) -> BTreeMap<&'static str, String> {
    let email = "zqx100@example.org".to_owned();
    [("customer_no", number.to_owned()), ("email", email)].into()
}

/// H-25: the service knows that the two are two, and a person says so.
#[test]
fn a_contact_is_made_anew_under_a_shared_address_once_a_person_calls_it_separate() {
    let mut life = life(Settings {
        adopts: false,
        ..Settings::plain()
    });
    for (number, anchor) in [("N101", "Zpx101"), ("N102", "Zpx102")] {
        let mut universe = life.shared.borrow_mut();
        universe.put(Side::Remote, anchor, &sharing(number));
    }
    life.good_run();
    life.wait(SOON);
    {
        let (row, contact) = (life.row_of("Zpx102"), life.contact_of("Zpx102"));
        let mut universe = life.shared.borrow_mut();
        universe.edit_row(&row.expect("a row"), "first_name", "Zqx900");
        universe.user_deletes_contact(contact.expect("a contact"));
    }
    life.good_run();
    assert_eq!(life.waiting().codes["E-EMAIL-TAKEN"], 1);
    let store = SimStore(Rc::clone(&life.shared));
    let decide = async {
        let (id, _) = reviews(&store, false).await?.pop().expect("a review");
        resolve_review(&store, &id, Decision::Separate).await
    };
    let decided = drive(&life.shared, decide).expect("nobody kills it");
    decided.expect("it can be called separate");
    life.wait(SOON);
    let report = life.good_run();
    assert_eq!(report.push.created, 1, "{}", brief(&report));
    assert!(life.waiting().codes.is_empty());
    judge(&mut life);
}

/// H-25: a row has the address of a contact whose own row a killed run made, and did not remember.
#[test]
fn a_contact_that_a_killed_run_made_a_row_of_keeps_its_address_to_itself() {
    let mut life = life(Settings::plain());
    {
        let mut universe = life.shared.borrow_mut();
        universe.put(Side::Remote, "Zpx101", &sharing("N101"));
        universe.put(Side::Local, "Zpx102", &sharing("N102"));
        universe.death = Death::AtPlace("db.applied");
    }
    assert!(life.run(&RunOptions::default()).is_none(), "it is killed");
    life.shared.borrow_mut().death = Death::Never;
    life.wait(SOON);
    let report = life.good_run();
    assert_eq!(report.push.held, 1, "{}", brief(&report));
    assert_eq!(life.writes().0, 0, "nothing was sent");
    assert_eq!(life.waiting().codes["E-EMAIL-TAKEN"], 1);
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

/// Somebody whose contact has an e-mail address and nothing else that it is found by.
fn found_by_email(life: &mut Life, side: Side) -> String {
    let values = [
        ("email", "zqx500@example.org"),
        ("first_name", "Zqx500"),
        ("city", "Zqx500 town"),
    ];
    life.shared.borrow_mut().put(
        side,
        "Zpx500",
        &values
            .into_iter()
            .map(|(field, value)| (field, value.to_owned()))
            .collect(),
    );
    "Zpx500".into()
}

/// A person answers the only question that waits about this record.
fn answer(life: &mut Life, about: &str, decision: Decision) {
    let store = SimStore(Rc::clone(&life.shared));
    let work = async {
        let waiting = reviews(&store, false).await?;
        let ids: Vec<&String> = waiting
            .iter()
            .filter(|(_, review)| match review.side {
                Some(contactbridge::sync::Side::Remote) => review
                    .remote
                    .as_ref()
                    .is_some_and(|id| format!("contact {id}") == about),
                _ => review
                    .local
                    .as_ref()
                    .is_some_and(|key| format!("row {key}") == about),
            })
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids.len(), 1, "about {about} in {waiting:#?}");
        resolve_review(&store, ids[0], decision).await
    };
    drive(&life.shared, work).unwrap().unwrap();
}

/// A world in which the next update goes out, and is carried out after somebody changed the contact's address.
fn with_a_late_update() -> (Life, i64, i64) {
    let mut life = life(Settings::plain());
    let anchor = found_by_email(&mut life, Side::Remote);
    life.good_run();
    life.wait(SOON);
    let (row, contact) = (
        life.row_of(&anchor).unwrap(),
        life.contact_of(&anchor).unwrap(),
    );
    {
        let mut universe = life.shared.borrow_mut();
        universe.edit_row(&row, "first_name", "Zqx501");
        universe.settings.late = 1000;
        universe.faulty = true;
        universe.at_place = Some((
            "push",
            Box::new(move |universe| {
                universe.edit_contact(contact, "email", "zqx502@example.org");
            }),
        ));
    }
    let report = life.run(&RunOptions::default()).unwrap().report;
    assert_eq!(report.review, 1, "{}", brief(&report));
    let mut universe = life.shared.borrow_mut();
    (universe.faulty, universe.settings.late) = (false, 0);
    let echo = *universe
        .log
        .echoes
        .first()
        .expect("a second contact was made");
    drop(universe);
    (life, contact, echo)
}

#[test]
fn h27_a_late_update_that_makes_a_second_contact_makes_no_second_row() {
    let (mut life, contact, echo) = with_a_late_update();
    life.wait(SOON);
    let report = life.good_run();
    assert_eq!(
        (report.pull.created, report.review),
        (0, 1),
        "{}",
        brief(&report)
    );
    judge(&mut life);
    // The edit did reach the contact that it was meant for, as soon as that could be addressed again.
    assert_eq!(
        life.shared.borrow().crm.people[&contact].values["firstName"],
        "Zqx501"
    );
    // Deleted in the CRM, it waits no longer.
    {
        let mut universe = life.shared.borrow_mut();
        universe.crm.people.get_mut(&echo).unwrap().deleted = true;
        let now = universe.crm_now();
        universe.crm.people.get_mut(&echo).unwrap().stamp = now;
    }
    let report = life.good_run();
    assert_eq!(
        (report.review, report.outcome),
        (0, Outcome::Ok),
        "{}",
        brief(&report)
    );
    judge(&mut life);
}

#[test]
fn h27_who_calls_an_echo_a_person_of_its_own_gets_a_row() {
    let (mut life, _, echo) = with_a_late_update();
    answer(&mut life, &format!("contact {echo}"), Decision::Separate);
    let report = life.good_run();
    assert_eq!(
        (report.pull.created, report.review),
        (1, 0),
        "{}",
        brief(&report)
    );
    life.wait(SOON);
    let before = life.writes();
    life.good_run();
    assert_eq!(life.writes(), before);
}

#[test]
fn h27_a_late_update_is_recognised_after_a_kill() {
    let mut life = life(Settings::plain());
    let anchor = found_by_email(&mut life, Side::Remote);
    life.good_run();
    life.wait(SOON);
    let (row, contact) = (
        life.row_of(&anchor).unwrap(),
        life.contact_of(&anchor).unwrap(),
    );
    {
        let mut universe = life.shared.borrow_mut();
        universe.edit_row(&row, "first_name", "Zqx501");
        universe.at_place = Some((
            "push",
            Box::new(move |universe| {
                universe.edit_contact(contact, "email", "zqx502@example.org");
                universe.death = Death::AtPlace("pushed");
            }),
        ));
    }
    assert!(life.run(&RunOptions::default()).is_none(), "killed");
    life.shared.borrow_mut().death = Death::Never;
    let report = life.good_run();
    assert_eq!(
        (report.pull.created, report.review),
        (0, 1),
        "{}",
        brief(&report)
    );
    judge(&mut life);
}

#[test]
fn h27_a_new_contact_that_gets_another_address_before_it_is_read_back_is_linked_by_a_person() {
    for separate in [false, true] {
        let mut life = life(Settings::plain());
        let anchor = found_by_email(&mut life, Side::Local);
        let row = life.row_of(&anchor).unwrap();
        life.shared.borrow_mut().at_place = Some((
            "pushed",
            Box::new(move |universe| {
                let made = universe.crm.living().map(|person| person.id).max().unwrap();
                universe.edit_contact(made, "email", "zqx502@example.org");
            }),
        ));
        life.good_run();
        let contact = life.contact_of(&anchor).unwrap();
        for _ in 0..2 {
            life.wait(SOON);
            let report = life.good_run();
            assert_eq!(
                (report.pull.created, report.push.created, report.review),
                (0, 0, 2),
                "{}",
                brief(&report)
            );
        }
        if separate {
            answer(&mut life, &format!("contact {contact}"), Decision::Separate);
            let report = life.good_run();
            assert_eq!(
                (report.pull.created, report.push.created, report.review),
                (1, 1, 0),
                "{}",
                brief(&report)
            );
            continue;
        }
        answer(
            &mut life,
            &format!("row {row}"),
            Decision::Link(contact.to_string()),
        );
        life.good_run();
        life.wait(SOON);
        let report = life.good_run();
        assert_eq!(
            (report.pull.created, report.push.created),
            (0, 0),
            "{}",
            brief(&report)
        );
        assert_eq!(life.shared.borrow().crm.living().count(), 1);
        assert_eq!(life.row_of(&anchor), Some(row));
    }
}

#[test]
fn newcomers_that_waited_and_are_gone_wait_no_longer() {
    for (flag, journal) in [(true, true), (false, false)] {
        let mut life = life(Settings {
            deleted_flag: flag,
            journal,
            ..Settings::plain()
        });
        made(&mut life, Side::Remote);
        life.good_run();
        // Two contacts and a row with one address: nobody can say who is who.
        let mut contacts = Vec::new();
        for _ in 0..2 {
            found_by_email(&mut life, Side::Remote);
            contacts.push(life.shared.borrow().crm.next_id - 1);
        }
        found_by_email(&mut life, Side::Local);
        // No person of the oracle's: three records of one name.
        let row = life.row_of("Zpx500").unwrap();
        let report = life.run(&RunOptions::default()).unwrap().report;
        assert_eq!(report.review, 3, "{}", brief(&report));
        life.wait(Duration::from_secs(25 * 3600));
        {
            let mut universe = life.shared.borrow_mut();
            for contact in contacts {
                universe.user_deletes_contact(contact);
            }
            universe.user_deletes_row(&row);
        }
        let report = life.run(&RunOptions::default()).unwrap().report;
        assert_eq!(
            (report.review, report.outcome),
            (0, Outcome::Ok),
            "{}",
            brief(&report)
        );
    }
}

#[test]
fn h21_what_was_announced_long_before_it_was_sent_may_still_be_under_way_after_a_kill() {
    let mut life = life(Settings {
        racy: true,
        late: 1000,
        ..Settings::plain()
    });
    made(&mut life, Side::Remote);
    life.good_run();
    let values = [("customer_no", "N500"), ("first_name", "Zqx500")];
    let values = values.map(|(field, value)| (field, value.to_owned()));
    {
        let mut universe = life.shared.borrow_mut();
        universe.put(Side::Local, "Zpx500", &values.into());
        universe.faulty = true;
        universe.at_place = Some((
            "push",
            Box::new(|universe| {
                // Other parts of the same window went before it.
                universe.pass_time(Duration::from_secs(300));
                universe.death = Death::AtPlace("pushed");
            }),
        ));
    }
    assert!(life.run(&RunOptions::default()).is_none(), "killed");
    {
        let mut universe = life.shared.borrow_mut();
        (universe.death, universe.faulty) = (Death::Never, false);
    }
    life.good_run();
    life.wait(SOON);
    assert_eq!(life.shared.borrow().crm.living().count(), 2);
    judge(&mut life);
}
