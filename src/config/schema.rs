//! The JSON Schemas (draft 2020-12) of bridge.yaml and of mapping files, for editors.
//!
//! They describe the shape; what only the whole file tells (a clash of limits, a lossy mapping) is left to the readers.
//! A test holds every key of the readers against them, both ways.

use serde_json::{Map, Value as Json, json};

use super::limits::Limits;
use super::settings::{CONFLICTS, DELETES, DIRECTIONS};
use super::{association_anywhere, reader::show_duration, settings};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A number and a unit, such as `10m`.
const DURATION: &str = "^[0-9]+ *(ms|s|m|h|d)$";

/// `schema`, or a text with `${…}` in it, which is read as the type only after it is filled in.
pub(super) fn or_placeholder(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/placeholder" }] })
}

fn placeholder() -> Json {
    json!({
        "type": "string",
        "pattern": "\\$\\{",
        "description": "${NAME}: a variable of the environment; ${NAME:-default}; ${file:/path}: the content of a file",
    })
}

/// A map with these keys and no others.
fn object(title: &str, required: &[&str], properties: Vec<(&str, Json)>) -> Json {
    json!({
        "title": title,
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect::<Map<_, _>>(),
    })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn described(mut schema: Json, description: &str) -> Json {
    if let Json::Object(map) = &mut schema {
        map.insert("description".to_owned(), description.into());
    }
    schema
}

fn with_default(mut schema: Json, default: Json) -> Json {
    if let Json::Object(map) = &mut schema {
        map.insert("default".to_owned(), default);
    }
    schema
}

fn text(description: &str) -> Json {
    // A number without quotes is read as the text that was written.
    json!({ "type": ["string", "number"], "description": description })
}

fn address(description: &str) -> Json {
    json!({
        "type": "string",
        "pattern": "^(https://|http://(localhost|127\\.|\\[::1\\])|.*\\$\\{)",
        "description": format!("{description}; https, or http on loopback"),
    })
}

fn flag(default: bool, description: &str) -> Json {
    described(
        with_default(or_placeholder(json!({ "type": "boolean" })), json!(default)),
        description,
    )
}

fn words<T>(words: &[(&str, T)], default: Option<&str>, description: &str) -> Json {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let schema = described(or_placeholder(json!({ "enum": names })), description);
    match default {
        Some(default) => with_default(schema, json!(default)),
        None => schema,
    }
}

fn whole(low: i64, high: i64, description: &str) -> Json {
    described(
        or_placeholder(json!({ "type": "integer", "minimum": low, "maximum": high })),
        description,
    )
}

/// The schema of bridge.yaml.
pub fn config_schema() -> Json {
    let mut schema = object(
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
    if let Json::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!(DRAFT));
        map.insert("$defs".to_owned(), definitions);
    }
    schema
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
                json!({ "type": "string", "description": "A cron line of five fields, or every 15m; only `run` reads it" }),
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
                    json!(super::DEFAULT_SEND_BATCH),
                ),
            ),
            (
                "ca",
                text("A PEM file with a certificate authority to trust beside those of the system"),
            ),
        ],
    )
}

/// The schema of a mapping file.
pub fn mapping_schema() -> Json {
    let mut schema = object(
        "contactbridge: mapping file",
        &["table", "fields"],
        vec![
            ("table", reference("table")),
            (
                "fields",
                json!({ "type": "array", "minItems": 1, "items": reference("field"), "description": "Columns and what fills them" }),
            ),
            (
                "children",
                json!({ "type": "array", "items": reference("child"), "description": "Repeated parts as rows of their own table" }),
            ),
        ],
    );
    let field_keys = field_properties();
    let child_keys = field_properties()
        .into_iter()
        .filter(|(key, _)| !matches!(*key, "match" | "conflicts" | "generate"))
        .collect();
    let definitions = json!({
        "placeholder": placeholder(),
        "table": object(
            "Table",
            &["name", "key"],
            vec![
                ("name", text("The table; may be schema.table")),
                ("key", text("The column that names a row for good; may be generated by the database")),
                ("create", flag(false, "Make the file and the tables and columns that are missing")),
                (
                    "changes",
                    json!({ "description": "How local edits are found: triggers that we install, comparing every row, or a column with the time of the last change", "anyOf": [
                        { "enum": ["scan", "journal"] }, reference("changes"), reference("placeholder"),
                    ], "default": "scan" }),
                ),
                ("deleted", text("Soft delete: this column is set; left out: the row is deleted")),
            ],
        ),
        "changes": object("A column with the time of the last change", &["column"], vec![("column", text("The column"))]),
        "field": one_source(object("Field", &["column"], field_keys)),
        "child": object(
            "Child table",
            &["table", "from", "parent", "key", "fields"],
            vec![
                ("table", text("The table of the parts")),
                ("from", text("The remote list that the parts stand in")),
                ("parent", text("The column that holds the parent row's key")),
                (
                    "key",
                    json!({ "description": "Remote names that tell the parts of one parent apart", "anyOf": [
                        { "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } },
                    ] }),
                ),
                (
                    "fields",
                    json!({ "type": "array", "minItems": 1, "items": reference("child_field"), "description": "Columns and what fills them" }),
                ),
            ],
        ),
        "child_field": one_source(object("Field of a child table", &["column"], child_keys)),
        "step": {
            "title": "Shaping of a text",
            "anyOf": [
                { "enum": ["email", "trim", "lower", "upper", "collapse"] },
                reference("phone"),
                { "type": "string", "pattern": "^phone:" },
                reference("placeholder"),
            ],
        },
        "phone": object(
            "Phone numbers as E.164",
            &["phone"],
            vec![("phone", json!({ "type": "string", "description": "The country of numbers without one, such as AU" }))],
        ),
    });
    if let Json::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!(DRAFT));
        map.insert("$defs".to_owned(), definitions);
    }
    schema
}

fn one_source(mut field: Json) -> Json {
    if let Json::Object(map) = &mut field {
        let one_of = json!([{ "required": ["remote"] }, { "required": ["template"] }]);
        map.insert("oneOf".to_owned(), one_of);
    }
    field
}

fn field_properties() -> Vec<(&'static str, Json)> {
    let kinds = ["text", "integer", "decimal", "bool", "date", "datetime"].map(|kind| (kind, ()));
    vec![
        ("column", text("The column")),
        (
            "remote",
            json!({ "description": "The remote path, such as addresses[addressTypeID=1].city; of a list the first that is not empty counts (reading only)", "anyOf": [
                { "type": "string" }, { "type": "array", "minItems": 1, "maxItems": 20, "items": { "type": "string" } },
            ] }),
        ),
        (
            "template",
            text("A text made of remote paths, such as {{ firstName }} {{ lastName }}"),
        ),
        (
            "match",
            flag(
                false,
                "Links a newcomer to a row that exists already, where exactly one answers to it",
            ),
        ),
        (
            "type",
            words(&kinds, Some("text"), "The type of the column"),
        ),
        (
            "normalize",
            json!({ "description": "Shapes what is written to the column; a difference that it removes is never pushed", "anyOf": [
                reference("step"), { "type": "array", "items": reference("step"), "maxItems": 10 },
            ] }),
        ),
        (
            "values",
            json!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": ["string", "number", "boolean"] }, "description": "Column value to remote value, one to one" }),
        ),
        (
            "default",
            json!({ "type": ["string", "number", "boolean"], "description": "For an absent value when a record is made" }),
        ),
        (
            "direction",
            words(
                DIRECTIONS,
                None,
                "Which way this field flows; left out: as the bridge",
            ),
        ),
        (
            "conflicts",
            words(
                CONFLICTS,
                None,
                "Who wins for this field; left out: as the bridge",
            ),
        ),
        (
            "generate",
            text("Fills an empty column when a row is made: uuid, or a template"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{data_sync, limits};
    use super::*;

    /// The keys that each object of a schema has, by the name of its definition; the root's name is empty.
    fn keys_of(schema: &Json) -> Vec<(String, BTreeSet<String>)> {
        let keys = |object: &Json| {
            let properties = object.get("properties")?.as_object()?;
            assert_eq!(object["additionalProperties"], json!(false));
            Some(properties.keys().cloned().collect::<BTreeSet<_>>())
        };
        let definitions = schema["$defs"].as_object().unwrap();
        let mut lists: Vec<_> = definitions
            .iter()
            .filter_map(|(name, object)| Some((name.clone(), keys(object)?)))
            .collect();
        lists.push((String::new(), keys(schema).unwrap()));
        lists.sort();
        lists
    }

    #[test]
    fn every_key_of_the_reader_is_in_the_schema_and_no_other() {
        let mut read: Vec<(String, BTreeSet<String>)> = [
            ("", settings::ROOT_KEYS),
            ("http", settings::HTTP_KEYS),
            ("bridge", settings::BRIDGE_KEYS),
            ("mapping_files", settings::MAPPING_KEYS),
            ("limits", limits::LIMIT_KEYS),
            ("contactlist", super::super::contactlist::KEYS),
            ("association-anywhere", association_anywhere::KEYS),
            ("urls", association_anywhere::URL_KEYS),
            ("details", association_anywhere::DETAIL_KEYS),
            ("section", association_anywhere::SECTION_KEYS),
            ("names", association_anywhere::NAME_KEYS),
            ("service_names", association_anywhere::SERVICE_NAME_KEYS),
            ("data-sync", data_sync::KEYS),
            ("receive", data_sync::RECEIVE_KEYS),
            ("tokens", data_sync::TOKEN_KEYS),
            ("tls", data_sync::TLS_KEYS),
            ("send", data_sync::SEND_KEYS),
        ]
        .into_iter()
        .map(|(name, keys)| {
            (
                name.to_owned(),
                keys.iter().map(|key| (*key).to_owned()).collect(),
            )
        })
        .collect();
        read.sort();
        assert_eq!(keys_of(&config_schema()), read);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_key_says_what_it_is() {
        fn walk(json: &Json, root: &Json) {
            match json {
                Json::Object(map) => {
                    if let Some(Json::String(reference)) = map.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{reference}");
                    }
                    if let Some(Json::Object(properties)) = map.get("properties") {
                        for (key, schema) in properties {
                            let says = ["description", "$ref", "const", "title"]
                                .iter()
                                .any(|word| schema.get(word).is_some());
                            assert!(says, "{key} has no description");
                        }
                    }
                    map.values().for_each(|value| walk(value, root));
                }
                Json::Array(items) => items.iter().for_each(|value| walk(value, root)),
                _ => {}
            }
        }
        for schema in [config_schema(), mapping_schema()] {
            assert_eq!(schema["$schema"], json!(DRAFT));
            walk(&schema, &schema);
        }
    }
}
