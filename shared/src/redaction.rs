//! What may be shown of manifests, objects and the configuration: everything but what may be a secret.
//!
//! The operator's REST API asks before it answers. Surprising: every value of an environment variable is hidden, whatever
//! its name, because nobody can tell which of them are secrets; and the annotation in which `kubectl apply` keeps the
//! whole manifest goes, or everything would be there once more.

use serde_json::{Map, Value, json};

/// What stands for something hidden.
pub const HIDDEN: &str = "(hidden)";

/// The ends of keys that hold secrets: credentials of object stores and of Scalyr, in manifests and in the configuration.
const SECRET_KEYS: &[&str] = &["access_key_id", "secret_access_key", "account_key", "api_key"];

/// Keys whose lists hold environment variables.
const ENVIRONMENTS: &[&str] = &["env"];

/// Metadata that repeats the object.
const REPETITIONS: &[(&str, &str)] =
    &[("metadata", "managedFields"), ("annotations", "kubectl.kubernetes.io/last-applied-configuration")];

/// Hides what may be a secret.
pub fn without_secrets(mut value: Value) -> Value {
    hide(&mut value);
    value
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => hide_in(map),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hide_in(map: &mut Map<String, Value>) {
    for (key, value) in map.iter_mut() {
        if SECRET_KEYS.iter().any(|end| key.ends_with(end)) && value.is_string() {
            *value = json!(HIDDEN);
        }
        if ENVIRONMENTS.contains(&key.as_str()) {
            let variables = value.as_array_mut().into_iter().flatten();
            let values = variables.filter_map(|variable| variable.get_mut("value"));
            values.for_each(|value| *value = json!(HIDDEN));
        }
        for (_, repetition) in REPETITIONS.iter().filter(|(parent, _)| parent == key) {
            drop(value.as_object_mut().and_then(|map| map.remove(*repetition)));
        }
        hide(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OperatorConfig;

    const CANARY: &str = "canary-in-the-mine";

    #[test]
    fn nothing_of_a_manifest_that_may_be_a_secret_is_shown() {
        let manifest = json!({
            "metadata": {
                "name": "demo", "managedFields": [{"manager": CANARY}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY, "team": "acid"},
            },
            "spec": {
                "env": [{"name": "TOKEN", "value": CANARY}, {"name": "OTHER", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}],
                "sidecars": [{"name": "a", "env": [{"name": "KEY", "value": CANARY}]}],
                "clone": {"s3_access_key_id": CANARY, "s3_secret_access_key": CANARY, "cluster": "other"},
            },
        });
        let shown = without_secrets(manifest);
        assert!(!shown.to_string().contains(CANARY), "{shown:#}");
        assert_eq!(shown["metadata"]["annotations"], json!({"team": "acid"}));
        assert_eq!(shown["spec"]["env"][0], json!({"name": "TOKEN", "value": HIDDEN}));
        assert_eq!(shown["spec"]["clone"]["cluster"], "other");
    }

    #[test]
    fn nothing_of_the_configuration_that_is_a_secret_is_shown() {
        let mut config = OperatorConfig::default();
        let canary = || Some(CANARY.to_owned());
        config.logical_backup.s3_access_key_id = canary();
        config.logical_backup.s3_secret_access_key = canary();
        config.logical_backup.azure_storage_account_key = canary();
        config.scalyr.api_key = canary();
        let value = serde_json::to_value(&config).unwrap();
        assert!(value.to_string().matches(CANARY).count() == 4, "the canaries were there before");
        let shown = without_secrets(value);
        assert!(!shown.to_string().contains(CANARY), "{shown:#}");
        assert_eq!(shown["kubernetes"]["cluster_name_label"], "cluster-name");
    }
}
