//! Faults and quirks as text: `lose-answer=0.05`, `delay@GET_CUST_INFO_XML=200ms/0.1`, `rows=coalesce`.

use std::str::FromStr;
use std::time::Duration;

use crate::simulator::rules::When;
use crate::simulator::switch_value::{
    Parts, duration_from, number, or, parameter_and_when, parts, when_from,
};

use super::queue::Coalescing;
use super::switches::{
    EmptyNumber, Fault, Label, MaxQueueNum, Poison, PurgeAnswer, Quirks, Rule, Shape, Switches,
    Triggers,
};
use super::write::{Charset, Names};

/// More than any reader should take.
const DEFAULT_OVERSIZE: usize = 64 * 1024 * 1024;

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
        "html-after" => Some(Fault::HtmlAfter),
        "refuse-credentials" => Some(Fault::Refused),
        "wrong-length" => Some(Fault::WrongLength),
        "empty-body" => Some(Fault::EmptyBody),
        _ => None,
    };
    if let Some(fault) = simple {
        return Ok(Some((fault, when_from(value)?)));
    }
    let (parameter, when) = parameter_and_when(value);
    let given = |default: &str| or(parameter, default);
    let fault = match name {
        "late" => Fault::Late(duration_from(parameter, Duration::from_secs(5))?),
        "delay" => Fault::Delay(duration_from(parameter, Duration::from_millis(200))?),
        "unavailable" => Fault::Unavailable(given("1")),
        "too-many" => Fault::TooMany(given("1")),
        "status" => Fault::Status(number(&given("500"))?),
        "error" => Fault::Error(given("ORA-06502: PL/SQL: numeric or value error")),
        "redirect" => Fault::Redirect(given("https://elsewhere.example.org/")),
        "truncate" => Fault::Truncate(number(&given("0"))?),
        "oversize" => Fault::Oversize(number(&given(&DEFAULT_OVERSIZE.to_string()))?),
        _ => return Ok(None),
    };
    Ok(Some((fault, when_from(when)?)))
}

fn label_from(value: &str) -> Label {
    match value {
        "" | "right" => Label::Right,
        "none" => Label::Missing,
        other => Label::Says(other.to_owned()),
    }
}

/// `ID`, `ID:MODE`, `ID:oversize:BYTES`.
fn poison_from(value: &str) -> Result<(String, Poison), String> {
    let (id, mode) = value.split_once(':').unwrap_or((value, ""));
    let (mode, bytes) = mode.split_once(':').unwrap_or((mode, ""));
    if id.is_empty() {
        return Err("poison: expected a customer's id".to_owned());
    }
    let poison = match (mode, bytes) {
        ("" | "error", "") => Poison::Error,
        ("page", "") => Poison::Page,
        ("malformed", "") => Poison::Malformed,
        ("undecodable", "") => Poison::Undecodable,
        ("inside", "") => Poison::Inside,
        ("absent", "") => Poison::Absent,
        ("oversize", "") => Poison::Oversize(DEFAULT_OVERSIZE),
        ("oversize", bytes) => Poison::Oversize(number(bytes)?),
        _ => {
            return Err(format!(
                "poison: expected ID or ID:MODE, the mode being error, page, malformed, undecodable, oversize, inside or \
                 absent, not \"{value}\""
            ));
        }
    };
    Ok((id.to_owned(), poison))
}

impl Quirks {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let bad = |expected: &str| Err(format!("{name}: expected {expected}, not \"{value}\""));
        match (name, value) {
            ("rows", "each") => self.rows = Coalescing::Each,
            ("rows", "coalesce") => self.rows = Coalescing::Renewed,
            ("rows", "coalesce-keeps-number") => self.rows = Coalescing::KeepsNumber,
            ("rows", _) => return bad("each, coalesce or coalesce-keeps-number"),
            ("names", "as-documented") => self.names = Names::AsDocumented,
            ("names", "camel") => self.names = Names::Camel,
            ("names", "hyphen") => self.names = Names::Hyphen,
            ("names", "upper") => self.names = Names::Upper,
            ("names", _) => return bad("as-documented, camel, hyphen or upper"),
            ("queue-shape", "canonical") => self.shape = Shape::Canonical,
            ("queue-shape", "fallback") => self.shape = Shape::Fallback,
            ("queue-shape", "attributes") => self.shape = Shape::Attributes,
            ("queue-shape", _) => return bad("canonical, fallback or attributes"),
            ("triggers", "known") => self.triggers = Triggers::Known,
            ("triggers", "unknown") => self.triggers = Triggers::Unknown,
            ("triggers", "missing") => self.triggers = Triggers::Missing,
            ("triggers", _) => return bad("known, unknown or missing"),
            ("max-queue-num", _) => {
                self.max_queue_num = match value {
                    "honest" => MaxQueueNum::Honest,
                    "attribute" => MaxQueueNum::Attribute,
                    "missing" => MaxQueueNum::Missing,
                    "empty" => MaxQueueNum::Empty,
                    "text" => MaxQueueNum::Text,
                    "low" => MaxQueueNum::Low,
                    "ahead" => MaxQueueNum::Ahead,
                    "absurd" => MaxQueueNum::Absurd,
                    _ => {
                        return bad(
                            "honest, attribute, missing, empty, text, low, ahead or absurd",
                        );
                    }
                }
            }
            ("empty-number", "missing") => self.empty_number = EmptyNumber::Missing,
            ("empty-number", "empty") => self.empty_number = EmptyNumber::Empty,
            ("empty-number", "zero") => self.empty_number = EmptyNumber::Zero,
            ("empty-number", _) => return bad("missing, empty or zero"),
            ("purge-answer", _) => {
                self.purge_answer = match value {
                    "success" => PurgeAnswer::Success,
                    "bare" => PurgeAnswer::Bare,
                    "empty" => PurgeAnswer::Empty,
                    "html" => PurgeAnswer::Html,
                    "failure" => PurgeAnswer::Failure,
                    "lie" => PurgeAnswer::Lie,
                    _ => return bad("success, bare, empty, html, failure or lie"),
                }
            }
            ("charset", _) => {
                self.charset = match value {
                    "utf-8" => Charset::Utf8,
                    "windows-1252" => Charset::Windows1252,
                    "iso-8859-1" => Charset::Latin1,
                    _ => return bad("utf-8, windows-1252 or iso-8859-1"),
                }
            }
            ("header-charset", value) => self.header_charset = label_from(value),
            ("xml-charset", value) => self.xml_charset = label_from(value),
            ("poison", value) => {
                let (id, poison) = poison_from(value)?;
                self.poison.insert(id, poison);
            }
            ("deleted-details", "absent") => self.deleted_answer = false,
            ("deleted-details", "answer") => self.deleted_answer = true,
            ("deleted-details", _) => return bad("absent or answer"),
            ("unknown-customer", "error") => self.unknown_empty = false,
            ("unknown-customer", "empty") => self.unknown_empty = true,
            ("unknown-customer", _) => return bad("error or empty"),
            ("force", "many") => self.force_one = false,
            ("force", "one") => self.force_one = true,
            ("force", _) => return bad("many or one"),
            ("credentials", "any") => self.strict_credentials = false,
            ("credentials", "strict") => self.strict_credentials = true,
            ("credentials", _) => return bad("any or strict"),
            ("bulk-max", count) => self.bulk_max = number(count)?,
            ("bom", "") => self.bom = true,
            ("unasked-sections", "") => self.unasked_sections = true,
            ("no-status", "") => self.no_status = true,
            ("bom" | "unasked-sections" | "no-status", _) => return bad("no value"),
            _ => return Err(format!("unknown fault \"{name}\"; there are {NAMES}")),
        }
        Ok(())
    }
}

/// Every name that [`Switches::set`] knows, for messages and help.
pub const NAMES: &str = "lose-request, lose-answer, late, delay, unavailable, too-many, status, html, html-after, \
error, refuse-credentials, truncate, wrong-length, empty-body, oversize, redirect, \
rows, names, queue-shape, triggers, max-queue-num, empty-number, purge-answer, charset, header-charset, xml-charset, bom, \
poison, deleted-details, unasked-sections, no-status, unknown-customer, bulk-max, force, credentials";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::association_anywhere::Operation;

    #[test]
    fn switches_are_read_from_text() {
        let text = "lose-answer@purge_queue_xml=#1, error=Invalid vendor/0.5, status=404, rows=coalesce, \
                    poison=0000731, poison=0172_SC:oversize:5000, header-charset=none, xml-charset=UTF-16";
        let switches: Switches = text.parse().unwrap();
        let rule = |fault, when, operation| Rule {
            fault,
            when,
            operation,
        };
        assert_eq!(
            switches.rules,
            [
                rule(
                    Fault::LoseAnswer,
                    When::Numbers { from: 1, to: 1 },
                    Some(Operation::Purge)
                ),
                rule(
                    Fault::Error("Invalid vendor".into()),
                    When::Share(0.5),
                    None
                ),
                rule(Fault::Status(404), When::Share(1.0), None),
            ]
        );
        let quirks = switches.quirks;
        assert_eq!(quirks.rows, Coalescing::Renewed);
        assert_eq!(quirks.poison["0000731"], Poison::Error);
        assert_eq!(quirks.poison["0172_SC"], Poison::Oversize(5000));
        assert_eq!(quirks.header_charset, Label::Missing);
        assert_eq!(quirks.xml_charset, Label::Says("UTF-16".into()));
    }

    #[test]
    fn a_wrong_switch_says_what_is_wrong() {
        let error = |text: &str| text.parse::<Switches>().unwrap_err();
        assert!(error("lose-anser").contains("there are lose-request, "));
        assert!(error("rows=two").contains("expected each, coalesce or"));
        assert!(error("poison=7:sweet").contains("expected ID or ID:MODE"));
        assert!(error("html@NOTHING").contains("NOTHING"));
        assert!(error("rows@PURGE_QUEUE_XML=each").contains("takes no operation"));
        assert!(error("bom=yes").contains("no value"));
    }

    #[test]
    fn every_listed_name_is_known_and_documented() {
        let page = include_str!("../../../docs/simulator.md");
        let (_, page) = page
            .split_once("# Association Anywhere")
            .expect("a section of its own");
        for name in NAMES.split(", ") {
            let unknown = Switches::default()
                .set(name)
                .err()
                .is_some_and(|error| error.contains("unknown fault"));
            assert!(!unknown, "{name}");
            let shown = [format!("`{name}`"), format!("`{name}=")];
            assert!(shown.iter().any(|shown| page.contains(shown)), "{name}");
        }
    }
}
