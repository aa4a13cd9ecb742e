//! The awkwardnesses of seeded people, one function each.
//!
//! All of them are things that the wire allows: a record that can't be decoded is planted by a test, never seeded.

use chrono::{Duration, NaiveDate, TimeZone, Utc};

use super::person::{Address, EMAIL_PHONE, Form, FormField, Person, Phone, Relationship, year_one};
use super::seeded::{FORM_ID, Seeded};
use crate::simulator::chance::Dice;

type Spoiler = fn(&Seeded, &mut Person, u32, &mut Dice);

/// Each awkwardness; the person of number n has the n-th for certain, later ones a few by chance.
const SPOILERS: [Spoiler; 28] = [
    foreign_letters,
    combining_marks,
    right_to_left,
    markup,
    quotes,
    long_texts,
    spaces,
    line_breaks,
    sentinels,
    far_future,
    absent_parts,
    empty_strings,
    one_address,
    three_phones,
    email_as_phone,
    no_email,
    no_external_id,
    unaddressable,
    shared_email,
    shared_email,
    email_spellings,
    forms,
    nil_items,
    fold_stamp,
    deleted,
    relationships,
    look_alikes,
    invisible,
];

/// Numbers of those who came in one bulk import and so have one stamp: more than a page of them.
const BULK: std::ops::Range<u32> = 60..190;

/// Makes this contact awkward.
pub(super) fn spoil(seeded: &Seeded, person: &mut Person, number: u32, dice: &mut Dice) {
    match SPOILERS.get(number as usize) {
        Some(spoiler) => spoiler(seeded, person, number, dice),
        None => {
            for _ in 0..dice.below(4) {
                if let Some(spoiler) = dice.pick(&SPOILERS) {
                    spoiler(seeded, person, number, dice);
                }
            }
        }
    }
    if BULK.contains(&number) || (number > BULK.end && dice.once_in(20)) {
        let import = Utc
            .with_ymd_and_hms(2020, 6, 1, 1, 2, 3)
            .single()
            .unwrap_or_default();
        person.last_update_date = seeded.wall(import);
    }
}

fn name(person: &mut Person, first: &str, last: &str) {
    person.first_name = Some(first.to_owned());
    person.last_name = Some(last.to_owned());
    person.full_name = Some(format!("{first} {last}"));
}

fn foreign_letters(_: &Seeded, person: &mut Person, _: u32, dice: &mut Dice) {
    let names = [
        ("李", "小龙"),
        ("Владимир", "Ёлкин"),
        ("Ωμέγα", "Ελύτης"),
        ("ʻŌiwi", "Kāne"),
        ("𝒜da", "𠮷野"),
    ];
    let (first, last) = dice.pick(&names).copied().unwrap_or_default();
    name(person, first, last);
}

fn combining_marks(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(person, "Zoe\u{308}", "Nguye\u{302}\u{303}n");
}

fn right_to_left(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(person, "مريم\u{200f}", "שָׂרָה Smith");
}

fn markup(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(
        person,
        "<b>Bob</b> & \"Sons\" ]]>",
        "&amp; &lt;i> <!-- x --> <![CDATA[y]]>",
    );
}

fn quotes(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(
        person,
        "Robert'); DROP TABLE customers;--",
        "\\O\"Neil\\ ‘’“” `x` %s {{ y }} $1",
    );
}

fn long_texts(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    person.last_name = Some("Längster-Name ".repeat(14).trim_end().to_owned());
    let mut form = plain_form(number);
    form.fields.get_or_insert_default().push(field(
        364_095,
        9,
        Some("Story"),
        Some("Once upon a time — ".repeat(400)),
    ));
    person.crm_forms = Some(vec![Some(form)]);
}

fn spaces(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(person, "  Two  lead", "trail   ");
    person.contact_title = Some(" ".to_owned());
}

fn line_breaks(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    if let Some(Some(address)) = person.addresses.as_mut().and_then(|all| all.first_mut()) {
        address.address_line_1 = Some("c/o Reception\nLevel 3\tEast".to_owned());
        address.address_line_2 = Some("Line\r\nbreaks\r".to_owned());
    }
}

fn sentinels(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    person.date_of_birth = year_one();
    person.create_date = year_one();
}

fn far_future(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    let never = NaiveDate::from_ymd_opt(9999, 12, 31).and_then(|day| day.and_hms_opt(0, 0, 0));
    person.date_of_birth = never.unwrap_or_else(year_one);
}

fn absent_parts(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    let bare = Person::new(person.entity_id);
    *person = Person {
        external_id: person.external_id.take(),
        email_address: person.email_address.take(),
        first_name: person.first_name.take(),
        create_date: person.create_date,
        last_update_date: person.last_update_date,
        ..bare
    };
}

fn empty_strings(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    let empty = || Some(String::new());
    person.contact_title = empty();
    person.full_name = empty();
    person.first_name = empty();
    person.last_name = empty();
    person.username = empty();
    person.industry_type = empty();
    person.lead_source_type = empty();
    person.rating_type = empty();
    person.relationships = Some(Vec::new());
    person.addresses = Some(vec![Some(Address {
        address_type_id: 1,
        city: empty(),
        ..Address::default()
    })]);
    person.crm_forms = Some(vec![Some(Form {
        form_id: FORM_ID,
        form_name: empty(),
        fields: Some(Vec::new()),
    })]);
}

fn one_address(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    if let Some(all) = &mut person.addresses {
        all.truncate(1);
    }
}

fn three_phones(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    person.set_phone(3, "(02) 9999 0000 ext. 7");
    person.set_phone(4, "");
    person.set_phone(10, "https://example.org/?a=1&b=2");
    // Two of one type: a selector takes the first.
    if let Some(phones) = &mut person.phone_nos {
        phones.push(Some(Phone {
            phone_no_type_id: 5,
            phone_no: Some(format!("+44 7700 {number:06}")),
        }));
    }
}

fn email_as_phone(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    if let Some(email) = person.email_address.take() {
        person.set_phone(EMAIL_PHONE, &email);
    }
}

fn no_email(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    person.email_address = None;
    if let Some(phones) = &mut person.phone_nos {
        phones.retain(|item| !matches!(item, Some(phone) if phone.phone_no_type_id == EMAIL_PHONE));
    }
}

fn no_external_id(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    person.external_id = None;
}

fn unaddressable(seeded: &Seeded, person: &mut Person, number: u32, dice: &mut Dice) {
    no_email(seeded, person, number, dice);
    person.external_id = None;
}

fn email(person: &mut Person, address: &str) {
    person.email_address = Some(address.to_owned());
    person.set_phone(EMAIL_PHONE, address);
}

fn shared_email(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    email(person, &format!("household.{}@example.org", number / 100));
}

fn email_spellings(_: &Seeded, person: &mut Person, number: u32, dice: &mut Dice) {
    let address = match dice.below(4) {
        0 => format!("UPPER.Case.{number}@EXAMPLE.Org"),
        1 => format!("o'neil+tag{number}@example.org"),
        2 => format!("jürgen{number}@exämple.org"),
        _ => format!(
            "a.very.long.local.part.that.goes.on.and.on.{number}@a.long.sub.domain.of.example.org"
        ),
    };
    email(person, &address);
}

fn field(
    field_id: i32,
    field_type_id: i32,
    name: Option<&str>,
    value: Option<String>,
) -> Option<FormField> {
    Some(FormField {
        field_id,
        field_type_id,
        field_name: name.map(str::to_owned),
        field_value: value,
    })
}

fn plain_form(number: u32) -> Form {
    let company = field(
        364_091,
        1,
        Some("Company Name"),
        Some(format!("Company {number}")),
    );
    Form {
        form_id: FORM_ID,
        form_name: Some("Membership".to_owned()),
        fields: Some(vec![company]),
    }
}

fn forms(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    let values = [
        "text",
        "1234.50",
        "1",
        "2024-02-29T00:00:00",
        "One",
        "One,Two",
        "0",
        "/images/a.png",
        "line 1\nline 2",
        "a;b;c",
        "<a href=\"https://example.org\">link</a>&nbsp;",
        "",
    ];
    let every_type = values.iter().zip(1..).map(|(value, kind)| {
        field(
            900_000 + kind,
            kind,
            Some(&format!("Field {kind}")),
            Some((*value).to_owned()),
        )
    });
    let mut fields: Vec<_> = every_type.collect();
    fields.push(field(
        900_100,
        1,
        None,
        Some("a field without a name".to_owned()),
    ));
    fields.push(field(900_101, 1, Some("No value"), None));
    let survey = Form {
        form_id: 600_001,
        form_name: Some("Survey <2024> & \"more\"".to_owned()),
        fields: Some(fields),
    };
    let hollow = Form {
        form_id: 600_002,
        form_name: None,
        fields: None,
    };
    person.crm_forms = Some(vec![Some(plain_form(number)), Some(survey), Some(hollow)]);
}

fn nil_items(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    person.phone_nos.get_or_insert_default().insert(0, None);
    person.addresses.get_or_insert_default().push(None);
    let mut form = plain_form(number);
    form.fields.get_or_insert_default().insert(0, None);
    person.crm_forms = Some(vec![None, Some(form)]);
}

/// A stamp of the repeated hour of autumn, in its first or its second pass: the wall time looks the same.
fn fold_stamp(seeded: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    if let Some(fold) = seeded.fold {
        let minutes = i64::from(number % 120);
        person.last_update_date = seeded.wall(fold + Duration::minutes(minutes));
    }
}

fn deleted(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    person.deleted = true;
}

fn relationships(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    let to = |entity_id, entity_type, name: Option<&str>| {
        Some(Relationship {
            entity_id,
            entity_type,
            name: name.map(str::to_owned),
        })
    };
    person.relationships = Some(vec![to(1001, 1001, Some("Father & son")), to(-1, 2, None)]);
}

fn look_alikes(_: &Seeded, person: &mut Person, number: u32, _: &mut Dice) {
    person.external_id = Some(format!("00{number}"));
    name(person, "NULL", "TRUE");
    person.contact_title = Some("=1+1".to_owned());
    person.username = Some("1e5".to_owned());
    person.rating_type = Some("N/A".to_owned());
}

fn invisible(_: &Seeded, person: &mut Person, _: u32, _: &mut Dice) {
    name(
        person,
        "Ze\u{200b}ro\u{a0}Width",
        "👩\u{200d}👩\u{200d}👧 \u{feff}ＦＵＬＬ",
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::simulator::contactlist::seeded::Profile;
    use crate::simulator::contactlist::write::{Style, contact};

    fn people(count: u32) -> Vec<Person> {
        let seeded = Seeded::new(42, Profile::Awkward, chrono_tz::Australia::Sydney);
        (0..count).map(|number| seeded.person(number)).collect()
    }

    #[test]
    fn two_thousand_people_show_every_awkwardness() {
        let people = people(2000);
        let mut xml = String::new();
        people
            .iter()
            .for_each(|person| contact(person, Style::default(), &mut xml));
        for sign in [
            "李",
            "e\u{308}",
            "\u{200f}",
            "&lt;b&gt;",
            "&#xD;",
            "xsi:nil",
            "9999-12-31",
            "<firstName />",
            "<addresses><Address>",
            "]]&gt;",
            "👩",
        ] {
            assert!(xml.contains(sign), "{sign}");
        }
        let count = |test: fn(&Person) -> bool| people.iter().filter(|person| test(person)).count();
        assert!(count(|p| p.external_id.is_none() && p.email().is_none()) > 0);
        assert!(count(|p| p.email_address.is_none() && p.email().is_some()) > 0);
        assert!(count(|p| p.deleted) > 0);
        assert!(count(|p| p.phone_nos.as_ref().is_some_and(|all| all.len() >= 5)) > 0);
        let mut stamps: BTreeMap<_, usize> = BTreeMap::new();
        let mut emails: BTreeMap<_, usize> = BTreeMap::new();
        for person in &people {
            *stamps.entry(person.last_update_date).or_default() += 1;
            *emails.entry(person.email()).or_default() += 1;
        }
        assert!(
            stamps.values().any(|count| *count > 100),
            "more than a page of equal stamps"
        );
        assert!(
            emails
                .iter()
                .any(|(email, count)| email.is_some() && *count > 1),
            "shared e-mails"
        );
        let zone = chrono_tz::Australia::Sydney;
        let folded = people.iter().filter(|p| {
            matches!(
                zone.from_local_datetime(&p.last_update_date),
                chrono::LocalResult::Ambiguous(..)
            )
        });
        assert!(folded.count() > 1);
    }

    #[test]
    fn external_ids_stay_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for person in people(2000) {
            if let Some(key) = person.external_id {
                assert!(seen.insert(key));
            }
        }
    }
}
