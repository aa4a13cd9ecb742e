//! What the program writes for others to open: the id map as CSV (`links export`), tables and JSON documents.
//!
//! An export is read back as it went, no cell of it is a formula to a spreadsheet, a line feed in a value makes no new line of the file, and nothing
//! that is printed can steer a terminal. The files that write are private to the command line, so they stand here a second time; what goes to
//! stdout is caught in a file in memory, libFuzzer itself writes to stderr.
//!
//! An input is a table: cells end with U+001F, rows with U+001E. It is also read as a file to be imported, as it stands.
#![no_main]

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::sync::{LazyLock, Mutex};

use contactbridge::model;
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

use links::table::{HEADER, Line, read, write};
use output::{Output, clean_cell, clean_lines, table};

// Not everything of these files is called from here.
#[allow(dead_code)]
#[path = "."]
mod links {
    #[path = "../../src/cli/links/cell.rs"]
    pub mod cell;
    #[path = "../../src/cli/links/table.rs"]
    pub mod table;
}

#[allow(dead_code)]
#[path = "../../src/cli/output.rs"]
mod output;

/// As the command line has it.
mod args {
    #[allow(dead_code)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Format {
        Text,
        Json,
    }
}

/// What stands in the place of stdout.
static PRINTED: LazyLock<Mutex<std::fs::File>> = LazyLock::new(|| {
    let file = rustix::fs::memfd_create("printed", rustix::fs::MemfdFlags::empty());
    let file = std::fs::File::from(file.expect("a file in memory"));
    rustix::stdio::dup2_stdout(&file).expect("stdout can be put there");
    Mutex::new(file)
});

fn printed(print: impl FnOnce()) -> String {
    let mut file = PRINTED.lock().expect("one thread");
    file.set_len(0).expect("emptied");
    file.rewind().expect("rewound");
    print();
    file.rewind().expect("rewound");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    text
}

/// Lines that can be links: nothing is empty but the External ID, and no key or id stands twice.
fn lines(input: &str) -> Vec<Line> {
    let mut seen = HashSet::new();
    input
        .split('\u{1e}')
        .filter_map(|row| {
            let mut cells = row.split('\u{1f}').map(str::to_owned);
            let line = Line {
                bridge: cells.next()?,
                local_key: cells.next()?,
                remote_id: cells.next()?,
                external_id: cells.next().filter(|external| !external.is_empty()),
            };
            let full = [&line.bridge, &line.local_key, &line.remote_id];
            let is_new = seen.insert((true, line.bridge.clone(), line.local_key.clone()))
                & seen.insert((false, line.bridge.clone(), line.remote_id.clone()));
            (is_new && full.iter().all(|text| !text.is_empty())).then_some(line)
        })
        .collect()
}

/// RFC 4180 to the letter, and nothing else; `None` for what is not of its form.
fn rfc_4180(mut text: &str) -> Option<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    while !text.is_empty() {
        let mut cell = String::new();
        if let Some(quoted) = text.strip_prefix('"') {
            let mut rest = quoted;
            loop {
                let (piece, behind) = rest.split_once('"')?;
                cell.push_str(piece);
                match behind.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        rest = more;
                    }
                    None => {
                        text = behind;
                        break;
                    }
                }
            }
        } else {
            let end = text.find([',', '\r', '\n', '"'])?;
            cell.push_str(&text[..end]);
            text = &text[end..];
        }
        row.push(cell);
        if let Some(rest) = text.strip_prefix(',') {
            text = rest;
        } else {
            text = text.strip_prefix("\r\n")?;
            rows.push(std::mem::take(&mut row));
        }
    }
    row.is_empty().then_some(rows)
}

/// What a spreadsheet may take for a formula (OWASP, "CSV injection"), and the wide forms that some fold.
fn is_formula(cell: &str) -> bool {
    let wide = ['\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']) || cell.starts_with(wide)
}

fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || matches!(
                c,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            )
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn check_csv(lines: &[Line]) {
    let bytes = write(lines).expect("memory can be written");
    let text = std::str::from_utf8(&bytes).expect("CSV in UTF-8");
    let rows = rfc_4180(text).expect("RFC 4180");
    assert_eq!(rows.len(), lines.len() + 1, "a row a line, and the header");
    assert_eq!(rows[0], HEADER);
    for row in &rows {
        assert_eq!(row.len(), HEADER.len(), "{row:?}");
        assert!(!row.iter().any(|cell| is_formula(cell)), "{row:?}");
    }
    let again = read("export.csv", &bytes).expect("an export can be imported");
    let again: Vec<Line> = again.into_iter().map(|(_, line)| line).collect();
    assert_eq!(again, lines);
}

fn check_import(bytes: &[u8]) {
    match read("import.csv", bytes) {
        Ok(found) => {
            let numbers = found.windows(2).all(|pair| pair[0].0 < pair[1].0);
            assert!(numbers, "each on a line of its own");
            let lines: Vec<Line> = found.into_iter().map(|(_, line)| line).collect();
            check_csv(&lines);
        }
        Err(error) => {
            let said = error.to_string();
            assert!(
                said.lines().count() <= 21 && said.contains("import.csv"),
                "{said}"
            );
        }
    }
}

fn check_printed(input: &str, lines: &[Line]) {
    let shown = table(
        ["BRIDGE", "ROW", "CONTACT"],
        lines.iter().map(|line| {
            [
                line.bridge.clone(),
                line.local_key.clone(),
                line.remote_id.clone(),
            ]
        }),
    );
    assert!(!steers(&shown));
    assert_eq!(shown.lines().count(), lines.len() + 1, "a line a row");
    assert!(!clean_cell(input).contains('\n'));
    let clean = clean_lines(input).into_owned();
    assert!(!steers(&clean));
    assert_eq!(clean_lines(&clean), clean, "what is clean stays");
    let text = printed(|| {
        Output::new(args::Format::Text)
            .text(input)
            .expect("printed")
    });
    assert!(!steers(&text) && (text.is_empty() || text.ends_with('\n')));
    let json = printed(|| {
        Output::new(args::Format::Json)
            .json(&lines)
            .expect("printed")
    });
    assert!(json.ends_with('\n') && !steers(&json), "{json:?}");
    let document = serde_json::to_value(lines).expect("JSON");
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read, document, "the document means what it meant");
}

fuzz_target!(|input: &[u8]| {
    LazyLock::force(&PRINTED);
    bounded(input, || check_import(input));
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let lines = lines(text);
    bounded(input, || check_csv(&lines));
    bounded(input, || check_printed(text, &lines));
});
