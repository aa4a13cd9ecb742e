//! Any bytes as one record among others: the others arrive, and what is read of it goes through the mapping.
#![no_main]

use std::sync::LazyLock;

use contactbridge::mapping::Mapping;
use contactbridge::model::RemoteItem;
use contactbridge::remote::contactlist::{Answer, AnswerLimits, Reading, decode_list, vocabulary};
use contactbridge_fuzz::{bounded, shipped};
use libfuzzer_sys::fuzz_target;

const ZONE: chrono_tz::Tz = chrono_tz::Australia::Sydney;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    shipped(
        "contactlist.yaml",
        include_str!("../../mappings/contactlist.yaml"),
        &vocabulary(ZONE),
    )
});

const HEAD: &str = r#"<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><ContactList_RetrieveResponse xmlns="http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice"><ContactList_RetrieveResult>"#;
const GOOD: &str = "<ContactRecord><entityId>7</entityId></ContactRecord>";
const FOOT: &str = "</ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>false</moreRecords></ContactList_RetrieveResponse></soap:Body></soap:Envelope>";

fuzz_target!(|record: &[u8]| {
    LazyLock::force(&MAPPING);
    let reading = Reading {
        zone: ZONE,
        limits: AnswerLimits::default(),
    };
    let body = [
        HEAD.as_bytes(),
        b"<ContactRecord>",
        record,
        b"</ContactRecord>",
        GOOD.as_bytes(),
        FOOT.as_bytes(),
    ]
    .concat();
    bounded(&body, || {
        let Ok(Answer::Response(answer)) = decode_list(&body, &reading) else {
            return;
        };
        for item in &answer.items {
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
