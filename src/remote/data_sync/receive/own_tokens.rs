//! The built-in OAuth2 token endpoint: client credentials in, a bearer token out, and back to the client that it stands for.
//!
//! Nothing is remembered. A token is its own expiry under a message authentication code whose key is made of the bridge's key, the
//! client's id and its secret: a restart (or a second process) accepts what was given out before, so that a running job is not
//! stopped by an upgrade, and a changed secret ends all tokens of its client at once. The price is that a single token can't be taken
//! back; it lives an hour. Source of the protocol: RFC 6749 §2.3.1, §4.4, §5; what ORCE sends is not documented, so that every usual
//! form is taken (`orce.md` §8).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::model::Vault;
use crate::remote::contactlist::Surroundings;

use super::Denied;

/// Beyond it a scope is not echoed; nothing here looks at scopes.
const SCOPE_MAX: usize = 512;

/// Expiry (seconds since 1970, 8 bytes), randomness (16), authentication code (32).
const TOKEN_LENGTH: usize = 56;

/// Standard base64, with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What tokens are made with; a key of the bridge's own, and not the state key itself.
#[derive(Clone)]
pub struct TokenKey(Zeroizing<[u8; 32]>);

impl TokenKey {
    /// Derives it from the state's key, so that it is the same after a restart.
    pub fn of(vault: &Vault) -> Self {
        let mut hasher = vault.hasher();
        hasher.update(b"contactbridge 2026 data-sync tokens");
        Self(Zeroizing::new(*hasher.finalize().as_bytes()))
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(hidden)")
    }
}

struct Client {
    id: String,
    /// What its secret hashes to.
    secret: blake3::Hash,
    key: Zeroizing<[u8; 32]>,
}

/// Clients and the tokens that they get.
pub(super) struct OwnTokens {
    clients: Vec<Client>,
    key: TokenKey,
    lifetime: u64,
    grace: u64,
    around: Arc<dyn Surroundings>,
}

/// A request for a token, as it came.
pub(super) struct TokenRequest<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// What stands behind the question mark.
    pub query: &'a str,
    /// The form.
    pub body: &'a [u8],
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// A token, valid for so many seconds; the scope that was asked for.
    Given {
        token: String,
        expires_in: u64,
        scope: Option<String>,
    },
    /// Unknown client or wrong secret, or neither given.
    BadClient,
    /// Something else than `client_credentials`; the word for the answer.
    BadRequest(&'static str),
}

impl OwnTokens {
    pub(super) fn new(
        clients: &[(String, Secret)],
        key: TokenKey,
        lifetime: std::time::Duration,
        grace: std::time::Duration,
        around: Arc<dyn Surroundings>,
    ) -> Self {
        let clients = clients
            .iter()
            .map(|(id, secret)| Client {
                id: id.clone(),
                secret: blake3::keyed_hash(&key.0, secret.expose().as_bytes()),
                key: client_key(&key, id, secret.expose()),
            })
            .collect();
        Self {
            clients,
            key,
            lifetime: lifetime.as_secs(),
            grace: grace.as_secs(),
            around,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.around.now().timestamp()).unwrap_or(0)
    }

    /// Answers a request for a token.
    pub(super) fn grant(&self, request: &TokenRequest<'_>) -> Grant {
        let form: Vec<(String, String)> = form_urlencoded::parse(request.body)
            .chain(form_urlencoded::parse(request.query.as_bytes()))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let field = |wanted: &str| {
            let found = form.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let client = match request.authorization {
            Some(header) => basic(header)
                .into_iter()
                .find_map(|(id, secret)| self.client(&id, &secret)),
            None => field("client_id")
                .zip(field("client_secret"))
                .and_then(|(id, secret)| self.client(id, secret)),
        };
        let Some(client) = client else {
            return Grant::BadClient;
        };
        match field("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Grant::BadRequest("unsupported_grant_type"),
            None => return Grant::BadRequest("invalid_request"),
        }
        let printable = |scope: &&str| {
            !scope.is_empty()
                && scope.len() <= SCOPE_MAX
                && scope.bytes().all(|b| matches!(b, b' '..=b'~'))
        };
        Grant::Given {
            token: self.token(client),
            expires_in: self.lifetime,
            scope: field("scope").filter(printable).map(str::to_owned),
        }
    }

    /// Finds a client by id and secret. Every secret is compared by its hash, all of it, also when the id is unknown.
    fn client(&self, id: &str, secret: &str) -> Option<&Client> {
        // `Hash` compares in constant time, whatever the lengths of what was hashed.
        let given = blake3::keyed_hash(&self.key.0, secret.as_bytes());
        let mut found = None;
        for client in &self.clients {
            let fits = client.secret == given;
            if client.id == id && fits {
                found = Some(client);
            }
        }
        found
    }

    fn token(&self, client: &Client) -> String {
        let mut bytes = [0; TOKEN_LENGTH];
        let expiry = self.now().saturating_add(self.lifetime);
        bytes[..8].copy_from_slice(&expiry.to_be_bytes());
        self.around.random(&mut bytes[8..24]);
        let code = blake3::keyed_hash(&client.key, &bytes[..24]);
        bytes[24..].copy_from_slice(code.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The client that a token was given to, while it is valid.
    pub(super) fn verify(&self, token: &str) -> Result<&str, Denied> {
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| <[u8; TOKEN_LENGTH]>::try_from(bytes).ok())
            .ok_or(Denied::Token("not one of ours"))?;
        let mut code = [0; 32];
        code.copy_from_slice(&bytes[24..]);
        let code = blake3::Hash::from_bytes(code);
        let client = self
            .clients
            .iter()
            .find(|client| blake3::keyed_hash(&client.key, &bytes[..24]) == code)
            .ok_or(Denied::Token("not one of ours"))?;
        let mut expiry = [0; 8];
        expiry.copy_from_slice(&bytes[..8]);
        if self.now() > u64::from_be_bytes(expiry).saturating_add(self.grace) {
            return Err(Denied::Token("expired"));
        }
        Ok(&client.id)
    }
}

fn client_key(key: &TokenKey, id: &str, secret: &str) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(b"client");
    hasher.update(&(id.len() as u64).to_le_bytes());
    hasher.update(id.as_bytes());
    hasher.update(secret.as_bytes());
    Zeroizing::new(*hasher.finalize().as_bytes())
}

/// Id and secret of a Basic header: as they stand, and percent-decoded, since both are sent (RFC 6749 §2.3.1 asks for the latter).
fn basic(header: &str) -> Vec<(String, String)> {
    let pair = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, text)| LENIENT.decode(text.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else {
        return Vec::new();
    };
    let decoded = |text: &str| {
        // `=` and `&` part a form; here they are what they are.
        let text = text.replace('=', "%3D").replace('&', "%26");
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        pairs
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    };
    vec![
        (id.to_owned(), secret.to_owned()),
        (decoded(id), decoded(secret)),
    ]
}

/// The header that sends id and secret (RFC 6749 §2.3.1).
pub(in crate::remote::data_sync) fn basic_header(id: &str, secret: &str) -> Zeroizing<String> {
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::Clock;
    use super::*;

    const SECRETS: [(&str, &str); 2] = [("orce", "s3cret: +%&=/ü"), ("other", "s3cret: +%&=/ü")];

    fn tokens(clock: &Arc<Clock>, secrets: &[(&str, &str)], key: u8) -> OwnTokens {
        let clients: Vec<_> = secrets
            .iter()
            .map(|(id, secret)| ((*id).to_owned(), Secret::new(*secret)))
            .collect();
        OwnTokens::new(
            &clients,
            TokenKey::of(&Vault::new(&[key; 32])),
            Duration::from_secs(3600),
            Duration::from_secs(60),
            Arc::clone(clock) as _,
        )
    }

    fn ask(tokens: &OwnTokens, authorization: Option<&str>, query: &str, body: &str) -> Grant {
        tokens.grant(&TokenRequest {
            authorization,
            query,
            body: body.as_bytes(),
        })
    }

    fn given(grant: Grant) -> String {
        match grant {
            Grant::Given { token, .. } => token,
            other => panic!("{other:?}"),
        }
    }

    fn encoded(text: &str) -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    #[test]
    fn every_usual_form_of_a_request_is_granted() {
        let clock = Clock::new();
        let tokens = tokens(&clock, &SECRETS, 1);
        let (id, secret) = SECRETS[0];
        let raw = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let unpadded = raw.trim_end_matches('=').replace("Basic", "bAsIc");
        let standard = basic_header(id, secret);
        let form = "grant_type=client_credentials";
        let body = format!("{form}&client_id={id}&client_secret={}", encoded(secret));
        for (header, query, body) in [
            (Some(raw.as_str()), "", form),
            (Some(unpadded.as_str()), "", form),
            (Some(standard.as_str()), "", form),
            (Some(standard.as_str()), form, ""),
            (None, "", body.as_str()),
            (None, body.as_str(), ""),
        ] {
            let token = given(ask(&tokens, header, query, body));
            assert_eq!(tokens.verify(&token), Ok("orce"));
        }
        let scoped = ask(&tokens, Some(&raw), "", &format!("{form}&scope=a%20b"));
        assert!(
            matches!(&scoped, Grant::Given { expires_in: 3600, scope: Some(scope), .. } if scope == "a b")
        );
    }

    #[test]
    fn whoever_is_not_a_client_gets_nothing() {
        let clock = Clock::new();
        let tokens = tokens(&clock, &SECRETS, 1);
        let form = "grant_type=client_credentials";
        let header = |id: &str, secret: &str| basic_header(id, secret).to_string();
        for (authorization, body) in [
            (None, form.to_owned()),
            (None, format!("{form}&client_id=orce")),
            (None, format!("{form}&client_id=orce&client_secret=")),
            (Some(header("orce", "wrong")), form.to_owned()),
            (Some(header("nobody", SECRETS[0].1)), form.to_owned()),
            (Some(header("", "")), form.to_owned()),
            (Some("Basic !!!".to_owned()), form.to_owned()),
            (Some("Bearer abc".to_owned()), form.to_owned()),
        ] {
            let grant = ask(&tokens, authorization.as_deref(), "", &body);
            assert_eq!(grant, Grant::BadClient, "{authorization:?} {body}");
        }
        let good = header("orce", SECRETS[0].1);
        for (body, word) in [
            ("", "invalid_request"),
            ("grant_type=password", "unsupported_grant_type"),
        ] {
            assert_eq!(ask(&tokens, Some(&good), "", body), Grant::BadRequest(word));
        }
    }

    #[test]
    fn a_token_outlives_a_restart_but_not_its_time_nor_its_secret() {
        let clock = Clock::new();
        let form = "grant_type=client_credentials";
        let header = basic_header("orce", SECRETS[0].1);
        let token = given(ask(&tokens(&clock, &SECRETS, 1), Some(&header), "", form));
        let other = given(ask(
            &tokens(&clock, &SECRETS, 1),
            Some(&basic_header("other", SECRETS[1].1)),
            "",
            form,
        ));
        let again = tokens(&clock, &SECRETS, 1);
        assert_eq!(again.verify(&token), Ok("orce"));
        assert_eq!(again.verify(&other), Ok("other"));
        let ours = Err(Denied::Token("not one of ours"));
        assert_eq!(tokens(&clock, &SECRETS, 2).verify(&token), ours);
        let changed = [("orce", "new"), SECRETS[1]];
        assert_eq!(tokens(&clock, &changed, 1).verify(&token), ours);
        assert_eq!(tokens(&clock, &changed, 1).verify(&other), Ok("other"));
        // Every bit of it counts, the expiry's too.
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(again.verify(&URL_SAFE_NO_PAD.encode(damaged)), ours, "{at}");
        }
        for text in [
            "",
            "abc",
            &token[1..],
            &format!("{token}A"),
            &"A".repeat(1_000),
        ] {
            assert_eq!(again.verify(text), ours);
        }
        clock.pass(Duration::from_secs(3660));
        assert_eq!(again.verify(&token), Ok("orce"));
        clock.pass(Duration::from_secs(1));
        assert_eq!(again.verify(&token), Err(Denied::Token("expired")));
    }
}
