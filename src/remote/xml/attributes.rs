//! The attributes of a tag, as texts.

use quick_xml::events::attributes::Attributes;

use super::tokens::{Tag, Tokens};
use super::{AnswerLimits, flaw};
use crate::model::Result;

/// The attributes of `tag`, by their names without prefix: not those by which XML itself speaks (`xmlns`, `xml:`, `xsi:`).
///
/// Errors as a broken tag gives them; `not_xml` is the code of such an answer to `operation`.
pub(in crate::remote) fn attributes(
    tag: &Tag<'_>,
    operation: &str,
    not_xml: &'static str,
    limits: &AnswerLimits,
) -> Result<Vec<(String, String)>> {
    let broken = || flaw(operation, not_xml, "a tag of the answer is not well-formed");
    let mut found = Vec::new();
    if tag.attributes.trim().is_empty() {
        return Ok(found);
    }
    for (count, attribute) in Attributes::new(tag.attributes, 0).enumerate() {
        if count >= limits.attributes {
            return Err(flaw(
                operation,
                "E-XML-COUNT",
                format!(
                    "an element of the answer has over {} attributes",
                    limits.attributes
                ),
            ));
        }
        let attribute = attribute.map_err(|_| broken())?;
        let name = attribute.key.into_inner();
        let local = match name.split_once(':') {
            Some(("xmlns" | "xml" | "xsi", _)) => continue,
            Some((_, local)) => local,
            None if name == "xmlns" => continue,
            None => name,
        };
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| broken())?;
        found.push((local.to_owned(), value.into_owned()));
    }
    Ok(found)
}

impl Tokens<'_> {
    /// The attributes of `tag`; see [`attributes`].
    pub(in crate::remote) fn attributes(&self, tag: &Tag<'_>) -> Result<Vec<(String, String)>> {
        attributes(tag, self.operation, self.not_xml(), self.limits())
    }
}
