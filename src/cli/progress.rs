//! A progress line on a terminal's stderr, and nothing anywhere else.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sync::Watch;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line moves while nothing else happens: often enough to look alive, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(200);

/// Less than this is not worth an estimate.
const ESTIMATE_FROM: Duration = Duration::from_secs(5);

/// The line that is shown at present, so that logs can step aside for it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A progress line; it vanishes when this is dropped.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows `message` on stderr where that is a terminal and `wanted`.
    pub fn start(wanted: bool, message: &str) -> Self {
        let target = if wanted {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(message.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
            *shown() = Some(bar.clone());
        }
        Self { bar }
    }

    /// Changes what the line says.
    pub fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *shown() = None;
        self.bar.finish_and_clear();
    }
}

/// Runs `write` while the progress line, if there is one, stands aside.
pub fn aside(write: impl FnOnce()) {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows what the engine says on the progress line, and in the log for those who asked for it.
pub struct Watching<'a> {
    progress: &'a Progress,
    bridge: &'a str,
    stage: Cell<&'static str>,
    /// Where each stage stood when it was first seen, and when.
    begun: RefCell<BTreeMap<&'static str, (u64, Duration)>>,
}

impl<'a> Watching<'a> {
    /// Watches the run of a bridge.
    pub fn new(progress: &'a Progress, bridge: &'a str) -> Self {
        Self {
            progress,
            bridge,
            stage: Cell::new(""),
            begun: RefCell::new(BTreeMap::new()),
        }
    }

    /// How long a stage may still take, from the time since it began; what is nearly done needs no estimate.
    fn left(&self, stage: &'static str, done: u64, total: u64) -> String {
        let now = self.progress.bar.elapsed();
        let mut begun = self.begun.borrow_mut();
        let (first, at) = begun.entry(stage).or_insert((done, now));
        if done < *first {
            (*first, *at) = (done, now);
        }
        if done <= *first {
            return String::new();
        }
        let took = now.saturating_sub(*at).as_secs_f64();
        let left = took / (done - *first) as f64 * total.saturating_sub(done) as f64;
        let left = Duration::from_secs(left as u64);
        if left < ESTIMATE_FROM {
            return String::new();
        }
        format!(", about {} left", HumanDuration(left))
    }
}

impl Watch for Watching<'_> {
    fn progress(&self, stage: &'static str, done: u64, total: Option<u64>) {
        let bridge = self.bridge;
        self.progress.say(match total {
            Some(total) => {
                let left = self.left(stage, done, total);
                format!("{bridge}: {stage} {done} of {total}{left}")
            }
            None => format!("{bridge}: {stage} {done}"),
        });
        if self.stage.replace(stage) != stage {
            tracing::info!(bridge, stage, "the pass goes on");
        }
        tracing::debug!(bridge, stage, done, total, "progress");
    }
}
