//! E-mail addresses: the key by which they are compared, and the form in which they are written to a column.
//!
//! The key folds what mail systems fold (case, the two spellings of an international domain) and nothing more: no dots,
//! no `+tags`, no look-alike letters. It is for matching and for noticing collisions, and is never written anywhere
//! (hazard H-45). Keys are equal only where people would call the addresses the same one.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::model::FieldProblem;

/// An address is at most this long, and its local part at most [`LOCAL_PART_MAX`] (RFC 5321, 4.5.3.1).
pub const EMAIL_MAX: usize = 254;

/// The longest local part, in bytes.
pub const LOCAL_PART_MAX: usize = 64;

fn refused(reason: &str) -> FieldProblem {
    FieldProblem {
        code: "Q-EMAIL",
        reason: reason.to_owned(),
    }
}

/// The key under which an address is matched and collisions are found.
///
/// Trimmed of Unicode space, NFC, the domain as lower-case A-labels (IDNA), the local part in lower case. Total and
/// idempotent. `Q-EMAIL` for what is no plain address: no or several `@`, spaces, control or zero-width characters,
/// quotes or a display name, a domain that IDNA refuses, too long.
pub fn email_key(text: &str) -> Result<String, FieldProblem> {
    let (local, domain) = parts(text)?;
    // Letter by letter, so that a letter's place in the word (final sigma) makes no difference.
    let local = lowered(&local);
    let domain = a_labels(&domain)?;
    checked(local, '@', &domain)
}

/// The form that `normalize: email` writes: trimmed, NFC, the domain in lower case, the local part untouched.
///
/// The local part keeps its case because only the address's own host may say that case does not matter; so two
/// spellings that differ in it *are* two values, and the later one flows. Matching goes by [`email_key`], which folds it.
pub(super) fn normal_email(text: &str) -> Result<String, FieldProblem> {
    let (local, domain) = parts(text)?;
    a_labels(&domain)?;
    let domain = lowered(&domain);
    // Lower-casing may have turned the domain into one that IDNA refuses.
    a_labels(&domain)?;
    checked(local, '@', &domain)
}

fn checked(local: String, at: char, domain: &str) -> Result<String, FieldProblem> {
    if local.len() > LOCAL_PART_MAX || local.len() + 1 + domain.len() > EMAIL_MAX {
        return Err(refused("longer than an e-mail address may be"));
    }
    let mut whole = local;
    whole.push(at);
    whole.push_str(domain);
    Ok(whole)
}

fn parts(text: &str) -> Result<(String, String), FieldProblem> {
    let text = text.trim();
    if text.len() > 4 * EMAIL_MAX {
        return Err(refused("longer than an e-mail address may be"));
    }
    let text: Cow<'_, str> = if text.is_ascii() {
        text.into()
    } else {
        text.nfc().collect::<String>().into()
    };
    if text.chars().any(|c| c.is_control() || is_unseen(c)) {
        return Err(refused("an e-mail address with an invisible character"));
    }
    if text.contains(char::is_whitespace) {
        return Err(refused("an e-mail address with a space"));
    }
    if text.contains(['<', '>', '(', ')', '[', ']', ',', ';', ':', '"', '\\']) {
        return Err(refused("not a plain e-mail address"));
    }
    let (local, domain) = text
        .split_once('@')
        .ok_or_else(|| refused("an e-mail address without @"))?;
    if domain.contains('@') {
        return Err(refused("an e-mail address with two @"));
    }
    if local.is_empty() || domain.is_empty() {
        return Err(refused(
            "an e-mail address with nothing before or after the @",
        ));
    }
    Ok((local.to_owned(), domain.to_owned()))
}

/// Characters that show nothing, or turn the text around them: two addresses that look alike would differ.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn lowered(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).nfc().collect()
}

fn a_labels(domain: &str) -> Result<String, FieldProblem> {
    let bad = || refused("an e-mail address with a domain that can't be");
    let ascii = if is_plain(domain) {
        domain.to_ascii_lowercase()
    } else {
        idna_labels(domain).ok_or_else(bad)?
    };
    let fits = ascii
        .split('.')
        .all(|label| (1..=63).contains(&label.len()));
    if !fits || ascii.contains('@') {
        return Err(bad());
    }
    Ok(ascii)
}

fn idna_labels(domain: &str) -> Option<String> {
    idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::STD3)
        .ok()
        .map(Cow::into_owned)
}

/// Nearly all domains: IDNA would only lower their case.
fn is_plain(domain: &str) -> bool {
    domain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && !domain.to_ascii_lowercase().contains("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// H-45's table: what is typed, and its key; `None` where it is no address.
    const ADDRESSES: [(&str, Option<&str>); 62] = [
        ("a@example.org", Some("a@example.org")),
        ("Person.0@Example.ORG", Some("person.0@example.org")),
        (" a@example.org ", Some("a@example.org")),
        ("\u{a0}a@example.org\u{2003}", Some("a@example.org")),
        ("\ta@example.org\r\n", Some("a@example.org")),
        ("a+tag@example.org", Some("a+tag@example.org")),
        ("a.b@gmail.com", Some("a.b@gmail.com")),
        ("ab@gmail.com", Some("ab@gmail.com")),
        ("a..b@docomo.example", Some("a..b@docomo.example")),
        (".a@example.org", Some(".a@example.org")),
        ("o'brien@example.org", Some("o'brien@example.org")),
        (
            "a/b=c!d#e$f%g@example.org",
            Some("a/b=c!d#e$f%g@example.org"),
        ),
        ("a&b@example.org", Some("a&b@example.org")),
        ("_@example.org", Some("_@example.org")),
        ("1@example.org", Some("1@example.org")),
        ("a@sub.sub.example.org", Some("a@sub.sub.example.org")),
        ("a@localhost", Some("a@localhost")),
        ("a@xn--mller-kva.example", Some("a@xn--mller-kva.example")),
        ("a@müller.example", Some("a@xn--mller-kva.example")),
        ("a@MÜLLER.example", Some("a@xn--mller-kva.example")),
        ("a@mu\u{308}ller.example", Some("a@xn--mller-kva.example")),
        ("a@XN--MLLER-KVA.example", Some("a@xn--mller-kva.example")),
        ("a@straße.example", Some("a@xn--strae-oqa.example")),
        ("a@strasse.example", Some("a@strasse.example")),
        ("a@例え.テスト", Some("a@xn--r8jz45g.xn--zckzah")),
        ("a@例え。テスト", Some("a@xn--r8jz45g.xn--zckzah")),
        ("a@ｅｘａｍｐｌｅ.org", Some("a@example.org")),
        ("a@example．org", Some("a@example.org")),
        (
            "МАРИЯ@пример.испытание",
            Some("мария@xn--e1afmkfd.xn--80akhbyknj4f"),
        ),
        ("MÜLLER@example.org", Some("müller@example.org")),
        ("mu\u{308}ller@example.org", Some("müller@example.org")),
        ("ΑΣ@example.org", Some("ασ@example.org")),
        ("İ@example.org", Some("i\u{307}@example.org")),
        ("ı@example.org", Some("ı@example.org")),
        ("ﬁ@example.org", Some("ﬁ@example.org")),
        ("K@example.org", Some("k@example.org")),
        ("a@a-b.example", Some("a@a-b.example")),
        ("a@123.example", Some("a@123.example")),
        ("", None),
        ("   ", None),
        ("a", None),
        ("example.org", None),
        ("@", None),
        ("@example.org", None),
        ("a@", None),
        ("a@@example.org", None),
        ("a@b@example.org", None),
        ("a@b.c@d.e", None),
        ("a b@example.org", None),
        ("a@exa mple.org", None),
        ("Ann Smith <a@example.org>", None),
        ("<a@example.org>", None),
        ("a@example.org, b@example.org", None),
        ("\"a b\"@example.org", None),
        ("a@[192.0.2.1]", None),
        ("a\u{200b}@example.org", None),
        ("a@exam\u{200d}ple.org", None),
        ("\u{feff}a@example.org", None),
        ("a\u{202e}b@example.org", None),
        ("a＠example.org", None),
        ("a@example..org", None),
        ("a@example.org.", None),
    ];

    #[test]
    fn h45_the_table_of_addresses() {
        for (text, key) in ADDRESSES {
            assert_eq!(email_key(text).ok().as_deref(), key, "{text:?}");
            assert_eq!(normal_email(text).is_ok(), key.is_some(), "{text:?}");
        }
        for text in [
            "a\u{0}@example.org",
            "a@exa\u{7f}mple.org",
            "a@ex_ample.org",
            "a@example.org\u{ad}",
        ] {
            assert_eq!(email_key(text).unwrap_err().code, "Q-EMAIL", "{text:?}");
        }
        assert!(email_key(&format!("{}@example.org", "a".repeat(65))).is_err());
        assert!(email_key(&format!("a@{}.org", "b".repeat(64))).is_err());
        assert!(email_key(&format!("a@{}", "b.".repeat(200) + "org")).is_err());
        assert!(email_key(&"a".repeat(10_000_000)).is_err());
    }

    #[test]
    fn what_is_written_keeps_the_local_part_and_lowers_the_domain() {
        assert_eq!(
            normal_email(" Person.0@Example.ORG").unwrap(),
            "Person.0@example.org"
        );
        assert_eq!(
            normal_email("A@MÜLLER.example").unwrap(),
            "A@müller.example"
        );
    }

    #[test]
    fn a_reason_never_holds_the_address() {
        let problem = email_key("secret person@example.org").unwrap_err();
        assert!(!problem.reason.contains("secret"));
    }

    /// The folds that the module names, done by other means.
    fn folded(text: &str) -> (String, String) {
        let text: String = text.trim().nfc().collect();
        let (local, domain) = text.split_once('@').unwrap_or_default();
        let lower =
            |text: &str| -> String { text.chars().flat_map(char::to_lowercase).nfc().collect() };
        let (shown, _) = idna::domain_to_unicode(domain);
        (lower(local), lower(&shown))
    }

    /// An address that is nearly the same: some of these changes are declared folds, the others are not.
    fn changed(text: &str, at: usize, change: usize) -> String {
        let letters: Vec<char> = text.chars().collect();
        let at = at % letters.len().max(1);
        let swapped = |from: char, to: &str| match letters.get(at) {
            Some(letter) if *letter == from => to.to_owned(),
            Some(letter) => letter.to_string(),
            None => String::new(),
        };
        let put = |middle: String| -> String {
            let (before, after) = letters.split_at(at);
            let after = after.get(1..).unwrap_or_default();
            before
                .iter()
                .chain(&middle.chars().collect::<Vec<_>>())
                .chain(after)
                .collect()
        };
        let letter = letters.get(at).copied().unwrap_or('a');
        match change {
            0 => put(letter.to_uppercase().collect()),
            1 => put(letter.to_lowercase().collect()),
            2 => put(String::new()),
            3 => put(format!("{letter}.")),
            4 => put(format!("{letter}+tag")),
            5 => put(swapped('ß', "ss")),
            6 => text.nfd().collect(),
            _ => format!(" {text}\u{a0}"),
        }
    }

    fn addresses() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,30}",
            "[a-zA-ZäÖßſKİΣς.+]{1,8}@[a-zA-ZäÖßſKİΣ.-]{1,12}",
            "\\PC{1,6}@\\PC{1,8}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn h45_the_key_is_total_and_idempotent(text in addresses()) {
            if let Ok(key) = email_key(&text) {
                prop_assert_eq!(email_key(&key), Ok(key));
            }
        }

        #[test]
        fn h45_only_the_folds_that_are_declared_make_two_addresses_one(text in addresses(), at in 0usize..30, change in 0usize..8) {
            let other = changed(&text, at, change);
            if let (Ok(key), Ok(same)) = (email_key(&text), email_key(&other))
                && key == same
            {
                prop_assert_eq!(folded(&text), folded(&other), "{:?} and {:?}", text, other);
            }
        }

        #[test]
        fn plain_domains_are_what_idna_makes_of_them(domain in "[a-zA-Z0-9.-]{1,12}") {
            prop_assume!(is_plain(&domain));
            prop_assert_eq!(idna_labels(&domain), Some(domain.to_ascii_lowercase()));
        }

        #[test]
        fn h45_the_written_form_is_idempotent_and_keeps_the_key(text in addresses()) {
            if let Ok(written) = normal_email(&text) {
                prop_assert_eq!(normal_email(&written), Ok(written.clone()));
                if let (Ok(a), Ok(b)) = (email_key(&written), email_key(&text)) {
                    prop_assert_eq!(a, b);
                }
            }
        }
    }
}
