//! The world around the engine: one clock, one source of chance, two sides with their users, one disk.
//!
//! Every port calls [`turn`] before (and, where it writes, after) it acts. There time passes, users act, requests that
//! were left over are carried out, and the process may die: then nothing more of it happens, as after a kill.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use contactbridge::mapping::Mapping;
use contactbridge::model::{Result, Signal, World};

use crate::chance::Chance;
use crate::crm::Crm;
use crate::database::{Database, DbRow};
use crate::desk::Desk;
use crate::oracle::Log;
use crate::rare::Past;
use crate::settings::Settings;
use crate::store::Disk;

pub type Shared = Rc<RefCell<Universe>>;

/// When the process dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Death {
    #[default]
    Never,
    /// At that point of the run, counted from 1.
    At(u64),
    /// A run at the first of these points, and one of those after it at the second.
    Twice(u64, u64),
    /// At any point, in so many of 10,000 cases.
    Random(u64),
    /// At the first point of this name.
    AtPlace(&'static str),
}

/// Something that happens in a world.
pub type Deed = Box<dyn FnOnce(&mut Universe)>;

pub struct Universe {
    pub settings: Settings,
    pub chance: Chance,
    /// What the engine draws from, apart, so that one draw more of it does not change the world.
    pub engine_chance: Chance,
    pub now: DateTime<Utc>,
    pub monotonic: Duration,
    pub crm: Crm,
    pub desk: Desk,
    pub database: Database,
    pub disk: Disk,
    pub past: Past,
    pub log: Log,
    pub death: Death,
    pub dead: bool,
    /// Points passed in this run.
    pub points: u64,
    /// The run stands still from this point on (but not between asking for leave and sending), until another has run.
    pub pause_at: Option<u64>,
    paused: bool,
    /// Points passed in all runs.
    pub all_points: u64,
    /// Users act while the engine runs, in so many of a thousand points.
    pub busy: u64,
    /// Faults of the wire and the service happen.
    pub faulty: bool,
    pub trace: Vec<String>,
    pub tracing: bool,
    /// People whose two records met in the transaction under way.
    pub meetings: Vec<String>,
    /// Rows that the bridge deleted, as they were, for who judges that.
    pub rows_deleted: Vec<DbRow>,
    /// What a story has happen once, at the first point of this name.
    pub at_place: Option<(&'static str, Deed)>,
    pub faults: std::collections::BTreeMap<&'static str, u64>,
    /// Edits that were overwritten within the round trip between look-up and write.
    pub windows: u64,
    pub places: std::collections::BTreeMap<&'static str, u64>,
    /// Where runs died.
    pub killed_at: std::collections::BTreeSet<&'static str>,
}

impl Universe {
    pub fn new(seed: u64, settings: Settings, mapping: &Mapping) -> Self {
        Self {
            chance: Chance::new(seed),
            engine_chance: Chance::new(seed ^ 0x5555),
            now: (settings.rare.begins)
                .unwrap_or_else(|| Utc.with_ymd_and_hms(2026, 3, 2, 1, 0, 0).unwrap()),
            monotonic: Duration::ZERO,
            crm: Crm::new(settings.zone),
            desk: Desk::default(),
            database: Database::new(mapping, settings.clone()),
            disk: Disk::default(),
            past: Past::default(),
            log: Log::default(),
            death: Death::Never,
            dead: false,
            points: 0,
            pause_at: None,
            paused: false,
            all_points: 0,
            busy: 0,
            faulty: false,
            trace: Vec::new(),
            meetings: Vec::new(),
            rows_deleted: Vec::new(),
            tracing: std::env::var_os("SIM_SEED").is_some(),
            at_place: None,
            windows: 0,
            faults: Default::default(),
            places: Default::default(),
            killed_at: Default::default(),
            settings,
        }
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            let time = self.now.format("%m-%d %H:%M:%S%.3f");
            let line = format!("{time} {}", line());
            self.trace.push(line);
        }
    }

    /// Counts a fault that came to pass.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
        self.say(|| format!("      ! {kind}"));
    }

    pub fn pass_time(&mut self, span: Duration) {
        self.remember_for_replicas();
        self.now += chrono::Duration::from_std(span).unwrap();
        self.monotonic += span;
        self.run_late_requests();
    }

    /// A point: true when the process is dead.
    fn tick(&mut self, name: &'static str) -> bool {
        if self.dead {
            return true;
        }
        self.points += 1;
        self.all_points += 1;
        *self.places.entry(name).or_default() += 1;
        if self
            .at_place
            .as_ref()
            .is_some_and(|(place, _)| *place == name)
            && let Some((_, deed)) = self.at_place.take()
        {
            deed(self);
        }
        let dies = match self.death {
            Death::Never => false,
            Death::At(point) => self.points == point,
            Death::Twice(first, second) => match self.faults.get("kill") {
                None => self.points == first,
                Some(1) => self.points == second,
                Some(_) => false,
            },
            Death::AtPlace(place) => place == name,
            Death::Random(share) => self.chance.below(10_000) < share,
        };
        if dies {
            self.dead = true;
            self.killed_at.insert(name);
            self.fault("kill");
            self.say(|| format!("      KILLED at {name}"));
            return true;
        }
        // Between the last look at the fence and the service's work no client can be stopped.
        if self.pause_at.is_some_and(|at| self.points >= at) && !matches!(name, "push" | "delete") {
            (self.pause_at, self.paused) = (None, true);
            self.say(|| format!("      STANDS STILL at {name}"));
        }
        self.disk.full |= self.past.full_at.is_some_and(|at| self.points >= at);
        let millis = self.chance.between(1, 400);
        self.pass_time(Duration::from_millis(millis));
        if self.chance.permille(self.busy) {
            if self.desk.open {
                // A run goes on while the queue fills; people go home at some time.
                self.busy = self.busy.saturating_sub(3);
                self.somebody_acts_at_the_desk();
            } else {
                self.somebody_acts();
            }
        }
        false
    }
}

/// A point in a port's work; it never returns once the process is dead.
pub async fn turn(shared: &Shared, name: &'static str) {
    let dead = shared.borrow_mut().tick(name);
    if dead {
        std::future::pending::<()>().await;
    }
    // Only the run that came to this point waits here.
    if shared.borrow().paused {
        std::future::poll_fn(|context| {
            if shared.borrow().paused {
                context.waker().wake_by_ref();
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

/// Runs a future until it stands still at `pause_at`, then `meanwhile` (another process, with a copy of the state as it was then),
/// then the rest of it, which sees its own state. True when it was overtaken: then the copy is the state from there on.
pub fn drive_overtaken<F: Future>(shared: &Shared, future: F, meanwhile: impl FnOnce()) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut meanwhile = Some(meanwhile);
    {
        let mut universe = shared.borrow_mut();
        universe.forget_what_no_run_has_taken();
        (universe.dead, universe.points) = (false, 0);
    }
    loop {
        let polled = future.as_mut().poll(&mut context);
        if shared.borrow().paused
            && let Some(meanwhile) = meanwhile.take()
        {
            let copy = {
                let mut universe = shared.borrow_mut();
                while universe.disk.sync_one() {}
                universe.paused = false;
                universe.disk.copy()
            };
            let epoch = |shared: &Shared| {
                let universe = shared.borrow();
                universe.database.meta.as_ref().map(|meta| meta.epoch)
            };
            let before = epoch(shared);
            let own = std::mem::replace(&mut shared.borrow_mut().disk, copy);
            meanwhile();
            // A quiet run overtakes nobody: then the bridge stays on the first machine.
            let overtaken = epoch(shared) != before;
            let newer = std::mem::replace(&mut shared.borrow_mut().disk, own);
            shared
                .borrow_mut()
                .say(|| format!("      GOES ON, overtaken: {overtaken}"));
            loop {
                if future.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                let mut universe = shared.borrow_mut();
                assert!(
                    universe.disk.sync_one(),
                    "the overtaken run waits for something that never comes"
                );
            }
            let mut universe = shared.borrow_mut();
            while universe.disk.sync_one() {}
            if overtaken {
                universe.disk = newer;
            }
            return overtaken;
        }
        if polled.is_ready() {
            let mut universe = shared.borrow_mut();
            while universe.disk.sync_one() {}
            universe.pause_at = None;
            return false;
        }
        let mut universe = shared.borrow_mut();
        universe.tick("commit");
        if !universe.paused {
            assert!(
                universe.disk.sync_one(),
                "the engine waits for something that never comes"
            );
        }
    }
}

/// Runs the engine's future to its end; `None` when the process died on its way.
///
/// Commits become durable, oldest first, only when nothing else can go on: as late as the engine allows.
pub fn drive<F: Future>(shared: &Shared, future: F) -> Option<F::Output> {
    {
        let mut universe = shared.borrow_mut();
        universe.forget_what_no_run_has_taken();
        (universe.dead, universe.points) = (false, 0);
    }
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            let mut universe = shared.borrow_mut();
            if universe.dead {
                let Universe { disk, chance, .. } = &mut *universe;
                disk.lose_power(chance);
                return None;
            }
            // Nobody waits for these any more; the machine goes on all the same.
            while universe.disk.sync_one() {}
            return Some(output);
        }
        let mut universe = shared.borrow_mut();
        if universe.tick("commit") {
            let Universe { disk, chance, .. } = &mut *universe;
            disk.lose_power(chance);
            return None;
        }
        assert!(
            universe.disk.sync_one(),
            "the engine waits for something that never comes"
        );
    }
}

/// The engine's world.
pub struct SimWorld(pub Shared);

impl World for SimWorld {
    fn now(&self) -> DateTime<Utc> {
        self.0.borrow().now
    }

    fn monotonic(&self) -> Duration {
        self.0.borrow().monotonic
    }

    async fn sleep(&self, duration: Duration) {
        turn(&self.0, "sleep").await;
        self.0.borrow_mut().pass_time(duration);
        turn(&self.0, "sleep").await;
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut universe = self.0.borrow_mut();
        for part in bytes.chunks_mut(8) {
            let word = universe.engine_chance.next().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    async fn checkpoint(&self, name: &'static str) -> Result<()> {
        turn(&self.0, name).await;
        Ok(())
    }

    fn interrupted(&self) -> Option<Signal> {
        None
    }
}
