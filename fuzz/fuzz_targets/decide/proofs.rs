//! Table R: what reading back proves.

use arbitrary::Arbitrary;
use unicode_normalization::UnicodeNormalization as _;

use crate::model::Digest;
use crate::sync::resolve::{Landing, alike, landing};

#[derive(Arbitrary, Debug)]
pub struct Proof {
    sent: u8,
    before: Option<u8>,
    got: u8,
    alike: bool,
    pub text: Option<String>,
    other: Option<String>,
    /// Where a service cuts the text.
    cut: u16,
}

pub fn check(proof: &Proof) {
    let digest = |number: u8| Digest(u64::from(number % 3));
    let (sent, before, got) = (
        digest(proof.sent),
        proof.before.map(digest),
        digest(proof.got),
    );
    let found = landing(sent, before, got, proof.alike);
    let wanted = match (got == sent, Some(got) == before, proof.alike) {
        (true, _, _) => Landing::Confirmed,
        (false, true, _) => Landing::NotApplied,
        (false, false, true) => Landing::Confirmed,
        (false, false, false) => Landing::Undecidable,
    };
    assert_eq!(found, wanted, "{proof:?}");

    let (text, other) = (proof.text.as_deref(), proof.other.as_deref());
    let first = alike(text, other);
    assert_eq!(first, alike(text, other), "the same twice");
    assert!(alike(None, None));
    let Some(text) = text else { return };
    assert!(
        alike(Some(text), Some(text)) || text.trim().is_empty(),
        "{proof:?}"
    );
    assert!(alike(Some(text), Some(&format!("  {text}\t"))) || text.trim().is_empty());
    let blank = text.trim().is_empty();
    assert_eq!(
        alike(Some(text), None),
        blank,
        "what is shown empty was sent empty: {proof:?}"
    );
    assert_eq!(alike(None, Some(text)), false, "nobody sent it: {proof:?}");
    // A service may cut: any beginning that shows something is no edit. Where a cut changes the letter before it (it had a mark of its own, or is
    // a sigma, which is written otherwise at the end of a word), it can not be told from one.
    let cut = &text[..text.floor_char_boundary(usize::from(proof.cut))];
    let nfc = |text: &str| text.nfc().collect::<String>();
    let same_letters = nfc(text).starts_with(&nfc(cut)) && !text.contains('Σ');
    if same_letters && !cut.trim().is_empty() {
        assert!(alike(Some(text), Some(cut)), "cut to {cut:?}: {proof:?}");
    }
    // What is not a beginning of what was sent is somebody's edit.
    if let Some(other) = other
        && first
        && other.is_ascii()
        && text.is_ascii()
    {
        let fold = |text: &str| text.trim().to_ascii_lowercase();
        assert!(fold(text).starts_with(&fold(other)), "{proof:?}");
    }
}
