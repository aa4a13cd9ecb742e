//! What was posted becomes rows.

use serde_json::json;

use super::*;
use crate::support::store::refusing;

#[test]
pub fn the_vendors_own_examples_become_rows() {
    let shop = Shop::receiving();
    let mut messages = seed(include_str!("../../data/data_sync/sample.json"));
    messages.extend(seed(include_str!(
        "../../data/data_sync/transaction_cre.json"
    )));
    messages.extend(seed(include_str!("../../data/data_sync/customer_mod.json")));
    shop.take(&messages);
    let report = shop.sync(0);
    assert_eq!(report["pull"]["created"], 2, "{report:#}");
    assert_eq!(
        shop.rows("SELECT customer_no, first_name, last_name, may_fax, language FROM customers"),
        [["2142", "Vzxcv", "", "1", "en"]]
    );
    assert_eq!(
        shop.rows(
            "SELECT transaction_no, customer_no, begun_at, subtotal, tax, is_void FROM transactions"
        ),
        [[
            "99901000022017110710000100",
            "2147",
            "2017-11-07T07:24:22Z",
            "1325",
            "79.5",
            "0"
        ]]
    );
    assert_eq!(
        shop.rows("SELECT line, kind FROM transaction_lines ORDER BY line"),
        [["1", "Sale"], ["2", "Tender"], ["3", "Tax"]]
    );
    // Nothing more comes of it.
    let report = shop.sync(0);
    assert_eq!(report["pull"]["read"], 0, "{report:#}");
}

#[test]
pub fn h54_the_newest_message_stands_and_a_repetition_changes_nothing() {
    let shop = Shop::receiving();
    let first = created(1, "7", "Quill");
    shop.take(&[first.clone(), changed(2, "7", "Reed")]);
    shop.sync(0);
    assert_eq!(shop.names(), [("7".into(), "Reed".into())]);

    shop.take(&[first.clone(), changed(2, "7", "Reed")]);
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
    assert_eq!(shop.names(), [("7".into(), "Reed".into())]);

    // The same content under a new uniqueId is news.
    let again = message("CUSTOMERCRE", 3, customer("7", "Quill").to_string());
    shop.take(&[again]);
    assert_eq!(shop.sync(0)["pull"]["updated"], 1);
    assert_eq!(shop.names(), [("7".into(), "Quill".into())]);
}

#[test]
pub fn order_by_unique_id_passes_over_what_comes_too_late() {
    let receive = format!("{RECEIVE}        order: unique-id\n");
    let shop = Shop::new(&receive, "");
    shop.take(&[changed(10, "7", "Reed"), created(9, "7", "Quill")]);
    shop.sync(0);
    assert_eq!(shop.names(), [("7".into(), "Reed".into())]);
    shop.take(&[changed(8, "7", "Sedge"), created(100, "8", "Teal")]);
    shop.sync(0);
    assert_eq!(
        shop.names(),
        [("7".into(), "Reed".into()), ("8".into(), "Teal".into())]
    );
}

#[test]
fn transactions_that_nobody_maps_are_passed_over() {
    let shop = Shop::receiving();
    shop.edit(
        "bridge.yaml",
        ", transaction: mappings/orce-transaction.yaml",
        "",
    );
    shop.take(&seed(include_str!(
        "../../data/data_sync/transaction_cre.json"
    )));
    shop.take(&[created(1, "7", "Quill")]);
    let report = shop.sync(0);
    assert_eq!(
        (&report["pull"]["created"], &report["quarantined"]),
        (&1.into(), &0.into()),
        "{report:#}"
    );
    assert_eq!(shop.names(), [("7".into(), "Quill".into())]);
    let status = shop.line("status --format json").exits(0).json();
    assert_eq!(status[0]["queue"], 0, "{status:#}");
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
}

#[test]
pub fn deletions_of_whatever_shape_mark_the_row_and_an_unknown_one_is_no_trouble() {
    let shop = Shop::receiving();
    let people: Vec<_> = (1..=20)
        .map(|n| created(n, &n.to_string(), "Quill"))
        .collect();
    shop.take(&people);
    shop.sync(0);
    shop.take(&[
        deleted(101, "1"),
        deleted(102, "\"2\""),
        deleted(103, "{\"customerID\":\"3\"}"),
        deleted(104, "9999"),
    ]);
    let report = shop.sync(0);
    assert_eq!(report["pull"]["deleted"], 3, "{report:#}");
    assert_eq!(shop.names().len(), 17);
    assert_eq!(shop.cell("SELECT count(*) FROM customers"), "20");
}

#[test]
pub fn a_merge_whose_survivor_reuses_an_id_keeps_its_row() {
    let shop = Shop::receiving();
    shop.take(&[created(1, "1", "Quill"), created(2, "2", "Quill")]);
    shop.sync(0);
    let key = shop.cell("SELECT id FROM customers WHERE customer_no = '1'");
    shop.take(&[
        deleted(3, "1"),
        deleted(4, "2"),
        created(5, "1", "Quill-Reed"),
    ]);
    shop.sync(0);
    assert_eq!(shop.names(), [("1".into(), "Quill-Reed".into())]);
    assert_eq!(
        shop.cell("SELECT id FROM customers WHERE customer_no = '1'"),
        key
    );
}

#[test]
pub fn names_that_are_left_out_say_nothing_and_null_is_empty() {
    let shop = Shop::receiving();
    shop.take(&[created(1, "7", "Quill")]);
    shop.sync(0);
    let of = |column: &str| shop.cell(&format!("SELECT {column} FROM customers"));
    assert_eq!(of("customer_class"), "GOLD");
    let lean = json!({"customerID": "7", "customerNumber": "A-7"});
    shop.take(&[
        message("CUSTOMERMOD", 2, lean.to_string()),
        message(
            "CUSTOMERMOD",
            3,
            json!({"customerID": "7", "householdKey": "H"}).to_string(),
        ),
    ]);
    shop.sync(0);
    assert_eq!(
        (
            of("customer_class"),
            of("last_name"),
            of("other_no"),
            of("household")
        ),
        ("GOLD".into(), "Quill".into(), "A-7".into(), "H".into())
    );
    assert_eq!(shop.cell("SELECT count(*) FROM customer_addresses"), "1");
    let empty = json!({"customerID": "7", "customerClass": null});
    shop.take(&[message("CUSTOMERMOD", 4, empty.to_string())]);
    shop.sync(0);
    assert_eq!(
        (of("customer_class"), of("last_name")),
        ("".into(), "Quill".into())
    );
}

#[test]
pub fn h56_junk_is_held_shown_and_tried_again() {
    let shop = Shop::receiving();
    shop.take(&[
        created(1, "7", "Quill"),
        message("CUSTOMERMOD", 2, "{\"customerID\":"),
        message("CUSTOMERMERGE", 3, "{}"),
        message("CUSTOMERDEL", 4, "null"),
    ]);
    let report = shop.sync(3);
    assert_eq!(
        (&report["pull"]["created"], &report["quarantined"]),
        (&1.into(), &3.into()),
        "{report:#}"
    );
    let list = shop.line("quarantine list --format json").exits(0).json();
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 3);
    let id = |code: &str| {
        let entry = list.iter().find(|entry| entry["code"] == code);
        entry.expect(code)["id"].as_str().expect("an id").to_owned()
    };
    let junk = id("Q-ACTION");
    shop.line(&format!("quarantine show {junk}"))
        .exits(0)
        .says("CUSTOMERMERGE");
    // Still held when it is tried again, and quiet when nobody asks for that.
    assert_eq!(shop.sync(3)["pull"]["read"], 0);
    shop.line(&format!("quarantine retry {junk}")).exits(0);
    let report = shop.sync(3);
    assert_eq!(
        (&report["pull"]["held"], &report["quarantined"]),
        (&1.into(), &3.into()),
        "{report:#}"
    );
    for entry in list {
        let id = entry["id"].as_str().expect("an id");
        shop.line(&format!("quarantine discard {id}")).exits(0);
    }
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
}

#[test]
pub fn a_value_that_cannot_be_read_waits_and_is_repaired_by_retry() {
    let shop = Shop::receiving();
    let mut payload = customer("7", "Quill");
    payload["entityInformation"]["individual"]["personalSummary"] =
        json!({"birthDate": "31.12.1990"});
    shop.take(&[message("CUSTOMERCRE", 1, payload.to_string())]);
    let report = shop.sync(3);
    assert_eq!(report["quarantined"], 1, "{report:#}");
    assert_eq!(shop.names(), [("7".into(), "Quill".into())]);
    assert_eq!(shop.sync(3)["pull"]["read"], 0);
    // Nobody wants the date any more; the message is still there to be read again.
    let mapping = shop.path("mappings/orce-customer.yaml");
    let text = fs::read_to_string(&mapping).expect("the mapping");
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("personalSummary.birthDate"))
        .collect();
    fs::write(&mapping, without.join("\n")).expect("the mapping");
    let list = shop.line("quarantine list --format json").exits(0).json();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    shop.line(&format!("quarantine retry {id}")).exits(0);
    let report = shop.sync(0);
    assert_eq!(report["quarantined"], 0, "{report:#}");
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
}

#[test]
pub fn a_row_that_the_database_refuses_is_repaired_by_retry() {
    let shop = Shop::receiving();
    shop.take(&[created(1, "7", "Quill")]);
    shop.sync(0);
    let [refuse, allow] = refusing("customers", "last_name", "Reed");
    shop.sql(&refuse);
    shop.take(&[changed(2, "7", "Reed"), created(3, "8", "Teal")]);
    let report = shop.sync(3);
    assert_eq!(
        (&report["pull"]["created"], &report["quarantined"]),
        (&1.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(shop.sync(3)["pull"]["read"], 0);
    shop.sql(&allow);
    let list = shop.line("quarantine list --format json").exits(0).json();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    shop.line(&format!("quarantine retry {id}")).exits(0);
    shop.sync(0);
    assert_eq!(
        shop.names(),
        [("7".into(), "Reed".into()), ("8".into(), "Teal".into())]
    );
}

#[test]
pub fn transactions_wait_under_ids_of_their_own() {
    let shop = Shop::receiving();
    let sale = json!({"retailTransactionId": "T1", "customerId": "7", "businessDate": "soon", "lineItems": []});
    shop.take(&[
        message(
            "CUSTOMERCRE",
            1,
            json!({"customerID": "T1", "signupDate": "soon"}).to_string(),
        ),
        message("POSTRNCRE", 2, sale.to_string()),
    ]);
    let report = shop.sync(3);
    assert_eq!(report["quarantined"], 2, "{report:#}");
    let list = shop.line("quarantine list --format json").exits(0).json();
    let ids: Vec<String> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_ne!(ids[0], ids[1]);
    let second = ids.iter().find(|id| id.contains(":t-")).expect("an id");
    shop.line(&format!("quarantine show {second}"))
        .exits(0)
        .says("business_date");
    shop.line(&format!("quarantine discard {second}")).exits(0);
    assert_eq!(shop.sync(3)["quarantined"], 1);
}

#[test]
pub fn deletions_beyond_the_limit_are_kept_until_they_are_accepted() {
    let shop = Shop::receiving();
    let people: Vec<_> = (1..=40)
        .map(|n| created(n, &n.to_string(), "Quill"))
        .collect();
    shop.take(&people);
    shop.sync(0);
    let gone: Vec<_> = (1..=20).map(|n| deleted(100 + n, &n.to_string())).collect();
    shop.take(&gone);
    let report = shop.sync(4);
    assert_eq!(report["guard"], "deletes", "{report:#}");
    assert_eq!(shop.names().len(), 40);
    let status = shop.line("status --format json").exits(0).json();
    assert_eq!(status[0]["queue"], 20, "{status:#}");
    assert_eq!(shop.sync(4)["guard"], "deletes");
    shop.line("sync --accept deletes").exits(0);
    assert_eq!(shop.names().len(), 20);
}

#[test]
pub fn plan_tells_what_has_arrived_and_leaves_it_there() {
    let shop = Shop::receiving();
    shop.take(&[created(1, "7", "Quill")]);
    for _ in 0..2 {
        let plan = shop.line("plan --format json").exits(0).json();
        assert_eq!(
            plan["bridges"][0]["plan"][0]["action"], "create",
            "{plan:#}"
        );
    }
    assert_eq!(shop.sync(0)["pull"]["created"], 1);
}

#[test]
pub fn a_lost_state_is_rebuilt_from_the_database_and_what_was_taken_over_stays() {
    let shop = Shop::receiving();
    shop.take(&[created(1, "7", "Quill")]);
    shop.sync(0);
    fs::remove_dir_all(shop.path("state")).expect("it is there");
    shop.take(&[changed(2, "7", "Reed")]);
    shop.line("sync").exits(7);
    shop.line("reseed shop --relink").exits(0);
    shop.sync(0);
    assert_eq!(shop.names(), [("7".into(), "Reed".into())]);
    assert_eq!(shop.cell("SELECT count(*) FROM customers"), "1");
    shop.take(&[deleted(3, "7")]);
    shop.sync(0);
    assert_eq!(shop.names(), []);
}
