//! What mapping must know about Association Anywhere: the paths that are known, and that others may stand beside them.

use chrono_tz::Tz;

use super::schema::{CUSTOMER, Field, Kind};
use crate::model::{DateStyle, Scalar, Shape, Vocabulary};

/// The vocabulary of a site that writes dates as `dates` say, in wall times of `zone` (`association-anywhere.md` §6.3, §10).
pub fn vocabulary(zone: Tz, dates: &[String]) -> Vocabulary {
    Vocabulary {
        kind: "association-anywhere",
        shape: record(&CUSTOMER),
        dates: DateStyle {
            zone,
            formats: dates.to_vec(),
            sentinel: None,
        },
        external_id: None,
        email: None,
        read_only: Vec::new(),
        guarded: Vec::new(),
        mirrors: Vec::new(),
        writable: false,
    }
}

fn record(fields: &'static [Field]) -> Shape {
    Shape::Extensible(
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
