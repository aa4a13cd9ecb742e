//! sync, plan, status and check, and the exit codes that scripts depend on.

use contactbridge::simulator::contactlist::Operation;
use serde_json::Value;

use crate::support::{MAPPING, Project, Setup};

fn keys(value: &Value) -> Vec<String> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

/// Every cell of our tables and theirs, to see that nothing was written.
fn content(project: &Project) -> Vec<Vec<String>> {
    [
        "customers",
        "contactbridge_meta",
        "contactbridge_links",
        "contactbridge_applied",
    ]
    .iter()
    .flat_map(|table| project.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2")))
    .collect()
}

#[test]
fn sync_prints_the_document_of_the_contract() {
    let project = Setup::default().crm(plain).people(120).build();
    let ran = project.line("sync --format json").exits(0).quietly();
    let text = &ran.stdout;
    let json = ran.json();
    assert_eq!(keys(&json).len(), 2);
    assert!(json["run"].is_string());
    let report = &json["bridges"][0];
    // serde_json sorts keys; their order on the page is the contract's.
    let mut at = 0;
    for key in [
        "run",
        "bridges",
        "bridge",
        "outcome",
        "guard",
        "pull",
        "push",
        "conflicts",
        "review",
        "quarantined",
        "requests",
        "watermark",
        "seconds",
        "error",
    ] {
        let next = text[at..]
            .find(&format!("\"{key}\":"))
            .unwrap_or_else(|| panic!("{key} is not in its place in {text}"));
        at += next;
    }
    assert_eq!(keys(report).len(), 12, "{report}");
    for side in ["pull", "push"] {
        let counts = &report[side];
        assert_eq!(keys(counts).len(), 6, "{counts}");
        let of = |key: &str| counts[key].as_u64().expect("a count");
        let sum: u64 = ["created", "updated", "deleted", "unchanged", "held"]
            .iter()
            .map(|key| of(key))
            .sum();
        assert_eq!(of("read"), sum, "{counts}");
    }
    assert_eq!(report["bridge"], "members");
    assert_eq!(report["outcome"], "ok");
    assert_eq!(report["pull"]["created"], 120);
    assert!(report["guard"].is_null() && report["error"].is_null());
    assert!(report["seconds"].is_f64());
    let watermark = report["watermark"].as_str().expect("a watermark");
    assert!(
        chrono::NaiveDateTime::parse_from_str(watermark, "%Y-%m-%dT%H:%M:%S").is_ok(),
        "{watermark}"
    );
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "120");
}

fn plain(options: &mut contactbridge::simulator::contactlist::Options) {
    options.profile = contactbridge::simulator::contactlist::Profile::Plain;
}

#[test]
fn a_second_run_writes_nothing_anywhere() {
    let project = Setup::default().crm(plain).people(120).build();
    project.sync(0);
    let before = content(&project);
    project.crm.clear_log();
    let report = project.sync(0);
    for way in ["pull", "push"] {
        for what in ["created", "updated", "deleted", "held"] {
            assert_eq!(report[way][what], 0, "{report}");
        }
    }
    assert_eq!(content(&project), before);
    let writes = [
        Operation::ContactListUpdateInsert,
        Operation::DeleteByEntityId,
    ]
    .map(|call| project.crm.count(call));
    assert_eq!(writes, [0, 0]);
}

#[test]
fn plan_shows_what_sync_then_does_and_writes_nothing() {
    let project = Setup::default().crm(plain).people(30).build();
    let plan = project.line("plan --format json").exits(0).quietly().json();
    let items = plan["bridges"][0]["plan"]
        .as_array()
        .expect("a plan")
        .clone();
    assert_eq!(items.len(), 30);
    assert!(
        items
            .iter()
            .all(|item| item["action"] == "create" && item["side"] == "local")
    );
    assert!(!project.path("customers.db").exists());
    assert!(!project.path("state").exists());
    project.line("plan --exit-code").exits(10);

    assert_eq!(project.sync(0)["pull"]["created"], 30);
    project
        .line("plan --exit-code")
        .exits(0)
        .says("nothing to do");

    project.sql("UPDATE customers SET first_name = 'Other' WHERE id = 3");
    let before = content(&project);
    project.crm.clear_log();
    let plan = project
        .line("plan --format json --exit-code")
        .exits(10)
        .json();
    let items = plan["bridges"][0]["plan"]
        .as_array()
        .expect("a plan")
        .clone();
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0]["action"], "update");
    assert_eq!(items[0]["side"], "remote");
    assert_eq!(items[0]["local"], "3");
    assert_eq!(items[0]["fields"], serde_json::json!(["first_name"]));
    assert_eq!(content(&project), before);
    assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 0);
    assert_eq!(project.sync(0)["push"]["updated"], 1);
}

#[test]
fn a_bridge_that_is_not_enabled_is_passed_over_also_when_named() {
    let project = Setup::default().people(3).key("enabled: false").build();
    let json = project.line("sync members --format json").exits(0).json();
    assert_eq!(json["bridges"], serde_json::json!([]));
    assert!(!project.path("customers.db").exists());
}

#[test]
fn an_unknown_bridge_is_told_the_nearest_and_starts_nothing() {
    let project = Setup::default().people(3).build();
    let ran = project
        .line("sync memberz --format json")
        .exits(2)
        .complains("did you mean \"members\"?");
    assert_eq!(ran.json()["bridges"], serde_json::json!([]));
    for line in [
        "plan memberz",
        "reseed memberz",
        "journal remove memberz",
        "links export memberz",
    ] {
        project.line(line).exits(2).complains("memberz");
    }
}

#[test]
fn dates_that_make_no_sense_are_usage_errors() {
    let project = Setup::default().people(3).build();
    for date in [
        "2999-01-01",
        "soon",
        "2026-13-01",
        "2999-01-01T00:00:00+02:00",
    ] {
        project
            .line(&format!("sync --since {date}"))
            .exits(2)
            .complains("--since");
        project
            .line(&format!("reseed members --to {date}"))
            .exits(2)
            .complains("--to");
    }
    assert!(!project.path("customers.db").exists());
}

#[test]
fn refused_credentials_end_with_5_and_the_document_says_so() {
    let project = Setup::default().people(3).build();
    let binary = project.binary.clone().with("CRM_PASSWORD", "wrong");
    let ran = binary
        .line("sync --format json")
        .exits(5)
        .complains("E-AUTH");
    let report = ran.json()["bridges"][0].clone();
    assert_eq!(report["outcome"], "failed");
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-AUTH"),
        "{report}"
    );
    assert!(
        !ran.stderr.contains("wrong") && !ran.stdout.contains("wrong"),
        "{ran:?}"
    );
}

#[test]
fn an_unreachable_site_ends_with_5_and_the_next_run_goes_on() {
    let project = Setup::default().crm(plain).people(30).build();
    project.sync(0);
    project.crm.switch("unavailable=").expect("a switch");
    let report = project.sync(5);
    assert_eq!(report["outcome"], "failed");
    project.crm.clear_rules();
    assert_eq!(project.sync(0)["outcome"], "ok");
}

#[test]
fn one_bridge_that_fails_does_not_keep_the_other_from_running() {
    let project = Setup::default().crm(plain).people(10).build();
    let text = std::fs::read_to_string(project.path("bridge.yaml")).expect("a file");
    let (_, members) = text.split_once("bridges:\n").expect("bridges");
    let other = members
        .replace("  members:", "  broken:")
        .replace("customers.db", "other.db")
        .replace("http://127.0.0.1:", "https://127.0.0.1:");
    // The broken one comes first.
    let text = text.replace("bridges:\n", &format!("bridges:\n{other}"));
    std::fs::write(project.path("bridge.yaml"), text).expect("a file");
    let json = project.line("sync --format json").exits(5).json();
    assert_eq!(json["bridges"][0]["outcome"], "failed");
    assert_eq!(json["bridges"][1]["outcome"], "ok");
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "10");
}

#[test]
fn a_wrong_mapping_of_one_bridge_keeps_all_from_starting() {
    let project = Setup::default().crm(plain).people(10).build();
    let text = std::fs::read_to_string(project.path("bridge.yaml")).expect("a file");
    let (_, members) = text.split_once("bridges:\n").expect("bridges");
    let other = members
        .replace("  members:", "  broken:")
        .replace("mappings/contactlist.yaml", "mappings/other.yaml");
    std::fs::write(project.path("bridge.yaml"), format!("{text}{other}")).expect("a file");
    std::fs::write(
        project.path("mappings/other.yaml"),
        MAPPING.replace("remote: firstName", "remote: fristName"),
    )
    .expect("a file");
    project.line("sync").exits(2).complains("fristName");
    assert!(
        !project.path("customers.db").exists(),
        "nothing was started"
    );
}

#[test]
fn a_column_that_the_table_lacks_is_an_error_of_the_mapping() {
    let project = Setup::default()
        .people(3)
        .mapping(&MAPPING.replace("  create: true\n", ""))
        .build();
    project
        .database()
        .execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY, customer_no TEXT, emial TEXT, first_name TEXT, last_name TEXT, born_on TEXT, opted_in INTEGER)")
        .expect("a table");
    for line in ["sync", "plan"] {
        project
            .line(line)
            .exits(2)
            .complains("E-MAP-COLUMN")
            .complains("email");
    }
    project
        .line("check --offline")
        .exits(2)
        .says("E-MAP-COLUMN")
        .says("emial");
}

#[test]
fn status_tells_of_the_last_run_and_of_the_last_good_one() {
    let project = Setup::default().crm(plain).people(10).build();
    project.sync(0);
    let good = project.line("status --format json").exits(0).json()[0].clone();
    assert_eq!(good["outcome"], "ok");
    assert_eq!(good["links"], 10);
    assert!(good["watermark"].is_string() && good["last_good"].is_string());
    assert!(good["age_seconds"].as_i64().expect("an age") >= 0);
    project.crm.switch("unavailable=").expect("a switch");
    project.sync(5);
    let bad = project.line("status --format json").exits(0).json()[0].clone();
    assert_eq!(bad["outcome"], "failed");
    assert_eq!(
        (&bad["last_good"], &bad["links"]),
        (&good["last_good"], &good["links"])
    );
    project.line("status").exits(0).says("failed");
}

#[test]
fn check_finds_nothing_wrong_and_writes_nothing() {
    let project = Setup::default().people(3).build();
    let findings = project
        .line("check --format json")
        .exits(0)
        .quietly()
        .json();
    let areas: Vec<&str> = findings
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| finding["area"].as_str().expect("an area"))
        .collect();
    for area in [
        "files",
        "mapping",
        "state",
        "database",
        "description",
        "credentials",
        "clock",
    ] {
        assert!(areas.contains(&area), "{area} in {findings}");
    }
    assert!(
        findings
            .as_array()
            .expect("findings")
            .iter()
            .all(|finding| finding["level"] == "ok"),
        "{findings}"
    );
    assert!(!project.path("customers.db").exists() && !project.path("state").exists());
}

#[test]
fn check_tells_credentials_clock_and_reach_apart() {
    let project = Setup::default().people(3).build();
    project
        .binary
        .clone()
        .with("CRM_PASSWORD", "wrong")
        .line("check")
        .exits(5)
        .says("E-AUTH");
    project.crm.switch("clock-offset=7200").expect("a switch");
    project.line("check").exits(7).says("E-CLOCK");
    project.crm.switch("unavailable=").expect("a switch");
    project.line("check").exits(5);
    // Without the network there is nothing to find.
    project.line("check --offline").exits(0).quietly();
}

#[test]
fn a_clock_that_is_two_hours_off_needs_a_person() {
    let project = Setup::default().crm(plain).people(10).build();
    project.sync(0);
    project.crm.switch("clock-offset=7200").expect("a switch");
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-CLOCK"),
        "{report}"
    );
}

#[test]
fn a_disk_without_room_needs_a_person() {
    let project = Setup::default().people(3).build();
    project.edit("bridge.yaml", "free_disk: 0", "free_disk: 1024GiB");
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-DISK"),
        "{report}"
    );
    assert!(!project.path("customers.db").exists());
}

#[test]
fn no_log_at_any_verbosity_holds_a_value_or_a_secret() {
    let project = Setup::default().people(40).build();
    let ran = project.line("sync -v -v -v --log-format json");
    assert!(ran.stderr.lines().count() > 3, "{ran:?}");
    for line in ran.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not an object: {line}"));
    }
    let password = project.crm.options().password;
    assert!(!ran.stderr.contains(&password) && !ran.stdout.contains(&password));
    for person in project.crm.people() {
        for value in [&person.first_name, &person.last_name, &person.email_address]
            .into_iter()
            .flatten()
        {
            if value.chars().count() > 5 {
                assert!(!ran.stderr.contains(value.as_str()), "{value}");
            }
        }
    }
}

#[test]
fn what_a_site_does_with_offsets_is_kept_between_runs() {
    let project = Setup::default().crm(plain).people(320).build();
    project.crm.switch("offsets=whole-pages").expect("a switch");
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "320");
    // Whether a page was asked for at an offset that overlaps the page before.
    let tries_overlap = || {
        let log = project.crm.log();
        project.crm.clear_log();
        log.iter().any(|entry| {
            let offset = entry.keys.last().and_then(|key| key.parse::<u32>().ok());
            entry.operation == Operation::ContactListRetrieve
                && offset.is_some_and(|offset| offset % 100 != 0)
        })
    };
    assert!(tries_overlap(), "the first run has to find out");
    project.line("reseed members").exits(0);
    project.sync(0);
    assert!(!tries_overlap(), "the second one knows");
}

#[test]
fn a_reader_of_a_report_that_goes_away_changes_neither_the_work_nor_the_exit_code() {
    let project = Setup::default().crm(plain).people(10).build();
    let mut child = project
        .binary
        .command(&["sync", "--format", "json"])
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "10");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_told() {
    let project = Setup::default().crm(plain).people(10).build();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    let output = project
        .binary
        .command(&["status", "--format", "json"])
        .stdout(full)
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("E-OUTPUT"));
}

#[cfg(unix)]
#[test]
fn the_state_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    for state in ["state", "sqlite:state"] {
        let project = Setup::default().crm(plain).people(5).state(state).build();
        project.sync(0);
        let mut left = vec![project.path("state")];
        while let Some(path) = left.pop() {
            let about = std::fs::metadata(&path).expect("a file");
            let mode = about.permissions().mode() & 0o777;
            assert_eq!(
                mode,
                if about.is_dir() { 0o700 } else { 0o600 },
                "{}",
                path.display()
            );
            if about.is_dir() {
                left.extend(
                    std::fs::read_dir(&path)
                        .expect("a directory")
                        .map(|entry| entry.expect("an entry").path()),
                );
            }
        }
    }
}

#[test]
fn nothing_of_people_can_be_read_in_the_state() {
    let project = Setup::default().people(60).key("conflicts: review").build();
    project.line("sync");
    project.sql("UPDATE customers SET last_name = 'Canarylocal' WHERE id = 1");
    let id: i32 = project
        .cell("SELECT remote_id FROM contactbridge_links WHERE row_key = 1")
        .parse()
        .expect("an id");
    project
        .crm
        .edit(id, |person| person.last_name = Some("Canaryremote".into()));
    project.line("sync").exits(3);
    let mut state = Vec::new();
    let mut left = vec![project.path("state")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(&path)
                    .expect("a directory")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else {
            state.extend(std::fs::read(&path).expect("a file"));
        }
    }
    let holds = |text: &str| {
        state
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(!holds("Canarylocal") && !holds("Canaryremote"));
    for email in project.rows("SELECT email FROM customers WHERE length(email) > 8") {
        assert!(!holds(&email[0]), "{email:?}");
    }
}

#[test]
fn verbose_says_what_happens_and_quiet_says_nothing() {
    let project = Setup::default().crm(plain).people(10).build();
    let ran = project.line("sync -v").exits(0);
    for part in [
        "the pass begins bridge=members",
        "created=10",
        "the pass ended",
        "outcome=ok",
    ] {
        assert!(ran.stderr.contains(part), "no {part:?} in {ran:?}");
    }
    for line in ["sync", "sync -q", "plan -q", "status -q", "check -q"] {
        project.line(line).exits(0).quietly();
    }
    project.crm.switch("unavailable=").expect("a switch");
    project.line("sync -q").exits(5).complains("error: E-");
}
