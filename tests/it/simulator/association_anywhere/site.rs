//! A simulator and a hand-written client for it.

use chrono::{TimeZone, Utc};
use contactbridge::simulator::association_anywhere::{
    AssociationAnywhereSimulator, Clock, Operation, Options,
};

use crate::support::{HttpAnswer, http};

pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub const VENDOR: &str =
    "<vendorId>bridge-demo</vendorId><vendorPassword>s3cret&lt;&amp;></vendorPassword>";
pub const INTEGRATOR: &str = "<integratorUsername>bridge-demo</integratorUsername>\
    <integratorPassword><![CDATA[s3cret<&>]]></integratorPassword>";

/// A site whose clock stands still on 22 November 2026.
pub fn site(change: impl FnOnce(&mut Options)) -> AssociationAnywhereSimulator {
    let mut options = Options {
        clock: Clock::Manual(Utc.with_ymd_and_hms(2026, 11, 22, 10, 0, 0).unwrap()),
        ..Options::default()
    };
    change(&mut options);
    AssociationAnywhereSimulator::start(options).unwrap()
}

/// A site with so many customers and nobody in the queue.
pub fn quiet(people: u32) -> AssociationAnywhereSimulator {
    site(|options| {
        options.people = people;
        options.queued = false;
    })
}

pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub fn path(operation: Operation) -> String {
    format!("/aademo/{}.{}", operation.package(), operation.name())
}

/// Posts a document; `None` when the line was cut.
pub fn post(
    site: &AssociationAnywhereSimulator,
    operation: Operation,
    document: &str,
) -> Option<HttpAnswer> {
    let body = format!("p_input_xml_doc={}", encoded(document));
    let path = path(operation);
    http(site.address(), "POST", &path, &[FORM], body.as_bytes())
}

/// Asks a service that takes the vendor's credentials, with this beside them.
pub fn call(
    site: &AssociationAnywhereSimulator,
    operation: Operation,
    inside: &str,
) -> Option<HttpAnswer> {
    post(site, operation, &format!("<r>{VENDOR}{inside}</r>"))
}

/// The text of an answer with status 200.
#[track_caller]
pub fn text(answer: Option<HttpAnswer>) -> String {
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A stream comes in chunks; tests of streams take them apart themselves.
    assert_eq!(answer.header("transfer-encoding"), None);
    answer.text()
}

/// The queue with reasons, without its declaration.
#[track_caller]
pub fn reasons(site: &AssociationAnywhereSimulator) -> String {
    let text = text(call(site, Operation::QueueWithReasons, ""));
    text.split_once("?>\n").expect("a declaration").1.to_owned()
}

#[track_caller]
pub fn purge(site: &AssociationAnywhereSimulator, number: u64) -> String {
    let number = format!("<maxQueueNum>{number}</maxQueueNum>");
    text(call(site, Operation::Purge, &number))
}

/// A request for details in bulk.
pub fn bulk(ids: &[&str], details: &str) -> String {
    let ids: String = ids
        .iter()
        .map(|id| format!("<custId>{id}</custId>"))
        .collect();
    format!(
        "<custInfoRequest>{ids}{INTEGRATOR}<directoryId></directoryId><bulkRequest>true</bulkRequest>{details}</custInfoRequest>"
    )
}

/// Details in bulk that must be answered.
#[track_caller]
pub fn details(site: &AssociationAnywhereSimulator, ids: &[&str], details: &str) -> String {
    text(post(site, Operation::Details, &bulk(ids, details)))
}

/// How often a text is there.
pub fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// What stands between two texts, the first time.
#[track_caller]
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect(before);
    rest.split_once(after).expect(after).0
}
