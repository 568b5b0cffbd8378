//! How our types become the schema of a CRD.
//!
//! A field that the CRD requires is a plain type with `#[serde(default)]`: the API server refuses a manifest without
//! it, while we can still read one and report everything else that is wrong with it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Any JSON, for what Kubernetes itself checks when the object that holds it is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Anything(pub serde_json::Value);

impl JsonSchema for Anything {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// Turns the `default` that schemars writes for `#[serde(default)]` into an entry of `required`.
pub(super) fn require_what_has_no_default(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(properties) = object.get_mut("properties").and_then(|p| p.as_object_mut()) else { return };
    let required: Vec<serde_json::Value> = properties
        .iter_mut()
        .filter_map(|(name, property)| {
            property.as_object_mut()?.remove("default").map(|_| name.clone().into())
        })
        .collect();
    object.insert("required".to_owned(), required.into());
}
