//! What messages amount to, in the order in which they were taken: who is there now, and what came again.
//!
//! It is the truth that a receiver is measured against, so it must not share a line with one.

use std::collections::{BTreeMap, HashMap};

use crate::simulator::chance::hash;

use super::json::Json;
use super::message::{Action, Message};

/// What a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is news, and counts.
    Applied,
    /// The very same message was taken before: nothing changes.
    Repeated,
    /// It is news under a number that another content had before; it counts.
    Renumbered,
    /// The sample message: nothing changes.
    Sample,
    /// Nobody can tell what it means: nothing changes.
    Unreadable,
}

/// The sum of messages.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    customers: BTreeMap<String, Json>,
    transactions: BTreeMap<String, Json>,
    /// By type, action and uniqueId: the contents that came under them, as hashes.
    seen: HashMap<(String, String, String), Vec<u64>>,
    repeated: usize,
    unreadable: usize,
}

impl Ledger {
    /// Takes a message. A customer's or a transaction's payload is laid over what is there: what it does not name stays.
    pub fn take(&mut self, message: &Message) -> Effect {
        if message.is_sample() {
            return Effect::Sample;
        }
        let key = (
            message.object.clone(),
            message.action.clone(),
            message.unique_id.clone(),
        );
        let content = hash(message.payload.as_bytes());
        let contents = self.seen.entry(key).or_default();
        if contents.contains(&content) {
            self.repeated += 1;
            return Effect::Repeated;
        }
        contents.push(content);
        let is_renumbered = contents.len() > 1;
        if self.apply(message).is_none() {
            self.unreadable += 1;
            return Effect::Unreadable;
        }
        if is_renumbered {
            Effect::Renumbered
        } else {
            Effect::Applied
        }
    }

    fn apply(&mut self, message: &Message) -> Option<()> {
        let id = message.about()?;
        let records = match message.kind()? {
            Action::Delete => {
                self.customers.remove(&id);
                return Some(());
            }
            Action::Post => &mut self.transactions,
            Action::Create | Action::Modify => &mut self.customers,
        };
        let payload = Json::parse(&message.payload)?;
        match records.get_mut(&id) {
            Some(have) => have.overlay(payload),
            None => {
                records.insert(id, payload);
            }
        }
        Some(())
    }

    /// The customers that are there, by id.
    pub fn customers(&self) -> &BTreeMap<String, Json> {
        &self.customers
    }

    /// The transactions that are there, by id.
    pub fn transactions(&self) -> &BTreeMap<String, Json> {
        &self.transactions
    }

    /// How many messages came again.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// How many said nothing.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modify(number: u64, payload: &str) -> Message {
        Message::new(Action::Modify, payload, number)
    }

    #[test]
    fn the_same_content_counts_once_under_a_number_and_again_under_another() {
        let mut ledger = Ledger::default();
        let (a, b) = (
            r#"{"customerID":"1","n":"a"}"#,
            r#"{"customerID":"1","n":"b"}"#,
        );
        for (number, payload, effect, name) in [
            (1, a, Effect::Applied, "a"),
            (2, b, Effect::Applied, "b"),
            (1, a, Effect::Repeated, "b"),
            (3, a, Effect::Applied, "a"),
            (3, b, Effect::Renumbered, "b"),
        ] {
            assert_eq!(ledger.take(&modify(number, payload)), effect);
            assert_eq!(ledger.customers()["1"].text("n"), Some(name));
        }
        assert_eq!(ledger.repeated(), 1);
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_deleted_goes() {
        let mut ledger = Ledger::default();
        ledger.take(&modify(1, r#"{"customerID":"1","n":"a","list":[1,2]}"#));
        ledger.take(&modify(2, r#"{"customerID":"1","list":[],"x":null}"#));
        assert_eq!(
            ledger.customers()["1"].to_string(),
            r#"{"customerID":"1","n":"a","list":[],"x":null}"#
        );
        ledger.take(&Message::new(
            Action::Post,
            r#"{"retailTransactionId":"7"}"#,
            3,
        ));
        let gone = Message::new(Action::Delete, "1", 4);
        assert_eq!(ledger.take(&gone), Effect::Applied);
        assert_eq!(
            ledger.take(&Message::new(Action::Delete, "unknown", 5)),
            Effect::Applied
        );
        assert_eq!(
            (ledger.customers().len(), ledger.transactions().len()),
            (0, 1)
        );
    }

    #[test]
    fn what_means_nothing_changes_nothing() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(&Message::sample()), Effect::Sample);
        assert_eq!(ledger.take(&Message::sample()), Effect::Sample);
        for payload in ["", "[]", r#"{"customerId":"1"}"#, "90017", "{"] {
            assert_eq!(
                ledger.take(&modify(1, payload)),
                Effect::Unreadable,
                "{payload}"
            );
        }
        let mut odd = modify(9, r#"{"customerID":"1"}"#);
        odd.object = "POSTRN".to_owned();
        assert_eq!(ledger.take(&odd), Effect::Unreadable);
        assert_eq!((ledger.unreadable(), ledger.customers().len()), (6, 0));
    }
}
