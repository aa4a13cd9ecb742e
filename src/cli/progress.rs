//! A progress line on a terminal's stderr, and nothing anywhere else.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sync::Watch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line moves while nothing else happens: often enough to look alive, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(200);

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

    /// Says how long the stage may still take, where its end is known.
    fn estimate(&self, is_new: bool, done: u64, total: Option<u64>) {
        let template = match total {
            Some(_) => "{spinner} {msg} {elapsed} (about {eta} left)",
            None => "{spinner} {msg} {elapsed}",
        };
        if is_new {
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.reset_eta();
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
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
}

impl<'a> Watching<'a> {
    /// Watches the run of a bridge.
    pub fn new(progress: &'a Progress, bridge: &'a str) -> Self {
        Self {
            progress,
            bridge,
            stage: Cell::new(""),
        }
    }
}

impl Watch for Watching<'_> {
    fn progress(&self, stage: &'static str, done: u64, total: Option<u64>) {
        let bridge = self.bridge;
        let is_new = self.stage.replace(stage) != stage;
        self.progress.say(match total {
            Some(total) => format!("{bridge}: {stage} {done} of {total}"),
            None => format!("{bridge}: {stage} {done}"),
        });
        self.progress.estimate(is_new, done, total);
        if is_new {
            tracing::info!(bridge, stage, "the pass goes on");
        }
        tracing::debug!(bridge, stage, done, total, "progress");
    }
}
