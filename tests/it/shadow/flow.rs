//! What changes at the association arrives, and nothing else moves.

use contactbridge::simulator::association_anywhere::{
    Coalescing, Customer, Moment, Node, Operation, Profile, QueueServices,
};

use super::Setup;

#[test]
pub fn a_first_fill_makes_everybody_a_row_and_the_second_run_asks_one_question() {
    let shadow = Setup::people(600)
        .crm(|options| options.queued = false)
        .build();
    shadow.line("check --offline").exits(0);
    shadow.line("check").exits(0);
    shadow.quiet_or_empty();
    shadow.line("enqueue members --all").exits(0);
    assert_eq!(shadow.crm.queue_len(), 600);
    shadow.line("plan").exits(0);
    shadow.line("plan --exit-code").exits(10);
    assert_eq!(shadow.crm.queue_len(), 600);
    assert_eq!(shadow.cell("SELECT count(*) FROM customers"), "0");

    let report = shadow.sync(0);
    assert_eq!(
        (&report["pull"]["read"], &report["pull"]["created"]),
        (&600.into(), &600.into())
    );
    assert!(report["watermark"].is_null());
    shadow.assert_equal(&[]);
    shadow.quiet();
    let status = shadow.line("status --format json").exits(0).json();
    assert_eq!(
        (&status[0]["links"], &status[0]["queue"]),
        (&600.into(), &0.into())
    );
}

#[test]
pub fn awkward_customers_arrive_or_are_held_and_hold_nobody_up() {
    let shadow = Setup::people(400)
        .crm(|options| options.profile = Profile::Awkward)
        .state("sqlite:state")
        .build();
    let report = shadow.sync(3);
    let held: Vec<_> = shadow
        .quarantined()
        .into_iter()
        .map(|(_, id, _)| id)
        .collect();
    assert_eq!(report["quarantined"], held.len());
    assert!(held.len() < 40, "{held:?}");
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    shadow.assert_equal(&held);
    let before = shadow.dump();
    assert_eq!(shadow.sync(3)["requests"], 1);
    assert_eq!(shadow.dump(), before);
}

#[test]
pub fn reasons_choose_the_sections_and_leave_the_others_alone() {
    let shadow = Setup::people(60).build();
    shadow.sync(0);
    // What nobody asks for stays, even where it drifted.
    shadow.sql("UPDATE customers SET employer = 'Drifted' WHERE cust_id = '0000001'");
    shadow.sql("INSERT INTO customer_phones (customer_id, serno, number) SELECT id, 'mine', '1' FROM customers WHERE cust_id = '0000001'");
    let kept = shadow.rows("SELECT rowid, * FROM customer_emails");
    shadow.crm.edit("0000001", |customer| {
        assert!(customer.set("addresses", 0, "city", "Newtown"));
    });
    shadow.crm.clear_log();
    let report = shadow.sync(0);
    assert_eq!(report["pull"]["updated"], 1);
    assert_eq!(shadow.of("0000001", "city"), "Newtown");
    assert_eq!(shadow.of("0000001", "employer"), "Drifted");
    assert_eq!(shadow.rows("SELECT rowid, * FROM customer_emails"), kept);
    assert_eq!(
        shadow.cell("SELECT count(*) FROM customer_phones WHERE serno = 'mine'"),
        "1"
    );

    // A table that nobody knows has everything read; where nothing changed in the association, nothing is written.
    shadow.crm.enqueue("0000001", "UPDATE", "CEN_CUST_DIM");
    assert_eq!(shadow.sync(0)["pull"]["unchanged"], 1);
    shadow.crm.with(|site| {
        site.edit_quietly("0000001", |customer| {
            customer.name.set("lastName", "Renamed")
        });
    });
    shadow.crm.enqueue("0000001", "UPDATE", "CEN_CUST_ADDR");
    shadow.crm.enqueue("0000001", "UPDATE", "NOBODY_KNOWS");
    shadow.crm.enqueue("0000001", "UPDATE", "CEN_CUST_ADDR");
    let report = shadow.sync(0);
    assert_eq!(
        (&report["pull"]["read"], &report["pull"]["updated"]),
        (&1.into(), &1.into())
    );
    // What is read whole and changed is put right as a whole.
    assert_ne!(shadow.of("0000001", "employer"), "Drifted");
    shadow.sql("DELETE FROM customer_phones WHERE serno = 'mine'");
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn parts_that_vanish_are_taken_away_and_the_others_stay_where_they_are() {
    let shadow = Setup::people(20).build();
    shadow.sync(0);
    let id = "0000002";
    let key = shadow.of(id, "id");
    shadow.sql(&format!(
        "INSERT INTO customer_addresses (customer_id, serno, city) VALUES ({key}, 'mine', 'Mine')"
    ));
    let addresses = format!(
        "SELECT rowid, serno FROM customer_addresses WHERE customer_id = {key} ORDER BY rowid"
    );
    let mut kept = shadow.rows(&addresses);
    let customer = shadow.crm.customer(id).expect("a customer");
    let gone = customer.field("addresses", 0, "addressSerno");
    kept.retain(|row| Some(row[1].as_str()) != gone);
    shadow.crm.edit(id, |customer| {
        let section = customer.section_mut("addresses");
        section.children.remove(0);
        let address = [
            ("addressSerno", "990001"),
            ("city", "Added"),
            ("postalCode", "1"),
        ];
        section.children.push(Node::record("address", &address));
    });
    shadow.sync(0);
    let mut after = shadow.rows(&addresses);
    let added = after.pop().expect("a row");
    assert_eq!((after, added[1].as_str()), (kept, "990001"));
    shadow.sql("DELETE FROM customer_addresses WHERE serno = 'mine'");
    shadow.assert_equal(&[]);
}

#[test]
pub fn a_purged_customer_is_marked_and_comes_back_to_its_row() {
    let shadow = Setup::people(30).build();
    shadow.sync(0);
    let (id, key) = ("0000003", shadow.of("0000003", "id"));
    let customer = shadow.crm.customer(id).expect("a customer");
    assert!(shadow.crm.delete(id));
    assert_eq!(shadow.sync(0)["pull"]["deleted"], 1);
    assert_ne!(shadow.of(id, "deleted_at"), "");
    shadow.assert_equal(&[]);
    shadow.crm.create(Customer {
        login_id: "again".into(),
        ..customer
    });
    shadow.sync(0);
    assert_eq!(
        (shadow.of(id, "deleted_at"), shadow.of(id, "id")),
        (String::new(), key)
    );
    shadow.assert_equal(&[]);

    // A DELETE of somebody whose details still answer deletes nobody.
    shadow.crm.enqueue("0000004", "DELETE", "CEN_CUST_MAST");
    assert_eq!(shadow.sync(0)["pull"]["deleted"], 0);
    assert_eq!(shadow.of("0000004", "deleted_at"), "");
    shadow.quiet();
}

#[test]
pub fn without_a_mark_in_the_mapping_the_row_goes_with_its_children() {
    let shadow = Setup::people(30).build();
    let mapping = "mappings/association-anywhere.yaml";
    shadow.edit(mapping, "  deleted: deleted_at", "  # deleted: deleted_at");
    shadow.sync(0);
    let key = shadow.of("0000003", "id");
    assert!(shadow.crm.delete("0000003"));
    assert_eq!(shadow.sync(0)["pull"]["deleted"], 1);
    assert_eq!(shadow.cell("SELECT count(*) FROM customers"), "29");
    for table in ["customer_addresses", "customer_emails", "customer_phones"] {
        let count = shadow.cell(&format!(
            "SELECT count(*) FROM {table} WHERE customer_id = {key}"
        ));
        assert_eq!(count, "0", "{table}");
    }
    shadow.quiet();
}

#[test]
pub fn h53_with_the_plain_queue_who_is_left_out_twice_is_deleted() {
    let shadow = Setup::people(40)
        .crm(|options| options.queue = QueueServices::Both)
        .remote("reasons: false")
        .build();
    shadow.sync(0);
    assert!(shadow.crm.delete("0000005"));
    shadow.crm.edit("0000006", |customer| {
        customer.name.set("lastName", "Renamed")
    });
    shadow.crm.clear_log();
    let report = shadow.sync(0);
    assert_eq!(
        (&report["pull"]["deleted"], &report["pull"]["updated"]),
        (&1.into(), &1.into())
    );
    assert!(
        shadow.asked().contains(&vec!["0000005".to_owned()]),
        "{:?}",
        shadow.asked()
    );
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn h53_with_reasons_who_is_left_out_is_held_and_asked_for_again() {
    let shadow = Setup::people(40).build();
    shadow.sync(0);
    shadow
        .crm
        .switch("poison=0000007:absent")
        .expect("a switch");
    shadow.crm.edit("0000007", |customer| {
        customer.name.set("lastName", "Renamed")
    });
    shadow.sync(3);
    let held = shadow.quarantined();
    assert_eq!(
        (held.len(), held[0].1.as_str(), held[0].2.as_str()),
        (1, "0000007", "Q-NO-DETAILS")
    );
    assert_eq!(shadow.crm.queue_len(), 0);
    assert_eq!(shadow.of("0000007", "deleted_at"), "");
    shadow.sync(3);
    shadow.crm.heal("0000007");
    assert_eq!(shadow.sync(0)["quarantined"], 0);
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn h50_a_change_between_details_and_purge_is_not_lost() {
    let habits = [
        (Coalescing::Each, "processed", true),
        (Coalescing::Each, "processed", false),
        (Coalescing::Each, "journalled", true),
        (Coalescing::Renewed, "processed", true),
        (Coalescing::Renewed, "processed", false),
        (Coalescing::KeepsNumber, "journalled", true),
        (Coalescing::KeepsNumber, "journalled", false),
    ];
    for (rows, purge, reasons) in habits {
        let shadow = Setup::people(10)
            .crm(|options| options.queue = QueueServices::Both)
            .remote(&format!("purge: {purge}"))
            .remote(&format!("reasons: {reasons}"))
            .build();
        shadow.crm.with_quirks(|quirks| quirks.rows = rows);
        shadow.sync(0);
        for (moment, name) in [
            (Moment::After(Operation::Details), "Details"),
            (Moment::Before(Operation::Purge), "Purge"),
        ] {
            shadow
                .crm
                .edit("0000001", |customer| customer.name.set("lastName", "First"));
            shadow.crm.at(moment, 1, |site| {
                site.edit("0000001", |customer| {
                    customer.name.set("lastName", "Second");
                    assert!(customer.set("emails", 0, "address", "second@example.org"));
                });
            });
            shadow.sync(0);
            shadow.sync(0);
            let told = format!("{rows:?} {purge} reasons: {reasons}, after {name}");
            assert_eq!(shadow.crm.hooks_waiting(), 0, "{told}");
            assert_eq!(shadow.of("0000001", "last_name"), "Second", "{told}");
            shadow.assert_equal(&[]);
            shadow.quiet();
        }
    }
}

#[test]
pub fn a_changed_mapping_reads_all_linked_customers_again() {
    let shadow = Setup::people(120).build();
    shadow.sync(0);
    shadow.sql("ALTER TABLE customers ADD COLUMN nickname TEXT");
    let mapping = "mappings/association-anywhere.yaml";
    shadow.edit(
        mapping,
        "\nfields:\n",
        "\nfields:\n  - { column: nickname, remote: name.informalName }\n",
    );
    shadow.crm.clear_log();
    shadow.line("sync --accept changes").exits(0);
    let asked: usize = shadow.asked().iter().map(Vec::len).sum();
    assert_eq!(asked, 120);
    assert_eq!(
        shadow.cell("SELECT count(*) FROM customers WHERE COALESCE(nickname, '') <> COALESCE(informal_name, '')"),
        "0"
    );
    shadow.quiet();
}

#[test]
pub fn enqueue_makes_a_request_for_each_id_and_the_other_ways_back_are_refused() {
    let shadow = Setup::people(10).build();
    shadow.sync(0);
    shadow.crm.clear_log();
    shadow.line("enqueue members 0000001 0000002").exits(0);
    assert_eq!(shadow.crm.count(Operation::ForceEnqueue), 2);
    assert_eq!(shadow.sync(0)["pull"]["unchanged"], 2);
    for line in [
        "reseed members",
        "reseed members --to 2026-01-01",
        "sync --since 2026-01-01",
    ] {
        let ran = shadow.line(line).exits(2);
        assert!(ran.stderr.contains("enqueue"), "{ran:?}");
    }
    shadow.quiet();
}

impl super::Shadow {
    /// A run over an empty queue, before there is anything.
    fn quiet_or_empty(&self) {
        let report = self.sync(0);
        assert_eq!(report["pull"]["read"], 0);
    }
}
