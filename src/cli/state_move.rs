//! `contactbridge state move BRIDGE --to STATE`: from one store to another, checked.

use std::path::Path;

use serde_json::json;

use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::output::Output;
use super::progress::Progress;
use super::project::{self, as_location};
use super::world::RealWorld;
use crate::config::{
    Kind, Mark, Node, Problems, Secret, Sources, StateLocation, fill_in, process_environment,
};
use crate::model::{Error, Result, World};
use crate::state::Move;

/// Moves the state of one bridge; bridge.yaml is the user's to change.
pub async fn run(
    config: Option<&Path>,
    name: &str,
    to: &str,
    shows_progress: bool,
    output: Output,
) -> Result<Exit> {
    let settings = project::load(config)?;
    let filled = Secret::new(fill(to, &settings.directory)?);
    let target = StateLocation::parse(filled.expose(), &settings.directory)
        .map_err(|sentence| Error::config("E-USAGE", format!("--to {sentence}")))?;
    let target = as_location(&target);
    target.check()?;
    // Never as it was given: it may hold a password.
    let to = if target.shared().is_some() {
        &target.to_string()
    } else {
        to
    };
    let world = RealWorld::new();
    let bridge = Bridge::prepare(&settings, settings.bridge(name)?, &world, Purpose::Look)?;
    let progress = Progress::start(shows_progress, name);
    let moved = Move {
        from: &bridge.location,
        to: &target,
        bridge: name,
        fingerprint: bridge.vault.fingerprint(),
        key_file: bridge.key_file,
        limits: &bridge.state_limits(),
        now: world.now(),
    }
    .run(&mut |keys| progress.say(format!("{name}: {keys} keys")))
    .await?;
    drop(progress);
    output.report(&json!({ "bridge": name, "to": to, "keys": moved.keys }), |_| {
        format!(
            "Moved {} keys of bridge {name}. Now write `state: {to}` into {}; until then its runs end with 7.",
            moved.keys,
            settings.file.display()
        )
    })?;
    Ok(Exit::Clean)
}

/// `--to` with its `${NAME}` and `${file:PATH}` filled in as `state:` has it, so that no password need stand on a command line.
fn fill(to: &str, directory: &Path) -> Result<String> {
    let problems = Problems::for_config("--to");
    let sources = Sources {
        environment: &process_environment,
        directory,
    };
    let mut node = Node {
        at: Mark { line: 1, column: 1 },
        kind: Kind::Scalar {
            text: to.to_owned(),
            quoted: true,
            filled: false,
        },
    };
    fill_in(&mut node, sources, &problems);
    let filled = match node.kind {
        Kind::Scalar { text, .. } => Some(text),
        Kind::Map(_) | Kind::Seq(_) => None,
    };
    problems.settle(filled)
}
