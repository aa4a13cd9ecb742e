//! Identities of records on each side, and digests.

use std::fmt;

/// The id that the remote service gave a record (`entityId`, a custId, a customerID). Opaque text: leading zeros count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteId(pub String);

/// The value of the key column that names a row for good.
///
/// The order of keys is the order of their [`LocalKey::to_bytes`]: integers by value, before texts by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LocalKey {
    /// An integer key.
    Int(i64),
    /// Any other key, as text.
    Text(String),
}

impl LocalKey {
    /// An encoding whose byte order is the order of the keys; [`LocalKey::from_bytes`] reads it back.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Int(value) => {
                let mut bytes = Vec::with_capacity(9);
                bytes.push(1);
                bytes.extend_from_slice(&((*value as u64) ^ (1 << 63)).to_be_bytes());
                bytes
            }
            Self::Text(value) => {
                let mut bytes = Vec::with_capacity(value.len() + 1);
                bytes.push(2);
                bytes.extend_from_slice(value.as_bytes());
                bytes
            }
        }
    }

    /// Reads what [`LocalKey::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (1, rest) => Some(Self::Int(
                (u64::from_be_bytes(rest.try_into().ok()?) ^ (1 << 63)) as i64,
            )),
            (2, rest) => Some(Self::Text(std::str::from_utf8(rest).ok()?.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A keyed 64-bit hash of a canonical value, a row or a document: equal digests mean equal content.
///
/// It is keyed with the bridge's state key, so that a stolen state does not tell which birth date it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integer_keys_keep_their_order_as_bytes(a: i64, b: i64) {
            prop_assert_eq!(a.cmp(&b), LocalKey::Int(a).to_bytes().cmp(&LocalKey::Int(b).to_bytes()));
        }

        #[test]
        fn keys_come_back_from_their_bytes(number: i64, text: String) {
            for key in [LocalKey::Int(number), LocalKey::Text(text)] {
                prop_assert_eq!(LocalKey::from_bytes(&key.to_bytes()), Some(key));
            }
        }
    }
}
