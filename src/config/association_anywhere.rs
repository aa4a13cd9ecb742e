//! `remote:` of `kind: association-anywhere`.

use std::path::PathBuf;

use chrono_tz::Tz;
use reqwest::Url;

use super::Secret;
use super::address::{Context, web_address, zone};
use super::reader::Value;

/// The keys of `remote:` for `kind: association-anywhere`.
pub(super) const KEYS: &[&str] = &[
    "kind",
    "base",
    "urls",
    "username",
    "password",
    "reasons",
    "purge",
    "details",
    "dates",
    "charset",
    "names",
    "time_zone",
    "ca",
];
/// The keys of `urls:`.
pub(super) const URL_KEYS: &[&str] = &["queue", "details", "purge", "force_enqueue"];
/// The keys of `details:`: two of its own, and the sections with options.
pub(super) const DETAIL_KEYS: &[&str] = &[
    "chunk",
    "include",
    "roles",
    "addresses",
    "phones",
    "emails",
    "websites",
    "jobs",
    "employmentAttributes",
    "committeePositions",
    "memberships",
    "subscriptions",
    "communicationPreferences",
    "customerAttributes",
    "custDimAttrs",
    "bio",
    "aliases",
    "companyAdmins",
    "certifications",
    "employees",
    "referralInfo",
    "files",
];
/// The keys of a section's options.
pub(super) const SECTION_KEYS: &[&str] = &["inactive"];
/// The keys of `names:` when it is a map: the services.
pub(super) const NAME_KEYS: &[&str] = URL_KEYS;
/// The keys of one service below `names:`.
pub(super) const SERVICE_NAME_KEYS: &[&str] = &["root", "user", "password", "number"];

/// The sections of the details service (association-anywhere.md).
pub fn sections() -> impl Iterator<Item = &'static str> {
    DETAIL_KEYS.iter().copied().skip(2)
}

/// The request names 900 customers at most before it grows too long.
pub(super) const CHUNK_MAX: i64 = 900;

/// Fifty customers with all their sections are an answer of well under a megabyte.
pub const DEFAULT_CHUNK: u32 = 50;

/// When the queue is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Once the customers are applied or held.
    Processed,
    /// As soon as the ids are safe in the state.
    Journalled,
}

/// How the names in requests are spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameStyle {
    /// `maxQueueNum`.
    Camel,
    /// `max-queue-num`.
    Hyphen,
    /// Given per service, in the order of the file.
    PerService(Vec<ServiceNames>),
}

/// The names that one service uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceNames {
    /// `queue`, `details`, `purge` or `force_enqueue`.
    pub service: String,
    /// The root element.
    pub root: Option<String>,
    /// The element of the user name.
    pub user: Option<String>,
    /// The element of the password.
    pub password: Option<String>,
    /// The element of the queue number.
    pub number: Option<String>,
}

/// Where the services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Services {
    /// Below one address, `/PACKAGE.PROCEDURE`.
    Base(Url),
    /// One by one.
    Urls(Box<ServiceUrls>),
}

impl Services {
    /// What tells this site from another.
    pub fn address(&self) -> &Url {
        match self {
            Self::Base(base) => base,
            Self::Urls(urls) => &urls.queue,
        }
    }
}

/// The addresses of the services, one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrls {
    /// The queue.
    pub queue: Url,
    /// The details.
    pub details: Url,
    /// The purge.
    pub purge: Url,
    /// Forcing a customer into the queue, where offered.
    pub force_enqueue: Option<Url>,
}

/// An Association Anywhere service.
#[derive(Clone, Debug)]
pub struct AssociationAnywhereSettings {
    /// Where its services are.
    pub services: Services,
    /// The vendor's user.
    pub username: Secret,
    /// Its password.
    pub password: Secret,
    /// Use the queue that says why each customer is in it.
    pub reasons: bool,
    /// When the queue is purged.
    pub purge: Purge,
    /// Customers in one request for details.
    pub chunk: u32,
    /// The sections to ask for; `None`: those that the mapping uses.
    pub include: Option<Vec<String>>,
    /// The sections of which inactive, expired or bad items are asked for too.
    pub inactive: Vec<String>,
    /// How its dates are written, as strftime patterns.
    pub dates: Vec<String>,
    /// Overrules what the answer says of its character set.
    pub charset: Option<String>,
    /// How names are spelled in requests.
    pub names: NameStyle,
    /// The zone of its times; UTC when left out.
    pub time_zone: Tz,
    /// A certificate authority beside those of the system.
    pub ca: Option<PathBuf>,
}

pub(super) fn read(
    context: &Context<'_>,
    value: &Value<'_>,
) -> Option<AssociationAnywhereSettings> {
    let before = value.problems().count();
    let map = value.map(KEYS)?;
    let services = match (map.optional("base"), map.optional("urls")) {
        (Some(base), None) => web_address(&base).map(Services::Base),
        (None, Some(urls)) => service_urls(&urls),
        (Some(_), Some(urls)) => urls.invalid("give either base or urls, not both"),
        (None, None) => {
            value.report("E-CFG-KEY", "key \"base\" (or \"urls\") is missing");
            None
        }
    };
    let username = map.required("username").and_then(|v| v.filled_text());
    let password = map.required("password").and_then(|v| context.secret(&v));
    let reasons = map.optional("reasons").map(|v| v.bool());
    let purge = map.optional("purge").and_then(|v| {
        v.word(&[
            ("processed", Purge::Processed),
            ("journalled", Purge::Journalled),
        ])
    });
    let details = map
        .optional("details")
        .map(|v| details(&v))
        .unwrap_or_default();
    let dates = map.optional("dates").map(|v| date_patterns(&v));
    let charset = map.optional("charset").and_then(|v| {
        let label = v.filled_text()?;
        if encoding_rs::Encoding::for_label(label.as_bytes()).is_none() {
            return v.invalid(format!(
                "{} is not a character set such as utf-8 or windows-1252",
                v.shown()
            ));
        }
        Some(label)
    });
    let names = map
        .optional("names")
        .map_or(NameStyle::Camel, |v| names(&v));
    let time_zone = map
        .optional("time_zone")
        .map_or(Some(Tz::UTC), |v| zone(&v));
    let ca = map.optional("ca").and_then(|v| context.existing_file(&v));
    if value.problems().count() > before {
        return None;
    }
    Some(AssociationAnywhereSettings {
        services: services?,
        username: Secret::new(username?),
        password: password?,
        reasons: reasons.unwrap_or(Some(true))?,
        purge: purge.unwrap_or(Purge::Processed),
        chunk: details.chunk.unwrap_or(DEFAULT_CHUNK),
        include: details.include,
        inactive: details.inactive,
        dates: dates.unwrap_or_else(|| vec!["%m/%d/%Y".to_owned(), "%Y-%m-%d".to_owned()]),
        charset: charset.map(str::to_owned),
        names,
        time_zone: time_zone?,
        ca,
    })
}

fn service_urls(value: &Value<'_>) -> Option<Services> {
    let map = value.map(URL_KEYS)?;
    let required = |key| map.required(key).and_then(|v| web_address(&v));
    let (queue, details, purge) = (required("queue"), required("details"), required("purge"));
    let force_enqueue = map.optional("force_enqueue").and_then(|v| web_address(&v));
    Some(Services::Urls(Box::new(ServiceUrls {
        queue: queue?,
        details: details?,
        purge: purge?,
        force_enqueue,
    })))
}

#[derive(Default)]
struct Details {
    chunk: Option<u32>,
    include: Option<Vec<String>>,
    inactive: Vec<String>,
}

fn details(value: &Value<'_>) -> Details {
    let Some(map) = value.map(DETAIL_KEYS) else {
        return Details::default();
    };
    let words: Vec<(&str, &str)> = sections().map(|name| (name, name)).collect();
    let include = map.optional("include").map(|list| {
        list.list()
            .iter()
            .filter_map(|item| item.word(&words).map(str::to_owned))
            .collect()
    });
    let inactive = sections()
        .filter(|name| {
            map.optional(name)
                .and_then(|v| v.map(SECTION_KEYS)?.optional("inactive")?.bool())
                .unwrap_or(false)
        })
        .map(str::to_owned)
        .collect();
    Details {
        chunk: map
            .optional("chunk")
            .and_then(|v| v.integer(1..=CHUNK_MAX))
            .and_then(|chunk| u32::try_from(chunk).ok()),
        include,
        inactive,
    }
}

fn date_patterns(value: &Value<'_>) -> Vec<String> {
    let items = value.list();
    if value.is_list() && items.is_empty() {
        value.invalid::<()>("needs at least one pattern such as \"%m/%d/%Y\"");
    }
    items
        .iter()
        .filter_map(|item| {
            let text = item.filled_text()?;
            let broken = chrono::format::StrftimeItems::new(text)
                .any(|part| part == chrono::format::Item::Error);
            if broken || !text.contains('%') {
                return item.invalid(format!(
                    "{} is not a pattern such as \"%m/%d/%Y\"",
                    item.shown()
                ));
            }
            Some(text.to_owned())
        })
        .collect()
}

/// A name that an XML element can have.
fn element_name(value: &Value<'_>) -> Option<String> {
    let name = value.filled_text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(plain)
    {
        return value.invalid(format!(
            "{} is not the name of an XML element",
            value.shown()
        ));
    }
    Some(name.to_owned())
}

fn names(value: &Value<'_>) -> NameStyle {
    if !value.is_map() {
        let words = [("camel", false), ("hyphen", true)];
        return match value.word(&words) {
            Some(true) => NameStyle::Hyphen,
            _ => NameStyle::Camel,
        };
    }
    value.map(NAME_KEYS);
    let services = value.entries().into_iter().filter_map(|(key, entry)| {
        let map = entry.map(SERVICE_NAME_KEYS)?;
        let text = |key| map.optional(key).and_then(|v| element_name(&v));
        Some(ServiceNames {
            service: key.text.clone(),
            root: text("root"),
            user: text("user"),
            password: text("password"),
            number: text("number"),
        })
    });
    NameStyle::PerService(services.collect())
}
