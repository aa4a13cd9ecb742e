//! `contactbridge init`: a starter bridge.yaml and mapping. It never overwrites a file.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Kind;
use super::exit::Exit;
use super::output::Output;
use crate::config::{find, process_environment, starter, starter_variables};
use crate::model::{Error, Result};

#[derive(Serialize)]
struct Written {
    written: Vec<PathBuf>,
    variables: &'static [&'static str],
}

/// Writes the starter of a kind where bridge.yaml is looked for, and its other files beside it.
pub fn run(kind: Kind, config: Option<&Path>, output: Output) -> Result<Exit> {
    let bridge = find(config, &process_environment).path;
    let files: Vec<(PathBuf, &str)> = starter(kind.name())?
        .into_iter()
        .enumerate()
        .map(|(at, file)| match at {
            0 => (bridge.clone(), file.text),
            _ => (bridge.with_file_name("").join(file.path), file.text),
        })
        .collect();
    // All or nothing: half a starter would look like a whole one.
    if let Some((there, _)) = files
        .iter()
        .find(|(path, _)| path.symlink_metadata().is_ok())
    {
        return Err(exists(there));
    }
    for (path, text) in &files {
        write_new(path, text)?;
    }
    let written = Written {
        written: files.into_iter().map(|(path, _)| path).collect(),
        variables: starter_variables(kind.name()),
    };
    output.report(&written, |written| {
        let names: Vec<_> = written.written.iter().map(|path| path.display().to_string()).collect();
        format!(
            "Wrote {}.\nNext: fill in both files, set {} in the environment, then `contactbridge check`.",
            names.join(" and "),
            written.variables.join(" and ")
        )
    })?;
    Ok(Exit::Clean)
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        IoKind::AlreadyExists => exists(path),
        _ => Error::needs_person("E-WRITE", format!("{} can't be written", path.display()))
            .caused_by(error),
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn exists(path: &Path) -> Error {
    Error::config(
        "E-EXISTS",
        format!(
            "{} exists already and is not overwritten. Go to another directory, or name another file with --config",
            path.display()
        ),
    )
}
