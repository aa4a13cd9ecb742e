//! Finding rows by the value of a field, in whatever way the row writes it.
//!
//! SQL can't compare as mappings normalise, so each call reads the column once, as a stream, and keeps the keys whose value
//! folds to the same as one that is looked for. An index in memory would be old with the next commit of another program.

use std::collections::HashSet;

use super::Reader;
use super::backend::{Answer, Backend};
use crate::local::Row;
use crate::local::fold::{fold, fold_cell};

impl<B: Backend> Reader<'_, B> {
    pub(super) async fn find(&mut self, field: usize, values: &[String]) -> Answer<Vec<Row>> {
        let binding = self.binding;
        let (Some(column), Some(shape)) =
            (self.layout.columns.get(field), binding.fields.get(field))
        else {
            return Ok(Vec::new());
        };
        let wanted: HashSet<u32> = values
            .iter()
            .map(|value| fold(column.kind, value))
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.statement(format!(
            "SELECT {}, {} FROM {} AS t WHERE t.{} IS NOT NULL",
            binding.key.read(B::DIALECT),
            shape.read(B::DIALECT),
            binding.table,
            B::DIALECT.name(&shape.name)
        ));
        let mut keys = Vec::new();
        self.backend
            .each(&statement, &mut |row| {
                let [key, value] = row else { return };
                if fold_cell(column.kind, &shape.cell(*value))
                    .is_some_and(|folded| wanted.contains(&folded))
                    && let Some(key) = binding.key.key(*key)
                {
                    keys.push(key);
                }
            })
            .await?;
        keys.sort();
        Ok(self.fetch(&keys).await?.into_iter().flatten().collect())
    }
}
