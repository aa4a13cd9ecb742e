//! The seven operations, paging, dates, credentials, `?WSDL` and the ways a request can be wrong.

use std::collections::BTreeSet;

use chrono::{Duration, TimeZone, Utc};
use contactbridge::simulator::contactlist::{
    Arrays, Deletion, EmptyString, KnownEmail, Mangle, MissingString, NotFound, Operation, Order,
    Outcome, Person, Profile, Soap, SoapVersions,
};

use super::site::{
    LOGIN, NAMESPACE, PATH, between, call, contacts, envelope, every, inside, page, post, push,
    refusal, site, whole,
};
use crate::support::http;

const ALL: &str = "1900-01-01T00:00:00";
const LIST: &str = "<lastUpdateDate>2000-01-01T00:00:00</lastUpdateDate><recordStart>0</recordStart><moreRecords>false</moreRecords>";

#[test]
fn pages_of_100_join_to_the_whole_list_from_any_offset() {
    let site = site(|options| options.people = 250);
    let (first, more) = page(&site, ALL, 0);
    assert_eq!((first.len(), more), (100, true));
    let (last, more) = page(&site, ALL, 200);
    assert_eq!((last.len(), more), (50, false));
    assert_eq!(page(&site, ALL, 250), (vec![], false));
    let list = whole(&site, ALL);
    assert_eq!(list.len(), 250);
    assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), 250);
    assert_eq!(page(&site, ALL, 37).0, list[37..137]);
    assert_eq!(page(&site, ALL, 99).0, list[99..199]);
    site.with_quirks(|quirks| quirks.whole_pages = true);
    assert_eq!(page(&site, ALL, 137).0, list[100..200]);
    assert_eq!(site.count(Operation::ContactListRetrieve), 9);
}

#[test]
fn the_list_goes_by_stamp_then_id_and_its_bound_is_inclusive() {
    let site = site(|options| options.people = 250);
    let mut by_stamp = site.people();
    by_stamp.sort_by_key(|person| (person.last_update_date, person.entity_id));
    let ids: Vec<i32> = by_stamp.iter().map(|person| person.entity_id).collect();
    assert_eq!(whole(&site, ALL), ids);
    let mark = by_stamp[120].last_update_date;
    let from = by_stamp
        .iter()
        .position(|person| person.last_update_date == mark)
        .unwrap();
    let past = by_stamp
        .iter()
        .position(|person| person.last_update_date > mark)
        .unwrap();
    let mark = mark.format("%Y-%m-%dT%H:%M:%S").to_string();
    assert_eq!(whole(&site, &mark), ids[from..]);
    site.with_quirks(|quirks| quirks.exclusive_bound = true);
    assert_eq!(whole(&site, &mark), ids[past..]);
    site.with_quirks(|quirks| quirks.order = Order::Id);
    assert_eq!(whole(&site, ALL), (1001..1251).collect::<Vec<_>>());
}

#[test]
fn shuffled_ties_give_repeats_and_gaps_to_whoever_pages_naively() {
    let site = site(|options| options.people = 250);
    let stamp = site.people()[0].last_update_date;
    for id in 1001..1251 {
        site.edit_unstamped(id, |person| person.last_update_date = stamp);
    }
    site.with_quirks(|quirks| quirks.order = Order::Shuffled);
    let list = whole(&site, ALL);
    assert_eq!(list.len(), 250);
    assert!(list.iter().collect::<BTreeSet<_>>().len() < 250);
}

#[test]
fn a_change_is_stamped_with_the_sites_wall_clock() {
    let site = site(|options| options.people = 3);
    assert!(page(&site, "2026-11-22T21:00:00", 0).0.is_empty());
    site.edit(1002, |person| person.first_name = Some("New".into()));
    assert_eq!(page(&site, "2026-11-22T21:00:00", 0).0, [1002]);
    site.advance(Duration::seconds(90));
    push(
        &site,
        &["<externalId>M000000</externalId><lastUpdateDate>2001-01-01T00:00:00</lastUpdateDate>"],
    );
    assert_eq!(page(&site, "2026-11-22T21:01:30", 0).0, [1001]);
    site.edit_unstamped(1003, |person| person.first_name = Some("Secret".into()));
    assert_eq!(page(&site, "2026-11-22T21:00:00", 0).0, [1002, 1001]);
    let answer = call(&site, "ContactList_Retrieve", LIST).unwrap();
    assert_eq!(answer.header("date"), Some("Sun, 22 Nov 2026 10:01:30 GMT"));
    site.with_quirks(|quirks| quirks.clock_offset = -3600);
    site.edit(1003, |_| {});
    assert_eq!(
        site.person(1003).unwrap().last_update_date.to_string(),
        "2026-11-22 20:01:30"
    );
}

#[test]
fn the_repeated_hour_of_autumn_repeats_its_stamps() {
    let site = site(|options| options.people = 2);
    let half_past = |hour| Utc.with_ymd_and_hms(2026, 4, 4, hour, 30, 0).unwrap();
    for (id, hour) in [(1001, 15), (1002, 16)] {
        site.set_now(half_past(hour));
        site.edit(id, |_| {});
        assert_eq!(
            site.person(id).unwrap().last_update_date.to_string(),
            "2026-04-05 02:30:00"
        );
    }
}

#[test]
fn one_contact_is_found_by_each_key() {
    let site = site(|options| {
        options.people = 5;
        options.profile = Profile::Plain;
    });
    for (operation, asked) in [
        ("Contact_RetrieveByEntityID", "<entityId>1003</entityId>"),
        (
            "Contact_RetrieveByExternalID",
            "<externalId>M000002</externalId>",
        ),
        (
            "Contact_RetrieveByEmailAddress",
            "<emailAddress>PERSON.2@example.org</emailAddress>",
        ),
    ] {
        let answer = inside(&site, operation, asked);
        assert!(
            answer.starts_with(&format!("<{operation}Result><entityId>1003</entityId>")),
            "{answer}"
        );
    }
    for (operation, asked) in [
        ("Contact_RetrieveByEntityID", "<entityId>9</entityId>"),
        (
            "Contact_RetrieveByExternalID",
            "<externalId>m000002</externalId>",
        ),
        ("Contact_RetrieveByExternalID", ""),
        (
            "Contact_RetrieveByEmailAddress",
            "<emailAddress>nobody@example.org</emailAddress>",
        ),
        // Misspelt: ignored, so nothing is asked for.
        (
            "Contact_RetrieveByEmailAddress",
            "<emailaddress>person.2@example.org</emailaddress>",
        ),
    ] {
        assert!(
            refusal(&site, operation, asked)
                .contains("ERROR: Contact record could not be retrieved.")
        );
        site.with_quirks(|quirks| quirks.not_found = NotFound::Absent);
        assert_eq!(inside(&site, operation, asked), "");
        site.with_quirks(|quirks| quirks.not_found = NotFound::Fault);
    }
}

#[test]
fn a_deletion_marks_or_removes_and_says_whether_it_did() {
    let site = site(|options| {
        options.people = 4;
        options.profile = Profile::Plain;
    });
    let done = |operation: &str, asked: &str| {
        let answer = inside(&site, operation, asked);
        every(&answer, &format!("{operation}Result")) == ["true"]
    };
    assert!(done(
        "Contact_DeleteByEntityID",
        "<entityId>1001</entityId>"
    ));
    assert!(!done(
        "Contact_DeleteByEntityID",
        "<entityId>1001</entityId>"
    ));
    assert!(!done("Contact_DeleteByEntityID", "<entityId>99</entityId>"));
    assert!(done(
        "Contact_DeleteByEmailAddress",
        "<email>person.1@example.org</email>"
    ));
    assert!(!done(
        "Contact_DeleteByEmailAddress",
        "<emailAddress>person.2@example.org</emailAddress>"
    ));
    let marked = inside(
        &site,
        "Contact_RetrieveByEntityID",
        "<entityId>1001</entityId>",
    );
    assert!(marked.contains("<deleted>true</deleted>"));
    assert_eq!(page(&site, "2026-11-22T21:00:00", 0).0, [1001, 1002]);
    site.with_quirks(|quirks| quirks.hide_deleted = true);
    refusal(
        &site,
        "Contact_RetrieveByEntityID",
        "<entityId>1001</entityId>",
    );
    site.with_quirks(|quirks| quirks.deletion = Deletion::Vanish);
    assert!(done(
        "Contact_DeleteByEntityID",
        "<entityId>1003</entityId>"
    ));
    assert_eq!(site.people().len(), 3);
    assert!(!whole(&site, ALL).contains(&1003));
}

#[test]
fn a_push_inserts_updates_and_answers_nothing() {
    let site = site(|_| {});
    push(
        &site,
        &[
            "<externalId>K-1</externalId><firstName>Ann</firstName><MasterOptIn>true</MasterOptIn>",
            "<emailAddress>b@example.org</emailAddress>",
            "",
            "",
        ],
    );
    assert_eq!(site.people().len(), 4);
    push(
        &site,
        &[
            "<externalId>K-1</externalId><lastName>&lt;Lee&gt; &#233;</lastName>",
            "<firstName>Bo</firstName><emailAddress>B@example.org</emailAddress>",
            "",
        ],
    );
    let people = site.people();
    assert_eq!(people.len(), 5);
    assert_eq!(people[0].first_name.as_deref(), Some("Ann"));
    assert_eq!(people[0].last_name.as_deref(), Some("<Lee> é"));
    assert!(!people[0].master_opt_in);
    assert_eq!(people[1].first_name.as_deref(), Some("Bo"));
    assert_eq!(people[0].create_date, people[0].last_update_date);
    let log = site.log();
    assert_eq!(log[1].keys, ["K-1", "B@example.org", ""]);
    assert_eq!(
        (log[1].operation, log[1].outcome),
        (Operation::ContactListUpdateInsert, Outcome::Done)
    );
}

#[test]
fn a_whole_record_comes_back_as_it_was_pushed() {
    let record = "<externalId>K-1</externalId><emailAddress>a@example.org</emailAddress><contactTitle> Dr </contactTitle><deleted>false</deleted><fullName>A B</fullName><firstName>A</firstName><lastName /><username>u</username><dateOfBirth>1980-02-29T00:00:00</dateOfBirth>";
    let parts = "<customerType>Member</customerType><industryType>I</industryType><leadSourceType>L</leadSourceType><ratingType>R</ratingType><relationships><Relationship><entityId>5</entityId><entityType>1001</entityType><name>N</name></Relationship></relationships><addresses><Address><addressTypeID>1</addressTypeID><addressLine1>1</addressLine1><addressLine2 /><city>C</city><zipcode>Z</zipcode><state>S</state><countryCode>AU</countryCode></Address></addresses><phoneNos><PhoneNo><phoneNoTypeID>7</phoneNoTypeID><phoneNo>a@example.org</phoneNo></PhoneNo><PhoneNo><phoneNoTypeID>5</phoneNoTypeID></PhoneNo></phoneNos><crmForms><CrmForms><formId>1</formId><formName>F</formName><crmFormFields><CrmFormFields><fieldId>2</fieldId><fieldTypeId>3</fieldTypeId><fieldName>N</fieldName><fieldValue>V</fieldValue></CrmFormFields></crmFormFields></CrmForms></crmForms><MasterOptIn>true</MasterOptIn>";
    let site = site(|_| {});
    push(
        &site,
        &[&format!(
            "<entityId>-1</entityId>{record}<password>secret</password>{parts}"
        )],
    );
    let answer = inside(
        &site,
        "Contact_RetrieveByExternalID",
        "<externalId>K-1</externalId>",
    );
    let now = "2026-11-22T21:00:00";
    let expected = format!("<entityId>1001</entityId>{record}<createDate>{now}</createDate><lastUpdateDate>{now}</lastUpdateDate>{parts}").replace("<dateOfBirth>", "<password /><dateOfBirth>");
    assert_eq!(
        between(&answer, "Result>", "</Contact_RetrieveByExternalIDResult>"),
        Some(expected.as_str())
    );
    assert_eq!(
        site.person(1001).unwrap().password.as_deref(),
        Some("secret")
    );
}

#[test]
fn one_unparsable_value_refuses_the_whole_request() {
    let site = site(|_| {});
    for (bad, sentence) in [
        (
            "<dateOfBirth></dateOfBirth>",
            "is not a valid AllXsd value.",
        ),
        (
            "<entityId>x</entityId>",
            "Input string was not in a correct format.",
        ),
        (
            "<MasterOptIn>yes</MasterOptIn>",
            "is not a valid Boolean value.",
        ),
        (
            "<phoneNos><PhoneNo><phoneNoTypeID></phoneNoTypeID></PhoneNo></phoneNos>",
            "Input string",
        ),
    ] {
        let text = refusal(
            &site,
            "ContactList_UpdateInsert",
            &contacts(&["<externalId>K</externalId>", bad]),
        );
        assert!(
            text.contains("Server was unable to read request."),
            "{text}"
        );
        assert!(text.contains(sentence), "{text}");
    }
    assert!(site.people().is_empty());
    assert!(
        refusal(
            &site,
            "ContactList_Retrieve",
            "<lastUpdateDate>1752-12-31T00:00:00</lastUpdateDate>"
        )
        .contains("SqlDateTime overflow")
    );
}

#[test]
fn the_quirks_of_pushes_reach_the_wire() {
    let site = site(|_| {});
    push(
        &site,
        &[
            "<externalId>K</externalId><firstName>Ann</firstName><phoneNos><PhoneNo><phoneNoTypeID>5</phoneNoTypeID><phoneNo>1</phoneNo></PhoneNo></phoneNos>",
        ],
    );
    site.with_quirks(|quirks| {
        quirks.missing_string = MissingString::Clears;
        quirks.empty_string = EmptyString::Absent;
        quirks.arrays = Arrays::Merge;
        quirks.mangled = vec![
            ("lastName".into(), Mangle::Truncate(3)),
            ("city".into(), Mangle::Upper),
            ("contactTitle".into(), Mangle::Ignore),
        ];
    });
    push(
        &site,
        &[
            "<externalId>K</externalId><lastName>Łongname</lastName><contactTitle>Dr</contactTitle><customerType></customerType><addresses><Address><city>ulm</city></Address></addresses><phoneNos><PhoneNo><phoneNoTypeID>1</phoneNoTypeID><phoneNo>2</phoneNo></PhoneNo></phoneNos>",
        ],
    );
    let person = site.person(1001).unwrap();
    assert_eq!(person.first_name, None);
    assert_eq!(person.customer_type, None);
    assert_eq!(person.contact_title, None);
    assert_eq!(person.last_name.as_deref(), Some("Łon"));
    assert_eq!((person.phone(5), person.phone(1)), (Some("1"), Some("2")));
    assert_eq!(
        person.addresses.unwrap()[0]
            .as_ref()
            .unwrap()
            .city
            .as_deref(),
        Some("ULM")
    );
    site.with_quirks(|quirks| quirks.known_email = KnownEmail::Refuse);
    push(&site, &["<emailAddress>a@example.org</emailAddress>"]);
    let taken = contacts(&["<externalId>Z</externalId><emailAddress>a@example.org</emailAddress>"]);
    assert!(
        refusal(&site, "ContactList_UpdateInsert", &taken)
            .contains("ERROR: Email address is already in use.")
    );
}

#[test]
fn elements_are_dropped_and_batches_poisoned_as_told() {
    let site = site(|_| {});
    let records: Vec<String> = (0..200)
        .map(|number| format!("<externalId>K{number}</externalId>"))
        .collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    site.with_quirks(|quirks| quirks.drop_elements = 0.2);
    push(&site, &records);
    let stored = site.people().len();
    assert!((130..190).contains(&stored), "{stored}");
    site.with_quirks(|quirks| {
        quirks.drop_elements = 0.0;
        quirks.poison = Some("POISON".into());
    });
    let batch = contacts(&[
        "<externalId>A</externalId>",
        "<externalId>B</externalId><lastName>a POISON</lastName>",
        "<externalId>C</externalId>",
    ]);
    assert!(refusal(&site, "ContactList_UpdateInsert", &batch).contains("ERROR: "));
    assert_eq!(site.people().len(), stored);
    site.with_quirks(|quirks| quirks.poison_keeps_earlier = true);
    refusal(&site, "ContactList_UpdateInsert", &batch);
    assert_eq!(site.by_external("A").len(), 1);
    assert!(site.by_external("B").is_empty() && site.by_external("C").is_empty());
}

#[test]
fn credentials_or_the_site_token_open_and_anything_else_is_a_fault() {
    let site = site(|options| options.people = 1);
    let token = "<username></username><password>site-token-12345</password><siteId>12345</siteId>";
    for (login, opens) in [
        (LOGIN, true),
        (token, true),
        (
            "<password>site-token-12345</password><siteId>12345</siteId>",
            true,
        ),
        (&LOGIN.replace("12345", "12346"), false),
        (&LOGIN.replace("s3cret", "wrong"), false),
        (&token.replace("<username>", "<username>x"), false),
        ("", false),
        // Names are case-sensitive, and a misspelt one is ignored.
        (&LOGIN.replace("siteId", "siteid"), false),
    ] {
        for (soap, code) in [
            (Soap::V11, "<faultcode>soap:Server</faultcode>"),
            (Soap::V12, "<soap:Value>soap:Receiver</soap:Value>"),
        ] {
            let body = envelope(soap, "ContactList_Retrieve", &format!("{login}{LIST}"));
            let answer = post(&site, soap, "ContactList_Retrieve", &body).unwrap();
            assert_eq!(answer.status, if opens { 200 } else { 500 }, "{login}");
            if !opens {
                assert!(
                    answer.text().contains(code)
                        && answer.text().contains("ERROR: Authentication failed.")
                );
            }
        }
    }
}

#[test]
fn a_request_is_routed_as_its_version_has_it() {
    let site = site(|options| options.people = 1);
    let ask = |headers: &[(&str, &str)], soap| {
        let body = envelope(soap, "ContactList_Retrieve", &format!("{LOGIN}{LIST}"));
        let answer = http(site.address(), "POST", PATH, headers, body.as_bytes()).unwrap();
        (answer.status, answer.text())
    };
    let action = format!("{NAMESPACE}/ContactList_Retrieve");
    let (xml, soap_xml) = (
        ("Content-Type", "text/xml"),
        "application/soap+xml; charset=utf-8",
    );
    assert_eq!(
        ask(&[xml, ("SOAPAction", &action)], Soap::V11).0,
        200,
        "unquoted"
    );
    assert_eq!(
        ask(&[xml, ("soapaction", &format!("\"{action}\""))], Soap::V11).0,
        200
    );
    assert!(
        ask(&[xml], Soap::V11).1.contains("soap:Client"),
        "no action"
    );
    assert!(
        ask(&[xml, ("SOAPAction", "\"\"")], Soap::V11)
            .1
            .contains("did not recognize")
    );
    let other = format!("{NAMESPACE}/Contact_DeleteByEntityID");
    assert_eq!(
        ask(&[xml, ("SOAPAction", &other)], Soap::V11).0,
        500,
        "another operation's action"
    );
    assert_eq!(
        ask(&[("Content-Type", soap_xml)], Soap::V12).0,
        200,
        "by its element"
    );
    let with_action = format!("{soap_xml}; action=\"{action}\"");
    assert_eq!(ask(&[("Content-Type", &with_action)], Soap::V12).0, 200);
    let wrong = format!("{soap_xml}; action=\"{other}\"");
    assert!(
        ask(&[("Content-Type", &wrong)], Soap::V12)
            .1
            .contains("soap:Sender")
    );
    assert!(
        ask(&[("Content-Type", soap_xml)], Soap::V11)
            .1
            .contains("VersionMismatch")
    );
    assert_eq!(
        ask(&[("Content-Type", "application/json")], Soap::V12).0,
        415
    );
    let unknown = envelope(Soap::V12, "OrderList_Retrieve", LOGIN);
    assert_eq!(
        post(&site, Soap::V12, "OrderList_Retrieve", &unknown)
            .unwrap()
            .status,
        500
    );
}

#[test]
fn a_version_can_be_switched_off_and_large_requests_are_refused() {
    let site = site(|options| {
        options.soap = SoapVersions::Only(Soap::V11);
        options.request_bytes_max = 5000;
    });
    assert_eq!(
        call(&site, "ContactList_Retrieve", LIST).unwrap().status,
        415
    );
    let body = envelope(Soap::V11, "ContactList_Retrieve", &format!("{LOGIN}{LIST}"));
    assert_eq!(
        post(&site, Soap::V11, "ContactList_Retrieve", &body)
            .unwrap()
            .status,
        200
    );
    let large = envelope(
        Soap::V11,
        "ContactList_Retrieve",
        &format!("{LOGIN}{}", "<x>1</x>".repeat(1000)),
    );
    let answer = post(&site, Soap::V11, "ContactList_Retrieve", &large).unwrap();
    assert!(answer.text().contains("Maximum request length exceeded."));
}

#[test]
fn the_wsdl_names_the_real_address_and_other_paths_nothing() {
    let site = site(|_| {});
    let get = |target: &str| http(site.address(), "GET", target, &[], b"").unwrap();
    let wsdl = get(&format!("{PATH}?WSDL"));
    assert_eq!(
        (wsdl.status, wsdl.header("content-type")),
        (200, Some("text/xml; charset=utf-8"))
    );
    assert_eq!(
        wsdl.text()
            .matches(&format!("location=\"{}\"", site.url()))
            .count(),
        2
    );
    assert!(!wsdl.text().contains("localhost"));
    assert_eq!(get(&format!("{}?wsdl", PATH.to_uppercase())).status, 200);
    assert_eq!(
        get(PATH).header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(get("/").status, 404);
    assert_eq!(
        http(site.address(), "PUT", PATH, &[], b"").unwrap().status,
        405
    );
}

#[test]
fn stale_reads_see_a_write_only_after_their_time() {
    let site = site(|options| options.people = 2);
    site.switch("stale-reads=30").unwrap();
    push(&site, &["<externalId>K</externalId>"]);
    let asked = "<externalId>K</externalId>";
    refusal(&site, "Contact_RetrieveByExternalID", asked);
    assert_eq!(whole(&site, ALL).len(), 2);
    push(&site, &["<externalId>K</externalId>"]);
    assert_eq!(site.by_external("K").len(), 1, "writes see the truth");
    site.advance(Duration::seconds(30));
    inside(&site, "Contact_RetrieveByExternalID", asked);
    assert_eq!(whole(&site, ALL).len(), 3);
}

#[test]
fn fractions_plain_faults_and_the_place_of_emails_are_switched() {
    let site = site(|_| {});
    site.set_now(super::site::noon() + Duration::milliseconds(230));
    site.switch("fractions").unwrap();
    site.switch("email-shown=element").unwrap();
    push(
        &site,
        &[
            "<externalId>K</externalId><phoneNos><PhoneNo><phoneNoTypeID>7</phoneNoTypeID><phoneNo>a@example.org</phoneNo></PhoneNo></phoneNos>",
        ],
    );
    let answer = inside(
        &site,
        "Contact_RetrieveByEntityID",
        "<entityId>1001</entityId>",
    );
    assert!(
        answer.contains("<lastUpdateDate>2026-11-22T21:00:00.23</lastUpdateDate>"),
        "{answer}"
    );
    assert!(
        answer.contains("<emailAddress>a@example.org</emailAddress>")
            && answer.contains("<phoneNos />")
    );
    assert_eq!(page(&site, "2026-11-22T21:00:00.23", 0).0, [1001]);
    assert!(page(&site, "2026-11-22T21:00:00.24", 0).0.is_empty());
    let traced = refusal(
        &site,
        "Contact_RetrieveByEntityID",
        "<entityId>9</entityId>",
    );
    assert!(traced.starts_with("System.Web.Services.Protocols.SoapException: Server was unable"));
    site.switch("plain-faults").unwrap();
    let plain = refusal(
        &site,
        "Contact_RetrieveByEntityID",
        "<entityId>9</entityId>",
    );
    assert_eq!(
        plain,
        "Server was unable to process request. ---&gt; ERROR: Contact record could not be retrieved."
    );
}

#[test]
fn a_poisoned_record_can_be_planted() {
    let site = site(|options| options.people = 2);
    site.edit(1002, |person| {
        person.verbatim = Some("<entityId>1002</entityId><dateOfBirth>soon</dateOfBirth>".into())
    });
    let text = inside(&site, "ContactList_Retrieve", LIST);
    assert!(text.contains(
        "<ContactRecord><entityId>1002</entityId><dateOfBirth>soon</dateOfBirth></ContactRecord>"
    ));
}

#[test]
fn a_backup_brings_back_what_was() {
    let site = site(|options| options.people = 3);
    let backup = site.backup();
    site.delete(1001, Deletion::Vanish);
    let id = site.insert(Person::new(0));
    assert_eq!(id, 1004);
    site.restore(backup);
    assert_eq!(whole(&site, ALL).len(), 3);
    assert!(site.person(1001).is_some() && site.person(1004).is_none());
}

#[test]
fn the_same_seed_answers_with_the_same_bytes() {
    let body = |seed| {
        let site = site(|options| {
            options.people = 120;
            options.seed = seed;
        });
        call(&site, "ContactList_Retrieve", LIST).unwrap().text()
    };
    assert_eq!(body(5), body(5));
    assert_ne!(body(5), body(6));
}
