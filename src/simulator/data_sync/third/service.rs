//! The application behind the wire: who has which token, which messages were taken, and what they amount to.
//!
//! It knows nothing of HTTP but a status.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use crate::simulator::chance::{Dice, Fate, mix};
use crate::simulator::clock::SiteClock;
use crate::simulator::data_sync::json::quoted;
use crate::simulator::data_sync::ledger::{Effect, Ledger};
use crate::simulator::data_sync::message::{Action, Message};
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::rules::Rules;

use super::check::Defect;
use super::options::{Fault, Habits, Options, TokenAnswer, Welcome};

/// How many tokens and how many attempts are remembered: one a message of the largest test, and more.
const REMEMBERED_MAX: usize = 100_000;

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Counts from 0 and never jumps.
    pub number: usize,
    /// When, by the application's own clock.
    pub at: DateTime<Utc>,
    /// Its four fields.
    pub message: Message,
    /// Its action, where `type` goes with it.
    pub action: Option<Action>,
    /// The id of the customer or transaction that it is about.
    pub about: Option<String>,
    /// What it did.
    pub effect: Effect,
}

/// A request, however it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What for: a token or a message.
    pub operation: Operation,
    /// Of the message, where one could be made out.
    pub unique_id: Option<String>,
    /// The status that was answered; nothing when the connection was cut.
    pub status: Option<u16>,
    /// Whether the message was taken.
    pub is_kept: bool,
}

struct Issued {
    expires_at: DateTime<Utc>,
    uses: u64,
}

/// Everything that requests share.
pub(in crate::simulator::data_sync) struct Service {
    pub(super) options: Options,
    pub(super) clock: SiteClock,
    pub(super) habits: Habits,
    pub(super) rules: Rules<Operation, Fault>,
    pub(super) ledger: Ledger,
    pub(super) accepted: Vec<Accepted>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) defects: Vec<(Defect, Option<String>)>,
    /// Of each token that was given out: the scope that was asked for.
    pub(super) scopes: Vec<Option<String>>,
    pub(super) under_way: usize,
    pub(super) overlap_count: usize,
    tokens: HashMap<String, Issued>,
    highest: u64,
    fate: Fate,
    dice: Dice,
}

impl Service {
    pub(super) fn new(options: Options) -> Self {
        Self {
            clock: SiteClock {
                source: options.clock.clone(),
                offset: chrono::Duration::zero(),
                zone: chrono_tz::UTC,
            },
            habits: options.habits,
            rules: Rules::new(options.rules.clone()),
            ledger: Ledger::default(),
            accepted: Vec::new(),
            attempts: Vec::new(),
            defects: Vec::new(),
            scopes: Vec::new(),
            under_way: 0,
            overlap_count: 0,
            tokens: HashMap::new(),
            highest: 0,
            fate: Fate::new(options.seed),
            dice: Dice::new(mix(options.seed)),
            options,
        }
    }

    /// The faults that befall a request of these sorts.
    pub(super) fn draw(&mut self, sorts: &[Operation], request: &[u8]) -> Vec<Fault> {
        let fate = if self.rules.need_fate() {
            self.fate.of(request)
        } else {
            0
        };
        sorts
            .iter()
            .flat_map(|sort| self.rules.draw(*sort, fate))
            .collect()
    }

    /// Answers a request for a token: status and body. `basic` is what stands behind `Basic` in its header.
    pub(super) fn token(&mut self, basic: Option<&str>, form: &[u8]) -> (u16, String) {
        let refuse = |status, error: &str| (status, format!("{{\"error\":\"{error}\"}}"));
        let fields: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        if fields.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return refuse(400, "unsupported_grant_type");
        }
        let header = basic.and_then(basic_pair);
        let body = fields.get("client_id").cloned();
        let body = body.zip(fields.get("client_secret").cloned());
        let wanted = (&self.options.client_id, &self.options.client_secret);
        let is_wanted = |pair: &(String, String)| (&pair.0, &pair.1) == wanted;
        let is_welcome =
            |way| self.habits.credentials == Welcome::Both || self.habits.credentials == way;
        // RFC 6749 has the pair encoded as in a form before it is put into the header; few do it.
        let by_header = header
            .iter()
            .any(|pair| is_wanted(pair) || is_wanted(&decoded(pair)));
        let is_good = (is_welcome(Welcome::Basic) && by_header)
            || (is_welcome(Welcome::Body) && body.iter().any(is_wanted));
        if !is_good {
            return refuse(401, "invalid_client");
        }
        let token = format!("{:016x}{:016x}", self.dice.next(), self.dice.next());
        let now = self.clock.now();
        if self.tokens.len() >= REMEMBERED_MAX {
            self.tokens.retain(|_, issued| issued.expires_at > now);
        }
        if self.tokens.len() < REMEMBERED_MAX {
            let expires_at = now + self.options.lifetime;
            self.tokens.insert(
                token.clone(),
                Issued {
                    expires_at,
                    uses: 0,
                },
            );
        }
        let scope = fields.get("scope");
        if self.scopes.len() < REMEMBERED_MAX {
            self.scopes.push(scope.cloned());
        }
        let echo = scope.map(|scope| format!(",\"scope\":{}", quoted(scope)));
        let echo = echo.unwrap_or_default();
        let seconds = self.options.lifetime.as_secs();
        let rest = match self.habits.token_answer {
            TokenAnswer::Full => format!("\"token_type\":\"Bearer\",\"expires_in\":{seconds}"),
            TokenAnswer::NoExpiry => "\"token_type\":\"Bearer\"".to_owned(),
            TokenAnswer::TextExpiry => {
                format!("\"token_type\":\"Bearer\",\"expires_in\":\"{seconds}\"")
            }
            TokenAnswer::Lower => {
                format!("\"expires_in\":{seconds}.0,\"token_type\":\"bearer\",\"x\":[{{}}]")
            }
        };
        (
            200,
            format!("{{\"access_token\":\"{token}\",{rest}{echo}}}"),
        )
    }

    /// Whether a token is good; a use of it is counted.
    pub(super) fn admits(&mut self, token: &str) -> bool {
        let now = self.clock.now();
        let uses_max = self.habits.token_uses;
        self.tokens.get_mut(token).is_some_and(|issued| {
            issued.uses += 1;
            now < issued.expires_at && uses_max.is_none_or(|max| issued.uses <= max)
        })
    }

    /// A token is no longer good.
    pub(super) fn expire(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// No token that was given out is good any more.
    pub(super) fn expire_all(&mut self) {
        self.tokens.clear();
    }

    /// Takes a message.
    pub(super) fn accept(&mut self, message: Message) {
        let effect = self.ledger.take(&message);
        let number = message.unique_id.parse().unwrap_or(0);
        let unique_id = Some(message.unique_id.clone());
        match effect {
            Effect::Applied if number <= self.highest => {
                self.defects.push((Defect::FallingUniqueId, unique_id));
            }
            Effect::Renumbered => self.defects.push((Defect::ChangedContent, unique_id)),
            _ => {}
        }
        self.highest = self.highest.max(number);
        self.accepted.push(Accepted {
            number: self.accepted.len(),
            at: self.clock.now(),
            action: message.kind(),
            about: message.about(),
            message,
            effect,
        });
    }

    pub(super) fn note(&mut self, attempt: Attempt) {
        if self.attempts.len() < REMEMBERED_MAX {
            self.attempts.push(attempt);
        }
    }
}

fn basic_pair(encoded: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn decoded((id, secret): &(String, String)) -> (String, String) {
    let decode = |text: &str| {
        let pair = form_urlencoded::parse(text.as_bytes()).next();
        pair.map(|(text, _)| text.into_owned()).unwrap_or_default()
    };
    (decode(id), decode(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: &str = "grant_type=client_credentials";

    fn service(habits: Habits) -> Service {
        Service::new(Options {
            client_id: "me".into(),
            client_secret: "a:b%41+".into(),
            habits,
            ..Options::default()
        })
    }

    fn given(answer: &(u16, String)) -> String {
        let json = crate::simulator::data_sync::json::Json::parse(&answer.1).unwrap();
        json.text("access_token").unwrap().to_owned()
    }

    #[test]
    fn the_client_alone_gets_a_token_and_in_the_welcome_way() {
        let (raw, encoded) = (
            STANDARD.encode("me:a:b%41+"),
            STANDARD.encode("me:a%3Ab%2541%2B"),
        );
        let form = format!("{GRANT}&client_id=me&client_secret=a%3Ab%2541%2B&scope=x");
        for (way, header, body) in [
            (Welcome::Both, 200, 200),
            (Welcome::Basic, 200, 401),
            (Welcome::Body, 401, 200),
        ] {
            let mut service = service(Habits {
                credentials: way,
                ..Habits::default()
            });
            for basic in [&raw, &encoded] {
                assert_eq!(service.token(Some(basic), GRANT.as_bytes()).0, header);
            }
            assert_eq!(service.token(None, form.as_bytes()).0, body);
            let wrong = STANDARD.encode("me:a");
            assert_eq!(service.token(Some(&wrong), GRANT.as_bytes()).0, 401);
            assert_eq!(service.token(None, GRANT.as_bytes()).0, 401);
            assert_eq!(service.token(Some(&raw), b"grant_type=password").0, 400);
        }
    }

    #[test]
    fn a_token_is_good_for_its_time_and_its_uses() {
        let start = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        let mut service = service(Habits {
            token_uses: Some(2),
            ..Habits::default()
        });
        service.clock.source = crate::simulator::clock::Clock::Manual(start);
        let basic = STANDARD.encode("me:a:b%41+");
        let first = given(&service.token(Some(&basic), GRANT.as_bytes()));
        let second = given(&service.token(Some(&basic), GRANT.as_bytes()));
        assert_ne!(first, second);
        let uses = [(); 3].map(|()| service.admits(&first));
        assert_eq!(uses, [true, true, false]);
        let end = start + chrono::Duration::seconds(3600);
        service.clock.source = crate::simulator::clock::Clock::Manual(end);
        assert!(!service.admits(&second) && !service.admits("made up"));
    }

    #[test]
    fn numbers_that_fall_and_contents_that_change_are_noted() {
        let mut service = service(Habits::default());
        for (number, id) in [(5, "1"), (6, "1"), (5, "1"), (4, "1"), (6, "2")] {
            service.accept(Message::new(Action::Delete, id, number));
        }
        let noted: Vec<Defect> = service.defects.iter().map(|(defect, _)| *defect).collect();
        assert_eq!(noted, [Defect::FallingUniqueId, Defect::ChangedContent]);
        assert_eq!(service.accepted[2].effect, Effect::Repeated);
    }
}
