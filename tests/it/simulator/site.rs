//! A simulator and a hand-written client for it.

use chrono::{DateTime, TimeZone, Utc};
use contactbridge::simulator::contactlist::{Clock, ContactListSimulator, Options, Soap};

use crate::support::{HttpAnswer, http};

pub const NAMESPACE: &str = "http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice";
pub const PATH: &str = "/catalystwebservice/catalystcrmwebservice.asmx";

/// The time at which every site of these tests stands still: 22 November 2026, 21:00 in Sydney.
pub fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 10, 0, 0).unwrap()
}

pub fn site(change: impl FnOnce(&mut Options)) -> ContactListSimulator {
    let mut options = Options {
        clock: Clock::Manual(noon()),
        ..Options::default()
    };
    change(&mut options);
    ContactListSimulator::start(options).unwrap()
}

/// The inside of the credentials of every site of these tests.
pub const LOGIN: &str = "<username>sync@example.com</username><password>s3cret&lt;&amp;></password><siteId>12345</siteId>";

/// An envelope around one operation's element with this inside.
pub fn envelope(soap: Soap, operation: &str, inside: &str) -> String {
    let namespace = match soap {
        Soap::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
        Soap::V12 => "http://www.w3.org/2003/05/soap-envelope",
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<s:Envelope xmlns:s=\"{namespace}\"><s:Body>\
         <{operation} xmlns=\"{NAMESPACE}\">{inside}</{operation}></s:Body></s:Envelope>"
    )
}

/// Posts a body the way a client of this version does.
pub fn post(
    site: &ContactListSimulator,
    soap: Soap,
    operation: &str,
    body: &str,
) -> Option<HttpAnswer> {
    let action = format!("\"{NAMESPACE}/{operation}\"");
    let headers: &[(&str, &str)] = match soap {
        Soap::V11 => &[
            ("Content-Type", "text/xml; charset=utf-8"),
            ("SOAPAction", &action),
        ],
        Soap::V12 => &[("Content-Type", "application/soap+xml; charset=utf-8")],
    };
    http(site.address(), "POST", PATH, headers, body.as_bytes())
}

/// Calls an operation in SOAP 1.2 with the right credentials; `None` when the line was cut.
pub fn call(site: &ContactListSimulator, operation: &str, inside: &str) -> Option<HttpAnswer> {
    let body = envelope(Soap::V12, operation, &format!("{LOGIN}{inside}"));
    post(site, Soap::V12, operation, &body)
}

/// Calls an operation that must succeed, and gives the inside of its response element.
#[track_caller]
pub fn inside(site: &ContactListSimulator, operation: &str, asked: &str) -> String {
    let answer = call(site, operation, asked).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let open = format!("<{operation}Response xmlns=\"{NAMESPACE}\"");
    let (_, rest) = text.split_once(&open).expect("the operation's response");
    match rest.strip_prefix(">") {
        Some(rest) => rest
            .split_once(&format!("</{operation}Response>"))
            .expect("its end")
            .0
            .to_owned(),
        None => String::new(),
    }
}

/// Calls an operation that must be refused, and gives the text of the fault.
#[track_caller]
pub fn refusal(site: &ContactListSimulator, operation: &str, asked: &str) -> String {
    let answer = call(site, operation, asked).expect("an answer");
    assert_eq!(answer.status, 500, "{}", answer.text());
    let text = answer.text();
    let reason = between(&text, "<soap:Text xml:lang=\"en\">", "</soap:Text>");
    reason.expect("a reason").to_owned()
}

pub fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    Some(text.split_once(open)?.1.split_once(close)?.0)
}

/// Every value of an element of this name, in order.
pub fn every<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let open = format!("<{name}>");
    let close = format!("</{name}>");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(value, _)| value)
        .collect()
}

/// One page: the ids and whether there are more.
#[track_caller]
pub fn page(site: &ContactListSimulator, since: &str, start: i64) -> (Vec<i32>, bool) {
    let asked = format!(
        "<lastUpdateDate>{since}</lastUpdateDate><recordStart>{start}</recordStart><moreRecords>false</moreRecords>"
    );
    let answer = inside(site, "ContactList_Retrieve", &asked);
    let ids = answer
        .split("<ContactRecord>")
        .skip(1)
        .map(|record| {
            between(record, "<entityId>", "</entityId>")
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    (
        ids,
        between(&answer, "<moreRecords>", "</moreRecords>") == Some("true"),
    )
}

/// The whole list, page by page.
#[track_caller]
pub fn whole(site: &ContactListSimulator, since: &str) -> Vec<i32> {
    let mut ids = Vec::new();
    loop {
        let start = ids.len() as i64;
        let (some, more) = page(site, since, start);
        ids.extend(some);
        if !more {
            return ids;
        }
    }
}

/// Pushes records, each given by its inside.
#[track_caller]
pub fn push(site: &ContactListSimulator, records: &[&str]) {
    assert_eq!(
        inside(site, "ContactList_UpdateInsert", &contacts(records)),
        ""
    );
}

/// The list element of a push.
pub fn contacts(records: &[&str]) -> String {
    let records: String = records
        .iter()
        .map(|record| format!("<ContactRecord>{record}</ContactRecord>"))
        .collect();
    format!("<contactsList>{records}</contactsList>")
}
