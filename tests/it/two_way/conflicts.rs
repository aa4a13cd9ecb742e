//! The same field edited on both sides: each policy of `conflicts`, and what a person decides.

use chrono::{DateTime, Duration, Utc};
use contactbridge::simulator::contactlist::Person;

use super::{assert_equal_sides, mapping, plain};
use crate::support::{Project, Setup};

/// Three people of whom the first two are in conflict over their first name, each with an edit of another field too.
fn in_conflict(setup: Setup) -> Project {
    let project = setup.build();
    project.sync(0);
    for no in ["M000000", "M000001"] {
        edit(&project, no, |person| {
            person.first_name = Some("Remote".into());
            person.set_phone(5, "+61 1");
        });
        project.sql(&format!(
            "UPDATE customers SET first_name = 'Local', city = 'Perth' WHERE customer_no = '{no}'"
        ));
    }
    project
}

#[track_caller]
fn edit(project: &Project, no: &str, change: impl FnOnce(&mut Person)) {
    assert!(project.crm.edit(project.contact(no).entity_id, change));
}

/// First name, telephone and city of both sides, which must be equal.
#[track_caller]
fn ends_as(project: &Project, no: &str, first: &str) {
    assert_equal_sides(project);
    let row = project.rows(&format!(
        "SELECT first_name, mobile, city FROM customers WHERE customer_no = '{no}'"
    ));
    assert_eq!(row, [[first, "+61 1", "Perth"]]);
}

/// What `list --format json` of review or quarantine prints.
#[track_caller]
fn waiting(project: &Project, what: &str) -> Vec<serde_json::Value> {
    let list = project.line(&format!("{what} list --format json")).exits(0);
    list.json().as_array().expect("an array").clone()
}

#[test]
pub fn f5_conflicts_remote_lets_the_crm_win_and_keeps_the_loser() {
    let project = in_conflict(plain(3).key("conflicts: remote"));
    let report = project.sync(0);
    assert_eq!(report["conflicts"], 2, "{report:#}");
    ends_as(&project, "M000000", "Remote");
    ends_as(&project, "M000001", "Remote");
    project.quiet_sync(0);
    let settled = project.line("review list --settled --format json").exits(0);
    let entries = settled.json();
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "{entries:#}");
    assert_eq!(entries[0]["winner"], "remote");
    assert!(!settled.stdout.contains("Local"), "no values in a list");
    let id = entries[0]["id"].as_str().unwrap().to_owned();
    project
        .line(&format!("review show {id}"))
        .exits(0)
        .says("Local");
}

#[test]
pub fn f6_conflicts_local_lets_the_database_win() {
    let project = in_conflict(plain(3).key("conflicts: local"));
    let report = project.sync(0);
    assert_eq!(report["conflicts"], 2, "{report:#}");
    ends_as(&project, "M000000", "Local");
    ends_as(&project, "M000001", "Local");
    project.quiet_sync(0);
}

/// The contact's own time becomes this, in the site's wall clock.
fn restamp(project: &Project, no: &str, at: DateTime<Utc>) {
    let zone = project.crm.options().zone;
    let id = project.contact(no).entity_id;
    assert!(project.crm.edit_unstamped(id, |person| {
        person.last_update_date = at.with_timezone(&zone).naive_local();
    }));
}

#[test]
pub fn f7_conflicts_newest_lets_the_later_record_win_by_its_own_time() {
    for changes in ["journal", "{ column: updated_at }"] {
        let project = in_conflict(plain(3).mapping(&mapping(changes, false, false)));
        if changes != "journal" {
            let now = project.now();
            project.sql(&format!(
                "UPDATE customers SET updated_at = {now} WHERE first_name = 'Local'"
            ));
        }
        // Five minutes to either side are more than the tolerance, and less than the overlap.
        restamp(&project, "M000000", Utc::now() - Duration::minutes(5));
        restamp(&project, "M000001", Utc::now() + Duration::minutes(5));
        project.line("reseed members").exits(0);
        let report = project.sync(0);
        assert_eq!(report["conflicts"], 2, "{report:#}");
        ends_as(&project, "M000000", "Local");
        ends_as(&project, "M000001", "Remote");
        project.quiet_sync(0);
    }
}

#[test]
pub fn f8_newest_asks_a_person_when_a_time_is_missing_or_too_near() {
    for changes in ["scan", "journal"] {
        let project = in_conflict(plain(3).mapping(&mapping(changes, false, false)));
        let report = project.sync(3);
        assert_eq!(report["review"], 2, "{report:#}");
        assert_eq!(waiting(&project, "review").len(), 2);
    }
}

#[test]
pub fn f8_conflicts_review_holds_the_field_alone_and_a_person_decides() {
    let project = in_conflict(plain(3).key("conflicts: review"));
    let report = project.sync(3);
    assert_eq!(report["conflicts"], 2, "{report:#}");
    assert_eq!(report["outcome"], "partial");
    // The other fields flowed; this one stands as each side has it.
    for no in ["M000000", "M000001"] {
        let person = project.contact(no);
        assert_eq!(person.first_name.as_deref(), Some("Remote"));
        let row = project.rows(&format!(
            "SELECT first_name, mobile, city FROM customers WHERE customer_no = '{no}'"
        ));
        assert_eq!(row, [["Local", "+61 1", "Perth"]]);
    }
    project.quiet_sync(3);
    let reviews = waiting(&project, "review");
    assert_eq!(reviews.len(), 2);
    for review in &reviews {
        assert_eq!(review["fields"], serde_json::json!(["first_name"]));
        let id = review["id"].as_str().unwrap();
        let shown = project.line(&format!("review show {id}")).exits(0);
        shown.says("Local").says("Remote");
        let crm_id = review["remote"].as_str().unwrap();
        let side = if crm_id == "1001" { "remote" } else { "local" };
        project
            .line(&format!("review resolve {id} --take {side}"))
            .exits(0);
    }
    project.sync(0);
    ends_as(&project, "M000000", "Remote");
    ends_as(&project, "M000001", "Local");
    assert_eq!(waiting(&project, "review").len(), 0);
    project.quiet_sync(0);
}

#[test]
pub fn a_fields_own_policy_overrules_the_bridges() {
    let text = mapping("scan", false, false).replace(
        "remote: firstName }",
        "remote: firstName, conflicts: local }",
    );
    let project = in_conflict(plain(3).key("conflicts: remote").mapping(&text));
    project.sync(0);
    ends_as(&project, "M000000", "Local");
    project.quiet_sync(0);
}

#[test]
pub fn p7_deletes_review_asks_and_ignore_leaves_alone() {
    let delete = |project: &Project| {
        project.sync(0);
        let id = project.contact("M000000").entity_id;
        let flag = contactbridge::simulator::contactlist::Deletion::Flag;
        assert!(project.crm.delete(id, flag));
        assert_eq!(
            project.sql("DELETE FROM customers WHERE customer_no = 'M000001'"),
            1
        );
    };
    let count = "SELECT count(*) FROM customers";
    let ignored = plain(4).key("deletes: ignore").build();
    delete(&ignored);
    ignored.sync(0);
    assert_eq!(ignored.cell(count), "3");
    assert!(!ignored.contact("M000001").deleted);
    ignored.quiet_sync(0);

    let asked = plain(4).key("deletes: review").build();
    delete(&asked);
    asked.sync(3);
    assert_eq!(asked.cell(count), "3");
    asked.quiet_sync(3);
    let reviews = waiting(&asked, "review");
    assert_eq!(reviews.len(), 2, "{reviews:#?}");
    for review in &reviews {
        let (id, side) = (
            review["id"].as_str().unwrap(),
            review["side"].as_str().unwrap(),
        );
        asked
            .line(&format!("review resolve {id} --take {side}"))
            .exits(0);
    }
    asked.sync(0);
    assert_equal_sides(&asked);
    assert_eq!(asked.cell(count), "2");
    asked.quiet_sync(0);
}
