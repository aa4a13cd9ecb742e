//! `contactbridge links list|export|import`: which row is which contact.
//!
//! The map is read from `contactbridge_links` in the customer's database, which knows External IDs and needs no lock.

mod cell;
mod import;
mod table;

use std::path::Path;

use serde::Serialize;

use super::args::LinksAction;
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::output::{self, Output};
use super::project;
use super::world::RealWorld;
use crate::config::Settings;
use crate::local::{LinkRow, Local};
use crate::model::Result;

/// Links that are read at a time.
const DEFAULT_PAGE: usize = 2_000;

/// Lists, exports or imports.
pub async fn run(config: Option<&Path>, action: LinksAction, output: Output) -> Result<Exit> {
    let settings = project::load(config)?;
    match action {
        LinksAction::List { bridges } => {
            let links = read(&settings, &bridges).await?;
            output.report(&links, |links| {
                output::table(
                    ["BRIDGE", "ROW", "CONTACT", "EXTERNAL ID"],
                    links.iter().map(|link| {
                        let or_none =
                            |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                        [
                            link.bridge.clone(),
                            link.local_key.clone(),
                            or_none(&link.remote_id),
                            or_none(&link.external_id),
                        ]
                    }),
                )
            })?;
        }
        LinksAction::Export { bridges } => {
            let lines: Vec<table::Line> = read(&settings, &bridges)
                .await?
                .into_iter()
                .filter_map(|link| {
                    // An External ID that is only reserved is no link yet.
                    let remote_id = link.remote_id?;
                    Some(table::Line {
                        bridge: link.bridge,
                        local_key: link.local_key,
                        remote_id,
                        external_id: link.external_id,
                    })
                })
                .collect();
            output.raw(&table::write(&lines)?)?;
        }
        LinksAction::Import { file } => {
            let done = import::run(&settings, &file).await?;
            output.report(&done, |done| {
                format!(
                    "{} links taken over, {} stood already. The next sync settles what differs.",
                    done.imported, done.known
                )
            })?;
        }
    }
    Ok(Exit::Clean)
}

#[derive(Serialize)]
struct Link {
    bridge: String,
    local_key: String,
    remote_id: Option<String>,
    external_id: Option<String>,
}

async fn read(settings: &Settings, names: &[String]) -> Result<Vec<Link>> {
    let world = RealWorld::new();
    let mut links = Vec::new();
    for bridge in project::choose(settings, names)? {
        let mut bridge = Bridge::prepare(settings, bridge, &world, Purpose::Look)?;
        let mut after = None;
        loop {
            let page = bridge.local.links(after.as_ref(), DEFAULT_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            links.extend(page.into_iter().map(
                |LinkRow {
                     key,
                     external_id,
                     remote_id,
                 }| Link {
                    bridge: bridge.settings.name.clone(),
                    local_key: key.to_string(),
                    remote_id: remote_id.map(|id| id.0),
                    external_id,
                },
            ));
        }
    }
    Ok(links)
}
