//! Those who wait for a pass: what they are told of it, and what becomes of it when they want no more.

use std::cell::Cell;
use std::time::Duration;

use futures::future::{join_all, pending};

use super::control::{Reply, Told};
use crate::model::World;
use crate::sync::{RunOptions, Watch};

/// How often whoever waits for a pass hears how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// Comes back when all who wait for a pass want no more of it; a turn is wanted by the schedule.
pub(super) async fn unwanted(askers: &[Reply]) {
    if askers.is_empty() {
        return pending().await;
    }
    let all = askers.iter().map(|asker| {
        let mut stop = asker.stop.clone();
        async move {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // It went away; the pass goes on, as one of the schedule.
                pending::<()>().await;
            }
        }
    });
    join_all(all).await;
}

/// Whether one pass does for both.
pub(super) fn same(one: &RunOptions, other: &RunOptions) -> bool {
    (&one.accept, one.since, one.dry) == (&other.accept, other.since, other.dry)
}

/// Tells whoever waits how far the pass is.
pub(super) struct News<'a, T> {
    askers: &'a [Reply],
    world: &'a T,
    said: Cell<Option<(&'static str, Duration)>>,
}

impl<'a, T> News<'a, T> {
    /// News for these, of a pass that has not begun.
    pub(super) fn new(askers: &'a [Reply], world: &'a T) -> Self {
        Self {
            askers,
            world,
            said: Cell::new(None),
        }
    }
}

impl<T: World> Watch for News<'_, T> {
    fn progress(&self, stage: &'static str, done: u64, total: Option<u64>) {
        let now = self.world.monotonic();
        let is_soon = self
            .said
            .get()
            .is_some_and(|(before, at)| before == stage && now.saturating_sub(at) < PROGRESS_PAUSE);
        if is_soon {
            return;
        }
        self.said.set(Some((stage, now)));
        for asker in self.askers {
            let _ = asker.told.send(Told::Progress { stage, done, total });
        }
    }
}
