//! Review and quarantine: what waits for a person, how it is shown, and what a person's word does.

use crate::support::{MAPPING, Project, Setup};
use contactbridge::simulator::contactlist::{Options, Profile};

fn project(setup: Setup) -> Project {
    let project = setup
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(20)
        .build();
    project.sync(0);
    project
}

/// Both sides give row 4 another last name; answers with the contact's id.
fn conflict(project: &Project) -> i32 {
    project.sql("UPDATE customers SET last_name = 'Locally' WHERE id = 4");
    let id: i32 = project
        .cell("SELECT remote_id FROM contactbridge_links WHERE row_key = 4")
        .parse()
        .expect("an id");
    assert!(project.crm.edit(id, |person| {
        person.last_name = Some("Remotely".into());
        person.first_name = Some("Flowing".into());
    }));
    id
}

#[test]
fn a_conflict_waits_while_other_fields_flow_and_a_person_settles_it() {
    for (side, winner) in [("remote", "Remotely"), ("local", "Locally")] {
        let project = project(Setup::default().key("conflicts: review"));
        let contact = conflict(&project);
        let report = project.sync(3);
        assert_eq!(
            (&report["outcome"], &report["review"], &report["conflicts"]),
            (&"partial".into(), &1.into(), &1.into())
        );
        assert_eq!(
            project.cell("SELECT first_name || ' ' || last_name FROM customers WHERE id = 4"),
            "Flowing Locally"
        );
        // As long as it waits, every run says so.
        project.sync(3);

        let list = project
            .line("review list --format json")
            .exits(0)
            .quietly()
            .json();
        let entry = &list[0];
        assert_eq!(list.as_array().expect("a list").len(), 1);
        assert_eq!(entry["fields"], serde_json::json!(["last_name"]));
        assert_eq!(entry["local"], "4");
        assert_eq!(entry["remote"], contact.to_string());
        assert!(
            !list.to_string().contains("Remotely"),
            "a list shows no values"
        );
        let id = entry["id"].as_str().expect("an id").to_owned();
        project.line("review list").exits(0).says(&id);
        project
            .line(&format!("review show {id}"))
            .exits(0)
            .says("Remotely")
            .says("Locally");
        let shown = project
            .line(&format!("review show {id} --format json"))
            .exits(0)
            .json();
        assert_eq!(shown["values"][0]["remote"], "Remotely");

        project
            .line(&format!("review resolve {id} --separate"))
            .exits(2)
            .complains("--take");
        project
            .line(&format!("review resolve {id} --take {side}"))
            .exits(0)
            .quietly();
        assert_eq!(project.line("status --format json").json()[0]["review"], 0);
        project.sync(0);
        assert_eq!(
            project.cell("SELECT last_name FROM customers WHERE id = 4"),
            winner
        );
        assert_eq!(
            project
                .crm
                .person(contact)
                .expect("a contact")
                .last_name
                .as_deref(),
            Some(winner)
        );
        assert_eq!(
            project.line("review list --format json").json(),
            serde_json::json!([])
        );
        project.line("review list").exits(0).says("Nothing waits");
    }
}

#[test]
fn a_value_that_lost_by_policy_is_kept_and_shown() {
    let project = project(Setup::default().key("conflicts: remote"));
    conflict(&project);
    project.sync(0);
    let settled = project
        .line("review list --settled --format json")
        .exits(0)
        .json();
    assert_eq!(settled[0]["fields"], serde_json::json!(["last_name"]));
    assert_eq!(settled[0]["winner"], "remote");
    let id = settled[0]["id"].as_str().expect("an id");
    project
        .line(&format!("review show {id}"))
        .exits(0)
        .says("Locally");
}

#[test]
fn ids_that_nothing_has_are_usage_errors() {
    let project = project(Setup::default());
    for line in [
        "review show members:0123456789",
        "review show nonsense",
        "review resolve members:0123456789 --take local",
        "review show elsewhere:0123456789",
        "quarantine show members:0123456789",
        "quarantine retry members:0123456789",
        "quarantine discard members:0123456789",
    ] {
        let ran = project.line(line).exits(2);
        assert!(!ran.stderr.is_empty(), "{line}");
    }
}

/// A contact with a character that XML 1.0 does not have.
fn poison(project: &Project) -> i32 {
    let id = project.crm.people()[6].entity_id;
    let body = format!(
        "<entityId>{id}</entityId><deleted>false</deleted><firstName>Poisoned&#1;</firstName><dateOfBirth>0001-01-01T00:00:00</dateOfBirth><createDate>2024-01-01T00:00:00</createDate><lastUpdateDate>2026-01-01T00:00:00</lastUpdateDate><MasterOptIn>false</MasterOptIn>"
    );
    assert!(project.crm.edit(id, |person| person.verbatim = Some(body)));
    id
}

#[test]
fn a_bad_record_is_quarantined_alone_shown_and_tried_again() {
    let project = project(Setup::default());
    let good = project.crm.people()[8].entity_id;
    let bad = poison(&project);
    project
        .crm
        .edit(good, |person| person.first_name = Some("Fine".into()));
    let report = project.sync(3);
    assert_eq!(report["quarantined"], 1, "{report}");
    assert_eq!(
        project.cell("SELECT count(*) FROM customers WHERE first_name = 'Fine'"),
        "1"
    );

    let list = project
        .line("quarantine list --format json")
        .exits(0)
        .quietly()
        .json();
    assert_eq!(list[0]["remote"], bad.to_string());
    assert!(
        list[0]["code"].as_str().expect("a code").starts_with("Q-"),
        "{list}"
    );
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    project.line("quarantine list").exits(0).says(&id);
    project
        .line(&format!("quarantine show {id}"))
        .exits(0)
        .says("Poisoned");

    project
        .line(&format!("quarantine discard {id}"))
        .exits(0)
        .quietly();
    assert_eq!(project.sync(0)["quarantined"], 0);
    project
        .line(&format!("quarantine retry {id}"))
        .exits(0)
        .quietly();
    assert_eq!(project.sync(3)["quarantined"], 1);

    // Corrected in the CRM, it flows again by itself.
    project.crm.edit(bad, |person| {
        person.verbatim = None;
        person.first_name = Some("Healed".into());
    });
    assert_eq!(project.sync(0)["quarantined"], 0);
    assert_eq!(
        project.cell("SELECT count(*) FROM customers WHERE first_name = 'Healed'"),
        "1"
    );
}

#[test]
fn an_ambiguous_newcomer_waits_and_a_person_says_who_it_is() {
    let setup = Setup::default()
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(5);
    let project = setup.mapping(MAPPING).build();
    project.sync(0);
    // Two contacts share an address, and a row comes with it.
    let ids: Vec<i32> = project
        .crm
        .people()
        .iter()
        .take(2)
        .map(|person| person.entity_id)
        .collect();
    for id in &ids {
        project.crm.edit(*id, |person| {
            person.email_address = Some("shared@example.org".into());
            person.phone_nos = None;
        });
    }
    project.sync(0);
    project
        .sql("INSERT INTO customers (email, first_name) VALUES ('shared@example.org', 'Newcomer')");
    let before = project.crm.people().len();
    let report = project.sync(3);
    assert_eq!(report["review"], 1, "{report}");
    assert_eq!(
        project.crm.people().len(),
        before,
        "nobody is made for one who may be there"
    );
    let list = project.line("review list --format json").json();
    assert_eq!(list[0]["kind"], "match", "{list}");
}

#[test]
fn a_restored_row_that_the_database_refuses_does_not_cost_its_contact() {
    let project = project(Setup::default());
    project
        .database()
        .execute_batch(
            "CREATE TRIGGER no_more BEFORE INSERT ON customers BEGIN SELECT RAISE(ABORT, 'no more'); END",
        )
        .expect("a trigger");
    let contact: i32 = project
        .cell("SELECT remote_id FROM contactbridge_links WHERE row_key = 5")
        .parse()
        .expect("an id");
    project.sql("DELETE FROM customers WHERE id = 5");
    project
        .crm
        .edit(contact, |person| person.first_name = Some("Edited".into()));
    // The edit wins, and waits for as long as the database refuses it.
    for _ in 0..3 {
        assert_eq!(project.sync(3)["quarantined"], 1);
        assert!(!project.crm.person(contact).expect("the contact").deleted);
    }
    project
        .database()
        .execute_batch("DROP TRIGGER no_more")
        .expect("SQL");
    project.sync(0);
    assert_eq!(
        project.cell("SELECT count(*) FROM customers WHERE first_name = 'Edited'"),
        "1"
    );
}
