//! The link: one customer's two identities and, per side and field, a digest of what that side showed at the last agreement.
//!
//! A link holds no value of a record. It is written for every customer, so its encoding is compact and hand-made;
//! the format number at its head lets a later version read it.

use chrono::DateTime;

use crate::model::{Digest, Error, LocalKey, RemoteId, Result, Stamp};

const FORMAT: u8 = 1;

/// A side of a bridge.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The CRM.
    Remote,
    /// The database.
    Local,
}

/// What both sides showed of one field at their last agreement; `None` where they never agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// What the database showed.
    pub local: Digest,
    /// What the remote showed.
    pub remote: Digest,
}

/// What is remembered of one child table of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildBase {
    /// Digest of all parts as the remote showed them.
    pub content: Digest,
    /// Digests of the key cells of the parts that rows stand for.
    pub keys: Vec<Digest>,
}

/// One customer on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The remote's id; also the key in the store.
    pub remote: RemoteId,
    /// The row's key.
    pub local: LocalKey,
    /// Digest of the row as it stood at the last agreement, or as it was last looked at without anything to do.
    pub row: Digest,
    /// The record's own time at the last agreement.
    pub stamp: Option<Stamp>,
    /// That time was made by our own write, so it says nothing about an edit.
    pub own_stamp: bool,
    /// The row drifted from a field that only the remote may change; settled at the next full read.
    pub drifted: bool,
    /// A deletion on this side was seen and is to be ignored (`deletes: ignore`) or waits in review.
    pub gone: Option<Side>,
    /// Pushes of this record in a row that the remote took without effect.
    pub misses: u8,
    /// The two were a pair before, as the database has recorded: what never agreed is an edit of one of them, no first meeting.
    pub met: bool,
    /// The version of the mapping that `bases` and `children` belong to.
    pub mapping: u16,
    /// Digest of the External ID on the contact.
    pub external: Option<Digest>,
    /// Digest of the e-mail key of the contact.
    pub email: Option<Digest>,
    /// One per field of the mapping.
    pub bases: Vec<Option<Base>>,
    /// One per child rule.
    pub children: Vec<ChildBase>,
}

impl Link {
    /// A link that knows nothing but whose it is, of no mapping yet.
    pub fn bare(remote: RemoteId, local: LocalKey) -> Self {
        Self {
            remote,
            local,
            row: Digest::default(),
            stamp: None,
            own_stamp: false,
            drifted: false,
            gone: None,
            misses: 0,
            met: false,
            mapping: 0,
            external: None,
            email: None,
            bases: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The value under which the link is stored, by its remote id.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.bases.len() * 9);
        out.push(FORMAT);
        let local = self.local.to_bytes();
        out.extend_from_slice(&(local.len() as u16).to_le_bytes());
        out.extend_from_slice(&local);
        put_digest(&mut out, self.row);
        let flags = u8::from(self.own_stamp)
            | u8::from(self.drifted) << 1
            | match self.gone {
                None => 0,
                Some(Side::Remote) => 1 << 2,
                Some(Side::Local) => 2 << 2,
            }
            | u8::from(self.stamp.is_some()) << 4
            | u8::from(self.external.is_some()) << 5
            | u8::from(self.email.is_some()) << 6
            | u8::from(self.met) << 7;
        out.push(flags);
        out.push(self.misses);
        out.extend_from_slice(&self.mapping.to_le_bytes());
        if let Some(stamp) = self.stamp {
            out.extend_from_slice(&stamp.0.and_utc().timestamp_micros().to_le_bytes());
        }
        for digest in [self.external, self.email].into_iter().flatten() {
            put_digest(&mut out, digest);
        }
        out.extend_from_slice(&(self.bases.len() as u16).to_le_bytes());
        for base in &self.bases {
            match base {
                None => out.push(0),
                // The usual case: both sides showed the same canonical value.
                Some(base) if base.local == base.remote => {
                    out.push(1);
                    put_digest(&mut out, base.local);
                }
                Some(base) => {
                    out.push(2);
                    put_digest(&mut out, base.local);
                    put_digest(&mut out, base.remote);
                }
            }
        }
        out.push(self.children.len() as u8);
        for child in &self.children {
            put_digest(&mut out, child.content);
            out.extend_from_slice(&(child.keys.len() as u16).to_le_bytes());
            for key in &child.keys {
                put_digest(&mut out, *key);
            }
        }
        out
    }

    /// Reads what [`Link::encode`] wrote. `E-STATE-CORRUPT` or `E-STATE-NEWER` otherwise.
    pub fn decode(remote: &[u8], bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return Err(Error::needs_person(
                "E-STATE-NEWER",
                "A link was written by a newer version; run that version",
            ));
        }
        let length = reader.short()? as usize;
        let local = LocalKey::from_bytes(reader.take(length)?).ok_or_else(corrupt)?;
        let row = reader.digest()?;
        let flags = reader.byte()?;
        let misses = reader.byte()?;
        let mapping = reader.short()?;
        let stamp = if flags & 1 << 4 != 0 {
            let micros = i64::from_le_bytes(reader.array()?);
            Some(Stamp(
                DateTime::from_timestamp_micros(micros)
                    .ok_or_else(corrupt)?
                    .naive_utc(),
            ))
        } else {
            None
        };
        let external = if flags & 1 << 5 != 0 {
            Some(reader.digest()?)
        } else {
            None
        };
        let email = if flags & 1 << 6 != 0 {
            Some(reader.digest()?)
        } else {
            None
        };
        let mut bases = Vec::new();
        for _ in 0..reader.short()? {
            bases.push(match reader.byte()? {
                0 => None,
                1 => {
                    let both = reader.digest()?;
                    Some(Base {
                        local: both,
                        remote: both,
                    })
                }
                2 => Some(Base {
                    local: reader.digest()?,
                    remote: reader.digest()?,
                }),
                _ => return Err(corrupt()),
            });
        }
        let mut children = Vec::new();
        for _ in 0..reader.byte()? {
            let content = reader.digest()?;
            let mut keys = Vec::new();
            for _ in 0..reader.short()? {
                keys.push(reader.digest()?);
            }
            children.push(ChildBase { content, keys });
        }
        if !reader.0.is_empty() {
            return Err(corrupt());
        }
        Ok(Self {
            remote: RemoteId(
                std::str::from_utf8(remote)
                    .map_err(|_| corrupt())?
                    .to_owned(),
            ),
            local,
            row,
            stamp,
            own_stamp: flags & 1 != 0,
            drifted: flags & 2 != 0,
            gone: match flags >> 2 & 3 {
                1 => Some(Side::Remote),
                2 => Some(Side::Local),
                _ => None,
            },
            misses,
            met: flags & 1 << 7 != 0,
            mapping,
            external,
            email,
            bases,
            children,
        })
    }
}

/// The value of the index by local key: the row's digest, then the remote id.
pub(crate) fn encode_by_local(row: Digest, remote: &RemoteId) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + remote.0.len());
    put_digest(&mut out, row);
    out.extend_from_slice(remote.0.as_bytes());
    out
}

/// Reads what [`encode_by_local`] wrote.
pub(crate) fn decode_by_local(bytes: &[u8]) -> Result<(Digest, RemoteId)> {
    let mut reader = Reader(bytes);
    let digest = reader.digest()?;
    Ok((
        digest,
        RemoteId(
            std::str::from_utf8(reader.0)
                .map_err(|_| corrupt())?
                .to_owned(),
        ),
    ))
}

fn put_digest(out: &mut Vec<u8>, digest: Digest) {
    out.extend_from_slice(&digest.0.to_le_bytes());
}

pub(crate) fn corrupt() -> Error {
    Error::needs_person(
        "E-STATE-CORRUPT",
        "A record of the state store can't be read (the file is kept). Run `contactbridge reseed BRIDGE --relink`",
    )
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(corrupt)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| corrupt())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn short(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn digest(&mut self) -> Result<Digest> {
        Ok(Digest(u64::from_le_bytes(self.array()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_base() -> impl Strategy<Value = Option<Base>> {
        prop_oneof![
            Just(None),
            any::<u64>().prop_map(|both| Some(Base {
                local: Digest(both),
                remote: Digest(both)
            })),
            any::<(u64, u64)>().prop_map(|(local, remote)| Some(Base {
                local: Digest(local),
                remote: Digest(remote)
            })),
        ]
    }

    proptest! {
        #[test]
        fn a_link_comes_back_as_it_was_written(
            remote in "[A-Za-z0-9_]{1,12}", number: i64, row: u64, micros in -60_000_000_000_000_000i64..250_000_000_000_000_000,
            flags: (bool, bool, bool, bool, bool), gone in 0usize..3, misses: u8, mapping: u16,
            bases in proptest::collection::vec(any_base(), 0..30),
            children in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u64>(), 0..5)), 0..3),
        ) {
            let link = Link {
                remote: RemoteId(remote),
                local: LocalKey::Int(number),
                row: Digest(row),
                stamp: flags.0.then(|| Stamp(DateTime::from_timestamp_micros(micros).unwrap().naive_utc())),
                own_stamp: flags.1,
                drifted: flags.2,
                gone: [None, Some(Side::Remote), Some(Side::Local)][gone],
                misses,
                met: row & 1 == 1,
                mapping,
                external: flags.3.then_some(Digest(row ^ 1)),
                email: flags.4.then_some(Digest(row ^ 2)),
                bases,
                children: children.into_iter().map(|(content, keys)| ChildBase { content: Digest(content), keys: keys.into_iter().map(Digest).collect() }).collect(),
            };
            let bytes = link.encode();
            prop_assert_eq!(&Link::decode(link.remote.0.as_bytes(), &bytes).unwrap(), &link);
            // No byte may be missing unnoticed.
            prop_assert!(Link::decode(link.remote.0.as_bytes(), &bytes[..bytes.len() - 1]).is_err());
        }
    }
}
