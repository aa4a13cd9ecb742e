//! Leases: a bridge belongs to one worker at a time, and each taking has a higher epoch than all before it.
//!
//! Time is the server's clock alone; two machines' clocks are never compared. An expired lease harms nobody by itself: only
//! another worker that takes it over raises the epoch, and from then on every commit of the old one fails.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::connection::{Link, ask};
use super::fault;
use crate::model::{Error, ErrorKind, Result};
use crate::state::lock::Holder;

/// Long enough that a hiccup of the network or a failover of the server goes by (a lease is renewed three times within it),
/// short enough that a dead worker's bridge is soon another's.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// A lease that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state) struct Lease {
    pub(super) bridge: String,
    /// Higher than that of any lease before it.
    pub(super) epoch: i64,
    /// Random: a database that was put back to an older state may give an epoch twice.
    pub(super) token: String,
    /// The last holder did not give it back, and nobody has fenced it on the customer's database yet.
    pub(super) overtook: bool,
    pub(super) length: Duration,
}

const COLUMNS: &str = "holder IS NOT NULL AS held, host, pid, \
    (extract(epoch FROM since) * 1000)::bigint AS since, (extract(epoch FROM until) * 1000)::bigint AS until, \
    coalesce(until > clock_timestamp(), false) AS live";

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Takes the lease of a bridge for this process. `E-STATE-LOCKED` (exit 6), which says who holds it.
pub(super) async fn take(link: &mut Link, bridge: &str, length: Duration) -> Result<Lease> {
    // Without a lock first: who only finds it held must not stand in the holder's way.
    if let Some(holder) = holder(link, bridge).await? {
        return Err(held(bridge, &holder));
    }
    let table = format!("{}.bridge", link.place().quoted());
    link.transaction(async |link| {
        let add = format!("INSERT INTO {table} (name) VALUES ($1) ON CONFLICT (name) DO NOTHING");
        link.execute(ask(add).bind(bridge)).await?;
        // Waits for a commit of the last holder that is under way: it is whole before this lease, or fails.
        let lock = format!("SELECT {COLUMNS} FROM {table} WHERE name = $1 FOR UPDATE");
        if let Some(holder) = read(link, ask(lock).bind(bridge)).await? {
            return Err(held(bridge, &holder));
        }
        let take = format!(
            "UPDATE {table} SET epoch = epoch + 1, holder = gen_random_uuid()::text, host = $2, pid = $3, since = clock_timestamp(), \
             until = clock_timestamp() + $4 * interval '1 millisecond', overtaken = overtaken OR holder IS NOT NULL \
             WHERE name = $1 RETURNING epoch, holder, overtaken"
        );
        let row = link
            .one(
                ask(take)
                    .bind(bridge)
                    .bind(host_name())
                    .bind(i64::from(std::process::id()))
                    .bind(milliseconds(length)),
            )
            .await?;
        Ok(Lease {
            bridge: bridge.to_owned(),
            epoch: link.cell(&row, "epoch")?,
            token: link.cell(&row, "holder")?,
            overtook: link.cell(&row, "overtaken")?,
            length,
        })
    })
    .await
    .map_err(|error| match error.code() {
        // The holder is silent, and its last transaction has not come to its end: the server ends it soon.
        "E-STATE-BUSY" => Error::new(
            ErrorKind::Busy,
            "E-STATE-LOCKED",
            format!("Bridge `{bridge}`: a commit of the last holder is still under way. Try again in a moment"),
        ),
        _ => error,
    })
}

/// Makes the lease last its whole length from now. `E-FENCED` (exit 6) where somebody else has it.
pub(super) async fn renew(link: &mut Link, lease: &Lease) -> Result<()> {
    let table = format!("{}.bridge", link.place().quoted());
    let renew = format!(
        "UPDATE {table} SET until = clock_timestamp() + $4 * interval '1 millisecond' WHERE name = $1 AND epoch = $2 AND holder = $3"
    );
    let renewed = link
        .execute(
            ask(renew)
                .bind(&lease.bridge)
                .bind(lease.epoch)
                .bind(&lease.token)
                .bind(milliseconds(lease.length)),
        )
        .await?;
    if renewed == 1 {
        return Ok(());
    }
    Err(lost(link, lease).await)
}

/// The error of a lease that is another's by now.
pub(super) async fn lost(link: &mut Link, lease: &Lease) -> Error {
    let holder = holder(link, &lease.bridge).await.ok().flatten();
    fault::overtaken(&lease.bridge, holder.map(|holder| holder.to_string()))
}

/// The last holder is fenced off the customer's database as well: nothing of it can come any more.
pub(super) async fn fenced(link: &mut Link, lease: &Lease) -> Result<()> {
    let table = format!("{}.bridge", link.place().quoted());
    let fenced = format!(
        "UPDATE {table} SET overtaken = false WHERE name = $1 AND epoch = $2 AND holder = $3"
    );
    let done = link
        .execute(
            ask(fenced)
                .bind(&lease.bridge)
                .bind(lease.epoch)
                .bind(&lease.token),
        )
        .await?;
    if done == 1 {
        return Ok(());
    }
    Err(lost(link, lease).await)
}

/// Gives the lease back. `E-FENCED` (exit 6) where it is another's by now, which is left alone.
pub(super) async fn give_back(link: &mut Link, lease: &Lease) -> Result<()> {
    let table = format!("{}.bridge", link.place().quoted());
    let free = format!(
        "UPDATE {table} SET holder = NULL, host = NULL, pid = NULL, since = NULL, until = NULL WHERE name = $1 AND epoch = $2 AND holder = $3"
    );
    let given = link
        .execute(
            ask(free)
                .bind(&lease.bridge)
                .bind(lease.epoch)
                .bind(&lease.token),
        )
        .await?;
    if given == 1 {
        return Ok(());
    }
    Err(lost(link, lease).await)
}

/// Who holds a bridge now; `None` where nobody does, or where the lease ran out.
pub(super) async fn holder(link: &mut Link, bridge: &str) -> Result<Option<Holder>> {
    let table = format!("{}.bridge", link.place().quoted());
    let look = format!("SELECT {COLUMNS} FROM {table} WHERE name = $1");
    read(link, ask(look).bind(bridge)).await
}

async fn read(link: &mut Link, asked: super::connection::Asked<'_>) -> Result<Option<Holder>> {
    let Some(row) = link.first(asked).await? else {
        return Ok(None);
    };
    if !link.cell::<bool>(&row, "held")? || !link.cell::<bool>(&row, "live")? {
        return Ok(None);
    }
    let instant = |name| -> Result<Option<DateTime<Utc>>> {
        let at: Option<i64> = link.cell(&row, name)?;
        Ok(at.and_then(DateTime::from_timestamp_millis))
    };
    let pid: Option<i64> = link.cell(&row, "pid")?;
    Ok(Some(Holder {
        stays: false,
        pid: pid.and_then(|pid| u32::try_from(pid).ok()),
        since: instant("since")?,
        host: link.cell(&row, "host")?,
        until: instant("until")?,
    }))
}

fn held(bridge: &str, holder: &Holder) -> Error {
    Error::new(
        ErrorKind::Busy,
        "E-STATE-LOCKED",
        format!(
            "Bridge `{bridge}`: another run ({holder}) holds the lease. Wait for it to end; where it died, its lease runs out by itself"
        ),
    )
}

/// The name of this machine, for whoever asks who holds a bridge.
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
