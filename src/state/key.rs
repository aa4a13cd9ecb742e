//! The state key: 32 bytes that seal what the state must keep of people's data, and key its digests.
//!
//! The user gives it, or it stands in a file of the state directory. It is never printed, and wiped when dropped.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::location::StateLocation;
use super::{files, open};
use crate::model::{Error, Result, Vault};

/// A state key.
pub struct StateKey(Zeroizing<[u8; 32]>);

impl StateKey {
    /// Reads 64 hex digits, or base64 (either alphabet, padded or not) of 32 bytes. `E-CFG-VALUE` (exit 2).
    pub fn parse(text: &str) -> Result<Self> {
        decode(text.trim()).map(|key| Self(Zeroizing::new(key))).ok_or_else(|| {
            Error::config(
                "E-CFG-VALUE",
                "state_key: expected 32 bytes, as 64 hex digits or as base64. `openssl rand -hex 32` makes one",
            )
        })
    }

    /// The key of a state: the `given` one, else the one in the key file, which is made, durably, where there is none.
    ///
    /// `random` fills a new key. `E-STATE-KEY` (exit 7) where the file is missing although there are stores, unless
    /// `lost` says that the user knows and relinks; or where it can't be read as a key.
    pub fn find(
        location: &StateLocation,
        given: Option<&str>,
        lost: bool,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self> {
        if let Some(text) = given {
            return Self::parse(text);
        }
        let path = location.key_file()?;
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        if !lost && open::any_exists(location)? {
            return Err(Error::needs_person(
                "E-STATE-KEY",
                format!(
                    "The state key {} is missing, but there are state stores that were made with it. Put it back, or run `contactbridge reseed BRIDGE --relink`",
                    path.display()
                ),
            ));
        }
        make(&path, random)
    }

    /// The digests and seals of this key.
    pub fn vault(&self) -> Vault {
        Vault::new(&self.0)
    }

    /// Copies the key file of one state to another that has none, for a move. Does nothing where both share it, or where
    /// there is none; `E-STATE-KEY` where the other has a different one.
    pub(super) fn carry(from: &StateLocation, to: &StateLocation) -> Result<()> {
        let (source, target) = (from.key_file()?, to.key_file()?);
        let Some(key) = read(&source)? else {
            return Ok(());
        };
        files::private_directory(to.directory()?)?;
        let kept = make(&target, &mut |bytes| bytes.copy_from_slice(&*key.0))?;
        if kept.0 == key.0 {
            return Ok(());
        }
        Err(Error::needs_person(
            "E-STATE-KEY",
            format!(
                "{} and {} are different keys. Move the state to a directory without a key, or give `state_key`",
                source.display(),
                target.display()
            ),
        ))
    }
}

fn read(path: &Path) -> Result<Option<StateKey>> {
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) if cause.kind() == ErrorKind::InvalidData => String::new(),
        Err(cause) => return Err(files::failed("read", path, cause)),
    };
    let key = decode(text.trim());
    text.zeroize();
    match key {
        Some(key) => Ok(Some(StateKey(Zeroizing::new(key)))),
        None => Err(Error::needs_person(
            "E-STATE-KEY",
            format!(
                "The state key {} can't be read as a key. Put a good copy back, or remove it and run `contactbridge reseed BRIDGE --relink`",
                path.display()
            ),
        )),
    }
}

/// Makes the key file; where another process was faster, its key counts.
fn make(path: &Path, random: &mut dyn FnMut(&mut [u8])) -> Result<StateKey> {
    let directory = path.parent().unwrap_or(Path::new("."));
    files::private_directory(directory)?;
    let mut key = Zeroizing::new([0; 32]);
    random(&mut *key);
    let mut text = String::with_capacity(65);
    for byte in *key {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');

    // A link to a file that is whole already: nobody ever reads half a key, and nobody's key is replaced.
    let temporary = path.with_file_name(format!("key.{}.new", std::process::id()));
    let made = (|| {
        let mut file = files::private()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let linked = match fs::hard_link(&temporary, path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        fs::remove_file(&temporary)?;
        linked?;
        files::sync_directory(directory)
    })();
    text.zeroize();
    made.map_err(|cause| files::failed("write", path, cause))?;
    read(path)?.ok_or_else(|| {
        Error::unexpected(
            "E-STATE-KEY",
            format!(
                "The state key {} vanished while it was made",
                path.display()
            ),
        )
    })
}

fn decode(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() == 64 {
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).ok()?;
            if digits.starts_with('+') {
                return None;
            }
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        return Some(key);
    }
    let text = text.strip_suffix('=').unwrap_or(text);
    if text.len() != 43 {
        return None;
    }
    let mut bits = 0u32;
    let mut held = 0;
    let mut filled = 0;
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            *key.get_mut(filled)? = (bits >> held) as u8;
            filled += 1;
            bits &= (1 << held) - 1;
        }
    }
    // 43 digits are 258 bits: the last two must not say anything.
    (bits == 0).then_some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn counted(bytes: &mut [u8]) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = at as u8;
        }
    }

    #[test]
    fn hex_and_both_kinds_of_base64_are_the_same_key() {
        let hex = "fbef00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff";
        let key = StateKey::parse(hex).unwrap();
        for other in [
            "++8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=",
            "++8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8",
            " --8A_wD_AP8A_wD_AP8A_wD_AP8A_wD_AP8A_wD_AP8=\n",
            &hex.to_uppercase(),
        ] {
            assert_eq!(StateKey::parse(other).unwrap().0, key.0, "{other}");
        }
        assert_eq!(key.0[..3], [0xfb, 0xef, 0]);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for text in [
            "",
            "secret",
            &"g".repeat(64),
            &"+1".repeat(32),
            &"0".repeat(63),
            &"é".repeat(32),
            "++8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP9",
        ] {
            let error = StateKey::parse(text).err().unwrap();
            assert_eq!(error.kind(), crate::model::ErrorKind::Config);
            assert!(text.is_empty() || !format!("{error:?}").contains(text));
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let location = StateLocation::Sled(directory.path().join("state"));
        let key = StateKey::find(&location, None, false, &mut counted).unwrap();
        let again = StateKey::find(&location, None, false, &mut |_| panic!("made twice")).unwrap();
        assert_eq!(key.0, again.0);
        assert_eq!(key.0[31], 31);
        let path = location.key_file().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(directory.path().join("state"))
                .unwrap()
                .count(),
            1
        );

        let given = StateKey::find(&location, Some(&"ab".repeat(32)), false, &mut counted).unwrap();
        assert_eq!(*given.0, [0xab; 32]);
    }

    #[test]
    fn a_key_that_another_process_made_first_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "ab".repeat(32)).unwrap();
        assert_eq!(*make(&path, &mut counted).unwrap().0, [0xab; 32]);
    }

    #[test]
    fn a_lost_or_damaged_key_file_needs_a_person() {
        let directory = tempfile::tempdir().unwrap();
        let location = StateLocation::Sqlite(directory.path().into());
        fs::write(directory.path().join("members.sqlite"), "x").unwrap();
        let error = StateKey::find(&location, None, false, &mut counted)
            .err()
            .unwrap();
        assert_eq!(error.code(), "E-STATE-KEY");
        assert_eq!(error.kind(), crate::model::ErrorKind::NeedsPerson);
        assert!(error.message().contains("reseed BRIDGE --relink"));
        assert!(!location.key_file().unwrap().exists());
        StateKey::find(&location, None, true, &mut counted).unwrap();

        for content in [&b""[..], b"0123", b"\xff\xfe"] {
            fs::write(location.key_file().unwrap(), content).unwrap();
            let error = StateKey::find(&location, None, true, &mut counted)
                .err()
                .unwrap();
            assert_eq!(error.code(), "E-STATE-KEY");
        }
    }

    #[test]
    fn a_move_carries_the_key_and_never_replaces_one() {
        let directory = tempfile::tempdir().unwrap();
        let from = StateLocation::Sled(directory.path().join("from"));
        let to = StateLocation::Sqlite(directory.path().join("to"));
        StateKey::carry(&from, &to).unwrap();
        assert!(!to.key_file().unwrap().exists());
        let key = StateKey::find(&from, None, false, &mut counted).unwrap();
        StateKey::carry(&from, &to).unwrap();
        StateKey::carry(&from, &to).unwrap();
        StateKey::carry(&from, &from).unwrap();
        let carried = StateKey::find(&to, None, false, &mut |_| panic!()).unwrap();
        assert_eq!(carried.0, key.0);

        fs::write(to.key_file().unwrap(), "ab".repeat(32)).unwrap();
        assert_eq!(
            StateKey::carry(&from, &to).unwrap_err().code(),
            "E-STATE-KEY"
        );
    }
}
