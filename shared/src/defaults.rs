//! The defaults that are written into a manifest: one table.
//!
//! `admission::mutate` writes them and `Cluster::resolve` assumes them. Only *static* ones stand here, which depend on
//! nothing and stay true for ever. What comes from the operator's configuration (image, resources, pooler) is never
//! written: a stored copy would keep a later change of the configuration from reaching the cluster. Nothing inside a
//! list is touched either, since Argo CD takes a list it applied for exactly what must be there.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Value, json};

/// One default: the key that is added to each object at `parent` that lacks it, when `when` holds for that object.
struct Default {
    /// The way to the object from the root; `*` is every key of a map.
    parent: &'static [&'static str],
    /// The key to add.
    key: &'static str,
    /// Its value.
    value: fn() -> Value,
    /// Whether this object wants it.
    when: fn(&Value) -> bool,
}

/// Every default that is written.
const DEFAULTS: &[Default] = &[
    Default {
        parent: &["spec", "standby"],
        key: "standby_port",
        value: || json!("5432"),
        when: |standby| has_text(standby, "standby_host"),
    },
    Default {
        parent: &["spec", "patroni"],
        key: "synchronous_node_count",
        value: || json!(1),
        when: |patroni| patroni.get("synchronous_mode") == Some(&json!(true)),
    },
    Default {
        parent: &["spec", "tls"],
        key: "certificateFile",
        value: || json!("tls.crt"),
        when: |tls| has_text(tls, "secretName"),
    },
    Default {
        parent: &["spec", "tls"],
        key: "privateKeyFile",
        value: || json!("tls.key"),
        when: |tls| has_text(tls, "secretName"),
    },
    Default {
        parent: &["spec", "preparedDatabases", "*"],
        key: "schemas",
        value: || json!({ "data": { "defaultRoles": true } }),
        when: |_| true,
    },
    Default {
        parent: &["spec", "preparedDatabases", "*", "schemas", "*"],
        key: "defaultRoles",
        value: || json!(true),
        when: |_| true,
    },
    Default { parent: PROBE, key: "timeoutSeconds", value: || json!(1), when: |_| true },
    Default { parent: PROBE, key: "periodSeconds", value: || json!(10), when: |_| true },
    Default { parent: PROBE, key: "successThreshold", value: || json!(1), when: |_| true },
    Default { parent: PROBE, key: "failureThreshold", value: || json!(3), when: |_| true },
];

/// Kubernetes fills these in for a pod; written here, a manifest says the same as the pods made from it.
const PROBE: &[&str] = &["spec", "livenessProbe"];

/// Adds every default that is absent. Never changes or removes what is there.
pub fn write(manifest: &mut Value) {
    // An addition leads to an object that is there, so nothing can go wrong.
    drop(json_patch::patch(manifest, &absent(manifest)));
}

/// Every default that is absent, as an addition to the manifest.
pub fn absent(manifest: &Value) -> Patch {
    let mut additions = Vec::new();
    for default in DEFAULTS {
        look(manifest, default.parent, default, &mut PointerBuf::new(), &mut additions);
    }
    Patch(additions)
}

/// Notes `default` for each object that `way` leads to from the value at `place`.
fn look(
    value: &Value,
    way: &[&str],
    default: &Default,
    place: &mut PointerBuf,
    additions: &mut Vec<PatchOperation>,
) {
    let Some(object) = value.as_object() else { return };
    let Some((step, rest)) = way.split_first() else {
        if !object.contains_key(default.key) && (default.when)(value) {
            let path = place.with_trailing_token(default.key);
            additions.push(PatchOperation::Add(AddOperation { path, value: (default.value)() }));
        }
        return;
    };
    let steps = object.iter().filter(|(key, _)| *step == "*" || key == step);
    for (key, inner) in steps {
        place.push_back(key.as_str());
        look(inner, rest, default, place, additions);
        place.pop_back();
    }
}

/// Whether `key` holds a text that is not empty.
fn has_text(object: &Value, key: &str) -> bool {
    object.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut manifest: Value) -> Value {
        write(&mut manifest);
        manifest
    }

    #[test]
    fn a_prepared_database_gets_the_schema_data() {
        assert_eq!(
            written(
                json!({ "spec": { "preparedDatabases": { "app": {}, "x": { "schemas": { "s": {} } } } } })
            ),
            json!({ "spec": { "preparedDatabases": {
                "app": { "schemas": { "data": { "defaultRoles": true } } },
                "x": { "schemas": { "s": { "defaultRoles": true } } },
            } } })
        );
    }

    #[test]
    fn what_is_there_stays_even_when_it_is_null_or_empty() {
        for manifest in [
            json!({ "spec": { "preparedDatabases": { "app": { "schemas": {} } } } }),
            json!({ "spec": { "preparedDatabases": {} } }),
            json!({ "spec": { "standby": { "standby_host": "h", "standby_port": null } } }),
            json!({ "spec": { "tls": { "secretName": "" } } }),
            json!({ "spec": { "users": { "foo": null } } }),
            json!({ "spec": "not a map" }),
        ] {
            assert_eq!(written(manifest.clone()), manifest);
        }
    }

    #[test]
    fn a_second_writing_changes_nothing() {
        let once = written(json!({ "spec": {
            "tls": { "secretName": "s" }, "livenessProbe": {}, "patroni": { "synchronous_mode": true }
        } }));
        assert_eq!(written(once.clone()), once);
    }
}
