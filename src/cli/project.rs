//! The user's project: bridge.yaml found and read, and bridges chosen by name.

use std::path::Path;

use crate::config::{BridgeSettings, Settings, StateLocation as Configured, process_environment};
use crate::model::Result;
use crate::state::{SharedPlace, StateLocation};

/// Finds and reads bridge.yaml. What is not wrong but should be seen goes to the log.
pub fn load(config: Option<&Path>) -> Result<Settings> {
    let settings = Settings::load(config, &process_environment)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// The bridges of these names, each once, in the order given; all of them where none is named.
pub fn choose<'s>(settings: &'s Settings, names: &[String]) -> Result<Vec<&'s BridgeSettings>> {
    if names.is_empty() {
        return Ok(settings.bridges.iter().collect());
    }
    let mut chosen: Vec<&BridgeSettings> = Vec::new();
    for name in names {
        let bridge = settings.bridge(name)?;
        if !chosen.iter().any(|other| other.name == bridge.name) {
            chosen.push(bridge);
        }
    }
    Ok(chosen)
}

/// As [`choose`], without those that are not enabled.
pub fn choose_enabled<'s>(
    settings: &'s Settings,
    names: &[String],
) -> Result<Vec<&'s BridgeSettings>> {
    let mut chosen = choose(settings, names)?;
    chosen.retain(|bridge| {
        if !bridge.enabled {
            tracing::info!(bridge = bridge.name, "passed over: it is not enabled");
        }
        bridge.enabled
    });
    Ok(chosen)
}

/// Where the state of the project lies.
pub fn state_location(settings: &Settings) -> StateLocation {
    as_location(&settings.state)
}

/// A location as the state module has it.
pub fn as_location(configured: &Configured) -> StateLocation {
    match configured {
        Configured::Directory(path) => StateLocation::Sled(path.clone()),
        Configured::Sqlite(path) => StateLocation::Sqlite(path.clone()),
        Configured::Postgres(url) => StateLocation::Postgres(SharedPlace::new(url.clone())),
    }
}
