//! Documents as payloads: JSON with the types that the vocabulary gives each name.
//!
//! Exactly what the document holds is written, nothing else; an empty text is null. The mapping has put into it what is to be
//! sent (`Mapping::compose`). It must not change a value: what does not fit its type is a problem of that field.

use crate::model::{Document, FieldProblem, Node, RemoteId};

use super::decode::{Change, Object};
use super::message::{Message, Payload, write_text};
use super::schema::{Field, Kind};

impl Message {
    /// The message that tells of a record. `unique_id` is the engine's number, which rises and stays the same when it is sent again.
    ///
    /// `Q-NUMBER` or `Q-BOOL`, with the name, where a value does not fit the type that JSON must give it.
    pub fn of_record(
        object: Object,
        change: Change,
        unique_id: u64,
        document: &Document,
    ) -> Result<Self, FieldProblem> {
        let action = match (object, change) {
            (Object::Customer, Change::Created) => "CUSTOMERCRE",
            (Object::Customer, Change::Changed) => "CUSTOMERMOD",
            // There is no other (seed 003, table H-5): a receiver takes a second one for a newer state.
            (Object::Transaction, _) => "POSTRNCRE",
        };
        let mut payload = String::new();
        record(object.fields(), document, &mut payload)?;
        Ok(Self {
            kind: object.kind().to_owned(),
            action: action.to_owned(),
            unique_id: unique_id.to_string(),
            payload: Payload::Text(payload),
        })
    }

    /// The message that tells of a customer's deletion: its payload is the bare id (seed 003, table H-5).
    pub fn of_deletion(unique_id: u64, id: &RemoteId) -> Self {
        Self {
            kind: Object::Customer.kind().to_owned(),
            action: "CUSTOMERDEL".to_owned(),
            unique_id: unique_id.to_string(),
            payload: Payload::Text(id.0.clone()),
        }
    }
}

fn record(
    fields: &'static [Field],
    document: &Document,
    out: &mut String,
) -> Result<(), FieldProblem> {
    out.push('{');
    let mut first = true;
    let mut write = |name: &str, kind: Option<&'static Kind>, found: &Node, out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        node(name, kind, found, out)
    };
    // Known names stand in the seed's order, others behind them.
    for field in fields {
        if let Some(found) = document.get(field.name) {
            write(field.name, Some(&field.kind), found, out)?;
        }
    }
    for (name, found) in document.iter() {
        if !fields.iter().any(|field| field.name == name) {
            write(name, None, found, out)?;
        }
    }
    out.push('}');
    Ok(())
}

fn node(
    name: &str,
    kind: Option<&'static Kind>,
    found: &Node,
    out: &mut String,
) -> Result<(), FieldProblem> {
    match (kind, found) {
        (Some(Kind::List(_) | Kind::Texts), Node::Text(text)) if text.is_empty() => {
            out.push_str("[]");
        }
        (_, Node::Text(text)) if text.is_empty() => out.push_str("null"),
        (kind, Node::Text(text)) => scalar(name, kind, text, out)?,
        (Some(Kind::Record(fields)), Node::Record(below)) => record(fields, below, out)?,
        (_, Node::Record(below)) => record(&[], below, out)?,
        (kind, Node::List(items)) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                match kind {
                    Some(Kind::List(fields)) => record(fields, item, out)?,
                    _ => record(&[], item, out)?,
                }
            }
            out.push(']');
        }
    }
    Ok(())
}

fn scalar(
    name: &str,
    kind: Option<&'static Kind>,
    text: &str,
    out: &mut String,
) -> Result<(), FieldProblem> {
    let problem = |code, what: &str| FieldProblem {
        code,
        reason: format!("\"{name}\" would not be {what}"),
    };
    match kind {
        Some(Kind::Integer | Kind::IntegerText) if !is_number(text, false) => {
            return Err(problem("Q-NUMBER", "a whole number"));
        }
        Some(Kind::Decimal | Kind::DecimalText) if !is_number(text, true) => {
            return Err(problem("Q-NUMBER", "a number"));
        }
        Some(Kind::Bool | Kind::BoolText) if !matches!(text, "true" | "false") => {
            return Err(problem("Q-BOOL", "true or false"));
        }
        Some(Kind::Integer | Kind::Decimal | Kind::Bool) => out.push_str(text),
        Some(Kind::Texts) => {
            for (at, line) in text.split('\n').enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_text(line, out);
            }
            out.push(']');
        }
        _ => write_text(text, out),
    }
    Ok(())
}

/// The grammar of a JSON number without exponent.
fn is_number(text: &str, fraction: bool) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = match digits.split_once('.') {
        Some((whole, rest)) if fraction => (whole, Some(rest)),
        Some(_) => return false,
        None => (digits, None),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    plain(whole) && (whole.len() == 1 || !whole.starts_with('0')) && rest.is_none_or(plain)
}
