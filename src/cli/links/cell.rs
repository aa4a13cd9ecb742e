//! Cells of CSV files that people open in a spreadsheet: what a spreadsheet would take for a formula gets a leading
//! quote, and reading takes that quote off again, so that every text comes back as it went.

use std::borrow::Cow;

/// A cell that no spreadsheet executes.
pub fn shield(text: &str) -> Cow<'_, str> {
    if is_risky(text) || text.starts_with('\'') {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What [`shield`] was given.
pub fn unshield(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_risky(rest) || rest.starts_with('\'') => rest,
        _ => cell,
    }
}

/// Whether a spreadsheet might take it for a formula; the full-width forms count, since some fold them.
fn is_risky(text: &str) -> bool {
    text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠',
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formulas_are_shielded_and_plain_texts_are_not() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("-5", "'-5"),
            ("＠SUM", "'＠SUM"),
            ("'=1", "''=1"),
            ("plain", "plain"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(shield(text), cell);
        }
        assert_eq!(unshield("'quoted by hand"), "'quoted by hand");
    }

    proptest! {
        #[test]
        fn every_cell_comes_back(text in "['=+@\t\r\n\0＝a-]{0,4}|\\PC*") {
            let cell = shield(&text);
            prop_assert_eq!(unshield(&cell), text.as_str());
        }
    }
}
