//! Reads a request: the parameter out of the form, elements out of the XML (association-anywhere.md §1, §3 to §8).
//!
//! Names count without case, `-` and `_`, since nobody knows which spelling the real service takes. It must not use the
//! bridge's own XML code.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// How deep a request may nest; the deepest known one has three levels.
const DEPTH_MAX: usize = 16;

/// An element of a request.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Lower case, without `-` and `_`.
    pub(super) name: String,
    /// Names like elements'.
    attributes: Vec<(String, String)>,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

/// A name without what nobody knows about its spelling.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '-' && *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

impl Element {
    /// The trimmed text of the first child of one of these names; they are given plain.
    pub(super) fn text_of(&self, names: &[&str]) -> Option<&str> {
        let child = self
            .children
            .iter()
            .find(|child| names.contains(&child.name.as_str()));
        child.map(|child| child.text.trim())
    }

    /// The children of this plain name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Whether the attribute of this plain name says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.attributes.iter().find(|(have, _)| have == name);
        value.is_some_and(|(_, value)| yes(value))
    }
}

/// Whether a word says yes (§10).
pub(super) fn yes(value: &str) -> bool {
    let value = value.trim();
    value == "1" || value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("y")
}

/// The value of the parameter of this name, in any case, out of a form or a query string. A raw value survives as long
/// as it holds none of the signs of a form, as with the real gateway (§1).
pub(super) fn parameter(form: &[u8], name: &str) -> Option<Vec<u8>> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at(at);
        decoded(key)
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| decoded(value.get(1..).unwrap_or_default()))
    })
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(text.get(at)), digit(text.get(at + 1))) {
                (Some(high), Some(low)) => {
                    at += 2;
                    u8::try_from(high * 16 + low).unwrap_or(b'%')
                }
                _ => b'%',
            },
            other => *other,
        });
    }
    out
}

/// The root of a document; nothing when it is none, has a DTD, or nests too deep.
pub(super) fn document(text: &str) -> Option<Element> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut done: Option<Element> = None;
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Start(start) => {
                if done.is_some() || open.len() >= DEPTH_MAX {
                    return None;
                }
                open.push(begin(&start)?);
                continue;
            }
            Event::Empty(start) => begin(&start)?,
            Event::End(_) => open.pop()?,
            Event::Text(part) => {
                match open.last_mut() {
                    Some(element) => element.text.push_str(&part.xml10_content()),
                    None if part.trim_ascii().is_empty() => {}
                    None => return None,
                }
                continue;
            }
            Event::CData(part) => {
                open.last_mut()?.text.push_str(&part.xml10_content());
                continue;
            }
            Event::GeneralRef(reference) => {
                let element = open.last_mut()?;
                match reference.resolve_char_ref().ok()? {
                    Some(character) => element.text.push(character),
                    None => element.text.push_str(named(&reference.xml10_content())?),
                }
                continue;
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None if done.is_none() => done = Some(closed),
            None => return None,
        }
    }
    done.filter(|_| open.is_empty())
}

fn named(entity: &str) -> Option<&'static str> {
    Some(match entity {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return None,
    })
}

fn begin(start: &BytesStart<'_>) -> Option<Element> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        attributes.push((
            plain(attribute.key.as_ref()),
            attribute.value.as_ref().to_owned(),
        ));
    }
    Some(Element {
        name: plain(start.local_name().as_ref()),
        attributes,
        ..Element::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_in_any_case_and_decoded() {
        let form = b"x=1&P_INPUT_XML_DOC=%3Ca%3E+%C3%A9%2B%26%3C/a%3E";
        assert_eq!(
            parameter(form, "p_input_xml_doc").unwrap(),
            "<a> é+&</a>".as_bytes()
        );
        assert_eq!(parameter(b"p_input_xml=1", "p_input_xml_doc"), None);
        // Sent raw: the first ampersand ends it.
        let raw = b"p_input_xml_doc=<a>R&amp;D 100%</a>";
        assert_eq!(parameter(raw, "p_input_xml_doc").unwrap(), b"<a>R");
    }

    #[test]
    fn names_count_without_their_spelling() {
        let text = "<?xml version=\"1.0\"?><Purge-Request a='1'><MAX_QUEUE_NUM> 7 </MAX_QUEUE_NUM><x Include-Bad='Y'/></Purge-Request>";
        let root = document(text).unwrap();
        assert_eq!(root.name, "purgerequest");
        assert_eq!(root.text_of(&["maxqueuenum"]), Some("7"));
        assert!(
            root.all("x")
                .all(|x| x.flag("includebad") && !x.flag("include"))
        );
    }

    #[test]
    fn what_is_no_document_is_none() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
        ] {
            assert!(document(text).is_none(), "{text}");
        }
        assert!(document(&"<a>".repeat(17)).is_none());
        assert_eq!(
            document("<a>&lt;&#65;<![CDATA[<]]></a>").unwrap().text,
            "<A<"
        );
    }
}
