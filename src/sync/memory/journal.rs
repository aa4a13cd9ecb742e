//! The journal of a queue: which records are to be read again, kept until they are applied or held and the service has
//! been told (reliability, hazards H-50 to H-53).
//!
//! It shares the inbox with the marks of records to be looked at again; its keys come before theirs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Memory, RANGE, corrupt, parse, put_json};
use crate::model::{RemoteId, Result};
use crate::remote::{Queued, Scope};
use crate::state::{Batch, StateStore, Table};

/// Keys of the journal begin with this.
const PREFIX: u8 = b'j';

/// The marks of the inbox come after every key of the journal.
pub(super) const AFTER_JOURNAL: &[u8] = &[PREFIX + 1];

/// A record that the queue named, or that is read again for a reason of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What the queue said of it, as [`Queued::mark`]; 0 when it was no queue.
    #[serde(rename = "m")]
    pub mark: u64,
    /// The sections that changed; `None`: everything is to be read.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<BTreeSet<String>>,
    /// A reason says that the record was deleted.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// It is applied or held; kept so that a run after a kill does not read it again before the queue was purged.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

impl Entry {
    /// An entry for a record that is to be read whole, whatever the queue says.
    pub fn whole() -> Self {
        Self {
            mark: 0,
            sections: None,
            deleted: false,
            done: false,
        }
    }

    /// What a reading of the queue makes of what is known; `None` where that tells nothing new.
    pub fn read(known: Option<&Self>, queued: &Queued) -> Option<Self> {
        let read = Self {
            mark: queued.mark,
            sections: match &queued.scope {
                Scope::Whole => None,
                Scope::Sections(names) => Some(names.clone()),
            },
            deleted: queued.deleted,
            done: false,
        };
        let Some(known) = known else {
            return Some(read);
        };
        if known.mark == read.mark {
            return None;
        }
        if known.done {
            return Some(read);
        }
        Some(Self {
            sections: match (known.sections.clone(), read.sections) {
                (Some(mut known), Some(read)) => {
                    known.extend(read);
                    Some(known)
                }
                _ => None,
            },
            deleted: known.deleted || read.deleted,
            ..read
        })
    }
}

fn key(id: &RemoteId) -> Vec<u8> {
    [&[PREFIX], id.0.as_bytes()].concat()
}

/// Puts an entry.
pub fn put_entry(batch: &mut Batch, id: &RemoteId, entry: &Entry) {
    put_json(batch, Table::Inbox, key(id), entry);
}

/// Takes an entry out.
pub fn remove_entry(batch: &mut Batch, id: &RemoteId) {
    batch.remove(Table::Inbox, key(id));
}

impl<S: StateStore> Memory<'_, S> {
    /// Entries by id, in the order asked for.
    pub async fn entries(&self, ids: &[RemoteId]) -> Result<Vec<Option<Entry>>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(key).collect();
        let values = self.store.get_many(Table::Inbox, &keys).await?;
        values
            .into_iter()
            .map(|value| value.map(|value| parse(&value)).transpose())
            .collect()
    }

    /// The next entries in the order of their ids' bytes; empty at the end of the journal.
    pub async fn entries_after(&self, after: Option<&RemoteId>) -> Result<Vec<(RemoteId, Entry)>> {
        let after = after.map_or_else(|| vec![PREFIX], key);
        let pairs = self.store.range(Table::Inbox, Some(&after), RANGE).await?;
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(id) = key.strip_prefix(&[PREFIX]) else {
                break;
            };
            let id = std::str::from_utf8(id).map_err(|_| corrupt())?.to_owned();
            entries.push((RemoteId(id), parse(&value)?));
        }
        Ok(entries)
    }

    /// How many entries are still to be worked off.
    pub async fn journalled(&self) -> Result<u64> {
        let (mut count, mut after) = (0, None);
        loop {
            let entries = self.entries_after(after.as_ref()).await?;
            let Some((last, _)) = entries.last() else {
                return Ok(count);
            };
            after = Some(last.clone());
            count += entries.iter().filter(|(_, entry)| !entry.done).count() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(mark: u64, sections: Option<&[&str]>) -> Queued {
        Queued {
            id: RemoteId("1".into()),
            scope: match sections {
                None => Scope::Whole,
                Some(names) => {
                    Scope::Sections(names.iter().map(|name| (*name).to_owned()).collect())
                }
            },
            deleted: false,
            mark,
        }
    }

    fn entry(mark: u64, sections: Option<&[&str]>) -> Entry {
        Entry::read(None, &queued(mark, sections)).unwrap()
    }

    #[test]
    fn readings_of_one_record_add_up_until_it_is_done() {
        let known = entry(1, Some(&["emails"]));
        assert_eq!(Entry::read(Some(&known), &queued(1, None)), None);
        let more = Entry::read(Some(&known), &queued(2, Some(&["phones"]))).unwrap();
        assert_eq!(more, entry(2, Some(&["emails", "phones"])));
        let whole = Entry::read(Some(&known), &queued(2, None)).unwrap();
        assert_eq!(whole.sections, None);

        let done = Entry {
            done: true,
            ..known.clone()
        };
        assert_eq!(Entry::read(Some(&done), &queued(1, None)), None);
        // What was read of it before its new reasons is settled.
        assert_eq!(
            Entry::read(Some(&done), &queued(2, Some(&["phones"]))).unwrap(),
            entry(2, Some(&["phones"]))
        );
    }

    #[test]
    fn a_record_of_our_own_is_read_whole_whatever_the_queue_adds() {
        let added = Entry::read(Some(&Entry::whole()), &queued(7, Some(&["phones"]))).unwrap();
        assert_eq!((added.sections, added.mark), (None, 7));
    }

    #[test]
    fn an_entry_is_short_and_comes_back() {
        let entry = entry(7, Some(&["emails"]));
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(text, r#"{"m":7,"s":["emails"]}"#);
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        assert_eq!(
            serde_json::to_string(&Entry::whole()).unwrap(),
            r#"{"m":0}"#
        );
    }
}
