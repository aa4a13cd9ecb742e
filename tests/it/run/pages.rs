//! The pages: what they show, whom they answer, and that a parser of other make reads the metrics.

use super::{second_bridge, setup, with_pages};
use crate::support::{HttpAnswer, Service, eventually, http, metrics_of_other_make};

#[test]
fn the_dashboard_shows_what_status_says_and_no_value_of_a_record() {
    let project = with_pages(setup()).key("schedule: \"0 0 1 1 *\"").build();
    second_bridge(&project);
    let service = Service::start(&project.binary);
    project.line("sync").exits(0);
    let page = service.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    let text = page.text();
    let status = project.line("status").exits(0).stdout;
    for word in status
        .lines()
        .next()
        .expect("headings")
        .split("  ")
        .filter(|word| !word.is_empty())
    {
        assert!(
            text.contains(&format!(">{}<", word.trim())),
            "{word} in {text}"
        );
    }
    for shown in [
        "<td>members</td>",
        "<td>others</td>",
        "<td>20</td>",
        "0 0 1 1 *",
        &format!("process {}", service.pid()),
    ] {
        assert!(text.contains(shown), "no {shown} in {text}");
    }
    for row in project.rows("SELECT email, last_name FROM customers WHERE email IS NOT NULL") {
        assert!(!text.contains(&row[0]), "{} in {text}", row[0]);
    }
    assert!(
        !text.contains("<script") && !text.contains("http://"),
        "{text}"
    );
    assert_eq!(service.get("/style.css").status, 200);
    assert_eq!(service.get("/elsewhere").status, 404);
    assert_eq!(
        (
            service.get("/healthz").status,
            service.get("/healthz").text().as_str()
        ),
        (200, "ok\n")
    );
    assert_eq!(
        (
            service.get("/readyz").status,
            service.get("/readyz").text().as_str()
        ),
        (200, "members: waiting\nothers: waiting\n")
    );
    service.stop();
}

#[test]
fn only_whoever_asks_for_loopback_by_name_is_answered() {
    let project = with_pages(setup()).build();
    let service = Service::start(&project.binary);
    let pages = service.pages.expect("pages");
    let ask = |raw: &str| -> HttpAnswer {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(pages).expect("it listens");
        stream.write_all(raw.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer
            .split(' ')
            .nth(1)
            .expect("a status")
            .parse()
            .expect("a number");
        HttpAnswer {
            status,
            headers: Vec::new(),
            body: answer.into_bytes(),
        }
    };
    for (host, status) in [
        ("Host: localhost\r\n", 200),
        ("Host: 127.0.0.1:1\r\n", 200),
        ("Host: rebound.example.org\r\n", 421),
        ("Host: rebound.example.org:80\r\n", 421),
        ("Host: localhost\r\nHost: rebound.example.org\r\n", 421),
        ("", 421),
    ] {
        for path in ["/", "/metrics", "/readyz", "/healthz"] {
            let answer = ask(&format!(
                "GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
            ));
            assert_eq!(answer.status, status, "{path} {host:?}");
            assert_eq!(
                answer.text().contains("members"),
                status == 200 && path != "/healthz",
                "{path} {host:?}"
            );
        }
    }
    let answer = ask(
        "GET http://rebound.example.org/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.status, 421);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = http(pages, method, "/", &[], b"").expect("an answer");
        assert_eq!(answer.status, 405, "{method}");
    }
    let head = http(pages, "HEAD", "/metrics", &[], b"").expect("an answer");
    assert_eq!((head.status, head.body.len()), (200, 0));
    service.stop();
}

#[test]
fn an_address_that_is_taken_ends_it_with_7_before_anything_is_begun() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!(
        "state\nhttp:\n  listen: {}",
        taken.local_addr().expect("an address")
    );
    let project = setup().state(&listen).key("schedule: every 1s").build();
    project
        .line("run")
        .exits(7)
        .complains("E-LISTEN http.listen");
    assert_eq!(project.crm.log().len(), 0);
}

/// The value of the only sample of this name and these labels.
#[track_caller]
fn value(samples: &serde_json::Value, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: serde_json::Map<_, _> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let found: Vec<_> = samples
        .as_array()
        .expect("samples")
        .iter()
        .filter(|sample| {
            sample["name"] == name && sample["labels"] == serde_json::Value::Object(labels.clone())
        })
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?} in {samples:#}");
    found[0]["value"].as_f64().expect("a number")
}

#[test]
fn a_parser_of_other_make_reads_the_metrics_and_they_say_what_was_done() {
    let project = with_pages(setup()).limit("max_deletes: 0").build();
    let service = Service::start(&project.binary);
    project.line("sync").exits(0);
    project.sql("UPDATE customers SET first_name = 'Locally' WHERE id = 3");
    project.line("sync").exits(0);
    project.sql("DELETE FROM customers WHERE id < 3");
    project.line("sync").exits(4);
    let page = service.get("/metrics");
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let Some(samples) = metrics_of_other_make(&page.text()) else {
        service.stop();
        return;
    };
    let members = ("bridge", "members");
    let of = |name: &str, more: &[(&str, &str)]| {
        let labels: Vec<_> = std::iter::once(members)
            .chain(more.iter().copied())
            .collect();
        value(&samples, name, &labels)
    };
    assert_eq!(
        of(
            "bridge_records_total",
            &[("direction", "pull"), ("op", "created")]
        ),
        20.0
    );
    assert_eq!(
        of(
            "bridge_records_total",
            &[("direction", "push"), ("op", "updated")]
        ),
        1.0
    );
    assert_eq!(of("bridge_runs_total", &[("outcome", "ok")]), 2.0);
    assert_eq!(of("bridge_runs_total", &[("outcome", "stopped")]), 1.0);
    assert_eq!(of("bridge_safety_stops_total", &[("rail", "deletes")]), 1.0);
    assert_eq!(of("bridge_run_duration_seconds_count", &[]), 3.0);
    assert!(of("bridge_remote_calls_total", &[]) >= 3.0);
    assert!(of("bridge_last_success_timestamp_seconds", &[]) > 1.7e9);
    assert!(of("bridge_watermark_lag_seconds", &[]) > 0.0);
    assert_eq!(of("bridge_ready", &[]), 1.0);
    for name in [
        "bridge_review_depth",
        "bridge_quarantine_depth",
        "bridge_conflicts_total",
        "bridge_turns_missed_total",
    ] {
        assert_eq!(of(name, &[]), 0.0, "{name}");
    }
    for row in project.rows("SELECT email FROM customers WHERE email IS NOT NULL") {
        assert!(!page.text().contains(&row[0]));
    }
    eventually("nothing waits", || service.get("/readyz").status == 200);
    service.stop();
}
