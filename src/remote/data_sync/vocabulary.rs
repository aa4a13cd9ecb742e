//! What mapping must know about customers and transactions: the paths there are, their types, and how dates are written.

use crate::model::{DateStyle, Vocabulary};

use super::Object;
use super::schema::{self, CUSTOMER, TRANSACTION};

impl Object {
    /// The vocabulary of this object. Names that it does not list are open.
    ///
    /// Points in time carry an offset, written without a colon as the seed does (`+0530`) and in UTC by us; with a colon, `Z` and
    /// fractions are read as well, and one without an offset counts as UTC.
    pub fn vocabulary(self) -> Vocabulary {
        let (fields, id) = match self {
            Self::Customer => (CUSTOMER, "customerID"),
            Self::Transaction => (TRANSACTION, "retailTransactionId"),
        };
        Vocabulary {
            kind: "data-sync",
            shape: schema::shape(fields),
            dates: DateStyle {
                zone: chrono_tz::UTC,
                formats: ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%.f%#z"]
                    .map(str::to_owned)
                    .to_vec(),
                sentinel: None,
            },
            external_id: Some(id),
            email: None,
            read_only: Vec::new(),
            guarded: Vec::new(),
            mirrors: Vec::new(),
            writable: true,
            absence: crate::model::Absence::SilentNames,
        }
    }
}
