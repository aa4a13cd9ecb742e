//! A record as one side shows it, in canonical space, with the digests that it is compared by.
//!
//! Building a view is pure. Nothing here decides what a difference means.

use crate::local::Row;
use crate::mapping::{Mapping, Role, email_key};
use crate::model::{
    Canonical, Cell, Digest, Document, FieldProblem, LocalKey, RemoteId, RemoteRecord, Stamp, Vault,
};

/// The parts of one child rule, as the remote shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildView {
    /// Digest over all parts.
    pub content: Digest,
    /// Digest of the key cells, and the cells, of each part.
    pub parts: Vec<(Digest, Vec<Cell>)>,
}

/// A contact.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteView {
    /// The service's id.
    pub id: RemoteId,
    /// Its own time.
    pub stamp: Option<Stamp>,
    /// Marked as deleted.
    pub deleted: bool,
    /// One per field; `Err` where it can't be read.
    pub values: Vec<Result<Canonical, FieldProblem>>,
    /// One per field; of no meaning where the value can't be read.
    pub digests: Vec<Digest>,
    /// One per child rule; `None` where the section says nothing or can't be read.
    pub children: Vec<Option<ChildView>>,
    /// What is wrong with child rules, by index.
    pub child_problems: Vec<(usize, FieldProblem)>,
    /// Digest of the External ID, where there is one.
    pub external: Option<Digest>,
    /// Digest of the e-mail key, where there is a valid address.
    pub email: Option<Digest>,
    /// Digest over everything mapped.
    pub content: Digest,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalView {
    /// The row's key.
    pub key: LocalKey,
    /// One per field; `Err` where it can't be read.
    pub values: Vec<Result<Canonical, FieldProblem>>,
    /// One per field; of no meaning where the value can't be read.
    pub digests: Vec<Digest>,
    /// The row's own digest, for the check under the lock.
    pub row: Digest,
    /// When it was last changed, where known.
    pub changed_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Marked as deleted.
    pub marked: bool,
    /// Digest of the External ID, where there is one.
    pub external: Option<Digest>,
    /// Digest of the e-mail key, where there is a valid address.
    pub email: Option<Digest>,
}

/// The digest of one canonical value of one field.
pub fn field_digest(vault: &Vault, fingerprint: u64, value: &Canonical) -> Digest {
    digest_in(&mut Vec::new(), vault, fingerprint, value)
}

/// The same with a buffer that is used again: a record has many fields.
fn digest_in(buffer: &mut Vec<u8>, vault: &Vault, fingerprint: u64, value: &Canonical) -> Digest {
    buffer.clear();
    buffer.extend_from_slice(&fingerprint.to_le_bytes());
    match value {
        None => buffer.push(0),
        Some(text) => {
            buffer.push(1);
            buffer.extend_from_slice(text.as_bytes());
        }
    }
    vault.keyed(buffer)
}

/// The digest of an External ID, wherever it was read.
pub fn external_digest(vault: &Vault, text: &str) -> Digest {
    vault.digest("external", text.as_bytes())
}

/// The digest of an e-mail key; `None` for a text that is no address (hazard H-45).
pub fn email_digest(vault: &Vault, text: &str) -> Option<Digest> {
    email_key(text)
        .ok()
        .map(|key| vault.digest("email", key.as_bytes()))
}

/// Reads a contact through the mapping.
pub fn remote_view(
    vault: &Vault,
    mapping: &Mapping,
    record: &RemoteRecord,
    external: Option<&str>,
    email: Option<&str>,
) -> RemoteView {
    let values = mapping.from_remote(&record.document);
    let digests = digests_of(vault, mapping, &values, None);
    let mut child_problems = Vec::new();
    let children = mapping
        .children_from_remote(&record.document)
        .into_iter()
        .enumerate()
        .map(|(rule, parts)| match parts {
            Ok(parts) => {
                parts.map(|parts| child_view(vault, &mapping.layout.children[rule].key, &parts))
            }
            Err(problem) => {
                child_problems.push((rule, problem));
                None
            }
        })
        .collect::<Vec<_>>();
    let (by_external, by_email) = identity_digests(vault, external, email);
    let mut view = RemoteView {
        id: record.id.clone(),
        stamp: record.stamp,
        deleted: record.deleted,
        digests,
        children,
        child_problems,
        external: by_external,
        email: by_email,
        content: Digest::default(),
        values,
    };
    view.content = content_digest(vault, &view);
    view
}

/// The contact as its document would show it, were what is absent there empty ([`Document::is_whole`]).
pub fn whole_view(vault: &Vault, mapping: &Mapping, mut view: RemoteView) -> RemoteView {
    for (field, value) in view.values.iter_mut().enumerate() {
        if value.as_ref().is_err_and(FieldProblem::is_silence) {
            let fingerprint = mapping.fields[field].fingerprint;
            view.digests[field] = field_digest(vault, fingerprint, &None);
            *value = Ok(None);
        }
    }
    for (rule, child) in view.children.iter_mut().enumerate() {
        let is_unreadable = view.child_problems.iter().any(|(of, _)| *of == rule);
        if child.is_none() && !is_unreadable {
            *child = Some(child_view(vault, &mapping.layout.children[rule].key, &[]));
        }
    }
    view.content = content_digest(vault, &view);
    view
}

fn content_digest(vault: &Vault, view: &RemoteView) -> Digest {
    let mut hasher = vault.hasher();
    hasher.update(&[u8::from(view.deleted)]);
    for (value, digest) in view.values.iter().zip(&view.digests) {
        match value {
            Ok(_) => hasher.update(&[1]).update(&digest.0.to_le_bytes()),
            Err(problem) => hasher.update(&[2]).update(problem.code.as_bytes()),
        };
    }
    for child in &view.children {
        let content = child.as_ref().map_or(0, |child| child.content.0);
        hasher.update(&content.to_le_bytes());
    }
    Vault::finish(&hasher)
}

/// The digests that a contact's External ID and e-mail address are found by.
pub fn identity_digests(
    vault: &Vault,
    external: Option<&str>,
    email: Option<&str>,
) -> (Option<Digest>, Option<Digest>) {
    let external = external
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| external_digest(vault, text));
    (external, email.and_then(|text| email_digest(vault, text)))
}

/// Reads a row through the mapping.
pub fn local_view(vault: &Vault, mapping: &Mapping, row: &Row) -> LocalView {
    local_view_beside(vault, mapping, row, None)
}

/// Reads a row that was just written from `shown`: a field that is the same in both has the same digest, which need not be
/// computed twice.
pub fn local_view_beside(
    vault: &Vault,
    mapping: &Mapping,
    row: &Row,
    shown: Option<&RemoteView>,
) -> LocalView {
    let values = mapping.from_local(&row.cells);
    let digests = digests_of(vault, mapping, &values, shown);
    let of_role = |role: Role| {
        mapping
            .fields
            .iter()
            .position(|field| field.role == role)
            .and_then(|index| match &values[index] {
                Ok(Some(text)) => Some(text.as_str()),
                _ => None,
            })
    };
    LocalView {
        key: row.key.clone(),
        external: of_role(Role::ExternalId).map(|text| external_digest(vault, text.trim())),
        email: of_role(Role::Email).and_then(|text| email_digest(vault, text)),
        row: row.digest,
        changed_at: row.changed_at,
        marked: row.marked,
        digests,
        values,
    }
}

impl LocalView {
    /// The canonical value of a field; `None` also where it can't be read.
    pub fn value(&self, field: usize) -> Option<&str> {
        self.values[field]
            .as_ref()
            .ok()
            .and_then(|value| value.as_deref())
    }
}

impl RemoteView {
    /// The canonical value of a field; `None` also where it can't be read.
    pub fn value(&self, field: usize) -> Option<&str> {
        self.values[field]
            .as_ref()
            .ok()
            .and_then(|value| value.as_deref())
    }
}

/// The External ID and the e-mail address of a document, by the vocabulary's paths; mirrors are read too.
pub fn identity_of<'d>(
    external: Option<&str>,
    email: Option<(&str, Option<&EmailMirror>)>,
    document: &'d Document,
) -> (Option<&'d str>, Option<&'d str>) {
    let external = external
        .and_then(|name| document.text(name))
        .filter(|text| !text.trim().is_empty());
    let email = email.and_then(|(name, mirror)| {
        document
            .text(name)
            .filter(|text| !text.trim().is_empty())
            .or_else(|| {
                let mirror = mirror?;
                document
                    .list(&mirror.list)
                    .iter()
                    .find(|item| item.text(&mirror.selector.0) == Some(&mirror.selector.1))
                    .and_then(|item| item.text(&mirror.leaf))
                    .filter(|text| !text.trim().is_empty())
            })
    });
    (external, email)
}

/// The second place of the e-mail address, taken apart once: `list[selector].leaf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailMirror {
    /// The list's name.
    pub list: String,
    /// Name and value that choose the item.
    pub selector: (String, String),
    /// The name in the item.
    pub leaf: String,
}

impl EmailMirror {
    /// Takes a path such as `phoneNos[phoneNoTypeID=7].phoneNo` apart.
    pub fn parse(path: &str) -> Option<Self> {
        let (list, rest) = path.split_once('[')?;
        let (selector, leaf) = rest.split_once("].")?;
        let (name, value) = selector.split_once('=')?;
        Some(Self {
            list: list.into(),
            selector: (name.into(), value.into()),
            leaf: leaf.into(),
        })
    }
}

fn child_view(vault: &Vault, key: &[usize], parts: &[crate::mapping::ChildPart]) -> ChildView {
    let part_digest = |cells: &[Cell]| {
        vault.part_digest(&key.iter().map(|&at| cells[at].clone()).collect::<Vec<_>>())
    };
    let mut rows: Vec<(Digest, Vec<Cell>)> = parts
        .iter()
        .map(|part| (part_digest(&part.cells), part.cells.clone()))
        .collect();
    // The order of parts on the wire means nothing (hazard H-47).
    rows.sort_by_key(|(key, _)| *key);
    let mut hasher = vault.hasher();
    for (key, cells) in &rows {
        hasher.update(&key.0.to_le_bytes());
        for cell in cells {
            hash_cell(&mut hasher, cell);
        }
    }
    ChildView {
        content: Vault::finish(&hasher),
        parts: rows,
    }
}

fn hash_cell(hasher: &mut blake3::Hasher, cell: &Cell) {
    match cell {
        Cell::Null => hasher.update(&[0]),
        Cell::Int(value) => hasher.update(&[1]).update(&value.to_le_bytes()),
        Cell::Real(value) => hasher.update(&[2]).update(&value.to_bits().to_le_bytes()),
        Cell::Text(value) => hasher
            .update(&[3])
            .update(&(value.len() as u64).to_le_bytes())
            .update(value.as_bytes()),
        Cell::Blob(value) => hasher
            .update(&[4])
            .update(&(value.len() as u64).to_le_bytes())
            .update(value),
    };
}

fn digests_of(
    vault: &Vault,
    mapping: &Mapping,
    values: &[Result<Canonical, FieldProblem>],
    shown: Option<&RemoteView>,
) -> Vec<Digest> {
    let mut buffer = Vec::new();
    mapping
        .fields
        .iter()
        .zip(values)
        .enumerate()
        .map(|(at, (field, value))| match (value, shown) {
            (Err(_), _) => Digest::default(),
            (Ok(_), Some(shown)) if shown.values[at] == *value => shown.digests[at],
            (Ok(value), _) => digest_in(&mut buffer, vault, field.fingerprint, value),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Node;
    use crate::remote::data_sync::Object;
    use proptest::prelude::*;

    const MAPPING: &str = "table: { name: t, key: id }\nfields:\n\
        \x20 - { column: no, remote: customerID, match: true }\n\
        \x20 - { column: name, remote: orgName }\n\
        \x20 - { column: since, remote: signupDate, type: date }\n\
        children:\n\
        \x20 - { table: s, from: affiliation, parent: t_id, key: [retailStoreID], fields: [{ column: store, remote: retailStoreID }] }\n";

    proptest! {
        #[test]
        fn a_view_made_whole_is_that_of_a_whole_document(
            name in proptest::option::of("[a-c]{0,2}"), since in proptest::option::of(prop_oneof!["2026-0[1-9]-01", "no date"]),
            stores in proptest::option::of(proptest::collection::vec("[a-c]{0,1}", 0..3)), deleted: bool,
        ) {
            let vault = Vault::new(&[3; 32]);
            let mapping = Mapping::load("m.yaml", MAPPING, &Object::Customer.vocabulary()).unwrap();
            let mut document = Document::new();
            document.set("customerID", Node::Text("1".to_owned()));
            for (at, text) in [("orgName", &name), ("signupDate", &since)] {
                if let Some(text) = text {
                    document.set(at, Node::Text(text.clone()));
                }
            }
            if let Some(stores) = &stores {
                let item = |store: &String| {
                    let mut item = Document::new();
                    item.set("retailStoreID", Node::Text(store.clone()));
                    item
                };
                document.set("affiliation", Node::List(stores.iter().map(item).collect()));
            }
            let view = |document: &Document| {
                let record = RemoteRecord { id: RemoteId("1".to_owned()), stamp: None, deleted, document: document.clone() };
                remote_view(&vault, &mapping, &record, None, None)
            };
            let made = whole_view(&vault, &mapping, view(&document));
            document.make_whole();
            prop_assert_eq!(made, view(&document));
        }
    }
}
