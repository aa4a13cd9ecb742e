//! Logs on stderr: what happens, never what stands in a record.
//!
//! Libraries are capped at `warn` in code, and no environment variable lifts that: some of them would print whole
//! requests (with credentials and people's data) at lower levels.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::{Format, Global};
use super::output::clean_lines;
use super::progress;
use crate::model::{Error, ErrorKind};
use crate::service;

/// Libraries that would log wire texts, headers or keys at lower levels.
const CAPPED: [&str; 7] = [
    "yaserde",
    "hyper",
    "hyper_util",
    "reqwest",
    "h2",
    "rustls",
    "sled",
];

/// Where it is said that another run holds a bridge: no fault, so that `-q` leaves it out (hazard H-67).
const BUSY: &str = "contactbridge::busy";

/// Starts logging as the options say; a command that `stays` says what it does, unless it is to be quiet. To be called once.
pub fn start(options: &Global, stays: bool) {
    let level = match options.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let registry = tracing_subscriber::registry().with(targets(level, options.quiet, stays));
    // A second start (tests in one process) keeps the first.
    let _ = match options.log_format {
        Format::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .event_format(Lines)
                    .with_writer(|| Stderr),
            )
            .try_init(),
        Format::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(|| Stderr),
            )
            .try_init(),
    };
}

fn targets(level: LevelFilter, quiet: bool, stays: bool) -> Targets {
    let busy = if quiet { LevelFilter::OFF } else { level };
    let service = if stays && !quiet {
        level.max(LevelFilter::INFO)
    } else {
        level
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(CAPPED.map(|name| (name, LevelFilter::WARN)))
        .with_target("contactbridge", level)
        .with_target(BUSY, busy)
        .with_target(service::LOG, service)
}

/// Says on stderr that a command failed.
pub fn complain(error: &Error) {
    if error.kind() == ErrorKind::Busy {
        tracing::warn!(target: BUSY, code = error.code(), "{}", with_causes(error));
        return;
    }
    tracing::error!(code = error.code(), "{}", with_causes(error));
}

/// Says on stderr what did not work, where the command goes on all the same.
pub fn warn_of(error: &Error) {
    tracing::warn!(code = error.code(), "{}", with_causes(error));
}

/// The message of an error with its causes, on one line.
pub fn with_causes(error: &Error) -> String {
    let mut text = error.message().to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// One line for people: `error: E-CODE message field=value`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let mut line = format!("{level}: ");
        if !parts.code.is_empty() {
            line.push_str(&parts.code);
            line.push(' ');
        }
        line.push_str(&parts.message);
        line.push_str(&parts.fields);
        // A message of several lines (all problems of a file) stays so; each line says how bad it is.
        let clean = clean_lines(&line);
        for line in clean.lines().enumerate() {
            match line {
                (0, first) => writeln!(writer, "{first}")?,
                (_, more) => writeln!(writer, "{level}: {more}")?,
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parts {
    code: String,
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "code" => write!(self.code, "{value:?}"),
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Stderr, in whole lines that do not tear a progress line. A closed stderr is nobody's problem.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::aside(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_capped_however_verbose() {
        let filter = targets(LevelFilter::TRACE, false, true);
        for target in CAPPED {
            assert!(!filter.would_enable(target, &Level::INFO), "{target}");
            assert!(
                !filter.would_enable(&format!("{target}::de"), &Level::DEBUG),
                "{target}"
            );
            assert!(filter.would_enable(target, &Level::WARN), "{target}");
        }
        assert!(!filter.would_enable("rusqlite", &Level::INFO));
        assert!(filter.would_enable("contactbridge::sync", &Level::DEBUG));
    }

    #[test]
    fn a_command_that_stays_says_what_it_does_unless_it_is_to_be_quiet() {
        let keeper = "contactbridge::service::keeper";
        for (quiet, stays, says) in [
            (false, true, true),
            (true, true, false),
            (false, false, false),
        ] {
            let filter = targets(LevelFilter::WARN, quiet, stays);
            assert_eq!(filter.would_enable(keeper, &Level::INFO), says);
            assert!(filter.would_enable(keeper, &Level::WARN));
            assert!(!filter.would_enable("contactbridge::sync", &Level::INFO));
        }
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let error = Error::config("E-X", "Outer").caused_by(io::Error::other("inner"));
        assert_eq!(with_causes(&error), "Outer: inner");
    }
}
