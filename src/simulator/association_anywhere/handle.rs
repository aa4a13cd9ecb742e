//! A running simulator, and a test's direct way to its customers, queue, clock, habits and log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use chrono::{DateTime, Utc};

use crate::model::Result;
use crate::simulator::clock::Clock;
use crate::simulator::rules::Rules;
use crate::simulator::server::{self, Server};

use super::Entry;
use super::customer::Customer;
use super::http::{self, Shared};
use super::operation::Operation;
use super::options::Options;
use super::queue::Row;
use super::service::{Moment, Service};
use super::site::Site;
use super::switches::{Poison, Quirks, Rule, Switches};

/// A simulator that answers until it is shut down or dropped, on threads of its own.
pub struct AssociationAnywhereSimulator {
    shared: Shared,
    server: Server,
}

impl AssociationAnywhereSimulator {
    /// Sets up the customers and begins to answer.
    ///
    /// Errors: `E-SIMULATE-LISTEN` for an address that is not loopback or that is taken.
    pub fn start(options: Options) -> Result<Self> {
        let bound = server::bind(options.listen)?;
        let shared = Shared::new(Service::new(options));
        let router = Router::new()
            .fallback(http::handle)
            .with_state(shared.clone());
        Ok(Self {
            shared,
            server: bound.serve(router),
        })
    }

    /// The address below which the services are, without a slash at its end.
    pub fn base(&self) -> String {
        format!(
            "http://{}/{}",
            self.server.address,
            self.shared.lock().options.environment
        )
    }

    /// The address of a service.
    pub fn url(&self, operation: Operation) -> String {
        format!(
            "{}/{}.{}",
            self.base(),
            operation.package(),
            operation.name()
        )
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How it was set up.
    pub fn options(&self) -> Options {
        self.shared.lock().options.clone()
    }

    /// Looks at, and changes, what the service keeps, under the lock. No request is served meanwhile.
    pub fn with<T>(&self, act: impl FnOnce(&mut Site) -> T) -> T {
        let mut service = self.shared.lock();
        service.catch_up();
        act(&mut service.site)
    }

    /// The customer of this id as it stands now.
    pub fn customer(&self, id: &str) -> Option<Customer> {
        self.with(|site| site.customer(id))
    }

    /// Everybody, grown ones first.
    pub fn customers(&self) -> Vec<Customer> {
        self.with(|site| site.customers())
    }

    /// The ids of everybody, grown ones first.
    pub fn ids(&self) -> Vec<String> {
        self.with(|site| site.ids())
    }

    /// Adds a customer, or replaces one; the number of its row (see [`Site::create`]).
    pub fn create(&self, customer: Customer) -> u64 {
        self.with(|site| site.create(customer))
    }

    /// Changes a customer as a user of the site would; the numbers of its rows (see [`Site::edit`]).
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut Customer)) -> Option<Vec<u64>> {
        self.with(|site| site.edit(id, change))
    }

    /// Deletes a customer; false when there is none (see [`Site::delete`]).
    pub fn delete(&self, id: &str) -> bool {
        self.with(|site| site.delete(id))
    }

    /// Notes an event, whatever it says and of whomever; the number of its row.
    pub fn enqueue(
        &self,
        id: &str,
        action: impl Into<Cow<'static, str>>,
        table: impl Into<Cow<'static, str>>,
    ) -> u64 {
        self.with(|site| site.enqueue(id, action, table))
    }

    /// The rows of the queue, by number.
    pub fn queue(&self) -> Vec<Row> {
        self.with(|site| site.queue())
    }

    /// How many rows there are.
    pub fn queue_len(&self) -> usize {
        self.with(|site| site.queue_len())
    }

    /// A copy of what the service keeps, as a backup would be.
    pub fn backup(&self) -> Site {
        self.with(|site| site.clone())
    }

    /// Puts a backup back.
    pub fn restore(&self, backup: Site) {
        self.with(|site| *site = backup);
    }

    /// Lets something happen at the `nth` time from now (1: the next) that this moment comes. Requests that faults keep
    /// from being worked on, and those with wrong credentials, don't count.
    pub fn at(&self, moment: Moment, nth: u64, act: impl FnOnce(&mut Site) + Send + 'static) {
        let mut service = self.shared.lock();
        service.hooks.push((moment, nth.max(1), Box::new(act)));
    }

    /// How many hooks wait for their moment.
    pub fn hooks_waiting(&self) -> usize {
        self.shared.lock().hooks.len()
    }

    /// Lets a customer spoil every answer that holds its details.
    pub fn poison(&self, id: &str, poison: Poison) {
        let mut service = self.shared.lock();
        service.quirks.poison.insert(id.to_owned(), poison);
    }

    /// Ends that.
    pub fn heal(&self, id: &str) {
        self.shared.lock().quirks.poison.remove(id);
    }

    /// The service's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.lock().clock.now()
    }

    /// Sets a manual clock (and makes the clock manual); late requests that are due are then worked on.
    pub fn set_now(&self, instant: DateTime<Utc>) {
        let mut service = self.shared.lock();
        service.clock.source = Clock::Manual(instant);
        service.catch_up();
    }

    /// Moves the clock on (and makes it manual); late requests that are due are then worked on.
    pub fn advance(&self, by: chrono::Duration) {
        let now = self.shared.lock().clock.true_now() + by;
        self.set_now(now);
    }

    /// Changes the quirks.
    pub fn with_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        let mut service = self.shared.lock();
        let mut quirks = service.quirks.clone();
        change(&mut quirks);
        service.set_quirks(quirks);
    }

    /// Adds a fault.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.lock().rules.add(rule);
    }

    /// Ends all faults; quirks stay.
    pub fn clear_rules(&self) {
        self.shared.lock().rules = Rules::default();
    }

    /// Turns a switch, written as on the command line (see [`Switches::set`]); the error is one sentence.
    pub fn switch(&self, text: &str) -> std::result::Result<(), String> {
        let mut service = self.shared.lock();
        let mut switches = Switches {
            rules: Vec::new(),
            quirks: service.quirks.clone(),
        };
        switches.set(text)?;
        switches
            .rules
            .into_iter()
            .for_each(|rule| service.rules.add(rule));
        service.set_quirks(switches.quirks);
        Ok(())
    }

    /// How many requests of this operation arrived, lost ones included.
    pub fn count(&self, operation: Operation) -> u64 {
        self.counts().get(&operation).copied().unwrap_or(0)
    }

    /// How many requests of each operation arrived.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        self.shared.lock().counts.clone()
    }

    /// The requests so far, in the order in which they were served.
    pub fn log(&self) -> Vec<Entry> {
        let mut service = self.shared.lock();
        service.catch_up();
        service.log.entries()
    }

    /// Forgets log and counters.
    pub fn clear_log(&self) {
        let mut service = self.shared.lock();
        service.log.clear();
        service.counts.clear();
    }

    /// Stops answering; requests under way are cut.
    pub fn shutdown(self) {
        drop(self.server);
    }
}
