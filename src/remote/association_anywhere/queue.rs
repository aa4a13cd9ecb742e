//! The queue's answer over the wire: taken while it arrives, and asked for again as long as nothing of it was handed over.

use std::sync::Arc;

use super::client::{Inner, Service, is_passing};
use super::rows::{QueueEnd, QueueReader};
use crate::model::{Error, Result};
use crate::remote::http::{Answer, Pauses, repeat};
use crate::remote::{QueueReading, QueueStep};

/// Bytes that are read between two looks at whether a step is full: some hundred customers.
const BITE: usize = 16 << 10;

/// A queue that is being read.
pub struct QueueAnswer {
    inner: Arc<Inner>,
    document: String,
    answer: Answer,
    /// What arrived last, and how much of it was read.
    arrived: Vec<u8>,
    read: usize,
    reader: QueueReader,
    /// Something was handed over, so the answer can't be begun anew.
    handed_over: bool,
    pauses: Pauses,
    end: Option<QueueEnd>,
}

impl QueueAnswer {
    /// Asks for the queue with `document`.
    pub(super) async fn open(inner: Arc<Inner>, document: String) -> Result<Self> {
        let answer = ask(&inner, &document).await?;
        let reader = QueueReader::new(&inner.reading, answer.content_type());
        Ok(Self {
            inner,
            document,
            answer,
            arrived: Vec::new(),
            read: 0,
            reader,
            handed_over: false,
            pauses: Pauses::default(),
            end: None,
        })
    }

    async fn step(&mut self) -> Result<QueueStep> {
        loop {
            if let Some(records) = self.reader.step() {
                return Ok(QueueStep::Records(records));
            }
            let arrived = self.arrived.get(self.read..).unwrap_or_default();
            if !arrived.is_empty() {
                let bite = arrived.get(..BITE).unwrap_or(arrived);
                self.read += bite.len();
                self.reader.feed(bite)?;
                continue;
            }
            if let Some(piece) = self.answer.piece().await? {
                (self.arrived, self.read) = (piece, 0);
                continue;
            }
            let reader = &mut self.reader;
            let (records, end) = self.inner.asker(|asker| reader.end(asker))?;
            if records.is_empty() {
                return Ok(ended(end));
            }
            self.end = Some(end);
            return Ok(QueueStep::Records(records));
        }
    }

    /// Whether the answer may be asked for once more after `error`, and after what pause.
    async fn begin_anew(&mut self, error: &Error) -> Result<bool> {
        let may_pass = is_passing(error) || matches!(error.code(), "E-AA-ERROR" | "E-AA-NOTXML");
        if self.handed_over || !may_pass {
            return Ok(false);
        }
        let around = self.inner.transport.around();
        let Some(pause) = self.pauses.next(around, &self.inner.options.retries, None) else {
            return Ok(false);
        };
        tracing::info!(
            operation = "queue",
            code = error.code(),
            "a call failed and is tried again"
        );
        around.pause(pause).await;
        self.answer = ask(&self.inner, &self.document).await?;
        (self.arrived, self.read) = (Vec::new(), 0);
        self.reader = QueueReader::new(&self.inner.reading, self.answer.content_type());
        Ok(true)
    }
}

async fn ask(inner: &Inner, document: &str) -> Result<Answer> {
    repeat(
        inner.transport.around(),
        &inner.options.retries,
        "queue",
        || inner.open(Service::Queue, document),
    )
    .await
}

fn ended(end: QueueEnd) -> QueueStep {
    QueueStep::End {
        number: end.number,
        doubt: end.doubt,
    }
}

impl QueueReading for QueueAnswer {
    async fn next(&mut self) -> Result<QueueStep> {
        if let Some(end) = self.end.take() {
            return Ok(ended(end));
        }
        loop {
            match self.step().await {
                Ok(step) => {
                    self.handed_over = true;
                    return Ok(step);
                }
                Err(error) if error.code() == "E-AUTH" => return Err(self.inner.refused("queue")),
                Err(error) => {
                    if !self.begin_anew(&error).await? {
                        return Err(error);
                    }
                }
            }
        }
    }
}
