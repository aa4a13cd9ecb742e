//! The "config" rows of the bad-input table of reliability.md §4.7 and the examples of the user contract, as tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{ConflictPolicy, DeletePolicy, Direction, ErrorKind, Threshold};

fn environment(name: &str) -> Option<String> {
    match name {
        "CRM_USERNAME" => Some("someone@example.org".to_owned()),
        "CRM_PASSWORD" => Some("p: #'\"{}\n\u{e9}".to_owned()),
        "AA_VENDOR" | "AA_PASSWORD" | "ORCE_CLIENT_SECRET" | "SEND_SECRET" => {
            Some("s3cret".to_owned())
        }
        "PREFETCH" => Some("8".to_owned()),
        "HIDDEN" => Some("hunter2".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> crate::model::Result<Settings> {
    Settings::from_text(text, Path::new("/project/bridge.yaml"), &environment)
}

/// The example of the contract's section 1, word for word but for the key file, which is given as `KEY`.
const CONTRACT: &str = r#"# bridge.yaml
state: state                      # a directory (embedded sled, one store per bridge in it) | sqlite:state (the same, in SQLite files)
                                  # | postgres://… to share the work between machines

state_key: KEY   # 32 bytes as 64 hex digits or base64: seals what the state must keep of people's data and keys its
                                  # hashes; left out: a key file made in the state directory (sqlite: beside the file); required with
                                  # a postgres state. Lost or changed: exit 7, then `reseed --relink`

http:                             # only for `run`: dashboard, /metrics, /healthz; left out: none
  listen: 127.0.0.1:8480          # loopback only: put a proxy with TLS and a login before it

bridges:
  members:
    remote:
      kind: contactlist
      endpoint: https://example.worldsecuresystems.com/catalystwebservice/catalystcrmwebservice.asmx
      site_id: 20417
      username: ${CRM_USERNAME}          # empty, or left out, with a site token as password
      password: ${CRM_PASSWORD}
      time_zone: Australia/Sydney        # the site's own zone: its dates carry no offset
      soap: 1.2                          # or 1.1
    database: sqlite:customers.db        # sqlite:… | postgres://… | mysql://…
    mapping: mappings/contactlist.yaml
    direction: both                      # pull | push | both (default both)
    conflicts: newest                    # newest | remote | local | review   (default newest; see 4)
    deletes: apply                       # apply | review | ignore            (default apply)
    full_read: 24h                       # how often everything is read and compared (finds deletions without a flag): 24h | 7d | never
    schedule: "*/15 * * * *"             # or: every 15m; only `run` reads it
    enabled: true
    limits:                              # for every kind of remote
      max_deletes: 10%                   # a percent of that side's live records, or a count, per side and run; a percent never forbids fewer than 5
      max_changes: 80%                   # updates, likewise; never forbids fewer than 50; not applied to a first load
      requests_per_second: 5
      prefetch: 4                        # pages asked for at a time
      batch: 100                         # contacts in one UpdateInsert
                                         # the values shown are the defaults; every further limit (overlap, settle, time-outs, sizes) is a key here too, in `schema`
"#;

const SMALLEST: &str = "bridges:
  members:
    remote:
      kind: contactlist
      endpoint: https://crm.example.org/service.asmx
      site_id: 1
      password: ${CRM_PASSWORD}
      time_zone: Europe/Berlin
    database: sqlite:customers.db
    mapping: contactlist.yaml
";

const ASSOCIATION: &str = r#"bridges:
  members:
    remote:                              # ACGI Association Anywhere
      kind: association-anywhere
      base: https://ams.example.org/prod
      username: ${AA_VENDOR}
      password: ${AA_PASSWORD}
      reasons: true
      purge: processed
      details: { chunk: 50, include: [addresses, phones, emails, memberships], memberships: { inactive: true } }
      dates: ["%m/%d/%Y", "%Y-%m-%d"]
      charset: utf-8
      names: { purge: { root: purgeRequest, user: vendorId, password: vendorPassword, number: maxQueueNum } }
    database: mysql://bridge@db/customers
    mapping: mappings/aa.yaml
"#;

const DATA_SYNC: &str = r#"state: postgres://bridge@db/state
state_key: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
bridges:
  stores:
    remote:                              # Oracle Retail Customer Engagement, "Data Sync"
      kind: data-sync
      receive:
        listen: 127.0.0.1:8443
        path: /datasync
        token_path: /oauth2/token
        clients: { orce: "${ORCE_CLIENT_SECRET}" }
        order: arrival
      send:
        api_url: https://thirdparty.example.org/datasync
        token_url: https://idp.example.org/oauth2/v1/token
        client_id: bridge
        client_secret: ${SEND_SECRET}
        scope: ""
        batch: 100
    database: postgres://bridge@db/customers
    mapping: { customer: mappings/orce-customer.yaml, transaction: mappings/orce-transaction.yaml }
"#;

#[test]
fn the_example_of_the_contract_means_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, format!("{}\n", "0f".repeat(32))).unwrap();
    let text = CONTRACT.replace("KEY", &format!("${{file:{}}}", key.display()));
    let settings = read(&text).unwrap();
    assert_eq!(
        settings.state,
        StateLocation::Directory("/project/state".into())
    );
    assert_eq!(settings.state_key.as_ref().unwrap().expose(), &[15; 32]);
    assert_eq!(settings.http.unwrap().listen.to_string(), "127.0.0.1:8480");
    assert_eq!(settings.warnings, Vec::<String>::new());
    let bridge = settings.bridge("members").unwrap();
    let RemoteSettings::ContactList(remote) = &bridge.remote else {
        panic!("another kind")
    };
    assert_eq!(
        remote.endpoint.as_str(),
        "https://example.worldsecuresystems.com/catalystwebservice/catalystcrmwebservice.asmx"
    );
    assert_eq!(remote.site_id, 20417);
    assert_eq!(remote.username.expose(), "someone@example.org");
    assert_eq!(remote.password.expose(), "p: #'\"{}\n\u{e9}");
    assert_eq!(remote.time_zone, chrono_tz::Australia::Sydney);
    assert_eq!(remote.soap, SoapVersion::V12);
    assert_eq!(
        bridge.database,
        DatabaseUrl::Sqlite("/project/customers.db".into())
    );
    assert_eq!(
        bridge.mapping.customer,
        PathBuf::from("/project/mappings/contactlist.yaml")
    );
    assert_eq!(bridge.direction, Direction::Both);
    assert_eq!(bridge.conflicts, ConflictPolicy::Newest);
    assert_eq!(bridge.deletes, DeletePolicy::Apply);
    assert_eq!(bridge.full_read, Some(Duration::from_secs(86_400)));
    assert!(matches!(bridge.schedule, Some(Schedule::Cron(_))));
    assert!(bridge.enabled);
    assert_eq!(bridge.limits, Limits::default());
    assert_eq!(bridge.limits.max_deletes, Threshold::Percent(10.0));
    assert_eq!(bridge.limits.max_changes, Threshold::Percent(80.0));
    assert_eq!(bridge.limits.requests_per_second, Some(5.0));
    assert_eq!((bridge.limits.prefetch, bridge.limits.batch), (4, 100));
    let shown = format!("{settings:?}");
    assert!(
        !shown.contains("someone") && !shown.contains("p: #"),
        "{shown}"
    );
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_contract() {
    let settings = read(SMALLEST).unwrap();
    assert_eq!(
        settings.state,
        StateLocation::Directory("/project/state".into())
    );
    assert!(settings.state_key.is_none() && settings.http.is_none());
    let bridge = &settings.bridges[0];
    assert_eq!(bridge.direction, Direction::Both);
    assert_eq!(bridge.conflicts, ConflictPolicy::Newest);
    assert_eq!(bridge.deletes, DeletePolicy::Apply);
    assert_eq!(bridge.full_read, Some(DEFAULT_FULL_READ));
    assert!(bridge.enabled && bridge.schedule.is_none());
    assert_eq!(bridge.limits, Limits::default());
    let RemoteSettings::ContactList(remote) = &bridge.remote else {
        panic!("another kind")
    };
    assert!(remote.username.is_empty() && remote.soap == SoapVersion::V12);
}

#[test]
fn values_are_read_as_the_type_that_the_key_needs() {
    let text = SMALLEST.replace("site_id: 1", "site_id: '${SITE:-20}'\n      soap: 1.1")
        + "    full_read: never\n    schedule: every 15m\n    enabled: ${ON:-false}\n    limits: { prefetch: '${PREFETCH}', requests_per_second: unlimited }\n";
    let settings = read(&text).unwrap();
    let bridge = &settings.bridges[0];
    assert_eq!(bridge.limits.prefetch, 8);
    assert_eq!(bridge.limits.requests_per_second, None);
    assert_eq!(bridge.full_read, None);
    assert_eq!(
        bridge.schedule,
        Some(Schedule::Every(Duration::from_secs(900)))
    );
    assert!(!bridge.enabled);
    let RemoteSettings::ContactList(remote) = &bridge.remote else {
        panic!("another kind")
    };
    assert_eq!((remote.site_id, remote.soap), (20, SoapVersion::V11));
}

#[test]
fn the_other_kinds_are_checked_and_refused_with_a_clear_word() {
    let settings = read(ASSOCIATION).unwrap();
    let bridge = &settings.bridges[0];
    assert_eq!(bridge.direction, Direction::Pull);
    let RemoteSettings::AssociationAnywhere(remote) = &bridge.remote else {
        panic!("another kind")
    };
    assert_eq!(remote.chunk, 50);
    assert_eq!(remote.include.as_ref().unwrap().len(), 4);
    assert_eq!(remote.inactive, ["memberships"]);
    assert!(
        matches!(&remote.names, NameStyle::PerService(names) if names[0].number.as_deref() == Some("maxQueueNum"))
    );

    let settings = read(DATA_SYNC).unwrap();
    let bridge = &settings.bridges[0];
    assert_eq!(bridge.direction, Direction::Both);
    assert!(bridge.mapping.transaction.is_some());
    // The key stands readable in the file, which deserves a word.
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);

    let one_way = DATA_SYNC.split("      send:").next().unwrap().to_owned()
        + "    database: sqlite:c.db\n    mapping: m.yaml\n    direction: both\n";
    let error = read(&one_way).unwrap_err();
    assert!(
        error.message().contains("can only be pulled from"),
        "{error}"
    );
}

/// What is wrong, what replaces what in [`SMALLEST`], and the words that the error must have.
#[test]
fn every_row_of_the_table_has_its_code_and_words() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "database: sqlite:customers.db",
            "conflcits: newest\n    database: sqlite:customers.db",
            &[
                "E-CFG-KEY /project/bridge.yaml:9: unknown key \"conflcits\"; did you mean \"conflicts\"?",
            ],
        ),
        (
            "site_id: 1",
            "site_id: 1\n      kind: contactlist",
            &["E-CFG-YAML", "key \"kind\" appears twice (lines 4, 7)"],
        ),
        ("    remote:\n", "    remote:\n\t\n", &[]),
        (
            "      kind: contactlist",
            "  \t  kind: contactlist",
            &["E-CFG-YAML /project/bridge.yaml:4:3: found a tab where spaces are needed"],
        ),
        (
            "site_id: 1",
            "site_id: -5",
            &["E-CFG-VALUE bridges.members.remote.site_id: -5 is out of range (1 .. "],
        ),
        (
            "site_id: 1",
            "site_id: twenty",
            &["E-CFG-VALUE bridges.members.remote.site_id: twenty is not a whole number"],
        ),
        (
            "site_id: 1",
            "site_id: [1]",
            &["E-CFG-VALUE bridges.members.remote.site_id: a list found"],
        ),
        (
            "site_id: 1",
            "site_id:",
            &["E-CFG-KEY bridges.members.remote: key \"site_id\" is missing"],
        ),
        (
            "kind: contactlist",
            "kind: contactlst",
            &[
                "E-CFG-VALUE bridges.members.remote.kind: contactlst is not one of contactlist, association-anywhere, data-sync",
            ],
        ),
        (
            "kind: contactlist",
            "knd: contactlist",
            &["E-CFG-KEY bridges.members.remote: key \"kind\" is missing"],
        ),
        (
            "mapping: contactlist.yaml",
            "mapping: contactlist.yaml\n    limits: { prefetch: -5 }",
            &["E-CFG-VALUE bridges.members.limits.prefetch: -5 is out of range (1 .. 32)"],
        ),
        (
            "mapping: contactlist.yaml",
            "mapping: contactlist.yaml\n    limits: { requests_per_second: 1e9 }",
            &["E-CFG-VALUE bridges.members.limits.requests_per_second: 1e9 is out of range"],
        ),
        (
            "mapping: contactlist.yaml",
            "mapping: contactlist.yaml\n    full_read: soon",
            &["E-CFG-VALUE bridges.members.full_read: soon is not a duration"],
        ),
        (
            "mapping: contactlist.yaml",
            "mapping: { customer: a.yaml }",
            &["E-CFG-VALUE bridges.members.mapping: a map found"],
        ),
        (
            "mapping: contactlist.yaml",
            "mapping: contactlist.yaml\n    schedule: hourly",
            &["E-CFG-VALUE bridges.members.schedule: hourly is neither an interval"],
        ),
        (
            "time_zone: Europe/Berlin",
            "time_zone: Sydney",
            &[
                "E-CFG-ZONE bridges.members.remote.time_zone \"Sydney\": not an IANA zone; e.g. \"Australia/Sydney\"",
            ],
        ),
        (
            "time_zone: Europe/Berlin",
            "time_zone: +10:00",
            &[
                "E-CFG-ZONE bridges.members.remote.time_zone \"+10:00\": not an IANA zone; e.g. \"Australia/Sydney\"",
            ],
        ),
        (
            "      time_zone: Europe/Berlin\n",
            "",
            &[
                "E-CFG-ZONE bridges.members.remote: key \"time_zone\" is missing",
                "e.g. \"Australia/Sydney\"",
            ],
        ),
        (
            "https://crm",
            "http://crm",
            &["E-CFG-URL bridges.members.remote.endpoint: only https is accepted"],
        ),
        (
            "https://crm",
            "https://bridge:hunter2@crm",
            &[
                "E-CFG-URL bridges.members.remote.endpoint: credentials belong in username and password",
            ],
        ),
        (
            "${CRM_PASSWORD}",
            "${CRM_PASSWRD}",
            &["E-SECRET CRM_PASSWRD is not set (/project/bridge.yaml:7)"],
        ),
        (
            "${CRM_PASSWORD}",
            "${file:secrets/none}",
            &["E-SECRET secrets/none: not found (/project/bridge.yaml:7)"],
        ),
        (
            "${CRM_PASSWORD}",
            "${file:/dev/null}",
            &["E-SECRET /dev/null: is empty"],
        ),
        (
            "password: ${CRM_PASSWORD}",
            "password: ''",
            &["E-CFG-VALUE bridges.members.remote.password: must not be empty"],
        ),
        (
            "site_id: 1",
            "site_id: ${HIDDEN}",
            &[
                "E-CFG-VALUE bridges.members.remote.site_id: the value filled in here is not a whole number",
            ],
        ),
        (
            "time_zone: Europe/Berlin",
            "time_zone: ${HIDDEN}",
            &["E-CFG-ZONE bridges.members.remote.time_zone: not an IANA zone"],
        ),
        (
            "https://crm.example.org/service.asmx",
            "${HIDDEN}",
            &["E-CFG-URL bridges.members.remote.endpoint: is not an address"],
        ),
        (
            "sqlite:customers.db",
            "${HIDDEN}",
            &["E-CFG-VALUE bridges.members.database: is not sqlite:PATH"],
        ),
        (
            "sqlite:customers.db",
            "customers.db",
            &[
                "E-CFG-VALUE bridges.members.database: is not sqlite:PATH, postgres://… or mysql://…",
            ],
        ),
        (
            "  members:",
            "  ../members:",
            &["E-CFG-VALUE bridges.../members: a bridge's name is made of"],
        ),
        (
            "      site_id: 1",
            "      ca: nowhere.pem\n      site_id: 1",
            &["E-CFG-VALUE bridges.members.remote.ca: nowhere.pem: there is no such file"],
        ),
        (
            "bridges:",
            "http: { listen: 0.0.0.0:80 }\nbridges:",
            &["E-CFG-URL http.listen: only loopback is accepted"],
        ),
        (
            "bridges:",
            "state: postgres://u@h/d\nbridges:",
            &["E-CFG-KEY /project/bridge.yaml: key \"state_key\" is missing"],
        ),
        (
            "bridges:",
            "state_key: abc\nbridges:",
            &["E-CFG-VALUE state_key: is not 32 bytes"],
        ),
        (
            "bridges:\n",
            "bridges: &all\n",
            &["E-CFG-YAML", "anchors (&) are not accepted"],
        ),
    ];
    for (old, new, words) in rows {
        assert!(SMALLEST.contains(old), "{old}");
        let outcome = read(&SMALLEST.replacen(old, new, 1));
        if words.is_empty() {
            assert!(outcome.is_ok(), "{new}: {outcome:?}");
            continue;
        }
        let error = outcome
            .err()
            .unwrap_or_else(|| panic!("{new} was accepted"));
        assert_eq!(error.kind(), ErrorKind::Config, "{new}");
        let text = error.to_string();
        for word in *words {
            assert!(text.contains(word), "{new}: {text}");
        }
        assert!(!text.contains("hunter2"), "{new}: {text}");
    }
}

#[test]
fn one_cause_is_one_problem() {
    for (old, new) in [
        ("${CRM_PASSWORD}", "${GONE}"),
        ("https://crm.example.org/service.asmx", "${GONE}"),
        ("Europe/Berlin", "${GONE}"),
        ("sqlite:customers.db", "${GONE}"),
        ("contactlist.yaml", "${GONE}"),
        ("site_id: 1", "site_id: ${GONE}"),
        ("kind: contactlist", "kind: ${GONE}"),
    ] {
        let error = read(&SMALLEST.replacen(old, new, 1)).unwrap_err();
        assert!(
            error.to_string().starts_with("E-SECRET GONE is not set"),
            "{error}"
        );
        assert_eq!(error.message().lines().count(), 1, "{error}");
    }
}

#[test]
fn all_problems_of_a_file_are_told_together_in_the_order_of_its_lines() {
    let text = "stat: x
bridges:
  a:
    remote: { kind: contactlist, endpoint: http://x.org, site_id: 0, password: '${GONE}', time_zone: Sydney }
    database: oracle
    mapping: ''
    direction: up
    limits:
      prefetch: 99
  A:
    remote: none
";
    let error = read(text).unwrap_err();
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let starts = [
        "E-CFG-KEY /project/bridge.yaml:1: unknown key \"stat\"; did you mean \"state\"?",
        "E-SECRET GONE is not set (/project/bridge.yaml:4)",
        "E-CFG-URL bridges.a.remote.endpoint: only https is accepted",
        "E-CFG-VALUE bridges.a.remote.site_id: 0 is out of range",
        "E-CFG-ZONE bridges.a.remote.time_zone \"Sydney\"",
        "E-CFG-VALUE bridges.a.database: is not sqlite:PATH",
        "E-CFG-VALUE bridges.a.mapping: must not be empty",
        "E-CFG-VALUE bridges.a.direction: up is not one of pull, push, both",
        "E-CFG-VALUE bridges.a.limits.prefetch: 99 is out of range (1 .. 32)",
        "E-CFG-VALUE bridges.A: differs from another bridge's name in upper and lower case only",
        "E-CFG-KEY bridges.A: key \"database\" is missing",
        "E-CFG-KEY bridges.A: key \"mapping\" is missing",
        "E-CFG-VALUE bridges.A.remote: none found where a map is needed",
    ];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nis not\n{start}");
    }
}

#[test]
fn a_password_written_in_the_file_is_warned_of_by_its_key() {
    let settings = read(&SMALLEST.replace("${CRM_PASSWORD}", "hunter2")).unwrap();
    let [warning] = settings.warnings.as_slice() else {
        panic!("{:?}", settings.warnings)
    };
    for word in [
        "bridges.members.remote.password",
        "${NAME}",
        "${file:/path}",
        "line 7",
    ] {
        assert!(warning.contains(word), "{warning}");
    }
    assert!(!warning.contains("hunter2"));
}

#[test]
fn an_empty_file_and_one_without_bridges_say_what_is_needed() {
    let error = read("# nothing\n").unwrap_err();
    assert!(error.message().contains("contactbridge init"), "{error}");
    let error = read("state: x\n").unwrap_err();
    assert!(
        error.message().contains("key \"bridges\" is missing"),
        "{error}"
    );
    let error = read("bridges: {}\n").unwrap_err();
    assert!(error.message().contains("at least one bridge"), "{error}");
    let error = read("- 1\n").unwrap_err();
    assert!(
        error
            .message()
            .contains("a list found where a map is needed"),
        "{error}"
    );
}

#[test]
fn a_bridge_that_does_not_exist_gets_the_nearest_name() {
    let settings = read(SMALLEST).unwrap();
    let error = settings.bridge("membres").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().contains("did you mean \"members\"?"),
        "{error}"
    );
}

#[test]
fn a_file_is_found_read_and_its_paths_start_from_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.yaml");
    std::fs::write(&file, SMALLEST).unwrap();
    let named = |name: &str| match name {
        FILE_VARIABLE => Some(file.display().to_string()),
        other => environment(other),
    };
    let settings = Settings::load(None, &named).unwrap();
    assert_eq!(
        settings.bridges[0].mapping.customer,
        directory.path().join("contactlist.yaml")
    );
    let error = Settings::load(Some(&directory.path().join("no.yaml")), &named).unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-CFG-READ", ErrorKind::Config)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any line of the examples replaced by anything: settings or an error, never a panic, never a secret shown.
    #[test]
    fn a_broken_file_ends_in_settings_or_an_error(
        which in 0usize..3,
        line in 0usize..40,
        put in prop_oneof![
            "[ \t:\\-\\[\\]{},#'\"&*!|>?%@$a-z0-9]{0,30}",
            " {0,8}[a-z_]{1,12}: [^\r\n]{0,20}",
            " {0,8}(remote|limits|details|receive|send|names|clients|mapping|http|state_key): (\\[\\]|\\{\\}|''|~|\\[1, \\{a: b\\}\\]|\\$\\{HIDDEN\\}|\\{inactive: 3\\})",
        ],
    ) {
        let text = [CONTRACT, ASSOCIATION, DATA_SYNC][which];
        let mut lines: Vec<&str> = text.lines().collect();
        let at = line % lines.len();
        lines[at] = &put;
        if let Err(error) = read(&lines.join("\n")) {
            prop_assert_eq!(error.kind(), ErrorKind::Config);
            prop_assert!(error.code().starts_with("E-"));
            prop_assert!(!error.to_string().contains("hunter2"));
            prop_assert!(!error.to_string().contains("s3cret"));
        }
    }
}
