//! `contactbridge send-sample`: exit 0 for a 200, 5 for anything else that comes back, and never a secret on the screen.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::Binary;

const SECRET: &str = "s3cret-of-the-third-party";

/// A third-party application that answers every token request and every message alike.
struct Third {
    base: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Third {
    fn start(token: (&'static str, &'static str), message: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                // Head and body may come in pieces; both requests end with a word of their own.
                while !request.ends_with(b"]}") && !request.ends_with(b"client_credentials") {
                    match stream.read(&mut piece) {
                        Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
                        _ => break,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let (status, body) = match request.starts_with("POST /token ") {
                    true => token,
                    false => (message, ""),
                };
                log.lock().expect("no panic").push(request);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { base, heard }
    }
}

const GOOD: (&str, &str) = (
    "200 OK",
    r#"{"access_token":"t1","token_type":"Bearer","expires_in":60}"#,
);

fn project(base: &str) -> (tempfile::TempDir, Binary) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!(
        "bridges:\n  partner:\n    remote:\n      kind: data-sync\n      send:\n        api_url: {base}/datasync\n        token_url: {base}/token\n        client_id: bridge\n        client_secret: ${{SECRET}}\n    database: sqlite:customers.db\n    mapping: orce.yaml\n  incoming:\n    remote:\n      kind: data-sync\n      receive: {{ listen: '127.0.0.1:0', clients: {{ orce: '${{SECRET}}' }} }}\n    database: sqlite:customers.db\n    mapping: orce.yaml\n"
    );
    std::fs::write(directory.path().join("bridge.yaml"), file).expect("a file");
    let binary = Binary::at(directory.path()).with("SECRET", SECRET);
    (directory, binary)
}

#[test]
fn a_200_is_0_and_every_step_is_told() {
    let third = Third::start(GOOD, "200 OK");
    let (directory, binary) = project(&third.base);
    let ran = binary.line("send-sample partner").exits(0);
    for words in ["token", "tls", "api", "answered with status 200"] {
        assert!(ran.stdout.contains(words), "{ran:?}");
    }
    let ran = binary.line("send-sample partner --format json").exits(0);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!(
        (&report["bridge"], &report["outcome"]),
        (&json!("partner"), &json!("ok"))
    );
    let steps: Vec<_> = report["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| (&step["step"], &step["outcome"]))
        .collect();
    assert_eq!(
        steps,
        [
            (&json!("token"), &json!("ok")),
            (&json!("tls"), &json!("skipped")),
            (&json!("api"), &json!("ok"))
        ]
    );
    let heard = third.heard.lock().expect("no panic");
    assert_eq!(heard.len(), 4);
    assert!(
        heard[1].ends_with(r#"{"messages":[{"action":"CUSTOMERCRE","payload":"Test message","type":"CUSTOMER","uniqueId":"0"}]}"#),
        "{}",
        heard[1]
    );
    // Nothing else was made: no state, no database.
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("a directory")
            .count(),
        1
    );
}

#[test]
fn anything_else_is_5_with_the_step_that_failed() {
    for (token, message, step, code) in [
        (GOOD, "202 Accepted", "api", "E-SEND-STATUS"),
        (GOOD, "500 Oops", "api", "E-SEND-STATUS"),
        (GOOD, "401 No", "api", "E-AUTH"),
        (
            ("401 No", r#"{"error":"invalid_client"}"#),
            "200 OK",
            "token",
            "E-AUTH",
        ),
        (("200 OK", "<html>"), "200 OK", "token", "E-TOKEN"),
    ] {
        let third = Third::start(token, message);
        let (_directory, binary) = project(&third.base);
        let ran = binary
            .line("send-sample partner --format json -vv")
            .exits(5);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one document");
        assert_eq!(report["outcome"], "failed");
        let failed: Vec<_> = report["steps"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|step| step["outcome"] == "failed")
            .collect();
        assert_eq!(failed.len(), 1, "{ran:?}");
        assert_eq!(
            (&failed[0]["step"], &failed[0]["code"]),
            (&json!(step), &json!(code))
        );
        assert!(
            !ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("Bearer"), "{ran:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (_directory, binary) = project(&base);
    let ran = binary.line("send-sample partner").exits(5);
    assert!(ran.stdout.contains("E-CONNECT"), "{ran:?}");
}

#[test]
fn a_bridge_that_does_not_send_is_a_mistake_of_usage() {
    let (_directory, binary) = project("http://127.0.0.1:1");
    binary
        .line("send-sample incoming")
        .exits(2)
        .complains("only a data-sync bridge with `send:`");
    binary
        .line("send-sample nobody")
        .exits(2)
        .complains("has no bridge");
    binary.line("send-sample").exits(2);
}
