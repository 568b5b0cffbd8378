//! What somebody changes on a stored object is found, whatever it is; what Kubernetes adds is no change.
//!
//! The annotation with our hash stays as it was in all of these, as it does when a person edits an object: only the
//! comparison, field by field, can tell. It has a quick half and a slow one, and both must say the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

mod cases;
mod stored;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::plan::object::first_difference;
use shared::plan::{self, Kind, ObjectName};
use stored::{Place, as_stored, place_of, put, stored};

/// The objects of every golden manifest under both configurations.
fn built() -> Vec<Resources> {
    let mut all = Vec::new();
    for config in ["default", "custom"].map(cases::configuration) {
        for manifest in cases::manifests::<Postgresql>() {
            all.push(build(&Cluster::resolve(&manifest, &config, &References::unread()).unwrap()));
        }
    }
    all
}

/// One object alone.
fn alone(name: &ObjectName, place: Place<'_>, object: &Value) -> Option<Resources> {
    let mut all = Resources::default();
    put(&mut all, name.kind, place, object.clone());
    (plan::objects(&all).len() == 1).then_some(all)
}

/// One object as it was read.
fn read(alone: &Resources) -> Value {
    plan::objects(alone).remove(0).1
}

/// What is compared of an object: of some kinds only the metadata is watched.
fn compared(kind: Kind, object: &Value) -> Value {
    match kind {
        Kind::ServiceAccount | Kind::RoleBinding | Kind::Secret => {
            json!({ "metadata": object.get("metadata") })
        }
        _ => object.clone(),
    }
}

/// The pointers of everything that holds nothing else.
fn leaves(value: &Value, place: &str, found: &mut Vec<String>) {
    let step = |key: &str| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, inner)| leaves(inner, &step(key), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, inner)| leaves(inner, &step(&at.to_string()), found));
        }
        _ => found.push(place.to_owned()),
    }
}

/// A value of the same type that is another one.
fn other(value: &Value) -> Value {
    match value {
        Value::Null => json!("x"),
        Value::Bool(on) => json!(!on),
        Value::Number(number) => json!(number.as_i64().unwrap() + 1),
        // A quantity and a moment stay readable, and every text becomes another one.
        Value::String(text) if text.parse::<shared::quantity::Amount>().is_ok() => json!(format!("1{text}")),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["x"]),
        Value::Object(_) => json!({"x": "x"}),
    }
}

fn is_empty(value: &Value) -> bool {
    [json!(""), json!([]), json!({})].contains(value)
}

/// The object with one place changed, and with it removed.
fn drifted(object: &Value, leaf: &str) -> [Value; 2] {
    let (mut changed, mut removed) = (object.clone(), object.clone());
    let value = changed.pointer_mut(leaf).unwrap();
    *value = other(value);
    let (parent, key) = leaf.rsplit_once('/').unwrap();
    match removed.pointer_mut(parent).unwrap() {
        Value::Object(fields) => _ = fields.remove(&key.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) => _ = items.remove(key.parse().unwrap()),
        _ => panic!("{leaf}"),
    }
    [changed, removed]
}

#[test]
fn every_change_of_every_field_of_every_golden_object_is_found() {
    let (mut tried, mut count, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    for wanted in built() {
        for (name, object) in plan::objects(&wanted) {
            let place = place_of(&name, &wanted);
            let (desired, kept) =
                (alone(&name, place, &object).unwrap(), as_stored(name.kind, object.clone()));
            let before = read(&alone(&name, place, &kept).unwrap());
            let mut places = Vec::new();
            leaves(&compared(name.kind, &object), "", &mut places);
            for leaf in places {
                let value = object.pointer(&leaf).unwrap();
                // The same field with the same value was tried on another object.
                if !tried.insert((name.kind, leaf.clone(), value.to_string())) {
                    continue;
                }
                for live in drifted(&kept, &leaf) {
                    // What is no such object any more is not in this store, and some changes are none to its type.
                    let Some(current) = alone(&name, place, &live).filter(|it| read(it) != before) else {
                        continue;
                    };
                    count += 1;
                    let found = plan::between(&current, &desired).first().map(|it| it.field.clone());
                    let expected = match leaf.as_str() {
                        "/metadata/name" | "/metadata/namespace" => Some(None),
                        _ => first_difference(&compared(name.kind, &object), &read(&current)).map(Some),
                    };
                    if found != expected || (expected.is_none() && !is_empty(value)) {
                        wrong.push(format!("{name}{leaf} {value}: {found:?}, not {expected:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 3000, "only {count} changes were tried");
}

#[test]
fn what_kubernetes_adds_to_any_golden_object_is_no_change() {
    for wanted in built() {
        assert_eq!(plan::between(&stored(&wanted), &wanted), []);
        assert_eq!(plan::between(&wanted, &wanted), []);
    }
}

#[test]
fn more_elements_in_a_list_are_a_change_and_more_keys_in_a_map_are_not() {
    let wanted = built().swap_remove(0);
    let mut live = stored(&wanted);
    let set = live.stateful_set.as_mut().unwrap();
    set.metadata.labels.get_or_insert_default().insert("of-others".into(), "yes".into());
    assert_eq!(plan::between(&live, &wanted), []);
    let pod = live.stateful_set.as_mut().unwrap().spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    let variables = pod.containers.first_mut().unwrap().env.as_mut().unwrap();
    variables.push(k8s_openapi::api::core::v1::EnvVar { name: "MORE".into(), ..Default::default() });
    let differences = plan::between(&live, &wanted);
    let fields: Vec<_> = differences.iter().map(|it| it.field.as_deref().unwrap()).collect();
    assert_eq!(fields, ["spec.template.spec.containers.0.env"]);
}

#[test]
fn a_quantity_in_another_notation_is_no_change() {
    let wanted = built().swap_remove(0);
    let mut live = stored(&wanted);
    let claims = live.stateful_set.as_mut().unwrap().spec.as_mut().unwrap().volume_claim_templates.as_mut();
    let requests = claims.unwrap().first_mut().unwrap().spec.as_mut().unwrap().resources.as_mut().unwrap();
    let size = requests.requests.as_mut().unwrap().get_mut("storage").unwrap();
    assert_eq!(size.0, "1Gi");
    size.0 = "1024Mi".into();
    assert_eq!(plan::between(&live, &wanted), []);
    let requests = live.stateful_set.as_mut().unwrap().spec.as_mut().unwrap().volume_claim_templates.as_mut();
    let requests = requests.unwrap().first_mut().unwrap().spec.as_mut().unwrap().resources.as_mut().unwrap();
    requests.requests.as_mut().unwrap().get_mut("storage").unwrap().0 = "1025Mi".into();
    assert_eq!(plan::between(&live, &wanted).len(), 1);
}
