//! A description as a tree of elements, read strictly and under limits; small documents only.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use super::description::unreadable;
use crate::model::Result;

/// Elements of a description.
const ELEMENTS_MAX: usize = 50_000;
/// Nesting of a description; ours has ten levels.
const DEPTH_MAX: usize = 32;

/// An element with everything in it; names in attributes that refer to definitions are expanded.
#[derive(Debug, Default)]
pub(super) struct Tree {
    space: String,
    /// Its local name.
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    /// The elements in it.
    pub(super) children: Vec<Tree>,
}

impl Tree {
    pub(super) fn is(&self, space: &str, name: &str) -> bool {
        self.space == space && self.name == name
    }

    pub(super) fn below<'t>(
        &'t self,
        space: &'t str,
        name: &'t str,
    ) -> impl Iterator<Item = &'t Tree> {
        self.children
            .iter()
            .filter(move |child| child.is(space, name))
    }

    /// An attribute; empty where it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Reads a whole document, under limits.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Tree> = Vec::new();
        let mut elements = 0;
        loop {
            let event = reader.read_event().map_err(|_| {
                unreadable(format!(
                    "it is not well-formed at byte {}",
                    reader.buffer_position()
                ))
            })?;
            match event {
                Event::Start(start) => {
                    elements += 1;
                    if elements > ELEMENTS_MAX || open.len() >= DEPTH_MAX {
                        return Err(unreadable("it is too large or too deep"));
                    }
                    open.push(Self::start(&reader, &start)?);
                }
                Event::End(_) => {
                    let Some(done) = open.pop() else {
                        return Err(unreadable("it is not well-formed"));
                    };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => return Ok(done),
                    }
                }
                Event::DocType(_) => {
                    return Err(unreadable("it holds a DOCTYPE, which is refused"));
                }
                Event::Eof => return Err(unreadable("it breaks off, or is no XML")),
                _ => {}
            }
        }
    }

    fn start(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self> {
        let space = |result: ResolveResult<'_>| match result {
            ResolveResult::Bound(space) => space.into_inner().to_owned(),
            _ => String::new(),
        };
        let resolver = reader.resolver();
        let (bound, name) = resolver.resolve_element(start.name());
        let mut tree = Self {
            space: space(bound),
            name: name.into_inner().to_owned(),
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| unreadable("it is not well-formed"))?;
            let name = attribute.key.into_inner();
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|_| unreadable("it refers to an entity"))?;
            let value = if matches!(name, "type" | "element" | "message" | "ref") {
                let (bound, local) = resolver.resolve_element(QName(&value));
                format!("{{{}}}{}", space(bound), local.into_inner())
            } else {
                value.into_owned()
            };
            tree.attributes.push((name.to_owned(), value));
        }
        Ok(tree)
    }
}
