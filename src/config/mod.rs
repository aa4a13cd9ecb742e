//! Configuration: what may be written in bridge.yaml, and what it means.
//!
//! It reads and checks files and nothing else: it opens no connection, and it must not know the engine. The YAML
//! reader below is shared with mapping files, so that both speak of problems in the same way.

mod address;
mod association_anywhere;
mod contactlist;
mod data_sync;
mod database;
mod fill;
mod find;
pub mod limits;
mod problems;
mod reader;
mod schedule;
mod schema;
mod secret;
mod settings;
mod starter;
mod units;
mod yaml;

#[cfg(test)]
mod bad_input;

pub(crate) use address::is_loopback_host;
pub use association_anywhere::{
    AssociationAnywhereSettings, DEFAULT_CHUNK, NameStyle, Purge, ServiceNames, ServiceUrls,
    Services, sections as association_anywhere_sections,
};
pub use contactlist::{ContactListSettings, DEFAULT_SOAP, SoapVersion};
pub use data_sync::{
    Callers, DEFAULT_SEND_BATCH, DataSyncSettings, Order, ReceiveSettings, SendSettings,
};
#[cfg(test)]
pub(crate) use database::database_for_tests;
pub use database::{DatabaseUrl, ServerUrl, StateLocation};
pub use fill::{DEFAULT_SECRET_SIZE_MAX, Environment, Sources, fill_in, process_environment, wipe};
pub use find::{DEFAULT_FILE, FILE_VARIABLE, Found, find, read};
pub use limits::{LIMIT_KEYS, Limits};
pub use problems::{CONFIG_CODES, Codes, DEFAULT_PROBLEMS_MAX, MAPPING_CODES, Problem, Problems};
pub use reader::{MapReader, Value, nearest};
pub use schedule::{CronLine, Schedule};
pub use schema::{config_schema, mapping_schema};
pub use secret::{Secret, StateKey};
pub use settings::{
    BridgeSettings, CONFLICTS, DEFAULT_CONFLICTS, DEFAULT_DELETES, DEFAULT_DIRECTION,
    DEFAULT_FULL_READ, DEFAULT_STATE, DELETES, DIRECTIONS, HttpSettings, KINDS, MappingFiles,
    RemoteSettings, Settings,
};
pub use starter::{StarterFile, starter, starter_variables};
pub use units::{parse_duration, parse_size, show_duration, show_size};
pub use yaml::{DEFAULT_YAML_DEPTH_MAX, DEFAULT_YAML_SIZE_MAX, Key, Kind, Mark, Node, parse};
