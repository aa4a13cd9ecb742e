//! From what a file says to rules: every path, type and transform held against the kind's vocabulary.
//!
//! All problems are reported together, each with its line and what to do. Nothing here looks at a live database: columns
//! are checked against it by the local side, with the code `E-MAP-COLUMN`.

use crate::config::{Mark, Problems, Sources};
use crate::model::{ChildLayout, Column, Direction, Error, Layout, Result, Vocabulary};

use super::file::{self, FieldSpec, Spec, TableSpec};
use super::fingerprint;
use super::rules::{Addressing, ChildRule, Field, Mapping, Role, Rule, Source};

impl Mapping {
    /// Reads a mapping file and holds it against `vocabulary`, and tries its laws with made-up values.
    ///
    /// Everything that is wrong is in one error (exit 2), one problem a line, each with its own code, file and line.
    pub fn load(file_name: &str, text: &str, vocabulary: &Vocabulary) -> Result<Mapping> {
        Self::load_from(file_name, text, vocabulary, None)
    }

    /// As [`Mapping::load`], with `${NAME}` and its like filled in from `sources` (user contract, section 1).
    pub fn load_filled(
        file_name: &str,
        text: &str,
        vocabulary: &Vocabulary,
        sources: Sources<'_>,
    ) -> Result<Mapping> {
        Self::load_from(file_name, text, vocabulary, Some(sources))
    }

    fn load_from(
        file_name: &str,
        text: &str,
        vocabulary: &Vocabulary,
        sources: Option<Sources<'_>>,
    ) -> Result<Mapping> {
        let problems = Problems::for_mapping(file_name);
        let mapping = file::read(text, sources, &problems).and_then(|spec| {
            let compiler = Compiler {
                vocabulary,
                problems: &problems,
            };
            let mapping = compiler.mapping(file_name, &spec)?;
            if problems.is_empty() {
                for breach in mapping.broken_laws() {
                    let at = spec
                        .fields
                        .get(breach.field)
                        .map_or(spec.at, |field| field.at);
                    let sentence = format!("column \"{}\": {}", breach.column, breach.law);
                    problems.report("E-MAP-LOSSY", at, &sentence);
                }
            }
            Some(mapping)
        });
        problems.settle(mapping)
    }

    /// Whether this mapping serves a bridge of `direction`.
    ///
    /// `E-MAP-KEY` when the key is the e-mail address, `E-MAP-IDENTITY` when it pushes and no field can address a contact,
    /// `E-MAP-DIRECTION` when the kind can't be written.
    pub fn check_direction(&self, direction: Direction) -> Result<()> {
        if let Some(field) = self.layout.key_field.map(|at| &self.fields[at])
            && field.role == Role::Email
        {
            let message = format!(
                "{}: the key column \"{}\" holds the e-mail address; keys are kept readable in the state, so key the table by another column",
                self.file, field.column
            );
            return Err(Error::config("E-MAP-KEY", message));
        }
        if !direction.pushes() {
            return Ok(());
        }
        let Addressing {
            external_id,
            email,
            writable,
            kind,
        } = &self.addressing;
        if !writable {
            return Err(Error::config(
                "E-MAP-DIRECTION",
                format!(
                    "{}: {kind} can only be read; set `direction: pull`",
                    self.file
                ),
            ));
        }
        let keys: Vec<&str> = [*external_id, *email].into_iter().flatten().collect();
        let addressed = self.fields.iter().any(|field| {
            field.role != Role::Plain && field.direction.unwrap_or(direction).pushes()
        });
        if keys.is_empty() || addressed {
            return Ok(());
        }
        Err(Error::config(
            "E-MAP-IDENTITY",
            format!(
                "{}: no field is pushed to {}, so no record could be addressed and each push would make a second one; map one of them, or set `direction: pull`",
                self.file,
                keys.join(" or ")
            ),
        ))
    }
}

/// Compiles one file; problems are collected on the way.
pub(super) struct Compiler<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) problems: &'a Problems,
}

impl Compiler<'_> {
    pub(super) fn report(&self, code: &'static str, at: Mark, sentence: impl AsRef<str>) {
        self.problems.report(code, at, sentence.as_ref());
    }

    fn mapping(&self, file: &str, spec: &Spec) -> Option<Mapping> {
        let mut fields = Vec::with_capacity(spec.fields.len());
        let mut rules = Vec::with_capacity(spec.fields.len());
        for field in &spec.fields {
            if let Some((field, rule)) = self.field(field, spec) {
                fields.push(field);
                rules.push(rule);
            }
        }
        let whole = fields.len() == spec.fields.len();
        if whole {
            self.targets(spec, &fields, &rules);
        }
        self.columns(spec);
        let children: Vec<_> = spec
            .children
            .iter()
            .filter_map(|child| self.child(child))
            .collect();
        self.tables(spec);
        if let Some(table) = &spec.table {
            self.generated(spec, table);
        }
        if !self.problems.is_empty() {
            return None;
        }
        let layout = layout(spec.table.as_ref()?, &spec.fields, &children);
        Some(Mapping {
            layout,
            fields,
            children: children.into_iter().map(|(rule, _)| rule).collect(),
            rules,
            dates: self.vocabulary.dates.clone(),
            absence: self.vocabulary.absence,
            file: file.to_owned(),
            addressing: Addressing {
                external_id: self.vocabulary.external_id,
                email: self.vocabulary.email,
                writable: self.vocabulary.writable,
                kind: self.vocabulary.kind,
            },
        })
    }

    fn field(&self, spec: &FieldSpec, file: &Spec) -> Option<(Field, Rule)> {
        let found = self.source(spec, &self.vocabulary.shape, true)?;
        let direction = match (&found.read_only, spec.direction) {
            (Some(why), Some(Direction::Push | Direction::Both)) => {
                self.report(
                    "E-MAP-DIRECTION",
                    spec.at,
                    format!(
                        "column \"{}\": {why}, so it can only be `direction: pull`",
                        spec.column
                    ),
                );
                return None;
            }
            (Some(_), _) => Some(Direction::Pull),
            (None, direction) => direction,
        };
        let pushes = direction.is_none_or(Direction::pushes);
        let role = match found.written.as_slice() {
            [path] if Some(path.spelling().as_str()) == self.vocabulary.external_id => {
                Role::ExternalId
            }
            [path] if Some(path.spelling().as_str()) == self.vocabulary.email => Role::Email,
            _ => Role::Plain,
        };
        let mut rule = self.rule(spec, found.source, pushes)?;
        rule.generate = match &spec.generate {
            Some(text) => Some(self.generate(spec, text, file)?),
            None => None,
        };
        let field = Field {
            column: spec.column.clone(),
            label: found.label,
            direction,
            conflicts: spec.conflicts,
            matches: spec.matches,
            role,
            generates: rule.generate.is_some(),
            template: matches!(rule.source, Source::Template(_)),
            fingerprint: fingerprint::of_field(&spec.column, &rule, &self.vocabulary.dates),
        };
        Some((field, rule))
    }
}

/// The column of a field, as the local side needs it.
pub(super) fn column(spec: &FieldSpec) -> Column {
    Column {
        name: spec.column.clone(),
        kind: spec.kind,
        matches: spec.matches,
    }
}

fn layout(
    table: &TableSpec,
    fields: &[FieldSpec],
    children: &[(ChildRule, ChildLayout)],
) -> Layout {
    Layout {
        table: table.name.clone(),
        key: table.key.clone(),
        key_field: fields
            .iter()
            .position(|field| field.column.to_lowercase() == table.key.to_lowercase()),
        create: table.create,
        changes: table.changes.clone(),
        deleted: table.deleted.clone(),
        columns: fields.iter().map(column).collect(),
        children: children.iter().map(|(_, layout)| layout.clone()).collect(),
    }
}
