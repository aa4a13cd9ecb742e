//! kill -9 at each visit of each checkpoint in turn: nothing is lost, nothing is there twice, and it is quiet afterwards.

use std::collections::BTreeSet;

use contactbridge::simulator::contactlist::{Operation, Options, Person, Profile};

use crate::support::{Project, Setup};

fn project(state: &str) -> Project {
    Setup::default()
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(30)
        .state(state)
        .limit("batch: 4")
        .limit("rows_per_transaction: 5")
        .limit("max_deletes: 100")
        .build()
}

/// Edits, creates and deletes on both sides; `round` keeps them apart.
fn night(project: &Project, round: usize) {
    let sql = |statement: &str| project.database().execute_batch(statement).expect("SQL");
    sql(&format!(
        "UPDATE customers SET last_name = 'L{round}' WHERE id % 7 = 1"
    ));
    sql(&format!(
        "INSERT INTO customers (customer_no, email, first_name) VALUES ('N{round}', 'n{round}@example.org', 'New')"
    ));
    sql(&format!(
        "INSERT INTO customers (email, first_name) VALUES ('mail{round}@example.org', 'Mailonly')"
    ));
    sql(
        "DELETE FROM customers WHERE id = (SELECT max(id) FROM customers WHERE first_name NOT IN ('New', 'Mailonly'))",
    );
    for (at, person) in project
        .crm
        .people()
        .iter()
        .filter(|person| !person.deleted)
        .enumerate()
    {
        if at % 6 == 2 {
            project.crm.edit(person.entity_id, |person| {
                person.first_name = Some(format!("R{round}"))
            });
        }
    }
    let mut person = Person::new(0);
    person.external_id = Some(format!("C{round}"));
    person.email_address = Some(format!("c{round}@example.org"));
    project.crm.insert(person);
}

/// Both sides, as name and address of everybody who lives, sorted.
fn sides(project: &Project) -> (Vec<String>, Vec<String>) {
    let line =
        |first: &str, last: &str, email: &str| format!("{first}|{last}|{}", email.to_lowercase());
    let mut local: Vec<String> = project
        .rows("SELECT coalesce(first_name, ''), coalesce(last_name, ''), coalesce(email, '') FROM customers")
        .iter()
        .map(|row| line(&row[0], &row[1], &row[2]))
        .collect();
    let mut remote: Vec<String> = project
        .crm
        .people()
        .iter()
        .filter(|person| !person.deleted)
        .map(|person| {
            line(
                person.first_name.as_deref().unwrap_or_default(),
                person.last_name.as_deref().unwrap_or_default(),
                person.email().unwrap_or_default(),
            )
        })
        .collect();
    local.sort();
    remote.sort();
    (local, remote)
}

/// After the kills: two runs, then both sides are equal, nobody is there twice, and a further run writes nothing.
fn settles(project: &Project, what: &str) {
    for _ in 0..2 {
        let ran = project.line("sync --format json");
        assert!(matches!(ran.code, Some(0 | 3)), "{what}: {ran:?}");
    }
    let (local, remote) = sides(project);
    assert_eq!(local, remote, "{what}");
    let unique: BTreeSet<&String> = remote.iter().collect();
    assert_eq!(
        unique.len(),
        remote.len(),
        "{what}: somebody is there twice"
    );
    project.crm.clear_log();
    let report = project.sync(0);
    for way in ["pull", "push"] {
        for done in ["created", "updated", "deleted"] {
            assert_eq!(report[way][done], 0, "{what}: {report}");
        }
    }
    assert_eq!(
        project.crm.count(Operation::ContactListUpdateInsert),
        0,
        "{what}"
    );
}

#[test]
fn killed_at_every_checkpoint_in_turn_it_loses_nothing_and_makes_nothing_twice() {
    // The points are the engine's, not the store's: the second store meets a part of them.
    for (state, stride) in [("state", 1), ("sqlite:state", 5)] {
        let project = project(state);
        project.sync(0);
        let mut visits = 0;
        for round in (1..).step_by(stride) {
            night(&project, round);
            let binary = project
                .binary
                .clone()
                .with("CONTACTBRIDGE_CRASH_AT", &format!("*:{round}"));
            let ran = binary.line("sync");
            if ran.code.is_some() {
                // It came to its end before the checkpoint: all have been visited.
                assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
                break;
            }
            visits = round;
            settles(&project, &format!("{state}, checkpoint {round}"));
            assert!(round < 200, "a run of this size has fewer checkpoints");
        }
        assert!(visits >= 5, "only {visits} checkpoints were visited");
    }
}

#[test]
fn an_edit_against_a_deletion_wins_wherever_the_run_is_killed() {
    for point in 1..40 {
        let project = project("state");
        project.sync(0);
        let contact: i32 = project
            .cell("SELECT remote_id FROM contactbridge_links WHERE row_key = 9")
            .parse()
            .expect("an id");
        project.sql("DELETE FROM customers WHERE id = 9");
        project
            .crm
            .edit(contact, |person| person.first_name = Some("Edited".into()));
        let binary = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("*:{point}"));
        let ran = binary.line("sync");
        settles(&project, &format!("checkpoint {point}"));
        assert!(
            !project.crm.person(contact).expect("the contact").deleted,
            "checkpoint {point}"
        );
        assert_eq!(
            project.cell("SELECT count(*) FROM customers WHERE first_name = 'Edited'"),
            "1",
            "checkpoint {point}"
        );
        if ran.code.is_some() {
            return;
        }
    }
}

#[test]
fn a_first_load_killed_at_every_checkpoint_is_taken_up_again() {
    for point in 1..200 {
        let project = project("state");
        let binary = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("*:{point}"));
        let ran = binary.line("sync");
        settles(&project, &format!("checkpoint {point}"));
        assert_eq!(project.cell("SELECT count(*) FROM customers"), "30");
        if ran.code.is_some() {
            assert!(point > 3, "only {point} checkpoints were visited");
            return;
        }
    }
    panic!("a run of this size has fewer checkpoints");
}
