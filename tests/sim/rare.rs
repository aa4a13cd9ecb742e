//! What happens rarely, and in these worlds often: contacts that are merged, backups that are put back, a service that lies,
//! lags or answers with a web page, clocks that change, a disk that is full.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use contactbridge::model::{BadRecord, Error, LocalKey, RemoteId, RemoteItem};
use contactbridge::remote::contactlist::ListPage;

use crate::chance::Chance;
use crate::crm::Person;
use crate::oracle::{FIELDS, Side, Snapshot, canonical, shown};
use crate::store::Disk;
use crate::universe::Universe;

/// How often each happens; 0: never.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    /// The world begins then, some hours before the clocks of its zone change.
    pub begins: Option<DateTime<Utc>>,
    /// Two contacts are merged, in so many of a thousand acts.
    pub merges: u64,
    /// A backup of the CRM, or of the state, is put back before a run, in so many of a thousand runs.
    pub crm_restored: u64,
    pub state_restored: u64,
    /// The state is lost altogether, in so many of a thousand runs.
    pub state_lost: u64,
    /// The disk is full in the middle of a run, in so many of a thousand.
    pub disk_full: u64,
    /// A read is answered with a web page, in so many of a thousand.
    pub garbled: u64,
    /// `moreRecords` says the contrary, in so many of a thousand pages.
    pub lies: u64,
    /// A read may be answered by a replica that is up to so many seconds behind.
    pub lag: u64,
    /// A contact of an answer can't be decoded, in so many of a thousand.
    pub unreadable: u64,
    /// An edit makes a contact that can't be decoded until the next one, in so many of a thousand (I8).
    pub poisoned: u64,
    /// An edit leaves the contact's stamp as it was, in so many of a thousand (hazard H-13).
    pub unstamped: u64,
}

/// When a zone's clocks change in 2026: hours that it has twice, and hours that it has not.
const CHANGES: [(Tz, (u32, u32, u32, u32)); 7] = [
    (chrono_tz::Australia::Sydney, (4, 4, 16, 0)),
    (chrono_tz::Australia::Sydney, (10, 3, 16, 0)),
    (chrono_tz::Australia::Lord_Howe, (4, 4, 15, 0)),
    (chrono_tz::Europe::Berlin, (10, 25, 1, 0)),
    (chrono_tz::Europe::Berlin, (3, 29, 1, 0)),
    (chrono_tz::America::New_York, (11, 1, 6, 0)),
    (chrono_tz::America::New_York, (3, 8, 7, 0)),
];

impl Rare {
    /// Some of it; the zone that goes with it, where the clocks change.
    pub fn draw(chance: &mut Chance) -> (Self, Option<Tz>) {
        let mut rate = |high: u64| {
            if chance.permille(250) {
                chance.between(1, high)
            } else {
                0
            }
        };
        let mut rare = Self {
            begins: None,
            merges: rate(120),
            crm_restored: rate(400),
            state_restored: rate(400),
            state_lost: rate(300),
            disk_full: rate(500),
            garbled: rate(40),
            lies: rate(200),
            lag: rate(40),
            unreadable: rate(60),
            unstamped: rate(300),
            poisoned: rate(100),
        };
        rare.leave_out_what_nothing_can_tell_apart();
        let needs_times = rare.lag > 0 || rare.crm_restored > 0;
        let zone = (!needs_times && chance.permille(400)).then(|| {
            let (zone, (month, day, hour, minute)) = *chance.pick(&CHANGES).expect("some");
            let changes = Utc.with_ymd_and_hms(2026, month, day, hour, minute, 0);
            let before = chrono::Duration::minutes(chance.below(300) as i64);
            rare.begins = Some(changes.unwrap() - before);
            zone
        });
        (rare, zone)
    }

    /// A replica that lags, and a backup that was put back, show themselves by the times of records against those that the state
    /// knows: not where the state was lost, an edit leaves no time, or the hour comes twice.
    fn leave_out_what_nothing_can_tell_apart(&mut self) {
        if self.lag > 0 {
            (self.crm_restored, self.lies) = (0, 0);
        }
        if self.lag > 0 || self.crm_restored > 0 {
            self.merges = 0;
            (self.state_restored, self.state_lost, self.unstamped) = (0, 0, 0);
        }
        if self.crm_restored > 0 {
            (self.poisoned, self.unreadable, self.disk_full, self.lies) = (0, 0, 0, 0);
        }
    }

    /// Whether a record may wait for a full read after everything has stopped.
    pub fn settles_slowly(&self) -> bool {
        self.merges > 0 || self.crm_restored > 0
    }

    /// Whether only a full read finds what was not shown or not stamped.
    pub fn needs_full_reads(&self) -> bool {
        self.lies > 0 || self.unstamped > 0 || self.unreadable > 0 || self.crm_restored > 0
    }
}

/// What a world keeps of its past.
#[derive(Default)]
pub struct Past {
    /// The contacts, and the clock of the edits.
    crm: Option<(BTreeMap<i64, Person>, u64)>,
    state: Option<Disk>,
    /// Who was merged with somebody.
    merged: BTreeSet<String>,
    /// Contacts that the read now going on has shown.
    pub read: BTreeSet<i64>,
    /// The contacts as they were, for replicas that are behind.
    replicas: VecDeque<(DateTime<Utc>, BTreeMap<i64, Person>)>,
    /// Which edits this run was the first to be shown, by contact.
    pub shown: BTreeMap<i64, BTreeSet<&'static str>>,
    /// When it was shown the last of them.
    pub shown_at: Option<DateTime<Utc>>,
    /// The disk is full from this point of the run on.
    pub full_at: Option<u64>,
}

impl Universe {
    /// Between two runs: backups are taken and put back.
    pub fn time_passes_over_backups(&mut self) {
        let rare = self.settings.rare.clone();
        let happens = |share: u64, chance: &mut Chance| share > 0 && chance.permille(share);
        // What a killed run saw last, its state may not know.
        if !self.dead && !self.log.restored && happens(rare.crm_restored, &mut self.chance) {
            match self.past.crm.take() {
                None => self.past.crm = Some((self.crm.people.clone(), self.log.clock)),
                Some((people, taken)) => self.restore_crm(people, taken),
            }
        }
        if happens(rare.state_restored, &mut self.chance) {
            match self.past.state.take() {
                None => self.past.state = Some(self.disk.copy()),
                Some(disk) => self.replace_state(disk, "an older state is put back"),
            }
        }
        if happens(rare.state_lost, &mut self.chance) {
            self.replace_state(Disk::default(), "the state is lost");
        }
        self.past.full_at =
            happens(rare.disk_full, &mut self.chance).then(|| self.chance.between(1, 80));
    }

    fn replace_state(&mut self, disk: Disk, what: &'static str) {
        self.fault(what);
        self.disk = disk;
        // What a policy had kept was kept there.
        self.log.overwritten.clear();
        self.log.state_is_older = true;
        // Who shows the keys of another since they were merged may be linked with that one's row.
        self.log.merged.append(&mut self.past.merged);
        // Who is an echo of a push was known there alone.
        let echoes: Vec<String> = (self.crm.living())
            .filter(|person| self.log.echoes.contains(&person.id))
            .map(|person| person.values["lastName"].clone())
            .collect();
        self.log.risen.extend(echoes);
        self.log.echoes.clear();
    }

    fn restore_crm(&mut self, people: BTreeMap<i64, Person>, taken: u64) {
        self.fault("a backup of the CRM is put back");
        let before = self.snapshots(Side::Remote);
        let ids = self.ids_of_people();
        self.crm.people = people;
        for person in self.crm.people.values_mut() {
            person.unseen.clear();
        }
        // A contact that had died is back in the place of the one that was made since: to the bridge it is dead.
        for (anchor, id) in self.ids_of_people() {
            if ids.get(&anchor).is_some_and(|before| *before != id) {
                self.log.merged.insert(anchor);
            }
        }
        self.crm.ghosts.clear();
        self.crm.late.clear();
        self.past.replicas.clear();
        self.note_restored(Side::Remote, &before, taken);
    }

    fn ids_of_people(&self) -> BTreeMap<String, i64> {
        let id = |person: &Person| (person.values["lastName"].clone(), person.id);
        self.crm.living().map(id).collect()
    }

    /// What everybody shows on a side.
    fn snapshots(&self, side: Side) -> BTreeMap<String, Snapshot> {
        match side {
            Side::Remote => {
                let show = |person: &Person| {
                    let values = FIELDS.iter();
                    let values = values
                        .map(|(field, path)| (*field, canonical(field, &person.get(path))))
                        .collect();
                    (person.values["lastName"].clone(), values)
                };
                self.crm.living().map(show).collect()
            }
            Side::Local => {
                let column = self.database.column("last_name");
                let show = |(key, row): (&LocalKey, &crate::database::DbRow)| {
                    let values = FIELDS.iter();
                    let values = values
                        .map(|(field, _)| (*field, self.local_value(key, field)))
                        .collect();
                    (shown(&row.cells[column]), values)
                };
                self.database.living().map(show).collect()
            }
        }
    }

    /// What was lost on the restored side nobody entered there any more; what the other side shows of it must live.
    fn note_restored(&mut self, side: Side, before: &BTreeMap<String, Snapshot>, taken: u64) {
        let after = self.snapshots(side);
        let other = self.snapshots(side.other());
        self.log.restored = true;
        for anchor in self.log.anchors.clone() {
            match (before.get(&anchor), after.get(&anchor)) {
                (None, None) => {}
                // Merged since: the backup may have others of those who were made one.
                (Some(was), Some(is)) if !self.log.merged.contains(&anchor) => {
                    for (field, _) in FIELDS {
                        // One that was entered after the backup is gone, though another like it may have come back.
                        if was[field] == is[field]
                            && !self.log.is_edited_since(side, &anchor, field, taken)
                        {
                            continue;
                        }
                        let stands = other.get(&anchor).map(|values| values[field].as_str());
                        self.log
                            .set_back(side, &anchor, field, Some(&is[field]), stands);
                    }
                }
                (was, is) => {
                    self.log.rewound.insert(anchor.clone());
                    self.log.forget_deletion(&anchor);
                    for (field, _) in FIELDS {
                        let is = is.map(|values| values[field].as_str());
                        let stands = other.get(&anchor).map(|values| values[field].as_str());
                        self.log.set_back(side, &anchor, field, is, stands);
                    }
                    let became = if was.is_some() { "gone" } else { "back" };
                    self.say(|| format!("   ~ {anchor} is {became} on {side:?} with the backup"));
                }
            }
        }
    }

    /// A user makes one contact of two: one of them stays and takes over what it lacks, or a third is made of both.
    pub fn two_contacts_are_merged(&mut self) {
        let ids: Vec<i64> = self.crm.living().map(|person| person.id).collect();
        let ids: Vec<i64> = ids
            .into_iter()
            .filter(|id| !self.log.echoes.contains(id))
            .collect();
        let Some(stays) = self.chance.pick(&ids).copied() else {
            return;
        };
        let others: Vec<i64> = ids.into_iter().filter(|id| *id != stays).collect();
        let Some(goes) = self.chance.pick(&others).copied() else {
            return;
        };
        let (stayer, goer) = (
            self.crm.people[&stays].clone(),
            self.crm.people[&goes].clone(),
        );
        let anchors = [&stayer, &goer].map(|person| person.values["lastName"].clone());
        self.fault("contacts merged");
        let known = anchors
            .iter()
            .all(|anchor| self.log.linked.contains_key(anchor));
        if !known || self.log.state_is_older {
            self.log.merged.extend(anchors.clone());
        }
        self.past.merged.extend(anchors.clone());
        let has_identity =
            ["externalId", "emailAddress"].map(|path| !stayer.values[path].is_empty());
        let mut id = stays;
        self.say(|| {
            format!(
                "   ~ contact {goes} {} is merged into {stays} {}",
                anchors[1], anchors[0]
            )
        });
        self.user_deletes_contact(goes);
        if has_identity.contains(&true) && self.chance.coin() {
            id = self.a_third_is_made(&stayer);
            // Which of the two rows is its own by now, the bridge may choose.
            self.log.merged.extend(anchors.clone());
        }
        for (field, path) in FIELDS {
            let (has, had) = (stayer.get(path), goer.get(path));
            if has.is_empty() && !had.is_empty() {
                self.edit_contact(id, field, &canonical(field, &had));
            }
        }
    }

    /// The contact under a new id; the old one is gone.
    fn a_third_is_made(&mut self, person: &Person) -> i64 {
        let stamp = self.crm_now();
        let id = self.crm.next_id;
        self.crm.next_id += 1;
        let third = Person {
            id,
            stamp,
            newborn: false,
            deleted: false,
            ..person.clone()
        };
        let anchor = person.values["lastName"].clone();
        self.say(|| format!("   ~ contact {} {anchor} becomes contact {id}", person.id));
        if self.settings.deleted_flag {
            let old = self.crm.people.get_mut(&person.id).expect("it lives");
            (old.deleted, old.stamp) = (true, stamp);
        } else {
            self.crm.people.remove(&person.id);
        }
        self.crm.graves.insert(person.id.to_string(), anchor);
        self.crm.people.insert(id, third);
        id
    }

    /// A contact is kept for replicas that are behind.
    pub fn remember_for_replicas(&mut self) {
        let lag = self.settings.rare.lag;
        if lag == 0 {
            return;
        }
        let replicas = &mut self.past.replicas;
        if replicas
            .back()
            .is_none_or(|(_, last)| *last != self.crm.people)
        {
            replicas.push_back((self.now, self.crm.people.clone()));
        }
        let oldest = self.now - chrono::Duration::seconds(lag as i64);
        // The one that stood at that time is the newest of those before it.
        while replicas.len() > 1 && replicas[1].0 <= oldest {
            replicas.pop_front();
        }
    }

    /// What a run was shown and did not take, as one that was killed, or that looked for something else, is gone with it; and a replica
    /// that lags may not show it to the next.
    pub fn forget_what_no_run_has_taken(&mut self) {
        let shown = std::mem::take(&mut self.past.shown);
        let lag = chrono::Duration::seconds(self.settings.rare.lag as i64);
        let shown_at = self.past.shown_at.take();
        if shown_at.is_none_or(|shown_at| self.now - shown_at > lag) {
            return;
        }
        let rows = self.snapshots(Side::Local);
        for (id, paths) in shown {
            let Some(person) = self.crm.people.get(&id) else {
                continue;
            };
            // Before the two have met, that they show the same is chance.
            let row = rows
                .get(&person.values["lastName"])
                .filter(|_| self.log.linked.contains_key(&person.values["lastName"]));
            let lost = FIELDS.iter().filter(|(field, path)| {
                let is_taken = row.is_some_and(|row| {
                    let shows = canonical(field, &person.get(path));
                    self.log.alike(field, &shows, &row[field])
                });
                paths.contains(path) && !is_taken
            });
            let lost: Vec<&'static str> = lost.map(|(_, path)| *path).collect();
            let person = self.crm.people.get_mut(&id).expect("it lives");
            person.unseen.extend(lost);
        }
    }

    /// From now on a read sees the contacts as a replica has them; what it does not see, until it catches up.
    pub fn fall_behind(&mut self) -> Option<BTreeMap<i64, Person>> {
        let lag = self.settings.rare.lag;
        if lag == 0 || !self.faulty || !self.chance.permille(300) {
            return None;
        }
        let behind = chrono::Duration::milliseconds(self.chance.below(lag * 1000) as i64);
        let at = self.now - behind;
        let replicas = &self.past.replicas;
        let old = replicas.iter().rev().find(|(since, _)| *since <= at)?;
        if old.1 == self.crm.people {
            return None;
        }
        let old = old.1.clone();
        self.fault("read from a replica that is behind");
        self.past.read.clear();
        Some(std::mem::replace(&mut self.crm.people, old))
    }

    /// The contacts as they are; what the replica showed of them was seen.
    pub fn catch_up(&mut self, present: Option<BTreeMap<i64, Person>>) {
        let Some(present) = present else { return };
        let replica = std::mem::replace(&mut self.crm.people, present);
        for (id, old) in replica {
            if !self.past.read.contains(&id) {
                continue;
            }
            let Some(person) = self.crm.people.get_mut(&id) else {
                continue;
            };
            let seen: Vec<&'static str> = person
                .unseen
                .iter()
                .copied()
                .filter(|path| !old.unseen.contains(path) && old.get(path) == person.get(path))
                .collect();
            person.unseen.retain(|path| !seen.contains(path));
            person.newborn &= old.newborn;
        }
    }

    /// What stands in the place of a contact that can't be decoded.
    pub fn unreadable(&mut self, id: i64) -> Option<RemoteItem> {
        let share = self.settings.rare.unreadable;
        let is_poisoned = self.crm.poisoned.contains(&id);
        if !is_poisoned && (share == 0 || !self.faulty || !self.chance.permille(share)) {
            return None;
        }
        self.fault("contact not readable");
        let person = self.crm.people.get(&id)?;
        let raw = format!("<contact>{}\u{1}</contact>", person.values["lastName"]);
        let is_named = is_poisoned || self.chance.coin();
        Some(RemoteItem::Bad(BadRecord {
            id: is_named.then(|| RemoteId(id.to_string())),
            code: "Q-CHAR",
            reason: "a character that XML has not".into(),
            raw: raw.into_bytes(),
        }))
    }

    /// A user edits a contact: what was poison in it may be gone, or come in.
    pub fn poison(&mut self, id: i64) {
        let share = self.settings.rare.poisoned;
        if share > 0 {
            self.crm.poisoned.remove(&id);
            if self.chance.permille(share) {
                self.crm.poisoned.insert(id);
                self.say(|| format!("   ~ contact {id} can't be read from now on"));
            }
        }
    }

    /// Whether a page says the contrary of whether more follow.
    pub fn lies(&mut self, page: &mut ListPage) {
        let share = self.settings.rare.lies;
        if share > 0 && self.faulty && self.chance.permille(share) {
            self.fault("moreRecords is a lie");
            page.more = !page.more;
        }
    }

    /// A web page in the place of an answer.
    pub fn garbled(&mut self) -> Option<Error> {
        let share = self.settings.rare.garbled;
        if share == 0 || !self.faulty || !self.chance.permille(share) {
            return None;
        }
        self.fault("web page with 200");
        Some(Error::unreachable(
            "E-SOAP-NOTXML",
            "got text/html (200), expected SOAP",
        ))
    }
}
