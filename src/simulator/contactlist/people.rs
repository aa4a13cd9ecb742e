//! The contacts of the site, in the order of their stamps, findable by id, External ID and e-mail.
//!
//! Made for a million of them: a seeded contact is grown anew from its number when it is asked for, and its XML is kept
//! ready only while the set is small enough. Knows nothing of requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::person::Person;
use super::seeded::Seeded;
use super::switches::Order;
use super::write::{Style, contact};
use crate::simulator::chance::{Dice, hash};

/// The id of the first contact; the recorded service began there too.
pub(super) const FIRST_ID: i32 = 1001;

#[derive(Clone)]
enum Body {
    /// As it was seeded: the number is all that is needed.
    Seeded(u32),
    Kept(Box<Person>),
}

#[derive(Clone)]
struct Entry {
    stamp: NaiveDateTime,
    body: Body,
    /// The XML in the plainest style.
    rendered: Option<Arc<str>>,
}

/// Every contact of the site, deleted ones that still show included.
#[derive(Clone)]
pub struct People {
    seeded: Seeded,
    entries: HashMap<i32, Entry>,
    /// Sorted. A vector, because pages begin at any offset.
    order: Vec<(NaiveDateTime, i32)>,
    /// Hashes of keys: four times leaner than the keys, and verified at each look-up.
    external: BTreeSet<(u64, i32)>,
    email: BTreeSet<(u64, i32)>,
    next_id: i32,
}

/// What one page holds.
pub(super) struct Page {
    pub(super) ids: Vec<i32>,
    pub(super) more: bool,
}

/// The form in which e-mail addresses are compared: the database behind the service takes no notice of case.
fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

impl People {
    /// The first `count` contacts of a recipe; their XML is kept ready when `render` says so.
    pub(super) fn new(seeded: Seeded, count: u32, render: bool) -> Self {
        let mut people = Self {
            seeded,
            entries: HashMap::with_capacity(count as usize),
            order: Vec::with_capacity(count as usize),
            external: BTreeSet::new(),
            email: BTreeSet::new(),
            next_id: FIRST_ID,
        };
        let (mut external, mut email) = (Vec::new(), Vec::new());
        for number in 0..count {
            let person = people.seeded.person(number);
            let id = person.entity_id;
            let stamp = person.last_update_date;
            if let Some(key) = external_of(&person) {
                external.push((hash(key.as_bytes()), id));
            }
            if let Some(key) = person.email() {
                email.push((hash(email_key(key).as_bytes()), id));
            }
            let rendered = render.then(|| rendered(&person));
            people.order.push((stamp, id));
            people.entries.insert(
                id,
                Entry {
                    stamp,
                    body: Body::Seeded(number),
                    rendered,
                },
            );
            people.next_id = id + 1;
        }
        people.order.sort_unstable();
        people.external = external.into_iter().collect();
        people.email = email.into_iter().collect();
        people
    }

    /// How many there are, deleted ones that still show included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The contact of this id.
    pub fn get(&self, id: i32) -> Option<Person> {
        Some(match &self.entries.get(&id)?.body {
            Body::Seeded(number) => self.seeded.person(*number),
            Body::Kept(person) => (**person).clone(),
        })
    }

    /// Everybody, by id.
    pub fn all(&self) -> Vec<Person> {
        let mut ids: Vec<i32> = self.entries.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// Those with exactly this External ID, by id, deleted ones included.
    pub fn by_external(&self, key: &str) -> Vec<Person> {
        self.found(&self.external, hash(key.as_bytes()), |person| {
            external_of(person) == Some(key)
        })
    }

    /// Those with this e-mail address, whatever its case, by id, deleted ones included.
    pub fn by_email(&self, email: &str) -> Vec<Person> {
        let key = email_key(email);
        let same = |person: &Person| person.email().is_some_and(|other| email_key(other) == key);
        self.found(&self.email, hash(key.as_bytes()), same)
    }

    fn found(
        &self,
        index: &BTreeSet<(u64, i32)>,
        key: u64,
        same: impl Fn(&Person) -> bool,
    ) -> Vec<Person> {
        let candidates = index.range((key, i32::MIN)..=(key, i32::MAX));
        candidates
            .filter_map(|(_, id)| self.get(*id))
            .filter(same)
            .collect()
    }

    /// The id that the next newcomer gets.
    pub(super) fn take_id(&mut self) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Keeps this contact in place of the one with its id, if there is one.
    pub(super) fn put(&mut self, person: Person) {
        self.remove(person.entity_id);
        let id = person.entity_id;
        self.next_id = self.next_id.max(id.saturating_add(1));
        let stamp = person.last_update_date;
        if let Err(place) = self.order.binary_search(&(stamp, id)) {
            self.order.insert(place, (stamp, id));
        }
        if let Some(key) = external_of(&person) {
            self.external.insert((hash(key.as_bytes()), id));
        }
        if let Some(key) = person.email() {
            self.email.insert((hash(email_key(key).as_bytes()), id));
        }
        let rendered = Some(rendered(&person));
        self.entries.insert(
            id,
            Entry {
                stamp,
                body: Body::Kept(Box::new(person)),
                rendered,
            },
        );
    }

    /// Forgets this contact; whether there was one.
    pub(super) fn remove(&mut self, id: i32) -> bool {
        let Some(person) = self.get(id) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&id)
            && let Ok(place) = self.order.binary_search(&(entry.stamp, id))
        {
            self.order.remove(place);
        }
        if let Some(key) = external_of(&person) {
            self.external.remove(&(hash(key.as_bytes()), id));
        }
        if let Some(key) = person.email() {
            self.email.remove(&(hash(email_key(key).as_bytes()), id));
        }
        true
    }

    /// The contacts at these places among those changed since then.
    pub(super) fn page(
        &self,
        since: NaiveDateTime,
        exclusive: bool,
        order: Order,
        start: usize,
        size: usize,
        dice: &mut Dice,
    ) -> Page {
        let first = match exclusive {
            false => self.order.partition_point(|(stamp, _)| *stamp < since),
            true => self.order.partition_point(|(stamp, _)| *stamp <= since),
        };
        let listed = self.order.get(first..).unwrap_or(&[]);
        let end = start.saturating_add(size).min(listed.len());
        let place = start.min(end)..end;
        let more = end < listed.len();
        let ids = match order {
            Order::Stamp => listed[place].iter().map(|(_, id)| *id).collect(),
            Order::Id => {
                let mut ids: Vec<i32> = listed.iter().map(|(_, id)| *id).collect();
                ids.sort_unstable();
                ids[place].to_vec()
            }
            Order::Shuffled => {
                let mut shuffled = listed.to_vec();
                for ties in shuffled.chunk_by_mut(|a, b| a.0 == b.0) {
                    dice.shuffle(ties);
                }
                shuffled[place].iter().map(|(_, id)| *id).collect()
            }
        };
        Page { ids, more }
    }

    /// Writes the elements of this contact.
    pub(super) fn write(&self, id: i32, style: Style, out: &mut String) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        if let Some(ready) = entry
            .rendered
            .as_deref()
            .filter(|_| style == Style::default())
        {
            out.push_str(ready);
            return;
        }
        match &entry.body {
            Body::Seeded(number) => contact(&self.seeded.person(*number), style, out),
            Body::Kept(person) => contact(person, style, out),
        }
    }
}

/// An empty External ID is none.
fn external_of(person: &Person) -> Option<&str> {
    person.external_id.as_deref().filter(|key| !key.is_empty())
}

fn rendered(person: &Person) -> Arc<str> {
    let mut out = String::with_capacity(2048);
    contact(person, Style::default(), &mut out);
    Arc::from(out)
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::simulator::contactlist::person::year_one;
    use crate::simulator::contactlist::seeded::Profile;

    fn people(stamps: &[i64]) -> People {
        let mut people = People::new(Seeded::new(1, Profile::Plain, chrono_tz::UTC), 0, true);
        for stamp in stamps {
            let mut person = Person::new(people.take_id());
            person.external_id = Some(format!("K-{}", person.entity_id));
            person.email_address = Some(format!("P{}@Example.org", person.entity_id));
            person.last_update_date = year_one() + Duration::seconds(*stamp);
            people.put(person);
        }
        people
    }

    fn page(
        people: &People,
        since: i64,
        exclusive: bool,
        order: Order,
        start: usize,
        seed: u64,
    ) -> Vec<i32> {
        let since = year_one() + Duration::seconds(since);
        people
            .page(since, exclusive, order, start, 2, &mut Dice::new(seed))
            .ids
    }

    #[test]
    fn pages_begin_at_any_offset_of_any_order() {
        let people = people(&[30, 10, 20, 20]);
        assert_eq!(page(&people, 10, false, Order::Stamp, 0, 0), [1002, 1003]);
        assert_eq!(page(&people, 10, false, Order::Stamp, 1, 0), [1003, 1004]);
        assert_eq!(page(&people, 10, true, Order::Stamp, 0, 0), [1003, 1004]);
        assert_eq!(page(&people, 10, false, Order::Stamp, 3, 0), [1001]);
        assert!(page(&people, 10, false, Order::Stamp, 4, 0).is_empty());
        assert_eq!(page(&people, 20, false, Order::Id, 0, 0), [1001, 1003]);
        let turns: BTreeSet<Vec<i32>> = (0..20)
            .map(|seed| page(&people, 20, false, Order::Shuffled, 0, seed))
            .collect();
        assert_eq!(turns, BTreeSet::from([vec![1003, 1004], vec![1004, 1003]]));
    }

    #[test]
    fn a_changed_contact_moves_in_every_index() {
        let mut people = people(&[1, 2]);
        let mut person = people.get(1001).unwrap();
        person.external_id = Some("new".into());
        person.email_address = Some("new@example.org".into());
        person.last_update_date += Duration::seconds(9);
        people.put(person);
        assert!(people.by_external("K-1001").is_empty());
        assert_eq!(people.by_external("new")[0].entity_id, 1001);
        assert!(people.by_email("p1001@example.org").is_empty());
        assert_eq!(people.by_email(" NEW@example.org")[0].entity_id, 1001);
        assert_eq!(page(&people, 0, false, Order::Stamp, 0, 0), [1002, 1001]);
        assert!(people.remove(1001) && !people.remove(1001));
        assert_eq!(page(&people, 0, false, Order::Stamp, 0, 0), [1002]);
        assert_eq!(people.take_id(), 1003);
    }

    #[test]
    fn seeded_people_are_the_same_rendered_or_grown() {
        let seeded = Seeded::new(3, Profile::Awkward, chrono_tz::Australia::Sydney);
        let ready = People::new(seeded.clone(), 300, true);
        let lean = People::new(seeded, 300, false);
        for person in ready.all() {
            let (mut a, mut b) = (String::new(), String::new());
            ready.write(person.entity_id, Style::default(), &mut a);
            lean.write(person.entity_id, Style::default(), &mut b);
            assert_eq!(a, b);
            assert_eq!(lean.get(person.entity_id), Some(person));
        }
    }
}
