//! Reading and writing through a resolved path.
//!
//! Reading takes the first item of a list that fits its selector; writing goes to that same item, and creates it with the
//! selector's value where it is missing. So what was put is what is got, and putting what was got changes nothing.

use crate::model::{Absence, Document, FieldProblem, Name, Node, Scalar, Shape};

/// A step that leads down to the record in which a path ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a nested record.
    Into(Name),
    /// Into the first item of a list whose `by` is `value`.
    Select { list: Name, by: Name, value: String },
}

/// A path to one value, resolved against a vocabulary's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScalarPath {
    steps: Vec<Step>,
    leaf: Name,
    scalar: Scalar,
}

/// A path to a list, with the shape of its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListPath {
    steps: Vec<Step>,
    leaf: Name,
    /// The shape of one item.
    pub(super) item: Shape,
}

fn descend<'d>(steps: &[Step], document: &'d Document) -> Option<&'d Document> {
    let mut here = document;
    for step in steps {
        here = match step {
            Step::Into(name) => match here.get(name)? {
                Node::Record(below) => below,
                _ => return None,
            },
            Step::Select { list, by, value } => items(here, list)
                .iter()
                .find(|item| item.text(by) == Some(value))?,
        };
    }
    Some(here)
}

impl ScalarPath {
    /// A path through `steps` to the value `leaf`.
    pub(super) fn new(steps: Vec<Step>, leaf: Name, scalar: Scalar) -> Self {
        Self {
            steps,
            leaf,
            scalar,
        }
    }

    /// What the vocabulary says about the value at the end.
    pub(super) fn scalar(&self) -> Scalar {
        self.scalar
    }

    /// The name with which the path begins.
    pub(super) fn top(&self) -> &str {
        top(&self.steps, &self.leaf)
    }

    /// The text at the end: `None` when it, or something on the way, is absent.
    pub(super) fn read<'d>(&self, document: &'d Document) -> Option<&'d str> {
        descend(&self.steps, document)?.text(&self.leaf)
    }

    /// Whether the document says nothing about this place: a name on the way is wholly absent. An item that a list does not
    /// hold is no such name; the list says that there is none.
    pub(super) fn is_silent(&self, document: &Document, absence: Absence) -> bool {
        silent(&self.steps, &self.leaf, document, absence)
    }

    /// Makes an empty text at the end, so that it is said that nothing stands there; whatever stood there goes. Items of lists are
    /// not made: the list without them says it.
    pub(super) fn lay_out(&self, document: &mut Document) {
        if let Some(here) = make_way(&self.steps, document) {
            here.set(self.leaf.clone(), Node::Text(String::new()));
        }
    }

    /// The one way to spell this path.
    pub(super) fn spelling(&self) -> String {
        spelled(&self.steps, &self.leaf)
    }

    /// Puts `text` at the end, and creates what is missing on the way.
    ///
    /// `Q-SHAPE` where the document holds something of another shape on the way; nothing is changed then.
    pub(super) fn write(&self, document: &mut Document, text: String) -> Result<(), FieldProblem> {
        self.check(document)?;
        let mut here = document;
        for step in &self.steps {
            here = match step {
                Step::Into(name) => {
                    if !matches!(here.get(name), Some(Node::Record(_))) {
                        here.set(name.clone(), Node::Record(Document::new()));
                    }
                    match here.get_mut(name) {
                        Some(Node::Record(below)) => below,
                        _ => return Err(other_shape()),
                    }
                }
                Step::Select { list, by, value } => {
                    if !matches!(here.get(list), Some(Node::List(_))) {
                        here.set(list.clone(), Node::List(Vec::new()));
                    }
                    let Some(Node::List(items)) = here.get_mut(list) else {
                        return Err(other_shape());
                    };
                    let at = items.iter().position(|item| item.text(by) == Some(value));
                    let at = at.unwrap_or_else(|| {
                        let mut item = Document::new();
                        item.push(by.clone(), Node::Text(value.clone()));
                        items.push(item);
                        items.len() - 1
                    });
                    items.get_mut(at).ok_or_else(other_shape)?
                }
            };
        }
        here.set(self.leaf.clone(), Node::Text(text));
        Ok(())
    }

    /// An empty text may stand in for an absent record or list; anything else of another shape is left alone.
    pub(super) fn check(&self, document: &Document) -> Result<(), FieldProblem> {
        let mut here = document;
        for step in &self.steps {
            let name = match step {
                Step::Into(name) | Step::Select { list: name, .. } => name,
            };
            here = match (here.get(name), step) {
                (None, _) => return Ok(()),
                (Some(Node::Text(text)), _) if text.is_empty() => return Ok(()),
                (Some(Node::Record(below)), Step::Into(_)) => below,
                (Some(Node::List(items)), Step::Select { by, value, .. }) => {
                    match items.iter().find(|item| item.text(by) == Some(value)) {
                        Some(item) => item,
                        None => return Ok(()),
                    }
                }
                _ => return Err(other_shape()),
            };
        }
        match here.get(&self.leaf) {
            None | Some(Node::Text(_)) => Ok(()),
            Some(_) => Err(other_shape()),
        }
    }
}

fn top<'p>(steps: &'p [Step], leaf: &'p str) -> &'p str {
    match steps.first() {
        Some(Step::Into(name) | Step::Select { list: name, .. }) => name,
        None => leaf,
    }
}

/// The items under a name. A record stands there as its only item: of a name that no vocabulary describes, a decoder can't
/// tell a list of one from a record.
fn items<'d>(document: &'d Document, name: &str) -> &'d [Document] {
    match document.get(name) {
        Some(Node::Record(only)) => std::slice::from_ref(only),
        _ => document.list(name),
    }
}

/// Whether the document says nothing of what stands at the end.
fn silent(steps: &[Step], leaf: &str, document: &Document, absence: Absence) -> bool {
    match absence {
        Absence::Empty => return false,
        Absence::SilentSections => return document.get(top(steps, leaf)).is_none(),
        Absence::SilentNames => {}
    }
    let mut here = document;
    for step in steps {
        here = match (step, step_name(step, here)) {
            (_, None) => return true,
            (Step::Into(_), Some(Node::Record(below))) => below,
            (Step::Select { by, value, .. }, Some(Node::List(items))) => {
                match items.iter().find(|item| item.text(by) == Some(value)) {
                    Some(item) => item,
                    None => return false,
                }
            }
            _ => return false,
        };
    }
    here.get(leaf).is_none()
}

fn step_name<'d>(step: &Step, here: &'d Document) -> Option<&'d Node> {
    match step {
        Step::Into(name) | Step::Select { list: name, .. } => here.get(name),
    }
}

/// Goes down, and makes the records and lists on the way, but no items: `None` where one is missing.
fn make_way<'d>(steps: &[Step], document: &'d mut Document) -> Option<&'d mut Document> {
    let mut here = document;
    for step in steps {
        here = match step {
            Step::Into(name) => {
                if !matches!(here.get(name), Some(Node::Record(_))) {
                    here.set(name.clone(), Node::Record(Document::new()));
                }
                match here.get_mut(name) {
                    Some(Node::Record(below)) => below,
                    _ => return None,
                }
            }
            Step::Select { list, by, value } => {
                if !matches!(here.get(list), Some(Node::List(_))) {
                    here.set(list.clone(), Node::List(Vec::new()));
                }
                match here.get_mut(list) {
                    Some(Node::List(items)) => {
                        items.iter_mut().find(|item| item.text(by) == Some(value))?
                    }
                    _ => return None,
                }
            }
        };
    }
    Some(here)
}

fn spelled(steps: &[Step], leaf: &str) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Into(name) => out.push_str(name),
            Step::Select { list, by, value } => out.push_str(&format!("{list}[{by}={value}]")),
        }
        out.push('.');
    }
    out.push_str(leaf);
    out
}

impl ListPath {
    /// A path through `steps` to the list `leaf`.
    pub(super) fn new(steps: Vec<Step>, leaf: Name, item: Shape) -> Self {
        Self { steps, leaf, item }
    }

    /// The one way to spell this path.
    pub(super) fn spelling(&self) -> String {
        spelled(&self.steps, &self.leaf)
    }

    /// The name with which the path begins.
    pub(super) fn top(&self) -> &str {
        top(&self.steps, &self.leaf)
    }

    /// As [`ScalarPath::is_silent`].
    pub(super) fn is_silent(&self, document: &Document, absence: Absence) -> bool {
        silent(&self.steps, &self.leaf, document, absence)
    }

    /// Puts these items there; nothing where the item that would hold the list is missing.
    pub(super) fn put(&self, items: Vec<Document>, document: &mut Document) {
        if let Some(here) = make_way(&self.steps, document) {
            here.set(self.leaf.clone(), Node::List(items));
        }
    }

    /// `Q-SHAPE` where something else than a list stands there.
    pub(super) fn check(&self, document: &Document) -> Result<(), FieldProblem> {
        match descend(&self.steps, document).and_then(|here| here.get(&self.leaf)) {
            None | Some(Node::List(_)) => Ok(()),
            Some(Node::Text(text)) if text.is_empty() => Ok(()),
            Some(_) => Err(other_shape()),
        }
    }

    /// The items; none when the list, or something on the way, is absent.
    pub(super) fn items<'d>(&self, document: &'d Document) -> &'d [Document] {
        descend(&self.steps, document).map_or(&[], |here| items(here, &self.leaf))
    }
}

fn other_shape() -> FieldProblem {
    FieldProblem {
        code: "Q-SHAPE",
        reason: "the record holds something of another shape there".to_owned(),
    }
}
