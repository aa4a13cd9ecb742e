//! The faults of the wire.

use std::time::Duration;

use contactbridge::simulator::association_anywhere::{
    AssociationAnywhereSimulator, Fault, Operation, Outcome, Rule, When,
};

use super::site::{call, quiet, reasons, text};
use crate::support::HttpAnswer;

/// Purges a queue of two rows under a fault: the answer, and how many rows there are then.
fn under(fault: Fault) -> (Option<HttpAnswer>, usize, AssociationAnywhereSimulator) {
    let site = quiet(2);
    site.enqueue("0000000", "UPDATE", "X");
    site.enqueue("0000001", "UPDATE", "X");
    site.add_rule(Rule::once(Operation::Purge, fault));
    let answer = call(&site, Operation::Purge, "<maxQueueNum>900002</maxQueueNum>");
    let left = site.queue_len();
    (answer, left, site)
}

#[test]
fn a_lost_request_did_nothing_and_a_lost_answer_did_everything() {
    let (answer, left, site) = under(Fault::LoseRequest);
    assert_eq!((answer, left), (None, 2));
    assert_eq!(site.log()[0].outcome, Outcome::NotDone);
    let (answer, left, site) = under(Fault::LoseAnswer);
    assert_eq!((answer, left), (None, 0));
    assert_eq!(site.log()[0].outcome, Outcome::Done);
    // Once is once, and the same purge again is harmless.
    assert!(
        text(call(
            &site,
            Operation::Purge,
            "<maxQueueNum>900002</maxQueueNum>"
        ))
        .contains("SUCCESS")
    );
    assert_eq!(site.count(Operation::Purge), 2);
}

#[test]
fn late_work_is_done_when_its_time_has_come() {
    let (answer, left, site) = under(Fault::Late(Duration::from_secs(60)));
    assert_eq!((answer, left), (None, 2));
    site.advance(chrono::Duration::seconds(59));
    assert_eq!(site.queue_len(), 2);
    site.advance(chrono::Duration::seconds(1));
    assert_eq!(site.queue_len(), 0);
}

#[test]
fn answers_in_place_of_the_work_leave_the_queue_alone() {
    let (html, xml) = ("text/html; charset=utf-8", "text/xml; charset=UTF-8");
    for (fault, status, content_type, sign) in [
        (Fault::Html, 200, html, "Maintenance"),
        (Fault::Status(500), 500, html, "<title>500"),
        (Fault::Unavailable("120".into()), 503, html, "Busy"),
        (Fault::TooMany("soon".into()), 429, html, "Busy"),
        (
            Fault::Refused,
            200,
            xml,
            "<purgeResponse><status>FAILURE</status><error>Invalid integrator credentials",
        ),
        (
            Fault::Error("ORA-1 & more".into()),
            200,
            xml,
            "<error>ORA-1 &amp; more</error>",
        ),
        (
            Fault::Answer {
                status: 418,
                content_type: "x/y".into(),
                body: b"tea".to_vec(),
            },
            418,
            "x/y",
            "tea",
        ),
    ] {
        let (answer, left, _) = under(fault.clone());
        let answer = answer.unwrap();
        let facts = (answer.status, answer.header("content-type"), left);
        assert_eq!(facts, (status, Some(content_type), 2), "{fault:?}");
        assert!(answer.text().contains(sign), "{fault:?}");
    }
    let busy = under(Fault::Unavailable("120".into())).0.unwrap();
    assert_eq!(busy.header("retry-after"), Some("120"));
    let redirect = under(Fault::Redirect("https://other.example.org/x".into()))
        .0
        .unwrap();
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (307, Some("https://other.example.org/x"))
    );
}

#[test]
fn damaged_answers_come_after_the_work() {
    let whole = under(Fault::Delay(Duration::ZERO)).0.unwrap();
    assert_eq!(whole.status, 200);
    for (fault, length) in [
        (Fault::Truncate(0), whole.body.len() / 2),
        (Fault::Truncate(40), 40),
        (Fault::EmptyBody, 0),
    ] {
        let (answer, left, _) = under(fault);
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.len(), left), (200, length, 0));
    }
    let (answer, left, _) = under(Fault::HtmlAfter);
    assert_eq!(
        (answer.unwrap().text().contains("Maintenance"), left),
        (true, 0)
    );
    let (answer, left, _) = under(Fault::WrongLength);
    let answer = answer.unwrap();
    let announced = whole.body.len().to_string();
    assert_eq!(
        (answer.header("content-length"), left),
        (Some(announced.as_str()), 0)
    );
    assert_eq!(answer.body.len(), whole.body.len() / 2);
    let (answer, left, _) = under(Fault::Oversize(200_000));
    assert!(answer.unwrap().body.len() > 200_000 && left == 0);
}

#[test]
fn faults_are_switched_while_it_runs_and_follow_from_the_seed() {
    let site = quiet(1);
    site.switch("html@GET_QUEUE_CUSTS_W_REASONS_XML=#2")
        .unwrap();
    assert!(site.switch("htm").is_err());
    assert!(reasons(&site).contains("SUCCESS"));
    assert!(text(call(&site, Operation::Queue, "")).contains("SUCCESS"));
    assert!(text(call(&site, Operation::QueueWithReasons, "")).contains("Maintenance"));
    site.clear_rules();
    let fates = || -> Vec<bool> {
        let site = quiet(1);
        site.add_rule(Rule {
            fault: Fault::LoseRequest,
            when: When::Share(0.5),
            operation: None,
        });
        (0..16)
            .map(|number| {
                let inside = format!("<maxQueueNum>{number}</maxQueueNum>");
                call(&site, Operation::Purge, &inside).is_some()
            })
            .collect()
    };
    let once = fates();
    assert_eq!(once, fates());
    assert!(once.contains(&true) && once.contains(&false));
}
