//! `contactbridge send-sample`: ORCE's sample message to the third-party application, and what came back, step by step.
//!
//! It posts once and keeps nothing: neither the state nor a side is looked at, so that it may be run beside a run.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::exit::Exit;
use super::output::{Output, table};
use super::project;
use super::world::RealWorld;
use crate::config::RemoteSettings;
use crate::model::{Error, Result};
use crate::remote::data_sync::send::{Probe, ProbeStep, SendOptions, Sender, StepOutcome};

#[derive(Serialize)]
struct Report {
    bridge: String,
    /// `ok` only for a 200.
    outcome: &'static str,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: &'static str,
    outcome: &'static str,
    code: Option<&'static str>,
    message: String,
}

/// Posts the sample message of `bridge`: 0 only for a 200, else 5.
pub async fn run(config: Option<&Path>, bridge: &str, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    let bridge = settings.bridge(bridge)?;
    let send = match &bridge.remote {
        RemoteSettings::DataSync(remote) => remote.send.as_ref(),
        _ => None,
    };
    let Some(send) = send else {
        return Err(Error::config(
            "E-USAGE",
            format!(
                "{}: only a data-sync bridge with `send:` posts messages",
                bridge.name
            ),
        ));
    };
    let options = SendOptions::from_settings(send, &bridge.limits)?;
    let probe = Sender::new(options, Arc::new(RealWorld::new()))?
        .probe()
        .await;
    let exit = if probe.succeeded() {
        Exit::Clean
    } else {
        Exit::Unreachable
    };
    output.report(&report(&bridge.name, probe), text)?;
    Ok(exit)
}

fn report(bridge: &str, probe: Probe) -> Report {
    Report {
        bridge: bridge.to_owned(),
        outcome: if probe.succeeded() { "ok" } else { "failed" },
        steps: probe.steps.into_iter().map(step).collect(),
    }
}

fn step(step: ProbeStep) -> Step {
    Step {
        step: step.step,
        outcome: match step.outcome {
            StepOutcome::Ok => "ok",
            StepOutcome::Failed => "failed",
            StepOutcome::Skipped => "skipped",
        },
        code: step.code,
        message: step.message,
    }
}

fn text(report: &Report) -> String {
    table(
        ["STEP", "OUTCOME", "WHAT"],
        report.steps.iter().map(|step| {
            let code = step.code.map(|code| format!("{code} ")).unwrap_or_default();
            [
                step.step.to_owned(),
                step.outcome.to_owned(),
                format!("{code}{}", step.message),
            ]
        }),
    )
}
