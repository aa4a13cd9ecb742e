//! `contactbridge simulate data-sync`: the third-party application as a command, and the retail system too when it is told
//! where to post.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Error, Result};
use crate::simulator::signals::Signals;
use crate::simulator::switch_value::duration_from;

use super::control;
use super::retail::{self, RetailSystem, Target};
use super::seeded::Profile;
use super::switch_text::{RETAIL_NAMES, Switches, THIRD_NAMES};
use super::third::{self, ThirdParty};

/// Enough for several batches, few enough to look at.
const DEFAULT_PEOPLE: u32 = 250;
/// Customers are kept in memory, a few kilobytes each.
const PEOPLE_MAX: i64 = 100_000;

/// Arguments of `simulate data-sync`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen: a loopback address; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8483")]
    pub listen: SocketAddr,
    /// A certificate chain in PEM: speak TLS, to the control paths too
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Where messages are taken
    #[arg(long, value_name = "PATH", default_value = "/datasync", value_parser = path)]
    pub path: String,
    /// Where tokens are given out
    #[arg(long, value_name = "PATH", default_value = "/oauth2/v1/token", value_parser = path)]
    pub token_path: String,
    /// The client id that gets a token
    #[arg(long, value_name = "NAME", default_value = "bridge-demo")]
    pub user: String,
    /// Its secret, made up for this simulator
    #[arg(long, value_name = "TEXT", default_value = "s3cret:<&>%41")]
    pub password: String,
    /// How long a token is good, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub token_lifetime: u32,
    /// What befalls requests, or what the application is like, such as status=500/#2; may be repeated
    #[arg(long = "fault", visible_alias = "quirk", value_name = "FAULT", long_help = format!("What befalls requests, or what the application is like; may be repeated.\n\n\
        NAME[@OPERATION][=[PARAMETER/]WHEN], WHEN being a share (0.05) or a request's number (#3, #2-4); left out: always.\n\
        OPERATION is token, message, CUSTOMERCRE, CUSTOMERMOD, CUSTOMERDEL, POSTRNCRE, or id:ID; left out: message.\n\
        Examples: status=500/#2, lose-answer@id:90017=#1, status@token=503, token-uses=10.\n\nThere are {THIRD_NAMES}."))]
    pub faults: Vec<String>,
    /// Be the retail system too, and post to this address when told to
    #[arg(long, value_name = "URL", requires = "token_url")]
    pub post_to: Option<String>,
    /// Where the retail system gets its tokens
    #[arg(long, value_name = "URL", requires = "post_to")]
    pub token_url: Option<String>,
    /// Its client id there
    #[arg(long, value_name = "NAME", default_value = "orce")]
    pub client_id: String,
    /// The environment variable that holds its secret there
    #[arg(long, value_name = "NAME", default_value = "ORCE_CLIENT_SECRET")]
    pub client_secret_env: String,
    /// A certificate authority that it trusts too
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Run its job at once and then every so often, such as 30s; left out: when told to
    #[arg(long, value_name = "DURATION", requires = "post_to", value_parser = every)]
    pub every: Option<Duration>,
    /// How many customers it has
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PEOPLE, value_parser = clap::value_parser!(u32).range(0..=PEOPLE_MAX))]
    pub people: u32,
    /// What they, and the chance in faults, follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// What kind of customers: awkward (on purpose), or plain
    #[arg(long, value_name = "PROFILE", default_value = "awkward", value_parser = profile)]
    pub profile: Profile,
    /// Who is in its queue at the beginning: all or none
    #[arg(long, value_name = "WHO", default_value = "all", action = clap::ArgAction::Set, value_parser = queued)]
    pub queued: bool,
    /// What befalls its messages, or what it is like, such as twice=#2 or deletion=quoted; may be repeated
    #[arg(long = "post-fault", visible_alias = "post-quirk", value_name = "FAULT", long_help = format!("What befalls the retail system's messages, or what it is like; may be repeated. Written as --fault.\n\n\
        Examples: lose-answer=#1, twice@POSTRNCRE=0.1, deletion=quoted, feed=transactions-first.\n\nThere are {RETAIL_NAMES}."))]
    pub post_faults: Vec<String>,
}

fn path(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !text.starts_with('/') || !text.chars().all(fits) {
        Err("expected a path of letters, digits, - _ . and /, such as /datasync".to_owned())
    } else if text == "/control" || text.starts_with("/control/") {
        Err("/control is where the simulator itself is told what to do".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn every(text: &str) -> std::result::Result<Duration, String> {
    match duration_from(text, Duration::ZERO) {
        Ok(Duration::ZERO) => Err("expected a duration such as 30s".to_owned()),
        other => other,
    }
}

fn profile(text: &str) -> std::result::Result<Profile, String> {
    match text {
        "awkward" => Ok(Profile::Awkward),
        "plain" => Ok(Profile::Plain),
        _ => Err("expected awkward or plain".to_owned()),
    }
}

fn queued(text: &str) -> std::result::Result<bool, String> {
    match text {
        "all" => Ok(true),
        "none" => Ok(false),
        _ => Err("expected all or none".to_owned()),
    }
}

/// The options that the arguments stand for; `variable` reads the environment.
///
/// Errors: `E-SIMULATE-FAULT`, `E-SIMULATE-TARGET` for a secret that is not there.
fn options(
    args: &ServeArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(third::Options, Option<retail::Options>)> {
    let mut switches = Switches::default();
    let wrong = |flag: &'static str| {
        move |sentence: String| Error::config("E-SIMULATE-FAULT", format!("{flag} {sentence}"))
    };
    for part in args.faults.iter().flat_map(|text| text.split(',')) {
        switches.set_third(part.trim()).map_err(wrong("--fault"))?;
    }
    for part in args.post_faults.iter().flat_map(|text| text.split(',')) {
        switches
            .set_retail(part.trim())
            .map_err(wrong("--post-fault"))?;
    }
    let third = third::Options {
        listen: args.listen,
        tls: args.tls_certificate.clone().zip(args.tls_key.clone()),
        path: args.path.clone(),
        token_path: args.token_path.clone(),
        client_id: args.user.clone(),
        client_secret: args.password.clone(),
        lifetime: Duration::from_secs(args.token_lifetime.into()),
        seed: args.seed,
        habits: switches.third_habits,
        rules: switches.third_rules,
        ..third::Options::default()
    };
    let (Some(api_url), Some(token_url)) = (args.post_to.clone(), args.token_url.clone()) else {
        return Ok((third, None));
    };
    let client_secret = variable(&args.client_secret_env).ok_or_else(|| {
        let name = &args.client_secret_env;
        Error::config(
            "E-SIMULATE-TARGET",
            format!("The environment has no variable {name} with the retail system's secret; set it, or name another with --client-secret-env"),
        )
    })?;
    let target = Target {
        api_url,
        token_url,
        client_id: args.client_id.clone(),
        client_secret,
        ca: args.ca.clone(),
    };
    let retail = retail::Options {
        target: Some(target),
        people: args.people.into(),
        queued: args.queued,
        seed: args.seed,
        profile: args.profile,
        habits: switches.retail_habits,
        rules: switches.retail_rules,
        ..retail::Options::default()
    };
    Ok((third, Some(retail)))
}

/// What the retail system posts, and whereto.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Posting {
    /// Where messages go.
    pub post_to: String,
    /// Where its tokens come from.
    pub token_url: String,
    /// Its client id there.
    pub client_id: String,
    /// How many customers it began with.
    pub people: u32,
    /// What they follow from.
    pub seed: u64,
    /// How many messages wait.
    pub queued: usize,
}

/// What is needed to sync against a simulator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Introduction {
    /// Where messages are taken.
    pub api_url: String,
    /// Where tokens are given out.
    pub token_url: String,
    /// The client that gets them.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Below this address it is told what to do.
    pub control: String,
    /// The retail system, where there is one.
    pub posting: Option<Posting>,
}

impl Introduction {
    fn of(third: &ThirdParty, retail: Option<(&RetailSystem, &retail::Options)>) -> Self {
        let options = third.options();
        let posting = retail.and_then(|(retail, options)| {
            let target = retail.target()?;
            Some(Posting {
                post_to: target.api_url,
                token_url: target.token_url,
                client_id: target.client_id,
                people: u32::try_from(options.people).unwrap_or(u32::MAX),
                seed: options.seed,
                queued: retail.waiting().len(),
            })
        });
        Self {
            api_url: third.api_url(),
            token_url: third.token_url(),
            control: third.url(&options, "/control/"),
            client_id: options.client_id,
            client_secret: options.client_secret,
            posting,
        }
    }

    /// For people: the facts, and a `bridge.yaml` that is ready to use.
    pub fn text(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut text = format!(
            "messages   {api}
tokens     {token}
client     {id}
secret     {secret}
control    {control} (GET status; POST {names})

export SEND_SECRET={secret_quoted}

# bridge.yaml: what changes in the database is posted here
state: state
bridges:
  partner:
    remote:
      kind: data-sync
      send:
        api_url: {api}
        token_url: {token}
        client_id: {id}
        client_secret: ${{SEND_SECRET}}
    database: sqlite:customers.db
    mapping: {{ customer: mappings/orce-customer.yaml, transaction: mappings/orce-transaction.yaml }}
",
            api = self.api_url,
            token = self.token_url,
            id = self.client_id,
            secret = self.client_secret,
            control = self.control,
            names = control::NAMES.trim_start_matches("status, "),
            secret_quoted = quoted(&self.client_secret),
        );
        if let Some(posting) = &self.posting {
            text.push_str(&posting.text());
        }
        text.push_str("\nStop it with Ctrl-C.\n");
        text
    }
}

impl Posting {
    fn text(&self) -> String {
        let part = |url: &str| {
            let url = reqwest::Url::parse(url).ok();
            let port = url.as_ref().and_then(|url| url.port_or_known_default());
            let path = url.map(|url| url.path().to_owned());
            (port.unwrap_or(8443), path.unwrap_or_default())
        };
        let ((port, path), (_, token_path)) = (part(&self.post_to), part(&self.token_url));
        format!(
            "
# The retail system: {people} people (seed {seed}), {queued} messages wait. It posts to {post_to}
# after POST to /control/job, or every so often with --every. What it posts is taken by:
  incoming:
    remote:
      kind: data-sync
      receive:
        listen: 127.0.0.1:{port}
        path: {path}
        token_path: {token_path}
        clients: {{ {id}: \"${{ORCE_CLIENT_SECRET}}\" }}
    database: sqlite:incoming.db
    mapping: {{ customer: mappings/orce-customer.yaml, transaction: mappings/orce-transaction.yaml }}
",
            people = self.people,
            seed = self.seed,
            queued = self.queued,
            post_to = self.post_to,
            id = self.client_id,
        )
    }
}

/// Runs a simulator until SIGINT or SIGTERM, after `introduce` has told the caller's reader about it.
///
/// Errors: `E-SIMULATE-LISTEN`, `E-SIMULATE-TLS`, `E-SIMULATE-FAULT`, `E-SIMULATE-TARGET`, `E-SIMULATE-SIGNAL` where signals can't be waited
/// for, and what `introduce` gives.
pub async fn serve(
    args: ServeArgs,
    introduce: impl FnOnce(&Introduction) -> Result<()>,
) -> Result<()> {
    let (third, retail) = options(&args, |name| std::env::var(name).ok())?;
    let signals = Signals::listen()?;
    let system = match &retail {
        Some(options) => Some(Arc::new(RetailSystem::start(options.clone())?)),
        None => None,
    };
    let third = ThirdParty::start_with(third, |shared| control::router(shared, system.clone()))?;
    introduce(&Introduction::of(
        &third,
        system.as_deref().zip(retail.as_ref()),
    ))?;
    tokio::select! {
        ended = signals.wait() => ended?,
        () = jobs(system, args.every) => {}
    }
    third.shutdown();
    Ok(())
}

/// Runs the job again and again; never ends.
async fn jobs(system: Option<Arc<RetailSystem>>, every: Option<Duration>) {
    let (Some(system), Some(every)) = (system, every) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = system.run_job().await;
        tracing::info!(
            posts = report.posts.len(),
            tokens = report.tokens,
            success = report.is_success(),
            "the Data Sync job ran"
        );
    }
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

    fn args(words: &str) -> ServeArgs {
        Cli::parse_from(std::iter::once("simulate").chain(words.split_whitespace())).args
    }

    const POST: &str =
        "--post-to http://127.0.0.1:8443/datasync --token-url http://127.0.0.1:8443/oauth2/token";

    #[test]
    fn arguments_become_options() {
        let words = format!(
            "{POST} --people 7 --queued none --fault status=500/#2,token-uses=3 --post-quirk deletion=quoted --every 30s"
        );
        let args = args(&words);
        let secret = |name: &str| (name == "ORCE_CLIENT_SECRET").then(|| "hush".to_owned());
        let (third, retail) = options(&args, secret).unwrap();
        let retail = retail.unwrap();
        assert_eq!((third.rules.len(), third.habits.token_uses), (1, Some(3)));
        assert_eq!((retail.people, retail.queued), (7, false));
        assert_eq!(retail.target.unwrap().client_secret, "hush");
        assert_eq!(args.every, Some(Duration::from_secs(30)));
        assert_eq!(
            options(&args, |_| None).unwrap_err().code(),
            "E-SIMULATE-TARGET"
        );
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for words in [
            "--post-to http://127.0.0.1:1/",
            "--every 30s",
            "--path datasync",
            "--path /control/x",
            "--every 0s",
        ] {
            let words = std::iter::once("simulate").chain(words.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err());
        }
        for words in ["--fault nonsense", "--post-fault nonsense"] {
            let error = options(&args(words), |_| None).err().unwrap();
            assert_eq!(error.code(), "E-SIMULATE-FAULT");
        }
    }

    #[test]
    fn the_introduction_holds_what_a_bridge_needs() {
        let (third, retail) =
            options(&args(&format!("{POST} --people 3")), |_| Some("x".into())).unwrap();
        let (third, retail) = (
            third::Options {
                listen: "127.0.0.1:0".parse().unwrap(),
                ..third
            },
            retail.unwrap(),
        );
        let third = ThirdParty::start(third).unwrap();
        let system = RetailSystem::start(retail.clone()).unwrap();
        let facts = Introduction::of(&third, Some((&system, &retail)));
        assert_eq!(facts.posting.as_ref().unwrap().queued, 3);
        let text = facts.text();
        assert!(text.contains(&format!("        api_url: {}\n", third.api_url())));
        assert!(text.contains("SEND_SECRET='s3cret:<&>%41'"));
        assert!(text.contains("        listen: 127.0.0.1:8443\n        path: /datasync\n        token_path: /oauth2/token\n"));
        assert!(!text.contains("hush"));
    }
}
