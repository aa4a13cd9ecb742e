//! What waits for a person or for proof: intents, reviews, quarantine, tombstones, and settled conflicts.
//!
//! Values of records stand in here only as sealed bytes. These records are few, so they are JSON with a format number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{Digest, LocalKey, RemoteId, Stamp};

use super::Side;

/// What an intent is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentKind {
    /// A contact that does not exist yet.
    Create,
    /// A linked contact.
    Update,
    /// A deletion of a linked contact.
    Delete,
    /// A row, for a contact that was read: `sent` is what the contact showed and the row is to show.
    Row,
}

/// A write, announced durably before it is made and removed when its outcome is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Format number.
    pub format: u8,
    /// What it is.
    pub kind: IntentKind,
    /// The row that it comes from.
    #[serde(with = "key_text")]
    pub local: LocalKey,
    /// The contact, for updates and deletions (and for a create that restores a deleted one).
    #[serde(with = "id_text")]
    pub remote: Option<RemoteId>,
    /// What it is sent under, sealed: External ID, else e-mail. For a create it is the reserved identity.
    pub identity: Option<SealedIdentity>,
    /// Per field: digest of what was sent; `None` for fields that this write does not change.
    #[serde(with = "digests")]
    pub sent: Vec<Option<Digest>>,
    /// Per field: what the remote showed before.
    #[serde(with = "digests")]
    pub before: Vec<Option<Digest>>,
    /// Per field: what the row showed; becomes its base once the push is confirmed.
    #[serde(with = "digests")]
    pub local_after: Vec<Option<Digest>>,
    /// Per field that is not sent itself: what the contact shows of it once the write has landed, because it is made of what is
    /// sent (a template). Such a change is our own: no edit that would win against a deletion.
    #[serde(with = "digests", default, skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<Option<Digest>>,
    /// The values that were sent, sealed: whether the service only reshaped one (cut, trimmed, re-cased) can be told from its text
    /// alone, also by the run after a kill. Empty for writes that send none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<u8>,
    /// Per child rule whose rows this write settles, digests of the key cells of the parts that they are to stand for (rows only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Option<Vec<u64>>>,
    /// The mapping's version that these lists belong to.
    pub mapping: u16,
    /// The epoch of the run that announced it.
    pub epoch: u64,
    /// When it was announced, by our clock.
    pub at: DateTime<Utc>,
    /// Times that it was sent and not found afterwards.
    pub tries: u8,
}

impl Intent {
    /// What the contact shows of a field after the push, if nobody edits it. `None`: not known.
    pub fn stood(&self, field: usize) -> Option<Digest> {
        let of = |digests: &[Option<Digest>]| digests.get(field).copied().flatten();
        of(&self.sent)
            .or_else(|| of(&self.follows))
            .or_else(|| of(&self.before))
    }
}

/// The identity that a contact was sent under; sealed, because an e-mail address is a person's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedIdentity {
    /// Whether it is an External ID (else an e-mail address).
    pub external: bool,
    /// Sealed text.
    pub sealed: Vec<u8>,
}

/// Why a record waits in review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewKind {
    /// Fields that both sides changed.
    Conflict,
    /// A newcomer that matches not one to one.
    Match,
    /// A deletion under `deletes: review`.
    Delete,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// This side's values (or its deletion) stand.
    Take(Side),
    /// The newcomer is that contact.
    Link(String),
    /// The newcomer is a person of its own.
    Separate,
}

/// Something that waits for a person, or was settled by a policy and is kept for 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Format number.
    pub format: u8,
    /// What kind of question it is.
    pub kind: ReviewKind,
    /// The row, where one is known.
    #[serde(with = "key_option")]
    pub local: Option<LocalKey>,
    /// The contact, where one is known.
    #[serde(with = "id_text")]
    pub remote: Option<RemoteId>,
    /// Which side the newcomer or the deletion is on.
    pub side: Option<Side>,
    /// The fields in question, by column.
    pub fields: Vec<String>,
    /// The others that answer to the same match, as keys or ids.
    pub candidates: Vec<String>,
    /// A stable code and a sentence without values.
    pub code: String,
    /// See `code`.
    pub reason: String,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// Digest of what was seen, so that the same question is not asked anew.
    pub content: u64,
    /// Sealed [`Values`].
    pub sealed: Vec<u8>,
    /// What a person decided; carried out by the next run.
    pub decision: Option<Decision>,
    /// When a policy settled it, and which side won; such records live in their own table.
    pub settled: Option<(DateTime<Utc>, Option<Side>)>,
}

/// The values in question, sealed in the store and shown by `review show` and `quarantine show` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// Column, value of the database, value of the remote.
    pub fields: Vec<(String, Option<String>, Option<String>)>,
    /// The raw answer, where a record could not be decoded.
    pub raw: Option<String>,
}

/// A record that can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Format number.
    pub format: u8,
    /// The side that the record was read from.
    pub side: Side,
    /// The row, where one is known.
    #[serde(with = "key_option")]
    pub local: Option<LocalKey>,
    /// The contact, where one is known.
    #[serde(with = "id_text")]
    pub remote: Option<RemoteId>,
    /// A stable code.
    pub code: String,
    /// What is wrong and what to do, without values.
    pub reason: String,
    /// The fields concerned, by column; empty when it is the whole record.
    pub fields: Vec<String>,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// How often it was tried.
    pub tries: u32,
    /// Digest of what was seen, so that it is left alone until it changes.
    pub content: u64,
    /// Sealed [`Values`].
    pub sealed: Vec<u8>,
    /// A person asked to leave the record alone until it changes.
    pub discarded: bool,
    /// The contact was deleted, and its row can't follow. A queue says so once, so it is remembered here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A record that died; keeps a stale page or a replay from bringing it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tomb {
    /// Format number.
    pub format: u8,
    /// The row that it was linked to.
    #[serde(with = "key_text")]
    pub local: LocalKey,
    /// Digest of the record's mapped content when it was last seen alive.
    pub content: u64,
    /// Its time when it was last seen.
    pub stamp: Option<chrono::NaiveDateTime>,
    /// When it was buried, by our clock.
    pub at: DateTime<Utc>,
    /// Per child rule, digests of the key cells of the parts that rows stand for: they stay beside a row that is only marked, and
    /// what has vanished since goes when it is revived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Vec<u64>>,
    /// The version of the mapping that `parts` belong to.
    #[serde(default)]
    pub mapping: u16,
}

impl Tomb {
    /// Whether a record with this content and time is the dead one, seen on a stale page.
    pub fn covers(&self, content: u64, stamp: Option<Stamp>) -> bool {
        content == self.content
            || matches!((stamp, self.stamp), (Some(seen), Some(dead)) if seen.0 <= dead)
    }
}

mod key_text {
    use super::LocalKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(key: &LocalKey, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            LocalKey::Int(value) => value.serialize(serializer),
            LocalKey::Text(value) => value.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LocalKey, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Int(i64),
            Text(String),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Int(value) => LocalKey::Int(value),
            Either::Text(value) => LocalKey::Text(value),
        })
    }
}

mod key_option {
    use super::LocalKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super::key_text")] LocalKey);

    pub fn serialize<S: Serializer>(
        key: &Option<LocalKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        key.clone().map(Wrapped).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<LocalKey>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

mod id_text {
    use super::RemoteId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        id: &Option<RemoteId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.as_ref().map(|id| &id.0).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<RemoteId>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(RemoteId))
    }
}

mod digests {
    use super::Digest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        digests: &[Option<Digest>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        digests
            .iter()
            .map(|digest| digest.map(|digest| digest.0))
            .collect::<Vec<_>>()
            .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Option<Digest>>, D::Error> {
        Ok(Vec::<Option<u64>>::deserialize(deserializer)?
            .into_iter()
            .map(|digest| digest.map(Digest))
            .collect())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tests may read the clock.
mod tests {
    use super::*;

    #[test]
    fn h39_a_stale_page_does_not_bring_the_dead_back() {
        let at = |second| {
            chrono::NaiveDate::from_ymd_opt(2026, 3, 1)
                .unwrap()
                .and_hms_opt(10, 0, second)
                .unwrap()
        };
        let tomb = Tomb {
            format: 1,
            local: LocalKey::Int(1),
            content: 7,
            stamp: Some(at(30)),
            at: Utc::now(),
            parts: Vec::new(),
            mapping: 1,
        };
        assert!(tomb.covers(7, Some(Stamp(at(59)))), "same content");
        assert!(tomb.covers(8, Some(Stamp(at(30)))), "not newer");
        assert!(!tomb.covers(8, Some(Stamp(at(31)))), "really made again");
        assert!(!tomb.covers(8, None));
    }

    #[test]
    fn keys_keep_their_kind_through_json() {
        for key in [LocalKey::Int(7), LocalKey::Text("7".into())] {
            let tomb = Tomb {
                format: 1,
                local: key.clone(),
                content: 0,
                stamp: None,
                at: Utc::now(),
                parts: Vec::new(),
                mapping: 1,
            };
            let text = serde_json::to_string(&tomb).unwrap();
            assert_eq!(serde_json::from_str::<Tomb>(&text).unwrap().local, key);
        }
    }
}
