//! What no rule speaks of survives a push, byte for byte, whatever habits the service has.

use contactbridge::simulator::contactlist::{
    Address, Arrays, EmptyString, MissingString, Person, Phone,
};

use super::plain;

/// A contact with more than the mapping knows.
fn rich(person: &mut Person) {
    person.set_phone(5, "+61 400 000 001");
    person.set_phone(9, "third@example.org");
    person.phone_nos.get_or_insert_default().push(Some(Phone {
        phone_no_type_id: 5,
        phone_no: Some("a second mobile".into()),
    }));
    person.addresses.get_or_insert_default().push(Some(Address {
        address_type_id: 3,
        address_line_1: Some("PO Box 7 <&>".into()),
        ..Address::default()
    }));
    person.master_opt_in = true;
    person.rating_type = Some("Hot".into());
}

/// The contact without what its push may change.
fn rest(mut person: Person) -> Person {
    person.last_update_date = contactbridge::simulator::contactlist::year_one();
    person.last_name = None;
    person.full_name = None;
    // Logins are never sent, not even back to the contact that has them.
    person.username = None;
    person
}

#[test]
pub fn what_is_not_mapped_survives_a_push() {
    for (missing, arrays, empty) in [
        (MissingString::Keeps, Arrays::Replace, EmptyString::Kept),
        (MissingString::Clears, Arrays::Replace, EmptyString::Kept),
        (MissingString::Clears, Arrays::Replace, EmptyString::Absent),
    ] {
        let project = plain(12)
            .crm(|crm| {
                crm.switches.quirks.missing_string = missing;
                crm.switches.quirks.arrays = arrays;
                crm.switches.quirks.empty_string = empty;
            })
            .build();
        for person in project.crm.people() {
            project.crm.edit(person.entity_id, rich);
        }
        project.sync(0);
        let before = project.crm.people();
        project.sql("UPDATE customers SET last_name = 'Pushed'");
        let report = project.sync(0);
        assert_eq!(report["push"]["updated"], 12, "{report:#}");
        for (before, after) in before.into_iter().zip(project.crm.people()) {
            assert_eq!(after.last_name.as_deref(), Some("Pushed"));
            assert_eq!(rest(before), rest(after));
        }
        project.quiet_sync(0);
    }
}
