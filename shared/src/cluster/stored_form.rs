//! Kubernetes' own types in the form in which Kubernetes keeps them, so that what means the same is the same.
//!
//! `resolve` passes everything through here that a manifest or the configuration brings in Kubernetes' words. Otherwise
//! `readOnly: false`, an empty list or `1024Mi` would outdate pods that lack nothing, and be applied again at every look.
//! The surprise: whether a zero is kept is a matter of the field. `runAsUser: 0` is; `initialDelaySeconds: 0` is the same
//! as nothing, because the type behind it cannot tell the two apart.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::plan::told::{Listener, Scalar, Shape, Stop, tell};
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
    // Almost everything is in that form already, and to hear so costs a tenth of a tree of JSON.
    if is_stored(&value) {
        return value;
    }
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
    let field = Field::of(key);
    match value {
        Value::Null => field.leaves_out(Scalar::Null),
        Value::Bool(value) => field.leaves_out(Scalar::Bool(*value)),
        Value::Number(number) => number.as_i64().is_some_and(|number| field.leaves_out(Scalar::Int(number))),
        Value::String(text) => field.leaves_out(Scalar::Text(text)),
        Value::Array(items) => items.is_empty() && field.leaves_out_empty(Shape::List),
        Value::Object(fields) => fields.is_empty() && field.leaves_out_empty(Shape::Map),
    }
}

/// What matters of a field's name.
#[derive(Clone, Copy, Default)]
struct Field {
    plain: bool,
    meant_even_empty: bool,
    of_any_keys: bool,
    amounts: bool,
    amount: bool,
}

impl Field {
    fn of(key: &str) -> Self {
        Self {
            plain: PLAIN.contains(&key),
            meant_even_empty: MEANT_EVEN_EMPTY.contains(&key),
            of_any_keys: OF_ANY_KEYS.contains(&key),
            amounts: AMOUNTS.contains(&key),
            amount: AMOUNT.contains(&key),
        }
    }

    fn leaves_out(self, value: Scalar<'_>) -> bool {
        match value {
            Scalar::Null => true,
            Scalar::Bool(value) => !value && self.plain,
            Scalar::Int(number) => number == 0 && self.plain,
            Scalar::Float(_) => false,
            Scalar::Text(text) => text.is_empty() && !self.meant_even_empty,
        }
    }

    fn leaves_out_empty(self, shape: Shape) -> bool {
        shape == Shape::List || !self.meant_even_empty
    }
}

/// Whether [`normalise`] would find nothing to change.
fn is_stored(value: &impl Serialize) -> bool {
    tell(value, &mut Inspector { at: Place::Element }).is_ok()
}

/// Hears a value and has heard enough when something in it would be changed.
struct Inspector {
    /// Where the value stands that follows.
    at: Place,
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place {
    /// In a list, or nowhere.
    Element,
    /// In a field.
    In(Field),
    /// Among quantities by name.
    Amount,
}

/// A list or map that is being heard.
struct Open {
    at: Place,
    shape: Shape,
    empty: bool,
}

impl Listener for Inspector {
    type Open = Open;

    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Stop> {
        let is_amount = match self.at {
            Place::Element => false,
            Place::In(field) if field.leaves_out(value) => return Err(Stop),
            Place::In(field) => field.amount,
            Place::Amount => true,
        };
        match value {
            Scalar::Text(text) if is_amount && as_stored(text) != text => Err(Stop),
            _ => Ok(()),
        }
    }

    fn open(&mut self, shape: Shape) -> Result<Open, Stop> {
        Ok(Open { at: self.at, shape, empty: true })
    }

    fn element(&mut self, list: &mut Open) -> Result<(), Stop> {
        list.empty = false;
        self.at = Place::Element;
        Ok(())
    }

    fn key(&mut self, map: &mut Open, key: &str) -> Result<bool, Stop> {
        map.empty = false;
        self.at = match map.at {
            Place::In(field) if field.of_any_keys => return Ok(false),
            Place::In(field) if field.amounts => Place::Amount,
            Place::In(_) | Place::Element | Place::Amount => Place::In(Field::of(key)),
        };
        Ok(true)
    }

    fn close(&mut self, open: Open) -> Result<(), Stop> {
        match open.at {
            Place::In(field) if open.empty && field.leaves_out_empty(open.shape) => Err(Stop),
            _ => Ok(()),
        }
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
    fn a_value_is_in_that_form_exactly_when_nothing_would_be_changed() {
        for (given, is) in [
            ("{}", true),
            ("[]", true),
            ("['', 0, false, {}, []]", true),
            ("a: ''", false),
            ("a: null", false),
            ("a: []", false),
            ("a: {}", false),
            ("a: {b: {c: ''}}", false),
            ("a: [{b: 1}, {b: []}]", false),
            ("emptyDir: {}", true),
            ("emptyDir: []", false),
            ("storageClassName: ''", true),
            ("readOnly: false", false),
            ("readOnly: true", true),
            ("privileged: false", true),
            ("periodSeconds: 0", false),
            ("runAsUser: 0", true),
            ("labels: {a: '', b: {}}", true),
            ("labels: {}", false),
            ("limits: {cpu: '1', memory: 1Gi}", true),
            ("limits: {cpu: 1000m}", false),
            ("limits: {cpu: ''}", true),
            ("sizeLimit: 1024Mi", false),
            ("sizeLimit: 1Gi", true),
        ] {
            let value: Value = serde_saphyr::from_str(given).unwrap();
            assert_eq!(is_stored(&value), is, "{given}");
            assert_eq!(!normalise(&mut value.clone()), is, "{given}");
        }
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
