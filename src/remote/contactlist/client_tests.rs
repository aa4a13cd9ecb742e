//! The calls against a socket that answers whatever a test wants: the rows of reliability §4.7 that concern answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;

use super::calls::Calls;
use super::client::{ClientOptions, SoapCalls};
use super::encode::SoapVersion;
use crate::config::Secret;
use crate::model::{Document, Error, ErrorKind, RemoteId, Stamp};
use crate::remote::http::{CallLimits, RetryLimits, Surroundings};
use crate::remote::xml::AnswerLimits;
use crate::remote::{Deleted, Found, LookUp, Pushed};

/// A world in which pauses take no time but are noted.
struct Still {
    passed: AtomicU64,
    pauses: Mutex<Vec<Duration>>,
}

impl Still {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            passed: AtomicU64::new(0),
            pauses: Mutex::new(Vec::new()),
        })
    }

    fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

impl Surroundings for Still {
    fn now(&self) -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Ordering::SeqCst))
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0xff);
    }

    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.passed
            .fetch_add(duration.as_nanos() as u64, Ordering::SeqCst);
        self.pauses.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// Answers each request with the next of `answers`, the last one for ever; keeps the requests.
struct Site {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/crm.asmx", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let answer = answers.get(number).or(answers.last()).unwrap().clone();
                let mut stream = stream.unwrap();
                if let Some(request) = read_request(&mut stream) {
                    seen.lock().unwrap().push(request);
                    let _ = stream.write_all(&answer);
                }
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).ok()?;
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        if count == 0 {
            return None;
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nDate: Sun, 22 Nov 2026 12:00:30 GMT\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const XML: &str = "Content-Type: application/soap+xml; charset=utf-8\r\n";

fn soap(status: &str, body: &str) -> Vec<u8> {
    http(status, XML, &envelope(body))
}

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Body>{body}</soap:Body></soap:Envelope>"
    )
}

fn list(inner: &str) -> String {
    format!(
        "<ContactList_RetrieveResponse xmlns=\"{}\">{inner}</ContactList_RetrieveResponse>",
        super::NAMESPACE
    )
}

fn fault(code: &str, text: &str) -> String {
    format!(
        "<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang=\"en\">{text}</soap:Text></soap:Reason></soap:Fault>"
    )
}

const EMPTY: &str = "<recordStart>0</recordStart><moreRecords>false</moreRecords>";
const BUSY: &str = "Server was unable to process request.";

fn options(address: &str) -> ClientOptions {
    ClientOptions {
        endpoint: address.parse().unwrap(),
        site_id: 123,
        username: Secret::new("admin@example.com"),
        password: Secret::new("s3cret<&>"),
        zone: chrono_tz::Australia::Sydney,
        soap: SoapVersion::V12,
        ca: None,
        calls: CallLimits {
            requests_per_second: None,
            burst: 10,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(120),
            max_response: 1 << 20,
        },
        answers: AnswerLimits::default(),
        retries: RetryLimits {
            retries: 6,
            wait_max: Duration::from_secs(60),
            retry_after_max: Duration::from_secs(300),
            auth_attempts: 3,
        },
    }
}

fn calls(address: &str, around: &Arc<Still>) -> SoapCalls {
    let around: Arc<dyn Surroundings> = Arc::clone(around) as Arc<dyn Surroundings>;
    SoapCalls::new(options(address), around).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What listing gives when the site answers so, and how many requests it took.
fn list_error(answers: Vec<Vec<u8>>) -> (Error, usize) {
    let site = Site::new(answers);
    let error = block_on(calls(&site.address, &Still::new()).list(None, 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    for private in ["s3cret", "admin@example.com"] {
        assert!(!format!("{error:?}").contains(private), "{error:?}");
    }
    (error, site.requests().len())
}

#[test]
fn a_page_arrives_with_the_time_of_the_service() {
    let site = Site::new(vec![soap("200 OK", &list(EMPTY))]);
    let around = Still::new();
    let calls = calls(&site.address, &around);
    assert_eq!(calls.server_time(), None);
    let page = block_on(calls.list(None, 0)).unwrap();
    let sydney = NaiveDate::from_ymd_opt(2026, 11, 22)
        .unwrap()
        .and_hms_opt(23, 0, 30)
        .unwrap();
    assert_eq!(page.server_time, Some(Stamp(sydney)));
    assert!(page.items.is_empty() && !page.more);
    drop(around.pause(Duration::from_secs(5)));
    assert_eq!(
        calls.server_time().unwrap().0,
        sydney + chrono::Duration::seconds(5)
    );
    assert_eq!(
        calls.clock_difference().unwrap().num_seconds(),
        2 * 3_600 + 30
    );
    let request = site.requests().remove(0);
    let head = request.to_ascii_lowercase();
    assert!(head.contains("accept-encoding: identity\r\n"));
    assert!(head.contains(
        "content-type: application/soap+xml; charset=utf-8; action=\"http://tempuri.org/"
    ));
    assert!(request.contains("<password>s3cret&lt;&amp;&gt;</password><siteId>123</siteId><lastUpdateDate>1900-01-01T00:00:00</lastUpdateDate><recordStart>0</recordStart>"));
}

#[test]
fn soap_1_1_sends_its_action_in_quotes() {
    let site = Site::new(vec![soap("200 OK", &list(EMPTY))]);
    let mut options = options(&site.address);
    options.soap = SoapVersion::V11;
    let calls = SoapCalls::new(options, Still::new()).unwrap();
    block_on(calls.list(None, 300)).unwrap();
    let request = site.requests().remove(0);
    assert!(
        request
            .to_ascii_lowercase()
            .contains("content-type: text/xml; charset=utf-8\r\n")
    );
    assert!(request.to_ascii_lowercase().contains(
        &format!("soapaction: \"{}/contactlist_retrieve\"", super::NAMESPACE).to_ascii_lowercase()
    ));
    assert!(request.contains("<recordStart>300</recordStart>"));
}

#[test]
fn a_page_of_html_is_no_list() {
    let html = http(
        "200 OK",
        "Content-Type: text/html\r\n",
        "<html><body>Maintenance</body></html>",
    );
    let (error, requests) = list_error(vec![html]);
    assert_eq!(error.code(), "E-SOAP-NOTXML");
    assert!(
        error
            .message()
            .contains("got text/html (200), expected SOAP"),
        "{error}"
    );
    assert_eq!(requests, 1);
}

#[test]
fn an_empty_body_is_a_truncated_one() {
    let (error, requests) = list_error(vec![http("200 OK", XML, "")]);
    assert_eq!(error.code(), "E-BODY-TRUNCATED");
    assert_eq!(requests, 7, "a broken answer may come whole the next time");
}

#[test]
fn a_body_shorter_than_promised_says_how_much_came() {
    let mut short = format!("HTTP/1.1 200 OK\r\n{XML}Content-Length: 9120\r\n\r\n").into_bytes();
    short.extend_from_slice(&vec![b'x'; 4096]);
    let (error, _) = list_error(vec![short]);
    assert_eq!(error.code(), "E-BODY-TRUNCATED");
    assert!(
        error.message().contains("got 4096 of 9120 bytes"),
        "{error}"
    );
}

#[test]
fn a_body_over_the_limit_is_not_read() {
    let promised =
        format!("HTTP/1.1 200 OK\r\n{XML}Content-Length: 99999999999\r\n\r\n").into_bytes();
    let mut endless = format!("HTTP/1.1 200 OK\r\n{XML}Connection: close\r\n\r\n").into_bytes();
    endless.extend_from_slice(&vec![b' '; (1 << 20) + 1]);
    for answer in [promised, endless] {
        let (error, requests) = list_error(vec![answer]);
        assert_eq!(error.code(), "E-BODY-SIZE");
        assert_eq!(requests, 1);
    }
}

#[test]
fn a_compressed_body_is_refused_unread() {
    let (error, _) = list_error(vec![http(
        "200 OK",
        &format!("{XML}Content-Encoding: gzip\r\n"),
        "\u{1f}",
    )]);
    assert_eq!(error.code(), "E-BODY-RATIO");
}

#[test]
fn a_redirect_is_refused_and_the_password_stays_here() {
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let elsewhere = Site::new(vec![soap("200 OK", &list(EMPTY))]);
        let location = format!(
            "Location: {}\r\n",
            elsewhere.address.replace("127.0.0.1", "localhost")
        );
        let (error, requests) = list_error(vec![http(status, &location, "")]);
        assert_eq!(error.code(), "E-REDIRECT");
        assert!(error.message().contains("-> localhost"), "{error}");
        assert_eq!((requests, elsewhere.requests().len()), (1, 0));
    }
}

#[test]
fn h34_refused_credentials_are_not_repeated_and_stop_after_three() {
    let refusal = soap(
        "500 Internal Server Error",
        &fault("Receiver", "ERROR: Authentication failed."),
    );
    let site = Site::new(vec![refusal]);
    let calls = calls(&site.address, &Still::new());
    block_on(async {
        let error = calls.list(None, 0).await.unwrap_err();
        assert_eq!(error.code(), "E-AUTH");
        assert!(
            error.message().contains("site 123 refused the credentials"),
            "{error}"
        );
        assert!(error.message().contains("(1 of 3 tries)"), "{error}");
        assert_eq!(
            calls
                .look_up(&LookUp::External("K".to_owned()))
                .await
                .unwrap_err()
                .code(),
            "E-AUTH"
        );
        assert!(matches!(
            calls.update_insert(&[Document::new()]).await.unwrap(),
            Pushed::Refused { .. }
        ));
        assert_eq!(site.requests().len(), 3);
        assert_eq!(calls.list(None, 0).await.unwrap_err().code(), "E-AUTH");
        assert_eq!(
            calls
                .update_insert(&[Document::new()])
                .await
                .unwrap_err()
                .code(),
            "E-AUTH"
        );
        assert_eq!(
            calls
                .delete(&RemoteId("1".to_owned()))
                .await
                .unwrap_err()
                .code(),
            "E-AUTH"
        );
        assert_eq!(site.requests().len(), 3, "nothing more is sent");
    });
}

#[test]
fn status_401_is_refused_credentials() {
    let (error, requests) = list_error(vec![http("401 Unauthorized", "", "")]);
    assert_eq!((error.code(), requests), ("E-AUTH", 1));
}

#[test]
fn h33_reads_are_repeated_with_growing_pauses() {
    let busy = soap("500 Internal Server Error", &fault("Receiver", BUSY));
    let broken = http("502 Bad Gateway", "Content-Type: text/html\r\n", "<html/>");
    let site = Site::new(vec![busy, broken, soap("200 OK", &list(EMPTY))]);
    let around = Still::new();
    let calls = calls(&site.address, &around);
    block_on(calls.list(None, 0)).unwrap();
    assert_eq!(around.pauses(), [1, 2].map(Duration::from_secs));
    assert_eq!(calls.requests(), 3);
}

#[test]
fn h33_tries_and_pauses_are_bounded() {
    let busy = soap("500 Internal Server Error", &fault("Receiver", BUSY));
    let site = Site::new(vec![busy]);
    let around = Still::new();
    let error = block_on(calls(&site.address, &around).list(None, 0)).unwrap_err();
    assert_eq!(error.code(), "E-SOAP-FAULT");
    assert_eq!(
        around.pauses(),
        [1, 2, 4, 8, 16, 32].map(Duration::from_secs)
    );
}

#[test]
fn a_fault_with_a_sentence_of_its_own_is_not_repeated() {
    for (status, code) in [
        ("500 Internal Server Error", "Sender"),
        ("200 OK", "Receiver"),
    ] {
        let (error, requests) = list_error(vec![soap(
            status,
            &fault(code, "ERROR: no such thing as 'Ann Lee'"),
        )]);
        assert_eq!(error.code(), "E-SOAP-FAULT");
        assert!(
            error
                .message()
                .contains(&format!("soap:{code} \"ERROR: no such thing as '…'\"")),
            "{error}"
        );
        assert_eq!(requests, 1);
    }
}

#[test]
fn too_many_calls_are_waited_for_as_asked_within_bounds() {
    let limited = |headers: &str| http("429 Too Many Requests", headers, "");
    let site = Site::new(vec![
        limited("Retry-After: 7\r\n"),
        limited("Retry-After: Sun, 22 Nov 2026 12:01:00 GMT\r\n"),
        limited("Retry-After: -5\r\n"),
        limited("Retry-After: soon\r\n"),
        soap("200 OK", &list(EMPTY)),
    ]);
    let around = Still::new();
    block_on(calls(&site.address, &around).list(None, 0)).unwrap();
    assert_eq!(around.pauses(), [7, 30, 4, 8].map(Duration::from_secs));

    let (error, requests) = list_error(vec![limited("Retry-After: 86400\r\n")]);
    assert_eq!((error.code(), requests), ("E-RATE", 1));
    let (error, requests) = list_error(vec![limited("Retry-After: 200\r\n")]);
    assert_eq!((error.code(), requests), ("E-RATE", 2));
}

#[test]
fn calls_keep_to_the_rate() {
    let site = Site::new(vec![soap("200 OK", &list(EMPTY))]);
    let around = Still::new();
    let mut options = options(&site.address);
    options.calls.requests_per_second = Some(5.0);
    options.calls.burst = 3;
    let calls = SoapCalls::new(options, Arc::clone(&around) as Arc<dyn Surroundings>).unwrap();
    block_on(async {
        for _ in 0..8 {
            calls.list(None, 0).await.unwrap();
        }
    });
    let waited: Duration = around.pauses().iter().sum();
    assert_eq!(
        waited,
        Duration::from_secs(1),
        "three at once, then five in a second"
    );
}

#[test]
fn look_ups_and_deletes_understand_their_answers() {
    let not_found = soap(
        "500 Internal Server Error",
        &fault(
            "Receiver",
            &format!("{BUSY} ---&gt; ERROR: Contact record could not be retrieved."),
        ),
    );
    let site = Site::new(vec![not_found.clone(), not_found]);
    let around = Still::new();
    let calls = calls(&site.address, &around);
    block_on(async {
        let id = RemoteId("77".to_owned());
        assert_eq!(
            calls.look_up(&LookUp::Id(id.clone())).await.unwrap(),
            Found::Nothing
        );
        assert_eq!(calls.delete(&id).await.unwrap(), Deleted::Unknown);
    });
    assert!(
        site.requests()[0]
            .contains("<siteId>123</siteId><entityId>77</entityId></Contact_RetrieveByEntityID>")
    );
}

#[test]
fn h32_a_write_is_sent_once_and_what_is_not_understood_is_unknown() {
    for answer in [
        http("200 OK", "Content-Type: text/html\r\n", "<html/>"),
        http("200 OK", XML, ""),
        http("503 Service Unavailable", "", ""),
        soap("200 OK", &list(EMPTY)),
        b"".to_vec(),
    ] {
        let site = Site::new(vec![answer]);
        let pushed =
            block_on(calls(&site.address, &Still::new()).update_insert(&[Document::new()]))
                .unwrap();
        assert!(matches!(pushed, Pushed::Unknown { .. }), "{pushed:?}");
        assert_eq!(site.requests().len(), 1);
    }
    let refused = soap(
        "500 Internal Server Error",
        &fault("Receiver", "ERROR: bad element 3"),
    );
    let pushed = block_on(
        calls(&Site::new(vec![refused]).address, &Still::new()).update_insert(&[Document::new()]),
    )
    .unwrap();
    assert_eq!(
        pushed,
        Pushed::Refused {
            reason: "soap:Receiver \"ERROR: bad element 3\"".to_owned()
        }
    );
}

#[test]
fn nobody_there_is_unreachable_after_all_tries() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/crm.asmx", listener.local_addr().unwrap())
    };
    let around = Still::new();
    let error = block_on(calls(&address, &around).list(None, 0)).unwrap_err();
    assert_eq!(error.code(), "E-CONNECT");
    assert_eq!(around.pauses().len(), 6);
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    for (address, fine) in [
        ("http://crm.example/x.asmx", false),
        ("http://10.0.0.1/x.asmx", false),
        ("https://user:hunter2@crm.example/x.asmx", false),
        ("http://localhost:1/x.asmx", true),
        ("http://127.9.9.9/x.asmx", true),
        ("http://[::1]:8/x.asmx", true),
    ] {
        match SoapCalls::new(options(address), Still::new()) {
            Ok(_) => assert!(fine, "{address}"),
            Err(error) => {
                assert!(!fine, "{address}");
                assert_eq!(
                    (error.code(), error.kind()),
                    ("E-CFG-URL", ErrorKind::Config)
                );
                assert!(!error.message().contains("hunter2"));
            }
        }
    }
}

/// 100 contacts from record `start` on, and more to come.
fn full_page(start: usize) -> Vec<u8> {
    let records: String = (start..start + 100)
        .map(|id| format!("<ContactRecord><entityId>{}</entityId><firstName>Canary</firstName></ContactRecord>", id + 1))
        .collect();
    soap(
        "200 OK",
        &list(&format!(
            "<ContactList_RetrieveResult>{records}</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>true</moreRecords>"
        )),
    )
}

#[test]
fn pages_are_fetched_while_the_engine_is_busy_with_another() {
    use crate::remote::{Remote, RemoteScan, ScanStep};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/crm.asmx", listener.local_addr().unwrap());
    let (seen, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read_request(&mut stream).unwrap();
            let (_, rest) = request.split_once("<recordStart>").unwrap();
            let start = rest.split('<').next().unwrap().parse().unwrap();
            stream.write_all(&full_page(start)).unwrap();
            if seen.send(start).is_err() {
                return;
            }
        }
    });
    let calls = calls(&address, &Still::new());
    let limits = super::ScanLimits {
        prefetch: 3,
        ..super::ScanLimits::default()
    };
    let remote = super::ContactList::new(calls, chrono_tz::UTC, limits);
    block_on(async {
        let mut scan = remote.scan(None).await.unwrap();
        let Ok(ScanStep::Records(items)) = scan.next().await else {
            panic!("no page");
        };
        assert_eq!(items.len(), 100);
        // Nobody asks the scan for anything now, and this thread does nothing but wait.
        let mut starts: Vec<usize> = (0..4)
            .map(|_| requests.recv_timeout(Duration::from_secs(60)).unwrap())
            .collect();
        starts.sort_unstable();
        assert_eq!(starts, [0, 95, 190, 285]);
    });
}

#[test]
fn a_service_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&format!(
        "http://{}/crm.asmx",
        listener.local_addr().unwrap()
    ));
    options.calls.total_timeout = Duration::from_millis(150);
    options.retries.retries = 0;
    let calls = SoapCalls::new(options, Still::new()).unwrap();
    let error = block_on(calls.list(None, 0)).unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-TIMEOUT", ErrorKind::Unreachable)
    );
    let pushed = block_on(calls.update_insert(&[Document::new()])).unwrap();
    assert!(matches!(pushed, Pushed::Unknown { .. }));
}

#[test]
fn i10_no_log_holds_a_value_or_a_secret_at_any_level() {
    let busy = soap(
        "500 Internal Server Error",
        &fault("Receiver", "Canary s3cret&lt;&amp;&gt; failed"),
    );
    let site = Site::new(vec![busy, full_page(0), soap("200 OK", &list("<Canary>"))]);
    let calls = calls(&site.address, &Still::new());
    let log = crate::captured_log::CapturedLog::start();
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            assert_eq!(calls.list(None, 0).await.unwrap().items.len(), 100);
            let mut document = Document::new();
            document.set("firstName", crate::model::Node::Text("Canary".to_owned()));
            let _ = calls.update_insert(&[document]).await;
            let _ = calls
                .look_up(&LookUp::Email("canary@example.org".to_owned()))
                .await;
        });
    }
    let log = log.end();
    assert!(
        log.contains("tried again"),
        "nothing was logged at all: {log}"
    );
    for private in ["Canary", "canary", "s3cret", "admin@"] {
        assert!(!log.contains(private), "{private}: {log}");
    }
}

mod tls {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    use super::*;

    struct Authority {
        pem: Vec<u8>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            pem: certificate.pem().into_bytes(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A site behind TLS that shows a certificate for `name`, valid until `until`.
    fn site(authority: &Authority, name: &str, until: (i32, u8, u8)) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
                let mut request = [0; 65_536];
                // Head and body may come in two pieces; the answer fits any request.
                if tls.read(&mut request).is_ok() {
                    let _ = tls.write_all(&soap("200 OK", &list(EMPTY)));
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        format!("https://localhost:{port}/crm.asmx")
    }

    fn listing(address: &str, ca: Option<&[u8]>) -> Result<super::super::ListPage, Error> {
        let mut options = options(address);
        options.ca = ca.map(<[u8]>::to_vec);
        options.retries.retries = 0;
        let calls = SoapCalls::new(options, Still::new())?;
        block_on(calls.list(None, 0))
    }

    #[test]
    fn a_certificate_counts_only_if_it_verifies() {
        let ours = authority("Ours");
        let ca = Some(&ours.pem[..]);
        assert!(listing(&site(&ours, "localhost", (2120, 1, 1)), ca).is_ok());
        for (address, ca, expected) in [
            (
                site(&ours, "localhost", (2025, 11, 1)),
                ca,
                "localhost: certificate expired 2025-11-01",
            ),
            (
                site(&ours, "crm.example", (2120, 1, 1)),
                ca,
                "localhost: certificate is for another name",
            ),
            (
                site(&authority("Another"), "localhost", (2120, 1, 1)),
                ca,
                "localhost: certificate of an unknown authority",
            ),
        ] {
            let error = listing(&address, ca).unwrap_err();
            assert_eq!(
                (error.code(), error.kind()),
                ("E-TLS", ErrorKind::Unreachable)
            );
            assert!(error.message().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_file_of_ca_must_hold_certificates() {
        let error = listing("https://localhost:1/x", Some(b"nothing")).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("E-TLS", ErrorKind::Config));
    }
}
