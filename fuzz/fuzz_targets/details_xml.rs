//! Any bytes as an answer of Association Anywhere's details service, and what is read of it through the mapping.
#![no_main]

use std::sync::LazyLock;

use contactbridge::mapping::Mapping;
use contactbridge::model::RemoteItem;
use contactbridge::remote::association_anywhere::{Reading, decode_details, vocabulary};
use contactbridge_fuzz::{bounded, shipped};
use libfuzzer_sys::fuzz_target;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    shipped(
        "association-anywhere.yaml",
        include_str!("../../mappings/association-anywhere.yaml"),
        &vocabulary(chrono_tz::UTC, &["%m/%d/%Y".into(), "%Y-%m-%d".into()]),
    )
});

fuzz_target!(|body: &[u8]| {
    LazyLock::force(&MAPPING);
    bounded(body, || {
        let Ok(items) = decode_details(body, Some("text/xml"), &Reading::default()) else {
            return;
        };
        for item in &items {
            let RemoteItem::Record(record) = item else {
                continue;
            };
            for (field, value) in MAPPING.from_remote(&record.document).iter().enumerate() {
                if let Ok(value) = value {
                    let _ = MAPPING.to_cell(field, value);
                }
            }
            let _ = MAPPING.children_from_remote(&record.document);
        }
    });
});
