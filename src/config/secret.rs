//! Values that must never be shown: passwords, user names, keys.
//!
//! There is no way to print one or to turn it into a document; whoever needs it says so with `expose`.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A text that no log, error, report or debug output shows. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: only for the place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text (a user name that is left out, beside a site token).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The 32 bytes that seal what the state keeps (`state_key`). Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct StateKey(Zeroizing<[u8; 32]>);

impl StateKey {
    /// Takes a key into custody.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads 64 hexadecimal digits, or base64 (either alphabet, with or without padding) of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut bytes = if text.len() == 64 {
            from_hex(text)?
        } else {
            from_base64(text)?
        };
        let key = <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Self::new);
        bytes.zeroize();
        key
    }

    /// The key itself: only for making the vault.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(hidden)")
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = Zeroizing::new(digits?);
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8))
            .collect(),
    )
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    // 32 bytes are 43 characters; the last of them carries 4 bits, and two bits that must be zero.
    if body.len() != 43 || text.len() > 44 {
        return None;
    }
    let mut bytes = Vec::with_capacity(33);
    let (mut window, mut bits) = (0u32, 0);
    for c in body.chars() {
        let six = match c {
            'A'..='Z' => c as u32 - 'A' as u32,
            'a'..='z' => c as u32 - 'a' as u32 + 26,
            '0'..='9' => c as u32 - '0' as u32 + 52,
            '+' | '-' => 62,
            '/' | '_' => 63,
            _ => return None,
        };
        window = (window << 6 | six) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((window >> bits) as u8);
        }
    }
    (window & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let shown = format!("{:?} {:?}", Secret::new("hunter2"), StateKey::new([65; 32]));
        assert_eq!(shown, "Secret(hidden) StateKey(hidden)");
    }

    #[test]
    fn a_state_key_is_read_from_both_spellings() {
        let bytes: [u8; 32] = std::array::from_fn(|index| index as u8);
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        for text in [
            hex,
            base64,
            base64.trim_end_matches('='),
            &format!("{hex}\n"),
        ] {
            assert_eq!(StateKey::parse(text).unwrap().expose(), &bytes, "{text}");
        }
        let high = StateKey::parse("____________________________________________").is_none();
        assert!(high, "44 characters are not 32 bytes");
        assert_eq!(
            StateKey::parse("//////////////////////////////////////////8=")
                .unwrap()
                .expose(),
            &[255; 32]
        );
        for wrong in ["", "00", &hex[1..], &base64[1..], "é".repeat(32).as_str()] {
            assert!(StateKey::parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_key_reader_panic(text: String) {
            let _ = StateKey::parse(&text);
        }
    }
}
