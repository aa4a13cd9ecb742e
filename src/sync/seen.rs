//! The ids that a full read has shown: some bits a contact where ids are numbers, as those of every service known are.
//!
//! It must not know what an id means.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use roaring::RoaringTreemap;

use crate::model::RemoteId;

/// Digits of a number that leaves room for its length: `007` is another id than `7`.
const DIGITS_MAX: usize = 16;

/// A set of ids.
#[derive(Debug, Default)]
pub struct SeenIds {
    numbers: RoaringTreemap,
    /// Digests of other ids, 64 bits each.
    others: HashSet<u64>,
}

impl SeenIds {
    /// Whether it is new.
    pub(crate) fn insert(&mut self, id: &RemoteId) -> bool {
        match number(id) {
            Some(number) => self.numbers.insert(number),
            None => self.others.insert(digest(id)),
        }
    }

    pub(crate) fn contains(&self, id: &RemoteId) -> bool {
        match number(id) {
            Some(number) => self.numbers.contains(number),
            None => self.others.contains(&digest(id)),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A number of its own for each id of digits alone.
fn number(id: &RemoteId) -> Option<u64> {
    let text = id.0.as_str();
    let is_number =
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = is_number.then(|| text.parse().ok())??;
    Some((text.len() as u64) << 56 | value)
}

fn digest(id: &RemoteId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_texts(ids in proptest::collection::vec("0{0,2}[0-9]{0,2}|[0-9]{15,18}|[a-b]{0,2}", 0..40)) {
            let (mut seen, mut texts) = (SeenIds::default(), HashSet::new());
            for text in &ids {
                let id = RemoteId(text.clone());
                prop_assert_eq!(seen.contains(&id), texts.contains(text));
                prop_assert_eq!(seen.insert(&id), texts.insert(text.clone()));
                prop_assert!(seen.contains(&id));
            }
            seen.clear();
            prop_assert!(!ids.iter().any(|text| seen.contains(&RemoteId(text.clone()))));
        }
    }
}
