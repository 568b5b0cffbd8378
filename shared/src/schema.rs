//! A manifest as raw JSON against the schema of our own CRD: every violation, in words a person understands.
//!
//! Admission asks this before it decodes a manifest, since serde stops at the first mistake. The schema is the one
//! `crds/` installs, turned from Kubernetes' dialect into JSON Schema. The fact to know: a mutating webhook runs
//! *before* the API server's own schema validation, so without this a user would see schema errors and the errors of
//! our checks one after the other instead of together.

use std::borrow::Cow;
use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::api::{PostgresTeam, Postgresql};
use crate::field::{FieldError, FieldErrors, FieldPath, Reason};

/// One place where a manifest is not as the schema says.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Where, and what would be right.
    pub error: FieldError,
    /// Whether the value has the wrong type, so that nothing can be made of it. Other violations (a value outside an
    /// enumeration, a missing field) leave a manifest readable, and a check may have a better message for them.
    pub unreadable: bool,
    /// The JSON pointer of the value; of the object that lacks it when it is missing.
    pointer: String,
    /// What can stand in a list in place of the value.
    stand_in: Value,
}

/// The CRD's schema, and the validator made of it.
struct Schema {
    root: Value,
    validator: Option<Validator>,
}

/// Every violation of the CRD's schema, as errors with the paths that Kubernetes would print.
pub fn check(manifest: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for Violation { error, .. } in violations(manifest) {
        errors.push(error.path, error.reason, error.message);
    }
    errors
}

/// Every violation of the CRD's schema.
pub fn violations(manifest: &Value) -> Vec<Violation> {
    schema().violations(manifest)
}

/// Every violation of the schema of `PostgresTeam`.
pub fn team_violations(team: &Value) -> Vec<Violation> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::of(&PostgresTeam::crd())).violations(team)
}

/// The manifest without the values that have the wrong type, the manifest itself where there are none. Lists keep their
/// length, so that paths stay true.
pub fn readable_part<'a>(manifest: &'a Value, violations: &[Violation]) -> Cow<'a, Value> {
    let unreadable: Vec<&Violation> = violations.iter().filter(|violation| violation.unreadable).collect();
    if unreadable.is_empty() {
        return Cow::Borrowed(manifest);
    }
    let mut rest = manifest.clone();
    for violation in unreadable {
        let Some((parent, key)) = violation.pointer.rsplit_once('/') else { continue };
        match rest.pointer_mut(parent) {
            Some(Value::Object(object)) => {
                object.remove(&unescaped(key));
            }
            Some(Value::Array(list)) => {
                if let Some(element) = key.parse().ok().and_then(|at: usize| list.get_mut(at)) {
                    *element = violation.stand_in.clone();
                }
            }
            _ => {}
        }
    }
    Cow::Owned(rest)
}

/// The schema of a manifest, as JSON Schema.
pub(crate) fn root() -> &'static Value {
    &schema().root
}

/// The schema of manifests, compiled once per process.
fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::of(&Postgresql::crd()))
}

impl Schema {
    /// The CRD's schema as JSON Schema. The status is not the user's to write and is left out.
    fn of(crd: &CustomResourceDefinition) -> Self {
        let crd = serde_json::to_value(crd).unwrap_or_default();
        let mut root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
        if let Some(properties) = root.pointer_mut("/properties").and_then(Value::as_object_mut) {
            properties.remove("status");
        }
        translate(&mut root);
        let validator = jsonschema::validator_for(&root).ok();
        Self { root, validator }
    }

    fn violations(&self, object: &Value) -> Vec<Violation> {
        let Some(validator) = &self.validator else { return Vec::new() };
        // Most objects are valid, and looking no further than that costs a fraction of looking for the reasons.
        if validator.is_valid(object) {
            return Vec::new();
        }
        validator.iter_errors(object).filter_map(|error| violation(&self.root, &error)).collect()
    }
}

/// Turns Kubernetes' extensions of OpenAPI into JSON Schema, in place and all the way down.
fn translate(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let nullable = object.remove("nullable") == Some(Value::Bool(true));
    if object.remove("x-kubernetes-int-or-string") == Some(Value::Bool(true)) {
        object.insert("type".to_owned(), json!(["integer", "string"]));
        object.remove("anyOf");
    }
    if object.remove("format") == Some(json!("int32")) {
        object.entry("minimum").or_insert_with(|| json!(i32::MIN));
        object.entry("maximum").or_insert_with(|| json!(i32::MAX));
    }
    object.retain(|key, _| !key.starts_with("x-kubernetes-") && key != "description" && key != "default");
    if nullable {
        admit_null(object);
    }
    for keyword in ["items", "additionalProperties"] {
        object.get_mut(keyword).into_iter().for_each(translate);
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(translate);
    }
}

/// `nullable: true` in JSON Schema.
fn admit_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push(json!("null")),
        Some(one) => *one = json!([one.clone(), "null"]),
        None => {}
    }
    if let Some(Value::Array(options)) = schema.get_mut("enum") {
        options.push(Value::Null);
    }
}

/// What one error of the validator means to a user; nothing where the API server is more lenient.
fn violation(root: &Value, error: &ValidationError<'_>) -> Option<Violation> {
    let pointer = error.instance_path().as_str().to_owned();
    let path = path(root, &pointer);
    let value: &Value = error.instance();
    let mut unreadable = false;
    let mut stand_in = Value::Null;
    let (path, reason, message) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str()?;
            (path.field(name), Reason::Required, "is required".to_owned())
        }
        ValidationErrorKind::Type { kind } => {
            if value.is_null() && !is_element(&pointer) {
                return required_null(root, &pointer, path);
            }
            unreadable = true;
            let wanted = wanted_type(kind);
            stand_in = stand_in_for(wanted);
            (path, Reason::Invalid, wrong_type(wanted, value))
        }
        ValidationErrorKind::Enum { options } => {
            (path, Reason::NotSupported, format!("{value} is not supported; choose one of {}", list(options)))
        }
        ValidationErrorKind::Minimum { limit } => {
            unreadable = limit == &json!(i32::MIN);
            (path, Reason::Invalid, format!("{value} is too small; it must be at least {}", number(limit)))
        }
        ValidationErrorKind::Maximum { limit } => {
            unreadable = limit == &json!(i32::MAX);
            (path, Reason::Invalid, format!("{value} is too large; it must be at most {}", number(limit)))
        }
        ValidationErrorKind::MaxLength { limit } => {
            let length = value.as_str().unwrap_or_default().chars().count();
            (path, Reason::TooLong, format!("has {length} characters; {limit} are the most"))
        }
        ValidationErrorKind::MaxItems { limit } => (
            path,
            Reason::TooLong,
            format!("has {} items; {limit} are the most", value.as_array().map_or(0, Vec::len)),
        ),
        ValidationErrorKind::MaxProperties { limit } => (
            path,
            Reason::TooLong,
            format!("has {} entries; {limit} are the most", value.as_object().map_or(0, Map::len)),
        ),
        ValidationErrorKind::Pattern { pattern } => {
            (path, Reason::Invalid, format!("{value} does not have the form {pattern}"))
        }
        _ => (path, Reason::Invalid, error.to_string()),
    };
    Some(Violation { error: FieldError { path, reason, message }, unreadable, pointer, stand_in })
}

/// The API server drops a null where the schema admits none, so it is as good as absent.
fn required_null(root: &Value, pointer: &str, path: FieldPath) -> Option<Violation> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let required = schema_at(root, parent)?.get("required")?.as_array()?;
    required.contains(&json!(unescaped(key))).then(|| Violation {
        error: FieldError { path, reason: Reason::Required, message: "is required, but is null".to_owned() },
        unreadable: true,
        pointer: pointer.to_owned(),
        stand_in: Value::Null,
    })
}

/// Whether a pointer names an element of a list.
fn is_element(pointer: &str) -> bool {
    pointer.rsplit('/').next().is_some_and(|last| last.parse::<usize>().is_ok())
}

/// The type that was wanted; of several, the first that is not null.
fn wanted_type(kind: &TypeKind) -> JsonType {
    match kind {
        TypeKind::Single(one) => *one,
        TypeKind::Multiple(several) => {
            several.iter().find(|one| *one != JsonType::Null).unwrap_or(JsonType::Null)
        }
    }
}

/// The emptiest value of a type.
fn stand_in_for(wanted: JsonType) -> Value {
    match wanted {
        JsonType::Null => Value::Null,
        JsonType::Boolean => json!(false),
        JsonType::Integer | JsonType::Number => json!(0),
        JsonType::String => json!(""),
        JsonType::Array => json!([]),
        JsonType::Object => json!({}),
    }
}

/// The sentence about a value of the wrong type, with the remedy where it is but a pair of quotes.
fn wrong_type(wanted: JsonType, value: &Value) -> String {
    let wanted = match wanted {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "a list",
        JsonType::Object => "a map",
    };
    match (wanted, value) {
        ("a string", Value::Number(_) | Value::Bool(_)) => {
            format!("must be a string; put it in quotes: \"{value}\"")
        }
        ("true or false" | "a whole number" | "a number", Value::String(text)) => {
            format!("must be {wanted} without quotes, not the string \"{text}\"")
        }
        _ => format!("must be {wanted}, not {}", described(value)),
    }
}

/// What is wrong with a value that should have the type that an OpenAPI schema calls `wanted`, if anything is.
pub(crate) fn unlike(wanted: &str, value: &Value) -> Option<String> {
    let (wanted, fits) = match wanted {
        "boolean" => (JsonType::Boolean, value.is_boolean()),
        "integer" => (JsonType::Integer, value.is_i64() || value.is_u64()),
        "string" => (JsonType::String, value.is_string()),
        "array" => (JsonType::Array, value.is_array()),
        "object" => (JsonType::Object, value.is_object()),
        _ => return None,
    };
    (!fits && !value.is_null()).then(|| wrong_type(wanted, value))
}

/// What kind of value stands there, without repeating a whole map or list.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("the string \"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// An enumeration as a sentence fragment.
fn list(options: &Value) -> String {
    let words = options.as_array().into_iter().flatten().filter(|option| !option.is_null());
    words
        .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `1.0` as `1`.
fn number(limit: &Value) -> String {
    limit.to_string().trim_end_matches(".0").to_owned()
}

/// A JSON pointer as Kubernetes writes paths: `spec.users[zalando]`, `spec.sidecars[2].name`.
fn path(root: &Value, pointer: &str) -> FieldPath {
    let mut path = FieldPath::default();
    let mut schema = Some(root);
    for segment in pointer.split('/').skip(1).map(unescaped) {
        let at: Option<&Value> = schema;
        if let Some(items) = at.and_then(|schema| schema.get("items")) {
            path = segment.parse().map_or_else(|_| path.key(&segment), |index| path.index(index));
            schema = Some(items);
            continue;
        }
        let property = at.and_then(|schema| schema.get("properties")?.get(&segment));
        path = if property.is_some() { path.field(&segment) } else { path.key(&segment) };
        schema = property.or_else(|| at.and_then(|schema| schema.get("additionalProperties")));
    }
    path
}

/// The part of the schema that speaks of the value at `pointer`.
fn schema_at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).map(unescaped).try_fold(root, |schema, segment| {
        schema
            .get("items")
            .or_else(|| schema.get("properties")?.get(&segment))
            .or_else(|| schema.get("additionalProperties"))
    })
}

/// A segment of a JSON pointer as it stands in the document.
fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(fields: &Value) -> Value {
        let mut spec = json!({
            "teamId": "acid", "numberOfInstances": 2, "volume": { "size": "1Gi" }, "postgresql": { "version": "17" },
        });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {}, "spec": spec })
    }

    #[test]
    fn what_kubernetes_would_accept_is_accepted() {
        for fields in [
            json!({ "users": { "a": null, "b": [], "c": ["login"] } }),
            json!({ "livenessProbe": { "tcpSocket": { "port": "postgresql" } } }),
            json!({ "livenessProbe": { "tcpSocket": { "port": 5432 } } }),
            json!({ "additionalVolumes": [{ "name": "a", "mountPath": "/a", "volumeSource": { "nfs": { "x": 1 } } }] }),
            json!({ "preparedDatabases": {}, "sidecars": null, "usersWithSecretRotation": null }),
            json!({ "unknownField": { "is": "pruned" } }),
            json!({ "env": [{ "name": "A", "value": null }] }),
        ] {
            assert_eq!(check(&manifest(&fields)), FieldErrors::default(), "{fields}");
        }
        let mut old = manifest(&json!({}));
        old["status"] = json!("Running");
        assert_eq!(check(&old), FieldErrors::default(), "upstream's old status");
    }

    #[test]
    fn every_violation_has_its_path() {
        let fields = json!({
            "numberOfInstances": 2.5,
            "users": { "my.app": [1], "b": "login" },
            "sidecars": [{ "name": 1 }, "x", { "env": [{ "name": "A", "value": 5 }] }],
            "connectionPooler": { "mode": "statement", "numberOfInstances": 0 },
            "postgresql": { "version": "17", "parameters": { "a/b~c": true } },
        });
        let errors = check(&manifest(&fields));
        let mut paths: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "spec.connectionPooler.mode",
                "spec.connectionPooler.numberOfInstances",
                "spec.numberOfInstances",
                "spec.postgresql.parameters[a/b~c]",
                "spec.sidecars[0].name",
                "spec.sidecars[1]",
                "spec.sidecars[2].env[0].value",
                "spec.users[b]",
                "spec.users[my.app][0]",
            ]
        );
    }

    #[test]
    fn messages_say_what_would_be_right() {
        for (fields, message) in [
            (
                json!({ "postgresql": { "version": "13" } }),
                "\"13\" is not supported; choose one of 14, 15, 16, 17, 18",
            ),
            (json!({ "numberOfInstances": -1 }), "-1 is too small; it must be at least 0"),
            (
                json!({ "volume": { "size": "1Gi", "iops": 90000 } }),
                "90000 is too large; it must be at most 80000",
            ),
            (json!({ "volume": {} }), "is required"),
            (json!({ "teamId": null }), "is required, but is null"),
            (json!({ "teamId": ["a"] }), "must be a string, not a list"),
        ] {
            let messages: Vec<String> =
                check(&manifest(&fields)).iter().map(|error| error.message.clone()).collect();
            assert_eq!(messages, [message], "{fields}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_put_aside_and_lists_keep_their_length() {
        let manifest = manifest(&json!({ "sidecars": [1, { "name": 2, "image": "i" }], "teamId": 3 }));
        let rest = readable_part(&manifest, &violations(&manifest));
        assert_eq!(rest["spec"]["sidecars"], json!([{}, { "image": "i" }]));
        assert_eq!(rest["spec"].get("teamId"), None);
    }
}
