//! `contactbridge sync`: one pass of each bridge, one after the other, and one document about all of them.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use futures::FutureExt;
use serde::Serialize;

use super::args::{Global, RunArgs};
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::logging::{complain, warn_of};
use super::output::Output;
use super::progress::{Progress, Watching};
use super::world::RealWorld;
use super::{project, status, through};
use crate::config::{BridgeSettings, Settings};
use crate::local::Local;
use crate::model::{Error, ErrorKind, Result, Signal, Stamp, World};
use crate::remote::Remote;
use crate::state::{AnyStore, Batch, Second, StateStore};
use crate::sync::{
    BridgeReport, Counts, Facts, Finished, Memory, Outcome, PlanItem, RunOptions, Watch, put_facts,
    unsent, waiting,
};

/// The document that `sync` prints.
#[derive(Debug, Serialize)]
pub struct Document {
    /// Tells this run from others.
    pub run: String,
    /// One report per bridge, in order.
    pub bridges: Vec<BridgeReport>,
}

/// One pass of each bridge.
pub async fn run(global: &Global, args: &RunArgs, output: Output) -> Result<Exit> {
    let world = RealWorld::new();
    let run = run_id(&world);
    let mut document = Document {
        run,
        bridges: Vec::new(),
    };
    let outcome = passes(global, args, &world, false, &mut |pass| {
        document.bridges.push(pass.report)
    })
    .await;
    output.report(&document, text)?;
    outcome
}

/// What came of one bridge.
pub struct Pass {
    /// What the engine says.
    pub report: BridgeReport,
    /// What a dry run would do.
    pub plan: Vec<PlanItem>,
}

impl Pass {
    fn of(report: BridgeReport) -> Self {
        Self {
            report,
            plan: Vec::new(),
        }
    }
}

/// One pass of each chosen bridge, dry or not, in order. Each is handed to `take`; what went wrong is told on stderr.
pub async fn passes(
    global: &Global,
    args: &RunArgs,
    world: &RealWorld,
    dry: bool,
    take: &mut dyn FnMut(Pass),
) -> Result<Exit> {
    let settings = project::load(global.config.as_deref())?;
    let chosen = project::choose_enabled(&settings, &args.bridges)?;
    let purpose = if dry { Purpose::Look } else { Purpose::Run };
    let mut prepared = Vec::new();
    for bridge in chosen {
        prepared.push((
            bridge,
            prepare(&settings, bridge, args, world, purpose).await,
        ));
    }
    // A wrong file, mapping or column keeps every bridge from starting (exit 2); anything else concerns its bridge alone.
    if prepared
        .iter()
        .any(|(_, ready)| matches!(ready, Err(error) if error.kind() == ErrorKind::Config))
    {
        prepared.retain(|(_, ready)| ready.is_err());
    }
    world.heed_signals()?;
    let mut exits = Vec::new();
    for (bridge, ready) in prepared {
        let (pass, error) = match ready {
            Ok((ready, options)) => {
                one(bridge, ready, &options, world, global.shows_progress()).await
            }
            Err(error) => {
                let report = failed(&bridge.name, &error);
                if !dry && error.kind() != ErrorKind::Config {
                    status::leave(
                        &project::state_location(&settings),
                        None,
                        &report,
                        None,
                        world.now(),
                    );
                }
                (Pass::of(report), Some(error))
            }
        };
        if let Some(error) = &error {
            complain(error);
        }
        exits.push(Exit::of_pass(
            pass.report.outcome,
            error.as_ref().map(Error::kind),
        ));
        take(pass);
    }
    Ok(Exit::of_all(exits))
}

async fn prepare<'s>(
    settings: &Settings,
    bridge: &'s BridgeSettings,
    args: &RunArgs,
    world: &RealWorld,
    purpose: Purpose,
) -> Result<(Bridge<'s>, RunOptions)> {
    let mut ready = Bridge::prepare(settings, bridge, world, purpose)?;
    let since = args
        .since
        .as_deref()
        .map(|text| date(text, &ready, world, "--since"))
        .transpose()?;
    // Opens the file, if it is there, and holds the mapping's columns against the table.
    ready.local.position().await?;
    let options = RunOptions {
        accept: args.accept.iter().copied().collect(),
        since,
        dry: purpose == Purpose::Look,
    };
    Ok((ready, options))
}

/// One pass of one bridge. It always gives a report. Where `contactbridge run` holds the bridge, the pass is made there.
pub async fn one(
    settings: &BridgeSettings,
    bridge: Bridge<'_>,
    options: &RunOptions,
    world: &RealWorld,
    shows_progress: bool,
) -> (Pass, Option<Error>) {
    let name = &settings.name;
    let ended = |error: Error| {
        let report = failed(name, &error);
        (Pass::of(report), Some(error))
    };
    if let Some(signal) = world.interrupted() {
        return ended(not_started(name, signal));
    }
    if !options.dry {
        match through::pass(&bridge.location, name, options, world, shows_progress).await {
            Ok(None) => {}
            Ok(Some((report, error))) => {
                say_what_happened(&report);
                warn_if_many(settings, &report);
                return (Pass::of(report), error);
            }
            Err(error) => return ended(error),
        }
    }
    let store = match bridge.open_store().await {
        Ok((store, _)) => store,
        Err(error) => {
            let report = failed(name, &error);
            // Whoever holds the bridge leaves what `status` shows.
            if error.kind() != ErrorKind::Busy && !options.dry {
                status::leave(&bridge.location, None, &report, None, world.now());
            }
            return (Pass::of(report), Some(error));
        }
    };
    held(bridge, store, options, world, shows_progress).await
}

/// The same over a store that is held already; it is closed in the end.
pub async fn held(
    mut bridge: Bridge<'_>,
    store: AnyStore,
    options: &RunOptions,
    world: &RealWorld,
    shows_progress: bool,
) -> (Pass, Option<Error>) {
    let settings = bridge.settings;
    let progress = Progress::start(shows_progress, &settings.name);
    let watch = Watching::new(&progress, &settings.name);
    let (finished, kept) = with_store(&mut bridge, &store, options, &watch).await;
    drop(progress);
    let Finished {
        mut report,
        mut error,
        plan,
    } = finished;
    say_what_happened(&report);
    // While the store is held: whoever takes it next finds this pass noted.
    if !options.dry {
        status::leave(&bridge.location, Some(&store), &report, kept, world.now());
        warn_if_many(settings, &report);
    }
    if let Err(late) = store.close()
        && error.is_none()
    {
        // What the engine waited for is durable; this says that the store could not be left in order.
        spoil(&mut report, &late);
        error = Some(late);
        if !options.dry {
            status::leave(&bridge.location, None, &report, kept, world.now());
        }
    }
    (Pass { report, plan }, error)
}

/// A pass that went well failed in the end.
fn spoil(report: &mut BridgeReport, late: &Error) {
    (report.outcome, report.error) = (Outcome::Failed, Some(late.to_string()));
    report.failure = Some(late.kind());
}

/// One pass over an open store, which stays open, and what the store holds afterwards.
///
/// A pass that ends well still holds the store at its end: whoever was overtaken after its last commit must not speak of the bridge.
pub async fn with_store(
    bridge: &mut Bridge<'_>,
    store: &AnyStore,
    options: &RunOptions,
    watch: &dyn Watch,
) -> (Finished, Option<status::Kept>) {
    let name = bridge.settings.name.clone();
    recall_habit(bridge, store).await;
    tracing::info!(bridge = name, dry = options.dry, "the pass begins");
    let ran = std::panic::AssertUnwindSafe(async { bridge.pass(store, watch, options).await })
        .catch_unwind()
        .await;
    let mut finished = ran.unwrap_or_else(|_| {
        let error = Error::unexpected(
            "E-PANIC",
            format!(
                "Bridge `{name}`: a broken invariant ended this pass; the line above says where"
            ),
        );
        Finished {
            report: failed(&name, &error),
            error: Some(error),
            plan: Vec::new(),
        }
    });
    let kept = kept(store).await;
    if !options.dry {
        keep_habit(bridge, store).await;
    }
    if finished.error.is_none()
        && let Err(late) = store.still_held().await
    {
        spoil(&mut finished.report, &late);
        finished.error = Some(late);
    }
    (finished, kept)
}

/// The error of a bridge that a signal came before.
pub fn not_started(bridge: &str, signal: Signal) -> Error {
    Error::new(
        ErrorKind::Interrupted(signal),
        "E-INTERRUPTED",
        format!("Bridge `{bridge}` was not started"),
    )
}

/// Says loudly that quarantine fills up (hazard H-15).
pub fn warn_if_many(settings: &BridgeSettings, report: &BridgeReport) {
    if report.quarantined >= u64::from(settings.limits.quarantine_loud) {
        tracing::warn!(
            bridge = settings.name,
            quarantined = report.quarantined,
            "many records wait in quarantine: see `contactbridge quarantine list`"
        );
    }
}

/// What the state holds after a pass, for `status`.
async fn kept<S: StateStore>(store: &S) -> Option<status::Kept> {
    let memory = Memory::new(store);
    let facts = memory.facts().await.ok()??;
    let second = Second(store);
    let of_second = Memory::new(&second).facts().await.ok()?;
    let unsent = unsent(store).await.ok()?;
    Some(status::Kept {
        links: facts.links + of_second.map_or(0, |facts| facts.links),
        // A message stays until its record is worked off, so that where there are messages the journal names nobody beside them.
        queue: match waiting(store).await.ok()? + waiting(&second).await.ok()? {
            0 => memory.journalled().await.ok()?,
            messages => messages,
        },
        unsent: unsent.pending + unsent.progress,
    })
}

/// The counts of a pass, for whoever reads along.
fn say_what_happened(report: &BridgeReport) {
    let bridge = report.bridge.as_str();
    for (way, counts) in [("pull", report.pull), ("push", report.push)] {
        let Counts {
            read,
            created,
            updated,
            deleted,
            unchanged,
            held,
        } = counts;
        tracing::info!(
            bridge, way, read, created, updated, deleted, unchanged, held, "records"
        );
    }
    tracing::info!(
        bridge,
        outcome = status::name(report.outcome),
        guard = report.guard.map(crate::sync::Guard::name),
        conflicts = report.conflicts,
        review = report.review,
        quarantined = report.quarantined,
        requests = report.requests,
        watermark = report.watermark,
        seconds = report.seconds,
        "the pass ended"
    );
}

/// Takes up what earlier runs have seen the site do with offsets. Without it, the run finds out again.
async fn recall_habit<S: StateStore>(bridge: &Bridge<'_>, store: &S) {
    let Some(site) = bridge.remote.listing() else {
        return;
    };
    let facts = Memory::new(store).facts().await.ok().flatten();
    let habit = facts
        .and_then(|facts| facts.habit)
        .and_then(|text| serde_json::from_str(&text).ok());
    if let Some(habit) = habit {
        site.set_paging_habit(habit);
    }
}

/// Keeps it for later runs, where it is news. A failure costs a later run a few calls, so that it is not one of this run.
async fn keep_habit<S: StateStore>(bridge: &Bridge<'_>, store: &S) {
    let Some(site) = bridge.remote.listing() else {
        return;
    };
    let Ok(Some(facts)) = Memory::new(store).facts().await else {
        return;
    };
    let habit = site.paging_habit();
    let known = facts
        .habit
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if habit == known {
        return;
    }
    if let Ok(text) = serde_json::to_string(&habit) {
        let mut batch = Batch::new();
        put_facts(
            &mut batch,
            &Facts {
                habit: Some(text),
                ..facts
            },
        );
        if let Err(error) = store.commit(batch).await {
            warn_of(&error);
        }
    }
}

/// The report of a bridge that did not come to run.
pub fn failed(bridge: &str, error: &Error) -> BridgeReport {
    BridgeReport {
        bridge: bridge.to_owned(),
        outcome: Outcome::Failed,
        guard: None,
        pull: Counts::default(),
        push: Counts::default(),
        conflicts: 0,
        review: 0,
        quarantined: 0,
        requests: 0,
        watermark: None,
        seconds: 0.0,
        error: Some(error.to_string()),
        failure: Some(error.kind()),
    }
}

/// A date of the command line: with an offset, or else in the bridge's zone. Exit 2 for the future, and for what is no date.
pub fn date(text: &str, bridge: &Bridge<'_>, world: &RealWorld, option: &str) -> Result<Stamp> {
    let site = bridge.remote.watermarked(option)?;
    let stamp = if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        site.stamp(instant.to_utc())
    } else {
        Stamp(naive(text).ok_or_else(|| {
            Error::config(
                "E-USAGE",
                format!("{option}: not a date; write 2026-11-22, 2026-11-22T10:00:00, or one with an offset such as 2026-11-22T10:00:00Z"),
            )
        })?)
    };
    if site.instant(stamp) > world.now() {
        return Err(Error::config(
            "E-USAGE",
            format!("{option}: this date lies in the future"),
        ));
    }
    Ok(stamp)
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(found) = NaiveDateTime::parse_from_str(text, form) {
            return Some(found);
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()?
        .and_hms_opt(0, 0, 0)
}

/// A name for a run, to find it again in logs.
pub fn run_id(world: &RealWorld) -> String {
    let mut bytes = [0; 16];
    world.random(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// The document for people.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    for report in &document.bridges {
        text.push_str(&bridge_text(report));
    }
    text
}

/// One bridge's report for people.
pub fn bridge_text(report: &BridgeReport) -> String {
    let mut text = format!("{}: {}", report.bridge, status::name(report.outcome));
    if let Some(guard) = report.guard {
        text.push_str(&format!(" by the guard {}", guard.name()));
    }
    text.push_str(&format!(
        " ({} requests, {:.1} s)\n",
        report.requests, report.seconds
    ));
    for (way, counts) in [("pulled", report.pull), ("pushed", report.push)] {
        if counts.read > 0 {
            text.push_str(&format!("  {way}  {}\n", counts_text(counts)));
        }
    }
    if let Some(error) = &report.error {
        text.push_str(&format!("  {error}\n"));
    }
    let waiting = [
        (
            report.conflicts,
            if report.conflicts == 1 {
                "field in conflict"
            } else {
                "fields in conflict"
            },
        ),
        (report.review, "waiting in review"),
        (report.quarantined, "waiting in quarantine"),
    ];
    let waiting: Vec<String> = waiting
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !waiting.is_empty() {
        text.push_str(&format!("  {}\n", waiting.join(", ")));
    }
    text
}

fn counts_text(counts: Counts) -> String {
    let parts = [
        (counts.created, "created"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.unchanged, "unchanged"),
        (counts.held, "held"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("{} read: {}", counts.read, said.join(", "))
}
