//! `contactbridge reseed BRIDGE`: set the watermark back, or rebuild a lost state from both sides.

use std::time::Duration;

use serde_json::json;

use super::args::{Global, ReseedArgs};
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::logging::{complain, warn_of};
use super::output::Output;
use super::project;
use super::sync::{Document, date, held, run_id, text};
use super::world::RealWorld;
use crate::config::Settings;
use crate::model::{Error, ErrorKind, Result, World};
use crate::state::{self, AnyStore, Second};
use crate::sync::{Memory, RunOptions, begin_relink, reseed};

/// How soon a lock that another pass holds is asked for again.
const AGAIN: Duration = Duration::from_millis(50);

/// Sets back, or rebuilds.
pub async fn run(global: &Global, args: &ReseedArgs, output: Output) -> Result<Exit> {
    let settings = project::load(global.config.as_deref())?;
    if args.relink {
        relink(global, &settings, &args.bridge, output).await
    } else {
        set_back(&settings, args, output).await
    }
}

async fn set_back(settings: &Settings, args: &ReseedArgs, output: Output) -> Result<Exit> {
    let world = RealWorld::new();
    let name = &args.bridge;
    let bridge = Bridge::prepare(settings, settings.bridge(name)?, &world, Purpose::Look)?;
    bridge.remote.watermarked("reseed")?;
    let to = args
        .to
        .as_deref()
        .map(|text| date(text, &bridge, &world, "--to"))
        .transpose()?;
    let (store, _) = bridge.open_store().await?;
    let done = reseed(&store, to).await;
    let watermark = Memory::new(&store)
        .facts()
        .await?
        .and_then(|facts| facts.watermark);
    store.close()?;
    done?;
    output.report(
        &json!({ "bridge": name, "watermark": watermark }),
        |_| match watermark {
            Some(watermark) => format!("The next sync of bridge {name} reads from {watermark}"),
            None => format!("The next sync of bridge {name} reads everything"),
        },
    )?;
    Ok(Exit::Clean)
}

/// Empties the old state, or puts it aside where it can't be read, and runs once so that both sides are linked again.
async fn relink(global: &Global, settings: &Settings, name: &str, output: Output) -> Result<Exit> {
    let world = RealWorld::new();
    let chosen = settings.bridge(name)?;
    let mut bridge = Bridge::prepare(settings, chosen, &world, Purpose::Rebuild)?;
    let store = match begin(&mut bridge, &world).await {
        Ok(store) => store,
        Err(error) if is_damage(&error) => {
            warn_of(&error);
            if let Some(aside) = state::set_aside(&bridge.location, name, world.now())? {
                tracing::warn!(
                    "the old state of bridge {name} was put aside as {aside}; delete it when all is well"
                );
            }
            begin_in_its_turn(&mut bridge, &world).await?
        }
        Err(error) => return Err(error),
    };
    world.heed_signals()?;
    let options = RunOptions::default();
    let (pass, error) = held(bridge, store, &options, &world, global.shows_progress()).await;
    if let Some(error) = &error {
        complain(error);
    }
    let exit = Exit::of_pass(pass.report.outcome, error.as_ref().map(Error::kind));
    let document = Document {
        run: run_id(&world),
        bridges: vec![pass.report],
    };
    output.report(&document, text)?;
    Ok(exit)
}

/// The store stays held: a pass of `contactbridge run` in between would only be in the way.
async fn begin(bridge: &mut Bridge<'_>, world: &RealWorld) -> Result<AnyStore> {
    let (store, _) = bridge.open_store().await?;
    let mut begun = begin_relink(&store, &mut bridge.local, world).await;
    if let (Ok(()), Some(second)) = (&begun, &mut bridge.second) {
        begun = begin_relink(&Second(&store), &mut second.local, world).await;
    }
    match begun {
        Ok(()) => Ok(store),
        Err(error) => {
            store.close()?;
            Err(error)
        }
    }
}

/// The old state is out of the way, and the remedy must not be left half done: a pass of `contactbridge run`, which may have
/// taken the lock just then, is waited for.
async fn begin_in_its_turn(bridge: &mut Bridge<'_>, world: &RealWorld) -> Result<AnyStore> {
    let patience = world.monotonic() + bridge.settings.limits.lock_wait;
    loop {
        match begin(bridge, world).await {
            Err(error) if error.kind() == ErrorKind::Busy && world.monotonic() < patience => {
                world.heed_signals()?;
                world.sleep(AGAIN).await;
            }
            other => return other,
        }
    }
}

/// Whether the state itself is what can't be used, so that a new one may take its place.
fn is_damage(error: &Error) -> bool {
    matches!(
        error.code(),
        "E-STATE-CORRUPT" | "E-STATE-OLD" | "E-STATE-KEY"
    )
}
