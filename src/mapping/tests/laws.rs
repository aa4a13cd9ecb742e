//! The laws, tried with whatever a generator thinks of.

use proptest::prelude::*;

use super::*;
use crate::model::Cell;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,16}",
        Just(String::new()),
        "[0-9]{1,10}",
        "[a-z]{1,6}@[a-z]{1,6}\\.org",
        prop_oneof![
            Just("true"),
            Just("false"),
            Just("Member"),
            Just("Lapsed"),
            Just("0001-01-01T00:00:00")
        ]
        .prop_map(str::to_owned),
        "(19|20)[0-9]{2}-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]",
    ]
}

proptest! {
    /// Reading, writing to a row, reading the row, writing to a record: after the first step nothing moves any more.
    #[test]
    fn whatever_a_record_holds_it_settles_after_one_round(texts in proptest::collection::vec(texts(), 12)) {
        let mapping = load(CONTRACT);
        let names = ["externalId", "emailAddress", "firstName", "lastName", "dateOfBirth", "customerType", "MasterOptIn"];
        let mut contact = Document::new();
        for (name, text) in names.iter().zip(&texts) {
            contact.set(*name, Node::Text(text.clone()));
        }
        let mut item = Document::new();
        item.push("phoneNoTypeID", Node::Text("5".into()));
        item.push("phoneNo", Node::Text(texts[8].clone()));
        contact.set("phoneNos", Node::List(vec![item]));
        let before = contact.clone();
        for (field, value) in mapping.from_remote(&contact).into_iter().enumerate() {
            let Ok(value) = value else { continue };
            let cell = mapping.to_cell(field, &value).unwrap();
            let mut row = vec![Cell::Null; mapping.fields.len()];
            row[field] = cell;
            prop_assert_eq!(mapping.from_local(&row)[field].clone(), Ok(value.clone()));
            if !mapping.fields[field].template {
                prop_assert_eq!(mapping.to_remote(field, &value, &mut contact), Ok(()));
            }
        }
        prop_assert_eq!(before, contact);
    }

    /// Whatever a row holds: once pushed, the record shows what the row means, and both compare equal.
    #[test]
    fn whatever_a_row_holds_comes_back_as_it_went(texts in proptest::collection::vec(texts(), 11)) {
        let mapping = load(CONTRACT);
        let cells: Vec<Cell> = texts.into_iter().map(Cell::Text).collect();
        let mut contact = Document::new();
        for (field, value) in mapping.from_local(&cells).into_iter().enumerate() {
            let Ok(value) = value else { continue };
            if mapping.to_remote(field, &value, &mut contact).is_ok() {
                prop_assert_eq!(mapping.from_remote(&contact)[field].clone(), Ok(value));
            }
        }
    }

    #[test]
    fn any_text_is_a_mapping_or_an_error_of_the_configuration(text in "\\PC{0,200}|[a-z:\\[\\]{}, \n-]{0,200}") {
        if let Err(error) = Mapping::load("m.yaml", &text, &vocabulary()) {
            prop_assert_eq!(error.kind(), ErrorKind::Config);
        }
    }

    /// The order of a record's names and of a list's items means nothing (where no two items fit one selector).
    #[test]
    fn h47_a_record_in_another_order_is_the_same_record(
        numbers in proptest::collection::vec("[a-z]{0,3}", 10), turn in 0..10usize, names in Just(["firstName", "lastName", "MasterOptIn", "dateOfBirth"]).prop_shuffle(),
    ) {
        let mapping = load(SHIPPED);
        let phones: Vec<Document> = numbers
            .iter()
            .enumerate()
            .map(|(kind, number)| {
                let mut item = Document::new();
                item.push("phoneNoTypeID", Node::Text((kind + 1).to_string()));
                item.push("phoneNo", Node::Text(number.clone()));
                item
            })
            .collect();
        let plain = [("firstName", "A"), ("lastName", "B"), ("MasterOptIn", "true"), ("dateOfBirth", "1951-02-11T00:00:00")];
        let mut contact = document(&plain);
        contact.set("phoneNos", Node::List(phones.clone()));
        let mut turned = Document::new();
        let mut list = phones;
        list.rotate_left(turn);
        turned.set("phoneNos", Node::List(list));
        for name in names {
            let text = plain.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
            turned.set(name, Node::Text(text.to_owned()));
        }
        prop_assert_eq!(mapping.from_remote(&contact), mapping.from_remote(&turned));
        prop_assert_eq!(mapping.children_from_remote(&contact), mapping.children_from_remote(&turned));
    }
}

proptest! {
    // Each case tries all laws of some fifty fields.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_damage_to_the_shipped_mapping_is_an_error_or_a_lawful_mapping(at in 0..SHIPPED.len(), with in "[a-z:{}\\[\\]\"]") {
        let mut text = SHIPPED.to_owned();
        if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
            text.replace_range(at..=at, &with);
        }
        match Mapping::load("m.yaml", &text, &vocabulary()) {
            Ok(mapping) => prop_assert_eq!(mapping.broken_laws(), []),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Config),
        }
    }
}
