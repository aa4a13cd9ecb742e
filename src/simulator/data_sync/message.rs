//! A message and the envelope that it is posted in (orce.md §4): four texts in a list of one.
//!
//! It knows no payload's meaning, and must write what it is told to write, right or wrong.

use super::json::{Json, quoted};

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `CUSTOMERCRE`: a customer was made.
    Create,
    /// `CUSTOMERMOD`: a customer was changed.
    Modify,
    /// `CUSTOMERDEL`: a customer was deleted.
    Delete,
    /// `POSTRNCRE`: a transaction was posted.
    Post,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 4] = [Action::Create, Action::Modify, Action::Delete, Action::Post];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "CUSTOMERCRE",
            Action::Modify => "CUSTOMERMOD",
            Action::Delete => "CUSTOMERDEL",
            Action::Post => "POSTRNCRE",
        }
    }

    /// The `type` that goes with it.
    pub fn object(self) -> &'static str {
        match self {
            Action::Post => "POSTRN",
            _ => "CUSTOMER",
        }
    }

    /// The action of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// A message: what stands in its four fields, whatever that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// `action`
    pub action: String,
    /// `payload`
    pub payload: String,
    /// `type`
    pub object: String,
    /// `uniqueId`
    pub unique_id: String,
}

impl Message {
    /// A message of this kind; `type` goes with the action.
    pub fn new(
        action: Action,
        payload: impl Into<String>,
        unique_id: impl std::fmt::Display,
    ) -> Self {
        Self {
            action: action.name().to_owned(),
            payload: payload.into(),
            object: action.object().to_owned(),
            unique_id: unique_id.to_string(),
        }
    }

    /// What "Send Sample Message" sends.
    pub fn sample() -> Self {
        Self::new(Action::Create, "Test message", 0)
    }

    /// Whether it is that one: by either of its two signs.
    pub fn is_sample(&self) -> bool {
        self.unique_id == "0" || self.payload == "Test message"
    }

    /// Its action, where `type` goes with it.
    pub fn kind(&self) -> Option<Action> {
        Action::of(&self.action).filter(|action| action.object() == self.object)
    }

    /// The id of the customer or transaction that it is about, in whatever form it stands there (orce.md §4.1).
    pub fn about(&self) -> Option<String> {
        let key = match self.kind()? {
            Action::Post => "retailTransactionId",
            _ => "customerID",
        };
        let given = match (self.kind()?, self.payload.trim_start().starts_with('{')) {
            (_, true) => Json::member(&self.payload, key),
            (Action::Delete, false) => match Json::parse(&self.payload) {
                Some(json) => Some(json),
                None => Some(Json::Text(self.payload.clone())),
            },
            _ => None,
        };
        match given? {
            Json::Text(text) | Json::Number(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// How a payload stands in its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PayloadForm {
    /// JSON as a text, as in every example of the vendor's.
    #[default]
    Text,
    /// JSON as it is.
    Object,
}

/// How the id of a deleted customer stands in the payload; no example shows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeleteForm {
    /// `"payload":"90017"`
    #[default]
    Bare,
    /// `"payload":"\"90017\""`: JSON in JSON, as for the others
    Quoted,
    /// `"payload":90017`; as `Bare` where the id is no number
    Number,
    /// `"payload":"{\"customerID\":\"90017\"}"`
    Object,
    /// `"payload":null`, as JSON_OBJECT is in the queue: nobody can tell who it was
    Null,
}

/// How an envelope is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// Without white space.
    #[default]
    Compact,
    /// As the appendix prints it.
    Printed,
}

/// How envelopes are written. The default is what the appendix shows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Form {
    /// How payloads stand in their field.
    pub payload: PayloadForm,
    /// How the ids of deleted customers do.
    pub delete: DeleteForm,
    /// White space.
    pub layout: Layout,
    /// The fields from last to first, each with one more that nobody has heard of before it.
    pub strange: bool,
    /// Every sign beyond ASCII as `\uXXXX`, as some writers do.
    pub ascii: bool,
}

impl Form {
    /// The body of a POST.
    pub fn envelope(&self, messages: &[Message]) -> String {
        let messages: Vec<String> = messages
            .iter()
            .map(|message| self.message(message))
            .collect();
        let body = match self.layout {
            Layout::Compact => format!("{{\"messages\":[{}]}}", messages.join(",")),
            Layout::Printed => format!(
                "{{\n\n\"messages\": [\n\n{}\n\n]\n\n}}",
                messages.join(",\n\n")
            ),
        };
        if self.ascii { ascii(&body) } else { body }
    }

    fn message(&self, message: &Message) -> String {
        let mut fields = vec![
            ("action", quoted(&message.action)),
            ("payload", self.payload(message)),
            ("type", quoted(&message.object)),
            ("uniqueId", quoted(&message.unique_id)),
        ];
        if self.strange {
            fields.push(("queueName", quoted("DATA_SYNC")));
            fields.push(("attributes", "{\"payload\":[null]}".to_owned()));
            fields.reverse();
        }
        let (colon, comma, open, close) = match self.layout {
            Layout::Compact => (":", ",", "{", "}"),
            Layout::Printed => (": ", ",\n\n", "{\n\n", "\n\n}"),
        };
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| format!("\"{name}\"{colon}{value}"))
            .collect();
        format!("{open}{}{close}", fields.join(comma))
    }

    fn payload(&self, message: &Message) -> String {
        let text = &message.payload;
        if message.kind() == Some(Action::Delete) {
            return match self.delete {
                DeleteForm::Bare => quoted(text),
                DeleteForm::Quoted => quoted(&quoted(text)),
                DeleteForm::Number => match Json::parse(text) {
                    Some(Json::Number(digits)) => digits,
                    _ => quoted(text),
                },
                DeleteForm::Object => {
                    let id = Json::object([("customerID", Json::from(text.as_str()))]);
                    quoted(&id.to_string())
                }
                DeleteForm::Null => "null".to_owned(),
            };
        }
        match self.payload {
            PayloadForm::Object if matches!(Json::parse(text), Some(Json::Object(_))) => {
                text.clone()
            }
            _ => quoted(text),
        }
    }
}

/// The same JSON with nothing but ASCII; what is beyond the first plane becomes two escapes.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut units = [0; 2];
    for sign in text.chars() {
        if sign.is_ascii() {
            plain.push(sign);
        } else {
            for unit in sign.encode_utf16(&mut units) {
                plain.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_message_is_the_printed_one() {
        let form = Form {
            layout: Layout::Printed,
            ..Form::default()
        };
        let printed = include_str!("../../../tests/data/data_sync/sample.json");
        assert_eq!(form.envelope(&[Message::sample()]), printed.trim_end());
        assert_eq!(
            Form::default().envelope(&[Message::sample()]),
            r#"{"messages":[{"action":"CUSTOMERCRE","payload":"Test message","type":"CUSTOMER","uniqueId":"0"}]}"#
        );
    }

    #[test]
    fn a_deletion_has_five_forms() {
        let message = Message::new(Action::Delete, "90017", 7_000_130);
        let payload = |delete| {
            let form = Form {
                delete,
                ..Form::default()
            };
            let body = form.envelope(std::slice::from_ref(&message));
            let rest = body.split_once("\"payload\":").unwrap().1;
            rest.split_once(",\"type\"").unwrap().0.to_owned()
        };
        assert_eq!(payload(DeleteForm::Bare), r#""90017""#);
        assert_eq!(payload(DeleteForm::Quoted), r#""\"90017\"""#);
        assert_eq!(payload(DeleteForm::Number), "90017");
        assert_eq!(
            payload(DeleteForm::Object),
            r#""{\"customerID\":\"90017\"}""#
        );
        assert_eq!(payload(DeleteForm::Null), "null");
    }

    #[test]
    fn a_message_says_whom_it_is_about_in_every_form() {
        let about = |action, payload: &str| Message::new(action, payload, 1).about();
        for payload in ["90017", r#""90017""#, r#"{"customerID":"90017"}"#] {
            assert_eq!(about(Action::Delete, payload).as_deref(), Some("90017"));
        }
        assert_eq!(about(Action::Delete, "A-1 ü").as_deref(), Some("A-1 ü"));
        assert_eq!(about(Action::Delete, ""), None);
        assert_eq!(about(Action::Modify, "90017"), None);
        let both = r#"{"customerID":"1","retailTransactionId":"2"}"#;
        assert_eq!(about(Action::Modify, both).as_deref(), Some("1"));
        assert_eq!(about(Action::Post, both).as_deref(), Some("2"));
    }

    #[test]
    fn strange_forms_hold_the_same_message() {
        let message = Message::new(Action::Modify, r#"{"customerID":"1","n":"😀\u0000"}"#, 9);
        let form = Form {
            payload: PayloadForm::Object,
            strange: true,
            ascii: true,
            layout: Layout::Printed,
            ..Form::default()
        };
        let body = form.envelope(&[message.clone(), message]);
        assert!(body.is_ascii());
        let json = Json::parse(&body).unwrap();
        assert_eq!(json.count("messages"), 2);
        assert_eq!(json.text("messages.1.payload.n"), Some("😀\0"));
        assert_eq!(json.text("messages.0.uniqueId"), Some("9"));
    }
}
