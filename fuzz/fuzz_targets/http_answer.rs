//! Any bytes as the answer of a service over HTTP: read as far as its limits, judged by its head, and never taken for more than it is.
//!
//! The whole way is played, over loopback: one thread is the bridge's client (`SoapCalls`) and the service. The framing itself (status line,
//! chunks, lengths) is hyper's and is fed along; what is asserted is ours: no redirect followed, nothing compressed taken, a body within
//! `max_response`, one that broke off never taken for whole, the status told apart (credentials, rate, failure), `Retry-After` obeyed as far as
//! `retry_after_max`, writes sent once, and no secret in any error. The details of other kinds of service go through the same transport.
//!
//! The first byte tells what an input is: `r` an answer as it stands, of which little can be known beforehand; anything else a [`Story`], of which
//! the outcome is.
#![no_main]

#[path = "http_answer/service.rs"]
mod service;
#[path = "http_answer/story.rs"]
mod story;

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use contactbridge::model::{ErrorKind, RemoteId};
use contactbridge::remote::contactlist::{Calls, ListPage};
use contactbridge::remote::{Deleted, LookUp};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

use service::{LOGIN, MAX_RESPONSE, Played, RETRIES, RETRY_AFTER_MAX, Service};
use story::Story;

static SERVICE: LazyLock<Service> = LazyLock::new(Service::start);

/// What holds of every list, however it was answered.
fn check<T: std::fmt::Debug>(played: &Played<T>, retried: bool) {
    let most = if retried { RETRIES + 1 } else { 1 };
    assert!(
        (1..=most).contains(&played.asked),
        "asked {} times: {:?}",
        played.asked,
        played.outcome
    );
    assert!(
        played.waited <= RETRY_AFTER_MAX,
        "waited {:?}",
        played.waited
    );
    if let Err(error) = &played.outcome {
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
        for secret in [LOGIN.0, LOGIN.1] {
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
        assert!(error.message().len() < 600, "{error}");
    }
}

/// Status and headers of an answer as it stands, where it begins as one.
fn head(answer: &str) -> Option<(u16, impl Iterator<Item = (&str, &str)>)> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    Some((
        status.parse().ok()?,
        lines.filter_map(|line| line.split_once(':')),
    ))
}

/// What little can be told beforehand of bytes that were not made here.
fn check_page(answer: &[u8], page: &ListPage) {
    assert!(page.items.len() <= 100, "no page is longer");
    let Some((status, headers)) = std::str::from_utf8(answer).ok().and_then(head) else {
        return;
    };
    assert!(
        !(300..400).contains(&status) && !matches!(status, 401 | 403 | 429 | 503),
        "{status}"
    );
    for (name, value) in headers {
        let plain = value.trim().eq_ignore_ascii_case("identity");
        assert!(
            !name.eq_ignore_ascii_case("content-encoding") || plain,
            "compressed: {value:?}"
        );
    }
}

fuzz_target!(|input: &[u8]| {
    let service = LazyLock::force(&SERVICE);
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    if *kind == b'r' {
        let list = bounded(rest, || {
            service.play(rest, async |calls| calls.list(None, 0).await)
        });
        check(&list, true);
        if let Ok(page) = &list.outcome {
            check_page(rest, page);
        }
        let id = RemoteId("7".to_owned());
        let deleted = bounded(rest, || {
            service.play(rest, async |calls| calls.delete(&id).await)
        });
        check(&deleted, false);
        let by = LookUp::Id(id);
        let found = bounded(rest, || {
            service.play(rest, async |calls| calls.look_up(&by).await)
        });
        check(&found, true);
        return;
    }
    let Ok(story) = Story::arbitrary(&mut Unstructured::new(rest)) else {
        return;
    };
    if story.is_unclear(MAX_RESPONSE) {
        return;
    }
    let answer = story.answer();
    let told = || format!("{story:?} {:?}", String::from_utf8_lossy(&answer));
    let list = bounded(&answer, || {
        service.play(&answer, async |calls| calls.list(None, 0).await)
    });
    check(&list, true);
    let code = list.outcome.as_ref().err().map(|error| error.code());
    assert_eq!(code, story.code(MAX_RESPONSE), "{}", told());
    assert_eq!(list.asked, story.requests(), "{}", told());
    // A write is sent once, whatever comes of it.
    let id = RemoteId("7".to_owned());
    let deleted = bounded(&answer, || {
        service.play(&answer, async |calls| calls.delete(&id).await)
    });
    check(&deleted, false);
    assert!(
        !matches!(deleted.outcome, Ok(Deleted::Done)),
        "nobody said so: {}",
        told()
    );
});
