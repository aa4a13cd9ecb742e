//! Posts from several connections while `run` is killed again and again: what was answered with 200 is in the database after `sync`
//! (hazard H-55).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::super::customer;
use super::*;
use crate::support::http;

/// Customers of each poster.
const CUSTOMERS: u64 = 15;

/// Posts as the vendor's job does: one message after the other, the same again until it is answered with 200.
struct Poster {
    number: u64,
    next: u64,
    /// What is the last name of each of its customers, by the last 200.
    names: BTreeMap<String, String>,
}

impl Poster {
    fn new(number: u64) -> Self {
        Self {
            number,
            next: 0,
            names: BTreeMap::new(),
        }
    }

    /// Posts at most so many messages over one connection; ends early when the other end is gone.
    fn post(&mut self, to: SocketAddr, token: &str, count: u64, mut accepted: impl FnMut()) {
        let Ok(stream) = TcpStream::connect(to) else {
            return;
        };
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a time-out");
        stream.set_nodelay(true).expect("an option");
        let mut reader = BufReader::new(stream);
        for _ in 0..count {
            let id = format!("{}-{}", self.number, self.next % CUSTOMERS);
            let name = format!("N{}", self.next);
            let unique_id = self.number * 1_000_000 + self.next;
            let body = json!({ "messages": [{
                "type": "CUSTOMER", "action": "CUSTOMERMOD", "uniqueId": unique_id.to_string(),
                "payload": customer(&id, &name).to_string(),
            }]})
            .to_string();
            match exchange(&mut reader, token, &body) {
                Some(200) => {
                    self.names.insert(id, name);
                    self.next += 1;
                    accepted();
                }
                Some(status) => panic!("answered with {status}"),
                None => return,
            }
        }
    }
}

fn exchange(reader: &mut BufReader<TcpStream>, token: &str, body: &str) -> Option<u16> {
    let request = format!(
        "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    reader.get_mut().write_all(request.as_bytes()).ok()?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    // The whole answer, so that the next one begins where it ends; the status came already.
    let mut rest = vec![0; length];
    let _ = reader.read_exact(&mut rest);
    head.split(' ').nth(1)?.parse().ok()
}

pub fn token(to: SocketAddr, secret: &str) -> Option<String> {
    let form = format!("grant_type=client_credentials&client_id=orce&client_secret={secret}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = http(to, "POST", "/oauth2/token", &headers, form.as_bytes()).expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    Some(answer["access_token"].as_str()?.to_owned())
}

/// Fails unless each customer has the name of its last 200 (or of a later message, whose 200 was lost).
#[track_caller]
fn assert_nothing_is_lost(shop: &Shop, posters: &[Poster]) {
    let rows: BTreeMap<String, String> = shop.names().into_iter().collect();
    let number = |name: &str| -> u64 { name[1..].parse().expect("a number") };
    for poster in posters {
        for (id, name) in &poster.names {
            let found = rows.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            assert!(number(found) >= number(name), "{id}: {found}, not {name}");
        }
    }
}

fn storm(state: &str, kills: u64, seed: u64) {
    let shop = Shop::receiving();
    shop.edit("bridge.yaml", "state: state", &format!("state: {state}"));
    // Every customer changes between two passes, again and again.
    limit(&shop, "max_changes: 100%");
    let mut dice = Dice(seed);
    let mut posters: Vec<Poster> = (1..=4).map(Poster::new).collect();
    for round in 0..=kills {
        let running = Running::start(&shop);
        // What was answered before the kill.
        shop.sync(0);
        assert_nothing_is_lost(&shop, &posters);
        let (to, token) = (
            running.address,
            token(running.address, "secret").expect("a token"),
        );
        if round == kills {
            for poster in &mut posters {
                poster.post(to, &token, 2 * CUSTOMERS, || {});
            }
            break;
        }
        let (until, accepted) = (1 + dice.below(150), AtomicU64::new(0));
        let (now, kill) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for poster in &mut posters {
                let (now, accepted, token) = (now.clone(), &accepted, &token);
                scope.spawn(move || {
                    poster.post(to, token, u64::MAX, || {
                        if accepted.fetch_add(1, Ordering::SeqCst) + 1 == until {
                            now.send(()).expect("somebody waits");
                        }
                    });
                });
            }
            kill.recv().expect("so many are answered");
            running.kill();
        });
    }
    shop.sync(0);
    let rows: BTreeMap<String, String> = shop.names().into_iter().collect();
    let names: BTreeMap<String, String> = posters
        .iter()
        .flat_map(|poster| poster.names.clone())
        .collect();
    assert_eq!(rows, names);
    let posted: u64 = posters.iter().map(|poster| poster.next).sum();
    println!("{posted} messages were answered with 200, {kills} kills");
}

#[test]
fn h55_a_kill_loses_nothing_that_was_answered() {
    storm("state", 6, 1);
}

#[test]
fn h55_a_kill_loses_nothing_that_was_answered_in_sqlite() {
    storm("sqlite:state", 6, 2);
}

#[test]
#[ignore = "torture: a hundred kills"]
fn h55_a_hundred_kills_lose_nothing() {
    storm("state", 50, 3);
    storm("sqlite:state", 50, 4);
}
