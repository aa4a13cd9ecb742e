//! The service behind the wire: checks credentials, does the work, words the answer. Knows nothing of HTTP but a status.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::simulator::chance::{Dice, Fate, mix};
use crate::simulator::clock::SiteClock;
use crate::simulator::log::{Log, Outcome};
use crate::simulator::rules::Rules;

use super::customer::MASTER;
use super::details::{Asked, Writing};
use super::listing::{self, Listing};
use super::operation::Operation;
use super::options::Options;
use super::read::Element;
use super::seeded::Seeded;
use super::site::Site;
use super::switches::{Fault, Label, Poison, PurgeAnswer, Quirks};
use super::write::{Charset, Names, Style};

/// How many late requests may wait for their turn; more are lost for good.
const LATE_MAX: usize = 10_000;

/// What a page says when an exception was not handled.
const PAGE_500: &str = "<html><head><title>500 Internal Server Error</title></head><body><p>ORA-06502: PL/SQL: numeric or value error</body></html>";

const WRONG_CREDENTIALS: &str = "Invalid integrator credentials";

/// An answer of the service itself, in pieces that are made as they are sent.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether it is a page of the gateway's.
    pub(super) html: bool,
    pub(super) pieces: Box<dyn Iterator<Item = String> + Send>,
    pub(super) dress: Dress,
}

/// The bytes and labels of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Dress {
    pub(super) charset: Charset,
    pub(super) header: Label,
    pub(super) bom: bool,
}

/// A request that can be worked on.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    /// The document; nothing when the parameter holds none.
    pub(super) root: Option<Element>,
    /// The parameter as it came: two requests with the same text share their fate.
    pub(super) text: Vec<u8>,
}

/// Why a request is refused.
enum Refusal {
    /// An error at the root.
    Error(String),
    /// A page of the gateway's, 500.
    Page,
}

/// When a hook strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the work of a request whose credentials are right.
    Before(Operation),
    /// After the work, before the answer is sent; the answer does not show what the hook does.
    After(Operation),
}

pub(super) type Act = Box<dyn FnOnce(&mut Site) + Send>;

/// Everything that requests share.
pub(super) struct Service {
    pub(super) options: Options,
    pub(super) site: Site,
    pub(super) clock: SiteClock,
    pub(super) quirks: Quirks,
    pub(super) rules: Rules<Operation, Fault>,
    pub(super) log: Log<Operation>,
    pub(super) counts: BTreeMap<Operation, u64>,
    /// Each with how many more times its moment has to come.
    pub(super) hooks: Vec<(Moment, u64, Act)>,
    fate: Fate,
    dice: Dice,
    late: Vec<(DateTime<Utc>, Request)>,
}

impl Service {
    pub(super) fn new(options: Options) -> Self {
        let seeded = Seeded {
            seed: options.seed,
            profile: options.profile,
        };
        let mut service = Self {
            site: Site::new(seeded, options.people, options.first_number),
            clock: SiteClock {
                source: options.clock.clone(),
                offset: chrono::Duration::zero(),
                zone: chrono_tz::UTC,
            },
            quirks: Quirks::default(),
            rules: Rules::new(options.switches.rules.clone()),
            log: Log::default(),
            counts: BTreeMap::new(),
            hooks: Vec::new(),
            fate: Fate::new(options.seed),
            dice: Dice::new(mix(options.seed)),
            late: Vec::new(),
            options,
        };
        service.set_quirks(service.options.switches.quirks.clone());
        if service.options.queued {
            service.site.enqueue_everybody();
        }
        service
    }

    pub(super) fn set_quirks(&mut self, quirks: Quirks) {
        self.site.coalescing = quirks.rows;
        self.quirks = quirks;
    }

    /// Counts a request and says what befalls it.
    pub(super) fn arrive(&mut self, request: &Request) -> Vec<Fault> {
        *self.counts.entry(request.operation).or_default() += 1;
        let fate = if self.rules.need_fate() {
            self.fate.of(&request.text)
        } else {
            0
        };
        self.rules.draw(request.operation, fate)
    }

    fn note(&mut self, operation: Operation, keys: Vec<String>, outcome: Outcome) {
        self.log.add(self.clock.now(), operation, keys, outcome);
    }

    /// Notes a request that a fault kept from being worked on.
    pub(super) fn note_undone(&mut self, request: &Request) {
        self.note(request.operation, keys(request), Outcome::NotDone);
    }

    /// Keeps a request for later.
    pub(super) fn postpone(&mut self, request: Request, by: Duration) {
        let due = self.clock.true_now() + chrono::Duration::from_std(by).unwrap_or_default();
        if self.late.len() < LATE_MAX {
            self.late.push((due, request));
        }
    }

    /// Does the work of the late requests whose time has come, in the order of their times.
    pub(super) fn catch_up(&mut self) {
        let now = self.clock.true_now();
        self.late.sort_by_key(|(due, _)| *due);
        let ready = self.late.partition_point(|(due, _)| *due <= now);
        let ready: Vec<_> = self.late.drain(..ready).collect();
        for (_, request) in ready {
            self.work(&request);
        }
    }

    /// Does the work of a request and words the answer.
    pub(super) fn work(&mut self, request: &Request) -> Answer {
        let operation = request.operation;
        let mut keys = keys(request);
        let result = match &request.root {
            // An XML parser inside the procedure throws; nobody handles it.
            None => Err(Refusal::Page),
            Some(root) => self.authenticate(operation, root).and_then(|()| {
                self.strike(Moment::Before(operation));
                let result = self.perform(operation, root, &mut keys);
                self.strike(Moment::After(operation));
                result
            }),
        };
        let outcome = if result.is_ok() {
            Outcome::Done
        } else {
            Outcome::Refused
        };
        self.note(operation, keys, outcome);
        match result {
            Ok(answer) => answer,
            Err(Refusal::Error(text)) => self.error(operation, &text),
            Err(Refusal::Page) => self.page(500, PAGE_500),
        }
    }

    /// Lets the hooks of this moment act whose turn has come.
    fn strike(&mut self, moment: Moment) {
        for (_, left, _) in self.hooks.iter_mut().filter(|(at, ..)| *at == moment) {
            *left = left.saturating_sub(1);
        }
        let due = |(at, left, _): &mut (Moment, u64, Act)| *at == moment && *left == 0;
        for (_, _, act) in self.hooks.extract_if(.., |hook| due(hook)) {
            act(&mut self.site);
        }
    }

    fn authenticate(&self, operation: Operation, root: &Element) -> Result<(), Refusal> {
        let (integrator, vendor) = (
            ("integratorusername", "integratorpassword"),
            ("vendorid", "vendorpassword"),
        );
        let pairs = match (self.quirks.strict_credentials, operation) {
            (false, _) => vec![integrator, vendor],
            (true, Operation::Details) => vec![integrator],
            (true, _) => vec![vendor],
        };
        let good = pairs.into_iter().any(|(user, password)| {
            root.text_of(&[user]) == Some(self.options.username.as_str())
                && root.text_of(&[password]) == Some(self.options.password.as_str())
        });
        if good {
            Ok(())
        } else {
            Err(Refusal::Error(WRONG_CREDENTIALS.to_owned()))
        }
    }

    fn perform(
        &mut self,
        operation: Operation,
        root: &Element,
        keys: &mut Vec<String>,
    ) -> Result<Answer, Refusal> {
        match operation {
            Operation::Queue => Ok(self.list(operation, false, keys)),
            Operation::QueueWithReasons => Ok(self.list(operation, true, keys)),
            Operation::Details => self.details(root),
            Operation::Purge => self.purge(root),
            Operation::ForceEnqueue => self.force(root),
        }
    }

    fn list(&mut self, operation: Operation, reasons: bool, keys: &mut Vec<String>) -> Answer {
        let rows = self.site.queue.by_customer();
        let max = self.site.queue.last();
        keys.extend(listing::number(
            max,
            rows.iter().map(|row| row.number).min(),
            &self.quirks,
        ));
        let style = self.style(operation);
        let listing = Listing::new(rows, max, reasons, style, &self.quirks);
        self.xml(listing)
    }

    fn details(&mut self, root: &Element) -> Result<Answer, Refusal> {
        let asked = Asked::of(root);
        let error = |text: &str| Err(Refusal::Error(text.to_owned()));
        if asked.ids.is_empty() {
            return error("custId is required");
        }
        if !asked.bulk && asked.ids.len() > 1 {
            return error("More than one custId without bulkRequest");
        }
        if self.quirks.bulk_max > 0 && asked.ids.len() > self.quirks.bulk_max {
            return error("Too many custIds in one request");
        }
        // Not the order of the request (§6.2), and nobody twice.
        let mut ids = asked.ids.clone();
        ids.sort();
        ids.dedup();
        self.dice.shuffle(&mut ids);
        let mut found = Vec::new();
        for id in &ids {
            let poison = self.quirks.poison.get(id).copied();
            let customer = self.site.customer(id).or_else(|| {
                let ghost = self.quirks.deleted_answer;
                ghost.then(|| self.site.deleted(id)).flatten()
            });
            match (customer, poison) {
                (None, _) | (_, Some(Poison::Absent)) => {}
                (_, Some(Poison::Error)) => {
                    return error(
                        "ORA-01422: exact fetch returns more than requested number of rows",
                    );
                }
                (_, Some(Poison::Page)) => return Err(Refusal::Page),
                (Some(customer), poison) => found.push((customer, poison)),
            }
        }
        let style = self.style(Operation::Details);
        let writing = Writing {
            asked: &asked,
            style,
            status: !self.quirks.no_status,
            unasked: self.quirks.unasked_sections,
            today: self.clock.now().date_naive(),
        };
        let mut out = String::new();
        if asked.bulk {
            style.open("custInfoResponse", &mut out);
        } else if found.is_empty() && !self.quirks.unknown_empty {
            return error("Customer not found");
        } else if found.is_empty() {
            style.leaf("custInfo", "", &mut out);
        }
        for (customer, poison) in &found {
            writing.write(customer, *poison, &mut out);
        }
        if asked.bulk {
            style.close("custInfoResponse", &mut out);
        }
        Ok(self.xml(std::iter::once(out)))
    }

    fn purge(&mut self, root: &Element) -> Result<Answer, Refusal> {
        let text = root.text_of(&["maxqueuenum"]).unwrap_or_default();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Error("maxQueueNum must be a number".to_owned()));
        }
        let answer = self.quirks.purge_answer;
        if answer == PurgeAnswer::Failure {
            return Err(Refusal::Error("The queue could not be purged".to_owned()));
        }
        if answer != PurgeAnswer::Lie {
            // A number above every row that there can be takes them all.
            self.site.purge(text.parse().unwrap_or(u64::MAX));
        }
        Ok(match answer {
            PurgeAnswer::Html => self.page(200, crate::simulator::answer::MAINTENANCE),
            PurgeAnswer::Empty => Answer {
                status: 200,
                html: false,
                pieces: Box::new(std::iter::empty()),
                dress: Dress::default(),
            },
            PurgeAnswer::Bare => self.done(Operation::Purge, false),
            _ => self.done(Operation::Purge, true),
        })
    }

    fn force(&mut self, root: &Element) -> Result<Answer, Refusal> {
        let ids: Vec<String> = root
            .all("custid")
            .map(|id| id.text.trim().to_owned())
            .collect();
        if self.quirks.force_one && ids.len() != 1 {
            let text = "Exactly one custId is required";
            return Err(Refusal::Error(text.to_owned()));
        }
        if ids.is_empty() {
            self.site.enqueue_everybody();
        }
        for id in ids {
            // Somebody whom nobody knows is passed over.
            if self.site.exists(&id) {
                self.site.enqueue(&id, "UPDATE", MASTER);
            }
        }
        Ok(self.done(Operation::ForceEnqueue, true))
    }

    fn style(&self, operation: Operation) -> Style {
        let names = match (self.quirks.names, operation) {
            (Names::AsDocumented, Operation::Queue) => Names::Hyphen,
            (Names::AsDocumented, _) => Names::Camel,
            (names, _) => names,
        };
        Style {
            names,
            charset: self.quirks.charset,
        }
    }

    /// A root with a status or without.
    fn done(&self, operation: Operation, status: bool) -> Answer {
        let style = self.style(operation);
        let mut out = String::new();
        style.open(operation.root(), &mut out);
        if status && !self.quirks.no_status {
            style.leaf("status", "SUCCESS", &mut out);
        }
        style.close(operation.root(), &mut out);
        self.xml(std::iter::once(out))
    }

    /// An error at the root (§9).
    pub(super) fn error(&self, operation: Operation, text: &str) -> Answer {
        let style = self.style(operation);
        let mut out = String::new();
        style.open(operation.root(), &mut out);
        if !self.quirks.no_status {
            style.leaf("status", "FAILURE", &mut out);
        }
        style.leaf("error", text, &mut out);
        style.close(operation.root(), &mut out);
        self.xml(std::iter::once(out))
    }

    /// The error that refuses credentials.
    pub(super) fn refusal(&self, operation: Operation) -> Answer {
        self.error(operation, WRONG_CREDENTIALS)
    }

    /// A page of the gateway's.
    pub(super) fn page(&self, status: u16, text: &str) -> Answer {
        Answer {
            status,
            html: true,
            pieces: Box::new(std::iter::once(text.to_owned())),
            dress: Dress::default(),
        }
    }

    /// A document, with its declaration before it.
    fn xml(&self, pieces: impl Iterator<Item = String> + Send + 'static) -> Answer {
        let quirks = &self.quirks;
        let declaration = match &quirks.xml_charset {
            Label::Right => format!(
                "<?xml version=\"1.0\" encoding=\"{}\"?>\n",
                quirks.charset.name()
            ),
            Label::Missing => "<?xml version=\"1.0\"?>\n".to_owned(),
            Label::Says(name) => format!("<?xml version=\"1.0\" encoding=\"{name}\"?>\n"),
        };
        Answer {
            status: 200,
            html: false,
            pieces: Box::new(std::iter::once(declaration).chain(pieces)),
            dress: Dress {
                charset: quirks.charset,
                header: quirks.header_charset.clone(),
                bom: quirks.bom && quirks.charset == Charset::Utf8,
            },
        }
    }
}

/// Of whom a request is (see [`Operation`]); a queue's number is added once it is known.
fn keys(request: &Request) -> Vec<String> {
    let Some(root) = &request.root else {
        return Vec::new();
    };
    match request.operation {
        Operation::Queue | Operation::QueueWithReasons => Vec::new(),
        Operation::Details | Operation::ForceEnqueue => root
            .all("custid")
            .map(|id| id.text.trim().to_owned())
            .collect(),
        Operation::Purge => root
            .text_of(&["maxqueuenum"])
            .map(str::to_owned)
            .into_iter()
            .collect(),
    }
}
