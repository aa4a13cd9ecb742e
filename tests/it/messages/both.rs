//! Bridges that receive and send: no echo, merges, conflicts, and two of them that end up the same.

use serde_json::Value;

use super::third::{Posted, Third};
use super::*;

struct Peer {
    shop: Shop,
    third: Third,
}

impl std::ops::Deref for Peer {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl Peer {
    fn new(bridge: &str) -> Self {
        let third = Third::start();
        let shop = Shop::new(&format!("{RECEIVE}{}", third.settings()), bridge);
        Self { shop, third }
    }

    fn told(&self) -> Vec<Posted> {
        self.third.posted()
    }
}

fn as_message(posted: &Posted) -> Message {
    Message {
        kind: posted.kind.clone(),
        action: posted.action.clone(),
        unique_id: posted.unique_id.clone(),
        payload: Payload::Text(posted.payload.clone()),
    }
}

#[test]
pub fn what_was_received_is_not_sent_back() {
    let shop = Peer::new("");
    shop.take(&[created(1, "7", "Quill"), created(2, "8", "Teal")]);
    shop.take(&seed(include_str!(
        "../../data/data_sync/transaction_cre.json"
    )));
    shop.sync(0);
    assert_eq!(shop.told(), []);
    shop.take(&[changed(3, "7", "Reed"), deleted(4, "8")]);
    shop.sync(0);
    shop.sync(0);
    assert_eq!(shop.told(), []);
}

#[test]
pub fn edits_of_both_sides_meet_in_one_record() {
    let shop = Peer::new("");
    shop.take(&[created(1, "7", "Quill")]);
    shop.sync(0);
    shop.sql("UPDATE customers SET nick_name = 'Q'");
    let mut payload = customer("7", "Reed");
    payload["entityInformation"]["individual"]["nickName"] = Value::Null;
    shop.take(&[message("CUSTOMERMOD", 2, payload.to_string())]);
    let report = shop.sync(0);
    assert_eq!(
        (&report["pull"]["updated"], &report["push"]["updated"]),
        (&1.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(
        shop.rows("SELECT last_name, nick_name FROM customers"),
        [["Reed", "Q"]]
    );
    let told = shop.told();
    assert_eq!(told.len(), 1);
    let payload: Value = serde_json::from_str(&told[0].payload).expect("JSON");
    let individual = &payload["entityInformation"]["individual"];
    assert_eq!(individual["nickName"], "Q");
    assert!(
        told[0].payload.contains("\"value\":\"Reed\""),
        "{payload:#}"
    );
    shop.sync(0);
    assert_eq!(shop.told(), []);
}

#[test]
pub fn a_conflict_waits_for_a_person_and_is_sent_only_then() {
    for (side, name) in [("local", "Sedge"), ("remote", "Reed")] {
        let shop = Peer::new("");
        shop.take(&[created(1, "7", "Quill")]);
        shop.sync(0);
        shop.sql("UPDATE customers SET last_name = 'Sedge'");
        shop.take(&[changed(2, "7", "Reed")]);
        let report = shop.sync(3);
        assert_eq!(report["review"], 1, "{report:#}");
        shop.sync(3);
        assert_eq!(shop.told(), []);
        assert_eq!(shop.cell("SELECT last_name FROM customers"), "Sedge");
        let list = shop.line("review list --format json").exits(0).json();
        let id = list[0]["id"].as_str().expect("an id").to_owned();
        shop.line(&format!("review resolve {id} --take {side}"))
            .exits(0);
        let report = shop.sync(0);
        assert_eq!(report["review"], 0, "{report:#}");
        assert_eq!(shop.cell("SELECT last_name FROM customers"), name);
        let told = shop.told();
        assert_eq!(told.len(), usize::from(side == "local"), "{side}");
        shop.sync(0);
        assert_eq!(shop.told(), []);
    }
}

#[test]
pub fn policies_settle_conflicts_and_keep_the_losing_value() {
    for (policy, name, sent) in [("local", "Sedge", 1), ("remote", "Reed", 0)] {
        let shop = Peer::new(&format!("    conflicts: {policy}\n"));
        shop.take(&[created(1, "7", "Quill")]);
        shop.sync(0);
        shop.sql("UPDATE customers SET last_name = 'Sedge'");
        shop.take(&[changed(2, "7", "Reed")]);
        let report = shop.sync(0);
        assert_eq!(report["conflicts"], 1, "{report:#}");
        assert_eq!(shop.cell("SELECT last_name FROM customers"), name);
        assert_eq!(shop.told().len(), sent);
        let settled = shop
            .line("review list --settled --format json")
            .exits(0)
            .json();
        assert!(!settled.as_array().expect("a list").is_empty(), "{policy}");
    }
}

#[test]
pub fn an_edit_wins_against_a_deletion_on_either_side() {
    let shop = Peer::new("");
    shop.take(&[created(1, "7", "Quill"), created(2, "8", "Teal")]);
    shop.sync(0);
    shop.sql("UPDATE customers SET nick_name = 'Q' WHERE customer_no = '7'; DELETE FROM customer_addresses; DELETE FROM customer_emails; DELETE FROM customers WHERE customer_no = '8'");
    shop.take(&[deleted(3, "7"), changed(4, "8", "Tealby")]);
    shop.sync(0);
    assert_eq!(
        shop.names(),
        [("7".into(), "Quill".into()), ("8".into(), "Tealby".into())]
    );
    let told = shop.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].payload.contains("\"nickName\":\"Q\""));
    shop.sync(0);
    assert_eq!(shop.told(), []);
}

/// Hands what each has told to the other until both are silent.
fn exchange(one: &Peer, other: &Peer) -> usize {
    for round in 1..10 {
        let mut moved = 0;
        for (from, to) in [(one, other), (other, one)] {
            from.sync(0);
            let told: Vec<Message> = from.told().iter().map(as_message).collect();
            moved += told.len();
            if !told.is_empty() {
                to.take(&told);
            }
        }
        if moved == 0 {
            return round;
        }
    }
    panic!("they don't come to an end");
}

#[test]
pub fn two_instances_that_send_to_each_other_end_up_the_same() {
    let (one, other) = (
        Peer::new("    conflicts: remote\n"),
        Peer::new("    conflicts: local\n"),
    );
    one.sync(0);
    other.sync(0);
    let person = |n: u32, name: &str| {
        format!(
            "INSERT INTO customers (customer_no, last_name, is_prospect) VALUES ('{n}', '{name}', '1');"
        )
    };
    for n in 1..=20 {
        one.sql(&person(n, "Quill"));
    }
    for n in 21..=30 {
        other.sql(&person(n, "Teal"));
    }
    exchange(&one, &other);
    let rows = |peer: &Peer| {
        peer.rows("SELECT customer_no, last_name, nick_name, is_prospect FROM customers WHERE deleted_at IS NULL ORDER BY 1")
    };
    assert_eq!(rows(&one).len(), 30);
    assert_eq!(rows(&one), rows(&other));

    one.sql("UPDATE customers SET nick_name = 'A' WHERE customer_no IN ('1', '25'); DELETE FROM customers WHERE customer_no = '2'");
    other.sql("UPDATE customers SET last_name = 'Sedge' WHERE customer_no IN ('1', '3'); UPDATE customers SET deleted_at = '2026-01-01' WHERE customer_no = '22'");
    // Both change the same field: here one gives way and the other does not.
    one.sql("UPDATE customers SET last_name = 'Reed' WHERE customer_no = '3'");
    exchange(&one, &other);
    assert_eq!(rows(&one), rows(&other));
    assert_eq!(rows(&one).len(), 28);
    assert_eq!(
        one.rows("SELECT last_name, nick_name FROM customers WHERE customer_no IN ('1', '3') ORDER BY customer_no"),
        [["Sedge", "A"], ["Sedge", ""]]
    );
}
