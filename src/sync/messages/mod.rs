//! A pass of a data-sync bridge over one of its objects: what was posted to us becomes rows, and what changed in the rows
//! becomes messages in the outbox, which [`send`] posts afterwards.
//!
//! Received messages stand in for a service that queues what changed (ADR 0008), so that planning, guards and rows are those of any
//! other bridge. What is sent is decided by the link's bases alone: nobody can be asked what the other side shows (ADR 0012).

mod changes;
mod enqueue;
mod inbox;
mod mail;
mod outbox;
mod pages;
mod post;
mod tell;

use crate::local::Local;
use crate::model::World;
use crate::remote::data_sync::Object;
use crate::state::StateStore;

use super::queue::{DEFAULT_PART, PurgeWhen, QueueRules};
use super::run::Run;
use super::{Engine, Finished, Halt, RunOptions};

pub use inbox::Inbox;
pub(crate) use mail::is_message;
pub use mail::{Keeper, waiting};
pub use outbox::{Unsent, unsent};
pub use post::{Post, send};

/// How messages are worked off.
#[derive(Clone, Copy, Debug)]
pub struct MessageRules {
    /// The object of this pass.
    pub object: Object,
    /// The bridge receives.
    pub receives: bool,
    /// The bridge sends.
    pub sends: bool,
    /// Transactions are mapped; else their messages are passed over.
    pub transactions: bool,
    /// `order: unique-id`.
    pub by_unique_id: bool,
    /// Nesting of a payload.
    pub json_depth: u32,
}

impl<S: StateStore, L: Local, W: World> Engine<'_, Inbox<'_, S>, L, S, W> {
    /// One pass over one object. It always gives a report; what went wrong stands in it. That of customers comes first: it sorts
    /// what has arrived for both.
    pub async fn run_messages(&mut self, rules: &MessageRules, options: &RunOptions) -> Finished {
        let begun = self.begin();
        let mut run = Run::new(self, options);
        let halt = self.exchange(&mut run, rules, options).await.err();
        self.end(run, halt, begun)
    }

    async fn exchange(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        options: &RunOptions,
    ) -> Result<(), Halt> {
        self.start(run).await?;
        let everything = run.full;
        self.prepare_queue(run);
        self.recover(run).await?;
        if rules.receives {
            self.take_in(run, rules, options).await?;
        } else if run.relink && !options.dry {
            // Only for what the database has recorded.
            self.journal_own(run).await?;
        }
        if rules.sends {
            self.queue_changes(run, rules, everything).await?;
        }
        if options.dry {
            return Ok(());
        }
        self.finish_queue(run).await?;
        self.remote.clear_waiting().await?;
        Ok(())
    }

    async fn take_in(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        options: &RunOptions,
    ) -> Result<(), Halt> {
        let queue = QueueRules {
            purge: PurgeWhen::Processed,
            reasons: true,
            chunk: 1,
            part: DEFAULT_PART,
        };
        if rules.object == Object::Customer {
            self.sort_mail(run, rules).await?;
        }
        if options.dry {
            return self.plan_queue(run, queue).await;
        }
        self.journal_own(run).await?;
        if run.relink {
            self.work_off(run, queue).await
        } else {
            self.empty_queue(run, queue).await
        }
    }
}
