//! Grows people from a seed: the same seed and number always give the same contact, on every machine.
//!
//! `Awkward` people hold what real sites hold and programs stumble over; the first of them show each awkwardness once.
//! `Plain` people are the contacts of about 2.5 KB that the benchmarks read.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::awkward;
use super::people::FIRST_ID;
use super::person::{Address, EMAIL_PHONE, Form, FormField, Person, Phone, year_one};
use crate::simulator::chance::{Dice, mix};

/// What kind of people are seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Awkward on purpose.
    #[default]
    Awkward,
    /// Complete contacts of about 2.5 KB of XML, each with an External ID and an e-mail address of its own.
    Plain,
}

/// A recipe for people.
#[derive(Clone)]
pub(super) struct Seeded {
    seed: u64,
    profile: Profile,
    pub(super) zone: Tz,
    /// The last repeated hour of the zone before `NEWEST`, as its first instant, if it ever has one.
    pub(super) fold: Option<DateTime<Utc>>,
}

pub(super) const FORM_ID: i32 = 542_957;

const FIRST_NAMES: [&str; 12] = [
    "Mary-Jane",
    "Łukasz",
    "D'Arcy",
    "Anna",
    "José",
    "Siobhán",
    "Tom",
    "Zoë",
    "Ngozi",
    "Björn",
    "Ida",
    "Wei",
];
const LAST_NAMES: [&str; 12] = [
    "Müller",
    "Smith-Jones",
    "Souza",
    "O'Neil",
    "Nguyễn",
    "van der Berg",
    "Kowalski",
    "Ørsted",
    "Lee",
    "Abbott",
    "Brown & Co",
    "García",
];
const CITIES: [(&str, &str, &str); 8] = [
    ("Sydney", "NSW", "AU"),
    ("Łódź", "", "PL"),
    ("San José", "CA", "US"),
    ("Perth", "WA", "AU"),
    ("Zürich", "ZH", "CH"),
    ("Leeds", "", "GB"),
    ("Montréal", "QC", "CA"),
    ("Hobart", "TAS", "AU"),
];
const TIERS: [&str; 3] = ["Member", "Prospect", "Lapsed"];

fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn pick(dice: &mut Dice, items: &[&'static str]) -> &'static str {
    dice.pick(items).copied().unwrap_or_default()
}

impl Seeded {
    pub(super) fn new(seed: u64, profile: Profile, zone: Tz) -> Self {
        Self {
            seed,
            profile,
            zone,
            fold: last_fold(zone),
        }
    }

    /// The contact of this number, counted from 0; its id follows from the number.
    pub(super) fn person(&self, number: u32) -> Person {
        let id = i32::try_from(number)
            .unwrap_or(i32::MAX - FIRST_ID)
            .saturating_add(FIRST_ID);
        let mut dice = Dice::new(self.seed ^ mix(u64::from(number)));
        let mut person = self.plain(id, number, &mut dice);
        if self.profile == Profile::Awkward {
            awkward::spoil(self, &mut person, number, &mut dice);
        }
        person
    }

    /// A complete contact.
    fn plain(&self, id: i32, number: u32, dice: &mut Dice) -> Person {
        let first = pick(dice, &FIRST_NAMES);
        let last = pick(dice, &LAST_NAMES);
        let email = format!("person.{number}@example.org");
        let mut person = Person::new(id);
        person.external_id = some(format!("M{number:06}"));
        person.email_address = some(email.clone());
        person.contact_title = some(pick(dice, &["Ms", "Mr", "Dr", "Mx"]));
        person.full_name = some(format!("{first} {last}"));
        person.first_name = some(first);
        person.last_name = some(last);
        person.username = some(format!("user{number}"));
        person.date_of_birth = birthday(dice);
        person.last_update_date = self.wall(self.instant(dice));
        person.create_date =
            person.last_update_date - Duration::days(200 + i64::from(number % 900));
        person.customer_type = some(pick(dice, &TIERS));
        person.industry_type = some(pick(dice, &["Education", "Health", "Retail"]));
        person.lead_source_type = some(pick(dice, &["Web form", "Referral", "Trade show"]));
        person.rating_type = some(pick(dice, &["Hot", "Warm", "Cold"]));
        person.addresses = Some(vec![
            Some(address(1, number, dice)),
            Some(address(8, number, dice)),
        ]);
        let phone = |phone_no_type_id, number: String| {
            Some(Phone {
                phone_no_type_id,
                phone_no: Some(number),
            })
        };
        person.phone_nos = Some(vec![
            phone(EMAIL_PHONE, email),
            phone(
                5,
                format!("+61 400 {:03} {:03}", number / 1000 % 1000, number % 1000),
            ),
            phone(1, format!("+61 2 {number:08}")),
        ]);
        person.crm_forms = Some(vec![Some(form(number, dice))]);
        person.master_opt_in = dice.once_in(2);
        person
    }

    /// An instant of the five years before 2026, to the second.
    pub(super) fn instant(&self, dice: &mut Dice) -> DateTime<Utc> {
        let span = 5 * 365 * 86_400;
        let second = i64::try_from(dice.below(span)).unwrap_or(0);
        Utc.with_ymd_and_hms(2021, 1, 1, 0, 0, 0)
            .single()
            .unwrap_or_default()
            + TimeDelta::seconds(second)
    }

    /// The site's wall time.
    pub(super) fn wall(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }
}

fn birthday(dice: &mut Dice) -> NaiveDateTime {
    let first = NaiveDate::from_ymd_opt(1930, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
    let days = i64::try_from(dice.below(28_000)).unwrap_or(0);
    first.map_or_else(year_one, |first| first + Duration::days(days))
}

fn address(kind: i32, number: u32, dice: &mut Dice) -> Address {
    let (city, state, country) = dice.pick(&CITIES).copied().unwrap_or_default();
    Address {
        address_type_id: kind,
        address_line_1: some(if kind == 1 {
            format!("{} High St", number % 400 + 1)
        } else {
            format!("PO Box {number}")
        }),
        address_line_2: some(if kind == 1 {
            format!("Flat {}", number % 30 + 1)
        } else {
            String::new()
        }),
        city: some(city),
        zipcode: some(format!("{:04}", number % 10_000)),
        state: some(state),
        country_code: some(country),
    }
}

fn form(number: u32, dice: &mut Dice) -> Form {
    let note = "Prefers to be called in the morning; asked for the printed programme, large type. ";
    let field = |field_id, field_type_id, name: &str, value: String| {
        Some(FormField {
            field_id,
            field_type_id,
            field_name: some(name),
            field_value: Some(value),
        })
    };
    Form {
        form_id: FORM_ID,
        form_name: some("Membership"),
        fields: Some(vec![
            field(364_091, 1, "Company Name", format!("Company {number}")),
            field(364_092, 1, "Not mapped", "keep me".to_owned()),
            field(
                364_093,
                3,
                "Newsletter",
                if dice.once_in(2) { "1" } else { "0" }.to_owned(),
            ),
            field(364_094, 9, "Notes", note.repeat(6).trim_end().to_owned()),
        ]),
    }
}

/// The first instant of the last repeated hour of this zone before 2026, searched by the hour.
fn last_fold(zone: Tz) -> Option<DateTime<Utc>> {
    let end = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single()?;
    (1..366 * 24)
        .map(|hour| end - Duration::hours(hour))
        .find(|instant| {
            let wall = instant.with_timezone(&zone).naive_local();
            zone.from_local_datetime(&wall)
                .earliest()
                .is_some_and(|first| first.with_timezone(&Utc) == *instant)
                && matches!(
                    zone.from_local_datetime(&wall),
                    chrono::LocalResult::Ambiguous(..)
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::contactlist::write::{Style, contact};

    #[test]
    fn the_same_seed_gives_the_same_people_and_another_others() {
        let zone = chrono_tz::Australia::Sydney;
        for profile in [Profile::Awkward, Profile::Plain] {
            let (one, two) = (Seeded::new(1, profile, zone), Seeded::new(1, profile, zone));
            let other = Seeded::new(2, profile, zone);
            assert!((0..200).all(|number| one.person(number) == two.person(number)));
            assert!((0..200).any(|number| one.person(number) != other.person(number)));
        }
    }

    #[test]
    fn a_plain_contact_takes_about_two_and_a_half_kilobytes() {
        let seeded = Seeded::new(9, Profile::Plain, chrono_tz::UTC);
        let mut out = String::new();
        (0..1000).for_each(|number| contact(&seeded.person(number), Style::default(), &mut out));
        let each = out.len() / 1000;
        assert!((2350..2650).contains(&each), "{each}");
    }

    #[test]
    fn the_last_fold_of_sydney_is_in_april() {
        let zone = chrono_tz::Australia::Sydney;
        let fold = Seeded::new(1, Profile::Plain, zone).fold.unwrap();
        assert_eq!(
            fold.with_timezone(&zone).naive_local().to_string(),
            "2025-04-06 02:00:00"
        );
        assert_eq!(Seeded::new(1, Profile::Plain, chrono_tz::UTC).fold, None);
    }
}
