//! The real binary with a customer database on a server: PostgreSQL and MariaDB, each test on a database of its own.
//!
//! - `every`: scenarios that stand elsewhere, played on both servers
//! - `relay`: a wire that can be cut

mod every;
mod relay;

use std::sync::atomic::Ordering;

use crate::support::{Project, Server, Setup};
use crate::two_way::crash::{assert_done, sync_through, work};
pub use relay::Relay;

use crate::two_way::{assert_equal_sides, contacts, held, mapping, plain, relink, rows};

/// Runs each scenario on both servers; where one does not run, there is nothing to try (and `CI=true` fails).
macro_rules! on_each {
    ($($(#[$more:meta])* $name:ident)*) => {
        mod postgres {
            $($(#[$more])* #[test] fn $name() { super::$name(crate::support::Server::Postgres); })*
        }
        mod mariadb {
            $($(#[$more])* #[test] fn $name() { super::$name(crate::support::Server::MySql); })*
        }
    };
}

on_each!(
    children_arrive_and_follow_their_record
    a_lost_state_is_linked_again_and_nothing_is_made
    a_kill_at_any_checkpoint_makes_nothing_twice
    a_value_too_long_for_its_column_waits_alone
    triggers_come_and_go_by_hand
    h68_a_user_with_the_granted_rights_alone_can_do_a_nights_work
    a_server_that_goes_away_in_a_run_ends_it_with_5_and_loses_nothing
    tls_is_verified_or_there_is_no_connection
);

/// A mapping whose addresses are rows of their own.
fn with_children() -> String {
    mapping("journal", false, false)
        + "children:\n  - table: customer_addresses\n    from: addresses\n    parent: customer_id\n    key: [addressTypeID]\n    \
           fields:\n      - { column: kind, remote: addressTypeID, type: integer }\n      - { column: city, remote: city }\n"
}

fn a_value_too_long_for_its_column_waits_alone(server: Server) {
    let Some(setup) = plain(3).on(server) else {
        return;
    };
    let project = setup.build();
    project.sync(0);
    let limit = |letters: u32| match server {
        Server::Postgres => {
            format!("ALTER TABLE customers ALTER COLUMN last_name TYPE varchar({letters})")
        }
        Server::MySql => format!("ALTER TABLE customers MODIFY last_name VARCHAR({letters})"),
    };
    project.sql(&limit(30));
    held::one_of_two_is_refused(&project, &"ü".repeat(31));
    project.sql(&limit(31));
    held::the_refused_one_goes_through(&project);
}

fn children_arrive_and_follow_their_record(server: Server) {
    let Some(setup) = plain(120).mapping(&with_children()).on(server) else {
        return;
    };
    let project = setup.build();
    let report = project.sync(0);
    assert_eq!(report["pull"]["created"], 120, "{report:#}");
    let found = "SELECT c.customer_no, a.kind, a.city FROM customer_addresses AS a JOIN customers AS c ON c.id = a.customer_id";
    let expected = |project: &Project| {
        let mut all = Vec::new();
        for person in project.crm.people().iter().filter(|person| !person.deleted) {
            for item in person.addresses.iter().flatten().flatten() {
                let text = |text: &Option<String>| {
                    text.clone()
                        .filter(|text| !text.is_empty())
                        .unwrap_or("-".into())
                };
                all.push(vec![
                    text(&person.external_id),
                    item.address_type_id.to_string(),
                    text(&item.city),
                ]);
            }
        }
        all.sort();
        all
    };
    let sorted = |project: &Project| {
        let mut rows = project.rows(found);
        rows.sort();
        rows
    };
    assert!(sorted(&project).len() > 100);
    assert_eq!(sorted(&project), expected(&project));
    // A part that changes, a part that vanishes, a record that goes, and a row of the customer's own.
    let id = |no: &str| project.contact(no).entity_id;
    project.crm.edit(id("M000001"), |person| {
        for item in person.addresses.iter_mut().flatten().flatten() {
            item.city = Some("Zoë's Bäy \\ \"x\"".into());
        }
    });
    project.crm.edit(id("M000002"), |person| {
        if let Some(items) = &mut person.addresses {
            items.truncate(0);
        }
    });
    let flag = contactbridge::simulator::contactlist::Deletion::Flag;
    project.crm.delete(id("M000003"), flag);
    project.sql("INSERT INTO customer_addresses (customer_id, kind, city) SELECT id, 99, 'own' FROM customers WHERE customer_no = 'M000002'");
    project.sync(0);
    let mut wanted = expected(&project);
    wanted.push(vec!["M000002".into(), "99".into(), "own".into()]);
    wanted.sort();
    assert_eq!(sorted(&project), wanted);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

fn a_lost_state_is_linked_again_and_nothing_is_made(server: Server) {
    let Some(setup) = plain(60).on(server) else {
        return;
    };
    let project = relink::lost(setup);
    let (people, table) = (project.crm.people(), rows(&project));
    project.line("reseed members --relink").exits(0);
    project.sync(0);
    assert!(people == project.crm.people() && table == rows(&project));
    project.quiet_sync(0);
}

fn a_kill_at_any_checkpoint_makes_nothing_twice(server: Server) {
    let Some(setup) = plain(10).on(server) else {
        return;
    };
    let project = setup.build();
    project.sync(0);
    work(&project);
    // Each run dies one step later than the one before it, whatever the step.
    assert!(sync_through(&project, "*") > 3);
    assert_done(&project);
    project.quiet_sync(0);
}

fn triggers_come_and_go_by_hand(server: Server) {
    let Some(setup) = plain(5)
        .mapping(&mapping("journal", false, false))
        .on(server)
    else {
        return;
    };
    let project = setup.build();
    project.sync(0);
    let changed = |line: &str| {
        project.line(line).exits(0).json()["changed"]
            .as_bool()
            .expect("a flag")
    };
    assert!(!changed("journal install members --format json"));
    assert!(changed("journal remove members --format json"));
    assert!(!changed("journal remove members --format json"));
    // Without them nothing is missed: the run reads everything and installs them again.
    project.sql("UPDATE customers SET city = 'Elsewhere' WHERE customer_no = 'M000001'");
    let report = project.sync(0);
    assert_eq!(report["push"]["updated"], 1, "{report:#}");
    assert!(!changed("journal install members --format json"));
    let check = project.line("check --format json").exits(0);
    assert!(
        check
            .stdout
            .contains("triggers of `changes: journal` stand"),
        "{check:#?}"
    );
    project.quiet_sync(0);
}

/// Makes a user with exactly what docs/operations.md grants, and the tables that an administrator makes for it.
fn restricted(server: Server, setup: Setup, user: &str) -> Setup {
    let documented = include_str!("../../../docs/operations.md");
    let part = match server {
        Server::Postgres => "```sql\n-- PostgreSQL\n",
        Server::MySql => "```sql\n-- MySQL and MariaDB\n",
    };
    let grants = documented.split_once(part).expect("the GRANTs").1;
    let grants = grants.split_once("```").expect("an end").0;
    let mut name = String::new();
    let setup = setup.address(|fresh| {
        name = fresh.name().to_owned();
        fresh.administer(&match server {
            Server::Postgres => format!("CREATE ROLE {user} LOGIN"),
            Server::MySql => format!("CREATE USER {user}@'%'; FLUSH PRIVILEGES"),
        });
        fresh.url_as(user)
    });
    let grants = grants
        .replace("customers_db", &name)
        .replace("bridge_user", user);
    let host = if server == Server::MySql { "@'%'" } else { "" };
    setup.with_tables(&grants.replace("@host", host))
}

fn h68_a_user_with_the_granted_rights_alone_can_do_a_nights_work(server: Server) {
    let mapping = with_children().replace("create: true", "create: false");
    let Some(setup) = plain(30).mapping(&mapping).on(server) else {
        return;
    };
    let (key, flag) = match server {
        Server::Postgres => (
            "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            "BOOLEAN",
        ),
        Server::MySql => ("BIGINT AUTO_INCREMENT PRIMARY KEY", "TINYINT(1)"),
    };
    let setup = setup.with_tables(&format!(
        "CREATE TABLE customers (id {key}, customer_no VARCHAR(40), email VARCHAR(200), first_name VARCHAR(100), \
         last_name VARCHAR(100), born_on DATE, opted_in {flag}, mobile VARCHAR(50), city VARCHAR(100), company VARCHAR(100), \
         secret_note VARCHAR(10)); \
         CREATE TABLE customer_addresses (customer_id BIGINT NOT NULL, kind BIGINT, city VARCHAR(100))"
    ));
    let sql = crate::support::Binary::at(std::env::temp_dir())
        .line(match server {
            Server::Postgres => "schema --sql=postgres",
            Server::MySql => "schema --sql=mysql",
        })
        .exits(0)
        .stdout;
    let user = format!("bridge_{}_{}", std::process::id(), server.variable().len());
    let setup = restricted(server, setup.with_tables(&sql), &user);
    let project = setup.build();
    project.line("check").exits(0);
    project.sync(0);
    assert_equal_sides(&project);
    project.sql("UPDATE customers SET city = 'Perth' WHERE customer_no = 'M000001'");
    project.sql("DELETE FROM customer_addresses");
    project.sql("DELETE FROM customers WHERE customer_no = 'M000002'");
    let flag = contactbridge::simulator::contactlist::Deletion::Flag;
    let gone = project.contact("M000003").entity_id;
    project.crm.delete(gone, flag);
    project.sync(0);
    assert_equal_sides(&project);
    project.line("journal remove members").exits(0);
    let drop = match server {
        Server::Postgres => format!("DROP OWNED BY {user}; DROP ROLE {user}"),
        Server::MySql => format!("DROP USER {user}@'%'"),
    };
    project.fresh.as_ref().expect("a server").run(&drop);
}

fn a_server_that_goes_away_in_a_run_ends_it_with_5_and_loses_nothing(server: Server) {
    let Some(setup) = plain(80).on(server) else {
        return;
    };
    let mut relay = None;
    let setup = setup.address(|fresh| {
        let started = Relay::start(fresh.address());
        let (user, rest) = fresh
            .url()
            .split_once('@')
            .map(|(user, rest)| (user.to_owned(), rest.to_owned()))
            .expect("a user");
        let name = rest.split_once('/').expect("a database").1;
        let url = format!("{user}@127.0.0.1:{}/{name}", started.port);
        relay = Some(started);
        url
    });
    let project = setup.build();
    let relay = relay.expect("a relay");
    relay.open.store(false, Ordering::SeqCst);
    let report = project.sync(5);
    assert_eq!(report["outcome"], "failed", "{report:#}");
    // Cut later and later, until a run gets through.
    let mut cuts = 0;
    for limit in (1..60).map(|step| step * 4_000) {
        *relay.limit.lock().expect("no panic") = Some(limit);
        relay.open.store(true, Ordering::SeqCst);
        let ran = project.line("sync --format json");
        match ran.code {
            Some(0) => break,
            Some(5) => cuts += 1,
            other => panic!("{other:?} {ran:#?}"),
        }
    }
    assert!(cuts > 2, "cut {cuts} times");
    *relay.limit.lock().expect("no panic") = None;
    relay.open.store(true, Ordering::SeqCst);
    project.sync(0);
    assert_equal_sides(&project);
    assert_eq!(contacts(&project).len(), 80);
    project.quiet_sync(0);
}

fn tls_is_verified_or_there_is_no_connection(server: Server) {
    let Ok(authority) = std::env::var("CONTACTBRIDGE_TEST_AUTHORITY") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no authority");
        return;
    };
    let named = |host: &str, options: &str| {
        let options = options.to_owned();
        let host = host.to_owned();
        let setup = plain(3).on(server)?;
        Some(setup.address(move |fresh| fresh.url().replace("127.0.0.1", &host) + &options))
    };
    let Some(trusted) = named("localhost", &format!("?sslrootcert={authority}")) else {
        return;
    };
    let project = trusted.build();
    project.sync(0);
    assert_equal_sides(&project);
    // An authority that nobody told us of; a name that the certificate does not have; protection that is none.
    for (host, options, code, word) in [
        (
            "localhost",
            "?sslmode=verify-full".to_owned(),
            5,
            "E-DB-TLS",
        ),
        (
            "127.0.0.1",
            format!("?sslmode=verify-full&sslrootcert={authority}"),
            5,
            "E-DB-TLS",
        ),
        ("localhost", "?sslmode=require".to_owned(), 2, "E-DB-TLS"),
        (
            "db.example.org",
            "?sslmode=disable".to_owned(),
            2,
            "E-DB-TLS",
        ),
        ("localhost", "?sslmodus=x".to_owned(), 2, "E-DB-URL"),
    ] {
        let Some(setup) = named(host, &options) else {
            return;
        };
        let project = setup.build();
        let ran = project.line("sync --format json").exits(code);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(word), "{options}: {said}");
    }
}
