//! From a request to an answer. Whoever does not ask for this machine by its own name gets nothing.
//!
//! A page of a stranger's site can make a browser on this machine ask us under the stranger's name (DNS rebinding). So the
//! Host header must name loopback: a proxy before us sets it, a browser can't lie in it.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode, Uri};

use super::dashboard::{self, STYLE, Table};
use crate::service::{Board, Metrics};

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Nothing but our own style sheet may be loaded, nothing run, sent or framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the pages take what they show.
#[derive(Clone)]
pub struct Sources {
    /// How the keepers fare.
    pub board: Arc<Board>,
    /// What they counted.
    pub metrics: Arc<Metrics>,
    /// What `status` says.
    pub status: Arc<dyn Fn() -> Table + Send + Sync>,
    /// The time.
    pub now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Page {
    fn new(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    fn plain(status: StatusCode, text: &str) -> Self {
        Self::new(status, PLAIN, format!("{text}\n"))
    }
}

/// The answer to a request.
pub(super) fn answer(sources: &Sources, method: &Method, uri: &Uri, headers: &HeaderMap) -> Page {
    if !is_for_us(uri, headers) {
        return Page::plain(
            StatusCode::MISDIRECTED_REQUEST,
            "This address answers as 127.0.0.1, localhost or [::1] only; a proxy before it must set the Host header so",
        );
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut page = Page::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET");
        page.headers
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return page;
    }
    match uri.path() {
        "/" => {
            let now = (sources.now)();
            let page = dashboard::page(&sources.board.read(), &(sources.status)(), now);
            Page::new(StatusCode::OK, HTML, page)
        }
        "/style.css" => Page::new(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        "/healthz" => Page::plain(StatusCode::OK, "ok"),
        "/readyz" => ready(sources),
        "/metrics" => match sources
            .metrics
            .render(&sources.board.read(), (sources.now)())
        {
            Ok(text) => Page::new(StatusCode::OK, PROMETHEUS, text),
            Err(_) => Page::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "no metrics could be written",
            ),
        },
        _ => Page::plain(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Each bridge with what its keeper is doing; 503 unless all stores are open and all schedules kept.
fn ready(sources: &Sources) -> Page {
    let standings = sources.board.read();
    let lines: Vec<String> = standings
        .iter()
        .map(|standing| format!("{}: {}", standing.bridge, standing.phase.word()))
        .collect();
    let is_ready = standings.iter().all(|standing| standing.phase.is_ready());
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Page::plain(status, &lines.join("\n"))
}

/// Whether the caller named this machine as loopback, once, and the same in both places where it may.
fn is_for_us(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = host.to_str().ok().and_then(|host| host.parse().ok());
    let is_loopback = |authority: &hyper::http::uri::Authority| {
        let plain = !authority.as_str().contains('@');
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let address = name.parse::<IpAddr>();
        plain
            && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback()))
    };
    host.as_ref().is_some_and(is_loopback) && uri.authority().is_none_or(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Phase, Standing};

    fn sources(phases: &[Phase]) -> Sources {
        let standings = phases.iter().enumerate().map(|(at, phase)| {
            let mut standing = Standing::new(&format!("b{at}"), Some("every <15m>".into()));
            standing.phase = phase.clone();
            standing
        });
        Sources {
            board: Arc::new(Board::new(standings.collect())),
            metrics: Arc::default(),
            status: Arc::new(|| Table {
                headings: vec!["BRIDGE"],
                rows: vec![vec!["<script>alert(1)</script>".into()]],
                notes: vec!["b0: E-X \"quoted\" & more".into()],
            }),
            now: Arc::new(|| "2026-11-22T10:00:00Z".parse().unwrap()),
        }
    }

    fn get(sources: &Sources, target: &str, hosts: &[&str]) -> Page {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        answer(sources, &Method::GET, &target.parse().unwrap(), &headers)
    }

    #[test]
    fn only_whoever_asks_for_loopback_is_answered() {
        let sources = sources(&[Phase::Waiting]);
        for path in ["/", "/metrics", "/healthz", "/readyz", "/style.css"] {
            for host in [
                "127.0.0.1:8480",
                "localhost",
                "LOCALHOST:1",
                "[::1]:8480",
                "127.9.9.9",
            ] {
                assert_eq!(get(&sources, path, &[host]).status, 200, "{path} {host}");
            }
            for hosts in [
                &["evil.example:8480"] as &[&str],
                &["localhost.evil.example"],
                &["127.0.0.1.evil.example"],
                &["10.0.0.1"],
                &["localhost@evil.example"],
                &["evil.example@localhost"],
                &[""],
                &[],
                &["localhost", "evil.example"],
                &["localhost", "localhost"],
            ] {
                let page = get(&sources, path, hosts);
                assert_eq!(page.status, 421, "{path} {hosts:?}");
                assert!(!page.body.contains("b0"));
            }
        }
        let absolute = get(&sources, "http://evil.example/", &["localhost"]);
        assert_eq!(absolute.status, 421);
    }

    #[test]
    fn everything_shown_is_escaped_and_nothing_foreign_is_loaded() {
        let sources = sources(&[Phase::Failed("E-Y <b>".into())]);
        let page = get(&sources, "/", &["localhost"]);
        assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.body.contains("E-X &quot;quoted&quot; &amp; more"));
        assert!(page.body.contains("every &lt;15m&gt;") && page.body.contains("E-Y &lt;b&gt;"));
        for banned in ["<script", "http://", "https://", "onload", "style="] {
            assert!(!page.body.contains(banned), "{banned} in {}", page.body);
        }
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
    }

    #[test]
    fn readiness_is_of_all_bridges_and_health_of_the_process() {
        let passing = Phase::Passing("2026-11-22T10:00:00Z".parse().unwrap());
        for (phases, ready) in [
            (&[Phase::Waiting, passing.clone()] as &[Phase], 200),
            (&[Phase::Waiting, Phase::Locked("x".into())], 503),
            (&[Phase::Failed("x".into())], 503),
            (&[Phase::Starting], 503),
            (&[passing, Phase::Ended], 503),
        ] {
            let sources = sources(phases);
            let page = get(&sources, "/readyz", &["localhost"]);
            assert_eq!(page.status, ready, "{phases:?}");
            assert!(page.body.contains(phases[0].word()), "{}", page.body);
            assert_eq!(get(&sources, "/healthz", &["localhost"]).status, 200);
        }
    }

    #[test]
    fn it_is_to_be_read_and_nothing_else() {
        let sources = sources(&[Phase::Waiting]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let page = answer(&sources, &method, &"/".parse().unwrap(), &headers);
            assert_eq!(page.status, 405);
        }
        assert_eq!(get(&sources, "/nothing", &["localhost"]).status, 404);
    }
}
