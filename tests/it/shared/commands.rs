//! Every command that reads or writes state, with the state in PostgreSQL, and what it says while it is held or gone.

use std::sync::atomic::Ordering;

use super::{Shared, lines};
use crate::servers::Relay;
use crate::support::{Fresh, Server};
use crate::two_way::crash::{assert_done, sync_through, work};
use crate::two_way::night::one_night;
use crate::two_way::{assert_equal_sides, contacts, plain, rows};

#[test]
fn one_night_ends_equal() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    let setup = plain(0).state(&lines(&state.url()));
    one_night(setup, "journal", false, true);
}

#[test]
fn one_night_with_customers_in_the_same_server_ends_equal() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    let Some(setup) = plain(0).on(Server::Postgres) else {
        return;
    };
    one_night(setup.state(&lines(&state.url())), "scan", true, false);
}

#[test]
fn a_look_makes_nothing_and_a_run_leaves_no_file() {
    let Some(shared) = Shared::with(5) else {
        return;
    };
    let project = &shared.project;
    project.line("plan").exits(0);
    project.line("status").exits(0).says("never");
    project.line("review list").exits(0);
    project.line("links export").exits(0);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'contactbridge'";
    assert_eq!(shared.cell(schemas), "0");
    project.sync(0);
    assert_eq!(shared.cell(schemas), "1");
    assert!(!project.path("state").exists());
    let status = shared.status();
    assert_eq!(
        (&status["outcome"], &status["links"]),
        (&"ok".into(), &5.into())
    );
    assert!(status["lease"].is_null() && status["age_seconds"].is_number());
    project.quiet_sync(0);
    project.line("check").exits(0).says("kept in postgres://");
}

#[test]
fn a_person_settles_what_waits() {
    let Some(shared) = Shared::made(plain(20).key("conflicts: review")) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    project.sql("UPDATE customers SET last_name = 'Locally' WHERE customer_no = 'M000004'");
    project
        .crm
        .edit(project.contact("M000004").entity_id, |person| {
            person.last_name = Some("Remotely".into())
        });
    project.sync(3);
    let list = project.line("review list --format json").exits(0).json();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    project
        .line(&format!("review show {id}"))
        .exits(0)
        .says("Remotely");
    // The server keeps nothing that could be read.
    let readable = "SELECT count(*) FROM contactbridge.entry WHERE position('Remotely'::bytea IN value) > 0 OR position('example.org'::bytea IN value) > 0";
    assert_eq!(shared.cell(readable), "0");
    assert_ne!(
        shared.cell("SELECT count(*) FROM contactbridge.entry WHERE tab = 6"),
        "0"
    );
    project
        .line(&format!("review resolve {id} --take local"))
        .exits(0);
    assert_eq!(shared.status()["review"], 0);
    project.sync(0);
    assert_eq!(
        project.contact("M000004").last_name.as_deref(),
        Some("Locally")
    );
    project.line("quarantine list").exits(0).says("Nothing");
    project.line("plan --exit-code").exits(0);
    project.line("reseed members").exits(0);
    assert_eq!(project.sync(0)["pull"]["read"], 20);
    project.line("links export").exits(0).says("members");
}

#[test]
fn h60_a_lost_state_is_linked_again_and_a_damaged_one_is_put_aside() {
    let Some(shared) = Shared::with(40) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    let sides = || (project.crm.people(), rows(project));
    let before = sides();
    for (hand, code, noticed) in [
        ("DROP SCHEMA contactbridge CASCADE", "E-STATE-LOST", ""),
        (
            "UPDATE contactbridge.entry SET value = overlay(value placing '\\x00'::bytea from 8) WHERE tab = 1",
            "E-STATE-CORRUPT",
            "put aside",
        ),
        (
            "TRUNCATE contactbridge.entry",
            "E-STATE-CORRUPT",
            "put aside",
        ),
    ] {
        shared.state.run(hand);
        let report = project.sync(7);
        let error = report["error"].as_str().expect("an error").to_owned();
        assert!(error.starts_with(code), "{hand}: {error}");
        assert!(sides() == before, "{hand}");
        project
            .line("reseed members --relink")
            .exits(0)
            .complains(noticed);
        project.sync(0);
        assert!(sides() == before, "{hand}");
        project.quiet_sync(0);
    }
}

#[test]
fn h61_a_state_that_was_restored_from_a_backup_is_noticed() {
    let Some(shared) = Shared::with(5) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    shared
        .state
        .run("CREATE TABLE saved AS SELECT * FROM contactbridge.entry");
    project.sql("UPDATE customers SET first_name = 'Later' WHERE customer_no = 'M000001'");
    project.sync(0);
    shared
        .state
        .run("TRUNCATE contactbridge.entry; INSERT INTO contactbridge.entry SELECT * FROM saved");
    let report = project.sync(7);
    let error = report["error"].as_str().expect("an error");
    assert!(error.starts_with("E-STATE-OLD"), "{error}");
}

#[test]
fn another_key_and_no_key_are_refused() {
    let Some(shared) = Shared::with(3) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    project.edit("bridge.yaml", super::KEY, &"ab".repeat(32));
    let report = project.sync(7);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-STATE-KEY"),
        "{report}"
    );
    project.edit(
        "bridge.yaml",
        &format!("{}\n", super::key_line(&"ab".repeat(32))),
        "",
    );
    project.line("sync").exits(2).complains("state_key");
}

#[test]
fn a_kill_at_any_checkpoint_makes_nothing_twice() {
    let Some(shared) = Shared::with(10) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    work(project);
    let mut kills = 0;
    // A killed run leaves its lease behind.
    for visit in 1..=60 {
        let crash = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("*:{visit}"));
        let ran = crash.line("sync --format json");
        match ran.code {
            None => kills += 1,
            Some(0) => break,
            Some(_) => panic!("{ran:#?}"),
        }
        project.line("sync -q").exits(6).quietly();
        shared.let_it_expire();
    }
    assert!(kills > 3, "{kills}");
    assert_done(project);
    project.quiet_sync(0);
    assert_eq!(sync_through(project, "no such place"), 0);
}

#[test]
fn a_server_that_goes_away_in_a_run_ends_it_with_5_and_loses_nothing() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    let relay = Relay::start(state.address());
    let (user, rest) = state.url().split_once('@').map_or_else(
        || panic!("a user"),
        |(user, rest)| (user.to_owned(), rest.to_owned()),
    );
    let name = rest.split_once('/').expect("a database").1;
    let url = format!("{user}@127.0.0.1:{}/{name}", relay.port);
    let project = plain(80).state(&lines(&url)).build();
    let shared = Shared { project, state };
    let project = &shared.project;
    let passes = |open: bool, limit: Option<usize>| {
        *relay.limit.lock().expect("no panic") = limit;
        relay.open.store(open, Ordering::SeqCst);
    };
    passes(false, None);
    let report = project.sync(5);
    assert!(
        report["error"]
            .as_str()
            .expect("an error")
            .starts_with("E-STATE-"),
        "{report}"
    );
    project.line("status").exits(5).complains("E-STATE-");
    // Cut later and later, until a run gets through.
    let (mut cuts, mut limit) = (0, 600);
    loop {
        passes(true, Some(limit));
        let ran = project.line("sync --format json");
        match ran.code {
            Some(0) => break,
            Some(5) => cuts += 1,
            other => panic!("{other:?} after {limit} bytes: {ran:#?}"),
        }
        assert!(
            ran.stdout.contains("running again is safe") || ran.stdout.contains("Run again"),
            "{ran:#?}"
        );
        limit += limit / 3;
        assert!(limit < 10_000_000, "{ran:#?}");
        let stands = shared.cell("SELECT to_regclass('contactbridge.bridge')::text");
        if !stands.is_empty() {
            shared.let_it_expire();
        }
    }
    assert!(cuts > 2, "cut {cuts} times");
    passes(true, None);
    project.sync(0);
    assert_equal_sides(project);
    assert_eq!(contacts(project).len(), 80);
    project.quiet_sync(0);
}

#[test]
fn tls_is_verified_or_the_state_is_not_reached() {
    let Ok(authority) = std::env::var("CONTACTBRIDGE_TEST_AUTHORITY") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no authority");
        return;
    };
    for (host, options, code, word) in [
        (
            "localhost",
            format!("?sslrootcert={authority}"),
            0,
            "\"ok\"",
        ),
        (
            "localhost",
            "?sslmode=verify-full".to_owned(),
            5,
            "E-STATE-TLS",
        ),
        (
            "127.0.0.1",
            format!("?sslmode=verify-full&sslrootcert={authority}"),
            5,
            "E-STATE-TLS",
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
        let Some(state) = Fresh::make(Server::Postgres) else {
            return;
        };
        let url = state.url_as("postgres:hunter2").replace("127.0.0.1", host) + &options;
        let project = plain(3).state(&lines(&url)).build();
        let ran = project.line("sync --format json").exits(code);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(word), "{options}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
