//! Where a server is and how it is talked to, read from `database:` or `state:` once and for all: nothing of it is guessed from
//! the environment, and no connection beyond this machine goes without a verified certificate.

use std::path::PathBuf;

use reqwest::Url;

use crate::config::{Secret, ServerUrl, is_loopback_host};
use crate::local::Dialect;
use crate::model::{Error, Result};

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A directory with sockets (PostgreSQL), a socket (MySQL).
    Socket(PathBuf),
    /// A host by name or number.
    Host(String, u16),
}

/// How the connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Not at all: loopback and sockets only.
    Plain,
    /// The certificate is verified, with its name, against the system's authorities or the one in this file.
    Verified(Option<PathBuf>),
}

/// A database on a server.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// As messages show it: without user, password and options.
    pub(crate) shown: String,
    pub(crate) way: Way,
    pub(crate) tls: Tls,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
}

impl Address {
    /// Reads an address. `E-DB-URL` for what can't be one, `E-DB-TLS` where the protection asked for is none.
    pub(crate) fn read(server: &ServerUrl, dialect: Dialect) -> Result<Self> {
        Self::read_beside(server, dialect, &[])
    }

    /// The same, where the caller reads some options (`others`) by himself.
    pub(crate) fn read_beside(
        server: &ServerUrl,
        dialect: Dialect,
        others: &[&str],
    ) -> Result<Self> {
        let shown = server.shown().to_owned();
        let wrong = |what: &str| Error::config("E-DB-URL", format!("{shown}: {what}"));
        let url = Url::parse(server.expose()).map_err(|_| wrong("is no address"))?;
        let decoded = |text: &str| {
            percent_decoded(text).ok_or_else(|| wrong("holds a % that stands for nothing"))
        };
        let (mut socket, mut mode, mut authority) = (None, None, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "host" | "socket" => socket = Some(PathBuf::from(value.as_ref())),
                "sslmode" | "ssl-mode" => mode = Some(value.to_ascii_lowercase().replace('_', "-")),
                "sslrootcert" | "ssl-ca" => authority = Some(PathBuf::from(value.as_ref())),
                other if others.contains(&other) => {}
                other => {
                    return Err(wrong(&format!(
                        "does not know the option \"{other}\"; there are sslmode, sslrootcert and socket"
                    )));
                }
            }
        }
        let host = url.host_str().unwrap_or_default();
        let host = decoded(host.trim_start_matches('[').trim_end_matches(']'))?;
        let way = match socket {
            Some(path) if path.is_absolute() => Way::Socket(path),
            Some(_) => return Err(wrong("needs the whole path of the socket")),
            None if host.starts_with('/') => Way::Socket(host.into()),
            None if host.is_empty() => return Err(wrong("needs a host, or the path of a socket")),
            None => Way::Host(host, url.port().unwrap_or(default_port(dialect))),
        };
        let near = match &way {
            Way::Socket(_) => true,
            Way::Host(host, _) => is_loopback_host(host),
        };
        let tls = match mode.as_deref() {
            None if near && authority.is_none() => Tls::Plain,
            None | Some("verify-full" | "verify-identity") => Tls::Verified(authority),
            Some("disable" | "disabled") if near => Tls::Plain,
            Some("disable" | "disabled") => {
                return Err(Error::config(
                    "E-DB-TLS",
                    format!(
                        "{shown} is not on this machine: without TLS, people's data and the password would be readable on the way. Leave sslmode out, and name the server's authority with sslrootcert=FILE where the system does not know it"
                    ),
                ));
            }
            Some(_) => {
                return Err(Error::config(
                    "E-DB-TLS",
                    format!(
                        "{shown}: sslmode is verify-full (also when it is left out), or on this machine disable; everything between does not verify who answers"
                    ),
                ));
            }
        };
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
        let password = url.password().map(decoded).transpose()?.map(Secret::new);
        Ok(Self {
            way,
            tls,
            user,
            password,
            database: decoded(url.path().trim_start_matches('/'))?,
            shown,
        })
    }
}

fn default_port(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::MySql => 3306,
        _ => 5432,
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}
