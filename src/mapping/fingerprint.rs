//! Fingerprints of rules: equal as long as a rule compares and writes rows alike (hazard H-66).
//!
//! They are kept in the state for years, so the text that is hashed must not depend on Rust's own formats or on the order
//! of a map. A deliberate change of how a type compares raises [`EDITION`].

use crate::model::{ColumnKind, DateStyle, Scalar};

use super::dates;
use super::lens::{ListPath, ScalarPath};
use super::rules::{Rule, Source};

/// Raised when the same rule would compare differently than in a release before.
const EDITION: &str = "1";

struct Sum(blake3::Hasher);

impl Sum {
    fn new(what: &str) -> Self {
        let mut sum = Self(blake3::Hasher::new());
        sum.part(what);
        sum.part(EDITION);
        sum
    }

    /// Each part is preceded by its length, so that no two lists of parts hash alike.
    fn part(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn end(self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(bytes)
    }
}

fn kind(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Integer => "integer",
        ColumnKind::Decimal => "decimal",
        ColumnKind::Bool => "bool",
        ColumnKind::Date => "date",
        ColumnKind::DateTime => "datetime",
    }
}

/// The fingerprint of a field.
pub(super) fn of_field(column: &str, rule: &Rule, style: &DateStyle) -> u64 {
    let mut sum = Sum::new("field");
    add(&mut sum, column, rule, style);
    sum.end()
}

fn add(sum: &mut Sum, column: &str, rule: &Rule, style: &DateStyle) {
    sum.part(column);
    sum.part(kind(rule.kind));
    let mut dated = matches!(rule.kind, ColumnKind::Date | ColumnKind::DateTime);
    match &rule.source {
        Source::Paths { paths, .. } => {
            sum.part("paths");
            sum.count(paths.len());
            for path in paths {
                sum.part(&path.spelling());
                dated |= path.scalar() == Scalar::DateTime;
            }
        }
        Source::Template(template) => {
            sum.part("template");
            sum.part(&template.spelling(ScalarPath::spelling));
            dated |= template
                .names()
                .any(|path| path.scalar() == Scalar::DateTime);
        }
    }
    sum.count(rule.normalize.len());
    for step in &rule.normalize {
        sum.part(&step.spelling());
    }
    let mut pairs: Vec<_> = rule
        .values
        .iter()
        .flat_map(|values| values.pairs())
        .collect();
    pairs.sort();
    sum.count(pairs.len());
    for (column, remote) in pairs {
        sum.part(column);
        sum.part(remote);
    }
    if dated {
        sum.part(style.zone.name());
        sum.part(style.sentinel.unwrap_or_default());
        sum.count(usize::from(dates::keeps_fractions(style)));
        // A point in time that may be pushed is cut to what the remote can show.
        sum.count(usize::from(
            rule.kind == ColumnKind::DateTime && rule.pushed,
        ));
        sum.count(style.formats.len());
        for format in &style.formats {
            sum.part(format);
        }
    }
}

/// The fingerprint of a child rule.
pub(super) fn of_child<'r>(
    table: &str,
    parent: &str,
    list: &ListPath,
    key: &[usize],
    rules: impl ExactSizeIterator<Item = (&'r str, &'r Rule)>,
    style: &DateStyle,
) -> u64 {
    let mut sum = Sum::new("child");
    sum.part(table);
    sum.part(parent);
    sum.part(&list.spelling());
    sum.count(key.len());
    for at in key {
        sum.count(*at);
    }
    sum.count(rules.len());
    for (column, rule) in rules {
        add(&mut sum, column, rule, style);
        sum.part(rule.default.as_deref().unwrap_or_default());
    }
    sum.end()
}
