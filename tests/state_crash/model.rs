//! What the writer commits, as a function of a seed and the number of the commit, so that anyone can replay it.

use std::collections::BTreeMap;

use contactbridge::state::{AnyStore, Batch, StateStore, Table};

/// A small generator with a fixed sequence per seed (splitmix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.roll(u64::MAX).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// How a writer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    pub seed: u64,
    /// Writes in a commit: half of it to one and a half.
    pub writes: u64,
    /// Keys that are written, over and over.
    pub keys: u64,
    /// Commits that may be on their way at a time.
    pub window: usize,
    /// Close and open again after so many commits; 0: never.
    pub reopen: u64,
    /// Values of 40 and 150 KB now and then.
    pub large: bool,
}

const CURSOR: &[u8] = b"cursor";

impl Habits {
    /// The batch of commit `number`, counted from 1. Links, their index and a cursor in one, 20 % deletions.
    pub fn batch(&self, number: u64) -> Batch {
        let mut dice = Dice(self.seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut batch = Batch::new();
        let count = self.writes / 2 + dice.roll(self.writes + 1);
        for _ in 0..count / 2 {
            let id = dice.roll(self.keys);
            let key = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            if dice.roll(5) == 0 {
                batch.remove(Table::Link, key);
                batch.remove(Table::ByLocal, id.to_be_bytes());
            } else {
                let length = 60 + dice.roll(250) as usize;
                batch.put(Table::Link, key, dice.bytes(length));
                batch.put(Table::ByLocal, id.to_be_bytes(), dice.bytes(16));
            }
        }
        if self.large && dice.roll(10) == 0 {
            let key = dice.roll(6).to_be_bytes();
            match dice.roll(3) {
                0 => batch.remove(Table::Quarantine, key),
                1 => batch.put(Table::Quarantine, key, dice.bytes(40_000)),
                _ => batch.put(Table::Quarantine, key, dice.bytes(150_000)),
            }
        }
        batch.put(Table::Meta, CURSOR, number.to_be_bytes());
        batch
    }
}

/// What must be in a store after so many commits.
#[derive(Default)]
pub struct Replay {
    pub commits: u64,
    map: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Replay {
    pub fn advance(&mut self, habits: &Habits, to: u64) {
        while self.commits < to {
            self.commits += 1;
            for (table, key, value) in habits.batch(self.commits).writes {
                match value {
                    Some(value) => self.map.insert((table, key), value),
                    None => self.map.remove(&(table, key)),
                };
            }
        }
    }

    /// Whether the store holds just this; else what is wrong.
    pub async fn compare(&self, store: &AnyStore) -> Result<(), String> {
        for table in Table::ALL {
            let found = all(store, table).await?;
            let expected: Vec<_> = self
                .map
                .iter()
                .filter(|((other, _), _)| *other == table)
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            if found != expected {
                let stale = found.iter().filter(|pair| !expected.contains(pair)).count();
                return Err(format!(
                    "table {table:?} after {} commits: {} keys found, {} expected, {stale} of those found are not right",
                    self.commits,
                    found.len(),
                    expected.len()
                ));
            }
        }
        Ok(())
    }
}

/// All pairs of a table, but for those of the store's own.
pub async fn all(store: &AnyStore, table: Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>, String> {
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store
            .range(table, after.as_deref(), 2000)
            .await
            .map_err(|error| error.to_string())?;
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        after = Some(last.clone());
        found.extend(
            page.into_iter()
                .filter(|(key, _)| table != Table::Meta || !key.starts_with(b"store.")),
        );
    }
}

/// How many commits a store has seen.
pub async fn cursor(store: &AnyStore) -> Result<u64, String> {
    let value = store
        .get(Table::Meta, CURSOR)
        .await
        .map_err(|error| error.to_string())?;
    Ok(value.map_or(0, |value| {
        u64::from_be_bytes(value.try_into().expect("the cursor has eight bytes"))
    }))
}
