//! Any bytes as a link of the state: refused, or a link that is written as it was read.
#![no_main]

use contactbridge::sync::Link;
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(link) = bounded(bytes, || Link::decode(b"1001", bytes)) else {
        return;
    };
    let again = Link::decode(b"1001", &link.encode());
    assert!(again.is_ok_and(|again| again == link));
});
