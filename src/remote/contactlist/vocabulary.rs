//! What mapping must know about ContactList: the paths there are, their types, and which may be written.

use chrono_tz::Tz;

use super::schema::{CONTACT, Field, Kind, NO_DATE};
use crate::model::{DateStyle, Mirror, Scalar, Shape, Vocabulary};

/// The vocabulary of a site whose dates are wall times of `zone` (`contactlist.md` §4 and §5).
///
/// Dates are read with 0 to 9 digits of fraction and, though the service is not known to write one, with an offset;
/// they are written to the second and without offset, which is all that was ever seen to be accepted.
pub fn vocabulary(zone: Tz) -> Vocabulary {
    Vocabulary {
        kind: "contactlist",
        shape: record(&CONTACT),
        dates: DateStyle {
            zone,
            formats: [
                "%Y-%m-%dT%H:%M:%S",
                "%Y-%m-%dT%H:%M:%S%.f",
                "%Y-%m-%dT%H:%M:%S%.f%#z",
                "%Y-%m-%d",
            ]
            .map(str::to_owned)
            .to_vec(),
            sentinel: Some(NO_DATE),
        },
        external_id: Some("externalId"),
        email: Some("emailAddress"),
        read_only: vec!["entityId", "deleted", "createDate", "lastUpdateDate"],
        guarded: vec!["username", "password"],
        mirrors: vec![Mirror {
            path: "emailAddress",
            other: "phoneNos[phoneNoTypeID=7].phoneNo",
        }],
        writable: true,
        absence: crate::model::Absence::Empty,
    }
}

fn record(fields: &'static [Field]) -> Shape {
    Shape::Record(
        fields
            .iter()
            .map(|field| {
                let shape = match field.kind {
                    Kind::Text => Shape::Scalar(Scalar::Text),
                    Kind::Integer(_) => Shape::Scalar(Scalar::Integer),
                    Kind::Bool => Shape::Scalar(Scalar::Bool),
                    Kind::DateTime => Shape::Scalar(Scalar::DateTime),
                    Kind::List(_, items) => Shape::List(Box::new(record(items))),
                };
                (field.name, shape)
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(shape: &Shape) -> Vec<&'static str> {
        match shape {
            Shape::Record(fields) => fields.iter().map(|(name, _)| *name).collect(),
            _ => panic!("not a record"),
        }
    }

    #[test]
    fn names_stand_in_the_order_of_the_wire() {
        let vocabulary = vocabulary(chrono_tz::Australia::Sydney);
        let names = names(&vocabulary.shape);
        assert_eq!(names.len(), 22);
        assert_eq!(names[..3], ["entityId", "externalId", "emailAddress"]);
        assert_eq!(names[21], "MasterOptIn");
        for path in vocabulary.read_only.iter().chain(&vocabulary.guarded) {
            assert!(names.contains(path), "{path}");
        }
    }

    #[test]
    fn dates_of_every_written_form_are_read() {
        use chrono::{DateTime, NaiveDateTime};
        let formats = vocabulary(chrono_tz::UTC).dates.formats;
        for (text, offset) in [
            ("2012-08-08T12:22:00", false),
            ("2012-08-08T12:22:00.23", false),
            ("2012-08-08T12:22:00.0530000", false),
            ("2012-08-08T12:22:00+10:00", true),
            ("2012-08-08T12:22:00.5Z", true),
        ] {
            let naive = formats
                .iter()
                .any(|format| NaiveDateTime::parse_from_str(text, format).is_ok());
            let zoned = formats
                .iter()
                .any(|format| DateTime::parse_from_str(text, format).is_ok());
            assert_eq!(zoned, offset, "{text}");
            assert!(naive || zoned, "{text}");
        }
    }
}
