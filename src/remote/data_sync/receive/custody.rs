//! Where messages go before they are answered with 200, and how many requests share one durable commit.
//!
//! **Obligation before acknowledgement** (hazard H-55): a message is answered only after [`Custody::keep`] returned Ok. What keeping
//! means is the engine's business; here requests only wait for each other, so that a hundred of them cost one sync of the disk (H-57).

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use super::super::message::Message;
use crate::model::{Error, Result};

/// Takes messages over. `Ok` means that they are durable, whatever happens to this process; a caller then owes nothing more.
pub trait Custody: Send + Sync + 'static {
    /// Keeps the messages of one request, all or none, in their order and after those of calls that returned before.
    ///
    /// An error is answered with 503; the sender sends the same message again. What an error says goes to the log, never to the
    /// sender. A call whose caller went away may still keep its messages: the repetition is known by its bytes.
    fn keep(&self, messages: Vec<Message>) -> impl Future<Output = Result<()>> + Send;
}

/// The bounds of a group commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Messages in one commit; one request's messages are never parted.
    pub messages: usize,
    /// Bytes of messages in one commit.
    pub bytes: usize,
    /// Requests that wait; further ones wait to be let in.
    pub waiting: usize,
}

/// A thousand small messages take a few milliseconds to write and share the one sync that takes longer.
pub const DEFAULT_GROUP_MESSAGES: usize = 1_000;
/// Beyond this the writing takes longer than the sync, and nobody gains by waiting for it.
pub const DEFAULT_GROUP_BYTES: usize = 8 << 20;
/// More than there are connections, so that it is the connections that bound what waits.
pub const DEFAULT_GROUP_WAITING: usize = 256;

impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            messages: DEFAULT_GROUP_MESSAGES,
            bytes: DEFAULT_GROUP_BYTES,
            waiting: DEFAULT_GROUP_WAITING,
        }
    }
}

struct Waiting {
    messages: Vec<Message>,
    bytes: usize,
    answer: oneshot::Sender<Result<()>>,
}

/// [`Custody`] by commits that several requests share. Clones hand over to the same [`Gathered`].
#[derive(Clone)]
pub struct Group {
    queue: mpsc::Sender<Waiting>,
}

/// What requests have handed over, for whoever owns the store to commit.
pub struct Gathered {
    queue: mpsc::Receiver<Waiting>,
    limits: GroupLimits,
}

impl Group {
    /// Both ends: the one for the receiver, the other for the task that owns the store.
    pub fn new(limits: GroupLimits) -> (Self, Gathered) {
        let (sender, receiver) = mpsc::channel(limits.waiting.max(1));
        let gathered = Gathered {
            queue: receiver,
            limits,
        };
        (Self { queue: sender }, gathered)
    }
}

impl Custody for Group {
    async fn keep(&self, messages: Vec<Message>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let gone = || {
            Error::needs_person(
                "E-HOOK-CUSTODY",
                "The messages could not be kept: nothing is there any more that keeps them",
            )
        };
        let (answer, kept) = oneshot::channel();
        let waiting = Waiting {
            bytes: messages.iter().map(Message::weight).sum(),
            messages,
            answer,
        };
        self.queue.send(waiting).await.map_err(|_| gone())?;
        kept.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Gathered {
    /// Commits what comes in, one commit after the other, each with everything that came while the one before ran.
    ///
    /// `commit` must return Ok only when all of its messages are durable. After an error its requests are refused and the next
    /// ones tried: a full disk may have room again. Ends when all [`Group`]s are gone. It need not be sent between threads, so
    /// that it can run beside the engine.
    pub async fn run<F, C>(mut self, mut commit: F)
    where
        F: FnMut(Vec<Message>) -> C,
        C: Future<Output = Result<()>>,
    {
        let mut next = self.queue.recv().await;
        while let Some(first) = next.take() {
            let mut answers = vec![first.answer];
            let mut messages = first.messages;
            let mut bytes = first.bytes;
            while let Ok(waiting) = self.queue.try_recv() {
                let full = messages.len() + waiting.messages.len() > self.limits.messages
                    || bytes + waiting.bytes > self.limits.bytes;
                if full {
                    next = Some(waiting);
                    break;
                }
                messages.extend(waiting.messages);
                bytes += waiting.bytes;
                answers.push(waiting.answer);
            }
            let count = messages.len();
            match commit(messages).await {
                // A request that went away needs no answer.
                Ok(()) => answers.into_iter().for_each(|answer| {
                    let _ = answer.send(Ok(()));
                }),
                Err(error) => {
                    tracing::error!(
                        code = error.code(),
                        messages = count,
                        "messages could not be kept: {}",
                        error.message()
                    );
                    for answer in answers {
                        let again = Error::new(error.kind(), error.code(), error.message());
                        let _ = answer.send(Err(again));
                    }
                }
            }
            if next.is_none() {
                next = self.queue.recv().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures::future::join_all;

    use super::*;

    fn message(number: usize) -> Message {
        let mut message = Message::sample();
        message.unique_id = number.to_string();
        message
    }

    type Commits = Rc<RefCell<Vec<Vec<String>>>>;

    /// Requests of one message each; what they were told, and what was committed together.
    async fn requests(
        count: usize,
        limits: GroupLimits,
        fails: fn(usize) -> bool,
    ) -> (Vec<bool>, Vec<Vec<String>>) {
        let (group, gathered) = Group::new(limits);
        let commits = Commits::default();
        let seen = Rc::clone(&commits);
        let commit = move |messages: Vec<Message>| {
            let seen = Rc::clone(&seen);
            async move {
                tokio::task::yield_now().await;
                let number = seen.borrow().len();
                let ids = messages.into_iter().map(|message| message.unique_id);
                seen.borrow_mut().push(ids.collect());
                if fails(number) {
                    return Err(Error::needs_person("E-DISK", "full"));
                }
                Ok(())
            }
        };
        let clients = async move {
            let calls = (0..count).map(|number| group.keep(vec![message(number)]));
            join_all(calls).await
        };
        let (answers, ()) = futures::join!(clients, gathered.run(commit));
        let commits = commits.borrow().clone();
        (answers.iter().map(Result::is_ok).collect(), commits)
    }

    #[tokio::test]
    async fn h57_requests_that_come_together_share_a_commit_in_their_order() {
        let (answers, commits) = requests(100, GroupLimits::default(), |_| false).await;
        assert!(answers.iter().all(|kept| *kept));
        assert!(commits.len() <= 2, "{}", commits.len());
        let order: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(commits.concat(), order);
    }

    #[tokio::test]
    async fn a_commit_is_no_larger_than_its_bounds() {
        let limits = GroupLimits {
            messages: 7,
            ..GroupLimits::default()
        };
        let (answers, commits) = requests(50, limits, |_| false).await;
        assert_eq!(answers.len(), 50);
        assert_eq!(commits.concat().len(), 50);
        assert!(commits.iter().all(|commit| commit.len() <= 7));
        // A message that is larger than a commit may be goes alone.
        let limits = GroupLimits {
            bytes: 1,
            waiting: 2,
            ..GroupLimits::default()
        };
        let (answers, commits) = requests(9, limits, |_| false).await;
        assert!(answers.iter().all(|kept| *kept));
        assert!(commits.len() == 9);
    }

    #[tokio::test]
    async fn h55_who_was_in_a_failed_commit_is_refused_and_nobody_else() {
        let limits = GroupLimits {
            messages: 10,
            ..GroupLimits::default()
        };
        let (answers, commits) = requests(30, limits, |number| number == 1).await;
        for (number, commit) in commits.iter().enumerate() {
            for id in commit {
                assert_eq!(answers[id.parse::<usize>().unwrap()], number != 1, "{id}");
            }
        }
        assert_eq!(
            answers.iter().filter(|kept| !**kept).count(),
            commits[1].len()
        );
    }

    #[tokio::test]
    async fn without_a_keeper_nothing_is_acknowledged() {
        let (group, gathered) = Group::new(GroupLimits::default());
        let waiting = group.keep(vec![message(1)]);
        drop(gathered);
        assert_eq!(waiting.await.unwrap_err().code(), "E-HOOK-CUSTODY");
        assert!(group.keep(Vec::new()).await.is_ok());
    }
}
