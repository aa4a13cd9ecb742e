//! `contactbridge simulate association-anywhere` as a process.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::site::{FORM, encoded};
use crate::support::{Binary, http};

#[test]
fn it_says_where_it_answers_and_stops_cleanly_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let line = "simulate association-anywhere --listen 127.0.0.1:0 --format json --people 7 --user me --password it \
                --environment demo --queued none --quirk rows=coalesce";
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = Binary::at(directory.path())
        .command(&words)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let facts: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&facts["people"], &facts["queued"]), (&7.into(), &0.into()));
    let base = facts["base"].as_str().unwrap().to_owned();
    let address = base
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/demo")
        .unwrap();
    let ask = |url: &str, inside: &str| {
        let path = url.strip_prefix(&format!("http://{address}")).unwrap();
        let document = format!(
            "<r><vendor-id>me</vendor-id><vendor-password>it</vendor-password>{inside}</r>"
        );
        let body = format!("p_input_xml_doc={}", encoded(&document));
        http(
            address.parse().unwrap(),
            "POST",
            path,
            &[FORM],
            body.as_bytes(),
        )
        .unwrap()
    };
    let urls = &facts["urls"];
    for _ in 0..2 {
        ask(
            urls["force_enqueue"].as_str().unwrap(),
            "<custId>0000001</custId>",
        );
    }
    let queue = ask(urls["queue"].as_str().unwrap(), "").text();
    assert_eq!(queue.matches("<trigger ").count(), 1);
    let kill = std::process::Command::new("kill")
        .args(["-15".to_owned(), child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_refuses_what_it_must_not_do() {
    let directory = tempfile::tempdir().unwrap();
    let binary = Binary::at(directory.path());
    for (words, sign) in [
        ("--listen 0.0.0.0:0", "E-SIMULATE-LISTEN"),
        ("--fault lose-anser=0.05", "there are lose-request"),
        ("--people 300001", "300000"),
        ("--environment a/b", "expected letters"),
        ("--queue some", "both, reasons or plain"),
    ] {
        binary
            .line(&format!("simulate association-anywhere {words}"))
            .exits(2)
            .complains(sign);
    }
}
