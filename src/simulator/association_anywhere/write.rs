//! Writes answers: names in one of three spellings, texts escaped for a character set, and the bytes of that set.
//!
//! It must not use the bridge's own XML code, and knows no service.

use super::customer::Node;

/// How an answer's names are spelled (association-anywhere.md §3, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Names {
    /// Hyphens in the plain queue, camel case elsewhere.
    #[default]
    AsDocumented,
    /// `maxQueueNum`.
    Camel,
    /// `max-queue-num`.
    Hyphen,
    /// `MAX_QUEUE_NUM`.
    Upper,
}

impl Names {
    /// A name that is given in camel case.
    pub(super) fn spell(self, name: &str) -> String {
        let divided = |sign: char, out: &mut String| {
            for c in name.chars() {
                if c.is_ascii_uppercase() && !out.is_empty() {
                    out.push(sign);
                }
                out.push(c);
            }
        };
        let mut out = String::with_capacity(name.len() + 4);
        match self {
            Names::AsDocumented | Names::Camel => out.push_str(name),
            Names::Hyphen => {
                divided('-', &mut out);
                out.make_ascii_lowercase();
            }
            Names::Upper => {
                divided('_', &mut out);
                out.make_ascii_uppercase();
            }
        }
        out
    }
}

/// The bytes that answers are made of (§10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Charset {
    /// UTF-8.
    #[default]
    Utf8,
    /// windows-1252.
    Windows1252,
    /// ISO-8859-1.
    Latin1,
}

/// Becomes a byte that the character set has no character for. Not a character of Unicode, so that no text holds it.
pub(super) const BAD_BYTE: char = '\u{fdd0}';

/// The characters of the bytes 80 to 9F in windows-1252; a space where there is none.
const WINDOWS_1252: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";

impl Charset {
    /// Its name, as labels have it.
    pub fn name(self) -> &'static str {
        match self {
            Charset::Utf8 => "UTF-8",
            Charset::Windows1252 => "windows-1252",
            Charset::Latin1 => "ISO-8859-1",
        }
    }

    /// The byte of a character in a single-byte set.
    fn byte(self, c: char) -> Option<u8> {
        let code = u32::from(c);
        if self == Charset::Windows1252
            && c != ' '
            && let Some(at) = WINDOWS_1252.chars().position(|have| have == c)
        {
            return u8::try_from(0x80 + at).ok();
        }
        if (0x80..0xa0).contains(&code) && self == Charset::Windows1252 {
            return None;
        }
        u8::try_from(code).ok()
    }

    fn holds(self, c: char) -> bool {
        self == Charset::Utf8 || c == BAD_BYTE || self.byte(c).is_some()
    }

    /// The bytes of a text that was written for this set.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        if self == Charset::Utf8 && !text.contains(BAD_BYTE) {
            return text.as_bytes().to_vec();
        }
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            if c == BAD_BYTE {
                // FF begins no character of UTF-8, 81 is none in windows-1252. ISO-8859-1 has a control sign there.
                out.push(if self == Charset::Utf8 { 0xff } else { 0x81 });
            } else if self == Charset::Utf8 {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(self.byte(c).unwrap_or(b'?'));
            }
        }
        out
    }
}

/// How one answer is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) names: Names,
    pub(super) charset: Charset,
}

impl Style {
    pub(super) fn open(self, name: &str, out: &mut String) {
        out.push('<');
        out.push_str(&self.names.spell(name));
        out.push('>');
    }

    pub(super) fn close(self, name: &str, out: &mut String) {
        out.push_str("</");
        out.push_str(&self.names.spell(name));
        out.push('>');
    }

    /// An element with a text; an empty one when there is none.
    pub(super) fn leaf(self, name: &str, text: &str, out: &mut String) {
        if text.is_empty() {
            out.push('<');
            out.push_str(&self.names.spell(name));
            out.push_str("/>");
            return;
        }
        self.open(name, out);
        self.text(text, out);
        self.close(name, out);
    }

    /// An attribute with its space before it.
    pub(super) fn attribute(self, name: &str, value: &str, out: &mut String) {
        out.push(' ');
        out.push_str(&self.names.spell(name));
        out.push_str("=\"");
        self.text(value, out);
        out.push('"');
    }

    /// A tree.
    pub(super) fn node(self, node: &Node, out: &mut String) {
        if node.children.is_empty() {
            let plain = node.text.chars().all(|c| self.charset.holds(c));
            if node.cdata && plain && !node.text.is_empty() {
                self.open(&node.name, out);
                out.push_str("<![CDATA[");
                out.push_str(&node.text.replace("]]>", "]]]]><![CDATA[>"));
                out.push_str("]]>");
                self.close(&node.name, out);
            } else {
                self.leaf(&node.name, &node.text, out);
            }
            return;
        }
        self.open(&node.name, out);
        for child in &node.children {
            self.node(child, out);
        }
        self.close(&node.name, out);
    }

    fn text(self, text: &str, out: &mut String) {
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\r' => out.push_str("&#13;"),
                c if self.charset.holds(c) => out.push(c),
                c => out.push_str(&format!("&#x{:X};", u32::from(c))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_three_ways() {
        for (names, expected) in [
            (Names::Camel, "maxQueueNum"),
            (Names::Hyphen, "max-queue-num"),
            (Names::Upper, "MAX_QUEUE_NUM"),
        ] {
            assert_eq!(names.spell("maxQueueNum"), expected);
        }
    }

    #[test]
    fn what_a_character_set_lacks_is_written_as_a_number() {
        let written = |charset, node: &Node| {
            let style = Style {
                names: Names::Camel,
                charset,
            };
            let mut out = String::new();
            style.node(node, &mut out);
            charset.encode(&out)
        };
        let text = Node::leaf("a", "é€Ł<");
        assert_eq!(written(Charset::Utf8, &text), "<a>é€Ł&lt;</a>".as_bytes());
        assert_eq!(
            written(Charset::Windows1252, &text),
            b"<a>\xe9\x80&#x141;&lt;</a>"
        );
        assert_eq!(
            written(Charset::Latin1, &text),
            b"<a>\xe9&#x20AC;&#x141;&lt;</a>"
        );
        assert_eq!(
            written(Charset::Latin1, &Node::cdata("a", "é&]]>")),
            b"<a><![CDATA[\xe9&]]]]><![CDATA[>]]></a>"
        );
        assert_eq!(
            written(Charset::Latin1, &Node::cdata("a", "Ł&")),
            b"<a>&#x141;&amp;</a>"
        );
        assert_eq!(Charset::Windows1252.encode("Ÿž–"), b"\x9f\x9e\x96");
    }
}
