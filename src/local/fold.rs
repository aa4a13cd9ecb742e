//! A fold so coarse that two texts which any normalisation of a mapping makes equal fold to the same number.
//!
//! It chooses candidates for a match, never a match: the caller compares those as the mapping says.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::model::{Cell, ColumnKind};

/// Telephone numbers are written with and without country and area code; this much of their end is always there.
const PHONE_DIGITS: usize = 6;

/// The fold of a value in canonical or in raw form, for a column of `kind`.
pub(super) fn fold(kind: ColumnKind, text: &str) -> u32 {
    let folded = match kind {
        ColumnKind::Text => fold_text(text),
        ColumnKind::Integer => text
            .trim()
            .parse::<i64>()
            .map_or_else(|_| text.trim().to_owned(), |number| number.to_string()),
        ColumnKind::Decimal => text
            .trim()
            .parse::<f64>()
            .map_or_else(|_| text.trim().to_owned(), |number| number.to_string()),
        // Written in too many ways to be worth telling apart: every row is a candidate.
        ColumnKind::Bool | ColumnKind::Date | ColumnKind::DateTime => String::new(),
    };
    let hash = blake3::hash(folded.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The fold of a cell; `None` for NULL, which matches nothing.
pub(super) fn fold_cell(kind: ColumnKind, cell: &Cell) -> Option<u32> {
    match cell {
        Cell::Null | Cell::Blob(_) => None,
        Cell::Text(text) => Some(fold(kind, text)),
        Cell::Int(number) => Some(fold(kind, &number.to_string())),
        Cell::Real(number) => Some(fold(kind, &number.to_string())),
    }
}

fn fold_text(text: &str) -> String {
    let text: Cow<'_, str> = if text.is_ascii() {
        text.into()
    } else {
        text.nfkd().collect()
    };
    if let Some(digits) = phone_digits(&text) {
        return digits;
    }
    match text.rsplit_once('@') {
        // Domains in Unicode and in their ASCII form are the same; an impossible one is folded like any other text.
        Some((local, domain)) if !domain.is_ascii() => {
            let domain: String = domain.nfc().collect();
            let ascii = idna::domain_to_ascii(domain.trim()).unwrap_or(domain);
            format!("{}@{}", letters(local), letters(&ascii))
        }
        Some((local, domain)) => format!("{}@{}", letters(local), letters(domain)),
        None => letters(&text),
    }
}

/// Letters and digits without case, accents and everything between them.
fn letters(text: &str) -> String {
    if text.is_ascii() {
        return text
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|letter| char::from(letter.to_ascii_lowercase()))
            .collect();
    }
    text.nfkd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// The last digits of what looks like a telephone number, up to an extension.
fn phone_digits(text: &str) -> Option<String> {
    let number = text
        .split(|letter: char| letter.is_alphabetic() || matches!(letter, '#' | ';' | ','))
        .next()?;
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let rest = text[number.len()..].to_lowercase();
    let extension = rest.is_empty()
        || ["x", "ext", "#", ";ext", ",", "p", "poste", "anexo", "int"]
            .iter()
            .any(|word| rest.trim_start_matches(['.', ' ']).starts_with(word));
    let marks = number.chars().all(|letter| {
        letter.is_ascii_digit()
            || "+()-./ \u{2010}\u{2011}\u{2013}\u{2212}\t\u{a0}".contains(letter)
    });
    (extension && marks && digits.len() >= PHONE_DIGITS)
        .then(|| digits[digits.len() - PHONE_DIGITS..].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(kind: ColumnKind, one: &str, other: &str) -> bool {
        fold(kind, one) == fold(kind, other)
    }

    #[test]
    fn what_a_normalisation_makes_equal_folds_to_the_same() {
        for (raw, normal) in [
            (" Zoe@Example.ORG ", "Zoe@example.org"),
            ("zoe@münchen.example", "zoe@xn--mnchen-3ya.example"),
            ("zoe＠example.org", "zoe@example.org"),
            ("Zoe\u{308}", "zoë"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("İstanbul", "i̇stanbul"),
            ("a   b\t c", "a b c"),
            ("(02) 9999 1234", "+61299991234"),
            ("02 9999 1234 ext. 5", "+61299991234"),
            ("02-9999-1234", "+61299991234"),
            ("C-000123", "c-000123"),
        ] {
            assert!(same(ColumnKind::Text, raw, normal), "{raw} {normal}");
        }
        assert!(same(ColumnKind::Integer, " 0042", "42"));
        assert!(same(ColumnKind::Decimal, "12.50", "12.5"));
        assert!(same(ColumnKind::Date, "2026-01-02 00:00", "2026-01-02"));
        assert_eq!(
            fold_cell(ColumnKind::Text, &Cell::Int(5)),
            Some(fold(ColumnKind::Text, "5"))
        );
        assert_eq!(fold_cell(ColumnKind::Text, &Cell::Null), None);
    }

    #[test]
    fn people_with_other_names_and_addresses_are_told_apart() {
        for (one, other) in [
            ("zoe@example.org", "zoe@example.com"),
            ("zoe@example.org", "joe@example.org"),
            ("C-1000", "C-1001"),
            ("+61299991234", "+61299991235"),
        ] {
            assert!(!same(ColumnKind::Text, one, other), "{one} {other}");
        }
    }

    #[test]
    fn folding_never_panics_on_odd_texts() {
        for text in [
            "",
            "@",
            "@@@",
            "+",
            "ext",
            "１２３４５６７",
            "\u{0}\u{202e}",
            "é;ext",
        ] {
            fold(ColumnKind::Text, text);
            fold(ColumnKind::Integer, text);
            fold(ColumnKind::Decimal, text);
        }
    }
}
