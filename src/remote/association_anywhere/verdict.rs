//! What an answer says of itself at its root: that it succeeded, that it failed and why, that it knows no such vendor.
//!
//! Only the root and its children are looked at: records below have names of their own that look alike
//! (`association-anywhere.md` §9). The sentences are the service's own, so they are shown redacted.

use super::schema::folded;
use crate::model::Error;
use crate::remote::redact::redact;
use crate::remote::xml::UNDECODABLE;

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    error: Option<String>,
    message: Option<String>,
    status: Option<String>,
    unauthenticated: bool,
}

/// Whose answers are read, for messages.
#[derive(Clone, Copy, Default)]
pub(super) struct Asker<'a> {
    /// Texts that no message may hold.
    pub secrets: &'a [&'a str],
}

impl Verdict {
    /// Whether a child of the root of this name says something of the answer.
    pub(super) fn is_word(name: &str) -> bool {
        matches!(
            folded(name).as_ref(),
            "error" | "errors" | "status" | "message" | "authenticated" | "authenticationmessage"
        )
    }

    /// Takes up a child of the root.
    pub(super) fn note(&mut self, name: &str, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        // A failure stays one where some of its words, or all, can't be read.
        let readable = text.replace(UNDECODABLE, "");
        let text = match readable.trim() {
            "" => "(unreadable)".to_owned(),
            readable => readable.to_owned(),
        };
        match folded(name).as_ref() {
            "error" | "errors" => self.error = Some(text),
            "message" | "authenticationmessage" => self.message = Some(text),
            "status" => self.status = Some(text),
            "authenticated" => {
                self.unauthenticated |= ["false", "n", "no", "0"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word));
            }
            _ => {}
        }
    }

    /// The answer's own sentence, if it says that it failed.
    pub(super) fn failure(&self) -> Option<&str> {
        let failed = self.status.as_deref().filter(|status| {
            ["failure", "failed", "fail", "error"]
                .iter()
                .any(|word| status.eq_ignore_ascii_case(word))
        });
        if self.error.is_some() {
            return self.error.as_deref();
        }
        if failed.is_some() || self.unauthenticated {
            return self
                .message
                .as_deref()
                .or(failed)
                .or(Some("not authenticated"));
        }
        None
    }

    /// Whether the answer says that it succeeded; `None` when it says nothing, or something unknown.
    pub(super) fn success(&self) -> Option<bool> {
        if self.failure().is_some() {
            return Some(false);
        }
        let status = self.status.as_deref()?;
        ["success", "successful", "ok"]
            .iter()
            .any(|word| status.eq_ignore_ascii_case(word))
            .then_some(true)
    }

    /// Whether there is a status at all.
    pub(super) fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// Whether the failure is about who asks.
    pub(super) fn refuses_credentials(&self) -> bool {
        self.unauthenticated || self.failure().is_some_and(is_about_credentials)
    }

    /// The failure as an error, where there is one.
    pub(super) fn as_error(&self, operation: &str, asker: Asker<'_>) -> Option<Error> {
        let failure = self.failure()?;
        if self.refuses_credentials() {
            return Some(credentials_error(operation));
        }
        Some(Error::unreachable(
            "E-AA-ERROR",
            format!(
                "{operation}: the service answered \"{}\"; nothing of it was applied. Ask the association's staff if it stays so",
                redact(failure, asker.secrets)
            ),
        ))
    }
}

/// `association-anywhere.md` §9.
fn is_about_credentials(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "password",
        "credential",
        "authoriz",
        "authentic",
        "vendor",
        "integrator",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// An error for credentials that were refused.
pub(super) fn credentials_error(operation: &str) -> Error {
    Error::unreachable(
        "E-AUTH",
        format!(
            "{operation}: the service refused the credentials. Check username and password in bridge.yaml, and that the association has this service provisioned for them"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(words: &[(&str, &str)]) -> Verdict {
        let mut verdict = Verdict::default();
        for (name, text) in words {
            verdict.note(name, text);
        }
        verdict
    }

    #[test]
    fn failures_are_told_apart_by_whom_they_concern() {
        for (words, code) in [
            (
                &[("error", "Invalid integrator credentials")][..],
                Some("E-AUTH"),
            ),
            (
                &[("status", "FAILURE"), ("message", "Vendor unknown")],
                Some("E-AUTH"),
            ),
            (&[("authenticated", "false")], Some("E-AUTH")),
            (&[("status", "FAILURE")], Some("E-AA-ERROR")),
            (&[("Errors", "ORA-01555")], Some("E-AA-ERROR")),
            (&[("status", "SUCCESS"), ("error", " ")], None),
            (&[("status", "ACTIVE")], None),
            (&[("message", "3 customers")], None),
            (&[("error", "\u{1}")], Some("E-AA-ERROR")),
            (&[("status", "FAILURE \u{1}")], Some("E-AA-ERROR")),
        ] {
            let error = verdict(words).as_error("queue", Asker::default());
            assert_eq!(error.map(|error| error.code()), code, "{words:?}");
        }
        assert_eq!(verdict(&[("status", "success")]).success(), Some(true));
        assert_eq!(verdict(&[("status", "ACTIVE")]).success(), None);
        assert_eq!(verdict(&[]).success(), None);
    }

    #[test]
    fn no_value_and_no_secret_is_shown() {
        let asker = Asker {
            secrets: &["hunter2"],
        };
        let error = verdict(&[("error", "no row 'Ann Quill' 5551234 a@b.example hunter2")])
            .as_error("details", asker)
            .unwrap();
        for private in ["Quill", "5551234", "b.example", "hunter2"] {
            assert!(!error.message().contains(private), "{error}");
        }
    }
}
