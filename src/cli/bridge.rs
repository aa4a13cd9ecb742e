//! One bridge, opened: from its settings to the parts that the engine works with.
//!
//! Each failure keeps the kind that decides the exit code. Nothing here decides anything about a record.

use super::data_sync::{self, SecondObject};
use super::project::state_location;
use super::site::Site;
use super::world::RealWorld;
use crate::config::{BridgeSettings, DatabaseUrl, Found, Problems, RemoteSettings, Settings, read};
use crate::local::AnyLocal;
use crate::mapping::Mapping;
use crate::model::{Error, Result, Vault, World};
use crate::remote::association_anywhere;
use crate::remote::contactlist::vocabulary;
use crate::remote::data_sync::Object;
use crate::state::{self, AnyStore, MemoryStore, StateKey, StateLimits, StateLocation};
use crate::sync::{Engine, Finished, Rules, RunOptions, Watch};

/// What a bridge is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look: nothing is made that is not there. Without a state, an empty one in memory stands in.
    Look,
    /// To run, or to change what is remembered.
    Run,
    /// To rebuild a state whose key may be lost as well.
    Rebuild,
}

/// One bridge with everything but its store.
pub struct Bridge<'s> {
    /// Its settings.
    pub settings: &'s BridgeSettings,
    /// Where its state lies.
    pub location: StateLocation,
    /// The mapping.
    pub mapping: Mapping,
    /// Digests and sealing.
    pub vault: Vault,
    /// Whether the key of the vault stands in a file of ours.
    pub key_file: bool,
    /// The CRM.
    pub remote: Site,
    /// The database.
    pub local: AnyLocal,
    /// The second object of the bridge (transactions), where it has one.
    pub second: Option<SecondObject>,
    world: RealWorld,
    purpose: Purpose,
    rules: Rules,
    site: String,
    database: String,
}

impl<'s> Bridge<'s> {
    /// Reads the mapping and the key and sets up both sides; connects to nothing yet.
    pub fn prepare(
        settings: &Settings,
        bridge: &'s BridgeSettings,
        world: &RealWorld,
        purpose: Purpose,
    ) -> Result<Self> {
        let mapping = load_mapping(bridge)?;
        let location = state_location(settings);
        location.check()?;
        let vault = find_vault(settings, &location, &bridge.name, world, purpose)?;
        let second = mapping_of(bridge, Object::Transaction)?;
        Self::assemble(settings, bridge, (mapping, second), vault, world, purpose)
    }

    /// As [`Bridge::prepare`], with mappings (of both objects) and a key that were read before.
    pub fn assemble(
        settings: &Settings,
        bridge: &'s BridgeSettings,
        (mapping, second): (Mapping, Option<Mapping>),
        vault: Vault,
        world: &RealWorld,
        purpose: Purpose,
    ) -> Result<Self> {
        let limits = &bridge.limits;
        let local = AnyLocal::open(
            &bridge.database,
            &bridge.name,
            mapping.layout.clone(),
            vault.clone(),
            limits.lock_wait,
        )?;
        Ok(Self {
            settings: bridge,
            location: state_location(settings),
            remote: Site::new(bridge, &mapping, world, None)?,
            mapping,
            key_file: settings.state_key.is_none(),
            local,
            second: second
                .map(|mapping| SecondObject::new(bridge, mapping, &vault))
                .transpose()?,
            vault,
            world: world.clone(),
            purpose,
            rules: rules(bridge),
            site: Site::address(bridge),
            database: identity(&bridge.database),
        })
    }

    /// Opens its store, with its lock. The second value says whether it is new.
    pub async fn open_store(&self) -> Result<(AnyStore, bool)> {
        let name = &self.settings.name;
        if self.purpose == Purpose::Look && !state::exists(&self.location, name)? {
            return Ok((AnyStore::Memory(MemoryStore::new()), true));
        }
        state::open(
            &self.location,
            name,
            self.vault.fingerprint(),
            &self.state_limits(),
            self.world.now(),
        )
        .await
    }

    /// What its state may need of the machine.
    pub fn state_limits(&self) -> StateLimits {
        StateLimits {
            free_bytes_min: self.settings.limits.free_disk,
            lease: self.settings.limits.lease,
            ..StateLimits::default()
        }
    }

    /// One pass over its parts.
    pub async fn pass(
        &mut self,
        store: &AnyStore,
        watch: &dyn Watch,
        options: &RunOptions,
    ) -> Finished {
        let mut engine = Engine {
            bridge: &self.settings.name,
            remote: &(),
            local: &mut self.local,
            store,
            world: &self.world,
            mapping: &self.mapping,
            vault: &self.vault,
            rules: &self.rules,
            site: &self.site,
            database: &self.database,
            watch,
        };
        match &self.remote {
            Site::ContactList(site) => engine.over(&**site, store).run(options).await,
            Site::AssociationAnywhere(site, rules) => {
                let mut engine = engine.over(&**site, store);
                engine.run_queue(*rules, options).await
            }
            Site::DataSync(site) => {
                data_sync::pass(site, engine, self.second.as_mut(), options).await
            }
        }
    }

    /// Ends with exit 6 where somebody runs this bridge.
    pub fn ensure_free(&self) -> Result<()> {
        ensure_free(&self.location, &self.settings.name, &self.world)
    }
}

/// Ends with exit 6 where somebody runs this bridge.
pub fn ensure_free(location: &StateLocation, bridge: &str, world: &RealWorld) -> Result<()> {
    match state::holder(location, bridge)? {
        None => Ok(()),
        Some(holder) => Err(Error::new(
            crate::model::ErrorKind::Busy,
            "E-STATE-LOCKED",
            holder.told(bridge, world.now()),
        )),
    }
}

/// The mapping of a bridge's customers, held against its kind and its direction.
pub fn load_mapping(bridge: &BridgeSettings) -> Result<Mapping> {
    let found = mapping_of(bridge, Object::Customer)?;
    found.ok_or_else(|| Error::unexpected("E-INVARIANT", "Every bridge maps customers"))
}

/// The mapping of one object of a bridge; `None` where it has none.
pub fn mapping_of(bridge: &BridgeSettings, object: Object) -> Result<Option<Mapping>> {
    let vocabulary = match &bridge.remote {
        RemoteSettings::ContactList(remote) => vocabulary(remote.time_zone),
        RemoteSettings::AssociationAnywhere(remote) => {
            association_anywhere::vocabulary(remote.time_zone, &remote.dates)
        }
        RemoteSettings::DataSync(_) => object.vocabulary(),
    };
    let file = match object {
        Object::Customer => Some(&bridge.mapping.customer),
        Object::Transaction => bridge.mapping.transaction.as_ref(),
    };
    let Some(file) = file else { return Ok(None) };
    let name = file.display().to_string();
    let problems = Problems::for_mapping(&name);
    let found = Found::named(file, "(named by `mapping:` of bridge.yaml)");
    let text = read(&found, &problems);
    let text = problems.settle(text)?;
    let mapping = Mapping::load(&name, &text, &vocabulary)?;
    mapping.check_direction(bridge.direction)?;
    Ok(Some(mapping))
}

fn find_vault(
    settings: &Settings,
    location: &StateLocation,
    bridge: &str,
    world: &RealWorld,
    purpose: Purpose,
) -> Result<Vault> {
    if let Some(key) = &settings.state_key {
        return Ok(Vault::new(key.expose()));
    }
    // Whoever only looks makes no key: without a state, nothing was ever sealed with it.
    if purpose == Purpose::Look && !state::exists(location, bridge)? {
        let mut key = [0; 32];
        world.random(&mut key);
        return Ok(Vault::new(&key));
    }
    let is_lost = purpose == Purpose::Rebuild;
    StateKey::find(location, None, is_lost, &mut |bytes| world.random(bytes)).map(|key| key.vault())
}

fn rules(bridge: &BridgeSettings) -> Rules {
    let limits = &bridge.limits;
    Rules {
        direction: bridge.direction,
        conflicts: bridge.conflicts,
        deletes: bridge.deletes,
        full_read: bridge.full_read,
        max_deletes: limits.max_deletes,
        max_changes: limits.max_changes,
        overlap: limits.overlap,
        settle: limits.settle,
        prefetch: limits.prefetch as usize,
        batch: limits.batch as usize,
        rows_per_transaction: limits.rows_per_transaction as usize,
        conflict_tolerance: limits.conflict_tolerance,
        clock_warn: limits.clock_warn,
        clock_refuse: limits.clock_refuse,
        keep_settled: limits.keep_settled,
    }
}

/// The database however it was named; only a digest of it is kept.
fn identity(database: &DatabaseUrl) -> String {
    match database {
        DatabaseUrl::Sqlite(path) => std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .display()
            .to_string(),
        DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url) => url.shown().to_owned(),
    }
}
