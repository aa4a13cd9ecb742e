//! `contactbridge completions SHELL`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::args::Cli;
use super::exit::Exit;
use super::output::Output;
use crate::model::Result;

/// Prints the completion script of a shell.
pub fn run(shell: Shell, output: Output) -> Result<Exit> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "contactbridge", &mut script);
    output.raw(&script)?;
    Ok(Exit::Clean)
}
