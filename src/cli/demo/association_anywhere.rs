//! The demo of a shadow database: an association that queues what changed, and tables that follow it.

use super::super::site::Site;
use super::{Scene, differs};
use crate::model::Result;
use crate::simulator::association_anywhere::{
    AssociationAnywhereSimulator, Customer, Node, Options, Profile,
};

/// Enough customers for a few requests, few enough to look at.
const CUSTOMERS: u32 = 250;

/// The service of this demo. Its queue is empty at first, as it is before anybody has asked for the one-time fill.
pub(super) fn start() -> Result<AssociationAnywhereSimulator> {
    AssociationAnywhereSimulator::start(Options {
        people: CUSTOMERS,
        profile: Profile::Plain,
        queued: false,
        ..Options::default()
    })
}

/// What the demo begins with, in words.
pub(super) fn introduction(crm: &AssociationAnywhereSimulator) -> String {
    format!(
        "An association with {CUSTOMERS} customers answers below {}",
        crm.base()
    )
}

/// The `remote:` of the project, and the secrets that it names.
pub(super) fn remote(crm: &AssociationAnywhereSimulator) -> (String, [(&'static str, String); 2]) {
    let options = crm.options();
    let remote = format!(
        "kind: association-anywhere\n      base: {}\n      username: ${{AA_VENDOR}}\n      password: ${{AA_PASSWORD}}",
        crm.base()
    );
    let secrets = [
        ("AA_VENDOR", options.username.clone()),
        ("AA_PASSWORD", options.password.clone()),
    ];
    (remote, secrets)
}

impl Scene<'_, AssociationAnywhereSimulator> {
    pub(super) async fn play(&mut self) -> Result<()> {
        if let Site::AssociationAnywhere(site, _) = &self.bridge()?.remote {
            site.force_enqueue(None).await?;
        }
        let done = vec![
            "contactbridge enqueue members --all".to_owned(),
            "Everybody is in the queue; names first, then details, then the purge.".to_owned(),
        ];
        self.pass("First fill", done).await?;
        self.expect(
            "every customer has a row",
            "SELECT count(*) FROM customers",
            &CUSTOMERS.to_string(),
        )?;
        self.expect_empty_queue()?;

        let [first, second, third] = self.three_customers()?;
        let done = self.change(&first, &second, &third)?;
        self.pass("What changed since", done).await?;
        self.expect_changes(&first, &second, &third)?;
        self.expect_empty_queue()?;

        let report = self
            .pass("A quiet run", vec!["Nobody has changed anything.".into()])
            .await?;
        if report.pull.read > 0 || report.requests != 1 {
            return Err(differs("a quiet run asks the queue, and nothing else"));
        }
        Ok(())
    }

    fn three_customers(&self) -> Result<[String; 3]> {
        let ids: Vec<String> = self.crm.ids().into_iter().take(3).collect();
        ids.try_into()
            .map_err(|_| differs("three customers are there"))
    }

    fn change(&self, first: &str, second: &str, third: &str) -> Result<Vec<String>> {
        let edited = self.crm.edit(first, |customer| {
            customer.set("addresses", 0, "city", "Newtown");
            let phone = [
                ("phoneSerno", "999001"),
                ("phoneType", "CELL"),
                ("number", "555-0199"),
            ];
            customer.add("phones", Node::record("phone", &phone));
        });
        let renamed = self
            .crm
            .edit(second, |customer| customer.name.set("lastName", "Renamed"));
        if edited.is_none() || renamed.is_none() || !self.crm.delete(third) {
            return Err(differs("the customers to be changed are there"));
        }
        self.crm
            .create(Customer::individual("0099001", "New", "Member"));
        Ok(vec![
            format!(
                "Customer {first} moves to another city and gets one more phone: only these sections are asked for."
            ),
            format!("Customer {second} gets another last name."),
            format!("Customer {third} is purged; its row is marked, as the mapping asks."),
            "Customer 0099001 is new.".to_owned(),
        ])
    }

    fn expect_changes(&self, first: &str, second: &str, third: &str) -> Result<()> {
        let row = |id: &str, column: &str| {
            format!("SELECT {column} FROM customers WHERE cust_id = '{id}'")
        };
        let parent = row(first, "id");
        self.expect(
            "the new city stands in the child table",
            &format!("SELECT count(*) FROM customer_addresses WHERE customer_id = ({parent}) AND city = 'Newtown'"),
            "1",
        )?;
        self.expect(
            "the new phone has a row of its own",
            &format!("SELECT count(*) FROM customer_phones WHERE customer_id = ({parent}) AND number = '555-0199'"),
            "1",
        )?;
        self.expect(
            "the last name changed",
            &row(second, "last_name"),
            "Renamed",
        )?;
        self.expect(
            "the row of the purged customer is marked",
            &row(third, "deleted_at IS NOT NULL"),
            "1",
        )?;
        self.expect(
            "the new customer has a row",
            &row("0099001", "last_name"),
            "Member",
        )
    }

    fn expect_empty_queue(&self) -> Result<()> {
        if self.crm.queue_len() > 0 {
            return Err(differs("the queue is empty after a pass"));
        }
        Ok(())
    }
}
