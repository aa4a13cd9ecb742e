//! Every recorded request, answered as it was recorded: byte for byte where the service answers, up to the stack trace
//! where it refuses.

use std::path::PathBuf;

use chrono::NaiveDateTime;
use contactbridge::simulator::contactlist::{
    Address, ContactListSimulator, EmailShown, EmptyList, Form, FormField, Person, Phone,
};

use super::site::{PATH, site};
use crate::support::http;

/// One recorded exchange.
struct Capture {
    headers: Vec<(String, String)>,
    request: String,
    status: u16,
    content_type: String,
    answer: String,
}

fn capture(name: &str) -> Capture {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/data/contactlist/{name}.http"));
    let text = std::fs::read_to_string(path).unwrap();
    let (asked, answered) = text.split_once("\n----- answer -----\n").unwrap();
    let (head, request) = asked.split_once("\n\n").unwrap();
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let (head, answer) = answered.split_once("\n\n").unwrap();
    let mut head = head.lines();
    let status = head
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let content_type = head.next().unwrap().split_once(": ").unwrap().1.to_owned();
    Capture {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        request: request.strip_suffix('\n').unwrap_or(request).to_owned(),
        status,
        content_type,
        answer: answer.trim_end_matches('\n').to_owned(),
    }
}

fn date(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The three people who were there when the recording began.
fn recorded_people(site: &ContactListSimulator) {
    let facts = [
        (
            "Mary-Jane",
            "Müller <0> & co",
            "Prospect",
            "0001-01-01T00:00:00",
            "2026-01-10T00:00:00",
            "",
        ),
        (
            "Łukasz",
            "Smith-Jones",
            "Lapsed",
            "1951-02-11T00:00:00",
            "2026-02-11T01:01:07",
            "Łódź",
        ),
        (
            "D'Arcy",
            "Souza",
            "Member",
            "1952-03-12T00:00:00",
            "2026-03-12T02:02:14",
            "San José",
        ),
    ];
    for (number, (first, last, tier, born, changed, city)) in facts.into_iter().enumerate() {
        let mut person = Person::new(1001 + number as i32);
        person.external_id = some(&format!("M{number:06}"));
        person.email_address = some(&format!("Person.{number}@example.org"));
        person.first_name = some(first);
        person.last_name = some(last);
        person.customer_type = some(tier);
        person.date_of_birth = date(born);
        person.create_date = date("2026-11-22T16:01:24");
        person.last_update_date = date(changed);
        if number > 0 {
            let home = Address {
                address_type_id: 1,
                address_line_1: some(&format!("{number} High St")),
                address_line_2: None,
                city: some(city),
                zipcode: some(&format!("{number:04}")),
                state: some("NSW"),
                country_code: some("AU"),
            };
            let billing = Address {
                address_type_id: 8,
                address_line_1: some("PO Box 1"),
                city: some("Perth"),
                country_code: some("AU"),
                ..Address::default()
            };
            person.addresses = Some(vec![Some(home), Some(billing)]);
            let phone = |phone_no_type_id, number: String| {
                Some(Phone {
                    phone_no_type_id,
                    phone_no: Some(number),
                })
            };
            person.phone_nos = Some(vec![
                phone(5, format!("+61 400 000 {number:03}")),
                phone(1, format!("+61 2 {number:08}")),
            ]);
            person.master_opt_in = true;
        }
        if number == 1 {
            let field = |field_id, name: &str, value: &str| {
                Some(FormField {
                    field_id,
                    field_type_id: 1,
                    field_name: some(name),
                    field_value: some(value),
                })
            };
            let fields = vec![
                field(364_091, "Company Name", "Company 1"),
                field(364_092, "Not mapped", "keep me"),
            ];
            let form = Form {
                form_id: 542_957,
                form_name: some("Membership"),
                fields: Some(fields),
            };
            person.crm_forms = Some(vec![Some(form)]);
        }
        site.put(person);
    }
}

/// The site as it was when the recording began, in the zone and at the second in which it was made.
fn recorded_site() -> ContactListSimulator {
    let site = site(|options| {
        options.zone = chrono_tz::UTC;
        options.token = "site-token-123".to_owned();
    });
    site.set_now(date("2026-11-22T16:01:24").and_utc());
    recorded_people(&site);
    site
}

/// Replays a recorded request and compares the answers.
#[track_caller]
fn replay(site: &ContactListSimulator, name: &str) {
    let capture = capture(name);
    let headers: Vec<(&str, &str)> = capture
        .headers
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let answer = http(
        site.address(),
        "POST",
        PATH,
        &headers,
        capture.request.as_bytes(),
    )
    .expect("an answer");
    assert_eq!(answer.status, capture.status, "{name}");
    assert_eq!(
        answer.header("content-type"),
        Some(capture.content_type.as_str()),
        "{name}"
    );
    if capture.status == 200 {
        assert_eq!(answer.text(), capture.answer, "{name}");
        return;
    }
    // The stack trace is the recorded machine's own; its first line break ends what every service words alike.
    let sentence = |text: &str| {
        text.split_once("\n  at ")
            .map_or(text.to_owned(), |(before, _)| before.to_owned())
    };
    let tail = |text: &str| {
        text.rfind(":0 <")
            .map_or(String::new(), |at| text[at..].to_owned())
    };
    assert_eq!(
        sentence(&answer.text()),
        sentence(&capture.answer),
        "{name}"
    );
    assert_eq!(tail(&answer.text()), tail(&capture.answer), "{name}");
}

#[test]
fn every_recorded_exchange_is_answered_as_recorded() {
    let site = recorded_site();
    for name in [
        "retrieve-soap11",
        "retrieve-soap12",
        "retrieve-site-token",
        "retrieve-empty",
    ] {
        replay(&site, name);
    }
    site.with_quirks(|quirks| quirks.empty_list = EmptyList::Absent);
    replay(&site, "retrieve-empty-absent");
    site.with_quirks(|quirks| quirks.empty_list = EmptyList::Fault);
    replay(&site, "retrieve-empty-fault-soap11");
    for name in [
        "fault-authentication-soap11",
        "fault-authentication-soap12",
        "fault-bad-date-soap11",
        "fault-bad-date-soap12",
        "fault-not-xml",
        "fault-wrong-soapaction",
        "retrieve-by-entity-id-not-found",
        "update-insert-empty-date-fault",
    ] {
        replay(&site, name);
    }
    assert_eq!(site.people().len(), 3);
    replay(&site, "update-insert-soap12");
    replay(&site, "update-insert-soap11");
    assert_eq!(site.people().len(), 4);
    replay(&site, "retrieve-by-external-id");
    replay(&site, "delete-by-entity-id");
    // A list in the order of ids shows that the recorded service ordered by them.
    site.with_quirks(|quirks| quirks.order = contactbridge::simulator::contactlist::Order::Id);
    replay(&site, "retrieve-with-deleted");
    site.with_quirks(|quirks| quirks.email_shown = EmailShown::Phone);
    replay(&site, "retrieve-email-only-as-phone-7");
}

#[test]
fn no_recorded_exchange_is_left_out() {
    let source = include_str!("captures.rs");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/contactlist");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".http") {
            assert!(
                source.contains(&format!("\"{name}\"")),
                "{name} is not replayed"
            );
        }
    }
}
