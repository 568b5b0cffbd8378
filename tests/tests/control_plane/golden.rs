//! The golden cases: manifests, configurations, and the objects that upstream's operator made of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;

/// One manifest under one configuration.
pub(crate) struct Case {
    /// `default/minimal`.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) cluster: Cluster,
    /// What upstream's operator made of it.
    pub(crate) objects: Vec<Value>,
}

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (configuration, prefix) in [("default", "d"), ("custom", "c")] {
        let config = configuration_named(configuration);
        for path in yaml_files(&folder().join("objects").join(configuration)) {
            let case = path.file_stem().unwrap().to_str().unwrap();
            let namespace = format!("{prefix}-{case}");
            cases.push(Case {
                name: format!("{configuration}/{case}"),
                cluster: cluster(case, &namespace, &config),
                namespace,
                objects: objects(&path),
            });
        }
    }
    cases
}

/// Every manifest: its file's name and its text.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let files = yaml_files(&folder().join("manifests"));
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn cluster(case: &str, namespace: &str, config: &OperatorConfig) -> Cluster {
    let path = folder().join("manifests").join(format!("{case}.yaml"));
    let mut manifest: Postgresql = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    manifest.metadata.uid = Some("<uid>".into());
    manifest.metadata.namespace = Some(namespace.into());
    let mut references = References::default();
    if config.kubernetes.pod_environment_configmap.is_some() {
        references.environment_config_map.insert("FROM_CM".into(), "1".into());
    }
    Cluster::resolve(&manifest, config, &references).unwrap_or_else(|errors| panic!("{case}: {errors}"))
}

/// The objects as upstream left them. Passwords are placeholders there; any will do here.
fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let mut objects: Vec<Value> =
        text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    for secret in objects.iter_mut().filter(|object| object["kind"] == "Secret") {
        for value in secret["data"].as_object_mut().unwrap().values_mut().filter(|value| *value == "<random>")
        {
            *value = json!("cmFuZG9t");
        }
    }
    objects
}

fn configuration_named(name: &str) -> OperatorConfig {
    let text = fs::read_to_string(folder().join("configurations").join(format!("{name}.yaml"))).unwrap();
    let resource: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
    OperatorConfig::from_resource(&resource).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
