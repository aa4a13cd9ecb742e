//! What mapping must know about Association Anywhere: the paths that are known, and that others may stand beside them.

use chrono_tz::Tz;

use super::schema::{CUSTOMER, Field, Kind};
use crate::model::{DateStyle, Scalar, Shape, Vocabulary};

/// The patterns of dates, and the same with a time behind them: `joinDate` and `updateTime` are written in one order.
fn with_times(dates: &[String]) -> Vec<String> {
    let mut formats = dates.to_vec();
    for format in dates.iter().filter(|format| !format.contains("%H")) {
        formats.push(format!("{format} %H:%M:%S"));
    }
    formats
}

/// The vocabulary of a site that writes dates as `dates` say, in wall times of `zone` (`association-anywhere.md` §6.3, §10).
pub fn vocabulary(zone: Tz, dates: &[String]) -> Vocabulary {
    Vocabulary {
        kind: "association-anywhere",
        shape: record(&CUSTOMER),
        dates: DateStyle {
            zone,
            formats: with_times(dates),
            sentinel: None,
        },
        // Nobody else's key, but what tells two customers apart who share everything else.
        external_id: Some("custId"),
        email: None,
        read_only: Vec::new(),
        guarded: Vec::new(),
        mirrors: Vec::new(),
        writable: false,
        absence: crate::model::Absence::SilentSections,
    }
}

fn record(fields: &'static [Field]) -> Shape {
    Shape::OpenRecord(
        fields
            .iter()
            .map(|field| {
                let shape = match field.kind {
                    Kind::Text => Shape::Scalar(Scalar::Text),
                    Kind::Bool => Shape::Scalar(Scalar::Bool),
                    Kind::Date => Shape::Scalar(Scalar::DateTime),
                    Kind::Record(fields) => record(fields),
                    Kind::List(_, fields) => Shape::List(Box::new(record(fields))),
                    Kind::Open => Shape::Open,
                };
                (field.name, shape)
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;
    use crate::model::{Cell, ColumnKind, Document, Node};

    fn load(fields: &str) -> crate::model::Result<Mapping> {
        let text = format!(
            "table: {{ name: customers, key: id, create: true }}\nfields:\n  - {{ column: cust_id, remote: custId }}\n{fields}"
        );
        let dates = ["%m/%d/%Y", "%Y-%m-%d"].map(str::to_owned);
        Mapping::load("m.yaml", &text, &vocabulary(Tz::UTC, &dates))
    }

    fn shipped() -> Mapping {
        let dates = ["%m/%d/%Y", "%Y-%m-%d"].map(str::to_owned);
        let text = include_str!("../../../mappings/association-anywhere.yaml");
        Mapping::load("m.yaml", text, &vocabulary(Tz::UTC, &dates)).unwrap()
    }

    #[test]
    fn the_shipped_mapping_keeps_its_laws_and_reads_these_sections() {
        let mapping = shipped();
        assert_eq!(mapping.broken_laws(), []);
        assert_eq!(mapping.children.len(), 8);
        let names: Vec<_> = mapping.remote_names().into_iter().collect();
        assert_eq!(
            names,
            [
                "addresses",
                "committeePositions",
                "custId",
                "custType",
                "customerAttributes",
                "emails",
                "jobs",
                "loginId",
                "memberships",
                "name",
                "phones",
                "subscriptions"
            ]
        );
    }

    #[test]
    fn unknown_names_are_open_and_known_ones_are_spelled_in_one_way() {
        load("  - { column: born, remote: birthDate, type: date }\n  - { column: x, remote: \"webGroups[id=7].name\" }\n").unwrap();
        for (path, says) in [
            ("CustType", "is spelled \"custType\""),
            ("name.first_name", "is spelled \"firstName\""),
            ("emails.address", "is a list"),
            ("name", "is a record"),
        ] {
            let error = load(&format!("  - {{ column: x, remote: {path} }}\n")).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn dates_and_flags_are_typed_and_read_in_the_sites_formats() {
        let fields = "  - { column: a, remote: \"memberships[statusCode=ACTIVE].joinDate\", type: date }\n  - { column: b, remote: seen, type: datetime }\n  - { column: c, remote: \"emails[preferred=true].badAddress\", type: bool }\n";
        let mapping = load(fields).unwrap();
        assert_eq!(mapping.layout.columns[1].kind, ColumnKind::Date);
        let text = |text: &str| Node::Text(text.to_owned());
        let item = |parts: &[(&'static str, &str)]| {
            let mut item = Document::new();
            for (name, value) in parts {
                item.push(*name, text(value));
            }
            Node::List(vec![item])
        };
        for (written, cell) in [
            ("03/15/2021", Ok("2021-03-15")),
            ("2021-03-15", Ok("2021-03-15")),
            ("15/03/2021", Err("Q-DATE")),
        ] {
            let mut document = Document::new();
            document.push(
                "memberships",
                item(&[("statusCode", "ACTIVE"), ("joinDate", written)]),
            );
            document.push("seen", text("03/15/2021 13:14:15"));
            document.push(
                "emails",
                item(&[("preferred", "true"), ("badAddress", "N")]),
            );
            let values = mapping.from_remote(&document);
            let got = values[1].as_ref().map(|value| value.as_deref().unwrap());
            assert_eq!(got.map_err(|problem| problem.code), cell);
            assert_eq!(
                values[2].as_ref().unwrap().as_deref(),
                Some("2021-03-15T13:14:15Z")
            );
            assert_eq!(
                mapping.to_cell(3, values[3].as_ref().unwrap()),
                Ok(Cell::Int(0))
            );
        }
        let wrong =
            load("  - { column: a, remote: \"jobs[best=true].startDate\", type: integer }\n");
        assert!(wrong.unwrap_err().to_string().contains("E-MAP-TYPE"));
    }
}
