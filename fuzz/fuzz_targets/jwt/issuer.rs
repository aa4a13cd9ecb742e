//! An issuer of tokens with a key of each kind, and what it has signed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use crate::{AUDIENCE, NOW};

pub const ISSUER: &str = "https://idp.example.org";

/// A token, taken apart and decoded.
#[derive(Clone, Debug)]
pub struct Token {
    pub header: Vec<u8>,
    pub claims: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Token {
    /// What the signature is made of.
    pub fn message(&self) -> String {
        format!(
            "{}.{}",
            BASE64.encode(&self.header),
            BASE64.encode(&self.claims)
        )
    }

    pub fn text(&self) -> String {
        format!("{}.{}", self.message(), BASE64.encode(&self.signature))
    }
}

pub struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    /// Good tokens, one of each key.
    pub signed: Vec<Token>,
}

impl Issuer {
    pub fn new() -> Self {
        let pem = include_str!("../../../tests/data/data_sync/test_issuer_rsa.pem");
        let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(lines).expect("the test key is PEM");
        let random = SystemRandom::new();
        let way = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(way, &random).expect("a key");
        let mut issuer = Self {
            rsa: RsaKeyPair::from_pkcs8(&der).expect("the test key is one of RSA"),
            ec: EcdsaKeyPair::from_pkcs8(way, ec.as_ref(), &random).expect("a key"),
            ed: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"),
            signed: Vec::new(),
        };
        for header in [
            json!({"alg": "RS256", "kid": "r"}),
            json!({"alg": "ES256", "kid": "e"}),
            json!({"alg": "EdDSA", "kid": "d"}),
        ] {
            let token = issuer.sign(&header);
            issuer.signed.push(token);
        }
        issuer
    }

    /// The keys as they stand at the issuer's address; a secret among them must never verify anything.
    pub fn published(&self) -> String {
        let rsa = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "alg": "RS256", "kid": "r", "use": "sig", "n": BASE64.encode(&rsa.n), "e": BASE64.encode(&rsa.e)},
            {"kty": "EC", "crv": "P-256", "kid": "e", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
            {"kty": "OKP", "crv": "Ed25519", "kid": "d", "x": BASE64.encode(self.ed.public_key())},
            {"kty": "oct", "kid": "s", "alg": "HS256", "k": BASE64.encode(SHARED)},
        ]})
        .to_string()
    }

    fn sign(&self, header: &Value) -> Token {
        let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1800, "sub": "orce"});
        let mut token = Token {
            header: header.to_string().into_bytes(),
            claims: claims.to_string().into_bytes(),
            signature: Vec::new(),
        };
        let message = token.message();
        let random = SystemRandom::new();
        token.signature = match header["alg"].as_str() {
            Some("RS256") => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa
                    .sign(
                        &RSA_PKCS1_SHA256,
                        &random,
                        message.as_bytes(),
                        &mut signature,
                    )
                    .expect("signed");
                signature
            }
            Some("ES256") => {
                let signature = self.ec.sign(&random, message.as_bytes());
                signature.expect("signed").as_ref().to_vec()
            }
            _ => self.by_ours(&message),
        };
        token
    }

    /// A signature of the key "d", which is the same for the same text.
    pub fn by_ours(&self, message: &str) -> Vec<u8> {
        self.ed.sign(message.as_bytes()).as_ref().to_vec()
    }

    /// What is public of the key "d": who mistakes it for a shared secret is fooled.
    pub fn public(&self) -> &[u8] {
        self.ed.public_key().as_ref()
    }

    /// Whether the token says what one of the good ones says, under its signature.
    pub fn has_signed(&self, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else {
            return false;
        };
        let signature = BASE64.decode(signature).ok();
        self.signed
            .iter()
            .any(|good| good.message() == message && Some(&good.signature) == signature.as_ref())
    }
}

/// The secret that stands among the published keys.
pub const SHARED: &[u8] = b"a secret among the published keys";
