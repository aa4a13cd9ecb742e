//! The queue's answer while it arrives: its customers in steps, and at the end the number up to which it may be purged.
//!
//! Names are compared folded, and what is asked for may be an element or an attribute; a customer is an element
//! customer, cust or custInfo with a custId, or a custId that stands alone (`association-anywhere.md` §5). Memory is
//! bounded by one step and one customer. It must not decide what becomes of a customer.

use std::collections::{BTreeSet, HashMap};

use super::charset::Stream;
use super::decode::{MANNER, Reading, check_start, is_id, undecodable, wrong_root};
use super::schema::{CUSTOMER_TABLE, folded, sections_of_table};
use super::verdict::{Asker, Verdict};
use crate::model::{RemoteId, Result};
use crate::remote::xml::{AnswerLimits, Tag, Token, UNDECODABLE, Windows, attributes};
use crate::remote::{Queued, Scope};

/// Customers of one step.
pub const STEP: usize = 1_000;
/// Bytes of a value that is kept: names, ids and numbers are far shorter, and of a sentence the start is enough.
const VALUE_MAX: usize = 1_024;
/// Digits of a number. An Oracle NUMBER has 38, but no sequence ever comes to more than this: a larger number would purge
/// whatever comes later (`association-anywhere.md` §5).
const NUMBER_MAX: usize = 24;

/// White space before an answer that is waited through.
const BLANK_MAX: usize = 4_096;
/// Leaves of one element that are kept.
const FACTS_MAX: usize = 1_000;
/// Pairs of action and reason that stand on a customer itself; more are taken together as "anything may have changed".
const PAIRS_MAX: usize = 100;

/// Reads a queue's answer piece by piece.
pub struct QueueReader {
    bytes: Stream,
    text: String,
    windows: Windows,
    rows: Rows,
    begun: bool,
}

/// How a queue ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEnd {
    /// Up to which number everything may be purged.
    pub number: Option<String>,
    /// Why there is none, though there should be.
    pub doubt: Option<String>,
}

impl QueueReader {
    /// For an answer with this `Content-Type`.
    pub fn new(reading: &Reading, content_type: Option<&str>) -> Self {
        let limits = AnswerLimits {
            // The answer's bytes are bounded, and nothing of it is kept.
            elements: usize::MAX,
            ..reading.limits
        };
        Self {
            bytes: Stream::new(reading.charset, content_type),
            text: String::new(),
            windows: Windows::new("queue", limits, MANNER),
            rows: Rows::new(limits),
            begun: false,
        }
    }

    /// Takes a piece of the answer.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.take(bytes, false)
    }

    fn take(&mut self, bytes: &[u8], last: bool) -> Result<()> {
        if self.bytes.feed(bytes, last, &mut self.text).is_err() {
            return Err(undecodable("queue"));
        }
        if !self.begun {
            // A few characters tell an error page from XML.
            if self.text.len() < BLANK_MAX
                && self.text.trim_start().len() < "<!doctype html".len()
                && !last
            {
                return Ok(());
            }
            check_start("queue", &self.text)?;
            self.begun = true;
        }
        let rows = &mut self.rows;
        self.windows
            .feed(&self.text, |token, _| rows.token(token))?;
        self.text.clear();
        Ok(())
    }

    /// The customers read so far, once there are enough of them for a step; `None` while there are not.
    pub fn step(&mut self) -> Option<Vec<Queued>> {
        (self.rows.batch.len() >= STEP).then(|| self.rows.take())
    }

    /// The answer arrived to its end: what is left of its customers, and how it ended.
    ///
    /// Errors: `E-BODY-TRUNCATED`, `E-AUTH`, `E-AA-ERROR`, `E-AA-SHAPE`: then there is nothing to purge.
    pub fn finish(&mut self) -> Result<(Vec<Queued>, QueueEnd)> {
        self.end(Asker::default())
    }

    pub(super) fn end(&mut self, asker: Asker<'_>) -> Result<(Vec<Queued>, QueueEnd)> {
        self.take(&[], true)?;
        self.windows.finish()?;
        if let Some(error) = self.rows.verdict.as_error("queue", asker) {
            return Err(error);
        }
        let end = self.rows.end()?;
        Ok((self.rows.take(), end))
    }
}

/// An element that is open.
#[derive(Default)]
struct Frame {
    /// Its folded name.
    name: String,
    text: String,
    /// It holds something that is no character, or is longer than is kept.
    spoiled: bool,
    /// It is the customer element that is open.
    customer: bool,
    /// It holds elements.
    filled: bool,
    /// Its attributes, and the leaves in it, by their folded names.
    facts: Vec<(String, String)>,
}

/// A customer that is open.
#[derive(Default)]
struct Customer {
    id: Option<String>,
    /// It has several ids, or one that can't be read.
    spoiled: bool,
    row: Row,
}

/// What the queue says of one customer in one place.
#[derive(Default)]
struct Row {
    sections: BTreeSet<&'static str>,
    /// A reason that calls for everything.
    whole: bool,
    reasons: u64,
    deleted: bool,
    mark: u64,
}

struct Rows {
    limits: AnswerLimits,
    frames: Vec<Frame>,
    customer: Option<Customer>,
    batch: Vec<Queued>,
    places: HashMap<RemoteId, usize>,
    count: u64,
    nameless: u64,
    root: String,
    verdict: Verdict,
    /// The watermark as it stands there, and whether another one does too.
    number: Option<String>,
    numbers_differ: bool,
    /// The highest number of a reason, without leading zeros.
    highest: String,
}

impl Rows {
    fn new(limits: AnswerLimits) -> Self {
        Self {
            limits,
            frames: Vec::new(),
            customer: None,
            batch: Vec::new(),
            places: HashMap::new(),
            count: 0,
            nameless: 0,
            root: String::new(),
            verdict: Verdict::default(),
            number: None,
            numbers_differ: false,
            highest: String::new(),
        }
    }

    fn token(&mut self, token: Token<'_>) -> Result<()> {
        match token {
            Token::Start(tag) => return self.enter(tag),
            Token::End => self.leave(),
            Token::Text(text) => {
                if let Some(frame) = self.frames.last_mut() {
                    let room =
                        text.floor_char_boundary(VALUE_MAX - frame.text.len().min(VALUE_MAX));
                    frame.text.push_str(&text[..room]);
                    // White space between elements may be as long as it likes.
                    frame.spoiled |= !text[room..].trim().is_empty();
                }
            }
            Token::Char(found) => {
                if let Some(frame) = self.frames.last_mut() {
                    if frame.text.len() < VALUE_MAX {
                        frame.text.push(found);
                    } else {
                        frame.spoiled = true;
                    }
                }
            }
            Token::Bad => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.spoiled = true;
                    // So that an error whose words can't be read is no error without words, which is none.
                    if frame.text.len() < VALUE_MAX {
                        frame.text.push(UNDECODABLE);
                    }
                }
            }
            Token::Pause | Token::Eof => {}
        }
        Ok(())
    }

    fn enter(&mut self, tag: Tag<'_>) -> Result<()> {
        let mut frame = Frame {
            name: folded(tag.local()).into_owned(),
            ..Frame::default()
        };
        for (name, value) in attributes(&tag, "queue", MANNER.not_xml, &self.limits)? {
            frame.facts.push((folded(&name).into_owned(), value));
        }
        match self.frames.last_mut() {
            Some(parent) => parent.filled = true,
            None => self.root = tag.local().to_owned(),
        }
        if self.customer.is_none() {
            let watermark = frame.facts.iter().find(|(name, _)| is_watermark(name));
            if let Some((_, value)) = watermark {
                let value = value.clone();
                self.watermark(&value);
            }
            let is_customer = matches!(frame.name.as_str(), "customer" | "cust" | "custinfo");
            if is_customer && !self.frames.is_empty() {
                frame.customer = true;
                let mut customer = Customer::default();
                frame.facts.retain(|(name, value)| {
                    let is_own = name == "custid";
                    if is_own {
                        customer.name(value, false);
                    }
                    !is_own
                });
                self.customer = Some(customer);
            }
        }
        self.frames.push(frame);
        Ok(())
    }

    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let text = frame.text.trim();
        let is_on_customer = self.frames.last().is_some_and(|parent| parent.customer);
        if frame.customer {
            if let Some(mut customer) = self.customer.take() {
                if customer.id.is_none() && !frame.filled {
                    // The element is itself the id, as one client program writes it.
                    customer.name(text, frame.spoiled);
                }
                customer.row.take_facts(&frame.facts);
                self.note_highest(&frame.facts);
                self.emit(customer);
            }
            return;
        }
        if let Some(customer) = &mut self.customer {
            if frame.name == "custid" {
                if is_on_customer {
                    customer.name(text, frame.spoiled);
                }
                return;
            }
            let is_reason = frame
                .facts
                .iter()
                .any(|(name, _)| matches!(name.as_str(), "action" | "tablename"));
            if is_reason {
                customer.row.reason(&frame.facts, text);
                let facts = frame.facts;
                self.note_highest(&facts);
            } else if !frame.filled
                && let Some(parent) = self.frames.last_mut()
            {
                if frame.facts.is_empty() && parent.facts.len() < FACTS_MAX {
                    parent.facts.push((frame.name, text.to_owned()));
                } else {
                    // Whatever it says, it may mean that anything changed.
                    customer.row.whole |= frame.facts.is_empty();
                    customer.row.say(&frame.facts, text);
                }
            }
            return;
        }
        if frame.name == "custid" {
            let mut customer = Customer::default();
            customer.name(text, frame.spoiled);
            let is_reason = frame
                .facts
                .iter()
                .any(|(name, _)| matches!(name.as_str(), "action" | "tablename"));
            if is_reason {
                customer.row.reason(&frame.facts, "");
                self.note_highest(&frame.facts);
            }
            self.emit(customer);
        } else if is_watermark(&frame.name) {
            let text = if frame.spoiled { "unreadable" } else { text };
            let text = text.to_owned();
            self.watermark(&text);
        } else if self.frames.len() <= 1 && Verdict::is_word(&frame.name) {
            let mut said = text.to_owned();
            if said.is_empty() {
                let values: Vec<&str> = frame
                    .facts
                    .iter()
                    .map(|(_, value)| value.as_str())
                    .collect();
                said = values.join(" ");
            }
            self.verdict.note(&frame.name, &said);
        } else if let Some(parent) = self.frames.last_mut()
            && matches!(parent.name.as_str(), "error" | "errors")
        {
            let room = VALUE_MAX - parent.text.len().min(VALUE_MAX);
            parent.text.push(' ');
            parent
                .text
                .push_str(&text[..text.floor_char_boundary(room)]);
        }
    }

    fn watermark(&mut self, text: &str) {
        let text = text.trim();
        match &self.number {
            Some(known) if known != text => self.numbers_differ = true,
            Some(_) => {}
            None => self.number = Some(text.to_owned()),
        }
    }

    fn note_highest(&mut self, facts: &[(String, String)]) {
        let own = facts.iter().filter(|(name, _)| name == "queuenum");
        for (_, value) in own {
            if let Some(digits) = digits(value)
                && is_below(&self.highest, digits)
            {
                digits.clone_into(&mut self.highest);
            }
        }
    }

    fn emit(&mut self, customer: Customer) {
        self.count += 1;
        let Some(id) = customer.id.filter(|_| !customer.spoiled) else {
            self.nameless += 1;
            return;
        };
        let row = customer.row;
        let scope = if row.whole || row.reasons == 0 {
            Scope::Whole
        } else {
            Scope::Sections(row.sections.iter().map(|name| (*name).to_owned()).collect())
        };
        // However often it stands there without a reason, that counts too.
        let mark = row.mark.wrapping_add(digest(&[("", "")]));
        let id = RemoteId(id);
        match self.places.get(&id).and_then(|at| self.batch.get_mut(*at)) {
            Some(queued) => {
                let before = std::mem::replace(&mut queued.scope, Scope::Whole);
                queued.scope = before.union(scope);
                queued.deleted |= row.deleted;
                queued.mark = queued.mark.wrapping_add(mark);
            }
            None => {
                self.places.insert(id.clone(), self.batch.len());
                self.batch.push(Queued {
                    id,
                    scope,
                    deleted: row.deleted,
                    mark,
                });
            }
        }
    }

    fn take(&mut self) -> Vec<Queued> {
        self.places.clear();
        std::mem::take(&mut self.batch)
    }

    fn end(&self) -> Result<QueueEnd> {
        let says_something =
            self.count > 0 || self.number.is_some() || self.verdict.success() == Some(true);
        let root = folded(&self.root);
        if !says_something && !root.contains("cust") && !root.contains("queue") {
            return Err(wrong_root("queue", &self.root));
        }
        let doubt = self.doubt();
        let number = self
            .number
            .as_deref()
            .filter(|_| doubt.is_none() && self.count > 0)
            .map(str::to_owned);
        Ok(QueueEnd { number, doubt })
    }

    /// Why nothing may be purged (`association-anywhere.md` §5, rules 2 and 4).
    fn doubt(&self) -> Option<String> {
        let doubt = |sentence: &str| Some(sentence.to_owned());
        if self.nameless > 0 {
            return Some(format!(
                "{} customers of the queue have no custId that can be read",
                self.nameless
            ));
        }
        let number = self.number.as_deref().unwrap_or_default();
        if number.is_empty() {
            return match self.count {
                0 => None,
                _ => doubt("the queue names customers, and no number up to which it may be purged"),
            };
        }
        if self.numbers_differ {
            return doubt("the queue gives several numbers up to which it may be purged");
        }
        if number.len() > NUMBER_MAX {
            return doubt("the queue's number is too long to be one");
        }
        let Some(digits) = digits(number) else {
            return doubt("the queue's number does not consist of digits");
        };
        if self.count > 0 && digits.is_empty() {
            return doubt("the queue names customers, and 0 as its number");
        }
        if is_below(digits, &self.highest) {
            return doubt("the queue's number is below that of a customer in it");
        }
        None
    }
}

impl Customer {
    fn name(&mut self, text: &str, spoiled: bool) {
        let text = text.trim();
        let differs = self.id.as_deref().is_some_and(|known| known != text);
        self.spoiled |= spoiled || differs || !is_id(text);
        self.id = Some(text.to_owned());
    }
}

impl Row {
    /// A reason: its attributes and elements, or a text where it lacks the name of the table.
    fn reason(&mut self, facts: &[(String, String)], text: &str) {
        self.say(facts, text);
        let fact = |names: &[&str]| {
            facts
                .iter()
                .find(|(name, _)| names.contains(&name.as_str()))
                .map(|(_, value)| value.as_str())
        };
        let table = fact(&["tablename", "table"]).unwrap_or(text);
        self.judge(fact(&["action"]).unwrap_or_default(), table);
    }

    /// The leaves on a customer itself: its fallback shape has one `action` and one `reason`.
    fn take_facts(&mut self, facts: &[(String, String)]) {
        for fact in facts {
            self.say(std::slice::from_ref(fact), "");
        }
        let all = |wanted: &[&str]| -> Vec<&str> {
            facts
                .iter()
                .filter(|(name, _)| wanted.contains(&name.as_str()))
                .map(|(_, value)| value.as_str())
                .collect()
        };
        let (actions, tables) = (all(&["action"]), all(&["tablename", "table", "reason"]));
        let pairs = actions.len().max(tables.len());
        if pairs > PAIRS_MAX {
            self.whole = true;
        }
        for at in 0..pairs.min(PAIRS_MAX) {
            let part = |list: &[&str]| {
                list.get(at)
                    .map_or(String::new(), |text| (*text).to_owned())
            };
            self.judge(&part(&actions), &part(&tables));
        }
    }

    /// Unknown actions and tables are a change of anything.
    fn judge(&mut self, action: &str, table: &str) {
        self.reasons += 1;
        let action = action.trim();
        let is = |word: &str| action.eq_ignore_ascii_case(word);
        if is("DELETE") && table.trim().eq_ignore_ascii_case(CUSTOMER_TABLE) {
            self.deleted = true;
        }
        match sections_of_table(table) {
            Some(sections) if is("INSERT") || is("UPDATE") || is("DELETE") => {
                self.sections.extend(sections);
            }
            _ => self.whole = true,
        }
    }

    /// Adds to the digest, in which the order of reasons does not count.
    fn say(&mut self, facts: &[(String, String)], text: &str) {
        let mut facts: Vec<(&str, &str)> = facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        facts.sort_unstable();
        if !text.is_empty() {
            facts.push(("", text));
        }
        self.mark = self.mark.wrapping_add(digest(&facts));
    }
}

fn is_watermark(name: &str) -> bool {
    name == "maxqueuenum"
}

/// The digits of a number without leading zeros; `None` when it has anything else.
fn digits(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.trim_start_matches('0'))
}

/// Whether one number is below another; both are digits without leading zeros, of any length.
fn is_below(one: &str, other: &str) -> bool {
    (one.len(), one) < (other.len(), other)
}

/// Stable across runs and builds.
fn digest(facts: &[(&str, &str)]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in facts {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}
