//! Room for what a first pass found and a second needs again: in memory up to a bound, then sealed in a temporary file.
//!
//! It is no part of the state: it is gone when it is dropped, and what a killed run left is removed by the next. What it
//! keeps on disk is people's data, so nothing of it is written unsealed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files;
use crate::model::{Error, Result, Vault};

/// Beyond this a spool goes to the disk; below it, most runs never touch one.
pub const DEFAULT_SPOOL_MEMORY_BYTES: usize = 32 * 1024 * 1024;

/// The largest entry: above the limit of a record's slice with everything around it, so that a torn length is noticed.
const ENTRY_MAX: usize = 64 * 1024 * 1024;

/// Entries in the order they were appended, each read back by the offset that [`Spool::append`] answered.
pub struct Spool {
    path: PathBuf,
    vault: Vault,
    /// Twenty-four random bytes of this spool, changed by the entry's offset: no nonce is used twice.
    seed: [u8; 24],
    memory: Vec<u8>,
    memory_max: usize,
    /// What is after the memory, from the offset where that ends.
    file: Option<File>,
    end: u64,
}

impl Spool {
    /// An empty spool whose file, if it needs one, is `path` in an existing private directory; what stands there is
    /// removed. `seed` must be fresh randomness.
    pub fn new(path: &Path, memory_max: usize, vault: Vault, seed: [u8; 24]) -> Result<Self> {
        remove(path)?;
        Ok(Self {
            path: path.to_owned(),
            vault,
            seed,
            memory: Vec::new(),
            memory_max,
            file: None,
            end: 0,
        })
    }

    /// Appends an entry and answers where it is.
    pub fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.end;
        if bytes.len() > ENTRY_MAX {
            return Err(Error::unexpected(
                "E-SPOOL-SIZE",
                format!(
                    "An entry of {} bytes is too large for the spool",
                    bytes.len()
                ),
            ));
        }
        let fits = self.memory.len() + bytes.len() + 4 <= self.memory_max;
        if self.file.is_none() && fits {
            self.memory
                .extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            self.memory.extend_from_slice(bytes);
            self.end += 4 + bytes.len() as u64;
            return Ok(offset);
        }
        let sealed = self
            .vault
            .seal(self.nonce(offset), &offset.to_le_bytes(), bytes);
        let mut entry = Vec::with_capacity(sealed.len() + 4);
        entry.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
        entry.extend_from_slice(&sealed);
        let path = self.path.clone();
        let write = |file: &mut File| file.write_all(&entry);
        let written = match &mut self.file {
            Some(file) => write(file),
            none => files::private()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .and_then(|file| write(none.insert(file))),
        };
        written.map_err(|cause| files::failed("write", &path, cause))?;
        self.end += entry.len() as u64;
        Ok(offset)
    }

    /// The entry at an offset that [`Spool::append`] answered.
    pub fn read(&self, offset: u64) -> Result<Vec<u8>> {
        let wrong = || {
            Error::unexpected(
                "E-SPOOL-OFFSET",
                format!("There is no entry at {offset} of the spool"),
            )
        };
        let held = self.memory.len() as u64;
        if offset < held {
            let rest = self.memory.get(offset as usize..).ok_or_else(wrong)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
            let entry = rest.get(..u32::from_le_bytes(*length) as usize);
            return entry.map(<[u8]>::to_vec).ok_or_else(wrong);
        }
        let file = self.file.as_ref().ok_or_else(wrong)?;
        let failed = |cause| files::failed("read", &self.path, cause);
        let mut length = [0; 4];
        file.read_exact_at(&mut length, offset - held)
            .map_err(failed)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > ENTRY_MAX + 1024 {
            return Err(wrong());
        }
        let mut sealed = vec![0; length];
        file.read_exact_at(&mut sealed, offset - held + 4)
            .map_err(failed)?;
        self.vault.open(&offset.to_le_bytes(), &sealed)
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    fn nonce(&self, offset: u64) -> [u8; 24] {
        let mut nonce = self.seed;
        for (byte, more) in nonce.iter_mut().zip(offset.to_le_bytes()) {
            *byte ^= more;
        }
        nonce
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What stays is sealed, and the next run removes it.
            let _ = remove(&self.path);
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(files::failed("remove", path, cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn spool(directory: &Path, memory_max: usize) -> Spool {
        let vault = Vault::new(&[7; 32]);
        Spool::new(&directory.join("spool"), memory_max, vault, [9; 24]).unwrap()
    }

    fn entry(number: usize) -> Vec<u8> {
        format!("Zoë {number} ").into_bytes().repeat(number % 90)
    }

    #[test]
    fn entries_come_back_from_memory_and_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        for memory_max in [0, 5000, usize::MAX] {
            let mut spool = spool(directory.path(), memory_max);
            assert!(spool.is_empty());
            let offsets: Vec<u64> = (0..500)
                .map(|number| spool.append(&entry(number)).unwrap())
                .collect();
            for number in (0..500).rev() {
                assert_eq!(spool.read(offsets[number]).unwrap(), entry(number));
            }
            let written = directory.path().join("spool").exists();
            assert_eq!(written, memory_max < usize::MAX);
            assert_eq!(
                spool.append(b"more").unwrap(),
                spool.end - if written { 48 } else { 8 }
            );
        }
    }

    #[test]
    fn what_is_on_disk_is_private_sealed_and_gone_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool");
        let mut spool = spool(directory.path(), 10);
        let first = spool.append(b"anna@example.org, Melbourne").unwrap();
        spool.append(b"anna@example.org, Melbourne").unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"anna@"));
        let half = bytes.len() / 2;
        assert_ne!(bytes[..half], bytes[half..], "no two entries look alike");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(spool.read(first).unwrap_err().code(), "E-STATE-KEY");
        fs::write(&path, &bytes[..20]).unwrap();
        assert!(spool.read(first).is_err());
        drop(spool);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool");
        fs::write(&path, "left over").unwrap();
        let mut spool = spool(directory.path(), 0);
        assert!(!path.exists());
        let at = spool.append(b"new").unwrap();
        assert_eq!(spool.read(at).unwrap(), b"new");
    }

    #[test]
    fn offsets_that_were_never_given_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = spool(directory.path(), 20);
        spool.append(b"in memory").unwrap();
        assert!(spool.read(1).is_err());
        assert!(spool.read(13).is_err());
        spool.append(b"in the file, surely").unwrap();
        assert!(spool.read(10_000).is_err());
        assert!(spool.append(&vec![0; ENTRY_MAX + 1]).is_err());
    }
}
