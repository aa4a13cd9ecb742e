//! Any text as the payload of a message, under each action.
#![no_main]

use contactbridge::remote::data_sync::{Message, Payload};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &str| {
    for (kind, action) in [
        ("CUSTOMER", "CUSTOMERMOD"),
        ("CUSTOMER", "CUSTOMERDEL"),
        ("POSTRN", "POSTRNCRE"),
    ] {
        let message = Message {
            kind: kind.into(),
            action: action.into(),
            unique_id: "1".into(),
            payload: Payload::Text(payload.to_owned()),
        };
        bounded(payload.as_bytes(), || message.meaning(32).is_ok());
    }
});
