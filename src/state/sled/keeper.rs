//! The thread that makes commits durable, several with one flush where they wait.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::WAITING_MAX;
use super::fault::Shared;
use crate::model::Result;
use crate::state::files;
use crate::state::marker::Marker;

/// A batch that is applied and waits for the disk.
pub(super) struct Waiting {
    pub(super) sequence: u64,
    pub(super) answer: oneshot::Sender<Result<()>>,
}

/// The thread that makes commits durable.
pub(super) struct Keeper {
    pub(super) db: ::sled::Db,
    /// An own handle of sled's log, to be synced once more after each flush.
    pub(super) log: File,
    pub(super) blobs: PathBuf,
    pub(super) synced_blobs: HashSet<std::ffi::OsString>,
    pub(super) marker: Marker,
    pub(super) shared: Arc<Shared>,
}

impl Keeper {
    /// Works until every sender of the queue is gone and all that waits is answered.
    pub(super) fn run(mut self, queue: &Receiver<Waiting>) {
        while let Ok(first) = queue.recv() {
            // Whatever waits by now is covered by the same flush.
            let mut waiting = vec![first];
            waiting.extend(queue.try_iter().take(WAITING_MAX));
            let last = waiting.last().map_or(0, |waiting| waiting.sequence);

            let outcome = self.make_durable();
            for one in waiting {
                let answer = match &outcome {
                    Ok(()) => Ok(()),
                    Err(_) => self.shared.fault.check(),
                };
                // Nobody may be waiting any more.
                let _ = one.answer.send(answer);
            }
            // After the answers: the marker only helps to notice damage later, so nobody need wait for it.
            if outcome.is_ok()
                && let Err(cause) = self.marker.advance(last)
            {
                self.marker_failed(cause);
            }
        }
        if let Err(cause) = self.marker.settle() {
            self.marker_failed(cause);
        }
    }

    fn marker_failed(&self, cause: std::io::Error) {
        let place = &self.shared.directory;
        self.shared
            .fault
            .note(files::failed("write the marker of", place, cause));
    }

    /// Everything that was applied before this call is durable after it (design, recipe 6 to 8).
    fn make_durable(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.ask(|| self.db.flush())?;
        self.sync_new_blobs()
            .and_then(|()| self.log.sync_data())
            .map_err(|cause| {
                shared
                    .fault
                    .note(files::failed("sync", &shared.directory, cause))
            })
    }

    /// Values are split so that there should be none; where sled makes one all the same, it must not stay unsynced.
    fn sync_new_blobs(&mut self) -> std::io::Result<()> {
        let mut found_new = false;
        for entry in fs::read_dir(&self.blobs)? {
            let entry = entry?;
            if self.synced_blobs.insert(entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(blob) => blob.sync_all()?,
                    // sled removes those it no longer needs.
                    Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                    Err(cause) => return Err(cause),
                }
                found_new = true;
            }
        }
        if found_new {
            files::sync_directory(&self.blobs)?;
        }
        Ok(())
    }
}
