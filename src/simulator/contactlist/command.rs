//! `contactbridge simulate contactlist`: the simulator as a command, with everything that is needed to sync against it.

use std::net::SocketAddr;

use chrono_tz::Tz;

use crate::model::{Error, Result};
use crate::simulator::signals::Signals;

use super::handle::ContactListSimulator;
use super::options::{Options, SoapVersions};
use super::seeded::Profile;
use super::switch_text::NAMES;
use super::switches::Switches;
use super::write::Soap;

/// Enough people for three pages, few enough to look at.
const DEFAULT_PEOPLE: u32 = 250;
/// More would not fit the ids of the wire, nor the memory of a common machine.
const PEOPLE_MAX: i64 = 5_000_000;

/// Arguments of `simulate contactlist`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen: a loopback address; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8481")]
    pub listen: SocketAddr,
    /// How many people the site has
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PEOPLE, value_parser = clap::value_parser!(u32).range(0..=PEOPLE_MAX))]
    pub people: u32,
    /// What the people and the chance in faults follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The site's time zone
    #[arg(long, value_name = "ZONE", default_value = "Australia/Sydney")]
    pub zone: Tz,
    /// A fault or quirk, such as lose-answer=0.05, delay@ContactList_Retrieve=200ms/0.1 or order=shuffled; may be repeated
    #[arg(long = "fault", value_name = "FAULT", long_help = format!("A fault or quirk; may be repeated.\n\n\
        NAME[@OPERATION][=[PARAMETER/]WHEN], WHEN being a share (0.05) or a request's number (#3, #2-4); left out: always.\n\
        Examples: lose-answer=0.05, delay@ContactList_Retrieve=200ms/0.1, unavailable=120/#2, order=shuffled.\n\nThere are {NAMES}."))]
    pub faults: Vec<String>,
    /// Which SOAP versions are answered: both, 1.1 or 1.2
    #[arg(long, value_name = "VERSION", default_value = "both", value_parser = soap_versions)]
    pub soap: SoapVersions,
    /// What kind of people: awkward (on purpose), or plain (complete ones of 2.5 KB, for benchmarks)
    #[arg(long, value_name = "PROFILE", default_value = "awkward", value_parser = profile)]
    pub profile: Profile,
    /// How long every request takes at least, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Contacts a page
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub page_size: u32,
}

fn soap_versions(text: &str) -> std::result::Result<SoapVersions, String> {
    match text {
        "both" => Ok(SoapVersions::Both),
        "1.1" => Ok(SoapVersions::Only(Soap::V11)),
        "1.2" => Ok(SoapVersions::Only(Soap::V12)),
        _ => Err("expected both, 1.1 or 1.2".to_owned()),
    }
}

fn profile(text: &str) -> std::result::Result<Profile, String> {
    match text {
        "awkward" => Ok(Profile::Awkward),
        "plain" => Ok(Profile::Plain),
        _ => Err("expected awkward or plain".to_owned()),
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
        zone: args.zone,
        soap: args.soap,
        page_size: args.page_size as usize,
        latency: std::time::Duration::from_millis(args.latency_ms),
        switches,
        ..Options::default()
    })
}

/// What is needed to sync against a simulator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Introduction {
    /// The endpoint.
    pub endpoint: String,
    /// The site's number.
    pub site_id: i32,
    /// The admin user.
    pub username: String,
    /// The admin user's password.
    pub password: String,
    /// The site token, which is a password for an empty user name.
    pub site_token: String,
    /// The site's zone.
    pub time_zone: String,
    /// The SOAP version to speak, `1.1` or `1.2`.
    pub soap: &'static str,
    /// How many people the site began with.
    pub people: u32,
    /// What they follow from.
    pub seed: u64,
}

impl Introduction {
    /// Of this simulator.
    pub fn of(simulator: &ContactListSimulator) -> Self {
        let options = simulator.options();
        Self {
            endpoint: simulator.url(),
            site_id: options.site_id,
            username: options.username,
            password: options.password,
            site_token: options.token,
            time_zone: options.zone.to_string(),
            soap: match options.soap {
                SoapVersions::Only(Soap::V11) => "1.1",
                _ => "1.2",
            },
            people: options.people,
            seed: options.seed,
        }
    }

    /// For people: the facts, and a `bridge.yaml` that is ready to use.
    pub fn text(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        format!(
            "endpoint   {endpoint}
site id    {site_id}
user name  {username}
password   {password}
site token {site_token}   (as password, with an empty user name)
time zone  {time_zone}
people     {people} (seed {seed})

export CRM_USERNAME={username_quoted} CRM_PASSWORD={password_quoted}

# bridge.yaml
state: state
bridges:
  members:
    remote:
      kind: contactlist
      endpoint: {endpoint}
      site_id: {site_id}
      username: ${{CRM_USERNAME}}
      password: ${{CRM_PASSWORD}}
      time_zone: {time_zone}
      soap: {soap}
    database: sqlite:customers.db
    mapping: mappings/contactlist.yaml

Stop it with Ctrl-C.
",
            endpoint = self.endpoint,
            site_id = self.site_id,
            username = self.username,
            password = self.password,
            site_token = self.site_token,
            time_zone = self.time_zone,
            people = self.people,
            seed = self.seed,
            soap = self.soap,
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
    let simulator = ContactListSimulator::start(options)?;
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
        let args = args(&[
            "--people",
            "7",
            "--zone",
            "Europe/Berlin",
            "--fault",
            "html,order=id",
            "--soap",
            "1.1",
        ]);
        let options = options(&args).unwrap();
        assert_eq!(options.people, 7);
        assert_eq!(options.zone, chrono_tz::Europe::Berlin);
        assert_eq!(options.switches.rules.len(), 1);
        assert_eq!(options.soap, SoapVersions::Only(Soap::V11));
    }

    #[test]
    fn a_wrong_fault_and_an_open_address_are_refused() {
        let error = options(&args(&["--fault", "nonsense"])).unwrap_err();
        assert_eq!(error.code(), "E-SIMULATE-FAULT");
        let open = options(&args(&["--listen", "0.0.0.0:0"])).unwrap();
        let error = ContactListSimulator::start(open).err().unwrap();
        assert_eq!(error.code(), "E-SIMULATE-LISTEN");
    }

    #[test]
    fn the_introduction_holds_what_a_bridge_needs() {
        let simulator = ContactListSimulator::start(Options::default()).unwrap();
        let text = Introduction::of(&simulator).text();
        assert!(text.contains(&format!("      endpoint: {}\n", simulator.url())));
        assert!(text.contains("CRM_PASSWORD='s3cret<&>'"));
        assert!(text.contains("      time_zone: Australia/Sydney\n"));
    }
}
