//! One error type for everything that ends a run, a command or a bridge.
//!
//! What happens to a single record (quarantine, review) is data, never an [`Error`].

use std::fmt;

/// What a caller can do about an error; the exit code follows from it alone (user contract, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A broken invariant or something nobody foresaw: exit 1.
    Unexpected,
    /// Usage, configuration or mapping: nothing was started. Exit 2.
    Config,
    /// A guard stopped the run before anything was written. Exit 4.
    Guard,
    /// A side could not be reached, or refused the credentials; running again later is safe. Exit 5.
    Unreachable,
    /// Another run holds this bridge. Exit 6.
    Busy,
    /// The state or the machine needs a person. Exit 7.
    NeedsPerson,
    /// SIGINT (exit 130) or SIGTERM (exit 143) ended the run at a safe point.
    Interrupted(crate::model::Signal),
}

/// An error with a stable code, a sentence that says what, where, why and what to do, and its cause.
///
/// The message never holds a value of a record or a secret.
pub struct Error {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with its stable `code` (such as `E-CFG-KEY`) and its message.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            source: None,
        }
    }

    /// Something unforeseen (exit 1).
    pub fn unexpected(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected, code, message)
    }

    /// A usage, configuration or mapping error (exit 2).
    pub fn config(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, code, message)
    }

    /// A side that can't be reached or refuses us (exit 5).
    pub fn unreachable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, code, message)
    }

    /// State or machine that needs a person (exit 7).
    pub fn needs_person(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NeedsPerson, code, message)
    }

    /// Adds the cause. Causes are shown in the chain, so they must hold no record value and no secret either.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code, such as `E-SOAP-FAULT`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The message without code and cause.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.kind, self.code, self.message)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}
