//! Everything needed to call a site: addresses, credentials, the names of its requests, and bounds.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use encoding_rs::Encoding;
use reqwest::Url;

use super::schema::SECTIONS;
use crate::config::{
    AssociationAnywhereSettings, DEFAULT_CHUNK, Limits, NameStyle, Secret, ServiceNames, Services,
};
use crate::model::{Error, Result};
use crate::remote::http::{CallLimits, RetryLimits, read_ca};
use crate::remote::xml::AnswerLimits;

/// The packages and procedures below a base address (`association-anywhere.md` §2).
const QUEUE: &str = "CENCUSTINTEGRATESYNCWEBSVCLIB.GET_QUEUE_CUSTS_XML";
const QUEUE_WITH_REASONS: &str = "CENCUSTINTEGRATESYNCWEBSVCLIB.GET_QUEUE_CUSTS_W_REASONS_XML";
const DETAILS: &str = "CENSSAWEBSVCLIB.GET_CUST_INFO_XML";
const PURGE: &str = "CENCUSTINTEGRATESYNCWEBSVCLIB.PURGE_QUEUE_XML";
const FORCE_ENQUEUE: &str = "CENCUSTINTEGRATESYNCWEBSVCLIB.FORCE_ENQUEUE_CUSTS_XML";

/// Where each service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The queue.
    pub queue: Url,
    /// The details.
    pub details: Url,
    /// The purge.
    pub purge: Url,
    /// Forcing customers into the queue, where offered.
    pub force_enqueue: Option<Url>,
}

/// The elements of one service's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The root.
    pub root: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The number up to which is purged.
    pub number: String,
    /// A customer's id.
    pub id: String,
}

/// The elements of all requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestNames {
    /// The queue's.
    pub queue: Words,
    /// The details'.
    pub details: Words,
    /// The purge's.
    pub purge: Words,
    /// Forcing's.
    pub force_enqueue: Words,
}

impl RequestNames {
    /// The names of newer services: `vendorId`, `maxQueueNum` (`association-anywhere.md` §3 to §8).
    pub fn camel() -> Self {
        let words =
            |root: &str| words([root, "vendorId", "vendorPassword", "maxQueueNum", "custId"]);
        Self {
            queue: words("custRequest"),
            details: Self::details(),
            purge: words("purgeRequest"),
            force_enqueue: words("forceEnqueueRequest"),
        }
    }

    /// The names of older services: `vendor-id`, `max-queue-num`. The details service has its own names either way.
    pub fn hyphen() -> Self {
        let words = |root: &str| {
            words([
                root,
                "vendor-id",
                "vendor-password",
                "max-queue-num",
                "cust-id",
            ])
        };
        Self {
            queue: words("cust-request"),
            details: Self::details(),
            purge: words("purge-request"),
            force_enqueue: words("force-enqueue-request"),
        }
    }

    fn details() -> Words {
        words([
            "custInfoRequest",
            "integratorUsername",
            "integratorPassword",
            "maxQueueNum",
            "custId",
        ])
    }

    /// The names that bridge.yaml asks for; what it leaves out is as in [`RequestNames::camel`].
    fn from_settings(style: &NameStyle) -> Self {
        let services = match style {
            NameStyle::Camel => return Self::camel(),
            NameStyle::Hyphen => return Self::hyphen(),
            NameStyle::PerService(services) => services,
        };
        let mut names = Self::camel();
        for given in services {
            let words = match given.service.as_str() {
                "queue" => &mut names.queue,
                "details" => &mut names.details,
                "purge" => &mut names.purge,
                _ => &mut names.force_enqueue,
            };
            words.take_up(given);
        }
        names
    }
}

fn words([root, user, password, number, id]: [&str; 5]) -> Words {
    Words {
        root: root.to_owned(),
        user: user.to_owned(),
        password: password.to_owned(),
        number: number.to_owned(),
        id: id.to_owned(),
    }
}

impl Words {
    fn take_up(&mut self, given: &ServiceNames) {
        for (word, name) in [
            (&mut self.root, &given.root),
            (&mut self.user, &given.user),
            (&mut self.password, &given.password),
            (&mut self.number, &given.number),
        ] {
            if let Some(name) = name {
                word.clone_from(name);
            }
        }
    }
}

/// Everything needed to call a site.
#[derive(Clone)]
pub struct ClientOptions {
    /// Where its services are.
    pub addresses: Addresses,
    /// The vendor's user.
    pub username: Secret,
    /// Its password.
    pub password: Secret,
    /// Whether the queue says why each customer is in it.
    pub reasons: bool,
    /// Customers in one request for details.
    pub chunk: usize,
    /// The sections to ask for; `None`: those that the mapping reads.
    pub include: Option<BTreeSet<String>>,
    /// The sections of which inactive, expired or bad items are asked for too.
    pub inactive: BTreeSet<String>,
    /// How dates are written.
    pub dates: Vec<String>,
    /// Overrules what an answer says of its character set.
    pub charset: Option<&'static Encoding>,
    /// The elements of requests.
    pub names: RequestNames,
    /// The zone of its times.
    pub zone: Tz,
    /// Certificate authorities in PEM, beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// Requests for details in flight.
    pub prefetch: usize,
    /// Bounds of a call.
    pub calls: CallLimits,
    /// Bytes of the queue's answer.
    pub queue_bytes: u64,
    /// Bounds of an answer's content.
    pub answers: AnswerLimits,
    /// Bounds of repeating.
    pub retries: RetryLimits,
}

impl ClientOptions {
    /// Options for a site with the defaults of bridge.yaml.
    pub fn new(addresses: Addresses, username: Secret, password: Secret) -> Self {
        let limits = Limits::default();
        Self {
            addresses,
            username,
            password,
            reasons: true,
            chunk: DEFAULT_CHUNK as usize,
            include: None,
            inactive: BTreeSet::new(),
            dates: vec!["%m/%d/%Y".to_owned(), "%Y-%m-%d".to_owned()],
            charset: None,
            names: RequestNames::camel(),
            zone: Tz::UTC,
            ca: None,
            prefetch: limits.prefetch as usize,
            calls: CallLimits::from_settings(&limits),
            queue_bytes: limits.queue_bytes,
            answers: AnswerLimits::from_settings(&limits),
            retries: RetryLimits::from_settings(&limits),
        }
    }

    /// The options that bridge.yaml asks for. Reads the file of `ca`.
    pub fn from_settings(settings: &AssociationAnywhereSettings, limits: &Limits) -> Result<Self> {
        let charset = match &settings.charset {
            None => None,
            Some(label) => Some(Encoding::for_label(label.as_bytes()).ok_or_else(|| {
                Error::config(
                    "E-CFG-VALUE",
                    "charset: is not a character set that is known",
                )
            })?),
        };
        Ok(Self {
            addresses: Addresses::from_settings(&settings.services, settings.reasons)?,
            username: settings.username.clone(),
            password: settings.password.clone(),
            reasons: settings.reasons,
            chunk: settings.chunk as usize,
            include: settings
                .include
                .as_ref()
                .map(|include| include.iter().cloned().collect()),
            inactive: settings.inactive.iter().cloned().collect(),
            dates: settings.dates.clone(),
            charset,
            names: RequestNames::from_settings(&settings.names),
            zone: settings.time_zone,
            ca: settings.ca.as_deref().map(read_ca).transpose()?,
            prefetch: limits.prefetch as usize,
            calls: CallLimits::from_settings(limits),
            queue_bytes: limits.queue_bytes,
            answers: AnswerLimits::from_settings(limits),
            retries: RetryLimits::from_settings(limits),
        })
    }

    /// The sections that are asked for, of the names that a mapping reads.
    pub(super) fn sections(&self, needed: &BTreeSet<String>) -> BTreeSet<&'static str> {
        let wanted = self.include.as_ref().unwrap_or(needed);
        SECTIONS
            .iter()
            .map(|section| section.name)
            .filter(|name| wanted.contains(*name))
            .collect()
    }
}

impl Addresses {
    /// The addresses below `base`.
    pub fn below(base: &Url, reasons: bool) -> Result<Self> {
        let at = |procedure: &str| {
            let mut url = base.clone();
            match url.path_segments_mut() {
                Ok(mut segments) => {
                    segments.pop_if_empty().push(procedure);
                }
                Err(()) => {
                    return Err(Error::config(
                        "E-CFG-URL",
                        "base: nothing can stand below this address",
                    ));
                }
            }
            Ok(url)
        };
        Ok(Self {
            queue: at(if reasons { QUEUE_WITH_REASONS } else { QUEUE })?,
            details: at(DETAILS)?,
            purge: at(PURGE)?,
            force_enqueue: Some(at(FORCE_ENQUEUE)?),
        })
    }

    /// The addresses that bridge.yaml gives; its `urls.queue` is that of whichever queue `reasons` chooses.
    fn from_settings(services: &Services, reasons: bool) -> Result<Self> {
        match services {
            Services::Base(base) => Self::below(base, reasons),
            Services::Urls(urls) => Ok(Self {
                queue: urls.queue.clone(),
                details: urls.details.clone(),
                purge: urls.purge.clone(),
                force_enqueue: urls.force_enqueue.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{RemoteSettings, Settings};

    fn options(remote: &str) -> ClientOptions {
        let text = format!(
            "bridges:\n  members:\n    remote:\n      kind: association-anywhere\n      username: ${{U}}\n      password: ${{P}}\n{remote}    database: sqlite:c.db\n    mapping: m.yaml\n"
        );
        let environment = |_: &str| Some("x".to_owned());
        let settings = Settings::from_text(&text, Path::new("bridge.yaml"), &environment).unwrap();
        let bridge = settings.bridge("members").unwrap();
        match &bridge.remote {
            RemoteSettings::AssociationAnywhere(remote) => {
                ClientOptions::from_settings(remote, &bridge.limits).unwrap()
            }
            _ => panic!("another kind"),
        }
    }

    #[test]
    fn procedures_stand_below_the_base() {
        let base = "      base: https://ams.example.org/prod/\n";
        let with = options(base).addresses;
        assert_eq!(
            with.queue.as_str(),
            "https://ams.example.org/prod/CENCUSTINTEGRATESYNCWEBSVCLIB.GET_QUEUE_CUSTS_W_REASONS_XML"
        );
        assert_eq!(
            with.details.as_str(),
            "https://ams.example.org/prod/CENSSAWEBSVCLIB.GET_CUST_INFO_XML"
        );
        let without = options(&format!("{base}      reasons: false\n")).addresses;
        assert!(without.queue.as_str().ends_with(".GET_QUEUE_CUSTS_XML"));
        assert_eq!(without.purge, with.purge);
        let urls = "      urls: { queue: https://a.example/q, details: https://a.example/d, purge: https://b.example/p }\n";
        let given = options(&format!("{urls}      reasons: false\n")).addresses;
        assert_eq!(given.queue.as_str(), "https://a.example/q");
        assert_eq!(given.force_enqueue, None);
    }

    #[test]
    fn names_are_presets_with_words_of_ones_own() {
        let base = "      base: https://ams.example.org/prod\n";
        assert_eq!(options(base).names, RequestNames::camel());
        let hyphen = options(&format!("{base}      names: hyphen\n")).names;
        assert_eq!(hyphen.purge.number, "max-queue-num");
        assert_eq!(hyphen.details.user, "integratorUsername");
        let own = options(&format!(
            "{base}      names: {{ purge: {{ root: purge-it, number: upTo }}, details: {{ user: vendorId }} }}\n"
        ))
        .names;
        assert_eq!(
            (own.purge.root.as_str(), own.purge.number.as_str()),
            ("purge-it", "upTo")
        );
        assert_eq!(own.purge.user, "vendorId");
        assert_eq!(own.details.user, "vendorId");
        assert_eq!(own.queue, RequestNames::camel().queue);
    }

    #[test]
    fn sections_are_the_included_ones_else_those_that_the_mapping_reads() {
        let needed: BTreeSet<String> = ["custId", "emails", "phones"].map(str::to_owned).into();
        let base = "      base: https://ams.example.org/prod\n";
        assert_eq!(options(base).sections(&needed), ["emails", "phones"].into());
        let text = format!(
            "{base}      details: {{ include: [jobs], memberships: {{ inactive: true }} }}\n"
        );
        assert_eq!(options(&text).sections(&needed), ["jobs"].into());
        assert_eq!(options(&text).inactive, ["memberships".to_owned()].into());
    }
}
