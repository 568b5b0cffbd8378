//! Every golden case: what upstream's operator really made of a manifest, beside what we make of it.
//!
//! `tests/fixtures/golden/objects` was read back from a real API server, so Kubernetes' defaults are in it; everything
//! *we* ask for must stand there in the same words, and every list must be of the same length. Where we differ on
//! purpose, [`DELIBERATE`] says so and why.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan::object::first_difference;

/// Where we differ on purpose: the case, the field or object, and why. None of them restarts a pod that upstream made:
/// what such a pod's fingerprint does not know is not different.
const DELIBERATE: &[(&str, &str, &str)] = &[
    (
        "shm-fsgroup",
        "volumeMounts",
        "`enableShmVolume: false` wins over the configuration, as the documentation says",
    ),
    ("users", "reader.acid-users", "a role that may not log in needs no password"),
];

/// Kinds that later sections of the manifest make; they have their own builders and tests.
const ELSEWHERE: &[&str] =
    &["ConfigMap", "CronJob", "Deployment", "FabricEventStream", "PersistentVolumeClaim"];

#[test]
fn every_object_is_what_upstream_made_of_the_same_manifest() {
    let mut wrong = Vec::new();
    for (configuration, prefix) in [("default", "d"), ("custom", "c")] {
        let config = configuration_named(configuration);
        for path in yaml_files(&golden().join("objects").join(configuration)) {
            let case = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let ours = objects_of(&case, &format!("{prefix}-{case}"), &config);
            wrong.extend(compare(&format!("{configuration}/{case}"), &ours, &documents(&path)));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

type Objects = BTreeMap<(String, String), Value>;

fn compare(case: &str, ours: &Objects, theirs: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for object in theirs {
        let key = key(object);
        let is_pooler = key.1.contains("-pooler");
        if ELSEWHERE.contains(&key.0.as_str()) || is_pooler || is_someone_elses(&key) {
            continue;
        }
        match ours.get(&key) {
            None if is_deliberate(case, &key.1) => {}
            None => wrong.push(format!("{case}: {} {} is not made", key.0, key.1)),
            Some(desired) => {
                let field = first_difference(desired, object);
                let field = field.filter(|field| !is_deliberate(case, field));
                wrong.extend(field.map(|field| {
                    let pointer = format!("/{}", field.replace('.', "/"));
                    let (want, have) = (desired.pointer(&pointer), object.pointer(&pointer));
                    format!(
                        "{case}: {} {}: {field}\n    ours:   {want:?}\n    theirs: {have:?}",
                        key.0, key.1
                    )
                }));
            }
        }
    }
    wrong
}

/// Secrets of roles that later sections ask for (pooler, prepared databases, streams).
fn is_someone_elses((kind, name): &(String, String)) -> bool {
    let later = ["pooler.", "pgb.", "fes-user.", "-user."];
    kind == "Secret" && later.iter().any(|part| name.contains(part)) && !name.starts_with("foo-user.")
}

fn is_deliberate(case: &str, field: &str) -> bool {
    DELIBERATE.iter().any(|(of, what, _)| case.ends_with(of) && field.contains(what))
}

fn objects_of(case: &str, namespace: &str, config: &OperatorConfig) -> Objects {
    let path = golden().join("manifests").join(format!("{case}.yaml"));
    let mut manifest: Postgresql = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    manifest.metadata.uid = Some("<uid>".into());
    manifest.metadata.namespace = Some(namespace.into());
    let mut references = References::default();
    if config.kubernetes.pod_environment_configmap.is_some() {
        references.environment_config_map.insert("FROM_CM".into(), "1".into());
    }
    let cluster =
        Cluster::resolve(&manifest, config, &references).unwrap_or_else(|errors| panic!("{case}: {errors}"));
    flattened(build(&cluster))
}

/// All objects by kind and name, without what upstream has no part in.
fn flattened(resources: Resources) -> Objects {
    let mut all: Vec<Value> = Vec::new();
    all.extend(resources.service_account.map(|object| json!(object)));
    all.extend(resources.role_binding.map(|object| json!(object)));
    all.extend(resources.services.iter().map(|object| json!(object)));
    all.extend(resources.endpoints.iter().map(|object| json!(object)));
    all.extend(resources.disruption_budgets.iter().map(|object| json!(object)));
    all.extend(resources.stateful_set.map(|object| json!(object)));
    all.extend(
        resources.credentials.iter().map(|wanted| json!({"kind": "Secret", "metadata": wanted.metadata})),
    );
    all.into_iter().map(|object| (key(&object), without_ours(object))).collect()
}

fn without_ours(mut object: Value) -> Value {
    for pointer in ["/metadata", "/spec/template/metadata"] {
        let Some(metadata) = object.pointer_mut(pointer).and_then(Value::as_object_mut) else { continue };
        metadata.remove("namespace");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !name.starts_with("postgres-operator.acid.zalan.do/"));
        }
    }
    let binding_subjects = object.pointer_mut("/subjects").and_then(Value::as_array_mut);
    binding_subjects
        .into_iter()
        .flatten()
        .for_each(|subject| drop(subject.as_object_mut().unwrap().remove("namespace")));
    object
}

fn key(object: &Value) -> (String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/kind"), text("/metadata/name"))
}

fn configuration_named(name: &str) -> OperatorConfig {
    let text = fs::read_to_string(golden().join("configurations").join(format!("{name}.yaml"))).unwrap();
    let resource: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
    OperatorConfig::from_resource(&resource).unwrap()
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
