//! The commands: one file each, from parsed arguments to an exit code.
//!
//! Only here do arguments, stdout, stderr, signals and the process itself exist. Nothing here decides what happens to a
//! record.

mod args;
mod bridge;
mod check;
mod completions;
mod data_sync;
mod demo;
mod enqueue;
mod exit;
mod held;
mod init;
mod journal;
mod kept;
mod links;
mod logging;
mod output;
mod plan;
mod progress;
mod project;
mod quarantine;
mod reception;
mod reseed;
mod review;
mod run;
mod schema;
mod send_sample;
mod simulate;
mod site;
mod state_move;
mod status;
mod sync;
mod through;
mod version;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, StateAction};
pub use exit::Exit;
use output::Output;
pub use world::{CRASH_VARIABLE, RealWorld};

use crate::model::{Error, Result};

/// The whole program: reads the arguments, does what they say, and answers with the exit code.
pub fn main() -> ExitCode {
    #[cfg(unix)]
    // The state and what lies beside it is for its owner alone, whatever the caller's mask says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    hush_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            let exit = if answer.use_stderr() {
                Exit::Config
            } else {
                Exit::Clean
            };
            // Help for a reader that went away is no failure.
            let _ = answer.print();
            return ExitCode::from(exit.code());
        }
    };
    logging::start(&cli.global, matches!(cli.command, Command::Run));
    let exit = catch_unwind(AssertUnwindSafe(|| start(cli))).unwrap_or(Exit::Unexpected);
    ExitCode::from(exit.code())
}

/// A panic says where it happened, and nothing else: its message could hold a value of a record.
fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || "an unknown place".to_owned(),
            |at| format!("{}:{}", at.file(), at.line()),
        );
        tracing::error!(
            code = "E-PANIC",
            "a broken invariant at {place}; please report it"
        );
    }));
}

/// Errors of the library carry the kind that decides the exit code; whatever else reaches this edge is unforeseen (1).
fn start(cli: Cli) -> Exit {
    attempt(cli).unwrap_or_else(|error| {
        let error = error.downcast::<Error>().unwrap_or_else(|other| {
            Error::unexpected("E-UNEXPECTED", "Something failed that nobody foresaw")
                .caused_by(other)
        });
        logging::complain(&error);
        Exit::of_kind(error.kind())
    })
}

fn attempt(cli: Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| {
            Error::needs_person("E-RUNTIME", "The system gives no threads to work with")
                .caused_by(error)
        })?;
    let outcome = runtime.block_on(dispatch(cli));
    // A blocked thread (a database in the middle of a call) must not hold the process back.
    runtime.shutdown_background();
    Ok(outcome?)
}

async fn dispatch(cli: Cli) -> Result<Exit> {
    let global = cli.global;
    let output = Output::new(global.format);
    let config = global.config.as_deref();
    match cli.command {
        Command::Completions { shell } => completions::run(shell, output),
        Command::Version => version::run(output),
        Command::Run => run::run(&global).await,
        Command::Enqueue(args) => enqueue::run(&global, &args, output).await,
        Command::SendSample { bridge } => send_sample::run(config, &bridge, output).await,
        Command::Init { kind } => init::run(kind, config, output),
        Command::Schema { file, sql } => schema::run(file, sql, output),
        Command::Plan { run, exit_code } => plan::run(&global, &run, exit_code, output).await,
        Command::Sync { run } => sync::run(&global, &run, output).await,
        Command::Reseed(args) => reseed::run(&global, &args, output).await,
        Command::Review { action } => review::run(config, action, output).await,
        Command::Quarantine { action } => quarantine::run(config, action, output).await,
        Command::Journal { action } => journal::run(config, action, output).await,
        Command::State {
            action: StateAction::Move { bridge, to },
        } => state_move::run(config, &bridge, &to, global.shows_progress(), output).await,
        Command::Links { action } => links::run(config, action, output).await,
        Command::Check { offline } => check::run(config, offline, output).await,
        Command::Demo { kind, keep } => demo::run(&global, kind, keep, output).await,
        Command::Status => status::run(config, output),
        Command::Simulate { kind } => simulate::run(kind, output).await,
    }
}
