//! `values`: column value to remote value, one to one.

use crate::model::{Canonical, FieldProblem};

/// How many values a table may have; longer lists belong in a table of the database.
pub const VALUES_MAX: usize = 500;

/// A table that is one to one in both directions. Column values are canonical and normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pairs: Vec<(String, String)>,
}

impl Values {
    /// A table of pairs of column value and remote value. The errors are sentences about what is not one to one.
    pub(super) fn new(pairs: Vec<(String, String)>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        for (at, (column, remote)) in pairs.iter().enumerate() {
            for (other_column, other_remote) in &pairs[..at] {
                if remote == other_remote {
                    problems.push(format!(
                        "\"{other_column}\" and \"{column}\" both become \"{remote}\""
                    ));
                } else if column == other_column {
                    problems.push(format!(
                        "\"{other_remote}\" and \"{remote}\" both become \"{column}\" in the column"
                    ));
                }
            }
        }
        if problems.is_empty() {
            Ok(Self { pairs })
        } else {
            Err(problems)
        }
    }

    /// The column value of a remote text. Spaces around it, which editors leave, don't matter.
    pub(super) fn column_value(&self, text: &str) -> Result<Canonical, FieldProblem> {
        let find = |text: &str| {
            self.pairs
                .iter()
                .find(|(_, remote)| remote == text)
                .map(|(column, _)| column.clone())
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        find(text)
            .or_else(|| find(text.trim()))
            .map(Some)
            .ok_or_else(|| unknown("a value that `values` does not list on the remote side"))
    }

    /// The remote text of a column value.
    pub(super) fn remote_value(&self, value: &str) -> Result<&str, FieldProblem> {
        self.pairs
            .iter()
            .find(|(column, _)| column == value)
            .map(|(_, remote)| remote.as_str())
            .ok_or_else(|| unknown("a value that `values` does not list on the column's side"))
    }

    /// All pairs, in the mapping's order.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }
}

fn unknown(reason: &str) -> FieldProblem {
    FieldProblem {
        code: "Q-VALUE",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Result<Values, Vec<String>> {
        Values::new(
            pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn values_go_both_ways_and_unknown_ones_are_problems() {
        let table = values(&[("gold", "G"), ("silver", "S")]).unwrap();
        assert_eq!(table.column_value("G"), Ok(Some("gold".into())));
        assert_eq!(table.column_value(" G "), Ok(Some("gold".into())));
        assert_eq!(table.column_value(" "), Ok(None));
        assert_eq!(table.column_value("g").unwrap_err().code, "Q-VALUE");
        assert_eq!(table.remote_value("silver"), Ok("S"));
        assert_eq!(table.remote_value("S").unwrap_err().code, "Q-VALUE");
    }

    #[test]
    fn h30_what_is_not_one_to_one_is_refused_and_every_clash_is_told() {
        assert_eq!(
            values(&[("gold", "G"), ("vip", "G"), ("x", "X"), ("x", "Y")]).unwrap_err(),
            [
                "\"gold\" and \"vip\" both become \"G\"",
                "\"X\" and \"Y\" both become \"x\" in the column"
            ]
        );
    }
}
