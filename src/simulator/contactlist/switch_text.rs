//! Faults and quirks as text: `lose-answer=0.05`, `delay@ContactList_Retrieve=200ms/0.1`, `order=shuffled`.

use std::str::FromStr;
use std::time::Duration;

use crate::simulator::rules::When;
use crate::simulator::switch_value::{
    Parts, duration_from, number, or, parameter_and_when, parts, share_from, when_from,
};

use super::switches::{
    Arrays, Deletion, EmptyList, EmptyString, Fault, KnownEmail, Mangle, MissingString,
    MoreRecords, NotFound, Order, Quirks, Rule, Switches,
};
use super::write::EmailShown;

impl Switches {
    /// Turns one switch, written as `NAME`, `NAME=VALUE` or `NAME@OPERATION=VALUE`.
    ///
    /// A fault's value says when it strikes: a share (`0.05`), a request's number (`#3`, `#2-4`), or nothing for
    /// always; a fault that needs a parameter has it first (`delay=200ms/0.1`). The error is one sentence.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let Parts {
            name,
            operation,
            value,
        } = parts(text);
        let operation = operation.map(str::parse).transpose()?;
        if let Some((fault, when)) = fault_from(name, value)? {
            self.rules.push(Rule {
                fault,
                when,
                operation,
            });
            return Ok(());
        }
        if operation.is_some() {
            return Err(format!(
                "\"{name}\" is not a fault, so it takes no operation"
            ));
        }
        self.quirks.set(name, value.unwrap_or(""))
    }
}

impl FromStr for Switches {
    type Err = String;

    /// Reads switches divided by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut switches = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            switches.set(part)?;
        }
        Ok(switches)
    }
}

fn fault_from(name: &str, value: Option<&str>) -> Result<Option<(Fault, When)>, String> {
    let simple = match name {
        "lose-request" => Some(Fault::LoseRequest),
        "lose-answer" => Some(Fault::LoseAnswer),
        "html" => Some(Fault::Html),
        "fault-with-200" => Some(Fault::FaultWith200),
        "fault-before" => Some(Fault::FaultBefore),
        "fault-after" => Some(Fault::FaultAfter),
        "refuse-credentials" => Some(Fault::Refused),
        "wrong-length" => Some(Fault::WrongLength),
        "empty-body" => Some(Fault::EmptyBody),
        "wrong-operation" => Some(Fault::WrongOperation),
        _ => None,
    };
    if let Some(fault) = simple {
        return Ok(Some((fault, when_from(value)?)));
    }
    let (parameter, when) = parameter_and_when(value);
    let fault = match name {
        "late" => Fault::Late(duration_from(parameter, Duration::from_secs(5))?),
        "delay" => Fault::Delay(duration_from(parameter, Duration::from_millis(200))?),
        "unavailable" => Fault::Unavailable(or(parameter, "1")),
        "too-many" => Fault::TooMany(or(parameter, "1")),
        "redirect" => Fault::Redirect(or(parameter, "https://elsewhere.example.org/")),
        "truncate" => Fault::Truncate(if parameter.is_empty() {
            0
        } else {
            number(parameter)?
        }),
        _ => return Ok(None),
    };
    Ok(Some((fault, when_from(when)?)))
}

impl Quirks {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let bad = |expected: &str| Err(format!("{name}: expected {expected}, not \"{value}\""));
        match (name, value) {
            ("order", "stamp") => self.order = Order::Stamp,
            ("order", "id") => self.order = Order::Id,
            ("order", "shuffled") => self.order = Order::Shuffled,
            ("order", _) => return bad("stamp, id or shuffled"),
            ("bound", "inclusive") => self.exclusive_bound = false,
            ("bound", "exclusive") => self.exclusive_bound = true,
            ("bound", _) => return bad("inclusive or exclusive"),
            ("offsets", "any") => self.whole_pages = false,
            ("offsets", "whole-pages") => self.whole_pages = true,
            ("offsets", _) => return bad("any or whole-pages"),
            ("more-records", "honest") => self.more_records = MoreRecords::Honest,
            ("more-records", "true") => self.more_records = MoreRecords::AlwaysTrue,
            ("more-records", "false") => self.more_records = MoreRecords::AlwaysFalse,
            ("more-records", _) => return bad("honest, true or false"),
            ("empty-list", "element") => self.empty_list = EmptyList::Element,
            ("empty-list", "absent") => self.empty_list = EmptyList::Absent,
            ("empty-list", "fault") => self.empty_list = EmptyList::Fault,
            ("empty-list", _) => return bad("element, absent or fault"),
            ("drop-elements", share) => self.drop_elements = share_from(share)?,
            ("poison", "") => self.poison = Some("POISON".to_owned()),
            ("poison", text) => self.poison = Some(text.to_owned()),
            ("poison-keeps-earlier", "") => self.poison_keeps_earlier = true,
            (
                "truncate-field" | "trim-field" | "upper-field" | "lower-field" | "ignore-field",
                field,
            ) => {
                self.mangled.push(mangle_from(name, field)?);
            }
            ("missing-string", "keeps") => self.missing_string = MissingString::Keeps,
            ("missing-string", "clears") => self.missing_string = MissingString::Clears,
            ("missing-string", _) => return bad("keeps or clears"),
            ("empty-string", "kept") => self.empty_string = EmptyString::Kept,
            ("empty-string", "absent") => self.empty_string = EmptyString::Absent,
            ("empty-string", "ignored") => self.empty_string = EmptyString::Ignored,
            ("empty-string", _) => return bad("kept, absent or ignored"),
            ("arrays", "replace") => self.arrays = Arrays::Replace,
            ("arrays", "merge") => self.arrays = Arrays::Merge,
            ("arrays", _) => return bad("replace or merge"),
            ("known-email", "insert") => self.known_email = KnownEmail::Insert,
            ("known-email", "adopt") => self.known_email = KnownEmail::Adopt,
            ("known-email", "refuse") => self.known_email = KnownEmail::Refuse,
            ("known-email", _) => return bad("insert, adopt or refuse"),
            ("deletion", "flag") => self.deletion = Deletion::Flag,
            ("deletion", "vanish") => self.deletion = Deletion::Vanish,
            ("deletion", _) => return bad("flag or vanish"),
            ("hide-deleted", "") => self.hide_deleted = true,
            ("not-found", "fault") => self.not_found = NotFound::Fault,
            ("not-found", "absent") => self.not_found = NotFound::Absent,
            ("not-found", _) => return bad("fault or absent"),
            ("clock-offset", seconds) => self.clock_offset = number(seconds)?,
            ("stale-reads", seconds) => self.stale_reads = number(seconds)?,
            ("email-shown", "as-kept") => self.email_shown = EmailShown::AsKept,
            ("email-shown", "phone") => self.email_shown = EmailShown::Phone,
            ("email-shown", "element") => self.email_shown = EmailShown::Element,
            ("email-shown", _) => return bad("as-kept, phone or element"),
            ("fractions", "") => self.fractions = true,
            ("plain-faults", "") => self.plain_faults = true,
            ("poison-keeps-earlier" | "hide-deleted" | "fractions" | "plain-faults", _) => {
                return bad("no value");
            }
            _ => return Err(format!("unknown fault \"{name}\"; there are {NAMES}")),
        }
        Ok(())
    }
}

/// Every name that [`Switches::set`] knows, for messages and help.
pub const NAMES: &str = "lose-request, lose-answer, late, delay, unavailable, too-many, html, fault-with-200, \
fault-before, fault-after, refuse-credentials, truncate, wrong-length, empty-body, redirect, wrong-operation, \
order, bound, offsets, more-records, empty-list, drop-elements, poison, poison-keeps-earlier, truncate-field, trim-field, \
upper-field, lower-field, ignore-field, missing-string, empty-string, arrays, known-email, deletion, hide-deleted, \
not-found, clock-offset, stale-reads, email-shown, fractions, plain-faults";

fn mangle_from(name: &str, value: &str) -> Result<(String, Mangle), String> {
    let (field, length) = match value.split_once(':') {
        Some((field, length)) => (field, Some(length)),
        None => (value, None),
    };
    if field.is_empty() {
        return Err(format!(
            "{name}: expected the name of an element, such as lastName"
        ));
    }
    let mangle = match (name, length) {
        ("truncate-field", Some(length)) => Mangle::Truncate(number(length)?),
        ("truncate-field", None) => return Err(format!("{name}: expected FIELD:LENGTH")),
        (_, Some(_)) => return Err(format!("{name}: expected only the name of an element")),
        ("trim-field", None) => Mangle::Trim,
        ("upper-field", None) => Mangle::Upper,
        ("lower-field", None) => Mangle::Lower,
        _ => Mangle::Ignore,
    };
    Ok((field.to_owned(), mangle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::contactlist::Operation;

    #[test]
    fn switches_are_read_from_text() {
        let text = "lose-answer=0.05, delay@ContactList_Retrieve=200ms/0.1, late=2s/#3, unavailable=86400/#2-4, \
                    redirect=https://a.example/b, html, order=shuffled, truncate-field=lastName:20, clock-offset=-90, poison";
        let switches: Switches = text.parse().unwrap();
        let rule = |fault, when, operation| Rule {
            fault,
            when,
            operation,
        };
        assert_eq!(
            switches.rules,
            vec![
                rule(Fault::LoseAnswer, When::Share(0.05), None),
                rule(
                    Fault::Delay(Duration::from_millis(200)),
                    When::Share(0.1),
                    Some(Operation::ContactListRetrieve)
                ),
                rule(
                    Fault::Late(Duration::from_secs(2)),
                    When::Numbers { from: 3, to: 3 },
                    None
                ),
                rule(
                    Fault::Unavailable("86400".into()),
                    When::Numbers { from: 2, to: 4 },
                    None
                ),
                rule(
                    Fault::Redirect("https://a.example/b".into()),
                    When::Share(1.0),
                    None
                ),
                rule(Fault::Html, When::Share(1.0), None),
            ]
        );
        assert_eq!(switches.quirks.order, Order::Shuffled);
        assert_eq!(
            switches.quirks.mangled,
            vec![("lastName".into(), Mangle::Truncate(20))]
        );
        assert_eq!(switches.quirks.clock_offset, -90);
        assert_eq!(switches.quirks.poison.as_deref(), Some("POISON"));
    }

    #[test]
    fn a_wrong_switch_says_what_is_wrong() {
        let error = |text: &str| text.parse::<Switches>().unwrap_err();
        assert!(
            error("lose-anser").contains("unknown fault \"lose-anser\"; there are lose-request, ")
        );
        assert!(error("lose-answer=5%").contains("\"5%\" is neither a share"));
        assert!(error("lose-answer=1.5").contains("neither a share"));
        assert!(
            error("order=alphabet").contains("expected stamp, id or shuffled, not \"alphabet\"")
        );
        assert!(error("delay=5h").contains("not a duration"));
        assert!(error("html@Nothing").contains("Nothing"));
        assert!(error("order@ContactList_Retrieve=id").contains("takes no operation"));
        assert!(error("truncate-field=lastName").contains("FIELD:LENGTH"));
        assert!(error("fractions=yes").contains("no value"));
    }

    #[test]
    fn every_listed_name_is_documented() {
        let page = include_str!("../../../docs/simulator.md");
        for name in NAMES.split(", ") {
            let shown = [format!("`{name}`"), format!("`{name}=")];
            assert!(shown.iter().any(|shown| page.contains(shown)), "{name}");
        }
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in NAMES.split(", ") {
            let unknown = Switches::default()
                .set(name)
                .err()
                .is_some_and(|error| error.contains("unknown fault"));
            assert!(!unknown, "{name}");
        }
    }
}
