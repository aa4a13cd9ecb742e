//! The JSON Schemas of bridge.yaml and of mapping files, for editors.

use serde_json::{Value as Json, json};

/// `schema`, or a text with `${…}` in it, which is read as the type only after it is filled in.
pub(super) fn or_placeholder(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/placeholder" }] })
}
