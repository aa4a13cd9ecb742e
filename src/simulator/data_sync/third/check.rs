//! Whether a body has the form that the appendix shows: one message, four texts, a payload that goes with its action.
//!
//! It must not repair anything, and what it says holds no value of a message.

use std::fmt;

use crate::simulator::data_sync::json::Json;
use crate::simulator::data_sync::message::{Action, Message};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// It is not a POST.
    Method,
    /// The Content-Type is not `application/json`.
    ContentType,
    /// The body is larger than is read, or did not come whole.
    Body,
    /// The body is no JSON in UTF-8.
    NotJson,
    /// It is no object with `messages` alone, a list of objects.
    Envelope,
    /// There is another number of messages than one.
    SeveralMessages,
    /// A field is missing, comes twice, is no text, or is not one of the four.
    Fields,
    /// `type` and `action` don't go together, or nobody knows them.
    TypeAndAction,
    /// `uniqueId` is no number.
    UniqueId,
    /// The payload is not what goes with the action, or says nobody's id.
    Payload,
    /// `uniqueId` is not above all that came before, and it is no message that came before.
    FallingUniqueId,
    /// Another content under a `uniqueId` that came before.
    ChangedContent,
}

impl fmt::Display for Defect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// The message of a body, as far as one can be made out, and what is wrong with it.
pub(super) fn read(body: &[u8]) -> (Option<Message>, Vec<Defect>) {
    let text = std::str::from_utf8(body).ok();
    let Some(json) = text.and_then(Json::parse) else {
        return (None, vec![Defect::NotJson]);
    };
    let mut defects = Vec::new();
    let has_one_member = matches!(&json, Json::Object(members) if members.len() == 1);
    let Some(Json::List(messages)) = json.get("messages") else {
        return (None, vec![Defect::Envelope]);
    };
    if !has_one_member
        || !messages
            .iter()
            .all(|message| matches!(message, Json::Object(_)))
    {
        defects.push(Defect::Envelope);
    }
    if messages.len() != 1 {
        defects.push(Defect::SeveralMessages);
    }
    let Some(message) = messages.first() else {
        return (None, defects);
    };
    let field = |name: &str| message.text(name).map(str::to_owned);
    let fields = ["action", "payload", "type", "uniqueId"].map(field);
    let is_four = matches!(message, Json::Object(members) if members.len() == 4);
    let [Some(action), Some(payload), Some(object), Some(unique_id)] = fields else {
        defects.push(Defect::Fields);
        return (None, defects);
    };
    if !is_four {
        defects.push(Defect::Fields);
    }
    let message = Message {
        action,
        payload,
        object,
        unique_id,
    };
    defects.extend(of_message(&message));
    (Some(message), defects)
}

fn of_message(message: &Message) -> Vec<Defect> {
    if message == &Message::sample() {
        return Vec::new();
    }
    let mut defects = Vec::new();
    let digits = &message.unique_id;
    // As a number is written; 0 is the sample's.
    let is_number = digits.len() < 20
        && !digits.starts_with('0')
        && !digits.is_empty()
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number {
        defects.push(Defect::UniqueId);
    }
    let Some(action) = message.kind() else {
        defects.push(Defect::TypeAndAction);
        return defects;
    };
    let key = match action {
        Action::Delete => "",
        Action::Create | Action::Modify => "customerID",
        Action::Post => "retailTransactionId",
    };
    let is_right = match action {
        // The id and nothing around it.
        Action::Delete => {
            !message.payload.is_empty() && !message.payload.starts_with(['"', '{', '['])
        }
        _ => matches!(Json::member(&message.payload, key), Some(Json::Text(id)) if !id.is_empty()),
    };
    if !is_right {
        defects.push(Defect::Payload);
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_bodies_are_right() {
        for body in [
            include_str!("../../../../tests/data/data_sync/sample.json"),
            include_str!("../../../../tests/data/data_sync/customer_mod.json"),
            include_str!("../../../../tests/data/data_sync/transaction_cre.json"),
        ] {
            let (message, defects) = read(body.as_bytes());
            assert!(message.is_some());
            assert_eq!(defects, []);
        }
    }

    #[test]
    fn each_wrong_form_has_its_name() {
        let one = |fields: &str| format!("{{\"messages\":[{{{fields}}}]}}");
        let modify = |payload: &str| {
            one(&format!(
                r#""action":"CUSTOMERMOD","payload":{payload},"type":"CUSTOMER","uniqueId":"7""#
            ))
        };
        let delete = |payload: &str| {
            one(&format!(
                r#""action":"CUSTOMERDEL","payload":{payload},"type":"CUSTOMER","uniqueId":"7""#
            ))
        };
        let good = r#""{\"customerID\":\"1\"}""#;
        let fields = r#"{"action":"CUSTOMERDEL","payload":"1","type":"CUSTOMER","uniqueId":"7"}"#;
        for (body, defects) in [
            (modify(good), vec![]),
            (delete("\"90017\""), vec![]),
            ("Test".to_owned(), vec![Defect::NotJson]),
            ("[]".to_owned(), vec![Defect::Envelope]),
            (
                r#"{"messages":[]}"#.to_owned(),
                vec![Defect::SeveralMessages],
            ),
            (
                format!(r#"{{"messages":[{fields},{fields}]}}"#),
                vec![Defect::SeveralMessages],
            ),
            (
                format!(r#"{{"messages":[{fields}],"count":1}}"#),
                vec![Defect::Envelope],
            ),
            (modify(r#"{"customerID":"1"}"#), vec![Defect::Fields]),
            (modify(good).replace("\"7\"", "7"), vec![Defect::Fields]),
            (
                modify(good).replace("\"7\"", "\"7\",\"x\":1"),
                vec![Defect::Fields],
            ),
            (
                modify(good).replace("\"7\"", "\"07\""),
                vec![Defect::UniqueId],
            ),
            (
                modify(good).replace("\"7\"", "\"0\""),
                vec![Defect::UniqueId],
            ),
            (
                modify(good).replace("\"CUSTOMER\"", "\"POSTRN\""),
                vec![Defect::TypeAndAction],
            ),
            (modify(r#""{\"customerID\":1}""#), vec![Defect::Payload]),
            (modify(r#""90017""#), vec![Defect::Payload]),
            (delete(r#""\"90017\"""#), vec![Defect::Payload]),
            (delete(r#""""#), vec![Defect::Payload]),
        ] {
            assert_eq!(read(body.as_bytes()).1, defects, "{body}");
        }
    }
}
