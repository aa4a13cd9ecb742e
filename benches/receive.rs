//! How many messages a second the Data Sync receiver takes into custody, and how long a sender waits for its 200.
//!
//! Many connections post the seed's customer one after the other, over loopback; each message is sealed and committed to the real
//! store before it is answered, as a run does it. `cargo bench --bench receive [-- sled|sqlite] [1|16|64]`;
//! RECEIVE_BENCH_MESSAGES changes how many are posted.
//!
//! `-- run` posts to `contactbridge run` as a process instead, from 50 connections, each message of another customer, while passes
//! apply them; then kills it with SIGKILL and lets `sync` apply the rest: every 200 must be a row.
//! CONTACTBRIDGE_BENCH_PROGRAM names another build of the program.

// A bench measures with the machine's own clock.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contactbridge::cli::RealWorld;
use contactbridge::config::{Callers, Limits, Order, ReceiveSettings, Secret};
use contactbridge::model::{Vault, World};
use contactbridge::remote::data_sync::receive::{
    Group, GroupLimits, ReceiveLimits, Receiver, TokenKey,
};
use contactbridge::state::{self, Batch, StateLimits, StateLocation, StateStore, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = include_str!("../tests/data/data_sync/customer_mod.json");

fn main() {
    let messages: usize = std::env::var("RECEIVE_BENCH_MESSAGES")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(20_000);
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!(
        "{messages} messages of {} bytes, each durable before its 200",
        BODY.len()
    );
    println!(
        "{:<8} {:>11} {:>12} {:>8} {:>8} {:>8} {:>17}",
        "store", "connections", "messages/s", "p50, ms", "p99, ms", "max, ms", "messages a commit"
    );
    if wanted.iter().any(|word| word == "run") {
        for engine in ["sled", "sqlite"] {
            if wanted.len() == 1 || wanted.iter().any(|word| word == engine) {
                through_run(engine, messages);
            }
        }
        return;
    }
    for engine in ["sled", "sqlite"] {
        for connections in [1, 16, 64] {
            let names = [engine, &connections.to_string()];
            if wanted.iter().all(|word| names.contains(&word.as_str())) {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .expect("a runtime");
                // One connection waits for every sync of the disk alone; fewer messages say as much.
                let messages = if connections == 1 {
                    messages / 10
                } else {
                    messages
                };
                runtime.block_on(measure(engine, connections, messages));
            }
        }
    }
}

async fn measure(engine: &str, connections: usize, messages: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let location = match engine {
        "sled" => StateLocation::Sled(directory.path().into()),
        _ => StateLocation::Sqlite(directory.path().into()),
    };
    let world = RealWorld::new();
    let vault = Vault::new(&[7; 32]);
    let limits = StateLimits::default();
    let (store, _) = state::open(
        &location,
        "partner",
        vault.fingerprint(),
        &limits,
        World::now(&world),
    )
    .await
    .expect("a store");

    let settings = ReceiveSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        path: "/datasync".to_owned(),
        token_path: "/token".to_owned(),
        callers: Callers::Clients(vec![("bench".to_owned(), Secret::new("secret"))]),
        tls: None,
        order: Order::Arrival,
    };
    let limits = Limits {
        connections: 256,
        connections_per_peer: 256,
        ..Limits::default()
    };
    let (group, gathered) = Group::new(GroupLimits::default());
    let receiver = Receiver::bind(
        &settings,
        ReceiveLimits::from_settings(&limits),
        TokenKey::of(&Vault::new(&[7; 32])),
        Arc::new(group),
        Arc::new(world.clone()),
    )
    .await
    .expect("a receiver");
    let address = receiver.address().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();

    let (number, commits) = (Cell::new(0u64), Cell::new(0u64));
    let keeping = gathered.run(|messages| {
        commits.set(commits.get() + 1);
        let mut batch = Batch::new();
        for message in messages {
            let key = number.get().to_be_bytes();
            number.set(number.get() + 1);
            let mut nonce = [0; 24];
            World::random(&world, &mut nonce);
            batch.put(
                Table::Inbox,
                key,
                vault.seal(nonce, &key, &message.to_bytes()),
            );
        }
        store.commit(batch)
    });
    let serving = tokio::spawn(receiver.serve(async {
        let _ = stopped.await;
    }));
    let posting = async {
        let token = token(address).await;
        let begun = Instant::now();
        let senders: Vec<_> = (0..connections)
            .map(|at| {
                let share = messages / connections + usize::from(at < messages % connections);
                tokio::spawn(post(address, token.clone(), at, share, "2142".to_owned()))
            })
            .collect();
        let mut waits = Vec::with_capacity(messages);
        for sender in senders {
            waits.extend(sender.await.expect("a sender"));
        }
        let took = begun.elapsed();
        stop.send(()).expect("it still serves");
        serving.await.expect("it ends");
        (waits, took)
    };
    let ((mut waits, took), ()) = futures::join!(posting, keeping);

    waits.sort();
    let kept = store
        .range(Table::Inbox, None, messages + 1)
        .await
        .expect("a range");
    assert_eq!(kept.len(), messages, "every 200 is in the store");
    let part = |share: usize| {
        waits[(waits.len() * share / 1_000).min(waits.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "{engine:<8} {connections:>11} {:>12.0} {:>8.2} {:>8.2} {:>8.2} {:>17.1}",
        messages as f64 / took.as_secs_f64(),
        part(500),
        part(990),
        part(1_000),
        messages as f64 / commits.get() as f64,
    );
    store.close().expect("a close");
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.expect("a request goes out");
    let mut answer = Vec::with_capacity(1024);
    loop {
        stream.read_buf(&mut answer).await.expect("an answer");
        let text = std::str::from_utf8(&answer).expect("text");
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 200"),
            "{text}"
        );
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return body.to_owned();
            }
        }
    }
}

async fn token(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let form = "grant_type=client_credentials&client_id=bench&client_secret=secret";
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = exchange(&mut stream, request.as_bytes()).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

/// Posts `count` messages with ids of their own over one connection; how long each waited for its 200.
async fn post(
    address: SocketAddr,
    token: String,
    sender: usize,
    count: usize,
    customer: String,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut waits = Vec::with_capacity(count);
    for number in 0..count {
        let id = sender * 10_000_000 + number;
        let body = BODY
            .replace("26764466", &id.to_string())
            .replace("2142", &customer.replace("ID", &id.to_string()));
        let request = format!(
            "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let begun = Instant::now();
        exchange(&mut stream, request.as_bytes()).await;
        waits.push(begun.elapsed());
    }
    waits
}

const CONNECTIONS: usize = 50;

fn through_run(engine: &str, messages: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = std::env::var_os("CONTACTBRIDGE_BENCH_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_contactbridge").into());
    let command = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(words)
            .current_dir(directory.path())
            .env("BENCH_SECRET", "secret")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let done = |words: &[&str]| {
        let status = command(words).status().expect("the program starts");
        assert!(status.success(), "{words:?}");
    };
    done(&["init", "--kind", "data-sync"]);
    let state = if engine == "sled" {
        "state"
    } else {
        "sqlite:state"
    };
    let config = format!(
        "state: {state}\nbridges:\n  shop:\n    remote:\n      kind: data-sync\n      receive:\n        listen: 127.0.0.1:0\n        \
         token_path: /token\n        clients: {{ bench: \"${{BENCH_SECRET}}\" }}\n    database: sqlite:customers.db\n    \
         mapping: {{ customer: mappings/orce-customer.yaml }}\n    limits:\n      free_disk: 0\n      connections_per_peer: 64\n"
    );
    std::fs::write(directory.path().join("bridge.yaml"), config).expect("a file");
    let mut run = command(&["run"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = std::io::BufReader::new(run.stderr.take().expect("a pipe")).lines();
    let mut until = |sign: &str| -> String {
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains(sign)));
        line.expect("it says so")
    };
    let line = until("messages are taken at ");
    let address: SocketAddr = line
        .split_once("taken at ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|address| address.parse().ok())
        .expect("an address");
    until("keeps its bridges");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (mut waits, took) = runtime.block_on(async {
        let token = token(address).await;
        let begun = Instant::now();
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|at| {
                let share = messages / CONNECTIONS;
                tokio::spawn(post(address, token.clone(), at, share, "ID".to_owned()))
            })
            .collect();
        let mut waits = Vec::with_capacity(messages);
        for sender in senders {
            waits.extend(sender.await.expect("a sender"));
        }
        (waits, begun.elapsed())
    });
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    let applied = rows(directory.path());
    let begun = Instant::now();
    done(&["sync", "-q"]);
    assert_eq!(rows(directory.path()), waits.len(), "every 200 is a row");
    waits.sort();
    let part = |share: usize| {
        waits[(waits.len() * share / 1_000).min(waits.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "run, {engine}: {CONNECTIONS} connections, {:.0} messages/s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; {applied} rows at the kill, \
         the other {} after a sync of {:.1} s",
        waits.len() as f64 / took.as_secs_f64(),
        part(500),
        part(990),
        part(1_000),
        waits.len() - applied,
        begun.elapsed().as_secs_f64(),
    );
}

/// The customers in the database.
fn rows(directory: &Path) -> usize {
    let database = rusqlite::Connection::open(directory.join("customers.db")).expect("it is there");
    let count = database.query_row("SELECT count(*) FROM customers", [], |row| row.get(0));
    // The tables are made by the first pass.
    count.map_or(0, |count: i64| count.unsigned_abs() as usize)
}
