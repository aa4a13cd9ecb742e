//! Snapshots as PostgreSQL writes them: which transactions were over at one moment.
//!
//! A sequence number would not do as a position: numbers are given before the transactions commit, and a lower one may come
//! to light after a higher one was read. Pure.

/// `xmin:xmax:xip,…` of `pg_current_snapshot()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Everything below it was over.
    pub(super) floor: u64,
    /// Everything from it on had not begun.
    pub(super) ceiling: u64,
    /// What between the two was under way, in order.
    running: Vec<u64>,
}

impl Snapshot {
    /// Reads one; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let floor = parts.next()?.parse().ok()?;
        let ceiling = parts.next()?.parse().ok()?;
        let running = parts
            .next()?
            .split(',')
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let is_one = parts.next().is_none()
            && floor > 0
            && floor <= ceiling
            && running.is_sorted()
            && running.iter().all(|one| (floor..ceiling).contains(one));
        is_one.then_some(Self {
            floor,
            ceiling,
            running,
        })
    }

    /// Whether everything that was over at `older` was over here too.
    pub(super) fn covers(&self, older: &Self) -> bool {
        self.ceiling >= older.ceiling
            && self
                .running
                .iter()
                .filter(|one| **one < older.ceiling)
                .all(|one| older.running.binary_search(one).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::parse(text).unwrap()
    }

    #[test]
    fn a_later_moment_covers_an_earlier_one_and_not_the_other_way_round() {
        let moments = [
            "10:10:",
            "10:12:10",
            "10:14:10,12",
            "12:14:12",
            "14:14:",
            "15:20:15,17",
        ];
        for (at, one) in moments.iter().enumerate() {
            for (other_at, other) in moments.iter().enumerate() {
                assert_eq!(
                    snapshot(one).covers(&snapshot(other)),
                    at >= other_at,
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_snapshot_is_none() {
        for text in [
            "", "1", "1:2", "0:2:", "3:2:", "1:5:9", "1:5:3,2", "1:5::", "a:b:", "1:5:2:3",
        ] {
            assert_eq!(Snapshot::parse(text), None, "{text}");
        }
    }
}
