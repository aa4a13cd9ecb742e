//! The customers and transactions of the retail system, and what its users and services do with them (orce.md §7).
//!
//! It must not post: every change is queued, as the appendix's tables H-1 to H-4 have it.

use std::collections::BTreeMap;

use crate::simulator::data_sync::customer::Customer;
use crate::simulator::data_sync::json::Json;
use crate::simulator::data_sync::message::{Action, Message};
use crate::simulator::data_sync::queue::Queues;
use crate::simulator::data_sync::seeded::Seeded;
use crate::simulator::data_sync::transaction::Transaction;

use super::options::Habits;

/// Which id the customer has that others were merged into; the appendix does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Survivor {
    /// A new one.
    #[default]
    New,
    /// That of the first customer, which is deleted and made again.
    First,
}

/// Everything that the retail system keeps.
#[derive(Clone, Debug)]
pub struct Books {
    seeded: Seeded,
    enabled: bool,
    habits: Habits,
    customers: BTreeMap<String, Customer>,
    transactions: BTreeMap<String, Transaction>,
    pub(super) queues: Queues,
    next_customer: u64,
    next_transaction: u64,
    next_segment: u64,
}

impl Books {
    pub(super) fn new(seeded: Seeded, habits: Habits, queues: Queues, enabled: bool) -> Self {
        Self {
            seeded,
            enabled,
            habits,
            customers: BTreeMap::new(),
            transactions: BTreeMap::new(),
            queues,
            next_customer: 0,
            next_transaction: 0,
            next_segment: 1,
        }
    }

    /// Adds a customer, or replaces the one of its id: `addOrUpdateCustomer`. Its id.
    pub fn put(&mut self, customer: Customer) -> String {
        let id = customer.id().to_owned();
        let is_new = self.customers.insert(id.clone(), customer).is_none();
        self.queue_customer(&id, is_new);
        id
    }

    /// Adds the next seeded customer; its id.
    pub fn add_seeded(&mut self) -> String {
        let customer = self.next_seeded();
        self.put(customer)
    }

    /// Adds the next seeded customer without queueing it, as one from before Data Sync was enabled; its id.
    pub fn add_unqueued(&mut self) -> String {
        let customer = self.next_seeded();
        let id = customer.id().to_owned();
        self.customers.insert(id.clone(), customer);
        id
    }

    fn next_seeded(&mut self) -> Customer {
        loop {
            let customer = self.seeded.customer(self.next_customer);
            self.next_customer += 1;
            if !self.customers.contains_key(customer.id()) {
                return customer;
            }
        }
    }

    /// Changes a customer; false when there is none. Its id must stay.
    pub fn update(&mut self, id: &str, change: impl FnOnce(Customer) -> Customer) -> bool {
        let Some(customer) = self.customers.get_mut(id) else {
            return false;
        };
        *customer = change(customer.clone());
        self.queue_customer(id, false);
        true
    }

    /// Deletes a customer; false when there is none, and then nothing is queued. Its transactions stay.
    pub fn delete(&mut self, id: &str) -> bool {
        let is_there = self.customers.remove(id).is_some();
        if is_there {
            self.queue_deletion(id);
        }
        is_there
    }

    /// Queues the deletion of a customer that the receiver has never heard of, or that is there all the same.
    pub fn queue_deletion(&mut self, id: &str) {
        if self.enabled {
            self.queues.customer_deleted(id);
        }
    }

    /// Merges customers: each is deleted, and one is made that has the first one's data and everybody's e-mail
    /// addresses, cards and notes. Its id; nothing unless all of them are there.
    pub fn merge(&mut self, ids: &[&str], survivor: Survivor) -> Option<String> {
        let merged: Vec<Customer> = ids
            .iter()
            .map(|id| self.customers.get(*id).cloned())
            .collect::<Option<_>>()?;
        let mut whole = merged.first()?.clone();
        for other in merged.iter().skip(1) {
            for list in [
                "entityInformation.individual.contactInformation.email",
                "customerCards.instrument",
                "customerNotes.customerNote",
            ] {
                if let Some(Json::List(items)) = other.body.get(list) {
                    items
                        .iter()
                        .for_each(|item| whole.body.push(list, item.clone()));
                }
            }
        }
        for id in ids {
            self.delete(id);
        }
        if survivor == Survivor::New {
            let id = self.next_seeded().id().to_owned();
            whole.body.set("customerID", id);
        }
        Some(self.put(whole))
    }

    /// Posts a transaction: it is queued, and its customer too where there is one, changed by the purchase.
    pub fn post(&mut self, mut transaction: Transaction) -> String {
        if let Some(offset) = &self.habits.offset {
            transaction.offset(offset);
        }
        let id = transaction.id().to_owned();
        let customer = transaction.customer().map(str::to_owned);
        let mut body = transaction.body.clone();
        self.leave_out(&mut body);
        if self.enabled {
            self.queues
                .transaction_posted(&id, customer.as_deref(), body.to_string());
        }
        if let Some(customer) = customer {
            let date = transaction
                .body
                .text("businessDate")
                .unwrap_or_default()
                .to_owned();
            let (cents, items) = (transaction.cents(), transaction.body.count("lineItems"));
            self.update(&customer, |mut customer| {
                customer.bought(cents, items, &date);
                customer
            });
        }
        self.transactions.insert(id.clone(), transaction);
        id
    }

    /// Posts the next seeded transaction of a customer, who need not be there; its id.
    pub fn post_seeded(&mut self, customer: &str) -> String {
        self.post_seeded_padded(customer, 0)
    }

    /// The same with a payload of at least about so many bytes.
    pub fn post_seeded_padded(&mut self, customer: &str, bytes: usize) -> String {
        let mut transaction = self.seeded.transaction(self.next_transaction, customer);
        self.next_transaction += 1;
        if bytes > 0 {
            transaction = transaction.padded(bytes);
        }
        self.post(transaction)
    }

    /// A segment job: the first `count` customers join a new segment. How many there were.
    pub fn segment_job(&mut self, count: usize) -> usize {
        let segment = self.next_segment;
        self.next_segment += 1;
        let ids: Vec<String> = self.customers.keys().take(count).cloned().collect();
        for id in &ids {
            self.update(id, |customer| {
                customer.segment(segment, &format!("Segment {segment}"))
            });
        }
        ids.len()
    }

    /// Puts a message at the end of the progress queue, whatever it says, under a number of its own; that number.
    pub fn queue_junk(&mut self, object: &str, action: &str, payload: &str) -> u64 {
        self.queues.push(None, |number| Message {
            action: action.to_owned(),
            payload: payload.to_owned(),
            object: object.to_owned(),
            unique_id: number.to_string(),
        })
    }

    /// Puts a message at the end of the progress queue once more, as it was, under its old number.
    pub fn queue_replay(&mut self, message: Message) {
        self.queues.push(None, |_| message);
    }

    fn queue_customer(&mut self, id: &str, is_new: bool) {
        let Some(customer) = self.customers.get(id) else {
            return;
        };
        if !self.enabled {
            return;
        }
        let mut body = customer.body.clone();
        if let Some(key) = &self.habits.email_key {
            body.rename("emailAddress", key);
        }
        self.leave_out(&mut body);
        self.queues.customer_changed(id, body.to_string(), is_new);
    }

    fn leave_out(&self, body: &mut Json) {
        for path in &self.habits.left_out {
            body.remove(path);
        }
    }

    /// Changes what the system is like, for changes from now on.
    pub(super) fn set_habits(&mut self, habits: Habits) {
        self.queues.set_rules(habits.queues);
        self.habits = habits;
    }

    /// What it is like.
    pub(super) fn habits(&self) -> &Habits {
        &self.habits
    }

    /// DataSyncEnabled: whether changes are queued from now on.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// The customers as they stand, by id.
    pub fn customers(&self) -> &BTreeMap<String, Customer> {
        &self.customers
    }

    /// The transactions, by id.
    pub fn transactions(&self) -> &BTreeMap<String, Transaction> {
        &self.transactions
    }

    /// The queues.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// What waits, as actions, in order: the progress queue, then the pending ones as they would be moved.
    pub fn waiting(&self) -> Vec<Action> {
        let mut queues = self.queues.clone();
        queues.transfer(usize::MAX);
        queues
            .progress()
            .filter_map(|row| row.message.kind())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::data_sync::queue::QueueRules;
    use crate::simulator::data_sync::seeded::Profile;

    fn books(habits: Habits) -> Books {
        let seeded = Seeded {
            seed: 1,
            profile: Profile::Plain,
        };
        let queues = Queues::new(QueueRules::default(), 1, 1);
        Books::new(seeded, habits, queues, true)
    }

    #[test]
    fn each_event_queues_the_messages_of_the_tables() {
        use Action::{Create, Delete, Modify, Post};
        let mut books = books(Habits::default());
        let (a, b) = (books.add_seeded(), books.add_seeded());
        assert_eq!(books.waiting(), [Create, Create]);
        books.update(&a, |customer| customer.note("n"));
        books.post_seeded(&a);
        books.post_seeded("nobody");
        assert_eq!(
            books.waiting(),
            [Create, Create, Modify, Post, Modify, Post]
        );
        let merged = books.merge(&[&a, &b], Survivor::New).unwrap();
        assert_eq!(books.waiting(), [Post, Post, Delete, Delete, Create]);
        assert_eq!(books.customers().keys().collect::<Vec<_>>(), [&merged]);
        assert_eq!(books.segment_job(10), 1);
        assert!(books.delete(&merged) && !books.delete(&merged));
        assert!(!books.update(&merged, |customer| customer));
        assert_eq!(books.waiting(), [Post, Post, Delete, Delete, Delete]);
    }

    #[test]
    fn a_merge_may_reuse_an_id() {
        use Action::{Create, Delete};
        let mut books = books(Habits::default());
        let (a, b) = (books.add_unqueued(), books.add_unqueued());
        assert_eq!(books.merge(&[&a, "nobody"], Survivor::First), None);
        assert_eq!(books.merge(&[&a, &b], Survivor::First), Some(a.clone()));
        assert_eq!(books.waiting(), [Delete, Delete, Create]);
        assert!(books.customers()[&a].email_at(1).is_some());
    }

    #[test]
    fn habits_shape_the_payload_and_not_the_customer() {
        let mut books = books(Habits {
            email_key: Some("eMailAddress".into()),
            left_out: vec!["alternateKey".into()],
            ..Habits::default()
        });
        let id = books.add_seeded();
        let payload = books
            .queues()
            .customers()
            .next()
            .unwrap()
            .json
            .clone()
            .unwrap();
        assert!(payload.contains("\"eMailAddress\":\"customer0@example.org\""));
        assert!(!payload.contains("alternateKey"));
        assert!(books.customers()[&id].email_at(0).is_some());
    }

    #[test]
    fn nothing_is_queued_while_data_sync_is_not_enabled() {
        let mut books = books(Habits::default());
        books.enable(false);
        let id = books.add_seeded();
        books.post_seeded(&id);
        books.delete(&id);
        assert!(books.queues().is_empty());
    }
}
