//! The brakes: counts that stop a run before anything is written (sync-semantics, table G).
//!
//! Pure. A guard never repairs anything; it names itself, and `--accept NAME` lets one run pass it.

use std::collections::BTreeSet;

use crate::model::Threshold;

use super::report::Guard;

/// A percentage never forbids fewer deletions than this (user contract, section 1).
pub const DELETES_FLOOR: u64 = 5;
/// A percentage never forbids fewer updates than this.
pub const CHANGES_FLOOR: u64 = 50;
/// Below so many records a fall proves nothing.
const EMPTIED_FROM: u64 = 10;
/// Of the known contacts, so many per cent must be there for it to be the same site.
const SITE_PERCENT: u64 = 50;

/// What a run would do to one side, and how large that side is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Live records.
    pub live: u64,
    /// Deletions planned.
    pub deletes: u64,
    /// Updates planned.
    pub updates: u64,
}

/// G1 and G2: `max_deletes` and `max_changes`, per side.
pub fn check_load(
    side: &str,
    load: Load,
    max_deletes: Threshold,
    max_changes: Threshold,
    accepted: &BTreeSet<Guard>,
) -> Result<(), Stop> {
    let allowed = max_deletes.allows(load.live, DELETES_FLOOR);
    if load.deletes > allowed && !accepted.contains(&Guard::Deletes) {
        let reason = format!(
            "{} deletions in the {side} of {} live records, {allowed} are allowed (max_deletes)",
            load.deletes, load.live
        );
        return Err(Stop {
            guard: Guard::Deletes,
            reason,
        });
    }
    let allowed = max_changes.allows(load.live, CHANGES_FLOOR);
    if load.updates > allowed && !accepted.contains(&Guard::Changes) {
        let reason = format!(
            "{} updates in the {side} of {} live records, {allowed} are allowed (max_changes)",
            load.updates, load.live
        );
        return Err(Stop {
            guard: Guard::Changes,
            reason,
        });
    }
    Ok(())
}

/// G3: a side that had records answers a full read with none or with fewer than half (hazard H-40).
pub fn check_emptied(
    side: &str,
    before: u64,
    now: u64,
    accepted: &BTreeSet<Guard>,
) -> Result<(), Stop> {
    let fell = (now == 0 && before > 0) || (before >= EMPTIED_FROM && now * 2 < before);
    if fell && !accepted.contains(&Guard::Emptied) {
        return Err(Stop {
            guard: Guard::Emptied,
            reason: format!("The {side} had {before} records and now shows {now}"),
        });
    }
    Ok(())
}

/// G4: of the known records asked for, too few are there (hazard H-65).
pub fn check_site(
    place: &str,
    asked: u64,
    there: u64,
    accepted: &BTreeSet<Guard>,
) -> Result<(), Stop> {
    if asked > 0 && there * 100 < asked * SITE_PERCENT && !accepted.contains(&Guard::Site) {
        return Err(Stop {
            guard: Guard::Site,
            reason: format!(
                "E-WRONG-SITE Only {there} of {asked} known records exist on {place}. Is it the right one?"
            ),
        });
    }
    Ok(())
}

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The guard.
    pub guard: Guard,
    /// Counts, and what they were compared with.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletes(live: u64, deletes: u64, limit: Threshold) -> bool {
        check_load(
            "database",
            Load {
                live,
                deletes,
                updates: 0,
            },
            limit,
            Threshold::Percent(80.0),
            &BTreeSet::new(),
        )
        .is_ok()
    }

    #[test]
    fn g1_a_percentage_never_forbids_fewer_than_five_deletions() {
        assert!(deletes(10, 5, Threshold::Percent(10.0)));
        assert!(!deletes(10, 6, Threshold::Percent(10.0)));
        assert!(deletes(1000, 100, Threshold::Percent(10.0)));
        assert!(!deletes(1000, 101, Threshold::Percent(10.0)));
        assert!(
            !deletes(1000, 1, Threshold::Count(0)),
            "a count is meant as it stands"
        );
    }

    #[test]
    fn g2_updates_have_a_limit_of_their_own_and_can_be_accepted() {
        let load = Load {
            live: 100,
            deletes: 0,
            updates: 81,
        };
        let none = BTreeSet::new();
        let stop = check_load(
            "CRM",
            load,
            Threshold::Percent(10.0),
            Threshold::Percent(80.0),
            &none,
        )
        .unwrap_err();
        assert_eq!(stop.guard, Guard::Changes);
        let accepted = BTreeSet::from([Guard::Changes]);
        assert!(
            check_load(
                "CRM",
                load,
                Threshold::Percent(10.0),
                Threshold::Percent(80.0),
                &accepted
            )
            .is_ok()
        );
    }

    #[test]
    fn h40_a_side_that_is_nearly_empty_all_at_once_stops_the_run() {
        let none = BTreeSet::new();
        assert_eq!(
            check_emptied("CRM", 9000, 120, &none).unwrap_err().guard,
            Guard::Emptied
        );
        assert!(check_emptied("CRM", 1, 0, &none).is_err());
        assert!(check_emptied("CRM", 9000, 4500, &none).is_ok());
        assert!(check_emptied("CRM", 6, 2, &none).is_ok());
        assert!(check_emptied("CRM", 0, 0, &none).is_ok());
    }

    #[test]
    fn h65_a_foreign_site_stops_the_run() {
        let none = BTreeSet::new();
        assert_eq!(
            check_site("site 456", 20, 3, &none).unwrap_err().guard,
            Guard::Site
        );
        assert!(check_site("site 456", 20, 10, &none).is_ok());
        assert!(check_site("site 456", 0, 0, &none).is_ok());
    }

    #[test]
    fn each_brake_holds_from_the_first_record_beyond_its_limit_and_lets_pass_what_was_accepted() {
        let load = |live, deletes, updates, accepted: &BTreeSet<Guard>| {
            let load = Load {
                live,
                deletes,
                updates,
            };
            let (deletes, changes) = (Threshold::Percent(10.0), Threshold::Percent(80.0));
            check_load("CRM", load, deletes, changes, accepted)
        };
        let emptied =
            |before, now, accepted: &BTreeSet<Guard>| check_emptied("CRM", before, now, accepted);
        let site =
            |asked, there, accepted: &BTreeSet<Guard>| check_site("CRM", asked, there, accepted);
        type Check<'a> = &'a dyn Fn(&BTreeSet<Guard>) -> Result<(), Stop>;
        let cases: [(Guard, Check<'_>, Check<'_>); 8] = [
            (Guard::Deletes, &|a| load(100, 10, 0, a), &|a| {
                load(100, 11, 0, a)
            }),
            (Guard::Changes, &|a| load(100, 0, 80, a), &|a| {
                load(100, 0, 81, a)
            }),
            (Guard::Changes, &|a| load(10, 0, 50, a), &|a| {
                load(10, 0, 51, a)
            }),
            (Guard::Emptied, &|a| emptied(10, 5, a), &|a| {
                emptied(10, 4, a)
            }),
            (Guard::Emptied, &|a| emptied(9, 1, a), &|a| emptied(9, 0, a)),
            (Guard::Emptied, &|a| emptied(0, 0, a), &|a| emptied(1, 0, a)),
            (Guard::Site, &|a| site(21, 11, a), &|a| site(21, 10, a)),
            (Guard::Site, &|a| site(0, 0, a), &|a| site(1, 0, a)),
        ];
        let none = BTreeSet::new();
        for (at, (guard, within, beyond)) in cases.into_iter().enumerate() {
            assert_eq!(within(&none), Ok(()), "{at}");
            assert_eq!(beyond(&none).unwrap_err().guard, guard, "{at}");
            assert_eq!(beyond(&BTreeSet::from([guard])), Ok(()), "{at}");
        }
    }
}
