//! One object compared with what is there: where, if anywhere, they differ.
//!
//! Only what we ask for is looked at. Kubernetes adds defaults and status to everything, and others may add labels of
//! their own; neither is a difference. What we *no longer* ask for shows in the hash that `build` puts on each object.

use serde_json::Value;

use crate::quantity::Amount;

/// The path of the first place where `live` is not what `desired` asks for.
pub fn first_difference(desired: &Value, live: &Value) -> Option<String> {
    let mut path = Vec::new();
    differs(desired, live, &mut path).then(|| path.join("."))
}

/// Whether they differ; `path` is then where.
fn differs(desired: &Value, live: &Value, path: &mut Vec<String>) -> bool {
    match (desired, live) {
        (Value::Object(wanted), _) => wanted.iter().any(|(key, value)| {
            path.push(key.clone());
            let found = differs(value, live.get(key).unwrap_or(&Value::Null), path);
            if !found {
                path.pop();
            }
            found
        }),
        (Value::Array(wanted), Value::Array(have)) if wanted.len() == have.len() => {
            wanted.iter().zip(have).enumerate().any(|(index, (want, have))| {
                path.push(index.to_string());
                let found = differs(want, have, path);
                if !found {
                    path.pop();
                }
                found
            })
        }
        (want, Value::Null) => !is_nothing(want),
        (Value::String(want), Value::String(have)) if want != have => {
            !(is_amount(path) && same_amount(want, have))
        }
        (want, have) => want != have && !(is_nothing(want) && is_nothing(have)),
    }
}

/// What Kubernetes does not store: it leaves an empty value out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a path leads to a quantity, which Kubernetes may write in another way than we did.
fn is_amount(path: &[String]) -> bool {
    path.iter().rev().nth(1).is_some_and(|parent| parent == "requests" || parent == "limits")
}

fn same_amount(one: &str, other: &str) -> bool {
    matches!((one.parse::<Amount>(), other.parse::<Amount>()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_kubernetes_adds_is_no_difference() {
        let desired = json!({"spec": {"replicas": 2, "template": {"containers": [{"name": "a", "env": [], "value": ""}]}}});
        let live = json!({"spec": {"replicas": 2, "revisionHistoryLimit": 10,
            "template": {"containers": [{"name": "a", "imagePullPolicy": "Always"}]}}, "status": {}});
        assert_eq!(first_difference(&desired, &live), None);
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let desired = json!({"spec": {"ports": [{"port": 5432}]}});
        assert_eq!(
            first_difference(&desired, &json!({"spec": {"ports": [{"port": 5433}]}})).as_deref(),
            Some("spec.ports.0.port")
        );
        assert_eq!(
            first_difference(&desired, &json!({"spec": {"ports": []}})).as_deref(),
            Some("spec.ports")
        );
        assert_eq!(first_difference(&desired, &json!({})).as_deref(), Some("spec.ports"));
    }

    #[test]
    fn quantities_are_compared_by_value_and_only_quantities() {
        let desired = json!({"resources": {"requests": {"cpu": "0.5"}}});
        assert_eq!(first_difference(&desired, &json!({"resources": {"requests": {"cpu": "500m"}}})), None);
        assert!(first_difference(&json!({"value": "1"}), &json!({"value": "1000m"})).is_some());
    }
}
