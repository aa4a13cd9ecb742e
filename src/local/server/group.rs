//! Which writes go to the server together.
//!
//! A group has writes of one kind, of which none can depend on what another does: no row, no remote id and no External ID
//! stands in it twice. Groups are written in order, so that what is one statement to the server has the outcomes of many.

use std::collections::HashSet;
use std::ops::Range;

use crate::local::{LinkRow, RowWrite};
use crate::model::LocalKey;

/// Writes in one group: a statement of that size costs what one of ten does, a larger one is only harder to halve.
pub(super) const GROUP_MAX: usize = 500;

/// What the writes of the current group name.
#[derive(Default)]
struct Named<'a> {
    keys: HashSet<&'a LocalKey>,
    remote: HashSet<&'a str>,
    external: HashSet<&'a str>,
}

impl<'a> Named<'a> {
    /// Adds what a write names; false where something of it is named already.
    fn take(&mut self, write: &'a RowWrite) -> bool {
        let mut fresh = true;
        let mut link = |named: &mut Self, link: &'a LinkRow| {
            if let Some(id) = &link.remote_id {
                fresh &= named.remote.insert(&id.0);
            }
            if let Some(id) = &link.external_id {
                fresh &= named.external.insert(id);
            }
        };
        match write {
            RowWrite::Insert {
                remote_id,
                external_id,
                ..
            } => {
                fresh &= self.remote.insert(&remote_id.0);
                if let Some(id) = external_id {
                    fresh &= self.external.insert(id);
                }
            }
            RowWrite::Update { key, link: of, .. } => {
                if let Some(of) = of {
                    link(self, of);
                }
                fresh &= self.keys.insert(key);
            }
            RowWrite::Link(of) => {
                link(self, of);
                fresh &= self.keys.insert(&of.key);
            }
            RowWrite::Delete { key, .. } | RowWrite::Unlink(key) => {
                fresh &= self.keys.insert(key);
            }
        }
        fresh
    }
}

/// The groups of `writes`, in order. `key_field`: the field whose change gives a row another key.
pub(super) fn groups(writes: &[RowWrite], key_field: Option<usize>) -> Vec<Range<usize>> {
    let moves = |write: &RowWrite| match write {
        RowWrite::Update { cells, .. } => cells.iter().any(|(at, _)| Some(*at) == key_field),
        _ => false,
    };
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut named = Named::default();
    for (at, write) in writes.iter().enumerate() {
        let joins = groups.last().is_some_and(|group| {
            group.len() < GROUP_MAX
                && std::mem::discriminant(&writes[group.start]) == std::mem::discriminant(write)
                && !moves(&writes[group.start])
                && !moves(write)
        });
        if joins && named.take(write) {
            if let Some(group) = groups.last_mut() {
                group.end = at + 1;
            }
            continue;
        }
        named = Named::default();
        named.take(write);
        groups.push(at..at + 1);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Digest, RemoteId};

    fn insert(remote: &str) -> RowWrite {
        RowWrite::Insert {
            cells: Vec::new(),
            children: Vec::new(),
            remote_id: RemoteId(remote.into()),
            external_id: None,
        }
    }

    fn update(key: i64, field: usize) -> RowWrite {
        RowWrite::Update {
            key: LocalKey::Int(key),
            expect: Digest(0),
            cells: vec![(field, Cell::Null)],
            children: Vec::new(),
            revive: false,
            link: None,
        }
    }

    #[test]
    fn writes_that_may_depend_on_each_other_are_kept_apart() {
        let link = |key, remote: &str| {
            RowWrite::Link(LinkRow {
                key: LocalKey::Int(key),
                external_id: Some(format!("E{key}")),
                remote_id: Some(RemoteId(remote.into())),
            })
        };
        let writes = [
            insert("1"),
            insert("2"),
            insert("1"),
            update(1, 0),
            update(2, 0),
            update(1, 0),
            update(3, 5),
            update(4, 0),
            link(1, "1"),
            link(2, "2"),
            link(3, "2"),
        ];
        assert_eq!(
            groups(&writes, Some(5)),
            [0..2, 2..3, 3..5, 5..6, 6..7, 7..8, 8..10, 10..11]
        );
        assert!(groups(&[], None).is_empty());
        let many: Vec<_> = (0..GROUP_MAX as i64 + 1)
            .map(|key| update(key, 0))
            .collect();
        assert_eq!(groups(&many, None).len(), 2);
    }
}
