//! The two-way demo: a ContactList and a database, edited on both sides.

use super::{Scene, differs};
use crate::model::Result;
use crate::simulator::contactlist::{ContactListSimulator, Deletion, Options, Person, Profile};
use crate::sync::{Decision, Side, resolve_review, reviews};

/// Enough people for three pages, few enough to look at.
const PEOPLE: u32 = 250;

/// The CRM of this demo.
pub(super) fn start() -> Result<ContactListSimulator> {
    ContactListSimulator::start(Options {
        people: PEOPLE,
        profile: Profile::Plain,
        ..Options::default()
    })
}

/// What the demo begins with, in words.
pub(super) fn introduction(crm: &ContactListSimulator) -> String {
    format!("A CRM with {PEOPLE} people listens on {}", crm.url())
}

/// The `remote:` of the project, and the secrets that it names.
pub(super) fn remote(crm: &ContactListSimulator) -> (String, [(&'static str, String); 2]) {
    let options = crm.options();
    let remote = format!(
        "kind: contactlist\n      endpoint: {}\n      site_id: {}\n      username: ${{CRM_USERNAME}}\n      password: ${{CRM_PASSWORD}}\n      time_zone: {}",
        crm.url(),
        options.site_id,
        options.zone
    );
    let secrets = [
        ("CRM_USERNAME", options.username.clone()),
        ("CRM_PASSWORD", options.password.clone()),
    ];
    (remote, secrets)
}

impl Scene<'_, ContactListSimulator> {
    pub(super) async fn play(&mut self) -> Result<()> {
        self.pass(
            "First load",
            vec!["The database is empty, so everybody is pulled.".into()],
        )
        .await?;
        self.expect(
            "every contact has a row",
            "SELECT count(*) FROM customers",
            &PEOPLE.to_string(),
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
                "contactbridge review list   shows {}:{id}, which is about {}",
                super::BRIDGE,
                review.fields.join(", ")
            ),
            format!(
                "contactbridge review resolve {}:{id} --take remote",
                super::BRIDGE
            ),
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
}
