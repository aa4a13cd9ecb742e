//! The marker beside a store: "a store was made here, and this commit of it is durable".
//!
//! It is written after the store, never before. So a store that is behind its marker lost something, one that is ahead
//! was cut between the two, and data without a marker was never acknowledged to anybody.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::fault::damaged;
use super::files;
use crate::model::{Error, Result};

/// Two slots, each in a disk block of its own and written in turn: a torn write spoils one, and the other still counts.
const SLOT: usize = 4096;
const MAGIC: &[u8; 8] = b"cbstate1";
const USED: usize = 20;

/// An open marker.
#[derive(Debug)]
pub(super) struct Marker {
    file: File,
    sequence: u64,
    /// The slot that holds `sequence`, and so isn't written next.
    slot: u64,
}

fn slot(sequence: u64) -> [u8; USED] {
    let mut bytes = [0; USED];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn read_slot(bytes: Option<&[u8]>) -> Option<u64> {
    let sequence = u64::from_le_bytes(bytes?.get(8..16)?.try_into().ok()?);
    (bytes?.get(..USED)? == slot(sequence)).then_some(sequence)
}

impl Marker {
    /// The marker at `path`; `None` where there is none. `E-STATE-CORRUPT` when neither slot can be read.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let mut file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(files::failed("open", path, cause)),
        };
        let mut bytes = Vec::new();
        (&mut file)
            .take(2 * SLOT as u64)
            .read_to_end(&mut bytes)
            .map_err(|cause| files::failed("read", path, cause))?;
        let slots = [read_slot(bytes.get(..USED)), read_slot(bytes.get(SLOT..))];
        let slot = u64::from(slots[1] > slots[0]);
        let sequence = slots[0]
            .max(slots[1])
            .ok_or_else(|| damaged(path, "the marker can't be read"))?;
        Ok(Some(Self {
            file,
            sequence,
            slot,
        }))
    }

    /// Makes the marker, durably, for a store whose commit `sequence` is durable.
    pub(super) fn create(path: &Path, sequence: u64) -> Result<Self> {
        let mut bytes = vec![0; 2 * SLOT];
        bytes[..USED].copy_from_slice(&slot(sequence));
        bytes[SLOT..SLOT + USED].copy_from_slice(&slot(sequence));
        files::replace(path, &bytes).map_err(|cause| files::failed("write", path, cause))?;
        Self::open(path)?.ok_or_else(|| {
            Error::unexpected(
                "E-STATE-IO",
                format!("The marker {} vanished while it was made", path.display()),
            )
        })
    }

    /// Judges the number of the last commit that the store at `place` knows: `E-STATE-CORRUPT` for a store that knows
    /// none, `E-STATE-OLD` for one that is behind.
    pub(super) fn accept(&self, found: Option<u64>, place: &Path) -> Result<u64> {
        let durable = self.sequence;
        let sequence = found.ok_or_else(|| damaged(place, "it opens empty"))?;
        if sequence < durable {
            return Err(Error::needs_person(
                "E-STATE-OLD",
                format!(
                    "The state store {} is at commit {sequence}, but commit {durable} was made durable: it was damaged, or an older copy was put in its place. Put the latest copy back, or run `contactbridge reseed BRIDGE --relink`",
                    place.display()
                ),
            ));
        }
        Ok(sequence)
    }

    /// Notes that the store's commit `sequence` is durable. Only after it is.
    ///
    /// A kill does not take the note away. A power cut may, until [`Marker::settle`]: then the marker is behind, which
    /// refuses nothing, so that no commit need wait for one more fsync.
    pub(super) fn advance(&mut self, sequence: u64) -> std::io::Result<()> {
        if sequence <= self.sequence {
            return Ok(());
        }
        let next = 1 - self.slot;
        self.file
            .write_all_at(&slot(sequence), next * SLOT as u64)?;
        self.sequence = sequence;
        self.slot = next;
        Ok(())
    }

    /// Makes the last note durable.
    pub(super) fn settle(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn remembers_the_last_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker");
        assert!(Marker::open(&path).unwrap().is_none());
        let mut marker = Marker::create(&path, 1).unwrap();
        for sequence in 2..9 {
            marker.advance(sequence).unwrap();
            assert_eq!(Marker::open(&path).unwrap().unwrap().sequence, sequence);
        }
        marker.advance(5).unwrap();
        assert_eq!(Marker::open(&path).unwrap().unwrap().sequence, 8);
    }

    #[test]
    fn a_torn_write_leaves_the_commit_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker");
        let mut marker = Marker::create(&path, 1).unwrap();
        for sequence in [7, 8, 9, 11, 13, 14] {
            let before = marker.sequence;
            marker.advance(sequence).unwrap();
            let good = fs::read(&path).unwrap();
            let mut torn = good.clone();
            let at = SLOT * marker.slot as usize;
            torn[at + 9..at + USED].fill(0);
            fs::write(&path, &torn).unwrap();
            assert_eq!(Marker::open(&path).unwrap().unwrap().sequence, before);
            fs::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn a_marker_without_a_readable_slot_is_damage_and_not_a_new_store() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker");
        for bytes in [&[][..], &[0; 8192], b"cbstate1"] {
            fs::write(&path, bytes).unwrap();
            let error = Marker::open(&path).unwrap_err();
            assert_eq!(error.code(), "E-STATE-CORRUPT");
        }
    }
}
