//! Requests, written in one pass: elements in the order of the schema, the service's namespace as the default one.
//!
//! A record is sent whole (H-28): value elements always stand there, dates are never empty, nothing is `xsi:nil`, names
//! that the schema does not know follow the known ones. A contact's `password` is never sent; its `username` only when
//! the document holds one, which only a mapping can have put there. It must not decide what a record holds.

use super::schema::{CONTACT, Field, Kind, NAMESPACE, NO_DATE};
use super::tokens::{SOAP_11, SOAP_12};
use crate::model::{Document, Error, Node, Result, Stamp};
use crate::remote::LookUp;
use crate::remote::xml::is_xml_char;

/// The version of SOAP that is spoken (`soap:` of bridge.yaml).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1.
    V11,
    /// SOAP 1.2.
    #[default]
    V12,
}

/// What opens every request: a user's name and password, or an empty name and a site token (`contactlist.md` §2).
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The user's e-mail, or nothing with a site token; its element is sent all the same.
    pub username: &'a str,
    /// The password or the site token.
    pub password: &'a str,
    /// The site.
    pub site_id: i32,
}

/// Asked for when everything is wanted: valid for every date type of the service's database, also when it is shifted
/// between zones, and older than the service (`contactlist.md` §3: a date before 1753 may fault).
pub const BEGINNING: &str = "1900-01-01T00:00:00";

/// A ContactList_Retrieve. `moreRecords` is ignored in requests (`contactlist.md` §3). The fraction of a second is cut
/// off, and a date before [`BEGINNING`] becomes that.
pub fn encode_list(
    version: SoapVersion,
    login: Login<'_>,
    since: Option<Stamp>,
    record_start: u32,
) -> Result<String> {
    let since = since
        .map(|stamp| stamp.0.format("%Y-%m-%dT%H:%M:%S").to_string())
        .filter(|since| since.as_str() > BEGINNING && !since.starts_with(['+', '-']))
        .unwrap_or_else(|| BEGINNING.to_owned());
    request(version, "ContactList_Retrieve", login, |xml| {
        xml.element("lastUpdateDate", &since)?;
        xml.element("recordStart", &record_start.to_string())?;
        xml.element("moreRecords", "false")
    })
}

/// The operation of a look-up.
pub fn look_up_operation(by: &LookUp) -> &'static str {
    match by {
        LookUp::Id(_) => "Contact_RetrieveByEntityID",
        LookUp::External(_) => "Contact_RetrieveByExternalID",
        LookUp::Email(_) => "Contact_RetrieveByEmailAddress",
    }
}

/// One of the Contact_RetrieveBy… requests; their argument's name is case-sensitive (`contactlist.md` §2).
pub fn encode_look_up(version: SoapVersion, login: Login<'_>, by: &LookUp) -> Result<String> {
    let (name, value) = match by {
        LookUp::Id(id) => ("entityId", &id.0),
        LookUp::External(external) => ("externalId", external),
        LookUp::Email(email) => ("emailAddress", email),
    };
    request(version, look_up_operation(by), login, |xml| {
        xml.element(name, value)
    })
}

/// A Contact_DeleteByEntityID.
pub fn encode_delete(version: SoapVersion, login: Login<'_>, entity_id: &str) -> Result<String> {
    request(version, "Contact_DeleteByEntityID", login, |xml| {
        xml.element("entityId", entity_id)
    })
}

/// A ContactList_UpdateInsert of whole records (`contactlist.md` §6).
pub fn encode_update_insert(
    version: SoapVersion,
    login: Login<'_>,
    batch: &[Document],
) -> Result<String> {
    request(version, "ContactList_UpdateInsert", login, |xml| {
        xml.open("contactsList");
        for document in batch {
            xml.open("ContactRecord");
            xml.record(document, &CONTACT, true)?;
            xml.close("ContactRecord");
        }
        xml.close("contactsList");
        Ok(())
    })
}

/// Whether every character may be sent; a field with another one must be held, for it is never changed on its way.
pub fn is_sendable(text: &str) -> bool {
    text.chars().all(is_xml_char)
}

fn request(
    version: SoapVersion,
    operation: &'static str,
    login: Login<'_>,
    arguments: impl FnOnce(&mut Xml) -> Result<()>,
) -> Result<String> {
    let mut xml = Xml {
        text: String::with_capacity(4_096),
        operation,
    };
    let soap = match version {
        SoapVersion::V11 => SOAP_11,
        SoapVersion::V12 => SOAP_12,
    };
    xml.text
        .push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"");
    xml.text.push_str(soap);
    xml.text.push_str("\"><soap:Body><");
    xml.text.push_str(operation);
    xml.text.push_str(" xmlns=\"");
    xml.text.push_str(NAMESPACE);
    xml.text.push_str("\">");
    xml.element("username", login.username)?;
    xml.element("password", login.password)?;
    xml.element("siteId", &login.site_id.to_string())?;
    arguments(&mut xml)?;
    xml.close(operation);
    xml.text.push_str("</soap:Body></soap:Envelope>");
    Ok(xml.text)
}

struct Xml {
    text: String,
    operation: &'static str,
}

impl Xml {
    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    fn element(&mut self, name: &str, value: &str) -> Result<()> {
        self.open(name);
        let mut kept = 0;
        for (at, byte) in value.bytes().enumerate() {
            let reference = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                // As it stands, a reader would make a line feed of it.
                b'\r' => "&#13;",
                b'\t' | b'\n' | 0x20..=0xee => continue,
                _ => {
                    let whole = value.get(at..).and_then(|rest| rest.chars().next());
                    if whole.is_none_or(is_xml_char) {
                        continue;
                    }
                    return Err(Error::unexpected(
                        "E-PUSH-CHAR",
                        format!(
                            "{}: {name} holds a character that XML forbids; nothing was sent. Take the character out of the field",
                            self.operation
                        ),
                    ));
                }
            };
            self.text.push_str(&value[kept..at]);
            self.text.push_str(reference);
            kept = at + 1;
        }
        self.text.push_str(&value[kept..]);
        self.close(name);
        Ok(())
    }

    /// A record's elements: those of the schema in its order, then what the schema does not know.
    fn record(
        &mut self,
        document: &Document,
        fields: &'static [Field],
        is_contact: bool,
    ) -> Result<()> {
        for field in fields {
            let is_login = is_contact && matches!(field.name, "username" | "password");
            match (field.kind, document.get(field.name)) {
                (Kind::Text, Some(Node::Text(text))) if is_login => {
                    if field.name == "username" && !text.is_empty() {
                        self.element(field.name, text)?;
                    }
                }
                (Kind::Text, None) => {}
                (Kind::Text, Some(Node::Text(text))) => self.element(field.name, text)?,
                (Kind::Integer(neutral), node) => self.value(field.name, node, neutral)?,
                (Kind::Bool, node) => self.value(field.name, node, "false")?,
                (Kind::DateTime, node) => self.value(field.name, node, NO_DATE)?,
                (Kind::List(..), None) => {}
                (Kind::List(item, item_fields), Some(Node::List(items))) => {
                    self.open(field.name);
                    for part in items {
                        self.open(item);
                        self.record(part, item_fields, false)?;
                        self.close(item);
                    }
                    self.close(field.name);
                }
                (_, Some(_)) => return Err(self.misshapen(field.name)),
            }
        }
        for (name, node) in document.iter() {
            if fields.iter().all(|field| field.name != name) {
                self.unknown(name, node)?;
            }
        }
        Ok(())
    }

    /// A value element, which may neither be left out nor be empty (`contactlist.md` §6).
    fn value(&mut self, name: &str, node: Option<&Node>, neutral: &str) -> Result<()> {
        match node {
            None => self.element(name, neutral),
            Some(Node::Text(text)) if text.trim().is_empty() => self.element(name, neutral),
            Some(Node::Text(text)) => self.element(name, text),
            Some(_) => Err(self.misshapen(name)),
        }
    }

    /// An element that only the service itself can have brought in.
    fn unknown(&mut self, name: &str, node: &Node) -> Result<()> {
        let is_name = name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        match node {
            Node::Text(text) if is_name => self.element(name, text),
            Node::Record(inner) if is_name => {
                self.open(name);
                for (name, node) in inner.iter() {
                    self.unknown(name, node)?;
                }
                self.close(name);
                Ok(())
            }
            _ => Err(self.misshapen(name)),
        }
    }

    fn misshapen(&self, name: &str) -> Error {
        Error::unexpected(
            "E-PUSH-SHAPE",
            format!(
                "{}: {name} does not have the shape of the service's description; nothing was sent",
                self.operation
            ),
        )
    }
}
