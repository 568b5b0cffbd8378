//! Every golden case: what upstream's operator really made of a manifest, beside what we make of it.
//!
//! `tests/fixtures/golden/objects` was read back from a real API server. Both sides go through one [`normalised`], which
//! takes away what Kubernetes itself writes; then they must be equal, object by object and field by field, in both
//! directions. Where we differ on purpose, [`DELIBERATE`] says so and why.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use shared::build::{USER_LIST_KEY, build, user_list};
use shared::config::OperatorConfig;
use shared::plan;
use shared::quantity::Amount;

/// Where we differ on purpose: the end of the case's name, a part of `Kind name: path`, and why. None of them restarts
/// a database pod that upstream made: what such a pod's fingerprint does not know is not different.
const DELIBERATE: &[(&str, &str, &str)] = &[
    (
        "shm-fsgroup",
        "StatefulSet acid-shm-fsgroup: spec.template.spec.",
        "`enableShmVolume: false` wins over the configuration, as the documentation says (M4)",
    ),
    ("users", "Secret reader.acid-users", "a role that may not log in needs no password (Q9)"),
    (
        "logical-backup",
        "podAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.labelSelector",
        "backups are drawn to the database they dump, not to other backups",
    ),
    (
        "custom/logical-backup",
        "CronJob lb-acid-logical-backup: (missing in theirs)",
        "upstream makes no CronJob while the Secret with its environment is missing; the Job says so, too",
    ),
];

/// Kinds that are not compared: claims are made by the StatefulSet's controller, ConfigMaps by Patroni, and Endpoints,
/// which Patroni fills, were not recorded.
const NOT_COMPARED: &[&str] = &["ConfigMap", "Endpoints", "PersistentVolumeClaim"];

/// What Kubernetes writes where nothing was asked for: a key and its value, as JSON.
const API_DEFAULTS: &[(&str, &str)] = &[
    // Services
    ("allocateLoadBalancerNodePorts", "true"),
    ("internalTrafficPolicy", r#""Cluster""#),
    ("ipFamilies", r#"["IPv4"]"#),
    ("ipFamilyPolicy", r#""SingleStack""#),
    ("sessionAffinity", r#""None""#),
    // Pods
    ("imagePullPolicy", r#""Always""#), // of an image without a version, and we never ask for it
    ("dnsPolicy", r#""ClusterFirst""#),
    ("restartPolicy", r#""Always""#),
    ("schedulerName", r#""default-scheduler""#),
    ("defaultMode", "420"),
    ("terminationMessagePath", r#""/dev/termination-log""#),
    ("terminationMessagePolicy", r#""File""#),
    // Probes
    ("failureThreshold", "3"),
    ("periodSeconds", "10"),
    ("successThreshold", "1"),
    ("timeoutSeconds", "1"),
    ("scheme", r#""HTTP""#),
    // Deployments, StatefulSets, CronJobs
    ("progressDeadlineSeconds", "600"),
    ("revisionHistoryLimit", "10"),
    ("strategy", r#"{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"}"#),
    ("suspend", "false"),
    ("apiGroup", r#""rbac.authorization.k8s.io""#),
];

/// What Kubernetes writes whatever its value: an old name of another field, and what it observes.
const WRITTEN_BY_KUBERNETES: &[&str] = &["serviceAccount", "status", "creationTimestamp"];

#[test]
fn every_object_is_what_upstream_made_of_the_same_manifest() {
    let mut wrong = Vec::new();
    let mut used = vec![false; DELIBERATE.len()];
    for (configuration, prefix) in [("default", "d"), ("custom", "c")] {
        let config = cases::configuration(configuration);
        for path in cases::yaml_files(&cases::folder().join("objects").join(configuration)) {
            let case = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let ours = objects_of(&case, &format!("{prefix}-{case}"), &config);
            let theirs = theirs(&path);
            for difference in differences(&ours, &theirs) {
                let place = format!("{configuration}/{case}");
                let reason = DELIBERATE
                    .iter()
                    .position(|(of, what, _)| place.ends_with(of) && difference.contains(what));
                match reason {
                    Some(index) => used[index] = true,
                    None => wrong.push(format!("{place}: {difference}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(used.iter().all(|used| *used), "a deliberate difference that is none: {used:?}");
}

type Objects = BTreeMap<String, Value>;

/// Every place where they differ, as `Kind name: path` and both sides.
fn differences(ours: &Objects, theirs: &Objects) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (ours.get(name), theirs.get(name)) {
            (Some(_), None) => found.push(format!("{name}: (missing in theirs)")),
            (None, Some(_)) => found.push(format!("{name}: (missing in ours)")),
            (Some(ours), Some(theirs)) => compare(ours, theirs, &format!("{name}: "), &mut found),
            (None, None) => {}
        }
    }
    found
}

fn compare(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    let step = |key: &str| {
        if path.ends_with(": ") { format!("{path}{key}") } else { format!("{path}.{key}") }
    };
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let at = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&at(one), &at(other), &step(key), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(one, other, &step(&index.to_string()), found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}\n    ours:   {ours}\n    theirs: {theirs}")),
    }
}

/// An object without what Kubernetes, or our own bookkeeping, adds; quantities in one notation.
fn normalised(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| !is_added(name, value));
            let kept = kept.map(|(name, value)| {
                let inner = if matches!(key, "requests" | "limits") { "quantity" } else { name.as_str() };
                (name.clone(), normalised(value, inner))
            });
            Value::Object(kept.filter(|(_, value)| !is_nothing(value)).collect())
        }
        Value::Array(items) => items.iter().map(|item| normalised(item, "")).collect(),
        Value::String(text) if key == "quantity" => {
            json!(format!("{:?}", text.parse::<Amount>().unwrap()))
        }
        other => other.clone(),
    }
}

fn is_added(name: &str, value: &Value) -> bool {
    let is_default =
        |(key, text): &&(&str, &str)| *key == name && serde_json::from_str::<Value>(text).unwrap() == *value;
    WRITTEN_BY_KUBERNETES.contains(&name)
        || name.starts_with("postgres-operator.acid.zalan.do/")
        || API_DEFAULTS.iter().any(|default| is_default(&default))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What only a stored object has: its namespace is its place, and claims in a template have a kind.
fn without_place(mut object: Value) -> Value {
    for pointer in ["/metadata", "/spec/template/metadata", "/spec/jobTemplate/spec/template/metadata"] {
        remove(object.pointer_mut(pointer), &["namespace"]);
    }
    for list in ["/subjects", "/spec/volumeClaimTemplates"] {
        let items = object.pointer_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            let of_claim = list.ends_with("Templates");
            remove(Some(item), if of_claim { &["apiVersion", "kind"] } else { &["namespace"] });
        }
    }
    object
}

fn remove(object: Option<&mut Value>, keys: &[&str]) {
    let Some(fields) = object.and_then(Value::as_object_mut) else { return };
    keys.iter().for_each(|key| drop(fields.remove(*key)));
}

fn insert(all: &mut Objects, object: Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = format!("{} {}", text("/kind"), text("/metadata/name"));
    if NOT_COMPARED.contains(&text("/kind").as_str()) {
        return;
    }
    all.insert(name, normalised(&without_place(object), ""));
}

/// Everything we make, with passwords as the fixtures write them.
fn objects_of(case: &str, namespace: &str, config: &OperatorConfig) -> Objects {
    let cluster = cases::cluster(case, namespace, config);
    let mut all = Objects::new();
    for object in plan::rendered(&build(&cluster), "<random>") {
        insert(&mut all, object);
    }
    all
}

fn theirs(path: &Path) -> Objects {
    let text = fs::read_to_string(path).unwrap();
    let mut all = Objects::new();
    for document in text.split("\n---\n") {
        let mut object: Value = serde_saphyr::from_str(document).unwrap();
        if let Some(data) = object.as_object_mut().unwrap().remove("data") {
            object["stringData"] = decoded(data);
        }
        insert(&mut all, object);
    }
    all
}

/// The values of a Secret as text, a random password as `<random>`.
fn decoded(mut data: Value) -> Value {
    use base64::Engine;
    for (key, value) in data.as_object_mut().unwrap() {
        let Ok(bytes) = base64::prelude::BASE64_STANDARD.decode(value.as_str().unwrap()) else { continue };
        let text = String::from_utf8(bytes).unwrap();
        *value = match key.as_str() {
            USER_LIST_KEY => {
                let user = text.split('"').nth(1).unwrap().parse().unwrap();
                assert_eq!(text.len(), user_list([(&user, "x".repeat(64).as_str())]).len(), "{text}");
                json!(user_list([(&user, "<random>")]))
            }
            _ => json!(text),
        };
    }
    data
}
