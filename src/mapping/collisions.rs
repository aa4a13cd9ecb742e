//! What two rules may not share: a place of the record, a column, a table.

use crate::model::{ChangeMethod, ColumnKind, Direction};

use super::compile::Compiler;
use super::file::{FieldSpec, Spec, TableSpec};
use super::lens::ScalarPath;
use super::rules::{Field, Rule};

impl Compiler<'_> {
    /// No two fields may write to one place of the record.
    pub(super) fn targets(&self, spec: &Spec, fields: &[Field], rules: &[Rule]) {
        let mut seen: Vec<(&ScalarPath, &str)> = Vec::new();
        for ((field, rule), written) in fields.iter().zip(rules).zip(&spec.fields) {
            if !field.direction.is_none_or(Direction::pushes) {
                continue;
            }
            for path in rule.targets() {
                if let Some((_, other)) = seen.iter().find(|(known, _)| *known == path) {
                    self.report(
                        "E-MAP-TARGET",
                        written.at,
                        format!(
                            "two rules write \"{}\": those of the columns \"{other}\" and \"{}\"; give one of them `direction: pull`",
                            path.spelling(),
                            field.column
                        ),
                    );
                }
                seen.push((path, &field.column));
            }
        }
    }

    /// No two rules may fill one column, nor one that serves another end.
    pub(super) fn columns(&self, spec: &Spec) {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let twice = |fields: &[FieldSpec], table: &str| {
            for (at, field) in fields.iter().enumerate() {
                let earlier = fields.iter().take(at);
                if let Some(other) = earlier
                    .into_iter()
                    .find(|other| same(&other.column, &field.column))
                {
                    self.report(
                        "E-MAP-TARGET",
                        field.at,
                        format!(
                            "two rules fill the column \"{}\" of {table} (the other stands in line {})",
                            field.column, other.at.line
                        ),
                    );
                }
            }
        };
        for child in &spec.children {
            twice(&child.fields, &child.table);
            for field in &child.fields {
                if same(&field.column, &child.parent) {
                    self.report(
                        "E-MAP-TARGET",
                        field.at,
                        format!(
                            "the column \"{}\" holds the parent's key, so no field may fill it",
                            field.column
                        ),
                    );
                }
            }
        }
        let Some(table) = &spec.table else { return };
        twice(&spec.fields, &table.name);
        let mut taken: Vec<(&str, &str)> = Vec::new();
        if let Some(deleted) = &table.deleted {
            taken.push((deleted, "marks deleted rows"));
        }
        if let ChangeMethod::Column(column) = &table.changes {
            taken.push((column, "tells when a row was changed"));
        }
        for (column, what) in &taken {
            if same(column, &table.key) {
                self.report(
                    "E-MAP-TARGET",
                    table.at,
                    format!("the column \"{column}\" is the key and also {what}"),
                );
            }
            for field in spec
                .fields
                .iter()
                .filter(|field| same(column, &field.column))
            {
                self.report(
                    "E-MAP-TARGET",
                    field.at,
                    format!(
                        "the column \"{}\" {what}, so no field may fill it",
                        field.column
                    ),
                );
            }
        }
    }

    /// Each table has one rule.
    pub(super) fn tables(&self, spec: &Spec) {
        let main = spec.table.iter().map(|table| table.name.as_str());
        let mut seen: Vec<String> = main.map(str::to_lowercase).collect();
        for child in &spec.children {
            let name = child.table.to_lowercase();
            if seen.contains(&name) {
                self.report(
                    "E-MAP-TARGET",
                    child.at,
                    format!("two rules fill the table \"{}\"", child.table),
                );
            }
            seen.push(name);
        }
    }

    /// A key that the database makes can't be a column that only we could fill.
    pub(super) fn generated(&self, spec: &Spec, table: &TableSpec) {
        let Some(field) = spec
            .fields
            .iter()
            .find(|field| field.column.eq_ignore_ascii_case(&table.key))
        else {
            return;
        };
        if matches!(field.kind, ColumnKind::Bool | ColumnKind::Decimal) {
            self.report(
                "E-MAP-TYPE",
                field.at,
                format!("the column \"{}\" is the key of its table, so it is text, integer, date or datetime", field.column),
            );
        }
    }
}
