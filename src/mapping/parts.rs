//! Child rules: a repeated part of the record, held against the vocabulary.

use crate::config::nearest;
use crate::model::{ChildLayout, Direction};

use super::compile::{Compiler, column};
use super::file::{ChildSpec, SourceSpec};
use super::fingerprint;
use super::path::Written;
use super::rules::ChildRule;

impl Compiler<'_> {
    pub(super) fn child(&self, spec: &ChildSpec) -> Option<(ChildRule, ChildLayout)> {
        let list = Written::parse(&spec.from)
            .and_then(|written| {
                let guarded = self.vocabulary.guarded.iter();
                for text in guarded {
                    if Written::parse(text).is_ok_and(|other| written.is_under(&other)) {
                        return Err("is never copied".to_owned());
                    }
                }
                written.to_list(&self.vocabulary.shape)
            })
            .map_err(|problem| {
                self.report(
                    "E-MAP-PATH",
                    spec.at,
                    format!(
                        "table \"{}\": from \"{}\": {problem}",
                        spec.table, spec.from
                    ),
                );
            })
            .ok()?;
        let before = self.problems.count();
        let mut rules = Vec::with_capacity(spec.fields.len());
        let mut names = Vec::with_capacity(spec.fields.len());
        for field in &spec.fields {
            if field.direction.is_some_and(Direction::pushes) {
                self.report(
                    "E-MAP-DIRECTION",
                    field.at,
                    format!("column \"{}\": child rows are only pulled for this kind; take `direction` out", field.column),
                );
            }
            let Some(found) = self.source(field, &list.item, false) else {
                continue;
            };
            names.push(match &field.source {
                SourceSpec::Path(_) => found.written.first().map(Written::spelling),
                _ => None,
            });
            rules.extend(self.rule(field, found.source, false));
        }
        if self.problems.count() > before {
            return None;
        }
        let mut key = Vec::with_capacity(spec.key.len());
        for name in &spec.key {
            match names
                .iter()
                .position(|known| known.as_deref() == Some(name))
            {
                Some(at) if key.contains(&at) => self.report(
                    "E-MAP-CHILD",
                    spec.at,
                    format!("table \"{}\": \"{name}\" stands twice in `key`", spec.table),
                ),
                Some(at) => key.push(at),
                None => {
                    let known = names.iter().flatten().map(String::as_str);
                    let hint = match nearest(name, known) {
                        Some(near) => format!("; did you mean \"{near}\"?"),
                        None => "; add a field that reads it".to_owned(),
                    };
                    self.report(
                        "E-MAP-CHILD",
                        spec.at,
                        format!("table \"{}\": the key \"{name}\" is not the `remote` of one of its fields{hint}", spec.table),
                    );
                }
            }
        }
        if self.problems.count() > before {
            return None;
        }
        let columns: Vec<String> = spec
            .fields
            .iter()
            .map(|field| field.column.clone())
            .collect();
        let fingerprint = fingerprint::of_child(
            &spec.table,
            &spec.parent,
            &list,
            &key,
            columns
                .iter()
                .map(String::as_str)
                .zip(&rules)
                .collect::<Vec<_>>()
                .into_iter(),
            &self.vocabulary.dates,
        );
        let layout = ChildLayout {
            table: spec.table.clone(),
            parent: spec.parent.clone(),
            columns: spec.fields.iter().map(column).collect(),
            key: key.clone(),
        };
        let rule = ChildRule {
            table: spec.table.clone(),
            label: spec.from.clone(),
            fingerprint,
            list,
            columns,
            rules,
            key,
        };
        Some((rule, layout))
    }
}
