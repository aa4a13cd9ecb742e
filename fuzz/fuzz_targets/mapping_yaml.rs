//! Any text as a mapping: it is one, or every problem is named.
#![no_main]

use std::sync::LazyLock;

use contactbridge::mapping::Mapping;
use contactbridge::model::Vocabulary;
use contactbridge::remote::contactlist::vocabulary;
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

static WORDS: LazyLock<Vocabulary> = LazyLock::new(|| vocabulary(chrono_tz::Australia::Sydney));

fuzz_target!(|text: &str| {
    LazyLock::force(&WORDS);
    let loaded = bounded(text.as_bytes(), || {
        Mapping::load("fuzzed.yaml", text, &WORDS)
    });
    if let Err(error) = loaded {
        assert!(!error.to_string().is_empty());
    }
});
