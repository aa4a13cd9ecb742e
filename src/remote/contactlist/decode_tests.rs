//! The rows of reliability §4.7 that concern the content of an answer: what fails it, and what spoils one record alone.

use super::NAMESPACE;
use super::decode::{ListAnswer, Reading, decode_list, decode_look_up};
use super::envelope::Answer;
use crate::model::{BadRecord, Document, ErrorKind, Node, RemoteItem, RemoteRecord};
use crate::remote::xml::AnswerLimits;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

fn reading() -> Reading {
    Reading {
        zone: chrono_tz::Australia::Sydney,
        limits: AnswerLimits::default(),
    }
}

fn frame(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"{SOAP}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body>{body}</soap:Body></soap:Envelope>"
    )
}

fn response(inner: &str) -> String {
    frame(&format!(
        "<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\">{inner}</ContactList_RetrieveResponse>"
    ))
}

fn page(records: &str) -> String {
    response(&format!(
        "<ContactList_RetrieveResult>{records}</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>true</moreRecords>"
    ))
}

fn contact(id: u32, inner: &str) -> String {
    format!("<ContactRecord><entityId>{id}</entityId>{inner}</ContactRecord>")
}

fn decode(answer: impl AsRef<[u8]>) -> ListAnswer {
    match decode_list(answer.as_ref(), &reading()).unwrap() {
        Answer::Response(list) => list,
        Answer::Fault(_) => panic!("a fault"),
    }
}

fn code(answer: impl AsRef<[u8]>) -> &'static str {
    let error = decode_list(answer.as_ref(), &reading()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.message().starts_with("ContactList_Retrieve: "),
        "{error}"
    );
    assert!(!error.message().contains("Ann"), "{error}");
    error.code()
}

fn record(item: &RemoteItem) -> &RemoteRecord {
    match item {
        RemoteItem::Record(record) => record,
        RemoteItem::Bad(bad) => panic!("{} {}", bad.code, bad.reason),
    }
}

/// Decodes one spoilt record between two good ones, which must not be harmed.
fn bad(spoilt: impl AsRef<[u8]>) -> BadRecord {
    let mut answer = page(&format!("{}@{}", contact(1, ""), contact(3, ""))).into_bytes();
    let at = answer.iter().position(|byte| *byte == b'@').unwrap();
    answer.splice(at..=at, spoilt.as_ref().iter().copied());
    let list = decode(&answer);
    assert_eq!(list.items.len(), 3);
    assert!(list.more);
    assert_eq!(record(&list.items[0]).id.0, "1");
    assert_eq!(record(&list.items[2]).id.0, "3");
    match &list.items[1] {
        RemoteItem::Bad(bad) => {
            assert!(!bad.reason.contains("Ann"), "{}", bad.reason);
            bad.clone()
        }
        RemoteItem::Record(record) => panic!("readable: {}", record.id),
    }
}

#[test]
fn doctype_entities_instructions_and_inclusions_are_refused() {
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\">{}]>{}",
        (0..30)
            .map(|n| format!("<!ENTITY b{n} \"&a;&a;&a;&a;&a;&a;\">"))
            .collect::<String>(),
        page("")
    );
    assert_eq!(code(laughs), "E-XML-DTD");
    assert_eq!(code(format!("<!doctype html>{}", page(""))), "E-XML-DTD");
    assert_eq!(code(page("<?php echo 1 ?>")), "E-XML-DTD");
    assert_eq!(
        code(page(&contact(1, "<firstName>&ann;</firstName>"))),
        "E-XML-DTD"
    );
    let inclusion =
        "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\"/>";
    assert_eq!(code(page(inclusion)), "E-XML-DTD");
}

#[test]
fn depth_and_counts_are_bounded() {
    assert_eq!(code(page(&"<a>".repeat(100_000))), "E-XML-DEPTH");
    assert_eq!(
        code(page(&contact(1, &"<a>".repeat(100_000)))),
        "E-XML-DEPTH"
    );
    assert_eq!(code(page(&"<a/>".repeat(10_000_000))), "E-XML-COUNT");
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    assert_eq!(code(page(&format!("<a{attributes}/>"))), "E-XML-COUNT");
    for piece in ["&#9;", "<!---->", "<![CDATA[]]>"] {
        let pieces = contact(
            1,
            &format!("<firstName>{}</firstName>", piece.repeat(1_000_000)),
        );
        assert_eq!(code(page(&pieces)), "E-XML-COUNT", "{piece}");
    }
    assert_eq!(code(page(&contact(1, "").repeat(101))), "E-PAGING");
    assert_eq!(decode(page(&contact(1, "").repeat(100))).items.len(), 100);
}

#[test]
fn what_is_no_xml_or_breaks_off_is_told_apart() {
    assert_eq!(code("Service unavailable"), "E-SOAP-NOTXML");
    assert_eq!(code("{\"contacts\": []}"), "E-SOAP-NOTXML");
    assert_eq!(code(page("<a></b>")), "E-SOAP-NOTXML");
    assert_eq!(code(page("<x:a/>")), "E-SOAP-NOTXML");
    assert_eq!(code(page("").replace("utf-8", "utf-16")), "E-SOAP-NOTXML");
    assert_eq!(code(""), "E-BODY-TRUNCATED");
    assert_eq!(code(" \n"), "E-BODY-TRUNCATED");
    let whole = page(&contact(
        1,
        "<firstName>Ann &amp; co</firstName><!-- note --><lastName><![CDATA[x]]></lastName>",
    ));
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert!(
            matches!(code(cut), "E-BODY-TRUNCATED" | "E-SOAP-NOTXML"),
            "{length}"
        );
    }
}

#[test]
fn only_exactly_the_expected_response_is_taken() {
    let other = frame(&format!(
        "<CaseList_RetrieveResponse xmlns=\"{NAMESPACE}\"/>"
    ));
    assert_eq!(code(&other), "E-SOAP-SHAPE");
    let error = decode_list(other.as_bytes(), &reading()).unwrap_err();
    assert!(error.message().contains(&format!("expected {{{NAMESPACE}}}ContactList_RetrieveResponse, got {{{NAMESPACE}}}CaseList_RetrieveResponse")), "{error}");
    for answer in [
        "<html><body>500</body></html>".to_owned(),
        page("").replace(NAMESPACE, "http://tempuri.org/other"),
        page("").replace(SOAP, "http://schemas.xmlsoap.org/soap/envelope"),
        page("").replace("soap:Body", "soap:body"),
        frame(""),
        frame("").replace("<soap:Body></soap:Body>", ""),
        frame("text"),
        format!("{}{}", page(""), page("")),
        format!("{}x", page("")),
        format!("{}<a/>", page("")),
        frame(&format!(
            "<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\"><moreRecords>true</moreRecords></ContactList_RetrieveResponse><a/>"
        )),
    ] {
        assert_eq!(code(&answer), "E-SOAP-SHAPE", "{answer}");
    }
    assert_eq!(
        code(response(
            "<ContactList_RetrieveResult/><ContactList_RetrieveResult/><moreRecords>true</moreRecords>"
        )),
        "E-SOAP-SHAPE"
    );
    // Prefixes, comments, white space and other headers are another's business.
    let odd = format!(
        "\u{feff}<!-- a --><e:Envelope xmlns:e='{SOAP}'>\n<e:Header><n:x xmlns:n='y'>z</n:x></e:Header><e:Body>\n<c:ContactList_RetrieveResponse xmlns:c='{NAMESPACE}'><c:moreRecords> 1 </c:moreRecords></c:ContactList_RetrieveResponse></e:Body></e:Envelope>\n<!-- b -->"
    );
    assert!(decode(odd).more);
}

#[test]
fn h11_more_records_must_stand_there_once_and_be_clear() {
    for inner in [
        "",
        "<moreRecords>maybe</moreRecords>",
        "<moreRecords/>",
        "<moreRecords>fal&#0;se</moreRecords>",
        "<moreRecords>true</moreRecords><moreRecords>true</moreRecords>",
    ] {
        assert_eq!(code(response(inner)), "E-PAGING", "{inner}");
    }
    // In another namespace it is another element.
    assert_eq!(
        code(response("<moreRecords xmlns='urn:x'>true</moreRecords>")),
        "E-PAGING"
    );
}

#[test]
fn a_record_without_a_good_id_is_bad_alone() {
    for id in [
        "",
        "<entityId/>",
        "<entityId>abc</entityId>",
        "<entityId>-1</entityId>",
        "<entityId>0</entityId>",
        "<entityId>9223372036854775808</entityId>",
        "<entityId>1.5</entityId>",
        "<entityId xsi:nil=\"true\"/>",
    ] {
        let bad = bad(format!(
            "<ContactRecord>{id}<firstName>Ann</firstName></ContactRecord>"
        ));
        assert_eq!((bad.code, &bad.id), ("Q-ID", &None), "{id}");
        assert_eq!(
            bad.raw,
            format!("<ContactRecord>{id}<firstName>Ann</firstName></ContactRecord>").into_bytes()
        );
    }
    assert_eq!(
        decode(page(&contact(1, "").replace('1', " +07 ")))
            .items
            .len(),
        1
    );
}

#[test]
fn h14_characters_that_xml_forbids_spoil_their_record_alone() {
    let long = "x".repeat(70_000);
    for value in [
        "Ann&#0;",
        "Ann&#x1;",
        "&#xD800;",
        "&#xFFFE;",
        "&#x110000;",
        "&#xzz;",
        "Ann\u{1}",
        "\u{c}",
        "\u{ffff}",
        "\u{202e}nnA",
        "&#x202E;",
        "AT&T",
        "a & b",
        "<![CDATA[\u{0}]]>",
        &long,
    ] {
        let bad = bad(contact(
            2,
            &format!("<firstName>{value}</firstName><city>x</city>"),
        ));
        assert_eq!(bad.code, "Q-CHAR", "{value:?}");
        assert!(bad.reason.starts_with("firstName "), "{}", bad.reason);
        assert_eq!(bad.id.unwrap().0, "2");
    }
    for value in [&b"Ann\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x92"] {
        let spoilt = [
            &b"<ContactRecord><entityId>2</entityId><firstName>"[..],
            value,
            b"</firstName></ContactRecord>",
        ]
        .concat();
        let bad = bad(&spoilt);
        assert_eq!(bad.code, "Q-CHAR", "{value:?}");
        assert_eq!(bad.raw, spoilt, "the slice is what came, byte for byte");
    }
    let list = bad_in_list();
    assert_eq!(list.code, "Q-CHAR");
}

fn bad_in_list() -> BadRecord {
    bad(contact(
        2,
        "<phoneNos><PhoneNo><phoneNoTypeID>5</phoneNoTypeID><phoneNo>&#2;</phoneNo></PhoneNo></phoneNos>",
    ))
}

#[test]
fn a_record_is_bad_alone_for_its_date_its_size_and_its_shape() {
    for date in [
        "",
        "yesterday",
        "2014-09-T10:24:00",
        "2026-02-30T00:00:00",
        "2026-01-01T24:00:00",
    ] {
        let bad = bad(contact(
            2,
            &format!("<lastUpdateDate>{date}</lastUpdateDate>"),
        ));
        assert_eq!(
            (bad.code, bad.reason.as_str()),
            ("Q-DATE", "lastUpdateDate is not a date"),
            "{date}"
        );
    }
    assert_eq!(
        bad(contact(2, "<deleted>perhaps</deleted>")).code,
        "Q-VALUE"
    );
    assert_eq!(
        bad(contact(
            2,
            "<firstName>Ann</firstName><firstName>Anne</firstName>"
        ))
        .code,
        "Q-SHAPE"
    );
    assert_eq!(
        bad(contact(2, "<firstName><b>Ann</b></firstName>")).code,
        "Q-SHAPE"
    );
    assert_eq!(bad(contact(2, "Ann")).code, "Q-SHAPE");
    let field = format!("<lastName>{}</lastName>", "y".repeat(60_000));
    let forms: String = (0..6)
        .map(|n| format!("<new{n}>{field}</new{n}>"))
        .collect();
    let bad = bad(contact(2, &forms));
    assert_eq!(bad.code, "Q-SIZE");
    assert_eq!(bad.raw.len(), AnswerLimits::default().record);
}

#[test]
fn stamps_are_wall_times_of_the_site() {
    for (text, expected) in [
        ("2026-03-01T10:00:00", Some("2026-03-01 10:00:00")),
        (
            "2026-03-01T10:00:00.0530000",
            Some("2026-03-01 10:00:00.053"),
        ),
        ("2099-01-01T00:00:00", Some("2099-01-01 00:00:00")),
        // An hour that the zone skips, kept as it is written.
        ("2026-10-04T02:30:00", Some("2026-10-04 02:30:00")),
        ("2026-03-01T00:00:00Z", Some("2026-03-01 11:00:00")),
        ("2026-03-01T00:00:00+01:00", Some("2026-03-01 10:00:00")),
        ("0001-01-01T00:00:00", None),
    ] {
        let list = decode(page(&contact(
            1,
            &format!("<lastUpdateDate>{text}</lastUpdateDate>"),
        )));
        let stamp = record(&list.items[0]).stamp;
        assert_eq!(
            stamp.map(|stamp| stamp.0.to_string()).as_deref(),
            expected,
            "{text}"
        );
    }
    assert_eq!(record(&decode(page(&contact(1, ""))).items[0]).stamp, None);
}

#[test]
fn texts_arrive_as_they_are_meant() {
    let list = decode(page(&contact(
        7,
        "<firstName>  two  lead </firstName><lastName><![CDATA[<b>&amp;]]> &lt;&#x41;&#66;&gt;<!-- x -->!</lastName><fullName/><contactTitle>a\r\nb\rc&#13;d</contactTitle><ratingType xsi:nil='true'/><city>\u{202a}שלום\u{200f}</city>",
    )));
    let document = &record(&list.items[0]).document;
    assert_eq!(document.text("firstName"), Some("  two  lead "));
    assert_eq!(document.text("lastName"), Some("<b>&amp; <AB>!"));
    assert_eq!(document.text("fullName"), Some(""));
    assert_eq!(document.text("contactTitle"), Some("a\nb\nc\rd"));
    assert_eq!(document.text("ratingType"), Some(""));
    assert_eq!(document.text("city"), Some("\u{202a}שלום\u{200f}"));
    assert_eq!(document.get("emailAddress"), None);
}

#[test]
fn null_items_are_passed_over_and_lists_keep_their_three_states() {
    let list = decode(page(&format!(
        "{}<ContactRecord xsi:nil=\"true\" />{}",
        contact(
            1,
            "<addresses/><phoneNos><PhoneNo xsi:nil=\"true\" /><PhoneNo><phoneNoTypeID>5</phoneNoTypeID></PhoneNo><PhoneNo x:nil='1' xmlns:x='http://www.w3.org/2001/XMLSchema-instance'><phoneNoTypeID>6</phoneNoTypeID></PhoneNo></phoneNos><crmForms xsi:nil='true'/>"
        ),
        contact(2, "")
    )));
    assert_eq!(list.items.len(), 2);
    let document = &record(&list.items[0]).document;
    assert_eq!(document.get("addresses"), Some(&Node::List(Vec::new())));
    assert_eq!(document.list("phoneNos").len(), 1);
    assert_eq!(document.list("phoneNos")[0].text("phoneNo"), None);
    assert_eq!(document.get("crmForms"), None);
}

#[test]
fn elements_that_the_description_lacks_are_kept() {
    let list = decode(page(&contact(
        1,
        "<middleName>B</middleName><x:y xmlns:x='urn:x'>other</x:y><extra><part>1</part><part>2</part></extra>",
    )));
    let document = &record(&list.items[0]).document;
    let mut extra = Document::new();
    extra.push("part", Node::Text("1".to_owned()));
    extra.push("part", Node::Text("2".to_owned()));
    assert_eq!(document.text("middleName"), Some("B"));
    assert_eq!(document.get("extra"), Some(&Node::Record(extra)));
    assert_eq!(document.get("y"), None);
}

#[test]
fn i10_a_contacts_own_login_leaves_the_decoder_in_no_way() {
    let login = "<username>ann.login</username><password>ann's word &lt;</password>";
    let list = decode(page(&contact(1, login)));
    let document = &record(&list.items[0]).document;
    assert!(document.get("username").is_none() && document.get("password").is_none());
    let bad = bad(contact(2, &format!("{login}<firstName>&#1;</firstName>")));
    let raw = String::from_utf8(bad.raw).unwrap();
    assert_eq!(
        raw,
        contact(
            2,
            "<username></username><password></password><firstName>&#1;</firstName>"
        )
    );
    let bad = super::decode_tests::bad(contact(
        2,
        "<password /><username/><firstName>&#1;</firstName>",
    ));
    let raw = String::from_utf8(bad.raw).unwrap();
    assert_eq!(
        raw,
        contact(2, "<password /><username/><firstName>&#1;</firstName>")
    );
}

#[test]
fn a_look_up_finds_one_nothing_or_a_bad_one() {
    let operation = "Contact_RetrieveByEntityID";
    let look_up = |inner: &str| {
        let body = frame(&format!(
            "<{operation}Response xmlns=\"{NAMESPACE}\">{inner}</{operation}Response>"
        ));
        decode_look_up(operation, body.as_bytes(), &reading())
    };
    let result = |inner: &str| look_up(&format!("<{operation}Result>{inner}</{operation}Result>"));
    let found = |answer| match answer {
        Ok(Answer::Response(item)) => item,
        other => panic!("{other:?}"),
    };
    for nothing in [
        look_up(""),
        look_up(&format!("<{operation}Result/>")),
        look_up(&format!("<{operation}Result xsi:nil='true'/>")),
        result(""),
    ] {
        assert_eq!(found(nothing), None);
    }
    let deleted = found(result("<entityId>5</entityId><deleted>true</deleted>")).unwrap();
    assert!(record(&deleted).deleted);
    let spoilt = found(result("<entityId>5</entityId><firstName>&#1;</firstName>")).unwrap();
    assert!(matches!(
        spoilt,
        RemoteItem::Bad(BadRecord { code: "Q-CHAR", .. })
    ));
    let spoilt = found(result("<firstName>Ann</firstName>")).unwrap();
    assert!(matches!(
        spoilt,
        RemoteItem::Bad(BadRecord { code: "Q-ID", .. })
    ));
    let twice = format!("<{operation}Result/><{operation}Result/>");
    assert_eq!(look_up(&twice).unwrap_err().code(), "E-SOAP-SHAPE");
}

#[test]
fn no_byte_changed_anywhere_makes_the_decoder_stumble() {
    let whole = page(&format!("{}{}", contact(1, "<firstName>A&amp;n</firstName><phoneNos><PhoneNo><phoneNoTypeID>5</phoneNoTypeID></PhoneNo></phoneNos>"), contact(2, "<lastName><![CDATA[x]]></lastName>"))).into_bytes();
    for at in 0..whole.len() {
        for byte in [0, b'<', b'>', b'&', b'"', b'/', b'!', 0xff, b':', b' '] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let _ = decode_list(&changed, &reading());
        }
        let mut shorter = whole.clone();
        shorter.remove(at);
        let _ = decode_list(&shorter, &reading());
    }
}
