//! Runs that die: at each checkpoint of a queue once, and at random.

use std::time::{Duration, Instant};

use contactbridge::simulator::association_anywhere::Customer;

use super::{Setup, Shadow};

const ROUNDS: u32 = 50;

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

/// A few things that people do at the association.
fn live(shadow: &Shadow, round: u32, dice: &mut Dice) {
    let ids = shadow.crm.ids();
    for turn in 0..4 {
        let id = &ids[dice.below(ids.len() as u64) as usize];
        let value = format!("<{round}.{turn}> & Ünï");
        shadow.crm.edit(id, |customer| match dice.below(3) {
            0 => customer.name.set("lastName", value.clone()),
            1 => {
                customer.set("addresses", 0, "city", &value);
            }
            _ => {
                customer.section_mut("phones").children.pop();
            }
        });
    }
    let born = format!("B{round:03}");
    shadow
        .crm
        .create(Customer::individual(&born, "Born", &format!("In {round}")));
    if round.is_multiple_of(2) {
        shadow
            .crm
            .delete(&ids[dice.below(ids.len() as u64) as usize]);
    }
}

#[test]
pub fn h51_a_kill_at_each_checkpoint_of_a_queue_loses_nothing() {
    for purge in ["processed", "journalled"] {
        let shadow = Setup::people(30)
            .limit("max_deletes: 100")
            .limit("max_changes: 1000")
            .remote(&format!("purge: {purge}"))
            .build();
        shadow.sync(0);
        let mut dice = Dice(7);
        let points = [
            "C0",
            "Q.journal",
            "Q.number",
            "Q.details",
            "L.before",
            "L.after",
            "C8",
            "Q.done",
            "P.before",
            "P.sent",
            "P",
            "C9.state",
            "C9.database",
        ];
        for (round, point) in (0..).zip(points) {
            live(&shadow, round, &mut dice);
            let killed = shadow
                .binary
                .clone()
                .with("CONTACTBRIDGE_CRASH_AT", point)
                .line("sync");
            assert_eq!(killed.code, None, "{purge} {point}: {killed:?}");
            shadow.sync(0);
            shadow.assert_equal(&[]);
        }
        shadow.quiet();
    }
}

#[test]
pub fn a_fill_that_died_goes_on_without_reading_again_what_was_done() {
    for purge in ["processed", "journalled"] {
        let shadow = Setup::people(4_500)
            .remote(&format!("purge: {purge}"))
            .build();
        let killed = shadow
            .binary
            .clone()
            .with("CONTACTBRIDGE_CRASH_AT", "Q.done:2")
            .line("sync");
        assert_eq!(killed.code, None, "{killed:?}");
        shadow.crm.clear_log();
        assert_eq!(shadow.sync(0)["pull"]["created"], 500, "{purge}");
        let asked: usize = shadow.asked().iter().map(Vec::len).sum();
        assert_eq!(asked, 500, "{purge}");
        shadow.assert_equal(&[]);
        shadow.quiet();
    }
}

#[test]
pub fn h51_fifty_kills_at_random_moments_lose_nothing_and_make_nothing_twice() {
    let shadow = Setup::people(150)
        .limit("max_deletes: 1000")
        .limit("max_changes: 1000")
        .build();
    shadow.sync(0);
    let mut dice = Dice(0x5EED_2026);
    live(&shadow, 0, &mut dice);
    let start = Instant::now();
    shadow.sync(0);
    let usual = start.elapsed().as_micros() as u64;
    let mut killed = 0;
    for round in 1..ROUNDS {
        live(&shadow, round, &mut dice);
        let command = shadow.binary.command(&["sync", "--format", "json"]).spawn();
        let mut run = command.expect("the binary starts");
        // When it dies is chance; what is asked for in the end is not.
        std::thread::sleep(Duration::from_micros(dice.below(2 * usual)));
        let _ = run.kill();
        let ended = run.wait_with_output().expect("it ends");
        match ended.status.code() {
            None => killed += 1,
            Some(0) => {}
            Some(code) => panic!("{code}: {}", String::from_utf8_lossy(&ended.stderr)),
        }
    }
    println!("{killed} of {} runs were killed", ROUNDS - 1);
    shadow.sync(0);
    shadow.assert_equal(&[]);
    shadow.quiet();
}
