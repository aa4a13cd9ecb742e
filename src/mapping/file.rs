//! What may be written in a mapping file, read but not yet held against anything.
//!
//! Every problem of the spelling is reported with its line, and reading goes on. Nothing here knows a vocabulary.

use crate::config::{Mark, Problems, Sources, Value, fill_in, parse};
use crate::model::{ChangeMethod, ColumnKind, ConflictPolicy, Direction};

use super::normalize::Normalize;
use super::values::VALUES_MAX;

/// SQLite's own default bound of columns is 2,000; a mapping of more than this is a mistake.
pub const FIELDS_MAX: usize = 500;

/// How many child rules a mapping may have.
pub const CHILDREN_MAX: usize = 50;

/// Longer names than the longest of any database that we know (SQL Server's 128).
const IDENTIFIER_MAX: usize = 128;

const FILE_KEYS: &[&str] = &["table", "fields", "children"];
const TABLE_KEYS: &[&str] = &["name", "key", "create", "changes", "deleted"];
const CHANGES_KEYS: &[&str] = &["column"];
const PHONE_KEYS: &[&str] = &["phone"];
const CHILD_KEYS: &[&str] = &["table", "from", "parent", "key", "fields"];

const FIELD_KEYS: &[&str] = &[
    "column",
    "remote",
    "template",
    "match",
    "type",
    "normalize",
    "values",
    "default",
    "direction",
    "conflicts",
    "generate",
];

const CHILD_FIELD_KEYS: &[&str] = &[
    "column",
    "remote",
    "template",
    "type",
    "normalize",
    "values",
    "default",
    "direction",
];

/// The keys of each map of a mapping file, by the name that the map has in the schema; the file itself has none.
pub const KEY_LISTS: &[(&str, &[&str])] = &[
    ("", FILE_KEYS),
    ("table", TABLE_KEYS),
    ("changes", CHANGES_KEYS),
    ("field", FIELD_KEYS),
    ("phone", PHONE_KEYS),
    ("child", CHILD_KEYS),
    ("child_field", CHILD_FIELD_KEYS),
];

/// A file as written.
pub(super) struct Spec {
    pub(super) at: Mark,
    pub(super) table: Option<TableSpec>,
    pub(super) fields: Vec<FieldSpec>,
    pub(super) children: Vec<ChildSpec>,
}

pub(super) struct TableSpec {
    pub(super) at: Mark,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) create: bool,
    pub(super) changes: ChangeMethod,
    pub(super) deleted: Option<String>,
}

/// Where a field's value comes from, as written.
pub(super) enum SourceSpec {
    Path(String),
    Paths(Vec<String>),
    Template(String),
}

pub(super) struct FieldSpec {
    pub(super) at: Mark,
    pub(super) column: String,
    pub(super) source: SourceSpec,
    pub(super) matches: bool,
    pub(super) kind: ColumnKind,
    pub(super) normalize: Vec<Normalize>,
    /// Column value and remote value.
    pub(super) values: Option<Vec<(String, String)>>,
    pub(super) default: Option<String>,
    pub(super) direction: Option<Direction>,
    pub(super) conflicts: Option<ConflictPolicy>,
    pub(super) generate: Option<String>,
}

pub(super) struct ChildSpec {
    pub(super) at: Mark,
    pub(super) table: String,
    pub(super) from: String,
    pub(super) parent: String,
    pub(super) key: Vec<String>,
    pub(super) fields: Vec<FieldSpec>,
}

/// Reads a file. Parts that can't be read are left out, and `problems` says so.
pub(super) fn read(text: &str, sources: Option<Sources<'_>>, problems: &Problems) -> Option<Spec> {
    let mut tree = parse(text, problems)?;
    if let Some(sources) = sources {
        fill_in(&mut tree, sources, problems);
    }
    let root = Value::root(&tree, problems);
    let map = root.map(FILE_KEYS)?;
    let table = map.required("table").and_then(|value| table(&value));
    let mut fields = Vec::new();
    if let Some(list) = map.required("fields") {
        let items = list.list();
        if list.is_list() && items.is_empty() {
            list.invalid::<()>("needs at least one field");
        }
        if items.len() > FIELDS_MAX {
            list.invalid::<()>(format!("has more than {FIELDS_MAX} fields"));
        }
        fields.extend(
            items
                .iter()
                .take(FIELDS_MAX)
                .filter_map(|item| field(item, FIELD_KEYS)),
        );
    }
    let mut children = Vec::new();
    if let Some(list) = map.optional("children") {
        let items = list.list();
        if items.len() > CHILDREN_MAX {
            list.invalid::<()>(format!("has more than {CHILDREN_MAX} rules"));
        }
        children.extend(items.iter().take(CHILDREN_MAX).filter_map(child));
    }
    Some(Spec {
        at: root.at(),
        table,
        fields,
        children,
    })
}

fn table(value: &Value<'_>) -> Option<TableSpec> {
    let map = value.map(TABLE_KEYS)?;
    let name = map.required("name").and_then(|value| identifier(&value));
    let key = map.required("key").and_then(|value| identifier(&value));
    let create = map
        .optional("create")
        .map_or(Some(false), |value| value.bool());
    let changes = map
        .optional("changes")
        .map_or(Some(ChangeMethod::Scan), |value| changes(&value));
    let deleted = match map.optional("deleted") {
        Some(value) => identifier(&value).map(Some),
        None => Some(None),
    };
    Some(TableSpec {
        at: value.at(),
        name: name?,
        key: key?,
        create: create?,
        changes: changes?,
        deleted: deleted?,
    })
}

fn changes(value: &Value<'_>) -> Option<ChangeMethod> {
    if value.is_map() {
        let column = value.map(CHANGES_KEYS)?.required("column")?;
        return identifier(&column).map(ChangeMethod::Column);
    }
    match value.text()? {
        "scan" => Some(ChangeMethod::Scan),
        "journal" => Some(ChangeMethod::Journal),
        _ => value.invalid(format!(
            "{} is not one of scan, journal, {{ column: NAME }}",
            value.shown()
        )),
    }
}

/// The name of a table or column: any that a database can quote.
fn identifier(value: &Value<'_>) -> Option<String> {
    let text = value.filled_text()?;
    if text.trim() != text || text.chars().any(char::is_control) {
        return value.invalid("a name has no spaces at its ends and no control characters");
    }
    if text.chars().count() > IDENTIFIER_MAX {
        return value.invalid(format!("a name has at most {IDENTIFIER_MAX} characters"));
    }
    Some(text.to_owned())
}

fn field(value: &Value<'_>, keys: &'static [&'static str]) -> Option<FieldSpec> {
    let map = value.map(keys)?;
    let known = |key: &'static str| keys.contains(&key).then(|| map.optional(key)).flatten();
    let column = map.required("column").and_then(|value| identifier(&value));
    let source = match (map.optional("remote"), map.optional("template")) {
        (Some(remote), None) => source(&remote),
        (None, Some(template)) => template
            .filled_text()
            .map(|text| SourceSpec::Template(text.to_owned())),
        (Some(_), Some(template)) => {
            template.invalid("a field has either `remote` or `template`, not both")
        }
        (None, None) => {
            value.report(
                value.problems().codes().key,
                "key \"remote\" is missing (or `template`, for a column made of several)",
            );
            None
        }
    };
    let matches = known("match").map_or(Some(false), |value| value.bool());
    let kind = known("type").map_or(Some(ColumnKind::Text), |value| {
        value.word(&[
            ("text", ColumnKind::Text),
            ("integer", ColumnKind::Integer),
            ("decimal", ColumnKind::Decimal),
            ("bool", ColumnKind::Bool),
            ("date", ColumnKind::Date),
            ("datetime", ColumnKind::DateTime),
        ])
    });
    let normalize = known("normalize").map_or(Some(Vec::new()), |value| normalize(&value));
    let values = match known("values") {
        Some(value) => values(&value).map(Some),
        None => Some(None),
    };
    let default = match known("default") {
        Some(value) => value.filled_text().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let direction = match known("direction") {
        Some(value) => value
            .word(&[
                ("pull", Direction::Pull),
                ("push", Direction::Push),
                ("both", Direction::Both),
            ])
            .map(Some),
        None => Some(None),
    };
    let conflicts = match known("conflicts") {
        Some(value) => value
            .word(&[
                ("newest", ConflictPolicy::Newest),
                ("remote", ConflictPolicy::Remote),
                ("local", ConflictPolicy::Local),
                ("review", ConflictPolicy::Review),
            ])
            .map(Some),
        None => Some(None),
    };
    let generate = match known("generate") {
        Some(value) => value.filled_text().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    Some(FieldSpec {
        at: value.at(),
        column: column?,
        source: source?,
        matches: matches?,
        kind: kind?,
        normalize: normalize?,
        values: values?,
        default: default?,
        direction: direction?,
        conflicts: conflicts?,
        generate: generate?,
    })
}

fn source(value: &Value<'_>) -> Option<SourceSpec> {
    if !value.is_list() {
        return value
            .filled_text()
            .map(|text| SourceSpec::Path(text.to_owned()));
    }
    let items = value.list();
    if items.is_empty() || items.len() > 20 {
        return value.invalid("a list of paths has 1 to 20 of them");
    }
    let paths: Vec<String> = items
        .iter()
        .filter_map(|item| item.filled_text().map(str::to_owned))
        .collect();
    (paths.len() == items.len()).then_some(SourceSpec::Paths(paths))
}

fn normalize(value: &Value<'_>) -> Option<Vec<Normalize>> {
    if !value.is_list() {
        return step(value).map(|step| vec![step]);
    }
    let items = value.list();
    if items.len() > 10 {
        return value.invalid("a list of steps has at most 10");
    }
    let steps: Vec<Normalize> = items.iter().filter_map(step).collect();
    (steps.len() == items.len()).then_some(steps)
}

fn step(value: &Value<'_>) -> Option<Normalize> {
    let code = if value.is_map() {
        value.map(PHONE_KEYS)?.required("phone")?
    } else {
        let text = value.text()?;
        if let Some((_, step)) = Normalize::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(*step);
        }
        value.clone()
    };
    let text = code.text()?;
    // `normalize: "phone: AU"` in quotes is a text, and means the same.
    let country = text.strip_prefix("phone:").unwrap_or(text).trim();
    match Normalize::phone(country) {
        Some(step) if value.is_map() || text.starts_with("phone:") => Some(step),
        _ if value.is_map() || text.starts_with("phone") => code.invalid(format!(
            "{} is not a country of two capital letters; write phone: AU",
            code.shown()
        )),
        _ => value.invalid(format!(
            "{} is not one of email, trim, lower, upper, collapse, phone: COUNTRY",
            value.shown()
        )),
    }
}

fn values(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let entries = value.entries();
    if value.is_map() && entries.is_empty() {
        return value.invalid("needs at least one pair of column value and remote value");
    }
    if entries.len() > VALUES_MAX {
        return value.invalid(format!("has more than {VALUES_MAX} pairs"));
    }
    let pairs: Vec<(String, String)> = entries
        .iter()
        .filter_map(|(key, remote)| Some((key.text.clone(), remote.filled_text()?.to_owned())))
        .collect();
    (!pairs.is_empty() && pairs.len() == entries.len()).then_some(pairs)
}

fn child(value: &Value<'_>) -> Option<ChildSpec> {
    let map = value.map(CHILD_KEYS)?;
    let table = map.required("table").and_then(|value| identifier(&value));
    let parent = map.required("parent").and_then(|value| identifier(&value));
    let from = map
        .required("from")
        .and_then(|value| value.filled_text().map(str::to_owned));
    let key = map.required("key").and_then(|value| {
        let items = if value.is_list() {
            value.list()
        } else {
            vec![value.clone()]
        };
        if items.is_empty() {
            return value.invalid("needs at least one name");
        }
        let names: Vec<String> = items
            .iter()
            .filter_map(|item| item.filled_text().map(str::to_owned))
            .collect();
        (names.len() == items.len()).then_some(names)
    });
    let mut fields = Vec::new();
    if let Some(list) = map.required("fields") {
        let items = list.list();
        if list.is_list() && items.is_empty() {
            list.invalid::<()>("needs at least one field");
        }
        fields.extend(
            items
                .iter()
                .take(FIELDS_MAX)
                .filter_map(|item| field(item, CHILD_FIELD_KEYS)),
        );
    }
    Some(ChildSpec {
        at: value.at(),
        table: table?,
        from: from?,
        parent: parent?,
        key: key?,
        fields,
    })
}
