//! Characters and encodings: what XML 1.0 allows, and what no answer should hold.

use std::borrow::Cow;

/// In words, for the reasons of bad records.
pub(in crate::remote) const FORBIDDEN: &str = "a character that XML forbids";
/// Likewise.
pub(in crate::remote) const OVERRIDE: &str = "a character that turns the writing direction over";

/// What makes a text unfit to be kept, if anything does.
pub(in crate::remote) fn forbidden(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'\t' | b'\n' | b'\r' => {}
            0..=0x1f => return Some(FORBIDDEN),
            // U+FFFE and U+FFFF; U+202D and U+202E.
            0xef if matches!(bytes.get(place + 1..place + 3), Some([0xbf, 0xbe | 0xbf])) => {
                return Some(FORBIDDEN);
            }
            0xe2 if matches!(bytes.get(place + 1..place + 3), Some([0x80, 0xad | 0xae])) => {
                return Some(OVERRIDE);
            }
            _ => {}
        }
    }
    None
}

/// A character by which a text is shown otherwise than it is: no name needs one, and who sends one may mean harm.
pub(in crate::remote) fn is_override(found: char) -> bool {
    matches!(found, '\u{202d}' | '\u{202e}')
}

/// Whether XML 1.0 allows the character.
pub(in crate::remote) fn is_xml_char(found: char) -> bool {
    !matches!(found, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether this is a name of UTF-8, or of a part of it.
pub(in crate::remote) fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|known| encoding.trim().eq_ignore_ascii_case(known))
}

/// Stands in a text for bytes that can't be decoded: no XML may hold it, so it spoils the record in which it stands.
pub(in crate::remote) const UNDECODABLE: char = '\u{1}';

/// The byte order mark of UTF-8.
pub(in crate::remote) const BOM: &[u8] = b"\xef\xbb\xbf";

/// The answer as text of the same length: bytes that are no UTF-8 become U+0001, which no XML may hold, so that they
/// spoil the record they stand in and nothing else, and places in the text are places in the answer.
pub(in crate::remote) fn readable(body: &[u8]) -> Cow<'_, str> {
    let body = match body.strip_prefix(BOM) {
        // Places are counted from behind the mark by everyone.
        Some(rest) => rest,
        None => body,
    };
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(body.len());
            for chunk in body.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(std::iter::repeat_n(UNDECODABLE, chunk.invalid().len()));
            }
            Cow::Owned(text)
        }
    }
}
