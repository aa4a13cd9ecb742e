//! A bridge of Data Sync: messages become rows, and rows are told as messages.

use std::fs;
use std::path::Path;

use contactbridge::remote::data_sync::{Message, Payload};
use contactbridge::simulator::data_sync::{ThirdOptions, ThirdParty};
use serde_json::Value;

use super::database::Database;
use super::stage::{self, Stage, sync};
use super::story::{Files, Orders};
use crate::messages::{RECEIVE, Shop};
use crate::support::Binary;

pub struct DataSync {
    shop: Shop,
    database: Database,
    third: ThirdParty,
}

impl DataSync {
    pub fn new(orders: &Orders, customers: &str, transactions: Option<&str>) -> Self {
        let third = ThirdParty::start(ThirdOptions {
            client_id: "bridge".into(),
            client_secret: "s".into(),
            ..ThirdOptions::default()
        })
        .expect("an application on loopback");
        let lines = |indent: &str, word: &str| -> String {
            let line = |line: &str| format!("{indent}{line}\n");
            orders.all(word).map(line).collect()
        };
        let remote = format!(
            "{RECEIVE}{}      send:\n        api_url: {}\n        token_url: {}\n        client_id: bridge\n        \
             client_secret: ${{SEND_SECRET}}\n",
            lines("        ", "remote"),
            third.api_url(),
            third.token_url()
        );
        let shop = Shop::new(&remote, &lines("    ", "bridge"));
        let limits = "      free_disk: 0\n";
        let more = format!("{limits}{}", lines("      ", "limit"));
        shop.edit("bridge.yaml", limits, &more);
        fs::write(shop.path("mappings/orce-customer.yaml"), customers).expect("a mapping");
        match transactions {
            Some(mapping) => {
                fs::write(shop.path("mappings/orce-transaction.yaml"), mapping).expect("a mapping");
            }
            None => shop.edit(
                "bridge.yaml",
                ", transaction: mappings/orce-transaction.yaml",
                "",
            ),
        }
        let database = Database::at(shop.path("customers.db"));
        Self {
            shop,
            database,
            third,
        }
    }

    /// Takes over what stands in this file.
    fn take(&self, path: &Path) {
        let messages: Vec<Message> = lines(path).iter().map(|line| message(line)).collect();
        if !messages.is_empty() {
            self.shop.take(&messages);
        }
    }

    /// What was told since the last run began.
    fn told(&self) -> Vec<(String, Value)> {
        let accepted = self.third.accepted().into_iter();
        accepted
            .map(|one| (one.message.action, payload(&one.message.payload)))
            .collect()
    }
}

impl Stage for DataSync {
    fn binary(&self) -> &Binary {
        &self.shop.binary
    }

    fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    /// What was received at first has become rows.
    fn agree(&mut self, folder: &Path) {
        self.take(&folder.join("agreed.txt"));
        sync(&self.shop.binary, "", 0);
        self.database.name_all_by("customer_no");
        self.quiet(0);
    }

    fn switch(&mut self, text: &str) -> Result<(), String> {
        self.third.switch(text)
    }

    fn calm(&mut self) {
        self.third.clear_rules();
    }

    fn act(&mut self, folder: &Path) {
        self.take(&folder.join("messages.txt"));
    }

    fn ready(&mut self, _orders: &Orders) {
        self.third.clear_log();
    }

    fn check(&mut self, orders: &Orders, files: &Files, title: &str) {
        let told = lines(&files.folder("after").join("told.txt"));
        let wanted: Vec<(String, Value)> = told
            .iter()
            .map(|line| {
                let (action, rest) = line.split_once(' ').expect("an action and a payload");
                (action.to_owned(), payload(rest.trim()))
            })
            .collect();
        assert_eq!(self.told(), wanted, "{title}: told");
        assert_eq!(self.third.defects(), [], "{title}");
        let status = self.shop.line("status --format json").exits(0).json();
        for count in ["queue", "unsent"] {
            let wanted: u64 = orders.number(count).unwrap_or(0);
            assert_eq!(status[0][count], wanted, "{title}: {count} in {status:#}");
        }
    }

    fn quiet(&mut self, code: i32) {
        self.third.clear_log();
        stage::quiet(&self.shop.binary, &self.database, code);
        assert_eq!(self.told(), []);
    }
}

/// The lines of a file that are not empty; none where there is no file.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

/// A payload that is no JSON is a text.
fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// `ACTION NUMBER PAYLOAD`
fn message(line: &str) -> Message {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{line}")).to_owned();
    let (action, unique_id, payload) = (word(), word(), word());
    let kind = if action.starts_with("POSTRN") {
        "POSTRN"
    } else {
        "CUSTOMER"
    };
    Message {
        kind: kind.into(),
        action,
        unique_id,
        payload: Payload::Text(payload),
    }
}
