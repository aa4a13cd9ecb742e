//! Paths into documents as a mapping writes them: names joined by dots, lists narrowed by `[name=value]`.
//!
//! Held against the shape of a vocabulary they become lenses. A path knows nothing of types beyond the scalar that the
//! vocabulary names for its end.

use crate::model::{Name, Scalar, Shape};

use super::lens::{ListPath, ScalarPath, Step};

/// How many names a path may have: documents are not deeper (reliability.md §4.3).
pub const PATH_NAMES_MAX: usize = 16;

/// A path as a mapping writes it, not yet held against a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    name: String,
    selector: Option<(String, String)>,
}

impl Written {
    /// Reads a path; the error is a sentence about its spelling.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        loop {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = plain_name(&rest[..end], text)?;
            rest = &rest[end..];
            let mut selector = None;
            if let Some(inner) = rest.strip_prefix('[') {
                let close = inner
                    .find(']')
                    .ok_or_else(|| format!("the path \"{text}\" has a \"[\" without its \"]\""))?;
                let (by, value) = inner[..close].split_once('=').ok_or_else(|| {
                    format!("a selector is written [name=value], which \"{text}\" does not do")
                })?;
                if value.is_empty() {
                    return Err(format!("the selector of \"{text}\" has no value"));
                }
                selector = Some((plain_name(by, text)?, value.to_owned()));
                rest = &inner[close + 1..];
            }
            segments.push(Segment { name, selector });
            if segments.len() > PATH_NAMES_MAX {
                return Err(format!(
                    "the path \"{text}\" has more than {PATH_NAMES_MAX} names"
                ));
            }
            match rest.strip_prefix('.') {
                Some(more) => rest = more,
                None if rest.is_empty() => return Ok(Self { segments }),
                None => return Err(format!("a dot is missing after \"]\" in \"{text}\"")),
            }
        }
    }

    /// The one way to spell this path.
    pub(super) fn spelling(&self) -> String {
        let mut out = String::new();
        for segment in &self.segments {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&segment.name);
            if let Some((by, value)) = &segment.selector {
                out.push_str(&format!("[{by}={value}]"));
            }
        }
        out
    }

    /// Whether this path is `other`, or lies below it, whatever items the selectors choose.
    pub(super) fn is_under(&self, other: &Written) -> bool {
        self.segments.len() >= other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(mine, theirs)| mine.name == theirs.name)
    }

    /// Whether writing here would change the value by which an item is selected (`a[b=1].b`).
    pub(super) fn ends_in_its_selector(&self) -> bool {
        match self.segments.as_slice() {
            [.., before, last] => before
                .selector
                .as_ref()
                .is_some_and(|(by, _)| *by == last.name && last.selector.is_none()),
            _ => false,
        }
    }

    /// Holds the path against `shape`: it must end at a value.
    pub(super) fn to_scalar(&self, shape: &Shape) -> Result<ScalarPath, String> {
        let (steps, leaf, last) = self.walk(shape)?;
        if last.selector.is_some() {
            return Err(format!(
                "\"{}\" ends at an item of a list; name one of its values",
                self.spelling()
            ));
        }
        let scalar = match leaf.1 {
            Shape::Scalar(scalar) => *scalar,
            Shape::Open => Scalar::Text,
            Shape::List(item) => return Err(self.needs_selector(&last.name, item)),
            Shape::Record(names) | Shape::OpenRecord(names) => {
                return Err(format!(
                    "\"{}\" is a record, not a value; name one of {}",
                    self.spelling(),
                    listed(names)
                ));
            }
        };
        Ok(ScalarPath::new(steps, leaf.0, scalar))
    }

    /// Holds the path against `shape`: it must end at a list.
    pub(super) fn to_list(&self, shape: &Shape) -> Result<ListPath, String> {
        let (steps, leaf, last) = self.walk(shape)?;
        let item = match leaf.1 {
            Shape::List(item) if last.selector.is_none() => (**item).clone(),
            Shape::Open if last.selector.is_none() => Shape::Open,
            _ => return Err(format!("\"{}\" is not a list", self.spelling())),
        };
        Ok(ListPath::new(steps, leaf.0, item))
    }

    #[allow(clippy::type_complexity)] // A private triple, taken apart at once by its two callers.
    fn walk<'s>(
        &self,
        shape: &'s Shape,
    ) -> Result<(Vec<Step>, (Name, &'s Shape), &Segment), String> {
        let mut steps = Vec::with_capacity(self.segments.len());
        let mut here = shape;
        let (last, way) = self
            .segments
            .split_last()
            .expect("parsing leaves at least one segment");
        for segment in way {
            let (name, below) = child(here, &segment.name)?;
            match (&segment.selector, below) {
                (None, Shape::Record(_) | Shape::OpenRecord(_)) => {
                    steps.push(Step::Into(name));
                    here = below;
                }
                (None, Shape::Open) => {
                    steps.push(Step::Into(name));
                    here = below;
                }
                (Some((by, value)), Shape::List(item)) => {
                    steps.push(select(name, by, value, item)?);
                    here = item;
                }
                (Some((by, value)), Shape::Open) => {
                    steps.push(select(name, by, value, below)?);
                    here = below;
                }
                (None, Shape::List(item)) => return Err(self.needs_selector(&segment.name, item)),
                (Some(_), Shape::Record(_) | Shape::OpenRecord(_)) => {
                    return Err(format!(
                        "\"{}\" is no list, so it takes no selector",
                        segment.name
                    ));
                }
                (_, Shape::Scalar(_)) => {
                    return Err(format!(
                        "\"{}\" is a value; nothing stands below it",
                        segment.name
                    ));
                }
            }
        }
        Ok((steps, child(here, &last.name)?, last))
    }

    fn needs_selector(&self, name: &str, item: &Shape) -> String {
        let by = match item {
            Shape::Record(names) | Shape::OpenRecord(names) => {
                names.first().map_or("name", |(name, _)| *name)
            }
            _ => "name",
        };
        format!(
            "\"{name}\" is a list; narrow it with a selector such as {name}[{by}=…], or make it a rule of `children`"
        )
    }
}

fn plain_name(name: &str, path: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err(format!("a name is missing in the path \"{path}\""));
    }
    if name.trim() != name || name.contains(['[', ']', '=']) {
        return Err(format!("\"{name}\" is no name of a path (in \"{path}\")"));
    }
    Ok(name.to_owned())
}

fn child<'s>(shape: &'s Shape, name: &str) -> Result<(Name, &'s Shape), String> {
    match shape {
        Shape::Open => Ok((Name::Owned(name.to_owned()), shape)),
        Shape::Record(names) => names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(known, below)| (Name::Borrowed(*known), below))
            .ok_or_else(
                || match crate::config::nearest(name, names.iter().map(|(n, _)| *n)) {
                    Some(near) => format!("\"{name}\" is not known here; did you mean \"{near}\"?"),
                    None => format!("\"{name}\" is not known here; known are {}", listed(names)),
                },
            ),
        Shape::OpenRecord(names) => match names.iter().find(|(known, _)| *known == name) {
            Some((known, below)) => Ok((Name::Borrowed(*known), below)),
            // Known names are always spelled in one way, so another spelling would never be found.
            None => match names
                .iter()
                .find(|(known, _)| folded(known) == folded(name))
            {
                Some((known, _)) => Err(format!("\"{name}\" is spelled \"{known}\" here")),
                None => Ok((Name::Owned(name.to_owned()), &Shape::Open)),
            },
        },
        Shape::Scalar(_) | Shape::List(_) => Err(format!("nothing named \"{name}\" stands here")),
    }
}

/// A name without case, hyphen and underscore.
fn folded(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '-' | '_'));
    kept.flat_map(char::to_lowercase).collect()
}

fn select(list: Name, by: &str, value: &str, item: &Shape) -> Result<Step, String> {
    let (by, below) = child(item, by)?;
    let value = match below {
        Shape::Scalar(Scalar::Integer) => value
            .trim()
            .parse::<i64>()
            .map_err(|_| format!("\"{by}\" is a whole number, so it can't select \"{value}\""))?
            .to_string(),
        Shape::Scalar(_) | Shape::Open => value.to_owned(),
        Shape::Record(_) | Shape::OpenRecord(_) | Shape::List(_) => {
            return Err(format!("\"{by}\" is not a value"));
        }
    };
    Ok(Step::Select { list, by, value })
}

fn listed(names: &[(&'static str, Shape)]) -> String {
    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Document, Node};
    use proptest::prelude::*;

    fn shape() -> Shape {
        let text = || Shape::Scalar(Scalar::Text);
        let number = || Shape::Scalar(Scalar::Integer);
        Shape::Record(vec![
            ("firstName", text()),
            (
                "phoneNos",
                Shape::List(Box::new(Shape::Record(vec![
                    ("phoneNoTypeID", number()),
                    ("phoneNo", text()),
                ]))),
            ),
            (
                "crmForms",
                Shape::List(Box::new(Shape::Record(vec![
                    ("formName", text()),
                    (
                        "crmFormFields",
                        Shape::List(Box::new(Shape::Record(vec![
                            ("fieldName", text()),
                            ("fieldValue", text()),
                        ]))),
                    ),
                ]))),
            ),
            ("extra", Shape::Open),
            ("name", Shape::Record(vec![("given", text())])),
        ])
    }

    fn path(text: &str) -> ScalarPath {
        Written::parse(text).unwrap().to_scalar(&shape()).unwrap()
    }

    fn problem(text: &str) -> String {
        match Written::parse(text).and_then(|written| written.to_scalar(&shape())) {
            Ok(path) => panic!("{path:?}"),
            Err(problem) => problem,
        }
    }

    #[test]
    fn bad_paths_are_refused_with_a_hint() {
        for (text, says) in [
            ("", "a name is missing"),
            ("firstName.", "a name is missing"),
            ("firstname", "did you mean \"firstName\"?"),
            ("zzz", "known are firstName, phoneNos"),
            ("firstName.x", "is a value"),
            ("phoneNos.phoneNo", "phoneNos[phoneNoTypeID=…]"),
            ("phoneNos", "is a list"),
            ("phoneNos[phoneNoTypeID=1]", "ends at an item"),
            ("phoneNos[phoneNoTypeID=x].phoneNo", "whole number"),
            ("phoneNos[phoneNoTypeID].phoneNo", "[name=value]"),
            ("phoneNos[phoneNoTypeID=].phoneNo", "has no value"),
            ("phoneNos[phoneNoTypeID=1.phoneNo", "without its \"]\""),
            ("phoneNos[phoneNoTypeID=1]phoneNo", "a dot is missing"),
            ("phoneNos[kind=1].phoneNo", "\"kind\" is not known"),
            ("name[given=x].given", "no list"),
            ("name", "is a record"),
            (" firstName", "is no name"),
            ("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "more than 16"),
        ] {
            assert!(problem(text).contains(says), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn a_selector_value_may_hold_spaces_and_dots() {
        let path = path("crmForms[formName=A. B].crmFormFields[fieldName=Company Name].fieldValue");
        let mut document = Document::new();
        path.write(&mut document, "v".into()).unwrap();
        assert_eq!(path.read(&document), Some("v"));
        assert_eq!(document.list("crmForms")[0].text("formName"), Some("A. B"));
    }

    #[test]
    fn the_first_item_that_fits_is_read_and_written() {
        let path = path("phoneNos[phoneNoTypeID=5].phoneNo");
        let item = |kind: &str, number: &str| {
            let mut item = Document::new();
            item.push("phoneNoTypeID", Node::Text(kind.into()));
            item.push("phoneNo", Node::Text(number.into()));
            item
        };
        let mut document = Document::new();
        document.set(
            "phoneNos",
            Node::List(vec![
                Document::new(),
                item("1", "a"),
                item("5", "b"),
                item("5", "c"),
            ]),
        );
        assert_eq!(path.read(&document), Some("b"));
        path.write(&mut document, "d".into()).unwrap();
        assert_eq!(path.read(&document), Some("d"));
        assert_eq!(document.list("phoneNos").len(), 4);
        assert_eq!(document.list("phoneNos")[3].text("phoneNo"), Some("c"));
    }

    #[test]
    fn another_shape_on_the_way_is_left_alone() {
        let mut document = Document::new();
        document.set("phoneNos", Node::Text("what?".into()));
        let before = document.clone();
        let path = path("phoneNos[phoneNoTypeID=5].phoneNo");
        assert_eq!(
            path.write(&mut document, "1".into()).unwrap_err().code,
            "Q-SHAPE"
        );
        assert_eq!(document, before);
    }

    #[test]
    fn an_open_record_types_what_it_knows_and_takes_what_it_does_not() {
        let item = Shape::OpenRecord(vec![("kind", Shape::Scalar(Scalar::Integer))]);
        let shape = Shape::OpenRecord(vec![("lists", Shape::List(Box::new(item)))]);
        let scalar = |text: &str| {
            let written = Written::parse(text).unwrap();
            written.to_scalar(&shape).map(|path| path.scalar())
        };
        assert_eq!(scalar("lists[kind=1].kind"), Ok(Scalar::Integer));
        assert_eq!(scalar("lists[kind=1].other.more"), Ok(Scalar::Text));
        assert_eq!(scalar("others[a=b].c"), Ok(Scalar::Text));
        for (path, says) in [
            ("Lists[kind=1].kind", "is spelled \"lists\""),
            ("lists[kind=x].kind", "whole number"),
            ("lists", "lists[kind=…]"),
            ("lists[kind=1].kind.x", "nothing stands below"),
        ] {
            assert!(scalar(path).unwrap_err().contains(says), "{path}");
        }
    }

    #[test]
    fn below_an_open_shape_any_path_goes() {
        let path = path("extra.anything[kind=x].value");
        let mut document = Document::new();
        path.write(&mut document, "v".into()).unwrap();
        assert_eq!(path.read(&document), Some("v"));
    }

    #[test]
    fn lists_are_found() {
        let list = Written::parse("crmForms[formName=M].crmFormFields")
            .unwrap()
            .to_list(&shape())
            .unwrap();
        assert!(list.items(&Document::new()).is_empty());
        assert!(
            Written::parse("firstName")
                .unwrap()
                .to_list(&shape())
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_a_panic(text in "\\PC{0,40}|[a-zN.\\[\\]=1 ]{0,40}") {
            if let Ok(written) = Written::parse(&text) {
                prop_assert_eq!(&Written::parse(&written.spelling()).unwrap(), &written);
                let _ = written.to_scalar(&shape());
                let _ = written.to_list(&shape());
            }
        }

        #[test]
        fn put_then_get_and_get_then_put(
            puts in proptest::collection::vec((0usize..5, "[a-z]{0,3}"), 1..12),
        ) {
            let paths = [
                path("firstName"),
                path("name.given"),
                path("phoneNos[phoneNoTypeID=1].phoneNo"),
                path("phoneNos[phoneNoTypeID=5].phoneNo"),
                path("crmForms[formName=M].crmFormFields[fieldName=A b].fieldValue"),
            ];
            let mut document = Document::new();
            for (which, text) in puts {
                let others: Vec<_> = paths.iter().map(|p| p.read(&document).map(str::to_owned)).collect();
                paths[which].write(&mut document, text.clone()).unwrap();
                prop_assert_eq!(paths[which].read(&document), Some(text.as_str()));
                for (at, other) in others.iter().enumerate().filter(|(at, _)| *at != which) {
                    prop_assert_eq!(paths[at].read(&document), other.as_deref());
                }
                let before = document.clone();
                paths[which].write(&mut document, text).unwrap();
                prop_assert_eq!(&before, &document);
            }
        }
    }
}
