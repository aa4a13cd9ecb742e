//! The files that `init` writes: a project that passes `check --offline` once its variables are set.
//!
//! Only the texts: whether a file is there already, and writing it, is the command's business.

use crate::model::{Error, Result};

/// A file to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StarterFile {
    /// Its path in the project, with `/` between names.
    pub path: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// The variables of the environment that the starter of a kind reads.
pub fn starter_variables(kind: &str) -> &'static [&'static str] {
    match kind {
        "association-anywhere" => &["AA_VENDOR", "AA_PASSWORD"],
        "data-sync" => &["ORCE_CLIENT_SECRET", "SEND_SECRET"],
        _ => &["CRM_USERNAME", "CRM_PASSWORD"],
    }
}

/// The files for `kind`; `E-USAGE` (exit 2) for one that there is not.
pub fn starter(kind: &str) -> Result<Vec<StarterFile>> {
    match kind {
        "contactlist" => Ok(vec![
            StarterFile {
                path: super::DEFAULT_FILE,
                text: include_str!("starter/contactlist.yaml"),
            },
            StarterFile {
                path: "mappings/contactlist.yaml",
                text: include_str!("../../mappings/contactlist.yaml"),
            },
        ]),
        "association-anywhere" => Ok(vec![
            StarterFile {
                path: super::DEFAULT_FILE,
                text: include_str!("starter/association-anywhere.yaml"),
            },
            StarterFile {
                path: "mappings/association-anywhere.yaml",
                text: include_str!("../../mappings/association-anywhere.yaml"),
            },
        ]),
        "data-sync" => Ok(vec![
            StarterFile {
                path: super::DEFAULT_FILE,
                text: include_str!("starter/data-sync.yaml"),
            },
            StarterFile {
                path: "mappings/orce-customer.yaml",
                text: include_str!("../../mappings/orce-customer.yaml"),
            },
            StarterFile {
                path: "mappings/orce-transaction.yaml",
                text: include_str!("../../mappings/orce-transaction.yaml"),
            },
        ]),
        _ => Err(Error::config(
            "E-USAGE",
            format!("init: there is no kind {kind}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{DatabaseUrl, KINDS, RemoteSettings, Settings};
    use super::*;
    use crate::mapping::Mapping;
    use crate::model::DeletePolicy;
    use crate::remote::data_sync::Object;
    use crate::remote::{association_anywhere, contactlist};

    const READY: [&str; 3] = ["contactlist", "association-anywhere", "data-sync"];

    fn load(text: &str, set: &[&str]) -> Result<Settings> {
        let environment = |name: &str| set.contains(&name).then(|| "x".to_owned());
        Settings::from_text(text, Path::new("bridge.yaml"), &environment)
    }

    #[test]
    fn the_starter_loads_once_its_variables_are_set() {
        for kind in READY {
            let files = starter(kind).unwrap();
            let settings = load(files[0].text, starter_variables(kind)).unwrap();
            assert!(settings.warnings.is_empty());
            let bridge = settings.bridge("members").unwrap();
            assert_eq!(bridge.remote.kind(), kind);
            assert_eq!(bridge.database, DatabaseUrl::Sqlite("customers.db".into()));
            assert_eq!(bridge.mapping.customer, Path::new(files[1].path));
            assert_eq!(bridge.deletes, DeletePolicy::Apply);
            let vocabulary = match &bridge.remote {
                RemoteSettings::DataSync(_) => {
                    let second = bridge.mapping.transaction.as_deref();
                    assert_eq!(second, Some(Path::new(files[2].path)));
                    let words = Object::Transaction.vocabulary();
                    let mapping = Mapping::load(files[2].path, files[2].text, &words).unwrap();
                    mapping.check_direction(bridge.direction).unwrap();
                    Object::Customer.vocabulary()
                }
                RemoteSettings::AssociationAnywhere(remote) => {
                    association_anywhere::vocabulary(remote.time_zone, &remote.dates)
                }
                remote => contactlist::vocabulary(remote.time_zone()),
            };
            let mapping = Mapping::load(files[1].path, files[1].text, &vocabulary).unwrap();
            mapping.check_direction(bridge.direction).unwrap();
        }
    }

    #[test]
    fn the_starter_names_each_variable_that_is_not_set() {
        for kind in READY {
            let files = starter(kind).unwrap();
            let error = load(files[0].text, &[]).unwrap_err().to_string();
            for name in starter_variables(kind) {
                assert!(
                    error.contains(&format!("E-SECRET {name} is not set")),
                    "{error}"
                );
            }
            assert_eq!(error.lines().count(), starter_variables(kind).len());
        }
    }

    #[test]
    fn what_stands_in_comments_would_load_too() {
        for kind in READY {
            let files = starter(kind).unwrap();
            let key = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(key.path(), "00".repeat(32)).unwrap();
            let ca = tempfile::NamedTempFile::new().unwrap();
            let mut text: String = files[0]
                .text
                .lines()
                .map(|line| match line.trim_start().strip_prefix("# ") {
                    Some(rest)
                        if rest.split_once(':').is_some_and(|(key, _)| {
                            key.bytes()
                                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                        }) =>
                    {
                        line.replacen("# ", "", 1) + "\n"
                    }
                    _ => format!("{line}\n"),
                })
                .collect();
            text = text.replace("/etc/contactbridge/key", &key.path().display().to_string());
            for file in ["server.pem", "server.key"] {
                text = text.replace(file, &ca.path().display().to_string());
            }
            text = text.replace("company-ca.pem", &ca.path().display().to_string());
            let settings = load(&text, starter_variables(kind)).unwrap();
            let bridge = settings.bridge("members").unwrap();
            assert!(settings.state_key.is_some() && !bridge.enabled && bridge.schedule.is_some());
        }
    }

    #[test]
    fn every_kind_has_a_starter_and_no_other_is_taken() {
        assert!(KINDS.iter().all(|(kind, _)| READY.contains(kind)));
        let error = starter("ledger").unwrap_err();
        assert_eq!(error.code(), "E-USAGE");
        assert!(error.message().contains("ledger"));
    }
}
