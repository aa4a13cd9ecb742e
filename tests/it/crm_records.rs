//! One record that can't be taken as it is never stops the others: it waits in quarantine with its reason.

use contactbridge::simulator::contactlist::Person;
use serde_json::Value;

use crate::support::Project;
use crate::two_way::{newcomer, plain};

/// The elements of a contact with this instead of its id's element, and this inside.
fn raw(id: &str, inner: &str) -> Option<String> {
    Some(format!(
        "{id}<externalId>BAD</externalId><deleted>false</deleted>{inner}<createDate>2026-01-01T00:00:00</createDate><MasterOptIn>false</MasterOptIn>"
    ))
}

const STAMP: &str = "<lastUpdateDate>2026-01-01T00:00:00</lastUpdateDate>";

fn quarantine(project: &Project) -> Vec<Value> {
    let list = project.line("quarantine list --format json").exits(0);
    list.json().as_array().expect("an array").clone()
}

/// Ten good people and one whose elements are these; everybody else arrives, and the bad one waits with this code.
fn waits(what: &str, elements: Option<String>, code: &str) {
    let project = plain(10).build();
    let mut person = newcomer("BAD", "bad@example.org", "Bad", "Record");
    person.verbatim = elements;
    let id = project.crm.insert(person);
    let report = project.sync(3);
    assert_eq!(report["pull"]["created"], 10, "{what}: {report:#}");
    assert_eq!(report["pull"]["held"], 1, "{what}: {report:#}");
    assert!(report["watermark"].is_string(), "{what}: {report:#}");
    let held = quarantine(&project);
    assert_eq!(held.len(), 1, "{what}: {held:#?}");
    assert_eq!(held[0]["code"], code, "{what}: {held:#?}");
    let reason = held[0]["reason"].as_str().unwrap_or_default();
    assert!(!reason.contains("Secret"), "{what}: {reason}");
    project.quiet_sync(3);
    // Mended, it arrives and waits no more.
    assert!(project.crm.edit(id, |person| person.verbatim = None));
    // What had no id can't be told from another: it waits until a full read does not show it any more.
    if held[0]["remote"].is_null() {
        project.sync(3);
        project.line("reseed members").exits(0);
    }
    project.sync(0);
    assert_eq!(
        project.cell("SELECT count(*) FROM customers"),
        "11",
        "{what}"
    );
    assert_eq!(quarantine(&project).len(), 0, "{what}");
    project.quiet_sync(0);
}

#[test]
pub fn h14_a_record_that_can_not_be_decoded_waits_alone() {
    let id = "<entityId>1011</entityId>";
    let long = "x".repeat(100_000);
    let many = format!("<lastName>{}</lastName>", "<![CDATA[y]]>".repeat(30_000));
    for (what, elements, code) in [
        ("no id", raw("", STAMP), "Q-ID"),
        ("id abc", raw("<entityId>abc</entityId>", STAMP), "Q-ID"),
        ("id -1", raw("<entityId>-1</entityId>", STAMP), "Q-ID"),
        (
            "id 2^63",
            raw("<entityId>9223372036854775808</entityId>", STAMP),
            "Q-ID",
        ),
        (
            "U+0000",
            raw(id, &format!("<firstName>Secret&#0;</firstName>{STAMP}")),
            "Q-CHAR",
        ),
        (
            "a surrogate",
            raw(id, &format!("<firstName>Secret&#xD800;</firstName>{STAMP}")),
            "Q-CHAR",
        ),
        (
            "a long text",
            raw(id, &format!("<lastName>{long}</lastName>{STAMP}")),
            "Q-CHAR",
        ),
        (
            "a long record",
            raw(id, &format!("{many}{STAMP}")),
            "Q-SIZE",
        ),
        (
            "a stamp that is none",
            raw(id, "<lastUpdateDate>Secret</lastUpdateDate>"),
            "Q-DATE",
        ),
    ] {
        waits(what, elements, code);
    }
}

#[test]
pub fn a_value_that_can_not_be_taken_waits_and_the_rest_of_its_record_flows() {
    let id = "<entityId>1011</entityId>";
    for (what, inner, code) in [
        ("no date", "<dateOfBirth>soon</dateOfBirth>", "Q-DATE"),
        (
            "24:00",
            "<dateOfBirth>2001-02-30T00:00:00</dateOfBirth>",
            "Q-DATE",
        ),
        ("no @", "<emailAddress>nobody</emailAddress>", "Q-EMAIL"),
        (
            "two @",
            "<emailAddress>a@b@example.org</emailAddress>",
            "Q-EMAIL",
        ),
        (
            "a name",
            "<emailAddress>Ann &lt;ann@example.org&gt;</emailAddress>",
            "Q-EMAIL",
        ),
        (
            "unseen",
            "<emailAddress>a\u{200b}nn@example.org</emailAddress>",
            "Q-EMAIL",
        ),
    ] {
        let project = plain(10).build();
        let mut person = newcomer("BAD", "", "", "");
        person.verbatim = raw(id, &format!("<firstName>Flows</firstName>{inner}{STAMP}"));
        project.crm.insert(person);
        project.sync(3);
        let first = "SELECT first_name FROM customers WHERE customer_no = 'BAD'";
        assert_eq!(project.cell(first), "Flows", "{what}");
        let held = quarantine(&project);
        assert_eq!(held.len(), 1, "{what}: {held:#?}");
        assert_eq!(held[0]["code"], code, "{what}: {held:#?}");
        project.quiet_sync(3);
    }
}

#[test]
pub fn h07_dates_at_the_edges_are_taken_as_they_are_meant() {
    let project = plain(10).build();
    let before = project.sync(0)["watermark"].as_str().unwrap().to_owned();
    let id = "<entityId>1011</entityId>";
    let mut person = newcomer("BAD", "", "", "");
    // A stamp of the future moves no watermark, the sentinel is no date, an offset is honoured.
    person.verbatim = raw(
        id,
        "<firstName>שלום\u{200f}</firstName><dateOfBirth>0001-01-01T00:00:00</dateOfBirth><lastUpdateDate>2099-01-01T00:00:00</lastUpdateDate>",
    );
    person.last_update_date = project.crm.person(1001).expect("a person").last_update_date;
    project.crm.insert(person);
    let report = project.sync(0);
    assert!(report["watermark"].as_str().unwrap() < "2099", "{report:#}");
    assert!(report["watermark"].as_str().unwrap() >= before.as_str());
    let row = project.rows("SELECT first_name, born_on FROM customers WHERE customer_no = 'BAD'");
    assert_eq!(row, [["שלום\u{200f}", "-"]]);
    project.quiet_sync(0);
    // Whoever is changed afterwards is still noticed.
    let renamed = |person: &mut Person| person.first_name = Some("Later".into());
    assert!(project.crm.edit(1005, renamed));
    assert_eq!(project.sync(0)["pull"]["updated"], 1);
}
