//! Everything that is wrong with a file, collected, so that it is told at once.
//!
//! It must not hold a value that came from the environment or from a secret file: whoever reports a problem leaves it out.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::model::{Error, ErrorKind};

use super::yaml::Mark;

/// More problems than this come from one cause; a screen of them is enough.
pub const DEFAULT_PROBLEMS_MAX: usize = 50;

/// The codes of a kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The file can't be read.
    pub read: &'static str,
    /// The text is no YAML that we accept.
    pub yaml: &'static str,
    /// A key is unknown or missing.
    pub key: &'static str,
    /// A value is of the wrong type or out of range.
    pub value: &'static str,
}

/// The codes for bridge.yaml.
pub const CONFIG_CODES: Codes = Codes {
    read: "E-CFG-READ",
    yaml: "E-CFG-YAML",
    key: "E-CFG-KEY",
    value: "E-CFG-VALUE",
};

/// The codes for mapping files.
pub const MAPPING_CODES: Codes = Codes {
    read: "E-MAP-READ",
    yaml: "E-MAP-YAML",
    key: "E-MAP-KEY",
    value: "E-MAP-VALUE",
};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// The file, as the user named it.
    pub file: String,
    /// The line, or 0 for the file as a whole.
    pub line: usize,
    /// The whole sentence, with the place in it.
    pub message: String,
}

/// The problems of one file, and of those read on its behalf. Readers share it, so that all of them can add to it.
#[derive(Debug)]
pub struct Problems {
    file: String,
    codes: Codes,
    list: RefCell<Vec<Problem>>,
    unfilled: RefCell<HashSet<Mark>>,
}

impl Problems {
    /// No problems yet of `file`, a bridge.yaml.
    pub fn for_config(file: impl Into<String>) -> Self {
        Self::new(file, CONFIG_CODES)
    }

    /// No problems yet of `file`, a mapping.
    pub fn for_mapping(file: impl Into<String>) -> Self {
        Self::new(file, MAPPING_CODES)
    }

    fn new(file: impl Into<String>, codes: Codes) -> Self {
        Self {
            file: file.into(),
            codes,
            list: RefCell::default(),
            unfilled: RefCell::default(),
        }
    }

    /// The codes of this kind of file.
    pub fn codes(&self) -> Codes {
        self.codes
    }

    /// The file, as the user named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Adds `FILE:LINE: sentence`.
    pub fn report(&self, code: &'static str, at: Mark, sentence: &str) {
        let message = format!("{}:{}: {sentence}", self.file, at.line);
        self.add(code, at.line, message);
    }

    /// Adds `FILE:LINE:COLUMN: sentence`, for syntax.
    pub fn report_at(&self, code: &'static str, at: Mark, sentence: &str) {
        let message = format!("{}:{}:{}: {sentence}", self.file, at.line, at.column);
        self.add(code, at.line, message);
    }

    /// Adds `PATH: sentence (FILE:LINE)`, for the value at a path such as `bridges.members.limits.prefetch`.
    pub fn report_path(&self, code: &'static str, at: Mark, path: &str, sentence: &str) {
        let message = format!("{path}: {sentence} ({}:{})", self.file, at.line);
        self.add(code, at.line, message);
    }

    /// Adds `sentence (FILE:LINE)`, for a sentence that says itself what it is about.
    pub fn report_sentence(&self, code: &'static str, at: Mark, sentence: &str) {
        let message = format!("{sentence} ({}:{})", self.file, at.line);
        self.add(code, at.line, message);
    }

    /// Adds `FILE: sentence`, for the file as a whole.
    pub fn report_file(&self, code: &'static str, sentence: &str) {
        let message = format!("{}: {sentence}", self.file);
        self.add(code, 0, message);
    }

    fn add(&self, code: &'static str, line: usize, message: String) {
        self.list.borrow_mut().push(Problem {
            code,
            file: self.file.clone(),
            line,
            message,
        });
    }

    /// Notes that the value at `at` could not be filled in, and why: what else is wrong with it is a consequence.
    pub(super) fn report_unfilled(&self, code: &'static str, at: Mark, sentence: &str) {
        self.report_sentence(code, at, sentence);
        self.unfilled.borrow_mut().insert(at);
    }

    /// Whether the value at `at` could not be filled in.
    pub(super) fn is_unfilled(&self, at: Mark) -> bool {
        self.unfilled.borrow().contains(&at)
    }

    /// Takes over the problems of another file.
    pub fn absorb(&self, other: Problems) {
        self.list.borrow_mut().extend(other.list.into_inner());
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// How many there are: to see whether a step added any.
    pub fn count(&self) -> usize {
        self.list.borrow().len()
    }

    /// All of them, file after file in the order of their first problem, each file's sorted by line.
    pub fn sorted(&self) -> Vec<Problem> {
        let mut list = self.list.borrow().clone();
        let mut files: Vec<String> = Vec::new();
        for problem in &list {
            if !files.contains(&problem.file) {
                files.push(problem.file.clone());
            }
        }
        list.sort_by_key(|problem| {
            (
                files.iter().position(|file| *file == problem.file),
                problem.line,
            )
        });
        list.dedup();
        list
    }

    /// All of them as `CODE sentence`, sorted.
    pub fn sentences(&self) -> Vec<String> {
        self.sorted()
            .iter()
            .map(|problem| format!("{} {}", problem.code, problem.message))
            .collect()
    }

    /// One error (exit 2) that lists all, one a line; `None` when there is none.
    ///
    /// The error has the code of the first, and its message continues with the others, each with its own code.
    pub fn into_error(self) -> Option<Error> {
        let sorted = self.sorted();
        let (first, rest) = sorted.split_first()?;
        let mut message = first.message.clone();
        for problem in rest.iter().take(DEFAULT_PROBLEMS_MAX - 1) {
            message.push_str(&format!("\n{} {}", problem.code, problem.message));
        }
        if let Some(more) = sorted
            .len()
            .checked_sub(DEFAULT_PROBLEMS_MAX)
            .filter(|n| *n > 0)
        {
            message.push_str(&format!("\n... and {more} more"));
        }
        Some(Error::new(ErrorKind::Config, first.code, message))
    }

    /// `value` when nothing is wrong, else the error of [`Problems::into_error`].
    ///
    /// A missing value without a problem would be a broken invariant of the reader, and is an unexpected error.
    pub fn settle<T>(self, value: Option<T>) -> crate::model::Result<T> {
        let file = self.file.clone();
        match (self.into_error(), value) {
            (Some(error), _) => Err(error),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::unexpected(
                "E-INTERNAL",
                format!("{file} could not be read, and no reason was recorded"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(line: usize) -> Mark {
        Mark { line, column: 1 }
    }

    #[test]
    fn all_problems_stand_in_one_error_sorted_by_line() {
        let problems = Problems::for_config("bridge.yaml");
        problems.report("E-CFG-KEY", mark(9), "nine");
        problems.report_path("E-CFG-VALUE", mark(2), "a.b", "two");
        let mapping = Problems::for_mapping("m.yaml");
        mapping.report("E-MAP-KEY", mark(1), "one");
        problems.absorb(mapping);
        let error = problems.into_error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.to_string(),
            "E-CFG-VALUE a.b: two (bridge.yaml:2)\nE-CFG-KEY bridge.yaml:9: nine\nE-MAP-KEY m.yaml:1: one"
        );
    }

    #[test]
    fn a_flood_of_problems_is_cut_and_counted() {
        let problems = Problems::for_config("bridge.yaml");
        for line in 1..=120 {
            problems.report("E-CFG-KEY", mark(line), "x");
        }
        let text = problems.into_error().unwrap().to_string();
        assert_eq!(text.lines().count(), DEFAULT_PROBLEMS_MAX + 1);
        assert!(text.ends_with("... and 70 more"));
    }

    #[test]
    fn no_problem_is_no_error() {
        assert!(Problems::for_config("x").into_error().is_none());
        assert_eq!(Problems::for_config("x").settle(Some(1)).unwrap(), 1);
        assert_eq!(
            Problems::for_config("x")
                .settle::<u8>(None)
                .unwrap_err()
                .code(),
            "E-INTERNAL"
        );
    }
}
