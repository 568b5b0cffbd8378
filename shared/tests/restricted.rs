//! Restricted pods: what Pod Security says of every golden manifest, and what switching them on costs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use shared::admission::configuration::{ConfigurationChange, review_configuration};
use shared::admission::review_among;
use shared::admission::surroundings::{Level, Surroundings};
use shared::config::{OperatorConfig, Source};

fn restricted() -> OperatorConfig {
    let mut config = OperatorConfig::default();
    config.kubernetes.enable_restricted_pods = true;
    config
}

fn golden_manifests() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden/manifests");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// Whether Pod Security would refuse the pods of a manifest.
fn is_refused(manifest: &Value, config: &OperatorConfig) -> bool {
    let around = Surroundings { pod_security: Some(Level::Restricted), ..Surroundings::default() };
    let told = review_among(None, manifest, config, &around).unwrap();
    told.iter().any(|change| change.message.contains("Pod Security"))
}

#[test]
fn pod_security_refuses_every_golden_manifest_unless_pods_are_restricted() {
    let manifests = golden_manifests();
    assert!(manifests.len() > 20, "only {} manifests were found", manifests.len());
    for manifest in &manifests {
        let name = &manifest["metadata"]["name"];
        assert!(is_refused(manifest, &OperatorConfig::default()), "{name}");
        assert!(!is_refused(manifest, &restricted()), "{name}");
    }
}

#[test]
fn what_a_container_says_itself_is_kept_and_the_rest_is_restricted() {
    let manifest = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "acid-demo", "namespace": "default", "uid": "42"},
        "spec": {
            "teamId": "acid", "numberOfInstances": 1, "volume": {"size": "1Gi"}, "postgresql": {"version": "17"},
            "spiloRunAsUser": 999,
            "sidecars": [{"name": "exporter", "image": "exporter:1"}],
            "initContainers": [{"name": "prepare", "image": "busybox:1", "securityContext": {
                "runAsUser": 1000, "capabilities": {"add": ["NET_BIND_SERVICE"]},
            }}],
        },
    });
    let pod = |config: &OperatorConfig| {
        let cluster = shared::cluster::Cluster::resolve(
            &serde_json::from_value(manifest.clone()).unwrap(),
            config,
            &shared::cluster::References::unread(),
        );
        let set = shared::build::build(&cluster.unwrap()).stateful_set.unwrap();
        serde_json::to_value(set.spec.unwrap().template.spec.unwrap()).unwrap()
    };
    let pod_of = pod(&restricted());
    assert_eq!(
        pod_of["securityContext"],
        json!({
            "runAsUser": 999, "runAsGroup": 103, "fsGroup": 103, "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
    let none = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(
        pod_of["containers"][0]["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "privileged": false,
            "readOnlyRootFilesystem": false,
        })
    );
    assert_eq!(pod_of["containers"][1]["securityContext"], none);
    assert_eq!(
        pod_of["initContainers"][0]["securityContext"],
        json!({
            "runAsUser": 1000, "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        })
    );
    let before = pod(&OperatorConfig::default());
    assert_eq!(before["securityContext"], json!({"runAsUser": 999}));
    assert_eq!(before["containers"][1]["securityContext"], Value::Null);
}

#[test]
fn switching_it_on_is_told_as_a_rolling_update_of_every_cluster() {
    let manifests: Vec<_> =
        golden_manifests().into_iter().map(|manifest| serde_json::from_value(manifest).unwrap()).collect();
    let (old, new) = (OperatorConfig::default(), restricted());
    let change = ConfigurationChange {
        source: Source::ConfigMap,
        old: &old,
        new: &new,
        manifests: &manifests,
        insisted: "",
        now: None,
    };
    let told: Vec<String> = review_configuration(&change).unwrap().iter().map(ToString::to_string).collect();
    let line = told.iter().find(|line| line.contains("enable_restricted_pods")).unwrap();
    assert!(line.contains("rolling update of "), "{told:?}");
}
