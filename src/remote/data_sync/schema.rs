//! The names of both objects, in the order of the seed, and how each value is written in JSON.
//!
//! What the seed's examples show is certain; what they leave empty has the names of the vendor's v3.1 classes (`orce.md` §5
//! and §6). Unknown names are open: they are read as they stand and mapped as texts.

use crate::model::{Scalar, Shape};

/// One name of a record.
pub(super) struct Field {
    pub name: &'static str,
    /// Other spellings under which it comes (`orce.md` §5: how `email` is spelled is open).
    pub also: &'static [&'static str],
    pub kind: Kind,
}

/// What stands under a name, and how it is written.
pub(super) enum Kind {
    /// A JSON string.
    Text,
    /// The name of a Java constant: `FIRST`, also read from `First`.
    Constant,
    /// A JSON number without fraction.
    Integer,
    /// A JSON number.
    Decimal,
    /// A number in a JSON string.
    DecimalText,
    /// A whole number in a JSON string.
    IntegerText,
    /// `true` or `false`.
    Bool,
    /// `"true"` or `"false"`.
    BoolText,
    /// `YYYY-MM-DD`.
    Date,
    /// `2017-11-07T12:54:22+0530`.
    DateTime,
    Record(&'static [Field]),
    List(&'static [Field]),
    /// An array of strings, which a document holds as one text, a line each.
    Texts,
}

/// The name under which an item that is no object stands in its record.
pub(super) const ITEM: &str = "value";

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        also: &[],
        kind,
    }
}

const fn text(name: &'static str) -> Field {
    field(name, Kind::Text)
}

/// The names of customers.
pub(super) const CUSTOMER: &[Field] = &[
    text("customerID"),
    field("signupDate", Kind::Date),
    text("retailStoreID"),
    field("firstPurchaseDate", Kind::Date),
    field("lastPurchaseDate", Kind::Date),
    field(
        "validation",
        Kind::Record(&[field("validFlag", Kind::BoolText), text("value")]),
    ),
    text("orgName"),
    text("custOrgTypcode"),
    text("employeeID"),
    text("businessName"),
    text("customerClass"),
    text("source"),
    field("prospect", Kind::Bool),
    text("customerOwnerID"),
    text("householdKey"),
    text("customerNumber"),
    text("customerReference"),
    field(
        "lastUpdateInfo",
        Kind::Record(&[text("updateUserID"), field("updateDate", Kind::DateTime)]),
    ),
    field(
        "affiliation",
        Kind::List(&[text("retailStoreID"), text("action")]),
    ),
    field(
        "entityInformation",
        Kind::Record(&[field("individual", Kind::Record(INDIVIDUAL))]),
    ),
    field(
        "alternateKey",
        Kind::List(&[text("typeCode"), text("alternateID"), text("updateType")]),
    ),
    field(
        "customAttribute",
        Kind::List(&[
            text("name"),
            field("editable", Kind::BoolText),
            field("attributeValue", Kind::Texts),
        ]),
    ),
    field(
        "customerNotes",
        Kind::Record(&[field("customerNote", Kind::List(NOTE))]),
    ),
    field(
        "eligiblePromotionDeals",
        Kind::Record(&[field(
            "promotionDealId",
            Kind::List(&[
                text("value"),
                text("name"),
                field("exclusive", Kind::BoolText),
            ]),
        )]),
    ),
    field(
        "customerSegments",
        Kind::Record(&[field("segment", Kind::List(SEGMENT))]),
    ),
    field(
        "customerCards",
        Kind::Record(&[field("instrument", Kind::List(CARD))]),
    ),
    field(
        "associateAssignments",
        Kind::Record(&[field("associateAssignment", Kind::List(ASSOCIATE))]),
    ),
    field(
        "personalPreferences",
        Kind::Record(&[field(
            "contactPreference",
            Kind::List(&[
                field("contactType", Kind::Constant),
                field("permission", Kind::BoolText),
            ]),
        )]),
    ),
    field(
        "franchisees",
        Kind::Record(&[field(
            "franchisee",
            Kind::List(&[field("franchiseeId", Kind::Integer), text("franchiseeName")]),
        )]),
    ),
    field(
        "preferenceCenters",
        Kind::Record(&[field("preferenceCenter", Kind::List(PREFERENCE))]),
    ),
];

const INDIVIDUAL: &[Field] = &[
    text("suffix"),
    text("sortingName"),
    text("nickName"),
    text("salutation"),
    field(
        "name",
        Kind::Record(&[field(
            "name",
            Kind::List(&[field("location", Kind::Constant), text("value")]),
        )]),
    ),
    field(
        "contactInformation",
        Kind::Record(&[
            field("address", Kind::List(ADDRESS)),
            field("telephone", Kind::List(TELEPHONE)),
            Field {
                name: "email",
                also: &["eMail"],
                kind: Kind::List(EMAIL),
            },
        ]),
    ),
    field(
        "personalSummary",
        Kind::Record(&[
            text("genderType"),
            field("birthDate", Kind::Date),
            field("anniversary", Kind::Date),
            text("maritalStatusCode"),
            text("ethnicity"),
            field("rent", Kind::Bool),
            text("languageCode"),
        ]),
    ),
    field(
        "socioEconomicProfile",
        Kind::Record(&[
            text("annualIncomeAmount"),
            text("netWorth"),
            text("highestEducationalLevelName"),
        ]),
    ),
    field(
        "lifetimeActivitySummary",
        Kind::Record(&[
            field("totalReturnsAmount", Kind::DecimalText),
            field("totalSalesAmount", Kind::DecimalText),
            field("totalTransactionCount", Kind::IntegerText),
            field("totalItemsSoldCount", Kind::IntegerText),
            field("totalItemsReturnedCount", Kind::IntegerText),
        ]),
    ),
    field(
        "yearToDateActivitySummary",
        Kind::Record(&[
            field("yearToDateReturnsAmount", Kind::DecimalText),
            field("yearToDateSalesAmount", Kind::DecimalText),
            field("yearToDateTransactionCount", Kind::IntegerText),
            field("yearToDateItemsSoldCount", Kind::IntegerText),
            field("yearToDateItemsReturnedCount", Kind::IntegerText),
        ]),
    ),
];

const ADDRESS: &[Field] = &[
    text("typeCode"),
    text("addressLine1"),
    text("addressLine2"),
    text("addressLine3"),
    text("addressLine4"),
    text("apartmentNumber"),
    text("city"),
    text("county"),
    text("territory"),
    text("postalCode"),
    text("country"),
    text("label"),
    field("primaryFlag", Kind::BoolText),
    field("validFlag", Kind::BoolText),
    text("contactPreferenceCode"),
    text("updateType"),
    text("sequenceNumber"),
];

const TELEPHONE: &[Field] = &[
    text("typeCode"),
    text("phoneNumber"),
    text("extension"),
    text("label"),
    field("primaryFlag", Kind::BoolText),
    field("validFlag", Kind::BoolText),
    text("contactPreferenceCode"),
    text("updateType"),
    text("searchType"),
    text("sequenceNumber"),
];

const EMAIL: &[Field] = &[
    text("typeCode"),
    Field {
        name: "emailAddress",
        also: &["eMailAddress", "EMailAddress"],
        kind: Kind::Text,
    },
    text("label"),
    field("primaryFlag", Kind::BoolText),
    field("validFlag", Kind::BoolText),
    text("contactPreferenceCode"),
    text("formatPreferenceCode"),
    text("updateType"),
    text("searchType"),
    text("sequenceNumber"),
];

const NOTE: &[Field] = &[
    text("sequence"),
    text("value"),
    text("type"),
    text("location"),
    field("privateFlag", Kind::BoolText),
    text("createDate"),
    text("createUser"),
];

const SEGMENT: &[Field] = &[
    text("segmentId"),
    text("name"),
    text("description"),
    text("type"),
    text("openAccess"),
    text("publishToPromote"),
    field(
        "segmentMessage",
        Kind::List(&[
            text("languageCode"),
            text("message"),
            text("customerMessage"),
            text("receiptMessage"),
        ]),
    ),
    field(
        "strata",
        Kind::List(&[
            text("strataType"),
            text("strataField"),
            text("strataFormat"),
            text("basedOnValue"),
            text("numberOfStrata"),
            text("customerStrata"),
            text("customerValue"),
            text("averageStrataValue"),
        ]),
    ),
];

const CARD: &[Field] = &[
    text("cardNumber"),
    text("cardSerialNumber"),
    text("description"),
    field("primaryAccountHolderFlag", Kind::BoolText),
    field("accountId", Kind::Texts),
];

const ASSOCIATE: &[Field] = &[
    text("associateId"),
    text("value"),
    text("associateName"),
    text("roleId"),
    text("roleName"),
    field("primaryFlag", Kind::BoolText),
    field("lockedFlag", Kind::BoolText),
    text("updateDate"),
    text("updateUser"),
];

const PREFERENCE: &[Field] = &[
    text("preferenceTypeId"),
    text("preferenceTypeName"),
    field(
        "preferenceCenterChannel",
        Kind::List(&[
            text("channelTypeCode"),
            text("frequencyCode"),
            field("optInFlag", Kind::BoolText),
            text("communicationLastSentDate"),
            text("authorizationDocument"),
            text("updateDate"),
            text("updateUser"),
        ]),
    ),
];

/// The names of transactions.
pub(super) const TRANSACTION: &[Field] = &[
    text("retailTransactionId"),
    field("organizationId", Kind::Integer),
    field("beginDatetime", Kind::DateTime),
    field("businessDate", Kind::Date),
    field("originalBusinessDate", Kind::Date),
    text("customerId"),
    field("voidFlag", Kind::Bool),
    text("customerKey"),
    field("endDatetime", Kind::DateTime),
    text("currencyTypeCode"),
    text("orgCurrencyTypeCode"),
    field("currencyExchangeRate", Kind::Decimal),
    field("keyedOfflineFlag", Kind::Bool),
    text("notes"),
    text("operatorId"),
    text("customerOrganizationId"),
    text("customerOrganizationKey"),
    field("postedFlag", Kind::Bool),
    text("retailLocationId"),
    field("nonPhysicalItemTotal", Kind::Decimal),
    field("subtotal", Kind::Decimal),
    field("taxTotal", Kind::Decimal),
    field("total", Kind::Decimal),
    field("markdownTotal", Kind::Decimal),
    field("costOfGoodsSoldTotal", Kind::Decimal),
    text("transactionReasonCode"),
    field("transactionSequence", Kind::Integer),
    text("transactionStatusCode"),
    text("transactionTypeCode"),
    field("workstationId", Kind::Integer),
    text("linkedTransactionId"),
    field("createDate", Kind::Date),
    text("createUserId"),
    field("updateDate", Kind::Date),
    text("updateUserId"),
    field("lineItems", Kind::List(LINE_ITEM)),
    field(
        "transactionProperties",
        Kind::List(&[text("code"), text("value")]),
    ),
];

const LINE_ITEM: &[Field] = &[
    field("lineItemSequence", Kind::Integer),
    field("beginDateTimestamp", Kind::DateTime),
    field("endDateTimestamp", Kind::DateTime),
    text("lineItemStatusCode"),
    field("lineItemTLogSequence", Kind::Integer),
    text("lineItemTypeCode"),
    text("notes"),
    field("voidFlag", Kind::Bool),
    text("voidLineItemReasonCode"),
    text("custId"),
    field("createDate", Kind::Date),
    text("createUserId"),
    field("updateDate", Kind::Date),
    text("updateUserId"),
    field("lineItemModifiers", Kind::List(MODIFIER)),
];

const MODIFIER: &[Field] = &[
    field("lineItemSequence", Kind::Integer),
    field("lineItemModifierSequence", Kind::Integer),
    field("voidFlag", Kind::Bool),
    text("custId"),
    field("createDate", Kind::Date),
    text("createUserId"),
    field("updateDate", Kind::Date),
    text("updateUserId"),
];

/// The field of that name, or of a name that means it.
pub(super) fn known(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields
        .iter()
        .find(|field| field.name == name || field.also.contains(&name))
}

/// The shape of a record with these names.
pub(super) fn shape(fields: &'static [Field]) -> Shape {
    Shape::OpenRecord(
        fields
            .iter()
            .map(|field| (field.name, of_kind(&field.kind)))
            .collect(),
    )
}

fn of_kind(kind: &'static Kind) -> Shape {
    match kind {
        Kind::Text | Kind::Constant | Kind::Texts => Shape::Scalar(Scalar::Text),
        Kind::Integer | Kind::IntegerText => Shape::Scalar(Scalar::Integer),
        Kind::Decimal | Kind::DecimalText => Shape::Scalar(Scalar::Decimal),
        Kind::Bool | Kind::BoolText => Shape::Scalar(Scalar::Bool),
        Kind::Date => Shape::Scalar(Scalar::Date),
        Kind::DateTime => Shape::Scalar(Scalar::DateTime),
        Kind::Record(fields) => shape(fields),
        Kind::List(fields) => Shape::List(Box::new(shape(fields))),
    }
}
