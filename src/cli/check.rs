//! `contactbridge check`: files, mapping, database, credentials, endpoint, description and clock. It writes nothing, and
//! lists everything that it finds, not only the first.

use std::path::Path;

use serde::Serialize;

use super::bridge::{Bridge, Purpose, load_mapping, mapping_of};
use super::exit::Exit;
use super::logging::{complain, with_causes};
use super::output::{Output, table};
use super::site::Site;
use super::world::RealWorld;
use super::{project, status};
use crate::config::{BridgeSettings, RemoteSettings, Settings};
use crate::local::{AnyLocal, JournalState, Local};
use crate::mapping::Mapping;
use crate::model::{Error, ErrorKind, RemoteId, Result, World};
use crate::remote::association_anywhere::AssociationAnywhere;
use crate::remote::contactlist::{Calls, ContactList, SoapCalls, SoapVersion, compare_description};
use crate::remote::data_sync::Object;
use crate::remote::data_sync::receive::check_identity;
use crate::remote::{LookUp, Queue, QueueReading, QueueStep, Remote};
use crate::state::{self, StateLocation};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Error,
}

#[derive(Debug, Serialize)]
struct Finding {
    bridge: Option<String>,
    /// What was looked at.
    area: &'static str,
    level: Level,
    code: Option<String>,
    message: String,
    #[serde(skip)]
    exit: Exit,
}

/// Everything that was found, of one bridge or of the files.
struct Findings {
    list: Vec<Finding>,
    bridge: Option<String>,
}

impl Findings {
    fn add(
        &mut self,
        area: &'static str,
        level: Level,
        code: Option<&str>,
        message: String,
        exit: Exit,
    ) {
        self.list.push(Finding {
            bridge: self.bridge.clone(),
            area,
            level,
            code: code.map(str::to_owned),
            message,
            exit,
        });
    }

    fn ok(&mut self, area: &'static str, message: impl Into<String>) {
        self.add(area, Level::Ok, None, message.into(), Exit::Clean);
    }

    fn warn(&mut self, area: &'static str, code: &str, message: impl Into<String>) {
        self.add(
            area,
            Level::Warning,
            Some(code),
            message.into(),
            Exit::Clean,
        );
    }

    fn error(&mut self, area: &'static str, error: &Error) {
        let exit = Exit::of_kind(error.kind());
        // An error about a file lists its further problems one a line, each with its own code.
        for (at, line) in with_causes(error).lines().enumerate() {
            let (code, message) = match line.split_once(' ') {
                Some((code, rest)) if at > 0 && code.starts_with("E-") => (code, rest),
                _ => (error.code(), line),
            };
            self.add(area, Level::Error, Some(code), message.to_owned(), exit);
        }
    }
}

/// Looks at everything; `offline`: not at the remote.
pub async fn run(config: Option<&Path>, offline: bool, output: Output) -> Result<Exit> {
    let mut findings = Findings {
        list: Vec::new(),
        bridge: None,
    };
    match project::load(config) {
        Ok(settings) => {
            let place = settings.file.display();
            findings.ok(
                "files",
                format!(
                    "{place}: {} bridge(s), state in {}",
                    settings.bridges.len(),
                    settings.state
                ),
            );
            for bridge in &settings.bridges {
                findings.bridge = Some(bridge.name.clone());
                look_at(&settings, bridge, offline, &mut findings).await;
            }
        }
        Err(error) => {
            complain(&error);
            findings.error("files", &error);
        }
    }
    output.report(&findings.list, |list| text(list))?;
    Ok(Exit::of_all(
        findings.list.iter().map(|finding| finding.exit),
    ))
}

async fn look_at(
    settings: &Settings,
    bridge: &BridgeSettings,
    offline: bool,
    findings: &mut Findings,
) {
    if !bridge.enabled {
        findings.warn(
            "files",
            "W-DISABLED",
            "`enabled: false`: sync passes this bridge over",
        );
    }
    let world = RealWorld::new();
    let mapping = match load_mapping(bridge) {
        Ok(mapping) => mapping,
        Err(error) => return findings.error("mapping", &error),
    };
    describe_mapping(&bridge.mapping.customer, &mapping, findings);
    match mapping_of(bridge, Object::Transaction) {
        Ok(None) => {}
        Ok(Some(second)) => {
            let file = bridge.mapping.transaction.as_deref();
            describe_mapping(file.unwrap_or(Path::new("")), &second, findings);
        }
        Err(error) => return findings.error("mapping", &error),
    }
    if let RemoteSettings::DataSync(remote) = &bridge.remote
        && let Some(receive) = &remote.receive
    {
        match check_identity(receive) {
            Ok(()) => findings.ok(
                "receive",
                format!("`contactbridge run` listens on {}", receive.listen),
            ),
            Err(error) => findings.error("receive", &error),
        }
    }
    match Bridge::prepare(settings, bridge, &world, Purpose::Look) {
        Ok(mut ready) => {
            state_of(&ready, findings);
            let place = (ready.location.clone(), bridge.name.as_str());
            database(&mut ready.local, &place, findings).await;
            if let Some(second) = &mut ready.second {
                database(&mut second.local, &place, findings).await;
            }
        }
        Err(error) => findings.error("state", &error),
    }
    if offline {
        return;
    }
    match Site::new(bridge, &mapping, &world, Some(1)) {
        Ok(Site::ContactList(remote)) => {
            let difference = listing(&remote, bridge, &world, findings).await;
            compare_clocks(difference, bridge, findings);
        }
        Ok(Site::AssociationAnywhere(remote, _)) => {
            let difference = queue(&remote, findings).await;
            compare_clocks(difference, bridge, findings);
        }
        Ok(Site::DataSync(site)) => {
            if let Some(sender) = site.sender() {
                match sender.authenticate().await {
                    Ok(()) => findings.ok(
                        "credentials",
                        "send.token_url gives us a token; `send-sample` posts a message",
                    ),
                    Err(error) => findings.error("credentials", &error),
                }
            }
        }
        Err(error) => findings.error("remote", &error),
    }
}

fn describe_mapping(file: &Path, mapping: &Mapping, findings: &mut Findings) {
    findings.ok(
        "mapping",
        format!(
            "{}: table {}, {} fields, {} child tables; what goes comes back",
            file.display(),
            mapping.layout.table,
            mapping.fields.len(),
            mapping.children.len()
        ),
    );
}

fn state_of(bridge: &Bridge<'_>, findings: &mut Findings) {
    let name = &bridge.settings.name;
    if let Some(error) = status::last_error(&bridge.location, name) {
        findings.warn(
            "state",
            "W-LAST-RUN",
            format!("the last run failed: {error}"),
        );
    }
    match (
        state::holder(&bridge.location, name),
        state::exists(&bridge.location, name),
    ) {
        (Err(error), _) | (_, Err(error)) => findings.error("state", &error),
        (Ok(Some(holder)), _) => {
            let who = holder.who();
            findings.warn(
                "state",
                "W-STATE-HELD",
                format!("a run{who} holds this bridge now"),
            );
        }
        (Ok(None), Ok(true)) => findings.ok("state", format!("kept in {}", bridge.location)),
        (Ok(None), Ok(false)) => findings.ok(
            "state",
            format!("none yet; the first sync makes it in {}", bridge.location),
        ),
    }
}

async fn database(
    local: &mut AnyLocal,
    (location, name): &(StateLocation, &str),
    findings: &mut Findings,
) {
    let description = match local.describe().await {
        Ok(description) => description,
        Err(error) => return findings.error("database", &error),
    };
    let fatal = description
        .problems
        .iter()
        .filter(|problem| problem.fatal)
        .count();
    for problem in &description.problems {
        if problem.fatal {
            findings.add(
                "database",
                Level::Error,
                Some(problem.code),
                problem.message.clone(),
                Exit::Config,
            );
        } else {
            findings.warn("database", problem.code, problem.message.clone());
        }
    }
    if fatal > 0 {
        return;
    }
    match description.rows {
        Some(rows) => findings.ok(
            "database",
            format!(
                "{}: table {} has {rows} rows",
                description.place, description.table
            ),
        ),
        None => findings.ok(
            "database",
            format!(
                "{}: table {} is made by the first sync",
                description.place, description.table
            ),
        ),
    }
    match description.journal {
        None => {}
        Some(JournalState::Installed) => findings.ok("database", "the triggers of `changes: journal` stand"),
        Some(JournalState::Missing) => findings.ok("database", "the triggers of `changes: journal` are installed by the first sync"),
        Some(JournalState::Stale) => findings.warn("database", "W-JOURNAL-STALE", "the triggers were made for another mapping; the next sync replaces them and reads everything"),
        Some(JournalState::Altered) => findings.warn("database", "W-JOURNAL-ALTERED", "somebody altered the triggers; the next sync replaces them and reads everything"),
    }
    match local.meta().await {
        Ok(Some(meta)) => {
            let is_there = state::exists(location, name).unwrap_or(true);
            if is_there {
                findings.ok(
                    "database",
                    format!("synchronised before, generation {}", meta.generation),
                );
            } else {
                findings.error("state", &Error::needs_person(
                    "E-STATE-LOST",
                    format!("The customer database knows generation {}, and there is no state. Restore it, or run `contactbridge reseed {name} --relink`", meta.generation),
                ));
            }
        }
        Ok(None) => {}
        Err(error) => findings.error("database", &error),
    }
}

/// Each service that can be asked without changing anything. Gives the difference of the clocks where a service answered.
async fn queue(remote: &AssociationAnywhere, findings: &mut Findings) -> Answered {
    let first = match remote.queue().await {
        Ok(mut reading) => reading.next().await,
        Err(error) => Err(error),
    };
    match first {
        Ok(QueueStep::Records(records)) => findings.ok(
            "queue",
            format!("it answers, and names {} customers or more", records.len()),
        ),
        Ok(QueueStep::End { .. }) => findings.ok("queue", "it answers, and is empty"),
        Err(error) => {
            findings.error("queue", &error);
            return Err(());
        }
    }
    // Whether such a customer is there or not: the service takes the credentials and understands the question.
    match remote.look_up(&LookUp::Id(RemoteId("0".into()))).await {
        Ok(_) => findings.ok("details", "the service answers"),
        Err(error) => {
            findings.error("details", &error);
            return Err(());
        }
    }
    Ok(remote.clock_difference())
}

/// What a service told of its clock; `Err` where it did not come to that.
type Answered = std::result::Result<Option<chrono::Duration>, ()>;

async fn listing(
    remote: &ContactList<SoapCalls>,
    settings: &BridgeSettings,
    world: &RealWorld,
    findings: &mut Findings,
) -> Answered {
    let version = match &settings.remote {
        RemoteSettings::ContactList(remote) if remote.soap == crate::config::SoapVersion::V11 => {
            SoapVersion::V11
        }
        _ => SoapVersion::V12,
    };
    match compare_description(remote.calls(), version).await {
        Ok(differences) if differences.is_empty() => {
            findings.ok("description", "the service describes itself as we know it")
        }
        Ok(differences) => {
            for difference in differences {
                findings.warn("description", "W-WSDL", difference);
            }
        }
        // A site that describes itself to nobody may still serve.
        Err(error) if error.code() == "E-WSDL" => {
            findings.warn("description", "W-WSDL", with_causes(&error))
        }
        Err(error) => findings.error("description", &error),
    }
    // The smallest question that needs the credentials: what changed from now on.
    let since = remote.stamp(world.now());
    match remote.calls().list(Some(since), 0).await {
        Ok(_) => findings.ok("credentials", "the site takes them"),
        Err(error) => {
            findings.error("credentials", &error);
            return Err(());
        }
    }
    Ok(remote.clock_difference())
}

fn compare_clocks(answered: Answered, settings: &BridgeSettings, findings: &mut Findings) {
    let Ok(difference) = answered else { return };
    let Some(difference) = difference else {
        return findings.warn(
            "clock",
            "W-CLOCK",
            "the service does not tell its time, so the clocks can't be compared",
        );
    };
    let apart = difference.abs().to_std().unwrap_or_default();
    let said = format!(
        "the service's clock is {} s {} ours",
        apart.as_secs(),
        if difference.num_seconds() < 0 {
            "behind"
        } else {
            "ahead of"
        }
    );
    if apart >= settings.limits.clock_refuse {
        findings.error(
            "clock",
            &Error::new(
                ErrorKind::NeedsPerson,
                "E-CLOCK",
                format!("{said}: correct this machine's clock"),
            ),
        );
    } else if apart >= settings.limits.clock_warn {
        findings.warn("clock", "W-CLOCK", said);
    } else {
        findings.ok("clock", "as the service's");
    }
}

fn text(findings: &[Finding]) -> String {
    table(
        ["", "BRIDGE", "WHAT", "FINDING"],
        findings.iter().map(|finding| {
            [
                match finding.level {
                    Level::Ok => "ok",
                    Level::Warning => "warning",
                    Level::Error => "ERROR",
                }
                .to_owned(),
                finding.bridge.clone().unwrap_or_default(),
                finding.area.to_owned(),
                match &finding.code {
                    Some(code) => format!("{code} {}", finding.message),
                    None => finding.message.clone(),
                },
            ]
        }),
    )
}
