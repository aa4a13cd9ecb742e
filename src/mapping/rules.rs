//! What a loaded mapping is: the layout of its tables, its fields, and the compiled rules behind them.
//!
//! It holds no value of any record.

use std::collections::BTreeSet;

use crate::model::{
    Absence, Canonical, ColumnKind, ConflictPolicy, DateStyle, Direction, Layout, Scalar,
};

use super::lens::{ListPath, ScalarPath};
use super::normalize::Normalize;
use super::template::Template;
use super::values::Values;

/// A mapping that has been held against its kind's vocabulary and keeps its laws.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The tables, for the local side.
    pub layout: Layout,
    /// One per column of the table, in the mapping's order.
    pub fields: Vec<Field>,
    /// The child rules, in the order of `layout.children`.
    pub children: Vec<ChildRule>,
    pub(super) rules: Vec<Rule>,
    pub(super) dates: DateStyle,
    /// What an absent name means.
    pub(super) absence: Absence,
    /// The file's name, for messages.
    pub(super) file: String,
    pub(super) addressing: Addressing,
}

/// How records of the kind can be addressed for a write, for [`Mapping::check_direction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addressing {
    pub(super) external_id: Option<&'static str>,
    pub(super) email: Option<&'static str>,
    pub(super) writable: bool,
    pub(super) kind: &'static str,
}

/// What a field means to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller's own key.
    ExternalId,
    /// The e-mail address by which the service matches.
    Email,
    /// Neither.
    Plain,
}

/// One field rule, as far as the engine must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The column.
    pub column: String,
    /// The remote path or the template as written, for messages.
    pub label: String,
    /// The field's own direction; `None`: the bridge's. Pull for whatever can't be written.
    pub direction: Option<Direction>,
    /// The field's own policy; `None`: the bridge's.
    pub conflicts: Option<ConflictPolicy>,
    /// Newcomers are matched by it.
    pub matches: bool,
    /// What it means to the service.
    pub role: Role,
    /// It has a `generate`.
    pub generates: bool,
    /// It is made from several remote values.
    pub template: bool,
    /// Of everything that decides how this field compares (column, paths, type, normalize, values; zone and formats for
    /// dates), stable across runs and builds. Not of direction, conflicts, default, match or generate.
    pub fingerprint: u64,
}

/// One rule of `children`.
#[derive(Clone, Debug)]
pub struct ChildRule {
    /// The child table.
    pub table: String,
    /// The remote list as written, for messages.
    pub label: String,
    /// Of everything that decides which rows come of a record.
    pub fingerprint: u64,
    pub(super) list: ListPath,
    pub(super) columns: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) key: Vec<usize>,
}

/// A part of a record that stands as a row of a child table.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildPart {
    /// The values that tell it from the other parts of its record.
    pub key: Vec<Canonical>,
    /// One cell per field of the rule.
    pub cells: Vec<crate::model::Cell>,
}

/// How one value is read, compared and written.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) source: Source,
    pub(super) kind: ColumnKind,
    pub(super) normalize: Vec<Normalize>,
    pub(super) values: Option<Values>,
    pub(super) default: Canonical,
    pub(super) generate: Option<Generate>,
    /// It may be pushed, so that both sides are brought to what the remote can show.
    pub(super) pushed: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The first of `paths` that is not empty; written to the first `written` of them.
    Paths {
        paths: Vec<ScalarPath>,
        written: usize,
    },
    /// Made of the texts at several paths; never written.
    Template(Template<ScalarPath>),
}

/// How an empty column is filled when a row is made.
#[derive(Clone, Debug)]
pub(super) enum Generate {
    Uuid,
    /// Of other columns, by the index of their fields.
    Template(Template<usize>),
}

impl Mapping {
    /// The top-level names of a record that the rules read, child rules included: what must be asked for.
    pub fn remote_names(&self) -> BTreeSet<String> {
        let fields = self.rules.iter().flat_map(|rule| rule.source.names());
        let lists = self.children.iter().map(|child| child.list.top());
        fields.chain(lists).map(str::to_owned).collect()
    }
}

impl Source {
    /// The top-level names that it reads.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Paths { paths, .. } => paths.iter().map(ScalarPath::top).collect(),
            Self::Template(template) => template.names().map(ScalarPath::top).collect(),
        }
    }

    /// What the value is on the wire; a template makes a text.
    pub(super) fn scalar(&self) -> Scalar {
        match self {
            Self::Paths { paths, .. } => paths.first().map_or(Scalar::Text, ScalarPath::scalar),
            Self::Template(_) => Scalar::Text,
        }
    }
}
