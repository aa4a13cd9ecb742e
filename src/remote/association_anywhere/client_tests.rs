//! The client against a socket that answers whatever a test wants: the rows of reliability §4.7 that concern answers,
//! and what becomes of the customers that an answer leaves out or spoils.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use super::client::AssociationAnywhere;
use super::options::{Addresses, ClientOptions};
use super::rows::STEP;
use crate::config::Secret;
use crate::model::{BadRecord, Error, ErrorKind, RemoteId, RemoteItem, Result};
use crate::remote::http::Surroundings;
use crate::remote::{Found, LookUp, Purged, Queue, QueueReading, QueueStep, Queued, Remote, Scope};

/// A world in which pauses take no time but are noted.
#[derive(Default)]
struct Still(Mutex<Vec<Duration>>);

impl Surroundings for Still {
    fn now(&self) -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0xff);
    }

    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// A request, as the service sees it.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    head: String,
    document: String,
}

impl Asked {
    /// The ids in it, in their order.
    fn ids(&self) -> Vec<&str> {
        let parts = self.document.split("<custId>").skip(1);
        parts
            .filter_map(|part| part.split("</custId>").next())
            .collect()
    }
}

/// Answers each request by a function of it and its number.
struct Site {
    base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Site {
    fn new(answer: impl Fn(&Asked, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/prod", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = read_request(&mut stream) {
                        let number = {
                            let mut seen = seen.lock().unwrap();
                            seen.push(request.clone());
                            seen.len() - 1
                        };
                        let _ = stream.write_all(&answer(&request, number));
                    }
                });
            }
        });
        Self { base, asked }
    }

    /// Answers with these in turn, the last one for ever.
    fn in_turn(answers: Vec<Vec<u8>>) -> Self {
        Self::new(move |_, number| answers.get(number).or(answers.last()).unwrap().clone())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self, change: impl FnOnce(&mut ClientOptions)) -> (AssociationAnywhere, Arc<Still>) {
        let base = self.base.parse().unwrap();
        let mut options = ClientOptions::new(
            Addresses::below(&base, true).unwrap(),
            Secret::new("bridge-demo"),
            Secret::new("s3cret<&>"),
        );
        options.calls.requests_per_second = None;
        options.calls.max_response = 1 << 20;
        options.queue_bytes = 4 << 20;
        change(&mut options);
        let needed: BTreeSet<String> = ["custId", "emails", "phones"].map(str::to_owned).into();
        let around = Arc::new(Still::default());
        let shared: Arc<dyn Surroundings> = Arc::clone(&around) as Arc<dyn Surroundings>;
        (
            AssociationAnywhere::new(options, needed, shared).unwrap(),
            around,
        )
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).ok()?;
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let form = body.strip_prefix("p_input_xml_doc=").unwrap_or_default();
                return Some(Asked {
                    path: head.split(' ').nth(1)?.to_owned(),
                    head: head.to_ascii_lowercase(),
                    document: decoded(form),
                });
            }
        }
        if count == 0 {
            return None;
        }
    }
}

fn decoded(form: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = form.as_bytes();
    while let [byte, more @ ..] = rest {
        rest = more;
        if let (b'%', [one, two, more @ ..]) = (byte, more) {
            let digits = [*one, *two];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            rest = more;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nDate: Sun, 22 Nov 2026 12:00:30 GMT\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn xml(body: &str) -> Vec<u8> {
    http("200 OK", "Content-Type: text/xml\r\n", body.as_bytes())
}

fn html(status: &str) -> Vec<u8> {
    http(
        status,
        "Content-Type: text/html\r\n",
        b"<html><body>Not today</body></html>",
    )
}

fn customer(id: &str) -> String {
    format!(
        "<custInfo><custId>{id}</custId><custType>I</custType><emails><email><address>{id}@a.example</address></email></emails></custInfo>"
    )
}

/// Every customer that was asked for.
fn everybody(asked: &Asked) -> Vec<u8> {
    let all: String = asked.ids().into_iter().map(customer).collect();
    xml(&format!("<custInfoResponse>{all}</custInfoResponse>"))
}

fn ids(names: &[&str]) -> Vec<RemoteId> {
    names
        .iter()
        .map(|name| RemoteId((*name).to_owned()))
        .collect()
}

fn numbered(count: usize) -> Vec<RemoteId> {
    (0..count)
        .map(|number| RemoteId(format!("{number:03}")))
        .collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn read_queue(client: &AssociationAnywhere) -> Result<(Vec<Queued>, QueueStep)> {
    let mut reading = client.queue().await?;
    let mut all = Vec::new();
    loop {
        match reading.next().await? {
            QueueStep::Records(records) => all.extend(records),
            end => return Ok((all, end)),
        }
    }
}

fn id_of(item: &RemoteItem) -> &str {
    match item {
        RemoteItem::Record(record) => &record.id.0,
        RemoteItem::Bad(bad) => &bad.id.as_ref().unwrap().0,
    }
}

fn sorted(items: &[RemoteItem]) -> Vec<&str> {
    let mut ids: Vec<&str> = items.iter().map(id_of).collect();
    ids.sort_unstable();
    ids
}

fn bads(items: Vec<RemoteItem>) -> Vec<BadRecord> {
    let bads = items.into_iter().filter_map(|item| match item {
        RemoteItem::Bad(bad) => Some(bad),
        RemoteItem::Record(_) => None,
    });
    bads.collect()
}

/// What reading the queue gives when the site answers so, and how many requests it took.
fn queue_error(answers: Vec<Vec<u8>>) -> (Error, usize) {
    let site = Site::in_turn(answers);
    let (client, _) = site.client(|_| {});
    let error = block_on(read_queue(&client))
        .map(|read| read.0)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    for private in ["s3cret", "bridge-demo"] {
        assert!(!format!("{error:?}").contains(private), "{error:?}");
    }
    (error, site.asked().len())
}

const QUEUE: &str = "<custResponse><maxQueueNum>9</maxQueueNum><customers><customer><custId>1</custId></customer></customers></custResponse>";

#[test]
fn a_round_asks_as_the_contract_says() {
    let site = Site::new(|asked, _| {
        if asked.path.ends_with("GET_QUEUE_CUSTS_W_REASONS_XML") {
            xml(QUEUE)
        } else if asked.path.ends_with("GET_CUST_INFO_XML") {
            everybody(asked)
        } else {
            xml("<response><status>SUCCESS</status></response>")
        }
    });
    let (client, _) = site.client(|_| {});
    let (queued, end) = block_on(read_queue(&client)).unwrap();
    assert_eq!(queued[0].id.0, "1");
    assert_eq!(
        end,
        QueueStep::End {
            number: Some("9".to_owned()),
            doubt: None
        }
    );
    let items = block_on(client.details(&ids(&["1"]), &Scope::Whole)).unwrap();
    let RemoteItem::Record(record) = &items[0] else {
        panic!("{items:?}")
    };
    assert_eq!(record.document.list("phones"), [], "asked for, and empty");
    assert!(record.document.get("phones").is_some() && record.document.get("jobs").is_none());
    assert_eq!(block_on(client.purge("9")).unwrap(), Purged::Done);
    block_on(client.force_enqueue(Some(&RemoteId("1".to_owned())))).unwrap();
    let asked = site.asked();
    assert_eq!(asked.len() as u64, client.requests());
    assert!(asked.iter().all(|asked| {
        asked.path.starts_with("/prod/")
            && asked.head.starts_with("post ")
            && asked
                .head
                .contains("content-type: application/x-www-form-urlencoded\r\n")
            && asked.head.contains("accept-encoding: identity\r\n")
            && asked.document.contains("Password>s3cret&lt;&amp;&gt;</")
    }));
    assert!(asked[1].document.contains(
        "<details includeCodeValues=\"true\"><phones include=\"true\"/><emails include=\"true\"/></details>"
    ));
    assert!(asked[2].document.contains("<maxQueueNum>9</maxQueueNum>"));
    assert!(asked[3].path.ends_with("FORCE_ENQUEUE_CUSTS_XML"));
    assert_eq!(
        client.clock_difference().unwrap().num_seconds(),
        2 * 3_600 + 30
    );
    assert_eq!(
        client.server_time().unwrap().0.to_string(),
        "2026-11-22 12:00:30"
    );
}

#[test]
fn a_scope_asks_for_what_changed_of_what_is_needed() {
    let site = Site::new(|asked, _| everybody(asked));
    let (client, _) = site.client(|_| {});
    let scope =
        |names: &[&str]| Scope::Sections(names.iter().map(|name| (*name).to_owned()).collect());
    let phones = block_on(client.details(&ids(&["1"]), &scope(&["phones", "jobs"]))).unwrap();
    let none = block_on(client.details(&ids(&["1"]), &scope(&["jobs"]))).unwrap();
    let asked = site.asked();
    assert!(
        asked[0]
            .document
            .contains("<phones include=\"true\"/></details>")
    );
    assert!(
        asked[1]
            .document
            .contains("<details includeCodeValues=\"true\"></details>")
    );
    let [RemoteItem::Record(phones), RemoteItem::Record(none)] = [&phones[0], &none[0]] else {
        panic!("bad")
    };
    assert!(phones.document.get("phones").is_some());
    assert!(none.document.get("phones").is_none() && none.document.get("name").is_some());
}

#[test]
fn many_customers_come_in_chunks_each_once() {
    let site = Site::new(|asked, _| everybody(asked));
    let (client, _) = site.client(|options| options.chunk = 50);
    let mut asked = numbered(120);
    asked.extend(numbered(3));
    let items = block_on(client.details(&asked, &Scope::Whole)).unwrap();
    assert_eq!(items.len(), 120);
    let mut sizes: Vec<usize> = site.asked().iter().map(|asked| asked.ids().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [20, 50, 50]);
    assert_eq!(block_on(client.details(&[], &Scope::Whole)).unwrap(), []);
    assert_eq!(site.asked().len(), 3);
}

#[test]
fn h53_who_is_left_out_is_asked_for_once_more_alone() {
    let site = Site::new(|asked, _| {
        // 001 only when asked for alone; 002 never; and somebody whom nobody asked for.
        let mut all: String = asked
            .ids()
            .into_iter()
            .filter(|id| *id != "002" && (*id != "001" || asked.ids().len() == 1))
            .map(customer)
            .collect();
        all.push_str(&customer("999"));
        xml(&format!("<custInfoResponse>{all}</custInfoResponse>"))
    });
    let (client, _) = site.client(|_| {});
    let items = block_on(client.details(&numbered(4), &Scope::Whole)).unwrap();
    assert_eq!(sorted(&items), ["000", "001", "003"]);
    assert_eq!(site.asked().len(), 3);
    let found = block_on(client.look_up(&LookUp::Id(RemoteId("002".to_owned())))).unwrap();
    assert_eq!(found, Found::Nothing);
    assert_eq!(
        site.asked().len(),
        5,
        "alone from the start is asked twice, too"
    );
    let found = block_on(client.look_up(&LookUp::Id(RemoteId("003".to_owned())))).unwrap();
    assert!(matches!(found, Found::Item(item) if id_of(&item) == "003"));
}

#[test]
fn h14_one_poisoned_customer_is_found_by_halves() {
    let answers: [fn(&Asked) -> Vec<u8>; 5] = [
        |_| xml("<custInfoResponse><custInfo></wrong></custInfoResponse>"),
        |_| html("500 Internal Server Error"),
        |_| xml("<custInfoResponse><error>ORA-06502</error></custInfoResponse>"),
        |_| http("200 OK", "", &vec![b' '; 2 << 20]),
        |_| xml("<custInfoResponse><custInfo><custType>I</custType></custInfo></custInfoResponse>"),
    ];
    for (which, poisoned) in answers.into_iter().enumerate() {
        let site = Site::new(move |asked, _| {
            if asked.ids().contains(&"013") {
                poisoned(asked)
            } else {
                everybody(asked)
            }
        });
        let (client, _) = site.client(|options| options.retries.retries = 0);
        let items = block_on(client.details(&numbered(32), &Scope::Whole)).unwrap();
        assert_eq!(items.len(), 32, "{which}");
        let bads = bads(items);
        assert_eq!(bads.len(), 1, "{which}");
        assert_eq!(bads[0].id, Some(RemoteId("013".to_owned())));
        let code = ["Q-SHAPE", "Q-REMOTE", "Q-REMOTE", "Q-SIZE", "Q-ID"][which];
        assert_eq!(bads[0].code, code, "{which}: {}", bads[0].reason);
        assert_eq!(site.asked().len(), 11, "{which}: five halvings");
    }
}

#[test]
fn an_error_in_one_customer_is_its_own() {
    let site = Site::new(|asked, _| {
        let all: String = asked
            .ids()
            .into_iter()
            .map(|id| match id {
                "001" => "<custInfo><custId>001</custId><error>no access for this integrator</error></custInfo>".to_owned(),
                id => customer(id),
            })
            .collect();
        xml(&format!("<custInfoResponse>{all}</custInfoResponse>"))
    });
    let (client, _) = site.client(|_| {});
    let items = block_on(client.details(&numbered(3), &Scope::Whole)).unwrap();
    assert_eq!(sorted(&items), ["000", "001", "002"]);
    assert_eq!(bads(items)[0].code, "Q-REMOTE");
    assert_eq!(site.asked().len(), 1);
    // Nobody else is there to compare with, but the answer is one about customers.
    let body = "<custInfo><custId>7</custId><name>&nbsp;</name></custInfo>";
    let site = Site::in_turn(vec![xml(body)]);
    let (client, _) = site.client(|_| {});
    let items = block_on(client.details(&ids(&["7"]), &Scope::Whole)).unwrap();
    let bad = bads(items).remove(0);
    assert_eq!((bad.code, bad.raw), ("Q-SHAPE", body.as_bytes().to_vec()));
    // The root is the customer itself.
    let site = Site::in_turn(vec![xml(
        "<custInfo><status>FAILURE</status><error>gone fishing</error></custInfo>",
    )]);
    let (client, _) = site.client(|_| {});
    let items = block_on(client.details(&ids(&["7"]), &Scope::Whole)).unwrap();
    assert_eq!(
        (id_of(&items[0]), bads(items.clone())[0].code),
        ("7", "Q-REMOTE")
    );
}

#[test]
fn a_service_that_fails_at_everything_makes_no_customer_bad() {
    for answer in [
        html("500 Internal Server Error"),
        html("200 OK"),
        xml("<custInfoResponse><error>closed for maintenance</error></custInfoResponse>"),
        xml("<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x' 'y'><html/>"),
        xml(""),
        xml("<nothing/>"),
    ] {
        let site = Site::in_turn(vec![answer]);
        let (client, _) = site.client(|options| options.retries.retries = 1);
        let error = block_on(client.details(&numbered(50), &Scope::Whole)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(site.asked().len() <= 30, "{}", site.asked().len());
        let error = block_on(client.details(&ids(&["1"]), &Scope::Whole)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
    let site = Site::in_turn(vec![html("503 Service Unavailable")]);
    let (client, _) = site.client(|_| {});
    let error = block_on(client.details(&numbered(2), &Scope::Whole)).unwrap_err();
    assert_eq!(error.code(), "E-UNAVAILABLE");
}

#[test]
fn refused_credentials_are_never_repeated_and_soon_not_sent_at_all() {
    let refusal = "<custResponse><status>FAILURE</status><error>Invalid vendor credentials</error></custResponse>";
    for answer in [
        xml(refusal),
        html("401 Unauthorized"),
        html("403 Forbidden"),
    ] {
        let site = Site::in_turn(vec![answer]);
        let (client, _) = site.client(|_| {});
        for count in 1..=3 {
            let error = block_on(read_queue(&client)).map(|_| ()).unwrap_err();
            assert_eq!(
                (error.code(), error.kind()),
                ("E-AUTH", ErrorKind::Unreachable)
            );
            assert!(
                error.message().contains(&format!("({count} of 3 tries)")),
                "{error}"
            );
            assert_eq!(site.asked().len(), count);
        }
        for _ in 0..2 {
            let error = block_on(client.details(&ids(&["1"]), &Scope::Whole)).unwrap_err();
            assert_eq!(error.code(), "E-AUTH");
            assert_eq!(block_on(client.purge("9")).unwrap_err().code(), "E-AUTH");
        }
        assert_eq!(site.asked().len(), 3, "the account is not locked");
    }
    let site = Site::in_turn(vec![xml(
        "<custInfo><status>FAILURE</status><error>Invalid integrator credentials</error></custInfo>",
    )]);
    let (client, _) = site.client(|_| {});
    let error = block_on(client.details(&numbered(50), &Scope::Whole)).unwrap_err();
    assert_eq!((error.code(), site.asked().len()), ("E-AUTH", 1));
}

#[test]
fn no_error_page_is_an_empty_queue() {
    let error = xml("<custResponse><error>ORA-01555</error></custResponse>");
    for (answer, code, requests) in [
        (html("200 OK"), "E-AA-NOTXML", 7),
        (xml(""), "E-BODY-TRUNCATED", 7),
        (xml("<custResponse><customers>"), "E-BODY-TRUNCATED", 7),
        (error, "E-AA-ERROR", 7),
        (html("500 Internal Server Error"), "E-AA-STATUS", 7),
        (html("404 Not Found"), "E-AA-STATUS", 1),
        (html("400 Bad Request"), "E-AA-STATUS", 1),
        (xml("<unknown/>"), "E-AA-SHAPE", 1),
        (xml("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"), "E-XML-DTD", 1),
        (
            http(
                "200 OK",
                "Content-Type: text/xml; charset=utf-8\r\n",
                b"<custResponse>\xff</custResponse>",
            ),
            "E-AA-CHARSET",
            1,
        ),
        (
            http("200 OK", "Content-Encoding: gzip\r\n", b"\x1f"),
            "E-BODY-RATIO",
            1,
        ),
        (
            http(
                "307 Temporary Redirect",
                "Location: http://localhost:1/\r\n",
                b"",
            ),
            "E-REDIRECT",
            1,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
            "E-BODY-SIZE",
            1,
        ),
    ] {
        let (error, asked) = queue_error(vec![answer]);
        assert_eq!((error.code(), asked), (code, requests), "{error}");
    }
}

#[test]
fn a_queue_longer_than_its_limit_breaks_off() {
    let mut long = "<custResponse>".to_owned();
    for number in 0..200_000 {
        long.push_str(&format!("<custId>{number:020}</custId>"));
    }
    let site = Site::in_turn(vec![xml(&long)]);
    let (client, _) = site.client(|options| options.queue_bytes = 100_000_000);
    let error = block_on(async {
        let mut reading = client.queue().await?;
        let mut steps = 0;
        loop {
            match reading.next().await {
                Ok(QueueStep::Records(records)) => {
                    assert!(records.len() < 2 * STEP, "in steps: {}", records.len());
                    steps += 1;
                }
                Ok(QueueStep::End { .. }) => panic!("an end"),
                Err(error) => {
                    assert!(steps > 20);
                    return Err::<(), _>(error);
                }
            }
        }
    })
    .unwrap_err();
    assert_eq!(error.code(), "E-BODY-TRUNCATED");
    assert_eq!(
        site.asked().len(),
        1,
        "what was handed over is not handed over again"
    );
    let (client, _) = site.client(|_| {});
    let error = block_on(read_queue(&client)).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "E-BODY-SIZE");
    assert!(error.message().contains("limits.queue_bytes"), "{error}");
}

#[test]
fn a_failure_that_passes_is_asked_again_after_growing_pauses() {
    let site = Site::in_turn(vec![
        html("500 Internal Server Error"),
        xml(&QUEUE[..60]),
        xml("<custResponse><error>busy</error></custResponse>"),
        xml(QUEUE),
    ]);
    let (client, around) = site.client(|_| {});
    let (queued, _) = block_on(read_queue(&client)).unwrap();
    assert_eq!((queued.len(), site.asked().len()), (1, 4));
    let pauses = around.0.lock().unwrap().clone();
    assert_eq!(pauses, [1, 1, 2].map(Duration::from_secs));
    let site = Site::in_turn(vec![
        http("429 Too Many Requests", "Retry-After: 7\r\n", b""),
        xml(QUEUE),
    ]);
    let (client, around) = site.client(|_| {});
    block_on(read_queue(&client)).unwrap();
    assert_eq!(*around.0.lock().unwrap(), [Duration::from_secs(7)]);
    let (error, asked) = queue_error(vec![http("429 No", "Retry-After: 86400\r\n", b"")]);
    assert_eq!((error.code(), asked), ("E-RATE", 1));
}

#[test]
fn h52_a_purge_is_done_refused_or_unknown() {
    let cases: [(Vec<u8>, std::result::Result<bool, &str>); 9] = [
        (
            xml("<purgeResponse><status>SUCCESS</status></purgeResponse>"),
            Ok(true),
        ),
        (xml("<purgeResponse/>"), Ok(true)),
        (xml(""), Ok(false)),
        (xml("done"), Ok(false)),
        (html("200 OK"), Ok(false)),
        (
            xml("<purgeResponse><status>QUEUED</status></purgeResponse>"),
            Ok(false),
        ),
        (html("502 Bad Gateway"), Ok(false)),
        (
            xml("<purgeResponse><error>no such number</error></purgeResponse>"),
            Err("E-AA-ERROR"),
        ),
        (html("404 Not Found"), Err("E-AA-STATUS")),
    ];
    for (answer, expected) in cases {
        let site = Site::in_turn(vec![answer]);
        let (client, _) = site.client(|options| options.retries.retries = 1);
        let purged = block_on(client.purge("900412"));
        let got = match &purged {
            Ok(Purged::Done) => Ok(true),
            Ok(Purged::Unknown { .. }) => Ok(false),
            Err(error) => Err(error.code()),
        };
        assert_eq!(got, expected, "{purged:?}");
    }
    // Nobody there at all.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site {
        base: format!("http://{}/prod", gone.local_addr().unwrap()),
        asked: Arc::default(),
    };
    drop(gone);
    let (client, _) = site.client(|options| options.retries.retries = 0);
    assert!(matches!(
        block_on(client.purge("1")).unwrap(),
        Purged::Unknown { .. }
    ));
    assert_eq!(
        block_on(client.force_enqueue(None)).unwrap_err().code(),
        "E-AA-UNCLEAR"
    );
}

#[test]
fn forcing_needs_an_address_and_a_clear_answer() {
    let site = Site::in_turn(vec![xml("")]);
    let (client, _) = site.client(|_| {});
    assert_eq!(
        block_on(client.force_enqueue(None)).unwrap_err().code(),
        "E-AA-UNCLEAR"
    );
    let (client, _) = site.client(|options| options.addresses.force_enqueue = None);
    let error = block_on(client.force_enqueue(None)).unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Config, "E-CFG-KEY")
    );
}

#[test]
fn what_the_kind_does_not_have_is_a_fault_of_the_caller() {
    let site = Site::in_turn(vec![xml("")]);
    let (client, _) = site.client(|_| {});
    assert!(!client.vocabulary().writable);
    let id = RemoteId("1".to_owned());
    let codes = block_on(async {
        [
            client.scan(None).await.map(|_| ()).unwrap_err().code(),
            client.push(&[]).await.unwrap_err().code(),
            client.delete(&id).await.unwrap_err().code(),
            client
                .look_up(&LookUp::Email("a@b.example".to_owned()))
                .await
                .unwrap_err()
                .code(),
        ]
    });
    assert_eq!(codes, ["E-INVARIANT"; 4]);
    assert!(client.blank().is_empty());
    assert!(site.asked().is_empty());
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    let base = "http://ams.example.org/prod".parse().unwrap();
    let options = ClientOptions::new(
        Addresses::below(&base, true).unwrap(),
        Secret::new("a"),
        Secret::new("b"),
    );
    let around: Arc<dyn Surroundings> = Arc::new(Still::default());
    let refused = AssociationAnywhere::new(options, BTreeSet::new(), around);
    assert_eq!(refused.map(|_| ()).unwrap_err().code(), "E-CFG-URL");
}
