//! The receiver at its wire: every status, deadlines in paused time, tokens of both kinds, and what is refused of them.
//!
//! Requests go through in-memory streams where time matters (paused time must not run ahead of a socket), else over loopback.

// Time is paused: what it is asked for is how much of it the receiver let pass.
#![allow(clippy::disallowed_methods)]

mod jwt;
mod socket;

use crate::model::Vault;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

pub(super) use crate::remote::data_sync::tests::Clock;

use super::custody::Custody;
use super::failures::Failures;
use super::own_tokens::{OwnTokens, TokenKey, basic_header};
use super::service::{Gate, Service};
use super::{ReceiveLimits, connection};
use crate::config::{Limits, Secret};
use crate::model::{Error, Result};
use crate::remote::contactlist::Surroundings;
use crate::remote::data_sync::message::{Message, Payload};

pub(super) const SECRET: &str = "a secret of some length";
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub(super) const SAMPLE: &str = include_str!("../../../../tests/data/data_sync/sample.json");

/// Keeps messages in memory, unless it is full.
#[derive(Default)]
pub(super) struct Kept {
    messages: Mutex<Vec<Message>>,
    full: AtomicBool,
}

impl Custody for Kept {
    async fn keep(&self, messages: Vec<Message>) -> Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Error::needs_person("E-DISK", "no room"));
        }
        self.messages.lock().unwrap().extend(messages);
        Ok(())
    }
}

impl Kept {
    fn ids(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        messages.iter().map(|m| m.unique_id.clone()).collect()
    }
}

/// A service for one client, its clock and what it has kept.
struct Desk {
    service: Arc<Service<Kept>>,
    clock: Arc<Clock>,
    kept: Arc<Kept>,
    stop: watch::Sender<bool>,
}

fn limits() -> ReceiveLimits {
    let mut limits = ReceiveLimits::from_settings(&Limits::default());
    limits.max_body = 64 * 1024;
    limits
}

fn gate(clock: &Arc<Clock>, limits: &ReceiveLimits) -> Gate {
    Gate::Own(OwnTokens::new(
        &[("orce".to_owned(), Secret::new(SECRET))],
        TokenKey::of(&Vault::new(&[7; 32])),
        limits.token_lifetime,
        limits.token_grace,
        Arc::clone(clock) as _,
    ))
}

impl Desk {
    fn new() -> Self {
        let clock = Clock::new();
        let gate = gate(&clock, &limits());
        Self::with(gate, clock)
    }

    fn with(gate: Gate, clock: Arc<Clock>) -> Self {
        let kept = Arc::new(Kept::default());
        let limits = limits();
        let service = Arc::new(Service {
            path: "/datasync".to_owned(),
            token_path: "/oauth2/token".to_owned(),
            gate,
            custody: Arc::clone(&kept),
            failures: Failures::new(limits.auth_failures),
            limits,
            received: Arc::default(),
            around: Arc::clone(&clock) as _,
        });
        Self {
            service,
            clock,
            kept,
            stop: watch::Sender::new(false),
        }
    }

    /// The sender's end of a connection.
    fn connect(&self) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(16 * 1024);
        let serving =
            connection::serve(ours, PEER, Arc::clone(&self.service), self.stop.subscribe());
        tokio::spawn(serving);
        theirs
    }

    /// Sends bytes over a connection of their own; everything that comes back until it is closed.
    async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(request.as_ref()).await;
        read_all(&mut stream).await
    }

    async fn send(&self, head: &str, body: &str) -> Said {
        let length = body.len();
        let request = format!(
            "{head}\r\nHost: localhost\r\nContent-Type: application/json; charset=UTF-8\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Said::read(&self.raw(request).await)
    }

    async fn token(&self) -> String {
        let header = basic_header("orce", SECRET);
        let said = self
            .send(
                &format!("POST /oauth2/token HTTP/1.1\r\nAuthorization: {}", *header),
                "grant_type=client_credentials",
            )
            .await;
        assert_eq!(said.status, 200);
        let answer: serde_json::Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 3600);
        assert!(
            said.head.contains("cache-control: no-store"),
            "{}",
            said.head
        );
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn post(&self, token: &str, body: &str) -> Said {
        self.send(
            &format!("POST /datasync HTTP/1.1\r\nAuthorization: Bearer {token}"),
            body,
        )
        .await
    }
}

async fn read_all(stream: &mut DuplexStream) -> String {
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out).await;
    String::from_utf8(out).unwrap()
}

struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn read(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self {
            status: head[9..12].parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }
}

fn body(unique_id: &str, payload: &str) -> String {
    let mut message = Message::sample();
    message.unique_id = unique_id.to_owned();
    message.payload = Payload::Text(payload.to_owned());
    super::super::message::write_envelope(&[message])
}

#[tokio::test]
async fn h55_a_message_is_answered_with_200_once_it_is_kept() {
    let desk = Desk::new();
    let token = desk.token().await;
    for file in [
        include_str!("../../../../tests/data/data_sync/customer_mod.json"),
        include_str!("../../../../tests/data/data_sync/transaction_cre.json"),
    ] {
        let said = desk.post(&token, file).await;
        assert_eq!(
            (said.status, said.body.as_str()),
            (200, "{\"status\":\"OK\"}")
        );
        assert!(
            said.head.contains("content-type: application/json"),
            "{}",
            said.head
        );
    }
    assert_eq!(desk.kept.ids(), ["26764466", "26764581"]);
    desk.kept.full.store(true, Ordering::Relaxed);
    let said = desk.post(&token, &body("3", "{}")).await;
    assert_eq!((said.status, said.body.as_str()), (503, ""));
    assert!(said.head.contains("retry-after: 30"), "{}", said.head);
    desk.kept.full.store(false, Ordering::Relaxed);
    assert_eq!(desk.post(&token, &body("3", "{}")).await.status, 200);
    assert_eq!(desk.kept.ids().len(), 3);
    let received = &desk.service.received;
    assert_eq!(received.accepted.load(Ordering::Relaxed), 3);
    assert_eq!(received.messages.load(Ordering::Relaxed), 3);
    assert_eq!(received.unkept.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn h56_whatever_a_payload_means_it_is_taken_over() {
    let desk = Desk::new();
    let token = desk.token().await;
    assert_eq!(desk.post(&token, "{\"messages\":[]}").await.status, 200);
    assert_eq!(desk.post(&token, SAMPLE).await.status, 200);
    assert_eq!(desk.kept.ids(), Vec::<String>::new());
    assert_eq!(desk.service.received.samples.load(Ordering::Relaxed), 1);
    for (at, element) in [
        r#"{"uniqueId":"0","payload":{"customerID":"1"},"type":"CUSTOMER","action":"CUSTOMERMOD"}"#,
        r#"{"uniqueId":"1","payload":"{\"customerID\":"}"#,
        r#"{"uniqueId":"2","payload":"\"{}\""}"#,
        r#"{"uniqueId":"3","payload":7,"type":"NEWS","action":"X"}"#,
        r#"{"uniqueId":"4","payload":null}"#,
        r#"{"uniqueId":"5","payload":"\ud800 \u0000"}"#,
        r#"{"uniqueId":"6","payload":"4711","type":"CUSTOMER","action":"CUSTOMERDEL"}"#,
        r#"{"uniqueId":7,"type":[1],"payload":"{\"a\":1,\"a\":2}"}"#,
    ]
    .iter()
    .enumerate()
    {
        let said = desk
            .post(&token, &format!("{{\"messages\":[{element}]}}"))
            .await;
        assert_eq!(said.status, 200, "{element}");
        assert_eq!(desk.kept.ids().last(), Some(&at.to_string()));
    }
    // An element that is no object is a message that means nothing.
    assert_eq!(
        desk.post(&token, "{\"messages\":[1,\"x\"]}").await.status,
        200
    );
    assert_eq!(desk.kept.ids().len(), 10);
}

#[tokio::test]
async fn what_is_no_request_of_a_sender_is_refused_with_its_own_status() {
    let desk = Desk::new();
    let token = desk.token().await;
    let good = body("1", "{}");
    let post = format!("POST /datasync HTTP/1.1\r\nAuthorization: Bearer {token}");
    for (head, body, status) in [
        (post.as_str(), "", 400),
        (post.as_str(), "messages", 400),
        (post.as_str(), "{\"messages\":[", 400),
        (post.as_str(), "{\"message\":[]}", 400),
        (post.as_str(), "{\"messages\":\"[]\"}", 400),
        (post.as_str(), "{\"messages\":[],\"messages\":[]}", 400),
        ("GET /datasync HTTP/1.1", "", 405),
        ("PUT /datasync HTTP/1.1", "", 405),
        ("OPTIONS /datasync HTTP/1.1", "", 405),
        ("GET /oauth2/token HTTP/1.1", "", 405),
        ("POST / HTTP/1.1", good.as_str(), 404),
        ("POST /datasync/ HTTP/1.1", good.as_str(), 404),
        ("POST /Datasync HTTP/1.1", good.as_str(), 404),
        ("GET /favicon.ico HTTP/1.1", "", 404),
    ] {
        let said = desk.send(head, body).await;
        assert_eq!(
            (said.status, said.body.as_str()),
            (status, ""),
            "{head} {body}"
        );
        assert_eq!(said.head.contains("allow: post"), status == 405);
    }
    let deep = format!(
        "{{\"messages\":[{{\"payload\":{}1{}}}]}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(desk.post(&token, &deep).await.status, 400);
    let many = format!("{{\"messages\":[{}{{}}]}}", "{},".repeat(500));
    assert_eq!(desk.post(&token, &many).await.status, 413);
    let most = format!("{{\"messages\":[{}{{}}]}}", "{},".repeat(499));
    assert_eq!(desk.post(&token, &most).await.status, 200);
    assert_eq!(desk.kept.ids().len(), 500);
    // A query is no other place.
    let said = desk
        .send(&post.replace("/datasync", "/datasync?a=b"), &good)
        .await;
    assert_eq!(said.status, 200);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_there_and_while_it_comes() {
    let desk = Desk::new();
    let token = desk.token().await;
    let head = format!("POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let said = desk
        .raw(format!("{head}Content-Length: 20000000\r\n\r\n"))
        .await;
    assert_eq!(Said::read(&said).status, 413);
    // In pieces, without a length.
    let mut stream = desk.connect();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    stream
        .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    for _ in 0..17 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    stream.read_to_end(&mut answer).await.unwrap();
    let said = Said::read(std::str::from_utf8(&answer).unwrap());
    assert_eq!(said.status, 413);
    assert!(said.head.contains("connection: close"));
    let said = desk
        .raw(format!(
            "POST /datasync HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
            "y".repeat(20_000)
        ))
        .await;
    assert_eq!(Said::read(&said).status, 431);
    assert!(desk.kept.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_given_up_after_five_seconds() {
    let desk = Desk::new();
    let begun = tokio::time::Instant::now;
    for head in ["", "POST /datasync HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = desk.connect();
        let start = begun();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(Said::read(&read_all(&mut stream).await).status, 408);
        assert_eq!(start.elapsed().as_secs(), 5);
    }
    // Dripping does not buy time.
    let stream = desk.connect();
    let (mut read, mut write) = tokio::io::split(stream);
    let start = begun();
    let dripping = async {
        loop {
            if write.write_all(b"x").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = read.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    assert!(
        (5..7).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_idle_between_requests_and_its_next_head_has_its_own_time() {
    let desk = Desk::new();
    let token = desk.token().await;
    let mut stream = desk.connect();
    let request = |id: &str| {
        let body = body(id, "{}");
        format!(
            "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for id in ["1", "2", "3"] {
        stream.write_all(request(id).as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = [0; 512];
        let _ = stream.read(&mut rest).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(desk.kept.ids(), ["1", "2", "3"]);
    stream.write_all(b"POST /data").await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(Said::read(&read_all(&mut stream).await).status, 408);
    assert_eq!(start.elapsed().as_secs(), 5);
    // One that idles on is closed without a word.
    let mut stream = desk.connect();
    stream.write_all(request("4").as_bytes()).await.unwrap();
    let start = tokio::time::Instant::now();
    let said = read_all(&mut stream).await;
    assert_eq!(said.matches("HTTP/1.1").count(), 1);
    assert_eq!(start.elapsed(), connection::KEEP_ALIVE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_given_up_after_fifteen_seconds() {
    let desk = Desk::new();
    let token = desk.token().await;
    let start = tokio::time::Instant::now();
    let said = desk
        .raw(format!("POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{\"mess"))
        .await;
    let said = Said::read(&said);
    assert_eq!(said.status, 408);
    assert!(said.head.contains("connection: close"));
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn a_sender_that_went_away_in_the_middle_leaves_nothing() {
    let desk = Desk::new();
    let token = desk.token().await;
    let mut stream = desk.connect();
    let head = format!(
        "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&SAMPLE.as_bytes()[..50]).await.unwrap();
    stream.shutdown().await.unwrap();
    let said = read_all(&mut stream).await;
    assert!(!said.contains(" 200 "), "{said}");
    assert!(desk.kept.ids().is_empty());
}

#[tokio::test]
async fn without_a_good_token_nothing_is_read_and_nothing_is_said() {
    let desk = Desk::new();
    let token = desk.token().await;
    let basic = basic_header("orce", SECRET);
    for authorization in [
        "".to_owned(),
        "Authorization: \r\n".to_owned(),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: {}\r\n", *basic),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {}x\r\n", &token[..token.len() - 1]),
        format!("Authorization: Bearer {token} {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        "Authorization: Bearer \u{e9}\r\n".to_owned(),
    ] {
        // The body never comes: nobody waits for it.
        let said = desk
            .raw(format!("POST /datasync HTTP/1.1\r\nHost: x\r\n{authorization}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"))
            .await;
        let said = Said::read(&said);
        assert_eq!(
            (said.status, said.body.as_str()),
            (401, ""),
            "{authorization}"
        );
        assert!(
            said.head.contains("www-authenticate: bearer"),
            "{}",
            said.head
        );
    }
    let query = desk
        .send(
            &format!("POST /datasync?access_token={token} HTTP/1.1"),
            SAMPLE,
        )
        .await;
    assert_eq!(query.status, 401);
    let lower = desk
        .send(
            &format!("POST /datasync HTTP/1.1\r\nauthorization: bearer {token}"),
            SAMPLE,
        )
        .await;
    assert_eq!(lower.status, 200);
    desk.clock.pass(Duration::from_secs(3600 + 60));
    assert_eq!(desk.post(&token, SAMPLE).await.status, 200);
    desk.clock.pass(Duration::from_secs(1));
    let said = desk.post(&token, SAMPLE).await;
    assert_eq!(said.status, 401);
    assert!(
        said.head.contains("bearer error=\"invalid_token\""),
        "{}",
        said.head
    );
    assert!(desk.kept.ids().is_empty());
}

#[tokio::test]
async fn guessing_at_the_token_endpoint_is_slow_and_stops_no_job() {
    let desk = Desk::new();
    let token = desk.token().await;
    let ask = async |secret: &str| {
        let header = basic_header("orce", secret);
        let head = format!("POST /oauth2/token HTTP/1.1\r\nAuthorization: {}", *header);
        desk.send(&head, "grant_type=client_credentials").await
    };
    for _ in 0..10 {
        let said = ask("guess").await;
        assert_eq!(
            (said.status, said.body.as_str()),
            (401, "{\"error\":\"invalid_client\"}")
        );
        assert!(
            said.head.contains("www-authenticate: basic") && !said.head.contains("retry-after")
        );
    }
    // Beyond them not even the right secret is looked at, until the minute is over.
    let said = ask(SECRET).await;
    assert_eq!(said.status, 401);
    assert!(said.head.contains("retry-after: 61"), "{}", said.head);
    assert_eq!(desk.post(&token, SAMPLE).await.status, 200);
    desk.clock.pass(Duration::from_secs(60));
    assert_eq!(ask(SECRET).await.status, 200);
    let said = desk
        .send(
            "POST /oauth2/token?grant_type=password HTTP/1.1",
            &format!("client_id=orce&client_secret={}", SECRET.replace(' ', "+")),
        )
        .await;
    assert_eq!(
        (said.status, said.body.as_str()),
        (400, "{\"error\":\"unsupported_grant_type\"}")
    );
    let large = desk
        .send("POST /oauth2/token HTTP/1.1", &"x".repeat(9_000))
        .await;
    assert_eq!(large.status, 413);
}

#[tokio::test]
async fn i10_no_log_holds_a_value_or_a_secret_at_any_level() {
    // The connections run on this thread, too.
    let log = crate::captured_log::CapturedLog::start();
    let desk = Desk::new();
    let token = desk.token().await;
    let canary = body("Canary", "{\"customerID\":\"Canary\"}");
    assert_eq!(desk.post(&token, &canary).await.status, 200);
    assert_eq!(desk.post("Canary", &canary).await.status, 401);
    assert_eq!(desk.post(&token, "{\"Canary\":[]}").await.status, 400);
    assert_eq!(
        desk.post(&token, "{\"messages\":[],\"Canary\":1,\"Canary\":2}")
            .await
            .status,
        400
    );
    desk.kept.full.store(true, Ordering::Relaxed);
    assert_eq!(desk.post(&token, &canary).await.status, 503);
    let header = basic_header("orce", "Canary");
    let head = format!("POST /oauth2/token HTTP/1.1\r\nAuthorization: {}", *header);
    assert_eq!(
        desk.send(&head, "grant_type=client_credentials")
            .await
            .status,
        401
    );
    let log = log.end();
    for code in ["E-HOOK-AUTH", "E-HOOK-ENVELOPE", "E-DISK"] {
        assert!(log.contains(code), "nothing was logged of {code}: {log}");
    }
    for private in ["Canary", "Q2FuYXJ5", SECRET, token.as_str(), &header[6..]] {
        assert!(!log.contains(private), "{private}: {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn h74_at_the_stop_the_answer_that_is_due_still_comes() {
    let desk = Desk::new();
    let token = desk.token().await;
    let mut stream = desk.connect();
    let body = body("1", "{}");
    let head = format!(
        "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    tokio::time::advance(Duration::from_millis(1)).await;
    desk.stop.send_replace(true);
    tokio::time::advance(Duration::from_millis(1)).await;
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let said = Said::read(&read_all(&mut stream).await);
    assert_eq!(said.status, 200);
    assert!(said.head.contains("connection: close"), "{}", said.head);
    assert_eq!(desk.kept.ids(), ["1"]);
}
