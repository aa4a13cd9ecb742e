//! The envelope: `{"messages":[{"action","payload","type","uniqueId"}]}`, read and written.
//!
//! Reading is strict about the envelope (what is no envelope can't be taken into custody) and takes whatever an element
//! holds: what a message means is asked later, in `decode`. Source: seed 003, "Request Body Examples"; `orce.md` §4.

use std::fmt;

use super::json::{self, Fault, Json, Parts};

/// Names in the root or in one message; both have a handful.
const NAMES_MAX: usize = 1_000;

/// What ORCE's "Send Sample Message" carries as its payload.
pub const SAMPLE_PAYLOAD: &str = "Test message";
/// The `uniqueId` of the sample message.
pub const SAMPLE_UNIQUE_ID: &str = "0";

/// What stands under `payload`.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// A text, as ORCE sends it: JSON in itself, a bare id, or neither.
    Text(String),
    /// Another JSON value than a text, or a text that holds what no text can (half of a surrogate pair), as it was sent.
    Json(String),
    /// Nothing, or null.
    Missing,
}

/// One message, as it was sent.
///
/// `type`, `action` and `uniqueId` are texts on the wire; a number stands here in its digits, and nothing as an empty text.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// `type`: CUSTOMER or POSTRN.
    pub kind: String,
    /// `action`: CUSTOMERCRE, CUSTOMERMOD, CUSTOMERDEL or POSTRNCRE.
    pub action: String,
    /// `uniqueId`: a delivery's key, never a customer's.
    pub unique_id: String,
    /// What it is about.
    pub payload: Payload,
}

/// Shows no content: payloads are people's data.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match &self.payload {
            Payload::Text(text) | Payload::Json(text) => text.len(),
            Payload::Missing => 0,
        };
        f.debug_struct("Message")
            .field("payload_bytes", &length)
            .finish_non_exhaustive()
    }
}

/// The bounds of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeLimits {
    /// Messages in one body.
    pub max_messages: usize,
    /// Brackets within brackets, of the body and of a payload.
    pub json_depth: u32,
}

/// Why a body is no envelope. Holds nothing of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// More messages than the limit: too large (413).
    TooMany,
    /// Anything else (400), with the reason.
    Bad(String),
}

impl From<Fault> for EnvelopeError {
    fn from(fault: Fault) -> Self {
        Self::Bad(format!("the body {}", fault.reason()))
    }
}

/// The messages of a body, in their order.
pub fn read_envelope(body: &[u8], limits: &EnvelopeLimits) -> Result<Vec<Message>, EnvelopeError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::from(Fault::Grammar))?;
    if json::too_deep(text, limits.json_depth) {
        return Err(Fault::Depth.into());
    }
    let Parts::Record(entries) = json::parts(text, NAMES_MAX)? else {
        return Err(EnvelopeError::Bad("the body is no JSON object".to_owned()));
    };
    let (_, messages) = entries
        .iter()
        .find(|(name, _)| name == "messages")
        .ok_or_else(|| EnvelopeError::Bad("the body has no \"messages\"".to_owned()))?;
    match json::parts(messages.get(), limits.max_messages) {
        Ok(Parts::List(items)) => items
            .into_iter()
            .map(|item| Ok(Message::read(item.get())?))
            .collect(),
        Ok(_) => Err(EnvelopeError::Bad("\"messages\" is no array".to_owned())),
        Err(Fault::Count) => Err(EnvelopeError::TooMany),
        Err(fault) => Err(fault.into()),
    }
}

/// The body that carries these messages, its names in ORCE's order.
pub fn write_envelope(messages: &[Message]) -> String {
    let mut body = String::from("{\"messages\":[");
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        message.write(&mut body);
    }
    body.push_str("]}");
    body
}

impl Message {
    /// ORCE's sample message, to the letter (seed 003).
    pub fn sample() -> Self {
        Self {
            kind: "CUSTOMER".to_owned(),
            action: "CUSTOMERCRE".to_owned(),
            unique_id: SAMPLE_UNIQUE_ID.to_owned(),
            payload: Payload::Text(SAMPLE_PAYLOAD.to_owned()),
        }
    }

    /// Whether this is the sample message: its text, or its id on something that is no record either. A record that
    /// carries the id 0 is a record; nothing that a sender was told to be safe is dropped.
    pub fn is_sample(&self) -> bool {
        match &self.payload {
            Payload::Text(text) if text.trim() == SAMPLE_PAYLOAD => true,
            Payload::Text(text) => {
                self.unique_id.trim() == SAMPLE_UNIQUE_ID
                    && self.action != "CUSTOMERDEL"
                    && !text.trim_start().starts_with(['{', '['])
            }
            Payload::Json(_) | Payload::Missing => false,
        }
    }

    /// `uniqueId` as a number, to be compared with another's: larger is later. A hint only (`orce.md` §4).
    pub fn number(&self) -> Option<u128> {
        let text = self.unique_id.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    }

    /// About how many bytes keeping it takes.
    pub fn weight(&self) -> usize {
        let payload = match &self.payload {
            Payload::Text(text) | Payload::Json(text) => text.len(),
            Payload::Missing => 0,
        };
        payload + self.kind.len() + self.action.len() + self.unique_id.len() + 64
    }

    /// The message for keeping, to be sealed; [`Message::from_bytes`] reads it again. Two messages have the same bytes exactly
    /// if they are one delivery: same type, action, uniqueId and content. So a keyed digest of them knows a repetition.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        self.write(&mut out);
        out.into_bytes()
    }

    /// Reads what [`Message::to_bytes`] wrote; `None` when it did not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        match json::parts(text, NAMES_MAX) {
            Ok(Parts::Record(_)) => Self::read(text).ok(),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("{\"action\":");
        write_text(&self.action, out);
        out.push_str(",\"payload\":");
        match &self.payload {
            Payload::Text(text) => write_text(text, out),
            Payload::Json(raw) => out.push_str(raw),
            Payload::Missing => out.push_str("null"),
        }
        out.push_str(",\"type\":");
        write_text(&self.kind, out);
        out.push_str(",\"uniqueId\":");
        write_text(&self.unique_id, out);
        out.push('}');
    }

    /// Reads one element; one that is no object is a message that means nothing. The depth must have been looked at.
    fn read(raw: &str) -> Result<Self, Fault> {
        let mut message = Self {
            kind: String::new(),
            action: String::new(),
            unique_id: String::new(),
            payload: Payload::Missing,
        };
        if !raw.trim_start().starts_with('{') {
            message.payload = payload(raw.trim());
            return Ok(message);
        }
        let Parts::Record(entries) = json::parts(raw, NAMES_MAX)? else {
            return Err(Fault::Grammar);
        };
        for (name, value) in entries {
            let value = value.get();
            match name.as_ref() {
                "type" => message.kind = plain(value),
                "action" => message.action = plain(value),
                "uniqueId" => message.unique_id = plain(value),
                "payload" => message.payload = payload(value),
                _ => {}
            }
        }
        Ok(message)
    }
}

fn payload(raw: &str) -> Payload {
    match raw.as_bytes().first() {
        Some(b'n') => Payload::Missing,
        Some(b'"') => match serde_json::from_str(raw) {
            Ok(text) => Payload::Text(text),
            Err(_) => Payload::Json(raw.to_owned()),
        },
        _ => Payload::Json(raw.to_owned()),
    }
}

fn plain(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'n') => String::new(),
        Some(b'"') => match json::parts(raw, 0) {
            Ok(Parts::Scalar(Json::Text(text))) => text,
            _ => raw.to_owned(),
        },
        _ => raw.to_owned(),
    }
}

/// Writes a JSON text.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: EnvelopeLimits = EnvelopeLimits {
        max_messages: 3,
        json_depth: 8,
    };

    fn read(body: &str) -> Result<Vec<Message>, EnvelopeError> {
        read_envelope(body.as_bytes(), &LIMITS)
    }

    fn bad(body: &str) -> String {
        match read(body) {
            Err(EnvelopeError::Bad(reason)) => reason,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn the_sample_message_is_read_and_written_to_the_letter() {
        let body = include_str!("../../../tests/data/data_sync/sample.json");
        let messages = read(body).unwrap();
        assert_eq!(messages, [Message::sample()]);
        assert!(messages[0].is_sample());
        assert_eq!(
            write_envelope(&messages),
            r#"{"messages":[{"action":"CUSTOMERCRE","payload":"Test message","type":"CUSTOMER","uniqueId":"0"}]}"#
        );
    }

    #[test]
    fn what_is_no_envelope_is_refused_with_its_reason() {
        for (body, reason) in [
            ("", "is not JSON"),
            ("{\"messages\":[", "is not JSON"),
            ("<x/>", "is not JSON"),
            ("[]", "is no JSON object"),
            ("\"messages\"", "is no JSON object"),
            ("{}", "has no \"messages\""),
            ("{\"Messages\":[]}", "has no \"messages\""),
            ("{\"messages\":null}", "is no array"),
            ("{\"messages\":{}}", "is no array"),
            ("{\"messages\":[],\"messages\":[]}", "twice"),
            ("{\"messages\":[{\"type\":\"a\",\"type\":\"b\"}]}", "twice"),
            (
                "{\"messages\":[{\"type\":\"a\",\"\\u0074ype\":\"b\"}]}",
                "twice",
            ),
            (
                "{\"messages\":[{\"payload\":[[[[[[[1]]]]]]]}]}",
                "too deeply",
            ),
        ] {
            assert!(bad(body).contains(reason), "{body}: {}", bad(body));
        }
        assert_eq!(
            read_envelope(b"{\"messages\":[\"\xff\"]}", &LIMITS),
            Err(EnvelopeError::Bad("the body is not JSON".to_owned()))
        );
        assert_eq!(
            read("{\"messages\":[1,2,3,4]}"),
            Err(EnvelopeError::TooMany)
        );
    }

    #[test]
    fn h56_whatever_an_element_holds_is_taken() {
        assert_eq!(read("\u{feff}{\"messages\":[],\"more\":1}"), Ok(vec![]));
        let read =
            |element: &str| read(&format!("{{\"messages\":[{element}]}}")).unwrap()[0].clone();
        let one = read(
            r#"{"uniqueId":26764466,"type":"CUSTOMER","action":null,"payload":{"a":1.50},"x":[]}"#,
        );
        assert_eq!((one.kind.as_str(), one.action.as_str()), ("CUSTOMER", ""));
        assert_eq!(one.number(), Some(26_764_466));
        assert!(one.payload == Payload::Json("{\"a\":1.50}".to_owned()));
        assert!(read("7").payload == Payload::Json("7".to_owned()));
        assert!(read("{}").payload == Payload::Missing);
        assert!(read("{\"payload\":null}").payload == Payload::Missing);
        // A payload that no text can hold does not block the sender's job.
        assert!(read("{\"payload\":\"\\ud800\"}").payload == Payload::Json("\"\\ud800\"".into()));
        assert!(
            read("{\"payload\":\"\\u0000\u{1f600}\"}").payload
                == Payload::Text("\0\u{1f600}".into())
        );
    }

    #[test]
    fn h58_only_the_sample_counts_as_the_sample() {
        let mut message = Message::sample();
        message.unique_id = "77".to_owned();
        assert!(message.is_sample());
        message.unique_id = "0".to_owned();
        message.payload = Payload::Text("Testnachricht".to_owned());
        assert!(message.is_sample());
        message.payload = Payload::Text("{\"customerID\":\"1\"}".to_owned());
        assert!(!message.is_sample());
        message.payload = Payload::Text("2142".to_owned());
        message.action = "CUSTOMERDEL".to_owned();
        assert!(!message.is_sample());
    }

    #[test]
    fn unique_ids_are_compared_as_numbers() {
        let number = |text: &str| {
            let mut message = Message::sample();
            message.unique_id = text.to_owned();
            message.number()
        };
        assert!(number("9") < number("10"));
        assert_eq!(number(" 007 "), Some(7));
        for text in ["", "-1", "+1", "1.0", "a", &"9".repeat(60)] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_shows_nothing_of_its_payload() {
        let shown = format!("{:?}", Message::sample());
        assert!(shown.contains("12") && !shown.contains("Test"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_envelope_or_refused(body in proptest::collection::vec(any::<u8>(), 0..40), text in "\\{\"messages\":\\[[\\[\\]{}\",:a-z0-9\\\\]{0,30}\\]\\}") {
            let _ = read_envelope(&body, &LIMITS);
            if let Ok(messages) = read_envelope(text.as_bytes(), &LIMITS) {
                for message in messages {
                    prop_assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
                }
            }
        }

        #[test]
        fn what_is_kept_is_read_again_and_tells_deliveries_apart(
            texts in proptest::collection::vec("\\PC{0,12}|[\\x00-\\x1f\"\\\\]{0,6}", 4), other in "\\PC{0,4}", json in proptest::bool::ANY,
        ) {
            let payload = if json { Payload::Json("{\"a\":1}".into()) } else { Payload::Text(texts[3].clone()) };
            let message = Message { kind: texts[0].clone(), action: texts[1].clone(), unique_id: texts[2].clone(), payload };
            prop_assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message.clone()));
            let body = write_envelope(std::slice::from_ref(&message));
            prop_assert_eq!(read(&body), Ok(vec![message.clone()]));
            let mut changed = message.clone();
            changed.unique_id.push_str(&other);
            prop_assert_eq!(changed.to_bytes() == message.to_bytes(), other.is_empty());
        }
    }
}
