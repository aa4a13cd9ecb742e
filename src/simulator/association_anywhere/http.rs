//! The service over HTTP: a PL/SQL gateway's paths, parameter and pages, and the faults of the wire
//! (association-anywhere.md §1, §9).
//!
//! Decides nothing about customers.
// The simulator stands for a foreign machine, which takes its own time.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{Method, header};
use axum::response::Response;
use futures::StreamExt;

use crate::simulator::answer::{self, HTML, MAINTENANCE};
use crate::simulator::line::Scissors;

use super::operation::Operation;
use super::read;
use super::service::{Answer, Dress, Request, Service};
use super::switches::{Fault, Label};

/// The name of the one parameter, in any case (§1).
const PARAMETER: &str = "p_input_xml_doc";
/// The largest form that is read: the parameter's 32 KB, percent-encoded, and what else a client may send beside it.
const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;
const NOT_FOUND: &str = "<html><head><title>404 Not Found</title></head><body><p>The requested URL was not found on this server.</body></html>";
const TOO_LONG: &str = "<html><head><title>500 Internal Server Error</title></head><body><p>ORA-06502: PL/SQL: numeric or value error: character string buffer too small</body></html>";

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shared {
    service: Arc<Mutex<Service>>,
}

impl Shared {
    pub(super) fn new(service: Service) -> Self {
        Self {
            service: Arc::new(Mutex::new(service)),
        }
    }

    /// The service, locked. A panic elsewhere does not make its data less true.
    pub(super) fn lock(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `Date` header.
    fn date(&self) -> String {
        self.lock().clock.header()
    }
}

/// Answers one request.
pub(super) async fn handle(
    State(shared): State<Shared>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    http: HttpRequest,
) -> Response {
    let page =
        |status, text: &'static str| answer::answer(status, HTML, Body::from(text), &shared.date());
    let Some(operation) = operation_of(http.uri().path(), &shared) else {
        return page(404, NOT_FOUND);
    };
    let (parts, body) = http.into_parts();
    let form = match parts.method {
        Method::GET => Bytes::from(parts.uri.query().unwrap_or_default().to_owned()),
        Method::POST => {
            let kind = parts.headers.get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                return page(404, NOT_FOUND);
            }
            match axum::body::to_bytes(body, FORM_BYTES_MAX).await {
                Ok(form) => form,
                Err(_) => return page(413, TOO_LONG),
            }
        }
        _ => return page(405, NOT_FOUND),
    };
    // A parameter of another name leads to no procedure with such arguments.
    let Some(text) = read::parameter(&form, PARAMETER) else {
        return page(404, NOT_FOUND);
    };
    if text.len() > shared.lock().options.parameter_bytes_max {
        return page(500, TOO_LONG);
    }
    let root = std::str::from_utf8(&text).ok().and_then(read::document);
    let request = Request {
        operation,
        root,
        text,
    };
    serve(shared, scissors, request).await
}

/// The service that a path means: `/ENVIRONMENT/PACKAGE.PROCEDURE`, in any case.
fn operation_of(path: &str, shared: &Shared) -> Option<Operation> {
    let (environment, segment) = path.strip_prefix('/')?.split_once('/')?;
    let service = shared.lock();
    let operation = Operation::of_segment(segment)?;
    (environment.eq_ignore_ascii_case(&service.options.environment)
        && service.options.queue.offer(operation))
    .then_some(operation)
}

/// Lets the faults befall the request, and does its work unless they keep it from that.
async fn serve(shared: Shared, scissors: Scissors, request: Request) -> Response {
    let (faults, latency) = {
        let mut service = shared.lock();
        service.catch_up();
        (service.arrive(&request), service.options.latency)
    };
    let delays = faults.iter().map(|fault| match fault {
        Fault::Delay(by) => *by,
        _ => Duration::ZERO,
    });
    let wait = delays.fold(latency, Duration::saturating_add);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let Some(early) = faults.iter().find(|fault| befalls_before(fault)) {
        shared.lock().note_undone(&request);
        return instead(&shared, &scissors, request, early);
    }
    let done = shared.lock().work(&request);
    let date = shared.date();
    let kind = content_type(&done);
    for fault in &faults {
        match fault {
            Fault::LoseAnswer => {
                scissors.cut();
                return Response::new(Body::empty());
            }
            Fault::HtmlAfter => {
                return answer::answer(200, HTML, Body::from(MAINTENANCE), &date);
            }
            Fault::EmptyBody => return answer::answer(200, &kind, Body::empty(), &date),
            Fault::Truncate(length) => {
                let status = done.status;
                let bytes = answer::truncated(whole(done), *length);
                return answer::answer(status, &kind, Body::from(bytes), &date);
            }
            Fault::WrongLength => return answer::half(done.status, &kind, whole(done), &date),
            Fault::Oversize(bytes) => return oversize(done, *bytes, &kind, &date),
            _ => {}
        }
    }
    reply(done, &date)
}

/// Whether a fault comes in place of the work.
fn befalls_before(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Delay(_)
            | Fault::LoseAnswer
            | Fault::HtmlAfter
            | Fault::EmptyBody
            | Fault::Truncate(_)
            | Fault::WrongLength
            | Fault::Oversize(_)
    )
}

/// The answer that a fault gives in place of the work.
fn instead(shared: &Shared, scissors: &Scissors, request: Request, fault: &Fault) -> Response {
    let date = shared.date();
    let operation = request.operation;
    match fault {
        Fault::Late(by) => {
            let by = *by;
            shared.lock().postpone(request, by);
            let shared = shared.clone();
            // With a manual clock the work waits for the clock instead; this then finds nothing due.
            tokio::spawn(async move {
                tokio::time::sleep(by).await;
                shared.lock().catch_up();
            });
            scissors.cut();
            Response::new(Body::empty())
        }
        Fault::Unavailable(retry_after) => answer::busy(503, retry_after, &date),
        Fault::TooMany(retry_after) => answer::busy(429, retry_after, &date),
        Fault::Status(status) => {
            let page = format!(
                "<html><head><title>{status}</title></head><body><p>{status}</body></html>"
            );
            answer::answer(*status, HTML, Body::from(page), &date)
        }
        Fault::Html => answer::answer(200, HTML, Body::from(MAINTENANCE), &date),
        Fault::Refused => reply(shared.lock().refusal(operation), &date),
        Fault::Error(text) => reply(shared.lock().error(operation, text), &date),
        Fault::Redirect(to) => answer::redirect(to, &date),
        Fault::Answer {
            status,
            content_type,
            body,
        } => answer::answer(*status, content_type, Body::from(body.clone()), &date),
        // What is left cuts the connection: a lost request, and whatever does not come before the work anyway.
        _ => {
            scissors.cut();
            Response::new(Body::empty())
        }
    }
}

fn content_type(answer: &Answer) -> String {
    match (answer.html, &answer.dress.header) {
        (true, _) => HTML.to_owned(),
        (false, Label::Right) => format!("text/xml; charset={}", answer.dress.charset.name()),
        (false, Label::Missing) => "text/xml".to_owned(),
        (false, Label::Says(name)) => format!("text/xml; charset={name}"),
    }
}

/// An answer's pieces as bytes, the mark before the first.
fn encoded(answer: Answer) -> impl Iterator<Item = Vec<u8>> + Send {
    let Dress { charset, bom, .. } = answer.dress;
    let mark = bom.then(|| b"\xef\xbb\xbf".to_vec());
    mark.into_iter()
        .chain(answer.pieces.map(move |piece| charset.encode(&piece)))
}

fn whole(answer: Answer) -> Vec<u8> {
    encoded(answer).flatten().collect()
}

/// The answer: under its length while it is small, else as a stream.
fn reply(done: Answer, date: &str) -> Response {
    /// Up to here an answer is gathered.
    const GATHERED_BYTES: usize = 256 * 1024;
    let (status, kind) = (done.status, content_type(&done));
    let mut pieces = encoded(done);
    let mut first = Vec::new();
    for piece in pieces.by_ref() {
        first.extend_from_slice(&piece);
        if first.len() > GATHERED_BYTES {
            let all = std::iter::once(first).chain(pieces);
            let stream =
                futures::stream::iter(all.map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
            return answer::answer(status, &kind, Body::from_stream(stream), date);
        }
    }
    answer::answer(status, &kind, Body::from(first), date)
}

/// An answer with so much white space behind it.
fn oversize(done: Answer, bytes: u64, kind: &str, date: &str) -> Response {
    const SPACES: &[u8] = &[b' '; 64 * 1024];
    let status = done.status;
    let full = bytes / SPACES.len() as u64;
    let rest = usize::try_from(bytes % SPACES.len() as u64).unwrap_or(0);
    let padding = (0..full)
        .map(|_| SPACES)
        .chain(std::iter::once(SPACES.get(..rest).unwrap_or_default()));
    let body = futures::stream::iter(encoded(done).map(Bytes::from))
        .chain(futures::stream::iter(padding.map(Bytes::from_static)))
        .map(Ok::<_, std::io::Error>);
    answer::answer(status, kind, Body::from_stream(body), date)
}
