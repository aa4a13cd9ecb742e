//! One worker at a time: who holds a bridge, who is told so, and who comes after one that died.

use rustix::process::{Signal, kill_process};

use super::Shared;
use crate::two_way::{assert_equal_sides, plain};

#[test]
fn h67_a_held_bridge_ends_others_with_6_and_status_says_who_holds_it() {
    let Some(shared) = Shared::with(40) else {
        return;
    };
    let project = &shared.project;
    let mut child = shared.start_held();
    let pid = u64::from(child.id());
    let lease = shared.status()["lease"].clone();
    assert_eq!(lease["pid"], pid);
    for name in ["host", "since", "until"] {
        assert!(
            lease[name].as_str().is_some_and(|text| !text.is_empty()),
            "{lease}"
        );
    }
    let host = lease["host"].as_str().expect("a host");
    project
        .line("status")
        .exits(0)
        .says(&format!("process {pid} on {host}"));
    let report = project.sync(6);
    let error = report["error"].as_str().expect("an error").to_owned();
    for word in [
        "E-STATE-LOCKED",
        host,
        &format!("pid {pid}"),
        "since",
        "until",
    ] {
        assert!(error.contains(word), "no {word}: {error}");
    }
    project.line("sync -q").exits(6).quietly();
    for line in [
        "plan",
        "reseed members",
        "reseed members --relink",
        "review list",
        "quarantine list",
        "journal remove members",
        "state move members --to sqlite:other",
    ] {
        project.line(line).exits(6);
    }
    project
        .line("check --offline")
        .exits(0)
        .says("holds this bridge now");
    child.kill().expect("a child");
    child.wait().expect("a child");
    project.crm.clear_rules();
    // It died with its lease, which holds others up for no longer than it lasts.
    project.line("sync -q").exits(6);
    shared.let_it_expire();
    assert!(shared.status()["lease"].is_null());
    project.sync(0);
    assert_equal_sides(project);
}

#[test]
fn h67_a_worker_that_dies_is_replaced_when_its_lease_has_run_out() {
    let Some(shared) = Shared::made(plain(40).limit("lease: 1s")) else {
        return;
    };
    let project = &shared.project;
    let mut child = shared.start_held();
    // Kept for several times its length, by renewals alone: the engine waits for its first answer.
    let renewed = || shared.cell("SELECT until::text FROM contactbridge.bridge");
    for _ in 0..4 {
        let before = renewed();
        while renewed() == before {
            assert!(child.try_wait().expect("a child").is_none());
        }
    }
    project.line("sync").exits(6);
    child.kill().expect("a child");
    child.wait().expect("a child");
    project.crm.clear_rules();
    let mut tries = 0;
    loop {
        let ran = project.line("sync --format json");
        match ran.code {
            Some(0) => break,
            Some(6) => tries += 1,
            other => panic!("{other:?} {ran:#?}"),
        }
        assert!(tries < 1000, "never replaced");
    }
    assert_equal_sides(project);
    project.quiet_sync(0);
}

#[test]
fn h67_machines_that_run_at_the_same_time_do_the_work_once() {
    let Some(shared) = Shared::with(30) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    for round in 0..3 {
        project.sql(&format!("UPDATE customers SET city = 'Round {round}'"));
        let start = || {
            project
                .binary
                .command(&["sync", "--format", "json"])
                .spawn()
                .expect("it starts")
        };
        let children: Vec<_> = (0..4).map(|_| start()).collect();
        let mut updated = 0;
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            match output.status.code() {
                Some(0) => {
                    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
                    updated += report["bridges"][0]["push"]["updated"]
                        .as_u64()
                        .expect("a count");
                }
                Some(6) => {}
                other => panic!(
                    "{other:?}: {said} {}",
                    String::from_utf8_lossy(&output.stderr)
                ),
            }
        }
        assert_eq!(updated, 30, "round {round}");
        assert_equal_sides(project);
    }
    project.quiet_sync(0);
}

#[test]
fn a_run_that_is_told_to_stop_gives_its_lease_back() {
    let Some(shared) = Shared::with(40) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    project.sql("UPDATE customers SET city = 'Moved'");
    let child = project
        .binary
        .clone()
        .with("CONTACTBRIDGE_STOP_AT", "C5:1")
        .command(&["sync", "--format", "json"])
        .spawn()
        .expect("it starts");
    let pid = super::sleepers::wait_until_asleep(&child).expect("it comes to C5");
    kill_process(pid, Signal::TERM).expect("it is there");
    kill_process(pid, Signal::CONT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    // The signal is heard at the next safe point, or the run was through before.
    assert!(matches!(output.status.code(), Some(143 | 0)), "{output:?}");
    assert!(shared.status()["lease"].is_null());
    project.sync(0);
    assert_equal_sides(project);
}
