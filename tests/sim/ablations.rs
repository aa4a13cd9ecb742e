//! The oracle is tested too: without one protective mechanism, some seed must break something.
//!
//! A mechanism is taken away at a port (a store that forgets a table, a service that answers from memory) or by a limit,
//! so that the engine itself is the one that is shipped.

use std::time::Duration;

use contactbridge::state::Table;

use crate::chance::Chance;
use crate::life::{Life, Play, play_in};
use crate::settings::Settings;

/// Seeds that are tried before a mechanism counts as unnoticed.
const SEEDS: u64 = 3000;

/// `world` makes the world in which the mechanism matters; `settings` and `life` take the mechanism away. A seed counts that
/// breaks without it and not with it.
fn some_seed_breaks(
    what: &str,
    how: Play,
    world: impl Fn(&mut Settings),
    ablate: impl Fn(&mut Settings),
    prepare: impl Fn(&mut Life),
) {
    for seed in 0..SEEDS {
        let mut chance = Chance::new(seed ^ 0xabcd);
        let mut settings = Settings::foul(&mut chance);
        world(&mut settings);
        let whole = settings.clone();
        ablate(&mut settings);
        let played = play_in(seed, settings, how, None, |life| prepare(life));
        if !played.broken.is_empty() && play_in(seed, whole, how, None, |_| ()).broken.is_empty() {
            println!("{what}: seed {seed} notices: {}", played.broken[0]);
            return;
        }
    }
    panic!("{what}: {SEEDS} seeds noticed nothing");
}

fn forgets(table: Table) -> impl Fn(&mut Life) {
    move |life| life.shared.borrow_mut().disk.forgets = vec![table]
}

#[test]
fn without_intents_a_lost_answer_loses_or_doubles_somebody() {
    some_seed_breaks(
        "intents",
        Play::Foul,
        |_| (),
        |_| (),
        forgets(Table::Intent),
    );
}

#[test]
fn without_marks_in_the_inbox_something_is_never_looked_at_again() {
    some_seed_breaks("inbox", Play::Foul, |_| (), |_| (), forgets(Table::Inbox));
}

#[test]
fn without_settled_conflicts_a_losing_value_is_gone() {
    some_seed_breaks(
        "settled",
        Play::Busy,
        |_| (),
        |_| (),
        forgets(Table::Settled),
    );
}

#[test]
fn without_reviews_a_conflict_is_forgotten() {
    some_seed_breaks(
        "reviews",
        Play::Busy,
        |_| (),
        |_| (),
        forgets(Table::Review),
    );
}

#[test]
fn without_reading_before_a_push_edits_are_overwritten() {
    some_seed_breaks(
        "read before push",
        Play::Busy,
        |settings| settings.deletes = false,
        |settings| settings.stale = true,
        |_| (),
    );
}

#[test]
fn without_waiting_for_late_requests_somebody_stands_twice() {
    some_seed_breaks(
        "settle",
        Play::Foul,
        |settings| (settings.late, settings.deletes) = (300, false),
        |_| (),
        |life| life.rules.settle = Duration::ZERO,
    );
}
