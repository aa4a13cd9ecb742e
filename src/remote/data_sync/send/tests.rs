//! The sender against endpoints that answer as they are told, and against our own receiver.

use crate::model::Vault;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::sync::oneshot;

use super::*;
use crate::config::{Callers, Order, ReceiveSettings};
use crate::model::ErrorKind;
use crate::remote::data_sync::message::{Payload, read_envelope};
use crate::remote::data_sync::receive::{Custody, ReceiveLimits, Receiver, TokenKey};
use crate::remote::data_sync::tests::Clock;

/// An endpoint for tokens and one for messages; each answers with the next of its list, the last for ever.
struct Third {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

type Said = (&'static str, &'static str);

const TOKEN: Said = (
    "200 OK",
    r#"{"access_token":"t1","token_type":"Bearer","expires_in":3600}"#,
);
const SECOND: Said = (
    "200 OK",
    r#"{"access_token":"t2","token_type":"bearer","expires_in":"3600"}"#,
);
const FINE: Said = ("200 OK", "");

impl Third {
    fn start(tokens: &[Said], answers: &[Said]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (tokens, answers, log) = (tokens.to_vec(), answers.to_vec(), Arc::clone(&heard));
        std::thread::spawn(move || {
            let (mut of_tokens, mut of_answers) =
                (tokens.iter().peekable(), answers.iter().peekable());
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                let list = if request.starts_with("POST /token ") {
                    &mut of_tokens
                } else {
                    &mut of_answers
                };
                let said = **list.peek().unwrap();
                if list.len() > 1 {
                    list.next();
                }
                log.lock().unwrap().push(request);
                let (status, body) = said;
                if status.is_empty() {
                    // No answer at all.
                    continue;
                }
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, heard }
    }

    fn heard(&self, path: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|request| request.starts_with(&format!("POST {path} ")))
            .cloned()
            .collect()
    }

    fn sender(&self, clock: &Arc<Clock>) -> Sender {
        Sender::new(options(&self.url), Arc::clone(clock) as _).unwrap()
    }
}

fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece).unwrap_or(0);
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.is_none_or(|length| body.len() >= length.parse().unwrap())
        });
        if whole || length == 0 {
            return text;
        }
    }
}

fn options(base: &str) -> SendOptions {
    SendOptions {
        api_url: format!("{base}/datasync").parse().unwrap(),
        token_url: format!("{base}/token").parse().unwrap(),
        client_id: "bridge".to_owned(),
        client_secret: Secret::new("s&cret"),
        scope: String::new(),
        ca: None,
        limits: super::super::call_limits(&Limits {
            requests_per_second: None,
            ..Limits::default()
        }),
    }
}

fn message(id: u64) -> Message {
    let mut message = Message::sample();
    message.unique_id = id.to_string();
    message.payload =
        Payload::Text("{\"customerID\":\"7\",\"orgName\":\"\u{fc} \\\"\"}".to_owned());
    message
}

async fn failure(sender: &Sender) -> (Reached, &'static str) {
    let failure = sender.post(&message(1)).await.unwrap_err();
    assert_eq!(
        failure.error.kind(),
        ErrorKind::Unreachable,
        "{}",
        failure.error
    );
    (failure.reached, failure.error.code())
}

#[tokio::test]
async fn a_message_is_posted_as_the_seed_has_it() {
    let third = Third::start(&[TOKEN], &[FINE]);
    let clock = Clock::new();
    let sender = third.sender(&clock);
    for id in [1, 2] {
        sender.post(&message(id)).await.unwrap();
    }
    assert_eq!(sender.requests(), 2);
    let tokens = third.heard("/token");
    assert_eq!(tokens.len(), 1);
    let (head, form) = tokens[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(form, "grant_type=client_credentials");
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded")
            && head.contains("accept: application/json"),
        "{head}"
    );
    // bridge:s%26cret
    assert!(
        head.contains("authorization: Basic YnJpZGdlOnMlMjZjcmV0"),
        "{head}"
    );
    let posts = third.heard("/datasync");
    assert_eq!(posts.len(), 2);
    let (head, body) = posts[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/json")
            && head.contains("authorization: Bearer t1"),
        "{head}"
    );
    assert!(!head.contains("transfer-encoding"), "{head}");
    let limits = super::super::envelope_limits(&Limits::default());
    assert_eq!(
        read_envelope(body.as_bytes(), &limits),
        Ok(vec![message(1)])
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_asks_for_a_scope_where_there_is_one() {
    let third = Third::start(&[TOKEN, SECOND], &[FINE]);
    let clock = Clock::new();
    let mut options = options(&third.url);
    options.scope = "a b".to_owned();
    let sender = Sender::new(options, Arc::clone(&clock) as _).unwrap();
    sender.post(&message(1)).await.unwrap();
    clock.pass(Duration::from_secs(3_539));
    sender.post(&message(2)).await.unwrap();
    assert_eq!(third.heard("/token").len(), 1);
    clock.pass(Duration::from_secs(1));
    sender.post(&message(3)).await.unwrap();
    assert_eq!(third.heard("/token").len(), 2);
    assert!(third.heard("/token")[0].ends_with("grant_type=client_credentials&scope=a+b"));
    assert!(third.heard("/datasync")[2].contains("Bearer t2"));
}

#[tokio::test]
async fn after_a_401_the_token_is_renewed_once_and_the_same_message_tried_again() {
    let denied = ("401 Unauthorized", "");
    let third = Third::start(&[TOKEN, SECOND], &[denied, FINE]);
    let clock = Clock::new();
    let sender = third.sender(&clock);
    sender.post(&message(1)).await.unwrap();
    let posts = third.heard("/datasync");
    let body = |post: &str| post.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(posts.len(), 2);
    assert_eq!(body(&posts[0]), body(&posts[1]));
    assert!(posts[0].contains("Bearer t1") && posts[1].contains("Bearer t2"));
    // A second refusal ends it; one message costs two posts and two tokens at most.
    let third = Third::start(&[TOKEN, SECOND], &[denied]);
    let sender = third.sender(&clock);
    assert_eq!(failure(&sender).await, (Reached::Answered(401), "E-AUTH"));
    assert_eq!(third.heard("/datasync").len(), 2);
    assert_eq!(third.heard("/token").len(), 2);
}

#[tokio::test]
async fn anything_but_200_is_a_failure_and_is_not_tried_again() {
    let clock = Clock::new();
    for (status, code) in [
        ("201 Created", "E-SEND-STATUS"),
        ("202 Accepted", "E-SEND-STATUS"),
        ("204 No Content", "E-SEND-STATUS"),
        (
            "302 Found\r\nlocation: https://elsewhere.example.org/x",
            "E-REDIRECT",
        ),
        (
            "307 Temporary Redirect\r\nlocation: /datasync2",
            "E-REDIRECT",
        ),
        ("400 Bad Request", "E-SEND-STATUS"),
        ("403 Forbidden", "E-AUTH"),
        ("404 Not Found", "E-SEND-STATUS"),
        ("429 Too Many Requests\r\nretry-after: 1", "E-SEND-STATUS"),
        ("500 Oops", "E-SEND-STATUS"),
        ("503 Busy\r\nretry-after: 0", "E-SEND-STATUS"),
    ] {
        let third = Third::start(&[TOKEN], &[(status, "")]);
        let number = status[..3].parse().unwrap();
        assert_eq!(
            failure(&third.sender(&clock)).await,
            (Reached::Answered(number), code),
            "{status}"
        );
        assert_eq!(third.heard.lock().unwrap().len(), 2, "{status}");
    }
    // 200 is 200 whatever comes behind it.
    let third = Third::start(&[TOKEN], &[("200 OK\r\ncontent-encoding: gzip", "no gzip")]);
    assert!(third.sender(&clock).post(&message(1)).await.is_ok());
    let third = Third::start(&[TOKEN], &[("", "")]);
    let (reached, _) = failure(&third.sender(&clock)).await;
    assert_eq!(reached, Reached::Unknown);
    assert_eq!(third.heard("/datasync").len(), 1);
    let mut gone = options(&third.url);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    gone.api_url = format!("http://{}/x", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let sender = Sender::new(gone, Clock::new()).unwrap();
    assert_eq!(failure(&sender).await, (Reached::Nowhere, "E-CONNECT"));
}

#[tokio::test]
async fn a_token_endpoint_that_gives_none_is_told_apart_and_quotes_nothing() {
    let clock = Clock::new();
    for (status, body, code, says) in [
        (
            "401 Unauthorized",
            r#"{"error":"invalid_client","error_description":"s&cret"}"#,
            "E-AUTH",
            "invalid_client); look at send.client_id",
        ),
        (
            "400 Bad Request",
            r#"{"error":"invalid_scope"}"#,
            "E-AUTH",
            "look at send.scope",
        ),
        (
            "400 Bad Request",
            r#"{"error":"s&cret"}"#,
            "E-AUTH",
            "(status 400)",
        ),
        ("500 Oops", "<html>", "E-TOKEN", "(status 500)"),
        (
            "302 Found\r\nlocation: https://login.example.org/",
            "",
            "E-REDIRECT",
            "login.example.org",
        ),
        ("200 OK", "<html>", "E-TOKEN", "is no JSON"),
        (
            "200 OK",
            r#"{"token_type":"Bearer"}"#,
            "E-TOKEN",
            "is no JSON",
        ),
        (
            "200 OK",
            r#"{"access_token":""}"#,
            "E-TOKEN",
            "no header can carry",
        ),
        (
            "200 OK",
            r#"{"access_token":"a\nb"}"#,
            "E-TOKEN",
            "no header can carry",
        ),
        (
            "200 OK",
            r#"{"access_token":"a","token_type":"mac"}"#,
            "E-TOKEN",
            "no bearer token",
        ),
    ] {
        let third = Third::start(&[(status, body)], &[FINE]);
        let failure = third.sender(&clock).post(&message(1)).await.unwrap_err();
        assert_eq!(
            (failure.reached, failure.error.code()),
            (Reached::Nowhere, code),
            "{body}"
        );
        assert!(failure.error.message().contains(says), "{}", failure.error);
        assert!(
            !format!("{:?}", failure.error).contains("s&cret"),
            "{:?}",
            failure.error
        );
        assert!(third.heard("/datasync").is_empty());
    }
    // Without a word about its life a token is used for a while.
    let third = Third::start(&[("200 OK", r#"{"access_token":"t1"}"#)], &[FINE]);
    let sender = third.sender(&clock);
    for wait in [0, 269, 1] {
        clock.pass(Duration::from_secs(wait));
        sender.post(&message(1)).await.unwrap();
    }
    assert_eq!(third.heard("/token").len(), 2);
}

#[test]
fn addresses_that_can_not_be_trusted_are_refused() {
    for (api, token) in [
        ("http://third.example.org/x", "https://idp.example.org/t"),
        ("https://third.example.org/x", "http://idp.example.org/t"),
        (
            "https://user:pass@third.example.org/x",
            "https://idp.example.org/t",
        ),
    ] {
        let mut options = options("http://127.0.0.1:1");
        options.api_url = api.parse().unwrap();
        options.token_url = token.parse().unwrap();
        let error = Sender::new(options, Clock::new()).err().unwrap();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-CFG-URL", ErrorKind::Config),
            "{api} {token}"
        );
    }
}

#[tokio::test]
async fn the_probe_tells_which_step_failed() {
    let clock = Clock::new();
    let outcomes = |probe: &Probe| -> Vec<(&'static str, StepOutcome, Option<&'static str>)> {
        probe
            .steps
            .iter()
            .map(|step| (step.step, step.outcome, step.code))
            .collect()
    };
    use StepOutcome::{Failed, Ok, Skipped};
    let third = Third::start(&[TOKEN], &[FINE]);
    let probe = third.sender(&clock).probe().await;
    assert!(probe.succeeded());
    assert_eq!(
        outcomes(&probe),
        [
            ("token", Ok, None),
            ("tls", Skipped, None),
            ("api", Ok, None)
        ]
    );
    let posted = &third.heard("/datasync")[0];
    assert!(posted.ends_with(r#"{"messages":[{"action":"CUSTOMERCRE","payload":"Test message","type":"CUSTOMER","uniqueId":"0"}]}"#), "{posted}");
    let probe = Third::start(&[("401 No", "")], &[FINE])
        .sender(&clock)
        .probe()
        .await;
    assert!(!probe.succeeded());
    assert_eq!(
        outcomes(&probe),
        [
            ("token", Failed, Some("E-AUTH")),
            ("tls", Skipped, None),
            ("api", Skipped, None)
        ]
    );
    let probe = Third::start(&[TOKEN], &[("204 Nothing", "")])
        .sender(&clock)
        .probe()
        .await;
    assert!(!probe.succeeded());
    assert_eq!(outcomes(&probe)[2], ("api", Failed, Some("E-SEND-STATUS")));
}

#[derive(Default)]
struct Kept(Mutex<Vec<Message>>);

impl Custody for Kept {
    async fn keep(&self, messages: Vec<Message>) -> Result<()> {
        self.0.lock().unwrap().extend(messages);
        Ok(())
    }
}

struct Ours {
    base: String,
    kept: Arc<Kept>,
    clock: Arc<Clock>,
    _stop: oneshot::Sender<()>,
}

impl Ours {
    /// Our receiver, with a certificate for `name` that is valid until that year.
    async fn start(tls: Option<(&Issuer<'static, KeyPair>, &str, i32)>, secret: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = tls.map(|(issuer, name, until)| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, issuer).unwrap();
            let (pem, private) = (
                directory.path().join("c.pem"),
                directory.path().join("k.pem"),
            );
            std::fs::write(&pem, certificate.pem()).unwrap();
            std::fs::write(&private, key.serialize_pem()).unwrap();
            (pem, private)
        });
        let scheme = if files.is_some() { "https" } else { "http" };
        let settings = ReceiveSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            path: "/datasync".to_owned(),
            token_path: "/token".to_owned(),
            callers: Callers::Clients(vec![("bridge".to_owned(), Secret::new(secret))]),
            tls: files,
            order: Order::Arrival,
        };
        let (kept, clock) = (Arc::new(Kept::default()), Clock::new());
        let limits = ReceiveLimits::from_settings(&Limits::default());
        let key = TokenKey::of(&Vault::new(&[1; 32]));
        let receiver = Receiver::bind(
            &settings,
            limits,
            key,
            Arc::clone(&kept),
            Arc::clone(&clock) as _,
        )
        .await
        .unwrap();
        let port = receiver.address().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(receiver.serve(async {
            let _ = stopped.await;
        }));
        Self {
            base: format!("{scheme}://localhost:{port}"),
            kept,
            clock,
            _stop: stop,
        }
    }

    fn sender(&self, ca: Option<&[u8]>) -> Sender {
        let mut options = options(&self.base);
        options.ca = ca.map(<[u8]>::to_vec);
        Sender::new(options, Clock::new()).unwrap()
    }
}

fn authority(name: &str) -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem().into_bytes();
    (pem, Issuer::new(params, key))
}

#[tokio::test]
async fn our_sender_and_our_receiver_agree_also_when_the_token_expires_between_two_messages() {
    let (ca, issuer) = authority("Ours");
    for tls in [None, Some((&issuer, "localhost", 2120))] {
        let ours = Ours::start(tls, "s&cret").await;
        let sender = ours.sender(tls.map(|_| ca.as_slice()));
        for id in 1..=50 {
            sender.post(&message(id)).await.unwrap();
        }
        // The receiver's clock runs ahead: the sender hears of it by a 401 alone.
        ours.clock.pass(Duration::from_secs(4_000));
        sender.post(&message(51)).await.unwrap();
        assert_eq!(sender.requests(), 52);
        assert!(sender.probe().await.succeeded());
        let kept = ours.kept.0.lock().unwrap();
        let expected: Vec<Message> = (1..=51).map(message).collect();
        assert_eq!(*kept, expected);
    }
    let ours = Ours::start(None, "another").await;
    assert_eq!(
        failure(&ours.sender(None)).await,
        (Reached::Nowhere, "E-AUTH")
    );
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_gets_neither_credentials_nor_messages() {
    let (ca, issuer) = authority("Ours");
    let (_, other) = authority("Another");
    for (issuer, name, until, says) in [
        (&issuer, "localhost", 2021, "certificate expired 2021-01-01"),
        (
            &issuer,
            "third.example.org",
            2120,
            "certificate is for another name",
        ),
        (
            &other,
            "localhost",
            2120,
            "certificate of an unknown authority",
        ),
    ] {
        let ours = Ours::start(Some((issuer, name, until)), "s&cret").await;
        let failure = ours.sender(Some(&ca)).post(&message(1)).await.unwrap_err();
        assert_eq!(
            (failure.reached, failure.error.code()),
            (Reached::Nowhere, "E-TLS")
        );
        assert!(failure.error.message().contains(says), "{}", failure.error);
    }
    // The same at the address of messages alone: the token is had, the message is not sent.
    let good = Third::start(&[TOKEN], &[FINE]);
    let bad = Ours::start(Some((&issuer, "localhost", 2021)), "s&cret").await;
    let mut options = options(&good.url);
    options.api_url = format!("{}/datasync", bad.base).parse().unwrap();
    options.ca = Some(ca);
    let probe = Sender::new(options, Clock::new()).unwrap().probe().await;
    let steps: Vec<_> = probe
        .steps
        .iter()
        .map(|step| (step.step, step.outcome))
        .collect();
    assert_eq!(
        steps,
        [
            ("token", StepOutcome::Ok),
            ("tls", StepOutcome::Failed),
            ("api", StepOutcome::Skipped)
        ]
    );
}

#[tokio::test]
async fn a_server_that_speaks_tls_1_1_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 4096];
        let length = stream.read(&mut hello).unwrap();
        let mut body = vec![3, 2];
        body.extend([7; 32]);
        body.extend([0, 0xc0, 0x13, 0]);
        let mut record = vec![
            0x16,
            3,
            2,
            0,
            body.len() as u8 + 4,
            2,
            0,
            0,
            body.len() as u8,
        ];
        record.extend(body);
        stream.write_all(&record).unwrap();
        let mut alert = Vec::new();
        let _ = stream.read_to_end(&mut alert);
        (hello[..length].to_vec(), alert)
    });
    let mut options = options(&format!("https://localhost:{port}"));
    options.ca = Some(authority("Ours").0);
    let sender = Sender::new(options, Clock::new()).unwrap();
    assert_eq!(failure(&sender).await, (Reached::Nowhere, "E-TLS"));
    let (_, alert) = server.join().unwrap();
    // "Protocol version", fatal.
    assert_eq!((alert[0], &alert[5..7]), (0x15, &[2, 70][..]), "{alert:?}");
}
