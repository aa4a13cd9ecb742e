//! What waits for a person: newcomers that match not one to one, records that can't be taken as they are.

use serde_json::Value;

use super::{assert_equal_sides, newcomer, plain};
use crate::support::{Project, store};

#[track_caller]
fn waiting(project: &Project, what: &str) -> Vec<Value> {
    let list = project.line(&format!("{what} list --format json")).exits(0);
    list.json().as_array().expect("an array").clone()
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {entry:#}"))
}

/// A row and two new contacts with its address, none of them with an External ID.
fn ambiguous() -> (Project, [i32; 2]) {
    let project = plain(3).build();
    project.sync(0);
    project.sql(
        "INSERT INTO customers (email, first_name, last_name, opted_in) VALUES ('twin@example.org', 'Ann', 'Desk', '0')",
    );
    let ids = ["Ann", "Bea"].map(|first| {
        project
            .crm
            .insert(newcomer("", "twin@example.org", first, "Crm"))
    });
    let report = project.sync(3);
    assert_eq!(report["review"], 3, "{report:#}");
    assert_eq!(report["pull"]["created"], 0, "{report:#}");
    assert_eq!(report["push"]["created"], 0, "{report:#}");
    project.quiet_sync(3);
    (project, ids)
}

#[test]
pub fn c3_what_matches_not_one_to_one_is_linked_or_separated_by_a_person() {
    let (project, [ann, bea]) = ambiguous();
    let row = waiting(&project, "review")
        .into_iter()
        .find(|entry| entry["remote"].is_null())
        .expect("the row waits");
    project
        .line(&format!("review resolve {} --link {ann}", text(&row, "id")))
        .exits(0);
    for entry in waiting(&project, "review") {
        if entry["remote"].as_str() == Some(&bea.to_string()) {
            project
                .line(&format!("review resolve {} --separate", text(&entry, "id")))
                .exits(0);
        }
    }
    // Linked, the two differ in the last name: that is a conflict of a first meeting, for a person again.
    let report = project.sync(3);
    assert_eq!(report["conflicts"], 1, "{report:#}");
    let reviews = waiting(&project, "review");
    assert_eq!(reviews.len(), 1, "{reviews:#?}");
    assert_eq!(reviews[0]["fields"], serde_json::json!(["last_name"]));
    project
        .line(&format!(
            "review resolve {} --take local",
            text(&reviews[0], "id")
        ))
        .exits(0);
    project.sync(3);
    assert!(
        project
            .crm
            .person(bea)
            .is_some_and(|p| p.last_name.as_deref() == Some("Crm"))
    );
}

#[test]
pub fn an_unknown_review_and_a_decision_that_does_not_fit_exit_2() {
    let (project, _) = ambiguous();
    project
        .line("review resolve members:ffffffffffffffff --separate")
        .exits(2);
    let entry = &waiting(&project, "review")[0];
    project
        .line(&format!(
            "review resolve {} --take local",
            text(entry, "id")
        ))
        .exits(2);
    assert_eq!(waiting(&project, "review").len(), 3);
}

#[test]
pub fn h26_a_row_without_identity_waits_and_leaves_quarantine_when_it_gets_one() {
    let project = plain(3).build();
    project.sync(0);
    project.sql("INSERT INTO customers (first_name, opted_in) VALUES ('Nobody', '0')");
    let report = project.sync(3);
    assert_eq!(report["quarantined"], 1, "{report:#}");
    project.quiet_sync(3);
    let held = waiting(&project, "quarantine");
    assert_eq!(text(&held[0], "code"), "E-UNADDRESSABLE");
    let id = text(&held[0], "id").to_owned();
    project
        .line(&format!("quarantine show {id}"))
        .exits(0)
        .says("E-UNADDRESSABLE");
    // A person may leave it alone, until it changes.
    project.line(&format!("quarantine discard {id}")).exits(0);
    project.quiet_sync(0);
    project.sql("UPDATE customers SET last_name = 'Still' WHERE first_name = 'Nobody'");
    project.sync(3);
    // Tried again on request, and as it stands it waits again.
    project.line(&format!("quarantine retry {id}")).exits(0);
    project.sync(3);
    assert_eq!(waiting(&project, "quarantine").len(), 1);
    project.sql("UPDATE customers SET customer_no = 'N-1' WHERE first_name = 'Nobody'");
    let report = project.sync(0);
    assert_eq!(report["push"]["created"], 1, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn h43_of_two_new_rows_with_one_address_the_second_waits() {
    let project = plain(3).build();
    project.sync(0);
    for first in ["One", "Two"] {
        project.sql(&format!(
            "INSERT INTO customers (email, first_name, opted_in) VALUES ('same@example.org', '{first}', '0')"
        ));
    }
    let report = project.sync(3);
    assert_eq!(report["push"]["created"], 1, "{report:#}");
    let held = waiting(&project, "quarantine");
    let reviews = waiting(&project, "review");
    assert_eq!(held.len() + reviews.len(), 1, "{held:#?} {reviews:#?}");
    project.quiet_sync(3);
    let found = project
        .crm
        .with_people(|people| people.by_email("same@example.org"));
    assert_eq!(found.len(), 1);
    project.sql("UPDATE customers SET email = 'other@example.org' WHERE first_name = 'Two'");
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn a_value_that_does_not_fit_waits_and_the_other_fields_flow() {
    let project = plain(3).build();
    project.sync(0);
    // A server's own column of dates would not take it; a customer's may be one of texts.
    if let Some(server) = store::server() {
        project.sql(&store::loosen(server, "customers", "born_on"));
    }
    project.sql(
        "UPDATE customers SET born_on = 'soon', last_name = 'Flows' WHERE customer_no = 'M000001'",
    );
    let report = project.sync(3);
    assert_eq!(report["push"]["updated"], 1, "{report:#}");
    assert_eq!(
        project.contact("M000001").last_name.as_deref(),
        Some("Flows")
    );
    let held = waiting(&project, "quarantine");
    assert_eq!(held[0]["fields"], serde_json::json!(["born_on"]));
    project.quiet_sync(3);
    project.sql("UPDATE customers SET born_on = '1999-12-31' WHERE customer_no = 'M000001'");
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

/// The contacts of two people get another last name; the database does not take the first.
pub fn one_of_two_is_refused(project: &Project, name: &str) {
    for (number, name) in [("M000001", name), ("M000002", "Flows")] {
        let id = project.contact(number).entity_id;
        project
            .crm
            .edit(id, |person| person.last_name = Some(name.to_owned()));
    }
    let report = project.sync(3);
    assert_eq!(report["pull"]["updated"], 1, "{report:#}");
    assert_eq!(report["quarantined"], 1, "{report:#}");
    project.quiet_sync(3);
}

/// What made the database refuse is mended.
pub fn the_refused_one_goes_through(project: &Project) {
    let id = text(&waiting(project, "quarantine")[0], "id").to_owned();
    project.line(&format!("quarantine retry {id}")).exits(0);
    let report = project.sync(0);
    assert_eq!(report["pull"]["updated"], 1, "{report:#}");
    assert_equal_sides(project);
    project.quiet_sync(0);
}

#[test]
pub fn a_row_that_the_database_refuses_waits_alone_and_is_repaired_by_retry() {
    let project = plain(3).build();
    project.sync(0);
    let [refuse, allow] = store::refusing("customers", "last_name", "Reed");
    project.sql(&refuse);
    one_of_two_is_refused(&project, "Reed");
    project.sql(&allow);
    the_refused_one_goes_through(&project);
}

#[test]
pub fn h27_a_new_address_for_a_contact_that_only_its_address_names_is_held() {
    let project = plain(3).build();
    let id = project
        .crm
        .insert(newcomer("", "only@example.org", "By", "Mail"));
    project.sync(0);
    project.sql(
        "UPDATE customers SET email = 'else@example.org', last_name = 'Flows' WHERE email = 'only@example.org'",
    );
    let report = project.sync(3);
    assert_eq!(report["quarantined"], 1, "{report:#}");
    let person = project.crm.person(id).expect("the contact");
    assert_eq!(person.email(), Some("only@example.org"));
    assert_eq!(person.last_name.as_deref(), Some("Flows"));
    assert_eq!(project.crm.people().len(), 4);
    project.quiet_sync(3);
}
