//! Each end of the simulated Data Sync before one made by hand: nothing here uses both of ours.

use std::io::{Read, Write};
use std::net::TcpListener;

use contactbridge::simulator::data_sync::{
    Customer, Defect, Layout, Operation, RetailOptions, RetailSystem, Target, ThirdOptions,
    ThirdParty,
};

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

/// Answers so many requests, each on a connection of its own, with a token; what they were.
fn heard(listener: TcpListener, count: usize) -> std::thread::JoinHandle<Vec<String>> {
    const ANSWER: &str = "{\"access_token\":\"t0ken\",\"token_type\":\"Bearer\",\"expires_in\":60}";
    std::thread::spawn(move || {
        let requests = (0..count).map(|_| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut piece = [0; 64 * 1024];
            loop {
                let length = stream.read(&mut piece).unwrap();
                request.push_str(std::str::from_utf8(&piece[..length]).unwrap());
                let whole = request.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.split("content-length: ").nth(1).unwrap();
                    length.lines().next().unwrap().parse() == Ok(body.len())
                });
                if whole {
                    break;
                }
            }
            let length = ANSWER.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{ANSWER}"
            )
            .unwrap();
            request
        });
        requests.collect()
    })
}

#[test]
fn the_retail_system_posts_the_printed_bodies_to_the_letter() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let heard = heard(listener, 2);
    let mut options = RetailOptions {
        target: Some(Target {
            api_url: format!("{base}/datasync?tenant=1"),
            token_url: format!("{base}/oauth2/token"),
            client_id: "demo-client".into(),
            client_secret: "demo-secret".into(),
            ca: None,
        }),
        first_unique_id: 26_764_466,
        ..RetailOptions::default()
    };
    options.habits.form.layout = Layout::Printed;
    let orce = RetailSystem::start(options).unwrap();
    orce.with(|books| books.enable(false));
    let names = ["<FRANCHISEE NAME> ", "<FRANCHISEE NAME>"];
    orce.add_customer(Customer::new("2142"));
    orce.with(|books| books.enable(true));
    orce.update_customer("2142", |customer| {
        customer
            .named("Vzxcv", None, None)
            .franchisee(2, names[0])
            .franchisee(8, names[1])
            .franchisee(6, names[1])
            .franchisee(1, names[1])
    });
    assert!(orce.run_job_blocking().is_success());
    let heard = heard.join().unwrap();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /oauth2/token HTTP/1.1\r\n"));
    assert!(head.contains("\r\nauthorization: Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=\r\n"));
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
    assert_eq!(body, "grant_type=client_credentials");
    let (head, body) = heard[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /datasync?tenant=1 HTTP/1.1\r\n"));
    assert!(head.contains("\r\nauthorization: Bearer t0ken\r\n"));
    assert!(head.contains("\r\ncontent-type: application/json\r\n"));
    assert_eq!(body, CUSTOMER.trim_end());
}
