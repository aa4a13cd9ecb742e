//! The first load of thousands of awkward people, field by field, and the silence after it.

use std::collections::{BTreeMap, BTreeSet};

use contactbridge::simulator::contactlist::{
    Deletion, Operation, Person, Profile, Soap, SoapVersions,
};

use super::oracle;
use crate::support::{Project, Server, Setup, store};

/// What stands in the database: the row of each contact by its CRM id, as the oracle words it, and its children.
#[track_caller]
fn compare(project: &Project) {
    let zone = project.crm.options().zone;
    let people: Vec<_> = project.crm.people();
    let living: Vec<_> = people.iter().filter(|person| !person.deleted).collect();
    let columns: Vec<String> = oracle::row(living[0], zone).into_keys().collect();
    let fresh = project.fresh.as_ref();
    let selected: Vec<String> = columns
        .iter()
        .map(|name| match name.as_str() {
            "opted_in" => store::flag(fresh, name),
            "crm_created_at" | "crm_updated_at" => store::instant(fresh, name),
            _ => name.clone(),
        })
        .collect();
    let query = format!("SELECT id, {} FROM customers", selected.join(", "));
    let place = columns.iter().position(|name| name == "crm_id").unwrap() + 1;
    let rows: BTreeMap<String, Vec<String>> = project
        .rows(&query)
        .into_iter()
        .map(|row| (row[place].clone(), row))
        .collect();
    assert_eq!(rows.len(), living.len());
    let children = |table: &str, columns: &str| {
        let mut by_parent: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
        let found = project.rows(&format!("SELECT customer_id, {columns} FROM {table}"));
        let count = found.len();
        for mut row in found {
            let parent = row.remove(0);
            by_parent.entry(parent).or_default().insert(row);
        }
        assert_eq!(
            count,
            by_parent.values().map(BTreeSet::len).sum::<usize>(),
            "{table} holds a row twice"
        );
        by_parent
    };
    let mut addresses = children(
        "customer_addresses",
        "kind, line_1, line_2, city, state, postcode, country",
    );
    let mut phones = children("customer_phones", "kind, number");
    for person in living {
        let row = &rows[&person.entity_id.to_string()];
        let found: oracle::Row = columns.iter().cloned().zip(row[1..].to_vec()).collect();
        let mut wanted = oracle::row(person, zone);
        if store::server() == Some(Server::MySql) {
            // Its client shows somebody named NULL as nobody.
            for cell in wanted.values_mut().filter(|cell| *cell == "NULL") {
                *cell = "-".into();
            }
        }
        assert_eq!(found, wanted, "{}", person.entity_id);
        assert_eq!(
            addresses.remove(&row[0]).unwrap_or_default(),
            oracle::addresses(person),
            "addresses of {}",
            person.entity_id
        );
        assert_eq!(
            phones.remove(&row[0]).unwrap_or_default(),
            oracle::phones(person),
            "telephones of {}",
            person.entity_id
        );
    }
    assert!(addresses.is_empty() && phones.is_empty(), "orphans");
}

#[test]
pub fn thousands_of_awkward_people_arrive_equal_and_the_second_run_writes_nothing() {
    let project = Setup::default()
        .people(2_200)
        .mapping(&oracle::mapping())
        .build();
    let report = project.sync(0);
    let living = project.crm.people().iter().filter(|p| !p.deleted).count();
    assert_eq!(report["pull"]["created"], living, "{report:#}");
    compare(&project);
    assert_eq!(project.remote_writes(), 0);
    project.quiet_sync(0);
    // A full read looks at everybody again.
    project.line("reseed members").exits(0);
    let report = project.quiet_sync(0);
    assert_eq!(report["pull"]["unchanged"], report["pull"]["read"]);
    compare(&project);
}

#[test]
pub fn soap_1_1_and_a_site_token_serve_as_well() {
    let project = Setup::default()
        .people(150)
        .crm(|crm| crm.soap = SoapVersions::Only(Soap::V11))
        .remote("soap: 1.1")
        .login("", "site-token-12345")
        .mapping(&oracle::mapping())
        .build();
    project.sync(0);
    compare(&project);
    project.sql("UPDATE customers SET first_name = 'Changed' WHERE customer_no = 'M000100'");
    let report = project.sync(0);
    assert_eq!(report["push"]["updated"], 1, "{report:#}");
    assert_eq!(
        project.contact("M000100").first_name.as_deref(),
        Some("Changed")
    );
    assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 1);
    project.quiet_sync(0);
}

/// Nothing was linked yet when the kill came, so that only what was announced tells whose child rows these are.
#[test]
pub fn what_a_killed_first_load_left_follows_contacts_that_change_before_the_next_run() {
    let project = Setup::default()
        .people(40)
        .crm(|crm| crm.profile = Profile::Plain)
        // What never agreed asks a person else.
        .key("conflicts: remote")
        .mapping(&oracle::mapping().replace("changes: scan", "changes: journal"))
        .build();
    let killed = project
        .binary
        .clone()
        .with("CONTACTBRIDGE_CRASH_AT", "L.after:1");
    assert_eq!(killed.line("sync").code, None);
    let people = project.crm.people();
    let has_addresses = |person: &&Person| !person.deleted && !oracle::addresses(person).is_empty();
    let mut full = people.iter().filter(has_addresses);
    let (emptied, dead) = (full.next().expect("one"), full.next().expect("another"));
    let parents = |person: &Person| {
        format!(
            "FROM customers WHERE last_name = '{}' AND crm_id = {}",
            person
                .last_name
                .as_deref()
                .unwrap_or_default()
                .replace('\'', "''"),
            person.entity_id
        )
    };
    let count = |person: &Person| {
        project.cell(&format!(
            "SELECT count(*) FROM customer_addresses WHERE customer_id IN (SELECT id {})",
            parents(person)
        ))
    };
    assert_ne!(count(emptied), "0");
    assert!(
        project
            .crm
            .edit(emptied.entity_id, |person| person.addresses = None)
    );
    assert!(project.crm.delete(dead.entity_id, Deletion::Flag));
    project.sync(0);
    project.sync(0);
    assert_eq!(count(emptied), "0");
    // The row of the dead one stands for a contact again, with what that shows.
    compare(&project);
    project.quiet_sync(0);
}
