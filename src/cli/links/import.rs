//! `contactbridge links import`: all of a file, or nothing.
//!
//! It checks each line against both sides; the engine takes the links over.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::super::bridge::{Bridge, Purpose};
use super::super::sync::run_id;
use super::super::world::RealWorld;
use super::table::{Line, read, refusal};
use crate::config::Settings;
use crate::local::{LinkRow, Local};
use crate::model::{Error, LocalKey, RemoteId, Result};
use crate::state::StateStore;
use crate::sync::{Memory, import_links};

/// A map of some million customers; more is some other file.
const DEFAULT_IMPORT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Keys that are asked for at a time.
const DEFAULT_PAGE: usize = 500;

/// What an import did.
#[derive(Default, Serialize)]
pub struct Imported {
    /// Links that are new.
    pub imported: u64,
    /// Links that stood already.
    pub known: u64,
}

/// Checks every line of the file, then takes all of them over.
pub async fn run(settings: &Settings, file: &Path) -> Result<Imported> {
    let name = if file == Path::new("-") {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    };
    let lines = read(&name, &bytes(file, &name)?)?;
    let mut faults = Vec::new();
    let mut by_bridge: BTreeMap<String, Vec<(u64, Line)>> = BTreeMap::new();
    for (number, line) in lines {
        match settings.bridge(&line.bridge) {
            Ok(_) => by_bridge
                .entry(line.bridge.clone())
                .or_default()
                .push((number, line)),
            Err(error) => faults.push(format!("{name}:{number}: {}", error.message())),
        }
    }
    let world = RealWorld::new();
    let mut checked = Vec::new();
    for (bridge, lines) in &by_bridge {
        let mut bridge = Bridge::prepare(settings, settings.bridge(bridge)?, &world, Purpose::Run)?;
        // The lock goes before every look, so that nothing moves in between.
        let (store, _) = bridge.open_store().await?;
        let writes = check(&mut bridge, &store, &name, lines, &mut faults).await?;
        checked.push((bridge, store, writes, lines.len()));
    }
    if let Some(error) = refusal(&faults) {
        return Err(error);
    }
    let mut done = Imported::default();
    for (mut bridge, store, writes, total) in checked {
        done.imported += writes.len() as u64;
        done.known += (total - writes.len()) as u64;
        if !writes.is_empty() {
            let name = &bridge.settings.name;
            import_links(&mut bridge.local, &store, name, run_id(&world), writes).await?;
        }
        store.close()?;
    }
    Ok(done)
}

fn bytes(file: &Path, name: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Error::config("E-LINKS-READ", format!("{name} can't be read")).caused_by(error)
    };
    let mut bytes = Vec::new();
    let limit = DEFAULT_IMPORT_BYTES_MAX + 1;
    if file == Path::new("-") {
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        std::fs::File::open(file)
            .map_err(failed)?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 >= limit {
        return Err(Error::config(
            "E-LINKS-READ",
            format!("{name} is larger than 512 MiB; is it the right file?"),
        ));
    }
    Ok(bytes)
}

/// The links that are new, when every key and id exists and none is linked otherwise; what is wrong goes to `faults`.
async fn check<S: StateStore>(
    bridge: &mut Bridge<'_>,
    store: &S,
    name: &str,
    lines: &[(u64, Line)],
    faults: &mut Vec<String>,
) -> Result<Vec<LinkRow>> {
    let ids: Vec<RemoteId> = lines
        .iter()
        .map(|(_, line)| RemoteId(line.remote_id.clone()))
        .collect();
    let there = bridge.remote.known(&ids).await?;
    let mut new = Vec::new();
    for part in lines.chunks(DEFAULT_PAGE) {
        let keys = resolve_keys(bridge, part).await?;
        let ids: Vec<RemoteId> = part
            .iter()
            .map(|(_, line)| RemoteId(line.remote_id.clone()))
            .collect();
        let by_id = bridge.local.links_by_remote(&ids).await?;
        let linked = Memory::new(store).links(&ids).await?;
        for ((((number, line), key), id), (standing, link)) in part
            .iter()
            .zip(keys)
            .zip(ids)
            .zip(by_id.into_iter().zip(linked))
        {
            let mut wrong = |what: &str| faults.push(format!("{name}:{number}: {what}"));
            let Some(key) = key else {
                wrong("there is no row with this local key");
                continue;
            };
            if !there.contains(&id.0) {
                wrong("there is no contact with this remote id");
                continue;
            }
            let other_row = standing
                .as_ref()
                .map(|row| &row.key)
                .or(link.as_ref().map(|link| &link.local));
            if let Some(other) = other_row {
                if *other != key {
                    wrong("this contact is linked to another row already");
                    continue;
                }
                // A kill may have left it on one of the two sides; then it is written to both again.
                if standing.is_some() && link.is_some() {
                    continue;
                }
            }
            let of_row = bridge
                .local
                .links_by_key(std::slice::from_ref(&key))
                .await?
                .pop()
                .flatten();
            if of_row.is_some_and(|row| row.remote_id.is_some_and(|other| other != id)) {
                wrong("this row is linked to another contact already");
                continue;
            }
            new.push(LinkRow {
                key,
                external_id: line.external_id.clone(),
                remote_id: Some(id),
            });
        }
    }
    Ok(new)
}

/// The row's key for each line: an integer or a text, whichever the table knows.
async fn resolve_keys(
    bridge: &mut Bridge<'_>,
    part: &[(u64, Line)],
) -> Result<Vec<Option<LocalKey>>> {
    let mut found = Vec::with_capacity(part.len());
    let texts: Vec<LocalKey> = part
        .iter()
        .map(|(_, line)| LocalKey::Text(line.local_key.clone()))
        .collect();
    let as_text = bridge.local.fetch(&texts).await?;
    let numbers: Vec<Option<LocalKey>> = part
        .iter()
        .map(|(_, line)| line.local_key.parse().ok().map(LocalKey::Int))
        .collect();
    let asked: Vec<LocalKey> = numbers.iter().flatten().cloned().collect();
    let mut as_number = bridge.local.fetch(&asked).await?.into_iter();
    for (text, number) in as_text.into_iter().zip(numbers) {
        let by_number = number.and_then(|_| as_number.next().flatten());
        found.push(by_number.or(text).map(|row| row.key));
    }
    Ok(found)
}
