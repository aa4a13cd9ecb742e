//! The users of both sides: they make, edit and delete people whenever they like.

use std::collections::BTreeMap;

use contactbridge::model::{Cell, LocalKey};
use contactbridge::state::Table;

use crate::crm::new_person;
use crate::database::DbRow;
use crate::oracle::{FIELDS, Side, canonical};
use crate::settings::Codec;
use crate::universe::Universe;

impl Universe {
    fn number(&mut self) -> u64 {
        self.log.edits += 1;
        // Always three digits or more: the canary that the oracle looks for.
        100 + self.log.edits
    }

    /// Somebody does something somewhere.
    pub fn somebody_acts(&mut self) {
        let side = if self.chance.coin() {
            Side::Remote
        } else {
            Side::Local
        };
        if self.settings.undeletes > 0 && self.chance.permille(self.settings.undeletes) {
            return self.somebody_takes_a_deletion_back();
        }
        if self.settings.rare.merges > 0 && self.chance.permille(self.settings.rare.merges) {
            return self.two_contacts_are_merged();
        }
        match self.chance.below(100) {
            0..12 => {
                self.somebody_is_made(side);
            }
            12..20 if self.settings.deletes => self.somebody_is_deleted(side),
            _ if self.settings.edits => self.somebody_is_edited(side),
            _ => {}
        }
    }

    pub fn somebody_is_made(&mut self, side: Side) -> String {
        let number = self.number();
        let anchor = format!("Zpx{number}");
        let external = if self.chance.permille(600) {
            format!("N{number}")
        } else {
            String::new()
        };
        let email = if self.chance.permille(850) {
            format!("zqx{number}@example.org")
        } else {
            String::new()
        };
        let (external, email) = match self.somebodys_address() {
            // Who shares an address is known by a number: the address alone would say that the two are one.
            Some(email) => (format!("N{number}"), email),
            None => (external, email),
        };
        let first = format!("Zqx{number}");
        let values: BTreeMap<&'static str, String> = [
            ("customer_no", external),
            ("email", email),
            ("first_name", first),
            (
                "title",
                if self.chance.coin() {
                    format!("Zqx{number} title")
                } else {
                    String::new()
                },
            ),
            (
                "born_on",
                if self.chance.coin() {
                    "1980-02-29".into()
                } else {
                    String::new()
                },
            ),
            (
                "opted_in",
                if self.chance.coin() {
                    "1".into()
                } else {
                    "0".into()
                },
            ),
            (
                "city",
                if self.chance.coin() {
                    format!("Zqx{number} town")
                } else {
                    String::new()
                },
            ),
        ]
        .into();
        self.put(side, &anchor, &values);
        anchor
    }

    /// An address of one who has a number too, in worlds where people share addresses.
    fn somebodys_address(&mut self) -> Option<String> {
        if self.settings.families == 0 || !self.chance.permille(self.settings.families) {
            return None;
        }
        let contacts = self.crm.living().map(|person| {
            let value = |path: &str| person.values[path].clone();
            (value("externalId"), value("emailAddress"))
        });
        let columns = [
            self.database.column("customer_no"),
            self.database.column("email"),
        ];
        let rows = self.database.living().map(|(_, row)| {
            let [number, email] = columns.map(|column| crate::oracle::shown(&row.cells[column]));
            (number, email)
        });
        let known: Vec<String> = contacts
            .chain(rows)
            .filter(|(number, email)| !number.is_empty() && !email.is_empty())
            .map(|(_, email)| email)
            .collect();
        self.chance.pick(&known).cloned()
    }

    /// One person on both sides before the two ever met; some fields differ.
    pub fn somebody_is_on_both_sides(&mut self) {
        let side = if self.chance.coin() {
            Side::Remote
        } else {
            Side::Local
        };
        let anchor = self.somebody_is_made(side);
        let values: BTreeMap<&'static str, String> = FIELDS
            .iter()
            .map(|(field, _)| {
                let head = self.log.heads.get(&(side, anchor.clone(), *field));
                (
                    *field,
                    head.map(|(_, value)| value.clone()).unwrap_or_default(),
                )
            })
            .collect();
        if values["customer_no"].is_empty() && values["email"].is_empty() {
            return;
        }
        let mut values = values;
        if self.chance.coin() {
            let number = self.number();
            values.insert("first_name", format!("Zqx{number}"));
        }
        if self.chance.coin() {
            values.insert("title", String::new());
        }
        self.put(side.other(), &anchor, &values);
    }

    pub fn put(&mut self, side: Side, anchor: &str, values: &BTreeMap<&'static str, String>) {
        let stamp = self.crm_now();
        let at = self.now;
        match side {
            Side::Remote => {
                let id = self.crm.next_id;
                self.crm.next_id += 1;
                let mut person = new_person(id, stamp);
                person.values.insert("lastName", anchor.to_owned());
                self.crm.people.insert(id, person);
                self.say(|| format!("   ~ contact {id} {anchor} is made"));
                for (field, value) in values {
                    self.edit_contact(id, field, value);
                    if value.is_empty() {
                        self.log.left_open(side, anchor, field);
                    }
                }
            }
            Side::Local => {
                let key = LocalKey::Int(self.database.next);
                self.database.next += 1;
                let mut cells = vec![Cell::Null; self.database.layout.columns.len()];
                cells[self.database.column("last_name")] = Cell::Text(anchor.to_owned());
                self.database.rows.insert(
                    key.clone(),
                    DbRow {
                        cells,
                        marked: false,
                    },
                );
                self.database.note(&key, at);
                self.say(|| format!("   ~ row {key} {anchor} is made"));
                for (field, value) in values {
                    self.edit_row(&key, field, value);
                    if value.is_empty() {
                        self.log.left_open(side, anchor, field);
                    }
                }
            }
        }
    }

    pub fn edit_contact(&mut self, id: i64, field: &'static str, value: &str) {
        let stamp = self.crm_now();
        let path = FIELDS
            .iter()
            .find(|(known, _)| *known == field)
            .expect("a field")
            .1;
        let value = match (field, value) {
            ("opted_in", "1") => "true",
            ("opted_in", _) => "false",
            (_, value) => value,
        };
        let value = self.as_the_service_keeps(path, value);
        let unstamped = self.settings.rare.unstamped;
        let is_stamped = unstamped == 0 || !self.chance.permille(unstamped);
        let Some(person) = self.crm.people.get_mut(&id) else {
            return;
        };
        if path == "city" {
            if value.is_empty() {
                person.cities.remove(&1);
            } else {
                person.cities.insert(1, value.clone());
            }
        } else {
            person.values.insert(path, value.clone());
        }
        if is_stamped {
            person.stamp = stamp;
        }
        if self.settings.future && !self.crm.foretold && self.busy > 0 {
            person.stamp += chrono::Duration::days(40);
            self.crm.foretold = true;
        }
        person.unseen.insert(path);
        self.poison(id);
        let person = &self.crm.people[&id];
        let anchor = person.values["lastName"].clone();
        // What was pushed at the first meeting, and not proved by the end of its run, may as well never have arrived.
        if value.is_empty() && (person.newborn || self.log.meets_now(&anchor)) {
            self.log.window(&anchor, field, &value);
        }
        self.log
            .edited(Side::Remote, &anchor, field, &canonical(field, &value));
        self.say(|| format!("   ~ contact {id} {anchor}: {field} := {value:?}"));
    }

    fn as_the_service_keeps(&self, path: &str, value: &str) -> String {
        let codec = match path {
            "contactTitle" => self.settings.title_codec,
            "city" => self.settings.city_codec,
            _ => Codec::Faithful,
        };
        match codec {
            Codec::Faithful => value.to_owned(),
            Codec::Trim => value.trim().to_owned(),
            Codec::Upper => value.to_uppercase(),
            Codec::Cut(length) => value.chars().take(length).collect(),
        }
    }

    pub fn edit_row(&mut self, key: &LocalKey, field: &'static str, value: &str) {
        let column = self.database.column(field);
        let at = self.now;
        let last_name = self.database.column("last_name");
        let Some(row) = self.database.rows.get_mut(key) else {
            return;
        };
        row.cells[column] = match (field, value) {
            (_, "") => Cell::Null,
            ("opted_in", value) => Cell::Int(i64::from(value == "1")),
            (_, value) => Cell::Text(value.to_owned()),
        };
        let anchor = crate::oracle::shown(&row.cells[last_name]);
        self.database.note(key, at);
        self.log
            .edited(Side::Local, &anchor, field, &canonical(field, value));
        self.say(|| format!("   ~ row {key} {anchor}: {field} := {value:?}"));
    }

    fn somebody_is_edited(&mut self, side: Side) {
        let fields: &[&'static str] = if self.settings.emails_change && self.chance.permille(100) {
            &["email"]
        } else {
            &["first_name", "title", "born_on", "opted_in", "city"]
        };
        let field = *self.chance.pick(fields).expect("there are fields");
        let number = self.number();
        let value = match field {
            "opted_in" => self.chance.below(2).to_string(),
            _ if self.chance.permille(120) => String::new(),
            "born_on" => format!(
                "19{:02}-0{}-1{}",
                number % 90 + 10,
                number % 9 + 1,
                number % 7
            ),
            "email" => self
                .somebodys_address()
                .unwrap_or_else(|| format!("zqx{number}@example.org")),
            "title" | "city" if self.chance.coin() => format!("Zqx{number} of somewhere long "),
            _ => format!("Zqx{number}"),
        };
        match side {
            Side::Remote => {
                let ids = self.crm_choices();
                if let Some(id) = self.chance.pick(&ids).copied() {
                    let anchor = &self.crm.people[&id].values["lastName"];
                    // An address that changes before the two have met leaves nothing to match them by.
                    let is_known = self.log.linked.contains_key(anchor)
                        && self.may_share(&self.crm.people[&id].values["externalId"]);
                    if field != "email" || is_known {
                        self.edit_contact(id, field, &value);
                    }
                }
            }
            Side::Local => {
                let keys: Vec<LocalKey> =
                    self.database.living().map(|(key, _)| key.clone()).collect();
                if let Some(key) = self.chance.pick(&keys).cloned() {
                    let anchor = self.database.text(&key, "last_name").unwrap_or_default();
                    let number = self.database.text(&key, "customer_no").unwrap_or_default();
                    let is_known = self.log.linked.contains_key(&anchor) && self.may_share(&number);
                    if field != "email" || is_known {
                        self.edit_row(&key, field, &value);
                    }
                }
            }
        }
    }

    /// Whether somebody with this number may take an address that others have.
    fn may_share(&self, number: &str) -> bool {
        self.settings.families == 0 || !number.is_empty()
    }

    /// Whom users of the CRM work on; an echo of a push waits for somebody who looks at both.
    fn crm_choices(&self) -> Vec<i64> {
        let living = self.crm.living().map(|person| person.id);
        living.filter(|id| !self.log.echoes.contains(id)).collect()
    }

    pub fn somebody_is_deleted(&mut self, side: Side) {
        match side {
            Side::Remote => {
                let ids = self.crm_choices();
                if let Some(id) = self.chance.pick(&ids).copied() {
                    self.user_deletes_contact(id);
                }
            }
            Side::Local => {
                let keys: Vec<LocalKey> =
                    self.database.living().map(|(key, _)| key.clone()).collect();
                if let Some(key) = self.chance.pick(&keys).cloned() {
                    self.user_deletes_row(&key);
                }
            }
        }
    }

    /// A row that is only marked lives again as it was: no edit of any field. Not one whose contact has no row yet: taken back
    /// while a row is being made for it, there are two, which nobody could prevent.
    fn somebody_takes_a_deletion_back(&mut self) {
        let mut marked = self.database.marked_alone("last_name");
        marked.retain(|key| {
            let anchor = self.database.text(key, "last_name").unwrap_or_default();
            let table = (Table::ByLocal, key.to_bytes());
            let mut living = self.crm.living();
            self.disk.durable.contains_key(&table)
                || !living.any(|person| person.values["lastName"] == anchor)
        });
        let Some(key) = self.chance.pick(&marked).cloned() else {
            return;
        };
        let at = self.now;
        self.database.unmark(&key, at);
        let anchor = self.database.text(&key, "last_name").unwrap_or_default();
        let table = (Table::ByLocal, key.to_bytes());
        if !self.disk.durable.contains_key(&table) {
            self.log.reborn.insert(anchor.clone());
        }
        for (field, _) in FIELDS {
            let value = self.local_value(&key, field);
            self.log.taken_back(Side::Local, &anchor, field, &value);
        }
        self.say(|| format!("   ~ row {key} {anchor} is taken back"));
    }

    pub fn user_deletes_contact(&mut self, id: i64) {
        let stamp = self.crm_now();
        let Some(person) = self.crm.people.get_mut(&id) else {
            return;
        };
        let anchor = person.values["lastName"].clone();
        let values = FIELDS
            .iter()
            .map(|(field, path)| (*field, canonical(field, &person.get(path))))
            .collect();
        let unproved = person.newborn;
        self.crm.poisoned.remove(&id);
        let person = self.crm.people.get_mut(&id).expect("it was just seen");
        let as_it_was = person.clone();
        (person.deleted, person.stamp) = (true, stamp);
        if !self.settings.deleted_flag {
            self.crm.people.remove(&id);
        }
        self.leave_ghost(&as_it_was);
        self.crm.graves.insert(id.to_string(), anchor.clone());
        self.log.edited_after_a_backup(Side::Remote, &anchor);
        self.log.deleted(Side::Remote, &anchor, values);
        let agreed = self
            .disk
            .durable
            .contains_key(&(Table::Link, id.to_string().into_bytes()));
        if unproved || !agreed {
            // Nobody can tell it from a contact that was never made, or from one that was never linked.
            self.log.deletions.remove(&(Side::Remote, anchor.clone()));
        }
        self.say(|| format!("   ~ contact {id} {anchor} is deleted"));
    }

    pub fn user_deletes_row(&mut self, key: &LocalKey) {
        let at = self.now;
        let anchor = self.database.text(key, "last_name").unwrap_or_default();
        let values = FIELDS
            .iter()
            .map(|(field, _)| {
                let text = self.database.text(key, field).unwrap_or_default();
                (*field, canonical(field, &text))
            })
            .collect();
        if self.settings.soft_delete {
            if let Some(row) = self.database.rows.get_mut(key) {
                row.marked = true;
            }
        } else {
            self.database.rows.remove(key);
            self.database.children.retain(|(parent, _)| parent != key);
        }
        self.database.note(key, at);
        self.log.deleted(Side::Local, &anchor, values);
        let agreed = self
            .disk
            .durable
            .contains_key(&(Table::ByLocal, key.to_bytes()));
        if !agreed {
            self.log.deletions.remove(&(Side::Local, anchor.clone()));
        }
        self.say(|| format!("   ~ row {key} {anchor} is deleted"));
    }
}
