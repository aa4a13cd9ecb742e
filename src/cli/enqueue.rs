//! `contactbridge enqueue BRIDGE (--all | ID…)`: forces customers into the queue, so that the next sync reads them again.
//!
//! It changes nothing but the service's queue. Each id is a request of its own, and what was done before a failure stays done.

use std::io::{BufRead, IsTerminal, Write};

use serde_json::json;

use super::args::{EnqueueArgs, Global};
use super::bridge::{ensure_free, load_mapping};
use super::exit::Exit;
use super::output::Output;
use super::project;
use super::site::Site;
use super::world::RealWorld;
use crate::model::{Error, RemoteId, Result};

/// Forces customers into the queue of a bridge.
pub async fn run(global: &Global, args: &EnqueueArgs, output: Output) -> Result<Exit> {
    let settings = project::load(global.config.as_deref())?;
    let bridge = settings.bridge(&args.bridge)?;
    let mapping = load_mapping(bridge)?;
    let world = RealWorld::new();
    let Site::AssociationAnywhere(site, _) = Site::new(bridge, &mapping, &world, None)? else {
        return Err(Error::config(
            "E-USAGE",
            format!(
                "Bridge `{}` is of kind {}, which has no queue; `contactbridge reseed {} ` has everything read again",
                bridge.name,
                bridge.remote.kind(),
                bridge.name
            ),
        ));
    };
    ensure_free(&project::state_location(&settings), &bridge.name, &world)?;
    if args.all {
        if !confirmed(&bridge.name) {
            return Err(Error::config(
                "E-USAGE",
                "Nothing was enqueued: the question was not answered with yes",
            ));
        }
        site.force_enqueue(None).await?;
    }
    for id in &args.ids {
        site.force_enqueue(Some(&RemoteId(id.clone()))).await?;
    }
    let count = args.ids.len();
    output.report(
        &json!({ "bridge": bridge.name, "all": args.all, "enqueued": args.ids }),
        |_| {
            if args.all {
                format!(
                    "Every customer of bridge {} is in the queue; the next sync reads them",
                    bridge.name
                )
            } else {
                format!(
                    "{count} customer(s) of bridge {} are in the queue; the next sync reads them",
                    bridge.name
                )
            }
        },
    )?;
    Ok(Exit::Clean)
}

/// On a terminal `--all` is asked about: at a large association it means hours of reading. A script knows what it does.
fn confirmed(bridge: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return true;
    }
    let mut stderr = std::io::stderr();
    let question = format!("Force every customer of bridge {bridge} into the queue? [yes/no] ");
    if stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .is_err()
    {
        return false;
    }
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
