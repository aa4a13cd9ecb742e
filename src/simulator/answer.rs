//! Answers over HTTP, whole and damaged, the same for every service.
//!
//! Decides nothing about what is in them.
// The simulator stands for a foreign machine, which takes its own time.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;

/// The content type of a gateway's pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// What a page says that isn't the service's answer although its status is 200.
pub(super) const MAINTENANCE: &str = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><p>Back soon<br></body></html>";

/// An answer; `date` is the `Date` header, the service's own time.
pub(super) fn answer(status: u16, content_type: &str, body: Body, date: &str) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = date.parse() {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

/// "Busy", with this `Retry-After` (any text; empty: none).
pub(super) fn busy(status: u16, retry_after: &str, date: &str) -> Response {
    let body = Body::from("<html><body>Busy</body></html>");
    let mut response = answer(status, HTML, body, date);
    if let Ok(value) = retry_after.parse()
        && !retry_after.is_empty()
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// 307 to this address.
pub(super) fn redirect(to: &str, date: &str) -> Response {
    let mut response = answer(307, HTML, Body::empty(), date);
    if let Ok(value) = to.parse() {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// The first half of an answer under the length of all of it; then the connection ends.
pub(super) fn half(status: u16, content_type: &str, mut bytes: Vec<u8>, date: &str) -> Response {
    let length = bytes.len();
    bytes.truncate(length / 2);
    let first = futures::stream::once(async move { Ok(Bytes::from(bytes)) });
    let end = futures::stream::once(async {
        // Gives the first half time to leave.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let stream = futures::StreamExt::chain(first, end);
    let mut response = answer(status, content_type, Body::from_stream(stream), date);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

/// Of an answer so many bytes, half of them for 0.
pub(super) fn truncated(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    let length = if length == 0 { bytes.len() / 2 } else { length };
    bytes.truncate(length);
    bytes
}
