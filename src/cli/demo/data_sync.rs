//! The demo of Data Sync: a retail system that posts to the bridge, tables that follow it, and an application that is told of edits.
//!
//! What `run` does all the time is done here step by step: the receiver takes messages while the store is open, then one pass.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::super::reception::{Mailbox, Reception};
use super::{Scene, differs};
use crate::model::{Error, Result, Signal};
use crate::service::control::Order;
use crate::simulator::data_sync::{
    JobReport, Profile, RetailOptions, RetailSystem, Survivor, Target, ThirdOptions, ThirdParty,
};

/// Enough customers for several batches, few enough to look at.
const CUSTOMERS: u64 = 250;

/// How the retail system's client is called here, and its secret, made up for this demo.
const CLIENT: &str = "orce";
const SECRET: &str = "made-up";

/// Both ends.
pub(super) struct Ends {
    orce: RetailSystem,
    application: ThirdParty,
}

/// The bridge's endpoint.
pub(super) struct Endpoint {
    mailbox: Mailbox,
    stop: watch::Sender<Option<Signal>>,
    serving: tokio::task::JoinHandle<()>,
    /// Passes that the receiver asks for; the demo makes its own.
    _orders: mpsc::UnboundedReceiver<Order>,
}

/// Both ends of this demo.
pub(super) fn start() -> Result<Ends> {
    Ok(Ends {
        orce: RetailSystem::start(RetailOptions {
            people: CUSTOMERS,
            profile: Profile::Plain,
            ..RetailOptions::default()
        })?,
        application: ThirdParty::start(ThirdOptions::default())?,
    })
}

/// What the demo begins with, in words.
pub(super) fn introduction(ends: &Ends) -> String {
    format!(
        "A retail system has {CUSTOMERS} customers to tell of; an application that wants to be told answers at {}",
        ends.application.api_url()
    )
}

/// The `remote:` of the project, and the secrets that it names.
pub(super) fn remote(ends: &Ends) -> (String, [(&'static str, String); 2]) {
    let application = &ends.application;
    let options = application.options();
    let remote = format!(
        "kind: data-sync\n      receive:\n        listen: 127.0.0.1:0\n        clients: {{ {CLIENT}: \"${{ORCE_CLIENT_SECRET}}\" }}\n      \
         send:\n        api_url: {}\n        token_url: {}\n        client_id: {}\n        client_secret: ${{SEND_SECRET}}",
        application.api_url(),
        application.token_url(),
        options.client_id
    );
    let secrets = [
        ("ORCE_CLIENT_SECRET", SECRET.to_owned()),
        ("SEND_SECRET", options.client_secret),
    ];
    (remote, secrets)
}

impl Ends {
    pub(super) fn shutdown(self) {
        self.application.shutdown();
    }
}

impl Scene<'_, Ends> {
    pub(super) async fn play(&mut self) -> Result<()> {
        let endpoint = self.listen().await?;
        let played = self.scenes(&endpoint).await;
        endpoint.stop.send_replace(Some(Signal::Terminate));
        let _ = endpoint.serving.await;
        played
    }

    async fn scenes(&mut self, endpoint: &Endpoint) -> Result<()> {
        let job = self.job(endpoint).await?;
        let done = vec![format!(
            "Its job posts {} messages, one at a time, each answered with 200 once it is safe.",
            job.posts.len()
        )];
        self.pass("Everybody is posted", done).await?;
        self.expect(
            "every customer has a row",
            "SELECT count(*) FROM customers",
            &CUSTOMERS.to_string(),
        )?;

        let (done, merged) = self.day()?;
        self.job(endpoint).await?;
        self.pass("A day in the shops", done).await?;
        self.expect_day(&merged)?;

        self.crm
            .orce
            .switch("lose-answer=#1")
            .map_err(|error| differs(&error))?;
        let ids = self.first_ids()?;
        self.crm
            .orce
            .update_customer(&ids[0], |customer| customer.note("Called twice?"));
        if self.job(endpoint).await?.is_success() || !self.job(endpoint).await?.is_success() {
            return Err(differs("the job fails once, and then succeeds"));
        }
        let done = vec![
            "The answer to a message is lost, so the retail system's next job posts it again."
                .to_owned(),
            "The repetition is known by its content and changes nothing.".to_owned(),
        ];
        let report = self.pass("A message that comes twice", done).await?;
        if report.pull.read != 1 {
            return Err(differs("a message that came twice counts once"));
        }
        self.expect(
            "the note stands once",
            "SELECT count(*) FROM customer_notes",
            "1",
        )?;

        self.sql("UPDATE customers SET last_name = 'Changed-here' WHERE id = 5")?;
        self.sql("INSERT INTO customers (customer_no, first_name, last_name) VALUES ('DEMO-1', 'New', 'Row')")?;
        let done = vec![
            "Row 5 gets another last name and row DEMO-1 is new: the application is told, in the retail system's own format.".to_owned(),
        ];
        self.pass("Edits in the database", done).await?;
        self.expect_told()?;

        let report = self
            .pass("A quiet run", vec!["Nobody has changed anything.".into()])
            .await?;
        let push = report.push;
        if report.pull.read + push.created + push.updated + push.deleted + report.requests > 0 {
            return Err(differs("a quiet run takes, queues and sends nothing"));
        }
        Ok(())
    }

    /// Begins to listen, and tells the retail system where.
    async fn listen(&self) -> Result<Endpoint> {
        let bridge = self.bridge()?;
        let reception = Reception::bind(bridge.settings, &bridge.vault, &self.world)
            .await?
            .ok_or_else(|| differs("the bridge receives"))?;
        let base = format!("http://{}", reception.address);
        self.crm.orce.set_target(Target {
            api_url: format!("{base}/datasync"),
            token_url: format!("{base}/oauth2/token"),
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
            ca: None,
        })?;
        let (stop, stopped) = watch::channel(None);
        let (sender, orders) = mpsc::unbounded_channel();
        Ok(Endpoint {
            mailbox: reception.mailbox.clone(),
            serving: reception.serve(sender, stopped),
            stop,
            _orders: orders,
        })
    }

    /// One job of the retail system, while the store is open.
    async fn job(&self, endpoint: &Endpoint) -> Result<JobReport> {
        let (store, _) = self.bridge()?.open_store().await?;
        let store = Arc::new(store);
        endpoint.mailbox.open(&store).await?;
        let report = self.crm.orce.run_job().await;
        endpoint.mailbox.close();
        match Arc::into_inner(store) {
            Some(store) => store.close()?,
            None => return Err(differs("nobody else holds the store")),
        }
        Ok(report)
    }

    fn first_ids(&self) -> Result<[String; 4]> {
        let ids = self.crm.orce.customers().into_iter().take(4);
        let ids: Vec<String> = ids.map(|customer| customer.id().to_owned()).collect();
        ids.try_into()
            .map_err(|_| differs("four customers are there"))
    }

    fn day(&self) -> Result<(Vec<String>, [String; 4])> {
        let orce = &self.crm.orce;
        let ids = self.first_ids()?;
        let [first, second, third, fourth] = &ids;
        orce.update_customer(first, |customer| {
            customer.named("Changed", None, Some("In-the-shop"))
        });
        orce.with(|books| books.post_seeded(second));
        let merged = orce
            .merge(&[third, fourth], Survivor::New)
            .ok_or_else(|| differs("two customers can be merged"))?;
        let done = vec![
            format!("Customer {first} gets another name; customer {second} buys something."),
            format!(
                "Customers {third} and {fourth} are merged into {merged}: two deletions and a creation."
            ),
        ];
        Ok((done, [first.clone(), second.clone(), third.clone(), merged]))
    }

    fn expect_day(&self, ids: &[String; 4]) -> Result<()> {
        let [changed, buyer, gone, merged] = ids;
        let row = |id: &str, column: &str| {
            format!("SELECT {column} FROM customers WHERE customer_no = '{id}'")
        };
        self.expect(
            "the name changed",
            &row(changed, "last_name"),
            "In-the-shop",
        )?;
        self.expect(
            "the purchase has a row",
            &format!("SELECT count(*) FROM transactions WHERE customer_no = '{buyer}'"),
            "1",
        )?;
        self.expect(
            "the row of a merged customer is marked",
            &row(gone, "deleted_at IS NOT NULL"),
            "1",
        )?;
        self.expect(
            "the survivor has both e-mail addresses",
            &format!(
                "SELECT count(*) FROM customer_emails WHERE customer_id = ({})",
                row(merged, "id")
            ),
            "2",
        )
    }

    fn expect_told(&self) -> Result<()> {
        let application = &self.crm.application;
        let edited: String = self.ask("SELECT customer_no FROM customers WHERE id = 5")?;
        let mut told: Vec<String> = application.customers().into_keys().collect();
        let mut expected = vec![edited, "DEMO-1".to_owned()];
        told.sort();
        expected.sort();
        if told != expected {
            return Err(differs("the application knows of just these two customers"));
        }
        if application.defects().is_empty() {
            Ok(())
        } else {
            Err(Error::unexpected(
                "E-DEMO",
                "The application found fault with what it was sent",
            ))
        }
    }
}
