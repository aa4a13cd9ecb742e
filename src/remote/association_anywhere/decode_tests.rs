//! Details as documents: names, lists, flags, what is asked for and missing, and what spoils one customer alone.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::decode::{Reading, decode_details};
use super::shape::complete;
use super::wire;
use crate::model::{BadRecord, Document, Node, RemoteId, RemoteItem, Result};
use crate::remote::xml::AnswerLimits;

const SINGLE: &[u8] = include_bytes!("../../../tests/data/association_anywhere/details-single.xml");
const BULK: &[u8] = include_bytes!("../../../tests/data/association_anywhere/details-bulk.xml");

fn read(body: impl AsRef<[u8]>) -> Result<Vec<RemoteItem>> {
    decode_details(body.as_ref(), Some("text/xml"), &Reading::default())
}

fn only(body: impl AsRef<[u8]>) -> RemoteItem {
    let mut items = read(body).unwrap();
    assert_eq!(items.len(), 1);
    items.remove(0)
}

fn document(inner: &str) -> Document {
    match only(format!(
        "<r_cust><custInfo><custId>1</custId>{inner}</custInfo></r_cust>"
    )) {
        RemoteItem::Record(record) => record.document,
        RemoteItem::Bad(bad) => panic!("{inner}: {bad:?}"),
    }
}

fn bad(inner: &str) -> BadRecord {
    match only(format!(
        "<r_cust><custInfo><custId>1</custId>{inner}</custInfo></r_cust>"
    )) {
        RemoteItem::Bad(bad) => bad,
        RemoteItem::Record(record) => panic!("{inner}: {record:?}"),
    }
}

fn text<'d>(document: &'d Document, list: &str, name: &str) -> Vec<Option<&'d str>> {
    document
        .list(list)
        .iter()
        .map(|item| item.text(name))
        .collect()
}

#[test]
fn the_contracts_sample_becomes_its_document() {
    let RemoteItem::Record(record) = only(SINGLE) else {
        panic!("bad")
    };
    assert_eq!(record.id, RemoteId("0000731".to_owned()));
    assert_eq!((record.stamp, record.deleted), (None, false));
    let document = record.document;
    assert_eq!(document.text("custId"), Some("0000731"));
    let Some(Node::Record(name)) = document.get("name") else {
        panic!("no name")
    };
    assert_eq!(
        (name.text("degreeName"), name.text("middleName")),
        (Some("PhD"), Some(""))
    );
    assert_eq!(text(&document, "roles", "role"), [Some("PRIMARY")]);
    assert_eq!(text(&document, "addresses", "city"), [Some("Exampleton")]);
    assert_eq!(
        text(&document, "jobs", "employerName"),
        [Some("Quill & Partners")]
    );
    assert_eq!(
        text(&document, "memberships", "expirationDate"),
        [Some("12/31/2026")]
    );
    assert_eq!(text(&document, "customerAttributes", "char"), [Some("")]);
    assert_eq!(document.get("websites"), None, "not in the answer");
}

#[test]
fn names_are_spelled_as_the_contract_has_them_and_unknown_ones_are_kept() {
    let items = read(BULK).unwrap();
    let RemoteItem::Record(record) = &items[1] else {
        panic!("bad")
    };
    assert_eq!(record.id, RemoteId("5518_SC".to_owned()));
    let document = &record.document;
    assert_eq!(
        (document.text("custId"), document.text("custType")),
        (Some("5518_SC"), Some("C"))
    );
    let Some(Node::Record(name)) = document.get("name") else {
        panic!("no name")
    };
    assert_eq!(name.text("companyName"), Some("Quill & Partners"));
    assert_eq!(
        text(document, "emails", "preferred"),
        [Some("true")],
        "Y means true"
    );
    assert_eq!(text(document, "webGroups", "title"), [Some("Rivers")]);
    let Some(Node::Record(visit)) = document.get("lastVisit") else {
        panic!("no attributes")
    };
    assert_eq!(visit.text("when"), Some("2026-11-01"));
    let RemoteItem::Record(first) = &items[0] else {
        panic!("bad")
    };
    assert_eq!(first.document.get("emails"), Some(&Node::List(vec![])));
}

#[test]
fn lists_that_nobody_described_are_known_by_their_shape() {
    let two = document("<awards><award>A</award><award><x>1</x></award></awards>");
    assert_eq!(text(&two, "awards", "award"), [Some("A"), None]);
    assert_eq!(text(&two, "awards", "x"), [None, Some("1")]);
    let one = document("<companies><company><n>A</n></company></companies>");
    assert_eq!(text(&one, "companies", "n"), [Some("A")]);
    let repeated = document("<award><x>1</x></award><award><x>2</x></award>");
    assert_eq!(text(&repeated, "award", "x"), [Some("1"), Some("2")]);
    let aliases = document("<aliases><alias>Mar</alias></aliases>");
    assert_eq!(text(&aliases, "aliases", "alias"), [Some("Mar")]);
    let record = document("<bio><headline>H</headline><body>B</body></bio>");
    assert!(matches!(record.get("bio"), Some(Node::Record(bio)) if bio.text("body") == Some("B")));
    let inside = document("<bio><part>1</part><part>2</part><other/></bio>");
    assert!(matches!(inside.get("bio"), Some(Node::Record(bio)) if bio.list("part").len() == 2));
    let unwrapped =
        document("<email><address>a</address></email><email><address>b</address></email>");
    assert_eq!(
        text(&unwrapped, "emails", "address"),
        [Some("a"), Some("b")]
    );
    let spaced = document("<oddity>\n  </oddity><bio>\n</bio>");
    assert_eq!(
        (spaced.text("oddity"), spaced.text("bio")),
        (Some(""), Some(""))
    );
}

#[test]
fn flags_are_read_in_every_word_and_nothing_else_is_changed() {
    for (written, read) in [
        ("true", "true"),
        ("Y", "true"),
        ("1", "true"),
        ("N", "false"),
        ("0", "false"),
        ("perhaps", "perhaps"),
        ("", ""),
    ] {
        let document = document(&format!(
            "<phones><phone><best>{written}</best><ext>{written}</ext></phone></phones>"
        ));
        assert_eq!(text(&document, "phones", "best"), [Some(read)]);
        assert_eq!(text(&document, "phones", "ext"), [Some(written)]);
    }
}

#[test]
fn what_was_asked_for_and_did_not_come_is_empty_and_the_rest_says_nothing() {
    let mut document = document("<phones><phone><number>1</number></phone></phones>");
    let read: BTreeSet<String> = ["custId", "emails", "bio", "birthDate"]
        .map(str::to_owned)
        .into();
    complete(&mut document, &["emails", "bio", "phones"].into(), &read);
    assert_eq!(document.get("emails"), Some(&Node::List(vec![])));
    assert_eq!(document.get("bio"), Some(&Node::List(vec![])));
    assert_eq!(document.list("phones").len(), 1);
    assert_eq!(document.get("name"), Some(&Node::Record(Document::new())));
    assert_eq!(
        (document.text("loginId"), document.text("birthDate")),
        (Some(""), Some(""))
    );
    for silent in ["addresses", "jobs", "files"] {
        assert_eq!(document.get(silent), None, "{silent}");
    }
}

#[test]
fn what_spoils_one_customer_harms_no_other() {
    let long = "x".repeat(70_000);
    for (inner, code, says) in [
        (
            "<error>No access to 'Ann Quill'</error>",
            "Q-REMOTE",
            "No access to",
        ),
        ("<status>FAILURE</status>", "Q-REMOTE", "FAILURE"),
        (
            "<name><firstName>a&#1;</firstName></name>",
            "Q-CHAR",
            "firstName holds a character that XML forbids",
        ),
        (
            "<name><firstName>a & b</firstName></name>",
            "Q-CHAR",
            "firstName",
        ),
        (
            "<loginId>a\u{202e}</loginId>",
            "Q-CHAR",
            "turns the writing direction over",
        ),
        (
            &format!("<loginId>{long}</loginId>"),
            "Q-CHAR",
            "loginId is longer than 65536 bytes",
        ),
        (
            "<loginId>a</loginId><loginId>b</loginId>",
            "Q-SHAPE",
            "loginId stands there twice",
        ),
        (
            "<loginId><b>x</b></loginId>",
            "Q-SHAPE",
            "loginId holds an element b",
        ),
        ("<emails>none</emails>", "Q-SHAPE", "emails holds a text"),
        ("stray", "Q-SHAPE", "text stands between"),
    ] {
        let found = bad(inner);
        assert_eq!(
            (found.code, &found.id),
            (code, &Some(RemoteId("1".to_owned()))),
            "{inner:.60}"
        );
        assert!(
            found.reason.contains(says) && !found.reason.contains("Quill"),
            "{}",
            found.reason
        );
        let raw = String::from_utf8(found.raw).unwrap();
        assert!(
            raw.starts_with("<custInfo>") && raw.ends_with("</custInfo>"),
            "{raw:.60}"
        );
        let answer = format!(
            "<custInfoResponse>{raw}<custInfo><custId>2</custId></custInfo></custInfoResponse>"
        );
        let items = read(answer).unwrap();
        assert!(
            matches!(&items[..], [RemoteItem::Bad(_), RemoteItem::Record(two)] if two.id.0 == "2")
        );
    }
    for inner in [
        "",
        "<custId/>",
        "<custId> </custId>",
        "<custId>a&#1;</custId>",
    ] {
        let item = only(format!("<a_cust><custInfo>{inner}</custInfo></a_cust>"));
        assert!(
            matches!(item, RemoteItem::Bad(bad) if bad.id.is_none()),
            "{inner}"
        );
    }
    let big = format!("<bio>{}</bio>", "<p>x</p>".repeat(40_000));
    let limits = AnswerLimits {
        elements: 1_000_000,
        ..AnswerLimits::default()
    };
    let reading = Reading {
        charset: None,
        limits,
    };
    let body = format!("<custInfo><custId>1</custId>{big}</custInfo>");
    let items = decode_details(body.as_bytes(), None, &reading).unwrap();
    assert!(matches!(&items[..], [RemoteItem::Bad(bad)] if bad.code == "Q-SIZE"));
}

#[test]
fn undecodable_bytes_spoil_the_customer_they_stand_in_and_are_kept_as_they_came() {
    let body = b"\xef\xbb\xbf<custInfoResponse><custInfo><custId>1</custId><loginId>M\xfcller</loginId></custInfo><custInfo><custId>2</custId><loginId>\xc3\xa9</loginId></custInfo></custInfoResponse>";
    let items = read(body).unwrap();
    let [RemoteItem::Bad(bad), RemoteItem::Record(good)] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(bad.code, "Q-CHAR");
    assert!(bad.raw.windows(2).any(|pair| pair == b"M\xfc"));
    assert_eq!(good.document.text("loginId"), Some("é"));
    let latin = decode_details(
        &body[3..],
        Some("text/xml; charset=iso-8859-1"),
        &Reading::default(),
    )
    .unwrap();
    assert!(
        matches!(&latin[0], RemoteItem::Record(one) if one.document.text("loginId") == Some("Müller"))
    );
    assert_eq!(
        read(b"<custInfoResponse>\xfc</custInfoResponse>")
            .unwrap_err()
            .code(),
        "E-AA-CHARSET"
    );
}

#[test]
fn what_is_no_answer_of_the_details_is_never_an_empty_one() {
    let deep = "<a>".repeat(100_000);
    let many = format!(
        "<custInfoResponse>{}</custInfoResponse>",
        "<a/>".repeat(250_000)
    );
    for (text, code) in [
        ("", "E-BODY-TRUNCATED"),
        ("<html><body>x</body></html>", "E-AA-NOTXML"),
        ("oops", "E-AA-NOTXML"),
        ("<nothing/>", "E-AA-SHAPE"),
        (
            "<custInfoResponse><custInfo><custId>1</custId>",
            "E-BODY-TRUNCATED",
        ),
        ("<custInfoResponse></custInfo>", "E-AA-MALFORMED"),
        ("<custInfoResponse/><custInfoResponse/>", "E-AA-SHAPE"),
        (
            "<!DOCTYPE lolz [<!ENTITY lol 'lol'>]><custInfo/>",
            "E-XML-DTD",
        ),
        ("<custInfo><custId>&lol;</custId></custInfo>", "E-XML-DTD"),
        (
            "<custInfoResponse><error>ORA-1</error></custInfoResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custInfo><status>FAILURE</status><error>Invalid integrator credentials</error></custInfo>",
            "E-AUTH",
        ),
        (deep.as_str(), "E-XML-DEPTH"),
        (many.as_str(), "E-XML-COUNT"),
    ] {
        let error = read(text).map(|items| items.len()).unwrap_err();
        assert_eq!(error.code(), code, "{text:.60}");
    }
    assert_eq!(read("<custInfoResponse/>").unwrap(), []);
    assert_eq!(read("<r><status>SUCCESS</status></r>").unwrap(), []);
}

fn plain() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9<>&\"'é_.-]{1,12}"
}

fn any_customer() -> impl Strategy<Value = wire::CustInfo> {
    let email = (plain(), any::<bool>(), prop::option::of(plain())).prop_map(
        |(serno, preferred, address)| wire::Email {
            email_serno: serno,
            preferred,
            address,
        },
    );
    (
        "[0-9]{1,7}(_SC)?",
        prop::option::of(plain()),
        prop::option::of((prop::option::of(plain()), prop::option::of(plain()))),
        prop::option::of(prop::collection::vec(plain(), 0..3)),
        prop::option::of(prop::collection::vec(email, 0..3)),
    )
        .prop_map(|(cust_id, cust_type, name, roles, emails)| wire::CustInfo {
            cust_id,
            cust_type,
            name: name.map(|(first_name, last_name)| wire::Name {
                first_name,
                last_name,
            }),
            roles: roles.map(|roles| wire::Roles { roles }),
            emails: emails.map(|emails| wire::Emails { emails }),
        })
}

/// The document that a customer of the wire means.
fn meant(customer: &wire::CustInfo) -> Document {
    let node = |text: &str| Node::Text(text.to_owned());
    let mut document = Document::new();
    document.push("custId", node(&customer.cust_id));
    if let Some(kind) = &customer.cust_type {
        document.push("custType", node(kind));
    }
    if let Some(name) = &customer.name {
        let mut record = Document::new();
        for (key, value) in [
            ("firstName", &name.first_name),
            ("lastName", &name.last_name),
        ] {
            if let Some(value) = value {
                record.push(key, node(value));
            }
        }
        document.push("name", Node::Record(record));
    }
    if let Some(roles) = &customer.roles {
        let roles = roles.roles.iter().map(|role| {
            let mut item = Document::new();
            item.push("role", node(role));
            item
        });
        document.push("roles", Node::List(roles.collect()));
    }
    if let Some(emails) = &customer.emails {
        let emails = emails.emails.iter().map(|email| {
            let mut item = Document::new();
            item.push("emailSerno", node(&email.email_serno));
            item.push("preferred", node(&email.preferred.to_string()));
            if let Some(address) = &email.address {
                item.push("address", node(address));
            }
            item
        });
        document.push("emails", Node::List(emails.collect()));
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(22), ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_the_types_of_the_wire_write_is_read_as_they_mean_it(customers in prop::collection::vec(any_customer(), 1..5)) {
        let answer = wire::DetailsResponse { customers: customers.clone() };
        let text = yaserde::ser::to_string(&answer).unwrap();
        let documents: Vec<Document> = read(&text).unwrap().into_iter().map(|item| match item {
            RemoteItem::Record(record) => record.document,
            RemoteItem::Bad(bad) => panic!("{bad:?}"),
        }).collect();
        prop_assert_eq!(documents, customers.iter().map(meant).collect::<Vec<_>>());
        let again: wire::DetailsResponse = yaserde::de::from_str(&text).unwrap();
        prop_assert_eq!(again, answer);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), damage in any::<u8>(),
    ) {
        let _ = read(&bytes);
        for sample in [SINGLE, BULK] {
            let mut answer = sample.to_vec();
            let at = cut.index(answer.len());
            answer[at] = damage;
            let _ = read(&answer);
            answer.splice(at..at, bytes.iter().copied());
            let _ = read(&answer);
        }
    }
}
