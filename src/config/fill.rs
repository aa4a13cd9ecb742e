//! Fills `${NAME}`, `${NAME:-default}` and `${file:PATH}` into a parsed tree; `$${` stands for a plain `${`.
//!
//! It runs after the YAML is parsed, so that a secret may hold any character, and before values are read as types. It
//! must not interpret what it fills in, nor print it. Keys are never filled in.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroize;

use super::Problems;
use super::yaml::{Kind, Mark, Node, shorten};

/// A secret is a line, a key or a certificate; a larger file is the wrong one.
pub const DEFAULT_SECRET_SIZE_MAX: u64 = 64 * 1024;

/// Reads a variable of the environment; a function, so that tests need not set variables.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process. A variable that is not UTF-8 counts as not set.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where values come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The environment.
    pub environment: Environment<'a>,
    /// The directory that relative paths of `${file:…}` start from.
    pub directory: &'a Path,
}

/// Fills in every scalar below `node`. What is missing is reported as `E-SECRET` with its name, never with a value.
pub fn fill_in(node: &mut Node, sources: Sources<'_>, problems: &Problems) {
    let at = node.at;
    match &mut node.kind {
        Kind::Map(entries) => {
            for (_, value) in entries {
                fill_in(value, sources, problems);
            }
        }
        Kind::Seq(items) => {
            for item in items {
                fill_in(item, sources, problems);
            }
        }
        Kind::Scalar {
            text,
            filled,
            quoted,
        } if text.contains("${") => {
            let (new, any) = fill_text(text, at, sources, problems);
            // "$${" alone takes nothing from outside, but what it leaves is a text.
            (*filled, *quoted) = (any, true);
            *text = new;
        }
        Kind::Scalar { .. } => {}
    }
}

/// Overwrites what was filled in, once the tree has been read.
pub fn wipe(node: &mut Node) {
    match &mut node.kind {
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| wipe(value)),
        Kind::Seq(items) => items.iter_mut().for_each(wipe),
        Kind::Scalar {
            text, filled: true, ..
        } => text.zeroize(),
        Kind::Scalar { .. } => {}
    }
}

fn fill_text(text: &str, at: Mark, sources: Sources<'_>, problems: &Problems) -> (String, bool) {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        any = true;
        let Some((inside, after)) = after.split_once('}') else {
            problems.report_unfilled(
                problems.codes().value,
                at,
                "\"${\" without its \"}\"; write \"$${\" for a plain \"${\"",
            );
            return (String::new(), true);
        };
        match look_up(inside, sources) {
            Ok(mut value) => {
                result.push_str(&value);
                value.zeroize();
            }
            Err(Missing::Name) => problems.report_unfilled(
                problems.codes().value,
                at,
                "\"${…}\" takes NAME, NAME:-default or file:PATH; write \"$${\" for a plain \"${\"",
            ),
            Err(Missing::Secret(sentence)) => {
                problems.report_unfilled("E-SECRET", at, &sentence);
            }
        }
        rest = after;
    }
    result.push_str(rest);
    (result, any)
}

enum Missing {
    Name,
    Secret(String),
}

fn look_up(inside: &str, sources: Sources<'_>) -> Result<String, Missing> {
    if let Some(path) = inside.strip_prefix("file:") {
        let shown = shorten(path);
        return read_secret(&sources.directory.join(path))
            .map_err(|reason| Missing::Secret(format!("{shown}: {reason}")));
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let mut letters = name.chars();
    let valid = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(Missing::Name);
    }
    match ((sources.environment)(name), default) {
        (Some(value), None) => Ok(value),
        // As in a shell: an empty variable takes the default too.
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Missing::Secret(format!("{name} is not set"))),
    }
}

fn read_secret(path: &Path) -> Result<String, String> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "not found".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        kind => format!("cannot be read: {kind}"),
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(DEFAULT_SECRET_SIZE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > DEFAULT_SECRET_SIZE_MAX {
        bytes.zeroize();
        return Err("is larger than 64 KiB".to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        "is not UTF-8 text".to_owned()
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::reader::Value;
    use super::super::yaml::parse;
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "USER_NAME" => Some("bridge: \"#'\n".to_owned()),
            "NUMBER" => Some("7".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    /// The texts of a list, each with whether it came from outside; and the problems.
    fn filled(text: &str, directory: &Path) -> (Vec<(String, bool)>, Vec<String>) {
        let problems = Problems::for_config("bridge.yaml");
        let mut node = parse(text, &problems).unwrap();
        let sources = Sources {
            environment: &environment,
            directory,
        };
        fill_in(&mut node, sources, &problems);
        let texts = Value::root(&node, &problems)
            .list()
            .iter()
            .filter_map(|value| Some((value.text()?.to_owned(), value.is_filled())))
            .collect();
        (texts, problems.sentences())
    }

    #[test]
    fn values_are_filled_in_whatever_characters_they_hold() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("one"), "s3cret\n\n").unwrap();
        let text = "- a${NUMBER}b${NUMBER}\n- ${USER_NAME}\n- ${NONE:-a:-b}\n- ${EMPTY:-x}\n- '${EMPTY}'\n- ${file:one}\n- $${NUMBER} $NUMBER\n- \"{{ ${NUMBER} }}\"\n";
        let (texts, problems) = filled(text, directory.path());
        assert_eq!(problems, Vec::<String>::new());
        let expected = [
            ("a7b7", true),
            ("bridge: \"#'\n", true),
            ("a:-b", true),
            ("x", true),
            ("", true),
            ("s3cret\n", true),
            ("${NUMBER} $NUMBER", false),
            ("{{ 7 }}", true),
        ];
        for (found, (text, outside)) in texts.iter().zip(expected) {
            assert_eq!(found, &(text.to_owned(), outside));
        }
        assert_eq!(texts.len(), expected.len());
    }

    #[test]
    fn what_is_missing_is_named_with_its_line_and_once() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("empty"), "\n").unwrap();
        std::fs::write(directory.path().join("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(directory.path().join("huge"), vec![b'x'; 70_000]).unwrap();
        let text = "- ${CRM_PASSWORD}\n- ${file:nowhere}\n- ${file:empty}\n- ${file:binary}\n- ${file:.}\n- ${file:huge}\n- ${a-b}\n- ${open\n";
        let (_, problems) = filled(text, directory.path());
        let starts = [
            "E-SECRET CRM_PASSWORD is not set (bridge.yaml:1)",
            "E-SECRET nowhere: not found (bridge.yaml:2)",
            "E-SECRET empty: is empty (bridge.yaml:3)",
            "E-SECRET binary: is not UTF-8 text (bridge.yaml:4)",
            "E-SECRET .: is a directory (bridge.yaml:5)",
            "E-SECRET huge: is larger than 64 KiB (bridge.yaml:6)",
            "E-CFG-VALUE \"${…}\" takes NAME",
            "E-CFG-VALUE \"${\" without its \"}\"",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn a_value_that_could_not_be_filled_in_is_no_second_problem() {
        let problems = Problems::for_config("bridge.yaml");
        let mut node = parse("[ '${GONE}' ]", &problems).unwrap();
        let sources = Sources {
            environment: &environment,
            directory: Path::new(""),
        };
        fill_in(&mut node, sources, &problems);
        assert!(
            Value::root(&node, &problems).list()[0]
                .integer(1..=2)
                .is_none()
        );
        assert_eq!(problems.count(), 1);
    }

    #[test]
    fn a_wiped_tree_holds_no_secret() {
        let problems = Problems::for_config("bridge.yaml");
        let mut node = parse("{ a: ['${NUMBER}'], b: x }", &problems).unwrap();
        let sources = Sources {
            environment: &environment,
            directory: Path::new(""),
        };
        fill_in(&mut node, sources, &problems);
        wipe(&mut node);
        assert!(matches!(
            &node.get("b").unwrap().kind,
            Kind::Scalar { text, .. } if text == "x"
        ));
        let Kind::Seq(items) = &node.get("a").unwrap().kind else {
            panic!("not a list")
        };
        assert!(matches!(&items[0].kind, Kind::Scalar { text, .. } if text.is_empty()));
    }
}
