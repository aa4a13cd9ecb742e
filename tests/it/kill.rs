//! `kill -9` at random moments, round after round, with edits on both sides between them.
//!
//! When a round dies is chance; what is asked for in the end is not: no duplicate, no lost edit, silence.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contactbridge::simulator::contactlist::{Deletion, Fault, Operation, Person, Rule, When};

use crate::support::Project;
use crate::two_way::{assert_equal_sides, newcomer, plain};

const ROUNDS: u32 = 50;
const TORTURE_ROUNDS: u32 = 501;
/// People who are edited and never deleted.
const EDITED: u64 = 40;
/// Checkpoints that a run of such a round passes, about; a kill at a later one does not come.
const CHECKPOINTS: u64 = 60;

/// Chance that is the same in each run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What each side edited last: column or name by External ID, then the value.
#[derive(Default)]
struct Expected {
    /// Edited in the CRM.
    first_names: BTreeMap<String, String>,
    /// Edited in the database.
    cities: BTreeMap<String, String>,
    /// Newcomers with an External ID.
    born: Vec<String>,
    /// Newcomers with an address alone.
    mailed: Vec<String>,
    /// Deleted on either side.
    gone: Vec<String>,
}

fn number(of: u64) -> String {
    format!("M{of:06}")
}

/// A few things that people do between two runs.
fn live(project: &Project, round: u32, dice: &mut Dice, expected: &mut Expected) {
    for turn in 0..3 {
        let value = format!("<{round}.{turn}> & Ünï");
        let no = number(dice.below(EDITED));
        let id = project.contact(&no).entity_id;
        let edited = project.crm.edit(id, |person: &mut Person| {
            person.first_name = Some(value.clone());
        });
        assert!(edited);
        expected.first_names.insert(no, value.clone());
        let no = number(dice.below(EDITED));
        let statement = format!("UPDATE customers SET city = '{value}' WHERE customer_no = '{no}'");
        assert_eq!(project.sql(&statement), 1);
        expected.cities.insert(no, value);
    }
    let (crm, desk, mail) = (
        format!("C-{round}"),
        format!("L-{round}"),
        format!("only{round}@example.org"),
    );
    project.crm.insert(newcomer(
        &crm,
        &format!("c{round}@example.org"),
        "Crm",
        "Born",
    ));
    project.sql(&format!(
        "INSERT INTO customers (customer_no, email, first_name, opted_in) VALUES ('{desk}', 'l{round}@example.org', 'Desk', '1')"
    ));
    project.sql(&format!(
        "INSERT INTO customers (email, first_name, opted_in) VALUES ('{mail}', 'Mail', '0')"
    ));
    expected.born.extend([crm, desk]);
    expected.mailed.push(mail);
    let (theirs, ours) = (
        number(EDITED + u64::from(2 * round)),
        number(EDITED + u64::from(2 * round) + 1),
    );
    let id = project.contact(&theirs).entity_id;
    assert!(project.crm.delete(id, Deletion::Flag));
    let statement = format!("DELETE FROM customers WHERE customer_no = '{ours}'");
    assert_eq!(project.sql(&statement), 1);
    expected.gone.extend([theirs, ours]);
}

#[track_caller]
fn assert_kept(project: &Project, doomed: u32, expected: &Expected) {
    // Both sides are equal, so one of them tells.
    assert_equal_sides(project);
    for (no, first) in &expected.first_names {
        assert_eq!(project.contact(no).first_name.as_ref(), Some(first), "{no}");
    }
    for (no, city) in &expected.cities {
        let row = format!("SELECT city FROM customers WHERE customer_no = '{no}'");
        assert_eq!(&project.cell(&row), city, "{no}");
    }
    for no in &expected.born {
        project.contact(no);
    }
    for mail in &expected.mailed {
        let mut found = project.crm.with_people(|people| people.by_email(mail));
        found.retain(|person| !person.deleted);
        assert_eq!(found.len(), 1, "{mail}");
    }
    for no in &expected.gone {
        let living = project.crm.by_external(no);
        assert!(living.iter().all(|person| person.deleted), "{no}");
    }
    let count = EDITED as usize + expected.born.len() + expected.mailed.len() + doomed as usize
        - expected.gone.len();
    assert_eq!(
        project.cell("SELECT count(*) FROM customers"),
        count.to_string()
    );
}

/// What the wire does to one call of a round.
fn mishap(dice: &mut Dice) -> Rule {
    let faults = [
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Unavailable("0".into()),
        Fault::Html,
        Fault::FaultBefore,
        Fault::FaultAfter,
        Fault::Truncate(0),
        Fault::WrongLength,
        Fault::EmptyBody,
    ];
    let operations = [
        Operation::ContactListRetrieve,
        Operation::ContactListUpdateInsert,
        Operation::RetrieveByEntityId,
        Operation::DeleteByEntityId,
    ];
    let call = 1 + dice.below(2);
    Rule {
        fault: faults[dice.below(faults.len() as u64) as usize].clone(),
        when: When::Numbers {
            from: call,
            to: call,
        },
        operation: Some(operations[dice.below(operations.len() as u64) as usize]),
    }
}

#[test]
pub fn h20_fifty_kills_at_random_moments_lose_nothing_and_make_nothing_twice() {
    killed_at_random(ROUNDS, false);
}

#[test]
#[ignore = "torture: five hundred kills"]
fn h20_five_hundred_kills_beside_a_wire_that_fails() {
    killed_at_random(TORTURE_ROUNDS, true);
}

/// The same in a few rounds, for servers, where each takes longer.
pub fn h20_ten_kills_at_random_moments_lose_nothing_and_make_nothing_twice() {
    killed_at_random(10, false);
}

/// Half of the kills come at a random moment, and with `mishaps` the other half at a random checkpoint, while in every other round the
/// wire fails once.
fn killed_at_random(rounds: u32, mishaps: bool) {
    // Deleted and never edited, so that no edit revives them.
    let doomed = 2 * rounds;
    let project = plain(EDITED as u32 + doomed)
        .limit("max_deletes: 10000")
        .limit("max_changes: 10000")
        .build();
    project.sync(0);
    let mut dice = Dice(0x5EED_2026);
    let mut expected = Expected::default();
    // How long a run takes here tells where in it a kill may fall.
    live(&project, 0, &mut dice, &mut expected);
    let start = Instant::now();
    project.sync(0);
    let usual = start.elapsed().as_micros() as u64;
    let (mut killed, mut failed) = (0, 0);
    for round in 1..rounds {
        live(&project, round, &mut dice, &mut expected);
        let mut command = project.binary.command(&["sync", "--format", "json"]);
        let mut patience = Some(Duration::from_micros(dice.below(2 * usual)));
        if mishaps {
            project.crm.clear_rules();
            if dice.below(2) == 0 {
                project.crm.add_rule(mishap(&mut dice));
            }
            if dice.below(2) == 0 {
                let point = 1 + dice.below(CHECKPOINTS);
                command.env("CONTACTBRIDGE_CRASH_AT", format!("*:{point}"));
                patience = None;
            }
        }
        let mut run = command.spawn().expect("the binary starts");
        if let Some(patience) = patience {
            std::thread::sleep(patience);
            let _ = run.kill();
        }
        let ended = run.wait_with_output().expect("it ends");
        match ended.status.code() {
            None => killed += 1,
            // Done before the kill came.
            Some(0) => {}
            // The wire failed: records wait, or the whole run.
            Some(3 | 5) if mishaps => failed += 1,
            Some(code) => panic!("{code}: {}", String::from_utf8_lossy(&ended.stderr)),
        }
    }
    project.crm.clear_rules();
    println!("{killed} of {} runs were killed", rounds - 1);
    println!("{failed} of {} runs met a failure of the wire", rounds - 1);
    project.sync(0);
    project.sync(0);
    assert_kept(&project, doomed, &expected);
    project.quiet_sync(0);
    project.line("reseed members").exits(0);
    project.quiet_sync(0);
}
