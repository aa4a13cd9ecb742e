//! SOAP stacks of other make. What two of them agree on with us is not our own reading of the service description alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDateTime;
use contactbridge::cli::RealWorld;
use contactbridge::config::{ContactListSettings, Limits, Secret, SoapVersion};
use contactbridge::model::{Document, Node, RemoteItem, RemoteRecord, Stamp};
use contactbridge::remote::contactlist::{ClientOptions, ContactList, ScanLimits, SoapCalls};
use contactbridge::remote::{
    Address, Deleted, Found, LookUp, Outgoing, Pushed, Remote, RemoteScan, ScanStep,
};
use contactbridge::simulator::contactlist::{ContactListSimulator, Deletion, Options, Person};
use serde_json::{Value, json};

use crate::support::{ForeignCrm, zeep};

/// A text as zeep gives it: an empty one is none.
fn text(value: &Option<String>) -> Value {
    value
        .as_deref()
        .filter(|text| !text.is_empty())
        .map_or(Value::Null, Value::from)
}

/// A list as zeep gives it: one without items is none.
fn list<T>(parts: &Option<Vec<Option<T>>>, one: impl Fn(&T) -> Value) -> Value {
    match parts.as_deref() {
        None | Some([]) => Value::Null,
        Some(parts) => parts
            .iter()
            .map(|part| part.as_ref().map_or(Value::Null, &one))
            .collect(),
    }
}

/// A person in the words of the service description.
fn described(person: &Person) -> Value {
    let date = |date: NaiveDateTime| date.format("%Y-%m-%dT%H:%M:%S").to_string();
    json!({
        "entityId": person.entity_id,
        "externalId": text(&person.external_id),
        "emailAddress": text(&person.email_address),
        "contactTitle": text(&person.contact_title),
        "deleted": person.deleted,
        "fullName": text(&person.full_name),
        "firstName": text(&person.first_name),
        "lastName": text(&person.last_name),
        "username": text(&person.username),
        "password": null,
        "dateOfBirth": date(person.date_of_birth),
        "createDate": date(person.create_date),
        "lastUpdateDate": date(person.last_update_date),
        "customerType": text(&person.customer_type),
        "industryType": text(&person.industry_type),
        "leadSourceType": text(&person.lead_source_type),
        "ratingType": text(&person.rating_type),
        "relationships": list(&person.relationships, |one| json!({
            "entityId": one.entity_id, "entityType": one.entity_type, "name": text(&one.name),
        })),
        "addresses": list(&person.addresses, |one| json!({
            "addressTypeID": one.address_type_id,
            "addressLine1": text(&one.address_line_1),
            "addressLine2": text(&one.address_line_2),
            "city": text(&one.city),
            "zipcode": text(&one.zipcode),
            "state": text(&one.state),
            "countryCode": text(&one.country_code),
        })),
        "phoneNos": list(&person.phone_nos, |one| json!({
            "phoneNoTypeID": one.phone_no_type_id, "phoneNo": text(&one.phone_no),
        })),
        "crmForms": list(&person.crm_forms, |one| json!({
            "formId": one.form_id,
            "formName": text(&one.form_name),
            "crmFormFields": list(&one.fields, |field| json!({
                "fieldId": field.field_id,
                "fieldTypeId": field.field_type_id,
                "fieldName": text(&field.field_name),
                "fieldValue": text(&field.field_value),
            })),
        })),
        "MasterOptIn": person.master_opt_in,
    })
}

#[test]
fn zeep_loads_our_wsdl_and_agrees_on_every_operation_of_both_ports() {
    let Some(mut client) = zeep() else { return };
    let crm = ContactListSimulator::start(Options {
        people: 250,
        ..Options::default()
    })
    .unwrap();
    crm.with_quirks(|quirks| quirks.deletion = Deletion::Vanish);
    let mut people = crm.people();
    people.sort_by_key(|person| (person.last_update_date, person.entity_id));
    let options = crm.options();
    let expected = json!({
        "login": {"username": options.username, "password": options.password, "siteId": options.site_id},
        "token": {"username": "", "password": options.token, "siteId": options.site_id},
        "people": people.iter().map(described).collect::<Vec<_>>(),
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("expected.json");
    std::fs::write(&file, expected.to_string()).unwrap();
    let output = client.arg(crm.url()).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("250 people agreed on 2 ports"), "{said}");
    // What it made it has deleted, and touched nobody else.
    let mut after = crm.people();
    after.sort_by_key(|person| (person.last_update_date, person.entity_id));
    assert_eq!(after, people);
    for (operation, count) in crm.counts() {
        assert!(count >= 2, "{operation:?} was called {count} times");
    }
    assert_eq!(crm.counts().len(), 7);
}

/// The bridge's own client of a CRM.
fn remote(
    url: &str,
    site_id: i64,
    login: (&str, &str),
    zone: &str,
    soap: SoapVersion,
) -> ContactList<SoapCalls> {
    let settings = ContactListSettings {
        endpoint: url.parse().unwrap(),
        site_id,
        username: Secret::new(login.0),
        password: Secret::new(login.1),
        time_zone: zone.parse().unwrap(),
        soap,
        ca: None,
    };
    let limits = Limits {
        requests_per_second: None,
        ..Limits::default()
    };
    let options = ClientOptions::from_settings(&settings, &limits).unwrap();
    let calls = SoapCalls::new(options, Arc::new(RealWorld::new())).unwrap();
    ContactList::new(
        calls,
        settings.time_zone,
        ScanLimits::from_settings(&limits),
    )
}

/// Everybody whom a complete scan shows, by id.
async fn scanned(
    remote: &ContactList<SoapCalls>,
    since: Option<Stamp>,
) -> BTreeMap<String, RemoteRecord> {
    let mut scan = remote.scan(since).await.unwrap();
    let mut found = BTreeMap::new();
    loop {
        match scan.next().await.unwrap() {
            ScanStep::Records(items) => {
                for item in items {
                    let RemoteItem::Record(record) = item else {
                        panic!("a record that can't be decoded: {item:?}")
                    };
                    found.insert(record.id.0.clone(), record);
                }
            }
            ScanStep::Restarted => found.clear(),
            ScanStep::End(_) => return found,
        }
    }
}

async fn looked_up(remote: &ContactList<SoapCalls>, by: LookUp) -> Option<RemoteRecord> {
    match remote.look_up(&by).await.unwrap() {
        Found::Item(item) => match *item {
            RemoteItem::Record(record) => Some(record),
            RemoteItem::Bad(bad) => panic!("a record that can't be decoded: {bad:?}"),
        },
        Found::Nothing => None,
    }
}

async fn push(remote: &ContactList<SoapCalls>, document: Document) {
    let outgoing = Outgoing {
        document,
        address: Address::External,
    };
    assert_eq!(remote.push(&[outgoing]).await.unwrap(), Pushed::Accepted);
}

/// Makes, changes and deletes a contact through the engine's port.
async fn lives_through(remote: &ContactList<SoapCalls>, key: &str) {
    let set = |document: &mut Document, name: &'static str, value: &str| {
        document.set(name, Node::Text(value.to_owned()))
    };
    let mut document = remote.blank();
    let email = format!("{key}@example.org").to_lowercase();
    set(&mut document, "externalId", key);
    set(&mut document, "emailAddress", &email);
    set(&mut document, "firstName", "Zoe\u{308} <&> \"O'Neil\" ]]>");
    set(&mut document, "lastName", "Ła  da");
    set(&mut document, "dateOfBirth", "1980-02-29T00:00:00");
    set(&mut document, "MasterOptIn", "true");
    push(remote, document).await;
    let made = looked_up(remote, LookUp::External(key.to_owned()))
        .await
        .expect("the new contact");
    assert_eq!(
        made.document.text("firstName"),
        Some("Zoe\u{308} <&> \"O'Neil\" ]]>")
    );
    assert_eq!(made.document.text("lastName"), Some("Ła  da"));
    assert_eq!(
        made.document.text("dateOfBirth"),
        Some("1980-02-29T00:00:00")
    );
    assert_eq!(made.document.text("MasterOptIn"), Some("true"));
    assert!(!made.deleted && made.stamp.is_some());
    let mut changed = made.document.clone();
    set(&mut changed, "lastName", "");
    set(&mut changed, "contactTitle", "Dr");
    push(remote, changed).await;
    let now = looked_up(remote, LookUp::Email(email))
        .await
        .expect("the changed contact");
    assert_eq!(now.id, made.id);
    assert_eq!(now.document.text("contactTitle"), Some("Dr"));
    assert!(now.document.text("lastName").is_none_or(str::is_empty));
    assert_eq!(
        now.document.text("firstName"),
        made.document.text("firstName")
    );
    assert_eq!(now.document.text("MasterOptIn"), Some("true"));
    assert_eq!(
        looked_up(remote, LookUp::Id(made.id.clone()))
            .await
            .map(|record| record.document),
        Some(now.document)
    );
    assert_eq!(remote.delete(&made.id).await.unwrap(), Deleted::Done);
    assert_eq!(remote.delete(&made.id).await.unwrap(), Deleted::Unknown);
    assert_eq!(
        looked_up(remote, LookUp::External(key.to_owned()))
            .await
            .filter(|record| !record.deleted),
        None
    );
    assert_eq!(
        looked_up(remote, LookUp::External("nobody".to_owned())).await,
        None
    );
}

const VERSIONS: [SoapVersion; 2] = [SoapVersion::V11, SoapVersion::V12];

#[tokio::test]
async fn our_client_reads_and_writes_a_server_of_another_make() {
    for soap in VERSIONS {
        let Some(crm) = ForeignCrm::start(250) else {
            return;
        };
        let login = (crm.username(), crm.password());
        let remote = remote(crm.url(), crm.site_id(), login, crm.time_zone(), soap);
        let found = scanned(&remote, None).await;
        let people = crm.people();
        assert_eq!((found.len(), people.len()), (250, 250));
        for person in &people {
            let record = &found[&person["entityId"].to_string()];
            for name in [
                "externalId",
                "firstName",
                "lastName",
                "customerType",
                "dateOfBirth",
                "lastUpdateDate",
            ] {
                assert_eq!(record.document.text(name), person[name].as_str(), "{name}");
            }
            assert_eq!(
                record.document.text("MasterOptIn"),
                Some(person["MasterOptIn"].to_string().as_str())
            );
            let addresses = person["addresses"]["Address"]
                .as_array()
                .map_or(0, Vec::len);
            assert_eq!(record.document.list("addresses").len(), addresses);
            assert_eq!(record.document.list("phoneNos").len(), 2);
        }
        lives_through(&remote, "K-1").await;
        // What the CRM's users do shows in the next scan, and nothing else but what happened since.
        let edited = crm.edit(
            json!({"entityId": 5001, "lastName": "Nowak", "lastUpdateDate": "2099-01-01T00:00:00"}),
        );
        assert_eq!(edited["lastName"], "Nowak");
        crm.delete(5002);
        let since = Stamp("2026-01-01T00:00:00".parse().unwrap());
        let news = scanned(&remote, Some(since)).await;
        assert_eq!(news["5001"].document.text("lastName"), Some("Nowak"));
        assert!(news["5002"].deleted);
        assert_eq!(
            news.len(),
            3,
            "the edited, the deleted, and the one that was made and deleted"
        );
    }
}

#[tokio::test]
async fn our_client_reads_and_writes_our_simulator() {
    for soap in VERSIONS {
        let crm = ContactListSimulator::start(Options {
            people: 250,
            ..Options::default()
        })
        .unwrap();
        let options = crm.options();
        let (login, zone) = (
            (options.username.as_str(), options.password.as_str()),
            options.zone.to_string(),
        );
        let remote = remote(&crm.url(), options.site_id.into(), login, &zone, soap);
        let found = scanned(&remote, None).await;
        for person in crm.people() {
            let record = &found[&person.entity_id.to_string()];
            let texts = [
                ("externalId", &person.external_id),
                ("contactTitle", &person.contact_title),
                ("fullName", &person.full_name),
                ("firstName", &person.first_name),
                ("lastName", &person.last_name),
                ("customerType", &person.customer_type),
            ];
            for (name, value) in texts {
                let have = record.document.text(name).unwrap_or_default();
                assert_eq!(
                    have,
                    value.as_deref().unwrap_or_default(),
                    "{name} of {}",
                    person.entity_id
                );
            }
            assert_eq!(record.deleted, person.deleted);
            let living = person.phone_nos.iter().flatten().flatten().count();
            assert_eq!(
                record.document.list("phoneNos").len(),
                living,
                "phones of {}",
                person.entity_id
            );
        }
        assert_eq!(found.len(), 250);
        lives_through(&remote, "K-1").await;
        assert_eq!(
            crm.people()
                .iter()
                .filter(|person| person.external_id.as_deref() == Some("K-1"))
                .count(),
            1
        );
    }
}
