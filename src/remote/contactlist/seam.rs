//! The keys by which rows of pages are compared, and the join of two neighbouring pages. Pure.

use std::collections::HashMap;

use roaring::RoaringTreemap;

use crate::model::{RemoteItem, RemoteRecord, Stamp};

/// What tells one state of a record from another: its stamp, or a digest where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(i64);

impl Mark {
    fn stamp(micros: i64) -> Self {
        Self(micros << 1)
    }

    fn digest(bytes: &[u8]) -> Self {
        Self(hash(bytes) as i64 | 1)
    }

    /// Whether this may be the state of a record that was modified after `limit`; without a stamp, or a limit, it may.
    fn is_after(self, limit: Option<Stamp>) -> bool {
        let limit = limit.map(|limit| Self::stamp(limit.0.and_utc().timestamp_micros()));
        self.0 & 1 == 1 || limit.is_none_or(|limit| self.0 > limit.0)
    }

    /// Whether a record that was seen with `known` has been modified since: a later stamp, or another content where
    /// there is no stamp to go by.
    pub(super) fn supersedes(self, known: Self) -> bool {
        if (self.0 | known.0) & 1 == 1 {
            self != known
        } else {
            self.0 > known.0
        }
    }
}

/// A row of a page, as seams see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowKey {
    /// The id; `None` where it can't be read.
    pub id: Option<i64>,
    /// The state of the record.
    pub mark: Mark,
}

impl RowKey {
    /// The key of an item.
    pub(super) fn of(item: &RemoteItem) -> Self {
        match item {
            RemoteItem::Record(RemoteRecord { id, stamp, .. }) => Self {
                id: id.0.parse().ok(),
                mark: match stamp {
                    Some(stamp) => Mark::stamp(stamp.0.and_utc().timestamp_micros()),
                    None => Mark::digest(id.0.as_bytes()),
                },
            },
            RemoteItem::Bad(bad) => Self {
                id: bad.id.as_ref().and_then(|id| id.0.parse().ok()),
                mark: Mark::digest(&bad.raw),
            },
        }
    }

    /// Whether both are the same row, whatever state it is in. Rows without id are known by their content.
    pub(super) fn same_row(self, other: Self) -> bool {
        match (self.id, other.id) {
            (None, None) => self.mark == other.mark,
            (mine, others) => mine == others,
        }
    }

    /// A digest of a whole page in its order.
    pub(super) fn digest_all(keys: &[Self]) -> u64 {
        let mut bytes = Vec::with_capacity(keys.len() * 17);
        for key in keys {
            bytes.push(u8::from(key.id.is_some()));
            bytes.extend_from_slice(&key.id.unwrap_or_default().to_le_bytes());
            bytes.extend_from_slice(&key.mark.0.to_le_bytes());
        }
        hash(&bytes)
    }
}

/// What a record that is shown is to a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Not shown before.
    First,
    /// Shown before, and modified since.
    Modified,
    /// Shown before, and not known to be modified since.
    Again,
}

/// Which records a reading has shown, and the states of those that may be modified while it goes on: what grows with the set
/// is a bitmap of ids.
#[derive(Default)]
pub(super) struct Sightings {
    ids: RoaringTreemap,
    /// Who is not in here showed a state from before the limit.
    marks: HashMap<i64, Mark>,
}

impl Sightings {
    /// Notes that `id` is shown as `mark`. What was modified before `limit` was so before the reading began: shown twice, it is
    /// the same state as far as a reading can tell, whatever an odd replica made of it.
    pub(super) fn sight(&mut self, id: i64, mark: Mark, limit: Option<Stamp>) -> Sight {
        let is_new = self.ids.insert(id as u64);
        let may_move = mark.is_after(limit);
        let sight = match self.marks.get(&id) {
            _ if is_new => Sight::First,
            Some(known) if mark.supersedes(*known) => Sight::Modified,
            None if may_move => Sight::Modified,
            _ => Sight::Again,
        };
        if sight == Sight::Modified || (sight == Sight::First && may_move) {
            self.marks.insert(id, mark);
        }
        sight
    }

    /// How many ids were shown.
    pub(super) fn count(&self) -> u64 {
        self.ids.len()
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// How a page follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seam {
    /// The first `overlap` rows were read with the page before; nothing lies unread between the two.
    Holds {
        /// Rows of the new page that are known already.
        overlap: usize,
    },
    /// The pages share no row: the set moved far, or the service does not answer at this offset.
    Disjoint,
    /// The set moved, for this reason.
    Broken(&'static str),
}

/// Joins `page` to `tail`, the page before it, of which row `expected` should come first now.
pub(super) fn join(tail: &[RowKey], page: &[RowKey], expected: usize) -> Seam {
    let Some(first) = page.first() else {
        return Seam::Disjoint;
    };
    let at = if tail.get(expected).is_some_and(|row| row.same_row(*first)) {
        expected
    } else {
        match tail.iter().rposition(|row| row.same_row(*first)) {
            Some(at) => at,
            None => return Seam::Disjoint,
        }
    };
    let known = &tail[at..];
    let Some(again) = page.get(..known.len()) else {
        return Seam::Broken("rows that were there before are gone");
    };
    if !known.iter().zip(again).all(|(old, new)| old.same_row(*new)) {
        return Seam::Broken("the shared rows of two neighbouring pages differ");
    }
    let holds = |pair: &(RowKey, RowKey)| pair.0.mark == pair.1.mark;
    let kept: Vec<Mark> = known
        .iter()
        .copied()
        .zip(again.iter().copied())
        .filter(holds)
        .map(|(row, _)| row.mark)
        .collect();
    if kept.is_empty() {
        return Seam::Broken("all shared rows of two neighbouring pages were modified");
    }
    // A shift is told from a shuffle by two rows of different seconds, which no shuffle exchanges.
    if at != expected && !kept.iter().any(|mark| *mark != kept[0]) {
        return Seam::Broken("the list shifted among records of one second");
    }
    Seam::Holds {
        overlap: known.len(),
    }
}
