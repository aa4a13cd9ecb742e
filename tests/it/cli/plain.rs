//! Help, usage, and the commands that need no bridge.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::support::{Binary, Setup};

const COMMANDS: [&str; 17] = [
    "init",
    "check",
    "plan",
    "sync",
    "run",
    "status",
    "reseed",
    "review",
    "quarantine",
    "journal",
    "state",
    "links",
    "simulate",
    "demo",
    "schema",
    "completions",
    "version",
];

fn anywhere() -> (tempfile::TempDir, Binary) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let binary = Binary::at(directory.path());
    (directory, binary)
}

#[test]
fn help_lists_every_command_and_each_command_has_help() {
    let (_directory, binary) = anywhere();
    let help = binary.line("--help").exits(0).quietly();
    for command in COMMANDS {
        assert!(
            help.stdout
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command} is not in\n{}",
            help.stdout
        );
        let own = binary.line(&format!("{command} --help")).exits(0).quietly();
        assert!(
            own.stdout.contains("Usage: contactbridge"),
            "{}",
            own.stdout
        );
    }
}

#[test]
fn usage_errors_exit_2_and_print_nothing_on_stdout() {
    let (_directory, binary) = anywhere();
    for line in [
        "",
        "sink",
        "sync --accept everything",
        "sync --format xml",
        "sync -v -q",
        "reseed",
        "reseed members --relink --to 2026-01-01",
        "review resolve 1",
        "completions klingon",
        "schema mapping --sql",
    ] {
        let ran = binary.line(line).exits(2);
        assert_eq!(ran.stdout, "", "{line}");
        assert!(!ran.stderr.is_empty(), "{line}");
    }
}

#[test]
fn a_mistyped_command_is_told_the_nearest() {
    let (_directory, binary) = anywhere();
    binary.line("snyc").exits(2).complains("sync");
}

#[test]
fn version_is_printed_as_text_and_as_json() {
    let (_directory, binary) = anywhere();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        binary.line("version").exits(0).quietly().stdout,
        format!("contactbridge {version}\n")
    );
    let json = binary
        .line("version --format json")
        .exits(0)
        .quietly()
        .json();
    assert_eq!(json["version"], version);
}

#[test]
fn completions_name_the_commands_for_each_shell() {
    let (_directory, binary) = anywhere();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        binary
            .line(&format!("completions {shell}"))
            .exits(0)
            .quietly()
            .says("quarantine");
    }
}

#[test]
fn a_reader_that_goes_away_hears_no_panic() {
    let (_directory, binary) = anywhere();
    let mut child = binary
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("text");
    assert_eq!(said, "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_failure_is_one_json_object_a_line_where_that_is_asked_for() {
    let (_directory, binary) = anywhere();
    let ran = binary.line("status --log-format json").exits(2);
    let event: serde_json::Value = serde_json::from_str(ran.stderr.trim_end()).expect("one object");
    assert_eq!(event["code"], "E-CFG-READ");
    assert_eq!(event["level"], "ERROR");
}

#[cfg(unix)]
#[test]
fn simulate_serves_until_a_signal_and_ends_clean() {
    let (_directory, binary) = anywhere();
    let mut child = binary
        .command(&[
            "simulate",
            "contactlist",
            "--listen",
            "127.0.0.1:0",
            "--people",
            "3",
        ])
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    let endpoint = first
        .split_whitespace()
        .nth(1)
        .expect("an address")
        .to_owned();
    let address = endpoint
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
        .expect("host and port");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    write!(stream, "GET /x?WSDL HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1."), "{answer}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn status_answers_before_the_first_run() {
    let project = Setup::default().build();
    let json = project
        .line("status --format json")
        .exits(0)
        .quietly()
        .json();
    let members = &json[0];
    assert_eq!(members["bridge"], "members");
    assert_eq!(members["kind"], "contactlist");
    assert_eq!(members["enabled"], true);
    for key in [
        "outcome",
        "last_good",
        "age_seconds",
        "watermark",
        "links",
        "lease",
        "queue",
    ] {
        assert!(members[key].is_null(), "{key} in {members}");
    }
    project.line("status").exits(0).says("never");
}

#[test]
fn a_missing_configuration_says_where_it_was_looked_for() {
    let (_directory, binary) = anywhere();
    for line in ["status", "check --offline", "sync", "plan", "review list"] {
        binary
            .line(line)
            .exits(2)
            .complains("E-CFG-READ bridge.yaml: not found (looked for ./bridge.yaml)");
    }
    binary
        .line("status -c elsewhere.yaml")
        .exits(2)
        .complains("elsewhere.yaml: not found");
}

#[test]
fn an_unset_variable_is_named_and_its_command_ends_with_2() {
    let project = Setup::default().build();
    Binary::at(project.path(""))
        .line("status")
        .exits(2)
        .complains("CRM_PASSWORD");
}

#[test]
fn init_writes_a_project_and_never_overwrites_a_file() {
    let (directory, binary) = anywhere();
    let json = binary.line("init --format json").exits(0).quietly().json();
    assert_eq!(
        json["written"],
        serde_json::json!(["bridge.yaml", "mappings/contactlist.yaml"])
    );
    let bridge = directory.path().join("bridge.yaml");
    let written = std::fs::read_to_string(&bridge).expect("a file");
    assert!(written.contains("kind: contactlist"));

    std::fs::write(&bridge, "mine").expect("a file");
    binary
        .line("init")
        .exits(2)
        .complains("bridge.yaml exists already");
    assert_eq!(std::fs::read_to_string(&bridge).expect("a file"), "mine");

    // Half of it is there: nothing is added.
    std::fs::remove_file(&bridge).expect("a file");
    binary
        .line("init")
        .exits(2)
        .complains("contactlist.yaml exists already");
    assert!(!bridge.exists());

    let json = binary
        .line("init --kind association-anywhere -c other/aa/bridge.yaml --format json")
        .exits(0)
        .quietly()
        .json();
    assert_eq!(
        json["variables"],
        serde_json::json!(["AA_VENDOR", "AA_PASSWORD"])
    );
    assert!(
        directory
            .path()
            .join("other/aa/mappings/association-anywhere.yaml")
            .exists()
    );
    binary
        .line("init --kind data-sync -c other/orce/bridge.yaml")
        .exits(0);
    assert!(
        directory
            .path()
            .join("other/orce/mappings/orce-transaction.yaml")
            .exists()
    );
    binary.line("init -c other/b.yaml").exits(0);
    assert!(
        directory
            .path()
            .join("other/mappings/contactlist.yaml")
            .exists()
    );
}

#[test]
fn schema_prints_one_document_a_file_and_the_sql() {
    let (_directory, binary) = anywhere();
    for line in [
        "schema bridge",
        "schema mapping",
        "schema",
        "schema bridge --format json",
    ] {
        let json = binary.line(line).exits(0).quietly().json();
        assert!(json.is_object(), "{line}");
    }
    assert!(binary.line("schema").json()["bridge.yaml"].is_object());
    let sql = binary.line("schema --sql").exits(0).quietly().stdout;
    let database = rusqlite::Connection::open_in_memory().expect("a database");
    database.execute_batch(&sql).expect("SQL that SQLite takes");
    for table in [
        "contactbridge_meta",
        "contactbridge_applied",
        "contactbridge_links",
    ] {
        database
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap_or_else(|_| panic!("no {table} in\n{sql}"));
    }
}

#[test]
fn what_init_writes_passes_check_once_its_variables_are_set() {
    let (_directory, binary) = anywhere();
    let json = binary.line("init --format json").exits(0).json();
    binary.line("check --offline").exits(2);
    let mut set = binary.clone();
    for name in json["variables"].as_array().expect("names") {
        set = set.with(name.as_str().expect("a name"), "x");
    }
    set.line("check --offline").exits(0).quietly();
}
