//! Chance from a seed: the same seed and the same requests give the same faults, in whatever order requests arrive.
//!
//! It must not be used for anything that has to be secret.

use std::collections::HashMap;

/// How many different requests are remembered before the counting starts anew; a test makes far fewer.
const REQUESTS_REMEMBERED_MAX: usize = 1_000_000;

/// Mixes a number thoroughly (the finaliser of SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number made of these bytes, the same on every machine.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    mix(state ^ bytes.len() as u64)
}

/// A sequence of numbers that follows from its seed.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True once in `of` times, on average.
    pub(super) fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of these; nothing when there are none.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(items.len() as u64);
        items.get(usize::try_from(at).unwrap_or(0))
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap_or(0);
            items.swap(at, other);
        }
    }
}

/// Whether a share of 0 to 1 strikes for this number.
pub(super) fn strikes(share: f64, number: u64) -> bool {
    // 53 bits: every one fits a double exactly.
    let point = (mix(number) >> 11) as f64 / (1_u64 << 53) as f64;
    point < share
}

/// Gives each request a number that depends on the seed, its text, and how often the very same text came before:
/// concurrent requests meet the same fate whichever is served first, and a retry meets a new one.
#[derive(Debug)]
pub(super) struct Fate {
    seed: u64,
    seen: HashMap<u64, u64>,
}

impl Fate {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            seen: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, request: &[u8]) -> u64 {
        if self.seen.len() >= REQUESTS_REMEMBERED_MAX {
            self.seen.clear();
        }
        let text = hash(request);
        let times = self.seen.entry(text).or_default();
        *times += 1;
        mix(self.seed ^ text).wrapping_add(*times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_strikes_about_as_often_as_it_says() {
        let hits = (0..10_000).filter(|number| strikes(0.05, *number)).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|number| strikes(0.0, number)));
        assert!((0..1000).all(|number| strikes(1.0, number)));
    }

    #[test]
    fn a_retry_meets_a_new_fate_and_order_does_not_matter() {
        let (mut one, mut two) = (Fate::new(7), Fate::new(7));
        let a = (one.of(b"a"), one.of(b"b"), one.of(b"a"));
        let (b, a1, a2) = (two.of(b"b"), two.of(b"a"), two.of(b"a"));
        assert_eq!(a, (a1, b, a2));
        assert_ne!(a.0, a.2);
        assert_ne!(Fate::new(8).of(b"a"), a.0);
    }
}
