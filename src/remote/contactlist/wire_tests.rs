//! The streaming encoder and decoder say the same as the yaserde types, which define the wire, apart from what is
//! listed there.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::decode::{Reading, decode_list};
use super::encode::{Login, SoapVersion, encode_update_insert};
use super::envelope::Answer;
use super::schema::{CONTACT, Field, Kind};
use super::wire;
use crate::model::{Document, Node, RemoteItem};
use crate::remote::xml::AnswerLimits;

const LOGIN: Login<'static> = Login {
    username: "a@example.org",
    password: "p<&>",
    site_id: 7,
};

/// Any text that XML can carry, and that no decoder takes for a trick.
fn any_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '<', '>', '&', '"', '\'', ']', '\r', '\n', '\t', ' ', 'é', 'Ł', '\u{a0}', '😀', ';', '#',
    ]);
    prop::collection::vec(
        prop_oneof![3 => any::<char>(), 2 => odd, 3 => prop::char::range('a', 'z')],
        0..12,
    )
    .prop_map(|chars| {
        chars
            .into_iter()
            .filter(|c| super::is_sendable(&c.to_string()) && !matches!(c, '\u{202d}' | '\u{202e}'))
            .collect()
    })
}

fn any_node(field: &'static Field) -> BoxedStrategy<Option<Node>> {
    let text = |strategy: BoxedStrategy<String>| strategy.prop_map(Node::Text).boxed();
    match field.kind {
        Kind::Text => prop::option::of(text(any_text().boxed())).boxed(),
        Kind::Integer("-1") => text((1..i32::MAX).prop_map(|id| id.to_string()).boxed())
            .prop_map(Some)
            .boxed(),
        Kind::Integer(_) => text((0..100_000_i32).prop_map(|id| id.to_string()).boxed())
            .prop_map(Some)
            .boxed(),
        Kind::Bool => text(any::<bool>().prop_map(|on| on.to_string()).boxed())
            .prop_map(Some)
            .boxed(),
        Kind::DateTime => text(
            (1900..2100, 1..13, 1..29, 0..24)
                .prop_map(|(y, m, d, h)| format!("{y:04}-{m:02}-{d:02}T{h:02}:00:00"))
                .boxed(),
        )
        .prop_map(Some)
        .boxed(),
        Kind::List(_, fields) => {
            prop::option::of(prop::collection::vec(any_record(fields), 0..3).prop_map(Node::List))
                .boxed()
        }
    }
}

fn any_record(fields: &'static [Field]) -> BoxedStrategy<Document> {
    let nodes: Vec<_> = fields.iter().map(any_node).collect();
    nodes
        .prop_map(move |nodes| {
            let mut document = Document::new();
            for (field, node) in fields.iter().zip(nodes) {
                if let Some(node) = node
                    && !matches!(field.name, "username" | "password")
                {
                    document.push(field.name, node);
                }
            }
            document
        })
        .boxed()
}

fn encoded(batch: &[Document]) -> String {
    encode_update_insert(SoapVersion::V12, LOGIN, batch).unwrap()
}

/// The response of a service that has stored just these records.
fn echoed(batch: &[Document]) -> String {
    let request = encoded(batch);
    let (_, rest) = request.split_once("<contactsList>").unwrap();
    let (records, _) = rest.split_once("</contactsList>").unwrap();
    format!(
        "<ContactList_RetrieveResponse xmlns=\"{}\"><ContactList_RetrieveResult>{records}</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>false</moreRecords></ContactList_RetrieveResponse>",
        super::NAMESPACE
    )
}

fn decoded(response: &str) -> Vec<Document> {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{response}</s:Body></s:Envelope>"
    );
    let reading = Reading {
        zone: chrono_tz::UTC,
        limits: AnswerLimits::default(),
    };
    let Answer::Response(list) = decode_list(body.as_bytes(), &reading).unwrap() else {
        panic!("a fault");
    };
    list.items
        .into_iter()
        .map(|item| match item {
            RemoteItem::Record(record) => record.document,
            RemoteItem::Bad(bad) => panic!("{} {}", bad.code, bad.reason),
        })
        .collect()
}

/// A document as yaserde would show it: every text trimmed.
fn trimmed(document: &Document) -> Document {
    let mut seen = Document::new();
    for (name, node) in document.iter() {
        let node = match node {
            Node::Text(text) => Node::Text(trim(text).to_owned()),
            Node::List(items) => Node::List(items.iter().map(trimmed).collect()),
            Node::Record(inner) => Node::Record(trimmed(inner)),
        };
        seen.push(name.to_owned(), node);
    }
    seen
}

fn without_returns(document: &Document) -> Document {
    let mut plain = Document::new();
    for (name, node) in document.iter() {
        let node = match node {
            Node::Text(text) => Node::Text(text.replace('\r', "")),
            Node::List(items) => Node::List(items.iter().map(without_returns).collect()),
            Node::Record(inner) => Node::Record(without_returns(inner)),
        };
        plain.push(name.to_owned(), node);
    }
    plain
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// Puts a yaserde record into a document, name by name.
struct Out(Document);

impl Out {
    fn new() -> Self {
        Self(Document::new())
    }

    fn text(mut self, name: &'static str, value: &Option<String>) -> Self {
        if let Some(value) = value {
            self.0.push(name, Node::Text(trim(value).to_owned()));
        }
        self
    }

    fn value(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push(name, Node::Text(value.to_string()));
        self
    }

    fn list<T>(
        mut self,
        name: &'static str,
        items: Option<&Vec<T>>,
        item: impl Fn(&T) -> Self,
    ) -> Self {
        if let Some(items) = items {
            self.0.push(
                name,
                Node::List(items.iter().map(|one| item(one).0).collect()),
            );
        }
        self
    }
}

fn from_wire(contact: &wire::ContactRecord) -> Document {
    Out::new()
        .value("entityId", contact.entity_id)
        .text("externalId", &contact.external_id)
        .text("emailAddress", &contact.email_address)
        .text("contactTitle", &contact.contact_title)
        .value("deleted", contact.deleted)
        .text("fullName", &contact.full_name)
        .text("firstName", &contact.first_name)
        .text("lastName", &contact.last_name)
        .value("dateOfBirth", &contact.date_of_birth)
        .value("createDate", &contact.create_date)
        .value("lastUpdateDate", &contact.last_update_date)
        .text("customerType", &contact.customer_type)
        .text("industryType", &contact.industry_type)
        .text("leadSourceType", &contact.lead_source_type)
        .text("ratingType", &contact.rating_type)
        .list(
            "relationships",
            contact.relationships.as_ref().map(|list| &list.items),
            |part| {
                Out::new()
                    .value("entityId", part.entity_id)
                    .value("entityType", part.entity_type)
                    .text("name", &part.name)
            },
        )
        .list(
            "addresses",
            contact.addresses.as_ref().map(|list| &list.items),
            |part| {
                Out::new()
                    .value("addressTypeID", part.address_type_id)
                    .text("addressLine1", &part.address_line1)
                    .text("addressLine2", &part.address_line2)
                    .text("city", &part.city)
                    .text("zipcode", &part.zipcode)
                    .text("state", &part.state)
                    .text("countryCode", &part.country_code)
            },
        )
        .list(
            "phoneNos",
            contact.phone_nos.as_ref().map(|list| &list.items),
            |part| {
                Out::new()
                    .value("phoneNoTypeID", part.phone_no_type_id)
                    .text("phoneNo", &part.phone_no)
            },
        )
        .list(
            "crmForms",
            contact.crm_forms.as_ref().map(|list| &list.items),
            |form| {
                Out::new()
                    .value("formId", form.form_id)
                    .text("formName", &form.form_name)
                    .list(
                        "crmFormFields",
                        form.crm_form_fields.as_ref().map(|list| &list.items),
                        |part| {
                            Out::new()
                                .value("fieldId", part.field_id)
                                .value("fieldTypeId", part.field_type_id)
                                .text("fieldName", &part.field_name)
                                .text("fieldValue", &part.field_value)
                        },
                    )
            },
        )
        .value("MasterOptIn", contact.master_opt_in)
        .0
}

/// Elements and texts of a document, whatever its prefixes: `+{namespace}name`, text, `-`.
fn events(xml: &str) -> Vec<String> {
    use quick_xml::NsReader;
    use quick_xml::events::Event;
    use quick_xml::name::ResolveResult;
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut events = Vec::new();
    let mut text = String::new();
    loop {
        let (space, event) = reader.read_resolved_event().unwrap();
        match event {
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::CData(piece) => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(piece) => match piece.resolve_char_ref().unwrap() {
                Some(found) => text.push(found),
                None => text.push_str(match &*piece.into_inner() {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("{other}"),
                }),
            },
            Event::Start(start) => {
                let ResolveResult::Bound(space) = space else {
                    panic!("no namespace");
                };
                events.push(format!(
                    "+{{{}}}{}",
                    space.into_inner(),
                    start.local_name().into_inner()
                ));
                text.clear();
            }
            Event::End(_) => {
                events.push(std::mem::take(&mut text));
                events.push("-".to_owned());
            }
            Event::Eof => return events,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(20_261_122), ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_back_as_it_was(batch in prop::collection::vec(any_record(&CONTACT), 0..4)) {
        prop_assert_eq!(decoded(&echoed(&batch)), batch);
    }

    #[test]
    fn the_streaming_decoder_reads_what_yaserde_reads(batch in prop::collection::vec(any_record(&CONTACT), 0..4)) {
        let response = echoed(&batch);
        let reference: wire::ContactListRetrieveResponse = yaserde::de::from_str(&response).unwrap();
        let reference: Vec<Document> = reference.result.unwrap_or_default().items.iter().map(from_wire).collect();
        let ours: Vec<Document> = decoded(&response).iter().map(trimmed).collect();
        prop_assert_eq!(ours, reference);
    }

    #[test]
    fn the_streaming_encoder_writes_what_yaserde_writes(batch in prop::collection::vec(any_record(&CONTACT), 0..4)) {
        // yaserde trims while it reads, so the texts must have no margin to lose; nor a carriage return, which it writes
        // so that it comes back as a line feed.
        let batch: Vec<Document> = batch.iter().map(|document| trimmed(&without_returns(document))).collect();
        let read: wire::ContactListRetrieveResponse = yaserde::de::from_str(&echoed(&batch)).unwrap();
        let reference = wire::ContactListUpdateInsert {
            username: Some(LOGIN.username.to_owned()),
            password: Some(LOGIN.password.to_owned()),
            site_id: LOGIN.site_id,
            contacts_list: Some(read.result.unwrap_or_default()),
        };
        let reference = yaserde::ser::to_string(&reference).unwrap();
        let request = encoded(&batch);
        let (_, rest) = request.split_once("<soap:Body>").unwrap();
        let (ours, _) = rest.split_once("</soap:Body>").unwrap();
        let (ours, reference) = (events(ours), events(&reference));
        let differs = ours.iter().zip(&reference).find(|(ours, reference)| ours != reference);
        prop_assert_eq!(differs, None);
        prop_assert_eq!(ours.len(), reference.len());
    }
}

#[test]
fn every_other_request_says_what_its_type_says() {
    use super::encode::{encode_delete, encode_list, encode_look_up};
    use crate::model::RemoteId;
    use crate::remote::LookUp;
    let body = |request: String| {
        let (_, rest) = request.split_once("<soap:Body>").unwrap();
        rest.split_once("</soap:Body>").unwrap().0.to_owned()
    };
    let user = || Some(LOGIN.username.to_owned());
    let password = || Some(LOGIN.password.to_owned());
    let written = [
        encode_list(SoapVersion::V11, LOGIN, None, 100),
        encode_look_up(
            SoapVersion::V11,
            LOGIN,
            &LookUp::Id(RemoteId("5".to_owned())),
        ),
        encode_look_up(
            SoapVersion::V11,
            LOGIN,
            &LookUp::External("K & <1>".to_owned()),
        ),
        encode_look_up(
            SoapVersion::V11,
            LOGIN,
            &LookUp::Email("b@example.org".to_owned()),
        ),
        encode_delete(SoapVersion::V11, LOGIN, "5"),
    ];
    let defined = [
        yaserde::ser::to_string(&wire::ContactListRetrieve {
            username: user(),
            password: password(),
            site_id: 7,
            last_update_date: super::BEGINNING.to_owned(),
            record_start: 100,
            more_records: false,
        }),
        yaserde::ser::to_string(&wire::ContactRetrieveByEntityId {
            username: user(),
            password: password(),
            site_id: 7,
            entity_id: 5,
        }),
        yaserde::ser::to_string(&wire::ContactRetrieveByExternalId {
            username: user(),
            password: password(),
            site_id: 7,
            external_id: Some("K & <1>".to_owned()),
        }),
        yaserde::ser::to_string(&wire::ContactRetrieveByEmailAddress {
            username: user(),
            password: password(),
            site_id: 7,
            email_address: Some("b@example.org".to_owned()),
        }),
        yaserde::ser::to_string(&wire::ContactDeleteByEntityId {
            username: user(),
            password: password(),
            site_id: 7,
            entity_id: 5,
        }),
    ];
    for (written, defined) in written.into_iter().zip(defined) {
        assert_eq!(events(&body(written.unwrap())), events(&defined.unwrap()));
    }
}

#[test]
fn faults_of_both_versions_are_read_as_their_types_read_them() {
    let recorded = [
        include_str!("../../../tests/data/contactlist/fault-bad-date-soap11.http"),
        include_str!("../../../tests/data/contactlist/fault-bad-date-soap12.http"),
    ];
    let parts: Vec<(String, super::Fault)> = recorded
        .iter()
        .map(|exchange| {
            let (_, answer) = exchange.split_once("----- answer -----").unwrap();
            let body = &answer[answer.find("<?xml").unwrap()..];
            let fault = super::decode::decode_fault(body.as_bytes()).unwrap();
            let (start, end) = (
                body.find("<soap:Fault").unwrap(),
                body.find("</soap:Body>").unwrap(),
            );
            let space = body
                .split_once("xmlns:soap=")
                .unwrap()
                .1
                .split('"')
                .nth(1)
                .unwrap();
            let element = body[start..end].replacen(
                "<soap:Fault",
                &format!("<soap:Fault xmlns:soap=\"{space}\""),
                1,
            );
            (element, fault)
        })
        .collect();
    let v11: wire::Fault11 = yaserde::de::from_str(&parts[0].0).unwrap();
    assert_eq!(v11.code, parts[0].1.code);
    assert!(v11.text.starts_with(parts[0].1.text.trim()) && parts[0].1.text.len() > 100);
    let v12: wire::Fault12 = yaserde::de::from_str(&parts[1].0).unwrap();
    assert_eq!(v12.code.value, parts[1].1.code);
    assert!(v12.reason.text.starts_with(parts[1].1.text.trim()));
}
