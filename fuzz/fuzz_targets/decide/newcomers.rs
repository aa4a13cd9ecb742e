//! Table C: who is paired with whom, and who may be made.

use std::collections::HashSet;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::model::Digest;
use crate::sync::correlate::{Candidate, Correlation, Fate, Newcomer, Why, correlate};

/// So many on each side: enough for a third to stand between two.
const MOST: usize = 6;

#[derive(Debug)]
pub struct People {
    remotes: Vec<Newcomer>,
    locals: Vec<Newcomer>,
    known: Vec<Newcomer>,
}

impl<'a> Arbitrary<'a> for People {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let rules = u.int_in_range(0..=3)?;
        let some = |u: &mut Unstructured<'a>| -> Result<Vec<Newcomer>> {
            let count = u.int_in_range(0..=MOST)?;
            (0..count).map(|_| person(u, rules)).collect()
        };
        Ok(Self {
            remotes: some(u)?,
            locals: some(u)?,
            known: some(u)?,
        })
    }
}

fn person(u: &mut Unstructured<'_>, rules: usize) -> Result<Newcomer> {
    // 0 is empty; a key of one rule is never one of another.
    let key = |u: &mut Unstructured<'_>, kind: u64| -> Result<Option<Digest>> {
        let value: u64 = u.int_in_range(0..=3)?;
        Ok((value > 0).then_some(Digest(value * 8 + kind)))
    };
    let keys = (0..rules).map(|rule| key(u, rule as u64));
    Ok(Newcomer {
        keys: keys.collect::<Result<_>>()?,
        external: key(u, 6)?,
        email: key(u, 7)?,
        separate: u.ratio(1, 5)?,
    })
}

pub fn check(people: &People) {
    let People {
        remotes,
        locals,
        known,
    } = people;
    let found = correlate(remotes, locals, known);
    assert_eq!(found, correlate(remotes, locals, known), "the same twice");
    assert_eq!(found.remotes.len(), remotes.len());
    assert_eq!(found.locals.len(), locals.len());
    let mut paired = HashSet::new();
    for (at, fate) in found.remotes.iter().enumerate() {
        match fate {
            Fate::Pair(local) => {
                assert!(paired.insert(*local), "a row is paired twice: {people:?}");
                assert_eq!(found.locals[*local], Fate::Pair(at), "{people:?}");
                check_pair(people, at, *local);
            }
            Fate::Held(why, others) => {
                assert_eq!(*why, Why::Ambiguous, "only rows are made, and collide");
                check_candidates(people, others, Candidate::Remote(at), true);
            }
            Fate::Alone => {}
        }
    }
    for (at, fate) in found.locals.iter().enumerate() {
        match fate {
            Fate::Pair(remote) => assert_eq!(found.remotes[*remote], Fate::Pair(at)),
            Fate::Held(why, others) => {
                check_candidates(people, others, Candidate::Local(at), *why == Why::Ambiguous);
            }
            Fate::Alone => check_alone(people, &found, at),
        }
    }
    check_order(people, &found);
}

fn check_pair(people: &People, remote: usize, local: usize) {
    let (contact, row) = (&people.remotes[remote], &people.locals[local]);
    assert!(!contact.separate && !row.separate, "{people:?}");
    assert!(!differ(contact.external, row.external), "{people:?}");
    let shared = contact.keys.iter().zip(&row.keys);
    assert!(
        shared.into_iter().any(|(a, b)| a.is_some() && a == b),
        "they share nothing: {people:?}"
    );
}

/// Those for whom `own` is held, `matched` if they might be one person with it.
fn check_candidates(people: &People, others: &[Candidate], own: Candidate, matched: bool) {
    let of = |candidate: Candidate| match candidate {
        Candidate::Remote(at) => &people.remotes[at],
        Candidate::Local(at) => &people.locals[at],
        Candidate::Known(at) => &people.known[at],
    };
    let beside = |other: Candidate| {
        matches!(
            (own, other),
            (Candidate::Remote(_), Candidate::Remote(_))
                | (Candidate::Local(_), Candidate::Local(_))
        )
    };
    assert!(!others.is_empty(), "held for nobody: {people:?}");
    for &other in others {
        assert_ne!(other, own, "held for itself: {people:?}");
        // Two with different External IDs are two people; those on the same side compete all the same.
        let apart = differ(of(own).external, of(other).external);
        assert!(
            !(matched && apart) || beside(other),
            "{own:?} {other:?} {people:?}"
        );
    }
}

fn differ(a: Option<Digest>, b: Option<Digest>) -> bool {
    a.is_some() && b.is_some() && a != b
}

/// C5 to C7: the service would take a new contact for whoever is found by the same.
fn check_alone(people: &People, found: &Correlation, at: usize) {
    let row = &people.locals[at];
    let made = people.locals.iter().enumerate();
    let made = made.filter(|(other, _)| *other != at && found.locals[*other] == Fate::Alone);
    let others = people.remotes.iter().chain(&people.known);
    for other in others.chain(made.map(|(_, row)| row)) {
        assert!(
            row.external.is_none() || row.external != other.external,
            "{people:?}"
        );
        // A person called it one of its own, and its own External ID keeps the service from mistaking it.
        let apart = row.separate && row.external.is_some();
        assert!(
            apart || row.email.is_none() || row.email != other.email,
            "{people:?}"
        );
    }
}

/// Who is paired does not depend on the order in which people came.
fn check_order(people: &People, found: &Correlation) {
    let turned = |all: &[Newcomer]| all.iter().rev().cloned().collect::<Vec<_>>();
    let (remotes, locals) = (turned(&people.remotes), turned(&people.locals));
    let again = correlate(&remotes, &locals, &turned(&people.known));
    for (at, fate) in found.remotes.iter().enumerate() {
        let other = &again.remotes[remotes.len() - 1 - at];
        let same = match (fate, other) {
            (Fate::Pair(one), Fate::Pair(two)) => locals.len() - 1 - one == *two,
            (Fate::Alone, Fate::Alone) => true,
            (Fate::Held(_, one), Fate::Held(_, two)) => one.len() == two.len(),
            _ => false,
        };
        assert!(same, "{fate:?} or {other:?}: {people:?}");
    }
}
