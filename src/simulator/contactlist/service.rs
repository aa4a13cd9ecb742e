//! The service behind the wire: checks credentials, does the work, words the answer. Knows nothing of HTTP but a status.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::operation::Operation;
use super::options::Options;
use super::people::People;
use super::person::{Person, year_one};
use super::read::{BadValue, Element};
use super::seeded::Seeded;
use crate::simulator::chance::{Dice, Fate, mix, strikes};
use crate::simulator::clock::SiteClock;
use crate::simulator::log::{Log, Outcome};
use crate::simulator::rules::Rules;

use super::switches::{Deletion, EmptyList, Fault, MoreRecords, NotFound, Quirks};
use super::update;
use super::write::{
    Blame, NAMESPACE, Soap, Style, boolean, close_envelope, fault, number, open_envelope,
};

/// How many late requests may wait for their turn; more are lost for good.
const LATE_MAX: usize = 10_000;

/// An answer of the service itself.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// A request that can be worked on.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) soap: Soap,
    pub(super) operation: Operation,
    pub(super) element: Element,
    /// The text that the element was read from: faults name places in it.
    pub(super) text: String,
}

/// What a request comes to before it is answered: the inside of the response element, or a refusal.
enum Refusal {
    /// `soap:Server`: the service can't do it, with its sentence.
    Business(&'static str),
    /// `soap:Server` with .NET's own words.
    Failure(&'static str),
    /// `soap:Client`: a value can't be read.
    Value(BadValue),
}

impl From<BadValue> for Refusal {
    fn from(bad: BadValue) -> Self {
        Refusal::Value(bad)
    }
}

const NO_CONTACT: Refusal = Refusal::Business("Contact record could not be retrieved.");

/// Everything that requests share.
pub(super) struct Service {
    pub(super) options: Options,
    pub(super) people: People,
    pub(super) clock: SiteClock,
    pub(super) quirks: Quirks,
    pub(super) rules: Rules<Operation, Fault>,
    pub(super) log: Log<Operation>,
    pub(super) counts: BTreeMap<Operation, u64>,
    fate: Fate,
    dice: Dice,
    /// What reads see while they lag behind, and since when.
    replica: Option<(DateTime<Utc>, People)>,
    late: Vec<(DateTime<Utc>, Request)>,
}

impl Service {
    pub(super) fn new(options: Options) -> Self {
        let seeded = Seeded::new(options.seed, options.profile, options.zone);
        let render = options.people as usize <= options.rendered_people_max;
        let mut service = Self {
            people: People::new(seeded, options.people, render),
            clock: SiteClock {
                source: options.clock.clone(),
                offset: chrono::Duration::zero(),
                zone: options.zone,
            },
            quirks: Quirks::default(),
            rules: Rules::new(options.switches.rules.clone()),
            log: Log::default(),
            counts: BTreeMap::new(),
            fate: Fate::new(options.seed),
            dice: Dice::new(mix(options.seed)),
            replica: None,
            late: Vec::new(),
            options,
        };
        service.set_quirks(service.options.switches.quirks.clone());
        service
    }

    pub(super) fn set_quirks(&mut self, quirks: Quirks) {
        self.clock.offset = chrono::Duration::try_seconds(quirks.clock_offset).unwrap_or_default();
        self.quirks = quirks;
        self.replica = None;
        self.refresh_replica();
    }

    /// Lets the replica catch up when it is as old as it may get.
    fn refresh_replica(&mut self) {
        let lag = chrono::Duration::try_seconds(self.quirks.stale_reads).unwrap_or_default();
        if lag <= chrono::Duration::zero() {
            return;
        }
        let now = self.clock.true_now();
        let old = self
            .replica
            .as_ref()
            .is_none_or(|(since, _)| now - *since >= lag);
        if old {
            self.replica = Some((now, self.people.clone()));
        }
    }

    /// The people as reads see them.
    fn readable(&self) -> &People {
        self.replica
            .as_ref()
            .map_or(&self.people, |(_, people)| people)
    }

    /// Counts a request and says what befalls it.
    pub(super) fn arrive(&mut self, request: &Request) -> Vec<Fault> {
        *self.counts.entry(request.operation).or_default() += 1;
        let fate = if self.rules.need_fate() {
            self.fate.of(request.text.as_bytes())
        } else {
            0
        };
        self.rules.draw(request.operation, fate)
    }

    /// Notes a request that a fault kept from being worked on.
    pub(super) fn note_undone(&mut self, request: &Request) {
        let at = self.clock.now();
        self.log
            .add(at, request.operation, keys(request), Outcome::NotDone);
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
        let result = self
            .authenticate(&request.element)
            .and_then(|()| self.perform(request));
        let outcome = if result.is_ok() {
            Outcome::Done
        } else {
            Outcome::Refused
        };
        let at = self.clock.now();
        self.log.add(at, request.operation, keys(request), outcome);
        match result {
            Ok(body) => Answer { status: 200, body },
            Err(refusal) => self.refuse(request, &refusal),
        }
    }

    fn refuse(&self, request: &Request, refusal: &Refusal) -> Answer {
        let unable = "Server was unable to process request. ---> ";
        let (blame, sentence) = match refusal {
            Refusal::Business(sentence) => (Blame::Service, format!("{unable}ERROR: {sentence}")),
            Refusal::Failure(sentence) => (Blame::Service, format!("{unable}{sentence}")),
            Refusal::Value(bad) => (Blame::Caller, bad.fault(&request.text)),
        };
        self.fault(request.soap, blame, &sentence, request.operation.name())
    }

    /// A fault in the words of the recorded service: the exception's name before, the stack behind; or without them.
    pub(super) fn fault(&self, soap: Soap, blame: Blame, sentence: &str, place: &str) -> Answer {
        let body = if self.quirks.plain_faults {
            fault(soap, blame, sentence)
        } else {
            let text = format!(
                "System.Web.Services.Protocols.SoapException: {sentence}\n  at CatalystCRMWebservice.{place} () \
                 [0x00000] in <00000000000000000000000000000000>:0 "
            );
            fault(soap, blame, &text)
        };
        Answer { status: 500, body }
    }

    /// The bare fault that says nothing but that something went wrong.
    pub(super) fn bare_fault(&self, request: &Request) -> Answer {
        let sentence = "Server was unable to process request.";
        self.fault(
            request.soap,
            Blame::Service,
            sentence,
            request.operation.name(),
        )
    }

    /// The fault that refuses credentials.
    pub(super) fn credentials_fault(&self, request: &Request) -> Answer {
        self.refuse(request, &Refusal::Business("Authentication failed."))
    }

    fn authenticate(&self, element: &Element) -> Result<(), Refusal> {
        let site = element.int("siteId")?;
        let username = element.text("username").unwrap_or_default();
        let password = element.text("password").unwrap_or_default();
        let user = username == self.options.username && password == self.options.password;
        // An empty user name and a site token in place of the password (contactlist.md §2).
        let token = username.is_empty() && password == self.options.token;
        if site == self.options.site_id && (user || token) {
            Ok(())
        } else {
            Err(Refusal::Business("Authentication failed."))
        }
    }

    fn perform(&mut self, request: &Request) -> Result<String, Refusal> {
        self.refresh_replica();
        let element = &request.element;
        match request.operation {
            Operation::ContactListRetrieve => self.list(request),
            Operation::ContactListUpdateInsert => self.update_insert(request),
            Operation::RetrieveByEntityId => {
                let found = self.readable().get(element.int("entityId")?);
                self.single(request, found)
            }
            Operation::RetrieveByExternalId => {
                let key = element.text("externalId").unwrap_or_default();
                let found = living_first(self.readable().by_external(&key));
                self.single(request, found)
            }
            Operation::RetrieveByEmailAddress => {
                let key = element.text("emailAddress").unwrap_or_default();
                let found = living_first(self.readable().by_email(&key));
                self.single(request, found)
            }
            Operation::DeleteByEntityId => {
                let found = self.people.get(element.int("entityId")?);
                Ok(self.delete_found(request, found))
            }
            Operation::DeleteByEmailAddress => {
                let key = element.text("email").unwrap_or_default();
                let found = living_first(self.people.by_email(&key));
                Ok(self.delete_found(request, found))
            }
        }
    }

    fn style(&self) -> Style {
        Style {
            email: self.quirks.email_shown,
            fractions: self.quirks.fractions,
        }
    }

    fn list(&mut self, request: &Request) -> Result<String, Refusal> {
        let element = &request.element;
        let since = element
            .date("lastUpdateDate", self.options.server_zone)?
            .unwrap_or_else(year_one);
        let asked = element.int("recordStart")?;
        element.boolean("moreRecords")?;
        if since < sql_server_epoch() {
            return Err(Refusal::Failure(
                "SqlDateTime overflow. Must be between 1/1/1753 12:00:00 AM and 12/31/9999 11:59:59 PM.",
            ));
        }
        let Ok(mut start) = usize::try_from(asked) else {
            return Err(Refusal::Failure("Index was out of range."));
        };
        let size = self.options.page_size.max(1);
        if self.quirks.whole_pages {
            start -= start % size;
        }
        let quirks = &self.quirks;
        let people = self
            .replica
            .as_ref()
            .map_or(&self.people, |(_, people)| people);
        let page = people.page(
            since,
            quirks.exclusive_bound,
            quirks.order,
            start,
            size,
            &mut self.dice,
        );
        let more = match quirks.more_records {
            MoreRecords::Honest => page.more,
            MoreRecords::AlwaysTrue => true,
            MoreRecords::AlwaysFalse => false,
        };
        if page.ids.is_empty() && quirks.empty_list == EmptyList::Fault {
            return Err(Refusal::Business("No contacts found for this site."));
        }
        let style = self.style();
        Ok(response(request, |out| {
            let result = "ContactList_RetrieveResult";
            if !page.ids.is_empty() {
                out.reserve(page.ids.len() * 2700);
                out.push_str("<ContactList_RetrieveResult>");
                for id in &page.ids {
                    out.push_str("<ContactRecord>");
                    people.write(*id, style, out);
                    out.push_str("</ContactRecord>");
                }
                out.push_str("</ContactList_RetrieveResult>");
            } else if quirks.empty_list == EmptyList::Element {
                out.push('<');
                out.push_str(result);
                out.push_str(" />");
            }
            number("recordStart", asked, out);
            boolean("moreRecords", more, out);
        }))
    }

    fn single(&self, request: &Request, found: Option<Person>) -> Result<String, Refusal> {
        let found = found.filter(|person| !(person.deleted && self.quirks.hide_deleted));
        match found {
            None if self.quirks.not_found == NotFound::Fault => Err(NO_CONTACT),
            None => Ok(response(request, |_| {})),
            Some(person) => Ok(response(request, |out| {
                let name = request.operation.name();
                out.push_str(&format!("<{name}Result>"));
                self.readable().write(person.entity_id, self.style(), out);
                out.push_str(&format!("</{name}Result>"));
            })),
        }
    }

    fn delete_found(&mut self, request: &Request, found: Option<Person>) -> String {
        let done = match found.filter(|person| !person.deleted) {
            Some(person) => self.delete(person, self.quirks.deletion),
            None => false,
        };
        response(request, |out| {
            boolean(&format!("{}Result", request.operation.name()), done, out);
        })
    }

    /// Deletes this contact; whether it was there.
    pub(super) fn delete(&mut self, mut person: Person, how: Deletion) -> bool {
        if how == Deletion::Vanish {
            return self.people.remove(person.entity_id);
        }
        person.deleted = true;
        person.last_update_date = self.stamp();
        self.people.put(person);
        true
    }

    pub(super) fn stamp(&self) -> NaiveDateTime {
        self.clock.stamp(self.quirks.fractions)
    }

    fn update_insert(&mut self, request: &Request) -> Result<String, Refusal> {
        let mut pushed = Vec::new();
        let mut poisoned = false;
        if let Some(list) = request.element.child("contactsList") {
            for record in list.items("ContactRecord").filter(|record| !record.nil) {
                let person = update::incoming(record, &self.quirks, self.options.server_zone)?;
                let bad = self
                    .quirks
                    .poison
                    .as_deref()
                    .is_some_and(|poison| holds(record, poison));
                poisoned |= bad;
                // Whoever comes behind a poisoned element isn't stored in any case.
                if !poisoned {
                    pushed.push(person);
                }
            }
        }
        if poisoned && !self.quirks.poison_keeps_earlier {
            pushed.clear();
        }
        let stamp = self.stamp();
        for person in pushed {
            if self.quirks.drop_elements > 0.0
                && strikes(self.quirks.drop_elements, self.dice.next())
            {
                continue;
            }
            update::store(&mut self.people, person, &self.quirks, stamp)
                .map_err(Refusal::Business)?;
        }
        if poisoned {
            return Err(Refusal::Business("Contact record could not be saved."));
        }
        Ok(response(request, |_| {}))
    }
}

/// Whether this text stands anywhere in the element.
fn holds(element: &Element, text: &str) -> bool {
    element.text.contains(text) || element.children.iter().any(|child| holds(child, text))
}

/// Of several with one key the first that lives, else the first.
fn living_first(mut found: Vec<Person>) -> Option<Person> {
    let place = found.iter().position(|person| !person.deleted).unwrap_or(0);
    (place < found.len()).then(|| found.swap_remove(place))
}

/// Below this date the database behind the service overflows (contactlist.md §3).
fn sql_server_epoch() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1753, 1, 1)
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .unwrap_or_default()
}

fn response(request: &Request, write: impl FnOnce(&mut String)) -> String {
    response_named(request.soap, request.operation, write)
}

/// A whole answer with the inside that `write` writes; without one the element is closed at once.
pub(super) fn response_named(
    soap: Soap,
    operation: Operation,
    write: impl FnOnce(&mut String),
) -> String {
    let mut out = String::with_capacity(1024);
    open_envelope(soap, &mut out);
    let name = operation.name();
    out.push_str(&format!("<{name}Response xmlns=\"{NAMESPACE}\""));
    out.push('>');
    let before = out.len();
    write(&mut out);
    if out.len() == before {
        out.pop();
        out.push_str(" />");
    } else {
        out.push_str(&format!("</{name}Response>"));
    }
    close_envelope(&mut out);
    out
}

fn keys(request: &Request) -> Vec<String> {
    let element = &request.element;
    let raw = |element: &Element, name: &str| {
        element
            .child(name)
            .map(|child| child.text.clone())
            .unwrap_or_default()
    };
    match request.operation {
        Operation::ContactListRetrieve => {
            vec![raw(element, "lastUpdateDate"), raw(element, "recordStart")]
        }
        Operation::RetrieveByEntityId | Operation::DeleteByEntityId => {
            vec![raw(element, "entityId")]
        }
        Operation::RetrieveByExternalId => vec![raw(element, "externalId")],
        Operation::RetrieveByEmailAddress => vec![raw(element, "emailAddress")],
        Operation::DeleteByEmailAddress => vec![raw(element, "email")],
        Operation::ContactListUpdateInsert => {
            let list = element.child("contactsList");
            let records = list.iter().flat_map(|list| list.items("ContactRecord"));
            let key = |record: &Element| {
                let external = raw(record, "externalId");
                if external.is_empty() {
                    raw(record, "emailAddress")
                } else {
                    external
                }
            };
            records.map(key).collect()
        }
    }
}
