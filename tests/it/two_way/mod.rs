//! Records flow through the real binary, both ways, and then nothing moves any more.

pub mod conflicts;
pub mod crash;
pub mod first_load;
pub mod held;
pub mod night;
pub mod one_way;
mod oracle;
pub mod quirks;
pub mod relink;
pub mod survival;

use contactbridge::simulator::contactlist::Person;

use crate::support::{Project, Setup, store};

/// Nine columns, with everything about the table left open: how edits are found, what names a row, what deletes one.
pub fn mapping(changes: &str, natural_key: bool, soft_delete: bool) -> String {
    let key = if natural_key { "customer_no" } else { "id" };
    let deleted = if soft_delete {
        "  deleted: deleted_at\n"
    } else {
        ""
    };
    format!(
        "table:\n  name: customers\n  key: {key}\n  create: true\n  changes: {changes}\n{deleted}fields:\n{}",
        r#"  - { column: customer_no, remote: externalId, match: true }
  - { column: email, remote: emailAddress, match: true, normalize: email }
  - { column: first_name, remote: firstName }
  - { column: last_name, remote: lastName }
  - { column: born_on, remote: dateOfBirth, type: date }
  - { column: opted_in, remote: MasterOptIn, type: bool }
  - { column: mobile, remote: "phoneNos[phoneNoTypeID=5].phoneNo" }
  - { column: city, remote: "addresses[addressTypeID=1].city" }
  - { column: company, remote: "crmForms[formName=Membership].crmFormFields[fieldName=Company Name].fieldValue" }
"#
    )
}

/// The columns of [`mapping`], in its order.
pub const COLUMNS: [&str; 9] = [
    "customer_no",
    "email",
    "first_name",
    "last_name",
    "born_on",
    "opted_in",
    "mobile",
    "city",
    "company",
];

/// A bridge with [`mapping`] by scan, a generated key and rows that are really deleted.
pub fn plain(people: u32) -> Setup {
    Setup::default()
        .people(people)
        .crm(|crm| crm.profile = contactbridge::simulator::contactlist::Profile::Plain)
        .mapping(&mapping("scan", false, false))
}

/// What the living contacts show in [`COLUMNS`], by the oracle, sorted.
pub fn contacts(project: &Project) -> Vec<Vec<String>> {
    let zone = project.crm.options().zone;
    let people = project.crm.people();
    let living = people.iter().filter(|person| !person.deleted);
    let mut all: Vec<Vec<String>> = living
        .map(|person| {
            let mut row = oracle::row(person, zone);
            let city = row["home_city"].clone();
            row.insert("city".into(), city);
            COLUMNS.map(|column| row[column].clone()).to_vec()
        })
        .collect();
    all.sort();
    all
}

/// What the live rows show in [`COLUMNS`], sorted.
pub fn rows(project: &Project) -> Vec<Vec<String>> {
    let mapping = std::fs::read_to_string(project.path("mappings/contactlist.yaml"));
    let live = if mapping.expect("a mapping").contains("deleted: deleted_at") {
        " WHERE deleted_at IS NULL"
    } else {
        ""
    };
    let flag = store::flag(project.fresh.as_ref(), "opted_in");
    let columns = COLUMNS.join(", ").replace("opted_in", &flag);
    let mut all = project.rows(&format!("SELECT {columns} FROM customers{live}"));
    all.sort();
    all
}

/// Both sides show the same people, each once.
#[track_caller]
pub fn assert_equal_sides(project: &Project) {
    let (contacts, rows) = (contacts(project), rows(project));
    for row in &rows {
        assert!(contacts.contains(row), "only in the database: {row:?}");
    }
    for contact in &contacts {
        assert!(rows.contains(contact), "only in the CRM: {contact:?}");
    }
    assert_eq!(contacts, rows, "somebody stands twice");
}

/// A contact that a user of the CRM types in.
pub fn newcomer(external: &str, email: &str, first: &str, last: &str) -> Person {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut person = Person::new(0);
    person.external_id = some(external);
    person.email_address = some(email);
    person.first_name = some(first);
    person.last_name = some(last);
    person
}
