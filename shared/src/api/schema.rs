//! How our types become the schema of a CRD.
//!
//! A field that the CRD requires is a plain type with `#[serde(default)]`: the API server refuses a manifest without
//! it, while we can still read one and report everything else that is wrong with it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

/// Prepares the schema of a manifest's spec: without nulls and with what Kubernetes takes in embedded types.
///
/// A property that is null counts as absent: the API server drops it before it validates, but only where the schema
/// does not admit null. CEL's `has()` would call a null present.
pub(super) fn without_nulls(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        let mut whole = Value::Object(std::mem::take(object));
        relax(&mut whole);
        if let Value::Object(relaxed) = whole {
            *object = relaxed;
        }
    }
}

/// Goes down through a schema and lets each property be what it is, or absent.
fn relax(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for (_, property) in object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        drop_null(property);
    }
    require_no_reference_name(object);
    inner(object).for_each(relax);
}

/// The schemas right below one.
fn inner(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    schema.iter_mut().flat_map(|(keyword, value)| -> Box<dyn Iterator<Item = &mut Value>> {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => Box::new(properties.values_mut()),
            ("anyOf", Value::Array(several)) => Box::new(several.iter_mut()),
            ("items" | "additionalProperties", schema) => Box::new(std::iter::once(schema)),
            _ => Box::new(std::iter::empty()),
        }
    })
}

/// `Option<T>` as `T`: schemars writes a second type, or a choice of the type and null.
fn drop_null(property: &mut Value) {
    let Some(object) = property.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("enum") {
        options.retain(|option| !option.is_null());
    }
    let choice = object.get_mut("anyOf").and_then(Value::as_array_mut);
    if let Some(several) = choice {
        several.retain(|option| option.get("type") != Some(&json!("null")));
        if let [Value::Object(one)] = several.as_slice() {
            let one = one.clone();
            object.remove("anyOf");
            one.into_iter().for_each(|(key, value)| {
                object.entry(key).or_insert(value);
            });
        }
    }
}

/// References to Secrets and ConfigMaps: Kubernetes' own definitions do not require the name, and k8s-openapi's do.
fn require_no_reference_name(schema: &mut Map<String, Value>) {
    let is_reference = schema.get("properties").and_then(Value::as_object).is_some_and(|properties| {
        properties.contains_key("name") && properties.contains_key("optional") && properties.len() <= 3
    });
    if is_reference && let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != "name");
        if required.is_empty() {
            schema.remove("required");
        }
    }
}
