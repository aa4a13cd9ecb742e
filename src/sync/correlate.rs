//! Finds the pairs among newcomers: which new contact and which new row are one person (sync-semantics, table C).
//!
//! Pure. A match counts only where exactly one contact and one row answer to it; everything else is held for a person,
//! because a wrong link can't be told from a right one later.

use std::collections::HashMap;

use crate::model::Digest;

/// A record without a link, as far as matching is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newcomer {
    /// Per match rule, in the mapping's order: digest of its value, `None` where empty.
    pub keys: Vec<Option<Digest>>,
    /// Digest of the External ID.
    pub external: Option<Digest>,
    /// Digest of the e-mail key.
    pub email: Option<Digest>,
    /// A person said that this is a person of its own: it is matched with nobody.
    pub separate: bool,
}

/// Why a newcomer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// C3, C4: the match is not one to one.
    Ambiguous,
    /// C5: another contact has the External ID.
    ExternalTaken,
    /// C6: another contact has the e-mail address: what the service would make of it is its whim (hazard H-25).
    EmailTaken,
    /// C7: another new row has the same External ID or e-mail address and goes first (hazard H-43).
    Twin,
}

/// Someone who answers to the same match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// A new contact, by its place among the remotes.
    Remote(usize),
    /// A new row, by its place among the locals.
    Local(usize),
    /// A known contact, by its place among the known.
    Known(usize),
}

/// What became of each newcomer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// One person with the newcomer at this place on the other side.
    Pair(usize),
    /// Has no counterpart.
    Alone,
    /// Waits for a person.
    Held(Why, Vec<Candidate>),
}

/// The fates of all newcomers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// One per new contact.
    pub remotes: Vec<Fate>,
    /// One per new row.
    pub locals: Vec<Fate>,
}

#[derive(Default)]
struct Answering {
    remotes: Vec<usize>,
    locals: Vec<usize>,
    known: Vec<usize>,
}

/// Correlates. `known` are contacts that are linked already, or known and unlinked, among those that share a key with a newcomer.
pub fn correlate(remotes: &[Newcomer], locals: &[Newcomer], known: &[Newcomer]) -> Correlation {
    let mut fates = Correlation {
        remotes: vec![Fate::Alone; remotes.len()],
        locals: vec![Fate::Alone; locals.len()],
    };
    let rules = remotes
        .iter()
        .chain(locals)
        .map(|newcomer| newcomer.keys.len())
        .max()
        .unwrap_or(0);
    for rule in 0..rules {
        let answering = group(
            remotes.iter().map(|newcomer| open_key(newcomer, rule)),
            locals.iter().map(|newcomer| open_key(newcomer, rule)),
            known
                .iter()
                .map(|newcomer| newcomer.keys.get(rule).copied().flatten()),
            &fates,
        );
        for group in answering {
            settle_group(&group, remotes, locals, known, &mut fates);
        }
    }
    refuse_collisions(remotes, locals, known, &mut fates);
    fates
}

/// Two records with different External IDs are two people, whatever else they share.
fn contradict(a: &Newcomer, b: &Newcomer) -> bool {
    matches!((a.external, b.external), (Some(a), Some(b)) if a != b)
}

fn settle_group(
    group: &Answering,
    remotes: &[Newcomer],
    locals: &[Newcomer],
    known: &[Newcomer],
    fates: &mut Correlation,
) {
    if let ([remote], [local], []) = (&group.remotes[..], &group.locals[..], &group.known[..])
        && !contradict(&remotes[*remote], &locals[*local])
    {
        // C1: exactly one and one.
        fates.remotes[*remote] = Fate::Pair(*local);
        fates.locals[*local] = Fate::Pair(*remote);
        return;
    }
    for &remote in &group.remotes {
        let me = &remotes[remote];
        let mut candidates: Vec<Candidate> = group
            .locals
            .iter()
            .filter(|&&local| !contradict(me, &locals[local]))
            .map(|&local| Candidate::Local(local))
            .collect();
        candidates.extend(
            group
                .known
                .iter()
                .filter(|&&other| !contradict(me, &known[other]))
                .map(|&other| Candidate::Known(other)),
        );
        // C2: several new contacts and no row: each is a person of its own, as the CRM has it.
        if !candidates.is_empty() {
            candidates.extend(
                group
                    .remotes
                    .iter()
                    .filter(|&&other| other != remote)
                    .map(|&other| Candidate::Remote(other)),
            );
            fates.remotes[remote] = Fate::Held(Why::Ambiguous, candidates);
        }
    }
    for &local in &group.locals {
        let me = &locals[local];
        let mut candidates: Vec<Candidate> = group
            .remotes
            .iter()
            .filter(|&&remote| !contradict(&remotes[remote], me))
            .map(|&remote| Candidate::Remote(remote))
            .collect();
        candidates.extend(
            group
                .known
                .iter()
                .filter(|&&other| !contradict(me, &known[other]))
                .map(|&other| Candidate::Known(other)),
        );
        if !candidates.is_empty() {
            candidates.extend(
                group
                    .locals
                    .iter()
                    .filter(|&&other| other != local)
                    .map(|&other| Candidate::Local(other)),
            );
            fates.locals[local] = Fate::Held(Why::Ambiguous, candidates);
        }
    }
}

/// A new row becomes a contact only when nobody else has its External ID or its e-mail address.
fn refuse_collisions(
    remotes: &[Newcomer],
    locals: &[Newcomer],
    known: &[Newcomer],
    fates: &mut Correlation,
) {
    type Identity = fn(&Newcomer) -> Option<Digest>;
    let identities: [(Identity, Why); 2] = [
        (|newcomer| newcomer.external, Why::ExternalTaken),
        (|newcomer| newcomer.email, Why::EmailTaken),
    ];
    for (identity, why) in identities {
        let mut taken: HashMap<Digest, Vec<Candidate>> = HashMap::new();
        for (place, contact) in remotes.iter().enumerate() {
            if let Some(key) = identity(contact) {
                taken.entry(key).or_default().push(Candidate::Remote(place));
            }
        }
        for (place, contact) in known.iter().enumerate() {
            if let Some(key) = identity(contact) {
                taken.entry(key).or_default().push(Candidate::Known(place));
            }
        }
        // A person may call a row separate, but only its own External ID keeps the service from taking it for the other. Its address
        // is taken all the same.
        let is_apart =
            |row: &Newcomer| row.separate && row.external.is_some() && why == Why::EmailTaken;
        let alone = |fates: &Correlation, place: usize| fates.locals[place] == Fate::Alone;
        let mut first: HashMap<Digest, usize> = HashMap::new();
        for (place, row) in locals.iter().enumerate() {
            if let (Some(key), true) = (identity(row), is_apart(row) && alone(fates, place)) {
                first.entry(key).or_insert(place);
            }
        }
        for (place, row) in locals.iter().enumerate() {
            let Some(key) = identity(row) else { continue };
            if !alone(fates, place) || is_apart(row) {
                continue;
            }
            if let Some(others) = taken.get(&key) {
                fates.locals[place] = Fate::Held(why, others.clone());
            } else if let Some(&twin) = first.get(&key) {
                fates.locals[place] = Fate::Held(Why::Twin, vec![Candidate::Local(twin)]);
            } else {
                first.insert(key, place);
            }
        }
    }
}

fn open_key(newcomer: &Newcomer, rule: usize) -> Option<Digest> {
    if newcomer.separate {
        None
    } else {
        newcomer.keys.get(rule).copied().flatten()
    }
}

fn group(
    remotes: impl Iterator<Item = Option<Digest>>,
    locals: impl Iterator<Item = Option<Digest>>,
    known: impl Iterator<Item = Option<Digest>>,
    fates: &Correlation,
) -> Vec<Answering> {
    let mut groups: HashMap<Digest, Answering> = HashMap::new();
    for (place, key) in remotes.enumerate() {
        if let (Some(key), Fate::Alone) = (key, &fates.remotes[place]) {
            groups.entry(key).or_default().remotes.push(place);
        }
    }
    for (place, key) in locals.enumerate() {
        if let (Some(key), Fate::Alone) = (key, &fates.locals[place]) {
            groups.entry(key).or_default().locals.push(place);
        }
    }
    for (place, key) in known.enumerate() {
        if let Some(key) = key
            && let Some(group) = groups.get_mut(&key)
        {
            group.known.push(place);
        }
    }
    // The order of a hash map must not show in the plan.
    let mut groups: Vec<Answering> = groups.into_values().collect();
    groups.sort_by_key(|group| {
        (
            group.remotes.first().copied(),
            group.locals.first().copied(),
        )
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A newcomer with External ID and e-mail, both of them match rules in this order; 0 is empty.
    fn person(external: u64, email: u64) -> Newcomer {
        let digest = |value: u64, kind: u64| (value != 0).then_some(Digest(value * 2 + kind));
        Newcomer {
            keys: vec![digest(external, 0), digest(email, 1)],
            external: digest(external, 0),
            email: digest(email, 1),
            separate: false,
        }
    }

    fn people(most: usize) -> impl Strategy<Value = Vec<Newcomer>> {
        let one = (0u64..4, 0u64..4, proptest::bool::weighted(0.2));
        proptest::collection::vec(one, 0..=most).prop_map(|all| {
            all.into_iter()
                .map(|(external, email, separate)| Newcomer {
                    separate,
                    ..person(external, email)
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn whoever_comes_is_paired_with_one_and_no_two_are_made_under_one_identity(
            remotes in people(5), locals in people(5), known in people(3),
        ) {
            let found = correlate(&remotes, &locals, &known);
            prop_assert_eq!(&found, &correlate(&remotes, &locals, &known), "the same twice");
            prop_assert_eq!((found.remotes.len(), found.locals.len()), (remotes.len(), locals.len()));
            for (at, fate) in found.remotes.iter().enumerate() {
                if let Fate::Pair(local) = fate {
                    prop_assert_eq!(&found.locals[*local], &Fate::Pair(at));
                    prop_assert!(!contradict(&remotes[at], &locals[*local]));
                    prop_assert!(!remotes[at].separate && !locals[*local].separate);
                }
            }
            for (at, fate) in found.locals.iter().enumerate() {
                match fate {
                    Fate::Pair(remote) => prop_assert_eq!(&found.remotes[*remote], &Fate::Pair(at)),
                    Fate::Held(_, others) => prop_assert!(!others.is_empty()),
                    Fate::Alone => {
                        let row = &locals[at];
                        let is_made = |other: usize| other != at && found.locals[other] == Fate::Alone;
                        let made = (0..locals.len()).filter(|other| is_made(*other)).map(|other| &locals[other]);
                        // The service would take the new contact for whoever is found by the same.
                        for other in remotes.iter().chain(&known).chain(made) {
                            prop_assert!(row.external.is_none() || row.external != other.external);
                            let is_apart = row.separate && row.external.is_some();
                            prop_assert!(is_apart || row.email.is_none() || row.email != other.email);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn c1_one_contact_and_one_row_are_linked_by_the_first_rule_that_tells() {
        let found = correlate(
            &[person(1, 5), person(0, 6)],
            &[person(0, 6), person(1, 9)],
            &[],
        );
        assert_eq!(found.remotes, [Fate::Pair(1), Fate::Pair(0)]);
        assert_eq!(found.locals, [Fate::Pair(1), Fate::Pair(0)]);
    }

    #[test]
    fn c2_contacts_that_share_an_address_and_meet_no_row_are_people_of_their_own() {
        let found = correlate(&[person(0, 5), person(0, 5)], &[], &[]);
        assert_eq!(found.remotes, [Fate::Alone, Fate::Alone]);
    }

    #[test]
    fn c3_two_contacts_and_one_row_are_held() {
        let found = correlate(&[person(0, 5), person(0, 5)], &[person(0, 5)], &[]);
        assert!(
            found
                .remotes
                .iter()
                .all(|fate| matches!(fate, Fate::Held(Why::Ambiguous, _)))
        );
        assert!(
            matches!(&found.locals[0], Fate::Held(Why::Ambiguous, others) if others.len() == 2)
        );
    }

    #[test]
    fn c4_a_contact_that_shares_the_address_of_a_linked_one_is_held_unless_their_external_ids_differ()
     {
        let found = correlate(&[person(0, 5)], &[], &[person(7, 5)]);
        assert_eq!(
            found.remotes,
            [Fate::Held(Why::Ambiguous, vec![Candidate::Known(0)])]
        );
        let found = correlate(&[person(8, 5)], &[], &[person(7, 5)]);
        assert_eq!(found.remotes, [Fate::Alone]);
    }

    #[test]
    fn h25_a_new_row_with_a_known_address_is_never_created() {
        let found = correlate(&[], &[person(8, 5)], &[person(7, 5)]);
        assert_eq!(
            found.locals,
            [Fate::Held(Why::EmailTaken, vec![Candidate::Known(0)])]
        );
        let found = correlate(&[person(7, 5)], &[person(8, 5)], &[]);
        assert_eq!(
            found.locals,
            [Fate::Held(Why::EmailTaken, vec![Candidate::Remote(0)])]
        );
        assert_eq!(found.remotes, [Fate::Alone]);
    }

    #[test]
    fn h43_of_two_new_rows_with_one_address_the_second_waits() {
        let found = correlate(&[], &[person(1, 5), person(2, 5), person(3, 6)], &[]);
        assert_eq!(
            found.locals,
            [
                Fate::Alone,
                Fate::Held(Why::Twin, vec![Candidate::Local(0)]),
                Fate::Alone
            ]
        );
    }

    #[test]
    fn a_newcomer_that_a_person_called_separate_is_matched_with_nobody() {
        let apart = Newcomer {
            separate: true,
            ..person(0, 5)
        };
        let found = correlate(&[apart], &[], &[person(0, 5)]);
        assert_eq!(found.remotes, [Fate::Alone]);
    }

    #[test]
    fn who_is_held_hears_of_everybody_who_answers_and_of_nobody_who_can_not_be_meant() {
        use Candidate::{Known, Local, Remote};
        let held = |others: &[Candidate]| Fate::Held(Why::Ambiguous, others.to_vec());
        let found = correlate(
            &[person(0, 5), person(0, 5)],
            &[person(0, 5), person(0, 5)],
            &[person(0, 5)],
        );
        assert_eq!(
            found.remotes,
            [
                held(&[Local(0), Local(1), Known(0), Remote(1)]),
                held(&[Local(0), Local(1), Known(0), Remote(0)]),
            ]
        );
        assert_eq!(
            found.locals,
            [
                held(&[Remote(0), Remote(1), Known(0), Local(1)]),
                held(&[Remote(0), Remote(1), Known(0), Local(0)]),
            ]
        );
        // Another External ID: another person.
        let found = correlate(&[person(1, 5)], &[person(2, 5), person(0, 5)], &[]);
        assert_eq!(found.remotes, [held(&[Local(1)])]);
        assert_eq!(
            found.locals,
            [
                Fate::Held(Why::EmailTaken, vec![Remote(0)]),
                held(&[Remote(0), Local(0)]),
            ]
        );
        let known = [person(2, 5), person(0, 5)];
        assert_eq!(
            correlate(&[person(1, 5)], &[], &known).remotes,
            [held(&[Known(1)])]
        );
        assert_eq!(
            correlate(&[], &[person(1, 5)], &known).locals,
            [held(&[Known(1)])]
        );
    }

    #[test]
    fn a_separate_row_may_share_an_address_only_under_an_external_id_of_its_own() {
        let separate = |external, email| Newcomer {
            separate: true,
            ..person(external, email)
        };
        let others = vec![Candidate::Known(0)];
        let cases = [
            (separate(8, 5), Fate::Alone),
            (separate(0, 5), Fate::Held(Why::EmailTaken, others.clone())),
            (separate(7, 6), Fate::Held(Why::ExternalTaken, others)),
        ];
        for (row, fate) in cases {
            let found = correlate(&[], std::slice::from_ref(&row), &[person(7, 5)]);
            assert_eq!(found.locals, [fate], "{row:?}");
        }
        // Whoever is new with the same address waits for the two to be told apart.
        let found = correlate(&[], &[person(0, 5), separate(8, 5)], &[]);
        assert_eq!(
            found.locals,
            [
                Fate::Held(Why::Twin, vec![Candidate::Local(1)]),
                Fate::Alone
            ]
        );
        let found = correlate(&[person(0, 5)], &[separate(0, 5)], &[]);
        assert_eq!(found.remotes, [Fate::Alone]);
        assert_eq!(
            found.locals,
            [Fate::Held(Why::EmailTaken, vec![Candidate::Remote(0)])]
        );
    }
}
