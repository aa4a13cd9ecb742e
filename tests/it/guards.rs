//! Every guard stops a run before anything is written, again and again, until its cause is gone or it is accepted.

use contactbridge::simulator::contactlist::{ContactListSimulator, Deletion, Options, Person};

use crate::support::{Fresh, Project, store};
use crate::two_way::{assert_equal_sides, newcomer, plain};

/// Runs that must be stopped by this guard, twice, with nothing written on any side.
#[track_caller]
fn stopped(project: &Project, arguments: &str, guard: &str) {
    let (rows, people) = (project.dump(), project.crm.people());
    for _ in 0..2 {
        project.crm.clear_log();
        let ran = project
            .line(&format!("sync --format json {arguments}"))
            .exits(4);
        let report = &ran.json()["bridges"][0];
        assert_eq!(report["outcome"], "stopped", "{report:#}");
        assert_eq!(report["guard"], guard, "{report:#}");
        assert_eq!(project.remote_writes(), 0);
        assert_eq!(rows, project.dump());
        assert!(people == project.crm.people());
    }
}

#[track_caller]
fn accepted(project: &Project, arguments: &str) -> serde_json::Value {
    let ran = project
        .line(&format!("sync --format json {arguments}"))
        .exits(0);
    ran.json()["bridges"][0].clone()
}

fn loaded(people: u32) -> Project {
    let project = plain(people).build();
    project.sync(0);
    project
}

#[test]
pub fn g1_too_many_deletions_stop_a_run_on_either_side() {
    let project = loaded(60);
    project.sql("DELETE FROM customers WHERE customer_no < 'M000020'");
    stopped(&project, "", "deletes");
    stopped(&project, "--accept changes", "deletes");
    let report = accepted(&project, "--accept deletes");
    assert_eq!(report["push"]["deleted"], 20, "{report:#}");
    assert_equal_sides(&project);
    for of in 20..35 {
        let id = project.contact(&format!("M{of:06}")).entity_id;
        assert!(project.crm.delete(id, Deletion::Flag));
    }
    stopped(&project, "", "deletes");
    let report = accepted(&project, "--accept deletes");
    assert_eq!(report["pull"]["deleted"], 15, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn g2_too_many_changes_stop_a_run_on_either_side() {
    let project = loaded(80);
    project.sql("UPDATE customers SET city = 'Moved'");
    stopped(&project, "", "changes");
    let report = accepted(&project, "--accept changes");
    assert_eq!(report["push"]["updated"], 80, "{report:#}");
    for person in project.crm.people() {
        let renamed = |person: &mut Person| person.first_name = Some("Renamed".into());
        assert!(project.crm.edit(person.entity_id, renamed));
    }
    stopped(&project, "", "changes");
    let report = accepted(&project, "--accept changes");
    assert_eq!(report["pull"]["updated"], 80, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn g3_an_emptied_crm_deletes_nobody_and_goes_on_when_it_is_back() {
    let project = loaded(60);
    let backup = project.crm.backup();
    let empty = ContactListSimulator::start(Options::default()).expect("an empty site");
    project.crm.restore(empty.backup());
    // An incremental answer without records is the normal case.
    project.quiet_sync(0);
    project.line("reseed members").exits(0);
    stopped(&project, "", "emptied");
    project.crm.restore(backup);
    project.quiet_sync(0);
}

#[test]
pub fn g3_what_is_accepted_still_meets_deletes() {
    let project = loaded(60);
    for of in 0..40 {
        let id = project.contact(&format!("M{of:06}")).entity_id;
        assert!(project.crm.delete(id, Deletion::Vanish));
    }
    project.line("reseed members").exits(0);
    stopped(&project, "", "emptied");
    stopped(&project, "--accept emptied", "deletes");
    let report = accepted(&project, "--accept emptied --accept deletes");
    assert_eq!(report["pull"]["deleted"], 40, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn g3_an_emptied_table_deletes_nobody() {
    let project = loaded(60);
    let copy = project.backup();
    project.sql("DELETE FROM customers");
    stopped(&project, "", "emptied");
    stopped(&project, "--accept emptied", "deletes");
    project.restore(copy);
    project.quiet_sync(0);
}

#[test]
pub fn g4_another_site_behind_the_address_is_noticed() {
    let project = loaded(30);
    let mut options = Options {
        people: 30,
        seed: 99,
        ..Options::default()
    };
    options.site_id = project.crm.options().site_id;
    let other = ContactListSimulator::start(options).expect("another site");
    // Its people have other ids.
    for (at, mut person) in other.people().into_iter().enumerate() {
        assert!(other.delete(person.entity_id, Deletion::Vanish));
        person.entity_id = 90_000 + i32::try_from(at).expect("small");
        other.put(person);
    }
    let (mine, theirs) = (project.crm.url(), other.url());
    project.edit("bridge.yaml", &mine, &theirs);
    let before = other.people();
    stopped(&project, "", "site");
    assert!(before == other.people());
    let ran = project.line("sync").exits(4);
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains("E-WRONG-SITE"),
        "{ran:#?}"
    );
    project.edit("bridge.yaml", &theirs, &mine);
    project.quiet_sync(0);
}

#[test]
pub fn g4_another_database_is_noticed() {
    let project = loaded(30);
    let empty = store::fresh();
    let url = |fresh: &Option<Fresh>, file: &str| match fresh {
        Some(fresh) => fresh.url(),
        None => format!("sqlite:{file}"),
    };
    let (mine, other) = (url(&project.fresh, "customers.db"), url(&empty, "other.db"));
    project.edit("bridge.yaml", &mine, &other);
    for _ in 0..2 {
        project.crm.clear_log();
        let ran = project.line("sync --format json").exits(4);
        assert_eq!(ran.json()["bridges"][0]["guard"], "site");
        assert_eq!(project.remote_writes(), 0);
        assert!(!project.path("other.db").exists());
        if let Some(empty) = &empty {
            let made = store::rows(empty, store::tables(Some(empty)), "-");
            assert!(made.is_empty(), "{made:?}");
        }
    }
    project.edit("bridge.yaml", &other, &mine);
    project.quiet_sync(0);
}

#[test]
pub fn g5_h63_a_crm_restored_from_a_backup_is_noticed_and_filled_again() {
    let project = loaded(30);
    for person in project.crm.people() {
        let earlier = |person: &mut Person| person.last_update_date -= chrono::Duration::hours(1);
        assert!(project.crm.edit_unstamped(person.entity_id, earlier));
    }
    project.line("reseed members").exits(0);
    project.sync(0);
    let backup = project.crm.backup();
    for of in 0..20 {
        let id = project.contact(&format!("M{of:06}")).entity_id;
        let renamed = |person: &mut Person| person.first_name = Some("Later".into());
        assert!(project.crm.edit(id, renamed));
        // Half an hour ago: what is younger than the overlap, a replica that lags may not have heard of yet.
        let earlier =
            |person: &mut Person| person.last_update_date -= chrono::Duration::minutes(30);
        assert!(project.crm.edit_unstamped(id, earlier));
    }
    project.sync(0);
    let rows = project.dump();
    project.crm.restore(backup);
    project.line("reseed members").exits(0);
    stopped(&project, "", "rewound");
    let report = accepted(&project, "--accept rewound");
    assert_eq!(report["push"]["updated"], 20, "{report:#}");
    let customers = |dump: &[String]| -> Vec<String> {
        let rows = dump.iter().filter(|row| row.starts_with("customers:"));
        rows.cloned().collect()
    };
    assert_eq!(customers(&rows), customers(&project.dump()));
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn g5_h64_a_database_restored_from_a_backup_is_noticed_and_filled_again() {
    let project = loaded(30);
    let copy = project.backup();
    for (turn, first) in ["One", "Two", "Three"].into_iter().enumerate() {
        let id = project.contact(&format!("M{turn:06}")).entity_id;
        let renamed = |person: &mut Person| person.first_name = Some(first.into());
        assert!(project.crm.edit(id, renamed));
        project.sql(&format!(
            "UPDATE customers SET city = '{first}' WHERE customer_no = 'M00001{turn}'"
        ));
        project.sync(0);
    }
    // Rows that the copy does not have come back too.
    let new = newcomer("C-1", "c1@example.org", "Crm", "Born");
    project.crm.insert(new);
    project.sync(0);
    let people = project.crm.people();
    project.restore(copy);
    stopped(&project, "", "rewound");
    accepted(&project, "--accept rewound");
    assert_equal_sides(&project);
    assert!(people == project.crm.people(), "the CRM had it all");
    project.quiet_sync(0);
}
