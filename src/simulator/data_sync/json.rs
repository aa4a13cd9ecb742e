//! JSON whose members keep their order and whose numbers keep their digits: `1325.00` stays `1325.00`.
//!
//! It must not tidy what it reads: a member that comes twice is there twice.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper than any payload that the vendor's schema allows; a reader of hostile texts needs an end.
const DEPTH_MAX: usize = 64;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object, its members in their order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text that is one JSON value and nothing else; nothing when it is not, or is nested absurdly deep.
    pub fn parse(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::read(raw.get(), DEPTH_MAX)
    }

    fn read(text: &str, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let items = items.into_iter().map(|item| Self::read(item.get(), depth));
                Self::List(items.collect::<Option<_>>()?)
            }
            b'{' => {
                let Members(members) = serde_json::from_str(text).ok()?;
                let members = members
                    .into_iter()
                    .map(|(name, value)| Some((name, Self::read(value.get(), depth)?)));
                Self::Object(members.collect::<Option<_>>()?)
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// One member of the object that a text is, without reading the others; nothing when the text is no object.
    pub(super) fn member(text: &str, name: &str) -> Option<Self> {
        let Members(members) = serde_json::from_str(text).ok()?;
        let (_, value) = members.iter().find(|(have, _)| have == name)?;
        Self::read(value.get(), DEPTH_MAX)
    }

    /// A number with these digits.
    pub fn number(digits: impl fmt::Display) -> Self {
        Self::Number(digits.to_string())
    }

    /// An object of these members.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        let members = members.into_iter();
        Self::Object(
            members
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// What stands at a path of names, and of numbers for the items of lists, joined by dots; an empty path is the value
    /// itself.
    pub fn get(&self, path: &str) -> Option<&Json> {
        steps(path).try_fold(self, |at, step| match at {
            Self::Object(members) => members
                .iter()
                .find(|(name, _)| name == step)
                .map(|(_, value)| value),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.get(path)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How many items the list at a path has; 0 when there is no list.
    pub fn count(&self, path: &str) -> usize {
        match self.get(path) {
            Some(Self::List(items)) => items.len(),
            _ => 0,
        }
    }

    /// Puts a value at a path. Objects on the way are made where they are missing, and replace what is neither object nor
    /// list; a number just past the end of a list appends.
    pub fn set(&mut self, path: &str, value: impl Into<Json>) {
        let mut at = self;
        for step in steps(path) {
            at = at.step_into(step);
        }
        *at = value.into();
    }

    fn step_into(&mut self, step: &str) -> &mut Json {
        if !matches!(self, Self::Object(_) | Self::List(_)) {
            *self = Self::Object(Vec::new());
        }
        let (place, members) = match self {
            Self::List(items) => {
                let place = step.parse::<usize>().unwrap_or(items.len());
                let place = place.min(items.len());
                if place == items.len() {
                    items.push(Json::Null);
                }
                return &mut items[place];
            }
            Self::Object(members) => {
                let place = members.iter().position(|(name, _)| name == step);
                if place.is_none() {
                    members.push((step.to_owned(), Json::Null));
                }
                (place.unwrap_or(members.len() - 1), members)
            }
            _ => unreachable!("it was made an object"),
        };
        &mut members[place].1
    }

    /// Appends to the list at a path, which is made where there is none.
    pub fn push(&mut self, path: &str, item: impl Into<Json>) {
        match self.get_mut(path) {
            Some(Self::List(items)) => items.push(item.into()),
            _ => self.set(path, Self::List(vec![item.into()])),
        }
    }

    /// Takes away what stands at a path, its name too; whether there was anything.
    pub fn remove(&mut self, path: &str) -> bool {
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        match self.get_mut(parent) {
            Some(Self::Object(members)) => {
                let before = members.len();
                members.retain(|(name, _)| name != last);
                members.len() < before
            }
            _ => false,
        }
    }

    fn get_mut(&mut self, path: &str) -> Option<&mut Json> {
        steps(path).try_fold(self, |at, step| match at {
            Self::Object(members) => members
                .iter_mut()
                .find(|(name, _)| name == step)
                .map(|(_, value)| value),
            Self::List(items) => items.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Lets a function see, and change, every text in it.
    pub fn for_each_text(&mut self, change: &mut impl FnMut(&mut String)) {
        match self {
            Self::Text(text) => change(text),
            Self::List(items) => items.iter_mut().for_each(|item| item.for_each_text(change)),
            Self::Object(members) => members
                .iter_mut()
                .for_each(|(_, value)| value.for_each_text(change)),
            _ => {}
        }
    }

    /// Gives every member of this name another one.
    pub fn rename(&mut self, from: &str, to: &str) {
        match self {
            Self::List(items) => items.iter_mut().for_each(|item| item.rename(from, to)),
            Self::Object(members) => {
                for (name, value) in members {
                    if name == from {
                        to.clone_into(name);
                    }
                    value.rename(from, to);
                }
            }
            _ => {}
        }
    }

    /// Lays a later value over this one: what an object does not name stays, everything else is replaced.
    pub fn overlay(&mut self, later: Json) {
        match (self, later) {
            (Self::Object(members), Self::Object(later)) => {
                for (name, value) in later {
                    match members.iter_mut().find(|(have, _)| *have == name) {
                        Some((_, have)) => have.overlay(value),
                        None => members.push((name, value)),
                    }
                }
            }
            (this, later) => *this = later,
        }
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|step| !step.is_empty())
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A text as JSON has it, quotes included.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Json {
    /// Without white space.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Number(digits) => out.write_str(digits),
            Self::Text(text) => out.write_str(&quoted(text)),
            Self::List(items) => {
                out.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.write_str(",")?;
                    }
                    write!(out, "{item}")?;
                }
                out.write_str("]")
            }
            Self::Object(members) => {
                out.write_str("{")?;
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.write_str(",")?;
                    }
                    write!(out, "{}:{value}", quoted(name))?;
                }
                out.write_str("}")
            }
        }
    }
}

/// The members of an object, unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again_to_the_letter() {
        for text in [
            r#"{"z":1325.00,"a":[null,true,-0,1E5,12345678901234567890.10],"a":{}}"#,
            r#""a\"b\\c\u0000\n😀""#,
            "[]",
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for text in [
            "",
            "Test message",
            "{\"a\":1",
            "1 2",
            r#""\ud800""#,
            "{a:1}",
        ] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        assert_eq!(Json::parse(&"[".repeat(100_000)), None);
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(Json::parse(&deep), None);
    }

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let mut json = Json::parse(r#"{"a":{"b":[{"c":"x"}]},"n":null}"#).unwrap();
        assert_eq!(json.text("a.b.0.c"), Some("x"));
        json.set("a.b.1.c", "y");
        json.set("n.m", true);
        json.push("list", "one");
        assert!(json.remove("a.b.0.c"));
        assert!(!json.remove("a.x.c"));
        assert_eq!(
            json.to_string(),
            r#"{"a":{"b":[{},{"c":"y"}]},"n":{"m":true},"list":["one"]}"#
        );
        json.rename("c", "d");
        json.for_each_text(&mut |text| text.push('!'));
        assert_eq!(json.text("a.b.1.d"), Some("y!"));
    }

    #[test]
    fn a_member_is_read_alone_from_an_object_that_is_whole() {
        let text = r#"{"a":{"id":"no"},"id":7,"z":[]}"#;
        assert_eq!(Json::member(text, "id"), Some(Json::number(7)));
        assert_eq!(Json::member(text, "b"), None);
        for text in [
            "[]",
            "\"id\"",
            "{\"id\":7",
            "{\"id\":7}}",
            "{\"id\":7,\"b\":[1,}",
        ] {
            assert_eq!(Json::member(text, "id"), None, "{text}");
        }
    }

    #[test]
    fn an_overlay_keeps_what_is_not_named_and_replaces_lists() {
        let mut json = Json::parse(r#"{"a":1,"o":{"x":1,"y":[1,2]}}"#).unwrap();
        json.overlay(Json::parse(r#"{"o":{"y":[],"z":null}}"#).unwrap());
        assert_eq!(json.to_string(), r#"{"a":1,"o":{"x":1,"y":[],"z":null}}"#);
    }
}
