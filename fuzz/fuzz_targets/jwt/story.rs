//! How somebody makes a token that should not be let in out of one that is, and what may come of it.

use arbitrary::Arbitrary;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use crate::issuer::{ISSUER, Issuer, SHARED, Token};
use crate::{AUDIENCE, GRACE, NOW};

#[derive(Arbitrary, Debug)]
pub struct Story {
    /// Which of the good tokens it begins with.
    good: u8,
    edits: Vec<Edit>,
    signer: Signer,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Part {
    Header,
    Claims,
    Signature,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Flip(Part, u16, u8),
    Cut(Part, u16),
    Insert(Part, u16, u8),
    /// The part of another good token.
    Swap(Part, u8),
    Algorithm(u8),
    Key(u8),
    /// A header that names a key of the sender's own choice, or one that must be understood.
    Lure(u8),
    Claim(u8, Small),
    NoClaim(u8),
}

/// A value of a claim.
#[derive(Arbitrary, Debug)]
enum Small {
    Null,
    Bool(bool),
    /// Seconds from now.
    Soon(i16),
    Whole(i64),
    Float(f64),
    Good(u8),
    Goods(Vec<u8>),
}

/// Who signs in the end.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Signer {
    /// Nobody: the signature is what the edits left.
    Kept,
    None,
    /// The issuer's key "d".
    Ours,
    Stranger,
    /// An HMAC under what is public.
    Public,
    /// An HMAC under the secret among the published keys.
    Shared,
}

const ALGORITHMS: [&str; 9] = [
    "EdDSA", "none", "HS256", "RS256", "ES256", "PS256", "RS512", "eddsa", "",
];
const KEYS: [&str; 6] = ["d", "r", "e", "s", "", "unknown"];
const CLAIMS: [&str; 5] = ["exp", "nbf", "iss", "aud", "sub"];
const WORDS: [&str; 5] = [ISSUER, AUDIENCE, "", "https://idp.example.org/", "orce"];

/// The end of a story.
pub struct Told {
    pub token: String,
    /// It was signed by the issuer, and its claims fit.
    pub may_be_admitted: bool,
    /// That, its header is one that a good token has, and its claims are JSON to the last byte, with times that some clock shows.
    pub must_be_admitted: bool,
}

impl Story {
    pub fn tell(&self, issuer: &Issuer) -> Told {
        let good = |at: u8| &issuer.signed[usize::from(at) % issuer.signed.len()];
        let stranger = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("a key");
        let mut token = good(self.good).clone();
        for edit in self.edits.iter().take(8) {
            match edit {
                Edit::Flip(part, at, bit) => {
                    let bytes = token.part(*part);
                    let at = usize::from(*at) % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
                Edit::Cut(part, length) => token.part(*part).truncate(usize::from(*length)),
                Edit::Insert(part, at, byte) => {
                    let bytes = token.part(*part);
                    bytes.insert(usize::from(*at) % (bytes.len() + 1), *byte);
                }
                Edit::Swap(part, other) => {
                    let mut other = good(*other).clone();
                    std::mem::swap(token.part(*part), other.part(*part));
                }
                Edit::Algorithm(which) => {
                    token.set(Part::Header, "alg", pick(&ALGORITHMS, *which).into());
                }
                Edit::Key(which) => token.set(Part::Header, "kid", pick(&KEYS, *which).into()),
                Edit::Lure(which) => {
                    let (name, value) = lure(*which, &stranger);
                    token.set(Part::Header, name, value);
                }
                Edit::Claim(which, small) => {
                    token.set(Part::Claims, pick(&CLAIMS, *which), small.value());
                }
                Edit::NoClaim(which) => {
                    token.change(Part::Claims, |map| {
                        map.remove(pick(&CLAIMS, *which));
                    });
                }
            }
        }
        let message = token.message();
        let mac = |secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        };
        match self.signer {
            Signer::Kept => {}
            Signer::None => token.signature.clear(),
            Signer::Ours => token.signature = issuer.by_ours(&message),
            Signer::Stranger => {
                token.signature = stranger.sign(message.as_bytes()).as_ref().to_vec();
            }
            Signer::Public => token.signature = mac(issuer.public()),
            Signer::Shared => token.signature = mac(SHARED),
        }
        let text = token.text();
        // An honest signature may come about in other ways than by `Ours`: edits may undo each other.
        let signed = token.signature == issuer.by_ours(&message) || issuer.has_signed(&text);
        let raw = |edit: &Edit| {
            matches!(
                edit,
                Edit::Flip(Part::Claims, ..)
                    | Edit::Cut(Part::Claims, _)
                    | Edit::Insert(Part::Claims, ..)
            )
        };
        let plain = token.header == good(2).header
            && self.signer == Signer::Ours
            && !self.edits.iter().any(raw)
            && is_near(&token.claims);
        Told {
            may_be_admitted: issuer.has_signed(&text) || (signed && fits(&token.claims)),
            must_be_admitted: plain && fits(&token.claims),
            token: text,
        }
    }
}

impl Token {
    fn part(&mut self, part: Part) -> &mut Vec<u8> {
        match part {
            Part::Header => &mut self.header,
            Part::Claims => &mut self.claims,
            Part::Signature => &mut self.signature,
        }
    }

    fn set(&mut self, part: Part, name: &str, value: Value) {
        self.change(part, |map| {
            map.insert(name.to_owned(), value);
        });
    }

    /// Changes a part as JSON; one that earlier edits broke stays as it is.
    fn change(&mut self, part: Part, change: impl FnOnce(&mut Map<String, Value>)) {
        let bytes = self.part(part);
        if let Ok(mut map) = serde_json::from_slice(bytes) {
            change(&mut map);
            *bytes = Value::Object(map).to_string().into_bytes();
        }
    }
}

impl Small {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Soon(seconds) => json!(NOW + i64::from(*seconds)),
            Self::Whole(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Good(which) => json!(pick(&WORDS, *which)),
            Self::Goods(all) => all
                .iter()
                .take(4)
                .map(|which| pick(&WORDS, *which))
                .collect(),
        }
    }
}

fn pick<'a>(of: &[&'a str], which: u8) -> &'a str {
    of[usize::from(which) % of.len()]
}

fn lure(which: u8, stranger: &Ed25519KeyPair) -> (&'static str, Value) {
    let public = BASE64.encode(stranger.public_key());
    match which % 4 {
        0 => ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": public})),
        1 => ("jku", json!("https://evil.example.org/jwks")),
        2 => ("x5c", json!([public])),
        _ => ("crit", json!(["exp"])),
    }
}

/// What the claims of a token must say, read without the library that the product reads them with.
fn fits(claims: &[u8]) -> bool {
    // The product passes over claims that it does not know, whatever bytes they hold.
    let claims = String::from_utf8_lossy(claims);
    let Ok(Value::Object(claims)) = serde_json::from_str(&claims) else {
        return false;
    };
    let holds = |name: &str, wanted: &str| match claims.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(all)) => all.iter().any(|one| one == wanted),
        _ => false,
    };
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    let (now, grace) = (NOW as f64, GRACE as f64);
    let plain = |name: &str| {
        claims
            .get(name)
            .is_none_or(|value| value.is_string() || value.is_null())
    };
    holds("iss", ISSUER)
        && holds("aud", AUDIENCE)
        && number("exp").is_some_and(|exp| now <= exp + grace)
        && (claims.get("nbf").is_none_or(Value::is_null)
            || number("nbf").is_some_and(|nbf| nbf <= now + grace))
        && plain("sub")
}

/// Whether the times in the claims lie within a century or so: beyond, a token may be refused.
fn is_near(claims: &[u8]) -> bool {
    let claims: Value = serde_json::from_slice(claims).unwrap_or_default();
    let near = |name: &str| {
        claims[name]
            .as_f64()
            .is_none_or(|time| (0.0..1e10).contains(&time))
    };
    near("exp") && near("nbf")
}
