//! What can be wrong with this CRM: faults that befall a request, and quirks that it has for good; both as values and
//! as text for a command line (`lose-answer=0.05`, `delay@ContactList_Retrieve=200ms/0.1`, `order=shuffled`).

use std::str::FromStr;
use std::time::Duration;

use super::Operation;
use super::chance::strikes;
use super::write::EmailShown;

/// Something that befalls one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before any work.
    LoseRequest,
    /// The work is done, then the connection is cut without an answer.
    LoseAnswer,
    /// The connection is cut at once; the work is done this much later.
    Late(Duration),
    /// The request waits this long before the work.
    Delay(Duration),
    /// 503 with this `Retry-After` (any text; empty: no such header), before the work.
    Unavailable(String),
    /// 429 with this `Retry-After`, before the work.
    TooMany(String),
    /// An HTML page with status 200, before the work.
    Html,
    /// A fault without a reason with status 200, before the work.
    FaultWith200,
    /// A fault without a reason, before the work.
    FaultBefore,
    /// The work is done, then a fault without a reason is answered.
    FaultAfter,
    /// The credentials are refused, before the work.
    Refused,
    /// The work is done; of the answer only so many bytes come, with a length to match. 0: half of them.
    Truncate(usize),
    /// The work is done; half of the answer comes, with the length of all of it, and the connection ends.
    WrongLength,
    /// The work is done; 200 without a body.
    EmptyBody,
    /// 307 to this address, before the work.
    Redirect(String),
    /// The answer of another operation, before the work.
    WrongOperation,
    /// This answer, word for word, before the work.
    Answer {
        /// HTTP status.
        status: u16,
        /// Content type.
        content_type: String,
        /// Body.
        body: Vec<u8>,
    },
}

/// Which requests a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// This share of them, 0 to 1, chosen by the seed.
    Share(f64),
    /// Those with these numbers, counted from 1 among the requests of the rule's operation since the rule was set.
    Numbers {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
}

/// A fault, and the requests that it befalls.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which requests.
    pub when: When,
    /// Of which operation; `None` for every one.
    pub operation: Option<Operation>,
}

impl Rule {
    /// A fault for every request of this operation.
    pub fn always(operation: Operation, fault: Fault) -> Self {
        Self {
            fault,
            when: When::Share(1.0),
            operation: Some(operation),
        }
    }

    /// A fault for the next request of this operation alone.
    pub fn once(operation: Operation, fault: Fault) -> Self {
        Self {
            fault,
            when: When::Numbers { from: 1, to: 1 },
            operation: Some(operation),
        }
    }
}

/// The order in which contacts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// By lastUpdateDate, then by id.
    #[default]
    Stamp,
    /// By id.
    Id,
    /// By lastUpdateDate; equal ones in another order at each call.
    Shuffled,
}

/// What `moreRecords` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MoreRecords {
    /// The truth.
    #[default]
    Honest,
    /// There are always more.
    AlwaysTrue,
    /// There are never more.
    AlwaysFalse,
}

/// How an empty list is answered (contactlist.md §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptyList {
    /// An empty result element.
    #[default]
    Element,
    /// No result element.
    Absent,
    /// A fault, "ERROR: No contacts found for this site."
    Fault,
}

/// What an absent string, or an array where it is present, does to an existing contact (contactlist.md §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingString {
    /// The string stays.
    #[default]
    Keeps,
    /// The string is cleared.
    Clears,
}

/// What an empty element does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptyString {
    /// It is kept as an empty string and shown as an empty element.
    #[default]
    Kept,
    /// The value is cleared and shown as absent.
    Absent,
    /// It is ignored.
    Ignored,
}

/// What a present array does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrays {
    /// It replaces everything.
    #[default]
    Replace,
    /// Its items replace those of the same type id, or are added.
    Merge,
}

/// What happens to a known e-mail address under an External ID that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KnownEmail {
    /// Another contact is made.
    #[default]
    Insert,
    /// The contact of that address is taken over and gets the new External ID.
    Adopt,
    /// The whole request is refused.
    Refuse,
}

/// What a deletion leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Deletion {
    /// The contact stays in the list with its flag and a new stamp.
    #[default]
    Flag,
    /// The contact is gone without a trace.
    Vanish,
}

/// How a look-up answers when there is no such contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NotFound {
    /// A fault, "ERROR: Contact record could not be retrieved."
    #[default]
    Fault,
    /// A response without its result.
    Absent,
}

/// What the service does to a text that it takes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// Only so many characters stay.
    Truncate(usize),
    /// Spaces at both ends go.
    Trim,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
    /// The element counts as not sent.
    Ignore,
}

/// The habits of the service. The default is the best reading of contactlist.md.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each is named and typed after what its type's documentation says.
pub struct Quirks {
    pub order: Order,
    /// Whether contacts changed exactly at lastUpdateDate are left out.
    pub exclusive_bound: bool,
    /// Whether recordStart is rounded down to a whole page.
    pub whole_pages: bool,
    pub more_records: MoreRecords,
    pub empty_list: EmptyList,
    /// The share of pushed elements that vanish without a word.
    pub drop_elements: f64,
    /// A batch that holds this text anywhere is refused.
    pub poison: Option<String>,
    /// Whether the elements before the poisoned one are stored nevertheless.
    pub poison_keeps_earlier: bool,
    /// By element name, wherever it stands in a contact.
    pub mangled: Vec<(String, Mangle)>,
    pub missing_string: MissingString,
    pub empty_string: EmptyString,
    pub arrays: Arrays,
    pub known_email: KnownEmail,
    pub deletion: Deletion,
    /// Whether a look-up of a contact that is marked deleted answers as if there were none.
    pub hide_deleted: bool,
    pub not_found: NotFound,
    /// How wrong the service's clock is, in seconds.
    pub clock_offset: i64,
    pub email_shown: EmailShown,
    /// Whether stamps hold and show milliseconds.
    pub fractions: bool,
    /// Whether faults are worded as .NET words them, without the exception's name before them and the stack behind.
    pub plain_faults: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            order: Order::default(),
            exclusive_bound: false,
            whole_pages: false,
            more_records: MoreRecords::default(),
            empty_list: EmptyList::default(),
            drop_elements: 0.0,
            poison: None,
            poison_keeps_earlier: false,
            mangled: Vec::new(),
            missing_string: MissingString::default(),
            empty_string: EmptyString::default(),
            arrays: Arrays::default(),
            known_email: KnownEmail::default(),
            deletion: Deletion::default(),
            hide_deleted: false,
            not_found: NotFound::default(),
            clock_offset: 0,
            email_shown: EmailShown::default(),
            fractions: false,
            plain_faults: false,
        }
    }
}

/// Faults and quirks together, as a simulator has them at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Switches {
    /// What befalls requests.
    pub rules: Vec<Rule>,
    /// What the service is like.
    pub quirks: Quirks,
}

impl Switches {
    /// Turns one switch, written as `NAME`, `NAME=VALUE` or `NAME@OPERATION=VALUE`.
    ///
    /// A fault's value says when it strikes: a share (`0.05`), a request's number (`#3`, `#2-4`), or nothing for
    /// always; a fault that needs a parameter has it first (`delay=200ms/0.1`). The error is one sentence.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (head, value) = match text.split_once('=') {
            Some((head, value)) => (head, Some(value)),
            None => (text, None),
        };
        let (name, operation) = match head.split_once('@') {
            Some((name, operation)) => (name, Some(operation.parse()?)),
            None => (head, None),
        };
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
    let (parameter, when) = match value {
        None => ("", None),
        // The last slash: an address has slashes of its own.
        Some(value) => match value.rsplit_once('/') {
            Some((parameter, when)) if when_from(Some(when)).is_ok() => (parameter, Some(when)),
            _ => (value, None),
        },
    };
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

fn or(parameter: &str, default: &str) -> String {
    if parameter.is_empty() {
        default.to_owned()
    } else {
        parameter.to_owned()
    }
}

fn when_from(value: Option<&str>) -> Result<When, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(When::Share(1.0));
    };
    if let Some(numbers) = value.strip_prefix('#') {
        let (from, to) = numbers.split_once('-').unwrap_or((numbers, numbers));
        return Ok(When::Numbers {
            from: number(from)?,
            to: number(to)?,
        });
    }
    share_from(value).map(When::Share)
}

fn share_from(value: &str) -> Result<f64, String> {
    let share = value
        .parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| {
        format!("\"{value}\" is neither a share from 0 to 1 nor a number such as #3")
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is not a number"))
}

fn duration_from(text: &str, default: Duration) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(default);
    }
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let count: u64 = number(digits)?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count.saturating_mul(60))),
        _ => Err(format!(
            "\"{text}\" is not a duration; write 200ms, 5s or 2m"
        )),
    }
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
not-found, clock-offset, email-shown, fractions, plain-faults";

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

/// The rules at work: how many requests each has seen.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<(Rule, u64)>,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
        }
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    /// Whether any rule needs a fate, which costs a hash of the request.
    pub(super) fn need_fate(&self) -> bool {
        self.rules
            .iter()
            .any(|(rule, _)| matches!(rule.when, When::Share(share) if share > 0.0 && share < 1.0))
    }

    /// The faults that befall a request of this operation with this fate, in the order of the rules.
    pub(super) fn draw(&mut self, operation: Operation, fate: u64) -> Vec<Fault> {
        let mut struck = Vec::new();
        for (place, (rule, count)) in self.rules.iter_mut().enumerate() {
            if rule.operation.is_some_and(|wanted| wanted != operation) {
                continue;
            }
            *count += 1;
            let strikes = match rule.when {
                When::Share(share) => strikes(share, fate.wrapping_add((place as u64) << 32)),
                When::Numbers { from, to } => (from..=to).contains(count),
            };
            if strikes {
                struck.push(rule.fault.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_listed_name_is_known() {
        for name in NAMES.split(", ") {
            let unknown = Switches::default()
                .set(name)
                .err()
                .is_some_and(|error| error.contains("unknown fault"));
            assert!(!unknown, "{name}");
        }
    }

    #[test]
    fn a_numbered_rule_strikes_its_requests_alone() {
        let mut rules = Rules::new(vec![Rule {
            fault: Fault::Html,
            when: When::Numbers { from: 2, to: 3 },
            operation: Some(Operation::ContactListRetrieve),
        }]);
        let struck: Vec<bool> = (0..4)
            .map(|_| {
                assert!(rules.draw(Operation::ContactListUpdateInsert, 0).is_empty());
                !rules.draw(Operation::ContactListRetrieve, 0).is_empty()
            })
            .collect();
        assert_eq!(struck, [false, true, true, false]);
    }
}
