//! The bridge syncs both ways with a CRM of another make: the npm package `soap` serves it from our service description.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{ForeignCrm, Project};
use crate::two_way::{COLUMNS, plain};

/// The project's bridge at this CRM instead of the simulator.
fn at(crm: &ForeignCrm, soap: &str) -> Project {
    let mut project = plain(0).remote(&format!("soap: {soap}")).build();
    let options = project.crm.options();
    for (key, mine, theirs) in [
        ("endpoint", project.crm.url(), crm.url().to_owned()),
        (
            "site_id",
            options.site_id.to_string(),
            crm.site_id().to_string(),
        ),
        (
            "time_zone",
            options.zone.to_string(),
            crm.time_zone().to_owned(),
        ),
    ] {
        project.edit(
            "bridge.yaml",
            &format!("{key}: {mine}"),
            &format!("{key}: {theirs}"),
        );
    }
    project.binary = project
        .binary
        .clone()
        .with("CRM_USERNAME", crm.username())
        .with("CRM_PASSWORD", crm.password());
    project
}

fn text(person: &Value, name: &str) -> String {
    let found = person[name].as_str().filter(|text| !text.is_empty());
    found.unwrap_or("-").to_owned()
}

/// The first item of a list whose type is this one.
fn part<'a>(person: &'a Value, list: [&str; 2], kind: [&str; 2]) -> &'a Value {
    let items = person[list[0]][list[1]].as_array();
    let mut fitting = items
        .into_iter()
        .flatten()
        .filter(|item| item[kind[0]].to_string().trim_matches('"') == kind[1]);
    fitting.next().unwrap_or(&Value::Null)
}

/// What a contact shows in [`COLUMNS`].
fn contact(person: &Value) -> Vec<String> {
    let born = text(person, "dateOfBirth");
    let phone = ["phoneNos", "PhoneNo"];
    let seven = part(person, phone, ["phoneNoTypeID", "7"]);
    let email = match text(person, "emailAddress").as_str() {
        "-" => text(seven, "phoneNo"),
        element => element.to_owned(),
    };
    let (local, domain) = email.split_once('@').unwrap_or((&email, ""));
    let email = match domain {
        "" => email.clone(),
        domain => format!("{local}@{}", domain.to_lowercase()),
    };
    let mobile = part(person, phone, ["phoneNoTypeID", "5"]);
    let home = part(person, ["addresses", "Address"], ["addressTypeID", "1"]);
    let form = part(person, ["crmForms", "CrmForms"], ["formName", "Membership"]);
    let company = part(
        form,
        ["crmFormFields", "CrmFormFields"],
        ["fieldName", "Company Name"],
    );
    vec![
        text(person, "externalId"),
        email,
        text(person, "firstName"),
        text(person, "lastName"),
        if born.starts_with("0001") {
            "-".into()
        } else {
            born.chars().take(10).collect()
        },
        u8::from(person["MasterOptIn"] == true).to_string(),
        text(mobile, "phoneNo"),
        text(home, "city"),
        text(company, "fieldValue"),
    ]
}

/// Both sides show the same people, each once.
#[track_caller]
fn assert_equal_sides(crm: &ForeignCrm, project: &Project) {
    let people = crm.people();
    let living = people.iter().filter(|person| person["deleted"] != true);
    let mut contacts: Vec<_> = living.map(contact).collect();
    let mut rows = project.rows(&format!("SELECT {} FROM customers", COLUMNS.join(", ")));
    contacts.sort();
    rows.sort();
    for (contact, row) in contacts.iter().zip(&rows) {
        assert_eq!(contact, row);
    }
    assert_eq!(contacts.len(), rows.len());
}

/// A run that must write nothing on either side.
#[track_caller]
fn quiet(crm: &ForeignCrm, project: &Project) {
    let (rows, people) = (project.dump(), crm.people());
    project.sync(0);
    assert_eq!(rows, project.dump());
    assert_eq!(people, crm.people());
}

#[test]
fn a_soap_server_of_another_make_is_kept_equal_both_ways() {
    for soap in ["1.2", "1.1"] {
        let Some(crm) = ForeignCrm::start(250) else {
            return;
        };
        let project = at(&crm, soap);
        project.line("check").exits(0);
        let report = project.sync(0);
        assert_eq!(report["pull"]["created"], 250, "{report:#}");
        assert_equal_sides(&crm, &project);
        quiet(&crm, &project);

        let people: BTreeMap<String, Value> = crm
            .people()
            .into_iter()
            .map(|person| (text(&person, "externalId"), person))
            .collect();
        let id = |no: &str| people[no]["entityId"].clone();
        crm.edit(json!({ "entityId": id("N000001"), "firstName": "Zoë & <Co>" }));
        crm.edit(json!({ "entityId": id("N000002"), "lastName": "Theirs" }));
        crm.edit(json!({ "externalId": "C-1", "emailAddress": "c1@example.org", "firstName": "Crm", "lastName": "Born" }));
        crm.delete(id("N000003").as_i64().expect("a number"));
        project.sql("UPDATE customers SET first_name = 'Ours <&> 李', city = 'Perth' WHERE customer_no IN ('N000002', 'N000004')");
        project.sql(
            "UPDATE customers SET born_on = NULL, mobile = NULL WHERE customer_no = 'N000005'",
        );
        project.sql("DELETE FROM customers WHERE customer_no = 'N000006'");
        project.sql("INSERT INTO customers (customer_no, email, first_name, born_on, opted_in) VALUES ('L-1', 'l1@example.org', 'Desk', '1980-02-29', 1)");
        let report = project.sync(0);
        assert_eq!(report["push"]["created"], 1, "{report:#}");
        assert_eq!(report["push"]["deleted"], 1, "{report:#}");
        assert_eq!(report["pull"]["deleted"], 1, "{report:#}");
        assert_equal_sides(&crm, &project);
        quiet(&crm, &project);
        project.line("reseed members").exits(0);
        quiet(&crm, &project);
    }
}
