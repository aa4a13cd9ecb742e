//! Any bytes as each of the other records of the state: refused, or a record that is written as it was read.
#![no_main]

use contactbridge::remote::data_sync::Message;
use contactbridge::sync::{Facts, Intent, Quarantined, Review};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn settles<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) {
    let Ok(record) = bounded(bytes, || serde_json::from_slice::<T>(bytes)) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("what was read can be written");
    let again = serde_json::from_slice::<T>(&written);
    assert!(again.is_ok_and(|again| again == record));
}

fuzz_target!(|bytes: &[u8]| {
    settles::<Facts>(bytes);
    settles::<Intent>(bytes);
    settles::<Quarantined>(bytes);
    settles::<Review>(bytes);
    if let Some(message) = bounded(bytes, || Message::from_bytes(bytes)) {
        assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
    }
});
