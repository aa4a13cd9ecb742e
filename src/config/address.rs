//! Addresses, zones and files as bridge.yaml has them: the rules of trust (user contract, section 5) for what may be named.
//!
//! It must not open a connection or resolve a name: what counts as loopback is decided by the text alone.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use chrono_tz::{TZ_VARIANTS, Tz};
use reqwest::Url;

use super::Secret;
use super::reader::{Value, nearest};

/// What reading settings needs beside the tree.
pub(super) struct Context<'a> {
    /// The directory that relative paths start from.
    pub(super) directory: &'a Path,
    /// Sentences that the user should see although nothing is wrong.
    pub(super) warnings: RefCell<Vec<String>>,
}

impl Context<'_> {
    /// A path of the file, made relative to the file's directory.
    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        let text = value.filled_text()?;
        if text.contains('\0') {
            return value.invalid("holds a zero byte, so it is no path");
        }
        Some(self.directory.join(text))
    }

    /// The path of a file that must be there already, such as a certificate.
    pub(super) fn existing_file(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.path(value)?;
        if !path.is_file() {
            return value.invalid(format!("{}: there is no such file", value.shown()));
        }
        Some(path)
    }

    /// A secret that must not be empty; one that stands in the file itself is accepted with a warning.
    pub(super) fn secret(&self, value: &Value<'_>) -> Option<Secret> {
        let text = value.text()?;
        if text.is_empty() {
            return value.invalid("must not be empty");
        }
        self.warn_if_plain(value);
        Some(Secret::new(text))
    }

    /// Warns of a secret that stands readable in the file.
    pub(super) fn warn_if_plain(&self, value: &Value<'_>) {
        if !value.is_filled() {
            self.warnings.borrow_mut().push(format!(
                "W-SECRET-PLAIN {}: a secret stands in {} itself (line {}); take it from the environment with ${{NAME}} or from a file with ${{file:/path}}",
                value.path(),
                value.problems().file(),
                value.at().line
            ));
        }
    }
}

/// An https address, or an http one of this machine, without user name and password.
pub(super) fn web_address(value: &Value<'_>) -> Option<Url> {
    const CODE: &str = "E-CFG-URL";
    let refuse = |sentence: &str| {
        value.report(CODE, sentence);
        None
    };
    let text = value.text()?;
    let Ok(url) = Url::parse(text.trim()) else {
        return refuse("is not an address such as https://crm.example.org/service");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("credentials belong in username and password, not in the address");
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return refuse("only https is accepted; plain http is for loopback alone"),
        _ => return refuse("only https is accepted"),
    }
    if url.fragment().is_some() {
        return refuse("an address with \"#\" can't be called");
    }
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// Whether a host, as an address has it, is this machine: decided by the text alone.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// `ADDRESS:PORT` to listen on.
pub(super) fn listen_address(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    if parsed.is_none() {
        return value.invalid(format!(
            "{} is not an address and port such as 127.0.0.1:8480",
            value.shown()
        ));
    }
    parsed
}

/// A zone by its IANA name. An offset is refused, since it knows no daylight saving time.
pub(super) fn zone(value: &Value<'_>) -> Option<Tz> {
    let text = value.text()?.trim();
    if let Ok(zone) = text.parse::<Tz>() {
        return Some(zone);
    }
    if !value.is_unfilled() {
        let shown = if value.is_filled() {
            String::new()
        } else {
            format!(" \"{}\"", super::yaml::shorten(text))
        };
        value.problems().report_sentence(
            "E-CFG-ZONE",
            value.at(),
            &format!(
                "{}{shown}: not an IANA zone; e.g. \"{}\"",
                value.path(),
                zone_like(text)
            ),
        );
    }
    None
}

/// The zone whose name, or whose city, is nearest.
fn zone_like(text: &str) -> &'static str {
    let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let names = || {
        TZ_VARIANTS
            .iter()
            .map(|zone| zone.name())
            .filter(|name| name.contains('/') && !name.starts_with("Etc/"))
    };
    if !text.chars().any(|c| c.is_ascii_digit()) {
        let wanted = text.replace(' ', "_");
        let by_city = |wanted: &str| names().find(|name| city(name).eq_ignore_ascii_case(wanted));
        if let Some(found) = by_city(&wanted) {
            return found;
        }
        if let Some(found) = nearest(&wanted, names()) {
            return found;
        }
        if let Some(found) = nearest(&wanted, names().map(city)).and_then(by_city) {
            return found;
        }
    }
    "Australia/Sydney"
}

#[cfg(test)]
mod tests {
    use super::super::Problems;
    use super::super::yaml::parse;
    use super::*;

    fn with<T>(text: &str, read: impl FnOnce(&Value<'_>) -> Option<T>) -> (Option<T>, Vec<String>) {
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(&format!("endpoint: {text}\n"), &problems).unwrap();
        let value = Value::root(&node, &problems).peek("endpoint").unwrap();
        let found = read(&value);
        (found, problems.sentences())
    }

    #[test]
    fn only_https_and_loopback_are_accepted() {
        for good in [
            "https://example.worldsecuresystems.com/catalystwebservice/catalystcrmwebservice.asmx",
            "http://127.0.0.1:8080/x",
            "http://127.8.8.8/x",
            "http://[::1]:9/x",
            "http://localhost/x",
        ] {
            let (url, problems) = with(good, web_address);
            assert!(url.is_some(), "{good}: {problems:?}");
        }
        for (bad, words) in [
            ("http://example.org/x", "only https is accepted"),
            ("http://localhost.example.org/x", "only https is accepted"),
            ("http://127.0.0.1.example.org/x", "only https is accepted"),
            ("ftp://example.org/x", "only https is accepted"),
            (
                "https://user:word@example.org/x",
                "credentials belong in username and password",
            ),
            (
                "https://user@example.org/x",
                "credentials belong in username and password",
            ),
            (
                "http://user:word@example.org/",
                "credentials belong in username and password",
            ),
            ("example.org/x", "is not an address"),
            ("https://", "is not an address"),
            ("https://example.org/#a", "can't be called"),
        ] {
            let (url, problems) = with(&format!("\"{bad}\""), web_address);
            assert!(url.is_none(), "{bad}");
            assert_eq!(problems.len(), 1);
            assert!(
                problems[0].starts_with("E-CFG-URL endpoint: "),
                "{problems:?}"
            );
            assert!(problems[0].contains(words), "{problems:?}");
            assert!(!problems[0].contains("word@"), "{problems:?}");
        }
    }

    #[test]
    fn a_zone_is_named_and_a_wrong_one_gets_a_suggestion() {
        assert_eq!(
            with("Australia/Sydney", zone).0,
            Some(chrono_tz::Australia::Sydney)
        );
        for (bad, start) in [
            (
                "Sydney",
                "E-CFG-ZONE endpoint \"Sydney\": not an IANA zone; e.g. \"Australia/Sydney\" (bridge.yaml:1)",
            ),
            (
                "\"+10:00\"",
                "E-CFG-ZONE endpoint \"+10:00\": not an IANA zone; e.g. \"Australia/Sydney\"",
            ),
            ("UTC+10", "E-CFG-ZONE endpoint \"UTC+10\": not an IANA zone"),
            (
                "Europe/Berlon",
                "E-CFG-ZONE endpoint \"Europe/Berlon\": not an IANA zone; e.g. \"Europe/Berlin\"",
            ),
            (
                "los angeles",
                "E-CFG-ZONE endpoint \"los angeles\": not an IANA zone; e.g. \"America/Los_Angeles\"",
            ),
            (
                "Londn",
                "E-CFG-ZONE endpoint \"Londn\": not an IANA zone; e.g. \"Europe/London\"",
            ),
        ] {
            let (found, problems) = with(bad, zone);
            assert!(found.is_none());
            assert!(problems[0].starts_with(start), "{problems:?}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        assert_eq!(
            with("localhost:80", listen_address).0,
            Some(SocketAddr::from(([127, 0, 0, 1], 80)))
        );
        assert!(with("\"[::1]:80\"", listen_address).0.is_some());
        for bad in [
            "8480",
            "localhost",
            "127.0.0.1",
            "localhost:99999",
            "host:80",
        ] {
            assert!(with(bad, listen_address).0.is_none(), "{bad}");
        }
    }
}
