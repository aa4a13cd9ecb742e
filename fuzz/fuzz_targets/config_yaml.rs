//! Any text as bridge.yaml: it is one, or every problem is named.
#![no_main]

use std::path::Path;

use contactbridge::config::Settings;
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Files that a text may name are not read.
    if text.contains("file:") {
        return;
    }
    let nothing = |_: &str| None;
    let loaded = bounded(text.as_bytes(), || {
        Settings::from_text(text, Path::new("bridge.yaml"), &nothing)
    });
    if let Err(error) = loaded {
        assert!(!error.to_string().is_empty());
    }
});
