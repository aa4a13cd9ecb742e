//! The reader of the queue: each rule of `association-anywhere.md` §5, whatever the answer's spelling and wherever it is cut.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::decode::Reading;
use super::rows::{QueueEnd, QueueReader, STEP};
use super::wire;
use crate::model::{Error, RemoteId, Result};
use crate::remote::{Queued, Scope};

const REASONS: &[u8] = include_bytes!("../../../tests/data/association_anywhere/queue-reasons.xml");
const PLAIN: &[u8] = include_bytes!("../../../tests/data/association_anywhere/queue-plain.xml");
const FALLBACK: &[u8] =
    include_bytes!("../../../tests/data/association_anywhere/queue-fallback.xml");
const EMPTY: &[u8] = include_bytes!("../../../tests/data/association_anywhere/queue-empty.xml");

fn read_pieces(pieces: &[&[u8]]) -> Result<(Vec<Queued>, QueueEnd)> {
    let mut reader = QueueReader::new(&Reading::default(), None);
    let mut all = Vec::new();
    for piece in pieces {
        reader.feed(piece)?;
        while let Some(step) = reader.step() {
            all.extend(step);
        }
    }
    let (rest, end) = reader.finish()?;
    all.extend(rest);
    Ok((all, end))
}

fn read(text: impl AsRef<[u8]>) -> Result<(Vec<Queued>, QueueEnd)> {
    read_pieces(&[text.as_ref()])
}

fn error(text: &str) -> Error {
    match read(text) {
        Ok(read) => panic!("{text}: {read:?}"),
        Err(error) => error,
    }
}

fn sections(names: &[&str]) -> Scope {
    Scope::Sections(names.iter().map(|name| (*name).to_owned()).collect())
}

fn short(queued: &[Queued]) -> Vec<(&str, Scope, bool)> {
    queued
        .iter()
        .map(|queued| (queued.id.0.as_str(), queued.scope.clone(), queued.deleted))
        .collect()
}

/// One customer with these reasons, in the canonical form.
fn with(triggers: &str) -> Queued {
    let text = format!(
        "<custResponse><maxQueueNum>9</maxQueueNum><customers><customer><custId>1</custId><triggers>{triggers}</triggers></customer></customers></custResponse>"
    );
    read(text).unwrap().0.remove(0)
}

#[test]
fn reasons_say_what_to_ask_for_and_who_is_gone() {
    let (queued, end) = read(REASONS).unwrap();
    assert_eq!(
        short(&queued),
        [
            ("0000731", sections(&["addresses", "phones"]), false),
            ("5518_SC", Scope::Whole, true)
        ]
    );
    assert_eq!(end.number.as_deref(), Some("90041200000000000000412"));
    assert_eq!(end.doubt, None);
}

#[test]
fn the_plain_queue_and_the_fallback_form_are_read_too() {
    let (queued, end) = read(PLAIN).unwrap();
    assert_eq!(
        short(&queued),
        [
            ("0000731", Scope::Whole, false),
            ("5518_SC", Scope::Whole, false)
        ]
    );
    assert_eq!(end.number.as_deref(), Some("900412"));
    let (queued, end) = read(FALLBACK).unwrap();
    assert_eq!(
        short(&queued),
        [
            ("0000731", sections(&["emails", "websites"]), false),
            ("5518_SC", Scope::Whole, true)
        ]
    );
    assert_eq!(end.number.as_deref(), Some("900412"));
}

#[test]
fn an_empty_queue_has_nothing_to_purge() {
    for text in [
        std::str::from_utf8(EMPTY).unwrap(),
        "<custResponse/>",
        "<cust-response><customers></customers><max-queue-num>0</max-queue-num></cust-response>",
        "<queue><maxQueueNum>900412</maxQueueNum></queue>",
        "<r><status>success</status></r>",
    ] {
        let nothing = QueueEnd {
            number: None,
            doubt: None,
        };
        assert_eq!(read(text).unwrap(), (vec![], nothing), "{text}");
    }
}

#[test]
fn every_cut_of_an_answer_is_an_error_and_no_cut_changes_it() {
    for answer in [REASONS, PLAIN, FALLBACK] {
        let whole = read(answer).unwrap();
        let end = answer.len() - 1;
        for at in 0..=answer.len() {
            let (one, other) = answer.split_at(at);
            assert_eq!(read_pieces(&[one, other]).unwrap(), whole, "cut at {at}");
            if at < end {
                let error = read(one).unwrap_err();
                assert_eq!(
                    error.code(),
                    "E-BODY-TRUNCATED",
                    "broken off at {at}: {error}"
                );
            }
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(read_pieces(&bytes).unwrap(), whole);
    }
}

#[test]
fn names_may_be_of_any_spelling_elements_or_attributes() {
    let expected = [("7", sections(&["phones"]), false)];
    for text in [
        "<CUST_RESPONSE MAX_QUEUE_NUM='5'><CUSTOMER CUST_ID='7'><TRIGGER ACTION='insert' TABLE_NAME='cen_cust_phone'/></CUSTOMER></CUST_RESPONSE>",
        "<a:r xmlns:a='u'><a:max-queue-num>5</a:max-queue-num><a:cust><a:cust-id> 7 </a:cust-id><a:t><a:action>INSERT</a:action><a:table-name>CEN_CUST_PHONE</a:table-name></a:t></a:cust></a:r>",
        "<r><h><maxQueueNum>5</maxQueueNum></h><l><custInfo><custId>7</custId><trigger action='INSERT'>CEN_CUST_PHONE</trigger></custInfo></l></r>",
        "<r><customer>\n<custId>7</custId><t action='INSERT' tableName='CEN_CUST_PHONE'/></customer><maxQueueNum>5</maxQueueNum></r>",
        "<r><custId action='INSERT' tableName='CEN_CUST_PHONE'>7</custId><maxQueueNum><![CDATA[5]]></maxQueueNum></r>",
    ] {
        let (queued, end) = read(text).unwrap();
        assert_eq!(short(&queued), expected, "{text}");
        assert_eq!(end.number.as_deref(), Some("5"), "{text}");
    }
}

#[test]
fn unknown_actions_and_tables_call_for_everything() {
    let known = "<trigger action='UPDATE' tableName='CEN_CUST_ADDR'/>";
    assert_eq!(with(known).scope, sections(&["addresses"]));
    for other in [
        "<trigger action='UPDATE' tableName='CEN_CUST_MAST'/>",
        "<trigger action='UPDATE' tableName='EVT_REG_HDR'/>",
        "<trigger action='MERGE' tableName='CEN_CUST_ADDR'/>",
        "<trigger action='UPDATE'/>",
        "<trigger tableName='CEN_CUST_ADDR'/>",
    ] {
        let both = with(&format!("{known}{other}"));
        assert_eq!((both.scope, both.deleted), (Scope::Whole, false), "{other}");
    }
    assert_eq!(with("").scope, Scope::Whole);
    let job = "<trigger action='DELETE' tableName='CEN_CUST_EMP'/>";
    assert_eq!(
        with(job).scope,
        sections(&["employees", "employmentAttributes", "jobs"])
    );
    assert!(
        !with(job).deleted,
        "a job that ended is no customer that went"
    );
    let gone = "<trigger action='delete' tableName='Cen_Cust_Mast'/>";
    assert!(with(&format!("{known}{gone}")).deleted);
}

#[test]
fn a_customer_element_may_be_its_own_id() {
    let (queued, end) =
        read("<r><customers><customer>0731</customer></customers><maxQueueNum>5</maxQueueNum></r>")
            .unwrap();
    assert_eq!(short(&queued), [("0731", Scope::Whole, false)]);
    assert!(end.number.is_some());
    let blank = format!("{}<custResponse/>", " ".repeat(1_000));
    assert_eq!(read(blank).unwrap().0, []);
}

#[test]
fn an_id_that_stands_there_twice_is_one_with_the_reasons_of_both() {
    let text = "<r><maxQueueNum>9</maxQueueNum><customer><custId>1</custId><t action='UPDATE' tableName='CEN_CUST_ADDR'/></customer><customer><custId>2</custId></customer><customer><custId>1</custId><t action='INSERT' tableName='CEN_CUST_PHONE'/></customer></r>";
    let (queued, _) = read(text).unwrap();
    assert_eq!(
        short(&queued),
        [
            ("1", sections(&["addresses", "phones"]), false),
            ("2", Scope::Whole, false)
        ]
    );
}

#[test]
fn a_mark_changes_with_every_reason_and_with_nothing_else() {
    let one = "<trigger queueNum='1' action='UPDATE' tableName='CEN_CUST_ADDR'/>";
    let two = "<trigger queueNum='2' action='UPDATE' tableName='CEN_CUST_ADDR'/>";
    let mark = |triggers: &str| with(triggers).mark;
    assert_eq!(mark(one), mark(one));
    assert_eq!(
        mark(one),
        mark("<trigger tableName=\"CEN_CUST_ADDR\"  queueNum=\"1\" action=\"UPDATE\"></trigger>")
    );
    assert_eq!(mark(&format!("{one}{two}")), mark(&format!("{two}{one}")));
    let all = ["", one, two, &format!("{one}{one}"), &format!("{one}{two}")].map(mark);
    for (at, this) in all.iter().enumerate() {
        assert!(!all[..at].contains(this), "{at}");
    }
    // Without reasons, how often it stands there is all there is.
    let plain = |ids: &str| {
        let (queued, _) = read(format!("<r><maxQueueNum>1</maxQueueNum>{ids}</r>")).unwrap();
        queued[0].mark
    };
    assert_ne!(
        plain("<custId>1</custId>"),
        plain("<custId>1</custId><custId>1</custId>")
    );
    assert_eq!(
        plain("<custId>1</custId><custId>1</custId>"),
        plain("<custId>1</custId>").wrapping_mul(2),
        "readings add up"
    );
    assert_eq!(
        with(one).mark,
        6_624_990_138_630_459_257,
        "stable between builds, since it is kept"
    );
}

#[test]
fn what_can_be_no_number_is_doubted_and_never_purged() {
    let customer =
        "<customer><custId>1</custId><t action='UPDATE' tableName='T' queueNum='100'/></customer>";
    // The largest number of the database is one that no sequence comes to.
    let long = "9".repeat(38);
    for (number, says) in [
        (String::new(), "no number"),
        ("<maxQueueNum/>".to_owned(), "no number"),
        ("<maxQueueNum>0</maxQueueNum>".to_owned(), "0 as its number"),
        ("<maxQueueNum>12a</maxQueueNum>".to_owned(), "digits"),
        ("<maxQueueNum>-100</maxQueueNum>".to_owned(), "digits"),
        ("<maxQueueNum>1e3</maxQueueNum>".to_owned(), "digits"),
        (format!("<maxQueueNum>{long}</maxQueueNum>"), "too long"),
        ("<maxQueueNum>99</maxQueueNum>".to_owned(), "below"),
        ("<maxQueueNum>00099</maxQueueNum>".to_owned(), "below"),
        (
            "<maxQueueNum>100</maxQueueNum><maxQueueNum>101</maxQueueNum>".to_owned(),
            "several",
        ),
    ] {
        let (queued, end) =
            read(format!("<custResponse>{number}{customer}</custResponse>")).unwrap();
        assert_eq!(queued.len(), 1, "{number}");
        assert_eq!(end.number, None, "{number}");
        assert!(
            end.doubt.as_deref().unwrap().contains(says),
            "{number}: {end:?}"
        );
    }
    for number in ["100", "0100", "999999999999999999999999"] {
        let text =
            format!("<custResponse><maxQueueNum>{number}</maxQueueNum>{customer}</custResponse>");
        assert_eq!(read(text).unwrap().1.number.as_deref(), Some(number));
    }
    let nobody = "<custResponse><maxQueueNum>lots</maxQueueNum></custResponse>";
    assert!(read(nobody).unwrap().1.doubt.is_some());
}

#[test]
fn a_customer_without_a_readable_id_keeps_the_others_and_forbids_the_purge() {
    let long = "x".repeat(300);
    for odd in [
        "<customer/>".to_owned(),
        "<customer><custId> </custId></customer>".to_owned(),
        "<custId>a&#1;b</custId>".to_owned(),
        "<customer><custId>1</custId><custId>3</custId></customer>".to_owned(),
        format!("<custId>{long}</custId>"),
        format!("<custId>{}</custId>", "y".repeat(2_000)),
    ] {
        let text = format!("<r><maxQueueNum>9</maxQueueNum>{odd}<custId>2</custId></r>");
        let (queued, end) = read(&text).unwrap();
        assert_eq!(short(&queued), [("2", Scope::Whole, false)], "{odd}");
        assert!(end.number.is_none() && end.doubt.is_some(), "{odd}");
    }
}

#[test]
fn what_is_no_queue_is_never_an_empty_one() {
    for (text, code) in [
        ("", "E-BODY-TRUNCATED"),
        ("   \n", "E-BODY-TRUNCATED"),
        ("<html><body>Maintenance</body></html>", "E-AA-NOTXML"),
        ("<!DOCTYPE html><html></html>", "E-AA-NOTXML"),
        ("Service unavailable", "E-AA-NOTXML"),
        ("{\"customers\":[]}", "E-AA-NOTXML"),
        ("<nothing/>", "E-AA-SHAPE"),
        ("<envelope><body/></envelope>", "E-AA-SHAPE"),
        ("<custResponse/><custResponse/>", "E-AA-SHAPE"),
        ("<custResponse></custRequest>", "E-AA-MALFORMED"),
        ("<custResponse><a b></a></custResponse>", "E-AA-MALFORMED"),
        ("<!DOCTYPE r [<!ENTITY e 'x'>]><r/>", "E-XML-DTD"),
        ("<custResponse>&e;</custResponse>", "E-XML-DTD"),
        (
            "<custResponse><error>ORA-20001</error></custResponse>",
            "E-AA-ERROR",
        ),
        ("<error>ORA-20001</error>", "E-AA-ERROR"),
        (
            "<custResponse><errors><error>x</error></errors></custResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custResponse><status>FAILURE</status></custResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custResponse><custId>1</custId><status>FAILURE</status></custResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custResponse><error>Bad vendor password</error></custResponse>",
            "E-AUTH",
        ),
        (
            "<custResponse><error>&so it failed</error></custResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custResponse><errors><error>&#0;</error></errors></custResponse>",
            "E-AA-ERROR",
        ),
        (
            "<custResponse><status>FAILURE & </status></custResponse>",
            "E-AA-ERROR",
        ),
    ] {
        assert_eq!(error(text).code(), code, "{text}");
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(7).collect();
        let in_pieces = read_pieces(&pieces).unwrap_err();
        assert_eq!(in_pieces.code(), code, "{text} in pieces");
    }
    // What stands in a customer says nothing of the answer.
    let inside = "<r><maxQueueNum>1</maxQueueNum><customer><custId>1</custId><status>FAILURE</status><error>x</error></customer></r>";
    assert_eq!(read(inside).unwrap().0.len(), 1);
}

#[test]
fn bytes_of_another_character_set_are_an_error() {
    let latin = b"<r><maxQueueNum>1</maxQueueNum><custId>M\xfcller</custId></r>";
    assert_eq!(read(latin).unwrap_err().code(), "E-AA-CHARSET");
    let mut declared = b"<?xml version='1.0' encoding='ISO-8859-1'?>".to_vec();
    declared.extend_from_slice(latin);
    assert_eq!(
        read(&declared).unwrap().0[0].id,
        RemoteId("Müller".to_owned())
    );
}

#[test]
fn a_queue_of_any_length_is_handed_over_in_steps() {
    let mut reader = QueueReader::new(&Reading::default(), None);
    reader.feed(b"<custResponse><customers>").unwrap();
    let mut count = 0;
    let mut fed = 0;
    for number in 0..20_000 {
        let row = format!(
            "<customer><custId>{number}</custId><triggers><trigger queueNum='{number}' action='UPDATE' tableName='CEN_CUST_ADDR'/></triggers></customer>"
        );
        fed += row.len();
        reader.feed(row.as_bytes()).unwrap();
        if let Some(step) = reader.step() {
            assert_eq!(step.len(), STEP);
            count += step.len();
        }
    }
    assert!(fed > 2_000_000);
    reader
        .feed(b"</customers><maxQueueNum>20000</maxQueueNum></custResponse>")
        .unwrap();
    let (rest, end) = reader.finish().unwrap();
    assert_eq!(count + rest.len(), 20_000);
    assert_eq!(end.number.as_deref(), Some("20000"));
}

fn any_row() -> impl Strategy<Value = wire::Customer> {
    let trigger = (
        prop::option::of(1..1_000_u32),
        prop::sample::select(vec!["INSERT", "UPDATE", "DELETE", "OTHER"]),
        prop::sample::select(vec![
            "CEN_CUST_ADDR",
            "CEN_CUST_PHONE",
            "CEN_CUST_MAST",
            "X<&>\"'",
        ]),
    )
        .prop_map(|(number, action, table)| wire::Trigger {
            queue_num: number.map(|number| number.to_string()),
            action: action.to_owned(),
            table_name: table.to_owned(),
        });
    ("[0-9]{1,2}(_SC)?", prop::collection::vec(trigger, 0..4)).prop_map(|(cust_id, triggers)| {
        wire::Customer {
            cust_id,
            triggers: Some(wire::Triggers { triggers }),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(21), ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_the_types_of_the_wire_write_is_read_as_they_mean_it(rows in prop::collection::vec(any_row(), 0..12)) {
        let answer = wire::QueueResponse {
            status: Some("SUCCESS".to_owned()),
            max_queue_num: Some("5000".to_owned()),
            customers: wire::Customers { customers: rows.clone() },
        };
        let text = yaserde::ser::to_string(&answer).unwrap();
        let (queued, end) = read(&text).unwrap();
        let mut expected: BTreeMap<String, (Scope, bool)> = BTreeMap::new();
        for row in &rows {
            let triggers = &row.triggers.as_ref().unwrap().triggers;
            let mut scope = if triggers.is_empty() { Scope::Whole } else { Scope::Sections(Default::default()) };
            for trigger in triggers {
                scope = scope.union(match (trigger.action.as_str(), trigger.table_name.as_str()) {
                    ("OTHER", _) => Scope::Whole,
                    (_, "CEN_CUST_ADDR") => sections(&["addresses"]),
                    (_, "CEN_CUST_PHONE") => sections(&["phones"]),
                    _ => Scope::Whole,
                });
            }
            let deleted = triggers.iter().any(|t| t.action == "DELETE" && t.table_name == "CEN_CUST_MAST");
            let known = expected.remove(&row.cust_id);
            let (before, was) = known.unwrap_or((Scope::Sections(Default::default()), false));
            expected.insert(row.cust_id.clone(), (before.union(scope), was || deleted));
        }
        prop_assert_eq!(end.number.is_some(), !rows.is_empty());
        let got: BTreeMap<_, _> = queued.into_iter().map(|q| (q.id.0, (q.scope, q.deleted))).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), damage in any::<u8>(),
    ) {
        let _ = read(&bytes);
        let mut answer = REASONS.to_vec();
        let at = cut.index(answer.len());
        answer[at] = damage;
        let _ = read(&answer);
        answer.splice(at..at, bytes);
        let _ = read(&answer);
    }
}
