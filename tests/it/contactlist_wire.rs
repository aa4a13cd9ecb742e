//! Every recorded exchange of `tests/data/contactlist` reads as its name says, and our requests say what the recorded
//! ones say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::NaiveDate;
use contactbridge::model::{ErrorKind, Node, RemoteId, RemoteItem, RemoteRecord, Stamp};
use contactbridge::remote::contactlist::{
    AnswerLimits, Asker, ListAnswer, Login, Reading, Reply, SoapVersion, delete_outcome,
    encode_delete, encode_list, encode_look_up, encode_update_insert, list_outcome,
    look_up_outcome, push_outcome,
};
use contactbridge::remote::{Deleted, Found, LookUp, Pushed};

const BY_EXTERNAL: &str = "Contact_RetrieveByExternalID";
const BY_ENTITY: &str = "Contact_RetrieveByEntityID";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/contactlist")
}

struct Exchange {
    request: String,
    reply: Reply,
}

fn exchange(name: &str) -> Exchange {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let (request, answer) = text.split_once("\n----- answer -----\n").unwrap();
    let (head, body) = answer.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let content_type = lines
        .find_map(|line| line.strip_prefix("Content-Type: "))
        .map(str::to_owned);
    let (_, request) = request.split_once("\n\n").unwrap();
    Exchange {
        request: request.trim_end().to_owned(),
        reply: Reply {
            status,
            content_type,
            body: body.trim_end_matches('\n').as_bytes().to_vec(),
        },
    }
}

fn reading() -> Reading {
    Reading {
        zone: chrono_tz::Australia::Sydney,
        limits: AnswerLimits::default(),
    }
}

const ASKER: Asker<'static> = Asker {
    site_id: 12_345,
    secrets: &["s3cret<&>", "wrong"],
};

fn list(name: &str) -> Vec<RemoteRecord> {
    let ListAnswer { items, more } =
        list_outcome(&exchange(name).reply, &reading(), ASKER).unwrap();
    assert!(!more);
    items
        .into_iter()
        .map(|item| match item {
            RemoteItem::Record(record) => record,
            RemoteItem::Bad(bad) => panic!("{name}: {} {}", bad.code, bad.reason),
        })
        .collect()
}

fn ids(records: &[RemoteRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.0.as_str()).collect()
}

/// What both texts say, however their prefixes and empty elements are written.
fn assert_same_request(ours: &str, recorded: &str) {
    let plain = |text: &str| {
        let (_, rest) = text.split_once("Body>").unwrap();
        let (body, _) = rest.rsplit_once("</").unwrap();
        let (body, _) = body.rsplit_once("</").unwrap();
        body.replace("&#62;", "&gt;")
            .replace("<&>", "&lt;&amp;&gt;")
            .replace("&amp;><", "&amp;&gt;<")
    };
    assert_eq!(plain(ours), plain(recorded));
}

fn login(password: &str) -> Login<'_> {
    Login {
        username: if password == "TOKEN-1" {
            ""
        } else {
            "sync@example.com"
        },
        password,
        site_id: 12_345,
    }
}

fn since_2000() -> Option<Stamp> {
    Some(Stamp(
        NaiveDate::from_ymd_opt(2000, 1, 1)
            .unwrap()
            .and_hms_opt(0, 0, 0)
            .unwrap(),
    ))
}

#[test]
fn retrieve_soap11_and_soap12_hold_the_same_three_contacts() {
    for (name, version) in [
        ("retrieve-soap11.http", SoapVersion::V11),
        ("retrieve-soap12.http", SoapVersion::V12),
    ] {
        let records = list(name);
        assert_eq!(ids(&records), ["1001", "1002", "1003"]);
        let first = &records[0];
        assert!(!first.deleted);
        assert_eq!(first.document.text("lastName"), Some("Müller <0> & co"));
        assert_eq!(first.document.text("fullName"), None, "absent is not empty");
        assert_eq!(
            first.document.text("dateOfBirth"),
            Some("0001-01-01T00:00:00")
        );
        assert!(
            first.document.get("password").is_none() && first.document.get("username").is_none()
        );
        assert!(first.document.get("addresses").is_none());
        let second = &records[1];
        assert_eq!(second.stamp.unwrap().0.to_string(), "2026-02-11 01:01:07");
        assert_eq!(second.document.text("firstName"), Some("Łukasz"));
        assert_eq!(
            second.document.list("addresses")[1].text("city"),
            Some("Perth")
        );
        assert_eq!(second.document.list("addresses")[1].text("zipcode"), None);
        let form = &second.document.list("crmForms")[0];
        assert_eq!(form.text("formName"), Some("Membership"));
        assert_eq!(
            form.list("crmFormFields")[1].text("fieldValue"),
            Some("keep me")
        );
        let ours = encode_list(version, login("s3cret<&>"), since_2000(), 0).unwrap();
        assert_same_request(&ours, &exchange(name).request);
    }
}

#[test]
fn retrieve_with_a_site_token_sends_an_empty_name() {
    let name = "retrieve-site-token.http";
    assert_eq!(ids(&list(name)), ["1001", "1002", "1003"]);
    let recorded = exchange(name).request;
    assert!(recorded.contains("<username></username>"));
    let token = recorded
        .split("password>")
        .nth(1)
        .unwrap()
        .trim_end_matches("</");
    let login = Login {
        username: "",
        password: token,
        site_id: 12_345,
    };
    let ours = encode_list(SoapVersion::V12, login, since_2000(), 0).unwrap();
    assert_same_request(&ours, &recorded);
}

#[test]
fn retrieve_with_deleted_tells_who_is() {
    let records = list("retrieve-with-deleted.http");
    let deleted: Vec<bool> = records.iter().map(|record| record.deleted).collect();
    assert_eq!(deleted, [true, false, false, false]);
}

#[test]
fn retrieve_email_only_as_phone_7_holds_no_email_address() {
    for record in list("retrieve-email-only-as-phone-7.http").iter().take(3) {
        assert_eq!(record.document.text("emailAddress"), None);
        let phone = &record.document.list("phoneNos")[0];
        assert_eq!(phone.text("phoneNoTypeID"), Some("7"));
        assert!(phone.text("phoneNo").unwrap().ends_with("@example.org"));
    }
}

#[test]
fn empty_answers_of_all_three_kinds_are_empty_pages() {
    for name in [
        "retrieve-empty.http",
        "retrieve-empty-absent.http",
        "retrieve-empty-fault-soap11.http",
    ] {
        assert!(list(name).is_empty(), "{name}");
    }
}

#[test]
fn retrieve_by_external_id_is_the_record_itself() {
    let name = "retrieve-by-external-id.http";
    let found = look_up_outcome(&exchange(name).reply, BY_EXTERNAL, &reading(), ASKER).unwrap();
    let Found::Item(item) = found else {
        panic!("not found");
    };
    let RemoteItem::Record(record) = *item else {
        panic!("not readable");
    };
    assert_eq!(record.id, RemoteId("1004".to_owned()));
    assert_eq!(record.document.text("externalId"), Some("K-1"));
    let ours = encode_look_up(
        SoapVersion::V11,
        login("s3cret<&>"),
        &LookUp::External("K-1".to_owned()),
    );
    assert_same_request(&ours.unwrap(), &exchange(name).request);
}

#[test]
fn retrieve_by_entity_id_not_found_is_nothing() {
    let reply = exchange("retrieve-by-entity-id-not-found.http").reply;
    assert_eq!(
        look_up_outcome(&reply, BY_ENTITY, &reading(), ASKER).unwrap(),
        Found::Nothing
    );
    // The same words about a list are no empty list.
    let error = list_outcome(&reply, &reading(), ASKER).unwrap_err();
    assert_eq!(error.code(), "E-SOAP-FAULT");
}

#[test]
fn refused_credentials_are_an_error_of_their_own() {
    for name in [
        "fault-authentication-soap11.http",
        "fault-authentication-soap12.http",
    ] {
        let reply = exchange(name).reply;
        let error = list_outcome(&reply, &reading(), ASKER).unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-AUTH", ErrorKind::Unreachable),
            "{name}"
        );
        assert!(error.message().contains("site 12345"));
        // Wherever it comes: a wrong password must not look like a contact that is gone.
        let error = look_up_outcome(&reply, BY_ENTITY, &reading(), ASKER).unwrap_err();
        assert_eq!(error.code(), "E-AUTH");
    }
}

#[test]
fn bad_dates_and_wrong_actions_are_faults_with_one_sentence() {
    for name in [
        "fault-bad-date-soap11.http",
        "fault-bad-date-soap12.http",
        "fault-wrong-soapaction.http",
    ] {
        let error = list_outcome(&exchange(name).reply, &reading(), ASKER).unwrap_err();
        assert_eq!(error.code(), "E-SOAP-FAULT", "{name}");
        assert!(error.message().contains("Server "), "{error}");
        assert!(
            !error.message().contains("2014-09"),
            "a quoted value is not shown: {error}"
        );
        assert!(!error.message().contains("System."), "{error}");
        assert!(error.message().len() < 260, "{error}");
    }
}

#[test]
fn an_answer_without_a_body_is_not_xml() {
    let error = list_outcome(&exchange("fault-not-xml.http").reply, &reading(), ASKER).unwrap_err();
    assert_eq!(error.code(), "E-SOAP-NOTXML");
    assert!(error.message().contains("400"));
}

#[test]
fn update_insert_is_accepted_or_refused_as_recorded() {
    for (name, version) in [
        ("update-insert-soap11.http", SoapVersion::V11),
        ("update-insert-soap12.http", SoapVersion::V12),
    ] {
        let Exchange { request, reply } = exchange(name);
        assert_eq!(
            push_outcome(&reply, &reading(), ASKER),
            Pushed::Accepted,
            "{name}"
        );
        let mut document = contactbridge::model::Document::new();
        for (name, text) in [
            ("firstName", "Ann"),
            ("lastName", "Lee"),
            ("externalId", "K-1"),
            ("entityId", "0"),
            ("emailAddress", "new@example.org"),
            ("MasterOptIn", "true"),
            ("password", "never sent"),
        ] {
            document.set(name, Node::Text(text.to_owned()));
        }
        let ours = encode_update_insert(version, login("s3cret<&>"), &[document]).unwrap();
        assert_same_request(&ours, &request);
    }
    let refused = push_outcome(
        &exchange("update-insert-empty-date-fault.http").reply,
        &reading(),
        ASKER,
    );
    let Pushed::Refused { reason } = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.starts_with("soap:Sender \"Server was unable to read request."),
        "{reason}"
    );
}

#[test]
fn delete_by_entity_id_says_true() {
    let Exchange { request, reply } = exchange("delete-by-entity-id.http");
    assert_eq!(
        delete_outcome(&reply, &reading(), ASKER).unwrap(),
        Deleted::Done
    );
    let ours = encode_delete(SoapVersion::V11, login("s3cret<&>"), "1001").unwrap();
    assert_same_request(&ours, &request);
}

#[test]
fn no_recorded_exchange_is_without_a_test() {
    let this = include_str!("contactlist_wire.rs");
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".http"))
        .collect();
    assert!(files.len() >= 20);
    for name in files {
        assert!(this.contains(&format!("\"{name}\"")), "{name} has no test");
    }
}
