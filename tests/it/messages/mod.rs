//! Data Sync bridges: the real binary applies what was taken over and sends what changed. The oracle compares rows with what
//! the test itself put into the messages.
//!
//! - `take`: messages become rows; junk, repetitions, orders, deletions, kills
//! - `tell`: rows become messages; failures, deletions, identities, kills
//! - `both`: two instances that send to each other
//! - `stay`: the same through `contactbridge run`, posted to and posting over HTTP
//!
//! Messages are handed over by the same keeper that `run` uses, so that each `sync` finds just what a test wants it to find.

pub mod both;
mod stay;
pub mod take;
pub mod tell;
mod third;

use std::fs;
use std::path::PathBuf;

use contactbridge::cli::RealWorld;
use contactbridge::model::{Vault, World};
use contactbridge::remote::data_sync::{EnvelopeLimits, Message, Payload, read_envelope};
use contactbridge::state::{self, StateKey, StateLimits, StateLocation};
use contactbridge::sync::Keeper;
use serde_json::json;

use crate::support::{Binary, Fresh, Ran, files, store};

/// A project with one bridge, `shop`, from the mappings that `init` writes.
pub struct Shop {
    directory: tempfile::TempDir,
    pub binary: Binary,
    /// Its database, where that is not a SQLite file.
    fresh: Option<Fresh>,
}

pub const RECEIVE: &str =
    "      receive:\n        listen: 127.0.0.1:0\n        clients: { orce: secret }\n";

impl Shop {
    /// `remote`: the lines below `kind:`; `bridge`: further lines of the bridge.
    pub fn new(remote: &str, bridge: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let binary = Binary::at(directory.path())
            .with("ORCE_CLIENT_SECRET", "s")
            .with("SEND_SECRET", "s");
        binary.line("init --kind data-sync").exits(0);
        let fresh = store::fresh();
        let database = store::url(fresh.as_ref());
        let config = format!(
            "state: state\nbridges:\n  shop:\n    remote:\n      kind: data-sync\n{remote}    database: \"{database}\"\n    mapping: \
             {{ customer: mappings/orce-customer.yaml, transaction: mappings/orce-transaction.yaml }}\n{bridge}    limits:\n      free_disk: 0\n"
        );
        fs::write(directory.path().join("bridge.yaml"), config).expect("a file");
        Self {
            directory,
            binary,
            fresh,
        }
    }

    fn receiving() -> Self {
        Self::new(RECEIVE, "")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn line(&self, line: &str) -> Ran {
        self.binary.line(line)
    }

    /// One `sync --format json`, which must end with this code; its report of the bridge.
    #[track_caller]
    fn sync(&self, code: i32) -> serde_json::Value {
        self.line("sync --format json").exits(code).json()["bridges"][0].clone()
    }

    #[track_caller]
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        files::edit(&self.path(file), old, new);
    }

    /// Takes messages over, as the receiver of `run` does.
    pub fn take(&self, messages: &[Message]) {
        let location = StateLocation::Sled(self.path("state"));
        let world = RealWorld::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let key = StateKey::find(&location, None, false, &mut |bytes| world.random(bytes))
                .expect("a key");
            let vault: Vault = key.vault();
            let limits = StateLimits {
                free_bytes_min: 0,
                ..StateLimits::default()
            };
            let (store, _) =
                state::open(&location, "shop", vault.fingerprint(), &limits, world.now())
                    .await
                    .expect("the store");
            let keeper = Keeper::open(&store).await.expect("an inbox");
            keeper
                .keep(&store, &vault, &world, messages)
                .await
                .expect("kept");
            store.close().expect("closed");
        });
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("customers.db")).expect("the database")
    }

    #[track_caller]
    fn sql(&self, statement: &str) {
        match &self.fresh {
            Some(fresh) => fresh.run(statement),
            None => self.database().execute_batch(statement).expect(statement),
        }
    }

    /// The rows of a query, each cell as text; NULL is empty.
    #[track_caller]
    fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match &self.fresh {
            Some(fresh) => store::rows(fresh, query, ""),
            None => files::rows(&self.database(), query, ""),
        }
    }

    #[track_caller]
    fn cell(&self, query: &str) -> String {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows[0][0].clone()
    }

    /// Customer number and last name of every living row.
    fn names(&self) -> Vec<(String, String)> {
        self.rows("SELECT customer_no, last_name FROM customers WHERE deleted_at IS NULL ORDER BY customer_no")
            .into_iter()
            .map(|mut row| {
                let name = row.remove(1);
                (row.remove(0), name)
            })
            .collect()
    }
}

/// A message as a sender of the vendor's makes it.
fn message(action: &str, unique_id: u64, payload: impl Into<String>) -> Message {
    let kind = if action == "POSTRNCRE" {
        "POSTRN"
    } else {
        "CUSTOMER"
    };
    Message {
        kind: kind.into(),
        action: action.into(),
        unique_id: unique_id.to_string(),
        payload: Payload::Text(payload.into()),
    }
}

/// A customer's payload, in the vendor's shape.
fn customer(id: &str, last: &str) -> serde_json::Value {
    json!({
        "customerID": id, "customerClass": "GOLD", "prospect": false,
        "entityInformation": {"individual": {
            "name": {"name": [{"location": "FIRST", "value": "Maren"}, {"location": "MIDDLE", "value": null}, {"location": "LAST", "value": last}]},
            "contactInformation": {
                "address": [{"addressLine1": "12 Sample Way", "city": "Exampleton", "typeCode": "HOME", "primaryFlag": "true", "sequenceNumber": "1"}],
                "telephone": [], "email": [{"emailAddress": format!("c{id}@example.org"), "typeCode": "HOME", "primaryFlag": "true", "sequenceNumber": "1"}]},
        }},
    })
}

fn created(unique_id: u64, id: &str, last: &str) -> Message {
    message("CUSTOMERCRE", unique_id, customer(id, last).to_string())
}

fn changed(unique_id: u64, id: &str, last: &str) -> Message {
    message("CUSTOMERMOD", unique_id, customer(id, last).to_string())
}

fn deleted(unique_id: u64, id: &str) -> Message {
    message("CUSTOMERDEL", unique_id, id)
}

/// The messages of a body of `tests/data/data_sync`.
fn seed(body: &str) -> Vec<Message> {
    let limits = EnvelopeLimits {
        max_messages: 100,
        json_depth: 64,
    };
    read_envelope(body.as_bytes(), &limits).expect("an envelope")
}
