//! `contactbridge reseed BRIDGE`: set the watermark back, or rebuild a lost state from both sides.

use serde_json::json;

use super::args::{Global, ReseedArgs};
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::logging::{complain, warn_of};
use super::output::Output;
use super::project;
use super::sync::{Document, date, one, run_id, text};
use super::world::RealWorld;
use crate::config::Settings;
use crate::model::{Error, Result, World};
use crate::state::{self, Second};
use crate::sync::{Memory, RunOptions, begin_relink, reseed};

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
    if let Err(error) = begin(&mut bridge, &world).await {
        if !is_damage(&error) {
            return Err(error);
        }
        warn_of(&error);
        if let Some(aside) = state::set_aside(&bridge.location, name, world.now())? {
            tracing::warn!(
                "the old state of bridge {name} was put aside as {aside}; delete it when all is well"
            );
        }
        begin(&mut bridge, &world).await?;
    }
    world.heed_signals()?;
    let (pass, error) = one(
        chosen,
        bridge,
        &RunOptions::default(),
        &world,
        global.shows_progress(),
    )
    .await;
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

async fn begin(bridge: &mut Bridge<'_>, world: &RealWorld) -> Result<()> {
    let (store, _) = bridge.open_store().await?;
    let mut begun = begin_relink(&store, &mut bridge.local, world).await;
    if let (Ok(()), Some(second)) = (&begun, &mut bridge.second) {
        begun = begin_relink(&Second(&store), &mut second.local, world).await;
    }
    store.close()?;
    begun
}

/// Whether the state itself is what can't be used, so that a new one may take its place.
fn is_damage(error: &Error) -> bool {
    matches!(
        error.code(),
        "E-STATE-CORRUPT" | "E-STATE-OLD" | "E-STATE-KEY"
    )
}
