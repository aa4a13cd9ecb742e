//! `remote:` of `kind: data-sync`.

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::Secret;
use super::address::{Context, listen_address, web_address};
use super::reader::Value;

/// The keys of `remote:` for `kind: data-sync`.
pub(super) const KEYS: &[&str] = &["kind", "receive", "send"];
/// The keys of `receive:`.
pub(super) const RECEIVE_KEYS: &[&str] = &[
    "listen",
    "path",
    "token_path",
    "clients",
    "tokens",
    "tls",
    "order",
];
/// The keys of `tokens:`.
pub(super) const TOKEN_KEYS: &[&str] = &["issuer", "audience", "jwks_url", "ca"];
/// The keys of `tls:`.
pub(super) const TLS_KEYS: &[&str] = &["certificate", "key"];
/// The keys of `send:`.
pub(super) const SEND_KEYS: &[&str] = &[
    "api_url",
    "token_url",
    "client_id",
    "client_secret",
    "scope",
    "batch",
    "ca",
];

/// Messages moved from pending to progress at a time: a crash repeats at most one of them.
pub const DEFAULT_SEND_BATCH: u32 = 100;

/// What comes first: the order of arrival, or the sender's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they arrive.
    Arrival,
    /// A message older than the last applied for its customer is passed over.
    UniqueId,
}

/// Who may post to us.
#[derive(Clone, Debug)]
pub enum Callers {
    /// Clients that get their tokens from us.
    Clients(Vec<(String, Secret)>),
    /// Bearers of tokens that somebody else issues.
    Tokens {
        /// Who issues them.
        issuer: String,
        /// For whom they must be.
        audience: String,
        /// Where its keys are published.
        jwks_url: Url,
        /// A certificate authority for that address, beside those of the system.
        ca: Option<PathBuf>,
    },
}

/// What is posted to us.
#[derive(Clone, Debug)]
pub struct ReceiveSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The path of messages.
    pub path: String,
    /// The path at which clients get tokens.
    pub token_path: String,
    /// Who may post.
    pub callers: Callers,
    /// Certificate chain and key; `None` on loopback alone.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What comes first.
    pub order: Order,
}

/// What we post.
#[derive(Clone, Debug)]
pub struct SendSettings {
    /// Where messages go.
    pub api_url: Url,
    /// Where tokens come from.
    pub token_url: Url,
    /// Our client id.
    pub client_id: String,
    /// Our client secret.
    pub client_secret: Secret,
    /// The scope to ask for; may be empty.
    pub scope: String,
    /// Messages moved from pending to progress at a time.
    pub batch: u32,
    /// A certificate authority beside those of the system.
    pub ca: Option<PathBuf>,
}

/// A Data Sync service; at least one of the two is there.
#[derive(Clone, Debug)]
pub struct DataSyncSettings {
    /// What is posted to us.
    pub receive: Option<ReceiveSettings>,
    /// What we post.
    pub send: Option<SendSettings>,
}

pub(super) fn read(context: &Context<'_>, value: &Value<'_>) -> Option<DataSyncSettings> {
    let before = value.problems().count();
    let map = value.map(KEYS)?;
    let (receive, send) = (map.optional("receive"), map.optional("send"));
    if receive.is_none() && send.is_none() {
        value.report("E-CFG-KEY", "key \"receive\" or \"send\" is missing");
    }
    let settings = DataSyncSettings {
        receive: receive.and_then(|v| read_receive(context, &v)),
        send: send.and_then(|v| read_send(context, &v)),
    };
    (value.problems().count() == before).then_some(settings)
}

fn read_receive(context: &Context<'_>, value: &Value<'_>) -> Option<ReceiveSettings> {
    let map = value.map(RECEIVE_KEYS)?;
    let listen = map.required("listen").and_then(|v| listen_address(&v));
    let path = map
        .optional("path")
        .map_or(Some("/datasync".to_owned()), |v| url_path(&v));
    let token_path = map
        .optional("token_path")
        .map_or(Some("/oauth2/token".to_owned()), |v| url_path(&v));
    let callers = match (map.optional("clients"), map.optional("tokens")) {
        (Some(clients), None) => read_clients(context, &clients),
        (None, Some(tokens)) => read_tokens(context, &tokens),
        (Some(_), Some(tokens)) => tokens.invalid("give either clients or tokens, not both"),
        (None, None) => {
            value.report("E-CFG-KEY", "key \"clients\" (or \"tokens\") is missing");
            None
        }
    };
    let tls = map.optional("tls").map(|v| {
        let map = v.map(TLS_KEYS)?;
        let certificate = map
            .required("certificate")
            .and_then(|v| context.existing_file(&v));
        let key = map.required("key").and_then(|v| context.existing_file(&v));
        Some((certificate?, key?))
    });
    if tls.is_none() && listen.is_some_and(|address| !address.ip().is_loopback()) {
        value.report(
            "E-CFG-URL",
            "plain http is for loopback alone: give tls, or listen on 127.0.0.1 behind a proxy",
        );
    }
    let order = map.optional("order").map_or(Some(Order::Arrival), |v| {
        v.word(&[("arrival", Order::Arrival), ("unique-id", Order::UniqueId)])
    });
    let (path, token_path) = (path?, token_path?);
    if path == token_path {
        value.invalid::<()>("path and token_path must differ");
    }
    Some(ReceiveSettings {
        listen: listen?,
        path,
        token_path,
        callers: callers?,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        order: order?,
    })
}

fn url_path(value: &Value<'_>) -> Option<String> {
    let text = value.filled_text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if !text.starts_with('/') || !text.chars().all(plain) {
        return value.invalid(format!("{} is not a path such as /datasync", value.shown()));
    }
    Some(text.to_owned())
}

fn read_clients(context: &Context<'_>, value: &Value<'_>) -> Option<Callers> {
    let entries = value.entries();
    if entries.is_empty() {
        return value.invalid("needs at least one client");
    }
    let clients: Vec<_> = entries
        .iter()
        .map(|(key, entry)| Some((key.text.clone(), context.secret(entry)?)))
        .collect();
    clients
        .into_iter()
        .collect::<Option<_>>()
        .map(Callers::Clients)
}

fn read_tokens(context: &Context<'_>, value: &Value<'_>) -> Option<Callers> {
    let map = value.map(TOKEN_KEYS)?;
    let text = |key| {
        map.required(key)
            .and_then(|v| v.filled_text().map(str::to_owned))
    };
    let (issuer, audience) = (text("issuer"), text("audience"));
    let jwks_url = map.required("jwks_url").and_then(|v| web_address(&v));
    let ca = map.optional("ca").and_then(|v| context.existing_file(&v));
    Some(Callers::Tokens {
        issuer: issuer?,
        audience: audience?,
        jwks_url: jwks_url?,
        ca,
    })
}

fn read_send(context: &Context<'_>, value: &Value<'_>) -> Option<SendSettings> {
    let map = value.map(SEND_KEYS)?;
    let address = |key| map.required(key).and_then(|v| web_address(&v));
    let (api_url, token_url) = (address("api_url"), address("token_url"));
    let client_id = map.required("client_id").and_then(|v| v.filled_text());
    let client_secret = map
        .required("client_secret")
        .and_then(|v| context.secret(&v));
    let scope = map.optional("scope").map_or(Some(""), |v| v.text());
    let batch = map
        .optional("batch")
        .map_or(Some(i64::from(DEFAULT_SEND_BATCH)), |v| {
            v.integer(1..=10_000)
        });
    let ca = map.optional("ca").and_then(|v| context.existing_file(&v));
    Some(SendSettings {
        api_url: api_url?,
        token_url: token_url?,
        client_id: client_id?.to_owned(),
        client_secret: client_secret?,
        scope: scope?.to_owned(),
        batch: u32::try_from(batch?).ok()?,
        ca,
    })
}
