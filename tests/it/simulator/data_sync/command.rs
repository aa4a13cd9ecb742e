//! `contactbridge simulate data-sync` as a process that posts to another application.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

use contactbridge::simulator::data_sync::{Action, ThirdOptions, ThirdParty};
use serde_json::Value;

use crate::support::{Binary, http};

#[test]
fn it_posts_when_it_is_told_to_and_stops_cleanly() {
    let third = ThirdParty::start(ThirdOptions::default()).unwrap();
    let options = third.options();
    let directory = tempfile::tempdir().unwrap();
    let line = format!(
        "simulate data-sync --listen 127.0.0.1:0 --format json --people 5 --profile plain --post-to {} --token-url {} \
         --client-id {} --client-secret-env HUSH --post-fault lose-answer=#2",
        third.api_url(),
        third.token_url(),
        options.client_id,
    );
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = Binary::at(directory.path())
        .with("HUSH", &options.client_secret)
        .command(&words)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let facts: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&facts["posting"]["queued"], &facts["client_id"]),
        (&5.into(), &"bridge-demo".into())
    );
    let control = facts["control"].as_str().unwrap();
    let address = control.strip_prefix("http://").unwrap();
    let address: SocketAddr = address.strip_suffix("/control/").unwrap().parse().unwrap();
    let tell = |method: &str, what: &str| -> (u16, Value) {
        let answer = http(address, method, &format!("/control/{what}"), &[], b"").unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    };
    let job = || tell("POST", "job").1;
    assert_eq!(job()["failure"]["why"], "lost");
    assert_eq!(job()["failure"], Value::Null);
    assert_eq!((third.customers().len(), third.repeated()), (5, 1));

    let ids: Vec<String> = third.customers().into_keys().collect();
    for what in [
        "add?id=A-1".to_owned(),
        format!("edit?id={}", ids[0]),
        format!("transaction?customer={}&count=2&bytes=100000", ids[0]),
        format!("merge?ids={},{}&survivor=first", ids[1], ids[2]),
        "delete?id=nobody".to_owned(),
        "segment?count=2".to_owned(),
        "replay?unique-id=26764466".to_owned(),
        "post-fault?set=deletion=bare,rows=coalesce".to_owned(),
    ] {
        let (status, said) = tell("POST", &what);
        assert_eq!(status, 200, "{what}: {said}");
    }
    assert_eq!(tell("POST", "sample").1["status"], 200);
    assert_eq!(job()["failure"], Value::Null);
    assert_eq!(third.defects(), []);
    assert_eq!(
        (third.customers().len(), third.transactions().len()),
        (5, 2)
    );
    let deletions = third.accepted();
    let deletions = deletions
        .iter()
        .filter(|one| one.action == Some(Action::Delete));
    assert_eq!(deletions.count(), 3);

    let (_, status) = tell("GET", "status");
    assert_eq!(status["retail"]["queues"]["progress"], 0);
    assert_eq!(status["retail"]["delivered"]["customers"], 5);
    assert_eq!(status["application"]["accepted"], 0);
    for (method, what, code) in [
        ("GET", "job", 405),
        ("POST", "nothing", 404),
        ("POST", "edit?id=nobody", 404),
        ("POST", "add?count=x", 400),
        ("POST", "fault?set=nonsense", 400),
        ("POST", "calm", 200),
    ] {
        assert_eq!(tell(method, what).0, code, "{method} {what}");
    }

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
    let post = "--listen 127.0.0.1:0 --token-url http://127.0.0.1:1/token --post-to";
    for (words, sign) in [
        ("--listen 0.0.0.0:0".to_owned(), "E-SIMULATE-LISTEN"),
        ("--fault lose-anser=0.05".to_owned(), "there are status"),
        (
            "--post-fault lose-anser=0.05".to_owned(),
            "there are lose-answer",
        ),
        ("--people 100001".to_owned(), "100000"),
        ("--path /control/x".to_owned(), "/control"),
        (
            "--tls-certificate a.pem --tls-key a.key".to_owned(),
            "E-SIMULATE-TLS",
        ),
        ("--post-to http://127.0.0.1:1/x".to_owned(), "--token-url"),
        (format!("{post} http://127.0.0.1:1/x"), "ORCE_CLIENT_SECRET"),
    ] {
        binary
            .line(&format!("simulate data-sync {words}"))
            .exits(2)
            .complains(sign);
    }
    binary
        .with("ORCE_CLIENT_SECRET", "hush")
        .line(&format!(
            "simulate data-sync {post} http://192.0.2.1/datasync"
        ))
        .exits(2)
        .complains("https, or http on loopback");
}
