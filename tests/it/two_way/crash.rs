//! Killed at every step, answers lost: nothing is made twice, nothing is lost, and then it is quiet.

use contactbridge::simulator::contactlist::{Fault, Operation, Person, Rule, When};

use super::{assert_equal_sides, newcomer, plain};
use crate::support::Project;

/// Every place at which a run may be asked to die; `checkpoint(` in src names them.
const CHECKPOINTS: [&str; 11] = [
    "C0",
    "reserved",
    "C5",
    "send",
    "L.before",
    "L.after",
    "C8",
    "C8.behind",
    "recovered",
    "C9.state",
    "C9.database",
];

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// Something of everything on both sides; what it leaves must show in [`assert_done`].
pub fn work(project: &Project) {
    let edit = |no: &str, change: fn(&mut Person)| {
        assert!(project.crm.edit(project.contact(no).entity_id, change));
    };
    edit("M000000", |person| {
        person.first_name = Some("Remote".into())
    });
    edit("M000001", |person| {
        person.first_name = Some("Remote".into())
    });
    project.sql("UPDATE customers SET city = 'Local' WHERE customer_no IN ('M000001', 'M000002')");
    project.sql("DELETE FROM customers WHERE customer_no = 'M000003'");
    let flag = contactbridge::simulator::contactlist::Deletion::Flag;
    assert!(
        project
            .crm
            .delete(project.contact("M000004").entity_id, flag)
    );
    for letter in LETTERS {
        project.sql(&format!(
            "INSERT INTO customers (customer_no, email, first_name, opted_in) VALUES ('L-{letter}', 'l{letter}@example.org', 'Desk', '1')"
        ));
        // Named by its address alone.
        project.sql(&format!(
            "INSERT INTO customers (email, first_name, opted_in) VALUES ('only{letter}@example.org', 'Mail', '1')"
        ));
        let mail = format!("c{letter}@example.org");
        project
            .crm
            .insert(newcomer(&format!("C-{letter}"), &mail, "Crm", "Born"));
    }
}

#[track_caller]
pub fn assert_done(project: &Project) {
    assert_equal_sides(project);
    assert_eq!(
        project.contact("M000000").first_name.as_deref(),
        Some("Remote")
    );
    assert_eq!(
        project.contact("M000001").first_name.as_deref(),
        Some("Remote")
    );
    let cities = "SELECT count(*) FROM customers WHERE city = 'Local'";
    assert_eq!(project.cell(cities), "2");
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "20");
    let living = project.crm.people().iter().filter(|p| !p.deleted).count();
    assert_eq!(living, 20);
}

/// Runs with a crash point until a run ends by itself; how often it was killed.
pub fn sync_through(project: &Project, point: &str) -> u32 {
    let mut kills = 0;
    for visit in 1..=40 {
        let ran = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("{point}:{visit}"))
            .line("sync --format json");
        match ran.code {
            None => kills += 1,
            Some(0) => return kills,
            Some(_) => panic!("at {point}:{visit}: {ran:#?}"),
        }
    }
    panic!("{point} never let a run through");
}

#[test]
pub fn every_checkpoint_of_the_engine_is_tried() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sync");
    let mut named = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(sources).expect("the engine's sources") {
        let path = file.expect("a file").path();
        if path.is_file() {
            let text = std::fs::read_to_string(path).expect("text");
            let rest = text.split("checkpoint(\"").skip(1);
            named.extend(rest.filter_map(|rest| rest.split('"').next().map(str::to_owned)));
        }
    }
    assert_eq!(named, CHECKPOINTS.map(str::to_owned).into());
}

#[test]
pub fn a_kill_at_any_checkpoint_makes_nothing_twice_and_loses_nothing() {
    let mut never = Vec::new();
    for point in CHECKPOINTS {
        let project = plain(10).build();
        project.sync(0);
        work(&project);
        if sync_through(&project, point) == 0 {
            never.push(point);
        }
        assert_done(&project);
        project.quiet_sync(0);
    }
    // `C8.behind` belongs to a first load, `recovered` to a run after a killed one.
    assert_eq!(never, ["C8.behind", "recovered"]);
}

#[test]
pub fn a_kill_in_every_visit_of_a_whole_run_is_survived() {
    // Each run dies one step later than the one before it, whatever the step.
    let project = plain(10).build();
    project.sync(0);
    work(&project);
    assert!(sync_through(&project, "*") > 3);
    assert_done(&project);
    project.quiet_sync(0);
}

#[test]
pub fn what_a_killed_run_wrote_into_a_row_is_not_taken_for_an_edit_of_it() {
    let project = plain(10).build();
    project.sync(0);
    let id = project.contact("M000000").entity_id;
    let new = project
        .crm
        .insert(newcomer("C-1", "c1@example.org", "First", "Crm"));
    let name = |first: &'static str| {
        for id in [id, new] {
            let renamed = |person: &mut Person| person.first_name = Some(first.into());
            assert!(project.crm.edit(id, renamed));
        }
    };
    for first in ["Second", "Third"] {
        name(first);
        let binary = project.binary.clone();
        let crash = binary.with("CONTACTBRIDGE_CRASH_AT", "L.after");
        assert_eq!(crash.line("sync").code, None);
    }
    name("Fourth");
    let report = project.sync(0);
    assert_eq!(report["conflicts"], 0, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

#[test]
pub fn a_kill_while_recovering_is_survived() {
    let project = plain(10).build();
    project.sync(0);
    work(&project);
    let crash = |point: &str| {
        let binary = project.binary.clone();
        binary
            .with("CONTACTBRIDGE_CRASH_AT", point)
            .line("sync")
            .code
    };
    assert_eq!(crash("send"), None);
    assert_eq!(crash("recovered"), None);
    project.sync(0);
    assert_done(&project);
    project.quiet_sync(0);
}

#[test]
pub fn a_first_load_that_is_killed_goes_on_where_it_was() {
    for point in ["L.before", "L.after", "C8.behind", "C0", "C9.state"] {
        let project = plain(450).limit("rows_per_transaction: 100").build();
        let crash = project
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", &format!("{point}:1"));
        assert_eq!(crash.line("sync").code, None, "{point}");
        project.sync(0);
        assert_equal_sides(&project);
        project.quiet_sync(0);
    }
}

#[test]
pub fn h20_a_lost_answer_to_a_create_makes_no_second_contact() {
    for fault in [
        Fault::LoseAnswer,
        Fault::LoseRequest,
        Fault::FaultAfter,
        Fault::EmptyBody,
        Fault::Truncate(0),
    ] {
        for strikes in [1, 2] {
            let project = plain(10).build();
            project.sync(0);
            work(&project);
            project.crm.add_rule(Rule {
                fault: fault.clone(),
                when: When::Numbers {
                    from: 1,
                    to: strikes,
                },
                operation: Some(Operation::ContactListUpdateInsert),
            });
            // The runs may fail; what counts is what stands in the end.
            let outcomes: Vec<_> = (0..4).map(|_| project.line("sync").code).collect();
            assert_eq!(outcomes[3], Some(0), "{fault:?} {strikes} {outcomes:?}");
            assert_done(&project);
            project.quiet_sync(0);
        }
    }
}

#[test]
pub fn h22_elements_that_vanish_without_a_word_are_sent_again() {
    let project = plain(10)
        .crm(|crm| crm.switches.quirks.drop_elements = 0.3)
        .build();
    project.sync(0);
    work(&project);
    let ends = (0..12).find(|_| project.line("sync").code == Some(0));
    assert!(ends.is_some());
    project.crm.with_quirks(|quirks| quirks.drop_elements = 0.0);
    project.sync(0);
    assert_done(&project);
    project.quiet_sync(0);
}

#[test]
pub fn h23_one_poisoned_element_does_not_keep_the_others_back() {
    let project = plain(40).build();
    project.sync(0);
    project
        .crm
        .with_quirks(|quirks| quirks.poison = Some("POISON".into()));
    project.sql("UPDATE customers SET city = 'Moved'");
    project.sql("UPDATE customers SET first_name = 'POISON' WHERE customer_no = 'M000033'");
    for _ in 0..4 {
        project.line("sync");
    }
    let moved = project.crm.people();
    let moved = moved.iter().filter(|person| {
        let mut addresses = person.addresses.iter().flatten().flatten();
        addresses.any(|address| address.city.as_deref() == Some("Moved"))
    });
    assert_eq!(moved.count(), 39);
    project.quiet_sync(3);
    project.crm.with_quirks(|quirks| quirks.poison = None);
    project.sql("UPDATE customers SET first_name = 'Harmless' WHERE customer_no = 'M000033'");
    project.sync(0);
    assert_equal_sides(&project);
    project.quiet_sync(0);
}
