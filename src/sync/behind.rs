//! Records that are older than what is known of them: a replica that lags, or a backup of the CRM that was put back (hazard H-63).
//!
//! It tells the two apart, and stops a run for the second. It writes to neither side, only into the state what the next run must know.

use chrono::Duration;

use crate::local::Local;
use crate::model::{Result, Stamp, World};
use crate::remote::Remote;
use crate::state::{Batch, StateStore, Table};

use super::collect::Collected;
use super::guard::Stop;
use super::memory::{Link, Review, ReviewKind, Side, Tomb, dirty_remote, put_facts};
use super::report::Guard;
use super::review::OLDER;
use super::run::Run;
use super::view::RemoteView;
use super::{Engine, Halt};

/// So many records older than what was agreed, or one per cent of the links, are a restored backup, not an oddity.
const REWOUND_FROM: u64 = 3;

/// How a record stands to what is known of it, by its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// As new or newer, or nothing tells.
    Current,
    /// Older, and what is known is so young that whoever answered may not have heard of it yet.
    Behind,
    /// Older, although what is known is older than the overlap.
    WentBack,
}

/// The overlap of two scans is the time within which a service must show what it took in.
pub(crate) fn age(
    seen: Option<Stamp>,
    known: Option<Stamp>,
    now: Option<Stamp>,
    overlap: Duration,
) -> Age {
    let (Some(seen), Some(known)) = (seen, known) else {
        return Age::Current;
    };
    if seen.0 >= known.0 {
        return Age::Current;
    }
    match now {
        // A time that lies in the future says nothing (H-07).
        Some(now) if known.0 > now.0 => Age::Current,
        Some(now) if now.0 - known.0 <= overlap => Age::Behind,
        _ => Age::WentBack,
    }
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Whether a record is older than one that this bridge has seen. Never where the service tells how things stand now, nor of a
    /// backup that was accepted.
    pub(crate) fn age(&self, run: &Run, seen: Option<Stamp>, known: Option<Stamp>) -> Age {
        if run.current || run.rewound == Some(Side::Remote) {
            return Age::Current;
        }
        // In an hour that the zone has twice the earlier wall time may be the later one (H-08).
        if [seen, known]
            .into_iter()
            .flatten()
            .any(|at| self.remote.is_ambiguous(at))
        {
            return Age::Current;
        }
        age(seen, known, self.remote.server_time(), self.overlap())
    }

    fn overlap(&self) -> Duration {
        Duration::from_std(self.rules.overlap).unwrap_or_default()
    }

    /// Whether the contact was made or edited just now, so that a replica that lags may not know it yet.
    pub(crate) fn is_recent(&self, run: &Run, link: &Link) -> bool {
        let times = link.stamp.zip(self.remote.server_time());
        !run.current && times.is_some_and(|(stamp, now)| (now.0 - stamp.0).abs() <= self.overlap())
    }

    /// Whether a contact that is missing may only be younger than a backup that was put back. Once asked, a person answers.
    pub(crate) fn may_be_younger(&self, run: &Run, link: &Link) -> bool {
        run.went_back || self.waits(run, &dirty_remote(&link.remote), ReviewKind::Delete)
    }

    /// Whether a person is asked what of the contact is an edit, and what came with a backup.
    pub(crate) fn is_doubted(&self, run: &Run, link: &Link) -> bool {
        self.doubt(run, link).is_some()
    }

    /// What a person is asked for that reason.
    fn doubt<'r>(&self, run: &'r Run, link: &Link) -> Option<&'r Review> {
        let review = run.reviews.get(&dirty_remote(&link.remote));
        review.filter(|review| review.code == OLDER)
    }

    /// Whether that is asked still, now that the contact shows this. About a deletion it is, until the contact is edited: an edit wins
    /// over what a person was asked, or said, before it (P4).
    pub(crate) fn stays_in_doubt(
        &self,
        run: &Run,
        link: &Link,
        remote: Option<&RemoteView>,
    ) -> bool {
        self.doubt(run, link).is_some_and(|review| {
            review.kind == ReviewKind::Conflict
                || remote.is_none_or(|view| {
                    view.stamp <= run.known(link)
                        || self.content_of(run, Some(view), None) == review.content
                })
        })
    }

    /// Whether a contact that was found dead shows itself as it was before that, no longer ago than the overlap.
    pub(crate) fn is_just_buried(&self, tomb: &Tomb, seen: Option<Stamp>) -> bool {
        let ahead = self.remote.clock_difference().unwrap_or_default();
        self.world.now() - tomb.at <= self.overlap()
            && seen.is_some_and(|seen| {
                !self.remote.is_ambiguous(seen) && self.remote.instant(seen) - ahead <= tomb.at
            })
    }

    /// Whoever was behind is looked at again by the next run.
    pub(crate) fn look_at_behind(&self, run: &mut Run, collected: &mut Collected) {
        for id in std::mem::take(&mut collected.behind) {
            let mark = run.mark();
            run.held_batch.put(Table::Inbox, dirty_remote(&id), mark);
        }
    }

    /// H-63: a side whose records are older than what was agreed was restored from a backup.
    pub(crate) async fn check_rewound(
        &self,
        run: &mut Run,
        collected: &Collected,
    ) -> Result<(), Halt> {
        run.went_back = collected.older > 0 && run.rewound.is_none();
        let newest = run
            .scan_end
            .as_ref()
            .and_then(|end| end.newest)
            .map(|stamp| stamp.0);
        let fell_back = run.full
            && matches!((newest, run.facts.watermark), (Some(newest), Some(watermark)) if newest < watermark);
        // The newest contact may just have been deleted; a backup also shows contacts as they were before.
        let fell_back = fell_back && collected.older > 0;
        let many = collected.older >= REWOUND_FROM.max(run.facts.links / 100);
        if !fell_back && !many || run.facts.links == 0 || run.relink || run.rewound.is_some() {
            return Ok(());
        }
        if !run.accept.contains(&Guard::Rewound) {
            let reason = format!(
                "The CRM is older than what was agreed ({} records went back in time): it was restored from a backup",
                collected.older
            );
            return Err(Stop {
                guard: Guard::Rewound,
                reason,
            }
            .into());
        }
        (run.rewound, run.went_back) = (Some(Side::Remote), false);
        run.facts.rewound = true;
        if !run.dry {
            // Cut off, it goes on in the next run: nobody could tell any more what is left to carry back.
            let mut batch = Batch::new();
            put_facts(&mut batch, &run.facts);
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_record_is_behind_until_the_newer_one_is_older_than_the_overlap() {
        let at = |seconds: i64| {
            let day = chrono::NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
            let midnight = day.and_hms_opt(0, 0, 0).unwrap();
            Some(Stamp(midnight + Duration::seconds(seconds)))
        };
        let cases = [
            (at(100), at(100), at(120), Age::Current),
            (at(101), at(100), at(120), Age::Current),
            (at(99), at(100), at(100), Age::Behind),
            (at(0), at(100), at(160), Age::Behind),
            (at(0), at(100), at(161), Age::WentBack),
            (at(99), at(100), at(161), Age::WentBack),
            (at(99), at(100), None, Age::WentBack),
            (at(0), at(201), at(200), Age::Current),
            (None, at(100), at(200), Age::Current),
            (at(0), None, at(200), Age::Current),
        ];
        for (seen, known, now, expected) in cases {
            let got = age(seen, known, now, Duration::seconds(60));
            assert_eq!(got, expected, "{seen:?} {known:?} {now:?}");
        }
    }
}
