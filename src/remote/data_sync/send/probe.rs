//! The sample message, step by step, for a person who sets up the other end.

use super::super::message::Message;
use super::{Reached, Sender};
use crate::model::Error;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It went well.
    Ok,
    /// It failed, and the sample did not count as sent.
    Failed,
    /// It was not come to.
    Skipped,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeStep {
    /// `token`, `tls` or `api`, in this order.
    pub step: &'static str,
    /// What became of it.
    pub outcome: StepOutcome,
    /// The code of an error.
    pub code: Option<&'static str>,
    /// What happened, as a sentence.
    pub message: String,
}

/// All three steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// In their order.
    pub steps: Vec<ProbeStep>,
}

impl Probe {
    /// Whether the sample was answered with exactly 200.
    pub fn succeeded(&self) -> bool {
        let api = self.steps.iter().find(|step| step.step == "api");
        api.is_some_and(|step| step.outcome == StepOutcome::Ok)
    }
}

fn fine(step: &'static str, message: String) -> ProbeStep {
    ProbeStep {
        step,
        outcome: StepOutcome::Ok,
        code: None,
        message,
    }
}

fn failed(step: &'static str, error: &Error) -> ProbeStep {
    ProbeStep {
        step,
        outcome: StepOutcome::Failed,
        code: Some(error.code()),
        message: error.message().to_owned(),
    }
}

fn skipped(step: &'static str, message: &str) -> ProbeStep {
    ProbeStep {
        step,
        outcome: StepOutcome::Skipped,
        code: None,
        message: message.to_owned(),
    }
}

impl Sender {
    /// Posts ORCE's sample message and tells what came back.
    pub async fn probe(&self) -> Probe {
        let token = match self.tokens.token(None).await {
            Ok(_) => fine("token", format!("{} gave a token", self.tokens.host())),
            Err(error) => {
                let after = "not tried without a token";
                return Probe {
                    steps: vec![
                        failed("token", &error),
                        skipped("tls", after),
                        skipped("api", after),
                    ],
                };
            }
        };
        let host = self.api.host();
        let tls = || match self.api.is_tls() {
            true => fine("tls", format!("the certificate of {host} holds")),
            false => skipped("tls", "plain http, on this machine alone"),
        };
        let [tls, api] = match self.post(&Message::sample()).await {
            Ok(()) => [
                tls(),
                fine("api", format!("{host} answered with status 200")),
            ],
            Err(failure) if failure.error.code() == "E-TLS" => [
                failed("tls", &failure.error),
                skipped("api", "not tried without a connection that can be trusted"),
            ],
            Err(failure) if failure.reached == Reached::Nowhere => [
                skipped("tls", "there was no connection"),
                failed("api", &failure.error),
            ],
            Err(failure) => [tls(), failed("api", &failure.error)],
        };
        Probe {
            steps: vec![token, tls, api],
        }
    }
}
