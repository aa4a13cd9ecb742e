//! The id map as CSV: one header line, then bridge, local key, remote id, External ID.
//!
//! It only reads and writes text; whether a link makes sense is decided elsewhere.

use std::collections::HashMap;

use super::cell::{shield, unshield};
use crate::model::{Error, Result};

/// The header line.
pub const HEADER: [&str; 4] = ["bridge", "local_key", "remote_id", "external_id"];

/// How many faults of a file are listed: more come from one cause.
const FAULTS_MAX: usize = 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The bridge.
    pub bridge: String,
    /// The row's key, as text.
    pub local_key: String,
    /// The remote's id.
    pub remote_id: String,
    /// The External ID; null where there is none.
    pub external_id: Option<String>,
}

/// Writes lines as CSV, RFC 4180, without anything that a spreadsheet would execute.
pub fn write(lines: &[Line]) -> Result<Vec<u8>> {
    let failed = |error: csv::Error| {
        Error::unexpected("E-LINKS-CSV", "The links can't be written as CSV").caused_by(error)
    };
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(HEADER).map_err(failed)?;
    for line in lines {
        let cells = [
            line.bridge.as_str(),
            &line.local_key,
            &line.remote_id,
            line.external_id.as_deref().unwrap_or_default(),
        ];
        writer
            .write_record(cells.map(|cell| shield(cell).into_owned()))
            .map_err(failed)?;
    }
    writer
        .into_inner()
        .map_err(|_| Error::unexpected("E-LINKS-CSV", "The links can't be written as CSV"))
}

/// Reads what [`write()`] wrote, with the line number of each. Every fault of the file is told at once (exit 2): a line that is
/// not of this form, and a key or an id that stands twice in one bridge.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<(u64, Line)>> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let mut places = Places::new(text);
    let mut lines = Vec::new();
    let mut faults = Vec::new();
    let mut keys: HashMap<(String, String), u64> = HashMap::new();
    let mut ids: HashMap<(String, String), u64> = HashMap::new();
    let mut first = true;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let number = places.line(error.position());
                faults.push(format!("{name}:{number}: not CSV in UTF-8"));
                break;
            }
        };
        let number = places.line(record.position());
        let cells: Vec<&str> = record.iter().map(unshield).collect();
        if std::mem::take(&mut first) {
            if cells != HEADER {
                faults.push(format!(
                    "{name}:{number}: the first line must be {}",
                    HEADER.join(",")
                ));
                break;
            }
            continue;
        }
        let [bridge, local_key, remote_id, external_id] = cells[..] else {
            faults.push(format!(
                "{name}:{number}: {} cells where 4 belong",
                cells.len()
            ));
            continue;
        };
        if bridge.is_empty() || local_key.is_empty() || remote_id.is_empty() {
            faults.push(format!(
                "{name}:{number}: bridge, local key and remote id must not be empty"
            ));
            continue;
        }
        for (what, text, seen) in [
            ("local key", local_key, &mut keys),
            ("remote id", remote_id, &mut ids),
        ] {
            if let Some(before) = seen.insert((bridge.to_owned(), text.to_owned()), number) {
                faults.push(format!(
                    "{name}:{number}: the same {what} stands in line {before}"
                ));
            }
        }
        lines.push((
            number,
            Line {
                bridge: bridge.to_owned(),
                local_key: local_key.to_owned(),
                remote_id: remote_id.to_owned(),
                external_id: (!external_id.is_empty()).then(|| external_id.to_owned()),
            },
        ));
    }
    if first {
        faults.push(format!("{name}: empty, not even a header line"));
    }
    match refusal(&faults) {
        Some(error) => Err(error),
        None => Ok(lines),
    }
}

/// The lines of a file as an editor counts them: the reader of CSV counts line feeds alone, and a file may end its lines with
/// carriage returns.
struct Places<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line, from 1, on which the record at `position` begins; records are asked for in their order.
    fn line(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.map_or(0, |position| position.byte() as usize);
        while let Some(byte) = self.text.get(self.at) {
            let ends_line = match byte {
                b'\n' => true,
                b'\r' => self.text.get(self.at + 1) != Some(&b'\n'),
                // The place of a record is the end of the one before; empty lines between them are none of its.
                _ if self.at >= begin => break,
                _ => false,
            };
            self.at += 1;
            self.line += u64::from(ends_line);
        }
        self.line
    }
}

/// One error (exit 2) that lists the faults of an import; `None` when there is none.
pub fn refusal(faults: &[String]) -> Option<Error> {
    if faults.is_empty() {
        return None;
    }
    let mut message = format!(
        "Nothing was imported. {}",
        faults[..faults.len().min(FAULTS_MAX)].join("\n")
    );
    if faults.len() > FAULTS_MAX {
        message.push_str(&format!("\n... and {} more", faults.len() - FAULTS_MAX));
    }
    Some(Error::config("E-LINKS", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(key: &str, id: &str, external: Option<&str>) -> Line {
        Line {
            bridge: "members".into(),
            local_key: key.into(),
            remote_id: id.into(),
            external_id: external.map(Into::into),
        }
    }

    #[test]
    fn an_export_is_rfc_4180_and_executes_nowhere() {
        let bytes = write(&[
            line("1", "77", Some("=HYPERLINK(\"x\")")),
            line("a,b", "78", None),
        ])
        .unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "bridge,local_key,remote_id,external_id\r\nmembers,1,77,\"'=HYPERLINK(\"\"x\"\")\"\r\nmembers,\"a,b\",78,\r\n"
        );
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once() {
        let text = "bridge,local_key,remote_id,external_id\nm,1,7,\nm,1,8,\nm,2,7,\nm,3\nm,,9,\n";
        let message = read("l.csv", text.as_bytes()).unwrap_err().to_string();
        for part in [
            "l.csv:3: the same local key stands in line 2",
            "l.csv:4: the same remote id stands in line 2",
            "l.csv:5: 2 cells where 4 belong",
            "l.csv:6: bridge, local key and remote id must not be empty",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for end in ["\n", "\r\n", "\r"] {
            let rows = [
                "bridge,local_key,remote_id,external_id",
                "m,1,7,",
                "",
                "m,\"2",
                "\",8,",
                "m,3",
            ];
            let read_lines = |rows: &[&str]| read("l.csv", rows.join(end).as_bytes());
            let message = read_lines(&rows).unwrap_err().to_string();
            assert!(message.contains("l.csv:6: 2 cells"), "{end:?}: {message}");
            let good = read_lines(&rows[..5]).unwrap();
            let numbers: Vec<u64> = good.into_iter().map(|(number, _)| number).collect();
            assert_eq!(numbers, [2, 4], "{end:?}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [
            &b""[..],
            b"id,name\n1,x\n",
            b"bridge,local_key,remote_id,external_id\n\xff,1,2,3\n",
        ] {
            assert_eq!(read("x", bytes).unwrap_err().code(), "E-LINKS");
        }
    }

    proptest! {
        #[test]
        fn import_reads_export_back(texts in proptest::collection::btree_set("[-=+@'a-c\"\r\n,\t ]{1,5}|\\PC{1,6}", 0..8)) {
            let lines: Vec<Line> = texts.iter().map(|text| line(text, text, Some(text))).collect();
            let read: Vec<Line> = read("x", &write(&lines).unwrap()).unwrap().into_iter().map(|(_, line)| line).collect();
            prop_assert_eq!(read, lines);
        }
    }
}
