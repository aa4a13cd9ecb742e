//! What messages mean: the seed's bodies, every odd form of an id, and what no one can understand.

use proptest::prelude::*;

use super::decode::{Change, Meaning, Object};
use super::message::{EnvelopeLimits, Message, Payload, read_envelope, write_envelope};
use crate::model::{Document, Node, RemoteId};

const DEPTH: u32 = 32;

fn only(body: &str) -> Message {
    let limits = EnvelopeLimits {
        max_messages: 500,
        json_depth: DEPTH,
    };
    let mut messages = read_envelope(body.as_bytes(), &limits).unwrap();
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

fn message(kind: &str, action: &str, payload: &str) -> Message {
    Message {
        kind: kind.to_owned(),
        action: action.to_owned(),
        unique_id: "26764466".to_owned(),
        payload: Payload::Text(payload.to_owned()),
    }
}

fn customer(payload: &str) -> Document {
    match message("CUSTOMER", "CUSTOMERMOD", payload).meaning(DEPTH) {
        Ok(Meaning::Record { document, .. }) => document,
        other => panic!("{other:?}"),
    }
}

fn down<'d>(document: &'d Document, names: &[&str]) -> &'d Document {
    names
        .iter()
        .fold(document, |here, name| match here.get(name) {
            Some(Node::Record(below)) => below,
            other => panic!("{name}: {other:?}"),
        })
}

#[test]
fn the_seeds_customer_is_read_whatever_its_caption_says() {
    let message = only(include_str!(
        "../../../tests/data/data_sync/customer_mod.json"
    ));
    let Ok(Meaning::Record {
        object: Object::Customer,
        id,
        change: Change::Changed,
        document,
    }) = message.meaning(DEPTH)
    else {
        panic!("{:?}", message.meaning(DEPTH))
    };
    // Not the uniqueId 26764466.
    assert_eq!(id, RemoteId("2142".to_owned()));
    assert_eq!(document.iter().count(), 29);
    for (name, value) in [
        ("signupDate", "2020-12-02"),
        ("retailStoreID", "99999"),
        ("firstPurchaseDate", ""),
        ("prospect", "false"),
        ("householdKey", ""),
        ("source", "Relate"),
        ("associateAssignments", ""),
    ] {
        assert_eq!(document.text(name), Some(value), "{name}");
    }
    assert_eq!(document.get("preferenceCenters"), None);
    assert_eq!(document.list("affiliation").len(), 1);
    assert_eq!(
        document.list("affiliation")[0].text("retailStoreID"),
        Some("")
    );
    assert_eq!(document.get("alternateKey"), Some(&Node::List(Vec::new())));
    let individual = down(&document, &["entityInformation", "individual"]);
    let names = down(individual, &["name"]).list("name");
    let names: Vec<_> = names
        .iter()
        .map(|item| (item.text("location"), item.text("value")))
        .collect();
    assert_eq!(
        names,
        [
            (Some("FIRST"), Some("Vzxcv")),
            (Some("MIDDLE"), Some("")),
            (Some("LAST"), Some(""))
        ]
    );
    assert_eq!(
        down(individual, &["contactInformation"]).get("email"),
        Some(&Node::List(Vec::new()))
    );
    assert_eq!(
        down(individual, &["personalSummary"]).text("rent"),
        Some("false")
    );
    assert_eq!(
        down(individual, &["lifetimeActivitySummary"]).text("totalSalesAmount"),
        Some("0")
    );
    let franchisees = down(&document, &["franchisees"]).list("franchisee");
    assert_eq!(franchisees.len(), 4);
    assert_eq!(franchisees[0].text("franchiseeId"), Some("2"));
    assert_eq!(
        franchisees[0].text("franchiseeName"),
        Some("<FRANCHISEE NAME> ")
    );
}

#[test]
fn the_seeds_transaction_keeps_its_digits() {
    let message = only(include_str!(
        "../../../tests/data/data_sync/transaction_cre.json"
    ));
    let Ok(Meaning::Record {
        object: Object::Transaction,
        id,
        change: Change::Created,
        document,
    }) = message.meaning(DEPTH)
    else {
        panic!("{:?}", message.meaning(DEPTH))
    };
    assert_eq!(id, RemoteId("99901000022017110710000100".to_owned()));
    for (name, value) in [
        ("subtotal", "1325.00"),
        ("taxTotal", "79.50"),
        ("total", "77.50"),
        ("markdownTotal", "0"),
        ("currencyExchangeRate", "1"),
        ("beginDatetime", "2017-11-07T12:54:22+0530"),
        ("voidFlag", "false"),
        ("customerId", "2147"),
        ("transactionSequence", "10000100"),
        ("notes", ""),
    ] {
        assert_eq!(document.text(name), Some(value), "{name}");
    }
    let items = document.list("lineItems");
    let kinds: Vec<_> = items
        .iter()
        .filter_map(|item| item.text("lineItemTypeCode"))
        .collect();
    assert_eq!(kinds, ["Sale", "Tender", "Tax"]);
    assert_eq!(
        items[0].list("lineItemModifiers")[0].text("custId"),
        Some("2147")
    );
}

#[test]
fn h58_a_deletion_gives_its_id_in_every_form() {
    let deletion = |payload: Payload| {
        let mut message = message("CUSTOMER", "CUSTOMERDEL", "");
        message.payload = payload;
        message.meaning(DEPTH)
    };
    let text = |text: &str| deletion(Payload::Text(text.to_owned()));
    for (payload, id) in [
        ("2142", "2142"),
        (" 2142\n", "2142"),
        ("\"2142\"", "2142"),
        ("0042", "0042"),
        ("\"0042\"", "0042"),
        ("A-17", "A-17"),
        ("1e3", "1e3"),
        ("{\"customerID\":\"2142\"}", "2142"),
        ("{\"customerId\":2142,\"x\":[]}", "2142"),
    ] {
        assert_eq!(
            text(payload),
            Ok(Meaning::Deleted {
                id: RemoteId(id.to_owned())
            }),
            "{payload}"
        );
    }
    for raw in ["2142", "{\"customerID\":\"2142\"}"] {
        let id = RemoteId("2142".to_owned());
        assert_eq!(
            deletion(Payload::Json(raw.to_owned())),
            Ok(Meaning::Deleted { id })
        );
    }
    for payload in [
        "",
        "  ",
        "null",
        "true",
        "\"\"",
        "{}",
        "[]",
        "[\"2142\"]",
        "{\"customerID\":null}",
        "{\"customerID\":",
        "two words",
        "\"a\\u0000b\"",
        &"9".repeat(200),
        "{\"uniqueId\":\"7\"}",
    ] {
        let bad = text(payload).unwrap_err();
        assert_eq!((bad.code, bad.id), ("Q-PAYLOAD", None), "{payload}");
    }
    // The queue's key is no customer: without a payload nobody is deleted.
    assert_eq!(deletion(Payload::Missing).unwrap_err().code, "Q-PAYLOAD");
}

#[test]
fn what_can_not_be_understood_says_why_and_nothing_of_its_values() {
    let good = "{\"customerID\":\"1\",\"source\":\"private\"}";
    for (kind, action, payload, code, says) in [
        ("POSTRN", "CUSTOMERMOD", good, "Q-ACTION", "contradict"),
        ("CUSTOMER", "POSTRNCRE", good, "Q-ACTION", "contradict"),
        ("CUSTOMER", "CUSTOMERMERGE", good, "Q-ACTION", "not known"),
        ("SEGMENT", "CUSTOMERMOD", good, "Q-ACTION", "not known"),
        ("", "CUSTOMERMOD", good, "Q-ACTION", "no type"),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "private",
            "Q-PAYLOAD",
            "is not JSON",
        ),
        ("CUSTOMER", "CUSTOMERMOD", "", "Q-PAYLOAD", "is not JSON"),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "[\"private\"]",
            "Q-PAYLOAD",
            "no JSON object",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "\"private\"",
            "Q-PAYLOAD",
            "no JSON object",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"source\":\"private\"}",
            "Q-PAYLOAD",
            "has no \"customerID\"",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"customerID\":null}",
            "Q-PAYLOAD",
            "\"customerID\" is no id",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"customerID\":{\"a\":1}}",
            "Q-PAYLOAD",
            "has no \"customerID\"",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"customerID\":\"a b\"}",
            "Q-PAYLOAD",
            "is no id",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"customerId\":\"1\"}",
            "Q-PAYLOAD",
            "has no \"customerID\"",
        ),
        (
            "CUSTOMER",
            "CUSTOMERMOD",
            "{\"customerID\":\"1\",\"customerID\":\"2\"}",
            "Q-PAYLOAD",
            "twice",
        ),
        (
            "POSTRN",
            "POSTRNCRE",
            "{\"retailTransactionId\":\"1\",\"total\":1e999}",
            "Q-PAYLOAD",
            "exponent",
        ),
        (
            "POSTRN",
            "POSTRNCRE",
            good,
            "Q-PAYLOAD",
            "has no \"retailTransactionId\"",
        ),
    ] {
        let message = message(kind, action, payload);
        let bad = message.meaning(DEPTH).unwrap_err();
        assert_eq!(bad.code, code, "{kind} {action} {payload}");
        assert!(bad.reason.contains(says), "{payload}: {}", bad.reason);
        assert!(!bad.reason.contains("private"));
        assert_eq!(Message::from_bytes(&bad.raw), Some(message));
    }
    let deep = format!(
        "{{\"customerID\":\"1\",\"x\":{}1{}}}",
        "[".repeat(40),
        "]".repeat(40)
    );
    let bad = message("CUSTOMER", "CUSTOMERCRE", &deep)
        .meaning(DEPTH)
        .unwrap_err();
    assert!(bad.reason.contains("too deeply"), "{}", bad.reason);
    let email = "{\"customerID\":\"1\",\"entityInformation\":{\"individual\":{\"contactInformation\":{\"email\":[{\"emailAddress\":\"a\",\"eMailAddress\":\"b\"}]}}}}";
    let bad = message("CUSTOMER", "CUSTOMERCRE", email)
        .meaning(DEPTH)
        .unwrap_err();
    assert!(bad.reason.contains("two spellings"), "{}", bad.reason);
}

#[test]
fn a_payload_may_come_parsed_already_or_encoded_twice() {
    let plain = "{\"customerID\":90017,\"source\":\"a\"}";
    let twice = serde_json::to_string(plain).unwrap();
    let mut parsed = message("CUSTOMER", "CUSTOMERCRE", "");
    parsed.payload = Payload::Json(plain.to_owned());
    for message in [message("CUSTOMER", "CUSTOMERCRE", &twice), parsed] {
        match message.meaning(DEPTH) {
            Ok(Meaning::Record {
                id,
                change: Change::Created,
                document,
                ..
            }) => {
                assert_eq!(id.0, "90017");
                assert_eq!(document, customer(plain));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn odd_shapes_and_spellings_are_brought_to_one() {
    let document = customer(
        r#"{"customerID":"1","validation":{"validFlag":true},"affiliation":{"retailStoreID":7},"alternateKey":null,
            "customAttribute":[{"name":"Shoe","attributeValue":["40","41"]},null],
            "entityInformation":{"individual":{"name":{"name":{"location":"First2","value":"Ann"}},
              "contactInformation":{"eMail":[{"EMailAddress":"a@example.org"}],"address":[]}}},
            "unknown":{"list":[1,[2],{"a":null}],"n":1.50E1,"b":true}}"#,
    );
    assert_eq!(
        down(&document, &["validation"]).text("validFlag"),
        Some("true")
    );
    assert_eq!(
        document.list("affiliation")[0].text("retailStoreID"),
        Some("7")
    );
    assert_eq!(document.get("alternateKey"), Some(&Node::List(Vec::new())));
    let attributes = document.list("customAttribute");
    assert_eq!(attributes.len(), 1);
    assert_eq!(attributes[0].text("attributeValue"), Some("40\n41"));
    let individual = down(&document, &["entityInformation", "individual"]);
    assert_eq!(
        down(individual, &["name"]).list("name")[0].text("location"),
        Some("FIRST_2")
    );
    let contact = down(individual, &["contactInformation"]);
    assert_eq!(
        contact.list("email")[0].text("emailAddress"),
        Some("a@example.org")
    );
    assert_eq!(contact.get("telephone"), None);
    let unknown = down(&document, &["unknown"]);
    assert_eq!(
        (unknown.text("n"), unknown.text("b")),
        (Some("15.0"), Some("true"))
    );
    assert_eq!(unknown.list("list")[2].text("a"), Some(""));
}

#[test]
fn a_record_is_written_with_the_types_of_the_seed() {
    let payload = r#"{"customerID":"1","signupDate":"2020-12-02","validation":{"validFlag":"true"},"prospect":false,"affiliation":[{"retailStoreID":null}],"customAttribute":[{"name":"Shoe","attributeValue":["40","\"41\""]}],"franchisees":{"franchisee":[{"franchiseeId":2,"franchiseeName":"Demo "}]},"zoo":null}"#;
    let written =
        Message::of_record(Object::Customer, Change::Changed, 7, &customer(payload)).unwrap();
    assert!(
        written.payload == Payload::Text(payload.to_owned()),
        "{}",
        write_envelope(&[written])
    );
    let written = Message::of_deletion(8, &RemoteId("2142".to_owned()));
    assert_eq!(
        write_envelope(&[written]),
        r#"{"messages":[{"action":"CUSTOMERDEL","payload":"2142","type":"CUSTOMER","uniqueId":"8"}]}"#
    );
    for (name, value, code) in [
        ("transactionSequence", "1.5", "Q-NUMBER"),
        ("total", "1,5", "Q-NUMBER"),
        ("total", "01", "Q-NUMBER"),
        ("voidFlag", "yes", "Q-BOOL"),
    ] {
        let mut document = Document::new();
        document.push("retailTransactionId", Node::Text("1".into()));
        document.push(name, Node::Text(value.into()));
        let problem =
            Message::of_record(Object::Transaction, Change::Created, 1, &document).unwrap_err();
        assert_eq!(problem.code, code, "{name} {value}");
        assert!(
            problem.reason.contains(name) && !problem.reason.contains(value),
            "{}",
            problem.reason
        );
    }
}

#[test]
fn the_seeds_bodies_come_back_as_they_went() {
    for body in [
        include_str!("../../../tests/data/data_sync/customer_mod.json"),
        include_str!("../../../tests/data/data_sync/transaction_cre.json"),
    ] {
        let message = only(body);
        let Ok(Meaning::Record {
            object,
            change,
            document,
            id,
        }) = message.meaning(DEPTH)
        else {
            panic!("{:?}", message.meaning(DEPTH))
        };
        let written = Message::of_record(object, change, 26_764_466, &document).unwrap();
        assert_eq!(
            written.meaning(DEPTH),
            Ok(Meaning::Record {
                object,
                change,
                id,
                document
            })
        );
        // Byte for byte, but for an empty text that becomes null.
        let (Payload::Text(ours), Payload::Text(theirs)) = (&written.payload, &message.payload)
        else {
            panic!("no text")
        };
        assert_eq!(*ours, theirs.replace("\"\"", "null"));
    }
}

proptest! {
    #[test]
    fn any_payload_means_something_or_is_held(
        payload in "\\PC{0,40}|[\\[\\]{}\",:0-9a-c]{0,30}", kind in "CUSTOMER|POSTRN|[A-Z]{0,3}", action in "CUSTOMER(CRE|MOD|DEL)|POSTRNCRE",
    ) {
        let message = message(&kind, &action, &payload);
        if let Err(bad) = message.meaning(DEPTH) {
            prop_assert_eq!(Message::from_bytes(&bad.raw), Some(message));
        }
    }

    #[test]
    fn whatever_a_record_holds_it_is_read_as_it_was_written(
        first in "\\PC{1,12}", number in -999_999i64..999_999, cents in 0..99u8, yes in proptest::bool::ANY, names in proptest::collection::vec("[a-z]{1,4}", 0..4),
    ) {
        let mut document = Document::new();
        document.push("retailTransactionId", Node::Text("1".into()));
        document.push("voidFlag", Node::Text(yes.to_string()));
        document.push("notes", Node::Text(first));
        document.push("total", Node::Text(format!("{number}.{cents:02}")));
        let items = names.into_iter().map(|name| {
            let mut item = Document::new();
            item.push("lineItemTypeCode", Node::Text(name));
            item
        });
        document.push("lineItems", Node::List(items.collect()));
        let written = Message::of_record(Object::Transaction, Change::Created, 1, &document).unwrap();
        match written.meaning(DEPTH) {
            Ok(Meaning::Record { document: read, .. }) => prop_assert_eq!(read, document),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
