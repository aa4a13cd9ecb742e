//! The `normalize` steps: what they do to a text before it is compared and written to a column.
//!
//! Each step, and each list of steps, must be idempotent: a normalised text stays as it is. The law check at load tries
//! it, and canonical comparison rests on it.

use std::borrow::Cow;
use std::str::FromStr;

use phonenumber::country;

use crate::model::FieldProblem;

use super::email::normal_email;

/// Longer texts are no telephone numbers (E.164 has 15 digits); the bound keeps the parser from working on a note.
const PHONE_TEXT_MAX: usize = 48;

/// One step of `normalize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Normalize {
    /// A plain e-mail address with its domain in lower case; `Q-EMAIL` for anything else.
    Email,
    /// Without Unicode space at its ends.
    Trim,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
    /// Without space at its ends, and each run of space inside as one blank.
    Collapse,
    /// E.164, with a country for numbers without one; what is no valid number stays, trimmed.
    Phone(country::Id),
}

impl Normalize {
    /// The words of a mapping file, but for `phone`.
    pub(super) const WORDS: [(&'static str, Normalize); 5] = [
        ("email", Self::Email),
        ("trim", Self::Trim),
        ("lower", Self::Lower),
        ("upper", Self::Upper),
        ("collapse", Self::Collapse),
    ];

    /// `phone` for an ISO 3166 country of two capital letters.
    pub(super) fn phone(code: &str) -> Option<Self> {
        let two_capitals = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        let known = two_capitals.then(|| country::Id::from_str(code).ok())??;
        Some(Self::Phone(known))
    }

    /// As a mapping file writes it.
    pub(super) fn spelling(self) -> String {
        match self {
            Self::Phone(code) => format!("phone: {}", code.as_ref()),
            other => Self::WORDS
                .iter()
                .find(|(_, step)| *step == other)
                .map_or_else(String::new, |(word, _)| (*word).to_owned()),
        }
    }

    fn apply(self, text: Cow<'_, str>) -> Result<Cow<'_, str>, FieldProblem> {
        Ok(match self {
            Self::Email => {
                let normal = normal_email(&text)?;
                if normal == text {
                    text
                } else {
                    Cow::Owned(normal)
                }
            }
            Self::Trim => trimmed(text),
            Self::Lower => Cow::Owned(text.to_lowercase()),
            Self::Upper => Cow::Owned(text.to_uppercase()),
            Self::Collapse => {
                let trimmed = trimmed(text);
                let mut before = false;
                let plain = trimmed.chars().all(|c| {
                    let space = c.is_whitespace();
                    let fine = !space || (c == ' ' && !before);
                    before = space;
                    fine
                });
                if plain {
                    trimmed
                } else {
                    let words: Vec<&str> = trimmed.split_whitespace().collect();
                    Cow::Owned(words.join(" "))
                }
            }
            Self::Phone(code) => match e164(&text, code) {
                Some(number) => Cow::Owned(number),
                None => trimmed(text),
            },
        })
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => {
            let short = text.trim();
            if short.len() == text.len() {
                Cow::Owned(text)
            } else {
                Cow::Owned(short.to_owned())
            }
        }
    }
}

/// Only a number that the country's plan knows is rewritten, and only where nothing is lost: an extension has no place in
/// E.164, and a local number without its area code would become somebody else's.
fn e164(text: &str, code: country::Id) -> Option<String> {
    let text = text.trim();
    if text.len() > PHONE_TEXT_MAX || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = phonenumber::parse(Some(code), text).ok()?;
    if number.extension().is_some() || !number.is_valid() {
        return None;
    }
    let written = number.format().mode(phonenumber::Mode::E164).to_string();
    let again = phonenumber::parse(Some(code), &written).ok()?;
    let same = again.is_valid()
        && again.extension().is_none()
        && again.format().mode(phonenumber::Mode::E164).to_string() == written;
    (same && written.starts_with('+')).then_some(written)
}

/// Applies `steps` in their order. An empty result is `None`, like any empty text.
pub(super) fn normalized(text: &str, steps: &[Normalize]) -> Result<Option<String>, FieldProblem> {
    let mut value = Cow::Borrowed(text);
    for step in steps {
        if value.is_empty() {
            return Ok(None);
        }
        // Nothing but space is an empty address, not a bad one.
        if *step == Normalize::Email && value.trim().is_empty() {
            return Ok(None);
        }
        value = step.apply(value)?;
    }
    Ok((!value.is_empty()).then(|| value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(text: &str, steps: &[Normalize]) -> Option<String> {
        normalized(text, steps).unwrap()
    }

    #[test]
    fn each_step_does_what_its_name_says() {
        use Normalize::*;
        let au = Normalize::phone("AU").unwrap();
        for (step, text, result) in [
            (Trim, "  a b\u{a0}", "a b"),
            (Lower, "ÄB c", "äb c"),
            (Upper, "straße", "STRASSE"),
            (Collapse, "  a \t\n b  c ", "a b c"),
            (Email, " A@Example.org", "A@example.org"),
            (au, "0400 000 001", "+61400000001"),
            (au, "(02) 9374 4000", "+61293744000"),
            (au, "+61 2 9374 4000", "+61293744000"),
            (au, "+1 650-253-0000", "+16502530000"),
            (au, " ask at the desk ", "ask at the desk"),
            (au, "9374 4000", "9374 4000"),
            (au, "02 9374 4000 ext. 12", "02 9374 4000 ext. 12"),
            (au, "000", "000"),
        ] {
            assert_eq!(run(text, &[step]).as_deref(), Some(result), "{step:?}");
        }
        assert_eq!(run(" \u{2003} ", &[Trim]), None);
        assert_eq!(run(" \u{2003} ", &[Email]), None);
        assert_eq!(run(" A  B ", &[Collapse, Lower]).as_deref(), Some("a b"));
        assert_eq!(normalized("nobody", &[Email]).unwrap_err().code, "Q-EMAIL");
    }

    #[test]
    fn only_countries_take_numbers() {
        assert!(Normalize::phone("AU").is_some());
        for code in ["", "au", "XX", "AUS", "A", "ÄU"] {
            assert!(Normalize::phone(code).is_none(), "{code}");
        }
        assert_eq!(Normalize::phone("NZ").unwrap().spelling(), "phone: NZ");
    }

    fn steps() -> impl Strategy<Value = Normalize> {
        prop_oneof![
            Just(Normalize::Email),
            Just(Normalize::Trim),
            Just(Normalize::Lower),
            Just(Normalize::Upper),
            Just(Normalize::Collapse),
            Just(Normalize::phone("AU").unwrap()),
            Just(Normalize::phone("US").unwrap()),
            Just(Normalize::phone("IT").unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn each_step_is_idempotent_and_total(step in steps(), text in "\\PC{0,30}|[0-9+() ext.#-]{0,24}|[a-zA-Z .@]{0,12}") {
            if let Ok(Some(once)) = normalized(&text, &[step]) {
                prop_assert_eq!(normalized(&once, &[step]), Ok(Some(once)));
            }
        }
    }
}
