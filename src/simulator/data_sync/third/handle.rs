//! A running third-party application, and a test's direct way to what it took, its habits, clock and faults.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::model::Result;
use crate::simulator::clock::Clock;
use crate::simulator::data_sync::json::Json;
use crate::simulator::data_sync::ledger::Ledger;
use crate::simulator::data_sync::message::Action;
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::data_sync::switch_text::Switches;
use crate::simulator::rules::Rules;
use crate::simulator::server::{self, Server};
use crate::simulator::tls;

use super::check::Defect;
use super::http::{self, Shared};
use super::options::{Habits, Options, Rule};
use super::service::{Accepted, Attempt, Service};

/// An application that answers until it is shut down or dropped, on threads of its own.
///
/// ```no_run
/// # use contactbridge::simulator::data_sync::{ThirdOptions, ThirdParty};
/// let third = ThirdParty::start(ThirdOptions::default())?;
/// third.switch("status=500/#2").expect("a fault");
/// // … let a bridge post to third.api_url() with a token of third.token_url() …
/// let numbers: Vec<String> = third.accepted().into_iter().map(|one| one.message.unique_id).collect();
/// assert!(third.defects().is_empty());
/// # Ok::<(), contactbridge::model::Error>(())
/// ```
pub struct ThirdParty {
    shared: Shared,
    server: Server,
}

impl ThirdParty {
    /// Begins to answer.
    ///
    /// Errors: `E-SIMULATE-LISTEN` for an address that is not loopback or that is taken, `E-SIMULATE-TLS`.
    pub fn start(options: Options) -> Result<Self> {
        Self::start_with(options, |_| Router::new())
    }

    /// Begins to answer, also at the paths of another router.
    pub(in crate::simulator::data_sync) fn start_with(
        options: Options,
        more: impl FnOnce(&Shared) -> Router,
    ) -> Result<Self> {
        let tls = options.tls.as_ref().map(tls::config).transpose()?;
        let bound = server::bind(options.listen)?;
        let shared = Shared::new(Service::new(options));
        let router = Router::new()
            .fallback(http::handle)
            .with_state(shared.clone());
        let router = more(&shared).merge(router);
        Ok(Self {
            shared,
            server: bound.serve_over(router, tls),
        })
    }

    /// Where messages are taken.
    pub fn api_url(&self) -> String {
        let service = self.shared.lock();
        self.url(&service.options, &service.options.path)
    }

    /// Where tokens are given out.
    pub fn token_url(&self) -> String {
        let service = self.shared.lock();
        self.url(&service.options, &service.options.token_path)
    }

    /// The address of a path.
    pub(in crate::simulator::data_sync) fn url(&self, options: &Options, path: &str) -> String {
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{path}", self.server.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How it was set up.
    pub fn options(&self) -> Options {
        self.shared.lock().options.clone()
    }

    /// The messages that were taken, in order, again when they came again, the sample message too.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.lock().accepted.clone()
    }

    /// The requests, in order, however they went.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.lock().attempts.clone()
    }

    /// What was wrong with requests, in order, and which message's, where one could be made out. A refused token is not
    /// among them.
    pub fn defects(&self) -> Vec<(Defect, Option<String>)> {
        self.shared.lock().defects.clone()
    }

    /// What the messages amount to: customers and transactions as they should stand, and how many came again.
    pub fn ledger(&self) -> Ledger {
        self.shared.lock().ledger.clone()
    }

    /// The customers as they stand, by id.
    pub fn customers(&self) -> BTreeMap<String, Json> {
        self.shared.lock().ledger.customers().clone()
    }

    /// The customer of this id as it stands.
    pub fn customer(&self, id: &str) -> Option<Json> {
        self.shared.lock().ledger.customers().get(id).cloned()
    }

    /// The transactions, by id.
    pub fn transactions(&self) -> BTreeMap<String, Json> {
        self.shared.lock().ledger.transactions().clone()
    }

    /// How many messages came again.
    pub fn repeated(&self) -> usize {
        self.shared.lock().ledger.repeated()
    }

    /// How many tokens were given out.
    pub fn token_count(&self) -> usize {
        self.shared.lock().scopes.len()
    }

    /// The scope that each of them was asked for with.
    pub fn scopes(&self) -> Vec<Option<String>> {
        self.shared.lock().scopes.clone()
    }

    /// How many messages came while another was still being answered: 0 for a sender that posts one at a time.
    pub fn overlap_count(&self) -> usize {
        self.shared.lock().overlap_count
    }

    /// Takes back every token that was given out.
    pub fn expire_tokens(&self) {
        self.shared.expire_tokens();
    }

    /// Its time.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.lock().clock.now()
    }

    /// Moves the clock on, and makes it manual.
    pub fn advance(&self, by: chrono::Duration) {
        let mut service = self.shared.lock();
        let now = service.clock.true_now() + by;
        service.clock.source = Clock::Manual(now);
    }

    /// Changes what it is like.
    pub fn with_habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.shared.lock().habits);
    }

    /// Adds a fault.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.lock().rules.add(rule);
    }

    /// Ends all faults; habits stay.
    pub fn clear_rules(&self) {
        self.shared.clear_rules();
    }

    /// Turns a switch of the application, written as on the command line; the error is one sentence.
    pub fn switch(&self, text: &str) -> std::result::Result<(), String> {
        self.shared.switch(text)
    }

    /// Forgets messages, attempts and defects; numbers that were seen stay known.
    pub fn clear_log(&self) {
        let mut service = self.shared.lock();
        service.accepted.clear();
        service.attempts.clear();
        service.defects.clear();
    }

    /// How many requests of this sort came (messages, or requests for a token).
    pub fn count(&self, operation: Operation) -> usize {
        let service = self.shared.lock();
        let of = |attempt: &&Attempt| attempt.operation == operation;
        service.attempts.iter().filter(of).count()
    }

    /// Stops answering; requests under way are cut.
    pub fn shutdown(self) {
        drop(self.server);
    }
}

impl Shared {
    /// Ends all faults.
    pub(in crate::simulator::data_sync) fn clear_rules(&self) {
        self.lock().rules = Rules::default();
    }

    /// Takes back every token.
    pub(in crate::simulator::data_sync) fn expire_tokens(&self) {
        self.lock().expire_all();
    }

    /// The `Date` header.
    pub(in crate::simulator::data_sync) fn date(&self) -> String {
        self.lock().clock.header()
    }

    /// Counts, for whoever asks from outside.
    pub(in crate::simulator::data_sync) fn status(&self) -> serde_json::Value {
        let service = self.lock();
        let of = |action| {
            let is_of = |one: &&Accepted| one.action == Some(action);
            service.accepted.iter().filter(is_of).count()
        };
        let actions = Action::ALL.map(|action| (action.name().to_owned(), of(action).into()));
        let defects: Vec<_> = service
            .defects
            .iter()
            .map(|(defect, unique_id)| json!({ "defect": defect, "unique_id": unique_id }))
            .collect();
        json!({
            "requests": service.attempts.len(),
            "tokens": service.scopes.len(),
            "accepted": service.accepted.len(),
            "actions": serde_json::Map::from_iter(actions),
            "repeated": service.ledger.repeated(),
            "customers": service.ledger.customers().len(),
            "transactions": service.ledger.transactions().len(),
            "last_unique_id": service.accepted.last().map(|one| &one.message.unique_id),
            "overlaps": service.overlap_count,
            "defects": defects,
        })
    }

    /// Turns a switch; the error is one sentence.
    pub(in crate::simulator::data_sync) fn switch(
        &self,
        text: &str,
    ) -> std::result::Result<(), String> {
        let mut service = self.lock();
        let mut switches = Switches {
            third_habits: service.habits,
            ..Switches::default()
        };
        switches.set_third(text)?;
        service.habits = switches.third_habits;
        switches
            .third_rules
            .into_iter()
            .for_each(|rule| service.rules.add(rule));
        Ok(())
    }
}
