//! The thread of an open store: one connection that answers requests in their order, and a second one that keeps the lease.
//!
//! It has a runtime of its own, so that the lease is renewed whatever the engine waits for or is busy with. Because requests
//! are answered in order, a read sees every commit that was handed over before it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::connection::{DEFAULT_STATEMENT_TIMEOUT, Link, ask};
use super::entries::{Entries, Pair};
use super::lease::{self, Lease};
use super::{SharedPlace, fault, schema};
use crate::model::{Error, ErrorKind, Result};
use crate::state::fault::Fault;
use crate::state::{Batch, Table};

/// Commits that wait are made durable together, up to so many writes.
const GROUP_WRITES: usize = 10_000;
/// How often a lease is renewed within its length: two attempts may fail before it runs out.
const RENEWALS: u32 = 3;
/// How long giving the lease back may take; where the server is gone, it runs out by itself.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// What a store is opened with.
pub(super) struct Wanted {
    pub(super) place: SharedPlace,
    pub(super) bridge: String,
    pub(super) lease: Duration,
    /// What a new store holds from the beginning.
    pub(super) initial: Batch,
    /// Whether a store whose move here has not come to its end will do.
    pub(super) arriving: bool,
}

/// What an opener is told.
pub(super) struct Opened {
    pub(super) created: bool,
    pub(super) lease: Lease,
}

type Answer<T> = oneshot::Sender<Result<T>>;

/// What the store's handle asks for.
pub(super) enum Request {
    Get(Table, Vec<Vec<u8>>, Answer<Vec<Option<Vec<u8>>>>),
    Range(Table, Option<Vec<u8>>, usize, Answer<Vec<Pair>>),
    Commit(Batch, Answer<()>),
    /// Renew the lease now, and say whether it is still ours.
    StillHeld(Answer<()>),
    /// The last holder is fenced everywhere.
    Fenced(Answer<()>),
}

/// Opens, tells `opened`, and works until every sender of `requests` is gone.
pub(super) async fn run(
    wanted: Wanted,
    fault: Arc<Fault>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    opened: oneshot::Sender<Result<Opened>>,
) {
    let mut link = match begin(&wanted).await {
        Ok(link) => link,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let lease = match lease::take(&mut link, &wanted.bridge, wanted.lease).await {
        Ok(lease) => lease,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let (stop, stopped) = watch::channel(());
    let renewing = keep(&wanted.place, &lease, &fault, stopped);
    let working = async {
        match find(&mut link, &wanted, &lease).await {
            Ok((entries, created)) => {
                let taken = Opened {
                    created,
                    lease: lease.clone(),
                };
                if opened.send(Ok(taken)).is_ok() {
                    let mut keeper = Keeper {
                        link: &mut link,
                        entries,
                        lease: &lease,
                        fault: &fault,
                    };
                    keeper.work(&mut requests).await;
                }
                None
            }
            Err(error) => Some((opened, error)),
        }
    };
    let failed = async {
        let failed = working.await;
        drop(stop);
        failed
    };
    let (failed, ()) = tokio::join!(failed, renewing);
    leave(link, &wanted.place, &lease, &fault).await;
    // Told last, so that whoever tries again finds the lease free.
    if let Some((opened, error)) = failed {
        let _ = opened.send(Err(error));
    }
}

async fn begin(wanted: &Wanted) -> Result<Link> {
    let mut link = Link::open(&wanted.place, DEFAULT_STATEMENT_TIMEOUT).await?;
    schema::ensure(&mut link).await?;
    Ok(link)
}

/// The bridge's store, made where there is none. The second value says whether it is new.
async fn find(link: &mut Link, wanted: &Wanted, lease: &Lease) -> Result<(Entries, bool)> {
    let table = format!("{}.store", link.place().quoted());
    // Only who holds the lease gets here, so nobody else makes one at the same time.
    let look =
        format!("SELECT number, made, arriving FROM {table} WHERE bridge = $1 AND aside IS NULL");
    let add = format!("INSERT INTO {table} (bridge) VALUES ($1) RETURNING number, made, arriving");
    let row = match link.first(ask(look).bind(&wanted.bridge)).await? {
        Some(row) => row,
        None => link.one(ask(add).bind(&wanted.bridge)).await?,
    };
    let entries = Entries {
        store: link.cell(&row, "number")?,
    };
    if link.cell(&row, "arriving")? && !wanted.arriving {
        let (bridge, place) = (&wanted.bridge, &wanted.place);
        return Err(Error::needs_person(
            "E-STATE-ARRIVING",
            format!(
                "The move of bridge `{bridge}` to {place} has not come to its end. Put the old `state` back into bridge.yaml and run `contactbridge state move {bridge} --to {place}` again"
            ),
        ));
    }
    if link.cell(&row, "made")? {
        return Ok((entries, false));
    }
    // Cut between the two, the next opening does the same again: nobody was told of a store yet.
    let initial = std::slice::from_ref(&wanted.initial);
    entries.commit(link, lease, initial).await?;
    let made = format!("UPDATE {table} SET made = true WHERE number = $1");
    link.execute(ask(made).bind(entries.store)).await?;
    Ok((entries, true))
}

struct Keeper<'a> {
    link: &'a mut Link,
    entries: Entries,
    lease: &'a Lease,
    fault: &'a Fault,
}

impl Keeper<'_> {
    async fn work(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>) {
        let mut kept = None;
        loop {
            let request = match kept.take() {
                Some(request) => request,
                None => match requests.recv().await {
                    Some(request) => request,
                    None => return,
                },
            };
            // Nobody may be waiting for an answer any more, which is no failure.
            match request {
                Request::Commit(batch, answer) => {
                    kept = self.commit(batch, answer, requests).await;
                }
                Request::Get(table, keys, answer) => {
                    let got = match self.fault.check() {
                        Ok(()) => self.entries.get(self.link, table, &keys).await,
                        Err(error) => Err(error),
                    };
                    let _ = answer.send(self.noted(got));
                }
                Request::Range(table, after, limit, answer) => {
                    let got = match self.fault.check() {
                        Ok(()) => self.entries.range(self.link, table, after, limit).await,
                        Err(error) => Err(error),
                    };
                    let _ = answer.send(self.noted(got));
                }
                Request::StillHeld(answer) => {
                    let held = match self.fault.check() {
                        Ok(()) => lease::renew(self.link, self.lease).await,
                        Err(error) => Err(error),
                    };
                    let _ = answer.send(self.noted(held));
                }
                Request::Fenced(answer) => {
                    let fenced = match self.fault.check() {
                        Ok(()) => lease::fenced(self.link, self.lease).await,
                        Err(error) => Err(error),
                    };
                    let _ = answer.send(self.noted(fenced));
                }
            }
        }
    }

    /// Commits this batch and those that wait behind it. Gives back the first request that is no commit.
    async fn commit(
        &mut self,
        batch: Batch,
        answer: Answer<()>,
        requests: &mut mpsc::UnboundedReceiver<Request>,
    ) -> Option<Request> {
        let mut writes = batch.writes.len();
        let (mut batches, mut answers) = (vec![batch], vec![answer]);
        let mut kept = None;
        while writes < GROUP_WRITES
            && let Ok(next) = requests.try_recv()
        {
            match next {
                Request::Commit(batch, answer) => {
                    writes += batch.writes.len();
                    batches.push(batch);
                    answers.push(answer);
                }
                other => {
                    kept = Some(other);
                    break;
                }
            }
        }
        let outcome = match self.fault.check() {
            Ok(()) => {
                let committed = self.entries.commit(self.link, self.lease, &batches).await;
                self.noted(committed)
            }
            Err(error) => Err(error),
        };
        for answer in answers {
            let _ = answer.send(match &outcome {
                Ok(()) => Ok(()),
                Err(_) => self.fault.check(),
            });
        }
        kept
    }

    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| self.fault.note(error))
    }
}

/// Renews the lease until it is told to stop. Where that fails for the lease's whole length, or somebody else has it, the store is
/// not used any more.
async fn keep(place: &SharedPlace, lease: &Lease, fault: &Fault, mut stopped: watch::Receiver<()>) {
    let every = lease.length / RENEWALS;
    let mut link = None;
    loop {
        // The sender says nothing: it goes when the work is done.
        if tokio::time::timeout(every, stopped.changed()).await.is_ok() {
            return;
        }
        let tries = async {
            loop {
                match renew_by(&mut link, place, lease, every).await {
                    Ok(()) => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::Busy => return Err(error),
                    Err(error) => {
                        link = None;
                        tracing::warn!(
                            bridge = lease.bridge,
                            code = error.code(),
                            "the lease could not be renewed; trying again"
                        );
                        let pause = every / 4;
                        if tokio::time::timeout(pause, std::future::pending::<()>())
                            .await
                            .is_err()
                        {
                            continue;
                        }
                    }
                }
            }
        };
        let outcome = tokio::select! {
            _ = stopped.changed() => return,
            outcome = tokio::time::timeout(lease.length - every, tries) => outcome,
        };
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(overtaken)) => {
                fault.note(overtaken);
                return;
            }
            Err(_) => {
                fault.note(fault::expired(place, &lease.bridge, lease.length));
                return;
            }
        }
    }
}

async fn renew_by(
    link: &mut Option<Link>,
    place: &SharedPlace,
    lease: &Lease,
    limit: Duration,
) -> Result<()> {
    let own = match link {
        Some(own) => own,
        None => link.insert(Link::open(place, limit).await?),
    };
    lease::renew(own, lease).await
}

/// Gives the lease back, on a new connection where the old one broke.
async fn leave(mut link: Link, place: &SharedPlace, lease: &Lease, fault: &Fault) {
    let leaving = async {
        match lease::give_back(&mut link, lease).await {
            Err(error) if error.kind() != ErrorKind::Busy => {
                let mut other = Link::open(place, GIVE_BACK).await?;
                lease::give_back(&mut other, lease).await
            }
            given => given,
        }
    };
    match tokio::time::timeout(GIVE_BACK, leaving).await {
        Ok(Ok(())) => {}
        // Everything was committed before; but whoever closes must know that he speaks for nobody any more.
        Ok(Err(overtaken)) if overtaken.kind() == ErrorKind::Busy => {
            fault.note(overtaken);
        }
        _ => tracing::warn!(
            bridge = lease.bridge,
            "the lease could not be given back; it runs out by itself"
        ),
    }
    link.close().await;
}
