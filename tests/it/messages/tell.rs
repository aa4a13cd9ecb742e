//! What changed in rows becomes messages, each sent until it is answered with exactly 200.

use serde_json::Value;

use super::third::{Posted, Third};
use super::*;

struct Teller {
    shop: Shop,
    third: Third,
}

impl std::ops::Deref for Teller {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl Teller {
    fn new(bridge: &str) -> Self {
        let third = Third::start();
        let shop = Shop::new(&third.settings(), bridge);
        Self { shop, third }
    }

    /// Rows of customers with these numbers.
    fn people(&self, numbers: std::ops::RangeInclusive<u32>) {
        let rows: Vec<String> = numbers
            .map(|number| format!("('{number}', 'Quill', '0')"))
            .collect();
        self.sql(&format!(
            "INSERT INTO customers (customer_no, last_name, is_prospect) VALUES {}",
            rows.join(", ")
        ));
    }

    /// What was posted since the last call, as action and customer.
    fn told(&self) -> Vec<(String, String)> {
        self.third
            .posted()
            .iter()
            .map(|posted| (posted.action.clone(), subject(posted)))
            .collect()
    }
}

fn subject(posted: &Posted) -> String {
    match serde_json::from_str::<Value>(&posted.payload) {
        Ok(Value::Object(payload)) => ["customerID", "retailTransactionId"]
            .iter()
            .find_map(|name| payload.get(*name))
            .and_then(Value::as_str)
            .expect("an id")
            .to_owned(),
        _ => posted.payload.clone(),
    }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(action, id)| ((*action).to_owned(), (*id).to_owned()))
        .collect()
}

#[test]
pub fn rows_are_told_once_and_again_only_when_they_change() {
    let shop = Teller::new("");
    assert_eq!(shop.sync(0)["push"]["read"], 0);
    shop.people(1..=2);
    let report = shop.sync(0);
    assert_eq!(
        (&report["push"]["created"], &report["requests"]),
        (&2.into(), &2.into()),
        "{report:#}"
    );
    assert_eq!(
        shop.told(),
        pairs(&[("CUSTOMERCRE", "1"), ("CUSTOMERCRE", "2")])
    );
    let report = shop.sync(0);
    assert_eq!(
        (&report["push"]["unchanged"], &report["requests"]),
        (&2.into(), &0.into()),
        "{report:#}"
    );

    shop.sql("UPDATE customers SET last_name = 'Reed' WHERE customer_no = '2'");
    assert_eq!(shop.sync(0)["push"]["updated"], 1);
    let posted = shop.third.posted();
    assert_eq!(posted.len(), 1);
    assert_eq!(
        (posted[0].action.as_str(), posted[0].kind.as_str()),
        ("CUSTOMERMOD", "CUSTOMER")
    );
    let payload: Value = serde_json::from_str(&posted[0].payload).expect("JSON");
    let names = &payload["entityInformation"]["individual"]["name"]["name"];
    assert!(
        names
            .as_array()
            .expect("names")
            .iter()
            .any(|name| name["location"] == "LAST" && name["value"] == "Reed"),
        "{payload:#}"
    );
    assert_eq!(payload["prospect"], false);
    assert_eq!(shop.third.tokens(), 2, "one a run that sends");
}

#[test]
pub fn the_first_answer_that_is_not_200_ends_the_run_and_keeps_its_place() {
    for status in [201, 204, 302, 401, 500, 0] {
        let shop = Teller::new("");
        shop.sync(0);
        shop.people(1..=30);
        // A 401 is asked for twice: once with a new token.
        let answers: &[u16] = if status == 401 {
            &[200, 200, 200, 401, 401]
        } else {
            &[200, 200, 200, status]
        };
        shop.third.answers(answers);
        let report = shop.sync(5);
        assert_eq!(report["outcome"], "failed", "{report:#}");
        let first = shop.third.posted();
        assert_eq!(first.len(), answers.len(), "{status}");
        shop.sync(0);
        let second = shop.third.posted();
        assert_eq!(second[0].unique_id, first[3].unique_id, "{status}");
        assert_eq!(second[0].payload, first[3].payload);
        assert_eq!(second.len(), 27, "{status}");
        let good: Vec<u64> = first
            .iter()
            .chain(&second)
            .filter(|posted| posted.status == 200)
            .map(|posted| posted.unique_id.parse().expect("a number"))
            .collect();
        assert_eq!(good.len(), 30);
        assert!(good.is_sorted_by(|one, other| one < other), "{good:?}");
    }
}

#[test]
pub fn a_deletion_withdraws_what_was_not_sent_and_is_told() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.people(1..=15);
    shop.third.answers(&[200, 500]);
    shop.sync(5);
    shop.told();
    // The second is in progress and was answered with 500; the fifteenth is still pending.
    shop.sql("DELETE FROM customers WHERE customer_no IN ('2', '15')");
    assert_eq!(shop.sync(0)["push"]["deleted"], 2);
    let told = shop.told();
    assert_eq!(told[0], ("CUSTOMERCRE".into(), "3".into()));
    assert_eq!(
        told[told.len() - 2..],
        pairs(&[("CUSTOMERDEL", "2"), ("CUSTOMERDEL", "15")])
    );
    assert_eq!(told.len(), 14);
}

#[test]
pub fn marked_rows_are_deletions_too_and_come_back_as_new_ones() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.people(1..=3);
    shop.sync(0);
    shop.told();
    shop.sql("UPDATE customers SET deleted_at = '2026-01-01 00:00:00' WHERE customer_no = '2'");
    shop.sync(0);
    assert_eq!(shop.told(), pairs(&[("CUSTOMERDEL", "2")]));
    shop.sql("UPDATE customers SET deleted_at = NULL WHERE customer_no = '2'");
    shop.sync(0);
    assert_eq!(shop.told(), pairs(&[("CUSTOMERCRE", "2")]));
}

#[test]
pub fn a_row_without_an_identity_is_held_and_one_that_changes_it_is_told_as_another() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.sql("INSERT INTO customers (last_name) VALUES ('Quill'); INSERT INTO customers (customer_no, last_name) VALUES ('1', 'Reed'), ('1', 'Teal')");
    let report = shop.sync(3);
    assert_eq!(
        (
            &report["push"]["created"],
            &report["push"]["held"],
            &report["quarantined"]
        ),
        (&1.into(), &2.into(), &2.into()),
        "{report:#}"
    );
    shop.told();
    shop.sql("UPDATE customers SET customer_no = '3' WHERE last_name = 'Quill'; UPDATE customers SET customer_no = '9' WHERE last_name = 'Reed'");
    // Once nobody else has the number, the third row is told as well.
    assert_eq!(shop.sync(3)["quarantined"], 1);
    assert_eq!(shop.sync(0)["quarantined"], 0);
    let mut told = shop.told();
    told.sort();
    assert_eq!(
        told,
        pairs(&[
            ("CUSTOMERCRE", "1"),
            ("CUSTOMERCRE", "3"),
            ("CUSTOMERCRE", "9"),
            ("CUSTOMERDEL", "1"),
        ])
    );
}

#[test]
pub fn a_transaction_is_told_with_its_lines_and_a_changed_line_tells_it_again() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.sql(
        "INSERT INTO transactions (transaction_no, customer_no, total) VALUES ('T1', '7', '12.50');
         INSERT INTO transaction_lines (transaction_id, line, kind) SELECT id, 10, 'Tender' FROM transactions;
         INSERT INTO transaction_lines (transaction_id, line, kind) SELECT id, 9, 'Sale' FROM transactions",
    );
    shop.sync(0);
    let posted = shop.third.posted();
    assert_eq!(
        (
            posted.len(),
            posted[0].action.as_str(),
            posted[0].kind.as_str()
        ),
        (1, "POSTRNCRE", "POSTRN")
    );
    assert!(
        posted[0].payload.contains("\"total\":12.50")
            || posted[0].payload.contains("\"total\":12.5,"),
        "{}",
        posted[0].payload
    );
    let lines = |posted: &Posted| {
        let payload: Value = serde_json::from_str(&posted.payload).expect("JSON");
        let lines = payload["lineItems"].as_array().expect("lines").clone();
        let of = |line: &Value| {
            (
                line["lineItemSequence"].as_i64(),
                line["lineItemTypeCode"].to_string(),
            )
        };
        lines.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&posted[0]),
        [
            (Some(9), "\"Sale\"".to_owned()),
            (Some(10), "\"Tender\"".to_owned())
        ]
    );
    assert_eq!(shop.sync(0)["requests"], 0);
    shop.sql("UPDATE transaction_lines SET kind = 'Tax' WHERE line = 10");
    assert_eq!(shop.sync(0)["push"]["updated"], 1);
    assert_eq!(lines(&shop.third.posted()[0])[1].1, "\"Tax\"");
    // There is no message that deletes one.
    shop.sql("DELETE FROM transaction_lines; DELETE FROM transactions");
    let report = shop.sync(0);
    assert_eq!(
        (&report["requests"], &report["push"]["deleted"]),
        (&0.into(), &0.into()),
        "{report:#}"
    );
}

#[test]
pub fn nothing_is_queued_while_the_bridge_is_not_enabled() {
    let shop = Teller::new("    enabled: false\n");
    shop.line("sync").exits(0);
    shop.line("sync shop").exits(0);
    assert!(!shop.path("customers.db").exists());
    shop.edit("bridge.yaml", "    enabled: false\n", "");
    shop.sync(0);
    shop.people(1..=2);
    shop.sync(0);
    shop.told();
    shop.edit(
        "bridge.yaml",
        "    limits:",
        "    enabled: false\n    limits:",
    );
    shop.sql("UPDATE customers SET last_name = 'Reed'; UPDATE customers SET last_name = 'Quill' WHERE customer_no = '2'");
    shop.line("sync shop").exits(0);
    assert_eq!(shop.told(), []);
    shop.edit("bridge.yaml", "    enabled: false\n", "");
    // What differs is told, and nothing else.
    shop.sync(0);
    assert_eq!(shop.told(), pairs(&[("CUSTOMERMOD", "1")]));
}

#[test]
pub fn deletions_beyond_the_limit_are_not_queued() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.people(1..=60);
    shop.sync(0);
    shop.told();
    shop.sql("DELETE FROM customers WHERE CAST(customer_no AS INTEGER) <= 30");
    assert_eq!(shop.sync(4)["guard"], "deletes");
    assert_eq!(shop.told(), []);
    shop.line("sync --accept deletes").exits(0);
    assert_eq!(shop.told().len(), 30);
}

#[test]
pub fn a_lost_state_tells_everything_anew_and_with_rising_numbers() {
    let shop = Teller::new("");
    shop.sync(0);
    shop.people(1..=3);
    shop.sync(0);
    let before = shop.third.posted();
    fs::remove_dir_all(shop.path("state")).expect("it is there");
    shop.line("sync").exits(7);
    shop.line("reseed shop --relink").exits(0);
    assert_eq!(shop.told(), []);
    shop.sync(0);
    let after = shop.third.posted();
    assert_eq!(after.len(), 3);
    assert!(after.iter().all(|posted| posted.action == "CUSTOMERMOD"));
    let number = |posted: &Posted| posted.unique_id.parse::<u64>().expect("a number");
    assert!(number(&before[2]) < number(&after[0]));
}

#[test]
pub fn killed_anywhere_nothing_is_lost_and_only_the_message_in_flight_comes_twice() {
    let points = [
        "C0",
        "M.before",
        "M.reserved",
        "M.queued",
        "C9.state",
        "C9.database",
        "M.progress",
        "M.post",
        "M.posted",
        "M.sent",
        "M.unlinked",
    ];
    for point in points {
        let shop = Teller::new("");
        shop.sync(0);
        shop.people(1..=12);
        shop.sync(0);
        shop.told();
        shop.sql("DELETE FROM customers WHERE customer_no = '3'; UPDATE customers SET last_name = 'Reed' WHERE customer_no = '4'");
        shop.people(13..=14);
        let crash = format!("{point}:1");
        let ran = Binary::at(shop.directory.path())
            .with("SEND_SECRET", "s")
            .with("CONTACTBRIDGE_CRASH_AT", &crash)
            .line("sync");
        assert_ne!(ran.code, Some(0), "{point} was not visited");
        shop.sync(0);
        let mut told = shop.told();
        let sent = told.len();
        told.dedup();
        assert!(sent - told.len() <= 1, "{point}: {told:?}");
        told.sort();
        assert_eq!(
            told,
            pairs(&[
                ("CUSTOMERCRE", "13"),
                ("CUSTOMERCRE", "14"),
                ("CUSTOMERDEL", "3"),
                ("CUSTOMERMOD", "4")
            ]),
            "{point}"
        );
    }
}
