//! What ContactList_UpdateInsert does to the contacts (contactlist.md §6).
//!
//! Every unknown of that section is a quirk; the default is the reading that the section calls likely.

use super::people::People;
use super::person::{
    Address, EMAIL_PHONE, Form, FormField, Parts, Person, Phone, Relationship, year_one,
};
use super::read::{BadValue, Element};
use super::switches::{Arrays, EmptyString, KnownEmail, Mangle, MissingString, Quirks};
use chrono::NaiveDateTime;
use chrono_tz::Tz;

/// Reads one pushed contact: strings as they came, value elements that were left out as 0, false and year one.
pub(super) fn incoming(element: &Element, quirks: &Quirks, server: Tz) -> Result<Person, BadValue> {
    let read = Reader { quirks };
    let text = |name: &str| read.text(element, name);
    let mut person = Person::new(element.int("entityId")?);
    person.external_id = text("externalId");
    person.email_address = text("emailAddress");
    person.contact_title = text("contactTitle");
    person.deleted = element.boolean("deleted")?;
    person.full_name = text("fullName");
    person.first_name = text("firstName");
    person.last_name = text("lastName");
    person.username = text("username");
    person.password = text("password");
    person.date_of_birth = element
        .date("dateOfBirth", server)?
        .unwrap_or_else(year_one);
    person.create_date = element.date("createDate", server)?.unwrap_or_else(year_one);
    person.last_update_date = element
        .date("lastUpdateDate", server)?
        .unwrap_or_else(year_one);
    person.customer_type = text("customerType");
    person.industry_type = text("industryType");
    person.lead_source_type = text("leadSourceType");
    person.rating_type = text("ratingType");
    person.relationships = read.list(element, "relationships", "Relationship", |item| {
        Ok(Relationship {
            entity_id: item.int("entityId")?,
            entity_type: item.int("entityType")?,
            name: read.text(item, "name"),
        })
    })?;
    person.addresses = read.list(element, "addresses", "Address", |item| {
        Ok(Address {
            address_type_id: item.int("addressTypeID")?,
            address_line_1: read.text(item, "addressLine1"),
            address_line_2: read.text(item, "addressLine2"),
            city: read.text(item, "city"),
            zipcode: read.text(item, "zipcode"),
            state: read.text(item, "state"),
            country_code: read.text(item, "countryCode"),
        })
    })?;
    person.phone_nos = read.list(element, "phoneNos", "PhoneNo", |item| {
        Ok(Phone {
            phone_no_type_id: item.int("phoneNoTypeID")?,
            phone_no: read.text(item, "phoneNo"),
        })
    })?;
    person.crm_forms = read.list(element, "crmForms", "CrmForms", |item| {
        Ok(Form {
            form_id: item.int("formId")?,
            form_name: read.text(item, "formName"),
            fields: read.list(item, "crmFormFields", "CrmFormFields", |field| {
                Ok(FormField {
                    field_id: field.int("fieldId")?,
                    field_type_id: field.int("fieldTypeId")?,
                    field_name: read.text(field, "fieldName"),
                    field_value: read.text(field, "fieldValue"),
                })
            })?,
        })
    })?;
    person.master_opt_in = element.boolean("MasterOptIn")?;
    Ok(person)
}

struct Reader<'a> {
    quirks: &'a Quirks,
}

impl Reader<'_> {
    fn text(&self, element: &Element, name: &str) -> Option<String> {
        let mut value = element.text(name)?;
        for (field, mangle) in &self.quirks.mangled {
            if field != name {
                continue;
            }
            value = match mangle {
                Mangle::Truncate(length) => value.chars().take(*length).collect(),
                Mangle::Trim => value.trim().to_owned(),
                Mangle::Upper => value.to_uppercase(),
                Mangle::Lower => value.to_lowercase(),
                Mangle::Ignore => return None,
            };
        }
        Some(value)
    }

    /// A list; its nil items carry nothing that could be stored.
    fn list<T>(
        &self,
        element: &Element,
        name: &str,
        item: &str,
        read: impl Fn(&Element) -> Result<T, BadValue>,
    ) -> Result<Parts<T>, BadValue> {
        let Some(list) = element.child(name).filter(|list| !list.nil) else {
            return Ok(None);
        };
        let items = list
            .items(item)
            .filter(|item| !item.nil)
            .map(|item| read(item).map(Some));
        items.collect::<Result<Vec<_>, _>>().map(Some)
    }
}

/// Stores one pushed contact. Err: the service refuses the request, with this sentence.
pub(super) fn store(
    people: &mut People,
    pushed: Person,
    quirks: &Quirks,
    stamp: NaiveDateTime,
) -> Result<(), &'static str> {
    let known = match target(people, &pushed, quirks)? {
        Some(id) => people.get(id),
        None => None,
    };
    let mut person = match known {
        Some(known) => known,
        None => {
            let mut newcomer = Person::new(people.take_id());
            newcomer.create_date = stamp;
            if pushed.full_name.is_none() {
                newcomer.full_name = joined(&pushed);
            }
            newcomer
        }
    };
    merge(&mut person, pushed, quirks);
    person.last_update_date = stamp;
    person.verbatim = None;
    people.put(person);
    Ok(())
}

/// Whom a pushed contact means: by External ID, else by e-mail, else nobody. Deleted ones don't count.
fn target(people: &People, pushed: &Person, quirks: &Quirks) -> Result<Option<i32>, &'static str> {
    let living = |found: Vec<Person>| {
        found
            .into_iter()
            .find(|person| !person.deleted)
            .map(|person| person.entity_id)
    };
    let by_email = || {
        pushed
            .email()
            .and_then(|email| living(people.by_email(email)))
    };
    let Some(key) = pushed.external_id.as_deref().filter(|key| !key.is_empty()) else {
        return Ok(by_email());
    };
    if let Some(id) = living(people.by_external(key)) {
        return Ok(Some(id));
    }
    match (quirks.known_email, by_email()) {
        (_, None) | (KnownEmail::Insert, _) => Ok(None),
        (KnownEmail::Adopt, found) => Ok(found),
        (KnownEmail::Refuse, Some(_)) => Err("Email address is already in use."),
    }
}

/// First and last name in one, as the recorded service fills a missing full name.
fn joined(person: &Person) -> Option<String> {
    let names = [person.first_name.as_deref(), person.last_name.as_deref()];
    let text = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn merge(person: &mut Person, pushed: Person, quirks: &Quirks) {
    let email_sent = pushed.email_address.clone();
    let phones_sent = pushed.phone_nos.is_some();
    let derived = person.full_name.is_some()
        && person.full_name == joined(person)
        && pushed.full_name.is_none();
    let text = |kept: &mut Option<String>, sent: Option<String>| match (sent, quirks.empty_string) {
        (None, _) if quirks.missing_string == MissingString::Clears => *kept = None,
        (None, _) => {}
        (Some(sent), EmptyString::Absent) if sent.is_empty() => *kept = None,
        (Some(sent), EmptyString::Ignored) if sent.is_empty() => {}
        (Some(sent), _) => *kept = Some(sent),
    };
    text(&mut person.external_id, pushed.external_id);
    text(&mut person.email_address, pushed.email_address);
    text(&mut person.contact_title, pushed.contact_title);
    text(&mut person.full_name, pushed.full_name);
    text(&mut person.first_name, pushed.first_name);
    text(&mut person.last_name, pushed.last_name);
    text(&mut person.username, pushed.username);
    text(&mut person.password, pushed.password);
    text(&mut person.customer_type, pushed.customer_type);
    text(&mut person.industry_type, pushed.industry_type);
    text(&mut person.lead_source_type, pushed.lead_source_type);
    text(&mut person.rating_type, pushed.rating_type);
    person.deleted = pushed.deleted;
    person.date_of_birth = pushed.date_of_birth;
    person.master_opt_in = pushed.master_opt_in;
    let arrays = quirks.arrays;
    list(
        &mut person.relationships,
        pushed.relationships,
        arrays,
        |item| (item.entity_id, item.entity_type),
    );
    list(&mut person.addresses, pushed.addresses, arrays, |item| {
        item.address_type_id
    });
    list(&mut person.phone_nos, pushed.phone_nos, arrays, |item| {
        item.phone_no_type_id
    });
    if arrays == Arrays::Merge {
        forms(&mut person.crm_forms, pushed.crm_forms);
    } else {
        list(&mut person.crm_forms, pushed.crm_forms, arrays, |item| {
            item.form_id
        });
    }
    if derived {
        person.full_name = joined(person);
    }
    one_email(person, email_sent.as_deref(), phones_sent);
}

/// There is one e-mail address behind the two places that show it: the place that was sent leads, the other follows.
fn one_email(person: &mut Person, sent: Option<&str>, phones_sent: bool) {
    match sent {
        Some(email) if !phones_sent && person.phone(EMAIL_PHONE).is_some() => {
            person.set_phone(EMAIL_PHONE, email);
        }
        None if phones_sent && person.email_address.is_some() => {
            if let Some(email) = person.phone(EMAIL_PHONE) {
                person.email_address = Some(email.to_owned());
            }
        }
        _ => {}
    }
}

fn list<T, K: PartialEq>(
    kept: &mut Parts<T>,
    sent: Parts<T>,
    arrays: Arrays,
    key: impl Fn(&T) -> K,
) {
    let Some(sent) = sent else { return };
    match (arrays, kept.as_mut()) {
        (Arrays::Merge, Some(kept)) => {
            for item in sent.into_iter().flatten() {
                match kept
                    .iter_mut()
                    .flatten()
                    .find(|other| key(other) == key(&item))
                {
                    Some(place) => *place = item,
                    None => kept.push(Some(item)),
                }
            }
        }
        _ => *kept = Some(sent),
    }
}

/// Forms are merged field by field.
fn forms(kept: &mut Parts<Form>, sent: Parts<Form>) {
    let Some(sent) = sent else { return };
    let kept = kept.get_or_insert_with(Vec::new);
    for form in sent.into_iter().flatten() {
        match kept
            .iter_mut()
            .flatten()
            .find(|other| other.form_id == form.form_id)
        {
            Some(place) => list(&mut place.fields, form.fields, Arrays::Merge, |field| {
                field.field_id
            }),
            None => kept.push(Some(form)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::contactlist::seeded::{Profile, Seeded};

    fn stamp() -> NaiveDateTime {
        year_one() + chrono::Duration::days(1)
    }

    fn nobody() -> People {
        People::new(Seeded::new(1, Profile::Plain, chrono_tz::UTC), 0, true)
    }

    fn person(external: Option<&str>, email: Option<&str>) -> Person {
        let mut person = Person::new(0);
        person.external_id = external.map(str::to_owned);
        person.email_address = email.map(str::to_owned);
        person
    }

    fn push(people: &mut People, pushed: Person, quirks: &Quirks) {
        store(people, pushed, quirks, stamp()).unwrap();
    }

    #[test]
    fn the_external_id_matches_first_then_the_email_then_nothing() {
        let (mut people, quirks) = (nobody(), Quirks::default());
        push(
            &mut people,
            person(Some("K"), Some("a@example.org")),
            &quirks,
        );
        push(
            &mut people,
            person(Some("K"), Some("b@example.org")),
            &quirks,
        );
        assert_eq!(people.len(), 1);
        push(&mut people, person(None, Some("B@example.org")), &quirks);
        assert_eq!(people.len(), 1);
        push(&mut people, person(None, None), &quirks);
        push(&mut people, person(None, None), &quirks);
        assert_eq!(people.len(), 3);
        let mut by_phone = person(None, None);
        by_phone.set_phone(7, "b@example.org");
        push(&mut people, by_phone, &quirks);
        assert_eq!(people.len(), 3);
    }

    #[test]
    fn a_known_email_under_a_new_external_id_is_what_the_quirk_says() {
        for (known_email, count) in [(KnownEmail::Insert, 2), (KnownEmail::Adopt, 1)] {
            let quirks = Quirks {
                known_email,
                ..Quirks::default()
            };
            let mut people = nobody();
            push(&mut people, person(None, Some("a@example.org")), &quirks);
            push(
                &mut people,
                person(Some("K"), Some("a@example.org")),
                &quirks,
            );
            assert_eq!(people.len(), count);
            assert_eq!(people.by_external("K").len(), 1);
        }
        let quirks = Quirks {
            known_email: KnownEmail::Refuse,
            ..Quirks::default()
        };
        let mut people = nobody();
        push(&mut people, person(None, Some("a@example.org")), &quirks);
        assert!(
            store(
                &mut people,
                person(Some("K"), Some("a@example.org")),
                &quirks,
                stamp()
            )
            .is_err()
        );
    }

    #[test]
    fn a_deleted_contact_is_not_matched() {
        let (mut people, quirks) = (nobody(), Quirks::default());
        let mut dead = person(Some("K"), None);
        dead.deleted = true;
        push(&mut people, dead, &quirks);
        push(&mut people, person(Some("K"), None), &quirks);
        assert_eq!(people.by_external("K").len(), 2);
    }

    #[test]
    fn missing_keeps_empty_clears_and_values_fall_back() {
        let (mut people, quirks) = (nobody(), Quirks::default());
        let mut first = person(Some("K"), None);
        first.first_name = Some("Ann".into());
        first.last_name = Some("Lee".into());
        first.master_opt_in = true;
        first.date_of_birth = stamp();
        first.set_phone(5, "1");
        push(&mut people, first, &quirks);
        assert_eq!(
            people.by_external("K")[0].full_name.as_deref(),
            Some("Ann Lee")
        );
        let mut second = person(Some("K"), None);
        second.last_name = Some(String::new());
        push(&mut people, second, &quirks);
        let now = people.by_external("K").remove(0);
        assert_eq!(now.first_name.as_deref(), Some("Ann"));
        assert_eq!(now.last_name.as_deref(), Some(""));
        assert_eq!(now.full_name.as_deref(), Some("Ann"));
        assert!(!now.master_opt_in);
        assert_eq!(now.date_of_birth, year_one());
        assert_eq!(now.phone(5), Some("1"));
    }

    #[test]
    fn the_quirks_of_strings_do_what_they_say() {
        let name = |missing_string, empty_string, sent: Option<&str>| {
            let quirks = Quirks {
                missing_string,
                empty_string,
                ..Quirks::default()
            };
            let mut people = nobody();
            let mut first = person(Some("K"), None);
            first.first_name = Some("Ann".into());
            push(&mut people, first, &quirks);
            let mut second = person(Some("K"), None);
            second.first_name = sent.map(str::to_owned);
            push(&mut people, second, &quirks);
            people.by_external("K").remove(0).first_name
        };
        assert_eq!(name(MissingString::Clears, EmptyString::Kept, None), None);
        assert_eq!(
            name(MissingString::Keeps, EmptyString::Absent, Some("")),
            None
        );
        assert_eq!(
            name(MissingString::Keeps, EmptyString::Ignored, Some("")).as_deref(),
            Some("Ann")
        );
    }

    #[test]
    fn arrays_replace_or_merge() {
        let phones = |arrays| {
            let quirks = Quirks {
                arrays,
                ..Quirks::default()
            };
            let mut people = nobody();
            let mut first = person(Some("K"), None);
            first.set_phone(5, "1");
            first.set_phone(1, "2");
            push(&mut people, first, &quirks);
            let mut second = person(Some("K"), None);
            second.set_phone(5, "3");
            push(&mut people, second, &quirks);
            let now = people.by_external("K").remove(0);
            (
                now.phone(5).map(str::to_owned),
                now.phone(1).map(str::to_owned),
            )
        };
        assert_eq!(phones(Arrays::Replace), (Some("3".into()), None));
        assert_eq!(phones(Arrays::Merge), (Some("3".into()), Some("2".into())));
    }

    #[test]
    fn the_email_that_was_not_sent_follows_the_one_that_was() {
        let (mut people, quirks) = (nobody(), Quirks::default());
        let mut both = person(Some("K"), Some("a@example.org"));
        both.set_phone(7, "a@example.org");
        push(&mut people, both, &quirks);
        let mut moved = person(Some("K"), None);
        moved.set_phone(7, "b@example.org");
        push(&mut people, moved, &quirks);
        assert_eq!(
            people.by_external("K")[0].email_address.as_deref(),
            Some("b@example.org")
        );
        push(
            &mut people,
            person(Some("K"), Some("c@example.org")),
            &quirks,
        );
        assert_eq!(people.by_external("K")[0].phone(7), Some("c@example.org"));
    }
}
