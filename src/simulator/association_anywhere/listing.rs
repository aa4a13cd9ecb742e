//! The queue's answer, written piece by piece: hundreds of thousands of rows never stand in memory as text
//! (association-anywhere.md §5).

use super::customer::MASTER;
use super::queue::Row;
use super::switches::{EmptyNumber, MaxQueueNum, Quirks, Shape, Triggers};
use super::write::Style;

/// How long a piece grows before it is sent.
const PIECE_BYTES: usize = 64 * 1024;

/// 38 nines, the largest number of an Oracle database.
const ABSURD: &str = "99999999999999999999999999999999999999";
/// How far above the last row a number that runs ahead is.
const AHEAD: u64 = 1_000_000;

/// An answer that is being written.
pub(super) struct Listing {
    rows: std::iter::Peekable<std::vec::IntoIter<Row>>,
    style: Style,
    shape: Shape,
    triggers: Triggers,
    reasons: bool,
    /// What stands before the first customer; taken by the first piece.
    head: Option<String>,
    done: bool,
}

impl Listing {
    /// Of rows that stand together by customer.
    pub(super) fn new(
        rows: Vec<Row>,
        max: Option<u64>,
        reasons: bool,
        style: Style,
        quirks: &Quirks,
    ) -> Self {
        let lowest = rows.iter().map(|row| row.number).min();
        let mut head = String::from("<");
        head.push_str(&style.names.spell("custResponse"));
        let number = number(max, lowest, quirks);
        match (&number, quirks.max_queue_num) {
            (Some(number), MaxQueueNum::Attribute) => {
                style.attribute("maxQueueNum", number, &mut head);
                head.push('>');
            }
            _ => head.push('>'),
        }
        if !quirks.no_status {
            style.leaf("status", "SUCCESS", &mut head);
        }
        if let Some(number) = number
            && quirks.max_queue_num != MaxQueueNum::Attribute
        {
            style.leaf("maxQueueNum", &number, &mut head);
        }
        style.open("customers", &mut head);
        Self {
            rows: rows.into_iter().peekable(),
            style,
            shape: quirks.shape,
            triggers: quirks.triggers,
            reasons,
            head: Some(head),
            done: false,
        }
    }

    /// Writes the next customer, or in the fallback shape the next event; false when there is none.
    fn customer(&mut self, out: &mut String) -> bool {
        let Some(first) = self.rows.next() else {
            return false;
        };
        let style = self.style;
        if self.shape == Shape::Fallback && self.reasons {
            let (action, table) = self.words(&first);
            style.open("customer", out);
            style.leaf("custId", &first.id, out);
            style.leaf("action", action, out);
            style.leaf("reason", table, out);
            style.close("customer", out);
            return true;
        }
        let id = std::sync::Arc::clone(&first.id);
        let mut events = vec![first];
        while let Some(row) = self.rows.next_if(|row| row.id == id) {
            events.push(row);
        }
        if self.shape == Shape::Attributes {
            out.push('<');
            out.push_str(&style.names.spell("customer"));
            style.attribute("custId", &id, out);
            out.push('>');
        } else if self.reasons {
            style.open("customer", out);
            style.leaf("custId", &id, out);
        } else {
            style.leaf("custId", &id, out);
            return true;
        }
        if self.reasons && self.triggers != Triggers::Missing {
            style.open("triggers", out);
            for row in &events {
                let (action, table) = self.words(row);
                out.push('<');
                out.push_str(&style.names.spell("trigger"));
                style.attribute("queueNum", &row.number.to_string(), out);
                style.attribute("action", action, out);
                style.attribute("tableName", table, out);
                out.push_str("/>");
            }
            style.close("triggers", out);
        }
        style.close("customer", out);
        true
    }

    fn words<'a>(&self, row: &'a Row) -> (&'a str, &'a str) {
        let deletion = row.action == "DELETE" && row.table == MASTER;
        if self.triggers == Triggers::Unknown && !deletion {
            ("RECAST", "XYZ_UNHEARD_OF")
        } else {
            (&row.action, &row.table)
        }
    }
}

impl Iterator for Listing {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.done {
            return None;
        }
        let mut out = self.head.take().unwrap_or_default();
        while out.len() < PIECE_BYTES {
            if !self.customer(&mut out) {
                self.style.close("customers", &mut out);
                self.style.close("custResponse", &mut out);
                self.done = true;
                break;
            }
        }
        Some(out)
    }
}

/// What the answer says about the largest number.
pub(super) fn number(max: Option<u64>, lowest: Option<u64>, quirks: &Quirks) -> Option<String> {
    let Some(max) = max else {
        return match quirks.empty_number {
            EmptyNumber::Missing => None,
            EmptyNumber::Empty => Some(String::new()),
            EmptyNumber::Zero => Some("0".to_owned()),
        };
    };
    match quirks.max_queue_num {
        MaxQueueNum::Honest | MaxQueueNum::Attribute => Some(max.to_string()),
        MaxQueueNum::Missing => None,
        MaxQueueNum::Empty => Some(String::new()),
        MaxQueueNum::Text => Some("n/a".to_owned()),
        MaxQueueNum::Low => Some(lowest.unwrap_or(max).saturating_sub(1).to_string()),
        MaxQueueNum::Ahead => Some(max.saturating_add(AHEAD).to_string()),
        MaxQueueNum::Absurd => Some(ABSURD.to_owned()),
    }
}
