//! The state: lost, moved, held by somebody, interrupted; the id map and the journal.

use std::io::Read;
use std::process::Child;

use contactbridge::simulator::contactlist::{Operation, Options, Profile};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{MAPPING, Project, Setup};

fn setup() -> Setup {
    Setup::default()
        .crm(|options: &mut Options| options.profile = Profile::Plain)
        .people(40)
}

fn contacts(project: &Project) -> usize {
    project.crm.people().len()
}

#[test]
pub fn h60_a_lost_state_is_noticed_and_linked_again_without_a_duplicate() {
    for state in ["state", "sqlite:state"] {
        let project = setup().state(state).build();
        project.sync(0);
        std::fs::remove_dir_all(project.path("state")).expect("a state");
        project
            .line("check --offline")
            .exits(7)
            .says("reseed members --relink");
        project.sync(7);
        let report = project.sync(7);
        assert!(
            report["error"]
                .as_str()
                .expect("an error")
                .starts_with("E-STATE-LOST"),
            "{report}"
        );
        project
            .line("check --offline")
            .says("the last run failed: E-STATE-LOST");

        project.line("reseed members --relink").exits(0);
        assert_eq!(
            (
                contacts(&project),
                project.cell("SELECT count(*) FROM customers")
            ),
            (40, "40".into())
        );
        project.crm.clear_log();
        let report = project.sync(0);
        assert_eq!(
            (&report["pull"]["created"], &report["push"]["created"]),
            (&0.into(), &0.into()),
            "{report}"
        );
        assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 0);
        // And edits flow again.
        project.sql("UPDATE customers SET first_name = 'After' WHERE id = 9");
        assert_eq!(project.sync(0)["push"]["updated"], 1);
    }
}

#[test]
pub fn a_damaged_state_is_kept_and_replaced_by_a_relink() {
    let project = setup().state("sqlite:state").build();
    project.sync(0);
    std::fs::write(
        project.path("state/members.sqlite"),
        b"this is no database, and was one",
    )
    .expect("a file");
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-STATE-CORRUPT"),
        "{report}"
    );
    project
        .line("reseed members --relink")
        .exits(0)
        .complains("put aside");
    assert_eq!(
        (
            contacts(&project),
            project.cell("SELECT count(*) FROM customers")
        ),
        (40, "40".into())
    );
    project.sync(0);
}

#[test]
pub fn h61_an_older_state_is_noticed() {
    let project = setup().state("sqlite:state").build();
    project.sync(0);
    let copy = |from: &str, to: &str| {
        for entry in std::fs::read_dir(project.path(from)).expect("a directory") {
            let entry = entry.expect("an entry");
            std::fs::create_dir_all(project.path(to)).expect("a directory");
            std::fs::copy(entry.path(), project.path(to).join(entry.file_name())).expect("a copy");
        }
    };
    copy("state", "backup");
    project.sql("UPDATE customers SET first_name = 'Later' WHERE id = 1");
    project.sync(0);
    std::fs::remove_dir_all(project.path("state")).expect("a state");
    copy("backup", "state");
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-STATE-OLD"),
        "{report}"
    );
}

#[test]
pub fn a_changed_key_is_noticed() {
    let project = setup().build();
    project.sync(0);
    std::fs::write(project.path("state/key"), "11".repeat(32)).expect("a key");
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-STATE-KEY"),
        "{report}"
    );
    std::fs::remove_file(project.path("state/key")).expect("a key");
    project.line("sync").exits(7).complains("E-STATE-KEY");
    project.line("reseed members --relink").exits(0);
    assert_eq!(contacts(&project), 40);
    project.sync(0);
}

#[test]
pub fn the_state_moves_between_stores_and_the_old_one_is_refused() {
    let project = setup().build();
    project.sync(0);
    project
        .line("state move members --to sqlite:other")
        .exits(0)
        .says("state: sqlite:other");
    project.line("sync").exits(7).complains("E-STATE-MOVED");
    project.edit("bridge.yaml", "state: state", "state: sqlite:other");
    project.crm.clear_log();
    let report = project.sync(0);
    assert_eq!(report["pull"]["created"], 0, "{report}");
    assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 0);
    project
        .line("state move members --to postgres://localhost/x")
        .exits(2);
    project
        .line("state move members --to sqlite:other")
        .exits(2)
        .complains("E-STATE-SAME");
    project.line("state move members --to back").exits(0);
    project.edit("bridge.yaml", "state: sqlite:other", "state: back");
    project.sync(0);
}

/// Starts a sync whose first call waits for long, and comes back when it holds the bridge.
fn start_held(project: &Project) -> Child {
    project.crm.switch("delay=20s").expect("a switch");
    let mut child = project
        .binary
        .command(&["sync", "--format", "json"])
        .spawn()
        .expect("it starts");
    while project.line("status --format json").json()[0]["lease"].is_null() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended before it held the bridge"
        );
    }
    child
}

#[test]
pub fn h67_a_bridge_that_is_held_ends_others_with_6_and_status_names_the_holder() {
    let project = setup().build();
    let mut child = start_held(&project);
    let pid = u64::from(child.id());
    assert_eq!(
        project.line("status --format json").json()[0]["lease"]["pid"],
        pid
    );
    let report = project.sync(6);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .contains(&pid.to_string()),
        "{report}"
    );
    project
        .line("sync")
        .exits(6)
        .complains("warning: E-STATE-LOCKED");
    project.line("sync -q").exits(6).quietly();
    project
        .line("sync")
        .exits(6)
        .complains("warning: E-STATE-LOCKED")
        .says("E-STATE-LOCKED");
    project.line("sync -q").exits(6).quietly();
    for line in [
        "reseed members",
        "reseed members --relink",
        "journal remove members",
    ] {
        project.line(line).exits(6);
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    project.crm.clear_rules();
    // The lock of a dead process holds nobody up.
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "40");
}

#[test]
pub fn h74_a_second_signal_ends_a_run_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let project = setup().build();
        let mut child = start_held(&project);
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("it runs");
        let mut stderr = child.stderr.take().expect("a pipe");
        // The first one is heard: it says so.
        let mut said = vec![0; 8];
        stderr.read_exact(&mut said).expect("a message");
        kill_process(pid, signal).expect("it runs");
        assert_eq!(child.wait().expect("a child").code(), Some(code));
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("text");
        assert!(!rest.contains("panic"), "{rest}");
        project.crm.clear_rules();
        project.sync(0);
    }
}

#[test]
pub fn h74_a_signal_ends_a_run_at_a_safe_point_with_its_document() {
    let project = setup()
        .crm(|options: &mut Options| options.people = 400)
        .build();
    project.crm.switch("delay=300ms").expect("a switch");
    let child = project
        .binary
        .command(&["sync", "--format", "json"])
        .spawn()
        .expect("it starts");
    while project.line("status --format json").json()[0]["lease"].is_null() {}
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        output.status.code(),
        Some(143),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(json["bridges"][0]["outcome"], "failed");
    project.crm.clear_rules();
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "400");
}

#[test]
pub fn reseed_reads_everything_again_and_keeps_links_and_data() {
    let project = setup().build();
    project.line("reseed members").exits(0);
    project.sync(0);
    let id = project.crm.people()[0].entity_id;
    // What no incremental read shows.
    project
        .crm
        .edit_unstamped(id, |person| person.first_name = Some("Unseen".into()));
    project.sync(0);
    assert_eq!(
        project.cell("SELECT count(*) FROM customers WHERE first_name = 'Unseen'"),
        "0"
    );
    project.line("reseed members").exits(0);
    let report = project.sync(0);
    assert_eq!(
        (&report["pull"]["updated"], &report["pull"]["created"]),
        (&1.into(), &0.into()),
        "{report}"
    );
    project
        .line("reseed members --to 2001-01-01")
        .exits(0)
        .says("2001-01-01");
    project.sync(0);
}

#[test]
pub fn the_id_map_goes_out_and_comes_back() {
    let project = setup().build();
    project.sync(0);
    let csv = project.line("links export").exits(0).quietly().stdout;
    assert_eq!(
        csv.lines().next(),
        Some("bridge,local_key,remote_id,external_id")
    );
    assert_eq!(csv.lines().count(), 41);
    let list = project.line("links list --format json").exits(0).json();
    assert_eq!(list.as_array().expect("a list").len(), 40);

    // What is linked already stays as it is.
    project
        .binary
        .line_fed("links import -", csv.as_bytes())
        .exits(0)
        .says("0 links taken over, 40 stood already");

    // Nothing is left but the rows, and nothing in them tells who they are.
    std::fs::remove_dir_all(project.path("state")).expect("a state");
    for statement in [
        "DELETE FROM contactbridge_links",
        "DELETE FROM contactbridge_meta",
        "DELETE FROM contactbridge_applied",
        "UPDATE customers SET email = NULL, customer_no = NULL",
    ] {
        project.sql(statement);
    }
    std::fs::write(project.path("links.csv"), &csv).expect("a file");
    project
        .line("links import links.csv")
        .exits(0)
        .says("40 links taken over");
    let report = project.sync(0);
    assert_eq!(
        (&report["pull"]["created"], &report["push"]["created"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    assert_eq!(
        (
            contacts(&project),
            project.cell("SELECT count(*) FROM customers")
        ),
        (40, "40".into())
    );
    assert_eq!(
        project.cell("SELECT count(*) FROM customers WHERE email IS NULL"),
        "0"
    );
}

#[test]
pub fn an_import_is_all_or_nothing_and_tells_every_fault() {
    let project = setup().build();
    project.sync(0);
    let contact = project
        .cell("SELECT remote_id FROM contactbridge_links WHERE CAST(row_key AS CHAR(9)) = '1'");
    let before = project.rows("SELECT * FROM contactbridge_links");
    let header = "bridge,local_key,remote_id,external_id";
    for (lines, faults) in [
        (
            format!("members,9999,{contact},\nmembers,2,424242,\nelsewhere,1,1,\n"),
            vec![
                "stdin:2: there is no row",
                "stdin:3: there is no contact",
                "stdin:4: bridge.yaml has no bridge",
            ],
        ),
        (
            format!("members,2,{contact},\n"),
            vec!["stdin:2: this contact is linked to another row already"],
        ),
        (
            format!("members,2,{contact},\nmembers,3,{contact},\nmembers,4\n"),
            vec![
                "stdin:3: the same remote id stands in line 2",
                "stdin:4: 2 cells where 4 belong",
            ],
        ),
    ] {
        let csv = format!("{header}\n{lines}");
        let mut ran = project
            .binary
            .line_fed("links import -", csv.as_bytes())
            .exits(2);
        for fault in faults {
            ran = ran.complains(fault);
        }
    }
    assert_eq!(project.rows("SELECT * FROM contactbridge_links"), before);
    project.line("links import missing.csv").exits(2);
}

#[test]
pub fn the_journal_is_installed_by_a_sync_and_removed_on_request() {
    let project = setup()
        .mapping(&MAPPING.replace("  create: true\n", "  create: true\n  changes: journal\n"))
        .build();
    project.sync(0);
    let triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'";
    assert_ne!(project.cell(triggers), "0");
    project
        .line("journal install members")
        .exits(0)
        .says("stand already");
    project
        .line("journal remove members")
        .exits(0)
        .says("removed");
    assert_eq!(project.cell(triggers), "0");
    project
        .line("journal remove members")
        .exits(0)
        .says("no triggers");
    project
        .line("journal install members")
        .exits(0)
        .says("installed");
    project.sql("UPDATE customers SET first_name = 'Journalled' WHERE id = 2");
    project.sync(0);
    assert_eq!(
        project
            .crm
            .people()
            .iter()
            .filter(|person| person.first_name.as_deref() == Some("Journalled"))
            .count(),
        1
    );

    let scan = setup().build();
    scan.line("journal install members")
        .exits(2)
        .complains("changes: journal");
}
