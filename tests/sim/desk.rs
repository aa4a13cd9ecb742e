//! A model of a service that queues what changed: members, a queue with its reasons, the habits that the vendor's guide
//! leaves open, and people who work there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contactbridge::model::{
    BadRecord, DateStyle, Document, Error, Node, RemoteId, RemoteItem, RemoteRecord, Result,
    Scalar, Shape, Stamp, Vocabulary,
};
use contactbridge::remote::{
    Found, LookUp, Purged, Queue, QueueReading, QueueStep, Queued, Remote, Scope,
};

use crate::universe::{Shared, Universe, turn};

/// What a queue keeps of several changes of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// A row each.
    Each,
    /// One row, which takes the newest number.
    Renewed,
    /// One row, which keeps its number.
    Kept,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub first_name: String,
    pub city: String,
    /// By serno.
    pub emails: BTreeMap<u64, String>,
}

#[derive(Clone, Debug)]
struct Row {
    number: u64,
    id: String,
    triggers: Vec<(u64, &'static str, &'static str)>,
}

/// The service.
pub struct Desk {
    /// Whether this world is one of a queue.
    pub open: bool,
    pub rows: Rows,
    pub reasons: bool,
    /// Failures of calls, in so many of a thousand.
    pub fails: u64,
    pub members: BTreeMap<String, Member>,
    queue: Vec<Row>,
    number: u64,
    born: u64,
    /// Their details can't be read.
    pub poisoned: BTreeSet<String>,
    /// Their details are left out although they are there.
    pub hidden: BTreeSet<String>,
    /// They were deleted once and are back.
    reborn: BTreeSet<String>,
    /// Everybody who was deleted since a run began.
    pub died: BTreeSet<String>,
    pub calls: u64,
    pub broken: Vec<String>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            open: false,
            rows: Rows::Each,
            reasons: true,
            fails: 0,
            members: BTreeMap::new(),
            queue: Vec::new(),
            number: 0,
            born: 0,
            poisoned: BTreeSet::new(),
            hidden: BTreeSet::new(),
            reborn: BTreeSet::new(),
            died: BTreeSet::new(),
            calls: 0,
            broken: Vec::new(),
        }
    }
}

impl Desk {
    pub fn enqueue(&mut self, id: &str, action: &'static str, table: &'static str) {
        self.number += 1;
        let trigger = (self.number, action, table);
        let known = self.queue.iter_mut().find(|row| row.id == id);
        match (self.rows, known) {
            (Rows::Renewed, Some(row)) => {
                row.number = self.number;
                row.triggers.push(trigger);
            }
            (Rows::Kept, Some(row)) => row.triggers.push(trigger),
            _ => self.queue.push(Row {
                number: self.number,
                id: id.to_owned(),
                triggers: vec![trigger],
            }),
        }
    }

    /// Whose details can be read.
    pub fn shown(&self) -> BTreeSet<String> {
        let ids = self.members.keys();
        ids.filter(|id| !self.hidden.contains(*id) && !self.poisoned.contains(*id))
            .cloned()
            .collect()
    }

    pub fn queue_is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What the queue says now, a member once, and up to where that may be purged.
    fn named(&self) -> (Vec<Queued>, Option<String>) {
        let mut named: Vec<Queued> = Vec::new();
        for row in &self.queue {
            let deleted = self.reasons
                && row
                    .triggers
                    .iter()
                    .any(|(_, action, table)| *action == "DELETE" && *table == "CEN_CUST_MAST");
            let mut scope = Scope::Sections(BTreeSet::new());
            for (_, _, table) in &row.triggers {
                scope = scope.union(self.scope(table));
            }
            let mark = if self.reasons {
                row.triggers.iter().fold(0, |mark: u64, (number, ..)| {
                    mark.wrapping_mul(31).wrapping_add(*number)
                })
            } else {
                1
            };
            match named.iter_mut().find(|queued| queued.id.0 == row.id) {
                Some(queued) if self.reasons => {
                    queued.scope = queued.scope.clone().union(scope);
                    queued.deleted |= deleted;
                    queued.mark = queued.mark.wrapping_mul(31).wrapping_add(mark);
                }
                Some(_) => {}
                None => named.push(Queued {
                    id: RemoteId(row.id.clone()),
                    scope,
                    deleted,
                    mark,
                }),
            }
        }
        let number = self.queue.iter().map(|row| row.number).max();
        (named, number.map(|number| number.to_string()))
    }

    fn scope(&self, table: &str) -> Scope {
        let section = match table {
            "CEN_CUST_ADDR" => "addresses",
            "CEN_CUST_CYBER" => "emails",
            "CEN_CUST_EMP" => "jobs",
            _ => return Scope::Whole,
        };
        if !self.reasons {
            return Scope::Whole;
        }
        Scope::Sections(BTreeSet::from([section.to_owned()]))
    }

    fn details(&self, id: &str, scope: &Scope) -> Option<RemoteItem> {
        if self.hidden.contains(id) {
            return None;
        }
        let member = self.members.get(id)?;
        if self.poisoned.contains(id) {
            return Some(RemoteItem::Bad(BadRecord {
                id: Some(RemoteId(id.to_owned())),
                code: "Q-XML",
                reason: "not well-formed".into(),
                raw: b"<custInfo".to_vec(),
            }));
        }
        let text = |value: &str| Node::Text(value.to_owned());
        let record = |entries: Vec<(&'static str, Node)>| {
            let mut document = Document::new();
            for (name, node) in entries {
                document.push(name, node);
            }
            document
        };
        let mut document = record(vec![
            ("custId", text(id)),
            (
                "name",
                Node::Record(record(vec![
                    ("firstName", text(&member.first_name)),
                    ("lastName", text(&anchor(id))),
                ])),
            ),
        ]);
        let asked = |section: &str| match scope {
            Scope::Whole => true,
            Scope::Sections(names) => names.contains(section),
        };
        if asked("addresses") {
            let address = record(vec![
                ("addressType", text("HOME")),
                ("city", text(&member.city)),
            ]);
            document.push("addresses", Node::List(vec![address]));
        }
        if asked("emails") {
            let email = |(serno, address): (&u64, &String)| {
                record(vec![
                    ("emailSerno", text(&serno.to_string())),
                    ("address", text(address)),
                ])
            };
            document.push(
                "emails",
                Node::List(member.emails.iter().map(email).collect()),
            );
        }
        Some(RemoteItem::Record(RemoteRecord {
            id: RemoteId(id.to_owned()),
            stamp: None,
            deleted: false,
            document,
        }))
    }
}

/// The name by which a member is known on both sides; it never changes.
pub fn anchor(id: &str) -> String {
    format!("Zpx{id}")
}

impl Universe {
    pub fn a_member_joins(&mut self) -> String {
        self.desk.born += 1;
        let id = format!(
            "{:05}{}",
            self.desk.born,
            ["", "_SC"][self.chance.below(2) as usize]
        );
        self.a_member_is_written(&id);
        self.desk.enqueue(&id, "INSERT", "CEN_CUST_MAST");
        id
    }

    fn a_member_is_written(&mut self, id: &str) {
        let member = Member {
            first_name: format!("Zqx{}", self.chance.below(1000)),
            city: format!("Zqx{}", self.chance.below(1000)),
            emails: (0..self.chance.below(3))
                .map(|serno| (serno, format!("zqx{serno}@example.org")))
                .collect(),
        };
        self.say(|| format!("      desk WRITES {id} {member:?}"));
        self.desk.members.insert(id.to_owned(), member);
    }

    pub fn somebody_acts_at_the_desk(&mut self) {
        let ids: Vec<String> = self.desk.members.keys().cloned().collect();
        let Some(id) = self.chance.pick(&ids).cloned() else {
            self.a_member_joins();
            return;
        };
        let value = self.chance.below(1000);
        let act = self.chance.below(100);
        let member = self.desk.members.get_mut(&id).expect("a known member");
        match act {
            0..15 => {
                self.a_member_joins();
            }
            15..40 => {
                member.first_name = format!("Zqx{value}");
                self.desk.enqueue(&id, "UPDATE", "CEN_CUST_MAST");
            }
            40..55 => {
                member.city = if value < 100 {
                    String::new()
                } else {
                    format!("Zqx{value}")
                };
                self.desk.enqueue(&id, "UPDATE", "CEN_CUST_ADDR");
            }
            55..70 => {
                let serno = value % 4;
                if member.emails.remove(&serno).is_none() {
                    member
                        .emails
                        .insert(serno, format!("zqx{value}@example.org"));
                }
                self.desk.enqueue(&id, "UPDATE", "CEN_CUST_CYBER");
            }
            // Nothing of it is mapped.
            70..75 => self.desk.enqueue(&id, "UPDATE", "CEN_CUST_EMP"),
            75..83 => {
                self.desk.members.remove(&id);
                self.desk.died.insert(id.clone());
                self.desk.enqueue(&id, "DELETE", "CEN_CUST_MAST");
            }
            // Hidden and marked as deleted it would be gone, as the contract has it.
            83..88 if !self.desk.hidden.contains(&id) => {
                // Gone and back under the same id.
                self.desk.reborn.insert(id.clone());
                self.desk.died.insert(id.clone());
                self.desk.enqueue(&id, "DELETE", "CEN_CUST_MAST");
                self.a_member_is_written(&id);
                self.desk.enqueue(&id, "INSERT", "CEN_CUST_MAST");
            }
            88..94 if self.faulty => {
                if !self.desk.poisoned.remove(&id) {
                    self.desk.poisoned.insert(id.clone());
                }
                self.desk.enqueue(&id, "UPDATE", "CEN_CUST_MAST");
            }
            94..98 if self.faulty && self.desk.reasons => {
                if !self.desk.hidden.remove(&id) && !self.desk.reborn.contains(&id) {
                    self.desk.hidden.insert(id.clone());
                    self.desk.enqueue(&id, "UPDATE", "CEN_CUST_ADDR");
                }
            }
            _ => self.desk.enqueue(&id, "UPDATE", "NOBODY_KNOWS"),
        }
        self.say(|| format!("      desk acts {act} on {id}"));
    }
}

/// The port.
pub struct SimDesk {
    pub shared: Shared,
    pub vocabulary: Vocabulary,
}

fn failed() -> Error {
    Error::unreachable("E-SIM", "the call failed")
}

impl SimDesk {
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            vocabulary: vocabulary(),
        }
    }

    /// True when the call fails, before or after it did its work.
    async fn call(&self, name: &'static str) -> Result<()> {
        turn(&self.shared, name).await;
        let mut universe = self.shared.borrow_mut();
        universe.desk.calls += 1;
        let fails = universe.desk.fails;
        if universe.faulty && universe.chance.permille(fails) {
            universe.fault("a call failed");
            return Err(failed());
        }
        Ok(())
    }
}

/// What the model's documents look like.
pub fn vocabulary() -> Vocabulary {
    let text = Shape::Scalar(Scalar::Text);
    let record = |names: &[&'static str]| {
        Shape::Record(names.iter().map(|name| (*name, text.clone())).collect())
    };
    let list = |names| Shape::List(Box::new(record(names)));
    Vocabulary {
        kind: "association-anywhere",
        shape: Shape::Record(vec![
            ("custId", text.clone()),
            ("name", record(&["firstName", "lastName"])),
            ("addresses", list(&["addressType", "city"])),
            ("emails", list(&["emailSerno", "address"])),
            ("jobs", list(&["titleName"])),
        ]),
        dates: DateStyle {
            zone: chrono_tz::UTC,
            formats: vec!["%m/%d/%Y".into()],
            sentinel: None,
        },
        external_id: Some("custId"),
        email: None,
        read_only: Vec::new(),
        guarded: Vec::new(),
        mirrors: Vec::new(),
        writable: false,
        absence: contactbridge::model::Absence::SilentSections,
    }
}

/// A reading of the queue, in small steps, that may break off.
pub struct SimReading {
    shared: Shared,
    named: Vec<Queued>,
    number: Option<String>,
}

impl QueueReading for SimReading {
    async fn next(&mut self) -> Result<QueueStep> {
        turn(&self.shared, "desk.step").await;
        {
            let mut universe = self.shared.borrow_mut();
            let fails = universe.desk.fails / 4;
            if universe.faulty && universe.chance.permille(fails) {
                universe.fault("an answer broke off");
                return Err(failed());
            }
        }
        if self.named.is_empty() {
            return Ok(QueueStep::End {
                number: self.number.take(),
                doubt: None,
            });
        }
        let rest = self.named.split_off(self.named.len().min(3));
        Ok(QueueStep::Records(std::mem::replace(&mut self.named, rest)))
    }
}

impl Queue for SimDesk {
    type Reading = SimReading;

    async fn queue(&self) -> Result<SimReading> {
        self.call("desk.queue").await?;
        let (named, number) = self.shared.borrow().desk.named();
        self.shared
            .borrow_mut()
            .say(|| format!("   the queue names {named:?} up to {number:?}"));
        Ok(SimReading {
            shared: self.shared.clone(),
            named,
            number,
        })
    }

    async fn details(&self, ids: &[RemoteId], scope: &Scope) -> Result<Vec<RemoteItem>> {
        let mut items = Vec::new();
        for part in ids.chunks(2) {
            self.call("desk.details").await?;
            let universe = self.shared.borrow();
            items.extend(
                part.iter()
                    .filter_map(|id| universe.desk.details(&id.0, scope)),
            );
        }
        Ok(items)
    }

    async fn purge(&self, number: &str) -> Result<Purged> {
        turn(&self.shared, "desk.purge").await;
        let unknown = || Purged::Unknown {
            reason: "no answer".into(),
        };
        {
            let mut universe = self.shared.borrow_mut();
            let universe = &mut *universe;
            universe.desk.calls += 1;
            if universe.faulty && universe.chance.permille(universe.desk.fails) {
                universe.fault("a purge was lost");
                return Ok(unknown());
            }
            let limit: u64 = number.parse().expect("a number that the queue gave");
            universe.say(|| format!("   PURGE up to {limit}"));
            universe.desk.queue.retain(|row| row.number > limit);
            if universe.faulty && universe.chance.permille(universe.desk.fails) {
                universe.fault("the answer to a purge was lost");
                return Ok(unknown());
            }
        }
        turn(&self.shared, "desk.purged").await;
        Ok(Purged::Done)
    }
}

impl Remote for SimDesk {
    type Scan = contactbridge::remote::NoScan;

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        self.call("desk.look_up").await?;
        let LookUp::Id(id) = by else {
            return Ok(Found::Nothing);
        };
        let item = self.shared.borrow().desk.details(&id.0, &Scope::Whole);
        Ok(item.map_or(Found::Nothing, |item| Found::Item(Box::new(item))))
    }

    fn requests(&self) -> u64 {
        self.shared.borrow().desk.calls
    }

    fn server_time(&self) -> Option<Stamp> {
        None
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        None
    }

    fn is_ambiguous(&self, _: Stamp) -> bool {
        false
    }

    fn instant(&self, stamp: Stamp) -> DateTime<Utc> {
        stamp.0.and_utc()
    }

    fn stamp(&self, instant: DateTime<Utc>) -> Stamp {
        Stamp(instant.naive_utc())
    }
}
