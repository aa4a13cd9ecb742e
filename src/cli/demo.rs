//! `contactbridge demo`: the whole thing in a temporary directory. A CRM on loopback, a SQLite database, the shipped
//! mapping, and the engine that `sync` runs; what was done, what came of it, and where to look.
//!
//! It checks what it tells: where a side does not hold what it should, it ends with an error.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::args::{Global, Kind};
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::output::Output;
use super::sync::{bridge_text, one};
use super::world::RealWorld;
use crate::config::{Settings, starter};
use crate::model::{Error, Result};
use crate::simulator::contactlist::{ContactListSimulator, Deletion, Options, Person, Profile};
use crate::sync::{BridgeReport, Decision, RunOptions, Side, resolve_review, reviews};

/// Enough people for three pages, few enough to look at.
const DEFAULT_PEOPLE: u32 = 250;

const BRIDGE: &str = "members";

#[derive(Serialize)]
struct Step {
    title: &'static str,
    done: Vec<String>,
    report: Option<BridgeReport>,
}

#[derive(Serialize)]
struct Told {
    directory: Option<String>,
    steps: Vec<Step>,
}

/// The scene: both sides, and what has been told so far.
struct Scene<'a> {
    directory: &'a Path,
    crm: ContactListSimulator,
    settings: Settings,
    world: RealWorld,
    output: Output,
    shows_progress: bool,
    steps: Vec<Step>,
}

/// Plays the scenes. `keep` leaves the directory behind.
pub async fn run(global: &Global, kind: Kind, keep: bool, output: Output) -> Result<Exit> {
    if kind != Kind::Contactlist {
        return Err(super::not_in_this_version(&format!(
            "demo --kind {}",
            kind.name()
        )));
    }
    let world = RealWorld::new();
    world.heed_signals()?;
    let directory = tempfile::Builder::new()
        .prefix("contactbridge-demo-")
        .tempdir()
        .map_err(|error| {
            Error::needs_person("E-DEMO", "No temporary directory can be made").caused_by(error)
        })?;
    let crm = ContactListSimulator::start(Options {
        people: DEFAULT_PEOPLE,
        profile: Profile::Plain,
        ..Options::default()
    })?;
    let settings = write_project(directory.path(), &crm)?;
    let mut scene = Scene {
        directory: directory.path(),
        crm,
        settings,
        world,
        output,
        shows_progress: global.shows_progress(),
        steps: Vec::new(),
    };
    scene.say(&format!(
        "A CRM with {DEFAULT_PEOPLE} people listens on {}\nand a database, still empty, in {}\n",
        scene.crm.url(),
        scene.directory.join("customers.db").display()
    ))?;
    scene.play().await?;
    let steps = std::mem::take(&mut scene.steps);
    let kept = keep.then(|| scene.directory.display().to_string());
    scene.crm.shutdown();
    let told = Told {
        directory: kept.clone(),
        steps,
    };
    let last = match kept {
        Some(place) => {
            let _ = directory.keep();
            format!("Kept in {place}: bridge.yaml, mappings/contactlist.yaml, customers.db, state/.\nLook: sqlite3 {place}/customers.db 'SELECT * FROM customers'\nA CRM to play with: contactbridge simulate contactlist")
        }
        None => "Nothing is left behind; `contactbridge demo --keep` leaves the directory to look at.\nYour own project begins with `contactbridge init`.".to_owned(),
    };
    if output.is_json() {
        output.json(&told)?;
    } else {
        output.text(&last)?;
    }
    Ok(Exit::Clean)
}

/// The files that `init` writes, with the CRM's address in them.
fn write_project(directory: &Path, crm: &ContactListSimulator) -> Result<Settings> {
    let failed = |error: std::io::Error| {
        Error::needs_person(
            "E-DEMO",
            format!("{} can't be written", directory.display()),
        )
        .caused_by(error)
    };
    let options = crm.options();
    let bridge = format!(
        "state: state\nbridges:\n  {BRIDGE}:\n    remote:\n      kind: contactlist\n      endpoint: {}\n      site_id: {}\n      \
         username: ${{CRM_USERNAME}}\n      password: ${{CRM_PASSWORD}}\n      time_zone: {}\n    database: sqlite:customers.db\n    \
         mapping: mappings/contactlist.yaml\n    conflicts: newest\n    limits:\n      requests_per_second: unlimited\n      free_disk: 0\n",
        crm.url(),
        options.site_id,
        options.zone
    );
    for file in starter("contactlist")?.iter().skip(1) {
        let path = directory.join(file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, file.text).map_err(failed)?;
    }
    let path = directory.join("bridge.yaml");
    std::fs::write(&path, &bridge).map_err(failed)?;
    let environment = |name: &str| match name {
        "CRM_USERNAME" => Some(options.username.clone()),
        "CRM_PASSWORD" => Some(options.password.clone()),
        _ => None,
    };
    Settings::load(Some(&path), &environment)
}

impl Scene<'_> {
    async fn play(&mut self) -> Result<()> {
        self.pass(
            "First load",
            vec!["The database is empty, so everybody is pulled.".into()],
        )
        .await?;
        self.expect(
            "every contact has a row",
            "SELECT count(*) FROM customers",
            &DEFAULT_PEOPLE.to_string(),
        )?;

        let done = self.edit_both_sides()?;
        self.pass("Edits on both sides in one night", done).await?;
        self.expect_edits()?;

        let done = self.edit_one_field_on_both_sides()?;
        self.pass("A conflict", done).await?;
        let done = self.settle_the_conflict().await?;
        self.pass("The conflict is settled by a person", done)
            .await?;
        self.expect(
            "the CRM's value was taken",
            "SELECT last_name FROM customers WHERE id = 5",
            "Fromcrm",
        )?;

        let done = self.delete_on_both_sides()?;
        self.pass("Deletions on both sides", done).await?;
        self.expect_deletions()?;

        let report = self
            .pass("A quiet run", vec!["Nobody has changed anything.".into()])
            .await?;
        let writes = |counts: crate::sync::Counts| counts.created + counts.updated + counts.deleted;
        if writes(report.pull) + writes(report.push) > 0 {
            return Err(differs("a quiet run writes nothing anywhere"));
        }
        Ok(())
    }

    fn say(&self, text: &str) -> Result<()> {
        if self.output.is_json() {
            Ok(())
        } else {
            self.output.text(text)
        }
    }

    /// Tells what was done, and runs once, as cron would.
    async fn pass(&mut self, title: &'static str, done: Vec<String>) -> Result<BridgeReport> {
        self.say(&format!("{}. {title}\n", self.steps.len() + 1))?;
        for line in &done {
            self.say(&format!("   {line}\n"))?;
        }
        let bridge = self.bridge()?;
        let settings = self.settings.bridge(BRIDGE)?;
        let (pass, error) = one(
            settings,
            bridge,
            &RunOptions::default(),
            &self.world,
            self.shows_progress,
        )
        .await;
        if let Some(error) = error {
            return Err(error);
        }
        let told: String = bridge_text(&pass.report)
            .lines()
            .map(|line| format!("     {line}\n"))
            .collect();
        self.say(&told)?;
        self.steps.push(Step {
            title,
            done,
            report: Some(pass.report.clone()),
        });
        Ok(pass.report)
    }

    fn bridge(&self) -> Result<Bridge<'_>> {
        Bridge::prepare(
            &self.settings,
            self.settings.bridge(BRIDGE)?,
            &self.world,
            Purpose::Run,
        )
    }

    fn edit_both_sides(&self) -> Result<Vec<String>> {
        let (first, second) = (self.contact_of(1)?, self.contact_of(2)?);
        self.in_crm(first, |person| {
            person.last_name = Some("Changed-in-CRM".into())
        })?;
        self.sql("UPDATE customers SET home_city = 'Hobart' WHERE id = 1")?;
        self.in_crm(second, |person| person.contact_title = Some("Dr".into()))?;
        self.sql("UPDATE customers SET first_name = 'Changed-in-database' WHERE id = 3")?;
        self.sql("INSERT INTO customers (customer_no, email, first_name, last_name, home_city) VALUES ('DEMO-1', 'new.row@example.org', 'New', 'Row', 'Perth')")?;
        let mut person = Person::new(0);
        person.external_id = Some("DEMO-2".into());
        person.email_address = Some("new.contact@example.org".into());
        (person.first_name, person.last_name) = (Some("New".into()), Some("Contact".into()));
        self.crm.insert(person);
        Ok(vec![
            format!("CRM:      contact {first} gets another last name, contact {second} a title; contact DEMO-2 is new"),
            "Database: row 1 (the same person as the first) gets another city, row 3 another first name; row DEMO-1 is new".into(),
        ])
    }

    fn expect_edits(&self) -> Result<()> {
        self.expect(
            "the last name came from the CRM, and the city stayed",
            "SELECT last_name || ' ' || home_city FROM customers WHERE id = 1",
            "Changed-in-CRM Hobart",
        )?;
        self.expect(
            "the title came from the CRM",
            "SELECT title FROM customers WHERE id = 2",
            "Dr",
        )?;
        self.expect(
            "the new contact has a row",
            "SELECT last_name FROM customers WHERE customer_no = 'DEMO-2'",
            "Contact",
        )?;
        let first = self.contact_of(1)?;
        let person = self
            .crm
            .person(first)
            .ok_or_else(|| differs("the contact of row 1 is there"))?;
        let city = person
            .addresses
            .iter()
            .flatten()
            .flatten()
            .find(|address| address.address_type_id == 1)
            .and_then(|address| address.city.clone());
        if city.as_deref() != Some("Hobart")
            || person.last_name.as_deref() != Some("Changed-in-CRM")
        {
            return Err(differs("the contact of row 1 has both edits"));
        }
        let third = self.crm.person(self.contact_of(3)?);
        if third.and_then(|person| person.first_name).as_deref() != Some("Changed-in-database") {
            return Err(differs("the first name of row 3 is in the CRM"));
        }
        if self.crm.by_external("DEMO-1").len() != 1 {
            return Err(differs("the new row became one contact"));
        }
        Ok(())
    }

    fn edit_one_field_on_both_sides(&self) -> Result<Vec<String>> {
        let contact = self.contact_of(5)?;
        self.in_crm(contact, |person| {
            person.last_name = Some("Fromcrm".into());
            person.rating_type = Some("Hot".into());
        })?;
        self.sql("UPDATE customers SET last_name = 'Fromdatabase' WHERE id = 5")?;
        Ok(vec![
            format!("Row 5 and contact {contact} get different last names, and the contact a rating."),
            "`conflicts: newest` can't tell here who was later (`changes: scan` knows no time), so a person is asked.".into(),
            "The rating flows all the same.".into(),
        ])
    }

    async fn settle_the_conflict(&self) -> Result<Vec<String>> {
        let bridge = self.bridge()?;
        let (store, _) = bridge.open_store().await?;
        let waiting = reviews(&store, false).await?;
        let [(id, review)] = &waiting[..] else {
            return Err(differs("one conflict waits for a person"));
        };
        resolve_review(&store, id, Decision::Take(Side::Remote)).await?;
        let lines = vec![
            format!(
                "contactbridge review list   shows {BRIDGE}:{id}, which is about {}",
                review.fields.join(", ")
            ),
            format!("contactbridge review resolve {BRIDGE}:{id} --take remote"),
        ];
        store.close()?;
        Ok(lines)
    }

    fn delete_on_both_sides(&self) -> Result<Vec<String>> {
        let contact = self.contact_of(7)?;
        if !self.crm.delete(contact, Deletion::Flag) {
            return Err(differs("the contact of row 7 can be deleted"));
        }
        self.sql("DELETE FROM customers WHERE id = 8")?;
        Ok(vec![
            format!(
                "Contact {contact} is deleted in the CRM; its row is marked, as the mapping asks."
            ),
            "Row 8 is deleted in the database; its contact goes too.".into(),
        ])
    }

    fn expect_deletions(&self) -> Result<()> {
        self.expect(
            "the row of the deleted contact is marked",
            "SELECT deleted_at IS NOT NULL FROM customers WHERE id = 7",
            "1",
        )?;
        let rows: i64 = self.ask("SELECT count(*) FROM customers WHERE deleted_at IS NULL")?;
        let live = self
            .crm
            .people()
            .iter()
            .filter(|person| !person.deleted)
            .count();
        if live as i64 != rows {
            return Err(differs("as many contacts live as rows"));
        }
        Ok(())
    }

    fn in_crm(&self, id: i32, change: impl FnOnce(&mut Person)) -> Result<()> {
        if self.crm.edit(id, change) {
            Ok(())
        } else {
            Err(differs("the contact to be edited is there"))
        }
    }

    /// The contact that stands for a row, by the column that the shipped mapping fills with its id.
    fn contact_of(&self, row: i64) -> Result<i32> {
        self.ask(&format!("SELECT crm_id FROM customers WHERE id = {row}"))
    }

    fn connection(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(self.directory.join("customers.db"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    }

    fn sql(&self, statement: &str) -> Result<()> {
        let changed = self
            .connection()
            .and_then(|connection| connection.execute(statement, []))
            .map_err(database)?;
        if changed == 1 {
            Ok(())
        } else {
            Err(differs("the row to be edited is there"))
        }
    }

    fn ask<T: rusqlite::types::FromSql>(&self, query: &str) -> Result<T> {
        let found = self
            .connection()
            .and_then(|connection| connection.query_row(query, [], |row| row.get(0)).optional())
            .map_err(database)?;
        found.ok_or_else(|| differs("the row that is looked for is there"))
    }

    fn expect(&self, what: &str, query: &str, value: &str) -> Result<()> {
        let found: String = self.ask(&format!("SELECT CAST(({query}) AS TEXT)"))?;
        if found == value {
            Ok(())
        } else {
            Err(differs(what))
        }
    }
}

fn differs(what: &str) -> Error {
    Error::unexpected(
        "E-DEMO",
        format!("The demo expected that {what}, and it is not so"),
    )
}

fn database(error: rusqlite::Error) -> Error {
    Error::unexpected("E-DEMO", "The demo's database can't be used").caused_by(error)
}
