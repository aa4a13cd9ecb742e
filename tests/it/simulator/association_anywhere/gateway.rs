//! Paths, parameter, credentials: what the gateway takes and refuses.

use contactbridge::simulator::association_anywhere::{Operation, Outcome, QueueServices};

use super::site::{FORM, INTEGRATOR, VENDOR, call, encoded, path, post, quiet, site, text};
use crate::support::http;

#[test]
fn names_of_path_and_parameter_count_without_case() {
    let site = quiet(1);
    let document = encoded(&format!("<custRequest>{VENDOR}</custRequest>"));
    let path = path(Operation::QueueWithReasons);
    for (path, name) in [
        (path.to_lowercase(), "p_input_xml_doc"),
        (path.to_uppercase(), "P_INPUT_XML_DOC"),
    ] {
        let body = format!("{name}={document}");
        let answer = http(site.address(), "POST", &path, &[FORM], body.as_bytes()).unwrap();
        assert_eq!(
            (answer.status, answer.text().contains("<status>SUCCESS")),
            (200, true)
        );
        let answer = http(site.address(), "GET", &format!("{path}?{body}"), &[], b"").unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(site.count(Operation::QueueWithReasons), 4);
}

#[test]
fn what_leads_nowhere_is_a_page() {
    let site = site(|options| options.queue = QueueServices::Reasons);
    let body = format!("p_input_xml_doc={}", encoded(&format!("<r>{VENDOR}</r>")));
    let ask = |path: &str, headers: &[(&str, &str)], body: &str| {
        let answer = http(site.address(), "POST", path, headers, body.as_bytes()).unwrap();
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        answer.status
    };
    let purge = path(Operation::Purge);
    assert_eq!(ask(&purge.replace("aademo", "other"), &[FORM], &body), 404);
    assert_eq!(ask(&purge.replace("PURGE", "PURRGE"), &[FORM], &body), 404);
    assert_eq!(ask(&purge, &[FORM], &body.replace("_doc", "")), 404);
    assert_eq!(ask(&purge, &[("Content-Type", "text/xml")], &body), 404);
    // Not provisioned.
    assert_eq!(ask(&path(Operation::Queue), &[FORM], &body), 404);
    assert_eq!(ask(&purge, &[FORM], "p_input_xml_doc=nothing"), 500);
    // 32 KB and no more, after decoding.
    let long = |length: usize| {
        let document = format!("<r>{VENDOR}<maxQueueNum>1</maxQueueNum></r>");
        let fill = " ".repeat(length - document.len());
        let path = path(Operation::Purge);
        let body = format!("p_input_xml_doc={}", encoded(&format!("{document}{fill}")));
        http(site.address(), "POST", &path, &[FORM], body.as_bytes())
            .unwrap()
            .status
    };
    assert_eq!((long(32_767), long(32_768)), (200, 500));
}

#[test]
fn credentials_are_taken_in_any_spelling_and_wrong_ones_fail_inside_a_good_answer() {
    let site = quiet(1);
    let hyphen = VENDOR
        .replace("vendorI", "vendor-i")
        .replace("vendorP", "vendor-p");
    for good in [VENDOR, INTEGRATOR, &hyphen] {
        let answer = text(post(&site, Operation::Queue, &format!("<r>{good}</r>")));
        assert!(answer.contains("<status>SUCCESS</status>"), "{good}");
    }
    let wrong = VENDOR.replace("s3cret", "S3cret");
    let answer = |operation| {
        text(post(
            &site,
            operation,
            &format!("<r>{wrong}<custId>1</custId></r>"),
        ))
    };
    assert_eq!(
        answer(Operation::Details),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<custInfo><status>FAILURE</status><error>Invalid integrator credentials</error></custInfo>"
    );
    assert!(answer(Operation::Queue).contains("<cust-response><status>FAILURE</status><error>"));
    assert!(answer(Operation::Purge).contains("<purgeResponse><status>FAILURE</status><error>"));
    assert!(answer(Operation::ForceEnqueue).contains("<status>FAILURE</status><error>"));
    assert!(text(post(&site, Operation::Queue, "<r/>")).contains("FAILURE"));
    assert_eq!(site.log()[3].outcome, Outcome::Refused);
    assert_eq!(site.queue_len(), 0);
    site.switch("credentials=strict").unwrap();
    let strict = |operation, credentials: &str| {
        let document = format!("<r>{credentials}<custId>0000000</custId></r>");
        text(post(&site, operation, &document)).contains("SUCCESS")
    };
    assert!(strict(Operation::Details, INTEGRATOR) && !strict(Operation::Details, VENDOR));
    assert!(strict(Operation::Queue, VENDOR) && !strict(Operation::Queue, INTEGRATOR));
}

#[test]
fn a_document_sent_raw_breaks_at_the_signs_of_a_form() {
    let site = quiet(1);
    let raw = |document: &str| {
        let body = format!("p_input_xml_doc={document}");
        let path = path(Operation::Queue);
        http(site.address(), "POST", &path, &[FORM], body.as_bytes())
            .unwrap()
            .status
    };
    assert_eq!(raw("<r><vendorId>x</vendorId></r>"), 200);
    assert_eq!(raw(&format!("<r>{VENDOR}</r>")), 500);
    assert!(call(&site, Operation::Queue, "").is_some());
}
