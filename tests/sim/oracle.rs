//! What must hold, judged from the world's own log of what users did: the engine's state is asked only for what waits
//! for a person.

use std::collections::{BTreeMap, BTreeSet};

use contactbridge::local::LinkRow;
use contactbridge::model::{Cell, DeletePolicy, LocalKey, RemoteItem};
use contactbridge::remote::contactlist::ListPage;
use contactbridge::state::Table;

use crate::settings::{Codec, Settings};
use crate::universe::Universe;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Remote,
    Local,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Side::Remote => Side::Local,
            Side::Local => Side::Remote,
        }
    }
}

/// The two-way fields, by column, with the path of each.
pub const FIELDS: [(&str, &str); 7] = [
    ("customer_no", "externalId"),
    ("email", "emailAddress"),
    ("first_name", "firstName"),
    ("title", "contactTitle"),
    ("born_on", "dateOfBirth"),
    ("opted_in", "MasterOptIn"),
    ("city", "city"),
];

pub fn field_of_path(path: &str) -> &'static str {
    FIELDS
        .iter()
        .find(|(_, known)| *known == path)
        .map_or("last_name", |(field, _)| field)
}

pub fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Int(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(_) => "(blob)".into(),
    }
}

/// What a record showed, by field.
pub type Snapshot = BTreeMap<&'static str, String>;

type Place = (Side, String, &'static str);

/// What happened, in order.
#[derive(Default)]
pub struct Log {
    pub clock: u64,
    /// The last edit of a user, by side, person and field.
    pub heads: BTreeMap<Place, (u64, String)>,
    /// What each field showed, from when on; `None`: the record was gone.
    pub shown: BTreeMap<Place, Vec<(u64, Option<String>)>>,
    /// Everybody that users ever made.
    pub anchors: BTreeSet<String>,
    /// The run in which, or before which, a record died.
    pub died_in: BTreeMap<(Side, String), u64>,
    /// What a record showed when a user deleted it, with the run and the time of that.
    pub deletions: BTreeMap<(Side, String), (u64, u64, Snapshot)>,
    /// Edits that were overwritten within the round trip between look-up and push: nothing can prevent that.
    pub windows: BTreeSet<(String, String, String)>,
    /// Which run wrote to a record last.
    pub last_written: BTreeMap<(Side, String), u64>,
    /// People whose contact was deleted between look-up and push, so that the push made a new one: nothing can prevent that.
    pub risen: BTreeSet<String>,
    /// Contacts that a push made because their address had been taken from the contact that it was meant for: nothing can prevent
    /// that, and each must be held for a person.
    pub echoes: BTreeSet<i64>,
    /// Deletions since the bridge last looked at the record.
    pub deleted_unseen: BTreeSet<(Side, String)>,
    /// People whose two records have met, and when they did.
    pub linked: BTreeMap<String, u64>,
    /// Everybody that a user ever deleted, and where.
    pub ever_deleted: BTreeSet<(Side, String)>,
    /// People whose row was taken back after its deletion had been carried over: a new row, with the child rows of its former life,
    /// of which the new contact says nothing.
    pub reborn: BTreeSet<String>,
    /// Deletions that a person decided on: whose side was taken.
    pub decided: BTreeMap<String, Side>,
    /// When the last run that ended well, and left this person to no later one, began.
    pub synced: BTreeMap<String, u64>,
    /// When the last run that ended well began.
    pub ended_well: u64,
    /// People whose contact was written to by a run that did not end well, or left them to the next: that run, and when the first did.
    pub torn: BTreeMap<String, (u64, u64)>,
    /// When the bridge wrote to a person's contact last.
    pub pushed: BTreeMap<String, u64>,
    /// The run whose list showed a person's contact alive last.
    pub listed: BTreeMap<String, u64>,
    /// People who were deleted while the last push to their contact was not proved: its run had not ended well.
    pub unproved: BTreeSet<String>,
    /// A backup of a side was put back.
    pub restored: bool,
    /// A backup was accepted, and not everything is carried back yet: who is missing now counts as younger than it.
    pub rewinding: bool,
    /// Another state was put in the place of the one that the last run left.
    pub state_is_older: bool,
    /// The state was made anew: which child rows are the bridge's own is not known any more.
    pub relinked: bool,
    /// People who were gone, or back, with a backup: nothing tells the bridge whether that was meant.
    pub rewound: BTreeSet<String>,
    /// What the other side alone shows of records that a backup set back.
    pub rescued: BTreeMap<(Side, String), Vec<(&'static str, String)>>,
    /// People whose contact was merged with one that was not linked yet, or became another, or came back from the dead: one may take
    /// over the row of the other.
    pub merged: BTreeSet<String>,
    pub run: u64,
    /// Edits that the bridge overwrote, and that must be kept somewhere.
    pub overwritten: Vec<(String, &'static str, String, Side)>,
    pub broken: Vec<String>,
    pub edits: u64,
    /// How a field is compared.
    pub settings: Option<Settings>,
}

impl Log {
    pub fn edited(&mut self, side: Side, anchor: &str, field: &'static str, value: &str) {
        self.clock += 1;
        self.edited_after_a_backup(side, anchor);
        self.edits += 1;
        self.anchors.insert(anchor.to_owned());
        let place = (side, anchor.to_owned(), field);
        let last = self.shown.get(&place).and_then(|line| line.last());
        if last.is_some_and(|(_, last)| last.as_deref() == Some(value)) {
            // The same once more changes nothing that anybody could see.
            return;
        }
        self.shown
            .entry(place.clone())
            .or_default()
            .push((self.clock, Some(value.to_owned())));
        self.heads.insert(place, (self.clock, value.to_owned()));
    }

    /// A record that was deleted lives again as it was, which is an edit of none of its fields.
    pub fn taken_back(&mut self, side: Side, anchor: &str, field: &'static str, value: &str) {
        self.clock += 1;
        // Also where the deletion had been carried over from the other side: there it is made anew.
        for side in [side, side.other()] {
            self.deletions.remove(&(side, anchor.to_owned()));
            self.deleted_unseen.remove(&(side, anchor.to_owned()));
        }
        self.shows(side, anchor, field, value);
    }

    /// What a record that lives again shows, without anybody having entered it now.
    pub fn shows(&mut self, side: Side, anchor: &str, field: &'static str, value: &str) {
        let place = (side, anchor.to_owned(), field);
        let shown = self.shown.entry(place).or_default();
        shown.push((self.clock, Some(value.to_owned())));
    }

    /// A record was made with this field empty, which says nothing.
    pub fn left_open(&mut self, side: Side, anchor: &str, field: &'static str) {
        self.heads.remove(&(side, anchor.to_owned(), field));
    }

    /// A backup changed what a side shows (`None`: nothing), without anybody having entered it. What the other side shows, and this
    /// one does not any more, may be the only one left.
    pub fn set_back(
        &mut self,
        side: Side,
        anchor: &str,
        field: &'static str,
        shows: Option<&str>,
        stands: Option<&str>,
    ) {
        self.clock += 1;
        let place = |side| (side, anchor.to_owned(), field);
        self.heads.remove(&place(side));
        // What came after the other side's value is the edit that it always was, although the record had been gone meanwhile.
        let last = |value: &str| {
            let line = self.shown.get(&place(side))?;
            line.iter().rposition(|(_, text)| {
                text.as_ref()
                    .is_some_and(|text| self.alike(field, text, value))
            })
        };
        let is_later = shows
            .zip(stands)
            .is_some_and(|(shows, stands)| last(stands).is_some() && last(shows) > last(stands));
        let line = self.shown.entry(place(side)).or_default();
        line.push((self.clock, shows.map(str::to_owned)));
        if let Some(stands) = stands
            && !is_later
            && !shows.is_some_and(|shows| self.alike(field, shows, stands))
        {
            let line = self.shown.entry(place(side.other())).or_default();
            line.push((self.clock, Some(stands.to_owned())));
            self.heads
                .insert(place(side.other()), (self.clock, stands.to_owned()));
            self.rescued
                .entry((side, anchor.to_owned()))
                .or_default()
                .push((field, stands.to_owned()));
        }
    }

    /// Whether the last edit of a field on this side, which is still to arrive, was made after this time.
    pub fn is_edited_since(
        &self,
        side: Side,
        anchor: &str,
        field: &'static str,
        clock: u64,
    ) -> bool {
        let head = self.heads.get(&(side, anchor.to_owned(), field));
        head.is_some_and(|(at, _)| *at > clock)
    }

    /// A record that a backup set back was edited, or deleted, before anybody noticed: now it is as new as any, and what it shows
    /// besides looks like that edit too.
    pub fn edited_after_a_backup(&mut self, side: Side, anchor: &str) {
        for (field, value) in self
            .rescued
            .remove(&(side, anchor.to_owned()))
            .into_iter()
            .flatten()
        {
            self.window(anchor, field, &value);
        }
    }

    pub fn forget_deletion(&mut self, anchor: &str) {
        for side in [Side::Remote, Side::Local] {
            self.deletions.remove(&(side, anchor.to_owned()));
            self.deleted_unseen.remove(&(side, anchor.to_owned()));
        }
    }

    /// The state is made anew: everybody meets again, and what was agreed is not known.
    pub fn forget_meetings(&mut self) {
        self.linked.clear();
        self.deletions.clear();
        self.relinked = true;
    }

    fn gone(&mut self, side: Side, anchor: &str) {
        self.died_in.insert((side, anchor.to_owned()), self.run);
        for (field, _) in FIELDS {
            self.shown
                .entry((side, anchor.to_owned(), field))
                .or_default()
                .push((self.clock, None));
        }
        self.heads
            .retain(|(at, who, _), _| *at != side || who != anchor);
    }

    /// The bridge wrote a value. What a user had entered there must have been seen on the other side and changed there by
    /// a user since, or it must be kept where a person can find it (which the end tells).
    pub fn written(&mut self, side: Side, anchor: &str, field: &str, value: &str) {
        self.clock += 1;
        let Some((field, _)) = FIELDS.iter().find(|(known, _)| *known == field) else {
            return;
        };
        let value = canonical(field, value);
        self.check_direction(side, anchor);
        if let Some((run, died, snapshot)) = self.deletions.remove(&(side, anchor.to_owned())) {
            // It lives again: somebody must have edited the other record without this side knowing.
            // A mapped lastUpdateDate makes every touch of the contact an edit.
            let touched = side == Side::Local
                && self
                    .settings
                    .as_ref()
                    .is_some_and(|settings| settings.with_times);
            // One of the records was deleted since the bridge looked at it last: within the round trip.
            let within = [side, side.other()]
                .map(|side| self.deleted_unseen.contains(&(side, anchor.to_owned())))
                .contains(&true);
            let written_meanwhile = self.last_written.get(&(side, anchor.to_owned())) == Some(&run);
            // The list of this very run had shown the contact before it was deleted.
            let within = within || run == self.run && self.listed.get(anchor) == Some(&run);
            let edited = self.was_edited_unseen(anchor, side.other(), died, &snapshot);
            let in_doubt = self.in_doubt(side, anchor) || self.was_pushed_since(anchor, run);
            // A person may have said that it is to live; the target of a one-way bridge is filled whatever was deleted there.
            let is_meant = self.decided.remove(anchor) == Some(side.other())
                || self.rewound.contains(anchor)
                || self.merged.contains(anchor)
                // Until a re-link has compared everything, what differs may be an edit.
                || self.relinked
                || !self.is_judged();
            let within = within || self.has_just_died(side.other(), anchor);
            if !(edited || touched || within || written_meanwhile || in_doubt || is_meant) {
                self.broken.push(format!("{anchor} was deleted from {side:?}, not edited on the other side, and lives again"));
            }
        }
        if side == Side::Remote && self.deleted_unseen.contains(&(side, anchor.to_owned())) {
            self.risen.insert(anchor.to_owned());
        }
        self.last_written
            .insert((side, anchor.to_owned()), self.run);
        if side == Side::Remote {
            self.pushed.insert(anchor.to_owned(), self.clock);
            self.torn
                .entry(anchor.to_owned())
                .and_modify(|(run, _)| *run = self.run)
                .or_insert((self.run, self.clock));
        }
        let place = (side, anchor.to_owned(), *field);
        if let Some((at, old)) = self.heads.get(&place).cloned()
            && !self.alike(field, &old, &value)
        {
            let arrived = self.was_shown(side.other(), anchor, field, &old, at);
            let later = self
                .shown
                .get(&(side.other(), anchor.to_owned(), *field))
                .and_then(|line| {
                    line.iter().rev().find(|(_, text)| {
                        text.as_ref()
                            .is_some_and(|text| self.alike(field, text, &value))
                    })
                })
                .map(|(at, _)| *at);
            let first_meeting = self.is_open(anchor, &old, at);
            let unseen = self.is_round_trip(side, anchor, field, &old);
            if self.is_judged()
                && !unseen
                && !first_meeting
                && !matches!((arrived, later), (Some(arrived), Some(later)) if later > arrived)
            {
                self.overwritten
                    .push((anchor.to_owned(), field, old.clone(), side));
            }
            self.heads.remove(&place);
        }
        self.shown
            .entry(place)
            .or_default()
            .push((self.clock, Some(value)));
    }

    pub fn window(&mut self, anchor: &str, field: &str, value: &str) {
        self.windows
            .insert((anchor.to_owned(), field.to_owned(), canonical(field, value)));
    }

    /// The two records of a person were linked.
    pub fn met(&mut self, anchor: String) {
        self.clock += 1;
        self.linked.entry(anchor).or_insert(self.clock);
    }

    /// The two met, and a push went to the contact, in a run that has not ended well.
    pub fn meets_now(&self, anchor: &str) -> bool {
        let since = |at: Option<&u64>| at.is_some_and(|at| *at > self.ended_well);
        since(self.linked.get(anchor)) && since(self.pushed.get(anchor))
    }

    pub fn now(&self) -> u64 {
        self.clock
    }

    /// A user deleted a record.
    pub fn deleted(&mut self, side: Side, anchor: &str, values: BTreeMap<&'static str, String>) {
        self.clock += 1;
        let person = (side, anchor.to_owned());
        self.ever_deleted.insert(person.clone());
        // Before the two have met, nothing was agreed that a deletion could be told from.
        if self.linked.contains_key(anchor) && !self.rewinding {
            self.deletions
                .insert(person.clone(), (self.run, self.clock, values));
        }
        self.deleted_unseen.insert(person);
        self.unproved.remove(anchor);
        if self
            .pushed
            .get(anchor)
            .is_some_and(|at| *at > self.ended_well)
        {
            self.unproved.insert(anchor.to_owned());
        }
        self.gone(side, anchor);
    }

    /// The bridge deleted a record: every edit of it must have been seen by whoever deleted the other one.
    pub fn removed(&mut self, side: Side, anchor: &str) {
        self.clock += 1;
        self.check_direction(side, anchor);
        self.check_policy(side, anchor);
        if !self.is_judged() {
            self.gone(side, anchor);
            return;
        }
        let deletion = self
            .deletions
            .get(&(side.other(), anchor.to_owned()))
            .cloned();
        let Some((_, _, snapshot)) = deletion else {
            if self.was_ever_deleted(anchor)
                || self.rewound.contains(anchor)
                || self.merged.contains(anchor)
                || self.risen.contains(anchor)
            {
                return;
            }
            self.broken.push(format!(
                "{anchor} was deleted from {side:?}, and nobody had deleted it from the other side"
            ));
            return;
        };
        for (field, _) in FIELDS {
            let Some((at, value)) = self.heads.get(&(side, anchor.to_owned(), field)).cloned()
            else {
                continue;
            };
            let known = snapshot
                .get(field)
                .is_some_and(|seen| self.alike(field, seen, &value))
                || self
                    .was_shown(side.other(), anchor, field, &value, at)
                    .is_some()
                || self.is_round_trip(side, anchor, field, &value)
                || self.is_open(anchor, &value, at)
                || self
                    .windows
                    .contains(&(anchor.to_owned(), field.to_owned(), value.clone()));
            if !known {
                // Unless a policy had decided against it: then it is kept (which the end tells).
                self.overwritten
                    .push((anchor.to_owned(), field, value, side));
            }
        }
        self.gone(side, anchor);
    }

    pub fn was_ever_deleted(&self, anchor: &str) -> bool {
        let of = |side| self.ever_deleted.contains(&(side, anchor.to_owned()));
        of(Side::Remote) || of(Side::Local)
    }

    /// Until the two have met, an empty field is no edit: it is filled (user contract, section 4).
    fn is_open(&self, anchor: &str, value: &str, at: u64) -> bool {
        // After a re-link nobody knows who emptied it.
        value.is_empty() && (self.relinked || self.linked.get(anchor).is_none_or(|met| at < *met))
    }

    /// A push that was not proved by its own run: of a contact that died since nothing tells whether it arrived, and what a contact
    /// shows of it in a form of its own may as well be somebody's edit. In doubt a record lives.
    fn in_doubt(&self, died: Side, anchor: &str) -> bool {
        let rewrites = self.settings.as_ref().is_some_and(|settings| {
            [settings.title_codec, settings.city_codec]
                .iter()
                .any(|codec| *codec != Codec::Faithful)
        });
        // Until a run has ended well that left nothing of the two, not everything was agreed.
        let is_new = !self.synced.contains_key(anchor);
        is_new || self.unproved.contains(anchor) && (died == Side::Remote || rewrites)
    }

    /// A replica that lags, or a page before the last one, shows somebody alive, with an edit, who has died meanwhile.
    fn has_just_died(&self, side: Side, anchor: &str) -> bool {
        let lags = self
            .settings
            .as_ref()
            .is_some_and(|settings| settings.rare.lag > 0);
        let was_listed = self.listed.get(anchor) == Some(&self.run);
        let died = self.died_in.get(&(side, anchor.to_owned()));
        died.is_some_and(|run| (lags && run + 1 >= self.run) || (was_listed && *run == self.run))
    }

    /// Behind a replica that lags a run may end well, and its push be proved by a later one.
    fn was_pushed_since(&self, anchor: &str, run: u64) -> bool {
        let lags = self
            .settings
            .as_ref()
            .is_some_and(|settings| settings.rare.lag > 0);
        let pushed = self.last_written.get(&(Side::Remote, anchor.to_owned()));
        lags && pushed.is_some_and(|last| *last >= run)
    }

    /// Whether some edit on `side` was not known to who deleted the record of the other side.
    fn was_edited_unseen(
        &self,
        anchor: &str,
        side: Side,
        died: u64,
        snapshot: &BTreeMap<&'static str, String>,
    ) -> bool {
        FIELDS.iter().any(|(field, _)| {
            self.heads
                .get(&(side, anchor.to_owned(), *field))
                .is_some_and(|(at, value)| {
                    // Since the last run that ended well nothing was agreed, though the values may be the same by chance.
                    let synced = self.synced.get(anchor).copied().unwrap_or_default();
                    *at > synced || *at > died || snapshot.get(field) != Some(value)
                })
                // What waits in review was never seen on the other side, whoever entered it.
                || self
                    .shown
                    .get(&(side, anchor.to_owned(), *field))
                    .and_then(|line| line.last())
                    .and_then(|(_, text)| text.as_ref())
                    .is_some_and(|text| snapshot.get(field).is_some_and(|seen| !self.alike(field, seen, text)))
        })
    }

    /// A -> B -> A between two runs is no change that anybody could see, where A is a value like any other.
    fn is_round_trip(&self, side: Side, anchor: &str, field: &'static str, value: &str) -> bool {
        // Cut short, values that were different are the same.
        let cut = self.settings.as_ref().is_some_and(|settings| match field {
            "title" => matches!(settings.title_codec, Codec::Cut(_)),
            "city" => matches!(settings.city_codec, Codec::Cut(_)),
            _ => false,
        });
        let common = cut || value.is_empty() || field == "opted_in" || field == "born_on";
        common
            && self
                .was_shown(side.other(), anchor, field, value, 0)
                .is_some()
            || value.is_empty() && self.is_as_before_they_agreed(side, anchor, field)
            || self
                .torn
                .get(anchor)
                .is_some_and(|(_, at)| self.is_as_it_was(side, anchor, field, value, *at))
    }

    /// Whether a side shows again what it showed before that time: where no run has proved what was sent then, nobody has edited it.
    fn is_as_it_was(
        &self,
        side: Side,
        anchor: &str,
        field: &'static str,
        value: &str,
        before: u64,
    ) -> bool {
        let line = self.shown.get(&(side, anchor.to_owned(), field));
        let mut earlier = line.into_iter().flatten().filter(|(at, _)| *at < before);
        earlier
            .next_back()
            .and_then(|(_, text)| text.as_deref())
            .is_some_and(|was| self.alike(field, was, value))
    }

    /// Whether a side that was empty from the beginning has never shown anything that the other one had: what a push of their first
    /// meeting brought has not arrived, and an empty field is nobody's edit.
    fn is_as_before_they_agreed(&self, side: Side, anchor: &str, field: &'static str) -> bool {
        let line = |side| self.shown.get(&(side, anchor.to_owned(), field));
        let began_empty = line(side)
            .and_then(|line| line.first())
            .is_some_and(|(_, value)| value.as_deref() == Some(""));
        let others = line(side.other()).into_iter().flatten();
        let mut filled = others.filter_map(|(_, value)| value.as_deref().filter(|v| !v.is_empty()));
        began_empty && filled.all(|value| self.was_shown(side, anchor, field, value, 0).is_none())
    }

    /// When `side` first showed the value, at `after` or later.
    fn was_shown(
        &self,
        side: Side,
        anchor: &str,
        field: &'static str,
        value: &str,
        after: u64,
    ) -> Option<u64> {
        let line = self.shown.get(&(side, anchor.to_owned(), field))?;
        line.iter().enumerate().find_map(|(place, (at, text))| {
            let ended = line.get(place + 1).is_some_and(|(next, _)| *next < after);
            let same = text
                .as_ref()
                .is_some_and(|text| self.alike(field, text, value));
            (same && !ended).then(|| (*at).max(after))
        })
    }

    /// Whether two values of a field are the same, as far as the service can show it.
    pub fn alike(&self, field: &str, one: &str, other: &str) -> bool {
        let codec = match (field, &self.settings) {
            ("title", Some(settings)) => settings.title_codec,
            ("city", Some(settings)) => settings.city_codec,
            _ => Codec::Faithful,
        };
        let (one, other) = (one.trim(), other.trim());
        match codec {
            Codec::Upper => one.to_uppercase() == other.to_uppercase(),
            Codec::Cut(length) => {
                let cut = |text: &str| {
                    text.chars()
                        .take(length)
                        .collect::<String>()
                        .trim()
                        .to_owned()
                };
                cut(one) == cut(other)
            }
            Codec::Faithful | Codec::Trim => {
                one == other || (field == "email" && one.eq_ignore_ascii_case(other))
            }
        }
    }
}

/// One way to write a value down, whichever side shows it.
pub fn canonical(field: &str, value: &str) -> String {
    match (field, value) {
        ("opted_in", "true" | "1") => "1".into(),
        ("opted_in", _) => "0".into(),
        _ => value.to_owned(),
    }
}

/// What waits for a person, as the store has it.
#[derive(Default)]
pub struct Waiting {
    pub remote: BTreeMap<String, Vec<String>>,
    pub local: BTreeMap<LocalKey, Vec<String>>,
    /// How many wait, by code.
    pub codes: BTreeMap<String, u64>,
    /// Every value that is kept, with its field.
    pub kept: BTreeSet<(String, String)>,
    /// Pairs of which somebody is asked whether a deletion is to be carried over.
    pub deleted: Vec<(String, LocalKey)>,
    /// Reviews that a person has decided on, and that wait all the same.
    pub decided: Vec<String>,
}

impl Universe {
    pub fn remote_value(&self, id: i64, path: &str) -> String {
        canonical(field_of_path(path), &self.crm.people[&id].get(path))
    }

    pub fn local_value(&self, key: &LocalKey, field: &str) -> String {
        canonical(field, &self.database.text(key, field).unwrap_or_default())
    }

    pub fn note_listed(&mut self, page: &ListPage) {
        for item in &page.items {
            if let RemoteItem::Record(record) = item
                && !record.deleted
                && let Some(person) = record
                    .id
                    .0
                    .parse()
                    .ok()
                    .and_then(|id: i64| self.crm.people.get(&id))
            {
                self.log
                    .listed
                    .insert(person.values["lastName"].clone(), self.log.run);
            }
        }
    }

    /// A run ended well. What it left to the next one was not agreed by it.
    pub fn ended_well(&mut self, began: u64) {
        let left = |key: Vec<u8>| {
            [Table::Inbox, Table::Quarantine]
                .into_iter()
                .any(|table| self.disk.visible.contains_key(&(table, key.clone())))
        };
        let contacts = self
            .crm
            .people
            .iter()
            .map(|(id, person)| (id.to_string(), person.values["lastName"].clone()))
            .chain(self.crm.graves.clone());
        let mut waits: BTreeSet<String> = contacts
            .filter(|(id, _)| left([b"r", id.as_bytes()].concat()))
            .map(|(_, anchor)| anchor)
            .collect();
        let column = self.database.column("last_name");
        waits.extend(
            self.database
                .rows
                .iter()
                .filter(|(key, _)| left([b"l".as_slice(), &key.to_bytes()].concat()))
                .map(|(_, row)| shown(&row.cells[column])),
        );
        self.log.ended_well = began;
        let run = self.log.run;
        self.log
            .torn
            .retain(|anchor, (pushed, _)| *pushed != run || waits.contains(anchor));
        self.log.rewinding = false;
        let settled = self
            .log
            .anchors
            .iter()
            .filter(|anchor| !waits.contains(*anchor));
        let settled: Vec<String> = settled.cloned().collect();
        self.log
            .synced
            .extend(settled.into_iter().map(|anchor| (anchor, began)));
    }

    /// At every instant: nobody stands twice on a side.
    pub fn check_doubles(&mut self) {
        let mut seen: BTreeMap<(Side, String), u64> = BTreeMap::new();
        let mut externals: BTreeMap<String, u64> = BTreeMap::new();
        for person in self.crm.living() {
            if !self.log.echoes.contains(&person.id) {
                *seen
                    .entry((Side::Remote, person.values["lastName"].clone()))
                    .or_default() += 1;
            }
            if !person.values["externalId"].is_empty() {
                *externals
                    .entry(person.values["externalId"].clone())
                    .or_default() += 1;
            }
        }
        let keys: Vec<LocalKey> = self.database.living().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let anchor = self.database.text(&key, "last_name").unwrap_or_default();
            *seen.entry((Side::Local, anchor)).or_default() += 1;
        }
        for ((side, anchor), count) in seen {
            let may_be_two = self.log.risen.contains(&anchor) || self.log.merged.contains(&anchor);
            if count > 1 && !may_be_two {
                self.log
                    .broken
                    .push(format!("I2 {anchor} stands {count} times on {side:?}"));
            }
        }
        for (external, count) in externals {
            if count > 1 {
                self.log.broken.push(format!(
                    "I2 {count} contacts have the External ID {external}"
                ));
            }
        }
    }

    /// Nobody is asked about the deletion of somebody who is there on both sides.
    pub fn check_questions(&mut self, waiting: &Waiting) {
        for (id, key) in &waiting.deleted {
            let is_there = self.crm.living().any(|person| person.id.to_string() == *id);
            if is_there && self.database.living().any(|(living, _)| living == key) {
                let line = format!(
                    "somebody is asked about a deletion of contact {id} and row {key}, which are there"
                );
                self.log.broken.push(line);
            }
        }
    }

    /// I10: nothing that a user wrote is readable in the store.
    pub fn check_secrecy(&mut self) {
        for ((table, key), value) in &self.disk.visible {
            for bytes in [key, value] {
                if holds_canary(bytes, 100 + self.log.edits) {
                    self.log.broken.push(format!(
                        "I10 a value of a record stands readable in {table:?}"
                    ));
                    return;
                }
            }
        }
    }

    /// After users and faults have stopped: both sides say the same, and no edit is lost.
    pub fn check_convergence(&mut self, waiting: &Waiting) {
        let anchors: Vec<String> = self.log.anchors.iter().cloned().collect();
        let mut broken = Vec::new();
        for id in &self.log.echoes {
            if self.crm.living().any(|person| person.id == *id)
                && !waiting.remote.contains_key(&id.to_string())
            {
                broken.push(format!("I2 contact {id}, an echo of a push, is not held"));
            }
        }
        for anchor in anchors {
            if self.log.risen.contains(&anchor) {
                continue;
            }
            let remote: Vec<i64> = self
                .crm
                .living()
                .filter(|person| person.values["lastName"] == anchor)
                .map(|person| person.id)
                .filter(|id| !self.log.echoes.contains(id))
                .collect();
            let local: Vec<LocalKey> = self
                .database
                .living()
                .filter(|(_, row)| shown(&row.cells[self.database.column("last_name")]) == anchor)
                .map(|(key, _)| key.clone())
                .collect();
            let mut held: Vec<String> = Vec::new();
            let mut is_held = false;
            for id in &remote {
                if let Some(fields) = waiting.remote.get(&id.to_string()) {
                    is_held = true;
                    held.extend(fields.iter().cloned());
                }
            }
            for key in &local {
                if let Some(fields) = waiting.local.get(key) {
                    is_held = true;
                    held.extend(fields.iter().cloned());
                }
            }
            // After a merge a row may stand for a contact of another name, of which something waits.
            let of_row =
                |link: &LinkRow| local.contains(&link.key).then(|| link.remote_id.clone())?;
            let mut others = self.database.links.values().filter_map(of_row);
            let mut is_held_by_another = || others.any(|id| waiting.remote.contains_key(&id.0));
            if self.log.merged.contains(&anchor) && (is_held || is_held_by_another()) {
                continue;
            }
            // One contact may stand in the place of two, and each of two rows have its own.
            let of_contact = |id: &i64| {
                let mut links = self.database.links.values();
                links.find(|link| {
                    link.remote_id
                        .as_ref()
                        .is_some_and(|of| of.0 == id.to_string())
                })
            };
            let linked = remote.first().and_then(of_contact).map(|link| &link.key);
            let row = linked.filter(|key| local.contains(key)).or(local.first());
            // Of two, as after a backup of the CRM, the linked one.
            let is_linked = |id: &&i64| of_contact(id).is_some_and(|link| Some(&link.key) == row);
            match (remote.iter().find(is_linked).or(remote.first()), row) {
                (Some(id), Some(key)) => {
                    self.compare(&anchor, *id, key, is_held, &held, waiting, &mut broken);
                }
                (None, None) => {
                    if !self.log.was_ever_deleted(&anchor) && !self.log.rewound.contains(&anchor) {
                        broken.push(format!("{anchor} is gone, and nobody deleted it"));
                    }
                }
                (Some(_), None) | (None, Some(_)) if is_held => {}
                (Some(_), None) | (None, Some(_)) if self.log.rewound.contains(&anchor) => {}
                // A deletion that is ignored leaves the other record where it is.
                _ if self.settings.delete_policy == DeletePolicy::Ignore
                    && self.log.was_ever_deleted(&anchor) => {}
                (Some(id), None) => broken.push(format!(
                    "I5 {anchor} stands in the CRM alone (contact {id})"
                )),
                (None, Some(key)) => broken.push(format!(
                    "I5 {anchor} stands in the database alone (row {key})"
                )),
            }
        }
        for (anchor, field, value, side) in std::mem::take(&mut self.log.overwritten) {
            // A replica that lags may bring back a value for a while.
            let stands =
                self.settings.rare.lag > 0 && self.stands_in_the_end(&anchor, field, &value);
            let kept = stands
                || self.log.risen.contains(&anchor)
                || self.log.merged.contains(&anchor)
                || self
                    .log
                    .windows
                    .contains(&(anchor.clone(), field.to_owned(), value.clone()))
                || waiting.kept.contains(&(field.to_owned(), value.clone()))
                || (field == "customer_no" && value.is_empty() && self.settings.generate);
            if !kept {
                broken.push(format!("I3 {anchor}.{field}: the edit to {value:?} on {side:?} was overwritten or lost to a deletion, and is kept nowhere"));
            }
        }
        self.log.broken.extend(broken);
    }

    fn stands_in_the_end(&self, anchor: &str, field: &'static str, value: &str) -> bool {
        let path = FIELDS
            .iter()
            .find(|(known, _)| *known == field)
            .expect("a field")
            .1;
        let contact = self
            .crm
            .living()
            .find(|person| person.values["lastName"] == anchor);
        let column = self.database.column("last_name");
        let row = self
            .database
            .living()
            .find(|(_, row)| shown(&row.cells[column]) == anchor);
        contact.is_some_and(|person| {
            self.log
                .alike(field, &self.remote_value(person.id, path), value)
        }) && row
            .is_some_and(|(key, _)| self.log.alike(field, &self.local_value(key, field), value))
    }

    #[allow(clippy::too_many_arguments)]
    fn compare(
        &self,
        anchor: &str,
        id: i64,
        key: &LocalKey,
        is_held: bool,
        held: &[String],
        waiting: &Waiting,
        broken: &mut Vec<String>,
    ) {
        let whole = is_held && held.is_empty();
        for (field, path) in FIELDS {
            let (remote, local) = (self.remote_value(id, path), self.local_value(key, field));
            if whole || held.iter().any(|held| held == field) {
                continue;
            }
            if !self.log.alike(field, &remote, &local) {
                broken.push(format!("I5 {anchor}.{field} differs: CRM {remote:?}, database {local:?} (contact {id}, row {key})"));
                continue;
            }
            // The edits of two rows and two contacts are counted as those of one person.
            if self.log.merged.contains(anchor) {
                continue;
            }
            let head = |side: Side| {
                self.log
                    .heads
                    .get(&(side, anchor.to_owned(), field))
                    .cloned()
            };
            let heads = [head(Side::Remote), head(Side::Local)];
            let excused = |value: &str| {
                // A number that nobody gave may be made up.
                (field == "customer_no" && value.is_empty() && self.settings.generate)
                    || self.log.windows.contains(&(
                        anchor.to_owned(),
                        field.to_owned(),
                        value.to_owned(),
                    ))
                    || waiting.kept.contains(&(field.to_owned(), value.to_owned()))
            };
            for side in [Side::Remote, Side::Local] {
                let Some((_, value)) = head(side) else {
                    continue;
                };
                if !self.log.alike(field, &value, &local) && !excused(&value) {
                    broken.push(format!("I3 {anchor}.{field}: the edit to {value:?} on {side:?} is lost; both show {local:?} (contact {id}, row {key})"));
                }
            }
            let known = heads.iter().flatten().count() == 0
                || heads
                    .iter()
                    .flatten()
                    .any(|(_, value)| self.log.alike(field, value, &local));
            if !known && heads.iter().flatten().all(|(_, value)| !excused(value)) {
                broken.push(format!(
                    "I3 {anchor}.{field} shows {local:?}, which nobody entered last"
                ));
            }
        }
        let names = ["first_name", "last_name", "full_name"]
            .map(|field| self.database.text(key, field).unwrap_or_default());
        let full = format!("{} {}", names[0], names[1]);
        if full.trim() != names[2].trim()
            && !held.iter().any(|field| field == "full_name")
            && !is_held
        {
            broken.push(format!(
                "I5 {anchor}: full_name is {:?} of {full:?}",
                names[2]
            ));
        }
        let mut parts: Vec<(String, String)> = self
            .database
            .children
            .iter()
            .filter(|(parent, _)| parent == key)
            .map(|(_, cells)| (shown(&cells[0]), shown(&cells[1]).trim().to_owned()))
            .collect();
        parts.sort();
        parts.retain(|(_, city)| !city.is_empty());
        let mut wanted: Vec<(String, String)> = self.crm.people[&id]
            .cities
            .iter()
            .map(|(kind, city)| (kind.to_string(), city.trim().to_owned()))
            // A part of which nothing but its key is filled stands for nothing.
            .filter(|(_, city)| !city.is_empty())
            .collect();
        wanted.sort();
        if self.log.relinked {
            parts.retain(|part| wanted.contains(part));
        }
        if parts != wanted && !is_held && !self.log.reborn.contains(anchor) {
            broken.push(format!(
                "I5 {anchor}: child rows {parts:?} of {wanted:?} (contact {id}, row {key})"
            ));
        }
    }
}

/// A canary with a number behind it that some user got, so that bytes of a digest before an id are no alarm.
pub fn holds_canary(bytes: &[u8], highest: u64) -> bool {
    bytes.windows(3).enumerate().any(|(at, window)| {
        let number = bytes[at + 3..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0u64, |sum, byte| {
                sum.saturating_mul(10)
                    .saturating_add(u64::from(byte - b'0'))
            });
        (window.eq_ignore_ascii_case(b"Zqx") || window == b"Zpx")
            && (100..=highest).contains(&number)
    })
}
