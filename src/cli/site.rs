//! The CRM of a bridge, of whatever kind: which pass its kind calls for, and the few questions that commands ask of it.
//!
//! Nothing here decides anything about a record.

use std::collections::HashSet;
use std::sync::Arc;

use super::data_sync::DataSync;
use super::world::RealWorld;
use crate::config::{AssociationAnywhereSettings, BridgeSettings, Purge, RemoteSettings};
use crate::mapping::Mapping;
use crate::model::{Error, RemoteId, RemoteItem, Result};
use crate::remote::association_anywhere::{self, AssociationAnywhere};
use crate::remote::contactlist::{ClientOptions, ContactList, ScanLimits, SoapCalls};
use crate::remote::{Queue, Remote, RemoteScan, ScanStep, Scope};
use crate::sync::{DEFAULT_PART, PurgeWhen, QueueRules};

/// A CRM, connected to nothing until it is asked something.
pub enum Site {
    /// It lists contacts and takes them.
    ContactList(Box<ContactList<SoapCalls>>),
    /// It queues customers that changed.
    AssociationAnywhere(Box<AssociationAnywhere>, QueueRules),
    /// It posts to us, and we to it.
    DataSync(Box<DataSync>),
}

impl Site {
    /// The CRM of a bridge; reads are tried again as often as the limits say, or `retries` times.
    pub fn new(
        bridge: &BridgeSettings,
        mapping: &Mapping,
        world: &RealWorld,
        retries: Option<u32>,
    ) -> Result<Self> {
        let around = Arc::new(world.clone());
        match &bridge.remote {
            RemoteSettings::ContactList(remote) => {
                let mut options = ClientOptions::from_settings(remote, &bridge.limits)?;
                options.retries.retries = retries.unwrap_or(options.retries.retries);
                let calls = SoapCalls::new(options, around)?;
                let scan = ScanLimits::from_settings(&bridge.limits);
                let site = ContactList::new(calls, remote.time_zone, scan);
                Ok(Self::ContactList(Box::new(site)))
            }
            RemoteSettings::AssociationAnywhere(remote) => {
                let mut options =
                    association_anywhere::ClientOptions::from_settings(remote, &bridge.limits)?;
                options.retries.retries = retries.unwrap_or(options.retries.retries);
                let site = AssociationAnywhere::new(options, mapping.remote_names(), around)?;
                Ok(Self::AssociationAnywhere(
                    Box::new(site),
                    queue_rules(remote),
                ))
            }
            RemoteSettings::DataSync(remote) => {
                let site = DataSync::new(bridge, remote, world)?;
                Ok(Self::DataSync(Box::new(site)))
            }
        }
    }

    /// What tells this site from another, as one text.
    pub fn address(bridge: &BridgeSettings) -> String {
        match &bridge.remote {
            RemoteSettings::ContactList(remote) => {
                format!("{} site {}", remote.endpoint, remote.site_id)
            }
            RemoteSettings::AssociationAnywhere(remote) => remote.services.address().to_string(),
            RemoteSettings::DataSync(_) => "data-sync".to_owned(),
        }
    }

    /// The site, where it lists its contacts.
    pub fn listing(&self) -> Option<&ContactList<SoapCalls>> {
        match self {
            Self::ContactList(site) => Some(site),
            Self::AssociationAnywhere(..) | Self::DataSync(_) => None,
        }
    }

    /// The wall time of an instant, and an instant of a wall time, at a site that has a watermark. `E-USAGE` (exit 2) for the others.
    pub fn watermarked(&self, option: &str) -> Result<&ContactList<SoapCalls>> {
        let again = match self {
            Self::DataSync(_) => {
                "what was posted can't be asked for again, so have its sender post it once more (`contactbridge enqueue` is for association-anywhere)"
            }
            _ => "`contactbridge enqueue BRIDGE --all` (or an id) has customers read again",
        };
        self.listing().ok_or_else(|| {
            Error::config(
                "E-USAGE",
                format!("{option}: this kind of CRM has no watermark; {again}"),
            )
        })
    }

    /// Which of these records the site knows. A list is read once; a site without one is asked for them.
    pub async fn known(&self, ids: &[RemoteId]) -> Result<HashSet<String>> {
        let mut known = HashSet::new();
        match self {
            Self::ContactList(site) => {
                let mut scan = site.scan(None).await?;
                loop {
                    match scan.next().await? {
                        ScanStep::Records(items) => known.extend(items.into_iter().filter_map(id)),
                        ScanStep::Restarted => known.clear(),
                        ScanStep::End(_) => return Ok(known),
                    }
                }
            }
            Self::AssociationAnywhere(site, _) => {
                let nothing_else = Scope::Sections(Default::default());
                for part in ids.chunks(DEFAULT_PART) {
                    let items = site.details(part, &nothing_else).await?;
                    known.extend(items.into_iter().filter_map(id));
                }
                Ok(known)
            }
            // Nobody can be asked: what the file says is taken for true.
            Self::DataSync(_) => Ok(ids.iter().map(|id| id.0.clone()).collect()),
        }
    }
}

/// The id of a living record.
fn id(item: RemoteItem) -> Option<String> {
    match item {
        RemoteItem::Record(record) => (!record.deleted).then_some(record.id.0),
        RemoteItem::Bad(bad) => bad.id.map(|id| id.0),
    }
}

fn queue_rules(remote: &AssociationAnywhereSettings) -> QueueRules {
    QueueRules {
        purge: match remote.purge {
            Purge::Processed => PurgeWhen::Processed,
            Purge::Journalled => PurgeWhen::Journalled,
        },
        reasons: remote.reasons,
        chunk: remote.chunk as usize,
        part: DEFAULT_PART,
    }
}
