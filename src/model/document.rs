//! The one shape between wire and mapping: names, texts, lists, in the service's own vocabulary.

use std::borrow::Cow;

/// A name in a document. Names that a service's description lists are borrowed, so that decoding copies none of them.
pub type Name = Cow<'static, str>;

/// What stands under a name. A name that is not in the document is *absent*; an empty [`Node::Text`] is *empty*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A scalar, as the service wrote it.
    Text(String),
    /// A nested record.
    Record(Document),
    /// The items of a list, without their wrapper element.
    List(Vec<Document>),
}

/// A record in its service's own words; the order of names is the order of the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    entries: Vec<(Name, Node)>,
    /// What is absent is empty, whatever absence means to the service.
    whole: bool,
}

impl Document {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty document with room for `count` names.
    pub fn with_capacity(count: usize) -> Self {
        Self {
            entries: Vec::with_capacity(count),
            whole: false,
        }
    }

    /// From now on, what is absent is empty: there is nothing that it could leave as it stood.
    pub fn make_whole(&mut self) {
        self.whole = true;
    }

    /// See [`Document::make_whole`].
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// What stands under `name`; `None` when the name is absent.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    }

    /// As [`Document::get`], to be changed in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    }

    /// The text under `name`: `None` when absent or not a text, `Some("")` when empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The items under `name`; empty when absent or not a list.
    pub fn list(&self, name: &str) -> &[Document] {
        match self.get(name) {
            Some(Node::List(items)) => items,
            _ => &[],
        }
    }

    /// Puts `node` under `name`, in the place of what stood there, else at the end.
    pub fn set(&mut self, name: impl Into<Name>, node: Node) {
        let name = name.into();
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = node,
            None => self.entries.push((name, node)),
        }
    }

    /// Appends without looking whether the name is there already: for decoders that have checked.
    pub fn push(&mut self, name: impl Into<Name>, node: Node) {
        self.entries.push((name.into(), node));
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Node> {
        let at = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.remove(at).1)
    }

    /// All names with what stands under them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries
            .iter()
            .map(|(name, node)| (name.as_ref(), node))
    }

    /// Whether no name is present.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
