//! What is asked of a shared state without opening a bridge's store: who holds it, what its last run left, whether it is there;
//! and the steps of a move and of putting a damaged one aside.
//!
//! Each question is a connection of its own, on a thread of its own, so that it may be asked from anywhere.

use std::time::Duration;

use super::connection::{Link, ask};
use super::lease::{self, Lease};
use super::{DEFAULT_LEASE, SharedPlace, fault, schema};
use crate::model::{Error, Result};
use crate::state::lock::Holder;

/// Whoever looks at a state does not wait long for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `work` to its end on a thread with a runtime of its own.
fn wait<T: Send>(work: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| runtime()?.block_on(work()));
        thread.join().unwrap_or_else(|_| {
            Err(Error::unexpected(
                "E-STATE-THREAD",
                "The thread that asks the state ended before it answered",
            ))
        })
    })
}

/// A runtime for one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| {
            Error::needs_person("E-RUNTIME", "The system gives no threads to work with")
                .caused_by(cause)
        })
}

/// Asks on a connection of its own; `None` where there are no tables of ours.
fn look<T: Send>(
    place: &SharedPlace,
    work: impl AsyncFnOnce(&mut Link) -> Result<T> + Send,
) -> Result<Option<T>> {
    wait(async || {
        let mut link = Link::open(place, PATIENCE).await?;
        let found = if schema::stands(&mut link).await? {
            Some(work(&mut link).await?)
        } else {
            None
        };
        link.close().await;
        Ok(found)
    })
}

/// What `status` is told of a bridge.
pub(in crate::state) struct Seen {
    pub(in crate::state) holder: Option<Holder>,
    pub(in crate::state) status: Option<Vec<u8>>,
    /// How long ago a pass ended, whichever machine made it, by the server's clock.
    pub(in crate::state) since: Option<Duration>,
}

/// Holder and status of these bridges, in their order, with one connection.
pub(in crate::state) fn see(place: &SharedPlace, bridges: &[&str]) -> Result<Vec<Seen>> {
    let seen = look(place, async |link| {
        let mut seen = Vec::with_capacity(bridges.len());
        for bridge in bridges {
            let holder = lease::holder(link, bridge).await?;
            let (status, since) = status_of(link, bridge).await?;
            seen.push(Seen {
                holder,
                status,
                since,
            });
        }
        Ok(seen)
    })?;
    let nothing = || Seen {
        holder: None,
        status: None,
        since: None,
    };
    Ok(seen.unwrap_or_else(|| bridges.iter().map(|_| nothing()).collect()))
}

async fn status_of(link: &mut Link, bridge: &str) -> Result<(Option<Vec<u8>>, Option<Duration>)> {
    let look = format!(
        "SELECT status, (extract(epoch FROM clock_timestamp() - passed) * 1000)::bigint AS since FROM {}.bridge WHERE name = $1",
        link.place().quoted()
    );
    let Some(row) = link.first(ask(look).bind(bridge)).await? else {
        return Ok((None, None));
    };
    let since: Option<i64> = link.cell(&row, "since")?;
    let since = since.map(|since| Duration::from_millis(u64::try_from(since).unwrap_or(0)));
    Ok((link.cell(&row, "status")?, since))
}

/// Replaces what `status` shows of a bridge; `passed`: a pass has just ended; `under`: only while this lease stands, for whoever
/// was asleep must not speak of a bridge that another has now.
pub(in crate::state) fn leave_status(
    place: &SharedPlace,
    bridge: &str,
    json: &[u8],
    passed: bool,
    under: Option<&Lease>,
) -> Result<()> {
    let left = look(place, async |link| {
        let put = format!(
            "INSERT INTO {}.bridge AS b (name, status, passed) VALUES ($1, $2, CASE WHEN $3 THEN clock_timestamp() END) \
             ON CONFLICT (name) DO UPDATE SET status = excluded.status, passed = coalesce(excluded.passed, b.passed) \
             WHERE $4::bigint IS NULL OR (b.epoch = $4 AND b.holder = $5)",
            link.place().quoted()
        );
        let put = ask(put).bind(bridge).bind(json).bind(passed);
        let (epoch, token) = (
            under.map(|lease| lease.epoch),
            under.map(|lease| lease.token.as_str()),
        );
        link.execute(put.bind(epoch).bind(token)).await
    })?;
    left.map(|_| ())
        .ok_or_else(|| fault::damaged(place, "it has no tables yet"))
}

/// A store of a bridge that is not put aside.
struct Found {
    number: i64,
    arriving: bool,
}

async fn store_of(link: &mut Link, bridge: &str) -> Result<Option<Found>> {
    let look = format!(
        "SELECT number, arriving FROM {}.store WHERE bridge = $1 AND aside IS NULL",
        link.place().quoted()
    );
    let row = link.first(ask(look).bind(bridge)).await?;
    row.map(|row| {
        Ok(Found {
            number: link.cell(&row, "number")?,
            arriving: link.cell(&row, "arriving")?,
        })
    })
    .transpose()
}

/// Whether there is a state of `bridge`, whole or not.
pub(in crate::state) fn exists(place: &SharedPlace, bridge: &str) -> Result<bool> {
    let found = look(place, async |link| store_of(link, bridge).await)?;
    Ok(found.flatten().is_some())
}

/// Whether a move of `bridge` to this place has begun and not ended.
pub(in crate::state) fn is_arriving(place: &SharedPlace, bridge: &str) -> Result<bool> {
    let found = look(place, async |link| store_of(link, bridge).await)?;
    Ok(found.flatten().is_some_and(|found| found.arriving))
}

/// From here on, the store of `bridge` at this place is refused to runs; what a move left half done in it is removed.
pub(in crate::state) fn announce(place: &SharedPlace, bridge: &str) -> Result<()> {
    wait(async || {
        let mut link = Link::open(place, PATIENCE).await?;
        schema::ensure(&mut link).await?;
        let name = link.place().quoted();
        alone(&mut link, bridge, async |link| {
            let number = match store_of(link, bridge).await? {
                Some(found) if !found.arriving => {
                    return Err(Error::config(
                        "E-STATE-EXISTS",
                        format!(
                            "Bridge `{bridge}` has a state in {} already. Give another place for the new one",
                            link.place()
                        ),
                    ));
                }
                Some(found) => found.number,
                None => {
                    let add = format!(
                        "INSERT INTO {name}.store (bridge, arriving) VALUES ($1, true) RETURNING number"
                    );
                    let row = link.one(ask(add).bind(bridge)).await?;
                    link.cell(&row, "number")?
                }
            };
            let empty = format!("DELETE FROM {name}.entry WHERE store = $1");
            link.execute(ask(empty).bind(number)).await?;
            let anew = format!("UPDATE {name}.store SET made = false WHERE number = $1");
            link.execute(ask(anew).bind(number)).await.map(|_| ())
        })
        .await
    })
}

/// From here on, the store of `bridge` at this place is the one.
pub(in crate::state) fn finish(place: &SharedPlace, bridge: &str) -> Result<()> {
    look(place, async |link| {
        let arrived = format!(
            "UPDATE {}.store SET arriving = false WHERE bridge = $1 AND aside IS NULL",
            link.place().quoted()
        );
        link.execute(ask(arrived).bind(bridge)).await
    })
    .map(|_| ())
}

/// Puts the state of `bridge` aside, so that the next opening makes a new one. Says how to find it; `None` where there was none.
pub(in crate::state) fn set_aside(place: &SharedPlace, bridge: &str) -> Result<Option<String>> {
    let aside = look(place, async |link| {
        let name = link.place().quoted();
        alone(link, bridge, async |link| {
            let Some(found) = store_of(link, bridge).await? else {
                return Ok(None);
            };
            let put =
                format!("UPDATE {name}.store SET aside = clock_timestamp() WHERE number = $1");
            link.execute(ask(put).bind(found.number)).await?;
            Ok(Some(format!(
                "store {} in the schema {} of {}",
                found.number,
                link.place().schema(),
                link.place()
            )))
        })
        .await
    })?;
    Ok(aside.flatten())
}

/// Does `work` under a lease of the bridge. `E-STATE-LOCKED` (exit 6) where somebody else has it.
async fn alone<T>(
    link: &mut Link,
    bridge: &str,
    work: impl AsyncFnOnce(&mut Link) -> Result<T>,
) -> Result<T> {
    let lease = lease::take(link, bridge, DEFAULT_LEASE).await?;
    let done = link.transaction(work).await;
    let back = lease::give_back(link, &lease).await;
    match (done, back) {
        (Ok(done), Ok(())) => Ok(done),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}
