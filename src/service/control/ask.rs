//! The end of a command: finds the `run` that holds a bridge, asks it, and hears its answer.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::place::Place;
use super::wire::{Answer, Ask, Question, Request, Said, VERSION};
use crate::model::{Error, ErrorKind, Result};
use crate::state::StateLocation;
use crate::sync::{BridgeReport, RunOptions};

/// The longest answer: a review with its values is some kilobytes, and there are not a million of them.
const ANSWER_MAX: u64 = 1 << 30;

/// The line to the `run` that holds a bridge.
#[derive(Clone, Debug)]
pub struct Line {
    place: Place,
    bridge: String,
}

/// The `run` that holds `bridge`; `None` where none does.
pub async fn find(location: &StateLocation, bridge: &str) -> Result<Option<Line>> {
    let Some(place) = Place::of(location) else {
        return Ok(None);
    };
    let line = Line {
        place,
        bridge: bridge.to_owned(),
    };
    let Some(mut call) = line.call(Ask::Held).await? else {
        return Ok(None);
    };
    match call.hear().await? {
        Said::Held => Ok(Some(line)),
        Said::NotHeld => Ok(None),
        Said::Refused(fault) => Err(fault.into_error()),
        _ => Err(call.gone()),
    }
}

/// What there is to hear of a pass that was asked for.
pub enum PassNews {
    /// It begins.
    Begun,
    /// How far it is.
    Progress {
        /// The stage.
        stage: String,
        /// What is done.
        done: u64,
        /// Of how many.
        total: Option<u64>,
    },
    /// It ended.
    Passed {
        /// Its report.
        report: Box<BridgeReport>,
        /// The error behind it.
        error: Option<Error>,
    },
    /// The bridge is not held any more.
    NotHeld,
}

/// A call that waits for answers.
pub struct Asked {
    bridge: String,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// What has come of the next line, so that hearing may be interrupted.
    line: Vec<u8>,
}

impl Line {
    /// Asks a question.
    pub async fn ask(&self, question: Question) -> Result<Answer> {
        let Some(mut call) = self.call(Ask::Question(question)).await? else {
            return Err(gone(&self.bridge));
        };
        match call.hear().await? {
            Said::Answer(answer) => Ok(answer),
            Said::Refused(fault) => Err(fault.into_error()),
            _ => Err(call.gone()),
        }
    }

    /// Asks for a pass.
    pub async fn pass(&self, options: &RunOptions) -> Result<Asked> {
        let call = self.call(Ask::pass(options)).await?;
        call.ok_or_else(|| gone(&self.bridge))
    }

    async fn call(&self, ask: Ask) -> Result<Option<Asked>> {
        let Some(stream) = self.place.connect()? else {
            return Ok(None);
        };
        let lost = |error: io::Error| gone(&self.bridge).caused_by(error);
        stream.set_nonblocking(true).map_err(lost)?;
        let stream = UnixStream::from_std(stream).map_err(lost)?;
        let theirs = stream.peer_cred().map_err(lost)?.uid();
        if theirs != rustix::process::geteuid().as_raw() {
            return Err(Error::new(
                ErrorKind::Busy,
                "E-RUN-USER",
                format!(
                    "Bridge `{}` is held by the `contactbridge run` of another user (uid {theirs}). Give this command as that user",
                    self.bridge
                ),
            ));
        }
        let (reader, mut writer) = stream.into_split();
        let request = Request {
            version: VERSION.to_owned(),
            bridge: self.bridge.clone(),
            ask,
        };
        let mut line =
            serde_json::to_vec(&request).map_err(|error| gone(&self.bridge).caused_by(error))?;
        line.push(b'\n');
        writer.write_all(&line).await.map_err(lost)?;
        Ok(Some(Asked {
            bridge: self.bridge.clone(),
            reader: BufReader::new(reader),
            writer,
            line: Vec::new(),
        }))
    }
}

impl Asked {
    /// The next news of a pass. It may be dropped and called again.
    pub async fn news(&mut self) -> Result<PassNews> {
        Ok(match self.hear().await? {
            Said::Begun => PassNews::Begun,
            Said::Progress { stage, done, total } => PassNews::Progress { stage, done, total },
            Said::Passed { report, fault } => PassNews::Passed {
                report,
                error: fault.map(super::Fault::into_error),
            },
            Said::NotHeld => PassNews::NotHeld,
            Said::Refused(fault) => return Err(fault.into_error()),
            Said::Held | Said::Answer(_) => return Err(self.gone()),
        })
    }

    /// Says that the pass is to stop at its next safe point.
    pub async fn stop(&mut self) {
        // If nobody hears it, there is nothing left to stop.
        let _ = self.writer.write_all(b"stop\n").await;
    }

    async fn hear(&mut self) -> Result<Said> {
        let left = ANSWER_MAX.saturating_sub(self.line.len() as u64);
        let read = (&mut self.reader)
            .take(left)
            .read_until(b'\n', &mut self.line)
            .await;
        match read {
            Ok(_) if self.line.ends_with(b"\n") => {}
            Ok(_) => return Err(self.gone()),
            Err(error) => return Err(self.gone().caused_by(error)),
        }
        let said = serde_json::from_slice(&self.line);
        self.line.clear();
        said.map_err(|_| self.gone())
    }

    fn gone(&self) -> Error {
        gone(&self.bridge)
    }
}

fn gone(bridge: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        "E-RUN-GONE",
        format!(
            "The `contactbridge run` that holds bridge `{bridge}` ended before it answered. What was done is recorded; give the command again"
        ),
    )
}
