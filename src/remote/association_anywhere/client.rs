//! The calls of a site, and the ports over them: [`Remote`] as far as a queue has one, and [`Queue`].
//!
//! Each request for details runs in a task of its own, so that an answer is decoded on another core. Everything here may be
//! asked again: reads change nothing, and purging or forcing twice does what once does. Refused credentials are never
//! repeated, and after a few of them nothing more is sent, so that the account is not locked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use super::decode::{Reading, confirmation};
use super::details::gather;
use super::encode::{Asked, Login, encode_force_enqueue, encode_purge, encode_queue, form};
use super::options::ClientOptions;
use super::queue::QueueAnswer;
use super::verdict::{Asker, credentials_error};
use super::vocabulary::vocabulary;
use crate::model::{Error, RemoteId, RemoteItem, Result, Stamp, Vocabulary};
use crate::remote::http::{
    Answer, Post, Purpose, Received, Refusals, Surroundings, Transport, TransportOptions, Tried,
    rate_error, repeat,
};
use crate::remote::{Found, LookUp, NoScan, Purged, Queue, Remote, Scope, zone};

/// How much longer than any other call the queue may take: it is applied while it arrives.
const QUEUE_PATIENCE: u32 = 60;

/// An Association Anywhere site.
pub struct AssociationAnywhere {
    inner: Arc<Inner>,
    vocabulary: Vocabulary,
}

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) options: ClientOptions,
    /// The top-level names that the mapping reads.
    pub(super) read: BTreeSet<String>,
    pub(super) reading: Reading,
    refusals: Refusals,
    /// The details service has answered well, so what it fails at later is the question's fault.
    pub(super) answered: AtomicBool,
}

/// The services, for messages, addresses and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Queue,
    Details,
    Purge,
    ForceEnqueue,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Details => "details",
            Self::Purge => "purge",
            Self::ForceEnqueue => "force_enqueue",
        }
    }
}

impl AssociationAnywhere {
    /// A site, called with these options. `read` holds the top-level names that the mapping reads
    /// ([`crate::mapping::Mapping::remote_names`]). Opens no connection yet.
    pub fn new(
        options: ClientOptions,
        read: BTreeSet<String>,
        around: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        let addresses = &options.addresses;
        let mut called = vec![
            ("urls.queue", &addresses.queue),
            ("urls.details", &addresses.details),
            ("urls.purge", &addresses.purge),
        ];
        if let Some(url) = &addresses.force_enqueue {
            called.push(("urls.force_enqueue", url));
        }
        let transport = Transport::new(
            &TransportOptions {
                addresses: &called,
                ca: options.ca.as_deref(),
                limits: &options.calls,
            },
            around,
        )?;
        Ok(Self {
            vocabulary: vocabulary(options.zone, &options.dates),
            inner: Arc::new(Inner {
                transport,
                reading: Reading {
                    charset: options.charset,
                    limits: options.answers,
                },
                read,
                options,
                refusals: Refusals::default(),
                answered: AtomicBool::new(false),
            }),
        })
    }

    /// Forces one customer into the queue; `None`: every customer there is, which only an operator may ask for.
    ///
    /// Repeating it is harmless. An error when the service refuses, does not answer, or says neither yes nor no.
    pub async fn force_enqueue(&self, id: Option<&RemoteId>) -> Result<()> {
        let inner = &self.inner;
        let words = &inner.options.names.force_enqueue;
        let document = encode_force_enqueue(words, inner.login(), id)?;
        match inner.confirmed(Service::ForceEnqueue, document).await? {
            Purged::Done => Ok(()),
            Purged::Unknown { reason } => Err(Error::unreachable(
                "E-AA-UNCLEAR",
                format!("{reason}. It may have been done; asking again is harmless"),
            )),
        }
    }

    fn asked(&self, scope: &Scope) -> Asked {
        let inner = &self.inner;
        let mut sections = inner.options.sections(&inner.read);
        if let Scope::Sections(changed) = scope {
            sections.retain(|section| changed.contains(*section));
        }
        Asked {
            sections,
            inactive: inner.options.inactive.clone(),
        }
    }
}

impl Inner {
    pub(super) fn login(&self) -> Login<'_> {
        Login {
            username: self.options.username.expose(),
            password: self.options.password.expose(),
        }
    }

    /// Runs `judge` with what it must not show.
    pub(super) fn asker<T>(&self, judge: impl FnOnce(Asker<'_>) -> T) -> T {
        judge(Asker {
            secrets: &[
                self.options.password.expose(),
                self.options.username.expose(),
            ],
        })
    }

    /// An error of `E-AUTH`, counted.
    pub(super) fn refused(&self, operation: &str) -> Error {
        let error = credentials_error(operation);
        self.refusals.count(&self.options.retries, &error)
    }

    /// Sends a request once and reads the head of the answer; an error status is told apart by what it means.
    pub(super) async fn open(&self, service: Service, document: &str) -> Tried<Answer> {
        let operation = service.name();
        if self.refusals.are_too_many(&self.options.retries) {
            return Tried::Settled(Err(credentials_error(operation)));
        }
        let addresses = &self.options.addresses;
        let max_response = (self.options.calls.max_response, "max_response");
        let (url, max, patience) = match service {
            Service::Queue => (
                &addresses.queue,
                (self.options.queue_bytes, "queue_bytes"),
                QUEUE_PATIENCE,
            ),
            Service::Details => (&addresses.details, max_response, 1),
            Service::Purge => (&addresses.purge, max_response, 1),
            Service::ForceEnqueue => match &addresses.force_enqueue {
                Some(url) => (url, max_response, 1),
                None => {
                    return Tried::Settled(Err(Error::config(
                        "E-CFG-KEY",
                        "urls.force_enqueue is missing in bridge.yaml: without its address nothing can be forced into the queue",
                    )));
                }
            },
        };
        let posted = self
            .transport
            .open(Post {
                operation,
                url,
                content_type: "application/x-www-form-urlencoded",
                headers: &[],
                body: form(document),
                purpose: Purpose::Read,
                max,
                patience,
            })
            .await;
        match posted {
            Ok(answer) => match answer.status() {
                200 => Tried::Settled(Ok(answer)),
                401 | 403 => Tried::Settled(Err(self.refused(operation))),
                status @ (429 | 503) => {
                    Tried::Passing(rate_error(operation, status), answer.retry_after())
                }
                status if status == 408 || status >= 500 => {
                    Tried::Passing(status_error(operation, status), None)
                }
                status => Tried::Settled(Err(status_error(operation, status))),
            },
            Err(error) if is_passing(&error) => Tried::Passing(error, None),
            Err(error) => Tried::Settled(Err(error)),
        }
    }

    /// As [`Inner::open`], with the whole answer.
    pub(super) async fn fetch(&self, service: Service, document: &str) -> Tried<Received> {
        let answer = match self.open(service, document).await {
            Tried::Settled(Ok(answer)) => answer,
            Tried::Settled(Err(error)) => return Tried::Settled(Err(error)),
            Tried::Passing(error, told) => return Tried::Passing(error, told),
        };
        match answer.whole().await {
            Ok(received) => Tried::Settled(Ok(received)),
            Err(error) if is_passing(&error) => Tried::Passing(error, None),
            Err(error) => Tried::Settled(Err(error)),
        }
    }

    /// A request whose answer says little more than that it was done.
    async fn confirmed(&self, service: Service, document: String) -> Result<Purged> {
        let operation = service.name();
        let document = &document;
        let sent = repeat(
            self.transport.around(),
            &self.options.retries,
            operation,
            || async move {
                let received = match self.fetch(service, document).await {
                    Tried::Settled(Ok(received)) => received,
                    Tried::Settled(Err(error)) => return Tried::Settled(Err(error)),
                    Tried::Passing(error, told) => return Tried::Passing(error, told),
                };
                self.judge(operation, &received)
            },
        )
        .await;
        match sent {
            // The request may have arrived before anything went wrong.
            Err(error) if is_unclear(&error) => Ok(Purged::Unknown {
                reason: error.to_string(),
            }),
            other => other,
        }
    }

    /// A short answer: yes, no, or neither (`association-anywhere.md` §7).
    fn judge(&self, operation: &str, received: &Received) -> Tried<Purged> {
        let reply = &received.reply;
        let verdict = match confirmation(
            operation,
            &reply.body,
            reply.content_type.as_deref(),
            &self.reading,
        ) {
            Ok(verdict) => verdict,
            // Empty, or no XML: asking again would not make it clearer, the queue's next reading will.
            Err(error) => {
                return Tried::Settled(Ok(Purged::Unknown {
                    reason: error.to_string(),
                }));
            }
        };
        if verdict.refuses_credentials() {
            return Tried::Settled(Err(self.refused(operation)));
        }
        if let Some(error) = self.asker(|asker| verdict.as_error(operation, asker)) {
            return Tried::Passing(error, None);
        }
        if verdict.has_status() && verdict.success().is_none() {
            return Tried::Settled(Ok(Purged::Unknown {
                reason: format!(
                    "E-AA-UNCLEAR {operation}: the answer's status is neither SUCCESS nor FAILURE"
                ),
            }));
        }
        Tried::Settled(Ok(Purged::Done))
    }
}

/// Whether the same question may be answered a little later.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(error.code(), "E-CONNECT" | "E-TIMEOUT" | "E-BODY-TRUNCATED")
}

/// Whether a request may have done its work though this came of it.
fn is_unclear(error: &Error) -> bool {
    is_passing(error)
        || matches!(
            error.code(),
            "E-RATE" | "E-UNAVAILABLE" | "E-BODY-SIZE" | "E-BODY-RATIO"
        )
        || (error.code() == "E-AA-STATUS" && error.message().contains("status 5"))
}

fn status_error(operation: &str, status: u16) -> Error {
    let advice = match status {
        404 => "; there is no such procedure at this address: check base or urls in bridge.yaml",
        500.. => "; run again later",
        _ => "; check base, urls and names in bridge.yaml",
    };
    Error::unreachable(
        "E-AA-STATUS",
        format!("{operation}: the service answered with status {status}{advice}"),
    )
}

impl Remote for AssociationAnywhere {
    type Scan = NoScan;

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        let LookUp::Id(id) = by else {
            return Err(Error::unexpected(
                "E-INVARIANT",
                "association-anywhere finds customers by their id alone",
            ));
        };
        let items = self
            .details(std::slice::from_ref(id), &Scope::Whole)
            .await?;
        Ok(match items.into_iter().next() {
            Some(item) => Found::Item(Box::new(item)),
            None => Found::Nothing,
        })
    }

    fn requests(&self) -> u64 {
        self.inner.transport.requests()
    }

    fn server_time(&self) -> Option<Stamp> {
        let now = self.inner.transport.server_time()?;
        Some(zone::stamp(self.inner.options.zone, now))
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        self.inner.transport.clock_difference()
    }

    fn is_ambiguous(&self, stamp: Stamp) -> bool {
        zone::is_ambiguous(self.inner.options.zone, stamp)
    }

    fn instant(&self, stamp: Stamp) -> DateTime<Utc> {
        zone::instant(self.inner.options.zone, stamp)
    }

    fn stamp(&self, instant: DateTime<Utc>) -> Stamp {
        zone::stamp(self.inner.options.zone, instant)
    }
}

impl Queue for AssociationAnywhere {
    type Reading = QueueAnswer;

    async fn queue(&self) -> Result<QueueAnswer> {
        let inner = Arc::clone(&self.inner);
        let document = encode_queue(&inner.options.names.queue, inner.login())?;
        QueueAnswer::open(inner, document).await
    }

    async fn details(&self, ids: &[RemoteId], scope: &Scope) -> Result<Vec<RemoteItem>> {
        gather(&self.inner, ids, self.asked(scope)).await
    }

    async fn purge(&self, number: &str) -> Result<Purged> {
        let inner = &self.inner;
        let document = encode_purge(&inner.options.names.purge, inner.login(), number)?;
        inner.confirmed(Service::Purge, document).await
    }
}

impl Inner {
    /// Notes that the details service works.
    pub(super) fn note_answer(&self) {
        self.answered.store(true, Ordering::SeqCst);
    }
}
