//! The third-party application, asked by hand over real HTTP: nothing here uses a client of ours.

use contactbridge::simulator::data_sync::{Defect, Operation, ThirdOptions, ThirdParty};

use crate::support::{HttpAnswer, http};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");
/// `demo-client:demo-secret`
const BASIC: (&str, &str) = ("Authorization", "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=");
const SAMPLE: &str = include_str!("../../../data/data_sync/sample.json");
const CUSTOMER: &str = include_str!("../../../data/data_sync/customer_mod.json");
const TRANSACTION: &str = include_str!("../../../data/data_sync/transaction_cre.json");

fn third() -> ThirdParty {
    ThirdParty::start(ThirdOptions {
        client_id: "demo-client".into(),
        client_secret: "demo-secret".into(),
        ..ThirdOptions::default()
    })
    .unwrap()
}

fn ask(third: &ThirdParty, path: &str, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
    http(third.address(), "POST", path, headers, body.as_bytes()).unwrap()
}

fn token(third: &ThirdParty) -> String {
    let answer = ask(
        third,
        "/oauth2/v1/token",
        &[FORM, BASIC],
        "grant_type=client_credentials",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&json["token_type"], &json["expires_in"]),
        (&"Bearer".into(), &3600.into())
    );
    format!("Bearer {}", json["access_token"].as_str().unwrap())
}

#[test]
fn the_printed_bodies_are_taken_with_a_token() {
    let third = third();
    let bearer = token(&third);
    for body in [SAMPLE, CUSTOMER, TRANSACTION] {
        let answer = ask(
            &third,
            "/datasync",
            &[JSON, ("Authorization", &bearer)],
            body,
        );
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "{\"status\":\"OK\"}")
        );
    }
    let accepted = third.accepted();
    let about: Vec<_> = accepted.iter().map(|one| one.about.as_deref()).collect();
    assert_eq!(
        about,
        [None, Some("2142"), Some("99901000022017110710000100")]
    );
    assert_eq!(accepted[1].message.unique_id, "26764466");
    let transaction = &third.transactions()["99901000022017110710000100"];
    // Digits as they came.
    assert!(transaction.to_string().contains("\"subtotal\":1325.00,"));
    assert_eq!(third.defects(), []);
}

#[test]
fn what_is_not_as_documented_is_refused_with_its_status() {
    let third = third();
    let bearer = token(&third);
    let good = ("Authorization", bearer.as_str());
    let refuse = |path: &str, headers: &[(&str, &str)], body: &str, status| {
        let answer = ask(&third, path, headers, body);
        assert_eq!(answer.status, status, "{path} {headers:?}");
        answer
    };
    refuse("/elsewhere", &[JSON, good], CUSTOMER, 404);
    let without = refuse("/datasync", &[JSON], CUSTOMER, 401);
    assert_eq!(
        without.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    refuse(
        "/datasync",
        &[JSON, ("Authorization", "Bearer x")],
        CUSTOMER,
        401,
    );
    refuse("/datasync", &[JSON, BASIC], CUSTOMER, 401);
    refuse("/datasync", &[good], CUSTOMER, 415);
    refuse("/datasync", &[JSON, good], "{\"messages\":{}}", 400);
    let put = http(
        third.address(),
        "PUT",
        "/datasync",
        &[JSON, good],
        CUSTOMER.as_bytes(),
    );
    assert_eq!(put.unwrap().status, 405);
    let charset = ("Content-Type", "application/json; charset=UTF-8");
    assert_eq!(
        ask(&third, "/datasync", &[charset, good], CUSTOMER).status,
        200
    );
    assert_eq!(third.accepted().len(), 1);
    let defects: Vec<Defect> = third
        .defects()
        .into_iter()
        .map(|(defect, _)| defect)
        .collect();
    assert_eq!(
        defects,
        [Defect::ContentType, Defect::Envelope, Defect::Method]
    );
    let wrong = "Basic ZGVtby1jbGllbnQ6ZGVtbw==";
    for (headers, body, status) in [
        (
            vec![FORM, ("Authorization", wrong)],
            "grant_type=client_credentials",
            401,
        ),
        (vec![FORM, BASIC], "grant_type=password", 400),
        (vec![BASIC], "grant_type=client_credentials", 400),
    ] {
        refuse("/oauth2/v1/token", &headers, body, status);
    }
    assert_eq!(third.count(Operation::Token), 4);
}

#[test]
fn a_cut_connection_ends_before_or_after_the_message_is_kept() {
    let third = third();
    let bearer = token(&third);
    let headers = [JSON, ("Authorization", bearer.as_str())];
    for (fault, count) in [("lose-request=#1", 0), ("lose-answer=#1", 1)] {
        third.switch(fault).unwrap();
        let answer = http(
            third.address(),
            "POST",
            "/datasync",
            &headers,
            CUSTOMER.as_bytes(),
        );
        assert_eq!(answer, None, "{fault}");
        assert_eq!(third.accepted().len(), count, "{fault}");
        third.clear_rules();
    }
    third.switch("redirect=/elsewhere").unwrap();
    let answer = ask(&third, "/datasync", &headers, CUSTOMER);
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/elsewhere"))
    );
    let statuses: Vec<Option<u16>> = third.attempts().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(200), None, None, Some(302)]);
}
