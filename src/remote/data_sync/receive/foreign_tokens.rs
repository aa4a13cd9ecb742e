//! Tokens that somebody else issues: JWTs, verified with the keys that the issuer publishes at the configured address.
//!
//! The token decides nothing about how it is verified. Keys come from `jwks_url` alone (`jku`, `x5u`, `x5c` and `jwk` in a
//! token are not looked at), the algorithm is the key's, and issuer, audience and expiry must be there and fit (reliability §4.4).

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::super::http::Http;
use super::Denied;
use super::keys;
use crate::model::{Error, Result};
use crate::remote::contactlist::Surroundings;

/// No token is longer; a header block has 16 KiB.
const TOKEN_MAX: usize = 12 * 1024;
/// Keys of an issuer that are looked at.
const KEYS_MAX: usize = 64;
/// The longest list of keys.
const KEYS_BYTES_MAX: u64 = 256 * 1024;
/// An issuer has so long to show its keys: requests wait for them, and a sender does not wait for ever.
pub(super) const KEYS_TIMEOUT: Duration = Duration::from_secs(5);
/// After this keys are fetched again, so that one that was taken back stops to count.
const KEYS_FRESH: Duration = Duration::from_secs(15 * 60);
/// An issuer that can't be reached does not stop the feed for as long as this.
const KEYS_STALE: Duration = Duration::from_secs(24 * 3600);
/// A key that is not known makes us ask at most this often: made-up ids must not turn into requests.
const REFRESH_MIN: Duration = Duration::from_secs(30);

/// Where tokens come from and whom they must be for.
pub(super) struct ForeignTokens {
    issuer: String,
    audience: String,
    grace: u64,
    http: Http,
    known: Mutex<Known>,
    around: Arc<dyn Surroundings>,
}

#[derive(Default)]
struct Known {
    keys: Arc<Vec<Key>>,
    /// When they came, and when they were last asked for, on the monotonic clock.
    fetched: Option<Duration>,
    asked: Option<Duration>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What a token must say. `iss` and `aud` are looked at by jsonwebtoken.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    sub: Option<String>,
}

#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl ForeignTokens {
    pub(super) fn new(
        issuer: String,
        audience: String,
        grace: Duration,
        http: Http,
        around: Arc<dyn Surroundings>,
    ) -> Self {
        keys::install();
        Self {
            issuer,
            audience,
            grace: grace.as_secs(),
            http,
            known: Mutex::default(),
            around,
        }
    }

    /// Who a token is for (its `sub`), while it is valid.
    pub(super) async fn verify(&self, token: &str) -> Result<String, Denied> {
        if token.len() > TOKEN_MAX {
            return Err(Denied::Token("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Denied::Token("no JWT"))?;
        if header.crit.is_some() {
            return Err(Denied::Token("crit"));
        }
        let mut keys = self.keys(None).await?;
        if !keys.iter().any(|key| key.may_be(&header)) {
            keys = self.keys(header.kid.as_deref()).await?;
        }
        let mut why = Denied::Token("kid");
        for key in keys.iter().filter(|key| key.may_be(&header)) {
            if key.algorithm != header.alg {
                why = Denied::Token("alg");
                continue;
            }
            match self.check(token, key) {
                Ok(subject) => return Ok(subject),
                Err(denied) => why = denied,
            }
        }
        Err(why)
    }

    fn check(&self, token: &str, key: &Key) -> Result<String, Denied> {
        use jsonwebtoken::errors::ErrorKind;
        let mut rules = Validation::new(key.algorithm);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Time comes from our own port, below.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &rules)
            .map_err(|error| {
                Denied::Token(match error.kind() {
                    ErrorKind::InvalidIssuer => "iss",
                    ErrorKind::InvalidAudience => "aud",
                    ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
                    ErrorKind::InvalidSignature => "signature",
                    ErrorKind::InvalidAlgorithm => "alg",
                    _ => "malformed",
                })
            })?
            .claims;
        // Whole seconds since 1970 are exact in a float until the year 200 million.
        #[allow(clippy::cast_precision_loss)]
        let (now, grace) = (self.around.now().timestamp() as f64, self.grace as f64);
        if !claims.exp.is_finite() || now > claims.exp + grace {
            return Err(Denied::Token("exp"));
        }
        if claims.nbf.is_some_and(|nbf| now + grace < nbf) {
            return Err(Denied::Token("nbf"));
        }
        Ok(claims.sub.unwrap_or_default())
    }

    /// The issuer's keys, fetched where they are old, or where one is `missing` that may be new.
    ///
    /// One request fetches, the others wait for it.
    async fn keys(&self, missing: Option<&str>) -> Result<Arc<Vec<Key>>, Denied> {
        let mut known = self.known.lock().await;
        let now = self.around.monotonic();
        let age = known.fetched.map(|at| now.saturating_sub(at));
        let fits = |id: &str| known.keys.iter().any(|key| key.id.as_deref() == Some(id));
        let wanted = match (missing, age) {
            // It may have come while this request waited.
            (Some(id), Some(_)) => !fits(id),
            (None, Some(age)) => age > KEYS_FRESH,
            (_, None) => true,
        };
        let rested = known
            .asked
            .is_none_or(|at| now.saturating_sub(at) >= REFRESH_MIN);
        if wanted && rested {
            let fetched = self.fetch().await;
            // After the wait, so that a slow issuer is not asked by each of those that waited, one after the other.
            known.asked = Some(self.around.monotonic());
            match fetched {
                Ok(keys) => {
                    known.keys = Arc::new(keys);
                    known.fetched = Some(now);
                }
                Err(error) => tracing::warn!(
                    code = error.code(),
                    "the keys of the tokens' issuer can't be had: {}",
                    error.message()
                ),
            }
        }
        match known.fetched {
            Some(at) if now.saturating_sub(at) <= KEYS_STALE => Ok(Arc::clone(&known.keys)),
            _ => Err(Denied::NoKeys),
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>> {
        let answer = self.http.get("jwks", KEYS_BYTES_MAX).await?;
        let wrong = |what: &str| {
            Error::unreachable(
                "E-JWKS",
                format!(
                    "{}: the answer {what}; look at tokens.jwks_url",
                    self.http.host()
                ),
            )
        };
        if answer.status != 200 {
            return Err(wrong(&format!("has status {}", answer.status)));
        }
        let published: Published<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| wrong("is no list of keys"))?;
        let keys: Vec<Key> = published
            .keys
            .iter()
            .take(KEYS_MAX)
            .filter_map(|raw| Key::read(raw.get()))
            .collect();
        if keys.is_empty() {
            return Err(wrong("holds no key that can verify a token"));
        }
        Ok(keys)
    }
}

impl Key {
    /// A key that can't be used harms no other.
    fn read(raw: &str) -> Option<Self> {
        let jwk: Jwk = serde_json::from_str(raw).ok()?;
        Some(Self {
            id: jwk.common.key_id.clone(),
            algorithm: keys::algorithm_of(&jwk)?,
            key: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }

    /// Whether a token with this header may be signed by it: the same id, or none given.
    fn may_be(&self, header: &Header) -> bool {
        match &header.kid {
            Some(id) => self.id.as_ref() == Some(id),
            None => true,
        }
    }
}
