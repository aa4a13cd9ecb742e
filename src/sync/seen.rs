//! What a full read has shown, in little memory: ids take some bits each where they are numbers, as those of every service
//! known are, and digests take eight bytes and a little.
//!
//! It must not know what an id or a digest means.

use std::hash::{DefaultHasher, Hash, Hasher};

use roaring::RoaringTreemap;

use crate::model::{Digest, RemoteId};

/// Digits of a number that leaves room for its length: `007` is another id than `7`.
const DIGITS_MAX: usize = 16;

/// A set of ids.
#[derive(Debug, Default)]
pub struct SeenIds {
    numbers: RoaringTreemap,
    others: SeenDigests,
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
            None => self.others.contains(digest(id)),
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

fn digest(id: &RemoteId) -> Digest {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    Digest(hasher.finish())
}

/// Bits of a digest that tell its list: a list of a million digests has some 250, and one of ten million still moves quickly.
const LIST_BITS: u32 = 12;

/// A set of digests in short sorted lists: a table with room to spare takes up to 18 bytes for each, and twice that whenever it
/// grows. Digests are spread evenly, so the lists are equally long.
#[derive(Debug, Default)]
pub struct SeenDigests(Vec<Vec<u64>>);

impl SeenDigests {
    /// Whether it is new.
    pub(crate) fn insert(&mut self, Digest(digest): Digest) -> bool {
        if self.0.is_empty() {
            self.0.resize(1 << LIST_BITS, Vec::new());
        }
        let list = &mut self.0[list_of(digest)];
        let Err(place) = list.binary_search(&digest) else {
            return false;
        };
        if list.len() == list.capacity() {
            list.reserve_exact(list.len() / 8 + 4);
        }
        list.insert(place, digest);
        true
    }

    fn contains(&self, Digest(digest): Digest) -> bool {
        let list = self.0.get(list_of(digest));
        list.is_some_and(|list| list.binary_search(&digest).is_ok())
    }
}

fn list_of(digest: u64) -> usize {
    (digest >> (u64::BITS - LIST_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_is_a_set_of_digests(digests in proptest::collection::vec((0..3_u64, 0..9_u64), 0..60)) {
            let (mut seen, mut plain) = (SeenDigests::default(), HashSet::new());
            for (high, low) in digests {
                let digest = Digest(high << 62 | low);
                prop_assert_eq!(seen.contains(digest), plain.contains(&digest));
                prop_assert_eq!(seen.insert(digest), plain.insert(digest));
                prop_assert!(seen.contains(digest));
            }
        }

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
