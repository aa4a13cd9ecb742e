//! `remote:` of `kind: contactlist`.

use std::path::PathBuf;

use chrono_tz::Tz;
use reqwest::Url;

use super::Secret;
use super::address::{Context, web_address, zone};
use super::reader::{MapReader, Value};

/// The keys of `remote:` for `kind: contactlist`.
pub(super) const KEYS: &[&str] = &[
    "kind",
    "endpoint",
    "site_id",
    "username",
    "password",
    "time_zone",
    "soap",
    "ca",
];

/// The version of SOAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1: `text/xml` and a SOAPAction header.
    V11,
    /// SOAP 1.2: `application/soap+xml` with an action parameter.
    V12,
}

/// SOAP 1.2 is what the service's own examples prefer.
pub const DEFAULT_SOAP: SoapVersion = SoapVersion::V12;

/// A ContactList service.
#[derive(Clone, Debug)]
pub struct ContactListSettings {
    /// The address of the service (`….asmx`).
    pub endpoint: Url,
    /// The site.
    pub site_id: i64,
    /// The user name; empty beside a site token.
    pub username: Secret,
    /// The password, or the site token.
    pub password: Secret,
    /// The site's own zone: its dates carry no offset.
    pub time_zone: Tz,
    /// Which SOAP to speak.
    pub soap: SoapVersion,
    /// A certificate authority beside those of the system.
    pub ca: Option<PathBuf>,
}

pub(super) fn read(context: &Context<'_>, value: &Value<'_>) -> Option<ContactListSettings> {
    let map = value.map(KEYS)?;
    let endpoint = map.required("endpoint").and_then(|v| web_address(&v));
    let site_id = map
        .required("site_id")
        .and_then(|v| v.integer(1..=i64::from(i32::MAX)));
    let username = username(&map);
    let password = map.required("password").and_then(|v| context.secret(&v));
    let time_zone = required_zone(&map);
    let soap = map.optional("soap").map_or(Some(DEFAULT_SOAP), |v| {
        v.word(&[("1.1", SoapVersion::V11), ("1.2", SoapVersion::V12)])
    });
    let ca = map.optional("ca").map(|v| context.existing_file(&v));
    Some(ContactListSettings {
        endpoint: endpoint?,
        site_id: site_id?,
        username: username?,
        password: password?,
        time_zone: time_zone?,
        soap: soap?,
        ca: match ca {
            Some(path) => Some(path?),
            None => None,
        },
    })
}

/// Left out, it is empty: a site token needs none.
fn username(map: &MapReader<'_>) -> Option<Secret> {
    match map.optional("username") {
        Some(value) => value.text().map(Secret::new),
        None => Some(Secret::new("")),
    }
}

fn required_zone(map: &MapReader<'_>) -> Option<Tz> {
    let found = map.optional("time_zone");
    if found.is_none() {
        map.value().report(
            "E-CFG-ZONE",
            "key \"time_zone\" is missing: the site's own zone, e.g. \"Australia/Sydney\"",
        );
    }
    zone(&found?)
}
