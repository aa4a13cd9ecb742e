//! The faults of the wire, one by one, and their determinism.

use std::time::Duration;

use contactbridge::simulator::contactlist::{
    ContactListSimulator, Fault, Operation, Outcome, Rule, When,
};

use super::site::{call, contacts, page, site};

const PUSH: &str = "ContactList_UpdateInsert";
const ONE: &str = "<externalId>K</externalId>";

fn rule(fault: Fault) -> Rule {
    Rule::once(Operation::ContactListUpdateInsert, fault)
}

/// Pushes one contact into an empty site under a fault: the answer, and how many contacts there are then.
fn under(
    fault: Fault,
) -> (
    Option<crate::support::HttpAnswer>,
    usize,
    ContactListSimulator,
) {
    let site = site(|_| {});
    site.add_rule(rule(fault));
    let answer = call(&site, PUSH, &contacts(&[ONE]));
    let count = site.people().len();
    (answer, count, site)
}

#[test]
fn a_lost_request_did_nothing_and_a_lost_answer_did_everything() {
    let (answer, count, site) = under(Fault::LoseRequest);
    assert_eq!((answer, count), (None, 0));
    assert_eq!(site.log()[0].outcome, Outcome::NotDone);
    let (answer, count, site) = under(Fault::LoseAnswer);
    assert_eq!((answer, count), (None, 1));
    assert_eq!(site.log()[0].outcome, Outcome::Done);
    // Once is once.
    assert_eq!(call(&site, PUSH, &contacts(&[ONE])).unwrap().status, 200);
    assert_eq!(site.people().len(), 1);
}

#[test]
fn late_work_is_done_when_its_time_has_come() {
    let (answer, count, site) = under(Fault::Late(Duration::from_secs(60)));
    assert_eq!((answer, count), (None, 0));
    site.advance(chrono::Duration::seconds(59));
    assert!(site.people().is_empty());
    site.advance(chrono::Duration::seconds(1));
    assert_eq!(site.people().len(), 1);
    let outcomes: Vec<Outcome> = site.log().into_iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotDone, Outcome::Done]);
}

#[test]
fn answers_in_place_of_the_work_leave_the_people_alone() {
    for (fault, status, content_type, sign) in [
        (Fault::Html, 200, "text/html; charset=utf-8", "<html>"),
        (
            Fault::FaultWith200,
            200,
            "application/soap+xml; charset=utf-8",
            "unable to process request.",
        ),
        (
            Fault::FaultBefore,
            500,
            "application/soap+xml; charset=utf-8",
            "unable to process request.",
        ),
        (
            Fault::Refused,
            500,
            "application/soap+xml; charset=utf-8",
            "ERROR: Authentication failed.",
        ),
        (
            Fault::Unavailable("120".into()),
            503,
            "text/html; charset=utf-8",
            "Busy",
        ),
        (
            Fault::TooMany("soon".into()),
            429,
            "text/html; charset=utf-8",
            "Busy",
        ),
        (
            Fault::WrongOperation,
            200,
            "application/soap+xml; charset=utf-8",
            "<ContactList_RetrieveResponse",
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
        let (answer, count, _) = under(fault.clone());
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.header("content-type"), count),
            (status, Some(content_type), 0),
            "{fault:?}"
        );
        assert!(answer.text().contains(sign), "{fault:?}");
    }
    let retry_after = |fault| {
        under(fault)
            .0
            .unwrap()
            .header("retry-after")
            .map(str::to_owned)
    };
    assert_eq!(
        retry_after(Fault::Unavailable("120".into())).as_deref(),
        Some("120")
    );
    assert_eq!(
        retry_after(Fault::TooMany("soon".into())).as_deref(),
        Some("soon")
    );
    assert_eq!(retry_after(Fault::Unavailable(String::new())), None);
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
        let (answer, count, _) = under(fault);
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.len(), count), (200, length, 1));
        assert_eq!(
            answer.header("content-length"),
            Some(length.to_string().as_str())
        );
    }
    let (answer, count, _) = under(Fault::WrongLength);
    let answer = answer.unwrap();
    assert_eq!(count, 1);
    assert_eq!(
        answer.header("content-length"),
        Some(whole.body.len().to_string().as_str())
    );
    assert_eq!(answer.body.len(), whole.body.len() / 2);
    let (answer, count, _) = under(Fault::FaultAfter);
    assert_eq!((answer.unwrap().status, count), (500, 1));
}

#[test]
fn faults_follow_from_the_seed_whatever_the_order_of_requests() {
    let fates = |seed, order: &[i64]| {
        let site = site(|options| {
            options.people = 400;
            options.seed = seed;
        });
        site.add_rule(Rule {
            fault: Fault::LoseRequest,
            when: When::Share(0.5),
            operation: None,
        });
        let mut fates: Vec<(i64, bool)> = order
            .iter()
            .map(|start| {
                let asked = format!("<lastUpdateDate>2000-01-01T00:00:00</lastUpdateDate><recordStart>{start}</recordStart><moreRecords>false</moreRecords>");
                (*start, call(&site, "ContactList_Retrieve", &asked).is_some())
            })
            .collect();
        fates.sort_unstable();
        fates
    };
    let forward: Vec<i64> = (0..16).collect();
    let backward: Vec<i64> = (0..16).rev().collect();
    assert_eq!(fates(3, &forward), fates(3, &backward));
    assert_ne!(fates(3, &forward), fates(4, &forward));
    assert!(fates(3, &forward).iter().any(|(_, answered)| *answered));
    assert!(fates(3, &forward).iter().any(|(_, answered)| !*answered));
}

#[test]
fn faults_and_quirks_are_switched_while_it_runs() {
    let site = site(|options| options.people = 150);
    site.switch("html@ContactList_Retrieve=#1").unwrap();
    site.switch("more-records=false").unwrap();
    assert!(site.switch("more-record=false").is_err());
    let asked = "<lastUpdateDate>2000-01-01T00:00:00</lastUpdateDate><recordStart>0</recordStart><moreRecords>false</moreRecords>";
    assert!(
        call(&site, "ContactList_Retrieve", asked)
            .unwrap()
            .text()
            .contains("<html>")
    );
    assert!(!page(&site, "2000-01-01T00:00:00", 0).1);
    site.switch("more-records=true").unwrap();
    assert_eq!(page(&site, "2000-01-01T00:00:00", 1000), (vec![], true));
    site.add_rule(Rule::always(
        Operation::ContactListRetrieve,
        Fault::LoseRequest,
    ));
    assert_eq!(call(&site, "ContactList_Retrieve", asked), None);
    site.clear_rules();
    assert!(call(&site, "ContactList_Retrieve", asked).is_some());
}
