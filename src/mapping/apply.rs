//! Documents and rows into canonical space and back: the mapping at work, once a record.
//!
//! Both sides are compared in canonical space. A remote text is read by its path, taken apart by the wire's scalar and the
//! column's type (or by `values`), and normalised; a cell is taken apart by the type and normalised. What is written to a
//! document goes only where it changes what is read there, so that a difference which canonical space does not know is
//! never pushed and putting back what was read changes nothing.
//!
//! Pure, total and without logging: it sees values.

use crate::model::{
    Absence, Canonical, Cell, ColumnKind, DateStyle, Document, FieldProblem, Scalar,
};

use super::convert;
use super::lens::ScalarPath;
use super::normalize::normalized;
use super::rules::{Generate, Mapping, Rule, Source};

// The names say which side is read; `from_` and `self` go together here.
#[allow(clippy::wrong_self_convention)]
impl Mapping {
    /// The canonical values of a remote record, one per field. Absent, empty and the service's sentinel are `None`; where
    /// records may come in part, an absent part gives [`FieldProblem::silence`].
    pub fn from_remote(&self, document: &Document) -> Vec<Result<Canonical, FieldProblem>> {
        self.rules
            .iter()
            .map(|rule| {
                if rule.is_silent(document, self.absence_in(document)) {
                    return Err(FieldProblem::silence());
                }
                rule.read(document, &self.dates)
            })
            .collect()
    }

    /// What an absent name means in this record.
    pub(super) fn absence_in(&self, document: &Document) -> Absence {
        if document.is_whole() {
            Absence::Empty
        } else {
            self.absence
        }
    }

    /// The canonical values of a row, one per field; `cells` stand in the mapping's order. NULL and '' are `None`.
    pub fn from_local(&self, cells: &[Cell]) -> Vec<Result<Canonical, FieldProblem>> {
        self.rules
            .iter()
            .enumerate()
            .map(|(at, rule)| rule.local(cells.get(at).unwrap_or(&Cell::Null), &self.dates))
            .collect()
    }

    /// What is written to the column of `field` for a canonical value.
    pub fn to_cell(&self, field: usize, value: &Canonical) -> Result<Cell, FieldProblem> {
        Ok(convert::to_cell(self.rule(field)?.kind, value))
    }

    /// Writes a canonical value through the path of `field`, and to both places of a path that stands for two.
    ///
    /// Items that are missing are made; `None` clears with an empty text or the service's sentinel, and makes nothing.
    /// Nothing is changed where the document shows the value already, and nothing when this fails:
    /// `Q-READONLY`, `Q-VALUE`, `Q-EMPTY`, `Q-CHAR`, `Q-SHAPE`, or the code of a value that its element can't hold.
    pub fn to_remote(
        &self,
        field: usize,
        value: &Canonical,
        document: &mut Document,
    ) -> Result<(), FieldProblem> {
        self.rule(field)?.write(value, document, &self.dates)
    }

    /// What `generate` makes for an empty column of a new row; `None` without a `generate`, or when all that its template
    /// names is empty. `row` holds the canonical values of the row, `random` the bytes for a UUID.
    pub fn generate(&self, field: usize, row: &[Canonical], random: [u8; 16]) -> Option<String> {
        let rule = self.rules.get(field)?;
        let text = match rule.generate.as_ref()? {
            Generate::Uuid => uuid::Builder::from_random_bytes(random)
                .into_uuid()
                .to_string(),
            Generate::Template(template) => {
                template.fill(|at| row.get(*at).and_then(|value| value.as_deref()))?
            }
        };
        normalized(&text, &rule.normalize).ok().flatten()
    }

    /// The value of an absent one when a record or a row is made; `None` without a `default`.
    pub fn default_for(&self, field: usize) -> Canonical {
        self.rules.get(field).and_then(|rule| rule.default.clone())
    }

    fn rule(&self, field: usize) -> Result<&Rule, FieldProblem> {
        self.rules.get(field).ok_or_else(|| FieldProblem {
            code: "Q-FIELD",
            reason: "the mapping has no such field".to_owned(),
        })
    }
}

impl Rule {
    /// Whether the value can't be told, because a part that it may come from was not handed over.
    fn is_silent(&self, document: &Document, absence: Absence) -> bool {
        for path in self.paths() {
            if path.is_silent(document, absence) {
                return true;
            }
            let decides = matches!(self.source, Source::Paths { .. })
                && path.read(document).is_some_and(|text| !text.is_empty());
            if decides {
                return false;
            }
        }
        false
    }

    /// Every path that is read, in order.
    fn paths(&self) -> Box<dyn Iterator<Item = &ScalarPath> + '_> {
        match &self.source {
            Source::Paths { paths, .. } => Box::new(paths.iter()),
            Source::Template(template) => Box::new(template.names()),
        }
    }

    pub(super) fn read(
        &self,
        document: &Document,
        dates: &DateStyle,
    ) -> Result<Canonical, FieldProblem> {
        match &self.source {
            Source::Paths { paths, .. } => {
                for path in paths {
                    let Some(text) = path.read(document) else {
                        // Something of another shape there is no empty value: that would clear the column.
                        path.check(document)?;
                        continue;
                    };
                    if text.is_empty() {
                        continue;
                    }
                    let value = self.interpret(path.scalar(), text, dates)?;
                    if value.is_some() {
                        return Ok(value);
                    }
                }
                Ok(None)
            }
            Source::Template(template) => {
                let shown = |path: &ScalarPath| {
                    path.read(document).filter(|text| {
                        path.scalar() != Scalar::DateTime
                            || !super::dates::is_sentinel_text(text, dates)
                    })
                };
                match template.fill(shown) {
                    Some(text) => self.interpret(Scalar::Text, &text, dates),
                    None => Ok(None),
                }
            }
        }
    }

    fn interpret(
        &self,
        scalar: Scalar,
        text: &str,
        dates: &DateStyle,
    ) -> Result<Canonical, FieldProblem> {
        if let Some(values) = &self.values {
            return values.column_value(text);
        }
        if self.kind == ColumnKind::Text && scalar != Scalar::DateTime {
            return normalized(text, &self.normalize);
        }
        self.normal(convert::from_remote(
            self.kind,
            scalar,
            text,
            dates,
            self.pushed,
        )?)
    }

    fn normal(&self, value: Canonical) -> Result<Canonical, FieldProblem> {
        match value {
            Some(text) if !self.normalize.is_empty() => normalized(&text, &self.normalize),
            value => Ok(value),
        }
    }

    pub(super) fn local(&self, cell: &Cell, dates: &DateStyle) -> Result<Canonical, FieldProblem> {
        self.normal(convert::from_cell(self.kind, cell, dates, self.pushed)?)
    }

    pub(super) fn write(
        &self,
        value: &Canonical,
        document: &mut Document,
        dates: &DateStyle,
    ) -> Result<(), FieldProblem> {
        let targets = self.targets();
        if targets.is_empty() {
            return Err(FieldProblem {
                code: "Q-READONLY",
                reason: "can be read but not written".to_owned(),
            });
        }
        if self.read(document, dates).as_ref() == Ok(value) {
            return Ok(());
        }
        let mut texts = Vec::with_capacity(targets.len());
        for path in targets {
            path.check(document)?;
            texts.push(match (value, &self.values) {
                (None, _) => convert::nothing(path.scalar(), dates)?,
                (Some(value), Some(values)) => values.remote_value(value)?.to_owned(),
                (Some(value), None) => convert::to_remote(self.kind, path.scalar(), value, dates)?,
            });
        }
        for (path, text) in targets.iter().zip(texts) {
            let stands = path.read(document).is_some_and(|text| !text.is_empty());
            if value.is_some() || stands {
                path.write(document, text)?;
            }
        }
        Ok(())
    }

    /// The paths that a value is written to; none where it can't be written.
    pub(super) fn targets(&self) -> &[ScalarPath] {
        match &self.source {
            Source::Paths { paths, written } => paths.get(..*written).unwrap_or_default(),
            Source::Template(_) => &[],
        }
    }
}
