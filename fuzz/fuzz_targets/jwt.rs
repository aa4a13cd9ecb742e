//! Any bytes as the token of whoever posts Data Sync messages: nobody gets in with one that was not given out or signed.
//!
//! The files that verify are private to the receiver, so they stand here a second time, under the module names that they expect; in the place
//! of the HTTP client is one that hands out the issuer's keys at once. The first byte tells what an input is: `r` a bearer token of an issuer as
//! it stands, `o` one of our own, `g` a request for one (header, query and form, each on a line), anything else a story of [`Story`].
#![no_main]

#[path = "jwt/issuer.rs"]
mod issuer;
#[path = "jwt/story.rs"]
mod story;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, Utc};
use contactbridge::{config, model};
use contactbridge_fuzz::bounded;
use futures::future::BoxFuture;
use libfuzzer_sys::fuzz_target;

use issuer::{ISSUER, Issuer};
use remote::contactlist::Surroundings;
use remote::data_sync::receive::Gate;
use story::Story;

#[path = "."]
mod remote {
    pub use contactbridge::remote::contactlist;

    #[path = "."]
    pub mod data_sync {
        /// In the place of the product's HTTP client, as far as the keys of an issuer need one.
        pub mod http {
            pub struct Http(pub String);

            pub struct Answer {
                pub status: u16,
                pub body: Vec<u8>,
            }

            impl Http {
                pub async fn get(&self, _: &str, _: u64) -> crate::model::Result<Answer> {
                    Ok(Answer {
                        status: 200,
                        body: self.0.clone().into_bytes(),
                    })
                }

                pub fn host(&self) -> &str {
                    "idp.example.org"
                }
            }
        }

        // Not everything of these files is called from here.
        #[allow(dead_code)]
        #[path = "."]
        pub mod receive {
            #[path = "../../src/remote/data_sync/receive/foreign_tokens.rs"]
            mod foreign_tokens;
            #[path = "../../src/remote/data_sync/receive/keys.rs"]
            mod keys;
            #[path = "../../src/remote/data_sync/receive/own_tokens.rs"]
            mod own_tokens;

            use std::sync::Arc;
            use std::time::Duration;

            use futures::FutureExt as _;

            use super::http::Http;
            use crate::config::Secret;
            use crate::model::Vault;
            use crate::remote::contactlist::Surroundings;
            use foreign_tokens::ForeignTokens;
            use own_tokens::{Grant, OwnTokens, TokenKey, TokenRequest};

            /// As the receiver has it.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Denied {
                Missing,
                Token(&'static str),
                NoKeys,
            }

            /// Both ways to be let in.
            pub struct Gate {
                own: OwnTokens,
                foreign: ForeignTokens,
            }

            impl Gate {
                pub fn new(
                    (issuer, audience): (&str, &str),
                    keys: String,
                    clients: &[(&str, &str)],
                    grace: Duration,
                    around: &Arc<dyn Surroundings>,
                ) -> Self {
                    let clients: Vec<_> = clients
                        .iter()
                        .map(|(id, secret)| ((*id).to_owned(), Secret::new(*secret)))
                        .collect();
                    Self {
                        own: OwnTokens::new(
                            &clients,
                            TokenKey::of(&Vault::new(&[5; 32])),
                            Duration::from_secs(3600),
                            grace,
                            Arc::clone(around),
                        ),
                        foreign: ForeignTokens::new(
                            issuer.to_owned(),
                            audience.to_owned(),
                            grace,
                            Http(keys),
                            Arc::clone(around),
                        ),
                    }
                }

                /// Whether a token of the issuer is accepted.
                pub fn admits(&self, token: &str) -> bool {
                    let verified = self.foreign.verify(token).now_or_never();
                    verified.expect("no issuer is waited for").is_ok()
                }

                /// The client that a token of our own stands for.
                pub fn client(&self, token: &str) -> Option<String> {
                    self.own.verify(token).ok().map(str::to_owned)
                }

                /// The token that a request is given, if it is given one.
                pub fn grant(
                    &self,
                    header: Option<&str>,
                    query: &str,
                    body: &[u8],
                ) -> Option<String> {
                    let request = TokenRequest {
                        authorization: header,
                        query,
                        body,
                    };
                    match self.own.grant(&request) {
                        Grant::Given { token, .. } => Some(token),
                        Grant::BadClient | Grant::BadRequest(_) => None,
                    }
                }
            }
        }
    }
}

const AUDIENCE: &str = "contactbridge";
/// Half an hour before the tokens that the seeds hold expire.
const NOW: i64 = 1_800_000_000;
const GRACE: u64 = 60;
const CLIENT: (&str, &str) = ("orce", "s3cret: +%&=/ü that no input holds");

/// A clock that stands, and dice that always show the same.
struct Still;

impl Surroundings for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).expect("a time")
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(4);
    }

    fn pause(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Known {
    gate: Gate,
    issuer: Issuer,
    /// Our own token, decoded.
    own: Vec<u8>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let issuer = Issuer::new();
    let around: Arc<dyn Surroundings> = Arc::new(Still);
    let grace = Duration::from_secs(GRACE);
    let gate = Gate::new(
        (ISSUER, AUDIENCE),
        issuer.published(),
        &[CLIENT],
        grace,
        &around,
    );
    for token in &issuer.signed {
        assert!(gate.admits(&token.text()), "a good token is let in");
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", CLIENT.0)
        .append_pair("client_secret", CLIENT.1)
        .finish();
    let own = gate
        .grant(None, "", form.as_bytes())
        .expect("the client gets a token");
    assert_eq!(gate.client(&own).as_deref(), Some(CLIENT.0));
    Known {
        gate,
        issuer,
        own: BASE64.decode(own).expect("ours are base64"),
    }
});

fuzz_target!(|input: &[u8]| {
    let known = LazyLock::force(&KNOWN);
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match (kind, std::str::from_utf8(rest)) {
        (b'r', Ok(token)) => {
            let admitted = bounded(input, || known.gate.admits(token));
            assert!(!admitted || known.issuer.has_signed(token), "{token}");
        }
        (b'o', Ok(token)) => {
            if let Some(client) = bounded(input, || known.gate.client(token)) {
                assert_eq!(client, CLIENT.0);
                assert_eq!(BASE64.decode(token).as_ref(), Ok(&known.own), "{token}");
            }
        }
        (b'g', Ok(request)) => {
            let mut lines = request.splitn(3, '\n');
            let header = lines.next().filter(|header| !header.is_empty());
            let query = lines.next().unwrap_or_default();
            let body = lines.next().unwrap_or_default();
            let given = bounded(input, || known.gate.grant(header, query, body.as_bytes()));
            assert_eq!(given, None, "no input holds the secret");
        }
        _ => {
            let Ok(story) = Story::arbitrary(&mut Unstructured::new(rest)) else {
                return;
            };
            let told = story.tell(&known.issuer);
            let admitted = bounded(told.token.as_bytes(), || known.gate.admits(&told.token));
            if admitted {
                assert!(told.may_be_admitted, "{story:?} {}", told.token);
            } else {
                assert!(!told.must_be_admitted, "{story:?} {}", told.token);
            }
        }
    }
});
