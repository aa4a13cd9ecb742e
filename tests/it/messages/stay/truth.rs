//! What the rows must be: the mapping files read in the plainest way, on the JSON that the retail system says it has delivered.
//!
//! It shares nothing with the mapping or the decoding that it judges.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use contactbridge::simulator::data_sync::{Json, Ledger};

use super::Shop;

struct Column {
    name: String,
    remote: String,
    kind: String,
    normalize: String,
}

struct Table {
    name: String,
    from: Option<String>,
    parent: String,
    columns: Vec<Column>,
}

/// The tables of a mapping file: the first is that of the records, the others of their parts.
fn tables(mapping: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in mapping.lines().map(str::trim_start) {
        let word = |name: &str| -> Option<String> {
            let rest = line.strip_prefix(name)?;
            Some(rest.split_whitespace().next()?.to_owned())
        };
        if let Some(name) = word("name: ").or_else(|| word("- table: ")) {
            tables.push(Table {
                name,
                from: None,
                parent: String::new(),
                columns: Vec::new(),
            });
        } else if let Some(table) = tables.last_mut() {
            table.from = word("from: ").or(table.from.take());
            table.parent = word("parent: ").unwrap_or(std::mem::take(&mut table.parent));
            if let Some(rest) = line
                .strip_prefix("- { ")
                .filter(|_| !line.contains("template:"))
            {
                let field = rest.split('}').next().expect("an end");
                let key = |name: &str| {
                    field
                        .split(", ")
                        .filter_map(|part| part.trim().split_once(": "))
                        .find(|(have, _)| *have == name)
                        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
                };
                table.columns.push(Column {
                    name: key("column").expect("a column"),
                    remote: key("remote").expect("a path"),
                    kind: key("type").unwrap_or_default(),
                    normalize: key("normalize").unwrap_or_default(),
                });
            }
        }
    }
    tables
}

/// The member of an object, in whatever spelling.
fn member<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    let Json::Object(members) = json else {
        return None;
    };
    members
        .iter()
        .find(|(have, _)| have.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn items(json: Option<&Json>) -> Vec<&Json> {
    match json {
        Some(Json::List(items)) => items.iter().collect(),
        None | Some(Json::Null) => Vec::new(),
        Some(lone) => vec![lone],
    }
}

fn find<'a>(json: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(json, |at, step| {
        let Some((name, rest)) = step.split_once('[') else {
            return member(at, step);
        };
        let (key, value) = rest.trim_end_matches(']').split_once('=')?;
        let mut all = items(member(at, name)).into_iter();
        all.find(|item| scalar(member(item, key)) == value)
    })
}

fn scalar(json: Option<&Json>) -> String {
    match json {
        Some(Json::Text(text)) => text.clone(),
        Some(Json::Number(digits)) => digits.clone(),
        Some(Json::Bool(yes)) => yes.to_string(),
        Some(Json::List(items)) => {
            let lines: Vec<String> = items.iter().map(|item| scalar(Some(item))).collect();
            lines.join("\n")
        }
        _ => String::new(),
    }
}

/// A cell as it must be; an empty one and NULL are one.
fn cell(json: Option<&Json>, column: &Column) -> String {
    let mut text = scalar(json);
    if column.normalize == "trim" {
        text = text.trim().to_owned();
    }
    if text.is_empty() {
        return text;
    }
    match column.kind.as_str() {
        "bool" => match text.to_ascii_lowercase().as_str() {
            "true" | "y" => "1".to_owned(),
            "false" | "n" => "0".to_owned(),
            other => panic!("{}: {other}", column.name),
        },
        "decimal" => plain(&text),
        "datetime" => {
            let text = text.replace('Z', "+0000");
            let at = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%z").expect("a stamp");
            at.with_timezone(&Utc)
                .to_rfc3339_opts(SecondsFormat::Secs, true)
        }
        _ => text,
    }
}

fn plain(number: &str) -> String {
    if number.contains('.') {
        let short = number.trim_end_matches('0').trim_end_matches('.');
        return short.to_owned();
    }
    number.to_owned()
}

/// Rows as they are, decimals in their plain form, in the order of their texts.
fn actual(shop: &Shop, table: &Table, parent: &Table, living: &str) -> Vec<Vec<String>> {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect();
    let id = &parent.columns[0].name;
    let query = match table.from {
        None => format!(
            "SELECT t.{id}, {} FROM {} AS t WHERE {living}",
            names.join(", "),
            table.name
        ),
        Some(_) => format!(
            "SELECT p.{id}, {} FROM {} AS t JOIN {} AS p ON t.{} = p.id WHERE {living}",
            names.join(", "),
            table.name,
            parent.name,
            table.parent
        ),
    };
    let mut rows = shop.rows(&query);
    for row in &mut rows {
        for (value, column) in row.iter_mut().skip(1).zip(&table.columns) {
            if column.kind == "decimal" {
                *value = plain(value);
            }
        }
    }
    rows.sort();
    rows
}

fn expected(records: &BTreeMap<String, Json>, table: &Table) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (id, json) in records {
        let row = |part: &Json| -> Vec<String> {
            let cells = table
                .columns
                .iter()
                .map(|column| cell(find(part, &column.remote), column));
            std::iter::once(id.clone()).chain(cells).collect()
        };
        match &table.from {
            None => rows.push(row(json)),
            Some(list) => {
                let parts: BTreeSet<Vec<String>> = items(find(json, list))
                    .into_iter()
                    .map(row)
                    .filter(|row| row.iter().skip(1).any(|cell| !cell.is_empty()))
                    .collect();
                rows.extend(parts);
            }
        }
    }
    rows.sort();
    rows
}

/// Fails unless the database holds just what was delivered, field by field. How many rows were compared.
#[track_caller]
pub fn compare(shop: &Shop, truth: &Ledger) -> usize {
    let mut count = 0;
    for (mapping, records, living) in [
        (
            include_str!("../../../../mappings/orce-customer.yaml"),
            truth.customers(),
            "deleted_at IS NULL",
        ),
        (
            include_str!("../../../../mappings/orce-transaction.yaml"),
            truth.transactions(),
            "1",
        ),
    ] {
        let tables = tables(mapping);
        for table in &tables {
            let (have, want) = (
                actual(shop, table, &tables[0], living),
                expected(records, table),
            );
            let (missing, surplus): (Vec<_>, Vec<_>) = (
                want.iter()
                    .filter(|row| !have.contains(row))
                    .take(3)
                    .collect(),
                have.iter()
                    .filter(|row| !want.contains(row))
                    .take(3)
                    .collect(),
            );
            assert!(
                missing.is_empty() && surplus.is_empty() && have.len() == want.len(),
                "{}: {} rows, {} expected\nmissing {missing:#?}\nsurplus {surplus:#?}",
                table.name,
                have.len(),
                want.len()
            );
            count += have.len();
        }
    }
    count
}
