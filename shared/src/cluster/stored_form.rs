//! Kubernetes' own types in the form in which Kubernetes keeps them, so that what means the same is the same.
//!
//! `resolve` passes everything through here that a manifest or the configuration brings in Kubernetes' words. Otherwise
//! `readOnly: false`, an empty list or `1024Mi` would outdate pods that lack nothing, and be applied again at every look.
//! The surprise: whether a zero is kept is a matter of the field. `runAsUser: 0` is; `initialDelaySeconds: 0` is the same
//! as nothing, because the type behind it cannot tell the two apart.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::quantity::as_stored;

/// Fields whose `false` or 0 Kubernetes does not keep.
const PLAIN: &[&str] = &[
    "failureThreshold",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "initialDelaySeconds",
    "partition",
    "periodSeconds",
    "readOnly",
    "stdin",
    "stdinOnce",
    "successThreshold",
    "timeoutSeconds",
    "tty",
];

/// Fields that mean something by being there, with nothing in them.
const MEANT_EVEN_EMPTY: &[&str] = &[
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "labelSelector",
    "namespaceSelector",
    "projected",
    "storageClassName",
];

/// Fields whose keys are anybody's: an empty value is a value there.
const OF_ANY_KEYS: &[&str] =
    &["annotations", "labels", "matchLabels", "nodeSelector", "options", "volumeAttributes"];

/// Fields that hold quantities by name, and fields that are one.
const AMOUNTS: &[&str] = &["limits", "requests"];
const AMOUNT: &[&str] = &["divisor", "sizeLimit"];

/// The value as Kubernetes would keep it.
pub(super) fn stored<T: Serialize + DeserializeOwned>(value: T) -> T {
    let Ok(mut json) = serde_json::to_value(&value) else { return value };
    if !normalise(&mut json) {
        return value;
    }
    serde_json::from_value(json).unwrap_or(value)
}

/// Brings raw JSON of Kubernetes' types into that form; whether anything had to be changed.
pub(super) fn normalise(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => normalise_fields(fields),
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| normalise(item) | changed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn normalise_fields(fields: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for (key, value) in fields.iter_mut() {
        changed |= match (key.as_str(), value) {
            (key, _) if OF_ANY_KEYS.contains(&key) => false,
            (key, Value::Object(amounts)) if AMOUNTS.contains(&key) => {
                amounts.values_mut().fold(false, |changed, amount| write_amount(amount) | changed)
            }
            (key, amount) if AMOUNT.contains(&key) => write_amount(amount),
            (_, value) => normalise(value),
        };
    }
    let before = fields.len();
    fields.retain(|key, value| !is_left_out(key, value));
    changed | (fields.len() != before)
}

fn write_amount(amount: &mut Value) -> bool {
    let Some(text) = amount.as_str() else { return false };
    let written = as_stored(text);
    let changed = written != text;
    if changed {
        *amount = Value::String(written);
    }
    changed
}

/// Whether Kubernetes keeps nothing of it.
fn is_left_out(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(false) => PLAIN.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && PLAIN.contains(&key),
        Value::String(text) => text.is_empty() && !MEANT_EVEN_EMPTY.contains(&key),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty() && !MEANT_EVEN_EMPTY.contains(&key),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, NodeAffinity, Volume};
    use serde_json::json;

    use super::*;

    fn kept<T: Serialize + DeserializeOwned>(given: &str) -> Value {
        let value: T = serde_saphyr::from_str(given).unwrap();
        json!(stored(value))
    }

    #[test]
    fn what_kubernetes_cannot_tell_from_nothing_is_nothing() {
        let container = "
            name: a
            env: [{name: A, value: ''}]
            ports: []
            command: []
            resources: {requests: {cpu: 1000m, memory: 1024Mi}, limits: {}}
            securityContext: {runAsUser: 0, privileged: false, capabilities: {}}
            livenessProbe: {exec: {command: [a]}, initialDelaySeconds: 0, periodSeconds: 0, timeoutSeconds: 3}
            volumeMounts: [{name: m, mountPath: /m, readOnly: false, subPath: ''}]
            stdin: false
            ";
        assert_eq!(
            kept::<Container>(container),
            json!({
                "name": "a",
                "env": [{"name": "A"}],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "securityContext": {"runAsUser": 0, "privileged": false},
                "livenessProbe": {"exec": {"command": ["a"]}, "timeoutSeconds": 3},
                "volumeMounts": [{"name": "m", "mountPath": "/m"}],
            })
        );
    }

    #[test]
    fn what_means_something_by_being_there_stays() {
        let volume = "{name: a, emptyDir: {sizeLimit: 2048Mi, medium: ''}}";
        assert_eq!(kept::<Volume>(volume), json!({"name": "a", "emptyDir": {"sizeLimit": "2Gi"}}));
        assert_eq!(kept::<Volume>("{name: a, emptyDir: {}}"), json!({"name": "a", "emptyDir": {}}));
        let mut selector = json!({"labelSelector": {"matchLabels": {"team": ""}}, "namespaceSelector": {}});
        assert!(!normalise(&mut selector), "{selector}");
        assert_eq!(kept::<NodeAffinity>("{preferredDuringSchedulingIgnoredDuringExecution: []}"), json!({}));
    }
}
