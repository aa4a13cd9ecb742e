//! A pass that `contactbridge run` makes, since it holds the bridge: asked for here, shown here as if it were made here.

use super::progress::{Progress, Watching};
use super::sync::{failed, not_started};
use super::world::RealWorld;
use crate::model::{Error, Result};
use crate::service::control::{self, PassNews};
use crate::state::StateLocation;
use crate::sync::{BridgeReport, RunOptions, Watch};

/// Has the `run` that holds `bridge` make a pass, which begins once it is asked; `None` where no `run` holds it.
///
/// A signal asks the pass to stop at its next safe point; one that has not begun is not waited for.
pub async fn pass(
    location: &StateLocation,
    bridge: &str,
    options: &RunOptions,
    world: &RealWorld,
    shows_progress: bool,
) -> Result<Option<(BridgeReport, Option<Error>)>> {
    let Some(line) = control::find(location, bridge).await? else {
        return Ok(None);
    };
    let mut call = line.pass(options).await?;
    let progress = Progress::start(shows_progress, bridge);
    let watch = Watching::new(&progress, bridge);
    let mut stages = Stages::default();
    let (mut has_begun, mut is_stopping) = (false, false);
    loop {
        let news = tokio::select! {
            news = call.news() => news?,
            signal = world.signalled(), if !is_stopping => {
                is_stopping = true;
                call.stop().await;
                if has_begun {
                    continue;
                }
                let error = not_started(bridge, signal);
                return Ok(Some((failed(bridge, &error), Some(error))));
            }
        };
        match news {
            PassNews::Begun => has_begun = true,
            PassNews::Progress { stage, done, total } => {
                watch.progress(stages.name(stage), done, total);
            }
            PassNews::Passed { mut report, error } => {
                report.failure = error.as_ref().map(Error::kind);
                return Ok(Some((*report, error)));
            }
            PassNews::NotHeld => return Ok(None),
        }
    }
}

/// The names of stages, of which a pass has a handful.
#[derive(Default)]
struct Stages {
    known: Vec<&'static str>,
}

impl Stages {
    fn name(&mut self, stage: String) -> &'static str {
        if let Some(known) = self.known.iter().find(|known| **known == stage) {
            return known;
        }
        // Told again and again, kept once.
        let name: &'static str = Box::leak(stage.into_boxed_str());
        self.known.push(name);
        name
    }
}
