//! The service over HTTP: paths, content types, SOAPAction, `?WSDL`, and the faults of the wire.
//!
//! Decides nothing about contacts.
// The simulator stands for a foreign machine, which takes its own time.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;

use crate::simulator::answer::{self, HTML, MAINTENANCE};
use crate::simulator::line::Scissors;

use super::operation::Operation;
use super::read::{self, Unreadable};
use super::service::{Answer, Request, Service, response_named};
use super::switches::Fault;
use super::write::{Blame, NAMESPACE, Soap, boolean, number};

/// Where the service answers; the case does not matter, as on IIS (contactlist.md §1).
pub(super) const PATH: &str = "/CatalystWebService/CatalystCRMWebservice.asmx";

/// The service description that the bridge is checked against, with a place for the real address.
const WSDL: &str = include_str!("../../../wsdl/contactlist/catalystcrm.wsdl");
/// The address that the description names.
const WSDL_ADDRESS: &str = "http://localhost/CatalystWebService/CatalystCRMWebservice.asmx";

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shared {
    service: Arc<Mutex<Service>>,
    pub(super) url: Arc<str>,
}

impl Shared {
    pub(super) fn new(service: Service, url: String) -> Self {
        Self {
            service: Arc::new(Mutex::new(service)),
            url: url.into(),
        }
    }

    /// The service, locked. A panic elsewhere does not make its data less true.
    pub(super) fn lock(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `Date` header: the service's own time, right or wrong.
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
    if !http.uri().path().eq_ignore_ascii_case(PATH) {
        return reply(
            &shared,
            404,
            HTML,
            Body::from("<html><body>Not found</body></html>"),
        );
    }
    match *http.method() {
        Method::POST => post(shared, scissors, http).await,
        Method::GET
            if http
                .uri()
                .query()
                .is_some_and(|query| query.eq_ignore_ascii_case("wsdl")) =>
        {
            let text = WSDL.replace(WSDL_ADDRESS, &shared.url);
            reply(&shared, 200, "text/xml; charset=utf-8", Body::from(text))
        }
        Method::GET => {
            let page = "<html><body><h1>CatalystCRMWebservice</h1><a href=\"?WSDL\">Service Description</a></body></html>";
            reply(&shared, 200, HTML, Body::from(page))
        }
        _ => reply(&shared, 405, HTML, Body::empty()),
    }
}

/// The SOAP version that the content type stands for.
fn soap_of(headers: &HeaderMap) -> Option<Soap> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match value
        .split(';')
        .next()?
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "text/xml" => Some(Soap::V11),
        "application/soap+xml" => Some(Soap::V12),
        _ => None,
    }
}

/// The action that the request names, unquoted: a header in 1.1, a parameter of the content type in 1.2.
fn action_of(headers: &HeaderMap, soap: Soap) -> Option<String> {
    let text = match soap {
        Soap::V11 => headers.get("SOAPAction")?.to_str().ok()?,
        Soap::V12 => {
            let parameters = headers
                .get(header::CONTENT_TYPE)?
                .to_str()
                .ok()?
                .split(';')
                .skip(1);
            parameters
                .filter_map(|parameter| parameter.trim().split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("action"))?
                .1
        }
    };
    Some(text.trim().trim_matches('"').to_owned())
}

/// The operation that an action means.
fn operation_of(action: &str) -> Option<Operation> {
    action
        .strip_prefix(NAMESPACE)?
        .strip_prefix('/')?
        .parse()
        .ok()
}

async fn post(shared: Shared, scissors: Scissors, http: HttpRequest) -> Response {
    let (parts, body) = http.into_parts();
    let soap = soap_of(&parts.headers).filter(|soap| shared.lock().options.soap.allow(*soap));
    let Some(soap) = soap else {
        return reply(&shared, 415, HTML, Body::empty());
    };
    let limit = shared.lock().options.request_bytes_max;
    let fail = |blame, sentence: &str, place: &str| {
        let answer = shared.lock().fault(soap, blame, sentence, place);
        soap_reply(&shared, soap, answer)
    };
    let Ok(bytes) = axum::body::to_bytes(body, limit).await else {
        let sentence = "There was an exception running the extensions specified in the config file. ---> Maximum request length exceeded.";
        return fail(Blame::Service, sentence, "ReadParameters");
    };
    let Ok(text) = String::from_utf8(bytes.into()) else {
        return reply(&shared, 400, soap.content_type(), Body::empty());
    };
    let element = match read::operation(&text, soap) {
        Ok(element) => element,
        Err(Unreadable::NotXml) => return reply(&shared, 400, soap.content_type(), Body::empty()),
        Err(Unreadable::Version) => {
            let sentence = "Possible SOAP version mismatch: Envelope namespace was unexpected.";
            return fail(Blame::Version, sentence, "RouteRequest");
        }
        Err(Unreadable::NoOperation) => {
            let sentence = "Unable to handle request without a valid action parameter. Please supply a valid soap action.";
            return fail(Blame::Caller, sentence, "RouteRequest");
        }
    };
    // 1.1 is routed by the SOAPAction, 1.2 by it where it is there, else by the element (contactlist.md §1).
    let operation = match action_of(&parts.headers, soap) {
        Some(action) => operation_of(&action),
        None if soap == Soap::V12 => element.name.parse().ok(),
        None => None,
    };
    let Some(operation) = operation.filter(|operation| operation.name() == element.name) else {
        // The recorded stack leaves the placeholders of its message unfilled.
        let sentence = "Server did not recognize the value of HTTP Header {0}: {1}.";
        return fail(Blame::Caller, sentence, "RouteRequest");
    };
    serve(
        shared,
        scissors,
        Request {
            soap,
            operation,
            element,
            text,
        },
    )
    .await
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
    let soap = request.soap;
    let (answer, bare) = {
        let mut service = shared.lock();
        let answer = service.work(&request);
        (
            answer,
            faults
                .contains(&Fault::FaultAfter)
                .then(|| service.bare_fault(&request)),
        )
    };
    for fault in &faults {
        match fault {
            Fault::LoseAnswer => {
                scissors.cut();
                return Response::new(Body::empty());
            }
            Fault::FaultAfter => {
                if let Some(bare) = bare {
                    return soap_reply(&shared, soap, bare);
                }
            }
            Fault::EmptyBody => return reply(&shared, 200, soap.content_type(), Body::empty()),
            Fault::Truncate(length) => {
                let bytes = answer::truncated(answer.body.into_bytes(), *length);
                return reply(
                    &shared,
                    answer.status,
                    soap.content_type(),
                    Body::from(bytes),
                );
            }
            Fault::WrongLength => {
                let bytes = answer.body.into_bytes();
                return answer::half(answer.status, soap.content_type(), bytes, &shared.date());
            }
            _ => {}
        }
    }
    soap_reply(&shared, soap, answer)
}

/// Whether a fault comes in place of the work.
fn befalls_before(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Delay(_)
            | Fault::LoseAnswer
            | Fault::FaultAfter
            | Fault::EmptyBody
            | Fault::Truncate(_)
            | Fault::WrongLength
    )
}

/// The answer that a fault gives in place of the work.
fn instead(shared: &Shared, scissors: &Scissors, request: Request, fault: &Fault) -> Response {
    let soap = request.soap;
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
        Fault::Unavailable(retry_after) => answer::busy(503, retry_after, &shared.date()),
        Fault::TooMany(retry_after) => answer::busy(429, retry_after, &shared.date()),
        Fault::Html => reply(shared, 200, HTML, Body::from(MAINTENANCE)),
        Fault::FaultWith200 => {
            let answer = Answer {
                status: 200,
                ..shared.lock().bare_fault(&request)
            };
            soap_reply(shared, soap, answer)
        }
        Fault::FaultBefore => {
            let answer = shared.lock().bare_fault(&request);
            soap_reply(shared, soap, answer)
        }
        Fault::Refused => {
            let answer = shared.lock().credentials_fault(&request);
            soap_reply(shared, soap, answer)
        }
        Fault::Redirect(to) => answer::redirect(to, &shared.date()),
        Fault::WrongOperation => {
            let body = match request.operation {
                Operation::ContactListUpdateInsert => {
                    response_named(soap, Operation::ContactListRetrieve, |out| {
                        number("recordStart", 0, out);
                        boolean("moreRecords", false, out);
                    })
                }
                _ => response_named(soap, Operation::ContactListUpdateInsert, |_| {}),
            };
            soap_reply(shared, soap, Answer { status: 200, body })
        }
        Fault::Answer {
            status,
            content_type,
            body,
        } => reply(shared, *status, content_type, Body::from(body.clone())),
        // What is left cuts the connection: a lost request, and whatever does not come before the work anyway.
        _ => {
            scissors.cut();
            Response::new(Body::empty())
        }
    }
}

fn soap_reply(shared: &Shared, soap: Soap, answer: Answer) -> Response {
    reply(
        shared,
        answer.status,
        soap.content_type(),
        Body::from(answer.body),
    )
}

fn reply(shared: &Shared, status: u16, content_type: &str, body: Body) -> Response {
    answer::answer(status, content_type, body, &shared.date())
}
