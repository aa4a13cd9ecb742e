//! Both ends of Data Sync through the public API, and tokens of an OAuth2 server of another make.

use contactbridge::model::Vault;
use std::sync::{Arc, Mutex};

use contactbridge::cli::RealWorld;
use contactbridge::config::{Callers, Limits, Order, ReceiveSettings, Secret, SendSettings};
use contactbridge::model::Result;
use contactbridge::remote::data_sync::receive::{Custody, ReceiveLimits, Receiver, TokenKey};
use contactbridge::remote::data_sync::send::{Reached, SendOptions, Sender};
use contactbridge::remote::data_sync::{Meaning, Message, Object, Payload, read_envelope};
use tokio::sync::oneshot;

use crate::support::ForeignIssuer;

#[derive(Default)]
struct Kept(Mutex<Vec<Message>>);

impl Custody for Kept {
    async fn keep(&self, messages: Vec<Message>) -> Result<()> {
        self.0.lock().expect("no panic").extend(messages);
        Ok(())
    }
}

/// The seed's three bodies, as messages.
fn seed() -> Vec<Message> {
    let limits = ReceiveLimits::from_settings(&Limits::default()).envelope;
    [
        include_str!("../data/data_sync/sample.json"),
        include_str!("../data/data_sync/customer_mod.json"),
        include_str!("../data/data_sync/transaction_cre.json"),
    ]
    .iter()
    .flat_map(|body| read_envelope(body.as_bytes(), &limits).expect("an envelope"))
    .collect()
}

/// Our receiver for tokens of `issuer`, which must be for `audience`.
async fn receiver(
    issuer: &ForeignIssuer,
    audience: &str,
) -> (String, Arc<Kept>, oneshot::Sender<()>) {
    let settings = ReceiveSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        path: "/datasync".to_owned(),
        token_path: "/oauth2/token".to_owned(),
        callers: Callers::Tokens {
            issuer: issuer.fact("issuer").to_owned(),
            audience: audience.to_owned(),
            jwks_url: issuer.fact("jwks").parse().expect("an address"),
            ca: None,
        },
        tls: None,
        order: Order::Arrival,
    };
    let kept = Arc::new(Kept::default());
    let limits = ReceiveLimits::from_settings(&Limits::default());
    let key = TokenKey::of(&Vault::new(&[1; 32]));
    let receiver = Receiver::bind(
        &settings,
        limits,
        key,
        Arc::clone(&kept),
        Arc::new(RealWorld::new()),
    )
    .await
    .expect("it listens");
    let url = format!(
        "http://{}/datasync",
        receiver.address().expect("an address")
    );
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(receiver.serve(async {
        let _ = stopped.await;
    }));
    (url, kept, stop)
}

fn sender(issuer: &ForeignIssuer, url: &str, secret: &str) -> Sender {
    let settings = SendSettings {
        api_url: url.parse().expect("an address"),
        token_url: issuer.fact("token").parse().expect("an address"),
        client_id: issuer.client().0.to_owned(),
        client_secret: Secret::new(secret),
        scope: "datasync".to_owned(),
        batch: 100,
        ca: None,
    };
    let limits = Limits {
        requests_per_second: None,
        ..Limits::default()
    };
    let options = SendOptions::from_settings(&settings, &limits).expect("options");
    Sender::new(options, Arc::new(RealWorld::new())).expect("a sender")
}

#[tokio::test]
async fn an_oauth2_server_of_another_make_stands_between_our_two_ends() {
    for algorithm in ["RS256", "ES256", "PS256"] {
        let Some(issuer) = ForeignIssuer::start(algorithm, 3_600) else {
            return;
        };
        let secret = issuer.client().1.to_owned();
        let (url, kept, _stop) = receiver(&issuer, issuer.fact("audience")).await;
        let sender = sender(&issuer, &url, &secret);
        for message in seed() {
            sender.post(&message).await.expect("exactly 200");
        }
        assert!(sender.probe().await.succeeded());
        // The sample is not kept.
        assert_eq!(
            *kept.0.lock().expect("no panic"),
            seed()[1..],
            "{algorithm}"
        );
        for (message, id) in seed()[1..]
            .iter()
            .zip(["2142", "99901000022017110710000100"])
        {
            match message.meaning(32) {
                Ok(Meaning::Record { id: found, .. }) => assert_eq!(found.0, id),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_and_a_wrong_secret_get_nowhere() {
    let Some(issuer) = ForeignIssuer::start("RS256", 3_600) else {
        return;
    };
    let (url, kept, _stop) = receiver(&issuer, "another-service").await;
    let failure = sender(&issuer, &url, issuer.client().1)
        .post(&seed()[1])
        .await
        .expect_err("the audience is another");
    assert_eq!(failure.reached, Reached::Answered(401));
    let failure = sender(&issuer, &url, "wrong")
        .post(&seed()[1])
        .await
        .expect_err("the secret is wrong");
    assert_eq!(
        (failure.reached, failure.error.code()),
        (Reached::Nowhere, "E-AUTH")
    );
    assert!(
        failure.error.message().contains("invalid_client"),
        "{}",
        failure.error
    );
    assert!(kept.0.lock().expect("no panic").is_empty());
}

#[test]
fn the_seeds_bodies_are_messages_of_the_kinds_that_they_name() {
    let seed = seed();
    assert!(seed[0].is_sample());
    assert!(seed[0].payload == Payload::Text("Test message".to_owned()));
    let object = |message: &Message| match message.meaning(32) {
        Ok(Meaning::Record { object, .. }) => Some(object),
        _ => None,
    };
    assert_eq!(object(&seed[1]), Some(Object::Customer));
    assert_eq!(object(&seed[2]), Some(Object::Transaction));
}
