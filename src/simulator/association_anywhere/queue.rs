//! The queue: what happened to customers since they were last purged (association-anywhere.md §5, §7).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Rises from row to row.
    pub number: u64,
    /// Whom it befell.
    pub id: Arc<str>,
    /// `INSERT`, `UPDATE`, `DELETE`, or something unheard of.
    pub action: Cow<'static, str>,
    /// The table that changed.
    pub table: Cow<'static, str>,
}

/// How events become rows; which one the real service does is unknown (hazard H-50).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coalescing {
    /// Each event is a row.
    #[default]
    Each,
    /// A customer has one row, which takes the newest event's number and words.
    Renewed,
    /// A customer has one row, which takes the newest event's words and keeps its number: a purge of that number
    /// forgets events that came after the reading.
    KeepsNumber,
}

/// The rows, by number.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    rows: BTreeMap<u64, Row>,
    /// The first row of each customer: what coalescing looks for.
    first: HashMap<Arc<str>, u64>,
    next: u64,
}

impl Queue {
    /// An empty queue whose first row will have this number.
    pub(super) fn starting_at(next: u64) -> Self {
        Self {
            rows: BTreeMap::new(),
            first: HashMap::new(),
            next,
        }
    }

    /// Notes an event; the number of its row.
    pub(super) fn add(
        &mut self,
        id: &str,
        action: Cow<'static, str>,
        table: Cow<'static, str>,
        coalescing: Coalescing,
    ) -> u64 {
        let known = self.first.get_key_value(id);
        let (id, first) = match known {
            Some((id, number)) => (Arc::clone(id), Some(*number)),
            None => (Arc::from(id), None),
        };
        let mut number = self.next;
        match (coalescing, first) {
            (Coalescing::KeepsNumber, Some(first)) => number = first,
            (Coalescing::Renewed, Some(first)) => {
                self.rows.remove(&first);
                self.first.insert(Arc::clone(&id), number);
            }
            (Coalescing::Each, Some(_)) => {}
            (_, None) => {
                self.first.insert(Arc::clone(&id), number);
            }
        }
        self.next = self.next.max(number.saturating_add(1));
        let row = Row {
            number,
            id,
            action,
            table,
        };
        self.rows.insert(number, row);
        number
    }

    /// Forgets every row up to this number; how many there were.
    pub(super) fn purge(&mut self, number: u64) -> usize {
        let before = self.rows.len();
        self.rows = match number.checked_add(1) {
            Some(above) => self.rows.split_off(&above),
            None => BTreeMap::new(),
        };
        self.first.clear();
        for row in self.rows.values() {
            self.first.entry(Arc::clone(&row.id)).or_insert(row.number);
        }
        before - self.rows.len()
    }

    /// The rows, by number.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The largest number of a row.
    pub(super) fn last(&self) -> Option<u64> {
        self.rows.last_key_value().map(|(number, _)| *number)
    }

    /// Each customer's rows together, customers in the order of their first row.
    pub(super) fn by_customer(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        rows.sort_by_cached_key(|row| {
            let first = self.first.get(&row.id).copied();
            (first.unwrap_or(row.number), row.number)
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(coalescing: Coalescing) -> Queue {
        let mut queue = Queue::starting_at(10);
        for (id, action) in [("a", "INSERT"), ("b", "UPDATE"), ("a", "DELETE")] {
            queue.add(id, action.into(), "CEN_CUST_MAST".into(), coalescing);
        }
        queue
    }

    fn shown(rows: impl IntoIterator<Item = Row>) -> Vec<(u64, String, String)> {
        rows.into_iter()
            .map(|row| (row.number, row.id.to_string(), row.action.into_owned()))
            .collect()
    }

    fn row(number: u64, id: &str, action: &str) -> (u64, String, String) {
        (number, id.to_owned(), action.to_owned())
    }

    #[test]
    fn rows_are_events_or_customers() {
        assert_eq!(
            shown(filled(Coalescing::Each).by_customer()),
            [
                row(10, "a", "INSERT"),
                row(12, "a", "DELETE"),
                row(11, "b", "UPDATE")
            ]
        );
        assert_eq!(
            shown(filled(Coalescing::Renewed).by_customer()),
            [row(11, "b", "UPDATE"), row(12, "a", "DELETE")]
        );
        assert_eq!(
            shown(filled(Coalescing::KeepsNumber).by_customer()),
            [row(10, "a", "DELETE"), row(11, "b", "UPDATE")]
        );
    }

    #[test]
    fn a_purge_takes_what_is_not_above_its_number() {
        let mut queue = filled(Coalescing::Each);
        assert_eq!(queue.purge(11), 2);
        assert_eq!(shown(queue.rows().cloned()), [row(12, "a", "DELETE")]);
        assert_eq!(queue.purge(11), 0);
        // Numbers are never used twice.
        assert_eq!(
            queue.add("b", "UPDATE".into(), "X".into(), Coalescing::Renewed),
            13
        );
        assert_eq!(queue.purge(u64::MAX), 2);
        assert_eq!((queue.len(), queue.last()), (0, None));
    }
}
