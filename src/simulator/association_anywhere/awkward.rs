//! What makes seeded customers awkward: each of these is legal, occurs at real sites, and breaks programs.

use crate::simulator::chance::Dice;

use super::customer::{Customer, Node};
use super::seeded::{email, membership};

/// Beyond this number customers are spoiled by chance.
pub(super) const SHOWCASE: u32 = 32;

/// The awkwardnesses, each with the number of the first customer that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awkwardness {
    /// Text with the signs of XML, in CDATA and not; CDATA that holds the end of a CDATA section.
    Markup,
    /// Letters of many alphabets, some outside of any single-byte set, and one outside of the first plane.
    Alphabets,
    /// No preferred e-mail address.
    NothingPreferred,
    /// A bad address among good ones, and that one preferred.
    BadPreferred,
    /// Sections that are missing although they are asked for.
    MissingSections,
    /// Empty names and an empty login.
    Empty,
    /// A biography of 60 KB with lines.
    LongText,
    /// A section that nobody knows, with a tree inside.
    UnknownSection,
    /// Fields called status and error deep inside, which are nobody's failure.
    InnerStatus,
    /// A customer type of the association's own, several roles.
    OwnType,
    /// No membership, no job: nothing but a name.
    Bare,
    /// A field that nobody knows, and one that comes twice.
    StrangeFields,
    /// Spaces and tabs at both ends, a line break and a no-break space within.
    Spaces,
    /// Dates as other procedures write them, and one that is none.
    Dates,
    /// Twenty memberships of the same subgroup.
    Many,
}

const ALL: [Awkwardness; 15] = [
    Awkwardness::Markup,
    Awkwardness::Alphabets,
    Awkwardness::NothingPreferred,
    Awkwardness::BadPreferred,
    Awkwardness::MissingSections,
    Awkwardness::Empty,
    Awkwardness::LongText,
    Awkwardness::UnknownSection,
    Awkwardness::InnerStatus,
    Awkwardness::OwnType,
    Awkwardness::Bare,
    Awkwardness::StrangeFields,
    Awkwardness::Spaces,
    Awkwardness::Dates,
    Awkwardness::Many,
];

/// Makes a customer awkward, or leaves it as it is.
pub(super) fn spoil(customer: &mut Customer, number: u32, dice: &mut Dice) {
    // Two for each: every other number of the showcase stays plain, and companies stand among them.
    let shown = usize::try_from(number / 2)
        .ok()
        .filter(|_| number.is_multiple_of(2));
    let chosen = match shown.and_then(|place| ALL.get(place)) {
        Some(chosen) => Some(*chosen),
        None if number >= SHOWCASE && dice.once_in(8) => dice.pick(&ALL).copied(),
        None => None,
    };
    if let Some(chosen) = chosen {
        apply(customer, chosen, number);
    }
}

fn apply(customer: &mut Customer, awkwardness: Awkwardness, number: u32) {
    match awkwardness {
        Awkwardness::Markup => {
            customer
                .name
                .set("lastName", "Quill & <Partners> \"&amp;\" ]]>");
            customer.add("aliases", Node::cdata("alias", "a ]]> b & <c>"));
        }
        Awkwardness::Alphabets => {
            customer.name.set("firstName", "Ελένη");
            customer.name.set("lastName", "Nguyễn-Иванова");
            customer.name.set("informalName", "李 😀");
            customer.name.set("displayName", "“Zoë” – naïve café €");
        }
        Awkwardness::NothingPreferred => {
            for item in &mut customer.section_mut("emails").children {
                item.set("preferred", "false");
                item.set("best", "false");
            }
        }
        Awkwardness::BadPreferred => {
            customer.set("emails", 0, "badAddress", "true");
            customer.set("addresses", 0, "badAddress", "true");
        }
        Awkwardness::MissingSections => {
            let missing = ["phones", "emails", "websites", "custDimAttrs"];
            customer
                .sections
                .retain(|section| !missing.contains(&section.name.as_str()));
        }
        Awkwardness::Empty => {
            customer.login_id.clear();
            for field in &mut customer.name.children {
                field.text.clear();
            }
            customer.section_mut("emails").children.clear();
            customer.section_mut("phones").children.clear();
        }
        Awkwardness::LongText => {
            let line = "Served the association in many ways & places, naïvely.\n";
            *customer.section_mut("bio") = Node::cdata("bio", line.repeat(1100));
        }
        Awkwardness::UnknownSection => {
            let award = Node::branch(
                "award",
                vec![
                    Node::leaf("awardName", "Gold Pen"),
                    Node::leaf("year", "2019"),
                    Node::branch(
                        "jury",
                        vec![Node::leaf("member", "A"), Node::leaf("member", "B")],
                    ),
                ],
            );
            customer.add("awards", award);
        }
        Awkwardness::InnerStatus => {
            let exam = [
                ("code", "HYD-1"),
                ("status", "FAILURE"),
                ("error", "No show"),
            ];
            customer.add("certifications", Node::record("certification", &exam));
        }
        Awkwardness::OwnType => {
            customer.cust_type = "SP".to_owned();
            customer.add("roles", Node::leaf("role", "SPEAKER"));
            customer.add("roles", Node::leaf("role", ""));
        }
        Awkwardness::Bare => customer.sections.clear(),
        Awkwardness::StrangeFields => {
            customer.set("addresses", 0, "plusFour", "0001");
            let again = Node::leaf("city", "Elsewhere");
            customer
                .section_mut("addresses")
                .children
                .iter_mut()
                .take(1)
                .for_each(|item| {
                    item.children.push(again.clone());
                });
            customer.add("emails", email(number, 2, "", ""));
        }
        Awkwardness::Spaces => {
            customer.name.set("firstName", "  Ann\tMarie ");
            customer.set("addresses", 0, "street1", "Unit 1\nSample\u{a0}Way");
        }
        Awkwardness::Dates => {
            customer.set("jobs", 0, "startDate", "2021-03-15");
            customer.set("memberships", 0, "joinDate", "03/15/2021 13:45:00");
            customer.set("memberships", 0, "expirationDate", "31-DEC-99");
            customer.set("subscriptions", 0, "startDate", "ongoing");
        }
        Awkwardness::Many => {
            for year in 0..20 {
                let joined = format!("01/01/{}", 2000 + year);
                customer.add(
                    "memberships",
                    membership("CHAP", "Chapter", "ACTIVE", &joined, "12/31/2099"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::association_anywhere::seeded::{Profile, Seeded};

    #[test]
    fn the_showcase_shows_every_awkwardness_once() {
        let seeded = |profile| Seeded { seed: 9, profile };
        let spoiled: Vec<u32> = (0..SHOWCASE)
            .filter(|number| {
                let plain = seeded(Profile::Plain).customer(*number);
                let mut customer = plain.clone();
                spoil(&mut customer, *number, &mut Dice::new(1));
                customer != plain
            })
            .collect();
        let expected: Vec<u32> = (0..30).step_by(2).collect();
        assert_eq!(spoiled, expected);
        let long = seeded(Profile::Awkward).customer(12);
        assert!(long.section("bio").unwrap().text.len() > 60_000);
        assert!(
            seeded(Profile::Awkward)
                .customer(14)
                .section("awards")
                .is_some()
        );
    }
}
