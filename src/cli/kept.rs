//! A bridge as its keeper works it: the same passes, answers and traces for `status` as the commands leave.

use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};

use super::bridge::{Bridge, Purpose};
use super::project::state_location;
use super::reception::Mailbox;
use super::world::RealWorld;
use super::{held, status, sync};
use crate::config::{BridgeSettings, Settings};
use crate::local::Local;
use crate::mapping::Mapping;
use crate::model::{Error, Result, Signal, Vault, World};
use crate::service::control::{Answer, Question};
use crate::service::{Left, Passed, Work};
use crate::state::{AnyStore, StateLocation};
use crate::sync::{BridgeReport, Finished, RunOptions, Watch};

/// One bridge of the project, with its mapping and key as they were when `run` began.
pub struct KeptBridge {
    settings: Arc<Settings>,
    name: String,
    location: StateLocation,
    mappings: (Mapping, Option<Mapping>),
    vault: Vault,
    world: RealWorld,
    mailbox: Option<Mailbox>,
}

impl KeptBridge {
    /// From a bridge that was prepared and found in order.
    /// `mailbox`: where what is posted to it finds its store.
    pub fn new(
        settings: &Arc<Settings>,
        prepared: &Bridge<'_>,
        world: &RealWorld,
        mailbox: Option<Mailbox>,
    ) -> Self {
        let second = prepared.second.as_ref();
        Self {
            settings: Arc::clone(settings),
            name: prepared.settings.name.clone(),
            location: state_location(settings),
            mappings: (
                prepared.mapping.clone(),
                second.map(|second| second.mapping.clone()),
            ),
            vault: prepared.vault.clone(),
            world: world.apart(),
            mailbox,
        }
    }

    fn bridge(&self) -> Result<&BridgeSettings> {
        self.settings.bridge(&self.name)
    }

    /// Both sides anew: a connection that idled between two passes may be dead.
    async fn assemble(&self) -> Result<Bridge<'_>> {
        let mut bridge = Bridge::assemble(
            &self.settings,
            self.bridge()?,
            self.mappings.clone(),
            self.vault.clone(),
            &self.world,
            Purpose::Run,
        )?;
        // Holds the mapping's columns against the table, as `sync` does before anything else.
        bridge.local.position().await?;
        if let Some(second) = &mut bridge.second {
            second.local.position().await?;
        }
        Ok(bridge)
    }

    fn leave(&self, store: Option<&AnyStore>, report: &BridgeReport, kept: Option<status::Kept>) {
        status::leave(&self.location, store, report, kept, self.world.now());
        if let Ok(bridge) = self.bridge() {
            sync::warn_if_many(bridge, report);
        }
    }
}

impl Work for KeptBridge {
    type Store = Arc<AnyStore>;
    type World = RealWorld;

    fn world(&self) -> &RealWorld {
        &self.world
    }

    async fn open(&self) -> Result<Arc<AnyStore>> {
        let bridge = Bridge::assemble(
            &self.settings,
            self.bridge()?,
            self.mappings.clone(),
            self.vault.clone(),
            &self.world,
            Purpose::Run,
        )?;
        let (store, _) = bridge.open_store().await?;
        store.say_that_it_stays();
        let store = Arc::new(store);
        if let Some(mailbox) = &self.mailbox {
            mailbox.open(&store).await?;
        }
        Ok(store)
    }

    fn close(&self, store: Arc<AnyStore>) -> Result<()> {
        if let Some(mailbox) = &self.mailbox {
            mailbox.close();
        }
        match Arc::into_inner(store) {
            Some(store) => store.close(),
            // A message is being kept; who keeps it lets go of the store last.
            None => Ok(()),
        }
    }

    async fn pass(&self, store: &Arc<AnyStore>, options: &RunOptions, watch: &dyn Watch) -> Passed {
        let mut bridge = match self.assemble().await {
            Ok(bridge) => bridge,
            Err(error) => return self.failed(error),
        };
        let (finished, kept) = sync::with_store(&mut bridge, store, options, watch).await;
        let Finished { report, error, .. } = finished;
        self.leave(Some(store), &report, kept);
        Passed { report, error }
    }

    fn ask_to_stop(&self, signal: Option<Signal>) {
        self.world.ask_to_stop(signal);
    }

    fn failed(&self, error: Error) -> Passed {
        let report = sync::failed(&self.name, &error);
        self.leave(None, &report, None);
        Passed {
            report,
            error: Some(error),
        }
    }

    async fn answer(&self, store: &Arc<AnyStore>, question: Question) -> Result<Answer> {
        held::answer(&self.location, &self.name, &self.vault, store, question).await
    }

    fn left(&self) -> Left {
        let Ok(bridge) = self.bridge() else {
            return Left::default();
        };
        let zone = bridge.remote.time_zone();
        let instant = |stamp: crate::model::Stamp| -> Option<DateTime<Utc>> {
            let found = zone.from_local_datetime(&stamp.0).earliest()?;
            Some(found.to_utc())
        };
        status::left_behind(&self.location, bridge, self.world.now(), instant)
    }
}
