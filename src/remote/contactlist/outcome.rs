//! What an HTTP answer means for the call that it answers: status, content type, envelope and fault, in that order.
//!
//! Here an error page is told from an empty list, a refusal from a service that knows no such record, and an outcome
//! that was seen from one that was not. It must not send anything, and it keeps nothing.

use super::decode::{
    ListAnswer, Reading, decode_delete, decode_fault, decode_list, decode_look_up,
    decode_update_insert,
};
use super::envelope::{Answer, Fault};
use super::fault::{Meaning, meaning, sentence};
use crate::model::{Error, Result};
use crate::remote::http::Reply;
use crate::remote::xml::{flaw, is_utf8};
use crate::remote::{Deleted, Found, Pushed};

/// Whose answers are read, for messages.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The site.
    pub site_id: i32,
    /// Texts that no message may hold.
    pub secrets: &'a [&'a str],
}

/// What ContactList_Retrieve answered; "nothing found" in a fault's words is an empty page, any other fault an error.
pub fn list_outcome(reply: &Reply, reading: &Reading, asker: Asker<'_>) -> Result<ListAnswer> {
    let operation = "ContactList_Retrieve";
    match soap(reply, operation, |body| decode_list(body, reading))? {
        Answer::Response(list) => Ok(list),
        Answer::Fault(fault) => match meaning(&fault) {
            Meaning::Nothing if says_nothing_at_all(&fault) => Ok(ListAnswer {
                items: Vec::new(),
                more: false,
            }),
            _ => Err(fault_error(&fault, operation, asker)),
        },
    }
}

/// What a look-up answered.
pub fn look_up_outcome(
    reply: &Reply,
    operation: &str,
    reading: &Reading,
    asker: Asker<'_>,
) -> Result<Found> {
    match soap(reply, operation, |body| {
        decode_look_up(operation, body, reading)
    })? {
        Answer::Response(Some(item)) => Ok(Found::Item(Box::new(item))),
        Answer::Response(None) => Ok(Found::Nothing),
        Answer::Fault(fault) => match meaning(&fault) {
            Meaning::Nothing => Ok(Found::Nothing),
            _ => Err(fault_error(&fault, operation, asker)),
        },
    }
}

/// What ContactList_UpdateInsert answered. Anything but its response or a fault leaves the outcome unknown.
pub fn push_outcome(reply: &Reply, reading: &Reading, asker: Asker<'_>) -> Pushed {
    let operation = "ContactList_UpdateInsert";
    match soap(reply, operation, |body| decode_update_insert(body, reading)) {
        Ok(Answer::Response(())) => Pushed::Accepted,
        Ok(Answer::Fault(fault)) => Pushed::Refused {
            reason: sentence(&fault, asker.secrets),
        },
        Err(error) => Pushed::Unknown {
            reason: error.to_string(),
        },
    }
}

/// What Contact_DeleteByEntityID answered. Its `false` is taken to mean that there was nothing to delete
/// (`contactlist.md` §7); only looking the contact up proves either.
pub fn delete_outcome(reply: &Reply, reading: &Reading, asker: Asker<'_>) -> Result<Deleted> {
    let operation = "Contact_DeleteByEntityID";
    match soap(reply, operation, |body| decode_delete(body, reading))? {
        Answer::Response(true) => Ok(Deleted::Done),
        Answer::Response(false) => Ok(Deleted::Unknown),
        Answer::Fault(fault) => match meaning(&fault) {
            Meaning::Nothing => Ok(Deleted::Unknown),
            Meaning::Credentials => Err(fault_error(&fault, operation, asker)),
            _ => Ok(Deleted::Refused(sentence(&fault, asker.secrets))),
        },
    }
}

/// Whether the fault refuses the credentials, whatever the call.
pub(super) fn refuses_credentials(reply: &Reply) -> bool {
    if matches!(reply.status, 401 | 403) {
        return true;
    }
    reply.status != 200
        && is_xml(reply)
        && matches!(
            decode_fault(&reply.body),
            Some(fault) if meaning(&fault) == Meaning::Credentials
        )
}

/// An error for credentials that were refused.
pub(super) fn credentials_error(operation: &str, site_id: i32) -> Error {
    Error::unreachable(
        "E-AUTH",
        format!(
            "{operation}: site {site_id} refused the credentials. Check username, password (or site token) and site_id in bridge.yaml"
        ),
    )
}

/// Checks status and content type around `decode`.
fn soap<T>(
    reply: &Reply,
    operation: &str,
    decode: impl FnOnce(&[u8]) -> Result<Answer<T>>,
) -> Result<Answer<T>> {
    let status = reply.status;
    if !is_xml(reply) {
        let got: String = reply
            .content_type
            .as_deref()
            .unwrap_or("no content type")
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .take(60)
            .collect();
        return Err(flaw(
            operation,
            "E-SOAP-NOTXML",
            format!("got {got} ({status}), expected SOAP"),
        ));
    }
    if status != 200 && reply.body.is_empty() {
        return Err(flaw(
            operation,
            "E-SOAP-NOTXML",
            format!("got an empty answer with status {status}, expected SOAP"),
        ));
    }
    match decode(&reply.body)? {
        // Every client takes anything but 200 as failed (`contactlist.md` §1).
        Answer::Response(_) if status != 200 => Err(flaw(
            operation,
            "E-SOAP-SHAPE",
            format!("got a response with status {status}, which only a fault may have"),
        )),
        answer => Ok(answer),
    }
}

fn is_xml(reply: &Reply) -> bool {
    let Some(content_type) = &reply.content_type else {
        return false;
    };
    let mut parts = content_type.split(';');
    let kind = parts.next().unwrap_or_default().trim();
    let kind_fits = ["text/xml", "application/soap+xml", "application/xml"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known));
    kind_fits
        && parts.all(|part| match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                is_utf8(value.trim().trim_matches('"'))
            }
            _ => true,
        })
}

/// "ERROR: No … found": the only wording that makes a fault of a list an empty one (`contactlist.md` §3). A contact
/// that "could not be retrieved" is no word about the list.
fn says_nothing_at_all(fault: &Fault) -> bool {
    let said = fault.text.to_ascii_lowercase();
    said.lines()
        .next()
        .and_then(|line| line.split_once("error: no "))
        .is_some_and(|(_, rest)| rest.contains("found"))
}

fn fault_error(fault: &Fault, operation: &str, asker: Asker<'_>) -> Error {
    match meaning(fault) {
        Meaning::Credentials => credentials_error(operation, asker.site_id),
        _ => Error::unreachable(
            "E-SOAP-FAULT",
            format!(
                "{operation}: the service answered {}",
                sentence(fault, asker.secrets)
            ),
        ),
    }
}

/// Whether the same question may be answered well a little later: the service failed, rather than refused.
pub(super) fn is_passing_failure(reply: &Reply, error: &Error) -> bool {
    match error.code() {
        "E-BODY-TRUNCATED" => true,
        "E-SOAP-NOTXML" => reply.status >= 500,
        "E-SOAP-FAULT" => {
            decode_fault(&reply.body).is_some_and(|fault| meaning(&fault) == Meaning::Failure)
        }
        _ => false,
    }
}
