//! The one table of the service's record: names in the order of the wire, and what stands under each.
//!
//! Vocabulary, encoder and decoder are driven by it, so that they can't disagree. The yaserde types of `wire` state the
//! same independently, and a property test holds both equal. Source: `contactlist.md` §4 and the service's description.

/// Namespace of every element and type, without trailing slash (`contactlist.md` §1).
pub const NAMESPACE: &str = "http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice";

/// What the service writes for "no date" (`contactlist.md` §5).
pub const NO_DATE: &str = "0001-01-01T00:00:00";

/// What stands under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `string`, minOccurs 0.
    Text,
    /// `int`, minOccurs 1, with what is sent where a document lacks it.
    Integer(&'static str),
    /// `boolean`, minOccurs 1.
    Bool,
    /// `dateTime`, minOccurs 1.
    DateTime,
    /// An array: the element of its items, and their fields.
    List(&'static str, &'static [Field]),
}

/// One element of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its name, in the service's namespace.
    pub name: &'static str,
    /// What stands under it.
    pub kind: Kind,
}

const fn text(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Text,
    }
}

const fn integer(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Integer("0"),
    }
}

const fn date(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::DateTime,
    }
}

const fn boolean(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Bool,
    }
}

const fn list(name: &'static str, item: &'static str, fields: &'static [Field]) -> Field {
    Field {
        name,
        kind: Kind::List(item, fields),
    }
}

static RELATIONSHIP: [Field; 3] = [integer("entityId"), integer("entityType"), text("name")];

static ADDRESS: [Field; 7] = [
    integer("addressTypeID"),
    text("addressLine1"),
    text("addressLine2"),
    text("city"),
    text("zipcode"),
    text("state"),
    text("countryCode"),
];

static PHONE: [Field; 2] = [integer("phoneNoTypeID"), text("phoneNo")];

static FORM_FIELD: [Field; 4] = [
    integer("fieldId"),
    integer("fieldTypeId"),
    text("fieldName"),
    text("fieldValue"),
];

static FORM: [Field; 3] = [
    integer("formId"),
    text("formName"),
    list("crmFormFields", "CrmFormFields", &FORM_FIELD),
];

/// A `ContactRecord`, in the exact order of the wire.
pub(super) static CONTACT: [Field; 22] = [
    // -1 says "none yet" (`contactlist.md` §4).
    Field {
        name: "entityId",
        kind: Kind::Integer("-1"),
    },
    text("externalId"),
    text("emailAddress"),
    text("contactTitle"),
    boolean("deleted"),
    text("fullName"),
    text("firstName"),
    text("lastName"),
    text("username"),
    text("password"),
    date("dateOfBirth"),
    date("createDate"),
    date("lastUpdateDate"),
    text("customerType"),
    text("industryType"),
    text("leadSourceType"),
    text("ratingType"),
    list("relationships", "Relationship", &RELATIONSHIP),
    list("addresses", "Address", &ADDRESS),
    list("phoneNos", "PhoneNo", &PHONE),
    list("crmForms", "CrmForms", &FORM),
    boolean("MasterOptIn"),
];
