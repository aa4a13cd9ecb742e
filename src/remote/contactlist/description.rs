//! The service's own description (`?WSDL`) compared with ours, for `contactbridge check`: one sentence per difference.
//!
//! It must not follow anything that a description names: no import, no address. Reading is bounded as answers are.

use std::collections::BTreeMap;

use super::client::SoapCalls;
use super::encode::SoapVersion;
use super::schema::NAMESPACE;
use super::tree::Tree;
use crate::model::{Error, Result};
use crate::remote::http::Reply;

/// Bytes of a description; the service's own was 150 KB.
pub const DEFAULT_DESCRIPTION_MAX: u64 = 2 << 20;
/// Sentences that are worth reading; a description that differs more is another service's.
const DIFFERENCES_MAX: usize = 40;

/// The description that this program was written against.
pub const OUR_DESCRIPTION: &str = include_str!("../../../wsdl/contactlist/catalystcrm.wsdl");

const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
const XSD: &str = "http://www.w3.org/2001/XMLSchema";
const BINDINGS: [(SoapVersion, &str, &str); 2] = [
    (
        SoapVersion::V11,
        "SOAP 1.1",
        "http://schemas.xmlsoap.org/wsdl/soap/",
    ),
    (
        SoapVersion::V12,
        "SOAP 1.2",
        "http://schemas.xmlsoap.org/wsdl/soap12/",
    ),
];

/// Fetches the description of the endpoint and says where it differs from ours; empty when it agrees.
///
/// Only the version of SOAP that is spoken matters. Errors: `E-WSDL` when there is no description to read, and
/// whatever the call gives.
pub async fn compare_description(calls: &SoapCalls, version: SoapVersion) -> Result<Vec<String>> {
    let reply = calls.description(DEFAULT_DESCRIPTION_MAX).await?;
    differences(&reply_text(&reply)?, version)
}

fn reply_text(reply: &Reply) -> Result<String> {
    if reply.status != 200 {
        return Err(unreadable(format!(
            "it answered with status {}",
            reply.status
        )));
    }
    String::from_utf8(reply.body.clone()).map_err(|_| unreadable("it is not UTF-8"))
}

pub(super) fn unreadable(why: impl std::fmt::Display) -> Error {
    Error::unreachable(
        "E-WSDL",
        format!(
            "?WSDL of the endpoint can't be read: {why}. Does `endpoint` end in the service's .asmx?"
        ),
    )
}

/// Says where the description `theirs` differs from ours.
pub fn differences(theirs: &str, version: SoapVersion) -> Result<Vec<String>> {
    let ours = Description::read(OUR_DESCRIPTION).map_err(|error| {
        Error::unexpected("E-WSDL", "Our own description can't be read").caused_by(error)
    })?;
    let theirs = Description::read(theirs)?;
    let mut found = Vec::new();
    compare(&ours, &theirs, version, &mut found);
    let more = found.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        found.truncate(DIFFERENCES_MAX);
        found.push(format!("and {more} more differences"));
    }
    Ok(found)
}

/// An element of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: String,
    kind: String,
    min: String,
    max: String,
    nillable: bool,
}

/// What a description says of the service's namespace.
#[derive(Debug, Default)]
struct Description {
    types: BTreeMap<String, Vec<Part>>,
    elements: BTreeMap<String, Vec<Part>>,
    /// By operation: the elements of request and response.
    operations: BTreeMap<String, (String, String)>,
    /// By version and operation: the action.
    actions: BTreeMap<(&'static str, String), String>,
    imports: usize,
}

impl Description {
    fn read(text: &str) -> Result<Self> {
        let root = Tree::read(text)?;
        if !root.is(WSDL, "definitions") {
            return Err(unreadable("it is no WSDL 1.1"));
        }
        let mut description = Self::default();
        for child in &root.children {
            if child.name == "import" {
                description.imports += 1;
            }
        }
        for schema in root
            .below(WSDL, "types")
            .flat_map(|types| types.below(XSD, "schema"))
        {
            description.imports +=
                schema.below(XSD, "import").count() + schema.below(XSD, "include").count();
            if schema.get("targetNamespace") != NAMESPACE {
                continue;
            }
            for kind in schema.below(XSD, "complexType") {
                description
                    .types
                    .insert(kind.get("name").to_owned(), kind.parts());
            }
            for element in schema.below(XSD, "element") {
                let parts = element.below(XSD, "complexType").next().map(Tree::parts);
                description
                    .elements
                    .insert(element.get("name").to_owned(), parts.unwrap_or_default());
            }
        }
        let messages: BTreeMap<&str, &str> = root
            .below(WSDL, "message")
            .filter_map(|message| {
                let part = message.below(WSDL, "part").next()?;
                Some((message.get("name"), local(part.get("element"))))
            })
            .collect();
        let carries = |operation: &Tree, side: &str| {
            let message = operation
                .below(WSDL, side)
                .next()
                .map_or("", |node| local(node.get("message")));
            messages
                .get(message)
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        for (_, version, space) in BINDINGS {
            for binding in root.below(WSDL, "binding") {
                if binding.below(space, "binding").next().is_none() {
                    continue;
                }
                for operation in binding.below(WSDL, "operation") {
                    let action = operation
                        .below(space, "operation")
                        .next()
                        .map_or("", |node| node.get("soapAction"));
                    description.actions.insert(
                        (version, operation.get("name").to_owned()),
                        action.to_owned(),
                    );
                }
                for port in root
                    .below(WSDL, "portType")
                    .filter(|port| port.get("name") == local(binding.get("type")))
                {
                    for operation in port.below(WSDL, "operation") {
                        let elements = (carries(operation, "input"), carries(operation, "output"));
                        description
                            .operations
                            .insert(operation.get("name").to_owned(), elements);
                    }
                }
            }
        }
        Ok(description)
    }
}

/// Only what we use is compared: what the service offers beyond it is its own business.
fn compare(
    ours: &Description,
    theirs: &Description,
    version: SoapVersion,
    found: &mut Vec<String>,
) {
    if theirs.imports > 0 {
        found.push("The site's description imports other documents, which are not followed: what they hold seems to be missing".to_owned());
    }
    let spoken = BINDINGS
        .iter()
        .find(|(known, ..)| *known == version)
        .map_or("", |(_, name, _)| *name);
    for (operation, elements) in &ours.operations {
        let Some(other) = theirs.operations.get(operation) else {
            found.push(format!(
                "The site's description lacks the operation {operation}"
            ));
            continue;
        };
        if elements != other {
            found.push(format!(
                "{operation}: ours is {} -> {}, the site's {} -> {}",
                elements.0, elements.1, other.0, other.1
            ));
        }
        let key = (spoken, operation.clone());
        match (ours.actions.get(&key), theirs.actions.get(&key)) {
            (ours, theirs) if ours == theirs => {}
            (_, None) => found.push(format!(
                "{operation}: the site's description does not offer it over {spoken}"
            )),
            (_, Some(action)) => found.push(format!(
                "{operation}: the site's {spoken} action is {}",
                shown(action)
            )),
        }
    }
    for (what, ours, theirs) in [
        ("element", &ours.elements, &theirs.elements),
        ("type", &ours.types, &theirs.types),
    ] {
        for (name, parts) in ours {
            match theirs.get(name) {
                None => found.push(format!("The site's description lacks the {what} {name}")),
                Some(other) => compare_parts(name, parts, other, found),
            }
        }
    }
}

fn compare_parts(name: &str, ours: &[Part], theirs: &[Part], found: &mut Vec<String>) {
    for part in ours {
        let Some(other) = theirs.iter().find(|other| other.name == part.name) else {
            found.push(format!(
                "{name}: the site's description lacks {}",
                part.name
            ));
            continue;
        };
        if part.kind != other.kind {
            found.push(format!(
                "{name}: {} is {} here and {} there",
                part.name,
                shown(local(&part.kind)),
                shown(local(&other.kind))
            ));
        }
        if (&part.min, &part.max, part.nillable) != (&other.min, &other.max, other.nillable) {
            found.push(format!(
                "{name}: {} may occur {} to {} times{} here and {} to {} times{} there",
                part.name,
                part.min,
                part.max,
                if part.nillable { " or be nil" } else { "" },
                shown(&other.min),
                shown(&other.max),
                if other.nillable { " or be nil" } else { "" },
            ));
        }
    }
    for extra in theirs
        .iter()
        .filter(|other| ours.iter().all(|part| part.name != other.name))
    {
        found.push(format!(
            "{name}: the site has {} too, which is kept as it stands but can't be mapped",
            shown(&extra.name)
        ));
    }
    let order = |parts: &[Part], others: &[Part]| -> Vec<String> {
        let shared = parts
            .iter()
            .filter(|part| others.iter().any(|other| other.name == part.name));
        shared.map(|part| part.name.clone()).collect()
    };
    if order(ours, theirs) != order(theirs, ours) {
        found.push(format!(
            "{name}: the site's elements stand in another order"
        ));
    }
}

/// A word of a description, as far as it can be one.
fn shown(word: &str) -> String {
    word.chars()
        .filter(char::is_ascii_graphic)
        .take(120)
        .collect()
}

/// The part of an expanded name behind its namespace.
fn local(name: &str) -> &str {
    name.rsplit_once('}').map_or(name, |(_, local)| local)
}

impl Tree {
    /// The elements of a complex type.
    fn parts(&self) -> Vec<Part> {
        let or = |value: &str, default: &str| {
            if value.is_empty() {
                default.to_owned()
            } else {
                value.to_owned()
            }
        };
        self.below(XSD, "sequence")
            .flat_map(|sequence| sequence.below(XSD, "element"))
            .map(|element| Part {
                name: or(element.get("name"), local(element.get("ref"))),
                kind: element.get("type").to_owned(),
                min: or(element.get("minOccurs"), "1"),
                max: or(element.get("maxOccurs"), "1"),
                nillable: matches!(element.get("nillable"), "true" | "1"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{CONTACT, Field, Kind};
    use super::*;

    fn different(change: impl Fn(&str) -> String) -> Vec<String> {
        let theirs = change(OUR_DESCRIPTION);
        assert_ne!(theirs, OUR_DESCRIPTION);
        differences(&theirs, SoapVersion::V12).unwrap()
    }

    #[test]
    fn our_own_description_agrees_with_itself_and_with_other_prefixes() {
        for version in [SoapVersion::V11, SoapVersion::V12] {
            assert_eq!(
                differences(OUR_DESCRIPTION, version).unwrap(),
                Vec::<String>::new()
            );
        }
        let none = different(|ours| {
            ours.replace("xmlns:s=", "xmlns:xs=")
                .replace("<s:", "<xs:")
                .replace("</s:", "</xs:")
                .replace("\"s:", "\"xs:")
                .replace("tns:", "x:")
                .replace("xmlns:tns", "xmlns:x")
        });
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_a_sentence() {
        for (from, to, expected) in [
            (
                "name=\"externalId\" type=\"s:string\"",
                "name=\"externalID\" type=\"s:string\"",
                "ContactRecord: the site's description lacks externalId",
            ),
            (
                "name=\"externalId\" type=\"s:string\"",
                "name=\"externalID\" type=\"s:string\"",
                "ContactRecord: the site has externalID too, which is kept as it stands but can't be mapped",
            ),
            (
                "name=\"dateOfBirth\" type=\"s:dateTime\"",
                "name=\"dateOfBirth\" type=\"s:string\"",
                "ContactRecord: dateOfBirth is dateTime here and string there",
            ),
            (
                "name=\"PhoneNo\" nillable=\"true\"",
                "name=\"PhoneNo\"",
                "ArrayOfPhoneNo: PhoneNo may occur 0 to unbounded times or be nil here and 0 to unbounded times there",
            ),
            (
                "<wsdl:operation name=\"Contact_DeleteByEntityID\">",
                "<wsdl:operation name=\"Contact_Drop\">",
                "The site's description lacks the operation Contact_DeleteByEntityID",
            ),
            (
                "<soap12:operation soapAction=\"http://tempuri.org/",
                "<soap12:operation soapAction=\"http://example.org/",
                "ContactList_Retrieve: the site's SOAP 1.2 action is http://example.org/CatalystDeveloperService/CatalystCRMWebservice/ContactList_Retrieve",
            ),
            (
                "<soap12:binding",
                "<soap12:nothing",
                "ContactList_UpdateInsert: the site's description does not offer it over SOAP 1.2",
            ),
            (
                "element=\"tns:ContactList_RetrieveResponse\"",
                "element=\"tns:Other\"",
                "ContactList_Retrieve: ours is ContactList_Retrieve -> ContactList_RetrieveResponse, the site's ContactList_Retrieve -> Other",
            ),
            (
                "<s:schema ",
                "<s:schema><s:import schemaLocation=\"http://10.0.0.1/x\"/></s:schema><s:schema ",
                "The site's description imports other documents, which are not followed: what they hold seems to be missing",
            ),
        ] {
            let found = different(|ours| ours.replace(from, to));
            assert!(
                found.iter().any(|sentence| sentence == expected),
                "{expected}\n{found:#?}"
            );
        }
        let swapped = different(|ours| {
            ours.replace("\"firstName\"", "\"@\"")
                .replace("\"lastName\"", "\"firstName\"")
                .replace("\"@\"", "\"lastName\"")
        });
        assert_eq!(
            swapped,
            ["ContactRecord: the site's elements stand in another order"]
        );
    }

    #[test]
    fn another_service_is_told_in_bounded_words() {
        let found = different(|ours| ours.replace(NAMESPACE, "http://example.org/other"));
        assert!(found.len() <= DIFFERENCES_MAX + 1, "{}", found.len());
        assert!(
            found
                .iter()
                .any(|sentence| sentence.contains("lacks the element ContactList_Retrieve"))
        );
    }

    #[test]
    fn what_is_no_description_is_an_error() {
        for text in [
            "",
            "not here",
            "<html/>",
            "<!DOCTYPE html><html/>",
            "<a",
            "<a><b></a>",
            &"<a>".repeat(100_000),
            &OUR_DESCRIPTION[..9_000],
        ] {
            assert_eq!(
                differences(text, SoapVersion::V12).unwrap_err().code(),
                "E-WSDL"
            );
        }
    }

    #[test]
    fn the_table_of_fields_is_the_description() {
        fn check(description: &Description, kind: &str, fields: &[Field]) {
            let parts = description.types.get(kind).unwrap();
            assert_eq!(parts.len(), fields.len(), "{kind}");
            for (part, field) in parts.iter().zip(fields) {
                assert_eq!(part.name, field.name);
                let (type_name, min) = match field.kind {
                    Kind::Text => ("string".to_owned(), "0"),
                    Kind::Integer(_) => ("int".to_owned(), "1"),
                    Kind::Bool => ("boolean".to_owned(), "1"),
                    Kind::DateTime => ("dateTime".to_owned(), "1"),
                    Kind::List(item, item_fields) => {
                        check(description, item, item_fields);
                        let list = description.types.get(&format!("ArrayOf{item}")).unwrap();
                        assert_eq!((list[0].name.as_str(), list[0].nillable), (item, true));
                        (format!("ArrayOf{item}"), "0")
                    }
                };
                assert_eq!(local(&part.kind), type_name, "{kind}.{}", field.name);
                assert_eq!(part.min, min, "{kind}.{}", field.name);
            }
        }
        check(
            &Description::read(OUR_DESCRIPTION).unwrap(),
            "ContactRecord",
            &CONTACT,
        );
    }
}
