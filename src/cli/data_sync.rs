//! The passes of a data-sync bridge: over customers, over transactions where they are mapped, and then what is to be sent.
//!
//! Both objects share the bridge's store and its database; each has a mapping, links and bookkeeping of its own. Nothing here
//! decides anything about a record.

use std::sync::Arc;

use super::world::RealWorld;
use crate::config::{BridgeSettings, DataSyncSettings, Order};
use crate::local::AnyLocal;
use crate::mapping::Mapping;
use crate::model::{Error, ErrorKind, Result, Vault};
use crate::remote::data_sync::Object;
use crate::remote::data_sync::send::{SendOptions, Sender};
use crate::state::{AnyStore, First, Overlay, Second, StateStore};
use crate::sync::{
    BridgeReport, Counts, Engine, Finished, Inbox, MessageRules, Outcome, RunOptions, send,
};

/// A Data Sync service: who posts to us, and whom we post to.
pub struct DataSync {
    sender: Option<Sender>,
    batch: usize,
    rules: MessageRules,
}

/// The second object of a bridge.
pub struct SecondObject {
    /// What it is called in the database's bookkeeping; no bridge can have this name.
    pub name: String,
    /// Its mapping.
    pub mapping: Mapping,
    /// Its tables.
    pub local: AnyLocal,
}

impl DataSync {
    /// Connects to nothing yet.
    pub fn new(
        bridge: &BridgeSettings,
        remote: &DataSyncSettings,
        world: &RealWorld,
    ) -> Result<Self> {
        let sends = remote.send.is_some() && bridge.direction.pushes();
        let sender = match &remote.send {
            Some(settings) if sends => {
                let options = SendOptions::from_settings(settings, &bridge.limits)?;
                Some(Sender::new(options, Arc::new(world.clone()))?)
            }
            _ => None,
        };
        let receive = remote.receive.as_ref();
        Ok(Self {
            sender,
            batch: remote.send.as_ref().map_or(0, |send| send.batch as usize),
            rules: MessageRules {
                object: Object::Customer,
                receives: receive.is_some() && bridge.direction.pulls(),
                sends,
                transactions: bridge.mapping.transaction.is_some(),
                by_unique_id: receive.is_some_and(|receive| receive.order == Order::UniqueId),
                json_depth: bridge.limits.json_depth,
            },
        })
    }

    /// Where to post, if that is what the bridge does.
    pub fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }
}

impl SecondObject {
    /// The second object of a bridge, with its mapping.
    pub fn new(bridge: &BridgeSettings, mapping: Mapping, vault: &Vault) -> Result<Self> {
        let name = format!("{}/transactions", bridge.name);
        let local = AnyLocal::open(
            &bridge.database,
            &name,
            mapping.layout.clone(),
            vault.clone(),
            bridge.limits.lock_wait,
        )?;
        Ok(Self {
            name,
            mapping,
            local,
        })
    }
}

/// A bridge that is not said yet what it talks to.
type Bare<'a> = Engine<'a, (), AnyLocal, AnyStore, RealWorld>;

/// One pass over both objects; a dry one writes nothing, not even to the store.
pub async fn pass(
    site: &DataSync,
    engine: Bare<'_>,
    second: Option<&mut SecondObject>,
    options: &RunOptions,
) -> Finished {
    let store = engine.store;
    if options.dry {
        objects(site, engine, second, &Overlay::new(store), options).await
    } else {
        objects(site, engine, second, store, options).await
    }
}

async fn objects<S: StateStore>(
    site: &DataSync,
    mut engine: Bare<'_>,
    second: Option<&mut SecondObject>,
    store: &S,
    options: &RunOptions,
) -> Finished {
    let (vault, world, depth) = (engine.vault, engine.world, site.rules.json_depth);
    let first = First {
        store,
        of_two: second.is_some(),
    };
    let customers = Inbox::new(&first, vault, Object::Customer, depth);
    let mut finished = engine
        .over(&customers, &first)
        .run_messages(&site.rules, options)
        .await;
    if let Some(second) = second.filter(|_| may_go_on(&finished)) {
        let store = Second(store);
        let transactions = Inbox::new(&store, vault, Object::Transaction, depth);
        let rules = MessageRules {
            object: Object::Transaction,
            ..site.rules
        };
        let mut of_second = Engine {
            bridge: &second.name,
            local: &mut second.local,
            mapping: &second.mapping,
            ..engine.over(&transactions, &store)
        };
        finished = together(finished, of_second.run_messages(&rules, options).await);
    }
    if let Some(sender) = site
        .sender()
        .filter(|_| !options.dry && may_go_on(&finished))
    {
        let before = sender.requests();
        let sent = send(store, vault, world, engine.local, sender, site.batch).await;
        finished.report.requests += sender.requests() - before;
        if let Err(error) = sent {
            fail(&mut finished, error);
        }
    }
    finished
}

/// A guard's stop concerns one object; what comes after it is none of its business. Anything else would only fail again.
fn may_go_on(finished: &Finished) -> bool {
    finished
        .error
        .as_ref()
        .is_none_or(|error| error.kind() == ErrorKind::Guard)
}

fn fail(finished: &mut Finished, error: Error) {
    finished.report.error = Some(error.to_string());
    finished.report.outcome = Outcome::Failed;
    finished.report.failure = Some(error.kind());
    finished.error = Some(error);
}

/// One report of two: counts add up, and the graver outcome stands.
fn together(mut one: Finished, other: Finished) -> Finished {
    let report = &mut one.report;
    let BridgeReport {
        outcome,
        guard,
        pull,
        push,
        conflicts,
        review,
        quarantined,
        requests,
        seconds,
        error,
        failure,
        ..
    } = other.report;
    report.pull = sum(report.pull, pull);
    report.push = sum(report.push, push);
    report.conflicts += conflicts;
    report.review += review;
    report.quarantined += quarantined;
    report.requests += requests;
    report.seconds += seconds;
    report.guard = report.guard.or(guard);
    if gravity(outcome) > gravity(report.outcome) {
        report.outcome = outcome;
        report.failure = failure;
        report.error = error;
        one.error = other.error;
    }
    one.plan.extend(other.plan);
    one
}

fn gravity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Partial => 1,
        Outcome::Stopped => 2,
        Outcome::Failed => 3,
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        read: one.read + other.read,
        created: one.created + other.created,
        updated: one.updated + other.updated,
        deleted: one.deleted + other.deleted,
        unchanged: one.unchanged + other.unchanged,
        held: one.held + other.held,
    }
}
