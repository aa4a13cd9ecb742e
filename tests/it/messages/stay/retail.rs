//! A retail system posts for days: every habit, many faults, merges, deletions, junk. In the end rows are its own truth.

use contactbridge::simulator::data_sync::{Json, Profile, RetailOptions, RetailSystem, Survivor};

use super::*;

/// Jobs until everything is delivered; faults end some of them.
#[track_caller]
fn deliver(orce: &RetailSystem) {
    for _ in 0..50 {
        if orce.run_job_blocking().is_success() {
            return;
        }
    }
    panic!("it can't deliver: {:?}", orce.run_job_blocking().failure);
}

/// A day in the shops: each habit and fault of its own, so that all of them are met.
fn day(orce: &RetailSystem, number: usize) {
    let new = orce.add_seeded(3);
    let ids: Vec<String> = orce.customers().iter().map(|c| c.id().to_owned()).collect();
    let at = |n: usize| ids[(number * 7 + n * 3) % ids.len()].clone();
    for n in 0..4 {
        orce.update_customer(&at(n), |customer| {
            customer
                .named("Day", None, Some(&format!("Number{number}")))
                .note(&format!("on day {number}"))
        });
    }
    orce.update_customer(&at(4), |customer| customer.consent("FAX", number.is_multiple_of(2)));
    orce.with(|books| {
        books.post_seeded(&at(5));
        books.post_seeded("nobody yet");
        books.post_seeded_padded(&at(6), 50_000);
    });
    let survivor = if number.is_multiple_of(2) {
        Survivor::First
    } else {
        Survivor::New
    };
    orce.merge(&[&new[0], &new[1]], survivor);
    orce.delete_customer(&new[2]);
    orce.delete_unknown("nobody");
}

#[test]
fn whatever_the_retail_system_posts_becomes_its_own_truth() {
    let shop = Shop::receiving();
    let running = Running::start(&shop);
    let orce = RetailSystem::start(RetailOptions {
        people: 40,
        target: Some(running.target()),
        ..RetailOptions::default()
    })
    .expect("a retail system");
    let habits = [
        "payload=object",
        "deletion=quoted",
        "deletion=number",
        "deletion=object",
        "layout=printed",
        "strange-fields",
        "ascii",
        "per-post=3",
        "type=application/json; charset=UTF-8",
        "credentials=body",
        "scope=urn:opc:idm:__myscopes__",
        "token=message",
        "offset=Z",
        "email-key=eMailAddress",
        "leave-out=customerNotes",
        "feed=transactions-first",
        "feed=shuffled",
        "rows=coalesce",
    ];
    let faults = [
        "lose-answer=#2",
        "twice=#3",
        "cut-body=#1",
        "half-body=#2",
        "wrong-token=#4",
        "no-token=#1",
    ];
    deliver(&orce);
    for (number, habit) in habits.iter().enumerate() {
        orce.switch(habit).expect("a habit");
        orce.clear_rules();
        orce.switch(faults[number % faults.len()]).expect("a fault");
        day(&orce, number);
        deliver(&orce);
    }
    assert!(orce.delivered().repeated() > 3);
    // The customer of very many parts has two franchisees of one id: that list waits for a person, all else has flowed.
    let report = shop.sync(3);
    assert_eq!(report["quarantined"], 1, "{report:#}");
    shop.line("quarantine list")
        .exits(0)
        .says("90014")
        .says("Q-DUPLICATE");
    let path = "franchisees.franchisee";
    assert!(orce.update_customer("90014", |customer| {
        customer
            .with(path, Json::List(Vec::new()))
            .franchisee(8, "Only ")
    }));
    deliver(&orce);
    shop.sync(0);
    let count = truth::compare(&shop, &orce.delivered());
    assert!(count > 1_000, "{count}");

    // Nothing moves any more, whether this process or the next one makes the pass.
    let before = dump(&shop);
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
    running.service.stop();
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
    assert!(before == dump(&shop));
}

/// Everything that the customer's tables hold.
fn dump(shop: &Shop) -> Vec<Vec<String>> {
    let tables = shop.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'contactbridge%' ORDER BY name");
    tables
        .iter()
        .flat_map(|table| shop.rows(&format!("SELECT * FROM {} ORDER BY 1", table[0])))
        .collect()
}

fn segment_job(people: usize) {
    let shop = Shop::receiving();
    // How many of them one pass finds depends on how fast they come.
    limit(&shop, "max_changes: 100%");
    let running = Running::start(&shop);
    let orce = RetailSystem::start(RetailOptions {
        people: people as u64,
        profile: Profile::Plain,
        target: Some(running.target()),
        ..RetailOptions::default()
    })
    .expect("a retail system");
    deliver(&orce);
    shop.sync(0);
    truth::compare(&shop, &orce.delivered());
    assert_eq!(orce.segment_job(people), people);
    deliver(&orce);
    shop.sync(0);
    truth::compare(&shop, &orce.delivered());
    assert_eq!(
        shop.cell("SELECT count(*) FROM customer_segments"),
        people.to_string()
    );
    assert_eq!(shop.sync(0)["pull"]["read"], 0);
}

#[test]
fn a_segment_job_changes_everybody() {
    segment_job(300);
}

#[test]
#[ignore = "torture: ten thousand customers"]
fn a_segment_job_changes_ten_thousand() {
    segment_job(10_000);
}

#[test]
fn junk_is_answered_with_200_and_held_and_repaired_by_retry() {
    let shop = Shop::receiving();
    limit(&shop, "json_depth: 8");
    let running = Running::start(&shop);
    let orce = RetailSystem::start(RetailOptions {
        people: 2,
        target: Some(running.target()),
        ..RetailOptions::default()
    })
    .expect("a retail system");
    orce.queue_junk("CUSTOMER", "CUSTOMERMOD", "{");
    let deep = format!(
        "{{\"customerID\":\"deep\",\"x\":{}{}}}",
        "[".repeat(12),
        "]".repeat(12)
    );
    orce.queue_junk("CUSTOMER", "CUSTOMERMOD", &deep);
    deliver(&orce);
    let report = shop.sync(3);
    assert_eq!(report["quarantined"], 2, "{report:#}");
    let list = shop.line("quarantine list --format json").exits(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list:#}");
    running.service.stop();
    shop.edit("bridge.yaml", "json_depth: 8", "json_depth: 32");
    let _running = Running::start(&shop);
    for held in list.as_array().expect("a list") {
        let id = held["id"].as_str().expect("an id");
        shop.line(&format!("quarantine retry {id}")).exits(0);
    }
    let report = shop.sync(3);
    assert_eq!(report["quarantined"], 1, "{report:#}");
    assert_eq!(
        shop.cell("SELECT count(*) FROM customers WHERE customer_no = 'deep'"),
        "1"
    );
}
