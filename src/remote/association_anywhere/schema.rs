//! The one table of what is known of a customer: names as the contract spells them, what stands under each, and how the
//! sections are asked for.
//!
//! Vocabulary, requests and decoding are driven by it, so that they can't disagree. What is not in it is kept as it comes.
//! Source: `association-anywhere.md` §6.1 and §6.3.

use std::borrow::Cow;

/// What stands under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// `true` or `false`; also Y, N, 1 and 0 (`association-anywhere.md` §10).
    Bool,
    /// A date or a time, as the site writes them.
    Date,
    /// A record: these fields, and perhaps others.
    Record(&'static [Field]),
    /// A list: the element of its items, and what is known of their fields.
    List(&'static str, &'static [Field]),
    /// Only the name is public.
    Open,
}

/// One name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The name as documents have it.
    pub name: &'static str,
    /// What stands under it.
    pub kind: Kind,
}

/// A section that is asked for by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    /// The name, in the request and in the answer.
    pub name: &'static str,
    /// The attribute that asks for inactive, expired or bad items too, where it has one.
    pub everything: Option<&'static str>,
}

const fn text(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Text,
    }
}

const fn flag(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Bool,
    }
}

const fn date(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Date,
    }
}

const fn open(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Open,
    }
}

const fn list(name: &'static str, item: &'static str, fields: &'static [Field]) -> Field {
    Field {
        name,
        kind: Kind::List(item, fields),
    }
}

static NAME: [Field; 9] = [
    text("prefixName"),
    text("firstName"),
    text("middleName"),
    text("lastName"),
    text("suffixName"),
    text("degreeName"),
    text("informalName"),
    text("displayName"),
    text("companyName"),
];

static ROLE: [Field; 1] = [text("role")];

static ADDRESS: [Field; 14] = [
    text("addressSerno"),
    text("addressType"),
    text("addressTypeDescr"),
    flag("best"),
    flag("preferred"),
    text("street1"),
    text("street2"),
    text("street3"),
    text("city"),
    text("state"),
    text("postalCode"),
    text("countryCode"),
    text("countryDescr"),
    flag("badAddress"),
];

static PHONE: [Field; 7] = [
    text("phoneSerno"),
    text("phoneType"),
    text("phoneTypeDescr"),
    flag("best"),
    flag("preferred"),
    text("number"),
    text("ext"),
];

static EMAIL: [Field; 7] = [
    text("emailSerno"),
    text("emailType"),
    text("emailTypeDescr"),
    flag("best"),
    flag("preferred"),
    text("address"),
    flag("badAddress"),
];

// Not public; as the e-mails, says the contract.
static WEBSITE: [Field; 7] = [
    text("websiteSerno"),
    text("websiteType"),
    text("websiteTypeDescr"),
    flag("best"),
    flag("preferred"),
    text("address"),
    flag("badAddress"),
];

static JOB: [Field; 7] = [
    text("employerName"),
    text("titleName"),
    date("startDate"),
    date("endDate"),
    flag("best"),
    flag("preferred"),
    text("employerId"),
];

static MEMBERSHIP: [Field; 12] = [
    text("subgroupId"),
    text("subgroupName"),
    text("subgroupType"),
    text("subgroupTypeDescr"),
    flag("member"),
    text("statusCode"),
    text("statusDescr"),
    text("classCode"),
    text("classSubclassDescr"),
    text("directOrInherited"),
    date("joinDate"),
    date("expirationDate"),
];

static POSITION: [Field; 8] = [
    text("subgroupId"),
    text("subgroupName"),
    text("committeeType"),
    text("committeeGrpDescr"),
    text("committeeDescr"),
    text("positionCode"),
    text("positionDescr"),
    date("startDate"),
];

static ATTRIBUTE: [Field; 7] = [
    text("type"),
    text("typeName"),
    text("code"),
    text("codeDescr"),
    text("char"),
    text("number"),
    date("date"),
];

/// A `custInfo`.
pub(super) static CUSTOMER: [Field; 25] = [
    text("status"),
    text("custId"),
    text("custType"),
    text("loginId"),
    Field {
        name: "name",
        kind: Kind::Record(&NAME),
    },
    list("roles", "role", &ROLE),
    list("addresses", "address", &ADDRESS),
    list("phones", "phone", &PHONE),
    list("emails", "email", &EMAIL),
    list("websites", "website", &WEBSITE),
    list("jobs", "job", &JOB),
    open("employmentAttributes"),
    list("committeePositions", "committeePosition", &POSITION),
    list("memberships", "membership", &MEMBERSHIP),
    list("subscriptions", "subscription", &[]),
    open("communicationPreferences"),
    list("customerAttributes", "customerAttribute", &ATTRIBUTE),
    list("custDimAttrs", "custDimAttr", &[]),
    open("bio"),
    open("aliases"),
    open("companyAdmins"),
    open("certifications"),
    open("employees"),
    open("referralInfo"),
    open("files"),
];

const fn section(name: &'static str, everything: Option<&'static str>) -> Section {
    Section { name, everything }
}

/// The sections in the order of the request (`association-anywhere.md` §6.1).
pub(super) static SECTIONS: [Section; 20] = [
    section("roles", None),
    section("addresses", Some("includeBad")),
    section("phones", None),
    section("emails", Some("includeBad")),
    section("websites", Some("includeBad")),
    section("jobs", Some("includeInactive")),
    section("employmentAttributes", Some("includeAll")),
    section("committeePositions", Some("includeInactive")),
    section("memberships", Some("includeInactive")),
    section("subscriptions", Some("includeExpired")),
    section("communicationPreferences", None),
    section("customerAttributes", Some("includeAll")),
    section("custDimAttrs", Some("includeAll")),
    section("bio", None),
    section("aliases", None),
    section("companyAdmins", None),
    section("certifications", None),
    section("employees", None),
    section("referralInfo", None),
    section("files", None),
];

/// The sections that a change of a table may touch; `None` for a table of which nothing is known.
///
/// The names of these tables are public, that they stand in reasons is not (`association-anywhere.md` §5). CEN_CUST_MAST
/// is the customer itself, and event registrations have no section, so both call for everything.
pub(super) fn sections_of_table(table: &str) -> Option<&'static [&'static str]> {
    let table = table.trim();
    let known: [(&str, &[&str]); 5] = [
        ("CEN_CUST_ADDR", &["addresses"]),
        ("CEN_CUST_PHONE", &["phones"]),
        ("CEN_CUST_CYBER", &["emails", "websites"]),
        (
            "CEN_CUST_EMP",
            &["jobs", "employmentAttributes", "employees"],
        ),
        ("CRT_CUST_MAST", &["certifications"]),
    ];
    known
        .iter()
        .find(|(name, _)| table.eq_ignore_ascii_case(name))
        .map(|(_, sections)| *sections)
}

/// The table whose DELETE says that the customer is gone (seed 000).
pub(super) const CUSTOMER_TABLE: &str = "CEN_CUST_MAST";

/// A name as names are compared: in lower case, without `-` and `_` (`association-anywhere.md` §5).
pub(super) fn folded(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        return Cow::Borrowed(name);
    }
    let kept = name.chars().filter(|c| !matches!(c, '-' | '_'));
    Cow::Owned(kept.flat_map(char::to_lowercase).collect())
}

/// Whether two names are one.
pub(super) fn same(name: &str, other: &str) -> bool {
    name == other || folded(name) == folded(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_hyphen_and_underscore() {
        for name in [
            "max-queue-num",
            "maxQueueNum",
            "MAX_QUEUE_NUM",
            "maxqueuenum",
        ] {
            assert!(same(name, "maxQueueNum"), "{name}");
        }
        assert!(!same("maxQueueNumber", "maxQueueNum"));
    }

    #[test]
    fn every_section_is_known_and_can_be_configured() {
        for section in &SECTIONS {
            assert!(CUSTOMER.iter().any(|field| field.name == section.name));
        }
        let keys: Vec<_> = crate::config::association_anywhere_sections().collect();
        let ours: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
        assert_eq!(keys, ours);
    }

    #[test]
    fn tables_name_sections_that_exist() {
        for table in [
            "CEN_CUST_ADDR",
            "cen_cust_phone",
            "CEN_CUST_CYBER",
            "CEN_CUST_EMP",
            "CRT_CUST_MAST",
        ] {
            for name in sections_of_table(table).unwrap() {
                assert!(SECTIONS.iter().any(|section| section.name == *name));
            }
        }
        assert_eq!(sections_of_table(CUSTOMER_TABLE), None);
        assert_eq!(sections_of_table("EVT_REG_HDR"), None);
    }
}
