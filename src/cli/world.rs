//! The real world: the machine's clock, sleep, randomness and signals, behind the engine's port.
//!
//! This is the one place of the program (beside the simulator) that reads a clock.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::exit::Exit;
use crate::model::{Error, Result, Signal, World};

/// Names a checkpoint at which this process kills itself with SIGKILL, for tests of what a kill leaves behind:
/// `NAME`, or `NAME:n` for its n-th visit; `*:n` counts the visits of all checkpoints.
pub const CRASH_VARIABLE: &str = "CONTACTBRIDGE_CRASH_AT";

/// The same for a process that falls asleep (SIGSTOP) instead: whoever wakes it finds out what one that was overtaken does.
pub const STOP_VARIABLE: &str = "CONTACTBRIDGE_STOP_AT";

/// The production [`World`]. Clones share the signals that were seen.
#[derive(Clone)]
pub struct RealWorld {
    started: Instant,
    signal: Arc<watch::Sender<Option<Signal>>>,
    asked: Arc<watch::Sender<Option<Signal>>>,
    crash: Option<Arc<CrashPoint>>,
    stop: Option<Arc<CrashPoint>>,
}

struct CrashPoint {
    name: String,
    visits_left: AtomicU64,
}

impl RealWorld {
    /// A world that does not look at signals: they end the process as the system has it.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            signal: Arc::default(),
            asked: Arc::default(),
            crash: CrashPoint::of(CRASH_VARIABLE),
            stop: CrashPoint::of(STOP_VARIABLE),
        }
    }

    /// From now on the first SIGINT or SIGTERM asks for a stop at the next safe point, and a second one ends the process at once.
    ///
    /// Must be called inside a tokio runtime with a thread to spare.
    pub fn heed_signals(&self) -> Result<()> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for (kind, number) in [
                (SignalKind::interrupt(), Signal::Interrupt),
                (SignalKind::terminate(), Signal::Terminate),
            ] {
                let mut stream = signal(kind).map_err(|error| {
                    Error::unexpected("E-SIGNAL", "Signals can't be listened to").caused_by(error)
                })?;
                let seen = Arc::clone(&self.signal);
                tokio::spawn(async move {
                    while stream.recv().await.is_some() {
                        heed(&seen, number);
                    }
                });
            }
        }
        #[cfg(not(unix))]
        {
            let seen = Arc::clone(&self.signal);
            tokio::spawn(async move {
                while tokio::signal::ctrl_c().await.is_ok() {
                    heed(&seen, Signal::Interrupt);
                }
            });
        }
        Ok(())
    }

    /// The same world for one of several passes that go on beside each other: it can be asked to stop for itself.
    pub fn apart(&self) -> Self {
        Self {
            asked: Arc::default(),
            ..self.clone()
        }
    }

    /// Asks the passes of this world and its clones to stop at the next safe point, or takes that back.
    pub fn ask_to_stop(&self, signal: Option<Signal>) {
        self.asked.send_replace(signal);
    }

    /// Comes back once the process was signalled to stop.
    pub async fn signalled(&self) -> Signal {
        let mut seen = self.signal.subscribe();
        let signal = seen.wait_for(Option::is_some).await;
        // The sender lives as long as this.
        signal
            .ok()
            .and_then(|found| *found)
            .unwrap_or(Signal::Terminate)
    }
}

impl Default for RealWorld {
    fn default() -> Self {
        Self::new()
    }
}

fn heed(seen: &watch::Sender<Option<Signal>>, signal: Signal) {
    if seen.send_replace(Some(signal)).is_none() {
        tracing::warn!("stopping at the next safe point; the same signal again ends this at once");
    } else {
        std::process::exit(i32::from(Exit::Interrupted(signal).code()));
    }
}

impl CrashPoint {
    fn of(variable: &str) -> Option<Arc<Self>> {
        let text = std::env::var(variable).ok()?;
        Self::parse(&text).map(Arc::new)
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, visits) = match text.split_once(':') {
            Some((name, count)) => (name, count.parse().ok()?),
            None => (text, 1),
        };
        (!name.is_empty() && visits > 0).then(|| Self {
            name: name.to_owned(),
            visits_left: AtomicU64::new(visits),
        })
    }

    /// Whether this visit is the last one.
    fn strikes(&self, name: &str) -> bool {
        (self.name == "*" || self.name == name)
            && self.visits_left.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

impl World for RealWorld {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes)
            .expect("the system gives randomness, or nothing may be sealed or named");
    }

    async fn checkpoint(&self, name: &'static str) -> Result<()> {
        if self.stop.as_ref().is_some_and(|point| point.strikes(name)) {
            stop_this_process();
        }
        match &self.crash {
            Some(point) if point.strikes(name) => Err(kill_this_process()),
            _ => Ok(()),
        }
    }

    fn interrupted(&self) -> Option<Signal> {
        let signalled = *self.signal.borrow();
        signalled.or(*self.asked.borrow())
    }
}

impl crate::remote::contactlist::Surroundings for RealWorld {
    fn now(&self) -> DateTime<Utc> {
        World::now(self)
    }

    fn monotonic(&self) -> Duration {
        World::monotonic(self)
    }

    fn random(&self, bytes: &mut [u8]) {
        World::random(self, bytes);
    }

    fn pause(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Comes back when somebody sends SIGCONT.
fn stop_this_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Does not come back where SIGKILL exists.
fn kill_this_process() -> Error {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
    #[cfg(not(unix))]
    Error::unexpected("E-CRASH", format!("Stopped as {CRASH_VARIABLE} asks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_point_strikes_once_at_its_visit() {
        let point = CrashPoint::parse("C5:2").unwrap();
        let visits = ["C5", "C2", "C5", "C5"].map(|name| point.strikes(name));
        assert_eq!(visits, [false, false, true, false]);
        let any = CrashPoint::parse("*:3").unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|name| any.strikes(name)),
            [false, false, true]
        );
        assert!(CrashPoint::parse("C5:0").is_none());
        assert!(CrashPoint::parse("C5:x").is_none());
    }

    #[test]
    fn signals_are_told_apart() {
        let world = RealWorld::new();
        assert_eq!(world.interrupted(), None);
        let (one, other) = (world.apart(), world.apart());
        one.ask_to_stop(Some(Signal::Interrupt));
        assert_eq!(one.clone().interrupted(), Some(Signal::Interrupt));
        assert_eq!((other.interrupted(), world.interrupted()), (None, None));
        one.ask_to_stop(None);
        assert_eq!(one.interrupted(), None);
        world.signal.send_replace(Some(Signal::Terminate));
        for world in [&world, &world.clone(), &one, &other] {
            assert_eq!(world.interrupted(), Some(Signal::Terminate));
        }
    }

    #[tokio::test]
    async fn a_signal_is_waited_for() {
        let world = RealWorld::new();
        let (waits, seen) = (world.apart(), world.signal.clone());
        let waiting = tokio::spawn(async move { waits.signalled().await });
        seen.send_replace(Some(Signal::Interrupt));
        assert_eq!(waiting.await.unwrap(), Signal::Interrupt);
        // Also by whoever comes later.
        assert_eq!(world.signalled().await, Signal::Interrupt);
    }
}
