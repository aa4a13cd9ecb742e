//! A model of the CRM: people, pages, look-ups, UpdateInsert, and every habit that its documents leave open.
//!
//! It sees documents, never XML, and shares no code with what it tests but the types of the port.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use contactbridge::model::{
    Document, Error, Node, RemoteId, RemoteItem, RemoteRecord, Result, Stamp,
};
use contactbridge::remote::contactlist::{Calls, ListPage, NO_DATE};
use contactbridge::remote::{Deleted, Found, LookUp, Pushed};

use crate::oracle::{FIELDS, Side, field_of_path};
use crate::settings::{Codec, Order, Settings};
use crate::universe::{Shared, Universe, turn};

/// Texts of a contact, in the order of the wire.
pub const TEXTS: [&str; 5] = [
    "externalId",
    "emailAddress",
    "contactTitle",
    "firstName",
    "lastName",
];

#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub id: i64,
    /// Texts, `dateOfBirth` (empty or a date) and `MasterOptIn` (true or false), by path.
    pub values: BTreeMap<&'static str, String>,
    /// City by type of address.
    pub cities: BTreeMap<i64, String>,
    pub stamp: NaiveDateTime,
    pub deleted: bool,
    /// Paths whose present value was never in an answer.
    pub unseen: BTreeSet<&'static str>,
    /// The bridge made it, and no answer has shown it yet: a field that a user empties now looks like one that was dropped.
    pub newborn: bool,
}

impl Person {
    pub fn get(&self, path: &str) -> String {
        match path {
            "city" => self.cities.get(&1).cloned().unwrap_or_default(),
            path => self.values.get(path).cloned().unwrap_or_default(),
        }
    }
}

/// A request that is still on its way.
pub struct Late {
    at: DateTime<Utc>,
    batch: Vec<Document>,
    /// Whom each of the batch was found to be, where that was looked up when the request came.
    found: Option<Vec<Option<i64>>>,
    delete: Option<i64>,
}

pub struct Crm {
    pub people: BTreeMap<i64, Person>,
    pub next_id: i64,
    pub late: Vec<Late>,
    pub requests: u64,
    /// UpdateInserts and deletions that the bridge sent.
    pub writes: u64,
    /// What the bridge has written since it read the list.
    pub just_written: BTreeSet<i64>,
    pub created: u64,
    pub answered: bool,
    /// What the last list showed.
    pub listed: BTreeMap<i64, RemoteRecord>,
    /// Contacts that can't be decoded, whoever asks.
    pub poisoned: BTreeSet<i64>,
    /// Who a contact was that is there no more.
    pub graves: BTreeMap<String, String>,
    /// Contacts that are gone, as they were, and until when a list may still show them.
    pub ghosts: Vec<(DateTime<Utc>, Person)>,
    /// What was pushed and not yet read back (only where the service is believed).
    believed: Vec<Document>,
    /// The page before (only where seams are not checked).
    tail: Vec<RemoteRecord>,
    tail_start: usize,
    /// A contact has its stamp in the future.
    pub foretold: bool,
    /// A request sent earlier is carried out now: what it overwrites, nobody could have known.
    late_now: bool,
    zone: Tz,
}

impl Crm {
    pub fn new(zone: Tz) -> Self {
        Self {
            people: BTreeMap::new(),
            next_id: 1001,
            late: Vec::new(),
            requests: 0,
            writes: 0,
            just_written: BTreeSet::new(),
            created: 0,
            answered: false,
            listed: BTreeMap::new(),
            poisoned: BTreeSet::new(),
            graves: BTreeMap::new(),
            ghosts: Vec::new(),
            believed: Vec::new(),
            tail: Vec::new(),
            tail_start: 0,
            foretold: false,
            late_now: false,
            zone,
        }
    }

    pub fn living(&self) -> impl Iterator<Item = &Person> {
        self.people.values().filter(|person| !person.deleted)
    }

    /// How far a page begins behind the one before.
    fn stride(&self, start: usize) -> usize {
        start.saturating_sub(self.tail_start)
    }

    fn by_external(&self, external: &str) -> Option<i64> {
        self.living()
            .find(|person| person.values["externalId"] == external)
            .map(|person| person.id)
    }

    fn by_email(&self, email: &str) -> Option<i64> {
        self.living()
            .find(|person| person.values["emailAddress"].eq_ignore_ascii_case(email))
            .map(|person| person.id)
    }
}

impl Universe {
    /// The service's own wall time.
    pub fn crm_now(&self) -> NaiveDateTime {
        let instant = self.now + chrono::Duration::seconds(self.settings.clock_ahead);
        instant
            .with_timezone(&self.crm.zone)
            .naive_local()
            .trunc_subsecs(0)
    }

    pub fn run_late_requests(&mut self) {
        let now = self.now;
        let (due, rest): (Vec<Late>, Vec<Late>) = std::mem::take(&mut self.crm.late)
            .into_iter()
            .partition(|late| late.at <= now);
        self.crm.late = rest;
        for late in due {
            self.say(|| "      (a late request is carried out)".into());
            self.crm.late_now = true;
            match &late.found {
                None => self.update_insert(&late.batch),
                Some(found) => self.carry_out(&late.batch, found),
            }
            if let Some(id) = late.delete {
                self.delete_contact(id);
            }
            self.crm.late_now = false;
        }
    }

    fn item(&mut self, id: i64) -> Option<RemoteItem> {
        let bad = self.unreadable(id);
        bad.or_else(|| self.document(id).map(RemoteItem::Record))
    }

    fn document(&mut self, id: i64) -> Option<RemoteRecord> {
        let person = self.crm.people.get_mut(&id)?;
        if self.settings.rare.lag > 0 && !person.unseen.is_empty() {
            let shown = self.past.shown.entry(id).or_default();
            shown.extend(person.unseen.iter().copied());
            self.past.shown_at = Some(self.now);
        }
        person.unseen.clear();
        person.newborn = false;
        let record = record_of(person);
        self.past.read.insert(id);
        Some(record)
    }

    /// A contact that was deleted may show itself once more in a list (only where deletions leave no mark).
    pub fn leave_ghost(&mut self, person: &Person) {
        if self.settings.ghosts > 0 && !self.settings.deleted_flag {
            let span = chrono::Duration::seconds(self.chance.between(10, 1200) as i64);
            self.crm.ghosts.push((self.now + span, person.clone()));
        }
    }

    /// As if everything had landed that was pushed.
    fn believed(&mut self, by: Option<&LookUp>) -> Vec<RemoteRecord> {
        let text = |document: &Document, path| document.text(path).unwrap_or_default().to_owned();
        let (named, rest): (Vec<Document>, Vec<Document>) = std::mem::take(&mut self.crm.believed)
            .into_iter()
            .partition(|document| match by {
                None => true,
                Some(LookUp::Id(id)) => text(document, "entityId") == id.0,
                Some(LookUp::External(external)) => text(document, "externalId") == *external,
                Some(LookUp::Email(email)) => text(document, "emailAddress") == *email,
            });
        self.crm.believed = rest;
        let stamp = self.crm_now();
        let mut records = Vec::new();
        for mut document in named {
            let mut id = text(&document, "entityId");
            if id.is_empty() {
                let known = self.whom(&document);
                id = known.unwrap_or(self.crm.next_id).to_string();
                self.crm.next_id += i64::from(known.is_none());
            }
            document.set("entityId", Node::Text(id.clone()));
            let time = stamp.format("%Y-%m-%dT%H:%M:%S").to_string();
            document.set("lastUpdateDate", Node::Text(time));
            records.push(RemoteRecord {
                id: RemoteId(id),
                stamp: Some(Stamp(stamp)),
                deleted: false,
                document,
            });
        }
        records
    }
}

fn record_of(person: &Person) -> RemoteRecord {
    let id = person.id;
    let mut document = Document::new();
    let text = |text: &str| Node::Text(text.to_owned());
    document.set("entityId", text(&id.to_string()));
    for path in TEXTS {
        if !person.values[path].is_empty() {
            document.set(path, text(&person.values[path]));
        }
    }
    document.set(
        "deleted",
        text(if person.deleted { "true" } else { "false" }),
    );
    let born = &person.values["dateOfBirth"];
    let born = if born.is_empty() {
        NO_DATE.to_owned()
    } else {
        format!("{born}T00:00:00")
    };
    document.set("dateOfBirth", Node::Text(born));
    let stamp = person.stamp.format("%Y-%m-%dT%H:%M:%S").to_string();
    document.set("lastUpdateDate", Node::Text(stamp));
    if !person.cities.is_empty() {
        let items = person
            .cities
            .iter()
            .map(|(kind, city)| {
                let mut item = Document::new();
                item.set("addressTypeID", text(&kind.to_string()));
                if !city.is_empty() {
                    item.set("city", text(city));
                }
                item
            })
            .collect();
        document.set("addresses", Node::List(items));
    }
    document.set("MasterOptIn", text(&person.values["MasterOptIn"]));
    RemoteRecord {
        id: RemoteId(id.to_string()),
        stamp: Some(Stamp(person.stamp)),
        deleted: person.deleted,
        document,
    }
}

impl Universe {
    fn page(&mut self, since: Option<Stamp>, start: usize) -> ListPage {
        let settings = &self.settings;
        let now = self.now;
        self.crm.ghosts.retain(|(until, _)| *until > now);
        let mut ghosts = Vec::new();
        if start == 0 && settings.page == 100 {
            for (_, ghost) in &self.crm.ghosts {
                if self.chance.permille(settings.ghosts) {
                    ghosts.push(ghost.clone());
                }
            }
        }
        let mut shown: Vec<(NaiveDateTime, u64, i64)> = self
            .crm
            .people
            .values()
            .chain(&ghosts)
            .filter(|person| !person.deleted || settings.deleted_flag)
            .filter(|person| match since {
                None => true,
                Some(since) if settings.at_or_after => person.stamp >= since.0,
                Some(since) => person.stamp > since.0,
            })
            .map(|person| (person.stamp, 0, person.id))
            .collect();
        match settings.order {
            Order::Id => shown.sort_by_key(|(_, _, id)| *id),
            Order::Stamp => shown.sort(),
            Order::ShuffledTies => {
                for row in &mut shown {
                    row.1 = self.chance.next();
                }
                shown.sort();
            }
        }
        let end = (start + self.settings.page).min(shown.len());
        let more = end < shown.len();
        let ids: Vec<i64> = shown
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|row| row.2)
            .collect();
        let ahead = chrono::Duration::days(if self.settings.uncapped { 400 } else { 0 });
        let server_time = Some(Stamp(self.crm_now() + ahead));
        // Before it sends new contacts the bridge asks for what changed, and looks at the keys alone; afterwards, at what it sent.
        let is_probe = (self.settings.rare.lag > 0 || self.settings.rare.lies > 0)
            && since.is_some_and(|since| self.crm_now() - since.0 < chrono::Duration::seconds(300));
        if !is_probe {
            self.crm.just_written.clear();
        }
        let mut records = Vec::new();
        let mut bad: BTreeMap<usize, RemoteItem> = BTreeMap::new();
        for id in ids {
            let ghost = ghosts.iter().find(|ghost| ghost.id == id);
            if let Some(item) = self.unreadable(id) {
                bad.insert(records.len(), item);
                records.extend(self.crm.people.get(&id).map(record_of));
            } else if is_probe && !self.crm.just_written.contains(&id) {
                records.extend(self.crm.people.get(&id).map(record_of));
            } else {
                records.extend(ghost.map(record_of).or_else(|| self.document(id)));
            }
        }
        if self.settings.seamless {
            // Rows that this page shares with the one before, as that one showed them.
            let shared = if start > 0 {
                self.crm.tail.len().saturating_sub(self.crm.stride(start))
            } else {
                0
            };
            let shared = shared.min(records.len());
            let from = self.crm.tail.len() - shared;
            records.splice(..shared, self.crm.tail[from..].iter().cloned());
            (self.crm.tail, self.crm.tail_start) = (records.clone(), start);
        }
        if self.settings.stale {
            self.crm.listed = records
                .iter()
                .filter_map(|record| Some((record.id.0.parse().ok()?, record.clone())))
                .collect();
        }
        let items = records.into_iter().enumerate().map(|(at, record)| {
            let bad = bad.remove(&at);
            bad.unwrap_or(RemoteItem::Record(record))
        });
        let items = items.collect();
        ListPage {
            items,
            more,
            server_time,
        }
    }

    /// UpdateInsert as the service carries it out.
    pub fn update_insert(&mut self, batch: &[Document]) {
        let settings = self.settings.clone();
        for document in batch {
            if self.faulty && self.chance.permille(settings.drops_element) {
                self.fault("element dropped");
                continue;
            }
            let known = self.whom(document);
            self.store(known, document, &settings);
        }
    }

    /// Whom a record addresses, as things stand.
    fn whom(&self, document: &Document) -> Option<i64> {
        let sent = |path: &str| document.text(path).unwrap_or_default().trim().to_owned();
        let (external, email) = (sent("externalId"), sent("emailAddress"));
        let by_email = || {
            Some(email.as_str())
                .filter(|email| !email.is_empty())
                .and_then(|email| self.crm.by_email(email))
        };
        if external.is_empty() {
            return by_email();
        }
        // A stranger to the number with a known address: the service's whim (hazard H-25).
        let adopts = self.settings.adopts;
        self.crm
            .by_external(&external)
            .or_else(|| adopts.then(by_email).flatten())
    }

    /// A late request whose addressees were found when it came.
    fn carry_out(&mut self, batch: &[Document], found: &[Option<i64>]) {
        let settings = self.settings.clone();
        for (document, found) in batch.iter().zip(found) {
            let is_there = |id| self.crm.people.get(&id).is_some_and(|it| !it.deleted);
            if found.is_none_or(is_there) {
                self.store(*found, document, &settings);
            }
        }
    }

    fn store(&mut self, known: Option<i64>, document: &Document, settings: &Settings) {
        let stamp = self.crm_now();
        let id = known.unwrap_or_else(|| {
            let id = self.crm.next_id;
            self.crm.next_id += 1;
            self.crm.created += 1;
            id
        });
        let before = self.crm.people.get(&id).cloned();
        let mut person = before.clone().unwrap_or_else(|| new_person(id, stamp));
        for path in TEXTS {
            match document.text(path) {
                Some(text) => {
                    let text = shaped(settings, path, text);
                    person.values.insert(path, text);
                }
                None if settings.missing_clears => {
                    person.values.insert(path, String::new());
                }
                None => {}
            }
        }
        let born = document.text("dateOfBirth").unwrap_or(NO_DATE);
        let born = if born.starts_with("0001") {
            ""
        } else {
            born.get(..10).unwrap_or_default()
        };
        person.values.insert("dateOfBirth", born.to_owned());
        let opted = document.text("MasterOptIn") == Some("true");
        person.values.insert("MasterOptIn", opted.to_string());
        if document.get("addresses").is_some() {
            if settings.replaces_lists {
                person.cities.clear();
            }
            for item in document.list("addresses") {
                let kind = item
                    .text("addressTypeID")
                    .and_then(|kind| kind.parse().ok())
                    .unwrap_or(0);
                let city = shaped(settings, "city", item.text("city").unwrap_or_default());
                person.cities.insert(kind, city);
            }
        }
        person.stamp = stamp;
        self.crm.just_written.insert(id);
        person.newborn |= before.is_none();
        // An update names whom it is meant for, which the service does not heed.
        let meant: Option<i64> = document.text("entityId").and_then(|id| id.parse().ok());
        let is_there = |id| self.crm.people.get(&id).is_some_and(|other| !other.deleted);
        let echo = meant.filter(|meant| *meant != id && is_there(*meant));
        if let Some(meant) = echo
            && (before.is_none() || self.log.echoes.contains(&id))
        {
            self.fault("second contact made");
            self.say(|| format!("      ECHO: meant for contact {meant}, which had lost its address, the push made contact {id}"));
            self.log.echoes.insert(id);
            if settings.rare.lag > 0 {
                // To a replica that lags the address is where it was, and nothing looks like an echo.
                self.log
                    .risen
                    .insert(document.text("lastName").unwrap_or_default().to_owned());
            }
        } else {
            // A row that is sent anew takes over whoever stands at its address.
            self.log.echoes.remove(&id);
            let is_unseen = before.as_ref().is_some_and(|before| {
                before.unseen.contains("emailAddress") || before.unseen.contains("externalId")
            });
            if meant.is_none_or(|meant| meant != id) && is_unseen && settings.rare.lag > 0 {
                // A create meets somebody whom no replica had shown, and who may show most of what it sent.
                self.log
                    .risen
                    .insert(document.text("lastName").unwrap_or_default().to_owned());
            }
            self.note_bridge_write(before.as_ref(), &mut person);
        }
        self.crm.people.insert(id, person);
    }

    /// What the oracle must know of a write of the bridge: what arrived, and what was overwritten unseen.
    fn note_bridge_write(&mut self, before: Option<&Person>, person: &mut Person) {
        let anchor = person.values["lastName"].clone();
        let id = person.id;
        if let Some(before) = before
            && before.values["lastName"] != anchor
        {
            self.note_mixed(before, &anchor);
        }
        let moved = |other: &Person| {
            other.values["lastName"] == anchor
                && (other.unseen.contains("emailAddress") || other.unseen.contains("externalId"))
        };
        if before.is_none() && self.crm.living().any(moved) {
            // A user changed the address between look-up and push, so that the push made a second one.
            self.log.risen.insert(anchor.clone());
        }
        let kind = if before.is_some() {
            "updates"
        } else {
            "CREATES"
        };
        let mut changes = Vec::new();
        for path in [
            "externalId",
            "emailAddress",
            "contactTitle",
            "firstName",
            "lastName",
            "dateOfBirth",
            "MasterOptIn",
            "city",
        ] {
            let value = person.get(path);
            let old = before.map(|before| before.get(path));
            if old.as_ref() == Some(&value) {
                continue;
            }
            changes.push(format!(
                "{path}: {:?} -> {value:?}",
                old.clone().unwrap_or_default()
            ));
            if let Some(old) = old
                && (person.unseen.remove(path) || self.crm.late_now)
            {
                self.windows += 1;
                self.log.window(&anchor, field_of_path(path), &old);
                self.say(|| {
                    format!("      (an edit of {path} was overwritten within the round trip)")
                });
            }
            self.log
                .written(Side::Remote, &anchor, field_of_path(path), &value);
        }
        self.say(|| {
            format!(
                "      bridge {kind} contact {id} {anchor}: {}",
                changes.join(", ")
            )
        });
    }

    /// A push landed on the contact of somebody else: only what happened between look-up and push excuses that.
    fn note_mixed(&mut self, before: &Person, anchor: &str) {
        let other = before.values["lastName"].clone();
        let came = before.unseen.contains("emailAddress") || before.unseen.contains("externalId");
        // The contact that was meant was deleted between look-up and push, so that the address alone was left.
        let meant = (Side::Remote, anchor.to_owned());
        // Whoever has the External ID after a merge is whom a row of that number means.
        let was_taken = self.log.risen.contains(&other)
            || [other.as_str(), anchor]
                .iter()
                .any(|who| self.log.merged.contains(*who));
        if came || was_taken || self.crm.late_now || self.log.deleted_unseen.contains(&meant) {
            self.fault("push taken over");
            self.log.risen.extend([other, anchor.to_owned()]);
        } else {
            let line = format!("I2 the push of {anchor} landed on the contact of {other}");
            self.log.broken.push(line);
        }
    }

    pub fn delete_contact(&mut self, id: i64) -> Deleted {
        let stamp = self.crm_now();
        let flag = self.settings.deleted_flag;
        let Some(person) = self
            .crm
            .people
            .get_mut(&id)
            .filter(|person| !person.deleted)
        else {
            return Deleted::Unknown;
        };
        let anchor = person.values["lastName"].clone();
        // A request that is carried out late takes along what was edited since it was sent, whoever has seen that.
        let late = FIELDS
            .iter()
            .map(|(_, path)| *path)
            .filter(|_| self.crm.late_now);
        let unseen: BTreeMap<&'static str, String> = person
            .unseen
            .iter()
            .copied()
            .chain(late)
            .map(|path| (path, person.get(path)))
            .collect();
        let as_it_was = person.clone();
        (person.deleted, person.stamp) = (true, stamp);
        if !flag {
            self.crm.people.remove(&id);
        }
        self.leave_ghost(&as_it_was);
        for (path, value) in unseen {
            self.windows += 1;
            self.log.window(&anchor, field_of_path(path), &value);
        }
        self.log.removed(Side::Remote, &anchor);
        self.say(|| format!("      bridge DELETES contact {id} {anchor}"));
        Deleted::Done
    }
}

pub fn new_person(id: i64, stamp: NaiveDateTime) -> Person {
    let mut values: BTreeMap<&'static str, String> =
        TEXTS.iter().map(|path| (*path, String::new())).collect();
    values.insert("dateOfBirth", String::new());
    values.insert("MasterOptIn", "false".into());
    Person {
        id,
        values,
        cities: BTreeMap::new(),
        stamp,
        deleted: false,
        unseen: BTreeSet::new(),
        newborn: false,
    }
}

fn shaped(settings: &Settings, path: &str, text: &str) -> String {
    let codec = match path {
        "contactTitle" => settings.title_codec,
        "city" => settings.city_codec,
        _ => Codec::Faithful,
    };
    match codec {
        Codec::Faithful => text.to_owned(),
        Codec::Trim => text.trim().to_owned(),
        Codec::Upper => text.to_uppercase(),
        Codec::Cut(length) => text.chars().take(length).collect(),
    }
}

/// The calls of the service, at the model.
pub struct SimCalls(pub Shared);

impl SimCalls {
    /// Why a read fails, where it does.
    async fn fails(&self, what: &'static str) -> Option<Error> {
        turn(&self.0, what).await;
        let mut universe = self.0.borrow_mut();
        universe.crm.requests += 1;
        let share = universe.settings.read_fails;
        if universe.faulty && universe.chance.permille(share) {
            universe.fault("read failed");
            return Some(timed_out());
        }
        let garbled = universe.garbled();
        universe.crm.answered |= garbled.is_none();
        garbled
    }

    /// Whether a write reaches the service, is carried out now, and is answered.
    fn fortune(&self) -> Fortune {
        let mut universe = self.0.borrow_mut();
        let settings = universe.settings.clone();
        if !universe.faulty {
            return Fortune::Good;
        }
        if universe.chance.permille(settings.lost_request) {
            universe.fault("request lost");
            Fortune::Lost
        } else if universe.chance.permille(settings.lost_answer) {
            universe.fault("answer lost");
            Fortune::Unanswered
        } else if universe.chance.permille(settings.late) {
            universe.fault("carried out late");
            let after = universe.chance.between(1, 59_000);
            Fortune::Late(Duration::from_millis(after))
        } else {
            Fortune::Good
        }
    }
}

enum Fortune {
    Good,
    Lost,
    Unanswered,
    Late(Duration),
}

fn timed_out() -> Error {
    Error::unreachable("E-HTTP-TIMEOUT", "The service did not answer in time")
}

impl Calls for SimCalls {
    async fn list(&self, since: Option<Stamp>, record_start: u32) -> Result<ListPage> {
        if let Some(error) = self.fails("list").await {
            return Err(error);
        }
        let mut universe = self.0.borrow_mut();
        let believed = universe.believed(None);
        if !believed.is_empty() {
            return Ok(ListPage {
                items: believed.into_iter().map(RemoteItem::Record).collect(),
                more: false,
                server_time: Some(Stamp(universe.crm_now())),
            });
        }
        if record_start == 0 {
            // A scan that begins anew drops what it had read.
            universe.forget_what_no_run_has_taken();
        }
        let present = universe.fall_behind();
        if present.is_none() {
            universe
                .log
                .deleted_unseen
                .retain(|(side, _)| *side != Side::Remote);
        }
        let mut page = universe.page(since, record_start as usize);
        universe.lies(&mut page);
        universe.note_listed(&page);
        universe.catch_up(present);
        universe.say(|| {
            let since = since.map_or("the beginning".to_owned(), |since| since.0.to_string());
            format!(
                "   list since {since} from {record_start}: {} contacts, more: {}",
                page.items.len(),
                page.more
            )
        });
        Ok(page)
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        if let Some(error) = self.fails("look-up").await {
            return Err(error);
        }
        let mut universe = self.0.borrow_mut();
        if let Some(record) = universe.believed(Some(by)).pop() {
            return Ok(Found::Item(Box::new(RemoteItem::Record(record))));
        }
        let present = universe.fall_behind();
        let id = match by {
            LookUp::Id(id) => {
                id.0.parse()
                    .ok()
                    .filter(|id| universe.crm.people.contains_key(id))
            }
            LookUp::External(external) => universe.crm.by_external(external),
            LookUp::Email(email) => universe.crm.by_email(email),
        };
        if let (LookUp::Id(asked), None) = (by, id)
            && let Some(anchor) = universe.crm.graves.get(&asked.0).cloned()
        {
            universe.log.deleted_unseen.remove(&(Side::Remote, anchor));
        }
        universe.say(|| format!("   look-up {by:?}: {id:?}"));
        let remembered = id.and_then(|id| universe.crm.listed.get(&id).cloned());
        if let (true, Some(record), LookUp::Id(_) | LookUp::External(_)) =
            (universe.settings.stale, remembered, by)
        {
            universe.catch_up(present);
            return Ok(Found::Item(Box::new(RemoteItem::Record(record))));
        }
        let item = id.and_then(|id| universe.item(id));
        universe.catch_up(present);
        Ok(match item {
            Some(item) => Found::Item(Box::new(item)),
            None => Found::Nothing,
        })
    }

    async fn update_insert(&self, batch: &[Document]) -> Result<Pushed> {
        turn(&self.0, "push").await;
        {
            let mut universe = self.0.borrow_mut();
            let slow = universe.settings.slow * 1000;
            if universe.faulty && slow > 0 {
                let took = universe.chance.below(slow);
                universe.pass_time(Duration::from_millis(took));
            }
        }
        let fortune = self.fortune();
        let pushed = {
            let mut universe = self.0.borrow_mut();
            universe.crm.requests += 1;
            universe.crm.writes += 1;
            universe.say(|| format!("   push of {}", batch.len()));
            if universe.settings.believes {
                universe.crm.believed.extend(batch.iter().cloned());
            }
            let refuses = universe.settings.refuses_batch;
            if universe.faulty && universe.chance.permille(refuses) {
                universe.fault("batch refused");
                // Perhaps some were stored before the culprit was met.
                let part = universe.chance.below(batch.len() as u64 + 1) as usize;
                universe.update_insert(&batch[..part]);
                Pushed::Refused {
                    reason: "ERROR: no".into(),
                }
            } else {
                let unknown = Pushed::Unknown {
                    reason: "timed out".into(),
                };
                match fortune {
                    Fortune::Good => {
                        universe.update_insert(batch);
                        universe.crm.answered = true;
                        Pushed::Accepted
                    }
                    Fortune::Lost => unknown,
                    Fortune::Unanswered => {
                        universe.update_insert(batch);
                        unknown
                    }
                    Fortune::Late(after) => {
                        let at = universe.now + chrono::Duration::from_std(after).unwrap();
                        let racy = universe.settings.racy;
                        let found = racy
                            .then(|| batch.iter().map(|record| universe.whom(record)).collect());
                        universe.crm.late.push(Late {
                            at,
                            batch: batch.to_vec(),
                            found,
                            delete: None,
                        });
                        unknown
                    }
                }
            }
        };
        turn(&self.0, "pushed").await;
        Ok(pushed)
    }

    async fn delete(&self, id: &RemoteId) -> Result<Deleted> {
        turn(&self.0, "delete").await;
        let fortune = self.fortune();
        let number = id.0.parse().unwrap_or(0);
        let deleted = {
            let mut universe = self.0.borrow_mut();
            universe.crm.requests += 1;
            universe.crm.writes += 1;
            match fortune {
                Fortune::Good => Ok(universe.delete_contact(number)),
                Fortune::Lost => Err(timed_out()),
                Fortune::Unanswered => {
                    universe.delete_contact(number);
                    Err(timed_out())
                }
                Fortune::Late(after) => {
                    let at = universe.now + chrono::Duration::from_std(after).unwrap();
                    universe.crm.late.push(Late {
                        at,
                        batch: Vec::new(),
                        found: None,
                        delete: Some(number),
                    });
                    Err(timed_out())
                }
            }
        };
        turn(&self.0, "deleted").await;
        deleted
    }

    async fn pause(&self, duration: Duration) {
        self.0.borrow_mut().pass_time(duration);
        turn(&self.0, "pause").await;
    }

    fn requests(&self) -> u64 {
        self.0.borrow().crm.requests
    }

    fn server_time(&self) -> Option<Stamp> {
        let universe = self.0.borrow();
        universe.crm.answered.then(|| Stamp(universe.crm_now()))
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        let universe = self.0.borrow();
        universe
            .crm
            .answered
            .then(|| chrono::Duration::seconds(universe.settings.clock_ahead))
    }
}
