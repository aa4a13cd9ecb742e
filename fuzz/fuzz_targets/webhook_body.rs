//! Any bytes as the body of a Data Sync message: what is taken comes back as it went, and means the same.
#![no_main]

use contactbridge::remote::data_sync::{EnvelopeLimits, Message, read_envelope, write_envelope};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let limits = EnvelopeLimits {
        max_messages: 500,
        json_depth: 32,
    };
    let Ok(messages) = bounded(body, || read_envelope(body, &limits)) else {
        return;
    };
    for message in &messages {
        let _ = bounded(body, || message.meaning(limits.json_depth).is_ok());
        assert_eq!(
            Message::from_bytes(&message.to_bytes()).as_ref(),
            Some(message)
        );
    }
    let again = read_envelope(write_envelope(&messages).as_bytes(), &limits);
    assert!(again.is_ok_and(|again| again == messages));
});
