//! The calls over SOAP: [`Calls`] with requests encoded, sent, repeated where that is safe, and answers understood.
//!
//! Each call runs in a task of its own, so that one answer is decoded on another core while the engine works on the
//! one before. Reads are repeated after failures that may pass; a write is sent once, and what is not known to have
//! failed is unknown. Refused credentials are never repeated, and after a few of them nothing more is sent, so that the
//! account is not locked.

use std::sync::Arc;
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
    Asker, credentials_error, delete_outcome, is_passing_failure, list_outcome, look_up_outcome,
    push_outcome, refuses_credentials,
};
use super::schema::NAMESPACE;
use crate::config::{ContactListSettings, Limits, Secret};
use crate::model::{Document, Error, ErrorKind, RemoteId, Result, Stamp};
use crate::remote::http::{
    CallLimits, Post, Purpose, Received, Refusals, Reply, RetryLimits, Surroundings, Transport,
    TransportOptions, Tried, rate_error, read_ca, repeat, run,
};
use crate::remote::xml::AnswerLimits;
use crate::remote::{Deleted, Found, LookUp, Pushed};

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
            calls: CallLimits::from_settings(limits),
            answers: AnswerLimits::from_settings(limits),
            retries: RetryLimits::from_settings(limits),
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

/// The calls of one site over SOAP.
pub struct SoapCalls(Arc<Inner>);

struct Inner {
    transport: Transport,
    endpoint: Url,
    max_response: u64,
    site_id: i32,
    username: Secret,
    password: Secret,
    soap: SoapVersion,
    reading: Reading,
    retries: RetryLimits,
    refused: Refusals,
}

impl SoapCalls {
    /// Calls with these options. Opens no connection yet.
    pub fn new(options: ClientOptions, around: Arc<dyn Surroundings>) -> Result<Self> {
        let transport = Transport::new(
            &TransportOptions {
                addresses: &[("endpoint", &options.endpoint)],
                ca: options.ca.as_deref(),
                limits: &options.calls,
            },
            around,
        )?;
        Ok(Self(Arc::new(Inner {
            transport,
            endpoint: options.endpoint,
            max_response: options.calls.max_response,
            site_id: options.site_id,
            username: options.username,
            password: options.password,
            soap: options.soap,
            reading: Reading {
                zone: options.zone,
                limits: options.answers,
            },
            retries: options.retries,
            refused: Refusals::default(),
        })))
    }

    /// The service's description as the endpoint gives it, at most `max` bytes.
    pub async fn description(&self, max: u64) -> Result<Reply> {
        let inner = Arc::clone(&self.0);
        run(async move {
            let mut url = inner.endpoint.clone();
            url.set_query(Some("WSDL"));
            Ok(inner.transport.get("?WSDL", &url, max).await?.reply)
        })
        .await
    }

    fn wall(&self, instant: DateTime<Utc>) -> Stamp {
        Stamp(instant.with_timezone(&self.0.reading.zone).naive_local())
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
        if self.refused.are_too_many(&self.retries) {
            return Err(credentials_error(operation, self.site_id));
        }
        Ok(())
    }

    fn count_refusal(&self, operation: &str) -> Error {
        let error = credentials_error(operation, self.site_id);
        self.refused.count(&self.retries, &error)
    }

    /// Sends a request of `operation` once.
    async fn post(&self, operation: &str, body: String, purpose: Purpose) -> Result<Received> {
        let action = format!("\"{NAMESPACE}/{operation}\"");
        let in_content_type = format!("application/soap+xml; charset=utf-8; action={action}");
        let (content_type, headers) = match self.soap {
            SoapVersion::V11 => ("text/xml; charset=utf-8", vec![("SOAPAction", action)]),
            SoapVersion::V12 => (in_content_type.as_str(), Vec::new()),
        };
        self.transport
            .post(Post {
                operation,
                url: &self.endpoint,
                content_type,
                headers: &headers,
                body,
                purpose,
                max: (self.max_response, "max_response"),
                patience: 1,
            })
            .await
    }

    /// A read: repeated after what may pass, never after refused credentials.
    async fn read<T>(
        &self,
        operation: &str,
        body: String,
        judge: impl Fn(&Received) -> Result<T>,
    ) -> Result<T> {
        let (body, judge) = (&body, &judge);
        repeat(
            self.transport.around(),
            &self.retries,
            operation,
            || async move {
                if let Err(error) = self.check_refusals(operation) {
                    return Tried::Settled(Err(error));
                }
                match self.post(operation, body.clone(), Purpose::Read).await {
                    Ok(received) if refuses_credentials(&received.reply) => {
                        Tried::Settled(Err(self.count_refusal(operation)))
                    }
                    Ok(received) if matches!(received.reply.status, 429 | 503) => {
                        let error = rate_error(operation, received.reply.status);
                        Tried::Passing(error, received.retry_after)
                    }
                    Ok(received) => match judge(&received) {
                        Err(error) if is_passing_failure(&received.reply, &error) => {
                            Tried::Passing(error, None)
                        }
                        Err(error) if error.code() == "E-AUTH" => {
                            Tried::Settled(Err(self.count_refusal(operation)))
                        }
                        other => Tried::Settled(other),
                    },
                    Err(error)
                        if matches!(
                            error.code(),
                            "E-CONNECT" | "E-TIMEOUT" | "E-BODY-TRUNCATED"
                        ) =>
                    {
                        Tried::Passing(error, None)
                    }
                    Err(error) => Tried::Settled(Err(error)),
                }
            },
        )
        .await
    }
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
            let received = match inner.post(operation, body, Purpose::Write).await {
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
            let received = inner.post(operation, body, Purpose::Write).await?;
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
