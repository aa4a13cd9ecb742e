//! From a customer's tree to its document: known names spelled and shaped as the contract has them, all others kept.
//!
//! A list is its wrapper and its items under one name. What was asked for and did not come stands there empty, since the
//! answer is the customer's whole present state; what was not asked for is absent, which says nothing.

use std::collections::BTreeSet;

use super::schema::{CUSTOMER, Field, Kind, same};
use super::tree::{Element, Problem, shown, spoil};
use crate::model::{Document, Node};

/// A customer's elements as a document.
pub(super) fn customer(element: Element, problem: &mut Option<Problem>) -> Document {
    let mut document = Document::with_capacity(element.children.len());
    record_into(&mut document, element, &CUSTOMER, problem);
    document
}

/// Puts what was asked for and is missing there, explicitly empty.
pub(super) fn complete(
    document: &mut Document,
    sections: &BTreeSet<&'static str>,
    read: &BTreeSet<String>,
) {
    for field in &CUSTOMER {
        let is_asked = match field.kind {
            Kind::List(..) | Kind::Open => sections.contains(field.name),
            _ => true,
        };
        if is_asked && document.get(field.name).is_none() {
            document.push(
                field.name,
                match field.kind {
                    Kind::Record(_) => Node::Record(Document::new()),
                    Kind::List(..) | Kind::Open => Node::List(Vec::new()),
                    Kind::Text | Kind::Bool | Kind::Date => Node::Text(String::new()),
                },
            );
        }
    }
    // Names that only this site has come with every answer, or are empty.
    for name in read {
        if CUSTOMER.iter().all(|field| field.name != name) && document.get(name).is_none() {
            document.push(name.clone(), Node::Text(String::new()));
        }
    }
}

/// Takes the attributes and children of a record into `document`.
fn record_into(
    document: &mut Document,
    element: Element,
    fields: &'static [Field],
    problem: &mut Option<Problem>,
) {
    let mut groups: Vec<(String, Vec<Element>)> = Vec::new();
    for child in element.children {
        if let Some(field) = fields.iter().find(|field| same(field.name, &child.name)) {
            known_into(document, field, child, problem);
            continue;
        }
        // Items of a known list without their wrapper.
        let unwrapped = fields.iter().find(|field| {
            matches!(field.kind, Kind::List(item, _) if same(item, &child.name))
                && !child.children.is_empty()
        });
        if let Some(field) = unwrapped
            && let Kind::List(item, item_fields) = field.kind
        {
            let item = item_of(child, item, item_fields, problem);
            append(document, field.name, vec![item]);
            continue;
        }
        match groups.iter_mut().find(|(name, _)| same(name, &child.name)) {
            Some((_, group)) => group.push(child),
            None => groups.push((child.name.clone(), vec![child])),
        }
    }
    for (name, mut group) in groups {
        let node = match group.len() {
            1 => open_node(group.remove(0)),
            _ => Node::List(group.into_iter().map(open_item).collect()),
        };
        document.push(name, node);
    }
    for (name, value) in element.attributes {
        let known = fields.iter().find(|field| same(field.name, &name));
        match known {
            Some(field) if document.get(field.name).is_none() => {
                document.push(field.name, Node::Text(value_of(field, value)));
            }
            None if document.get(&name).is_none() => document.push(name, Node::Text(value)),
            _ => {}
        }
    }
}

fn known_into(
    document: &mut Document,
    field: &'static Field,
    element: Element,
    problem: &mut Option<Problem>,
) {
    let is_there = document.get(field.name).is_some();
    match field.kind {
        Kind::List(item, item_fields) => {
            if !element.text.is_empty() {
                spoil(problem, "Q-SHAPE", format!("{} holds a text", field.name));
            }
            let named = |child: &Element| same(item, &child.name);
            let any_named = element.children.iter().any(named);
            let items = element
                .children
                .into_iter()
                .filter(|child| !any_named || named(child) || !child.children.is_empty())
                .map(|child| item_of(child, item, item_fields, problem))
                .collect();
            append(document, field.name, items);
        }
        _ if is_there => spoil(
            problem,
            "Q-SHAPE",
            format!("{} stands there twice", field.name),
        ),
        Kind::Record(fields) => {
            if !element.text.is_empty() {
                spoil(problem, "Q-SHAPE", format!("{} holds a text", field.name));
            }
            let mut record = Document::with_capacity(element.children.len());
            record_into(&mut record, element, fields, problem);
            document.push(field.name, Node::Record(record));
        }
        Kind::Open => document.push(field.name, open_node(element)),
        Kind::Text | Kind::Bool | Kind::Date => {
            if let Some(inner) = element.children.first() {
                spoil(
                    problem,
                    "Q-SHAPE",
                    format!("{} holds an element {}", field.name, shown(&inner.name)),
                );
            }
            document.push(field.name, Node::Text(value_of(field, element.text)));
        }
    }
}

fn append(document: &mut Document, name: &'static str, mut items: Vec<Document>) {
    match document.get_mut(name) {
        Some(Node::List(list)) => list.append(&mut items),
        _ => document.push(name, Node::List(items)),
    }
}

/// An item of a known list; one that is a text becomes a record of that one name.
fn item_of(
    element: Element,
    item: &'static str,
    fields: &'static [Field],
    problem: &mut Option<Problem>,
) -> Document {
    let mut document = Document::with_capacity(element.children.len());
    if !element.text.is_empty() {
        if element.children.is_empty() {
            document.push(item, Node::Text(element.text.clone()));
        } else {
            spoil(problem, "Q-SHAPE", format!("{item} holds a text"));
        }
    }
    record_into(&mut document, element, fields, problem);
    document
}

/// A flag in the words of the contract, so that selectors find it however the site says yes.
fn value_of(field: &Field, text: String) -> String {
    if !matches!(field.kind, Kind::Bool) {
        return text;
    }
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| text.trim().eq_ignore_ascii_case(word))
    };
    if is(&["true", "y", "yes", "1"]) {
        "true".to_owned()
    } else if is(&["false", "n", "no", "0"]) {
        "false".to_owned()
    } else {
        text
    }
}

/// An element of which nothing is known: a text, a list whose wrapper is the plural of its items, or a record.
fn open_node(element: Element) -> Node {
    if element.children.is_empty() {
        if element.text.is_empty() && !element.attributes.is_empty() {
            let mut record = Document::new();
            record_into(&mut record, element, &[], &mut None);
            return Node::Record(record);
        }
        return Node::Text(element.text);
    }
    let first = element.children.first().map(|child| child.name.clone());
    let is_list = first.is_some_and(|first| {
        is_plural(&element.name, &first)
            && element
                .children
                .iter()
                .all(|child| same(&first, &child.name))
    });
    if is_list {
        return Node::List(element.children.into_iter().map(open_item).collect());
    }
    let own = (!element.text.is_empty()).then(|| (element.name.clone(), element.text.clone()));
    let mut record = Document::with_capacity(element.children.len());
    record_into(&mut record, element, &[], &mut None);
    if let Some((name, text)) = own
        && record.get(&name).is_none()
    {
        record.push(name, Node::Text(text));
    }
    Node::Record(record)
}

fn open_item(element: Element) -> Document {
    let name = element.name.clone();
    match open_node(element) {
        Node::Record(record) => record,
        node => {
            let mut record = Document::new();
            record.push(name, node);
            record
        }
    }
}

/// Whether `wrapper` is a plural of `item`: phones of phone, aliases of alias, companies of company, itemList of item.
fn is_plural(wrapper: &str, item: &str) -> bool {
    let (wrapper, item) = (super::schema::folded(wrapper), super::schema::folded(item));
    let Some(rest) = wrapper.strip_prefix(item.as_ref()) else {
        return item
            .strip_suffix('y')
            .is_some_and(|stem| wrapper.strip_prefix(stem) == Some("ies"));
    };
    matches!(rest, "s" | "es" | "list")
}
