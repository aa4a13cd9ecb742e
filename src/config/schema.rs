//! The JSON Schemas (draft 2020-12) of bridge.yaml and of mapping files, for editors.
//!
//! They describe the shape; what only the whole file tells (a clash of limits, a lossy mapping) is left to the readers.
//! A test holds every key of the readers against them, both ways.

use serde_json::{Map, Value as Json, json};

mod bridge;
mod mapping;

pub use bridge::config_schema;
pub use mapping::mapping_schema;

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

/// A whole schema: the root, and what it refers to.
fn document(mut root: Json, definitions: Json) -> Json {
    if let Json::Object(map) = &mut root {
        map.insert("$schema".to_owned(), json!(DRAFT));
        map.insert("$defs".to_owned(), definitions);
    }
    root
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{association_anywhere, contactlist, data_sync, limits, settings};
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

    /// Key lists of the readers in the form of [`keys_of`].
    fn keys_read(lists: &[(&str, &[&str])]) -> Vec<(String, BTreeSet<String>)> {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let mut lists: Vec<_> = lists
            .iter()
            .map(|(name, keys)| ((*name).to_owned(), owned(keys)))
            .collect();
        lists.sort();
        lists
    }

    #[test]
    fn every_key_of_the_reader_is_in_the_schema_and_no_other() {
        let read = [
            ("", settings::ROOT_KEYS),
            ("http", settings::HTTP_KEYS),
            ("bridge", settings::BRIDGE_KEYS),
            ("mapping_files", settings::MAPPING_KEYS),
            ("limits", limits::LIMIT_KEYS),
            ("contactlist", contactlist::KEYS),
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
        ];
        assert_eq!(keys_of(&config_schema()), keys_read(&read));
        assert_eq!(
            keys_of(&mapping_schema()),
            keys_read(crate::mapping::KEY_LISTS)
        );
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
