//! What bridge.yaml means: every value resolved, checked and typed, with its default where it was left out.
//!
//! Nothing behind it reads the file, the environment or a default again. It opens nothing, and it must not know what
//! the engine does with a value.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;

use crate::model::{ConflictPolicy, DeletePolicy, Direction, Error, Result};

use super::address::{Context, listen_address};
use super::association_anywhere::{self, AssociationAnywhereSettings};
use super::contactlist::{self, ContactListSettings};
use super::data_sync::{self, DataSyncSettings};
use super::database::{self, DatabaseUrl, StateLocation};
use super::fill::{Environment, Sources, fill_in, wipe};
use super::limits::Limits;
use super::reader::{MapReader, Value};
use super::schedule::{Schedule, schedule};
use super::secret::StateKey;
use super::yaml::{Key, Node, parse};
use super::{Problems, find};

/// The keys of the file.
pub(super) const ROOT_KEYS: &[&str] = &["state", "state_key", "http", "bridges"];
/// The keys of `http:`.
pub(super) const HTTP_KEYS: &[&str] = &["listen"];
/// The keys of a bridge.
pub(super) const BRIDGE_KEYS: &[&str] = &[
    "remote",
    "database",
    "mapping",
    "direction",
    "conflicts",
    "deletes",
    "full_read",
    "schedule",
    "enabled",
    "limits",
];
/// The keys of `mapping:` where it is a map (data-sync).
pub(super) const MAPPING_KEYS: &[&str] = &["customer", "transaction"];

/// The state lies beside the file unless it says otherwise.
pub const DEFAULT_STATE: &str = "state";

/// A day bounds how long a deletion without a flag, or a change that no read showed, can stay unseen.
pub const DEFAULT_FULL_READ: Duration = Duration::from_secs(24 * 3600);

/// Both ways is what the program is for.
pub const DEFAULT_DIRECTION: Direction = Direction::Both;

/// The later edit is what most people mean; where the times can't tell, a person is asked.
pub const DEFAULT_CONFLICTS: ConflictPolicy = ConflictPolicy::Newest;

/// Proved deletions are carried over, under the guard `deletes`.
pub const DEFAULT_DELETES: DeletePolicy = DeletePolicy::Apply;

/// A bridge's name becomes the name of a directory, so it is short and plain.
const NAME_LENGTH_MAX: usize = 64;

/// bridge.yaml, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The directory that relative paths start from: that of the file.
    pub directory: PathBuf,
    /// Where the state lies.
    pub state: StateLocation,
    /// The key that seals it; `None`: a key file beside the state.
    pub state_key: Option<StateKey>,
    /// The pages that `run` serves.
    pub http: Option<HttpSettings>,
    /// The bridges in the order of the file; at least one.
    pub bridges: Vec<BridgeSettings>,
    /// Sentences (with code) that the user should see although nothing is wrong.
    pub warnings: Vec<String>,
}

/// The pages that `run` serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where to listen; always loopback.
    pub listen: SocketAddr,
}

/// One bridge.
#[derive(Clone, Debug)]
pub struct BridgeSettings {
    /// Its name; fit to be a directory's.
    pub name: String,
    /// The service.
    pub remote: RemoteSettings,
    /// The database.
    pub database: DatabaseUrl,
    /// The mapping files.
    pub mapping: MappingFiles,
    /// Which way it flows.
    pub direction: Direction,
    /// Who wins when both sides changed a field.
    pub conflicts: ConflictPolicy,
    /// What becomes of a deletion.
    pub deletes: DeletePolicy,
    /// How often everything is read and compared; `None`: never.
    pub full_read: Option<Duration>,
    /// When `run` runs it; `None`: only on request.
    pub schedule: Option<Schedule>,
    /// `sync` passes over a bridge that is not.
    pub enabled: bool,
    /// Its limits.
    pub limits: Limits,
}

/// The service of a bridge, by its kind.
#[derive(Clone, Debug)]
pub enum RemoteSettings {
    /// `contactlist`.
    ContactList(ContactListSettings),
    /// `association-anywhere`.
    AssociationAnywhere(Box<AssociationAnywhereSettings>),
    /// `data-sync`.
    DataSync(Box<DataSyncSettings>),
}

/// The mapping files of a bridge, with absolute or file-relative paths already joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingFiles {
    /// The mapping of customers (contacts).
    pub customer: PathBuf,
    /// The mapping of transactions (data-sync).
    pub transaction: Option<PathBuf>,
}

impl Settings {
    /// Finds, reads and checks the file: `option` is what `--config` named. All problems are in one error.
    pub fn load(option: Option<&Path>, environment: Environment<'_>) -> Result<Self> {
        let found = find::find(option, environment);
        let problems = Problems::for_config(found.path.display().to_string());
        let text = find::read(&found, &problems);
        let settings = text.and_then(|text| Self::read(&text, &found.path, environment, &problems));
        problems.settle(settings)
    }

    /// Checks `text` as the content of `file`. All problems are in one error.
    pub fn from_text(text: &str, file: &Path, environment: Environment<'_>) -> Result<Self> {
        let problems = Problems::for_config(file.display().to_string());
        let settings = Self::read(text, file, environment, &problems);
        problems.settle(settings)
    }

    fn read(
        text: &str,
        file: &Path,
        environment: Environment<'_>,
        problems: &Problems,
    ) -> Option<Self> {
        let directory = file.parent().unwrap_or(Path::new("")).to_owned();
        let mut tree = parse(text, problems)?;
        let sources = Sources {
            environment,
            directory: &directory,
        };
        fill_in(&mut tree, sources, problems);
        let settings = Self::from_tree(&tree, file, &directory, problems);
        wipe(&mut tree);
        settings
    }

    fn from_tree(tree: &Node, file: &Path, directory: &Path, problems: &Problems) -> Option<Self> {
        let context = Context {
            directory,
            warnings: Default::default(),
        };
        if tree.is_null() {
            problems.report_file(
                "E-CFG-KEY",
                "is empty; `contactbridge init` writes a starter",
            );
            return None;
        }
        let map = Value::root(tree, problems).map(ROOT_KEYS)?;
        let state = match map.optional("state") {
            Some(value) => database::state(&context, &value),
            None => Some(StateLocation::Directory(directory.join(DEFAULT_STATE))),
        };
        let state_key = read_state_key(&context, &map);
        if matches!(state, Some(StateLocation::Postgres(_))) && map.optional("state_key").is_none()
        {
            map.value().problems().report_file(
                "E-CFG-KEY",
                "key \"state_key\" is missing: a state in PostgreSQL is sealed with a key that you keep, e.g. ${file:/etc/contactbridge/key}",
            );
        }
        let http = map.optional("http").and_then(|value| read_http(&value));
        let bridges = map
            .required("bridges")
            .map(|value| read_bridges(&context, &value));
        Some(Self {
            file: file.to_owned(),
            directory: directory.to_owned(),
            state: state?,
            state_key,
            http,
            bridges: bridges?,
            warnings: context.warnings.into_inner(),
        })
    }

    /// The bridge of that name; `E-USAGE` with the names there are, when there is none.
    pub fn bridge(&self, name: &str) -> Result<&BridgeSettings> {
        let names = || self.bridges.iter().map(|bridge| bridge.name.as_str());
        self.bridges
            .iter()
            .find(|bridge| bridge.name == name)
            .ok_or_else(|| {
                let hint = match super::nearest(name, names()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
                };
                Error::config(
                    "E-USAGE",
                    format!(
                        "{} has no bridge \"{}\"; {hint}",
                        self.file.display(),
                        super::yaml::shorten(name)
                    ),
                )
            })
    }
}

impl RemoteSettings {
    /// The kind, as `kind:` has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ContactList(_) => "contactlist",
            Self::AssociationAnywhere(_) => "association-anywhere",
            Self::DataSync(_) => "data-sync",
        }
    }

    /// The zone of dates without offset, here and on the command line.
    pub fn time_zone(&self) -> Tz {
        match self {
            Self::ContactList(remote) => remote.time_zone,
            Self::AssociationAnywhere(remote) => remote.time_zone,
            Self::DataSync(_) => Tz::UTC,
        }
    }

    /// The one way that this service allows; `None`: any.
    fn only_direction(&self) -> Option<Direction> {
        match self {
            Self::ContactList(_) => None,
            Self::AssociationAnywhere(_) => Some(Direction::Pull),
            Self::DataSync(remote) => match (&remote.receive, &remote.send) {
                (Some(_), None) => Some(Direction::Pull),
                (None, Some(_)) => Some(Direction::Push),
                _ => None,
            },
        }
    }
}

fn read_state_key(context: &Context<'_>, map: &MapReader<'_>) -> Option<StateKey> {
    let value = map.optional("state_key")?;
    let key = StateKey::parse(context.secret(&value)?.expose());
    if key.is_none() {
        return value.invalid(
            "is not 32 bytes as 64 hex digits or base64; `openssl rand -hex 32` makes one",
        );
    }
    key
}

fn read_http(value: &Value<'_>) -> Option<HttpSettings> {
    let listen = value.map(HTTP_KEYS)?.required("listen")?;
    let address = listen_address(&listen)?;
    if !address.ip().is_loopback() {
        listen.report(
            "E-CFG-URL",
            "only loopback is accepted; put a proxy with TLS and a login before it",
        );
        return None;
    }
    Some(HttpSettings { listen: address })
}

fn read_bridges(context: &Context<'_>, value: &Value<'_>) -> Vec<BridgeSettings> {
    let entries = value.entries();
    if value.is_map() && entries.is_empty() {
        value.invalid::<()>("needs at least one bridge");
    }
    let mut names = HashSet::new();
    let mut bridges = Vec::new();
    for (key, entry) in entries {
        // Some file systems take names that differ only in case for one, and two bridges must not share a store.
        let folded = key.text.to_lowercase();
        if !names.insert(folded) {
            entry.invalid::<()>("differs from another bridge's name in upper and lower case only");
        }
        let bridge = read_bridge(context, key, &entry);
        bridges.extend(bridge.filter(|_| check_name(key, &entry)));
    }
    bridges
}

fn check_name(key: &Key, entry: &Value<'_>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = key.text.len() <= NAME_LENGTH_MAX
        && key.text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.text.chars().all(plain);
    if !good {
        entry.invalid::<()>(
            "a bridge's name is made of up to 64 letters, digits, \"-\", \"_\" and \".\", and begins with a letter or digit",
        );
    }
    good
}

fn read_bridge(context: &Context<'_>, key: &Key, value: &Value<'_>) -> Option<BridgeSettings> {
    let map = value.map(BRIDGE_KEYS)?;
    let remote = map
        .required("remote")
        .and_then(|v| read_remote(context, &v));
    let database = map
        .required("database")
        .and_then(|v| database::database(context, &v));
    let mapping = map
        .required("mapping")
        .and_then(|v| read_mapping(context, &v, remote.as_ref()));
    let direction = read_direction(&map, remote.as_ref());
    let conflicts = map
        .optional("conflicts")
        .map_or(Some(DEFAULT_CONFLICTS), |v| v.word(CONFLICTS));
    let deletes = map
        .optional("deletes")
        .map_or(Some(DEFAULT_DELETES), |v| v.word(DELETES));
    let full_read = map
        .optional("full_read")
        .map_or(Some(Some(DEFAULT_FULL_READ)), |v| {
            if v.is_scalar() && v.text()? == "never" {
                return Some(None);
            }
            v.duration(Duration::from_secs(60)..=Duration::from_secs(366 * 86_400))
                .map(Some)
        });
    let schedule = match map.optional("schedule") {
        Some(value) => schedule(&value).map(Some),
        None => Some(None),
    };
    let enabled = map.optional("enabled").map_or(Some(true), |v| v.bool());
    let limits = map
        .optional("limits")
        .map_or_else(Limits::default, |v| Limits::read(&v));
    Some(BridgeSettings {
        name: key.text.clone(),
        remote: remote?,
        database: database?,
        mapping: mapping?,
        direction: direction?,
        conflicts: conflicts?,
        deletes: deletes?,
        full_read: full_read?,
        schedule: schedule?,
        enabled: enabled?,
        limits,
    })
}

/// The words of `direction:`, of a bridge and of a field.
pub const DIRECTIONS: &[(&str, Direction)] = &[
    ("pull", Direction::Pull),
    ("push", Direction::Push),
    ("both", Direction::Both),
];
/// The words of `conflicts:`, of a bridge and of a field.
pub const CONFLICTS: &[(&str, ConflictPolicy)] = &[
    ("newest", ConflictPolicy::Newest),
    ("remote", ConflictPolicy::Remote),
    ("local", ConflictPolicy::Local),
    ("review", ConflictPolicy::Review),
];
/// The words of `deletes:`.
pub const DELETES: &[(&str, DeletePolicy)] = &[
    ("apply", DeletePolicy::Apply),
    ("review", DeletePolicy::Review),
    ("ignore", DeletePolicy::Ignore),
];
/// The words of `kind:`.
pub const KINDS: &[(&str, &str)] = &[
    ("contactlist", "contactlist"),
    ("association-anywhere", "association-anywhere"),
    ("data-sync", "data-sync"),
];

fn read_remote(context: &Context<'_>, value: &Value<'_>) -> Option<RemoteSettings> {
    if !value.is_map() {
        return value.invalid(format!("{} found where a map is needed", value.shown()));
    }
    let Some(kind) = value.peek("kind") else {
        value.report("E-CFG-KEY", "key \"kind\" is missing");
        return None;
    };
    match kind.word(KINDS)? {
        "contactlist" => contactlist::read(context, value).map(RemoteSettings::ContactList),
        "association-anywhere" => association_anywhere::read(context, value)
            .map(|remote| RemoteSettings::AssociationAnywhere(Box::new(remote))),
        _ => {
            data_sync::read(context, value).map(|remote| RemoteSettings::DataSync(Box::new(remote)))
        }
    }
}

fn read_mapping(
    context: &Context<'_>,
    value: &Value<'_>,
    remote: Option<&RemoteSettings>,
) -> Option<MappingFiles> {
    if !value.is_map() {
        let customer = context.path(value)?;
        return Some(MappingFiles {
            customer,
            transaction: None,
        });
    }
    if remote.is_some_and(|remote| !matches!(remote, RemoteSettings::DataSync(_))) {
        return value.invalid("a map found where the path of one mapping file is needed");
    }
    let map = value.map(MAPPING_KEYS)?;
    let customer = map.required("customer").and_then(|v| context.path(&v));
    let transaction = map.optional("transaction").and_then(|v| context.path(&v));
    Some(MappingFiles {
        customer: customer?,
        transaction,
    })
}

fn read_direction(map: &MapReader<'_>, remote: Option<&RemoteSettings>) -> Option<Direction> {
    let only = remote.and_then(RemoteSettings::only_direction);
    let Some(value) = map.optional("direction") else {
        return Some(only.unwrap_or(DEFAULT_DIRECTION));
    };
    let direction = value.word(DIRECTIONS)?;
    match only {
        Some(Direction::Pull) if direction != Direction::Pull => {
            value.invalid("this remote can only be pulled from; write pull, or leave it out")
        }
        Some(Direction::Push) if direction != Direction::Push => value.invalid(
            "without receive this remote can only be pushed to; write push, or leave it out",
        ),
        _ => Some(direction),
    }
}
