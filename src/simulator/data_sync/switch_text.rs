//! Faults and habits of both ends as text: `lose-answer=0.05`, `status@CUSTOMERMOD=500/#2`, `deletion=quoted`.

use std::time::Duration;

use crate::simulator::rules::When;
use crate::simulator::switch_value::{
    Parts, duration_from, number, or, parameter_and_when, parts, when_from,
};

use super::message::{DeleteForm, Layout, PayloadForm};
use super::operation::Operation;
use super::queue::{Coalescing, Feed};
use super::retail::{self, Credentials, TokenUse};
use super::third::{self, TokenAnswer, Welcome};

/// More than any sender should read.
const DEFAULT_OVERSIZE: usize = 64 * 1024 * 1024;

/// Faults and habits of both ends.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// What befalls the retail system's messages.
    pub retail_rules: Vec<retail::Rule>,
    /// What the retail system is like.
    pub retail_habits: retail::Habits,
    /// What befalls requests to the third-party application.
    pub third_rules: Vec<third::Rule>,
    /// What the third-party application is like.
    pub third_habits: third::Habits,
}

/// Every name that [`Switches::set_retail`] knows.
pub const RETAIL_NAMES: &str = "lose-answer, twice, cut-body, half-body, wrong-token, no-token, content-type, delay, \
payload, deletion, layout, strange-fields, ascii, per-post, offset, email-key, leave-out, rows, feed, deletion-takes, \
credentials, scope, token, renew, type";

/// Every name that [`Switches::set_third`] knows.
pub const THIRD_NAMES: &str = "status, status-after, lose-request, lose-answer, delay, html, garbage, wrong-length, \
oversize, redirect, unavailable, expire, credentials, token-answer, token-uses, lenient";

impl Switches {
    /// Turns one switch of the retail system, written as `NAME`, `NAME=VALUE` or `NAME@OPERATION=VALUE`.
    ///
    /// A fault's value says when it strikes: a share (`0.05`), a POST's number (`#3`, `#2-4`), or nothing for always; a
    /// fault that needs a parameter has it first (`delay=200ms/0.1`). The error is one sentence.
    pub fn set_retail(&mut self, text: &str) -> Result<(), String> {
        let Parts {
            name,
            operation,
            value,
        } = parts(text);
        let operation: Option<Operation> = operation.map(str::parse).transpose()?;
        if let Some((fault, when)) = retail_fault(name, value)? {
            if operation == Some(Operation::Token) {
                return Err(format!(
                    "\"{name}\" befalls messages, not requests for a token"
                ));
            }
            self.retail_rules.push(retail::Rule {
                fault,
                when,
                operation: Some(operation.unwrap_or(Operation::Message)),
            });
            return Ok(());
        }
        no_operation(name, operation)?;
        retail_habit(&mut self.retail_habits, name, value.unwrap_or(""))
    }

    /// Turns one switch of the third-party application, written likewise.
    pub fn set_third(&mut self, text: &str) -> Result<(), String> {
        let Parts {
            name,
            operation,
            value,
        } = parts(text);
        let operation: Option<Operation> = operation.map(str::parse).transpose()?;
        if let Some((fault, when)) = third_fault(name, value)? {
            self.third_rules.push(third::Rule {
                fault,
                when,
                operation: Some(operation.unwrap_or(Operation::Message)),
            });
            return Ok(());
        }
        no_operation(name, operation)?;
        third_habit(&mut self.third_habits, name, value.unwrap_or(""))
    }
}

fn no_operation(name: &str, operation: Option<Operation>) -> Result<(), String> {
    match operation {
        None => Ok(()),
        Some(_) => Err(format!(
            "\"{name}\" is not a fault, so it takes no operation"
        )),
    }
}

fn retail_fault(name: &str, value: Option<&str>) -> Result<Option<(retail::Fault, When)>, String> {
    use retail::Fault;
    let simple = match name {
        "lose-answer" => Some(Fault::LoseAnswer),
        "twice" => Some(Fault::Twice),
        "cut-body" => Some(Fault::CutBody),
        "half-body" => Some(Fault::HalfBody),
        "wrong-token" => Some(Fault::WrongToken),
        "no-token" => Some(Fault::NoToken),
        _ => None,
    };
    if let Some(fault) = simple {
        return Ok(Some((fault, when_from(value)?)));
    }
    let (parameter, when) = parameter_and_when(value);
    let fault = match name {
        "content-type" => Fault::ContentType(or(parameter, "text/plain")),
        "delay" => Fault::Delay(duration_from(parameter, Duration::from_millis(200))?),
        _ => return Ok(None),
    };
    Ok(Some((fault, when_from(when)?)))
}

fn third_fault(name: &str, value: Option<&str>) -> Result<Option<(third::Fault, When)>, String> {
    use third::Fault;
    let simple = match name {
        "lose-request" => Some(Fault::LoseRequest),
        "lose-answer" => Some(Fault::LoseAnswer),
        "html" => Some(Fault::Html),
        "garbage" => Some(Fault::Garbage),
        "wrong-length" => Some(Fault::WrongLength),
        "expire" => Some(Fault::Expire),
        _ => None,
    };
    if let Some(fault) = simple {
        return Ok(Some((fault, when_from(value)?)));
    }
    let (parameter, when) = parameter_and_when(value);
    let given = |default: &str| or(parameter, default);
    let fault = match name {
        "status" => Fault::Status(status(&given("500"))?),
        "status-after" => Fault::StatusAfter(status(&given("204"))?),
        "delay" => Fault::Delay(duration_from(parameter, Duration::from_millis(200))?),
        "oversize" => Fault::Oversize(number(&given(&DEFAULT_OVERSIZE.to_string()))?),
        "redirect" => Fault::Redirect(given("https://elsewhere.example.org/")),
        "unavailable" => Fault::Unavailable(given("1")),
        _ => return Ok(None),
    };
    Ok(Some((fault, when_from(when)?)))
}

/// A status that a server can give as its last word.
fn status(text: &str) -> Result<u16, String> {
    let status = number(text)?;
    if (200..=599).contains(&status) {
        Ok(status)
    } else {
        Err(format!("\"{text}\" is not a status from 200 to 599"))
    }
}

fn retail_habit(habits: &mut retail::Habits, name: &str, value: &str) -> Result<(), String> {
    let bad = |expected: &str| Err(format!("{name}: expected {expected}, not \"{value}\""));
    match (name, value) {
        ("payload", "text") => habits.form.payload = PayloadForm::Text,
        ("payload", "object") => habits.form.payload = PayloadForm::Object,
        ("payload", _) => return bad("text or object"),
        ("deletion", "bare") => habits.form.delete = DeleteForm::Bare,
        ("deletion", "quoted") => habits.form.delete = DeleteForm::Quoted,
        ("deletion", "number") => habits.form.delete = DeleteForm::Number,
        ("deletion", "object") => habits.form.delete = DeleteForm::Object,
        ("deletion", "null") => habits.form.delete = DeleteForm::Null,
        ("deletion", _) => return bad("bare, quoted, number, object or null"),
        ("layout", "compact") => habits.form.layout = Layout::Compact,
        ("layout", "printed") => habits.form.layout = Layout::Printed,
        ("layout", _) => return bad("compact or printed"),
        ("rows", "each") => habits.queues.coalescing = Coalescing::Each,
        ("rows", "coalesce") => habits.queues.coalescing = Coalescing::KeepsPlace,
        ("rows", "coalesce-to-the-end") => habits.queues.coalescing = Coalescing::ToTheEnd,
        ("rows", _) => return bad("each, coalesce or coalesce-to-the-end"),
        ("feed", "as-changed") => habits.queues.feed = Feed::AsChanged,
        ("feed", "customers-first") => habits.queues.feed = Feed::CustomersFirst,
        ("feed", "transactions-first") => habits.queues.feed = Feed::TransactionsFirst,
        ("feed", "backwards") => habits.queues.feed = Feed::Backwards,
        ("feed", "shuffled") => habits.queues.feed = Feed::Shuffled,
        ("feed", _) => {
            return bad("as-changed, customers-first, transactions-first, backwards or shuffled");
        }
        ("deletion-takes", "customer") => habits.queues.deletion_takes_transactions = false,
        ("deletion-takes", "transactions-too") => habits.queues.deletion_takes_transactions = true,
        ("deletion-takes", _) => return bad("customer or transactions-too"),
        ("credentials", "basic") => habits.credentials = Credentials::Basic,
        ("credentials", "body") => habits.credentials = Credentials::Body,
        ("credentials", "query") => habits.credentials = Credentials::Query,
        ("credentials", _) => return bad("basic, body or query"),
        ("token", "job") => habits.token_use = TokenUse::Job,
        ("token", "message") => habits.token_use = TokenUse::Message,
        ("token", "kept") => habits.token_use = TokenUse::Kept,
        ("token", _) => return bad("job, message or kept"),
        ("strange-fields", "") => habits.form.strange = true,
        ("ascii", "") => habits.form.ascii = true,
        ("renew", "") => habits.renew = true,
        ("strange-fields" | "ascii" | "renew", _) => return bad("no value"),
        ("per-post", count) => habits.per_post = Some(number(count)?),
        ("offset" | "email-key" | "leave-out" | "type", "") => return bad("a text"),
        ("offset", offset) => habits.offset = Some(offset.to_owned()),
        ("email-key", key) => habits.email_key = Some(key.to_owned()),
        ("leave-out", path) => habits.left_out.push(path.to_owned()),
        ("type", content_type) => habits.content_type = Some(content_type.to_owned()),
        ("scope", scope) => habits.scope = (!scope.is_empty()).then(|| scope.to_owned()),
        _ => {
            return Err(format!(
                "unknown fault \"{name}\"; there are {RETAIL_NAMES}"
            ));
        }
    }
    Ok(())
}

fn third_habit(habits: &mut third::Habits, name: &str, value: &str) -> Result<(), String> {
    let bad = |expected: &str| Err(format!("{name}: expected {expected}, not \"{value}\""));
    match (name, value) {
        ("credentials", "both") => habits.credentials = Welcome::Both,
        ("credentials", "basic") => habits.credentials = Welcome::Basic,
        ("credentials", "body") => habits.credentials = Welcome::Body,
        ("credentials", _) => return bad("both, basic or body"),
        ("token-answer", "full") => habits.token_answer = TokenAnswer::Full,
        ("token-answer", "no-expiry") => habits.token_answer = TokenAnswer::NoExpiry,
        ("token-answer", "text-expiry") => habits.token_answer = TokenAnswer::TextExpiry,
        ("token-answer", "lower") => habits.token_answer = TokenAnswer::Lower,
        ("token-answer", _) => return bad("full, no-expiry, text-expiry or lower"),
        ("token-uses", "any") => habits.token_uses = None,
        ("token-uses", count) => habits.token_uses = Some(number(count)?),
        ("lenient", "") => habits.lenient = true,
        ("lenient", _) => return bad("no value"),
        _ => return Err(format!("unknown fault \"{name}\"; there are {THIRD_NAMES}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::data_sync::message::Action;

    #[test]
    fn switches_are_read_from_text() {
        let mut switches = Switches::default();
        for text in [
            "lose-answer@CUSTOMERDEL=#1",
            "content-type=text/html/0.5",
            "deletion=quoted",
            "leave-out=a.b",
        ] {
            switches.set_retail(text).unwrap();
        }
        for text in [
            "status@id:90017=204/#2-3",
            "status@token",
            "token-uses=3",
            "lose-answer",
        ] {
            switches.set_third(text).unwrap();
        }
        assert_eq!(
            switches.retail_rules,
            [
                retail::Rule::once(Operation::Of(Action::Delete), retail::Fault::LoseAnswer),
                retail::Rule {
                    fault: retail::Fault::ContentType("text/html".into()),
                    when: When::Share(0.5),
                    operation: Some(Operation::Message),
                },
            ]
        );
        assert_eq!(switches.retail_habits.form.delete, DeleteForm::Quoted);
        assert_eq!(switches.retail_habits.left_out, ["a.b"]);
        assert_eq!(
            switches.third_rules,
            [
                third::Rule {
                    fault: third::Fault::Status(204),
                    when: When::Numbers { from: 2, to: 3 },
                    operation: Some(Operation::about("90017")),
                },
                third::Rule::always(Operation::Token, third::Fault::Status(500)),
                third::Rule::always(Operation::Message, third::Fault::LoseAnswer),
            ]
        );
        assert_eq!(switches.third_habits.token_uses, Some(3));
    }

    #[test]
    fn a_wrong_switch_says_what_is_wrong() {
        let retail = |text: &str| Switches::default().set_retail(text).unwrap_err();
        let third = |text: &str| Switches::default().set_third(text).unwrap_err();
        assert!(retail("lose-anser").contains("there are lose-answer, "));
        assert!(retail("twice@token").contains("not requests for a token"));
        assert!(retail("feed=two").contains("expected as-changed, "));
        assert!(retail("feed@message=shuffled").contains("takes no operation"));
        assert!(retail("offset").contains("a text"));
        assert!(third("expre").contains("there are status, "));
        assert!(third("status=99").contains("200 to 599"));
        assert!(third("status@NOTHING").contains("NOTHING"));
        assert!(third("lenient=yes").contains("no value"));
    }

    #[test]
    fn every_listed_name_is_known_and_documented() {
        let page = include_str!("../../../docs/simulator.md");
        let (_, page) = page
            .split_once("## Data Sync")
            .expect("a section of its own");
        let (third, retail) = page
            .split_once("### What it posts")
            .expect("the retail system");
        let is_known = |answer: Result<(), String>| {
            !answer
                .err()
                .is_some_and(|error| error.contains("unknown fault"))
        };
        for name in RETAIL_NAMES.split(", ") {
            assert!(is_known(Switches::default().set_retail(name)), "{name}");
            assert!(documented(retail, name), "{name}");
        }
        for name in THIRD_NAMES.split(", ") {
            assert!(is_known(Switches::default().set_third(name)), "{name}");
            assert!(documented(third, name), "{name}");
        }
    }

    fn documented(page: &str, name: &str) -> bool {
        page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}="))
    }
}
