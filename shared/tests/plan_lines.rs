//! What holds of every line that a plan says, over one-field changes of all golden manifests: it fits a terminal, names
//! the field, and nothing is said exactly when nothing is done.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may be blunt")]

mod mutants;

use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use mutants::mutants;
use serde_json::{Value, json};
use shared::admission;
use shared::api::Postgresql;
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan::{LONGEST_LINE, between, plan};

fn manifests() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden/manifests");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// The manifest with one field changed, in each way that a user is likely to change it.
fn one_field_changes(manifest: &Value) -> Vec<Value> {
    let edits = [
        ("/spec/numberOfInstances", json!(7)),
        ("/spec/dockerImage", json!("spilo:next")),
        ("/spec/volume/size", json!("999Gi")),
        ("/spec/postgresql/version", json!("18")),
        ("/spec/postgresql/parameters", json!({"max_connections": "333", "work_mem": "5MB"})),
        ("/spec/resources", json!({"requests": {"cpu": "123m", "memory": "1Gi"}})),
        ("/spec/enableConnectionPooler", json!(true)),
        ("/spec/enableLogicalBackup", json!(true)),
        ("/spec/enableMasterLoadBalancer", json!(true)),
        ("/spec/users", json!({"somebody_new": ["createdb"], "a_user_of_a_rather_long_name_indeed": []})),
        ("/spec/preparedDatabases", json!({"quite_new": {"defaultUsers": true}})),
        ("/spec/podAnnotations", json!({"some": "thing"})),
        ("/spec/maintenanceWindows", json!(["Sun:01:00-02:00"])),
        ("/spec/env", json!([{"name": "A_VARIABLE", "value": "1"}])),
        ("/spec/tolerations", json!([{"key": "a", "operator": "Exists"}])),
    ];
    let edited = edits.into_iter().map(|(pointer, value)| {
        let mut changed = manifest.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if changed.pointer(parent).is_none() {
            changed["spec"][parent.trim_start_matches("/spec/")] = json!({});
        }
        changed.pointer_mut(parent).unwrap()[key] = value;
        changed
    });
    // Of the many mutants, every fifth: they are alike.
    edited.chain(mutants(manifest).into_iter().step_by(5)).collect()
}

/// The manifest with one field, or a field of a section, that is there and says nothing.
fn empties(manifest: &Value) -> Vec<Value> {
    let crd = serde_json::to_value(Postgresql::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut edited = Vec::new();
    let mut put = |path: &[&str], property: &Value| {
        let nothing = match property["type"].as_str() {
            Some("string") => json!(""),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => return,
        };
        let mut patch = nothing;
        path.iter().rev().for_each(|key| patch = json!({ *key: patch }));
        let mut changed = manifest.clone();
        merge(&mut changed["spec"], &patch);
        edited.push(changed);
    };
    for (name, property) in spec["properties"].as_object().unwrap() {
        put(&[name], property);
        for (inner, property) in property["properties"].as_object().into_iter().flatten() {
            put(&[name, inner], property);
        }
    }
    edited
}

/// Lays one value over another.
fn merge(value: &mut Value, over: &Value) {
    match over.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            if !value.is_object() {
                *value = json!({});
            }
            fields.iter().for_each(|(key, inner)| merge(&mut value[key], inner));
        }
        None => *value = over.clone(),
    }
}

fn typed(manifest: &Value) -> Option<Postgresql> {
    serde_json::from_value(manifest.clone()).ok()
}

fn built(manifest: &Postgresql, config: &OperatorConfig) -> Option<Resources> {
    Some(build(&Cluster::resolve(manifest, config, &References::unread()).ok()?))
}

#[test]
fn every_line_fits_and_nothing_is_said_exactly_when_nothing_is_done() {
    let config = OperatorConfig::default();
    let (mut changes, mut silent, mut unsaid) = (0, 0, Vec::new());
    for (index, manifest) in manifests().into_iter().enumerate() {
        let old = typed(&manifest).unwrap();
        let before = built(&old, &config).unwrap();
        // What says nothing says it anywhere: a few manifests are enough.
        let empties = if index % 8 == 0 { empties(&manifest) } else { Vec::new() };
        for changed in one_field_changes(&manifest).into_iter().chain(empties) {
            // Another name is another cluster.
            let is_another = changed.get("metadata") != manifest.get("metadata");
            if is_another || admission::review(Some(&manifest), &changed, &config).is_err() {
                continue;
            }
            let Some(new) = typed(&changed) else { continue };
            let Some(after) = built(&new, &config) else { continue };
            changes += 1;
            let lines = plan(&old, &new, &config, None);
            for line in lines.iter().map(ToString::to_string) {
                assert!(line.len() <= LONGEST_LINE, "{} bytes: {line}", line.len());
                let (field, message) = line.split_once(": ").unwrap();
                assert!(field.starts_with("spec") || field.starts_with("metadata"), "{line}");
                assert!(!message.is_empty() && !message.contains("changes no object"), "{line}");
            }
            if lines.is_empty() {
                silent += 1;
                if let Some(done) = between(&before, &after).first() {
                    unsaid.push(format!("{} {:?}: {}", done.object, done.field, changed["spec"]));
                }
            }
        }
    }
    assert!(unsaid.is_empty(), "nothing was said of\n{}", unsaid.join("\n"));
    assert!(changes >= 300, "only {changes} changes were tried");
    assert!(silent > 0, "no change did nothing");
}
