//! Reads requests the way XmlSerializer does: elements by namespace and name, in any order, unknown ones ignored,
//! an unparsable value refusing the whole request with its place in the text (contactlist.md §6, §9).
//!
//! It must not use the bridge's own XML code.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::write::{NAMESPACE, Soap};

/// How deep a request may nest. The deepest legal one (a form field in an UpdateInsert) has ten levels.
const DEPTH_MAX: usize = 32;

/// An element of a request: what its name is, what it holds, and where it ends (for the words of a fault).
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    /// Whether it is in the service's namespace; if not, it is nobody's business.
    ours: bool,
    pub(super) nil: bool,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
    end: usize,
}

/// Why a request can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not well-formed, or no envelope at all: HTTP 400 without a body.
    NotXml,
    /// The envelope is of the other SOAP version than the content type says.
    Version,
    /// No element of this service in the body: the service can't tell what is wanted.
    NoOperation,
}

/// A value that is not of its type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadValue {
    /// Byte position behind the element.
    end: usize,
    /// The inner exception's sentence.
    pub(super) sentence: String,
}

impl BadValue {
    /// The sentence of the fault: line and column count from one, the column in characters, at the name behind the element.
    pub(super) fn fault(&self, request: &str) -> String {
        let before = request.get(..self.end).unwrap_or(request);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 2;
        format!(
            "Server was unable to read request. ---> System.InvalidOperationException: There is an error in XML document ({line}, {column}). ---> System.FormatException: {}",
            self.sentence
        )
    }
}

/// The element of the operation that a request's body holds.
pub(super) fn operation(request: &str, soap: Soap) -> Result<Element, Unreadable> {
    let root = tree(request).ok_or(Unreadable::NotXml)?;
    let Tree {
        element: envelope,
        namespace,
    } = root;
    if envelope.name != "Envelope" {
        return Err(Unreadable::NotXml);
    }
    if namespace != soap.envelope_namespace() {
        return Err(Unreadable::Version);
    }
    let body = envelope
        .children
        .into_iter()
        .find(|child| child.name == "Body");
    let body = body.ok_or(Unreadable::NoOperation)?;
    let wanted = body.children.into_iter().find(|child| child.ours);
    wanted.ok_or(Unreadable::NoOperation)
}

struct Tree {
    element: Element,
    namespace: String,
}

/// The whole document, or nothing if it is not one, has a DTD, or nests too deep.
fn tree(request: &str) -> Option<Tree> {
    let request = request.strip_prefix('\u{feff}').unwrap_or(request);
    let mut reader = NsReader::from_str(request);
    let mut open: Vec<Element> = Vec::new();
    let mut done: Option<Element> = None;
    let mut root_namespace = String::new();
    loop {
        let (resolved, event) = reader.read_resolved_event().ok()?;
        let namespace = match resolved {
            ResolveResult::Bound(Namespace(namespace)) => namespace,
            _ => "",
        };
        match event {
            Event::Start(start) => {
                if done.is_some() || open.len() >= DEPTH_MAX {
                    return None;
                }
                if open.is_empty() {
                    root_namespace = namespace.to_owned();
                }
                let element = begin(&start, namespace)?;
                open.push(element);
            }
            Event::Empty(start) => {
                let mut element = begin(&start, namespace)?;
                element.end = usize::try_from(reader.buffer_position()).ok()?;
                open.last_mut()?.children.push(element);
            }
            Event::End(_) => {
                let mut element = open.pop()?;
                element.end = usize::try_from(reader.buffer_position()).ok()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => done = Some(element),
                }
            }
            Event::Text(part) => match open.last_mut() {
                Some(element) => element.text.push_str(&part.xml10_content()),
                None if part.trim_ascii().is_empty() => {}
                None => return None,
            },
            Event::CData(part) => open.last_mut()?.text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => {
                let element = open.last_mut()?;
                match reference.resolve_char_ref().ok()? {
                    Some(character) => element.text.push(character),
                    None => element.text.push_str(named(&reference.xml10_content())?),
                }
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    let element = done.filter(|_| open.is_empty())?;
    Some(Tree {
        element,
        namespace: root_namespace,
    })
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

fn begin(start: &BytesStart<'_>, namespace: &str) -> Option<Element> {
    let mut nil = false;
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        // Every client that was seen binds the usual prefix; a nil under another one would be an empty item.
        if attribute.key.as_ref() == "xsi:nil" {
            nil = matches!(attribute.value.as_ref(), "true" | "1");
        }
    }
    Some(Element {
        name: start.local_name().as_ref().to_owned(),
        ours: namespace == NAMESPACE,
        nil,
        ..Element::default()
    })
}

impl Element {
    /// The last child of this name; a repeated scalar overwrites, as XmlSerializer has it.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children
            .iter()
            .rev()
            .find(|child| child.ours && child.name == name)
    }

    /// The items of a list, those of the service's namespace with this name.
    pub(super) fn items<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children
            .iter()
            .filter(move |child| child.ours && child.name == name)
    }

    /// A string: absent (also when nil), empty or text. Its white space is kept.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.child(name)
            .filter(|child| !child.nil)
            .map(|child| child.text.clone())
    }

    /// An int; 0 when left out.
    pub(super) fn int(&self, name: &str) -> Result<i32, BadValue> {
        let Some(child) = self.child(name) else {
            return Ok(0);
        };
        let parsed = child.text.trim().parse::<i32>();
        parsed.map_err(|_| child.bad("Input string was not in a correct format.".to_owned()))
    }

    /// A boolean; false when left out.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, BadValue> {
        let Some(child) = self.child(name) else {
            return Ok(false);
        };
        match child.text.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(child.bad(format!(
                "The string '{other}' is not a valid Boolean value."
            ))),
        }
    }

    /// A dateTime; nothing when left out. An offset turns it into the wall time of the *server's* zone (contactlist.md §5).
    pub(super) fn date(&self, name: &str, server: Tz) -> Result<Option<NaiveDateTime>, BadValue> {
        let Some(child) = self.child(name) else {
            return Ok(None);
        };
        match date_time(child.text.trim(), server) {
            Some(date) => Ok(Some(date)),
            None => Err(child.bad(format!(
                "The string '{}' is not a valid AllXsd value.",
                child.text
            ))),
        }
    }

    fn bad(&self, sentence: String) -> BadValue {
        BadValue {
            end: self.end,
            sentence,
        }
    }
}

/// An xsd:dateTime, or an xsd:date, with or without offset and fraction. Digits must be complete (`2014-09-9` is none).
fn date_time(text: &str, server: Tz) -> Option<NaiveDateTime> {
    if !text.is_ascii() || text.len() < 10 {
        return None;
    }
    let (local, offset) = split_offset(text)?;
    let shape_is_right = |pattern: &str, text: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(have, want)| match want {
                    b'0' => have.is_ascii_digit(),
                    _ => have == want,
                })
    };
    let naive = if local.len() == 10 {
        if !shape_is_right("0000-00-00", local) {
            return None;
        }
        chrono::NaiveDate::parse_from_str(local, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)?
    } else {
        if !shape_is_right("0000-00-00T00:00:00", local.get(..19)?) {
            return None;
        }
        let fraction = local.get(19..)?;
        if !fraction.is_empty() {
            let digits = fraction.strip_prefix('.')?;
            if digits.is_empty() || digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
        }
        NaiveDateTime::parse_from_str(local, "%Y-%m-%dT%H:%M:%S%.f").ok()?
    };
    if naive < super::person::year_one() {
        return None;
    }
    match offset {
        None => Some(naive),
        Some(minutes) => {
            let utc = naive.checked_sub_signed(chrono::Duration::minutes(minutes))?;
            Some(utc.and_utc().with_timezone(&server).naive_local())
        }
    }
}

/// The text before the offset, and the offset in minutes east of Greenwich.
fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(local) = text.strip_suffix('Z') {
        return Some((local, Some(0)));
    }
    let Some(at) = text.len().checked_sub(6) else {
        return Some((text, None));
    };
    let tail = &text[at..];
    let sign = match tail.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') if at >= 10 && tail.as_bytes().get(3) == Some(&b':') => -1,
        _ => return Some((text, None)),
    };
    let hours: i64 = tail.get(1..3)?.parse().ok()?;
    let minutes: i64 = tail.get(4..6)?.parse().ok()?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    Some((&text[..at], Some(sign * (hours * 60 + minutes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Header/><e:Body>\
             <c:Op xmlns:c=\"{NAMESPACE}\">{inner}</c:Op></e:Body></e:Envelope>"
        )
    }

    fn read(inner: &str) -> Element {
        operation(&request(inner), Soap::V12).unwrap()
    }

    #[test]
    fn prefixes_order_and_strangers_do_not_matter() {
        let element = read(
            "<c:b>2</c:b><c:unknown><c:a>7</c:a></c:unknown><c:a> x&amp;&#65; <![CDATA[<]]></c:a><x:a xmlns:x=\"urn:other\">9</x:a>",
        );
        assert_eq!(element.name, "Op");
        assert_eq!(element.int("b"), Ok(2));
        assert_eq!(element.text("a").as_deref(), Some(" x&A <"));
        assert_eq!(element.text("missing"), None);
        assert_eq!(element.int("missing"), Ok(0));
        assert_eq!(element.boolean("missing"), Ok(false));
        assert_eq!(element.date("missing", Tz::UTC), Ok(None));
    }

    #[test]
    fn nil_and_empty_are_told_apart() {
        let element = read("<c:a/><c:b xsi:nil=\"true\"/><c:c></c:c>");
        assert_eq!(element.text("a").as_deref(), Some(""));
        assert_eq!(element.text("b"), None);
        assert_eq!(element.text("c").as_deref(), Some(""));
    }

    #[test]
    fn a_bad_value_names_its_place() {
        let text = "<?xml version=\"1.0\"?>\n<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <Op xmlns=\"http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice\"><d></d><n>1</n></Op></e:Body></e:Envelope>";
        let element = operation(text, Soap::V11).unwrap();
        let bad = element.date("d", Tz::UTC).unwrap_err();
        let line = text.lines().nth(1).unwrap();
        let column = line.find("<n>").unwrap() + 2;
        assert!(bad.fault(text).contains(&format!(
            "(2, {column}). ---> System.FormatException: The string '' is"
        )));
    }

    #[test]
    fn dates_are_read_as_xsd_has_them() {
        let parsed =
            |text: &str| date_time(text, chrono_tz::America::New_York).map(|date| date.to_string());
        assert_eq!(
            parsed("2014-09-09T10:24:00").as_deref(),
            Some("2014-09-09 10:24:00")
        );
        assert_eq!(
            parsed("2014-09-09T10:24:00.1234567").as_deref(),
            Some("2014-09-09 10:24:00.123456700")
        );
        assert_eq!(parsed("2014-09-09").as_deref(), Some("2014-09-09 00:00:00"));
        assert_eq!(
            parsed("2014-09-09T10:24:00Z").as_deref(),
            Some("2014-09-09 06:24:00")
        );
        assert_eq!(
            parsed("2014-09-09T10:24:00+10:00").as_deref(),
            Some("2014-09-08 20:24:00")
        );
        assert_eq!(
            parsed("2014-09-09T10:24:00-02:00").as_deref(),
            Some("2014-09-09 08:24:00")
        );
        for bad in [
            "",
            "2014-09-9T10:24:00",
            "2014-13-01T00:00:00",
            "2014-09-09 10:24:00",
            "0000-01-01T00:00:00",
            "2014-09-09T10:24:00.",
            "2014-09-09T10:24",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let not = |text: &str| operation(text, Soap::V12).unwrap_err();
        assert_eq!(not("this is not xml"), Unreadable::NotXml);
        assert_eq!(not("<a>"), Unreadable::NotXml);
        assert_eq!(not("<a/><b/>"), Unreadable::NotXml);
        let doctype = request("").replace("<e:Envelope", "<!DOCTYPE x><e:Envelope");
        assert_eq!(not(&doctype), Unreadable::NotXml);
        let deep = request(&"<c:a>".repeat(40));
        assert_eq!(not(&deep), Unreadable::NotXml);
        assert_eq!(
            operation(&request(""), Soap::V11).unwrap_err(),
            Unreadable::Version
        );
        let empty = "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body/></e:Envelope>";
        assert_eq!(not(empty), Unreadable::NoOperation);
    }
}
