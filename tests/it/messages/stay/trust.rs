//! Whom `run` listens to and whom it tells: certificates, tokens, sizes, and what happens while nothing can be kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contactbridge::cli::RealWorld;
use contactbridge::config::{Callers, Limits, Order, ReceiveSettings, Secret};
use contactbridge::model::{Result, World};
use contactbridge::remote::contactlist::Surroundings;
use contactbridge::remote::data_sync::Message;
use contactbridge::remote::data_sync::receive::{Custody, ReceiveLimits, Receiver, TokenKey};
use contactbridge::simulator::data_sync::{
    Failure, RetailOptions, RetailSystem, ThirdOptions, ThirdParty,
};
use contactbridge::state::{StateKey, StateLocation};
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::storm::token;
use super::*;
use crate::support::{eventually, http};

/// Writes an authority and what it says of a server of this name: `NAME-ca.pem`, `NAME.pem`, `NAME.key`.
fn certify(directory: &Path, name: &str, host: &str) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![host.to_owned()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("a certificate");
    for (end, text) in [
        ("-ca.pem", authority),
        (".pem", certificate.pem()),
        (".key", key.serialize_pem()),
    ] {
        std::fs::write(directory.join(format!("{name}{end}")), text).expect("a file");
    }
}

/// A retail system with one customer.
fn orce(target: Target) -> RetailSystem {
    RetailSystem::start(RetailOptions {
        people: 1,
        target: Some(target),
        ..RetailOptions::default()
    })
    .expect("a retail system")
}

#[test]
fn who_does_not_know_the_certificate_posts_nothing() {
    let receive = format!("{RECEIVE}        tls: {{ certificate: ours.pem, key: ours.key }}\n");
    let shop = Shop::new(&receive, "");
    certify(&shop.path(""), "ours", "localhost");
    certify(&shop.path(""), "other", "localhost");
    let running = Running::start(&shop);
    let base = format!("https://localhost:{}", running.address.port());
    for (authority, is_known) in [(None, false), (Some("other"), false), (Some("ours"), true)] {
        let mut target = target(&base);
        target.ca = authority.map(|name| shop.path(&format!("{name}-ca.pem")));
        let failure = orce(target).run_job_blocking().failure;
        if is_known {
            assert_eq!(failure, None);
        } else {
            assert_eq!(
                failure,
                Some(Failure::Token { status: None }),
                "{authority:?}"
            );
        }
    }
    // A client hello of TLS 1.1 is answered with the alert "protocol version".
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 0x17][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 23, 0, 0],
    ]
    .concat();
    let length = 43 + extensions.len() as u8;
    let mut hello = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut stream = TcpStream::connect(running.address).expect("it listens");
    stream.write_all(&hello).expect("a hello");
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert);
    assert_eq!((alert[0], &alert[5..7]), (0x15, &[2, 70][..]), "{alert:?}");
    shop.sync(0);
    assert_eq!(shop.names().len(), 1);
}

#[test]
fn a_wrong_certificate_is_told_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    certify(directory.path(), "good", "127.0.0.1");
    certify(directory.path(), "elsewhere", "elsewhere.example.org");
    let path = |name: &str| directory.path().join(name);
    for (server, authority, code) in [
        ("good", Some("good"), 0),
        ("good", Some("elsewhere"), 5),
        ("elsewhere", Some("elsewhere"), 5),
        ("good", None, 5),
    ] {
        let third = ThirdParty::start(ThirdOptions {
            tls: Some((
                path(&format!("{server}.pem")),
                path(&format!("{server}.key")),
            )),
            client_secret: "s".to_owned(),
            ..ThirdOptions::default()
        })
        .expect("an application");
        let ca = authority.map_or(String::new(), |name| {
            format!(
                "        ca: {}\n",
                path(&format!("{name}-ca.pem")).display()
            )
        });
        let shop = Shop::new(
            &format!(
                "      send:\n        api_url: {}\n        token_url: {}\n        client_id: {}\n        client_secret: ${{SEND_SECRET}}\n{ca}",
                third.api_url(),
                third.token_url(),
                third.options().client_id
            ),
            "",
        );
        let _service = Service::start(&shop.binary);
        shop.line("sync").exits(0);
        shop.sql("INSERT INTO customers (customer_no, last_name) VALUES ('1', 'Quill')");
        shop.line("sync").exits(code);
        let told = usize::from(code == 0);
        assert_eq!(third.customers().len(), told, "{server} {authority:?}");
        assert_eq!(third.token_count(), told, "{server} {authority:?}");
    }
}

/// The machine's surroundings, two hours ago.
struct Past(RealWorld);

impl Surroundings for Past {
    fn now(&self) -> DateTime<Utc> {
        World::now(&self.0) - chrono::Duration::hours(2)
    }

    fn monotonic(&self) -> Duration {
        World::monotonic(&self.0)
    }

    fn random(&self, bytes: &mut [u8]) {
        World::random(&self.0, bytes);
    }

    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Surroundings::pause(&self.0, duration)
    }
}

struct Nobody;

impl Custody for Nobody {
    async fn keep(&self, _: Vec<Message>) -> Result<()> {
        Ok(())
    }
}

/// A token that the project gave out `Past` its life: by a receiver with the project's own key, in surroundings of then.
fn token_of_then(shop: &Shop, world: Arc<dyn Surroundings>) -> String {
    let location = StateLocation::Sled(shop.path("state"));
    let key =
        StateKey::find(&location, None, false, &mut |_| panic!("the key is there")).expect("a key");
    let settings = ReceiveSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        path: "/datasync".to_owned(),
        token_path: "/oauth2/token".to_owned(),
        callers: Callers::Clients(vec![("orce".to_owned(), Secret::new("secret"))]),
        tls: None,
        order: Order::Arrival,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let receiver = runtime
        .block_on(Receiver::bind(
            &settings,
            ReceiveLimits::from_settings(&Limits::default()),
            TokenKey::of(&key.vault()),
            Arc::new(Nobody),
            world,
        ))
        .expect("it listens");
    let address = receiver.address().expect("an address");
    runtime.spawn(receiver.serve(std::future::pending()));
    let token = token(address, "secret").expect("a token");
    runtime.shutdown_background();
    token
}

fn post(to: SocketAddr, token: &str, body: &[u8]) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    http(to, "POST", "/datasync", &headers, body)
        .expect("an answer")
        .status
}

const EMPTY: &[u8] = br#"{"messages":[]}"#;

#[test]
fn wrong_expired_and_foreign_tokens_are_answered_with_401() {
    let (shop, other) = (Shop::receiving(), Shop::receiving());
    let (running, foreign) = (Running::start(&shop), Running::start(&other));
    assert_eq!(token(running.address, "wrong"), None);
    let mut target = running.target();
    target.client_secret = "wrong".to_owned();
    let failure = orce(target).run_job_blocking().failure;
    assert_eq!(failure, Some(Failure::Token { status: Some(401) }));

    let own = token(running.address, "secret").expect("a token");
    let of_other = token(foreign.address, "secret").expect("a token");
    let now = token_of_then(&shop, Arc::new(RealWorld::new()));
    let then = token_of_then(&shop, Arc::new(Past(RealWorld::new())));
    for (token, status) in [
        (own.as_str(), 200),
        (now.as_str(), 200),
        (then.as_str(), 401),
        (of_other.as_str(), 401),
        ("nonsense", 401),
        ("", 401),
    ] {
        assert_eq!(post(running.address, token, EMPTY), status);
    }
    // One that was given out before a restart is still good.
    running.kill();
    let running = Running::start(&shop);
    assert_eq!(post(running.address, &own, EMPTY), 200);
    let said = running.service.stop().concat();
    for secret in [own.as_str(), of_other.as_str()] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn what_is_too_large_hears_so_while_it_is_still_writing() {
    let shop = Shop::receiving();
    let running = Running::start(&shop);
    let orce = orce(running.target());
    let large = vec![b' '; 11 << 20];
    // An HTTP client of its own make, which sees a reset where the other end just goes away.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for _ in 0..5 {
        let answer = runtime.block_on(orce.post_body(large.clone()));
        assert_eq!(answer, Ok(413));
    }
    // So does one whose token is no good.
    assert_eq!(post(running.address, "nonsense", &large), 401);
}

#[test]
fn while_the_store_can_not_be_opened_nothing_is_taken_and_nothing_lost() {
    let shop = Shop::receiving();
    shop.sync(0);
    let lock = std::fs::File::open(shop.path("state/shop/lock")).expect("the lock");
    lock.lock().expect("nobody has it");
    let running = Running::start(&shop);
    let orce = orce(running.target());
    let failure = orce.run_job_blocking().failure;
    assert!(
        matches!(failure, Some(Failure::Answer { status: 503, .. })),
        "{failure:?}"
    );
    drop(lock);
    eventually("the store is open, and the job delivers", || {
        orce.run_job_blocking().is_success()
    });
    shop.sync(0);
    truth::compare(&shop, &orce.delivered());
    assert_eq!(shop.names().len(), 1);
}
