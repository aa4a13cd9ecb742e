//! The retail system's way to the wire: tokens, and POSTs with what may befall them.
//!
//! It reads nothing of an answer but its status, and of a token's answer the token.
// The simulator stands for a foreign machine, which takes its own time.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Url, header};

use crate::model::{Error, Result};
use crate::simulator::data_sync::json::Json;

use super::options::{Credentials, Fault, Habits, Target};

/// An answer's body is drained up to here, so that the connection can be used again.
const DRAINED_BYTES_MAX: usize = 1 << 20;

/// A target that can be posted to.
#[derive(Clone, Debug)]
pub(super) struct Link {
    client: Client,
    api: Url,
    token: Url,
    target: Target,
}

impl Link {
    /// Errors: `E-SIMULATE-TARGET` for an address or a certificate that can't be used.
    pub(super) fn new(target: Target, patience: Duration) -> Result<Self> {
        let (api, token) = (address(&target.api_url)?, address(&target.token_url)?);
        let refuse = |why: &str| Err(Error::config("E-SIMULATE-TARGET", why));
        // Another part of the program may have been first, with the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .http1_only()
            // The appendix names 1.2: a receiver that offers nothing else but 1.3 must not work.
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .tls_version_max(reqwest::tls::Version::TLS_1_2)
            .timeout(patience)
            .tcp_nodelay(true);
        let authorities = match &target.ca {
            None => Vec::new(),
            Some(path) => {
                let pem = std::fs::read(path).map_err(|error| {
                    let what = format!("{} can't be read", path.display());
                    Error::config("E-SIMULATE-TARGET", what).caused_by(error)
                })?;
                match reqwest::Certificate::from_pem_bundle(&pem) {
                    Ok(found) if !found.is_empty() => found,
                    _ => return refuse("The file of --ca holds no certificate in PEM"),
                }
            }
        };
        builder = if api.scheme() == "https" || token.scheme() == "https" {
            builder.tls_certs_merge(authorities)
        } else {
            builder.tls_certs_only(authorities)
        };
        let client = builder.build().map_err(|error| {
            Error::config("E-SIMULATE-TARGET", "TLS can't be set up").caused_by(error.without_url())
        })?;
        Ok(Self {
            client,
            api,
            token,
            target,
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// A new token; the error is the status that came instead, or nothing where none came or no token was in it.
    pub(super) async fn token(&self, habits: &Habits) -> std::result::Result<String, Option<u16>> {
        let request = self.token_request(habits);
        let mut response = request.send().await.map_err(|_| None)?;
        let status = response.status().as_u16();
        let body = drained(&mut response).await;
        if status != 200 {
            return Err(Some(status));
        }
        let answer = std::str::from_utf8(&body).ok().and_then(Json::parse);
        let token = answer.and_then(|answer| answer.text("access_token").map(str::to_owned));
        token.ok_or(None)
    }

    fn token_request(&self, habits: &Habits) -> reqwest::RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &habits.scope {
            form.append_pair("scope", scope);
        }
        let (id, secret) = (&self.target.client_id, &self.target.client_secret);
        let mut url = self.token.clone();
        let mut basic = None;
        match habits.credentials {
            Credentials::Basic => basic = Some(STANDARD.encode(format!("{id}:{secret}"))),
            Credentials::Body => {
                form.append_pair("client_id", id);
                form.append_pair("client_secret", secret);
            }
            Credentials::Query => {
                url.query_pairs_mut()
                    .append_pair("client_id", id)
                    .append_pair("client_secret", secret);
            }
        }
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.finish());
        match basic {
            Some(basic) => request.header(header::AUTHORIZATION, format!("Basic {basic}")),
            None => request,
        }
    }

    /// Posts a body; the status that came, if one came.
    pub(super) async fn post(
        &self,
        token: &str,
        body: Vec<u8>,
        habits: &Habits,
        faults: &[Fault],
    ) -> Option<u16> {
        let mut content_type = habits.content_type.as_deref().unwrap_or("application/json");
        let mut authorization = Some(format!("Bearer {token}"));
        let mut body = Bytes::from(body);
        let mut is_cut = false;
        for fault in faults {
            match fault {
                Fault::Delay(by) => tokio::time::sleep(*by).await,
                Fault::NoToken => authorization = None,
                Fault::WrongToken => authorization = Some("Bearer nobody.gave.this".to_owned()),
                Fault::ContentType(other) => content_type = other,
                Fault::HalfBody => body.truncate(body.len() / 2),
                Fault::CutBody => is_cut = true,
                Fault::LoseAnswer | Fault::Twice => {}
            }
        }
        let mut request = self
            .client
            .post(self.api.clone())
            .header(header::CONTENT_TYPE, content_type);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request = if is_cut {
            request
                .header(header::CONTENT_LENGTH, body.len())
                .body(cut(body))
        } else {
            request.body(body)
        };
        let mut response = request.send().await.ok()?;
        let status = response.status().as_u16();
        drained(&mut response).await;
        Some(status)
    }
}

/// The first half of a body; then the connection ends.
fn cut(mut body: Bytes) -> reqwest::Body {
    body.truncate(body.len() / 2);
    let end = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    reqwest::Body::wrap_stream(futures::stream::iter([Ok(body), end]))
}

async fn drained(response: &mut reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < DRAINED_BYTES_MAX
        && let Ok(Some(piece)) = response.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    body
}

/// An address that a secret may be sent to.
fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some("localhost")) => true,
        ("http", Some(host)) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        _ => false,
    });
    url.ok_or_else(|| {
        Error::config(
            "E-SIMULATE-TARGET",
            "An address to post to is https, or http on loopback, such as http://127.0.0.1:8443/datasync",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_tls_or_stays_on_this_machine() {
        for (text, is_good) in [
            ("http://127.0.0.1:1/datasync", true),
            ("http://[::1]:1/x", true),
            ("http://localhost/x", true),
            ("https://bridge.example.org/datasync", true),
            ("http://bridge.example.org/datasync", false),
            ("http://10.0.0.1/datasync", false),
            ("ftp://127.0.0.1/", false),
            ("datasync", false),
        ] {
            assert_eq!(address(text).is_ok(), is_good, "{text}");
        }
    }
}
