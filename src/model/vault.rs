//! The bridge's key: keyed digests for comparing, and sealing for what the state must keep of people's data.
//!
//! Pure computation; the key comes from the configuration or the key file, nonces from the [`super::World`].

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use super::{Cell, Digest, Error, Result};

/// Digests and seals with one state key (`state_key` of the user contract).
#[derive(Clone)]
pub struct Vault {
    digest_key: [u8; 32],
    cipher: XChaCha20Poly1305,
    fingerprint: [u8; 8],
}

impl Vault {
    /// Derives the keys for digests and for sealing from the 32-byte state key.
    pub fn new(state_key: &[u8; 32]) -> Self {
        let digest_key = blake3::derive_key("contactbridge 2026 digests", state_key);
        let seal_key = blake3::derive_key("contactbridge 2026 sealing", state_key);
        let mark = blake3::derive_key("contactbridge 2026 fingerprint", state_key);
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&mark[..8]);
        Self {
            digest_key,
            cipher: XChaCha20Poly1305::new(Key::from_slice(&seal_key)),
            fingerprint,
        }
    }

    /// Tells keys apart without giving anything of them away; a store remembers it to notice a changed key.
    pub fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// A hasher for digests of several parts; the caller must write lengths or separators itself.
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.digest_key)
    }

    /// The digest that a hasher made by [`Vault::hasher`] came to.
    pub fn finish(hasher: &blake3::Hasher) -> Digest {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Digest(u64::from_le_bytes(bytes))
    }

    /// The digest of `bytes` alone: what [`Vault::hasher`] fed with them comes to, without its state for long inputs.
    pub fn keyed(&self, bytes: &[u8]) -> Digest {
        let hash = blake3::keyed_hash(&self.digest_key, bytes);
        let mut head = [0; 8];
        head.copy_from_slice(&hash.as_bytes()[..8]);
        Digest(u64::from_le_bytes(head))
    }

    /// The digest of `bytes` for one purpose; `domain` keeps purposes apart.
    pub fn digest(&self, domain: &str, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(domain.as_bytes());
        hasher.update(&[0]);
        hasher.update(bytes);
        Self::finish(&hasher)
    }

    /// The digest by which the parts of one parent are told apart: of the key cells of a child row. A number and its decimal
    /// text give the same digest, because a column's type decides which of them the database hands over.
    pub fn part_digest(&self, key: &[Cell]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(b"part\0");
        for cell in key {
            let text = match cell {
                Cell::Null => None,
                Cell::Int(value) => Some(value.to_string()),
                Cell::Real(value) => Some(value.to_string()),
                Cell::Text(value) => Some(value.clone()),
                Cell::Blob(value) => Some(value.iter().map(|byte| format!("{byte:02x}")).collect()),
            };
            match text {
                None => hasher.update(&[0]),
                Some(text) => hasher
                    .update(&[1])
                    .update(&(text.len() as u64).to_le_bytes())
                    .update(text.as_bytes()),
            };
        }
        Self::finish(&hasher)
    }

    /// Seals `plain` for the place named by `context` (table and key), with a fresh random nonce.
    pub fn seal(&self, nonce: [u8; 24], context: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = self
            .cipher
            .encrypt(
                XNonce::from_slice(&nonce),
                Payload {
                    msg: plain,
                    aad: context,
                },
            )
            .expect("XChaCha20-Poly1305 seals any message shorter than 256 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`Vault::seal`] made for the same `context`. `E-STATE-KEY` (exit 7) when key, place or bytes are others.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || {
            Error::needs_person(
                "E-STATE-KEY",
                "A sealed value does not open with this state key. Restore the key, or run `contactbridge reseed BRIDGE --relink`",
            )
        };
        let (nonce, body) = sealed.split_at_checked(24).ok_or_else(damaged)?;
        self.cipher
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: body,
                    aad: context,
                },
            )
            .map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_in_one_piece_and_in_many() {
        let vault = Vault::new(&[7; 32]);
        for length in [0, 1, 63, 64, 65, 1024, 5000] {
            let bytes = vec![b'x'; length];
            let mut hasher = vault.hasher();
            bytes.chunks(50).for_each(|piece| {
                hasher.update(piece);
            });
            assert_eq!(vault.keyed(&bytes), Vault::finish(&hasher), "{length}");
        }
    }

    #[test]
    fn a_seal_opens_only_in_its_place_and_with_its_key() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal([1; 24], b"review/1", b"a value");
        assert_eq!(vault.open(b"review/1", &sealed).unwrap(), b"a value");
        assert_eq!(
            vault.open(b"review/2", &sealed).unwrap_err().code(),
            "E-STATE-KEY"
        );
        assert_eq!(
            Vault::new(&[8; 32])
                .open(b"review/1", &sealed)
                .unwrap_err()
                .code(),
            "E-STATE-KEY"
        );
        assert_eq!(
            vault.open(b"review/1", &sealed[..10]).unwrap_err().code(),
            "E-STATE-KEY"
        );
        assert!(!sealed.windows(7).any(|window| window == b"a value"));
    }
}
