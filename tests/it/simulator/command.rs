//! `contactbridge simulate contactlist` as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::site::PATH;
use crate::support::{Binary, http};

fn started(arguments: &[&str]) -> (tempfile::TempDir, Child, serde_json::Value) {
    let directory = tempfile::tempdir().unwrap();
    let line = [
        &[
            "simulate",
            "contactlist",
            "--listen",
            "127.0.0.1:0",
            "--format",
            "json",
        ],
        arguments,
    ]
    .concat();
    let mut child = Binary::at(directory.path())
        .command(&line)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let facts = serde_json::from_str(&first).unwrap();
    (directory, child, facts)
}

#[test]
fn it_says_where_it_answers_and_stops_cleanly_when_asked() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (_directory, mut child, facts) = started(&["--people", "7", "--zone", "Europe/Berlin"]);
        assert_eq!(facts["people"], 7);
        assert_eq!(facts["time_zone"], "Europe/Berlin");
        let address = facts["endpoint"]
            .as_str()
            .unwrap()
            .strip_prefix("http://")
            .unwrap();
        let address = address.split('/').next().unwrap().parse().unwrap();
        assert_eq!(
            http(address, "GET", &format!("{PATH}?WSDL"), &[], b"")
                .unwrap()
                .status,
            200
        );
        let kill = std::process::Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn it_refuses_what_it_must_not_do() {
    let directory = tempfile::tempdir().unwrap();
    let binary = Binary::at(directory.path());
    binary
        .line("simulate contactlist --listen 0.0.0.0:0")
        .exits(2)
        .complains("E-SIMULATE-LISTEN");
    binary
        .line("simulate contactlist --fault lose-anser=0.05")
        .exits(2)
        .complains("there are lose-request");
    binary
        .line("simulate contactlist --zone Sydney")
        .exits(2)
        .complains("Sydney");
}
