//! The stable scan against a service that moves while it is read, and against services with odd habits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use chrono::NaiveDate;

use super::calls::{Calls, ListPage};
use super::feed::{PagingHabit, ScanLimits};
use super::{ContactList, PAGE_SIZE};
use crate::model::{BadRecord, Document, Error, RemoteId, RemoteItem, RemoteRecord, Result, Stamp};
use crate::remote::{Deleted, Found, LookUp, Pushed, Remote, RemoteScan, ScanEnd, ScanStep};

/// A small generator of our own, so that a seed means the same for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.next(at + 1));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Id,
    Stamp,
    /// By stamp, and those of one second anew at each call.
    ShuffledTies,
    /// Anew at each call.
    Shuffled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offsets {
    Any,
    /// Rounded down to the page they are in.
    Floor,
    /// Rounded up to the next page.
    Ceil,
    /// Refused but at multiples of 100.
    Refused,
    /// Not looked at.
    Ignored,
}

struct Set {
    rows: BTreeMap<i64, i64>,
    touched: BTreeSet<i64>,
    clock: i64,
    dice: Dice,
    next_id: i64,
    /// Calls that were sent.
    begun: usize,
    /// Calls that have reached the service.
    calls: Vec<u32>,
    pauses: Vec<Duration>,
}

struct Moving {
    set: Mutex<Set>,
    order: Order,
    offsets: Offsets,
    /// One edit in so many calls, none for 0.
    edit_in: usize,
    page_size: usize,
    /// What the service says about further records: the truth, or this.
    more: Option<bool>,
    /// Records that can't be read at all.
    nameless: BTreeSet<i64>,
    /// What to answer at these offsets, whatever the set holds: ids and seconds.
    script: BTreeMap<u32, Vec<(i64, i64)>>,
    /// The code of the error that a call at this offset ends with.
    fails: BTreeMap<u32, &'static str>,
}

impl Moving {
    fn new(seed: u64, count: i64, spread: i64, order: Order) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let rows = (1..=count)
            .map(|id| (id, dice.next(spread as usize) as i64))
            .collect();
        Self {
            set: Mutex::new(Set {
                rows,
                touched: BTreeSet::new(),
                clock: spread,
                dice,
                next_id: count + 1,
                begun: 0,
                calls: Vec::new(),
                pauses: Vec::new(),
            }),
            order,
            offsets: Offsets::Any,
            edit_in: 0,
            page_size: PAGE_SIZE,
            more: None,
            nameless: BTreeSet::new(),
            script: BTreeMap::new(),
            fails: BTreeMap::new(),
        }
    }

    fn live(&self) -> BTreeSet<i64> {
        self.set.lock().unwrap().rows.keys().copied().collect()
    }

    fn untouched(&self, before: &BTreeSet<i64>) -> BTreeSet<i64> {
        before
            .difference(&self.set.lock().unwrap().touched)
            .copied()
            .collect()
    }
}

fn stamp(second: i64) -> Stamp {
    let base = NaiveDate::from_ymd_opt(2026, 1, 1)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    Stamp(base + chrono::Duration::seconds(second))
}

impl Set {
    fn someone_edits(&mut self) {
        self.clock += self.dice.next(2) as i64;
        let ids: Vec<i64> = self.rows.keys().copied().collect();
        let id = ids.get(self.dice.next(ids.len())).copied();
        match (self.dice.next(4), id) {
            (0, _) | (_, None) => {
                self.rows.insert(self.next_id, self.clock);
                self.touched.insert(self.next_id);
                self.next_id += 1;
            }
            (1, Some(id)) => {
                self.rows.remove(&id);
                self.touched.insert(id);
            }
            (_, Some(id)) => {
                self.rows.insert(id, self.clock);
                self.touched.insert(id);
            }
        }
    }

    fn ordered(&mut self, order: Order) -> Vec<(i64, i64)> {
        let mut rows: Vec<(i64, i64)> = self.rows.iter().map(|(id, at)| (*id, *at)).collect();
        match order {
            Order::Id => {}
            Order::Stamp => rows.sort_by_key(|(id, at)| (*at, *id)),
            Order::ShuffledTies => {
                self.dice.shuffle(&mut rows);
                rows.sort_by_key(|(_, at)| *at);
            }
            Order::Shuffled => self.dice.shuffle(&mut rows),
        }
        rows
    }
}

impl Calls for Moving {
    async fn list(&self, _: Option<Stamp>, record_start: u32) -> Result<ListPage> {
        // Calls in flight reach the service in any order.
        let turns = {
            let mut set = self.set.lock().unwrap();
            set.begun += 1;
            set.dice.next(4)
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let mut set = self.set.lock().unwrap();
        set.calls.push(record_start);
        if let Some(code) = self.fails.get(&record_start) {
            return Err(Error::unreachable(code, "no such page"));
        }
        while self.edit_in > 0 && set.dice.next(self.edit_in) == 0 {
            set.someone_edits();
        }
        let asked = record_start as usize;
        let start = match self.offsets {
            Offsets::Any => asked,
            Offsets::Floor => asked / self.page_size * self.page_size,
            Offsets::Ceil => asked.div_ceil(self.page_size) * self.page_size,
            Offsets::Refused if !asked.is_multiple_of(PAGE_SIZE) => {
                return Err(Error::unreachable("E-SOAP-FAULT", "no such page"));
            }
            Offsets::Refused => asked,
            Offsets::Ignored => 0,
        };
        let mut rows = set.ordered(self.order);
        if let Some(told) = self.script.get(&record_start) {
            rows.truncate(start);
            rows.extend(told);
            // More than is told follows, but on the last page.
            rows.extend(
                self.script
                    .keys()
                    .any(|other| *other > record_start)
                    .then_some((0, 0)),
            );
        }
        let length = match self.script.get(&record_start) {
            Some(told) => told.len(),
            None => self.page_size,
        };
        let end = rows.len().min(start + length);
        let items = rows.get(start..end).unwrap_or_default().iter();
        Ok(ListPage {
            items: items
                .map(|(id, at)| {
                    if self.nameless.contains(id) {
                        RemoteItem::Bad(BadRecord {
                            id: None,
                            code: "Q-ID",
                            reason: "no entityId".to_owned(),
                            raw: id.to_le_bytes().to_vec(),
                        })
                    } else {
                        RemoteItem::Record(RemoteRecord {
                            id: RemoteId(id.to_string()),
                            stamp: Some(stamp(*at)),
                            deleted: false,
                            document: Document::new(),
                        })
                    }
                })
                .collect(),
            more: self.more.unwrap_or(end < rows.len()),
            server_time: Some(stamp(set.clock)),
        })
    }

    async fn look_up(&self, _: &LookUp) -> Result<Found> {
        unreachable!("a scan looks nothing up")
    }

    async fn update_insert(&self, _: &[Document]) -> Result<Pushed> {
        unreachable!("a scan writes nothing")
    }

    async fn delete(&self, _: &RemoteId) -> Result<Deleted> {
        unreachable!("a scan deletes nothing")
    }

    async fn pause(&self, span: Duration) {
        self.set.lock().unwrap().pauses.push(span);
    }

    fn requests(&self) -> u64 {
        self.set.lock().unwrap().calls.len() as u64
    }

    fn server_time(&self) -> Option<Stamp> {
        None
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        None
    }
}

struct Read {
    ids: BTreeSet<i64>,
    bad: usize,
    restarts: usize,
    end: Result<ScanEnd>,
}

fn read(remote: &ContactList<Moving>) -> Read {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut scan = remote.scan(None).await.unwrap();
        let mut read = Read {
            ids: BTreeSet::new(),
            bad: 0,
            restarts: 0,
            end: Err(Error::unexpected("E-TEST", "not ended")),
        };
        loop {
            match scan.next().await {
                Ok(ScanStep::Records(items)) => {
                    assert!(!items.is_empty());
                    for item in items {
                        match item {
                            RemoteItem::Record(record) => {
                                read.ids.insert(record.id.0.parse().unwrap());
                            }
                            RemoteItem::Bad(_) => read.bad += 1,
                        }
                    }
                }
                Ok(ScanStep::Restarted) => {
                    read.restarts += 1;
                    read.ids.clear();
                    read.bad = 0;
                }
                Ok(ScanStep::End(end)) => {
                    read.end = Ok(end);
                    return read;
                }
                Err(error) => {
                    read.end = Err(error);
                    return read;
                }
            }
        }
    })
}

fn remote(calls: Moving, prefetch: usize) -> ContactList<Moving> {
    let limits = ScanLimits {
        prefetch,
        ..ScanLimits::default()
    };
    ContactList::new(calls, chrono_tz::UTC, limits)
}

#[test]
fn a_set_at_rest_is_read_whole_in_every_order() {
    for order in [Order::Id, Order::Stamp] {
        for count in [
            0, 1, 99, 100, 101, 105, 195, 196, 200, 201, 995, 1_000, 1_234,
        ] {
            for prefetch in [1, 4, 8] {
                let remote = remote(Moving::new(7, count, 5_000, order), prefetch);
                let read = read(&remote);
                let end = read.end.unwrap();
                assert_eq!(end.count, count as u64, "{order:?} {count} {prefetch}");
                assert_eq!(read.ids.len(), count as usize);
                assert_eq!(read.restarts, 0);
                assert_eq!(remote.paging_habit(), PagingHabit::AnyOffset);
            }
        }
    }
}

#[test]
fn a_page_alone_takes_one_call() {
    let remote = remote(Moving::new(1, 100, 50, Order::Stamp), 8);
    assert_eq!(read(&remote).end.unwrap().count, 100);
    assert_eq!(remote.requests(), 1);
}

#[test]
fn an_import_in_one_second_is_read_like_any_other() {
    let remote = remote(Moving::new(3, 1_000, 1, Order::Id), 4);
    assert_eq!(read(&remote).end.unwrap().count, 1_000);
}

/// Rounds in which somebody edits between any two calls: nothing that kept still is missed.
fn rounds(
    order: Order,
    spread: i64,
    edit_in: usize,
    seeds: std::ops::Range<u64>,
) -> (usize, usize) {
    let (mut ended, mut healed) = (0, 0);
    for seed in seeds {
        let count = 150 + (seed as i64 * 37) % 900;
        let mut calls = Moving::new(seed + 1, count, spread, order);
        calls.edit_in = edit_in;
        let before = calls.live();
        let remote = remote(calls, 1 + seed as usize % 8);
        let read = read(&remote);
        match read.end {
            Ok(_) => {
                ended += 1;
                if read.restarts == 0 {
                    healed += 1;
                }
                let missed: Vec<i64> = remote
                    .calls()
                    .untouched(&before)
                    .difference(&read.ids)
                    .copied()
                    .collect();
                assert!(missed.is_empty(), "{order:?} seed {seed} missed {missed:?}");
            }
            Err(error) => assert_eq!(error.code(), "E-SCAN-UNSTABLE", "{order:?} seed {seed}"),
        }
    }
    (ended, healed)
}

#[test]
fn h01_shifted_page_is_not_skipped() {
    for order in [Order::Id, Order::Stamp] {
        let (ended, healed) = rounds(order, 4_000, 3, 0..150);
        assert!(
            ended >= 140,
            "{order:?}: only {ended} of 150 came to an end"
        );
        assert!(healed >= 40, "{order:?}: only {healed} of 150 healed");
    }
}

#[test]
fn h02_insertions_before_the_place_of_reading_harm_nothing() {
    let (ended, _) = rounds(Order::Id, 3, 2, 1_000..1_080);
    assert!(ended > 20, "{ended}");
}

#[test]
fn h03_shuffled_ties_are_noticed_or_read_whole() {
    rounds(Order::ShuffledTies, 40, 6, 2_000..2_080);
    let (ended, _) = rounds(Order::ShuffledTies, 20_000, 6, 2_300..2_500);
    assert!(ended > 20, "{ended}");
    // Where few records share a second, most scans hold.
    let (ended, _) = rounds(Order::ShuffledTies, 20_000, 0, 3_000..3_080);
    assert!(ended > 40, "{ended}");
}

#[test]
fn h03_no_order_at_all_ends_as_unstable() {
    for seed in 0..20 {
        let remote = remote(Moving::new(seed + 1, 400, 300, Order::Shuffled), 4);
        let error = read(&remote).end.unwrap_err();
        assert_eq!(error.code(), "E-SCAN-UNSTABLE");
        let pauses = remote.calls().set.lock().unwrap().pauses.clone();
        assert_eq!(pauses, [2, 8].map(Duration::from_secs));
        assert_eq!(
            remote.paging_habit(),
            PagingHabit::AnyOffset,
            "shuffling is no habit"
        );
    }
}

#[test]
fn offsets_at_hundreds_only_are_learned_and_remembered() {
    for offsets in [Offsets::Floor, Offsets::Ceil, Offsets::Refused] {
        let mut calls = Moving::new(5, 730, 900, Order::Stamp);
        calls.offsets = offsets;
        let remote = remote(calls, 4);
        let first = read(&remote);
        assert_eq!(first.end.unwrap().count, 730, "{offsets:?}");
        assert_eq!(first.ids.len(), 730);
        assert_eq!(first.restarts, 1);
        assert_eq!(remote.paging_habit(), PagingHabit::Hundreds, "{offsets:?}");
        assert_eq!(read(&remote).restarts, 0, "{offsets:?}");
    }
}

#[test]
fn strides_of_a_hundred_hold_only_if_two_readings_agree() {
    let mut missed_without = 0;
    for seed in 0..100 {
        let mut calls = Moving::new(seed + 1, 650, 3_000, Order::Stamp);
        calls.offsets = Offsets::Floor;
        calls.edit_in = 8;
        let before = calls.live();
        let remote = remote(calls, 2);
        remote.set_paging_habit(PagingHabit::Hundreds);
        let read = read(&remote);
        if let Ok(_end) = read.end {
            let kept = remote.calls().untouched(&before);
            assert!(kept.is_subset(&read.ids), "seed {seed}");
        } else {
            missed_without += 1;
        }
    }
    assert!((1..100).contains(&missed_without), "{missed_without}");
}

#[test]
fn a_service_with_shorter_pages_is_read_whole() {
    let mut calls = Moving::new(9, 333, 500, Order::Stamp);
    calls.page_size = 40;
    assert_eq!(read(&remote(calls, 4)).end.unwrap().count, 333);
}

#[test]
fn h11_more_records_for_ever_is_an_error() {
    for count in [0, 50, 100, 450] {
        let mut calls = Moving::new(2, count, 500, Order::Stamp);
        calls.more = Some(true);
        assert_eq!(
            read(&remote(calls, 4)).end.unwrap_err().code(),
            "E-PAGING",
            "{count}"
        );
    }
    let mut calls = Moving::new(2, 450, 500, Order::Stamp);
    calls.more = Some(true);
    calls.offsets = Offsets::Ignored;
    assert_eq!(read(&remote(calls, 4)).end.unwrap_err().code(), "E-PAGING");
}

#[test]
fn h11_a_list_without_end_meets_the_budget() {
    let limits = ScanLimits {
        page_budget: 6,
        ..ScanLimits::default()
    };
    let calls = Moving::new(2, 5_000, 9_000, Order::Stamp);
    let remote = ContactList::new(calls, chrono_tz::UTC, limits);
    let read = read(&remote);
    assert_eq!(read.end.unwrap_err().code(), "E-PAGING");
    assert_eq!(remote.requests(), 6);
}

#[test]
fn h14_records_without_id_are_joined_by_their_content() {
    let mut calls = Moving::new(4, 420, 3_000, Order::Id);
    calls.nameless = [1, 95, 96, 97, 98, 99, 100, 101, 300].into();
    let read = read(&remote(calls, 3));
    assert_eq!(read.end.unwrap().count, 420);
    assert_eq!((read.ids.len(), read.bad), (411, 9));
}

/// A first page of 100 records, and a second one as told.
fn scripted(second: impl Fn(i64) -> Vec<(i64, i64)>, stamp_of: impl Fn(i64) -> i64) -> Moving {
    let mut calls = Moving::new(1, 400, 10, Order::Id);
    let first = (1..=100).map(|id| (id, stamp_of(id))).collect();
    calls.script = [(0, first), (95, second(96))].into();
    calls
}

#[test]
fn h03_a_record_at_two_places_is_seen_though_the_seam_matches() {
    let again = |from| {
        (from..=110)
            .map(|id| (if id == 105 { 7 } else { id }, 5))
            .collect()
    };
    let read = read(&remote(scripted(again, |_| 5), 1));
    assert_eq!(read.end.unwrap_err().code(), "E-SCAN-UNSTABLE");
    assert_eq!(read.restarts, 2);
}

#[test]
fn a_record_that_moved_on_with_a_later_stamp_is_told_again() {
    let moved = |from| {
        (from..=110)
            .map(|id| if id == 105 { (7, 900) } else { (id, id) })
            .collect()
    };
    let read = read(&remote(scripted(moved, |id| id), 1));
    assert_eq!(read.end.unwrap().newest, Some(stamp(900)));
    assert_eq!((read.ids.len(), read.restarts), (109, 0));
}

#[test]
fn h03_a_shift_among_records_of_one_second_is_no_shift_to_trust() {
    let shifted = |from: i64| (from + 1..=110).map(|id| (id, 5)).collect();
    let read_ties = read(&remote(scripted(shifted, |_| 5), 1));
    assert_eq!(read_ties.end.unwrap_err().code(), "E-SCAN-UNSTABLE");
    let told = |from: i64| (from + 1..=110).map(|id| (id, id)).collect();
    let read_apart = read(&remote(scripted(told, |id| id), 1));
    assert_eq!(
        read_apart.end.unwrap().count,
        110,
        "two seconds side by side prove it"
    );
}

#[test]
fn more_than_a_hundred_records_are_refused() {
    let mut calls = Moving::new(4, 120, 30, Order::Id);
    calls.page_size = 101;
    assert_eq!(read(&remote(calls, 3)).end.unwrap_err().code(), "E-PAGING");
}

#[test]
fn the_pages_ahead_are_on_their_way_while_a_page_is_worked_off() {
    for prefetch in [1, 2, 4, 8] {
        let remote = remote(Moving::new(6, 3_000, 5_000, Order::Stamp), prefetch);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut scan = remote.scan(None).await.unwrap();
            for read in 1..=3 {
                assert!(matches!(scan.next().await, Ok(ScanStep::Records(_))));
                let begun = remote.calls().set.lock().unwrap().begun;
                assert_eq!(begun, read + prefetch, "{prefetch} ahead of {read}");
            }
        });
    }
}

#[test]
fn only_a_fault_at_the_second_page_shows_a_habit() {
    let cases = [
        (95, "E-SOAP-FAULT", None),
        (95, "E-TIMEOUT", Some("E-TIMEOUT")),
        (190, "E-SOAP-FAULT", Some("E-SOAP-FAULT")),
        (0, "E-SOAP-FAULT", Some("E-SOAP-FAULT")),
    ];
    for (offset, code, expected) in cases {
        let mut calls = Moving::new(5, 730, 900, Order::Stamp);
        calls.fails = [(offset, code)].into();
        let remote = remote(calls, 2);
        let read = read(&remote);
        assert_eq!(
            read.end.err().map(|error| error.code()),
            expected,
            "{code} at {offset}"
        );
        assert_eq!(read.restarts, usize::from(expected.is_none()));
    }
}

/// Pages of five of a service that says that more follow.
fn fives(pages: [(u32, std::ops::RangeInclusive<i64>); 3]) -> Moving {
    let mut calls = Moving::new(1, 40, 10, Order::Id);
    calls.page_size = 5;
    calls.script = pages
        .into_iter()
        .map(|(offset, ids)| (offset, ids.map(|id| (id, id)).collect()))
        .collect();
    calls
}

#[test]
fn as_many_rows_as_a_seam_has_may_be_the_same_again() {
    // Somebody new came in before the first page was read again by one row: no page without end, but one that moved on.
    let read = read(&remote(fives([(0, 1..=5), (1, 1..=5), (2, 4..=7)]), 1));
    assert_eq!(read.end.unwrap().count, 7);
    assert_eq!(read.restarts, 0);
}

#[test]
fn a_page_that_comes_twice_after_the_second_is_no_habit() {
    let first: Vec<(i64, i64)> = (1..=100).map(|id| (id, id)).collect();
    let second: Vec<(i64, i64)> = (96..=195).map(|id| (id, id)).collect();
    let mut calls = Moving::new(1, 400, 10, Order::Id);
    calls.script = [
        (0, first),
        (95, second.clone()),
        (190, second),
        (285, vec![]),
    ]
    .into();
    let read = read(&remote(calls, 1));
    assert_eq!(read.end.unwrap_err().code(), "E-PAGING");
    assert_eq!(read.restarts, 0);
}

#[test]
fn a_page_that_shares_no_row_after_the_second_is_no_habit() {
    let rows = |ids: std::ops::RangeInclusive<i64>| ids.map(|id| (id, id)).collect();
    let mut calls = Moving::new(1, 400, 10, Order::Id);
    calls.script = [
        (0, rows(1..=100)),
        (95, rows(96..=195)),
        (190, rows(300..=399)),
    ]
    .into();
    let remote = remote(calls, 1);
    let read = read(&remote);
    assert_eq!(read.end.unwrap_err().code(), "E-SCAN-UNSTABLE");
    assert_eq!(read.restarts, 2);
    assert!(!remote.calls().set.lock().unwrap().calls.contains(&100));
}

#[test]
fn behind_a_short_page_the_next_begins_at_its_end() {
    let rows = |ids: std::ops::RangeInclusive<i64>| ids.map(|id| (id, id)).collect();
    let mut calls = Moving::new(1, 400, 10, Order::Id);
    // 50 rows at the second, though more follow: the third is asked for five rows before their end, and those behind it from there.
    calls.script = [
        (0, rows(1..=100)),
        (95, rows(96..=145)),
        (140, rows(141..=240)),
        (235, rows(236..=250)),
    ]
    .into();
    let remote = remote(calls, 4);
    let read = read(&remote);
    assert_eq!(read.end.unwrap().count, 250);
    let calls = remote.calls().set.lock().unwrap().calls.clone();
    assert!(calls.contains(&140) && calls.contains(&235), "{calls:?}");
}

#[test]
fn one_page_in_strides_takes_one_call() {
    let remote = remote(Moving::new(1, 50, 50, Order::Stamp), 4);
    remote.set_paging_habit(PagingHabit::Hundreds);
    assert_eq!(read(&remote).end.unwrap().count, 50);
    assert_eq!(remote.requests(), 1);
}

#[test]
fn what_was_modified_before_a_reading_began_is_one_state_of_it() {
    use super::seam::{RowKey, Sight, Sightings};
    let mark = |second: Option<i64>| {
        let record = RemoteRecord {
            id: RemoteId("7".to_owned()),
            stamp: second.map(stamp),
            deleted: false,
            document: Document::new(),
        };
        RowKey::of(&RemoteItem::Record(record)).mark
    };
    let limit = Some(stamp(100));
    // (limit, the state first seen, the one seen then, what that is)
    let cases = [
        (limit, Some(50), Some(50), Sight::Again),
        (limit, Some(50), Some(60), Sight::Again),
        (limit, Some(50), Some(100), Sight::Again),
        (limit, Some(50), Some(101), Sight::Modified),
        (limit, Some(150), Some(150), Sight::Again),
        (limit, Some(150), Some(140), Sight::Again),
        (limit, Some(150), Some(151), Sight::Modified),
        (None, Some(50), Some(50), Sight::Again),
        (None, Some(50), Some(51), Sight::Modified),
        (None, Some(50), Some(49), Sight::Again),
        (limit, None, None, Sight::Again),
        (limit, None, Some(50), Sight::Modified),
    ];
    for (limit, first, then, expected) in cases {
        let mut seen = Sightings::default();
        assert_eq!(seen.sight(7, mark(first), limit), Sight::First);
        assert_eq!(seen.sight(-7, mark(first), limit), Sight::First);
        let again = seen.sight(7, mark(then), limit);
        assert_eq!(again, expected, "{first:?} {then:?} {limit:?}");
        assert_eq!(seen.sight(7, mark(then), limit), Sight::Again);
        assert_eq!(seen.count(), 2);
    }
}

#[test]
fn states_are_told_apart_by_stamps_and_by_content() {
    use super::seam::RowKey;
    let stamped = |micros: i64| {
        let record = RemoteRecord {
            id: RemoteId("7".to_owned()),
            stamp: Some(Stamp(stamp(0).0 + chrono::Duration::microseconds(micros))),
            deleted: false,
            document: Document::new(),
        };
        RowKey::of(&RemoteItem::Record(record)).mark
    };
    let unread = |raw: u8| {
        let bad = BadRecord {
            id: None,
            code: "Q-ID",
            reason: "no entityId".to_owned(),
            raw: vec![raw],
        };
        RowKey::of(&RemoteItem::Bad(bad)).mark
    };
    for at in 0..20 {
        let (older, newer) = (stamped(i64::from(at)), stamped(i64::from(at) + 1));
        assert!(newer.supersedes(older) && !older.supersedes(newer));
        assert!(!older.supersedes(older));
        for other in 0..20 {
            // Which of two contents is the later one nobody can tell.
            assert_eq!(unread(at).supersedes(unread(other)), at != other);
        }
        assert!(unread(at).supersedes(older) && older.supersedes(unread(at)));
    }
}
