//! How a field's value is taken apart: type, `normalize`, `values`, `default` and `generate`, held against each other.

use crate::config::nearest;
use crate::model::{Canonical, ColumnKind, DateStyle, Scalar};

use super::compile::Compiler;
use super::convert;
use super::file::{FieldSpec, Spec};
use super::normalize::normalized;
use super::rules::{Generate, Rule, Source};
use super::template::Template;
use super::values::Values;

impl Compiler<'_> {
    pub(super) fn rule(&self, spec: &FieldSpec, source: Source, pushes: bool) -> Option<Rule> {
        let style = &self.vocabulary.dates;
        let before = self.problems.count();
        let say = |code: &'static str, sentence: String| {
            self.report(
                code,
                spec.at,
                format!("column \"{}\": {sentence}", spec.column),
            );
        };
        if let Source::Paths { paths, .. } = &source {
            for path in paths {
                if let Some(clash) = clash(spec, path.scalar(), pushes) {
                    say("E-MAP-TYPE", format!("\"{}\" {clash}", path.spelling()));
                }
            }
        }
        if !spec.normalize.is_empty() && spec.kind != ColumnKind::Text {
            say(
                "E-MAP-TYPE",
                "`normalize` is for texts; take it or `type` out".to_owned(),
            );
        }
        let canonical = |text: &str| canonical(spec, text, style, pushes);
        let mut values = None;
        if let Some(pairs) = &spec.values {
            let mut table = Vec::with_capacity(pairs.len());
            for (column, remote) in pairs {
                match canonical(column) {
                    Ok(Some(text)) => table.push((text, remote.clone())),
                    Ok(None) => say(
                        "E-MAP-VALUE",
                        "an empty column value in `values` can't be told from NULL".to_owned(),
                    ),
                    Err(reason) => say(
                        "E-MAP-VALUE",
                        format!("\"{column}\" in `values` is {reason}"),
                    ),
                }
                let scalar = source.scalar();
                if convert::checked_text(scalar, remote, style).ok().as_ref() != Some(remote) {
                    say(
                        "E-MAP-VALUE",
                        format!("\"{remote}\" in `values` does not fit its place in the record"),
                    );
                }
            }
            match Values::new(table) {
                Ok(table) => values = Some(table),
                Err(clashes) => {
                    for clash in clashes {
                        say(
                            "E-MAP-LOSSY",
                            format!("{clash}; `values` must be one to one"),
                        );
                    }
                }
            }
        }
        let mut default = None;
        if let Some(text) = &spec.default {
            match canonical(text) {
                Ok(value) => default = value,
                Err(reason) => say("E-MAP-VALUE", format!("the default is {reason}")),
            }
            if let (Some(table), Some(value)) = (&values, &default)
                && table.remote_value(value).is_err()
            {
                say(
                    "E-MAP-VALUE",
                    "the default is not one of `values`".to_owned(),
                );
            }
        }
        (self.problems.count() == before).then_some(Rule {
            source,
            kind: spec.kind,
            normalize: spec.normalize.clone(),
            values,
            default,
            generate: None,
            pushed: pushes,
        })
    }

    pub(super) fn generate(&self, spec: &FieldSpec, text: &str, file: &Spec) -> Option<Generate> {
        let say = |sentence: String| {
            self.report(
                "E-MAP-GENERATE",
                spec.at,
                format!("column \"{}\": {sentence}", spec.column),
            );
        };
        if spec.kind != ColumnKind::Text || spec.values.is_some() {
            say(
                "`generate` makes texts, so it goes with `type: text` and without `values`"
                    .to_owned(),
            );
            return None;
        }
        if text == "uuid" {
            return Some(Generate::Uuid);
        }
        if !text.contains("{{") {
            say(
                "`generate` is uuid or a template of columns such as \"M-{{ member_no }}\""
                    .to_owned(),
            );
            return None;
        }
        let resolved = Template::parse(text)
            .map_err(|problem| vec![problem])
            .and_then(|template| {
                template.resolve(|name| {
                    let at = file.fields.iter().position(|field| field.column == *name);
                    match at.and_then(|at| Some((at, file.fields.get(at)?))) {
                        Some((_, other)) if other.generate.is_some() => {
                            Err(format!("\"{name}\" is itself generated"))
                        }
                        Some((at, _)) => Ok(at),
                        None => {
                            let columns = file.fields.iter().map(|field| field.column.as_str());
                            Err(match nearest(name, columns) {
                                Some(near) => format!(
                                    "no field has the column \"{name}\"; did you mean \"{near}\"?"
                                ),
                                None => format!("no field has the column \"{name}\""),
                            })
                        }
                    }
                })
            });
        match resolved {
            Ok(template) => Some(Generate::Template(template)),
            Err(problems) => {
                problems.into_iter().for_each(say);
                None
            }
        }
    }
}

/// Why a column of this type can't hold what stands at a path; `None` when it can.
fn clash(spec: &FieldSpec, scalar: Scalar, pushes: bool) -> Option<String> {
    use ColumnKind::{Bool, Date, DateTime, Decimal, Integer, Text};
    let (holds, fitting) = match scalar {
        Scalar::Text => return None,
        Scalar::Integer => ("holds a whole number", "integer"),
        Scalar::Bool => ("holds true or false", "bool"),
        Scalar::Decimal => ("holds a number with a fraction", "decimal"),
        Scalar::Date => ("holds a date", "date"),
        Scalar::DateTime => ("holds a date with its time", "date or datetime"),
    };
    let fine = match (scalar, spec.kind) {
        (Scalar::DateTime, _) if spec.values.is_some() => false,
        (_, _) if spec.values.is_some() => true,
        (Scalar::Integer, Integer | Decimal | Bool) => true,
        (Scalar::Bool, Bool) | (Scalar::Decimal, Decimal) | (Scalar::Date, Date) => true,
        (Scalar::DateTime, Date | DateTime) => true,
        // Read as it stands; written, any text could stand there, and one wrong one has a whole batch refused.
        (_, Text) => !pushes,
        _ => false,
    };
    (!fine).then(|| format!("{holds}; give the field `type: {fitting}`"))
}

/// A column value of the file in canonical form; the error is the reason alone.
fn canonical(
    spec: &FieldSpec,
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> std::result::Result<Canonical, String> {
    let value =
        convert::from_text(spec.kind, text, style, pushed).map_err(|problem| problem.reason)?;
    match value {
        Some(text) => normalized(&text, &spec.normalize).map_err(|problem| problem.reason),
        None => Ok(None),
    }
}
