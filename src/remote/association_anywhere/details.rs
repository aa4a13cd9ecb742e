//! Details of many customers: from as many requests as it takes, several in flight, with the customers that spoil an
//! answer isolated by halves.
//!
//! Each id ends in one of three ways: it comes as a record or as a bad record, or it is in no item because a good answer
//! left it out, also when it was asked for alone. Anything else is an error about all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;

use super::client::{Inner, Service, is_passing};
use super::decode::{DetailsAnswer, details};
use super::encode::{Asked, chunks, encode_details};
use super::schema::same;
use super::shape::complete;
use crate::model::{BadRecord, Error, RemoteId, RemoteItem, Result};
use crate::remote::http::{RetryLimits, Tried, repeat, run};

/// Tries of a half after the first: that something is wrong is known by then.
const RETRIES_OF_HALVES: u32 = 1;

/// When all eighths of a request failed and nothing was ever answered, it is the service that fails.
const HALVINGS_WITHOUT_ANSWER: u32 = 3;

/// Ids that go into one request.
struct Question {
    ids: Vec<RemoteId>,
    /// How often it was halved.
    halved: u32,
    /// A good answer left it out before.
    again: bool,
}

/// What became of one request.
enum Outcome {
    /// A good answer: what it holds of the ids, and those that it left out.
    Good(Vec<RemoteItem>, Vec<RemoteId>),
    /// An answer that something in it spoils.
    Spoiled(Error, Vec<u8>),
    /// The service fails at this question, or at all.
    Failed(Error, Vec<u8>),
}

/// Asks for `ids`, each once.
pub(super) async fn gather(
    inner: &Arc<Inner>,
    ids: &[RemoteId],
    asked: Asked,
) -> Result<Vec<RemoteItem>> {
    let asked = Arc::new(asked);
    let mut unique = Vec::with_capacity(ids.len());
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    for id in ids {
        if seen.insert(id) {
            unique.push(id.clone());
        }
    }
    let words = &inner.options.names.details;
    let chunks = chunks(words, inner.login(), &unique, &asked, inner.options.chunk)?;
    let mut questions: Vec<Question> = chunks
        .into_iter()
        .map(|ids| Question {
            ids: ids.to_vec(),
            halved: 0,
            again: false,
        })
        .collect();
    let mut items = Vec::with_capacity(unique.len());
    // Those that fail alone, while nobody knows whether the service works at all.
    let mut failed: Vec<(RemoteId, Error, Vec<u8>)> = Vec::new();
    while !questions.is_empty() {
        let round = std::mem::take(&mut questions);
        let mut answers = futures::stream::iter(round)
            .map(|question| ask(Arc::clone(inner), question, Arc::clone(&asked)))
            .buffer_unordered(inner.options.prefetch.max(1));
        while let Some(answer) = answers.next().await {
            let (question, outcome) = answer?;
            match outcome {
                Outcome::Good(mut found, missing) => {
                    items.append(&mut found);
                    if !question.again {
                        questions.extend(missing.into_iter().map(|id| Question {
                            ids: vec![id],
                            halved: 0,
                            again: true,
                        }));
                    }
                }
                Outcome::Failed(error, _)
                    if question.halved >= HALVINGS_WITHOUT_ANSWER
                        && !inner.answered.load(Ordering::SeqCst) =>
                {
                    return Err(error);
                }
                Outcome::Spoiled(error, _) | Outcome::Failed(error, _)
                    if question.ids.len() > 1 =>
                {
                    tracing::info!(
                        operation = "details",
                        code = error.code(),
                        customers = question.ids.len(),
                        "an answer can't be used; its customers are asked for in halves"
                    );
                    let (one, other) = question.ids.split_at(question.ids.len() / 2);
                    questions.extend([one, other].map(|half| Question {
                        ids: half.to_vec(),
                        halved: question.halved + 1,
                        again: question.again,
                    }));
                }
                Outcome::Spoiled(error, raw) => {
                    items.extend(
                        question
                            .ids
                            .into_iter()
                            .map(|id| bad(id, &error, raw.clone())),
                    );
                }
                Outcome::Failed(error, raw) => {
                    failed.extend(
                        question
                            .ids
                            .into_iter()
                            .map(|id| (id, error_of(&error), raw.clone())),
                    );
                }
            }
        }
    }
    if let Some((_, error, _)) = failed.first()
        && !inner.answered.load(Ordering::SeqCst)
    {
        return Err(error_of(error));
    }
    items.extend(
        failed
            .into_iter()
            .map(|(id, error, raw)| bad(id, &error, raw)),
    );
    Ok(items)
}

/// An error told a second time; its cause has been told with it.
fn error_of(error: &Error) -> Error {
    Error::new(error.kind(), error.code(), error.message())
}

async fn ask(
    inner: Arc<Inner>,
    question: Question,
    asked: Arc<Asked>,
) -> Result<(Question, Outcome)> {
    let (question, outcome) = run(async move {
        let outcome = inner.question(&question, &asked).await?;
        Ok((question, outcome))
    })
    .await?;
    Ok((question, outcome))
}

impl Inner {
    async fn question(&self, question: &Question, asked: &Asked) -> Result<Outcome> {
        let operation = Service::Details.name();
        let words = &self.options.names.details;
        let document = encode_details(words, self.login(), &question.ids, asked)?;
        let mut retries: RetryLimits = self.options.retries;
        if question.halved > 0 {
            retries.retries = retries.retries.min(RETRIES_OF_HALVES);
        }
        // What came last, where it came whole.
        let last = Mutex::new(None);
        let (document, last_answer) = (&document, &last);
        let got = repeat(
            self.transport.around(),
            &retries,
            operation,
            || async move {
                let received = match self.fetch(Service::Details, document).await {
                    Tried::Settled(Ok(received)) => received,
                    Tried::Settled(Err(error)) => return Tried::Settled(Err(error)),
                    Tried::Passing(error, told) => return Tried::Passing(error, told),
                };
                let reply = received.reply;
                let judged = self.asker(|asker| {
                    details(
                        &reply.body,
                        reply.content_type.as_deref(),
                        &self.reading,
                        asker,
                    )
                });
                let error = match judged {
                    Ok(answer) => match self.failure(&answer, question) {
                        None => return Tried::Settled(Ok(answer)),
                        Some(error) => error,
                    },
                    Err(error) => error,
                };
                *last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply.body);
                match error.code() {
                    "E-AUTH" => Tried::Settled(Err(self.refused(operation))),
                    "E-AA-ERROR" | "E-AA-NOTXML" | "E-BODY-TRUNCATED" => {
                        Tried::Passing(error, None)
                    }
                    _ => Tried::Settled(Err(error)),
                }
            },
        )
        .await;
        let error = match got {
            Ok(answer) => return Ok(self.sorted(answer, question, asked)),
            Err(error) => error,
        };
        let raw = last
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap_or_default();
        if is_cut_off(&error) {
            return Err(error);
        }
        Ok(match error.code() {
            "E-AA-ERROR" | "E-AA-NOTXML" | "E-BODY-SIZE" => Outcome::Failed(error, raw),
            "E-AA-STATUS" if error.message().contains("status 500") => Outcome::Failed(error, raw),
            "E-BODY-TRUNCATED" | "E-AA-MALFORMED" | "E-AA-SHAPE" | "E-AA-CHARSET" | "E-XML-DTD"
            | "E-XML-DEPTH" | "E-XML-COUNT" => {
                if holds_customers(&raw) {
                    Outcome::Spoiled(error, raw)
                } else {
                    Outcome::Failed(error, raw)
                }
            }
            _ => return Err(error),
        })
    }

    /// What is wrong with a well-formed answer as a whole.
    fn failure(&self, answer: &DetailsAnswer, question: &Question) -> Option<Error> {
        let verdict = &answer.verdict;
        let error = self.asker(|asker| verdict.as_error("details", asker));
        if answer.single && !verdict.refuses_credentials() {
            // The root is itself the one customer, so what it says is said of it.
            let is_of_one = question.ids.len() == 1 || !answer.items.is_empty();
            if is_of_one {
                return None;
            }
        }
        if error.is_some() {
            return error;
        }
        let nameless = answer
            .items
            .iter()
            .any(|item| matches!(item, RemoteItem::Bad(bad) if bad.id.is_none()));
        if nameless && question.ids.len() > 1 {
            return Some(Error::unreachable(
                "E-AA-SHAPE",
                "details: a customer of the answer has no custId that can be read",
            ));
        }
        None
    }

    /// The items of a good answer: each id once, those that nobody asked for left out, what was asked for completed.
    fn sorted(&self, answer: DetailsAnswer, question: &Question, asked: &Asked) -> Outcome {
        self.note_answer();
        let only = match question.ids.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let mut found: HashMap<RemoteId, RemoteItem> = HashMap::new();
        let mut foreign = 0_u32;
        if let (Some(id), true, Some(_)) = (only, answer.items.is_empty(), answer.verdict.failure())
        {
            let error = self.asker(|asker| answer.verdict.as_error("details", asker));
            if let Some(error) = error {
                found.insert(id.clone(), bad(id.clone(), &error, Vec::new()));
            }
        }
        for mut item in answer.items {
            let id = match &mut item {
                RemoteItem::Record(record) => {
                    complete(&mut record.document, &asked.sections, &self.read);
                    Some(record.id.clone())
                }
                RemoteItem::Bad(bad) => {
                    // Who was asked for alone is known without its name.
                    bad.id = bad.id.take().or_else(|| only.cloned());
                    bad.id.clone()
                }
            };
            let Some(id) = id.filter(|id| question.ids.contains(id)) else {
                foreign += 1;
                continue;
            };
            match found.get(&id) {
                Some(known) if *known == item => {}
                Some(_) => {
                    let twice = RemoteItem::Bad(BadRecord {
                        id: Some(id.clone()),
                        code: "Q-ID",
                        reason: "the answer holds the customer twice, and not alike".to_owned(),
                        raw: match item {
                            RemoteItem::Bad(bad) => bad.raw,
                            RemoteItem::Record(_) => Vec::new(),
                        },
                    });
                    found.insert(id, twice);
                }
                None => {
                    found.insert(id, item);
                }
            }
        }
        if foreign > 0 {
            tracing::warn!(
                operation = "details",
                customers = foreign,
                "the answer holds customers that nobody asked for; they are ignored"
            );
        }
        let mut items = Vec::with_capacity(found.len());
        let mut missing = Vec::new();
        for id in &question.ids {
            match found.remove(id) {
                Some(item) => items.push(item),
                None => missing.push(id.clone()),
            }
        }
        Outcome::Good(items, missing)
    }
}

/// Whether an answer that can't be read is at least one of this service, rather than a page of something before it.
fn holds_customers(raw: &[u8]) -> bool {
    raw.split(|byte| *byte == b'<').any(|tag| {
        let name = tag
            .split(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'))
            .next();
        name.and_then(|name| std::str::from_utf8(name).ok())
            .is_some_and(|name| same(name, "custInfo"))
    })
}

/// The connection broke, so nothing is known of the answer.
fn is_cut_off(error: &Error) -> bool {
    is_passing(error) && error.message().contains("then the connection broke")
}

/// A customer whose answer, asked for alone, can't be used.
fn bad(id: RemoteId, error: &Error, raw: Vec<u8>) -> RemoteItem {
    let code = match error.code() {
        "E-AA-CHARSET" => "Q-CHAR",
        "E-BODY-SIZE" => "Q-SIZE",
        "E-AA-ERROR" | "E-AA-NOTXML" | "E-AA-STATUS" => "Q-REMOTE",
        _ => "Q-SHAPE",
    };
    RemoteItem::Bad(BadRecord {
        id: Some(id),
        code,
        reason: error.to_string(),
        raw,
    })
}
