//! The repeated parts of a record as rows of their own tables.
//!
//! Parts are told apart by their key and handed over in its order, so that a service which lists them in another order
//! shows no change (hazard H-47).

use crate::model::{Canonical, DateStyle, Document, FieldProblem};

use super::convert;
use super::rules::{ChildPart, ChildRule, Mapping};

/// More parts than this of one record are no addresses or telephone numbers but a fault of the service.
pub const CHILD_PARTS_MAX: usize = 10_000;

impl Mapping {
    /// The parts of a record, one list per child rule.
    ///
    /// `Ok(None)` where the section was not handed over and says nothing; a service that hands over whole records leaves out
    /// empty lists. `Q-DUPLICATE` where two different parts share a key, and whatever
    /// a value gives, with its column in the reason.
    pub fn children_from_remote(
        &self,
        document: &Document,
    ) -> Vec<Result<Option<Vec<ChildPart>>, FieldProblem>> {
        self.children
            .iter()
            .map(|rule| {
                if rule.list.is_silent(document, self.absence_in(document)) {
                    return Ok(None);
                }
                rule.parts(document, &self.dates).map(Some)
            })
            .collect()
    }
}

impl ChildRule {
    fn parts(
        &self,
        document: &Document,
        dates: &DateStyle,
    ) -> Result<Vec<ChildPart>, FieldProblem> {
        self.list.check(document)?;
        let items = self.list.items(document);
        if items.len() > CHILD_PARTS_MAX {
            return Err(FieldProblem {
                code: "Q-SHAPE",
                reason: format!("more than {CHILD_PARTS_MAX} items in one list"),
            });
        }
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            if let Some(part) = self.part(item, dates)? {
                parts.push(part);
            }
        }
        parts.sort_by(|a, b| a.key.cmp(&b.key));
        // The same part twice is one part.
        parts.dedup();
        if parts.windows(2).any(|pair| pair[0].key == pair[1].key) {
            return Err(FieldProblem {
                code: "Q-DUPLICATE",
                reason: format!(
                    "two items of \"{}\" have the same key; name more of their values in `key`",
                    self.label
                ),
            });
        }
        Ok(parts)
    }

    /// An item in which nothing but the first value of its key is filled stands for nothing: that is what is left of a
    /// part that was cleared. An empty value further on in a key is a value like any other.
    fn part(&self, item: &Document, dates: &DateStyle) -> Result<Option<ChildPart>, FieldProblem> {
        let mut values: Vec<Canonical> = Vec::with_capacity(self.rules.len());
        for (rule, column) in self.rules.iter().zip(&self.columns) {
            values.push(rule.read(item, dates).map_err(|problem| FieldProblem {
                code: problem.code,
                reason: format!("column {column}: {}", problem.reason),
            })?);
        }
        let name = self.key.first();
        let says = |(at, value): (usize, &Canonical)| value.is_some() && name != Some(&at);
        let alone = values.len() == 1 && values.iter().all(Option::is_some);
        if !alone && !values.iter().enumerate().any(says) {
            return Ok(None);
        }
        let cells = self
            .rules
            .iter()
            .zip(&values)
            .map(|(rule, value)| {
                let value = value.as_ref().or(rule.default.as_ref()).cloned();
                convert::to_cell(rule.kind, &value)
            })
            .collect();
        let key = self.key.iter().filter_map(|at| values.get(*at).cloned());
        Ok(Some(ChildPart {
            key: key.collect(),
            cells,
        }))
    }
}
