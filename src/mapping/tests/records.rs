//! Records and rows through a mapping.

use super::*;
use crate::model::{Cell, Direction};

#[test]
fn a_record_becomes_canonical_values_and_goes_back() {
    let mapping = load(CONTRACT);
    let mut contact = document(&[
        ("externalId", "M000001"),
        ("emailAddress", " Person.1@Example.org"),
        ("firstName", "Łukasz"),
        ("dateOfBirth", "1951-02-11T00:00:00"),
        ("customerType", "Lapsed"),
        ("MasterOptIn", "true"),
        ("password", ""),
    ]);
    let values = mapping.from_remote(&contact);
    let value = |column: &str| values[at(&mapping, column)].clone().unwrap();
    assert_eq!(value("customer_no"), some("M000001"));
    assert_eq!(value("email"), some("Person.1@example.org"));
    assert_eq!(value("last_name"), None);
    assert_eq!(value("full_name"), some("Łukasz"));
    assert_eq!(value("born_on"), some("1951-02-11"));
    assert_eq!(value("tier"), some("lapsed"));
    assert_eq!(value("mobile"), None);
    assert_eq!(value("opted_in"), some("1"));
    assert_eq!(
        mapping.to_cell(at(&mapping, "opted_in"), &some("1")),
        Ok(Cell::Int(1))
    );
    // Putting back what was read changes nothing, not even the space before the address.
    let before = contact.clone();
    for (field, value) in values.iter().enumerate() {
        if !mapping.fields[field].template {
            mapping
                .to_remote(field, value.as_ref().unwrap(), &mut contact)
                .unwrap();
        }
    }
    assert_eq!(contact, before);
    let mut put = |column: &str, value: Canonical| {
        mapping
            .to_remote(at(&mapping, column), &value, &mut contact)
            .unwrap();
    };
    put("born_on", None);
    put("tier", some("member"));
    put("mobile", some("0400"));
    put("company", some("Acme"));
    put("customer_no", None);
    assert_eq!(contact.text("dateOfBirth"), Some("0001-01-01T00:00:00"));
    assert_eq!(contact.text("customerType"), Some("Member"));
    assert_eq!(contact.list("phoneNos")[0].text("phoneNo"), Some("0400"));
    assert_eq!(
        contact.list("crmForms")[0].text("formName"),
        Some("Membership")
    );
    assert_eq!(contact.text("externalId"), Some(""));
}

#[test]
fn an_address_is_read_from_its_second_place_and_written_to_both() {
    let mapping = load(CONTRACT);
    let email = at(&mapping, "email");
    let mut phone = document(&[("phoneNoTypeID", "7"), ("phoneNo", "a@example.org")]);
    let mut contact = document(&[("emailAddress", "")]);
    contact.set("phoneNos", Node::List(vec![phone.clone()]));
    assert_eq!(
        mapping.from_remote(&contact)[email],
        Ok(some("a@example.org"))
    );
    mapping
        .to_remote(email, &some("b@example.org"), &mut contact)
        .unwrap();
    assert_eq!(contact.text("emailAddress"), Some("b@example.org"));
    phone.set("phoneNo", Node::Text("b@example.org".into()));
    assert_eq!(contact.list("phoneNos"), [phone]);
    mapping.to_remote(email, &None, &mut contact).unwrap();
    assert_eq!(mapping.from_remote(&contact)[email], Ok(None));
    assert_eq!(contact.list("phoneNos")[0].text("phoneNo"), Some(""));
    // A contact that has neither gets both.
    let mut fresh = Document::new();
    mapping.to_remote(email, &None, &mut fresh).unwrap();
    assert!(fresh.is_empty());
    mapping
        .to_remote(email, &some("c@example.org"), &mut fresh)
        .unwrap();
    assert_eq!(
        fresh.list("phoneNos")[0].text("phoneNo"),
        Some("c@example.org")
    );
}

#[test]
fn what_a_field_can_not_take_is_its_own_problem_and_changes_nothing() {
    let mapping = load(CONTRACT);
    let mut contact = document(&[
        ("emailAddress", "nobody"),
        ("dateOfBirth", "soon"),
        ("customerType", "Friend"),
        ("MasterOptIn", "true"),
        ("firstName", "A"),
    ]);
    let values = mapping.from_remote(&contact);
    let code = |column: &str| values[at(&mapping, column)].clone().unwrap_err().code;
    assert_eq!(code("email"), "Q-EMAIL");
    assert_eq!(code("born_on"), "Q-DATE");
    assert_eq!(code("tier"), "Q-VALUE");
    assert_eq!(values[at(&mapping, "first_name")], Ok(some("A")));
    let before = contact.clone();
    for (column, value, code) in [
        ("tier", some("friend"), "Q-VALUE"),
        ("opted_in", None, "Q-EMPTY"),
        ("first_name", some("a\u{1}"), "Q-CHAR"),
        ("full_name", some("x"), "Q-READONLY"),
    ] {
        let problem = mapping
            .to_remote(at(&mapping, column), &value, &mut contact)
            .unwrap_err();
        assert_eq!(problem.code, code, "{column}");
    }
    assert_eq!(contact, before);
    assert_eq!(
        mapping.to_remote(99, &None, &mut contact).unwrap_err().code,
        "Q-FIELD"
    );
    let cells = vec![Cell::Blob(vec![1]), Cell::Text("nobody".into())];
    let row = mapping.from_local(&cells);
    assert_eq!(row.len(), 11);
    assert_eq!(row[0].clone().unwrap_err().code, "Q-TYPE");
    assert_eq!(row[1].clone().unwrap_err().code, "Q-EMAIL");
    assert_eq!(row[2], Ok(None));
}

#[test]
fn lists_of_paths_give_the_first_that_is_not_empty() {
    let mapping = load(&with_fields(
        "  - { column: phone, remote: [\"phoneNos[phoneNoTypeID=5].phoneNo\", \"phoneNos[phoneNoTypeID=1].phoneNo\"] }\n  - { column: born, remote: [dateOfBirth, createDate], type: date }",
    ));
    assert_eq!(mapping.fields[0].direction, Some(Direction::Pull));
    let mut contact = document(&[
        ("dateOfBirth", "0001-01-01T00:00:00"),
        ("createDate", "2020-01-02T03:04:05"),
    ]);
    let phone = |kind: &str, number: &str| {
        document(&[("phoneNoTypeID", kind), ("phoneNo", number)])
            .iter()
            .map(|(name, node)| (name.to_owned(), node.clone()))
            .fold(Document::new(), |mut all, (name, node)| {
                all.set(name, node);
                all
            })
    };
    contact.set(
        "phoneNos",
        Node::List(vec![phone("1", "h"), phone("5", "")]),
    );
    assert_eq!(
        mapping.from_remote(&contact),
        [Ok(some("h")), Ok(some("2020-01-02"))]
    );
}

#[test]
fn new_rows_are_filled() {
    let mapping = load(&with_fields(
        "  - { column: no, remote: externalId, generate: \"M-{{ first }}-{{ last }}\" }\n  - { column: first, remote: firstName }\n  - { column: last, remote: lastName, default: Unknown }\n  - { column: code, remote: industryType, generate: uuid }\n  - { column: tier, remote: customerType, values: { p: Prospect }, default: p }",
    ));
    let row = [None, some("Ann"), None, None, None];
    assert_eq!(
        mapping.generate(0, &row, [0; 16]).as_deref(),
        Some("M-Ann-")
    );
    assert_eq!(mapping.generate(0, &[], [0; 16]), None);
    assert_eq!(mapping.generate(1, &row, [0; 16]), None);
    assert_eq!(
        mapping.generate(3, &row, [7; 16]).as_deref(),
        Some("07070707-0707-4707-8707-070707070707")
    );
    assert_eq!(mapping.default_for(2), some("Unknown"));
    assert_eq!(mapping.default_for(4), some("p"));
    assert_eq!(mapping.default_for(1), None);
    assert!(mapping.fields[0].generates && !mapping.fields[1].generates);
}

#[test]
fn h47_parts_in_another_order_are_the_same_parts() {
    let mapping = load(SHIPPED);
    let phone = |kind: &'static str, number: &'static str| {
        let mut item = Document::new();
        item.push("phoneNoTypeID", Node::Text(kind.into()));
        item.push("phoneNo", Node::Text(number.into()));
        item
    };
    let read = |items: Vec<Document>| {
        let mut contact = Document::new();
        contact.set("phoneNos", Node::List(items));
        mapping.children_from_remote(&contact)[1].clone()
    };
    let parts = read(vec![
        phone("5", "b"),
        phone("1", "a"),
        phone("3", ""),
        Document::new(),
        phone("5", "b"),
    ])
    .unwrap()
    .unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].key, [some("1"), some("a")]);
    assert_eq!(parts[1].cells, [Cell::Int(5), Cell::Text("b".into())]);
    assert_eq!(
        read(vec![phone("1", "a"), phone("5", "b")]),
        Ok(Some(parts))
    );
    // Two numbers of one type are two rows; a number without its type is one too.
    let keys = |items| {
        let parts = read(items).unwrap().unwrap();
        parts.into_iter().map(|part| part.key).collect::<Vec<_>>()
    };
    assert_eq!(
        keys(vec![phone("1", "b"), phone("", "c"), phone("1", "a")]),
        [
            [None, some("c")],
            [some("1"), some("a")],
            [some("1"), some("b")]
        ]
    );
    let problem = read(vec![phone("x", "a")]).unwrap_err();
    assert_eq!(problem.code, "Q-NUMBER");
    assert!(problem.reason.starts_with("column kind: "));
    assert_eq!(
        mapping.children_from_remote(&Document::new()),
        [Ok(Some(vec![])), Ok(Some(vec![]))]
    );
}

#[test]
fn items_with_one_key_and_different_content_are_a_problem() {
    let mapping = load(SHIPPED);
    let read = |cities: &[&str]| {
        let items = cities.iter().map(|city| {
            let mut item = Document::new();
            item.push("addressTypeID", Node::Text("1".into()));
            item.push("city", Node::Text((*city).into()));
            item
        });
        let mut contact = Document::new();
        contact.set("addresses", Node::List(items.collect()));
        mapping.children_from_remote(&contact)[0].clone()
    };
    assert_eq!(read(&["Perth", "Hobart"]).unwrap_err().code, "Q-DUPLICATE");
    assert_eq!(read(&["Perth", "Perth"]).unwrap().unwrap().len(), 1);
    // What is left of a cleared address is no second one.
    assert_eq!(read(&["Perth", ""]).unwrap().unwrap().len(), 1);
    assert_eq!(read(&[""]), Ok(Some(vec![])));
}

#[test]
fn a_rule_of_one_field_keeps_every_item() {
    let mapping = load(
        "table: { name: t, key: id }\nfields: [{ column: a, remote: firstName }]\nchildren:\n  - { table: c, from: phoneNos, parent: p, key: [phoneNo], fields: [{ column: n, remote: phoneNo }] }\n",
    );
    let mut contact = Document::new();
    let item = document(&[("phoneNoTypeID", "1"), ("phoneNo", "a")]);
    contact.set("phoneNos", Node::List(vec![item, Document::new()]));
    let parts = mapping.children_from_remote(&contact)[0].clone();
    assert_eq!(parts.unwrap().unwrap().len(), 1);
}

#[test]
fn a_guarded_path_may_be_pushed() {
    let mapping = load(&with_fields(
        "  - { column: login, remote: username, direction: push }",
    ));
    let mut contact = Document::new();
    mapping.to_remote(0, &some("u"), &mut contact).unwrap();
    assert_eq!(contact.text("username"), Some("u"));
}

#[test]
fn a_part_that_was_not_handed_over_says_nothing() {
    let vocabulary = crate::model::Vocabulary {
        absence: crate::model::Absence::SilentSections,
        ..vocabulary()
    };
    let text = "table: { name: t, key: id }\nfields:\n\
        \x20 - { column: city, remote: \"addresses[addressTypeID=1].city\" }\n\
        \x20 - { column: first, remote: [firstName, \"phoneNos[phoneNoTypeID=5].phoneNo\"] }\n\
        \x20 - { column: full, template: \"{{ firstName }} {{ lastName }}\" }\n\
        children:\n\
        \x20 - { table: c, from: addresses, parent: t_id, key: [addressTypeID], fields: [{ column: kind, remote: addressTypeID }, { column: city, remote: city }] }\n";
    let mapping = Mapping::load("m.yaml", text, &vocabulary).unwrap();
    let silence = Err(crate::model::FieldProblem::silence());

    let nothing = Document::new();
    assert_eq!(
        mapping.from_remote(&nothing),
        [silence.clone(), silence.clone(), silence.clone()]
    );
    assert_eq!(mapping.children_from_remote(&nothing), [Ok(None)]);

    // An empty part says that there is nothing; the first path that is filled decides, whatever else is missing.
    let mut some_parts = document(&[("firstName", "Ada")]);
    some_parts.set("addresses", Node::List(Vec::new()));
    assert_eq!(
        mapping.from_remote(&some_parts),
        [Ok(None), Ok(some("Ada")), silence.clone()]
    );
    assert_eq!(
        mapping.children_from_remote(&some_parts),
        [Ok(Some(Vec::new()))]
    );

    // An empty first path does not decide while the second was not handed over.
    let empty = document(&[("firstName", ""), ("lastName", "")]);
    assert_eq!(
        mapping.from_remote(&empty),
        [silence.clone(), silence, Ok(None)]
    );
    assert_eq!(
        Vec::from_iter(mapping.remote_names()),
        ["addresses", "firstName", "lastName", "phoneNos"]
    );
}
