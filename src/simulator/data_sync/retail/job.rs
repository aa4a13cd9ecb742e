//! The Data Sync job: the progress queue first, then the pending ones batch by batch; one POST a record; the first
//! answer that is not exactly 200 ends it, and its record is the first of the next job.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::simulator::chance::Fate;
use crate::simulator::data_sync::ledger::Ledger;
use crate::simulator::data_sync::message::{Action, DeleteForm, Message};
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::data_sync::queue::Progress;
use crate::simulator::rules::Rules;

use super::books::Books;
use super::link::Link;
use super::options::{Fault, Habits, TokenUse};

/// How many delivered messages are remembered; older ones can't be replayed.
const SENT_MAX: usize = 100_000;

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Failure {
    /// Nobody said where to post to.
    NoTarget,
    /// The token's answer was this, or none, or held no token.
    Token {
        /// Its status, where it was not 200.
        status: Option<u16>,
    },
    /// A message was answered with another status than 200.
    Answer {
        /// Whose.
        unique_id: String,
        /// Which.
        status: u16,
    },
    /// No answer came.
    NoAnswer {
        /// To which message.
        unique_id: String,
    },
    /// The answer was thrown away, as a fault had it.
    Lost {
        /// Whose.
        unique_id: String,
    },
}

/// One POST of a job.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Post {
    /// Of its messages.
    pub unique_ids: Vec<String>,
    /// Of its messages.
    pub actions: Vec<String>,
    /// The length of its body.
    pub bytes: usize,
    /// The status that came.
    pub status: Option<u16>,
}

/// How a job went.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct JobReport {
    /// Its POSTs, in order.
    pub posts: Vec<Post>,
    /// How many tokens were fetched.
    pub tokens: usize,
    /// Why it failed; nothing: all queues are empty.
    pub failure: Option<Failure>,
}

impl JobReport {
    /// Whether everything was delivered.
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// The numbers of the messages, in the order in which they were posted, again when they were posted again.
    pub fn unique_ids(&self) -> Vec<&str> {
        let ids = self.posts.iter().flat_map(|post| &post.unique_ids);
        ids.map(String::as_str).collect()
    }
}

/// Everything that a job needs, under one lock.
pub(super) struct State {
    pub(super) books: Books,
    pub(super) link: Option<Link>,
    pub(super) batch: usize,
    pub(super) rules: Rules<Operation, Fault>,
    pub(super) fate: Fate,
    pub(super) ledger: Ledger,
    pub(super) sent: VecDeque<Message>,
    pub(super) token: Option<String>,
}

/// The state, and what keeps two jobs apart.
pub(super) struct Shared {
    state: Mutex<State>,
    running: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            running: tokio::sync::Mutex::new(()),
        }
    }

    /// The state, locked: never across a request. A panic elsewhere does not make its data less true.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job; a second one waits until the first is through.
    pub(super) async fn job(&self) -> JobReport {
        let _alone = self.running.lock().await;
        let mut report = JobReport::default();
        report.failure = self.deliver(&mut report).await.err();
        report
    }

    async fn deliver(&self, report: &mut JobReport) -> Result<(), Failure> {
        let mut token = None;
        while let Some((rows, habits)) = self.next() {
            let link = self.lock().link.clone().ok_or(Failure::NoTarget)?;
            if token.is_none() || habits.token_use == TokenUse::Message {
                token = Some(self.token(&link, &habits, report, false).await?);
            }
            self.deliver_rows(&rows, &habits, &link, &mut token, report)
                .await?;
        }
        Ok(())
    }

    /// The records of the next POST, and how it is written.
    fn next(&self) -> Option<(Vec<Progress>, Habits)> {
        let mut state = self.lock();
        let (batch, habits) = (state.batch, state.books.habits().clone());
        if state.books.queues.progress().len() == 0 {
            state.books.queues.transfer(batch);
        }
        let rows = state.books.queues.head(habits.per_post.unwrap_or(1).max(1));
        (!rows.is_empty()).then_some((rows, habits))
    }

    async fn deliver_rows(
        &self,
        rows: &[Progress],
        habits: &Habits,
        link: &Link,
        token: &mut Option<String>,
        report: &mut JobReport,
    ) -> Result<(), Failure> {
        let messages: Vec<Message> = rows.iter().map(|row| row.message.clone()).collect();
        let body = habits.form.envelope(&messages);
        let faults = self.draw(&messages, &body);
        let unique_id = || messages.first().map(|message| message.unique_id.clone());
        let unique_id = unique_id().unwrap_or_default();
        let post = Post {
            unique_ids: messages
                .iter()
                .map(|message| message.unique_id.clone())
                .collect(),
            actions: messages
                .iter()
                .map(|message| message.action.clone())
                .collect(),
            bytes: body.len(),
            status: None,
        };
        let bytes = body.into_bytes();
        let mut faults = faults.as_slice();
        // At most: as it is, once more after a lost answer, once more with a new token.
        let (mut is_again, mut is_renewed) = (false, false);
        loop {
            let bearer = token.as_deref().unwrap_or_default();
            let status = link.post(bearer, bytes.clone(), habits, faults).await;
            report.posts.push(Post {
                status,
                ..post.clone()
            });
            if status == Some(200) {
                self.note(&messages, habits);
            }
            if faults.contains(&Fault::Twice) && !is_again {
                is_again = true;
                faults = &[];
                continue;
            }
            if faults.contains(&Fault::LoseAnswer) {
                return Err(Failure::Lost { unique_id });
            }
            match status {
                Some(200) => {
                    self.lock().books.queues.delivered(rows);
                    return Ok(());
                }
                Some(401) if habits.renew && !is_renewed => {
                    is_renewed = true;
                    faults = &[];
                    *token = Some(self.token(link, habits, report, true).await?);
                }
                Some(status) => {
                    // A token that was refused is no longer kept.
                    self.lock().token.take_if(|_| status == 401);
                    return Err(Failure::Answer { unique_id, status });
                }
                None => return Err(Failure::NoAnswer { unique_id }),
            }
        }
    }

    fn draw(&self, messages: &[Message], body: &str) -> Vec<Fault> {
        let mut state = self.lock();
        let fate = if state.rules.need_fate() {
            state.fate.of(body.as_bytes())
        } else {
            0
        };
        messages
            .iter()
            .flat_map(Operation::sorts)
            .flat_map(|sort| state.rules.draw(sort, fate))
            .collect()
    }

    /// These messages were taken, whether or not the job hears of it.
    fn note(&self, messages: &[Message], habits: &Habits) {
        let mut state = self.lock();
        for message in messages {
            let mut told = message.clone();
            if habits.form.delete == DeleteForm::Null && told.kind() == Some(Action::Delete) {
                // Nobody can tell from it who was deleted.
                told.payload.clear();
            }
            state.ledger.take(&told);
            if state.sent.len() >= SENT_MAX {
                state.sent.pop_front();
            }
            state.sent.push_back(message.clone());
        }
    }

    async fn token(
        &self,
        link: &Link,
        habits: &Habits,
        report: &mut JobReport,
        is_refused: bool,
    ) -> Result<String, Failure> {
        if habits.token_use == TokenUse::Kept && !is_refused {
            let kept = self.lock().token.clone();
            if let Some(kept) = kept {
                return Ok(kept);
            }
        }
        report.tokens += 1;
        let token = link.token(habits).await;
        let token = token.map_err(|status| Failure::Token { status })?;
        self.lock().token = Some(token.clone());
        Ok(token)
    }

    /// Posts a body of any sort once, outside of the queues; the status.
    pub(super) async fn post_alone(&self, body: Vec<u8>) -> Result<u16, Failure> {
        let _alone = self.running.lock().await;
        let (link, habits) = {
            let state = self.lock();
            (state.link.clone(), state.books.habits().clone())
        };
        let link = link.ok_or(Failure::NoTarget)?;
        let token = self
            .token(&link, &habits, &mut JobReport::default(), false)
            .await?;
        let status = link.post(&token, body, &habits, &[]).await;
        status.ok_or(Failure::NoAnswer {
            unique_id: String::new(),
        })
    }
}
