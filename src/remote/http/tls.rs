//! HTTP clients that verify, and what is wrong when they can't: there is no switch to accept a bad certificate.

use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use reqwest::{Client, Url};

use super::CallLimits;
use crate::model::{Error, Result};

/// A file of certificates larger than this is something else.
const CA_MAX: u64 = 4 << 20;

/// The certificate authorities in the file of `ca:`, in PEM.
pub(in crate::remote) fn read_ca(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        Error::config(
            "E-CFG-READ",
            format!("ca: {} can't be read", path.display()),
        )
        .caused_by(error)
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > CA_MAX {
        return Err(Error::config(
            "E-CFG-VALUE",
            format!(
                "ca: {} is too large for a file of certificates",
                path.display()
            ),
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

/// A client that follows no redirect, uses no proxy of the environment and repeats nothing; `secure` unless all it
/// calls is plain http on loopback. So many unused connections are kept open, for that long.
pub(in crate::remote) fn client(
    limits: &CallLimits,
    (idle_connections, idle_time): (usize, Duration),
    ca: Option<&[u8]>,
    secure: bool,
) -> Result<Client> {
    // Another part of the program may have been first, with the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(idle_time)
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.idle_timeout)
        .timeout(limits.total_timeout)
        .tcp_nodelay(true);
    if !secure {
        // Nothing to verify on loopback; reading the system's certificates takes its time.
        builder = builder.tls_certs_only(Vec::new());
    } else if let Some(pem) = ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or_else(|| {
                Error::config("E-TLS", "The file of `ca` holds no certificate in PEM")
            })?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        Error::unreachable(
            "E-TLS",
            "TLS can't be set up: no certificate authorities of this system can be read, or `ca` holds a bad one",
        )
        .caused_by(error.without_url())
    })
}

/// Plain http is for loopback alone (user contract, section 5); credentials belong in their own keys.
pub(in crate::remote) fn check_address(key: &str, endpoint: &Url) -> Result<()> {
    let refuse = |what: &str| Err(Error::config("E-CFG-URL", format!("{key}: {what}")));
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return refuse("credentials belong in username and password, not in the address");
    }
    let host = endpoint.host_str().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match endpoint.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => refuse("only https is accepted, and plain http to this machine itself"),
    }
}

/// What is wrong with the other side's certificate or TLS, if that is what went wrong.
pub(super) fn tls_reason(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_sentence(tls));
    }
    // An I/O error passes over what it holds when it is asked for its source.
    let held = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .and_then(|held| tls_reason(held));
    held.or_else(|| error.source().and_then(tls_reason))
}

fn tls_sentence(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let day = |time: &rustls::pki_types::UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .map_or_else(String::new, |time| format!(" {}", time.format("%Y-%m-%d")))
    };
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired => "certificate expired".to_owned(),
            Bad::ExpiredContext { not_after, .. } => {
                format!("certificate expired{}", day(not_after))
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "certificate is not valid yet; is the clock of this machine right?".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "certificate is for another name".to_owned()
            }
            Bad::UnknownIssuer => {
                "certificate of an unknown authority, or self-signed; `ca: FILE` adds an authority"
                    .to_owned()
            }
            other => format!("certificate does not verify: {other}"),
        },
        other => format!("TLS failed: {other}"),
    }
}
