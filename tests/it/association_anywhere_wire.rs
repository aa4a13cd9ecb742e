//! The hand-written answers of tests/data/association_anywhere, through the public API.

use std::path::PathBuf;

use contactbridge::model::{Node, RemoteItem, Result};
use contactbridge::remote::association_anywhere::{QueueEnd, QueueReader, Reading, decode_details};
use contactbridge::remote::{Queued, Scope};

fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/association_anywhere")
        .join(name);
    std::fs::read(path).unwrap()
}

fn queue(name: &str) -> Result<(Vec<Queued>, QueueEnd)> {
    let mut reader = QueueReader::new(&Reading::default(), Some("text/xml; charset=utf-8"));
    reader.feed(&sample(name))?;
    assert_eq!(reader.step(), None, "too few for a step");
    reader.finish()
}

fn details(name: &str) -> Result<Vec<RemoteItem>> {
    decode_details(&sample(name), None, &Reading::default())
}

fn scope(names: &[&str]) -> Scope {
    Scope::Sections(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn queues_of_every_form_name_the_same_customers() {
    for (name, number, scopes, deleted) in [
        (
            "queue-reasons.xml",
            "90041200000000000000412",
            [scope(&["addresses", "phones"]), Scope::Whole],
            true,
        ),
        (
            "queue-plain.xml",
            "900412",
            [Scope::Whole, Scope::Whole],
            false,
        ),
        (
            "queue-fallback.xml",
            "900412",
            [scope(&["emails", "websites"]), Scope::Whole],
            true,
        ),
    ] {
        let (queued, end) = queue(name).unwrap();
        let ids: Vec<&str> = queued.iter().map(|queued| queued.id.0.as_str()).collect();
        assert_eq!(ids, ["0000731", "5518_SC"], "{name}");
        assert_eq!(
            [&queued[0].scope, &queued[1].scope],
            [&scopes[0], &scopes[1]],
            "{name}"
        );
        assert_eq!(
            [queued[0].deleted, queued[1].deleted],
            [false, deleted],
            "{name}"
        );
        assert_eq!(
            (end.number.as_deref(), end.doubt),
            (Some(number), None),
            "{name}"
        );
    }
    let (queued, end) = queue("queue-empty.xml").unwrap();
    assert!(queued.is_empty() && end.number.is_none() && end.doubt.is_none());
}

#[test]
fn refusals_are_no_empty_answers() {
    assert_eq!(queue("queue-failure.xml").unwrap_err().code(), "E-AUTH");
    assert_eq!(details("details-failure.xml").unwrap_err().code(), "E-AUTH");
}

#[test]
fn details_of_both_forms_are_customers() {
    let one = details("details-single.xml").unwrap();
    let two = details("details-bulk.xml").unwrap();
    let documents = |items: Vec<RemoteItem>| {
        items.into_iter().map(|item| match item {
            RemoteItem::Record(record) => (record.id.0, record.document),
            RemoteItem::Bad(bad) => panic!("{}", bad.reason),
        })
    };
    let one: Vec<_> = documents(one).collect();
    let two: Vec<_> = documents(two).collect();
    assert_eq!((one.len(), two.len()), (1, 2));
    assert_eq!(one[0].0, "0000731");
    assert_eq!(
        one[0].1.list("emails")[0].text("address"),
        Some("maren.quill@example.org")
    );
    assert_eq!(two[1].0, "5518_SC");
    let Some(Node::Record(name)) = two[1].1.get("name") else {
        panic!("no name")
    };
    assert_eq!(name.text("companyName"), Some("Quill & Partners"));
}
