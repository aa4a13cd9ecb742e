//! The application over HTTP: two paths, a bearer's token, and the faults of the wire (orce.md §3, §8).
//!
//! Decides nothing about messages.
// The simulator stands for a foreign machine, which takes its own time.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, header};
use axum::response::Response;

use crate::simulator::answer::{self, HTML, MAINTENANCE};
use crate::simulator::data_sync::message::Message;
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::line::Scissors;

use super::check::{self, Defect};
use super::options::Fault;
use super::service::{Attempt, Service};

const JSON: &str = "application/json";
/// The largest form that is read.
const FORM_BYTES_MAX: usize = 64 * 1024;
const DONE: &str = "{\"status\":\"OK\"}";
/// No text in UTF-8, and no JSON.
const GARBAGE: &[u8] = b"\xff\xfe{\"status\":\x00\xc3(";

/// What every connection shares.
#[derive(Clone)]
pub(in crate::simulator::data_sync) struct Shared {
    service: Arc<Mutex<Service>>,
}

impl Shared {
    pub(super) fn new(service: Service) -> Self {
        Self {
            service: Arc::new(Mutex::new(service)),
        }
    }

    /// The service, locked. A panic elsewhere does not make its data less true.
    pub(in crate::simulator::data_sync) fn lock(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be answered: a status, and what goes with it.
struct Reply {
    status: u16,
    body: String,
    header: Option<(HeaderName, &'static str)>,
    /// Of whom, for the log.
    unique_id: Option<String>,
    is_kept: bool,
}

impl Reply {
    fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            header: None,
            unique_id: None,
            is_kept: false,
        }
    }

    fn invalid_token() -> Self {
        Self {
            header: Some((header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")),
            ..Self::new(401, "{\"error\":\"invalid_token\"}")
        }
    }
}

/// A request that is being served: two at a time are counted.
struct UnderWay(Shared);

impl UnderWay {
    fn begin(shared: &Shared) -> Self {
        let mut service = shared.lock();
        service.under_way += 1;
        if service.under_way > 1 {
            service.overlap_count += 1;
        }
        drop(service);
        Self(shared.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

/// Answers one request.
pub(super) async fn handle(
    State(shared): State<Shared>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (is_message, is_token) = {
        let options = &shared.lock().options;
        let path = parts.uri.path();
        (path == options.path, path == options.token_path)
    };
    let date = shared.lock().clock.header();
    if is_message {
        let _under_way = UnderWay::begin(&shared);
        message(&shared, &scissors, &parts, body, &date).await
    } else if is_token {
        token(&shared, &scissors, &parts, body, &date).await
    } else {
        answer::answer(404, JSON, Body::from("{\"error\":\"not_found\"}"), &date)
    }
}

async fn token(
    shared: &Shared,
    scissors: &Scissors,
    parts: &Parts,
    body: Body,
    date: &str,
) -> Response {
    let form = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
    let faults = {
        let text = form.as_deref().unwrap_or_default();
        shared.lock().draw(&[Operation::Token], text)
    };
    wait(&faults).await;
    if let Some(early) = faults.iter().find(|fault| befalls_before(fault)) {
        let response = instead(early, scissors, date);
        return log(shared, Operation::Token, None, response, false);
    }
    let reply = match form {
        _ if parts.method != Method::POST => Reply::new(405, ""),
        Err(_) => Reply::new(413, ""),
        Ok(_) if !has_type(parts, "application/x-www-form-urlencoded") => {
            Reply::new(400, "{\"error\":\"invalid_request\"}")
        }
        Ok(form) => {
            let basic = authorization(parts, "basic");
            let (status, body) = shared.lock().token(basic, &form);
            Reply {
                header: Some((header::CACHE_CONTROL, "no-store")),
                ..Reply::new(status, body)
            }
        }
    };
    finish(shared, Operation::Token, reply, &faults, scissors, date)
}

async fn message(
    shared: &Shared,
    scissors: &Scissors,
    parts: &Parts,
    body: Body,
    date: &str,
) -> Response {
    let bytes_max = shared.lock().options.body_bytes_max;
    let body = axum::body::to_bytes(body, bytes_max).await.ok();
    let (message, mut defects) = match &body {
        Some(bytes) => check::read(bytes),
        None => (None, vec![Defect::Body]),
    };
    let unique_id = message.as_ref().map(|message| message.unique_id.clone());
    let sorts = match &message {
        Some(message) => Operation::sorts(message),
        None => vec![Operation::Message],
    };
    let faults = shared
        .lock()
        .draw(&sorts, body.as_deref().unwrap_or_default());
    wait(&faults).await;
    if let Some(early) = faults.iter().find(|fault| befalls_before(fault)) {
        if *early == Fault::Expire
            && let Some(token) = authorization(parts, "bearer")
        {
            shared.lock().expire(token);
        }
        let response = instead(early, scissors, date);
        return log(shared, Operation::Message, unique_id, response, false);
    }
    let mut reply = if parts.method != Method::POST {
        defects = vec![Defect::Method];
        Reply::new(405, "")
    } else if !authorization(parts, "bearer").is_some_and(|token| shared.lock().admits(token)) {
        defects.clear();
        Reply::invalid_token()
    } else {
        if !has_type(parts, JSON) {
            defects.push(Defect::ContentType);
        }
        judge(shared, message, &defects)
    };
    let mut service = shared.lock();
    for defect in defects {
        service.defects.push((defect, unique_id.clone()));
    }
    drop(service);
    reply.unique_id = unique_id;
    finish(shared, Operation::Message, reply, &faults, scissors, date)
}

/// Takes a message of the right form, or of any form where that is the habit.
fn judge(shared: &Shared, message: Option<Message>, defects: &[Defect]) -> Reply {
    let mut service = shared.lock();
    match message {
        Some(message) if defects.is_empty() || service.habits.lenient => {
            service.accept(message);
            Reply {
                is_kept: true,
                ..Reply::new(200, DONE)
            }
        }
        _ => {
            let status = match defects.first() {
                Some(Defect::Body) => 413,
                Some(Defect::ContentType) => 415,
                _ => 400,
            };
            let names: Vec<String> = defects.iter().map(ToString::to_string).collect();
            Reply::new(status, format!("{{\"error\":\"{}\"}}", names.join(" ")))
        }
    }
}

async fn wait(faults: &[Fault]) {
    let delays = faults.iter().map(|fault| match fault {
        Fault::Delay(by) => *by,
        _ => Duration::ZERO,
    });
    let wait = delays.fold(Duration::ZERO, Duration::saturating_add);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Whether a fault comes in place of the work.
fn befalls_before(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Delay(_)
            | Fault::StatusAfter(_)
            | Fault::LoseAnswer
            | Fault::Garbage
            | Fault::WrongLength
            | Fault::Oversize(_)
    )
}

/// The answer that a fault gives in place of the work; nothing when the connection is cut.
fn instead(fault: &Fault, scissors: &Scissors, date: &str) -> Option<Response> {
    Some(match fault {
        Fault::Status(401) | Fault::Expire => plain(&Reply::invalid_token(), date),
        Fault::Status(status) => answer::answer(*status, HTML, Body::from(MAINTENANCE), date),
        Fault::Html => answer::answer(200, HTML, Body::from(MAINTENANCE), date),
        Fault::Unavailable(retry_after) => answer::busy(503, retry_after, date),
        Fault::Redirect(to) => {
            let mut response = answer::answer(302, HTML, Body::empty(), date);
            if let Ok(value) = to.parse() {
                response.headers_mut().insert(header::LOCATION, value);
            }
            response
        }
        // What is left cuts the connection: a lost request, and whatever does not come before the work anyway.
        _ => {
            scissors.cut();
            return None;
        }
    })
}

fn plain(reply: &Reply, date: &str) -> Response {
    let body = Body::from(reply.body.clone());
    let mut response = answer::answer(reply.status, JSON, body, date);
    if let Some((name, value)) = &reply.header
        && let Ok(value) = value.parse()
    {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Lets the faults befall the answer, and notes how it went.
fn finish(
    shared: &Shared,
    operation: Operation,
    reply: Reply,
    faults: &[Fault],
    scissors: &Scissors,
    date: &str,
) -> Response {
    let mut response = Some(plain(&reply, date));
    for fault in faults {
        match fault {
            Fault::StatusAfter(status) => {
                response = Some(answer::answer(*status, JSON, Body::from(DONE), date));
            }
            Fault::Garbage => {
                response = Some(answer::answer(
                    reply.status,
                    JSON,
                    Body::from(GARBAGE),
                    date,
                ));
            }
            Fault::WrongLength => {
                let body = reply.body.clone().into_bytes();
                response = Some(answer::half(reply.status, JSON, body, date));
            }
            Fault::Oversize(bytes) => {
                let body = format!("{}{}", reply.body, " ".repeat(*bytes));
                response = Some(answer::answer(reply.status, JSON, Body::from(body), date));
            }
            Fault::LoseAnswer => {
                scissors.cut();
                response = None;
            }
            _ => {}
        }
    }
    log(shared, operation, reply.unique_id, response, reply.is_kept)
}

fn log(
    shared: &Shared,
    operation: Operation,
    unique_id: Option<String>,
    response: Option<Response>,
    is_kept: bool,
) -> Response {
    shared.lock().note(Attempt {
        operation,
        unique_id,
        status: response.as_ref().map(|response| response.status().as_u16()),
        is_kept,
    });
    response.unwrap_or_else(|| Response::new(Body::from(Bytes::new())))
}

/// What stands behind this scheme in the Authorization header.
fn authorization<'a>(parts: &'a Parts, scheme: &str) -> Option<&'a str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (have, rest) = value.split_once(' ')?;
    have.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

/// Whether the Content-Type is this one, with or without parameters.
fn has_type(parts: &Parts, wanted: &str) -> bool {
    let value = parts.headers.get(header::CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().eq_ignore_ascii_case(wanted)
}
