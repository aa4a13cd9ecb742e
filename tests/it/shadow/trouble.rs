//! Services that fail, customers that can't be read, too much at once, and states that are lost.

use contactbridge::simulator::association_anywhere::{MaxQueueNum, Operation};

use super::{Setup, Shadow};

/// A filled shadow with a change under way.
fn changed(setup: Setup) -> Shadow {
    let shadow = setup.build();
    shadow.sync(0);
    shadow.crm.edit("0000001", |customer| {
        customer.name.set("lastName", "Changed")
    });
    shadow
}

#[track_caller]
fn fails(shadow: &Shadow, code: &str) {
    let report = shadow.sync(5);
    let error = report["error"].as_str().unwrap_or_default();
    assert!(error.starts_with(code), "{error}");
}

#[test]
pub fn h52_whatever_fails_nothing_is_lost_and_the_next_run_converges() {
    for fault in [
        "html@GET_QUEUE_CUSTS_W_REASONS_XML",
        "empty-body@GET_QUEUE_CUSTS_W_REASONS_XML",
        "truncate@GET_QUEUE_CUSTS_W_REASONS_XML=200",
        "status@GET_QUEUE_CUSTS_W_REASONS_XML=500",
        "unavailable@GET_CUST_INFO_XML=0",
        "html@GET_CUST_INFO_XML",
        "status@PURGE_QUEUE_XML=503",
        "html@PURGE_QUEUE_XML",
        "lose-request@PURGE_QUEUE_XML",
    ] {
        let shadow = changed(Setup::people(30).limit("retries: 1"));
        shadow
            .crm
            .switch(fault)
            .unwrap_or_else(|problem| panic!("{fault}: {problem}"));
        let ran = shadow.line("sync --format json");
        assert_eq!(ran.code, Some(5), "{fault}: {ran:?}");
        let report = ran.json()["bridges"][0].clone();
        assert!(
            report["error"]
                .as_str()
                .is_some_and(|error| error.starts_with("E-")),
            "{fault}"
        );
        assert!(shadow.crm.queue_len() > 0, "{fault}");
        shadow.crm.clear_rules();
        shadow.sync(0);
        shadow.assert_equal(&[]);
        shadow.quiet();
    }
    // The purge was done, and only its answer got lost.
    for fault in ["lose-answer@PURGE_QUEUE_XML", "empty-body@PURGE_QUEUE_XML"] {
        let shadow = changed(Setup::people(30));
        shadow.crm.switch(fault).expect("a fault");
        shadow.sync(0);
        shadow.assert_equal(&[]);
    }
}

#[test]
pub fn a_queue_without_a_usable_number_is_applied_and_never_purged() {
    for number in [
        MaxQueueNum::Missing,
        MaxQueueNum::Empty,
        MaxQueueNum::Text,
        MaxQueueNum::Low,
        MaxQueueNum::Absurd,
    ] {
        let shadow = changed(Setup::people(30));
        shadow
            .crm
            .with_quirks(|quirks| quirks.max_queue_num = number);
        shadow.crm.clear_log();
        fails(&shadow, "E-QUEUE-NUM");
        assert_eq!(shadow.of("0000001", "last_name"), "Changed", "{number:?}");
        assert_eq!(shadow.crm.count(Operation::Purge), 0, "{number:?}");
        assert!(shadow.crm.queue_len() > 0);
        shadow
            .crm
            .with_quirks(|quirks| quirks.max_queue_num = MaxQueueNum::Honest);
        shadow.sync(0);
        shadow.assert_equal(&[]);
    }
}

#[test]
fn a_purge_without_effect_is_tried_again_and_then_fails() {
    let shadow = changed(Setup::people(30));
    shadow.crm.switch("purge-answer=lie").expect("a quirk");
    shadow.crm.clear_log();
    fails(&shadow, "E-PURGE");
    // The first, and three that were in vain because the queue still showed the same.
    assert_eq!(shadow.crm.count(Operation::Purge), 4);
    assert_eq!(shadow.of("0000001", "last_name"), "Changed");
    assert!(shadow.crm.queue_len() > 0);
    shadow.crm.switch("purge-answer=success").expect("a quirk");
    shadow.sync(0);
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn wrong_credentials_end_with_five_and_change_nothing() {
    let shadow = changed(Setup::people(10));
    shadow.crm.switch("refuse-credentials").expect("a fault");
    fails(&shadow, "E-AUTH");
    shadow.line("check").exits(5);
    assert!(shadow.crm.queue_len() > 0);
}

#[test]
pub fn one_poisoned_customer_holds_nothing_up_and_is_repaired_by_retry() {
    for mode in [
        "error",
        "page",
        "malformed",
        "undecodable",
        "inside",
        "oversize",
    ] {
        let shadow = changed(
            Setup::people(120)
                .limit("retries: 0")
                .limit("max_response: 2MB"),
        );
        shadow
            .crm
            .switch(&format!("poison=0000009:{mode}"))
            .unwrap_or_else(|problem| panic!("{mode}: {problem}"));
        for id in ["0000008", "0000009", "0000010"] {
            shadow
                .crm
                .edit(id, |customer| customer.name.set("lastName", "Renamed"));
        }
        shadow.sync(3);
        assert_eq!(shadow.crm.queue_len(), 0, "{mode}");
        let held = shadow.quarantined();
        assert_eq!(
            (held.len(), held[0].1.as_str()),
            (1, "0000009"),
            "{mode}: {held:?}"
        );
        let show = shadow
            .line(&format!("quarantine show {}", held[0].0))
            .exits(0);
        assert!(!show.stdout.is_empty(), "{mode}");
        shadow.assert_equal(&["0000009"]);
        shadow.crm.heal("0000009");
        // Nothing has queued it again.
        shadow.sync(3);
        shadow
            .line(&format!("quarantine retry {}", held[0].0))
            .exits(0);
        let report = shadow.sync(0);
        assert_eq!(report["pull"]["updated"], 1, "{mode}: {report:#}");
        shadow.assert_equal(&[]);
        shadow.quiet();
    }
}

#[test]
pub fn a_service_that_answers_for_nobody_poisons_nobody() {
    let shadow = changed(Setup::people(30).limit("retries: 0"));
    for id in ["0000001", "0000002", "0000003"] {
        shadow
            .crm
            .switch(&format!("poison={id}:absent"))
            .expect("a switch");
    }
    for id in shadow.crm.ids() {
        shadow
            .crm
            .switch(&format!("poison={id}:absent"))
            .expect("a switch");
    }
    fails(&shadow, "E-DETAILS");
    assert!(shadow.quarantined().is_empty());
    for id in shadow.crm.ids() {
        shadow.crm.heal(&id);
    }
    shadow.sync(0);
    shadow.assert_equal(&[]);
}

#[test]
pub fn guards_stop_before_anything_is_written_or_purged() {
    let shadow = Setup::people(100).limit("max_changes: 60").build();
    shadow.sync(0);
    for id in shadow.crm.ids().into_iter().take(20) {
        assert!(shadow.crm.delete(&id));
    }
    let (before, queued) = (shadow.dump(), shadow.crm.queue_len());
    let report = shadow.sync(4);
    assert_eq!(report["guard"], "deletes");
    assert_eq!((shadow.dump(), shadow.crm.queue_len()), (before, queued));
    shadow.line("sync --accept deletes").exits(0);
    shadow.assert_equal(&[]);

    for id in shadow.crm.ids() {
        shadow
            .crm
            .edit(&id, |customer| customer.name.set("lastName", "All"));
    }
    let (before, queued) = (shadow.dump(), shadow.crm.queue_len());
    assert_eq!(shadow.sync(4)["guard"], "changes");
    assert_eq!((shadow.dump(), shadow.crm.queue_len()), (before, queued));
    shadow.line("sync --accept changes").exits(0);
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn a_spike_is_worked_off_in_parts_and_weighed_where_it_might_be_too_much() {
    let shadow = Setup::people(4_500).limit("max_changes: 100").build();
    assert_eq!(shadow.sync(0)["pull"]["created"], 4_500);
    // Everybody is queued again, and hardly anybody changed.
    shadow.line("enqueue members --all").exits(0);
    shadow.crm.edit("0000001", |customer| {
        customer.name.set("lastName", "Changed")
    });
    let report = shadow.sync(0);
    assert_eq!(
        (&report["pull"]["read"], &report["pull"]["updated"]),
        (&4_500.into(), &1.into()),
        "{report:#}"
    );
    shadow.assert_equal(&[]);
    for id in shadow.crm.ids().into_iter().take(150) {
        shadow
            .crm
            .edit(&id, |customer| customer.name.set("lastName", "Many"));
    }
    shadow.line("enqueue members --all").exits(0);
    let before = shadow.dump();
    assert_eq!(shadow.sync(4)["guard"], "changes");
    assert_eq!(shadow.dump(), before);
    shadow.line("sync --accept changes").exits(0);
    shadow.assert_equal(&[]);
    shadow.quiet();
}

#[test]
pub fn h60_a_lost_state_is_noticed_and_linked_again_without_making_anybody_twice() {
    let shadow = Setup::people(80).build();
    shadow.sync(0);
    std::fs::remove_dir_all(shadow.path("state")).expect("the state");
    shadow.crm.edit("0000001", |customer| {
        customer.name.set("lastName", "Changed")
    });
    shadow.sync(7);
    shadow.line("reseed members --relink").exits(0);
    assert_eq!(shadow.cell("SELECT count(*) FROM customers"), "80");
    shadow.sync(0);
    assert_eq!(shadow.cell("SELECT count(*) FROM customers"), "80");
    shadow.assert_equal(&[]);
    shadow.quiet();

    let csv = shadow.line("links export").exits(0).stdout;
    assert_eq!(csv.lines().count(), 81);
    std::fs::write(shadow.path("links.csv"), &csv).expect("a file");
    shadow.line("links import links.csv").exits(0);
    shadow.quiet();
}

#[test]
pub fn a_wrong_label_of_the_character_set_is_overruled() {
    let shadow = Setup::people(40)
        .remote("charset: windows-1252")
        .crm(|options| {
            options
                .switches
                .set("charset=windows-1252")
                .expect("a quirk");
            options
                .switches
                .set("header-charset=utf-8")
                .expect("a quirk");
            options.switches.set("xml-charset=utf-8").expect("a quirk");
        })
        .build();
    shadow.sync(0);
    shadow.assert_equal(&[]);
}
