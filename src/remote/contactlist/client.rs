//! The calls over SOAP: [`Calls`] with requests encoded, sent, repeated where that is safe, and answers understood.
//!
//! Each call runs in a task of its own, so that one answer is decoded on another core while the engine works on the
//! one before. Reads are repeated after failures that may pass; a write is sent once, and what is not known to have
//! failed is unknown. Refused credentials are never repeated, and after a few of them nothing more is sent, so that the
//! account is not locked.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use reqwest::Url;

use super::calls::{Calls, ListPage};
use super::decode::Reading;
use super::encode::{
    Login, SoapVersion, encode_delete, encode_list, encode_look_up, encode_update_insert,
    look_up_operation,
};
use super::feed::ScanLimits;
use super::outcome::{
    Asker, Reply, credentials_error, delete_outcome, is_passing_failure, list_outcome,
    look_up_outcome, push_outcome, refuses_credentials,
};
use super::tokens::AnswerLimits;
use super::transport::{CallLimits, Purpose, Received, Surroundings, Transport};
use crate::config::{ContactListSettings, Limits, Secret};
use crate::model::{Document, Error, ErrorKind, RemoteId, Result, Stamp};
use crate::remote::{Deleted, Found, LookUp, Pushed};

/// The pause before a second try; it doubles from there.
pub const DEFAULT_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How calls are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Tries of a read after the first.
    pub retries: u32,
    /// The longest pause between two of them.
    pub wait_max: Duration,
    /// The longest that one call waits because the service asks for it.
    pub retry_after_max: Duration,
    /// Refused credentials before nothing more is sent.
    pub auth_attempts: u32,
}

/// Everything needed to call a site.
#[derive(Clone)]
pub struct ClientOptions {
    /// The address of the service.
    pub endpoint: Url,
    /// The site.
    pub site_id: i32,
    /// The user's e-mail; empty with a site token.
    pub username: Secret,
    /// The password, or the site token.
    pub password: Secret,
    /// The site's own zone.
    pub zone: Tz,
    /// Which SOAP to speak.
    pub soap: SoapVersion,
    /// Certificate authorities in PEM, beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// Bounds of a call.
    pub calls: CallLimits,
    /// Bounds of an answer's content.
    pub answers: AnswerLimits,
    /// Bounds of repeating.
    pub retries: RetryLimits,
}

impl ClientOptions {
    /// The options that bridge.yaml asks for. Reads the file of `ca`.
    pub fn from_settings(settings: &ContactListSettings, limits: &Limits) -> Result<Self> {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            site_id: i32::try_from(settings.site_id).map_err(|_| {
                Error::config("E-CFG-VALUE", "site_id: is out of range (1 .. 2147483647)")
            })?,
            username: settings.username.clone(),
            password: settings.password.clone(),
            zone: settings.time_zone,
            soap: match settings.soap {
                crate::config::SoapVersion::V11 => SoapVersion::V11,
                crate::config::SoapVersion::V12 => SoapVersion::V12,
            },
            ca: settings.ca.as_deref().map(read_ca).transpose()?,
            calls: CallLimits {
                requests_per_second: limits.requests_per_second,
                burst: limits.burst,
                connect_timeout: limits.connect_timeout,
                idle_timeout: limits.idle_timeout,
                total_timeout: limits.total_timeout,
                max_response: limits.max_response,
            },
            answers: AnswerLimits {
                depth: limits.xml_depth as usize,
                elements: limits.xml_elements as usize,
                attributes: limits.xml_attributes as usize,
                text: size(limits.max_text),
                record: size(limits.max_record),
            },
            retries: RetryLimits {
                retries: limits.retries,
                wait_max: limits.retry_wait_max,
                retry_after_max: limits.retry_after_max,
                auth_attempts: limits.auth_attempts,
            },
        })
    }
}

impl ScanLimits {
    /// The bounds of a scan that bridge.yaml asks for.
    pub fn from_settings(limits: &Limits) -> Self {
        Self {
            prefetch: limits.prefetch as usize,
            seam_rows: limits.page_overlap as usize,
            attempts: limits.scan_attempts,
            ..Self::default()
        }
    }
}

/// A file of certificates larger than this is something else.
const CA_MAX: u64 = 4 << 20;

fn read_ca(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        Error::config(
            "E-CFG-READ",
            format!("ca: {} can't be read", path.display()),
        )
        .caused_by(error)
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > CA_MAX {
        return Err(Error::config(
            "E-CFG-VALUE",
            format!(
                "ca: {} is too large for a file of certificates",
                path.display()
            ),
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

/// The calls of one site over SOAP.
pub struct SoapCalls(Arc<Inner>);

struct Inner {
    transport: Transport,
    site_id: i32,
    username: Secret,
    password: Secret,
    soap: SoapVersion,
    reading: Reading,
    retries: RetryLimits,
    refused: AtomicU32,
}

impl SoapCalls {
    /// Calls with these options. Opens no connection yet.
    pub fn new(options: ClientOptions, around: Arc<dyn Surroundings>) -> Result<Self> {
        let transport = Transport::new(
            options.endpoint,
            options.soap,
            options.ca.as_deref(),
            &options.calls,
            around,
        )?;
        Ok(Self(Arc::new(Inner {
            transport,
            site_id: options.site_id,
            username: options.username,
            password: options.password,
            soap: options.soap,
            reading: Reading {
                zone: options.zone,
                limits: options.answers,
            },
            retries: options.retries,
            refused: AtomicU32::new(0),
        })))
    }

    /// The service's description as the endpoint gives it, at most `max` bytes.
    pub async fn description(&self, max: u64) -> Result<Reply> {
        let inner = Arc::clone(&self.0);
        run(async move { Ok(inner.transport.description(max).await?.reply) }).await
    }

    fn wall(&self, instant: DateTime<Utc>) -> Stamp {
        Stamp(instant.with_timezone(&self.0.reading.zone).naive_local())
    }
}

/// Runs a call in a task of its own, which ends when nobody waits for it any more.
async fn run<T: Send + 'static>(
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    struct EndWithCaller(tokio::task::AbortHandle);
    impl Drop for EndWithCaller {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let task = tokio::spawn(call);
    let _end = EndWithCaller(task.abort_handle());
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Error::unexpected("E-CALL", "A call ended unforeseen").caused_by(error)),
    }
}

impl Inner {
    fn login(&self) -> Login<'_> {
        Login {
            username: self.username.expose(),
            password: self.password.expose(),
            site_id: self.site_id,
        }
    }

    /// Runs `judge` with what it must not show.
    fn asked<T>(&self, judge: impl FnOnce(Asker<'_>) -> T) -> T {
        judge(Asker {
            site_id: self.site_id,
            secrets: &[self.password.expose(), self.username.expose()],
        })
    }

    /// Nothing is sent once the credentials were refused too often.
    fn check_refusals(&self, operation: &str) -> Result<()> {
        if self.refused.load(Ordering::SeqCst) >= self.retries.auth_attempts {
            return Err(credentials_error(operation, self.site_id));
        }
        Ok(())
    }

    fn count_refusal(&self, operation: &str) -> Error {
        let count = self.refused.fetch_add(1, Ordering::SeqCst) + 1;
        let error = credentials_error(operation, self.site_id);
        Error::unreachable(
            error.code(),
            format!(
                "{} ({count} of {} tries)",
                error.message(),
                self.retries.auth_attempts
            ),
        )
    }

    /// A read: repeated after what may pass, never after refused credentials.
    async fn read<T>(
        &self,
        operation: &str,
        body: String,
        judge: impl Fn(&Received) -> Result<T>,
    ) -> Result<T> {
        let mut waited_as_told = Duration::ZERO;
        let mut tries = 0;
        loop {
            self.check_refusals(operation)?;
            let (error, told) = match self
                .transport
                .post(operation, body.clone(), Purpose::Read)
                .await
            {
                Ok(received) if refuses_credentials(&received.reply) => {
                    return Err(self.count_refusal(operation));
                }
                Ok(received) if matches!(received.reply.status, 429 | 503) => {
                    let error = rate_error(operation, received.reply.status);
                    (error, Some(received.retry_after))
                }
                Ok(received) => match judge(&received) {
                    Err(error) if is_passing_failure(&received.reply, &error) => (error, None),
                    Err(error) if error.code() == "E-AUTH" => {
                        return Err(self.count_refusal(operation));
                    }
                    other => return other,
                },
                Err(error)
                    if matches!(error.code(), "E-CONNECT" | "E-TIMEOUT" | "E-BODY-TRUNCATED") =>
                {
                    (error, None)
                }
                Err(error) => return Err(error),
            };
            if tries >= self.retries.retries {
                return Err(error);
            }
            tries += 1;
            let pause = match told.flatten() {
                Some(told) => {
                    waited_as_told += told;
                    if waited_as_told > self.retries.retry_after_max {
                        return Err(error);
                    }
                    told
                }
                None => self.jitter(tries),
            };
            tracing::info!(
                operation,
                code = error.code(),
                tries,
                "a call failed and is tried again"
            );
            self.transport.around().pause(pause).await;
        }
    }

    /// Any pause up to the double of the one before ("full jitter").
    fn jitter(&self, tries: u32) -> Duration {
        let most = DEFAULT_RETRY_PAUSE
            .saturating_mul(2_u32.saturating_pow(tries - 1))
            .min(self.retries.wait_max);
        let mut bytes = [0; 4];
        self.transport.around().random(&mut bytes);
        most.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }
}

fn rate_error(operation: &str, status: u16) -> Error {
    let what = if status == 429 {
        "the service says that there are too many calls"
    } else {
        "the service says that it is not available"
    };
    Error::unreachable(
        if status == 429 {
            "E-RATE"
        } else {
            "E-UNAVAILABLE"
        },
        format!(
            "{operation}: {what} (status {status}). Run again later, or lower limits.requests_per_second"
        ),
    )
}

impl Calls for SoapCalls {
    async fn list(&self, since: Option<Stamp>, record_start: u32) -> Result<ListPage> {
        let inner = Arc::clone(&self.0);
        let (answer, begun) = run(async move {
            let body = encode_list(inner.soap, inner.login(), since, record_start)?;
            inner
                .read("ContactList_Retrieve", body, |received| {
                    let list = inner
                        .asked(|asker| list_outcome(&received.reply, &inner.reading, asker))?;
                    Ok((list, received.begun))
                })
                .await
        })
        .await?;
        Ok(ListPage {
            items: answer.items,
            more: answer.more,
            server_time: begun.map(|begun| self.wall(begun)),
        })
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        let inner = Arc::clone(&self.0);
        let by = by.clone();
        run(async move {
            let operation = look_up_operation(&by);
            let body = encode_look_up(inner.soap, inner.login(), &by)?;
            inner
                .read(operation, body, |received| {
                    inner.asked(|asker| {
                        look_up_outcome(&received.reply, operation, &inner.reading, asker)
                    })
                })
                .await
        })
        .await
    }

    async fn update_insert(&self, batch: &[Document]) -> Result<Pushed> {
        let operation = "ContactList_UpdateInsert";
        let inner = Arc::clone(&self.0);
        inner.check_refusals(operation)?;
        let body = encode_update_insert(inner.soap, inner.login(), batch)?;
        let sent = run(async move {
            let received = match inner.transport.post(operation, body, Purpose::Write).await {
                Ok(received) => received,
                // Whatever went wrong, the request may have arrived before it did.
                Err(error) => {
                    return Ok(Pushed::Unknown {
                        reason: error.to_string(),
                    });
                }
            };
            if refuses_credentials(&received.reply) {
                return Ok(Pushed::Refused {
                    reason: inner.count_refusal(operation).to_string(),
                });
            }
            Ok(inner.asked(|asker| push_outcome(&received.reply, &inner.reading, asker)))
        });
        match sent.await {
            Err(error) if error.kind() == ErrorKind::Unexpected => Ok(Pushed::Unknown {
                reason: error.to_string(),
            }),
            other => other,
        }
    }

    async fn delete(&self, id: &RemoteId) -> Result<Deleted> {
        let operation = "Contact_DeleteByEntityID";
        let inner = Arc::clone(&self.0);
        inner.check_refusals(operation)?;
        let body = encode_delete(inner.soap, inner.login(), &id.0)?;
        run(async move {
            let received = inner
                .transport
                .post(operation, body, Purpose::Write)
                .await?;
            if refuses_credentials(&received.reply) {
                return Err(inner.count_refusal(operation));
            }
            inner.asked(|asker| delete_outcome(&received.reply, &inner.reading, asker))
        })
        .await
    }

    async fn pause(&self, duration: Duration) {
        self.0.transport.around().pause(duration).await;
    }

    fn requests(&self) -> u64 {
        self.0.transport.requests()
    }

    fn server_time(&self) -> Option<Stamp> {
        self.0.transport.server_time().map(|now| self.wall(now))
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        self.0.transport.clock_difference()
    }
}
