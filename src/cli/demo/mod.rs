//! `contactbridge demo`: the whole thing in a temporary directory. A CRM on loopback, a SQLite database, the shipped
//! mapping, and the engine that `sync` runs; what was done, what came of it, and where to look.
//!
//! It checks what it tells: where a side does not hold what it should, it ends with an error. One file per kind plays.

mod association_anywhere;
mod contactlist;
mod data_sync;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::args::{Global, Kind};
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::output::Output;
use super::sync::{bridge_text, one};
use super::world::RealWorld;
use crate::config::{Settings, starter};
use crate::model::{Error, Result};
use crate::simulator::association_anywhere::AssociationAnywhereSimulator;
use crate::simulator::contactlist::ContactListSimulator;
use crate::sync::{BridgeReport, RunOptions};
use data_sync::Ends;

const BRIDGE: &str = "members";

#[derive(Serialize)]
struct Step {
    title: &'static str,
    done: Vec<String>,
    report: Option<BridgeReport>,
}

#[derive(Serialize)]
struct Told {
    directory: Option<String>,
    steps: Vec<Step>,
}

/// The scene: both sides, and what has been told so far.
struct Scene<'a, C> {
    directory: &'a Path,
    crm: C,
    settings: Settings,
    world: RealWorld,
    output: Output,
    shows_progress: bool,
    steps: Vec<Step>,
}

/// What differs between the kinds, before the play.
struct Stage {
    introduction: String,
    remote: String,
    secrets: [(&'static str, String); 2],
}

/// Plays the scenes. `keep` leaves the directory behind.
pub async fn run(global: &Global, kind: Kind, keep: bool, output: Output) -> Result<Exit> {
    match kind {
        Kind::Contactlist => {
            let crm = contactlist::start()?;
            let (remote, secrets) = contactlist::remote(&crm);
            let stage = Stage {
                introduction: contactlist::introduction(&crm),
                remote,
                secrets,
            };
            let play = async |scene: &mut Scene<'_, ContactListSimulator>| scene.play().await;
            let crm = perform(global, kind, keep, output, stage, crm, play).await?;
            crm.shutdown();
        }
        Kind::AssociationAnywhere => {
            let crm = association_anywhere::start()?;
            let (remote, secrets) = association_anywhere::remote(&crm);
            let stage = Stage {
                introduction: association_anywhere::introduction(&crm),
                remote,
                secrets,
            };
            let play =
                async |scene: &mut Scene<'_, AssociationAnywhereSimulator>| scene.play().await;
            let crm = perform(global, kind, keep, output, stage, crm, play).await?;
            crm.shutdown();
        }
        Kind::DataSync => {
            let ends = data_sync::start()?;
            let (remote, secrets) = data_sync::remote(&ends);
            let stage = Stage {
                introduction: data_sync::introduction(&ends),
                remote,
                secrets,
            };
            let play = async |scene: &mut Scene<'_, Ends>| scene.play().await;
            let ends = perform(global, kind, keep, output, stage, ends, play).await?;
            ends.shutdown();
        }
    }
    Ok(Exit::Clean)
}

async fn perform<C>(
    global: &Global,
    kind: Kind,
    keep: bool,
    output: Output,
    stage: Stage,
    crm: C,
    play: impl AsyncFnOnce(&mut Scene<'_, C>) -> Result<()>,
) -> Result<C> {
    let world = RealWorld::new();
    world.heed_signals()?;
    let directory = tempfile::Builder::new()
        .prefix("contactbridge-demo-")
        .tempdir()
        .map_err(|error| {
            Error::needs_person("E-DEMO", "No temporary directory can be made").caused_by(error)
        })?;
    let settings = write_project(directory.path(), kind, &stage)?;
    let mut scene = Scene {
        directory: directory.path(),
        crm,
        settings,
        world,
        output,
        shows_progress: global.shows_progress(),
        steps: Vec::new(),
    };
    scene.say(&format!(
        "{}\nand a database, still empty, in {}\n",
        stage.introduction,
        scene.directory.join("customers.db").display()
    ))?;
    play(&mut scene).await?;
    let Scene { crm, steps, .. } = scene;
    let kept = keep.then(|| directory.path().display().to_string());
    let told = Told {
        directory: kept.clone(),
        steps,
    };
    let name = kind.name();
    let last = match kept {
        Some(place) => {
            let _ = directory.keep();
            format!(
                "Kept in {place}: bridge.yaml, mappings/, customers.db, state/.\nLook: sqlite3 {place}/customers.db 'SELECT * FROM customers'\nA CRM to play with: contactbridge simulate {name}"
            )
        }
        None => format!(
            "Nothing is left behind; `contactbridge demo --kind {name} --keep` leaves the directory to look at.\nYour own project begins with `contactbridge init --kind {name}`."
        ),
    };
    if output.is_json() {
        output.json(&told)?;
    } else {
        output.text(&last)?;
    }
    Ok(crm)
}

/// The files that `init` writes, with the CRM's address in them.
fn write_project(directory: &Path, kind: Kind, stage: &Stage) -> Result<Settings> {
    let failed = |error: std::io::Error| {
        Error::needs_person(
            "E-DEMO",
            format!("{} can't be written", directory.display()),
        )
        .caused_by(error)
    };
    let name = kind.name();
    let mapping = match kind {
        Kind::DataSync => {
            "{ customer: mappings/orce-customer.yaml, transaction: mappings/orce-transaction.yaml }"
                .to_owned()
        }
        _ => format!("mappings/{name}.yaml"),
    };
    let bridge = format!(
        "state: state\nbridges:\n  {BRIDGE}:\n    remote:\n      {}\n    database: sqlite:customers.db\n    \
         mapping: {mapping}\n    limits:\n      requests_per_second: unlimited\n      free_disk: 0\n",
        stage.remote
    );
    for file in starter(name)?.iter().skip(1) {
        let path = directory.join(file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, file.text).map_err(failed)?;
    }
    let path = directory.join("bridge.yaml");
    std::fs::write(&path, &bridge).map_err(failed)?;
    let environment = |asked: &str| {
        let secret = stage.secrets.iter().find(|(name, _)| *name == asked);
        secret.map(|(_, value)| value.clone())
    };
    Settings::load(Some(&path), &environment)
}

impl<C> Scene<'_, C> {
    fn say(&self, text: &str) -> Result<()> {
        if self.output.is_json() {
            Ok(())
        } else {
            self.output.text(text)
        }
    }

    /// Tells what was done, and runs once, as cron would.
    async fn pass(&mut self, title: &'static str, done: Vec<String>) -> Result<BridgeReport> {
        self.say(&format!("{}. {title}\n", self.steps.len() + 1))?;
        for line in &done {
            self.say(&format!("   {line}\n"))?;
        }
        let bridge = self.bridge()?;
        let settings = self.settings.bridge(BRIDGE)?;
        let (pass, error) = one(
            settings,
            bridge,
            &RunOptions::default(),
            &self.world,
            self.shows_progress,
        )
        .await;
        if let Some(error) = error {
            return Err(error);
        }
        let told: String = bridge_text(&pass.report)
            .lines()
            .map(|line| format!("     {line}\n"))
            .collect();
        self.say(&told)?;
        self.steps.push(Step {
            title,
            done,
            report: Some(pass.report.clone()),
        });
        Ok(pass.report)
    }

    fn bridge(&self) -> Result<Bridge<'_>> {
        Bridge::prepare(
            &self.settings,
            self.settings.bridge(BRIDGE)?,
            &self.world,
            Purpose::Run,
        )
    }

    fn connection(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(self.directory.join("customers.db"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    }

    fn sql(&self, statement: &str) -> Result<()> {
        let changed = self
            .connection()
            .and_then(|connection| connection.execute(statement, []))
            .map_err(database)?;
        if changed == 1 {
            Ok(())
        } else {
            Err(differs("the row to be edited is there"))
        }
    }

    fn ask<T: rusqlite::types::FromSql>(&self, query: &str) -> Result<T> {
        let found = self
            .connection()
            .and_then(|connection| connection.query_row(query, [], |row| row.get(0)).optional())
            .map_err(database)?;
        found.ok_or_else(|| differs("the row that is looked for is there"))
    }

    fn expect(&self, what: &str, query: &str, value: &str) -> Result<()> {
        let found: String = self.ask(&format!("SELECT CAST(({query}) AS TEXT)"))?;
        if found == value {
            Ok(())
        } else {
            Err(differs(what))
        }
    }
}

fn differs(what: &str) -> Error {
    Error::unexpected(
        "E-DEMO",
        format!("The demo expected that {what}, and it is not so"),
    )
}

fn database(error: rusqlite::Error) -> Error {
    Error::unexpected("E-DEMO", "The demo's database can't be used").caused_by(error)
}
