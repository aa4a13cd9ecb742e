//! Runs the real binary in a directory of its own and keeps all that it said.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Names another build of the program to be tried, by its whole path.
const PROGRAM_VARIABLE: &str = "CONTACTBRIDGE_TEST_PROGRAM";

/// A way to run the binary: a directory, and an environment that holds nothing of the machine's but `PATH`.
#[derive(Clone)]
pub struct Binary {
    directory: PathBuf,
    variables: Vec<(String, String)>,
}

impl Binary {
    /// Runs in `directory`.
    pub fn at(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_owned(),
            variables: Vec::new(),
        }
    }

    /// With an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, for tests that start it and look at it while it runs.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let built = env!("CARGO_BIN_EXE_contactbridge").into();
        let mut command = Command::new(std::env::var_os(PROGRAM_VARIABLE).unwrap_or(built));
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs it to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        let output = self.command(arguments).output().expect("the binary starts");
        Ran::new(arguments, output)
    }

    /// Runs a line of arguments without spaces in them.
    pub fn line(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a line with this on its stdin.
    pub fn line_fed(&self, line: &str, input: &[u8]) -> Ran {
        let arguments: Vec<_> = line.split_whitespace().collect();
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        // It may refuse before it reads.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        Ran::new(
            &arguments,
            child.wait_with_output().expect("the binary ends"),
        )
    }
}

/// What a run said, and how it ended.
pub struct Ran {
    line: String,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            stdout,
            stderr,
            code,
        } = self;
        write!(
            f,
            "`contactbridge {line}` ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---"
        )
    }
}

impl Ran {
    fn new<A: AsRef<OsStr>>(arguments: &[A], output: Output) -> Self {
        Self {
            line: arguments
                .iter()
                .map(|word| word.as_ref().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
            code: output.status.code(),
        }
    }

    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails unless stderr says this.
    #[track_caller]
    pub fn complains(self, of: &str) -> Self {
        assert!(self.stderr.contains(of), "no {of:?} in {self:?}");
        self
    }

    /// Fails unless stdout says this.
    #[track_caller]
    pub fn says(self, what: &str) -> Self {
        assert!(self.stdout.contains(what), "no {what:?} in {self:?}");
        self
    }

    /// Fails unless nothing was said on stderr.
    #[track_caller]
    pub fn quietly(self) -> Self {
        assert_eq!(self.stderr, "", "{self:?}");
        self
    }

    /// Stdout as the one JSON document that it must be.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error}): {self:?}"))
    }
}
