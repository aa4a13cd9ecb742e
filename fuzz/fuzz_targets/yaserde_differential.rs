//! Any bytes as one record: whenever both decoders take the page, they have read the same of it.
//!
//! The bridge reads in streams (`decode_list`); the types of yaserde (`wire`) say what the wire is, and are a second decoder of it. Yaserde is given
//! only what the strict pass took, as its module asks. What is left out of the comparison is what that module lists: yaserde trims texts, reads a
//! carriage return as a line feed, and does not know `xsi:nil`;
//! and what it has no place for (names that the description lacks).
#![no_main]

use std::sync::LazyLock;

use contactbridge::model::{Document, RemoteItem};
use contactbridge::remote::contactlist::{
    Answer, AnswerLimits, NAMESPACE, Reading, decode_list, wire,
};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

/// What yaserde takes no record without; the streaming decoder needs the id alone.
const NEEDED: [(&str, &str); 6] = [
    ("entityId", "7"),
    ("deleted", "false"),
    ("dateOfBirth", "0001-01-01T00:00:00"),
    ("createDate", "2020-02-29T10:00:00"),
    ("lastUpdateDate", "2020-02-29T10:00:00"),
    ("MasterOptIn", "true"),
];

/// The record with what it lacks, so that both decoders go on to the rest of it.
fn completed(record: &str) -> String {
    let mut whole = record.to_owned();
    for (name, value) in NEEDED {
        if !record.contains(&format!("<{name}")) {
            whole.push_str(&format!("<{name}>{value}</{name}>"));
        }
    }
    format!("<ContactRecord>{whole}</ContactRecord>")
}

/// The response with the record and one more, without the envelope, which is not yaserde's business.
fn response(record: &str) -> String {
    let records = completed(record) + &completed("");
    format!(
        "<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\"><ContactList_RetrieveResult>{records}</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>false</moreRecords></ContactList_RetrieveResponse>"
    )
}

fn envelope(response: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{response}</s:Body></s:Envelope>"
    )
}

fn strict(body: &[u8]) -> Option<Vec<Document>> {
    let reading = Reading {
        zone: chrono_tz::UTC,
        limits: AnswerLimits::default(),
    };
    let Ok(Answer::Response(list)) = decode_list(body, &reading) else {
        return None;
    };
    let items = list.items.into_iter();
    items
        .map(|item| match item {
            RemoteItem::Record(record) => Some(record.document),
            RemoteItem::Bad(_) => None,
        })
        .collect()
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// A text as both show it: what is absent or empty says the same.
fn text<'d>(document: &'d Document, name: &str) -> &'d str {
    document.text(name).map_or("", trim)
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().map_or("", trim)
}

fn number(document: &Document, name: &str) -> Option<i32> {
    document.text(name).and_then(|text| trim(text).parse().ok())
}

fn boolean(document: &Document, name: &str) -> Option<bool> {
    match document.text(name).map(trim) {
        Some("false" | "0") => Some(false),
        Some("true" | "1") => Some(true),
        _ => None,
    }
}

fn same_texts(document: &Document, read: &[(&str, &Option<String>)]) {
    for (name, value) in read {
        assert_eq!(text(document, name), shown(value), "{name}");
    }
}

fn same_numbers(document: &Document, read: &[(&str, i32)]) {
    for (name, value) in read {
        assert_eq!(number(document, name), Some(*value), "{name}");
    }
}

/// The items of a list, pair by pair.
fn pairs<'a, T>(
    document: &'a Document,
    name: &str,
    items: Option<&'a [T]>,
) -> impl Iterator<Item = (&'a Document, &'a T)> {
    let (ours, items) = (document.list(name), items.unwrap_or_default());
    assert_eq!(ours.len(), items.len(), "{name}");
    ours.iter().zip(items)
}

fn same(document: &Document, read: &wire::ContactRecord) {
    same_numbers(document, &[("entityId", read.entity_id)]);
    for (name, value) in [
        ("deleted", read.deleted),
        ("MasterOptIn", read.master_opt_in),
    ] {
        assert_eq!(boolean(document, name), Some(value), "{name}");
    }
    for (name, value) in [
        ("dateOfBirth", &read.date_of_birth),
        ("createDate", &read.create_date),
        ("lastUpdateDate", &read.last_update_date),
    ] {
        assert_eq!(text(document, name), trim(value), "{name}");
    }
    same_texts(
        document,
        &[
            ("externalId", &read.external_id),
            ("emailAddress", &read.email_address),
            ("contactTitle", &read.contact_title),
            ("fullName", &read.full_name),
            ("firstName", &read.first_name),
            ("lastName", &read.last_name),
            ("customerType", &read.customer_type),
            ("industryType", &read.industry_type),
            ("leadSourceType", &read.lead_source_type),
            ("ratingType", &read.rating_type),
        ],
    );
    // A login never leaves the bridge's decoder.
    assert!(document.get("username").is_none() && document.get("password").is_none());
    let items = read.addresses.as_ref().map(|list| &list.items[..]);
    for (address, read) in pairs(document, "addresses", items) {
        same_numbers(address, &[("addressTypeID", read.address_type_id)]);
        same_texts(
            address,
            &[
                ("addressLine1", &read.address_line1),
                ("addressLine2", &read.address_line2),
                ("city", &read.city),
                ("zipcode", &read.zipcode),
                ("state", &read.state),
                ("countryCode", &read.country_code),
            ],
        );
    }
    let items = read.relationships.as_ref().map(|list| &list.items[..]);
    for (relationship, read) in pairs(document, "relationships", items) {
        same_numbers(
            relationship,
            &[
                ("entityId", read.entity_id),
                ("entityType", read.entity_type),
            ],
        );
        same_texts(relationship, &[("name", &read.name)]);
    }
    let items = read.phone_nos.as_ref().map(|list| &list.items[..]);
    for (phone, read) in pairs(document, "phoneNos", items) {
        same_numbers(phone, &[("phoneNoTypeID", read.phone_no_type_id)]);
        same_texts(phone, &[("phoneNo", &read.phone_no)]);
    }
    let items = read.crm_forms.as_ref().map(|list| &list.items[..]);
    for (form, read) in pairs(document, "crmForms", items) {
        same_numbers(form, &[("formId", read.form_id)]);
        same_texts(form, &[("formName", &read.form_name)]);
        let items = read.crm_form_fields.as_ref().map(|list| &list.items[..]);
        for (field, read) in pairs(form, "crmFormFields", items) {
            same_numbers(
                field,
                &[
                    ("fieldId", read.field_id),
                    ("fieldTypeId", read.field_type_id),
                ],
            );
            same_texts(
                field,
                &[
                    ("fieldName", &read.field_name),
                    ("fieldValue", &read.field_value),
                ],
            );
        }
    }
}

/// What yaserde has read of the response.
fn typed(response: &str) -> Option<Vec<wire::ContactRecord>> {
    let read = yaserde::de::from_str::<wire::ContactListRetrieveResponse>(response).ok()?;
    Some(read.result.map(|list| list.items).unwrap_or_default())
}

/// A target whose decoders take nothing would find nothing.
static BOTH_READ: LazyLock<()> = LazyLock::new(|| {
    let response = response("<entityId>9</entityId><fullName/><firstName>A &amp; B</firstName>");
    assert_eq!(
        strict(envelope(&response).as_bytes()).map(|all| all.len()),
        Some(2)
    );
    assert_eq!(typed(&response).map(|all| all.len()), Some(2));
});

fuzz_target!(|record: &str| {
    LazyLock::force(&BOTH_READ);
    // What yaserde does not know, or reads otherwise, as its module says.
    if record.contains("nil") || record.contains('\r') || record.contains("&#") {
        return;
    }
    let response = response(record);
    let body = envelope(&response);
    let Some(ours) = bounded(body.as_bytes(), || strict(body.as_bytes())) else {
        return;
    };
    let Some(read) = bounded(response.as_bytes(), || typed(&response)) else {
        return;
    };
    assert_eq!(ours.len(), read.len(), "records");
    for (document, read) in ours.iter().zip(&read) {
        same(document, read);
    }
});
