//! Requests, character by character, and against the types of the wire.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::encode::{
    Asked, Login, REQUEST_MAX, chunks, encode_details, encode_force_enqueue, encode_purge,
    encode_queue, form,
};
use super::options::RequestNames;
use super::wire;
use crate::model::RemoteId;

const LOGIN: Login<'static> = Login {
    username: "bridge-demo",
    password: "p<&>\"' é",
};
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

fn id(text: &str) -> RemoteId {
    RemoteId(text.to_owned())
}

fn asked(sections: &[&'static str], inactive: &[&str]) -> Asked {
    Asked {
        sections: sections.iter().copied().collect(),
        inactive: inactive.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn requests_stand_as_the_contract_writes_them() {
    let camel = RequestNames::camel();
    let hyphen = RequestNames::hyphen();
    let secret = "p&lt;&amp;&gt;\"' é";
    assert_eq!(
        encode_queue(&camel.queue, LOGIN).unwrap(),
        format!(
            "{HEAD}<custRequest><vendorId>bridge-demo</vendorId><vendorPassword>{secret}</vendorPassword></custRequest>"
        )
    );
    assert_eq!(
        encode_queue(&hyphen.queue, LOGIN).unwrap(),
        format!(
            "{HEAD}<cust-request><vendor-id>bridge-demo</vendor-id><vendor-password>{secret}</vendor-password></cust-request>"
        )
    );
    assert_eq!(
        encode_purge(&camel.purge, LOGIN, "900412").unwrap(),
        format!(
            "{HEAD}<purgeRequest><vendorId>bridge-demo</vendorId><vendorPassword>{secret}</vendorPassword><maxQueueNum>900412</maxQueueNum></purgeRequest>"
        )
    );
    assert!(
        encode_purge(&hyphen.purge, LOGIN, "7")
            .unwrap()
            .ends_with("<max-queue-num>7</max-queue-num></purge-request>")
    );
    assert!(
        encode_force_enqueue(&camel.force_enqueue, LOGIN, Some(&id("5518_SC")))
            .unwrap()
            .ends_with("<custId>5518_SC</custId></forceEnqueueRequest>")
    );
    assert!(
        !encode_force_enqueue(&camel.force_enqueue, LOGIN, None)
            .unwrap()
            .contains("custId")
    );
}

#[test]
fn details_are_asked_for_in_bulk_with_ids_first_and_sections_in_order() {
    let words = RequestNames::camel().details;
    let asked = asked(
        &["memberships", "phones", "addresses"],
        &["memberships", "phones", "jobs"],
    );
    assert_eq!(
        encode_details(&words, LOGIN, &[id("0000731"), id("2")], &asked).unwrap(),
        format!(
            "{HEAD}<custInfoRequest><custId>0000731</custId><custId>2</custId><integratorUsername>bridge-demo</integratorUsername><integratorPassword>p&lt;&amp;&gt;\"' é</integratorPassword><directoryId></directoryId><bulkRequest>true</bulkRequest><details includeCodeValues=\"true\"><addresses include=\"true\"/><phones include=\"true\"/><memberships include=\"true\" includeInactive=\"true\"/></details></custInfoRequest>"
        )
    );
    let none = encode_details(&words, LOGIN, &[id("1")], &Asked::default()).unwrap();
    assert!(none.contains("<details includeCodeValues=\"true\"></details>"));
}

#[test]
fn what_xml_cant_carry_is_not_sent() {
    let words = RequestNames::camel().queue;
    let login = Login {
        username: "a\u{1}",
        password: "secret",
    };
    let error = encode_queue(&words, login).unwrap_err();
    assert_eq!(error.code(), "E-AA-CHAR");
    assert!(error.message().contains("vendorId") && !error.message().contains("secret"));
}

#[test]
fn the_form_encodes_every_byte_that_could_mean_something() {
    assert_eq!(
        form("<a>+&%= é\u{1f600}</a>"),
        "p_input_xml_doc=%3Ca%3E%2B%26%25%3D%20%C3%A9%F0%9F%98%80%3C%2Fa%3E"
    );
}

#[test]
fn requests_stay_below_what_the_gateway_passes_on() {
    let words = RequestNames::camel().details;
    let asked = asked(&["addresses"], &[]);
    let ids: Vec<RemoteId> = (0..5_000).map(|n| id(&format!("&{n:017}_SC"))).collect();
    for chunk in [1, 50, 900] {
        let parts = chunks(&words, LOGIN, &ids, &asked, chunk).unwrap();
        let together: Vec<RemoteId> = parts.iter().copied().flatten().cloned().collect();
        assert_eq!(together, ids);
        for part in &parts {
            let document = encode_details(&words, LOGIN, part, &asked).unwrap();
            assert!(part.len() <= chunk && document.len() <= REQUEST_MAX);
        }
        if chunk == 900 {
            let fullest = encode_details(&words, LOGIN, parts[0], &asked).unwrap();
            assert!(fullest.len() > REQUEST_MAX - 100, "the room is used");
        }
    }
    assert!(chunks(&words, LOGIN, &[], &asked, 50).unwrap().is_empty());
}

/// What yaserde leaves as it is: no space at an end, and no line ends.
fn plain() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9<>&\"'é_-]{1,12}"
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20), ..ProptestConfig::with_cases(200) })]

    #[test]
    fn requests_say_what_the_types_of_the_wire_read(
        user in plain(), password in plain(), number in "[0-9]{1,38}",
        ids in prop::collection::vec(plain(), 1..5),
        chosen in prop::collection::vec(any::<bool>(), 7), inactive in any::<bool>(),
    ) {
        let login = Login { username: &user, password: &password };
        let names = RequestNames::camel();
        let queue: wire::QueueRequest = yaserde::de::from_str(&encode_queue(&names.queue, login).unwrap()).unwrap();
        prop_assert_eq!(queue, wire::QueueRequest { vendor_id: user.clone(), vendor_password: password.clone() });
        let purge: wire::PurgeRequest = yaserde::de::from_str(&encode_purge(&names.purge, login, &number).unwrap()).unwrap();
        prop_assert_eq!(purge, wire::PurgeRequest {
            vendor_id: user.clone(), vendor_password: password.clone(), max_queue_num: number,
        });
        let ids: Vec<RemoteId> = ids.into_iter().map(RemoteId).collect();
        let force: wire::ForceEnqueueRequest = yaserde::de::from_str(
            &encode_force_enqueue(&names.force_enqueue, login, ids.first()).unwrap()).unwrap();
        prop_assert_eq!(force.cust_ids, vec![ids[0].0.clone()]);
        let all = ["roles", "addresses", "phones", "emails", "memberships", "subscriptions", "customerAttributes"];
        let sections: BTreeSet<&'static str> = all.iter().zip(&chosen).filter(|(_, on)| **on).map(|(name, _)| *name).collect();
        let asked = Asked {
            sections: sections.clone(),
            inactive: if inactive { all.iter().map(|name| (*name).to_owned()).collect() } else { BTreeSet::new() },
        };
        let details: wire::DetailsRequest = yaserde::de::from_str(
            &encode_details(&names.details, login, &ids, &asked).unwrap()).unwrap();
        prop_assert!(details.bulk_request && details.details.include_code_values);
        prop_assert_eq!(details.cust_ids, ids.iter().map(|id| id.0.clone()).collect::<Vec<_>>());
        prop_assert_eq!((details.integrator_username, details.integrator_password), (user, password));
        let include = |name: &str, bad, inactive_items, expired, all| sections.contains(name).then_some(wire::Include {
            include: true,
            include_bad: (bad && inactive).then_some(true),
            include_inactive: (inactive_items && inactive).then_some(true),
            include_expired: (expired && inactive).then_some(true),
            include_all: (all && inactive).then_some(true),
        });
        prop_assert_eq!(details.details, wire::Details {
            include_code_values: true,
            roles: include("roles", false, false, false, false),
            addresses: include("addresses", true, false, false, false),
            phones: include("phones", false, false, false, false),
            emails: include("emails", true, false, false, false),
            memberships: include("memberships", false, true, false, false),
            subscriptions: include("subscriptions", false, false, true, false),
            customer_attributes: include("customerAttributes", false, false, false, true),
        });
    }
}
