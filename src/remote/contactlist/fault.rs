//! What a fault means, as far as its sentence tells: the service has no codes (`contactlist.md` §9).
//!
//! The sentence may quote values of a record, so nothing of it is shown but through [`sentence`].

use super::envelope::Fault;
use crate::remote::redact::{first_line, printable, redact};

/// What a fault says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The credentials or the site were refused. Goes before all others: a service that words both alike must not
    /// make an empty list of a wrong password.
    Credentials,
    /// There is no such record, or no record at all.
    Nothing,
    /// The request could not be read (`Client`, `Sender`).
    BadRequest,
    /// A sentence of the service itself ("ERROR: …").
    Business,
    /// Anything else: the service failed.
    Failure,
}

/// Reads a fault. `contactlist.md` §9 has the sentences that were seen.
pub fn meaning(fault: &Fault) -> Meaning {
    let said = first_line(&fault.text).to_ascii_lowercase();
    let holds = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let code = fault.code.rsplit(':').next().unwrap_or_default();
    if holds(&[
        "authenticat",
        "credential",
        "unauthori",
        "not authori",
        "access denied",
        "access is denied",
        "permission",
        "invalid login",
        "login failed",
        "logon",
        "invalid password",
        "incorrect password",
        "wrong password",
        "invalid username",
        "invalid user",
        "invalid site",
        "invalid token",
        "token expired",
        "token has expired",
    ]) {
        return Meaning::Credentials;
    }
    let is_sender = matches!(code, "Client" | "Sender");
    if said.contains("error: ")
        && !is_sender
        && (holds(&[
            "could not be retrieved",
            "could not be found",
            "not found",
            "does not exist",
        ]) || (said.contains("error: no ") && said.contains("found")))
    {
        return Meaning::Nothing;
    }
    if is_sender {
        Meaning::BadRequest
    } else if said.contains("error: ") {
        Meaning::Business
    } else {
        Meaning::Failure
    }
}

/// The fault's code and first line, fit to be shown: see [`redact`].
pub fn sentence(fault: &Fault, secrets: &[&str]) -> String {
    let code: String = printable(&fault.code).take(40).collect();
    format!("{code} \"{}\"", redact(&fault.text, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str, text: &str) -> Fault {
        Fault {
            code: code.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn sentences_that_were_seen_mean_what_their_senders_meant() {
        let server = "Server was unable to process request. ---> ";
        for (text, expected) in [
            (
                "ERROR: Contact record could not be retrieved.",
                Meaning::Nothing,
            ),
            ("ERROR: No cases found for this entity", Meaning::Nothing),
            (
                "ERROR: Case details for the given caseId could not be found.",
                Meaning::Nothing,
            ),
            (
                "ERROR: Authentication failed.\n  at Contact not found ()",
                Meaning::Credentials,
            ),
            (
                "ERROR: Invalid username or password: site not found",
                Meaning::Credentials,
            ),
            ("ERROR: Something else", Meaning::Business),
            ("Object reference not set", Meaning::Failure),
        ] {
            assert_eq!(
                meaning(&fault("soap:Server", &format!("{server}{text}"))),
                expected,
                "{text}"
            );
        }
        let unread =
            "Server was unable to read request. ---> There is an error in XML document (2, 317).";
        assert_eq!(meaning(&fault("soap:Sender", unread)), Meaning::BadRequest);
        assert_eq!(
            meaning(&fault(
                "soap:Server",
                "Server was unable to process request."
            )),
            Meaning::Failure,
            "no error page is an empty list"
        );
    }

    #[test]
    fn values_and_secrets_are_not_shown() {
        let shown = sentence(
            &fault(
                "soap:Client",
                "System.FormatException: Server was unable to read request. ---> The string 'O'Brien, Ann' of ann@example.org, 19511130 and hunter2 is not valid \u{202e}\u{7}\n at Secret.Place",
            ),
            &["hunter2"],
        );
        for private in [
            "Brien",
            "Ann",
            "example.org",
            "19511130",
            "hunter2",
            "Place",
            "\u{202e}",
            "\u{7}",
        ] {
            assert!(!shown.contains(private), "{shown}");
        }
        assert!(
            shown.starts_with("soap:Client \"Server was unable to read request."),
            "{shown}"
        );
        let long = sentence(&fault("c", &"x ".repeat(500)), &[]);
        assert!(long.chars().count() <= 120 + 4);
    }
}
