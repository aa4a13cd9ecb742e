//! What a fault means, as far as its sentence tells: the service has no codes (`contactlist.md` §9).
//!
//! The sentence may quote values of a record, so nothing of it is shown but through [`sentence`].

use super::envelope::Fault;

/// Characters of a fault that are shown.
const SHOWN_MAX: usize = 120;

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

/// The fault's code and first line, fit to be shown: at most 120 printable characters; what is quoted, holds an `@` or a
/// longer number, or is one of `secrets`, is left out.
pub fn sentence(fault: &Fault, secrets: &[&str]) -> String {
    let mut line = first_line(&fault.text).to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret, "…");
    }
    for quote in ['\'', '"', '“'] {
        line = without_quoted(&line, quote);
    }
    let words: Vec<&str> = line
        .split_whitespace()
        .filter(|word| !(word.starts_with("System.") && word.ends_with("Exception:")))
        .map(|word| {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            if digits >= 4 || word.contains('@') {
                "…"
            } else {
                word
            }
        })
        .collect();
    let code: String = printable(&fault.code).take(40).collect();
    let shown: String = printable(&words.join(" ")).take(SHOWN_MAX).collect();
    format!("{code} \"{shown}\"")
}

fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

fn first_line(text: &str) -> &str {
    text.trim_start()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end()
}

/// The line without what stands from the first opening quote to the last closing one: a value may hold quotes itself.
fn without_quoted(line: &str, quote: char) -> String {
    let close = if quote == '“' { '”' } else { quote };
    let opens = line.char_indices().find(|(at, c)| {
        *c == quote && !line[..*at].ends_with(|before: char| before.is_alphanumeric())
    });
    let Some((open, _)) = opens else {
        return line.to_owned();
    };
    let inside = open + quote.len_utf8();
    match line[inside..].rfind(close) {
        Some(length) => format!("{}…{}", &line[..inside], &line[inside + length..]),
        None => format!("{}…", &line[..inside]),
    }
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
