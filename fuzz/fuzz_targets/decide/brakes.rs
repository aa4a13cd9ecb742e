//! Table G: the brakes hold beyond their limits, and only there.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;

use crate::model::Threshold;
use crate::sync::guard::{
    CHANGES_FLOOR, DELETES_FLOOR, Load, check_emptied, check_load, check_site,
};
use crate::sync::report::Guard;

/// Counts of records are far below what a `u32` holds.
#[derive(Arbitrary, Debug)]
pub struct Brakes {
    live: u32,
    deletes: u32,
    updates: u32,
    before: u32,
    now: u32,
    max_deletes: Limit,
    max_changes: Limit,
    /// A bit for each guard that may be passed.
    accepted: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Limit {
    Count(u32),
    /// Whole per cent, up to what the configuration takes.
    Percent(u8),
}

impl Limit {
    fn threshold(self) -> Threshold {
        match self {
            Self::Count(count) => Threshold::Count(count.into()),
            Self::Percent(percent) => Threshold::Percent(f64::from(percent % 101)),
        }
    }

    /// Whether `count` of `live` are beyond it, in whole numbers.
    fn is_passed(self, count: u32, live: u32, floor: u64) -> bool {
        match self {
            Self::Count(limit) => count > limit,
            Self::Percent(percent) => {
                let share = u64::from(count) * 100 > u64::from(live) * u64::from(percent % 101);
                share && u64::from(count) > floor
            }
        }
    }
}

pub fn check(brakes: &Brakes) {
    let accepted: BTreeSet<Guard> = Guard::ALL
        .into_iter()
        .enumerate()
        .filter(|(at, _)| brakes.accepted & (1 << at) != 0)
        .map(|(_, guard)| guard)
        .collect();
    let open = |guard: Guard| !accepted.contains(&guard);
    let load = Load {
        live: brakes.live.into(),
        deletes: brakes.deletes.into(),
        updates: brakes.updates.into(),
    };
    let stop = check_load(
        "CRM",
        load,
        brakes.max_deletes.threshold(),
        brakes.max_changes.threshold(),
        &accepted,
    );
    let (deletes, updates) = (brakes.max_deletes, brakes.max_changes);
    let wanted = if deletes.is_passed(brakes.deletes, brakes.live, DELETES_FLOOR)
        && open(Guard::Deletes)
    {
        Some(Guard::Deletes)
    } else if updates.is_passed(brakes.updates, brakes.live, CHANGES_FLOOR) && open(Guard::Changes)
    {
        Some(Guard::Changes)
    } else {
        None
    };
    assert_eq!(
        stop.as_ref().err().map(|stop| stop.guard),
        wanted,
        "{brakes:?} {stop:?}"
    );

    let (before, now) = (u64::from(brakes.before), u64::from(brakes.now));
    let stop = check_emptied("CRM", before, now, &accepted);
    let fell = before > 0 && (now == 0 || (before >= 10 && now * 2 < before));
    assert_eq!(
        stop.is_err(),
        fell && open(Guard::Emptied),
        "G3 {brakes:?} {stop:?}"
    );

    let stop = check_site("CRM", before, now, &accepted);
    let strange = before > 0 && now * 2 < before;
    assert_eq!(
        stop.is_err(),
        strange && open(Guard::Site),
        "G4 {brakes:?} {stop:?}"
    );
}
