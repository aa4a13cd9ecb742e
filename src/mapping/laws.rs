//! The round-trip laws of a mapping, tried with made-up values when it is loaded.
//!
//! For a field that is pushed: what was put is what is got, putting it again changes nothing, a cleared value reads as
//! none, and what went to the column comes back as it was. For all of them together: writing one changes no other. A
//! field that breaks one would flow to and fro for ever, so the mapping is refused.

use crate::model::{Canonical, Cell, DateStyle, Direction, Document};

use super::convert;
use super::rules::{Mapping, Rule};

/// A law that a field does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LawBreach {
    /// The index of the field.
    pub field: usize,
    /// Its column.
    pub column: String,
    /// What goes wrong, as a sentence.
    pub law: String,
}

/// Texts as people type them, with what the transforms care about.
const PROBES: [&str; 24] = [
    "Zoë O'Brien & <Sons>",
    "Probe.Person@Example.org",
    "0400 000 001",
    "+61 2 9374 4000",
    "  spaced   out  ",
    "STRASSE straße İı",
    "0",
    "1",
    "7",
    "-3",
    "2147483647",
    "12.50",
    "true",
    "no",
    "1951-02-11",
    "2024-02-29",
    "1899-12-31",
    "2026-01-10T00:00:00Z",
    "2026-07-10T12:34:56.5Z",
    "2026-04-04T16:30:00Z",
    "2026-10-03T16:30:00Z",
    "2026-10-25T00:30:00Z",
    "2026-11-01T06:30:00Z",
    "9999-12-30T00:00:00Z",
];

impl Mapping {
    /// The laws that this mapping breaks; none for one that [`Mapping::load`] gave out.
    pub fn broken_laws(&self) -> Vec<LawBreach> {
        let mut breaches = Vec::new();
        let mut all = Document::new();
        let mut put: Vec<(usize, Canonical)> = Vec::new();
        for (at, (rule, field)) in self.rules.iter().zip(&self.fields).enumerate() {
            let pushes = field.direction.is_none_or(Direction::pushes);
            let mut tell = |law: String| {
                breaches.push(LawBreach {
                    field: at,
                    column: field.column.clone(),
                    law,
                });
            };
            let probes = rule.probes(&self.dates);
            if let Some(law) = rule.breaks_in_column(&probes, &self.dates) {
                tell(law);
                continue;
            }
            if !pushes {
                continue;
            }
            match rule.breaks_in_record(&probes, &self.dates) {
                Err(law) => tell(law),
                // Each field puts another value, so that two of them at one place are noticed.
                Ok(values) => {
                    let value = values.get(at % values.len().max(1)).cloned();
                    if self.to_remote(at, &value, &mut all).is_ok() {
                        put.push((at, value));
                    }
                }
            }
        }
        for (at, value) in &put {
            let Some((rule, field)) = self.rules.get(*at).zip(self.fields.get(*at)) else {
                continue;
            };
            if rule.read(&all, &self.dates).as_ref() != Ok(value) {
                breaches.push(LawBreach {
                    field: *at,
                    column: field.column.clone(),
                    law: "writing another field changes what is read here".to_owned(),
                });
            }
        }
        breaches
    }
}

impl Rule {
    /// Canonical values that this rule can hold.
    fn probes(&self, dates: &DateStyle) -> Vec<String> {
        if let Some(values) = &self.values {
            return values
                .pairs()
                .iter()
                .map(|(column, _)| column.clone())
                .collect();
        }
        let mut probes: Vec<String> = PROBES
            .iter()
            .filter_map(|text| self.local(&Cell::Text((*text).to_owned()), dates).ok()?)
            .collect();
        probes.dedup();
        probes
    }

    fn breaks_in_column(&self, probes: &[String], dates: &DateStyle) -> Option<String> {
        probes.iter().find_map(|probe| {
            let value = Some(probe.clone());
            let cell = convert::to_cell(self.kind, &value);
            (self.local(&cell, dates) != Ok(value)).then(|| {
                "what is written to the column is not what is read from it again; `normalize` must leave its own result as it is"
                    .to_owned()
            })
        })
    }

    /// Tries a field that is pushed; gives the values that it can hold, of which there is at least one.
    fn breaks_in_record(
        &self,
        probes: &[String],
        dates: &DateStyle,
    ) -> Result<Vec<String>, String> {
        let mut document = Document::new();
        let mut held = Vec::new();
        for probe in probes {
            let value = Some(probe.clone());
            // A value that its element can't hold is held back, which is no breach.
            if self.write(&value, &mut document, dates).is_err() {
                continue;
            }
            if self.read(&document, dates).as_ref() != Ok(&value) {
                return Err("what is pushed is not what is read back".to_owned());
            }
            let before = document.clone();
            if self.write(&value, &mut document, dates).is_err() || document != before {
                return Err("pushing what is there already changes the record".to_owned());
            }
            held.push(probe.clone());
        }
        if held.is_empty() {
            return Err("no value of this type can be pushed to this path".to_owned());
        }
        match self.write(&None, &mut document, dates) {
            Err(problem) if problem.code == "Q-EMPTY" => Ok(held),
            Ok(()) if self.read(&document, dates) == Ok(None) => Ok(held),
            _ => Err("a cleared value does not read as empty".to_owned()),
        }
    }
}
