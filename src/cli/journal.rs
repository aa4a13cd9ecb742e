//! `contactbridge journal install|remove BRIDGE`: the triggers by which `changes: journal` finds local edits.

use std::path::Path;

use serde_json::json;

use super::args::JournalAction;
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::output::Output;
use super::project;
use super::world::RealWorld;
use crate::model::{ChangeMethod, Error, Result};

/// Installs or removes.
pub async fn run(config: Option<&Path>, action: JournalAction, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    let (name, installs) = match &action {
        JournalAction::Install { bridge } => (bridge, true),
        JournalAction::Remove { bridge } => (bridge, false),
    };
    let world = RealWorld::new();
    let mut bridge = Bridge::prepare(&settings, settings.bridge(name)?, &world, Purpose::Look)?;
    bridge.ensure_free()?;
    let table = bridge.mapping.layout.table.clone();
    if installs && bridge.mapping.layout.changes != ChangeMethod::Journal {
        return Err(Error::config(
            "E-JOURNAL",
            format!(
                "The mapping of bridge `{name}` does not say `changes: journal`, so triggers on {table} would serve nobody"
            ),
        ));
    }
    let changed = if installs {
        bridge.local.install_journal().await?
    } else {
        bridge.local.remove_journal().await?
    };
    output.report(&json!({ "bridge": name, "table": table, "changed": changed }), |_| match (installs, changed) {
        (true, true) => format!("Triggers installed on {table}"),
        (true, false) => format!("The triggers on {table} stand already"),
        (false, true) => format!("Triggers and journal of {table} removed; while the mapping says `changes: journal`, the next sync installs them again"),
        (false, false) => format!("There are no triggers of ours on {table}"),
    })?;
    Ok(Exit::Clean)
}
