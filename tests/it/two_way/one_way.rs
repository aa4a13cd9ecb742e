//! Bridges and fields that flow one way alone, and identities that the bridge makes.

use std::collections::BTreeSet;

use contactbridge::simulator::contactlist::{Deletion, Person};

use super::{assert_equal_sides, contacts, mapping, plain};
use crate::support::Project;

fn edit(project: &Project, no: &str, change: fn(&mut Person)) {
    assert!(project.crm.edit(project.contact(no).entity_id, change));
}

fn first_name(project: &Project, no: &str) -> String {
    project.cell(&format!(
        "SELECT first_name FROM customers WHERE customer_no = '{no}'"
    ))
}

#[test]
pub fn f9_a_bridge_that_pulls_never_writes_the_crm_and_the_crm_wins() {
    let project = plain(20).key("direction: pull").build();
    project.sync(0);
    edit(&project, "M000001", |person| {
        person.first_name = Some("Crm".into())
    });
    project.sql(
        "UPDATE customers SET first_name = 'Desk' WHERE customer_no IN ('M000001', 'M000002')",
    );
    project.sql("DELETE FROM customers WHERE customer_no = 'M000003'");
    project.crm.clear_log();
    project.sync(0);
    // The source wins where the record changes, and everywhere in a full read.
    assert_eq!(first_name(&project, "M000001"), "Crm");
    project.line("reseed members").exits(0);
    project.sync(0);
    assert_eq!(project.remote_writes(), 0);
    assert_equal_sides(&project);
    let gone = project.contact("M000004").entity_id;
    assert!(project.crm.delete(gone, Deletion::Flag));
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn f10_a_bridge_that_pushes_never_takes_from_the_crm_and_the_database_wins() {
    let project = plain(0).key("direction: push").build();
    // The first run makes the table.
    project.sync(0);
    for of in 0..20 {
        project.sql(&format!(
            "INSERT INTO customers (customer_no, email, first_name, last_name, opted_in) VALUES ('P-{of}', 'p{of}@example.org', 'Desk', 'Born', '1')"
        ));
    }
    let report = project.sync(0);
    assert_eq!(report["push"]["created"], 20, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
    let table = project.rows("SELECT * FROM customers");
    edit(&project, "P-1", |person| {
        person.first_name = Some("Crm".into())
    });
    assert!(
        project
            .crm
            .delete(project.contact("P-2").entity_id, Deletion::Flag)
    );
    project.line("reseed members").exits(0);
    project.sync(0);
    assert_eq!(table, project.rows("SELECT * FROM customers"));
    assert_equal_sides(&project);
    project.sql("DELETE FROM customers WHERE customer_no = 'P-3'");
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn a_field_that_flows_one_way_alone_is_never_written_the_other_way() {
    let text = mapping("scan", false, false)
        .replace(
            "remote: firstName }",
            "remote: firstName, direction: pull }",
        )
        .replace("remote: lastName }", "remote: lastName, direction: push }");
    let project = plain(20).mapping(&text).build();
    project.sync(0);
    edit(&project, "M000001", |person| {
        person.first_name = Some("Crm".into());
        person.last_name = Some("Crm".into());
    });
    project.sql("UPDATE customers SET first_name = 'Desk', last_name = 'Desk', city = 'Perth' WHERE customer_no = 'M000001'");
    project.sync(0);
    let person = project.contact("M000001");
    assert_eq!(person.first_name.as_deref(), Some("Crm"));
    assert_eq!(person.last_name.as_deref(), Some("Desk"));
    // Each side keeps what only it may change, and a full read finds nothing to do.
    project.line("reseed members").exits(0);
    project.quiet_sync(0);
}

#[test]
pub fn generate_gives_new_rows_an_identity_and_each_is_made_once() {
    let text = mapping("journal", false, false).replace(
        "remote: externalId, match: true }",
        "remote: externalId, match: true, generate: uuid }",
    );
    let project = plain(5).mapping(&text).build();
    project.sync(0);
    for of in 0..8 {
        project.sql(&format!(
            "INSERT INTO customers (first_name, opted_in) VALUES ('Nobody {of}', '0')"
        ));
    }
    for point in ["reserved", "C5", "send"] {
        let binary = project.binary.clone();
        let crash = binary.with("CONTACTBRIDGE_CRASH_AT", point);
        assert_eq!(crash.line("sync").code, None, "{point}");
    }
    project.sync(0);
    assert_equal_sides(&project);
    let all = contacts(&project);
    let numbers: BTreeSet<&String> = all.iter().map(|row| &row[0]).collect();
    assert_eq!((all.len(), numbers.len()), (13, 13));
    assert!(!numbers.contains(&"-".to_owned()));
    project.quiet_sync(0);
}
