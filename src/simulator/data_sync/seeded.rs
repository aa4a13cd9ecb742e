//! Grows customers and transactions from a seed: the same seed and number always give the same ones, on every machine.
//!
//! `Awkward` ones hold what real systems hold and programs stumble over; the first of them show each awkwardness once.

use crate::simulator::chance::{Dice, mix};
use crate::simulator::names::{FIRST_NAMES, LAST_NAMES};

use super::customer::Customer;
use super::json::Json;
use super::transaction::Transaction;

/// What kind of customers are seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Awkward on purpose.
    #[default]
    Awkward,
    /// Complete individuals, each with an e-mail address of its own.
    Plain,
}

/// The id of the first seeded customer.
const FIRST_ID: u64 = 90_000;
/// More parts than any table of one screen; an export of a shop's "walk-in" customer looks like this.
const MANY: usize = 200;

const CITIES: [(&str, &str, &str); 5] = [
    ("Exampleton", "VA", "US"),
    ("San José", "CA", "US"),
    ("Montréal", "QC", "CA"),
    ("Łódź", "", "PL"),
    ("Hobart", "TAS", "AU"),
];

type Spoiler = fn(Customer) -> Customer;

/// Each awkwardness: the customer of number n has the n-th for certain, later ones a few by chance.
const SPOILERS: [Spoiler; 16] = [
    |customer| customer.named("\"Quoted\" \\ back", None, Some("{\"a\":[1,\"\\u0041\"]}")),
    |customer| customer.named("NUL\0inside", Some("\u{1}\u{7f}"), Some("\0")),
    |customer| customer.named("😀🏳️‍🌈", None, Some("𝒬𝓊𝒾𝓁𝓁 𠜎")),
    |customer| customer.named("عائشة", None, Some("\u{202e}كوين\u{202c}")),
    |customer| customer.named("e\u{301}ve\u{301}", None, Some("line\u{2028}sep\u{2029}")),
    |customer| customer.named("  spaces\t", Some(""), Some("two\r\nlines\n")),
    |customer| customer.named("<b>&amp;</b>", None, Some("'; DROP TABLE x; --")),
    // Nothing repeats, and nothing but the id is there.
    |customer| Customer::new(customer.id()),
    |customer| customer.with("customerNotes", Json::Null),
    |customer| {
        customer
            .with("alternateKey", Json::Null)
            .with("customerCards.instrument", Json::Null)
    },
    // A lone object where a list is expected.
    |customer| {
        let note = Json::object([
            ("value", Json::from("alone")),
            ("sequence", Json::number(1)),
        ]);
        customer.with("customerNotes.customerNote", note)
    },
    |customer| {
        customer
            .with("prospect", "TRUE")
            .with("validation.validFlag", true)
            .with("entityInformation.individual.personalSummary.rent", "Y")
            .with("organizationKey", Json::number("12345678901234567890.10"))
    },
    |customer| {
        customer
            .with("preferenceCenters", Json::parse(r#"{"preferenceCenter":[{"preferenceTypeId":3,"preferenceCenterChannel":[{"channelTypeCode":"SMS","optInFlag":"true"}]}]}"#))
            .with("maskData", false)
    },
    |customer| {
        customer
            .with("orgName", "Quill & Söhne GmbH")
            .with("businessName", "Quill")
            .with(
                "entityInformation.individual.name.name",
                Json::List(Vec::new()),
            )
    },
    many,
    |customer| customer.note(&"Sixty thousand. ".repeat(3_750)),
];
/// The last ones are large: shown once each, not by chance.
const LARGE: usize = 2;

fn many(mut customer: Customer) -> Customer {
    for number in 0..MANY {
        customer = customer
            .note(&format!("note {number}"))
            .card(&format!("4000{number:012}"))
            .franchisee(
                u32::try_from(number).unwrap_or(0),
                &format!("Shop {number} "),
            )
            .attribute(&format!("attribute {number}"), &["a", "b", ""])
            .email(&format!("many{number}@example.org"));
    }
    customer
}

/// A recipe for customers and transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded {
    pub(super) seed: u64,
    pub(super) profile: Profile,
}

fn pick(dice: &mut Dice, items: &[&'static str]) -> &'static str {
    dice.pick(items).copied().unwrap_or_default()
}

fn date(dice: &mut Dice, from: u64, years: u64) -> String {
    let year = from + dice.below(years);
    format!(
        "{year:04}-{:02}-{:02}",
        1 + dice.below(12),
        1 + dice.below(28)
    )
}

impl Seeded {
    /// The id of the customer of this number, counted from 0.
    pub(super) fn id(number: u64) -> String {
        (FIRST_ID + number).to_string()
    }

    /// The customer of this number.
    pub(super) fn customer(self, number: u64) -> Customer {
        let mut dice = Dice::new(self.seed ^ mix(number));
        let mut customer = individual(number, &mut dice);
        if self.profile == Profile::Awkward {
            match usize::try_from(number).ok().and_then(|at| SPOILERS.get(at)) {
                Some(spoil) => customer = spoil(customer),
                None => {
                    for _ in 0..dice.below(3) {
                        if let Some(spoil) = dice.pick(&SPOILERS[..SPOILERS.len() - LARGE]) {
                            customer = spoil(customer);
                        }
                    }
                }
            }
        }
        customer
    }

    /// The transaction of this number, of that customer.
    pub(super) fn transaction(self, number: u64, customer: &str) -> Transaction {
        let mut dice = Dice::new(self.seed ^ mix(!number));
        let id = format!("99901{:03}{number:014}", 2);
        let items = usize::try_from(dice.below(4)).unwrap_or(0);
        let cents = 100 + dice.below(500_000);
        let offset = pick(&mut dice, &["+0530", "-0800", "+0000"]);
        let mut sale = Transaction::sale(&id, customer, 10_000_000 + number, cents, items);
        sale.offset(offset);
        if self.profile == Profile::Awkward && number.is_multiple_of(5) {
            sale = sale.property("GIFT\0", "\"😀\" \\ ").with("notes", "");
        }
        sale
    }
}

fn individual(number: u64, dice: &mut Dice) -> Customer {
    let (first, last) = (pick(dice, &FIRST_NAMES), pick(dice, &LAST_NAMES));
    let (city, territory, country) = dice.pick(&CITIES).copied().unwrap_or_default();
    let middle = dice.once_in(2).then_some("Ann");
    let summary = "entityInformation.individual.personalSummary";
    let mut customer = Customer::new(&Seeded::id(number))
        .named(first, middle, Some(last))
        .with("signupDate", date(dice, 2015, 10))
        .with("customerNumber", format!("C-{number:06}"))
        .with(&format!("{summary}.birthDate"), date(dice, 1940, 65))
        .with(
            &format!("{summary}.genderType"),
            pick(dice, &["FEMALE", "MALE", "OTHER"]),
        )
        .address(
            &format!("{} Sample Way", 1 + dice.below(200)),
            city,
            territory,
            &format!("{:05}", dice.below(100_000)),
            country,
        )
        .telephone(&format!("+1 555 {:07}", dice.below(10_000_000)))
        .email(&format!("customer{number}@example.org"))
        .alternate_key(&format!("L{number}"), "LOYALTY")
        .franchisee(2, "Demo ");
    for contact in ["MAIL", "PHONE", "FAX", "EMAIL"] {
        customer = customer.consent(contact, dice.once_in(2));
    }
    customer
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWKWARD: Seeded = Seeded {
        seed: 1,
        profile: Profile::Awkward,
    };

    #[test]
    fn the_same_seed_grows_the_same_customers() {
        for number in [0, 3, 40, 100_000] {
            assert_eq!(AWKWARD.customer(number), AWKWARD.customer(number));
        }
        let other = Seeded { seed: 2, ..AWKWARD };
        assert_ne!(AWKWARD.customer(40), other.customer(40));
        assert_ne!(AWKWARD.transaction(1, "a"), other.transaction(1, "a"));
    }

    #[test]
    fn every_seeded_payload_can_be_read_and_says_whose_it_is() {
        for number in 0..60 {
            let customer = AWKWARD.customer(number);
            assert_eq!(customer.id(), Seeded::id(number));
            let text = customer.body.to_string();
            assert_eq!(Json::parse(&text), Some(customer.body), "{number}");
        }
    }

    #[test]
    fn the_first_customers_show_what_is_awkward() {
        let all: String = (0..SPOILERS.len() as u64)
            .map(|number| AWKWARD.customer(number).body.to_string())
            .collect();
        for sign in [
            "\\u0000",
            "😀",
            "\u{2028}",
            "\\\"Quoted\\\"",
            "\"instrument\":null",
        ] {
            assert!(all.contains(sign), "{sign}");
        }
        assert_eq!(
            AWKWARD.customer(14).body.count("customerCards.instrument"),
            MANY
        );
        assert_eq!(AWKWARD.customer(7), Customer::new("90007"));
    }
}
