//! What a contact must look like in the tables of `mappings/contactlist.yaml`, said once more and otherwise: straight
//! from the simulator's people, without a word of the program's own mapping.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use contactbridge::simulator::contactlist::Person;

/// The mapping that `init` writes, with one custom form field more.
pub fn mapping() -> String {
    let starter = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/contactlist.yaml");
    let company = "  - { column: company, remote: \"crmForms[formName=Membership].crmFormFields[fieldName=Company Name].fieldValue\" }\n\n";
    let text = std::fs::read_to_string(starter).expect("the starter mapping");
    let place = "  # --- the CRM's own times";
    assert!(text.contains(place));
    text.replacen(place, &format!("{company}{place}"), 1)
}

/// Column, and the cell as text; NULL is `-`.
pub type Row = BTreeMap<String, String>;

fn text(value: Option<&str>) -> String {
    value.filter(|text| !text.is_empty()).unwrap_or("-").into()
}

fn instant(wall: NaiveDateTime, zone: Tz) -> String {
    if wall.date() == contactbridge::simulator::contactlist::year_one().date() {
        return "-".into();
    }
    let instant = zone.from_local_datetime(&wall).earliest();
    let utc = instant
        .expect("a wall time of the zone")
        .with_timezone(&Utc);
    utc.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `normalize: email`, for the addresses that are seeded: the domain in lower case.
fn address(email: Option<&str>) -> String {
    match email.and_then(|email| email.split_once('@')) {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => "-".into(),
    }
}

/// The row of a contact, without the generated key and the mark of deletion.
pub fn row(person: &Person, zone: Tz) -> Row {
    let mut row = Row::new();
    let mut put = |column: &str, value: String| row.insert(column.into(), value);
    put("customer_no", text(person.external_id.as_deref()));
    put("email", address(person.email()));
    put("crm_id", person.entity_id.to_string());
    put("title", text(person.contact_title.as_deref()));
    put("first_name", text(person.first_name.as_deref()));
    put("last_name", text(person.last_name.as_deref()));
    let names = [&person.first_name, &person.last_name].map(|name| name.as_deref().unwrap_or(""));
    // A blank stands between two names only.
    let whole = match names.map(str::is_empty) {
        [false, false] => format!("{} {}", names[0], names[1]),
        _ => names.concat(),
    };
    put("full_name", text(Some(&whole)));
    let born = person.date_of_birth.date();
    let unset = born == contactbridge::simulator::contactlist::year_one().date();
    put("born_on", if unset { "-".into() } else { born.to_string() });
    put("customer_type", text(person.customer_type.as_deref()));
    put("industry", text(person.industry_type.as_deref()));
    put("lead_source", text(person.lead_source_type.as_deref()));
    put("rating", text(person.rating_type.as_deref()));
    put("opted_in", u8::from(person.master_opt_in).to_string());
    for (column, kind) in [
        ("home_phone", 1),
        ("home_fax", 2),
        ("work_phone", 3),
        ("work_fax", 4),
        ("mobile", 5),
        ("pager", 6),
        ("email_2", 8),
        ("email_3", 9),
        ("website", 10),
    ] {
        put(column, text(person.phone(kind)));
    }
    let addresses = person.addresses.iter().flatten().flatten();
    let addresses: Vec<_> = addresses.collect();
    for (prefix, kind) in [("home", 1), ("work", 2), ("delivery", 5), ("billing", 8)] {
        let found = addresses.iter().find(|item| item.address_type_id == kind);
        for (suffix, value) in [
            ("line_1", found.map(|item| &item.address_line_1)),
            ("line_2", found.map(|item| &item.address_line_2)),
            ("city", found.map(|item| &item.city)),
            ("state", found.map(|item| &item.state)),
            ("postcode", found.map(|item| &item.zipcode)),
            ("country", found.map(|item| &item.country_code)),
        ] {
            let value = value.and_then(|value| value.as_deref());
            put(&format!("{prefix}_{suffix}"), text(value));
        }
    }
    let forms = person.crm_forms.iter().flatten().flatten();
    let mut membership = forms.filter(|form| form.form_name.as_deref() == Some("Membership"));
    let fields = membership.next().and_then(|form| form.fields.as_ref());
    let company = fields
        .into_iter()
        .flatten()
        .flatten()
        .find(|field| field.field_name.as_deref() == Some("Company Name"));
    put(
        "company",
        text(company.and_then(|field| field.field_value.as_deref())),
    );
    put("crm_created_at", instant(person.create_date, zone));
    put("crm_updated_at", instant(person.last_update_date, zone));
    row
}

/// The rows of a contact's addresses: kind, then the six texts.
pub fn addresses(person: &Person) -> BTreeSet<Vec<String>> {
    let items = person.addresses.iter().flatten().flatten();
    items
        .map(|item| {
            let texts = [
                &item.address_line_1,
                &item.address_line_2,
                &item.city,
                &item.state,
                &item.zipcode,
                &item.country_code,
            ];
            let mut row = vec![item.address_type_id.to_string()];
            row.extend(texts.map(|value| text(value.as_deref())));
            row
        })
        // An item of which only the type is left is no address.
        .filter(|row| row[1..].iter().any(|cell| cell != "-"))
        .collect()
}

/// The rows of a contact's telephones: kind and number.
pub fn phones(person: &Person) -> BTreeSet<Vec<String>> {
    let items = person.phone_nos.iter().flatten().flatten();
    items
        .map(|item| {
            vec![
                item.phone_no_type_id.to_string(),
                text(item.phone_no.as_deref()),
            ]
        })
        .filter(|row| row[1] != "-")
        .collect()
}
