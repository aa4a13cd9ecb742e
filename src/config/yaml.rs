//! A strict reader of YAML: text in, a tree that knows where each part stands out.
//!
//! It must not know any key or meaning, and it fills nothing in. Aliases, anchors, tags, several documents, duplicate
//! keys, deep nesting and large files are refused, because no file of ours needs them and each can hide a surprise.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::Problems;

/// A file of people's settings is some hundred lines; more than this is the wrong file.
pub const DEFAULT_YAML_SIZE_MAX: usize = 1024 * 1024;

/// The sentence for a file beyond [`DEFAULT_YAML_SIZE_MAX`].
pub(super) const TOO_LARGE: &str = "is larger than 1 MiB; is it the right file?";

/// Our deepest legal nesting is about ten; the rest is room, and the bound keeps recursion over the tree safe.
pub const DEFAULT_YAML_DEPTH_MAX: usize = 32;

/// A place in a file; both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it stands.
    pub at: Mark,
}

/// What a node is.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// A value without parts.
    Scalar {
        /// The text, without quotes.
        text: String,
        /// It stood in quotes or as a block, so that it is a text whatever it looks like.
        quoted: bool,
        /// A part of it came from the environment or from a file: it must not be printed.
        filled: bool,
    },
    /// Keys and values in the order of the file; no key stands twice.
    Map(Vec<(Key, Node)>),
    /// Items in the order of the file.
    Seq(Vec<Node>),
}

/// A node of the tree. It has no `Debug`, since it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Mark,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// Whether nothing was written: an empty value, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar {
                text,
                quoted: false,
                filled: false,
            } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            _ => false,
        }
    }

    /// What stands under `key`, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(known, _)| known.text == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }
}

/// Reads `text`. What is wrong goes to `problems` with the code for syntax; `None` when there is no tree at all.
///
/// Of a key that stands twice the first counts, and both lines are reported, so that the rest can still be checked.
pub fn parse(text: &str, problems: &Problems) -> Option<Node> {
    let code = problems.codes().yaml;
    if text.len() > DEFAULT_YAML_SIZE_MAX {
        problems.report_file(code, TOO_LARGE);
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = control_character(text) {
        problems.report_at(code, at, "found a control character");
        return None;
    }
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        lines: text.lines().collect(),
        problems,
    };
    match builder.stream() {
        Ok(node) => Some(node),
        Err((at, sentence)) => {
            let (at, sentence) = builder.tab_near(at, &sentence).unwrap_or((at, sentence));
            problems.report_at(code, at, &sentence);
            None
        }
    }
}

type Refusal = (Mark, Cow<'static, str>);

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    lines: Vec<&'a str>,
    problems: &'a Problems,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Refusal> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(refusal(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn stream(&mut self) -> Result<Node, Refusal> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err((mark(&span), "only one document to a file".into()));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, &span, 0)?);
                }
                _ => return Err((mark(&span), "found something after the document".into())),
            }
        }
        Ok(root.unwrap_or(Node {
            at: Mark { line: 1, column: 1 },
            kind: Kind::Scalar {
                text: String::new(),
                quoted: false,
                filled: false,
            },
        }))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Refusal> {
        let at = mark(span);
        // The scanner lets a tab after spaces pass, and then counts it as one column: never what the writer saw.
        if let Some(column) = self.tab_in_indent(at.line).filter(|tab| *tab < at.column) {
            let line = at.line;
            return Err((Mark { line, column }, TAB.into()));
        }
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if anchor != 0 {
            return Err((
                at,
                "anchors (&) are not accepted; write the value out".into(),
            ));
        }
        if tagged {
            return Err((
                at,
                "tags (!) are not accepted; put quotes around the text".into(),
            ));
        }
        if depth >= DEFAULT_YAML_DEPTH_MAX {
            return Err((at, TOO_DEEP.into()));
        }
        let kind = match event {
            Event::Scalar(text, style, ..) => Kind::Scalar {
                text: text.into_owned(),
                quoted: style != ScalarStyle::Plain,
                filled: false,
            },
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break Kind::Seq(items);
                    }
                    items.push(self.node(event, &span, depth + 1)?);
                }
            }
            Event::MappingStart(..) => Kind::Map(self.entries(depth)?),
            Event::Alias(_) => {
                return Err((
                    at,
                    "aliases (*) are not accepted; write the value out".into(),
                ));
            }
            _ => return Err((at, "found no value where one is needed".into())),
        };
        Ok(Node { at, kind })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Refusal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, &span, depth + 1)?;
            let Kind::Scalar { text, .. } = key.kind else {
                return Err((key.at, "a key must be a plain word".into()));
            };
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            let at = key.at;
            if let Some(first) = lines.get(&text) {
                self.problems.report(
                    self.problems.codes().yaml,
                    at,
                    &format!(
                        "key \"{}\" appears twice (lines {first}, {})",
                        shorten(&text),
                        at.line
                    ),
                );
            } else {
                lines.insert(text.clone(), at.line);
                entries.push((Key { text, at }, value));
            }
        }
    }
}

impl Builder<'_> {
    fn tab_in_indent(&self, line: usize) -> Option<usize> {
        let content = self.lines.get(line.checked_sub(1)?)?;
        let mut indent = content.chars().take_while(|c| *c == ' ' || *c == '\t');
        Some(indent.position(|c| c == '\t')? + 1)
    }

    /// A tab in the indentation is behind most errors of its line, however the scanner words them.
    fn tab_near(&self, at: Mark, sentence: &str) -> Option<Refusal> {
        for line in [at.line, at.line + 1] {
            if let Some(column) = self.tab_in_indent(line) {
                return Some((Mark { line, column }, TAB.into()));
            }
        }
        (sentence.contains(" tab ") || sentence.contains("tabs ")).then(|| (at, TAB.into()))
    }
}

const TOO_DEEP: &str = "nested more than 32 levels deep";
const TAB: &str = "found a tab where spaces are needed";

fn mark(span: &Span) -> Mark {
    Mark {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

/// The scanner's sentence, without the offending character that some of them quote: it may be part of a password.
fn refusal(error: &ScanError) -> Refusal {
    let at = Mark {
        line: error.marker().line(),
        column: error.marker().col() + 1,
    };
    let info = error.info();
    let sentence = if info.starts_with("unexpected character") {
        "found a character that cannot start a value; put the value in quotes".to_owned()
    } else if info.contains("recursion limit") {
        TOO_DEEP.to_owned()
    } else if info.contains("unknown anchor") {
        "aliases (*) are not accepted; write the value out".to_owned()
    } else if info.contains("mapping values are not allowed") {
        format!("{info}; is the indentation right, or does a text with \": \" need quotes?")
    } else {
        info.to_owned()
    };
    (at, sentence.into())
}

fn control_character(text: &str) -> Option<Mark> {
    let (index, _) = text.char_indices().find(|(index, c)| {
        if *c == '\r' {
            return text.as_bytes().get(index + 1) != Some(&b'\n');
        }
        (c.is_control() && !matches!(c, '\t' | '\n' | '\u{85}')) || *c == '\u{feff}'
    })?;
    let before = text.get(..index)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some(Mark {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..)?.chars().count() + 1,
    })
}

/// A text for a message: at most 60 characters, printable.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems_of(text: &str) -> Vec<String> {
        let problems = Problems::for_config("bridge.yaml");
        parse(text, &problems);
        problems.sentences()
    }

    fn tree(text: &str) -> Node {
        let problems = Problems::for_config("bridge.yaml");
        let node = parse(text, &problems);
        assert_eq!(problems.sentences(), Vec::<String>::new());
        node.unwrap()
    }

    #[test]
    fn a_tree_knows_where_its_parts_stand() {
        let root = tree("# c\nbridges:\n  a: [1, 'x']\n  b: ~\n");
        let bridges = root.get("bridges").unwrap();
        let a = bridges.get("a").unwrap();
        assert_eq!(a.at, Mark { line: 3, column: 6 });
        let Kind::Seq(items) = &a.kind else {
            panic!("not a list")
        };
        assert_eq!(
            items[1].at,
            Mark {
                line: 3,
                column: 10
            }
        );
        assert!(matches!(&items[1].kind, Kind::Scalar { text, quoted: true, .. } if text == "x"));
        assert!(bridges.get("b").unwrap().is_null());
        let Kind::Map(entries) = &bridges.kind else {
            panic!("not a map")
        };
        assert_eq!(entries[1].0.at, Mark { line: 4, column: 3 });
    }

    #[test]
    fn a_tab_as_indentation_is_named_with_its_place() {
        assert_eq!(
            problems_of("a:\n  \tmax_deletes: 5\n"),
            ["E-CFG-YAML bridge.yaml:2:3: found a tab where spaces are needed"]
        );
        assert_eq!(
            problems_of("a:\n\tb: 1\n"),
            ["E-CFG-YAML bridge.yaml:2:1: found a tab where spaces are needed"]
        );
        assert_eq!(
            problems_of("a:\n  b: 1\n\tc: 2\n"),
            ["E-CFG-YAML bridge.yaml:3:1: found a tab where spaces are needed"]
        );
        tree("a: |\n  x\n  \ty\nb: 1\t# c\n\t# d\r\n");
    }

    #[test]
    fn a_key_that_stands_twice_names_both_lines() {
        let text = "a:\n  site_id: 1\n  b: 2\n  site_id: 3\n";
        assert_eq!(
            problems_of(text),
            ["E-CFG-YAML bridge.yaml:4: key \"site_id\" appears twice (lines 2, 4)"]
        );
    }

    #[test]
    fn what_hides_surprises_is_refused() {
        for (text, words) in [
            ("a: &x 1\nb: *x\n", "anchors (&) are not accepted"),
            ("b: *x\n", "aliases (*) are not accepted"),
            ("a: !!str 1\n", "tags (!) are not accepted"),
            ("a: 1\n---\nb: 2\n", "only one document"),
            ("? [a]\n: 1\n", "a key must be a plain word"),
            ("a: \u{0}\n", "control character"),
            ("a: 'x\n", "E-CFG-YAML bridge.yaml:"),
            ("a: b: c\n", "mapping values are not allowed"),
            ("a: @x\n", "put the value in quotes"),
        ] {
            let found = problems_of(text);
            assert_eq!(found.len(), 1, "{text:?}: {found:?}");
            assert!(found[0].contains(words), "{text:?}: {found:?}");
        }
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert!(problems_of(&deep)[0].contains("nested more than 32 levels"));
        let deeper = "[".repeat(200_000);
        assert!(problems_of(&deeper)[0].contains("nested more than 32 levels"));
        assert!(problems_of(&"- ".repeat(200_000))[0].contains("nested more than 32 levels"));
        let huge = format!("a: {}", "x".repeat(DEFAULT_YAML_SIZE_MAX));
        assert!(problems_of(&huge)[0].contains("larger than 1 MiB"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_ends_in_a_tree_or_a_problem(text in "([ \t\n:\\-\\[\\]{},#'\"&*!|>?%@`~$ab\u{85}é]|---|\\.\\.\\.){0,40}") {
            let problems = Problems::for_config("bridge.yaml");
            let node = parse(&text, &problems);
            prop_assert!(node.is_some() || !problems.is_empty());
        }

        #[test]
        fn any_characters_end_in_a_tree_or_a_problem(text: String) {
            let problems = Problems::for_config("bridge.yaml");
            let node = parse(&text, &problems);
            prop_assert!(node.is_some() || !problems.is_empty());
        }
    }
}
