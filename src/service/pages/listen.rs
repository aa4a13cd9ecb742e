//! Connections to the pages: on loopback, within their number and their time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{Sources, answer};
use crate::model::{Error, Result};

/// Connections at a time: a browser, a few monitors.
const CONNECTIONS_MAX: usize = 32;
/// The longest head of a request.
const HEAD_MAX: usize = 16 * 1024;
/// How long a head may take, and a connection idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may live: a monitor makes another.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// The pause after the system could not accept, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// An address that is taken, and at which nobody answers yet.
pub struct Pages {
    listener: TcpListener,
    address: SocketAddr,
}

impl Pages {
    /// Listens. `E-LISTEN` (exit 7) where the address is taken.
    pub async fn bind(listen: SocketAddr) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::needs_person(
                "E-LISTEN",
                format!(
                    "http.listen {listen}: can't be listened on ({}). Is another program there?",
                    error.kind()
                ),
            )
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the runtime ends.
    pub fn serve(self, sources: Sources) {
        tokio::spawn(accept(self.listener, sources));
    }
}

async fn accept(listener: TcpListener, sources: Sources) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sources = sources.clone();
                tokio::spawn(async move {
                    let _ = timeout(CONNECTION_TIMEOUT, serve(stream, sources)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(
                    "a connection to the pages was not accepted ({})",
                    error.kind()
                );
                // Not a thing of the engine: the pause of a listener.
                #[allow(clippy::disallowed_methods)]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, sources: Sources) {
    let service = service_fn(move |request: Request<Incoming>| {
        let sources = sources.clone();
        async move {
            let page = answer(&sources, request.method(), request.uri(), request.headers());
            let mut response = Response::new(Full::new(Bytes::from(page.body)));
            *response.status_mut() = page.status;
            *response.headers_mut() = page.headers;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the pages ended early: {error}");
    }
}
