//! The queues of the appendix: two pending ones, filled by changes, and the progress queue, which the job posts from.
//!
//! A row of a pending queue holds the record as it stood when it changed; its number in the progress queue is the
//! message's `uniqueId`. Deleting a customer takes its rows out of both before the deletion is queued. It must not post
//! anything.

use std::collections::VecDeque;

use crate::simulator::chance::{Dice, mix};

use super::message::{Action, Message};

/// What a further change does to a row that is still pending; the appendix does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coalescing {
    /// Each change has a row of its own.
    #[default]
    Each,
    /// One row a customer: it is renewed where it stands.
    KeepsPlace,
    /// One row a customer: it is renewed and goes to the end.
    ToTheEnd,
}

/// In which order pending rows become progress rows; the appendix does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Feed {
    /// As the changes happened.
    #[default]
    AsChanged,
    /// Customers, then transactions.
    CustomersFirst,
    /// Transactions, then customers: a transaction comes before its customer.
    TransactionsFirst,
    /// Each batch backwards: even a customer's own changes come in the wrong order.
    Backwards,
    /// Each batch in an order that follows from the seed.
    Shuffled,
}

/// What the queues are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueueRules {
    /// What happens to rows of the same customer.
    pub coalescing: Coalescing,
    /// In which order they leave.
    pub feed: Feed,
    /// Whether "all records related to the customer" are its transactions too.
    pub deletion_takes_transactions: bool,
}

/// A row of a pending queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Counts the changes of both queues.
    pub number: u64,
    /// UNIQUE_ID: the id of the customer or transaction.
    pub id: String,
    /// The customer that it belongs to.
    pub customer: Option<String>,
    /// DELETE_FLAG and CREATE_FLAG.
    pub action: Action,
    /// JSON_OBJECT: nothing for a deletion.
    pub json: Option<String>,
}

/// A row of the progress queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its key, which is the message's `uniqueId`.
    pub number: u64,
    /// The customer that it belongs to.
    pub customer: Option<String>,
    /// What is posted.
    pub message: Message,
}

/// All three queues.
#[derive(Clone, Debug)]
pub struct Queues {
    rules: QueueRules,
    customers: VecDeque<Pending>,
    transactions: VecDeque<Pending>,
    progress: VecDeque<Progress>,
    next_change: u64,
    next_unique_id: u64,
    dice: Dice,
}

impl Queues {
    /// Empty queues; the first message gets this number.
    pub fn new(rules: QueueRules, first_unique_id: u64, seed: u64) -> Self {
        Self {
            rules,
            customers: VecDeque::new(),
            transactions: VecDeque::new(),
            progress: VecDeque::new(),
            next_change: 1,
            next_unique_id: first_unique_id,
            dice: Dice::new(mix(seed)),
        }
    }

    /// Changes what the queues are like; rows stay as they are.
    pub fn set_rules(&mut self, rules: QueueRules) {
        self.rules = rules;
    }

    /// A customer was made or changed, and now is this.
    pub fn customer_changed(&mut self, id: &str, json: String, is_new: bool) {
        let action = if is_new {
            Action::Create
        } else {
            Action::Modify
        };
        let mut row = self.row(id, Some(id), action, Some(json));
        if self.rules.coalescing != Coalescing::Each {
            // A customer's last row, unless that deletes it: a deletion is never swallowed by what comes after it.
            let last = self.customers.iter().rposition(|have| have.id == id);
            if let Some(place) = last
                && let Some(have) = self.customers.get_mut(place)
                && have.action != Action::Delete
            {
                if have.action == Action::Create {
                    // Whoever never heard of the customer must hear that it was made.
                    row.action = Action::Create;
                }
                if self.rules.coalescing == Coalescing::KeepsPlace {
                    row.number = have.number;
                    *have = row;
                    return;
                }
                self.customers.remove(place);
            }
        }
        self.customers.push_back(row);
    }

    /// A customer was deleted: what waits of it goes, and its deletion waits.
    pub fn customer_deleted(&mut self, id: &str) {
        let is_of = |customer: &Option<String>| customer.as_deref() == Some(id);
        self.customers.retain(|row| row.id != id);
        let too = self.rules.deletion_takes_transactions;
        self.progress.retain(|row| {
            let is_transaction = row.message.kind() == Some(Action::Post);
            !is_of(&row.customer) || (is_transaction && !too)
        });
        if too {
            self.transactions.retain(|row| !is_of(&row.customer));
        }
        let row = self.row(id, Some(id), Action::Delete, None);
        self.customers.push_back(row);
    }

    /// A transaction was posted. Its customer's change is queued by `customer_changed`.
    pub fn transaction_posted(&mut self, id: &str, customer: Option<&str>, json: String) {
        let row = self.row(id, customer, Action::Post, Some(json));
        self.transactions.push_back(row);
    }

    fn row(
        &mut self,
        id: &str,
        customer: Option<&str>,
        action: Action,
        json: Option<String>,
    ) -> Pending {
        let number = self.next_change;
        self.next_change += 1;
        Pending {
            number,
            id: id.to_owned(),
            customer: customer.map(str::to_owned),
            action,
            json,
        }
    }

    /// Moves up to `batch` rows from the pending queues to the end of the progress queue; how many.
    pub fn transfer(&mut self, batch: usize) -> usize {
        let mut moved: Vec<Pending> = Vec::new();
        while moved.len() < batch {
            let transactions_next = match self.rules.feed {
                Feed::CustomersFirst => self.customers.is_empty(),
                Feed::TransactionsFirst => !self.transactions.is_empty(),
                _ => match (self.customers.front(), self.transactions.front()) {
                    (Some(customer), Some(transaction)) => transaction.number < customer.number,
                    (customer, _) => customer.is_none(),
                },
            };
            let next = if transactions_next {
                self.transactions.pop_front()
            } else {
                self.customers.pop_front()
            };
            match next {
                Some(row) => moved.push(row),
                None => break,
            }
        }
        match self.rules.feed {
            Feed::Backwards => moved.reverse(),
            Feed::Shuffled => self.dice.shuffle(&mut moved),
            _ => {}
        }
        let count = moved.len();
        for row in moved {
            let payload = row.json.unwrap_or(row.id);
            self.push(row.customer, |number| {
                Message::new(row.action, payload, number)
            });
        }
        count
    }

    /// Puts a message at the end of the progress queue, whatever it says, under the next number; that number.
    pub fn push(&mut self, customer: Option<String>, message: impl FnOnce(u64) -> Message) -> u64 {
        let number = self.next_unique_id;
        self.next_unique_id += 1;
        self.progress.push_back(Progress {
            number,
            customer,
            message: message(number),
        });
        number
    }

    /// The first rows of the progress queue.
    pub fn head(&self, count: usize) -> Vec<Progress> {
        self.progress.iter().take(count).cloned().collect()
    }

    /// Rows that were delivered leave. One that a deletion took meanwhile is no longer there.
    pub fn delivered(&mut self, rows: &[Progress]) {
        self.progress
            .retain(|row| rows.iter().all(|gone| gone.number != row.number));
    }

    /// The customers' pending rows.
    pub fn customers(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.customers.iter()
    }

    /// The transactions' pending rows.
    pub fn transactions(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.transactions.iter()
    }

    /// The rows of the progress queue.
    pub fn progress(&self) -> impl ExactSizeIterator<Item = &Progress> {
        self.progress.iter()
    }

    /// Whether there is nothing to post.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty() && self.transactions.is_empty() && self.progress.is_empty()
    }
}

#[cfg(test)]
mod tests;
