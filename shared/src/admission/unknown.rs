//! Fields that the definition of a kind does not know, with what was probably meant.
//!
//! Only the command line asks. The API server drops such fields while it reads an object, before any webhook sees it, so
//! admission cannot tell what a file can.

use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::{PostgresTeam, Postgresql};
use crate::field::{FieldErrors, FieldPath, Reason};
use crate::spelling;

/// What an object of any kind has beside what its definition lists.
const OF_EVERY_KIND: &[&str] = &["apiVersion", "kind", "metadata", "status"];

/// Every field of a `postgresql` or a `PostgresTeam` that would be dropped without a word. Of other kinds, nothing.
pub fn unknown_fields(object: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let schema = match object.get("kind").and_then(Value::as_str) {
        Some("postgresql") => manifests(),
        Some("PostgresTeam") => teams(),
        _ => None,
    };
    if let (Some(schema), Some(fields)) = (schema, object.as_object()) {
        let properties = schema.properties.as_ref();
        for (key, value) in fields.iter().filter(|(key, _)| !OF_EVERY_KIND.contains(&key.as_str())) {
            let path = FieldPath::new(key);
            match properties.and_then(|all| all.get(key)) {
                Some(schema) => walk(schema, value, &path, &mut errors),
                None => unknown(key, path, ["spec"], &mut errors),
            }
        }
    }
    errors
}

fn manifests() -> Option<&'static JSONSchemaProps> {
    static SCHEMA: OnceLock<Option<JSONSchemaProps>> = OnceLock::new();
    SCHEMA.get_or_init(|| schema_of(Postgresql::crd())).as_ref()
}

fn teams() -> Option<&'static JSONSchemaProps> {
    static SCHEMA: OnceLock<Option<JSONSchemaProps>> = OnceLock::new();
    SCHEMA.get_or_init(|| schema_of(PostgresTeam::crd())).as_ref()
}

fn schema_of(crd: CustomResourceDefinition) -> Option<JSONSchemaProps> {
    crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema
}

/// Looks at everything below `path`.
fn walk(schema: &JSONSchemaProps, value: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return;
    }
    match value {
        Value::Array(items) => {
            let Some(JSONSchemaPropsOrArray::Schema(of_items)) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                walk(of_items, item, &path.index(index), errors);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                match (&schema.properties, &schema.additional_properties) {
                    (Some(known), _) if known.contains_key(key) => {
                        known
                            .get(key)
                            .into_iter()
                            .for_each(|of_field| walk(of_field, value, &path.field(key), errors));
                    }
                    (_, Some(JSONSchemaPropsOrBool::Schema(of_values))) => {
                        walk(of_values, value, &path.key(key), errors);
                    }
                    (_, Some(JSONSchemaPropsOrBool::Bool(true))) | (None, None) => {}
                    (known, _) => {
                        let known = known.iter().flatten().map(|(name, _)| name.as_str());
                        unknown(key, path.field(key), known, errors);
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn unknown<'a>(
    key: &str,
    path: FieldPath,
    known: impl IntoIterator<Item = &'a str>,
    errors: &mut FieldErrors,
) {
    let message = match spelling::closest(key, known) {
        Some(meant) => format!("is unknown and would be dropped; did you mean {meant}?"),
        None => "is unknown and would be dropped; remove it".to_owned(),
    };
    errors.push(path, Reason::NotSupported, message);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(object: &Value) -> Vec<String> {
        unknown_fields(object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_slip_is_told_wherever_it_stands() {
        let object = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "x", "anything": 1},
            "specs": {},
            "spec": {
                "teamID": "acid", "volume": {"sise": "1Gi"}, "users": {"anybody": []}, "colour": "red",
                "preparedDatabases": {"shop": {"defaultUser": true}},
                "sidecars": [{"name": "x", "imge": "y"}],
            },
        });
        assert_eq!(
            told(&object),
            [
                "spec.colour: is unknown and would be dropped; remove it",
                "spec.preparedDatabases[shop].defaultUser: is unknown and would be dropped; did you mean defaultUsers?",
                "spec.sidecars[0].imge: is unknown and would be dropped; did you mean image?",
                "spec.teamID: is unknown and would be dropped; did you mean teamId?",
                "spec.volume.sise: is unknown and would be dropped; did you mean size?",
                "specs: is unknown and would be dropped; did you mean spec?",
            ]
        );
    }

    #[test]
    fn a_team_has_its_own_fields_and_other_kinds_are_passed_over() {
        let team =
            json!({"kind": "PostgresTeam", "spec": {"additionalTeam": {}, "additionalMembers": {"any": []}}});
        assert_eq!(
            told(&team),
            ["spec.additionalTeam: is unknown and would be dropped; did you mean additionalTeams?"]
        );
        assert_eq!(told(&json!({"kind": "Pod", "spec": {"x": 1}})), Vec::<String>::new());
    }
}
