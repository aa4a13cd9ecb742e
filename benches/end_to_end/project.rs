//! A user's project in a temporary directory, and the real binary in it.

use std::path::PathBuf;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Taken, measure};
use super::site::Site;

/// What local edits are found by, and where the state lies.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub state: &'static str,
    pub changes: &'static str,
}

/// One project.
pub struct Project {
    directory: TempDir,
    username: String,
    password: String,
}

/// One run of `sync`.
pub struct Synced {
    pub taken: Taken,
    pub report: Value,
}

impl Synced {
    /// A count of the report, such as `pull.created`.
    pub fn count(&self, path: &str) -> u64 {
        let mut at = &self.report;
        for name in path.split('.') {
            at = &at[name];
        }
        at.as_u64().expect("a count")
    }

    /// Whether it wrote to a record of either side.
    pub fn wrote(&self) -> bool {
        ["pull", "push"].iter().any(|way| {
            ["created", "updated", "deleted"]
                .iter()
                .any(|what| self.count(&format!("{way}.{what}")) > 0)
        })
    }
}

impl Project {
    /// A project that keeps `site` and a new database the same; 21 columns are mapped.
    pub fn new(site: &Site, setup: Setup) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = if setup.state == "sqlite" {
            "sqlite:state"
        } else {
            "state"
        };
        let bridge = format!(
            "state: {state}
bridges:
  members:
    remote:
      kind: contactlist
      endpoint: {}
      site_id: {}
      username: ${{CRM_USERNAME}}
      password: ${{CRM_PASSWORD}}
      time_zone: Australia/Sydney
    database: sqlite:customers.db
    mapping: contactlist.yaml
    limits:
      requests_per_second: unlimited
      prefetch: 8
",
            site.endpoint, site.site_id
        );
        let mapping = format!(
            "table: {{ name: customers, key: id, create: true, changes: {} }}
fields:
  - {{ column: customer_no, remote: externalId, match: true }}
  - {{ column: email, remote: emailAddress, match: true, normalize: email }}
  - {{ column: crm_id, remote: entityId, type: integer, direction: pull }}
  - {{ column: title, remote: contactTitle }}
  - {{ column: first_name, remote: firstName }}
  - {{ column: last_name, remote: lastName }}
  - {{ column: full_name, template: \"{{{{ firstName }}}} {{{{ lastName }}}}\", direction: pull }}
  - {{ column: born_on, remote: dateOfBirth, type: date }}
  - {{ column: customer_type, remote: customerType }}
  - {{ column: industry, remote: industryType }}
  - {{ column: lead_source, remote: leadSourceType }}
  - {{ column: rating, remote: ratingType }}
  - {{ column: opted_in, remote: MasterOptIn, type: bool }}
  - {{ column: home_phone, remote: \"phoneNos[phoneNoTypeID=1].phoneNo\" }}
  - {{ column: mobile, remote: \"phoneNos[phoneNoTypeID=5].phoneNo\" }}
  - {{ column: home_line_1, remote: \"addresses[addressTypeID=1].addressLine1\" }}
  - {{ column: home_city, remote: \"addresses[addressTypeID=1].city\" }}
  - {{ column: home_postcode, remote: \"addresses[addressTypeID=1].zipcode\" }}
  - {{ column: home_country, remote: \"addresses[addressTypeID=1].countryCode\" }}
  - {{ column: company, remote: \"crmForms[formName=Membership].crmFormFields[fieldName=Company Name].fieldValue\" }}
  - {{ column: notes, remote: \"crmForms[formName=Membership].crmFormFields[fieldName=Notes].fieldValue\" }}
",
            setup.changes
        );
        std::fs::write(directory.path().join("bridge.yaml"), bridge).expect("a file");
        std::fs::write(directory.path().join("contactlist.yaml"), mapping).expect("a file");
        Self {
            directory,
            username: site.username.clone(),
            password: site.password.clone(),
        }
    }

    /// The customer's database.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("customers.db")
    }

    /// The same, opened as another program of the customer would.
    pub fn connect(&self) -> Connection {
        Connection::open(self.database()).expect("the database is there")
    }

    /// Runs `sync`, which must come through.
    pub fn sync(&self) -> Synced {
        // Another build of the program can be measured against this one's peers.
        let program = std::env::var("CONTACTBRIDGE_BENCH_PROGRAM")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_contactbridge").to_owned());
        let mut command = Command::new(program);
        command
            .args(["sync", "--format", "json"])
            .current_dir(self.directory.path())
            .env("CRM_USERNAME", &self.username)
            .env("CRM_PASSWORD", &self.password);
        if let Ok(level) = std::env::var("CONTACTBRIDGE_BENCH_FLAGS") {
            command.args(level.split_whitespace());
        }
        let (taken, stdout, code) = measure(&mut command);
        assert_eq!(code, Some(0), "sync failed: {stdout}");
        let mut document: Value = serde_json::from_str(&stdout).expect("one document");
        Synced {
            taken,
            report: document["bridges"][0].take(),
        }
    }
}
