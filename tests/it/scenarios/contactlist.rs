//! A bridge to ContactList, both ways.

use std::collections::BTreeMap;
use std::path::Path;

use contactbridge::simulator::contactlist::{
    ContactListSimulator, Deletion, People, Person, year_one,
};

use super::database::Database;
use super::stage::Stage;
use super::story::{Files, NEW, Orders, Record, Rows, WHO, sorted, table};
use crate::support::{Binary, Project, Setup};

/// The column by which an edit in the CRM was made so many minutes from now.
const MINUTES: &str = "minutes";

/// The id of the first contact of another site, above those of this one.
const FIRST_ID_ELSEWHERE: i32 = 90_000;

/// The address of another database than the bridge's.
const ANOTHER_DATABASE: &str = "sqlite:another.db";

pub struct ContactList {
    project: Project,
    database: Database,
    contacts: BTreeMap<String, i32>,
    vanish: bool,
    /// The CRM as it was when both sides agreed, where the story puts it back.
    backup: Option<People>,
}

impl ContactList {
    pub fn new(orders: &Orders, mapping: &str) -> Self {
        let mut setup = Setup::default().mapping(mapping);
        for line in orders.all("bridge") {
            setup = setup.key(line);
        }
        for line in orders.all("remote") {
            setup = setup.remote(line);
        }
        for line in orders.all("limit") {
            setup = setup.limit(line);
        }
        let project = setup.build();
        let database = Database::at(project.path("customers.db"));
        Self {
            project,
            database,
            contacts: BTreeMap::new(),
            vanish: orders.all("crm").any(|switch| switch == "deletion=vanish"),
            backup: None,
        }
    }

    fn insert(&mut self, record: &Record) {
        let mut person = Person::new(0);
        for (column, cell) in record {
            set(&mut person, column, cell);
        }
        let id = self.project.crm.insert(person);
        self.restamp(id, record);
        self.contacts.insert(record[WHO].clone(), id);
    }

    /// The contact that a story calls so; `new` is the one that the run has just made.
    fn find(&self, who: &str) -> Option<i32> {
        let made = || {
            let people = self.project.crm.people().into_iter();
            let mut ids = people.map(|person| person.entity_id);
            ids.find(|id| !self.contacts.values().any(|known| known == id))
        };
        let known = self.contacts.get(who).copied();
        known.or_else(|| (who == NEW).then(made).flatten())
    }

    /// The users of the CRM make it look like this.
    fn edit(&mut self, wanted: &[Record]) {
        for record in wanted {
            let Some(id) = self.find(&record[WHO]) else {
                self.insert(record);
                continue;
            };
            let person = self.project.crm.person(id).expect("the contact");
            let differs = |column: &str, cell: &str| {
                ![WHO, MINUTES].contains(&column) && get(&person, column) != cell
            };
            if record.iter().any(|(column, cell)| differs(column, cell)) {
                self.project.crm.edit(id, |person| {
                    for (column, cell) in record {
                        set(person, column, cell);
                    }
                });
                self.restamp(id, record);
            }
        }
        let how = if self.vanish {
            Deletion::Vanish
        } else {
            Deletion::Flag
        };
        for (who, id) in &self.contacts {
            if !wanted.iter().any(|record| record[WHO] == *who) {
                assert!(self.project.crm.delete(*id, how), "{who}");
            }
        }
    }

    fn restamp(&self, id: i32, record: &Record) {
        let Some(minutes) = record.get(MINUTES).filter(|cell| !cell.is_empty()) else {
            return;
        };
        let by = chrono::Duration::minutes(minutes.parse().expect("minutes"));
        self.project
            .crm
            .edit_unstamped(id, |person| person.last_update_date += by);
    }

    /// Another site stands behind the bridge's address: its people have other ids, whoever they are.
    fn put_another_crm(&mut self) {
        let other = ContactListSimulator::start(self.project.crm.options()).expect("another site");
        other.put(Person::new(FIRST_ID_ELSEWHERE));
        assert!(other.delete(FIRST_ID_ELSEWHERE, Deletion::Vanish));
        let (mine, theirs) = (self.project.crm.url(), other.url());
        self.project.edit("bridge.yaml", &mine, &theirs);
        self.project.crm = other;
        self.contacts.clear();
    }
}

impl Stage for ContactList {
    fn binary(&self) -> &Binary {
        &self.project.binary
    }

    fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    /// Everybody of `agreed.csv` is in the CRM, and the bridge makes the rows. Without that, an empty run makes the table.
    fn agree(&mut self, folder: &Path) {
        let people = table(&folder.join("agreed.csv"));
        for record in people.iter().flatten() {
            self.insert(record);
        }
        self.project.sync(0);
        for (who, id) in &self.contacts {
            self.database.name_linked(who, &id.to_string());
        }
        if people.is_some() {
            self.project.quiet_sync(0);
        }
    }

    fn switch(&mut self, text: &str) -> Result<(), String> {
        self.project.crm.switch(text)
    }

    fn calm(&mut self) {
        self.project.crm.clear_rules();
    }

    fn begin_run(&mut self, orders: &Orders) {
        if orders.one("restored").is_some() {
            self.backup = Some(self.project.crm.backup());
            // A backup is older than any replica that merely lags behind.
            self.project.crm.advance(chrono::Duration::minutes(50));
        }
        match orders.one("another") {
            None => {}
            Some("crm") => self.put_another_crm(),
            Some("database") => {
                self.project
                    .edit("bridge.yaml", "sqlite:customers.db", ANOTHER_DATABASE);
            }
            Some(other) => panic!("another {other}"),
        }
    }

    fn act(&mut self, folder: &Path) {
        if let Some(contacts) = table(&folder.join("crm.csv")) {
            self.edit(&contacts);
        }
    }

    fn ready(&mut self, _orders: &Orders) {
        if let Some(backup) = self.backup.take() {
            self.project.sync(0);
            self.project.crm.restore(backup);
        }
    }

    fn expects(&self) -> &'static [&'static str] {
        &["crm", "database"]
    }

    /// Who is new there has no name.
    fn shown(&self, columns: &[String]) -> Rows {
        let name = |id: i32| {
            let known = self.contacts.iter().find(|(_, known)| **known == id);
            known.map_or(NEW.to_owned(), |(who, _)| who.clone())
        };
        let people = self.project.crm.people();
        let living = people.iter().filter(|person| !person.deleted);
        sorted(living.map(|person| {
            columns
                .iter()
                .map(|column| match column.as_str() {
                    WHO => name(person.entity_id),
                    column => get(person, column),
                })
                .collect()
        }))
    }

    fn check(&mut self, orders: &Orders, _files: &Files, title: &str) {
        if orders.one("another") == Some("database") {
            let file = ANOTHER_DATABASE.trim_start_matches("sqlite:");
            assert!(!self.project.path(file).exists(), "{title}: it was made");
        }
    }

    fn quiet(&mut self, code: i32) {
        self.project.quiet_sync(code);
    }
}

/// Writes a cell of a story to a contact.
fn set(person: &mut Person, column: &str, cell: &str) {
    let text = Some(cell.to_owned()).filter(|text| !text.is_empty());
    match column {
        WHO | MINUTES => {}
        "externalId" => person.external_id = text,
        "emailAddress" => person.email_address = text,
        "firstName" => person.first_name = text,
        "lastName" => person.last_name = text,
        "dateOfBirth" => {
            person.date_of_birth = text.map_or_else(year_one, |text| {
                let day: chrono::NaiveDate = text.parse().expect("a date");
                day.and_hms_opt(0, 0, 0).expect("midnight")
            });
        }
        "MasterOptIn" => person.master_opt_in = cell == "yes",
        other => panic!("the CRM has no {other}"),
    }
}

/// What a cell of a story must say of a contact.
fn get(person: &Person, column: &str) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match column {
        "externalId" => text(&person.external_id),
        "emailAddress" => text(&person.email_address),
        "firstName" => text(&person.first_name),
        "lastName" => text(&person.last_name),
        "dateOfBirth" if person.date_of_birth == year_one() => String::new(),
        "dateOfBirth" => person.date_of_birth.date().to_string(),
        "MasterOptIn" => if person.master_opt_in { "yes" } else { "no" }.into(),
        other => panic!("the CRM has no {other}"),
    }
}
