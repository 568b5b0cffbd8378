//! The rules by which defaults are written into a manifest, so that no GitOps tool sees a difference afterwards.
//!
//! One test for each rule, over every valid manifest there is and what single changes make of it. That the answer has no
//! patch when there is nothing to add, and that subresources and objects under deletion are left alone, is tested where
//! answers are made (`webhook/tests/reviews`); what Argo CD sees on a real API server, in
//! `tests/tests/control_plane/argo.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod mutants;

use std::fs;
use std::path::Path;

use mutants::mutants;
use serde_json::{Value, json};
use shared::admission::{mutate, mutate_update, review};
use shared::api::OperatorConfiguration;
use shared::config::OperatorConfig;

fn golden(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The golden manifests, each also with sections that people leave empty or half written.
fn manifests() -> Vec<Value> {
    let empty = [
        ("users", json!({"without_flags": null, "empty": []})),
        ("databases", json!({})),
        ("preparedDatabases", json!({"shop": {}, "other": {"schemas": {"data": {}}}})),
        ("patroni", json!({})),
        ("standby", Value::Null),
        ("resources", json!({"requests": {"cpu": "100m"}})),
        ("sidecars", json!([])),
        ("connectionPooler", json!({})),
    ];
    let mut all = Vec::new();
    for manifest in golden("manifests").iter().map(|text| serde_saphyr::from_str::<Value>(text).unwrap()) {
        for (field, value) in &empty {
            let mut changed = manifest.clone();
            changed["spec"][*field] = value.clone();
            all.push(changed);
        }
        all.push(manifest);
    }
    all
}

/// Each manifest that is accepted, and what becomes of it. Of the many mutants every seventh: they are alike.
fn mutated() -> Vec<(Value, Value)> {
    let config = OperatorConfig::default();
    let all = manifests().into_iter();
    let all: Vec<Value> = all
        .flat_map(|manifest| {
            std::iter::once(manifest.clone()).chain(mutants(&manifest).into_iter().step_by(7))
        })
        .collect();
    let pairs: Vec<_> = all
        .into_iter()
        .filter_map(|manifest| mutate(&manifest, &config).ok().map(|after| (manifest, after)))
        .collect();
    assert!(pairs.len() > 500, "only {} manifests were accepted", pairs.len());
    pairs
}

/// What is other than an added key of a map.
fn rewritten(before: &Value, after: &Value, place: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                match after.get(key) {
                    Some(other) => rewritten(value, other, &format!("{place}.{key}"), found),
                    None => found.push(format!("{place}.{key} is gone")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (value, other)) in before.iter().zip(after).enumerate() {
                rewritten(value, other, &format!("{place}[{index}]"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{place}: {before} became {after}")),
    }
}

#[test]
fn only_absent_keys_of_maps_are_added_and_no_value_is_written_anew() {
    for (before, after) in mutated() {
        let mut found = Vec::new();
        rewritten(&before, &after, "", &mut found);
        assert!(found.is_empty(), "{before}: {}", found.join(", "));
    }
}

#[test]
fn a_second_pass_adds_nothing() {
    let config = OperatorConfig::default();
    for (before, after) in mutated() {
        assert_eq!(mutate(&after, &config).as_ref(), Ok(&after), "{before}");
        assert_eq!(mutate_update(&after, &after, &config).as_ref(), Ok(&after), "{before}");
    }
}

#[test]
fn the_same_manifest_always_becomes_the_same_text() {
    let config = OperatorConfig::default();
    for (before, after) in mutated() {
        // From its text once more, as another replica of the webhook reads it.
        let read: Value = serde_json::from_str(&before.to_string()).unwrap();
        assert_eq!(mutate(&read, &config).unwrap().to_string(), after.to_string());
    }
}

#[test]
fn nothing_that_the_configuration_says_is_written_into_a_manifest() {
    let configurations: Vec<OperatorConfig> = golden("configurations")
        .iter()
        .map(|text| {
            let resource: OperatorConfiguration = serde_saphyr::from_str(text).unwrap();
            OperatorConfig::from_resource(&resource).unwrap()
        })
        .collect();
    let mut compared = 0;
    for (before, after) in mutated() {
        for config in &configurations {
            // Another configuration may refuse what the default one accepts; what it accepts it makes the same of.
            if let Ok(other) = mutate(&before, config) {
                assert_eq!(other, after, "{before}");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "only {compared} were compared");
}

#[test]
fn an_apply_of_what_is_stored_does_nothing_and_says_nothing() {
    let config = OperatorConfig::default();
    for manifest in manifests() {
        let Ok(stored) = mutate(&manifest, &config) else { continue };
        // What the user wrote comes again without what admission added.
        let again = mutate_update(&stored, &manifest, &config).unwrap();
        let changes = review(Some(&stored), &again, &config).unwrap();
        assert_eq!(changes, [], "{manifest}");
    }
}
