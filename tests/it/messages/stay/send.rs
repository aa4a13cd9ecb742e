//! `run` sends: jobs that fail and go on with the same message, kills, and two instances, each the other's third party.

use contactbridge::simulator::data_sync::{Operation, ThirdOptions, ThirdParty};

use super::relay::Relay;
use super::*;
use crate::support::eventually;

/// An application, and a bridge that sends to it and has made its tables.
fn telling() -> (ThirdParty, Shop) {
    let third = ThirdParty::start(ThirdOptions {
        client_secret: "s".to_owned(),
        ..ThirdOptions::default()
    })
    .expect("an application");
    let shop = Shop::new(
        &format!(
            "      send:\n        api_url: {}\n        token_url: {}\n        client_id: {}\n        client_secret: ${{SEND_SECRET}}\n        batch: 10\n",
            third.api_url(),
            third.token_url(),
            third.options().client_id
        ),
        "",
    );
    limit(&shop, "requests_per_second: unlimited");
    shop.sync(0);
    (third, shop)
}

fn insert(shop: &Shop, from: u64, count: u64) {
    for number in from..from + count {
        shop.sql(&format!(
            "INSERT INTO customers (customer_no, last_name) VALUES ('{number}', 'Name {number}')"
        ));
    }
}

/// The messages that were tried, by their ids, and what each was answered.
fn tried(third: &ThirdParty) -> Vec<(u64, Option<u16>)> {
    third
        .attempts()
        .into_iter()
        .filter(|attempt| attempt.operation != Operation::Token)
        .map(|attempt| {
            let id = attempt.unique_id.expect("an id");
            (id.parse().expect("a number"), attempt.status)
        })
        .collect()
}

#[track_caller]
fn assert_told(third: &ThirdParty, shop: &Shop) {
    assert_eq!(third.defects(), []);
    assert_eq!(third.overlap_count(), 0);
    let told: Vec<(String, String)> = third
        .customers()
        .into_iter()
        .map(|(id, customer)| {
            let names = "entityInformation.individual.name.name";
            let last = (0..customer.count(names))
                .find(|at| customer.text(&format!("{names}.{at}.location")) == Some("LAST"))
                .and_then(|at| customer.text(&format!("{names}.{at}.value")));
            (id, last.unwrap_or_default().to_owned())
        })
        .collect();
    assert_eq!(told, shop.names());
}

#[test]
fn a_job_that_failed_goes_on_with_the_same_message() {
    let (third, shop) = telling();
    let service = Service::start(&shop.binary);
    insert(&shop, 1, 12);
    for fault in ["status=500/#4", "status=202/#3", "lose-request=#2"] {
        third.clear_rules();
        third.switch(fault).expect("a fault");
        let before = tried(&third).len();
        let ran = shop.line("sync").exits(5);
        let all = tried(&third);
        let (failed, good) = all[before..].split_last().expect("it tried");
        assert!(
            good.iter().all(|(_, status)| *status == Some(200)),
            "{ran:?}"
        );
        assert_ne!(failed.1, Some(200), "{fault}");
        third.clear_rules();
        // The next one is the same, and stays the first until it is answered with 200.
        third.switch("status=503/#1").expect("a fault");
        shop.line("sync").exits(5);
        let again = tried(&third);
        assert_eq!(again[all.len()..], [(failed.0, Some(503))], "{fault}");
    }
    third.clear_rules();
    shop.sync(0);
    let numbers: Vec<u64> = tried(&third).into_iter().map(|(id, _)| id).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!((third.accepted().len(), third.repeated()), (12, 0));
    assert_told(&third, &shop);
    service.stop();
    shop.sync(0);
    assert_eq!(third.accepted().len(), 12);
}

#[test]
fn a_kill_sends_at_most_the_message_under_way_twice() {
    let (third, shop) = telling();
    let mut dice = Dice(5);
    for round in 0..5u64 {
        insert(&shop, 100 * (round + 1), 15);
        let mut service = Service::start(&shop.binary);
        let until = third.accepted().len() + 1 + dice.below(12) as usize;
        let mut asker = shop.binary.command(&["sync"]).spawn().expect("it starts");
        eventually("so many are sent", || third.accepted().len() >= until);
        service.signal(rustix::process::Signal::KILL);
        assert_eq!(service.ends(), None);
        asker.wait().expect("it ends");
        assert!(third.repeated() as u64 <= round + 1);
    }
    let service = Service::start(&shop.binary);
    shop.sync(0);
    service.stop();
    let accepted = third.accepted();
    let numbers: Vec<u64> = accepted
        .iter()
        .map(|one| one.message.unique_id.parse().expect("a number"))
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(accepted.len(), 75 + third.repeated());
    assert!(third.repeated() <= 5, "{}", third.repeated());
    assert_told(&third, &shop);
}

#[test]
fn a_relink_tells_everything_anew() {
    let (third, shop) = telling();
    insert(&shop, 1, 5);
    shop.sync(0);
    let last = tried(&third).last().expect("a message").0;
    shop.line("reseed shop --relink").exits(0);
    shop.sync(0);
    let again = tried(&third);
    assert_eq!((third.accepted().len(), third.repeated()), (10, 0));
    assert!(again[5..].iter().all(|(id, _)| *id > last));
    assert_told(&third, &shop);
}

/// An instance that sends to `peer`; it is posted to at `relay`.
struct Instance {
    shop: Shop,
    running: Option<Running>,
    relay: Relay,
}

impl Instance {
    fn new(relay: Relay, peer: SocketAddr) -> Self {
        let send = format!(
            "      send:\n        api_url: http://{peer}/datasync\n        token_url: http://{peer}/oauth2/token\n        client_id: orce\n        client_secret: secret\n"
        );
        let shop = Shop::new(&format!("{RECEIVE}{send}"), "");
        limit(&shop, "requests_per_second: unlimited");
        Self {
            shop,
            running: None,
            relay,
        }
    }

    fn start(&mut self) {
        let running = Running::start(&self.shop);
        self.relay.set(running.address);
        self.running = Some(running);
    }

    /// All that is mapped and not ours alone, living customers only.
    fn rows(&self) -> Vec<Vec<String>> {
        let columns =
            "c.customer_no, c.first_name, c.last_name, c.nick_name, c.suffix, c.email, c.may_fax";
        let mut rows = self.shop.rows(&format!(
            "SELECT {columns} FROM customers AS c WHERE c.deleted_at IS NULL ORDER BY 1"
        ));
        rows.extend(self.shop.rows(
            "SELECT c.customer_no, t.kind, t.line_1, t.city FROM customer_addresses AS t JOIN customers AS c ON c.id = t.customer_id \
             WHERE c.deleted_at IS NULL ORDER BY 1, 2, 3",
        ));
        rows
    }
}

#[test]
fn two_instances_that_send_to_each_other_converge_and_fall_silent() {
    let (first, second) = (Relay::start(), Relay::start());
    let (at_first, at_second) = (first.address, second.address);
    let mut one = Instance::new(first, at_second);
    let mut two = Instance::new(second, at_first);
    one.start();
    two.start();
    let converge = |one: &Instance, two: &Instance, people: usize| {
        eventually("both are the same", || {
            one.shop.sync(0);
            two.shop.sync(0);
            one.rows() == two.rows() && one.shop.names().len() == people
        });
        // What is still on its way says nothing new, and then nobody says anything.
        let count = || (one.relay.count(), two.relay.count());
        eventually("both are silent", || {
            let before = count();
            for _ in 0..2 {
                one.shop.sync(0);
                two.shop.sync(0);
            }
            before == count()
        });
        assert_eq!(one.rows(), two.rows());
    };
    one.shop.sync(0);
    two.shop.sync(0);
    for number in 0..20 {
        let shop = if number % 2 == 0 {
            &one.shop
        } else {
            &two.shop
        };
        shop.sql(&format!(
            "INSERT INTO customers (customer_no, first_name, last_name, email) VALUES ('{number}', 'F', 'L{number}', 'c{number}@example.org');
             INSERT INTO customer_addresses (customer_id, kind, line_1, city) SELECT id, 'HOME', 'Way {number}', 'Old' FROM customers WHERE customer_no = '{number}'"
        ));
    }
    converge(&one, &two, 20);

    // Both edit, also other fields of the same customers, and one goes down for a while.
    one.shop
        .sql("UPDATE customers SET nick_name = 'One' WHERE customer_no IN ('1', '2', '3')");
    two.shop
        .sql("UPDATE customers SET suffix = 'Two' WHERE customer_no IN ('2', '3', '4')");
    two.shop
        .sql("UPDATE customer_addresses SET city = 'New' WHERE line_1 = 'Way 5'");
    one.shop
        .sql("DELETE FROM customers WHERE customer_no = '7'");
    two.shop
        .sql("UPDATE customers SET deleted_at = '2026-01-01T00:00:00Z' WHERE customer_no = '8'");
    two.running.take().expect("it runs").kill();
    one.shop.sync(5);
    two.start();
    converge(&one, &two, 18);
    assert_eq!(
        two.shop
            .rows("SELECT nick_name, suffix FROM customers WHERE customer_no = '3'"),
        [["One", "Two"]]
    );
    assert_eq!(
        one.shop
            .cell("SELECT city FROM customer_addresses WHERE line_1 = 'Way 5'"),
        "New"
    );
}
