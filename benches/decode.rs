//! T7 of docs/performance.md: decoding in the hot path.
//!
//! `cargo bench --bench decode` decodes the same pages of 100 contacts of about 2.5 KB with the bridge's strict decoder,
//! with a plain quick-xml reader written by hand into the same structs (no namespaces, no limits, no checks), and with
//! the reference decoder of yaserde. The rounds take turns, so that all three meet the same machine; the best of the rounds
//! counts. It also times what a hostile answer may cost.
// A bench measures with the machine's own clock.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use contactbridge::model::{Document, Node, RemoteId, RemoteItem, RemoteRecord, Stamp};
use contactbridge::remote::contactlist::{
    Answer, AnswerLimits, NAMESPACE, Reading, decode_list, wire,
};
use quick_xml::Reader;
use quick_xml::events::Event;

const ROUNDS: usize = 15;
const PAGES: usize = 20;

fn main() {
    let pages: Vec<String> = (0..PAGES).map(page).collect();
    let bodies: Vec<String> = pages.iter().map(|page| envelope(page)).collect();
    let bytes: usize = bodies.iter().map(String::len).sum();
    let contacts = PAGES * 100;
    let reading = Reading {
        zone: chrono_tz::Australia::Sydney,
        limits: AnswerLimits::default(),
    };
    for body in &bodies {
        assert_eq!(
            strict(body, &reading),
            by_hand(body),
            "the decoders disagree"
        );
    }
    let mut best = [Duration::MAX; 3];
    for round in 0..ROUNDS {
        best[0] = best[0].min(time(|| {
            for body in &bodies {
                black_box(strict(body, &reading));
            }
        }));
        best[1] = best[1].min(time(|| {
            for body in &bodies {
                black_box(by_hand(body));
            }
        }));
        if round % 5 == 0 {
            best[2] = best[2].min(time(|| {
                for page in &pages {
                    let reference: wire::ContactListRetrieveResponse =
                        yaserde::de::from_str(page).expect("our pages fit the definition");
                    black_box(reference);
                }
            }));
        }
    }
    println!("{contacts} contacts, {} bytes each", bytes / contacts);
    for (name, took) in ["bridge, strict", "by hand", "yaserde"]
        .into_iter()
        .zip(best)
    {
        println!(
            "{name:16} {:>9.0} contacts/s {:>7.1} MB/s {:>7.2} us/contact",
            contacts as f64 / took.as_secs_f64(),
            bytes as f64 / 1e6 / took.as_secs_f64(),
            took.as_secs_f64() * 1e6 / contacts as f64,
        );
    }
    println!(
        "T7: {:.0} % of the reader written by hand (target: at least 60 %)",
        best[1].as_secs_f64() / best[0].as_secs_f64() * 100.0
    );
    for (name, body) in hostile() {
        let took = time(|| {
            black_box(decode_list(body.as_bytes(), &reading)).ok();
        });
        println!(
            "hostile: {name:28} {:>9} bytes {:>8.2} ms",
            body.len(),
            took.as_secs_f64() * 1e3
        );
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn page(number: usize) -> String {
    let mut xml =
        format!("<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\"><ContactList_RetrieveResult>");
    for index in 0..100 {
        let id = number * 100 + index + 1;
        xml.push_str(&format!(
            "<ContactRecord><entityId>{id}</entityId><externalId>M{id:06}</externalId><emailAddress>person.{id}@example.org</emailAddress><contactTitle>Dr</contactTitle><deleted>false</deleted><fullName>Łucja Müller {id}</fullName><firstName>Łucja</firstName><lastName>Müller &amp; Smith</lastName><username>person{id}</username><password /><dateOfBirth>1971-02-03T00:00:00</dateOfBirth><createDate>2012-08-08T12:22:00</createDate><lastUpdateDate>2026-02-03T04:05:{:02}</lastUpdateDate><customerType>Member</customerType><industryType>Education and research</industryType><leadSourceType>Website enquiry</leadSourceType><ratingType>Warm</ratingType><relationships><Relationship><entityId>{id}</entityId><entityType>1001</entityType><name>Household of {id}</name></Relationship></relationships><addresses><Address><addressTypeID>1</addressTypeID><addressLine1>{id} High Street</addressLine1><addressLine2>Level 3</addressLine2><city>Brisbane</city><zipcode>4000</zipcode><state>QLD</state><countryCode>AU</countryCode></Address><Address><addressTypeID>8</addressTypeID><addressLine1>PO Box {id}</addressLine1><addressLine2></addressLine2><city>Łódź</city><zipcode>90-001</zipcode><state /><countryCode>PL</countryCode></Address></addresses><phoneNos><PhoneNo><phoneNoTypeID>7</phoneNoTypeID><phoneNo>person.{id}@example.org</phoneNo></PhoneNo><PhoneNo><phoneNoTypeID>5</phoneNoTypeID><phoneNo>+61 400 {id:06}</phoneNo></PhoneNo><PhoneNo><phoneNoTypeID>3</phoneNoTypeID><phoneNo>+61 7 {id:08}</phoneNo></PhoneNo></phoneNos><crmForms><CrmForms><formId>542957</formId><formName>Membership</formName><crmFormFields>",
            index % 60
        ));
        for field in 1..=4 {
            xml.push_str(&format!("<CrmFormFields><fieldId>36409{field}</fieldId><fieldTypeId>1</fieldTypeId><fieldName>Field number {field}</fieldName><fieldValue>Value {field} of {id}</fieldValue></CrmFormFields>"));
        }
        xml.push_str(
            "</crmFormFields></CrmForms></crmForms><MasterOptIn>true</MasterOptIn></ContactRecord>",
        );
    }
    xml.push_str("</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>true</moreRecords></ContactList_RetrieveResponse>");
    xml
}

fn envelope(response: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><soap:Body>{response}</soap:Body></soap:Envelope>"
    )
}

fn hostile() -> Vec<(&'static str, String)> {
    let around = |inner: String| {
        envelope(&format!(
            "<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\"><ContactList_RetrieveResult>{inner}"
        ))
    };
    vec![
        ("100,000 levels", around("<a>".repeat(100_000))),
        ("4,000,000 elements", around("<a/>".repeat(4_000_000))),
        (
            "500,000 attributes",
            around(format!(
                "<a{}/>",
                (0..500_000)
                    .map(|n| format!(" a{n}=\"\""))
                    .collect::<String>()
            )),
        ),
        (
            "entities",
            format!(
                "<!DOCTYPE l [{}]>{}",
                "<!ENTITY a \"b\">".repeat(500_000),
                around(String::new())
            ),
        ),
        (
            "one text of 8 MB",
            around(format!("<ContactRecord><firstName>{}", "x".repeat(8 << 20))),
        ),
        (
            "4,000,000 references",
            around(format!(
                "<ContactRecord><firstName>{}",
                "&#9;".repeat(4 << 20)
            )),
        ),
    ]
}

fn strict(body: &str, reading: &Reading) -> Vec<RemoteRecord> {
    let Ok(Answer::Response(list)) = decode_list(body.as_bytes(), reading) else {
        panic!("our pages are good");
    };
    list.items
        .into_iter()
        .map(|item| match item {
            RemoteItem::Record(record) => record,
            RemoteItem::Bad(bad) => panic!("{} {}", bad.code, bad.reason),
        })
        .collect()
}

/// What one would write who trusts the service: names as they are, no namespace, nothing checked.
fn by_hand(body: &str) -> Vec<RemoteRecord> {
    let mut reader = Reader::from_str(body);
    let mut records = Vec::with_capacity(100);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) if start.name().as_ref() == "ContactRecord" => {
                let document = record(&mut reader, "ContactRecord");
                let id = document.text("entityId").unwrap_or_default();
                let stamp = document.text("lastUpdateDate").and_then(|text| {
                    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok()
                });
                records.push(RemoteRecord {
                    id: RemoteId(id.to_owned()),
                    stamp: stamp.map(Stamp),
                    deleted: document.text("deleted") == Some("true"),
                    document,
                });
            }
            Event::Eof => return records,
            _ => {}
        }
    }
}

fn record(reader: &mut Reader<&[u8]>, end: &str) -> Document {
    let mut document = Document::with_capacity(24);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => {
                let name = start.name();
                let item = match name.as_ref() {
                    "relationships" => "Relationship",
                    "addresses" => "Address",
                    "phoneNos" => "PhoneNo",
                    "crmForms" => "CrmForms",
                    "crmFormFields" => "CrmFormFields",
                    other => {
                        let known = known(other);
                        let text = text(reader);
                        if !matches!(known, "username" | "password") {
                            document.push(known, Node::Text(text));
                        }
                        continue;
                    }
                };
                let list = known(name.as_ref());
                let mut items = Vec::new();
                loop {
                    match reader.read_event().expect("well-formed") {
                        Event::Start(_) => items.push(record(reader, item)),
                        Event::End(_) => break,
                        _ => {}
                    }
                }
                document.push(list, Node::List(items));
            }
            Event::Empty(start) => {
                let known = known(start.name().as_ref());
                if !matches!(known, "username" | "password") {
                    document.push(known, Node::Text(String::new()));
                }
            }
            Event::End(closed) if closed.name().as_ref() == end => return document,
            _ => {}
        }
    }
}

fn text(reader: &mut Reader<&[u8]>) -> String {
    let mut value = String::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Text(piece) => value.push_str(&piece.xml10_content()),
            Event::GeneralRef(piece) => match piece.as_ref() {
                "amp" => value.push('&'),
                "lt" => value.push('<'),
                "gt" => value.push('>'),
                _ => {}
            },
            Event::End(_) => return value,
            _ => {}
        }
    }
}

fn known(name: &str) -> &'static str {
    match name {
        "entityId" => "entityId",
        "externalId" => "externalId",
        "emailAddress" => "emailAddress",
        "contactTitle" => "contactTitle",
        "deleted" => "deleted",
        "fullName" => "fullName",
        "firstName" => "firstName",
        "lastName" => "lastName",
        "username" => "username",
        "password" => "password",
        "dateOfBirth" => "dateOfBirth",
        "createDate" => "createDate",
        "lastUpdateDate" => "lastUpdateDate",
        "customerType" => "customerType",
        "industryType" => "industryType",
        "leadSourceType" => "leadSourceType",
        "ratingType" => "ratingType",
        "relationships" => "relationships",
        "entityType" => "entityType",
        "name" => "name",
        "addresses" => "addresses",
        "addressTypeID" => "addressTypeID",
        "addressLine1" => "addressLine1",
        "addressLine2" => "addressLine2",
        "city" => "city",
        "zipcode" => "zipcode",
        "state" => "state",
        "countryCode" => "countryCode",
        "phoneNos" => "phoneNos",
        "phoneNoTypeID" => "phoneNoTypeID",
        "phoneNo" => "phoneNo",
        "crmForms" => "crmForms",
        "formId" => "formId",
        "formName" => "formName",
        "crmFormFields" => "crmFormFields",
        "fieldId" => "fieldId",
        "fieldTypeId" => "fieldTypeId",
        "fieldName" => "fieldName",
        "fieldValue" => "fieldValue",
        _ => "MasterOptIn",
    }
}
