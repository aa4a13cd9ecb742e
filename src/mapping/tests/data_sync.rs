//! The two shipped mappings of Data Sync, with the seed's bodies and with rows that are sent.

use super::*;
use crate::model::{Cell, Direction};
use crate::remote::data_sync::{
    Change, EnvelopeLimits, Meaning, Message, Object, Payload, read_envelope,
};

const CUSTOMER: &str = include_str!("../../../mappings/orce-customer.yaml");
const TRANSACTION: &str = include_str!("../../../mappings/orce-transaction.yaml");

fn shipped(object: Object) -> Mapping {
    let text = match object {
        Object::Customer => CUSTOMER,
        Object::Transaction => TRANSACTION,
    };
    Mapping::load("orce.yaml", text, &object.vocabulary()).unwrap()
}

fn document_of(message: &Message) -> Document {
    match message.meaning(32) {
        Ok(Meaning::Record { document, .. }) => document,
        other => panic!("{other:?}"),
    }
}

fn seed(body: &str) -> Document {
    let limits = EnvelopeLimits {
        max_messages: 1,
        json_depth: 32,
    };
    document_of(&read_envelope(body.as_bytes(), &limits).unwrap()[0])
}

fn customer(payload: &str) -> Document {
    document_of(&Message {
        kind: "CUSTOMER".into(),
        action: "CUSTOMERMOD".into(),
        unique_id: "1".into(),
        payload: Payload::Text(payload.into()),
    })
}

fn shows(mapping: &Mapping, document: &Document, expected: &[(&str, Option<&str>)]) {
    let values = mapping.from_remote(document);
    for (column, value) in expected {
        let found = values[at(mapping, column)].clone().unwrap();
        assert_eq!(found.as_deref(), *value, "{column}");
    }
}

#[test]
fn both_shipped_mappings_load_and_keep_their_laws() {
    for object in [Object::Customer, Object::Transaction] {
        let mapping = shipped(object);
        assert_eq!(mapping.broken_laws(), []);
        assert_eq!(mapping.fields[0].role, Role::ExternalId);
        for direction in [Direction::Pull, Direction::Push] {
            mapping.check_direction(direction).unwrap();
        }
    }
    // What stands behind a sign works once it is taken off.
    let more = CUSTOMER
        .replace("  # - { column: shoe_size", "  - { column: shoe_size")
        .replace("  # - table: customer_cards", "  - table: customer_cards")
        .replace("  #   ", "    ");
    let mapping = Mapping::load("orce.yaml", &more, &Object::Customer.vocabulary()).unwrap();
    assert_eq!(
        mapping.children.len(),
        shipped(Object::Customer).children.len() + 1
    );
    assert_eq!(
        mapping.fields.len(),
        shipped(Object::Customer).fields.len() + 1
    );
}

#[test]
fn the_seeds_customer_becomes_a_row() {
    let mapping = shipped(Object::Customer);
    let document = seed(include_str!(
        "../../../tests/data/data_sync/customer_mod.json"
    ));
    shows(
        &mapping,
        &document,
        &[
            ("customer_no", Some("2142")),
            ("first_name", Some("Vzxcv")),
            ("last_name", None),
            ("full_name", Some("Vzxcv")),
            ("email", None),
            ("household", None),
            ("language", Some("en")),
            ("is_prospect", Some("0")),
            ("is_valid", Some("1")),
            ("may_email", Some("1")),
            ("signed_up_on", Some("2020-12-02")),
            ("born_on", None),
            ("life_sales", Some("0")),
            ("home_store", Some("99999")),
        ],
    );
    let parts = mapping.children_from_remote(&document);
    let count = |table: &str| {
        let at = mapping
            .children
            .iter()
            .position(|rule| rule.table == table)
            .unwrap();
        parts[at].clone().unwrap().unwrap().len()
    };
    assert_eq!(count("customer_franchisees"), 4);
    // A store that is null is no store.
    assert_eq!(count("customer_stores"), 0);
    assert_eq!(count("customer_addresses"), 0);
    for field in 0..mapping.fields.len() {
        let silent = says_nothing(&mapping, field, &document);
        assert!(
            !silent || mapping.fields[field].column.starts_with("crm_"),
            "{}",
            mapping.fields[field].column
        );
    }
}

#[test]
fn the_seeds_transaction_becomes_a_row_with_its_lines() {
    let mapping = shipped(Object::Transaction);
    let document = seed(include_str!(
        "../../../tests/data/data_sync/transaction_cre.json"
    ));
    shows(
        &mapping,
        &document,
        &[
            ("transaction_no", Some("99901000022017110710000100")),
            ("customer_no", Some("2147")),
            ("begun_at", Some("2017-11-07T07:24:22Z")),
            ("business_date", Some("2017-11-07")),
            ("subtotal", Some("1325")),
            ("tax", Some("79.5")),
            ("total", Some("77.5")),
            ("exchange_rate", Some("1")),
            ("is_void", Some("0")),
            ("sequence", Some("10000100")),
            ("notes", None),
            ("changed_on", None),
        ],
    );
    let lines = mapping
        .children_from_remote(&document)
        .remove(0)
        .unwrap()
        .unwrap();
    let kinds: Vec<_> = lines.iter().map(|line| line.cells[2].clone()).collect();
    assert_eq!(
        kinds,
        ["Sale", "Tender", "Tax"].map(|kind| Cell::Text(kind.into()))
    );
    assert_eq!(lines[0].cells[4], Cell::Text("2017-11-07T07:24:44Z".into()));
}

#[test]
fn what_is_wholly_absent_says_nothing_and_null_is_empty() {
    let mapping = shipped(Object::Customer);
    let document = customer(
        r#"{"customerID":"1","source":null,"associateAssignments":null,"alternateKey":null,
            "entityInformation":{"individual":{"name":{"name":[{"location":"FIRST","value":"A"}]},
              "contactInformation":{"email":[],"address":[{"typeCode":"HOME"}]}}}}"#,
    );
    for (column, silent) in [
        ("customer_no", false),
        ("source", false),
        ("home_store", true),
        ("first_name", false),
        // The list is there, and no last name in it.
        ("last_name", false),
        ("email", false),
        ("phone", true),
        ("gender", true),
        ("may_mail", true),
        ("full_name", false),
    ] {
        assert_eq!(
            says_nothing(&mapping, at(&mapping, column), &document),
            silent,
            "{column}"
        );
    }
    for (at, rule) in mapping.children.iter().enumerate() {
        let said = [
            "customer_addresses",
            "customer_emails",
            "customer_alternate_keys",
        ];
        // The record of assignments is null, so there are none.
        let expected = !said.contains(&rule.table.as_str()) && rule.table != "customer_associates";
        assert_eq!(
            says_nothing_of_children(&mapping, at, &document),
            expected,
            "{}",
            rule.table
        );
    }
}

#[test]
fn something_of_another_shape_is_a_problem_of_its_field_alone() {
    let mapping = shipped(Object::Customer);
    let document = customer(
        r#"{"customerID":"1","source":{"a":1},"orgName":"Acme","alternateKey":"x","validation":"y","customerNotes":{"customerNote":{"a":1}}}"#,
    );
    let values = mapping.from_remote(&document);
    for column in ["source", "is_valid"] {
        assert_eq!(
            values[at(&mapping, column)].clone().unwrap_err().code,
            "Q-SHAPE",
            "{column}"
        );
    }
    assert_eq!(values[at(&mapping, "organisation")], Ok(some("Acme")));
    let mut note = customer(r#"{"customerID":"1"}"#);
    note.set("alternateKey", Node::Text("x".into()));
    let parts = mapping.children_from_remote(&note);
    let keys = mapping
        .children
        .iter()
        .position(|rule| rule.table == "customer_alternate_keys")
        .unwrap();
    assert_eq!(parts[keys].clone().unwrap_err().code, "Q-SHAPE");
}

/// Composes a record from a row of texts by column, and child rows by table.
fn composed(
    mapping: &Mapping,
    row: &[(&str, &str)],
    children: &[(&str, Vec<Vec<Cell>>)],
) -> Document {
    let mut cells = vec![Cell::Null; mapping.fields.len()];
    for (column, text) in row {
        cells[at(mapping, column)] = Cell::Text((*text).into());
    }
    let row: Vec<Canonical> = mapping
        .from_local(&cells)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let rows: Vec<_> = mapping
        .children
        .iter()
        .map(|rule| {
            let found = children.iter().find(|(table, _)| *table == rule.table);
            found.map_or(Vec::new(), |(_, rows)| rows.clone())
        })
        .collect();
    mapping.compose(&row, &rows).unwrap()
}

fn payload(object: Object, document: &Document) -> serde_json::Value {
    let message = Message::of_record(object, Change::Changed, 1, document).unwrap();
    match message.payload {
        Payload::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{:?}", other == Payload::Missing),
    }
}

#[test]
fn a_row_is_sent_with_its_child_rows_its_empty_values_and_nothing_else() {
    let mapping = shipped(Object::Customer);
    let text = |text: &str| Cell::Text(text.into());
    let home = vec![
        vec![
            text("HOME"),
            text("a@example.org"),
            Cell::Int(1),
            Cell::Null,
        ],
        vec![
            text("WORK"),
            text("b@example.org"),
            Cell::Int(0),
            Cell::Null,
        ],
    ];
    let document = composed(
        &mapping,
        &[
            ("customer_no", "2142"),
            ("first_name", "Zoë"),
            ("email", "new@example.org"),
            ("is_prospect", "1"),
            ("is_valid", "0"),
            ("born_on", "1951-02-11"),
            ("life_sales", "12.50"),
            ("may_fax", "0"),
        ],
        &[
            ("customer_emails", home),
            (
                "customer_attributes",
                vec![vec![text("Shoe"), text("40\n41")]],
            ),
        ],
    );
    let json = payload(Object::Customer, &document);
    assert_eq!(json["customerID"], "2142");
    assert_eq!(json["prospect"], true);
    assert_eq!(
        json["validation"],
        serde_json::json!({"validFlag": "false"})
    );
    assert!(json["source"].is_null() && json.as_object().unwrap().contains_key("source"));
    let individual = &json["entityInformation"]["individual"];
    assert_eq!(
        individual["name"],
        serde_json::json!({"name": [{"location": "FIRST", "value": "Zoë"}]})
    );
    assert_eq!(individual["personalSummary"]["birthDate"], "1951-02-11");
    // The field that selects the primary address writes into the row that is it.
    assert_eq!(
        individual["contactInformation"]["email"],
        serde_json::json!([
            {"typeCode": "HOME", "emailAddress": "new@example.org", "primaryFlag": "true", "validFlag": null},
            {"typeCode": "WORK", "emailAddress": "b@example.org", "primaryFlag": "false", "validFlag": null},
        ])
    );
    assert_eq!(
        individual["contactInformation"]["telephone"],
        serde_json::json!([])
    );
    assert_eq!(
        json["customAttribute"],
        serde_json::json!([{"name": "Shoe", "attributeValue": ["40", "41"]}])
    );
    assert_eq!(
        json["personalPreferences"],
        serde_json::json!({"contactPreference": [{"contactType": "FAX", "permission": "false"}]})
    );
    // Neither what is only pulled nor what is not mapped.
    assert_eq!(individual.get("lifetimeActivitySummary"), None);
    assert_eq!(json.get("customerCards"), None);
    assert_eq!(json.get("lastUpdateInfo"), None);
}

#[test]
fn what_is_sent_reads_as_the_row_that_it_was() {
    let customer = [
        ("customer_no", "7"),
        ("last_name", "Ł  da"),
        ("phone", "1"),
        ("signed_up_on", "2020-02-29"),
        ("may_mail", "1"),
    ];
    let transaction = [
        ("transaction_no", "8"),
        ("total", "-0.10"),
        ("begun_at", "2026-01-09T13:00:00Z"),
        ("is_void", "1"),
        ("workstation", "2"),
    ];
    for (object, row) in [
        (Object::Customer, customer),
        (Object::Transaction, transaction),
    ] {
        let mapping = shipped(object);
        let document = composed(&mapping, &row, &[]);
        let message = Message::of_record(object, Change::Created, 1, &document).unwrap();
        let read = document_of(&message);
        let before = mapping.from_remote(&document);
        assert_eq!(mapping.from_remote(&read), before);
        assert!(
            before
                .iter()
                .filter(|value| matches!(value, Ok(Some(_))))
                .count()
                >= row.len()
        );
        for (at, field) in mapping.fields.iter().enumerate() {
            let sent = field.direction.is_none_or(Direction::pushes);
            assert_eq!(
                says_nothing(&mapping, at, &read),
                !sent && !field.template,
                "{}",
                field.column
            );
        }
        assert!(
            (0..mapping.children.len()).all(|at| !says_nothing_of_children(&mapping, at, &read))
        );
        let times = payload(object, &document);
        if object == Object::Transaction {
            assert_eq!(times["beginDatetime"], "2026-01-09T13:00:00+0000");
            assert_eq!(times["total"].to_string(), "-0.1");
            assert_eq!(times["workstationId"], 2);
            assert_eq!(times["lineItems"], serde_json::json!([]));
        }
    }
}

#[test]
fn a_row_that_can_not_be_sent_names_its_column() {
    let mapping = shipped(Object::Customer);
    let mut row = vec![None; mapping.fields.len()];
    row[at(&mapping, "source")] = some("a\u{1}");
    let children = vec![Vec::new(); mapping.children.len()];
    let problem = mapping.compose(&row, &children).unwrap_err();
    assert_eq!(problem.code, "Q-CHAR");
    assert!(
        problem.reason.starts_with("column source: "),
        "{}",
        problem.reason
    );
    let mut rows = children;
    rows[0] = vec![vec![Cell::Blob(vec![1])]];
    let problem = mapping
        .compose(&vec![None; mapping.fields.len()], &rows)
        .unwrap_err();
    assert!(
        problem
            .reason
            .starts_with("column customer_addresses.kind: "),
        "{}",
        problem.reason
    );
}

fn says_nothing(mapping: &Mapping, field: usize, document: &Document) -> bool {
    matches!(&mapping.from_remote(document)[field], Err(problem) if problem.is_silence())
}

fn says_nothing_of_children(mapping: &Mapping, child: usize, document: &Document) -> bool {
    mapping.children_from_remote(document)[child] == Ok(None)
}
