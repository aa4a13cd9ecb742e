//! Whole records: made of a row and its child rows for a service that is sent records.
//!
//! A record that is composed holds what the mapping names and nothing else. A value that is empty stands in it as an empty
//! text, and a list without rows as an empty list: who receives it must be able to tell "cleared" from "not told" (user
//! contract, section 4: a key that is wholly absent says nothing).

use crate::model::{Cell, Direction, Document, FieldProblem, Result};

use super::rules::{ChildRule, Mapping};

impl Mapping {
    /// The record of a row: every field that may be pushed, and every child rule's rows.
    ///
    /// `row` holds the canonical values in the mapping's order; `children` one list of rows per child rule, each with its cells in the
    /// rule's order, in the order in which they are to be sent. A field that selects an item of a list which child rows fill
    /// writes into the item that fits.
    ///
    /// A value that its place can't hold is a problem of the record, with its column in the reason.
    pub fn compose(
        &self,
        row: &[crate::model::Canonical],
        children: &[Vec<Vec<Cell>>],
    ) -> Result<Document, FieldProblem> {
        let mut document = Document::new();
        for (rule, rows) in self.children.iter().zip(children) {
            let items: Result<Vec<Document>, FieldProblem> =
                rows.iter().map(|row| self.item(rule, row)).collect();
            rule.list.put(items?, &mut document);
        }
        let sent = self
            .fields
            .iter()
            .zip(&self.rules)
            .zip(row)
            .filter(|((field, _), _)| field.direction.is_none_or(Direction::pushes));
        // What is empty comes last, so that it meets the items that others have made.
        for ((field, rule), value) in sent.clone().filter(|(_, value)| value.is_some()) {
            if !rule.targets().is_empty() {
                rule.write(value, &mut document, &self.dates)
                    .map_err(|problem| in_column(&field.column, problem))?;
            }
        }
        for ((_, rule), _) in sent.filter(|(_, value)| value.is_none()) {
            for path in rule.targets() {
                path.lay_out(&mut document);
            }
        }
        Ok(document)
    }

    fn item(&self, rule: &ChildRule, row: &[Cell]) -> Result<Document, FieldProblem> {
        let mut item = Document::new();
        for (at, (part, column)) in rule.rules.iter().zip(&rule.columns).enumerate() {
            let told = |problem| in_column(&format!("{}.{column}", rule.table), problem);
            let value = part
                .local(row.get(at).unwrap_or(&Cell::Null), &self.dates)
                .map_err(told)?;
            if value.is_some() && !part.targets().is_empty() {
                part.write(&value, &mut item, &self.dates).map_err(told)?;
            }
            for path in part.targets().iter().filter(|_| value.is_none()) {
                path.lay_out(&mut item);
            }
        }
        Ok(item)
    }
}

fn in_column(column: &str, problem: FieldProblem) -> FieldProblem {
    FieldProblem {
        code: problem.code,
        reason: format!("column {column}: {}", problem.reason),
    }
}
