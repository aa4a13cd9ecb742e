//! A lost state: both sides are linked again, nothing is made, nothing is lost, also when that is killed on its way.

use contactbridge::simulator::contactlist::Person;

use super::{assert_equal_sides, contacts, newcomer, plain, rows};
use crate::support::{Project, Setup};

/// People with every kind of identity on both sides, synchronised; then the state is gone.
pub fn lost(setup: Setup) -> Project {
    let project = setup.build();
    project
        .crm
        .insert(newcomer("", "mail@example.org", "Mail", "Alone"));
    project.crm.insert(newcomer("", "", "No", "Identity"));
    project.sync(0);
    project.sql("INSERT INTO customers (customer_no, email, first_name, opted_in) VALUES ('L-1', 'l1@example.org', 'Desk', '1')");
    project.sql(
        "INSERT INTO customers (email, first_name, opted_in) VALUES ('l2@example.org', 'Desk', '0')",
    );
    project.sync(0);
    assert_equal_sides(&project);
    std::fs::remove_dir_all(project.path("state")).expect("a state");
    let (people, table) = (project.crm.people(), rows(&project));
    let ran = project.line("sync --format json").exits(7);
    assert!(ran.stdout.contains("E-STATE-LOST") && ran.stdout.contains("reseed members --relink"));
    assert!(people == project.crm.people() && table == rows(&project));
    project
}

#[test]
pub fn h60_a_relink_makes_nothing_wherever_it_is_killed() {
    for point in ["C0", "L.before", "L.after", "C8", "C9.state", "C9.database"] {
        let project = lost(plain(60));
        let (people, table) = (project.crm.people(), rows(&project));
        let crash = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("{point}:1"));
        let killed = crash.line("reseed members --relink");
        assert!(
            matches!(killed.code, None | Some(0)),
            "{point}: {killed:#?}"
        );
        // Whatever stands in the state now, a relink may be begun again.
        project.line("reseed members --relink").exits(0);
        assert!(
            people == project.crm.people() && table == rows(&project),
            "{point}"
        );
        project.sync(0);
        assert!(
            people == project.crm.people() && table == rows(&project),
            "{point}"
        );
        project.quiet_sync(0);
    }
}

#[test]
pub fn h60_edits_around_a_relink_are_a_first_meeting_and_nothing_is_made_twice() {
    let project = lost(plain(60).key("conflicts: remote"));
    let before = (contacts(&project).len(), rows(&project).len());
    let edit = |no: &str, change: fn(&mut Person)| {
        assert!(project.crm.edit(project.contact(no).entity_id, change));
    };
    edit("M000001", |person| {
        person.first_name = Some("Theirs".into())
    });
    project.sql(
        "UPDATE customers SET first_name = 'Ours' WHERE customer_no IN ('M000001', 'M000002')",
    );
    project.sql("UPDATE customers SET company = NULL WHERE customer_no = 'M000003'");
    project.line("reseed members --relink").exits(0);
    assert_eq!(before, (contacts(&project).len(), rows(&project).len()));
    let report = project.sync(0);
    assert_eq!(report["conflicts"], 2, "{report:#}");
    assert_equal_sides(&project);
    let name = |no: &str| project.contact(no).first_name;
    assert_eq!(name("M000001").as_deref(), Some("Theirs"));
    // There is no agreed state any more that would say who edited this one: the policy decides.
    assert_ne!(name("M000002").as_deref(), Some("Ours"));
    // An empty side is filled.
    let filled = "SELECT company FROM customers WHERE customer_no = 'M000003'";
    assert_eq!(project.cell(filled), "Company 3");
    project.quiet_sync(0);
    assert_eq!(before, (contacts(&project).len(), rows(&project).len()));
}

#[test]
pub fn a_first_meeting_of_two_full_sides_links_fills_asks_and_deletes_nothing() {
    let project = plain(60).build();
    project.sync(0);
    // The same table under another bridge's eyes: nothing of ours beside it.
    for table in [
        "contactbridge_meta",
        "contactbridge_links",
        "contactbridge_applied",
    ] {
        project.sql(&format!("DROP TABLE {table}"));
    }
    std::fs::remove_dir_all(project.path("state")).expect("a state");
    project.sql("UPDATE customers SET first_name = 'Differs' WHERE customer_no = 'M000001'");
    project.sql("UPDATE customers SET city = NULL WHERE customer_no = 'M000002'");
    project.sql("DELETE FROM customers WHERE customer_no = 'M000003'");
    project.sql("INSERT INTO customers (customer_no, email, first_name, opted_in) VALUES ('L-1', 'l1@example.org', 'Desk', '1')");
    let report = project.sync(3);
    assert_eq!(report["review"], 1, "{report:#}");
    assert_eq!(report["conflicts"], 1, "{report:#}");
    assert_eq!(report["pull"]["created"], 1, "{report:#}");
    assert_eq!(report["push"]["created"], 1, "{report:#}");
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "61");
    assert_eq!(project.crm.people().len(), 61);
    project.quiet_sync(3);
    let list = project.line("review list --format json").exits(0).json();
    let id = list[0]["id"].as_str().expect("an id");
    project
        .line(&format!("review resolve {id} --take remote"))
        .exits(0);
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}
