//! A running simulator, and a test's direct way to its people, clock, habits and log.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use chrono::{DateTime, Utc};

use crate::model::Result;
use crate::simulator::clock::Clock;
use crate::simulator::rules::Rules;
use crate::simulator::server::{self, Server};

use super::Entry;
use super::http::{self, PATH, Shared};
use super::operation::Operation;
use super::options::Options;
use super::people::People;
use super::person::Person;
use super::service::Service;
use super::switches::{Deletion, Quirks, Rule};

/// A simulator that answers until it is shut down or dropped.
///
/// It runs on threads of its own, so that a test may block, pause its runtime's time, or run the real binary.
pub struct ContactListSimulator {
    shared: Shared,
    server: Server,
}

impl ContactListSimulator {
    /// Seeds the people and begins to answer.
    ///
    /// Errors: `E-SIMULATE-LISTEN` for an address that is not loopback or that is taken.
    pub fn start(options: Options) -> Result<Self> {
        let bound = server::bind(options.listen)?;
        let url = format!("http://{}{PATH}", bound.address);
        let shared = Shared::new(Service::new(options), url);
        let router = Router::new()
            .fallback(http::handle)
            .with_state(shared.clone());
        Ok(Self {
            shared,
            server: bound.serve(router),
        })
    }

    /// The endpoint; `?WSDL` behind it gives the service description.
    pub fn url(&self) -> String {
        self.shared.url.to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How it was set up.
    pub fn options(&self) -> Options {
        self.shared.lock().options.clone()
    }

    /// Looks at the people under the lock. No request is served meanwhile.
    pub fn with_people<T>(&self, look: impl FnOnce(&People) -> T) -> T {
        let mut service = self.shared.lock();
        service.catch_up();
        look(&service.people)
    }

    /// Everybody, by id, deleted ones that still show included.
    pub fn people(&self) -> Vec<Person> {
        self.with_people(People::all)
    }

    /// The contact of this id.
    pub fn person(&self, id: i32) -> Option<Person> {
        self.with_people(|people| people.get(id))
    }

    /// Those with this External ID, by id.
    pub fn by_external(&self, key: &str) -> Vec<Person> {
        self.with_people(|people| people.by_external(key))
    }

    /// Changes a contact as a user of the CRM would: it gets the present stamp. False when there is none.
    pub fn edit(&self, id: i32, change: impl FnOnce(&mut Person)) -> bool {
        self.change(id, change, true)
    }

    /// Changes a contact without a new stamp, unless `change` sets one: what an incremental read never shows.
    pub fn edit_unstamped(&self, id: i32, change: impl FnOnce(&mut Person)) -> bool {
        self.change(id, change, false)
    }

    fn change(&self, id: i32, change: impl FnOnce(&mut Person), stamped: bool) -> bool {
        let mut service = self.shared.lock();
        let Some(mut person) = service.people.get(id) else {
            return false;
        };
        change(&mut person);
        person.entity_id = id;
        if stamped {
            person.last_update_date = service.stamp();
        }
        service.people.put(person);
        true
    }

    /// Adds a contact under a new id, which is returned; it gets the present stamp.
    pub fn insert(&self, mut person: Person) -> i32 {
        let mut service = self.shared.lock();
        person.entity_id = service.people.take_id();
        person.last_update_date = service.stamp();
        if person.create_date == super::person::year_one() {
            person.create_date = person.last_update_date;
        }
        let id = person.entity_id;
        service.people.put(person);
        id
    }

    /// Keeps a contact exactly as it is, id and stamps included.
    pub fn put(&self, person: Person) {
        self.shared.lock().people.put(person);
    }

    /// Deletes a contact; false when there is none.
    pub fn delete(&self, id: i32, how: Deletion) -> bool {
        let mut service = self.shared.lock();
        match service.people.get(id) {
            Some(person) => service.delete(person, how),
            None => false,
        }
    }

    /// A copy of all people, as a backup of the site would be.
    pub fn backup(&self) -> People {
        self.with_people(People::clone)
    }

    /// Puts a backup back: the site is older than it was.
    pub fn restore(&self, backup: People) {
        self.shared.lock().people = backup;
    }

    /// The service's time, its clock's error included.
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
        let mut service = self.shared.lock();
        let now = service.clock.true_now() + by;
        service.clock.source = Clock::Manual(now);
        service.catch_up();
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

    /// Turns a switch, written as on the command line (see [`super::Switches::set`]); the error is one sentence.
    pub fn switch(&self, text: &str) -> std::result::Result<(), String> {
        let mut service = self.shared.lock();
        let mut switches = super::Switches {
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
        self.shared
            .lock()
            .counts
            .get(&operation)
            .copied()
            .unwrap_or(0)
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
