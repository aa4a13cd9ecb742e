//! Digests of rows, straight from the bytes of a database's answer.
//!
//! It knows no database and no mapping: callers hand it values in the order of the mapping's fields.

use std::borrow::Cow;

use crate::model::{Cell, Digest, Vault};

/// Computes the digests of rows one after the other, without allocating.
///
/// A row's digest is of its cells *as read*, each with its storage class, and of its mark: the same row gives the same
/// digest in a scan, in a fetch and under the lock of a write, and nothing else does.
pub(super) struct RowDigester {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl RowDigester {
    pub(super) fn new(vault: &Vault) -> Self {
        Self {
            hasher: vault.hasher(),
            bytes: Vec::new(),
        }
    }

    /// Begins a row.
    pub(super) fn start(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(b"row\0");
    }

    pub(super) fn null(&mut self) {
        self.bytes.push(0);
    }

    pub(super) fn int(&mut self, value: i64) {
        self.bytes.push(1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn real(&mut self, value: f64) {
        self.bytes.push(2);
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn text(&mut self, value: &[u8]) {
        self.sized(3, value);
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.sized(4, value);
    }

    /// Ends the row with its mark of deletion.
    pub(super) fn finish(&mut self, marked: bool) -> Digest {
        self.bytes.push(u8::from(marked));
        self.hasher.reset();
        self.hasher.update(&self.bytes);
        Vault::finish(&self.hasher)
    }

    fn sized(&mut self, tag: u8, value: &[u8]) {
        self.bytes.push(tag);
        self.bytes
            .extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value);
    }
}

/// A cell as bytes that do not depend on its storage class; empty for NULL.
pub(super) fn plain(cell: &Cell) -> Cow<'_, [u8]> {
    match cell {
        Cell::Null => (&[][..]).into(),
        Cell::Int(value) => value.to_string().into_bytes().into(),
        Cell::Real(value) => value.to_string().into_bytes().into(),
        Cell::Text(text) => text.as_bytes().into(),
        Cell::Blob(bytes) => bytes.as_slice().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fill: impl Fn(&mut RowDigester), marked: bool) -> Digest {
        let mut digester = RowDigester::new(&Vault::new(&[1; 32]));
        digester.start();
        digester.text(b"a row before");
        digester.finish(false);
        digester.start();
        fill(&mut digester);
        digester.finish(marked)
    }

    #[test]
    fn a_row_digest_tells_cells_classes_order_and_mark_apart() {
        let all = [
            digest(|row| row.null(), false),
            digest(|row| row.null(), true),
            digest(|row| row.text(b""), false),
            digest(|row| row.blob(b""), false),
            digest(|row| row.int(1), false),
            digest(|row| row.real(1.0), false),
            digest(|row| row.text(b"1"), false),
            digest(|row| (row.text(b"ab"), row.text(b"c")).0, false),
            digest(|row| (row.text(b"a"), row.text(b"bc")).0, false),
            digest(|row| (row.text(b"c"), row.text(b"ab")).0, false),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(all[6], digest(|row| row.text(b"1"), false));
    }

    #[test]
    fn a_cell_reads_the_same_in_every_storage_class() {
        assert_eq!(plain(&Cell::Int(5)), plain(&Cell::Text("5".into())));
        assert_eq!(plain(&Cell::Real(12.5)), plain(&Cell::Text("12.5".into())));
        assert_eq!(plain(&Cell::Null), plain(&Cell::Text(String::new())));
        assert_ne!(plain(&Cell::Int(5)), plain(&Cell::Int(6)));
    }
}
