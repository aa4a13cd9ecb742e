//! Where a shared state lies: a database, and a schema of ours in it. Whoever shows it shows no user and no password.
//!
//! A schema is one installation: the machines that share the work name the same one, another installation (a test beside
//! production) another.

use std::fmt;

use reqwest::Url;

use crate::config::ServerUrl;
use crate::database::Address;
use crate::local::Dialect;
use crate::model::{Error, Result};

/// The schema that an address without `?schema=NAME` means.
pub const DEFAULT_SCHEMA: &str = "contactbridge";
/// The option of the address that names another.
const OPTION: &str = "schema";
/// PostgreSQL cuts longer names, and two that are cut alike would be one.
const NAME_LENGTH_MAX: usize = 63;

/// `postgres://…` of `state:`.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedPlace {
    url: ServerUrl,
    schema: String,
}

impl SharedPlace {
    /// The place of an address; nothing of it is judged before [`SharedPlace::check`].
    pub fn new(url: ServerUrl) -> Self {
        let schema = Url::parse(url.expose())
            .ok()
            .and_then(|url| {
                url.query_pairs()
                    .find(|(name, _)| name == OPTION)
                    .map(|(_, value)| value.into_owned())
            })
            .unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        Self { url, schema }
    }

    /// Whether it can be used at all: `E-DB-URL`, `E-DB-TLS` (exit 2).
    pub fn check(&self) -> Result<()> {
        self.address().map(|_| ())
    }

    /// The address, checked.
    pub(super) fn address(&self) -> Result<Address> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let good = self.schema.len() <= NAME_LENGTH_MAX
            && !self.schema.starts_with("pg_")
            && self
                .schema
                .starts_with(|letter: char| letter.is_ascii_alphabetic())
            && self.schema.chars().all(plain);
        if !good {
            return Err(Error::config(
                "E-DB-URL",
                format!(
                    "{}: {OPTION}=NAME takes up to {NAME_LENGTH_MAX} letters, digits and \"_\", beginning with a letter and not with pg_",
                    self.url.shown()
                ),
            ));
        }
        Address::read_beside(&self.url, Dialect::Postgres, &[OPTION])
    }

    /// The schema, as a statement has it.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.schema)
    }

    /// The schema, for messages.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }
}

/// Without user, password and options of the connection.
impl fmt::Display for SharedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.shown())?;
        if self.schema != DEFAULT_SCHEMA {
            write!(f, "?{OPTION}={}", self.schema)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::StateLocation;

    fn place(text: &str) -> SharedPlace {
        match StateLocation::parse(text, Path::new("/")) {
            Ok(StateLocation::Postgres(url)) => SharedPlace::new(url),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_schema_is_an_installation_and_no_password_is_shown() {
        let usual = place("postgres://bridge:hunter2@localhost:5433/state");
        assert_eq!(usual.to_string(), "postgres://localhost:5433/state");
        assert_eq!(usual.quoted(), "\"contactbridge\"");
        let other = place("postgres://bridge:hunter2@localhost/state?schema=trial&sslmode=disable");
        assert_eq!(other.to_string(), "postgres://localhost/state?schema=trial");
        for place in [usual, other] {
            assert!(place.check().is_ok());
            assert_eq!(
                place.address().unwrap().password.unwrap().expose(),
                "hunter2"
            );
        }
    }

    #[test]
    fn what_can_not_be_used_is_refused_before_anything_is_connected() {
        for (text, code) in [
            ("postgres://localhost/state?schema=", "E-DB-URL"),
            ("postgres://localhost/state?schema=a%22b", "E-DB-URL"),
            ("postgres://localhost/state?schema=pg_catalog", "E-DB-URL"),
            ("postgres://localhost/state?schma=a", "E-DB-URL"),
            (
                "postgres://db.example.org/state?sslmode=disable",
                "E-DB-TLS",
            ),
        ] {
            let error = place(text).check().unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            assert_eq!(error.kind(), crate::model::ErrorKind::Config);
        }
    }
}
