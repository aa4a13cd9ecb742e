//! How a value stands on disk: format byte, checksum, bytes.
//!
//! The checksum (CRC-32C) covers table and key too, so that a value in the wrong place is noticed. It finds damage,
//! not intent: what must stay secret or unforged is sealed by the caller.

use super::Table;

/// The value follows the checksum.
const WHOLE: u8 = 1;
/// The value's length follows the checksum; its bytes stand elsewhere, in parts.
const PARTED: u8 = 2;

const HEAD: usize = 5;

/// What a stored value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    /// The value.
    Whole(&'a [u8]),
    /// The value is in parts, so many bytes together; check them with [`parts_fit`].
    Parted(usize),
}

/// Marks a value whose checksum, format or length is not right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

fn checksum(table: u8, key: &[u8], value: &[u8]) -> u32 {
    let mut sum = crc32c::crc32c(&[table]);
    sum = crc32c::crc32c_append(sum, &(key.len() as u32).to_le_bytes());
    sum = crc32c::crc32c_append(sum, key);
    crc32c::crc32c_append(sum, value)
}

fn head(format: u8, sum: u32, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + room);
    bytes.push(format);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// A value to be stored whole. `table` is a [`Table`]'s number, or 0 for what belongs to the store itself.
pub(super) fn whole(table: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = head(WHOLE, checksum(table, key, value), value.len());
    bytes.extend_from_slice(value);
    bytes
}

/// The head of a value whose bytes are stored in parts.
pub(super) fn parted(table: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = head(PARTED, checksum(table, key, value), 4);
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes
}

/// Reads what [`whole`] or [`parted`] wrote.
pub(super) fn open<'a>(table: u8, key: &[u8], stored: &'a [u8]) -> Result<Stored<'a>, Damaged> {
    let (head, body) = stored.split_at_checked(HEAD).ok_or(Damaged)?;
    match head[0] {
        WHOLE if head[1..] == checksum(table, key, body).to_le_bytes() => Ok(Stored::Whole(body)),
        PARTED => {
            let length = body.try_into().map_err(|_| Damaged)?;
            Ok(Stored::Parted(u32::from_le_bytes(length) as usize))
        }
        _ => Err(Damaged),
    }
}

/// Reads a number that [`whole`] stored as eight bytes, little end first.
pub(super) fn number(table: u8, key: &[u8], stored: &[u8]) -> Result<u64, Damaged> {
    match open(table, key, stored)? {
        Stored::Whole(bytes) => bytes
            .try_into()
            .map(u64::from_le_bytes)
            .map_err(|_| Damaged),
        Stored::Parted(_) => Err(Damaged),
    }
}

/// Whether `value`, put together from parts, is the one whose head is `stored`.
pub(super) fn parts_fit(table: u8, key: &[u8], stored: &[u8], value: &[u8]) -> bool {
    stored == parted(table, key, value)
}

/// A table's name, for messages.
pub(super) fn name(table: u8) -> String {
    Table::ALL
        .iter()
        .find(|known| **known as u8 == table)
        .map_or_else(|| "store".to_owned(), |known| format!("{known:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let stored = whole(2, b"key", b"some value");
        assert_eq!(open(2, b"key", &stored), Ok(Stored::Whole(b"some value")));
        for at in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            // A flip may turn one format into the other; then the parts can't fit.
            match open(2, b"key", &damaged) {
                Err(Damaged) => {}
                Ok(Stored::Parted(_)) => {
                    assert!(!parts_fit(2, b"key", &damaged, b"some value"));
                }
                Ok(Stored::Whole(_)) => panic!("bit {at} went unnoticed"),
            }
        }
        for length in 0..stored.len() {
            assert_eq!(open(2, b"key", &stored[..length]), Err(Damaged));
        }
    }

    #[test]
    fn a_value_in_the_wrong_place_is_damaged() {
        let stored = whole(2, b"key", b"value");
        assert_eq!(open(3, b"key", &stored), Err(Damaged));
        assert_eq!(open(2, b"kez", &stored), Err(Damaged));
        assert_eq!(open(2, b"keyv", &whole(2, b"key", b"vvalue")), Err(Damaged));
    }

    #[test]
    fn parts_must_be_all_there_and_right() {
        let value = [7; 9000];
        let stored = parted(6, b"r", &value);
        assert_eq!(open(6, b"r", &stored), Ok(Stored::Parted(9000)));
        assert!(parts_fit(6, b"r", &stored, &value));
        assert!(!parts_fit(6, b"r", &stored, &value[1..]));
        let mut other = value;
        other[8999] ^= 1;
        assert!(!parts_fit(6, b"r", &stored, &other));
    }
}
