//! One bridge, kept: its turns, and what is asked of it, one pass at a time, on one thread.
//!
//! It never decides about a record, and never runs two passes at once. Whoever asks for a pass gets one that begins after it
//! asked; those who ask for the same while they wait share one.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::{Either, pending};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::askers::{News, same, unwanted};
use super::board::{Board, Phase};
use super::control::{Fault, Order, Reply, Told};
use super::hold::{Hold, Tenure};
use super::metrics::{Metrics, outcome};
use super::turns::{Next, Turns};
use super::work::{Passed, Work};
use crate::model::{Error, ErrorKind, Result, Signal, World};
use crate::sync::{BridgeReport, RunOptions};

/// The clock is looked at this often: it may have been set, or the machine may have slept.
const NAP: Duration = Duration::from_secs(30);
/// A store that another process holds is tried again this often.
const RETRY_LOCKED: Duration = Duration::from_secs(2);
/// A store that can't be opened is tried again this often, beside its turns.
const RETRY_FAILED: Duration = Duration::from_secs(60);
/// How long a pass may take to its next safe point once it is to stop; then it is cut off, which is as safe as a kill.
const GRACE: Duration = Duration::from_secs(15);
/// A look at the clock again, but not without a breath.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What a keeper is given.
pub struct Kept {
    /// The bridge's name.
    pub bridge: String,
    /// Its turns.
    pub turns: Turns,
    /// For how long its store is held.
    pub tenure: Tenure,
    /// What it is told to do. Others on the same thread may have the sending end, to ask for a pass.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// The places of all keepers of this process: each pass takes one, and so does the opening of a store for it.
    pub places: Arc<Semaphore>,
    /// Turns to a signal when it is to end.
    pub stop: watch::Receiver<Option<Signal>>,
    /// Where it writes how it fares.
    pub board: Arc<Board>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

/// The keeper of one bridge.
pub struct Keeper<W: Work> {
    work: W,
    kept: Kept,
    hold: Hold<W>,
    /// The last turn that was kept, or when the last pass began.
    last: Option<DateTime<Utc>>,
    chance: u32,
    /// When a store that is not held is tried again, by the clock that never steps back.
    retry_at: Duration,
    trouble: Option<Trouble>,
    waiting: VecDeque<Order>,
    /// A place among the passes of this process, from before its store is opened to the end of the pass.
    place: Option<OwnedSemaphorePermit>,
}

/// Why the store is not held.
struct Trouble {
    code: &'static str,
    locked: bool,
}

/// What is done next.
enum Step {
    /// A pass that somebody asked for, and who waits for it.
    Asked(RunOptions, Vec<Reply>),
    /// The pass of a turn.
    Turn,
    /// Nothing, for so long.
    Nap(Duration),
    /// Nothing, until there is a place for a pass.
    Queue,
    /// It ends.
    End,
}

impl<W: Work> Keeper<W> {
    /// A keeper of `work`.
    pub fn new(work: W, kept: Kept) -> Self {
        let left = work.left();
        let hold = Hold::new(kept.tenure);
        let mut keeper = Self {
            last: left.last_run,
            hold,
            chance: 0,
            retry_at: Duration::ZERO,
            trouble: None,
            waiting: VecDeque::new(),
            place: None,
            work,
            kept,
        };
        keeper.draw();
        keeper.show_left();
        keeper
    }

    /// Keeps the bridge until it is to end. `begun` is told once it was tried to take the store for the first time.
    pub async fn keep(mut self, begun: impl FnOnce()) {
        if self.hold.keeps() {
            // Whether or not it works: what is wrong is shown, and tried again.
            let _ = self.take_store().await;
        } else {
            self.show_phase(Phase::Waiting);
        }
        begun();
        loop {
            match self.next_step().await {
                Step::End => break,
                Step::Asked(options, askers) => {
                    // Any pass will do for a turn that is due by now.
                    self.last = Some(self.work.world().now());
                    self.pass(options, askers).await;
                }
                Step::Turn => self.pass(RunOptions::default(), Vec::new()).await,
                Step::Nap(nap) => {
                    self.place = None;
                    self.nap(nap).await;
                    continue;
                }
                Step::Queue => {
                    self.queue().await;
                    continue;
                }
            }
            self.place = None;
        }
        self.end();
    }

    async fn next_step(&mut self) -> Step {
        if self.kept.stop.borrow().is_some() {
            return Step::End;
        }
        while let Ok(order) = self.kept.orders.try_recv() {
            line_up(&mut self.waiting, order);
        }
        if let Some(step) = self.next_asked().await {
            return step;
        }
        let now = self.work.world().now();
        let next = self.kept.turns.next(self.last, now, self.chance);
        let mut nap = NAP;
        match next {
            Next::Now { turn, missed } => {
                if !self.has_place() {
                    self.show_next(None);
                    return Step::Queue;
                }
                if self.is_ready_for_turn().await {
                    self.begin_turn(turn, missed);
                    return Step::Turn;
                }
                self.show_next(None);
                let waits = self.trouble.as_ref().is_some_and(|trouble| trouble.locked);
                if !waits {
                    return Step::Nap(AT_ONCE);
                }
            }
            Next::At(due) => {
                nap = nap.min((due - now).to_std().unwrap_or_default());
                self.show_next(Some(due));
                self.retry_store().await;
            }
            Next::Never => {
                self.show_next(None);
                self.retry_store().await;
            }
        }
        let is_tried_again = self.hold.keeps() || self.trouble.is_some();
        if is_tried_again && self.hold.held().is_none() {
            let until = self.retry_at.saturating_sub(self.work.world().monotonic());
            nap = nap.min(until);
        }
        Step::Nap(nap.max(AT_ONCE))
    }

    /// Answers what was asked, up to the first pass; that one, with all that may share it.
    async fn next_asked(&mut self) -> Option<Step> {
        loop {
            // A pass keeps its turn in the line while it waits for a place.
            if matches!(self.waiting.front(), Some(Order::Pass { .. })) && !self.has_place() {
                return Some(Step::Queue);
            }
            let order = self.waiting.pop_front()?;
            let (options, reply) = match order {
                Order::Pass { options, reply } => (options, reply),
                other => {
                    answer(&self.work, &self.hold, other).await;
                    self.show_left();
                    continue;
                }
            };
            let was_asked_for = reply.is_some();
            let mut askers: Vec<Reply> = reply.into_iter().collect();
            askers.retain(|asker| !*asker.stop.borrow());
            if was_asked_for && askers.is_empty() {
                continue;
            }
            if self.take_store().await.is_err() {
                for asker in askers {
                    let _ = asker.told.send(Told::NotHeld);
                }
                continue;
            }
            for _ in 0..self.waiting.len() {
                let Some(order) = self.waiting.pop_front() else {
                    break;
                };
                match order {
                    Order::Pass {
                        options: theirs,
                        reply,
                    } if same(&options, &theirs) => askers.extend(reply),
                    other => self.waiting.push_back(other),
                }
            }
            return Some(Step::Asked(options, askers));
        }
    }

    /// Whether the store is there for a turn. A turn whose store is locked waits; one whose store can't be opened has failed.
    async fn is_ready_for_turn(&mut self) -> bool {
        if self.hold.held().is_some() {
            return true;
        }
        let failed_before = self.trouble.as_ref().is_some_and(|trouble| !trouble.locked);
        if !failed_before && self.retry_at > self.work.world().monotonic() {
            return false;
        }
        // A turn that another machine has kept meanwhile is left alone, and so is the store.
        if !self.hold.keeps() && !self.is_still_due() {
            if self.trouble.take().is_some() {
                self.show_phase(Phase::Waiting);
            }
            return false;
        }
        let Err(error) = self.take_store().await else {
            // Or it was kept while the store was being taken.
            let is_due = self.is_still_due();
            if !is_due {
                self.hold.after_pass(&self.work, None);
            }
            return is_due;
        };
        if error.kind() != ErrorKind::Busy {
            self.last = Some(self.work.world().now());
            self.draw();
            let passed = self.work.failed(error);
            self.conclude(&passed);
        }
        false
    }

    /// Whether the turn is due also by what others have left.
    fn is_still_due(&mut self) -> bool {
        let now = self.work.world().now();
        self.last = self.last.max(self.work.left().last_run);
        let next = self.kept.turns.next(self.last, now, self.chance);
        matches!(next, Next::Now { .. })
    }

    fn begin_turn(&mut self, turn: DateTime<Utc>, missed: u64) {
        let bridge = self.kept.bridge.as_str();
        if missed > 0 {
            tracing::info!(
                bridge,
                missed,
                "turns passed unkept; one pass makes up for them"
            );
            self.kept.metrics.missed(bridge, missed);
        }
        self.last = Some(turn);
    }

    async fn retry_store(&mut self) {
        let is_wanted = self.hold.keeps() && self.hold.held().is_none();
        if is_wanted && self.work.world().monotonic() >= self.retry_at {
            let _ = self.take_store().await;
        }
    }

    /// Takes the store, if it is not held, and says once what stands against it.
    async fn take_store(&mut self) -> Result<()> {
        let bridge = self.kept.bridge.as_str();
        match self.hold.take(&self.work).await {
            Ok((_store, taken)) => {
                if taken {
                    if self.trouble.take().is_some() {
                        tracing::info!(bridge, "the store is open now");
                    }
                    self.kept
                        .board
                        .write(bridge, |standing| standing.phase = Phase::Waiting);
                    // Here a receiver of this bridge begins: a task of this thread, with the store and the sending end of `orders`.
                    self.show_left();
                }
                Ok(())
            }
            Err(error) => {
                let locked = error.kind() == ErrorKind::Busy;
                let is_news = self
                    .trouble
                    .as_ref()
                    .is_none_or(|known| known.code != error.code());
                let keeps = self.hold.keeps();
                if is_news && locked && keeps {
                    tracing::warn!(
                        bridge,
                        code = error.code(),
                        "turns wait: {}",
                        error.message()
                    );
                } else if is_news && locked {
                    tracing::debug!(bridge, code = error.code(), "{}", error.message());
                } else if is_news && error.kind() == ErrorKind::Unreachable {
                    // It may be back by the next try; as after a pass, that needs nobody.
                    tracing::warn!(bridge, code = error.code(), "{}", error.message());
                } else if is_news {
                    tracing::error!(bridge, code = error.code(), "{}", error.message());
                }
                let retry = if locked { RETRY_LOCKED } else { RETRY_FAILED };
                self.retry_at = self.work.world().monotonic() + retry;
                self.trouble = Some(Trouble {
                    code: error.code(),
                    locked,
                });
                self.show_phase(match (locked, keeps) {
                    (true, true) => Phase::Locked(error.to_string()),
                    // Its turn is made by whoever has it.
                    (true, false) => Phase::Waiting,
                    (false, _) => Phase::Failed(error.to_string()),
                });
                Err(error)
            }
        }
    }

    /// Whether there is a place for a pass, which is then taken.
    fn has_place(&mut self) -> bool {
        if self.place.is_none() {
            self.place = Arc::clone(&self.kept.places).try_acquire_owned().ok();
        }
        self.place.is_some()
    }

    /// Waits for a place, and meanwhile for what is to be answered without one.
    async fn queue(&mut self) {
        let places = Arc::clone(&self.kept.places);
        tokio::select! {
            biased;
            _ = self.kept.stop.wait_for(Option::is_some) => {}
            Some(order) = self.kept.orders.recv() => line_up(&mut self.waiting, order),
            // The places are never closed.
            Ok(place) = places.acquire_owned() => self.place = Some(place),
        }
    }

    /// Waits for whatever comes first.
    async fn nap(&mut self, nap: Duration) {
        let world = self.work.world();
        tokio::select! {
            biased;
            _ = self.kept.stop.wait_for(Option::is_some) => {}
            Some(order) = self.kept.orders.recv() => line_up(&mut self.waiting, order),
            () = world.sleep(nap) => {}
        }
    }

    async fn pass(&mut self, options: RunOptions, askers: Vec<Reply>) {
        let Some(store) = self.hold.held() else {
            return;
        };
        let now = self.work.world().now();
        self.draw();
        let bridge = self.kept.bridge.clone();
        self.kept.board.write(&bridge, |standing| {
            standing.phase = Phase::Passing(now);
            standing.next = None;
        });
        for asker in &askers {
            let _ = asker.told.send(Told::Begun);
        }
        self.work.ask_to_stop(None);
        let passed = {
            let Self {
                work,
                kept,
                hold,
                waiting,
                ..
            } = &mut *self;
            let work = &*work;
            let news = News::new(&askers, work.world());
            let mut pass = pin!(work.pass(&store, &options, &news));
            let mut unwanted = pin!(unwanted(&askers));
            let mut cut = pin!(Either::Left(pending::<()>()));
            let (mut stopping, mut is_unwanted) = (false, false);
            loop {
                tokio::select! {
                    biased;
                    passed = &mut pass => break passed,
                    Some(order) = kept.orders.recv() => match order {
                        Order::Question { question, reply } if question.writes() => {
                            waiting.push_back(Order::Question { question, reply });
                        }
                        pass @ Order::Pass { .. } => line_up(waiting, pass),
                        other => answer(work, hold, other).await,
                    },
                    signal = wait_for_stop(&mut kept.stop), if !stopping => {
                        stopping = true;
                        work.ask_to_stop(Some(signal));
                        cut.set(Either::Right(work.world().sleep(GRACE)));
                    }
                    () = &mut unwanted, if !is_unwanted => {
                        is_unwanted = true;
                        work.ask_to_stop(Some(Signal::Interrupt));
                    }
                    () = &mut cut => {
                        let signal = kept.stop.borrow().unwrap_or(Signal::Terminate);
                        break work.failed(Error::new(
                            ErrorKind::Interrupted(signal),
                            "E-INTERRUPTED",
                            "Cut off before its next safe point, which was too far; what was done is recorded, the next run does the rest",
                        ));
                    }
                }
            }
        };
        drop(store);
        let fault = passed.error.as_ref().map(Fault::of);
        self.conclude(&passed);
        self.hold.after_pass(&self.work, passed.error.as_ref());
        for asker in &askers {
            let _ = asker.told.send(Told::Passed {
                report: Box::new(passed.report.clone()),
                fault: fault.clone(),
            });
        }
    }

    /// Counts a pass, shows what it left, and says so in one line.
    fn conclude(&self, passed: &Passed) {
        let (report, bridge) = (&passed.report, self.kept.bridge.as_str());
        self.kept.metrics.passed(report, passed.error.as_ref());
        if self.hold.held().is_some() {
            self.kept
                .board
                .write(bridge, |standing| standing.phase = Phase::Waiting);
        }
        self.show_left();
        summary(report, passed.error.as_ref());
    }

    fn show_left(&self) {
        let left = self.work.left();
        let write = |standing: &mut super::board::Standing| standing.left = left;
        self.kept.board.write(&self.kept.bridge, write);
    }

    fn show_phase(&self, phase: Phase) {
        let write = |standing: &mut super::board::Standing| standing.phase = phase;
        self.kept.board.write(&self.kept.bridge, write);
    }

    fn show_next(&self, next: Option<DateTime<Utc>>) {
        let write = |standing: &mut super::board::Standing| standing.next = next;
        self.kept.board.write(&self.kept.bridge, write);
    }

    /// How far the next turn is put off.
    fn draw(&mut self) {
        let mut bytes = [0; 4];
        self.work.world().random(&mut bytes);
        self.chance = u32::from_le_bytes(bytes);
    }

    fn end(mut self) {
        self.kept.orders.close();
        self.waiting.clear();
        self.hold.give_back(&self.work);
        self.kept
            .board
            .write(&self.kept.bridge, |standing| standing.phase = Phase::Ended);
    }
}

/// Lines an order up. A pass that is asked for in passing, by each message that arrives, say, needs no place beside one that
/// waits already and does for both.
fn line_up(waiting: &mut VecDeque<Order>, order: Order) {
    if let Order::Pass {
        options,
        reply: None,
    } = &order
    {
        let mut others = waiting.iter();
        let is_there = others.any(
            |other| matches!(other, Order::Pass { options: theirs, .. } if same(options, theirs)),
        );
        if is_there {
            return;
        }
    }
    waiting.push_back(order);
}

/// Answers what needs no pass.
async fn answer<W: Work>(work: &W, hold: &Hold<W>, order: Order) {
    match order {
        Order::Held(reply) => {
            // A store that is given back is there for the command itself.
            let _ = reply.send(hold.keeps() && hold.held().is_some());
        }
        Order::Question { question, reply } => {
            let answered = match hold.held() {
                Some(store) => Some(work.answer(&store, question).await),
                None => None,
            };
            let _ = reply.send(answered);
        }
        Order::Pass { .. } => {}
    }
}

async fn wait_for_stop(stop: &mut watch::Receiver<Option<Signal>>) -> Signal {
    match stop.wait_for(Option::is_some).await {
        Ok(signal) => signal.unwrap_or(Signal::Terminate),
        // Nobody is left to say it: the same.
        Err(_) => Signal::Terminate,
    }
}

fn summary(report: &BridgeReport, error: Option<&Error>) {
    let (pull, push) = (report.pull, report.push);
    let changed = |counts: crate::sync::Counts| counts.created + counts.updated + counts.deleted;
    let bridge = report.bridge.as_str();
    let word = outcome(report.outcome);
    tracing::info!(
        bridge,
        outcome = word,
        code = error.map(Error::code),
        pulled = changed(pull),
        pushed = changed(push),
        held = pull.held + push.held,
        review = report.review,
        quarantined = report.quarantined,
        requests = report.requests,
        seconds = report.seconds,
        "a pass ended"
    );
    if let Some(error) = error {
        match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Interrupted(_) | ErrorKind::Busy => {
                tracing::warn!(bridge, code = error.code(), "{}", error.message());
            }
            _ => tracing::error!(bridge, code = error.code(), "{}", error.message()),
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
