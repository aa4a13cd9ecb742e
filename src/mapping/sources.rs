//! Where a field's value comes from: its paths held against the vocabulary, and what they allow.

use crate::model::{Direction, Shape};

use super::compile::Compiler;
use super::file::{FieldSpec, SourceSpec};
use super::lens::ScalarPath;
use super::path::Written;
use super::rules::Source;
use super::template::Template;

/// A source that was found, with what its paths allow.
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) label: String,
    /// Why it can't be written; `None` when it can.
    pub(super) read_only: Option<String>,
    /// The paths as written, each in its one spelling.
    pub(super) written: Vec<Written>,
}

impl Compiler<'_> {
    /// Finds the paths of a field in `shape`; `whole` when that is the shape of a whole record.
    pub(super) fn source(&self, spec: &FieldSpec, shape: &Shape, whole: bool) -> Option<Found> {
        let texts: Vec<String> = match &spec.source {
            SourceSpec::Path(path) => vec![path.clone()],
            SourceSpec::Paths(paths) => paths.clone(),
            SourceSpec::Template(text) => {
                let template = self.path_problem(spec, "E-MAP-TEMPLATE", Template::parse(text))?;
                template.names().cloned().collect()
            }
        };
        let before = self.problems.count();
        let mut written = Vec::with_capacity(texts.len());
        let mut paths = Vec::with_capacity(texts.len());
        for text in &texts {
            let found = Written::parse(text)
                .and_then(|written| Ok((written.to_scalar(shape)?, written)))
                .map_err(|problem| format!("remote \"{text}\": {problem}"));
            if let Some((path, spelled)) = self.path_problem(spec, "E-MAP-PATH", found) {
                if whole {
                    self.guarded(spec, text, &spelled);
                }
                paths.push(path);
                written.push(spelled);
            }
        }
        if self.problems.count() > before {
            return None;
        }
        let (source, label, read_only) = match &spec.source {
            SourceSpec::Template(text) => {
                let template = Template::parse(text).ok()?;
                let mut next = paths.iter();
                let resolved = template
                    .resolve(|_| next.next().cloned().ok_or_else(String::new))
                    .ok()?;
                let why = "a template is made of several values".to_owned();
                (Source::Template(resolved), text.clone(), Some(why))
            }
            SourceSpec::Paths(texts) => {
                let source = Source::Paths { paths, written: 0 };
                let why = "a list of paths can only be read".to_owned();
                (source, texts.join(" | "), Some(why))
            }
            SourceSpec::Path(text) => {
                let why = written.first().and_then(|path| self.read_only(path, whole));
                let mut all = paths;
                if whole {
                    all.extend(self.mirrored(written.first()));
                }
                let count = if why.is_none() { all.len() } else { 0 };
                let source = Source::Paths {
                    paths: all,
                    written: count,
                };
                (source, text.clone(), why)
            }
        };
        Some(Found {
            source,
            label,
            read_only,
            written,
        })
    }

    fn path_problem<T>(
        &self,
        spec: &FieldSpec,
        code: &'static str,
        result: std::result::Result<T, String>,
    ) -> Option<T> {
        result
            .map_err(|problem| {
                self.report(
                    code,
                    spec.at,
                    format!("column \"{}\": {problem}", spec.column),
                );
            })
            .ok()
    }

    /// The other place of a path that stands for two.
    fn mirrored(&self, path: Option<&Written>) -> Option<ScalarPath> {
        let spelling = path?.spelling();
        let mirror = self
            .vocabulary
            .mirrors
            .iter()
            .find(|mirror| mirror.path == spelling)?;
        Written::parse(mirror.other)
            .and_then(|other| other.to_scalar(&self.vocabulary.shape))
            .ok()
    }

    fn read_only(&self, path: &Written, whole: bool) -> Option<String> {
        if !self.vocabulary.writable {
            return Some(format!("{} can only be read", self.vocabulary.kind));
        }
        if path.ends_in_its_selector() {
            return Some("the value by which an item is chosen can't be changed".to_owned());
        }
        let listed = |paths: &[&str]| {
            whole
                && paths
                    .iter()
                    .any(|text| Written::parse(text).is_ok_and(|other| path.is_under(&other)))
        };
        listed(&self.vocabulary.read_only)
            .then(|| format!("\"{}\" belongs to the service", path.spelling()))
    }

    fn guarded(&self, spec: &FieldSpec, text: &str, path: &Written) {
        let guarded = self
            .vocabulary
            .guarded
            .iter()
            .any(|text| Written::parse(text).is_ok_and(|other| path.is_under(&other)));
        let pushed =
            spec.direction == Some(Direction::Push) && matches!(spec.source, SourceSpec::Path(_));
        if guarded && !pushed {
            self.report(
                "E-MAP-GUARDED",
                spec.at,
                format!(
                    "column \"{}\": \"{text}\" is a credential of the contact and is never copied; take the field out, or make it `direction: push`",
                    spec.column
                ),
            );
        }
    }
}
