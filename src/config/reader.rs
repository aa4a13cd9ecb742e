//! Typed reading of a YAML tree: each getter reports what is wrong and goes on, so that all problems are told at once.
//!
//! It knows no key by itself: the caller hands the list of the keys that a map may have. A value that came from the
//! environment or from a file never stands in a message.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Problems;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use super::yaml::{Key, Kind, Mark, Node, shorten};

/// A value of the tree with its path, such as `bridges.members.limits.prefetch`.
#[derive(Clone)]
pub struct Value<'a> {
    node: &'a Node,
    at: Mark,
    path: String,
    problems: &'a Problems,
}

impl<'a> Value<'a> {
    /// The root of a file.
    pub fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self {
            node,
            at: node.at,
            path: String::new(),
            problems,
        }
    }

    fn child(&self, node: &'a Node, at: Mark, step: &str) -> Self {
        let path = if self.path.is_empty() || step.starts_with('[') {
            format!("{}{step}", self.path)
        } else {
            format!("{}.{step}", self.path)
        };
        Self {
            node,
            at,
            path,
            problems: self.problems,
        }
    }

    /// The node itself.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Where its key stands (where the value itself begins, for the root and in a list).
    pub fn at(&self) -> Mark {
        self.at
    }

    /// Its path from the root; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where problems go.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::Seq(_))
    }

    /// Whether it is a single value.
    pub fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar { .. })
    }

    /// Whether it is a single value that came, in part, from the environment or from a file.
    pub fn is_filled(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar { filled: true, .. })
    }

    /// Reports `PATH: sentence (FILE:LINE)` under `code`.
    ///
    /// Nothing is added for a value that could not be filled in: that has been reported, and is the cause.
    pub fn report(&self, code: &'static str, sentence: &str) {
        if self.is_unfilled() {
            return;
        }
        if self.path.is_empty() {
            self.problems.report(code, self.at, sentence);
        } else {
            self.problems
                .report_path(code, self.at, &self.path, sentence);
        }
    }

    /// Whether it could not be filled in from the environment or from a file; that has been reported.
    pub fn is_unfilled(&self) -> bool {
        self.is_scalar() && self.problems.is_unfilled(self.node.at)
    }

    /// Reports a value that can't be accepted, and is `None`, so that a getter can end with it.
    pub fn invalid<T>(&self, sentence: impl AsRef<str>) -> Option<T> {
        self.report(self.problems.codes().value, sentence.as_ref());
        None
    }

    /// The value for a message: as written and cut short, or a stand-in where it must not be shown.
    pub fn shown(&self) -> String {
        match &self.node.kind {
            Kind::Scalar { filled: true, .. } => "the value filled in here".to_owned(),
            Kind::Scalar {
                text, quoted: true, ..
            } => format!("\"{}\"", shorten(text)),
            Kind::Scalar { text, .. } if text.is_empty() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => shorten(text),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Seq(_) => "a list".to_owned(),
        }
    }

    fn scalar(&self, wanted: &str) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => self.invalid(format!("{} found where {wanted} is needed", self.shown())),
        }
    }

    /// A text; may be empty.
    pub fn text(&self) -> Option<&'a str> {
        self.scalar("a text")
    }

    /// A text that is not empty and not of white space alone.
    pub fn filled_text(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            return self.invalid("must not be empty");
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        match self.scalar("true or false")? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => self.invalid(format!("{} is not true or false", self.shown())),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let text = self.scalar("a whole number")?;
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.invalid(format!("{} is not a whole number", self.shown()));
        }
        match text.parse::<i64>() {
            Ok(value) if range.contains(&value) => Some(value),
            _ => self.invalid(format!(
                "{} is out of range ({} .. {})",
                self.shown(),
                range.start(),
                range.end()
            )),
        }
    }

    /// A number, with or without a fraction, within `range`.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let text = self.scalar("a number")?;
        match text.parse::<f64>() {
            Ok(value) if range.contains(&value) => Some(value),
            Ok(value) if !value.is_nan() => self.invalid(format!(
                "{} is out of range ({} .. {})",
                self.shown(),
                range.start(),
                range.end()
            )),
            _ => self.invalid(format!("{} is not a number", self.shown())),
        }
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.scalar("a word")?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.invalid(format!(
            "{} is not one of {}",
            self.shown(),
            names.join(", ")
        ))
    }

    /// A duration such as `30s`, `10m`, `24h`, `7d`, within `range`.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.scalar("a duration such as 10m")?;
        match parse_duration(text) {
            Some(value) if range.contains(&value) => Some(value),
            Some(_) => self.invalid(format!(
                "{} is out of range ({} .. {})",
                self.shown(),
                show_duration(*range.start()),
                show_duration(*range.end())
            )),
            None => self.invalid(format!(
                "{} is not a duration; write a number with ms, s, m, h or d, such as 10m",
                self.shown()
            )),
        }
    }

    /// A size in bytes such as `64KiB` or `256MB`, within `range`.
    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.scalar("a size such as 64KiB")?;
        match parse_size(text) {
            Some(value) if range.contains(&value) => Some(value),
            Some(_) => self.invalid(format!(
                "{} is out of range ({} .. {})",
                self.shown(),
                show_size(*range.start()),
                show_size(*range.end())
            )),
            None => self.invalid(format!(
                "{} is not a size; write a number with B, KB, KiB, MB, MiB, GB or GiB, such as 64KiB",
                self.shown()
            )),
        }
    }

    /// The items of a list; empty, with a problem, when it is none.
    pub fn list(&self) -> Vec<Value<'a>> {
        match &self.node.kind {
            Kind::Seq(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.child(item, item.at, &format!("[{index}]")))
                .collect(),
            _ => {
                self.invalid::<()>(format!("{} found where a list is needed", self.shown()));
                Vec::new()
            }
        }
    }

    /// The entries of a map whose keys the user chooses; empty, with a problem, when it is none.
    pub fn entries(&self) -> Vec<(&'a Key, Value<'a>)> {
        match &self.node.kind {
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key, self.child(node, key.at, &key.text)))
                .collect(),
            _ => {
                self.invalid::<()>(format!("{} found where a map is needed", self.shown()));
                Vec::new()
            }
        }
    }

    /// What stands under `key`, without any check of the other keys: to choose by a `kind` which keys are valid.
    pub fn peek(&self, key: &str) -> Option<Value<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(known, _)| known.text == key)
                .filter(|(_, node)| !node.is_null())
                .map(|(known, node)| self.child(node, known.at, &known.text)),
            _ => None,
        }
    }

    /// A map that may have `keys` and no others; unknown ones are reported with their nearest valid key.
    pub fn map(&self, keys: &'static [&'static str]) -> Option<MapReader<'a>> {
        let Kind::Map(entries) = &self.node.kind else {
            return self.invalid(format!("{} found where a map is needed", self.shown()));
        };
        for (key, _) in entries {
            if !keys.contains(&key.text.as_str()) {
                self.problems.report(
                    self.problems.codes().key,
                    key.at,
                    &format!(
                        "unknown key \"{}\"{}",
                        shorten(&key.text),
                        advice(&key.text, keys)
                    ),
                );
            }
        }
        Some(MapReader {
            value: self.clone(),
            keys,
        })
    }
}

/// A map with a known list of keys. A key without a value counts as left out.
pub struct MapReader<'a> {
    value: Value<'a>,
    keys: &'static [&'static str],
}

impl<'a> MapReader<'a> {
    /// The map as a value.
    pub fn value(&self) -> &Value<'a> {
        &self.value
    }

    /// What stands under `key`, if anything does.
    pub fn optional(&self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(
            self.keys.contains(&key),
            "{key} is read but not in the list of keys"
        );
        self.value.peek(key)
    }

    /// What stands under `key`; its absence is a problem.
    pub fn required(&self, key: &'static str) -> Option<Value<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            let problems = self.value.problems;
            let code = problems.codes().key;
            // An unknown key that is nearly this one has been reported, and is the better hint.
            if self.value.path.is_empty() {
                problems.report_file(code, &format!("key \"{key}\" is missing"));
            } else {
                self.value
                    .report(code, &format!("key \"{key}\" is missing"));
            }
        }
        found
    }
}

fn advice(found: &str, keys: &[&str]) -> String {
    match nearest(found, keys.iter().copied()) {
        Some(key) => format!("; did you mean \"{key}\"?"),
        None if keys.len() <= 12 => format!("; valid here: {}", keys.join(", ")),
        None => String::new(),
    }
}

/// The candidate that `found` was most likely meant to be, if one is near enough.
pub fn nearest<'k>(found: &str, candidates: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Longer texts are no typing errors, and the comparison is quadratic.
    if found.chars().nth(80).is_some() {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(found);
    let bound = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|key| (strsim::damerau_levenshtein(&wanted, &plain(key)), key))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;
    use proptest::prelude::*;

    const KEYS: &[&str] = &["conflicts", "prefetch", "full_read", "enabled", "direction"];

    fn read(text: &str, with: impl FnOnce(&MapReader<'_>)) -> Vec<String> {
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(text, &problems).unwrap();
        if let Some(map) = Value::root(&node, &problems).map(KEYS) {
            with(&map);
        }
        problems.sentences()
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_valid_key() {
        let found = read("prefetch: 4\nconflcits: newest\nzzzzzz: 1\n", |_| {});
        assert_eq!(
            found,
            [
                "E-CFG-KEY bridge.yaml:2: unknown key \"conflcits\"; did you mean \"conflicts\"?",
                "E-CFG-KEY bridge.yaml:3: unknown key \"zzzzzz\"; valid here: conflicts, prefetch, full_read, enabled, direction",
            ]
        );
    }

    #[test]
    fn every_wrong_value_is_reported_and_reading_goes_on() {
        let text =
            "prefetch: -5\nfull_read: soon\nenabled: yes\ndirection: up\nconflicts: [newest]\n";
        let found = read(text, |map| {
            let day = Duration::from_secs(86_400);
            assert!(map.required("prefetch").unwrap().integer(1..=32).is_none());
            assert!(
                map.required("full_read")
                    .unwrap()
                    .duration(Duration::ZERO..=day)
                    .is_none()
            );
            assert!(map.required("enabled").unwrap().bool().is_none());
            let words = [("pull", 1), ("push", 2)];
            assert!(map.required("direction").unwrap().word(&words).is_none());
            assert!(map.required("conflicts").unwrap().text().is_none());
        });
        assert_eq!(
            found,
            [
                "E-CFG-VALUE prefetch: -5 is out of range (1 .. 32) (bridge.yaml:1)",
                "E-CFG-VALUE full_read: soon is not a duration; write a number with ms, s, m, h or d, such as 10m (bridge.yaml:2)",
                "E-CFG-VALUE enabled: yes is not true or false (bridge.yaml:3)",
                "E-CFG-VALUE direction: up is not one of pull, push (bridge.yaml:4)",
                "E-CFG-VALUE conflicts: a list found where a text is needed (bridge.yaml:5)",
            ]
        );
    }

    #[test]
    fn a_missing_key_is_named_and_a_bare_key_counts_as_left_out() {
        let found = read("prefetch:\n", |map| {
            assert!(map.optional("prefetch").is_none());
            assert!(map.required("enabled").is_none());
        });
        assert_eq!(found, ["E-CFG-KEY bridge.yaml: key \"enabled\" is missing"]);
    }

    #[test]
    fn absurd_numbers_are_out_of_range_and_never_a_panic() {
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(
            "[1e9, 99999999999999999999, nan, inf, 0x10, '', 99999999999999d]",
            &problems,
        )
        .unwrap();
        let items = Value::root(&node, &problems).list();
        assert!(items[0].number(0.01..=1000.0).is_none());
        assert!(items[1].integer(0..=10).is_none());
        assert!(items[2].number(0.0..=1.0).is_none());
        assert!(items[3].number(0.0..=1.0).is_none());
        assert!(items[4].integer(0..=100).is_none());
        assert!(items[5].integer(0..=100).is_none());
        assert!(
            items[6]
                .duration(Duration::ZERO..=Duration::from_secs(1))
                .is_none()
        );
        let sentences = problems.sentences();
        assert_eq!(sentences.len(), 7);
        assert!(sentences[0].contains("1e9 is out of range (0.01 .. 1000)"));
        assert!(sentences[1].contains("is out of range (0 .. 10)"));
    }

    #[test]
    fn a_value_from_outside_never_stands_in_a_message() {
        let problems = Problems::for_config("bridge.yaml");
        let mut node = parse("prefetch: hunter2\n", &problems).unwrap();
        if let Kind::Map(entries) = &mut node.kind
            && let Kind::Scalar { filled, .. } = &mut entries[0].1.kind
        {
            *filled = true;
        }
        let map = Value::root(&node, &problems).map(KEYS).unwrap();
        let value = map.required("prefetch").unwrap();
        assert!(value.integer(1..=2).is_none());
        assert!(value.bool().is_none());
        assert!(value.number(0.0..=1.0).is_none());
        assert!(value.size(0..=1).is_none());
        assert!(value.duration(Duration::ZERO..=Duration::ZERO).is_none());
        assert!(value.word(&[("a", 1)]).is_none());
        assert!(value.list().is_empty() && value.entries().is_empty());
        assert_eq!(problems.count(), 8);
        assert!(!problems.sentences().join(" ").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_name_makes_the_search_panic(text: String) {
            let _ = nearest(&text, ["conflicts"]);
        }
    }
}
