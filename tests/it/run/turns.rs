//! Schedules are kept without a hand, one bridge does not wait for another, and what is configured wrong begins nothing.

use rustix::process::Signal;

use super::{second_bridge, setup, status, with_pages};
use crate::support::{Service, eventually};

#[test]
fn edits_of_both_sides_flow_at_the_turns_of_a_schedule() {
    for state in ["state", "sqlite:state"] {
        let project = setup().state(state).key("schedule: every 1s").build();
        let service = Service::start(&project.binary);
        eventually("the first load", || {
            project.path("customers.db").exists() && status(&project, 0)["links"] == 20
        });
        project.sql("UPDATE customers SET first_name = 'Locally' WHERE id = 3");
        let id = project.crm.people()[9].entity_id;
        project
            .crm
            .edit(id, |person| person.first_name = Some("Remotely".into()));
        eventually("both edits", || {
            let people = project.crm.people();
            let pushed = |name: &str| {
                people
                    .iter()
                    .any(|person| person.first_name.as_deref() == Some(name))
            };
            pushed("Locally")
                && project.cell("SELECT count(*) FROM customers WHERE first_name = 'Remotely'")
                    == "1"
        });
        let said = service.stop();
        assert!(
            said.iter()
                .any(|line| line.starts_with("info: a pass ended bridge=members outcome=ok")),
            "{said:#?}"
        );
        assert!(
            !said.iter().any(|line| line.starts_with("error")),
            "{said:#?}"
        );
        assert!(
            !said.iter().any(|line| line.contains("Locally")),
            "{said:#?}"
        );
        // Left in order: the next owner goes on.
        assert_eq!(project.sync(0)["outcome"], "ok");
    }
}

#[test]
fn a_bridge_that_is_held_elsewhere_waits_and_does_not_stop_the_other() {
    let project = with_pages(setup()).key("schedule: every 1s").build();
    second_bridge(&project);
    project.line("sync members").exits(0);
    let before = status(&project, 0)["last_run"].clone();
    // As a run that takes long has it.
    let lock = std::fs::File::open(project.path("state/members/lock")).expect("the lock");
    lock.lock().expect("nobody has it");
    let mut service = Service::start(&project.binary);
    service.hears("turns wait: Bridge `members`: another run (pid");
    eventually("the other bridge runs", || {
        status(&project, 1)["links"] == 20
    });
    let ready = service.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().starts_with("members: locked\n"),
        "{}",
        ready.text()
    );
    // Asked for the one that it does not hold, the answer is that of its holder's lock.
    project
        .line("sync members")
        .exits(6)
        .complains("another run");
    drop(lock);
    eventually("the bridge is free and runs", || {
        status(&project, 0)["last_run"] != before
    });
    eventually("readiness", || service.get("/readyz").status == 200);
    service.stop();
}

#[test]
fn a_damaged_store_is_shown_and_replaced_under_a_service_that_goes_on() {
    let project = with_pages(setup().key("schedule: every 1s")).build();
    second_bridge(&project);
    project.edit("bridge.yaml", "state: state", "state: sqlite:state");
    project.line("sync").exits(0);
    std::fs::write(project.path("state/members.sqlite"), b"this is no database").expect("a file");
    let mut service = Service::start(&project.binary);
    service.hears("E-STATE-CORRUPT");
    assert_eq!(service.get("/healthz").status, 200);
    // The line of the log comes before what the pass leaves behind it.
    eventually("the page says it", || {
        let ready = service.get("/readyz");
        ready.status == 503 && ready.text().contains("members: failed\n")
    });
    eventually("status says it", || {
        let said = status(&project, 0);
        let error = said["error"].as_str().unwrap_or_default();
        said["outcome"] == "failed" && error.starts_with("E-STATE-CORRUPT")
    });
    assert!(service.get("/").text().contains("E-STATE-CORRUPT"));
    project
        .line("sync members")
        .exits(7)
        .complains("E-STATE-CORRUPT");
    let before = status(&project, 1)["last_run"].clone();
    eventually("the other bridge goes on", || {
        status(&project, 1)["last_run"] != before
    });

    // The lock is free for the remedy, unless a try of the service has it just then: nothing was done then, and it is given again.
    // Once the old state is aside, a try is waited for. Then the service takes the bridge back.
    eventually("the remedy finds the lock free", || {
        let remedy = project.line("reseed members --relink");
        if remedy.code == Some(6) {
            let aside = std::fs::read_dir(project.path("state"))
                .expect("the state")
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().contains("aside"));
            assert!(!aside, "left half done: {}", remedy.stderr);
            return false;
        }
        remedy.exits(0).code == Some(0)
    });
    eventually("the bridge is back", || {
        service.get("/readyz").status == 200
    });
    eventually("and runs", || status(&project, 0)["outcome"] == "ok");
    service.stop();
}

#[test]
fn what_is_configured_wrong_ends_it_with_2_before_anything_is_begun() {
    let project = setup().key("schedule: every 1s").build();
    second_bridge(&project);
    let wrong: &[(&str, &str, &str, &str)] = &[
        (
            "bridge.yaml",
            "schedule: every 1s",
            "schedule: hourly",
            "E-CFG-VALUE",
        ),
        (
            "mappings/contactlist.yaml",
            "remote: firstName",
            "remote: fristName",
            "fristName",
        ),
        (
            "bridge.yaml",
            "schedule: every 1s",
            "enabled: false",
            "E-RUN-IDLE",
        ),
    ];
    for (file, good, bad, code) in wrong {
        project.edit(file, good, bad);
        project.line("run").exits(2).complains(code);
        project.edit(file, bad, good);
    }
    // A column that the table does not have, of one bridge of two.
    project
        .database()
        .execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY)")
        .expect("SQL");
    project.edit("mappings/contactlist.yaml", "create: true", "create: false");
    project.line("run").exits(2).complains("customer_no");
    assert_eq!(project.crm.log().len(), 0, "somebody asked the CRM");
    assert!(!project.path("others.db").exists());
    assert!(!project.path("state/members").exists());
}

#[test]
fn a_turn_that_was_missed_while_it_was_down_is_made_up_for() {
    // Every minute that was, and none that comes soon: only a missed turn makes a pass.
    let project = setup().key("schedule: \"0 0 1 1 *\"").build();
    project.sync(0);
    let file = project.path("state/members/status.json");
    let text = std::fs::read_to_string(&file).expect("a file");
    let mut left: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    left["last_run"] = "2020-06-01T00:00:00Z".into();
    std::fs::write(&file, left.to_string()).expect("a file");
    let mut service = Service::start(&project.binary);
    service.hears("turns passed unkept; one pass makes up for them");
    service.hears("a pass ended");
    service.signal(Signal::TERM);
    assert_eq!(service.ends(), Some(0));
    // And not once more.
    let mut service = Service::start(&project.binary);
    project.line("review list").exits(0);
    assert!(!service.said().iter().any(|line| line.contains("unkept")));
    service.stop();
}
