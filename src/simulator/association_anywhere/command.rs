//! `contactbridge simulate association-anywhere`: the simulator as a command, with everything that is needed to sync
//! against it.

use std::net::SocketAddr;

use crate::model::{Error, Result};
use crate::simulator::signals::Signals;

use super::handle::AssociationAnywhereSimulator;
use super::operation::Operation;
use super::options::{Options, QueueServices};
use super::seeded::Profile;
use super::switch_text::NAMES;
use super::switches::Switches;

/// Enough for several chunks, few enough to look at.
const DEFAULT_PEOPLE: u32 = 250;
/// The largest association that a queue was sized for; ids have seven digits.
const PEOPLE_MAX: i64 = 300_000;

/// Arguments of `simulate association-anywhere`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen: a loopback address; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8482")]
    pub listen: SocketAddr,
    /// How many customers the site has
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PEOPLE, value_parser = clap::value_parser!(u32).range(0..=PEOPLE_MAX))]
    pub people: u32,
    /// What the customers and the chance in faults follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// What kind of customers: awkward (on purpose), or plain (complete ones, for benchmarks)
    #[arg(long, value_name = "PROFILE", default_value = "awkward", value_parser = profile)]
    pub profile: Profile,
    /// The association's environment: the first segment of the path
    #[arg(long, value_name = "NAME", default_value = "aademo", value_parser = environment)]
    pub environment: String,
    /// The vendor's user name
    #[arg(long, value_name = "NAME", default_value = "bridge-demo")]
    pub user: String,
    /// The vendor's password, made up for this simulator
    #[arg(long, value_name = "TEXT", default_value = "s3cret<&>")]
    pub password: String,
    /// Which queue services there are: both, reasons or plain
    #[arg(long, value_name = "WHICH", default_value = "both", value_parser = queue)]
    pub queue: QueueServices,
    /// Who is in the queue at the beginning: all or none
    #[arg(long, value_name = "WHO", default_value = "all", action = clap::ArgAction::Set, value_parser = queued)]
    pub queued: bool,
    /// A fault or quirk, such as lose-answer@PURGE_QUEUE_XML=#1 or rows=coalesce; may be repeated
    #[arg(long = "fault", visible_alias = "quirk", value_name = "FAULT", long_help = format!("A fault or quirk; may be repeated.\n\n\
        NAME[@OPERATION][=[PARAMETER/]WHEN], WHEN being a share (0.05) or a request's number (#3, #2-4); left out: always.\n\
        Examples: lose-answer@PURGE_QUEUE_XML=#1, delay=200ms/0.1, unavailable=120/#2, rows=coalesce, poison=0000007:malformed.\n\nThere are {NAMES}."))]
    pub faults: Vec<String>,
    /// How long every request takes at least, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
}

fn profile(text: &str) -> std::result::Result<Profile, String> {
    match text {
        "awkward" => Ok(Profile::Awkward),
        "plain" => Ok(Profile::Plain),
        _ => Err("expected awkward or plain".to_owned()),
    }
}

fn environment(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, - and _".to_owned())
    }
}

fn queue(text: &str) -> std::result::Result<QueueServices, String> {
    match text {
        "both" => Ok(QueueServices::Both),
        "reasons" => Ok(QueueServices::Reasons),
        "plain" => Ok(QueueServices::Plain),
        _ => Err("expected both, reasons or plain".to_owned()),
    }
}

fn queued(text: &str) -> std::result::Result<bool, String> {
    match text {
        "all" => Ok(true),
        "none" => Ok(false),
        _ => Err("expected all or none".to_owned()),
    }
}

/// The options that the arguments stand for. Error: `E-SIMULATE-FAULT`.
fn options(args: &ServeArgs) -> Result<Options> {
    let mut switches = Switches::default();
    for text in &args.faults {
        for part in text.split(',') {
            let set = switches.set(part.trim());
            set.map_err(|sentence| {
                Error::config("E-SIMULATE-FAULT", format!("--fault {sentence}"))
            })?;
        }
    }
    Ok(Options {
        listen: args.listen,
        people: args.people,
        seed: args.seed,
        profile: args.profile,
        environment: args.environment.clone(),
        username: args.user.clone(),
        password: args.password.clone(),
        queue: args.queue,
        queued: args.queued,
        latency: std::time::Duration::from_millis(args.latency_ms),
        switches,
        ..Options::default()
    })
}

/// The addresses of the services, named as in `urls:` of `bridge.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Urls {
    /// The queue: the one with reasons, where there is one.
    pub queue: String,
    /// The details.
    pub details: String,
    /// The purge.
    pub purge: String,
    /// Force-enqueue.
    pub force_enqueue: String,
}

/// What is needed to sync against a simulator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Introduction {
    /// The address below which the services are.
    pub base: String,
    /// The vendor's user name.
    pub username: String,
    /// The vendor's password.
    pub password: String,
    /// Whether the queue says why a customer is in it.
    pub reasons: bool,
    /// The services one by one.
    pub urls: Urls,
    /// How many customers the site began with.
    pub people: u32,
    /// What they follow from.
    pub seed: u64,
    /// How many rows the queue began with.
    pub queued: usize,
}

impl Introduction {
    /// Of this simulator.
    pub fn of(simulator: &AssociationAnywhereSimulator) -> Self {
        let options = simulator.options();
        let reasons = options.queue != QueueServices::Plain;
        Self {
            base: simulator.base(),
            username: options.username,
            password: options.password,
            reasons,
            urls: Urls {
                queue: simulator.url(if reasons {
                    Operation::QueueWithReasons
                } else {
                    Operation::Queue
                }),
                details: simulator.url(Operation::Details),
                purge: simulator.url(Operation::Purge),
                force_enqueue: simulator.url(Operation::ForceEnqueue),
            },
            people: options.people,
            seed: options.seed,
            queued: simulator.queue_len(),
        }
    }

    /// For people: the facts, and a `bridge.yaml` that is ready to use.
    pub fn text(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        format!(
            "base       {base}
user name  {username}
password   {password}
people     {people} (seed {seed}, {queued} rows in the queue)

export AA_VENDOR={username_quoted} AA_PASSWORD={password_quoted}

# bridge.yaml
state: state
bridges:
  members:
    remote:
      kind: association-anywhere
      base: {base}
      username: ${{AA_VENDOR}}
      password: ${{AA_PASSWORD}}
      reasons: {reasons}
    database: sqlite:customers.db
    mapping: mappings/association-anywhere.yaml

Stop it with Ctrl-C.
",
            base = self.base,
            username = self.username,
            password = self.password,
            people = self.people,
            seed = self.seed,
            queued = self.queued,
            reasons = self.reasons,
            username_quoted = quoted(&self.username),
            password_quoted = quoted(&self.password),
        )
    }
}

/// Runs a simulator until SIGINT or SIGTERM, after `introduce` has told the caller's reader about it.
///
/// Errors: `E-SIMULATE-LISTEN`, `E-SIMULATE-FAULT`, `E-SIMULATE-SIGNAL` where signals can't be waited for, and what
/// `introduce` gives.
pub async fn serve(
    args: ServeArgs,
    introduce: impl FnOnce(&Introduction) -> Result<()>,
) -> Result<()> {
    let options = options(&args)?;
    let signals = Signals::listen()?;
    let simulator = AssociationAnywhereSimulator::start(options)?;
    introduce(&Introduction::of(&simulator))?;
    signals.wait().await?;
    simulator.shutdown();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn args(words: &[&str]) -> ServeArgs {
        Cli::parse_from(["simulate"].iter().chain(words)).args
    }

    #[test]
    fn arguments_become_options() {
        let words = [
            "--people",
            "7",
            "--queue",
            "plain",
            "--queued",
            "none",
            "--fault",
            "html,rows=coalesce",
            "--quirk",
            "bom",
        ];
        let options = options(&args(&words)).unwrap();
        assert_eq!((options.people, options.queued), (7, false));
        assert_eq!(options.queue, QueueServices::Plain);
        assert_eq!(options.switches.rules.len(), 1);
        assert!(options.switches.quirks.bom);
        let error = super::options(&args(&["--fault", "nonsense"])).unwrap_err();
        assert_eq!(error.code(), "E-SIMULATE-FAULT");
    }

    #[test]
    fn the_introduction_holds_what_a_bridge_needs() {
        let options = Options {
            people: 3,
            ..Options::default()
        };
        let simulator = AssociationAnywhereSimulator::start(options).unwrap();
        let facts = Introduction::of(&simulator);
        assert_eq!(facts.queued, 3);
        assert!(
            facts
                .urls
                .queue
                .ends_with("/aademo/CENCUSTINTEGRATESYNCWEBSVCLIB.GET_QUEUE_CUSTS_W_REASONS_XML")
        );
        let text = facts.text();
        assert!(text.contains(&format!("      base: {}\n", simulator.base())));
        assert!(text.contains("AA_PASSWORD='s3cret<&>'"));
    }
}
