//! Sends whole records and reads them back: the part that updates and creates share (reliability, section 2.6).
//!
//! Whatever the answer to a batch says, only what is read back counts. What it proves is decided by [`super::resolve`].

use std::collections::HashMap;

use chrono::Duration;

use crate::local::Local;
use crate::model::{Digest, RemoteId, RemoteItem, Result, Stamp, World};
use crate::remote::{Found, LookUp, Outgoing, Pushed, Remote, RemoteScan, ScanStep};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::behind::Age;
use super::memory::{Intent, IntentKind, put_json};
use super::run::{Run, Task};
use super::view::{RemoteView, email_digest, external_digest};

/// Contacts announced, sent and read back together: large, because reading back costs a scan of what just changed; bounded, because
/// each is held whole in memory.
pub(crate) const WINDOW: usize = 5_000;

/// Up to so many contacts are looked up one by one instead.
const LOOK_UPS: usize = 3;

/// One contact on its way.
pub(crate) struct Sending {
    /// What it is for.
    pub task: Task,
    /// The whole record.
    pub outgoing: Outgoing,
    /// What was announced.
    pub intent: Intent,
    /// The intent's key.
    pub key: Vec<u8>,
    /// How to find it again.
    pub find: LookUp,
    /// The record as the service should show it.
    pub expected: RemoteView,
    /// The record as read back.
    pub got: Option<RemoteView>,
    /// The service refused it alone.
    pub refused: Option<String>,
    /// The answer was lost: it may still land.
    pub unknown: bool,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// C5, send, read back. The identities of `sendings` are distinct (hazard H-24).
    pub(crate) async fn deliver(
        &mut self,
        run: &mut Run,
        sendings: &mut [Sending],
        losers: Batch,
    ) -> Result<()> {
        if sendings.is_empty() {
            return Ok(());
        }
        let mut batch = losers;
        for sending in sendings.iter() {
            put_json(
                &mut batch,
                Table::Intent,
                sending.key.clone(),
                &sending.intent,
            );
        }
        self.store.commit(batch).await?;
        self.world.checkpoint("C5").await?;
        let since = self.remote.server_time().map(|now| {
            self.remote
                .stamp(self.remote.instant(now) - Duration::seconds(2))
        });
        run.wrote = true;
        let size = self.rules.batch.max(1);
        for start in (0..sendings.len()).step_by(size) {
            self.check_signal()?;
            let end = (start + size).min(sendings.len());
            self.send(run, &mut sendings[start..end]).await?;
            self.watch.progress(
                "sending to the remote",
                end as u64,
                Some(sendings.len() as u64),
            );
        }
        self.read_back(run, sendings, since).await?;
        if sendings
            .iter()
            .any(|sending| sending.unknown && !landed(sending))
        {
            // The service may still be working on a request whose answer was lost (H-21).
            self.world.sleep(self.rules.settle).await;
            self.look_up_missing(run, sendings, |sending| sending.unknown && !landed(sending))
                .await?;
        }
        for sending in sendings.iter_mut() {
            if self.proves_nothing(run, sending, since) || self.is_older(run, sending) {
                sending.got = None;
            }
        }
        Ok(())
    }

    /// Whether what was found for a new row stood there before the push, by its own time: the push has not reached it, or a replica
    /// that lags shows it as it was. Never proof of anything: it may even be a contact that is dead, which no full read shows.
    fn proves_nothing(&self, run: &Run, sending: &Sending, since: Option<Stamp>) -> bool {
        let intent = &sending.intent;
        let Some((got, stamp)) = sending.got.as_ref().and_then(|got| Some((got, got.stamp?)))
        else {
            return false;
        };
        if intent.kind != IntentKind::Create || since.is_none_or(|since| stamp >= since) {
            return false;
        }
        let is_dead = intent.remote.as_ref() == Some(&got.id);
        let began = run.scan_end.as_ref().and_then(|end| end.server_time);
        let missed =
            run.full && began.is_some_and(|began| stamp < began) && !run.seen.contains(&got.id);
        is_dead || missed || !landed(sending)
    }

    /// Whether a replica that lags answered: the contact was newer when the push was composed on it.
    fn is_older(&self, run: &Run, sending: &Sending) -> bool {
        let known = sending.task.remote.as_ref().and_then(|view| view.stamp);
        let seen = sending.got.as_ref().and_then(|view| view.stamp);
        self.age(run, seen, known) != Age::Current
    }

    /// Sends a batch; one that is refused is halved until the culprit stands alone (H-23).
    async fn send(&mut self, run: &Run, sendings: &mut [Sending]) -> Result<()> {
        let mut parts: Vec<(usize, usize)> = vec![(0, sendings.len())];
        while let Some((start, end)) = parts.pop() {
            self.check_fence(run).await?;
            let batch: Vec<Outgoing> = sendings[start..end]
                .iter()
                .map(|sending| sending.outgoing.clone())
                .collect();
            let pushed = self.remote.push(&batch).await?;
            self.world.checkpoint("send").await?;
            match pushed {
                Pushed::Accepted => {}
                Pushed::Unknown { .. } => sendings[start..end]
                    .iter_mut()
                    .for_each(|sending| sending.unknown = true),
                Pushed::Refused { reason } if end - start == 1 => {
                    sendings[start].refused = Some(reason)
                }
                Pushed::Refused { .. } => {
                    let middle = start + (end - start) / 2;
                    parts.push((middle, end));
                    parts.push((start, middle));
                }
            }
        }
        Ok(())
    }

    /// Reads back: one scan of what changed since the first send, then look-ups for what it did not show.
    async fn read_back(
        &mut self,
        run: &Run,
        sendings: &mut [Sending],
        since: Option<Stamp>,
    ) -> Result<()> {
        if let Some(since) = since.filter(|_| sendings.len() > LOOK_UPS) {
            let mut by_id: HashMap<RemoteId, usize> = HashMap::new();
            let mut by_identity: HashMap<Digest, usize> = HashMap::new();
            for (at, sending) in sendings.iter().enumerate() {
                match &sending.find {
                    LookUp::Id(id) => by_id.insert(id.clone(), at),
                    LookUp::External(text) => {
                        by_identity.insert(external_digest(self.vault, text), at)
                    }
                    LookUp::Email(text) => email_digest(self.vault, text)
                        .and_then(|digest| by_identity.insert(digest, at)),
                };
            }
            let mut scan = self.remote.scan(Some(since)).await?;
            loop {
                match scan.next().await {
                    Ok(ScanStep::Records(items)) => {
                        for item in items {
                            let RemoteItem::Record(record) = item else {
                                continue;
                            };
                            if record.deleted {
                                continue;
                            }
                            let at = by_id.get(&record.id).or_else(|| {
                                let (external, email) = self.found_by(run, &record);
                                external
                                    .and_then(|digest| by_identity.get(&digest))
                                    .or_else(|| email.and_then(|digest| by_identity.get(&digest)))
                            });
                            if let Some(&at) = at {
                                sendings[at].got = Some(self.view(run, &record));
                            }
                        }
                    }
                    Ok(ScanStep::Restarted) => {}
                    Ok(ScanStep::End(_)) => break,
                    // A set that will not hold still is no reason to give up: the look-ups tell.
                    Err(error) if error.code() == "E-SCAN-UNSTABLE" => break,
                    Err(error) => return Err(error),
                }
            }
        }
        self.look_up_missing(run, sendings, |sending| sending.got.is_none())
            .await
    }

    async fn look_up_missing(
        &self,
        run: &Run,
        sendings: &mut [Sending],
        wanted: impl Fn(&Sending) -> bool,
    ) -> Result<()> {
        let missing = (0..sendings.len()).filter(|&at| wanted(&sendings[at]));
        let asked = missing.map(|at| (at, sendings[at].find.clone())).collect();
        let found = self.look_up_all(asked).await?;
        for (at, found) in found {
            sendings[at].got = match found {
                Found::Item(item) => match *item {
                    RemoteItem::Record(record) if !record.deleted => Some(self.view(run, &record)),
                    _ => None,
                },
                Found::Nothing => None,
            };
        }
        Ok(())
    }

    /// These look-ups, each under its number, several in flight.
    pub(crate) async fn look_up_all(
        &self,
        asked: Vec<(usize, LookUp)>,
    ) -> Result<Vec<(usize, Found)>> {
        use futures::{StreamExt, TryStreamExt, stream};
        let remote = self.remote;
        stream::iter(asked)
            .map(|(at, find)| async move { remote.look_up(&find).await.map(|found| (at, found)) })
            .buffered(self.rules.prefetch.max(1))
            .try_collect()
            .await
    }
}

/// Whether everything that was sent shows itself.
pub(crate) fn landed(sending: &Sending) -> bool {
    sending.got.as_ref().is_some_and(|got| {
        sending
            .intent
            .sent
            .iter()
            .enumerate()
            .all(|(field, sent)| sent.is_none_or(|sent| got.digests[field] == sent))
    })
}
