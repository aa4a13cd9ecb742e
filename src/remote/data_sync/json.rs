//! JSON as it stands: names in their order, numbers as they were written, nothing twice.
//!
//! serde_json reads the grammar; what it would let pass or change is done here: depth, names that stand twice, and numbers,
//! which must not go through a float (`orce.md` §6: money keeps its digits). It must not know messages or records.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Names and items of one body or payload together. A transaction of 5 MB has some 200,000; the bound keeps a small body of
/// nothing but brackets from growing a hundredfold.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// A number, in the digits that were sent.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Record(Vec<(String, Json)>),
}

/// Why a text is not taken for JSON. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Grammar,
    Depth,
    Twice,
    Count,
}

impl Fault {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Grammar => "is not JSON",
            Self::Depth => "is nested too deeply (limits.json_depth)",
            Self::Twice => "has a name twice in one object",
            Self::Count => "has too many values",
        }
    }
}

/// What stands at the top of a JSON text, its parts still unread.
pub(super) enum Parts<'a> {
    Record(Vec<(Cow<'a, str>, &'a RawValue)>),
    List(Vec<&'a RawValue>),
    Scalar(Json),
}

/// Whether brackets are nested more than `max` deep; told without reading anything else.
pub(super) fn too_deep(text: &str, max: u32) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads a whole text, at most `depth` deep.
pub(super) fn read(text: &str, depth: u32) -> Result<Json, Fault> {
    if too_deep(text, depth) {
        return Err(Fault::Depth);
    }
    let mut room = VALUES_MAX;
    build(text, &mut room)
}

fn build(text: &str, room: &mut usize) -> Result<Json, Fault> {
    Ok(match parts(text, *room)? {
        Parts::Scalar(value) => value,
        Parts::List(items) => {
            *room = room.checked_sub(items.len()).ok_or(Fault::Count)?;
            let items = items.into_iter().map(|item| build(item.get(), room));
            Json::List(items.collect::<Result<_, _>>()?)
        }
        Parts::Record(entries) => {
            *room = room.checked_sub(entries.len()).ok_or(Fault::Count)?;
            let entries = entries
                .into_iter()
                .map(|(name, value)| Ok((name.into_owned(), build(value.get(), room)?)));
            Json::Record(entries.collect::<Result<_, _>>()?)
        }
    })
}

/// Takes the top of a text apart, of at most `max` parts. Whoever goes on below must have asked [`too_deep`] first.
pub(super) fn parts(text: &str, max: usize) -> Result<Parts<'_>, Fault> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    match text.as_bytes().first() {
        Some(b'{') => {
            let entries = from_text(text, |reader| reader.deserialize_map(Entries(max)))?;
            if entries.len() > max {
                return Err(Fault::Count);
            }
            let mut seen = BTreeSet::new();
            if !entries.iter().all(|(name, _)| seen.insert(name.as_ref())) {
                return Err(Fault::Twice);
            }
            Ok(Parts::Record(entries))
        }
        Some(b'[') => {
            let items = from_text(text, |reader| reader.deserialize_seq(Items(max)))?;
            if items.len() > max {
                return Err(Fault::Count);
            }
            Ok(Parts::List(items))
        }
        Some(b'"') => serde_json::from_str(text)
            .map(|text| Parts::Scalar(Json::Text(text)))
            .map_err(|_| Fault::Grammar),
        Some(b'n') if text == "null" => Ok(Parts::Scalar(Json::Null)),
        Some(b't') if text == "true" => Ok(Parts::Scalar(Json::Bool(true))),
        Some(b'f') if text == "false" => Ok(Parts::Scalar(Json::Bool(false))),
        Some(b'-' | b'0'..=b'9') => serde_json::from_str::<&RawValue>(text)
            .map(|_| Parts::Scalar(Json::Number(text.to_owned())))
            .map_err(|_| Fault::Grammar),
        _ => Err(Fault::Grammar),
    }
}

fn from_text<'a, T>(
    text: &'a str,
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::StrRead<'a>>,
    ) -> serde_json::Result<T>,
) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = read(&mut reader).map_err(|_| Fault::Grammar)?;
    reader.end().map_err(|_| Fault::Grammar)?;
    Ok(value)
}

/// Collects the entries of an object, up to one past the bound.
struct Entries(usize);
/// Collects the items of an array, likewise.
struct Items(usize);

/// A name, borrowed where nothing in it is escaped.
struct NameOf<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for NameOf<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = NameOf<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(NameOf(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(NameOf(Cow::Owned(text.to_owned())))
            }
        }
        reader.deserialize_str(Read)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((NameOf(name), value)) = map.next_entry::<NameOf<'de>, &'de RawValue>()? {
            if entries.len() <= self.0 {
                entries.push((name, value));
            }
        }
        Ok(entries)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            if items.len() <= self.0 {
                items.push(item);
            }
        }
        Ok(items)
    }
}

/// The digits of a number without exponent, as the mapping's decimals need them; `None` where that would take more than
/// `EXPONENT_MAX` places.
///
/// A Java `BigDecimal` may write `1.5E+3`; the value is moved, never rounded.
pub(super) fn plain_number(text: &str) -> Option<String> {
    const EXPONENT_MAX: i64 = 64;
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Some(text.to_owned());
    };
    let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
    if exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = i64::try_from(whole.len()).ok()? + exponent;
    let all = format!("{whole}{fraction}");
    let length = i64::try_from(all.len()).ok()?;
    let number = if point <= 0 {
        let zeros = usize::try_from(-point).ok()?;
        format!("0.{}{all}", "0".repeat(zeros))
    } else if point >= length {
        let zeros = usize::try_from(point - length).ok()?;
        format!("{all}{}", "0".repeat(zeros))
    } else {
        let (before, after) = all.split_at(usize::try_from(point).ok()?);
        format!("{before}.{after}")
    };
    let stripped = number.trim_start_matches('0');
    let zero = if stripped.is_empty() || stripped.starts_with('.') {
        "0"
    } else {
        ""
    };
    Some(format!("{sign}{zero}{stripped}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    #[test]
    fn numbers_keep_their_digits_and_names_their_order() {
        let read = read(
            r#" {"b": 1325.00, "a": [0.1, -7, 1E400, null, true], "\u0061b": "\u00fc\n"} "#,
            32,
        );
        let number = |text: &str| Json::Number(text.to_owned());
        assert_eq!(
            read,
            Ok(Json::Record(vec![
                ("b".into(), number("1325.00")),
                (
                    "a".into(),
                    Json::List(vec![
                        number("0.1"),
                        number("-7"),
                        number("1E400"),
                        Json::Null,
                        Json::Bool(true)
                    ])
                ),
                ("ab".into(), text("ü\n")),
            ]))
        );
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for (body, fault) in [
            ("", Fault::Grammar),
            ("{", Fault::Grammar),
            ("[1,]", Fault::Grammar),
            ("{\"a\":1}}", Fault::Grammar),
            ("{'a':1}", Fault::Grammar),
            ("01", Fault::Grammar),
            ("nul", Fault::Grammar),
            ("NaN", Fault::Grammar),
            ("\"\\ud800\"", Fault::Grammar),
            ("\"a\nb\"", Fault::Grammar),
            ("{\"a\":1,\"\\u0061\":2}", Fault::Twice),
            ("[{\"a\":[{\"b\":1,\"b\":1}]}]", Fault::Twice),
        ] {
            assert_eq!(read(body, 32), Err(fault), "{body}");
        }
        assert!(read(&format!("{}{}", "[".repeat(32), "]".repeat(32)), 32).is_ok());
        assert_eq!(
            read(&format!("{}{}", "[".repeat(33), "]".repeat(33)), 32),
            Err(Fault::Depth)
        );
        assert_eq!(read(&"[".repeat(1_000_000), 32), Err(Fault::Depth));
        // Brackets in a text are text.
        assert!(read(&format!("\"\\\"{}\"", "[".repeat(100)), 32).is_ok());
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        assert_eq!(read(&many, 32), Err(Fault::Count));
    }

    #[test]
    fn exponents_are_moved_into_the_digits() {
        for (written, plain) in [
            ("1325.00", Some("1325.00")),
            ("-0", Some("-0")),
            ("1.5E+3", Some("1500")),
            ("1.2345e2", Some("123.45")),
            ("-12e-3", Some("-0.012")),
            ("0E-2", Some("0.00")),
            ("0e5", Some("0")),
            ("1e64", Some(&format!("1{}", "0".repeat(64)))),
            ("1e65", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(plain_number(written).as_deref(), plain, "{written}");
        }
    }

    proptest! {
        #[test]
        fn serde_json_agrees_on_what_is_json(body in "[\\[\\]{}\",:0-9eE.+\\-a-c \\\\untrl]{0,24}|\\PC{0,24}") {
            let ours = read(&body, 32);
            let theirs = serde_json::from_str::<serde_json::Value>(&body);
            // Numbers beyond a float and names that stand twice are where the two part.
            match ours {
                Ok(_) => prop_assert!(theirs.is_ok() || body.contains(['e', 'E'])),
                Err(Fault::Grammar) => prop_assert!(theirs.is_err(), "{body}"),
                Err(_) => {}
            }
        }
    }
}
