//! Results on stdout: one JSON document, or text and tables.
//!
//! Nothing else writes to stdout. A reader that went away (a closed pipe) ends the output, never the command: the exit
//! code still says what the command did.

use std::borrow::Cow;
use std::io::{ErrorKind as IoKind, Write};

use serde::Serialize;

use super::args::Format;
use crate::model::{Error, Result};

/// Where results go, in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// An output in `format`.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether results are a JSON document.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints `document` as JSON, or else what `text` makes of it.
    pub fn report<T: Serialize>(self, document: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        match self.format {
            Format::Json => self.json(document),
            Format::Text => self.text(&text(document)),
        }
    }

    /// Prints one JSON document and a line feed.
    pub fn json<T: Serialize>(self, document: &T) -> Result<()> {
        let text = serde_json::to_string(document).map_err(|error| {
            Error::unexpected("E-OUTPUT", "The result can't be written as JSON").caused_by(error)
        })?;
        write(format!("{}\n", escape_json(&text)).as_bytes())
    }

    /// Prints text without what could steer a terminal; a line feed is added where it is missing.
    pub fn text(self, text: &str) -> Result<()> {
        let mut text = clean_lines(text).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        write(text.as_bytes())
    }

    /// Writes bytes as they are: for files that happen to go to stdout (CSV, completions).
    pub fn raw(self, bytes: &[u8]) -> Result<()> {
        write(bytes)
    }
}

fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != IoKind::BrokenPipe => Err(Error::needs_person(
            "E-OUTPUT",
            format!(
                "stdout can't be written ({}). Look at the disk or the program that reads it",
                error.kind()
            ),
        )),
        _ => Ok(()),
    }
}

/// A table for people: a line of headings, cells without what could steer a terminal, no ink wasted on frames.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| visible_cell(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A cell of which something can be seen: a row whose values steer the terminal and hold nothing else would look empty.
fn visible_cell(text: &str) -> String {
    let clean = clean_cell(text);
    if clean.trim().is_empty() && !text.is_empty() {
        return "?".to_owned();
    }
    clean
}

/// Whether a character could steer a terminal or turn the reading direction: C0, DEL, C1, and the bidi controls.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

/// Text of several lines without what could steer a terminal; line feeds stay, a tab becomes a space.
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && steers(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .filter_map(|c| match c {
                '\n' => Some('\n'),
                '\t' => Some(' '),
                c if steers(c) => None,
                c => Some(c),
            })
            .collect(),
    )
}

/// As [`clean_lines`], on one line.
pub fn clean_cell(text: &str) -> String {
    clean_lines(text).replace('\n', " ")
}

/// The same JSON document with the characters escaped that could steer a terminal and that JSON allows bare.
fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(steers) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if steers(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let nasty = "a\u{1b}[31mred\u{9b}2J\u{202e}cba\u{7}\r\u{0}\tz\u{2066}";
        let clean = clean_lines(nasty);
        assert_eq!(clean, "a[31mred2Jcba z");
        assert_eq!(clean_cell("two\nlines"), "two lines");
        let shown = table(["NAME"], [["x\u{1b}]0;title\u{7}\ny".to_owned()]]);
        assert_eq!(shown, "NAME\nx]0;title y");
        let unseen = table(["NAME", "ID"], [["\u{0}".to_owned(), String::new()]]);
        assert_eq!(unseen, "NAME  ID\n?");
    }

    #[test]
    fn json_keeps_its_meaning_while_controls_are_escaped() {
        let value = "a\u{1b}[31m\u{9b}\u{202e}é";
        let json = serde_json::to_string(&value).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.chars().any(steers));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), value);
    }

    #[test]
    fn columns_of_a_table_line_up() {
        let shown = table(
            ["A", "B"],
            [["1".into(), "x".into()], ["1000".into(), "y".into()]],
        );
        assert_eq!(shown, "A     B\n1     x\n1000  y");
    }
}
