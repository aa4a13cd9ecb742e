//! What may be shown of a service's own sentence: it may quote values of a record, or the credentials.

/// Characters of a sentence that are shown.
const SHOWN_MAX: usize = 120;

/// The first line of `text`, fit to be shown: at most 120 printable characters; what is quoted, holds an `@` or a
/// longer number, or is one of `secrets`, is left out.
pub(super) fn redact(text: &str, secrets: &[&str]) -> String {
    let mut line = first_line(text).to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret, "…");
    }
    for quote in ['\'', '"', '“'] {
        line = without_quoted(&line, quote);
    }
    let words: Vec<&str> = line
        .split_whitespace()
        .filter(|word| !(word.starts_with("System.") && word.ends_with("Exception:")))
        .map(|word| {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            if digits >= 4 || word.contains('@') {
                "…"
            } else {
                word
            }
        })
        .collect();
    printable(&words.join(" ")).take(SHOWN_MAX).collect()
}

/// The characters that can be printed and don't turn the writing direction over.
pub(super) fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// The first line that says something.
pub(super) fn first_line(text: &str) -> &str {
    text.trim_start()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end()
}

/// The line without what stands from the first opening quote to the last closing one: a value may hold quotes itself.
fn without_quoted(line: &str, quote: char) -> String {
    let close = if quote == '“' { '”' } else { quote };
    let opens = line.char_indices().find(|(at, c)| {
        *c == quote && !line[..*at].ends_with(|before: char| before.is_alphanumeric())
    });
    let Some((open, _)) = opens else {
        return line.to_owned();
    };
    let inside = open + quote.len_utf8();
    match line[inside..].rfind(close) {
        Some(length) => format!("{}…{}", &line[..inside], &line[inside + length..]),
        None => format!("{}…", &line[..inside]),
    }
}
