//! Requests: an XML document each, with the credentials in it, as the one field of a form (`association-anywhere.md` §1).
//!
//! A document stays below what the gateway passes on; whoever has more ids makes more requests. It must not decide which
//! ids or sections are asked for.

use std::collections::BTreeSet;

use super::options::Words;
use super::schema::SECTIONS;
use crate::model::{Error, RemoteId, Result};
use crate::remote::xml::is_xml_char;

/// The one field of the form.
const FIELD: &str = "p_input_xml_doc";

/// Bytes of a request: an Oracle gateway passes arguments of at most 32 KB (`association-anywhere.md` §1 and §6.2).
pub const REQUEST_MAX: usize = 30_000;

/// Who asks.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The vendor's user.
    pub username: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// Which parts of customers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The sections, by the names of the contract.
    pub sections: BTreeSet<&'static str>,
    /// Those of which inactive, expired or bad items are asked for too.
    pub inactive: BTreeSet<String>,
}

/// A request for the queue, with or without reasons.
pub fn encode_queue(words: &Words, login: Login<'_>) -> Result<String> {
    request(words, |xml| xml.login(words, login))
}

/// A request for the details of `ids`, always in bulk mode; the ids come first, and elements stand in the order that
/// clients of the service send (`association-anywhere.md` §6.1).
pub fn encode_details(
    words: &Words,
    login: Login<'_>,
    ids: &[RemoteId],
    asked: &Asked,
) -> Result<String> {
    request(words, |xml| {
        for id in ids {
            xml.element(&words.id, &id.0)?;
        }
        xml.login(words, login)?;
        xml.element("directoryId", "")?;
        xml.element("bulkRequest", "true")?;
        xml.0.push_str("<details includeCodeValues=\"true\">");
        for section in &SECTIONS {
            if !asked.sections.contains(section.name) {
                continue;
            }
            xml.0
                .push_str(&format!("<{} include=\"true\"", section.name));
            if let Some(everything) = section.everything
                && asked.inactive.contains(section.name)
            {
                xml.0.push_str(&format!(" {everything}=\"true\""));
            }
            xml.0.push_str("/>");
        }
        xml.0.push_str("</details>");
        Ok(())
    })
}

/// A purge of everything up to `number`.
pub fn encode_purge(words: &Words, login: Login<'_>, number: &str) -> Result<String> {
    request(words, |xml| {
        xml.login(words, login)?;
        xml.element(&words.number, number)
    })
}

/// Forces one customer, or every customer, into the queue.
pub fn encode_force_enqueue(
    words: &Words,
    login: Login<'_>,
    id: Option<&RemoteId>,
) -> Result<String> {
    request(words, |xml| {
        xml.login(words, login)?;
        match id {
            Some(id) => xml.element(&words.id, &id.0),
            None => Ok(()),
        }
    })
}

/// Cuts `ids` into as few requests as hold at most `chunk` of them and [`REQUEST_MAX`] bytes each.
pub fn chunks<'i>(
    words: &Words,
    login: Login<'_>,
    ids: &'i [RemoteId],
    asked: &Asked,
    chunk: usize,
) -> Result<Vec<&'i [RemoteId]>> {
    let frame = encode_details(words, login, &[], asked)?.len();
    let cost = |id: &RemoteId| {
        let mut xml = Xml(String::new());
        xml.element(&words.id, &id.0).map(|()| xml.0.len())
    };
    let mut chunks = Vec::new();
    let (mut begin, mut bytes) = (0, frame);
    for (at, id) in ids.iter().enumerate() {
        let more = cost(id)?;
        if at > begin && (at - begin >= chunk.max(1) || bytes + more > REQUEST_MAX) {
            chunks.push(&ids[begin..at]);
            (begin, bytes) = (at, frame);
        }
        bytes += more;
    }
    if begin < ids.len() {
        chunks.push(&ids[begin..]);
    }
    Ok(chunks)
}

/// The body of the form that carries a document: percent-encoded UTF-8.
pub fn form(document: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut body = String::with_capacity(FIELD.len() + 1 + document.len() * 2);
    body.push_str(FIELD);
    body.push('=');
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            body.push(char::from(byte));
        } else {
            body.push('%');
            for half in [byte >> 4, byte & 0xf] {
                body.push(char::from(HEX[usize::from(half)]));
            }
        }
    }
    body
}

fn request(words: &Words, fill: impl FnOnce(&mut Xml) -> Result<()>) -> Result<String> {
    let mut xml = Xml(String::with_capacity(2_048));
    xml.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    xml.0.push_str(&format!("<{}>", words.root));
    fill(&mut xml)?;
    xml.0.push_str(&format!("</{}>", words.root));
    Ok(xml.0)
}

struct Xml(String);

impl Xml {
    fn login(&mut self, words: &Words, login: Login<'_>) -> Result<()> {
        self.element(&words.user, login.username)?;
        self.element(&words.password, login.password)
    }

    fn element(&mut self, name: &str, value: &str) -> Result<()> {
        self.0.push_str(&format!("<{name}>"));
        for found in value.chars() {
            match found {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                // As it stands, a reader would make a line feed of it.
                '\r' => self.0.push_str("&#13;"),
                found if is_xml_char(found) => self.0.push(found),
                _ => {
                    return Err(Error::config(
                        "E-AA-CHAR",
                        format!(
                            "{name} holds a character that XML forbids; nothing was sent. Give it without that character"
                        ),
                    ));
                }
            }
        }
        self.0.push_str(&format!("</{name}>"));
        Ok(())
    }
}
