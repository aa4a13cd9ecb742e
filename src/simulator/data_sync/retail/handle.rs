//! A running retail system, and a test's direct way to its customers, queues, habits and job.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::model::{Error, Result};
use crate::simulator::chance::Fate;
use crate::simulator::data_sync::customer::Customer;
use crate::simulator::data_sync::ledger::Ledger;
use crate::simulator::data_sync::message::{Action, Message};
use crate::simulator::data_sync::queue::Queues;
use crate::simulator::data_sync::seeded::Seeded;
use crate::simulator::data_sync::switch_text::Switches;
use crate::simulator::data_sync::transaction::Transaction;
use crate::simulator::rules::Rules;

use super::books::{Books, Survivor};
use super::job::{Failure, JobReport, Shared, State};
use super::link::Link;
use super::options::{Habits, Options, Rule, Target};

/// The retail system. Its job runs on a thread of its own, so that a test may block, pause its runtime's time, or run
/// the real binary.
///
/// ```no_run
/// # use contactbridge::simulator::data_sync::{Customer, RetailOptions, RetailSystem, Target};
/// # async fn example() -> contactbridge::model::Result<()> {
/// let orce = RetailSystem::start(RetailOptions::default())?;
/// orce.set_target(Target {
///     api_url: "http://127.0.0.1:8443/datasync".into(),
///     token_url: "http://127.0.0.1:8443/oauth2/token".into(),
///     client_id: "orce".into(),
///     client_secret: "made up".into(),
///     ca: None,
/// })?;
/// orce.add_customer(Customer::new("90017").named("Maren", None, Some("Quill")));
/// orce.switch("lose-answer=#1").expect("a fault");
/// assert!(!orce.run_job().await.is_success());
/// assert!(orce.run_job().await.is_success());
/// # Ok(())
/// # }
/// ```
pub struct RetailSystem {
    shared: Arc<Shared>,
    options: Options,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl RetailSystem {
    /// Sets up the customers.
    ///
    /// Errors: `E-SIMULATE-TARGET`, and `E-SIMULATE-LISTEN` where the system gives no thread.
    pub fn start(options: Options) -> Result<Self> {
        let seeded = Seeded {
            seed: options.seed,
            profile: options.profile,
        };
        let habits = options.habits.clone();
        let queues = Queues::new(habits.queues, options.first_unique_id, options.seed);
        let mut books = Books::new(seeded, habits, queues, options.enabled);
        for _ in 0..options.people {
            if options.queued {
                books.add_seeded();
            } else {
                books.add_unqueued();
            }
        }
        let link = options
            .target
            .clone()
            .map(|target| Link::new(target, options.patience))
            .transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("retail")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::config("E-SIMULATE-LISTEN", "No thread can be started").caused_by(error)
            })?;
        let shared = Shared::new(State {
            books,
            link,
            batch: options.batch.max(1),
            rules: Rules::new(options.rules.clone()),
            fate: Fate::new(options.seed),
            ledger: Ledger::default(),
            sent: Default::default(),
            token: None,
        });
        Ok(Self {
            shared: Arc::new(shared),
            options,
            runtime: Some(runtime),
        })
    }

    /// Says where to post to, from now on. Error: `E-SIMULATE-TARGET`.
    pub fn set_target(&self, target: Target) -> Result<()> {
        let link = Link::new(target, self.options.patience)?;
        let mut state = self.shared.lock();
        state.link = Some(link);
        state.token = None;
        Ok(())
    }

    /// Where it posts to.
    pub fn target(&self) -> Option<Target> {
        let state = self.shared.lock();
        state.link.as_ref().map(|link| link.target().clone())
    }

    /// Looks at, and changes, what the system keeps, under the lock. A job takes no record meanwhile.
    pub fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.shared.lock().books)
    }

    /// Adds a customer, or replaces the one of its id; its id.
    pub fn add_customer(&self, customer: Customer) -> String {
        self.with(|books| books.put(customer))
    }

    /// Adds so many seeded customers; their ids.
    pub fn add_seeded(&self, count: usize) -> Vec<String> {
        self.with(|books| (0..count).map(|_| books.add_seeded()).collect())
    }

    /// Changes a customer; false when there is none.
    pub fn update_customer(&self, id: &str, change: impl FnOnce(Customer) -> Customer) -> bool {
        self.with(|books| books.update(id, change))
    }

    /// Deletes a customer and whatever waits of it; false when there is none.
    pub fn delete_customer(&self, id: &str) -> bool {
        self.with(|books| books.delete(id))
    }

    /// Queues the deletion of a customer that nobody has heard of.
    pub fn delete_unknown(&self, id: &str) {
        self.with(|books| books.queue_deletion(id));
    }

    /// Merges customers; the id of the one that is left, nothing unless all were there.
    pub fn merge(&self, ids: &[&str], survivor: Survivor) -> Option<String> {
        self.with(|books| books.merge(ids, survivor))
    }

    /// Posts a transaction, which also changes its customer where there is one; its id.
    pub fn post_transaction(&self, transaction: Transaction) -> String {
        self.with(|books| books.post(transaction))
    }

    /// A segment job over the first so many customers; how many there were.
    pub fn segment_job(&self, count: usize) -> usize {
        self.with(|books| books.segment_job(count))
    }

    /// Queues a message, whatever it says; its number.
    pub fn queue_junk(&self, object: &str, action: &str, payload: &str) -> u64 {
        self.with(|books| books.queue_junk(object, action, payload))
    }

    /// Queues a message that was delivered once more, as it was; false when there is none of this number.
    pub fn replay(&self, unique_id: &str) -> bool {
        let mut state = self.shared.lock();
        let message = state.sent.iter().find(|sent| sent.unique_id == unique_id);
        let message = message.cloned();
        let is_known = message.is_some();
        if let Some(message) = message {
            state.books.queue_replay(message);
        }
        is_known
    }

    /// Runs the Data Sync job.
    pub async fn run_job(&self) -> JobReport {
        let shared = Arc::clone(&self.shared);
        let job = self.drive(async move { shared.job().await });
        job.await.unwrap_or_default()
    }

    /// Runs the job and blocks until it is through; must not be called from async code.
    pub fn run_job_blocking(&self) -> JobReport {
        let shared = Arc::clone(&self.shared);
        let job = self.drive(async move { shared.job().await });
        job.blocking_recv().unwrap_or_default()
    }

    /// Runs jobs until one succeeds, at most so many; their reports.
    pub async fn run_jobs(&self, jobs_max: usize) -> Vec<JobReport> {
        let mut reports = Vec::new();
        while reports.len() < jobs_max {
            let report = self.run_job().await;
            let is_success = report.is_success();
            reports.push(report);
            if is_success {
                break;
            }
        }
        reports
    }

    /// "Send Sample Message"; the status that came.
    pub async fn send_sample(&self) -> std::result::Result<u16, Failure> {
        let form = self.with(|books| books.habits().form.clone());
        self.post_body(form.envelope(&[Message::sample()])).await
    }

    /// Posts a body of any sort with a token, outside of the queues; the status that came.
    pub async fn post_body(&self, body: impl Into<Vec<u8>>) -> std::result::Result<u16, Failure> {
        let (shared, body) = (Arc::clone(&self.shared), body.into());
        self.drive(async move { shared.post_alone(body).await })
            .await
            .unwrap_or(Err(Failure::NoTarget))
    }

    /// Lets the thread of its own do something. Nothing comes back once the system is being dropped.
    fn drive<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Nobody may wait for it any more.
                let _ = done.send(work.await);
            });
        }
        result
    }

    /// The customers as they stand: what a receiver has in the end, once every job has succeeded and nothing but this
    /// system's own changes was sent, each once.
    pub fn customers(&self) -> Vec<Customer> {
        self.with(|books| books.customers().values().cloned().collect())
    }

    /// The customer of this id as it stands.
    pub fn customer(&self, id: &str) -> Option<Customer> {
        self.with(|books| books.customers().get(id).cloned())
    }

    /// The transactions.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.with(|books| books.transactions().values().cloned().collect())
    }

    /// What the messages that were answered with 200 amount to, in the order in which they were posted, whether or not
    /// the answer was thrown away: what a receiver has now.
    pub fn delivered(&self) -> Ledger {
        self.shared.lock().ledger.clone()
    }

    /// Those messages, in order, again when they were posted again.
    pub fn sent(&self) -> Vec<Message> {
        self.shared.lock().sent.iter().cloned().collect()
    }

    /// How many there are.
    pub fn sent_count(&self) -> usize {
        self.shared.lock().sent.len()
    }

    /// What waits, as actions, in order.
    pub fn waiting(&self) -> Vec<Action> {
        self.with(|books| books.waiting())
    }

    /// Changes what the system is like.
    pub fn with_habits(&self, change: impl FnOnce(&mut Habits)) {
        self.with(|books| {
            let mut habits = books.habits().clone();
            change(&mut habits);
            books.set_habits(habits);
        });
    }

    /// Adds a fault.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.lock().rules.add(rule);
    }

    /// Ends all faults; habits stay.
    pub fn clear_rules(&self) {
        self.shared.lock().rules = Rules::default();
    }

    /// Turns a switch of the retail system, written as on the command line; the error is one sentence.
    pub fn switch(&self, text: &str) -> std::result::Result<(), String> {
        let mut switches = Switches::default();
        self.with(|books| switches.retail_habits = books.habits().clone());
        switches.set_retail(text)?;
        switches
            .retail_rules
            .into_iter()
            .for_each(|rule| self.add_rule(rule));
        self.with(|books| books.set_habits(switches.retail_habits));
        Ok(())
    }
}

impl Drop for RetailSystem {
    /// Ends a job that runs, wherever it is.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
