//! What stops a run before it writes, and what lets it pass.

use contactbridge::simulator::contactlist::{Deletion, Operation, Options, Profile};

use crate::support::{Project, Setup};

fn loaded(people: u32, setup: Setup) -> Project {
    let project = setup
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(people)
        .build();
    project.sync(0);
    project
}

fn live(project: &Project) -> usize {
    project
        .crm
        .people()
        .iter()
        .filter(|person| !person.deleted)
        .count()
}

#[test]
fn too_many_deletions_stop_a_run_until_they_are_accepted() {
    let project = loaded(60, Setup::default());
    project.sql("DELETE FROM customers WHERE id <= 20");
    for _ in 0..2 {
        let report = project.sync(4);
        assert_eq!(report["outcome"], "stopped");
        assert_eq!(report["guard"], "deletes");
        assert_eq!(live(&project), 60);
    }
    project.line("sync --accept changes").exits(4);
    project.line("sync --accept deletes").exits(0);
    assert_eq!(live(&project), 40);
    assert_eq!(project.sync(0)["push"]["deleted"], 0);
}

#[test]
fn a_plan_names_the_deletions_that_a_guard_would_stop() {
    let project = loaded(60, Setup::default());
    project.sql("DELETE FROM customers WHERE id <= 20");
    let json = project.line("plan --format json").exits(4).json();
    let plan = json["bridges"][0]["plan"]
        .as_array()
        .expect("a plan")
        .clone();
    assert_eq!(
        plan.iter()
            .filter(|item| item["action"] == "delete")
            .count(),
        20,
        "{json}"
    );
}

#[test]
fn a_guard_goes_by_itself_once_its_cause_is_gone() {
    let project = loaded(60, Setup::default());
    project.database().execute_batch("CREATE TABLE kept AS SELECT * FROM customers WHERE id <= 20; DELETE FROM customers WHERE id <= 20").expect("SQL");
    project.sync(4);
    project
        .database()
        .execute_batch("INSERT INTO customers SELECT * FROM kept")
        .expect("SQL");
    let report = project.sync(0);
    assert_eq!(report["push"]["deleted"], 0, "{report}");
    assert_eq!(live(&project), 60);
}

#[test]
fn an_emptied_table_is_not_carried_over() {
    let project = loaded(60, Setup::default());
    project.sql("DELETE FROM customers");
    assert_eq!(project.sync(4)["guard"], "emptied");
    // What is accepted still meets `deletes`.
    let json = project
        .line("sync --accept emptied --format json")
        .exits(4)
        .json();
    assert_eq!(json["bridges"][0]["guard"], "deletes");
    assert_eq!(live(&project), 60);
}

#[test]
fn an_emptied_site_is_not_carried_over() {
    let project = loaded(60, Setup::default());
    for person in project.crm.people() {
        project.crm.delete(person.entity_id, Deletion::Vanish);
    }
    project.line("reseed members").exits(0);
    let report = project.sync(4);
    assert_eq!(report["guard"], "emptied", "{report}");
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "60");
}

#[test]
fn mass_updates_stop_a_run() {
    let project = loaded(70, Setup::default());
    project.sql("UPDATE customers SET first_name = 'Same'");
    project.crm.clear_log();
    assert_eq!(project.sync(4)["guard"], "changes");
    assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 0);
    project.line("sync --accept changes").exits(0);
    assert!(
        project
            .crm
            .people()
            .iter()
            .all(|person| person.first_name.as_deref() == Some("Same"))
    );
}

#[test]
fn another_site_with_the_same_credentials_is_noticed() {
    let project = loaded(60, Setup::default());
    let other = Setup::default()
        .crm(|options: &mut Options| {
            options.profile = Profile::Plain;
            options.seed = 99;
        })
        .build();
    // The other site has nobody whom we know.
    project.edit("bridge.yaml", &project.crm.url(), &other.crm.url());
    let before = project.rows("SELECT * FROM customers");
    let report = project.sync(4);
    assert_eq!(report["guard"], "site", "{report}");
    assert_eq!(project.rows("SELECT * FROM customers"), before);
    assert!(other.crm.people().is_empty());
}
