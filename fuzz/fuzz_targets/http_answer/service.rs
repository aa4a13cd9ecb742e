//! A service on loopback that answers whatever it is asked with the same bytes, and a client that asks it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use contactbridge::config::Secret;
use contactbridge::model::Result;
use contactbridge::remote::contactlist::{
    AnswerLimits, CallLimits, ClientOptions, RetryLimits, SoapCalls, SoapVersion, Surroundings,
};
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A mebibyte takes long to feed; what holds of 32 KiB holds of it.
pub const MAX_RESPONSE: u64 = 32 * 1024;
pub const RETRIES: u64 = 2;
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Texts that no error may hold.
pub const LOGIN: (&str, &str) = ("zq-admin@example.org", "zq-s3cret<&>");

pub struct Service {
    runtime: Runtime,
    listener: TcpListener,
    address: String,
}

/// What came of a call.
pub struct Played<T> {
    pub outcome: Result<T>,
    /// Requests that arrived.
    pub asked: u64,
    /// How long the client would have paused.
    pub waited: Duration,
}

/// Nothing passes here but what is waited for.
#[derive(Default)]
struct Still {
    waited: Mutex<Duration>,
    clock: AtomicU64,
}

impl Surroundings for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0xff);
    }

    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.waited.lock().expect("one thread") += duration;
        Box::pin(std::future::ready(()))
    }
}

impl Service {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self {
            runtime,
            listener,
            address: format!("http://127.0.0.1:{port}/service"),
        }
    }

    /// Lets a new client make a call, and answers each of its requests with `answer`.
    pub fn play<T>(
        &self,
        answer: &[u8],
        call: impl AsyncFnOnce(&SoapCalls) -> Result<T>,
    ) -> Played<T> {
        let around = Arc::new(Still::default());
        let calls = SoapCalls::new(self.options(), Arc::clone(&around) as _).expect("a client");
        let asked = Cell::new(0);
        let outcome = self.runtime.block_on(async {
            let serve = async {
                loop {
                    let (stream, _) = self.listener.accept().await.expect("a connection");
                    serve_one(stream, answer, &asked).await;
                }
            };
            tokio::select! {
                outcome = call(&calls) => outcome,
                () = serve => unreachable!("it serves for ever"),
            }
        });
        let waited = *around.waited.lock().expect("one thread");
        Played {
            outcome,
            asked: asked.get(),
            waited,
        }
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            endpoint: self.address.parse().expect("an address"),
            site_id: 123,
            username: Secret::new(LOGIN.0),
            password: Secret::new(LOGIN.1),
            zone: chrono_tz::Australia::Sydney,
            soap: SoapVersion::V12,
            ca: None,
            calls: CallLimits {
                requests_per_second: None,
                burst: 10,
                connect_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(5),
                total_timeout: Duration::from_secs(5),
                max_response: MAX_RESPONSE,
            },
            answers: AnswerLimits::default(),
            retries: RetryLimits {
                retries: u32::try_from(RETRIES).expect("few"),
                wait_max: Duration::from_secs(60),
                retry_after_max: RETRY_AFTER_MAX,
                auth_attempts: 3,
            },
        }
    }
}

/// Reads a request to its end, so that the answer is not cut off by a reset, answers, and closes.
async fn serve_one(mut stream: TcpStream, answer: &[u8], asked: &Cell<u64>) {
    let mut request = Vec::new();
    let end = b"Envelope>";
    while !request.ends_with(end) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    asked.set(asked.get() + 1);
    // Who has read enough may be gone.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}
