//! The oracle is tested too: without one protective mechanism, some seed must break something.
//!
//! A mechanism is taken away at a port (a store that forgets a table, a service that answers from memory) or by a limit,
//! so that the engine itself is the one that is shipped.

use std::time::Duration;

use contactbridge::state::Table;

use crate::chance::Chance;
use crate::evidence::{Noticed, keep};
use crate::life::{Life, Play, play_in};
use crate::settings::{Codec, Order, Settings};

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
            let noticed = Noticed {
                mechanism: what.to_owned(),
                seed,
                first: played.broken[0].clone(),
            };
            keep(&format!("without-{what}"), &noticed);
            return;
        }
    }
    let noticed = Noticed {
        mechanism: what.to_owned(),
        seed: SEEDS,
        first: String::new(),
    };
    keep(&format!("without-{what}"), &noticed);
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
        |settings| (settings.late, settings.racy, settings.deletes) = (300, true, false),
        |_| (),
        |life| life.rules.settle = Duration::ZERO,
    );
}

#[test]
fn without_reading_back_what_never_landed_counts_as_agreed() {
    some_seed_breaks(
        "read back",
        Play::Foul,
        |_| (),
        |settings| settings.believes = true,
        |_| (),
    );
}

/// A world in which nothing but the incremental reads ever tells of a contact.
fn no_full_read(settings: &mut Settings) {
    (settings.full_read, settings.deleted_flag) = (None, true);
}

#[test]
fn h01_without_the_seam_check_a_contact_is_never_read() {
    some_seed_breaks(
        "seam check",
        Play::Busy,
        |settings| {
            no_full_read(settings);
            (settings.order, settings.page, settings.people) = (Order::Stamp, 12, 30);
            (settings.overlap, settings.deletes) = (Duration::from_secs(2), false);
        },
        |settings| settings.seamless = true,
        |_| (),
    );
}

#[test]
fn h04_without_the_overlap_an_edit_within_the_watermark_s_second_is_lost() {
    some_seed_breaks(
        "overlap",
        Play::Busy,
        |settings| {
            no_full_read(settings);
            settings.at_or_after = false;
        },
        |settings| settings.overlap = Duration::ZERO,
        |_| (),
    );
}

#[test]
fn h07_without_the_watermark_s_cap_a_stamp_in_the_future_hides_what_follows() {
    some_seed_breaks(
        "watermark cap",
        Play::Busy,
        |settings| {
            no_full_read(settings);
            settings.future = true;
        },
        |settings| settings.uncapped = true,
        |_| (),
    );
}

#[test]
fn h39_without_tombs_a_stale_page_brings_the_dead_back() {
    some_seed_breaks(
        "tombs",
        Play::Busy,
        |settings| {
            (settings.deleted_flag, settings.page) = (false, 100);
            (settings.full_read, settings.ghosts) = (Some(Duration::from_secs(24 * 3600)), 500);
            settings.pace = Duration::from_secs(20);
        },
        |_| (),
        forgets(Table::Tomb),
    );
}

#[test]
fn h29_without_a_base_for_each_side_a_value_that_the_service_cuts_looks_edited() {
    some_seed_breaks(
        "base of each side",
        Play::Busy,
        |settings| settings.title_codec = Codec::Cut(4),
        |_| (),
        |life| life.shared.borrow_mut().disk.one_base = true,
    );
}

#[test]
fn h59_without_the_flush_a_kill_forgets_what_was_acted_upon() {
    some_seed_breaks(
        "flush",
        Play::Foul,
        |_| (),
        |_| (),
        |life| life.shared.borrow_mut().disk.lies = true,
    );
}

/// A machine that was given a copy of the state overtakes a run: the fence keeps that run from writing on. What it had settled before, only
/// its own copy remembers, so worlds like this one don't all end well; those that do must end badly without the fence.
#[test]
fn h67_without_the_fence_a_run_that_was_overtaken_goes_on() {
    some_seed_breaks(
        "fence",
        Play::Busy,
        |settings| settings.overtaken = 700,
        |settings| settings.unfenced = true,
        |_| (),
    );
}

#[test]
fn h20_without_a_reserved_identity_a_retry_makes_somebody_twice() {
    some_seed_breaks(
        "reserved identity",
        Play::Foul,
        |settings| settings.generate = true,
        |_| (),
        |life| life.shared.borrow_mut().disk.unreserved = true,
    );
}
