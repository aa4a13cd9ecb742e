//! What may be typed: the commands and options of the user contract, section 3, and nothing that they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::simulator::{association_anywhere, contactlist, data_sync};
use crate::sync::Guard;

/// Keeps a customer database and a hosted CRM the same, person by person, both ways.
#[derive(Debug, Parser)]
#[command(
    name = "contactbridge",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 clean, 1 unexpected, 2 usage or configuration, 3 records wait for a person, 4 stopped by a guard,\n5 a side can't be reached, 6 another run holds the bridge, 7 state or machine needs a person, 130/143 interrupted."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The bridge.yaml to use [default: $CONTACTBRIDGE_CONFIG, else ./bridge.yaml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are printed on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Say what happens, on stderr (twice: in detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Be silent on stderr unless something is wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How logs are printed on stderr
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
}

impl Global {
    /// Whether a progress line is wanted: lines of a log would tear it.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && self.verbose == 0 && self.log_format == Format::Text
    }
}

/// The form of results or logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The kinds of remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// ContactList over SOAP
    Contactlist,
    /// ACGI Association Anywhere
    AssociationAnywhere,
    /// Oracle Retail Customer Engagement, "Data Sync"
    DataSync,
}

impl Kind {
    /// The name in bridge.yaml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contactlist => "contactlist",
            Self::AssociationAnywhere => "association-anywhere",
            Self::DataSync => "data-sync",
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a starter bridge.yaml and mapping; never overwrites a file
    Init {
        /// The kind of CRM
        #[arg(long, value_enum, default_value_t = Kind::Contactlist)]
        kind: Kind,
    },
    /// Check files, mapping, credentials, endpoint, tables and clock; writes nothing
    Check {
        /// Look at the files and the database only
        #[arg(long)]
        offline: bool,
    },
    /// Show what sync would do, record by record; writes nothing on any side
    Plan {
        /// What to run
        #[command(flatten)]
        run: RunArgs,
        /// Exit with 10 when there is something to do
        #[arg(long)]
        exit_code: bool,
    },
    /// One pass of each bridge; what cron runs
    Sync {
        /// What to run
        #[command(flatten)]
        run: RunArgs,
    },
    /// Stay: keep the schedules, answer for the bridges, serve dashboard and metrics
    Run,
    /// Per bridge: last good run, watermark, links, what waits, who holds it
    Status,
    /// Set the watermark back, or rebuild a lost state
    Reseed(ReseedArgs),
    /// Conflicts that wait for a person
    Review {
        /// What to do with them
        #[command(subcommand)]
        action: ReviewAction,
    },
    /// Records that could not be applied
    Quarantine {
        /// What to do with them
        #[command(subcommand)]
        action: QuarantineAction,
    },
    /// The triggers of `changes: journal`
    Journal {
        /// Install or remove
        #[command(subcommand)]
        action: JournalAction,
    },
    /// Where a bridge keeps its state
    State {
        /// What to do with it
        #[command(subcommand)]
        action: StateAction,
    },
    /// Which row is which contact
    Links {
        /// What to do with them
        #[command(subcommand)]
        action: LinksAction,
    },
    /// Force customers into the queue (Association Anywhere)
    Enqueue(EnqueueArgs),
    /// Post the sample message of a data-sync bridge that sends, and say what came back
    SendSample {
        /// Which bridge
        bridge: String,
    },
    /// A CRM of that kind on loopback, with seeded people and switchable faults
    Simulate {
        /// Which kind
        #[command(subcommand)]
        kind: SimulateKind,
    },
    /// The whole thing in a temporary directory: simulator, SQLite, a two-way sync, what happened
    Demo {
        /// The kind of CRM
        #[arg(long, value_enum, default_value_t = Kind::Contactlist)]
        kind: Kind,
        /// Leave the directory behind, to look at
        #[arg(long)]
        keep: bool,
    },
    /// Print the JSON Schema of the files, or the SQL of our bookkeeping tables
    Schema {
        /// Only the schema of this file
        #[arg(value_enum, conflicts_with = "sql")]
        file: Option<SchemaFile>,
        /// The SQL of the bookkeeping tables, for an administrator to make
        #[arg(long, value_enum, value_name = "DATABASE", num_args = 0..=1, require_equals = true, default_missing_value = "sqlite")]
        sql: Option<SqlDialect>,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SqlDialect {
    /// SQLite
    Sqlite,
    /// PostgreSQL
    Postgres,
    /// MySQL and MariaDB
    Mysql,
    /// A state in PostgreSQL
    PostgresState,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFile {
    /// bridge.yaml
    Bridge,
    /// mappings/*.yaml
    Mapping,
}

/// What `sync` and `plan` take.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The bridges [default: all that are enabled]
    #[arg(value_name = "BRIDGE")]
    pub bridges: Vec<String>,
    /// Let a run pass the guard of this name, this once (may be repeated)
    #[arg(long, value_name = "GUARD", value_parser = guard)]
    pub accept: Vec<Guard>,
    /// Read from this date, this once (in the bridge's time zone, unless it has an offset)
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
}

fn guard(name: &str) -> Result<Guard, String> {
    Guard::ALL
        .into_iter()
        .find(|guard| guard.name() == name)
        .ok_or_else(|| {
            let names: Vec<_> = Guard::ALL.into_iter().map(Guard::name).collect();
            format!("the guards are {}", names.join(", "))
        })
}

/// What `reseed` takes.
#[derive(Clone, Debug, Args)]
pub struct ReseedArgs {
    /// Which bridge
    pub bridge: String,
    /// Set the watermark back to this date [default: the beginning]
    #[arg(long, value_name = "DATE", conflicts_with = "relink")]
    pub to: Option<String>,
    /// Rebuild a lost or damaged state from both sides; creates nothing
    #[arg(long)]
    pub relink: bool,
}

/// What `enqueue` takes.
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("who").required(true).args(["all", "ids"])))]
pub struct EnqueueArgs {
    /// Which bridge
    pub bridge: String,
    /// Every customer that the service has; asks first on a terminal
    #[arg(long)]
    pub all: bool,
    /// Customer ids, one request each
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
}

/// What `review` does.
#[derive(Debug, Subcommand)]
pub enum ReviewAction {
    /// What waits for a person
    List {
        /// Only these bridges
        #[arg(value_name = "BRIDGE")]
        bridges: Vec<String>,
        /// What was settled in the last 30 days instead
        #[arg(long)]
        settled: bool,
    },
    /// One of them, with its values
    Show {
        /// An id from `review list`
        id: String,
    },
    /// Settle one
    #[command(group(clap::ArgGroup::new("how").required(true).args(["take", "link", "separate"])))]
    Resolve {
        /// An id from `review list`
        id: String,
        /// Take this side's values
        #[arg(long, value_enum)]
        take: Option<Side>,
        /// It is the contact with this id
        #[arg(long, value_name = "REMOTE_ID")]
        link: Option<String>,
        /// They are different people
        #[arg(long)]
        separate: bool,
    },
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// The CRM
    Remote,
    /// The database
    Local,
}

/// What `quarantine` does.
#[derive(Debug, Subcommand)]
pub enum QuarantineAction {
    /// What could not be applied
    List {
        /// Only these bridges
        #[arg(value_name = "BRIDGE")]
        bridges: Vec<String>,
    },
    /// One of them, with its values
    Show {
        /// An id from `quarantine list`
        id: String,
    },
    /// Try again in the next run
    Retry {
        /// Ids from `quarantine list`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Leave the record alone until it changes
    Discard {
        /// Ids from `quarantine list`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// What `journal` does.
#[derive(Debug, Subcommand)]
pub enum JournalAction {
    /// Install the triggers
    Install {
        /// Which bridge
        bridge: String,
    },
    /// Take the triggers and the journal away
    Remove {
        /// Which bridge
        bridge: String,
    },
}

/// What `state` does.
#[derive(Debug, Subcommand)]
pub enum StateAction {
    /// Move a bridge's state to another store, checked
    Move {
        /// Which bridge
        bridge: String,
        /// The new store, as `state:` of bridge.yaml has it
        #[arg(long, value_name = "STATE")]
        to: String,
    },
}

/// What `links` does.
#[derive(Debug, Subcommand)]
pub enum LinksAction {
    /// Show the links
    List {
        /// Only these bridges
        #[arg(value_name = "BRIDGE")]
        bridges: Vec<String>,
    },
    /// Print the links as CSV: bridge, local key, remote id, External ID
    Export {
        /// Only these bridges
        #[arg(value_name = "BRIDGE")]
        bridges: Vec<String>,
    },
    /// Take over what `links export` printed: all of it, or nothing
    Import {
        /// The CSV file; - is stdin
        file: PathBuf,
    },
}

/// The CRM to simulate.
#[derive(Debug, Subcommand)]
pub enum SimulateKind {
    /// ContactList over SOAP 1.1 and 1.2
    Contactlist(contactlist::ServeArgs),
    /// ACGI Association Anywhere
    AssociationAnywhere(association_anywhere::ServeArgs),
    /// Oracle Retail Customer Engagement's "Data Sync": an application to post to, and the retail system that posts
    DataSync(Box<data_sync::ServeArgs>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_line_parses() {
        for line in [
            "init",
            "init --kind data-sync",
            "check --offline",
            "plan members --exit-code",
            "sync",
            "sync members --accept deletes --accept changes --since 2026-01-01",
            "sync -c x.yaml --format json -q",
            "-v --log-format json sync",
            "run",
            "status --format json",
            "reseed members --to 2026-01-01",
            "reseed members --relink",
            "review list --settled",
            "review show 1",
            "review resolve 1 --take remote",
            "review resolve 1 --link 77",
            "review resolve 1 --separate",
            "quarantine list",
            "quarantine retry 1",
            "quarantine discard 1 2",
            "journal install members",
            "journal remove members",
            "state move members --to sqlite:state",
            "links list",
            "links export",
            "links import file.csv",
            "enqueue members --all",
            "enqueue members 0000731 5518_SC",
            "send-sample members",
            "simulate contactlist --listen 127.0.0.1:0 --fault lose-answer=0.05",
            "simulate association-anywhere --listen 127.0.0.1:0 --quirk rows=coalesce",
            "simulate data-sync --listen 127.0.0.1:0 --fault status=500/#2",
            "simulate data-sync --post-to http://127.0.0.1:1/x --token-url http://127.0.0.1:1/t --every 30s",
            "demo --keep",
            "schema --sql",
            "completions bash",
            "version",
        ] {
            let words = std::iter::once("contactbridge").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            "sync --accept everything",
            "sync -q -v",
            "reseed members --relink --to 2026-01-01",
            "review resolve 1",
            "enqueue members",
            "enqueue members --all 1",
            "review resolve 1 --take remote --separate",
            "sync --format xml",
            "",
        ] {
            let words = std::iter::once("contactbridge").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
