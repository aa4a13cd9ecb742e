//! Disks that are full or read-only: a clear message, exit 7, and the run after room was made completes.
//!
//! The disks are tmpfs mounts in a mount namespace of their own, so each story is one shell script in it.

use std::process::Command;

use crate::support::Project;
use crate::two_way::{assert_equal_sides, plain};

/// Runs a script in the project with mounts of its own; what its `note` lines say. `None`, with a word about it, where the
/// machine allows no such mounts (and CI is not true).
fn with_mounts(project: &Project, script: &str) -> Option<Vec<String>> {
    let whole = format!(
        "set -u\nsync_now() {{ code=0; \"$BRIDGE\" sync --format json >report.json 2>complaint.txt || code=$?; echo \"$1 $code $(grep -o '\"error\":\"E-[A-Z-]*' report.json | cut -d'\"' -f4)\"; }}\nmount -t tmpfs -o size=1m none state 2>/dev/null || {{ echo no mounts; exit 0; }}\n{script}"
    );
    std::fs::create_dir_all(project.path("state")).expect("a directory");
    let options = project.crm.options();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &whole])
        .current_dir(project.path(""))
        .env("BRIDGE", env!("CARGO_BIN_EXE_contactbridge"))
        .env("CRM_USERNAME", &options.username)
        .env("CRM_PASSWORD", &options.password)
        .output();
    let said = output
        .map(|output| {
            print!("{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
        .unwrap_or_default();
    let lines: Vec<String> = said.lines().map(|line| line.trim().to_owned()).collect();
    if lines.is_empty() || lines[0] == "no mounts" {
        let strict = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !strict,
            "this machine lets nobody mount a tmpfs in a namespace"
        );
        println!("SKIPPED full and read-only disks: no mounts in a namespace here");
        return None;
    }
    Some(lines)
}

#[test]
fn h68_a_full_disk_under_the_state_stops_the_run_and_room_lets_it_complete() {
    let project = plain(3_000).build();
    let Some(said) = with_mounts(
        &project,
        "sync_now full\nsync_now full\nmount -o remount,size=200m state\nsync_now room\nsync_now quiet",
    ) else {
        return;
    };
    assert_eq!(
        said,
        ["full 7 E-DISK", "full 7 E-DISK", "room 0", "quiet 0"]
    );
    assert_equal_sides(&project);
    assert_eq!(project.remote_writes(), 0);
}

#[test]
fn h68_a_state_that_may_not_be_written_stops_the_run() {
    let project = plain(20).build();
    let Some(said) = with_mounts(
        &project,
        "mount -o remount,size=200m state\nsync_now first\nmount -o remount,ro state\nsync_now forbidden\nmount -o remount,rw state\nsync_now again",
    ) else {
        return;
    };
    assert_eq!(said, ["first 0", "forbidden 7 E-DISK", "again 0"]);
    assert_equal_sides(&project);
}

#[test]
fn h68_a_full_disk_under_the_database_stops_the_run_and_room_lets_it_complete() {
    let project = plain(3_000).build();
    project.edit(
        "bridge.yaml",
        "sqlite:customers.db",
        "sqlite:data/customers.db",
    );
    std::fs::create_dir(project.path("data")).expect("a directory");
    let Some(said) = with_mounts(
        &project,
        "mount -o remount,size=200m state\nmount -t tmpfs -o size=200k none data\nsync_now full\nmount -o remount,size=200m data\nsync_now room\nsync_now quiet\nmount -o remount,ro data\nsync_now forbidden\nmount -o remount,rw data\nsync_now again\ncp data/customers.db .",
    ) else {
        return;
    };
    assert_eq!(
        said,
        [
            "full 7 E-DB-FULL",
            "room 0",
            "quiet 0",
            // To the bridge it is a side that can't be reached.
            "forbidden 5 E-DB-OPEN",
            "again 0"
        ]
    );
    assert_equal_sides(&project);
}
