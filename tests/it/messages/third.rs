//! A third-party application on loopback: it gives out tokens, keeps what is posted, and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A message as it was posted.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    pub action: String,
    pub kind: String,
    pub unique_id: String,
    pub payload: String,
    /// What it was answered with.
    pub status: u16,
}

#[derive(Default)]
struct Shared {
    posted: Vec<Posted>,
    /// Answers to the next messages; 0: none at all. 200 when there are no more.
    answers: VecDeque<u16>,
    tokens: u32,
}

pub struct Third {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Third {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&ours);
                std::thread::spawn(move || while answer(&stream, &shared).is_some() {});
            }
        });
        Self { url, shared }
    }

    /// The lines of `send:`.
    pub fn settings(&self) -> String {
        let url = &self.url;
        format!(
            "      send:\n        api_url: {url}/datasync\n        token_url: {url}/token\n        client_id: bridge\n        \
             client_secret: ${{SEND_SECRET}}\n        batch: 10\n"
        )
    }

    /// Answers the next messages with these; 0 gives no answer.
    pub fn answers(&self, statuses: &[u16]) {
        self.shared.lock().expect("no panic").answers = statuses.iter().copied().collect();
    }

    /// What was posted since the last call.
    pub fn posted(&self) -> Vec<Posted> {
        std::mem::take(&mut self.shared.lock().expect("no panic").posted)
    }

    pub fn tokens(&self) -> u32 {
        self.shared.lock().expect("no panic").tokens
    }
}

fn answer(mut stream: &TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length: usize = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))?
        .trim()
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut shared = shared.lock().expect("no panic");
    let (status, text) = if head.starts_with("POST /token ") {
        shared.tokens += 1;
        let token = r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#;
        (200, token)
    } else if !lower.contains("authorization: bearer t\r\n")
        || !lower.contains("content-type: application/json")
    {
        (401, "")
    } else {
        let status = shared.answers.pop_front().unwrap_or(200);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let messages = body["messages"].as_array().expect("messages");
        assert_eq!(messages.len(), 1, "one message a POST");
        let field = |name: &str| messages[0][name].as_str().expect("a text").to_owned();
        let posted = Posted {
            action: field("action"),
            kind: field("type"),
            unique_id: field("uniqueId"),
            payload: field("payload"),
            status,
        };
        shared.posted.push(posted);
        (status, "")
    };
    if status == 0 {
        return None;
    }
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .ok()
}
