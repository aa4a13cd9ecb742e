//! Any text as an e-mail address: its key is the key of itself, whatever surrounds it.
#![no_main]

use contactbridge::mapping::email_key;
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(key) = bounded(text.as_bytes(), || email_key(text)) else {
        return;
    };
    assert_eq!(email_key(&key).as_deref(), Ok(key.as_str()));
    assert_eq!(
        email_key(&format!(" {text}\t")).as_deref(),
        Ok(key.as_str())
    );
    assert!(key.contains('@'));
});
