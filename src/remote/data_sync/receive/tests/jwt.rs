//! Tokens of an outside issuer: what holds, and every way known to make one that should not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use super::super::foreign_tokens::ForeignTokens;
use super::*;
use crate::remote::data_sync::http::Http;

const ISSUER: &str = "https://idp.example.org";
const AUDIENCE: &str = "contactbridge";

/// An issuer with an RSA key "r" and an EC key "e", whose published keys are read over loopback.
struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    published: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    url: reqwest::Url,
}

fn pem(text: &str) -> Vec<u8> {
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD
        .decode(lines)
        .unwrap()
}

fn parts(key: &RsaKeyPair) -> ring::rsa::PublicKeyComponents<Vec<u8>> {
    ring::rsa::PublicKeyComponents::from(key.public())
}

fn ec_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap()
}

fn ec_published(key: &EcdsaKeyPair, id: &str) -> Value {
    let point = key.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
        "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])})
}

impl Issuer {
    fn start() -> Self {
        let der = pem(include_str!(
            "../../../../../tests/data/data_sync/test_issuer_rsa.pem"
        ));
        let (rsa, ec) = (RsaKeyPair::from_pkcs8(&der).unwrap(), ec_key());
        let published = Arc::new(Mutex::new((200, String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (answers, count) = (Arc::clone(&published), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answers.lock().unwrap().clone();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        let issuer = Self {
            rsa,
            ec,
            published,
            asked,
            url: url.parse().unwrap(),
        };
        issuer.publish(&[issuer.rsa_published("RS256"), ec_published(&issuer.ec, "e")]);
        issuer
    }

    fn rsa_published(&self, algorithm: &str) -> Value {
        let public = parts(&self.rsa);
        json!({"kty": "RSA", "kid": "r", "alg": algorithm, "use": "sig",
            "n": BASE64.encode(public.n),
            "e": BASE64.encode(public.e)})
    }

    fn publish(&self, keys: &[Value]) {
        *self.published.lock().unwrap() = (200, json!({"keys": keys}).to_string());
    }

    fn desk(&self) -> Desk {
        let clock = Clock::new();
        let limits = limits();
        let http = Http::new("tokens.jwks_url", self.url.clone(), None, &limits.calls).unwrap();
        let around = Arc::clone(&clock) as _;
        let tokens = ForeignTokens::new(
            ISSUER.into(),
            AUDIENCE.into(),
            limits.token_grace,
            http,
            around,
        );
        Desk::with(Gate::Foreign(tokens), clock)
    }

    fn rs256(&self, header: Value, claims: Value) -> String {
        let message = unsigned(&header, &claims);
        let mut signature = vec![0; self.rsa.public().modulus_len()];
        let scheme: &dyn ring::signature::RsaEncoding = match header["alg"].as_str() {
            Some("PS256") => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        self.rsa
            .sign(
                scheme,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{message}.{}", BASE64.encode(signature))
    }

    fn es256(&self, header: Value, claims: Value) -> String {
        signed_by(&self.ec, header, claims)
    }

    fn good(&self) -> String {
        self.rs256(
            json!({"alg": "RS256", "typ": "JWT", "kid": "r"}),
            claims(json!({})),
        )
    }
}

fn signed_by(key: &EcdsaKeyPair, header: Value, claims: Value) -> String {
    let message = unsigned(&header, &claims);
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", BASE64.encode(signature))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims.to_string())
    )
}

fn now() -> i64 {
    Clock::new().now().timestamp()
}

/// Good claims with `changes`; a null takes one out.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "sub": "orce"});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => {
                claims.as_object_mut().unwrap().remove(name);
            }
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn tokens_of_the_issuers_published_keys_are_accepted() {
    let issuer = Issuer::start();
    let desk = issuer.desk();
    for token in [
        issuer.good(),
        issuer.es256(json!({"alg": "ES256", "kid": "e"}), claims(json!({}))),
        issuer.rs256(json!({"alg": "RS256"}), claims(json!({}))),
        issuer.es256(
            json!({"alg": "ES256"}),
            claims(json!({"aud": ["other", AUDIENCE], "nbf": now() + 60})),
        ),
        issuer.rs256(
            json!({"alg": "RS256", "kid": "r"}),
            claims(json!({"exp": now() - 60})),
        ),
    ] {
        assert_eq!(
            desk.post(&token, &body("1", "{}")).await.status,
            200,
            "{token}"
        );
    }
    assert_eq!(desk.kept.ids().len(), 5);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "keys are kept");
    // There is no token endpoint of ours beside somebody else's.
    assert_eq!(
        desk.send("POST /oauth2/token HTTP/1.1", "").await.status,
        404
    );
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    let issuer = Issuer::start();
    let desk = issuer.desk();
    for changes in [
        json!({"iss": "https://idp.example.org/"}),
        json!({"iss": null}),
        json!({"aud": "another"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": "2099-01-01"}),
        json!({"exp": now() - 61}),
        json!({"nbf": now() + 61}),
    ] {
        let token = issuer.rs256(json!({"alg": "RS256", "kid": "r"}), claims(changes.clone()));
        let said = desk.post(&token, SAMPLE).await;
        assert_eq!((said.status, said.body.as_str()), (401, ""), "{changes}");
    }
}

#[tokio::test]
async fn a_token_decides_nothing_about_how_it_is_verified() {
    let issuer = Issuer::start();
    let desk = issuer.desk();
    let stranger = ec_key();
    let good = claims(json!({}));
    let none = |alg: &str| format!("{}.", unsigned(&json!({"alg": alg}), &good));
    // RS to HS: the public key, in every form it is known in, as a shared secret.
    let hmac = |secret: &[u8]| {
        let message = unsigned(&json!({"alg": "HS256", "kid": "r"}), &good);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!(
            "{message}.{}",
            BASE64.encode(ring::hmac::sign(&key, message.as_bytes()))
        )
    };
    let public = issuer.rsa.public();
    let der = public.as_ref().to_vec();
    let header_pem = format!(
        "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(&der)
    );
    let mine = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "e"});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        signed_by(&stranger, header, good.clone())
    };
    let own = ec_published(&stranger, "e");
    let whole = issuer.good();
    let (rest, signature) = whole.rsplit_once('.').unwrap();
    let other_claims = claims(json!({"sub": "somebody"}));
    let tokens = [
        none("none"),
        none("None"),
        format!(
            "{}.{signature}",
            unsigned(&json!({"alg": "none", "kid": "r"}), &good)
        ),
        hmac(&der),
        hmac(header_pem.as_bytes()),
        hmac(&parts(&issuer.rsa).n),
        hmac(b""),
        mine(json!({})),
        mine(json!({"jwk": own})),
        mine(json!({"jku": issuer.url.as_str()})),
        mine(json!({"x5u": "https://evil.example.org/c.pem"})),
        mine(json!({"x5c": ["AAAA"]})),
        mine(json!({"kid": "r"})),
        // The algorithm is the key's, also within its type.
        issuer.rs256(json!({"alg": "PS256", "kid": "r"}), good.clone()),
        issuer.rs256(json!({"alg": "RS512", "kid": "r"}), good.clone()),
        issuer.rs256(json!({"alg": "RS256", "kid": "e"}), good.clone()),
        issuer.es256(json!({"alg": "ES256", "kid": "r"}), good.clone()),
        issuer.rs256(
            json!({"alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false}),
            good.clone(),
        ),
        format!(
            "{}.{signature}",
            unsigned(&json!({"alg": "RS256", "kid": "r"}), &other_claims)
        ),
        format!("{rest}."),
        rest.to_owned(),
        format!("{whole}.x"),
        format!("{whole}A"),
        "a.b.c".to_owned(),
        format!("{}{}", whole, "A".repeat(14_000)),
    ];
    for token in tokens {
        assert_eq!(desk.post(&token, SAMPLE).await.status, 401, "{token}");
    }
    assert_eq!(desk.post(&whole, SAMPLE).await.status, 200);
}

#[tokio::test]
async fn keys_that_verify_nothing_are_passed_over() {
    let issuer = Issuer::start();
    let mut for_encryption = ec_published(&issuer.ec, "e");
    for_encryption["use"] = "enc".into();
    let shared = json!({"kty": "oct", "kid": "s", "k": BASE64.encode("secret"), "alg": "HS256"});
    issuer.publish(&[
        shared,
        json!({"kty": "new"}),
        json!(7),
        for_encryption,
        issuer.rsa_published("PS256"),
    ]);
    let desk = issuer.desk();
    let message = unsigned(&json!({"alg": "HS256", "kid": "s"}), &claims(json!({})));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
    let hmac = format!(
        "{message}.{}",
        BASE64.encode(ring::hmac::sign(&key, message.as_bytes()))
    );
    let ec = issuer.es256(json!({"alg": "ES256", "kid": "e"}), claims(json!({})));
    for token in [hmac, ec, issuer.good()] {
        assert_eq!(desk.post(&token, SAMPLE).await.status, 401);
    }
    let pss = issuer.rs256(json!({"alg": "PS256", "kid": "r"}), claims(json!({})));
    assert_eq!(desk.post(&pss, SAMPLE).await.status, 200);
}

#[tokio::test]
async fn a_new_key_is_found_by_one_look_and_made_up_ones_cost_no_more() {
    let issuer = Issuer::start();
    let desk = issuer.desk();
    assert_eq!(desk.post(&issuer.good(), SAMPLE).await.status, 200);
    let fresh = ec_key();
    let token = signed_by(
        &fresh,
        json!({"alg": "ES256", "kid": "new"}),
        claims(json!({})),
    );
    issuer.publish(&[issuer.rsa_published("RS256"), ec_published(&fresh, "new")]);
    // Just asked: not again so soon.
    assert_eq!(desk.post(&token, SAMPLE).await.status, 401);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
    desk.clock.pass(Duration::from_secs(30));
    assert_eq!(desk.post(&token, SAMPLE).await.status, 200);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    for made_up in 0..20 {
        let header = json!({"alg": "ES256", "kid": format!("x{made_up}")});
        let token = signed_by(&fresh, header, claims(json!({})));
        assert_eq!(desk.post(&token, SAMPLE).await.status, 401);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    // A key that was taken back stops to count once the list is old.
    issuer.publish(&[issuer.rsa_published("RS256")]);
    desk.clock.pass(Duration::from_secs(15 * 60 + 1));
    let later = signed_by(
        &fresh,
        json!({"alg": "ES256", "kid": "new"}),
        claims(json!({"exp": now() + 9_000})),
    );
    assert_eq!(desk.post(&later, SAMPLE).await.status, 401);
}

#[tokio::test]
async fn an_issuer_that_is_away_stops_nobody_whose_key_is_known_and_refuses_nobody_for_good() {
    let issuer = Issuer::start();
    let good = issuer.published.lock().unwrap().clone();
    let broken = |status, body: &str| *issuer.published.lock().unwrap() = (status, body.to_owned());
    let desk = issuer.desk();
    for (status, body) in [
        (500, good.1.as_str()),
        (200, "<html>"),
        (200, "{\"keys\":[]}"),
        (302, ""),
    ] {
        broken(status, body);
        let said = desk.post(&issuer.good(), SAMPLE).await;
        assert_eq!(said.status, 503, "{status} {body}");
        assert!(said.head.contains("retry-after: 30"));
        desk.clock.pass(Duration::from_secs(30));
    }
    *issuer.published.lock().unwrap() = good;
    let long = issuer.rs256(
        json!({"alg": "RS256", "kid": "r"}),
        claims(json!({"exp": now() + 200_000})),
    );
    assert_eq!(desk.post(&long, SAMPLE).await.status, 200);
    broken(500, "");
    desk.clock.pass(Duration::from_secs(23 * 3600));
    assert_eq!(desk.post(&long, SAMPLE).await.status, 200);
    desk.clock.pass(Duration::from_secs(3600 + 60));
    assert_eq!(desk.post(&long, SAMPLE).await.status, 503);
    assert_eq!(desk.service.received.denied.load(Ordering::Relaxed), 0);
}
