//! The stable scan: pages by offset over a set that may move while it is read, with a checked seam between pages.
//!
//! **What it promises** (reliability §2.5, H-01 to H-04, H-11): a scan that ends has delivered every record that was in
//! the set when it began and was not modified meanwhile; else it fails. It must not judge records, and it must not
//! know what was agreed before.
//!
//! **Why.** Neighbouring pages overlap by a few rows. Where both pages show a stretch of equal rows, nothing that keeps
//! its place in the order lies unread between them, even when the set has shifted by some rows since: that heals the
//! seam. Records of one and the same second may come in another order at each call, which a stretch can match by luck;
//! then some record shows twice at different places (pigeonhole), unmodified, and everything is read again. A shift
//! inside such a second can't be told from a shuffle, so it isn't healed. A record modified during the scan has a stamp
//! later than the scan's beginning, and the next scan asks from before that.
//!
//! A service whose offsets don't answer but at multiples of 100 is read twice in strides of 100, and both passes must agree.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesOrdered;

use super::calls::{Calls, ListPage};
use super::seam::{Mark, RowKey, Seam, Sight, Sightings, join};
use crate::model::{Error, RemoteItem, Result, Stamp};
use crate::remote::{RemoteScan, ScanEnd, ScanStep};

/// Records of a full page (`contactlist.md` §3).
pub const PAGE_SIZE: usize = 100;
/// Pages asked for at a time: enough to hide a round trip, few enough not to crowd other users of the site.
pub const DEFAULT_PREFETCH: usize = 4;
/// Rows that neighbouring pages share: heals a shift of up to four between two calls, and costs a twentieth more pages.
pub const DEFAULT_SEAM_ROWS: usize = 5;
/// Pages of one pass: 20 times what the vendor advises for a whole site (100,000 contacts, `contactlist.md` §10), so
/// that only a service whose list never ends meets it.
pub const DEFAULT_PAGE_BUDGET: u32 = 20_000;
/// Full attempts before a scan gives up: the next run tries again anyway.
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// The pause before the second attempt; the third waits four times as long, so that an import may come to its end.
pub const DEFAULT_ATTEMPT_PAUSE: Duration = Duration::from_secs(2);

/// How far the clock of the stamps may stand behind that of the answers, a wrong time zone included: what was modified longer
/// before a reading began was not modified while it went on.
const CLOCKS_APART: chrono::Duration = chrono::Duration::hours(26);

/// The bounds of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Pages asked for at a time (`limits.prefetch`), at least 1.
    pub prefetch: usize,
    /// Rows that neighbouring pages share, 1 to 50.
    pub seam_rows: usize,
    /// Pages of one pass before `E-PAGING`.
    pub page_budget: u32,
    /// Full attempts before `E-SCAN-UNSTABLE`.
    pub attempts: u32,
    /// The pause before the second attempt.
    pub attempt_pause: Duration,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            prefetch: DEFAULT_PREFETCH,
            seam_rows: DEFAULT_SEAM_ROWS,
            page_budget: DEFAULT_PAGE_BUDGET,
            attempts: DEFAULT_ATTEMPTS,
            attempt_pause: DEFAULT_ATTEMPT_PAUSE,
        }
    }
}

/// What a service was seen to do with offsets; worth keeping between runs, harmless to lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingHabit {
    /// Any offset is answered with the rows from there on (or nothing is known yet).
    #[default]
    AnyOffset,
    /// Only multiples of 100 are.
    Hundreds,
}

/// How the pass under way reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Overlapping,
    Strides,
}

/// What an odd second page looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// It repeated the first, was empty, or was refused: no movement of the set looks so.
    Plain,
    /// It began with this row, which the first page does not hold: rounded up to the next hundred, or the set moved far.
    BeganWith(RowKey),
}

/// What became of one page.
enum Outcome {
    Rows(Vec<RemoteItem>),
    Unstable(&'static str),
    OtherHabit(Evidence),
    PassDone,
}

type Ahead = FuturesOrdered<LocalBoxFuture<'static, (u32, Result<ListPage>)>>;

/// One scan under way; see the module.
pub struct Scan<C> {
    calls: Arc<C>,
    habit: Arc<Mutex<PagingHabit>>,
    limits: ScanLimits,
    since: Option<Stamp>,
    mode: Mode,
    /// Why this scan took to strides; the habit is kept only if reading so bears it out.
    inferred: Option<Evidence>,
    attempt: u32,
    /// The first pass in strides, page by page, when the second is under way.
    first_pass: Option<Vec<u64>>,
    pages: Vec<u64>,
    ahead: Ahead,
    arrived: VecDeque<(u32, Result<ListPage>)>,
    next_offset: Option<u32>,
    stride: u32,
    asked: u32,
    read: u32,
    tail: Vec<RowKey>,
    tail_offset: u32,
    seen: Sightings,
    nameless: u64,
    server_time: Option<Stamp>,
    newest: Option<Stamp>,
    last_page: bool,
}

impl<C: Calls + 'static> Scan<C> {
    pub(super) fn new(
        calls: Arc<C>,
        habit: Arc<Mutex<PagingHabit>>,
        limits: ScanLimits,
        since: Option<Stamp>,
    ) -> Self {
        let mode = match *habit.lock().unwrap_or_else(PoisonError::into_inner) {
            PagingHabit::AnyOffset => Mode::Overlapping,
            PagingHabit::Hundreds => Mode::Strides,
        };
        Self {
            calls,
            habit,
            limits,
            since,
            mode,
            inferred: None,
            attempt: 1,
            first_pass: None,
            pages: Vec::new(),
            ahead: FuturesOrdered::new(),
            arrived: VecDeque::new(),
            next_offset: Some(0),
            stride: PAGE_SIZE as u32,
            asked: 0,
            read: 0,
            tail: Vec::new(),
            tail_offset: 0,
            seen: Sightings::default(),
            nameless: 0,
            server_time: None,
            newest: None,
            last_page: false,
        }
    }

    /// Forgets the pass under way, so that the next page is the first again.
    fn rewind(&mut self) {
        self.ahead = FuturesOrdered::new();
        self.arrived.clear();
        self.next_offset = Some(0);
        self.asked = 0;
        self.read = 0;
        self.tail.clear();
        self.tail_offset = 0;
        self.pages.clear();
        self.last_page = false;
    }

    /// Forgets the whole attempt.
    fn restart(&mut self) {
        self.rewind();
        self.first_pass = None;
        self.seen = Sightings::default();
        self.nameless = 0;
        self.server_time = None;
        self.newest = None;
    }

    /// Asks for pages until as many are under way as the limits allow: the first page alone, since it tells whether
    /// there are more.
    fn ask(&mut self) -> Result<()> {
        let window = if self.read == 0 {
            1
        } else {
            self.limits.prefetch.max(1)
        };
        while self.ahead.len() + self.arrived.len() < window {
            let Some(offset) = self.next_offset else {
                return Ok(());
            };
            if self.asked >= self.limits.page_budget {
                // Pages ahead may still end the list; only when all of them are used up is the budget spent.
                return if self.ahead.is_empty() && self.arrived.is_empty() {
                    Err(paging(format!(
                        "ContactList_Retrieve said after {} pages that more records follow; the watermark is kept. Raise the page budget if the site is really that large",
                        self.asked
                    )))
                } else {
                    Ok(())
                };
            }
            let calls = Arc::clone(&self.calls);
            let since = self.since;
            self.ahead.push_back(Box::pin(async move {
                (offset, calls.list(since, offset).await)
            }));
            self.asked += 1;
            self.next_offset = offset.checked_add(self.stride);
        }
        Ok(())
    }

    /// The next page in order; those behind it are set going before this returns.
    async fn page(&mut self) -> Result<(u32, ListPage)> {
        self.ask()?;
        let (offset, page) = match self.arrived.pop_front() {
            Some(page) => page,
            None => self
                .ahead
                .next()
                .await
                .ok_or_else(|| Error::unexpected("E-SCAN", "A scan went on after its end"))?,
        };
        Ok((offset, page?))
    }

    /// Lets the calls just asked for begin: a future does nothing until it is looked at.
    async fn set_going(&mut self) -> Result<()> {
        self.ask()?;
        while let std::task::Poll::Ready(Some(page)) = futures::poll!(self.ahead.next()) {
            self.arrived.push_back(page);
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<Outcome> {
        if self.last_page {
            return Ok(Outcome::PassDone);
        }
        let (offset, page) = match self.page().await {
            // A service that refuses offsets off the hundreds shows it at the second page.
            Err(error) if self.may_be_habit() && error.code() == "E-SOAP-FAULT" => {
                return Ok(Outcome::OtherHabit(Evidence::Plain));
            }
            other => other?,
        };
        if page.items.len() > PAGE_SIZE {
            return Err(paging(format!(
                "ContactList_Retrieve at record {offset} answered {} records, where at most {PAGE_SIZE} are agreed",
                page.items.len()
            )));
        }
        if page.items.is_empty() && page.more {
            if self.may_be_habit() {
                return Ok(Outcome::OtherHabit(Evidence::Plain));
            }
            return Err(paging(format!(
                "ContactList_Retrieve at record {offset} answered no record, and that more follow; the watermark is kept"
            )));
        }
        let keys: Vec<RowKey> = page.items.iter().map(RowKey::of).collect();
        let first = self.read == 0;
        let repeats = !first && keys == self.tail && keys.len() > self.limits.seam_rows;
        let skip = if first {
            if self.first_pass.is_none() {
                self.server_time = page.server_time;
            }
            0
        } else if repeats {
            if self.may_be_habit() {
                return Ok(Outcome::OtherHabit(Evidence::Plain));
            }
            return Err(paging(format!(
                "ContactList_Retrieve answered the same page at record {} and at record {offset}; the watermark is kept",
                self.tail_offset
            )));
        } else if self.mode == Mode::Overlapping {
            let expected = usize::try_from(offset - self.tail_offset).unwrap_or(usize::MAX);
            match join(&self.tail, &keys, expected) {
                Seam::Holds { overlap } => overlap,
                Seam::Disjoint if self.may_be_habit() => {
                    return Ok(Outcome::OtherHabit(match keys.first() {
                        Some(first) => Evidence::BeganWith(*first),
                        None => Evidence::Plain,
                    }));
                }
                Seam::Disjoint => {
                    return Ok(Outcome::Unstable("two neighbouring pages share no row"));
                }
                Seam::Broken(why) => return Ok(Outcome::Unstable(why)),
            }
        } else {
            if let (1, Some(Evidence::BeganWith(row)), Some(first)) =
                (self.read, self.inferred, keys.first())
                && !row.same_row(*first)
            {
                // The set moved: what made this scan read in strides says nothing about the service.
                self.inferred = None;
            }
            0
        };
        self.read += 1;
        self.tail_offset = offset;
        self.pages.push(RowKey::digest_all(&keys));
        let short = keys.len() < PAGE_SIZE;
        let length = keys.len();
        self.tail = keys;
        if page.more {
            self.plan_ahead(first, short, offset, length)?;
            self.set_going().await?;
        } else {
            self.last_page = true;
            self.ahead = FuturesOrdered::new();
            self.arrived.clear();
        }
        if self.first_pass.is_some() {
            return Ok(Outcome::Rows(Vec::new()));
        }
        self.take(page.items, skip)
    }

    /// Whether an odd second page may come from the service's habits rather than from a moving set.
    fn may_be_habit(&self) -> bool {
        self.mode == Mode::Overlapping && self.read == 1
    }

    /// Where the next pages begin, when this one says that there are more.
    fn plan_ahead(&mut self, first: bool, short: bool, offset: u32, length: usize) -> Result<()> {
        if self.mode == Mode::Strides {
            if short {
                return Err(paging(format!(
                    "ContactList_Retrieve at record {offset} answered {length} records and that more follow, while this service answers at multiples of {PAGE_SIZE} only: where the next begins can't be known"
                )));
            }
            if first {
                self.stride = PAGE_SIZE as u32;
                self.next_offset = offset.checked_add(self.stride);
            }
            return Ok(());
        }
        if first || short {
            // Where a page is short though more follow, what was asked ahead has a gap before it: ask anew from here.
            self.ahead = FuturesOrdered::new();
            self.arrived.clear();
            let overlap = self
                .limits
                .seam_rows
                .clamp(1, 50)
                .min(length.saturating_sub(1));
            let step = (length - overlap) as u32;
            self.next_offset = offset.checked_add(step);
            self.stride = if first {
                step
            } else {
                (PAGE_SIZE - self.limits.seam_rows.clamp(1, 50)) as u32
            };
        }
        Ok(())
    }

    /// Checks the new rows against all that were read before, and keeps the newest of each id.
    fn take(&mut self, items: Vec<RemoteItem>, skip: usize) -> Result<Outcome> {
        let mut fresh: Vec<RemoteItem> = Vec::with_capacity(items.len() - skip);
        let mut places: HashMap<i64, (usize, Mark)> = HashMap::with_capacity(items.len() - skip);
        let before = self.server_time.map(|begun| Stamp(begun.0 - CLOCKS_APART));
        for (item, key) in items.into_iter().zip(&self.tail).skip(skip) {
            let Some(id) = key.id else {
                self.nameless += 1;
                fresh.push(item);
                continue;
            };
            let sight = self.seen.sight(id, key.mark, before);
            if let Some((place, known)) = places.get_mut(&id) {
                tracing::warn!(
                    id,
                    "a page of ContactList_Retrieve shows one id twice; the newest counts"
                );
                if key.mark.supersedes(*known) {
                    *known = key.mark;
                    fresh[*place] = item;
                }
                continue;
            }
            if sight == Sight::Again {
                return Ok(Outcome::Unstable(
                    "a record that did not change shows at two places",
                ));
            }
            places.insert(id, (fresh.len(), key.mark));
            fresh.push(item);
        }
        for item in &fresh {
            if let RemoteItem::Record(record) = item {
                self.newest = self.newest.max(record.stamp);
            }
        }
        Ok(Outcome::Rows(fresh))
    }

    fn end(&self) -> ScanEnd {
        ScanEnd {
            server_time: self.server_time,
            newest: self.newest,
            count: self.seen.count() + self.nameless,
        }
    }
}

impl<C: Calls + 'static> RemoteScan for Scan<C> {
    async fn next(&mut self) -> Result<ScanStep> {
        loop {
            match self.step().await? {
                Outcome::Rows(rows) if rows.is_empty() => {}
                Outcome::Rows(rows) => return Ok(ScanStep::Records(rows)),
                Outcome::OtherHabit(evidence) => {
                    tracing::info!(
                        "the service does not answer at any offset; reading in strides of 100, twice"
                    );
                    self.mode = Mode::Strides;
                    self.inferred = Some(evidence);
                    self.restart();
                    return Ok(ScanStep::Restarted);
                }
                Outcome::PassDone if self.mode == Mode::Strides && self.pages.len() > 1 => {
                    match self.first_pass.take() {
                        None => {
                            let pages = std::mem::take(&mut self.pages);
                            self.rewind();
                            self.first_pass = Some(pages);
                        }
                        Some(first) if first == self.pages => {
                            if self.inferred.is_some() {
                                *self.habit.lock().unwrap_or_else(PoisonError::into_inner) =
                                    PagingHabit::Hundreds;
                            }
                            return Ok(ScanStep::End(self.end()));
                        }
                        Some(_) => return self.unstable("two readings in a row differ").await,
                    }
                }
                // A page alone is one answer, and can't have moved; a second pass that shrank to one page has.
                Outcome::PassDone => match self.first_pass.take() {
                    None => return Ok(ScanStep::End(self.end())),
                    Some(_) => return self.unstable("two readings in a row differ").await,
                },
                Outcome::Unstable(why) => return self.unstable(why).await,
            }
        }
    }
}

impl<C: Calls + 'static> Scan<C> {
    async fn unstable(&mut self, why: &'static str) -> Result<ScanStep> {
        if self.attempt >= self.limits.attempts {
            return Err(Error::unreachable(
                "E-SCAN-UNSTABLE",
                format!(
                    "ContactList_Retrieve: the list moved in each of {} readings ({why}); the watermark is kept, and the next run reads again",
                    self.attempt
                ),
            ));
        }
        tracing::info!(
            attempt = self.attempt,
            why,
            "the list moved while it was read; reading it again"
        );
        self.restart();
        let pause = self.limits.attempt_pause * 4_u32.saturating_pow(self.attempt - 1);
        self.attempt += 1;
        self.calls.pause(pause).await;
        Ok(ScanStep::Restarted)
    }
}

fn paging(message: String) -> Error {
    Error::unreachable("E-PAGING", message)
}
