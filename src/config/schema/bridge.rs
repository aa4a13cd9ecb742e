//! The schema of bridge.yaml.

use serde_json::{Value as Json, json};

use super::super::limits::Limits;
use super::super::settings::{self, CONFLICTS, DELETES, DIRECTIONS};
use super::super::units::show_duration;
use super::super::{DEFAULT_SEND_BATCH, association_anywhere};
use super::{
    DURATION, address, document, flag, object, placeholder, reference, text, whole, with_default,
    words,
};

/// The schema of bridge.yaml.
pub fn config_schema() -> Json {
    let root = object(
        "contactbridge: bridge.yaml",
        &["bridges"],
        vec![
            (
                "state",
                with_default(
                    text(
                        "What each bridge remembers: a directory, sqlite:PATH, or postgres://… to share the work between machines",
                    ),
                    json!(settings::DEFAULT_STATE),
                ),
            ),
            (
                "state_key",
                text(
                    "32 bytes as 64 hex digits or base64: seals what the state must keep of people's data. Left out: a key file is made beside the state",
                ),
            ),
            ("http", reference("http")),
            (
                "bridges",
                json!({
                    "type": "object",
                    "description": "The bridges, by name",
                    "minProperties": 1,
                    "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" },
                    "additionalProperties": { "$ref": "#/$defs/bridge" },
                }),
            ),
        ],
    );
    let definitions = json!({
        "placeholder": placeholder(),
        "http": object(
            "Pages that `run` serves: dashboard, /metrics, /healthz",
            &["listen"],
            vec![("listen", text("ADDRESS:PORT; loopback only: put a proxy with TLS and a login before it"))],
        ),
        "bridge": bridge(),
        "limits": {
            "title": "Limits",
            "type": "object",
            "additionalProperties": false,
            "properties": Limits::schema(),
        },
        "contactlist": contactlist(),
        "association-anywhere": association_anywhere(),
        "urls": object(
            "Addresses of the services, one by one",
            &["queue", "details", "purge"],
            vec![
                ("queue", address("The queue of changed customers")),
                ("details", address("The details of customers")),
                ("purge", address("The purge of the queue")),
                ("force_enqueue", address("Forcing a customer into the queue")),
            ],
        ),
        "details": details(),
        "section": object(
            "Options of a section",
            &[],
            vec![("inactive", flag(false, "Ask for inactive, expired or bad items too"))],
        ),
        "names": object(
            "Names in requests, per service",
            &[],
            association_anywhere::NAME_KEYS.iter().map(|key| (*key, reference("service_names"))).collect(),
        ),
        "service_names": object(
            "Names that one service uses",
            &[],
            vec![
                ("root", text("The root element")),
                ("user", text("The element of the user name")),
                ("password", text("The element of the password")),
                ("number", text("The element of the queue number")),
            ],
        ),
        "data-sync": object(
            "Oracle Retail Customer Engagement, Data Sync",
            &["kind"],
            vec![
                ("kind", json!({ "const": "data-sync" })),
                ("receive", reference("receive")),
                ("send", reference("send")),
            ],
        ),
        "receive": receive(),
        "tokens": object(
            "Tokens that somebody else issues",
            &["issuer", "audience", "jwks_url"],
            vec![
                ("issuer", text("Who issues them")),
                ("audience", text("For whom they must be")),
                ("jwks_url", address("Where the issuer's keys are published")),
                ("ca", text("A certificate authority for that address, beside those of the system (PEM)")),
            ],
        ),
        "tls": object(
            "Certificate and key",
            &["certificate", "key"],
            vec![
                ("certificate", text("The certificate chain, a PEM file")),
                ("key", text("The private key, a PEM file")),
            ],
        ),
        "send": send(),
        "mapping_files": object(
            "Mapping files, per object",
            &["customer"],
            vec![
                ("customer", text("The mapping of customers")),
                ("transaction", text("The mapping of transactions")),
            ],
        ),
    });
    document(root, definitions)
}

fn bridge() -> Json {
    object(
        "Bridge",
        &["remote", "database", "mapping"],
        vec![
            (
                "remote",
                json!({ "description": "The service", "oneOf": [
                    reference("contactlist"), reference("association-anywhere"), reference("data-sync"),
                ] }),
            ),
            (
                "database",
                text("The customer database: sqlite:PATH, postgres://… or mysql://…"),
            ),
            (
                "mapping",
                json!({ "description": "The mapping file, or for data-sync one per object", "anyOf": [
                    { "type": "string" }, reference("mapping_files"),
                ] }),
            ),
            (
                "direction",
                words(DIRECTIONS, Some("both"), "Which way it flows"),
            ),
            (
                "conflicts",
                words(
                    CONFLICTS,
                    Some("newest"),
                    "Who wins when both sides changed a field to different values",
                ),
            ),
            (
                "deletes",
                words(
                    DELETES,
                    Some("apply"),
                    "What becomes of a deletion on one side",
                ),
            ),
            (
                "full_read",
                json!({
                    "description": "How often everything is read and compared, which finds deletions without a flag: a duration, or never",
                    "anyOf": [
                        { "type": "string", "pattern": DURATION },
                        { "const": "never" },
                        reference("placeholder"),
                    ],
                    "default": show_duration(settings::DEFAULT_FULL_READ).replace("1d", "24h"),
                }),
            ),
            (
                "schedule",
                json!({ "type": "string", "description": "A cron line of five fields in the zone of the remote (or CRON_TZ=Europe/Berlin before it), or every 15m; only `run` reads it" }),
            ),
            (
                "enabled",
                flag(true, "A bridge that is not is passed over by sync"),
            ),
            ("limits", reference("limits")),
        ],
    )
}

fn contactlist() -> Json {
    object(
        "ContactList",
        &["kind", "endpoint", "site_id", "password", "time_zone"],
        vec![
            ("kind", json!({ "const": "contactlist" })),
            ("endpoint", address("The address of the service (….asmx)")),
            ("site_id", whole(1, i64::from(i32::MAX), "The site")),
            (
                "username",
                text("The user name; empty, or left out, with a site token as password"),
            ),
            (
                "password",
                text("The password, or the site token; best as ${NAME} or ${file:/path}"),
            ),
            (
                "time_zone",
                text(
                    "The site's own zone by its IANA name, such as Australia/Sydney: its dates carry no offset",
                ),
            ),
            (
                "soap",
                json!({ "description": "The version of SOAP", "enum": [1.2, 1.1, "1.2", "1.1"], "default": 1.2 }),
            ),
            (
                "ca",
                text("A PEM file with a certificate authority to trust beside those of the system"),
            ),
        ],
    )
}

fn association_anywhere() -> Json {
    let mut schema = object(
        "ACGI Association Anywhere",
        &["kind", "username", "password"],
        vec![
            ("kind", json!({ "const": "association-anywhere" })),
            (
                "base",
                address("The address below which the services are, as /PACKAGE.PROCEDURE"),
            ),
            ("urls", reference("urls")),
            ("username", text("The vendor's user")),
            (
                "password",
                text("Its password; best as ${NAME} or ${file:/path}"),
            ),
            (
                "reasons",
                flag(true, "Use the queue that says why each customer is in it"),
            ),
            (
                "purge",
                with_default(
                    json!({ "enum": ["processed", "journalled"], "description": "When the queue is purged: once customers are applied or held, or as soon as their ids are safe in the state" }),
                    json!("processed"),
                ),
            ),
            ("details", reference("details")),
            (
                "dates",
                json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "description": "How its dates are written, as strftime patterns", "default": ["%m/%d/%Y", "%Y-%m-%d"] }),
            ),
            (
                "charset",
                text("Overrules what the answer says of its character set"),
            ),
            (
                "names",
                json!({ "description": "How names are spelled in requests", "anyOf": [
                    { "enum": ["camel", "hyphen"] }, reference("names"),
                ], "default": "camel" }),
            ),
            (
                "time_zone",
                with_default(text("The zone of its times by its IANA name"), json!("UTC")),
            ),
            (
                "ca",
                text("A PEM file with a certificate authority to trust beside those of the system"),
            ),
        ],
    );
    if let Json::Object(map) = &mut schema {
        let one_of = json!([{ "required": ["base"] }, { "required": ["urls"] }]);
        map.insert("oneOf".to_owned(), one_of);
    }
    schema
}

fn details() -> Json {
    let sections: Vec<&str> = association_anywhere::sections().collect();
    let mut properties = vec![
        (
            "chunk",
            with_default(
                whole(
                    1,
                    association_anywhere::CHUNK_MAX,
                    "Customers in one request",
                ),
                json!(association_anywhere::DEFAULT_CHUNK),
            ),
        ),
        (
            "include",
            json!({ "type": "array", "items": { "enum": sections }, "description": "The sections to ask for; left out: those that the mapping uses" }),
        ),
    ];
    properties.extend(association_anywhere::sections().map(|name| (name, reference("section"))));
    object("What is asked for of each customer", &[], properties)
}

fn receive() -> Json {
    let mut schema = object(
        "What is posted to us",
        &["listen"],
        vec![
            ("listen", text("ADDRESS:PORT")),
            (
                "path",
                with_default(text("The path of messages"), json!("/datasync")),
            ),
            (
                "token_path",
                with_default(
                    text("The path at which clients get tokens"),
                    json!("/oauth2/token"),
                ),
            ),
            (
                "clients",
                json!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": ["string", "number"] }, "description": "Client ids and their secrets" }),
            ),
            ("tokens", reference("tokens")),
            ("tls", reference("tls")),
            (
                "order",
                with_default(
                    json!({ "enum": ["arrival", "unique-id"], "description": "What comes first; with unique-id a message older than the last applied for its customer is passed over" }),
                    json!("arrival"),
                ),
            ),
        ],
    );
    if let Json::Object(map) = &mut schema {
        let one_of = json!([{ "required": ["clients"] }, { "required": ["tokens"] }]);
        map.insert("oneOf".to_owned(), one_of);
    }
    schema
}

fn send() -> Json {
    object(
        "What we post",
        &["api_url", "token_url", "client_id", "client_secret"],
        vec![
            ("api_url", address("Where messages go")),
            ("token_url", address("Where tokens come from")),
            ("client_id", text("Our client id")),
            (
                "client_secret",
                text("Our client secret; best as ${NAME} or ${file:/path}"),
            ),
            (
                "scope",
                with_default(text("The scope to ask for; may be empty"), json!("")),
            ),
            (
                "batch",
                with_default(
                    whole(
                        1,
                        10_000,
                        "Messages moved from pending to progress at a time",
                    ),
                    json!(DEFAULT_SEND_BATCH),
                ),
            ),
            (
                "ca",
                text("A PEM file with a certificate authority to trust beside those of the system"),
            ),
        ],
    )
}
