//! The "CRM answers" rows of the bad-input table through the real binary: a clear message with its code, the exit code,
//! nothing written, the watermark kept; and the next run with a sane CRM completes.

use std::io::{Read, Write};
use std::net::TcpListener;

use contactbridge::simulator::contactlist::{
    EmptyList, Fault, MoreRecords, Operation, Order, Person, Rule,
};

use crate::support::Project;
use crate::two_way::{assert_equal_sides, newcomer, plain};

const SOAP: &str = "application/soap+xml; charset=utf-8";
const NAMESPACE: &str = "http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice";

/// An envelope with this body.
fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body>{body}</soap:Body></soap:Envelope>"
    )
}

/// A list's answer with these records and this behind them.
fn list(records: &str, behind: &str) -> String {
    envelope(&format!(
        "<ContactList_RetrieveResponse xmlns=\"{NAMESPACE}\"><ContactList_RetrieveResult>{records}</ContactList_RetrieveResult>{behind}</ContactList_RetrieveResponse>"
    ))
}

const END: &str = "<recordStart>0</recordStart><moreRecords>false</moreRecords>";

fn record(id: u32, inner: &str) -> String {
    format!(
        "<ContactRecord><entityId>{id}</entityId><deleted>false</deleted>{inner}<lastUpdateDate>2026-01-01T00:00:00</lastUpdateDate><MasterOptIn>false</MasterOptIn></ContactRecord>"
    )
}

fn answer(body: String) -> Fault {
    Fault::Answer {
        status: 200,
        content_type: SOAP.into(),
        body: body.into_bytes(),
    }
}

fn sent(status: u16, content_type: &str, body: &str) -> Fault {
    Fault::Answer {
        status,
        content_type: content_type.into(),
        body: body.into(),
    }
}

/// A run that must fail with this exit code and this at the beginning of its error, with nothing written.
#[track_caller]
fn fails(project: &Project, what: &str, code: i32, error: &str) {
    let (rows, people) = (project.dump(), project.crm.people());
    project.crm.clear_log();
    let ran = project.line("sync --format json");
    assert_eq!(ran.code, Some(code), "{what}: {ran:#?}");
    let report = &ran.json()["bridges"][0];
    let said = report["error"].as_str().unwrap_or_default();
    assert!(said.starts_with(error), "{what}: {said}");
    assert_eq!(said.lines().count(), 1, "{what}: {said}");
    for secret in ["s3cret", "sync@example.com", "Pending", "Brontë"] {
        assert!(
            !ran.stderr.contains(secret) && !said.contains(secret),
            "{what}: {ran:#?}"
        );
    }
    assert_eq!(project.remote_writes(), 0, "{what}");
    assert!(
        rows == project.dump() && people == project.crm.people(),
        "{what}"
    );
}

/// A synchronised project in which something waits to flow each way.
fn pending() -> (Project, String) {
    let project = plain(30).limit("retry_after_max: 0s").build();
    let watermark = project.sync(0)["watermark"].as_str().unwrap().to_owned();
    let id = project.contact("M000001").entity_id;
    let renamed = |person: &mut Person| person.first_name = Some("Pending".into());
    assert!(project.crm.edit(id, renamed));
    project.sql("UPDATE customers SET last_name = 'Brontë' WHERE customer_no = 'M000002'");
    (project, watermark)
}

#[track_caller]
fn recovers(project: &Project, watermark: &str) {
    project.crm.clear_rules();
    let status = project.line("status --format json").exits(0).json();
    assert!(
        status.to_string().contains(watermark),
        "the watermark moved: {status:#}"
    );
    let report = project.sync(0);
    assert_eq!(report["pull"]["updated"], 1, "{report:#}");
    assert_eq!(report["push"]["updated"], 1, "{report:#}");
    assert_equal_sides(project);
    project.quiet_sync(0);
}

#[test]
pub fn an_answer_that_is_no_list_fails_the_run_and_changes_nothing() {
    let (project, watermark) = pending();
    let other = envelope(&format!(
        "<CaseList_RetrieveResponse xmlns=\"{NAMESPACE}\"/>"
    ));
    let fault = |code: &str, text: &str| {
        envelope(&format!(
            "<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang=\"en\">{text}</soap:Text></soap:Reason></soap:Fault>"
        ))
    };
    let laughs = format!("<!DOCTYPE l [<!ENTITY a \"ha\">]>{}", list("", END));
    let many: String = (1..=101).map(|id| record(id, "")).collect();
    let cases: Vec<(&str, Fault, &str)> = vec![
        ("HTML", Fault::Html, "E-SOAP-NOTXML"),
        (
            "HTML and 500",
            sent(500, "text/html", "<html>no</html>"),
            "",
        ),
        ("a fault and 200", Fault::FaultWith200, "E-SOAP-FAULT"),
        ("a fault and 500", Fault::FaultBefore, "E-SOAP-FAULT"),
        (
            "a fault of the client",
            answer(fault("Sender", "bad 'Brontë'")),
            "E-SOAP-FAULT",
        ),
        ("an empty body", Fault::EmptyBody, "E-BODY-TRUNCATED"),
        ("half a body", Fault::Truncate(0), "E-BODY-TRUNCATED"),
        ("a wrong length", Fault::WrongLength, "E-BODY-TRUNCATED"),
        ("a lost answer", Fault::LoseAnswer, "E-"),
        ("JSON", sent(200, "application/json", "{}"), "E-SOAP-NOTXML"),
        ("a DTD", answer(laughs), "E-XML-DTD"),
        (
            "an entity",
            answer(list(&record(1, "<firstName>&x;</firstName>"), END)),
            "E-XML-DTD",
        ),
        (
            "depth",
            answer(list(&"<a>".repeat(100_000), END)),
            "E-XML-DEPTH",
        ),
        (
            "elements",
            answer(list(&"<a/>".repeat(300_000), END)),
            "E-XML-COUNT",
        ),
        ("another response", answer(other), "E-SOAP-SHAPE"),
        ("a wrong operation", Fault::WrongOperation, "E-SOAP-SHAPE"),
        (
            "another namespace",
            answer(list("", END).replace("tempuri", "example")),
            "E-SOAP-SHAPE",
        ),
        ("no envelope", sent(200, SOAP, "<a/>"), "E-SOAP-SHAPE"),
        ("two roots", answer(list("", END) + "<a/>"), "E-SOAP-"),
        ("trailing bytes", answer(list("", END) + "bytes"), "E-SOAP-"),
        (
            "no moreRecords",
            answer(list("", "<recordStart>0</recordStart>")),
            "E-PAGING",
        ),
        (
            "moreRecords twice",
            answer(list("", &format!("{END}<moreRecords>true</moreRecords>"))),
            "E-PAGING",
        ),
        (
            "moreRecords maybe",
            answer(list("", &END.replace("false", "maybe"))),
            "E-PAGING",
        ),
        ("101 records", answer(list(&many, END)), "E-PAGING"),
        (
            "more of nothing",
            answer(list("", &END.replace("false", "true"))),
            "E-PAGING",
        ),
        (
            "the same page for ever",
            answer(list(
                &(1..=100).map(|id| record(id, "")).collect::<String>(),
                &END.replace("false", "true"),
            )),
            "E-",
        ),
        (
            "a redirect",
            Fault::Redirect("https://elsewhere.example.org/".into()),
            "E-REDIRECT",
        ),
        ("refused credentials", Fault::Refused, "E-AUTH"),
        ("429 for a day", Fault::TooMany("86400".into()), "E-RATE"),
        (
            "429 until a day ago",
            Fault::TooMany("Sun, 06 Nov 1994 08:49:37 GMT".into()),
            "E-RATE",
        ),
        (
            "429 for less than nothing",
            Fault::TooMany("-5".into()),
            "E-RATE",
        ),
        ("429 for whatever", Fault::TooMany("soon".into()), "E-RATE"),
        ("503", Fault::Unavailable("86400".into()), "E-UNAVAILABLE"),
    ];
    for (what, fault, error) in cases {
        project.crm.clear_rules();
        project
            .crm
            .add_rule(Rule::always(Operation::ContactListRetrieve, fault));
        fails(&project, what, 5, error);
    }
    recovers(&project, &watermark);
}

#[test]
pub fn h11_pages_without_end_and_h03_pages_without_order_fail_the_run() {
    let project = plain(450).build();
    project.sync(0);
    let watermark = project.quiet_sync(0)["watermark"].clone();
    project.line("reseed members").exits(0);
    project
        .crm
        .with_quirks(|quirks| quirks.more_records = MoreRecords::AlwaysTrue);
    fails(&project, "always more", 5, "E-PAGING");
    project.crm.with_quirks(|quirks| {
        quirks.more_records = MoreRecords::Honest;
        quirks.order = Order::Shuffled;
    });
    // One stamp for all makes the order a matter of luck.
    for person in project.crm.people() {
        let stamp = project.crm.people()[0].last_update_date;
        project
            .crm
            .edit_unstamped(person.entity_id, |person| person.last_update_date = stamp);
    }
    let ran = project.line("sync --format json");
    assert!(matches!(ran.code, Some(4 | 5)), "{ran:#?}");
    project
        .crm
        .with_quirks(|quirks| quirks.order = Order::Stamp);
    let ended = project.line("sync --format json --accept rewound").exits(0);
    assert_ne!(ended.json()["bridges"][0]["watermark"], watermark);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn every_way_to_say_nothing_is_an_empty_list() {
    for empty in [EmptyList::Element, EmptyList::Absent, EmptyList::Fault] {
        let project = plain(0)
            .crm(|crm| crm.switches.quirks.empty_list = empty)
            .build();
        project.sync(0);
        project.quiet_sync(0);
        project
            .crm
            .insert(newcomer("N-1", "n1@example.org", "First", "One"));
        project.sync(0);
        assert_equal_sides(&project);
    }
}

/// A server that answers each request with these bytes; its address.
fn raw(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !request.ends_with(b"Envelope>") {
                match stream.read(&mut piece) {
                    Ok(length) if length > 0 => request.extend(&piece[..length]),
                    _ => break,
                }
            }
            // The client may have heard enough.
            let _ = stream.write_all(&bytes);
        }
    });
    format!("http://{address}/crm.asmx")
}

#[test]
pub fn what_no_web_server_should_send_fails_the_run() {
    let project = plain(5)
        .limit("max_response: 64KiB")
        .limit("max_record: 32KiB")
        .limit("max_text: 16KiB")
        .build();
    let mine = project.crm.url();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {SOAP}\r\nConnection: close\r\n");
    let long = list(&record(1, &"x".repeat(100_000)), END);
    for (what, bytes, error) in [
        (
            "too short",
            format!("{head}Content-Length: 9120\r\n\r\n<a>"),
            "E-BODY-TRUNCATED",
        ),
        (
            "too long",
            format!("{head}Content-Length: {}\r\n\r\n{long}", long.len()),
            "E-BODY-SIZE",
        ),
        ("endless", format!("{head}\r\n{long}"), "E-BODY-SIZE"),
        (
            "gzip",
            format!("{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x0b\x08"),
            "E-BODY-",
        ),
        ("no HTTP", "220 mail.example.org ESMTP\r\n".into(), "E-"),
        ("nothing", String::new(), "E-"),
    ] {
        let url = raw(bytes.into_bytes());
        project.edit("bridge.yaml", &mine, &url);
        let ran = project.line("sync --format json").exits(5);
        let report = ran.json();
        let said = report["bridges"][0]["error"].as_str().unwrap_or_default();
        assert!(said.starts_with(error), "{what}: {said}");
        project.edit("bridge.yaml", &url, &mine);
    }
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}
