//! What the service keeps: customers, grown on demand and overridden by what was changed, and the queue of events.
//!
//! Knows nothing of requests and answers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::customer::{Customer, MASTER, table_of};
use super::queue::{Coalescing, Queue, Row};
use super::seeded::Seeded;

/// What the service keeps. Tests change it through a simulator's handle and in its hooks.
#[derive(Clone, Debug)]
pub struct Site {
    seeded: Seeded,
    count: u32,
    /// Customers that are not as they were grown; `None` for deleted ones.
    changed: HashMap<String, Option<Customer>>,
    /// Ids that nobody was grown under, in the order in which they came.
    created: Vec<String>,
    /// Deleted customers as they last stood.
    gone: HashMap<String, Customer>,
    pub(super) queue: Queue,
    pub(super) coalescing: Coalescing,
}

impl Site {
    pub(super) fn new(seeded: Seeded, count: u32, first_number: u64) -> Self {
        Self {
            seeded,
            count,
            changed: HashMap::new(),
            created: Vec::new(),
            gone: HashMap::new(),
            queue: Queue::starting_at(first_number),
            coalescing: Coalescing::default(),
        }
    }

    /// The id of the customer that was grown as this number, counted from 0.
    pub fn grown_id(&self, number: u32) -> String {
        self.seeded.id(number)
    }

    fn was_grown(&self, id: &str) -> bool {
        self.seeded
            .number(id)
            .is_some_and(|number| number < self.count)
    }

    /// Whether there is a customer of this id.
    pub fn exists(&self, id: &str) -> bool {
        match self.changed.get(id) {
            Some(changed) => changed.is_some(),
            None => self.was_grown(id),
        }
    }

    /// The customer of this id as it stands now.
    pub fn customer(&self, id: &str) -> Option<Customer> {
        match self.changed.get(id) {
            Some(changed) => changed.clone(),
            None => {
                let number = self.seeded.number(id)?;
                (number < self.count).then(|| self.seeded.customer(number))
            }
        }
    }

    /// A deleted customer as it last stood.
    pub(super) fn deleted(&self, id: &str) -> Option<Customer> {
        self.gone.get(id).cloned()
    }

    /// The ids of everybody, grown ones first.
    pub fn ids(&self) -> Vec<String> {
        let grown = (0..self.count).map(|number| self.seeded.id(number));
        let mut ids: Vec<String> = grown.filter(|id| self.exists(id)).collect();
        ids.extend(self.created.iter().filter(|id| self.exists(id)).cloned());
        ids
    }

    /// Everybody, grown ones first.
    pub fn customers(&self) -> Vec<Customer> {
        let ids = self.ids();
        ids.iter().filter_map(|id| self.customer(id)).collect()
    }

    /// Keeps a customer as it is, without an event.
    pub fn put(&mut self, customer: Customer) {
        let id = customer.id.clone();
        if !self.was_grown(&id) && !self.changed.contains_key(&id) {
            self.created.push(id.clone());
        }
        self.gone.remove(&id);
        self.changed.insert(id, Some(customer));
    }

    /// Adds a customer, or replaces one: INSERT on CEN_CUST_MAST. The number of the row.
    pub fn create(&mut self, customer: Customer) -> u64 {
        let id = customer.id.clone();
        self.put(customer);
        self.enqueue(&id, "INSERT", MASTER)
    }

    /// Changes a customer; each changed part leaves an event under its table: INSERT or DELETE where a section has more
    /// or fewer items than before, else UPDATE. The numbers of the rows; `None` when there is no such customer.
    pub fn edit(&mut self, id: &str, change: impl FnOnce(&mut Customer)) -> Option<Vec<u64>> {
        let before = self.customer(id)?;
        let mut after = before.clone();
        change(&mut after);
        id.clone_into(&mut after.id);
        let events = events(&before, &after);
        self.put(after);
        let rows = events
            .into_iter()
            .map(|(action, table)| self.enqueue(id, action, table));
        Some(rows.collect())
    }

    /// Changes a customer without an event; false when there is none.
    pub fn edit_quietly(&mut self, id: &str, change: impl FnOnce(&mut Customer)) -> bool {
        let Some(mut customer) = self.customer(id) else {
            return false;
        };
        change(&mut customer);
        id.clone_into(&mut customer.id);
        self.put(customer);
        true
    }

    /// Deletes a customer: DELETE on CEN_CUST_MAST. False when there is none.
    pub fn delete(&mut self, id: &str) -> bool {
        let Some(customer) = self.customer(id) else {
            return false;
        };
        self.changed.insert(id.to_owned(), None);
        self.gone.insert(id.to_owned(), customer);
        self.enqueue(id, "DELETE", MASTER);
        true
    }

    /// Notes an event, whatever it says and of whomever; the number of its row.
    pub fn enqueue(
        &mut self,
        id: &str,
        action: impl Into<Cow<'static, str>>,
        table: impl Into<Cow<'static, str>>,
    ) -> u64 {
        self.queue
            .add(id, action.into(), table.into(), self.coalescing)
    }

    /// Puts everybody into the queue, as the provider does once at the beginning.
    pub fn enqueue_everybody(&mut self) {
        for id in self.ids() {
            self.enqueue(&id, "UPDATE", MASTER);
        }
    }

    /// The rows, by number.
    pub fn queue(&self) -> Vec<Row> {
        self.queue.rows().cloned().collect()
    }

    /// How many rows there are.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Forgets the rows up to this number; how many there were.
    pub fn purge(&mut self, number: u64) -> usize {
        self.queue.purge(number)
    }
}

/// What a change of a customer puts into the queue.
fn events(before: &Customer, after: &Customer) -> Vec<(&'static str, &'static str)> {
    let mut events = Vec::new();
    let own = |customer: &Customer| {
        (
            customer.cust_type.clone(),
            customer.login_id.clone(),
            customer.name.clone(),
        )
    };
    if own(before) != own(after) {
        events.push(("UPDATE", MASTER));
    }
    let mut seen = HashSet::new();
    for section in before.sections.iter().chain(&after.sections) {
        let name = section.name.as_str();
        let (old, new) = (before.section(name), after.section(name));
        if !seen.insert(name) || old == new {
            continue;
        }
        let items = |section: Option<&super::Node>| section.map_or(0, |node| node.children.len());
        let table = table_of(name);
        let action = match items(new).cmp(&items(old)) {
            // A row of the customer's own table comes and goes with the customer alone.
            _ if table == MASTER => "UPDATE",
            std::cmp::Ordering::Greater => "INSERT",
            std::cmp::Ordering::Less => "DELETE",
            std::cmp::Ordering::Equal => "UPDATE",
        };
        if !events.contains(&(action, table)) {
            events.push((action, table));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::association_anywhere::{Node, Profile};

    fn site() -> Site {
        let seeded = Seeded {
            seed: 1,
            profile: Profile::Plain,
        };
        Site::new(seeded, 3, 100)
    }

    fn rows(site: &Site) -> Vec<(String, String)> {
        let rows = site.queue();
        rows.into_iter()
            .map(|row| (row.action.into_owned(), row.table.into_owned()))
            .collect()
    }

    #[test]
    fn an_edit_leaves_an_event_for_each_part_under_its_table() {
        let mut site = site();
        let numbers = site.edit("0000001", |customer| {
            customer.login_id = "other".into();
            customer.set("phones", 0, "number", "1");
            customer.section_mut("jobs").children.clear();
            customer.add("aliases", Node::leaf("alias", "A"));
            customer.add("emails", Node::leaf("email", ""));
        });
        assert_eq!(numbers, Some(vec![100, 101, 102, 103]));
        let row = |action: &str, table: &str| (action.to_owned(), table.to_owned());
        assert_eq!(
            rows(&site),
            [
                row("UPDATE", "CEN_CUST_MAST"),
                row("UPDATE", "CEN_CUST_PHONE"),
                row("INSERT", "CEN_CUST_CYBER"),
                row("DELETE", "CEN_CUST_EMP"),
            ]
        );
        assert_eq!(site.edit("0000001", |_| {}), Some(vec![]));
        assert_eq!(site.edit("0000009", |_| {}), None);
    }

    #[test]
    fn customers_come_and_go_and_come_again() {
        let mut site = site();
        site.create(Customer::individual("X_9", "Ada", "Byron"));
        assert!(site.delete("0000001") && !site.delete("0000001"));
        assert!(site.delete("X_9"));
        assert_eq!(site.ids(), ["0000000", "0000002"]);
        assert!(site.customer("0000001").is_none() && site.deleted("0000001").is_some());
        site.create(Customer::individual("X_9", "Ada", "Lovelace"));
        assert_eq!(site.ids(), ["0000000", "0000002", "X_9"]);
        assert!(site.deleted("X_9").is_none());
    }
}
