//! The bridge's receiver and sender, each before an end that was written without them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use contactbridge::cli::RealWorld;
use contactbridge::config::{Callers, Limits, Order, ReceiveSettings, Secret, SendSettings};
use contactbridge::model::{Error, Result};
use contactbridge::remote::data_sync::receive::{Custody, ReceiveLimits, Receiver, TokenKey};
use contactbridge::remote::data_sync::send::{Reached, SendOptions, Sender};
use contactbridge::remote::data_sync::{Message, read_envelope};
use contactbridge::simulator::data_sync::{
    Effect, Failure, Form, RetailOptions, RetailSystem, Survivor, Target, ThirdOptions, ThirdParty,
    Transaction,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::sync::oneshot;

/// Keeps messages, and refuses to for the next so many calls.
#[derive(Default)]
struct Kept {
    messages: Mutex<Vec<Message>>,
    refusals: Mutex<u32>,
}

impl Custody for Kept {
    async fn keep(&self, messages: Vec<Message>) -> Result<()> {
        let mut refusals = self.refusals.lock().expect("no panic");
        if *refusals > 0 {
            *refusals -= 1;
            return Err(Error::needs_person("E-FULL", "The disk is full"));
        }
        self.messages.lock().expect("no panic").extend(messages);
        Ok(())
    }
}

/// Certificate chain, key and authority, as files.
fn certificates(directory: &tempfile::TempDir) -> (PathBuf, PathBuf, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("parameters");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    (
        write("server.pem", certificate.pem()),
        write("server.key", key.serialize_pem()),
        write("ca.pem", authority),
    )
}

/// The bridge's receiver, and a retail system that posts to it.
async fn receiver(
    tls: Option<(PathBuf, PathBuf)>,
    ca: Option<PathBuf>,
    people: u64,
) -> (RetailSystem, Arc<Kept>, oneshot::Sender<()>) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let settings = ReceiveSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        path: "/datasync".to_owned(),
        token_path: "/oauth2/token".to_owned(),
        callers: Callers::Clients(vec![("orce".to_owned(), Secret::new("hush:&%41"))]),
        tls,
        order: Order::Arrival,
    };
    let kept = Arc::new(Kept::default());
    let receiver = Receiver::bind(
        &settings,
        ReceiveLimits::from_settings(&Limits::default()),
        TokenKey::of(&contactbridge::model::Vault::new(&[1; 32])),
        Arc::clone(&kept),
        Arc::new(RealWorld::new()),
    )
    .await
    .expect("it listens");
    let port = receiver.address().expect("an address").port();
    let host = if scheme == "https" {
        "localhost"
    } else {
        "127.0.0.1"
    };
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(receiver.serve(async {
        let _ = stopped.await;
    }));
    let orce = RetailSystem::start(RetailOptions {
        people,
        target: Some(Target {
            api_url: format!("{scheme}://{host}:{port}/datasync"),
            token_url: format!("{scheme}://{host}:{port}/oauth2/token"),
            client_id: "orce".to_owned(),
            client_secret: "hush:&%41".to_owned(),
            ca,
        }),
        ..RetailOptions::default()
    })
    .expect("a retail system");
    (orce, kept, stop)
}

#[tokio::test]
async fn every_form_of_message_is_answered_with_exactly_200() {
    for habit in [
        "payload=text",
        "payload=object",
        "deletion=quoted",
        "deletion=number",
        "deletion=object",
        "deletion=null",
        "layout=printed",
        "strange-fields",
        "ascii",
        "per-post=3",
        "type=application/json; charset=UTF-8",
        "credentials=body",
        "scope=urn:opc:idm:__myscopes__",
        "token=message",
        "offset=Z",
        "email-key=EMailAddress",
        "leave-out=customerNotes",
        "feed=shuffled",
    ] {
        let (orce, kept, _stop) = receiver(None, None, 0).await;
        orce.switch(habit).expect("a switch");
        let ids = orce.add_seeded(20);
        orce.with(|books| books.post_seeded(&ids[0]));
        orce.with(|books| books.post_seeded("nobody yet"));
        orce.merge(&[&ids[1], &ids[2]], Survivor::First);
        orce.delete_customer(&ids[3]);
        orce.delete_unknown("nobody");
        for junk in ["", "{", "\"\\ud800\"", "[]", "Test message"] {
            orce.queue_junk("CUSTOMER", "CUSTOMERMOD", junk);
        }
        orce.queue_junk("POSTRN", "CUSTOMERDEL", "1");
        orce.queue_junk("ITEM", "ITEMCRE", "{}");
        assert_eq!(orce.send_sample().await, Ok(200), "{habit}");
        let report = orce.run_job().await;
        assert_eq!(report.failure, None, "{habit}");
        let count = kept.messages.lock().expect("no panic").len();
        // The junk that reads "Test message" is taken for a sample, which nobody keeps.
        assert_eq!(count, orce.sent_count() - 1, "{habit}");
    }
}

#[tokio::test]
async fn what_the_receiver_could_not_keep_comes_again() {
    let (orce, kept, _stop) = receiver(None, None, 3).await;
    *kept.refusals.lock().expect("no panic") = 1;
    let failure = orce.run_job().await.failure;
    assert!(
        matches!(failure, Some(Failure::Answer { status: 503, .. })),
        "{failure:?}"
    );
    orce.switch("lose-answer=#2").expect("a switch");
    orce.switch("twice=#3").expect("a switch");
    orce.switch("cut-body=#4").expect("a switch");
    orce.switch("wrong-token=#5").expect("a switch");
    let reports = orce.run_jobs(9).await;
    assert!(reports.last().is_some_and(|report| report.is_success()));
    let count = kept.messages.lock().expect("no panic").len();
    assert_eq!(count, orce.sent_count());
    assert_eq!(orce.delivered().repeated(), count - 3);
    assert_eq!(orce.delivered().customers().len(), 3);
    assert_eq!(orce.post_body("no json").await, Ok(400));
    // Refused before it is read, so that the answer may be lost to a client that is still writing.
    assert_ne!(orce.post_body(vec![b' '; 11 << 20]).await, Ok(200));
    assert_eq!(kept.messages.lock().expect("no panic").len(), count);
}

#[tokio::test]
async fn a_large_transaction_arrives_over_tls_1_2_from_a_known_authority_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key, ca) = certificates(&directory);
    let tls = Some((certificate, key));
    let (orce, kept, _stop) = receiver(tls.clone(), Some(ca), 2).await;
    orce.post_transaction(Transaction::new("7", None).padded(5_000_000));
    let report = orce.run_job().await;
    assert_eq!(report.failure, None);
    assert_eq!(kept.messages.lock().expect("no panic").len(), 3);
    let (stranger, kept, _stop) = receiver(tls, None, 1).await;
    let failure = stranger.run_job().await.failure;
    assert_eq!(failure, Some(Failure::Token { status: None }));
    assert!(kept.messages.lock().expect("no panic").is_empty());
}

fn sender(third: &ThirdParty) -> Sender {
    sender_trusting(third, None)
}

fn sender_trusting(third: &ThirdParty, ca: Option<PathBuf>) -> Sender {
    let options = third.options();
    let settings = SendSettings {
        api_url: third.api_url().parse().expect("an address"),
        token_url: third.token_url().parse().expect("an address"),
        client_id: options.client_id,
        client_secret: Secret::new(options.client_secret),
        scope: String::new(),
        batch: 100,
        ca,
    };
    let limits = Limits {
        requests_per_second: None,
        ..Limits::default()
    };
    let options = SendOptions::from_settings(&settings, &limits).expect("options");
    Sender::new(options, Arc::new(RealWorld::new())).expect("a sender")
}

/// The bridge's messages, read from an envelope of the simulator's.
fn messages(count: usize) -> Vec<Message> {
    let orce = RetailSystem::start(RetailOptions::default()).expect("a retail system");
    let ids = orce.add_seeded(count);
    orce.with(|books| books.post_seeded(&ids[0]));
    orce.delete_customer(&ids[1]);
    let rows = orce.with(|books| {
        let mut queues = books.queues().clone();
        queues.transfer(usize::MAX);
        queues.head(usize::MAX)
    });
    let limits = ReceiveLimits::from_settings(&Limits::default()).envelope;
    rows.into_iter()
        .flat_map(|row| {
            let body = Form::default().envelope(&[row.message]);
            read_envelope(body.as_bytes(), &limits).expect("an envelope")
        })
        .collect()
}

#[tokio::test]
async fn the_sender_posts_the_appendixs_form_and_nothing_else() {
    let third = ThirdParty::start(ThirdOptions::default()).expect("an application");
    let sender = sender(&third);
    assert!(sender.probe().await.succeeded());
    let messages = messages(20);
    for message in &messages {
        sender.post(message).await.expect("exactly 200");
    }
    assert_eq!(third.defects(), []);
    assert_eq!(third.accepted().len(), messages.len() + 1);
    assert_eq!(third.accepted()[0].effect, Effect::Sample);
    assert_eq!(
        (third.customers().len(), third.transactions().len()),
        (19, 1)
    );
    assert_eq!((third.token_count(), third.overlap_count()), (1, 0));
    assert_eq!(third.ledger().unreadable(), 0);
}

#[tokio::test]
async fn the_sender_takes_nothing_but_200_for_success() {
    let messages = messages(2);
    for (fault, reached) in [
        ("status=500", Reached::Answered(500)),
        ("status=201", Reached::Answered(201)),
        ("status=204", Reached::Answered(204)),
        ("redirect=/datasync", Reached::Answered(302)),
        ("status-after=202", Reached::Answered(202)),
        ("unavailable=1", Reached::Answered(503)),
        ("status=401", Reached::Answered(401)),
        ("status@token=503", Reached::Nowhere),
        ("html@token", Reached::Nowhere),
        ("garbage@token", Reached::Nowhere),
    ] {
        let third = ThirdParty::start(ThirdOptions::default()).expect("an application");
        third.switch(fault).expect("a switch");
        let failure = sender(&third).post(&messages[0]).await;
        assert_eq!(failure.expect_err(fault).reached, reached, "{fault}");
    }
    for (fault, count) in [("expire=#1", 1), ("garbage", 1), ("oversize=3000000", 1)] {
        let third = ThirdParty::start(ThirdOptions::default()).expect("an application");
        third.switch(fault).expect("a switch");
        sender(&third).post(&messages[0]).await.expect(fault);
        assert_eq!(third.accepted().len(), count, "{fault}");
    }
    for answer in ["no-expiry", "text-expiry", "lower"] {
        let third = ThirdParty::start(ThirdOptions::default()).expect("an application");
        third
            .switch(&format!("token-answer={answer}"))
            .expect("a switch");
        sender(&third).post(&messages[0]).await.expect(answer);
    }
}

#[tokio::test]
async fn the_sender_posts_over_tls_to_a_known_authority_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key, ca) = certificates(&directory);
    let third = ThirdParty::start(ThirdOptions {
        tls: Some((certificate, key)),
        ..ThirdOptions::default()
    })
    .expect("an application");
    // Somebody who connects and says nothing holds nobody up.
    let _silent = std::net::TcpStream::connect(third.address()).expect("a connection");
    let messages = messages(2);
    let sender = sender_trusting(&third, Some(ca));
    sender.post(&messages[0]).await.expect("exactly 200");
    third.switch("lose-answer=#1").expect("a switch");
    let failure = sender.post(&messages[1]).await.expect_err("no answer");
    assert_eq!(failure.reached, Reached::Unknown);
    assert_eq!(third.accepted().len(), 2);
    let stranger = sender_trusting(&third, None).post(&messages[1]).await;
    let failure = stranger.expect_err("nobody vouches for it");
    assert_eq!(failure.reached, Reached::Nowhere);
    assert_eq!(third.accepted().len(), 2);
}
