//! Whole records: made of a row and its child rows for a service that is sent records, and which parts of one say nothing.
//!
//! A record that is composed holds what the mapping names and nothing else. A value that is empty stands in it as an empty
//! text, and a list without rows as an empty list: who receives it must be able to tell "cleared" from "not told" (user
//! contract, section 4: a key that is wholly absent says nothing).

use crate::model::{Cell, Direction, Document, FieldProblem, Result};

use super::rules::{ChildRule, Mapping, Rule, Source};

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

    /// Whether a record that came says nothing about this field: a name on the way to it is wholly absent (of several paths,
    /// on the way to each). Its column then stays. For kinds whose records need not be whole.
    pub fn says_nothing(&self, field: usize, document: &Document) -> bool {
        self.rules
            .get(field)
            .is_some_and(|rule| rule.is_silent(document))
    }

    /// Likewise for the rows of a child rule.
    pub fn says_nothing_of_children(&self, child: usize, document: &Document) -> bool {
        self.children
            .get(child)
            .is_some_and(|rule| rule.list.is_silent(document))
    }
}

impl Rule {
    fn is_silent(&self, document: &Document) -> bool {
        match &self.source {
            Source::Paths { paths, .. } => paths.iter().all(|path| path.is_silent(document)),
            Source::Template(template) => template.names().all(|path| path.is_silent(document)),
        }
    }
}

fn in_column(column: &str, problem: FieldProblem) -> FieldProblem {
    FieldProblem {
        code: problem.code,
        reason: format!("column {column}: {}", problem.reason),
    }
}
