//! Any bytes as an answer of the ContactList service, to each of its operations.
#![no_main]

use contactbridge::remote::contactlist::{
    AnswerLimits, Reading, decode_delete, decode_list, decode_look_up, decode_update_insert,
};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let reading = Reading {
        zone: chrono_tz::Australia::Sydney,
        limits: AnswerLimits::default(),
    };
    bounded(body, || decode_list(body, &reading).is_ok());
    bounded(body, || {
        decode_look_up("Contact_RetrieveByEntityID", body, &reading).is_ok()
    });
    bounded(body, || decode_update_insert(body, &reading).is_ok());
    bounded(body, || decode_delete(body, &reading).is_ok());
});
