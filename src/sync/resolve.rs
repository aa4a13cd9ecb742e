//! What reading back proves about a push (sync-semantics, table R).
//!
//! Pure. UpdateInsert answers nothing, an answer may be lost, and a person may edit in between: an outcome that was not
//! seen is unknown, not failed.

use crate::model::Digest;

/// What the contact shows of one field that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// R1: the value landed (perhaps trimmed, cut or re-cased); both bases move.
    Confirmed,
    /// R2: it shows what it showed before; the bases stay, and it is tried again.
    NotApplied,
    /// R3: it shows something else: landed and then edited, or never landed and edited. The two can't be told apart, so the
    /// bases stay and the next plan sees both sides changed.
    Undecidable,
}

/// Table R for one field.
pub fn landing(sent: Digest, before: Option<Digest>, got: Digest, alike: bool) -> Landing {
    if got == sent {
        Landing::Confirmed
    } else if Some(got) == before {
        Landing::NotApplied
    } else if alike {
        Landing::Confirmed
    } else {
        Landing::Undecidable
    }
}

/// Whether `got` is what a service may make of `sent` without anybody's edit: trimmed, re-cased, normalised or cut (hazard H-29).
pub fn alike(sent: Option<&str>, got: Option<&str>) -> bool {
    let (Some(sent), Some(got)) = (sent, got) else {
        return sent.is_none_or(|text| text.trim().is_empty()) && got.is_none();
    };
    let (sent, got) = (fold(sent), fold(got));
    sent == got || (!got.is_empty() && sent.starts_with(&got))
}

fn fold(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.trim().nfc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_r() {
        let (sent, before, other) = (Digest(1), Some(Digest(2)), Digest(3));
        assert_eq!(
            landing(sent, before, Digest(1), false),
            Landing::Confirmed,
            "R1"
        );
        assert_eq!(
            landing(sent, before, Digest(2), false),
            Landing::NotApplied,
            "R2"
        );
        assert_eq!(
            landing(sent, before, Digest(2), true),
            Landing::NotApplied,
            "R2 what stood there before proves nothing, even when it is alike"
        );
        assert_eq!(
            landing(sent, before, other, true),
            Landing::Confirmed,
            "R1 cut or re-cased"
        );
        assert_eq!(
            landing(sent, before, other, false),
            Landing::Undecidable,
            "R3"
        );
        assert_eq!(
            landing(sent, None, other, false),
            Landing::Undecidable,
            "R3 a create"
        );
    }

    #[test]
    fn h29_what_a_service_does_to_a_value_is_not_taken_for_an_edit() {
        assert!(alike(Some("  Łódź "), Some("łódź")));
        assert!(alike(Some("a long street name"), Some("a long str")));
        assert!(alike(Some("Zoe\u{308}"), Some("Zoë")));
        assert!(alike(Some("   "), None));
        assert!(!alike(Some("Smith"), Some("Smithson")));
        assert!(!alike(Some("Smith"), None));
        assert!(!alike(None, Some("Smith")));
    }

    #[test]
    fn what_was_sent_empty_can_not_be_cut_to_anything() {
        assert!(alike(None, None));
        assert!(
            !alike(Some("Smith"), Some("  ")),
            "blank is no beginning of a name"
        );
        assert!(!alike(Some("  "), Some("Smith")));
    }
}
