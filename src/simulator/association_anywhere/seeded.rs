//! Grows customers from a seed: the same seed and number always give the same customer, on every machine, in microseconds.
//!
//! `Awkward` ones hold what real sites hold and programs stumble over; the first of them show each awkwardness once.
//! `Plain` ones are complete individuals of about 4 KB.

use crate::simulator::chance::{Dice, mix};
use crate::simulator::names::{FIRST_NAMES, LAST_NAMES};

use super::awkward;
use super::customer::{Customer, Node};

/// What kind of customers are seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Awkward on purpose.
    #[default]
    Awkward,
    /// Complete individuals, each with an e-mail address of its own.
    Plain,
}

/// Every so many-th customer is a company.
const COMPANY_EVERY: u32 = 12;
/// The first of them.
const COMPANY_FIRST: u32 = 5;
/// Suffixes such as `_SC` stand behind real ids (association-anywhere.md §5).
const COMPANY_SUFFIX: &str = "_SC";

const CITIES: [(&str, &str, &str, &str); 6] = [
    ("Exampleton", "VA", "USA", "United States"),
    ("San José", "CA", "USA", "United States"),
    ("Montréal", "QC", "CAN", "Canada"),
    ("Łódź", "", "POL", "Poland"),
    ("Zürich", "ZH", "CHE", "Switzerland"),
    ("Hobart", "TAS", "AUS", "Australia"),
];
const SPECIALTIES: [(&str, &str); 3] = [
    ("HYD", "Hydrology"),
    ("SOIL", "Soil & Rock"),
    ("CLIM", "Climate"),
];

/// A recipe for customers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded {
    pub(super) seed: u64,
    pub(super) profile: Profile,
}

fn pick(dice: &mut Dice, items: &[&'static str]) -> &'static str {
    dice.pick(items).copied().unwrap_or_default()
}

/// `MM/DD/YYYY` (§10).
pub(super) fn date(dice: &mut Dice, from: u64, years: u64) -> String {
    format!(
        "{:02}/{:02}/{:04}",
        1 + dice.below(12),
        1 + dice.below(28),
        from + dice.below(years)
    )
}

impl Seeded {
    fn is_company(self, number: u32) -> bool {
        self.profile == Profile::Awkward && number % COMPANY_EVERY == COMPANY_FIRST
    }

    /// The id of the customer of this number, counted from 0: seven digits with leading zeros, or a suffix.
    pub(super) fn id(self, number: u32) -> String {
        if self.is_company(number) {
            format!("{number:04}{COMPANY_SUFFIX}")
        } else {
            format!("{number:07}")
        }
    }

    /// The number of the customer of this id; nothing for an id that no seeded customer has.
    pub(super) fn number(self, id: &str) -> Option<u32> {
        let digits = id.strip_suffix(COMPANY_SUFFIX).unwrap_or(id);
        let number = digits.parse().ok()?;
        (self.id(number) == id).then_some(number)
    }

    /// The customer of this number.
    pub(super) fn customer(self, number: u32) -> Customer {
        let mut dice = Dice::new(self.seed ^ mix(u64::from(number)));
        if self.is_company(number) {
            return self.company(number, &mut dice);
        }
        let mut customer = self.individual(number, &mut dice);
        if self.profile == Profile::Awkward {
            awkward::spoil(&mut customer, number, &mut dice);
        }
        customer
    }

    fn individual(self, number: u32, dice: &mut Dice) -> Customer {
        let first = pick(dice, &FIRST_NAMES);
        let last = pick(dice, &LAST_NAMES);
        let mut customer = Customer::individual(&self.id(number), first, last);
        customer.login_id = format!("user{number}");
        customer
            .name
            .set("prefixName", pick(dice, &["Ms.", "Mr.", "Dr.", "Mx."]));
        customer.name.set("informalName", first);
        customer
            .name
            .set("degreeName", pick(dice, &["", "PhD", "MSc"]));
        let role = pick(dice, &["PRIMARY", "ASSOCIATE"]);
        let member = date(dice, 2010, 14);
        let employer = number - number % COMPANY_EVERY + COMPANY_FIRST;
        customer.sections = vec![
            Node::branch("roles", vec![Node::leaf("role", role)]),
            Node::branch(
                "addresses",
                vec![
                    address(number, 0, "WORK", dice),
                    address(number, 1, "HOME", dice),
                ],
            ),
            Node::branch(
                "phones",
                vec![phone(number, 0, "WORK"), phone(number, 1, "CELL")],
            ),
            Node::branch(
                "emails",
                vec![
                    email(number, 0, "WORK", &format!("person.{number}@example.org")),
                    email(number, 1, "HOME", &format!("home.{number}@example.net")),
                ],
            ),
            Node::branch("websites", vec![website(number)]),
            Node::branch(
                "jobs",
                vec![
                    job(
                        &self.id(employer),
                        "Analyst",
                        &date(dice, 2015, 9),
                        "",
                        true,
                    ),
                    job(
                        &self.id(employer),
                        "Trainee",
                        &date(dice, 2008, 4),
                        "06/30/2014",
                        false,
                    ),
                ],
            ),
            Node::branch("employmentAttributes", Vec::new()),
            Node::branch(
                "committeePositions",
                vec![
                    position("FIN", "Finance", "MEM", "Member", "01/01/2022", ""),
                    position("ETH", "Ethics", "CHR", "Chair", "01/01/2012", "12/31/2015"),
                ],
            ),
            Node::branch(
                "memberships",
                vec![
                    membership("NATL", "National", "ACTIVE", &member, "12/31/2099"),
                    membership("CHAP", "Chapter", "LAPSED", "02/01/2009", "12/31/2013"),
                ],
            ),
            Node::branch(
                "subscriptions",
                vec![
                    subscription("JRNL", "Journal", "ACTIVE", "01/01/2020", "12/31/2099"),
                    subscription("NEWS", "Newsletter", "EXPIRED", "01/01/2010", "12/31/2012"),
                ],
            ),
            Node::branch(
                "communicationPreferences",
                vec![Node::record(
                    "communicationPreference",
                    &[
                        ("code", "EMAIL"),
                        ("codeDescr", "Electronic mail"),
                        ("optIn", if dice.once_in(2) { "true" } else { "false" }),
                    ],
                )],
            ),
            Node::branch("customerAttributes", attributes(dice)),
            Node::branch(
                "custDimAttrs",
                vec![Node::record(
                    "custDimAttr",
                    &[
                        ("dimension", "REGION"),
                        ("code", pick(dice, &["N", "S", "E", "W"])),
                        ("codeDescr", "Region"),
                    ],
                )],
            ),
            Node::leaf("bio", format!("Member no. {number}.")),
            Node::branch("aliases", Vec::new()),
            Node::branch("companyAdmins", Vec::new()),
            Node::branch("certifications", Vec::new()),
            Node::branch("employees", Vec::new()),
            Node::branch("referralInfo", Vec::new()),
            Node::branch("files", Vec::new()),
        ];
        customer
    }

    fn company(self, number: u32, dice: &mut Dice) -> Customer {
        let company = company_name(number);
        let employee = number - COMPANY_FIRST;
        let mut customer = Customer::individual(&self.id(number), "", "");
        customer.cust_type = "C".to_owned();
        customer.name = Node::branch(
            "name",
            vec![
                Node::cdata("companyName", company.clone()),
                Node::leaf("displayName", company),
            ],
        );
        customer.sections = vec![
            Node::branch("roles", vec![Node::leaf("role", "COMPANY")]),
            Node::branch("addresses", vec![address(number, 0, "WORK", dice)]),
            Node::branch("phones", vec![phone(number, 0, "WORK")]),
            Node::branch(
                "emails",
                vec![email(
                    number,
                    0,
                    "WORK",
                    &format!("office.{number}@example.com"),
                )],
            ),
            Node::branch("websites", vec![website(number)]),
            Node::branch(
                "memberships",
                vec![{
                    let mut item =
                        membership("CORP", "Corporate", "ACTIVE", "01/01/2018", "12/31/2099");
                    item.children.push(Node::branch(
                        "slots",
                        vec![
                            slot(&self.id(employee), "ACTIVE"),
                            slot(&self.id(employee + 1), "INACTIVE"),
                        ],
                    ));
                    item
                }],
            ),
            Node::branch(
                "companyAdmins",
                vec![Node::record(
                    "companyAdmin",
                    &[("custId", &self.id(employee))],
                )],
            ),
            // Somebody else's id inside a customer: not another customer of the answer.
            Node::branch(
                "employees",
                vec![Node::record(
                    "employee",
                    &[("custId", &self.id(employee)), ("titleName", "Analyst")],
                )],
            ),
        ];
        customer
    }
}

fn company_name(number: u32) -> String {
    format!("Quill & Partners <{number}>")
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A key that no other record of its kind has.
fn serno(number: u32, place: u32) -> String {
    (u64::from(number) * 10 + u64::from(place) + 1).to_string()
}

fn address(number: u32, place: u32, kind: &str, dice: &mut Dice) -> Node {
    let (city, state, code, country) = dice.pick(&CITIES).copied().unwrap_or_default();
    Node::record(
        "address",
        &[
            ("addressSerno", &serno(number, place)),
            ("addressType", kind),
            (
                "addressTypeDescr",
                if kind == "WORK" { "Work" } else { "Home" },
            ),
            ("best", flag(place == 0)),
            ("preferred", flag(place == 0)),
            ("street1", &format!("{} Sample Way", 1 + number % 900)),
            ("street2", ""),
            ("street3", ""),
            ("city", city),
            ("state", state),
            ("postalCode", &format!("{:05}", number % 100_000)),
            ("countryCode", code),
            ("countryDescr", country),
            ("badAddress", "false"),
        ],
    )
}

fn phone(number: u32, place: u32, kind: &str) -> Node {
    Node::record(
        "phone",
        &[
            ("phoneSerno", &serno(number, place)),
            ("phoneType", kind),
            (
                "phoneTypeDescr",
                if kind == "WORK" { "Work" } else { "Mobile" },
            ),
            ("best", flag(place == 0)),
            ("preferred", "false"),
            ("number", &format!("555-{:04}", (number + place) % 10_000)),
            ("ext", if place == 0 { "7" } else { "" }),
        ],
    )
}

pub(super) fn email(number: u32, place: u32, kind: &str, address: &str) -> Node {
    Node::record(
        "email",
        &[
            ("emailSerno", &serno(number, place)),
            ("emailType", kind),
            (
                "emailTypeDescr",
                if kind == "WORK" { "Work" } else { "Home" },
            ),
            ("best", flag(place == 0)),
            ("preferred", flag(place == 0)),
            ("address", address),
            ("badAddress", "false"),
        ],
    )
}

fn website(number: u32) -> Node {
    Node::record(
        "website",
        &[
            ("websiteSerno", &serno(number, 0)),
            ("websiteType", "WORK"),
            ("websiteTypeDescr", "Work"),
            ("best", "true"),
            ("preferred", "true"),
            (
                "address",
                &format!("https://www.example.org/?m={number}&t=1"),
            ),
            ("badAddress", "false"),
        ],
    )
}

fn job(employer: &str, title: &str, start: &str, end: &str, current: bool) -> Node {
    Node::branch(
        "job",
        vec![
            Node::cdata("employerName", "Quill & Partners"),
            Node::leaf("employerId", employer),
            Node::leaf("titleName", title),
            Node::leaf("startDate", start),
            Node::leaf("endDate", end),
            Node::leaf("best", flag(current)),
            Node::leaf("preferred", flag(current)),
        ],
    )
}

fn position(id: &str, name: &str, code: &str, descr: &str, start: &str, end: &str) -> Node {
    Node::record(
        "committeePosition",
        &[
            ("subgroupId", id),
            ("subgroupName", name),
            ("committeeType", "STANDING"),
            ("committeeGrpDescr", "Standing committees"),
            ("committeeDescr", name),
            ("positionCode", code),
            ("positionDescr", descr),
            ("startDate", start),
            ("endDate", end),
        ],
    )
}

pub(super) fn membership(id: &str, name: &str, status: &str, join: &str, expire: &str) -> Node {
    Node::record(
        "membership",
        &[
            ("subgroupId", id),
            ("subgroupName", name),
            ("subgroupType", "ASSOC"),
            ("subgroupTypeDescr", "Association"),
            ("member", flag(status == "ACTIVE")),
            ("statusCode", status),
            (
                "statusDescr",
                if status == "ACTIVE" {
                    "Active"
                } else {
                    "Lapsed"
                },
            ),
            ("classCode", "REG"),
            ("classSubclassDescr", "Regular"),
            ("directOrInherited", "DIRECT"),
            ("joinDate", join),
            ("expirationDate", expire),
        ],
    )
}

fn slot(id: &str, status: &str) -> Node {
    Node::record("slot", &[("custId", id), ("statusCode", status)])
}

fn subscription(code: &str, name: &str, status: &str, start: &str, end: &str) -> Node {
    Node::record(
        "subscription",
        &[
            ("publicationCode", code),
            ("publicationDescr", name),
            ("statusCode", status),
            ("startDate", start),
            ("expirationDate", end),
        ],
    )
}

fn attribute(kind: &str, name: &str, fields: &[(&str, &str)]) -> Node {
    let mut node = Node::record("customerAttribute", &[("type", kind), ("typeName", name)]);
    for field in ["code", "codeDescr", "char", "number", "date"] {
        let given = fields.iter().find(|(name, _)| *name == field);
        node.set(field, given.map_or("", |(_, text)| *text));
    }
    node
}

fn attributes(dice: &mut Dice) -> Vec<Node> {
    let (code, descr) = dice.pick(&SPECIALTIES).copied().unwrap_or_default();
    let number = format!("{}.5", dice.below(100));
    let day = date(dice, 1950, 50);
    vec![
        attribute("SPEC", "Specialty", &[("code", code), ("codeDescr", descr)]),
        attribute("SHOE", "Shoe size", &[("number", &number)]),
        attribute("BORN", "Date of birth", &[("date", &day)]),
        // Without any value: shown to those who ask for all.
        attribute("NICK", "Nickname", &[]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_number_and_no_other_text_does() {
        let seeded = Seeded {
            seed: 1,
            profile: Profile::Awkward,
        };
        for number in (0..2000).chain([299_999, 300_005]) {
            assert_eq!(seeded.number(&seeded.id(number)), Some(number));
        }
        assert_eq!(seeded.id(17), "0017_SC");
        assert_eq!(seeded.id(18), "0000018");
        for foreign in [
            "18", "000018", "00000018", "0000017", "0018_SC", "_SC", "", "x",
        ] {
            assert_eq!(seeded.number(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_same_seed_and_number_give_the_same_customer() {
        let seeded = |seed| Seeded {
            seed,
            profile: Profile::Awkward,
        };
        assert_eq!(seeded(1).customer(40), seeded(1).customer(40));
        assert_ne!(seeded(1).customer(40), seeded(2).customer(40));
        assert_ne!(seeded(1).customer(40), seeded(1).customer(41));
    }
}
